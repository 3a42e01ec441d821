//! Powers and remainders.

use super::Lanes;
use super::exponential::{exp2_reduced, scaled};
use super::logarithm::split;
use crate::value::{Number, Value};
use fearless_simd::{Simd, prelude::*};

/// `y (e + log2(1 + f))` as an integer and a rest. In f64: it needs 8 digits more than f32 has before the point.
#[inline(always)]
fn exponent<S: Simd>(e: S::f64s, f: S::f64s, y: S::f64s) -> (S::f64s, S::f64s) {
    let lit = |c: f64| S::f64s::splat(e.token(), c);
    // log2(1 + f) = s L(s²) with s = f / (2 + f); the polynomial's relative error is below 2^-37.
    let s = f / (f + lit(2.0));
    let z = s * s;
    let mut l = lit(0.340_748_994_084_440_87);
    for c in [0.411_671_745_040_654_7, 0.577_083_600_343_589_6, 0.961_796_673_266_218_9, 2.885_390_081_790_142] {
        l = l.mul_add(z, lit(c));
    }
    let t = (s.mul_add(l, e) * y).max(lit(-1000.0)).min(lit(1000.0));
    let n = t.round_ties_even();
    (n, t - n)
}

/// `x^y`, with C's special cases. Error: 1.10 ulp, 1.35 without fused multiply-add.
#[inline(always)]
pub fn pow<S: Simd>(x: Lanes<S>, y: Lanes<S>) -> Lanes<S> {
    let (zero, one, inf) = (x.constant(0.0), x.constant(1.0), x.constant(f32::INFINITY));
    let a = x.abs();
    let (e, f) = split(a);
    let ((e0, e1), (f0, f1), (y0, y1)) = (e.v.widen(), f.v.widen(), y.v.widen());
    let ((n0, r0), (n1, r1)) = (exponent::<S>(e0, f0, y0), exponent::<S>(e1, f1, y1));
    let n = x.with(n0.narrow(n1)).clamped(-252.0, 254.0);
    let magnitude = scaled(exp2_reduced(x.with(r0.narrow(r1))), n);

    // |x| of 0 or inf, and y of ±inf, go to 0 or inf by the sides of 1 that they lie on.
    let grows = Lanes::select(y.lt(zero), one, zero).eq(Lanes::select(a.lt(one), one, zero));
    let limit = Lanes::select(grows, inf, zero);
    let is_limit = a.eq(zero) | a.eq(inf) | y.abs().eq(inf);
    let magnitude = Lanes::select(is_limit, limit, magnitude);

    let whole = y.eq(y.trunc());
    let y_half = y * x.constant(0.5);
    let odd = whole & y_half.ne(y_half.trunc()) & y.abs().lt(inf);
    let negative = x.bits().simd_lt(0);
    let signed = Lanes::select(negative & odd, -magnitude, magnitude);
    let invalid = x.lt(zero) & !whole & a.lt(inf);
    let result = Lanes::select(invalid, x.constant(f32::NAN), signed);
    let result = Lanes::select(x.eq(x) & y.eq(y), result, x + y);
    // -1 to the ±inf is 1, too.
    Lanes::select(x.eq(one) | y.eq(zero) | (x.eq(-one) & y.abs().eq(inf)), one, result)
}

/// The exact remainder with the sign of `x`, as C's fmod.
#[inline(always)]
pub fn fmod<S: Simd>(x: Lanes<S>, y: Lanes<S>) -> Lanes<S> {
    // A quotient below 2^22 has an exact integer part but for one unit, and x - ny is exact when rounded once.
    let quotient = x / y;
    let is_simple = quotient.abs().lt(x.constant(4_194_304.0)) & y.abs().lt(x.constant(f32::INFINITY));
    if !is_simple.all_true() {
        return each_pair(x, y, |x, y| x % y);
    }
    let n = quotient.trunc();
    let rest = x.with((-n.v).mul_add_precise(y.v, x.v));
    let overshot = (rest.bits() ^ x.bits()).simd_lt(0) & rest.ne(x.constant(0.0));
    Lanes::select(overshot, rest + y.abs().copysign(x), rest).copysign(x)
}

/// The exact remainder with the sign of `y`, as Python's %.
#[inline(always)]
pub fn remainder<S: Simd>(x: Lanes<S>, y: Lanes<S>) -> Lanes<S> {
    let rest = fmod(x, y);
    Lanes::select(is_opposite(rest, y), rest + y, rest)
}

/// Whether the rest is not zero and its sign is not the divisor's.
#[inline(always)]
fn is_opposite<S: Simd>(rest: Lanes<S>, y: Lanes<S>) -> S::mask32s {
    let zero = rest.constant(0.0);
    (rest.gt(zero) & y.lt(zero)) | (rest.lt(zero) & y.gt(zero))
}

/// The quotient rounded down, by the steps of f64's `floor_div`.
#[inline(always)]
pub fn floor_div<S: Simd>(x: Lanes<S>, y: Lanes<S>) -> Lanes<S> {
    let (zero, one) = (x.constant(0.0), x.constant(1.0));
    let rest = fmod(x, y);
    let quotient = (x - rest) / y;
    let quotient = Lanes::select(is_opposite(rest, y), quotient - one, quotient);
    let floor = quotient.floor();
    let floor = Lanes::select((quotient - floor).gt(x.constant(0.5)), floor + one, floor);
    let plain = x / y;
    let result = Lanes::select(quotient.eq(zero), zero.copysign(plain), floor);
    Lanes::select(y.eq(zero), plain, result)
}

#[inline(always)]
fn each_pair<S: Simd>(x: Lanes<S>, y: Lanes<S>, f: fn(f32, f32) -> f32) -> Lanes<S> {
    let (mut v, w) = (x.v, y.v);
    each_pair_of(v.as_mut_slice(), w.as_slice(), f);
    x.with(v)
}

/// Out of line, as `each_of`.
#[cold]
#[inline(never)]
fn each_pair_of(x: &mut [f32], y: &[f32], f: fn(f32, f32) -> f32) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x = f(*x, *y));
}
