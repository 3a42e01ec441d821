//! Tensors made from Python data and shared with NumPy.

use crate::arrays::{self, Number};
use crate::error::IntoPy;
use crate::record;
use crate::schema::{int, scalar, type_name};
use crate::tensor::{cast_tensor, wrap};
use crate::types::{PyDType, parse_device};
use numpy::PyUntypedArrayMethods;
use pyo3::exceptions::*;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple};
use rustnn_ops::registry::Arg;
use rustnn_ops::row::{Scalar, default_dtype};
use rustnn_ops::{Tensor, views};
use rustnn_tensor::{Array, DType, Device, Shape};

/// Elements of nested sequences in order, and their shape.
struct Gathered {
    shape: Shape,
    values: Vec<Scalar>,
    /// The imaginary parts, up to the last number that has one.
    imaginary: Vec<f64>,
    /// What the dtypes of all elements are promoted to.
    dtype: Option<DType>,
    /// The dtype that was asked for, and whether an integer beyond int64 was met that only some dtypes hold.
    asked: Option<DType>,
    beyond: bool,
}

impl Gathered {
    fn meet(&mut self, dtype: DType) {
        self.dtype = Some(match self.dtype {
            Some(have) => have.promote(dtype).unwrap_or(dtype),
            None => dtype,
        });
    }
}

fn overflow() -> PyErr {
    PyValueError::new_err("Overflow when unpacking long long")
}

fn is_sequence(object: &Bound<PyAny>) -> bool {
    object.is_instance_of::<PyList>()
        || object.is_instance_of::<PyTuple>()
        || (!object.is_instance_of::<PyString>()
            && !object.is_instance_of::<PyBytes>()
            && object.hasattr("__getitem__").unwrap_or(false)
            && object.hasattr("__len__").unwrap_or(false)
            && !object.is_instance_of::<PyDict>())
}

fn gather(object: &Bound<PyAny>, depth: usize, out: &mut Gathered) -> PyResult<()> {
    if depth > 128 {
        return Err(PyValueError::new_err("too many dimensions: sequences nested deeper than 128"));
    }
    if let Some(t) = cast_tensor(object) {
        if record::on() {
            record::check_read(&t, "tensor() of tensors")?;
        }
        return gather_tensor(&t.detach(), depth, out);
    }
    if object.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(format!("new(): invalid data type '{}'", type_name(object))));
    }
    if object.is_instance_of::<PyInt>() && object.extract::<i64>().is_err() {
        out.meet(DType::I64);
        if out.asked == Some(DType::U64) {
            let word: u64 = object.extract().map_err(|_| overflow())?;
            return leaf(out, depth, Scalar::Int(word as i64));
        }
        out.beyond = true;
        return leaf(out, depth, Scalar::Float(object.extract().map_err(|_| overflow())?));
    }
    // NumPy's numbers, and its arrays without dimensions, have a dtype of their own.
    if !object.is_exact_instance_of::<PyFloat>() && !object.is_instance_of::<PyInt>() {
        if depth > 0
            && let Some(array) = arrays::array(object)
            && array.ndim() == 0
        {
            return gather_tensor(&arrays::tensor_over(array)?, depth, out);
        }
        if let Some((number, dtype)) = arrays::number(object) {
            out.meet(dtype);
            return match number {
                Number::Real(value) => leaf(out, depth, value),
                Number::Complex(re, im) => complex_leaf(out, depth, re, im),
            };
        }
    }
    if let Some(s) = scalar(object) {
        out.meet(match s {
            Scalar::Bool(_) => DType::Bool,
            Scalar::Int(_) => DType::I64,
            _ => default_dtype(),
        });
        return leaf(out, depth, s);
    }
    if let Some((re, im)) = crate::schema::complex(object) {
        out.meet(if default_dtype() == DType::F64 { DType::C128 } else { DType::C64 });
        return complex_leaf(out, depth, re, im);
    }
    if is_sequence(object) {
        let n = object.len()?;
        level(out, depth, n)?;
        for i in 0..n {
            let item = object.get_item(i)?;
            if item.is(object) {
                return Err(PyTypeError::new_err("new(): self-referential lists are incompatible"));
            }
            gather(&item, depth + 1, out)?;
        }
        return Ok(());
    }
    if object.is_none() || !object.hasattr("__index__")? {
        return Err(if depth == 0 || object.is_none() {
            PyRuntimeError::new_err(format!("Could not infer dtype of {}", type_name(object)))
        } else {
            PyTypeError::new_err(format!("must be real number, not {}", type_name(object)))
        });
    }
    match int(object) {
        Some(i) => {
            out.meet(DType::I64);
            leaf(out, depth, Scalar::Int(i))
        }
        None => Err(PyRuntimeError::new_err(format!("Could not infer dtype of {}", type_name(object)))),
    }
}

/// The elements of a tensor; in a sequence, one of one element is a number.
fn gather_tensor(t: &Tensor, depth: usize, out: &mut Gathered) -> PyResult<()> {
    if t.rank() > 0 && !(depth > 0 && t.numel() == 1) {
        level(out, depth, t.shape()[0])?;
        return (0..t.shape()[0]).try_for_each(|i| gather_tensor(&views::select(t, 0, i as i64).py()?, depth + 1, out));
    }
    out.meet(t.dtype());
    if t.dtype().is_complex() {
        let (re, im) = t.complex_item().py()?;
        return complex_leaf(out, depth, re, im);
    }
    leaf(out, depth, rustnn_ops::read::item(t).py()?)
}

fn level(out: &mut Gathered, depth: usize, n: usize) -> PyResult<()> {
    if depth == out.shape.len() {
        if !out.values.is_empty() {
            return Err(PyValueError::new_err(format!("expected sequence of length {n} at dim {depth} (got 0)")));
        }
        out.shape.push(n);
        return Ok(());
    }
    if out.shape[depth] != n {
        return Err(PyValueError::new_err(format!("expected sequence of length {} at dim {depth} (got {n})", out.shape[depth])));
    }
    Ok(())
}

fn leaf(out: &mut Gathered, depth: usize, value: Scalar) -> PyResult<()> {
    if depth != out.shape.len() {
        return Err(PyTypeError::new_err(if depth < out.shape.len() {
            "expected a sequence, got a number: the nested sequences are not of equal depth"
        } else {
            "expected a number, got a sequence: the nested sequences are not of equal depth"
        }));
    }
    out.values.push(value);
    Ok(())
}

fn complex_leaf(out: &mut Gathered, depth: usize, re: f64, im: f64) -> PyResult<()> {
    leaf(out, depth, Scalar::Float(re))?;
    out.imaginary.resize(out.values.len(), 0.0);
    *out.imaginary.last_mut().expect("there is this number") = im;
    Ok(())
}

/// A tensor of numbers, nested sequences, NumPy arrays or tensors: always a copy, a leaf.
pub fn tensor_of(data: &Bound<PyAny>, dtype: Option<DType>, device: Option<Device>) -> PyResult<Tensor> {
    if let Some(t) = cast_tensor(data) {
        if record::on() && record::knows(&t) {
            let t = record::op("detach", smallvec::smallvec![Arg::Tensor(t)])?;
            let (device, dtype) = (device.map_or(Arg::None, Arg::Device), dtype.map_or(Arg::None, Arg::DType));
            return record::op("_to", smallvec::smallvec![Arg::Tensor(t), device, dtype, Arg::Bool(true)]);
        }
        let t = t.detach();
        let t = rustnn_ops::to_dtype(&t, dtype.unwrap_or(t.dtype())).py()?;
        let t = rustnn_ops::clone(&t).py()?;
        return rustnn_ops::to_device(&t, device.unwrap_or(t.device())).py();
    }
    let plain = data.is_instance_of::<PyList>() || data.is_instance_of::<PyFloat>() || data.is_instance_of::<PyInt>();
    if !plain && data.hasattr("_as_numbers_of")? {
        // A storage: its bytes are read as numbers of the dtype, not converted.
        let dtype = dtype.map(|d| crate::types::dtype(data.py(), d)).transpose()?;
        let t = cast_tensor(&data.call_method1("_as_numbers_of", (dtype,))?)
            .ok_or_else(|| PyTypeError::new_err("_as_numbers_of() must return a Tensor"))?;
        return rustnn_ops::to_device(&t, device.unwrap_or(t.device())).py();
    }
    if !plain && let Some(array) = arrays::array_like(data)? {
        let t = rustnn_ops::clone(&arrays::tensor_over(&array)?).py()?;
        let t = rustnn_ops::to_dtype(&t, dtype.unwrap_or(t.dtype())).py()?;
        return rustnn_ops::to_device(&t, device.unwrap_or_else(rustnn_ops::default_device)).py();
    }
    let mut gathered =
        Gathered { shape: Shape::new(), values: Vec::new(), imaginary: Vec::new(), dtype: None, asked: dtype, beyond: false };
    gather(data, 0, &mut gathered)?;
    let dtype = dtype.or(gathered.dtype).unwrap_or_else(default_dtype);
    if gathered.beyond && dtype.is_integral() && dtype != DType::Bool {
        return Err(overflow());
    }
    let array = pack(&gathered, dtype)?;
    rustnn_ops::to_device(&Tensor::from_array(array), device.unwrap_or_else(rustnn_ops::default_device)).py()
}

fn pack(gathered: &Gathered, dtype: DType) -> PyResult<Array> {
    let values = &gathered.values;
    if dtype.is_complex() {
        let pairs: Vec<f64> =
            values.iter().enumerate().flat_map(|(i, re)| [re.to_f64(), gathered.imaginary.get(i).copied().unwrap_or(0.0)]).collect();
        let shape: Vec<usize> = gathered.shape.iter().copied().chain([2]).collect();
        let pairs = Tensor::from_array(Array::from_slice(&pairs, &shape).py()?);
        let wide = rustnn_ops::complex::view_as_complex(&pairs).py()?;
        return rustnn_ops::copy::cast_array(wide.array(), dtype).py();
    }
    if !gathered.imaginary.is_empty() && dtype == DType::Bool {
        let imaginary = |i: usize| gathered.imaginary.get(i).is_some_and(|&im| im != 0.0);
        let bools: Vec<bool> = values.iter().enumerate().map(|(i, re)| re.to_bool() || imaginary(i)).collect();
        return Array::from_slice(&bools, &gathered.shape).py();
    }
    if !gathered.imaginary.is_empty() {
        return Err(PyTypeError::new_err("must be real number, not complex"));
    }
    if dtype.is_integral() {
        let width = dtype.size_bytes() as u32 * 8;
        for v in values {
            if let Scalar::Float(f) = v
                && !f.is_finite()
                && dtype != DType::Bool
            {
                return Err(if f.is_nan() {
                    PyValueError::new_err("cannot convert float NaN to integer")
                } else {
                    PyOverflowError::new_err("cannot convert float infinity to integer")
                });
            }
            let i = v.to_i64();
            let fits = match dtype {
                DType::Bool | DType::I64 | DType::U64 => true,
                DType::U8 | DType::U16 | DType::U32 => i >= -(1i64 << (width - 1)) && i < 1i64 << width,
                _ => i >= -(1i64 << (width - 1)) && i < 1i64 << (width - 1),
            };
            if !fits {
                return Err(PyRuntimeError::new_err(format!("value cannot be converted to type {} without overflow", dtype.name())));
            }
        }
        if dtype == DType::Bool {
            let bools: Vec<bool> = values.iter().map(|v| v.to_bool()).collect();
            return Array::from_slice(&bools, &gathered.shape).py();
        }
        let ints: Vec<i64> = values.iter().map(|v| v.to_i64()).collect();
        return rustnn_ops::copy::cast_array(&Array::from_slice(&ints, &gathered.shape).py()?, dtype).py();
    }
    if dtype == DType::F32 {
        let floats: Vec<f32> = values.iter().map(|v| v.to_f64() as f32).collect();
        return Array::from_slice(&floats, &gathered.shape).py();
    }
    let floats: Vec<f64> = values.iter().map(|v| v.to_f64()).collect();
    rustnn_ops::copy::cast_array(&Array::from_slice(&floats, &gathered.shape).py()?, dtype).py()
}

#[pyfunction]
#[pyo3(signature = (data, *, dtype=None, device=None, requires_grad=false, pin_memory=false))]
fn tensor<'py>(
    data: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
    requires_grad: bool,
    pin_memory: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let _ = pin_memory;
    let out = tensor_of(data, dtype_of(dtype)?, device.map(parse_device).transpose()?)?;
    if requires_grad && !out.dtype().is_differentiable() {
        return Err(PyRuntimeError::new_err("Only Tensors of floating point and complex dtype can require gradients"));
    }
    out.set_requires_grad(requires_grad).py()?;
    wrap(data.py(), out)
}

fn dtype_of(dtype: Option<&Bound<PyAny>>) -> PyResult<Option<DType>> {
    let Some(d) = dtype else { return Ok(None) };
    if let Ok(d) = d.cast::<PyDType>() {
        return Ok(Some(d.get().0));
    }
    if let Some(dtype) = crate::schema::python_dtype(d) {
        return Ok(Some(dtype));
    }
    Err(PyTypeError::new_err(format!("tensor(): argument 'dtype' must be torch.dtype, not {}", type_name(d))))
}

/// The data as a tensor, sharing memory where that is possible.
#[pyfunction]
#[pyo3(signature = (data, dtype=None, device=None))]
fn as_tensor<'py>(
    data: &Bound<'py, PyAny>,
    dtype: Option<&Bound<'py, PyAny>>,
    device: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (dtype, device) = (dtype_of(dtype)?, device.map(parse_device).transpose()?);
    let shared = match cast_tensor(data) {
        Some(t) if record::on() && record::knows(&t) => {
            let (device, dtype) = (device.map_or(Arg::None, Arg::Device), dtype.map_or(Arg::None, Arg::DType));
            return wrap(data.py(), record::op("_to", smallvec::smallvec![Arg::Tensor(t), device, dtype, Arg::Bool(false)])?);
        }
        Some(t) => Some(t),
        None if data.is_instance_of::<PyList>() => None,
        None => arrays::array_like(data)?.map(|array| arrays::tensor_over(&array)).transpose()?,
    };
    let out = match shared {
        Some(t) => {
            let t = rustnn_ops::to_dtype(&t, dtype.unwrap_or(t.dtype())).py()?;
            rustnn_ops::to_device(&t, device.unwrap_or(t.device())).py()?
        }
        None => tensor_of(data, dtype, device)?,
    };
    wrap(data.py(), out)
}

/// A tensor over a NumPy array's memory; writes to either are seen by both.
#[pyfunction]
fn from_numpy<'py>(array: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match arrays::array(array) {
        Some(array) => wrap(array.py(), arrays::tensor_over(array)?),
        None => Err(PyTypeError::new_err(format!("expected np.ndarray (got {})", type_name(array)))),
    }
}

/// A tensor over the bytes of a buffer (`bytearray`, `memoryview`, …).
#[pyfunction]
#[pyo3(signature = (buffer, *, dtype, count=-1, offset=0, requires_grad=false))]
fn frombuffer<'py>(
    buffer: &Bound<'py, PyAny>,
    dtype: &Bound<'py, PyAny>,
    count: i64,
    offset: i64,
    requires_grad: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = buffer.py();
    let dtype = dtype_of(Some(dtype))?.ok_or_else(|| PyTypeError::new_err("frombuffer() needs a dtype"))?;
    if PyMemoryView::from(buffer).is_err() {
        return Err(PyValueError::new_err("object does not implement Python buffer protocol."));
    }
    // NumPy knows every buffer; it keeps the buffer alive.
    let array = py.import("numpy")?.call_method1("frombuffer", (buffer, "uint8"))?;
    let bytes = arrays::tensor_over(array.cast()?)?;
    let total = bytes.numel() as i64;
    let width = dtype.size_bytes() as i64;
    if total == 0 || count == 0 {
        return Err(PyValueError::new_err(format!("both buffer length ({total}) and count ({count}) must not be 0")));
    }
    if offset < 0 || offset >= total {
        return Err(PyValueError::new_err(format!(
            "offset ({offset} bytes) must be non-negative and no greater than buffer length ({total} bytes) - 1"
        )));
    }
    let n = if count < 0 {
        if (total - offset) % width != 0 {
            return Err(PyValueError::new_err(format!(
                "buffer length ({} bytes) after offset ({offset} bytes) must be a multiple of element size ({width})",
                total - offset
            )));
        }
        (total - offset) / width
    } else {
        count
    };
    if n.checked_mul(width).and_then(|b| b.checked_add(offset)).is_none_or(|b| b > total) {
        return Err(PyValueError::new_err(format!(
            "requested buffer length ({n} * {width} bytes) after offset ({offset} bytes) must not be greater than actual buffer length ({total} bytes)"
        )));
    }
    if offset % width != 0 {
        return Err(PyValueError::new_err(format!("offset ({offset} bytes) must be a multiple of the element size ({width}) here")));
    }
    let array = Array::from_storage(bytes.array().storage().clone(), dtype, &[n as usize], &[1], (offset / width) as usize).py()?;
    let out = Tensor::from_array(array);
    out.set_requires_grad(requires_grad).py()?;
    wrap(py, out)
}

/// `torch.Tensor(...)`: sizes, or data as float32.
pub fn legacy(args: &Bound<PyTuple>, kwargs: Option<&Bound<PyDict>>) -> PyResult<Tensor> {
    let mut data = None;
    for (k, value) in kwargs.into_iter().flatten() {
        match k.to_string().as_str() {
            "device" if value.is_none() => {}
            "device" => {
                let kind = parse_device(&value)?.kind();
                if kind != "cpu" {
                    return Err(PyRuntimeError::new_err(format!(
                        "legacy constructor expects device type: cpu but device type: {kind} was passed"
                    )));
                }
            }
            "data" if args.is_empty() => data = Some(PyTuple::new(args.py(), [value])?),
            other => return Err(PyTypeError::new_err(format!("new() got an unexpected keyword argument '{other}'"))),
        }
    }
    let args = data.as_ref().unwrap_or(args);
    let dtype = default_dtype();
    if args.is_empty() {
        return Array::empty(&[0], dtype, Device::Cpu).map(Tensor::from_array).py();
    }
    let first = args.get_item(0)?;
    if args.len() == 1 && !first.is_exact_instance_of::<PyInt>() {
        if let Some(t) = cast_tensor(&first) {
            return Ok(t.detach());
        }
        if first.get_type().name()? == "Size" {
            let sizes: Vec<i64> = first.extract()?;
            return Array::empty(&rustnn_ops::create::sizes(&sizes).py()?, dtype, Device::Cpu).map(Tensor::from_array).py();
        }
        if scalar(&first).is_some() {
            return Err(PyTypeError::new_err("new(): data must be a sequence (got float)"));
        }
        return tensor_of(&first, Some(dtype), None);
    }
    let sizes: Option<Vec<i64>> = args.iter().map(|a| int(&a)).collect();
    match sizes {
        Some(sizes) => Array::empty(&rustnn_ops::create::sizes(&sizes).py()?, dtype, Device::Cpu).map(Tensor::from_array).py(),
        None => Err(PyTypeError::new_err(format!(
            "new() received an invalid combination of arguments - got ({})",
            args.iter().map(|a| type_name(&a)).collect::<Vec<_>>().join(", ")
        ))),
    }
}

pub fn add_to(module: &Bound<PyModule>) -> PyResult<()> {
    macro_rules! functions {
        ($($f:ident)*) => { $(module.add_function(wrap_pyfunction!($f, module)?)?;)* };
    }
    functions!(tensor as_tensor from_numpy frombuffer);
    Ok(())
}
