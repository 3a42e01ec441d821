//! Classification losses: nll_loss on log-probabilities and cross-entropy fused from logits, with gradients.
//!
//! Arrays are seen as `n × classes × inner` (`inner` = the product of the spatial dimensions, 1 without), contiguous; targets as
//! `n × inner`. Class weights are in the type that rows are computed in (f32 for 16-bit floats), losses per item too.

use crate::copy::Shared;
use crate::parallel::{par_chunks, par_for};
use crate::softmax::{Columns, RowKernel, Rows, always, each_vector, get, greatest, max_and_sum, put, sum_line};
use crate::wide::{Float, Real, Wide};
use fearless_simd::{Simd, SimdBase};

/// Items worth a chunk of a parallel loop, and of one partial sum.
const ITEMS: usize = 1 << 13;

/// Sizes of the logits: `n × classes × inner`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    pub n: usize,
    pub classes: usize,
    pub inner: usize,
}

impl Shape {
    pub fn items(self) -> usize {
        self.n * self.inner
    }

    /// The place of class 0 of an item in the logits.
    #[inline(always)]
    fn start(self, item: usize) -> usize {
        item / self.inner * self.classes * self.inner + item % self.inner
    }
}

/// The first target that is neither a class nor `ignore_index`. Preconditions of all losses here: there is none.
///
/// # Safety
/// `len` targets are readable.
pub unsafe fn target_out_of_range(target: *const i64, len: usize, classes: usize, ignore_index: i64) -> Option<i64> {
    // SAFETY: the caller's promise.
    let at = |i: usize| unsafe { target.add(i).read() };
    (0..len).map(at).find(|&t| (t < 0 || t >= classes as i64) && t != ignore_index)
}

/// `-weight[target] · log_probability[target]` per item, 0 where ignored, into `losses`; returns the sum of the losses and of the
/// weights of the items that count (1 each without weights), from which a mean is the quotient.
///
/// # Safety
/// `x` has `shape`, `target` and `losses` `shape.items()` elements, `weight` one per class.
pub unsafe fn nll_loss<T: Real>(
    x: *const T,
    shape: Shape,
    target: *const i64,
    weight: Option<*const T::Float>,
    ignore_index: i64,
    losses: *mut T::Float,
) -> Totals {
    let (x, target, losses) = (Shared::read_only(x), Shared::read_only(target), Shared::new(losses));
    let weight = Weights::new(weight);
    // SAFETY: the caller's promise.
    let each = |item: usize| unsafe {
        let class = target.get().add(item).read();
        let (loss, weight) = if class == ignore_index {
            (T::Float::ZERO, 0.0)
        } else {
            let weight = weight.of(class as usize);
            let value = x.get().add(shape.start(item) + class as usize * shape.inner).read().widen();
            (-value * weight, weight.to_f64())
        };
        losses.get().add(item).write(loss);
        (loss.to_f64(), weight)
    };
    totals(shape.items(), each)
}

/// Sum of the losses, and of the weights of the items that count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    pub loss: f64,
    pub weight: f64,
}

/// The gradient of [`nll_loss`] times `scale(item)`: 0 but for `-weight[target]` at the target.
///
/// # Safety
/// As for [`nll_loss`]; `dx` has `shape`.
pub unsafe fn nll_loss_backward<T: Real>(
    shape: Shape,
    target: *const i64,
    weight: Option<*const T::Float>,
    ignore_index: i64,
    dloss: Dloss<T::Float>,
    dx: *mut T,
) {
    let (target, dx, weight) = (Shared::read_only(target), Shared::new(dx), Weights::new(weight));
    let Shape { n, classes, inner } = shape;
    let grain = (1 << 17) / (classes * inner).max(1);
    par_chunks(n, grain.max(1), &|range| {
        // SAFETY: the caller's promise; chunks have disjoint rows.
        unsafe {
            // All bits 0 is 0 in every floating-point type.
            dx.get().add(range.start * classes * inner).write_bytes(0, range.len() * classes * inner);
            for item in range.start * inner..range.end * inner {
                let class = target.get().add(item).read();
                if class != ignore_index {
                    let value = -weight.of(class as usize) * dloss.at(item);
                    dx.get().add(shape.start(item) + class as usize * inner).write(T::narrow(value));
                }
            }
        }
    });
}

/// The gradient of the losses: one for all items (already divided by the total weight for a mean), or one each.
#[derive(Clone, Copy, Debug)]
pub enum Dloss<L> {
    One(L),
    Each(*const L),
}

// SAFETY: a plain address that the functions here only read.
unsafe impl<L: Send> Send for Dloss<L> {}
// SAFETY: as above.
unsafe impl<L: Sync> Sync for Dloss<L> {}

impl<L: Float> Dloss<L> {
    /// # Safety
    /// `item` has a gradient.
    #[inline(always)]
    unsafe fn at(&self, item: usize) -> L {
        match *self {
            Dloss::One(value) => value,
            // SAFETY: the caller's promise.
            Dloss::Each(values) => unsafe { values.add(item).read() },
        }
    }
}

/// Weights of classes, 1 without.
#[derive(Clone, Copy)]
struct Weights<L>(Option<Shared<L>>);

impl<L: Float> Weights<L> {
    fn new(weight: Option<*const L>) -> Self {
        Weights(weight.map(Shared::read_only))
    }

    /// # Safety
    /// `class` has a weight.
    #[inline(always)]
    unsafe fn of(&self, class: usize) -> L {
        match self.0 {
            // SAFETY: the caller's promise.
            Some(weights) => unsafe { weights.get().add(class).read() },
            None => L::ONE,
        }
    }
}

/// Σ over items in f64, by partial sums of a fixed number of them.
fn totals(items: usize, each: impl Fn(usize) -> (f64, f64) + Sync) -> Totals {
    let part = |from: usize, to: usize| {
        (from..to).map(&each).fold(Totals::default(), |sum, (loss, weight)| Totals { loss: sum.loss + loss, weight: sum.weight + weight })
    };
    if items <= ITEMS {
        return part(0, items);
    }
    let mut parts = vec![Totals::default(); items.div_ceil(ITEMS)];
    let to = Shared::new(parts.as_mut_ptr());
    // SAFETY: each part has its own place.
    par_for(parts.len(), &|i| unsafe { to.get().add(i).write(part(i * ITEMS, items.min((i + 1) * ITEMS))) });
    parts.iter().fold(Totals::default(), |sum, part| Totals { loss: sum.loss + part.loss, weight: sum.weight + part.weight })
}

/// Each item's greatest logit `m`, then each one's `ln Σ exp(x - m)`: apart, since their sum would round small logarithms away.
#[derive(Clone, Copy)]
struct Saved<L> {
    ptr: Shared<L>,
    items: usize,
}

impl<L: Float> Saved<L> {
    /// # Safety
    /// `item` is in range, as are `width` from it on below.
    #[inline(always)]
    unsafe fn get(&self, item: usize) -> (L, L) {
        // SAFETY: the caller's promise.
        unsafe { (self.ptr.get().add(item).read(), self.ptr.get().add(self.items + item).read()) }
    }

    /// # Safety
    /// As for `get`.
    #[inline(always)]
    unsafe fn set(&self, item: usize, max: L, ln: L) {
        // SAFETY: the caller's promise.
        unsafe {
            self.ptr.get().add(item).write(max);
            self.ptr.get().add(self.items + item).write(ln);
        }
    }

    /// # Safety
    /// As for `get`.
    #[inline(always)]
    unsafe fn get_columns<S: Simd>(&self, simd: S, item: usize, width: usize) -> (L::Native<S>, L::Native<S>) {
        // SAFETY: the caller's promise.
        unsafe {
            let at = always(
                #[inline(always)]
                |place: usize| get::<L, S>(simd, self.ptr.get().add(place), width, L::ZERO),
            );
            (at(item), at(self.items + item))
        }
    }
}

/// What the logits should have been.
#[derive(Clone, Copy, Debug)]
pub enum Target<T> {
    /// The class of each item, or this index where it does not count.
    Classes { target: *const i64, ignore_index: i64 },
    /// A probability for each class, of the logits' shape.
    Probabilities(*const T),
}

// SAFETY: plain addresses that the functions here only read.
unsafe impl<T: Send> Send for Target<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Target<T> {}

/// Cross-entropy of `softmax(x)` per item into `losses`. Into `saved`, which the backward wants, go `m = max x` of all items, then
/// `ln Σ exp(x - m)` of all. Returns the sums of the losses and of the weights that a mean divides by: with classes those of
/// the items that count, with probabilities the number of items.
///
/// With smoothing `s` the target is `(1 - s) t + s / classes`; the loss `-Σ weight t ln softmax(x)`, 0 for ignored items.
///
/// # Safety
/// `x` (and probabilities) have `shape`, targets and `losses` `shape.items()` elements, `saved` twice as many, `weight` one per class.
pub unsafe fn cross_entropy<T: Real>(
    x: *const T,
    shape: Shape,
    target: Target<T>,
    weight: Option<*const T::Float>,
    smoothing: f64,
    losses: *mut T::Float,
    saved: *mut T::Float,
) -> Totals {
    if shape.items() == 0 {
        return Totals::default();
    }
    let weight = Weights::new(weight);
    let (losses, saved) = (Shared::new(losses), Saved { ptr: Shared::new(saved), items: shape.items() });
    let Shape { n, classes, inner } = shape;
    // SAFETY: the caller's promise.
    unsafe {
        match target {
            Target::Classes { target, ignore_index } => {
                let target = Shared::read_only(target);
                let kernel = Entropy { shape, target, ignore_index, weight, smoothing, losses, saved };
                Rows::new(n, classes, inner, [x], std::ptr::null_mut()).run(&kernel);
                totals(shape.items(), |item| {
                    let class = target.get().add(item).read();
                    let weight = if class == ignore_index { 0.0 } else { weight.of(class as usize).to_f64() };
                    (losses.get().add(item).read().to_f64(), weight)
                })
            }
            Target::Probabilities(target) => {
                let kernel = SoftEntropy { weight, smoothing, losses, saved };
                Rows::new(n, classes, inner, [x, target], std::ptr::null_mut()).run(&kernel);
                totals(shape.items(), |item| (losses.get().add(item).read().to_f64(), 1.0))
            }
        }
    }
}

/// The gradient of [`cross_entropy`] for the logits, from them and what it saved.
///
/// # Safety
/// As for [`cross_entropy`]; `dx` has `shape` and may be `x`.
pub unsafe fn cross_entropy_backward<T: Real>(
    x: *const T,
    shape: Shape,
    target: Target<T>,
    weight: Option<*const T::Float>,
    smoothing: f64,
    saved: *const T::Float,
    dloss: Dloss<T::Float>,
    dx: *mut T,
) {
    let weight = Weights::new(weight);
    let saved = Saved { ptr: Shared::read_only(saved), items: shape.items() };
    let Shape { n, classes, inner } = shape;
    // SAFETY: the caller's promise.
    unsafe {
        match target {
            Target::Classes { target, ignore_index } => {
                let target = Shared::read_only(target);
                let kernel = EntropyBackward { target, ignore_index, weight, smoothing, saved, dloss };
                Rows::new(n, classes, inner, [x], dx).run(&kernel);
            }
            Target::Probabilities(target) => {
                let kernel = SoftEntropyBackward { weight, smoothing, saved, dloss };
                Rows::new(n, classes, inner, [x, target], dx).run(&kernel);
            }
        }
    }
}

struct Entropy<L> {
    shape: Shape,
    target: Shared<i64>,
    ignore_index: i64,
    weight: Weights<L>,
    smoothing: f64,
    losses: Shared<L>,
    saved: Saved<L>,
}

impl<L: Float> Entropy<L> {
    /// Writes the loss of an item from `max`, `ln Σ exp(x - max)`, its logit `x[class]` and, for smoothing, `-Σ weight ln softmax(x)`.
    ///
    /// # Safety
    /// `item` and `class` are in range.
    #[inline(always)]
    unsafe fn write(&self, item: usize, max: L, ln: L, logit: impl Fn(usize) -> L, smooth: impl Fn(L) -> L) {
        // SAFETY: the caller's promise.
        unsafe {
            let class = self.target.get().add(item).read();
            let mut loss = L::ZERO;
            if class != self.ignore_index {
                loss = self.weight.of(class as usize) * (ln - (logit(class as usize) - max));
                if self.smoothing != 0.0 {
                    let rest = smooth(ln) * L::of(self.smoothing / self.shape.classes as f64);
                    loss = loss * L::of(1.0 - self.smoothing) + rest;
                }
            }
            self.losses.get().add(item).write(loss);
            self.saved.set(item, max, ln);
        }
    }
}

/// The weights from class `i` on, 1 without.
///
/// # Safety
/// `width` classes from `i` on have weights.
#[inline(always)]
unsafe fn weights<L: Float, S: Simd>(simd: S, weight: Weights<L>, i: usize, width: usize) -> L::Native<S> {
    match weight.0 {
        // SAFETY: the caller's promise.
        Some(weights) => unsafe { get::<L, S>(simd, weights.get().add(i), width, L::ZERO) },
        None => {
            let mut ones = L::Native::<S>::splat(simd, L::ONE);
            ones.as_mut_slice()[width..].fill(L::ZERO);
            ones
        }
    }
}

impl<L: Float> RowKernel<L, 1> for Entropy<L> {
    const SHORT: usize = 32;

    #[inline(always)]
    unsafe fn line<S: Simd>(&self, simd: S, [x]: [*const L; 1], _: *mut L, n: usize, item: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let max = greatest::<L, S>(simd, x, n);
            let splat = L::Native::<S>::splat(simd, max);
            let sum = sum_line::<L, S, 1>(
                simd,
                n,
                #[inline(always)]
                |i, width| L::exp(simd, get::<L, S>(simd, x.add(i), width, L::LOWEST) - splat),
            );
            let smooth = |ln: L| {
                let ln = L::Native::<S>::splat(simd, ln);
                sum_line::<L, S, 1>(
                    simd,
                    n,
                    #[inline(always)]
                    |i, width| (ln - (get::<L, S>(simd, x.add(i), width, L::ZERO) - splat)) * weights(simd, self.weight, i, width),
                )
            };
            let ln = L::ln(simd, L::Native::<S>::splat(simd, sum))[0];
            self.write(item, max, ln, |class| x.add(class).read(), smooth);
        }
    }

    #[inline(always)]
    unsafe fn columns<S: Simd>(&self, simd: S, x: Columns<L, 1>, item: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let (max, sum) = max_and_sum(
                simd,
                x,
                #[inline(always)]
                |_, _| {},
            );
            let ln = L::ln(simd, sum);
            for j in 0..x.width {
                let at = always(
                    #[inline(always)]
                    |i: usize| x.x[0].add(i * x.stride + j).read(),
                );
                let smooth = |ln: L| (0..x.n).fold(L::ZERO, |sum, i| sum + (ln - (at(i) - max[j])) * self.weight.of(i));
                self.write(item + j, max[j], ln[j], at, smooth);
            }
        }
    }
}

struct EntropyBackward<L> {
    target: Shared<i64>,
    ignore_index: i64,
    weight: Weights<L>,
    smoothing: f64,
    saved: Saved<L>,
    dloss: Dloss<L>,
}

impl<L: Float> EntropyBackward<L> {
    /// An item's class and its factors: `dx = of_softmax · softmax - of_weights · weight`, less `at_class` at the class. None if it
    /// does not count.
    ///
    /// # Safety
    /// `item` is in range.
    #[inline(always)]
    unsafe fn factors(&self, n: usize, item: usize, total: impl Fn() -> L) -> Option<(usize, L, L, L)> {
        // SAFETY: the caller's promise.
        unsafe {
            let class = self.target.get().add(item).read();
            if class == self.ignore_index {
                return None;
            }
            let dloss = self.dloss.at(item);
            let at_class = dloss * self.weight.of(class as usize) * L::of(1.0 - self.smoothing);
            if self.smoothing == 0.0 {
                return Some((class as usize, at_class, L::ZERO, at_class));
            }
            let of_weights = dloss * L::of(self.smoothing / n as f64);
            Some((class as usize, at_class + of_weights * total(), of_weights, at_class))
        }
    }
}

impl<L: Float> RowKernel<L, 1> for EntropyBackward<L> {
    const SHORT: usize = 16;

    #[inline(always)]
    unsafe fn line<S: Simd>(&self, simd: S, [x]: [*const L; 1], dx: *mut L, n: usize, item: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let splat = always(
                #[inline(always)]
                |c| L::Native::<S>::splat(simd, c),
            );
            let total = || {
                sum_line::<L, S, 1>(
                    simd,
                    n,
                    #[inline(always)]
                    |i, width| weights(simd, self.weight, i, width),
                )
            };
            let Some((class, of_softmax, of_weights, at_class)) = self.factors(n, item, total) else {
                each_vector::<L, S>(
                    simd,
                    n,
                    #[inline(always)]
                    |i, width| put::<L, S>(dx.add(i), width, splat(L::ZERO)),
                );
                return;
            };
            let (max, ln) = self.saved.get(item);
            let (max, ln, of_softmax) = (splat(max), splat(ln), splat(of_softmax));
            each_vector::<L, S>(
                simd,
                n,
                #[inline(always)]
                |i, width| {
                    let mut d = L::exp(simd, get::<L, S>(simd, x.add(i), width, L::ZERO) - max - ln) * of_softmax;
                    if self.smoothing != 0.0 {
                        d -= weights(simd, self.weight, i, width) * of_weights;
                    }
                    put::<L, S>(dx.add(i), width, d);
                },
            );
            dx.add(class).write(dx.add(class).read() - at_class);
        }
    }

    #[inline(always)]
    unsafe fn columns<S: Simd>(&self, simd: S, x: Columns<L, 1>, item: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let zero = L::Native::<S>::splat(simd, L::ZERO);
            let (mut of_softmax, mut of_weights) = (zero, zero);
            let (max, ln) = self.saved.get_columns::<S>(simd, item, x.width);
            let mut counts = zero;
            let total = || (0..x.n).fold(L::ZERO, |total, i| total + self.weight.of(i));
            for j in 0..x.width {
                if let Some((_, of, weights, _)) = self.factors(x.n, item + j, total) {
                    of_softmax[j] = of;
                    of_weights[j] = weights;
                    counts[j] = L::ONE;
                }
            }
            let counts = counts.simd_eq(L::ONE);
            for i in 0..x.n {
                let mut d = L::exp(simd, x.get(simd, 0, i) - max - ln) * of_softmax;
                if self.smoothing != 0.0 {
                    d -= of_weights * self.weight.of(i);
                }
                // An ignored item's logits may be inf: 0 is chosen, not multiplied.
                x.set::<S>(i, fearless_simd::Select::select(counts, d, zero));
            }
            for j in 0..x.width {
                if let Some((class, _, _, at_class)) = self.factors(x.n, item + j, || L::ZERO) {
                    let place = x.out.add(class * x.stride + j);
                    place.write(place.read() - at_class);
                }
            }
        }
    }
}

struct SoftEntropy<L> {
    weight: Weights<L>,
    smoothing: f64,
    losses: Shared<L>,
    saved: Saved<L>,
}

/// `weight · ((1 - s) t + s / n)` from class `i` on, 0 beyond the width.
///
/// # Safety
/// As for [`weights`].
#[inline(always)]
unsafe fn smoothed<L: Float, S: Simd>(
    simd: S,
    t: L::Native<S>,
    weight: Weights<L>,
    smoothing: f64,
    n: usize,
    i: usize,
    width: usize,
) -> L::Native<S> {
    let t = if smoothing == 0.0 { t } else { t * L::of(1.0 - smoothing) + L::of(smoothing / n as f64) };
    if smoothing == 0.0 && weight.0.is_none() {
        return t;
    }
    // SAFETY: the caller's promise.
    t * unsafe { weights(simd, weight, i, width) }
}

/// The same for class `i` of columns.
///
/// # Safety
/// `i` has a weight.
#[inline(always)]
unsafe fn smoothed_column<L: Float, S: Simd>(t: L::Native<S>, weight: Weights<L>, smoothing: f64, n: usize, i: usize) -> L::Native<S> {
    let t = if smoothing == 0.0 { t } else { t * L::of(1.0 - smoothing) + L::of(smoothing / n as f64) };
    // SAFETY: the caller's promise.
    if weight.0.is_none() { t } else { t * unsafe { weight.of(i) } }
}

impl<L: Float> RowKernel<L, 2> for SoftEntropy<L> {
    const SHORT: usize = 32;

    #[inline(always)]
    unsafe fn line<S: Simd>(&self, simd: S, [x, t]: [*const L; 2], _: *mut L, n: usize, item: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let max = greatest::<L, S>(simd, x, n);
            let splat = L::Native::<S>::splat(simd, max);
            let sum = sum_line::<L, S, 1>(
                simd,
                n,
                #[inline(always)]
                |i, width| L::exp(simd, get::<L, S>(simd, x.add(i), width, L::LOWEST) - splat),
            );
            let lnv = L::ln(simd, L::Native::<S>::splat(simd, sum));
            let ln = lnv[0];
            let loss = sum_line::<L, S, 1>(
                simd,
                n,
                #[inline(always)]
                |i, width| {
                    let t = smoothed::<L, S>(simd, get::<L, S>(simd, t.add(i), width, L::ZERO), self.weight, self.smoothing, n, i, width);
                    (lnv - (get::<L, S>(simd, x.add(i), width, L::ZERO) - splat)) * t
                },
            );
            self.losses.get().add(item).write(loss);
            self.saved.set(item, max, ln);
        }
    }

    #[inline(always)]
    unsafe fn columns<S: Simd>(&self, simd: S, x: Columns<L, 2>, item: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let (max, sum) = max_and_sum(
                simd,
                x,
                #[inline(always)]
                |_, _| {},
            );
            let ln = L::ln(simd, sum);
            let mut loss = L::Native::<S>::splat(simd, L::ZERO);
            for i in 0..x.n {
                let t = smoothed_column::<L, S>(x.get(simd, 1, i), self.weight, self.smoothing, x.n, i);
                loss += (ln - (x.get(simd, 0, i) - max)) * t;
            }
            put::<L, S>(self.losses.get().add(item), x.width, loss);
            (0..x.width).for_each(|j| self.saved.set(item + j, max[j], ln[j]));
        }
    }
}

struct SoftEntropyBackward<L> {
    weight: Weights<L>,
    smoothing: f64,
    saved: Saved<L>,
    dloss: Dloss<L>,
}

impl<L: Float> RowKernel<L, 2> for SoftEntropyBackward<L> {
    const SHORT: usize = 16;

    #[inline(always)]
    unsafe fn line<S: Simd>(&self, simd: S, [x, t]: [*const L; 2], dx: *mut L, n: usize, item: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let splat = always(
                #[inline(always)]
                |c| L::Native::<S>::splat(simd, c),
            );
            let at = always(
                #[inline(always)]
                |i: usize, width: usize| {
                    smoothed::<L, S>(simd, get::<L, S>(simd, t.add(i), width, L::ZERO), self.weight, self.smoothing, n, i, width)
                },
            );
            let total = splat(sum_line::<L, S, 1>(simd, n, at));
            let (max, ln) = self.saved.get(item);
            let (max, ln, dloss) = (splat(max), splat(ln), splat(self.dloss.at(item)));
            each_vector::<L, S>(
                simd,
                n,
                #[inline(always)]
                |i, width| {
                    let p = L::exp(simd, get::<L, S>(simd, x.add(i), width, L::ZERO) - max - ln);
                    put::<L, S>(dx.add(i), width, (p * total - at(i, width)) * dloss);
                },
            );
        }
    }

    #[inline(always)]
    unsafe fn columns<S: Simd>(&self, simd: S, x: Columns<L, 2>, item: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            let zero = L::Native::<S>::splat(simd, L::ZERO);
            let at = always(
                #[inline(always)]
                |i: usize| smoothed_column::<L, S>(x.get(simd, 1, i), self.weight, self.smoothing, x.n, i),
            );
            let total = (0..x.n).fold(zero, |total, i| total + at(i));
            let (max, ln) = self.saved.get_columns::<S>(simd, item, x.width);
            let mut dloss = zero;
            (0..x.width).for_each(|j| dloss[j] = self.dloss.at(item + j));
            for i in 0..x.n {
                let p = L::exp(simd, x.get(simd, 0, i) - max - ln);
                x.set::<S>(i, (p * total - at(i)) * dloss);
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

    const SHAPES: &[(usize, usize, usize)] =
        &[(1, 1, 1), (8, 10, 1), (64, 32, 1), (5, 1001, 1), (3, 7, 33), (2, 5, 4), (1000, 9, 20), (0, 4, 1), (4, 3, 0)];

    fn number(i: usize) -> f64 {
        ((i.wrapping_mul(2654435761) >> 7) % 2001) as f64 / 250.0 - 4.0
    }

    struct Case<T: Real> {
        shape: Shape,
        x: Vec<T>,
        classes: Vec<i64>,
        probabilities: Vec<T>,
        weight: Vec<T::Float>,
    }

    fn case<T: Real>(shape: Shape, of: fn(f64) -> T) -> Case<T> {
        let len = shape.items() * shape.classes;
        Case {
            shape,
            x: (0..len).map(|i| of(number(i))).collect(),
            classes: (0..shape.items()).map(|i| if i % 5 == 3 { -100 } else { (i * 7 % shape.classes) as i64 }).collect(),
            probabilities: (0..len).map(|i| of((number(i + 99) + 4.0) / 8.0)).collect(),
            weight: (0..shape.classes).map(|i| T::Float::of(1.0 + number(i + 5) * 0.2)).collect(),
        }
    }

    /// Loss per item and `Σ scale(item) · loss` differentiated, all in f64; `t` the target distribution of an item, weights in it.
    fn reference(shape: Shape, x: &[f64], t: &dyn Fn(usize, usize) -> f64) -> (Vec<f64>, Vec<f64>) {
        let (mut losses, mut dx) = (vec![], vec![0.0; x.len()]);
        for item in 0..shape.items() {
            let at = |c: usize| shape.start(item) + c * shape.inner;
            let max = (0..shape.classes).map(|c| x[at(c)]).fold(f64::NEG_INFINITY, f64::max);
            let ln = (0..shape.classes).map(|c| (x[at(c)] - max).exp()).sum::<f64>().ln();
            losses.push((0..shape.classes).map(|c| t(item, c) * (ln + max - x[at(c)])).sum());
            let total: f64 = (0..shape.classes).map(|c| t(item, c)).sum();
            (0..shape.classes).for_each(|c| dx[at(c)] = scale(item) * ((x[at(c)] - max - ln).exp() * total - t(item, c)));
        }
        (losses, dx)
    }

    fn scale(item: usize) -> f64 {
        0.25 + (item % 4) as f64 * 0.5
    }

    fn agrees<T: Real>(of: fn(f64) -> T, to: fn(T) -> f64, tolerance: f64) {
        for &(n, classes, inner) in SHAPES {
            let case = case(Shape { n, classes, inner }, of);
            let items = case.shape.items();
            let x: Vec<f64> = case.x.iter().map(|&x| to(x)).collect();
            let scales: Vec<T::Float> = (0..items).map(|i| T::Float::of(scale(i))).collect();
            for (weighted, smoothing, soft) in
                [(false, 0.0, false), (true, 0.0, false), (false, 0.1, false), (true, 0.1, false), (false, 0.0, true), (true, 0.2, true)]
            {
                let weight = weighted.then_some(case.weight.as_ptr());
                let target = if soft {
                    Target::Probabilities(case.probabilities.as_ptr())
                } else {
                    Target::Classes { target: case.classes.as_ptr(), ignore_index: -100 }
                };
                let (mut losses, mut saved) = (vec![T::Float::ONE; items], vec![T::Float::ONE; 2 * items]);
                let mut dx = case.x.clone();
                // SAFETY: the vectors have those sizes.
                let totals = unsafe {
                    let totals =
                        cross_entropy(case.x.as_ptr(), case.shape, target, weight, smoothing, losses.as_mut_ptr(), saved.as_mut_ptr());
                    let dloss = Dloss::Each(scales.as_ptr());
                    cross_entropy_backward(case.x.as_ptr(), case.shape, target, weight, smoothing, saved.as_ptr(), dloss, dx.as_mut_ptr());
                    totals
                };
                let w = |c: usize| if weighted { case.weight[c].to_f64() } else { 1.0 };
                let counts = |item: usize| soft || case.classes[item] != -100;
                let t = |item: usize, c: usize| {
                    let t = if soft {
                        to(case.probabilities[case.shape.start(item) + c * inner])
                    } else {
                        (case.classes[item] == c as i64) as i32 as f64
                    };
                    if counts(item) { w(c) * (t * (1.0 - smoothing) + smoothing / classes as f64) } else { 0.0 }
                };
                let (expected, expected_dx) = reference(case.shape, &x, &t);
                for (loss, expected) in losses.iter().zip(&expected) {
                    assert!((loss.to_f64() - expected).abs() <= 4e-6 * (1.0 + expected.abs()), "{} {expected}", loss.to_f64());
                }
                for (i, (&dx, expected)) in dx.iter().zip(&expected_dx).enumerate() {
                    let bound = tolerance * (1.0 + expected.abs()) * if soft { classes as f64 } else { 1.0 };
                    assert!((to(dx) - expected).abs() <= bound, "{:?} [{i}] {} {expected}", case.shape, to(dx));
                }
                let sum: f64 = expected.iter().sum();
                assert!((totals.loss - sum).abs() <= 1e-5 * (1.0 + sum.abs()));
                let weights: f64 = (0..items).filter(|&i| counts(i)).map(|i| if soft { 1.0 } else { w(case.classes[i] as usize) }).sum();
                assert!((totals.weight - weights).abs() <= 1e-6 * (1.0 + weights));
            }
        }
    }

    #[test]
    fn cross_entropy_agrees_with_f64_both_ways() {
        agrees::<f32>(|x| x as f32, |x| x as f64, 4e-6);
        agrees::<f64>(|x| x, |x| x, 1e-13);
        agrees::<f16>(f16::from_f64, f16::to_f64, 1e-3);
        agrees::<bf16>(bf16::from_f64, bf16::to_f64, 8e-3);
    }

    #[test]
    fn nll_loss_takes_the_targets_value_and_its_gradient_is_nothing_elsewhere() {
        for &(n, classes, inner) in SHAPES {
            let case = case::<f32>(Shape { n, classes, inner }, |x| x as f32);
            let items = case.shape.items();
            for weighted in [false, true] {
                let weight = weighted.then_some(case.weight.as_ptr());
                let (mut losses, mut dx) = (vec![9f32; items], case.x.clone());
                // SAFETY: the vectors have those sizes.
                let totals = unsafe {
                    nll_loss_backward(case.shape, case.classes.as_ptr(), weight, -100, Dloss::One(0.5f32), dx.as_mut_ptr());
                    nll_loss(case.x.as_ptr(), case.shape, case.classes.as_ptr(), weight, -100, losses.as_mut_ptr())
                };
                let mut expected_dx = vec![0f32; dx.len()];
                let (mut sum, mut weights) = (0.0, 0.0);
                for (item, &class) in case.classes.iter().enumerate().filter(|(_, class)| **class != -100) {
                    let w = if weighted { case.weight[class as usize] } else { 1.0 };
                    let at = case.shape.start(item) + class as usize * inner;
                    assert_eq!(losses[item], -case.x[at] * w);
                    expected_dx[at] = -w * 0.5;
                    sum += losses[item] as f64;
                    weights += w as f64;
                }
                assert_eq!(dx, expected_dx);
                assert!((totals.loss - sum).abs() < 1e-6 * (1.0 + sum.abs()) && (totals.weight - weights).abs() < 1e-6 * (1.0 + weights));
            }
        }
    }

    #[test]
    fn the_first_target_out_of_range_is_named() {
        // SAFETY: a slice's length.
        let check = |targets: &[i64], ignore| unsafe { target_out_of_range(targets.as_ptr(), targets.len(), 3, ignore) };
        assert_eq!(check(&[0, 2, 1], -100), None);
        assert_eq!(check(&[0, 3, -1], -100), Some(3));
        assert_eq!(check(&[0, -1, 3], -100), Some(-1));
        assert_eq!(check(&[0, -100, 1], -100), None);
        assert_eq!(check(&[], -100), None);
    }

    #[test]
    fn great_logits_keep_their_small_differences() {
        let x = [1e4f32, 1e4 - 1.0];
        let (mut loss, mut saved, mut dx) = ([0f32], [0f32; 2], [0f32; 2]);
        let shape = Shape { n: 1, classes: 2, inner: 1 };
        let target = Target::Classes { target: &0, ignore_index: -100 };
        // SAFETY: the arrays have those sizes.
        unsafe {
            cross_entropy(x.as_ptr(), shape, target, None, 0.0, loss.as_mut_ptr(), saved.as_mut_ptr());
            cross_entropy_backward(x.as_ptr(), shape, target, None, 0.0, saved.as_ptr(), Dloss::One(1f32), dx.as_mut_ptr());
        }
        assert!((loss[0] - 0.313_261_7).abs() < 1e-6 && (dx[1] - 0.268_941_43).abs() < 1e-6);
    }

    #[test]
    fn an_ignored_item_with_infinite_logits_has_no_gradient() {
        for inner in [1, 3] {
            let shape = Shape { n: 1, classes: 4, inner };
            let x = vec![f32::INFINITY; 4 * inner];
            let targets = vec![-100; inner];
            let (mut losses, mut saved, mut dx) = (vec![1f32; inner], vec![0f32; 2 * inner], x.clone());
            let target = Target::Classes { target: targets.as_ptr(), ignore_index: -100 };
            // SAFETY: the vectors have those sizes.
            let totals = unsafe {
                let totals = cross_entropy(x.as_ptr(), shape, target, None, 0.1, losses.as_mut_ptr(), saved.as_mut_ptr());
                cross_entropy_backward(x.as_ptr(), shape, target, None, 0.1, saved.as_ptr(), Dloss::One(1f32), dx.as_mut_ptr());
                totals
            };
            assert!(dx.iter().chain(&losses).all(|&d| d == 0.0));
            assert_eq!(totals, Totals { loss: 0.0, weight: 0.0 });
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let _turn = settings();
        for (n, inner) in [(20_000, 1), (10, 2000)] {
            let case = case::<f32>(Shape { n, classes: 10, inner }, |x| x as f32);
            let mut first: Option<(Totals, Vec<u32>)> = None;
            for threads in [16, 3, 1, 2] {
                set_num_threads(threads);
                let (mut losses, mut saved, mut dx) = (vec![0f32; 20_000], vec![0f32; 40_000], case.x.clone());
                let target = Target::Classes { target: case.classes.as_ptr(), ignore_index: -100 };
                // SAFETY: the vectors have those sizes.
                let totals = unsafe {
                    let totals = cross_entropy(case.x.as_ptr(), case.shape, target, None, 0.1, losses.as_mut_ptr(), saved.as_mut_ptr());
                    let dloss = Dloss::One(1f32);
                    cross_entropy_backward(case.x.as_ptr(), case.shape, target, None, 0.1, saved.as_ptr(), dloss, dx.as_mut_ptr());
                    totals
                };
                let bits: Vec<u32> = dx.iter().chain(&losses).map(|x| x.to_bits()).collect();
                assert!(*first.get_or_insert_with(|| (totals, bits.clone())) == (totals, bits));
            }
        }
    }
}
