//! Neural networks in Rust: PyTorch's `nn` world on a small engine, without Python.
//!
//! ```
//! use rustnn::nn::{self, Forward, Module};
//! use rustnn::Tensor;
//!
//! # fn main() -> rustnn::Result<()> {
//! rustnn::random::manual_seed(0);
//! let net = nn::Sequential::new().add(nn::Linear::new(4, 16)?).add(nn::ReLU).add(nn::Linear::new(16, 2)?);
//! let scores = net.forward(&Tensor::rand([8, 4])?)?;
//! nn::cross_entropy(&scores, &Tensor::new(&[0i64, 1, 0, 1, 0, 1, 0, 1], [8])?)?.backward()?;
//! assert!(net.parameters().iter().all(|p| p.grad().is_some()));
//! # Ok(())
//! # }
//! ```
//!
//! [`Tensor`] has the operators, [`nn`] the layers and losses, [`autograd`] what is recorded, [`io`] checkpoints, [`export`]
//! programs recorded in Python.
#![cfg_attr(feature = "train", doc = "[`optim`] trains, [`data`] feeds; the [guide] goes through all of it with examples.")]
//!
//! Nothing here panics on what a caller or a file gives: what can go wrong comes back as an [`Error`].
#![deny(missing_docs)]

extern crate self as rustnn;

pub mod autograd;
#[cfg(feature = "train")]
pub mod data;
mod device;
mod error;
pub mod export;
pub mod gpu;
#[cfg(feature = "train")]
#[doc = include_str!("../../docs/rust.md")]
pub mod guide {}
pub mod io;
#[cfg(doctest)]
#[doc = include_str!("../../docs/export.md")]
mod export_page {}
pub mod memory;
pub mod nn;
#[cfg(feature = "train")]
pub mod optim;
pub mod random;
pub mod simd;
mod tensor;
pub mod threads;

pub use device::with_device;
pub use error::{Error, FileError, Mismatch, Result, TensorError};
pub use rustnn_tensor::{DType, Device, Element};
pub use tensor::{Tensor, TensorOrNumber};
