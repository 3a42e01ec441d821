//! The table of elementwise ops: one row each. A formula is written once and read as SIMD lanes, f64 and integers, WGSL
//! text, and recorded ops (see `rustnn_kernels::value`). In a gradient `y` is the result and `dy` its gradient.
//!
//! Conditions are masks with `select`, never factors of 0 and 1: `inf * 0` is NaN.

use crate::row::{Operand, Row, Scalar};
use rustnn_tensor::{DType, Error, Kind, Result, bail};

crate::rows! { y dy;
    // ---------------------------------------------------------------------------------------------------- arithmetic

    /// Sum: `input + alpha * other`.
    ADD "add" (input, other; alpha = Some(1.0)) number complex { input + alpha * other }
        grad [(dy) (dy * alpha)];
        range [-2.0..2.0, -2.0..2.0] check alpha_fits;

    /// Difference: `input - alpha * other`.
    SUB "sub" (input, other; alpha = Some(1.0)) number complex { input - alpha * other }
        grad [(dy) (-dy * alpha)];
        range [-2.0..2.0, -2.0..2.0] check no_bool_difference;

    /// Difference with the operands exchanged: `other - alpha * input`.
    RSUB "rsub" (input, other; alpha = Some(1.0)) number complex { other - alpha * input }
        grad [(-dy * alpha) (dy)];
        range [-2.0..2.0, -2.0..2.0] check no_bool_difference;

    /// Product: `input * other`.
    MUL "mul" (input, other;) number complex { input * other }
        grad [(dy * other) (dy * input)];
        range [-2.0..2.0, -2.0..2.0];

    /// Quotient: `input / other`, a float for integers too.
    DIV "_div" (input, other;) float complex { input / other }
        grad [(dy / other) (-dy * (input / other) / other)];
        range [-2.0..2.0, 0.5..2.0];

    /// Quotient rounded toward minus infinity, `floor(input / other)`.
    FLOOR_DIVIDE "floor_divide" (input, other;) number { input.floor_div(other) };
        range [-5.0..5.0, 0.5..2.0] check no_zero_divisor;

    /// Quotient rounded toward zero.
    TRUNC_DIVIDE "_trunc_divide" (input, other;) number { input.trunc_div(other) };
        range [-5.0..5.0, 0.5..2.0] check no_zero_divisor;

    /// Quotient rounded toward minus infinity, with a gradient of zero.
    DIV_FLOOR "_div_floor" (input, other;) number { input.floor_div(other) }
        grad [(dy.lit(0.0)) (dy.lit(0.0))];
        range [-5.0..5.0, 0.5..2.0] as "DivBackward1" check no_zero_divisor;

    /// Quotient rounded toward zero, with a gradient of zero.
    DIV_TRUNC "_div_trunc" (input, other;) number { input.trunc_div(other) }
        grad [(dy.lit(0.0)) (dy.lit(0.0))];
        range [-5.0..5.0, 0.5..2.0] as "DivBackward1" check no_zero_divisor;

    /// Remainder with the sign of the divisor, as Python's `%`.
    REMAINDER "remainder" (input, other;) number { input.remainder(other) }
        grad [(dy) (-dy * input.floor_div(other))];
        range [-5.0..5.0, 0.7..2.0] check no_zero_divisor;

    /// Remainder with the sign of the dividend, as C's `fmod`.
    FMOD "fmod" (input, other;) number { input.fmod(other) }
        grad [(dy) (-dy * input.trunc_div(other))];
        range [-5.0..5.0, 0.7..2.0] check no_zero_divisor;

    /// Negation: `-input`.
    NEG "neg" (input;) number complex { -input }
        grad [(-dy)];
        range [-2.0..2.0] check no_bool_negation;

    /// Absolute value.
    ABS "abs" (input;) number { input.abs() }
        grad [(dy * input.sign())];
        range [-2.0..2.0];

    /// Sign: -1, 0 or 1.
    SIGN "sign" (input;) number { input.sign() }
        grad [(dy.lit(0.0))];
        range [-2.0..2.0];

    /// Square: `input * input`.
    SQUARE "_square" (input;) number complex { input * input }
        grad [(dy * (input.lit(2.0) * input))];
        range [-2.0..2.0] as "PowBackward0";

    /// Cube: `input ** 3`.
    CUBE "_cube" (input;) number complex { input * input * input }
        grad [(dy * (input.lit(3.0) * (input * input)))];
        range [-2.0..2.0] as "PowBackward0";

    /// Reciprocal: `1 / input`.
    RECIPROCAL "reciprocal" (input;) float complex { input.recip() }
        grad [(-dy * (y * y))];
        range [0.5..2.0];

    /// Power: `input ** exponent`.
    POW "_pow" (input, exponent;) float complex { input.pow(exponent) }
        grad [(V::select(exponent.eq(exponent.lit(0.0)), dy.lit(0.0), dy * (exponent * input.pow(exponent - exponent.lit(1.0)))))
             (V::select(input.eq(input.lit(0.0)) & exponent.ge(exponent.lit(0.0)), dy.lit(0.0), dy * (y * input.ln())))];
        range [0.3..2.0, -2.0..2.0] as "PowBackward1";

    /// Power with a number as exponent.
    POW_NUMBER "_pow_number" (input; exponent = None) float complex { input.pow(exponent) }
        grad [(V::select(exponent.eq(exponent.lit(0.0)), dy.lit(0.0), dy * (exponent * input.pow(exponent - exponent.lit(1.0)))))];
        range [0.3..2.0] as "PowBackward0";

    /// The larger one, NaN where either is; equal ones share the gradient.
    MAXIMUM "maximum" (input, other;) number { input.maximum(other) }
        grad [(V::select(input.eq(other), dy * dy.lit(0.5), V::select(input.lt(other), dy.lit(0.0), dy)))
             (V::select(input.eq(other), dy * dy.lit(0.5), V::select(input.gt(other), dy.lit(0.0), dy)))];
        range [-2.0..2.0, -2.0..2.0];

    /// The smaller one, NaN where either is; equal ones share the gradient.
    MINIMUM "minimum" (input, other;) number { input.minimum(other) }
        grad [(V::select(input.eq(other), dy * dy.lit(0.5), V::select(input.gt(other), dy.lit(0.0), dy)))
             (V::select(input.eq(other), dy * dy.lit(0.5), V::select(input.lt(other), dy.lit(0.0), dy)))];
        range [-2.0..2.0, -2.0..2.0];

    /// The larger one, the number where one is NaN.
    FMAX "fmax" (input, other;) number { V::select(other.ne(other), input, V::select(input.ge(other), input, other)) }
        grad [(V::select(input.ge(other) | other.ne(other), dy, dy.lit(0.0))) (V::select(input.ge(other) | other.ne(other), dy.lit(0.0), dy))];
        range [-2.0..2.0, -2.0..2.0];

    /// The smaller one, the number where one is NaN.
    FMIN "fmin" (input, other;) number { V::select(other.ne(other), input, V::select(input.le(other), input, other)) }
        grad [(V::select(input.le(other) | other.ne(other), dy, dy.lit(0.0))) (V::select(input.le(other) | other.ne(other), dy.lit(0.0), dy))];
        range [-2.0..2.0, -2.0..2.0];

    /// At least `min`.
    CLAMP_MIN "_clamp_min" (input; min = None) number { input.maximum(min) }
        grad [(V::select(input.ge(min), dy, dy.lit(0.0)))];
        range [-2.0..2.0];

    /// At most `max`.
    CLAMP_MAX "_clamp_max" (input; max = None) number { input.minimum(max) }
        grad [(V::select(input.le(max), dy, dy.lit(0.0)))];
        range [-2.0..2.0];

    /// Between `min` and `max`; `max` where the bounds cross.
    CLAMP "_clamp" (input; min = None, max = None) number { input.maximum(min).minimum(max) }
        grad [(V::select(input.ge(min) & input.le(max), dy, dy.lit(0.0)))];
        range [-2.0..2.0] as "ClampBackward1";

    /// At least the tensor `min`.
    CLAMP_MIN_TENSOR "_clamp_min_tensor" (input, min;) number { input.maximum(min) }
        grad [(V::select(input.ge(min), dy, dy.lit(0.0))) (V::select(input.lt(min), dy, dy.lit(0.0)))];
        range [-2.0..2.0, -1.0..1.0] as "ClampMinBackward1";

    /// At most the tensor `max`.
    CLAMP_MAX_TENSOR "_clamp_max_tensor" (input, max;) number { input.minimum(max) }
        grad [(V::select(input.le(max), dy, dy.lit(0.0))) (V::select(input.gt(max), dy, dy.lit(0.0)))];
        range [-2.0..2.0, -1.0..1.0] as "ClampMaxBackward1";

    /// `input + value * tensor1 * tensor2`.
    ADDCMUL "addcmul" (input, tensor1, tensor2; value = Some(1.0)) number complex { input + value * tensor1 * tensor2 }
        grad [(dy) (dy * (tensor2 * value)) (dy * (tensor1 * value))];
        range [-2.0..2.0, -2.0..2.0, -2.0..2.0];

    /// `input + value * tensor1 / tensor2`.
    ADDCDIV "addcdiv" (input, tensor1, tensor2; value = Some(1.0)) float complex { input + value * tensor1 / tensor2 }
        grad [(dy) (dy * (value / tensor2)) (-dy * (value * tensor1 / (tensor2 * tensor2)))];
        range [-2.0..2.0, -2.0..2.0, 0.5..2.0] check no_integer_division;

    /// Linear interpolation: `input + weight * (end - input)`.
    LERP "_lerp" (input, end, weight;) float complex {
            V::select(weight.abs().lt(weight.lit(0.5)), input + weight * (end - input), end - (end - input) * (weight.lit(1.0) - weight)) }
        grad [(dy * (weight.lit(1.0) - weight)) (dy * weight) (dy * (end - input))];
        range [-2.0..2.0, -2.0..2.0, 0.0..1.0] as "LerpBackward1";

    /// `input` where the condition holds, else `other`.
    WHERE "where" (condition, input, other;) select complex { V::select(condition.ne(condition.lit(0.0)), input, other) }
        grad [none (V::select(condition.ne(condition.lit(0.0)), dy, dy.lit(0.0))) (V::select(condition.ne(condition.lit(0.0)), dy.lit(0.0), dy))];
        range [0.0..1.0, -2.0..2.0, -2.0..2.0] check condition_is_bool;

    /// `value` where the mask holds, else `input`.
    MASKED_FILL "masked_fill" (mask, input; value = None) select complex { V::select(mask.ne(mask.lit(0.0)), value, input) }
        grad [none (V::select(mask.ne(mask.lit(0.0)), dy.lit(0.0), dy))];
        range [0.0..1.0, -2.0..2.0] as "MaskedFillBackward0" check mask_is_bool;

    /// 0 below zero, 1 above, `values` at zero.
    HEAVISIDE "heaviside" (input, values;) number {
        V::select(input.eq(input.lit(0.0)), values, V::select(input.lt(input.lit(0.0)), input.lit(0.0), input.lit(1.0))) };
        range [-2.0..2.0, 0.0..1.0];

    // ------------------------------------------------------------------------------------------------------ rounding

    /// Largest integer not above.
    FLOOR "_floor" (input;) float { input.floor() } grad [(dy.lit(0.0))]; range [-2.0..2.0];
    /// Smallest integer not below.
    CEIL "_ceil" (input;) float { input.ceil() } grad [(dy.lit(0.0))]; range [-2.0..2.0];
    /// Nearest integer, halves to the even one.
    ROUND "_round" (input;) float { input.round() } grad [(dy.lit(0.0))]; range [-2.0..2.0];
    /// The integer part.
    TRUNC "_trunc" (input;) float { input.trunc() } grad [(dy.lit(0.0))]; range [-2.0..2.0];
    /// The fractional part, with the sign of the input.
    FRAC "frac" (input;) float { input - input.trunc() } grad [(dy)]; range [-2.0..2.0];

    // ------------------------------------------------------------------------------ exponentials, logarithms and roots

    /// Exponential.
    EXP "exp" (input;) float complex { input.exp() } grad [(dy * y)]; range [-2.0..2.0];
    /// `exp(x) - 1`, accurate near 0.
    EXPM1 "expm1" (input;) float complex { input.expm1() } grad [(dy * (y + y.lit(1.0)))]; range [-2.0..2.0];
    /// `2 ** x`.
    EXP2 "exp2" (input;) float complex { input.exp2() } grad [(dy * (y * y.lit(std::f64::consts::LN_2)))]; range [-2.0..2.0];
    /// Natural logarithm.
    LOG "log" (input;) float complex { input.ln() } grad [(dy / input)]; range [0.2..3.0];
    /// `ln(1 + x)`, accurate near 0.
    LOG1P "log1p" (input;) float complex { input.log1p() } grad [(dy / (input + input.lit(1.0)))]; range [-0.5..2.0];
    /// Logarithm to base 2.
    LOG2 "log2" (input;) float complex { input.log2() } grad [(dy / (input * input.lit(std::f64::consts::LN_2)))]; range [0.2..3.0];
    /// Logarithm to base 10.
    LOG10 "log10" (input;) float complex { input.log10() } grad [(dy / (input * input.lit(std::f64::consts::LN_10)))]; range [0.2..3.0];
    /// Square root.
    SQRT "sqrt" (input;) float complex { input.sqrt() } grad [(dy / (y + y))]; range [0.2..3.0];
    /// `1 / sqrt(x)`.
    RSQRT "rsqrt" (input;) float complex { input.rsqrt() } grad [(dy * (y.lit(-0.5) * (y * y * y)))]; range [0.2..3.0];
    /// `ln(exp(a) + exp(b))`, without overflow.
    LOGADDEXP "logaddexp" (input, other;) float {
            V::select(input.eq(other), input + input.lit(std::f64::consts::LN_2),
                input.maximum(other) + (-(input - other).abs()).exp().log1p()) }
        grad [(dy * (input - y).exp()) (dy * (other - y).exp())];
        range [-2.0..2.0, -2.0..2.0];
    /// `x * ln(y)`, 0 where x is 0.
    XLOGY "xlogy" (input, other;) float {
            V::select(other.ne(other), other, V::select(input.eq(input.lit(0.0)), input.lit(0.0), input * other.ln())) }
        grad [(V::select(input.eq(input.lit(0.0)) & other.le(other.lit(0.0)), dy.lit(0.0), dy * other.ln())) (dy * (input / other))];
        range [0.1..2.0, 0.2..2.0];
    /// Length of the hypotenuse, `sqrt(a² + b²)`.
    HYPOT "hypot" (input, other;) float {
            let (large, small) = (input.abs().maximum(other.abs()), input.abs().minimum(other.abs()));
            let ratio = small / large;
            // Scaled by the larger one: squares neither overflow nor vanish.
            V::select(input.is_inf() | other.is_inf(), input.lit(f64::INFINITY), V::select(large.eq(large.lit(0.0)), large, large * (large.lit(1.0) + ratio * ratio).sqrt())) }
        grad [(dy * (input / y)) (dy * (other / y))];
        range [0.2..2.0, 0.2..2.0];

    // -------------------------------------------------------------------------------------- trigonometry and relatives

    /// Sine; radians.
    SIN "sin" (input;) float complex { input.sin() } grad [(dy * input.cos())]; range [-3.0..3.0];
    /// Cosine; radians.
    COS "cos" (input;) float complex { input.cos() } grad [(dy * -input.sin())]; range [-3.0..3.0];
    /// Tangent; radians.
    TAN "tan" (input;) float complex { input.tan() } grad [(dy * (y.lit(1.0) + y * y))]; range [-1.0..1.0];
    /// Inverse sine; radians.
    ASIN "asin" (input;) float complex { input.asin() } grad [(dy * (input.lit(1.0) - input * input).rsqrt())]; range [-0.9..0.9];
    /// Inverse cosine; radians.
    ACOS "acos" (input;) float complex { input.acos() } grad [(dy * -((input.lit(1.0) - input * input).rsqrt()))]; range [-0.9..0.9];
    /// Inverse tangent; radians.
    ATAN "atan" (input;) float complex { input.atan() } grad [(dy / (input * input + input.lit(1.0)))]; range [-2.0..2.0];
    /// Angle of the point (`other`, `input`); radians.
    ATAN2 "atan2" (input, other;) float { input.atan2(other) }
        grad [(dy * (other / (input * input + other * other))) (dy * -(input / (input * input + other * other)))];
        range [-2.0..2.0, 0.3..2.0];
    /// Hyperbolic sine.
    SINH "sinh" (input;) float complex { input.sinh() } grad [(dy * input.cosh())]; range [-2.0..2.0];
    /// Hyperbolic cosine.
    COSH "cosh" (input;) float complex { input.cosh() } grad [(dy * input.sinh())]; range [-2.0..2.0];
    /// Hyperbolic tangent.
    TANH "tanh" (input;) float complex { input.tanh() } grad [(dy * (y.lit(1.0) - y * y))]; range [-2.0..2.0];
    /// Inverse hyperbolic sine.
    ASINH "asinh" (input;) float complex { input.asinh() } grad [(dy * (input * input + input.lit(1.0)).rsqrt())]; range [-2.0..2.0];
    /// Inverse hyperbolic cosine.
    ACOSH "acosh" (input;) float complex { input.acosh() } grad [(dy * ((input - input.lit(1.0)).rsqrt() * (input + input.lit(1.0)).rsqrt()))]; range [1.2..3.0];
    /// Inverse hyperbolic tangent.
    ATANH "atanh" (input;) float complex { input.atanh() } grad [(dy / (input.lit(1.0) - input * input))]; range [-0.9..0.9];
    /// `sin(πx) / (πx)`, 1 at 0.
    SINC "sinc" (input;) float complex {
            V::select(input.eq(input.lit(0.0)), input.lit(1.0),
                (input * input.lit(std::f64::consts::PI)).sin() / (input * input.lit(std::f64::consts::PI))) }
        grad [(V::select(input.eq(input.lit(0.0)), dy.lit(0.0),
                dy * (((input * input.lit(std::f64::consts::PI)).cos() * (input * input.lit(std::f64::consts::PI))
                    - (input * input.lit(std::f64::consts::PI)).sin()) / (input * input * input.lit(std::f64::consts::PI)))))];
        range [0.2..2.0];
    /// Degrees to radians.
    DEG2RAD "deg2rad" (input;) float { input * input.lit(std::f64::consts::PI / 180.0) } grad [(dy * dy.lit(std::f64::consts::PI / 180.0))]; range [-180.0..180.0];
    /// Radians to degrees.
    RAD2DEG "rad2deg" (input;) float { input * input.lit(180.0 / std::f64::consts::PI) } grad [(dy * dy.lit(180.0 / std::f64::consts::PI))]; range [-3.0..3.0];
    /// The magnitude of `input` with the sign of `other`.
    COPYSIGN "copysign" (input, other;) float { input.copysign(other) }
        grad [(V::select(input.eq(input.lit(0.0)), dy.lit(0.0), dy * (y / input))) (dy.lit(0.0))];
        range [-2.0..2.0, -2.0..2.0];

    // ------------------------------------------------------------------------------------------------ special functions

    /// Error function, `2/√π ∫₀ˣ exp(-t²) dt`.
    ERF "erf" (input;) float { input.erf() }
        grad [(dy * ((-(input * input)).exp() * input.lit(std::f64::consts::FRAC_2_SQRT_PI)))];
        range [-2.0..2.0];
    /// `1 - erf(x)`.
    ERFC "erfc" (input;) float { input.erfc() }
        grad [(-dy * ((-(input * input)).exp() * input.lit(std::f64::consts::FRAC_2_SQRT_PI)))];
        range [-2.0..2.0];
    /// Inverse of `erf`.
    ERFINV "erfinv" (input;) float { input.erfinv() }
        grad [(dy * ((y * y).exp() * y.lit(1.0 / std::f64::consts::FRAC_2_SQRT_PI)))];
        range [-0.9..0.9];
    /// `ln |Γ(x)|`.
    LGAMMA "lgamma" (input;) float { input.lgamma() } grad [(dy * input.digamma())]; range [0.5..4.0];
    /// Derivative of `ln Γ`.
    DIGAMMA "digamma" (input;) float { input.digamma() }
        grad [({
            // The trigamma function: reflected below 1/2, moved up by eight steps, then its asymptotic series.
            let low = input.lt(input.lit(0.5));
            let x = V::select(low, input.lit(1.0) - input, input);
            let step = |k: f64| { let z = x + x.lit(k); z.lit(1.0) / (z * z) };
            let sum = step(0.0) + step(1.0) + step(2.0) + step(3.0) + step(4.0) + step(5.0) + step(6.0) + step(7.0);
            let r = x.lit(1.0) / (x + x.lit(8.0));
            let s = r * r;
            let tail = r + s * x.lit(0.5) + r * s * (x.lit(1.0 / 6.0) - s * (x.lit(1.0 / 30.0) - s * (x.lit(1.0 / 42.0)
                - s * (x.lit(1.0 / 30.0) - s * (x.lit(5.0 / 66.0) - s * x.lit(691.0 / 2730.0))))));
            let sine = (input * input.lit(std::f64::consts::PI)).sin() / input.lit(std::f64::consts::PI);
            let value = sum + tail;
            dy * V::select(low, input.lit(1.0) / (sine * sine) - value, value)
        })];
        range [0.5..4.0];
    /// Log-odds, `ln(x / (1 - x))`.
    LOGIT "_logit" (input;) float { (input / (input.lit(1.0) - input)).ln() }
        grad [(V::select(input.lt(input.lit(0.0)) | input.gt(input.lit(1.0)), dy.lit(f64::NAN), dy / (input * (input.lit(1.0) - input))))];
        range [0.1..0.9];

    // ------------------------------------------------------------------------------------------------------ activations

    /// Logistic function, `1 / (1 + exp(-x))`.
    SIGMOID "sigmoid" (input;) float complex { input.sigmoid() } grad [(dy * (y * (y.lit(1.0) - y)))]; range [-6.0..6.0];
    /// What a gate lets through of a tanh: an LSTM's new memory and its output.
    GATED_TANH "_gated_tanh" (gate, input;) float { gate.sigmoid() * input.tanh() }
        grad [({ let open = gate.sigmoid(); dy * input.tanh() * (open * (open.lit(1.0) - open)) })
            ({ let t = input.tanh(); dy * gate.sigmoid() * (t.lit(1.0) - t * t) })];
        range [-3.0..3.0, -2.0..2.0];
    /// What a gate keeps of a memory, beside what comes new to it: an LSTM's cell.
    GATED_SUM "_gated_sum" (gate, memory, new;) float { gate.sigmoid() * memory + new }
        grad [({ let open = gate.sigmoid(); dy * memory * (open * (open.lit(1.0) - open)) }) (dy * gate.sigmoid()) (dy)];
        range [-3.0..3.0, -2.0..2.0, -2.0..2.0];
    /// The candidate of a GRU: `tanh(input + sigmoid(gate) * memory)`.
    GATED_CANDIDATE "_gated_candidate" (input, gate, memory;) float { (input + gate.sigmoid() * memory).tanh() }
        grad [(dy * (y.lit(1.0) - y * y))
            ({ let open = gate.sigmoid(); dy * (y.lit(1.0) - y * y) * memory * (open * (open.lit(1.0) - open)) })
            (dy * (y.lit(1.0) - y * y) * gate.sigmoid())];
        range [-2.0..2.0, -3.0..3.0, -2.0..2.0];
    /// Between `input` (gate closed) and `memory` (open): a GRU's state.
    GATED_MIX "_gated_mix" (input, gate, memory;) float { input + gate.sigmoid() * (memory - input) }
        grad [(dy * (gate.lit(1.0) - gate.sigmoid()))
            ({ let open = gate.sigmoid(); dy * (memory - input) * (open * (open.lit(1.0) - open)) })
            (dy * gate.sigmoid())];
        range [-2.0..2.0, -3.0..3.0, -2.0..2.0];
    /// `ln(sigmoid(x))`, without overflow.
    LOGSIGMOID "logsigmoid" (input;) float { input.minimum(input.lit(0.0)) - (-input.abs()).exp().log1p() }
        grad [(dy * (-input).sigmoid())];
        range [-6.0..6.0] as "LogSigmoidBackward0";
    /// Rectified linear unit, `max(x, 0)`, NaN where x is; the gradient at 0 is 0.
    RELU "_relu" (input;) number { V::select(input.le(input.lit(0.0)), input.lit(0.0), input) }
        grad [(V::select(y.le(y.lit(0.0)), dy.lit(0.0), dy))];
        range [-2.0..2.0] check no_bool_relu;
    /// Rectified linear unit, cut off at 6.
    RELU6 "_relu6" (input;) number { input.maximum(input.lit(0.0)).minimum(input.lit(6.0)) }
        grad [(V::select(input.gt(input.lit(0.0)) & input.lt(input.lit(6.0)), dy, dy.lit(0.0)))];
        range [-2.0..8.0] as "HardtanhBackward0";
    /// Between `min_val` and `max_val`; the gradient at the bounds is 0.
    HARDTANH "_hardtanh" (input; min_val = Some(-1.0), max_val = Some(1.0)) number { input.maximum(min_val).minimum(max_val) }
        grad [(V::select(input.gt(min_val) & input.lt(max_val), dy, dy.lit(0.0)))];
        range [-2.0..2.0];
    /// `x` above 0, `negative_slope * x` below.
    LEAKY_RELU "_leaky_relu" (input; negative_slope = Some(0.01)) float { V::select(input.gt(input.lit(0.0)), input, input * negative_slope) }
        grad [(V::select(input.gt(input.lit(0.0)), dy, dy * negative_slope))];
        range [-2.0..2.0];
    /// `x` above 0, `weight * x` below; the weight is learned.
    PRELU "_prelu_kernel" (input, weight;) float { V::select(input.gt(input.lit(0.0)), input, input * weight) }
        grad [(V::select(input.gt(input.lit(0.0)), dy, dy * weight)) (V::select(input.gt(input.lit(0.0)), dy.lit(0.0), dy * input))];
        range [-2.0..2.0, 0.1..0.5];
    /// Exponential linear unit: `scale * x` above 0, `scale * alpha * (exp(input_scale * x) - 1)` below.
    ELU "_elu" (input; alpha = Some(1.0), scale = Some(1.0), input_scale = Some(1.0)) float {
            V::select(input.gt(input.lit(0.0)), input * scale, (input * input_scale).expm1() * alpha * scale) }
        grad [(V::select(input.gt(input.lit(0.0)), dy * scale, dy * (input_scale * alpha * scale * (input * input_scale).exp())))];
        range [-2.0..2.0];
    /// Continuously differentiable ELU: `max(0, x) + min(0, alpha * (exp(x / alpha) - 1))`.
    CELU "_celu" (input; alpha = Some(1.0)) float { V::select(input.gt(input.lit(0.0)), input, (input / alpha).expm1() * alpha) }
        grad [(V::select(input.gt(input.lit(0.0)), dy, dy * (input / alpha).exp()))];
        range [-2.0..2.0] as "CeluBackward0";
    /// Gaussian error linear unit, `x Φ(x)`. Hendrycks and Gimpel 2016, arXiv:1606.08415.
    GELU "_gelu_none" (input;) float {
            input * input.lit(0.5) * (input.lit(1.0) + (input * input.lit(std::f64::consts::FRAC_1_SQRT_2)).erf()) }
        grad [(dy * (input.lit(0.5) * (input.lit(1.0) + (input * input.lit(std::f64::consts::FRAC_1_SQRT_2)).erf())
                + input * (input * input * input.lit(-0.5)).exp() * input.lit(0.398_942_280_401_432_7)))];
        range [-3.0..3.0] as "GeluBackward0";
    /// GELU by tanh, section 2 of arXiv:1606.08415.
    GELU_TANH "_gelu_tanh" (input;) float {
            input * input.lit(0.5) * (input.lit(1.0)
                + ((input + input * input * input * input.lit(0.044_715)) * input.lit(0.797_884_560_802_865_4)).tanh()) }
        grad [({
            let inner = ((input + input * input * input * input.lit(0.044_715)) * input.lit(0.797_884_560_802_865_4)).tanh();
            let slope = input.lit(0.797_884_560_802_865_4) * (input.lit(1.0) + input * input * input.lit(3.0 * 0.044_715));
            dy * (input.lit(0.5) * (input.lit(1.0) + inner) + input * input.lit(0.5) * (input.lit(1.0) - inner * inner) * slope)
        })];
        range [-3.0..3.0] as "GeluBackward0";
    /// Sigmoid linear unit (swish), `x * sigmoid(x)`. Ramachandran et al. 2017, arXiv:1710.05941.
    SILU "_silu" (input;) float complex { input / (input.lit(1.0) + (-input).exp()) }
        grad [({ let s = input.sigmoid(); dy * (s * (input.lit(1.0) + input * (input.lit(1.0) - s))) })];
        range [-6.0..6.0];
    /// `x * tanh(softplus(x))`. Misra 2019, arXiv:1908.08681.
    MISH "_mish" (input;) float { input * (input.maximum(input.lit(0.0)) + (-input.abs()).exp().log1p()).tanh() }
        grad [({
            let t = (input.maximum(input.lit(0.0)) + (-input.abs()).exp().log1p()).tanh();
            dy * (t + input * (input.lit(1.0) - t * t) * input.sigmoid())
        })];
        range [-6.0..6.0];
    /// `ln(1 + exp(beta * x)) / beta`; x itself where `beta * x` exceeds the threshold.
    SOFTPLUS "softplus" (input; beta = Some(1.0), threshold = Some(20.0)) float {
            V::select((input * beta).gt(threshold), input, (input * beta).exp().log1p() / beta) }
        grad [(V::select((input * beta).gt(threshold), dy, dy * (input * beta).sigmoid()))];
        range [-3.0..3.0];
    /// `x / (1 + |x|)`.
    SOFTSIGN "softsign" (input;) float { input / (input.lit(1.0) + input.abs()) }
        grad [({ let d = input.lit(1.0) + input.abs(); dy / (d * d) })];
        range [-2.0..2.0] as "DivBackward0";
    /// `x - tanh(x)`.
    TANHSHRINK "tanhshrink" (input;) float complex { input - input.tanh() }
        grad [({ let t = input.tanh(); dy * (t * t) })];
        range [-2.0..2.0] as "SubBackward0";
    /// `x` outside of [-lambd, lambd], else 0.
    HARDSHRINK "hardshrink" (input; lambd = Some(0.5)) float {
            V::select(input.ge(-lambd) & input.le(lambd), input.lit(0.0), input) }
        grad [(V::select(input.ge(-lambd) & input.le(lambd), dy.lit(0.0), dy))];
        range [-2.0..2.0];
    /// `x` moved toward 0 by lambd, 0 between.
    SOFTSHRINK "softshrink" (input; lambd = Some(0.5)) float {
            V::select(input.gt(lambd), input - lambd, V::select(input.lt(-lambd), input + lambd, V::select(input.is_nan(), input, input * input.lit(0.0)))) }
        grad [(V::select(input.ge(-lambd) & input.le(lambd), dy.lit(0.0), dy))];
        range [-2.0..2.0];
    /// `max(0, min(1, x / 6 + 1 / 2))`.
    HARDSIGMOID "_hardsigmoid" (input;) float {
            ((input + input.lit(3.0)).maximum(input.lit(0.0)).minimum(input.lit(6.0))) / input.lit(6.0) }
        grad [(V::select(input.gt(input.lit(-3.0)) & input.lt(input.lit(3.0)), dy * dy.lit(1.0 / 6.0), dy.lit(0.0)))];
        range [-4.0..4.0];
    /// `x * hardsigmoid(x)`. Howard et al. 2019, arXiv:1905.02244.
    HARDSWISH "_hardswish" (input;) float {
            input * ((input + input.lit(3.0)).maximum(input.lit(0.0)).minimum(input.lit(6.0))) / input.lit(6.0) }
        grad [(V::select(input.le(input.lit(-3.0)), dy.lit(0.0),
                V::select(input.lt(input.lit(3.0)), dy * (input / input.lit(3.0) + input.lit(0.5)), dy)))];
        range [-4.0..4.0];
    /// `x` above the threshold, else `value`.
    THRESHOLD "_threshold" (input; threshold = None, value = None) number { V::select(input.le(threshold), value, input) }
        grad [(V::select(input.le(threshold), dy.lit(0.0), dy))];
        range [-2.0..2.0];
    /// NaN and infinities replaced.
    NAN_TO_NUM "_nan_to_num" (input; nan = None, posinf = None, neginf = None) float {
            V::select(input.is_nan(), nan, V::select(input.eq(input.lit(f64::INFINITY)), posinf,
                V::select(input.eq(input.lit(f64::NEG_INFINITY)), neginf, input))) }
        grad [(V::select(input.is_nan() | input.is_inf(), dy.lit(0.0), dy))];
        range [-2.0..2.0] as "NanToNumBackward0";

    // --------------------------------------------------------------------------------------------- losses, element by element

    /// `(input - target)²`.
    SQUARED_ERROR "_squared_error" (input, target;) float { let d = input - target; d * d }
        grad [(dy * (input - target) * dy.lit(2.0)) (dy * (target - input) * dy.lit(2.0))];
        range [-2.0..2.0, -2.0..2.0] as "MseLossBackward0";
    /// `|input - target|`.
    ABSOLUTE_ERROR "_absolute_error" (input, target;) float { (input - target).abs() }
        grad [(dy * (input - target).sign()) (dy * (target - input).sign())];
        range [-2.0..2.0, -2.0..2.0] as "AbsBackward0";
    /// Squared error below `beta`, absolute above. Girshick 2015, arXiv:1504.08083.
    SMOOTH_ERROR "_smooth_error" (input, target; beta = Some(1.0)) float {
            let d = (input - target).abs();
            V::select(d.lt(beta), input.lit(0.5) * d * d / beta, d - input.lit(0.5) * beta) }
        grad [(V::select((input - target).abs().lt(beta), dy * ((input - target) / beta), dy * (input - target).sign()))
             (V::select((input - target).abs().lt(beta), dy * ((target - input) / beta), dy * (target - input).sign()))];
        range [-2.0..2.0, -2.0..2.0] as "SmoothL1LossBackward0";
    /// Huber's loss: as the smooth error times `delta`.
    HUBER_ERROR "_huber_error" (input, target; delta = Some(1.0)) float {
            let d = (input - target).abs();
            V::select(d.le(delta), input.lit(0.5) * d * d, delta * (d - input.lit(0.5) * delta)) }
        grad [(V::select((input - target).abs().le(delta), dy * (input - target), dy * (delta * (input - target).sign())))
             (V::select((input - target).abs().le(delta), dy * (target - input), dy * (delta * (target - input).sign())))];
        range [-2.0..2.0, -2.0..2.0] as "HuberLossBackward0";
    /// Cross-entropy of a probability; logarithms are held above -100.
    BINARY_CROSS_ENTROPY "_bce" (input, target;) float {
            (target - target.lit(1.0)) * (-input).log1p().maximum(input.lit(-100.0)) - target * input.ln().maximum(input.lit(-100.0)) }
        grad [(dy * ((input - target) / ((input.lit(1.0) - input) * input).maximum(input.lit(1e-12))))
             (dy * ((-input).log1p() - input.ln()))];
        range [0.1..0.9, 0.0..1.0] as "BinaryCrossEntropyBackward0";
    /// Cross-entropy of a logit.
    BINARY_CROSS_ENTROPY_LOGITS "_bce_with_logits" (input, target;) float {
            (input.lit(1.0) - target) * input + ((-input.abs()).exp().log1p() - input.minimum(input.lit(0.0))) }
        grad [(dy * (input.sigmoid() - target)) (-dy * input)];
        range [-2.0..2.0, 0.0..1.0] as "BinaryCrossEntropyWithLogitsBackward0";
    /// Cross-entropy of a logit, positives weighted.
    BINARY_CROSS_ENTROPY_LOGITS_WEIGHTED "_bce_with_logits_pos_weight" (input, target, pos_weight;) float {
            (input.lit(1.0) - target) * input
                + (input.lit(1.0) + (pos_weight - input.lit(1.0)) * target) * ((-input.abs()).exp().log1p() - input.minimum(input.lit(0.0))) }
        grad [(dy * ((pos_weight * target + input.lit(1.0) - target) * input.sigmoid() - pos_weight * target))
            (dy * ((pos_weight - input.lit(1.0)) * ((-input.abs()).exp().log1p() - input.minimum(input.lit(0.0))) - input))
            (dy * (target * ((-input.abs()).exp().log1p() - input.minimum(input.lit(0.0)))))];
        range [-2.0..2.0, 0.0..1.0, 0.5..2.0] as "BinaryCrossEntropyWithLogitsBackward0";

    // ------------------------------------------------------------------------------------------------------- comparisons

    /// Whether equal.
    EQ "eq" (input, other;) test complex { input.eq(other) }; range [-2.0..2.0, -2.0..2.0];
    /// Whether unequal.
    NE "ne" (input, other;) test complex { input.ne(other) }; range [-2.0..2.0, -2.0..2.0];
    /// Whether less.
    LT "lt" (input, other;) test { input.lt(other) }; range [-2.0..2.0, -2.0..2.0];
    /// Whether less or equal.
    LE "le" (input, other;) test { input.le(other) }; range [-2.0..2.0, -2.0..2.0];
    /// Whether greater.
    GT "gt" (input, other;) test { input.gt(other) }; range [-2.0..2.0, -2.0..2.0];
    /// Whether greater or equal.
    GE "ge" (input, other;) test { input.ge(other) }; range [-2.0..2.0, -2.0..2.0];
    /// Whether both are non-zero.
    LOGICAL_AND "logical_and" (input, other;) test complex { input.ne(input.lit(0.0)) & other.ne(other.lit(0.0)) }; range [-1.0..1.0, -1.0..1.0];
    /// Whether one is non-zero.
    LOGICAL_OR "logical_or" (input, other;) test complex { input.ne(input.lit(0.0)) | other.ne(other.lit(0.0)) }; range [-1.0..1.0, -1.0..1.0];
    /// Whether exactly one is non-zero.
    LOGICAL_XOR "logical_xor" (input, other;) test complex {
        (input.ne(input.lit(0.0)) | other.ne(other.lit(0.0))) & !(input.ne(input.lit(0.0)) & other.ne(other.lit(0.0))) }; range [-1.0..1.0, -1.0..1.0];
    /// Whether zero.
    LOGICAL_NOT "logical_not" (input;) test complex { input.eq(input.lit(0.0)) }; range [-1.0..1.0];
    /// Whether NaN.
    ISNAN "isnan" (input;) test complex { input.ne(input) }; range [-1.0..1.0];
    /// Whether +inf or -inf.
    ISINF "isinf" (input;) float_test complex { input.is_inf() }; range [-1.0..1.0];
    /// Whether neither infinite nor NaN.
    ISFINITE "isfinite" (input;) float_test { input.abs().lt(input.lit(f64::INFINITY)) }; range [-1.0..1.0];
    /// Whether +inf.
    ISPOSINF "isposinf" (input;) float_test { input.eq(input.lit(f64::INFINITY)) }; range [-1.0..1.0];
    /// Whether -inf.
    ISNEGINF "isneginf" (input;) float_test { input.eq(input.lit(f64::NEG_INFINITY)) }; range [-1.0..1.0];
    /// Whether the sign bit is set.
    SIGNBIT "signbit" (input;) float_test { input.lit(1.0).copysign(input).lt(input.lit(0.0)) }; range [-1.0..1.0];

    // -------------------------------------------------------------------------------------------------------------- bits

    /// Bits set in both.
    BITWISE_AND "bitwise_and" (input, other;) bits { input.and(other) }; range [-9.0..9.0, -9.0..9.0];
    /// Bits set in either.
    BITWISE_OR "bitwise_or" (input, other;) bits { input.or(other) }; range [-9.0..9.0, -9.0..9.0];
    /// Bits set in exactly one.
    BITWISE_XOR "bitwise_xor" (input, other;) bits { input.xor(other) }; range [-9.0..9.0, -9.0..9.0];
    /// Bits not set; logical for bool.
    BITWISE_NOT "bitwise_not" (input;) bits { input.not() }; range [-9.0..9.0];
    /// Bits moved up.
    BITWISE_LEFT_SHIFT "bitwise_left_shift" (input, other;) bits { input.shl(other) }; range [-9.0..9.0, 0.0..5.0];
    /// Bits moved down; the sign is kept.
    BITWISE_RIGHT_SHIFT "bitwise_right_shift" (input, other;) bits { input.shr(other) }; range [-9.0..9.0, 0.0..5.0];
}

/// A row by PyTorch's name.
pub fn find(name: &str) -> Option<&'static Row> {
    ALL.iter().find(|row| row.name == name).copied()
}

/// A factor may not lift the result out of the kind of the tensors.
fn alpha_fits(_: &Row, compute: DType, _: &[Operand], scalars: &[Scalar]) -> Result<()> {
    match scalars.first() {
        Some(Scalar::Float(_)) if compute.is_integral() => {
            bail!(Runtime, "For integral input tensors, argument alpha must not be a floating point number.")
        }
        Some(Scalar::Bool(_)) if compute != DType::Bool => bail!(Runtime, "Boolean alpha only supported for Boolean results."),
        _ => Ok(()),
    }
}

/// PyTorch refuses to say whether whole numbers would be divided as such.
fn no_integer_division(_: &Row, _: DType, inputs: &[Operand], _: &[Scalar]) -> Result<()> {
    let whole = |o: &Operand| matches!(o, Operand::Tensor(t) if t.dtype().is_integral());
    if inputs[1..].iter().all(whole) {
        bail!(
            Runtime,
            "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a true division of \
             tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + value * torch.trunc(tensor1 / \
             tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for float inputs. The future addcdiv \
             behavior is just the latter implementation: (input + value * tensor1 / tensor2), for all dtypes."
        );
    }
    Ok(())
}

fn all_bool(inputs: &[Operand]) -> bool {
    inputs.iter().all(|o| match o {
        Operand::Tensor(t) => t.dtype() == DType::Bool,
        Operand::Scalar(s) => matches!(s, Scalar::Bool(_)),
    })
}

fn no_bool_difference(row: &Row, compute: DType, inputs: &[Operand], scalars: &[Scalar]) -> Result<()> {
    alpha_fits(row, compute, inputs, scalars)?;
    if all_bool(inputs) {
        bail!(
            Runtime,
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` operator instead."
        );
    }
    if inputs.iter().any(|o| matches!(o, Operand::Tensor(t) if t.dtype() == DType::Bool) || matches!(o, Operand::Scalar(Scalar::Bool(_)))) {
        bail!(
            Runtime,
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to invert a mask, use the `~` or \
             `logical_not()` operator instead."
        );
    }
    Ok(())
}

fn no_bool_negation(_: &Row, _: DType, inputs: &[Operand], _: &[Scalar]) -> Result<()> {
    if all_bool(inputs) {
        bail!(
            Runtime,
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a mask, use the `~` or \
             `logical_not()` operator instead."
        );
    }
    Ok(())
}

fn no_bool_relu(_: &Row, _: DType, inputs: &[Operand], _: &[Scalar]) -> Result<()> {
    if all_bool(inputs) {
        bail!(Runtime, "Boolean inputs not supported for relu");
    }
    Ok(())
}

/// Integers have no infinity to answer a division by zero with.
fn no_zero_divisor(row: &Row, compute: DType, inputs: &[Operand], _: &[Scalar]) -> Result<()> {
    if compute.kind() > Kind::Integer {
        return Ok(());
    }
    if compute == DType::Bool {
        return Err(Error::not_implemented(row.name, DType::Bool));
    }
    let zero = match inputs[1] {
        Operand::Scalar(s) => s.to_f64() == 0.0,
        Operand::Tensor(t) if t.device().is_gpu() => {
            let zero = crate::row::call(&EQ, &[t.into(), Scalar::Int(0).into()], &[])?;
            return crate::reduce::refuse_where(zero.array(), Error::Runtime, "ZeroDivisionError");
        }
        Operand::Tensor(t) => !t.array().is_meta() && crate::reduce::any_zero(t.array())?,
    };
    if zero {
        bail!(Runtime, "ZeroDivisionError");
    }
    Ok(())
}

fn condition_is_bool(_: &Row, _: DType, inputs: &[Operand], _: &[Scalar]) -> Result<()> {
    match inputs[0] {
        Operand::Tensor(t) if t.dtype() != DType::Bool && t.dtype() != DType::U8 => {
            bail!(Runtime, "where expected condition to be a boolean tensor, but got a tensor with dtype {}", t.dtype().scalar_name())
        }
        _ => Ok(()),
    }
}

fn mask_is_bool(_: &Row, _: DType, inputs: &[Operand], _: &[Scalar]) -> Result<()> {
    match inputs[0] {
        Operand::Tensor(t) if t.dtype() != DType::Bool => {
            bail!(Runtime, "masked_fill_ only supports boolean masks, but got mask with dtype {}", crate::names::type_meta(t.dtype()))
        }
        _ => Ok(()),
    }
}
