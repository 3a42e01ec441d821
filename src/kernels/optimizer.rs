//! Optimizer steps over many tensors in one call: each element's parameter, gradient and state are read and written once.
//!
//! A step is a [`Rule`], a formula on one element in PyTorch's order of operations (`torch/optim`, the single-tensor
//! versions). float32 and float64 are computed in their own precision; float16 and bfloat16 in float32, rounded when stored.

use crate::copy::{Shared, cast_row};
use crate::level::dispatch;
use crate::parallel::par_for;
use rustnn_tensor::DType;
use smallvec::SmallVec;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// Elements of one task.
const TASK: usize = 8 << 10;
/// Elements of half precision that are widened at once.
const BLOCK: usize = 256;

/// float32 or float64.
pub trait Real:
    Copy
    + Send
    + Sync
    + PartialOrd
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + 'static
{
    const DTYPE: DType;
    fn of(x: f64) -> Self;
    fn wide(self) -> f64;
    fn sqrt(self) -> Self;
}

macro_rules! real {
    ($($t:ident $d:ident),*) => { $(impl Real for $t {
        const DTYPE: DType = DType::$d;
        #[inline(always)]
        fn of(x: f64) -> $t { x as $t }
        #[inline(always)]
        fn wide(self) -> f64 { self as f64 }
        #[inline(always)]
        fn sqrt(self) -> $t { <$t>::sqrt(self) }
    })* };
}
real!(f32 F32, f64 F64);

/// The new parameter from the old one and its gradient, updating N state values.
trait Rule<F, const N: usize>: Copy + Sync {
    fn step(&self, param: F, grad: F, state: &mut [F; N]) -> F;
}

/// One tensor of a step: contiguous `len` elements each of the parameter, its gradient, and N states.
#[derive(Clone, Copy, Debug)]
pub struct Slot<const N: usize> {
    pub param: *mut u8,
    pub grad: *const u8,
    pub state: [*mut u8; N],
    pub len: usize,
}

// SAFETY: addresses; tasks work on disjoint elements of them.
unsafe impl<const N: usize> Sync for Slot<N> {}
// SAFETY: as above.
unsafe impl<const N: usize> Send for Slot<N> {}

/// Runs `piece(tensor, first element, elements)` over all tensors, pieces in parallel.
fn for_pieces(lens: impl ExactSizeIterator<Item = usize> + Clone, piece: &(impl Fn(usize, usize, usize) + Sync)) {
    if lens.clone().sum::<usize>() <= 2 * TASK {
        return lens.enumerate().filter(|&(_, len)| len > 0).for_each(|(t, len)| piece(t, 0, len));
    }
    let lens: SmallVec<[usize; 64]> = lens.collect();
    // Small tensors share a task: a task is a range of elements of all tensors laid end to end.
    let ends: SmallVec<[usize; 64]> = lens
        .iter()
        .scan(0, |sum, len| {
            *sum += len;
            Some(*sum)
        })
        .collect();
    let total = ends.last().copied().unwrap_or(0);
    par_for(total.div_ceil(TASK), &|task| {
        let (mut at, last) = (task * TASK, (task * TASK + TASK).min(total));
        let mut t = ends.partition_point(|&end| end <= at);
        while at < last {
            let end = ends[t].min(last);
            if end > at {
                piece(t, at - (ends[t] - lens[t]), end - at);
                at = end;
            }
            t += 1;
        }
    });
}

/// Applies a tensor's rule to all tensors.
unsafe fn apply<const N: usize, A: Rule<f32, N>, B: Rule<f64, N>>(
    dtype: DType,
    slots: &[Slot<N>],
    single: impl Fn(usize) -> A + Sync,
    double: impl Fn(usize) -> B + Sync,
) {
    let width = dtype.size_bytes();
    for_pieces(slots.iter().map(|s| s.len), &|t, first, len| {
        let slot = &slots[t];
        let param = slot.param.wrapping_add(first * width);
        let grad = slot.grad.wrapping_add(first * width);
        let state = slot.state.map(|s| s.wrapping_add(first * width));
        // SAFETY: the caller's promise; pieces are disjoint.
        unsafe {
            match dtype {
                DType::F32 => run(&single(t), param.cast(), grad.cast(), state.map(|s| s.cast()), len),
                DType::F64 => run(&double(t), param.cast(), grad.cast(), state.map(|s| s.cast()), len),
                _ => run_half(dtype, &single(t), param, grad, state, len),
            }
        }
    });
}

unsafe fn run<F: Real, const N: usize>(rule: &impl Rule<F, N>, param: *mut F, grad: *const F, state: [*mut F; N], len: usize) {
    // SAFETY: the caller's promise.
    dispatch!(crate::level(), _simd => unsafe { lanes(rule, param, grad, state, len) })
}

/// Elements that are computed side by side.
const L: usize = 16;

#[inline(always)]
fn block<F: Real, const N: usize>(rule: &impl Rule<F, N>, mut p: [F; L], g: [F; L], mut s: [[F; L]; N]) -> ([F; L], [[F; L]; N]) {
    for i in 0..L {
        let mut own = [F::of(0.0); N];
        for n in 0..N {
            own[n] = s[n][i];
        }
        p[i] = rule.step(p[i], g[i], &mut own);
        for n in 0..N {
            s[n][i] = own[n];
        }
    }
    (p, s)
}

/// Blocks from arrays of their own, so that the compiler need not ask whether pointers overlap.
#[inline(always)]
unsafe fn lanes<F: Real, const N: usize>(rule: &impl Rule<F, N>, param: *mut F, grad: *const F, state: [*mut F; N], len: usize) {
    let rule = *rule;
    let whole = len - len % L;
    let mut at = 0;
    // SAFETY: elements below `len`; blocks of L have the alignment of an element.
    unsafe {
        while at < whole {
            let mut s = [[F::of(0.0); L]; N];
            for n in 0..N {
                s[n] = state[n].add(at).cast::<[F; L]>().read();
            }
            let (p, s) = block(&rule, param.add(at).cast::<[F; L]>().read(), grad.add(at).cast::<[F; L]>().read(), s);
            param.add(at).cast::<[F; L]>().write(p);
            for n in 0..N {
                state[n].add(at).cast::<[F; L]>().write(s[n]);
            }
            at += L;
        }
        if at == len {
            return;
        }
        // The rest as a block with zeros: square roots one by one would cost more.
        let (mut p, mut g, mut s) = ([F::of(0.0); L], [F::of(0.0); L], [[F::of(0.0); L]; N]);
        for i in 0..len - at {
            p[i] = param.add(at + i).read();
            g[i] = grad.add(at + i).read();
            for n in 0..N {
                s[n][i] = state[n].add(at + i).read();
            }
        }
        let (p, s) = block(&rule, p, g, s);
        for i in 0..len - at {
            param.add(at + i).write(p[i]);
            for n in 0..N {
                state[n].add(at + i).write(s[n][i]);
            }
        }
    }
}

unsafe fn run_half<const N: usize>(
    dtype: DType,
    rule: &impl Rule<f32, N>,
    param: *mut u8,
    grad: *const u8,
    state: [*mut u8; N],
    len: usize,
) {
    let mut done = 0;
    while done < len {
        let n = BLOCK.min(len - done);
        let (mut p, mut g, mut s) = ([0f32; BLOCK], [0f32; BLOCK], [[0f32; BLOCK]; N]);
        // SAFETY: `n` elements of two bytes.
        unsafe {
            cast_row(dtype, param.add(2 * done), DType::F32, p.as_mut_ptr().cast(), n);
            cast_row(dtype, grad.add(2 * done), DType::F32, g.as_mut_ptr().cast(), n);
            for (s, from) in s.iter_mut().zip(state) {
                cast_row(dtype, from.add(2 * done), DType::F32, s.as_mut_ptr().cast(), n);
            }
            let states = s.each_mut().map(|s| s.as_mut_ptr());
            run(rule, p.as_mut_ptr(), g.as_ptr(), states, n);
            cast_row(DType::F32, p.as_ptr().cast(), dtype, param.add(2 * done), n);
            for (s, to) in s.iter().zip(state) {
                cast_row(DType::F32, s.as_ptr().cast(), dtype, to.add(2 * done), n);
            }
        }
        done += n;
    }
}

/// Settings of stochastic gradient descent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    pub lr: f64,
    pub momentum: f64,
    pub dampening: f64,
    pub weight_decay: f64,
    pub nesterov: bool,
    pub maximize: bool,
}

#[derive(Clone, Copy)]
struct SgdRule<F> {
    lr: F,
    momentum: F,
    undamped: F,
    weight_decay: F,
    nesterov: bool,
    maximize: bool,
    first: bool,
}

impl<F: Real> SgdRule<F> {
    fn new(s: &Sgd, first: bool) -> Self {
        SgdRule {
            lr: F::of(-s.lr),
            momentum: F::of(s.momentum),
            undamped: F::of(1.0 - s.dampening),
            weight_decay: F::of(s.weight_decay),
            nesterov: s.nesterov,
            maximize: s.maximize,
            first,
        }
    }

    #[inline(always)]
    fn gradient(&self, param: F, grad: F) -> F {
        let grad = if self.maximize { -grad } else { grad };
        if self.weight_decay == F::of(0.0) { grad } else { grad + self.weight_decay * param }
    }
}

impl<F: Real> Rule<F, 0> for SgdRule<F> {
    #[inline(always)]
    fn step(&self, param: F, grad: F, _: &mut [F; 0]) -> F {
        param + self.lr * self.gradient(param, grad)
    }
}

impl<F: Real> Rule<F, 1> for SgdRule<F> {
    #[inline(always)]
    fn step(&self, param: F, grad: F, [buffer]: &mut [F; 1]) -> F {
        let grad = self.gradient(param, grad);
        *buffer = if self.first { grad } else { *buffer * self.momentum + self.undamped * grad };
        let grad = if self.nesterov { grad + self.momentum * *buffer } else { *buffer };
        param + self.lr * grad
    }
}

/// A step of SGD without momentum.
///
/// # Safety
/// Each slot's arrays hold `len` elements of the floating dtype, none overlap.
pub unsafe fn sgd(dtype: DType, settings: &Sgd, slots: &[Slot<0>]) {
    // SAFETY: the caller's promise.
    unsafe { apply(dtype, slots, |_| SgdRule::<f32>::new(settings, false), |_| SgdRule::<f64>::new(settings, false)) }
}

/// A step of SGD with momentum; the state is the momentum buffer, which a tensor whose `first` is true has not got yet: it
/// becomes the gradient (its old contents, which must be readable, do not matter).
///
/// # Safety
/// As for [`sgd`].
pub unsafe fn sgd_momentum(dtype: DType, settings: &Sgd, slots: &[Slot<1>], first: &[bool]) {
    debug_assert_eq!(slots.len(), first.len());
    // SAFETY: the caller's promise.
    unsafe { apply(dtype, slots, |t| SgdRule::<f32>::new(settings, first[t]), |t| SgdRule::<f64>::new(settings, first[t])) }
}

/// Settings of Adam and AdamW.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub weight_decay: f64,
    /// Decay the parameter itself (AdamW) instead of adding to the gradient.
    pub decoupled: bool,
    pub maximize: bool,
}

#[derive(Clone, Copy)]
struct AdamRule<F> {
    weight1: F,
    beta2: F,
    weight2: F,
    eps: F,
    weight_decay: F,
    shrink: F,
    step_size: F,
    root: F,
    decoupled: bool,
    maximize: bool,
}

impl<F: Real> AdamRule<F> {
    fn new(s: &Adam, bias: [f64; 2]) -> Self {
        AdamRule {
            weight1: F::of(1.0 - s.beta1),
            beta2: F::of(s.beta2),
            weight2: F::of(1.0 - s.beta2),
            eps: F::of(s.eps),
            weight_decay: F::of(s.weight_decay),
            shrink: F::of(1.0 - s.lr * s.weight_decay),
            step_size: F::of(-(s.lr / bias[0])),
            root: F::of(bias[1].sqrt()),
            decoupled: s.decoupled,
            maximize: s.maximize,
        }
    }

    /// Everything but the choice of the second moment.
    #[inline(always)]
    fn moments(&self, mut param: F, grad: F, mean: &mut F, square: &mut F) -> F {
        let mut grad = if self.maximize { -grad } else { grad };
        if self.weight_decay != F::of(0.0) {
            if self.decoupled {
                param = param * self.shrink;
            } else {
                grad = grad + self.weight_decay * param;
            }
        }
        *mean = lerp(*mean, grad, self.weight1);
        *square = *square * self.beta2 + self.weight2 * grad * grad;
        param
    }

    #[inline(always)]
    fn move_by(&self, param: F, mean: F, square: F) -> F {
        param + self.step_size * mean / (square.sqrt() / self.root + self.eps)
    }
}

/// PyTorch's `lerp`: exact at both ends.
#[inline(always)]
fn lerp<F: Real>(from: F, to: F, weight: F) -> F {
    if weight < F::of(0.5) { from + weight * (to - from) } else { to - (to - from) * (F::of(1.0) - weight) }
}

impl<F: Real> Rule<F, 2> for AdamRule<F> {
    #[inline(always)]
    fn step(&self, param: F, grad: F, [mean, square]: &mut [F; 2]) -> F {
        let param = self.moments(param, grad, mean, square);
        self.move_by(param, *mean, *square)
    }
}

impl<F: Real> Rule<F, 3> for AdamRule<F> {
    #[inline(always)]
    fn step(&self, param: F, grad: F, [mean, square, largest]: &mut [F; 3]) -> F {
        let param = self.moments(param, grad, mean, square);
        // NaN stays, as in `torch.maximum`.
        #[allow(clippy::eq_op)]
        let keep = *largest > *square || *largest != *largest;
        *largest = if keep { *largest } else { *square };
        self.move_by(param, *mean, *largest)
    }
}

/// `1 - β^step` for both, computed once where steps agree.
fn corrections(settings: &Adam, steps: &[f64]) -> SmallVec<[[f64; 2]; 32]> {
    let mut all: SmallVec<[[f64; 2]; 32]> = SmallVec::with_capacity(steps.len());
    for (t, &step) in steps.iter().enumerate() {
        let bias =
            if t > 0 && steps[t - 1] == step { all[t - 1] } else { [1.0 - settings.beta1.powf(step), 1.0 - settings.beta2.powf(step)] };
        all.push(bias);
    }
    all
}

/// A step of Adam or AdamW; the states are `exp_avg` and `exp_avg_sq`, `steps` counts each tensor's steps, this one included.
///
/// # Safety
/// As for [`sgd`].
pub unsafe fn adam(dtype: DType, settings: &Adam, slots: &[Slot<2>], steps: &[f64]) {
    debug_assert_eq!(slots.len(), steps.len());
    let bias = corrections(settings, steps);
    // SAFETY: the caller's promise.
    unsafe { apply(dtype, slots, |t| AdamRule::<f32>::new(settings, bias[t]), |t| AdamRule::<f64>::new(settings, bias[t])) }
}

/// As [`adam`] with `amsgrad`: the third state is `max_exp_avg_sq`.
///
/// # Safety
/// As for [`sgd`].
pub unsafe fn amsgrad(dtype: DType, settings: &Adam, slots: &[Slot<3>], steps: &[f64]) {
    debug_assert_eq!(slots.len(), steps.len());
    let bias = corrections(settings, steps);
    // SAFETY: the caller's promise.
    unsafe { apply(dtype, slots, |t| AdamRule::<f32>::new(settings, bias[t]), |t| AdamRule::<f64>::new(settings, bias[t])) }
}

/// A formula without gradient: `param = f(param, grad)`.
#[derive(Clone, Copy)]
struct Lerp<F>(F);

impl<F: Real> Rule<F, 0> for Lerp<F> {
    #[inline(always)]
    fn step(&self, param: F, grad: F, _: &mut [F; 0]) -> F {
        lerp(param, grad, self.0)
    }
}

/// `param = lerp(param, grad, weight)` for all: an exponential moving average of `grad` with decay `1 - weight`.
///
/// # Safety
/// As for [`sgd`].
pub unsafe fn lerp_all(dtype: DType, weight: f64, slots: &[Slot<0>]) {
    // SAFETY: the caller's promise.
    unsafe { apply(dtype, slots, |_| Lerp(weight as f32), |_| Lerp(weight)) }
}

/// A contiguous array.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub ptr: *mut u8,
    pub len: usize,
}

// SAFETY: an address; tasks work on disjoint elements.
unsafe impl Sync for Span {}
// SAFETY: as above.
unsafe impl Send for Span {}

#[derive(Clone, Copy)]
struct Scale<F>(F);

impl<F: Real> Rule<F, 0> for Scale<F> {
    #[inline(always)]
    fn step(&self, param: F, _: F, _: &mut [F; 0]) -> F {
        param * self.0
    }
}

/// Multiplies every element of every array by `factor`.
///
/// # Safety
/// The arrays hold `len` elements of the floating dtype, none overlap.
pub unsafe fn scale_all(dtype: DType, factor: f64, spans: &[Span]) {
    let slots: SmallVec<[Slot<0>; 32]> = spans.iter().map(|s| Slot { param: s.ptr, grad: s.ptr, state: [], len: s.len }).collect();
    // SAFETY: the caller's promise; the gradient read is the array itself.
    unsafe { apply(dtype, &slots, |_| Scale(factor as f32), |_| Scale(factor)) }
}

/// Zeros every element of every array.
///
/// # Safety
/// The arrays hold `len` elements of the dtype.
pub unsafe fn zero_all(dtype: DType, spans: &[Span]) {
    let width = dtype.size_bytes();
    for_pieces(spans.iter().map(|s| s.len), &|t, first, len| {
        // SAFETY: the caller's promise.
        unsafe { std::ptr::write_bytes(spans[t].ptr.add(first * width), 0, len * width) }
    });
}

/// The sum of squares of each array, in `out`: blocks of 8192 elements, in each 32 strands in the dtype's precision (float32
/// for half) joined in float64.
///
/// # Safety
/// The arrays hold `len` elements of the floating dtype; `out` is as long as `spans`.
pub unsafe fn squares_all(dtype: DType, spans: &[Span], out: &mut [f64]) {
    debug_assert_eq!(spans.len(), out.len());
    let width = dtype.size_bytes();
    let blocks: SmallVec<[usize; 32]> = spans.iter().map(|s| s.len.div_ceil(TASK)).collect();
    let starts: SmallVec<[usize; 32]> = blocks
        .iter()
        .scan(0, |sum, n| {
            *sum += n;
            Some(*sum - n)
        })
        .collect();
    let total = blocks.iter().sum();
    let mut sums: SmallVec<[f64; 64]> = SmallVec::from_elem(0.0, total);
    let place = Shared::new(sums.as_mut_ptr());
    let body = |task: usize| {
        let t = starts.partition_point(|&s| s <= task) - 1;
        let first = (task - starts[t]) * TASK;
        let n = TASK.min(spans[t].len - first);
        // SAFETY: a block of array `t`; sum `task` is this task's own.
        unsafe {
            let from = spans[t].ptr.add(first * width);
            let sum = match dtype {
                DType::F32 => squares(from.cast::<f32>(), n),
                DType::F64 => squares(from.cast::<f64>(), n),
                _ => (0..n)
                    .step_by(BLOCK)
                    .map(|at| {
                        let mut block = [0f32; BLOCK];
                        let m = BLOCK.min(n - at);
                        cast_row(dtype, from.add(2 * at), DType::F32, block.as_mut_ptr().cast(), m);
                        squares(block.as_ptr(), m)
                    })
                    .sum(),
            };
            place.get().add(task).write(sum);
        }
    };
    if total <= 2 {
        (0..total).for_each(body)
    } else {
        par_for(total, &body)
    }
    for (t, out) in out.iter_mut().enumerate() {
        *out = sums[starts[t]..starts[t] + blocks[t]].iter().sum();
    }
}

unsafe fn squares<F: Real>(from: *const F, n: usize) -> f64 {
    const STRANDS: usize = 32;
    // SAFETY: `n` elements.
    dispatch!(crate::level(), _simd => unsafe {
        let mut strands = [F::of(0.0); STRANDS];
        for at in (0..n - n % STRANDS).step_by(STRANDS) {
            for (k, strand) in strands.iter_mut().enumerate() {
                let x = from.add(at + k).read();
                *strand = *strand + x * x;
            }
        }
        let rest = (n - n % STRANDS..n).fold(0.0, |sum, i| {
            let x = from.add(i).read().wide();
            sum + x * x
        });
        strands.iter().fold(rest, |sum, s| sum + s.wide())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    fn numbers(n: usize, seed: u64) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        (0..n)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 20) as f64 / (1u64 << 43) as f64 - 1.0
            })
            .collect()
    }

    /// Tensors of one step: param, grad, states.
    struct Group<T> {
        arrays: Vec<Vec<Vec<T>>>,
    }

    fn group<T>(lens: &[usize], arrays: usize, from: impl Fn(f64) -> T) -> Group<T> {
        let one = |t: usize, a: usize, n: usize| -> Vec<T> {
            // States are moments: the second and third are not negative.
            numbers(n, (t * 10 + a + 1) as u64).iter().map(|&x| from(if a > 2 { x.abs() } else { x })).collect()
        };
        Group { arrays: lens.iter().enumerate().map(|(t, &n)| (0..arrays).map(|a| one(t, a, n)).collect()).collect() }
    }

    impl<T> Group<T> {
        fn slots<const N: usize>(&mut self) -> Vec<Slot<N>> {
            self.arrays
                .iter_mut()
                .map(|a| {
                    let len = a[0].len();
                    let ptrs: Vec<*mut u8> = a.iter_mut().map(|x| x.as_mut_ptr().cast()).collect();
                    Slot { param: ptrs[0], grad: ptrs[1], state: std::array::from_fn(|n| ptrs[2 + n]), len }
                })
                .collect()
        }
    }

    const LENS: [usize; 6] = [0, 1, 15, 100, 3, 40_000];

    #[test]
    fn sgd_follows_pytorchs_formula() {
        for (momentum, dampening, weight_decay, nesterov, maximize) in
            [(0.0, 0.0, 0.0, false, false), (0.9, 0.0, 0.1, true, false), (0.9, 0.3, 0.0, false, true), (0.0, 0.0, 0.2, false, true)]
        {
            let settings = Sgd { lr: 0.1, momentum, dampening, weight_decay, nesterov, maximize };
            let mut got = group(&LENS, 3, |x| x);
            let expected = group(&LENS, 3, |x| x);
            let first: Vec<bool> = (0..LENS.len()).map(|t| t % 2 == 0).collect();
            // SAFETY: the group's arrays.
            unsafe {
                if momentum == 0.0 {
                    sgd(DType::F64, &settings, &got.slots())
                } else {
                    sgd_momentum(DType::F64, &settings, &got.slots(), &first)
                }
            };
            for (t, (got, old)) in got.arrays.iter().zip(&expected.arrays).enumerate() {
                for i in 0..LENS[t] {
                    let mut g = if maximize { -old[1][i] } else { old[1][i] };
                    if weight_decay != 0.0 {
                        g += weight_decay * old[0][i];
                    }
                    if momentum != 0.0 {
                        let buffer = if first[t] { g } else { old[2][i] * momentum + (1.0 - dampening) * g };
                        assert_eq!(got[2][i], buffer);
                        g = if nesterov { g + momentum * buffer } else { buffer };
                    }
                    assert_eq!(got[0][i], old[0][i] + -0.1 * g);
                }
            }
        }
    }

    #[test]
    fn adam_follows_pytorchs_formula() {
        for (weight_decay, decoupled, maximize, ams, beta1) in
            [(0.0, false, false, false, 0.9), (0.1, true, false, false, 0.9), (0.1, false, true, true, 0.9), (0.1, true, false, true, 0.3)]
        {
            let settings = Adam { lr: 0.01, beta1, beta2: 0.999, eps: 1e-8, weight_decay, decoupled, maximize };
            let steps: Vec<f64> = (0..LENS.len()).map(|t| 1.0 + (t / 2) as f64).collect();
            let (mut got, old) = (group(&LENS, 5, |x| x as f32), group(&LENS, 5, |x| x as f32));
            let positive = |g: &mut Group<f32>| g.arrays.iter_mut().for_each(|a| a[3].iter_mut().for_each(|x| *x = x.abs()));
            positive(&mut got);
            // SAFETY: the group's arrays.
            unsafe {
                if ams { amsgrad(DType::F32, &settings, &got.slots(), &steps) } else { adam(DType::F32, &settings, &got.slots(), &steps) }
            };
            for (t, (got, old)) in got.arrays.iter().zip(&old.arrays).enumerate() {
                for i in 0..LENS[t] {
                    let (mut p, mut g, m, v) = (old[0][i], old[1][i], old[2][i], old[3][i].abs());
                    if maximize {
                        g = -g;
                    }
                    if weight_decay != 0.0 {
                        if decoupled { p *= (1.0 - 0.01 * weight_decay) as f32 } else { g += weight_decay as f32 * p }
                    }
                    let w = (1.0 - beta1) as f32;
                    let m = if w < 0.5 { m + w * (g - m) } else { g - (g - m) * (1.0 - w) };
                    let v = v * 0.999f32 + (1.0 - 0.999f64) as f32 * g * g;
                    let most = if ams { old[4][i].max(v) } else { v };
                    let (bias1, bias2) = (1.0 - beta1.powf(steps[t]), 1.0 - 0.999f64.powf(steps[t]));
                    let p = p + -(0.01 / bias1) as f32 * m / (most.sqrt() / bias2.sqrt() as f32 + 1e-8f32);
                    assert_eq!([got[0][i], got[2][i], got[3][i]], [p, m, v], "{t} {i}");
                    assert!(!ams || got[4][i] == most);
                }
            }
        }
    }

    #[test]
    fn half_precision_steps_are_rounded_once() {
        let mut got = group(&[300], 2, |x| bf16::from_f32(x as f32));
        let old = group(&[300], 2, |x| bf16::from_f32(x as f32));
        let settings = Sgd { lr: 0.5, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false, maximize: false };
        // SAFETY: the group's arrays.
        unsafe { sgd(DType::BF16, &settings, &got.slots()) };
        let (got, old) = (&got.arrays[0], &old.arrays[0]);
        assert!((0..300).all(|i| got[0][i] == bf16::from_f32(old[0][i].to_f32() - 0.5 * old[1][i].to_f32())));
    }

    #[test]
    fn norms_scales_zeros_and_averages_cover_every_tensor() {
        let mut x = group(&LENS, 2, |x| x as f32);
        let old = group(&LENS, 2, |x| x as f32);
        let spans: Vec<Span> = x.arrays.iter_mut().map(|a| Span { ptr: a[0].as_mut_ptr().cast(), len: a[0].len() }).collect();
        let mut sums = [0f64; LENS.len()];
        // SAFETY: the group's arrays.
        unsafe { squares_all(DType::F32, &spans, &mut sums) };
        for (t, sum) in sums.iter().enumerate() {
            let exact: f64 = old.arrays[t][0].iter().map(|&v| v as f64 * v as f64).sum();
            assert!((sum - exact).abs() <= exact * 1e-6, "{t}");
        }
        // SAFETY: the group's arrays.
        unsafe { scale_all(DType::F32, 0.25, &spans) };
        assert!(x.arrays.iter().zip(&old.arrays).all(|(x, o)| x[0].iter().zip(&o[0]).all(|(x, o)| *x == o * 0.25)));
        // SAFETY: the group's arrays.
        unsafe { lerp_all(DType::F32, 0.125, &x.slots()) };
        for (x, o) in x.arrays.iter().zip(&old.arrays) {
            assert!((0..o[0].len()).all(|i| x[0][i] == o[0][i] * 0.25 + 0.125 * (o[1][i] - o[0][i] * 0.25)));
        }
        // SAFETY: the group's arrays.
        unsafe { zero_all(DType::F32, &spans) };
        assert!(x.arrays.iter().all(|a| a[0].iter().all(|&v| v == 0.0)));
    }
}
