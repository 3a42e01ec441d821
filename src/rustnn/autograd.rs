//! Gradients: what is recorded, and how gradients are asked for.

use crate::{Result, Tensor};
use rustnn_ops::mode::{self, Mode};
use rustnn_ops::tape::{Request, run_backward};
use std::cell::Cell;

/// Stops recording on this thread until it is dropped; of several, until the last one is.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// let w = rustnn::Tensor::ones([2])?.requires_grad_(true)?;
/// let guard = rustnn::autograd::no_grad();
/// assert!(!w.mul(2.0)?.requires_grad());
/// drop(guard);
/// assert!(w.mul(2.0)?.requires_grad());
/// # Ok(())
/// # }
/// ```
#[must_use = "recording goes on as soon as the guard is dropped"]
#[derive(Debug)]
pub struct NoGrad {
    // Modes belong to the thread.
    _here: std::marker::PhantomData<*const ()>,
}

thread_local! {
    /// How many [`NoGrad`]s live, and what the first of them is to put back: they may end in any order.
    static LIVING: Cell<(usize, bool)> = const { Cell::new((0, false)) };
}

impl Drop for NoGrad {
    fn drop(&mut self) {
        let (living, before) = LIVING.get();
        LIVING.set((living - 1, before));
        if living == 1 {
            mode::set(Mode::GradOff, before);
        }
    }
}

/// See [`NoGrad`].
pub fn no_grad() -> NoGrad {
    let (living, before) = LIVING.get();
    let before = if living == 0 { mode::set(Mode::GradOff, true) } else { before };
    LIVING.set((living + 1, before));
    NoGrad { _here: std::marker::PhantomData }
}

/// Whether ops on this thread are recorded now.
pub fn is_enabled() -> bool {
    mode::grad_enabled()
}

/// How [`grad`] and [`backward`] run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Keep what the ops saved, for another run over the same graph.
    pub retain_graph: bool,
    /// Record the run itself, for gradients of gradients. Keeps the graph too.
    pub create_graph: bool,
}

/// Gradients of `outputs` with respect to `inputs`; none where an output does not depend on an input. An output of more than
/// one element needs its own gradient in `grad_outputs`, which is empty otherwise.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, autograd};
/// let x = Tensor::scalar(3.0f32)?.requires_grad_(true)?;
/// let y = x.square()?;
/// let create = autograd::Options { create_graph: true, ..Default::default() };
/// let dy = autograd::grad(&[&y], &[&x], &[], create)?.remove(0).unwrap();
/// assert_eq!(dy.item::<f32>()?, 6.0);
/// let ddy = autograd::grad(&[&dy], &[&x], &[], Default::default())?.remove(0).unwrap();
/// assert_eq!(ddy.item::<f32>()?, 2.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If an output or input takes no part in the graph, or a gradient's shape is wrong.
pub fn grad(outputs: &[&Tensor], inputs: &[&Tensor], grad_outputs: &[Option<&Tensor>], options: Options) -> Result<Vec<Option<Tensor>>> {
    let inputs: Vec<_> = inputs.iter().map(|t| t.as_op().clone()).collect();
    let found = run(outputs, grad_outputs, Some(&inputs), options, false)?;
    Ok(found.into_iter().map(|grad| grad.map(Tensor::from)).collect())
}

/// Adds the gradients of `outputs` to the `grad` of every leaf below them. See [`Tensor::backward`] for the usual case.
///
/// # Errors
/// As [`grad`].
pub fn backward(outputs: &[&Tensor], grad_outputs: &[Option<&Tensor>], options: Options) -> Result<()> {
    run(outputs, grad_outputs, None, options, true).map(drop)
}

fn run(
    outputs: &[&Tensor],
    grad_outputs: &[Option<&Tensor>],
    inputs: Option<&[rustnn_ops::Tensor]>,
    options: Options,
    accumulate: bool,
) -> Result<Vec<Option<rustnn_ops::Tensor>>> {
    if grad_outputs.len() > outputs.len() {
        return Err(crate::Error::value(format!("got {} outputs and {} gradients of outputs", outputs.len(), grad_outputs.len())));
    }
    let roots: Vec<_> = outputs.iter().map(|t| t.as_op().clone()).collect();
    let seeds: Vec<_> = (0..roots.len()).map(|i| grad_outputs.get(i).copied().flatten().map(|t| t.as_op().clone())).collect();
    let request = Request {
        keep_graph: options.retain_graph || options.create_graph,
        create_graph: options.create_graph,
        allow_unused: true,
        accumulate,
    };
    Ok(run_backward(&roots, &seeds, inputs, request)?)
}
