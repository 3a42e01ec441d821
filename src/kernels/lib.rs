//! CPU loops on raw strided memory. Nothing here knows tensors, shapes rules or gradients: `ops` has checked everything.

pub mod arrays;
pub mod complex;
pub mod conv;
pub mod copy;
pub mod elementwise;
#[cfg(feature = "complex")]
pub mod fourier;
pub mod gemm;
pub mod index;
pub mod indexing;
pub mod interrupt;
pub mod lanes;
pub mod layers;
pub mod level;
pub mod loss;
pub mod memory;
pub mod norm;
pub mod optimizer;
pub mod parallel;
pub mod pool;
pub mod reduce;
pub mod rng;
pub mod running;
pub mod softmax;
pub mod sort;
pub mod special;
pub mod text;
pub mod value;
pub mod wide;

pub use level::{level, level_name};
pub use memory::{Dst, Src};
