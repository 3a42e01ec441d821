//! The error function and its complement.

use super::Lanes;
use super::exponential::{EXP2, reduced, scaled};
use crate::value::{Number, Value};
use fearless_simd::{Simd, prelude::*};

/// erf x for `|x| <= 0.95` is `x + x E(x²)`; E's coefficients, highest power first. Relative error below 2^-30.
pub(crate) const ERF_CENTRAL: [f64; 7] =
    [8.002_774_848e-5, -8.050_804_026e-4, 5.192_460_492e-3, -2.685_574_07e-2, 1.128_362_566e-1, -3.761_262_894e-1, 1.283_791_661e-1];
/// ln erfc t for t of 0.9 to 4 is `t G(t) - t`. Relative error of erf below 2^-30.
pub(crate) const ERF_LOG: [f64; 8] = [
    -5.298_650_194e-6,
    4.995_852_942e-5,
    2.736_507_304e-5,
    -2.868_980_402e-3,
    2.257_546_596e-2,
    -1.051_694_155e-1,
    -6.356_731_653e-1,
    -1.285_414_398e-1,
];
/// erfc t for t of 0.46 to 10.1 is `e^(-t²) R(q) / (1 + 2t)` with `q = (t - 2) / (t + 2)`. Relative error below 2^-30.
pub(crate) const ERFC_RATIO: [f64; 11] = [
    2.164_949_459e-4,
    -3.119_089_154e-4,
    -1.470_462_067e-3,
    1.216_446_922e-3,
    8.727_655_708e-3,
    -8.024_429_17e-3,
    -5.422_069_285e-2,
    1.640_505_853e-1,
    -1.660_303_656e-1,
    -9.276_381_234e-2,
    1.276_978_381,
];

#[inline(always)]
fn polynomial<S: Simd>(x: Lanes<S>, coefficients: &[f64]) -> Lanes<S> {
    let mut p = x.lit(coefficients[0]);
    for c in &coefficients[1..] {
        p = p.mul_add(x, x.lit(*c));
    }
    p
}

#[inline(always)]
fn central<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    x.mul_add(polynomial(x * x, &ERF_CENTRAL), x)
}

/// Error: 0.90 ulp, 1.05 without fused multiply-add.
#[inline(always)]
pub fn erf<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    // Beyond 0.92, 1 - e^g with g(t) = ln erfc t, a polynomial up to 4, from where on erf is 1.
    let a = x.abs();
    let t = a.at_most(4.0);
    let g = polynomial(t, &ERF_LOG);
    let (scale, p) = reduced(t.mul_add(g, -t), 0);
    let y = (x.constant(1.0) - scale) - scale * p;
    Lanes::select(a.ge(x.constant(0.92)), y.copysign(x), central(x))
}

/// e^(-t²) R(q) / (1 + 2t) but for a power of two, which comes apart. In f64, since e^ magnifies the square's rounding.
#[inline(always)]
fn complement<S: Simd>(t: S::f64s) -> (S::f64s, S::f64s) {
    let lit = |c: f64| S::f64s::splat(t.token(), c);
    let q = (t - lit(2.0)) / (t + lit(2.0));
    let mut p = lit(ERFC_RATIO[0]);
    for c in &ERFC_RATIO[1..] {
        p = p.mul_add(q, lit(*c));
    }
    let power = t * t * lit(-std::f64::consts::LOG2_E);
    let n = power.round_ties_even();
    let r = power - n;
    let mut e = lit(EXP2[0] as f64);
    for c in &EXP2[1..] {
        e = e.mul_add(r, lit(*c as f64));
    }
    e = e.mul_add(r, lit(1.0));
    (e * p / (t + t + lit(1.0)), n)
}

/// `1 - erf x`. Error: 0.85 ulp.
#[inline(always)]
pub fn erfc<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    // 1 - erf below 0.47; the result is 0 from 10.06 on.
    let (first, second) = x.abs().at_most(10.1).v.widen();
    let ((y0, n0), (y1, n1)) = (complement::<S>(first), complement::<S>(second));
    let tail = scaled(x.with(y0.narrow(y1)), x.with(n0.narrow(n1)));
    let y = Lanes::select(x.lt(x.constant(0.0)), x.constant(2.0) - tail, tail);
    // Also for NaN, the near one.
    Lanes::select(x.abs().ge(x.constant(0.47)), y, x.constant(1.0) - central(x))
}
