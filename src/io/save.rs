//! Writing checkpoints that every PyTorch since 1.6 loads, with `weights_only=True` too.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use rustnn_tensor::DType;

use crate::atomic::write_atomically;
use crate::error::{Error, Result};
use crate::globals;
use crate::pickle::{PersistentStorage, Writer};
use crate::value::{Graph, Object, StorageId, Value};
use crate::zip::ArchiveWriter;

/// The storages of a graph, by number: where their bytes come from. The bytes are little-endian.
pub trait StorageWriter {
    /// Number of bytes; None if there is no such storage.
    fn len_bytes(&self, id: StorageId) -> Option<u64>;
    /// Where PyTorch puts the storage on loading: `cpu`, `cuda:0`.
    fn location(&self, id: StorageId) -> Cow<'_, str>;
    /// Writes exactly `len_bytes` bytes, in chunks of any size.
    fn write_to(&self, id: StorageId, out: &mut dyn Write) -> Result<()>;
}

/// One storage in memory.
#[derive(Clone, Debug)]
pub struct StorageSpec<'a> {
    pub location: Cow<'a, str>,
    pub bytes: &'a [u8],
}

/// Storages in memory, in the order of their numbers.
#[derive(Clone, Debug)]
pub struct SliceStorages<'a>(pub Vec<StorageSpec<'a>>);

impl StorageWriter for SliceStorages<'_> {
    fn len_bytes(&self, id: StorageId) -> Option<u64> {
        self.0.get(id.0 as usize).map(|storage| storage.bytes.len() as u64)
    }

    fn location(&self, id: StorageId) -> Cow<'_, str> {
        Cow::Borrowed(&self.0[id.0 as usize].location)
    }

    fn write_to(&self, id: StorageId, out: &mut dyn Write) -> Result<()> {
        Ok(out.write_all(self.0[id.0 as usize].bytes)?)
    }
}

/// The name of the folder inside the archive, as PyTorch derives it: the file's name without its last extension if it
/// is ASCII, else `archive`.
pub fn archive_name(path: &Path) -> String {
    match path.to_str().filter(|path| path.is_ascii()).and_then(|_| path.file_stem()).and_then(|stem| stem.to_str()) {
        Some(stem) if !stem.is_empty() => stem.to_owned(),
        _ => "archive".to_owned(),
    }
}

/// Saves a checkpoint atomically (see [`write_atomically`]).
///
/// # Errors
/// Those of [`write_checkpoint`], and of the file system.
pub fn save_checkpoint(path: &Path, graph: &Graph, root: &Value, storages: &dyn StorageWriter) -> Result<()> {
    // Errors of the data come before anything is written.
    let plan = Plan::new(graph, root, storages)?;
    write_atomically(path, |sink| plan.write(sink, &archive_name(path), storages))
}

/// Writes a checkpoint to a sink from front to back; `archive` names the folder inside (PyTorch uses `archive` for
/// anything that is not a path). Only storages that the graph uses are written, each once.
///
/// # Errors
/// [`Error::Value`] if a tensor reaches beyond its storage or the graph cannot be pickled; errors of the sink.
pub fn write_checkpoint(sink: &mut dyn Write, archive: &str, graph: &Graph, root: &Value, storages: &dyn StorageWriter) -> Result<()> {
    Plan::new(graph, root, storages)?.write(sink, archive, storages)
}

/// The pickle, and the storages it names in the order of their keys.
struct Plan {
    pickle: Vec<u8>,
    order: Vec<StorageId>,
}

impl Plan {
    fn new(graph: &Graph, root: &Value, storages: &dyn StorageWriter) -> Result<Plan> {
        let dtypes = storage_dtypes(graph, storages)?;
        let mut order = Vec::new();
        let mut keys: HashMap<StorageId, Arc<str>> = HashMap::new();
        let mut persistent = |id: StorageId, dtype: Option<DType>| {
            let len_bytes = storages.len_bytes(id).ok_or_else(|| Error::Value(format!("storage {} does not exist", id.0)))?;
            let key = keys.entry(id).or_insert_with(|| {
                order.push(id);
                (order.len() - 1).to_string().into()
            });
            let dtype = dtype.filter(|_| matches!(dtypes.get(&id), Some(Some(_))));
            Ok(PersistentStorage {
                dtype,
                key: key.clone(),
                location: storages.location(id).into(),
                element_count: len_bytes / dtype.map_or(1, |dtype| dtype.size_bytes() as u64),
            })
        };
        let pickle = Writer::new(graph, &mut persistent).run(root)?;
        Ok(Plan { pickle, order })
    }

    fn write(&self, sink: &mut dyn Write, archive: &str, storages: &dyn StorageWriter) -> Result<()> {
        let mut writer = ArchiveWriter::new(sink);
        let mut crcs = Vec::with_capacity(self.order.len() + 1);
        crcs.push(writer.add(&format!("{archive}/data.pkl"), &self.pickle)?);
        writer.add(&format!("{archive}/.format_version"), b"1")?;
        writer.add(&format!("{archive}/.storage_alignment"), b"64")?;
        writer.add(&format!("{archive}/byteorder"), b"little")?;
        for (key, &id) in self.order.iter().enumerate() {
            let len_bytes = storages.len_bytes(id).unwrap_or(0);
            crcs.push(writer.add_with(&format!("{archive}/data/{key}"), len_bytes, |out| storages.write_to(id, out))?);
        }
        writer.add(&format!("{archive}/version"), b"3\n")?;
        writer.add(&format!("{archive}/.data/serialization_id"), serialization_id(&crcs).as_bytes())?;
        writer.finish()
    }
}

/// Forty digits that depend on the content alone; PyTorch uses them to tell checkpoints apart in its logs.
fn serialization_id(crcs: &[u32]) -> String {
    // FNV-1a over the records' checksums.
    let hash = |seed: u64| {
        crcs.iter().flat_map(|crc| crc.to_le_bytes()).fold(seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    };
    format!("{:020}{:020}", hash(0xcbf2_9ce4_8422_2325), hash(crcs.len() as u64))
}

/// The one dtype each storage is seen as; None if it must be written untyped, because it is seen as several, or as one of
/// the newer dtypes that have no typed storage class. Checks every tensor against its storage on the way.
fn storage_dtypes(graph: &Graph, storages: &dyn StorageWriter) -> Result<HashMap<StorageId, Option<DType>>> {
    let mut dtypes: HashMap<StorageId, Option<DType>> = HashMap::new();
    let mut see = |id: StorageId, dtype: Option<DType>| {
        let dtype = dtype.filter(|dtype| globals::storage_class(*dtype).is_some());
        let seen = dtypes.entry(id).or_insert(dtype);
        if *seen != dtype {
            *seen = None;
        }
    };
    for (_, object) in graph.objects() {
        match object {
            Object::Tensor(tensor) => {
                if tensor.shape.len() != tensor.strides.len() {
                    return Err(Error::Value(format!("a tensor has {} sizes but {} strides", tensor.shape.len(), tensor.strides.len())));
                }
                let extent = tensor.extent_bytes();
                if let Some(id) = tensor.storage {
                    let len_bytes = storages.len_bytes(id).ok_or_else(|| Error::Value(format!("storage {} does not exist", id.0)))?;
                    if extent.is_none_or(|extent| extent > len_bytes) {
                        return Err(Error::Value(format!(
                            "a tensor of sizes {:?}, strides {:?} and offset {} is out of bounds for a storage of {len_bytes} bytes",
                            tensor.shape, tensor.strides, tensor.offset
                        )));
                    }
                    see(id, Some(tensor.dtype));
                    // A typed storage counts whole elements.
                    if len_bytes % tensor.dtype.size_bytes() as u64 != 0 {
                        see(id, None);
                    }
                }
            }
            Object::Storage(storage) => {
                see(storage.storage, storage.dtype);
            }
            _ => {}
        }
    }
    Ok(dtypes)
}
