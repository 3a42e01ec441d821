//! Tensors made from Python data and shared with NumPy.

use crate::error::IntoPy;
use crate::record;
use crate::schema::{int, scalar, type_name};
use crate::tensor::{PyTensor, cast_tensor, wrap};
use crate::types::{PyDType, parse_device};
use pyo3::exceptions::*;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyComplex, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple};
use rustnn_ops::registry::Arg;
use rustnn_ops::row::{Scalar, default_dtype};
use rustnn_ops::{Tensor, views};
use rustnn_tensor::{Array, DType, Device, Shape, Storage, Strides};

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
        // In a sequence, a tensor of one element is a number.
        if t.rank() > 0 && !(depth > 0 && t.numel() == 1) {
            level(out, depth, t.shape()[0])?;
            for i in 0..t.shape()[0] {
                let row = wrap(object.py(), views::select(&t.detach(), 0, i as i64).py()?)?;
                gather(&row, depth + 1, out)?;
            }
            return Ok(());
        }
        out.meet(t.dtype());
        if t.dtype().is_complex() {
            let (re, im) = t.complex_item().py()?;
            leaf(out, depth, Scalar::Float(re))?;
            out.imaginary.resize(out.values.len(), 0.0);
            *out.imaginary.last_mut().expect("there is this number") = im;
            return Ok(());
        }
        leaf(out, depth, rustnn_ops::read::item(&t).py()?)?;
        return Ok(());
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
    // A NumPy array without dimensions is a number.
    let plain = object.is_instance_of::<PyFloat>()
        || object.is_instance_of::<PyInt>()
        || object.is_instance_of::<PyList>()
        || object.is_instance_of::<PyTuple>();
    if depth > 0
        && !plain
        && let Some(dtype) = numpy_dtype(object)
        && object.getattr("ndim").ok().and_then(|n| n.extract::<usize>().ok()) == Some(0)
        && object.hasattr("__array_interface__")?
    {
        let own = out.dtype;
        gather(&object.call_method0("item")?, depth, out)?;
        out.dtype = own;
        out.meet(dtype);
        return Ok(());
    }
    if let Some(s) = scalar(object) {
        // NumPy's numbers have a dtype of their own.
        let exact = object.is_exact_instance_of::<PyFloat>() || object.is_instance_of::<PyInt>();
        let dtype = if exact { None } else { numpy_dtype(object) };
        out.meet(dtype.unwrap_or_else(|| match s {
            Scalar::Bool(_) => DType::Bool,
            Scalar::Int(_) => DType::I64,
            _ => default_dtype(),
        }));
        return leaf(out, depth, s);
    }
    if let Some((re, im)) = crate::schema::complex(object) {
        let own = if default_dtype() == DType::F64 { DType::C128 } else { DType::C64 };
        out.meet(if object.is_exact_instance_of::<PyComplex>() { own } else { numpy_dtype(object).unwrap_or(own) });
        leaf(out, depth, Scalar::Float(re))?;
        out.imaginary.resize(out.values.len(), 0.0);
        *out.imaginary.last_mut().expect("there is this number") = im;
        return Ok(());
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

/// The dtype of a NumPy number.
fn numpy_dtype(object: &Bound<PyAny>) -> Option<DType> {
    let class = object.get_type();
    if class.getattr("__module__").ok()?.extract::<String>().ok()? != "numpy" {
        return None;
    }
    let name: String = object.getattr("dtype").ok()?.getattr("name").ok()?.extract().ok()?;
    DType::ALL.into_iter().find(|d| d.name() == name)
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
    if data.hasattr("__array_interface__")? && !data.is_instance_of::<PyList>() {
        let shared = from_interface(data)?;
        let t = rustnn_ops::clone(&shared).py()?;
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

/// A tensor over the memory of an object with NumPy's array interface. NumPy is never imported here: arrays describe themselves.
fn from_interface(object: &Bound<PyAny>) -> PyResult<Tensor> {
    let interface = object.getattr("__array_interface__")?.cast_into::<PyDict>()?;
    let field = |name: &str| interface.get_item(name)?.ok_or_else(|| PyTypeError::new_err(format!("array interface without {name}")));
    let kind: String = field("typestr")?.extract()?;
    let native = if cfg!(target_endian = "little") { '<' } else { '>' };
    let mut chars = kind.chars();
    let order = chars.next().unwrap_or('|');
    let code: String = chars.collect();
    let dtype = match code.as_str() {
        "f4" => DType::F32,
        "f8" => DType::F64,
        "f2" => DType::F16,
        "i1" => DType::I8,
        "i2" => DType::I16,
        "i4" => DType::I32,
        "i8" => DType::I64,
        "u1" => DType::U8,
        "u2" => DType::U16,
        "u4" => DType::U32,
        "u8" => DType::U64,
        "b1" => DType::Bool,
        "c8" => DType::C64,
        "c16" => DType::C128,
        _ => {
            let name = object
                .getattr("dtype")
                .and_then(|d| d.getattr("type"))
                .and_then(|t| t.getattr("__name__"))
                .map_or(kind.clone(), |n| n.to_string());
            return Err(PyTypeError::new_err(format!(
                "can't convert np.ndarray of type numpy.{name}. The only supported types are: float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
            )));
        }
    };
    if order != native && order != '|' && dtype.size_bytes() > 1 {
        return Err(PyValueError::new_err(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is currently not supported.",
        ));
    }
    let shape: Vec<usize> = field("shape")?.extract()?;
    let (address, read_only): (usize, bool) = field("data")?.extract()?;
    let width = dtype.size_bytes() as isize;
    let strides: Strides = match interface.get_item("strides")?.filter(|s| !s.is_none()) {
        None => rustnn_tensor::shape::contiguous_strides(&shape),
        Some(bytes) => {
            let bytes: Vec<isize> = bytes.extract()?;
            if bytes.iter().any(|b| b % width != 0) {
                return Err(PyValueError::new_err(
                    "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the memory.",
                ));
            }
            if bytes.iter().zip(&shape).any(|(&b, &n)| b < 0 && n > 1) {
                return Err(PyValueError::new_err(
                    "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently supported. (You can probably work around this by making a copy of your array  with array.copy().) ",
                ));
            }
            bytes.iter().map(|b| b / width).collect()
        }
    };
    let empty = shape.contains(&0);
    let reach: usize = if empty { 0 } else { shape.iter().zip(&strides).map(|(&n, &s)| (n - 1) * s as usize).sum::<usize>() + 1 };
    if address % dtype.size_bytes() != 0 && !empty {
        return Err(PyValueError::new_err("given numpy array is not aligned for its dtype; copy it first"));
    }
    // SAFETY: the array vouches for its own geometry and stays alive, as we hold it.
    let storage =
        unsafe { Storage::foreign(address as *mut u8, reach * dtype.size_bytes(), !read_only, Box::new(object.clone().unbind())) };
    let _ = read_only;
    Array::from_storage(storage, dtype, &shape, &strides, 0).map(Tensor::from_array).py()
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
        None if data.hasattr("__array_interface__")? && !data.is_instance_of::<PyList>() => Some(from_interface(data)?),
        None => None,
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
    if !array.hasattr("__array_interface__")? || !array.hasattr("flags")? {
        return Err(PyTypeError::new_err(format!("expected np.ndarray (got {})", type_name(array))));
    }
    wrap(array.py(), from_interface(array)?)
}

/// NumPy's array interface over a tensor's memory.
#[pyclass(module = "rustnn", frozen)]
struct Interface {
    tensor: Tensor,
}

#[pymethods]
impl Interface {
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let a = self.tensor.array();
        let order = if cfg!(target_endian = "little") { '<' } else { '>' };
        let code = match a.dtype() {
            DType::F32 => "f4",
            DType::F64 => "f8",
            DType::F16 => "f2",
            DType::I8 => "i1",
            DType::I16 => "i2",
            DType::I32 => "i4",
            DType::I64 => "i8",
            DType::U8 => "u1",
            DType::U16 => "u2",
            DType::U32 => "u4",
            DType::U64 => "u8",
            DType::Bool => "b1",
            DType::C64 => "c8",
            DType::C128 => "c16",
            other => return Err(PyTypeError::new_err(format!("Got unsupported ScalarType {}", other.scalar_name()))),
        };
        let width = a.dtype().size_bytes() as isize;
        let out = PyDict::new(py);
        out.set_item("version", 3)?;
        out.set_item("typestr", format!("{}{code}", if width == 1 { '|' } else { order }))?;
        out.set_item("shape", PyTuple::new(py, a.shape())?)?;
        out.set_item("strides", PyTuple::new(py, a.strides().iter().map(|s| s * width).collect::<Vec<_>>())?)?;
        // NumPy asks for an address even where there is nothing.
        let address = if a.numel() == 0 { rustnn_tensor::allocator::ALIGN_BYTES } else { a.ptr() as usize };
        out.set_item("data", (address, !a.storage().is_writable()))?;
        Ok(out)
    }
}

/// What `numpy.asarray` makes an array of that shares the tensor's memory.
#[pyfunction]
fn _array_interface(tensor: &Bound<PyTensor>) -> PyResult<Interface> {
    let t = tensor.get().get(tensor.py());
    if record::on() {
        record::check_read(&t, "numpy()")?;
    }
    if !t.array().is_host() {
        return Err(PyTypeError::new_err(format!(
            "can't convert {} device type tensor to numpy. Use Tensor.cpu() to copy the tensor to host memory first.",
            t.device()
        )));
    }
    if t.requires_grad() {
        return Err(PyRuntimeError::new_err("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."));
    }
    Ok(Interface { tensor: t })
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
    let bytes = from_interface(&array)?;
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
    functions!(tensor as_tensor from_numpy frombuffer _array_interface);
    Ok(())
}
