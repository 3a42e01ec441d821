//! Dtypes, shapes, storages and the caching allocator: everything of a tensor that needs no kernel and no tape.

pub mod allocator;
pub mod array;
pub mod device;
pub mod dtype;
pub mod error;
pub mod objects;
pub mod shape;
pub mod shared;
pub mod storage;

pub use array::{Array, Overlap, Twin};
pub use device::{Backend, Device, DeviceBuffer};
pub use dtype::{DType, Element, Kind};
pub use error::{Error, Result};
pub use shape::{Shape, Strides};
pub use shared::{Counted, Shared};
pub use storage::Storage;
