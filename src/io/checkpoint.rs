//! Reading checkpoints: finds the format, runs the pickle machine, ties storages to places in the file.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use rustnn_tensor::DType;

use crate::error::{Error, Result, corrupt};
use crate::globals;
use crate::legacy;
use crate::source::{Source, zeroed};
use crate::tar;
use crate::unpickle::{Options, full_name, read_pickle};
use crate::value::{Graph, Object, StorageId, StorageRef, Value};
use crate::zip::{Archive, Record, Spread};

/// How the file was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// PyTorch since 1.6.
    Zip,
    /// Pickles one after another, then the storages (`_use_new_zipfile_serialization=False`).
    Legacy,
    /// PyTorch before 0.2: a tar file.
    Tar,
}

/// A storage of a checkpoint. Its bytes stay in the file until they are read.
#[derive(Clone, Debug)]
pub struct StorageEntry {
    /// The dtype it was saved as; None for an untyped storage.
    pub dtype: Option<DType>,
    pub len_bytes: u64,
    /// Where it lived when saved: `cpu`, `cuda:0`.
    pub location: Arc<str>,
    pub(crate) place: Place,
    /// Width in bytes of the numbers to reverse, for files from big-endian machines; 1 if none.
    pub(crate) swap_bytes: usize,
}

#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A record of the zip file.
    Record(String),
    /// Position in the file; also used until a legacy file's storages are found.
    Offset(u64),
}

/// A read checkpoint. `root` and `graph` hold its values; storages are read on demand, from any thread.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub graph: Graph,
    pub root: Value,
    pub storages: Vec<StorageEntry>,
    pub format: Format,
    /// Length of the checkpoint; a legacy file may hold more after it.
    pub len_bytes: u64,
    pub(crate) source: Source,
    pub(crate) archive: Option<Archive>,
    pub(crate) verify_checksums: bool,
}

/// Opens a checkpoint file.
///
/// # Errors
/// See [`read_checkpoint`]; and those of the file system, with the path.
pub fn load_checkpoint(path: &Path, options: &Options) -> Result<Checkpoint> {
    read_checkpoint(Source::open(path)?, options)
}

/// Reads a checkpoint: everything except the storages' bytes.
///
/// # Errors
/// For any malformed file, a global that is not allowed, a limit reached; every tensor is checked against its storage and
/// every storage against the file.
pub fn read_checkpoint(source: impl Into<Source>, options: &Options) -> Result<Checkpoint> {
    let source = source.into();
    let mut head = [0; 512];
    let head_bytes = source.len_bytes().min(512) as usize;
    source.read_at(0, &mut head[..head_bytes])?;
    let head = &head[..head_bytes];
    let checkpoint = if head.is_empty() {
        return Err(Error::PickleEnds { offset: 0 });
    } else if head.starts_with(b"PK\x03\x04") {
        read_zip(source, options)?
    } else if tar::is_tar(head) {
        tar::read(source, options)?
    } else {
        legacy::read(source, options)?
    };
    // Whoever walks the graph may now rely on the depth.
    checkpoint.graph.build_order(&checkpoint.root, options.limits.depth)?;
    Ok(checkpoint)
}

impl Checkpoint {
    /// Reads a storage's bytes (little-endian) into `out`, which has its length.
    ///
    /// # Errors
    /// If the file cannot be read or the bytes do not have their checksum.
    pub fn read_storage_into(&self, id: StorageId, out: &mut [u8]) -> Result<()> {
        self.read_storage_into_by(id, out, &|count, part| (0..count).for_each(part))
    }

    /// [`Checkpoint::read_storage_into`] in parts, which `spread` may run at the same time.
    ///
    /// # Errors
    /// As [`Checkpoint::read_storage_into`].
    pub fn read_storage_into_by(&self, id: StorageId, out: &mut [u8], spread: Spread<'_>) -> Result<()> {
        let storage = self.storage(id)?;
        if out.len() as u64 != storage.len_bytes {
            return Err(Error::Value(format!("storage {} has {} bytes, the buffer {}", id.0, storage.len_bytes, out.len())));
        }
        match (&storage.place, &self.archive) {
            (Place::Record(name), Some(archive)) => {
                let record = archive.record(name).ok_or_else(|| Error::Zip(format!("file not found: {name}")))?;
                archive.read_into_by(record, out, self.verify_checksums, spread)?;
            }
            (Place::Offset(offset), _) => self.source.read_at(*offset, out)?,
            (Place::Record(name), None) => return Err(Error::Zip(format!("file not found: {name}"))),
        }
        swap(out, storage.swap_bytes);
        Ok(())
    }

    /// Reads a storage's bytes.
    pub fn read_storage(&self, id: StorageId) -> Result<Vec<u8>> {
        let mut out = zeroed(self.storage(id)?.len_bytes)?;
        self.read_storage_into(id, &mut out)?;
        Ok(out)
    }

    /// Where the file holds a storage's bytes as they are, for mapping; None if they must be inflated or swapped first.
    pub fn file_range(&self, id: StorageId) -> Option<Range<u64>> {
        let storage = self.storages.get(id.0 as usize)?;
        if storage.swap_bytes > 1 {
            return None;
        }
        let offset = match &storage.place {
            Place::Offset(offset) => *offset,
            Place::Record(name) => {
                let record = self.archive.as_ref()?.record(name)?;
                if record.is_deflated {
                    return None;
                }
                record.offset
            }
        };
        Some(offset..offset + storage.len_bytes)
    }

    /// The file the storages are read from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The zip container, if it is one; its other records (`version`, `.data/serialization_id`) can be read there.
    pub fn archive(&self) -> Option<&Archive> {
        self.archive.as_ref()
    }

    fn storage(&self, id: StorageId) -> Result<&StorageEntry> {
        self.storages.get(id.0 as usize).ok_or_else(|| Error::Value(format!("storage {} does not exist", id.0)))
    }
}

/// What a persistent id says of a storage.
pub(crate) struct StorageTag {
    pub dtype: Option<DType>,
    pub key: Arc<str>,
    pub location: Arc<str>,
    pub element_count: u64,
    pub len_bytes: u64,
    /// What follows (a legacy file's view).
    pub rest: Vec<Value>,
}

/// Takes apart `("storage", class, key, location, element count, …)`.
pub(crate) fn storage_tag(graph: &Graph, id: &Value) -> Result<StorageTag> {
    let Some(Object::Tuple(parts)) = graph.object(id) else {
        return corrupt(format!("persistent_load id must be a tuple, but got {}", graph.type_name(id)));
    };
    let text = |value: &Value| -> Option<Arc<str>> {
        match (value, graph.object(value)) {
            (Value::Str(text), _) => Some(text.clone()),
            (_, Some(Object::Bytes(bytes))) if bytes.is_ascii() => std::str::from_utf8(bytes).ok().map(Arc::from),
            (Value::Int(number), _) => Some(number.to_string().into()),
            _ => None,
        }
    };
    let (kind, class, key, location, element_count, rest) = match &parts[..] {
        [kind, class, key, location, element_count, rest @ ..] if rest.len() <= 1 => (kind, class, key, location, element_count, rest),
        _ => return corrupt(format!("a storage's persistent id has {} parts, not 5", parts.len())),
    };
    if text(kind).as_deref() != Some("storage") {
        return corrupt("Only persistent_load of storage is allowed");
    }
    let class = match graph.object(class) {
        Some(Object::Global { module, name }) => full_name(module, name),
        _ => return corrupt(format!("a storage class is expected, but got {}", graph.type_name(class))),
    };
    let dtype = match globals::storage_dtype(&class) {
        Some(dtype) => Some(dtype),
        None if globals::is_untyped_storage(&class) => None,
        None if class.ends_with("Storage") => return Err(Error::Unsupported(format!("storages of class {class} are not supported"))),
        None => return corrupt(format!("{class} is not a storage class")),
    };
    let (Some(key), Some(location)) = (text(key), text(location)) else {
        return corrupt("a storage's key and location must be strings");
    };
    let Some(element_count) = element_count.as_int().and_then(|count| u64::try_from(count).ok()) else {
        return corrupt("a storage's number of elements must be an int, at least 0");
    };
    let Some(len_bytes) = element_count.checked_mul(dtype.map_or(1, |dtype| dtype.size_bytes() as u64)) else {
        return corrupt(format!("storage {key} with {element_count} elements is larger than any file"));
    };
    Ok(StorageTag { dtype, key, location, element_count, len_bytes, rest: rest.to_vec() })
}

/// The zip format's folder name: that of the only `…/data.pkl`.
fn folder(archive: &Archive) -> Result<String> {
    let mut found = None;
    for record in archive.records() {
        if let Some(("data.pkl", folder)) = record.name.rsplit_once('/').map(|(folder, name)| (name, folder))
            && !folder.contains('/')
            && found.replace(folder).is_some()
        {
            return corrupt("the zip file holds several data.pkl; which is the checkpoint?");
        }
    }
    match found {
        Some(folder) => Ok(folder.to_owned()),
        None => corrupt("the zip file holds no data.pkl: it is not a checkpoint (a model package, or a zip of other files?)"),
    }
}

/// The zip format's parts, opened and checked: for readers that run the pickle elsewhere.
#[derive(Clone, Debug)]
pub struct Package {
    archive: Archive,
    folder: String,
    /// The numbers in the storages are big-endian.
    pub is_big_endian: bool,
    verify_checksums: bool,
}

impl Package {
    /// Opens a zip checkpoint.
    ///
    /// # Errors
    /// For a malformed archive, TorchScript, an unknown byte order.
    pub fn open(source: Source, options: &Options) -> Result<Package> {
        let archive = Archive::open(source, &options.limits)?;
        let folder = folder(&archive)?;
        let name = |name: &str| format!("{folder}/{name}");
        if archive.record(&name("constants.pkl")).is_some() {
            return Err(Error::Unsupported(
                "Cannot load TorchScript archives: the file holds a compiled program. Save the model's state_dict() instead".into(),
            ));
        }
        let byteorder = match archive.record(&name("byteorder")) {
            Some(record) if record.len_bytes > 64 => return corrupt("record byteorder is longer than any of its kind"),
            Some(record) => Some(archive.read(record, options.verify_checksums)?),
            None => None,
        };
        let is_big_endian = match byteorder.as_deref() {
            None => options.is_big_endian_by_default,
            Some(b"little") => false,
            Some(b"big") => true,
            Some(other) => return Err(Error::Value(format!("Unknown endianness type: {}", String::from_utf8_lossy(other)))),
        };
        Ok(Package { archive, folder, is_big_endian, verify_checksums: options.verify_checksums })
    }

    /// The pickle's bytes.
    ///
    /// # Errors
    /// If it is longer than the limit, or expands to more than the whole file.
    pub fn pickle(&self, options: &Options) -> Result<Vec<u8>> {
        let record = self.archive.record(&format!("{}/data.pkl", self.folder));
        let record = record.ok_or_else(|| Error::Zip("file not found: data.pkl".into()))?;
        if record.len_bytes > options.limits.pickle_bytes {
            return Err(Error::Limit(format!(
                "data.pkl has {} bytes, more than the limit of {}",
                record.len_bytes, options.limits.pickle_bytes
            )));
        }
        // PyTorch compresses nothing; a repacked file's storages are larger than its pickle by far.
        let file_bytes = self.archive.source().len_bytes();
        if record.is_deflated && record.len_bytes > file_bytes.saturating_add(1 << 20) {
            return Err(Error::Limit(format!("data.pkl expands to {} bytes, more than the file's own {file_bytes}", record.len_bytes)));
        }
        self.archive.read(record, self.verify_checksums)
    }

    /// The record of the storage with this key, which must have `len_bytes` bytes.
    ///
    /// # Errors
    /// If there is no such record, or its length is another.
    pub fn storage(&self, key: &str, len_bytes: u64) -> Result<&Record> {
        let name = format!("{}/data/{key}", self.folder);
        let Some(record) = self.archive.record(&name) else {
            return Err(Error::Zip(format!("file not found: {name}; the pickle refers to it")));
        };
        if record.len_bytes != len_bytes {
            return corrupt(format!("record {name} has {} bytes, but the pickle says {len_bytes}", record.len_bytes));
        }
        Ok(record)
    }

    /// Reads a storage that holds numbers of `dtype` (None: bytes), little-endian whatever the file is.
    ///
    /// # Errors
    /// If the file cannot be read or the bytes do not have their checksum.
    pub fn read_into(&self, record: &Record, dtype: Option<DType>, out: &mut [u8], spread: Spread<'_>) -> Result<()> {
        self.archive.read_into_by(record, out, self.verify_checksums, spread)?;
        if self.is_big_endian {
            swap(out, dtype.map_or(1, number_bytes));
        }
        Ok(())
    }

    /// The zip container.
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    fn with(&self, graph: Graph, root: Value, storages: Vec<StorageEntry>) -> Checkpoint {
        let source = self.archive.source().clone();
        Checkpoint {
            graph,
            root,
            storages,
            format: Format::Zip,
            len_bytes: source.len_bytes(),
            source,
            archive: Some(self.archive.clone()),
            verify_checksums: self.verify_checksums,
        }
    }
}

fn read_zip(source: Source, options: &Options) -> Result<Checkpoint> {
    let package = Package::open(source, options)?;
    let pickle = package.pickle(options)?;

    let mut graph = Graph::new();
    let mut storages: Vec<StorageEntry> = Vec::new();
    let mut by_key: HashMap<Arc<str>, StorageId> = HashMap::new();
    let mut objects: HashMap<(StorageId, Option<DType>), Value> = HashMap::new();
    let mut persistent = |graph: &mut Graph, id: &Value| {
        let tag = storage_tag(graph, id)?;
        if !tag.rest.is_empty() {
            return corrupt("a storage's persistent id has more than 5 parts");
        }
        let id = match by_key.get(&tag.key) {
            Some(&id) => id,
            None => {
                let name = package.storage(&tag.key, tag.len_bytes)?.name.clone();
                let id = StorageId(storages.len() as u32);
                storages.push(StorageEntry {
                    dtype: tag.dtype,
                    len_bytes: tag.len_bytes,
                    location: tag.location,
                    place: Place::Record(name),
                    swap_bytes: 1,
                });
                by_key.insert(tag.key.clone(), id);
                id
            }
        };
        if storages[id.0 as usize].len_bytes != tag.len_bytes {
            return corrupt(format!(
                "storage {} has {} bytes here and {} there",
                tag.key, storages[id.0 as usize].len_bytes, tag.len_bytes
            ));
        }
        let value = objects
            .entry((id, tag.dtype))
            .or_insert_with(|| Value::Object(graph.add(Object::Storage(StorageRef::whole(id, tag.dtype, tag.len_bytes)))));
        Ok(value.clone())
    };
    let (root, _) = read_pickle(&pickle, &mut graph, options, &mut persistent)?;
    if package.is_big_endian {
        set_swap(&graph, &mut storages)?;
    }
    Ok(package.with(graph, root, storages))
}

fn swap(bytes: &mut [u8], width: usize) {
    if width > 1 {
        bytes.chunks_exact_mut(width).for_each(<[u8]>::reverse);
    }
}

/// Width of the numbers in an element: complex ones are two.
fn number_bytes(dtype: DType) -> usize {
    if dtype.is_complex() { dtype.size_bytes() / 2 } else { dtype.size_bytes() }
}

/// For a big-endian file: untyped storages hold what their tensors say they do.
fn set_swap(graph: &Graph, storages: &mut [StorageEntry]) -> Result<()> {
    let mut widths: Vec<Option<usize>> = storages.iter().map(|storage| storage.dtype.map(number_bytes)).collect();
    for (_, object) in graph.objects() {
        let Object::Tensor(tensor) = object else { continue };
        let Some(id) = tensor.storage else { continue };
        let width = number_bytes(tensor.dtype);
        if *widths[id.0 as usize].get_or_insert(width) != width {
            return Err(Error::Unsupported(
                "a storage of this big-endian file is seen as numbers of different widths; its bytes cannot be put in order".into(),
            ));
        }
    }
    for (storage, width) in storages.iter_mut().zip(widths) {
        storage.swap_bytes = width.unwrap_or(1);
    }
    Ok(())
}
