//! Nodes whose gradient is a function of the result's gradient and of saved tensors, written where the op is.

use crate::device::{Called, Scope};
use crate::saved::Saved;
use crate::tape::{edges, rebase, record};
use crate::tensor::{Tensor, needs_grad};
use rustnn_autograd::{Backward, Context, Grads, Node};
use rustnn_tensor::{Array, Error, Overlap, Result, Shape, Strides};
use smallvec::{SmallVec, smallvec};
use std::sync::Mutex;

type Gradients = dyn Fn(&Tensor, &[Tensor], &Context<Tensor>) -> Result<Grads<Tensor>> + Send + Sync;

/// Gradients of one result's inputs. Built from recorded ops, they have gradients themselves.
pub(crate) struct Formula {
    name: &'static str,
    /// Replaced by nothing once released.
    saved: Mutex<Vec<Saved>>,
    gradients: Box<Gradients>,
}

impl Formula {
    /// `gradients(dy, saved, context)` gives one gradient per input.
    pub fn new(
        name: &'static str,
        saved: Vec<Saved>,
        gradients: impl Fn(&Tensor, &[Tensor], &Context<Tensor>) -> Result<Grads<Tensor>> + Send + Sync + 'static,
    ) -> Formula {
        Formula { name, saved: Mutex::new(saved), gradients: Box::new(gradients) }
    }

    /// As [`Formula::new`] for one input, saving `inputs`.
    pub fn one(
        name: &'static str,
        inputs: &[&Tensor],
        gradient: impl Fn(&Tensor, &[Tensor]) -> Result<Tensor> + Send + Sync + 'static,
    ) -> Result<Formula> {
        let saved = inputs.iter().map(|t| Saved::input(t)).collect::<Result<_>>()?;
        Ok(Formula::new(name, saved, move |dy, saved, _| Ok(smallvec![Some(gradient(dy, saved)?)])))
    }
}

impl Backward<Tensor> for Formula {
    fn name(&self) -> String {
        self.name.into()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(dy) = grads.into_iter().next().flatten() else { return Ok(smallvec![None; context.node.edges.len()]) };
        let saved: Vec<Tensor> = {
            let saved = self.saved.lock().unwrap_or_else(|e| e.into_inner());
            saved.iter().map(|s| s.unpack(context)).collect::<Result<_>>()?
        };
        let _scope = Scope::new(Called::Node(self.name));
        (self.gradients)(&dy, &saved, context)
    }

    fn release(&self) {
        let mut saved = self.saved.lock().unwrap_or_else(|e| e.into_inner());
        let nothing = saved.iter().map(|_| Saved::Nothing).collect();
        let before = std::mem::replace(&mut *saved, nothing);
        drop(saved);
        drop(before);
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Whether the gradient of input `i` is used.
pub(crate) fn wanted(context: &Context<Tensor>, i: usize) -> bool {
    context.wants(i) && context.node.edges.get(i).is_some_and(Option::is_some)
}

/// The gradient of input `i`, made only if it is used.
pub(crate) fn if_wanted(context: &Context<Tensor>, i: usize, make: impl FnOnce() -> Result<Tensor>) -> Result<Option<Tensor>> {
    if wanted(context, i) { make().map(Some) } else { Ok(None) }
}

/// The result of an op on `inputs`, recorded if need be.
pub(crate) fn attach(out: Array, inputs: &[&Tensor], formula: impl FnOnce() -> Result<Formula>) -> Result<Tensor> {
    if needs_grad(inputs) && out.dtype().is_differentiable() { Ok(record(out, inputs, formula()?)) } else { Ok(Tensor::from_array(out)) }
}

/// Writes into `x` (`in_place`) or into a copy of it; `formula` gives the gradients of `x` and of `others`.
pub(crate) fn update(
    x: &Tensor,
    in_place: bool,
    others: &[&Tensor],
    formula: impl FnOnce() -> Result<Formula>,
    write: impl FnOnce(&Array) -> Result<()>,
) -> Result<Tensor> {
    let mut inputs: SmallVec<[&Tensor; 4]> = smallvec![x];
    inputs.extend_from_slice(others);
    if !in_place {
        let out = crate::copy::clone_array(x.array())?;
        write(&out)?;
        return attach(out, &inputs, formula);
    }
    x.check_writable()?;
    let recorded = needs_grad(&inputs) && x.dtype().is_differentiable();
    let node = if recorded { Some(Node::new(edges(&inputs), formula()?)) } else { None };
    write(x.array())?;
    x.bump_version();
    if let Some(node) = node {
        rebase(x, node);
    }
    Ok(x.clone())
}

/// Refuses to write `target` while reading `others` from the same memory.
pub(crate) fn check_apart(target: &Array, others: &[&Array]) -> Result<()> {
    if others.iter().any(|o| target.overlap(o) != Overlap::None) {
        return Err(Error::partial_overlap());
    }
    Ok(())
}

/// Runs `f` on `array` itself, or on a row-major copy that is then copied back.
pub(crate) fn on_contiguous(array: &Array, f: impl FnOnce(&Array) -> Result<()>) -> Result<()> {
    if array.is_contiguous() {
        return f(array);
    }
    let copy = crate::copy::contiguous_array(array)?;
    f(&copy)?;
    crate::copy::copy_array(&copy, array)
}

/// A 0-dim array seen as a vector of one element.
pub(crate) fn as_vector(array: &Array) -> Array {
    if array.rank() > 0 {
        return array.clone();
    }
    array.with_geometry(Shape::from_slice(&[1]), Strides::from_slice(&[1]), array.offset())
}

/// Zeros of a shape, in the dtype and on the device of `like`.
pub(crate) fn zeros(like: &Tensor, shape: &[usize]) -> Result<Tensor> {
    Array::zeros(shape, like.dtype(), like.device()).map(Tensor::from_array)
}
