//! What a program is made of.

use super::size::{Guard, Size, Symbol};
use crate::{DType, Device, Tensor};
use rustnn_ops::Scalar;
use std::fmt;

/// The number of a tensor in a program: inputs first, then weights, then what the nodes give, each in its order.
pub type Id = usize;

/// An argument of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Not given.
    None,
    /// A tensor.
    Tensor(Id),
    /// A list of tensors, some perhaps not given.
    Tensors(Vec<Option<Id>>),
    /// An integer.
    Int(Size),
    /// Integers.
    Ints(Vec<Size>),
    /// A float.
    Float(f64),
    /// Floats.
    Floats(Vec<f64>),
    /// True or false.
    Bool(bool),
    /// A word.
    Str(String),
    /// A dtype.
    DType(DType),
    /// A device; none is where the weights are.
    Device(Option<Device>),
}

impl Value {
    /// A number as an op was given it.
    pub fn of_scalar(scalar: Scalar) -> Value {
        match scalar {
            Scalar::Int(i) => Value::Int(Size::Known(i)),
            Scalar::Float(f) => Value::Float(f),
            Scalar::Bool(b) => Value::Bool(b),
        }
    }

    /// The sizes in it.
    pub fn sizes(&self) -> &[Size] {
        match self {
            Value::Int(size) => std::slice::from_ref(size),
            Value::Ints(list) => list,
            _ => &[],
        }
    }

    /// The tensors in it.
    pub fn ids(&self) -> impl Iterator<Item = Id> + '_ {
        let (one, list) = match self {
            Value::Tensor(id) => (Some(*id), &[][..]),
            Value::Tensors(list) => (None, list.as_slice()),
            _ => (None, &[][..]),
        };
        one.into_iter().chain(list.iter().flatten().copied())
    }

    /// Whether both are equal; NaN is NaN.
    pub fn is_same(&self, other: &Value) -> bool {
        self == other || matches!((self, other), (Value::Float(a), Value::Float(b)) if a.is_nan() && b.is_nan())
    }
}

/// A call of an op.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The op's name in the registry.
    pub op: String,
    /// Arguments by name. Those that are missing are at their defaults.
    pub args: Vec<(String, Value)>,
    /// The numbers of its results: new ones, or earlier ones that then stand for the result (in-place ops).
    pub outs: Vec<Id>,
    /// Whether it is recorded for gradients; not so under `no_grad`.
    pub grad: bool,
    /// Sizes of its results that Python computed with. A call in which they are others than these is an error.
    pub reads: Vec<Read>,
}

/// A size that Python read.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// The place of the result in the node's `outs`.
    pub out: usize,
    /// The dimension.
    pub dim: usize,
    /// What the program takes it for.
    pub size: Size,
}

/// A tensor that a call brings.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The parameter's name in `forward`, with a path into lists and dicts: `hx.0`.
    pub name: String,
    /// The one that a call has to bring.
    pub dtype: DType,
    /// As many as dimensions.
    pub shape: Vec<Size>,
}

/// What a weight was in the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Learned.
    Parameter,
    /// State that is not learned.
    Buffer,
    /// State that is not in the module's state dict.
    NonPersistent,
    /// A tensor that `forward` used without its being the module's.
    Constant,
}

impl Role {
    /// The roles and their names in files.
    pub const ALL: [(Role, &'static str); 4] = [
        (Role::Parameter, "parameter"),
        (Role::Buffer, "buffer"),
        (Role::NonPersistent, "non-persistent buffer"),
        (Role::Constant, "constant"),
    ];

    /// Its name in files.
    pub fn name(self) -> &'static str {
        Role::ALL.iter().find(|(role, _)| *role == self).map_or("", |(_, name)| name)
    }
}

/// A tensor that the program holds.
#[derive(Clone, Debug)]
pub struct Weight {
    /// Its name in the module's state dict; constants have names of their own.
    pub name: String,
    /// Further names in the state dict of the same tensor.
    pub aliases: Vec<String>,
    /// What it was in the module.
    pub role: Role,
    /// Whether the program writes it. Buffers keep what was written; constants begin every call anew.
    pub written: bool,
    /// The values.
    pub tensor: Tensor,
}

/// A recorded forward pass.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Sizes that may differ from call to call.
    pub symbols: Vec<Symbol>,
    /// What has to hold of them in a call.
    pub guards: Vec<Guard>,
    /// What a call brings.
    pub inputs: Vec<Input>,
    /// What the program holds.
    pub weights: Vec<Weight>,
    /// In the order of execution.
    pub nodes: Vec<Node>,
    /// What a call gives back.
    pub outputs: Vec<Id>,
    /// How Python's arguments and results are made of inputs and outputs; Rust hands it on unread.
    pub trees: String,
}

impl Graph {
    /// The first number that a node may give.
    pub fn first_result(&self) -> Id {
        self.inputs.len() + self.weights.len()
    }

    fn name(&self, id: Id) -> String {
        if let Some(input) = self.inputs.get(id) {
            return input.name.clone();
        }
        match self.weights.get(id - self.inputs.len()) {
            Some(weight) => weight.name.clone(),
            None => format!("%{id}"),
        }
    }

    fn value(&self, value: &Value) -> String {
        let sizes = |sizes: &[Size]| sizes.iter().map(|s| s.text(&self.symbols)).collect::<Vec<_>>().join(", ");
        match value {
            Value::None => "None".into(),
            Value::Tensor(id) => self.name(*id),
            Value::Tensors(ids) => {
                let names: Vec<String> = ids.iter().map(|id| id.map_or("None".into(), |id| self.name(id))).collect();
                format!("[{}]", names.join(", "))
            }
            Value::Int(size) => size.text(&self.symbols),
            Value::Ints(list) => format!("[{}]", sizes(list)),
            Value::Float(f) => format!("{f:?}"),
            Value::Floats(list) => format!("{list:?}"),
            Value::Bool(b) => if *b { "True" } else { "False" }.into(),
            Value::Str(text) => format!("{text:?}"),
            Value::DType(dtype) => dtype.name().into(),
            Value::Device(device) => device.map_or("home".into(), |d| d.to_string()),
        }
    }

    /// Whether a node may go if nobody uses its results: it writes nothing, draws no random numbers, and Python read no size of it.
    fn is_pure(node: &Node) -> bool {
        const IMPURE: &[&str] = &[
            "alpha_dropout",
            "batch_norm",
            "bernoulli",
            "dropout",
            "embedding",
            "feature_alpha_dropout",
            "feature_dropout",
            "instance_norm",
            "multinomial",
            "normal",
            "rand",
            "rand_like",
            "randint",
            "randint_like",
            "randn",
            "randn_like",
            "randperm",
            "rrelu",
        ];
        let writes = node.args.iter().any(|(name, value)| match name.as_str() {
            "out" => *value != Value::None,
            "inplace" => *value == Value::Bool(true),
            _ => false,
        });
        node.reads.is_empty() && !node.op.ends_with('_') && !writes && !IMPURE.contains(&node.op.as_str())
    }

    /// Takes out nodes whose results nobody uses, and constants that are then unused; renumbers what is left.
    pub fn prune(&mut self) {
        let (inputs, weights) = (self.inputs.len(), self.weights.len());
        let count = inputs + weights + self.nodes.iter().map(|n| n.outs.len()).sum::<usize>();
        let args = self.nodes.iter().flat_map(|n| &n.args).flat_map(|(_, value)| value.ids());
        // Tensors that nobody made: `Program::new` says so of the graph as it is.
        if self.nodes.iter().flat_map(|n| &n.outs).chain(&self.outputs).copied().chain(args).any(|id| id >= count) {
            return;
        }
        let mut used = vec![false; count];
        self.outputs.iter().for_each(|&id| used[id] = true);
        let mut kept: Vec<Node> = Vec::with_capacity(self.nodes.len());
        for node in std::mem::take(&mut self.nodes).into_iter().rev() {
            if !Graph::is_pure(&node) || node.outs.iter().any(|&id| used[id]) {
                node.args.iter().flat_map(|(_, value)| value.ids()).for_each(|id| used[id] = true);
                kept.push(node);
            }
        }
        kept.reverse();
        self.nodes = kept;
        let mut new: Vec<Option<Id>> = (0..inputs).map(Some).collect();
        let mut next = inputs;
        let mut take = |keep: bool| {
            let id = keep.then_some(next);
            next += usize::from(keep);
            id
        };
        let mut at = inputs;
        self.weights.retain(|weight| {
            let keep = used[at] || matches!(weight.role, Role::Parameter | Role::Buffer);
            at += 1;
            new.push(take(keep));
            keep
        });
        new.resize(count, None);
        for node in &mut self.nodes {
            for value in node.args.iter_mut().map(|(_, value)| value) {
                match value {
                    Value::Tensor(id) => *id = new[*id].unwrap_or_default(),
                    Value::Tensors(ids) => ids.iter_mut().flatten().for_each(|id| *id = new[*id].unwrap_or_default()),
                    _ => {}
                }
            }
            for id in &mut node.outs {
                let known = &mut new[*id];
                *id = *known.get_or_insert_with(|| take(true).unwrap_or_default());
            }
        }
        self.outputs.iter_mut().for_each(|id| *id = new[*id].unwrap_or_default());
    }
}

/// The program as people read it, one node a line.
impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let shape = |sizes: &[Size]| sizes.iter().map(|s| s.text(&self.symbols)).collect::<Vec<_>>().join(", ");
        let inputs: Vec<String> = self.inputs.iter().map(|i| format!("{}: {}[{}]", i.name, i.dtype.name(), shape(&i.shape))).collect();
        writeln!(f, "program({}):", inputs.join(", "))?;
        if !self.guards.is_empty() {
            let guards: Vec<String> = self.guards.iter().map(|guard| guard.text(&self.symbols)).collect();
            writeln!(f, "    where {}", guards.join(" and "))?;
        }
        for weight in &self.weights {
            let (role, written) = (weight.role.name(), if weight.written { ", written" } else { "" });
            let (dtype, sizes) = (weight.tensor.dtype().name(), weight.tensor.shape());
            writeln!(f, "    {role} {}: {dtype}{sizes:?}{written}", weight.name)?;
        }
        for node in &self.nodes {
            let outs: Vec<String> = node.outs.iter().map(|&id| self.name(id)).collect();
            let args: Vec<String> = node.args.iter().map(|(name, value)| format!("{name}={}", self.value(value))).collect();
            let mode = if node.grad { "" } else { "  # no_grad" };
            writeln!(f, "    {} = {}({}){mode}", outs.join(", "), node.op, args.join(", "))?;
        }
        let outputs: Vec<String> = self.outputs.iter().map(|&id| self.name(id)).collect();
        writeln!(f, "    return {}", outputs.join(", "))
    }
}
