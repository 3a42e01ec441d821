//! `rustnn._core`: the engine as Python sees it. Only this crate knows PyO3.

mod arrays;
mod autocast;
mod call;
mod construct;
mod detach;
mod engine;
mod error;
mod files;
mod gpu;
mod indexing;
mod module_attribute;
mod module_call;
mod module_hooks;
mod module_state;
mod program;
mod record;
mod schema;
mod tensor;
mod types;
mod warning;

use error::IntoPy;
use pyo3::prelude::*;
use types::PyDType;

#[global_allocator]
static OBJECTS: rustnn_tensor::objects::Objects = rustnn_tensor::objects::Objects;

#[pyfunction]
fn get_default_dtype(py: Python<'_>) -> PyResult<Bound<'_, PyDType>> {
    types::dtype(py, rustnn_ops::row::default_dtype())
}

#[pyfunction]
fn _mark_arbitrary(on: bool) {
    rustnn_ops::create::mark_arbitrary(on);
}

#[pyfunction]
fn set_default_dtype(d: &Bound<PyAny>) -> PyResult<()> {
    let d = d.cast::<PyDType>().map_err(|_| {
        pyo3::exceptions::PyTypeError::new_err("invalid dtype object: only floating-point types are supported as the default type")
    })?;
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

/// The vector instructions in use, as `RUSTNN_SIMD` names them.
#[pyfunction]
fn _simd_level() -> &'static str {
    rustnn_kernels::level_name()
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

fn tensors(list: &Bound<PyAny>) -> PyResult<Vec<rustnn_ops::Tensor>> {
    list.try_iter()?
        .map(|t| {
            let t = t?;
            tensor::cast_tensor(&t).ok_or_else(|| {
                pyo3::exceptions::PyTypeError::new_err(format!("expected a list of Tensors, found {}", schema::type_name(&t)))
            })
        })
        .collect()
}

/// A step of SGD; `momentum_buffers` holds None where a parameter has none yet, and gets it.
#[pyfunction]
fn _sgd_step(
    params: &Bound<PyAny>,
    grads: &Bound<PyAny>,
    momentum_buffers: &Bound<pyo3::types::PyList>,
    lr: f64,
    momentum: f64,
    dampening: f64,
    weight_decay: f64,
    nesterov: bool,
    maximize: bool,
) -> PyResult<()> {
    let py = params.py();
    let (p, g) = (tensors(params)?, tensors(grads)?);
    let settings = rustnn_ops::optimizer::Sgd { lr, momentum, dampening, weight_decay, nesterov, maximize };
    let (mut buffers, mut first) = (Vec::new(), Vec::new());
    if momentum != 0.0 {
        for (i, grad) in g.iter().enumerate() {
            let given = momentum_buffers.get_item(i)?;
            first.push(given.is_none());
            buffers.push(match tensor::cast_tensor(&given) {
                Some(b) => b,
                None => {
                    let fresh = rustnn_ops::create::zeros_like(&grad.detach()).py()?;
                    momentum_buffers.set_item(i, tensor::wrap(py, fresh.clone())?)?;
                    fresh
                }
            });
        }
    }
    detach::detached(py, || rustnn_ops::optimizer::sgd(&settings, &p, &g, &buffers, &first)).py()
}

/// A step of Adam or AdamW (`decoupled`); `steps` are counted up.
#[pyfunction]
fn _adam_step(
    params: &Bound<PyAny>,
    grads: &Bound<PyAny>,
    exp_avgs: &Bound<PyAny>,
    exp_avg_sqs: &Bound<PyAny>,
    max_exp_avg_sqs: &Bound<PyAny>,
    steps: &Bound<PyAny>,
    amsgrad: bool,
    beta1: f64,
    beta2: f64,
    lr: f64,
    weight_decay: f64,
    eps: f64,
    maximize: bool,
    decoupled: bool,
) -> PyResult<()> {
    let py = params.py();
    let (p, g) = (tensors(params)?, tensors(grads)?);
    let (m, v, s) = (tensors(exp_avgs)?, tensors(exp_avg_sqs)?, tensors(steps)?);
    let w = if amsgrad { Some(tensors(max_exp_avg_sqs)?) } else { None };
    let same = [g.len(), m.len(), v.len(), s.len()].iter().all(|&n| n == p.len()) && w.as_ref().is_none_or(|w| w.len() == p.len());
    if !same {
        return Err(pyo3::exceptions::PyValueError::new_err("_adam_step: lists of different lengths"));
    }
    let settings = rustnn_ops::optimizer::Adam { lr, beta1, beta2, eps, weight_decay, decoupled, maximize };
    let run = || rustnn_ops::optimizer::adam(&settings, &p, &g, &m, &v, w.as_deref(), &s);
    // Attaching again costs more than a small step.
    if p.iter().map(|t| t.numel()).sum::<usize>() > 1 << 14 { detach::detached(py, run).py() } else { run().py() }
}

#[pymodule(gil_used = false)]
fn _core(module: &Bound<PyModule>) -> PyResult<()> {
    let py = module.py();
    tensor::install_host();
    module.add_class::<tensor::PyTensor>()?;
    module.add("DTypeError", error::dtype_error(py)?)?;
    module.add("OutOfMemoryError", error::out_of_memory_error(py)?)?;
    types::add_to(module)?;
    call::add_to(module)?;
    engine::add_to(module)?;
    arrays::add_to(module)?;
    construct::add_to(module)?;
    files::add_to(module)?;
    gpu::add_to(module)?;
    warning::add_to(module)?;
    record::add_to(module)?;
    program::add_to(module)?;
    module.add_function(wrap_pyfunction!(tensor::_size_getitem, module)?)?;
    module.add("_module_call", module_call::descriptor(py)?)?;
    module.add_function(wrap_pyfunction!(module_call::_set_global_hooks, module)?)?;
    module.add("_module_getattr", module_attribute::getter(py)?)?;
    module.add("_module_setattr", module_attribute::setter(py)?)?;
    module.add_function(wrap_pyfunction!(module_attribute::_set_registration_hooks, module)?)?;
    module.add_function(wrap_pyfunction!(module_attribute::_set_module_classes, module)?)?;
    module.add_function(wrap_pyfunction!(module_state::_module_state_dict, module)?)?;
    module.add_function(wrap_pyfunction!(module_state::_module_load, module)?)?;
    module.add_function(wrap_pyfunction!(autocast::_set_autocast, module)?)?;
    module.add_function(wrap_pyfunction!(autocast::_get_autocast, module)?)?;
    macro_rules! functions {
        ($($f:ident)*) => { $(module.add_function(wrap_pyfunction!($f, module)?)?;)* };
    }
    functions! {
        _mark_arbitrary get_default_dtype set_default_dtype promote_types can_cast get_num_threads set_num_threads _memory _reset_peak_memory _simd_level
        _empty_cache _set_default_device _get_default_device _set_function_markers _set_torch_function_off
        _sgd_step _adam_step
    }
    Ok(())
}
