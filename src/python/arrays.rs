//! NumPy's arrays and numbers. NumPy is imported only to make an array: whoever hands one in has imported it.

use crate::error::IntoPy;
use crate::record;
use crate::tensor::PyTensor;
use numpy::npyffi::{NPY_ARRAY_WRITEABLE, NPY_TYPES, NpyTypes, PY_ARRAY_API, PyArrayObject, get_type_object, npy_intp};
use numpy::{PyArrayDescr, PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::*;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyComplex, PyFloat, PyInt};
use rustnn_ops::Tensor;
use rustnn_ops::row::Scalar;
use rustnn_tensor::{Array, DType, Storage, Strides};
use smallvec::SmallVec;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether NumPy is there, without importing it.
#[inline]
fn is_loaded(py: Python<'_>) -> bool {
    static LOADED: AtomicBool = AtomicBool::new(false);
    LOADED.load(Relaxed) || {
        let loaded = finished_import(py).unwrap_or(false);
        LOADED.store(loaded, Relaxed);
        loaded
    }
}

/// Whether an import of NumPy has come to its end.
#[cold]
fn finished_import(py: Python<'_>) -> PyResult<bool> {
    let modules = py.import(intern!(py, "sys"))?.getattr(intern!(py, "modules"))?;
    match modules.get_item(intern!(py, "numpy")) {
        Ok(module) => Ok(module.hasattr(intern!(py, "ndarray"))?
            && module.getattr("__spec__")?.getattr("_initializing").map_or(Ok(true), |on| on.is_truthy().map(|on| !on))?),
        Err(_) => Ok(false),
    }
}

/// An array of NumPy's, or None.
#[inline]
pub fn array<'a, 'py>(object: &'a Bound<'py, PyAny>) -> Option<&'a Bound<'py, PyUntypedArray>> {
    if is_loaded(object.py()) { object.cast().ok() } else { None }
}

/// An array, or one over the memory of another object that describes itself as arrays do.
pub fn array_like<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyUntypedArray>>> {
    if let Some(array) = array(object) {
        return Ok(Some(array.clone()));
    }
    if !object.hasattr(intern!(object.py(), "__array_interface__"))? {
        return Ok(None);
    }
    let array = object.py().import("numpy")?.call_method1("asarray", (object,))?;
    Ok(Some(array.cast_into()?))
}

fn dtype_of(descr: &Bound<PyArrayDescr>) -> Option<DType> {
    const BOOL: i32 = NPY_TYPES::NPY_BOOL as i32;
    const FIRST_INT: i32 = NPY_TYPES::NPY_BYTE as i32;
    const LAST_INT: i32 = NPY_TYPES::NPY_ULONGLONG as i32;
    const HALF: i32 = NPY_TYPES::NPY_HALF as i32;
    const FLOAT: i32 = NPY_TYPES::NPY_FLOAT as i32;
    const DOUBLE: i32 = NPY_TYPES::NPY_DOUBLE as i32;
    const CFLOAT: i32 = NPY_TYPES::NPY_CFLOAT as i32;
    const CDOUBLE: i32 = NPY_TYPES::NPY_CDOUBLE as i32;
    Some(match descr.num() {
        BOOL => DType::Bool,
        HALF => DType::F16,
        FLOAT => DType::F32,
        DOUBLE => DType::F64,
        CFLOAT => DType::C64,
        CDOUBLE => DType::C128,
        // The widths of C's integers are the platform's; signed and unsigned ones take turns.
        number @ FIRST_INT..=LAST_INT => match (descr.itemsize(), (number - FIRST_INT) % 2 == 0) {
            (1, true) => DType::I8,
            (2, true) => DType::I16,
            (4, true) => DType::I32,
            (8, true) => DType::I64,
            (1, false) => DType::U8,
            (2, false) => DType::U16,
            (4, false) => DType::U32,
            (8, false) => DType::U64,
            _ => return None,
        },
        _ => return None,
    })
}

fn type_number(dtype: DType) -> Option<NPY_TYPES> {
    Some(match dtype {
        DType::F32 => NPY_TYPES::NPY_FLOAT,
        DType::F64 => NPY_TYPES::NPY_DOUBLE,
        DType::F16 => NPY_TYPES::NPY_HALF,
        DType::I8 => NPY_TYPES::NPY_BYTE,
        DType::I16 => NPY_TYPES::NPY_SHORT,
        DType::I32 => NPY_TYPES::NPY_INT,
        DType::I64 if size_of::<std::ffi::c_long>() == 8 => NPY_TYPES::NPY_LONG,
        DType::I64 => NPY_TYPES::NPY_LONGLONG,
        DType::U8 => NPY_TYPES::NPY_UBYTE,
        DType::U16 => NPY_TYPES::NPY_USHORT,
        DType::U32 => NPY_TYPES::NPY_UINT,
        DType::U64 if size_of::<std::ffi::c_long>() == 8 => NPY_TYPES::NPY_ULONG,
        DType::U64 => NPY_TYPES::NPY_ULONGLONG,
        DType::Bool => NPY_TYPES::NPY_BOOL,
        DType::C64 => NPY_TYPES::NPY_CFLOAT,
        DType::C128 => NPY_TYPES::NPY_CDOUBLE,
        _ => return None,
    })
}

/// A tensor over an array's memory, which it keeps alive.
pub fn tensor_over(array: &Bound<PyUntypedArray>) -> PyResult<Tensor> {
    let descr = array.dtype();
    let Some(dtype) = dtype_of(&descr) else {
        let name = descr.getattr("type")?.getattr("__name__")?;
        return Err(PyTypeError::new_err(format!(
            "can't convert np.ndarray of type numpy.{name}. The only supported types are: float64, float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
        )));
    };
    if descr.is_native_byteorder() == Some(false) {
        return Err(PyValueError::new_err(
            "given numpy array has byte order different from the native byte order. Conversion between byte orders is currently not supported.",
        ));
    }
    let (shape, bytes) = (array.shape(), array.strides());
    let width = dtype.size_bytes() as isize;
    if bytes.iter().any(|b| b % width != 0) {
        return Err(PyValueError::new_err(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy array to reallocate the memory.",
        ));
    }
    if bytes.iter().zip(shape).any(|(&b, &n)| b < 0 && n > 1) {
        return Err(PyValueError::new_err(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not currently supported. (You can probably work around this by making a copy of your array  with array.copy().) ",
        ));
    }
    let strides: Strides = bytes.iter().map(|b| b / width).collect();
    let empty = shape.contains(&0);
    let reach: usize = if empty { 0 } else { shape.iter().zip(&strides).map(|(&n, &s)| (n - 1) * s as usize).sum::<usize>() + 1 };
    // SAFETY: attached, a live array; NumPy never moves the fields that are read.
    let (data, writable) = unsafe {
        let own = &(*array.as_array_ptr()).fields;
        (own.data.cast::<u8>(), own.flags & NPY_ARRAY_WRITEABLE != 0)
    };
    if data as usize % dtype.size_bytes() != 0 && !empty {
        return Err(PyValueError::new_err("given numpy array is not aligned for its dtype; copy it first"));
    }
    // SAFETY: the array vouches for its own geometry and stays alive, as we hold it.
    let storage = unsafe { Storage::foreign(data, reach * dtype.size_bytes(), writable, Box::new(array.clone().into_any().unbind())) };
    Array::from_storage(storage, dtype, shape, &strides, 0).map(Tensor::from_array).py()
}

/// What an array made of a tensor keeps: the header it was made of, whatever becomes of the tensor.
#[pyclass(module = "rustnn", frozen)]
struct Lent {
    _tensor: Tensor,
}

/// An array over a tensor's memory.
#[pyfunction]
fn _array_over<'py>(tensor: &Bound<'py, PyTensor>) -> PyResult<Bound<'py, PyAny>> {
    let py = tensor.py();
    let t = tensor.get().get(py);
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
    let number =
        type_number(t.dtype()).ok_or_else(|| PyTypeError::new_err(format!("Got unsupported ScalarType {}", t.dtype().scalar_name())))?;
    if !is_loaded(py) {
        py.import("numpy")?;
    }
    let a = t.array();
    let width = a.dtype().size_bytes() as isize;
    let mut sizes: SmallVec<[npy_intp; 8]> = a.shape().iter().map(|&n| n as npy_intp).collect();
    let mut strides: SmallVec<[npy_intp; 8]> = a.strides().iter().map(|&s| s * width).collect();
    // NumPy asks for an address even where there is nothing.
    let address = if a.numel() == 0 { rustnn_tensor::allocator::ALIGN_BYTES as *mut u8 } else { a.ptr() };
    let flags = if a.storage().is_writable() { NPY_ARRAY_WRITEABLE } else { 0 };
    let keeper = Bound::new(py, Lent { _tensor: t.clone() })?;
    // SAFETY: attached; the memory is the tensor's, of that geometry, and lives as long as the keeper, which the array owns. NumPy
    // takes over the description and the keeper, whether it succeeds or not.
    unsafe {
        let descr = PY_ARRAY_API.PyArray_DescrFromType(py, number as i32);
        let class = get_type_object(py, NpyTypes::PyArray_Type);
        let rank = sizes.len() as i32;
        let made = PY_ARRAY_API.PyArray_NewFromDescr(
            py,
            class,
            descr,
            rank,
            sizes.as_mut_ptr(),
            strides.as_mut_ptr(),
            address.cast(),
            flags,
            std::ptr::null_mut(),
        );
        let array = Bound::from_owned_ptr_or_err(py, made)?;
        if PY_ARRAY_API.PyArray_SetBaseObject(py, array.as_ptr().cast::<PyArrayObject>(), keeper.into_ptr()) < 0 {
            return Err(PyErr::fetch(py));
        }
        Ok(array)
    }
}

/// A number of NumPy's.
pub enum Number {
    Real(Scalar),
    Complex(f64, f64),
}

/// A number of NumPy's (none that is Python's too, as float64 is) and its dtype; None for anything else.
pub fn number(object: &Bound<PyAny>) -> Option<(Number, DType)> {
    let py = object.py();
    if !is_loaded(py) {
        return None;
    }
    // SAFETY: attached; NumPy's class above those of all its numbers.
    if unsafe { ffi::PyObject_TypeCheck(object.as_ptr(), get_type_object(py, NpyTypes::PyGenericArrType_Type)) } == 0 {
        return None;
    }
    // SAFETY: attached, an object of that class; the description is a new reference.
    let descr = unsafe { Bound::from_owned_ptr_or_opt(py, PY_ARRAY_API.PyArray_DescrFromScalar(py, object.as_ptr()).cast()) };
    let Some(descr) = descr else {
        drop(PyErr::take(py));
        return None;
    };
    let dtype = dtype_of(descr.cast::<PyArrayDescr>().ok()?);
    let item = object.call_method0(intern!(py, "item")).ok()?;
    if let Ok(complex) = item.cast_exact::<PyComplex>() {
        return Some((Number::Complex(complex.real(), complex.imag()), dtype.unwrap_or(DType::C128)));
    }
    // Of longdouble, say, the item is a longdouble again.
    let real = item.is_exact_instance_of::<PyFloat>() || item.is_exact_instance_of::<PyInt>() || item.is_exact_instance_of::<PyBool>();
    let scalar = if real { crate::schema::scalar(&item)? } else { return None };
    Some((Number::Real(scalar), dtype.unwrap_or(DType::F64)))
}

pub fn add_to(module: &Bound<PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_array_over, module)?)
}
