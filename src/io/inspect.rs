//! A look into a file without loading it: what names it needs, what tensors it holds.

use std::path::Path;

use rustnn_tensor::DType;

use crate::checkpoint::{Format, read_checkpoint};
use crate::error::Result;
use crate::globals;
use crate::source::Source;
use crate::unpickle::{Globals, Options, full_name};
use crate::value::{Graph, Object, ObjectId, StorageId, Value};

/// A class or function that a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobalUse {
    pub name: String,
    /// Whether the closed list has it, so that it loads without the user's leave.
    pub is_allowed: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TensorSummary {
    /// The dict keys, indices and attributes that lead to it, joined by dots.
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Tensors with the same number share memory; None on the meta device.
    pub storage: Option<StorageId>,
    pub is_parameter: bool,
}

/// What a checkpoint holds.
#[derive(Clone, Debug)]
pub struct Summary {
    pub format: Format,
    /// Sorted by name.
    pub globals: Vec<GlobalUse>,
    /// In the order of the file; an object that is met twice counts once.
    pub tensors: Vec<TensorSummary>,
    /// Bytes of all storages.
    pub storage_bytes: u64,
    pub file_bytes: u64,
}

/// Inspects a checkpoint file: safe for any file, since nothing of it runs; no storage is read.
///
/// # Errors
/// For a malformed file; a name that is not allowed is none, it is listed.
pub fn inspect(path: &Path, options: &Options) -> Result<Summary> {
    inspect_source(Source::open(path)?, options)
}

/// [`inspect`] for bytes in memory.
pub fn inspect_source(source: impl Into<Source>, options: &Options) -> Result<Summary> {
    let source = source.into();
    let file_bytes = source.len_bytes();
    let options = Options { globals: Globals::Any, ..options.clone() };
    let checkpoint = read_checkpoint(source, &options)?;
    let mut globals: Vec<GlobalUse> = checkpoint
        .graph
        .objects()
        .filter_map(|(_, object)| match object {
            Object::Global { module, name } => {
                let name = full_name(module, name);
                let is_allowed = globals::is_allowed(&name);
                Some(GlobalUse { name, is_allowed })
            }
            _ => None,
        })
        .collect();
    globals.sort_by(|a, b| a.name.cmp(&b.name));
    globals.dedup();
    Ok(Summary {
        format: checkpoint.format,
        globals,
        tensors: tensors(&checkpoint.graph, &checkpoint.root),
        storage_bytes: checkpoint.storages.iter().map(|storage| storage.len_bytes).sum(),
        file_bytes,
    })
}

/// Names get long in deep graphs: one that would is cut in front, so that a small file cannot make a large list.
const MAX_NAME_BYTES: usize = 1024;

/// How an object was first reached.
#[derive(Clone)]
enum Key {
    Index(usize),
    Name(Value),
}

impl std::fmt::Display for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Key::Index(index) => write!(formatter, "{index}"),
            Key::Name(Value::Str(text)) if text.len() <= MAX_NAME_BYTES => write!(formatter, "{text}"),
            Key::Name(Value::Int(value)) => write!(formatter, "{value}"),
            Key::Name(Value::Float(value)) => write!(formatter, "{value:?}"),
            Key::Name(Value::Bool(value)) => write!(formatter, "{}", if *value { "True" } else { "False" }),
            Key::Name(Value::None) => write!(formatter, "None"),
            Key::Name(Value::DType(dtype)) => write!(formatter, "torch.{}", dtype.name()),
            Key::Name(Value::Str(_) | Value::Object(_)) => write!(formatter, "…"),
        }
    }
}

/// A walk in the order of the file; names are made for tensors only.
struct Walk<'a> {
    graph: &'a Graph,
    /// Parent and key by object, once reached; the root has none.
    reached: Vec<Option<Option<(ObjectId, Key)>>>,
    todo: Vec<ObjectId>,
}

impl Walk<'_> {
    fn reach(&mut self, parent: ObjectId, key: Key, value: &Value) {
        if let Value::Object(id) = value
            && self.reached[id.0 as usize].is_none()
        {
            self.reached[id.0 as usize] = Some(Some((parent, key)));
            self.todo.push(*id);
        }
    }

    fn reach_all(&mut self, parent: ObjectId, items: &[Value]) {
        items.iter().enumerate().for_each(|(index, item)| self.reach(parent, Key::Index(index), item));
    }

    fn reach_entries(&mut self, parent: ObjectId, entries: &[(Value, Value)]) {
        entries.iter().for_each(|(key, value)| self.reach(parent, Key::Name(key.clone()), value));
    }

    fn name(&self, id: ObjectId) -> String {
        let mut keys = Vec::new();
        let (mut at, mut len) = (id, 0);
        while let Some(Some(Some((parent, key)))) = self.reached.get(at.0 as usize) {
            let key = key.to_string();
            len += key.len() + 1;
            if len > MAX_NAME_BYTES {
                keys.push("…".to_owned());
                break;
            }
            keys.push(key);
            at = *parent;
        }
        keys.reverse();
        keys.join(".")
    }
}

fn tensors(graph: &Graph, root: &Value) -> Vec<TensorSummary> {
    let mut found = Vec::new();
    let mut walk = Walk { graph, reached: vec![None; graph.len()], todo: Vec::new() };
    if let Value::Object(id) = root {
        walk.reached[id.0 as usize] = Some(None);
        walk.todo.push(*id);
    }
    while let Some(id) = walk.todo.pop() {
        let first = walk.todo.len();
        match &walk.graph[id] {
            Object::List(items) | Object::Tuple(items) | Object::Set(items) | Object::FrozenSet(items) => walk.reach_all(id, items),
            Object::Dict { entries, .. } => walk.reach_entries(id, entries),
            Object::Instance(instance) => {
                // Arguments and state lead on under the object's own name, as attributes do in Python.
                for part in [Some(&instance.args), instance.state.as_ref()].into_iter().flatten() {
                    match graph.object(part) {
                        Some(Object::Dict { entries, .. }) => walk.reach_entries(id, entries),
                        Some(Object::Tuple(items)) => walk.reach_all(id, items),
                        _ => {}
                    }
                }
                walk.reach_all(id, &instance.appended);
                walk.reach_entries(id, &instance.entries);
            }
            object => {
                if let Some(tensor) = graph.tensor(&Value::Object(id)) {
                    found.push(TensorSummary {
                        name: walk.name(id),
                        dtype: tensor.dtype,
                        shape: tensor.shape.clone(),
                        storage: tensor.storage,
                        is_parameter: matches!(object, Object::Parameter { .. }),
                    });
                }
            }
        }
        walk.todo[first..].reverse();
    }
    found
}
