//! What kernels find wrong with values that they alone see. Each launch of a kernel that may find something has a slot of five words
//! in a buffer that is read with every download: whether there is something, an index (the low word first), the size it has to stay
//! below, and the number of a message (0: it is the index). Every buffer knows which of these launches its numbers come from, over
//! any number of ops: reading one raises what was found on its way, each time, and reading another does not.

use crate::call::{Call, is_float};
use rustnn_tensor::{Array, DType, Error, Result};
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};

/// Words of a slot.
pub const WORDS: usize = 5;
/// Slots: of more launches between two reads, some share one.
pub const SLOTS: usize = 64;
/// Errors remembered; buffers blamed for older ones read as they are.
const MAX_KNOWN: usize = 1 << 12;

/// Where numbers come from: launches since the last read of the slots, those before it, and an error that is known (0: none).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Blame {
    now: u64,
    before: u64,
    known: u32,
}

impl Blame {
    pub fn join(&mut self, other: Blame) {
        self.now |= other.now;
        self.before |= other.before;
        self.known = if self.known == 0 { other.known } else { self.known };
    }

    pub fn add_slot(&mut self, slot: usize) {
        self.now |= 1 << slot;
    }
}

/// A buffer's [`Blame`], as of some window: the time between two reads of the slots.
#[derive(Default)]
pub struct Source {
    window: AtomicU32,
    now: AtomicU64,
    before: AtomicU64,
    known: AtomicU32,
}

impl Source {
    /// Its numbers come from elsewhere now.
    pub fn reset(&self) {
        self.now.store(0, Relaxed);
        self.before.store(0, Relaxed);
        self.known.store(0, Relaxed);
    }

    pub fn set(&self, blame: Blame, faults: &Faults) {
        self.window.store(faults.window, Relaxed);
        self.now.store(blame.now, Relaxed);
        self.before.store(blame.before, Relaxed);
        self.known.store(blame.known, Relaxed);
    }

    /// As of now.
    pub fn blame(&self, faults: &Faults) -> Blame {
        let blame = Blame { now: self.now.load(Relaxed), before: self.before.load(Relaxed), known: self.known.load(Relaxed) };
        faults.as_of_now(blame, self.window.load(Relaxed))
    }
}

/// What has been found on a device.
#[derive(Default)]
pub struct Faults {
    /// Counts the reads of the slots.
    window: u32,
    /// Launches with a slot in this window.
    launches: usize,
    /// Errors: their numbers, windows, slots.
    known: VecDeque<(u32, u32, u64, Error)>,
    last: u32,
}

impl Faults {
    /// The slot of the next launch.
    pub fn next_slot(&mut self) -> usize {
        self.launches += 1;
        (self.launches - 1) % SLOTS
    }

    /// The window whose slots are about to be read, and how many are in use; where there are some, a new window begins.
    pub fn end_window(&mut self) -> (u32, usize) {
        let (window, used) = (self.window, std::mem::take(&mut self.launches).min(SLOTS));
        self.window = window.wrapping_add((used > 0) as u32);
        (window, used)
    }

    /// Takes what the slots of a window held.
    pub fn note(&mut self, window: u32, slots: &[[u32; WORDS]], device: u16) {
        for (slot, words) in slots.iter().enumerate() {
            if let Some(error) = error(*words, device) {
                self.last = self.last.wrapping_add(1).max(1);
                self.known.push_back((self.last, window, 1 << slot, error));
                if self.known.len() > MAX_KNOWN {
                    self.known.pop_front();
                }
            }
        }
    }

    /// Forgets all: what they spoilt is read as it is. For tests.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    fn found(&self, window: u32, slots: u64) -> u32 {
        if slots == 0 {
            return 0;
        }
        self.known.iter().find(|known| known.1 == window && known.2 & slots != 0).map_or(0, |known| known.0)
    }

    fn as_of_now(&self, blame: Blame, window: u32) -> Blame {
        if blame.now | blame.before == 0 {
            return blame;
        }
        let mut known = blame.known;
        let mut ask = |window: u32, slots: u64| known = if known == 0 { self.found(window, slots) } else { known };
        match self.window.wrapping_sub(window) {
            0 => blame,
            1 => {
                ask(window.wrapping_sub(1), blame.before);
                Blame { now: 0, before: blame.now, known }
            }
            _ => {
                ask(window.wrapping_sub(1), blame.before);
                ask(window, blame.now);
                Blame { now: 0, before: 0, known }
            }
        }
    }

    /// The error of numbers with this blame, as of `window`, where all up to that one has been noted.
    pub fn error(&self, blame: Blame, window: u32) -> Option<Error> {
        let number = match blame.known {
            0 => match self.found(window, blame.now) {
                0 => self.found(window.wrapping_sub(1), blame.before),
                found => found,
            },
            known => known,
        };
        self.known.iter().find(|known| number != 0 && known.0 == number).map(|known| known.3.clone())
    }
}

thread_local! {
    /// What the last check of this thread, a launch that writes nothing, stands for: the device, the window, the slots.
    static CHECK: Cell<Option<(u16, u32, Blame)>> = const { Cell::new(None) };
}

/// The next launch of this thread is blamed too: a check stands before what it is for.
pub fn put_off(blame: Blame, device: u16, faults: &Faults) {
    CHECK.set(Some((device, faults.window, blame)));
}

/// What was put off.
pub fn taken(device: u16, faults: &Faults) -> Blame {
    match CHECK.take() {
        Some((own, window, blame)) if own == device => faults.as_of_now(blame, window),
        _ => Blame::default(),
    }
}

type Message = (fn(String) -> Error, String);

static MESSAGES: Mutex<Vec<Message>> = Mutex::new(Vec::new());

fn messages() -> MutexGuard<'static, Vec<Message>> {
    MESSAGES.lock().unwrap_or_else(|e| e.into_inner())
}

/// The number under which a kernel reports a message: `fault(number)`.
pub fn number(error: fn(String) -> Error, text: &str) -> usize {
    let mut all = messages();
    let known = all.iter().position(|message| message.1 == text);
    known.unwrap_or_else(|| {
        all.push((error, text.to_owned()));
        all.len() - 1
    }) + 1
}

/// The error of what was read from a slot.
fn error([raised, low, high, size, number]: [u32; WORDS], device: u16) -> Option<Error> {
    if raised == 0 {
        return None;
    }
    let found = format!("found by an op on gpu:{device} before this read");
    let known = (number as usize).checked_sub(1).and_then(|at| messages().get(at).cloned());
    Some(match known {
        Some((error, text)) => error(format!("{text}: {found}")),
        None => {
            let index = (u64::from(high) << 32 | u64::from(low)) as i64;
            Error::Index(format!("index {index} is out of bounds for dimension with size {size}: {found}"))
        }
    })
}

/// Functions of the kernels that report.
pub const TEXT: &str = "fn flag(value: vec2<u32>, size: u32) {
    if (atomicMax(&flags_b[p.slot], 1u) == 0u) {
        atomicStore(&flags_b[p.slot + 1u], value.x);
        atomicStore(&flags_b[p.slot + 2u], value.y);
        atomicStore(&flags_b[p.slot + 3u], size);
    }
}
fn fault(number: u32) { if (atomicMax(&flags_b[p.slot], 1u) == 0u) { atomicStore(&flags_b[p.slot + 4u], number); } }
";

/// An error where an element of `bad` (bool) is true, when what this thread launches next is read.
pub fn refuse_where(bad: &Array, error: fn(String) -> Error, text: &str) -> Result<bool> {
    if bad.dtype() != DType::Bool {
        return Ok(false);
    }
    let mut call = Call::new("refuse_where");
    call.flagged();
    call.read("bad", bad)?;
    call.number("message", number(error, text));
    call.each(bad.numel(), "", "if (bad(i) != 0) { fault(p.message); }")
}

/// The same where a float lies outside of two bounds or is NaN.
pub fn refuse_outside(x: &Array, low: f64, high: f64, error: fn(String) -> Error, text: &str) -> Result<bool> {
    if !is_float(x) {
        return Ok(false);
    }
    let mut call = Call::new("refuse_outside");
    call.flagged();
    call.read("x", x)?;
    call.float("low", low).float("high", high).number("message", number(error, text));
    let body = "let v = x(i);
if (!(v >= p.low && v <= p.high) || (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u) { fault(p.message); }";
    call.each(x.numel(), "", body)
}
