//! How kernels see tensor memory: a pointer, a shape and strides, never a Rust reference. Outputs may be uninitialised,
//! inputs may alias an output exactly, and other threads may write the same memory: a torn value is then the caller's, a
//! crash never.

use std::marker::PhantomData;

/// What a kernel reads: `shape` and `strides` count elements.
#[derive(Debug)]
pub struct Src<'a, T> {
    pub ptr: *const T,
    pub shape: &'a [usize],
    pub strides: &'a [isize],
    marker: PhantomData<&'a T>,
}

/// What a kernel writes; possibly uninitialised, never read before it is written.
#[derive(Debug)]
pub struct Dst<'a, T> {
    pub ptr: *mut T,
    pub shape: &'a [usize],
    pub strides: &'a [isize],
    marker: PhantomData<&'a mut T>,
}

impl<T> Clone for Src<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Src<'_, T> {}
impl<T> Clone for Dst<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Dst<'_, T> {}

// SAFETY: both are plain addresses; whoever made them vouched (see `new`) that the memory outlives 'a and that no write
// overlaps another access except the ones the kernel itself orders.
unsafe impl<T: Send> Send for Src<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Src<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Dst<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Dst<'_, T> {}

impl<'a, T> Src<'a, T> {
    /// # Safety
    /// Every element that `shape` and `strides` reach from `ptr` is readable and initialised for 'a, and `shape` and
    /// `strides` are of one length.
    pub unsafe fn new(ptr: *const T, shape: &'a [usize], strides: &'a [isize]) -> Self {
        debug_assert_eq!(shape.len(), strides.len());
        Src { ptr, shape, strides, marker: PhantomData }
    }

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row-major without gaps.
    pub fn is_contiguous(&self) -> bool {
        is_contiguous(self.shape, self.strides)
    }
}

impl<'a, T> Dst<'a, T> {
    /// # Safety
    /// Every element that `shape` and `strides` reach from `ptr` is writable for 'a, no two indices reach one element, and
    /// `shape` and `strides` are of one length.
    pub unsafe fn new(ptr: *mut T, shape: &'a [usize], strides: &'a [isize]) -> Self {
        debug_assert_eq!(shape.len(), strides.len());
        Dst { ptr, shape, strides, marker: PhantomData }
    }

    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Row-major without gaps.
    pub fn is_contiguous(&self) -> bool {
        is_contiguous(self.shape, self.strides)
    }

    /// The same memory, to be read once it has been written.
    ///
    /// # Safety
    /// All elements have been written.
    pub unsafe fn as_src(&self) -> Src<'a, T> {
        Src { ptr: self.ptr, shape: self.shape, strides: self.strides, marker: PhantomData }
    }
}

/// Whether strides are those of a row-major array without gaps; sizes 1 and empty arrays do not care.
pub fn is_contiguous(shape: &[usize], strides: &[isize]) -> bool {
    let mut expected = 1isize;
    for (&size, &stride) in shape.iter().zip(strides).rev() {
        if size == 0 {
            return true;
        }
        if size != 1 {
            if stride != expected {
                return false;
            }
            expected *= size as isize;
        }
    }
    true
}
