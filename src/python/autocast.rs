//! Autocast: while it is on, products compute in a half-precision dtype, and what loses too much in it in float32.

use crate::error::IntoPy;
use crate::record;
use crate::schema::Values;
use pyo3::prelude::*;
use rustnn_ops::registry::Arg;
use rustnn_ops::{Tensor, copy};
use rustnn_tensor::DType;
use smallvec::smallvec;
use std::cell::Cell;

thread_local! {
    static DTYPE: Cell<Option<DType>> = const { Cell::new(None) };
}

/// Sets the dtype that products compute in, None for their own; returns the former one.
#[pyfunction]
pub fn _set_autocast<'py>(py: Python<'py>, dtype: Option<PyRef<'py, crate::types::PyDType>>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let before = DTYPE.replace(dtype.map(|d| d.0));
    before.map(|dtype| crate::types::dtype(py, dtype).map(Bound::into_any)).transpose()
}

/// What [`_set_autocast`] set on this thread.
#[pyfunction]
pub fn _get_autocast(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    DTYPE.get().map(|dtype| crate::types::dtype(py, dtype).map(Bound::into_any)).transpose()
}

/// The dtype in which products compute now.
#[inline]
pub fn dtype() -> Option<DType> {
    DTYPE.get()
}

/// PyTorch's lists for the CPU (`aten/src/ATen/autocast_mode.h`), as far as such ops are here.
fn target(op: &str, half: DType, values: &Values) -> Option<DType> {
    match op {
        "linear"
        | "_linear_activation"
        | "matmul"
        | "mm"
        | "bmm"
        | "mv"
        | "addmm"
        | "addmv"
        | "baddbmm"
        | "_einsum"
        | "conv1d"
        | "conv2d"
        | "conv3d"
        | "conv_transpose1d"
        | "conv_transpose2d"
        | "conv_transpose3d"
        | "scaled_dot_product_attention" => Some(half),
        "binary_cross_entropy"
        | "binary_cross_entropy_with_logits"
        | "cross_entropy"
        | "nll_loss"
        | "mse_loss"
        | "l1_loss"
        | "smooth_l1_loss"
        | "huber_loss"
        | "kl_div"
        | "prod"
        | "trace"
        | "avg_pool3d" => Some(DType::F32),
        // These want one dtype: the widest of what they get.
        "cat" | "stack" => {
            let wide = |t: &Tensor| t.dtype() == DType::F32;
            let any = values.iter().any(|value| match value {
                Arg::Tensor(t) => wide(t),
                Arg::Tensors(all) => all.iter().any(wide),
                _ => false,
            });
            any.then_some(DType::F32)
        }
        _ => None,
    }
}

/// Casts the floating point tensors among the arguments as the op's list says.
#[cold]
pub fn cast(op: &str, half: DType, values: &mut Values) -> PyResult<()> {
    let Some(target) = target(op, half, values) else { return Ok(()) };
    let cast = |t: &mut Tensor| -> PyResult<()> {
        if matches!(t.dtype(), DType::F32 | DType::F16 | DType::BF16) && t.dtype() != target && !t.array().is_meta() {
            *t = if record::on() {
                record::op("_to", smallvec![Arg::Tensor(t.clone()), Arg::None, Arg::DType(target), Arg::Bool(false)])?
            } else {
                copy::to_dtype(t, target).py()?
            };
        }
        Ok(())
    };
    values.iter_mut().try_for_each(|value| match value {
        Arg::Tensor(t) => cast(t),
        Arg::Tensors(all) => all.iter_mut().try_for_each(cast),
        Arg::OptionalTensors(all) => all.iter_mut().flatten().try_for_each(cast),
        _ => Ok(()),
    })
}
