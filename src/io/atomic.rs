//! Saving that a crash at any moment leaves either the old file or the new one.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::error::{Error, Result};

/// Writes a file through `fill`: into a new file in the same directory, which is synced and then takes the name; the
/// directory is synced last. On any error the old file stays and the new one is gone. A symbolic link is followed; an
/// existing file's permissions are kept, and its owner where that is allowed; a device or pipe is written in place, since
/// it cannot be replaced.
///
/// On Linux the new file has no name until it is complete, so that even a killed process leaves nothing behind; on file
/// systems that cannot do that, a name with the suffix `.tmp` may stay.
///
/// # Errors
/// Those of `fill` and of the file system, with the path.
pub fn write_atomically(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::File { path, source }
    };
    let target = resolve(path).map_err(at(path))?;
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
    let mut behind = WriteBehind { file: &temporary.file, written: 0, syncing: None };
    fill_buffered(&mut behind, path, fill)?;
    behind.finish().map_err(at(path))?;
    drop(behind);
    if let Some(existing) = existing {
        keep_owner(&temporary.file, &existing);
        temporary.file.set_permissions(existing.permissions()).map_err(at(path))?;
    }
    temporary.file.sync_all().map_err(at(path))?;
    temporary.replace(directory, &target).map_err(at(path))?;
    sync_directory(directory).map_err(at(path))
}

/// The file that a path names, through symbolic links: also through one whose file does not exist yet.
fn resolve(path: &Path) -> std::io::Result<PathBuf> {
    let mut target = path.to_owned();
    // As many links as Linux follows.
    for _ in 0..40 {
        match std::fs::read_link(&target) {
            Ok(link) => {
                // A relative link starts from its own directory; an absolute one replaces all.
                let directory = target.parent().map(Path::to_owned).unwrap_or_default();
                target = directory.join(link);
            }
            Err(_) => return Ok(target),
        }
    }
    Err(std::io::Error::other("too many levels of symbolic links"))
}

fn fill_buffered(file: &mut dyn Write, path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    // Larger pieces go past the buffer.
    let mut buffer = BufWriter::with_capacity(1 << 16, file);
    let done = fill(&mut buffer).and_then(|()| Ok(buffer.flush()?));
    // An error leaves unwritten bytes behind; they must not be written by the drop.
    let _ = buffer.into_parts();
    done.map_err(|error| match error {
        Error::Io(source) => Error::File { path: path.to_owned(), source },
        other => other,
    })
}

/// Has the disk write what was given so far while more is made: the last sync of a large file is then short.
struct WriteBehind<'a> {
    file: &'a File,
    written: u64,
    /// The thread that syncs, and how it is told that there is more. Its errors count: the system tells each only once.
    syncing: Option<(SyncSender<()>, JoinHandle<std::io::Result<()>>)>,
}

/// How much is written between two syncs; less is left to the last one.
const SYNC_BYTES: u64 = 32 << 20;

impl WriteBehind<'_> {
    fn tell(&mut self) {
        if self.syncing.is_none() {
            let Ok(file) = self.file.try_clone() else { return };
            let (sender, receiver) = sync_channel(1);
            let sync = move || receiver.iter().try_for_each(|()| file.sync_data());
            // Without a thread the last sync does it all.
            let Ok(thread) = std::thread::Builder::new().name("rustnn-sync".into()).spawn(sync) else { return };
            self.syncing = Some((sender, thread));
        }
        if let Some((sender, _)) = &self.syncing {
            // Where one is waiting already, it will see these bytes too.
            let _ = sender.try_send(());
        }
    }

    fn finish(&mut self) -> std::io::Result<()> {
        match self.syncing.take() {
            Some((sender, thread)) => {
                drop(sender);
                thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the syncing thread panicked")))
            }
            None => Ok(()),
        }
    }
}

impl Write for WriteBehind<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        let before = self.written / SYNC_BYTES;
        self.written += count as u64;
        if self.written / SYNC_BYTES > before {
            self.tell();
        }
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for WriteBehind<'_> {
    fn drop(&mut self) {
        // A failed save is not to come back before its thread has let go of the file.
        let _ = self.finish();
    }
}

/// A file that is on its way to its name.
struct Temporary {
    file: File,
    /// Its present name, if it has one; removed when the file is dropped.
    path: Option<PathBuf>,
    /// What names are made of.
    stem: String,
}

impl Temporary {
    fn create(directory: &Path, target: &Path) -> std::io::Result<Temporary> {
        // A long name plus our suffix may be longer than the file system allows.
        let stem: String = target.file_name().unwrap_or_default().to_string_lossy().chars().take(40).collect();
        if let Some(file) = unnamed(directory) {
            return Ok(Temporary { file, path: None, stem });
        }
        loop {
            let path = free_name(directory, &stem);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => return Ok(Temporary { file, path: Some(path), stem }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
        }
    }

    fn replace(&mut self, directory: &Path, target: &Path) -> std::io::Result<()> {
        while self.path.is_none() {
            let path = free_name(directory, &self.stem);
            match name_file(&self.file, &path) {
                Ok(()) => self.path = Some(path),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(error),
            }
        }
        if let Some(path) = &self.path {
            std::fs::rename(path, target)?;
        }
        self.path = None;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A name that no other save of this or another process uses.
fn free_name(directory: &Path, stem: &str) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    directory.join(format!(".{stem}.{}-{count}.tmp", std::process::id()))
}

/// A new file without a name; None where the file system has no such thing (the caller's next try tells any other error).
#[cfg(target_os = "linux")]
fn unnamed(directory: &Path) -> Option<File> {
    // It gets its name through /proc, which a bare chroot lacks.
    if !Path::new("/proc/self/fd").exists() {
        return None;
    }
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    open(directory, flags, Mode::from_raw_mode(0o666)).ok().map(File::from)
}

#[cfg(target_os = "linux")]
fn name_file(file: &File, path: &Path) -> std::io::Result<()> {
    use rustix::fs::{AtFlags, CWD, linkat};
    use std::os::fd::AsRawFd;
    let unnamed = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(linkat(CWD, unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
fn name_file(_: &File, _: &Path) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// The replaced file's owner, where the process may give files away; else the file is the saver's, as a new one would be.
#[cfg(unix)]
fn keep_owner(file: &File, existing: &Metadata) {
    use std::os::unix::fs::{MetadataExt, fchown};
    let differs = file.metadata().is_ok_and(|own| (own.uid(), own.gid()) != (existing.uid(), existing.gid()));
    if differs {
        let _ = fchown(file, Some(existing.uid()), Some(existing.gid()));
    }
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &Metadata) {}

#[cfg(unix)]
fn sync_directory(directory: &Path) -> std::io::Result<()> {
    // A folder that may be written but not listed cannot be opened.
    let Ok(opened) = File::open(directory) else { return Ok(()) };
    match opened.sync_all() {
        // Some network file systems cannot sync a directory; the rename stands all the same.
        Err(error) if matches!(error.kind(), std::io::ErrorKind::InvalidInput | std::io::ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> std::io::Result<()> {
    Ok(())
}
