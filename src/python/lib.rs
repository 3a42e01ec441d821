//! `rustnn._core`: the engine as Python sees it. Only this crate knows PyO3.

mod construct;
mod call;
mod engine;
mod error;
mod indexing;
mod schema;
mod tensor;
mod types;

use error::IntoPy;
use pyo3::prelude::*;
use types::PyDType;

#[pyfunction]
fn get_default_dtype(py: Python<'_>) -> PyResult<Bound<'_, PyDType>> {
    types::dtype(py, rustnn_ops::row::default_dtype())
}

#[pyfunction]
fn set_default_dtype(d: &Bound<PyAny>) -> PyResult<()> {
    let d = d.cast::<PyDType>().map_err(|_| pyo3::exceptions::PyTypeError::new_err("invalid dtype object: only floating-point types are supported as the default type"))?;
    rustnn_ops::row::set_default_dtype(d.get().0).py()
}

#[pyfunction]
fn promote_types<'py>(a: &Bound<'py, PyDType>, b: &Bound<'py, PyDType>) -> PyResult<Bound<'py, PyDType>> {
    let (x, y) = (a.get().0, b.get().0);
    let out = x.promote(y).ok_or_else(|| {
        pyo3::exceptions::PyRuntimeError::new_err(format!("Promotion for {} and {} types is not supported", x.name(), y.name()))
    })?;
    types::dtype(a.py(), out)
}

#[pyfunction]
fn can_cast(from_: &Bound<PyDType>, to: &Bound<PyDType>) -> bool {
    from_.get().0.can_cast(to.get().0)
}

#[pyfunction]
fn get_num_threads() -> usize {
    rustnn_kernels::parallel::num_threads()
}

#[pyfunction]
fn set_num_threads(n: i64) -> PyResult<()> {
    let n = usize::try_from(n).ok().filter(|&n| n > 0);
    let n = n.ok_or_else(|| pyo3::exceptions::PyRuntimeError::new_err("set_num_threads expects a positive integer"))?;
    rustnn_kernels::parallel::set_num_threads(n);
    Ok(())
}

/// Live bytes, their peak, and bytes kept for reuse.
#[pyfunction]
fn _memory() -> (usize, usize, usize) {
    let (live, peak) = rustnn_tensor::allocator::live_bytes();
    (live, peak, rustnn_tensor::allocator::kept_bytes())
}

#[pyfunction]
fn _reset_peak_memory() {
    rustnn_tensor::allocator::reset_peak();
}

#[pyfunction]
fn _empty_cache() {
    rustnn_tensor::allocator::empty_cache();
}

#[pyfunction]
fn _set_default_device(device: &Bound<PyAny>) -> PyResult<()> {
    rustnn_ops::set_default_device(types::parse_device(device)?);
    Ok(())
}

#[pyfunction]
fn _get_default_device() -> types::PyDevice {
    types::PyDevice::new(rustnn_ops::default_device())
}

#[pyfunction]
fn _set_function_markers(py: Python<'_>, disabled: Py<PyAny>, default: Py<PyAny>) {
    call::set_function_markers(py, disabled, default);
}

/// Returns the former state.
#[pyfunction]
fn _set_torch_function_off(off: bool) -> bool {
    call::FUNCTION_OFF.replace(off)
}

/// A base for `Module` without fields of its own, so that classes may also derive from `dict` and the like.
#[pyclass(module = "rustnn", subclass, frozen, skip_from_py_object)]
struct ModuleBase;

#[pymethods]
impl ModuleBase {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<pyo3::types::PyTuple>, _kwargs: Option<&Bound<pyo3::types::PyDict>>) -> ModuleBase {
        ModuleBase
    }
}

#[pymodule(gil_used = false)]
fn _core(module: &Bound<PyModule>) -> PyResult<()> {
    let py = module.py();
    tensor::install_host();
    module.add_class::<tensor::PyTensor>()?;
    module.add_class::<ModuleBase>()?;
    module.add("DTypeError", error::dtype_error(py)?)?;
    module.add("OutOfMemoryError", error::out_of_memory_error(py)?)?;
    types::add_to(module)?;
    call::add_to(module)?;
    engine::add_to(module)?;
    construct::add_to(module)?;
    macro_rules! functions {
        ($($f:ident)*) => { $(module.add_function(wrap_pyfunction!($f, module)?)?;)* };
    }
    functions! {
        get_default_dtype set_default_dtype promote_types can_cast get_num_threads set_num_threads _memory _reset_peak_memory
        _empty_cache _set_default_device _get_default_device _set_function_markers _set_torch_function_off
    }
    Ok(())
}
