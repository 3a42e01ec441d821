//! The format before PyTorch 1.6: a magic number, a version, machine facts, the object and the storage keys as five
//! pickles, then each storage as its number of elements and its bytes (always little-endian).

use std::collections::HashMap;
use std::sync::Arc;

use rustnn_tensor::DType;

use crate::checkpoint::{Checkpoint, Format, Place, StorageEntry, StorageTag, storage_tag};
use crate::error::{Error, Result, corrupt};
use crate::source::Source;
use crate::unpickle::{Encoding, Globals, Options, read_pickle};
use crate::value::{Graph, Object, StorageId, StorageRef, Value};

/// 0x1950a86a20f9469cfc6c as pickled.
pub(crate) const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
pub(crate) const VERSION: i64 = 1001;

/// How much of the file is tried first for the pickles; four times as much each time it is not enough.
const FIRST_BYTES: u64 = 1 << 20;

pub(crate) fn read(source: Source, options: &Options) -> Result<Checkpoint> {
    let available = source.len_bytes().min(options.limits.pickle_bytes);
    let mut tried = FIRST_BYTES.min(available);
    loop {
        let head = source.read_vec(0, tried)?;
        match read_pickles(&head, options) {
            Err(Error::PickleEnds { .. }) if tried < available => tried = tried.saturating_mul(4).min(available),
            Err(Error::PickleEnds { .. }) if available < source.len_bytes() => {
                return Err(Error::Limit(format!("the pickle has more than {available} bytes; raise the limit on pickle_bytes")));
            }
            Err(error) => return Err(error),
            Ok(pickles) => return place_storages(source, pickles, options),
        }
    }
}

struct Pickles {
    graph: Graph,
    root: Value,
    storages: Storages,
    /// In the order they lie in the file.
    keys: Vec<Arc<str>>,
    len_bytes: usize,
}

fn read_pickles(head: &[u8], options: &Options) -> Result<Pickles> {
    let mut graph = Graph::new();
    let mut refuse = |_: &mut Graph, _: &Value| corrupt("unsupported persistent id encountered");
    let mut position = 0;
    let (magic, len) = match read_pickle(head, &mut graph, options, &mut refuse) {
        Err(Error::PickleEnds { .. } | Error::Pickle { .. }) if !could_be_pickle(head) => return not_a_checkpoint(),
        other => other?,
    };
    position += len;
    if !matches!(graph.object(&magic), Some(Object::BigInt(bytes)) if bytes[..] == MAGIC) {
        return not_a_checkpoint();
    }
    let (version, len) = read_pickle(&head[position..], &mut graph, options, &mut refuse)?;
    position += len;
    if version != Value::Int(VERSION) {
        return corrupt(format!("Invalid protocol version: {version:?}"));
    }
    // What machine wrote it: the storages' byte order does not depend on it.
    let (_, len) = read_pickle(&head[position..], &mut graph, options, &mut refuse)?;
    position += len;

    let mut graph = Graph::new();
    let mut storages = Storages::default();
    let is_trusted = matches!(options.globals, Globals::Any);
    let mut persistent = |graph: &mut Graph, id: &Value| {
        if is_trusted
            && let Some(Object::Tuple(parts)) = graph.object(id)
            && let [kind, class, ..] = &parts[..]
            && kind.as_str() == Some("module")
        {
            return Ok(class.clone());
        }
        let tag = storage_tag(graph, id)?;
        storages.load(graph, tag)
    };
    let (root, len) = read_pickle(&head[position..], &mut graph, options, &mut persistent)?;
    position += len;
    let mut key_graph = Graph::new();
    // Texts whatever the others are read as.
    let texts = Options { encoding: Encoding::Latin1, ..options.clone() };
    let (keys, len) = read_pickle(&head[position..], &mut key_graph, &texts, &mut refuse)?;
    position += len;
    let Some(Object::List(keys)) = key_graph.object(&keys) else {
        return corrupt("the list of storage keys is missing");
    };
    let keys = keys
        .iter()
        .map(|key| match key {
            Value::Str(key) => Ok(key.clone()),
            Value::Int(key) => Ok(key.to_string().into()),
            _ => corrupt("a storage key must be a string"),
        })
        .collect::<Result<Vec<Arc<str>>>>()?;
    Ok(Pickles { graph, root, storages, keys, len_bytes: position })
}

fn could_be_pickle(head: &[u8]) -> bool {
    head.starts_with(&[0x80, 2])
}

fn not_a_checkpoint<T>() -> Result<T> {
    corrupt("Invalid magic number; corrupt file? It is neither a checkpoint (zip, legacy or tar) nor named .safetensors")
}

/// The storages a legacy pickle has named so far.
#[derive(Default)]
struct Storages {
    entries: Vec<StorageEntry>,
    by_key: HashMap<Arc<str>, (StorageId, StorageTag)>,
    /// Views of storages, which were storages of their own before PyTorch 0.4.
    objects: HashMap<(Arc<str>, Option<DType>), Value>,
}

impl Storages {
    fn load(&mut self, graph: &mut Graph, tag: StorageTag) -> Result<Value> {
        let view = match &tag.rest[..] {
            [] | [Value::None] => None,
            [view] => match graph.object(view) {
                Some(Object::Tuple(parts)) => match &parts[..] {
                    [key, Value::Int(offset), Value::Int(count)] if *offset >= 0 && *count >= 0 => {
                        let key: Arc<str> = match key {
                            Value::Str(key) => key.clone(),
                            Value::Int(key) => key.to_string().into(),
                            _ => return corrupt("a storage view's key must be a string"),
                        };
                        Some((key, *offset as u64, *count as u64))
                    }
                    _ => return corrupt("a storage view must be (key, offset, size)"),
                },
                _ => return corrupt("a storage view must be a tuple"),
            },
            _ => return corrupt("a storage view must be a tuple"),
        };
        let dtype = tag.dtype;
        let width = dtype.map_or(1, |dtype| dtype.size_bytes() as u64);
        let key = tag.key.clone();
        let len_bytes = tag.len_bytes;
        let id = match self.by_key.get(&key) {
            Some((id, first)) if first.len_bytes == len_bytes => *id,
            Some((_, first)) => return corrupt(format!("storage {key} has {} bytes here and {len_bytes} there", first.len_bytes)),
            None => {
                let id = StorageId(self.entries.len() as u32);
                self.entries.push(StorageEntry {
                    dtype,
                    len_bytes,
                    location: tag.location.clone(),
                    place: Place::Offset(0),
                    swap_bytes: 1,
                });
                self.by_key.insert(key.clone(), (id, tag));
                id
            }
        };
        let (object_key, storage) = match view {
            None => (key, StorageRef::whole(id, dtype, len_bytes)),
            Some((view_key, offset, count)) => {
                let (Some(offset_bytes), Some(view_bytes)) = (offset.checked_mul(width), count.checked_mul(width)) else {
                    return corrupt("a storage view is larger than any file");
                };
                if offset_bytes.checked_add(view_bytes).is_none_or(|end| end > len_bytes) {
                    return corrupt(format!("a storage view of {view_bytes} bytes at {offset_bytes} is beyond its storage of {len_bytes}"));
                }
                (format!("view {view_key}").into(), StorageRef { storage: id, dtype, offset_bytes, len_bytes: view_bytes })
            }
        };
        let value = self.objects.entry((object_key, dtype)).or_insert_with(|| Value::Object(graph.add(Object::Storage(storage))));
        Ok(value.clone())
    }
}

/// Finds the storages behind the pickles: each is its number of elements (8 bytes) and its bytes.
fn place_storages(source: Source, pickles: Pickles, options: &Options) -> Result<Checkpoint> {
    let Pickles { graph, root, mut storages, keys, len_bytes } = pickles;
    let mut position = len_bytes as u64;
    let mut placed = vec![false; storages.entries.len()];
    for key in &keys {
        let Some((id, tag)) = storages.by_key.get(key) else {
            return corrupt(format!("storage {key} is listed, but nothing uses it"));
        };
        let index = id.0 as usize;
        if std::mem::replace(&mut placed[index], true) {
            return corrupt(format!("storage {key} is listed twice"));
        }
        let mut count = [0; 8];
        source.read_at(position, &mut count)?;
        let count = u64::from_le_bytes(count);
        if count != tag.element_count {
            return corrupt(format!("storage {key} has {count} elements, but the pickle says {}", tag.element_count));
        }
        position += 8;
        if position.checked_add(tag.len_bytes).is_none_or(|end| end > source.len_bytes()) {
            return corrupt(format!(
                "storage {key} needs {} bytes at offset {position}, the file has {}; was it cut short?",
                tag.len_bytes,
                source.len_bytes()
            ));
        }
        storages.entries[index].place = Place::Offset(position);
        position += tag.len_bytes;
    }
    if let Some(index) = placed.iter().position(|placed| !placed) {
        let key = storages.by_key.iter().find(|(_, (id, _))| id.0 as usize == index).map_or("?", |(key, _)| key);
        return corrupt(format!("storage {key} is used, but not in the file"));
    }
    Ok(Checkpoint {
        graph,
        root,
        storages: storages.entries,
        format: Format::Legacy,
        len_bytes: position,
        source,
        archive: None,
        verify_checksums: options.verify_checksums,
    })
}
