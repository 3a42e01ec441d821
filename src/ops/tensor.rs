//! The tensor: an [`Array`] header of its own, and a [`Meta`] shared by its clones.

use crate::alias::Alias;
use crate::mode::{self, Mode};
use crate::saved::Held;
use crate::tape::{Accumulate, AsStridedBackward, ViewOp};
use rustnn_autograd::{Backward, Edge, Hooks, Node, NodeRef, bury, release};
use rustnn_tensor::{Array, Counted, DType, Device, Element, Error, Result, Shape, Shared, Twin, bail};
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering::*};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

/// A tensor. Clones share storage, version counter and [`Meta`] (gradient, history, hooks, host object); the header
/// (shape, strides, offset) is each clone's own.
#[derive(Clone)]
pub struct Tensor {
    array: Array,
    /// A counter of its own where the storage's is not shared: `.data`, `set_`.
    counter: Option<Arc<AtomicU32>>,
    meta: Shared<Meta>,
}

const REQUIRES_GRAD: u8 = 1;
const HAS_EDGE: u8 = 2;
const IS_VIEW: u8 = 4;
const RETAINS_GRAD: u8 = 8;
const INFERENCE: u8 = 16;
const IS_ALIAS: u8 = 32;

/// What clones of a tensor share.
pub struct Meta {
    flags: AtomicU8,
    /// The host language's object for this tensor (borrowed; see [`crate::saved::Host`]).
    host: AtomicPtr<()>,
    /// The leaf's place on the tape, made when an op first asks for it. It knows the leaf weakly, see [`Accumulate`].
    accumulator: OnceLock<NodeRef<Tensor>>,
    state: Mutex<State>,
}

struct State {
    /// The op that made this tensor; None for leaves.
    edge: Option<Edge<Tensor>>,
    rest: Option<Box<Rest>>,
}

/// What only some tensors have.
#[derive(Default)]
struct Rest {
    grad: Option<Held>,
    /// On a leaf's gradient. Those of other tensors lie on their node.
    hooks: Option<Arc<Hooks<Tensor>>>,
    post_accumulate: Option<Arc<Hooks<Tensor>>>,
    view: Option<Arc<View>>,
    alias: Option<Arc<Alias>>,
}

/// A view remembers the tensor it looks into, so that in-place ops on it become history of that one.
pub(crate) struct View {
    pub base: Arc<Held>,
    /// The version for which `edge` holds; once the base has moved on, the edge is made anew from the base's.
    version: AtomicU32,
    /// A [`Creation`].
    creation: AtomicU8,
    /// An identity alias lies between it and the base: gradients of what is written go through that, see [`crate::tape::rebase`].
    pub aliased: bool,
}

impl View {
    fn creation(&self) -> Creation {
        [Creation::Default, Creation::NoGrad, Creation::MultiOutput, Creation::CustomFunction][self.creation.load(Acquire) as usize]
    }
}

/// Why a view may not be written in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creation {
    Default,
    NoGrad,
    MultiOutput,
    CustomFunction,
}

/// The payload of a leaf's node.
fn as_accumulate(node: &NodeRef<Tensor>) -> Option<&Accumulate> {
    node.payload.as_any().downcast_ref()
}

impl Drop for Meta {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(|e| e.into_inner());
        if let Some(edge) = state.edge.take() {
            release(edge.node);
        }
        let (accumulator, rest) = (self.accumulator.take(), state.rest.take());
        let Some(accumulator) = accumulator else {
            return if let Some(rest) = rest {
                bury(rest)
            };
        };
        // A graph that outlives its leaf takes over what gradients there still have to meet: hooks, and the sum so far.
        if accumulator.strong_count() > 1 {
            let left = Meta::new(*self.flags.get_mut(), State { edge: None, rest });
            match as_accumulate(&accumulator) {
                Some(own) => own.adopt(left),
                None => unreachable!("a leaf's node accumulates"),
            }
            release(accumulator);
        } else if rest.is_some() {
            bury(rest);
        }
    }
}

impl Meta {
    fn new(flags: u8, state: State) -> Shared<Meta> {
        Meta::filled(flags, |own| *own = state)
    }

    #[inline(always)]
    fn filled(flags: u8, fill: impl FnOnce(&mut State)) -> Shared<Meta> {
        let blank = || Meta {
            flags: AtomicU8::new(flags),
            host: AtomicPtr::new(std::ptr::null_mut()),
            accumulator: OnceLock::new(),
            state: Mutex::new(State { edge: None, rest: None }),
        };
        Counted::filled(blank, |meta| fill(meta.state.get_mut().unwrap_or_else(|e| e.into_inner()))).into()
    }

    /// Whether nodes of a graph send gradients to this leaf.
    fn is_in_a_graph(&self) -> bool {
        self.accumulator.get().is_some_and(|node| node.strong_count() > 1)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    #[inline]
    fn has(&self, flag: u8) -> bool {
        self.flags.load(Acquire) & flag != 0
    }

    fn set(&self, flag: u8, on: bool) {
        if on {
            self.flags.fetch_or(flag, AcqRel);
        } else {
            self.flags.fetch_and(!flag, AcqRel);
        }
    }

    fn rest<R>(&self, f: impl FnOnce(&mut Rest) -> R) -> R {
        f(self.lock().rest.get_or_insert_with(Box::default))
    }

    fn read_rest<R>(&self, f: impl FnOnce(&Rest) -> R) -> Option<R> {
        self.lock().rest.as_deref().map(f)
    }

    /// The slot of the host object.
    pub fn host(&self) -> &AtomicPtr<()> {
        &self.host
    }
}

fn default_flags() -> u8 {
    if mode::is_on(Mode::Inference) { INFERENCE } else { 0 }
}

/// What a new tensor consists of, to be put together where it stays (see [`Twin`]).
pub struct Fresh<'a> {
    twin: Twin<'a>,
    meta: Shared<Meta>,
}

impl<'a> Fresh<'a> {
    /// A leaf that requires no gradient.
    #[inline(always)]
    pub(crate) fn new(twin: Twin<'a>) -> Fresh<'a> {
        Fresh { twin, meta: Meta::filled(default_flags(), |_| {}) }
    }

    /// The only output of `node`.
    #[inline(always)]
    pub(crate) fn of(node: NodeRef<Tensor>, twin: Twin<'a>) -> Fresh<'a> {
        Fresh { twin, meta: Meta::filled(HAS_EDGE, |state| state.edge = Some(Edge { node, slot: 0 })) }
    }

    #[inline(always)]
    pub fn tensor(self) -> Tensor {
        let Fresh { twin, meta } = self;
        Tensor { array: twin.array(), counter: None, meta }
    }

    /// The tensor's, see [`Tensor::meta`].
    #[inline]
    pub fn meta(&self) -> &Shared<Meta> {
        &self.meta
    }
}

impl Tensor {
    /// A leaf over `array` that requires no gradient.
    #[inline(always)]
    pub fn from_array(array: Array) -> Tensor {
        Tensor { array, counter: None, meta: Meta::filled(default_flags(), |_| {}) }
    }

    /// The output `slot` of `node`.
    #[inline(always)]
    pub fn from_node(array: Array, node: NodeRef<Tensor>, slot: usize) -> Tensor {
        Tensor { array, counter: None, meta: Meta::filled(HAS_EDGE, |state| state.edge = Some(Edge { node, slot })) }
    }

    pub fn from_slice<T: Element>(data: &[T], shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::from_array(Array::from_slice(data, shape)?))
    }

    #[inline]
    pub fn array(&self) -> &Array {
        &self.array
    }

    #[inline]
    pub fn meta(&self) -> &Shared<Meta> {
        &self.meta
    }

    #[inline]
    pub fn shape(&self) -> &[usize] {
        self.array.shape()
    }

    #[inline]
    pub fn strides(&self) -> &[isize] {
        self.array.strides()
    }

    #[inline]
    pub fn rank(&self) -> usize {
        self.array.rank()
    }

    #[inline]
    pub fn numel(&self) -> usize {
        self.array.numel()
    }

    #[inline]
    pub fn dtype(&self) -> DType {
        self.array.dtype()
    }

    #[inline]
    pub fn device(&self) -> Device {
        self.array.device()
    }

    pub fn is_contiguous(&self) -> bool {
        self.array.is_contiguous()
    }

    /// Whether both are one tensor (clones of each other).
    pub fn same(&self, other: &Tensor) -> bool {
        self.meta.same(&other.meta)
    }

    // Versions.

    #[inline]
    pub fn version(&self) -> u32 {
        match &self.counter {
            None => self.array.storage().version(),
            Some(counter) => counter.load(Acquire),
        }
    }

    pub fn bump_version(&self) {
        match &self.counter {
            None => self.array.storage().bump_version(),
            Some(counter) => drop(counter.fetch_add(1, AcqRel)),
        }
    }

    pub(crate) fn counter(&self) -> Option<Arc<AtomicU32>> {
        self.counter.clone()
    }

    pub(crate) fn with_counter(mut self, counter: Option<Arc<AtomicU32>>) -> Tensor {
        self.counter = counter;
        self
    }

    /// With the version of another tensor over the same memory.
    pub(crate) fn sharing_version(self, other: &Tensor) -> Tensor {
        self.with_counter(other.counter.clone())
    }

    /// The same memory without history; writes to either are seen by the saved tensors of both.
    #[inline(always)]
    pub fn detach(&self) -> Tensor {
        let meta = Meta::filled(default_flags(), |_| {});
        Tensor { array: self.array.clone(), counter: self.counter.clone(), meta }
    }

    /// The same memory with neither history nor the version counter: `x.data`.
    pub fn data(&self) -> Tensor {
        Tensor { counter: Some(Arc::default()), ..Tensor::from_array(self.array.clone()) }
    }

    /// `x.data = other`: the header and memory of `other`, the identity and version of `self`.
    pub fn set_data(&mut self, other: &Tensor) -> Result<()> {
        if self.requires_grad() && !other.dtype().is_differentiable() {
            bail!(Runtime, "data set to a tensor that requires gradients must be floating point or complex dtype");
        }
        self.counter = Some(Arc::new(AtomicU32::new(self.version())));
        self.set_array(other.array.clone());
        Ok(())
    }

    /// Another header over the same identity, for ops that change the header in place (`t_`, `resize_`, `set_`).
    pub(crate) fn set_array(&mut self, array: Array) {
        self.array = array;
        if let Some(accumulator) = self.meta.accumulator.get().and_then(as_accumulate) {
            accumulator.set_header(self);
        }
    }

    /// Takes over the header of `view`, a view of this very tensor, and its place on the tape: `unsqueeze_`, `t_`.
    pub fn become_view(&mut self, view: &Tensor) -> Result<()> {
        self.check_rebasable()?;
        let recorded = view.requires_grad().then(|| view.edge()).flatten().filter(|_| mode::grad_enabled());
        self.bump_version();
        self.set_array(view.array.clone());
        match recorded {
            Some(edge) if self.is_view() => self.set_edge(edge),
            Some(edge) => self.set_written_edge(edge),
            None => {}
        }
        self.set_view_version();
        Ok(())
    }

    /// A tensor of the identity `meta`.
    pub(crate) fn with_meta(array: Array, counter: Option<Arc<AtomicU32>>, meta: Shared<Meta>) -> Tensor {
        Tensor { array, counter, meta }
    }

    // Gradients.

    #[inline]
    pub fn requires_grad(&self) -> bool {
        let flags = self.meta.flags.load(Acquire);
        flags & (REQUIRES_GRAD | HAS_EDGE) != 0 || flags & IS_VIEW != 0 && self.is_view_of_recorded()
    }

    /// Whether this is a view of a tensor whose history began after the view was made.
    #[inline(never)]
    fn is_view_of_recorded(&self) -> bool {
        self.view().is_some_and(|v| v.version.load(Acquire) != self.version() && v.base.tensor().requires_grad())
    }

    pub fn is_leaf(&self) -> bool {
        !(self.requires_grad() && self.grad_edge_exists())
    }

    fn grad_edge_exists(&self) -> bool {
        let flags = self.meta.flags.load(Acquire);
        flags & HAS_EDGE != 0 || (flags & IS_VIEW != 0 && flags & REQUIRES_GRAD == 0)
    }

    pub fn is_inference(&self) -> bool {
        self.meta.has(INFERENCE)
    }

    pub fn set_requires_grad(&self, on: bool) -> Result<()> {
        if on && !self.dtype().is_differentiable() {
            bail!(Runtime, "only Tensors of floating point dtype can require gradients");
        }
        if on && self.is_inference() && !mode::is_on(Mode::Inference) {
            bail!(Runtime, "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.");
        }
        if !self.is_leaf() {
            if on {
                return Ok(());
            }
            bail!(
                Runtime,
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a \
                 subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            );
        }
        self.meta.set(REQUIRES_GRAD, on);
        Ok(())
    }

    /// This tensor's place on the tape: output of its op, or the accumulator of a leaf. None where no gradient is required.
    #[inline]
    pub fn edge(&self) -> Option<Edge<Tensor>> {
        let flags = self.meta.flags.load(Acquire);
        // What most inputs of ops are: data, and leaves that have been used before.
        if flags & (HAS_EDGE | IS_VIEW | IS_ALIAS) == 0 {
            if flags & REQUIRES_GRAD == 0 {
                return None;
            }
            if let Some(node) = self.meta.accumulator.get() {
                return Some(Edge { node: node.clone(), slot: 0 });
            }
        }
        self.edge_of(flags)
    }

    fn edge_of(&self, flags: u8) -> Option<Edge<Tensor>> {
        if flags & (IS_VIEW | IS_ALIAS) != 0
            && let Some(edge) = self.refreshed_edge(flags)
        {
            return Some(edge);
        }
        if flags & (REQUIRES_GRAD | HAS_EDGE) == 0 {
            return None;
        }
        if let Some(edge) = &self.meta.lock().edge {
            return Some(edge.clone());
        }
        let node = self.meta.accumulator.get_or_init(|| Node::with_sequence(u64::MAX, Default::default(), Accumulate::new(self)));
        Some(Edge { node: node.clone(), slot: 0 })
    }

    /// The node that made this tensor, as `grad_fn` shows it.
    pub fn grad_fn(&self) -> Option<NodeRef<Tensor>> {
        let flags = self.meta.flags.load(Acquire);
        if flags & (IS_VIEW | IS_ALIAS) != 0
            && let Some(edge) = self.refreshed_edge(flags)
        {
            return Some(edge.node);
        }
        if flags & HAS_EDGE == 0 { None } else { self.meta.lock().edge.as_ref().map(|e| e.node.clone()) }
    }

    /// Which output of its node this tensor is.
    pub fn output_number(&self) -> usize {
        self.edge().map_or(0, |e| e.slot)
    }

    /// The edge of a view or alias whose base or source has been written since.
    fn refreshed_edge(&self, flags: u8) -> Option<Edge<Tensor>> {
        if flags & IS_ALIAS != 0 {
            let edge = self.alias()?.moved()?;
            self.set_edge(edge.clone());
            return Some(edge);
        }
        let view = self.view()?;
        let version = self.version();
        let base = view.base.tensor();
        if view.version.load(Acquire) == version || !base.requires_grad() {
            return None;
        }
        let node = Node::new([base.edge()].into_iter().collect(), AsStridedBackward::new(base.array(), &self.array));
        let edge = Edge { node, slot: 0 };
        self.set_edge(edge.clone());
        view.version.store(version, Release);
        Some(edge)
    }

    pub(crate) fn set_edge(&self, edge: Edge<Tensor>) {
        let next = if self.meta.has(RETAINS_GRAD) { Some(edge.clone()) } else { None };
        let before = self.meta.lock().edge.replace(edge);
        self.meta.set(HAS_EDGE, true);
        self.meta.set(REQUIRES_GRAD, false);
        if let (Some(next), Some(before)) = (next, &before) {
            // What is kept is the gradient of the tensor as it is, not as it was.
            let keeper = self.meta.address();
            if let Some(hook) = before.node.extra_if_used().and_then(|extra| extra.hooks.take_retain(keeper)) {
                next.node.extra().hooks.add_retain(keeper, next.slot, hook);
            }
        }
        if let Some(before) = before {
            bury(before.node);
        }
    }

    /// As [`set_edge`](Tensor::set_edge), after a write in place: what this is an alias of has the same history.
    pub(crate) fn set_written_edge(&self, edge: Edge<Tensor>) {
        if self.meta.has(IS_ALIAS)
            && let Some(alias) = self.alias()
        {
            alias.written(&edge);
        }
        self.set_edge(edge);
    }

    /// Whether nodes of a graph send gradients to this leaf.
    pub fn is_in_a_graph(&self) -> bool {
        self.meta.is_in_a_graph()
    }

    fn alias(&self) -> Option<Arc<Alias>> {
        self.meta.read_rest(|rest| rest.alias.clone()).flatten()
    }

    /// An alias of this tensor, which requires grad, at another place of the tape. See [`crate::alias`].
    pub(crate) fn alias_at(&self, edge: Edge<Tensor>) -> Tensor {
        if self.is_view() && !self.is_leaf() {
            // The base keeps their histories together.
            return self.attach_view_behind(self.array.clone(), Some(edge), Creation::Default, true);
        }
        let source = self.alias().map_or_else(|| Arc::new(Held::new(self)), |alias| alias.source.clone());
        let rest = Some(Box::new(Rest { alias: Some(Arc::new(Alias::new(source))), ..Rest::default() }));
        let meta = Meta::new(HAS_EDGE | IS_ALIAS, State { edge: Some(edge), rest });
        Tensor { array: self.array.clone(), counter: self.counter.clone(), meta }
    }

    /// Whether this, or what it is an alias of, is a leaf that requires grad.
    fn is_recorded_leaf(&self) -> bool {
        match self.alias() {
            Some(alias) => alias.source_is_leaf(),
            None => self.requires_grad() && self.is_leaf(),
        }
    }

    /// `detach_`: forgets the history.
    pub fn forget_history(&self) -> Result<()> {
        if self.meta.has(IS_VIEW) {
            bail!(
                Runtime,
                "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for \
                 training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence detach_() \
                 cannot be called on these gradients. To fix this error, please refer to the Optimizer.zero_grad() function in \
                 torch/optim/optimizer.py as a solution."
            );
        }
        if self.meta.has(IS_ALIAS)
            && let Some(alias) = self.alias()
            && !alias.source_is_leaf()
        {
            alias.source.tensor().forget_history()?;
        }
        let before = self.meta.lock().edge.take();
        self.meta.set(HAS_EDGE | REQUIRES_GRAD, false);
        if let Some(before) = before {
            bury(before.node);
        }
        Ok(())
    }

    // Views.

    // Cloned as an `Arc`: taking another share of the base's host object must not happen under the lock.
    pub(crate) fn view(&self) -> Option<Arc<View>> {
        self.meta.read_rest(|rest| rest.view.clone()).flatten()
    }

    pub fn is_view(&self) -> bool {
        self.meta.has(IS_VIEW)
    }

    /// The tensor that this is a view of.
    pub fn base(&self) -> Option<Arc<Held>> {
        self.view().map(|v| v.base.clone())
    }

    /// A tracked view of `self` with the geometry of `array`; `op` says how it was made.
    pub(crate) fn make_view(&self, array: Array, op: ViewOp, name: &'static str) -> Tensor {
        let edge = self.record_view(op, name);
        self.attach_view(array, edge, Creation::Default)
    }

    pub(crate) fn attach_view(&self, array: Array, edge: Option<Edge<Tensor>>, creation: Creation) -> Tensor {
        self.attach_view_behind(array, edge, creation, false)
    }

    fn attach_view_behind(&self, array: Array, edge: Option<Edge<Tensor>>, creation: Creation, aliased: bool) -> Tensor {
        // A view of a normal tensor is a normal tensor in inference mode, too.
        if self.is_inference() && mode::is_on(Mode::Inference) {
            return Tensor::from_array(array).with_counter(self.counter.clone());
        }
        let creation = if mode::grad_enabled() { creation } else { Creation::NoGrad };
        let view = match self.view() {
            // A view of a view looks into the same base, and may be written only where both may.
            Some(v) => {
                let creation = if v.creation() == Creation::Default { creation } else { v.creation() };
                (v.base.clone(), creation, aliased || v.aliased)
            }
            None => (Arc::new(Held::new(self)), creation, aliased),
        };
        let (version, creation) = (AtomicU32::new(self.version()), AtomicU8::new(view.1 as u8));
        let view = View { base: view.0, version, creation, aliased: view.2 };
        let flags = IS_VIEW | if edge.is_some() { HAS_EDGE } else { 0 } | if self.is_inference() { INFERENCE } else { 0 };
        let rest = Some(Box::new(Rest { view: Some(Arc::new(view)), ..Rest::default() }));
        Tensor { array, counter: self.counter.clone(), meta: Meta::new(flags, State { edge, rest }) }
    }

    pub(crate) fn set_view_version(&self) {
        if let Some(view) = self.view() {
            view.version.store(self.version(), Release);
        }
    }

    pub(crate) fn mark_custom_view(&self) {
        if let Some(view) = self.view() {
            view.creation.store(Creation::CustomFunction as u8, Release);
        }
    }

    // `.grad` and hooks.

    pub fn grad(&self) -> Option<Tensor> {
        self.meta.read_rest(|rest| rest.grad.as_ref().map(|g| g.tensor().clone())).flatten()
    }

    /// Sets `.grad` without checks.
    pub fn set_grad_unchecked(&self, grad: Option<Tensor>) {
        drop(self.replace_grad(grad));
    }

    /// Sets `.grad` without checks and gives what it was.
    pub(crate) fn replace_grad(&self, grad: Option<Tensor>) -> Option<Held> {
        let held = grad.as_ref().map(Held::new);
        self.meta.rest(|rest| std::mem::replace(&mut rest.grad, held))
    }

    /// `x.grad = g`, with PyTorch's checks.
    pub fn set_grad(&self, grad: Option<Tensor>) -> Result<()> {
        if let Some(g) = &grad {
            if g.same(self) {
                bail!(Runtime, "can't assign Variable as its own grad");
            }
            if g.dtype() != self.dtype() {
                bail!(
                    Runtime,
                    "attempting to assign a gradient with dtype '{}' to a tensor with grad_dtype '{}'. The gradient must match \
                     the tensor's grad_dtype (defaults to the tensor's dtype).",
                    crate::names::type_meta(g.dtype()),
                    crate::names::type_meta(self.dtype())
                );
            }
            if g.device() != self.device() {
                bail!(
                    Runtime,
                    "attempting to assign a gradient with device type '{}' to a tensor with device type '{}'. Please ensure that \
                     the gradient and the tensor are on the same device",
                    g.device(),
                    self.device()
                );
            }
            if g.shape() != self.shape() {
                bail!(
                    Runtime,
                    "attempting to assign a gradient of size '{:?}' to a tensor of size '{:?}'. Please ensure that the gradient and \
                     the tensor are the same size",
                    g.shape(),
                    self.shape()
                );
            }
        }
        self.set_grad_unchecked(grad);
        Ok(())
    }

    pub fn retains_grad(&self) -> bool {
        self.meta.has(RETAINS_GRAD)
    }

    /// Keeps the gradient of a tensor that is no leaf.
    pub fn retain_grad(&self) -> Result<()> {
        if !self.requires_grad() {
            bail!(Runtime, "can't retain_grad on Tensor that has requires_grad=False");
        }
        if self.is_leaf() || self.retains_grad() {
            return Ok(());
        }
        let Some(edge) = self.edge() else { return Ok(()) };
        self.meta.set(RETAINS_GRAD, true);
        let meta = self.meta.downgrade();
        edge.node.extra().hooks.add_retain(
            self.meta.address(),
            edge.slot,
            Arc::new(move |grad: &Tensor| {
                if let Some(meta) = meta.upgrade() {
                    let before = meta.read_rest(|rest| rest.grad.as_ref().map(|g| g.tensor().clone())).flatten();
                    let sum = match before {
                        None => grad.clone(),
                        Some(before) => crate::add(&before, grad)?,
                    };
                    let held = Held::new(&sum);
                    let old = meta.rest(|rest| rest.grad.replace(held));
                    drop(old);
                }
                Ok(None)
            }),
        );
        Ok(())
    }

    /// Where hooks on this tensor's gradient lie, and the slot to name there. They follow the tensor to its new node when an
    /// in-place op gives it one only for leaves; as in PyTorch, a hook belongs to the value it was put on.
    pub fn hooks(&self) -> Result<(HookPlace, usize)> {
        if !self.requires_grad() {
            bail!(Runtime, "cannot register a hook on a tensor that doesn't require gradient");
        }
        match self.grad_fn() {
            Some(node) => Ok((HookPlace::Node(node), self.output_number())),
            None => Ok((HookPlace::Leaf(self.meta.rest(|rest| rest.hooks.get_or_insert_default().clone())), 0)),
        }
    }

    /// Calls `visit` with the host objects that live through this tensor alone: of its gradient, its hooks, the base of a view,
    /// and those of the node that made it. Nothing where clones share the tensor. For a collector of cycles, which may have
    /// interrupted anything: what is locked is in use and not garbage.
    pub fn visit_hosts(&self, visit: &mut dyn FnMut(usize)) {
        if self.meta.strong_count() > 1 {
            return;
        }
        let Ok(state) = self.meta.state.try_lock() else { return };
        if let Some(edge) = state.edge.as_ref().filter(|edge| edge.node.strong_count() == 1) {
            edge.node.visit_hosts(visit);
        }
        // A graph that still leads to a leaf runs its hooks.
        let Some(rest) = state.rest.as_ref().filter(|_| !self.meta.is_in_a_graph()) else { return };
        for hooks in [&rest.hooks, &rest.post_accumulate].into_iter().flatten() {
            hooks.visit_hosts(visit);
        }
        let base = rest.view.as_ref().filter(|view| Arc::strong_count(view) == 1).map(|view| &view.base);
        let source = rest.alias.as_ref().filter(|alias| Arc::strong_count(alias) == 1).map(|alias| &alias.source);
        let looked_into = base.into_iter().chain(source).filter(|held| Arc::strong_count(held) == 1);
        for held in rest.grad.iter().chain(looked_into.map(|held| &**held)) {
            if let Some(host) = held.host() {
                visit(host);
            }
        }
    }

    /// Lets go of what [`visit_hosts`](Tensor::visit_hosts) shows: the tensor is garbage and becomes a leaf without gradient.
    pub fn clear_hosts(&self) {
        if self.meta.strong_count() > 1 {
            return;
        }
        if self.meta.is_in_a_graph() {
            return;
        }
        let (edge, rest) = {
            let mut state = self.meta.lock();
            (state.edge.take(), state.rest.take())
        };
        self.meta.flags.store(0, Release);
        for hooks in rest.iter().flat_map(|rest| [&rest.hooks, &rest.post_accumulate]).flatten() {
            hooks.clear();
        }
        if let Some(edge) = edge {
            bury(edge.node);
        }
        bury(rest);
    }

    pub fn post_accumulate_hooks(&self) -> Result<Arc<Hooks<Tensor>>> {
        if !self.requires_grad() {
            bail!(Runtime, "cannot register a hook on a tensor that doesn't require gradient");
        }
        if !self.is_leaf() {
            bail!(Runtime, "post accumulate grad hooks cannot be registered on non-leaf tensors");
        }
        Ok(self.meta.rest(|rest| rest.post_accumulate.get_or_insert_default().clone()))
    }

    pub(crate) fn leaf_hooks(&self) -> Option<Arc<Hooks<Tensor>>> {
        self.meta.read_rest(|rest| rest.hooks.clone()).flatten()
    }

    pub(crate) fn post_accumulate(&self) -> Option<Arc<Hooks<Tensor>>> {
        self.meta.read_rest(|rest| rest.post_accumulate.clone()).flatten()
    }

    // Rules of in-place ops.

    /// Whether autograd and memory allow writing into this tensor now.
    pub fn check_writable(&self) -> Result<()> {
        self.check_writable_as(&self.array)
    }

    /// As [`check_writable`](Tensor::check_writable), for a write that goes through `array`.
    pub(crate) fn check_writable_as(&self, array: &Array) -> Result<()> {
        if !array.storage().is_writable() {
            bail!(Runtime, "the tensor's memory is read-only; clone() it before writing");
        }
        if array.has_internal_overlap() {
            return Err(Error::memory_overlap());
        }
        self.check_rebasable()
    }

    /// Whether autograd allows that this tensor becomes the result of an op in place.
    fn check_rebasable(&self) -> Result<()> {
        if self.is_inference() && !mode::is_on(Mode::Inference) {
            bail!(
                Runtime,
                "Inplace update to inference tensor outside InferenceMode is not allowed.You can make a clone to get a normal \
                 tensor before doing inplace update.See https://github.com/pytorch/rfcs/pull/17 for more details."
            );
        }
        if !mode::grad_enabled() {
            return Ok(());
        }
        let flags = self.meta.flags.load(Acquire);
        if flags & IS_VIEW != 0
            && let Some(view) = self.view()
        {
            let base = view.base.tensor();
            if view.creation() != Creation::CustomFunction && base.is_recorded_leaf() {
                bail!(Runtime, "a view of a leaf Variable that requires grad is being used in an in-place operation.");
            }
            let name = || self.grad_fn().map_or_else(|| "View".into(), |n| n.name());
            match view.creation() {
                Creation::Default => {}
                Creation::NoGrad | Creation::MultiOutput if !base.requires_grad() => {}
                Creation::NoGrad => bail!(
                    Runtime,
                    "A view was created in no_grad mode and is being modified inplace with grad mode enabled. Given that this use case \
                     is ambiguous and error-prone, it is forbidden. You can clarify your code by moving both the view and the inplace \
                     either both inside the no_grad block (if you don't want the inplace to be tracked) or both outside (if you want the \
                     inplace to be tracked)."
                ),
                Creation::MultiOutput => bail!(
                    Runtime,
                    "Output {} of {} is a view and is being modified inplace. This view is the output of a function that returns multiple \
                     views. Such functions do not allow the output views to be modified inplace. You should replace the inplace operation \
                     by an out-of-place one.",
                    self.output_number(),
                    name()
                ),
                Creation::CustomFunction => bail!(
                    Runtime,
                    "Output {} of {} is a view and is being modified inplace. This view was created inside a custom Function (or because \
                     an input was returned as-is) and the autograd logic to handle view+inplace would override the custom backward \
                     associated with the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix this by \
                     cloning the output of the custom Function.",
                    self.output_number(),
                    name().trim_end_matches("Backward")
                ),
            }
        }
        if flags & REQUIRES_GRAD != 0 && flags & HAS_EDGE == 0 || flags & IS_ALIAS != 0 && self.is_recorded_leaf() {
            bail!(Runtime, "a leaf Variable that requires grad is being used in an in-place operation.");
        }
        Ok(())
    }

    /// The shape as an owned value.
    pub fn shape_owned(&self) -> Shape {
        self.shape().into()
    }

    /// Whether this tensor alone holds its meta: nobody else does, and nobody can come to.
    #[inline]
    pub fn is_sole_owner(&self) -> bool {
        self.meta.is_sole()
    }
}

/// Where hooks on a tensor's gradient lie.
#[derive(Clone)]
pub enum HookPlace {
    Leaf(Arc<Hooks<Tensor>>),
    Node(NodeRef<Tensor>),
}

impl HookPlace {
    pub fn hooks(&self) -> &Hooks<Tensor> {
        match self {
            HookPlace::Leaf(hooks) => hooks,
            HookPlace::Node(node) => &node.extra().hooks,
        }
    }
}

impl std::fmt::Debug for Tensor {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Tensor({:?}, {}, {})", self.shape(), self.dtype().name(), self.device())
    }
}

/// Whether an op on `inputs` goes on the tape.
#[inline]
pub fn needs_grad(inputs: &[&Tensor]) -> bool {
    mode::grad_enabled() && inputs.iter().any(|t| t.requires_grad())
}

/// Whether a node's payload is of type `B`.
pub fn payload_is<B: 'static>(node: &dyn Backward<Tensor>) -> bool {
    node.as_any().is::<B>()
}

impl Tensor {
    /// Makes this tensor an output of a custom op. A view becomes one that may not be written in place: its history is the
    /// op's own.
    pub fn adopt(&self, edge: Edge<Tensor>) {
        self.set_written_edge(edge);
        if self.is_view() {
            self.set_view_version();
            self.mark_custom_view();
        }
    }
}
