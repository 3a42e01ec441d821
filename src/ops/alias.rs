//! Identity aliases: other places on the tape for the same tensors. A module's backward hooks sit on them, so that each call
//! sees its own share of the gradient.
//!
//! An alias stands for its source in everything: same memory, same version, and a write in place to either is history of
//! both. So a module computes the same with hooks as without.

use crate::saved::Held;
use crate::tape;
use crate::tensor::{Creation, Tensor};
use rustnn_autograd::{Backward, Context, Edge, Grads, Node, NodeRef, bury};
use rustnn_tensor::Result;
use std::sync::{Arc, Mutex};

/// What an alias knows of the tensor it stands for.
pub(crate) struct Alias {
    /// No alias itself: an alias of an alias has the first one's source.
    pub source: Arc<Held>,
    /// The source's place on the tape while the alias's own one holds; another one means that the source was written since.
    seen: Mutex<Option<Edge<Tensor>>>,
}

impl Alias {
    pub fn new(source: Arc<Held>) -> Alias {
        let seen = Mutex::new(source.tensor().edge());
        Alias { source, seen }
    }

    /// The source's place, if it is another one than when last seen.
    pub fn moved(&self) -> Option<Edge<Tensor>> {
        let now = self.source.tensor().edge()?;
        {
            let seen = self.seen.lock().unwrap_or_else(|e| e.into_inner());
            if seen.as_ref().is_some_and(|seen| seen.slot == now.slot && seen.node.same(&now.node)) {
                return None;
            }
        }
        self.see(now.clone());
        Some(now)
    }

    fn see(&self, edge: Edge<Tensor>) {
        let before = self.seen.lock().unwrap_or_else(|e| e.into_inner()).replace(edge);
        bury(before);
    }

    /// After the alias was written in place: its new place is the source's too.
    pub fn written(&self, edge: &Edge<Tensor>) {
        self.source.tensor().set_edge(edge.clone());
        self.see(edge.clone());
    }

    pub fn source_is_leaf(&self) -> bool {
        let source = self.source.tensor();
        source.requires_grad() && source.is_leaf()
    }
}

impl Drop for Alias {
    fn drop(&mut self) {
        bury(self.seen.get_mut().unwrap_or_else(|e| e.into_inner()).take());
    }
}

struct Identity {
    outputs: usize,
}

impl Backward<Tensor> for Identity {
    fn name(&self) -> String {
        // PyTorch's name of the node at this place, which its error texts show.
        "BackwardHookFunctionBackward".into()
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn backward(&self, mut grads: Grads<Tensor>, _: &Context<Tensor>) -> Result<Grads<Tensor>> {
        grads.resize(self.outputs, None);
        Ok(grads)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Passes tensors through one identity node. With `strict` they are views that refuse to be written in place, as PyTorch's.
pub fn identity(tensors: &[Tensor], strict: bool) -> (Vec<Tensor>, NodeRef<Tensor>) {
    let references: Vec<&Tensor> = tensors.iter().collect();
    let node = Node::new(tape::edges(&references), Identity { outputs: tensors.len() });
    tape::note_trace(&node);
    let alias = |(slot, tensor): (usize, &Tensor)| {
        let edge = Edge { node: node.clone(), slot };
        if strict { tensor.attach_view(tensor.array().clone(), Some(edge), Creation::CustomFunction) } else { tensor.alias_at(edge) }
    };
    (tensors.iter().enumerate().map(alias).collect(), node.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode;

    fn leaf(values: &[f32]) -> Tensor {
        let leaf = Tensor::from_slice(values, &[values.len()]).expect("a tensor");
        leaf.set_requires_grad(true).expect("floats take gradients");
        leaf
    }

    fn double_in_place(x: &Tensor) -> Result<()> {
        crate::row::call_inplace(&crate::rows::MUL, x, &[2.0.into()], &[])
    }

    fn gradient(of: &Tensor, by: &Tensor) -> Vec<f64> {
        tape::backward(&crate::reduce::sum(of, None, false, None).expect("a sum")).expect("a graph");
        crate::read::elements(by.grad().expect("a gradient").array()).expect("numbers").iter().map(|x| x.to_f64()).collect()
    }

    #[test]
    fn a_write_to_an_alias_is_history_of_its_source() {
        let x = leaf(&[1.0, 2.0]);
        let y = crate::mul_scalar(&x, 3.0).expect("numbers");
        let (aliases, _) = identity(std::slice::from_ref(&y), false);
        double_in_place(&aliases[0]).expect("no leaf");
        assert_eq!(gradient(&y, &x), [6.0, 6.0]);
    }

    #[test]
    fn a_write_to_the_source_is_history_of_its_aliases() {
        let x = leaf(&[1.0]);
        let y = crate::mul_scalar(&x, 3.0).expect("numbers");
        let (first, _) = identity(std::slice::from_ref(&y), false);
        let (second, _) = identity(&first, false);
        double_in_place(&y).expect("no leaf");
        assert_eq!(gradient(&second[0], &x), [6.0]);
    }

    #[test]
    fn an_alias_of_a_leaf_may_not_be_written() {
        let (aliases, _) = identity(&[leaf(&[1.0])], false);
        let error = double_in_place(&aliases[0]).expect_err("a leaf");
        assert!(error.to_string().contains("a leaf Variable that requires grad"));
        mode::no_grad(|| double_in_place(&aliases[0])).expect("nothing is recorded");
    }
}
