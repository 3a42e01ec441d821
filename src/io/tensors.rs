//! safetensors files, read and written through the `safetensors` crate's header.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::ops::Range;
use std::path::Path;

use rustnn_tensor::DType;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};

use crate::atomic::write_atomically;
use crate::error::{Error, Result, corrupt};
use crate::source::Source;

/// The format's own bound on its header, bytes.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// A tensor of a safetensors file: row-major, little-endian.
#[derive(Clone, Debug, PartialEq)]
pub struct SafeTensor {
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
    /// Where the file holds its bytes.
    pub range: Range<u64>,
}

/// An opened safetensors file; data is read on demand.
#[derive(Clone, Debug)]
pub struct SafeTensors {
    /// The free text entries under `__metadata__`.
    pub metadata: BTreeMap<String, String>,
    /// In the order of the file.
    pub tensors: Vec<SafeTensor>,
    source: Source,
}

/// A tensor to write.
#[derive(Clone, Debug)]
pub struct SafeView<'a> {
    pub name: &'a str,
    pub dtype: DType,
    pub shape: &'a [usize],
    /// Row-major, little-endian.
    pub bytes: &'a [u8],
}

impl SafeTensors {
    pub fn get(&self, name: &str) -> Option<&SafeTensor> {
        self.tensors.iter().find(|tensor| tensor.name == name)
    }

    /// Reads a tensor's bytes into `out`, which has their length.
    pub fn read_into(&self, tensor: &SafeTensor, out: &mut [u8]) -> Result<()> {
        if out.len() as u64 != tensor.range.end - tensor.range.start {
            return Err(Error::Value(format!("tensor {:?} has {:?} bytes, the buffer {}", tensor.name, tensor.range, out.len())));
        }
        self.source.read_at(tensor.range.start, out)
    }

    /// Reads a tensor's bytes.
    pub fn read(&self, tensor: &SafeTensor) -> Result<Vec<u8>> {
        self.source.read_vec(tensor.range.start, tensor.range.end - tensor.range.start)
    }

    pub fn source(&self) -> &Source {
        &self.source
    }
}

/// Opens a safetensors file.
///
/// # Errors
/// See [`read_safetensors`]; and those of the file system, with the path.
pub fn load_safetensors(path: &Path) -> Result<SafeTensors> {
    read_safetensors(Source::open(path)?)
}

/// Reads a safetensors file's header and checks it against the file: the tensors must cover it without gap or overlap.
///
/// # Errors
/// For a malformed header, and for dtypes that do not exist here (4- and 6-bit floats).
pub fn read_safetensors(source: impl Into<Source>) -> Result<SafeTensors> {
    let source = source.into();
    let wrong = |error: &dyn std::fmt::Display| Error::Corrupt(format!("Error while deserializing header: {error}"));
    let mut length = [0; 8];
    if source.len_bytes() < 8 {
        return corrupt("Error while deserializing header: header too small");
    }
    source.read_at(0, &mut length)?;
    let header_bytes = u64::from_le_bytes(length);
    if header_bytes > MAX_HEADER_BYTES {
        return corrupt("Error while deserializing header: header too large");
    }
    if 8 + header_bytes > source.len_bytes() {
        return corrupt("Error while deserializing header: invalid header length");
    }
    let header = source.read_vec(8, header_bytes)?;
    let parsed: Metadata = serde_json::from_slice(&header).map_err(|error| wrong(&error))?;
    let data_start = 8 + header_bytes;
    if data_start.checked_add(parsed.data_len() as u64) != Some(source.len_bytes()) {
        return corrupt(format!(
            "Error while deserializing header: incomplete metadata, file not fully covered: {} bytes of tensors, {} in the file",
            parsed.data_len(),
            source.len_bytes() - data_start
        ));
    }
    let mut tensors = Vec::new();
    for name in parsed.offset_keys() {
        let Some(info) = parsed.info(&name) else { continue };
        let Some(dtype) = from_safe(info.dtype) else {
            return Err(Error::Unsupported(format!("tensor {name:?} has dtype {:?}, which is not supported", info.dtype)));
        };
        let (start, end) = info.data_offsets;
        tensors.push(SafeTensor { name, dtype, shape: info.shape.clone(), range: data_start + start as u64..data_start + end as u64 });
    }
    let metadata = parsed.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(SafeTensors { metadata, tensors, source })
}

/// Saves a safetensors file atomically (see [`write_atomically`]).
///
/// # Errors
/// Those of [`write_safetensors`], and of the file system.
pub fn save_safetensors(path: &Path, tensors: &[SafeView<'_>], metadata: &BTreeMap<String, String>) -> Result<()> {
    let plan = Plan::new(tensors, metadata)?;
    write_atomically(path, |sink| plan.write(sink))
}

/// Writes a safetensors file: widest dtypes first, then by name, so that every tensor is aligned. The bytes depend on the
/// content alone.
///
/// # Errors
/// [`Error::Value`] for a name that comes twice, bytes that do not fit shape and dtype, or a dtype the format lacks
/// (complex128).
pub fn write_safetensors(sink: &mut dyn Write, tensors: &[SafeView<'_>], metadata: &BTreeMap<String, String>) -> Result<()> {
    Plan::new(tensors, metadata)?.write(sink)
}

struct Plan<'a> {
    header: Vec<u8>,
    tensors: Vec<&'a SafeView<'a>>,
}

impl<'a> Plan<'a> {
    fn new(tensors: &'a [SafeView<'a>], metadata: &BTreeMap<String, String>) -> Result<Plan<'a>> {
        let wrong = |error: &dyn std::fmt::Display| Error::Value(format!("Error while serializing: {error}"));
        let mut names = BTreeSet::new();
        let mut sorted = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            if tensor.name == "__metadata__" || !names.insert(tensor.name) {
                return Err(Error::Value(format!("tensor name {:?} is used twice or reserved", tensor.name)));
            }
            let Some(dtype) = to_safe(tensor.dtype) else {
                return Err(Error::Value(format!("safetensors files cannot hold {} (tensor {:?})", tensor.dtype.name(), tensor.name)));
            };
            let count = tensor.shape.iter().try_fold(tensor.dtype.size_bytes(), |count, &size| count.checked_mul(size));
            if count != Some(tensor.bytes.len()) {
                return Err(Error::Value(format!(
                    "tensor {:?} of shape {:?} and dtype {} does not have {} bytes",
                    tensor.name,
                    tensor.shape,
                    tensor.dtype.name(),
                    tensor.bytes.len()
                )));
            }
            sorted.push((dtype, tensor));
        }
        sorted.sort_by(|(left, a), (right, b)| right.cmp(left).then(a.name.cmp(b.name)));
        let mut offset = 0;
        let infos = sorted
            .iter()
            .map(|(dtype, tensor)| {
                let start = offset;
                offset += tensor.bytes.len();
                (tensor.name.to_owned(), TensorInfo { dtype: *dtype, shape: tensor.shape.to_vec(), data_offsets: (start, offset) })
            })
            .collect();
        let parsed = Metadata::new(None, infos).map_err(|error| wrong(&error))?;
        let mut header = serde_json::to_string(&parsed).map_err(|error| wrong(&error))?;
        if !metadata.is_empty() {
            // Put in here, sorted: the crate would write them in the random order of a hash map.
            let text = serde_json::to_string(metadata).map_err(|error| wrong(&error))?;
            header.insert_str(1, &format!("\"__metadata__\":{text}{}", if sorted.is_empty() { "" } else { "," }));
        }
        let mut header = header.into_bytes();
        header.resize(header.len().next_multiple_of(8), b' ');
        if header.len() as u64 > MAX_HEADER_BYTES {
            return Err(Error::Value("Error while serializing: header too large".into()));
        }
        Ok(Plan { header, tensors: sorted.into_iter().map(|(_, tensor)| tensor).collect() })
    }

    fn write(&self, sink: &mut dyn Write) -> Result<()> {
        sink.write_all(&(self.header.len() as u64).to_le_bytes())?;
        sink.write_all(&self.header)?;
        for tensor in &self.tensors {
            sink.write_all(tensor.bytes)?;
        }
        Ok(sink.flush()?)
    }
}

const DTYPES: [(DType, Dtype); 18] = [
    (DType::F32, Dtype::F32),
    (DType::F64, Dtype::F64),
    (DType::F16, Dtype::F16),
    (DType::BF16, Dtype::BF16),
    (DType::I8, Dtype::I8),
    (DType::I16, Dtype::I16),
    (DType::I32, Dtype::I32),
    (DType::I64, Dtype::I64),
    (DType::U8, Dtype::U8),
    (DType::Bool, Dtype::BOOL),
    (DType::U16, Dtype::U16),
    (DType::U32, Dtype::U32),
    (DType::U64, Dtype::U64),
    (DType::C64, Dtype::C64),
    (DType::F8E4M3FN, Dtype::F8_E4M3),
    (DType::F8E5M2, Dtype::F8_E5M2),
    (DType::F8E4M3FNUZ, Dtype::F8_E4M3FNUZ),
    (DType::F8E5M2FNUZ, Dtype::F8_E5M2FNUZ),
];

fn to_safe(dtype: DType) -> Option<Dtype> {
    DTYPES.iter().find(|(ours, _)| *ours == dtype).map(|(_, theirs)| *theirs)
}

fn from_safe(dtype: Dtype) -> Option<DType> {
    DTYPES.iter().find(|(_, theirs)| *theirs == dtype).map(|(ours, _)| *ours)
}
