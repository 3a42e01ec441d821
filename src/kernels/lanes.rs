//! Formulas read as SIMD lanes of f32, and the vector functions behind them.
//!
//! Accuracy is stated per function: the largest error seen, rounded up, in units in the last place (ulp) of the f32 nearest to the exact
//! value, against f64, over 20 million arguments from all binades, subnormals included; with fused multiply-add (AVX2, AVX-512, NEON), and
//! without where that differs. ±0, ±inf, NaN and subnormals follow C's Annex F everywhere.

mod error_function;
mod exponential;
mod logarithm;
mod power;
mod trigonometric;

pub(crate) use error_function::{ERF_CENTRAL, ERF_LOG, ERFC_RATIO};
pub use error_function::{erf, erfc};
pub use exponential::{cosh, exp, exp2, expm1, sigmoid, sinh, tanh};
pub use logarithm::{acosh, asinh, atanh, ln, log1p, log2, log10};
pub use power::{floor_div, fmod, pow, remainder};
pub use trigonometric::{acos, asin, atan, atan2, cos, sin, tan};

use crate::value::{Number, Value};
use fearless_simd::{Simd, prelude::*};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// One native vector of f32.
#[derive(Clone, Copy)]
pub struct Lanes<S: Simd> {
    pub simd: S,
    pub v: S::f32s,
}

impl<S: Simd> Lanes<S> {
    #[inline(always)]
    pub fn new(simd: S, v: S::f32s) -> Self {
        Lanes { simd, v }
    }

    #[inline(always)]
    pub fn splat(simd: S, c: f32) -> Self {
        Lanes { simd, v: S::f32s::splat(simd, c) }
    }

    #[inline(always)]
    fn with(self, v: S::f32s) -> Self {
        Lanes { simd: self.simd, v }
    }

    #[inline(always)]
    fn constant(self, c: f32) -> Self {
        Lanes::splat(self.simd, c)
    }

    /// The polynomial with these coefficients, highest power first, at `self`.
    #[inline(always)]
    fn polynomial<const N: usize>(self, coefficients: [f32; N]) -> Self {
        let mut p = self.constant(coefficients[0]);
        for c in &coefficients[1..] {
            p = p.mul_add(self, self.constant(*c));
        }
        p
    }

    /// The smaller one of `self` and `limit`; anything for NaN.
    #[inline(always)]
    fn at_most(self, limit: f32) -> Self {
        self.with(self.v.min(self.constant(limit).v))
    }

    /// Within the bounds; anything for NaN.
    #[inline(always)]
    fn clamped(self, low: f32, high: f32) -> Self {
        self.with(self.v.max(self.constant(low).v).min(self.constant(high).v))
    }

    #[inline(always)]
    fn bits(self) -> S::i32s {
        self.v.bitcast()
    }

    #[inline(always)]
    fn of_bits(self, bits: S::i32s) -> Self {
        self.with(bits.bitcast())
    }

    /// `2^n` for integers `n` of -127 (0 then) to 128 (inf then).
    #[inline(always)]
    fn power_of_two(self, n: S::i32s) -> Self {
        self.of_bits((n + 127) << 23u32)
    }

    /// The integer-valued lanes as integers.
    #[inline(always)]
    fn to_int(self) -> S::i32s {
        self.v.to_int()
    }

    /// The number without the lower half of its mantissa: products of two such numbers are exact.
    #[inline(always)]
    fn upper(self) -> Self {
        self.of_bits(self.bits() & !0xfff)
    }

    /// `f` on every lane in f64, rounded once.
    #[inline(always)]
    fn each(self, f: fn(f64) -> f64) -> Self {
        let mut v = self.v;
        each_of(v.as_mut_slice(), f);
        self.with(v)
    }
}

/// Out of line: these are the rare or slow ways, and should not crowd the loops.
#[cold]
#[inline(never)]
fn each_of(values: &mut [f32], f: fn(f64) -> f64) {
    values.iter_mut().for_each(|x| *x = f(*x as f64) as f32);
}

macro_rules! operators {
    ($($trait:ident $method:ident $op:tt),*) => { $(
        impl<S: Simd> $trait for Lanes<S> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                self.with(self.v $op other.v)
            }
        }
    )* };
}
operators!(Add add +, Sub sub -, Mul mul *, Div div /);

impl<S: Simd> Neg for Lanes<S> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self.with(-self.v)
    }
}

impl<S: Simd> Number for Lanes<S> {
    type Mask = S::mask32s;
    #[inline(always)]
    fn lit(self, c: f64) -> Self {
        Lanes::splat(self.simd, c as f32)
    }
    #[inline(always)]
    fn lt(self, other: Self) -> Self::Mask {
        self.v.simd_lt(other.v)
    }
    #[inline(always)]
    fn le(self, other: Self) -> Self::Mask {
        self.v.simd_le(other.v)
    }
    #[inline(always)]
    fn gt(self, other: Self) -> Self::Mask {
        self.v.simd_gt(other.v)
    }
    #[inline(always)]
    fn ge(self, other: Self) -> Self::Mask {
        self.v.simd_ge(other.v)
    }
    #[inline(always)]
    fn eq(self, other: Self) -> Self::Mask {
        self.v.simd_eq(other.v)
    }
    #[inline(always)]
    fn ne(self, other: Self) -> Self::Mask {
        !self.v.simd_eq(other.v)
    }
    #[inline(always)]
    fn select(mask: Self::Mask, if_true: Self, if_false: Self) -> Self {
        if_true.with(mask.select(if_true.v, if_false.v))
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self.with(self.v.abs())
    }
    #[inline(always)]
    fn maximum(self, other: Self) -> Self {
        Self::select(self.ne(self) | self.gt(other), self, other)
    }
    #[inline(always)]
    fn minimum(self, other: Self) -> Self {
        Self::select(self.ne(self) | self.lt(other), self, other)
    }
    #[inline(always)]
    fn sign(self) -> Self {
        let (zero, one) = (self.lit(0.0), self.lit(1.0));
        Self::select(self.gt(zero), one, Self::select(self.lt(zero), -one, zero))
    }
    #[inline(always)]
    fn floor_div(self, other: Self) -> Self {
        floor_div(self, other)
    }
    #[inline(always)]
    fn trunc_div(self, other: Self) -> Self {
        (self / other).trunc()
    }
    #[inline(always)]
    fn remainder(self, other: Self) -> Self {
        remainder(self, other)
    }
    #[inline(always)]
    fn fmod(self, other: Self) -> Self {
        fmod(self, other)
    }
}

macro_rules! in_lanes {
    ($($name:ident),*) => { $(
        #[inline(always)]
        fn $name(self) -> Self {
            $name(self)
        }
    )* };
}

macro_rules! in_f64 {
    ($($name:ident),*) => { $(
        #[inline(always)]
        fn $name(self) -> Self {
            self.each(<f64 as Value>::$name)
        }
    )* };
}

impl<S: Simd> Value for Lanes<S> {
    in_lanes!(
        exp, expm1, exp2, ln, log1p, log2, log10, sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, asinh, acosh, atanh, sigmoid, erf,
        erfc
    );
    in_f64!(erfinv, lgamma, digamma);
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.with(self.v.sqrt())
    }
    #[inline(always)]
    fn atan2(self, other: Self) -> Self {
        atan2(self, other)
    }
    #[inline(always)]
    fn pow(self, other: Self) -> Self {
        pow(self, other)
    }
    #[inline(always)]
    fn floor(self) -> Self {
        self.with(self.v.floor())
    }
    #[inline(always)]
    fn ceil(self) -> Self {
        self.with(self.v.ceil())
    }
    #[inline(always)]
    fn round(self) -> Self {
        self.with(self.v.round_ties_even())
    }
    #[inline(always)]
    fn trunc(self) -> Self {
        self.with(self.v.trunc())
    }
    #[inline(always)]
    fn copysign(self, other: Self) -> Self {
        self.with(self.v.copysign(other.v))
    }
    #[inline(always)]
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self.with(self.v.mul_add(factor.v, term.v))
    }
}

macro_rules! on_vectors {
    ($($name:ident: $function:ident),*) => { $(
        #[doc = concat!("[`", stringify!($function), "`] of a bare vector.")]
        #[inline(always)]
        pub fn $name<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
            $function(Lanes::new(simd, x)).v
        }
    )* };
}
on_vectors!(
    exp_f32: exp, exp2_f32: exp2, expm1_f32: expm1, ln_f32: ln, log1p_f32: log1p, log2_f32: log2, sin_f32: sin, cos_f32: cos, tanh_f32: tanh,
    sigmoid_f32: sigmoid, erf_f32: erf
);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::dispatch;
    use crate::level::named;
    use crate::special;
    use fearless_simd::Level;

    /// Every level that this machine has.
    fn levels() -> Vec<(&'static str, Level)> {
        ["fallback", "sse4.2", "avx2", "avx512", "neon"].into_iter().filter_map(|name| Some((name, named(name)?))).collect()
    }

    fn is_fused(level: Level) -> bool {
        // 1 + 2^-12 squared less 1 + 2^-11 keeps 2^-24 only if rounded once.
        let x = [1.0 + 2f32.powi(-12); 16];
        let mut y = x;
        dispatch!(level, simd => {
            let v = Lanes::new(simd, load(simd, &x));
            v.mul_add(v, v.constant(-1.0 - 2f32.powi(-11))).v.store_slice(&mut y[..width(simd)]);
        });
        y[0] != 0.0
    }

    fn load<S: Simd>(simd: S, x: &[f32]) -> S::f32s {
        S::f32s::from_slice(simd, &x[..width(simd)])
    }

    fn width<S: Simd>(_: S) -> usize {
        S::f32s::LEN
    }

    type Map = fn(Level, &[f32], &[f32], &mut [f32]);

    struct Function {
        name: &'static str,
        map: Map,
        exact: fn(f64, f64) -> f64,
        /// The stated errors in ulp, with and without fused multiply-add.
        bounds: (f64, f64),
    }

    macro_rules! functions {
        ($($name:ident $(($y:ident))?: $exact:expr, $fused:literal, $plain:literal;)*) => { vec![$(Function {
            name: stringify!($name),
            map: |level, x, y, out| dispatch!(level, simd => {
                let n = width(simd);
                let _ = y;
                for i in 0..out.len() / n {
                    $(let $y = Lanes::new(simd, load(simd, &y[i * n..]));)?
                    $name(Lanes::new(simd, load(simd, &x[i * n..])) $(, $y)?).v.store_slice(&mut out[i * n..i * n + n]);
                }
            }),
            exact: $exact,
            bounds: ($fused, $plain),
        }),*] };
    }

    fn functions() -> Vec<Function> {
        functions! {
            exp: |x, _| x.exp(), 0.95, 1.20;
            exp2: |x, _| x.exp2(), 1.00, 1.20;
            expm1: |x, _| x.exp_m1(), 1.60, 1.70;
            sigmoid: |x, _| 1.0 / (1.0 + (-x).exp()), 1.80, 1.90;
            tanh: |x, _| x.tanh(), 1.45, 1.45;
            sinh: |x, _| x.sinh(), 1.60, 1.70;
            cosh: |x, _| x.cosh(), 1.35, 1.55;
            ln: |x, _| x.ln(), 0.80, 0.90;
            log1p: |x, _| x.ln_1p(), 1.40, 1.40;
            log2: |x, _| x.log2(), 0.80, 0.80;
            log10: |x, _| x.log10(), 0.70, 0.70;
            asinh: |x, _| special::asinh(x), 1.80, 1.80;
            acosh: |x, _| special::acosh(x), 1.90, 1.90;
            atanh: |x, _| special::atanh(x), 2.05, 2.05;
            sin: |x, _| x.sin(), 1.55, 1.55;
            cos: |x, _| x.cos(), 1.50, 1.55;
            tan: |x, _| x.tan(), 0.55, 0.55;
            asin: |x, _| x.asin(), 1.15, 1.15;
            acos: |x, _| x.acos(), 1.15, 1.15;
            atan: |x, _| x.atan(), 1.35, 1.50;
            atan2(y): |x, y| x.atan2(y), 1.50, 1.65;
            erf: |x, _| special::erf(x), 0.90, 1.05;
            erfc: |x, _| special::erfc(x), 0.85, 0.85;
            pow(y): |x, y| x.powf(y), 1.10, 1.35;
            fmod(y): |x, y| x % y, 0.00, 0.00;
            remainder(y): |x, y| Number::remainder(x as f32, y as f32) as f64, 0.00, 0.00;
            floor_div(y): |x, y| Number::floor_div(x as f32, y as f32) as f64, 0.00, 0.00;
        }
    }

    const SPECIAL: [f32; 30] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        2.0,
        -2.0,
        3.0,
        -3.0,
        0.5,
        -0.5,
        1.5,
        -2.5,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        f32::MIN_POSITIVE,
        -f32::MIN_POSITIVE,
        1e-40,
        -1e-40,
        1e-45,
        -1e-45,
        f32::MAX,
        f32::MIN,
        88.8,
        -88.8,
        1e10,
        -1e10,
        16_777_217.0,
        4_194_305.0,
        1e5,
    ];

    /// The error of `y` in ulp of the f32 nearest to `exact`; inf where one is NaN or a zero has the wrong sign.
    fn error_ulp(y: f32, exact: f64) -> f64 {
        let nearest = exact as f32;
        if y.to_bits() == nearest.to_bits() || y.is_nan() && exact.is_nan() {
            return if y.is_finite() && y != 0.0 { measured(y, exact) } else { 0.0 };
        }
        if y.is_nan() || exact.is_nan() || (y == 0.0 && exact == 0.0) || (exact.is_infinite() && y.is_finite()) {
            return f64::INFINITY;
        }
        measured(y, exact)
    }

    fn measured(y: f32, exact: f64) -> f64 {
        // Past the largest f32 both count as 2^128.
        let clamp = |v: f64| v.clamp(-(2f64.powi(128)), 2f64.powi(128));
        let exponent = ((exact as f32).to_bits() >> 23 & 0xff) as i32;
        let ulp = 2f64.powi(exponent.clamp(1, 254) - 150);
        (clamp(y as f64) - clamp(exact)).abs() / ulp
    }

    /// The largest error over every `step`-th f32, with its argument. Second arguments are drawn from all binades too.
    fn largest_error(function: &Function, level: Level, step: usize) -> (f64, f32, f32) {
        const N: usize = 4096;
        let (mut x, mut y, mut out) = (vec![0f32; N], vec![0f32; N], vec![0f32; N]);
        let mut worst = (0.0, 0.0, 0.0);
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state ^ state >> 16
        };
        let mut bits = 0usize;
        while bits <= u32::MAX as usize {
            for i in 0..N {
                x[i] = f32::from_bits(bits as u32);
                bits += step;
                // Mostly neighbours of x's size, so that quotients and powers are interesting.
                y[i] = match random() % 4 {
                    0 => f32::from_bits(random()),
                    1 => (random() as f32 / 2e9 - 1.0) * 150.0 / x[i].abs().log2().abs().max(1e-3),
                    2 => (random() % 64) as f32 * 0.5 - 16.0,
                    _ => x[i] * (random() as f32 / 1e9 - 2.0),
                };
            }
            (function.map)(level, &x, &y, &mut out);
            for i in 0..N {
                let error = error_ulp(out[i], (function.exact)(x[i] as f64, y[i] as f64));
                if error > worst.0 {
                    worst = (error, x[i], y[i]);
                }
            }
        }
        worst
    }

    #[test]
    fn every_function_is_as_accurate_as_stated_at_every_level() {
        for (name, level) in levels() {
            for function in functions() {
                let bound = if is_fused(level) { function.bounds.0 } else { function.bounds.1 };
                let (error, x, y) = largest_error(&function, level, 20_011);
                assert!(error <= bound, "{} at {name}: {error} ulp at ({x:e}, {y:e}), stated {bound}", function.name);
            }
        }
    }

    #[test]
    fn every_function_has_c_s_values_at_special_arguments() {
        for (name, level) in levels() {
            for function in functions() {
                let bound = if is_fused(level) { function.bounds.0 } else { function.bounds.1 };
                for second in SPECIAL {
                    let mut x = SPECIAL.to_vec();
                    x.resize(32, 1.0);
                    let mut out = vec![0f32; 32];
                    (function.map)(level, &x, &[second; 32], &mut out);
                    for (&x, &out) in x.iter().zip(&out) {
                        let exact = (function.exact)(x as f64, second as f64);
                        let error = error_ulp(out, exact);
                        assert!(error <= bound, "{} at {name}: ({x:e}, {second:e}) gave {out:e}, exact {exact:e}", function.name);
                    }
                }
            }
        }
    }

    /// Prints the errors that the docs state; `STEP` sets the sweep's step.
    #[test]
    #[ignore = "a measurement"]
    fn errors() {
        let step = std::env::var("STEP").map_or(997, |step| step.parse().unwrap());
        for (name, level) in levels() {
            for function in functions() {
                let (error, x, y) = largest_error(&function, level, step);
                println!("{name:9} {:10} {error:.3} ulp at ({x:e}, {y:e})", function.name);
            }
        }
    }

    /// Prints ns per element of each function, in cache.
    #[test]
    #[ignore = "a measurement"]
    fn speeds() {
        for (name, level) in levels() {
            for function in functions() {
                let x: Vec<f32> =
                    (0..1024).map(|i| (i as f32 + 0.5) / 1024.0 * 3.0 + if function.name == "acosh" { 1.0 } else { -1.0 }).collect();
                let mut out = vec![0f32; 1024];
                let mut best = f64::MAX;
                for _ in 0..200 {
                    let start = std::time::Instant::now();
                    (function.map)(level, &x, &x, std::hint::black_box(&mut out));
                    best = best.min(start.elapsed().as_secs_f64() / 1024.0 * 1e9);
                }
                println!("{name:9} {:10} {best:.3} ns", function.name);
            }
        }
    }
}
