//! Where a file's bytes come from: memory, or an open file read at given positions.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};

/// A readable file of known length; cheap to clone, readable from many threads at once.
#[derive(Clone)]
pub struct Source(Inner);

#[derive(Clone)]
enum Inner {
    Bytes(Arc<dyn AsRef<[u8]> + Send + Sync>),
    File { file: Arc<File>, path: Arc<PathBuf>, len_bytes: u64 },
}

impl std::fmt::Debug for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Inner::Bytes(bytes) => write!(formatter, "Source({} bytes in memory)", (**bytes).as_ref().len()),
            Inner::File { path, len_bytes, .. } => write!(formatter, "Source({}, {len_bytes} bytes)", path.display()),
        }
    }
}

impl<T: AsRef<[u8]> + Send + Sync + 'static> From<T> for Source {
    fn from(bytes: T) -> Source {
        Source(Inner::Bytes(Arc::new(bytes)))
    }
}

impl Source {
    /// Opens a regular file. Pipes and devices have no positions to read at: read them into memory first.
    pub fn open(path: &Path) -> Result<Source> {
        let error = |source| Error::File { path: path.to_owned(), source };
        let file = File::open(path).map_err(error)?;
        let metadata = file.metadata().map_err(error)?;
        if metadata.is_dir() {
            return Err(error(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
        }
        if !metadata.is_file() {
            let bytes = std::fs::read(path).map_err(error)?;
            return Ok(Source::from(bytes));
        }
        Ok(Source(Inner::File { file: Arc::new(file), path: Arc::new(path.to_owned()), len_bytes: metadata.len() }))
    }

    /// An open regular file, read from its start.
    ///
    /// # Errors
    /// If its length cannot be had.
    pub fn from_file(file: File) -> Result<Source> {
        let len_bytes = file.metadata()?.len();
        Ok(Source(Inner::File { file: Arc::new(file), path: Arc::new(PathBuf::new()), len_bytes }))
    }

    pub fn len_bytes(&self) -> u64 {
        match &self.0 {
            Inner::Bytes(bytes) => (**bytes).as_ref().len() as u64,
            Inner::File { len_bytes, .. } => *len_bytes,
        }
    }

    /// The path, for a mapping of the same file; None for bytes in memory.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Inner::Bytes(_) => None,
            Inner::File { path, .. } => Some(path),
        }
    }

    /// The open file, for a mapping that survives a rename of the path; None for bytes in memory.
    pub fn file(&self) -> Option<&File> {
        match &self.0 {
            Inner::Bytes(_) => None,
            Inner::File { file, .. } => Some(file),
        }
    }

    /// Fills `out` from position `offset`; an error if the file ends before.
    pub fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        match &self.0 {
            Inner::Bytes(bytes) => {
                let bytes = (**bytes).as_ref();
                let part = usize::try_from(offset).ok().and_then(|start| bytes.get(start..start.checked_add(out.len())?));
                out.copy_from_slice(part.ok_or_else(|| truncated(offset, out.len(), bytes.len() as u64))?);
                Ok(())
            }
            Inner::File { file, path, len_bytes } => {
                // A wrong position must not even reach the system call: it may be past what the system accepts.
                if offset.checked_add(out.len() as u64).is_none_or(|end| end > *len_bytes) {
                    return Err(truncated(offset, out.len(), *len_bytes));
                }
                read_file_at(file, offset, out).map_err(|source| Error::File { path: path.to_path_buf(), source })
            }
        }
    }

    /// `len` bytes from `offset`, allocated only once they are known to exist.
    pub fn read_vec(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        if offset.checked_add(len).is_none_or(|end| end > self.len_bytes()) {
            return Err(truncated(offset, len as usize, self.len_bytes()));
        }
        let mut out = zeroed(len)?;
        self.read_at(offset, &mut out)?;
        Ok(out)
    }
}

/// A zeroed vector, or an error where the memory is not there (an abort otherwise).
pub(crate) fn zeroed(len: u64) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let len_bytes = usize::try_from(len).unwrap_or(usize::MAX);
    out.try_reserve_exact(len_bytes).map_err(|_| Error::Limit(format!("cannot allocate {len} bytes to read the file")))?;
    out.resize(len_bytes, 0);
    Ok(out)
}

fn truncated(offset: u64, len: usize, len_bytes: u64) -> Error {
    Error::Corrupt(format!("file ends too early: need {len} bytes at offset {offset}, the file has {len_bytes}; was it cut short?"))
}

#[cfg(unix)]
fn read_file_at(file: &File, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, offset)
}

#[cfg(windows)]
fn read_file_at(file: &File, mut offset: u64, mut out: &mut [u8]) -> std::io::Result<()> {
    while !out.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, out, offset)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => {
                out = &mut out[count..];
                offset += count as u64;
            }
        }
    }
    Ok(())
}
