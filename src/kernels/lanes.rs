//! Formulas read as SIMD lanes of f32.

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
    pub fn splat(simd: S, c: f32) -> Self {
        Lanes { simd, v: S::f32s::splat(simd, c) }
    }

    #[inline(always)]
    fn with(self, v: S::f32s) -> Self {
        Lanes { simd: self.simd, v }
    }

    /// `f` on every lane in f64, rounded once.
    #[inline(always)]
    fn each(self, f: impl Fn(f64) -> f64) -> Self {
        let mut v = self.v;
        v.as_mut_slice().iter_mut().for_each(|x| *x = f(*x as f64) as f32);
        self.with(v)
    }

    #[inline(always)]
    fn each_pair(self, other: Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let mut v = self.v;
        v.as_mut_slice().iter_mut().zip(other.v.as_slice()).for_each(|(x, y)| *x = f(*x as f64, *y as f64) as f32);
        self.with(v)
    }
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
        let mut v = self.v;
        v.as_mut_slice().iter_mut().zip(other.v.as_slice()).for_each(|(x, y)| *x = Number::floor_div(*x, *y));
        self.with(v)
    }
    #[inline(always)]
    fn trunc_div(self, other: Self) -> Self {
        (self / other).trunc()
    }
    #[inline(always)]
    fn remainder(self, other: Self) -> Self {
        let mut v = self.v;
        v.as_mut_slice().iter_mut().zip(other.v.as_slice()).for_each(|(x, y)| *x = Number::remainder(*x, *y));
        self.with(v)
    }
    #[inline(always)]
    fn fmod(self, other: Self) -> Self {
        let mut v = self.v;
        v.as_mut_slice().iter_mut().zip(other.v.as_slice()).for_each(|(x, y)| *x %= *y);
        self.with(v)
    }
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
    in_f64!(
        exp, expm1, exp2, ln, log1p, log2, log10, sin, cos, tan, asin, acos, atan, sinh, cosh, tanh, asinh, acosh, atanh, erf, erfc, erfinv,
        lgamma, digamma
    );
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.with(self.v.sqrt())
    }
    #[inline(always)]
    fn atan2(self, other: Self) -> Self {
        self.each_pair(other, f64::atan2)
    }
    #[inline(always)]
    fn pow(self, other: Self) -> Self {
        self.each_pair(other, f64::powf)
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
