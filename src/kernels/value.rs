//! What an elementwise formula is written in: traits of `Copy` values. One formula is read as SIMD lanes (the CPU kernel),
//! as f64 or an integer (scalar kernels and references), as WGSL text and as recorded tensor ops.
//!
//! Conditions are masks and `select`, never factors of 0 and 1: `inf * 0` is NaN.

use crate::special;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

/// What every numeric dtype has. Integers wrap; bool adds as `or` and multiplies as `and`.
pub trait Number: Copy + Neg<Output = Self> + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> {
    /// The result of a comparison, lane by lane.
    type Mask: Copy + BitAnd<Output = Self::Mask> + BitOr<Output = Self::Mask> + Not<Output = Self::Mask>;

    /// The constant `c`, of the kind of `self`.
    fn lit(self, c: f64) -> Self;
    /// `self < other`; false where either is NaN, as are the next four.
    fn lt(self, other: Self) -> Self::Mask;
    fn le(self, other: Self) -> Self::Mask;
    fn gt(self, other: Self) -> Self::Mask {
        other.lt(self)
    }
    fn ge(self, other: Self) -> Self::Mask {
        other.le(self)
    }
    fn eq(self, other: Self) -> Self::Mask;
    /// `self != other`; true where either is NaN.
    fn ne(self, other: Self) -> Self::Mask {
        !self.eq(other)
    }
    fn select(mask: Self::Mask, if_true: Self, if_false: Self) -> Self;

    /// The absolute value; the smallest signed integer stays itself.
    fn abs(self) -> Self;
    /// The larger one, NaN where either is.
    fn maximum(self, other: Self) -> Self;
    /// The smaller one, NaN where either is.
    fn minimum(self, other: Self) -> Self;
    /// -1, 0 or 1; 0 for NaN, as `torch.sign`.
    fn sign(self) -> Self;
    /// The quotient rounded down, as Python's `//` and `torch.floor_divide`. An integer divided by 0 is 0: the caller
    /// refuses such divisors first.
    fn floor_div(self, other: Self) -> Self;
    /// The quotient rounded toward 0. Integers by 0: as `floor_div`.
    fn trunc_div(self, other: Self) -> Self;
    /// The remainder with the sign of the divisor, as Python's `%`. Integers by 0: as `floor_div`.
    fn remainder(self, other: Self) -> Self;
    /// The remainder with the sign of the dividend, as C's `fmod`. Integers by 0: as `floor_div`.
    fn fmod(self, other: Self) -> Self;
}

/// Floating-point values.
pub trait Value: Number + Div<Output = Self> {
    fn exp(self) -> Self;
    /// `exp(x) - 1`, accurate near 0.
    fn expm1(self) -> Self;
    fn exp2(self) -> Self;
    fn ln(self) -> Self;
    /// `ln(1 + x)`, accurate near 0.
    fn log1p(self) -> Self;
    fn log2(self) -> Self;
    fn log10(self) -> Self;
    fn sqrt(self) -> Self;
    /// `1 / sqrt(x)`.
    fn rsqrt(self) -> Self {
        self.lit(1.0) / self.sqrt()
    }
    /// `1 / x`.
    fn recip(self) -> Self {
        self.lit(1.0) / self
    }
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn tan(self) -> Self;
    fn asin(self) -> Self;
    fn acos(self) -> Self;
    fn atan(self) -> Self;
    /// The angle of the point (`other`, `self`), in radians.
    fn atan2(self, other: Self) -> Self;
    fn sinh(self) -> Self;
    fn cosh(self) -> Self;
    fn tanh(self) -> Self;
    fn asinh(self) -> Self;
    fn acosh(self) -> Self;
    fn atanh(self) -> Self;
    /// The logistic function `1 / (1 + exp(-x))`.
    fn sigmoid(self) -> Self {
        self.lit(1.0) / (self.lit(1.0) + (-self).exp())
    }
    /// The error function, `2/√π ∫₀ˣ exp(-t²) dt`.
    fn erf(self) -> Self;
    /// `1 - erf(x)`, accurate for large x.
    fn erfc(self) -> Self;
    /// The inverse of `erf`.
    fn erfinv(self) -> Self;
    /// `ln |Γ(x)|`.
    fn lgamma(self) -> Self;
    /// The derivative of `ln Γ`.
    fn digamma(self) -> Self;
    /// `self` to the power `other`, with C's special cases.
    fn pow(self, other: Self) -> Self;
    fn floor(self) -> Self;
    fn ceil(self) -> Self;
    /// To the nearest integer, halves to the even one.
    fn round(self) -> Self;
    fn trunc(self) -> Self;
    /// The magnitude of `self` with the sign of `other` (of its bit: -0 and -NaN count).
    fn copysign(self, other: Self) -> Self;
    fn is_nan(self) -> Self::Mask {
        self.ne(self)
    }
    /// Whether it is +inf or -inf.
    fn is_inf(self) -> Self::Mask {
        self.abs().eq(self.lit(f64::INFINITY))
    }
    /// `self * factor + term`, rounded once where the hardware can.
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self * factor + term
    }
}

/// Integers and bool.
pub trait Bits: Number {
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    /// All bits turned; for bool the other one.
    fn not(self) -> Self;
    /// Shifted left; 0 where `other` is negative or not below the width, as in PyTorch.
    fn shl(self, other: Self) -> Self;
    /// Shifted right, keeping the sign; by the whole width where `other` is negative or not below it.
    fn shr(self, other: Self) -> Self;
}

/// A row for all dtypes: `N` inputs, `S` run-time scalars. A zero-sized type.
pub trait NumberFormula<const N: usize, const S: usize>: Copy + 'static {
    fn eval<V: Number>(x: [V; N], s: [V; S]) -> V;
}

/// A row for floating-point dtypes.
pub trait FloatFormula<const N: usize, const S: usize>: Copy + 'static {
    fn eval<V: Value>(x: [V; N], s: [V; S]) -> V;
}

/// A row for integers and bool.
pub trait BitsFormula<const N: usize, const S: usize>: Copy + 'static {
    fn eval<V: Bits>(x: [V; N], s: [V; S]) -> V;
}

/// A row for all dtypes whose result is bool.
pub trait NumberTest<const N: usize, const S: usize>: Copy + 'static {
    fn eval<V: Number>(x: [V; N], s: [V; S]) -> V::Mask;
}

/// A row for floating-point dtypes whose result is bool.
pub trait FloatTest<const N: usize, const S: usize>: Copy + 'static {
    fn eval<V: Value>(x: [V; N], s: [V; S]) -> V::Mask;
}

/// A number given at run time. It enters a kernel exactly: an integer never passes through f64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    Int(i64),
    Float(f64),
    Bool(bool),
}

/// A dtype that formulas are computed in.
pub trait Compute: Number + Send + Sync + std::fmt::Debug + 'static {
    fn from_scalar(scalar: Scalar) -> Self;
}

/// Bool as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Truth(pub u8);

macro_rules! float_compute {
    ($t:ty) => {
        impl Compute for $t {
            #[inline(always)]
            fn from_scalar(scalar: Scalar) -> Self {
                match scalar {
                    Scalar::Int(i) => i as $t,
                    Scalar::Float(f) => f as $t,
                    Scalar::Bool(b) => b as u8 as $t,
                }
            }
        }
    };
}
float_compute!(f32);
float_compute!(f64);

macro_rules! float_number {
    ($t:ty) => {
        impl Number for $t {
            type Mask = bool;
            #[inline(always)]
            fn lit(self, c: f64) -> Self {
                c as $t
            }
            #[inline(always)]
            fn lt(self, other: Self) -> bool {
                self < other
            }
            #[inline(always)]
            fn le(self, other: Self) -> bool {
                self <= other
            }
            #[inline(always)]
            fn eq(self, other: Self) -> bool {
                self == other
            }
            #[inline(always)]
            fn select(mask: bool, if_true: Self, if_false: Self) -> Self {
                if mask { if_true } else { if_false }
            }
            #[inline(always)]
            fn abs(self) -> Self {
                <$t>::abs(self)
            }
            #[inline(always)]
            fn maximum(self, other: Self) -> Self {
                if self != self || self > other { self } else { other }
            }
            #[inline(always)]
            fn minimum(self, other: Self) -> Self {
                if self != self || self < other { self } else { other }
            }
            #[inline(always)]
            fn sign(self) -> Self {
                if self > 0.0 {
                    1.0
                } else if self < 0.0 {
                    -1.0
                } else {
                    0.0
                }
            }
            #[inline(always)]
            fn floor_div(self, other: Self) -> Self {
                // PyTorch's div_floor: CPython's float floor division, but a / 0 is inf or NaN.
                if other == 0.0 {
                    return self / other;
                }
                let rest = self % other;
                let mut quotient = (self - rest) / other;
                if rest != 0.0 && (other < 0.0) != (rest < 0.0) {
                    quotient -= 1.0;
                }
                if quotient == 0.0 {
                    return <$t>::copysign(0.0, self / other);
                }
                let floor = quotient.floor();
                if quotient - floor > 0.5 { floor + 1.0 } else { floor }
            }
            #[inline(always)]
            fn trunc_div(self, other: Self) -> Self {
                <$t>::trunc(self / other)
            }
            #[inline(always)]
            fn remainder(self, other: Self) -> Self {
                let rest = self % other;
                if rest != 0.0 && (other < 0.0) != (rest < 0.0) { rest + other } else { rest }
            }
            #[inline(always)]
            fn fmod(self, other: Self) -> Self {
                self % other
            }
        }
    };
}
float_number!(f64);
float_number!(f32);

impl Value for f64 {
    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }
    #[inline(always)]
    fn expm1(self) -> Self {
        f64::exp_m1(self)
    }
    #[inline(always)]
    fn exp2(self) -> Self {
        f64::exp2(self)
    }
    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }
    #[inline(always)]
    fn log1p(self) -> Self {
        f64::ln_1p(self)
    }
    #[inline(always)]
    fn log2(self) -> Self {
        f64::log2(self)
    }
    #[inline(always)]
    fn log10(self) -> Self {
        f64::log10(self)
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }
    #[inline(always)]
    fn sin(self) -> Self {
        f64::sin(self)
    }
    #[inline(always)]
    fn cos(self) -> Self {
        f64::cos(self)
    }
    #[inline(always)]
    fn tan(self) -> Self {
        f64::tan(self)
    }
    #[inline(always)]
    fn asin(self) -> Self {
        f64::asin(self)
    }
    #[inline(always)]
    fn acos(self) -> Self {
        f64::acos(self)
    }
    #[inline(always)]
    fn atan(self) -> Self {
        f64::atan(self)
    }
    #[inline(always)]
    fn atan2(self, other: Self) -> Self {
        f64::atan2(self, other)
    }
    #[inline(always)]
    fn sinh(self) -> Self {
        f64::sinh(self)
    }
    #[inline(always)]
    fn cosh(self) -> Self {
        f64::cosh(self)
    }
    #[inline(always)]
    fn tanh(self) -> Self {
        f64::tanh(self)
    }
    #[inline(always)]
    fn asinh(self) -> Self {
        special::asinh(self)
    }
    #[inline(always)]
    fn acosh(self) -> Self {
        special::acosh(self)
    }
    #[inline(always)]
    fn atanh(self) -> Self {
        special::atanh(self)
    }
    #[inline(always)]
    fn erf(self) -> Self {
        special::erf(self)
    }
    #[inline(always)]
    fn erfc(self) -> Self {
        special::erfc(self)
    }
    #[inline(always)]
    fn erfinv(self) -> Self {
        special::erfinv(self)
    }
    #[inline(always)]
    fn lgamma(self) -> Self {
        special::lgamma(self)
    }
    #[inline(always)]
    fn digamma(self) -> Self {
        special::digamma(self)
    }
    #[inline(always)]
    fn pow(self, other: Self) -> Self {
        f64::powf(self, other)
    }
    #[inline(always)]
    fn floor(self) -> Self {
        f64::floor(self)
    }
    #[inline(always)]
    fn ceil(self) -> Self {
        f64::ceil(self)
    }
    #[inline(always)]
    fn round(self) -> Self {
        f64::round_ties_even(self)
    }
    #[inline(always)]
    fn trunc(self) -> Self {
        f64::trunc(self)
    }
    #[inline(always)]
    fn copysign(self, other: Self) -> Self {
        f64::copysign(self, other)
    }
}

macro_rules! integer_number {
    ($($t:ty: $abs:expr, $sign:expr, $floor_div:expr, $remainder:expr;)*) => { $(
        impl Compute for Wrapping<$t> {
            #[inline(always)]
            fn from_scalar(scalar: Scalar) -> Self {
                Wrapping(match scalar {
                    Scalar::Int(i) => i as $t,
                    Scalar::Float(f) => f as i64 as $t,
                    Scalar::Bool(b) => b as $t,
                })
            }
        }
        impl Neg for Wrapping<$t> {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self {
                Wrapping(self.0.wrapping_neg())
            }
        }
        integer_operators!($t: Add add wrapping_add, Sub sub wrapping_sub, Mul mul wrapping_mul);
        impl Number for Wrapping<$t> {
            type Mask = bool;
            #[inline(always)]
            fn lit(self, c: f64) -> Self {
                Wrapping(c as i64 as $t)
            }
            #[inline(always)]
            fn lt(self, other: Self) -> bool {
                self.0 < other.0
            }
            #[inline(always)]
            fn le(self, other: Self) -> bool {
                self.0 <= other.0
            }
            #[inline(always)]
            fn eq(self, other: Self) -> bool {
                self.0 == other.0
            }
            #[inline(always)]
            fn select(mask: bool, if_true: Self, if_false: Self) -> Self {
                if mask { if_true } else { if_false }
            }
            #[inline(always)]
            fn abs(self) -> Self {
                let abs: fn($t) -> $t = $abs;
                Wrapping(abs(self.0))
            }
            #[inline(always)]
            fn maximum(self, other: Self) -> Self {
                Wrapping(self.0.max(other.0))
            }
            #[inline(always)]
            fn minimum(self, other: Self) -> Self {
                Wrapping(self.0.min(other.0))
            }
            #[inline(always)]
            fn sign(self) -> Self {
                let sign: fn($t) -> $t = $sign;
                Wrapping(sign(self.0))
            }
            #[inline(always)]
            fn floor_div(self, other: Self) -> Self {
                if other.0 == 0 {
                    return Wrapping(0);
                }
                let floor_div: fn($t, $t) -> $t = $floor_div;
                Wrapping(floor_div(self.0, other.0))
            }
            #[inline(always)]
            fn trunc_div(self, other: Self) -> Self {
                Wrapping(if other.0 == 0 { 0 } else { self.0.wrapping_div(other.0) })
            }
            #[inline(always)]
            fn remainder(self, other: Self) -> Self {
                if other.0 == 0 {
                    return Wrapping(0);
                }
                let remainder: fn($t, $t) -> $t = $remainder;
                Wrapping(remainder(self.0, other.0))
            }
            #[inline(always)]
            fn fmod(self, other: Self) -> Self {
                Wrapping(if other.0 == 0 { 0 } else { self.0.wrapping_rem(other.0) })
            }
        }
        impl Bits for Wrapping<$t> {
            #[inline(always)]
            fn and(self, other: Self) -> Self {
                Wrapping(self.0 & other.0)
            }
            #[inline(always)]
            fn or(self, other: Self) -> Self {
                Wrapping(self.0 | other.0)
            }
            #[inline(always)]
            fn xor(self, other: Self) -> Self {
                Wrapping(self.0 ^ other.0)
            }
            #[inline(always)]
            fn not(self) -> Self {
                Wrapping(!self.0)
            }
            #[inline(always)]
            fn shl(self, other: Self) -> Self {
                Wrapping(if (0..<$t>::BITS as i64).contains(&(other.0 as i64)) { self.0.wrapping_shl(other.0 as u32) } else { 0 })
            }
            #[inline(always)]
            fn shr(self, other: Self) -> Self {
                // One bit at a time twice, so that the whole width (of an unsigned one too) leaves 0 or the sign.
                let within = (0..<$t>::BITS as i64).contains(&(other.0 as i64));
                let last = <$t>::BITS - 1;
                Wrapping(if within { self.0.wrapping_shr(other.0 as u32) } else { (self.0 >> last) >> 1u32.min(last) })
            }
        }
    )* };
}
macro_rules! integer_operators {
    ($t:ty: $($trait:ident $method:ident $wrapping:ident),*) => { $(
        impl $trait for Wrapping<$t> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Wrapping(self.0.$wrapping(other.0))
            }
        }
    )* };
}

/// An integer whose arithmetic wraps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Wrapping<T>(pub T);

integer_number! {
    i8: |x| x.wrapping_abs(), |x| x.signum(), floor_div_signed, remainder_signed;
    i16: |x| x.wrapping_abs(), |x| x.signum(), floor_div_signed, remainder_signed;
    i32: |x| x.wrapping_abs(), |x| x.signum(), floor_div_signed, remainder_signed;
    i64: |x| x.wrapping_abs(), |x| x.signum(), floor_div_signed, remainder_signed;
    u8: |x| x, |x| (x != 0) as u8, |x, y| x / y, |x, y| x % y;
}

/// The parts of a primitive signed integer that the two functions below need.
trait Signed: Copy + PartialOrd + Add<Output = Self> + Sub<Output = Self> + From<i8> {
    fn wrapping_div(self, other: Self) -> Self;
    fn wrapping_rem(self, other: Self) -> Self;
}
macro_rules! signed {
    ($($t:ty),*) => { $(impl Signed for $t {
        #[inline(always)]
        fn wrapping_div(self, other: Self) -> Self {
            <$t>::wrapping_div(self, other)
        }
        #[inline(always)]
        fn wrapping_rem(self, other: Self) -> Self {
            <$t>::wrapping_rem(self, other)
        }
    })* };
}
signed!(i8, i16, i32, i64);

/// `y` is not 0.
#[inline(always)]
fn floor_div_signed<T: Signed>(x: T, y: T) -> T {
    let (zero, rest) = (T::from(0), x.wrapping_rem(y));
    let quotient = x.wrapping_div(y);
    if rest != zero && (rest < zero) != (y < zero) { quotient - T::from(1) } else { quotient }
}

/// `y` is not 0.
#[inline(always)]
fn remainder_signed<T: Signed>(x: T, y: T) -> T {
    let (zero, rest) = (T::from(0), x.wrapping_rem(y));
    if rest != zero && (rest < zero) != (y < zero) { rest + y } else { rest }
}

impl Compute for Truth {
    #[inline(always)]
    fn from_scalar(scalar: Scalar) -> Self {
        Truth(match scalar {
            Scalar::Int(i) => (i != 0) as u8,
            Scalar::Float(f) => (f != 0.0) as u8,
            Scalar::Bool(b) => b as u8,
        })
    }
}

#[allow(clippy::suspicious_arithmetic_impl)]
impl Add for Truth {
    type Output = Self;
    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Truth(self.0 | other.0)
    }
}
#[allow(clippy::suspicious_arithmetic_impl)]
impl Sub for Truth {
    type Output = Self;
    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Truth(self.0 ^ other.0)
    }
}
#[allow(clippy::suspicious_arithmetic_impl)]
impl Mul for Truth {
    type Output = Self;
    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Truth(self.0 & other.0)
    }
}
impl Neg for Truth {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        self
    }
}

impl Number for Truth {
    type Mask = bool;
    #[inline(always)]
    fn lit(self, c: f64) -> Self {
        Truth((c != 0.0) as u8)
    }
    #[inline(always)]
    fn lt(self, other: Self) -> bool {
        self.0 < other.0
    }
    #[inline(always)]
    fn le(self, other: Self) -> bool {
        self.0 <= other.0
    }
    #[inline(always)]
    fn eq(self, other: Self) -> bool {
        self.0 == other.0
    }
    #[inline(always)]
    fn select(mask: bool, if_true: Self, if_false: Self) -> Self {
        if mask { if_true } else { if_false }
    }
    #[inline(always)]
    fn abs(self) -> Self {
        self
    }
    #[inline(always)]
    fn maximum(self, other: Self) -> Self {
        Truth(self.0 | other.0)
    }
    #[inline(always)]
    fn minimum(self, other: Self) -> Self {
        Truth(self.0 & other.0)
    }
    #[inline(always)]
    fn sign(self) -> Self {
        self
    }
    #[inline(always)]
    fn floor_div(self, other: Self) -> Self {
        Truth(self.0 & other.0)
    }
    #[inline(always)]
    fn trunc_div(self, other: Self) -> Self {
        Truth(self.0 & other.0)
    }
    #[inline(always)]
    fn remainder(self, _: Self) -> Self {
        Truth(0)
    }
    #[inline(always)]
    fn fmod(self, _: Self) -> Self {
        Truth(0)
    }
}

impl Bits for Truth {
    #[inline(always)]
    fn and(self, other: Self) -> Self {
        Truth(self.0 & other.0)
    }
    #[inline(always)]
    fn or(self, other: Self) -> Self {
        Truth(self.0 | other.0)
    }
    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        Truth(self.0 ^ other.0)
    }
    #[inline(always)]
    fn not(self) -> Self {
        Truth(self.0 ^ 1)
    }
    #[inline(always)]
    fn shl(self, other: Self) -> Self {
        Truth(self.0 & (other.0 ^ 1))
    }
    #[inline(always)]
    fn shr(self, other: Self) -> Self {
        Truth(self.0 & (other.0 ^ 1))
    }
}

impl Scalar {
    /// The nearest f64.
    #[inline]
    pub fn to_f64(self) -> f64 {
        match self {
            Scalar::Int(i) => i as f64,
            Scalar::Float(f) => f,
            Scalar::Bool(b) => b as u8 as f64,
        }
    }

    /// Truncated toward zero, saturating.
    pub fn to_i64(self) -> i64 {
        match self {
            Scalar::Int(i) => i,
            Scalar::Float(f) => f as i64,
            Scalar::Bool(b) => b as i64,
        }
    }

    /// Whether it is not zero.
    pub fn to_bool(self) -> bool {
        match self {
            Scalar::Int(i) => i != 0,
            Scalar::Float(f) => f != 0.0,
            Scalar::Bool(b) => b,
        }
    }
}

impl From<i64> for Scalar {
    fn from(i: i64) -> Self {
        Scalar::Int(i)
    }
}
impl From<f64> for Scalar {
    fn from(f: f64) -> Self {
        Scalar::Float(f)
    }
}
impl From<bool> for Scalar {
    fn from(b: bool) -> Self {
        Scalar::Bool(b)
    }
}
