//! An allocator for programs that make and drop many small objects: what a recorded op needs besides its memory (tensor, node,
//! storage header) is freed by the thread that made it a moment ago, so that a list per size beats the C library's `malloc`
//! threefold. The extension module uses it for everything; other programs may, by `#[global_allocator]`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;

/// Sizes up to this come from the lists.
const LARGEST_BYTES: usize = 512;
const STEP_BYTES: usize = 16;
const CLASSES: usize = LARGEST_BYTES / STEP_BYTES;
/// A list keeps at most this much.
const LIST_BYTES: usize = 64 << 10;

/// Freed objects of one size, each holding the address of the next, and how many more are taken in.
struct List {
    first: Cell<*mut u8>,
    room: Cell<u32>,
}

thread_local! {
    // No destructor, so that access is an address and no more; `Guard` empties the lists when the thread ends.
    static LISTS: [List; CLASSES] = const { [const { List { first: Cell::new(null_mut()), room: Cell::new(0) } }; CLASSES] };
    static OPEN: Cell<Life> = const { Cell::new(Life::Unborn) };
    static GUARD: Guard = const { Guard };
}

#[derive(Clone, Copy, PartialEq)]
enum Life {
    Unborn,
    Open,
    Over,
}

struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        OPEN.set(Life::Over);
        LISTS.with(|lists| {
            for (class, list) in lists.iter().enumerate() {
                list.room.set(0);
                let mut next = list.first.replace(null_mut());
                while !next.is_null() {
                    // SAFETY: objects in the lists are free, of the class's size, and hold the next one's address.
                    unsafe {
                        let object = next;
                        next = object.cast::<*mut u8>().read();
                        System.dealloc(object, layout_of(class));
                    }
                }
            }
        });
    }
}

#[inline]
fn class_of(layout: Layout) -> usize {
    // A size of 0 never comes here; larger alignments count as larger sizes.
    if layout.align() <= STEP_BYTES { (layout.size().wrapping_sub(1)) / STEP_BYTES } else { CLASSES }
}

#[inline]
fn layout_of(class: usize) -> Layout {
    // SAFETY: a small multiple of a power of two.
    unsafe { Layout::from_size_align_unchecked((class + 1) * STEP_BYTES, STEP_BYTES) }
}

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Objects;

#[cold]
#[inline(never)]
fn put_slowly(object: *mut u8, class: usize) {
    // The first object of this thread opens its lists.
    if OPEN.get() == Life::Unborn {
        OPEN.set(Life::Open);
        GUARD.with(|_| {});
        LISTS.with(|lists| {
            for (class, list) in lists.iter().enumerate() {
                list.room.set((LIST_BYTES / layout_of(class).size()) as u32);
            }
        });
        // SAFETY: the caller's object.
        return unsafe { Objects.dealloc(object, layout_of(class)) };
    }
    // SAFETY: the object came from the system with this layout.
    unsafe { System.dealloc(object, layout_of(class)) }
}

// SAFETY: an object is handed out by one list at a time, of a size not less than asked for, aligned to 16 bytes as every object
// that `System` gave with such a layout; all other requests go to `System`, by a rule of the layout alone.
unsafe impl GlobalAlloc for Objects {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let class = class_of(layout);
        if class >= CLASSES {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        }
        LISTS.with(|lists| {
            let list = &lists[class];
            let first = list.first.get();
            // SAFETY: a listed object is free and holds the next one's address.
            unsafe {
                if first.is_null() {
                    return System.alloc(layout_of(class));
                }
                list.first.set(first.cast::<*mut u8>().read());
            }
            list.room.set(list.room.get() + 1);
            first
        })
    }

    #[inline]
    unsafe fn dealloc(&self, object: *mut u8, layout: Layout) {
        let class = class_of(layout);
        if class >= CLASSES {
            // SAFETY: the caller's promise.
            return unsafe { System.dealloc(object, layout) };
        }
        LISTS.with(|lists| {
            let list = &lists[class];
            let room = list.room.get();
            if room == 0 {
                return put_slowly(object, class);
            }
            // SAFETY: the object is free now, ours, and has room for an address.
            unsafe { object.cast::<*mut u8>().write(list.first.get()) };
            list.first.set(object);
            list.room.set(room - 1);
        });
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if class_of(layout) >= CLASSES {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc_zeroed(layout) };
        }
        // SAFETY: as above; what is written lies inside the object.
        unsafe {
            let object = self.alloc(layout);
            if !object.is_null() {
                object.write_bytes(0, layout.size());
            }
            object
        }
    }

    unsafe fn realloc(&self, object: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe {
            let new = Layout::from_size_align_unchecked(size, layout.align());
            match (class_of(layout), class_of(new)) {
                (old, new) if old >= CLASSES && new >= CLASSES => System.realloc(object, layout, size),
                (old, new) if old == new => object,
                _ => {
                    let to = self.alloc(new);
                    if !to.is_null() {
                        to.copy_from_nonoverlapping(object, layout.size().min(size));
                        self.dealloc(object, layout);
                    }
                    to
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize, align: usize) -> Layout {
        Layout::from_size_align(size, align).unwrap()
    }

    #[test]
    fn a_freed_object_is_handed_out_again() {
        // SAFETY: each object is freed once, with its layout.
        unsafe {
            let a = Objects.alloc(layout(40, 8));
            Objects.dealloc(a, layout(40, 8));
            let b = Objects.alloc(layout(33, 16));
            assert_eq!(a, b);
            Objects.dealloc(b, layout(33, 16));
        }
    }

    #[test]
    fn objects_keep_their_bytes_and_alignment_through_every_change_of_size() {
        // SAFETY: each object is freed once, with its layout; reads stay inside.
        unsafe {
            for align in [1, 8, 16, 64, 4096] {
                let mut size = 1;
                let mut object = Objects.alloc(layout(size, align));
                object.write(7);
                for new in [16, 17, 500, 512, 513, 4000, 100_000, 600, 512, 100, 3] {
                    object = Objects.realloc(object, layout(size, align), new);
                    assert!(object.addr() % align == 0, "{new} {align}");
                    for i in 0..size.min(new) {
                        assert_eq!(object.add(i).read(), (i as u8).wrapping_mul(3).wrapping_add(7), "{size} -> {new}");
                    }
                    size = new;
                    for i in 0..size {
                        object.add(i).write((i as u8).wrapping_mul(3).wrapping_add(7));
                    }
                }
                Objects.dealloc(object, layout(size, align));
                let zeros = Objects.alloc_zeroed(layout(100, align));
                assert!((0..100).all(|i| zeros.add(i).read() == 0));
                Objects.dealloc(zeros, layout(100, align));
            }
        }
    }

    #[test]
    fn objects_cross_threads_and_outlive_them() {
        struct Sent(Vec<(*mut u8, usize)>);
        // SAFETY: plain memory with one owner.
        unsafe impl Send for Sent {}
        let made = std::thread::spawn(|| {
            // SAFETY: freed once below, with the same layout.
            Sent((1..5000).map(|i| (unsafe { Objects.alloc(layout(i % 600 + 1, 8)) }, i % 600 + 1)).collect())
        });
        let made = made.join().unwrap();
        std::thread::spawn(move || {
            let made = made;
            for (object, size) in made.0 {
                // SAFETY: as said.
                unsafe { Objects.dealloc(object, layout(size, 8)) };
            }
        })
        .join()
        .unwrap();
    }
}
