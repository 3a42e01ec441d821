//! Which vector instructions compute. By default the best that the machine has, or what `RUSTNN_SIMD` names; results differ
//! between levels in their last bits, and are the same at one level for any number of threads.

use crate::{Error, Result};
use rustnn_kernels::level as kernels;

/// The levels that this machine, and this build, has, the plainest first: `"fallback"`, `"sse4.2"`, `"avx2"`, `"avx512"`, `"neon"`.
/// Without the feature `avx512`, loops for AVX-512 are not compiled.
pub fn levels() -> Vec<&'static str> {
    kernels::NAMES.into_iter().filter(|name| kernels::named(name).is_some()).collect()
}

/// The level in use: from the first call of this function, of [`set_level`] or of an op on, it stays.
pub fn level() -> &'static str {
    kernels::level_name()
}

/// Chooses the level, whatever the environment says: in the beginning of a program, before the first op.
///
/// ```standalone_crate
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, simd};
/// simd::set_level("fallback")?;
/// assert_eq!(simd::level(), "fallback");
/// assert_eq!(Tensor::ones([1000])?.sum()?.item::<f32>()?, 1000.0);
/// assert!(simd::set_level("mmx").is_err());
/// // It is in use.
/// assert!(simd::levels().iter().skip(1).all(|other| simd::set_level(other).is_err()));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If there is no such level here, or another one is in use already.
pub fn set_level(name: &str) -> Result<()> {
    match kernels::choose(name) {
        None => Err(Error::value(format!("no SIMD level {name:?} here; there are {}", levels().join(", ")))),
        Some(false) => Err(Error::value(format!("the SIMD level {:?} is in use already: choose before the first op", level()))),
        Some(true) => Ok(()),
    }
}
