//! Indexed reads and writes: select, gather, scatter, masks, advanced indexing, embedding.
//!
//! Indices have been checked (see [`check_indices`]); where several updates meet one element they are applied in the order
//! of the index, whatever the number of threads. Widths are bytes of an element: 1, 2, 4, 8 or 16.

use crate::copy::{Dim, Dims, Shared, Walk, plan, small, zero};
use crate::level::dispatch;
use crate::memory::Src;
use crate::parallel::par_for;
use half::{bf16, f16};
use rustnn_tensor::DType;
use smallvec::SmallVec;

/// Bytes that one parallel task moves.
const TASK_BYTES: usize = 64 << 10;
/// Mask bytes of one block of [`MaskPlan`].
const MASK_BLOCK: usize = 32 << 10;
/// Indices of an advanced index whose offsets are computed at once.
const CHUNK: usize = 128;
/// Parts into which the elements written by one list of indices are split, each of which reads the whole list.
const PARTS: usize = 8;

/// A number that can be accumulated; bool adds as `or` and multiplies as `and`, max and min give NaN where one is NaN.
pub trait Accumulate: Copy + Send + Sync {
    const ZERO: Self;
    fn add(self, other: Self) -> Self;
    fn multiply(self, other: Self) -> Self;
    fn maximum(self, other: Self) -> Self;
    fn minimum(self, other: Self) -> Self;
    fn is_zero(self) -> bool;
}

macro_rules! accumulate {
    (float: $($t:ty),*) => { $(impl Accumulate for $t {
        const ZERO: Self = 0.0;
        #[inline(always)]
        fn add(self, other: Self) -> Self { self + other }
        #[inline(always)]
        fn multiply(self, other: Self) -> Self { self * other }
        #[inline(always)]
        fn maximum(self, other: Self) -> Self { if self.is_nan() || self > other { self } else { other } }
        #[inline(always)]
        fn minimum(self, other: Self) -> Self { if self.is_nan() || self < other { self } else { other } }
        #[inline(always)]
        fn is_zero(self) -> bool { self == 0.0 }
    })* };
    (half: $($t:ty),*) => { $(impl Accumulate for $t {
        const ZERO: Self = <$t>::ZERO;
        #[inline(always)]
        fn add(self, other: Self) -> Self { Self::from_f32(self.to_f32() + other.to_f32()) }
        #[inline(always)]
        fn multiply(self, other: Self) -> Self { Self::from_f32(self.to_f32() * other.to_f32()) }
        #[inline(always)]
        fn maximum(self, other: Self) -> Self { if self.is_nan() || self > other { self } else { other } }
        #[inline(always)]
        fn minimum(self, other: Self) -> Self { if self.is_nan() || self < other { self } else { other } }
        #[inline(always)]
        fn is_zero(self) -> bool { self == Self::ZERO }
    })* };
    (integer: $($t:ty),*) => { $(impl Accumulate for $t {
        const ZERO: Self = 0;
        #[inline(always)]
        fn add(self, other: Self) -> Self { self.wrapping_add(other) }
        #[inline(always)]
        fn multiply(self, other: Self) -> Self { self.wrapping_mul(other) }
        #[inline(always)]
        fn maximum(self, other: Self) -> Self { self.max(other) }
        #[inline(always)]
        fn minimum(self, other: Self) -> Self { self.min(other) }
        #[inline(always)]
        fn is_zero(self) -> bool { self == 0 }
    })* };
}
accumulate!(float: f32, f64);
accumulate!(half: f16, bf16);
accumulate!(integer: i8, i16, i32, i64, u8, u16, u32, u64);

impl Accumulate for bool {
    const ZERO: Self = false;
    fn add(self, other: Self) -> Self {
        self | other
    }
    fn multiply(self, other: Self) -> Self {
        self & other
    }
    fn maximum(self, other: Self) -> Self {
        self | other
    }
    fn minimum(self, other: Self) -> Self {
        self & other
    }
    fn is_zero(self) -> bool {
        !self
    }
}

/// Runs `$body` with `$t` as the Rust type of an arithmetic dtype.
macro_rules! with_number {
    ($dtype:expr, $t:ident => $body:expr) => {
        match $dtype {
            DType::F32 => {
                type $t = f32;
                $body
            }
            DType::F64 => {
                type $t = f64;
                $body
            }
            DType::F16 => {
                type $t = f16;
                $body
            }
            DType::BF16 => {
                type $t = bf16;
                $body
            }
            DType::I8 => {
                type $t = i8;
                $body
            }
            DType::I16 => {
                type $t = i16;
                $body
            }
            DType::I32 => {
                type $t = i32;
                $body
            }
            DType::I64 => {
                type $t = i64;
                $body
            }
            DType::U8 => {
                type $t = u8;
                $body
            }
            DType::Bool => {
                type $t = bool;
                $body
            }
            DType::U16 => {
                type $t = u16;
                $body
            }
            DType::U32 => {
                type $t = u32;
                $body
            }
            DType::U64 => {
                type $t = u64;
                $body
            }
            other => panic!("no arithmetic on {}", other.name()),
        }
    };
}

/// Runs `$body` with `$t` as an integer type of that many bytes.
macro_rules! with_width {
    ($width:expr, $t:ident => $body:expr) => {
        match $width {
            1 => {
                type $t = u8;
                $body
            }
            2 => {
                type $t = u16;
                $body
            }
            4 => {
                type $t = u32;
                $body
            }
            8 => {
                type $t = u64;
                $body
            }
            16 => {
                type $t = [u64; 2];
                $body
            }
            other => unreachable!("element width {other}"),
        }
    };
}

pub(crate) use with_number;

/// How an update meets what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduce {
    Assign,
    Add,
    Multiply,
    Maximum,
    Minimum,
}

impl Reduce {
    #[inline(always)]
    fn apply<T: Accumulate>(self, old: T, new: T) -> T {
        match self {
            Reduce::Assign => new,
            Reduce::Add => old.add(new),
            Reduce::Multiply => old.multiply(new),
            Reduce::Maximum => old.maximum(new),
            Reduce::Minimum => old.minimum(new),
        }
    }
}

/// The first index outside `0..size`, with its position.
pub fn check_indices(indices: &[i64], size: usize) -> Option<(usize, i64)> {
    check(indices, |i| i as u64 >= size as u64)
}

/// The first index outside `-size..size`, with its position.
pub fn check_wrapping_indices(indices: &[i64], size: usize) -> Option<(usize, i64)> {
    check(indices, |i| (i.wrapping_add(size as i64)) as u64 >= 2 * size as u64)
}

fn check(indices: &[i64], bad: impl Fn(i64) -> bool) -> Option<(usize, i64)> {
    for (block, chunk) in indices.chunks(256).enumerate() {
        if chunk.iter().fold(false, |any, &i| any | bad(i)) {
            let at = chunk.iter().position(|&i| bad(i))?;
            return Some((block * 256 + at, chunk[at]));
        }
    }
    None
}

/// An index of either sign as a position.
#[inline(always)]
fn wrap(i: i64, size: usize) -> isize {
    (if i < 0 { i + size as i64 } else { i }) as isize
}

/// `dst[o, k, :] = src[o, index[k], :]`: the embedding's forward, and `index_select` with `outer` the sizes before the
/// dimension. A row is `row_bytes` contiguous bytes; `src_outer_bytes` and `src_row_bytes` step the source; `dst` is
/// contiguous.
///
/// # Safety
/// All places are readable or writable, disjoint, and every index is a row of the source.
pub unsafe fn index_select(
    src: *const u8,
    outer: usize,
    src_outer_bytes: isize,
    src_row_bytes: isize,
    row_bytes: usize,
    index: &[i64],
    dst: *mut u8,
) {
    let total = outer * index.len();
    if total == 0 || row_bytes == 0 {
        return;
    }
    let (src, dst) = (Shared::read_only(src), Shared::new(dst));
    let grain = (TASK_BYTES / row_bytes).max(1);
    let body = |task: usize| {
        let (first, last) = (task * grain, (task * grain + grain).min(total));
        let (mut o, mut k) = (first / index.len(), first % index.len());
        for at in first..last {
            let from = src.get().wrapping_offset(o as isize * src_outer_bytes + index[k] as isize * src_row_bytes);
            let to = dst.get().wrapping_add(at * row_bytes);
            // SAFETY: the caller's promise.
            unsafe { copy_row(from, to, row_bytes) };
            k += 1;
            if k == index.len() {
                (o, k) = (o + 1, 0);
            }
        }
    };
    for_tasks(total.div_ceil(grain), &body);
}

#[inline(always)]
unsafe fn copy_row(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise. Common element widths avoid a call.
    unsafe {
        match bytes {
            4 => to.cast::<u32>().write_unaligned(from.cast::<u32>().read_unaligned()),
            8 => to.cast::<u64>().write_unaligned(from.cast::<u64>().read_unaligned()),
            1 => to.write(from.read()),
            2 => to.cast::<u16>().write_unaligned(from.cast::<u16>().read_unaligned()),
            _ => std::ptr::copy_nonoverlapping(from, to, bytes),
        }
    }
}

#[inline]
fn for_tasks(tasks: usize, body: &(dyn Fn(usize) + Sync)) {
    match tasks {
        0 => {}
        1 => body(0),
        _ => par_for(tasks, body),
    }
}

/// `dst[i] = src[i with i[dim] replaced by index[i]]`: `gather`, and `take_along_dim` where the caller has broadcast by
/// strides of 0. `dst` has the index's shape; `src_strides` are the source's, of the same rank.
///
/// # Safety
/// As for [`Src::new`] and [`Dst::new`](crate::Dst::new); every index is a position in the source's `dim`; all ranks are equal.
pub unsafe fn gather(
    width: usize,
    src: *const u8,
    src_strides: &[isize],
    dim: usize,
    index: Src<i64>,
    dst: *mut u8,
    dst_strides: &[isize],
) {
    // SAFETY: the caller's promise.
    with_width!(width, T => unsafe { gather_typed::<T>(src.cast(), src_strides, dim, index, dst.cast(), dst_strides) })
}

unsafe fn gather_typed<T: Copy>(src: *const T, src_strides: &[isize], dim: usize, index: Src<i64>, dst: *mut T, dst_strides: &[isize]) {
    let total = index.len();
    if total == 0 {
        return;
    }
    let mut walked: SmallVec<[isize; 8]> = src_strides.into();
    let step = if walked.is_empty() { 0 } else { std::mem::take(&mut walked[dim]) };
    let dims = plan(index.shape, [dst_strides, index.strides, &walked]);
    let (src, dst, index) = (Shared::read_only(src), Shared::new(dst), Shared::read_only(index.ptr));
    let one = Dim { size: 1, strides: [0; 3] };
    let (&row, outer) = dims.split_last().unwrap_or((&one, &[]));
    let piece = row.size.min(TASK_BYTES / 8);
    let pieces = row.size.div_ceil(piece);
    let rows = total / row.size * pieces;
    let grain = (TASK_BYTES / 8 / piece).max(1);
    let body = |task: usize| {
        let (first, last) = (task * grain, (task * grain + grain).min(rows));
        let mut walk = Walk::at(outer, first / pieces);
        let mut at = first % pieces;
        for _ in first..last {
            let start = (at * piece) as isize;
            let n = piece.min(row.size - at * piece) as isize;
            let [d, i, s] = std::array::from_fn(|k| walk.at[k] + start * row.strides[k]);
            let to = dst.get().wrapping_offset(d);
            let which = index.get().wrapping_offset(i);
            let from = src.get().wrapping_offset(s);
            for j in 0..n {
                // SAFETY: the caller's promise.
                unsafe {
                    let place = which.wrapping_offset(j * row.strides[1]).read() as isize * step + j * row.strides[2];
                    to.wrapping_offset(j * row.strides[0]).write(from.wrapping_offset(place).read());
                }
            }
            at += 1;
            if at == pieces {
                at = 0;
                walk.step();
            }
        }
    };
    for_tasks(rows.div_ceil(grain), &body);
}

/// `dst[i with i[dim] replaced by index[i]] (=, +=, *=, max=, min=) src[i]`: `scatter`, `scatter_add`, `scatter_reduce`. A
/// single value is a source with strides of 0. Updates of one element are applied in the order of `index` along `dim`.
///
/// # Safety
/// As for [`Src::new`] and [`Dst::new`](crate::Dst::new); every index is a position in the destination's `dim`; all ranks are equal;
/// `index.shape` is within the destination's other sizes; `src` does not overlap `dst`.
///
/// # Panics
/// If `reduce` is not `Assign` and the dtype has no arithmetic.
pub unsafe fn scatter(
    dtype: DType,
    reduce: Reduce,
    dim: usize,
    index: Src<i64>,
    src: *const u8,
    src_strides: &[isize],
    dst: *mut u8,
    dst_strides: &[isize],
) {
    // SAFETY: the caller's promise.
    unsafe {
        match reduce {
            Reduce::Assign => with_width!(dtype.size_bytes(), T => {
                scatter_typed(dim, index, src.cast::<T>(), src_strides, dst.cast::<T>(), dst_strides, |_, new| new)
            }),
            // One closure a case: the choice stays outside the loop.
            Reduce::Add => {
                with_number!(dtype, T => scatter_typed(dim, index, src.cast::<T>(), src_strides, dst.cast::<T>(), dst_strides, T::add_))
            }
            _ => with_number!(dtype, T => {
                scatter_typed(dim, index, src.cast::<T>(), src_strides, dst.cast::<T>(), dst_strides, |old, new| reduce.apply(old, new))
            }),
        }
    }
}

/// `add` by a name that primitive numbers do not have already.
trait Add_: Accumulate {
    #[inline(always)]
    fn add_(self, other: Self) -> Self {
        Accumulate::add(self, other)
    }
}
impl<T: Accumulate> Add_ for T {}

unsafe fn scatter_typed<T: Copy>(
    dim: usize,
    index: Src<i64>,
    src: *const T,
    src_strides: &[isize],
    dst: *mut T,
    dst_strides: &[isize],
    update: impl Fn(T, T) -> T + Sync,
) {
    let total = index.len();
    if total == 0 {
        return;
    }
    let (depth, [d_step, i_step, s_step]) = match index.shape.get(dim) {
        Some(&size) => (size, [dst_strides[dim], index.strides[dim], src_strides[dim]]),
        None => (1, [0; 3]),
    };
    // Updates meet only along `dim`: the lines across it are independent.
    let without = |of: &[isize]| -> SmallVec<[isize; 8]> { (0..of.len()).filter(|&k| k != dim).map(|k| of[k]).collect() };
    let shape: SmallVec<[usize; 8]> = (0..index.shape.len()).filter(|&k| k != dim).map(|k| index.shape[k]).collect();
    let (d, i, s) = (without(dst_strides), without(index.strides), without(src_strides));
    let dims = plan(&shape, [&d[..], &i[..], &s[..]]);
    let lines = total / depth;
    let one = Dim { size: 1, strides: [0; 3] };
    let (&row, outer) = dims.split_last().unwrap_or((&one, &[]));
    let piece = (TASK_BYTES / 8 / depth).clamp(16, 4096).min(row.size);
    let pieces = row.size.div_ceil(piece);
    let total_pieces = lines / row.size * pieces;
    let grain = (TASK_BYTES / 8 / (piece * depth)).max(1);
    let (src, dst, index) = (Shared::read_only(src), Shared::new(dst), Shared::read_only(index.ptr));
    let body = |task: usize| {
        let (first, last) = (task * grain, (task * grain + grain).min(total_pieces));
        let mut walk = Walk::at(outer, first / pieces);
        let mut at = first % pieces;
        for _ in first..last {
            let start = (at * piece) as isize;
            let n = piece.min(row.size - at * piece) as isize;
            let [d, i, s] = std::array::from_fn(|k| walk.at[k] + start * row.strides[k]);
            let one = |j: isize, k: isize| {
                let which = index.get().wrapping_offset(i + j * row.strides[1] + k * i_step);
                let from = src.get().wrapping_offset(s + j * row.strides[2] + k * s_step);
                // SAFETY: the caller's promise.
                unsafe {
                    let to = dst.get().wrapping_offset(d + j * row.strides[0] + which.read() as isize * d_step);
                    to.write(update(to.read(), from.read()));
                }
            };
            // Along memory: the dimension inside if its steps are the smaller ones.
            if i_step.unsigned_abs() < row.strides[1].unsigned_abs() || n == 1 {
                (0..n).for_each(|j| (0..depth as isize).for_each(|k| one(j, k)));
            } else {
                (0..depth as isize).for_each(|k| (0..n).for_each(|j| one(j, k)));
            }
            at += 1;
            if at == pieces {
                at = 0;
                walk.step();
            }
        }
    };
    for_tasks(total_pieces.div_ceil(grain), &body);
}

/// `dst[o, index[k], :] (=, += alpha *, *=, max=, min=) src[o, k, :]` for contiguous `dst` of `outer x size x inner` and `src`
/// of `outer x index.len() x inner`: `index_copy`, `index_add`, `index_reduce`. `alpha` (for `Add` only; None is 1) points to
/// one element. Updates of one element are applied in the order of `index`; entries equal to `skip` are left out.
///
/// # Safety
/// The arrays are as stated and disjoint; every index is below `size`.
///
/// # Panics
/// If `reduce` is not `Assign` and the dtype has no arithmetic.
pub unsafe fn index_update(
    dtype: DType,
    reduce: Reduce,
    alpha: Option<*const u8>,
    outer: usize,
    size: usize,
    inner: usize,
    index: &[i64],
    skip: Option<i64>,
    src: *const u8,
    dst: *mut u8,
) {
    let rows = Rows { outer, size, inner, index, skip };
    // SAFETY: the caller's promise.
    unsafe {
        match (reduce, alpha) {
            (Reduce::Assign, _) => with_width!(dtype.size_bytes(), T => rows.update(src.cast::<T>(), dst.cast::<T>(), |_, new| new)),
            (Reduce::Add, None) => with_number!(dtype, T => rows.update(src.cast::<T>(), dst.cast::<T>(), T::add_)),
            (Reduce::Add, Some(alpha)) => with_number!(dtype, T => {
                let alpha = alpha.cast::<T>().read();
                rows.update(src.cast::<T>(), dst.cast::<T>(), |old: T, new: T| old.add_(alpha.multiply(new)))
            }),
            _ => with_number!(dtype, T => rows.update(src.cast::<T>(), dst.cast::<T>(), |old, new| reduce.apply(old, new))),
        }
    }
}

/// Rows that are updated by index.
#[derive(Clone, Copy)]
struct Rows<'a> {
    outer: usize,
    size: usize,
    inner: usize,
    index: &'a [i64],
    skip: Option<i64>,
}

impl Rows<'_> {
    unsafe fn update<T: Copy>(&self, src: *const T, dst: *mut T, update: impl Fn(T, T) -> T + Sync) {
        let Rows { outer, size, inner, index, skip } = *self;
        let count = index.len();
        // No product: with a 0 among them the others may be anything.
        if outer == 0 || count == 0 || inner == 0 {
            return;
        }
        let bytes = count * inner * size_of::<T>();
        // Each task owns columns of one outer block, or, where rows are short, a range of destination rows.
        let columns = if bytes <= TASK_BYTES || inner <= 32 { inner } else { inner.div_ceil(PARTS).max(32).next_multiple_of(16) };
        let across = inner.div_ceil(columns);
        let parts = if across == 1 && bytes > 4 * TASK_BYTES { PARTS.min(size) } else { 1 };
        let part = size.div_ceil(parts);
        let per_outer = across * parts;
        let grain = (TASK_BYTES * per_outer / bytes).clamp(1, per_outer * outer);
        let total = outer * per_outer;
        let (src, dst) = (Shared::read_only(src), Shared::new(dst));
        let body = |task: usize| {
            for at in task * grain..(task * grain + grain).min(total) {
                let (o, rest) = (at / per_outer, at % per_outer);
                let (p, c) = (rest / across, rest % across * columns);
                let n = columns.min(inner - c);
                let rows = (p * part) as u64..((p + 1) * part).min(size) as u64;
                let from = src.get().wrapping_add(o * count * inner + c);
                let to = dst.get().wrapping_add(o * size * inner + c);
                dispatch!(crate::level(), _simd => {
                    for (k, &i) in index.iter().enumerate() {
                        if !rows.contains(&(i as u64)) || Some(i) == skip {
                            continue;
                        }
                        let (from, to) = (from.wrapping_add(k * inner), to.wrapping_add(i as usize * inner));
                        for j in 0..n {
                            // SAFETY: column `c + j` of a row of both arrays.
                            unsafe { to.add(j).write(update(to.add(j).read(), from.add(j).read())) };
                        }
                    }
                });
            }
        };
        for_tasks(total.div_ceil(grain), &body);
    }
}

/// `dst[o, index[k], :] = value` for contiguous `dst` of `outer x size x inner`: `index_fill`.
///
/// # Safety
/// `dst` is as stated, `value` points to one element, every index is below `size`.
pub unsafe fn index_fill(width: usize, outer: usize, size: usize, inner: usize, index: &[i64], value: *const u8, dst: *mut u8) {
    // SAFETY: the caller's promise.
    with_width!(width, T => unsafe {
        let value = value.cast::<T>().read();
        for o in 0..outer {
            for &i in index {
                let row = dst.cast::<T>().add((o * size + i as usize) * inner);
                (0..inner).for_each(|j| row.add(j).write(value));
            }
        }
    })
}

/// The embedding's backward: `dweight[index[k], :] += dy[k, :]`, after zeroing the contiguous `rows x columns` of `dweight`;
/// entries equal to `padding` give nothing. With `by_frequency` each `dy` row is first divided by how often its index
/// occurs (PyTorch's `scale_grad_by_freq`).
///
/// # Safety
/// The arrays are contiguous, disjoint and as large as stated; every index is below `rows`.
pub unsafe fn embedding_backward(
    dtype: DType,
    dy: *const u8,
    index: &[i64],
    padding: Option<i64>,
    by_frequency: bool,
    rows: usize,
    columns: usize,
    dweight: *mut u8,
) {
    // SAFETY: the caller's promise; a float's zero is zero bytes.
    unsafe { zero(dweight, rows * columns * dtype.size_bytes()) };
    if !by_frequency {
        // SAFETY: the caller's promise.
        return unsafe { index_update(dtype, Reduce::Add, None, 1, rows, columns, index, padding, dy, dweight) };
    }
    let mut counts = vec![0u32; rows];
    index.iter().for_each(|&i| counts[i as usize] += 1);
    // SAFETY: the caller's promise. The scale depends on the row, so rows go one by one.
    unsafe {
        match dtype {
            DType::F64 => {
                scaled_rows(dy.cast::<f64>(), index, padding, columns, dweight.cast::<f64>(), |i, x| x * (1.0 / counts[i] as f64))
            }
            DType::F16 => scaled_rows(dy.cast::<f16>(), index, padding, columns, dweight.cast::<f16>(), |i, x| {
                f16::from_f32(x.to_f32() * (1.0 / counts[i] as f64) as f32)
            }),
            DType::BF16 => scaled_rows(dy.cast::<bf16>(), index, padding, columns, dweight.cast::<bf16>(), |i, x| {
                bf16::from_f32(x.to_f32() * (1.0 / counts[i] as f64) as f32)
            }),
            _ => scaled_rows(dy.cast::<f32>(), index, padding, columns, dweight.cast::<f32>(), |i, x| x * (1.0 / counts[i] as f64) as f32),
        }
    }
}

unsafe fn scaled_rows<T: Accumulate>(
    dy: *const T,
    index: &[i64],
    padding: Option<i64>,
    columns: usize,
    dweight: *mut T,
    scale: impl Fn(usize, T) -> T,
) {
    for (k, &i) in index.iter().enumerate() {
        if Some(i) != padding {
            for j in 0..columns {
                // SAFETY: the caller's promise.
                unsafe {
                    let to = dweight.add(i as usize * columns + j);
                    to.write(to.read().add(scale(i as usize, dy.add(k * columns + j).read())));
                }
            }
        }
    }
}

/// Where the true elements of a contiguous mask lie: true elements before each block, and in all.
#[derive(Clone, Debug)]
pub struct MaskPlan {
    before: Vec<usize>,
    len: usize,
    total: usize,
}

impl MaskPlan {
    /// Counts the true elements of `len` bools.
    ///
    /// # Safety
    /// They are readable; each byte is 0 or 1.
    pub unsafe fn new(mask: *const u8, len: usize) -> MaskPlan {
        let blocks = len.div_ceil(MASK_BLOCK);
        let mut before = vec![0usize; blocks + 1];
        let (mask, counts) = (Shared::read_only(mask), Shared::new(before.as_mut_ptr()));
        let body = |block: usize| {
            let first = block * MASK_BLOCK;
            // SAFETY: bytes of this block; count `block + 1` is this task's own.
            unsafe {
                let bytes = std::slice::from_raw_parts(mask.get().add(first), MASK_BLOCK.min(len - first));
                let count = dispatch!(crate::level(), _simd => {
                    bytes.chunks(255).map(|c| c.iter().fold(0u8, |sum, &b| sum + (b != 0) as u8) as usize).sum::<usize>()
                });
                counts.get().add(block + 1).write(count);
            }
        };
        for_tasks(blocks, &body);
        for block in 0..blocks {
            before[block + 1] += before[block];
        }
        let total = before[blocks];
        MaskPlan { before, len, total }
    }

    /// True elements in all.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Calls `each(position in the mask, number among the true ones)` for every true element, blocks in parallel.
    unsafe fn each(&self, mask: *const u8, each: impl Fn(usize, usize) + Sync) {
        let mask = Shared::read_only(mask);
        let body = |block: usize| {
            let (first, last) = (block * MASK_BLOCK, (block * MASK_BLOCK + MASK_BLOCK).min(self.len));
            let mut number = self.before[block];
            // 64 bools become the bits of a word: following its set bits costs one wrong guess a word, not one a bool.
            for at in (first..last).step_by(64) {
                let n = 64.min(last - at);
                let mut bits = 0u64;
                // SAFETY: bytes inside the mask.
                unsafe {
                    for part in 0..n / 8 {
                        let bytes = u64::from_le_bytes(mask.get().add(at + 8 * part).cast::<[u8; 8]>().read());
                        bits |= (bytes.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * part);
                    }
                    for i in n / 8 * 8..n {
                        bits |= (mask.get().add(at + i).read() as u64) << i;
                    }
                }
                while bits != 0 {
                    each(at + bits.trailing_zeros() as usize, number);
                    number += 1;
                    bits &= bits - 1;
                }
            }
        };
        for_tasks(self.len.div_ceil(MASK_BLOCK), &body);
    }
}

/// Writes the elements of contiguous `src` where `mask` is true to `dst`, `plan.total()` of them.
///
/// # Safety
/// `plan` is of this mask, unchanged; `src` has the mask's length; `dst` has room and does not overlap.
pub unsafe fn masked_select(width: usize, src: *const u8, mask: *const u8, plan: &MaskPlan, dst: *mut u8) {
    // SAFETY: the caller's promise.
    with_width!(width, T => unsafe {
        let (src, dst) = (Shared::read_only(src.cast::<T>()), Shared::new(dst.cast::<T>()));
        plan.each(mask, |at, number| dst.get().add(number).write(src.get().add(at).read()))
    })
}

/// Writes successive elements of `src` to the places of contiguous `dst` where `mask` is true.
///
/// # Safety
/// As for [`masked_select`], with `plan.total()` elements in `src` and the mask's length in `dst`.
pub unsafe fn masked_scatter(width: usize, src: *const u8, mask: *const u8, plan: &MaskPlan, dst: *mut u8) {
    // SAFETY: the caller's promise.
    with_width!(width, T => unsafe {
        let (src, dst) = (Shared::read_only(src.cast::<T>()), Shared::new(dst.cast::<T>()));
        plan.each(mask, |at, number| dst.get().add(at).write(src.get().add(number).read()))
    })
}

/// Writes the coordinates of the true elements of a contiguous mask of `shape`, row-major, `plan.total() x shape.len()`.
///
/// # Safety
/// `plan` is of this mask, unchanged; `dst` has room.
pub unsafe fn nonzero(mask: *const u8, shape: &[usize], plan: &MaskPlan, dst: *mut i64) {
    let rank = shape.len();
    let dst = Shared::new(dst);
    // SAFETY: the caller's promise.
    unsafe {
        plan.each(mask, |mut at, number| {
            let row = dst.get().add(number * rank);
            for k in (0..rank).rev() {
                row.add(k).write((at % shape[k]) as i64);
                at /= shape[k];
            }
        })
    }
}

/// `dst = mask ? value : src`, all of `shape`; `dst` may be `src` exactly.
///
/// # Safety
/// As for [`Src::new`] and [`Dst::new`](crate::Dst::new); `value` points to one element.
pub unsafe fn masked_fill(
    width: usize,
    src: *const u8,
    src_strides: &[isize],
    mask: *const u8,
    mask_strides: &[isize],
    value: *const u8,
    dst: *mut u8,
    dst_strides: &[isize],
    shape: &[usize],
) {
    // SAFETY: the caller's promise.
    with_width!(width, T => unsafe {
        let value = value.cast::<T>().read();
        let (src, mask, dst) = (Shared::read_only(src.cast::<T>()), Shared::read_only(mask), Shared::new(dst.cast::<T>()));
        for_rows(shape, [dst_strides, src_strides, mask_strides], width, &|[d, s, m], [d_step, s_step, m_step], n| {
            let (to, from, choose) = (dst.get().wrapping_offset(d), src.get().wrapping_offset(s), mask.get().wrapping_offset(m));
            if [d_step, s_step, m_step] == [1; 3] {
                for i in 0..n {
                    let x = from.add(i).read();
                    to.add(i).write(if choose.add(i).read() != 0 { value } else { x });
                }
            } else {
                for i in 0..n as isize {
                    let x = from.wrapping_offset(i * s_step).read();
                    to.wrapping_offset(i * d_step).write(if choose.wrapping_offset(i * m_step).read() != 0 { value } else { x });
                }
            }
        })
    })
}

/// Calls `row(offsets, strides, length)` for rows that cover N arrays of one shape, in parallel.
fn for_rows<const N: usize>(shape: &[usize], strides: [&[isize]; N], width: usize, row: &(dyn Fn([isize; N], [isize; N], usize) + Sync)) {
    let len: usize = shape.iter().product();
    if len == 0 {
        return;
    }
    let dims = plan(shape, strides);
    let one = Dim { size: 1, strides: [0; N] };
    let (&inner, outer) = dims.split_last().unwrap_or((&one, &[]));
    let piece = inner.size.min(TASK_BYTES / width);
    let pieces = inner.size.div_ceil(piece);
    let total = len / inner.size * pieces;
    let grain = (TASK_BYTES / width / piece).max(1);
    let body = |task: usize| {
        let (first, last) = (task * grain, (task * grain + grain).min(total));
        let mut walk = Walk::at(outer, first / pieces);
        let mut at = first % pieces;
        for _ in first..last {
            let start = at * piece;
            row(std::array::from_fn(|k| walk.at[k] + start as isize * inner.strides[k]), inner.strides, piece.min(inner.size - start));
            at += 1;
            if at == pieces {
                at = 0;
                walk.step();
            }
        }
    };
    for_tasks(total.div_ceil(grain), &body);
}

/// One index array of an advanced index: its values (of either sign), its strides over the common index shape (0 where
/// broadcast), and the size and stride (elements) of the dimension it indexes.
#[derive(Clone, Copy, Debug)]
pub struct IndexArray<'a> {
    pub ptr: *const i64,
    pub strides: &'a [isize],
    pub size: usize,
    pub stride: isize,
}

/// An advanced index: which elements of `indexed` meet which elements of `plain`.
///
/// For every `b` in `index_shape` and `s` in `slice_shape`: the element of `indexed` at `Σ index_m[b] · stride_m + s ·
/// slice_strides` meets the element of `plain` at `b · plain_index_strides + s · plain_slice_strides`.
#[derive(Clone, Copy, Debug)]
pub struct Advanced<'a> {
    pub arrays: &'a [IndexArray<'a>],
    pub index_shape: &'a [usize],
    pub slice_shape: &'a [usize],
    pub slice_strides: &'a [isize],
    pub plain_index_strides: &'a [isize],
    pub plain_slice_strides: &'a [isize],
}

impl Advanced<'_> {
    /// The first index outside its dimension: which array, the position in row-major order of `index_shape`, the value.
    ///
    /// # Safety
    /// The index arrays are readable.
    pub unsafe fn check(&self) -> Option<(usize, usize, i64)> {
        let count: usize = self.index_shape.iter().product();
        for (m, array) in self.arrays.iter().enumerate() {
            let dims = unplanned(self.index_shape, [array.strides]);
            if count > 0 && dims.iter().all(|d| d.strides == [1]) && dims.len() <= 1 {
                // SAFETY: the caller's promise; the values lie in a row.
                let values = unsafe { std::slice::from_raw_parts(array.ptr, count) };
                match check_wrapping_indices(values, array.size) {
                    Some((position, i)) => return Some((m, position, i)),
                    None => continue,
                }
            }
            let mut walk = Walk::at(&dims, 0);
            for position in 0..count {
                // SAFETY: the caller's promise.
                let i = unsafe { array.ptr.wrapping_offset(walk.at[0]).read() };
                if i.wrapping_add(array.size as i64) as u64 >= 2 * array.size as u64 {
                    return Some((m, position, i));
                }
                walk.step();
            }
        }
        None
    }

    /// Offsets into `indexed` and `plain` of the indices from number `first` on, in row-major order, as many as fit.
    unsafe fn offsets<'b>(&self, first: usize, count: usize, buffer: &'b mut [[isize; 2]; CHUNK]) -> &'b [[isize; 2]] {
        let buffer = &mut buffer[..CHUNK.min(count - first)];
        for (m, array) in self.arrays.iter().enumerate() {
            let dims = unplanned(self.index_shape, [array.strides, self.plain_index_strides]);
            let put = |entry: &mut [isize; 2], at: [isize; 2]| {
                // SAFETY: the caller's promise.
                let offset = wrap(unsafe { array.ptr.wrapping_offset(at[0]).read() }, array.size) * array.stride;
                *entry = if m == 0 { [offset, at[1]] } else { [entry[0] + offset, at[1]] };
            };
            if let [dim] = dims[..] {
                for (i, entry) in buffer.iter_mut().enumerate() {
                    put(entry, dim.strides.map(|s| (first + i) as isize * s));
                }
                continue;
            }
            let mut walk = Walk::at(&dims, first);
            for entry in buffer.iter_mut() {
                put(entry, walk.at);
                walk.step();
            }
        }
        buffer
    }
}

// SAFETY: addresses of memory that is only read.
unsafe impl Sync for IndexArray<'_> {}
// SAFETY: as above.
unsafe impl Send for IndexArray<'_> {}

/// The dimensions as they are, in their order; neighbours that all arrays step alike are merged.
fn unplanned<const N: usize>(shape: &[usize], strides: [&[isize]; N]) -> Dims<N> {
    let mut dims: Dims<N> = SmallVec::new();
    for (k, &size) in shape.iter().enumerate() {
        let dim = Dim { size, strides: strides.map(|s| s[k]) };
        match dims.last_mut() {
            _ if size == 1 => {}
            Some(outer) if (0..N).all(|n| outer.strides[n] == dim.strides[n] * size as isize) => {
                *outer = Dim { size: outer.size * size, ..dim };
            }
            _ => dims.push(dim),
        }
    }
    dims
}

/// `plain = indexed[index]`.
///
/// # Safety
/// As for [`Src::new`] and [`Dst::new`](crate::Dst::new) with the places that [`Advanced`] describes; there is at least one index array, every
/// index has passed [`Advanced::check`]; `plain` does not overlap anything read.
pub unsafe fn index_get(width: usize, index: &Advanced, indexed: *const u8, plain: *mut u8) {
    let count: usize = index.index_shape.iter().product();
    let slice: usize = index.slice_shape.iter().product();
    if count == 0 || slice == 0 {
        return;
    }
    let (outer, inner) = split_slice(index);
    let block: usize = inner.iter().map(|d| d.size).product();
    // A task is some chunks of indices with some of the outer slices; offsets are computed once for all of them.
    let (chunks, outers) = (count.div_ceil(CHUNK), slice / block);
    let chunk_bytes = CHUNK.min(count) * block * width;
    let outers_each = (TASK_BYTES / chunk_bytes).clamp(1, outers);
    let chunks_each = (TASK_BYTES / (chunk_bytes * outers_each)).clamp(1, chunks);
    let parts = outers.div_ceil(outers_each);
    // SAFETY: the caller's promise.
    with_width!(width, T => unsafe {
        let (from, to) = (Shared::read_only(indexed.cast::<T>()), Shared::new(plain.cast::<T>()));
        let contiguous = inner.is_empty() || (inner.len() == 1 && inner[0].strides == [1, 1]);
        let body = |task: usize| {
            let (group, part) = (task / parts, task % parts);
            let mut buffer = [[0; 2]; CHUNK];
            for chunk in group * chunks_each..(group * chunks_each + chunks_each).min(chunks) {
                let offsets = index.offsets(chunk * CHUNK, count, &mut buffer);
                let mut walk = Walk::at(&outer, part * outers_each);
                for _ in part * outers_each..(part * outers_each + outers_each).min(outers) {
                    let (from, to) = (from.get().wrapping_offset(walk.at[1]), to.get().wrapping_offset(walk.at[0]));
                    for &[source, target] in offsets {
                        let (source, target) = (from.wrapping_offset(source), to.wrapping_offset(target));
                        if block == 1 {
                            target.write(source.read());
                        } else if contiguous {
                            copy_row(source.cast(), target.cast(), block * size_of::<T>());
                        } else {
                            small(source, target, &inner);
                        }
                    }
                    walk.step();
                }
            }
        };
        for_tasks(chunks.div_ceil(chunks_each) * parts, &body);
    })
}

/// The slice's dimensions ([plain, indexed] strides): those outside the index in `plain`'s memory, and those inside.
fn split_slice(index: &Advanced) -> (Dims<2>, Dims<2>) {
    let dims = plan(index.slice_shape, [index.plain_slice_strides, index.slice_strides]);
    let innermost = index.index_shape.iter().zip(index.plain_index_strides).filter(|&(&size, _)| size > 1);
    let step = innermost.map(|(_, s)| s.unsigned_abs()).min().unwrap_or(usize::MAX);
    let at = dims.iter().position(|d| d.strides[0].unsigned_abs() <= step).unwrap_or(dims.len());
    (dims[..at].into(), dims[at..].into())
}

/// `indexed[index] (=, +=, ...) plain`. Where indices repeat, updates are applied in row-major order of the index: the last
/// one wins for `Assign`. A single value is a `plain` with strides of 0.
///
/// # Safety
/// As for [`index_get`], with `indexed` written and `plain` read.
///
/// # Panics
/// If `reduce` is not `Assign` and the dtype has no arithmetic.
pub unsafe fn index_put(dtype: DType, reduce: Reduce, index: &Advanced, indexed: *mut u8, plain: *const u8) {
    // SAFETY: the caller's promise.
    unsafe {
        match reduce {
            Reduce::Assign => with_width!(dtype.size_bytes(), T => put(index, indexed.cast::<T>(), plain.cast::<T>(), |_, new| new)),
            Reduce::Add => with_number!(dtype, T => put(index, indexed.cast::<T>(), plain.cast::<T>(), T::add_)),
            _ => with_number!(dtype, T => put(index, indexed.cast::<T>(), plain.cast::<T>(), |old, new| reduce.apply(old, new))),
        }
    }
}

unsafe fn put<T: Copy>(index: &Advanced, indexed: *mut T, plain: *const T, update: impl Fn(T, T) -> T + Sync) {
    let count: usize = index.index_shape.iter().product();
    let slice: usize = index.slice_shape.iter().product();
    if count == 0 || slice == 0 {
        return;
    }
    // Slices are independent of each other; inside one, the index is followed in order.
    let dims = plan(index.slice_shape, [index.slice_strides, index.plain_slice_strides]);
    let one = Dim { size: 1, strides: [0; 2] };
    let (&row, outer) = dims.split_last().unwrap_or((&one, &[]));
    let bytes = count * size_of::<T>();
    let piece = row.size.min((TASK_BYTES / bytes).max(32));
    let pieces = row.size.div_ceil(piece);
    let total = slice / row.size * pieces;
    let grain = (TASK_BYTES / (piece * bytes)).clamp(1, total);
    let (to, from) = (Shared::new(indexed), Shared::read_only(plain));
    let body = |task: usize| {
        let mut buffer = [[0; 2]; CHUNK];
        for at in task * grain..(task * grain + grain).min(total) {
            let walk = Walk::at(outer, at / pieces);
            let start = at % pieces * piece;
            let n = piece.min(row.size - start) as isize;
            let first = [0, 1].map(|k| walk.at[k] + start as isize * row.strides[k]);
            for chunk in (0..count).step_by(CHUNK) {
                // SAFETY: the caller's promise.
                let offsets = unsafe { index.offsets(chunk, count, &mut buffer) };
                for &[target, source] in offsets {
                    let target = to.get().wrapping_offset(first[0] + target);
                    let source = from.get().wrapping_offset(first[1] + source);
                    for j in 0..n {
                        // SAFETY: the caller's promise; an element belongs to one slice, so to one task.
                        unsafe {
                            let place = target.wrapping_offset(j * row.strides[0]);
                            place.write(update(place.read(), source.wrapping_offset(j * row.strides[1]).read()));
                        }
                    }
                }
            }
        }
    };
    for_tasks(total.div_ceil(grain), &body);
}

/// Which half of a matrix [`triangle`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    Upper,
    Lower,
}

/// `dst = src` on and above (below) the diagonal that is `diagonal` to the right of the main one, 0 elsewhere, for contiguous
/// `batch x rows x columns`: `triu` and `tril`. `dst` may be `src` exactly.
///
/// # Safety
/// Both arrays are as stated.
pub unsafe fn triangle(width: usize, half: Half, diagonal: i64, batch: usize, rows: usize, columns: usize, src: *const u8, dst: *mut u8) {
    let total = batch * rows;
    if total * columns == 0 {
        return;
    }
    let (src, dst) = (Shared::read_only(src), Shared::new(dst));
    let grain = (TASK_BYTES / (columns * width)).max(1);
    let body = |task: usize| {
        for at in task * grain..(task * grain + grain).min(total) {
            let row = (at % rows) as i64;
            let first = row.saturating_add(diagonal).saturating_add((half == Half::Lower) as i64).clamp(0, columns as i64) as usize;
            let kept = if half == Half::Upper { first..columns } else { 0..first };
            let cleared = if half == Half::Upper { 0..first } else { first..columns };
            let start = at * columns * width;
            // SAFETY: the caller's promise; parts of one row.
            unsafe {
                let (from, to) = (src.get().add(start), dst.get().add(start));
                if !std::ptr::eq(from, to) {
                    std::ptr::copy(from.add(kept.start * width), to.add(kept.start * width), kept.len() * width);
                }
                std::ptr::write_bytes(to.add(cleared.start * width), 0, cleared.len() * width);
            }
        }
    };
    for_tasks(total.div_ceil(grain), &body);
}

/// `dst[k, c] = (c == index[k])` for contiguous int64 `dst` of `index.len() x classes`.
///
/// # Safety
/// `dst` has room; every index is below `classes`.
pub unsafe fn one_hot(index: &[i64], classes: usize, dst: *mut i64) {
    // SAFETY: the caller's promise.
    unsafe {
        zero(dst.cast(), index.len() * classes * 8);
        for (k, &i) in index.iter().enumerate() {
            dst.add(k * classes + i as usize).write(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Random(u64);
    impl Random {
        fn below(&mut self, n: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            ((self.0 >> 20) % n as u64) as usize
        }
        fn indices(&mut self, len: usize, size: usize) -> Vec<i64> {
            (0..len).map(|_| self.below(size) as i64).collect()
        }
        fn floats(&mut self, len: usize) -> Vec<f32> {
            (0..len).map(|_| self.below(17) as f32 - 8.0).collect()
        }
    }

    fn row_major(shape: &[usize]) -> Vec<isize> {
        let mut strides = vec![1isize; shape.len()];
        for k in (1..shape.len()).rev() {
            strides[k - 1] = strides[k] * shape[k] as isize;
        }
        strides
    }

    fn coordinates(shape: &[usize]) -> Vec<Vec<usize>> {
        let mut all = vec![vec![]];
        for &size in shape {
            all = all.iter().flat_map(|c: &Vec<usize>| (0..size).map(move |i| [c.clone(), vec![i]].concat())).collect();
        }
        all
    }

    fn offset(at: &[usize], strides: &[isize]) -> usize {
        at.iter().zip(strides).map(|(&i, &s)| i as isize * s).sum::<isize>() as usize
    }

    #[test]
    fn bad_indices_are_found_with_their_positions() {
        assert_eq!(check_indices(&[0, 1, 2], 3), None);
        assert_eq!(check_indices(&[0, -1, 3], 3), Some((1, -1)));
        assert_eq!(check_indices(&[], 0), None);
        assert_eq!(check_indices(&[0], 0), Some((0, 0)));
        let mut long = vec![4; 1000];
        long[777] = 5;
        assert_eq!(check_indices(&long, 5), Some((777, 5)));
        assert_eq!(check_wrapping_indices(&[-3, 2], 3), None);
        assert_eq!(check_wrapping_indices(&[-3, 3, -4], 3), Some((1, 3)));
        assert_eq!(check_wrapping_indices(&[i64::MIN], 3), Some((0, i64::MIN)));
        assert_eq!(check_wrapping_indices(&[i64::MAX], 3), Some((0, i64::MAX)));
    }

    #[test]
    fn index_select_copies_rows_of_every_width() {
        let mut random = Random(3);
        for (outer, size, inner, count) in [(1, 10, 1, 7), (3, 5, 4, 9), (2, 1000, 64, 5000), (1, 3, 0, 2), (2, 3, 5, 0), (4, 7, 3, 1)] {
            let src: Vec<u16> = (0..outer * size * inner).map(|i| i as u16).collect();
            let index = random.indices(count, size);
            let mut dst = vec![0u16; outer * count * inner];
            let bytes = (inner * 2) as isize;
            // SAFETY: the vectors are as large as stated.
            unsafe { index_select(src.as_ptr().cast(), outer, size as isize * bytes, bytes, inner * 2, &index, dst.as_mut_ptr().cast()) };
            for at in coordinates(&[outer, count, inner]) {
                let from = (at[0] * size + index[at[1]] as usize) * inner + at[2];
                assert_eq!(dst[offset(&at, &row_major(&[outer, count, inner]))], src[from]);
            }
        }
    }

    #[test]
    fn gather_and_scatter_follow_their_definitions_in_every_dimension() {
        let mut random = Random(5);
        for (index_shape, other) in
            [(vec![4, 5, 3], vec![6, 5, 8]), (vec![7], vec![9]), (vec![], vec![]), (vec![2, 0], vec![3, 4]), (vec![300, 70], vec![310, 90])]
        {
            for dim in 0..index_shape.len().max(1) {
                let mut shape = other.clone();
                if dim < shape.len() {
                    shape[dim] = 4;
                }
                let n: usize = index_shape.iter().product();
                let index = random.indices(n, if shape.is_empty() { 1 } else { 4 });
                // The index lies transposed in memory.
                let mut index_strides = vec![1isize; index_shape.len()];
                for k in 1..index_shape.len() {
                    index_strides[k] = index_strides[k - 1] * index_shape[k - 1] as isize;
                }
                let table = random.floats(shape.iter().product::<usize>().max(1));
                let strides = row_major(&shape);
                let out_strides = row_major(&index_shape);
                let place = |at: &[usize]| {
                    let mut to = at.to_vec();
                    if let Some(i) = to.get_mut(dim) {
                        *i = index[offset(at, &index_strides)] as usize;
                    }
                    offset(&to, &strides)
                };
                let mut dst = vec![0f32; n];
                // SAFETY: shapes and strides are those of the vectors.
                let which = unsafe { Src::new(index.as_ptr(), &index_shape, &index_strides) };
                // SAFETY: as above.
                unsafe { gather(4, table.as_ptr().cast(), &strides, dim, which, dst.as_mut_ptr().cast(), &out_strides) };
                for at in coordinates(&index_shape) {
                    assert_eq!(dst[offset(&at, &out_strides)], table[place(&at)]);
                }
                let src = random.floats(n);
                for reduce in [Reduce::Assign, Reduce::Add, Reduce::Multiply, Reduce::Maximum, Reduce::Minimum] {
                    let (mut result, mut expected) = (table.clone(), table.clone());
                    for at in coordinates(&index_shape) {
                        let (old, new) = (expected[place(&at)], src[offset(&at, &out_strides)]);
                        expected[place(&at)] = match reduce {
                            Reduce::Assign => new,
                            Reduce::Add => old + new,
                            Reduce::Multiply => old * new,
                            Reduce::Maximum => old.max(new),
                            Reduce::Minimum => old.min(new),
                        };
                    }
                    // SAFETY: as above.
                    unsafe {
                        scatter(DType::F32, reduce, dim, which, src.as_ptr().cast(), &out_strides, result.as_mut_ptr().cast(), &strides)
                    };
                    assert_eq!(result, expected, "{reduce:?} {index_shape:?} {dim}");
                }
            }
        }
    }

    #[test]
    fn row_updates_meet_in_the_order_of_the_index() {
        let mut random = Random(9);
        for (outer, size, inner, count) in
            [(1, 7, 3, 20), (3, 5, 1, 4), (1, 40, 300, 2000), (2, 1000, 4, 90_000), (1, 2, 1, 0), (1, 3, 700, 600)]
        {
            let index = random.indices(count, size);
            let src = random.floats(outer * count * inner);
            let start = random.floats(outer * size * inner);
            for (reduce, alpha, skip) in
                [(Reduce::Assign, None, None), (Reduce::Add, None, Some(1)), (Reduce::Add, Some(3f32), None), (Reduce::Maximum, None, None)]
            {
                let (mut result, mut expected) = (start.clone(), start.clone());
                for o in 0..outer {
                    for (k, &i) in index.iter().enumerate().filter(|&(_, &i)| Some(i) != skip) {
                        for j in 0..inner {
                            let (old, new) = (&mut expected[(o * size + i as usize) * inner + j], src[(o * count + k) * inner + j]);
                            *old = match reduce {
                                Reduce::Assign => new,
                                Reduce::Add => *old + alpha.unwrap_or(1.0) * new,
                                _ => old.max(new),
                            };
                        }
                    }
                }
                let alpha = alpha.as_ref().map(|a: &f32| (&raw const *a).cast::<u8>());
                // SAFETY: the vectors are as large as stated.
                unsafe {
                    index_update(
                        DType::F32,
                        reduce,
                        alpha,
                        outer,
                        size,
                        inner,
                        &index,
                        skip,
                        src.as_ptr().cast(),
                        result.as_mut_ptr().cast(),
                    )
                };
                assert!(result == expected, "{reduce:?} {outer} {size} {inner} {count}");
            }
        }
    }

    #[test]
    fn embedding_gradients_skip_padding_and_scale_by_frequency() {
        let (index, dy) = ([2i64, 0, 2, 1], [1f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
        let mut dweight = [9f32; 6];
        // SAFETY: 4 x 2 and 3 x 2 elements.
        unsafe { embedding_backward(DType::F32, dy.as_ptr().cast(), &index, Some(1), false, 3, 2, dweight.as_mut_ptr().cast()) };
        assert_eq!(dweight, [3.0, 4.0, 0.0, 0.0, 6.0, 8.0]);
        // SAFETY: as above.
        unsafe { embedding_backward(DType::F32, dy.as_ptr().cast(), &index, None, true, 3, 2, dweight.as_mut_ptr().cast()) };
        assert_eq!(dweight, [3.0, 4.0, 7.0, 8.0, 3.0, 4.0]);
    }

    #[test]
    fn masks_select_scatter_fill_and_count() {
        let mut random = Random(13);
        for n in [0, 1, 7, 8, 1000, 3 * MASK_BLOCK + 5] {
            let mask: Vec<u8> = (0..n).map(|_| (random.below(3) == 0) as u8).collect();
            let src: Vec<u64> = (0..n as u64).collect();
            // SAFETY: `n` bytes.
            let plan = unsafe { MaskPlan::new(mask.as_ptr(), n) };
            let expected: Vec<u64> = (0..n as u64).filter(|&i| mask[i as usize] != 0).collect();
            assert_eq!(plan.total(), expected.len());
            let mut chosen = vec![0u64; plan.total()];
            // SAFETY: sizes as stated.
            unsafe { masked_select(8, src.as_ptr().cast(), mask.as_ptr(), &plan, chosen.as_mut_ptr().cast()) };
            assert_eq!(chosen, expected);
            let mut places = vec![0i64; plan.total()];
            // SAFETY: one coordinate each.
            unsafe { nonzero(mask.as_ptr(), &[n], &plan, places.as_mut_ptr()) };
            assert!(places.iter().zip(&expected).all(|(&a, &b)| a as u64 == b));
            let mut back = vec![u64::MAX; n];
            // SAFETY: sizes as stated.
            unsafe { masked_scatter(8, chosen.as_ptr().cast(), mask.as_ptr(), &plan, back.as_mut_ptr().cast()) };
            assert!((0..n).all(|i| back[i] == if mask[i] != 0 { i as u64 } else { u64::MAX }));
            let mut filled = src.clone();
            let ptr = filled.as_mut_ptr().cast::<u8>();
            // SAFETY: in place, `n` elements.
            unsafe { masked_fill(8, ptr, &[1], mask.as_ptr(), &[1], (&raw const n).cast(), ptr, &[1], &[n]) };
            assert!((0..n).all(|i| filled[i] == if mask[i] != 0 { n as u64 } else { i as u64 }));
        }
        let mask = [1u8, 0, 0, 1, 1, 0];
        // SAFETY: six bytes, two coordinates each.
        let places = unsafe {
            let mut places = vec![0i64; 6];
            nonzero(mask.as_ptr(), &[2, 3], &MaskPlan::new(mask.as_ptr(), 6), places.as_mut_ptr());
            places
        };
        assert_eq!(places, [0, 0, 1, 0, 1, 1]);
        let (src, mut dst) = ([1u8, 2, 3, 4, 5, 6], [0u8; 6]);
        // A transposed source and a mask that is broadcast along rows.
        // SAFETY: strides stay inside six elements.
        unsafe { masked_fill(1, src.as_ptr(), &[1, 3], [1u8, 0].as_ptr(), &[0, 1], &9u8, dst.as_mut_ptr(), &[2, 1], &[3, 2]) };
        assert_eq!(dst, [9, 4, 9, 5, 9, 6]);
    }

    #[test]
    fn advanced_indexing_reads_and_writes_any_layout() {
        let mut random = Random(17);
        // indexed of 5 x 6 x 7, index arrays on two of its dimensions, the third is the slice.
        let shape = [5usize, 6, 7];
        let table = random.floats(210);
        for slice_dim in 0..3 {
            for (rows, columns) in [(3usize, 4usize), (1, 1), (60, 500), (0, 2)] {
                let strides = row_major(&shape);
                let dims: Vec<usize> = (0..3).filter(|&k| k != slice_dim).collect();
                // One array varies along rows only, the other along both.
                let a: Vec<i64> = (0..rows).map(|_| random.below(2 * shape[dims[0]]) as i64 - shape[dims[0]] as i64).collect();
                let b: Vec<i64> = (0..rows * columns).map(|_| random.below(shape[dims[1]]) as i64).collect();
                let full = [columns as isize, 1];
                let arrays = [
                    IndexArray { ptr: a.as_ptr(), strides: &[1, 0], size: shape[dims[0]], stride: strides[dims[0]] },
                    IndexArray { ptr: b.as_ptr(), strides: &full, size: shape[dims[1]], stride: strides[dims[1]] },
                ];
                let slice = shape[slice_dim];
                for slice_first in [false, true] {
                    let area = rows * columns;
                    let (index_strides, slice_strides) = if slice_first {
                        ([columns as isize, 1], [area as isize])
                    } else {
                        ([(columns * slice) as isize, slice as isize], [1])
                    };
                    let index = Advanced {
                        arrays: &arrays,
                        index_shape: &[rows, columns],
                        slice_shape: &[slice],
                        slice_strides: &[strides[slice_dim]],
                        plain_index_strides: &index_strides,
                        plain_slice_strides: &slice_strides,
                    };
                    // SAFETY: the arrays hold `rows` and `rows * columns` indices.
                    assert_eq!(unsafe { index.check() }, None);
                    let mut plain = vec![0f32; area * slice];
                    // SAFETY: checked above.
                    unsafe { index_get(4, &index, table.as_ptr().cast(), plain.as_mut_ptr().cast()) };
                    let pairs: Vec<(usize, usize)> = coordinates(&[rows, columns, slice])
                        .iter()
                        .map(|at| {
                            let wrapped = a[at[0]].rem_euclid(shape[dims[0]] as i64) as usize;
                            let mut from = [0; 3];
                            (from[dims[0]], from[dims[1]], from[slice_dim]) = (wrapped, b[at[0] * columns + at[1]] as usize, at[2]);
                            (offset(&from, &strides), offset(&at[..2], &index_strides) + offset(&at[2..], &slice_strides))
                        })
                        .collect();
                    assert!(pairs.iter().all(|&(i, p)| plain[p] == table[i]));
                    let values = random.floats(area * slice);
                    for reduce in [Reduce::Assign, Reduce::Add] {
                        let (mut result, mut expected) = (table.clone(), table.clone());
                        for &(i, p) in &pairs {
                            expected[i] = if reduce == Reduce::Add { expected[i] + values[p] } else { values[p] };
                        }
                        // SAFETY: checked above.
                        unsafe { index_put(DType::F32, reduce, &index, result.as_mut_ptr().cast(), values.as_ptr().cast()) };
                        assert_eq!(result, expected, "{reduce:?} {slice_dim} {rows} {slice_first}");
                    }
                }
            }
        }
        let bad = [0i64, -7];
        let arrays = [IndexArray { ptr: bad.as_ptr(), strides: &[1], size: 6, stride: 1 }];
        let index = Advanced {
            arrays: &arrays,
            index_shape: &[2],
            slice_shape: &[],
            slice_strides: &[],
            plain_index_strides: &[1],
            plain_slice_strides: &[],
        };
        // SAFETY: two indices.
        assert_eq!(unsafe { index.check() }, Some((0, 1, -7)));
    }

    #[test]
    fn long_lists_of_single_elements_are_put_in_order() {
        let mut random = Random(23);
        let (n, size) = (100_000, 1000);
        let list = random.indices(n, size);
        let values: Vec<i64> = (0..n as i64).collect();
        let arrays = [IndexArray { ptr: list.as_ptr(), strides: &[1], size, stride: 1 }];
        let shape = [n];
        let index = Advanced {
            arrays: &arrays,
            index_shape: &shape,
            slice_shape: &[],
            slice_strides: &[],
            plain_index_strides: &[1],
            plain_slice_strides: &[],
        };
        for reduce in [Reduce::Assign, Reduce::Add] {
            let (mut result, mut expected) = (vec![0i64; size], vec![0i64; size]);
            for (&i, &v) in list.iter().zip(&values) {
                expected[i as usize] = if reduce == Reduce::Add { expected[i as usize] + v } else { v };
            }
            // SAFETY: every index is below `size`.
            unsafe { index_put(DType::I64, reduce, &index, result.as_mut_ptr().cast(), values.as_ptr().cast()) };
            assert_eq!(result, expected);
        }
    }

    #[test]
    fn triangles_keep_their_side_of_the_diagonal() {
        for (batch, rows, columns) in [(1, 3, 3), (2, 4, 7), (3, 5, 2), (1, 300, 200), (0, 3, 3), (2, 0, 3), (1, 2, 0)] {
            let src: Vec<u32> = (1..=(batch * rows * columns) as u32).collect();
            for diagonal in [-9, -1, 0, 1, 2, 9, i64::MIN, i64::MAX] {
                for half in [Half::Upper, Half::Lower] {
                    let mut dst = vec![7u32; src.len()];
                    // SAFETY: sizes as stated.
                    unsafe { triangle(4, half, diagonal, batch, rows, columns, src.as_ptr().cast(), dst.as_mut_ptr().cast()) };
                    for (i, &x) in dst.iter().enumerate() {
                        let distance = (i % columns) as i128 - (i / columns % rows) as i128;
                        let keep = if half == Half::Upper { distance >= diagonal as i128 } else { distance <= diagonal as i128 };
                        assert_eq!(x, if keep { src[i] } else { 0 }, "{half:?} {diagonal}");
                    }
                }
            }
        }
    }

    #[test]
    fn one_hot_sets_one_per_row() {
        let mut dst = [5i64; 6];
        // SAFETY: 2 x 3 places.
        unsafe { one_hot(&[2, 0], 3, dst.as_mut_ptr()) };
        assert_eq!(dst, [0, 0, 1, 1, 0, 0]);
    }

    #[test]
    fn maxima_and_minima_keep_nan() {
        assert!(Accumulate::maximum(f32::NAN, 1.0).is_nan() && Accumulate::maximum(1.0, f32::NAN).is_nan());
        assert!(Accumulate::minimum(f64::NAN, 1.0).is_nan() && Accumulate::minimum(1.0, f64::NAN).is_nan());
    }
}
