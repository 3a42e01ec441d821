//! The functions behind `rustnn.gpu`.

use pyo3::exceptions::PyUserWarning;
use pyo3::prelude::*;

/// Hands the ops' warnings to Python and makes the device known.
pub fn install() {
    rustnn_ops::device::register();
    rustnn_ops::device::on_warning(|text| {
        Python::attach(|py| {
            let text = std::ffi::CString::new(text).unwrap_or_default();
            // A filter that makes errors of warnings cannot end an op that has run: the error is shown instead.
            if let Err(error) = PyErr::warn(py, &py.get_type::<PyUserWarning>(), &text, 1) {
                error.write_unraisable(py, None);
            }
        });
    });
}

#[cfg(feature = "gpu")]
mod built {
    use super::*;
    use crate::error::IntoPy;
    use rustnn_gpu::gpu;

    /// How many GPUs there are, those that the CPU imitates included.
    #[pyfunction]
    fn _gpu_device_count(py: Python<'_>) -> usize {
        py.detach(rustnn_gpu::device_count)
    }

    #[pyfunction]
    fn _gpu_device_name(py: Python<'_>, index: u16) -> PyResult<String> {
        py.detach(|| rustnn_gpu::device_name(index)).py()
    }

    /// Waits until the device has done everything asked of it.
    #[pyfunction]
    fn _gpu_synchronize(py: Python<'_>, index: u16) -> PyResult<()> {
        py.detach(|| gpu(index)?.synchronize()).py()
    }

    /// (bytes that tensors hold, the most they have held).
    #[pyfunction]
    fn _gpu_memory(py: Python<'_>, index: u16) -> PyResult<(usize, usize)> {
        py.detach(|| gpu(index).map(|g| (g.memory_allocated(), g.max_memory_allocated()))).py()
    }

    #[pyfunction]
    fn _gpu_empty_cache(py: Python<'_>, index: u16) -> PyResult<()> {
        py.detach(|| gpu(index)?.empty_cache()).py()
    }

    /// (dispatches, times the host waited) so far.
    #[pyfunction]
    fn _gpu_counts(py: Python<'_>, index: u16) -> PyResult<(u64, u64)> {
        py.detach(|| gpu(index).map(|g| (g.dispatches(), g.waits()))).py()
    }

    pub fn add_to(module: &Bound<PyModule>) -> PyResult<()> {
        module.add_function(wrap_pyfunction!(_gpu_device_count, module)?)?;
        module.add_function(wrap_pyfunction!(_gpu_device_name, module)?)?;
        module.add_function(wrap_pyfunction!(_gpu_synchronize, module)?)?;
        module.add_function(wrap_pyfunction!(_gpu_memory, module)?)?;
        module.add_function(wrap_pyfunction!(_gpu_empty_cache, module)?)?;
        module.add_function(wrap_pyfunction!(_gpu_counts, module)?)?;
        Ok(())
    }
}

pub fn add_to(module: &Bound<PyModule>) -> PyResult<()> {
    install();
    #[cfg(feature = "gpu")]
    built::add_to(module)?;
    module.add("_has_gpu", cfg!(feature = "gpu"))
}
