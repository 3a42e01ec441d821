//! The one error table. A variant is a class of fault (and so of Python exception); the constructors below it are the
//! rules that several ops share, so that each is worded once. Texts that users and tests match are PyTorch's.

use crate::DType;

/// What went wrong, by the exception that Python sees.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// `RuntimeError`: PyTorch's class for shapes, devices, autograd and most else.
    #[error("{0}")]
    Runtime(String),
    /// `TypeError`: an argument of the wrong type.
    #[error("{0}")]
    Type(String),
    /// `ValueError`.
    #[error("{0}")]
    Value(String),
    /// `IndexError`: a dimension or an index out of range.
    #[error("{0}")]
    Index(String),
    /// `AssertionError`: what PyTorch asserts.
    #[error("{0}")]
    Assertion(String),
    /// `NotImplementedError`: names what cannot be done.
    #[error("{0}")]
    NotImplemented(String),
    /// `DTypeError`, both a `RuntimeError` and a `TypeError`.
    #[error("{0}")]
    DType(String),
    /// `OutOfMemoryError`, both a `RuntimeError` and a `MemoryError`.
    #[error("rustnn: can't allocate memory: you tried to allocate {bytes} bytes. Error code 12 (Cannot allocate memory)")]
    OutOfMemory { bytes: usize },
    /// The same of a GPU's memory.
    #[error("{device}: out of memory. Tried to allocate {bytes} bytes; what is no longer used has been given back before")]
    DeviceOutOfMemory { device: crate::Device, bytes: usize },
    /// `KeyboardInterrupt`: a long op was asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// A Python exception on its way through Rust; the number finds it again.
    #[error("an exception of the host language")]
    Host(HostError),
}

/// An exception of the host language, carried unseen.
#[derive(Clone)]
pub struct HostError(pub std::sync::Arc<dyn std::any::Any + Send + Sync>);

impl std::fmt::Debug for HostError {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("HostError")
    }
}
impl PartialEq for HostError {
    fn eq(&self, other: &Self) -> bool {
        std::sync::Arc::ptr_eq(&self.0, &other.0)
    }
}

pub type Result<T> = std::result::Result<T, Error>;

/// `bail!(Runtime, "format", …)`: returns that error.
#[macro_export]
macro_rules! bail {
    ($class:ident, $($arg:tt)*) => { return Err($crate::Error::$class(format!($($arg)*))) };
}

/// `ensure!(condition, Runtime, "format", …)`.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $class:ident, $($arg:tt)*) => { if !$condition { return Err($crate::Error::$class(format!($($arg)*))) } };
}

/// Sizes as PyTorch prints them in messages: `[2, 3]`.
pub fn sizes(shape: &[usize]) -> String {
    format!("{shape:?}")
}

impl Error {
    /// Broadcasting failed at dimension `dim` of the common shape.
    pub fn broadcast(a: usize, b: usize, dim: usize) -> Error {
        Error::Runtime(format!("The size of tensor a ({a}) must match the size of tensor b ({b}) at non-singleton dimension {dim}"))
    }

    pub fn dim_range(dim: i64, rank: usize) -> Error {
        let (low, high) = (-(rank.max(1) as i64), rank.max(1) as i64 - 1);
        Error::Index(format!("Dimension out of range (expected to be in range of [{low}, {high}], but got {dim})"))
    }

    pub fn not_implemented(op: &str, dtype: DType) -> Error {
        Error::NotImplemented(format!("\"{op}\" not implemented for '{}'", dtype.scalar_name()))
    }

    pub fn result_cast(from: DType, to: DType) -> Error {
        Error::Runtime(format!("result type {} can't be cast to the desired output type {}", from.scalar_name(), to.scalar_name()))
    }

    pub fn same_dtype(expected: DType, found: DType) -> Error {
        Error::DType(format!("expected scalar type {} but found {}", expected.scalar_name(), found.scalar_name()))
    }

    pub fn memory_overlap() -> Error {
        Error::Runtime(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. \
             Please clone() the tensor before performing the operation."
                .into(),
        )
    }

    pub fn partial_overlap() -> Error {
        Error::Runtime(
            "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory \
             location. Please clone() the tensor before performing the operation."
                .into(),
        )
    }

    pub fn size_overflow() -> Error {
        Error::Runtime("Storage size calculation overflowed".into())
    }
}
