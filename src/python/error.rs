//! Rust errors as Python exceptions, the one mapping.

use pyo3::exceptions::*;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use rustnn_tensor::Error;
use rustnn_tensor::error::HostError;
use std::sync::Arc;

/// An exception class with two bases, made on first use: `DTypeError(RuntimeError, TypeError)`.
fn class<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyType>>,
    name: &str,
    base: Bound<'py, PyAny>,
    doc: &str,
) -> PyResult<&'py Bound<'py, PyType>> {
    let made = cell.get_or_try_init(py, || -> PyResult<Py<PyType>> {
        let bases = PyTuple::new(py, [py.get_type::<PyRuntimeError>().into_any(), base])?;
        let namespace = PyDict::new(py);
        namespace.set_item("__module__", "rustnn")?;
        namespace.set_item("__doc__", doc)?;
        Ok(py.get_type::<PyType>().call1((name, bases, namespace))?.cast_into::<PyType>()?.unbind())
    })?;
    Ok(made.bind(py))
}

static DTYPE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
static MEMORY: PyOnceLock<Py<PyType>> = PyOnceLock::new();

pub fn dtype_error(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    class(
        py,
        &DTYPE,
        "DTypeError",
        py.get_type::<PyTypeError>().into_any(),
        "An op was given a dtype, or a mix of dtypes, that it cannot take.",
    )
}

pub fn out_of_memory_error(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    class(py, &MEMORY, "OutOfMemoryError", py.get_type::<PyMemoryError>().into_any(), "Memory could not be had.")
}

/// A Python exception on its way through Rust.
pub fn from_python(error: PyErr) -> Error {
    Error::Host(HostError(Arc::new(error)))
}

pub fn to_python(error: Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Runtime(_) => PyRuntimeError::new_err(text),
        Error::Type(_) => PyTypeError::new_err(text),
        Error::Value(_) => PyValueError::new_err(text),
        Error::Index(_) => PyIndexError::new_err(text),
        Error::Assertion(_) => PyAssertionError::new_err(text),
        Error::NotImplemented(_) => PyNotImplementedError::new_err(text),
        Error::DType(_) => Python::attach(|py| match dtype_error(py) {
            Ok(class) => PyErr::from_type(class.clone(), text),
            Err(error) => error,
        }),
        Error::OutOfMemory { .. } | Error::DeviceOutOfMemory { .. } => Python::attach(|py| match out_of_memory_error(py) {
            Ok(class) => PyErr::from_type(class.clone(), text),
            Err(error) => error,
        }),
        Error::Interrupted => PyKeyboardInterrupt::new_err(()),
        Error::Host(HostError(inner)) => match inner.downcast::<PyErr>() {
            Ok(error) => Python::attach(|py| error.clone_ref(py)),
            Err(_) => PyRuntimeError::new_err(text),
        },
    }
}

/// `result.py()?` in functions that Python calls.
pub trait IntoPy<T> {
    fn py(self) -> PyResult<T>;
}

impl<T> IntoPy<T> for Result<T, Error> {
    fn py(self) -> PyResult<T> {
        self.map_err(to_python)
    }
}
