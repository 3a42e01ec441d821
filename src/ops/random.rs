//! Generators of random numbers: a seed and a position in its stream.

use std::sync::{Arc, Mutex, OnceLock};

/// A position in the stream of a seed, shared by clones. Numbers come from Philox, so a value depends on the seed, the
/// position at the call and the element's place alone.
#[derive(Clone, Debug)]
pub struct Generator(Arc<Mutex<(u64, u64)>>);

impl Generator {
    pub fn new(seed: u64) -> Generator {
        Generator(Arc::new(Mutex::new((seed, 0))))
    }

    /// The generator that ops use when none is given.
    pub fn global() -> &'static Generator {
        static GLOBAL: OnceLock<Generator> = OnceLock::new();
        GLOBAL.get_or_init(|| Generator::new(67_280_421_310_721))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (u64, u64)> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub fn seed(&self) -> u64 {
        self.lock().0
    }

    /// Starts the stream of `seed`.
    pub fn set_seed(&self, seed: u64) {
        *self.lock() = (seed, 0);
    }

    /// Seed and position.
    pub fn state(&self) -> (u64, u64) {
        *self.lock()
    }

    pub fn set_state(&self, seed: u64, position: u64) {
        *self.lock() = (seed, position);
    }

    /// The seed and the position of the next `count` counter steps, which are taken.
    pub fn take(&self, count: u64) -> (u64, u64) {
        let mut state = self.lock();
        let at = *state;
        state.1 = state.1.wrapping_add(count);
        at
    }

    pub fn same(&self, other: &Generator) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
