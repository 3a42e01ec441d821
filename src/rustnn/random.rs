//! Seeds and generators. The same seed gives the same numbers as in the Python package, for any number of threads.

use rustnn_ops::random as ops;

/// A stream of random numbers: a seed and a position, shared by clones.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, random::Generator};
/// let draw = || Generator::new(7).scope(|| Tensor::rand([3]));
/// assert_eq!(draw()?.to_vec::<f32>()?, draw()?.to_vec::<f32>()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Generator(pub(crate) ops::Generator);

impl Generator {
    /// The start of the stream of `seed`.
    pub fn new(seed: u64) -> Generator {
        Generator(ops::Generator::new(seed))
    }

    /// The generator that draws on this thread now: that of the innermost [`scope`](Generator::scope), else the program's.
    pub fn current() -> Generator {
        Generator(ops::Generator::current())
    }

    /// Calls `f`, all draws of which on this thread come from this generator: starting values, dropout, shuffles.
    pub fn scope<R>(&self, f: impl FnOnce() -> R) -> R {
        ops::with_generator(&self.0, f)
    }

    /// Goes to the start of the stream of `seed`.
    pub fn set_seed(&self, seed: u64) {
        self.0.set_seed(seed);
    }

    /// Seed and position; [`set_state`](Generator::set_state) goes back there.
    pub fn state(&self) -> (u64, u64) {
        self.0.state()
    }

    /// Goes to a position of a seed's stream.
    pub fn set_state(&self, (seed, position): (u64, u64)) {
        self.0.set_state(seed, position);
    }
}

/// Seeds the program's generator, which draws wherever no [`Generator::scope`] is around.
pub fn manual_seed(seed: u64) {
    ops::Generator::global().set_seed(seed);
}
