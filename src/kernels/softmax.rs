//! Softmax and log-softmax along one dimension, forwards and backwards.
//!
//! An array is seen as `outer × n × inner`. Where `inner` is 1, lanes lie along the row; else across `inner`, one vector of columns at
//! a time. 16-bit floats are computed in f32 and rounded once. A row with a NaN or an inf, and a row of -inf only, is NaN
//! throughout, as in PyTorch. Maximum error of f32 against f64: 8e-7 relative (softmax), 8e-7 of the row's magnitude (log-softmax).

use crate::copy::Shared;
use crate::level::dispatch;
use crate::memory::{Dst, Src};
use crate::parallel::par_for;
use crate::wide::{Float, MAX_LANES, Real, Wide, gather, load, load_some, scatter, store, store_some};
use fearless_simd::{Select, Simd, SimdBase, SimdFloat};

/// Elements worth a chunk of a parallel loop: some 10 µs of exponentials.
const GRAIN: usize = 1 << 14;
/// Vectors whose sum is taken in sequence; sums of more go in two levels.
const RUN: usize = 64;

/// `out = softmax(x)` along `dim`, or its logarithm if `log`. `x` and `out` are contiguous, of one shape; they may be the same memory.
pub fn softmax<T: Real>(log: bool, x: Src<T>, dim: usize, out: Dst<T>) {
    debug_assert!(x.is_contiguous() && out.is_contiguous() && x.shape == out.shape && dim < x.shape.len());
    // SAFETY: `x` and `out` vouch for their memory.
    unsafe {
        let rows = Rows::of(x.shape, dim, [x.ptr], out.ptr);
        if log { rows.run(&Forward::<true>) } else { rows.run(&Forward::<false>) }
    }
}

/// The gradient of [`softmax`] from its result `y`: `dx = y (dy - Σ dy y)`, for the logarithm `dx = dy - exp(y) Σ dy`. All are
/// contiguous, of one shape; `dx` may be `dy` or `y`.
pub fn softmax_backward<T: Real>(log: bool, dy: Src<T>, y: Src<T>, dim: usize, dx: Dst<T>) {
    debug_assert!(dy.is_contiguous() && y.is_contiguous() && dx.is_contiguous() && dim < y.shape.len());
    debug_assert!(dy.shape == y.shape && dx.shape == y.shape);
    // SAFETY: the arrays vouch for their memory.
    unsafe {
        let rows = Rows::of(y.shape, dim, [dy.ptr, y.ptr], dx.ptr);
        if log { rows.run(&Backward::<true>) } else { rows.run(&Backward::<false>) }
    }
}

/// `out = ln Σ exp(x)` along `dim`, -inf for a row of -inf and for an empty one, inf where there is an inf. `x` and `out` are
/// contiguous, `out` has the other dimensions' elements.
pub fn logsumexp<T: Real>(x: Src<T>, dim: usize, out: Dst<T>) {
    debug_assert!(x.is_contiguous() && out.is_contiguous() && dim < x.shape.len());
    debug_assert_eq!(out.len(), (0..x.shape.len()).filter(|&d| d != dim).map(|d| x.shape[d]).product::<usize>());
    // SAFETY: `x` and `out` vouch for their memory.
    unsafe {
        if x.shape[dim] == 0 {
            return (0..out.len()).for_each(|i| out.ptr.add(i).write(T::narrow(T::Float::LOWEST)));
        }
        let rows = Rows::of(x.shape, dim, [x.ptr], std::ptr::null_mut());
        rows.run(&LogSumExp { out: Shared::new(out.ptr) });
    }
}

/// What is done with each row of `N` arrays. `item` counts rows: `outer · inner` of them.
pub(crate) trait RowKernel<L: Float, const N: usize>: Sync {
    /// Rows up to this length are transposed, so that lanes lie across rows: where the work on a vector outweighs that.
    const SHORT: usize;

    /// A row of `n` contiguous elements.
    ///
    /// # Safety
    /// `n > 0` elements are readable at each `x` and writable at `out` (unless no output is asked for), which may be one of them.
    unsafe fn line<S: Simd>(&self, simd: S, x: [*const L; N], out: *mut L, n: usize, item: usize);

    /// `width` neighbouring rows, at most a vector: element `i` of them at `x + i · stride`.
    ///
    /// # Safety
    /// As for `line`.
    unsafe fn columns<S: Simd>(&self, simd: S, x: Columns<L, N>, item: usize);
}

/// Some columns of arrays.
#[derive(Clone, Copy)]
pub(crate) struct Columns<L, const N: usize> {
    pub x: [*const L; N],
    pub out: *mut L,
    pub stride: usize,
    pub n: usize,
    pub width: usize,
}

impl<L: Float, const N: usize> Columns<L, N> {
    /// Element `i` of the columns of array `which`; lanes beyond the width are 0.
    ///
    /// # Safety
    /// `i < n`, and the columns are readable.
    #[inline(always)]
    pub unsafe fn get<S: Simd>(&self, simd: S, which: usize, i: usize) -> L::Native<S> {
        // SAFETY: the caller's promise.
        unsafe {
            let ptr = self.x[which].add(i * self.stride);
            if self.width == L::Native::<S>::LEN {
                load(simd, ptr)
            } else {
                load_some(simd, ptr, self.width, L::Native::<S>::splat(simd, L::ZERO))
            }
        }
    }

    /// # Safety
    /// `i < n`, and the columns are writable.
    #[inline(always)]
    pub unsafe fn set<S: Simd>(&self, i: usize, v: L::Native<S>) {
        // SAFETY: the caller's promise.
        unsafe {
            let ptr = self.out.add(i * self.stride);
            if self.width == L::Native::<S>::LEN { store(v, ptr) } else { store_some(v, ptr, self.width) }
        }
    }
}

/// Arrays seen as `outer × n × inner`, the rows along `n`.
pub(crate) struct Rows<T, const N: usize> {
    outer: usize,
    n: usize,
    inner: usize,
    x: [Shared<T>; N],
    /// Null if there is no output of this kind.
    out: Shared<T>,
}

/// The greatest [`RowKernel::SHORT`].
const SHORT: usize = 32;
/// Columns of a packed tile.
const TILE: usize = 64;
/// An array of columns of more bytes than this is packed tile by tile: its rows lie in as many pages, and often in one set of
/// the cache.
const PACKED_BYTES: usize = 1 << 15;

impl<T: Real, const N: usize> Rows<T, N> {
    pub fn of(shape: &[usize], dim: usize, x: [*const T; N], out: *mut T) -> Self {
        let (outer, inner) = (shape[..dim].iter().product(), shape[dim + 1..].iter().product());
        Self::new(outer, shape[dim], inner, x, out)
    }

    pub fn new(outer: usize, n: usize, inner: usize, x: [*const T; N], out: *mut T) -> Self {
        Rows { outer, n, inner, x: x.map(Shared::read_only), out: Shared::new(out) }
    }

    /// # Safety
    /// `outer · n · inner` elements are readable at each `x` and writable at `out`, unless it is null.
    pub unsafe fn run<K: RowKernel<T::Float, N>>(&self, kernel: &K) {
        let Rows { outer, n, inner, .. } = *self;
        if outer * n * inner == 0 {
            return;
        }
        if inner == 1 {
            let per_chunk = (GRAIN / n).clamp(1, outer);
            // SAFETY: the caller's promise; chunks have disjoint rows.
            let chunk = |i: usize| unsafe { self.lines(kernel, i * per_chunk, outer.min((i + 1) * per_chunk)) };
            return if outer == per_chunk { chunk(0) } else { par_for(outer.div_ceil(per_chunk), &chunk) };
        }
        let packed = !T::SAME || n * inner * size_of::<T>() > PACKED_BYTES;
        let tile = if packed { (GRAIN * 2 / n).clamp(MAX_LANES, TILE).next_multiple_of(MAX_LANES) } else { TILE };
        let per_outer = inner.div_ceil(tile);
        let units = outer * per_outer;
        let per_chunk = (GRAIN / (n * tile.min(inner))).clamp(1, units);
        // SAFETY: the caller's promise; units have disjoint columns.
        let chunk = |i: usize| unsafe {
            let mut scratch: Vec<T::Float> = Vec::with_capacity(if packed { N * n * tile } else { 0 });
            for unit in i * per_chunk..units.min((i + 1) * per_chunk) {
                let (outer, first) = (unit / per_outer, unit % per_outer * tile);
                self.columns(kernel, outer, first, tile.min(inner - first), packed.then_some(scratch.as_mut_ptr()));
            }
        };
        if units == per_chunk { chunk(0) } else { par_for(units.div_ceil(per_chunk), &chunk) }
    }

    unsafe fn lines<K: RowKernel<T::Float, N>>(&self, kernel: &K, from: usize, to: usize) {
        let n = self.n;
        // SAFETY: the caller's promise.
        unsafe {
            let x = self.x.map(|x| x.get().add(from * n).cast_const());
            let out = if self.out.get().is_null() { self.out.get() } else { self.out.get().add(from * n) };
            if T::SAME {
                return lines(kernel, x.map(|x| x.cast()), out.cast(), n, from, to - from);
            }
            let batch = (GRAIN / n).clamp(1, to - from);
            let mut scratch: Vec<T::Float> = Vec::with_capacity(N * batch * n);
            let wide: [*mut T::Float; N] = std::array::from_fn(|k| scratch.as_mut_ptr().add(k * batch * n));
            let wide_out = if out.is_null() { std::ptr::null_mut() } else { wide[0] };
            for start in (0..to - from).step_by(batch) {
                let rows = batch.min(to - from - start);
                x.iter().zip(wide).for_each(|(x, wide)| gather(x.add(start * n), 1, rows * n, wide));
                lines(kernel, wide.map(|wide| wide.cast_const()), wide_out, n, from + start, rows);
                if !out.is_null() {
                    scatter(wide_out, rows * n, out.add(start * n), 1);
                }
            }
        }
    }

    /// `width` columns from `first` on, through `scratch` if there is one.
    unsafe fn columns<K: RowKernel<T::Float, N>>(
        &self,
        kernel: &K,
        outer: usize,
        first: usize,
        width: usize,
        scratch: Option<*mut T::Float>,
    ) {
        let Rows { n, inner, .. } = *self;
        let (at, item) = (outer * n * inner + first, outer * inner + first);
        // SAFETY: the caller's promise.
        unsafe {
            let x = self.x.map(|x| x.get().add(at).cast_const());
            let out = if self.out.get().is_null() { self.out.get() } else { self.out.get().add(at) };
            let Some(scratch) = scratch else {
                let columns = Columns { x: x.map(|x| x.cast()), out: out.cast(), stride: inner, n, width };
                return columns_of(kernel, columns, item);
            };
            let wide: [*mut T::Float; N] = std::array::from_fn(|k| scratch.add(k * n * width));
            for (x, wide) in x.iter().zip(wide) {
                (0..n).for_each(|i| gather(x.add(i * inner), 1, width, wide.add(i * width)));
            }
            let wide_out = if out.is_null() { std::ptr::null_mut() } else { wide[0] };
            columns_of(kernel, Columns { x: wide.map(|wide| wide.cast_const()), out: wide_out, stride: width, n, width }, item);
            if !out.is_null() {
                (0..n).for_each(|i| scatter(wide_out.add(i * width), width, out.add(i * inner), 1));
            }
        }
    }
}

/// `rows` contiguous rows of `n`, the first of them `item`.
///
/// # Safety
/// They are readable, and writable at `out` unless it is null.
unsafe fn lines<L: Float, const N: usize, K: RowKernel<L, N>>(
    kernel: &K,
    x: [*const L; N],
    out: *mut L,
    n: usize,
    item: usize,
    rows: usize,
) {
    // SAFETY: the caller's promise.
    dispatch!(crate::level(), simd => unsafe {
        let len = lanes::<L, _>(simd);
        let mut row = 0;
        const { assert!(K::SHORT <= SHORT) };
        if n <= K::SHORT {
            let mut tiles = [[std::mem::MaybeUninit::<L>::uninit(); SHORT * MAX_LANES]; N];
            let tiles = tiles.each_mut().map(|tile| tile.as_mut_ptr().cast::<L>());
            while row + len <= rows {
                for k in 0..N {
                    transpose(x[k].add(row * n), n, 1, tiles[k], len, n, len);
                }
                let to = if out.is_null() { out } else { tiles[0] };
                kernel.columns(simd, Columns { x: tiles.map(|tile| tile.cast_const()), out: to, stride: len, n, width: len }, item + row);
                if !out.is_null() {
                    transpose(tiles[0], 1, len, out.add(row * n), 1, n, len);
                }
                row += len;
            }
        }
        while row < rows {
            let to = if out.is_null() { out } else { out.add(row * n) };
            kernel.line(simd, std::array::from_fn(|k| x[k].add(row * n)), to, n, item + row);
            row += 1;
        }
    })
}

/// `out[i · out_stride + j · out_step] = x[j · step + i · stride]` for `i < n`, `j < lanes`, where `out_step` is 1 if `out_stride` is not,
/// else `n`.
///
/// # Safety
/// All are in range.
#[inline(always)]
unsafe fn transpose<L: Float>(x: *const L, step: usize, stride: usize, out: *mut L, out_stride: usize, n: usize, lanes: usize) {
    let out_step = if out_stride == 1 { n } else { 1 };
    for i in 0..n {
        for j in 0..lanes {
            // SAFETY: the caller's promise.
            unsafe { out.add(i * out_stride + j * out_step).write(x.add(j * step + i * stride).read()) };
        }
    }
}

/// Any number of columns, the first of them `item`.
///
/// # Safety
/// They are readable, and writable at `out` unless it is null.
unsafe fn columns_of<L: Float, const N: usize, K: RowKernel<L, N>>(kernel: &K, x: Columns<L, N>, item: usize) {
    // SAFETY: the caller's promise.
    dispatch!(crate::level(), simd => unsafe {
        let len = lanes::<L, _>(simd);
        for first in (0..x.width).step_by(len) {
            let out = if x.out.is_null() { x.out } else { x.out.add(first) };
            let width = len.min(x.width - first);
            kernel.columns(simd, Columns { x: std::array::from_fn(|k| x.x[k].add(first)), out, width, ..x }, item + first);
        }
    })
}

#[inline(always)]
fn lanes<L: Float, S: Simd>(_: S) -> usize {
    L::Native::<S>::LEN
}

/// `Σ term(i, width)` over the vectors of a row of `n`, `term` the vector at element `i`, 0 beyond the width. `K` sums at once hide
/// the latency of the addition where terms are cheap; every `RUN` rounds they go into a total.
#[inline(always)]
pub(crate) fn sum_line<L: Float, S: Simd, const K: usize>(simd: S, n: usize, mut term: impl FnMut(usize, usize) -> L::Native<S>) -> L {
    let len = L::Native::<S>::LEN;
    let zero = L::Native::<S>::splat(simd, L::ZERO);
    let mut total = zero;
    let mut i = 0;
    while i + K * len <= n {
        let end = n.min(i + RUN * K * len);
        let mut sums = [zero; K];
        while i + K * len <= end {
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum += term(i + k * len, len);
            }
            i += K * len;
        }
        total += sum_of::<L, S, K>(sums);
    }
    while K > 1 && i + len <= n {
        total += term(i, len);
        i += len;
    }
    if i < n {
        total += term(i, n - i);
    }
    total.reduce_sum()
}

/// Adds vectors, halves first; `K` is a power of 2.
#[inline(always)]
fn sum_of<L: Float, S: Simd, const K: usize>(mut sums: [L::Native<S>; K]) -> L::Native<S> {
    let mut half = K / 2;
    while half > 0 {
        for k in 0..half {
            sums[k] += sums[k + half];
        }
        half /= 2;
    }
    sums[0]
}

/// `Σ term(i)` for `i < n`, vector by vector, in the same way.
#[inline(always)]
pub(crate) fn sum_columns<L: Float, S: Simd>(simd: S, n: usize, mut term: impl FnMut(usize) -> L::Native<S>) -> L::Native<S> {
    let zero = L::Native::<S>::splat(simd, L::ZERO);
    let mut total = zero;
    let mut i = 0;
    while i + 4 <= n {
        let end = n.min(i + 4 * RUN);
        let mut sums = [zero; 4];
        while i + 4 <= end {
            for (k, sum) in sums.iter_mut().enumerate() {
                *sum += term(i + k);
            }
            i += 4;
        }
        total += sum_of::<L, S, 4>(sums);
    }
    while i < n {
        total += term(i);
        i += 1;
    }
    total
}

/// The greatest element of a row; anything if there is a NaN.
///
/// # Safety
/// `n > 0` elements are readable.
#[inline(always)]
pub(crate) unsafe fn greatest<L: Float, S: Simd>(simd: S, x: *const L, n: usize) -> L {
    let len = L::Native::<S>::LEN;
    let lowest = L::Native::<S>::splat(simd, L::LOWEST);
    let mut max = lowest;
    let mut i = 0;
    // SAFETY: the caller's promise.
    unsafe {
        if n >= 4 * len {
            let mut maxima = [lowest; 4];
            while i + 4 * len <= n {
                for (k, max) in maxima.iter_mut().enumerate() {
                    *max = max.max(load::<S, L::Native<S>>(simd, x.add(i + k * len)));
                }
                i += 4 * len;
            }
            max = maxima[0].max(maxima[1]).max(maxima[2].max(maxima[3]));
        }
        while i + len <= n {
            max = max.max(load::<S, L::Native<S>>(simd, x.add(i)));
            i += len;
        }
        if i < n {
            max = max.max(load_some(simd, x.add(i), n - i, lowest));
        }
    }
    max.reduce_max()
}

/// The closure itself. An attribute is allowed on an argument but not on the right side of a `let`, and a closure that is not
/// inlined loses the SIMD level.
#[inline(always)]
pub(crate) fn always<F>(f: F) -> F {
    f
}

/// Calls `f(i, width)` for each vector of a row of `n`: whole ones, then the rest.
#[inline(always)]
pub(crate) fn each_vector<L: Float, S: Simd>(_: S, n: usize, mut f: impl FnMut(usize, usize)) {
    let len = L::Native::<S>::LEN;
    let mut i = 0;
    while i + len <= n {
        f(i, len);
        i += len;
    }
    if i < n {
        f(i, n - i);
    }
}

/// The vector at `ptr`, `pad` beyond `width`.
///
/// # Safety
/// `width` elements are readable.
#[inline(always)]
pub(crate) unsafe fn get<L: Float, S: Simd>(simd: S, ptr: *const L, width: usize, pad: L) -> L::Native<S> {
    // SAFETY: the caller's promise.
    unsafe { if width == L::Native::<S>::LEN { load(simd, ptr) } else { load_some(simd, ptr, width, L::Native::<S>::splat(simd, pad)) } }
}

/// Stores `width` lanes.
///
/// # Safety
/// `width` elements are writable.
#[inline(always)]
pub(crate) unsafe fn put<L: Float, S: Simd>(ptr: *mut L, width: usize, v: L::Native<S>) {
    // SAFETY: the caller's promise.
    unsafe { if width == L::Native::<S>::LEN { store(v, ptr) } else { store_some(v, ptr, width) } }
}

struct Forward<const LOG: bool>;

impl<L: Float, const LOG: bool> RowKernel<L, 1> for Forward<LOG> {
    const SHORT: usize = 32;

    #[inline(always)]
    unsafe fn line<S: Simd>(&self, simd: S, [x]: [*const L; 1], out: *mut L, n: usize, _: usize) {
        let splat = always(
            #[inline(always)]
            |c| L::Native::<S>::splat(simd, c),
        );
        // SAFETY: the caller's promise. Where `out` is `x`, a vector is stored after it was last read.
        unsafe {
            let max = splat(greatest::<L, S>(simd, x, n));
            if LOG {
                let sum = sum_line::<L, S, 1>(
                    simd,
                    n,
                    #[inline(always)]
                    |i, width| L::exp(simd, get::<L, S>(simd, x.add(i), width, L::LOWEST) - max),
                );
                let ln = L::ln(simd, splat(sum));
                each_vector::<L, S>(
                    simd,
                    n,
                    #[inline(always)]
                    |i, width| put::<L, S>(out.add(i), width, get::<L, S>(simd, x.add(i), width, L::ZERO) - max - ln),
                );
            } else {
                let sum = sum_line::<L, S, 1>(
                    simd,
                    n,
                    #[inline(always)]
                    |i, width| {
                        let e = L::exp(simd, get::<L, S>(simd, x.add(i), width, L::LOWEST) - max);
                        put::<L, S>(out.add(i), width, e);
                        e
                    },
                );
                let scale = splat(L::ONE) / splat(sum);
                each_vector::<L, S>(
                    simd,
                    n,
                    #[inline(always)]
                    |i, width| put::<L, S>(out.add(i), width, get::<L, S>(simd, out.add(i), width, L::ZERO) * scale),
                );
            }
        }
    }

    #[inline(always)]
    unsafe fn columns<S: Simd>(&self, simd: S, x: Columns<L, 1>, _: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let (max, sum) = max_and_sum(
                simd,
                x,
                #[inline(always)]
                |i, e| {
                    if !LOG {
                        x.set(i, e);
                    }
                },
            );
            if LOG {
                let ln = L::ln(simd, sum);
                for i in 0..x.n {
                    x.set::<S>(i, x.get(simd, 0, i) - max - ln);
                }
            } else {
                let scale = L::Native::<S>::splat(simd, L::ONE) / sum;
                let out = Columns { x: [x.out.cast_const()], ..x };
                for i in 0..x.n {
                    x.set::<S>(i, out.get(simd, 0, i) * scale);
                }
            }
        }
    }
}

/// The greatest elements `m` of columns and `Σ e`, where `e = exp(x - m)`; `each(i, e)` sees the terms.
///
/// # Safety
/// The columns are readable; `each` may write those of an `out` that is `x`.
#[inline(always)]
pub(crate) unsafe fn max_and_sum<L: Float, S: Simd, const N: usize>(
    simd: S,
    x: Columns<L, N>,
    mut each: impl FnMut(usize, L::Native<S>),
) -> (L::Native<S>, L::Native<S>) {
    let zero = L::Native::<S>::splat(simd, L::ZERO);
    // SAFETY: the caller's promise.
    unsafe {
        let mut max = x.get(simd, 0, 0);
        for i in 1..x.n {
            max = max.max(x.get(simd, 0, i));
        }
        let mut total = zero;
        for start in (0..x.n).step_by(RUN) {
            let mut run = zero;
            for i in start..x.n.min(start + RUN) {
                let e = L::exp(simd, x.get(simd, 0, i) - max);
                each(i, e);
                run += e;
            }
            total += run;
        }
        (max, total)
    }
}

struct LogSumExp<T> {
    out: Shared<T>,
}

impl<L: Float, T: Real<Float = L>> RowKernel<L, 1> for LogSumExp<T> {
    const SHORT: usize = 32;

    #[inline(always)]
    unsafe fn line<S: Simd>(&self, simd: S, [x]: [*const L; 1], _: *mut L, n: usize, item: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let max = finite_or_zero::<L, S>(simd, L::Native::<S>::splat(simd, greatest::<L, S>(simd, x, n)));
            let sum = sum_line::<L, S, 1>(
                simd,
                n,
                #[inline(always)]
                |i, width| L::exp(simd, get::<L, S>(simd, x.add(i), width, L::LOWEST) - max),
            );
            let lse = L::ln(simd, L::Native::<S>::splat(simd, sum)) + max;
            self.out.get().add(item).write(T::narrow(lse[0]));
        }
    }

    #[inline(always)]
    unsafe fn columns<S: Simd>(&self, simd: S, x: Columns<L, 1>, item: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut max = x.get(simd, 0, 0);
            for i in 1..x.n {
                max = max.max(x.get(simd, 0, i));
            }
            let max = finite_or_zero::<L, S>(simd, max);
            let sum = sum_columns::<L, S>(
                simd,
                x.n,
                #[inline(always)]
                |i| L::exp(simd, x.get(simd, 0, i) - max),
            );
            let lse = L::ln(simd, sum) + max;
            for j in 0..x.width {
                self.out.get().add(item + j).write(T::narrow(lse[j]));
            }
        }
    }
}

/// 0 where `v` is infinite or NaN: from an infinite greatest element no difference can be taken.
#[inline(always)]
fn finite_or_zero<L: Float, S: Simd>(simd: S, v: L::Native<S>) -> L::Native<S> {
    let zero = L::Native::<S>::splat(simd, L::ZERO);
    v.is_finite().select(v, zero)
}

struct Backward<const LOG: bool>;

impl<L: Float, const LOG: bool> RowKernel<L, 2> for Backward<LOG> {
    const SHORT: usize = 16;

    #[inline(always)]
    unsafe fn line<S: Simd>(&self, simd: S, [dy, y]: [*const L; 2], dx: *mut L, n: usize, _: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let at = always(
                #[inline(always)]
                |x: *const L, i: usize, width: usize| get::<L, S>(simd, x.add(i), width, L::ZERO),
            );
            let sum = sum_line::<L, S, 4>(
                simd,
                n,
                #[inline(always)]
                |i, width| if LOG { at(dy, i, width) } else { at(dy, i, width) * at(y, i, width) },
            );
            let sum = L::Native::<S>::splat(simd, sum);
            each_vector::<L, S>(
                simd,
                n,
                #[inline(always)]
                |i, width| {
                    let (dy, y) = (at(dy, i, width), at(y, i, width));
                    put::<L, S>(dx.add(i), width, if LOG { dy - L::exp(simd, y) * sum } else { y * (dy - sum) });
                },
            );
        }
    }

    #[inline(always)]
    unsafe fn columns<S: Simd>(&self, simd: S, x: Columns<L, 2>, _: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let sum = sum_columns::<L, S>(
                simd,
                x.n,
                #[inline(always)]
                |i| if LOG { x.get(simd, 0, i) } else { x.get(simd, 0, i) * x.get(simd, 1, i) },
            );
            for i in 0..x.n {
                let (dy, y) = (x.get(simd, 0, i), x.get(simd, 1, i));
                x.set::<S>(i, if LOG { dy - L::exp(simd, y) * sum } else { y * (dy - sum) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::set_num_threads;
    use crate::parallel::turns::settings;
    use half::{bf16, f16};

    const SHAPES: &[(&[usize], usize)] = &[
        (&[1], 0),
        (&[5], 0),
        (&[0, 3], 1),
        (&[3, 0], 1),
        (&[8, 32], 1),
        (&[8, 32], 0),
        (&[7, 10], 1),
        (&[3, 1001], 1),
        (&[1001, 3], 0),
        (&[2, 17, 33], 1),
        (&[2, 5, 1], 1),
        (&[300, 70], 1),
        (&[2, 300, 70], 1),
    ];

    fn number(i: usize) -> f64 {
        ((i.wrapping_mul(2654435761) >> 7) % 2001) as f64 / 250.0 - 4.0
    }

    /// The elements of each row.
    fn rows(shape: &[usize], dim: usize) -> Vec<Vec<usize>> {
        let inner: usize = shape[dim + 1..].iter().product();
        let outer: usize = shape[..dim].iter().product();
        let n = shape[dim];
        (0..outer * inner).map(|r| (0..n).map(|i| (r / inner * n + i) * inner + r % inner).collect()).collect()
    }

    fn strides(shape: &[usize]) -> Vec<isize> {
        (0..shape.len()).map(|d| shape[d + 1..].iter().product::<usize>() as isize).collect()
    }

    fn forward<T: Real>(log: bool, x: &[T], shape: &[usize], dim: usize) -> Vec<T> {
        let strides = strides(shape);
        let mut out = x.to_vec();
        // SAFETY: both have that shape.
        unsafe { softmax(log, Src::new(x.as_ptr(), shape, &strides), dim, Dst::new(out.as_mut_ptr(), shape, &strides)) };
        out
    }

    fn backward<T: Real>(log: bool, dy: &[T], y: &[T], shape: &[usize], dim: usize) -> Vec<T> {
        let strides = strides(shape);
        let mut out = y.to_vec();
        // SAFETY: all have that shape.
        unsafe {
            let (dy, y) = (Src::new(dy.as_ptr(), shape, &strides), Src::new(y.as_ptr(), shape, &strides));
            softmax_backward(log, dy, y, dim, Dst::new(out.as_mut_ptr(), shape, &strides));
        }
        out
    }

    fn agrees<T: Real>(of: fn(f64) -> T, to: fn(T) -> f64, tolerance: f64) {
        for &(shape, dim) in SHAPES {
            let len = shape.iter().product::<usize>();
            let x: Vec<T> = (0..len).map(|i| of(number(i))).collect();
            let dy: Vec<T> = (0..len).map(|i| of(number(i + 12345))).collect();
            for log in [false, true] {
                let y = forward(log, &x, shape, dim);
                let dx = backward(log, &dy, &y, shape, dim);
                for row in rows(shape, dim) {
                    let max = row.iter().map(|&i| to(x[i])).fold(f64::NEG_INFINITY, f64::max);
                    let sum: f64 = row.iter().map(|&i| (to(x[i]) - max).exp()).sum();
                    let dot: f64 = row.iter().map(|&i| to(dy[i]) * if log { 1.0 } else { to(y[i]) }).sum();
                    let weight: f64 = row.iter().map(|&i| (to(dy[i]) * if log { 1.0 } else { to(y[i]) }).abs()).sum();
                    for &i in &row {
                        let expected = if log { to(x[i]) - max - sum.ln() } else { (to(x[i]) - max).exp() / sum };
                        assert!((to(y[i]) - expected).abs() <= tolerance * expected.abs().max(if log { 4.0 } else { 1e-4 }));
                        let expected = if log { to(dy[i]) - to(y[i]).exp() * dot } else { to(y[i]) * (to(dy[i]) - dot) };
                        assert!(
                            (to(dx[i]) - expected).abs() <= tolerance * (to(dy[i]).abs() + weight),
                            "{shape:?} {} {expected}",
                            to(dx[i])
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn f32_rows_agree_with_f64() {
        agrees::<f32>(|x| x as f32, |x| x as f64, 8e-7);
    }

    #[test]
    fn f64_rows_agree() {
        agrees::<f64>(|x| x, |x| x, 1e-14);
    }

    #[test]
    fn half_rows_are_rounded_once() {
        agrees::<f16>(f16::from_f64, f16::to_f64, 6e-4);
        agrees::<bf16>(bf16::from_f64, bf16::to_f64, 5e-3);
    }

    #[test]
    fn rows_with_infinities_or_nan_are_as_pytorch_has_them() {
        let inf = f32::INFINITY;
        let all_nan = |y: &[f32]| y.iter().all(|y| y.is_nan());
        for n in [3, 9, 40] {
            for log in [false, true] {
                for (shape, dim) in [(vec![n, 1], 0), (vec![1, n], 1)] {
                    assert!(all_nan(&forward(log, &vec![-inf; n], &shape, dim)));
                    let mut x = vec![1.0f32; n];
                    x[n - 1] = f32::NAN;
                    assert!(all_nan(&forward(log, &x, &shape, dim)));
                    x[n - 1] = -inf;
                    let y = forward(log, &x, &shape, dim);
                    assert_eq!(y[n - 1], if log { -inf } else { 0.0 });
                    assert!((y[0] - if log { -((n - 1) as f32).ln() } else { 1.0 / (n - 1) as f32 }).abs() < 1e-6);
                    x[n - 1] = inf;
                    let y = forward(log, &x, &shape, dim);
                    assert!(all_nan(&y));
                }
            }
        }
    }

    fn log_sum_exp<T: Real>(x: &[T], shape: &[usize], dim: usize, fill: T) -> Vec<T> {
        let mut out = vec![fill; (0..shape.len()).filter(|&d| d != dim).map(|d| shape[d]).product()];
        let count = [out.len()];
        // SAFETY: both have those shapes.
        unsafe { logsumexp(Src::new(x.as_ptr(), shape, &strides(shape)), dim, Dst::new(out.as_mut_ptr(), &count, &[1])) };
        out
    }

    #[test]
    fn logsumexp_agrees_with_f64_and_keeps_infinities() {
        for &(shape, dim) in SHAPES {
            let x: Vec<f32> = (0..shape.iter().product()).map(|i| number(i) as f32 + 50.0).collect();
            let out = log_sum_exp(&x, shape, dim, 0.0);
            for (out, row) in out.iter().zip(rows(shape, dim)) {
                let expected = row.iter().map(|&i| (x[i] as f64 - 50.0).exp()).sum::<f64>().ln() + 50.0;
                assert!((*out as f64 - expected).abs() < 1e-5 || *out as f64 == expected, "{out} {expected}");
            }
        }
        let inf = f32::INFINITY;
        for n in [3, 40] {
            for (shape, dim) in [([n, 1], 0), ([1, n], 1)] {
                let of = |last: f32, others: f32| {
                    let mut x = vec![others; n];
                    x[n - 1] = last;
                    log_sum_exp(&x, &shape, dim, 0.0)[0]
                };
                assert_eq!([of(-inf, -inf), of(inf, 1.0), of(inf, -inf), of(0.0, -inf)], [-inf, inf, inf, 0.0]);
                assert!(of(f32::NAN, 1.0).is_nan());
            }
        }
    }

    #[test]
    fn great_values_do_not_overflow() {
        let y = forward(false, &[1000f32, 1000.0, -1000.0], &[3], 0);
        assert_eq!(y, [0.5, 0.5, 0.0]);
        let y = forward(true, &[1e30f32, 0.0], &[2], 0);
        assert_eq!(y, [0.0, -1e30]);
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads_and_in_place_is_the_same() {
        let _turn = settings();
        for (shape, dim) in [([500, 1000], 1), ([1000, 500], 0)] {
            let x: Vec<f32> = (0..500_000).map(|i| number(i) as f32).collect();
            let mut first: Option<Vec<u32>> = None;
            for threads in [16, 3, 1, 2] {
                set_num_threads(threads);
                let bits: Vec<u32> = forward(false, &x, &shape, dim).iter().map(|y| y.to_bits()).collect();
                assert_eq!(*first.get_or_insert_with(|| bits.clone()), bits);
            }
            let (mut y, strides) = (x, strides(&shape));
            // SAFETY: `y` has that shape; input and output may be the same.
            unsafe { softmax(false, Src::new(y.as_ptr(), &shape, &strides), dim, Dst::new(y.as_mut_ptr(), &shape, &strides)) };
            assert_eq!(first.unwrap(), y.iter().map(|y| y.to_bits()).collect::<Vec<_>>());
        }
    }
}
