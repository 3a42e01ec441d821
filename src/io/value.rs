//! What a checkpoint holds: a graph of plain values, kept in one arena so that shared and cyclic objects keep their
//! identity and no depth of nesting can overflow a stack.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use rustnn_tensor::DType;

use crate::error::{Error, Result};

/// Number of an object in its [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub u32);

/// Number of a storage in its checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StorageId(pub u32);

/// A value: small ones themselves, the rest by reference into the graph.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(Arc<str>),
    DType(DType),
    Object(ObjectId),
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Str(text.into())
    }
}

impl Value {
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_int(&self) -> Option<i64> {
        match self {
            Value::Int(value) => Some(*value),
            _ => None,
        }
    }
}

/// Which of Python's dict classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DictKind {
    Dict,
    OrderedDict,
    Counter,
}

/// A strided view of a storage. All counts are in elements of `dtype`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// None for a tensor of the meta device, which has no data.
    pub storage: Option<StorageId>,
    pub dtype: DType,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
    pub offset: usize,
    pub requires_grad: bool,
    /// The lazy conjugation and negation bits.
    pub conj: bool,
    pub neg: bool,
    /// Python attributes (`__dict__`), a dict object.
    pub attributes: Option<ObjectId>,
    /// The Python subclass, if not `torch.Tensor`: an [`Object::Global`].
    pub class: Option<ObjectId>,
}

impl Tensor {
    /// A plain row-major tensor at the start of its storage.
    pub fn contiguous(storage: StorageId, dtype: DType, shape: Vec<usize>) -> Tensor {
        let mut strides = vec![1; shape.len()];
        for dim in (1..shape.len()).rev() {
            strides[dim - 1] = strides[dim] * shape[dim].max(1);
        }
        Tensor {
            storage: Some(storage),
            dtype,
            shape,
            strides,
            offset: 0,
            requires_grad: false,
            conj: false,
            neg: false,
            attributes: None,
            class: None,
        }
    }

    /// Number of elements; None if it overflows.
    pub fn element_count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |count, &size| count.checked_mul(size))
    }

    /// Bytes of storage the view reaches to, from the storage's start (0 if it has no elements). None on overflow.
    pub fn extent_bytes(&self) -> Option<u64> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        let mut last = self.offset;
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            last = last.checked_add((size - 1).checked_mul(stride)?)?;
        }
        (last as u64).checked_add(1)?.checked_mul(self.dtype.size_bytes() as u64)
    }
}

/// A storage object by itself, as `tensor.untyped_storage()` (dtype None) or the older typed `tensor.storage()`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageRef {
    pub storage: StorageId,
    pub dtype: Option<DType>,
    /// The part of the storage it covers; all of it except in files of PyTorch before 0.4.
    pub offset_bytes: u64,
    pub len_bytes: u64,
}

/// An object of a class the reader does not build itself: allowed by the user, or met by [`crate::inspect`].
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// The class or function: an [`Object::Global`] (or another instance, e.g. of `functools.partial`).
    pub callable: Value,
    /// A tuple object.
    pub args: Value,
    /// A dict object, for `cls.__new__(cls, *args, **kwargs)`.
    pub kwargs: Option<Value>,
    /// `cls.__new__(cls, *args)` rather than `callable(*args)`.
    pub is_new: bool,
    /// Items appended after construction (subclasses of list), then entries set (subclasses of dict).
    pub appended: Vec<Value>,
    pub entries: Vec<(Value, Value)>,
    /// What `__setstate__` gets, or what updates `__dict__`.
    pub state: Option<Value>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// An integer that does not fit i64: two's complement, little-endian, shortest form.
    BigInt(Vec<u8>),
    Complex {
        re: f64,
        im: f64,
    },
    Bytes(Vec<u8>),
    ByteArray(Vec<u8>),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    Set(Vec<Value>),
    FrozenSet(Vec<Value>),
    /// Entries in order; a key that comes twice has its last value, as in Python. `attributes` is the `__dict__` of an
    /// OrderedDict (a state dict's `_metadata` lives there).
    Dict {
        kind: DictKind,
        entries: Vec<(Value, Value)>,
        attributes: Option<ObjectId>,
    },
    Size(Vec<i64>),
    Device {
        kind: Arc<str>,
        index: Option<i64>,
    },
    /// A layout by its full name (`torch.strided`).
    Layout(Arc<str>),
    Storage(StorageRef),
    Tensor(Box<Tensor>),
    Parameter {
        /// The tensor object that holds the data.
        data: ObjectId,
        requires_grad: bool,
        /// Python attributes: a dict object.
        state: Option<Value>,
    },
    /// A class or function by its full dotted name.
    Global {
        module: Arc<str>,
        name: Arc<str>,
    },
    Instance(Box<Instance>),
}

// One byte of a pickle makes one object: its size is what a hostile file can multiply.
const _: () = assert!(size_of::<Object>() <= 40 && size_of::<Value>() <= 24);

impl Object {
    pub fn dict(entries: Vec<(Value, Value)>) -> Object {
        Object::Dict { kind: DictKind::Dict, entries, attributes: None }
    }

    pub fn ordered_dict(entries: Vec<(Value, Value)>) -> Object {
        Object::Dict { kind: DictKind::OrderedDict, entries, attributes: None }
    }

    /// Created empty and filled afterwards, so it may be part of a cycle.
    pub fn is_container(&self) -> bool {
        matches!(self, Object::List(_) | Object::Dict { .. } | Object::Instance(_))
    }

    /// The class as Python prints it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Object::BigInt(_) => "int",
            Object::Complex { .. } => "complex",
            Object::Bytes(_) => "bytes",
            Object::ByteArray(_) => "bytearray",
            Object::List(_) => "list",
            Object::Tuple(_) => "tuple",
            Object::Set(_) => "set",
            Object::FrozenSet(_) => "frozenset",
            Object::Dict { kind: DictKind::Dict, .. } => "dict",
            Object::Dict { kind: DictKind::OrderedDict, .. } => "collections.OrderedDict",
            Object::Dict { kind: DictKind::Counter, .. } => "collections.Counter",
            Object::Size(_) => "torch.Size",
            Object::Device { .. } => "torch.device",
            Object::Layout(_) => "torch.layout",
            Object::Storage(_) => "torch.storage.UntypedStorage",
            Object::Tensor(_) => "torch.Tensor",
            Object::Parameter { .. } => "torch.nn.parameter.Parameter",
            Object::Global { .. } => "type",
            Object::Instance(_) => "object",
        }
    }

    /// Every value the object refers to, in the order it is pickled.
    pub fn for_each_part(&self, mut visit: impl FnMut(&Value)) {
        let id = |id: &ObjectId| Value::Object(*id);
        match self {
            Object::List(items) | Object::Tuple(items) | Object::Set(items) | Object::FrozenSet(items) => items.iter().for_each(visit),
            Object::Dict { entries, attributes, .. } => {
                for (key, value) in entries {
                    visit(key);
                    visit(value);
                }
                if let Some(attributes) = attributes {
                    visit(&id(attributes));
                }
            }
            Object::Tensor(tensor) => {
                for part in [&tensor.class, &tensor.attributes].into_iter().flatten() {
                    visit(&id(part));
                }
            }
            Object::Parameter { data, state, .. } => {
                visit(&id(data));
                if let Some(state) = state {
                    visit(state);
                }
            }
            Object::Instance(instance) => {
                instance.for_each_argument(&mut visit);
                instance.for_each_content(&mut visit);
            }
            Object::BigInt(_)
            | Object::Complex { .. }
            | Object::Bytes(_)
            | Object::ByteArray(_)
            | Object::Size(_)
            | Object::Device { .. }
            | Object::Layout(_)
            | Object::Storage(_)
            | Object::Global { .. } => {}
        }
    }
}

impl Instance {
    /// What must exist before the instance does.
    pub fn for_each_argument(&self, mut visit: impl FnMut(&Value)) {
        visit(&self.callable);
        visit(&self.args);
        if let Some(kwargs) = &self.kwargs {
            visit(kwargs);
        }
    }

    /// What is put into the instance afterwards, and so may refer back to it.
    pub fn for_each_content(&self, mut visit: impl FnMut(&Value)) {
        self.appended.iter().for_each(&mut visit);
        for (key, value) in &self.entries {
            visit(key);
            visit(value);
        }
        if let Some(state) = &self.state {
            visit(state);
        }
    }
}

/// One step of building a graph's objects elsewhere (in Python); see [`Graph::build_order`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Create the object. Its parts exist, except the contents of a container (list, dict, instance state), which is
    /// created empty.
    Create(ObjectId),
    /// Put the contents into a container; all of them exist now.
    Fill(ObjectId),
}

/// The arena of objects. Values of one graph mean nothing in another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    objects: Vec<Object>,
}

impl Index<ObjectId> for Graph {
    type Output = Object;
    fn index(&self, id: ObjectId) -> &Object {
        &self.objects[id.0 as usize]
    }
}

impl IndexMut<ObjectId> for Graph {
    fn index_mut(&mut self, id: ObjectId) -> &mut Object {
        &mut self.objects[id.0 as usize]
    }
}

impl Graph {
    pub fn new() -> Graph {
        Graph::default()
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Adds an object; for one that will refer to itself, add it empty and fill it through the index afterwards.
    ///
    /// # Panics
    /// Past 2^32 objects.
    pub fn add(&mut self, object: Object) -> ObjectId {
        let id = ObjectId(u32::try_from(self.objects.len()).expect("a graph holds at most 2^32 objects"));
        self.objects.push(object);
        id
    }

    /// All objects with their numbers, in the order they were added.
    pub fn objects(&self) -> impl Iterator<Item = (ObjectId, &Object)> {
        self.objects.iter().enumerate().map(|(id, object)| (ObjectId(id as u32), object))
    }

    /// The object behind a value, if it is one.
    pub fn object(&self, value: &Value) -> Option<&Object> {
        match value {
            Value::Object(id) => self.objects.get(id.0 as usize),
            _ => None,
        }
    }

    /// The entry of a dict under a string key.
    pub fn get(&self, dict: &Value, key: &str) -> Option<&Value> {
        // The last of equal keys counts.
        self.entries(dict)?.iter().rev().find(|(k, _)| k.as_str() == Some(key)).map(|(_, value)| value)
    }

    /// The entries of a dict of any kind.
    pub fn entries(&self, dict: &Value) -> Option<&[(Value, Value)]> {
        match self.object(dict)? {
            Object::Dict { entries, .. } => Some(entries),
            _ => None,
        }
    }

    /// The tensor behind a tensor or parameter.
    pub fn tensor(&self, value: &Value) -> Option<&Tensor> {
        match self.object(value)? {
            Object::Tensor(tensor) => Some(tensor),
            Object::Parameter { data, .. } => match &self[*data] {
                Object::Tensor(tensor) => Some(tensor),
                _ => None,
            },
            _ => None,
        }
    }

    /// The class as Python prints it.
    pub fn type_name(&self, value: &Value) -> &'static str {
        match value {
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) => "str",
            Value::DType(_) => "torch.dtype",
            Value::Object(id) => self[*id].type_name(),
        }
    }

    /// The steps that build everything reachable from `root`, parts before wholes, without recursion and in time
    /// proportional to the graph.
    ///
    /// # Errors
    /// If nesting exceeds `max_depth`, or an object that is created complete (a tuple) is part of itself.
    pub fn build_order(&self, root: &Value, max_depth: usize) -> Result<Vec<Step>> {
        enum Visit {
            Enter(ObjectId),
            Leave(ObjectId),
            Contents(ObjectId),
        }
        let mut order = Order { graph: self, steps: Vec::new(), created: vec![false; self.len()], forced: vec![false; self.len()] };
        let mut visited = vec![false; self.len()];
        let mut depth = 0;
        let mut pending = Vec::new();
        if let Value::Object(id) = root {
            pending.push(Visit::Enter(*id));
        }
        while let Some(visit) = pending.pop() {
            let first = pending.len();
            let mut enter = |value: &Value| {
                if let Value::Object(part) = value {
                    pending.push(Visit::Enter(*part));
                }
            };
            match visit {
                Visit::Enter(id) => {
                    let object = order.object(id)?;
                    if std::mem::replace(&mut visited[id.0 as usize], true) {
                        if !order.created[id.0 as usize] {
                            // Met again before it is created: it is in a cycle through a container.
                            order.force(id)?;
                        }
                        continue;
                    }
                    depth += 1;
                    if depth > max_depth {
                        return Err(Error::Limit(format!("objects are nested deeper than {max_depth}; raise the depth limit")));
                    }
                    match object {
                        Object::Instance(instance) => instance.for_each_argument(&mut enter),
                        _ => object.for_each_part(&mut enter),
                    }
                    let last = if is_shell(object) {
                        order.create(id);
                        Visit::Contents(id)
                    } else {
                        Visit::Leave(id)
                    };
                    pending.push(last);
                }
                Visit::Leave(id) => {
                    order.create(id);
                    match order.object(id)? {
                        Object::Instance(instance) => {
                            instance.for_each_content(&mut enter);
                            pending.push(Visit::Contents(id));
                        }
                        _ => depth -= 1,
                    }
                }
                Visit::Contents(id) => {
                    depth -= 1;
                    order.steps.push(Step::Fill(id));
                }
            }
            // The first part is to be visited first, the object's own end last.
            pending[first..].reverse();
        }
        Ok(order.steps)
    }
}

/// Created empty, whatever it will hold.
fn is_shell(object: &Object) -> bool {
    matches!(object, Object::List(_) | Object::Dict { .. })
}

struct Order<'a> {
    graph: &'a Graph,
    steps: Vec<Step>,
    created: Vec<bool>,
    forced: Vec<bool>,
}

impl<'a> Order<'a> {
    fn object(&self, id: ObjectId) -> Result<&'a Object> {
        self.graph.objects.get(id.0 as usize).ok_or_else(|| Error::Value(format!("object {} is not in the graph", id.0)))
    }

    fn create(&mut self, id: ObjectId) {
        if !std::mem::replace(&mut self.created[id.0 as usize], true) {
            self.steps.push(Step::Create(id));
        }
    }

    /// Creates an object at once, with the containers it needs still empty.
    fn force(&mut self, id: ObjectId) -> Result<()> {
        let mut pending = vec![(id, false)];
        while let Some((id, parts_exist)) = pending.pop() {
            let object = self.object(id)?;
            if parts_exist || is_shell(object) || self.created[id.0 as usize] {
                self.create(id);
                continue;
            }
            if std::mem::replace(&mut self.forced[id.0 as usize], true) {
                return Err(Error::Value(format!("a {} contains itself", object.type_name())));
            }
            pending.push((id, true));
            let enter = |value: &Value| {
                if let Value::Object(part) = value {
                    pending.push((*part, false));
                }
            };
            match object {
                Object::Instance(instance) => instance.for_each_argument(enter),
                _ => object.for_each_part(enter),
            }
        }
        Ok(())
    }
}
