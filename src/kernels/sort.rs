//! Sorting along the last dimension of contiguous rows: stable sort with indices, the k greatest or smallest, the k-th, places
//! in sorted sequences, distinct values.
//!
//! NaN is greater than everything, as in PyTorch: last when ascending, first when descending; -0 equals 0. Equal elements
//! keep their order in both directions. Rows are tasks, so bits do not depend on threads.

use crate::copy::Shared;
use crate::index::with_number;
use crate::interrupt;
use crate::parallel::par_for;
use half::{bf16, f16};
use rustnn_tensor::DType;
use std::cmp::Ordering;

/// Elements that make a task worth its hand-over.
const TASK: usize = 4 << 10;
/// From this length on a row is sorted by the digits of its keys instead of by comparisons.
const RADIX_MIN: usize = 256;

/// A value with a total order that integers express: `a < b` exactly if `a.key() < b.key()`.
pub trait Sortable: Copy + Send + Sync {
    /// Significant bits of the key.
    const BITS: u32;
    fn key(self) -> u64;
}

macro_rules! sortable {
    (float: $($t:ty, $bits:ty),*) => { $(impl Sortable for $t {
        const BITS: u32 = <$bits>::BITS;
        #[inline(always)]
        fn key(self) -> u64 {
            const SIGN: $bits = 1 << (<$bits>::BITS - 1);
            let bits = self.to_bits();
            // Both zeros are one, all NaN are one.
            let bits = if bits << 1 == 0 { 0 } else { bits };
            if self.is_nan() {
                return <$bits>::MAX as u64;
            }
            (if bits & SIGN != 0 { !bits } else { bits | SIGN }) as u64
        }
    })* };
    (signed: $($t:ty, $bits:ty),*) => { $(impl Sortable for $t {
        const BITS: u32 = <$bits>::BITS;
        #[inline(always)]
        fn key(self) -> u64 { (self as $bits ^ (1 << (<$bits>::BITS - 1))) as u64 }
    })* };
    (unsigned: $($t:ty),*) => { $(impl Sortable for $t {
        const BITS: u32 = 8 * size_of::<$t>() as u32;
        #[inline(always)]
        fn key(self) -> u64 { self as u64 }
    })* };
}
sortable!(float: f32, u32, f64, u64, f16, u16, bf16, u16);
sortable!(signed: i8, u8, i16, u16, i32, u32, i64, u64);
sortable!(unsigned: u8, u16, u32, u64, bool);

/// The key in the wanted direction.
#[inline(always)]
fn directed<T: Sortable>(x: T, descending: bool) -> u64 {
    if descending { !x.key() & (u64::MAX >> (64 - T::BITS)) } else { x.key() }
}

fn for_rows(rows: usize, len: usize, body: &(dyn Fn(usize) + Sync)) {
    let grain = (TASK / len.max(1)).max(1);
    let task = |task: usize| (task * grain..(task * grain + grain).min(rows)).for_each(body);
    match rows.div_ceil(grain) {
        0 => {}
        1 => task(0),
        tasks => par_for(tasks, &task),
    }
}

/// Sorts `rows` rows of `len` elements, stably: `values` (if wanted) gets the sorted rows, `indices` (if wanted) the places
/// they came from.
///
/// # Safety
/// `src` holds and both outputs have room for `rows * len` elements; `values` may be `src` exactly, else nothing overlaps.
pub unsafe fn sort(
    dtype: DType,
    descending: bool,
    rows: usize,
    len: usize,
    src: *const u8,
    values: Option<*mut u8>,
    indices: Option<*mut i64>,
) {
    // SAFETY: the caller's promise.
    with_number!(dtype, T => unsafe { sort_typed::<T>(descending, rows, len, src.cast(), values.map(|v| v.cast()), indices) })
}

unsafe fn sort_typed<T: Sortable>(
    descending: bool,
    rows: usize,
    len: usize,
    src: *const T,
    values: Option<*mut T>,
    indices: Option<*mut i64>,
) {
    let (src, values, indices) = (Shared::read_only(src), values.map(Shared::new), indices.map(Shared::new));
    for_rows(rows, len, &|row| {
        let from = src.get().wrapping_add(row * len);
        // SAFETY: the elements of this row.
        unsafe {
            let order = order(from, len, descending);
            if let Some(values) = values {
                let to = values.get().add(row * len);
                if std::ptr::eq(to, from) {
                    let sorted: Vec<T> = order.iter().map(|&(_, i)| from.add(i as usize).read()).collect();
                    std::ptr::copy_nonoverlapping(sorted.as_ptr(), to, len);
                } else {
                    interrupt::pieces(len).flatten().for_each(|k| to.add(k).write(from.add(order[k].1 as usize).read()));
                }
            }
            if let Some(indices) = indices {
                let to = indices.get().add(row * len);
                interrupt::pieces(len).flatten().for_each(|k| to.add(k).write(order[k].1 as i64));
            }
        }
    });
}

/// Directed keys and places of a row, sorted stably.
unsafe fn order<T: Sortable>(src: *const T, len: usize, descending: bool) -> Vec<(u64, u32)> {
    // Rows beyond 2^32 elements would need 64 GiB here.
    assert!(len <= u32::MAX as usize, "a row of {len} elements is too long to sort");
    // SAFETY: `len` elements.
    let pair = |i: usize| (directed(unsafe { src.add(i).read() }, descending), i as u32);
    let mut pairs: Vec<(u64, u32)> = Vec::with_capacity(len);
    interrupt::pieces(len).for_each(|piece| pairs.extend(piece.map(pair)));
    if len < RADIX_MIN {
        // Places are different, so comparing them too makes an unstable sort stable.
        pairs.sort_unstable();
        return pairs;
    }
    radix(pairs, T::BITS)
}

/// Least significant digit first, eleven bits a digit; a digit that all keys share is skipped.
fn radix(mut pairs: Vec<(u64, u32)>, bits: u32) -> Vec<(u64, u32)> {
    const DIGIT: u32 = 11;
    const SIZE: usize = 1 << DIGIT;
    let digits = bits.div_ceil(DIGIT);
    let mut counts = vec![[0u32; SIZE]; digits as usize];
    for &(key, _) in interrupt::pieces(pairs.len()).flat_map(|piece| &pairs[piece]) {
        for (d, count) in counts.iter_mut().enumerate() {
            count[(key >> (d as u32 * DIGIT)) as usize % SIZE] += 1;
        }
    }
    let mut other = vec![(0u64, 0u32); pairs.len()];
    for (d, count) in counts.iter_mut().enumerate() {
        let shift = d as u32 * DIGIT;
        let shared = pairs.first().is_some_and(|&(key, _)| count[(key >> shift) as usize % SIZE] as usize == pairs.len());
        if shared {
            continue;
        }
        let mut start = 0;
        for c in count.iter_mut() {
            (*c, start) = (start, start + *c);
        }
        for &pair in interrupt::pieces(pairs.len()).flat_map(|piece| &pairs[piece]) {
            let place = &mut count[(pair.0 >> shift) as usize % SIZE];
            other[*place as usize] = pair;
            *place += 1;
        }
        std::mem::swap(&mut pairs, &mut other);
    }
    pairs
}

/// The `k` greatest (or smallest) elements of each row, with their places, in order if `sorted` (they are in any case here);
/// among equal ones the earlier.
///
/// # Safety
/// `src` holds `rows * len` elements, both outputs have room for `rows * k`; `k <= len`.
pub unsafe fn topk(dtype: DType, greatest: bool, rows: usize, len: usize, k: usize, src: *const u8, values: *mut u8, indices: *mut i64) {
    debug_assert!(k <= len);
    // SAFETY: the caller's promise.
    with_number!(dtype, T => unsafe { topk_typed::<T>(greatest, rows, len, k, src.cast(), values.cast(), indices) })
}

unsafe fn topk_typed<T: Sortable>(greatest: bool, rows: usize, len: usize, k: usize, src: *const T, values: *mut T, indices: *mut i64) {
    if k == 0 {
        return;
    }
    let (src, values, indices) = (Shared::read_only(src), Shared::new(values), Shared::new(indices));
    for_rows(rows, len, &|row| {
        // SAFETY: the elements of this row.
        unsafe {
            let from = src.get().add(row * len);
            let best = smallest::<T>(from, len, k, greatest);
            for (at, &(_, i)) in best.iter().enumerate() {
                values.get().add(row * k + at).write(from.add(i).read());
                indices.get().add(row * k + at).write(i as i64);
            }
        }
    });
}

/// The first `k` of a row in the wanted direction, in order.
unsafe fn smallest<T: Sortable>(src: *const T, len: usize, k: usize, descending: bool) -> Vec<(u64, usize)> {
    // SAFETY: `i < len` throughout.
    let at = |i: usize| (directed(unsafe { src.add(i).read() }, descending), i);
    if k <= 32 || k * 16 <= len {
        // Candidates gather in a buffer of 2k that is cut to the best k whenever it is full: most elements meet one comparison.
        let mut best: Vec<(u64, usize)> = Vec::with_capacity(2 * k);
        let mut bound = u64::MAX;
        for i in interrupt::pieces(len).flatten() {
            let pair = at(i);
            if pair.0 < bound || best.len() < k {
                best.push(pair);
                if best.len() == 2 * k {
                    best.select_nth_unstable(k - 1);
                    best.truncate(k);
                    bound = best[k - 1].0;
                }
            }
        }
        best.sort_unstable();
        best.truncate(k);
        return best;
    }
    // SAFETY: the caller's promise.
    let all = unsafe { order(src, len, descending) };
    all.into_iter().take(k).map(|(key, i)| (key, i as usize)).collect()
}

/// The `k`-th smallest (from 1) element of each row and its place.
///
/// # Safety
/// `src` holds `rows * len` elements, both outputs have room for `rows`; `1 <= k <= len`.
pub unsafe fn kthvalue(dtype: DType, rows: usize, len: usize, k: usize, src: *const u8, values: *mut u8, indices: *mut i64) {
    debug_assert!(1 <= k && k <= len);
    let (indices, src, values) = (Shared::new(indices), Shared::read_only(src), Shared::new(values));
    // SAFETY: the caller's promise.
    with_number!(dtype, T => for_rows(rows, len, &|row| unsafe {
        let from = src.get().cast::<T>().add(row * len);
        let mut all: Vec<(u64, usize)> = (0..len).map(|i| (from.add(i).read().key(), i)).collect();
        let (_, &mut (_, place), _) = all.select_nth_unstable(k - 1);
        values.get().cast::<T>().add(row).write(from.add(place).read());
        indices.get().add(row).write(place as i64);
    }))
}

/// Where each of `per_row` values of each row would enter that row's sorted sequence of `len` elements: before equal ones, or
/// behind them (`right`). With `shared` all rows use the first sequence. `sorter`, if given, orders each sequence.
///
/// # Safety
/// `sequence` (and `sorter`) hold `rows * len` elements (`len` if shared), each sequence ascending in its order; `values`
/// holds and `dst` has room for `rows * per_row`; indices of the sorter are below `len`.
pub unsafe fn searchsorted(
    dtype: DType,
    right: bool,
    rows: usize,
    len: usize,
    per_row: usize,
    shared: bool,
    sequence: *const u8,
    sorter: Option<*const i64>,
    values: *const u8,
    dst: *mut i64,
) {
    let (sequence, values, dst) = (Shared::read_only(sequence), Shared::read_only(values), Shared::new(dst));
    let sorter = sorter.map(Shared::read_only);
    // SAFETY: the caller's promise.
    with_number!(dtype, T => for_rows(rows * per_row, 16, &|at| unsafe {
        let row = if shared { 0 } else { at / per_row };
        let from = sequence.get().cast::<T>().add(row * len);
        let wanted = values.get().cast::<T>().add(at).read().key();
        let (mut low, mut high) = (0, len);
        while low < high {
            let middle = low + (high - low) / 2;
            let place = sorter.map_or(middle, |s| s.get().add(row * len + middle).read() as usize);
            let key = from.add(place).read().key();
            if key < wanted || (right && key == wanted) { low = middle + 1 } else { high = middle }
        }
        dst.get().add(at).write(low as i64);
    }))
}

/// The distinct elements of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Distinct {
    /// Place of each distinct element's first occurrence, in ascending order of the elements (of the runs, if consecutive).
    pub firsts: Vec<usize>,
    /// For each element of the list, which distinct one it is.
    pub inverse: Vec<i64>,
    /// How often each occurs.
    pub counts: Vec<i64>,
}

/// Distinct elements in ascending order: `unique`. As in PyTorch each NaN is distinct.
///
/// # Safety
/// `src` holds `len` elements.
pub unsafe fn unique(dtype: DType, src: *const u8, len: usize) -> Distinct {
    // SAFETY: the caller's promise.
    with_number!(dtype, T => unsafe {
        let order = order(src.cast::<T>(), len, false);
        let mut found = Distinct { firsts: vec![], inverse: vec![0; len], counts: vec![] };
        for (k, &(key, i)) in order.iter().enumerate() {
            if k == 0 || key != order[k - 1].0 || is_nan(src.cast::<T>().add(i as usize).read()) {
                found.firsts.push(i as usize);
                found.counts.push(0);
            }
            found.inverse[i as usize] = found.firsts.len() as i64 - 1;
            *found.counts.last_mut().expect("a run has begun") += 1;
        }
        found
    })
}

/// Runs of equal neighbours: `unique_consecutive`. Each NaN is a run.
///
/// # Safety
/// `src` holds `len` elements.
pub unsafe fn unique_consecutive(dtype: DType, src: *const u8, len: usize) -> Distinct {
    // SAFETY: the caller's promise.
    with_number!(dtype, T => unsafe {
        let mut found = Distinct { firsts: vec![], inverse: Vec::with_capacity(len), counts: vec![] };
        let mut last = None;
        for i in 0..len {
            let x = src.cast::<T>().add(i).read();
            if last != Some(x.key()) || is_nan(x) {
                found.firsts.push(i);
                found.counts.push(0);
            }
            last = Some(x.key());
            found.inverse.push(found.firsts.len() as i64 - 1);
            *found.counts.last_mut().expect("a run has begun") += 1;
        }
        found
    })
}

/// Asked of `x` itself: an integer may have NaN's key.
#[inline(always)]
#[allow(clippy::eq_op)]
fn is_nan<T: PartialEq>(x: T) -> bool {
    x != x
}

/// Distinct rows of `len` elements in lexicographic order: `unique(dim=...)`.
///
/// # Safety
/// `src` holds `rows * len` elements.
pub unsafe fn unique_rows(dtype: DType, src: *const u8, rows: usize, len: usize) -> Distinct {
    // SAFETY: the caller's promise.
    with_number!(dtype, T => unsafe {
        let from = src.cast::<T>();
        let compare = |a: usize, b: usize| -> Ordering {
            let keys = |row: usize| (0..len).map(move |i| from.add(row * len + i).read().key());
            keys(a).cmp(keys(b))
        };
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by(|&a, &b| compare(a, b));
        let mut found = Distinct { firsts: vec![], inverse: vec![0; rows], counts: vec![] };
        for (k, &row) in order.iter().enumerate() {
            if k == 0 || compare(order[k - 1], row) != Ordering::Equal {
                found.firsts.push(row);
                found.counts.push(0);
            }
            found.inverse[row] = found.firsts.len() as i64 - 1;
            *found.counts.last_mut().expect("a run has begun") += 1;
        }
        found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, distinct: u64) -> Vec<f32> {
        let mut state = 0x2545_F491_4F6C_DD1Du64;
        (0..n)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                match (state >> 20) % (distinct + 3) {
                    0 => f32::NAN,
                    1 => f32::NEG_INFINITY,
                    2 => -0.0,
                    x => x as f32 - distinct as f32 / 2.0,
                }
            })
            .collect()
    }

    /// PyTorch's order.
    fn compare(a: f32, b: f32) -> Ordering {
        a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
    }

    fn naive_order(row: &[f32], descending: bool) -> Vec<i64> {
        let mut order: Vec<i64> = (0..row.len() as i64).collect();
        order.sort_by(|&a, &b| {
            let (a, b) = (row[a as usize], row[b as usize]);
            if descending { compare(b, a) } else { compare(a, b) }
        });
        order
    }

    fn same(a: f32, b: f32) -> bool {
        a.to_bits() == b.to_bits()
    }

    #[test]
    fn sorting_is_stable_with_nan_as_the_greatest() {
        for (rows, len) in [(0, 5), (3, 0), (1, 1), (7, 33), (2, 256), (3, 5000), (200, 100)] {
            for distinct in [3, 1000, 1 << 40] {
                let x = numbers(rows * len, distinct);
                for descending in [false, true] {
                    let (mut values, mut indices) = (vec![0f32; rows * len], vec![0i64; rows * len]);
                    let mut in_place = x.clone();
                    // SAFETY: sizes as stated.
                    unsafe {
                        sort(
                            DType::F32,
                            descending,
                            rows,
                            len,
                            x.as_ptr().cast(),
                            Some(values.as_mut_ptr().cast()),
                            Some(indices.as_mut_ptr()),
                        );
                        let p: *mut u8 = in_place.as_mut_ptr().cast();
                        sort(DType::F32, descending, rows, len, p, Some(p), None);
                    }
                    for row in 0..rows {
                        let range = row * len..(row + 1) * len;
                        let expected = naive_order(&x[range.clone()], descending);
                        assert_eq!(indices[range.clone()], expected);
                        let sorted = expected.iter().map(|&i| x[row * len + i as usize]);
                        assert!(sorted.zip(&values[range.clone()]).zip(&in_place[range]).all(|((a, &b), &c)| same(a, b) && same(a, c)));
                    }
                }
            }
        }
    }

    #[test]
    fn every_dtype_sorts_in_its_order() {
        fn check<T: Copy + Default + PartialEq + std::fmt::Debug>(dtype: DType, ascending: &[T]) {
            let shuffled: Vec<T> = (0..ascending.len()).map(|i| ascending[(i * 7 + 3) % ascending.len()]).collect();
            for descending in [false, true] {
                let mut out = shuffled.clone();
                let p: *mut u8 = out.as_mut_ptr().cast();
                // SAFETY: one row, in place.
                unsafe { sort(dtype, descending, 1, out.len(), p, Some(p), None) };
                if descending {
                    out.reverse();
                }
                assert_eq!(out, ascending, "{dtype:?}");
            }
        }
        check(DType::I8, &[-128i8, -1, 0, 1, 127]);
        check(DType::I16, &[i16::MIN, -5, 0, 300, i16::MAX]);
        check(DType::I32, &[i32::MIN, -5, 0, 300, i32::MAX]);
        check(DType::I64, &[i64::MIN, -5, 0, 300, i64::MAX]);
        check(DType::U8, &[0u8, 1, 128, 254, 255]);
        check(DType::F64, &[f64::NEG_INFINITY, -1e-300, 0.0, 1e-300, f64::INFINITY]);
        check(DType::F16, &[-2.0f32, -0.5, 0.0, 1.0, 60000.0].map(f16::from_f32));
        check(DType::BF16, &[-2.0f32, -0.5, 0.0, 1.0, 1e30].map(bf16::from_f32));
        check(DType::Bool, &[false, true]);
        let long: Vec<i64> = (0..1000).map(|i| (i - 500) * 12345678901234).collect();
        check(DType::I64, &long[..999]);
    }

    #[test]
    fn topk_gives_the_first_of_the_sorted_row() {
        for (rows, len, k) in [(1, 5, 5), (3, 100, 1), (2, 1000, 10), (2, 1000, 400), (4, 7, 0), (1, 20_000, 100)] {
            for distinct in [4, 1 << 40] {
                let x = numbers(rows * len, distinct);
                for greatest in [false, true] {
                    let (mut values, mut indices) = (vec![0f32; rows * k], vec![0i64; rows * k]);
                    // SAFETY: sizes as stated.
                    unsafe {
                        topk(DType::F32, greatest, rows, len, k, x.as_ptr().cast(), values.as_mut_ptr().cast(), indices.as_mut_ptr())
                    };
                    for row in 0..rows {
                        let expected = &naive_order(&x[row * len..(row + 1) * len], greatest)[..k];
                        assert_eq!(&indices[row * k..(row + 1) * k], expected);
                        assert!((0..k).all(|i| same(values[row * k + i], x[row * len + expected[i] as usize])));
                    }
                }
            }
        }
    }

    #[test]
    fn kthvalue_gives_the_kth_of_the_sorted_row() {
        let (rows, len) = (4, 77);
        let x = numbers(rows * len, 50);
        for k in [1, 2, 40, 77] {
            let (mut values, mut indices) = (vec![0f32; rows], vec![0i64; rows]);
            // SAFETY: sizes as stated.
            unsafe { kthvalue(DType::F32, rows, len, k, x.as_ptr().cast(), values.as_mut_ptr().cast(), indices.as_mut_ptr()) };
            for row in 0..rows {
                assert_eq!(indices[row], naive_order(&x[row * len..(row + 1) * len], false)[k - 1]);
                assert!(same(values[row], x[row * len + indices[row] as usize]));
            }
        }
    }

    #[test]
    fn searchsorted_enters_before_or_behind_equal_ones() {
        let (sequence, values) = ([1i32, 3, 3, 5, 0, 2, 4, 6], [3i32, 0, 9, 4, 6, -1]);
        let place = |right, shared, rows: usize, sequence: &[i32], sorter: Option<&[i64]>| {
            let mut out = vec![-1i64; values.len()];
            let sorter = sorter.map(|s| s.as_ptr());
            // SAFETY: rows of four elements and their share of values.
            unsafe {
                let per_row = values.len() / rows;
                let (from, wanted) = (sequence.as_ptr().cast(), values.as_ptr().cast());
                searchsorted(DType::I32, right, rows, 4, per_row, shared, from, sorter, wanted, out.as_mut_ptr())
            };
            out
        };
        assert_eq!(place(false, false, 2, &sequence, None), [1, 0, 4, 2, 3, 0]);
        assert_eq!(place(true, false, 2, &sequence, None), [3, 0, 4, 3, 4, 0]);
        assert_eq!(place(true, true, 1, &sequence[..4], None), [3, 0, 4, 3, 4, 0]);
        assert_eq!(place(false, true, 1, &[5, 3, 1, 3], Some(&[2, 1, 3, 0])), [1, 0, 4, 3, 4, 0]);
    }

    #[test]
    fn distinct_elements_are_counted_and_found_again() {
        let x = [3i64, 1, 3, 3, 2, 1];
        // SAFETY: six elements.
        let (all, runs, rows) = unsafe {
            let p: *const u8 = x.as_ptr().cast();
            (unique(DType::I64, p, 6), unique_consecutive(DType::I64, p, 6), unique_rows(DType::I64, p, 3, 2))
        };
        assert_eq!(all, Distinct { firsts: vec![1, 4, 0], inverse: vec![2, 0, 2, 2, 1, 0], counts: vec![2, 1, 3] });
        assert_eq!(runs, Distinct { firsts: vec![0, 1, 2, 4, 5], inverse: vec![0, 1, 2, 2, 3, 4], counts: vec![1, 1, 2, 1, 1] });
        assert_eq!(rows, Distinct { firsts: vec![2, 0, 1], inverse: vec![1, 2, 0], counts: vec![1, 1, 1] });
        let nan = [f32::NAN, 1.0, f32::NAN];
        // SAFETY: three elements.
        assert_eq!(unsafe { unique(DType::F32, nan.as_ptr().cast(), 3) }.counts, [1, 1, 1]);
        // SAFETY: no elements.
        assert_eq!(unsafe { unique(DType::F32, nan.as_ptr().cast(), 0) }.firsts, []);
    }
}
