//! Special functions of f64: the reference for the lanes, and what formulas of f64 run on.

mod c {
    // The C library that std already links; no other state than the math error flags (`lgamma` also sets `signgam`, which
    // nobody here reads).
    // SAFETY: the declarations are those of C's math.h.
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

/// erfinv(x) / x in `w - 5/2` for `w = -ln(1 - x²) < 5`, in `√w - 3` above; highest power first, relative error 4e-7. Giles,
/// "Approximating the erfinv function" (2012), the single-precision polynomials.
pub(crate) const ERFINV_CENTRAL: [f64; 9] =
    [2.81022636e-8, 3.43273939e-7, -3.5233877e-6, -4.39150654e-6, 2.1858087e-4, -1.25372503e-3, -4.17768164e-3, 0.246640727, 1.50140941];
pub(crate) const ERFINV_TAIL: [f64; 9] =
    [-2.00214257e-4, 1.00950558e-4, 1.34934322e-3, -3.67342844e-3, 5.73950773e-3, -7.6224613e-3, 9.43887047e-3, 1.00167406, 2.83297682];

/// The inverse of `erf`; ±inf at ±1, NaN outside. Starts from the polynomials above; then Halley steps.
pub fn erfinv(y: f64) -> f64 {
    if y.abs() >= 1.0 || y.is_nan() {
        return if y.abs() == 1.0 { f64::copysign(f64::INFINITY, y) } else { f64::NAN };
    }
    if y.abs() < 1e-8 {
        return y * (std::f64::consts::PI.sqrt() / 2.0);
    }
    let w = -((1.0 - y) * (1.0 + y)).ln();
    let polynomial = |t: f64, c: &[f64]| c.iter().fold(0.0, |p, c| p * t + c);
    let mut x = y.abs() * if w < 5.0 { polynomial(w - 2.5, &ERFINV_CENTRAL) } else { polynomial(w.sqrt() - 3.0, &ERFINV_TAIL) };
    for _ in 0..3 {
        // erfc keeps the digits that erf loses near 1; 1 - |y| is exact there.
        let error = if y.abs() > 0.5 { (1.0 - y.abs()) - erfc(x) } else { erf(x) - y.abs() };
        let step = error / (std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp());
        x -= step / (1.0 + x * step);
    }
    x.copysign(y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn erfinv_inverts_erf_to_the_last_digits() {
        for i in 1..2000 {
            let x = i as f64 * 0.0028;
            let y = if x < 0.5 { erf(x) } else { 1.0 - erfc(x) };
            // y's own rounding moves x by up to half an ulp of y over the slope.
            let slack = 2.0 * f64::EPSILON * y / (std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp()) + 4.0 * f64::EPSILON * x;
            assert!((erfinv(y) - x).abs() <= slack || y == 1.0, "erfinv({y}) = {}, expected {x}", erfinv(y));
            assert_eq!(erfinv(-y), -erfinv(y));
        }
        assert_eq!((erfinv(1.0), erfinv(-1.0), erfinv(0.0)), (f64::INFINITY, f64::NEG_INFINITY, 0.0));
        assert!(erfinv(1.1).is_nan() && erfinv(f64::NAN).is_nan());
        assert_eq!(erfinv(1e-300), 1e-300 * std::f64::consts::PI.sqrt() / 2.0);
    }

    #[test]
    fn digamma_agrees_with_known_values() {
        // ψ(1) = -γ; the others from the recurrence, the duplication and the reflection formulas.
        let gamma = 0.577_215_664_901_532_9;
        let known = [
            (1.0, -gamma),
            (2.0, 1.0 - gamma),
            (0.5, -gamma - 2.0 * std::f64::consts::LN_2),
            (-0.5, 2.0 - gamma - 2.0 * std::f64::consts::LN_2),
            (10.0, 2.251_752_589_066_721),
            (100.0, 4.600_161_852_738_087),
        ];
        for (x, expected) in known {
            assert!((digamma(x) - expected).abs() < 4e-15 * expected.abs().max(1.0), "digamma({x}) = {}", digamma(x));
        }
        assert_eq!((digamma(0.0), digamma(-0.0), digamma(f64::INFINITY)), (f64::NEG_INFINITY, f64::INFINITY, f64::INFINITY));
        assert!(digamma(-3.0).is_nan() && digamma(f64::NEG_INFINITY).is_nan() && digamma(f64::NAN).is_nan());
    }
}
