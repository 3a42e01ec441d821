//! Special functions of f64: the reference for the lanes, and what formulas of f64 run on.

mod c {
    // The C library that std already links; no other state than the math error flags (`lgamma` also sets `signgam`, which
    // nobody here reads).
    unsafe extern "C" {
        pub safe fn asinh(x: f64) -> f64;
        pub safe fn acosh(x: f64) -> f64;
        pub safe fn atanh(x: f64) -> f64;
        pub safe fn erf(x: f64) -> f64;
        pub safe fn erfc(x: f64) -> f64;
        pub safe fn lgamma(x: f64) -> f64;
    }
}
pub use c::{acosh, asinh, atanh, erf, erfc, lgamma};

/// The derivative of `ln Γ`: reflection below 0, recurrence up to 10, then the asymptotic series (Abramowitz & Stegun
/// 6.3.5, 6.3.7, 6.3.18). As PyTorch: ∓inf at ±0, NaN at negative integers.
pub fn digamma(x: f64) -> f64 {
    if x == 0.0 {
        return f64::copysign(f64::INFINITY, -x);
    }
    if x < 0.0 {
        if x == x.trunc() {
            return f64::NAN;
        }
        // The fraction is exact, so tan keeps its accuracy for large |x|.
        let fraction = x - x.trunc();
        return digamma(1.0 - x) - std::f64::consts::PI / (std::f64::consts::PI * fraction).tan();
    }
    let (mut x, mut sum) = (x, 0.0);
    while x < 10.0 {
        sum -= 1.0 / x;
        x += 1.0;
    }
    if x == f64::INFINITY {
        return x;
    }
    // B_{2k} / 2k, k = 7 .. 1.
    const SERIES: [f64; 7] = [1.0 / 12.0, -691.0 / 32760.0, 1.0 / 132.0, -1.0 / 240.0, 1.0 / 252.0, -1.0 / 120.0, 1.0 / 12.0];
    let z = 1.0 / (x * x);
    let tail = SERIES.iter().fold(0.0, |p, c| p * z + c) * z;
    sum + (x.ln() - 0.5 / x - tail)
}

/// The inverse of `erf`; ±inf at ±1, NaN outside. Start: Giles, "Approximating the erfinv function" (2012); then Halley steps.
pub fn erfinv(y: f64) -> f64 {
    if !(y.abs() < 1.0) {
        return if y.abs() == 1.0 { f64::copysign(f64::INFINITY, y) } else { f64::NAN };
    }
    if y.abs() < 1e-8 {
        return y * (std::f64::consts::PI.sqrt() / 2.0);
    }
    let w = -((1.0 - y) * (1.0 + y)).ln();
    const CENTRE: [f64; 9] =
        [2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941];
    const TAIL: [f64; 9] =
        [-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682];
    let polynomial = |t: f64, c: &[f64]| c.iter().fold(0.0, |p, c| p * t + c);
    let mut x = y.abs() * if w < 5.0 { polynomial(w - 2.5, &CENTRE) } else { polynomial(w.sqrt() - 3.0, &TAIL) };
    for _ in 0..3 {
        // erfc keeps the digits that erf loses near 1; 1 - |y| is exact there.
        let error = if y.abs() > 0.5 { (1.0 - y.abs()) - erfc(x) } else { erf(x) - y.abs() };
        let step = error / (std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp());
        x -= step / (1.0 + x * step);
    }
    x.copysign(y)
}
