//! Ending long work early, as Ctrl-C asks for. Whoever waits for the work arms its thread with a question; loops ask it between
//! their pieces, and a yes unwinds to where the thread was armed. So nothing that comes after an unfinished loop ever runs
//! on its half-written result.

use std::cell::Cell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// How long work goes on between two questions.
const PERIOD: Duration = Duration::from_millis(50);
/// An answer that took long (it may have to wait for a lock) is asked for more seldom: it costs a twentieth of the time at most.
const SHARE: u32 = 20;
/// Calls of [`tick`] for one [`check`].
const TICKS: u32 = 64;

/// Elements of one of the [`pieces`].
const PIECE: usize = 1 << 18;

/// What unwinds; the error of [`guard`].
#[derive(Debug)]
pub struct Interrupted;

#[derive(Clone, Copy)]
struct Armed {
    ask: fn() -> bool,
    /// None before the first check.
    next: Option<Instant>,
}

thread_local! {
    static ARMED: Cell<Option<Armed>> = const { Cell::new(None) };
    /// For a thread that helps with somebody's loop: whether that loop was given up. The helper keeps the flag alive.
    static GIVEN_UP: Cell<Option<*const AtomicBool>> = const { Cell::new(None) };
    static TICK: Cell<u32> = const { Cell::new(0) };
}

/// Puts the former state of the thread back, also when the work panics.
struct Restore<T: 'static>(&'static std::thread::LocalKey<Cell<Option<T>>>, Option<T>);

impl<T: 'static> Drop for Restore<T> {
    fn drop(&mut self) {
        self.0.set(self.1.take());
    }
}

/// Runs `work` on this thread; its loops call `ask` now and then, and if that returns true, the work ends and what it was
/// writing stays as it is.
pub fn guard<R>(ask: fn() -> bool, work: impl FnOnce() -> R) -> Result<R, Interrupted> {
    let _restore = Restore(&ARMED, ARMED.replace(Some(Armed { ask, next: None })));
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        if !payload.is::<Interrupted>() {
            resume_unwind(payload);
        }
        Interrupted
    })
}

/// Ends the work here if that was asked for; otherwise a few nanoseconds, and a clock read on a thread that was armed.
#[inline]
pub fn check() {
    if ARMED.get().is_some() || GIVEN_UP.get().is_some() {
        check_now();
    }
}

/// A [`check`] that is worth its clock only now and then, for loops whose pieces are short.
#[inline]
pub fn tick() {
    let tick = TICK.get().wrapping_add(1);
    TICK.set(tick);
    if tick % TICKS == 0 {
        check();
    }
}

/// `0..len` in ranges of some milliseconds' work on single elements, a [`check`] before each but the first: for long loops that no
/// two threads can share.
pub fn pieces(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(PIECE).map(move |start| {
        if start > 0 {
            check();
        }
        start..len.min(start + PIECE)
    })
}

fn check_now() {
    // SAFETY: `helping` keeps the flag alive while it is set.
    if GIVEN_UP.get().is_some_and(|flag| unsafe { (*flag).load(Relaxed) }) {
        resume_unwind(Box::new(Interrupted));
    }
    let Some(armed) = ARMED.get() else { return };
    let now = Instant::now();
    if now < armed.next.unwrap_or(now + PERIOD) {
        if armed.next.is_none() {
            ARMED.set(Some(Armed { next: Some(now + PERIOD), ..armed }));
        }
        return;
    }
    // The answer may run anything, our own loops too.
    ARMED.set(None);
    let end = (armed.ask)();
    let asked = Instant::now();
    ARMED.set(Some(Armed { next: Some(asked + PERIOD.max((asked - now) * SHARE)), ..armed }));
    if end {
        resume_unwind(Box::new(Interrupted));
    }
}

/// Runs `work` for a loop of another thread, until that sets `given_up`.
pub(crate) fn helping(given_up: &AtomicBool, work: impl FnOnce()) {
    let _restore = Restore(&GIVEN_UP, GIVEN_UP.replace(Some(given_up)));
    work();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parallel::par_for;
    use std::sync::atomic::AtomicUsize;

    thread_local! {
        static ASKED: Cell<u32> = const { Cell::new(0) };
    }

    /// Yes the third time.
    fn third_time() -> bool {
        ASKED.set(ASKED.get() + 1);
        ASKED.get() == 3
    }

    fn no() -> bool {
        false
    }

    fn piece() {
        std::thread::sleep(Duration::from_millis(5));
    }

    #[test]
    fn a_yes_ends_a_loop_and_all_that_was_to_follow() {
        ASKED.set(0);
        let (pieces, after) = (AtomicUsize::new(0), AtomicBool::new(false));
        let result = guard(third_time, || {
            par_for(10_000, &|_| {
                piece();
                pieces.fetch_add(1, Relaxed);
            });
            after.store(true, Relaxed);
        });
        assert!(result.is_err() && !after.into_inner() && pieces.into_inner() < 10_000);
        assert!(ARMED.get().is_none());
        let counted = AtomicUsize::new(0);
        par_for(100, &|_| {
            counted.fetch_add(1, Relaxed);
        });
        assert_eq!(counted.into_inner(), 100);
    }

    #[test]
    fn loops_inside_the_pieces_of_helpers_end_too() {
        ASKED.set(0);
        let since = Instant::now();
        // Two pieces of minutes each: whoever runs them, both have to be left from inside.
        assert!(guard(third_time, || par_for(2, &|_| par_for(20_000, &|_| piece()))).is_err());
        assert!(since.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn a_no_changes_nothing_and_other_panics_go_through() {
        assert_eq!(guard(no, || (0..20).map(|_| (piece(), check()).1).count()).unwrap(), 20);
        let panic = catch_unwind(|| guard(no, || resume_unwind(Box::new(7)))).unwrap_err();
        assert_eq!(panic.downcast_ref::<i32>(), Some(&7));
        assert!(ARMED.get().is_none());
    }

    #[test]
    fn short_work_asks_nothing() {
        ASKED.set(0);
        assert!(guard(third_time, || (0..1000).for_each(|_| check())).is_ok());
        assert_eq!(ASKED.get(), 0);
    }

    #[test]
    fn pieces_cover_the_length_and_end_early() {
        for len in [0, 1, PIECE, PIECE + 1, 3 * PIECE] {
            assert_eq!(pieces(len).flatten().sum::<usize>(), (0..len).sum());
        }
        ASKED.set(2);
        assert!(guard(third_time, || pieces(usize::MAX).for_each(|_| piece())).is_err());
    }

    #[test]
    fn ticks_end_a_loop_of_short_pieces() {
        ASKED.set(2);
        assert!(
            guard(third_time, || loop {
                tick()
            })
            .is_err()
        );
    }
}
