//! What there is to know of GPUs, with the feature `gpu`; without it there are none.
//!
//! Tensors and modules go to a GPU by `to_device(Device::Gpu(0))`, new tensors begin there inside of
//! [`with_device`](crate::with_device).
//!
//! ```
//! # fn main() -> rustnn::Result<()> {
//! use rustnn::{Device, Tensor, gpu};
//! let device = if gpu::count() > 0 { Device::Gpu(0) } else { Device::Cpu };
//! let x = Tensor::ones([3])?.to_device(device)?;
//! assert_eq!(x.add(1.0)?.to_vec::<f32>()?, [2.0; 3]); // reading waits for the device
//! # Ok(())
//! # }
//! ```

use crate::Result;
use rustnn_ops::device::gpus;

/// How many there are, those that the CPU imitates included, which come last.
pub fn count() -> usize {
    gpus::count()
}

/// The adapter's name, its driver and the interface it is reached by.
///
/// # Errors
/// If there is no such device; so for the functions below.
pub fn name(index: u16) -> Result<String> {
    Ok(gpus::name(index)?)
}

/// Waits until the device has done everything asked of it.
pub fn synchronize(index: u16) -> Result<()> {
    Ok(gpus::synchronize(index)?)
}

/// Bytes of the buffers that tensors hold.
pub fn live_bytes(index: u16) -> Result<usize> {
    Ok(gpus::memory(index)?.0)
}

/// Gives the buffers kept for later tensors back to the driver.
pub fn empty_cache(index: u16) -> Result<()> {
    Ok(gpus::empty_cache(index)?)
}
