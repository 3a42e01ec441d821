//! Complex numbers as values of elementwise formulas, and what is between them and real ones.
//!
//! complex64 has its elementary functions computed in complex128 and rounded once. What has an order (comparisons, rounding) is
//! defined by the real part alone: only rows that say `complex` are compiled for these types, and those do not ask for it.

use crate::copy::Shared;
use crate::parallel::par_chunks;
use crate::value::{Compute, Number, Scalar, Value};
use rustnn_tensor::{Array, DType, Error, Result};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A complex number, laid out as PyTorch, NumPy and C have it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct Complex<T> {
    pub re: T,
    pub im: T,
}

/// The parts of a complex number.
pub trait Real: Number<Mask = bool> + Div<Output = Self> + PartialOrd + Copy + Default + Send + Sync + std::fmt::Debug + 'static {
    fn widened(self) -> f64;
    fn rounded(x: f64) -> Self;
    fn of(scalar: Scalar) -> Self;
    /// `√(x² + y²)`, without overflow on the way.
    fn hypotenuse(x: Self, y: Self) -> Self;
}

macro_rules! real {
    ($($t:ty: $hypotenuse:ident),*) => { $(
        impl Real for $t {
            #[inline(always)]
            fn widened(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn rounded(x: f64) -> Self {
                x as $t
            }
            #[inline(always)]
            fn of(scalar: Scalar) -> Self {
                <$t as Compute>::from_scalar(scalar)
            }
            #[inline(always)]
            fn hypotenuse(x: Self, y: Self) -> Self {
                $hypotenuse(x, y)
            }
        }
    )* };
}
real!(f32: hypotenuse_f32, f64: hypotenuse_f64);

#[inline(always)]
fn hypotenuse_f32(x: f32, y: f32) -> f32 {
    // Squares of float32 neither overflow nor vanish in float64.
    let length = (x as f64 * x as f64 + y as f64 * y as f64).sqrt() as f32;
    if x.is_infinite() || y.is_infinite() { f32::INFINITY } else { length }
}

#[inline(always)]
fn hypotenuse_f64(x: f64, y: f64) -> f64 {
    let square = x * x + y * y;
    if square > 1e-280 && square < 1e280 { square.sqrt() } else { x.hypot(y) }
}

impl<T> Complex<T> {
    #[inline(always)]
    pub const fn new(re: T, im: T) -> Self {
        Complex { re, im }
    }
}

impl<T: Real> Complex<T> {
    #[inline(always)]
    pub fn conj(self) -> Self {
        Complex::new(self.re, -self.im)
    }

    #[inline(always)]
    fn wide(self) -> Complex<f64> {
        Complex::new(self.re.widened(), self.im.widened())
    }

    #[inline(always)]
    fn narrow(z: Complex<f64>) -> Self {
        Complex::new(T::rounded(z.re), T::rounded(z.im))
    }

    /// The distance from 0, without overflow on the way.
    #[inline(always)]
    pub fn magnitude(self) -> T {
        T::hypotenuse(self.re, self.im)
    }

    /// The angle to the positive real axis; radians.
    #[inline(always)]
    pub fn angle(self) -> T {
        T::rounded(self.im.widened().atan2(self.re.widened()))
    }

    /// The number of magnitude 1 in the same direction; 0 for 0.
    #[inline(always)]
    pub fn direction(self) -> Self {
        let z = self.wide();
        let length = magnitude(z);
        if length == 0.0 { Complex::new(T::default(), T::default()) } else { Self::narrow(Complex::new(z.re / length, z.im / length)) }
    }
}

fn magnitude(z: Complex<f64>) -> f64 {
    hypotenuse_f64(z.re, z.im)
}

impl<T: Real> Neg for Complex<T> {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Complex::new(-self.re, -self.im)
    }
}
impl<T: Real> Add for Complex<T> {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Complex::new(self.re + o.re, self.im + o.im)
    }
}
impl<T: Real> Sub for Complex<T> {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Complex::new(self.re - o.re, self.im - o.im)
    }
}
impl<T: Real> Mul for Complex<T> {
    type Output = Self;
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        Complex::new(self.re * o.re - self.im * o.im, self.re * o.im + self.im * o.re)
    }
}
impl<T: Real> Div for Complex<T> {
    type Output = Self;
    /// Smith's algorithm: the divisor's square does not overflow.
    #[inline(always)]
    fn div(self, o: Self) -> Self {
        let (a, b, c, d) = (self.re, self.im, o.re, o.im);
        if c.abs() >= d.abs() {
            if c.eq(T::default()) && d.eq(T::default()) {
                return Complex::new(a / c.abs(), b / d.abs());
            }
            let ratio = d / c;
            let scale = c + d * ratio;
            Complex::new((a + b * ratio) / scale, (b - a * ratio) / scale)
        } else {
            let ratio = c / d;
            let scale = c * ratio + d;
            Complex::new((a * ratio + b) / scale, (b * ratio - a) / scale)
        }
    }
}

impl<T: Real> Compute for Complex<T> {
    #[inline(always)]
    fn from_scalar(scalar: Scalar) -> Self {
        Complex::new(T::of(scalar), T::default())
    }
}

impl<T: Real> Number for Complex<T> {
    type Mask = bool;
    #[inline(always)]
    fn lit(self, c: f64) -> Self {
        Complex::new(T::rounded(c), T::default())
    }
    #[inline(always)]
    fn lt(self, o: Self) -> bool {
        self.re < o.re
    }
    #[inline(always)]
    fn le(self, o: Self) -> bool {
        self.re <= o.re
    }
    #[inline(always)]
    fn eq(self, o: Self) -> bool {
        self.re == o.re && self.im == o.im
    }
    #[inline(always)]
    fn select(mask: bool, if_true: Self, if_false: Self) -> Self {
        if mask { if_true } else { if_false }
    }
    #[inline(always)]
    fn abs(self) -> Self {
        Complex::new(self.magnitude(), T::default())
    }
    fn maximum(self, o: Self) -> Self {
        if o.re > self.re { o } else { self }
    }
    fn minimum(self, o: Self) -> Self {
        if o.re < self.re { o } else { self }
    }
    fn sign(self) -> Self {
        self.direction()
    }
    fn floor_div(self, o: Self) -> Self {
        self / o
    }
    fn trunc_div(self, o: Self) -> Self {
        self / o
    }
    fn remainder(self, _: Self) -> Self {
        self
    }
    fn fmod(self, _: Self) -> Self {
        self
    }
}

/// Methods computed in complex128.
macro_rules! widely {
    ($($f:ident),*) => { $(
        #[inline(always)]
        fn $f(self) -> Self {
            Self::narrow(wide::$f(self.wide()))
        }
    )* };
}
/// Methods that no row asks for.
macro_rules! undefined {
    ($($f:ident $(($o:ident))?),*) => { $(
        fn $f(self $(, $o: Self)?) -> Self {
            $(let _ = $o;)?
            self.lit(f64::NAN)
        }
    )* };
}

impl<T: Real> Value for Complex<T> {
    widely!(
        exp, expm1, exp2, ln, log1p, log2, log10, sqrt, sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, asinh, acosh, atanh, sigmoid
    );
    undefined!(atan2(o), copysign(o), erf, erfc, erfinv, lgamma, digamma, floor, ceil, round, trunc);
    #[inline(always)]
    fn pow(self, o: Self) -> Self {
        Self::narrow(wide::pow(self.wide(), o.wide()))
    }
    #[inline(always)]
    fn is_inf(self) -> bool {
        let infinity = T::rounded(f64::INFINITY);
        self.re.abs() == infinity || self.im.abs() == infinity
    }
}

/// The elementary functions in complex128, none of them inline: rows of both types share them. The inverse ones are W. Kahan's,
/// "Branch cuts for complex elementary functions", 1987: right on both sides of their cuts, and without cancellation.
mod wide {
    use super::Complex;

    type C = Complex<f64>;

    const fn c(re: f64, im: f64) -> C {
        C { re, im }
    }

    fn scaled(z: C, by: f64) -> C {
        c(z.re * by, z.im * by)
    }

    /// i z
    fn turned(z: C) -> C {
        c(-z.im, z.re)
    }

    /// -i z
    fn turned_back(z: C) -> C {
        c(z.im, -z.re)
    }

    #[inline(never)]
    pub fn exp(z: C) -> C {
        if z.im == 0.0 {
            return c(z.re.exp(), z.im);
        }
        if !z.im.is_finite() {
            // Of no direction: 0 where the magnitude is.
            return if z.re == f64::NEG_INFINITY { c(0.0, 0.0) } else { c(if z.re == f64::INFINITY { z.re } else { f64::NAN }, f64::NAN) };
        }
        let (sin, cos) = z.im.sin_cos();
        let length = z.re.exp();
        c(length * cos, length * sin)
    }

    #[inline(never)]
    pub fn expm1(z: C) -> C {
        let half = (z.im * 0.5).sin();
        c(z.re.exp_m1() * z.im.cos() - 2.0 * half * half, z.re.exp() * z.im.sin())
    }

    pub fn exp2(z: C) -> C {
        exp(scaled(z, std::f64::consts::LN_2))
    }

    #[inline(never)]
    pub fn ln(z: C) -> C {
        c(z.re.hypot(z.im).ln(), z.im.atan2(z.re))
    }

    #[inline(never)]
    pub fn log1p(z: C) -> C {
        // |1 + z|² - 1, of which little is lost where z is small.
        let more = z.re * (z.re + 2.0) + z.im * z.im;
        let re = if more.abs() < 0.5 { 0.5 * more.ln_1p() } else { (z.re + 1.0).hypot(z.im).ln() };
        c(re, z.im.atan2(z.re + 1.0))
    }

    pub fn log2(z: C) -> C {
        scaled(ln(z), std::f64::consts::LOG2_E)
    }

    pub fn log10(z: C) -> C {
        scaled(ln(z), std::f64::consts::LOG10_E)
    }

    #[inline(never)]
    pub fn sqrt(z: C) -> C {
        if z.re == 0.0 && z.im == 0.0 {
            return c(0.0, z.im);
        }
        if z.im.is_infinite() {
            return c(f64::INFINITY, z.im);
        }
        if z.re.is_infinite() {
            let other = if z.im.is_nan() { z.im } else { 0.0 };
            return if z.re > 0.0 { c(z.re, other.copysign(z.im)) } else { c(other.abs(), z.re.abs().copysign(z.im)) };
        }
        // Halved, so that neither overflows.
        let (re, im) = (z.re * 0.5, z.im * 0.5);
        let root = (re.abs() + re.hypot(im)).sqrt();
        let other = if root == 0.0 { 0.0 } else { im.abs() / root };
        if z.re >= 0.0 { c(root, other.copysign(z.im)) } else { c(other, root.copysign(z.im)) }
    }

    #[inline(never)]
    pub fn pow(z: C, w: C) -> C {
        if w.re == 0.0 && w.im == 0.0 {
            return c(1.0, 0.0);
        }
        if z.re == 0.0 && z.im == 0.0 {
            return match w.re.partial_cmp(&0.0) {
                Some(std::cmp::Ordering::Greater) => c(0.0, 0.0),
                Some(std::cmp::Ordering::Less) => c(f64::INFINITY, f64::NAN),
                _ => c(f64::NAN, f64::NAN),
            };
        }
        if w.im == 0.0 && w.re.fract() == 0.0 && w.re.abs() <= 64.0 {
            // Whole powers by multiplication, which is exact where the numbers are small.
            let (mut power, mut factor, mut left) = (c(1.0, 0.0), z, w.re.abs() as u32);
            while left > 0 {
                if left & 1 == 1 {
                    power = power * factor;
                }
                factor = factor * factor;
                left >>= 1;
            }
            return if w.re < 0.0 { c(1.0, 0.0) / power } else { power };
        }
        exp(w * ln(z))
    }

    pub fn sigmoid(z: C) -> C {
        c(1.0, 0.0) / (c(1.0, 0.0) + exp(-z))
    }

    #[inline(never)]
    pub fn sinh(z: C) -> C {
        let (sin, cos) = z.im.sin_cos();
        c(z.re.sinh() * cos, if z.im == 0.0 { z.im } else { z.re.cosh() * sin })
    }

    #[inline(never)]
    pub fn cosh(z: C) -> C {
        let (sin, cos) = z.im.sin_cos();
        c(z.re.cosh() * cos, if z.im == 0.0 || z.re == 0.0 { z.re * z.im } else { z.re.sinh() * sin })
    }

    #[inline(never)]
    pub fn tanh(z: C) -> C {
        if z.re.abs() > 20.0 {
            let (sin, cos) = if z.im.is_finite() { z.im.sin_cos() } else { (0.0, 1.0) };
            return c(1f64.copysign(z.re), 4.0 * sin * cos * (-2.0 * z.re.abs()).exp());
        }
        let (t, s) = (z.im.tan(), z.re.sinh());
        let beta = 1.0 + t * t;
        let rho = (1.0 + s * s).sqrt();
        if t.is_infinite() {
            return c(rho / s, 1.0 / t);
        }
        let below = 1.0 + beta * s * s;
        c(beta * rho * s / below, t / below)
    }

    pub fn sin(z: C) -> C {
        turned_back(sinh(turned(z)))
    }

    pub fn cos(z: C) -> C {
        cosh(turned(z))
    }

    pub fn tan(z: C) -> C {
        turned_back(tanh(turned(z)))
    }

    #[inline(never)]
    pub fn asin(z: C) -> C {
        let (low, high) = (sqrt(c(1.0 - z.re, -z.im)), sqrt(c(1.0 + z.re, z.im)));
        let re = z.re.atan2(low.re * high.re - low.im * high.im);
        c(re, super::super::special::asinh(low.re * high.im - low.im * high.re))
    }

    #[inline(never)]
    pub fn acos(z: C) -> C {
        let (low, high) = (sqrt(c(1.0 - z.re, -z.im)), sqrt(c(1.0 + z.re, z.im)));
        c(2.0 * low.re.atan2(high.re), super::super::special::asinh(high.re * low.im - high.im * low.re))
    }

    #[inline(never)]
    pub fn acosh(z: C) -> C {
        let (low, high) = (sqrt(c(z.re - 1.0, z.im)), sqrt(c(z.re + 1.0, z.im)));
        c(super::super::special::asinh(low.re * high.re + low.im * high.im), 2.0 * low.im.atan2(high.re))
    }

    pub fn asinh(z: C) -> C {
        turned_back(asin(turned(z)))
    }

    #[inline(never)]
    pub fn atanh(z: C) -> C {
        let (x, y) = (z.re, z.im);
        if x.abs() > 1e150 || y.abs() > 1e150 {
            // Nothing is left of 1/z but the quarter turn.
            return c(0f64.copysign(x), std::f64::consts::FRAC_PI_2.copysign(y));
        }
        let re = 0.25 * (4.0 * x / ((1.0 - x) * (1.0 - x) + y * y)).ln_1p();
        c(re, 0.5 * (2.0 * y).atan2((1.0 - x) * (1.0 + x) - y * y))
    }

    pub fn atan(z: C) -> C {
        turned_back(atanh(turned(z)))
    }
}

/// What [`map`] makes of each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    Conjugate,
    /// Of length 1, or 0.
    Direction,
    /// The real number |z|.
    Magnitude,
    /// The real number arg z; radians.
    Angle,
}

/// `out[i] = map(x[i])` over the elements of two contiguous arrays, one after the other.
pub fn map(kind: Map, x: &Array, out: &Array) -> Result<()> {
    if x.is_meta() || out.is_meta() {
        return Ok(());
    }
    assert!(x.is_contiguous() && out.is_contiguous() && x.numel() == out.numel());
    match x.dtype() {
        DType::C64 => map_typed::<f32>(kind, x, out),
        DType::C128 => map_typed::<f64>(kind, x, out),
        other => return Err(Error::not_implemented("complex", other)),
    }
    Ok(())
}

fn map_typed<T: Real>(kind: Map, x: &Array, out: &Array) {
    assert!(x.is_host() && out.is_host() && out.storage().is_writable());
    /// Numbers of one parallel task.
    const TASK: usize = 8 << 10;
    fn each<T: Real, R>(x: &Array, out: &Array, f: impl Fn(Complex<T>) -> R + Sync) {
        assert_eq!(size_of::<R>(), out.dtype().size_bytes());
        let (from, to) = (Shared::read_only(x.ptr().cast::<Complex<T>>()), Shared::new(out.ptr().cast::<R>()));
        par_chunks(x.numel(), TASK, &|range| {
            for i in range {
                // SAFETY: element `i` of two contiguous arrays of these types; ranges are disjoint.
                unsafe { to.get().add(i).write(f(from.get().add(i).read())) };
            }
        });
    }
    fn each_bits<B: Copy>(x: &Array, out: &Array, f: impl Fn(B) -> B + Sync) {
        assert_eq!(size_of::<B>(), x.dtype().size_bytes());
        let (from, to) = (Shared::read_only(x.ptr().cast::<B>()), Shared::new(out.ptr().cast::<B>()));
        par_chunks(x.numel(), TASK, &|range| {
            for i in range {
                // SAFETY: element `i` of two contiguous arrays of elements of this width; ranges are disjoint.
                unsafe { to.get().add(i).write_unaligned(f(from.get().add(i).read_unaligned())) };
            }
        });
    }
    match kind {
        // The sign of each second number turned, as bits: whole vectors at a time.
        Map::Conjugate if size_of::<T>() == 4 => {
            let sign = if cfg!(target_endian = "little") { 1 << 63 } else { 1 << 31 };
            each_bits(x, out, move |bits: u64| bits ^ sign)
        }
        Map::Conjugate => each_bits(x, out, |[re, im]: [u64; 2]| [re, im ^ 1 << 63]),
        Map::Direction => each(x, out, Complex::<T>::direction),
        Map::Magnitude => each(x, out, Complex::<T>::magnitude),
        Map::Angle => each(x, out, Complex::<T>::angle),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: Complex<f64>, re: f64, im: f64) {
        let error = magnitude(a - Complex::new(re, im));
        assert!(error <= 4e-16 * magnitude(Complex::new(re, im)).max(1.0), "{a:?}, expected ({re}, {im})");
    }

    #[test]
    fn functions_and_their_inverses_meet() {
        for (re, im) in [(0.3, -0.7), (-1.2, 0.4), (2.5, 1.5), (-0.1, -2.0), (1e-9, 1e-9)] {
            let z = Complex::new(re, im);
            let near = |a: Complex<f64>| {
                let error = magnitude(a - z) / magnitude(z);
                assert!(error < 1e-14, "{a:?}, expected {z:?}");
            };
            near(z.ln().exp());
            near(z.sqrt() * z.sqrt());
            near(z.asin().sin());
            near(z.asinh().sinh());
            near(z.atan().tan());
            near(z.atanh().tanh());
            near(z / Complex::new(3.0, -4.0) * Complex::new(3.0, -4.0));
        }
    }

    #[test]
    fn cuts_take_the_sign_of_zero() {
        near(Complex::new(-4.0, 0.0).sqrt(), 0.0, 2.0);
        near(Complex::new(-4.0, -0.0).sqrt(), 0.0, -2.0);
        near(Complex::new(-1.0, -0.0).ln(), 0.0, -std::f64::consts::PI);
        near(Complex::new(2.0, 0.0).asin(), std::f64::consts::FRAC_PI_2, 1.316_957_896_924_816_6);
        near(Complex::new(2.0, -0.0).asin(), std::f64::consts::FRAC_PI_2, -1.316_957_896_924_816_6);
    }

    #[test]
    fn nothing_overflows_on_the_way() {
        near(Complex::new(1e300, 1e300) / Complex::new(1e300, 1e300), 1.0, 0.0);
        near(Complex::new(800.0, 1.0).tanh(), 1.0, 0.0);
        assert_eq!(Complex::new(3e38f32, 4e37).magnitude(), 3e38f64.hypot(4e37) as f32);
        assert!(Complex::new(1e308f64, 1e308).sqrt().re.is_finite());
    }
}
