//! The caching allocator: freed blocks are kept and handed out again, because fresh pages cost more than most ops
//! (relu over 64 MB: 2.5 GB/s into fresh pages, 18 GB/s into kept ones).
//!
//! Blocks up to [`SMALL_BYTES`] lie in lists of the thread that freed them, by size class; larger ones in one pool,
//! best fit. Both are bounded, and both survive `fork` (the pool's lock is taken around it).

use crate::{Error, Result};
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::cell::{Cell, UnsafeCell};
use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering::*};

/// Every block starts on a cache line, which is also the widest vector.
pub const ALIGN_BYTES: usize = 64;
/// Largest block of the thread-local lists.
pub const SMALL_BYTES: usize = 1 << 20;
/// Alignment and granule of large blocks: a huge page.
const HUGE_BYTES: usize = 2 << 20;
/// A thread keeps at most this much, and no more than all together may.
static THREAD_CAP_BYTES: AtomicUsize = AtomicUsize::new(16 << 20);
/// Four classes per power of two from 64 bytes to 1 MiB.
const CLASSES: usize = 4 * 15 + 1;

/// A piece of memory that goes back to the cache when dropped. Contents are arbitrary.
#[derive(Debug)]
pub struct Block {
    ptr: NonNull<u8>,
    capacity: usize,
}

// SAFETY: a block is plain memory with one owner.
unsafe impl Send for Block {}
// SAFETY: as above; access through the pointer is the users' business.
unsafe impl Sync for Block {}

impl Block {
    #[inline]
    pub fn ptr(&self) -> *mut u8 {
        self.ptr.as_ptr()
    }

    #[inline]
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.ptr
    }

    /// Usable bytes, at least what was asked for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        free(self.ptr, self.capacity);
    }
}

/// The class of a size (rounded up to cache lines) and that class's block size: 64, 128, 192, 256, 320, 384, 448, 512, 640, …
#[inline]
fn class_of(len: usize) -> (usize, usize) {
    if len <= ALIGN_BYTES {
        return (0, ALIGN_BYTES);
    }
    let n = len.next_multiple_of(ALIGN_BYTES) - 1;
    let log = usize::BITS as usize - 1 - n.leading_zeros() as usize;
    let class = (log - 6) * 4 + ((n >> (log - 2)) & 3) + 1;
    (class, class_bytes(class))
}

fn class_bytes(class: usize) -> usize {
    if class == 0 { ALIGN_BYTES } else { (5 + (class - 1) % 4) << (4 + (class - 1) / 4) }
}

struct ThreadCache {
    lists: UnsafeCell<[Vec<NonNull<u8>>; CLASSES]>,
    kept_bytes: Cell<usize>,
    /// Not yet added to `LIVE`: an atomic per small allocation would cost as much as the allocation.
    live_delta: Cell<isize>,
}

impl Drop for ThreadCache {
    fn drop(&mut self) {
        self.clear();
        LIVE.fetch_add(self.live_delta.get(), Relaxed);
    }
}

impl ThreadCache {
    fn clear(&self) {
        // SAFETY: only this thread reaches its cache, and no reference into `lists` is held across a call.
        let lists = unsafe { &mut *self.lists.get() };
        for (class, list) in lists.iter_mut().enumerate() {
            for ptr in list.drain(..) {
                system_free(ptr, class_bytes(class));
            }
        }
        self.kept_bytes.set(0);
    }

    #[inline]
    fn count(&self, bytes: isize) {
        let delta = self.live_delta.get() + bytes;
        if delta.unsigned_abs() > 1 << 20 {
            let live = LIVE.fetch_add(delta, Relaxed) + delta;
            PEAK.fetch_max(live, Relaxed);
            self.live_delta.set(0);
        } else {
            self.live_delta.set(delta);
        }
    }
}

thread_local! {
    static CACHE: ThreadCache = const { ThreadCache { lists: UnsafeCell::new([const { Vec::new() }; CLASSES]), kept_bytes: Cell::new(0), live_delta: Cell::new(0) } };
}

static LIVE: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

/// Blocks above `SMALL_BYTES`: capacity -> pointers. A spin lock, because it must be held across `fork`.
struct Pool {
    locked: AtomicBool,
    free: UnsafeCell<BTreeMap<usize, Vec<NonNull<u8>>>>,
    kept_bytes: AtomicUsize,
}

// SAFETY: `free` is touched only between `lock` and the guard's drop.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool { locked: AtomicBool::new(false), free: UnsafeCell::new(BTreeMap::new()), kept_bytes: AtomicUsize::new(0) };

impl Pool {
    fn lock(&self) {
        while self.locked.compare_exchange_weak(false, true, Acquire, Relaxed).is_err() {
            std::thread::yield_now();
        }
    }

    fn unlock(&self) {
        self.locked.store(false, Release);
    }

    fn with<R>(&self, f: impl FnOnce(&mut BTreeMap<usize, Vec<NonNull<u8>>>) -> R) -> R {
        guard_fork();
        self.lock();
        // SAFETY: the lock is ours until `unlock`; `f` cannot panic while holding it in a way that leaves it (map
        // operations on integers; an allocation failure aborts).
        let r = f(unsafe { &mut *self.free.get() });
        self.unlock();
        r
    }

    fn take(&self, len: usize) -> Option<(NonNull<u8>, usize)> {
        self.with(|free| {
            // At most an eighth is wasted, so that a pool of mixed sizes does not eat memory.
            let (&capacity, list) = free.range_mut(len..=len + len / 8).next()?;
            let ptr = list.pop()?;
            if list.is_empty() {
                free.remove(&capacity);
            }
            self.kept_bytes.fetch_sub(capacity, Relaxed);
            Some((ptr, capacity))
        })
    }

    fn put(&self, ptr: NonNull<u8>, capacity: usize) -> bool {
        if self.kept_bytes.load(Relaxed) + capacity > cap_bytes() {
            return false;
        }
        self.kept_bytes.fetch_add(capacity, Relaxed);
        self.with(|free| free.entry(capacity).or_default().push(ptr));
        true
    }

    fn clear(&self) {
        let blocks = self.with(std::mem::take);
        for (capacity, list) in blocks {
            for ptr in list {
                self.kept_bytes.fetch_sub(capacity, Relaxed);
                system_free(ptr, capacity);
            }
        }
    }
}

/// What the pool keeps at most; `usize::MAX` before it was asked for.
static CAP_BYTES: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The pool keeps at most this much: what [`set_cap_bytes`] said, else `RUSTNN_CACHE_BYTES`, else a quarter of the machine's memory.
fn cap_bytes() -> usize {
    match CAP_BYTES.load(Relaxed) {
        usize::MAX => {
            let asked = std::env::var("RUSTNN_CACHE_BYTES").ok().and_then(|s| s.parse().ok());
            let cap = asked.unwrap_or(memory_bytes() / 4).min(usize::MAX - 1);
            CAP_BYTES.compare_exchange(usize::MAX, cap, Relaxed, Relaxed).map_or_else(|set| set, |_| cap)
        }
        cap => cap,
    }
}

/// From now on at most `bytes` are kept for reuse by the pool, and as much by each thread (which never keep above 16 MiB). What is
/// kept beyond that by the pool and this thread goes back to the system at once; other threads keep what they have.
pub fn set_cap_bytes(bytes: usize) {
    CAP_BYTES.store(bytes.min(usize::MAX - 1), Relaxed);
    THREAD_CAP_BYTES.store(bytes.min(16 << 20), Relaxed);
    if kept_bytes() > bytes {
        empty_cache();
    }
}

/// Memory of the machine, or no limit where that is not known.
fn memory_bytes() -> usize {
    static TOTAL: OnceLock<usize> = OnceLock::new();
    *TOTAL.get_or_init(|| {
        #[cfg(target_os = "linux")]
        {
            let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
            let field = |name: &str| {
                let line = text.lines().find(|line| line.starts_with(name))?;
                line.split_whitespace().nth(1)?.parse::<usize>().ok()
            };
            if let Some(kib) = field("MemTotal:") {
                return (kib + field("SwapTotal:").unwrap_or(0)) << 10;
            }
        }
        isize::MAX as usize
    })
}

#[cfg(unix)]
fn guard_fork() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    extern "C" fn before() {
        POOL.lock();
    }
    extern "C" fn after() {
        POOL.unlock();
    }
    // SAFETY: the handlers only touch one atomic.
    ONCE.call_once(|| unsafe {
        libc::pthread_atfork(Some(before), Some(after), Some(after));
    });
}

#[cfg(not(unix))]
fn guard_fork() {}

fn system_alloc(size: usize, zeroed: bool) -> Option<NonNull<u8>> {
    let align = if size > SMALL_BYTES { HUGE_BYTES } else { ALIGN_BYTES };
    let layout = Layout::from_size_align(size, align).ok()?;
    // SAFETY: the size is not 0.
    let ptr = NonNull::new(unsafe { if zeroed { alloc_zeroed(layout) } else { alloc(layout) } })?;
    #[cfg(target_os = "linux")]
    if size >= HUGE_BYTES {
        // SAFETY: advice on memory that is ours; failing is harmless.
        unsafe { libc::madvise(ptr.as_ptr().cast(), size, libc::MADV_HUGEPAGE) };
    }
    Some(ptr)
}

fn system_free(ptr: NonNull<u8>, capacity: usize) {
    let align = if capacity > SMALL_BYTES { HUGE_BYTES } else { ALIGN_BYTES };
    // SAFETY: `ptr` came from `system_alloc` of this very size.
    unsafe { dealloc(ptr.as_ptr(), Layout::from_size_align_unchecked(capacity, align)) }
}

/// A block of at least `len` bytes with arbitrary contents.
#[inline]
pub fn allocate(len: usize) -> Result<Block> {
    if len <= SMALL_BYTES {
        let (class, capacity) = class_of(len);
        let kept = CACHE.try_with(|cache| {
            cache.count(capacity as isize);
            // SAFETY: see `ThreadCache::clear`.
            let ptr = unsafe { &mut *cache.lists.get() }[class].pop()?;
            cache.kept_bytes.set(cache.kept_bytes.get() - capacity);
            Some(ptr)
        });
        if let Ok(Some(ptr)) = kept {
            return Ok(Block { ptr, capacity });
        }
        return match system_alloc(capacity, false) {
            Some(ptr) => Ok(Block { ptr, capacity }),
            None => Err(Error::OutOfMemory { bytes: len }),
        };
    }
    allocate_large(len, false)
}

/// An error where the system would not give so many bytes: for what is made piece by piece, in numbers that a caller names.
pub fn check_available(bytes: usize) -> Result<()> {
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| Error::OutOfMemory { bytes })
}

/// A block of zeros.
pub fn allocate_zeroed(len: usize) -> Result<Block> {
    if len > SMALL_BYTES {
        return allocate_large(len, true);
    }
    let block = allocate(len)?;
    // SAFETY: the block holds `len` bytes.
    unsafe { block.ptr().write_bytes(0, len) };
    Ok(block)
}

#[cold]
fn allocate_large(len: usize, zeroed: bool) -> Result<Block> {
    let fail = Error::OutOfMemory { bytes: len };
    // Overcommit would grant more than the machine has and kill the process at the first touch.
    if len > memory_bytes() {
        return Err(fail);
    }
    let size = if len > HUGE_BYTES { len.next_multiple_of(HUGE_BYTES / 8) } else { len.next_multiple_of(1 << 16) };
    let (ptr, capacity) = match POOL.take(size) {
        Some((ptr, capacity)) => {
            if zeroed {
                // SAFETY: the block holds `capacity` >= `len` bytes.
                unsafe { ptr.as_ptr().write_bytes(0, len) };
            }
            (ptr, capacity)
        }
        None => {
            let ptr = system_alloc(size, zeroed).or_else(|| {
                empty_cache();
                system_alloc(size, zeroed)
            });
            (ptr.ok_or(fail)?, size)
        }
    };
    let live = LIVE.fetch_add(capacity as isize, Relaxed) + capacity as isize;
    PEAK.fetch_max(live, Relaxed);
    Ok(Block { ptr, capacity })
}

#[inline]
fn free(ptr: NonNull<u8>, capacity: usize) {
    if capacity <= SMALL_BYTES {
        let kept = CACHE.try_with(|cache| {
            cache.count(-(capacity as isize));
            if cache.kept_bytes.get() + capacity > THREAD_CAP_BYTES.load(Relaxed) {
                return false;
            }
            // SAFETY: see `ThreadCache::clear`.
            let lists = unsafe { &mut *cache.lists.get() };
            lists[class_of(capacity).0].push(ptr);
            cache.kept_bytes.set(cache.kept_bytes.get() + capacity);
            true
        });
        // At thread exit the cache may be gone already.
        if kept != Ok(true) {
            system_free(ptr, capacity);
        }
        return;
    }
    LIVE.fetch_sub(capacity as isize, Relaxed);
    if !POOL.put(ptr, capacity) {
        system_free(ptr, capacity);
    }
}

/// Gives kept blocks of this thread and of the pool back to the system.
pub fn empty_cache() {
    let _ = CACHE.try_with(ThreadCache::clear);
    POOL.clear();
}

/// Bytes in live blocks, and the most there ever were. Small blocks of other threads count to within 1 MiB each.
pub fn live_bytes() -> (usize, usize) {
    let own = CACHE.try_with(|cache| cache.live_delta.get()).unwrap_or(0);
    let live = (LIVE.load(Relaxed) + own).max(0) as usize;
    (live, live.max(PEAK.load(Relaxed).max(0) as usize))
}

/// Starts the peak of [`live_bytes`] anew.
pub fn reset_peak() {
    PEAK.store(live_bytes().0 as isize, Relaxed);
}

/// Bytes kept for reuse by the pool and by this thread.
pub fn kept_bytes() -> usize {
    POOL.kept_bytes.load(Relaxed) + CACHE.try_with(|cache| cache.kept_bytes.get()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_holds_every_size_that_maps_to_it_and_freeing_finds_it_again() {
        for len in 0..=SMALL_BYTES {
            let (class, size) = class_of(len);
            assert!(size >= len && class < CLASSES);
            assert_eq!(class_of(size), (class, size));
        }
    }

    #[test]
    fn a_freed_block_is_handed_out_again() {
        let block = allocate(1000).unwrap();
        let ptr = block.ptr();
        drop(block);
        assert_eq!(allocate(1000).unwrap().ptr(), ptr);
    }

    #[test]
    fn blocks_cross_threads_and_outlive_them() {
        let blocks: Vec<Block> = std::thread::spawn(|| (0..100).map(|i| allocate(i * 1000).unwrap()).collect()).join().unwrap();
        std::thread::spawn(move || drop(blocks)).join().unwrap();
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(matches!(allocate(4 * 10usize.pow(15)), Err(Error::OutOfMemory { .. })));
    }
}
