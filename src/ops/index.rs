//! Indexing with tensors.

use crate::tensor::Tensor;
use rustnn_tensor::{Result, bail};

/// `x[indices]`; None takes a whole dimension.
pub fn get(_x: &Tensor, _indices: &[Option<Tensor>]) -> Result<Tensor> {
    bail!(NotImplemented, "indexing with tensors")
}

/// `x[indices] = value`, or `+=` if `accumulate`.
pub fn put(_x: &Tensor, _indices: &[Option<Tensor>], _value: &Tensor, _accumulate: bool) -> Result<()> {
    bail!(NotImplemented, "indexing with tensors")
}
