//! The one error type of the crate.

use std::path::PathBuf;

/// What went wrong with a file. Texts that users of PyTorch match are kept (`Unsupported global: GLOBAL …`,
/// `PytorchStreamReader failed …`, `Invalid magic number; corrupt file?`).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: std::io::Error },

    #[error("{0}")]
    Io(#[from] std::io::Error),

    /// The zip container is broken.
    #[error("PytorchStreamReader failed reading zip archive: {0}")]
    Zip(String),

    /// The pickle names a class or function that is not on the closed list.
    #[error(
        "Weights only load failed. Unsupported global: GLOBAL {0} was not an allowed global by default. Please use \
         `serialization.add_safe_globals([{0}])` or the `serialization.safe_globals([{0}])` context manager to allowlist \
         this global if you trust this class/function."
    )]
    UnsupportedGlobal(String),

    /// The pickle names something of a module that is never allowed.
    #[error("Weights only load failed. Trying to load unsupported GLOBAL {name} whose module {module} is blocked.")]
    BlockedGlobal { name: String, module: String },

    /// The pickle is malformed, or does what no checkpoint does.
    #[error("Weights only load failed. {message} (at byte {offset} of the pickle)")]
    Pickle { offset: usize, message: String },

    /// The pickle stops before its end.
    #[error("Ran out of input: the pickle ends too early, in the instruction at byte {offset}; was the file cut short?")]
    PickleEnds { offset: usize },

    /// A stated limit was reached; the message names it.
    #[error("{0}")]
    Limit(String),

    /// The file is well formed so far, but its parts contradict each other.
    #[error("{0}")]
    Corrupt(String),

    /// A valid file of a kind, or with a dtype, that is not supported; the message says what to do instead.
    #[error("{0}")]
    Unsupported(String),

    /// The caller's data cannot be written.
    #[error("{0}")]
    Value(String),
}

/// The Python class an [`Error`] becomes; PyTorch's for the same fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// `OSError`, chosen by errno (`FileNotFoundError`, …).
    Os,
    /// `pickle.UnpicklingError`
    Unpickling,
    /// `EOFError`
    Eof,
    /// `RuntimeError`
    Runtime,
    /// `ValueError`
    Value,
}

impl Error {
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::File { .. } | Error::Io(_) => ErrorKind::Os,
            Error::UnsupportedGlobal(_) | Error::BlockedGlobal { .. } | Error::Pickle { .. } => ErrorKind::Unpickling,
            Error::PickleEnds { .. } => ErrorKind::Eof,
            Error::Zip(_) | Error::Limit(_) | Error::Corrupt(_) | Error::Unsupported(_) => ErrorKind::Runtime,
            Error::Value(_) => ErrorKind::Value,
        }
    }

    /// The operating system's error behind [`ErrorKind::Os`].
    pub fn os_error(&self) -> Option<&std::io::Error> {
        match self {
            Error::File { source, .. } => Some(source),
            Error::Io(source) => Some(source),
            _ => None,
        }
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

pub(crate) fn corrupt<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::Corrupt(message.into()))
}
