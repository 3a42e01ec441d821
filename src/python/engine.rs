//! Autograd as Python sees it: hooks, nodes, custom Functions, runs of the engine, modes.

use crate::detach::detached;
use crate::error::{IntoPy, from_python, to_python};
use crate::record;
use crate::tensor::{Made, PyTensor, cast_tensor, wrap};
use pyo3::exceptions::*;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pyclass::{PyTraverseError, PyVisit};
use pyo3::types::{PyDict, PyList, PyTuple, PyType};
use rustnn_autograd::{Backward, Context, Edge, Grads, HookId, Hooks, Node, NodeRef};
use rustnn_ops::mode::{self, Guard, Mode};
use rustnn_ops::row::{Kept, RowBackward};
use rustnn_ops::saved::{Packed, Saved, SavedHooks};
use rustnn_ops::tape::{self, Request};
use rustnn_ops::tensor::HookPlace;
use rustnn_ops::{Operand, Tensor};
use rustnn_tensor::{DType, Device, Error, Result, Shape, bail, shared};
use std::cell::Cell;
use std::sync::{Arc, Mutex};

// ---------------------------------------------------------------------------------------------------------------- hooks

fn call_hook(hook: &Py<PyAny>, value: &Tensor) -> Result<Option<Tensor>> {
    Python::attach(|py| -> PyResult<Option<Tensor>> {
        let result = hook.bind(py).call1((wrap(py, value.clone())?,))?;
        if result.is_none() {
            return Ok(None);
        }
        match cast_tensor(&result) {
            Some(t) => fits(hook.bind(py), value, &t).map(|()| Some(t)),
            None => Err(PyTypeError::new_err(format!("expected Variable, but hook returned '{}'", crate::schema::type_name(&result)))),
        }
    })
    .map_err(from_python)
}

/// Whether what a hook gave may stand for the gradient it was given.
fn fits(hook: &Bound<PyAny>, was: &Tensor, now: &Tensor) -> PyResult<()> {
    let text = if now.dtype() != was.dtype() {
        format!("has changed the type of value (was {} got {})", was.dtype().name(), now.dtype().name())
    } else if now.device() != was.device() {
        let (was, now) = (was.device(), now.device());
        format!("has changed the type of value (was on {was} got one on {now}): expected device {was} but got {now}")
    } else if now.shape() != was.shape() {
        "has changed the size of value".into()
    } else {
        return Ok(());
    };
    Err(PyRuntimeError::new_err(format!("hook '{}' {text}", hook_name(hook))))
}

fn hook_name(hook: &Bound<PyAny>) -> String {
    hook.getattr("__name__").and_then(|n| n.extract()).unwrap_or_else(|_| "hook".into())
}

/// What removes a hook; the Python side (`utils.hooks.RemovableHandle`) has its own for module hooks.
#[pyclass(module = "rustnn", frozen, weakref)]
pub struct TensorHandle {
    place: Place,
    id: HookId,
}

/// Where a hook lies. Held weakly: hooks know their handles often enough, and a handle must not keep the graph.
enum Place {
    Leaf(std::sync::Weak<Hooks<Tensor>>),
    Node(shared::Weak<Node<Tensor>>),
}

/// The handle of hook `id`, which holds `callable`.
fn handle<'py>(place: &HookPlace, id: HookId, callable: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    place.hooks().note_host(id, callable.as_ptr() as usize);
    let place = match place {
        HookPlace::Leaf(hooks) => Place::Leaf(Arc::downgrade(hooks)),
        HookPlace::Node(node) => Place::Node(node.downgrade()),
    };
    Ok(Bound::new(callable.py(), TensorHandle { place, id })?.into_any())
}

/// Shows the collector what `owner` calls back with: objects that it owns a reference of.
pub fn visit_hosts(visit: &PyVisit<'_>, owner: impl FnOnce(&mut dyn FnMut(usize))) -> std::result::Result<(), PyTraverseError> {
    let mut result = Ok(());
    owner(&mut |host| {
        let object = host as *mut ffi::PyObject;
        // SAFETY: a `Py` is a pointer to a living object, as the owner's reference makes sure; this one is not dropped.
        let object = unsafe { &*(&raw const object).cast::<Py<PyAny>>() };
        if result.is_ok() {
            result = visit.call(object);
        }
    });
    result
}

#[pymethods]
impl TensorHandle {
    /// Takes the hook off; calling it again does nothing.
    fn remove(&self) {
        match &self.place {
            Place::Leaf(hooks) => {
                if let Some(hooks) = hooks.upgrade() {
                    hooks.remove(self.id);
                }
            }
            Place::Node(node) => {
                if let Some(node) = node.upgrade() {
                    node.extra().hooks.remove(self.id);
                }
            }
        }
    }

    #[getter]
    fn id(&self) -> HookId {
        self.id
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }

    #[pyo3(signature = (*_args))]
    fn __exit__(&self, _args: &Bound<PyTuple>) {
        self.remove();
    }
}

pub fn register_hook<'py>(tensor: &Bound<'py, PyTensor>, hook: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = tensor.py();
    let (place, slot) = tensor.get().get(py).hooks().py()?;
    if !hook.is_callable() {
        return Err(PyTypeError::new_err(format!("'{}' object is not callable", crate::schema::type_name(hook))));
    }
    let cell = HookCell(hook.clone().unbind());
    let id = place.hooks().add_tensor(slot, Arc::new(move |grad: &Tensor| call_hook(cell.get(), grad)));
    handle(&place, id, hook)
}

/// A Python callable inside a Rust hook.
struct HookCell(Py<PyAny>);

impl HookCell {
    fn get(&self) -> &Py<PyAny> {
        &self.0
    }
}

pub fn register_post_accumulate<'py>(tensor: &Bound<'py, PyTensor>, hook: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = tensor.py();
    let hooks = tensor.get().get(py).post_accumulate_hooks().py()?;
    let cell = HookCell(hook.clone().unbind());
    let id = hooks.add_tensor(
        0,
        Arc::new(move |leaf: &Tensor| {
            Python::attach(|py| -> PyResult<()> {
                let result = cell.get().bind(py).call1((wrap(py, leaf.clone())?,))?;
                if result.is_none() {
                    Ok(())
                } else {
                    Err(PyRuntimeError::new_err("Tensor post accumulate grad hooks should return None."))
                }
            })
            .map(|()| None)
            .map_err(from_python)
        }),
    );
    handle(&HookPlace::Leaf(hooks), id, hook)
}

// ---------------------------------------------------------------------------------------------------------------- nodes

/// A node of the graph, as `grad_fn` shows it.
#[pyclass(name = "Node", module = "rustnn.autograd.graph", frozen, dict, weakref, subclass)]
pub struct PyNode(NodeRef<Tensor>, Made);

/// The Python object of a node: one per node while it lives.
pub fn node_object<'py>(py: Python<'py>, node: &NodeRef<Tensor>) -> PyResult<Bound<'py, PyAny>> {
    struct Place(Mutex<Option<Py<PyAny>>>);
    let place = node.extra().host.get_or_init(|| Box::new(Place(Mutex::new(None))));
    let Some(place) = place.downcast_ref::<Place>() else { return Err(PyRuntimeError::new_err("a node with a foreign host")) };
    // A weak reference: a strong one would keep the graph alive through itself.
    let known = place.0.lock().unwrap_or_else(|e| e.into_inner()).as_ref().map(|w| w.clone_ref(py));
    if let Some(weak) = known {
        let object = weak.bind(py).call0()?;
        if !object.is_none() {
            return Ok(object);
        }
    }
    let name = node.name();
    let class = node_class(py, &name)?;
    NODE_PENDING.set(Some(node.clone()));
    let object = py.get_type::<PyNode>().getattr("__new__").and_then(|new| new.call1((&class,)));
    NODE_PENDING.set(None);
    let object = object?;
    let weak = py.import("weakref")?.getattr("ref")?.call1((&object,))?;
    *place.0.lock().unwrap_or_else(|e| e.into_inner()) = Some(weak.unbind());
    Ok(object)
}

thread_local! {
    static NODE_PENDING: Cell<Option<NodeRef<Tensor>>> = const { Cell::new(None) };
}

/// A class for each name, so that `type(y.grad_fn).__name__` is `AddBackward0`.
fn node_class<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let classes = py.import("rustnn._core")?.getattr("_node_classes")?.cast_into::<PyDict>()?;
    if let Some(class) = classes.get_item(name)? {
        return Ok(class);
    }
    let namespace = PyDict::new(py);
    namespace.set_item("__module__", "torch.autograd.function")?;
    let class = py.get_type::<PyType>().call1((name, (py.get_type::<PyNode>(),), namespace))?;
    classes.set_item(name, &class)?;
    Ok(class)
}

#[pymethods]
impl PyNode {
    #[new]
    fn new() -> PyResult<PyNode> {
        NODE_PENDING.take().map(|node| PyNode(node, Made::YES)).ok_or_else(|| PyTypeError::new_err("nodes are made by ops"))
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        // What others hold too is not garbage with us.
        if !self.1.yes() || self.0.strong_count() > 1 { Ok(()) } else { visit_hosts(&visit, |each| self.0.visit_hosts(each)) }
    }

    fn __clear__(&self) {
        if let Some(extra) = self.0.extra_if_used().filter(|_| self.0.strong_count() == 1) {
            extra.hooks.clear();
        }
    }

    fn name(&self) -> String {
        self.0.name()
    }

    /// The gradients of the inputs, given those of the outputs: this node's step alone.
    #[pyo3(signature = (*grads))]
    fn __call__<'py>(slf: &Bound<'py, Self>, grads: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let node = &slf.get().0;
        let outputs = node.payload.outputs();
        if grads.len() != outputs {
            return Err(PyTypeError::new_err(format!("expected {outputs} arguments, got {} instead", grads.len())));
        }
        let given = grads
            .iter()
            .enumerate()
            .map(|(i, grad)| match cast_tensor(&grad) {
                Some(t) => Ok(Some(t)),
                None if grad.is_none() => Ok(None),
                None => Err(PyTypeError::new_err(format!("argument {i} is not a Variable"))),
            })
            .collect::<PyResult<Grads<Tensor>>>()?;
        let context = Context { node, create_graph: mode::grad_enabled(), keep_graph: true, wanted: u64::MAX };
        let out = grads_tuple(slf.py(), &node.payload.backward(given, &context).py()?)?;
        if out.len() == 1 { out.get_item(0) } else { Ok(out.into_any()) }
    }

    #[getter]
    fn next_functions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let items = self
            .0
            .edges
            .iter()
            .map(|edge| match edge {
                None => (py.None(), 0u32).into_pyobject(py),
                Some(edge) => Ok((node_object(py, &edge.node)?.unbind(), edge.slot).into_pyobject(py)?),
            })
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, items)
    }

    /// The leaf that this node adds gradients up in.
    #[getter]
    fn variable<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.0.payload.as_any().downcast_ref::<tape::Accumulate>() {
            Some(node) => node.leaf().map_or_else(|| Ok(py.None().into_bound(py)), |leaf| wrap(py, leaf)),
            None => Err(PyAttributeError::new_err(format!("'{}' object has no attribute 'variable'", self.0.name()))),
        }
    }

    #[getter]
    fn metadata<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let dict = slf.getattr("__dict__")?.cast_into::<PyDict>()?;
        if let Some(found) = dict.get_item("_metadata")? {
            return Ok(found);
        }
        let fresh = PyDict::new(slf.py());
        dict.set_item("_metadata", &fresh)?;
        Ok(fresh.into_any())
    }

    fn _sequence_nr(&self) -> u64 {
        self.0.sequence
    }

    fn _register_hook_dict(&self, _dict: &Bound<PyAny>) {}

    /// `hook(grad_inputs, grad_outputs)` after the node ran; what it returns replaces the former.
    fn register_hook<'py>(&self, hook: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let cell = HookCell(hook.clone().unbind());
        let id = self.0.extra().hooks.add_post(Arc::new(move |out: &Grads<Tensor>, grads: &Grads<Tensor>| {
            Python::attach(|py| -> PyResult<Option<Grads<Tensor>>> {
                let hook = cell.get().bind(py);
                replaced(hook, &hook.call1((grads_tuple(py, out)?, grads_tuple(py, grads)?))?, out)
            })
            .map_err(from_python)
        }));
        handle(&HookPlace::Node(self.0.clone()), id, hook)
    }

    /// `hook(grad_outputs)` before the node runs; what it returns replaces them.
    fn register_prehook<'py>(&self, hook: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let cell = HookCell(hook.clone().unbind());
        let id = self.0.extra().hooks.add_pre(Arc::new(move |grads: &Grads<Tensor>| {
            Python::attach(|py| -> PyResult<Option<Grads<Tensor>>> {
                let hook = cell.get().bind(py);
                replaced(hook, &hook.call1((grads_tuple(py, grads)?,))?, grads)
            })
            .map_err(from_python)
        }));
        handle(&HookPlace::Node(self.0.clone()), id, hook)
    }

    fn __repr__(slf: &Bound<Self>) -> String {
        format!("<{} object at {:#x}>", slf.get().0.name(), slf.as_ptr() as usize)
    }

    /// The context of a custom Function's node.
    #[getter]
    fn _context<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.0.payload.as_any().downcast_ref::<PyFunctionNode>().map(|f| f.context.bind(py).clone())
    }

    /// What the op saved, by PyTorch's names: `_saved_self` the value, `_raw_saved_self` a place that takes hooks. A custom
    /// Function's node has what its context has.
    fn __getattr__<'py>(slf: &Bound<'py, Self>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let node = &slf.get().0;
        if let Some(f) = node.payload.as_any().downcast_ref::<PyFunctionNode>() {
            return f.context.bind(slf.py()).getattr(name);
        }
        if let Some(row) = node.payload.as_any().downcast_ref::<RowBackward>() {
            if let Some(value) = name.strip_prefix("_saved_").filter(|value| row.keeps(value)) {
                let context = Context { node, create_graph: false, keep_graph: true, wanted: u64::MAX };
                return match row.kept(value, &context).py()? {
                    Kept::Number(s) => crate::tensor::number(slf.py(), s),
                    Kept::Tensor(t) => wrap(slf.py(), t),
                };
            }
            if let Some(value) = name.strip_prefix("_raw_saved_").filter(|value| row.keeps(value)) {
                return Ok(Bound::new(slf.py(), SavedTensor { node: node.clone(), name: value.into() })?.into_any());
            }
        }
        Err(PyAttributeError::new_err(format!("'{}' object has no attribute '{name}'", node.name())))
    }
}

fn grads_tuple<'py>(py: Python<'py>, grads: &Grads<Tensor>) -> PyResult<Bound<'py, PyTuple>> {
    let items = grads
        .iter()
        .map(|g| match g {
            None => Ok(py.None().into_bound(py)),
            Some(g) => wrap(py, g.clone()),
        })
        .collect::<PyResult<Vec<_>>>()?;
    PyTuple::new(py, items)
}

fn replaced(hook: &Bound<PyAny>, result: &Bound<PyAny>, before: &Grads<Tensor>) -> PyResult<Option<Grads<Tensor>>> {
    if result.is_none() {
        return Ok(None);
    }
    // A bare tensor stands for a tuple of one.
    let items: Vec<Bound<PyAny>> = match result.cast::<PyTuple>() {
        Ok(t) => t.iter().collect(),
        Err(_) if cast_tensor(result).is_some() => vec![result.clone()],
        Err(_) => return Err(PyTypeError::new_err(format!("expected tuple, but hook returned '{}'", crate::schema::type_name(result)))),
    };
    let wanted = before.len();
    if items.len() != wanted {
        let name = hook.getattr("__name__").map_or_else(|_| "<unknown>".into(), |name| name.to_string());
        return Err(PyRuntimeError::new_err(format!(
            "hook '{name}' has returned an incorrect number of values (got {}, but expected {wanted})",
            items.len()
        )));
    }
    let grads = items.iter().zip(before).map(|(item, was)| {
        if item.is_none() {
            return Ok(None);
        }
        let Some(now) = cast_tensor(item) else {
            return Err(PyTypeError::new_err(format!("expected Variable, but hook returned '{}'", crate::schema::type_name(item))));
        };
        match was {
            Some(was) => fits(hook, was, &now)?,
            None => return Err(PyRuntimeError::new_err("can't replace a None gradient with a non-None value")),
        }
        Ok(Some(now))
    });
    Ok(Some(grads.collect::<PyResult<_>>()?))
}

// ------------------------------------------------------------------------------------------------------ custom Functions

/// What a custom Function saved, handed to its context as `_saved`.
#[pyclass(module = "rustnn", frozen, weakref)]
struct SavedTensors {
    saved: Mutex<Option<Vec<Option<Saved>>>>,
    node: Mutex<Option<shared::Weak<Node<Tensor>>>>,
}

#[pymethods]
impl SavedTensors {
    fn __traverse__(&self, visit: PyVisit<'_>) -> std::result::Result<(), PyTraverseError> {
        // Locked: in use.
        let Ok(saved) = self.saved.try_lock() else { return Ok(()) };
        visit_hosts(&visit, |each| {
            for saved in saved.iter().flatten().flatten() {
                if let Saved::Input { held, .. } = saved
                    && let Some(host) = held.host()
                {
                    each(host);
                }
            }
        })
    }

    fn __clear__(&self) {
        let saved = self.saved.lock().unwrap_or_else(|e| e.into_inner()).take();
        rustnn_autograd::bury(saved);
    }

    fn unpack<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let node = self.node.lock().unwrap_or_else(|e| e.into_inner()).as_ref().and_then(shared::Weak::upgrade);
        let unpacked: Vec<Option<Tensor>> = {
            let saved = self.saved.lock().unwrap_or_else(|e| e.into_inner());
            let Some(saved) = saved.as_ref() else { return Err(to_python(freed())) };
            saved
                .iter()
                .map(|s| match (s, &node) {
                    (None, _) => Ok(None),
                    (Some(s), Some(node)) => {
                        let context = Context { node, create_graph: false, keep_graph: true, wanted: u64::MAX };
                        s.unpack(&context).map(Some)
                    }
                    (Some(Saved::Input { held, .. }), None) => Ok(Some(held.tensor().clone())),
                    (Some(_), None) => Err(freed()),
                })
                .collect::<Result<_>>()
                .py()?
        };
        let items = unpacked
            .into_iter()
            .map(|t| match t {
                None => Ok(py.None().into_bound(py)),
                Some(t) => wrap(py, t),
            })
            .collect::<PyResult<Vec<_>>>()?;
        PyTuple::new(py, items)
    }
}

fn freed() -> Error {
    Error::Runtime(
        "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). \
         Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you \
         need to backward through the graph a second time or if you need to access saved tensors after calling backward."
            .into(),
    )
}

/// The node of a custom Function.
struct PyFunctionNode {
    name: String,
    context: Py<PyAny>,
    saved: Py<SavedTensors>,
    /// One per argument: what is known of a tensor argument.
    inputs: Vec<Option<(Shape, DType, Device, bool)>>,
    outputs: Vec<Option<(Shape, DType, Device)>>,
    materialize: bool,
}

impl Backward<Tensor> for PyFunctionNode {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn outputs(&self) -> usize {
        self.outputs.len()
    }

    fn backward(&self, mut grads: Grads<Tensor>, _: &Context<Tensor>) -> Result<Grads<Tensor>> {
        grads.resize(self.outputs.len(), None);
        if self.materialize {
            for (grad, spec) in grads.iter_mut().zip(&self.outputs) {
                if let (None, Some((shape, dtype, device))) = (&grad, spec) {
                    *grad = Some(Tensor::from_array(rustnn_tensor::Array::zeros(shape, *dtype, *device)?));
                }
            }
        }
        let out = Python::attach(|py| -> PyResult<Vec<Option<Tensor>>> {
            let result = self.context.bind(py).getattr("apply")?.call1(grads_tuple(py, &grads)?)?;
            let mut items: Vec<Bound<PyAny>> = match result.cast::<PyTuple>() {
                Ok(t) => t.iter().collect(),
                Err(_) => vec![result],
            };
            // Trailing Nones beyond the arguments are allowed.
            while items.len() > self.inputs.len() && items.last().is_some_and(|i| i.is_none()) {
                items.pop();
            }
            if items.len() != self.inputs.len() {
                return Err(PyRuntimeError::new_err(format!(
                    "function {} returned an incorrect number of gradients (expected {}, got {})",
                    self.name,
                    self.inputs.len(),
                    items.len()
                )));
            }
            items
                .iter()
                .enumerate()
                .map(|(i, item)| {
                    if item.is_none() {
                        return Ok(None);
                    }
                    match (cast_tensor(item), &self.inputs[i]) {
                        (Some(t), Some(_)) => Ok(Some(t)),
                        (Some(_), None) => Err(PyRuntimeError::new_err(format!(
                            "function {} returned a gradient different than None at position {}, but the corresponding forward input was not a Variable",
                            self.name,
                            i + 1
                        ))),
                        (None, _) => Err(PyTypeError::new_err(format!("expected Variable or None (got {})", crate::schema::type_name(item)))),
                    }
                })
                .collect()
        })
        .map_err(from_python)?;
        out.into_iter()
            .zip(&self.inputs)
            .enumerate()
            .filter(|(_, (_, spec))| spec.is_some())
            .map(|(i, (grad, spec))| match (grad, spec) {
                (Some(grad), Some((shape, dtype, device, true))) => fitted(&self.name, i, grad, shape, *dtype, *device).map(Some),
                _ => Ok(None),
            })
            .collect()
    }

    fn visit_hosts(&self, visit: &mut dyn FnMut(usize)) {
        visit(self.context.as_ptr() as usize);
        visit(self.saved.as_ptr() as usize);
    }

    fn release(&self) {
        let saved = self.saved.get().saved.lock().unwrap_or_else(|e| e.into_inner()).take();
        drop(saved);
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// A user's gradient summed and cast to what its input is; one without dimensions comes from any device.
fn fitted(name: &str, i: usize, grad: Tensor, shape: &[usize], dtype: DType, device: Device) -> Result<Tensor> {
    let grad = if grad.shape() == shape {
        grad
    } else if grad.rank() >= shape.len() && rustnn_tensor::shape::broadcast(shape, grad.shape()).is_ok_and(|b| b.as_slice() == grad.shape())
    {
        rustnn_ops::reduce::sum_to(&grad, shape)?
    } else {
        bail!(
            Runtime,
            "Function {name} returned an invalid gradient at index {i} - got {:?} but expected shape compatible with {shape:?}",
            grad.shape()
        )
    };
    let grad = if grad.dtype() == dtype { grad } else { rustnn_ops::to_dtype(&grad, dtype)? };
    if grad.device() != device && grad.rank() > 0 {
        bail!(Runtime, "Function {name} returned an invalid gradient at index {i} - expected device {device} but got {}", grad.device());
    }
    if grad.device() == device { Ok(grad) } else { rustnn_ops::to_device(&grad, device) }
}

impl Drop for PyFunctionNode {
    fn drop(&mut self) {
        // A chain of Functions is freed in a loop: the context may hold tensors, and so nodes.
        let saved = self.saved.get().saved.lock().unwrap_or_else(|e| e.into_inner()).take();
        rustnn_autograd::bury(saved);
    }
}

fn is_flag(ctx: &Bound<PyAny>, name: &str) -> bool {
    ctx.getattr(name).and_then(|v| v.is_truthy()).unwrap_or(true)
}

fn tensor_list(ctx: &Bound<PyAny>, name: &str) -> PyResult<Vec<Tensor>> {
    let list = ctx.getattr(name)?;
    let mut out = Vec::new();
    for item in list.try_iter()? {
        let item = item?;
        if let Some(t) = cast_tensor(&item) {
            out.push(t);
        } else if !item.is_none() {
            return Err(PyTypeError::new_err(format!(
                "{name} can only hold variables, but argument is of type {}",
                crate::schema::type_name(&item)
            )));
        }
    }
    Ok(out)
}

/// Passes tensors, which require grad, through one identity node; returns the aliases and the node. See `rustnn_ops::alias`.
#[pyfunction]
fn _identity_alias<'py>(
    py: Python<'py>,
    tensors: &Bound<'py, PyTuple>,
    strict: bool,
) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyAny>)> {
    let given: Option<Vec<Tensor>> = tensors.iter().map(|t| cast_tensor(&t)).collect();
    let given = given.ok_or_else(|| PyTypeError::new_err("_identity_alias: expected a tuple of Tensors"))?;
    let (aliases, node) = rustnn_ops::alias::identity(&given, strict);
    if record::on() {
        given.iter().zip(&aliases).try_for_each(|(source, alias)| record::made("_alias", source, alias))?;
    }
    let objects = aliases.into_iter().map(|t| wrap(py, t)).collect::<PyResult<Vec<_>>>()?;
    Ok((PyTuple::new(py, objects)?, node_object(py, &node)?))
}

/// Runs a custom Function's forward and records it. `ctx` is a fresh instance of the Function's context class.
#[pyfunction]
fn _function_apply<'py>(cls: &Bound<'py, PyType>, ctx: &Bound<'py, PyAny>, args: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    let py = cls.py();
    let tensors: Vec<Option<Tensor>> = args.iter().map(|a| cast_tensor(&a)).collect();
    let needs: Vec<bool> = tensors.iter().map(|t| t.as_ref().is_some_and(Tensor::requires_grad)).collect();
    ctx.setattr("needs_input_grad", PyTuple::new(py, &needs)?)?;
    let record = mode::grad_enabled() && needs.iter().any(|&n| n);
    if record && record::on() && tensors.iter().flatten().any(record::knows) {
        record::refuse(&format!("the gradient of the autograd Function {} is Python code", cls.name()?))?;
    }
    let edges: rustnn_autograd::Edges<Tensor> = if record {
        tensors.iter().flatten().map(|t| if t.dtype().is_differentiable() { t.edge() } else { None }).collect()
    } else {
        Default::default()
    };
    let result = {
        let _guard = Guard::new(Mode::GradOff, true);
        let own_setup =
            !cls.getattr("setup_context")?.is(py.import("rustnn.autograd.function")?.getattr("Function")?.getattr("setup_context")?);
        if own_setup {
            let result = cls.getattr("forward")?.call1(args.clone())?;
            cls.getattr("setup_context")?.call1((ctx, args, &result))?;
            result
        } else {
            let mut all: Vec<Bound<PyAny>> = vec![ctx.clone()];
            all.extend(args.iter());
            cls.getattr("forward")?.call1(PyTuple::new(py, all)?)?
        }
    };
    let single = result.cast::<PyTuple>().is_err();
    let items: Vec<Bound<PyAny>> = if single { vec![result.clone()] } else { result.cast::<PyTuple>()?.iter().collect() };
    let outputs: Vec<Option<Tensor>> = items.iter().map(cast_tensor).collect();
    let mut dirty = tensor_list(ctx, "dirty_tensors")?;
    let plain = tensor_list(ctx, "non_differentiable")?;
    let marked = dirty.len();
    dirty.retain(|t| tensors.iter().flatten().any(|i| i.same(t)));
    if dirty.len() < marked {
        let text = c"ctx.mark_dirty() received a tensor that was not an input. Only input Tensors that have been mutated should be \
                     passed to ctx.mark_dirty().";
        PyErr::warn(py, &py.get_type::<PyUserWarning>(), text, 0)?;
    }
    dirty.iter().for_each(Tensor::bump_version);
    if single && outputs[0].is_none() && !items[0].is_none() {
        return Err(PyTypeError::new_err(format!(
            "{}.forward: expected Tensor or tuple of Tensor (got {}) for return value 0",
            cls.name()?,
            crate::schema::type_name(&items[0])
        )));
    }
    let is_plain = |t: &Tensor| plain.iter().any(|p| p.same(t)) || !t.dtype().is_differentiable();
    let is_input = |t: &Tensor| tensors.iter().flatten().any(|i| i.same(t));
    let is_dirty = |t: &Tensor| dirty.iter().any(|d| d.same(t));
    if !record {
        let saved = Py::new(py, SavedTensors { saved: Mutex::new(Some(save(ctx, &outputs)?)), node: Mutex::new(None) })?;
        ctx.setattr("_saved", saved)?;
        // An input returned as it came is a new tensor, so that marking it does not mark the input.
        let objects = items
            .iter()
            .zip(&outputs)
            .map(|(item, out)| match out {
                Some(t) if is_input(t) && !is_dirty(t) => {
                    let alias = rustnn_ops::views::alias(t);
                    if record::on() {
                        record::made("_alias", t, &alias)?;
                    }
                    let alias = wrap(py, alias)?;
                    let class = item.get_type();
                    if class.is(py.get_type::<PyTensor>()) { Ok(alias) } else { alias.call_method1("as_subclass", (class,)) }
                }
                _ => Ok(item.clone()),
            })
            .collect::<PyResult<Vec<_>>>()?;
        return if single { Ok(objects[0].clone()) } else { Ok(PyTuple::new(py, objects)?.into_any()) };
    }
    // Outputs that are inputs, unless written, become aliases with a history of their own.
    let untouched: Vec<bool> = outputs.iter().map(|t| t.as_ref().is_some_and(&is_plain)).collect();
    let own = |t: Tensor| if is_input(&t) && !is_dirty(&t) { mode::no_grad(|| rustnn_ops::views::alias(&t)) } else { t };
    let outputs: Vec<Option<Tensor>> = outputs.into_iter().map(|t| t.map(own)).collect();
    for t in outputs.iter().flatten() {
        if is_dirty(t) {
            t.check_writable().py()?;
            if t.is_view() && outputs.len() > 1 {
                return Err(PyRuntimeError::new_err(
                    "If your Function modifies inplace an input that is a view of another Tensor, your Function cannot return more \
                     than one Tensor. Make sure that the input is no view (using .clone() for example), or split the Function in two: \
                     one that writes and returns a single Tensor, and one for the rest.",
                ));
            }
        }
    }
    let saved = Py::new(py, SavedTensors { saved: Mutex::new(Some(save(ctx, &outputs)?)), node: Mutex::new(None) })?;
    ctx.setattr("_saved", &saved)?;
    let payload = PyFunctionNode {
        name: cls.getattr("_backward_cls")?.getattr("__name__")?.extract()?,
        context: ctx.clone().unbind(),
        saved: saved.clone_ref(py),
        inputs: tensors.iter().map(|t| t.as_ref().map(|t| (t.shape_owned(), t.dtype(), t.device(), t.requires_grad()))).collect(),
        outputs: outputs.iter().map(|t| t.as_ref().map(|t| (t.shape_owned(), t.dtype(), t.device()))).collect(),
        materialize: is_flag(ctx, "materialize_grads"),
    };
    let node = Node::new(edges, payload);
    tape::note_trace(&node);
    *saved.get().node.lock().unwrap_or_else(|e| e.into_inner()) = Some(node.downgrade());
    let objects = items
        .iter()
        .zip(&outputs)
        .enumerate()
        .map(|(slot, (item, out))| match out {
            None => Ok(item.clone()),
            Some(t) if untouched[slot] => wrap(py, t.clone()),
            Some(t) if is_dirty(t) && t.is_view() => {
                // The base was written too.
                let place = tensors.iter().flatten().position(|i| i.same(t)).expect("it is an input");
                tape::rebase_at(t, node.clone(), place);
                wrap(py, t.clone())
            }
            Some(t) => {
                t.adopt(Edge { node: node.clone(), slot });
                wrap(py, t.clone())
            }
        })
        .collect::<PyResult<Vec<_>>>()?;
    if single { Ok(objects[0].clone()) } else { Ok(PyTuple::new(py, objects)?.into_any()) }
}

/// Saves what `save_for_backward` was given.
fn save(ctx: &Bound<PyAny>, outputs: &[Option<Tensor>]) -> PyResult<Vec<Option<Saved>>> {
    let mut saved = Vec::new();
    for item in ctx.getattr("to_save")?.try_iter()? {
        let item = item?;
        if item.is_none() {
            saved.push(None);
            continue;
        }
        let Some(t) = cast_tensor(&item) else {
            return Err(PyTypeError::new_err(format!(
                "save_for_backward can only save variables, but argument {} is of type {}",
                saved.len(),
                crate::schema::type_name(&item)
            )));
        };
        let output = outputs.iter().position(|o| o.as_ref().is_some_and(|o| o.same(&t)));
        saved.push(Some(match output {
            Some(slot) => Saved::output(&t, slot).py()?,
            None => Saved::input(&t).py()?,
        }));
    }
    ctx.setattr("to_save", PyTuple::empty(ctx.py()))?;
    Ok(saved)
}

// --------------------------------------------------------------------------------------------------------------- running

thread_local! {
    /// What the runs under way in this thread shall call when they end; an inner run's come last.
    static FINAL_CALLBACKS: std::cell::RefCell<Vec<Py<PyAny>>> = const { std::cell::RefCell::new(Vec::new()) };
    /// Whether such callbacks are running: they may queue more.
    static IN_CALLBACKS: Cell<bool> = const { Cell::new(false) };
}

/// Has the run that this thread is in call a function, without arguments, when it is over.
#[pyfunction]
fn _queue_callback(callback: Py<PyAny>) -> PyResult<()> {
    if rustnn_autograd::current_run().is_none() && !IN_CALLBACKS.get() {
        return Err(PyRuntimeError::new_err("Final callbacks can only be installed during backward pass."));
    }
    FINAL_CALLBACKS.with(|all| all.borrow_mut().push(callback));
    Ok(())
}

/// A run, and then the callbacks that were queued in it; one that fails calls none.
fn run_with_callbacks<T: Send>(py: Python<'_>, run: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    let before = FINAL_CALLBACKS.with(|all| all.borrow().len());
    let out = detached(py, run).py();
    if FINAL_CALLBACKS.with(|all| all.borrow().len()) == before {
        return out;
    }
    let mut queued = FINAL_CALLBACKS.with(|all| all.borrow_mut().split_off(before));
    let out = out?;
    let outer = IN_CALLBACKS.replace(true);
    let mut result = Ok(out);
    while result.is_ok() && !queued.is_empty() {
        for callback in queued {
            if let Err(error) = callback.call0(py) {
                result = Err(error);
                break;
            }
        }
        queued = FINAL_CALLBACKS.with(|all| all.borrow_mut().split_off(before));
    }
    IN_CALLBACKS.set(outer);
    result
}

/// `t.backward()` without arguments.
pub fn backward_plain(py: Python<'_>, root: Tensor, keep_graph: bool, create_graph: bool) -> PyResult<()> {
    let request = Request { keep_graph, create_graph, allow_unused: true, accumulate: true };
    run_with_callbacks(py, || tape::run_backward(std::slice::from_ref(&root), &[None], None, request)).map(drop)
}

/// What stands for a `GradientEdge`: the leaf itself, or a tensor at that place of the graph, shaped as the gradient that is given.
fn at_edge(item: &Bound<PyAny>, seed: Option<&Tensor>) -> PyResult<Option<Tensor>> {
    let (Ok(node), Ok(slot)) = (item.getattr("node"), item.getattr("output_nr")) else { return Ok(None) };
    let Ok(node) = node.cast::<PyNode>() else { return Ok(None) };
    let node = &node.get().0;
    if let Some(leaf) = node.payload.as_any().downcast_ref::<tape::Accumulate>().and_then(tape::Accumulate::leaf) {
        return Ok(Some(leaf));
    }
    let array = match seed {
        Some(seed) => seed.array().clone(),
        None => rustnn_tensor::Array::empty(&[], rustnn_tensor::DType::F32, rustnn_tensor::Device::Cpu).py()?,
    };
    Ok(Some(Tensor::from_node(array, node.clone(), slot.extract()?)))
}

#[pyfunction]
#[pyo3(signature = (tensors, grad_tensors, keep_graph, create_graph, inputs=None, allow_unreachable=true, accumulate_grad=true))]
fn _run_backward<'py>(
    py: Python<'py>,
    tensors: &Bound<'py, PyAny>,
    grad_tensors: &Bound<'py, PyAny>,
    keep_graph: bool,
    create_graph: bool,
    inputs: Option<&Bound<'py, PyAny>>,
    allow_unreachable: bool,
    accumulate_grad: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let list =
        |items: &Bound<'py, PyAny>| -> PyResult<Vec<Option<Tensor>>> { items.try_iter()?.map(|i| i.map(|i| cast_tensor(&i))).collect() };
    let seeds = list(grad_tensors)?;
    let all = |items: &Bound<'py, PyAny>, what: &str| -> PyResult<Vec<Tensor>> {
        items
            .try_iter()?
            .enumerate()
            .map(|(i, item)| {
                let item = item?;
                let seed = if what == "tensors" { seeds.get(i).and_then(Option::as_ref) } else { None };
                match cast_tensor(&item) {
                    Some(tensor) => Ok(tensor),
                    None => {
                        at_edge(&item, seed)?.ok_or_else(|| PyTypeError::new_err(format!("element {i} of {what} tuple is not a Tensor")))
                    }
                }
            })
            .collect()
    };
    let roots = all(tensors, "tensors")?;
    let inputs = inputs.map(|i| all(i, "inputs")).transpose()?.filter(|i| !(accumulate_grad && i.is_empty()));
    let request = Request { keep_graph, create_graph, allow_unused: allow_unreachable, accumulate: accumulate_grad };
    let out = run_with_callbacks(py, || tape::run_backward(&roots, &seeds, inputs.as_deref(), request))?;
    if accumulate_grad {
        return Ok(py.None().into_bound(py));
    }
    Ok(grads_tuple(py, &out.into_iter().collect())?.into_any())
}

// ----------------------------------------------------------------------------------------------------------------- modes

#[pyfunction]
fn is_grad_enabled() -> bool {
    !mode::is_on(Mode::GradOff) && !mode::is_on(Mode::Inference)
}

#[pyfunction]
fn _set_grad_enabled(mode: bool) {
    mode::set(Mode::GradOff, !mode);
}

#[pyfunction]
fn is_inference_mode_enabled() -> bool {
    mode::is_on(Mode::Inference)
}

#[pyfunction]
fn _set_inference_mode(mode: bool) {
    mode::set(Mode::Inference, mode);
}

#[pyfunction]
fn is_anomaly_enabled() -> bool {
    mode::is_on(Mode::Anomaly)
}

thread_local! {
    static CHECK_NAN: Cell<bool> = const { Cell::new(true) };
}

#[pyfunction]
fn is_anomaly_check_nan_enabled() -> bool {
    CHECK_NAN.get()
}

#[pyfunction]
#[pyo3(signature = (mode, check_nan=true))]
fn set_anomaly_enabled(mode: bool, check_nan: bool) {
    mode::set(Mode::Anomaly, mode);
    CHECK_NAN.set(check_nan);
}

/// The place of a tensor that a node saved.
#[pyclass(module = "torch._C._autograd", frozen)]
struct SavedTensor {
    node: NodeRef<Tensor>,
    name: String,
}

#[pymethods]
impl SavedTensor {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<PyTuple>, _kwargs: Option<&Bound<PyDict>>) -> PyResult<SavedTensor> {
        Err(PyRuntimeError::new_err(
            "Trying to create a SavedTensor object from Python is forbidden. Custom functions should save tensors by calling \
             ctx.save_for_backward().",
        ))
    }

    /// Keeps what `pack_hook` makes of the tensor in its place, and gives that to `unpack_hook` when the tensor is needed.
    fn register_hooks(&self, pack_hook: Py<PyAny>, unpack_hook: Py<PyAny>) -> PyResult<()> {
        let hooks = PySavedHooks { pack: pack_hook, unpack: Arc::new(unpack_hook) };
        match self.node.payload.as_any().downcast_ref::<RowBackward>() {
            Some(row) => row.hook_kept(&self.name, &hooks).py(),
            None => Err(PyRuntimeError::new_err("a saved tensor of a node that keeps none")),
        }
    }
}

/// Hooks of `saved_tensors_hooks`.
struct PySavedHooks {
    pack: Py<PyAny>,
    unpack: Arc<Py<PyAny>>,
}

struct PyPacked {
    value: Py<PyAny>,
    unpack: Arc<Py<PyAny>>,
}

impl SavedHooks for PySavedHooks {
    fn pack(&self, tensor: &Tensor) -> Result<Box<dyn Packed>> {
        Python::attach(|py| -> PyResult<Box<dyn Packed>> {
            // What the hook does must not be packed itself.
            let _guard = Guard::new(Mode::SavedHooks, false);
            let _grad = Guard::new(Mode::GradOff, true);
            let version = tensor.version();
            let value = self.pack.bind(py).call1((wrap(py, tensor.clone())?,))?.unbind();
            if tensor.version() != version {
                return Err(PyRuntimeError::new_err(
                    "A saved tensor pack hook is modifying its input in place. Tensors provided as input to pack hook can not be \
                     modified by in-place operations as this can lead to unexpected side-effects. Please open an issue if you need \
                     to perform in-place operations on the input to a pack hook.",
                ));
            }
            Ok(Box::new(PyPacked { value, unpack: self.unpack.clone() }))
        })
        .map_err(from_python)
    }
}

impl Packed for PyPacked {
    fn unpack(&self) -> Result<Tensor> {
        Python::attach(|py| -> PyResult<Tensor> {
            let out = self.unpack.bind(py).call1((&self.value,))?;
            cast_tensor(&out).ok_or_else(|| {
                PyTypeError::new_err(format!(
                    "Output of saved tensor unpack_hook expected to be a Tensor but got result of type {}",
                    crate::schema::type_name(&out)
                ))
            })
        })
        .map_err(from_python)
    }
}

thread_local! {
    static HOOKS_DISABLED: std::cell::RefCell<Option<String>> = const { std::cell::RefCell::new(None) };
}

#[pyfunction]
fn _push_saved_tensors_default_hooks(pack: Py<PyAny>, unpack: Py<PyAny>) -> PyResult<()> {
    if let Some(message) = HOOKS_DISABLED.with(|m| m.borrow().clone()) {
        return Err(PyRuntimeError::new_err(message));
    }
    rustnn_ops::saved::push_saved_hooks(Arc::new(PySavedHooks { pack, unpack: Arc::new(unpack) }));
    Ok(())
}

#[pyfunction]
fn _pop_saved_tensors_default_hooks() {
    rustnn_ops::saved::pop_saved_hooks();
}

#[pyfunction]
fn _saved_tensors_hooks_disable(message: String) {
    HOOKS_DISABLED.with(|m| *m.borrow_mut() = Some(message));
}

#[pyfunction]
fn _saved_tensors_hooks_enable() {
    HOOKS_DISABLED.with(|m| *m.borrow_mut() = None);
}

#[pyfunction]
fn _saved_tensors_hooks_get_disabled_error_message() -> Option<String> {
    HOOKS_DISABLED.with(|m| m.borrow().clone())
}

#[pyfunction]
fn _increment_version(tensor: &Bound<PyAny>) -> PyResult<()> {
    let bump = |t: &Bound<PyAny>| -> PyResult<()> {
        cast_tensor(t).ok_or_else(|| PyTypeError::new_err("increment_version expects a Tensor"))?.bump_version();
        Ok(())
    };
    if tensor.is_instance_of::<PyList>() || tensor.is_instance_of::<PyTuple>() {
        for t in tensor.try_iter()? {
            bump(&t?)?;
        }
        return Ok(());
    }
    bump(tensor)
}

/// The operands' result dtype.
#[pyfunction]
fn result_type<'py>(a: &Bound<'py, PyAny>, b: &Bound<'py, PyAny>) -> PyResult<Bound<'py, crate::types::PyDType>> {
    let mut operands = Vec::new();
    let mut tensors = [cast_tensor(a), cast_tensor(b)];
    for (object, tensor) in [a, b].into_iter().zip(&mut tensors) {
        if tensor.is_none()
            && let Some((re, im)) = crate::schema::complex(object)
        {
            *tensor = Some(rustnn_ops::complex::number(re, im, rustnn_tensor::DType::F32).py()?);
        }
    }
    for (object, tensor) in [a, b].into_iter().zip(&tensors) {
        operands.push(match tensor {
            Some(t) => Operand::Tensor(t),
            None => Operand::Scalar(crate::schema::scalar(object).ok_or_else(|| {
                PyTypeError::new_err(format!("result_type(): argument must be Tensor or Number, not {}", crate::schema::type_name(object)))
            })?),
        });
    }
    crate::types::dtype(a.py(), rustnn_ops::row::result_type(&operands).py()?)
}

/// Nodes of the graph that live, less those from before the first call: for tests that look for leaks.
#[pyfunction]
fn _living_nodes() -> i64 {
    rustnn_autograd::living_nodes()
}

/// The number of the run that this thread is in, or -1.
#[pyfunction]
fn _current_graph_task_id() -> i64 {
    rustnn_autograd::current_run().map_or(-1, |(id, _)| id as i64)
}

/// Whether the run that this thread is in goes through a node.
#[pyfunction]
fn _will_engine_execute_node(node: &Bound<PyNode>) -> bool {
    rustnn_autograd::will_run(&node.get().0)
}

/// Whether the run that this thread is in goes to all leaves, as reentrant checkpoints need.
#[pyfunction]
fn _is_checkpoint_valid() -> bool {
    rustnn_autograd::current_run().is_none_or(|(_, all)| all)
}

/// An error if a gradient holds NaN, after a warning that shows where the op was called.
fn check_nan(node: &NodeRef<Tensor>, grads: &Grads<Tensor>) -> Result<()> {
    for (i, grad) in grads.iter().enumerate() {
        let Some(grad) = grad.as_ref().filter(|g| g.dtype().is_float() && !g.array().is_meta()) else { continue };
        let nan = mode::no_grad(|| rustnn_ops::reduce::has_nan(grad.array()))?;
        if !CHECK_NAN.get() || !nan {
            continue;
        }
        Python::attach(|py| warn_of(py, node)).map_err(from_python)?;
        bail!(Runtime, "Function '{}' returned nan values in its {i}th output.", node.name());
    }
    Ok(())
}

/// Warns with the place where a node's op was called.
fn warn_of(py: Python<'_>, node: &NodeRef<Tensor>) -> PyResult<()> {
    let (name, trace) = (node.name(), node.extra().trace.lock().unwrap_or_else(|e| e.into_inner()).clone());
    let text = match trace {
        Some(trace) => format!("Error detected in {name}. Traceback of forward call that caused the error:\n{trace}"),
        None => format!(
            "Error detected in {name}. No forward pass information available. Enable detect anomaly during forward pass for more \
             information."
        ),
    };
    py.import("warnings")?.call_method1("warn", (text,)).map(drop)
}

/// A backward failed: its error goes on, whatever becomes of the warning.
fn report(node: &NodeRef<Tensor>) {
    Python::attach(|py| {
        if let Err(error) = warn_of(py, node) {
            error.print(py);
        }
    });
}

fn trace() -> String {
    Python::try_attach(|py| {
        let stack = py.import("traceback").and_then(|m| m.call_method0("format_stack")).and_then(|s| s.extract::<Vec<String>>());
        stack.unwrap_or_default().concat()
    })
    .unwrap_or_default()
}

pub fn add_to(module: &Bound<PyModule>) -> PyResult<()> {
    let _ = tape::TRACE.set(trace);
    let _ = tape::CHECK_NAN.set(check_nan);
    let _ = tape::REPORT.set(report);
    module.add_class::<PyNode>()?;
    module.add_class::<TensorHandle>()?;
    module.add_class::<SavedTensor>()?;
    module.add("_node_classes", PyDict::new(module.py()))?;
    macro_rules! functions {
        ($($f:ident)*) => { $(module.add_function(wrap_pyfunction!($f, module)?)?;)* };
    }
    functions! {
        _function_apply _identity_alias _run_backward _queue_callback is_grad_enabled _set_grad_enabled is_inference_mode_enabled _set_inference_mode
        is_anomaly_enabled is_anomaly_check_nan_enabled set_anomaly_enabled _push_saved_tensors_default_hooks
        _pop_saved_tensors_default_hooks _saved_tensors_hooks_disable _saved_tensors_hooks_enable
        _saved_tensors_hooks_get_disabled_error_message _increment_version result_type _current_graph_task_id _is_checkpoint_valid _will_engine_execute_node
        _living_nodes
    }
    Ok(())
}
