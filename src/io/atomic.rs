//! Saving that a crash at any moment leaves either the old file or the new one.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Writes a file through `fill`: into a new file in the same directory, which is synced and then takes the name; the
/// directory is synced last. On any error the old file stays and the new one is removed. A symbolic link is followed; an
/// existing file's permissions are kept; a device or pipe is written in place, since it cannot be replaced.
///
/// # Errors
/// Those of `fill` and of the file system, with the path.
pub fn write_atomically(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let existing = std::fs::metadata(&target).ok();
    if let Some(existing) = &existing {
        if existing.is_dir() {
            return Err(at(path)(std::io::ErrorKind::IsADirectory.into()));
        }
        if !existing.is_file() {
            let mut file = OpenOptions::new().write(true).open(&target).map_err(at(path))?;
            return fill_buffered(&mut file, path, fill);
        }
        if existing.permissions().readonly() {
            return Err(at(path)(std::io::ErrorKind::PermissionDenied.into()));
        }
    }
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut temporary = Temporary::create(directory, &target).map_err(at(path))?;
    fill_buffered(&mut temporary.file, path, fill)?;
    if let Some(existing) = existing {
        temporary.file.set_permissions(existing.permissions()).map_err(at(path))?;
    }
    temporary.file.sync_all().map_err(at(path))?;
    std::fs::rename(&temporary.path, &target).map_err(at(path))?;
    temporary.is_renamed = true;
    sync_directory(directory).map_err(at(path))
}

fn fill_buffered(file: &mut File, path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let mut buffer = BufWriter::with_capacity(1 << 20, file);
    let done = fill(&mut buffer).and_then(|()| Ok(buffer.flush()?));
    // An error leaves unwritten bytes behind; they must not be written by the drop.
    let _ = buffer.into_parts();
    done.map_err(|error| match error {
        Error::Io(source) => Error::File { path: path.to_owned(), source },
        other => other,
    })
}

struct Temporary {
    file: File,
    path: PathBuf,
    is_renamed: bool,
}

impl Temporary {
    fn create(directory: &Path, target: &Path) -> std::io::Result<Temporary> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        // A long name plus our suffix may be longer than the file system allows.
        let name: String = target.file_name().unwrap_or_default().to_string_lossy().chars().take(40).collect();
        loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!(".{name}.{}-{count}.tmp", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Temporary { file, path, is_renamed: false }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_renamed {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> std::io::Result<()> {
    match File::open(directory)?.sync_all() {
        // Some network file systems cannot sync a directory; the rename stands all the same.
        Err(error) if matches!(error.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> std::io::Result<()> {
    Ok(())
}
