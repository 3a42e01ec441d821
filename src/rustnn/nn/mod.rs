//! Layers, losses and starting values. Names, shapes and starting values are PyTorch's and those of the Python package, whose
//! ops the layers call.

mod activation;
mod adaptive;
mod attention;
mod container;
mod conv;
mod dropout;
mod embedding;
pub mod init;
mod linear;
mod loss;
mod module;
mod norm;
mod padding;
mod parametrize;
mod pool;
mod rearrange;
mod recurrent;
mod transformer;

pub use activation::*;
pub use adaptive::*;
pub use attention::*;
pub use container::*;
pub use conv::*;
pub use dropout::*;
pub use embedding::*;
pub use linear::*;
pub use loss::*;
pub use module::*;
pub use norm::*;
pub use padding::*;
pub use parametrize::*;
pub use pool::*;
pub use rearrange::*;
pub use recurrent::*;
pub use transformer::*;

/// An error unless memory can be had for so many layers of so many numbers each.
fn check_available(layers: usize, numbers: usize) -> crate::Result<()> {
    // Beside its numbers a layer takes about a thousand bytes; shapes beyond counting are refused by name where they are made.
    let Some(each) = numbers.checked_mul(4).and_then(|bytes| bytes.checked_add(1024)) else { return Ok(()) };
    Ok(rustnn_tensor::allocator::check_available(layers.saturating_mul(each))?)
}
