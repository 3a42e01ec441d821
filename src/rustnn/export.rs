//! Programs: a module's forward pass, recorded by `rustnn.export` in Python, as a graph of ops with its weights. A program
//! runs here without Python, through the same ops: forward and, where weights require gradients, backward.
//!
//! ```
//! use rustnn::{Tensor, export::Program};
//!
//! # fn main() -> rustnn::Result<()> {
//! # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/programs/mlp.safetensors");
//! let program = Program::load(path)?;
//! let x = Tensor::new(&[0.5f32; 12], [3, 4])?; // a batch of another size than recorded
//! let y = program.infer(&[x])?;
//! assert_eq!(y[0].shape(), [3, 2]);
//! # Ok(())
//! # }
//! ```
//!
//! The file is a safetensors file; docs/export.md describes the format.

mod file;
mod graph;
mod merge;
mod run;
mod size;

pub use file::VERSION;
pub use graph::{Graph, Id, Input, Node, Read, Role, Value, Weight};
pub use merge::merge;
pub use run::Program;
pub use size::{Guard, Relation, Size, Symbol, Term};
