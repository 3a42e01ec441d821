//! Recording of a module's forward for `rustnn.export`: every op that Python calls meanwhile becomes a node of a graph.

use crate::error::{IntoPy, from_python};
use crate::schema::Values;
use crate::tensor::{PyTensor, cast_tensor};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyList;
use rustnn::export::{Graph, Id, Input, Node, Role, Size, Term, Value, Weight};
use rustnn_ops::registry::{Arg, Output};
use rustnn_ops::schema::{Kind, Schema};
use rustnn_ops::{Tensor, mode};
use rustnn_tensor::{DType, Device, Result};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Threads that record. Calls test this alone while nobody does.
static RECORDERS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static RECORDER: RefCell<Option<Recorder>> = const { RefCell::new(None) };
    /// The recorder looks away, for instance while a tensor is printed.
    static PAUSED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread records.
#[inline]
pub fn on() -> bool {
    RECORDERS.load(Relaxed) != 0 && here()
}

#[cold]
#[inline(never)]
fn here() -> bool {
    !PAUSED.get() && RECORDER.with_borrow(Option::is_some)
}

/// Runs `f` unrecorded.
pub fn paused<R>(f: impl FnOnce() -> R) -> R {
    let before = PAUSED.replace(true);
    let result = f();
    PAUSED.set(before);
    result
}

/// Numbers while recording, when the number of constants is not known yet: what kind of tensor in the upper bits.
const KIND_BITS: usize = 40;
const INPUT: usize = 0;
const WEIGHT: usize = 1 << KIND_BITS;
const CONSTANT: usize = 2 << KIND_BITS;
const RESULT: usize = 3 << KIND_BITS;

struct Known {
    id: Id,
    /// Keeps the address its own.
    _tensor: Tensor,
    /// Depends on what the inputs or the weights hold.
    depends: bool,
    /// Its shape does.
    ragged: bool,
    /// Where its sizes are found in other recordings.
    place: Option<Place>,
}

/// An input, or a result of a node.
#[derive(Clone, Copy)]
enum Place {
    Input(usize),
    Result { node: usize, out: usize },
}

/// Sizes that vary are handed to Python as objects that see what it does with them.
struct Traced {
    /// What was recorded before, at `points`.
    recordings: Vec<Py<Recording>>,
    points: Vec<Vec<i64>>,
    /// How many nodes are the same in all of them, from the first on.
    common: usize,
    /// Makes the object of a value, terms and a divisor; without terms, of a size that is no polynomial.
    make: Py<PyAny>,
    /// The sizes of results that Python read, as (node, place of the result, dimension).
    reads: BTreeMap<(usize, usize, usize), Size>,
}

impl Traced {
    fn new(recordings: Vec<Py<Recording>>, points: Vec<Vec<i64>>, make: Py<PyAny>) -> Traced {
        let alike = |a: &Node, b: Option<&Node>| b.is_some_and(|b| a.op == b.op && a.outs == b.outs);
        let common = match recordings.split_first() {
            Some((first, others)) => {
                let same = |&(n, node): &(usize, &Node)| others.iter().all(|other| alike(node, other.get().graph.nodes.get(n)));
                first.get().graph.nodes.iter().enumerate().take_while(same).count()
            }
            None => 0,
        };
        Traced { recordings, points, common, make, reads: BTreeMap::new() }
    }

    /// The polynomial that a size is in the recordings.
    fn fit(&self, place: Place, dim: usize) -> Option<Size> {
        let of = |recording: &Recording| match place {
            Place::Input(i) => match recording.graph.inputs.get(i)?.shape.get(dim)? {
                Size::Known(n) => Some(*n),
                _ => None,
            },
            Place::Result { node, .. } if node >= self.common => None,
            Place::Result { node, out } => recording.shapes.get(node)?.get(out)?.get(dim).copied(),
        };
        let values: Option<Vec<i64>> = self.recordings.iter().map(|recording| of(recording.get())).collect();
        Size::through(&self.points, &values?)
    }
}

struct Recorder {
    graph: Graph,
    /// Constants as they were when first seen, with the tensor itself and its version then.
    constants: Vec<(Weight, Tensor, u32)>,
    /// The module's weights' versions at the start.
    versions: Vec<u32>,
    /// By address of the tensor's identity.
    known: HashMap<usize, Known>,
    /// Storages of inputs and results.
    storages: HashMap<usize, Id>,
    results: usize,
    /// Those of each node's results.
    shapes: Vec<Vec<Vec<i64>>>,
    traced: Option<Traced>,
    home: Device,
    /// The first thing that cannot be recorded; programs may swallow the exception.
    failure: Option<PyErr>,
}

fn address(tensor: &Tensor) -> usize {
    tensor.meta().address()
}

/// The exception for what cannot be recorded, with the line of the program's code that asked for it.
fn unrecordable(py: Python<'_>, what: &str) -> PyErr {
    match py.import("rustnn.export").and_then(|module| module.getattr("_unrecordable")?.call1((what,))) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

impl Recorder {
    fn fail(&mut self, what: &str) {
        if self.failure.is_none() {
            self.failure = Some(Python::attach(|py| unrecordable(py, what)));
        }
    }

    fn failed(&self) -> Result<()> {
        match &self.failure {
            Some(error) => Err(from_python(Python::attach(|py| error.clone_ref(py)))),
            None => Ok(()),
        }
    }

    fn keep(&mut self, tensor: &Tensor, id: Id, depends: bool, ragged: bool, place: Option<Place>) {
        self.known.insert(address(tensor), Known { id, _tensor: tensor.clone(), depends, ragged, place });
    }

    /// The number of an argument; a tensor that nobody made here is a constant.
    fn id_of(&mut self, tensor: &Tensor) -> Result<Id> {
        if let Some(known) = self.known.get(&address(tensor)) {
            return Ok(known.id);
        }
        if tensor.requires_grad() && !tensor.is_leaf() {
            let node = tensor.grad_fn().map_or_else(String::new, |node| node.name());
            self.fail(&format!(
                "a tensor that forward uses was made by {node} where the recording does not see it: outside of forward, or by code \
                 that is no op"
            ));
        } else if self.storages.contains_key(&tensor.array().storage().id()) {
            self.fail("a tensor that forward uses shares the memory of another, in a way that the recording does not see");
        }
        self.failed()?;
        let values = Tensor::from_array(rustnn_ops::copy::clone_array(tensor.array())?);
        values.set_requires_grad(tensor.requires_grad())?;
        let id = CONSTANT + self.constants.len();
        let name = format!("constants/{}", self.constants.len());
        let weight = Weight { name, aliases: Vec::new(), role: Role::Constant, written: false, tensor: values.into() };
        self.constants.push((weight, tensor.clone(), tensor.version()));
        self.keep(tensor, id, false, false, None);
        Ok(id)
    }

    fn arguments(&mut self, schema: &Schema, values: &Values) -> Result<Vec<(String, Value)>> {
        self.failed()?;
        let mut args = Vec::with_capacity(values.len());
        for (param, value) in schema.params.iter().zip(values) {
            let value = match value {
                Arg::None if matches!(param.default, Some(Arg::None)) => continue,
                // Layouts: there is one.
                Arg::None if param.kind == Kind::Layout => continue,
                Arg::None => Value::None,
                Arg::Tensor(t) => Value::Tensor(self.id_of(t)?),
                Arg::Tensors(all) => Value::Tensors(all.iter().map(|t| self.id_of(t).map(Some)).collect::<Result<_>>()?),
                Arg::OptionalTensors(all) => {
                    Value::Tensors(all.iter().map(|t| t.as_ref().map(|t| self.id_of(t)).transpose()).collect::<Result<_>>()?)
                }
                Arg::Scalar(scalar) => Value::of_scalar(*scalar),
                Arg::Complex(..) => unreachable!("complex numbers become tensors before a call is recorded"),
                Arg::Int(i) => Value::Int(Size::Known(*i)),
                Arg::Ints(list) => Value::Ints(list.iter().map(|&i| Size::Known(i)).collect()),
                Arg::Float(f) => Value::Float(*f),
                Arg::Floats(list) => Value::Floats(list.clone()),
                Arg::Bool(b) => Value::Bool(*b),
                Arg::Str(text) => Value::Str(text.clone()),
                Arg::DType(dtype) => Value::DType(*dtype),
                Arg::Device(device) => Value::Device((*device != self.home).then_some(*device)),
                Arg::Generator(_) => {
                    self.fail(&format!("{}() draws from a Generator of its own, which a file cannot hold", schema.name));
                    return Err(self.failed().err().unwrap_or(rustnn_tensor::Error::Interrupted));
                }
            };
            args.push((param.name.clone(), value));
        }
        Ok(args)
    }

    fn about(&self, tensor: &Tensor) -> Option<&Known> {
        self.known.get(&address(tensor))
    }

    fn result(&mut self, schema: &Schema, mut args: Vec<(String, Value)>, values: &Values, output: &Output) -> Result<()> {
        let tensors: Vec<&Tensor> = values
            .iter()
            .flat_map(|value| match value {
                Arg::Tensor(t) => vec![t],
                Arg::Tensors(all) => all.iter().collect(),
                Arg::OptionalTensors(all) => all.iter().flatten().collect(),
                _ => Vec::new(),
            })
            .collect();
        let depends = tensors.iter().any(|t| self.about(t).is_some_and(|k| k.depends));
        let ragged = tensors.iter().any(|t| self.about(t).is_some_and(|k| k.ragged));
        let outs: &[Tensor] = match output {
            Output::Tensor(t) | Output::Written(t) => std::slice::from_ref(t),
            Output::Tensors(all) | Output::Named(_, _, all) | Output::WrittenNamed(_, _, all) => all,
            Output::None => &[],
            Output::Int(_) | Output::Ints(_) if !ragged => return Ok(()),
            Output::DType(_) => return Ok(()),
            Output::Bool(_) if matches!(schema.name.as_str(), "is_floating_point" | "is_complex" | "is_signed") => return Ok(()),
            _ if !depends => return Ok(()),
            _ => {
                self.fail(&format!("{}() gives Python a number or truth value that depends on what tensors hold", schema.name));
                return self.failed();
            }
        };
        // Where no argument decides the dtype, the default dtype did.
        if tensors.is_empty()
            && let [out] = outs
            && schema.params.iter().any(|p| p.name == "dtype" && p.kind == Kind::DType)
            && !args.iter().any(|(name, _)| name == "dtype")
        {
            args.push(("dtype".into(), Value::DType(out.dtype())));
        }
        let ragged_op = is_ragged(schema, values);
        let mut numbers = Vec::with_capacity(outs.len());
        for (at, out) in outs.iter().enumerate() {
            let id = match self.about(out) {
                Some(known) => known.id,
                None => {
                    self.results += 1;
                    RESULT + self.results - 1
                }
            };
            numbers.push(id);
            let before = self.about(out).is_some_and(|k| k.ragged);
            let place = Place::Result { node: self.graph.nodes.len(), out: at };
            self.keep(out, id, depends, before || ragged_op || (ragged && out.rank() > 0), Some(place));
            self.storages.insert(out.array().storage().id(), id);
        }
        self.shapes.push(outs.iter().map(|out| out.shape().iter().map(|&n| n as i64).collect()).collect());
        self.graph.nodes.push(Node { op: schema.name.clone(), args, outs: numbers, grad: mode::grad_enabled(), reads: Vec::new() });
        Ok(())
    }
}

/// Whether the shape of an op's result depends on what its arguments hold.
fn is_ragged(schema: &Schema, values: &Values) -> bool {
    let is_mask = |t: &Tensor| matches!(t.dtype(), DType::Bool | DType::U8);
    match schema.name.as_str() {
        "nonzero" | "argwhere" | "masked_select" | "unique" | "unique_consecutive" | "bincount" => true,
        "_index" => values.iter().any(|v| matches!(v, Arg::OptionalTensors(all) if all.iter().flatten().any(is_mask))),
        "one_hot" => matches!(values.get(1), Some(Arg::Int(-1))),
        "repeat_interleave" => {
            schema.params.iter().zip(values).any(|(p, v)| p.name == "repeats" && matches!(v, Arg::Tensor(_)))
                && schema.params.iter().zip(values).any(|(p, v)| p.name == "output_size" && matches!(v, Arg::None))
        }
        _ => false,
    }
}

fn with<R>(f: impl FnOnce(&mut Recorder) -> Result<R>) -> Result<Option<R>> {
    RECORDER.with_borrow_mut(|recorder| recorder.as_mut().map(f).transpose())
}

/// Runs an op's call and records it.
#[cold]
#[inline(never)]
pub fn call(schema: &Schema, values: &Values, run: impl FnOnce() -> Result<Output>) -> Result<Output> {
    let args = with(|recorder| recorder.arguments(schema, values))?;
    let output = run()?;
    if let Some(args) = args {
        with(|recorder| recorder.result(schema, args, values, &output))?;
    }
    Ok(output)
}

/// Runs the op of a name, recorded, and gives its one tensor.
pub fn op(name: &str, values: Values) -> PyResult<Tensor> {
    match crate::call::run_recorded(name, &values)? {
        Output::Tensor(t) | Output::Written(t) => Ok(t),
        _ => Err(PyRuntimeError::new_err(format!("{name} gives no tensor"))),
    }
}

/// Records that `out` was made of `source` as the op `name` makes it.
pub fn made(name: &str, source: &Tensor, out: &Tensor) -> PyResult<()> {
    let values: Values = smallvec::smallvec![Arg::Tensor(source.clone())];
    let output = || Ok(Output::Tensor(out.clone()));
    crate::call::with_schema(name, |schema| call(schema, &values, output)).map(drop).py()
}

/// An error if what Python reads of a tensor, `what`, depends on the inputs or the weights.
#[cold]
#[inline(never)]
pub fn check_read(tensor: &Tensor, what: &str) -> PyResult<()> {
    with(|recorder| {
        let storage = tensor.array().storage().id();
        let depends = match recorder.about(tensor) {
            Some(known) => known.depends,
            None => recorder.storages.contains_key(&storage),
        };
        if depends {
            recorder.fail(&format!(
                "{what} hands Python a value that depends on what tensors hold; a branch or a number that depends on it would be that \
                 of the example for ever. Compute with tensors instead (where, masked_fill, gather, …)"
            ));
        }
        recorder.failed()
    })
    .map(drop)
    .py()
}

/// An error if Python wants the text of a tensor that depends on the inputs or the weights, unless it is for a message of this package.
#[cold]
#[inline(never)]
pub fn check_text(py: Python<'_>, tensor: &Tensor) -> PyResult<()> {
    if py.import("rustnn.export")?.call_method0("_asked_by_us")?.is_truthy()? {
        return Ok(());
    }
    check_read(tensor, "the text of a tensor (str, repr, format, print)")
}

/// An error if a tensor's shape depends on what tensors hold.
#[cold]
#[inline(never)]
pub fn check_shape(tensor: &Tensor) -> PyResult<()> {
    with(|recorder| {
        if recorder.about(tensor).is_some_and(|known| known.ragged) {
            recorder.fail("Python reads a shape that depends on what tensors hold (of a result of nonzero, a mask, unique, …)");
        }
        recorder.failed()
    })
    .map(drop)
    .py()
}

/// Notes something that cannot be recorded, and raises it.
#[cold]
#[inline(never)]
pub fn refuse(what: &str) -> PyResult<()> {
    with(|recorder| {
        recorder.fail(what);
        recorder.failed()
    })
    .map(drop)
    .py()
}

/// Whether a tensor is an input, a weight or a result.
pub fn knows(tensor: &Tensor) -> bool {
    with(|recorder| Ok(recorder.about(tensor).is_some())).is_ok_and(|known| known == Some(true))
}

/// The sizes of a tensor as Python gets them while they are traced; None while they are not.
#[cold]
#[inline(never)]
pub fn sizes<'py>(py: Python<'py>, tensor: &Tensor) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
    let found = with(|recorder| {
        let place = recorder.about(tensor).and_then(|known| known.place);
        let Some(traced) = &mut recorder.traced else { return Ok(None) };
        let fits: Vec<Option<Size>> = (0..tensor.rank())
            .map(|dim| match place {
                Some(place) => traced.fit(place, dim),
                None => Some(Size::Known(tensor.shape()[dim] as i64)),
            })
            .collect();
        if let Some(Place::Result { node, out }) = place {
            traced.reads.extend(fits.iter().enumerate().filter_map(|(dim, fit)| Some(((node, out, dim), fit.clone()?))));
        }
        let place = match place {
            Some(Place::Result { node, out }) => Some((node, out)),
            _ => None,
        };
        Ok(Some((fits, place, traced.make.clone_ref(py))))
    });
    let Some((fits, place, make)) = found.py()?.flatten() else { return Ok(None) };
    let object = |(dim, (fit, &value)): (usize, (Option<Size>, &usize))| match fit {
        Some(Size::Known(_)) => Ok(value.into_pyobject(py)?.into_any()),
        Some(Size::Varies { terms, divisor }) => {
            let terms: Vec<(i64, Vec<usize>)> = terms.into_iter().map(|Term { coefficient, symbols }| (coefficient, symbols)).collect();
            make.bind(py).call1((value, terms, divisor))
        }
        None => make.bind(py).call1((value, py.None(), (place, dim))),
    };
    fits.into_iter().zip(tensor.shape()).enumerate().map(object).collect::<PyResult<_>>().map(Some)
}

/// What `numel` gives Python while sizes are traced: their product. It is no op of the program.
pub fn traced_numel<'py>(py: Python<'py>, schema: &Schema, values: &[Arg]) -> PyResult<Option<Bound<'py, PyAny>>> {
    let Some(Arg::Tensor(t)) = values.first().filter(|_| schema.name == "numel") else { return Ok(None) };
    let Some(sizes) = sizes(py, t)? else { return Ok(None) };
    let one = 1i64.into_pyobject(py)?.into_any();
    sizes.iter().try_fold(one, |product, size| product.mul(size)).map(Some)
}

/// A recorded forward at one set of sizes.
#[pyclass(name = "_Recording", module = "rustnn._core", frozen)]
pub struct Recording {
    pub graph: Graph,
    /// Those of each node's results.
    pub shapes: Vec<Vec<Vec<i64>>>,
    /// The sizes of results that Python read, if they were traced.
    pub reads: BTreeMap<(usize, usize, usize), Size>,
}

#[pymethods]
impl Recording {
    /// Whether the same ops ran with the same arguments in another recording.
    fn is_like(&self, other: &Bound<Recording>) -> bool {
        let (own, other) = (&self.graph.nodes, &other.get().graph.nodes);
        let same = |a: &Node, b: &Node| {
            let args = |((name, a), (known, b)): (&(String, Value), &(String, Value))| name == known && a.is_same(b);
            a.op == b.op && a.outs == b.outs && a.args.len() == b.args.len() && a.args.iter().zip(&b.args).all(args)
        };
        own.len() == other.len() && own.iter().zip(other).all(|(a, b)| same(a, b))
    }
}

/// Whether calls are recorded on this thread: checks of values are then left to the ops.
#[pyfunction]
fn _is_recording() -> bool {
    on()
}

/// Whether a tensor's numbers are not looked at now: calls are recorded, or it lies where reading waits. Checks are left to the ops.
#[pyfunction]
fn _is_unread(tensor: &Bound<PyAny>) -> bool {
    on() || cast_tensor(tensor).is_some_and(|t| t.device().is_gpu())
}

fn given(list: &Bound<PyList>) -> PyResult<Vec<Tensor>> {
    list.iter().map(|t| cast_tensor(&t).ok_or_else(|| PyRuntimeError::new_err("expected a list of Tensors"))).collect()
}

/// Begins to record on this thread. `inputs` are (name, tensor), `weights` (names, role, tensor), `traced` earlier recordings, the
/// values of the sizes that vary in each, and what makes the object that stands for one of them.
#[pyfunction]
#[pyo3(signature = (inputs, weights, traced=None))]
fn _record_start(
    inputs: Vec<(String, Bound<PyTensor>)>,
    weights: Vec<(Vec<String>, String, Bound<PyTensor>)>,
    traced: Option<(Vec<Py<Recording>>, Vec<Vec<i64>>, Py<PyAny>)>,
) -> PyResult<()> {
    if here() {
        return Err(PyRuntimeError::new_err("export: forward calls export itself"));
    }
    let mut recorder = Recorder {
        graph: Graph::default(),
        constants: Vec::new(),
        versions: Vec::new(),
        known: HashMap::new(),
        storages: HashMap::new(),
        results: 0,
        shapes: Vec::new(),
        traced: traced.map(|(recordings, points, make)| Traced::new(recordings, points, make)),
        home: Device::Cpu,
        failure: None,
    };
    for (names, role, object) in weights {
        let tensor = object.get().get(object.py());
        let role = Role::ALL.iter().find(|(_, name)| *name == role).map_or(Role::Buffer, |&(role, _)| role);
        let mut names = names.into_iter();
        let Some(name) = names.next() else { continue };
        recorder.home = tensor.device();
        recorder.versions.push(tensor.version());
        let id = WEIGHT + recorder.graph.weights.len();
        recorder.keep(&tensor, id, true, false, None);
        recorder.storages.insert(tensor.array().storage().id(), id);
        recorder.graph.weights.push(Weight { name, aliases: names.collect(), role, written: false, tensor: tensor.into() });
    }
    for (name, object) in inputs {
        let tensor = object.get().get(object.py());
        if recorder.graph.weights.is_empty() {
            recorder.home = tensor.device();
        }
        let id = INPUT + recorder.graph.inputs.len();
        recorder.keep(&tensor, id, true, false, Some(Place::Input(id)));
        recorder.storages.insert(tensor.array().storage().id(), id);
        let shape = tensor.shape().iter().map(|&n| Size::Known(n as i64)).collect();
        recorder.graph.inputs.push(Input { name, dtype: tensor.dtype(), shape });
    }
    RECORDER.set(Some(recorder));
    RECORDERS.fetch_add(1, Relaxed);
    Ok(())
}

fn take() -> Option<Recorder> {
    let recorder = RECORDER.take()?;
    RECORDERS.fetch_sub(1, Relaxed);
    Some(recorder)
}

/// Ends the recording of this thread, if there is one, without a result; gives the exception for what could not be recorded.
#[pyfunction]
fn _record_stop() -> Option<PyErr> {
    take().and_then(|recorder| recorder.failure)
}

/// Ends the recording of this thread; `outputs` are what forward returned, `trees` how it is made of them.
#[pyfunction]
fn _record_finish(outputs: &Bound<PyList>, trees: String) -> PyResult<Recording> {
    let outputs = given(outputs)?;
    let Some(mut recorder) = take() else { return Err(PyRuntimeError::new_err("nothing is recorded")) };
    let outputs = outputs.iter().map(|t| recorder.id_of(t)).collect::<Result<Vec<_>>>().py()?;
    recorder.failed().py()?;
    let mut graph = recorder.graph;
    for (weight, version) in graph.weights.iter_mut().zip(recorder.versions) {
        weight.written = weight.tensor.as_op().version() != version;
    }
    let (inputs, weights, constants) = (graph.inputs.len(), graph.weights.len(), recorder.constants.len());
    let number = |id: Id| {
        let at = id & (WEIGHT - 1);
        match id - at {
            INPUT => at,
            WEIGHT => inputs + at,
            CONSTANT => inputs + weights + at,
            _ => inputs + weights + constants + at,
        }
    };
    for (mut weight, tensor, version) in recorder.constants {
        weight.written = tensor.version() != version;
        graph.weights.push(weight);
    }
    for node in &mut graph.nodes {
        for (_, value) in &mut node.args {
            match value {
                Value::Tensor(id) => *id = number(*id),
                Value::Tensors(ids) => ids.iter_mut().flatten().for_each(|id| *id = number(*id)),
                _ => {}
            }
        }
        node.outs.iter_mut().for_each(|id| *id = number(*id));
    }
    graph.outputs = outputs.into_iter().map(number).collect();
    graph.trees = trees;
    let reads = recorder.traced.map(|traced| traced.reads).unwrap_or_default();
    Ok(Recording { graph, shapes: recorder.shapes, reads })
}

pub fn add_to(module: &Bound<PyModule>) -> PyResult<()> {
    module.add_class::<Recording>()?;
    module.add_function(wrap_pyfunction!(_is_recording, module)?)?;
    module.add_function(wrap_pyfunction!(_is_unread, module)?)?;
    module.add_function(wrap_pyfunction!(_record_start, module)?)?;
    module.add_function(wrap_pyfunction!(_record_stop, module)?)?;
    module.add_function(wrap_pyfunction!(_record_finish, module)?)
}
