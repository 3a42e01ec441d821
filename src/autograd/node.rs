//! Nodes, edges and hooks.

use crate::engine::Scratch;
use crate::{Edges, Variable};
use rustnn_tensor::{Counted, Shared};
use smallvec::SmallVec;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::*};
use std::sync::{Arc, Mutex, OnceLock};

/// Gradients, one for each output (on the way in) or input (on the way out); None is zero.
pub type Grads<V> = SmallVec<[Option<V>; 2]>;

/// What a node is told about the run it is in.
pub struct Context<'a, V: Variable> {
    /// The node itself: saved outputs are outputs of it.
    pub node: &'a NodeRef<V>,
    /// The run's own ops are recorded, so that gradients have gradients.
    pub create_graph: bool,
    /// Saved tensors stay for another run.
    pub keep_graph: bool,
    /// Bit i: input i's gradient is wanted (bits from 64 on are always set).
    pub wanted: u64,
}

impl<V: Variable> Context<'_, V> {
    pub fn wants(&self, input: usize) -> bool {
        input >= 64 || self.wanted >> input & 1 == 1
    }
}

/// The payload of a node: how gradients of its outputs become gradients of its inputs.
pub trait Backward<V: Variable>: Send + Sync {
    /// As `grad_fn` shows it: `MulBackward0`.
    fn name(&self) -> String;

    fn backward(&self, grads: Grads<V>, context: &Context<V>) -> Result<Grads<V>, V::Error>;

    /// How many outputs the op had.
    fn outputs(&self) -> usize {
        1
    }

    /// Drops saved tensors; a later run must fail with PyTorch's message.
    fn release(&self) {}

    /// Calls `visit` with every host object of which it owns a reference, for a collector of cycles.
    fn visit_hosts(&self, _visit: &mut dyn FnMut(usize)) {}

    /// Hooks on a leaf's gradient, kept with the leaf: only the node that accumulates into it has any.
    fn leaf_hooks(&self) -> Option<Arc<Hooks<V>>> {
        None
    }

    /// For callers that know the concrete type.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// Where a gradient goes: output `slot` of `node`.
pub struct Edge<V: Variable> {
    pub node: NodeRef<V>,
    pub slot: usize,
}

impl<V: Variable> Clone for Edge<V> {
    fn clone(&self) -> Self {
        Edge { node: self.node.clone(), slot: self.slot }
    }
}

pub type NodeRef<V> = Shared<Node<V>>;

/// One recorded op; node and payload are one allocation.
pub struct Node<V: Variable, B: ?Sized + Backward<V> = dyn Backward<V>> {
    /// Later nodes run earlier; leaves (`u64::MAX`) as soon as they are ready.
    pub sequence: u64,
    /// Where input i's gradient goes; None where none is wanted.
    pub edges: Edges<V>,
    extra: OnceLock<Box<Extra<V>>>,
    pub(crate) scratch: Mutex<Scratch<V>>,
    pub payload: B,
}

/// See [`bury`].
struct Graves {
    digging: Cell<bool>,
    waiting: RefCell<Vec<Box<dyn std::any::Any>>>,
}

thread_local! {
    static SEQUENCE: Cell<u64> = const { Cell::new(0) };
    static GRAVES: Graves = const { Graves { digging: Cell::new(false), waiting: RefCell::new(Vec::new()) } };
}

/// Whether nodes are counted, and how many live.
static COUNTING: AtomicBool = AtomicBool::new(false);
static LIVING: AtomicI64 = AtomicI64::new(0);

#[inline]
fn count(change: i64) {
    if COUNTING.load(Relaxed) {
        LIVING.fetch_add(change, Relaxed);
    }
}

/// Made less dropped nodes since the first call, which starts the counting: for tests that look for leaks. Leaves' own nodes,
/// which live as long as their leaves, do not count.
pub fn living_nodes() -> i64 {
    COUNTING.store(true, Relaxed);
    LIVING.load(Relaxed)
}

/// The next number of this thread. Order between threads does not matter: dependencies are counted.
#[inline]
pub fn next_sequence() -> u64 {
    SEQUENCE.with(|s| s.replace(s.get() + 1))
}

impl<V: Variable, B: Backward<V> + 'static> Node<V, B> {
    pub fn new(edges: Edges<V>, payload: B) -> NodeRef<V> {
        Node::with_sequence(next_sequence(), edges, payload)
    }

    /// As [`new`](Node::new), with edges and the rest of the payload written in place.
    #[inline(always)]
    pub fn filled(payload: B, fill: impl FnOnce(&mut Edges<V>, &mut B)) -> NodeRef<V> {
        count(1);
        let blank = || Node::blank(next_sequence(), Edges::new(), payload);
        let node: Box<Counted<Node<V>>> = Counted::filled(blank, |node| fill(&mut node.edges, &mut node.payload));
        node.into()
    }

    #[inline(always)]
    fn blank(sequence: u64, edges: Edges<V>, payload: B) -> Node<V, B> {
        Node { sequence, edges, extra: const { OnceLock::new() }, scratch: const { Mutex::new(Scratch::FREE) }, payload }
    }

    pub fn with_sequence(sequence: u64, edges: Edges<V>, payload: B) -> NodeRef<V> {
        if sequence != u64::MAX {
            count(1);
        }
        let node: Box<Counted<Node<V>>> = Counted::new(Node::blank(sequence, edges, payload));
        node.into()
    }
}

impl<V: Variable, B: ?Sized + Backward<V>> Node<V, B> {
    /// Hooks and traces, made on first use.
    pub fn extra(&self) -> &Extra<V> {
        self.extra.get_or_init(Box::default)
    }

    /// The payload's name, or the one of the composition that this node ends.
    pub fn name(&self) -> String {
        match self.extra_if_used().and_then(|extra| extra.name.get()) {
            Some(name) => (*name).into(),
            None => self.payload.name(),
        }
    }

    pub fn extra_if_used(&self) -> Option<&Extra<V>> {
        self.extra.get().map(|b| &**b)
    }

    /// Calls `visit` with the host objects that its hooks and its payload keep alive.
    pub fn visit_hosts(&self, visit: &mut dyn FnMut(usize)) {
        if let Some(extra) = self.extra_if_used() {
            extra.hooks.visit_hosts(visit);
        }
        self.payload.visit_hosts(visit);
    }
}

impl<V: Variable, B: ?Sized + Backward<V>> Drop for Node<V, B> {
    fn drop(&mut self) {
        if self.sequence != u64::MAX {
            count(-1);
        }
        for edge in &mut self.edges {
            if let Some(edge) = edge.take() {
                release(edge.node);
            }
        }
    }
}

/// Drops a reference to a node; see [`bury`]. Only the last one has anything to take apart. (Two threads that drop the last two
/// at once may both come here first: then one of them goes a level deeper, no more.)
#[inline]
pub fn release<V: Variable>(node: NodeRef<V>) {
    if node.strong_count() > 1 { drop(node) } else { bury(node) }
}

/// Drops `value` without deep recursion: a chain of a million nodes, each holding the next through its edges or its saved
/// tensors, is taken apart in a loop. Everything that may own a node drops it through here.
pub fn bury<T: 'static>(value: T) {
    let mut value = Some(value);
    let done = GRAVES.try_with(|graves| {
        if graves.digging.replace(true) {
            graves.waiting.borrow_mut().push(Box::new(value.take()));
            return;
        }
        drop(value.take());
        loop {
            let next = graves.waiting.borrow_mut().pop();
            match next {
                Some(next) => drop(next),
                None => break,
            }
        }
        graves.digging.set(false);
    });
    // The thread is ending and its cells are gone.
    if done.is_err() {
        drop(value);
    }
}

/// Names a hook for its removal.
pub type HookId = u64;

/// A hook on one gradient: may replace it.
pub type Hook<V> = Arc<dyn Fn(&V) -> Result<Option<V>, <V as Variable>::Error> + Send + Sync>;

/// A hook on all gradients that enter a node: may replace them.
pub type PreHook<V> = Arc<dyn Fn(&Grads<V>) -> Result<Option<Grads<V>>, <V as Variable>::Error> + Send + Sync>;

/// A hook on what leaves and what entered a node: may replace the former.
pub type PostHook<V> = Arc<dyn Fn(&Grads<V>, &Grads<V>) -> Result<Option<Grads<V>>, <V as Variable>::Error> + Send + Sync>;

/// Hooks in the order of registration.
pub struct Hooks<V: Variable> {
    tensor: Mutex<Vec<(HookId, usize, Hook<V>)>>,
    /// Run after all others of their slot, whenever they were registered: `retain_grad`, by the address of what keeps.
    retain: Mutex<Vec<(usize, usize, Hook<V>)>>,
    pre: Mutex<Vec<(HookId, PreHook<V>)>>,
    post: Mutex<Vec<(HookId, PostHook<V>)>>,
    /// The host objects behind some of them.
    hosts: Mutex<Vec<(HookId, usize)>>,
}

impl<V: Variable> Default for Hooks<V> {
    fn default() -> Self {
        Hooks { tensor: Mutex::default(), retain: Mutex::default(), pre: Mutex::default(), post: Mutex::default(), hosts: Mutex::default() }
    }
}

static NEXT_HOOK: AtomicU64 = AtomicU64::new(0);

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl<V: Variable> Hooks<V> {
    pub fn add_tensor(&self, slot: usize, hook: Hook<V>) -> HookId {
        let id = NEXT_HOOK.fetch_add(1, Relaxed);
        locked(&self.tensor).push((id, slot, hook));
        id
    }

    pub fn add_retain(&self, keeper: usize, slot: usize, hook: Hook<V>) {
        locked(&self.retain).push((keeper, slot, hook));
    }

    /// The hook with which `keeper` keeps gradients, for its next node.
    pub fn take_retain(&self, keeper: usize) -> Option<Hook<V>> {
        let mut retain = locked(&self.retain);
        let at = retain.iter().position(|h| h.0 == keeper)?;
        Some(retain.remove(at).2)
    }

    pub fn add_pre(&self, hook: PreHook<V>) -> HookId {
        let id = NEXT_HOOK.fetch_add(1, Relaxed);
        locked(&self.pre).push((id, hook));
        id
    }

    pub fn add_post(&self, hook: PostHook<V>) -> HookId {
        let id = NEXT_HOOK.fetch_add(1, Relaxed);
        locked(&self.post).push((id, hook));
        id
    }

    /// Says that hook `id` owns a reference to a host object.
    pub fn note_host(&self, id: HookId, host: usize) {
        locked(&self.hosts).push((id, host));
    }

    /// Calls `visit` with what [`note_host`](Hooks::note_host) was told.
    pub fn visit_hosts(&self, visit: &mut dyn FnMut(usize)) {
        for (_, host) in locked(&self.hosts).iter() {
            visit(*host);
        }
    }

    pub fn remove(&self, id: HookId) {
        locked(&self.hosts).retain(|h| h.0 != id);
        // The removed hooks are dropped after the locks are free: their drop may run foreign code.
        let tensor: Vec<_> = locked(&self.tensor).extract_if(.., |h| h.0 == id).collect();
        let pre: Vec<_> = locked(&self.pre).extract_if(.., |h| h.0 == id).collect();
        let post: Vec<_> = locked(&self.post).extract_if(.., |h| h.0 == id).collect();
        drop((tensor, pre, post));
    }

    /// Empties the registry, for collectors of cycles.
    pub fn clear(&self) {
        locked(&self.hosts).clear();
        let all = (
            std::mem::take(&mut *locked(&self.tensor)),
            std::mem::take(&mut *locked(&self.retain)),
            std::mem::take(&mut *locked(&self.pre)),
            std::mem::take(&mut *locked(&self.post)),
        );
        drop(all);
    }

    /// Runs the hooks on each gradient, then `retain_grad`.
    pub(crate) fn run_tensors(&self, grads: &mut Grads<V>) -> Result<(), V::Error> {
        let hooks = locked(&self.tensor).clone();
        for (_, slot, hook) in hooks {
            self.apply(slot, &hook, grads)?;
        }
        let hooks = locked(&self.retain).clone();
        for (_, slot, hook) in hooks {
            self.apply(slot, &hook, grads)?;
        }
        Ok(())
    }

    /// Runs the hooks on all gradients, which see what [`Hooks::run_tensors`] left.
    pub(crate) fn run_pre(&self, grads: &mut Grads<V>) -> Result<(), V::Error> {
        let hooks = locked(&self.pre).clone();
        for (_, hook) in hooks {
            if let Some(new) = hook(grads)? {
                *grads = new;
            }
        }
        Ok(())
    }

    /// Runs the hooks of `slot` for their effect: what they return has no meaning.
    pub fn run_tensor(&self, slot: usize, value: &V) -> Result<(), V::Error> {
        let hooks = locked(&self.tensor).clone();
        for (_, _, hook) in hooks.into_iter().filter(|h| h.1 == slot) {
            hook(value)?;
        }
        Ok(())
    }

    fn apply(&self, slot: usize, hook: &Hook<V>, grads: &mut Grads<V>) -> Result<(), V::Error> {
        if let Some(Some(grad)) = grads.get(slot)
            && let Some(new) = hook(grad)?
        {
            grads[slot] = Some(new);
        }
        Ok(())
    }

    pub(crate) fn run_post(&self, mut out: Grads<V>, grads: &Grads<V>) -> Result<Grads<V>, V::Error> {
        let hooks = locked(&self.post).clone();
        for (_, hook) in hooks {
            if let Some(new) = hook(&out, grads)? {
                out = new;
            }
        }
        Ok(out)
    }

    pub(crate) fn has_post(&self) -> bool {
        !locked(&self.post).is_empty()
    }
}

/// What only some nodes have.
pub struct Extra<V: Variable> {
    pub hooks: Hooks<V>,
    /// Where the op was called, in anomaly mode.
    pub trace: Mutex<Option<String>>,
    /// Shown instead of the payload's.
    pub name: OnceLock<&'static str>,
    /// A host object (a dictionary `metadata`, a Python node).
    pub host: OnceLock<Box<dyn std::any::Any + Send + Sync>>,
}

impl<V: Variable> Default for Extra<V> {
    fn default() -> Self {
        Extra { hooks: Hooks::default(), trace: Mutex::default(), name: OnceLock::new(), host: OnceLock::new() }
    }
}
