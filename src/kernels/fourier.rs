//! Discrete Fourier transforms of lines of complex and of real numbers, by rustfft and realfft. Plans are kept by dtype, length and
//! direction; lines are tasks, so bits do not depend on threads.

use crate::copy::Shared;
use crate::interrupt;
use crate::parallel::par_for;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex;
use rustfft::{Fft, FftDirection, FftNum, FftPlanner};
use rustnn_tensor::{Array, DType, Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

/// Numbers of one parallel task: some 50 µs.
const TASK: usize = 16 << 10;
/// Bytes of lines that lie across memory and are brought into a buffer together.
const BAND_BYTES: usize = 32 << 10;
/// Plans kept of a dtype; a program that asks for more lengths has them made anew.
const PLANS: usize = 256;

struct Plans<T> {
    complex: Kept<(usize, bool), dyn Fft<T>>,
    forward: Kept<usize, dyn RealToComplex<T>>,
    inverse: Kept<usize, dyn ComplexToReal<T>>,
}

/// Plans by what they are for.
struct Kept<K, P: ?Sized>(Mutex<HashMap<K, Arc<P>>>);

impl<K: Eq + std::hash::Hash, P: ?Sized> Kept<K, P> {
    fn get(&self, key: K, make: impl FnOnce() -> Arc<P>) -> Arc<P> {
        let lock = || self.0.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(plan) = lock().get(&key) {
            return plan.clone();
        }
        // Made outside of the lock: a large one takes its time.
        let plan = make();
        let mut plans = lock();
        if plans.len() >= PLANS {
            plans.clear();
        }
        plans.insert(key, plan.clone());
        plan
    }
}

impl<T> Plans<T> {
    fn new() -> Self {
        Plans { complex: Kept(Default::default()), forward: Kept(Default::default()), inverse: Kept(Default::default()) }
    }
}

/// A part of the numbers that there are plans for.
trait Part: FftNum + Default {
    fn plans() -> &'static Plans<Self>;
    fn of(x: f64) -> Self;
}

macro_rules! part {
    ($($t:ty),*) => { $(
        impl Part for $t {
            fn plans() -> &'static Plans<$t> {
                static PLANS: OnceLock<Plans<$t>> = OnceLock::new();
                PLANS.get_or_init(Plans::new)
            }
            fn of(x: f64) -> $t {
                x as $t
            }
        }
    )* };
}
part!(f32, f64);

fn plan<T: Part>(len: usize, forward: bool) -> Arc<dyn Fft<T>> {
    let direction = if forward { FftDirection::Forward } else { FftDirection::Inverse };
    T::plans().complex.get((len, forward), || FftPlanner::new().plan_fft(len, direction))
}

/// The first half of the transform of the real lines of `x`, which are the last dimension, times `scale`. Both are contiguous.
pub fn real_forward(x: &Array, out: &Array, scale: f64) -> Result<()> {
    match (x.dtype(), out.dtype()) {
        _ if x.is_meta() || out.is_meta() || out.numel() == 0 => Ok(()),
        (DType::F32, DType::C64) => real_lines::<f32>(x, out, scale, true),
        (DType::F64, DType::C128) => real_lines::<f64>(x, out, scale, true),
        (other, _) => Err(Error::not_implemented("fft", other)),
    }
}

/// The real lines, the last dimension of `out`, of whose transform `x` is the first half, times `scale`. Both are contiguous, and `x`
/// is overwritten.
pub fn real_inverse(x: &Array, out: &Array, scale: f64) -> Result<()> {
    match (out.dtype(), x.dtype()) {
        _ if x.is_meta() || out.is_meta() || out.numel() == 0 => Ok(()),
        (DType::F32, DType::C64) => real_lines::<f32>(out, x, scale, false),
        (DType::F64, DType::C128) => real_lines::<f64>(out, x, scale, false),
        (other, _) => Err(Error::not_implemented("fft", other)),
    }
}

/// Between the real lines of `x` and their transforms `z`, either way.
fn real_lines<T: Part>(x: &Array, z: &Array, scale: f64, forward: bool) -> Result<()> {
    assert!([x, z].iter().all(|a| a.is_contiguous() && a.is_host() && a.storage().is_writable()));
    let (len, half) = (x.shape()[x.rank() - 1], z.shape()[z.rank() - 1]);
    let lines = x.numel() / len;
    assert!(half == len / 2 + 1 && z.numel() == lines * half);
    let (scaled, factor) = (scale != 1.0, T::of(scale));
    let (real, complex) = (Shared::new(x.ptr().cast::<T>()), Shared::new(z.ptr().cast::<Complex<T>>()));
    let each = (TASK / len).max(1);
    let there = forward.then(|| T::plans().forward.get(len, || RealFftPlanner::new().plan_fft_forward(len)));
    let back = (!forward).then(|| T::plans().inverse.get(len, || RealFftPlanner::new().plan_fft_inverse(len)));
    let scratch_len = there.as_ref().map_or(0, |p| p.get_scratch_len()).max(back.as_ref().map_or(0, |p| p.get_scratch_len()));
    let failed = Mutex::new(None);
    let body = |task: usize| -> Result<()> {
        let (mut scratch, mut copy) = (room::<T>(scratch_len)?, room::<T>(if forward { len.div_ceil(2) } else { 0 })?);
        // SAFETY: `copy` has as many pairs as hold `len` numbers, which any of its bytes are.
        let copy = unsafe { std::slice::from_raw_parts_mut(copy.as_mut_ptr().cast::<T>(), if forward { len } else { 0 }) };
        for line in task * each..lines.min((task + 1) * each) {
            // SAFETY: this line of two contiguous arrays, which no other task has.
            let (numbers, parts) = unsafe {
                (
                    std::slice::from_raw_parts_mut(real.get().add(line * len), len),
                    std::slice::from_raw_parts_mut(complex.get().add(line * half), half),
                )
            };
            if let Some(plan) = &there {
                // The transform works in its input, which is the caller's.
                for (to, from) in copy.iter_mut().zip(&*numbers) {
                    *to = if scaled { *from * factor } else { *from };
                }
                plan.process_with_scratch(copy, parts, &mut scratch).map_err(|e| Error::Runtime(format!("fft: {e}")))?;
            }
            if let Some(plan) = &back {
                // Parts that no real line has are not looked at.
                parts[0].im = T::default();
                if len % 2 == 0 {
                    parts[half - 1].im = T::default();
                }
                plan.process_with_scratch(parts, numbers, &mut scratch).map_err(|e| Error::Runtime(format!("fft: {e}")))?;
                if scaled {
                    numbers.iter_mut().for_each(|x| *x = *x * factor);
                }
            }
        }
        Ok(())
    };
    par_for(lines.div_ceil(each), &|task| {
        interrupt::tick();
        if let Err(error) = body(task) {
            *failed.lock().unwrap_or_else(|e| e.into_inner()) = Some(error);
        }
    });
    match failed.into_inner().unwrap_or_else(|e| e.into_inner()) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Transforms the lines of `x` along `dim` in place, each number times `scale` afterwards. `x` is complex and contiguous.
pub fn transform(x: &Array, dim: usize, forward: bool, scale: f64) -> Result<()> {
    if x.is_meta() || x.numel() == 0 {
        return Ok(());
    }
    assert!(x.is_contiguous() && x.is_host() && x.storage().is_writable());
    match x.dtype() {
        DType::C64 => lines::<f32>(x, dim, forward, scale),
        DType::C128 => lines::<f64>(x, dim, forward, scale),
        other => Err(Error::not_implemented("fft", other)),
    }
}

/// Room for `n` numbers, or an error.
fn room<T: Part>(n: usize) -> Result<Vec<Complex<T>>> {
    let mut out = Vec::new();
    let bytes = n.saturating_mul(size_of::<Complex<T>>());
    out.try_reserve_exact(n).map_err(|_| Error::OutOfMemory { bytes })?;
    out.resize(n, Complex::default());
    Ok(out)
}

fn lines<T: Part>(x: &Array, dim: usize, forward: bool, scale: f64) -> Result<()> {
    let len = x.shape()[dim];
    let outer: usize = x.shape()[..dim].iter().product();
    let inner: usize = x.shape()[dim + 1..].iter().product();
    let plan = plan::<T>(len, forward);
    let scratch_len = plan.get_inplace_scratch_len();
    let scaled = (scale != 1.0).then(|| T::of(scale));
    let data = Shared::new(x.ptr().cast::<Complex<T>>());
    let failed = Mutex::new(None);
    let run = |tasks: usize, body: &(dyn Fn(usize) -> Result<()> + Sync)| {
        par_for(tasks, &|task| {
            interrupt::tick();
            if let Err(error) = body(task) {
                *failed.lock().unwrap_or_else(|e| e.into_inner()) = Some(error);
            }
        });
    };
    let finish = |numbers: &mut [Complex<T>], scratch: &mut [Complex<T>]| {
        plan.process_with_scratch(numbers, scratch);
        if let Some(scale) = scaled {
            numbers.iter_mut().for_each(|z| *z = Complex::new(z.re * scale, z.im * scale));
        }
    };
    if inner == 1 {
        let each = (TASK / len).max(1);
        run(outer.div_ceil(each), &|task| {
            let mut scratch = room::<T>(scratch_len)?;
            let (first, last) = (task * each, outer.min((task + 1) * each));
            // SAFETY: the lines of this task, which no other one has, lie one behind the other inside of the array.
            let numbers = unsafe { std::slice::from_raw_parts_mut(data.get().add(first * len), (last - first) * len) };
            finish(numbers, &mut scratch);
            Ok(())
        });
    } else {
        // Neighbouring lines are brought into a buffer together: reads and writes use whole cache lines.
        let wide = (BAND_BYTES / (len * size_of::<Complex<T>>())).clamp(8, 64).min(inner);
        let bands = inner.div_ceil(wide);
        run(outer * bands, &|task| {
            let (mut scratch, mut buffer) = (room::<T>(scratch_len)?, room::<T>(wide * len)?);
            let first = task % bands * wide;
            let count = wide.min(inner - first);
            let start = task / bands * len * inner + first;
            let numbers = &mut buffer[..count * len];
            for i in 0..len {
                for k in 0..count {
                    // SAFETY: element `i` of line `first + k`, inside of the array.
                    numbers[k * len + i] = unsafe { data.get().add(start + i * inner + k).read() };
                }
            }
            finish(numbers, &mut scratch);
            for i in 0..len {
                for k in 0..count {
                    // SAFETY: as above; the lines are this task's alone.
                    unsafe { data.get().add(start + i * inner + k).write(numbers[k * len + i]) };
                }
            }
            Ok(())
        });
    }
    match failed.into_inner().unwrap_or_else(|e| e.into_inner()) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustnn_tensor::Device;

    fn numbers(shape: &[usize]) -> (Array, Vec<Complex<f64>>) {
        let x = Array::zeros(shape, DType::C128, Device::Cpu).unwrap();
        let values: Vec<_> = (0..x.numel()).map(|i| Complex::new((i as f64 * 0.7).sin(), (i as f64 * 1.3).cos())).collect();
        // SAFETY: a fresh contiguous array of as many numbers.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), x.ptr().cast(), values.len()) };
        (x, values)
    }

    #[test]
    fn real_lines_have_the_first_half_and_come_back() {
        for len in [1, 2, 7, 16, 30] {
            let values: Vec<f64> = (0..3 * len).map(|i| (i as f64 * 0.7).sin()).collect();
            let x = Array::from_slice(&values, &[3, len]).unwrap();
            let half = Array::zeros(&[3, len / 2 + 1], DType::C128, Device::Cpu).unwrap();
            real_forward(&x, &half, 1.0).unwrap();
            for at in 0..half.numel() {
                let (line, k) = (at / (len / 2 + 1), at % (len / 2 + 1));
                let angle = |i: usize| -2.0 * std::f64::consts::PI * (i * k) as f64 / len as f64;
                let sum: Complex<f64> = (0..len).map(|i| Complex::from_polar(values[line * len + i], angle(i))).sum();
                // SAFETY: an element of the array.
                let got = unsafe { half.ptr().cast::<Complex<f64>>().add(at).read() };
                assert!((got - sum).norm() < 1e-12, "{len} {at}: {got}, expected {sum}");
            }
            let back = Array::zeros(&[3, len], DType::F64, Device::Cpu).unwrap();
            real_inverse(&half, &back, 1.0 / len as f64).unwrap();
            let error = back.to_vec::<f64>().unwrap().iter().zip(&values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(error < 1e-14 && x.to_vec::<f64>().unwrap() == values);
        }
    }

    #[test]
    fn lines_of_any_dimension_and_length_equal_the_sum() {
        for (shape, dim) in [(vec![3, 7], 1), (vec![5, 70], 0), (vec![2, 11, 9], 1), (vec![1, 1], 0), (vec![16], 0)] {
            let (x, before) = numbers(&shape);
            transform(&x, dim, true, 0.5).unwrap();
            let (len, inner) = (shape[dim], shape[dim + 1..].iter().product::<usize>());
            for at in 0..x.numel() {
                let k = at / inner % len;
                let first = at - k * inner;
                let angle = |i: usize| -2.0 * std::f64::consts::PI * (i * k) as f64 / len as f64;
                let sum: Complex<f64> = (0..len).map(|i| before[first + i * inner] * Complex::from_polar(0.5, angle(i))).sum();
                // SAFETY: an element of the array.
                let got = unsafe { x.ptr().cast::<Complex<f64>>().add(at).read() };
                assert!((got - sum).norm() < 1e-12, "{shape:?} {dim} {at}: {got}, expected {sum}");
            }
        }
    }
}
