//! The ops' warnings, in Python.

use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;
use rustnn_ops::warning;

fn show(text: &str) {
    Python::attach(|py| {
        let text = std::ffi::CString::new(text).unwrap_or_default();
        // A filter that makes errors of warnings cannot end an op that has run: the error is shown instead.
        if let Err(error) = PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 1) {
            error.write_unraisable(py, None);
        }
    });
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
