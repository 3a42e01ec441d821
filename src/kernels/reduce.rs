//! Reductions over any dimensions of a strided array, and scans along one.
//!
//! The dimensions are sorted by stride and merged, so that every reduction becomes one of two loops: along contiguous *lines*
//! (the innermost dimension is reduced) or down *columns* (it is kept; lanes lie across it). 16-bit floats are computed in
//! f32 and rounded once, integers and bool in i64. Sums use a tree that depends on sizes and strides only: 8 vectors of
//! partial sums within a block of 2048, blocks pairwise; columns by groups of 8 rows, 512 rows in sequence at most, parts pairwise.
//! Error of an f32 sum of 2^22 uniform numbers against f64: below 2e-7 relative.

use crate::copy::Shared;
use crate::interrupt;
use crate::level::dispatch;
use crate::memory::{Dst, Src};
use crate::parallel::par_for;
use crate::wide::{MAX_LANES, Narrow, Wide, Widen, gather, load, load_some, scatter, store};
use fearless_simd::{Select, Simd, SimdBase, SimdMask};
use smallvec::SmallVec;

/// Elements that one line kernel sums before partial sums go pairwise.
const BLOCK: usize = 2048;
/// Rows that one column kernel folds in sequence (by groups of 8).
const ROWS: usize = 512;
/// Lines of so many bytes together hardly come from the first caches: they are read side by side.
const STREAMED_BYTES: usize = 1 << 17;
/// Lines of up to so many blocks are folded together.
const BLOCKS: usize = 4;
/// Lines of one kernel call.
const LINES: usize = 512;
/// Columns of one tile: their partial results stay in the first-level cache.
const TILE: usize = 1024;
/// Elements worth a chunk of a parallel loop: some 10 µs.
const GRAIN: usize = 1 << 16;
/// Partial results held at once: of what is expanded there would be more than fit into any memory. Tests see to it that there
/// are more.
const HELD: usize = if cfg!(test) { 1 << 12 } else { 1 << 22 };

/// How values are folded into one. The identity (result over nothing) in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    /// Σ x (0)
    Sum,
    /// Σ x² (0)
    SumSquares,
    /// Σ |x| (0)
    SumAbs,
    /// Π x (1)
    Product,
    /// The greatest, NaN if there is one (the lowest value).
    Max,
    /// The least, NaN if there is one (the highest value).
    Min,
    /// max |x|, NaN if there is one (0).
    MaxAbs,
    /// 1 if any is not 0, else 0 (0).
    Any,
    /// 1 if all are not 0, else 0 (1).
    All,
}

/// What happens to a folded value before it is rounded to the output type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Finish {
    Plain,
    /// Divided by this, as a mean is.
    Over(f64),
    /// Divided by this, then the square root.
    OverRoot(f64),
}

impl Finish {
    #[inline(always)]
    fn apply<L: Wide>(self, value: L) -> L {
        match self {
            Finish::Plain => value,
            Finish::Over(divisor) => value.over(divisor),
            Finish::OverRoot(divisor) => value.over(divisor).root(),
        }
    }
}

/// Folds `x` over `dims`: `out[kept dims] = finish(fold(x))`, the kept dimensions in `x`'s order, `out` contiguous (of any
/// shape with that many elements: a kept size of 1 makes no difference). Same bits for any number of threads.
///
/// Preconditions: `dims` are distinct and below `x.shape.len()`; `Max`/`Min` over nothing give infinities (the extreme
/// integers), which callers refuse beforehand.
pub fn reduce<T: Widen, O: Narrow<T::Wide>>(fold: Fold, x: Src<T>, dims: &[usize], finish: Finish, out: Dst<O>) {
    run(Kernels::of(fold), x, dims, None, finish, out)
}

/// Small contiguous arrays reduced over leading or trailing dimensions: one kernel call, no plan. Returns whether it was one.
#[inline]
fn quick<T: Widen, O: Narrow<T::Wide>>(
    kernels: &Kernels<T::Wide>,
    x: &Src<T>,
    dims: &[usize],
    centres: *const T::Wide,
    finish: Finish,
    out: &Dst<O>,
) -> bool {
    let rank = x.shape.len();
    let Some(&first) = dims.first() else { return false };
    if !T::SAME || !dims.iter().enumerate().all(|(i, &d)| d == first + i) || !x.is_contiguous() {
        return false;
    }
    let last = first + dims.len();
    let depth: usize = x.shape[first..last].iter().product();
    debug_assert!(out.is_contiguous());
    // SAFETY: `x` and `out` vouch for their memory; `totals` has room for the rounded-up width, and for `LINES`.
    unsafe {
        if last == rank && depth <= BLOCK && depth > 0 {
            let count: usize = x.shape[..first].iter().product();
            if count * depth > GRAIN {
                return false;
            }
            let mut totals = [std::mem::MaybeUninit::<T::Wide>::uninit(); LINES];
            let totals = totals.as_mut_ptr().cast::<T::Wide>();
            for start in (0..count).step_by(LINES) {
                let n = (count - start).min(LINES);
                let x = x.ptr.cast::<T::Wide>().add(start * depth);
                let centres = if centres.is_null() { centres } else { centres.add(start) };
                (kernels.lines)(x, depth as isize, n, depth, centres, totals);
                finish_all(finish, std::slice::from_raw_parts_mut(totals, n));
                scatter(totals, n, out.ptr.add(start), 1);
            }
            return true;
        }
        if first == 0 && depth <= ROWS && depth > 0 {
            let width: usize = x.shape[last..].iter().product();
            if width > TILE || width * depth > GRAIN {
                return false;
            }
            let mut totals = [std::mem::MaybeUninit::<T::Wide>::uninit(); TILE + MAX_LANES];
            let totals = totals.as_mut_ptr().cast::<T::Wide>();
            (kernels.columns)(x.ptr.cast(), width as isize, depth, width, centres, false, totals);
            finish_all(finish, std::slice::from_raw_parts_mut(totals, width));
            scatter(totals, width, out.ptr, 1);
            return true;
        }
    }
    false
}

#[inline(always)]
fn finish_all<L: Wide>(finish: Finish, totals: &mut [L]) {
    if finish != Finish::Plain {
        totals.iter_mut().for_each(|total| *total = finish.apply(*total));
    }
}

/// Sums a gradient back to the shape it was broadcast from: `out` has `x`'s shape, but for leading dimensions that it lacks and
/// sizes of 1 where `x` has more. `out` is contiguous. Preconditions: the shapes are so related.
pub fn sum_to<T: Widen + Narrow<T::Wide>>(x: Src<T>, out: Dst<T>) {
    debug_assert!(out.shape.len() <= x.shape.len());
    let lead = x.shape.len() - out.shape.len();
    let dims: SmallVec<[usize; 8]> = (0..x.shape.len()).filter(|&d| d < lead || (out.shape[d - lead] == 1 && x.shape[d] != 1)).collect();
    debug_assert!((lead..x.shape.len()).all(|d| out.shape[d - lead] == x.shape[d] || out.shape[d - lead] == 1));
    reduce(Fold::Sum, x, &dims, Finish::Plain, out)
}

/// Variance over `dims`, `Σ (x - mean)² / max(0, n - correction)`, its square root if `root`, and the mean; two passes. `out` and
/// `mean_out` are contiguous in the order of the kept dimensions. NaN where the divisor is 0 and so is the sum.
pub fn variance<T: Widen + Narrow<T::Wide>>(x: Src<T>, dims: &[usize], correction: f64, root: bool, out: Dst<T>, mean_out: Option<Dst<T>>) {
    let n: usize = dims.iter().map(|&d| x.shape[d]).product();
    let count = out.len();
    let mut means: Vec<T::Wide> = Vec::with_capacity(count);
    // SAFETY: the vector has room for `count` elements.
    unsafe {
        mean_of(x, dims, means.as_mut_ptr(), count);
        if let Some(mean_out) = mean_out {
            debug_assert!(mean_out.is_contiguous() && mean_out.len() == count);
            scatter(means.as_ptr(), count, mean_out.ptr, 1);
        }
    }
    let divisor = (n as f64 - correction).max(0.0);
    let finish = if root { Finish::OverRoot(divisor) } else { Finish::Over(divisor) };
    run(Kernels::named::<SumSquaredDistances, Sum>(), x, dims, Some(means.as_ptr()), finish, out)
}

/// Sums of squared distances over `dims` from a centre per output, unrounded.
///
/// # Safety
/// `centres` and `out` have as many elements as the kept dimensions.
pub(crate) unsafe fn squared_distances<T: Widen>(x: Src<T>, dims: &[usize], centres: *const T::Wide, out: *mut T::Wide) {
    let count = (0..x.shape.len()).filter(|d| !dims.contains(d)).map(|d| x.shape[d]).product();
    // SAFETY: the caller's promise.
    let out = unsafe { Dst::new(out, std::slice::from_ref(&count), &[1]) };
    run(Kernels::named::<SumSquaredDistances, Sum>(), x, dims, Some(centres), Finish::Plain, out);
}

/// # Safety
/// `mean` has `count` elements, as many as the kept dimensions.
unsafe fn mean_of<T: Widen>(x: Src<T>, dims: &[usize], mean: *mut T::Wide, count: usize) {
    let n: usize = dims.iter().map(|&d| x.shape[d]).product();
    // SAFETY: the caller's promise.
    let out = unsafe { Dst::new(mean, std::slice::from_ref(&count), &[1]) };
    run(Kernels::of(Fold::Sum), x, dims, None, Finish::Over(n as f64), out)
}

/// The map and the join of a fold, on vectors and numbers. `c` is the output's centre, 0 but for squared distances.
trait Op: 'static {
    /// Of `join`.
    fn identity<L: Wide>() -> L;
    /// Maps to the identity.
    #[inline(always)]
    fn pad<L: Wide>(_c: L) -> L {
        Self::identity()
    }
    #[inline(always)]
    fn map<L: Wide, S: Simd>(_simd: S, x: L::V<S>, _c: L::V<S>) -> L::V<S> {
        x
    }
    fn join<L: Wide, S: Simd>(a: L::V<S>, b: L::V<S>) -> L::V<S>;
    fn join_two<L: Wide>(a: L, b: L) -> L;
}

struct Sum;
impl Op for Sum {
    #[inline(always)]
    fn identity<L: Wide>() -> L {
        L::ZERO
    }
    #[inline(always)]
    fn join<L: Wide, S: Simd>(a: L::V<S>, b: L::V<S>) -> L::V<S> {
        a + b
    }
    #[inline(always)]
    fn join_two<L: Wide>(a: L, b: L) -> L {
        a.plus(b)
    }
}

/// Folds that map first and then join as another fold does.
macro_rules! mapped {
    ($name:ident joins as $join:ident, |$simd:ident, $x:ident, $c:ident| $map:expr, |$pad:ident| $pads:expr) => {
        struct $name;
        impl Op for $name {
            #[inline(always)]
            fn identity<L: Wide>() -> L {
                $join::identity()
            }
            #[inline(always)]
            #[allow(unused_variables)]
            fn pad<L: Wide>($pad: L) -> L {
                $pads
            }
            #[inline(always)]
            #[allow(unused_variables)]
            fn map<L: Wide, S: Simd>($simd: S, $x: L::V<S>, $c: L::V<S>) -> L::V<S> {
                $map
            }
            #[inline(always)]
            fn join<L: Wide, S: Simd>(a: L::V<S>, b: L::V<S>) -> L::V<S> {
                $join::join::<L, S>(a, b)
            }
            #[inline(always)]
            fn join_two<L: Wide>(a: L, b: L) -> L {
                $join::join_two(a, b)
            }
        }
    };
}

/// 1 where `x` is not 0.
#[inline(always)]
fn nonzero<L: Wide, S: Simd>(simd: S, x: L::V<S>) -> L::V<S> {
    x.simd_eq(L::ZERO).select(L::V::<S>::splat(simd, L::ZERO), L::V::<S>::splat(simd, L::ONE))
}

#[inline(always)]
fn absolute<L: Wide, S: Simd>(simd: S, x: L::V<S>) -> L::V<S> {
    // -0.0 stays: it adds nothing and no maximum can tell.
    x.simd_lt(L::ZERO).select(L::V::<S>::splat(simd, L::ZERO) - x, x)
}

mapped!(SumSquares joins as Sum, |simd, x, c| x * x, |c| L::ZERO);
mapped!(SumSquaredDistances joins as Sum, |simd, x, c| (x - c) * (x - c), |c| c);
mapped!(SumAbs joins as Sum, |simd, x, c| absolute::<L, S>(simd, x), |c| L::ZERO);
mapped!(MaxAbs joins as MaxFromZero, |simd, x, c| absolute::<L, S>(simd, x), |c| L::ZERO);
mapped!(Any joins as MaxFromZero, |simd, x, c| nonzero::<L, S>(simd, x), |c| L::ZERO);
mapped!(All joins as MinFromOne, |simd, x, c| nonzero::<L, S>(simd, x), |c| L::ONE);

struct Product;
impl Op for Product {
    #[inline(always)]
    fn identity<L: Wide>() -> L {
        L::ONE
    }
    #[inline(always)]
    fn join<L: Wide, S: Simd>(a: L::V<S>, b: L::V<S>) -> L::V<S> {
        a * b
    }
    #[inline(always)]
    fn join_two<L: Wide>(a: L, b: L) -> L {
        a.times(b)
    }
}

/// The one that is NaN, else the one that the comparison prefers.
macro_rules! extreme {
    ($name:ident, $identity:ident, $lanes:ident, $op:tt) => {
        struct $name;
        impl Op for $name {
            #[inline(always)]
            fn identity<L: Wide>() -> L {
                L::$identity
            }
            #[inline(always)]
            fn join<L: Wide, S: Simd>(a: L::V<S>, b: L::V<S>) -> L::V<S> {
                (a.$lanes(b) | a.simd_ne(a)).select(a, b)
            }
            #[inline(always)]
            #[allow(clippy::eq_op)]
            fn join_two<L: Wide>(a: L, b: L) -> L {
                if a $op b || a != a { a } else { b }
            }
        }
    };
}
extreme!(Max, LOWEST, simd_gt, >);
extreme!(Min, HIGHEST, simd_lt, <);
extreme!(MaxFromZero, ZERO, simd_gt, >);
extreme!(MinFromOne, ONE, simd_lt, <);

/// The two loops of a fold over a type.
#[derive(Clone, Copy)]
struct Kernels<L> {
    /// `out[i] = fold(x[i·stride ..][..n])` for `i < count`; `centre[i]`.
    lines: unsafe fn(x: *const L, stride: isize, count: usize, n: usize, centre: *const L, out: *mut L),
    /// `out[j] = fold over i < rows of x[i·stride + j]` for `j < k`, with `out[j]` before it if `go_on`; `centre[j]`. `out` has
    /// room for `k` rounded up to `MAX_LANES`: a vector stored in pieces would be slow to read back.
    columns: unsafe fn(x: *const L, stride: isize, rows: usize, k: usize, centre: *const L, go_on: bool, out: *mut L),
    /// The same for partial results, which are mapped already.
    join_lines: unsafe fn(x: *const L, stride: isize, count: usize, n: usize, centre: *const L, out: *mut L),
    join_columns: unsafe fn(x: *const L, stride: isize, rows: usize, k: usize, centre: *const L, go_on: bool, out: *mut L),
    join_two: fn(L, L) -> L,
    identity: L,
}

impl<L: Wide> Kernels<L> {
    fn named<O: Op, J: Op>() -> Self {
        Kernels {
            lines: lines::<L, O>,
            columns: columns::<L, O>,
            join_lines: lines::<L, J>,
            join_columns: columns::<L, J>,
            join_two: J::join_two::<L>,
            identity: O::identity(),
        }
    }

    fn of(fold: Fold) -> Self {
        match fold {
            Fold::Sum => Self::named::<Sum, Sum>(),
            Fold::SumSquares => Self::named::<SumSquares, Sum>(),
            Fold::SumAbs => Self::named::<SumAbs, Sum>(),
            Fold::Product => Self::named::<Product, Product>(),
            Fold::Max => Self::named::<Max, Max>(),
            Fold::Min => Self::named::<Min, Min>(),
            Fold::MaxAbs => Self::named::<MaxAbs, Max>(),
            Fold::Any => Self::named::<Any, Max>(),
            Fold::All => Self::named::<All, Min>(),
        }
    }
}

/// # Safety
/// The lines are readable and initialised, `count` elements at `out` writable, `count` at `centre` readable or it is null.
unsafe fn lines<L: Wide, O: Op>(x: *const L, stride: isize, count: usize, n: usize, centre: *const L, out: *mut L) {
    // SAFETY: the caller's promise.
    dispatch!(crate::level(), simd => unsafe {
        let mut i = 0;
        let len = lanes::<L, _>(simd);
        // Lines shorter than a vector: a lane each.
        while n < len && i + len <= count {
            short_lines::<L, O, _>(simd, x.offset(i as isize * stride), stride, n, centre.wrapping_add(i * !centre.is_null() as usize), out.add(i));
            i += len;
        }
        if n >= len && count * n * size_of::<L>() >= STREAMED_BYTES {
            // Four far-apart lines at a time: one stream of reads does not fill the memory bus.
            let apart = count / 4;
            while i < apart {
                four_lines::<L, O, _>(simd, x, stride, n, centre, out, std::array::from_fn(|l| i + l * apart));
                i += 1;
            }
            i = 4 * apart;
        }
        while i < count {
            let c = if centre.is_null() { L::ZERO } else { centre.add(i).read() };
            out.add(i).write(line::<L, O, _>(simd, x.offset(i as isize * stride), n, c));
            i += 1;
        }
    })
}

/// Vectors of partial results of a line.
const SUMS: usize = 8;

/// # Safety
/// `n` elements are readable and initialised.
#[inline(always)]
unsafe fn line<L: Wide, O: Op, S: Simd>(simd: S, x: *const L, n: usize, c: L) -> L {
    let step = SUMS * L::V::<S>::LEN;
    let centre = L::V::<S>::splat(simd, c);
    // SAFETY: all indices are below `n`.
    unsafe {
        if n < step {
            return line_end::<L, O, S>(simd, x, 0, n, c, None);
        }
        let mut sums = first_sums::<L, O, S>(simd, x, centre);
        let mut i = step;
        while i + step <= n {
            add_to_sums::<L, O, S>(simd, x.add(i), centre, &mut sums);
            i += step;
        }
        line_end::<L, O, S>(simd, x, i, n, c, Some(sums))
    }
}

#[inline(always)]
fn lanes<L: Wide, S: Simd>(_: S) -> usize {
    L::V::<S>::LEN
}

/// As many lines as a vector has lanes.
///
/// # Safety
/// As for [`lines`].
#[inline(always)]
unsafe fn short_lines<L: Wide, O: Op, S: Simd>(simd: S, x: *const L, stride: isize, n: usize, centre: *const L, out: *mut L) {
    // SAFETY: the caller's promise.
    unsafe {
        let zero = L::V::<S>::splat(simd, L::ZERO);
        let centre = if centre.is_null() { zero } else { load(simd, centre) };
        let mut total = L::V::<S>::splat(simd, O::identity());
        for j in 0..n {
            let mut v = zero;
            for (l, lane) in v.as_mut_slice().iter_mut().enumerate() {
                *lane = x.offset(l as isize * stride).add(j).read();
            }
            total = O::join::<L, S>(total, O::map::<L, S>(simd, v, centre));
        }
        store(total, out);
    }
}

/// Four of the lines side by side, each as [`line`] has it.
///
/// # Safety
/// As for [`lines`].
#[inline(always)]
unsafe fn four_lines<L: Wide, O: Op, S: Simd>(
    simd: S,
    x: *const L,
    stride: isize,
    n: usize,
    centre: *const L,
    out: *mut L,
    which: [usize; 4],
) {
    let step = SUMS * L::V::<S>::LEN;
    let (mut x, mut c) = ([x; 4], [L::ZERO; 4]);
    let mut centres = [L::V::<S>::splat(simd, L::ZERO); 4];
    // SAFETY: the caller's promise.
    unsafe {
        for l in 0..4 {
            x[l] = x[l].offset(which[l] as isize * stride);
            if !centre.is_null() {
                c[l] = centre.add(which[l]).read();
                centres[l] = L::V::<S>::splat(simd, c[l]);
            }
        }
        let mut sums = [[centres[0]; SUMS]; 4];
        let mut i = 0;
        if step <= n {
            for l in 0..4 {
                sums[l] = first_sums::<L, O, S>(simd, x[l], centres[l]);
            }
            i = step;
            while i + step <= n {
                for l in 0..4 {
                    add_to_sums::<L, O, S>(simd, x[l].add(i), centres[l], &mut sums[l]);
                }
                i += step;
            }
        }
        for l in 0..4 {
            out.add(which[l]).write(line_end::<L, O, S>(simd, x[l], i, n, c[l], (i > 0).then_some(sums[l])));
        }
    }
}

/// # Safety
/// `SUMS` vectors are readable.
#[inline(always)]
unsafe fn first_sums<L: Wide, O: Op, S: Simd>(simd: S, x: *const L, centre: L::V<S>) -> [L::V<S>; SUMS] {
    let mut sums = [centre; SUMS];
    for (k, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *sum = O::map::<L, S>(simd, unsafe { load(simd, x.add(k * L::V::<S>::LEN)) }, centre);
    }
    sums
}

/// # Safety
/// `SUMS` vectors are readable.
#[inline(always)]
unsafe fn add_to_sums<L: Wide, O: Op, S: Simd>(simd: S, x: *const L, centre: L::V<S>, sums: &mut [L::V<S>; SUMS]) {
    for (k, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        let v = O::map::<L, S>(simd, unsafe { load(simd, x.add(k * L::V::<S>::LEN)) }, centre);
        *sum = O::join::<L, S>(*sum, v);
    }
}

/// Joins the partial results of `..i`, if there are any, and the elements `i..n`.
///
/// # Safety
/// The elements are readable.
#[inline(always)]
unsafe fn line_end<L: Wide, O: Op, S: Simd>(simd: S, x: *const L, mut i: usize, n: usize, c: L, sums: Option<[L::V<S>; SUMS]>) -> L {
    let len = L::V::<S>::LEN;
    let centre = L::V::<S>::splat(simd, c);
    // SAFETY: all indices are below `n`; then `n - i < len` elements are left.
    unsafe {
        let mut sum = match sums {
            Some(sums) => halves::<L, O, S, SUMS>(sums),
            None if n >= len => {
                i = len;
                O::map::<L, S>(simd, load(simd, x), centre)
            }
            None => L::V::<S>::splat(simd, O::identity()),
        };
        while i + len <= n {
            sum = O::join::<L, S>(sum, O::map::<L, S>(simd, load(simd, x.add(i)), centre));
            i += len;
        }
        if i < n {
            let pad = L::V::<S>::splat(simd, O::pad(c));
            sum = O::join::<L, S>(sum, O::map::<L, S>(simd, load_some(simd, x.add(i), n - i, pad), centre));
        }
        across::<L, O, S>(sum)
    }
}

/// Folds the lanes of a vector, halves first.
#[inline(always)]
fn across<L: Wide, O: Op, S: Simd>(v: L::V<S>) -> L {
    let mut lanes = [L::ZERO; MAX_LANES];
    let mut half = L::V::<S>::LEN;
    lanes[..half].copy_from_slice(v.as_slice());
    while half > 1 {
        half /= 2;
        for i in 0..half {
            lanes[i] = O::join_two(lanes[i], lanes[i + half]);
        }
    }
    lanes[0]
}

/// # Safety
/// The rows are readable and initialised, `k` elements rounded up to `MAX_LANES` at `out` writable (and initialised if
/// `go_on`), `k` at `centre` readable or it is null.
unsafe fn columns<L: Wide, O: Op>(x: *const L, stride: isize, rows: usize, k: usize, centre: *const L, go_on: bool, out: *mut L) {
    // SAFETY: the caller's promise; the groups add up to `rows`.
    dispatch!(crate::level(), simd => unsafe {
        let mut go_on = go_on;
        let mut row = 0;
        let at = |row: usize| x.offset(row as isize * stride);
        while row + 8 <= rows {
            group::<L, O, _, 8>(simd, at(row), stride, k, centre, go_on, out);
            (row, go_on) = (row + 8, true);
        }
        if row + 4 <= rows {
            group::<L, O, _, 4>(simd, at(row), stride, k, centre, go_on, out);
            (row, go_on) = (row + 4, true);
        }
        if row + 2 <= rows {
            group::<L, O, _, 2>(simd, at(row), stride, k, centre, go_on, out);
            (row, go_on) = (row + 2, true);
        }
        if row < rows {
            group::<L, O, _, 1>(simd, at(row), stride, k, centre, go_on, out);
        }
    })
}

/// Folds `G` rows into `out`.
///
/// # Safety
/// As for [`columns`].
#[inline(always)]
unsafe fn group<L: Wide, O: Op, S: Simd, const G: usize>(
    simd: S,
    x: *const L,
    stride: isize,
    k: usize,
    centre: *const L,
    go_on: bool,
    out: *mut L,
) {
    let len = L::V::<S>::LEN;
    let zero = L::V::<S>::splat(simd, L::ZERO);
    // Filled in loops: `array::from_fn` is not always inlined, and then loses the SIMD level.
    let mut rows = [x; G];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = x.wrapping_offset(r as isize * stride);
    }
    let mut v = [zero; G];
    // SAFETY: the caller's promise; whole vectors while they fit, then the first `k - j` lanes.
    unsafe {
        let mut j = 0;
        while j + len <= k {
            let c = if centre.is_null() { zero } else { load(simd, centre.add(j)) };
            for r in 0..G {
                v[r] = O::map::<L, S>(simd, load(simd, rows[r].add(j)), c);
            }
            let mut sum = halves::<L, O, S, G>(v);
            if go_on {
                sum = O::join::<L, S>(load(simd, out.add(j)), sum);
            }
            store(sum, out.add(j));
            j += len;
        }
        if j < k {
            let n = k - j;
            let c = if centre.is_null() { zero } else { load_some(simd, centre.add(j), n, zero) };
            for r in 0..G {
                v[r] = O::map::<L, S>(simd, load_some(simd, rows[r].add(j), n, zero), c);
            }
            let mut sum = halves::<L, O, S, G>(v);
            if go_on {
                sum = O::join::<L, S>(load(simd, out.add(j)), sum);
            }
            store(sum, out.add(j));
        }
    }
}

/// Joins vectors, halves first; `G` is a power of 2.
#[inline(always)]
fn halves<L: Wide, O: Op, S: Simd, const G: usize>(mut v: [L::V<S>; G]) -> L::V<S> {
    let mut half = G / 2;
    while half > 0 {
        for i in 0..half {
            v[i] = O::join::<L, S>(v[i], v[i + half]);
        }
        half /= 2;
    }
    v[0]
}

/// A dimension of the input; `out` is its stride in the output if it is kept.
#[derive(Clone, Copy, Debug)]
struct Dim {
    size: usize,
    stride: isize,
    out: Option<isize>,
}

/// Offsets of consecutive indices of some dimensions, the last the fastest.
#[derive(Clone)]
struct Walk<'a> {
    dims: &'a [Dim],
    index: SmallVec<[usize; 6]>,
    offset: isize,
    out: isize,
}

impl<'a> Walk<'a> {
    fn at(dims: &'a [Dim], mut start: usize) -> Self {
        let mut index = SmallVec::from_elem(0, dims.len());
        let (mut offset, mut out) = (0, 0);
        for (dim, index) in dims.iter().zip(&mut index).rev() {
            *index = start % dim.size;
            start /= dim.size;
            offset += *index as isize * dim.stride;
            out += *index as isize * dim.out.unwrap_or(0);
        }
        Walk { dims, index, offset, out }
    }

    #[inline]
    fn advance(&mut self) {
        for (dim, index) in self.dims.iter().zip(&mut self.index).rev() {
            *index += 1;
            self.offset += dim.stride;
            self.out += dim.out.unwrap_or(0);
            if *index < dim.size {
                return;
            }
            self.offset -= dim.size as isize * dim.stride;
            self.out -= dim.size as isize * dim.out.unwrap_or(0);
            *index = 0;
        }
    }
}

/// The dimensions of a reduction, sorted by falling stride and merged where neighbours lie as one.
struct Plan {
    kept: SmallVec<[Dim; 6]>,
    reduced: SmallVec<[Dim; 6]>,
    /// Whether the innermost dimension is kept.
    columns: bool,
}

impl Plan {
    fn new(shape: &[usize], strides: &[isize], dims: &[usize]) -> Self {
        let mut all: SmallVec<[Dim; 6]> = SmallVec::new();
        let mut out_stride = 1isize;
        for d in (0..shape.len()).rev() {
            let kept = !dims.contains(&d);
            if shape[d] != 1 {
                all.push(Dim { size: shape[d], stride: strides[d], out: kept.then_some(out_stride) });
            }
            if kept {
                out_stride *= shape[d] as isize;
            }
        }
        all.reverse();
        // Stable, so equal strides keep their order; repeated memory (stride 0) goes outside.
        let key = |dim: &Dim| std::cmp::Reverse(if dim.stride == 0 { usize::MAX } else { dim.stride.unsigned_abs() });
        if !all.is_sorted_by_key(key) {
            all.sort_by_key(key);
        }
        let columns = all.last().is_some_and(|dim| dim.out.is_some());
        let mut plan = Plan { kept: SmallVec::new(), reduced: SmallVec::new(), columns };
        let mut last_kept = None;
        for dim in all {
            let kept = dim.out.is_some();
            let list = if kept { &mut plan.kept } else { &mut plan.reduced };
            match list.last_mut() {
                Some(outer)
                    if last_kept == Some(kept)
                        && outer.stride == dim.stride * dim.size as isize
                        && outer.out == dim.out.map(|out| out * dim.size as isize) =>
                {
                    *outer = Dim { size: outer.size * dim.size, ..dim };
                }
                _ => list.push(dim),
            }
            last_kept = Some(kept);
        }
        plan
    }
}

fn volume(dims: &[Dim]) -> usize {
    // With a size of 0 the others may be anything.
    if dims.iter().any(|dim| dim.size == 0) { 0 } else { dims.iter().map(|dim| dim.size).product() }
}

/// Room for so many rows of `n`, if it can be had: they are more than the elements that an expanded array has in memory.
fn room<L>(rows: usize, n: usize) -> Option<Vec<L>> {
    let mut room = Vec::new();
    room.try_reserve_exact(rows.checked_mul(n)?).ok()?;
    Some(room)
}

/// Joins partial results pairwise, whatever their number: the tree is that of a binary counter.
struct Pairwise<L> {
    levels: SmallVec<[L; 32]>,
    count: usize,
    join: fn(L, L) -> L,
}

impl<L: Wide> Pairwise<L> {
    fn new(join: fn(L, L) -> L) -> Self {
        Pairwise { levels: SmallVec::new(), count: 0, join }
    }

    #[inline]
    fn push(&mut self, mut value: L) {
        let mut count = self.count;
        while count & 1 == 1 {
            value = (self.join)(self.levels.pop().expect("one level per bit"), value);
            count >>= 1;
        }
        self.levels.push(value);
        self.count += 1;
    }

    fn total(mut self, identity: L) -> L {
        let Some(mut total) = self.levels.pop() else { return identity };
        while let Some(level) = self.levels.pop() {
            total = (self.join)(level, total);
        }
        total
    }
}

/// The reduction itself; `centres` in the order of `out`.
fn run<T: Widen, O: Narrow<T::Wide>>(
    kernels: Kernels<T::Wide>,
    x: Src<T>,
    dims: &[usize],
    centres: Option<*const T::Wide>,
    finish: Finish,
    out: Dst<O>,
) {
    debug_assert!(dims.iter().all(|&d| d < x.shape.len()) && dims.iter().enumerate().all(|(i, d)| !dims[..i].contains(d)));
    debug_assert!(out.is_contiguous());
    if out.is_empty() {
        return;
    }
    debug_assert_eq!(out.len(), (0..x.shape.len()).filter(|d| !dims.contains(d)).map(|d| x.shape[d]).product::<usize>());
    if quick(&kernels, &x, dims, centres.unwrap_or(std::ptr::null()), finish, &out) {
        return;
    }
    let plan = Plan::new(x.shape, x.strides, dims);
    let (outputs, depth) = (volume(&plan.kept), volume(&plan.reduced));
    let job = Job { kernels, x: Shared::read_only(x.ptr), centres: Shared::read_only(centres.unwrap_or(std::ptr::null())), finish };
    // SAFETY: `x` and `out` vouch for their memory, and the plan reaches what their shapes reach.
    unsafe {
        if depth == 0 {
            let value = O::narrow(finish.apply(job.kernels.identity));
            (0..outputs).for_each(|i| out.ptr.add(i).write(value));
        } else if plan.columns {
            if !job.refolded(&plan, outputs, depth, Shared::new(out.ptr)) {
                job.columns(&plan, outputs, depth, Shared::new(out.ptr));
            }
        } else if !job.outer_first(&plan, outputs, depth, Shared::new(out.ptr)) {
            job.lines(&plan, outputs, depth, Shared::new(out.ptr));
        }
    }
}

struct Job<T: Widen> {
    kernels: Kernels<T::Wide>,
    x: Shared<T>,
    /// Null, or a centre per output.
    centres: Shared<T::Wide>,
    finish: Finish,
}

impl<T: Widen> Job<T> {
    /// # Safety
    /// The plan's offsets reach readable and writable memory.
    unsafe fn lines<O: Narrow<T::Wide>>(&self, plan: &Plan, outputs: usize, depth: usize, out: Shared<O>) {
        if depth <= GRAIN {
            let per_chunk = (GRAIN / depth).max(1);
            // SAFETY: the chunks' outputs are disjoint.
            let chunk = |i: usize| unsafe {
                self.some_lines(plan, i * per_chunk, outputs.min((i + 1) * per_chunk), depth, out);
            };
            par_for(outputs.div_ceil(per_chunk), &chunk);
            return;
        }
        // Long lines: pieces of whole blocks, joined per output; so many at once as there is room for.
        let pieces = depth.div_ceil(GRAIN);
        let all = outputs * pieces;
        let mut partial = vec![self.kernels.identity; all.min(HELD)];
        let mut walk = Walk::at(&plan.kept, 0);
        let mut total = Pairwise::new(self.kernels.join_two);
        for first in (0..all).step_by(HELD) {
            let count = HELD.min(all - first);
            let shared = Shared::new(partial.as_mut_ptr());
            // SAFETY: each piece writes its own place.
            let piece = |i: usize| unsafe {
                let (output, piece) = ((first + i) / pieces, (first + i) % pieces);
                let walk = Walk::at(&plan.kept, output);
                let total = self.one_line(plan, walk.offset, walk.out, piece * GRAIN, depth.min((piece + 1) * GRAIN));
                shared.get().add(i).write(total);
            };
            par_for(count, &piece);
            for (i, &value) in partial[..count].iter().enumerate() {
                total.push(value);
                if (first + i + 1) % pieces == 0 {
                    let total = std::mem::replace(&mut total, Pairwise::new(self.kernels.join_two)).total(self.kernels.identity);
                    // SAFETY: `walk` reaches every output.
                    unsafe { out.get().offset(walk.out).write(O::narrow(self.finish.apply(total))) };
                    walk.advance();
                }
            }
        }
    }

    /// The same job, its results unfinished.
    fn unfinished(&self) -> Self {
        Job { finish: Finish::Plain, ..*self }
    }

    /// Short contiguous lines with outer dimensions to reduce (an image batch to its channels): the outer dimensions first, with
    /// lanes across kept dimensions and lines alike, then what is left of the lines. Returns whether the plan is of that kind.
    ///
    /// # Safety
    /// As for [`Job::lines`].
    unsafe fn outer_first<O: Narrow<T::Wide>>(&self, plan: &Plan, outputs: usize, depth: usize, out: Shared<O>) -> bool {
        let Some((&line, outer)) = plan.reduced.split_last() else { return false };
        if line.stride != 1 || line.size >= 256 || depth / line.size < 8 || !self.centres.get().is_null() {
            return false;
        }
        let n = line.size;
        let mut kept: SmallVec<[Dim; 6]> = plan.kept.iter().map(|dim| Dim { out: dim.out.map(|out| out * n as isize), ..*dim }).collect();
        match kept.last_mut() {
            // The kept dimension next to the lines may lie around them without a gap.
            Some(last) if last.stride == n as isize && last.out == Some(n as isize) => {
                *last = Dim { size: last.size * n, stride: 1, out: Some(1) };
            }
            _ => kept.push(Dim { out: Some(1), ..line }),
        }
        let first = Plan { kept, reduced: outer.into(), columns: true };
        let Some(mut lines) = room::<T::Wide>(outputs, n) else { return false };
        // SAFETY: the caller's promise; the vector has room for a line per output, in the order of `out`.
        unsafe {
            self.unfinished().columns(&first, outputs * n, depth / n, Shared::new(lines.as_mut_ptr()));
            let mut totals = [self.kernels.identity; 64];
            for start in (0..outputs).step_by(64) {
                let count = (outputs - start).min(64);
                let first = lines.as_ptr().add(start * n);
                (self.kernels.join_lines)(first, n as isize, count, n, std::ptr::null(), totals.as_mut_ptr());
                finish_all(self.finish, &mut totals[..count]);
                scatter(totals.as_ptr(), count, out.get().add(start), 1);
            }
        }
        true
    }

    /// A tall contiguous matrix of few columns: several rows are taken as one, so that whole vectors are read. Returns whether
    /// the plan is of that kind.
    ///
    /// # Safety
    /// As for [`Job::lines`].
    unsafe fn refolded<O: Narrow<T::Wide>>(&self, plan: &Plan, outputs: usize, depth: usize, out: Shared<O>) -> bool {
        let (&inner, outer) = plan.kept.split_last().expect("columns are kept");
        let width = inner.size;
        let [Dim { stride, .. }] = plan.reduced[..] else { return false };
        // Rows of 2048 lie far enough apart to be streams of their own.
        let fold = BLOCK / width.max(1);
        if inner.stride != 1 || stride != width as isize || width > 256 || depth < 16 * fold || !self.centres.get().is_null() {
            return false;
        }
        let (rows, rest) = (depth / fold, depth % fold);
        let wide = fold * width;
        let outers = outputs / width;
        // Totals of the wide rows, one row of them for each outer index.
        let mut kept: SmallVec<[Dim; 6]> = SmallVec::new();
        let mut place = outers;
        for dim in outer {
            place /= dim.size;
            kept.push(Dim { out: Some((place * wide) as isize), ..*dim });
        }
        kept.push(Dim { size: wide, stride: 1, out: Some(1) });
        let reduced = SmallVec::from_slice(&[Dim { size: rows, stride: wide as isize, out: None }]);
        let Some(mut wides) = room::<T::Wide>(outers, wide) else { return false };
        // SAFETY: the caller's promise; the vector has room for a wide row per outer index.
        unsafe {
            let first = Plan { kept, reduced, columns: true };
            self.unfinished().columns(&first, outers * wide, rows, Shared::new(wides.as_mut_ptr()));
            let mut walk = Walk::at(outer, 0);
            let mut totals = [T::Wide::ZERO; 256 + MAX_LANES];
            let mut last = [T::Wide::ZERO; BLOCK];
            for i in 0..outers {
                let first = wides.as_ptr().add(i * wide);
                (self.kernels.join_columns)(first, width as isize, fold, width, std::ptr::null(), false, totals.as_mut_ptr());
                if rest > 0 {
                    gather(self.x.get().offset(walk.offset + (rows * wide) as isize), 1, rest * width, last.as_mut_ptr());
                    (self.kernels.columns)(last.as_ptr(), width as isize, rest, width, std::ptr::null(), true, totals.as_mut_ptr());
                }
                finish_all(self.finish, &mut totals[..width]);
                scatter(totals.as_ptr(), width, out.get().offset(walk.out), inner.out.unwrap_or(0));
                walk.advance();
            }
        }
        true
    }

    /// Outputs `from..to`.
    ///
    /// # Safety
    /// As for [`Job::lines`].
    unsafe fn some_lines<O: Narrow<T::Wide>>(&self, plan: &Plan, from: usize, to: usize, depth: usize, out: Shared<O>) {
        // SAFETY: the caller's promise.
        unsafe {
            let x = self.x.get();
            // Equal short lines at one distance: one kernel call for many.
            if T::SAME
                && let [Dim { stride: 1, .. }] = plan.reduced[..]
                && depth <= BLOCKS * BLOCK
                && let [] | [_] = plan.kept[..]
            {
                let (stride, out_stride) = plan.kept.first().map_or((0, 0), |dim| (dim.stride, dim.out.unwrap_or(0)));
                let mut totals = [self.kernels.identity; LINES];
                for start in (from..to).step_by(LINES) {
                    let count = (to - start).min(LINES);
                    let centres = if self.centres.get().is_null() {
                        std::ptr::null()
                    } else {
                        // Kept dimensions that merged into one lie in `out` as one.
                        debug_assert!(out_stride == 1 || to == 1);
                        self.centres.get().add(start).cast_const()
                    };
                    let first = x.cast::<T::Wide>().offset(start as isize * stride);
                    (self.kernels.lines)(first, stride, count, depth.min(BLOCK), centres, totals.as_mut_ptr());
                    if depth > BLOCK {
                        self.more_blocks(first, stride, count, depth, centres, &mut totals);
                    }
                    finish_all(self.finish, &mut totals[..count]);
                    scatter(totals.as_ptr(), count, out.get().offset(start as isize * out_stride), out_stride);
                }
                return;
            }
            let mut walk = Walk::at(&plan.kept, from);
            for _ in from..to {
                let total = self.one_line(plan, walk.offset, walk.out, 0, depth);
                out.get().offset(walk.out).write(O::narrow(self.finish.apply(total)));
                walk.advance();
            }
        }
    }

    /// Folds the blocks but the first of `count` lines into `totals`, which hold the first.
    ///
    /// # Safety
    /// As for [`Job::lines`].
    unsafe fn more_blocks(
        &self,
        x: *const T::Wide,
        stride: isize,
        count: usize,
        depth: usize,
        centres: *const T::Wide,
        totals: &mut [T::Wide; LINES],
    ) {
        let blocks = depth.div_ceil(BLOCK);
        let mut folded = [[self.kernels.identity; LINES]; BLOCKS - 1];
        for block in 1..blocks {
            let n = BLOCK.min(depth - block * BLOCK);
            // SAFETY: the caller's promise.
            unsafe { (self.kernels.lines)(x.add(block * BLOCK), stride, count, n, centres, folded[block - 1].as_mut_ptr()) };
        }
        for (i, total) in totals[..count].iter_mut().enumerate() {
            let mut sum = Pairwise::new(self.kernels.join_two);
            sum.push(*total);
            folded[..blocks - 1].iter().for_each(|block| sum.push(block[i]));
            *total = sum.total(self.kernels.identity);
        }
    }

    /// Folds the reduced indices `from..to` of one output.
    ///
    /// # Safety
    /// As for [`Job::lines`].
    unsafe fn one_line(&self, plan: &Plan, offset: isize, out: isize, from: usize, to: usize) -> T::Wide {
        // SAFETY: the caller's promise; pieces end where their run does.
        unsafe {
            let x = self.x.get().offset(offset);
            let centre = if self.centres.get().is_null() { std::ptr::null() } else { self.centres.get().offset(out).cast_const() };
            let fold = |ptr: *const T::Wide, n: usize| {
                let mut total = self.kernels.identity;
                (self.kernels.lines)(ptr, 0, 1, n, centre, &mut total);
                total
            };
            let (outer, run) = match plan.reduced.split_last() {
                Some((&run, outer)) => (outer, run),
                // Every dimension has size 1.
                None => (&[][..], Dim { size: 1, stride: 1, out: None }),
            };
            let mut total = Pairwise::new(self.kernels.join_two);
            let mut walk = Walk::at(outer, from / run.size);
            let mut within = from % run.size;
            let mut left = to - from;
            if T::SAME && run.stride == 1 && (run.size >= 64 || outer.is_empty()) {
                // Far-apart rows of a long run are read at once: one stream alone does not fill the memory bus.
                while left.min(run.size - within) >= 16 * BLOCK {
                    let rows = (left.min(run.size - within) / BLOCK).min(GRAIN / BLOCK);
                    let mut centres = [T::Wide::ZERO; BLOCK];
                    if !centre.is_null() {
                        centres.fill(centre.read());
                    }
                    let centres = if centre.is_null() { centre } else { centres.as_ptr() };
                    let mut sums = [std::mem::MaybeUninit::<T::Wide>::uninit(); BLOCK];
                    let sums = sums.as_mut_ptr().cast::<T::Wide>();
                    let first = x.offset(walk.offset).add(within).cast();
                    (self.kernels.columns)(first, BLOCK as isize, rows, BLOCK, centres, false, sums);
                    let mut sum = self.kernels.identity;
                    (self.kernels.join_lines)(sums, 0, 1, BLOCK, std::ptr::null(), &mut sum);
                    total.push(sum);
                    left -= rows * BLOCK;
                    within += rows * BLOCK;
                    if within == run.size {
                        within = 0;
                        walk.advance();
                    }
                }
                let mut folded = [self.kernels.identity; 16];
                let mut centres = [T::Wide::ZERO; 16];
                if !centre.is_null() {
                    centres.fill(centre.read());
                }
                let centres = if centre.is_null() { centre } else { centres.as_ptr() };
                while left > 0 {
                    // Several runs, block by block, if they are long enough to be worth it.
                    if let [dim] = outer
                        && within == 0
                        && run.size <= 8 * BLOCK
                        && left >= 2 * run.size
                    {
                        let count = (left / run.size).min(16);
                        for start in (0..run.size).step_by(BLOCK) {
                            let first = x.offset(walk.offset).add(start).cast();
                            let n = BLOCK.min(run.size - start);
                            (self.kernels.lines)(first, dim.stride, count, n, centres, folded.as_mut_ptr());
                            folded[..count].iter().for_each(|&value| total.push(value));
                        }
                        left -= run.size * count;
                        (0..count).for_each(|_| walk.advance());
                        continue;
                    }
                    // Else the blocks of a run.
                    let rest = left.min(run.size - within);
                    let n = rest.min(BLOCK);
                    let count = (rest / n).min(16);
                    (self.kernels.lines)(x.offset(walk.offset).add(within).cast(), BLOCK as isize, count, n, centres, folded.as_mut_ptr());
                    folded[..count].iter().for_each(|&value| total.push(value));
                    left -= n * count;
                    within += n * count;
                    if within == run.size {
                        within = 0;
                        walk.advance();
                    }
                }
                return total.total(self.kernels.identity);
            }
            let mut block = [std::mem::MaybeUninit::<T::Wide>::uninit(); BLOCK];
            let block = block.as_mut_ptr().cast::<T::Wide>();
            let mut filled = 0;
            while left > 0 {
                let n = left.min(run.size - within).min(BLOCK - filled);
                gather(x.offset(walk.offset + within as isize * run.stride), run.stride, n, block.add(filled));
                left -= n;
                filled += n;
                within += n;
                if within == run.size {
                    within = 0;
                    walk.advance();
                }
                if filled == BLOCK || left == 0 {
                    total.push(fold(block, filled));
                    filled = 0;
                }
            }
            total.total(self.kernels.identity)
        }
    }

    /// # Safety
    /// As for [`Job::lines`].
    unsafe fn columns<O: Narrow<T::Wide>>(&self, plan: &Plan, outputs: usize, depth: usize, out: Shared<O>) {
        let (&inner, outer) = plan.kept.split_last().expect("columns are kept");
        let width = inner.size;
        let tile = width.div_ceil(width.div_ceil(TILE)).next_multiple_of(MAX_LANES);
        let tiles = width.div_ceil(tile);
        let part = depth.div_ceil(depth.div_ceil(ROWS));
        let parts = depth.div_ceil(part);
        let outers = outputs / width;
        let units = outers * parts * tiles;
        let per_chunk = (GRAIN / (part * tile)).clamp(1, units);
        // One unit: part `p` of tile `t` of outer index `o`, to `to`, which has room for the tile.
        // SAFETY: the caller's promise.
        let unit = |o: usize, p: usize, t: usize, to: *mut T::Wide| unsafe {
            let walk = Walk::at(outer, o);
            let start = t * tile;
            let columns = Dim { size: tile.min(width - start), ..inner };
            let x = self.x.get().offset(walk.offset + start as isize * inner.stride);
            self.one_tile(plan, x, columns, walk.out + (start as isize) * inner.out.unwrap_or(0), p * part, depth.min((p + 1) * part), to);
        };
        // SAFETY: the caller's promise; units write disjoint columns.
        let finish = |o: usize, t: usize, totals: *mut T::Wide| unsafe {
            let start = t * tile;
            let n = tile.min(width - start);
            finish_all(self.finish, std::slice::from_raw_parts_mut(totals, n));
            let out_stride = inner.out.unwrap_or(0);
            scatter(totals, n, out.get().offset(Walk::at(outer, o).out + start as isize * out_stride), out_stride);
        };
        if parts == 1 {
            let chunk = |i: usize| {
                let mut totals = [std::mem::MaybeUninit::<T::Wide>::uninit(); TILE + MAX_LANES];
                for u in i * per_chunk..units.min((i + 1) * per_chunk) {
                    unit(u / tiles, 0, u % tiles, totals.as_mut_ptr().cast());
                    finish(u / tiles, u % tiles, totals.as_mut_ptr().cast());
                }
            };
            par_for(units.div_ceil(per_chunk), &chunk);
            return;
        }
        // Tall: parts of the rows, then the parts' totals as rows, until one is left.
        let groups = outers * tiles;
        let held = (HELD / tile).max(1);
        if parts <= held {
            let at_once = (held / parts).min(groups);
            let mut partial: Vec<T::Wide> = Vec::with_capacity(at_once * parts * tile);
            let rows = Shared::new(partial.as_mut_ptr());
            for first in (0..groups).step_by(at_once) {
                let units = at_once.min(groups - first) * parts;
                let chunk = |i: usize| {
                    for u in i * per_chunk..units.min((i + 1) * per_chunk) {
                        let group = first + u / parts;
                        // SAFETY: each unit has its own `tile` elements.
                        unit(group / tiles, u % parts, group % tiles, unsafe { rows.get().add(u * tile) });
                    }
                };
                par_for(units.div_ceil(per_chunk), &chunk);
                for group in first..first + units / parts {
                    // SAFETY: every unit of the group wrote its columns; unused ones of the last tile are never read.
                    unsafe {
                        let row = rows.get().add((group - first) * parts * tile);
                        self.join_rows(row, tile, parts, tile.min(width - group % tiles * tile));
                        finish(group / tiles, group % tiles, row);
                    }
                }
            }
            return;
        }
        // More parts of one tile than are held at once: windows of them, their totals joined as a binary counter joins.
        let mut partial: Vec<T::Wide> = Vec::with_capacity(held * tile);
        let rows = Shared::new(partial.as_mut_ptr());
        for group in 0..groups {
            let (o, t) = (group / tiles, group % tiles);
            let n = tile.min(width - t * tile);
            let mut totals: Vec<Pairwise<T::Wide>> = (0..n).map(|_| Pairwise::new(self.kernels.join_two)).collect();
            for first in (0..parts).step_by(held) {
                let count = held.min(parts - first);
                let chunk = |i: usize| {
                    for u in i * per_chunk..count.min((i + 1) * per_chunk) {
                        // SAFETY: each unit has its own `tile` elements.
                        unit(o, first + u, t, unsafe { rows.get().add(u * tile) });
                    }
                };
                par_for(count.div_ceil(per_chunk), &chunk);
                // SAFETY: every unit wrote its columns.
                let row = unsafe {
                    self.join_rows(rows.get(), tile, count, n);
                    std::slice::from_raw_parts(rows.get(), n)
                };
                totals.iter_mut().zip(row).for_each(|(total, &value)| total.push(value));
            }
            let mut row: Vec<T::Wide> = totals.into_iter().map(|total| total.total(self.kernels.identity)).collect();
            finish(o, t, row.as_mut_ptr());
        }
    }

    /// Joins `rows` rows of partial results, of which `n` columns count, into the first.
    ///
    /// # Safety
    /// The rows are initialised so far, and `tile` elements apart.
    unsafe fn join_rows(&self, first: *mut T::Wide, tile: usize, mut rows: usize, n: usize) {
        while rows > 1 {
            let next = rows.div_ceil(ROWS);
            for i in 0..next {
                let count = ROWS.min(rows - i * ROWS);
                // SAFETY: the totals of the rows `i·ROWS..` replace row `i`, which was among them or before them.
                unsafe {
                    let source = first.add(i * ROWS * tile);
                    let target = first.add(i * tile);
                    if i == 0 {
                        (self.kernels.join_columns)(source.add(tile), tile as isize, count - 1, n, std::ptr::null(), true, target);
                    } else {
                        (self.kernels.join_columns)(source, tile as isize, count, n, std::ptr::null(), false, target);
                    }
                }
            }
            rows = next;
        }
    }

    /// Folds rows `from..to` of a tile of columns into `to_totals`.
    ///
    /// # Safety
    /// As for [`Job::lines`].
    unsafe fn one_tile(&self, plan: &Plan, x: *const T, columns: Dim, out: isize, from: usize, to: usize, totals: *mut T::Wide) {
        let n = columns.size;
        // SAFETY: the caller's promise.
        unsafe {
            let mut own_centres = [T::Wide::ZERO; TILE + MAX_LANES];
            let centres: *const T::Wide = if self.centres.get().is_null() {
                std::ptr::null()
            } else {
                let stride = columns.out.unwrap_or(0);
                (0..n).for_each(|j| own_centres[j] = *self.centres.get().offset(out + j as isize * stride));
                own_centres.as_ptr()
            };
            let (outer, run) = match plan.reduced.split_last() {
                Some((&run, outer)) => (outer, run),
                None => (&[][..], Dim { size: 1, stride: 0, out: None }),
            };
            let mut walk = Walk::at(outer, from / run.size);
            let mut within = from % run.size;
            let mut left = to - from;
            let mut go_on = false;
            // Rows that are not read where they lie pass through a buffer of 8.
            let direct = T::SAME && columns.stride == 1;
            let mut buffer: Vec<T::Wide> = Vec::with_capacity(if direct { 0 } else { 8 * n });
            while left > 0 {
                let count = left.min(run.size - within);
                let mut row = x.offset(walk.offset + within as isize * run.stride);
                if direct {
                    (self.kernels.columns)(row.cast(), run.stride, count, n, centres, go_on, totals);
                } else {
                    let mut done = 0;
                    while done < count {
                        let rows = (count - done).min(8);
                        for r in 0..rows {
                            gather(row, columns.stride, n, buffer.as_mut_ptr().add(r * n));
                            row = row.offset(run.stride);
                        }
                        (self.kernels.columns)(buffer.as_ptr(), n as isize, rows, n, centres, go_on || done > 0, totals);
                        done += rows;
                    }
                }
                go_on = true;
                left -= count;
                within += count;
                if within == run.size {
                    within = 0;
                    walk.advance();
                }
            }
        }
    }
}

/// Which extreme an index is sought of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extreme {
    Max,
    Min,
}

/// The index of the extreme value along `dim` and, if asked, the value. The first of equals; the first NaN before all. `values` and
/// `indices` are contiguous, in the order of the other dimensions. Preconditions: the size of `dim` is not 0.
pub fn arg_extreme<T: Widen>(extreme: Extreme, x: Src<T>, dim: usize, values: Option<Dst<T>>, indices: Dst<i64>) {
    debug_assert!(indices.is_contiguous() && values.is_none_or(|values| values.is_contiguous() && values.len() == indices.len()));
    let (depth, along) = (x.shape[dim], x.strides[dim]);
    let outputs = indices.len();
    if outputs == 0 {
        return;
    }
    debug_assert!(depth > 0);
    let plan = Plan::new(x.shape, x.strides, &[dim]);
    let kernels = match extreme {
        Extreme::Max => Kernels::of(Fold::Max),
        Extreme::Min => Kernels::of(Fold::Min),
    };
    let search = Search {
        kernels,
        better: match extreme {
            Extreme::Max => |a, b| a > b,
            Extreme::Min => |a, b| a < b,
        },
        x: Shared::read_only(x.ptr),
        depth,
        along,
        values: Shared::new(values.map_or(std::ptr::null_mut(), |values| values.ptr)),
        indices: Shared::new(indices.ptr),
    };
    // SAFETY: `x`, `values` and `indices` vouch for their memory.
    unsafe {
        if plan.columns && depth > 1 {
            search.columns(&plan, outputs);
        } else {
            search.lines(&plan, outputs);
        }
    }
}

struct Search<T: Widen> {
    kernels: Kernels<T::Wide>,
    better: fn(T::Wide, T::Wide) -> bool,
    x: Shared<T>,
    depth: usize,
    along: isize,
    /// Null if nobody asked.
    values: Shared<T>,
    indices: Shared<i64>,
}

/// Columns of a tile and rows of a block when an index is sought down columns.
const SEARCH_TILE: usize = 256;
const SEARCH_ROWS: usize = 32;

#[allow(clippy::eq_op)]
fn is_nan<L: Wide>(value: L) -> bool {
    value != value
}

/// The first index of `value` (of any NaN for a NaN) among `n`; there is one.
///
/// # Safety
/// `n > 0` elements are readable.
unsafe fn find<L: Wide>(x: *const L, n: usize, value: L) -> usize {
    // SAFETY: the caller's promise.
    dispatch!(crate::level(), simd => unsafe { find_lanes(simd, x, n, value) })
}

/// [`find`] of a value in each of some lines.
///
/// # Safety
/// The lines are readable, and there are as many places.
unsafe fn find_in_lines<L: Wide>(x: *const L, stride: isize, n: usize, values: &[L], places: &mut [usize]) {
    // SAFETY: the caller's promise.
    dispatch!(crate::level(), simd => unsafe {
        for (i, (&value, place)) in values.iter().zip(places).enumerate() {
            *place = find_lanes(simd, x.offset(i as isize * stride), n, value);
        }
    })
}

/// # Safety
/// As for [`find`].
#[inline(always)]
unsafe fn find_lanes<L: Wide, S: Simd>(simd: S, x: *const L, n: usize, value: L) -> usize {
    let len = L::V::<S>::LEN;
    let sought = L::V::<S>::splat(simd, value);
    let mut i = 0;
    while i < n {
        // SAFETY: the caller's promise.
        let v: L::V<S> = unsafe { if i + len <= n { load(simd, x.add(i)) } else { load_some(simd, x.add(i), n - i, sought) } };
        let hits = if is_nan(value) { v.simd_ne(v) } else { v.simd_eq(sought) };
        if hits.any_true() {
            return (i + hits.to_bitmask().trailing_zeros() as usize).min(n - 1);
        }
        i += len;
    }
    n - 1
}

impl<T: Widen> Search<T> {
    /// Writes the first index in `from..to` of the line at `x` whose value is `best`.
    ///
    /// # Safety
    /// The line is readable, `out` an output, and `best` among its values.
    unsafe fn found(&self, x: *const T, best: T::Wide, from: usize, to: usize, out: isize) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut i = from;
            if T::SAME && self.along == 1 {
                i += find(x.add(from).cast::<T::Wide>(), to - from, best);
            } else {
                while i + 1 < to {
                    let value = x.offset(i as isize * self.along).read().widen();
                    if value == best || is_nan(best) && is_nan(value) {
                        break;
                    }
                    i += 1;
                }
            }
            self.indices.get().offset(out).write(i as i64);
            if !self.values.get().is_null() {
                self.values.get().offset(out).write(x.offset(i as isize * self.along).read());
            }
        }
    }

    /// # Safety
    /// The plan's offsets reach readable and writable memory.
    unsafe fn lines(&self, plan: &Plan, outputs: usize) {
        let per_chunk = (GRAIN / self.depth).clamp(1, outputs);
        // SAFETY: the caller's promise; chunks have disjoint outputs.
        let chunk = |i: usize| unsafe {
            if T::SAME
                && self.along == 1
                && self.depth <= BLOCK
                && let [kept] = plan.kept[..]
            {
                return self.equal_lines(kept, i * per_chunk, outputs.min((i + 1) * per_chunk));
            }
            let mut walk = Walk::at(&plan.kept, i * per_chunk);
            let direct = T::SAME && (self.along == 1 || self.depth == 1);
            let mut block = [std::mem::MaybeUninit::<T::Wide>::uninit(); BLOCK];
            let block = block.as_mut_ptr().cast::<T::Wide>();
            for _ in i * per_chunk..outputs.min((i + 1) * per_chunk) {
                let x = self.x.get().offset(walk.offset).cast_const();
                let (mut best, mut best_start) = (self.kernels.identity, 0);
                for start in (0..self.depth).step_by(BLOCK) {
                    let n = BLOCK.min(self.depth - start);
                    let first = x.offset(start as isize * self.along);
                    let source = if direct {
                        first.cast()
                    } else {
                        gather(first, self.along, n, block);
                        block.cast_const()
                    };
                    let mut extreme = best;
                    (self.kernels.lines)(source, 0, 1, n, std::ptr::null(), &mut extreme);
                    if start == 0 || is_nan(extreme) || (self.better)(extreme, best) {
                        (best, best_start) = (extreme, start);
                    }
                    if is_nan(best) {
                        break;
                    }
                }
                self.found(x, best, best_start, self.depth.min(best_start + BLOCK), walk.out);
                walk.advance();
            }
        };
        par_for(outputs.div_ceil(per_chunk), &chunk);
    }

    /// Lines `from..to` of at most one block, at one distance.
    ///
    /// # Safety
    /// As for [`Search::lines`].
    unsafe fn equal_lines(&self, kept: Dim, from: usize, to: usize) {
        let mut best = [self.kernels.identity; LINES];
        let mut places = [0usize; LINES];
        for start in (from..to).step_by(LINES) {
            let count = (to - start).min(LINES);
            // SAFETY: the caller's promise.
            unsafe {
                let x = self.x.get().offset(start as isize * kept.stride).cast_const();
                (self.kernels.lines)(x.cast(), kept.stride, count, self.depth, std::ptr::null(), best.as_mut_ptr());
                find_in_lines(x.cast::<T::Wide>(), kept.stride, self.depth, &best[..count], &mut places);
                for (i, &place) in places[..count].iter().enumerate() {
                    let out = (start + i) as isize * kept.out.unwrap_or(0);
                    self.indices.get().offset(out).write(place as i64);
                    if !self.values.get().is_null() {
                        self.values.get().offset(out).write(x.offset(i as isize * kept.stride).add(place).read());
                    }
                }
            }
        }
    }

    /// # Safety
    /// As for [`Search::lines`].
    unsafe fn columns(&self, plan: &Plan, outputs: usize) {
        let (&inner, outer) = plan.kept.split_last().expect("columns are kept");
        let tiles = inner.size.div_ceil(SEARCH_TILE);
        let units = outputs / inner.size * tiles;
        let per_chunk = (GRAIN / (self.depth * inner.size.min(SEARCH_TILE))).clamp(1, units);
        let direct = T::SAME && inner.stride == 1;
        // SAFETY: the caller's promise; units have disjoint outputs.
        let chunk = |i: usize| unsafe {
            let mut best = [T::Wide::ZERO; SEARCH_TILE];
            let mut best_start = [0usize; SEARCH_TILE];
            let mut extremes = [T::Wide::ZERO; SEARCH_TILE];
            for u in i * per_chunk..units.min((i + 1) * per_chunk) {
                let walk = Walk::at(outer, u / tiles);
                let first = u % tiles * SEARCH_TILE;
                let n = SEARCH_TILE.min(inner.size - first);
                let x = self.x.get().offset(walk.offset + first as isize * inner.stride).cast_const();
                let mut buffer: Vec<T::Wide> = Vec::with_capacity(if direct { 0 } else { n * SEARCH_ROWS });
                for start in (0..self.depth).step_by(SEARCH_ROWS) {
                    let rows = SEARCH_ROWS.min(self.depth - start);
                    let row = x.offset(start as isize * self.along);
                    let (source, stride) = if direct {
                        (row.cast(), self.along)
                    } else {
                        for r in 0..rows {
                            gather(row.offset(r as isize * self.along), inner.stride, n, buffer.as_mut_ptr().add(r * n));
                        }
                        (buffer.as_ptr(), n as isize)
                    };
                    let to = if start == 0 { best.as_mut_ptr() } else { extremes.as_mut_ptr() };
                    (self.kernels.columns)(source, stride, rows, n, std::ptr::null(), false, to);
                    if start == 0 {
                        best_start[..n].fill(0);
                        continue;
                    }
                    for j in 0..n {
                        if !is_nan(best[j]) && (is_nan(extremes[j]) || (self.better)(extremes[j], best[j])) {
                            (best[j], best_start[j]) = (extremes[j], start);
                        }
                    }
                }
                let out_stride = inner.out.unwrap_or(0);
                for j in 0..n {
                    let out = walk.out + (first + j) as isize * out_stride;
                    let to = self.depth.min(best_start[j] + SEARCH_ROWS);
                    self.found(x.offset(j as isize * inner.stride), best[j], best_start[j], to, out);
                }
            }
        };
        par_for(units.div_ceil(per_chunk), &chunk);
    }
}

/// What a scan carries along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scan {
    Sum,
    Product,
}

/// A type that scans carry: f64 for floats, i64 for integers, so that long scans of f32 stay exact to its rounding.
pub trait Carry: Widen {
    type Carry: Copy + Send + Sync;
    const NOTHING: [Self::Carry; 2];
    fn carry(kind: Scan, so_far: Self::Carry, x: Self) -> Self::Carry;
}

/// A type that a scan's carry is rounded to.
pub trait FromCarry<C>: Copy + Send + Sync + 'static {
    fn from_carry(carry: C) -> Self;
}

macro_rules! carries {
    ($($t:ty: $c:ty, |$x:ident| $widen:expr, |$y:ident| $narrow:expr, $add:expr, $mul:expr;)*) => { $(
        impl Carry for $t {
            type Carry = $c;
            const NOTHING: [$c; 2] = [0 as $c, 1 as $c];
            #[inline(always)]
            fn carry(kind: Scan, so_far: $c, $x: Self) -> $c {
                match kind {
                    Scan::Sum => $add(so_far, $widen),
                    Scan::Product => $mul(so_far, $widen),
                }
            }
        }
        impl FromCarry<$c> for $t {
            #[inline(always)]
            fn from_carry($y: $c) -> Self {
                $narrow
            }
        }
    )* };
}
carries! {
    f32: f64, |x| x as f64, |y| y as f32, |a, b| a + b, |a, b| a * b;
    f64: f64, |x| x, |y| y, |a, b| a + b, |a, b| a * b;
    half::f16: f64, |x| x.to_f64(), |y| half::f16::from_f64(y), |a, b| a + b, |a, b| a * b;
    half::bf16: f64, |x| x.to_f64(), |y| half::bf16::from_f64(y), |a, b| a + b, |a, b| a * b;
    i64: i64, |x| x, |y| y, i64::wrapping_add, i64::wrapping_mul;
    i32: i64, |x| x as i64, |y| y as i32, i64::wrapping_add, i64::wrapping_mul;
    i16: i64, |x| x as i64, |y| y as i16, i64::wrapping_add, i64::wrapping_mul;
    i8: i64, |x| x as i64, |y| y as i8, i64::wrapping_add, i64::wrapping_mul;
    u8: i64, |x| x as i64, |y| y as u8, i64::wrapping_add, i64::wrapping_mul;
    bool: i64, |x| x as i64, |y| y != 0, i64::wrapping_add, i64::wrapping_mul;
}

/// `out[.., i, ..] = x[.., 0, ..] ∘ … ∘ x[.., i, ..]` along `dim`, from the end if `backwards`; `out` is contiguous and has
/// `x`'s shape. Floats are carried in f64. Preconditions: `dim` is below the number of dimensions.
pub fn scan<T: Carry, O: FromCarry<T::Carry>>(kind: Scan, backwards: bool, x: Src<T>, dim: usize, out: Dst<O>) {
    debug_assert!(out.is_contiguous() && out.shape == x.shape);
    let (depth, along) = (x.shape[dim], x.strides[dim]);
    let total = out.len();
    if total == 0 {
        return;
    }
    let inner: usize = x.shape[dim + 1..].iter().product();
    // Lines in the order of `out`: outer dimensions, then inner ones.
    let kept: SmallVec<[Dim; 6]> =
        (0..x.shape.len()).filter(|&d| d != dim).map(|d| Dim { size: x.shape[d], stride: x.strides[d], out: Some(0) }).collect();
    let lines = total / depth;
    // A unit: neighbouring lines of one outer index, so that whole cache lines are read down columns.
    let width = if inner == 1 { 1 } else { inner.min(COLUMNS) };
    let per_outer = inner.div_ceil(width);
    let units = lines / inner * per_outer;
    let per_chunk = (GRAIN / 4 / (depth * width)).clamp(1, units);
    let (x_ptr, out_ptr) = (Shared::read_only(x.ptr), Shared::new(out.ptr));
    // SAFETY: `x` and `out` vouch for their memory; units have disjoint outputs.
    par_for(units.div_ceil(per_chunk), &|i| unsafe {
        let (from, to) = (i * per_chunk, units.min((i + 1) * per_chunk));
        if inner == 1 {
            let mut walk = Walk::at(&kept, from);
            let (first, step) = if backwards { (depth as isize - 1, -1) } else { (0, 1) };
            let mut line = from;
            while line < to {
                // Four carries at once hide the latency of one.
                let n = if line + 4 <= to { 4 } else { 1 };
                let mut x = [std::ptr::null(); 4];
                for x in &mut x[..n] {
                    *x = x_ptr.get().offset(walk.offset + first * along).cast_const();
                    walk.advance();
                }
                let out = out_ptr.get().add(line * depth).offset(first);
                match n {
                    4 => scan_lines::<T, O, 4>(kind, x, along * step, std::array::from_fn(|j| out.add(j * depth)), step, depth),
                    _ => scan_lines::<T, O, 1>(kind, [x[0]], along * step, [out], step, depth),
                }
                line += n;
            }
            return;
        }
        for unit in from..to {
            let (outer, first) = (unit / per_outer, unit % per_outer * width);
            let n = width.min(inner - first);
            let mut offsets = [0isize; COLUMNS];
            let mut walk = Walk::at(&kept, outer * inner + first);
            for offset in &mut offsets[..n] {
                *offset = walk.offset;
                walk.advance();
            }
            let gapless = offsets[..n].iter().enumerate().all(|(j, offset)| *offset == offsets[0] + j as isize);
            let mut carries = [T::NOTHING[kind as usize]; COLUMNS];
            for step in 0..depth {
                interrupt::tick();
                let step = if backwards { depth - 1 - step } else { step };
                let x = x_ptr.get().offset(step as isize * along).cast_const();
                let out = out_ptr.get().add(outer * depth * inner + step * inner + first);
                if gapless {
                    scan_row(kind, x.offset(offsets[0]), &mut carries[..n], out);
                } else {
                    for (j, carry) in carries[..n].iter_mut().enumerate() {
                        *carry = T::carry(kind, *carry, x.offset(offsets[j]).read());
                        out.add(j).write(O::from_carry(*carry));
                    }
                }
            }
        }
    });
}

/// Columns that a scan carries at once.
const COLUMNS: usize = 256;

/// Scans `N` lines side by side.
///
/// # Safety
/// `depth` elements are readable and writable from the pointers on, so many steps apart.
unsafe fn scan_lines<T: Carry, O: FromCarry<T::Carry>, const N: usize>(
    kind: Scan,
    x: [*const T; N],
    x_step: isize,
    out: [*mut O; N],
    out_step: isize,
    depth: usize,
) {
    macro_rules! scan {
        ($kind:expr) => {{
            let mut carries = [T::NOTHING[$kind as usize]; N];
            for piece in interrupt::pieces(depth) {
                for i in piece.start as isize..piece.end as isize {
                    for j in 0..N {
                        // SAFETY: the caller's promise.
                        unsafe {
                            carries[j] = T::carry($kind, carries[j], x[j].offset(i * x_step).read());
                            out[j].offset(i * out_step).write(O::from_carry(carries[j]));
                        }
                    }
                }
            }
        }};
    }
    match kind {
        Scan::Sum => scan!(Scan::Sum),
        Scan::Product => scan!(Scan::Product),
    }
}

/// Carries a row on.
///
/// # Safety
/// As many elements as carries are readable and writable.
unsafe fn scan_row<T: Carry, O: FromCarry<T::Carry>>(kind: Scan, x: *const T, carries: &mut [T::Carry], out: *mut O) {
    macro_rules! scan {
        ($kind:expr) => {
            for (j, carry) in carries.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                unsafe {
                    *carry = T::carry($kind, *carry, x.add(j).read());
                    out.add(j).write(O::from_carry(*carry));
                }
            }
        };
    }
    match kind {
        Scan::Sum => scan!(Scan::Sum),
        Scan::Product => scan!(Scan::Product),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::set_num_threads;
    use crate::parallel::turns::settings;
    use half::{bf16, f16};
    use rustnn_tensor::dtype::Element;

    /// An array in memory of its own, seen through a layout.
    struct Sample<T> {
        data: Vec<T>,
        shape: Vec<usize>,
        strides: Vec<isize>,
    }

    impl<T: Copy> Sample<T> {
        fn src(&self) -> Src<'_, T> {
            // SAFETY: the layouts below reach `data` only.
            unsafe { Src::new(self.data.as_ptr(), &self.shape, &self.strides) }
        }

        fn at(&self, index: &[usize]) -> T {
            self.data[index.iter().zip(&self.strides).map(|(&i, &s)| i as isize * s).sum::<isize>() as usize]
        }
    }

    fn row_major(shape: &[usize]) -> Vec<isize> {
        let mut strides = vec![1isize; shape.len()];
        for d in (1..shape.len()).rev() {
            strides[d - 1] = strides[d] * shape[d].max(1) as isize;
        }
        strides
    }

    /// Every layout of a shape: contiguous, dimensions reversed, every second element, the first dimension expanded.
    fn layouts<T: Copy>(shape: &[usize], value: impl Fn(usize) -> T) -> Vec<Sample<T>> {
        let len = shape.iter().product::<usize>();
        let fill = |n: usize| (0..n.max(1)).map(&value).collect::<Vec<_>>();
        let mut all = vec![Sample { data: fill(len), shape: shape.to_vec(), strides: row_major(shape) }];
        let reversed: Vec<usize> = shape.iter().rev().copied().collect();
        let strides: Vec<isize> = row_major(&reversed).into_iter().rev().collect();
        all.push(Sample { data: fill(len), shape: shape.to_vec(), strides });
        let strides: Vec<isize> = row_major(shape).iter().map(|s| s * 2).collect();
        all.push(Sample { data: fill(2 * len), shape: shape.to_vec(), strides });
        if !shape.is_empty() {
            let mut strides = row_major(shape);
            strides[0] = 0;
            all.push(Sample { data: fill(len), shape: shape.to_vec(), strides });
        }
        all
    }

    fn indices(shape: &[usize]) -> Vec<Vec<usize>> {
        let mut all = vec![vec![]];
        for &size in shape {
            all = all.into_iter().flat_map(|index: Vec<usize>| (0..size).map(move |i| [index.clone(), vec![i]].concat())).collect();
        }
        all
    }

    /// The values that each output folds, in order.
    fn groups<T: Copy>(x: &Sample<T>, dims: &[usize]) -> Vec<Vec<T>> {
        let kept: Vec<usize> = (0..x.shape.len()).filter(|d| !dims.contains(d)).collect();
        let out_shape: Vec<usize> = kept.iter().map(|&d| x.shape[d]).collect();
        let mut groups = vec![vec![]; out_shape.iter().product()];
        for index in indices(&x.shape) {
            let place = kept.iter().fold(0, |place, &d| place * x.shape[d] + index[d]);
            groups[place].push(x.at(&index));
        }
        groups
    }

    fn reduced<T: Widen, O: Narrow<T::Wide> + Default>(fold: Fold, x: &Sample<T>, dims: &[usize], finish: Finish) -> Vec<O> {
        let count = (0..x.shape.len()).filter(|d| !dims.contains(d)).map(|d| x.shape[d]).product();
        let mut out = vec![O::default(); count];
        let (shape, strides) = ([count], [1]);
        // SAFETY: `out` has `count` elements.
        reduce(fold, x.src(), dims, finish, unsafe { Dst::new(out.as_mut_ptr(), &shape, &strides) });
        out
    }

    fn subsets(rank: usize) -> Vec<Vec<usize>> {
        (0..1usize << rank).map(|bits| (0..rank).filter(|d| bits >> d & 1 == 1).collect()).collect()
    }

    const SHAPES: &[&[usize]] = &[
        &[],
        &[1],
        &[0],
        &[7],
        &[1000],
        &[5000],
        &[3, 0],
        &[0, 4],
        &[8, 32],
        &[64, 10],
        &[9, 17],
        &[1, 33],
        &[1100, 3],
        &[3, 2500],
        &[2, 3, 4],
        &[5, 70, 9],
        &[3, 1, 131],
        &[2, 3, 5, 4],
        &[4, 6, 1, 80],
    ];

    fn number(i: usize) -> f64 {
        ((i.wrapping_mul(2654435761) >> 7) % 2001) as f64 / 1000.0 - 1.0
    }

    fn sums_of<T: Widen + Narrow<T::Wide> + Default>(value: impl Fn(f64) -> T + Copy, to_f64: impl Fn(T) -> f64, tolerance: f64) {
        for shape in SHAPES {
            for x in layouts(shape, |i| value(number(i))) {
                for dims in subsets(shape.len()) {
                    let groups = groups(&x, &dims);
                    let check = |fold: Fold, finish: Finish, expected: &dyn Fn(&[f64]) -> f64| {
                        let out: Vec<T> = reduced(fold, &x, &dims, finish);
                        for (out, group) in out.iter().zip(&groups) {
                            let group: Vec<f64> = group.iter().map(|&x| to_f64(x)).collect();
                            let (out, expected) = (to_f64(*out), expected(&group));
                            let scale = group.iter().map(|x| x.abs()).sum::<f64>().max(1.0);
                            let close = (out - expected).abs() <= tolerance * scale || out == expected || out.is_nan() && expected.is_nan();
                            assert!(close, "{fold:?} {shape:?} {:?} over {dims:?}: {out}, expected {expected}", x.strides);
                        }
                    };
                    check(Fold::Sum, Finish::Plain, &|x| x.iter().sum());
                    check(Fold::SumSquares, Finish::OverRoot(1.0), &|x| x.iter().map(|x| x * x).sum::<f64>().sqrt());
                    check(Fold::SumAbs, Finish::Plain, &|x| x.iter().map(|x| x.abs()).sum());
                    check(Fold::Sum, Finish::Over(7.0), &|x| x.iter().sum::<f64>() / 7.0);
                    check(Fold::Max, Finish::Plain, &|x| x.iter().copied().fold(f64::NEG_INFINITY, f64::max));
                    check(Fold::Min, Finish::Plain, &|x| x.iter().copied().fold(f64::INFINITY, f64::min));
                    check(Fold::MaxAbs, Finish::Plain, &|x| x.iter().copied().map(f64::abs).fold(0.0, f64::max));
                }
            }
        }
    }

    #[test]
    fn f32_folds_agree_with_f64_over_every_set_of_dimensions() {
        sums_of(|x| x as f32, |x| x as f64, 6e-7);
    }

    #[test]
    fn f64_folds_agree_over_every_set_of_dimensions() {
        sums_of(|x| x, |x| x, 1e-13);
    }

    #[test]
    fn half_folds_are_computed_in_f32_and_rounded_once() {
        sums_of(f16::from_f64, f16::to_f64, 1e-3);
        sums_of(bf16::from_f64, bf16::to_f64, 8e-3);
    }

    #[test]
    fn products_agree_with_f64() {
        for x in layouts(&[5, 70, 9], |i| 1.0 + number(i) as f32 * 0.1) {
            for dims in subsets(3) {
                let out: Vec<f32> = reduced(Fold::Product, &x, &dims, Finish::Plain);
                for (out, group) in out.iter().zip(groups(&x, &dims)) {
                    let expected: f64 = group.iter().map(|&x| x as f64).product();
                    assert!((*out as f64 / expected - 1.0).abs() < 2e-5, "{out} {expected}");
                }
            }
        }
    }

    fn integers<T: Widen<Wide = i64> + Narrow<i64> + Default + PartialEq>(
        value: impl Fn(i64) -> T + Copy,
        to_i64: impl Fn(T) -> i64 + Copy,
    ) {
        for shape in SHAPES {
            for x in layouts(shape, |i| value((number(i) * 120.0) as i64)) {
                for dims in subsets(shape.len()) {
                    let groups = groups(&x, &dims);
                    let sums: Vec<i64> = reduced(Fold::Sum, &x, &dims, Finish::Plain);
                    let products: Vec<i64> = reduced(Fold::Product, &x, &dims, Finish::Plain);
                    let any: Vec<bool> = reduced(Fold::Any, &x, &dims, Finish::Plain);
                    let all: Vec<bool> = reduced(Fold::All, &x, &dims, Finish::Plain);
                    let max: Vec<T> = reduced(Fold::Max, &x, &dims, Finish::Plain);
                    let min: Vec<T> = reduced(Fold::Min, &x, &dims, Finish::Plain);
                    for (i, group) in groups.iter().enumerate() {
                        let group: Vec<i64> = group.iter().map(|&x| to_i64(x)).collect();
                        assert_eq!(sums[i], group.iter().sum::<i64>());
                        assert_eq!(products[i], group.iter().fold(1i64, |p, &x| p.wrapping_mul(x)));
                        assert_eq!(any[i], group.iter().any(|&x| x != 0));
                        assert_eq!(all[i], group.iter().all(|&x| x != 0), "{shape:?} {dims:?}");
                        if !group.is_empty() {
                            assert_eq!(to_i64(max[i]), *group.iter().max().unwrap());
                            assert_eq!(to_i64(min[i]), *group.iter().min().unwrap());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn integer_folds_are_exact() {
        integers(|x| x, |x: i64| x);
        integers(|x| x as i32, |x: i32| x as i64);
        integers(|x| x as i16, |x: i16| x as i64);
        integers(|x| x as i8, |x: i8| x as i64);
        integers(|x| x as u8, |x: u8| x as i64);
        integers(|x| x > -60, |x: bool| x as i64);
    }

    #[test]
    fn a_nan_is_the_extreme_wherever_it_stands() {
        for n in [1, 5, 8, 31, 64, 100, 3000] {
            for place in [0, n / 2, n - 1] {
                let x = Sample {
                    data: (0..n).map(|i| if i == place { f32::NAN } else { i as f32 }).collect(),
                    shape: vec![n],
                    strides: vec![1],
                };
                for fold in [Fold::Max, Fold::Min, Fold::MaxAbs, Fold::Sum] {
                    assert!(reduced::<_, f32>(fold, &x, &[0], Finish::Plain)[0].is_nan());
                }
                assert!(reduced::<_, bool>(Fold::Any, &x, &[0], Finish::Plain)[0]);
                let rows = Sample { data: x.data.iter().flat_map(|&v| [v, 1.0, v]).collect(), shape: vec![n, 3], strides: vec![3, 1] };
                let max: Vec<f32> = reduced(Fold::Max, &rows, &[0], Finish::Plain);
                assert!(max[0].is_nan() && max[1] == 1.0 && max[2].is_nan());
            }
        }
    }

    #[test]
    fn infinities_sum_as_they_should() {
        let x = Sample { data: vec![f32::INFINITY, 1.0, f32::NEG_INFINITY], shape: vec![3], strides: vec![1] };
        assert!(reduced::<_, f32>(Fold::Sum, &x, &[0], Finish::Plain)[0].is_nan());
        assert_eq!(reduced::<_, f32>(Fold::Max, &x, &[0], Finish::Plain)[0], f32::INFINITY);
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let _turn = settings();
        for (shape, dims) in [
            (vec![300_000], vec![0]),
            (vec![3, 100_001], vec![1]),
            (vec![5000, 70], vec![0]),
            (vec![6000, 300], vec![0]),
            (vec![40, 30, 200], vec![0, 2]),
            (vec![40, 30, 200], vec![1]),
        ] {
            let len = shape.iter().product::<usize>();
            let x = Sample { data: (0..len).map(|i| number(i) as f32).collect(), strides: row_major(&shape), shape };
            let mut first: Option<Vec<u32>> = None;
            for threads in [16, 3, 1, 2] {
                set_num_threads(threads);
                for fold in [Fold::Sum, Fold::SumSquares] {
                    let bits: Vec<u32> = reduced::<_, f32>(fold, &x, &dims, Finish::Plain).iter().map(|x| x.to_bits()).collect();
                    if fold == Fold::Sum {
                        assert_eq!(*first.get_or_insert_with(|| bits.clone()), bits);
                    }
                }
            }
        }
    }

    #[test]
    fn a_long_sum_is_as_exact_as_its_rounding() {
        let x: Vec<f32> = (0..1 << 22).map(|i| number(i) as f32 + 1.0).collect();
        let expected: f64 = x.iter().map(|&x| x as f64).sum();
        let line = Sample { shape: vec![x.len()], strides: vec![1], data: x };
        let sum = reduced::<_, f32>(Fold::Sum, &line, &[0], Finish::Plain)[0] as f64;
        assert!((sum / expected - 1.0).abs() < 2e-7, "{sum} {expected}");
        let columns = Sample { shape: vec![1 << 21, 2], strides: vec![2, 1], data: line.data };
        let sums: Vec<f32> = reduced(Fold::Sum, &columns, &[0], Finish::Plain);
        assert!(((sums[0] as f64 + sums[1] as f64) / expected - 1.0).abs() < 2e-7);
    }

    #[test]
    fn more_partial_results_than_are_held_at_once_add_up() {
        // Lines and columns, each of an array that repeats a few numbers in memory.
        let long = (1 << 27) + 5;
        let lines = Sample { shape: vec![3, long], strides: vec![1, 0], data: vec![1.0f64, 2.0, 4.0] };
        assert_eq!(reduced::<_, f64>(Fold::Sum, &lines, &[1], Finish::Plain), [1.0, 2.0, 4.0].map(|x| x * long as f64));
        let data: Vec<f64> = (0..3000).map(|i| i as f64).collect();
        let tall = Sample { shape: vec![20_001, 3000], strides: vec![0, 1], data: data.clone() };
        assert_eq!(reduced::<_, f64>(Fold::Sum, &tall, &[0], Finish::Plain), data.iter().map(|x| x * 20_001.0).collect::<Vec<_>>());
        assert_eq!(reduced::<_, f64>(Fold::Max, &tall, &[0], Finish::Plain), data);
        // As many groups as make several windows of whole ones.
        let groups = Sample { shape: vec![50, 2000, 20], strides: vec![20, 0, 1], data: data[..1000].to_vec() };
        assert_eq!(reduced::<_, f64>(Fold::Sum, &groups, &[1], Finish::Over(2000.0)), data[..1000]);
    }

    #[test]
    fn a_broadcast_gradient_sums_back_to_its_shape() {
        for (from, to) in [
            (vec![64, 256], vec![256]),
            (vec![64, 256], vec![1, 256]),
            (vec![64, 256], vec![64, 1]),
            (vec![64, 256], vec![]),
            (vec![64, 256], vec![64, 256]),
            (vec![2, 3, 4, 5], vec![3, 1, 5]),
            (vec![2, 3, 4, 5], vec![3, 1, 1]),
            (vec![2, 1, 5], vec![1, 5]),
            (vec![0, 3], vec![3]),
        ] {
            let (from, to): (Vec<usize>, Vec<usize>) = (from, to);
            for x in layouts(&from, |i| number(i) as f32) {
                let mut out = vec![f32::NAN; to.iter().product()];
                let strides = row_major(&to);
                // SAFETY: `out` has that shape.
                sum_to(x.src(), unsafe { Dst::new(out.as_mut_ptr(), &to, &strides) });
                let lead = from.len() - to.len();
                let dims: Vec<usize> = (0..from.len()).filter(|&d| d < lead || to[d - lead] == 1).collect();
                for (out, group) in out.iter().zip(groups(&x, &dims)) {
                    let expected: f64 = group.iter().map(|&x| x as f64).sum();
                    assert!((*out as f64 - expected).abs() < 1e-4);
                }
            }
        }
    }

    #[test]
    fn variances_and_means_agree_with_f64() {
        for shape in SHAPES {
            for x in layouts(shape, |i| 3.0 + number(i) as f32) {
                for dims in subsets(shape.len()) {
                    for (correction, root) in [(0.0, false), (1.0, false), (1.0, true), (2.0, false)] {
                        let groups = groups(&x, &dims);
                        let (mut out, mut means) = (vec![0f32; groups.len()], vec![0f32; groups.len()]);
                        let (out_shape, strides) = ([groups.len()], [1]);
                        // SAFETY: both have that many elements.
                        let (to, means_to) = unsafe {
                            (Dst::new(out.as_mut_ptr(), &out_shape, &strides), Dst::new(means.as_mut_ptr(), &out_shape, &strides))
                        };
                        variance(x.src(), &dims, correction, root, to, Some(means_to));
                        for (i, group) in groups.iter().enumerate() {
                            let n = group.len() as f64;
                            let mean = group.iter().map(|&x| x as f64).sum::<f64>() / n;
                            let var = group.iter().map(|&x| (x as f64 - mean).powi(2)).sum::<f64>() / (n - correction).max(0.0);
                            let expected = if root { var.sqrt() } else { var };
                            let close = |out: f32, expected: f64| {
                                (out as f64 - expected).abs() < 3e-6 || out.is_nan() && expected.is_nan() || out as f64 == expected
                            };
                            assert!(close(means[i], mean), "{} {mean}", means[i]);
                            // A single value may differ from its rounded mean by nothing.
                            assert!(close(out[i], expected) || n <= correction, "{shape:?} {dims:?} {} {expected}", out[i]);
                        }
                    }
                }
            }
        }
    }

    fn searched<T: Widen + Default + Element>(extreme: Extreme, x: &Sample<T>, dim: usize) -> (Vec<T>, Vec<i64>) {
        let count = (0..x.shape.len()).filter(|&d| d != dim).map(|d| x.shape[d]).product();
        let (mut values, mut found) = (vec![T::default(); count], vec![-1; count]);
        let (shape, strides) = ([count], [1]);
        // SAFETY: both have `count` elements.
        unsafe {
            let values = Dst::new(values.as_mut_ptr(), &shape, &strides);
            arg_extreme(extreme, x.src(), dim, Some(values), Dst::new(found.as_mut_ptr(), &shape, &strides));
        }
        (values, found)
    }

    #[test]
    fn the_first_extreme_is_found_and_nan_before_all() {
        for shape in SHAPES.iter().filter(|shape| !shape.is_empty()) {
            for with_nan in [false, true] {
                // Few distinct values, so that there are many equals.
                let value = |i: usize| if with_nan && i % 97 == 55 { f32::NAN } else { (number(i) * 5.0).round() as f32 };
                for x in layouts(shape, value) {
                    for dim in (0..shape.len()).filter(|&d| shape[d] > 0) {
                        for extreme in [Extreme::Max, Extreme::Min] {
                            let (values, found) = searched(extreme, &x, dim);
                            for (i, group) in groups(&x, &[dim]).iter().enumerate() {
                                let mut best = 0;
                                for (j, &v) in group.iter().enumerate() {
                                    let better = if extreme == Extreme::Max { v > group[best] } else { v < group[best] };
                                    if !group[best].is_nan() && (v.is_nan() || better) {
                                        best = j;
                                    }
                                }
                                assert_eq!(found[i], best as i64, "{shape:?} {:?} {dim}", x.strides);
                                assert!(values[i] == group[best] || values[i].is_nan() && group[best].is_nan());
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn integer_extremes_are_found_exactly() {
        let x = Sample { data: vec![i64::MAX - 1, i64::MAX, i64::MIN, i64::MAX], shape: vec![4], strides: vec![1] };
        assert_eq!(searched(Extreme::Max, &x, 0), (vec![i64::MAX], vec![1]));
        assert_eq!(searched(Extreme::Min, &x, 0), (vec![i64::MIN], vec![2]));
        let x = Sample { data: vec![3u8, 255, 0, 255], shape: vec![2, 2], strides: vec![2, 1] };
        assert_eq!(searched(Extreme::Max, &x, 0), (vec![3, 255], vec![0, 0]));
    }

    #[test]
    fn scans_agree_with_f64_forwards_and_backwards() {
        for shape in SHAPES.iter().filter(|shape| !shape.is_empty()) {
            for x in layouts(shape, |i| 1.0 + number(i) as f32 * 0.01) {
                for dim in 0..shape.len() {
                    for (kind, backwards) in [(Scan::Sum, false), (Scan::Sum, true), (Scan::Product, false)] {
                        let mut out = vec![0f32; shape.iter().product()];
                        let strides = row_major(shape);
                        // SAFETY: `out` has that shape.
                        scan(kind, backwards, x.src(), dim, unsafe { Dst::new(out.as_mut_ptr(), shape, &strides) });
                        let out = Sample { data: out, shape: shape.to_vec(), strides };
                        for (out, group) in groups(&out, &[dim]).iter().zip(groups(&x, &[dim])) {
                            let mut carry = if kind == Scan::Sum { 0.0 } else { 1.0 };
                            for i in 0..group.len() {
                                let i = if backwards { group.len() - 1 - i } else { i };
                                carry = if kind == Scan::Sum { carry + group[i] as f64 } else { carry * group[i] as f64 };
                                assert_eq!(out[i], carry as f32);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn integer_scans_wrap() {
        let x = Sample { data: vec![i64::MAX, 1, 5], shape: vec![3], strides: vec![1] };
        let mut out = [0i64; 3];
        // SAFETY: three elements.
        scan(Scan::Sum, false, x.src(), 0, unsafe { Dst::new(out.as_mut_ptr(), &[3], &[1]) });
        assert_eq!(out, [i64::MAX, i64::MIN, i64::MIN + 5]);
    }
}
