//! Logarithms and the inverse hyperbolic functions.
//!
//! `x = 2^e (1 + f)` with `1 + f` between √½ and √2; `ln(1 + f) = f - f²/2 + f³ P(f)`, P a minimax polynomial.

use super::Lanes;
use super::exponential::{LN_2_LOWER, LN_2_UPPER};
use crate::value::{Number, Value};
use fearless_simd::{Simd, prelude::*};

/// The bits of √½.
const SQRT_HALF: i32 = 0x3f35_04f3;

/// `(e, f)` of a positive finite number.
#[inline(always)]
pub(super) fn split<S: Simd>(x: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
    let subnormal = x.lt(x.constant(f32::MIN_POSITIVE));
    let x = Lanes::select(subnormal, x * x.constant(8_388_608.0), x);
    let (e, f) = split_normal(x);
    (e - Lanes::select(subnormal, x.constant(23.0), x.constant(0.0)), f)
}

#[inline(always)]
fn split_normal<S: Simd>(x: Lanes<S>) -> (Lanes<S>, Lanes<S>) {
    let bits = x.bits() - SQRT_HALF;
    let mantissa = x.of_bits((bits & 0x007f_ffff) + SQRT_HALF);
    (x.with((bits >> 23u32).to_float()), mantissa - x.constant(1.0))
}

/// `f³ P(f)`; relative to ln(1 + f) the polynomial's error is below 2^-30.
#[inline(always)]
fn cubic_part<S: Simd>(f: Lanes<S>) -> Lanes<S> {
    let p = f.polynomial([
        6.746_548e-2,
        -1.167_557_4e-1,
        1.188_816_2e-1,
        -1.240_560_2e-1,
        1.421_955_4e-1,
        -1.666_799_5e-1,
        2.000_211_9e-1,
        -2.500_001e-1,
        3.333_331_3e-1,
    ]);
    f * f * f * p
}

/// `e ln 2 + ln(1 + f)`.
#[inline(always)]
fn assembled<S: Simd>(e: Lanes<S>, f: Lanes<S>) -> Lanes<S> {
    let y = e.mul_add(f.constant(LN_2_LOWER), cubic_part(f));
    let y = (f * f).mul_add(f.constant(-0.5), y) + f;
    e.mul_add(f.constant(LN_2_UPPER), y)
}

/// `y` where `x` is positive and finite; the logarithm's special values elsewhere.
#[inline(always)]
fn with_special<S: Simd>(x: Lanes<S>, y: Lanes<S>) -> Lanes<S> {
    let (zero, inf) = (x.constant(0.0), x.constant(f32::INFINITY));
    let special = Lanes::select(x.eq(zero), -inf, Lanes::select(x.lt(zero), x.constant(f32::NAN), x));
    Lanes::select(x.gt(zero) & x.lt(inf), y, special)
}

/// Error: 0.80 ulp, 0.90 without fused multiply-add.
#[inline(always)]
pub fn ln<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let (e, f) = split(x);
    with_special(x, assembled(e, f))
}

/// `ln(1 + x)`. Error: 1.40 ulp.
#[inline(always)]
pub fn log1p<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    // u + lost = 1 + x exactly (Knuth's two-sum); the lost part joins f.
    let one = x.constant(1.0);
    let u = one + x;
    let back = u - one;
    let lost = (one - (u - back)) + (x - back);
    let (e, f) = split_normal(u);
    // 2^-e counts only while something was lost, so below e = 25.
    let y = assembled(e, lost.mul_add(x.power_of_two((-e.at_most(127.0)).to_int()), f));
    // u alone is special where x is; near 0 the result is x, with its sign.
    Lanes::select(x.abs().lt(x.constant(3e-8)), x, with_special(u, y))
}

/// `e · log_b(2) + log_b(1 + f)` to nearly one rounding: the leading part is a product of 12-bit numbers.
#[inline(always)]
fn in_base<S: Simd>(x: Lanes<S>, factor: (f32, f32), of_two: (f32, f32)) -> Lanes<S> {
    let (e, f) = split(x);
    let half_square = f * f * f.constant(0.5);
    let upper = (f - half_square).upper();
    let lower = (f - upper) - half_square + cubic_part(f);
    let small = (lower + upper).mul_add(f.constant(factor.1), lower * f.constant(factor.0));
    let (whole, main) = (e * f.constant(of_two.0), upper * f.constant(factor.0));
    let sum = whole + main;
    let small = e.mul_add(f.constant(of_two.1), small) + ((whole - sum) + main);
    with_special(x, sum + small)
}

/// Exact for powers of two. Error: 0.80 ulp.
#[inline(always)]
pub fn log2<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    in_base(x, (1.442_871_1, -1.760_528_5e-4), (1.0, 0.0))
}

/// Error: 0.70 ulp.
#[inline(always)]
pub fn log10<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    in_base(x, (0.434_326_17, -3.168_997e-5), (0.301_025_4, 4.605_039e-6))
}

/// Error: 1.80 ulp.
#[inline(always)]
pub fn asinh<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let (a, one) = (x.abs(), x.constant(1.0));
    // ln(a + √(a² + 1)) = ln(1 + a + a² / (1 + √(a² + 1))); for large a, ln 2a.
    let square = a * a;
    let large = a.gt(x.constant(1e18));
    let inner = a + square / (one + (square + one).sqrt());
    let y = log1p(Lanes::select(large, a, inner));
    (y + Lanes::select(large, x.constant(std::f32::consts::LN_2), x.constant(0.0))).copysign(x)
}

/// Error: 1.90 ulp.
#[inline(always)]
pub fn acosh<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let one = x.constant(1.0);
    let t = x - one;
    let large = x.gt(x.constant(1e18));
    let inner = t + (t * t + (t + t)).sqrt();
    let y = log1p(Lanes::select(large, x, inner));
    let y = y + Lanes::select(large, x.constant(std::f32::consts::LN_2), x.constant(0.0));
    Lanes::select(x.lt(one), x.constant(f32::NAN), y)
}

/// Error: 2.05 ulp.
#[inline(always)]
pub fn atanh<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let a = x.abs();
    let y = log1p((a + a) / (x.constant(1.0) - a)) * x.constant(0.5);
    Lanes::select(a.lt(x.constant(2e-4)), x, y.copysign(x))
}
