//! Dtypes, shapes, storages and the caching allocator: everything of a tensor that needs no kernel and no tape.

pub mod dtype;

pub use dtype::{DType, Element, Kind};
