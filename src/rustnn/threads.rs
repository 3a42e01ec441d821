//! Which threads compute. By default the crate has a pool of its own, as wide as the processors that this process may use;
//! rayon's global pool is never touched, and results have the same bits for any number of threads.

use rustnn_kernels::parallel;
pub use rustnn_kernels::parallel::{ThreadPool, ThreadPoolBuilder};

/// Calls `f` on this thread; the ops that it calls borrow their workers from `pool`, a pool of rayon's.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use rustnn::{Tensor, threads};
/// let pool = threads::ThreadPoolBuilder::new().num_threads(2).build()?;
/// let sum = threads::with_pool(&pool, || Tensor::ones([1000, 1000])?.sum())?;
/// assert_eq!(sum.item::<f32>()?, 1e6);
/// # Ok(())
/// # }
/// ```
pub fn with_pool<R>(pool: &ThreadPool, f: impl FnOnce() -> R) -> R {
    parallel::with_pool(pool, f)
}

/// Threads that an op called here may use.
pub fn num_threads() -> usize {
    parallel::num_threads()
}

/// Limits every op from now on to `n` threads, the caller's included.
pub fn set_num_threads(n: usize) {
    parallel::set_num_threads(n);
}
