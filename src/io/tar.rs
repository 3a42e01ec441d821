//! The oldest format (PyTorch before 0.2): a tar file of `storages`, `tensors` and `pickle`, where the pickle names
//! tensors by number. PyTorch reads it only with `weights_only=False`; here it is as safe as the others.

use std::collections::HashMap;

use rustnn_tensor::DType;

use crate::checkpoint::{Checkpoint, Format, Place, StorageEntry};
use crate::error::{Error, Result, corrupt};
use crate::globals;
use crate::source::Source;
use crate::unpickle::{Globals, Options, full_name, read_pickle};
use crate::value::{Graph, Object, ObjectId, StorageId, Tensor, Value};

pub(crate) fn is_tar(head: &[u8]) -> bool {
    head.len() >= 512 && &head[257..262] == b"ustar"
}

/// Position and length of a member's bytes.
struct Member {
    offset: u64,
    len_bytes: u64,
}

fn members(source: &Source) -> Result<HashMap<String, Member>> {
    let mut members = HashMap::new();
    let mut position = 0;
    while position + 512 <= source.len_bytes() {
        let mut header = [0; 512];
        source.read_at(position, &mut header)?;
        if header.iter().all(|&byte| byte == 0) {
            break;
        }
        let text = |part: &[u8]| {
            let end = part.iter().position(|&byte| byte == 0).unwrap_or(part.len());
            String::from_utf8_lossy(&part[..end]).trim().to_owned()
        };
        let Ok(len_bytes) = u64::from_str_radix(&text(&header[124..136]), 8) else {
            return corrupt("a tar header has no length");
        };
        let Ok(sum) = u64::from_str_radix(&text(&header[148..156]), 8) else {
            return corrupt("a tar header has no checksum");
        };
        // The checksum counts its own field as spaces.
        let own: u64 = header.iter().enumerate().map(|(at, &byte)| if (148..156).contains(&at) { 32 } else { u64::from(byte) }).sum();
        if own != sum {
            return corrupt("a tar header has a wrong checksum");
        }
        let offset = position + 512;
        if offset.checked_add(len_bytes).is_none_or(|end| end > source.len_bytes()) {
            return corrupt("a tar member is cut short");
        }
        // Plain files only; the format wrote nothing else.
        if matches!(header[156], b'0' | 0) && members.insert(text(&header[..100]), Member { offset, len_bytes }).is_some() {
            return corrupt("a tar member comes twice");
        }
        position = offset + len_bytes.next_multiple_of(512);
    }
    Ok(members)
}

/// A member's bytes with a reading position. Storages lie between its pickles, so it is read in pieces.
struct Reader<'a> {
    source: &'a Source,
    offset: u64,
    end: u64,
    options: &'a Options,
}

impl Reader<'_> {
    fn pickle(&mut self, graph: &mut Graph) -> Result<Value> {
        let mut refuse = |_: &mut Graph, _: &Value| corrupt("unsupported persistent id encountered");
        let mut tried = (self.end - self.offset).min(1 << 12);
        loop {
            let head = self.source.read_vec(self.offset, tried)?;
            match read_pickle(&head, graph, self.options, &mut refuse) {
                Err(Error::PickleEnds { .. }) if tried < self.end - self.offset => {
                    tried = tried.saturating_mul(4).min(self.end - self.offset);
                }
                Err(error) => return Err(error),
                Ok((value, len)) => {
                    self.offset += len as u64;
                    return Ok(value);
                }
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        if self.end - self.offset < N as u64 {
            return corrupt("a tar member ends too early");
        }
        self.source.read_at(self.offset, &mut out)?;
        self.offset += N as u64;
        Ok(out)
    }

    fn int(&mut self, graph: &mut Graph) -> Result<i64> {
        match self.pickle(graph)? {
            Value::Int(value) => Ok(value),
            _ => corrupt("a count is missing in the tar file"),
        }
    }

    /// A tuple of `N` values.
    fn tuple<const N: usize>(&mut self, graph: &mut Graph) -> Result<[Value; N]> {
        let value = self.pickle(graph)?;
        match graph.object(&value) {
            Some(Object::Tuple(parts)) => {
                <[Value; N]>::try_from(parts.clone()).or_else(|_| corrupt("a tuple of the tar file has another length"))
            }
            _ => corrupt("a tuple is missing in the tar file"),
        }
    }
}

/// A part of a storage, by the number the file gives it.
#[derive(Clone, Copy)]
struct Part {
    id: StorageId,
    dtype: DType,
    offset: u64,
    element_count: u64,
}

pub(crate) fn read(source: Source, options: &Options) -> Result<Checkpoint> {
    let members = members(&source)?;
    let open = |name: &str| match members.get(name) {
        Some(member) => Ok(Reader { source: &source, offset: member.offset, end: member.offset + member.len_bytes, options }),
        None => corrupt(format!("the tar file holds no {name}: it is not a checkpoint")),
    };
    let mut graph = Graph::new();
    let mut entries = Vec::new();
    let parts = read_storages(&mut open("storages")?, &mut graph, &mut entries)?;
    let tensors = read_tensors(&mut open("tensors")?, &mut graph, &parts)?;

    let member = open("pickle")?;
    if member.end - member.offset > options.limits.pickle_bytes {
        return Err(Error::Limit(format!("the pickle has more than {} bytes", options.limits.pickle_bytes)));
    }
    let pickle = source.read_vec(member.offset, member.end - member.offset)?;
    let is_trusted = matches!(options.globals, Globals::Any);
    let mut persistent = |graph: &mut Graph, id: &Value| {
        let number = match (id, graph.object(id)) {
            (Value::Int(number), _) => Some(*number),
            (Value::Str(text), _) => text.parse().ok(),
            // (class, source file, source)
            (_, Some(Object::Tuple(parts))) if is_trusted && parts.len() == 3 => return Ok(parts[0].clone()),
            _ => None,
        };
        match number.and_then(|number| tensors.get(&number)) {
            Some(&id) => Ok(Value::Object(id)),
            None => corrupt(format!("{id:?} is not a tensor of the tar file")),
        }
    };
    let (root, _) = read_pickle(&pickle, &mut graph, options, &mut persistent)?;
    Ok(Checkpoint {
        graph,
        root,
        storages: entries,
        format: Format::Tar,
        len_bytes: source.len_bytes(),
        source: source.clone(),
        archive: None,
        verify_checksums: options.verify_checksums,
    })
}

fn read_storages(reader: &mut Reader<'_>, graph: &mut Graph, entries: &mut Vec<StorageEntry>) -> Result<HashMap<i64, Part>> {
    let mut parts = HashMap::new();
    for _ in 0..reader.int(graph)? {
        let [key, location, class] = reader.tuple(graph)?;
        let class = match graph.object(&class) {
            Some(Object::Global { module, name }) => full_name(module, name),
            _ => return corrupt("a storage class is missing in the tar file"),
        };
        let (Value::Int(key), Value::Str(location)) = (key, location) else {
            return corrupt("a storage's key must be an int and its location a string");
        };
        let Some(dtype) = globals::storage_dtype(&class) else {
            return Err(Error::Unsupported(format!("storages of class {class} are not supported")));
        };
        let element_count = u64::from_le_bytes(reader.bytes()?);
        let len_bytes = element_count.checked_mul(dtype.size_bytes() as u64).filter(|&len| len <= reader.end - reader.offset);
        let Some(len_bytes) = len_bytes else {
            return corrupt(format!("storage {key} of {element_count} elements is larger than the file"));
        };
        let id = StorageId(entries.len() as u32);
        entries.push(StorageEntry { dtype: Some(dtype), len_bytes, location, place: Place::Offset(reader.offset), swap_bytes: 1 });
        reader.offset += len_bytes;
        parts.insert(key, Part { id, dtype, offset: 0, element_count });
    }
    let views = reader.pickle(graph)?;
    let Some(Object::List(views)) = graph.object(&views) else {
        return corrupt("the list of storage views is missing in the tar file");
    };
    for view in views {
        let Some(Object::Tuple(view)) = graph.object(view) else {
            return corrupt("a storage view must be a tuple");
        };
        let [Value::Int(key), Value::Int(root), Value::Int(offset), Value::Int(count)] = view[..] else {
            return corrupt("a storage view must be (key, root, offset, size)");
        };
        let Some(&root) = parts.get(&root) else {
            return corrupt(format!("storage {root} of a view does not exist"));
        };
        let (Ok(offset), Ok(element_count)) = (u64::try_from(offset), u64::try_from(count)) else {
            return corrupt("a storage view has a negative offset or size");
        };
        if offset.checked_add(element_count).is_none_or(|end| end > root.element_count) {
            return corrupt("a storage view is beyond its storage");
        }
        parts.insert(key, Part { offset: root.offset + offset, element_count, ..root });
    }
    Ok(parts)
}

fn read_tensors(reader: &mut Reader<'_>, graph: &mut Graph, parts: &HashMap<i64, Part>) -> Result<HashMap<i64, ObjectId>> {
    let mut tensors = HashMap::new();
    for _ in 0..reader.int(graph)? {
        let [key, storage, _class] = reader.tuple(graph)?;
        let (Value::Int(key), Value::Int(storage)) = (key, storage) else {
            return corrupt("a tensor's keys must be ints");
        };
        let Some(part) = parts.get(&storage) else {
            return corrupt(format!("storage {storage} of a tensor does not exist"));
        };
        let dims = u32::from_le_bytes(reader.bytes()?);
        // The next four bytes belonged to a wider number once.
        reader.bytes::<4>()?;
        if dims > 64 {
            return corrupt(format!("a tensor has {dims} dimensions; at most 64 are supported"));
        }
        let mut sizes = |_: &str| -> Result<Vec<usize>> { (0..dims).map(|_| size(i64::from_le_bytes(reader.bytes()?))).collect() };
        let (shape, strides) = (sizes("size")?, sizes("stride")?);
        let offset = size(i64::from_le_bytes(reader.bytes()?))?;
        let mut tensor = Tensor::contiguous(part.id, part.dtype, shape);
        (tensor.strides, tensor.offset) = (strides, offset);
        let limit = part.element_count * part.dtype.size_bytes() as u64;
        if tensor.element_count().is_none() || tensor.extent_bytes().is_none_or(|extent| extent > limit) {
            return corrupt(format!("tensor {key} is out of bounds for its storage of {limit} bytes"));
        }
        tensor.offset += part.offset as usize;
        tensors.insert(key, graph.add(Object::Tensor(Box::new(tensor))));
    }
    Ok(tensors)
}

fn size(value: i64) -> Result<usize> {
    usize::try_from(value).or_else(|_| corrupt(format!("a tensor has a negative size: {value}")))
}
