//! The backward engine: one run takes gradients of roots to the leaves, or to chosen edges, in reverse order of recording.

use crate::Variable;
use crate::node::{Context, Edge, Grads, NodeRef};
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::*};
use std::sync::{Mutex, MutexGuard};

/// What a run notes on a node: in the node itself if no other run holds it, else in the run's own map.
pub(crate) struct Scratch<V: Variable> {
    /// The run that holds this cell; 0 is free.
    run: u64,
    dependencies: u32,
    needed: bool,
    captured: bool,
    /// Boxed: every node carries a scratch, and gradients are large.
    grads: Option<Box<Grads<V>>>,
}

impl<V: Variable> Scratch<V> {
    pub(crate) const FREE: Self = Scratch { run: 0, dependencies: 0, needed: false, captured: false, grads: None };
}

impl<V: Variable> Default for Scratch<V> {
    fn default() -> Self {
        Scratch::FREE
    }
}

/// What a run is to do.
pub struct Run<'a, V: Variable> {
    pub roots: Vec<(Edge<V>, V)>,
    /// Gradients are returned for these edges (or, if `accumulate`, sent to these leaves only); None: all leaves accumulate.
    pub inputs: Option<&'a [Edge<V>]>,
    /// With `inputs`: leaves among them accumulate, nothing is returned.
    pub accumulate: bool,
    pub keep_graph: bool,
    pub create_graph: bool,
}

struct Ready<V: Variable>(NodeRef<V>);

impl<V: Variable> PartialEq for Ready<V> {
    fn eq(&self, other: &Self) -> bool {
        self.0.sequence == other.0.sequence
    }
}
impl<V: Variable> Eq for Ready<V> {}
impl<V: Variable> PartialOrd for Ready<V> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<V: Variable> Ord for Ready<V> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.sequence.cmp(&other.0.sequence)
    }
}

static NEXT_RUN: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// The run of this thread and whether it goes to all leaves.
    static CURRENT: Cell<Option<(u64, bool)>> = const { Cell::new(None) };
    /// Its [`Elsewhere`], once there is one.
    static CURRENT_ELSEWHERE: RefCell<Option<Rc<dyn Any>>> = const { RefCell::new(None) };
}

/// Cells of nodes that another run holds, by address.
type Elsewhere<V> = RefCell<HashMap<usize, Scratch<V>>>;

/// The number of the innermost run of this thread, and whether all leaves accumulate in it.
pub fn current_run() -> Option<(u64, bool)> {
    CURRENT.get()
}

/// Whether this thread's run goes through `node`.
pub fn will_run<V: Variable>(node: &NodeRef<V>) -> bool {
    let Some((id, all)) = CURRENT.get() else { return false };
    let goes_through = |cell: &Scratch<V>| all || cell.needed;
    let cell = lock(&node.scratch);
    if cell.run == id {
        return goes_through(&cell);
    }
    drop(cell);
    CURRENT_ELSEWHERE.with_borrow(|cells| {
        let cells = cells.as_ref().and_then(|cells| cells.downcast_ref::<Elsewhere<V>>());
        cells.is_some_and(|cells| cells.borrow().get(&node.address()).is_some_and(goes_through))
    })
}

/// Puts the outer run back.
struct Outer(Option<(u64, bool)>, Option<Rc<dyn Any>>);

impl Outer {
    fn leave_for(id: u64, all: bool) -> Outer {
        Outer(CURRENT.replace(Some((id, all))), CURRENT_ELSEWHERE.take())
    }
}

impl Drop for Outer {
    fn drop(&mut self) {
        CURRENT.set(self.0);
        CURRENT_ELSEWHERE.set(self.1.take());
    }
}

/// The notes of one run.
struct Notes<V: Variable> {
    id: u64,
    /// Every node of the run, so that its cells can be freed.
    nodes: Vec<NodeRef<V>>,
    /// Also in `CURRENT_ELSEWHERE`.
    elsewhere: Option<Rc<Elsewhere<V>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|e| e.into_inner())
}

impl<V: Variable> Notes<V> {
    /// Takes the node into the run; false if it is in already.
    fn claim(&mut self, node: &NodeRef<V>) -> bool {
        {
            let mut cell = lock(&node.scratch);
            // What was noted elsewhere stays there, though the other run may have freed the cell since.
            if cell.run == self.id || self.elsewhere.as_ref().is_some_and(|cells| cells.borrow().contains_key(&node.address())) {
                return false;
            }
            let fresh = Scratch { run: self.id, ..Scratch::default() };
            if cell.run == 0 {
                *cell = fresh;
            } else {
                let cells = self.elsewhere.get_or_insert_with(|| {
                    let cells: Rc<Elsewhere<V>> = Rc::default();
                    CURRENT_ELSEWHERE.set(Some(cells.clone()));
                    cells
                });
                cells.borrow_mut().insert(node.address(), fresh);
            }
        }
        self.nodes.push(node.clone());
        true
    }

    fn with<R>(&self, node: &NodeRef<V>, f: impl FnOnce(&mut Scratch<V>) -> R) -> R {
        let mut cell = lock(&node.scratch);
        if cell.run == self.id {
            return f(&mut cell);
        }
        drop(cell);
        let cells = self.elsewhere.as_ref().expect("claimed before it is used");
        f(cells.borrow_mut().get_mut(&node.address()).expect("claimed before it is used"))
    }
}

impl<V: Variable> Drop for Notes<V> {
    fn drop(&mut self) {
        for node in self.nodes.drain(..) {
            let mut cell = lock(&node.scratch);
            let freed = if cell.run == self.id { std::mem::take(&mut *cell) } else { Scratch::default() };
            drop(cell);
            drop(freed);
            crate::bury(node);
        }
    }
}

/// Runs the tape backwards. Returns one gradient per edge of `inputs` (None where it is unreachable), or nothing.
pub fn run<V: Variable>(run: Run<V>) -> Result<Vec<Option<V>>, V::Error> {
    let mut notes = Notes { id: NEXT_RUN.fetch_add(1, Relaxed), nodes: Vec::new(), elsewhere: None };
    let all = run.inputs.is_none();
    let _outer = Outer::leave_for(notes.id, all);

    // Count how often each node will be sent a gradient.
    let mut stack: Vec<NodeRef<V>> = Vec::new();
    for (edge, _) in &run.roots {
        if notes.claim(&edge.node) {
            stack.push(edge.node.clone());
        }
    }
    while let Some(node) = stack.pop() {
        for edge in node.edges.iter().flatten() {
            if notes.claim(&edge.node) {
                stack.push(edge.node.clone());
            }
            notes.with(&edge.node, |s| s.dependencies += 1);
        }
    }

    let mut captures: HashMap<(usize, usize), Vec<usize>> = HashMap::new();
    if let Some(inputs) = run.inputs {
        for (i, edge) in inputs.iter().enumerate() {
            if !run.accumulate {
                captures.entry((edge.node.address(), edge.slot)).or_default().push(i);
            }
            if !notes.claim(&edge.node) {
                notes.with(&edge.node, |s| {
                    s.needed |= run.accumulate;
                    s.captured = true;
                });
            }
        }
        mark_needed(&notes, &run.roots);
    }
    let mut captured: Vec<Option<V>> = vec![None; if run.accumulate { 0 } else { run.inputs.map_or(0, <[_]>::len) }];

    for (edge, grad) in run.roots {
        send(&notes, &edge, grad, run.create_graph)?;
    }
    let mut ready: BinaryHeap<Ready<V>> = BinaryHeap::new();
    for node in &notes.nodes {
        if notes.with(node, |s| s.dependencies == 0 && s.grads.is_some()) {
            ready.push(Ready(node.clone()));
        }
    }

    while let Some(Ready(node)) = ready.pop() {
        V::check_interrupt()?;
        let (grads, needed, is_captured) = notes.with(&node, |s| (s.grads.take(), all || s.needed, s.captured));
        let mut grads = grads.map_or_else(Grads::new, |grads| *grads);
        let any = grads.iter().any(Option::is_some);
        if any {
            while grads.len() < node.payload.outputs() {
                grads.push(None);
            }
            if let Some(extra) = node.extra_if_used() {
                extra.hooks.run_tensors(&mut grads)?;
            }
            if let Some(hooks) = node.payload.leaf_hooks() {
                hooks.run_tensors(&mut grads)?;
            }
            if is_captured {
                for (slot, grad) in grads.iter().enumerate() {
                    for &i in captures.get(&(node.address(), slot)).into_iter().flatten() {
                        captured[i] = grad.clone();
                    }
                }
            }
        }
        let edges = &node.edges;
        let mut out = Grads::new();
        if needed && any {
            if let Some(extra) = node.extra_if_used() {
                extra.hooks.run_pre(&mut grads)?;
            }
            let mut wanted = u64::MAX;
            for (i, edge) in edges.iter().enumerate().take(64) {
                let want = match edge {
                    None => false,
                    Some(edge) => all || notes.with(&edge.node, |s| s.needed || s.captured),
                };
                if !want {
                    wanted &= !(1 << i);
                }
            }
            out = call(grads, &Context { node: &node, create_graph: run.create_graph, keep_graph: run.keep_graph, wanted })
                .inspect_err(|_| V::failed(&node))?;
            if !run.keep_graph {
                node.payload.release();
            }
            V::check_gradients(&node, &out)?;
            if out.len() < edges.len() {
                return Err(V::tape_error(format!(
                    "Function {} returned an invalid number of gradients - expected {}, but got {}",
                    node.name(),
                    edges.len(),
                    out.len()
                )));
            }
        }
        let mut out = out.into_iter();
        for edge in edges.iter() {
            let grad = out.next().flatten();
            let Some(edge) = edge else { continue };
            let wanted = all || notes.with(&edge.node, |s| s.needed || s.captured);
            if let Some(grad) = grad
                && wanted
            {
                send(&notes, edge, grad, run.create_graph)?;
            }
            let is_ready = notes.with(&edge.node, |s| {
                s.dependencies -= 1;
                s.dependencies == 0
            });
            // A node that was sent nothing still passes the news on, or its own successors would wait for ever.
            if is_ready {
                ready.push(Ready(edge.node.clone()));
            }
        }
    }
    Ok(captured)
}

fn call<V: Variable>(grads: Grads<V>, context: &Context<V>) -> Result<Grads<V>, V::Error> {
    let node = context.node;
    match node.extra_if_used() {
        Some(extra) if extra.hooks.has_post() => {
            let out = node.payload.backward(grads.clone(), context)?;
            extra.hooks.run_post(out, &grads)
        }
        _ => node.payload.backward(grads, context),
    }
}

/// Adds a gradient to those that wait at the edge's node.
fn send<V: Variable>(notes: &Notes<V>, edge: &Edge<V>, grad: V, create_graph: bool) -> Result<(), V::Error> {
    let slot = edge.slot;
    let before = notes.with(&edge.node, |s| {
        let grads = s.grads.get_or_insert_default();
        while grads.len() <= slot {
            grads.push(None);
        }
        grads[slot].take()
    });
    // Outside the lock: the sum is an op.
    let sum = match before {
        None => grad,
        Some(before) => before.accumulate(grad, create_graph)?,
    };
    notes.with(&edge.node, |s| s.grads.get_or_insert_default()[slot] = Some(sum));
    Ok(())
}

/// Marks nodes on a path from a root to a captured node. Iterative post-order: a node is decided after all its successors.
fn mark_needed<V: Variable>(notes: &Notes<V>, roots: &[(Edge<V>, V)]) {
    let mut done: std::collections::HashSet<usize> = std::collections::HashSet::new();
    let mut stack: Vec<(NodeRef<V>, bool)> = roots.iter().map(|(edge, _)| (edge.node.clone(), false)).collect();
    while let Some((node, children_done)) = stack.pop() {
        if children_done {
            let needed = node.edges.iter().flatten().any(|e| notes.with(&e.node, |s| s.needed || s.captured));
            notes.with(&node, |s| s.needed |= needed);
            continue;
        }
        if !done.insert(node.address()) {
            continue;
        }
        stack.push((node.clone(), true));
        for edge in node.edges.iter().flatten() {
            if !done.contains(&edge.node.address()) {
                stack.push((edge.node.clone(), false));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backward, Node};
    use smallvec::smallvec;

    impl Variable for f64 {
        type Error = String;
        fn accumulate(self, other: f64, _: bool) -> Result<f64, String> {
            Ok(self + other)
        }
        fn check_interrupt() -> Result<(), String> {
            Ok(())
        }
        fn tape_error(message: String) -> String {
            message
        }
    }

    struct Scale(f64);
    impl Backward<f64> for Scale {
        fn name(&self) -> String {
            "Scale".into()
        }
        fn backward(&self, grads: Grads<f64>, _: &Context<f64>) -> Result<Grads<f64>, String> {
            Ok(smallvec![grads[0].map(|g| g * self.0)])
        }
        fn as_any(&self) -> &dyn std::any::Any {
            self
        }
    }

    struct Leaf(Mutex<f64>);
    impl Backward<f64> for Leaf {
        fn name(&self) -> String {
            "Leaf".into()
        }
        fn backward(&self, grads: Grads<f64>, _: &Context<f64>) -> Result<Grads<f64>, String> {
            *self.0.lock().unwrap() += grads[0].unwrap_or(0.0);
            Ok(smallvec![])
        }
        fn as_any(&self) -> &dyn std::any::Any {
            self
        }
    }

    /// What has come to a leaf.
    fn sum(leaf: &NodeRef<f64>) -> MutexGuard<'_, f64> {
        lock(&leaf.payload.as_any().downcast_ref::<Leaf>().expect("a leaf").0)
    }

    fn edge(node: NodeRef<f64>) -> Option<Edge<f64>> {
        Some(Edge { node, slot: 0 })
    }

    fn start(node: NodeRef<f64>) -> Run<'static, f64> {
        Run { roots: vec![(Edge { node, slot: 0 }, 1.0)], inputs: None, accumulate: true, keep_graph: false, create_graph: false }
    }

    #[test]
    fn a_shared_input_gets_the_sum() {
        let leaf = Node::with_sequence(u64::MAX, smallvec![], Leaf(Mutex::new(0.0)));
        let a = Node::new(smallvec![edge(leaf.clone())], Scale(2.0));
        let b = Node::new(smallvec![edge(leaf.clone()), edge(a)], Scale(3.0));
        let top = Node::new(smallvec![edge(b)], Scale(1.0));
        assert!(run(start(top)).is_err(), "b has two inputs and returns one gradient");
        let c = Node::new(smallvec![edge(leaf.clone())], Scale(5.0));
        *sum(&leaf) = 0.0;
        run(start(c)).unwrap();
        assert_eq!(*sum(&leaf), 5.0);
    }

    #[test]
    fn a_chain_of_a_million_nodes_runs_and_is_freed() {
        let leaf = Node::with_sequence(u64::MAX, smallvec![], Leaf(Mutex::new(0.0)));
        let mut node = leaf.clone();
        for _ in 0..1_000_000 {
            node = Node::new(smallvec![edge(node)], Scale(1.0));
        }
        run(start(node.clone())).unwrap();
        assert_eq!(*sum(&leaf), 1.0);
        let weak = node.downgrade();
        drop(node);
        assert!(weak.upgrade().is_none() && leaf.strong_count() == 1);
    }

    #[test]
    fn only_the_wanted_inputs_are_computed_and_returned() {
        let leaf = Node::with_sequence(u64::MAX, smallvec![], Leaf(Mutex::new(0.0)));
        let middle = Node::new(smallvec![edge(leaf.clone())], Scale(2.0));
        let top = Node::new(smallvec![edge(middle.clone())], Scale(3.0));
        let inputs = [Edge { node: middle, slot: 0 }, Edge { node: Node::new(smallvec![], Scale(0.0)), slot: 0 }];
        let out = run(Run { inputs: Some(&inputs), accumulate: false, ..start(top) }).unwrap();
        assert_eq!(out, [Some(3.0), None]);
        assert_eq!(*sum(&leaf), 0.0);
    }

    #[test]
    fn a_cell_that_another_run_frees_meanwhile_is_not_claimed_a_second_time() {
        let leaf = Node::with_sequence(u64::MAX, smallvec![], Leaf(Mutex::new(0.0)));
        let node = leaf.clone();
        let notes = |id| Notes { id, nodes: Vec::new(), elsewhere: None };
        let (mut first, mut second) = (notes(u64::MAX - 1), notes(u64::MAX));
        assert!(first.claim(&node) && second.claim(&node));
        second.with(&node, |s| s.dependencies += 1);
        drop(first);
        assert!(!second.claim(&node));
        assert_eq!(second.with(&node, |s| s.dependencies), 1);
    }

    /// Asks whether the run goes through its nodes.
    struct Asks(Vec<NodeRef<f64>>, Mutex<Vec<bool>>);
    impl Backward<f64> for Asks {
        fn name(&self) -> String {
            "Asks".into()
        }
        fn backward(&self, grads: Grads<f64>, _: &Context<f64>) -> Result<Grads<f64>, String> {
            self.1.lock().unwrap().extend(self.0.iter().map(will_run));
            Ok(smallvec![grads[0], grads[0]])
        }
        fn as_any(&self) -> &dyn Any {
            self
        }
    }

    /// Runs another graph before it goes on.
    struct Nests(NodeRef<f64>);
    impl Backward<f64> for Nests {
        fn name(&self) -> String {
            "Nests".into()
        }
        fn backward(&self, grads: Grads<f64>, _: &Context<f64>) -> Result<Grads<f64>, String> {
            run(start(self.0.clone()))?;
            Ok(smallvec![grads[0]])
        }
        fn as_any(&self) -> &dyn Any {
            self
        }
    }

    #[test]
    fn a_run_knows_its_nodes_also_where_another_run_holds_their_cells() {
        let leaf = || Node::with_sequence(u64::MAX, smallvec![], Leaf(Mutex::new(0.0)));
        let (shared, other) = (leaf(), leaf());
        let both = || vec![shared.clone(), other.clone()];
        let inner = Node::new(smallvec![edge(shared.clone())], Asks(both(), Mutex::default()));
        // The first node made is the last to run: once the inner run is over.
        let last = Node::new(smallvec![edge(shared.clone()), edge(other.clone())], Asks(both(), Mutex::default()));
        let nests = Node::new(smallvec![edge(last.clone())], Nests(inner.clone()));
        run(start(nests)).unwrap();
        let answers = |node: &NodeRef<f64>| node.payload.as_any().downcast_ref::<Asks>().expect("it asks").1.lock().unwrap().clone();
        assert_eq!(answers(&inner), [true, false]);
        assert_eq!(answers(&last), [true, true]);
        assert_eq!(*sum(&shared), 2.0);
    }

    #[test]
    fn two_runs_may_walk_one_graph_at_once() {
        let leaf = Node::with_sequence(u64::MAX, smallvec![], Leaf(Mutex::new(0.0)));
        let mut node = leaf.clone();
        for _ in 0..1000 {
            node = Node::new(smallvec![edge(node)], Scale(1.0));
        }
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50).for_each(|_| drop(run(Run { keep_graph: true, ..start(node.clone()) }).unwrap())));
            }
        });
        assert_eq!(*sum(&leaf), 200.0);
    }
}
