//! Batch, layer, group and RMS normalisation of contiguous arrays, forwards and backwards.
//!
//! Parameters, statistics and their gradients are in the type that rows are computed in: f32 for f32, f16 and bf16 arrays, f64 for f64.
//! Means and variances come from two passes over blocks in the first-level cache, blocks merged in f64 (Chan, Golub & LeVeque 1979);
//! no difference of great sums is ever taken. Sums that cross rows have a fixed order: the same bits for any number of threads.

use crate::copy::Shared;
use crate::level::dispatch;
use crate::memory::{Dst, Src};
use crate::parallel::{par_chunks, par_for};
use crate::reduce::{Finish, Fold, reduce, squared_distances};
use crate::softmax::{Columns, RowKernel, Rows, always, each_vector, get, put, sum_columns, sum_line};
use crate::wide::{Float, MAX_LANES, Real, Wide, gather, load, scatter, store};
use fearless_simd::{Simd, SimdBase, SimdFloat};

/// Elements worth a chunk of a parallel loop: some 10 µs.
const GRAIN: usize = 1 << 15;
/// Elements of one block of statistics.
const BLOCK: usize = 2048;
/// At most so many partial sums of parameter gradients.
const PARTS: usize = 64;
/// Below this many spatial positions, channels are not walked one by one: rows of all channels are.
const FEW: usize = 128;
/// Columns whose factors stay in the second-level cache.
const FACTORS: usize = 1 << 15;
/// Batches up to this size without spatial positions are normalised column by column, in one go.
const SMALL_BATCH: usize = 1024;
/// Parameters whose gradients a small call sums on the stack.
const STACKED: usize = 256;
/// Columns whose sums stay in the first-level cache.
const TILE: usize = 1024;

/// A parameter per column, or none.
type Param<L> = Option<*const L>;

/// An optional address that may cross threads; null for none.
fn share<L>(ptr: Option<*const L>) -> Shared<L> {
    Shared::read_only(ptr.unwrap_or(std::ptr::null()))
}

fn share_mut<L>(ptr: Option<*mut L>) -> Shared<L> {
    Shared::new(ptr.unwrap_or(std::ptr::null_mut()))
}

/// The vector of a parameter from `i` on, or `default` without.
///
/// # Safety
/// `width` values are readable, unless it is null.
#[inline(always)]
unsafe fn param<L: Float, S: Simd>(simd: S, ptr: Shared<L>, i: usize, width: usize, default: L) -> L::Native<S> {
    // SAFETY: the caller's promise.
    unsafe { if ptr.get().is_null() { L::Native::<S>::splat(simd, default) } else { get::<L, S>(simd, ptr.get().add(i), width, default) } }
}

/// One value of a parameter.
///
/// # Safety
/// Value `i` is readable, unless it is null.
#[inline(always)]
unsafe fn param_one<L: Float>(ptr: Shared<L>, i: usize, default: L) -> L {
    // SAFETY: the caller's promise.
    unsafe { if ptr.get().is_null() { default } else { ptr.get().add(i).read() } }
}

#[inline(always)]
fn inverse_root<L: Float>(mean_square: f64, eps: f64) -> L {
    L::of(1.0 / (mean_square + eps).sqrt())
}

/// Each row of `n` elements normalised: `out = (x - mean) rstd weight + bias`, `rstd = 1 / sqrt(var + eps)`, the variance without correction.
/// `mean` and `rstd` (one per row) are saved for the backward where asked for.
///
/// # Safety
/// `x` and `out` have `rows · n` elements and may be the same; parameters have `n`, statistics `rows`.
pub unsafe fn layer_norm<T: Real>(
    x: *const T,
    rows: usize,
    n: usize,
    weight: Param<T::Float>,
    bias: Param<T::Float>,
    eps: f64,
    out: *mut T,
    mean: Option<*mut T::Float>,
    rstd: Option<*mut T::Float>,
) {
    let kernel = RowNorm::<T::Float, true> { weight: share(weight), bias: share(bias), eps, mean: share_mut(mean), rstd: share_mut(rstd) };
    // SAFETY: the caller's promise.
    unsafe { Rows::new(rows, n, 1, [x], out).run(&kernel) }
}

/// Each row of `n` elements divided by its root mean square: `out = x rstd weight`, `rstd = 1 / sqrt(mean(x²) + eps)`.
///
/// # Safety
/// As for [`layer_norm`].
pub unsafe fn rms_norm<T: Real>(
    x: *const T,
    rows: usize,
    n: usize,
    weight: Param<T::Float>,
    eps: f64,
    out: *mut T,
    rstd: Option<*mut T::Float>,
) {
    let kernel = RowNorm::<T::Float, false> { weight: share(weight), bias: share(None), eps, mean: share_mut(None), rstd: share_mut(rstd) };
    // SAFETY: the caller's promise.
    unsafe { Rows::new(rows, n, 1, [x], out).run(&kernel) }
}

struct RowNorm<L, const CENTRED: bool> {
    weight: Shared<L>,
    bias: Shared<L>,
    eps: f64,
    mean: Shared<L>,
    rstd: Shared<L>,
}

/// Mean and mean squared distance of a row, or 0 and its mean square.
///
/// # Safety
/// `n > 0` elements are readable.
#[inline(always)]
unsafe fn row_moments<L: Float, S: Simd, const CENTRED: bool>(simd: S, x: *const L, n: usize) -> (L, f64) {
    // SAFETY: the caller's promise.
    unsafe {
        let mean = if CENTRED {
            L::of(
                sum_line::<L, S, 4>(
                    simd,
                    n,
                    #[inline(always)]
                    |i, width| get::<L, S>(simd, x.add(i), width, L::ZERO),
                )
                .to_f64()
                    / n as f64,
            )
        } else {
            L::ZERO
        };
        let centre = L::Native::<S>::splat(simd, mean);
        let squares = sum_line::<L, S, 4>(
            simd,
            n,
            #[inline(always)]
            |i, width| {
                let d = get::<L, S>(simd, x.add(i), width, mean) - centre;
                d * d
            },
        );
        (mean, squares.to_f64() / n as f64)
    }
}

impl<L: Float, const CENTRED: bool> RowKernel<L, 1> for RowNorm<L, CENTRED> {
    const SHORT: usize = 0;

    #[inline(always)]
    unsafe fn line<S: Simd>(&self, simd: S, [x]: [*const L; 1], out: *mut L, n: usize, item: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let (mean, square) = row_moments::<L, S, CENTRED>(simd, x, n);
            let rstd = inverse_root::<L>(square, self.eps);
            if !self.mean.get().is_null() {
                self.mean.get().add(item).write(mean);
            }
            if !self.rstd.get().is_null() {
                self.rstd.get().add(item).write(rstd);
            }
            let (mean, rstd) = (L::Native::<S>::splat(simd, mean), L::Native::<S>::splat(simd, rstd));
            let plain = self.weight.get().is_null() && self.bias.get().is_null();
            each_vector::<L, S>(
                simd,
                n,
                #[inline(always)]
                |i, width| {
                    let y = (get::<L, S>(simd, x.add(i), width, L::ZERO) - mean) * rstd;
                    let y = if plain {
                        y
                    } else {
                        y.mul_add(param::<L, S>(simd, self.weight, i, width, L::ONE), param::<L, S>(simd, self.bias, i, width, L::ZERO))
                    };
                    put::<L, S>(out.add(i), width, y);
                },
            );
        }
    }

    unsafe fn columns<S: Simd>(&self, _: S, _: Columns<L, 1>, _: usize) {
        unreachable!("rows are contiguous");
    }
}

/// Gradients of [`layer_norm`], each where asked for.
///
/// # Safety
/// `dy`, `x` and `dx` have `rows · n` elements (`dx` may be `dy`), `mean` and `rstd` `rows`, the others `n`.
pub unsafe fn layer_norm_backward<T: Real>(
    dy: *const T,
    x: *const T,
    rows: usize,
    n: usize,
    weight: Param<T::Float>,
    mean: *const T::Float,
    rstd: *const T::Float,
    dx: Option<*mut T>,
    dweight: Option<*mut T::Float>,
    dbias: Option<*mut T::Float>,
) {
    // SAFETY: the caller's promise.
    unsafe { row_norm_backward::<T, true>(dy, x, rows, n, weight, Some(mean), rstd, dx, dweight, dbias) }
}

/// Gradients of [`rms_norm`], each where asked for.
///
/// # Safety
/// As for [`layer_norm_backward`].
pub unsafe fn rms_norm_backward<T: Real>(
    dy: *const T,
    x: *const T,
    rows: usize,
    n: usize,
    weight: Param<T::Float>,
    rstd: *const T::Float,
    dx: Option<*mut T>,
    dweight: Option<*mut T::Float>,
) {
    // SAFETY: the caller's promise.
    unsafe { row_norm_backward::<T, false>(dy, x, rows, n, weight, None, rstd, dx, dweight, None) }
}

/// # Safety
/// As for [`layer_norm_backward`].
unsafe fn row_norm_backward<T: Real, const CENTRED: bool>(
    dy: *const T,
    x: *const T,
    rows: usize,
    n: usize,
    weight: Param<T::Float>,
    mean: Option<*const T::Float>,
    rstd: *const T::Float,
    dx: Option<*mut T>,
    dweight: Option<*mut T::Float>,
    dbias: Option<*mut T::Float>,
) {
    if n == 0 {
        return;
    }
    let kernel = RowNormBackward::<T, CENTRED> {
        dy: Shared::read_only(dy),
        x: Shared::read_only(x),
        n,
        weight: share(weight),
        mean: share(mean),
        rstd: Shared::read_only(rstd),
        dx: share_mut(dx),
    };
    // SAFETY: the caller's promise; parts have disjoint rows.
    unsafe { sum_parts(rows, n, dweight, dbias, |from, to, dweight, dbias| kernel.rows(from, to, dweight, dbias)) }
}

/// Calls `part(from, to, dweight, dbias)` for parts of the rows, which add their share of the parameters' gradients to zeros (null
/// where nobody asks) with room for `n` rounded up to `MAX_LANES`, and adds the parts up.
///
/// # Safety
/// `dweight` and `dbias` have `n` elements.
unsafe fn sum_parts<L: Float>(
    rows: usize,
    n: usize,
    dweight: Option<*mut L>,
    dbias: Option<*mut L>,
    part: impl Fn(usize, usize, *mut L, *mut L) + Sync,
) {
    let per_part = GRAIN.div_ceil(n.max(1)).max(rows.div_ceil(PARTS));
    let parts = rows.div_ceil(per_part).max(1);
    let stride = n.next_multiple_of(MAX_LANES);
    if parts == 1 && stride <= STACKED {
        let mut sums = [[std::mem::MaybeUninit::<L>::uninit(); STACKED]; 2];
        let [dweight_sums, dbias_sums] = sums.each_mut().map(|sums| sums.as_mut_ptr().cast::<L>());
        // SAFETY: all bits 0 is 0; the caller's promise.
        unsafe {
            let asked = [(dweight, dweight_sums), (dbias, dbias_sums)].map(|(ptr, sums)| {
                ptr.map_or(std::ptr::null_mut(), |_| {
                    sums.write_bytes(0, stride);
                    sums
                })
            });
            part(0, rows, asked[0], asked[1]);
            for (ptr, sums) in [dweight, dbias].into_iter().zip(asked) {
                if let Some(ptr) = ptr {
                    std::ptr::copy_nonoverlapping(sums, ptr, n);
                }
            }
        }
        return;
    }
    let mut sums = [dweight, dbias].map(|ptr| vec![L::ZERO; if ptr.is_some() { parts * stride } else { 0 }]);
    let shared = sums.each_mut().map(|sums| (Shared::new(sums.as_mut_ptr()), !sums.is_empty()));
    par_for(parts, &|i| {
        // SAFETY: part `i` of the sums, if there are any.
        let [dweight, dbias] = shared.map(|(sums, asked)| if asked { unsafe { sums.get().add(i * stride) } } else { std::ptr::null_mut() });
        part(i * per_part, rows.min((i + 1) * per_part), dweight, dbias);
    });
    let (shape, strides, out_shape) = ([parts, n], [stride as isize, 1], [n]);
    for (sums, ptr) in sums.iter().zip([dweight, dbias]) {
        if let Some(ptr) = ptr {
            // SAFETY: `sums` holds `parts` rows of `n` values; the caller's promise.
            unsafe { reduce(Fold::Sum, Src::new(sums.as_ptr(), &shape, &strides), &[0], Finish::Plain, Dst::new(ptr, &out_shape, &[1])) };
        }
    }
}

struct RowNormBackward<T: Real, const CENTRED: bool> {
    dy: Shared<T>,
    x: Shared<T>,
    n: usize,
    weight: Shared<T::Float>,
    mean: Shared<T::Float>,
    rstd: Shared<T::Float>,
    dx: Shared<T>,
}

impl<T: Real, const CENTRED: bool> RowNormBackward<T, CENTRED> {
    /// Rows `from..to`; adds to the parameters' gradients, null where nobody asks.
    ///
    /// # Safety
    /// As for [`layer_norm_backward`].
    unsafe fn rows(&self, from: usize, to: usize, dweight: *mut T::Float, dbias: *mut T::Float) {
        let n = self.n;
        // SAFETY: the caller's promise.
        unsafe {
            let (dy, x) = (self.dy.get().add(from * n).cast_const(), self.x.get().add(from * n).cast_const());
            let dx = if self.dx.get().is_null() { self.dx.get() } else { self.dx.get().add(from * n) };
            let mut row = WideRow::<T::Float, CENTRED> {
                dy: dy.cast(),
                x: x.cast(),
                dx: dx.cast(),
                n,
                weight: self.weight.get(),
                mean: std::ptr::null(),
                rstd: self.rstd.get().add(from),
                dweight,
                dbias,
            };
            if CENTRED {
                row.mean = self.mean.get().add(from);
            }
            if T::SAME {
                return row.run(to - from);
            }
            let mut scratch: Vec<T::Float> = Vec::with_capacity(2 * n);
            row.dy = scratch.as_ptr();
            row.x = scratch.as_ptr().add(n);
            row.dx = if dx.is_null() { std::ptr::null_mut() } else { scratch.as_mut_ptr() };
            for i in 0..to - from {
                gather(dy.add(i * n), 1, n, scratch.as_mut_ptr());
                gather(x.add(i * n), 1, n, scratch.as_mut_ptr().add(n));
                row.run(1);
                if !dx.is_null() {
                    scatter(scratch.as_ptr(), n, dx.add(i * n), 1);
                }
                row.rstd = row.rstd.add(1);
                if CENTRED {
                    row.mean = row.mean.add(1);
                }
            }
        }
    }
}

/// Rows of the type that they are computed in. `dx`, `weight`, `dweight` and `dbias` may be null.
struct WideRow<L, const CENTRED: bool> {
    dy: *const L,
    x: *const L,
    dx: *mut L,
    n: usize,
    weight: *const L,
    mean: *const L,
    rstd: *const L,
    dweight: *mut L,
    dbias: *mut L,
}

impl<L: Float, const CENTRED: bool> WideRow<L, CENTRED> {
    /// # Safety
    /// As for [`layer_norm_backward`]; sums of gradients have room for whole vectors.
    unsafe fn run(&self, rows: usize) {
        // SAFETY: the caller's promise.
        dispatch!(crate::level(), simd => unsafe {
            for row in 0..rows {
                self.row(simd, row);
            }
        })
    }

    /// # Safety
    /// As for [`WideRow::run`].
    #[inline(always)]
    unsafe fn row<S: Simd>(&self, simd: S, row: usize) {
        let n = self.n;
        // SAFETY: the caller's promise; a vector of `dx` is stored after those of `dy` were last read.
        unsafe {
            let (dy, x, dx) = (self.dy.add(row * n), self.x.add(row * n), self.dx.wrapping_add(row * n));
            let zero = L::Native::<S>::splat(simd, L::ZERO);
            let at = always(
                #[inline(always)]
                |ptr: *const L, i: usize, width: usize| get::<L, S>(simd, ptr.add(i), width, L::ZERO),
            );
            let mean = if CENTRED { L::Native::<S>::splat(simd, self.mean.add(row).read()) } else { zero };
            let rstd = L::Native::<S>::splat(simd, self.rstd.add(row).read());
            let weighted = always(
                #[inline(always)]
                |d: L::Native<S>, i: usize, width: usize| {
                    if self.weight.is_null() { d } else { d * get::<L, S>(simd, self.weight.add(i), width, L::ZERO) }
                },
            );
            let (mut of_one, mut of_x) = (zero, zero);
            if !self.dx.is_null() {
                let share = L::of(1.0 / n as f64);
                if CENTRED {
                    let sum = sum_line::<L, S, 4>(
                        simd,
                        n,
                        #[inline(always)]
                        |i, width| weighted(at(dy, i, width), i, width),
                    );
                    of_one = L::Native::<S>::splat(simd, sum * share);
                }
                let sum = sum_line::<L, S, 4>(
                    simd,
                    n,
                    #[inline(always)]
                    |i, width| weighted(at(dy, i, width), i, width) * ((at(x, i, width) - mean) * rstd),
                );
                of_x = L::Native::<S>::splat(simd, sum * share);
            }
            each_vector::<L, S>(
                simd,
                n,
                #[inline(always)]
                |i, width| {
                    let d = at(dy, i, width);
                    let normal = (at(x, i, width) - mean) * rstd;
                    if !self.dweight.is_null() {
                        store(load::<S, L::Native<S>>(simd, self.dweight.add(i)) + d * normal, self.dweight.add(i));
                    }
                    if !self.dbias.is_null() {
                        store(load::<S, L::Native<S>>(simd, self.dbias.add(i)) + d, self.dbias.add(i));
                    }
                    if !self.dx.is_null() {
                        put::<L, S>(dx.add(i), width, (weighted(d, i, width) - of_one - normal * of_x) * rstd);
                    }
                },
            );
        }
    }
}

/// Sizes of an array with channels: `n × channels × spatial` (`spatial` = the product of the dimensions behind the channels, 1 without).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Channels {
    pub n: usize,
    pub channels: usize,
    pub spatial: usize,
}

/// Each of `groups` groups of channels of each sample normalised, then `weight` and `bias` per channel. `mean` and `rstd` have
/// `n · groups` elements. Instance normalisation is the case of one channel a group.
///
/// # Safety
/// `x` and `out` have `shape` and may be the same; `channels` is a multiple of `groups`; parameters have `channels` elements.
pub unsafe fn group_norm<T: Real>(
    x: *const T,
    shape: Channels,
    groups: usize,
    weight: Param<T::Float>,
    bias: Param<T::Float>,
    eps: f64,
    out: *mut T,
    mean: *mut T::Float,
    rstd: *mut T::Float,
) {
    debug_assert!(groups > 0 && shape.channels.is_multiple_of(groups));
    let per_group = shape.channels / groups;
    let kernel = GroupNorm {
        groups,
        per_group,
        spatial: shape.spatial,
        weight: share(weight),
        bias: share(bias),
        eps,
        mean: Shared::new(mean),
        rstd: Shared::new(rstd),
    };
    // SAFETY: the caller's promise.
    unsafe { Rows::new(shape.n * groups, per_group * shape.spatial, 1, [x], out).run(&kernel) }
}

struct GroupNorm<L> {
    groups: usize,
    per_group: usize,
    spatial: usize,
    weight: Shared<L>,
    bias: Shared<L>,
    eps: f64,
    mean: Shared<L>,
    rstd: Shared<L>,
}

impl<L: Float> RowKernel<L, 1> for GroupNorm<L> {
    const SHORT: usize = 0;

    #[inline(always)]
    unsafe fn line<S: Simd>(&self, simd: S, [x]: [*const L; 1], out: *mut L, n: usize, item: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let (mean, square) = row_moments::<L, S, true>(simd, x, n);
            let rstd = inverse_root::<L>(square, self.eps);
            self.mean.get().add(item).write(mean);
            self.rstd.get().add(item).write(rstd);
            let splat = always(
                #[inline(always)]
                |c| L::Native::<S>::splat(simd, c),
            );
            let first = item % self.groups * self.per_group;
            if self.spatial == 1 {
                let (mean, rstd) = (splat(mean), splat(rstd));
                each_vector::<L, S>(
                    simd,
                    n,
                    #[inline(always)]
                    |i, width| {
                        let y = (get::<L, S>(simd, x.add(i), width, L::ZERO) - mean) * rstd;
                        let weight = param::<L, S>(simd, self.weight, first + i, width, L::ONE);
                        put::<L, S>(out.add(i), width, y.mul_add(weight, param::<L, S>(simd, self.bias, first + i, width, L::ZERO)));
                    },
                );
                return;
            }
            let mean = splat(mean);
            for channel in 0..self.per_group {
                let scale = splat(rstd * param_one(self.weight, first + channel, L::ONE));
                let bias = splat(param_one(self.bias, first + channel, L::ZERO));
                let start = channel * self.spatial;
                each_vector::<L, S>(
                    simd,
                    self.spatial,
                    #[inline(always)]
                    |i, width| {
                        let y = (get::<L, S>(simd, x.add(start + i), width, L::ZERO) - mean).mul_add(scale, bias);
                        put::<L, S>(out.add(start + i), width, y);
                    },
                );
            }
        }
    }

    unsafe fn columns<S: Simd>(&self, _: S, _: Columns<L, 1>, _: usize) {
        unreachable!("rows are contiguous");
    }
}

/// Gradients of [`group_norm`], each where asked for.
///
/// # Safety
/// `dy`, `x` and `dx` have `shape` (`dx` may be `dy`), `mean` and `rstd` `n · groups` elements, the others `channels`.
pub unsafe fn group_norm_backward<T: Real>(
    dy: *const T,
    x: *const T,
    shape: Channels,
    groups: usize,
    weight: Param<T::Float>,
    mean: *const T::Float,
    rstd: *const T::Float,
    dx: Option<*mut T>,
    dweight: Option<*mut T::Float>,
    dbias: Option<*mut T::Float>,
) {
    let Channels { n, channels, spatial } = shape;
    let per_group = channels / groups;
    if n * channels * spatial == 0 {
        // Of nothing there may be any number of samples.
        [dweight, dbias].into_iter().flatten().for_each(|ptr| {
            // SAFETY: the caller's promise; a float's zero is zero bytes.
            unsafe { ptr.write_bytes(0, channels) }
        });
        return;
    }
    // Per sample and channel: Σ dy normal and Σ dy.
    let mut sums: Vec<T::Float> = vec![T::Float::ZERO; 2 * n * channels];
    let kernel = GroupNormBackward {
        groups,
        per_group,
        spatial,
        weight: share(weight),
        mean: Shared::read_only(mean),
        rstd: Shared::read_only(rstd),
        want_dx: dx.is_some(),
        of_normal: Shared::new(sums.as_mut_ptr()),
        // SAFETY: the second half.
        of_one: Shared::new(unsafe { sums.as_mut_ptr().add(n * channels) }),
    };
    let out = dx.unwrap_or(std::ptr::null_mut());
    // SAFETY: the caller's promise.
    unsafe { Rows::new(n * groups, per_group * spatial, 1, [dy, x], out).run(&kernel) };
    let (shape, strides, out_shape) = ([n, channels], [channels as isize, 1], [channels]);
    for (k, ptr) in [dweight, dbias].into_iter().enumerate() {
        if let Some(ptr) = ptr {
            // SAFETY: `sums` holds `n · channels` values of each; the caller's promise.
            unsafe {
                let sums = Src::new(sums.as_ptr().add(k * n * channels), &shape, &strides);
                reduce(Fold::Sum, sums, &[0], Finish::Plain, Dst::new(ptr, &out_shape, &[1]));
            }
        }
    }
}

struct GroupNormBackward<L> {
    groups: usize,
    per_group: usize,
    spatial: usize,
    weight: Shared<L>,
    mean: Shared<L>,
    rstd: Shared<L>,
    want_dx: bool,
    of_normal: Shared<L>,
    of_one: Shared<L>,
}

impl<L: Float> RowKernel<L, 2> for GroupNormBackward<L> {
    const SHORT: usize = 0;

    #[inline(always)]
    unsafe fn line<S: Simd>(&self, simd: S, [dy, x]: [*const L; 2], dx: *mut L, n: usize, item: usize) {
        let GroupNormBackward { groups, per_group, spatial, .. } = *self;
        let splat = always(
            #[inline(always)]
            |c| L::Native::<S>::splat(simd, c),
        );
        // SAFETY: the caller's promise; a vector of `dx` is stored after those of `dy` were last read.
        unsafe {
            let at = always(
                #[inline(always)]
                |ptr: *const L, i: usize, width: usize| get::<L, S>(simd, ptr.add(i), width, L::ZERO),
            );
            let (mean, rstd) = (splat(self.mean.get().add(item).read()), splat(self.rstd.get().add(item).read()));
            let first = item % groups * per_group;
            let sums = item / groups * groups * per_group + first;
            let (of_normal, of_one) = (self.of_normal.get().add(sums), self.of_one.get().add(sums));
            if spatial == 1 {
                each_vector::<L, S>(
                    simd,
                    n,
                    #[inline(always)]
                    |i, width| {
                        let d = at(dy, i, width);
                        put::<L, S>(of_normal.add(i), width, d * ((at(x, i, width) - mean) * rstd));
                        put::<L, S>(of_one.add(i), width, d);
                    },
                );
            } else {
                for channel in 0..per_group {
                    let (dy, x) = (dy.add(channel * spatial), x.add(channel * spatial));
                    let sum = sum_line::<L, S, 4>(
                        simd,
                        spatial,
                        #[inline(always)]
                        |i, width| at(dy, i, width) * ((at(x, i, width) - mean) * rstd),
                    );
                    of_normal.add(channel).write(sum);
                    of_one.add(channel).write(sum_line::<L, S, 4>(
                        simd,
                        spatial,
                        #[inline(always)]
                        |i, width| at(dy, i, width),
                    ));
                }
            }
            if !self.want_dx {
                return;
            }
            let weight = always(
                #[inline(always)]
                |i: usize, width: usize| param::<L, S>(simd, self.weight, first + i, width, L::ONE),
            );
            let share = L::of(1.0 / n as f64);
            let mean_normal = splat(
                sum_line::<L, S, 4>(
                    simd,
                    per_group,
                    #[inline(always)]
                    |i, width| at(of_normal, i, width) * weight(i, width),
                ) * share,
            );
            let mean_one = splat(
                sum_line::<L, S, 4>(
                    simd,
                    per_group,
                    #[inline(always)]
                    |i, width| at(of_one, i, width) * weight(i, width),
                ) * share,
            );
            if spatial == 1 {
                each_vector::<L, S>(
                    simd,
                    n,
                    #[inline(always)]
                    |i, width| {
                        let normal = (at(x, i, width) - mean) * rstd;
                        put::<L, S>(dx.add(i), width, (at(dy, i, width) * weight(i, width) - mean_one - normal * mean_normal) * rstd);
                    },
                );
                return;
            }
            for channel in 0..per_group {
                let weight = splat(param_one(self.weight, first + channel, L::ONE));
                let start = channel * spatial;
                each_vector::<L, S>(
                    simd,
                    spatial,
                    #[inline(always)]
                    |i, width| {
                        let normal = (at(x, start + i, width) - mean) * rstd;
                        put::<L, S>(dx.add(start + i), width, (at(dy, start + i, width) * weight - mean_one - normal * mean_normal) * rstd);
                    },
                );
            }
        }
    }

    unsafe fn columns<S: Simd>(&self, _: S, _: Columns<L, 2>, _: usize) {
        unreachable!("rows are contiguous");
    }
}

/// Mean, `1 / sqrt(var + eps)` with the variance without correction, and the variance with correction 1 (for running statistics;
/// NaN for a single value per channel), one per channel.
///
/// # Safety
/// `x` has `shape`, with at least one value per channel; the others have `channels` elements.
pub unsafe fn batch_norm_statistics<T: Real>(
    x: *const T,
    shape: Channels,
    eps: f64,
    mean: *mut T::Float,
    invstd: *mut T::Float,
    unbiased: Option<*mut T::Float>,
) {
    let Channels { n, channels, spatial } = shape;
    let count = n * spatial;
    let (mean, invstd, unbiased) = (Shared::new(mean), Shared::new(invstd), share_mut(unbiased));
    // SAFETY: the caller's promise.
    let write = |channel: usize, value: T::Float, squares: f64| unsafe {
        mean.get().add(channel).write(value);
        invstd.get().add(channel).write(inverse_root(squares / count as f64, eps));
        if !unbiased.get().is_null() {
            unbiased.get().add(channel).write(T::Float::of(squares / (count as f64 - 1.0)));
        }
    };
    if spatial < FEW {
        // Columns of all channels and positions, down the samples; then over the positions.
        let width = channels * spatial;
        let mut sums = vec![T::Float::ZERO; 2 * width];
        let (array, strides, out_shape) = ([n, width], [width as isize, 1], [width]);
        // SAFETY: the caller's promise; `sums` holds two rows of `width`.
        unsafe {
            let x = Src::new(x, &array, &strides);
            let (totals, squares) = (sums.as_mut_ptr(), sums.as_mut_ptr().add(width));
            reduce(Fold::Sum, x, &[0], Finish::Plain, Dst::new(totals, &out_shape, &[1]));
            for c in 0..channels {
                let totals = std::slice::from_raw_parts_mut(totals.add(c * spatial), spatial);
                let mean = T::Float::of(totals.iter().map(|sum| sum.to_f64()).sum::<f64>() / count as f64);
                totals.fill(mean);
            }
            squared_distances(x, &[0], totals, squares);
            for c in 0..channels {
                let squares = std::slice::from_raw_parts(squares.add(c * spatial), spatial);
                write(c, totals.add(c * spatial).read(), squares.iter().map(|square| square.to_f64()).sum());
            }
        }
        return;
    }
    let x = Shared::read_only(x);
    par_chunks(channels, (GRAIN / count.max(1)).max(1), &|range| {
        // SAFETY: the caller's promise; chunks have disjoint channels.
        for channel in range {
            let (mut mean, mut squares, mut seen) = (0.0, 0.0, 0.0);
            for sample in 0..n {
                for start in (0..spatial).step_by(BLOCK) {
                    let len = BLOCK.min(spatial - start);
                    let (block_mean, block_squares) =
                        // SAFETY: the caller's promise; the block ends inside the channel.
                        unsafe { block_moments(x.get().add((sample * channels + channel) * spatial + start), len) };
                    // Merging two sets: the squared distance of their means, weighted.
                    let (len, delta) = (len as f64, block_mean - mean);
                    mean += delta * (len / (seen + len));
                    squares += block_squares + delta * delta * (seen * len / (seen + len));
                    seen += len;
                }
            }
            write(channel, T::Float::of(mean), squares);
        }
    });
}

/// Mean and sum of squared distances from it of `len <= BLOCK` elements.
///
/// # Safety
/// They are readable.
unsafe fn block_moments<T: Real>(x: *const T, len: usize) -> (f64, f64) {
    let mut block = [std::mem::MaybeUninit::<T::Float>::uninit(); BLOCK];
    // SAFETY: the caller's promise.
    let x = unsafe {
        if T::SAME {
            x.cast()
        } else {
            gather(x, 1, len, block.as_mut_ptr().cast());
            block.as_ptr().cast::<T::Float>()
        }
    };
    // SAFETY: as above.
    let (mean, square) = unsafe { wide_moments::<T::Float>(x, len) };
    (mean.to_f64(), square * len as f64)
}

/// [`row_moments`] at the machine's level.
///
/// # Safety
/// `n > 0` elements are readable.
unsafe fn wide_moments<L: Float>(x: *const L, n: usize) -> (L, f64) {
    // SAFETY: the caller's promise.
    dispatch!(crate::level(), simd => unsafe { row_moments::<L, _, true>(simd, x, n) })
}

/// `1 / sqrt(var + eps)` of running variances, as inference wants it.
///
/// # Safety
/// Both have `channels` elements; they may be the same.
pub unsafe fn invstd_of<L: Float>(var: *const L, channels: usize, eps: f64, invstd: *mut L) {
    for c in 0..channels {
        // SAFETY: the caller's promise.
        unsafe { invstd.add(c).write(inverse_root(var.add(c).read().to_f64(), eps)) };
    }
}

/// `running = (1 - momentum) running + momentum batch`.
///
/// # Safety
/// Both have `channels` elements.
pub unsafe fn update_running<T: Real>(running: *mut T, batch: *const T::Float, channels: usize, momentum: f64) {
    for c in 0..channels {
        // SAFETY: the caller's promise.
        unsafe {
            let value = (1.0 - momentum) * running.add(c).read().widen().to_f64() + momentum * batch.add(c).read().to_f64();
            running.add(c).write(T::narrow(T::Float::of(value)));
        }
    }
}

/// `out = (x - mean) invstd weight + bias`, all per channel: the training forward with the batch's statistics, inference with the
/// running ones.
///
/// # Safety
/// `x` and `out` have `shape` and may be the same, the others `channels` elements.
pub unsafe fn batch_norm_apply<T: Real>(
    x: *const T,
    shape: Channels,
    mean: *const T::Float,
    invstd: *const T::Float,
    weight: Param<T::Float>,
    bias: Param<T::Float>,
    out: *mut T,
) {
    let (invstd, weight, bias) = (Shared::read_only(invstd), share(weight), share(bias));
    if shape.spatial == 1 && shape.n <= SMALL_BATCH {
        let mean = Shared::read_only(mean);
        let kernel = BatchColumns { given: true, weight, bias, eps: 0.0, mean, invstd, unbiased: share_mut(None) };
        // SAFETY: the caller's promise.
        return unsafe { Rows::new(1, shape.n, shape.channels, [x], out).run(&kernel) };
    }
    // SAFETY: the caller's promise; the factors are those of `channel`.
    unsafe {
        let factors = |c: usize| {
            [mean.add(c).read(), invstd.get().add(c).read() * param_one(weight, c, T::Float::ONE), param_one(bias, c, T::Float::ZERO)]
        };
        affine(shape, [x], out, factors, AffineForward);
    }
}

/// The training forward: [`batch_norm_statistics`], then [`batch_norm_apply`] with them.
///
/// # Safety
/// As for both.
pub unsafe fn batch_norm_train<T: Real>(
    x: *const T,
    shape: Channels,
    weight: Param<T::Float>,
    bias: Param<T::Float>,
    eps: f64,
    out: *mut T,
    mean: *mut T::Float,
    invstd: *mut T::Float,
    unbiased: Option<*mut T::Float>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        if shape.spatial == 1 && shape.n <= SMALL_BATCH {
            let kernel = BatchColumns {
                given: false,
                weight: share(weight),
                bias: share(bias),
                eps,
                mean: Shared::new(mean),
                invstd: Shared::new(invstd),
                unbiased: share_mut(unbiased),
            };
            Rows::new(1, shape.n, shape.channels, [x], out).run(&kernel);
        } else {
            batch_norm_statistics(x, shape, eps, mean, invstd, unbiased);
            batch_norm_apply(x, shape, mean, invstd, weight, bias, out);
        }
    }
}

/// A column per channel.
struct BatchColumns<L> {
    /// Whether the statistics are given, or to be taken and written.
    given: bool,
    weight: Shared<L>,
    bias: Shared<L>,
    eps: f64,
    mean: Shared<L>,
    invstd: Shared<L>,
    /// Null if nobody asked.
    unbiased: Shared<L>,
}

impl<L: Float> RowKernel<L, 1> for BatchColumns<L> {
    const SHORT: usize = 0;

    #[inline(always)]
    unsafe fn line<S: Simd>(&self, simd: S, [x]: [*const L; 1], out: *mut L, n: usize, item: usize) {
        // A single channel.
        // SAFETY: the caller's promise.
        unsafe {
            self.columns(simd, Columns { x: [x], out, stride: 1, n, width: 1 }, item);
        }
    }

    #[inline(always)]
    unsafe fn columns<S: Simd>(&self, simd: S, x: Columns<L, 1>, item: usize) {
        let splat = always(
            #[inline(always)]
            |c: f64| L::Native::<S>::splat(simd, L::of(c)),
        );
        // SAFETY: the caller's promise.
        unsafe {
            let (mean, invstd);
            if self.given {
                mean = get::<L, S>(simd, self.mean.get().add(item), x.width, L::ZERO);
                invstd = get::<L, S>(simd, self.invstd.get().add(item), x.width, L::ZERO);
            } else {
                let share = splat(1.0 / x.n as f64);
                mean = sum_columns::<L, S>(
                    simd,
                    x.n,
                    #[inline(always)]
                    |i| x.get(simd, 0, i),
                ) * share;
                let squares = sum_columns::<L, S>(
                    simd,
                    x.n,
                    #[inline(always)]
                    |i| {
                        let d = x.get(simd, 0, i) - mean;
                        d * d
                    },
                );
                invstd = splat(1.0) / (squares * share + splat(self.eps)).sqrt();
                put::<L, S>(self.mean.get().add(item), x.width, mean);
                put::<L, S>(self.invstd.get().add(item), x.width, invstd);
                if !self.unbiased.get().is_null() {
                    put::<L, S>(self.unbiased.get().add(item), x.width, squares / splat(x.n as f64 - 1.0));
                }
            }
            let scale = invstd * param::<L, S>(simd, self.weight, item, x.width, L::ONE);
            let bias = param::<L, S>(simd, self.bias, item, x.width, L::ZERO);
            for i in 0..x.n {
                x.set::<S>(i, (x.get(simd, 0, i) - mean).mul_add(scale, bias));
            }
        }
    }
}

struct BatchColumnsBackward<L> {
    weight: Shared<L>,
    mean: Shared<L>,
    invstd: Shared<L>,
    training: bool,
    want_dx: bool,
    /// Null if nobody asked.
    dweight: Shared<L>,
    dbias: Shared<L>,
}

impl<L: Float> RowKernel<L, 2> for BatchColumnsBackward<L> {
    const SHORT: usize = 0;

    #[inline(always)]
    unsafe fn line<S: Simd>(&self, simd: S, x: [*const L; 2], out: *mut L, n: usize, item: usize) {
        // A single channel.
        // SAFETY: the caller's promise.
        unsafe { self.columns(simd, Columns { x, out, stride: 1, n, width: 1 }, item) }
    }

    #[inline(always)]
    unsafe fn columns<S: Simd>(&self, simd: S, x: Columns<L, 2>, item: usize) {
        // SAFETY: the caller's promise; a vector of `dx` is stored after those of `dy` were last read.
        unsafe {
            let share = L::Native::<S>::splat(simd, L::of(1.0 / x.n as f64));
            let mean = get::<L, S>(simd, self.mean.get().add(item), x.width, L::ZERO);
            let invstd = get::<L, S>(simd, self.invstd.get().add(item), x.width, L::ZERO);
            let mut of_one = L::Native::<S>::splat(simd, L::ZERO);
            let of_x = sum_columns::<L, S>(
                simd,
                x.n,
                #[inline(always)]
                |i| {
                    let d = x.get(simd, 0, i);
                    of_one += d;
                    d * (x.get(simd, 1, i) - mean)
                },
            ) * invstd;
            if !self.dweight.get().is_null() {
                put::<L, S>(self.dweight.get().add(item), x.width, of_x);
            }
            if !self.dbias.get().is_null() {
                put::<L, S>(self.dbias.get().add(item), x.width, of_one);
            }
            if !self.want_dx {
                return;
            }
            let scale = invstd * param::<L, S>(simd, self.weight, item, x.width, L::ONE);
            if !self.training {
                for i in 0..x.n {
                    x.set::<S>(i, x.get(simd, 0, i) * scale);
                }
                return;
            }
            let (of_one, of_x) = (of_one * share, of_x * share * invstd);
            for i in 0..x.n {
                x.set::<S>(i, (x.get(simd, 0, i) - of_one - (x.get(simd, 1, i) - mean) * of_x) * scale);
            }
        }
    }
}

/// `f(inputs, factors of the channel)` for every element.
trait Affine<L: Float, const N: usize, const F: usize>: Copy + Sync {
    fn of<S: Simd>(self, x: [L::Native<S>; N], factors: [L::Native<S>; F]) -> L::Native<S>;
}

#[derive(Clone, Copy)]
struct AffineForward;
impl<L: Float> Affine<L, 1, 3> for AffineForward {
    #[inline(always)]
    fn of<S: Simd>(self, [x]: [L::Native<S>; 1], [mean, scale, bias]: [L::Native<S>; 3]) -> L::Native<S> {
        (x - mean).mul_add(scale, bias)
    }
}

/// `dx = dy · scale + (x - mean) · slope + shift`.
#[derive(Clone, Copy)]
struct AffineBackward;
impl<L: Float> Affine<L, 2, 4> for AffineBackward {
    #[inline(always)]
    fn of<S: Simd>(self, [dy, x]: [L::Native<S>; 2], [mean, scale, slope, shift]: [L::Native<S>; 4]) -> L::Native<S> {
        dy.mul_add(scale, (x - mean).mul_add(slope, shift))
    }
}

/// In inference the statistics are constants: `dx = dy · scale`.
#[derive(Clone, Copy)]
struct AffineScale;
impl<L: Float> Affine<L, 1, 1> for AffineScale {
    #[inline(always)]
    fn of<S: Simd>(self, [dy]: [L::Native<S>; 1], [scale]: [L::Native<S>; 1]) -> L::Native<S> {
        dy * scale
    }
}

/// # Safety
/// The arrays have `shape`; `out` may be one of them.
unsafe fn affine<T: Real, const N: usize, const F: usize>(
    shape: Channels,
    x: [*const T; N],
    out: *mut T,
    factors: impl Fn(usize) -> [T::Float; F],
    f: impl Affine<T::Float, N, F>,
) {
    let Channels { n, channels, spatial } = shape;
    if n * channels * spatial == 0 {
        return;
    }
    // Few positions: rows of all channels, with the factors of every column; else runs, with one set of factors.
    let few = spatial < 16 || spatial < FEW && channels * spatial <= FACTORS;
    let per_channel = if few { spatial } else { 1 };
    let width = channels * per_channel;
    let mut table: Vec<T::Float> = vec![T::Float::ZERO; F * width];
    for channel in 0..channels {
        for (k, factor) in factors(channel).into_iter().enumerate() {
            table[k * width + channel * per_channel..][..per_channel].fill(factor);
        }
    }
    let (runs, len) = if few { (n, width) } else { (n * channels, spatial) };
    let (x, out, table) = (x.map(Shared::read_only), Shared::new(out), Shared::read_only(table.as_ptr()));
    // Long runs are cut into pieces.
    let piece = len.min(1 << 14);
    let pieces = len.div_ceil(piece);
    par_chunks(runs * pieces, (GRAIN / piece).max(1), &|range| {
        let mut scratch: Vec<T::Float> = Vec::with_capacity(if T::SAME { 0 } else { N * piece });
        let scratch = scratch.as_mut_ptr();
        for i in range {
            let (run, start) = (i / pieces, i % pieces * piece);
            let count = piece.min(len - start);
            let at = run * len + start;
            let column = if few { start } else { run % channels };
            // SAFETY: the caller's promise; pieces are disjoint.
            unsafe {
                let table = table.get().add(column);
                if T::SAME {
                    affine_run(x.map(|x| x.get().add(at).cast_const().cast()), out.get().add(at).cast(), count, few, table, width, f);
                    continue;
                }
                x.iter().enumerate().for_each(|(k, x)| gather(x.get().add(at), 1, count, scratch.add(k * count)));
                affine_run(std::array::from_fn(|k| scratch.add(k * count).cast_const()), scratch, count, few, table, width, f);
                scatter(scratch, count, out.get().add(at), 1);
            }
        }
    });
}

/// `count` elements; factor `k` of element `i` at `table[k · width + i]` if there is one per column, else at `table[k · width]`.
///
///
/// # Safety
/// All are in range.
unsafe fn affine_run<L: Float, const N: usize, const F: usize>(
    x: [*const L; N],
    out: *mut L,
    count: usize,
    per_column: bool,
    table: *const L,
    width: usize,
    f: impl Affine<L, N, F>,
) {
    // SAFETY: the caller's promise.
    dispatch!(crate::level(), simd => unsafe { affine_lanes(simd, x, out, count, per_column, table, width, f) })
}

/// # Safety
/// As for [`affine_run`].
#[inline(always)]
unsafe fn affine_lanes<L: Float, S: Simd, const N: usize, const F: usize>(
    simd: S,
    x: [*const L; N],
    out: *mut L,
    count: usize,
    per_column: bool,
    table: *const L,
    width: usize,
    f: impl Affine<L, N, F>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        // Filled in loops: `array::from_fn` is not always inlined, and then loses the SIMD level.
        let zero = L::Native::<S>::splat(simd, L::ZERO);
        let (mut inputs, mut factors) = ([zero; N], [zero; F]);
        if !per_column {
            for (k, factor) in factors.iter_mut().enumerate() {
                *factor = L::Native::<S>::splat(simd, table.add(k * width).read());
            }
        }
        each_vector::<L, S>(
            simd,
            count,
            #[inline(always)]
            |i, lanes| {
                for k in 0..N {
                    inputs[k] = get::<L, S>(simd, x[k].add(i), lanes, L::ZERO);
                }
                if per_column {
                    for (k, factor) in factors.iter_mut().enumerate() {
                        *factor = get::<L, S>(simd, table.add(k * width + i), lanes, L::ZERO);
                    }
                }
                put::<L, S>(out.add(i), lanes, f.of::<S>(inputs, factors));
            },
        );
    }
}

/// Gradients of batch normalisation, each where asked for: in training (`mean` and `invstd` are the batch's) through the
/// statistics too, else with the statistics as constants.
///
/// # Safety
/// `dy`, `x` and `dx` have `shape` (`dx` may be `dy`), the others `channels` elements.
pub unsafe fn batch_norm_backward<T: Real>(
    dy: *const T,
    x: *const T,
    shape: Channels,
    mean: *const T::Float,
    invstd: *const T::Float,
    weight: Param<T::Float>,
    training: bool,
    dx: Option<*mut T>,
    dweight: Option<*mut T::Float>,
    dbias: Option<*mut T::Float>,
) {
    let Channels { n, channels, spatial } = shape;
    if spatial == 1 && n > 0 && n <= SMALL_BATCH {
        let kernel = BatchColumnsBackward {
            weight: share(weight),
            mean: Shared::read_only(mean),
            invstd: Shared::read_only(invstd),
            training,
            want_dx: dx.is_some(),
            dweight: share_mut(dweight),
            dbias: share_mut(dbias),
        };
        // SAFETY: the caller's promise.
        unsafe { Rows::new(1, n, channels, [dy, x], dx.unwrap_or(std::ptr::null_mut())).run(&kernel) };
        return;
    }
    let (weight, count) = (share(weight), (n * spatial) as f64);
    let needs_sums = dweight.is_some() || dbias.is_some() || training && dx.is_some();
    // Per channel: Σ dy (x - mean) and Σ dy.
    let (mut of_x, mut of_one) = (vec![0.0; channels], vec![0.0; channels]);
    // SAFETY: the caller's promise.
    unsafe {
        if needs_sums {
            channel_sums(dy, x, shape, mean, &mut of_x, &mut of_one);
        }
        for c in 0..channels {
            if let Some(dweight) = dweight {
                dweight.add(c).write(T::Float::of(of_x[c] * invstd.add(c).read().to_f64()));
            }
            if let Some(dbias) = dbias {
                dbias.add(c).write(T::Float::of(of_one[c]));
            }
        }
        let Some(dx) = dx else { return };
        let scale = |c: usize| invstd.add(c).read() * param_one(weight, c, T::Float::ONE);
        if !training {
            affine(shape, [dy], dx, |c| [scale(c)], AffineScale);
            return;
        }
        let factors = |c: usize| {
            let (scale, invstd) = (scale(c), invstd.add(c).read().to_f64());
            let slope = -scale.to_f64() * invstd * invstd * of_x[c] / count;
            [mean.add(c).read(), scale, T::Float::of(slope), T::Float::of(-scale.to_f64() * of_one[c] / count)]
        };
        affine(shape, [dy, x], dx, factors, AffineBackward);
    }
}

/// `of_x[c] = Σ dy (x - mean)` and `of_one[c] = Σ dy` over samples and positions.
///
/// # Safety
/// As for [`batch_norm_backward`].
unsafe fn channel_sums<T: Real>(dy: *const T, x: *const T, shape: Channels, mean: *const T::Float, of_x: &mut [f64], of_one: &mut [f64]) {
    let Channels { n, channels, spatial } = shape;
    if n * spatial == 0 {
        return;
    }
    let (dy, x) = (Shared::read_only(dy), Shared::read_only(x));
    if spatial < FEW {
        // Columns of all channels and positions, summed down the samples, then over the positions.
        let width = channels * spatial;
        let mut centres = vec![T::Float::ZERO; width];
        // SAFETY: the caller's promise.
        centres.iter_mut().enumerate().for_each(|(i, centre)| *centre = unsafe { mean.add(i / spatial).read() });
        let (mut sums, centres) = (vec![T::Float::ZERO; 2 * width], Shared::read_only(centres.as_ptr()));
        // SAFETY: the caller's promise; `sums` has two rows of `width`.
        unsafe {
            let (to_x, to_one) = (sums.as_mut_ptr(), sums.as_mut_ptr().add(width));
            sum_parts(n, width, Some(to_x), Some(to_one), |from, to, of_x, of_one| {
                let mut scratch: Vec<T::Float> = Vec::with_capacity(if T::SAME { 0 } else { 2 * TILE });
                let scratch = scratch.as_mut_ptr();
                for tile in (0..width).step_by(TILE) {
                    let count = TILE.min(width - tile);
                    let (centres, of_x, of_one) = (centres.get().add(tile), of_x.add(tile), of_one.add(tile));
                    let first = from * width + tile;
                    if T::SAME {
                        let (dy, x) = (dy.get().add(first).cast(), x.get().add(first).cast());
                        add_rows::<T::Float>(dy, x, width, to - from, centres, count, of_x, of_one);
                        continue;
                    }
                    for row in 0..to - from {
                        gather(dy.get().add(first + row * width), 1, count, scratch);
                        gather(x.get().add(first + row * width), 1, count, scratch.add(TILE));
                        add_rows::<T::Float>(scratch, scratch.add(TILE), 0, 1, centres, count, of_x, of_one);
                    }
                }
            });
        }
        for c in 0..channels {
            of_x[c] = sums[c * spatial..][..spatial].iter().map(|x| x.to_f64()).sum();
            of_one[c] = sums[width + c * spatial..][..spatial].iter().map(|x| x.to_f64()).sum();
        }
        return;
    }
    let (mean, of_x, of_one) = (Shared::read_only(mean), Shared::new(of_x.as_mut_ptr()), Shared::new(of_one.as_mut_ptr()));
    par_chunks(channels, (GRAIN / (n * spatial)).max(1), &|range| {
        let mut scratch: Vec<T::Float> = Vec::with_capacity(if T::SAME { 0 } else { 2 * BLOCK });
        let scratch = scratch.as_mut_ptr();
        // SAFETY: the caller's promise; chunks have disjoint channels.
        unsafe {
            for channel in range {
                let centre = mean.get().add(channel).read();
                let (mut sum_x, mut sum_one) = (0.0, 0.0);
                for sample in 0..n {
                    for start in (0..spatial).step_by(BLOCK) {
                        let len = BLOCK.min(spatial - start);
                        let at = (sample * channels + channel) * spatial + start;
                        let (mut d, mut v) = (dy.get().add(at).cast::<T::Float>(), x.get().add(at).cast::<T::Float>());
                        if !T::SAME {
                            gather(dy.get().add(at), 1, len, scratch);
                            gather(x.get().add(at), 1, len, scratch.add(len));
                            (d, v) = (scratch, scratch.add(len));
                        }
                        let (of_x, of_one) = block_sums(d, v, len, centre);
                        sum_x += of_x;
                        sum_one += of_one;
                    }
                }
                of_x.get().add(channel).write(sum_x);
                of_one.get().add(channel).write(sum_one);
            }
        }
    });
}

/// `Σ dy (x - centre)` and `Σ dy` of a block.
///
/// # Safety
/// `n` elements are readable.
unsafe fn block_sums<L: Float>(dy: *const L, x: *const L, n: usize, centre: L) -> (f64, f64) {
    // SAFETY: the caller's promise.
    dispatch!(crate::level(), simd => unsafe { block_sums_lanes(simd, dy, x, n, centre) })
}

/// # Safety
/// As for [`block_sums`].
#[inline(always)]
unsafe fn block_sums_lanes<L: Float, S: Simd>(simd: S, dy: *const L, x: *const L, n: usize, centre: L) -> (f64, f64) {
    let len = L::Native::<S>::LEN;
    let (zero, centre) = (L::Native::<S>::splat(simd, L::ZERO), L::Native::<S>::splat(simd, centre));
    let (mut of_x, mut of_one) = ([zero; 4], [zero; 4]);
    // SAFETY: the caller's promise.
    unsafe {
        let mut add = always(
            #[inline(always)]
            |k: usize, i: usize, width: usize| {
                let d = get::<L, S>(simd, dy.add(i), width, L::ZERO);
                of_x[k] = d.mul_add(get::<L, S>(simd, x.add(i), width, L::ZERO) - centre, of_x[k]);
                of_one[k] += d;
            },
        );
        let mut i = 0;
        while i + 4 * len <= n {
            for k in 0..4 {
                add(k, i + k * len, len);
            }
            i += 4 * len;
        }
        while i < n {
            add(0, i, len.min(n - i));
            i += len;
        }
    }
    let total = |[a, b, c, d]: [L::Native<S>; 4]| ((a + b) + (c + d)).reduce_sum().to_f64();
    (total(of_x), total(of_one))
}

/// Adds the `dy (x - centre)` and `dy` of some rows to sums per column.
///
/// # Safety
/// Rows and centres have `n` elements, the sums room for whole vectors.
unsafe fn add_rows<L: Float>(
    dy: *const L,
    x: *const L,
    stride: usize,
    rows: usize,
    centres: *const L,
    n: usize,
    of_x: *mut L,
    of_one: *mut L,
) {
    // SAFETY: the caller's promise; the groups add up to `rows`.
    dispatch!(crate::level(), simd => unsafe {
        let mut row = 0;
        while row + 4 <= rows {
            add_group::<L, _, 4>(simd, dy.add(row * stride), x.add(row * stride), stride, centres, n, of_x, of_one);
            row += 4;
        }
        while row < rows {
            add_group::<L, _, 1>(simd, dy.add(row * stride), x.add(row * stride), stride, centres, n, of_x, of_one);
            row += 1;
        }
    })
}

/// `G` rows.
///
/// # Safety
/// As for [`add_rows`].
#[inline(always)]
unsafe fn add_group<L: Float, S: Simd, const G: usize>(
    simd: S,
    dy: *const L,
    x: *const L,
    stride: usize,
    centres: *const L,
    n: usize,
    of_x: *mut L,
    of_one: *mut L,
) {
    each_vector::<L, S>(
        simd,
        n,
        #[inline(always)]
        |i, width| {
            // SAFETY: the caller's promise.
            unsafe {
                let centre = get::<L, S>(simd, centres.add(i), width, L::ZERO);
                let (mut sum_x, mut sum_one) = (load::<S, L::Native<S>>(simd, of_x.add(i)), load::<S, L::Native<S>>(simd, of_one.add(i)));
                for r in 0..G {
                    let d = get::<L, S>(simd, dy.add(r * stride + i), width, L::ZERO);
                    sum_x = d.mul_add(get::<L, S>(simd, x.add(r * stride + i), width, L::ZERO) - centre, sum_x);
                    sum_one += d;
                }
                store(sum_x, of_x.add(i));
                store(sum_one, of_one.add(i));
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::set_num_threads;
    use crate::parallel::turns::settings;
    use half::{bf16, f16};

    fn number(i: usize) -> f64 {
        ((i.wrapping_mul(2654435761) >> 7) % 2001) as f64 / 500.0 - 2.0
    }

    /// How an element type is made from f64 and read, and how exact it is.
    struct Kind<T: Real> {
        of: fn(f64) -> T,
        to: fn(T) -> f64,
        tolerance: f64,
    }

    const F32: Kind<f32> = Kind { of: |x| x as f32, to: |x| x as f64, tolerance: 3e-6 };
    const F64: Kind<f64> = Kind { of: |x| x, to: |x| x, tolerance: 1e-12 };
    const F16: Kind<f16> = Kind { of: f16::from_f64, to: f16::to_f64, tolerance: 2e-3 };
    const BF16: Kind<bf16> = Kind { of: bf16::from_f64, to: bf16::to_f64, tolerance: 2e-2 };

    impl<T: Real> Kind<T> {
        fn numbers(&self, len: usize, seed: usize) -> Vec<T> {
            (0..len).map(|i| (self.of)(number(i + seed))).collect()
        }

        fn params(&self, len: usize, seed: usize) -> Vec<T::Float> {
            (0..len).map(|i| T::Float::of(1.0 + 0.3 * number(i + seed))).collect()
        }

        fn close(&self, what: &str, out: &[T], expected: &[f64]) {
            assert_eq!(out.len(), expected.len());
            for (i, (&out, &expected)) in out.iter().zip(expected).enumerate() {
                let out = (self.to)(out);
                assert!((out - expected).abs() <= self.tolerance * (1.0 + expected.abs()), "{what} [{i}]: {out}, expected {expected}");
            }
        }

        /// For sums over `n` terms.
        fn close_sums(&self, what: &str, out: &[T::Float], expected: &[f64], n: usize) {
            let tolerance = self.tolerance.min(3e-6) * (n as f64).sqrt() * 2.0;
            for (i, (out, &expected)) in out.iter().zip(expected).enumerate() {
                let out = out.to_f64();
                assert!((out - expected).abs() <= tolerance * (1.0 + expected.abs()), "{what} [{i}]: {out}, expected {expected}");
            }
        }
    }

    /// Values, and the gradients of `Σ dy · normalised(x)`, of sets of elements that are normalised together. `set[i]` and
    /// `param[i]` are the set and the parameter of element `i`.
    struct Reference {
        y: Vec<f64>,
        dx: Vec<f64>,
        dweight: Vec<f64>,
        dbias: Vec<f64>,
    }

    fn reference(x: &[f64], dy: &[f64], set: &[usize], param: &[usize], w: &[f64], b: &[f64], eps: f64, centred: bool) -> Reference {
        let sets = set.iter().max().map_or(0, |m| m + 1);
        let mut out = Reference { y: vec![0.0; x.len()], dx: vec![0.0; x.len()], dweight: vec![0.0; w.len()], dbias: vec![0.0; w.len()] };
        let members: Vec<Vec<usize>> = {
            let mut members = vec![vec![]; sets];
            set.iter().enumerate().for_each(|(i, &s)| members[s].push(i));
            members
        };
        for members in members {
            let n = members.len() as f64;
            let mean = if centred { members.iter().map(|&i| x[i]).sum::<f64>() / n } else { 0.0 };
            let rstd = 1.0 / (members.iter().map(|&i| (x[i] - mean).powi(2)).sum::<f64>() / n + eps).sqrt();
            let normal = |i: usize| (x[i] - mean) * rstd;
            let g = |i: usize| dy[i] * w[param[i]];
            let one = if centred { members.iter().map(|&i| g(i)).sum::<f64>() / n } else { 0.0 };
            let of_x = members.iter().map(|&i| g(i) * normal(i)).sum::<f64>() / n;
            for &i in &members {
                out.y[i] = normal(i) * w[param[i]] + b[param[i]];
                out.dx[i] = rstd * (g(i) - one - normal(i) * of_x);
                out.dweight[param[i]] += dy[i] * normal(i);
                out.dbias[param[i]] += dy[i];
            }
        }
        out
    }

    fn f64s<T: Copy>(x: &[T], to: impl Fn(T) -> f64) -> Vec<f64> {
        x.iter().map(|&x| to(x)).collect()
    }

    fn rows_agree<T: Real>(kind: &Kind<T>) {
        for (rows, n) in [(1, 1), (8, 32), (5, 7), (3, 1001), (700, 33), (0, 5), (3, 0), (5000, 9)] {
            for affine in [false, true] {
                for centred in [false, true] {
                    let (x, dy) = (kind.numbers(rows * n, 0), kind.numbers(rows * n, 777));
                    let (w, b) = (kind.params(n, 3), kind.params(n, 5));
                    let (wp, bp) = if affine { (Some(w.as_ptr()), Some(b.as_ptr())) } else { (None, None) };
                    let mut y = x.clone();
                    let (mut mean, mut rstd) = (vec![T::Float::ZERO; rows], vec![T::Float::ZERO; rows]);
                    let mut dx = dy.clone();
                    let (mut dw, mut db) = (vec![T::Float::ONE; n], vec![T::Float::ONE; n]);
                    // SAFETY: the vectors have those sizes.
                    unsafe {
                        if centred {
                            layer_norm(x.as_ptr(), rows, n, wp, bp, 1e-5, y.as_mut_ptr(), Some(mean.as_mut_ptr()), Some(rstd.as_mut_ptr()));
                            let (dx, dw, db) = (Some(dx.as_mut_ptr()), Some(dw.as_mut_ptr()), Some(db.as_mut_ptr()));
                            layer_norm_backward(dy.as_ptr(), x.as_ptr(), rows, n, wp, mean.as_ptr(), rstd.as_ptr(), dx, dw, db);
                        } else {
                            rms_norm(x.as_ptr(), rows, n, wp, 1e-5, y.as_mut_ptr(), Some(rstd.as_mut_ptr()));
                            let (dx, dw) = (Some(dx.as_mut_ptr()), Some(dw.as_mut_ptr()));
                            rms_norm_backward(dy.as_ptr(), x.as_ptr(), rows, n, wp, rstd.as_ptr(), dx, dw);
                        }
                    }
                    if rows * n == 0 {
                        continue;
                    }
                    let set: Vec<usize> = (0..rows * n).map(|i| i / n).collect();
                    let param: Vec<usize> = (0..rows * n).map(|i| i % n).collect();
                    let w = if affine { f64s(&w, |w| w.to_f64()) } else { vec![1.0; n] };
                    let b = if affine && centred { f64s(&b, |b| b.to_f64()) } else { vec![0.0; n] };
                    let expected = reference(&f64s(&x, kind.to), &f64s(&dy, kind.to), &set, &param, &w, &b, 1e-5, centred);
                    if n > 1 || !centred {
                        kind.close("y", &y, &expected.y);
                        kind.close("dx", &dx, &expected.dx);
                        kind.close_sums("dweight", &dw, &expected.dweight, rows);
                    }
                    if centred {
                        kind.close_sums("dbias", &db, &expected.dbias, rows);
                    }
                }
            }
        }
    }

    #[test]
    fn layer_and_rms_norm_agree_with_f64_both_ways() {
        rows_agree(&F32);
        rows_agree(&F64);
        rows_agree(&F16);
        rows_agree(&BF16);
    }

    const CHANNELS: &[(usize, usize, usize, usize)] = &[
        (2, 6, 1, 3),
        (4, 6, 9, 2),
        (3, 4, 100, 1),
        (2, 5, 33, 5),
        (64, 20, 1, 4),
        (7, 12, 4, 3),
        (1, 2, 5000, 2),
        (300, 3, 2, 1),
        (2, 2, 0, 1),
        (0, 4, 3, 2),
    ];

    fn groups_agree<T: Real>(kind: &Kind<T>) {
        for &(n, channels, spatial, groups) in CHANNELS {
            let shape = Channels { n, channels, spatial };
            let len = n * channels * spatial;
            for affine in [false, true] {
                let (x, dy) = (kind.numbers(len, 0), kind.numbers(len, 777));
                let (w, b) = (kind.params(channels, 3), kind.params(channels, 5));
                let (wp, bp) = if affine { (Some(w.as_ptr()), Some(b.as_ptr())) } else { (None, None) };
                let (mut mean, mut rstd) = (vec![T::Float::ZERO; n * groups], vec![T::Float::ZERO; n * groups]);
                let (mut y, mut dx) = (x.clone(), dy.clone());
                let (mut dw, mut db) = (vec![T::Float::ONE; channels], vec![T::Float::ONE; channels]);
                // SAFETY: the vectors have those sizes.
                unsafe {
                    group_norm(x.as_ptr(), shape, groups, wp, bp, 1e-5, y.as_mut_ptr(), mean.as_mut_ptr(), rstd.as_mut_ptr());
                    let (to_x, to_w, to_b) = (Some(dx.as_mut_ptr()), Some(dw.as_mut_ptr()), Some(db.as_mut_ptr()));
                    group_norm_backward(dy.as_ptr(), x.as_ptr(), shape, groups, wp, mean.as_ptr(), rstd.as_ptr(), to_x, to_w, to_b);
                }
                if len == 0 {
                    assert!(dw.iter().all(|dw| dw.to_f64() == 0.0));
                    continue;
                }
                let param: Vec<usize> = (0..len).map(|i| i / spatial % channels).collect();
                let set: Vec<usize> = (0..len).map(|i| i / spatial / (channels / groups)).collect();
                let w = if affine { f64s(&w, |w| w.to_f64()) } else { vec![1.0; channels] };
                let b = if affine { f64s(&b, |b| b.to_f64()) } else { vec![0.0; channels] };
                let expected = reference(&f64s(&x, kind.to), &f64s(&dy, kind.to), &set, &param, &w, &b, 1e-5, true);
                kind.close("y", &y, &expected.y);
                kind.close("dx", &dx, &expected.dx);
                kind.close_sums("dweight", &dw, &expected.dweight, n * spatial);
                kind.close_sums("dbias", &db, &expected.dbias, n * spatial);
            }
        }
    }

    #[test]
    fn group_norm_agrees_with_f64_both_ways() {
        groups_agree(&F32);
        groups_agree(&F64);
        groups_agree(&F16);
        groups_agree(&BF16);
    }

    fn batches_agree<T: Real>(kind: &Kind<T>) {
        for &(n, channels, spatial, _) in CHANNELS {
            let shape = Channels { n, channels, spatial };
            let len = n * channels * spatial;
            if len == 0 {
                continue;
            }
            for affine in [false, true] {
                let (x, dy) = (kind.numbers(len, 0), kind.numbers(len, 777));
                let (w, b) = (kind.params(channels, 3), kind.params(channels, 5));
                let (wp, bp) = if affine { (Some(w.as_ptr()), Some(b.as_ptr())) } else { (None, None) };
                let zeros = vec![T::Float::ZERO; channels];
                let (mut mean, mut invstd, mut unbiased) = (zeros.clone(), zeros.clone(), zeros.clone());
                let (mut y, mut dx) = (x.clone(), dy.clone());
                let (mut dw, mut db) = (zeros.clone(), zeros.clone());
                // SAFETY: the vectors have those sizes.
                unsafe {
                    let (to_mean, to_invstd, to_unbiased) = (mean.as_mut_ptr(), invstd.as_mut_ptr(), unbiased.as_mut_ptr());
                    batch_norm_train(x.as_ptr(), shape, wp, bp, 1e-5, y.as_mut_ptr(), to_mean, to_invstd, Some(to_unbiased));
                    let (to_x, to_w, to_b) = (Some(dx.as_mut_ptr()), Some(dw.as_mut_ptr()), Some(db.as_mut_ptr()));
                    batch_norm_backward(dy.as_ptr(), x.as_ptr(), shape, mean.as_ptr(), invstd.as_ptr(), wp, true, to_x, to_w, to_b);
                }
                let param: Vec<usize> = (0..len).map(|i| i / spatial % channels).collect();
                let w = if affine { f64s(&w, |w| w.to_f64()) } else { vec![1.0; channels] };
                let b = if affine { f64s(&b, |b| b.to_f64()) } else { vec![0.0; channels] };
                let (xs, dys) = (f64s(&x, kind.to), f64s(&dy, kind.to));
                let expected = reference(&xs, &dys, &param, &param, &w, &b, 1e-5, true);
                kind.close("y", &y, &expected.y);
                kind.close("dx", &dx, &expected.dx);
                kind.close_sums("dweight", &dw, &expected.dweight, n * spatial);
                kind.close_sums("dbias", &db, &expected.dbias, n * spatial);
                for c in 0..channels {
                    let of: Vec<f64> = (0..len).filter(|&i| param[i] == c).map(|i| xs[i]).collect();
                    let mean = of.iter().sum::<f64>() / of.len() as f64;
                    let var = of.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (of.len() - 1) as f64;
                    assert!((unbiased[c].to_f64() - var).abs() < 1e-5 || of.len() == 1);
                }
                // With other statistics, as constants.
                let (mean, var) = (
                    kind.params(channels, 11),
                    kind.params(channels, 12).iter().map(|v| T::Float::of(v.to_f64().abs() + 0.5)).collect::<Vec<_>>(),
                );
                let mut invstd = zeros;
                // SAFETY: as above.
                unsafe {
                    invstd_of(var.as_ptr(), channels, 1e-5, invstd.as_mut_ptr());
                    batch_norm_apply(x.as_ptr(), shape, mean.as_ptr(), invstd.as_ptr(), wp, bp, y.as_mut_ptr());
                    let (to_x, to_w, to_b) = (Some(dx.as_mut_ptr()), Some(dw.as_mut_ptr()), Some(db.as_mut_ptr()));
                    batch_norm_backward(dy.as_ptr(), x.as_ptr(), shape, mean.as_ptr(), invstd.as_ptr(), wp, false, to_x, to_w, to_b);
                }
                let normal = |i: usize| (xs[i] - mean[param[i]].to_f64()) / (var[param[i]].to_f64() + 1e-5).sqrt();
                let expected: Vec<f64> = (0..len).map(|i| normal(i) * w[param[i]] + b[param[i]]).collect();
                kind.close("y", &y, &expected);
                let expected: Vec<f64> = (0..len).map(|i| dys[i] * w[param[i]] / (var[param[i]].to_f64() + 1e-5).sqrt()).collect();
                kind.close("dx", &dx, &expected);
                let expected: Vec<f64> =
                    (0..channels).map(|c| (0..len).filter(|&i| param[i] == c).map(|i| dys[i] * normal(i)).sum()).collect();
                kind.close_sums("dweight", &dw, &expected, n * spatial);
            }
        }
    }

    #[test]
    fn batch_norm_agrees_with_f64_both_ways_and_in_inference() {
        batches_agree(&F32);
        batches_agree(&F64);
        batches_agree(&F16);
        batches_agree(&BF16);
    }

    #[test]
    fn a_great_mean_does_not_spoil_the_variance() {
        for spatial in [1, 64] {
            let shape = Channels { n: 4096 / spatial, channels: 2, spatial };
            let x: Vec<f32> = (0..8192).map(|i| 1e4 + (i % 7) as f32).collect();
            let (mut mean, mut invstd) = ([0f32; 2], [0f32; 2]);
            // SAFETY: the arrays have those sizes.
            unsafe { batch_norm_statistics(x.as_ptr(), shape, 0.0, mean.as_mut_ptr(), invstd.as_mut_ptr(), None) };
            for invstd in invstd {
                assert!((invstd - 0.5).abs() < 1e-3, "{invstd}");
            }
        }
    }

    #[test]
    fn running_statistics_move_towards_the_batch() {
        let mut running = [bf16::from_f32(1.0), bf16::from_f32(2.0)];
        // SAFETY: two values each.
        unsafe { update_running(running.as_mut_ptr(), [3f32, 2.0].as_ptr(), 2, 0.25) };
        assert_eq!(running.map(bf16::to_f32), [1.5, 2.0]);
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let _turn = settings();
        let mut first: Option<Vec<u32>> = None;
        for threads in [16, 3, 1, 2] {
            set_num_threads(threads);
            let mut bits = vec![];
            for (n, channels, spatial) in [(4000, 50, 1), (8, 50, 900), (1000, 50, 9)] {
                let shape = Channels { n, channels, spatial };
                let len = n * channels * spatial;
                let (x, dy) = (F32.numbers(len, 0), F32.numbers(len, 777));
                let (mut mean, mut invstd, mut dx) = (vec![0f32; channels], vec![0f32; channels], dy.clone());
                let (mut dw, mut db) = (vec![0f32; channels * spatial], vec![0f32; channels * spatial]);
                let (mut means, mut rstds, mut y) = (vec![0f32; n], vec![0f32; n], x.clone());
                // SAFETY: the vectors have those sizes.
                unsafe {
                    batch_norm_statistics(x.as_ptr(), shape, 1e-5, mean.as_mut_ptr(), invstd.as_mut_ptr(), None);
                    let (to_x, to_w, to_b) = (Some(dx.as_mut_ptr()), Some(dw.as_mut_ptr()), Some(db.as_mut_ptr()));
                    batch_norm_backward(dy.as_ptr(), x.as_ptr(), shape, mean.as_ptr(), invstd.as_ptr(), None, true, to_x, to_w, to_b);
                    bits.extend([&mean, &invstd, &dx, &dw, &db].into_iter().flatten().map(|x| x.to_bits()));
                    let row = channels * spatial;
                    layer_norm(x.as_ptr(), n, row, None, None, 1e-5, y.as_mut_ptr(), Some(means.as_mut_ptr()), Some(rstds.as_mut_ptr()));
                    layer_norm_backward(dy.as_ptr(), x.as_ptr(), n, row, None, means.as_ptr(), rstds.as_ptr(), to_x, to_w, to_b);
                    bits.extend([&y, &dx, &dw, &db].into_iter().flatten().map(|x| x.to_bits()));
                }
            }
            assert!(*first.get_or_insert_with(|| bits.clone()) == bits);
        }
    }
}
