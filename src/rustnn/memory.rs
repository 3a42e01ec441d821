//! The memory of tensors. Freed blocks are kept for the next tensor; a program that needs them elsewhere takes them back.
//!
//! ```
//! # fn main() -> rustnn::Result<()> {
//! use rustnn::{Tensor, memory};
//! let x = Tensor::zeros([1 << 20])?;
//! assert!(memory::live_bytes() >= 4 << 20);
//! drop(x);
//! memory::empty_cache();
//! # Ok(())
//! # }
//! ```

use rustnn_tensor::allocator;

/// Bytes of all living tensors on the CPU. Small blocks of other threads count to within 1 MiB each.
pub fn live_bytes() -> usize {
    allocator::live_bytes().0
}

/// The most [`live_bytes`] since the program, or [`reset_peak_bytes`], began.
pub fn peak_bytes() -> usize {
    allocator::live_bytes().1
}

/// Starts [`peak_bytes`] anew.
pub fn reset_peak_bytes() {
    allocator::reset_peak();
}

/// Bytes kept for reuse by the program and by this thread.
pub fn kept_bytes() -> usize {
    allocator::kept_bytes()
}

/// Gives what is kept back to the system.
pub fn empty_cache() {
    allocator::empty_cache();
}

/// Keeps at most `bytes` for reuse from now on, and at most that and 16 MiB for each thread; 0 keeps nothing. Without this call
/// it is what the environment's `RUSTNN_CACHE_BYTES` says, else a quarter of the machine's memory.
pub fn set_cache_bytes(bytes: usize) {
    allocator::set_cap_bytes(bytes);
}
