//! The one error type of the crate.

use std::fmt::Write;

pub use rustnn_io::Error as FileError;
pub use rustnn_tensor::Error as TensorError;

/// What went wrong. Texts are PyTorch's where it has one for the same fault.
///
/// ```
/// use rustnn::{Error, FileError, Tensor, TensorError, io};
/// let (a, b) = (Tensor::ones([2, 3]).unwrap(), Tensor::ones([4, 5]).unwrap());
/// assert!(matches!(a.add(&b), Err(Error::Tensor(TensorError::Runtime(text))) if text.contains("must match")));
/// assert!(matches!(io::load("no such file"), Err(Error::File(FileError::File { path, .. })) if path.ends_with("no such file")));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An op or the tape refused: shapes, dtypes, devices, memory.
    #[error(transparent)]
    Tensor(#[from] rustnn_tensor::Error),
    /// A file could not be read or written, or is no valid checkpoint.
    #[error(transparent)]
    File(#[from] rustnn_io::Error),
    /// A state dict does not fit the module.
    #[error("{}", state_dict_text(class, mismatch))]
    StateDict {
        /// The module's class.
        class: String,
        /// What does not fit.
        mismatch: Mismatch,
    },
    /// An argument that makes no sense.
    #[error("{0}")]
    Value(String),
}

/// What of a state dict and a module does not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Names of the module that the state dict lacks.
    pub missing: Vec<String>,
    /// Names of the state dict that the module lacks.
    pub unexpected: Vec<String>,
    /// What cannot be copied, one sentence each: a name and both shapes.
    pub incompatible: Vec<String>,
}

impl Mismatch {
    /// Whether everything fits.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.incompatible.is_empty()
    }
}

fn state_dict_text(class: &str, mismatch: &Mismatch) -> String {
    let mut text = format!("Error(s) in loading state_dict for {class}:");
    for (kind, names) in [("Missing", &mismatch.missing), ("Unexpected", &mismatch.unexpected)] {
        if !names.is_empty() {
            let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
            let _ = write!(text, "\n\t{kind} key(s) in state_dict: {}. ", quoted.join(", "));
        }
    }
    for sentence in &mismatch.incompatible {
        let _ = write!(text, "\n\t{sentence}");
    }
    text
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An [`Error::Value`].
    pub fn value(text: impl Into<String>) -> Error {
        Error::Value(text.into())
    }
}
