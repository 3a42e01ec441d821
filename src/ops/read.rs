//! Single elements read out.

use crate::device::arrays;
use crate::row::Scalar;
use crate::tensor::Tensor;
use rustnn_tensor::{Array, Result, bail};

/// The only element of an array.
pub fn scalar(x: &Array) -> Result<Scalar> {
    if x.numel() != 1 {
        bail!(Runtime, "a Tensor with {} elements cannot be converted to Scalar", x.numel());
    }
    if x.is_meta() {
        bail!(Runtime, "Tensor.item() cannot be called on meta tensors");
    }
    arrays::first(x)
}

/// `x.item()`.
pub fn item(x: &Tensor) -> Result<Scalar> {
    scalar(x.array())
}

/// All elements in logical order.
pub fn elements(x: &Array) -> Result<Vec<Scalar>> {
    if x.is_meta() {
        bail!(NotImplemented, "Cannot copy out of meta tensor; no data!");
    }
    arrays::elements(&crate::copy::contiguous_array(x)?)
}
