//! Warnings of ops, which the host language shows.

use rustnn_tensor::Result;
use std::sync::OnceLock;

/// What takes them; without one they go to standard error.
static WARN: OnceLock<fn(&str) -> Result<()>> = OnceLock::new();

/// Hands warnings to the host language; the first call counts.
pub fn on_warning(warn: fn(&str) -> Result<()>) {
    let _ = WARN.set(warn);
}

/// Warns through the host language, which may make an error of it.
pub fn warn(text: &str) -> Result<()> {
    match WARN.get() {
        Some(warn) => warn(text),
        None => {
            eprintln!("rustnn: {text}");
            Ok(())
        }
    }
}

/// What is said where an `out` that has elements is given another shape.
pub fn resized(from: &[usize], to: &[usize]) -> String {
    format!(
        "An output with one or more elements was resized since it had shape {from:?}, which does not match the required output shape \
         {to:?}. This behavior is deprecated, and in a future PyTorch release outputs will not be resized unless they have zero elements. \
         You can explicitly reuse an out tensor t by resizing it, inplace, to zero elements with t.resize_(0)."
    )
}
