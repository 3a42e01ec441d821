//! Complex numbers: their parts as views, and the functions of them that no real formula says. Rows marked `complex` compute on
//! them as they are. `conj` is computed at once rather than noted on a view.

use crate::copy::{contiguous_array, copy_array};
use crate::device::arrays;
use crate::formula::{Formula, attach};
use crate::registry::into_out;
use crate::row::{Operand, Row, Scalar, call, is_dense};
use crate::rows;
use crate::tape::{ViewOp, named};
use crate::tensor::Tensor;
use rustnn_tensor::{Array, DType, Error, Result, Shape, Strides, bail, ensure};

pub use arrays::Map;

/// The dtype of the parts of a complex number; others are their own.
pub const fn real_dtype(dtype: DType) -> DType {
    match dtype {
        DType::C32 => DType::F16,
        DType::C64 => DType::F32,
        DType::C128 => DType::F64,
        other => other,
    }
}

/// The complex dtype whose parts are of `dtype`.
pub const fn complex_dtype(dtype: DType) -> Option<DType> {
    match dtype {
        DType::F16 => Some(DType::C32),
        DType::F32 => Some(DType::C64),
        DType::F64 => Some(DType::C128),
        _ => None,
    }
}

// ----------------------------------------------------------------------------------------------------- the same memory

/// Complex memory as real numbers: a last dimension of real and imaginary part.
pub(crate) fn real_array(x: &Array) -> Result<Array> {
    let mut shape: Shape = x.shape().into();
    // Those of an empty array may be any.
    let mut strides: Strides = x.strides().iter().map(|s| s.saturating_mul(2)).collect();
    shape.push(2);
    strides.push(1);
    Array::from_storage(x.storage().clone(), real_dtype(x.dtype()), &shape, &strides, 2 * x.offset())
}

/// Real memory whose last dimension is real and imaginary part as complex numbers. None where it lies otherwise.
pub(crate) fn complex_array(x: &Array) -> Option<Array> {
    let (&2, shape) = x.shape().split_last()? else { return None };
    let (&1, strides) = x.strides().split_last()? else { return None };
    let even = |s: &isize| s % 2 == 0;
    if !shape.iter().zip(strides).all(|(&n, s)| n <= 1 || even(s)) || x.offset() % 2 != 0 {
        return None;
    }
    let strides: Strides = strides.iter().map(|s| s / 2).collect();
    Array::from_storage(x.storage().clone(), complex_dtype(x.dtype())?, shape, &strides, x.offset() / 2).ok()
}

/// As [`complex_array`], of a copy where need be.
pub(crate) fn complex_of(x: &Array) -> Result<Array> {
    match complex_array(x) {
        Some(out) => Ok(out),
        None => {
            let dense = Array::empty(x.shape(), x.dtype(), x.device())?;
            arrays::copy(x, &dense)?;
            complex_array(&dense).ok_or_else(|| Error::Runtime("Tensor must have a last dimension of size 2".into()))
        }
    }
}

/// A view of complex numbers as pairs of real ones.
pub fn view_as_real(x: &Tensor) -> Result<Tensor> {
    ensure!(x.dtype().is_complex(), Runtime, "view_as_real is only supported for complex tensors");
    Ok(x.make_view(real_array(x.array())?, ViewOp::AsReal, "ViewAsRealBackward0"))
}

/// A view of pairs of real numbers as complex ones.
pub fn view_as_complex(x: &Tensor) -> Result<Tensor> {
    ensure!(
        complex_dtype(x.dtype()).is_some(),
        Runtime,
        "view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: {}",
        x.dtype().scalar_name()
    );
    let last = x.rank().checked_sub(1).ok_or_else(|| Error::Runtime("Input tensor must have one or more dimensions".into()))?;
    ensure!(x.shape()[last] == 2, Runtime, "Tensor must have a last dimension of size 2");
    ensure!(x.strides()[last] == 1, Runtime, "Tensor must have a last dimension with stride 1");
    ensure!(x.strides()[..last].iter().all(|s| s % 2 == 0), Runtime, "Tensor must have a stride divisible by 2 for all but last dimension");
    ensure!(x.array().offset() % 2 == 0, Runtime, "Tensor must have a storage_offset divisible by 2");
    let array = complex_array(x.array()).ok_or_else(|| Error::Runtime("Tensor must have a last dimension of size 2".into()))?;
    Ok(x.make_view(array, ViewOp::AsComplex, "ViewAsComplexBackward0"))
}

/// As [`view_as_complex`], of a copy where strides do not allow a view.
pub(crate) fn as_complex(x: &Tensor) -> Result<Tensor> {
    if complex_array(x.array()).is_some() {
        return view_as_complex(x);
    }
    view_as_complex(&crate::clone(&crate::contiguous(x)?)?)
}

/// The real parts: a view; a real tensor itself.
pub fn real(x: &Tensor) -> Result<Tensor> {
    if x.dtype().is_complex() { crate::views::select(&view_as_real(x)?, -1, 0) } else { Ok(x.clone()) }
}

/// The imaginary parts: a view.
pub fn imag(x: &Tensor) -> Result<Tensor> {
    ensure!(x.dtype().is_complex(), Runtime, "imag is not implemented for tensors with non-complex dtypes.");
    crate::views::select(&view_as_real(x)?, -1, 1)
}

// ---------------------------------------------------------------------------------------------------------- functions

/// `map` of each number, in the order of `x`'s dimensions in memory.
fn mapped(map: Map, x: &Array) -> Result<Array> {
    let dtype = if matches!(map, Map::Magnitude | Map::Angle) { real_dtype(x.dtype()) } else { x.dtype() };
    let x = &if is_dense(x) { x.clone() } else { contiguous_array(x)? };
    let out = crate::copy::like(x, dtype)?;
    let flat = |a: &Array| a.with_geometry(Shape::from_slice(&[a.numel()]), Strides::from_slice(&[1]), a.offset());
    arrays::map_complex(map, &flat(x), &flat(&out))?;
    Ok(out)
}

/// The numbers mirrored at the real axis; a real tensor itself.
pub fn conj(x: &Tensor) -> Result<Tensor> {
    if !x.dtype().is_complex() {
        return Ok(x.clone());
    }
    attach(mapped(Map::Conjugate, x.array())?, &[x], || Formula::one("ConjPhysicalBackward0", &[], |dy, _| conj(dy)))
}

/// The magnitudes, which are real.
pub fn abs(x: &Tensor) -> Result<Tensor> {
    attach(mapped(Map::Magnitude, x.array())?, &[x], || Formula::one("AbsBackward0", &[x], |dy, saved| crate::mul(&sgn(&saved[0])?, dy)))
}

/// `z / |z|`, 0 for 0.
pub fn sgn(x: &Tensor) -> Result<Tensor> {
    if !x.dtype().is_complex() {
        return Ok(named(call(&rows::SIGN, &[x.into()], &[])?, "SgnBackward0"));
    }
    attach(mapped(Map::Direction, x.array())?, &[x], || {
        Formula::one("SgnBackward0", &[x], |dy, saved| {
            // What of dy points along the circle, by the circle's size.
            let (x, direction, size) = (&saved[0], sgn(&saved[0])?, abs(&saved[0])?);
            let along = real(&crate::mul(dy, &conj(&direction)?)?)?;
            let rest = call(&rows::SUB, &[dy.into(), (&crate::mul(&direction, &along)?).into()], &[Scalar::Int(1)])?;
            without_origin(x, &call(&rows::DIV, &[(&rest).into(), (&size).into()], &[])?)
        })
    })
}

/// 0 where `x` is.
fn without_origin(x: &Tensor, value: &Tensor) -> Result<Tensor> {
    let zero = call(&rows::EQ, &[x.into(), Scalar::Int(0).into()], &[])?;
    call(&rows::MASKED_FILL, &[(&zero).into(), value.into()], &[Scalar::Int(0)])
}

/// The angle to the positive real axis; radians.
pub fn angle(x: &Tensor) -> Result<Tensor> {
    if x.dtype().is_complex() {
        return attach(mapped(Map::Angle, x.array())?, &[x], || {
            Formula::one("AngleBackward0", &[x], |dy, saved| {
                let x = &saved[0];
                let turned = complex(&call(&rows::NEG, &[(&imag(x)?).into()], &[])?, &real(x)?)?;
                let share = call(&rows::DIV, &[dy.into(), (&square_magnitude(x)?).into()], &[])?;
                without_origin(x, &crate::mul(&turned, &share)?)
            })
        });
    }
    let x = &if x.dtype().is_float() { x.clone() } else { crate::to_dtype(x, crate::row::default_dtype())? };
    // 0 or π, whose slope is 0; NaN stays.
    let at = x.detach();
    let negative = crate::to_dtype(&call(&rows::LT, &[(&at).into(), Scalar::Int(0).into()], &[])?, x.dtype())?;
    let nan = call(&rows::ISNAN, &[(&at).into()], &[])?;
    let angles = crate::mul_scalar(&negative, std::f64::consts::PI)?;
    let angles = call(&rows::WHERE, &[(&nan).into(), (&at).into(), (&angles).into()], &[])?;
    attach(angles.array().clone(), &[x], || Formula::one("AngleBackward0", &[], |dy, _| crate::create::zeros_like(dy)))
}

/// `|z|²`, real.
pub fn square_magnitude(x: &Tensor) -> Result<Tensor> {
    if !x.dtype().is_complex() {
        return call(&rows::SQUARE, &[x.into()], &[]);
    }
    let squares = call(&rows::SQUARE, &[(&view_as_real(x)?).into()], &[])?;
    crate::reduce::sum(&squares, Some(&[-1]), false, None)
}

/// Complex numbers of their parts, which broadcast.
pub fn complex(re: &Tensor, im: &Tensor) -> Result<Tensor> {
    both_floats(re, im)?;
    let shape = rustnn_tensor::shape::broadcast(re.shape(), im.shape())?;
    let Some(dtype) = complex_dtype(re.dtype()) else { unreachable!("checked above") };
    let out =
        if re.shape() == shape.as_slice() { crate::copy::like(re.array(), dtype)? } else { Array::empty(&shape, dtype, re.device())? };
    let pairs = real_array(&out)?;
    copy_array(re.array(), &crate::views::select_array(&pairs, shape.len(), 0))?;
    copy_array(im.array(), &crate::views::select_array(&pairs, shape.len(), 1))?;
    let shapes = [re.shape_owned(), im.shape_owned()];
    attach(out, &[re, im], || {
        Ok(Formula::new("ComplexBackward0", Vec::new(), move |dy, _, context| {
            let part = |i: usize| crate::reduce::sum_to(&if i == 0 { real(dy)? } else { imag(dy)? }, &shapes[i]);
            (0..2).map(|i| crate::formula::if_wanted(context, i, || part(i))).collect()
        }))
    })
}

fn both_floats(a: &Tensor, b: &Tensor) -> Result<()> {
    ensure!(
        complex_dtype(a.dtype()).is_some() && complex_dtype(b.dtype()).is_some(),
        Runtime,
        "Expected both inputs to be Half, Float or Double tensors but got {} and {}",
        a.dtype().scalar_name(),
        b.dtype().scalar_name()
    );
    ensure!(
        a.dtype() == b.dtype(),
        Runtime,
        "Expected object of scalar type {} but got scalar type {} for second argument",
        a.dtype().scalar_name(),
        b.dtype().scalar_name()
    );
    if a.device() != b.device() {
        bail!(Runtime, "Expected all tensors to be on the same device, but found at least two devices, {} and {}!", a.device(), b.device());
    }
    Ok(())
}

/// Complex numbers of their magnitudes and angles (radians), which broadcast.
pub fn polar(magnitude: &Tensor, angle: &Tensor) -> Result<Tensor> {
    both_floats(magnitude, angle)?;
    let part = |row: &'static Row| crate::mul(magnitude, &call(row, &[angle.into()], &[])?);
    Ok(named(complex(&part(&rows::COS)?, &part(&rows::SIN)?)?, "PolarBackward0"))
}

/// What a row of one input is for complex numbers where its formula does not say it.
#[inline]
pub(crate) fn instead(row: &'static Row, inputs: &[Operand]) -> Result<Option<Tensor>> {
    match inputs {
        [Operand::Tensor(x)] if cfg!(feature = "complex") && x.dtype().is_complex() => special(row, x),
        _ => Ok(None),
    }
}

#[cold]
fn special(row: &'static Row, x: &Tensor) -> Result<Option<Tensor>> {
    if std::ptr::eq(row, &rows::ABS) {
        return abs(x).map(Some);
    }
    if std::ptr::eq(row, &rows::ISFINITE) {
        let both = call(row, &[(&view_as_real(&x.detach())?).into()], &[])?;
        let parts = [crate::views::select(&both, -1, 0)?, crate::views::select(&both, -1, 1)?];
        return call(&rows::LOGICAL_AND, &[(&parts[0]).into(), (&parts[1]).into()], &[]).map(Some);
    }
    Ok(None)
}

/// A 0-dim tensor of one complex number, as a number stands beside tensors of `dtype`: of their precision.
pub fn number(re: f64, im: f64, beside: DType) -> Result<Tensor> {
    let pair = Array::from_slice(&[re, im], &[2])?;
    let wide = complex_of(&pair)?;
    let precise = matches!(beside, DType::F64 | DType::C128) || beside.is_integral() && crate::row::default_dtype() == DType::F64;
    let out = if precise { wide } else { crate::copy::cast_array(&wide, DType::C64)? };
    Ok(Tensor::from_array(out))
}

impl Tensor {
    /// The parts of the only element.
    pub fn complex_item(&self) -> Result<(f64, f64)> {
        ensure!(!self.array().is_meta(), Runtime, "Tensor.item() cannot be called on meta tensors");
        match elements(self.array())?.as_slice() {
            [one] => Ok(*one),
            all => bail!(Runtime, "a Tensor with {} elements cannot be converted to Scalar", all.len()),
        }
    }
}

/// The parts of the elements in logical order.
pub fn elements(x: &Array) -> Result<Vec<(f64, f64)>> {
    let wide = crate::copy::contiguous_array(&crate::copy::cast_array(x, DType::C128)?)?;
    let parts = crate::read::elements(&real_array(&wide)?)?;
    Ok(parts.chunks_exact(2).map(|pair| (pair[0].to_f64(), pair[1].to_f64())).collect())
}

crate::ops! {
    "view_as_real(Tensor self)" Both "Complex numbers as pairs of real ones in a new last dimension: a view." => |a| view_as_real(a.tensor(0)?)?;
    "view_as_complex(Tensor self)" Both "Pairs of real numbers in the last dimension as complex ones: a view." => |a| view_as_complex(a.tensor(0)?)?;
    "real(Tensor self)" Function "The real parts: a view; a real tensor itself." => |a| real(a.tensor(0)?)?;
    "imag(Tensor self)" Function "The imaginary parts: a view." => |a| imag(a.tensor(0)?)?;
    "conj(Tensor self)" Both "Complex conjugates; a real tensor itself." => |a| conj(a.tensor(0)?)?;
    "conj_physical(Tensor self, *, Tensor? out=None)" Both "Complex conjugates; a real tensor itself." =>
        |a| into_out("conj_physical", &[a.tensor(0)?], || conj(a.tensor(0)?), a.opt_tensor(1)?)?;
    "conj_physical_(Tensor self)" Method "Complex conjugates, in place." => |a| {
        if a.tensor(0)?.dtype().is_complex() { crate::copy::copy_(a.tensor(0)?, &conj(a.tensor(0)?)?)?; }
        a.tensor(0)?.clone()
    };
    "resolve_conj(Tensor self)" Both "The tensor itself: conjugates are computed at once." => |a| a.tensor(0)?.clone();
    "resolve_neg(Tensor self)" Both "The tensor itself: negatives are computed at once." => |a| a.tensor(0)?.clone();
    "angle(Tensor self, *, Tensor? out=None)" Both "The angle to the positive real axis; radians." =>
        |a| into_out("angle", &[a.tensor(0)?], || angle(a.tensor(0)?), a.opt_tensor(1)?)?;
    "complex(Tensor real, Tensor imag, *, Tensor? out=None)" Function "Complex numbers of their real and imaginary parts." =>
        |a| into_out("complex", &[a.tensor(0)?, a.tensor(1)?], || complex(a.tensor(0)?, a.tensor(1)?), a.opt_tensor(2)?)?;
    "polar(Tensor abs, Tensor angle, *, Tensor? out=None)" Function "Complex numbers of their magnitudes and angles, which are radians." =>
        |a| into_out("polar", &[a.tensor(0)?, a.tensor(1)?], || polar(a.tensor(0)?, a.tensor(1)?), a.opt_tensor(2)?)?;
}
