//! New tensors.

use crate::copy;
use crate::device::arrays;
use crate::row::{Scalar, default_dtype};
use crate::tensor::Tensor;
use rustnn_tensor::{Array, DType, Device, Error, Result, Shape, bail, ensure};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

static MARKS: AtomicBool = AtomicBool::new(false);

/// Whether arbitrary contents are NaN, the greatest integer, true: values that show that they were used.
pub fn mark_arbitrary(on: bool) {
    MARKS.store(on, Relaxed);
}

/// What arbitrary contents are to be; None where it does not matter.
fn mark(dtype: DType) -> Option<Scalar> {
    MARKS.load(Relaxed).then(|| match dtype {
        DType::Bool => Scalar::Bool(true),
        _ if !dtype.is_integral() => Scalar::Float(f64::NAN),
        _ => Scalar::Int((u64::MAX >> (64 - 8 * dtype.size_bytes() + dtype.is_signed() as usize)) as i64),
    })
}

/// Memory with arbitrary contents.
fn arbitrary(shape: &[usize], dtype: DType, device: Device) -> Result<Array> {
    let array = Array::empty(shape, dtype, device)?;
    if let Some(value) = mark(dtype) {
        copy::fill_array(&array, value)?;
    }
    Ok(array)
}

/// Sizes as given by a caller, none of them negative.
pub fn sizes(size: &[i64]) -> Result<Shape> {
    size.iter()
        .map(|&n| usize::try_from(n).map_err(|_| Error::Runtime(format!("Trying to create tensor with negative dimension {n}: {size:?}"))))
        .collect()
}

pub fn full_array(shape: &[usize], value: Scalar, dtype: DType, device: Device) -> Result<Array> {
    let zero = match value {
        Scalar::Int(i) => i == 0,
        Scalar::Float(f) => f.to_bits() == 0,
        Scalar::Bool(b) => !b,
    };
    if zero {
        return Array::zeros(shape, dtype, device);
    }
    let out = Array::empty(shape, dtype, device)?;
    arrays::fill(&out, value)?;
    Ok(out)
}

pub fn zeros_like(x: &Tensor) -> Result<Tensor> {
    full_like(x, Scalar::Int(0), x.dtype())
}

pub fn ones_like(x: &Tensor) -> Result<Tensor> {
    full_like(x, Scalar::Int(1), x.dtype())
}

pub fn full_like(x: &Tensor, value: Scalar, dtype: DType) -> Result<Tensor> {
    let out = copy::like(x.array(), dtype)?;
    arrays::fill(&out, value)?;
    Ok(Tensor::from_array(out))
}

pub fn zeros(shape: &[usize], dtype: DType) -> Result<Tensor> {
    Array::zeros(shape, dtype, Device::Cpu).map(Tensor::from_array)
}

pub fn full(shape: &[usize], value: Scalar, dtype: DType) -> Result<Tensor> {
    full_array(shape, value, dtype, Device::Cpu).map(Tensor::from_array)
}

/// `start, start + step, …`, up to but not including `end`.
pub fn arange(start: Scalar, end: Scalar, step: Scalar, dtype: Option<DType>, device: Device) -> Result<Tensor> {
    let all_int = [start, end, step].iter().all(|s| !matches!(s, Scalar::Float(_)));
    let dtype = dtype.unwrap_or(if all_int { DType::I64 } else { default_dtype() });
    if dtype.is_complex() {
        return Err(Error::not_implemented("arange_cpu", dtype));
    }
    // Whole numbers are counted in whole steps from a whole start, as PyTorch does it.
    let whole = dtype == DType::I64 && [start, end, step].iter().all(|s| s.to_f64().is_finite());
    let (start, end, step) = if whole { (start.to_i64().into(), end.to_i64().into(), step.to_i64().into()) } else { (start, end, step) };
    let all_int = all_int || whole;
    let (a, b, s) = (start.to_f64(), end.to_f64(), step.to_f64());
    ensure!(s != 0.0, Runtime, "step must be nonzero");
    ensure!(a.is_finite() && b.is_finite(), Runtime, "{}", format!("unsupported range: {a} -> {b}").replace("NaN", "nan"));
    ensure!(!s.is_nan(), Runtime, "step must be nonzero");
    ensure!(if s > 0.0 { b >= a } else { b <= a }, Runtime, "upper bound and lower bound inconsistent with step sign");
    let n = if all_int {
        let (a, b, s) = (start.to_i64() as i128, end.to_i64() as i128, step.to_i64() as i128);
        ((b - a) + s - s.signum()) / s
    } else {
        let n = ((b - a) / s).ceil();
        ensure!(n < isize::MAX as f64, Runtime, "invalid size, possible overflow?");
        n as i128
    };
    let n = usize::try_from(n).map_err(|_| Error::size_overflow())?;
    if device == Device::Meta || n == 0 {
        return Array::empty(&[n], dtype, device).map(Tensor::from_array);
    }
    let array = if all_int {
        let (a, s) = (start.to_i64(), step.to_i64());
        checked(n, 8)?;
        Array::from_slice(&(0..n as i64).map(|i| a.wrapping_add(i.wrapping_mul(s))).collect::<Vec<i64>>(), &[n])?
    } else {
        checked(n, 8)?;
        Array::from_slice(&(0..n).map(|i| a + i as f64 * s).collect::<Vec<f64>>(), &[n])?
    };
    copy::array_on(&copy::cast_array(&array, dtype)?, device).map(Tensor::from_array)
}

/// Refuses what the allocator would refuse, before a `Vec` aborts on it.
fn checked(n: usize, width: usize) -> Result<()> {
    let bytes = n.checked_mul(width).ok_or_else(Error::size_overflow)?;
    rustnn_tensor::allocator::allocate(bytes).map(drop)
}

/// `steps` numbers from `start` to `end`, both included, equally far apart.
pub fn linspace(start: f64, end: f64, steps: i64, dtype: Option<DType>, device: Device) -> Result<Tensor> {
    let n = usize::try_from(steps).map_err(|_| Error::Runtime("number of steps must be non-negative".into()))?;
    let dtype = dtype.unwrap_or_else(default_dtype);
    if device == Device::Meta {
        return Array::empty(&[n], dtype, device).map(Tensor::from_array);
    }
    checked(n, 8)?;
    let (start, end) = if dtype.is_integral() { (start.trunc(), end.trunc()) } else { (start, end) };
    let array = if dtype == DType::F32 {
        // In float32 throughout, counted from the nearer end, as PyTorch does: the numbers are then the same.
        let (start, end) = (start as f32, end as f32);
        let step = (end - start) / (n.max(2) - 1) as f32;
        let value = |i: usize| {
            if n == 1 {
                start
            } else if i < n / 2 {
                start + step * i as f32
            } else {
                end - step * (n - 1 - i) as f32
            }
        };
        Array::from_slice(&(0..n).map(value).collect::<Vec<f32>>(), &[n])?
    } else {
        let step = (end - start) / (n.max(2) - 1) as f64;
        let value = |i: usize| {
            if n == 1 {
                start
            } else if i < n / 2 {
                start + step * i as f64
            } else {
                end - step * (n - 1 - i) as f64
            }
        };
        Array::from_slice(&(0..n).map(value).collect::<Vec<f64>>(), &[n])?
    };
    copy::array_on(&copy::cast_array(&array, dtype)?, device).map(Tensor::from_array)
}

/// [`linspace`] between complex numbers, each given as its real and imaginary part.
fn complex_linspace(start: (f64, f64), end: (f64, f64), steps: i64, dtype: Option<DType>, device: Device) -> Result<Tensor> {
    let own = if default_dtype() == DType::F64 { DType::C128 } else { DType::C64 };
    let dtype = dtype.unwrap_or(own);
    ensure!(
        dtype.is_complex(),
        Runtime,
        "torch.linspace(): inferred dtype {} can't be safely cast to passed dtype {}",
        crate::names::type_meta(own),
        dtype.scalar_name()
    );
    let part = |from, to| linspace(from, to, steps, Some(DType::F64), Device::Cpu);
    let whole = crate::complex::complex(&part(start.0, end.0)?, &part(start.1, end.1)?)?;
    crate::to_device(&crate::to_dtype(&whole, dtype)?, device)
}

/// Ones on the diagonal.
pub fn eye(rows: i64, columns: i64, dtype: Option<DType>, device: Device) -> Result<Tensor> {
    ensure!(rows >= 0, Runtime, "n must be greater or equal to 0, got {rows}");
    ensure!(columns >= 0, Runtime, "m must be greater or equal to 0, got {columns}");
    let (rows, columns) = (rows as usize, columns as usize);
    let out = Array::zeros(&[rows, columns], dtype.unwrap_or_else(default_dtype), device)?;
    let n = rows.min(columns);
    if n > 0 {
        arrays::fill(&out.as_strided(&[n], &[columns as isize + 1], 0)?, Scalar::Int(1))?;
    }
    Ok(Tensor::from_array(out))
}

fn leaf(array: Array, requires_grad: bool) -> Result<Tensor> {
    ranged(Tensor::from_array(array), requires_grad)
}

/// The dtype that is named, or that of `out`, the argument before it.
pub(crate) fn asked_dtype(a: &crate::registry::Args, at: usize) -> Result<Option<DType>> {
    Ok(a.opt_dtype(at)?.or(a.opt_tensor(at - 1)?.map(Tensor::dtype)))
}

fn filled(a: &crate::registry::Args, value: Scalar, at: usize, dtype: Option<DType>) -> Result<Tensor> {
    let shape = sizes(a.ints(0)?)?;
    let dtype = asked_dtype(a, at)?.or(dtype).unwrap_or_else(default_dtype);
    leaf(full_array(&shape, value, dtype, a.opt_device(at + 2)?.unwrap_or_else(crate::default_device))?, a.bool(at + 4)?)
}

fn filled_like(a: &crate::registry::Args, value: Scalar, at: usize) -> Result<Tensor> {
    let x = a.tensor(0)?;
    let dtype = a.opt_dtype(at)?.unwrap_or(x.dtype());
    let out = match a.opt_device(at + 2)? {
        Some(device) if device != x.device() => Tensor::from_array(full_array(x.shape(), value, dtype, device)?),
        _ => full_like(x, value, dtype)?,
    };
    let out = Tensor::from_array(copy::formatted(out.array().clone(), a.opt_str(at + 5)?)?);
    ranged(out, a.bool(at + 4)?)
}

/// An integer that the dtype cannot hold is no fill value.
fn check_fits(value: Scalar, dtype: Option<DType>) -> Result<()> {
    let Some(dtype) = dtype.filter(|d| d.is_integral() && *d != DType::Bool && d.has_arithmetic()) else { return Ok(()) };
    let bits = 8 * dtype.size_bytes() as u32;
    let half = 1i128 << (bits - 1);
    let above = if dtype.is_signed() { half } else { 2 * half };
    let fits = match value {
        Scalar::Int(i) => (-half..above).contains(&i128::from(i)),
        _ => (-half as f64..above as f64).contains(&value.to_f64()),
    };
    ensure!(fits, Runtime, "value cannot be converted to type {} without overflow", crate::names::number_type(dtype));
    Ok(())
}

/// The dtype that a fill value has by itself.
fn value_dtype(value: Scalar) -> DType {
    match value {
        Scalar::Bool(_) => DType::Bool,
        Scalar::Int(_) => DType::I64,
        Scalar::Float(_) => default_dtype(),
    }
}

crate::ops! {
    "zeros(int[...] size, *, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Function "Zeros of the given size." => |a| created(a, 1, |a| filled(a, Scalar::Int(0), 2, None))?;
    "ones(int[...] size, *, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Function "Ones of the given size." => |a| created(a, 1, |a| filled(a, Scalar::Int(1), 2, None))?;
    "empty(int[...] size, *, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None)"
        Function "A tensor with arbitrary contents." => |a| created(a, 1, |a| {
            let dtype = asked_dtype(a, 2)?.unwrap_or_else(default_dtype);
            let dense = arbitrary(&sizes(a.ints(0)?)?, dtype, a.opt_device(4)?.unwrap_or_else(crate::default_device))?;
            let array = match a.opt_str(7)? {
                Some(format) => copy::in_format(&Tensor::from_array(dense), Some(format))?.array().clone(),
                None => dense,
            };
            leaf(array, a.bool(6)?)
        })?;
    "empty_strided(int[] size, int[] stride, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Function "A tensor with arbitrary contents and the given strides." => |a| {
            let shape = sizes(a.ints(0)?)?;
            let strides: rustnn_tensor::Strides = a.ints(1)?.iter().map(|&s| s as isize).collect();
            ensure!(shape.len() == strides.len(), Runtime, "mismatch in length of strides and shape: got {} and {}", strides.len(), shape.len());
            ensure!(strides.iter().all(|&s| s >= 0), Runtime, "as_strided: Negative strides are not supported at the moment, got strides: {strides:?}");
            let mut len = 1usize;
            for (&n, &s) in shape.iter().zip(&strides) {
                len = if n == 0 { 0 } else { (n - 1).checked_mul(s as usize).and_then(|r| r.checked_add(len)).ok_or_else(Error::size_overflow)? };
                if n == 0 { break; }
            }
            let dtype = a.opt_dtype(2)?.unwrap_or_else(default_dtype);
            let buffer = arbitrary(&[len], dtype, a.opt_device(4)?.unwrap_or_else(crate::default_device))?;
            leaf(buffer.as_strided(&shape, &strides, 0)?, a.bool(6)?)?
        };
    "full(int[] size, Scalar fill_value, *, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Function "One value everywhere." => |a| created(a, 2, |a| {
            if let Some(value) = complex_value(a, 1)? {
                let own = if default_dtype() == DType::F64 { DType::C128 } else { DType::C64 };
                return complex_filled(filled(a, Scalar::Int(0), 3, Some(own))?, value);
            }
            let value = a.scalar(1)?;
            check_fits(value, a.opt_dtype(3)?)?;
            filled(a, value, 3, Some(value_dtype(value)))
        })?;
    "zeros_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None)"
        Function "Zeros shaped like the input." => |a| filled_like(a, Scalar::Int(0), 1)?;
    "ones_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None)"
        Function "Ones shaped like the input." => |a| filled_like(a, Scalar::Int(1), 1)?;
    "empty_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None)"
        Function "Arbitrary contents, shaped like the input." => |a| {
            let value = mark(a.opt_dtype(1)?.unwrap_or(a.tensor(0)?.dtype())).unwrap_or(Scalar::Int(0));
            filled_like(a, value, 1)?
        };
    "full_like(Tensor self, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False, MemoryFormat? memory_format=None)"
        Function "One value everywhere, shaped like the input." => |a| match complex_value(a, 1)? {
            Some(value) => complex_filled(filled_like(a, Scalar::Int(0), 2)?, value)?,
            None => filled_like(a, a.scalar(1)?, 2)?,
        };
    "new_zeros(Tensor self, int[...] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Method "Zeros of the given size, dtype and device as here." => |a| new_filled(a, Scalar::Int(0), 2)?;
    "new_ones(Tensor self, int[...] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Method "Ones of the given size, dtype and device as here." => |a| new_filled(a, Scalar::Int(1), 2)?;
    "new_empty(Tensor self, int[...] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Method "Arbitrary contents of the given size, dtype and device as here." => |a| {
            let value = mark(a.opt_dtype(2)?.unwrap_or(a.tensor(0)?.dtype())).unwrap_or(Scalar::Int(0));
            new_filled(a, value, 2)?
        };
    "new_full(Tensor self, int[] size, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Method "One value everywhere, dtype and device as here." => |a| match complex_value(a, 2)? {
            Some(value) => complex_filled(new_filled(a, Scalar::Int(0), 3)?, value)?,
            None => new_filled(a, a.scalar(2)?, 3)?,
        };
    "arange(Scalar end, *, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Function "Numbers from 0 to `end`, which is not included." => |a| created_in_order(a, 1, |a| ranged(arange(Scalar::Int(0), a.scalar(0)?, Scalar::Int(1), asked_dtype(a, 2)?, a.opt_device(4)?.unwrap_or_else(crate::default_device))?, a.bool(6)?))?;
    "arange(Scalar start, Scalar end, Scalar step=1, *, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Function "Numbers from `start` to `end`, which is not included." => |a| created_in_order(a, 3, |a| ranged(arange(a.scalar(0)?, a.scalar(1)?, a.scalar(2)?, asked_dtype(a, 4)?, a.opt_device(6)?.unwrap_or_else(crate::default_device))?, a.bool(8)?))?;
    "linspace(Operand start, Operand end, int steps, *, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Function "Equally spaced numbers, both ends included." => |a| created_in_order(a, 3, |a| {
            let (dtype, device) = (asked_dtype(a, 4)?, a.opt_device(6)?.unwrap_or_else(crate::default_device));
            let (start, end) = (bound(a, 0, "start")?, bound(a, 1, "end")?);
            let made = match (start, end) {
                ((start, None), (end, None)) => linspace(start, end, a.int(2)?, dtype, device)?,
                _ => complex_linspace((start.0, start.1.unwrap_or(0.0)), (end.0, end.1.unwrap_or(0.0)), a.int(2)?, dtype, device)?,
            };
            ranged(made, a.bool(8)?)
        })?;
    "eye(int n, int? m=None, *, Tensor? out=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool requires_grad=False)"
        Function "Ones on the diagonal." => |a| created(a, 2, |a| ranged(eye(a.int(0)?, a.opt_int(1)?.unwrap_or(a.int(0)?), asked_dtype(a, 3)?, a.opt_device(5)?.unwrap_or_else(crate::default_device))?, a.bool(7)?))?;
}

/// A fill value that is a complex number.
fn complex_value<'a>(a: &crate::registry::Args<'a>, at: usize) -> Result<Option<&'a Tensor>> {
    Ok(match a.0.get(at) {
        Some(crate::registry::Arg::Tensor(value)) => Some(value),
        _ => None,
    })
}

/// An end of `linspace`, a number or a tensor of one: its parts, None where it is real.
fn bound(a: &crate::registry::Args, at: usize, name: &str) -> Result<(f64, Option<f64>)> {
    let Some(value) = complex_value(a, at)? else { return Ok((a.float(at)?, None)) };
    ensure!(
        value.rank() == 0,
        Runtime,
        "linspace only supports 0-dimensional start and end tensors, but got {name} with {} dimension(s).",
        value.rank()
    );
    if value.dtype().is_complex() {
        return value.complex_item().map(|(re, im)| (re, Some(im)));
    }
    Ok((crate::read::scalar(value.array())?.to_f64(), None))
}

fn complex_filled(out: Tensor, value: &Tensor) -> Result<Tensor> {
    copy::check_real(value, out.dtype())?;
    copy::copy_array(value.array(), out.array())?;
    Ok(out)
}

/// A new tensor, which requires a gradient if asked.
pub(crate) fn ranged(t: Tensor, requires_grad: bool) -> Result<Tensor> {
    if requires_grad {
        ensure!(t.dtype().is_differentiable(), Runtime, "Only Tensors of floating point and complex dtype can require gradients");
        t.set_requires_grad(true)?;
    }
    Ok(t)
}

/// As [`created`]; an `out` of as many elements keeps its shape and takes them in order.
fn created_in_order(
    a: &crate::registry::Args,
    out: usize,
    make: impl FnOnce(&crate::registry::Args) -> Result<Tensor>,
) -> Result<crate::registry::Output> {
    created(a, out, |a| {
        let made = make(a)?;
        match a.opt_tensor(out)? {
            Some(to) if to.numel() == made.numel() && to.shape() != made.shape() => crate::views::reshape_to(&made, to.shape()),
            _ => Ok(made),
        }
    })
}

/// What `make` gives, in the tensor at `out` if there is one; dtype, layout and device are the arguments behind it.
pub(crate) fn created(
    a: &crate::registry::Args,
    out: usize,
    make: impl FnOnce(&crate::registry::Args) -> Result<Tensor>,
) -> Result<crate::registry::Output> {
    let to = a.opt_tensor(out)?;
    if let (Some(to), Some(dtype)) = (to, a.opt_dtype(out + 1)?)
        && to.dtype() != dtype
    {
        bail!(Runtime, "dtype {} does not match dtype of out parameter ({})", dtype.scalar_name(), to.dtype().scalar_name());
    }
    if let (Some(to), Some(device)) = (to, a.opt_device(out + 3)?)
        && to.device() != device
    {
        bail!(Runtime, "device type {} does not match device type of out parameter ({})", device.kind(), to.device().kind());
    }
    crate::registry::into_out("creation", &[], || make(a), to)
}

fn new_filled(a: &crate::registry::Args, value: Scalar, at: usize) -> Result<Tensor> {
    let x = a.tensor(0)?;
    let device = a.opt_device(at + 2)?.unwrap_or(x.device());
    let array = full_array(&sizes(a.ints(1)?)?, value, a.opt_dtype(at)?.unwrap_or(x.dtype()), device)?;
    leaf(array, a.bool(at + 4)?)
}
