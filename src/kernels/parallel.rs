//! Parallel loops on borrowed rayon workers. A borrowed worker keeps polling for a moment, so that the next loop starts in a
//! fraction of a microsecond; the caller works through the chunks too and can finish them all alone, so nothing ever waits
//! for a worker to start. How work is split is the caller's business and must depend on sizes only: then results have the
//! same bits for any number of threads.
//!
//! Which workers: those of the pool lent by [`with_pool`], else those of the rayon pool that this thread works in, else
//! a pool of our own, one per process: after a fork the child builds a new one and leaks the parent's, whose threads it
//! does not have. Rayon's global pool is never touched. One loop runs in parallel at a time; a second caller, and a loop
//! inside a loop, run serially.

use crate::interrupt;
pub use rayon::{ThreadPool, ThreadPoolBuilder};
use std::any::Any;
use std::cell::{Cell, RefCell, UnsafeCell};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::*};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a borrowed worker polls for the next loop before rayon gets it back.
const KEEP: Duration = Duration::from_micros(80);
/// `next` holds this or more while no loop is open.
const CLOSED: usize = usize::MAX / 2;
/// More threads than this are never started.
const MAX_THREADS: usize = 1024;

type Body<'a> = &'a (dyn Fn(usize) + Sync);

/// The meeting point of one caller at a time and the workers that it borrowed.
struct Hub {
    /// The value of `GENERATION` in the process that made it. In a forked child its workers do not exist.
    generation: usize,
    /// How long its workers poll.
    keep: Duration,
    /// Held by the caller for the length of its loop.
    busy: AtomicBool,
    /// Changes when a loop opens: what pollers watch.
    epoch: AtomicUsize,
    /// The next index to hand out. Opened last and closed first: an index below `total` is proof that `body` is alive.
    next: AtomicUsize,
    total: AtomicUsize,
    /// Written only by the holder of `busy`, while `next` is closed and no worker holds an index.
    body: UnsafeCell<Option<Body<'static>>>,
    /// Workers that may be inside `drain`.
    active: AtomicUsize,
    /// A piece of this loop panicked, which may be an interrupt: its other pieces are to end.
    given_up: AtomicBool,
    /// The first panic of this loop.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    /// Touched only by the holder of `busy`.
    crew: UnsafeCell<Crew>,
}

// SAFETY: the two cells are touched only as their comments say: `busy` orders their writers, and readers of `body` hold an
// index, see `par_for`.
unsafe impl Sync for Hub {}
// SAFETY: nothing in it belongs to a thread; the pool pointer of a `Lent` crew is used only while `with_pool` holds it.
unsafe impl Send for Hub {}

/// Who can be borrowed.
struct Crew {
    pool: Pool,
    /// Threads of a loop, the caller included.
    threads: usize,
    state: Arc<CrewState>,
}

#[derive(Default)]
struct CrewState {
    borrowed: AtomicUsize,
    /// Set when the crew is replaced: its workers leave.
    dismissed: AtomicBool,
}

enum Pool {
    /// Ours; none before the first loop, with one thread, and where threads could not be started.
    Own(Option<ThreadPool>),
    /// The one that the calling worker belongs to.
    Around,
    /// Valid while `with_pool` runs.
    Lent(*const ThreadPool),
}

/// Our own hub, never freed.
static OWN: AtomicPtr<Hub> = AtomicPtr::new(std::ptr::null_mut());
/// Counts the forks between the first process and this one.
static GENERATION: AtomicUsize = AtomicUsize::new(0);
/// The number of threads that was asked for: 0 before the environment was read, `usize::MAX` when nobody asked. Plain atomics
/// and no `OnceLock`: a fork in the middle of an initialisation must not leave the child a locked one.
static CHOSEN: AtomicUsize = AtomicUsize::new(0);
/// The processors that this process may use; 0 before they were counted.
static PROCESSORS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Whether this thread runs a body now.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread came through a fork: if it was a worker, the others are gone.
    static ORPHAN: Cell<bool> = const { Cell::new(false) };
    /// The hub of the innermost `with_pool` of this thread, which owns it.
    static LENT: Cell<*const Hub> = const { Cell::new(std::ptr::null()) };
    /// For a thread of somebody's pool: the hub of the loops that it calls.
    static AROUND: RefCell<Option<Arc<Hub>>> = const { RefCell::new(None) };
}

/// Calls `body(i)` for every `i < total`, each once, on this thread and on idle workers, in no particular order. When a body
/// panics, indices not yet handed out are dropped, and once all bodies have ended the first panic goes on in the caller.
/// An [interrupt](crate::interrupt) of the caller ends it like a panic.
pub fn par_for(total: usize, body: &(dyn Fn(usize) + Sync)) {
    if total <= 1 || chosen() == 1 || INSIDE.get() {
        return serial(total, body);
    }
    let Some(hub) = here() else { return serial(total, body) };
    if hub.busy.swap(true, Acquire) {
        return serial(total, body);
    }
    hub.run(total, body);
}

/// Cuts `0..len` into ranges of about `grain` and calls `body` with each. The cuts depend on `len` and `grain` only; up to
/// one grain is one plain call.
#[inline]
pub fn par_chunks(len: usize, grain: usize, body: &(dyn Fn(Range<usize>) + Sync)) {
    debug_assert!(grain > 0);
    if len <= grain {
        if len > 0 {
            body(0..len);
        }
        return;
    }
    // Even chunks, in whole cache lines for every element size where grains are that long.
    let even = len.div_ceil(len.div_ceil(grain));
    let size = if even >= 64 { even.next_multiple_of(64) } else { even };
    par_for(len.div_ceil(size), &|i| body(i * size..len.min((i + 1) * size)));
}

/// Threads that a loop called here may use: of the lent or surrounding pool if there is one, else of our own; never more than
/// `set_num_threads` or `RUSTNN_NUM_THREADS` asked for. By default the processors of this process, as its affinity mask
/// and its cgroup's CPU quota allow.
pub fn num_threads() -> usize {
    if !LENT.get().is_null()
        && let Some(hub) = here()
    {
        return hub.foreign_threads();
    }
    if rayon::current_thread_index().is_some() && !ORPHAN.get() { chosen().min(rayon::current_num_threads()) } else { own_threads() }
}

/// Limits all loops that start from now on to `n` threads, the caller included; 0 counts as 1.
pub fn set_num_threads(n: usize) {
    CHOSEN.store(n.clamp(1, MAX_THREADS), Relaxed);
}

/// Calls `f` on this thread; loops that it calls here borrow their workers from `pool`.
pub fn with_pool<R>(pool: &ThreadPool, f: impl FnOnce() -> R) -> R {
    watch_forks();
    let crew = Crew { pool: Pool::Lent(pool), threads: pool.current_num_threads(), state: Arc::default() };
    let hub = Arc::new(Hub::new(crew, KEEP));
    /// Puts the former hub back, also when `f` panics.
    struct Restore(*const Hub);
    impl Drop for Restore {
        fn drop(&mut self) {
            LENT.set(self.0);
        }
    }
    let _restore = Restore(LENT.replace(Arc::as_ptr(&hub)));
    f()
}

fn serial(total: usize, body: Body) {
    for i in 0..total {
        if i > 0 {
            interrupt::check();
        }
        body(i);
    }
}

/// What was asked for, `usize::MAX` if nothing was.
#[inline]
fn chosen() -> usize {
    match CHOSEN.load(Relaxed) {
        0 => read_environment(),
        n => n,
    }
}

#[cold]
fn read_environment() -> usize {
    let asked = std::env::var("RUSTNN_NUM_THREADS").ok().and_then(|text| text.trim().parse::<usize>().ok());
    let n = asked.filter(|&n| n > 0).map_or(usize::MAX, |n| n.min(MAX_THREADS));
    // A concurrent `set_num_threads` wins.
    match CHOSEN.compare_exchange(0, n, Relaxed, Relaxed) {
        Ok(_) => n,
        Err(set) => set,
    }
}

fn own_threads() -> usize {
    match chosen() {
        usize::MAX => processors(),
        n => n,
    }
}

fn processors() -> usize {
    match PROCESSORS.load(Relaxed) {
        0 => {
            // Heeds the affinity mask and the quotas of cgroup v1 and v2.
            let n = std::thread::available_parallelism().map_or(1, |n| n.get()).min(MAX_THREADS);
            PROCESSORS.store(n, Relaxed);
            n
        }
        n => n,
    }
}

/// The hub for loops called by this thread.
fn here() -> Option<Arc<Hub>> {
    let lent = LENT.get();
    if !lent.is_null() {
        // SAFETY: `with_pool` keeps the hub for as long as `LENT` points to it; the count is raised before the `Arc` is made.
        let hub = unsafe {
            Arc::increment_strong_count(lent);
            Arc::from_raw(lent)
        };
        if hub.generation == GENERATION.load(Relaxed) {
            return Some(hub);
        }
    }
    if rayon::current_thread_index().is_some() && !ORPHAN.get() {
        return around();
    }
    let own = own_hub();
    // SAFETY: `own_hub` never gives its reference up; the count is raised before the `Arc` is made.
    Some(unsafe {
        Arc::increment_strong_count(own);
        Arc::from_raw(own)
    })
}

fn own_hub() -> *const Hub {
    let hub = OWN.load(Acquire);
    if !hub.is_null() {
        return hub;
    }
    watch_forks();
    let new = Arc::into_raw(Arc::new(Hub::new(Crew { pool: Pool::Own(None), threads: 1, state: Arc::default() }, KEEP)));
    match OWN.compare_exchange(std::ptr::null_mut(), new.cast_mut(), AcqRel, Acquire) {
        Ok(_) => new,
        Err(first) => {
            // SAFETY: `new` came from `into_raw` above and nobody else has seen it.
            drop(unsafe { Arc::from_raw(new) });
            first
        }
    }
}

/// The hub of this thread of somebody's pool; none while the thread ends.
#[cold]
fn around() -> Option<Arc<Hub>> {
    watch_forks();
    AROUND
        .try_with(|around| {
            let mut around = around.borrow_mut();
            let hub = around.get_or_insert_with(|| {
                let crew = Crew { pool: Pool::Around, threads: rayon::current_num_threads(), state: Arc::default() };
                // These workers have other work: they do not poll for ours.
                Arc::new(Hub::new(crew, Duration::ZERO))
            });
            hub.clone()
        })
        .ok()
}

/// Has the child of a fork forget the parent's workers.
fn watch_forks() {
    #[cfg(unix)]
    {
        static WATCHING: AtomicBool = AtomicBool::new(false);
        extern "C" fn child() {
            GENERATION.fetch_add(1, Relaxed);
            OWN.store(std::ptr::null_mut(), Release);
            ORPHAN.set(true);
        }
        if !WATCHING.swap(true, Relaxed) {
            // SAFETY: the handler only stores to atomics and to a constant-initialised thread-local without a destructor.
            unsafe { libc::pthread_atfork(None, None, Some(child)) };
        }
    }
}

impl Hub {
    fn new(crew: Crew, keep: Duration) -> Self {
        Hub {
            generation: GENERATION.load(Relaxed),
            keep,
            busy: AtomicBool::new(false),
            epoch: AtomicUsize::new(0),
            next: AtomicUsize::new(CLOSED),
            total: AtomicUsize::new(0),
            body: UnsafeCell::new(None),
            active: AtomicUsize::new(0),
            given_up: AtomicBool::new(false),
            panic: Mutex::new(None),
            crew: UnsafeCell::new(crew),
        }
    }

    /// For hubs whose crew never changes.
    fn foreign_threads(&self) -> usize {
        // SAFETY: only our own hub's crew is ever replaced, and this is not called for it.
        unsafe { (*self.crew.get()).threads.min(chosen()) }
    }

    /// The loop of the caller that has set `busy`.
    fn run(self: Arc<Self>, total: usize, body: Body) {
        // SAFETY: we hold `busy`.
        let crew = unsafe { &mut *self.crew.get() };
        if let Pool::Own(_) = crew.pool
            && crew.threads != own_threads()
        {
            self.rebuild(crew);
        }
        // SAFETY: the loop is closed and no worker holds an index (the last caller waited for that), so nobody reads `body`;
        // the reference does not outlive this call: it is reached only by an index taken while open, and the wait below ends
        // those.
        unsafe { *self.body.get() = Some(std::mem::transmute::<Body<'_>, Body<'static>>(body)) };
        self.given_up.store(false, Relaxed);
        self.total.store(total.min(CLOSED), Relaxed);
        self.next.store(0, SeqCst);
        self.epoch.fetch_add(1, Release);
        self.borrow_workers(crew, crew.threads.min(chosen()).min(total) - 1);
        self.drain();
        // Closing must be seen before `active` is read, and a worker counts itself active before it takes an index: both
        // sides write one location and read the other, so both need sequential consistency.
        self.next.swap(CLOSED, SeqCst);
        self.wait_for_workers();
        let panic = self.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        self.busy.store(false, Release);
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Until no worker is inside `drain`. A worker with a chunk may stand behind us on our processor: then we make room.
    fn wait_for_workers(&self) {
        let mut rounds = 0;
        while self.active.load(SeqCst) != 0 {
            if rounds < 1000 {
                rounds += 1;
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }

    /// Replaces our own crew by one of the asked size.
    #[cold]
    fn rebuild(&self, crew: &mut Crew) {
        crew.state.dismissed.store(true, SeqCst);
        // A worker that did not see the dismissal yet finds the loop closed and leaves.
        self.wait_for_workers();
        let threads = own_threads();
        let build = || ThreadPoolBuilder::new().num_threads(threads - 1).thread_name(|i| format!("rustnn-{i}")).build();
        let pool = if threads > 1 { build().ok() } else { None };
        // The old pool's threads end by themselves; dropping it does not wait.
        *crew = Crew { pool: Pool::Own(pool), threads, state: Arc::default() };
    }

    fn borrow_workers(self: &Arc<Self>, crew: &Crew, wanted: usize) {
        if let Pool::Own(None) = crew.pool {
            return;
        }
        while crew.state.borrowed.load(Relaxed) < wanted {
            crew.state.borrowed.fetch_add(1, Relaxed);
            let (hub, state) = (self.clone(), crew.state.clone());
            let help = move || hub.help(&state);
            match &crew.pool {
                Pool::Own(None) => {}
                Pool::Own(Some(pool)) => pool.spawn(help),
                Pool::Around => rayon::spawn(help),
                // SAFETY: `with_pool`, which borrows the pool, runs our caller.
                Pool::Lent(pool) => unsafe { (**pool).spawn(help) },
            }
        }
    }

    /// Runs bodies until no index is left.
    fn drain(&self) {
        let outside = INSIDE.replace(true);
        let result = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let i = self.next.fetch_add(1, SeqCst);
                if i >= self.total.load(Relaxed) {
                    return;
                }
                interrupt::check();
                // SAFETY: `i` was handed out while the loop was open, so `body` is set and its caller waits for us.
                unsafe { (*self.body.get()).expect("set before the loop opened")(i) };
            }
        }));
        INSIDE.set(outside);
        if let Err(panic) = result {
            self.next.swap(CLOSED, SeqCst);
            self.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(panic);
            // After the panic is noted: those that end for it must not be taken for it.
            self.given_up.store(true, Relaxed);
        }
    }

    /// A borrowed worker's life.
    fn help(&self, state: &CrewState) {
        // Not this epoch: the loop that we were borrowed for may still be open.
        let mut seen = self.epoch.load(Acquire).wrapping_sub(1);
        loop {
            let since = Instant::now();
            while self.epoch.load(Acquire) == seen {
                for _ in 0..32 {
                    std::hint::spin_loop();
                }
                if since.elapsed() >= self.keep || state.dismissed.load(Relaxed) {
                    state.borrowed.fetch_sub(1, Relaxed);
                    return;
                }
            }
            seen = self.epoch.load(Acquire);
            self.active.fetch_add(1, SeqCst);
            if !state.dismissed.load(SeqCst) {
                interrupt::helping(&self.given_up, || self.drain());
            }
            self.active.fetch_sub(1, SeqCst);
        }
    }
}

/// The thread count belongs to the process: tests that set or need it take turns.
#[cfg(test)]
pub(crate) mod turns {
    use super::set_num_threads;
    use std::sync::{Mutex, MutexGuard};

    static SETTINGS: Mutex<()> = Mutex::new(());

    /// A turn; at its end two threads are left, for other tests of this process.
    pub(crate) struct Turn(#[expect(dead_code, reason = "held")] MutexGuard<'static, ()>);

    impl Drop for Turn {
        fn drop(&mut self) {
            set_num_threads(2);
        }
    }

    pub(crate) fn settings() -> Turn {
        Turn(SETTINGS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

#[cfg(test)]
mod tests {
    use super::turns::settings;
    use super::*;

    fn assert_every_index_runs_once(total: usize) {
        let counts: Vec<AtomicUsize> = (0..total).map(|_| AtomicUsize::new(0)).collect();
        par_for(total, &|i| {
            counts[i].fetch_add(1, Relaxed);
        });
        assert!(counts.iter().all(|count| count.load(Relaxed) == 1));
    }

    fn work(i: usize) -> usize {
        (0..2000).fold(i, |sum, k| std::hint::black_box(sum + k))
    }

    #[test]
    fn every_index_runs_exactly_once_for_any_number_of_threads() {
        let _settings = settings();
        for threads in [1, 2, 3, 16, 2, 1, 16] {
            set_num_threads(threads);
            assert_eq!(num_threads(), threads);
            for round in 0..2000 {
                assert_every_index_runs_once(round % 37);
                if round % 512 == 0 {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        }
    }

    #[test]
    fn a_loop_uses_no_more_threads_than_allowed() {
        let _settings = settings();
        for threads in [16, 3, 1, 2] {
            set_num_threads(threads);
            for _ in 0..50 {
                let seen = Mutex::new(std::collections::HashSet::new());
                par_for(64, &|i| {
                    work(i);
                    seen.lock().unwrap().insert(std::thread::current().id());
                });
                assert!(seen.into_inner().unwrap().len() <= threads);
            }
        }
    }

    #[test]
    fn many_callers_at_once_each_get_all_their_indices() {
        let _settings = settings();
        for threads in [2, 16] {
            set_num_threads(threads);
            std::thread::scope(|scope| {
                for seed in 0..4 {
                    scope.spawn(move || (0..5000).for_each(|round| assert_every_index_runs_once((round * 7 + seed) % 19)));
                }
            });
        }
    }

    #[test]
    fn the_thread_count_may_change_while_others_loop() {
        let _settings = settings();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(Relaxed) {
                        assert_every_index_runs_once(17);
                    }
                });
            }
            for round in 0..200 {
                set_num_threads([1, 2, 5, 3][round % 4]);
                std::thread::sleep(Duration::from_micros(300));
            }
            done.store(true, Relaxed);
        });
    }

    #[test]
    fn nested_loops_run_on_the_thread_that_called_them() {
        let _settings = settings();
        set_num_threads(3);
        for _ in 0..200 {
            let count = AtomicUsize::new(0);
            par_for(8, &|_| {
                let outer = std::thread::current().id();
                par_for(8, &|_| {
                    assert_eq!(std::thread::current().id(), outer);
                    count.fetch_add(1, Relaxed);
                });
            });
            assert_eq!(count.into_inner(), 64);
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_after_all_bodies_ended_and_the_next_loop_works() {
        let _settings = settings();
        for threads in [1, 2, 16] {
            set_num_threads(threads);
            for round in 0..100 {
                let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
                let result = catch_unwind(AssertUnwindSafe(|| {
                    par_for(32, &|i| {
                        begun.fetch_add(1, Relaxed);
                        work(i);
                        if i == round % 32 {
                            resume_unwind(Box::new(i));
                        }
                        ended.fetch_add(1, Relaxed);
                    })
                }));
                assert_eq!(result.unwrap_err().downcast_ref::<usize>(), Some(&(round % 32)));
                assert_eq!(begun.into_inner(), ended.into_inner() + 1);
                assert_every_index_runs_once(8);
            }
        }
    }

    #[test]
    fn a_lent_pool_does_the_work() {
        let _settings = settings();
        set_num_threads(4);
        let pool = ThreadPoolBuilder::new().num_threads(2).thread_name(|_| "lent".into()).build().unwrap();
        let caller = std::thread::current().id();
        let elsewhere = AtomicUsize::new(0);
        with_pool(&pool, || {
            assert_eq!(num_threads(), 2);
            for _ in 0..300 {
                par_for(16, &|i| {
                    work(i);
                    if std::thread::current().id() != caller {
                        assert_eq!(std::thread::current().name(), Some("lent"));
                        elsewhere.fetch_add(1, Relaxed);
                    }
                });
            }
        });
        assert!(LENT.get().is_null());
        assert_eq!(num_threads(), 4);
    }

    #[test]
    fn inside_a_rayon_worker_its_own_pool_does_the_work() {
        let _settings = settings();
        set_num_threads(4);
        let pool = ThreadPoolBuilder::new().num_threads(3).thread_name(|_| "around".into()).build().unwrap();
        pool.install(|| {
            assert_eq!(num_threads(), 3);
            let both = || {
                for _ in 0..200 {
                    par_for(16, &|i| {
                        work(i);
                        assert_eq!(std::thread::current().name(), Some("around"));
                    });
                }
            };
            rayon::join(both, both);
        });
    }

    #[test]
    fn ranges_cover_the_length_and_do_not_depend_on_the_thread_count() {
        let _settings = settings();
        for (len, grain) in [(0, 5), (1, 5), (5, 5), (6, 5), (1000, 7), (100_000, 4096), (64, 64), (65, 64)] {
            let mut first = None;
            for threads in [16, 3, 1, 2] {
                set_num_threads(threads);
                let ranges = Mutex::new(vec![]);
                par_chunks(len, grain, &|range| ranges.lock().unwrap().push((range.start, range.end)));
                let mut ranges = ranges.into_inner().unwrap();
                ranges.sort();
                assert_eq!(ranges.iter().map(|(start, end)| end - start).sum::<usize>(), len);
                assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0));
                assert_eq!(*first.get_or_insert_with(|| ranges.clone()), ranges);
            }
        }
    }

    /// Forks; the child calls `body` and must exit within 20 s with status 0.
    #[cfg(unix)]
    fn in_a_child(body: impl FnOnce()) {
        // SAFETY: the child calls only `body`, which loops over atomics, and leaves by `_exit`; the alarm ends a hang.
        unsafe {
            let pid = libc::fork();
            assert!(pid >= 0);
            if pid == 0 {
                libc::alarm(20);
                let result = catch_unwind(AssertUnwindSafe(body));
                libc::_exit(result.is_err() as i32);
            }
            let mut status = -1;
            assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
            assert!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0, "child ended with {status:#x}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_forked_child_loops_with_workers_of_its_own() {
        let _settings = settings();
        for threads in [16, 3, 1, 2] {
            set_num_threads(threads);
            assert_every_index_runs_once(8);
            in_a_child(|| {
                let caller = std::thread::current().id();
                let (elsewhere, since) = (AtomicUsize::new(0), Instant::now());
                // New workers do come; give a busy machine time for it.
                while elsewhere.load(Relaxed) == 0 && threads > 1 {
                    par_for(64, &|i| {
                        work(i);
                        elsewhere.fetch_add((std::thread::current().id() != caller) as usize, Relaxed);
                    });
                    assert!(since.elapsed() < Duration::from_secs(10));
                }
                (0..100).for_each(assert_every_index_runs_once);
            });
            assert_every_index_runs_once(8);
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_fork_during_loops_of_other_threads_leaves_a_working_child() {
        let _settings = settings();
        for threads in [2, 3, 16] {
            set_num_threads(threads);
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                for _ in 0..2 {
                    scope.spawn(|| {
                        while !done.load(Relaxed) {
                            par_for(16, &|i| {
                                work(i);
                            });
                        }
                    });
                }
                for _ in 0..10 {
                    in_a_child(|| (0..50).for_each(assert_every_index_runs_once));
                }
                done.store(true, Relaxed);
            });
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_fork_inside_a_body_or_a_foreign_worker_leaves_a_working_child() {
        let _settings = settings();
        set_num_threads(3);
        par_for(4, &|i| {
            if i == 1 {
                in_a_child(|| (0..50).for_each(assert_every_index_runs_once));
            }
        });
        let pool = ThreadPoolBuilder::new().num_threads(2).build().unwrap();
        pool.install(|| {
            assert_every_index_runs_once(8);
            in_a_child(|| (0..50).for_each(assert_every_index_runs_once));
        });
        with_pool(&pool, || {
            assert_every_index_runs_once(8);
            in_a_child(|| (0..50).for_each(assert_every_index_runs_once));
        });
    }
}
