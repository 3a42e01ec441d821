//! Writing checkpoints that every PyTorch since 1.6 loads, with `weights_only=True` too.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

use rustnn_tensor::DType;

use crate::atomic::write_atomically;
use crate::error::{Error, Result};
use crate::globals;
use crate::legacy;
use crate::pickle::{self, PersistentStorage, Writer};
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

/// How a checkpoint is written.
#[derive(Clone, Debug)]
pub struct WriteOptions {
    /// The format before PyTorch 1.6, which [`crate::Format::Legacy`] reads.
    pub is_legacy: bool,
    /// Compute each record's CRC-32 (zip only).
    pub has_checksums: bool,
    /// Leave zeros where the storages' bytes would be (zip only).
    pub skips_data: bool,
    /// Name the byte order (zip only).
    pub has_byteorder: bool,
}

impl Default for WriteOptions {
    fn default() -> WriteOptions {
        WriteOptions { is_legacy: false, has_checksums: true, skips_data: false, has_byteorder: true }
    }
}

/// Saves a checkpoint atomically (see [`write_atomically`]).
///
/// # Errors
/// Those of [`write_checkpoint`], and of the file system.
pub fn save_checkpoint(path: &Path, graph: &Graph, root: &Value, storages: &dyn StorageWriter) -> Result<()> {
    save_checkpoint_with(path, graph, root, storages, &WriteOptions::default())
}

/// [`save_checkpoint`] in another format or without checksums.
///
/// # Errors
/// As [`save_checkpoint`].
pub fn save_checkpoint_with(path: &Path, graph: &Graph, root: &Value, storages: &dyn StorageWriter, options: &WriteOptions) -> Result<()> {
    // Errors of the data come before anything is written.
    let plan = Plan::new(graph, root, storages, options.is_legacy)?;
    write_atomically(path, |sink| plan.write(sink, &archive_name(path), storages, options))
}

/// Writes a checkpoint to a sink from front to back; `archive` names the folder inside (PyTorch uses `archive` for
/// anything that is not a path). Only storages that the graph uses are written, each once.
///
/// # Errors
/// [`Error::Value`] if a tensor reaches beyond its storage or the graph cannot be pickled; errors of the sink.
pub fn write_checkpoint(sink: &mut dyn Write, archive: &str, graph: &Graph, root: &Value, storages: &dyn StorageWriter) -> Result<()> {
    write_checkpoint_with(sink, archive, graph, root, storages, &WriteOptions::default())
}

/// [`write_checkpoint`] in another format or without checksums.
///
/// # Errors
/// As [`write_checkpoint`].
pub fn write_checkpoint_with(
    sink: &mut dyn Write,
    archive: &str,
    graph: &Graph,
    root: &Value,
    storages: &dyn StorageWriter,
    options: &WriteOptions,
) -> Result<()> {
    Plan::new(graph, root, storages, options.is_legacy)?.write(sink, archive, storages, options)
}

/// Writes a checkpoint whose pickle others made: it names its storages by the numbers `0` to `count - 1`.
///
/// # Errors
/// Those of the sink.
pub fn write_pickled(
    sink: &mut dyn Write,
    archive: &str,
    pickle: Vec<u8>,
    count: u32,
    storages: &dyn StorageWriter,
    options: &WriteOptions,
) -> Result<()> {
    if options.is_legacy {
        return Err(Error::Value("the legacy format needs the element counts of its storages".into()));
    }
    let order = (0..count).map(|id| (StorageId(id), 0)).collect();
    Plan { pickle, order }.write(sink, archive, storages, options)
}

/// The pickle, and the storages it names in the order of their keys, with their numbers of elements.
struct Plan {
    pickle: Vec<u8>,
    order: Vec<(StorageId, u64)>,
}

impl Plan {
    fn new(graph: &Graph, root: &Value, storages: &dyn StorageWriter, is_legacy: bool) -> Result<Plan> {
        let dtypes = storage_dtypes(graph, storages)?;
        let mut order = Vec::new();
        let mut keys: HashMap<StorageId, Arc<str>> = HashMap::new();
        let mut persistent = |id: StorageId, dtype: Option<DType>| {
            let len_bytes = storages.len_bytes(id).ok_or_else(|| Error::Value(format!("storage {} does not exist", id.0)))?;
            let dtype = dtype.filter(|_| matches!(dtypes.get(&id), Some(Some(_))));
            let element_count = len_bytes / dtype.map_or(1, |dtype| dtype.size_bytes() as u64);
            let key = keys.entry(id).or_insert_with(|| {
                order.push((id, element_count));
                (order.len() - 1).to_string().into()
            });
            Ok(PersistentStorage { dtype, key: key.clone(), location: storages.location(id).into(), element_count })
        };
        let pickle = Writer::new(graph, &mut persistent, is_legacy).run(root)?;
        Ok(Plan { pickle, order })
    }

    fn write(&self, sink: &mut dyn Write, archive: &str, storages: &dyn StorageWriter, options: &WriteOptions) -> Result<()> {
        if options.is_legacy {
            return self.write_legacy(sink, storages);
        }
        let mut writer = ArchiveWriter::new(sink).with_checksums(options.has_checksums);
        let mut crcs = Vec::with_capacity(self.order.len() + 1);
        crcs.push(writer.add(&format!("{archive}/data.pkl"), &self.pickle)?);
        writer.add(&format!("{archive}/.format_version"), b"1")?;
        writer.add(&format!("{archive}/.storage_alignment"), b"64")?;
        if options.has_byteorder {
            writer.add(&format!("{archive}/byteorder"), b"little")?;
        }
        for (key, &(id, _)) in self.order.iter().enumerate() {
            let len_bytes = storages.len_bytes(id).unwrap_or(0);
            crcs.push(writer.add_with(&format!("{archive}/data/{key}"), len_bytes, |out| {
                if options.skips_data {
                    std::io::copy(&mut std::io::repeat(0).take(len_bytes), out)?;
                    return Ok(());
                }
                storages.write_to(id, out)
            })?);
        }
        writer.add(&format!("{archive}/version"), b"3\n")?;
        writer.add(&format!("{archive}/.data/serialization_id"), serialization_id(&crcs).as_bytes())?;
        writer.finish()
    }

    fn write_legacy(&self, sink: &mut dyn Write, storages: &dyn StorageWriter) -> Result<()> {
        let pickle = |graph: &Graph, value: &Value| pickle::write(graph, value);
        let mut graph = Graph::new();
        let magic = Value::Object(graph.add(Object::BigInt(legacy::MAGIC.to_vec())));
        let sizes = [("short", 2), ("int", 4), ("long", 4)].map(|(name, size)| (name.into(), Value::Int(size)));
        let sizes = Value::Object(graph.add(Object::dict(sizes.into())));
        let machine = Value::Object(graph.add(Object::dict(vec![
            ("protocol_version".into(), Value::Int(legacy::VERSION)),
            ("little_endian".into(), Value::Bool(true)),
            ("type_sizes".into(), sizes),
        ])));
        let keys = (0..self.order.len()).map(|key| Value::from(key.to_string().as_str())).collect();
        let keys = Value::Object(graph.add(Object::List(keys)));
        sink.write_all(&pickle(&graph, &magic)?)?;
        sink.write_all(&pickle(&graph, &Value::Int(legacy::VERSION))?)?;
        sink.write_all(&pickle(&graph, &machine)?)?;
        sink.write_all(&self.pickle)?;
        sink.write_all(&pickle(&graph, &keys)?)?;
        for &(id, element_count) in &self.order {
            sink.write_all(&element_count.to_le_bytes())?;
            let mut counted = Counted { sink, left: storages.len_bytes(id).unwrap_or(0) };
            storages.write_to(id, &mut counted)?;
            if counted.left > 0 {
                return Err(Error::Value(format!("storage {} lacks {} of its announced bytes", id.0, counted.left)));
            }
        }
        Ok(sink.flush()?)
    }
}

/// Refuses more than what was announced.
struct Counted<'a> {
    sink: &'a mut dyn Write,
    left: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(std::io::Error::other("more than the announced bytes of a storage"));
        }
        let count = self.sink.write(bytes)?;
        self.left -= count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.sink.flush()
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
