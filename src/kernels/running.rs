//! What is carried along a dimension besides sums and products: extremes so far with their places, the logarithm of a sum of
//! exponentials, and the most frequent element of sorted rows. Lines are tasks, so bits do not depend on threads.

use crate::copy::Shared;
use crate::interrupt;
use crate::parallel::par_for;
use crate::{Dst, Src};
use half::{bf16, f16};

/// Elements that make a task worth its hand-over.
const TASK: usize = 4 << 10;

/// Runs `body(offset of the first element)` for every line along the middle of `outer x len x inner`.
fn for_lines(outer: usize, len: usize, inner: usize, body: &(dyn Fn(usize) + Sync)) {
    let lines = outer * inner;
    let grain = (TASK / len.max(1)).max(1);
    let task = |task: usize| {
        for line in task * grain..(task * grain + grain).min(lines) {
            body(line / inner * len * inner + line % inner);
        }
    };
    match lines.div_ceil(grain) {
        0 => {}
        1 => task(0),
        tasks => par_for(tasks, &task),
    }
}

fn split<T>(x: &Src<T>, dim: usize) -> (usize, usize, usize) {
    (x.shape[..dim].iter().product(), x.shape[dim], x.shape[dim + 1..].iter().product())
}

/// The greatest (`greatest`) or least element so far along `dim` and its place; the last of equals, NaN before all and the
/// last NaN, as PyTorch. All arrays are contiguous and of one shape.
pub fn extremes<T: Copy + PartialOrd + Send + Sync>(greatest: bool, x: Src<T>, dim: usize, values: Dst<T>, indices: Dst<i64>) {
    if greatest {
        extremes_by(|new, best| new < best, x, dim, values, indices)
    } else {
        extremes_by(|new, best| new > best, x, dim, values, indices)
    }
}

#[allow(clippy::eq_op)]
fn extremes_by<T: Copy + PartialOrd + Send + Sync>(
    worse: impl Fn(T, T) -> bool + Sync,
    x: Src<T>,
    dim: usize,
    values: Dst<T>,
    indices: Dst<i64>,
) {
    debug_assert!(x.is_contiguous() && values.is_contiguous() && indices.is_contiguous());
    let (outer, len, inner) = split(&x, dim);
    if len == 0 {
        return;
    }
    let (from, to, places) = (Shared::read_only(x.ptr), Shared::new(values.ptr), Shared::new(indices.ptr));
    for_lines(outer, len, inner, &|first| {
        // SAFETY: `at` is an element of this line of three contiguous arrays of one shape; lines are disjoint.
        unsafe {
            let (mut best, mut place) = (from.get().add(first).read(), 0);
            for i in interrupt::pieces(len).flatten() {
                let at = first + i * inner;
                let new = from.get().add(at).read();
                // `worse` is false for NaN: a new one is taken, an old one gives way to NaN alone.
                let taken = !worse(new, best) & ((best == best) | (new != new));
                (best, place) = if taken { (new, i as i64) } else { (best, place) };
                to.get().add(at).write(best);
                places.get().add(at).write(place);
            }
        }
    });
}

/// A float whose exponentials are summed in f64.
pub trait Real: Copy + Send + Sync {
    fn widen(self) -> f64;
    fn narrow(x: f64) -> Self;
}
macro_rules! real {
    ($($t:ty: |$x:ident| $widen:expr, |$y:ident| $narrow:expr;)*) => { $(impl Real for $t {
        fn widen(self) -> f64 { let $x = self; $widen }
        fn narrow($y: f64) -> Self { $narrow }
    })* };
}
real! {
    f32: |x| x as f64, |y| y as f32;
    f64: |x| x, |y| y;
    f16: |x| x.to_f64(), |y| f16::from_f64(y);
    bf16: |x| x.to_f64(), |y| bf16::from_f64(y);
}

/// `out_i = ln Σ_{j ≤ i} exp x_j` along `dim` (`j ≥ i` if `backwards`), without overflow. Both arrays are contiguous and of one
/// shape.
pub fn log_sum_exp<T: Real>(backwards: bool, x: Src<T>, dim: usize, out: Dst<T>) {
    debug_assert!(x.is_contiguous() && out.is_contiguous());
    let (outer, len, inner) = split(&x, dim);
    let (from, to) = (Shared::read_only(x.ptr), Shared::new(out.ptr));
    for_lines(outer, len, inner, &|first| {
        let mut sum = f64::NEG_INFINITY;
        for i in interrupt::pieces(len).flatten() {
            let at = first + if backwards { len - 1 - i } else { i } * inner;
            // SAFETY: as in `extremes`.
            unsafe {
                let new = from.get().add(at).read().widen();
                let (low, high) = if sum < new { (sum, new) } else { (new, sum) };
                // Equal infinities would give NaN.
                sum = if low.is_infinite() && low == high || high == f64::INFINITY && !low.is_nan() {
                    high
                } else {
                    high + (low - high).exp().ln_1p()
                };
                to.get().add(at).write(T::narrow(sum));
            }
        }
    });
}

/// The most frequent element of each ascending row (the least of several), and the place in the row where its run ends.
/// `sorted` is contiguous with rows in its last dimension, which is not empty.
pub fn modes<T: Copy + PartialEq + Send + Sync>(sorted: Src<T>, values: Dst<T>, ends: Dst<i64>) {
    let len = sorted.shape.last().copied().unwrap_or(1);
    debug_assert!(sorted.is_contiguous() && len > 0 && values.len() * len == sorted.len());
    let rows = values.len();
    let (from, to, places) = (Shared::read_only(sorted.ptr), Shared::new(values.ptr), Shared::new(ends.ptr));
    for_lines(rows, len, 1, &|first| {
        let (mut best, mut run) = ((0, 0), 0);
        for i in interrupt::pieces(len).flatten() {
            run += 1;
            // SAFETY: elements of this row; each row writes its own output.
            let ends = i + 1 == len || unsafe { from.get().add(first + i).read() != from.get().add(first + i + 1).read() };
            if ends {
                if run > best.0 {
                    best = (run, i);
                }
                run = 0;
            }
        }
        // SAFETY: as above.
        unsafe {
            to.get().add(first / len).write(from.get().add(first + best.1).read());
            places.get().add(first / len).write(best.1 as i64);
        }
    });
}
