//! A program that runs: its nodes bound to the registry's ops.

use super::file;
use super::graph::{Graph, Id, Input, Read, Role, Value, Weight};
use super::size::{Guard, Size, Symbol};
use crate::autograd::no_grad;
use crate::{Device, Error, Result, Tensor};
use rustnn_ops::registry::{self, Arg, Args, Output, Run};
use rustnn_ops::row::Scalar;
use rustnn_ops::schema::{Kind, Param, Schema};
use smallvec::SmallVec;
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Returns an error with that text.
macro_rules! refuse {
    ($($arg:tt)*) => { return Err(Error::value(format!($($arg)*))) };
}

/// A recorded forward pass with its weights, ready to run. Clones share the weights.
///
/// Any number of threads may call one program at once. If it writes buffers of its own (batch normalisation in training
/// mode), calls wait for each other.
#[derive(Clone)]
pub struct Program {
    graph: Arc<Graph>,
    weights: Vec<Tensor>,
    plan: Arc<Plan>,
    home: Device,
    /// Held by a call that writes weights.
    turn: Arc<Mutex<()>>,
}

struct Plan {
    steps: Vec<Step>,
    /// How many tensors there are in all.
    count: usize,
    /// Weights that the program writes and that keep what was written: calls take turns.
    writes: bool,
}

struct Step {
    run: Run,
    args: Vec<Bound>,
    /// In the order of the schema.
    kinds: Vec<Kind>,
    /// The places of what it may write.
    writes: SmallVec<[usize; 2]>,
    outs: SmallVec<[Id; 1]>,
    grad: bool,
    /// Its result is memory as it was found, with the values of others: it is cleared.
    blank: bool,
    /// What no later step needs.
    last_uses: SmallVec<[Id; 4]>,
}

/// An argument as far as it is known before the call.
enum Bound {
    Ready(Arg),
    Varies(Value),
}

fn schemas() -> &'static HashMap<String, Vec<Schema>> {
    static TABLE: OnceLock<HashMap<String, Vec<Schema>>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table: HashMap<String, Vec<Schema>> = HashMap::new();
        for schema in registry::all().iter().filter_map(|op| Schema::parse(op).ok()) {
            table.entry(schema.name.clone()).or_default().push(schema);
        }
        table
    })
}

/// Whether a parameter takes a value.
fn takes(param: &Param, value: &Value) -> bool {
    match (param.kind, value) {
        (_, Value::None) => param.optional || matches!(param.default, Some(Arg::None)) || param.kind == Kind::MemoryFormat,
        (Kind::Tensor | Kind::Operand, Value::Tensor(_)) => true,
        (Kind::Operand | Kind::Scalar, Value::Int(_) | Value::Float(_) | Value::Bool(_)) => true,
        (Kind::Tensors, Value::Tensors(list)) => list.iter().all(Option::is_some),
        (Kind::OptionalTensors, Value::Tensors(_)) => true,
        (Kind::Int, Value::Int(_)) => true,
        (Kind::Ints { .. } | Kind::OptionalInts, Value::Ints(_)) => true,
        (Kind::Float, Value::Float(_)) => true,
        (Kind::Floats, Value::Floats(_)) => true,
        (Kind::Bool, Value::Bool(_)) => true,
        (Kind::Str | Kind::MemoryFormat, Value::Str(_)) => true,
        (Kind::DType, Value::DType(_)) => true,
        (Kind::Device, Value::Device(_)) => true,
        _ => false,
    }
}

/// The value as the op takes it, if it depends on nothing that a call brings.
fn ready(kind: Kind, value: &Value) -> Option<Arg> {
    let number = |scalar: Scalar| if matches!(kind, Kind::Operand | Kind::Scalar) { Some(Arg::Scalar(scalar)) } else { None };
    Some(match value {
        Value::None => Arg::None,
        Value::Int(Size::Known(i)) => number(Scalar::Int(*i)).unwrap_or(Arg::Int(*i)),
        Value::Ints(list) => {
            let known = list.iter().map(|s| if let Size::Known(v) = s { Some(*v) } else { None });
            Arg::Ints(known.collect::<Option<_>>()?)
        }
        Value::Float(f) => number(Scalar::Float(*f)).unwrap_or(Arg::Float(*f)),
        Value::Floats(list) => Arg::Floats(list.clone()),
        Value::Bool(b) => number(Scalar::Bool(*b)).unwrap_or(Arg::Bool(*b)),
        Value::Str(text) => Arg::Str(text.clone()),
        Value::DType(dtype) => Arg::DType(*dtype),
        Value::Device(Some(device)) => Arg::Device(*device),
        Value::Tensor(_) | Value::Tensors(_) | Value::Int(_) | Value::Device(None) => return None,
    })
}

impl Plan {
    /// Checks the graph: every op exists and takes its arguments, every tensor is there before it is used.
    fn new(graph: &Graph) -> Result<Plan> {
        let args = graph.nodes.iter().flat_map(|node| &node.args);
        let sizes = graph.inputs.iter().flat_map(|input| &input.shape).chain(args.flat_map(|(_, value)| value.sizes()));
        if sizes.into_iter().any(|size| !size.is_of(graph.symbols.len())) {
            refuse!("malformed program: a size of symbols that are not there");
        }
        let reads = graph
            .nodes
            .iter()
            .flat_map(|node| node.reads.iter().map(|read| read.size.is_of(graph.symbols.len()) && read.out < node.outs.len()));
        if !reads.into_iter().all(|fits| fits) || !graph.guards.iter().all(|guard| guard.is_of(graph.symbols.len())) {
            refuse!("malformed program: a guard or a size that was read, of what is not there");
        }
        let mut bound = vec![false; graph.symbols.len()];
        for input in &graph.inputs {
            input.shape.iter().filter_map(Size::symbol).for_each(|s| bound[s] = true);
        }
        if let Some(free) = bound.iter().position(|b| !b) {
            refuse!("malformed program: no input has the size {}", graph.symbols[free].name);
        }
        let mut count = graph.first_result();
        let mut steps = Vec::with_capacity(graph.nodes.len());
        for (n, node) in graph.nodes.iter().enumerate() {
            let wrong = |what: String| Error::value(format!("malformed program: call {n} of {:?}: {what}", node.op));
            // What it grows by is memory as it was found.
            if node.op.starts_with("resize") {
                return Err(wrong("a program may not grow memory in place".into()));
            }
            let Some(overloads) = schemas().get(&node.op) else { return Err(wrong("there is no such op".into())) };
            if let Some(id) = node.args.iter().flat_map(|(_, value)| value.ids()).find(|&id| id >= count) {
                return Err(wrong(format!("it uses tensor {id}, which is not there yet")));
            }
            let given = |param: &Param| node.args.iter().find(|(name, _)| *name == param.name).map(|(_, value)| value);
            let fits = |schema: &&Schema| {
                node.args.iter().all(|(name, _)| schema.params.iter().any(|p| p.name == *name))
                    && schema.params.iter().all(|p| given(p).map_or(p.default.is_some(), |value| takes(p, value)))
            };
            let Some(schema) = overloads.iter().find(fits) else {
                let known: Vec<&str> = overloads.iter().map(|s| s.text.as_str()).collect();
                return Err(wrong(format!("its arguments do not fit {}", known.join(" or "))));
            };
            let bind = |param: &Param| match (given(param), &param.default) {
                (Some(value), _) => ready(param.kind, value).map_or_else(|| Bound::Varies(value.clone()), Bound::Ready),
                (None, default) => Bound::Ready(default.clone().unwrap_or(Arg::None)),
            };
            for &id in &node.outs {
                match id.cmp(&count) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => count += 1,
                    std::cmp::Ordering::Greater => return Err(wrong(format!("its result is tensor {id}, but {count} is the next"))),
                }
            }
            let args: Vec<Bound> = schema.params.iter().map(bind).collect();
            let is_on = |at: usize| !matches!(args[at], Bound::Ready(Arg::None | Arg::Bool(false)));
            steps.push(Step {
                run: schema.run,
                writes: (0..args.len()).filter(|&at| is_on(at) && schema.may_write(at, is_on)).collect(),
                args,
                kinds: schema.params.iter().map(|p| p.kind).collect(),
                outs: node.outs.iter().copied().collect(),
                grad: node.grad,
                blank: node.op.contains("empty"),
                last_uses: SmallVec::new(),
            });
        }
        if let Some(id) = graph.outputs.iter().find(|&&id| id >= count) {
            refuse!("malformed program: it returns tensor {id}, which is not there");
        }
        let mut needed = vec![false; count];
        graph.outputs.iter().for_each(|&id| needed[id] = true);
        for (step, node) in steps.iter_mut().zip(&graph.nodes).rev() {
            for id in node.args.iter().flat_map(|(_, value)| value.ids()).chain(node.outs.iter().copied()) {
                if !std::mem::replace(&mut needed[id], true) {
                    step.last_uses.push(id);
                }
            }
        }
        let writes = graph.weights.iter().any(|w| w.written && w.role != Role::Constant);
        Ok(Plan { steps, count, writes })
    }
}

impl Program {
    /// Binds a graph to the ops.
    ///
    /// # Errors
    /// If the graph is malformed: an op that does not exist, arguments that it does not take, tensors used before they are there.
    pub fn new(graph: Graph) -> Result<Program> {
        let plan = Plan::new(&graph)?;
        let weights = graph.weights.iter().map(|w| w.tensor.clone()).collect();
        Ok(Program { graph: Arc::new(graph), weights, plan: Arc::new(plan), home: Device::Cpu, turn: Arc::default() })
    }

    /// Reads a program's file.
    ///
    /// # Errors
    /// If it cannot be read, is no program, is malformed, or of a newer version. Nothing in a file can do more harm than that:
    /// every size and number is checked before it is used, and memory that the program asks for is cleared.
    pub fn load(path: impl AsRef<Path>) -> Result<Program> {
        Program::new(file::read(&rustnn_io::load_safetensors(path.as_ref())?)?)
    }

    /// Reads a program from the bytes of its file.
    ///
    /// # Errors
    /// See [`Program::load`].
    pub fn from_bytes(bytes: Vec<u8>) -> Result<Program> {
        Program::new(file::read(&rustnn_io::read_safetensors(bytes)?)?)
    }

    /// Saves the program with its weights as they are now, atomically.
    ///
    /// # Errors
    /// Those of the file system; a weight of a dtype that safetensors lacks (complex128).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        file::write(&self.snapshot(), |views, metadata| rustnn_io::save_safetensors(path.as_ref(), views, metadata))
    }

    /// The bytes that [`Program::save`] writes.
    ///
    /// # Errors
    /// See there.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        file::write(&self.snapshot(), |views, metadata| {
            let mut out = Vec::new();
            rustnn_io::write_safetensors(&mut out, views, metadata)?;
            Ok(out)
        })
    }

    fn snapshot(&self) -> Graph {
        let mut graph = Graph::clone(&self.graph);
        graph.weights.iter_mut().zip(&self.weights).for_each(|(weight, tensor)| weight.tensor = tensor.clone());
        graph
    }

    /// The recorded graph; its `Display` shows one op a line.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// What a call brings.
    pub fn inputs(&self) -> &[Input] {
        &self.graph.inputs
    }

    /// Sizes of the inputs that may differ from call to call.
    pub fn symbols(&self) -> &[Symbol] {
        &self.graph.symbols
    }

    /// What has to hold of those sizes beside their least and greatest values: [`Program::check`] and every call see to it.
    pub fn guards(&self) -> &[Guard] {
        &self.graph.guards
    }

    /// The weights with what the file says of them.
    pub fn weights(&self) -> impl Iterator<Item = (&Weight, &Tensor)> {
        self.graph.weights.iter().zip(&self.weights)
    }

    /// The weight of a name in the module's state dict.
    pub fn weight(&self, name: &str) -> Option<&Tensor> {
        self.weights().find(|(w, _)| w.name == name || w.aliases.iter().any(|a| a == name)).map(|(_, tensor)| tensor)
    }

    /// The parameters, by the names of the module's state dict.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.weights().filter(|(w, _)| w.role == Role::Parameter).map(|(w, tensor)| (w.name.as_str(), tensor))
    }

    /// Puts another tensor in a weight's place, for instance one of a checkpoint. Clones of the program keep the former.
    ///
    /// # Errors
    /// If there is no weight of that name, or its shape or dtype is another.
    pub fn set_weight(&mut self, name: &str, tensor: Tensor) -> Result<()> {
        let Some(at) = self.graph.weights.iter().position(|w| w.name == name || w.aliases.iter().any(|a| a == name)) else {
            refuse!("the program has no weight {name:?}")
        };
        let former = &self.weights[at];
        if former.shape() != tensor.shape() || former.dtype() != tensor.dtype() {
            refuse!("weight {name:?} is {}{:?}, got {}{:?}", former.dtype().name(), former.shape(), tensor.dtype().name(), tensor.shape());
        }
        self.weights[at] = tensor;
        Ok(())
    }

    /// The program with weights of its own on a device.
    ///
    /// # Errors
    /// If there is no such device, or no memory.
    pub fn to_device(&self, device: Device) -> Result<Program> {
        let moved = |t: &Tensor| -> Result<Tensor> { t.detach().to_device(device)?.detach().copy()?.requires_grad_(t.requires_grad()) };
        let weights = self.weights.iter().map(moved).collect::<Result<_>>()?;
        Ok(Program { weights, home: device, turn: Arc::default(), ..self.clone() })
    }

    /// Runs the program and records nothing for gradients. The results are the caller's own: what is a weight or an input, or a
    /// view of one, is copied. Inputs that the module wrote in place are written here too.
    ///
    /// # Errors
    /// See [`Program::forward`].
    pub fn infer(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let _guard = no_grad();
        let storage = |t: &Tensor| t.as_op().array().storage().id();
        let others: Vec<usize> = self.weights.iter().chain(inputs).map(storage).collect();
        self.run(&self.weights, inputs, |t| if others.contains(&storage(t)) { t.detach().copy() } else { Ok(t.clone()) })
    }

    /// Runs the program. What comes of weights that require gradients has a history, as in Python; what the module returns of its
    /// weights are the program's, not copies.
    ///
    /// # Errors
    /// If inputs are missing, of another dtype or shape than recorded, or of sizes that the program was not made for; those of the
    /// ops.
    pub fn forward(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        self.forward_with(&self.weights, inputs)
    }

    /// [`Program::forward`] with other weights, in the order of [`Program::weights`].
    ///
    /// # Errors
    /// See there; and if there are more or fewer weights.
    pub fn forward_with(&self, weights: &[Tensor], inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        if weights.len() != self.weights.len() {
            refuse!("the program has {} weights, got {}", self.weights.len(), weights.len());
        }
        self.run(weights, inputs, |t| Ok(t.clone()))
    }

    /// A call. `given` makes of each result what the caller gets of it, before another call may write.
    fn run(&self, weights: &[Tensor], inputs: &[Tensor], given: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Vec<Tensor>> {
        let symbols = self.bind(inputs)?;
        let _turn = self.plan.writes.then(|| self.turn.lock().unwrap_or_else(PoisonError::into_inner));
        let mut values: Vec<Option<Tensor>> = Vec::with_capacity(self.plan.count);
        values.extend(inputs.iter().cloned().map(Some));
        for (weight, tensor) in self.graph.weights.iter().zip(weights) {
            let own = weight.written && weight.role == Role::Constant;
            values.push(Some(if own { tensor.copy()? } else { tensor.clone() }));
        }
        values.resize(self.plan.count, None);
        for (n, step) in self.plan.steps.iter().enumerate() {
            let outputs = self.step(step, &values, weights, &symbols).map_err(|error| self.located(n, error))?;
            if outputs.len() != step.outs.len() {
                refuse!("call {n} of {:?} has {} results, the program says {}", self.graph.nodes[n].op, outputs.len(), step.outs.len());
            }
            for read in &self.graph.nodes[n].reads {
                let (expected, found) = (read.size.value(&symbols)?, outputs[read.out].shape().get(read.dim).map(|&n| n as i64));
                if found != Some(expected) {
                    return Err(self.misread(n, read, found));
                }
            }
            for (&id, tensor) in step.outs.iter().zip(outputs) {
                values[id] = Some(tensor);
            }
            step.last_uses.iter().for_each(|&id| values[id] = None);
        }
        self.graph.outputs.iter().map(|&id| given(held(&values, id)?)).collect()
    }

    fn step(&self, step: &Step, values: &[Option<Tensor>], weights: &[Tensor], symbols: &[i64]) -> Result<SmallVec<[Tensor; 2]>> {
        let mut args: SmallVec<[Arg; 8]> = SmallVec::with_capacity(step.args.len());
        for (bound, &kind) in step.args.iter().zip(&step.kinds) {
            args.push(match bound {
                Bound::Ready(arg) => arg.clone(),
                Bound::Varies(Value::Tensor(id)) => Arg::Tensor(held(values, *id)?.as_op().clone()),
                Bound::Varies(Value::Tensors(ids)) if kind == Kind::Tensors => {
                    Arg::Tensors(ids.iter().flatten().map(|&id| held(values, id).map(|t| t.as_op().clone())).collect::<Result<_>>()?)
                }
                Bound::Varies(Value::Tensors(ids)) => {
                    let one = |id: &Option<Id>| id.map(|id| held(values, id).map(|t| t.as_op().clone())).transpose();
                    Arg::OptionalTensors(ids.iter().map(one).collect::<Result<_>>()?)
                }
                Bound::Varies(Value::Int(size)) => match (kind, size.value(symbols)?) {
                    (Kind::Operand | Kind::Scalar, value) => Arg::Scalar(Scalar::Int(value)),
                    (_, value) => Arg::Int(value),
                },
                Bound::Varies(Value::Ints(list)) => Arg::Ints(list.iter().map(|s| s.value(symbols)).collect::<Result<_>>()?),
                Bound::Varies(_) => Arg::Device(self.home),
            });
        }
        for &at in &step.writes {
            self.check_written(&args[at], weights)?;
        }
        let _guard = (!step.grad).then(no_grad);
        Ok(match step.run.call(&Args(&args))? {
            Output::Tensor(t) if step.blank => {
                let _guard = no_grad();
                rustnn_ops::copy::zero_(&t)?;
                smallvec::smallvec![t.into()]
            }
            Output::Tensor(t) | Output::Written(t) => smallvec::smallvec![t.into()],
            Output::Tensors(all) | Output::Named(_, _, all) | Output::WrittenNamed(_, _, all) => {
                all.into_iter().map(Tensor::from).collect()
            }
            _ => SmallVec::new(),
        })
    }

    /// An error if what is to be written is memory of a weight of which the file does not say so: other calls may be reading it.
    fn check_written(&self, target: &Arg, weights: &[Tensor]) -> Result<()> {
        let storage = |t: &rustnn_ops::Tensor| t.array().storage().id();
        let targets = match target {
            Arg::Tensor(t) => std::slice::from_ref(t),
            Arg::Tensors(all) => all,
            _ => return Ok(()),
        };
        let is_target = |t: &Tensor| targets.iter().any(|target| storage(target) == storage(t.as_op()));
        match self.graph.weights.iter().zip(weights).find(|(weight, tensor)| !weight.written && is_target(tensor)) {
            Some((weight, _)) => refuse!("malformed program: it writes {:?}, which it does not say", weight.name),
            None => Ok(()),
        }
    }

    #[cold]
    fn located(&self, n: usize, error: Error) -> Error {
        let add = |text: String| format!("{text}\nin call {n} of the program, {}()", self.graph.nodes[n].op);
        use rustnn_tensor::Error as Op;
        match error {
            Error::Tensor(Op::Runtime(text)) => Op::Runtime(add(text)).into(),
            Error::Tensor(Op::Type(text)) => Op::Type(add(text)).into(),
            Error::Tensor(Op::Value(text)) => Op::Value(add(text)).into(),
            Error::Tensor(Op::Index(text)) => Op::Index(add(text)).into(),
            other => other,
        }
    }

    /// Whether a call takes these inputs: how many, their dtypes and shapes.
    ///
    /// # Errors
    /// If not; the message names the input.
    pub fn check(&self, inputs: &[Tensor]) -> Result<()> {
        self.bind(inputs).map(drop)
    }

    /// The symbols' values in a call.
    fn bind(&self, inputs: &[Tensor]) -> Result<SmallVec<[i64; 4]>> {
        let graph = &self.graph;
        if inputs.len() != graph.inputs.len() {
            refuse!("the program takes {} tensors, got {}", graph.inputs.len(), inputs.len());
        }
        let mut found: SmallVec<[Option<i64>; 4]> = SmallVec::from_elem(None, graph.symbols.len());
        for (input, tensor) in graph.inputs.iter().zip(inputs) {
            if tensor.dtype() != input.dtype || tensor.rank() != input.shape.len() {
                return Err(self.unlike(input, tensor));
            }
            for (size, &n) in input.shape.iter().zip(tensor.shape()) {
                if let Some(s) = size.symbol() {
                    let (symbol, value) = (&graph.symbols[s], n as i64);
                    if value < symbol.min || value > symbol.max {
                        refuse!(
                            "input {} has {} = {value}, outside of {} to {}, which the program was made for",
                            input.name,
                            symbol.name,
                            symbol.min,
                            symbol.max
                        );
                    }
                    if *found[s].get_or_insert(value) != value {
                        refuse!("inputs differ in {}: {} and {value} (input {})", symbol.name, found[s].unwrap_or_default(), input.name);
                    }
                }
            }
        }
        let values: SmallVec<[i64; 4]> = found.iter().map(|v| v.unwrap_or_default()).collect();
        for (input, tensor) in graph.inputs.iter().zip(inputs) {
            for (size, &n) in input.shape.iter().zip(tensor.shape()) {
                if size.value(&values)? != n as i64 {
                    return Err(self.unlike(input, tensor));
                }
            }
        }
        if let Some(guard) = graph.guards.iter().find(|guard| !guard.holds(&values)) {
            refuse!("the program was made for {}, got {}", guard.text(&graph.symbols), self.symbols_text(&values));
        }
        Ok(values)
    }

    fn symbols_text(&self, values: &[i64]) -> String {
        let each = self.graph.symbols.iter().zip(values).map(|(symbol, value)| format!("{} = {value}", symbol.name));
        each.collect::<Vec<_>>().join(", ")
    }

    #[cold]
    fn misread(&self, n: usize, read: &Read, found: Option<i64>) -> Error {
        Error::value(format!(
            "size {} of the result of call {n} of the program, {}(), is {} and not {}, which the program was made for: Python computed \
             with it, and the sizes of the inputs are beyond those that this holds for",
            read.dim,
            self.graph.nodes[n].op,
            found.map_or("missing".into(), |n| n.to_string()),
            read.size.text(&self.graph.symbols)
        ))
    }

    #[cold]
    fn unlike(&self, input: &Input, got: &Tensor) -> Error {
        let shape: Vec<String> = input.shape.iter().map(|s| s.text(&self.graph.symbols)).collect();
        Error::value(format!(
            "input {} is {}[{}] in the program, got {}{:?}",
            input.name,
            input.dtype.name(),
            shape.join(", "),
            got.dtype().name(),
            got.shape()
        ))
    }
}

fn held(values: &[Option<Tensor>], id: Id) -> Result<&Tensor> {
    match values.get(id) {
        Some(Some(tensor)) => Ok(tensor),
        _ => refuse!("malformed program: tensor {id} is gone where it is used"),
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.graph)
    }
}
