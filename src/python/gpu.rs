//! The functions behind `rustnn.gpu`.

use crate::error::IntoPy;
use pyo3::prelude::*;
use rustnn_ops::device::gpus;

/// How many GPUs there are, those that the CPU imitates included.
#[pyfunction]
fn _gpu_device_count(py: Python<'_>) -> usize {
    py.detach(gpus::count)
}

#[pyfunction]
fn _gpu_device_name(py: Python<'_>, index: u16) -> PyResult<String> {
    py.detach(|| gpus::name(index)).py()
}

/// Whether the CPU imitates it.
#[pyfunction]
fn _gpu_is_imitated(py: Python<'_>, index: u16) -> PyResult<bool> {
    py.detach(|| gpus::is_imitated(index)).py()
}

/// Waits until the device has done everything asked of it.
#[pyfunction]
fn _gpu_synchronize(py: Python<'_>, index: u16) -> PyResult<()> {
    py.detach(|| gpus::synchronize(index)).py()
}

/// (bytes that tensors hold, the most they have held).
#[pyfunction]
fn _gpu_memory(py: Python<'_>, index: u16) -> PyResult<(usize, usize)> {
    py.detach(|| gpus::memory(index)).py()
}

#[pyfunction]
fn _gpu_empty_cache(py: Python<'_>, index: u16) -> PyResult<()> {
    py.detach(|| gpus::empty_cache(index)).py()
}

/// (dispatches, times the host waited) so far.
#[pyfunction]
fn _gpu_counts(py: Python<'_>, index: u16) -> PyResult<(u64, u64)> {
    py.detach(|| gpus::counts(index)).py()
}

/// Says once that a function of the Python package is computed on the CPU, on copies of what lies on a GPU.
#[pyfunction]
fn _warn_of_fallback(name: &str, tensor: &Bound<crate::tensor::PyTensor>) -> PyResult<()> {
    rustnn_ops::device::warn_once(name, Some(tensor.get().get(tensor.py()).dtype())).py()
}

/// Ends the device as a driver that gives up would. For tests.
#[pyfunction]
fn _gpu_lose(py: Python<'_>, index: u16) -> PyResult<()> {
    py.detach(|| gpus::lose(index)).py()
}

/// Forgets what kernels found wrong with numbers: what came of it is read as it is. For tests.
#[pyfunction]
fn _gpu_forget_faults(py: Python<'_>, index: u16) -> PyResult<()> {
    py.detach(|| gpus::forget_faults(index)).py()
}

/// Begins to time every kernel by the device's clock.
#[pyfunction]
fn _gpu_start_profile(py: Python<'_>, index: u16) -> PyResult<()> {
    py.detach(|| gpus::start_profile(index)).py()
}

/// (kernel, how often it ran, ns in all) of each kernel since the profile was started.
#[pyfunction]
fn _gpu_end_profile(py: Python<'_>, index: u16) -> PyResult<Vec<(String, u64, f64)>> {
    py.detach(|| gpus::end_profile(index)).py()
}

/// Records a kernel of multiply-adds in registers; how many operations it does.
#[pyfunction]
fn _gpu_fma_loop(py: Python<'_>, index: u16, loops: usize) -> PyResult<f64> {
    py.detach(|| gpus::fma_loop(index, loops)).py()
}

/// Records the driver's own copy of so many bytes.
#[pyfunction]
fn _gpu_buffer_copy(py: Python<'_>, index: u16, bytes: usize) -> PyResult<()> {
    py.detach(|| gpus::buffer_copy(index, bytes)).py()
}

pub fn add_to(module: &Bound<PyModule>) -> PyResult<()> {
    rustnn_ops::device::register();
    module.add_function(wrap_pyfunction!(_gpu_device_count, module)?)?;
    module.add_function(wrap_pyfunction!(_gpu_device_name, module)?)?;
    module.add_function(wrap_pyfunction!(_gpu_is_imitated, module)?)?;
    module.add_function(wrap_pyfunction!(_gpu_synchronize, module)?)?;
    module.add_function(wrap_pyfunction!(_gpu_memory, module)?)?;
    module.add_function(wrap_pyfunction!(_gpu_empty_cache, module)?)?;
    module.add_function(wrap_pyfunction!(_gpu_counts, module)?)?;
    module.add_function(wrap_pyfunction!(_warn_of_fallback, module)?)?;
    module.add_function(wrap_pyfunction!(_gpu_lose, module)?)?;
    module.add_function(wrap_pyfunction!(_gpu_forget_faults, module)?)?;
    module.add_function(wrap_pyfunction!(_gpu_start_profile, module)?)?;
    module.add_function(wrap_pyfunction!(_gpu_end_profile, module)?)?;
    module.add_function(wrap_pyfunction!(_gpu_fma_loop, module)?)?;
    module.add_function(wrap_pyfunction!(_gpu_buffer_copy, module)?)
}
