//! Thread-local modes, one word: 0 is the default (gradients on, nothing watches), so a fast path tests one number.

use std::cell::Cell;

/// The word's bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Mode {
    /// `no_grad`.
    GradOff = 1,
    /// `inference_mode`: results carry no version and can never be recorded.
    Inference = 2,
    /// Anomaly mode: nodes note where they were made, NaN in gradients raises.
    Anomaly = 4,
    /// Hooks see every tensor that is saved for the backward pass.
    SavedHooks = 8,
}

thread_local! {
    static MODES: Cell<u32> = const { Cell::new(0) };
}

#[inline]
pub fn word() -> u32 {
    MODES.with(Cell::get)
}

#[inline]
pub fn is_on(mode: Mode) -> bool {
    word() & mode as u32 != 0
}

/// Returns the former state.
pub fn set(mode: Mode, on: bool) -> bool {
    MODES.with(|m| {
        let before = m.get();
        m.set(if on { before | mode as u32 } else { before & !(mode as u32) });
        before & mode as u32 != 0
    })
}

/// Whether ops can be recorded in this build.
pub const RECORDS: bool = cfg!(feature = "autograd");

#[inline]
pub fn grad_enabled() -> bool {
    RECORDS && word() & (Mode::GradOff as u32 | Mode::Inference as u32) == 0
}

/// Sets a mode until it is dropped.
#[derive(Debug)]
pub struct Guard(Mode, bool);

impl Guard {
    pub fn new(mode: Mode, on: bool) -> Guard {
        Guard(mode, set(mode, on))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        set(self.0, self.1);
    }
}

/// Runs `f` without recording.
pub fn no_grad<R>(f: impl FnOnce() -> R) -> R {
    let _guard = Guard::new(Mode::GradOff, true);
    f()
}
