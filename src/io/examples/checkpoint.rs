//! Looks into a checkpoint, or writes it anew:
//!
//!     cargo run -p rustnn-io --example checkpoint -- inspect model.pt
//!     cargo run -p rustnn-io --example checkpoint -- rewrite old.pt new.pt
//!     cargo run -p rustnn-io --example checkpoint -- rewrite model.safetensors copy.safetensors

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use rustnn_io::*;

/// The storages of a read checkpoint, read one at a time while the new file is written.
struct Storages(Checkpoint);

impl StorageWriter for Storages {
    fn len_bytes(&self, id: StorageId) -> Option<u64> {
        self.0.storages.get(id.0 as usize).map(|storage| storage.len_bytes)
    }

    fn location(&self, id: StorageId) -> Cow<'_, str> {
        (&*self.0.storages[id.0 as usize].location).into()
    }

    fn write_to(&self, id: StorageId, out: &mut dyn Write) -> Result<()> {
        Ok(out.write_all(&self.0.read_storage(id)?)?)
    }
}

fn show(path: &Path) -> Result<()> {
    let summary = inspect(path, &Options::default())?;
    println!("{:?} file of {} bytes, {} in storages", summary.format, summary.file_bytes, summary.storage_bytes);
    for tensor in summary.tensors {
        println!("  {} {} {:?}", tensor.name, tensor.dtype.name(), tensor.shape);
    }
    for global in summary.globals.iter().filter(|global| !global.is_allowed) {
        println!("  needs {}", global.name);
    }
    Ok(())
}

fn rewrite(from: &Path, to: &Path) -> Result<()> {
    if from.extension().is_some_and(|extension| extension == "safetensors") {
        let file = load_safetensors(from)?;
        let bytes = file.tensors.iter().map(|tensor| file.read(tensor)).collect::<Result<Vec<_>>>()?;
        let views: Vec<SafeView> = file
            .tensors
            .iter()
            .zip(&bytes)
            .map(|(tensor, bytes)| SafeView { name: &tensor.name, dtype: tensor.dtype, shape: &tensor.shape, bytes })
            .collect();
        return save_safetensors(to, &views, &file.metadata);
    }
    // Any class may be named: it is copied by name, nothing of it runs.
    let options = Options { globals: Globals::Any, ..Options::default() };
    let checkpoint = Storages(load_checkpoint(from, &options)?);
    save_checkpoint(to, &checkpoint.0.graph, &checkpoint.0.root, &checkpoint)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["inspect", path] => show(Path::new(path)),
        ["rewrite", from, to] => rewrite(Path::new(from), Path::new(to)),
        _ => {
            eprintln!("usage: checkpoint inspect FILE | checkpoint rewrite FROM TO");
            return ExitCode::FAILURE;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
