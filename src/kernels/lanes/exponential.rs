//! exp and what is made of it.
//!
//! `e^x = 2^n e^r` with `n` the nearest integer to `x / ln 2`; ln 2 in two parts, the first of 15 bits so that its product
//! with `n` is exact (Cody and Waite, "Software Manual for the Elementary Functions", 1980); `e^r` by a minimax polynomial.
//! Adding 1.5 · 2^23 rounds to an integer and leaves it in the lowest bits of the sum, from where a shift makes it an exponent.

use super::Lanes;
use crate::value::{Number, Value};
use fearless_simd::Simd;

pub(super) const LN_2_UPPER: f32 = 0.693_145_75;
pub(super) const LN_2_LOWER: f32 = 1.428_606_8e-6;
const ROUNDER: f32 = 12_582_912.0;
/// (e^r - 1 - r) / r², highest power first; relative to e^r - 1 the error is below 2^-26.
const EXP: [f32; 5] = [1.388_251_3e-3, 8.366_58e-3, 4.166_72e-2, 1.666_654_3e-1, 4.999_999_8e-1];
/// (2^r - 1) / r for `|r| <= 1/2`; relative to 2^r the error is below 2^-28.
pub(super) const EXP2: [f32; 6] = [1.535_334_8e-4, 1.339_89e-3, 9.618_437e-3, 5.550_332_4e-2, 2.402_264_8e-1, 6.931_472e-1];

/// `(sum, n, r)`: the sum's lowest bits hold n. `|x|` is below 2^20.
#[inline(always)]
fn parts<S: Simd>(x: Lanes<S>) -> (Lanes<S>, Lanes<S>, Lanes<S>) {
    let rounder = x.constant(ROUNDER);
    let sum = x.mul_add(x.constant(std::f32::consts::LOG2_E), rounder);
    let n = sum - rounder;
    (sum, n, n.mul_add(x.constant(-LN_2_LOWER), n.mul_add(x.constant(-LN_2_UPPER), x)))
}

/// e^r.
#[inline(always)]
fn exp_reduced<S: Simd>(r: Lanes<S>) -> Lanes<S> {
    r.polynomial([EXP[0], EXP[1], EXP[2], EXP[3], EXP[4], 1.0, 1.0])
}

/// 2^r.
#[inline(always)]
pub(super) fn exp2_reduced<S: Simd>(r: Lanes<S>) -> Lanes<S> {
    r.polynomial([EXP2[0], EXP2[1], EXP2[2], EXP2[3], EXP2[4], EXP2[5], 1.0])
}

/// `(2^(n + shift), e^r - 1)` with `n + shift` within -126 to 127.
#[inline(always)]
pub(super) fn reduced<S: Simd>(x: Lanes<S>, shift: i32) -> (Lanes<S>, Lanes<S>) {
    let (sum, _, r) = parts(x);
    (x.of_bits((sum.bits() << 23u32) + ((127 + shift) << 23)), (r * r).mul_add(r.polynomial(EXP), r))
}

/// `y · 2^n` in two steps, so that results round into the subnormals and overflow to inf.
#[inline(always)]
pub(super) fn scaled<S: Simd>(y: Lanes<S>, n: Lanes<S>) -> Lanes<S> {
    let n = n.to_int();
    let half = n >> 1u32;
    y * y.power_of_two(half) * y.power_of_two(n - half)
}

/// `y · 2^n`, y of order 1, n in the lowest bits of `sum` and within -151 to 129: half of n is added to the exponent, the other
/// half multiplied, so that results round into the subnormals and overflow to inf.
#[inline(always)]
fn raised<S: Simd>(y: Lanes<S>, sum: Lanes<S>) -> Lanes<S> {
    let n = sum.bits();
    let half = n >> 1u32;
    y.of_bits(y.bits() + (half << 23u32)) * y.of_bits(((n - half) << 23u32) + 0x3f80_0000)
}

/// NaN where `x` is, else `y`: adding to the exponent may make a number of a NaN.
#[inline(always)]
fn or_nan<S: Simd>(x: Lanes<S>, y: Lanes<S>) -> Lanes<S> {
    Lanes::select(x.eq(x), y, x)
}

/// `e^x`. Error: 0.95 ulp, 1.20 without fused multiply-add.
#[inline(always)]
pub fn exp<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let (sum, _, r) = parts(x.clamped(-104.0, 89.0));
    or_nan(x, raised(exp_reduced(r), sum))
}

/// `2^x`. Error: 1.00 ulp, 1.20 without fused multiply-add.
#[inline(always)]
pub fn exp2<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let (within, rounder) = (x.clamped(-151.0, 128.5), x.constant(ROUNDER));
    let sum = within + rounder;
    or_nan(x, raised(exp2_reduced(within - (sum - rounder)), sum))
}

/// `e^x - 1`. Error: 1.60 ulp, 1.70 without fused multiply-add.
#[inline(always)]
pub fn expm1<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    // Halved on the way, since 2^128 alone would overflow.
    let (scale, p) = reduced(x.clamped(-18.0, 89.0), -1);
    let half = scale.mul_add(p, scale - x.constant(0.5));
    Lanes::select(x.abs().ge(x.constant(3e-8)), half + half, x)
}

/// `1 / (1 + e^-x)`. Error: 1.80 ulp, 1.90 without fused multiply-add.
#[inline(always)]
pub fn sigmoid<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    // e^-|x| never overflows, so the lower tail keeps its subnormals.
    let one = x.constant(1.0);
    let e = exp(-x.abs());
    let sum = one + e;
    let y = Lanes::select(x.lt(x.constant(0.0)), e, one) / sum;
    // What the sum lost, over the sum; 1 - e/2 is near enough to 1 / (1 + e).
    let lost = (e - (sum - one)) * e.mul_add(x.constant(-0.5), one);
    y.mul_add(-lost, y)
}

/// Error: 1.45 ulp.
#[inline(always)]
pub fn tanh<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    // Up to 5/8 a polynomial of relative error 2^-27; then 1 - 2e / (1 + e) with e = e^(-2|x|).
    let (a, one, z) = (x.abs(), x.constant(1.0), x * x);
    let near = (a * z).mul_add(z.polynomial([-5.702_610_7e-3, 2.063_704_5e-2, -5.373_911_7e-2, 1.333_143_5e-1, -3.333_328e-1]), a);
    let (scale, p) = reduced(a.at_most(10.0) * x.constant(-2.0), 0);
    let e = scale.mul_add(p, scale);
    let far = one - (e + e) / (one + e);
    Lanes::select(a.gt(x.constant(0.625)), far, near).copysign(x)
}

/// `e^|x| / 2`, which overflows where sinh and cosh do.
#[inline(always)]
fn half_exp<S: Simd>(a: Lanes<S>) -> Lanes<S> {
    let (sum, _, r) = parts(a.at_most(90.0));
    raised(exp_reduced(r), sum - a.constant(1.0))
}

/// Error: 1.60 ulp, 1.70 without fused multiply-add.
#[inline(always)]
pub fn sinh<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    // Up to 1 a polynomial of relative error 2^-34.
    let (a, z) = (x.abs(), x * x);
    let near = (a * z).mul_add(z.polynomial([2.817_074e-6, 1.983_614e-4, 8.333_35e-3, 1.666_666_6e-1]), a);
    let half = half_exp(a);
    Lanes::select(a.gt(x.constant(1.0)), half - x.constant(0.25) / half, near).copysign(x)
}

/// Error: 1.35 ulp, 1.55 without fused multiply-add.
#[inline(always)]
pub fn cosh<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let half = half_exp(x.abs());
    or_nan(x, half + x.constant(0.25) / half)
}
