//! The ops' warnings, in Python.

use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use rustnn_ops::warning;

/// A filter may make an error of it, which ends the op.
fn show(text: &str) -> Result<(), rustnn_tensor::Error> {
    Python::attach(|py| {
        let text = std::ffi::CString::new(text).unwrap_or_default();
        PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 1).map_err(crate::error::from_python)
    })
}

/// What is said where an `out` that has elements is given another shape.
#[pyfunction]
fn _resized_text(before: Vec<usize>, after: Vec<usize>) -> String {
    warning::resized(&before, &after)
}

pub fn add_to(module: &Bound<PyModule>) -> PyResult<()> {
    warning::on_warning(show);
    module.add_function(wrap_pyfunction!(_resized_text, module)?)
}
