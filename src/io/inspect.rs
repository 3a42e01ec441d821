//! A look into a file without loading it: what names it needs, what tensors it holds.

use std::path::Path;
use std::sync::Arc;

use rustnn_tensor::DType;

use crate::checkpoint::{Format, read_checkpoint};
use crate::error::{Error, Result};
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
        tensors: tensors(&checkpoint.graph, &checkpoint.root)?,
        storage_bytes: checkpoint.storages.iter().map(|storage| storage.len_bytes).sum(),
        file_bytes,
    })
}

/// Paths get long in deep graphs: one that would is cut, so that a small file cannot make a large list.
const MAX_NAME_BYTES: usize = 1024;

fn tensors(graph: &Graph, root: &Value) -> Result<Vec<TensorSummary>> {
    let mut found = Vec::new();
    let mut seen = vec![false; graph.len()];
    let mut todo: Vec<(Arc<str>, ObjectId)> = Vec::new();
    if let Value::Object(id) = root {
        todo.push(("".into(), *id));
    }
    let join = |path: &str, key: &str| -> Arc<str> {
        let key = if key.len() > MAX_NAME_BYTES { "…" } else { key };
        match path {
            "" => key.into(),
            path if path.len() + key.len() > MAX_NAME_BYTES => path.into(),
            path => format!("{path}.{key}").into(),
        }
    };
    while let Some((path, id)) = todo.pop() {
        if std::mem::replace(&mut seen[id.0 as usize], true) {
            continue;
        }
        let first = todo.len();
        let mut visit = |key: &str, value: &Value| {
            if let Value::Object(id) = value {
                todo.push((join(&path, key), *id));
            }
        };
        match &graph[id] {
            Object::Tensor(tensor) => found.push(summary(path, tensor, false)),
            Object::Parameter { data, .. } => {
                seen[data.0 as usize] = true;
                let Object::Tensor(tensor) = &graph[*data] else {
                    return Err(Error::Corrupt("a parameter has no tensor".into()));
                };
                found.push(summary(path, tensor, true));
            }
            Object::List(items) | Object::Tuple(items) | Object::Set(items) | Object::FrozenSet(items) => {
                items.iter().enumerate().for_each(|(index, item)| visit(&index.to_string(), item));
            }
            Object::Dict { entries, .. } => entries.iter().for_each(|(key, value)| visit(&key_text(key), value)),
            Object::Instance(instance) => {
                let callable = graph.object(&instance.callable);
                // State and arguments lead on under the object's own name, as attributes do in Python.
                let mut inside = |value: &Value| match graph.object(value) {
                    Some(Object::Dict { entries, .. }) => entries.iter().for_each(|(key, value)| visit(&key_text(key), value)),
                    Some(Object::Tuple(items)) => items.iter().enumerate().for_each(|(index, item)| visit(&index.to_string(), item)),
                    _ => visit("state", value),
                };
                if callable.is_some() {
                    inside(&instance.args);
                }
                if let Some(state) = &instance.state {
                    inside(state);
                }
                instance.appended.iter().enumerate().for_each(|(index, item)| visit(&index.to_string(), item));
                instance.entries.iter().for_each(|(key, value)| visit(&key_text(key), value));
            }
            _ => {}
        }
        todo[first..].reverse();
    }
    Ok(found)
}

fn summary(path: Arc<str>, tensor: &crate::value::Tensor, is_parameter: bool) -> TensorSummary {
    TensorSummary { name: path.to_string(), dtype: tensor.dtype, shape: tensor.shape.clone(), storage: tensor.storage, is_parameter }
}

fn key_text(key: &Value) -> String {
    match key {
        Value::Str(text) => text.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Bool(value) => if *value { "True" } else { "False" }.into(),
        Value::None => "None".into(),
        Value::DType(dtype) => format!("torch.{}", dtype.name()),
        Value::Object(_) => "…".into(),
    }
}
