//! Elementwise ops whose arguments choose between rows: division with rounding, powers, clamps, conditions.

use crate::names::type_meta;
use crate::registry::{Args, Output, into_out};
use crate::row::{Operand, Row, Scalar, call, call_inplace, call_out};
use crate::rows;
use crate::tensor::Tensor;
use rustnn_tensor::{Array, DType, Device, Error, Result, bail, ensure};
use smallvec::SmallVec;

/// Calls a row into a new tensor or into `out`.
fn into(row: &'static Row, inputs: &[Operand], scalars: &[Scalar], out: Option<&Tensor>) -> Result<Output> {
    match out {
        None => call(row, inputs, scalars).map(Output::Tensor),
        Some(out) => {
            let mut out = out.clone();
            call_out(row, inputs, scalars, &mut out)?;
            Ok(Output::Written(out))
        }
    }
}

fn written(x: &Tensor) -> Output {
    Output::Tensor(x.clone())
}

fn division(mode: Option<&str>) -> Result<&'static Row> {
    match mode {
        None => Ok(&rows::DIV),
        Some("floor") => Ok(&rows::DIV_FLOOR),
        Some("trunc") => Ok(&rows::DIV_TRUNC),
        Some(other) => bail!(Runtime, "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found '{other}'"),
    }
}

/// The row for `x ** exponent` and its scalars; small whole exponents have rows of their own.
fn power(x: Operand, exponent: Operand) -> Result<(&'static Row, Option<Scalar>)> {
    let Operand::Scalar(e) = exponent else { return Ok((&rows::POW, None)) };
    let integral = x.tensor().is_some_and(|t| t.dtype().is_integral());
    Ok(match e.to_f64() {
        2.0 if !(integral && matches!(e, Scalar::Float(_))) => (&rows::SQUARE, None),
        3.0 if !(integral && matches!(e, Scalar::Float(_))) => (&rows::CUBE, None),
        _ => (&rows::POW_NUMBER, Some(e)),
    })
}

/// `x ** exponent` of integers, by repeated squaring; it wraps.
fn integer_power(x: &Tensor, exponent: i64) -> Result<Tensor> {
    ensure!(exponent >= 0, Runtime, "Integers to negative integer powers are not allowed.");
    let mut out = crate::create::full_like(x, Scalar::Int(1), x.dtype())?;
    let (mut base, mut rest) = (x.clone(), exponent as u64);
    while rest > 0 {
        if rest & 1 == 1 {
            out = crate::mul(&out, &base)?;
        }
        rest >>= 1;
        if rest > 0 {
            base = crate::mul(&base, &base)?;
        }
    }
    Ok(out)
}

pub fn pow(x: Operand, exponent: Operand) -> Result<Tensor> {
    let dtype = crate::row::result_type(&[x, exponent])?;
    let on_meta = [x, exponent].iter().any(|o| o.tensor().is_some_and(|t| t.array().is_meta()));
    if dtype.is_integral() && on_meta {
        let shape = |o: Operand| o.tensor().map_or(Default::default(), Tensor::shape_owned);
        let shape = rustnn_tensor::shape::broadcast(&shape(x), &shape(exponent))?;
        return rustnn_tensor::Array::empty(&shape, dtype, rustnn_tensor::Device::Meta).map(Tensor::from_array);
    }
    if dtype.is_integral() {
        if let (Operand::Tensor(t), Operand::Scalar(Scalar::Bool(e))) = (x, exponent) {
            return if e && dtype == DType::Bool { crate::clone(t) } else { crate::create::full_like(t, Scalar::Int(1), dtype) };
        }
        if dtype == DType::Bool && x.tensor().is_some() {
            return Err(rustnn_tensor::Error::not_implemented("pow", DType::Bool));
        }
        if let (Operand::Tensor(x), Operand::Scalar(e)) = (x, exponent) {
            return integer_power(&crate::to_dtype(x, dtype)?, e.to_i64());
        }
        return integer_powers(x, exponent, dtype);
    }
    let (row, scalar) = power(x, exponent)?;
    match scalar {
        Some(e) => call(row, &[x], &[e]),
        None if row.inputs.len() == 1 => call(row, &[x], &[]),
        None => call(row, &[x, exponent], &[]),
    }
}

/// Integer powers with a tensor of exponents, element by element.
fn integer_powers(x: Operand, exponent: Operand, dtype: DType) -> Result<Tensor> {
    let tensor = |o: Operand| match o {
        Operand::Tensor(t) => crate::to_dtype(t, DType::I64),
        Operand::Scalar(s) => crate::create::full(&[], s, DType::I64),
    };
    let (x, exponent) = (tensor(x)?, tensor(exponent)?);
    let device = if x.rank() == 0 { exponent.device() } else { x.device() };
    let shape = rustnn_tensor::shape::broadcast(x.shape(), exponent.shape())?;
    let dense = |t: &Tensor| crate::copy::contiguous_array(crate::views::expand_to(&crate::to_device(t, device)?, &shape)?.array());
    let out = Array::empty(&shape, DType::I64, device)?;
    crate::device::arrays::integer_powers(&dense(&x)?, &dense(&exponent)?, &out)?;
    crate::to_dtype(&Tensor::from_array(out), dtype)
}

/// `x` in the dtype that it has together with the bounds: clamping integers by a float gives floats.
fn with_bounds(x: &Tensor, bounds: &[Option<Scalar>]) -> Result<Tensor> {
    let mut all = vec![Operand::Tensor(x)];
    all.extend(bounds.iter().flatten().map(|b| Operand::Scalar(*b)));
    crate::to_dtype(x, crate::row::result_type(&all)?)
}

/// `clamp` with one bound shows as clamp.
fn as_clamp(out: Output) -> Output {
    as_named(out, "ClampBackward1")
}

fn as_named(out: Output, name: &'static str) -> Output {
    match out {
        Output::Tensor(t) => Output::Tensor(crate::tape::named(t, name)),
        other => other,
    }
}

/// Elements held between two numbers, at least one of which is given.
pub fn clamp(x: &Tensor, min: Option<Scalar>, max: Option<Scalar>, out: Option<&Tensor>) -> Result<Output> {
    let x = &with_bounds(x, &[min, max])?;
    match (min, max) {
        (Some(min), Some(max)) => into(&rows::CLAMP, &[x.into()], &[min, max], out),
        (Some(min), None) => into(&rows::CLAMP_MIN, &[x.into()], &[min], out).map(as_clamp),
        (None, Some(max)) => into(&rows::CLAMP_MAX, &[x.into()], &[max], out).map(as_clamp),
        (None, None) => bail!(Runtime, "torch.clamp: At least one of 'min' or 'max' must not be None"),
    }
}

fn clamp_tensors(a: &Args, out: Option<&Tensor>) -> Result<Output> {
    let x = a.tensor(0)?;
    // All three have a say in the dtype, not one pair after the other.
    let operands: SmallVec<[Operand; 3]> = [Some(x), a.opt_tensor(1)?, a.opt_tensor(2)?].into_iter().flatten().map(Operand::from).collect();
    let x = &crate::to_dtype(x, crate::row::result_type(&operands)?)?;
    let low = match a.opt_tensor(1)? {
        Some(min) => call(&rows::CLAMP_MIN_TENSOR, &[x.into(), min.into()], &[])?,
        None => x.clone(),
    };
    match a.opt_tensor(2)? {
        Some(max) => into(&rows::CLAMP_MAX_TENSOR, &[(&low).into(), max.into()], &[], out).map(as_clamp),
        None if a.is_none(1) => bail!(Runtime, "torch.clamp: At least one of 'min' or 'max' must not be None"),
        None => into_out("clamp", &[x], || Ok(low.clone()), out).map(as_clamp),
    }
}

/// Rounding of floats; integers are whole already.
fn rounding(row: &'static Row, x: &Tensor, out: Option<&Tensor>) -> Result<Output> {
    if x.dtype().is_integral() {
        if x.dtype() == DType::Bool {
            return Err(rustnn_tensor::Error::not_implemented(row.name.trim_start_matches('_'), DType::Bool));
        }
        return into_out(row.name, &[x], || crate::clone(x), out);
    }
    into(row, &[x.into()], &[], out)
}

fn rounding_(row: &'static Row, x: &Tensor) -> Result<Output> {
    if !x.dtype().is_integral() {
        call_inplace(row, x, &[], &[])?;
    }
    Ok(written(x))
}

/// `round` to `decimals` places after the point.
fn round(x: &Tensor, decimals: i64, out: Option<&Tensor>) -> Result<Output> {
    if decimals == 0 {
        return rounding(&rows::ROUND, x, out);
    }
    ensure!(x.dtype().is_float(), Runtime, "round: decimals needs a floating-point tensor, got {}", x.dtype().name());
    if x.dtype().size_bytes() == 2 {
        // Scaled and rounded in float32, then once to 16 bits.
        let wide = match round(&crate::to_dtype(x, DType::F32)?, decimals, None)? {
            Output::Tensor(t) => crate::to_dtype(&t, x.dtype())?,
            _ => bail!(Runtime, "round: no result"),
        };
        return into_out("round", &[x], || Ok(crate::tape::named(wide, "RoundBackward1")), out);
    }
    let factor = 10f64.powi(decimals.unsigned_abs().min(400) as i32);
    let (there, back) = if decimals > 0 { (&rows::MUL, &rows::DIV) } else { (&rows::DIV, &rows::MUL) };
    let scaled = call(there, &[x.into(), factor.into()], &[])?;
    into(back, &[(&call(&rows::ROUND, &[(&scaled).into()], &[])?).into(), factor.into()], &[], out)
        .map(|out| as_named(out, "RoundBackward1"))
}

/// PyTorch promotes nothing here but a weight of no dimensions.
fn check_lerp(a: &Args) -> Result<()> {
    let dtype = a.tensor(0)?.dtype();
    for (place, name) in [(1, "end"), (2, "weight")] {
        if let Operand::Tensor(t) = a.operand(place)?
            && t.dtype() != dtype
            && (place == 1 || t.rank() > 0)
        {
            bail!(Runtime, "expected dtype {} for `{name}` but got dtype {}", type_meta(dtype), type_meta(t.dtype()));
        }
    }
    if dtype.is_integral() {
        let kind = if matches!(a.operand(2)?, Operand::Tensor(_)) { "tensor" } else { "scalar" };
        return Err(Error::not_implemented(&format!("lerp_kernel_{kind}"), dtype));
    }
    Ok(())
}

fn lerp(a: &Args, out: Option<&Tensor>) -> Result<Output> {
    check_lerp(a)?;
    into(&rows::LERP, &[a.operand(0)?, a.operand(1)?, a.operand(2)?], &[], out)
}

/// `x` where `c` holds, else `y`.
pub fn choose(c: &Tensor, x: Operand, y: Operand, out: Option<&Tensor>) -> Result<Output> {
    // Two numbers decide the dtype between themselves.
    if let (Operand::Scalar(x), Operand::Scalar(y)) = (x, y) {
        let dtype = crate::row::result_type(&[Operand::Scalar(x), Operand::Scalar(y)])?;
        let (x, y) = (crate::create::full(&[], x, dtype)?, crate::create::full(&[], y, dtype)?);
        return call(&rows::WHERE, &[c.into(), (&x).into(), (&y).into()], &[]).map(Output::Tensor);
    }
    into(&rows::WHERE, &[c.into(), x, y], &[], out)
}

fn masked_fill_value(value: Operand) -> Result<Scalar> {
    match value {
        Operand::Scalar(s) => Ok(s),
        Operand::Tensor(t) if t.rank() == 0 => crate::read::item(t),
        Operand::Tensor(t) => {
            bail!(Runtime, "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with {} dimension(s).", t.rank())
        }
    }
}

/// In place. An element of an expanded tensor is filled where one of its places is masked.
pub fn masked_fill_(x: &Tensor, mask: &Tensor, value: Scalar) -> Result<()> {
    if !x.array().has_internal_overlap() || mask.dtype() != DType::Bool {
        return call_inplace(&rows::MASKED_FILL, x, &[mask.into()], &[value]);
    }
    let mut once = x.clone();
    let mut any = crate::views::expand(mask, &x.shape().iter().map(|&n| n as i64).collect::<Vec<_>>())?;
    for d in 0..x.rank() {
        if x.array().strides()[d] == 0 && x.shape()[d] > 1 {
            once = crate::views::narrow(&once, d as i64, 0, 1)?;
            any = crate::reduce::any_along(&any, d)?;
        }
    }
    call_inplace(&rows::MASKED_FILL, &once, &[(&any).into()], &[value])
}

pub fn masked_fill(x: &Tensor, mask: &Tensor, value: Operand) -> Result<Tensor> {
    // A value that requires a gradient is chosen, not written.
    if let Operand::Tensor(v) = value
        && v.rank() == 0
        && (v.requires_grad() || v.array().is_meta() || v.dtype().is_complex())
    {
        crate::copy::check_real(v, x.dtype())?;
        let v = crate::to_dtype(v, x.dtype())?;
        return call(&rows::WHERE, &[mask.into(), (&v).into(), x.into()], &[]);
    }
    call(&rows::MASKED_FILL, &[mask.into(), x.into()], &[fits(x.dtype(), masked_fill_value(value)?)?])
}

/// A fill value that the dtype can hold.
fn fits(dtype: DType, value: Scalar) -> Result<Scalar> {
    if let Scalar::Float(f) = value
        && dtype.is_integral()
        && dtype != DType::Bool
        && (!f.is_finite())
    {
        bail!(Runtime, "value cannot be converted to type {} without overflow", crate::names::type_meta(dtype));
    }
    Ok(value)
}

/// The largest finite number of a float dtype.
pub(crate) fn greatest(dtype: DType) -> f64 {
    match dtype {
        DType::F64 => f64::MAX,
        DType::F16 => 65504.0,
        DType::BF16 => 3.389_531_389_251_535_5e38,
        _ => f32::MAX as f64,
    }
}

/// Whether elements are close: `|a - b| <= atol + rtol * |b|`.
pub fn isclose(x: &Tensor, y: &Tensor, rtol: f64, atol: f64, equal_nan: bool) -> Result<Tensor> {
    ensure!(x.dtype() == y.dtype(), Runtime, "{} did not match {}", x.dtype().scalar_name(), y.dtype().scalar_name());
    ensure!(rtol >= 0.0, Runtime, "rtol must be greater than or equal to zero, but got {rtol}");
    ensure!(atol >= 0.0, Runtime, "atol must be greater than or equal to zero, but got {atol}");
    if x.device().is_gpu() && x.dtype().is_integral() && (rtol != 0.0 || atol != 0.0) {
        // In float64, which GPUs lack.
        ensure!(x.device() == y.device(), Runtime, "isclose: the tensors are on {} and {}", x.device(), y.device());
        crate::device::warn_once("isclose in float64", Some(x.dtype()))?;
        let [a, b] = [x, y].map(|t| crate::to_device(t, Device::Cpu));
        return crate::to_device(&isclose(&a?, &b?, rtol, atol, equal_nan)?, x.device());
    }
    crate::mode::no_grad(|| {
        let or = |a: &Tensor, b: &Tensor| call(&rows::LOGICAL_OR, &[a.into(), b.into()], &[]);
        let and = |a: &Tensor, b: &Tensor| call(&rows::LOGICAL_AND, &[a.into(), b.into()], &[]);
        let mut close = call(&rows::EQ, &[x.into(), y.into()], &[])?;
        if equal_nan && (x.dtype().is_float() || x.dtype().is_complex()) {
            let nan = |t: &Tensor| call(&rows::ISNAN, &[t.into()], &[]);
            close = or(&close, &and(&nan(x)?, &nan(y)?)?)?;
        }
        if rtol == 0.0 && atol == 0.0 {
            return Ok(close);
        }
        let wide = |t: &Tensor| if !t.dtype().is_integral() { Ok(t.clone()) } else { crate::to_dtype(t, DType::F64) };
        let (x, y) = (wide(x)?, wide(y)?);
        let allowed = call(&rows::ABS, &[(&call(&rows::MUL, &[(&y).into(), rtol.into()], &[])?).into()], &[])?;
        let allowed = call(&rows::ADD, &[(&allowed).into(), atol.into()], &[Scalar::Int(1)])?;
        let apart = call(&rows::ABS, &[(&call(&rows::SUB, &[(&x).into(), (&y).into()], &[Scalar::Int(1)])?).into()], &[])?;
        let near = and(&call(&rows::ISFINITE, &[(&apart).into()], &[])?, &call(&rows::LE, &[(&apart).into(), (&allowed).into()], &[])?)?;
        or(&close, &near)
    })
}

/// Whether two tensors have one shape and equal elements.
pub fn equal(x: &Tensor, y: &Tensor) -> Result<bool> {
    if x.shape() != y.shape() {
        return Ok(false);
    }
    let same = call(&rows::EQ, &[x.into(), y.into()], &[])?;
    all_true(&same)
}

fn all_true(x: &Tensor) -> Result<bool> {
    let all: Vec<usize> = (0..x.rank()).collect();
    let out =
        crate::reduce::fold(crate::device::arrays::Fold::All, x.array(), &all, false, crate::device::arrays::Finish::Plain, x.dtype())?;
    Ok(crate::read::scalar(&out)?.to_bool())
}

crate::ops! {
    "div(Operand self, Operand other, *, str? rounding_mode=None, Tensor? out=None)" Both "Quotient, a float for integers too; rounded by `floor` or `trunc` if asked." =>
        |a| into(division(a.opt_str(2)?)?, &[a.operand(0)?, a.operand(1)?], &[], a.opt_tensor(3)?)?;
    "div_(Tensor self, Operand other, *, str? rounding_mode=None)" Method "Divides in place." => |a| {
        call_inplace(division(a.opt_str(2)?)?, a.tensor(0)?, &[a.operand(1)?], &[])?;
        written(a.tensor(0)?)
    };
    "pow(Operand self, Operand exponent, *, Tensor? out=None)" Both "Power, `self ** exponent`." => |a| {
        let (x, e) = (a.operand(0)?, a.operand(1)?);
        let inputs: Vec<&Tensor> = [x, e].iter().filter_map(|o| o.tensor()).collect();
        into_out("pow", &inputs, || pow(x, e), a.opt_tensor(2)?)?
    };
    "sgn(Tensor self, *, Tensor? out=None)" Both "Sign: -1, 0 or 1; of a complex number the one of magnitude 1 in its direction." => |a| if a.tensor(0)?.dtype().is_complex() {
        into_out("sgn", &[a.tensor(0)?], || crate::complex::sgn(a.tensor(0)?), a.opt_tensor(1)?)?
    } else { as_named(into(&rows::SIGN, &[a.operand(0)?], &[], a.opt_tensor(1)?)?, "SgnBackward0")
    };
    "sgn_(Tensor self)" Both "Sign, in place." => |a| {
        if a.tensor(0)?.dtype().is_complex() {
            crate::copy::copy_(a.tensor(0)?, &crate::complex::sgn(a.tensor(0)?)?)?;
            return Ok(written(a.tensor(0)?));
        }
        call_inplace(&rows::SIGN, a.tensor(0)?, &[], &[])?; written(a.tensor(0)?) };
    "square(Tensor self, *, Tensor? out=None)" Both "Square, `self ** 2`." =>
        |a| into_out("square", &[a.tensor(0)?], || pow(a.operand(0)?, Operand::Scalar(Scalar::Int(2))), a.opt_tensor(1)?)?;
    "square_(Tensor self)" Both "Squares in place." => |a| { call_inplace(&rows::SQUARE, a.tensor(0)?, &[], &[])?; written(a.tensor(0)?) };
    "pow_(Tensor self, Operand exponent)" Method "Raises to a power in place." => |a| {
        let (x, e) = (a.tensor(0)?, a.operand(1)?);
        if x.dtype().is_integral() {
            ensure!(crate::row::result_type(&[x.into(), e])? == x.dtype(), Runtime, "result type {} can't be cast to the desired output type {}", crate::row::result_type(&[x.into(), e])?.scalar_name(), x.dtype().scalar_name());
            crate::copy::copy_(x, &pow(x.into(), e)?)?;
        } else {
            let (row, scalar) = power(x.into(), e)?;
            match scalar {
                Some(e) => call_inplace(row, x, &[], &[e])?,
                None if row.inputs.len() == 1 => call_inplace(row, x, &[], &[])?,
                None => call_inplace(row, x, &[e], &[])?,
            }
        }
        written(x)
    };
    "clamp(Tensor self, Scalar? min=None, Scalar? max=None, *, Tensor? out=None)" Both "Held between `min` and `max`." => |a| clamp(a.tensor(0)?, a.opt_scalar(1)?, a.opt_scalar(2)?, a.opt_tensor(3)?)?;
    "clamp(Tensor self, Tensor? min=None, Tensor? max=None, *, Tensor? out=None)" Both "Held between the tensors `min` and `max`." => |a| clamp_tensors(a, a.opt_tensor(3)?)?;
    "clamp_(Tensor self, Scalar? min=None, Scalar? max=None)" Both "Held between `min` and `max`, in place." => |a| {
        let x = a.tensor(0)?;
        match (a.opt_scalar(1)?, a.opt_scalar(2)?) {
            (Some(min), Some(max)) => call_inplace(&rows::CLAMP, x, &[], &[min, max])?,
            (Some(min), None) => call_inplace(&rows::CLAMP_MIN, x, &[], &[min])?,
            (None, Some(max)) => call_inplace(&rows::CLAMP_MAX, x, &[], &[max])?,
            (None, None) => bail!(Runtime, "torch.clamp: At least one of 'min' or 'max' must not be None"),
        }
        written(x)
    };
    "clamp_(Tensor self, Tensor? min=None, Tensor? max=None)" Both "Held between tensors, in place." => |a| {
        let x = a.tensor(0)?;
        if let Some(min) = a.opt_tensor(1)? { call_inplace(&rows::CLAMP_MIN_TENSOR, x, &[min.into()], &[])?; }
        if let Some(max) = a.opt_tensor(2)? { call_inplace(&rows::CLAMP_MAX_TENSOR, x, &[max.into()], &[])?; }
        written(x)
    };
    "clamp_min(Tensor self, Operand min, *, Tensor? out=None)" Both "At least `min`." => |a| match a.operand(1)? {
        Operand::Scalar(s) => into(&rows::CLAMP_MIN, &[(&with_bounds(a.tensor(0)?, &[Some(s)])?).into()], &[s], a.opt_tensor(2)?)?,
        min => into(&rows::CLAMP_MIN_TENSOR, &[a.operand(0)?, min], &[], a.opt_tensor(2)?)?,
    };
    "clamp_max(Tensor self, Operand max, *, Tensor? out=None)" Both "At most `max`." => |a| match a.operand(1)? {
        Operand::Scalar(s) => into(&rows::CLAMP_MAX, &[(&with_bounds(a.tensor(0)?, &[Some(s)])?).into()], &[s], a.opt_tensor(2)?)?,
        max => into(&rows::CLAMP_MAX_TENSOR, &[a.operand(0)?, max], &[], a.opt_tensor(2)?)?,
    };
    "clamp_min_(Tensor self, Tensor min)" Both "At least the tensor `min`, in place." => |a| { call_inplace(&rows::CLAMP_MIN_TENSOR, a.tensor(0)?, &[a.operand(1)?], &[])?; written(a.tensor(0)?) };
    "clamp_max_(Tensor self, Tensor max)" Both "At most the tensor `max`, in place." => |a| { call_inplace(&rows::CLAMP_MAX_TENSOR, a.tensor(0)?, &[a.operand(1)?], &[])?; written(a.tensor(0)?) };
    "clamp_min_(Tensor self, Scalar min)" Both "At least `min`, in place." => |a| { call_inplace(&rows::CLAMP_MIN, a.tensor(0)?, &[], &[a.scalar(1)?])?; written(a.tensor(0)?) };
    "clamp_max_(Tensor self, Scalar max)" Both "At most `max`, in place." => |a| { call_inplace(&rows::CLAMP_MAX, a.tensor(0)?, &[], &[a.scalar(1)?])?; written(a.tensor(0)?) };
    "floor(Tensor self, *, Tensor? out=None)" Both "Largest integer not above." => |a| rounding(&rows::FLOOR, a.tensor(0)?, a.opt_tensor(1)?)?;
    "ceil(Tensor self, *, Tensor? out=None)" Both "Smallest integer not below." => |a| rounding(&rows::CEIL, a.tensor(0)?, a.opt_tensor(1)?)?;
    "trunc(Tensor self, *, Tensor? out=None)" Both "The integer part." => |a| rounding(&rows::TRUNC, a.tensor(0)?, a.opt_tensor(1)?)?;
    "round(Tensor self, *, int decimals=0, Tensor? out=None)" Both "Nearest integer, halves to the even one." => |a| round(a.tensor(0)?, a.int(1)?, a.opt_tensor(2)?)?;
    "floor_(Tensor self)" Both "Rounds down in place." => |a| rounding_(&rows::FLOOR, a.tensor(0)?)?;
    "ceil_(Tensor self)" Both "Rounds up in place." => |a| rounding_(&rows::CEIL, a.tensor(0)?)?;
    "trunc_(Tensor self)" Both "Drops the fraction in place." => |a| rounding_(&rows::TRUNC, a.tensor(0)?)?;
    "round_(Tensor self, *, int decimals=0)" Both "Rounds in place." => |a| {
        if a.int(1)? == 0 { return rounding_(&rows::ROUND, a.tensor(0)?); }
        match round(a.tensor(0)?, a.int(1)?, None)? { Output::Tensor(t) => crate::copy::copy_(a.tensor(0)?, &t)?, _ => () }
        written(a.tensor(0)?)
    };
    "lerp(Tensor self, Tensor end, Operand weight, *, Tensor? out=None)" Both "Linear interpolation, `self + weight * (end - self)`." => |a| lerp(a, a.opt_tensor(3)?)?;
    "lerp_(Tensor self, Tensor end, Operand weight)" Method "Interpolates in place." => |a| {
        check_lerp(a)?;
        call_inplace(&rows::LERP, a.tensor(0)?, &[a.operand(1)?, a.operand(2)?], &[])?;
        written(a.tensor(0)?)
    };
    "where(Tensor condition, Operand input, Operand other, *, Tensor? out=None)" Function "`input` where the condition holds, else `other`." => |a| choose(a.tensor(0)?, a.operand(1)?, a.operand(2)?, a.opt_tensor(3)?)?;
    "_where(Tensor self, Tensor condition, Operand other)" Method "`self` where the condition holds, else `other`." =>
        |a| call(&rows::WHERE, &[a.operand(1)?, a.operand(0)?, a.operand(2)?], &[])?;
    "masked_fill(Tensor self, Tensor mask, Operand value)" Both "`value` where the mask holds." => |a| masked_fill(a.tensor(0)?, a.tensor(1)?, a.operand(2)?)?;
    "masked_fill_(Tensor self, Tensor mask, Operand value)" Method "`value` where the mask holds, in place." => |a| {
        let x = a.tensor(0)?;
        match a.operand(2)? {
            Operand::Tensor(v) if v.requires_grad() || v.dtype().is_complex() => {
                crate::copy::check_real(v, x.dtype())?;
                let v = crate::to_dtype(v, x.dtype())?;
                let new = call(&rows::WHERE, &[a.operand(1)?, (&v).into(), x.into()], &[])?;
                crate::copy::copy_(x, &new)?;
            }
            v => masked_fill_(x, a.tensor(1)?, fits(x.dtype(), masked_fill_value(v)?)?)?,
        }
        written(x)
    };
    "logit(Tensor self, float? eps=None, *, Tensor? out=None)" Both "Log-odds; inputs held in [eps, 1 - eps] if given." => |a| {
        let x = a.tensor(0)?;
        match a.opt_float(1)? {
            Some(eps) => into(&rows::LOGIT, &[(&call(&rows::CLAMP, &[x.into()], &[eps.into(), (1.0 - eps).into()])?).into()], &[], a.opt_tensor(2)?)?,
            None => into(&rows::LOGIT, &[x.into()], &[], a.opt_tensor(2)?)?,
        }
    };
    "nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None, *, Tensor? out=None)" Both "NaN and infinities replaced." => |a| {
        let x = a.tensor(0)?;
        if x.dtype().is_integral() { return into_out("nan_to_num", &[x], || crate::clone(x), a.opt_tensor(4)?); }
        let greatest = greatest(x.dtype());
        let s = [a.opt_float(1)?.unwrap_or(0.0), a.opt_float(2)?.unwrap_or(greatest), a.opt_float(3)?.unwrap_or(-greatest)];
        into(&rows::NAN_TO_NUM, &[x.into()], &s.map(Scalar::Float), a.opt_tensor(4)?)?
    };
    "logit_(Tensor self, float? eps=None)" Both "Log-odds, in place." => |a| {
        if let Some(eps) = a.opt_float(1)? { call_inplace(&rows::CLAMP, a.tensor(0)?, &[], &[eps.into(), (1.0 - eps).into()])?; }
        call_inplace(&rows::LOGIT, a.tensor(0)?, &[], &[])?;
        written(a.tensor(0)?)
    };
    "nan_to_num_(Tensor self, float? nan=None, float? posinf=None, float? neginf=None)" Both "NaN and infinities replaced, in place." => |a| {
        let x = a.tensor(0)?;
        if x.dtype().is_float() {
            let greatest = greatest(x.dtype());
            let s = [a.opt_float(1)?.unwrap_or(0.0), a.opt_float(2)?.unwrap_or(greatest), a.opt_float(3)?.unwrap_or(-greatest)];
            call_inplace(&rows::NAN_TO_NUM, x, &[], &s.map(Scalar::Float))?;
        }
        written(x)
    };
    "isclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False)" Both "Whether elements are close." =>
        |a| isclose(a.tensor(0)?, a.tensor(1)?, a.float(2)?, a.float(3)?, a.bool(4)?)?;
    "allclose(Tensor self, Tensor other, float rtol=1e-05, float atol=1e-08, bool equal_nan=False)" Both "Whether all elements are close." =>
        |a| all_true(&isclose(a.tensor(0)?, a.tensor(1)?, a.float(2)?, a.float(3)?, a.bool(4)?)?)?;
    "equal(Tensor self, Tensor other)" Both "Whether shapes and all elements are equal." => |a| equal(a.tensor(0)?, a.tensor(1)?)?;
}
