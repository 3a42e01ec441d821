//! Checkpoints: PyTorch's `.pt` files and safetensors, read and written without Python. Loading runs no code.
//!
//! ```
//! # fn main() -> rustnn::Result<()> {
//! use rustnn::{io, nn::{self, Forward, Module}, Tensor};
//! let path = std::env::temp_dir().join("rustnn-doc-io.pt");
//! let net = nn::Linear::new(4, 2)?;
//! io::save_state_dict(&path, &net.state_dict()?)?; // torch.load reads it
//! let twin = nn::Linear::new(4, 2)?;
//! twin.load_state_dict(&io::load_state_dict(&path)?)?;
//! let x = Tensor::ones([1, 4])?;
//! assert_eq!(net.forward(&x)?.to_vec::<f32>()?, twin.forward(&x)?.to_vec::<f32>()?);
//! # std::fs::remove_file(path).unwrap();
//! # Ok(())
//! # }
//! ```

use crate::{Error, Result, Tensor};
use rustnn_io::{self as files, Graph, Object, StorageId};
use rustnn_tensor::{Array, DType, Device, Storage};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

pub use rustnn_io::Source;

/// The text entries beside the tensors of a safetensors file.
pub type Metadata = BTreeMap<String, String>;

/// Tensors by name, in order.
#[derive(Clone, Debug, Default)]
pub struct StateDict {
    entries: Vec<(String, Tensor)>,
    places: HashMap<String, usize>,
}

impl StateDict {
    /// An empty one.
    pub fn new() -> StateDict {
        StateDict::default()
    }

    /// Adds a tensor.
    ///
    /// # Errors
    /// If there is one of that name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) -> Result<()> {
        let name = name.into();
        if self.places.contains_key(&name) {
            return Err(Error::value(format!("a state dict has {name:?} twice")));
        }
        self.places.insert(name.clone(), self.entries.len());
        self.entries.push((name, tensor));
        Ok(())
    }

    /// The tensor of a name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.places.get(name).map(|&i| &self.entries[i].1)
    }

    /// Names and tensors.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.entries.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// The number of tensors.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What lies under a prefix, without it: the state of one module of a larger one (`"encoder"`, no dot at the end).
    pub fn under(&self, prefix: &str) -> StateDict {
        let mut out = StateDict::new();
        for (name, tensor) in self.iter() {
            if let Some(rest) = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')) {
                // Names under one prefix differ as the whole ones do.
                let _ = out.insert(rest, tensor.clone());
            }
        }
        out
    }

    /// The same names with copies of the values: a snapshot that training does not change.
    pub fn snapshot(&self) -> Result<StateDict> {
        let mut out = StateDict::new();
        for (name, tensor) in self.iter() {
            out.insert(name, tensor.detach().copy()?)?;
        }
        Ok(out)
    }
}

/// What a `.pt` file holds: plain values.
#[derive(Clone, Debug)]
pub enum Value {
    /// Python's `None`.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A float.
    Float(f64),
    /// A text.
    Str(String),
    /// A tensor or parameter.
    Tensor(Tensor),
    /// A list.
    List(Vec<Value>),
    /// A tuple, or a `torch.Size`.
    Tuple(Vec<Value>),
    /// A dict of any kind, in its order.
    Dict(Vec<(Value, Value)>),
    /// Something that Rust programs have no use for, by its Python type.
    Other(&'static str),
}

impl Value {
    /// The entry of a dict under a text.
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            // Of equal keys the last counts, as in Python.
            Value::Dict(entries) => entries.iter().rev().find(|(k, _)| matches!(k, Value::Str(s) if s == key)).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The number, as a float.
    pub fn as_f64(&self) -> Option<f64> {
        match *self {
            Value::Float(x) => Some(x),
            Value::Int(i) => Some(i as f64),
            _ => None,
        }
    }

    /// The tensors of a dict from texts to tensors.
    ///
    /// # Errors
    /// If it is anything else; the message names what is in the way.
    pub fn to_state_dict(&self) -> Result<StateDict> {
        let Value::Dict(entries) = self else {
            return Err(Error::value(format!("a state dict is a dict from names to tensors, not a {}", self.type_name())));
        };
        let mut out = StateDict::new();
        for (key, value) in entries {
            match (key, value) {
                (Value::Str(name), Value::Tensor(tensor)) => out.insert(name.clone(), tensor.clone())?,
                (Value::Str(name), other) => {
                    let kind = other.type_name();
                    return Err(Error::value(format!(
                        "{name:?} is a {kind}, not a tensor: if it is the state dict, take it with get({name:?})"
                    )));
                }
                (other, _) => return Err(Error::value(format!("a state dict's keys are texts, got a {}", other.type_name()))),
            }
        }
        Ok(out)
    }

    fn type_name(&self) -> &'static str {
        match self {
            Value::None => "NoneType",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) => "float",
            Value::Str(_) => "str",
            Value::Tensor(_) => "Tensor",
            Value::List(_) => "list",
            Value::Tuple(_) => "tuple",
            Value::Dict(_) => "dict",
            Value::Other(name) => name,
        }
    }
}

impl From<&StateDict> for Value {
    fn from(state: &StateDict) -> Value {
        Value::Dict(state.iter().map(|(name, tensor)| (Value::Str(name.into()), Value::Tensor(tensor.clone()))).collect())
    }
}

impl From<StateDict> for Value {
    fn from(state: StateDict) -> Value {
        Value::from(&state)
    }
}

macro_rules! values {
    ($($kind:ty => $variant:ident),* $(,)?) => {
        $(impl From<$kind> for Value {
            fn from(value: $kind) -> Value {
                Value::$variant(value.into())
            }
        })*
    };
}
values!(bool => Bool, i64 => Int, f64 => Float, &str => Str, String => Str, Tensor => Tensor, Vec<Value> => List);

impl Value {
    /// A dict from texts.
    pub fn dict<K: Into<String>, V: Into<Value>>(entries: impl IntoIterator<Item = (K, V)>) -> Value {
        Value::Dict(entries.into_iter().map(|(k, v)| (Value::Str(k.into()), v.into())).collect())
    }
}

/// Nesting deeper than this is no checkpoint.
const DEPTH: usize = 200;

/// Loads a file, `.pt` or safetensors by its content; the latter gives a dict.
///
/// # Errors
/// If it cannot be read, is malformed or cut short, or names a class that is not on the closed list.
pub fn load(path: impl AsRef<Path>) -> Result<Value> {
    read(Source::open(path.as_ref())?)
}

/// [`load`] from memory: bytes, or what [`include_bytes!`] gives.
///
/// # Errors
/// As [`load`].
pub fn read(source: impl Into<Source>) -> Result<Value> {
    let source = source.into();
    let mut head = [0; 9];
    if source.len_bytes() >= 9 {
        source.read_at(0, &mut head)?;
    }
    // Length of a JSON text, then the text: any first bytes, so that only a length that fits tells it from a pickle.
    let length = u64::from_le_bytes(head[..8].try_into().expect("eight bytes"));
    if head[8] == b'{' && (2..=source.len_bytes() - 8).contains(&length) {
        return read_safetensors(source).map(|(state, _)| state.into());
    }
    let mut options = files::Options::default();
    options.limits.depth = DEPTH;
    Reader::new(files::read_checkpoint(source, &options)?).value()
}

/// Loads a file that holds one state dict.
///
/// # Errors
/// As [`load`]; and if the file holds something else.
pub fn load_state_dict(path: impl AsRef<Path>) -> Result<StateDict> {
    load(path)?.to_state_dict()
}

/// Reads a safetensors file from memory, or a [`Source`]: the tensors and the texts beside them.
///
/// # Errors
/// If it is malformed or cut short, or holds a dtype that does not exist here.
pub fn read_safetensors(source: impl Into<Source>) -> Result<(StateDict, Metadata)> {
    let file = files::read_safetensors(source)?;
    let mut state = StateDict::new();
    for tensor in &file.tensors {
        state.insert(tensor.name.clone(), Tensor::from_bytes(&file.read(tensor)?, &tensor.shape, tensor.dtype)?)?;
    }
    Ok((state, file.metadata))
}

/// Saves a state dict, as safetensors where the file is called so, else as PyTorch's `.pt`. The file appears whole or not at all.
///
/// # Errors
/// Those of the file system; and for a dtype that the format lacks.
pub fn save_state_dict(path: impl AsRef<Path>, state: &StateDict) -> Result<()> {
    let path = path.as_ref();
    if path.extension().is_some_and(|extension| extension == "safetensors") {
        return save_safetensors(path, state, &Metadata::new());
    }
    save(path, &state.into())
}

/// Saves tensors and texts as safetensors. The file appears whole or not at all.
///
/// # Errors
/// As [`save_state_dict`].
pub fn save_safetensors(path: impl AsRef<Path>, state: &StateDict, metadata: &Metadata) -> Result<()> {
    let bytes = state.iter().map(|(_, tensor)| tensor.to_bytes()).collect::<Result<Vec<_>>>()?;
    let views: Vec<files::SafeView> = state
        .iter()
        .zip(&bytes)
        .map(|((name, tensor), bytes)| files::SafeView { name, dtype: tensor.dtype(), shape: tensor.shape(), bytes })
        .collect();
    Ok(files::save_safetensors(path.as_ref(), &views, metadata)?)
}

/// Saves a value as PyTorch's `.pt`. The file appears whole or not at all.
///
/// # Errors
/// Those of the file system; and for an [`Value::Other`].
pub fn save(path: impl AsRef<Path>, value: &Value) -> Result<()> {
    let mut writer = Writer::default();
    let root = writer.value(value, 0)?;
    Ok(files::save_checkpoint(path.as_ref(), &writer.graph, &root, &writer)?)
}

/// Turns the graph of a file into values.
struct Reader {
    file: files::Checkpoint,
    storages: HashMap<StorageId, Storage>,
    /// How many values may still be made: a file in which objects are shared many times over would fill the memory.
    budget: usize,
}

impl Reader {
    fn new(file: files::Checkpoint) -> Reader {
        let mut values = 1024usize;
        for (_, object) in file.graph.objects() {
            object.for_each_part(|_| values += 1);
        }
        Reader { file, storages: HashMap::new(), budget: values.saturating_mul(16) }
    }

    fn value(mut self) -> Result<Value> {
        let root = self.file.root.clone();
        self.convert(&root, 0)
    }

    fn convert(&mut self, value: &files::Value, depth: usize) -> Result<Value> {
        if depth > DEPTH {
            return Err(Error::value("the checkpoint's values contain themselves or are nested too deeply"));
        }
        self.budget = self.budget.checked_sub(1).ok_or_else(|| Error::value("the checkpoint repeats its values too often"))?;
        let object = match value {
            files::Value::None => return Ok(Value::None),
            files::Value::Bool(b) => return Ok(Value::Bool(*b)),
            files::Value::Int(i) => return Ok(Value::Int(*i)),
            files::Value::Float(x) => return Ok(Value::Float(*x)),
            files::Value::Str(text) => return Ok(Value::Str(text.to_string())),
            files::Value::DType(_) => return Ok(Value::Other("torch.dtype")),
            files::Value::Object(_) => self.file.graph.object(value).cloned(),
        };
        let Some(object) = object else { return Err(Error::value("the checkpoint refers to an object that it lacks")) };
        Ok(match object {
            Object::List(items) => Value::List(self.convert_all(&items, depth)?),
            Object::Tuple(items) => Value::Tuple(self.convert_all(&items, depth)?),
            Object::Size(sizes) => Value::Tuple(sizes.into_iter().map(Value::Int).collect()),
            Object::Dict { entries, .. } => {
                let mut out = Vec::with_capacity(entries.len());
                for (key, value) in &entries {
                    out.push((self.convert(key, depth + 1)?, self.convert(value, depth + 1)?));
                }
                Value::Dict(out)
            }
            Object::Tensor(tensor) => Value::Tensor(self.tensor(&tensor)?),
            Object::Parameter { data, .. } => self.convert(&files::Value::Object(data), depth + 1)?,
            other => Value::Other(other.type_name()),
        })
    }

    fn convert_all(&mut self, values: &[files::Value], depth: usize) -> Result<Vec<Value>> {
        values.iter().map(|value| self.convert(value, depth + 1)).collect()
    }

    /// A tensor over its storage, which tensors that shared it in the program share again.
    fn tensor(&mut self, tensor: &files::Tensor) -> Result<Tensor> {
        if tensor.conj || tensor.neg {
            return Err(Error::value("the checkpoint holds a lazily conjugated or negated tensor: resolve it before saving"));
        }
        let strides: Vec<isize> = tensor.strides.iter().map(|&s| s as isize).collect();
        let Some(id) = tensor.storage else {
            return Ok(rustnn_ops::Tensor::from_array(Array::empty(&tensor.shape, tensor.dtype, Device::Meta)?).into());
        };
        let storage = match self.storages.get(&id) {
            Some(storage) => storage.clone(),
            None => {
                let bytes = self.file.read_storage(id)?;
                let storage = Array::from_bytes(&bytes, &[bytes.len()], DType::U8)?.storage().clone();
                self.storages.insert(id, storage.clone());
                storage
            }
        };
        let array = Array::from_storage(storage, tensor.dtype, &tensor.shape, &strides, tensor.offset)?;
        let tensor = Tensor::from(rustnn_ops::Tensor::from_array(array));
        tensor.to_device(rustnn_ops::default_device())
    }
}

/// Turns values into the graph of a file.
#[derive(Default)]
struct Writer {
    graph: Graph,
    storages: Vec<Storage>,
    places: HashMap<usize, StorageId>,
}

impl Writer {
    fn value(&mut self, value: &Value, depth: usize) -> Result<files::Value> {
        if depth > DEPTH {
            return Err(Error::value(format!("values are nested deeper than {DEPTH}")));
        }
        let object = match value {
            Value::None => return Ok(files::Value::None),
            Value::Bool(b) => return Ok(files::Value::Bool(*b)),
            Value::Int(i) => return Ok(files::Value::Int(*i)),
            Value::Float(x) => return Ok(files::Value::Float(*x)),
            Value::Str(text) => return Ok(files::Value::from(text.as_str())),
            Value::Tensor(tensor) => self.tensor(tensor)?,
            Value::List(items) => Object::List(self.values(items, depth)?),
            Value::Tuple(items) => Object::Tuple(self.values(items, depth)?),
            Value::Dict(entries) => {
                let mut out = Vec::with_capacity(entries.len());
                for (key, value) in entries {
                    out.push((self.value(key, depth + 1)?, self.value(value, depth + 1)?));
                }
                // PyTorch's state dicts are ordered ones.
                let is_state = !entries.is_empty() && entries.iter().all(|(_, v)| matches!(v, Value::Tensor(_)));
                if is_state { Object::ordered_dict(out) } else { Object::dict(out) }
            }
            Value::Other(kind) => return Err(Error::value(format!("cannot save a {kind}"))),
        };
        Ok(files::Value::Object(self.graph.add(object)))
    }

    fn values(&mut self, values: &[Value], depth: usize) -> Result<Vec<files::Value>> {
        values.iter().map(|value| self.value(value, depth + 1)).collect()
    }

    fn tensor(&mut self, tensor: &Tensor) -> Result<Object> {
        let array = tensor.detach().to_device(Device::Cpu)?.as_op().array().clone();
        let (array, strides): (_, Vec<usize>) = match array.strides().iter().map(|&s| usize::try_from(s)).collect() {
            Ok(strides) => (array, strides),
            Err(_) => {
                let dense = rustnn_ops::copy::contiguous_array(&array)?;
                let strides = dense.strides().iter().map(|&s| s.unsigned_abs()).collect();
                (dense, strides)
            }
        };
        let storage = array.storage();
        let id = *self.places.entry(storage.id()).or_insert_with(|| {
            self.storages.push(storage.clone());
            StorageId(self.storages.len() as u32 - 1)
        });
        let plain = files::Tensor::contiguous(id, array.dtype(), array.shape().to_vec());
        Ok(Object::Tensor(Box::new(files::Tensor { strides, offset: array.offset(), ..plain })))
    }
}

impl files::StorageWriter for Writer {
    fn len_bytes(&self, id: StorageId) -> Option<u64> {
        self.storages.get(id.0 as usize).map(|storage| storage.len_bytes() as u64)
    }

    fn location(&self, _: StorageId) -> Cow<'_, str> {
        "cpu".into()
    }

    fn write_to(&self, id: StorageId, out: &mut dyn std::io::Write) -> files::Result<()> {
        let Some(storage) = self.storages.get(id.0 as usize) else { return Ok(()) };
        let bytes = Array::from_storage(storage.clone(), DType::U8, &[storage.len_bytes()], &[1], 0).and_then(|array| array.to_bytes());
        Ok(out.write_all(&bytes.map_err(|error| files::Error::Value(error.to_string()))?)?)
    }
}
