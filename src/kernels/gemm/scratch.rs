//! Thread-local work memory that is kept between calls.

use std::cell::RefCell;

/// What a thread keeps, in bytes; larger buffers are freed when dropped.
const KEEP_BYTES: usize = 16 << 20;
/// Buffers a thread keeps.
const KEEP_COUNT: usize = 6;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[allow(dead_code, reason = "only its size and alignment count")] [u8; 64]);

thread_local! {
    static FREE: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// Memory with anything in it, aligned to 64 bytes; returned to the thread when dropped.
pub(crate) struct Scratch {
    lines: Vec<Line>,
}

impl Scratch {
    /// Memory for `len` values of `T`, a plain number type.
    pub(crate) fn of<T: Copy>(len: usize) -> Scratch {
        let count = (len * size_of::<T>()).div_ceil(64).max(1);
        let found = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            let at = free.iter().enumerate().filter(|(_, lines)| lines.len() >= count).min_by_key(|(_, lines)| lines.len());
            let at = at.map(|(at, _)| at);
            at.map(|at| free.swap_remove(at))
        });
        let mut lines = found.ok().flatten().unwrap_or_default();
        if lines.len() < count {
            lines = vec![Line([0; 64]); count.next_power_of_two()];
        }
        Scratch { lines }
    }

    pub(crate) fn start<T: Copy>(&self) -> *const T {
        self.lines.as_ptr().cast()
    }

    pub(crate) fn ptr<T: Copy>(&mut self) -> *mut T {
        self.lines.as_mut_ptr().cast()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        // At thread exit the list may be gone: then the memory is simply freed.
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if lines.len() * 64 > KEEP_BYTES {
                return;
            }
            free.push(lines);
            if free.len() > KEEP_COUNT {
                let smallest = (0..free.len()).min_by_key(|&at| free[at].len()).expect("not empty");
                free.swap_remove(smallest);
            }
        });
    }
}
