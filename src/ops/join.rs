//! Tensors put together: `cat` and `stack`.

use crate::copy::is_channels_last;
use crate::registry::into_out;
use crate::tape::record;
use crate::tensor::{Tensor, needs_grad};
use rustnn_autograd::{Backward, Context, Grads};
use rustnn_tensor::shape::wrap_dim;
use rustnn_tensor::{Array, DType, Error, Result, Shape, bail, ensure};

struct CatBackward {
    dim: usize,
    /// Size along `dim` and dtype of each input; None for the empty vectors that PyTorch lets pass.
    parts: Vec<Option<(usize, DType)>>,
}

impl Backward<Tensor> for CatBackward {
    fn name(&self) -> String {
        "CatBackward0".into()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(dy) = grads.into_iter().next().flatten() else { return Ok(self.parts.iter().map(|_| None).collect()) };
        let mut start = 0;
        self.parts
            .iter()
            .enumerate()
            .map(|(i, part)| match part {
                None => Ok(None),
                Some((size, dtype)) => {
                    let at = start;
                    start += size;
                    if !context.wants(i) {
                        return Ok(None);
                    }
                    let piece = crate::views::narrow(&dy, self.dim as i64, at as i64, *size as i64)?;
                    crate::to_dtype(&piece, *dtype).map(Some)
                }
            })
            .collect()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The tensors one behind the other along `dim`; all other sizes are equal.
pub fn cat(tensors: &[Tensor], dim: i64) -> Result<Tensor> {
    ensure!(!tensors.is_empty(), Value, "torch.cat(): expected a non-empty list of Tensors");
    // A vector without elements fits everything, as in PyTorch.
    let skipped = |t: &Tensor| t.shape() == [0];
    let first = tensors.iter().find(|t| !skipped(t)).unwrap_or(&tensors[0]);
    if let Some(at) = tensors.iter().position(|t| t.rank() == 0) {
        bail!(Runtime, "zero-dimensional tensor (at position {at}) cannot be concatenated");
    }
    // Where all are such vectors, the dimension is none of theirs.
    let d = if skipped(first) { 0 } else { wrap_dim(dim, first.rank())? };
    let mut dtype = first.dtype();
    let mut total = 0usize;
    for (i, t) in tensors.iter().enumerate() {
        dtype = dtype
            .promote(t.dtype())
            .ok_or_else(|| Error::Runtime(format!("cat: no common dtype of {} and {}", dtype.name(), t.dtype().name())))?;
        if skipped(t) && first.rank() != 1 {
            continue;
        }
        ensure!(t.rank() == first.rank(), Runtime, "Tensors must have same number of dimensions: got {} and {}", first.rank(), t.rank());
        for k in 0..t.rank() {
            ensure!(
                k == d || t.shape()[k] == first.shape()[k],
                Runtime,
                "Sizes of tensors must match except in dimension {d}. Expected size {} but got size {} for tensor number {i} in the list.",
                first.shape()[k],
                t.shape()[k]
            );
        }
        ensure!(
            t.device() == first.device(),
            Runtime,
            "Expected all tensors to be on the same device, but found at least two devices, {} and {}!",
            first.device(),
            t.device()
        );
        total = total.checked_add(t.shape()[d]).ok_or_else(Error::size_overflow)?;
    }
    let mut shape: Shape = first.shape().into();
    shape[d] = total;
    let mut joined = tensors.iter().filter(|t| !(skipped(t) && first.rank() != 1));
    let out = crate::copy::in_channels_last(
        Array::empty(&shape, dtype, first.device())?,
        is_channels_last(first.array()) && joined.all(|t| is_channels_last(t.array())),
    )?;
    let mut start = 0;
    let mut parts = Vec::with_capacity(tensors.len());
    for t in tensors {
        if skipped(t) && first.rank() != 1 {
            parts.push(None);
            continue;
        }
        let n = t.shape()[d];
        crate::copy::copy_array(t.array(), &crate::views::narrow_array(&out, d, start, n))?;
        parts.push(Some((n, t.dtype())));
        start += n;
    }
    let inputs: Vec<&Tensor> = tensors.iter().collect();
    if !needs_grad(&inputs) || !dtype.is_differentiable() {
        return Ok(Tensor::from_array(out));
    }
    Ok(record(out, &inputs, CatBackward { dim: d, parts }))
}

/// The tensors side by side along a new dimension; all sizes are equal.
pub fn stack(tensors: &[Tensor], dim: i64) -> Result<Tensor> {
    ensure!(!tensors.is_empty(), Runtime, "stack expects a non-empty TensorList");
    let first = &tensors[0];
    let n = first.rank() as i64 + 1;
    if dim < -n || dim >= n {
        return Err(Error::dim_range(dim, n as usize));
    }
    let d = if dim < 0 { dim + n } else { dim };
    let mut wide = Vec::with_capacity(tensors.len());
    for (i, t) in tensors.iter().enumerate() {
        ensure!(
            t.shape() == first.shape(),
            Runtime,
            "stack expects each tensor to be equal size, but got {:?} at entry 0 and {:?} at entry {i}",
            first.shape(),
            t.shape()
        );
        wide.push(crate::unsqueeze(t, d)?);
    }
    cat(&wide, d).map(|t| crate::tape::named(t, "StackBackward0"))
}

crate::ops! {
    "cat(Tensor[] tensors, int dim=0, *, Tensor? out=None)" Function "The tensors one behind the other along a dimension." => |a| {
        let inputs: Vec<&Tensor> = a.tensors(0)?.iter().collect();
        into_out("cat", &inputs, || cat(a.tensors(0)?, a.int(1)?), a.opt_tensor(2)?)?
    };
    "stack(Tensor[] tensors, int dim=0, *, Tensor? out=None)" Function "The tensors side by side along a new dimension." => |a| {
        let inputs: Vec<&Tensor> = a.tensors(0)?.iter().collect();
        into_out("stack", &inputs, || stack(a.tensors(0)?, a.int(1)?), a.opt_tensor(2)?)?
    };
}
