//! CPU loops on raw strided memory. Nothing here knows tensors, shapes rules or gradients: `ops` has checked everything.

pub mod copy;
pub mod level;
pub mod memory;
pub mod parallel;

pub use level::level;
pub use memory::{Dst, Src};
