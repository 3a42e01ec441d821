//! The tape alone: nodes, hooks and the engine, generic over what flows through it. It knows no op, no device, no Python.
//!
//! A [`Node`] is immutable once it is on the tape; what changes (hooks, the scratch of a run) lies in cells of its own.

mod engine;
mod node;

pub use engine::{Run, current_run, run, will_run};
pub use node::{
    Backward, Context, Edge, Extra, Grads, Hook, HookId, Hooks, Node, NodeRef, PostHook, PreHook, bury, living_nodes, next_sequence,
    release,
};

use smallvec::SmallVec;

/// What the tape must know of the values that flow through it: how to sum two gradients, and when to give up.
pub trait Variable: Clone + Send + Sync + 'static {
    type Error: Send;

    /// `self + other`, recorded on the tape if `create_graph`; otherwise `self`'s memory may be reused if nobody else sees
    /// it. Shapes and dtypes are equal already.
    fn accumulate(self, other: Self, create_graph: bool) -> Result<Self, Self::Error>;

    /// Called before every node; an error ends the run.
    fn check_interrupt() -> Result<(), Self::Error>;

    /// Called with what a node gave, for those who look for NaN.
    fn check_gradients(_node: &NodeRef<Self>, _grads: &Grads<Self>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Called when a node's backward failed, before the run ends.
    fn failed(_node: &NodeRef<Self>) {}

    /// Wraps a fault of the tape itself (PyTorch: `RuntimeError`).
    fn tape_error(message: String) -> Self::Error;
}

/// Node references, most nodes having one or two.
pub type Edges<V> = SmallVec<[Option<Edge<V>>; 2]>;
