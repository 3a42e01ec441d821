//! What kernels find wrong with values that they alone see: a buffer of five words, read with the next download, becomes its error.
//! The words: whether there is one, an index (the low word first), the size it has to stay below, and the number of a message (0: it is the index).

use crate::call::{Call, is_float};
use rustnn_tensor::{Array, DType, Error, Result};
use std::sync::{Mutex, MutexGuard};

/// Words of the buffer.
pub const WORDS: usize = 5;

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

/// The error of what was read from the buffer.
pub fn error([raised, low, high, size, number]: [u32; WORDS], device: u16) -> Option<Error> {
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
    if (atomicMax(&flags_b[0], 1u) == 0u) {
        atomicStore(&flags_b[1], value.x);
        atomicStore(&flags_b[2], value.y);
        atomicStore(&flags_b[3], size);
    }
}
fn fault(number: u32) { if (atomicMax(&flags_b[0], 1u) == 0u) { atomicStore(&flags_b[4], number); } }
";

/// An error at the next read where an element of `bad` (bool) is true.
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

/// An error at the next read where a float lies outside of two bounds or is NaN.
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
