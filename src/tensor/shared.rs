//! A reference counter whose last reference goes without a locked instruction. A recorded op makes and drops two counted objects;
//! the three or four locked instructions with which `Arc` lets them go, each waiting for all writes before it, were a tenth of its
//! time.

use std::alloc::Layout;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::*};

/// A value and its counts, on the way into a [`Shared`]: a box of one of a sized type becomes one of `dyn Trait` as any box does.
#[derive(Debug)]
pub struct Counted<T: ?Sized> {
    /// Below, the strong references; above, the weak ones and one more for all strong ones together. In one word, so that one
    /// read tells whether there is a single reference of either kind: nobody but its owner can then make another.
    counts: AtomicU64,
    value: T,
}

const STRONG: u64 = 1;
const WEAK: u64 = 1 << 32;
const SOLE: u64 = STRONG + WEAK;
/// A count beyond this is a leak of references that ends the process, as with `Arc`, before it wraps round.
const MOST: u32 = 1 << 31;

#[inline(always)]
fn strong(counts: u64) -> u32 {
    counts as u32
}

#[inline(always)]
fn weak(counts: u64) -> u32 {
    (counts >> 32) as u32
}

impl<T> Counted<T> {
    /// A value made where it stays: `blank` best of constants alone, `fill` writes the rest. (A value made ready on the stack, and
    /// there field by field, is copied in wider pieces, for which the processor waits until the fields have left its buffers: a
    /// tenth of a small op's time for each such object.)
    #[inline(always)]
    pub fn filled(blank: impl FnOnce() -> T, fill: impl FnOnce(&mut T)) -> Box<Counted<T>> {
        let mut place = Box::<Counted<T>>::new_uninit();
        place.write(Counted { counts: AtomicU64::new(SOLE), value: blank() });
        // SAFETY: just written.
        let mut made = unsafe { place.assume_init() };
        fill(&mut made.value);
        made
    }

    pub fn new(value: T) -> Box<Counted<T>> {
        Box::new(Counted { counts: AtomicU64::new(SOLE), value })
    }
}

/// A shared value, as `Arc`.
pub struct Shared<T: ?Sized>(NonNull<Counted<T>>);

/// A reference that does not keep the value, as `std::sync::Weak`.
pub struct Weak<T: ?Sized>(NonNull<Counted<T>>);

// SAFETY: as for `Arc`: references on several threads give `&T` there, and the last one, wherever it is, drops the value.
unsafe impl<T: ?Sized + Send + Sync> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Send for Weak<T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Send + Sync> Sync for Weak<T> {}

impl<T: ?Sized> std::panic::UnwindSafe for Shared<T> where T: std::panic::RefUnwindSafe {}

impl<T: ?Sized> From<Box<Counted<T>>> for Shared<T> {
    #[inline]
    fn from(counted: Box<Counted<T>>) -> Self {
        Shared(NonNull::from(Box::leak(counted)))
    }
}

impl<T> Shared<T> {
    pub fn new(value: T) -> Self {
        Counted::new(value).into()
    }
}

impl<T: ?Sized> Deref for Shared<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the value lives as long as a strong reference.
        unsafe { &(*self.0.as_ptr()).value }
    }
}

/// The counts of what a strong or weak reference keeps allocated.
#[inline]
fn counts<T: ?Sized>(counted: &NonNull<Counted<T>>) -> &AtomicU64 {
    // SAFETY: a reference of either kind keeps the memory; the counts are never borrowed mutably.
    unsafe { &(*counted.as_ptr()).counts }
}

impl<T: ?Sized> Shared<T> {
    /// Whether both are references to one value.
    #[inline]
    pub fn same(&self, other: &Self) -> bool {
        self.address() == other.address()
    }

    /// A number that tells living values apart.
    #[inline]
    pub fn address(&self) -> usize {
        self.0.as_ptr().cast::<()>() as usize
    }

    #[inline]
    pub fn strong_count(&self) -> usize {
        strong(counts(&self.0).load(Acquire)) as usize
    }

    /// Whether this is the only reference of either kind.
    #[inline]
    pub fn is_sole(&self) -> bool {
        counts(&self.0).load(Acquire) == SOLE
    }

    pub fn downgrade(&self) -> Weak<T> {
        let before = counts(&self.0).fetch_add(WEAK, Relaxed);
        if weak(before) > MOST {
            std::process::abort();
        }
        Weak(self.0)
    }
}

impl<T: ?Sized> Clone for Shared<T> {
    #[inline]
    fn clone(&self) -> Self {
        let before = counts(&self.0).fetch_add(STRONG, Relaxed);
        if strong(before) > MOST {
            std::process::abort();
        }
        Shared(self.0)
    }
}

impl<T: ?Sized> Drop for Shared<T> {
    #[inline]
    fn drop(&mut self) {
        if self.is_sole() {
            // SAFETY: nobody else has a reference, nor can get one; this one ends here. Acquired are the writes of those whose
            // references ended before.
            return drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
        if strong(counts(&self.0).fetch_sub(STRONG, AcqRel)) == 1 {
            // SAFETY: this was the last strong reference. The weak one that it stood for keeps the memory until the value is gone.
            unsafe { end(self.0) };
        }
    }
}

/// Drops the value of the last strong reference, and that reference's weak one.
///
/// # Safety
/// Called once for a value.
#[inline(never)]
unsafe fn end<T: ?Sized>(counted: NonNull<Counted<T>>) {
    let rest = Weak(counted);
    // SAFETY: no reference to the value is left.
    unsafe { std::ptr::drop_in_place(&raw mut (*counted.as_ptr()).value) };
    drop(rest);
}

impl<T: ?Sized> Weak<T> {
    /// The value, where it still lives.
    pub fn upgrade(&self) -> Option<Shared<T>> {
        let taken = counts(&self.0).fetch_update(Acquire, Relaxed, |counts| (strong(counts) != 0).then(|| counts + STRONG));
        match taken {
            Ok(before) if strong(before) > MOST => std::process::abort(),
            Ok(_) => Some(Shared(self.0)),
            Err(_) => None,
        }
    }
}

impl<T: ?Sized> Clone for Weak<T> {
    fn clone(&self) -> Self {
        let before = counts(&self.0).fetch_add(WEAK, Relaxed);
        if weak(before) > MOST {
            std::process::abort();
        }
        Weak(self.0)
    }
}

impl<T: ?Sized> Drop for Weak<T> {
    fn drop(&mut self) {
        // SAFETY: the memory is there until this reference is gone; of a value that may be dropped already only size and alignment
        // are asked for.
        unsafe {
            let layout = Layout::for_value(&*self.0.as_ptr());
            if weak(counts(&self.0).fetch_sub(WEAK, AcqRel)) == 1 {
                std::alloc::dealloc(self.0.as_ptr().cast(), layout);
            }
        }
    }
}

impl<T: ?Sized + std::fmt::Debug> std::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> std::fmt::Debug for Weak<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("(Weak)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    /// Counts its drops.
    struct Noted(Arc<AtomicUsize>);

    impl Drop for Noted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Relaxed);
        }
    }

    fn noted() -> (Shared<Noted>, Arc<AtomicUsize>) {
        let drops = Arc::new(AtomicUsize::new(0));
        (Shared::new(Noted(drops.clone())), drops)
    }

    #[test]
    fn the_last_strong_reference_drops_the_value_once() {
        let (a, drops) = noted();
        let b = a.clone();
        assert!(a.same(&b) && a.strong_count() == 2 && !a.is_sole());
        drop(a);
        assert_eq!(drops.load(Relaxed), 0);
        assert!(b.is_sole());
        drop(b);
        assert_eq!(drops.load(Relaxed), 1);
    }

    #[test]
    fn a_weak_reference_ends_with_the_value_and_keeps_only_memory() {
        let (a, drops) = noted();
        let weak = a.downgrade();
        assert!(!a.is_sole() && weak.upgrade().is_some_and(|b| a.same(&b)));
        let second = weak.clone();
        drop(a);
        assert_eq!(drops.load(Relaxed), 1);
        assert!(weak.upgrade().is_none());
        drop(weak);
        assert!(second.upgrade().is_none());
    }

    #[test]
    fn a_value_behind_a_trait_is_dropped_as_what_it_is() {
        let drops = Arc::new(AtomicUsize::new(0));
        trait Any {}
        impl Any for Noted {}
        let boxed: Box<Counted<dyn Any>> = Counted::new(Noted(drops.clone()));
        let shared: Shared<dyn Any> = boxed.into();
        let weak = shared.downgrade();
        drop(shared.clone());
        drop(shared);
        assert!(weak.upgrade().is_none());
        drop(weak);
        assert_eq!(drops.load(Relaxed), 1);
        drop(Shared::from(Counted::new(Noted(drops.clone())) as Box<Counted<dyn Any>>));
        assert_eq!(drops.load(Relaxed), 2);
    }

    #[test]
    fn threads_that_clone_upgrade_and_drop_at_once_drop_the_value_once() {
        for round in 0..200 {
            let (a, drops) = noted();
            let weak = a.downgrade();
            std::thread::scope(|scope| {
                for i in 0..4 {
                    let (own, weak) = ((i % 2 == round % 2).then(|| a.clone()), weak.clone());
                    scope.spawn(move || {
                        for _ in 0..50 {
                            let got = weak.upgrade();
                            let other = own.clone().or(got);
                            drop(other.map(|o| o.downgrade()));
                        }
                        drop(own);
                    });
                }
                drop(a);
            });
            assert_eq!(drops.load(Relaxed), 1);
            assert!(weak.upgrade().is_none());
        }
    }

    #[test]
    fn a_value_is_made_where_it_stays() {
        let made = Counted::filled(|| [0u64; 40], |value| value[7] = 7);
        let shared = Shared::from(made);
        assert_eq!((shared[7], shared[8]), (7, 0));
    }
}
