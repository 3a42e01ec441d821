//! Trigonometric functions and their inverses.
//!
//! Arguments up to 2^22 are reduced by multiples of π/2 in f64, π/2 in two parts, the first of 30 bits so that its product with
//! the multiple is exact; larger ones take the f64 functions lane by lane.

use super::Lanes;
use crate::value::{Number, Value};
use fearless_simd::{Simd, prelude::*};

const LARGEST: f32 = 4_194_304.0;
const HALF_PI_UPPER: f32 = std::f32::consts::FRAC_PI_2;
const HALF_PI_LOWER: f32 = -4.371_139e-8;

/// Whether all lanes are small enough for `reduced`, which infinities and NaN are not.
#[inline(always)]
fn are_small<S: Simd>(x: Lanes<S>) -> bool {
    x.abs().le(x.constant(LARGEST)).all_true()
}

/// `x = n · π/2 + r` with `|r| <= π/4`.
#[inline(always)]
fn reduced<S: Simd>(x: S::f64s) -> (S::f64s, S::f64s) {
    let lit = |c: f64| S::f64s::splat(x.token(), c);
    let n = (x * lit(std::f64::consts::FRAC_2_PI)).round_ties_even();
    let r = n.mul_add(lit(-1.570_796_327_665_448_2), x);
    (n, n.mul_add(lit(8.705_515_695_504_166e-10), r))
}

/// The quadrant and the rest, rounded once to f32.
#[inline(always)]
fn quadrant<S: Simd>(x: Lanes<S>) -> (S::i32s, Lanes<S>) {
    let (first, second) = x.v.widen();
    let ((n0, r0), (n1, r1)) = (reduced::<S>(first), reduced::<S>(second));
    (x.with(n0.narrow(n1)).to_int(), x.with(r0.narrow(r1)))
}

/// sin r and cos r for `|r| <= π/4`; the polynomials' relative errors are below 2^-27.
#[inline(always)]
fn sine<S: Simd>(r: Lanes<S>) -> Lanes<S> {
    let z = r * r;
    (r * z).mul_add(z.polynomial([-1.951_809_5e-4, 8.332_188e-3, -1.666_665_5e-1]), r)
}

#[inline(always)]
fn cosine<S: Simd>(r: Lanes<S>) -> Lanes<S> {
    let z = r * r;
    let p = z.polynomial([2.443_232_7e-5, -1.388_731e-3, 4.166_664_6e-2, -0.5]);
    z.mul_add(p, r.constant(1.0))
}

/// The sine of quadrant and rest.
#[inline(always)]
fn turned<S: Simd>(quadrant: S::i32s, r: Lanes<S>) -> Lanes<S> {
    let y = Lanes::select((quadrant & 1).simd_eq(0), sine(r), cosine(r));
    // Bit 1 of the quadrant is the sign.
    y.of_bits(y.bits() ^ ((quadrant & 2) << 30u32))
}

/// Error: 1.55 ulp.
#[inline(always)]
pub fn sin<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    if !are_small(x) {
        return x.each(f64::sin);
    }
    let (quadrant, r) = quadrant(x);
    // Near 0 it is x itself, with its sign.
    Lanes::select(x.abs().lt(x.constant(1e-4)), x, turned(quadrant, r))
}

/// Error: 1.50 ulp, 1.55 without fused multiply-add.
#[inline(always)]
pub fn cos<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    if !are_small(x) {
        return x.each(f64::cos);
    }
    let (quadrant, r) = quadrant(x);
    turned(quadrant + 1, r)
}

/// tan in f64, since it magnifies the rounding of the reduced argument; the polynomial's relative error is below 2^-29.
#[inline(always)]
fn tangent<S: Simd>(x: S::f64s) -> S::f64s {
    let lit = |c: f64| S::f64s::splat(x.token(), c);
    let (n, r) = reduced::<S>(x);
    let z = r * r;
    let mut p = lit(4.376_299_214e-3);
    for c in [9.134_024_003e-5, 1.083_245_315e-2, 2.128_451_131e-2, 5.405_917_764e-2, 1.333_267_391e-1, 3.333_334_923e-1, 1.0] {
        p = p.mul_add(z, lit(c));
    }
    let (t, turns) = (r * p, n * lit(0.5));
    let even = turns.simd_eq(turns.round_ties_even());
    even.select(t, lit(-1.0)) / even.select(lit(1.0), t)
}

/// Error: 0.55 ulp.
#[inline(always)]
pub fn tan<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    if !are_small(x) {
        return x.each(f64::tan);
    }
    let (first, second) = x.v.widen();
    let y = x.with(tangent::<S>(first).narrow(tangent::<S>(second)));
    Lanes::select(x.abs().lt(x.constant(1e-4)), x, y)
}

/// atan a for a of 0 to 1; the polynomial's relative error is below 2^-28.
#[inline(always)]
fn arctangent<S: Simd>(a: Lanes<S>) -> Lanes<S> {
    let z = a * a;
    let p = z.polynomial([
        -1.782_626_6e-3,
        1.086_844_4e-2,
        -3.109_713_8e-2,
        5.788_171e-2,
        -8.399_32e-2,
        1.095_088_3e-1,
        -1.426_401_6e-1,
        1.999_853e-1,
        -3.333_33e-1,
    ]);
    (a * z).mul_add(p, a)
}

/// Error: 1.35 ulp, 1.50 without fused multiply-add.
#[inline(always)]
pub fn atan<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let (a, one) = (x.abs(), x.constant(1.0));
    let beyond = a.gt(one);
    let y = arctangent(Lanes::select(beyond, one, a) / Lanes::select(beyond, a, one));
    let turned = x.constant(HALF_PI_UPPER) - (y - x.constant(HALF_PI_LOWER));
    Lanes::select(beyond, turned, y).copysign(x)
}

/// The angle of the point (`x`, `y`). Error: 1.50 ulp, 1.65 without fused multiply-add.
#[inline(always)]
pub fn atan2<S: Simd>(y: Lanes<S>, x: Lanes<S>) -> Lanes<S> {
    let (ax, ay, zero, one) = (x.abs(), y.abs(), x.constant(0.0), x.constant(1.0));
    let steep = ay.gt(ax);
    let (least, most) = (Lanes::select(steep, ax, ay), Lanes::select(steep, ay, ax));
    // 0/0 counts as 0 and inf/inf as 1, as Annex F has it.
    let ratio = Lanes::select(most.eq(zero), zero, Lanes::select(least.eq(x.constant(f32::INFINITY)), one, least / most));
    let angle = arctangent(ratio);
    let (upper, lower) = (x.constant(HALF_PI_UPPER), x.constant(HALF_PI_LOWER));
    let angle = Lanes::select(steep, upper - (angle - lower), angle);
    let back = (upper + upper) - (angle - (lower + lower));
    let angle = Lanes::select(x.bits().simd_lt(0), back, angle).copysign(y);
    Lanes::select(x.eq(x) & y.eq(y), angle, x + y)
}

/// For `|x| <= 1/2`, asin x = x + x³ P(x²), P's relative error below 2^-27; above, `asin x = π/2 - 2 asin √((1 - x) / 2)`.
/// Gives whether `|x| > 1/2`, then |x| or the root, and what its arc sine has beyond it.
#[inline(always)]
fn arcsine<S: Simd>(x: Lanes<S>) -> (S::mask32s, Lanes<S>, Lanes<S>) {
    let (a, half) = (x.abs(), x.constant(0.5));
    let beyond = a.gt(half);
    let z = Lanes::select(beyond, (x.constant(1.0) - a) * half, a * a);
    let s = Lanes::select(beyond, z.sqrt(), a);
    let p = z.polynomial([4.215_84e-2, 2.418_474e-2, 4.546_915e-2, 7.495_309e-2, 1.666_675_2e-1]);
    (beyond, s, s * z * p)
}

/// Error: 1.15 ulp.
#[inline(always)]
pub fn asin<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let (beyond, s, more) = arcsine(x);
    // The difference with what it lost (Dekker's fast two-sum).
    let (upper, twice) = (x.constant(HALF_PI_UPPER), s + s);
    let difference = upper - twice;
    let lost = (upper - difference) - twice;
    let turned = difference - ((more + more - x.constant(HALF_PI_LOWER)) - lost);
    Lanes::select(beyond, turned, s + more).copysign(x)
}

/// Error: 1.15 ulp.
#[inline(always)]
pub fn acos<S: Simd>(x: Lanes<S>) -> Lanes<S> {
    let (beyond, s, more) = arcsine(x);
    let s = s + more;
    let (upper, lower, twice) = (x.constant(HALF_PI_UPPER), x.constant(HALF_PI_LOWER), s + s);
    let back = (upper + upper) - (twice - (lower + lower));
    Lanes::select(beyond, Lanes::select(x.bits().simd_lt(0), back, twice), upper - (s.copysign(x) - lower))
}
