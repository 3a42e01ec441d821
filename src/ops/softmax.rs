//! Softmax and log-softmax.

use crate::copy::contiguous_array;
use crate::device::layers;
use crate::matmul::SavedSet;
use crate::row::{Scalar, call, default_dtype};
use crate::rows;
use crate::saved::Saved;
use crate::tensor::{Tensor, needs_grad};
use rustnn_autograd::{Backward, Context, Edge, Grads, Node};
use rustnn_tensor::shape::wrap_dim;
use rustnn_tensor::{Array, DType, Result};
use smallvec::smallvec;

struct SoftmaxBackward {
    log: bool,
    dim: usize,
    saved: SavedSet<1>,
}

impl Backward<Tensor> for SoftmaxBackward {
    fn name(&self) -> String {
        (if self.log { "LogSoftmaxBackward0" } else { "SoftmaxBackward0" }).into()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(dy) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        let [y] = self.saved.unpack(context)?;
        let Some(y) = y else { return Ok(smallvec![None]) };
        if context.create_graph {
            let dim = [self.dim as i64];
            let sum = |t: &Tensor| crate::reduce::sum(t, Some(&dim), true, None);
            let sub = |a: &Tensor, b: &Tensor| call(&rows::SUB, &[a.into(), b.into()], &[Scalar::Int(1)]);
            let dx = if self.log {
                // dx = dy - exp(y) Σ dy
                sub(&dy, &crate::mul(&call(&rows::EXP, &[(&y).into()], &[])?, &sum(&dy)?)?)?
            } else {
                // dx = y (dy - Σ dy y)
                crate::mul(&y, &sub(&dy, &sum(&crate::mul(&dy, &y)?)?)?)?
            };
            return Ok(smallvec![Some(dx)]);
        }
        let dy = contiguous_array(dy.array())?;
        let dx = Array::empty(dy.shape(), dy.dtype(), dy.device())?;
        layers::softmax_backward(self.log, &dy, &contiguous_array(y.array())?, self.dim, &dx)?;
        Ok(smallvec![Some(Tensor::from_array(dx))])
    }

    fn release(&self) {
        self.saved.release();
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// exp(x) divided by its sum along `dim`, or the logarithm of that.
pub fn softmax(x: &Tensor, dim: i64, log: bool, dtype: Option<DType>) -> Result<Tensor> {
    let d = wrap_dim(dim, x.rank())?;
    let wanted = dtype.unwrap_or(x.dtype());
    if wanted.is_integral() {
        return Err(rustnn_tensor::Error::not_implemented(
            if log { "log_softmax_lastdim_kernel_impl" } else { "softmax_lastdim_kernel_impl" },
            wanted,
        ));
    }
    let x = crate::to_dtype(x, wanted)?;
    let from = contiguous_array(x.array())?;
    let out = Array::empty(x.shape(), x.dtype(), x.device())?;
    if x.rank() == 0 {
        let (a, b) = (from.as_strided(&[1], &[1], from.offset())?, out.as_strided(&[1], &[1], 0)?);
        layers::softmax(log, &a, 0, &b)?;
    } else {
        layers::softmax(log, &from, d, &out)?;
    }
    let out = Tensor::from_array(out);
    if needs_grad(&[&x]) {
        if x.rank() == 0 {
            return softmax(&crate::views::reshape_to(&x, &[1])?, 0, log, None).and_then(|y| crate::views::in_shape(&y, &[]));
        }
        let saved = SavedSet::new([Saved::output(&out, 0)?]);
        let node = Node::new(crate::tape::edges(&[&x]), SoftmaxBackward { log, dim: d, saved });
        crate::tape::note_trace(&node);
        out.set_edge(Edge { node, slot: 0 });
    }
    Ok(out)
}

crate::ops! {
    "softmax(Tensor self, int dim, ScalarType? dtype=None)" Both "exp(x) divided by its sum along a dimension." =>
        |a| softmax(a.tensor(0)?, a.int(1)?, false, a.opt_dtype(2)?)?;
    "log_softmax(Tensor self, int dim, ScalarType? dtype=None)" Both "The logarithm of softmax, without overflow." =>
        |a| softmax(a.tensor(0)?, a.int(1)?, true, a.opt_dtype(2)?)?;
    "logsumexp(Tensor self, int[1] dim, bool keepdim=False, *, Tensor? out=None)" Both "ln Σ exp(x) over dimensions, without overflow." => |a| {
        let x = a.tensor(0)?;
        let x = if x.dtype().is_integral() { crate::to_dtype(x, default_dtype())? } else { x.clone() };
        crate::registry::into_out("logsumexp", &[&x], || logsumexp(&x, a.ints(1)?, a.bool(2)?), a.opt_tensor(3)?)?
    };
}

pub fn logsumexp(x: &Tensor, over: &[i64], keep: bool) -> Result<Tensor> {
    let dims = crate::reduce::dims(Some(over), x.rank())?;
    let one = Scalar::Int(1);
    let greatest = crate::mode::no_grad(|| -> Result<Tensor> {
        if x.numel() == 0 {
            let shape = crate::reduce::reduced(x.shape(), &dims, true);
            return crate::create::full_array(&shape, Scalar::Int(0), x.dtype(), x.device()).map(Tensor::from_array);
        }
        let m =
            crate::reduce::fold(crate::device::arrays::Fold::Max, x.array(), &dims, true, crate::device::arrays::Finish::Plain, x.dtype())?;
        let m = Tensor::from_array(m);
        // An infinite maximum is not subtracted: inf - inf is NaN.
        let finite = call(&rows::ISFINITE, &[(&m).into()], &[])?;
        call(&rows::WHERE, &[(&finite).into(), (&m).into(), 0.0.into()], &[])
    })?;
    let shifted = call(&rows::EXP, &[(&call(&rows::SUB, &[x.into(), (&greatest).into()], &[one])?).into()], &[])?;
    let dims: Vec<i64> = dims.iter().map(|&d| d as i64).collect();
    let sum = crate::reduce::sum(&shifted, Some(&dims), true, None)?;
    let out = crate::add(&call(&rows::LOG, &[(&sum).into()], &[])?, &greatest)?;
    let named = |t| crate::tape::named(t, "LogsumexpBackward0");
    if keep {
        return Ok(named(out));
    }
    let dims: smallvec::SmallVec<[usize; 5]> = dims.iter().map(|&d| d as usize).collect();
    crate::views::in_shape(&out, &crate::reduce::reduced(x.shape(), &dims, false)).map(named)
}
