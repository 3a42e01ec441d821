//! Tensors that outlive the call which got them: held with their host object, and saved for the backward pass.

use crate::mode::{self, Mode};
use crate::tensor::Tensor;
use rustnn_autograd::{Context, Edge};
use rustnn_kernels::value::Scalar;
use rustnn_tensor::{Array, Result, bail};
use std::cell::RefCell;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, OnceLock};

/// How host objects are kept. The rule of identity: whoever in Rust holds a tensor beyond a call also holds its living host
/// object, so that `p.grad is p.grad`, and attributes and weak references live as long as the tensor.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// Takes a share of the object in the slot, if there is one.
    pub retain: fn(&Tensor) -> Option<usize>,
    pub release: fn(usize),
}

static HOST: OnceLock<Host> = OnceLock::new();

/// Set once, by the Python module.
pub fn set_host(host: Host) {
    let _ = HOST.set(host);
}

/// A tensor together with a share of its host object.
pub struct Held {
    tensor: Tensor,
    host: Option<usize>,
}

impl Held {
    #[inline]
    pub fn new(tensor: &Tensor) -> Held {
        let slot = tensor.meta().host();
        let host =
            if slot.load(std::sync::atomic::Ordering::Relaxed).is_null() { None } else { HOST.get().and_then(|h| (h.retain)(tensor)) };
        Held { tensor: tensor.clone(), host }
    }

    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The share, as the host made it.
    pub fn host(&self) -> Option<usize> {
        self.host
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let (Some(share), Some(host)) = (self.host.take(), HOST.get()) {
            (host.release)(share);
        }
    }
}

/// Hooks that see every tensor as it is saved: `saved_tensors_hooks`.
pub trait SavedHooks: Send + Sync {
    fn pack(&self, tensor: &Tensor) -> Result<Box<dyn Packed>>;
}

/// What a pack hook made of a tensor.
pub trait Packed: Send + Sync {
    fn unpack(&self) -> Result<Tensor>;
}

thread_local! {
    static HOOKS: RefCell<Vec<Arc<dyn SavedHooks>>> = const { RefCell::new(Vec::new()) };
}

pub fn push_saved_hooks(hooks: Arc<dyn SavedHooks>) {
    HOOKS.with(|h| h.borrow_mut().push(hooks));
    mode::set(Mode::SavedHooks, true);
}

pub fn pop_saved_hooks() {
    let (hooks, empty) = HOOKS.with(|h| {
        let mut h = h.borrow_mut();
        (h.pop(), h.is_empty())
    });
    mode::set(Mode::SavedHooks, !empty);
    drop(hooks);
}

/// A value kept by a node for its backward. Inputs keep their place on the tape; an output keeps none, or node and output
/// would own each other: it is attached again on unpacking.
pub enum Saved {
    Nothing,
    Scalar(Scalar),
    Input {
        held: Held,
        version: u32,
    },
    Output {
        array: Array,
        counter: Option<Arc<AtomicU32>>,
        version: u32,
        slot: usize,
    },
    /// An input keeps its place on the tape beside what the hook made of it.
    Hooked {
        packed: Box<dyn Packed>,
        edge: Option<Edge<Tensor>>,
        output: Option<usize>,
    },
}

impl Saved {
    /// Saves an input of the op being recorded.
    pub fn input(tensor: &Tensor) -> Result<Saved> {
        if tensor.is_inference() {
            bail!(
                Runtime,
                "Inference tensors cannot be saved for backward. Please do not use Tensors created in inference mode in computation \
                 tracked by autograd. To work around this, you can make a clone to get a normal tensor and use it in autograd, or use \
                 `torch.no_grad()` instead of `torch.inference_mode()`."
            );
        }
        if mode::is_on(Mode::SavedHooks)
            && let Some(hooks) = HOOKS.with(|h| h.borrow().last().cloned())
        {
            return Ok(Saved::Hooked { packed: hooks.pack(tensor)?, edge: tensor.edge(), output: None });
        }
        Ok(Saved::Input { held: Held::new(tensor), version: tensor.version() })
    }

    /// Saves output `slot` of the op being recorded, before it is attached to its node.
    pub fn output(tensor: &Tensor, slot: usize) -> Result<Saved> {
        if mode::is_on(Mode::SavedHooks)
            && let Some(hooks) = HOOKS.with(|h| h.borrow().last().cloned())
        {
            return Ok(Saved::Hooked { packed: hooks.pack(&tensor.detach())?, edge: None, output: Some(slot) });
        }
        Ok(Saved::Output { array: tensor.array().clone(), counter: tensor.counter(), version: tensor.version(), slot })
    }

    /// The saved tensor, if it has not been written since.
    pub fn unpack(&self, context: &Context<Tensor>) -> Result<Tensor> {
        match self {
            Saved::Input { held, version } => {
                check_version(held.tensor(), *version, held.tensor())?;
                Ok(held.tensor().clone())
            }
            Saved::Output { array, counter, version, slot } => {
                let out = Tensor::from_array(array.clone()).with_counter(counter.clone());
                let attached = Tensor::from_node(array.clone(), context.node.clone(), *slot).with_counter(counter.clone());
                check_version(&out, *version, &attached)?;
                Ok(attached)
            }
            Saved::Hooked { packed, edge: Some(edge), output: None } => {
                let out = packed.unpack()?.detach();
                out.set_edge(edge.clone());
                Ok(out)
            }
            Saved::Hooked { packed, edge: None, output: None } => packed.unpack(),
            Saved::Hooked { packed, output: Some(slot), .. } => {
                let out = packed.unpack()?.detach();
                out.set_edge(Edge { node: context.node.clone(), slot: *slot });
                Ok(out)
            }
            Saved::Scalar(_) | Saved::Nothing => bail!(
                Runtime,
                "Trying to backward through the graph a second time (or directly access saved tensors after they have already been \
                 freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify \
                 retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors \
                 after calling backward."
            ),
        }
    }

    pub fn is_nothing(&self) -> bool {
        matches!(self, Saved::Nothing)
    }
}

pub(crate) fn check_version(tensor: &Tensor, saved: u32, named: &Tensor) -> Result<()> {
    let now = tensor.version();
    if now == saved {
        return Ok(());
    }
    let origin = match named.grad_fn() {
        Some(node) => {
            let name = node.name();
            format!(", which is output {} of {},", named.output_number(), name.rsplit_once("Backward").map_or(&*name, |(op, _)| op))
        }
        None => String::new(),
    };
    let hint = if mode::is_on(Mode::Anomaly) {
        "the backtrace further above shows the operation that failed to compute its gradient. The variable in question was changed in \
         there or anywhere later. Good luck!"
    } else {
        "enable anomaly detection to find the operation that failed to compute its gradient, with \
         torch.autograd.set_detect_anomaly(True, check_nan=False)."
    };
    bail!(
        Runtime,
        "one of the variables needed for gradient computation has been modified by an inplace operation: [torch.{} {:?}]{} is at \
         version {now}; expected version {saved} instead. Hint: {hint}",
        crate::names::legacy_type(tensor.dtype()),
        tensor.shape(),
        origin
    )
}
