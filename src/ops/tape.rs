//! Recording: leaves, views and in-place writes on the tape, and the entrance to the backward engine.

use crate::mode::{self, Guard, Mode};
use crate::tensor::{Creation, Meta, Tensor};
use rustnn_autograd::{Backward, Context, Edge, Edges, Grads, Hooks, Node, NodeRef, Run, Variable};
use rustnn_tensor::shared::{Shared, Weak};
use rustnn_tensor::{Array, DType, Device, Error, Result, Shape, Strides, bail};
use smallvec::{SmallVec, smallvec};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, OnceLock};

impl Variable for Tensor {
    type Error = Error;

    fn accumulate(self, other: Tensor, create_graph: bool) -> Result<Tensor> {
        if !create_graph && self.dtype() == other.dtype() && self.shape() == other.shape() && self.is_contiguous() {
            // Gradients are often views of one another or `.grad`s that users see: only a sole owner's memory is reused.
            let target = if self.is_sole_owner_of_memory() {
                Some(&self)
            } else if other.is_contiguous() && other.is_sole_owner_of_memory() {
                Some(&other)
            } else {
                None
            };
            if let Some(target) = target {
                crate::row::run_into(&crate::rows::ADD, &[&self, &other], &[1i64.into()], target.array())?;
                return Ok(target.clone());
            }
        }
        crate::add(&self, &other)
    }

    fn check_interrupt() -> Result<()> {
        rustnn_kernels::interrupt::tick();
        Ok(())
    }

    fn check_gradients(node: &NodeRef<Tensor>, grads: &Grads<Tensor>) -> Result<()> {
        match CHECK_NAN.get() {
            Some(check) if mode::is_on(Mode::Anomaly) => check(node, grads),
            _ => Ok(()),
        }
    }

    fn failed(node: &NodeRef<Tensor>) {
        if mode::is_on(Mode::Anomaly)
            && let Some(report) = REPORT.get()
        {
            report(node);
        }
    }

    fn tape_error(message: String) -> Error {
        Error::Runtime(message)
    }
}

/// Edges to the places of `inputs` on the tape.
pub fn edges(inputs: &[&Tensor]) -> Edges<Tensor> {
    inputs.iter().map(|t| if t.dtype().is_differentiable() { t.edge() } else { None }).collect()
}

/// Puts `array` on the tape as the only output of an op on `inputs`.
pub fn record<B: Backward<Tensor> + 'static>(array: Array, inputs: &[&Tensor], payload: B) -> Tensor {
    let node = Node::new(edges(inputs), payload);
    note_trace(&node);
    Tensor::from_node(array, node, 0)
}

/// In anomaly mode: says where the op of a node was called.
pub static REPORT: OnceLock<fn(&NodeRef<Tensor>)> = OnceLock::new();

/// In anomaly mode: an error for NaN, after whatever the host says about where the op was called.
pub static CHECK_NAN: OnceLock<fn(&NodeRef<Tensor>, &Grads<Tensor>) -> Result<()>> = OnceLock::new();

/// Lets a composition show as one op: its last node gets the op's name.
pub fn named(tensor: Tensor, name: &'static str) -> Tensor {
    if let Some(node) = tensor.grad_fn() {
        let _ = node.extra().name.set(name);
    }
    tensor
}

/// The host's description of where it is, for anomaly mode.
pub static TRACE: OnceLock<fn() -> String> = OnceLock::new();

/// In anomaly mode, notes where a node was made.
pub fn note_trace<B: ?Sized + Backward<Tensor>>(node: &Node<Tensor, B>) {
    if mode::is_on(Mode::Anomaly)
        && let Some(trace) = TRACE.get()
    {
        *node.extra().trace.lock().unwrap_or_else(|e| e.into_inner()) = Some(trace());
    }
}

/// Makes `target`, just written in place, the only output of `node`, whose first edge is target's former place.
pub fn rebase(target: &Tensor, node: NodeRef<Tensor>) {
    rebase_at(target, node, 0);
}

/// As [`rebase`], where the edge numbered `place` is target's former place.
pub fn rebase_at(target: &Tensor, node: NodeRef<Tensor>, place: usize) {
    note_trace(&node);
    let Some(view) = target.view() else { return target.set_written_edge(Edge { node, slot: 0 }) };
    let base = view.base.tensor();
    let mut edges: Edges<Tensor> = smallvec![base.edge()];
    // What went through an alias has a place of its own to return to.
    edges.extend(node.edges.iter().enumerate().filter(|(i, _)| view.aliased || *i != place).map(|(_, edge)| edge.clone()));
    let parts = Parts::of(base.array(), target.array());
    let (base_geometry, view_geometry) = parts.geometries(base.array(), target.array());
    let copy = CopySlices { base: base_geometry, view: view_geometry, parts, inner: node, place, aliased: view.aliased };
    base.set_written_edge(Edge { node: Node::new(edges, copy), slot: 0 });
    // The view's own edge is made anew from the base's.
    target.set_edge(Edge { node: Node::new(smallvec![base.edge()], AsStridedBackward::new(base.array(), target.array())), slot: 0 });
    target.set_view_version();
}

/// Whether a base and its view are to be seen as real numbers, since one of them is complex and the other is not.
#[derive(Clone, Copy, Debug)]
struct Parts {
    base: bool,
    view: bool,
}

impl Parts {
    fn of(base: &Array, view: &Array) -> Parts {
        let (base, view) = (base.dtype().is_complex(), view.dtype().is_complex());
        Parts { base: base && !view, view: view && !base }
    }

    fn geometries(self, base: &Array, view: &Array) -> (Geometry, Geometry) {
        let of = |array: &Array, split: bool| if split { Geometry::of_parts(array) } else { Geometry::of(array) };
        (of(base, self.base), of(view, self.view))
    }
}

/// Complex numbers as pairs of real ones, if asked.
fn split(x: Tensor, asked: bool) -> Result<Tensor> {
    if asked { crate::complex::view_as_real(&x) } else { Ok(x) }
}

/// The way back.
fn joined(x: Tensor, asked: bool) -> Result<Tensor> {
    if asked { crate::complex::as_complex(&x) } else { Ok(x) }
}

/// A shape and strides over some memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Geometry {
    pub shape: Shape,
    pub strides: Strides,
    pub offset: usize,
}

impl Geometry {
    pub fn of(array: &Array) -> Geometry {
        Geometry { shape: array.shape().into(), strides: array.strides().into(), offset: array.offset() }
    }

    /// That of the parts of complex numbers.
    fn of_parts(array: &Array) -> Geometry {
        let mut of = Geometry::of(array);
        of.strides.iter_mut().for_each(|s| *s = s.saturating_mul(2));
        of.shape.push(2);
        of.strides.push(1);
        of.offset *= 2;
        of
    }

    /// Lowest and highest element offset reached; by nothing its own.
    fn extent(&self) -> (usize, usize) {
        if self.shape.contains(&0) {
            return (self.offset, self.offset);
        }
        let (mut low, mut high) = (self.offset as isize, self.offset as isize);
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            let reach = (size as isize - 1) * stride;
            if reach < 0 { low += reach } else { high += reach }
        }
        (low as usize, high as usize)
    }
}

/// Adds a gradient up in a leaf's `.grad`. The leaf owns this node for life, which therefore must not own the leaf; when a leaf
/// dies before its graph, it leaves its meta here.
pub struct Accumulate {
    leaf: Mutex<Leaf>,
    /// Held while a gradient is added: runs of several threads end in one leaf. Backward runs are detached from the interpreter, so
    /// that whoever waits here keeps nobody else waiting.
    adding: Mutex<()>,
}

struct Leaf {
    array: Array,
    counter: Option<Arc<AtomicU32>>,
    meta: LeafMeta,
}

enum LeafMeta {
    Living(Weak<Meta>),
    Left(Shared<Meta>),
}

impl Accumulate {
    pub(crate) fn new(leaf: &Tensor) -> Accumulate {
        let meta = LeafMeta::Living(leaf.meta().downgrade());
        Accumulate { leaf: Mutex::new(Leaf { array: leaf.array().clone(), counter: leaf.counter(), meta }), adding: Mutex::new(()) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Leaf> {
        self.leaf.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The leaf; None while another thread is dropping it.
    pub fn leaf(&self) -> Option<Tensor> {
        let leaf = self.lock();
        let meta = match &leaf.meta {
            LeafMeta::Living(weak) => weak.upgrade()?,
            LeafMeta::Left(meta) => meta.clone(),
        };
        Some(Tensor::with_meta(leaf.array.clone(), leaf.counter.clone(), meta))
    }

    /// The leaf has got another header.
    pub(crate) fn set_header(&self, leaf: &Tensor) {
        let mut own = self.lock();
        let before = std::mem::replace(&mut own.array, leaf.array().clone());
        own.counter = leaf.counter();
        drop(own);
        drop(before);
    }

    /// Takes what a dead leaf leaves.
    pub(crate) fn adopt(&self, meta: Shared<Meta>) {
        self.lock().meta = LeafMeta::Left(meta);
    }
}

/// Whether a gradient is laid out as its leaf wants it: as the leaf itself where that is dense, else row-major.
fn lies_as(grad: &Tensor, leaf: &Tensor) -> bool {
    if leaf.is_contiguous() || !crate::row::is_dense(leaf.array()) { grad.is_contiguous() } else { grad.strides() == leaf.strides() }
}

impl Backward<Tensor> for Accumulate {
    fn name(&self) -> String {
        "AccumulateGrad".into()
    }

    fn backward(&self, mut grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(leaf) = self.leaf() else { return Ok(Grads::new()) };
        let Some(grad) = grads.first_mut().and_then(Option::take) else { return Ok(Grads::new()) };
        if grad.shape() != leaf.shape() {
            bail!(
                Runtime,
                "Function AccumulateGrad returned an invalid gradient at index 0 - got {:?} but expected shape compatible with {:?}",
                grad.shape(),
                leaf.shape()
            );
        }
        if grad.device() != leaf.device() {
            bail!(
                Runtime,
                "Function AccumulateGrad returned an invalid gradient at index 0 - expected device {} but got {}",
                leaf.device(),
                grad.device()
            );
        }
        let adding = self.adding.lock().unwrap_or_else(|e| e.into_inner());
        let replaced = match leaf.grad() {
            None => {
                // The gradient becomes the user's to write into: it must be nobody else's memory, and dense.
                let own = if context.create_graph {
                    grad
                } else if lies_as(&grad, &leaf) && grad.is_sole_owner_of_memory() && !grad.requires_grad() {
                    grad
                } else {
                    Tensor::from_array(crate::copy::clone_laid_out_as(grad.array(), leaf.array())?)
                };
                leaf.replace_grad(Some(own))
            }
            Some(before) if context.create_graph => leaf.replace_grad(Some(crate::add(&before, &grad)?)),
            Some(before) => {
                mode::no_grad(|| crate::row::call_inplace(&crate::rows::ADD, &before, &[(&grad).into()], &[1i64.into()]))?;
                None
            }
        };
        // What was there may end with it, and the host's code then runs.
        drop(adding);
        drop(replaced);
        if let Some(hooks) = leaf.post_accumulate() {
            hooks.run_tensor(0, &leaf)?;
        }
        Ok(Grads::new())
    }

    fn leaf_hooks(&self) -> Option<Arc<Hooks<Tensor>>> {
        self.leaf()?.leaf_hooks()
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The history of a tensor one of whose views was written by `inner`.
struct CopySlices {
    base: Geometry,
    view: Geometry,
    parts: Parts,
    inner: NodeRef<Tensor>,
    /// Which of its edges led to what was there before.
    place: usize,
    /// The written part's gradient goes on along an edge of its own, the second, instead of into the base's.
    aliased: bool,
}

impl Backward<Tensor> for CopySlices {
    fn name(&self) -> String {
        "CopySlices".into()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(grad) = grads.into_iter().next().flatten() else { return Ok(smallvec![None; context.node.edges.len()]) };
        let grad = split(grad, self.parts.base)?;
        let slice = joined(as_strided_in(&grad, &self.base, &self.view)?, self.parts.view)?;
        let wanted = if self.aliased {
            context.wanted >> 1 | 1 << 63
        } else if self.place == 0 {
            context.wanted | 1
        } else {
            // Ours begin with the base's, the inner ones have it at `place`.
            let lower = (1 << self.place) - 1;
            context.wanted & !(lower << 1 | 1) | (context.wanted >> 1 & lower) | 1 << self.place
        };
        let inner = Context { node: &self.inner, create_graph: context.create_graph, keep_graph: context.keep_graph, wanted };
        let mut out = self.inner.payload.backward(smallvec![Some(slice)], &inner)?;
        if self.aliased {
            let rest =
                if context.wants(0) { Some(joined(replace_in(&grad, &self.base, &self.view, None)?, self.parts.base)?) } else { None };
            out.insert(0, rest);
            return Ok(out);
        }
        let through = if self.place < out.len() { out.remove(self.place) } else { None };
        let through = through.map(|part| split(part, self.parts.view)).transpose()?;
        let whole = if context.wants(0) {
            Some(joined(replace_in(&grad, &self.base, &self.view, through.as_ref())?, self.parts.base)?)
        } else {
            None
        };
        out.insert(0, whole);
        Ok(out)
    }

    fn release(&self) {
        self.inner.payload.release();
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The elements `view` of a gradient shaped as `base`: a copy, recorded if gradients are on.
fn as_strided_in(grad: &Tensor, base: &Geometry, view: &Geometry) -> Result<Tensor> {
    let array = mode::no_grad(|| -> Result<Array> {
        let low = base.extent().0.min(view.extent().0);
        let buffer = gathered(grad, base, low, base.extent().1.max(view.extent().1))?;
        let buffer = shared_out(buffer, base, low)?;
        crate::copy::clone_array(&buffer.as_strided(&view.shape, &view.strides, view.offset - low)?)
    })?;
    Ok(if mode::grad_enabled() && grad.requires_grad() {
        record(array, &[grad], ReadSlice { base: base.clone(), view: view.clone() })
    } else {
        Tensor::from_array(array)
    })
}

/// `grad` with the elements `view` replaced by `slice` (zeros where None).
fn replace_in(grad: &Tensor, base: &Geometry, view: &Geometry, slice: Option<&Tensor>) -> Result<Tensor> {
    let array = mode::no_grad(|| -> Result<Array> {
        let (buffer, low) = spread(Some(grad), base, grad.dtype(), grad.device())?;
        let part = buffer.as_strided(&view.shape, &view.strides, view.offset - low)?;
        match slice {
            Some(slice) => crate::copy::copy_array(slice.array(), &part)?,
            None => crate::copy::fill_array(&part, 0i64.into())?,
        }
        crate::copy::clone_array(&buffer.as_strided(&base.shape, &base.strides, base.offset - low)?)
    })?;
    if !mode::grad_enabled() || !(grad.requires_grad() || slice.is_some_and(Tensor::requires_grad)) {
        return Ok(Tensor::from_array(array));
    }
    let payload = ReplaceSlice { base: base.clone(), view: view.clone() };
    Ok(match slice {
        Some(slice) => record(array, &[grad, slice], payload),
        None => record(array, &[grad], payload),
    })
}

/// A buffer as large as what `base` reaches, holding `values` (or zeros) where `base` points, and the offset it starts at.
fn spread(values: Option<&Tensor>, base: &Geometry, dtype: DType, device: Device) -> Result<(Array, usize)> {
    let (low, high) = base.extent();
    let buffer = Array::zeros(&[high + 1 - low], dtype, device)?;
    if let Some(values) = values {
        crate::copy::copy_array(values.array(), &buffer.as_strided(&base.shape, &base.strides, base.offset - low)?)?;
    }
    Ok((buffer, low))
}

struct ReadSlice {
    base: Geometry,
    view: Geometry,
}

impl Backward<Tensor> for ReadSlice {
    fn name(&self) -> String {
        "AsStridedBackward0".into()
    }

    fn backward(&self, grads: Grads<Tensor>, _: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(grad) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        Ok(smallvec![Some(write_slice(&grad, &self.base, &self.view)?)])
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Zeros shaped as `base` with `grad` added at `view`; elements that `view` reaches several times get the sum.
fn write_slice(grad: &Tensor, base: &Geometry, view: &Geometry) -> Result<Tensor> {
    let array = mode::no_grad(|| -> Result<Array> {
        let low = base.extent().0.min(view.extent().0);
        let high = base.extent().1.max(view.extent().1);
        let buffer = shared_out(gathered(grad, view, low, high)?, base, low)?;
        crate::copy::clone_array(&buffer.as_strided(&base.shape, &base.strides, base.offset - low)?)
    })?;
    Ok(if mode::grad_enabled() && grad.requires_grad() {
        record(array, &[grad], WriteSlice { base: base.clone(), view: view.clone() })
    } else {
        Tensor::from_array(array)
    })
}

/// A buffer for the places `low..=high` of a storage with `grad` added at those of `at`.
fn gathered(grad: &Tensor, at: &Geometry, low: usize, high: usize) -> Result<Array> {
    let buffer = Array::zeros(&[high + 1 - low], grad.dtype(), grad.device())?;
    let part = buffer.as_strided(&at.shape, &at.strides, at.offset - low)?;
    if is_injective(at) {
        crate::copy::copy_array(grad.array(), &part)?;
    } else {
        crate::copy::add_overlapping(grad.array(), &part)?;
    }
    Ok(buffer)
}

/// A gradient of storage whose places several indices of `base` reach: each of those indices gets an equal share.
fn shared_out(buffer: Array, base: &Geometry, low: usize) -> Result<Array> {
    if is_injective(base) {
        return Ok(buffer);
    }
    let ones = crate::create::full_array(&base.shape, 1i64.into(), buffer.dtype(), buffer.device())?;
    let counts = Array::zeros(buffer.shape(), buffer.dtype(), buffer.device())?;
    crate::copy::add_overlapping(&ones, &counts.as_strided(&base.shape, &base.strides, base.offset - low)?)?;
    let (buffer, counts) = (Tensor::from_array(buffer), Tensor::from_array(counts));
    let counts = crate::row::call(&crate::rows::MAXIMUM, &[(&counts).into(), crate::row::Operand::Scalar(1i64.into())], &[])?;
    Ok(crate::row::call(&crate::rows::DIV, &[(&buffer).into(), (&counts).into()], &[])?.array().clone())
}

/// Whether no two indices reach one element, for certain: each stride exceeds the reach of all smaller ones.
fn is_injective(g: &Geometry) -> bool {
    let mut dims: SmallVec<[(usize, usize); 6]> =
        g.shape.iter().zip(&g.strides).filter(|d| *d.0 > 1).map(|(&n, &s)| (s.unsigned_abs(), n)).collect();
    dims.sort_unstable();
    let mut reach = 0;
    for (stride, size) in dims {
        if stride <= reach {
            return false;
        }
        reach += stride * (size - 1);
    }
    true
}

struct WriteSlice {
    base: Geometry,
    view: Geometry,
}

impl Backward<Tensor> for WriteSlice {
    fn name(&self) -> String {
        "AsStridedScatterBackward0".into()
    }

    fn backward(&self, grads: Grads<Tensor>, _: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(grad) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        Ok(smallvec![Some(as_strided_in(&grad, &self.base, &self.view)?)])
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct ReplaceSlice {
    base: Geometry,
    view: Geometry,
}

impl Backward<Tensor> for ReplaceSlice {
    fn name(&self) -> String {
        "AsStridedScatterBackward0".into()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(grad) = grads.into_iter().next().flatten() else { return Ok(smallvec![None; context.node.edges.len()]) };
        let mut out: Grads<Tensor> = smallvec![Some(replace_in(&grad, &self.base, &self.view, None)?)];
        if context.node.edges.len() > 1 {
            out.push(Some(as_strided_in(&grad, &self.base, &self.view)?));
        }
        Ok(out)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// A view by raw geometry, also the edge of a view whose base was written after it was made.
pub struct AsStridedBackward {
    base: Geometry,
    view: Geometry,
    parts: Parts,
}

impl AsStridedBackward {
    pub fn new(base: &Array, view: &Array) -> AsStridedBackward {
        let parts = Parts::of(base, view);
        let (base, view) = parts.geometries(base, view);
        AsStridedBackward { base, view, parts }
    }
}

impl Backward<Tensor> for AsStridedBackward {
    fn name(&self) -> String {
        "AsStridedBackward0".into()
    }

    fn backward(&self, grads: Grads<Tensor>, _: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(grad) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        let grad = split(grad, self.parts.view)?;
        Ok(smallvec![Some(joined(write_slice(&grad, &self.base, &self.view)?, self.parts.base)?)])
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// How a view came to be, in a form that works on any array of the same shape: so it also says where the gradient goes.
#[derive(Clone, Debug)]
pub enum ViewOp {
    /// Another shape for the same elements.
    Reshape {
        from: Shape,
    },
    Permute {
        dims: SmallVec<[usize; 5]>,
    },
    /// Sizes of 1 repeated, dimensions added in front.
    Expand {
        from: Shape,
    },
    /// Some elements of each dimension: `start`, `step` (not 0), of size `from`; a rank-keeping slice.
    Slice {
        dim: usize,
        from: usize,
        start: usize,
        step: usize,
    },
    Select {
        dim: usize,
        from: usize,
        index: usize,
    },
    /// Any geometry inside the input's.
    Strided {
        base: Geometry,
        view: Geometry,
    },
    /// The same elements in the same shape.
    Alias,
    /// Complex numbers as pairs of real ones.
    AsReal,
    /// Pairs of real numbers as complex ones.
    AsComplex,
}

impl Tensor {
    /// The edge of a view made by `op`, if it is to be recorded.
    pub(crate) fn record_view(&self, op: ViewOp, name: &'static str) -> Option<Edge<Tensor>> {
        if !mode::grad_enabled() || !self.requires_grad() {
            return None;
        }
        let node = Node::new(smallvec![self.edge()], ViewBackward { op, name });
        note_trace(&node);
        Some(Edge { node, slot: 0 })
    }

    /// Several views that one op made: they cannot be written in place.
    pub(crate) fn make_views(&self, arrays: Vec<Array>, ops: Vec<ViewOp>, name: &'static str) -> Vec<Tensor> {
        if !mode::grad_enabled() || !self.requires_grad() {
            return arrays.into_iter().map(|a| self.attach_view(a, None, Creation::MultiOutput)).collect();
        }
        let node = Node::new(
            smallvec![self.edge()],
            ViewsBackward { ops, name, from: self.shape_owned(), dtype: self.dtype(), device: self.device() },
        );
        note_trace(&node);
        let edge = |slot| Some(Edge { node: node.clone(), slot });
        arrays.into_iter().enumerate().map(|(i, a)| self.attach_view(a, edge(i), Creation::MultiOutput)).collect()
    }

    /// Whether nobody else sees this tensor or its memory. One reference is the caller's own.
    pub(crate) fn is_sole_owner_of_memory(&self) -> bool {
        self.is_sole_owner() && self.array().storage().is_unique() && !self.is_view()
    }
}

impl ViewOp {
    /// The gradient of the viewed tensor, given that of the view.
    pub fn pull_back(&self, grad: &Tensor) -> Result<Tensor> {
        match self {
            ViewOp::Reshape { from } => crate::views::reshape_to(grad, from),
            ViewOp::Permute { dims } => {
                let mut inverse: SmallVec<[i64; 5]> = smallvec![0; dims.len()];
                dims.iter().enumerate().for_each(|(i, &d)| inverse[d] = i as i64);
                crate::permute(grad, &inverse)
            }
            ViewOp::Expand { from } => crate::reduce::sum_to(grad, from),
            ViewOp::Slice { dim, from, start, step } => {
                let mut shape = grad.shape_owned();
                shape[*dim] = *from;
                self.scatter(grad, shape, *dim, *start, *step)
            }
            ViewOp::Select { dim, from, index } => {
                let grad = crate::unsqueeze(grad, *dim as i64)?;
                let mut shape = grad.shape_owned();
                shape[*dim] = *from;
                self.scatter(&grad, shape, *dim, *index, 1)
            }
            ViewOp::Strided { base, view } => write_slice(grad, base, view),
            ViewOp::Alias => Ok(grad.clone()),
            ViewOp::AsReal => crate::complex::as_complex(grad),
            ViewOp::AsComplex => crate::complex::view_as_real(grad),
        }
    }

    /// Zeros of `shape` with `grad` at `start, start + step, …` of `dim`.
    fn scatter(&self, grad: &Tensor, shape: Shape, dim: usize, start: usize, step: usize) -> Result<Tensor> {
        let strides = rustnn_tensor::shape::contiguous_strides(&shape);
        let base = Geometry { offset: 0, shape, strides };
        let mut view = base.clone();
        view.shape[dim] = grad.shape()[dim];
        view.strides[dim] *= step as isize;
        view.offset = start * base.strides[dim] as usize;
        if grad.numel() == 0 {
            view.offset = 0;
        }
        write_slice(grad, &base, &view)
    }
}

struct ViewBackward {
    op: ViewOp,
    name: &'static str,
}

impl Backward<Tensor> for ViewBackward {
    fn name(&self) -> String {
        self.name.into()
    }

    fn backward(&self, grads: Grads<Tensor>, _: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(grad) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        Ok(smallvec![Some(self.op.pull_back(&grad)?)])
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

struct ViewsBackward {
    ops: Vec<ViewOp>,
    name: &'static str,
    from: Shape,
    dtype: DType,
    device: Device,
}

impl Backward<Tensor> for ViewsBackward {
    fn name(&self) -> String {
        self.name.into()
    }

    fn outputs(&self) -> usize {
        self.ops.len()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let parts: Vec<(&ViewOp, &Tensor)> = self.ops.iter().zip(&grads).filter_map(|(op, g)| Some((op, g.as_ref()?))).collect();
        if context.create_graph {
            let mut sum: Option<Tensor> = None;
            for (op, grad) in parts {
                let part = op.pull_back(grad)?;
                sum = Some(match sum {
                    None => part,
                    Some(sum) => crate::add(&sum, &part)?,
                });
            }
            return Ok(smallvec![sum]);
        }
        // The parts do not overlap: each is copied to its place.
        let out = Array::zeros(&self.from, self.dtype, self.device)?;
        for (op, grad) in parts {
            let part = match *op {
                ViewOp::Slice { dim, start, .. } => crate::views::narrow_array(&out, dim, start, grad.shape()[dim]),
                ViewOp::Select { dim, index, .. } => crate::views::select_array(&out, dim, index),
                _ => bail!(Runtime, "{}: views of several outputs are slices or selections", self.name),
            };
            crate::copy::copy_array(grad.array(), &part)?;
        }
        Ok(smallvec![Some(Tensor::from_array(out))])
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// What [`backward`] and [`grad`] share.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    pub keep_graph: bool,
    pub create_graph: bool,
    pub allow_unused: bool,
    /// Leaves' `.grad` are added up (`backward`) rather than gradients returned (`grad`).
    pub accumulate: bool,
}

/// Runs the tape from `roots`, whose gradients are `seeds` (ones for a single element where None).
pub fn run_backward(
    roots: &[Tensor],
    seeds: &[Option<Tensor>],
    inputs: Option<&[Tensor]>,
    request: Request,
) -> Result<Vec<Option<Tensor>>> {
    let mut starts = Vec::with_capacity(roots.len());
    for (i, root) in roots.iter().enumerate() {
        let Some(edge) = root.edge() else { bail!(Runtime, "element {i} of tensors does not require grad and does not have a grad_fn") };
        let seed = match seeds.get(i).cloned().flatten() {
            Some(seed) => {
                if seed.shape() != root.shape() {
                    bail!(
                        Runtime,
                        "Mismatch in shape: grad_output[{i}] has a shape of {} and output[{i}] has a shape of {}.",
                        crate::views::size_text(seed.shape()),
                        crate::views::size_text(root.shape())
                    );
                }
                // PyTorch lets one without dimensions come from anywhere.
                let seed = if seed.rank() == 0 { crate::to_device(&seed, root.device())? } else { seed };
                if seed.device() != root.device() {
                    bail!(Runtime, "invalid gradient at index {i} - expected device {} but got {}", root.device(), seed.device());
                }
                // Backward formulas count on gradients of the output's dtype.
                if seed.dtype() == root.dtype() { seed } else { crate::copy::to_dtype(&seed, root.dtype())? }
            }
            None => {
                if root.numel() != 1 {
                    bail!(Runtime, "grad can be implicitly created only for scalar outputs");
                }
                if root.dtype().is_complex() {
                    bail!(
                        Runtime,
                        "grad can be implicitly created only for real scalar outputs but got {}",
                        format_args!("torch.{}", root.dtype().name())
                    );
                }
                crate::create::full_array(root.shape(), 1.0f64.into(), root.dtype(), root.device()).map(Tensor::from_array)?
            }
        };
        starts.push((edge, seed));
    }
    let mut wanted = Vec::new();
    for input in inputs.unwrap_or(&[]) {
        if request.accumulate && !input.is_leaf() {
            input.retain_grad()?;
        }
        match input.edge() {
            Some(edge) => wanted.push(edge),
            None if request.accumulate => {
                bail!(Runtime, "One of the differentiated Tensors given as 'inputs' to backward does not require grad")
            }
            None => bail!(Runtime, "One of the differentiated Tensors does not require grad"),
        }
    }
    let _mode = Guard::new(Mode::GradOff, !request.create_graph);
    let out = rustnn_autograd::run(Run {
        roots: starts,
        inputs: inputs.map(|_| wanted.as_slice()),
        accumulate: request.accumulate,
        keep_graph: request.keep_graph,
        create_graph: request.create_graph,
    })?;
    if let Some(i) = out.iter().position(Option::is_none)
        && !request.allow_unused
    {
        bail!(
            Runtime,
            "The differentiated Tensor at index {i} appears to not have been used in the graph. Set allow_unused=True if this is the \
             desired behavior."
        );
    }
    Ok(out)
}

/// `root.backward()`: gradients of a single element with respect to all leaves.
pub fn backward(root: &Tensor) -> Result<()> {
    let request = Request { keep_graph: false, create_graph: false, allow_unused: true, accumulate: true };
    run_backward(std::slice::from_ref(root), &[None], None, request).map(drop)
}
