//! Formulas read as WGSL: every value is a line of the shader. What WGSL has no operator for (64-bit integers, divisions with
//! their rules) are calls of functions that the GPU crate puts into the shader: their names begin with `f32_`, `i32_`, `i64_`.
//!
//! WGSL has no literals for infinities and NaN, may assume that there are none, and lacks some functions: those are composed
//! here from what it has.

use crate::value::{Bits, Number, Value};
use rustnn_tensor::DType;
use std::cell::RefCell;
use std::ops::{Add, BitAnd, BitOr, Div, Mul, Neg, Not, Sub};

/// What a formula is computed in: f32, i32 that is cut to the width after each operation, pairs of u32 (the low word first)
/// for 64-bit integers, and i32 of 0 and 1 for bool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    F32,
    I8,
    I16,
    I32,
    U8,
    I64,
    Bool,
}

impl Kind {
    /// The kind that a dtype is computed in; None where shaders do not compute.
    pub fn of(dtype: DType) -> Option<Kind> {
        Some(match dtype {
            DType::F32 | DType::F16 | DType::BF16 => Kind::F32,
            DType::I8 => Kind::I8,
            DType::I16 => Kind::I16,
            DType::I32 => Kind::I32,
            DType::U8 => Kind::U8,
            DType::I64 => Kind::I64,
            DType::Bool => Kind::Bool,
            _ => return None,
        })
    }

    /// An i32 expression with its bits beyond the width set by the rules of overflow.
    fn cut(self, expression: String) -> String {
        match self {
            Kind::I8 => format!("((({expression}) << 24u) >> 24u)"),
            Kind::I16 => format!("((({expression}) << 16u) >> 16u)"),
            Kind::U8 => format!("(({expression}) & 255)"),
            _ => expression,
        }
    }

    fn width_bits(self) -> u32 {
        match self {
            Kind::I8 | Kind::U8 => 8,
            Kind::I16 => 16,
            Kind::I64 => 64,
            _ => 32,
        }
    }
}

/// The statements written so far.
#[derive(Debug, Default)]
pub struct Lines(RefCell<Vec<String>>);

impl Lines {
    pub fn new() -> Self {
        Self::default()
    }

    /// A value of the shader's text, such as `x[i]` or a uniform's field.
    pub fn input(&self, kind: Kind, text: &str) -> Text<'_> {
        self.line(kind, text)
    }

    fn line(&self, kind: Kind, expression: &str) -> Text<'_> {
        let mut lines = self.0.borrow_mut();
        let index = lines.len();
        lines.push(format!("let v{index} = {expression};"));
        Text { lines: self, index, kind }
    }

    /// A variable, which unlike a constant may hold any bits.
    fn variable(&self, bits: u32) -> usize {
        let mut lines = self.0.borrow_mut();
        let index = lines.len();
        lines.push(format!("var v{index} = {bits:#010x}u;"));
        index
    }

    pub fn into_statements(self) -> Vec<String> {
        self.0.into_inner()
    }
}

/// A number of the shader: the line that computes it.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    lines: &'a Lines,
    index: usize,
    kind: Kind,
}

/// A bool of the shader.
#[derive(Clone, Copy, Debug)]
pub struct Condition<'a>(Text<'a>);

impl<'a> Text<'a> {
    /// The name of the value in the shader.
    pub fn name(self) -> String {
        format!("v{}", self.index)
    }

    fn unary(self, function: &str) -> Self {
        self.lines.line(self.kind, &format!("{function}(v{})", self.index))
    }

    fn binary(self, function: &str, other: Self) -> Self {
        self.lines.line(self.kind, &format!("{function}(v{}, v{})", self.index, other.index))
    }

    fn infix(self, operator: &str, other: Self) -> Self {
        self.lines.line(self.kind, &self.kind.cut(format!("v{} {operator} v{}", self.index, other.index)))
    }

    /// An operator on the kinds that have one, else the function `i64_NAME`; for bools another operator.
    fn operation(self, operator: &str, name: &str, on_bool: &str, other: Self) -> Self {
        match self.kind {
            Kind::I64 => self.binary(&format!("i64_{name}"), other),
            Kind::Bool => self.infix(on_bool, other),
            _ => self.infix(operator, other),
        }
    }

    /// The function `f32_NAME`, `i32_NAME` or `i64_NAME`.
    fn function(self, name: &str, other: Self) -> Self {
        let of = match self.kind {
            Kind::F32 => "f32",
            Kind::I64 => "i64",
            _ => "i32",
        };
        let call = format!("{of}_{name}(v{}, v{})", self.index, other.index);
        self.lines.line(self.kind, &self.kind.cut(call))
    }

    fn compare(self, operator: &str, name: &str, other: Self) -> Condition<'a> {
        Condition(match (self.kind, operator) {
            (Kind::I64, "==") => self.lines.line(Kind::Bool, &format!("all(v{} == v{})", self.index, other.index)),
            (Kind::I64, "!=") => self.lines.line(Kind::Bool, &format!("any(v{} != v{})", self.index, other.index)),
            // `!=` may be false for NaN.
            (Kind::F32, "!=") => self.lines.line(Kind::Bool, &format!("!(v{} == v{})", self.index, other.index)),
            (Kind::I64, _) => self.lines.line(Kind::Bool, &format!("i64_{name}(v{}, v{})", self.index, other.index)),
            _ => self.lines.line(Kind::Bool, &format!("v{} {operator} v{}", self.index, other.index)),
        })
    }

    fn is_float(self) -> bool {
        self.kind == Kind::F32
    }

    /// A comparison of the bits without the sign.
    fn magnitude(self, comparison: &str) -> Condition<'a> {
        Condition(self.lines.line(Kind::Bool, &format!("(bitcast<u32>(v{}) & 0x7fffffffu) {comparison} 0x7f800000u", self.index)))
    }
}

impl<'a> Condition<'a> {
    pub fn name(self) -> String {
        self.0.name()
    }
}

macro_rules! operators {
    ($($trait:ident $method:ident $operator:literal $name:literal $on_bool:literal),*) => { $(
        impl $trait for Text<'_> {
            type Output = Self;
            fn $method(self, other: Self) -> Self {
                self.operation($operator, $name, $on_bool, other)
            }
        }
    )* };
}
operators!(Add add "+" "add" "|", Sub sub "-" "sub" "^", Mul mul "*" "mul" "&", Div div "/" "div" "&");

impl BitAnd for Condition<'_> {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        self.infix("&", other)
    }
}
impl BitOr for Condition<'_> {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.infix("|", other)
    }
}

impl Condition<'_> {
    fn infix(self, operator: &str, other: Self) -> Self {
        Condition(self.0.infix(operator, other.0))
    }
}

impl Not for Condition<'_> {
    type Output = Self;
    fn not(self) -> Self {
        Condition(self.0.lines.line(Kind::Bool, &format!("!v{}", self.0.index)))
    }
}

impl Neg for Text<'_> {
    type Output = Self;
    fn neg(self) -> Self {
        match self.kind {
            Kind::Bool => self,
            Kind::I64 => self.unary("i64_neg"),
            kind => self.lines.line(kind, &kind.cut(format!("-v{}", self.index))),
        }
    }
}

impl<'a> Number for Text<'a> {
    type Mask = Condition<'a>;

    fn lit(self, c: f64) -> Self {
        let line = |text: String| self.lines.line(self.kind, &text);
        match self.kind {
            Kind::Bool => return line(format!("{}", (c != 0.0) as i32)),
            Kind::I64 => return line(format!("vec2<u32>({}u, {}u)", c as i64 as u32, (c as i64 >> 32) as u32)),
            Kind::F32 => {}
            kind => return line(kind.cut(format!("i32({})", c as i64 as i32))),
        }
        let c = c as f32;
        if c.is_finite() {
            return line(format!("{c:?}f"));
        }
        // A constant expression must not be infinite or NaN, so the bits pass through a variable.
        let bits = self.lines.variable(c.to_bits());
        line(format!("bitcast<f32>(v{bits})"))
    }
    fn lt(self, other: Self) -> Condition<'a> {
        self.compare("<", "lt", other)
    }
    fn le(self, other: Self) -> Condition<'a> {
        self.compare("<=", "le", other)
    }
    fn eq(self, other: Self) -> Condition<'a> {
        self.compare("==", "eq", other)
    }
    fn ne(self, other: Self) -> Condition<'a> {
        if self.is_float() && self.index == other.index {
            return self.magnitude(">");
        }
        self.compare("!=", "ne", other)
    }
    fn select(mask: Condition<'a>, if_true: Self, if_false: Self) -> Self {
        mask.0.lines.line(if_true.kind, &format!("select(v{}, v{}, v{})", if_false.index, if_true.index, mask.0.index))
    }
    fn abs(self) -> Self {
        match self.kind {
            Kind::Bool => self,
            Kind::I64 => self.unary("i64_abs"),
            kind => self.lines.line(kind, &kind.cut(format!("abs(v{})", self.index))),
        }
    }
    fn maximum(self, other: Self) -> Self {
        if self.is_float() {
            return Self::select(self.is_nan() | other.is_nan(), self + other, self.binary("max", other));
        }
        Self::select(self.lt(other), other, self)
    }
    fn minimum(self, other: Self) -> Self {
        if self.is_float() {
            return Self::select(self.is_nan() | other.is_nan(), self + other, self.binary("min", other));
        }
        Self::select(other.lt(self), other, self)
    }
    fn sign(self) -> Self {
        match self.kind {
            Kind::Bool => self,
            Kind::I64 => self.unary("i64_sign"),
            Kind::F32 => Self::select(self.is_nan(), self.lit(0.0), self.unary("sign")),
            _ => self.unary("sign"),
        }
    }
    fn floor_div(self, other: Self) -> Self {
        if self.kind == Kind::Bool { self.infix("&", other) } else { self.function("floor_div", other) }
    }
    fn trunc_div(self, other: Self) -> Self {
        if self.kind == Kind::Bool { self.infix("&", other) } else { self.function("trunc_div", other) }
    }
    fn remainder(self, other: Self) -> Self {
        if self.kind == Kind::Bool { self.lit(0.0) } else { self.function("remainder", other) }
    }
    fn fmod(self, other: Self) -> Self {
        if self.kind == Kind::Bool { self.lit(0.0) } else { self.function("fmod", other) }
    }
}

impl Text<'_> {
    /// A shift by the function `i32_NAME` or `i64_NAME`, which heeds amounts outside of the width.
    fn shift(self, name: &str, other: Self) -> Self {
        match self.kind {
            Kind::Bool => self.infix("&", other.infix("^", other.lit(1.0))),
            Kind::I64 => self.function(name, other),
            kind => {
                let call = format!("i32_{name}(v{}, v{}, {})", self.index, other.index, kind.width_bits());
                self.lines.line(kind, &kind.cut(call))
            }
        }
    }
}

impl Bits for Text<'_> {
    fn and(self, other: Self) -> Self {
        self.infix("&", other)
    }
    fn or(self, other: Self) -> Self {
        self.infix("|", other)
    }
    fn xor(self, other: Self) -> Self {
        self.infix("^", other)
    }
    fn not(self) -> Self {
        match self.kind {
            Kind::Bool => self.infix("^", self.lit(1.0)),
            kind => self.lines.line(kind, &kind.cut(format!("~v{}", self.index))),
        }
    }
    fn shl(self, other: Self) -> Self {
        self.shift("shl", other)
    }
    fn shr(self, other: Self) -> Self {
        self.shift("shr", other)
    }
}

macro_rules! built_in {
    ($($method:ident $function:literal),*) => { $(
        fn $method(self) -> Self {
            self.unary($function)
        }
    )* };
}

macro_rules! composed {
    ($($method:ident),*) => { $(
        fn $method(self) -> Self {
            compose::$method(self)
        }
    )* };
}

impl<'a> Value for Text<'a> {
    built_in!(
        exp "exp", exp2 "exp2", ln "log", log2 "log2", sqrt "sqrt", rsqrt "inverseSqrt", sin "sin", cos "cos", tan "tan", floor "floor",
        ceil "ceil", round "round", trunc "trunc"
    );
    composed!(expm1, log1p, log10, sinh, cosh, tanh, asin, acos, asinh, acosh, atanh, erf, erfc, erfinv, lgamma, digamma);

    fn atan(self) -> Self {
        Self::select(self.is_nan(), self, self.unary("atan"))
    }
    fn atan2(self, other: Self) -> Self {
        compose::atan2(self, other, |y, x| y.binary("atan2", x))
    }
    fn pow(self, other: Self) -> Self {
        compose::pow(self, other)
    }
    fn copysign(self, other: Self) -> Self {
        let (magnitude, sign) = (self.index, other.index);
        self.lines
            .line(self.kind, &format!("bitcast<f32>((bitcast<u32>(v{magnitude}) & 0x7fffffffu) | (bitcast<u32>(v{sign}) & 0x80000000u))"))
    }
    fn is_nan(self) -> Condition<'a> {
        self.magnitude(">")
    }
    fn is_inf(self) -> Condition<'a> {
        self.magnitude("==")
    }
    fn mul_add(self, factor: Self, term: Self) -> Self {
        self.lines.line(self.kind, &format!("fma(v{}, v{}, v{})", self.index, factor.index, term.index))
    }
}

/// Functions that WGSL lacks or leaves undefined in places, of those it has. Errors are of the f32 reading; a shader's own exp
/// and log add theirs.
mod compose {
    use super::Value;
    use crate::lanes::{ERF_CENTRAL, ERF_LOG, ERFC_RATIO};
    use std::f64::consts::{LN_2, PI};

    fn polynomial<V: Value>(x: V, coefficients: &[f64]) -> V {
        coefficients[1..].iter().fold(x.lit(coefficients[0]), |p, &c| p.mul_add(x, x.lit(c)))
    }

    /// Taylor's series near 0, elsewhere Kahan's trick: the errors of exp and ln cancel. (A shader's ln near 1 is right to an absolute
    /// error only.)
    pub fn expm1<V: Value>(x: V) -> V {
        let (one, u) = (x.lit(1.0), x.exp());
        let y = (u - one) * (x / u.ln());
        let y = V::select(x.abs().gt(x.lit(16.0)), u - one, y);
        // 1 / 13!, …, 1 / 1!
        let series: [f64; 13] = std::array::from_fn(|k| 1.0 / (1..=13 - k).map(|n| n as f64).product::<f64>());
        V::select(x.abs().lt(x.lit(0.5)), x * polynomial(x, &series), y)
    }

    /// Near 0 by `2 atanh(x / (x + 2))`, elsewhere as `expm1`.
    pub fn log1p<V: Value>(x: V) -> V {
        let (one, u) = (x.lit(1.0), x + x.lit(1.0));
        let y = V::select(x.abs().gt(x.lit(1e8)), u.ln(), u.ln() * (x / (u - one)));
        let y = V::select(u.eq(x.lit(0.0)), x.lit(f64::NEG_INFINITY), y);
        let s = x / (x + x.lit(2.0));
        let series: [f64; 9] = std::array::from_fn(|k| 2.0 / (17 - 2 * k) as f64);
        V::select(x.abs().lt(x.lit(0.3)), s * polynomial(s * s, &series), y)
    }

    pub fn log10<V: Value>(x: V) -> V {
        x.log2() * x.lit(LN_2 / std::f64::consts::LN_10)
    }

    pub fn tanh<V: Value>(x: V) -> V {
        // Built-in ones overflow on some devices.
        let (one, a) = (x.lit(1.0), x.abs());
        let e = expm1(-(a + a));
        (-e / (e + one + one)).copysign(x)
    }

    /// C's rules at zeros and infinities, where a built-in one promises nothing.
    pub fn atan2<V: Value>(y: V, x: V, built_in: impl Fn(V, V) -> V) -> V {
        let (zero, one) = (x.lit(0.0), x.lit(1.0));
        let behind = one.copysign(x).lt(zero);
        let origin = V::select(behind, x.lit(PI), zero);
        let diagonal = V::select(behind, x.lit(0.75 * PI), x.lit(0.25 * PI));
        let angle = V::select(x.eq(zero) & y.eq(zero), origin, V::select(x.is_inf() & y.is_inf(), diagonal, built_in(y.abs(), x)));
        V::select(x.is_nan() | y.is_nan(), x + y, angle.copysign(y))
    }

    /// Built-in ones have a tenth of the digits on some devices.
    pub fn asin<V: Value>(x: V) -> V {
        let one = x.lit(1.0);
        V::select(x.abs().gt(one), x.lit(f64::NAN), x.atan2(((one - x) * (one + x)).sqrt()))
    }

    pub fn acos<V: Value>(x: V) -> V {
        let one = x.lit(1.0);
        V::select(x.abs().gt(one), x.lit(f64::NAN), ((one - x) * (one + x)).sqrt().atan2(x))
    }

    /// Half of `exp a`, which itself may overflow.
    fn half_exp<V: Value>(a: V) -> V {
        let root = (a * a.lit(0.5)).exp();
        root * a.lit(0.5) * root
    }

    pub fn sinh<V: Value>(x: V) -> V {
        let a = x.abs();
        let e = expm1(a);
        let near = (e + e / (e + x.lit(1.0))) * x.lit(0.5);
        V::select(a.gt(x.lit(16.0)), half_exp(a), near).copysign(x)
    }

    pub fn cosh<V: Value>(x: V) -> V {
        let a = x.abs();
        let u = a.exp();
        V::select(a.gt(x.lit(16.0)), half_exp(a), (u + x.lit(1.0) / u) * x.lit(0.5))
    }

    pub fn atanh<V: Value>(x: V) -> V {
        let (one, a) = (x.lit(1.0), x.abs());
        let inside = (log1p((a + a) / (one - a)) * x.lit(0.5)).copysign(x);
        V::select(a.gt(one), x.lit(f64::NAN), inside)
    }

    /// From 1e8 on `ln 2x`: the square of x may overflow.
    pub fn asinh<V: Value>(x: V) -> V {
        let (one, a) = (x.lit(1.0), x.abs());
        let near = log1p(a + a * a / (one + (a * a + one).sqrt()));
        V::select(a.gt(x.lit(1e8)), a.ln() + x.lit(LN_2), near).copysign(x)
    }

    pub fn acosh<V: Value>(x: V) -> V {
        let (one, t) = (x.lit(1.0), x - x.lit(1.0));
        let near = log1p(t + (t * (x + one)).sqrt());
        let far = V::select(x.gt(x.lit(1e8)), x.ln() + x.lit(LN_2), near);
        V::select(x.lt(one), x.lit(f64::NAN), far)
    }

    /// With C's special cases.
    pub fn pow<V: Value>(x: V, y: V) -> V {
        let (zero, one) = (x.lit(0.0), x.lit(1.0));
        let half = y * x.lit(0.5);
        let odd = y.eq(y.trunc()) & half.ne(half.trunc());
        let magnitude = V::select(x.abs().eq(one), one, (y * x.abs().log2()).exp2());
        let signed = V::select(x.lt(zero) & odd, -magnitude, magnitude);
        let real = V::select(x.lt(zero) & !x.is_inf() & y.ne(y.trunc()), x.lit(f64::NAN), signed);
        let limit = V::select(y.lt(zero), x.lit(f64::INFINITY), zero);
        let limit = V::select(odd, limit.copysign(x), limit);
        let number = V::select(x.is_nan() | y.is_nan(), x + y, V::select(x.eq(zero), limit, real));
        V::select(y.eq(zero) | x.eq(one), one, number)
    }

    pub fn erf<V: Value>(x: V) -> V {
        let t = V::select(x.abs().lt(x.lit(4.0)), x.abs(), x.lit(4.0));
        let far = x.lit(1.0) - (t * polynomial(t, &ERF_LOG) - t).exp();
        V::select(x.abs().ge(x.lit(0.92)), far.copysign(x), x.mul_add(polynomial(x * x, &ERF_CENTRAL), x))
    }

    pub fn erfc<V: Value>(x: V) -> V {
        let (one, two, a) = (x.lit(1.0), x.lit(2.0), x.abs());
        let t = V::select(a.lt(x.lit(10.1)), a, x.lit(10.1));
        let ratio = polynomial((t - two) / (t + two), &ERFC_RATIO) / (t + t + one);
        let tail = (-t * t).exp() * ratio;
        let y = V::select(x.lt(x.lit(0.0)), two - tail, tail);
        V::select(a.ge(x.lit(0.47)), y, one - x.mul_add(polynomial(x * x, &ERF_CENTRAL), x))
    }

    /// Giles, "Approximating the erfinv function" (2012), the single-precision polynomials.
    pub fn erfinv<V: Value>(x: V) -> V {
        let (one, zero) = (x.lit(1.0), x.lit(0.0));
        let w = -((one - x) * (one + x)).ln();
        let central = polynomial(w - x.lit(2.5), &crate::special::ERFINV_CENTRAL);
        let tail = polynomial(w.sqrt() - x.lit(3.0), &crate::special::ERFINV_TAIL);
        let y = x * V::select(w.lt(x.lit(5.0)), central, tail);
        let limit = V::select(x.abs().eq(one), x.lit(f64::INFINITY), x.lit(f64::NAN));
        V::select(x.abs().lt(one), V::select(x.eq(zero), x, y), limit.copysign(x))
    }

    /// Stirling's series from 8 on, the recurrence below, the reflection for negative numbers.
    pub fn lgamma<V: Value>(x: V) -> V {
        let (one, half) = (x.lit(1.0), x.lit(0.5));
        let reflected = x.lt(half);
        let a = V::select(reflected, one - x, x);
        let small = a.lt(x.lit(8.0));
        let mut product = a;
        for i in 1..8 {
            product = product * (a + x.lit(i as f64));
        }
        let z = V::select(small, a + x.lit(8.0), a);
        let r = one / z;
        let series = r * polynomial(r * r, &[1.0 / 1260.0, -1.0 / 360.0, 1.0 / 12.0]);
        let stirling = (z - half) * (z.ln() - one) + x.lit((2.0 * PI).ln() / 2.0 - 0.5) + series;
        let y = V::select(small, stirling - product.ln(), stirling);
        let turned = x.lit(PI.ln()) - (x.lit(PI) * (x - x.round())).sin().abs().ln() - y;
        V::select(x.le(x.lit(0.0)) & x.eq(x.floor()), x.lit(f64::INFINITY), V::select(reflected, turned, y))
    }

    /// The asymptotic series from 6 on, the recurrence below, the reflection for negative numbers.
    pub fn digamma<V: Value>(x: V) -> V {
        let (one, zero) = (x.lit(1.0), x.lit(0.0));
        let reflected = x.lt(x.lit(0.5));
        let a = V::select(reflected, one - x, x);
        let mut sum = one / a;
        for i in 1..6 {
            sum = sum + one / (a + x.lit(i as f64));
        }
        let z = a + x.lit(6.0);
        let r = one / z;
        let r2 = r * r;
        let series = r2 * polynomial(r2, &[1.0 / 252.0, -1.0 / 120.0, 1.0 / 12.0]);
        let y = z.ln() - x.lit(0.5) * r - series - sum;
        let turned = y - x.lit(PI) / (x.lit(PI) * (x - x.round())).tan();
        let pole = V::select(x.eq(zero), x.lit(f64::NEG_INFINITY).copysign(-x), x.lit(f64::NAN));
        V::select(x.le(zero) & x.eq(x.floor()), pole, V::select(reflected, turned, y))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        fn close(name: &str, composed: fn(f64) -> f64, exact: fn(f64) -> f64, range: (f64, f64), tolerance: f64) {
            for i in 0..=4001 {
                let x = range.0 + (range.1 - range.0) * i as f64 / 4001.0;
                let (y, expected) = (composed(x), exact(x));
                assert!((y - expected).abs() <= tolerance * expected.abs().max(1e-2), "{name}({x}) = {y}, exact {expected}");
            }
        }

        #[test]
        fn composed_functions_agree_with_the_exact_ones() {
            close("expm1", expm1, f64::exp_m1, (-20.0, 20.0), 1e-12);
            close("log1p", log1p, f64::ln_1p, (-0.999, 50.0), 1e-12);
            close("log10", log10, f64::log10, (0.01, 50.0), 1e-12);
            close("asin", asin, f64::asin, (-1.0, 1.0), 1e-12);
            close("acos", acos, f64::acos, (-1.0, 1.0), 1e-12);
            close("sinh", sinh, f64::sinh, (-40.0, 40.0), 1e-12);
            close("cosh", cosh, f64::cosh, (-40.0, 40.0), 1e-12);
            close("atanh", atanh, f64::atanh, (-0.999, 0.999), 1e-12);
            close("asinh", asinh, |x| crate::special::asinh(x), (-50.0, 50.0), 1e-12);
            close("acosh", acosh, |x| crate::special::acosh(x), (1.0, 50.0), 1e-10);
            close("tanh", tanh, f64::tanh, (-12.0, 12.0), 1e-12);
            close("erf", erf, |x| crate::special::erf(x), (-6.0, 6.0), 1e-7);
            close("erfc", erfc, |x| crate::special::erfc(x), (-6.0, 9.0), 1e-7);
            close("erfinv", erfinv, crate::special::erfinv, (-0.9999, 0.9999), 1e-6);
            close("lgamma", lgamma, |x| crate::special::lgamma(x), (-5.3, 60.0), 1e-7);
            close("digamma", digamma, crate::special::digamma, (-5.3, 60.0), 1e-6);
            for (x, y) in [(2.0, 10.0), (-2.0, 3.0), (-2.0, 2.0), (0.5, -1.5), (9.0, 0.5)] {
                assert!((pow(x, y) - f64::powf(x, y)).abs() < 1e-12 * f64::powf(x, y).abs());
            }
        }

        #[test]
        fn composed_functions_have_c_s_values_at_special_arguments() {
            let (inf, nan) = (f64::INFINITY, f64::NAN);
            let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan();
            for x in [0.0, -0.0, inf, -inf, nan] {
                assert!(same(expm1(x), x.exp_m1()) && same(tanh(x), x.tanh()), "{x}");
                // To f32: beyond 4 it takes 1 for what f64 tells apart.
                assert!(same(erf(x) as f32 as f64, crate::special::erf(x)) && same(log1p(x), x.ln_1p()), "{x}");
            }
            assert_eq!(log1p(-1.0), -inf);
            assert_eq!((pow(0.0, 2.0), pow(0.0, -1.0), pow(nan, 0.0), pow(1.0, nan)), (0.0, inf, 1.0, 1.0));
            assert!(pow(-8.0, 1.0 / 3.0).is_nan() && erfinv(1.5).is_nan());
            assert_eq!((erfinv(1.0), erfinv(-1.0), lgamma(0.0), lgamma(-2.0)), (inf, -inf, inf, inf));
            assert_eq!((digamma(0.0), digamma(-0.0)), (-inf, inf));
            assert!(digamma(-1.0).is_nan());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_prints_line_by_line() {
        let lines = Lines::new();
        let (x, y) = (lines.input(Kind::F32, "x[i]"), lines.input(Kind::F32, "y[i]"));
        let result = Number::select(x.lt(y), x * y.lit(0.5), -x.exp());
        assert_eq!(result.name(), "v7");
        assert_eq!(
            lines.into_statements(),
            [
                "let v0 = x[i];",
                "let v1 = y[i];",
                "let v2 = v0 < v1;",
                "let v3 = 0.5f;",
                "let v4 = v0 * v3;",
                "let v5 = exp(v0);",
                "let v6 = -v5;",
                "let v7 = select(v6, v4, v2);",
            ]
        );
    }

    #[test]
    fn infinities_and_nan_come_as_bits_through_a_variable() {
        let lines = Lines::new();
        let x = lines.input(Kind::F32, "x");
        x.lit(f64::INFINITY);
        let _ = !x.is_nan() & x.is_inf();
        assert_eq!(
            lines.into_statements(),
            [
                "let v0 = x;",
                "var v1 = 0x7f800000u;",
                "let v2 = bitcast<f32>(v1);",
                "let v3 = (bitcast<u32>(v0) & 0x7fffffffu) > 0x7f800000u;",
                "let v4 = !v3;",
                "let v5 = (bitcast<u32>(v0) & 0x7fffffffu) == 0x7f800000u;",
                "let v6 = v4 & v5;",
            ]
        );
    }

    #[test]
    fn literals_are_decimal_f32() {
        let lines = Lines::new();
        let x = lines.input(Kind::F32, "x");
        for c in [1.0, -0.0, 1e-7, 1e20, 0.1] {
            x.lit(c);
        }
        assert_eq!(lines.into_statements()[1..].join(" "), "let v1 = 1.0f; let v2 = -0.0f; let v3 = 1e-7f; let v4 = 1e20f; let v5 = 0.1f;");
    }
}
