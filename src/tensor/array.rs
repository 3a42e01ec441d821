//! An array: a dtype, a shape and strides over a storage. It knows nothing of gradients.

use crate::shape::{Shape, Strides, broadcast_strides, checked_numel, contiguous_strides, duplicate, is_contiguous, view_strides};
use crate::{DType, Device, Element, Error, Result, Storage, bail, ensure};

/// An untracked view of a storage. `offset` and `strides` count elements.
#[derive(Debug)]
pub struct Array {
    storage: Storage,
    dtype: DType,
    /// Whether the strides are exactly those of a fresh array.
    row_major: bool,
    shape: Shape,
    strides: Strides,
    offset: usize,
    /// Number of elements.
    numel: usize,
}

impl Clone for Array {
    // Into its place at once: what is copied twice in a row waits for itself.
    #[inline(always)]
    fn clone(&self) -> Self {
        if !self.shape.spilled() && !self.strides.spilled() {
            std::mem::forget(self.storage.clone());
            // SAFETY: inline vectors of plain values own nothing, and the storage's new reference has just been counted, so that
            // the bits are another array: copied whole, from where they have long been.
            return unsafe { std::ptr::read(self) };
        }
        self.clone_of_high_rank()
    }
}

impl Array {
    #[cold]
    #[inline(never)]
    fn clone_of_high_rank(&self) -> Self {
        Array {
            storage: self.storage.clone(),
            dtype: self.dtype,
            row_major: self.row_major,
            shape: self.shape.clone(),
            strides: self.strides.clone(),
            offset: self.offset,
            numel: self.numel,
        }
    }
}

/// What a fresh array of another's geometry consists of, to be put together where it stays: an [`Array`] is large, and moving one
/// that has just been written field by field stalls the processor (see [`Counted::filled`](crate::Counted::filled)).
#[derive(Debug)]
pub struct Twin<'a> {
    storage: Storage,
    dtype: DType,
    like: &'a Array,
}

impl Twin<'_> {
    #[inline(always)]
    pub fn array(self) -> Array {
        let Twin { storage, dtype, like } = self;
        let (shape, strides) = (duplicate(&like.shape), duplicate(&like.strides));
        Array { storage, dtype, row_major: true, shape, strides, offset: 0, numel: like.numel }
    }

    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Address of the first element.
    #[inline]
    pub fn ptr(&self) -> *mut u8 {
        self.storage.ptr()
    }
}

/// How two arrays share memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    None,
    /// The same elements in the same order.
    Exact,
    Partial,
}

fn len_bytes(shape: &[usize], dtype: DType) -> Result<usize> {
    checked_numel(shape)
        .and_then(|n| n.checked_mul(dtype.size_bytes()))
        .filter(|&n| n <= isize::MAX as usize)
        .ok_or_else(|| Error::Runtime(format!("Storage size calculation overflowed with sizes={shape:?}")))
}

/// An empty vector with room for `n`, or an error.
fn room<T>(n: usize) -> Result<Vec<T>> {
    let mut out = Vec::new();
    out.try_reserve_exact(n).map_err(|_| Error::OutOfMemory { bytes: n.saturating_mul(size_of::<T>()) })?;
    Ok(out)
}

/// Makes every byte of bools 0 or 1.
fn settle(bytes: &mut [u8], dtype: DType) {
    if dtype == DType::Bool {
        bytes.iter_mut().for_each(|b| *b = u8::from(*b != 0));
    }
}

/// Number of elements; more than any memory holds where it overflows (an expanded array).
fn numel(shape: &[usize]) -> usize {
    shape.iter().fold(1, |n, &size| n.saturating_mul(size))
}

fn is_row_major(shape: &[usize], strides: &[isize]) -> bool {
    let mut expected = 1isize;
    for (&size, &stride) in shape.iter().zip(strides).rev() {
        if stride != expected {
            return false;
        }
        expected = expected.saturating_mul(size.max(1) as isize);
    }
    true
}

impl Array {
    /// A contiguous array with arbitrary contents.
    #[inline]
    pub fn empty(shape: &[usize], dtype: DType, device: Device) -> Result<Array> {
        let storage = Storage::uninit(len_bytes(shape, dtype)?, device)?;
        Ok(Array::whole(storage, dtype, shape))
    }

    pub fn zeros(shape: &[usize], dtype: DType, device: Device) -> Result<Array> {
        let storage = Storage::zeroed(len_bytes(shape, dtype)?, device)?;
        Ok(Array::whole(storage, dtype, shape))
    }

    /// A row-major array from the start of a fresh storage.
    #[inline]
    fn whole(storage: Storage, dtype: DType, shape: &[usize]) -> Array {
        Array { storage, dtype, row_major: true, shape: shape.into(), strides: contiguous_strides(shape), offset: 0, numel: numel(shape) }
    }

    #[inline]
    fn over(storage: Storage, dtype: DType, shape: Shape, strides: Strides, offset: usize) -> Array {
        let (row_major, numel) = (is_row_major(&shape, &strides), numel(&shape));
        Array { storage, dtype, row_major, shape, strides, offset, numel }
    }

    /// A fresh array of this one's geometry, which is row-major (see [`Array::is_row_major`]), with arbitrary contents.
    #[inline]
    pub fn twin(&self, dtype: DType) -> Result<Twin<'_>> {
        debug_assert!(self.is_row_major());
        let storage = Storage::uninit(self.numel * dtype.size_bytes(), self.device())?;
        Ok(Twin { storage, dtype, like: self })
    }

    pub fn from_slice<T: Element>(data: &[T], shape: &[usize]) -> Result<Array> {
        ensure!(
            checked_numel(shape) == Some(data.len()),
            Runtime,
            "shape '{}' is invalid for input of size {}",
            crate::error::sizes(shape),
            data.len()
        );
        let out = Array::empty(shape, T::DTYPE, Device::Cpu)?;
        // SAFETY: `out` is fresh, contiguous and of `data.len()` elements of T.
        unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), out.ptr().cast(), data.len()) };
        Ok(out)
    }

    /// An array of little-endian bytes in row-major order; a bool is true where its byte is not 0.
    pub fn from_bytes(bytes: &[u8], shape: &[usize], dtype: DType) -> Result<Array> {
        ensure!(
            len_bytes(shape, dtype)? == bytes.len(),
            Runtime,
            "shape '{}' of {} is invalid for {} bytes",
            crate::error::sizes(shape),
            dtype.name(),
            bytes.len()
        );
        let out = Array::empty(shape, dtype, Device::Cpu)?;
        // SAFETY: `out` is fresh and of as many bytes; what a bool's byte may be is seen to below.
        let target = unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), out.ptr(), bytes.len());
            std::slice::from_raw_parts_mut(out.ptr(), bytes.len())
        };
        settle(target, dtype);
        Ok(out)
    }

    /// The bytes of a contiguous array that the CPU can address, little-endian.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        ensure!(self.is_host() && self.is_contiguous(), Runtime, "bytes are read only of contiguous arrays on the CPU");
        let mut out = room(self.len_bytes())?;
        // SAFETY: both are that long, and `out` is fresh.
        unsafe {
            std::ptr::copy_nonoverlapping(self.ptr(), out.as_mut_ptr(), self.len_bytes());
            out.set_len(self.len_bytes());
        }
        settle(&mut out, self.dtype);
        Ok(out)
    }

    /// The elements of a contiguous array of `T` that the CPU can address.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if self.dtype != T::DTYPE {
            return Err(Error::same_dtype(T::DTYPE, self.dtype));
        }
        let bytes = self.to_bytes()?;
        let mut out: Vec<T> = room(self.numel())?;
        // SAFETY: `out` has room for as many bytes, which are values of T: any bits of a number, and 0 or 1 of a bool.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), out.as_mut_ptr().cast(), bytes.len());
            out.set_len(self.numel());
        }
        Ok(out)
    }

    /// A view of a storage; every element must lie inside it.
    pub fn from_storage(storage: Storage, dtype: DType, shape: &[usize], strides: &[isize], offset: usize) -> Result<Array> {
        ensure!(
            shape.len() == strides.len(),
            Runtime,
            "mismatch in length of strides and shape: got {} and {}",
            strides.len(),
            shape.len()
        );
        len_bytes(shape, dtype)?;
        let out = Array::over(storage, dtype, shape.into(), strides.into(), offset);
        out.check_bounds()?;
        Ok(out)
    }

    fn check_bounds(&self) -> Result<()> {
        if self.numel() == 0 {
            return Ok(());
        }
        let (mut low, mut high) = (self.offset as i128, self.offset as i128);
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            let reach = (size as i128 - 1) * stride as i128;
            if reach < 0 { low += reach } else { high += reach }
        }
        let needed = (high + 1) * self.dtype.size_bytes() as i128;
        if low < 0 || needed > self.storage.len_bytes() as i128 {
            bail!(
                Runtime,
                "setStorage: sizes {:?}, strides {:?}, storage offset {}, and itemsize {} requiring a storage size of {} are out of bounds for storage of size {}",
                self.shape,
                self.strides,
                self.offset,
                self.dtype.size_bytes(),
                needed,
                self.storage.len_bytes()
            );
        }
        Ok(())
    }

    /// The same storage under another geometry, which the caller has derived from this one's (so it lies inside).
    pub fn with_geometry(&self, shape: Shape, strides: Strides, offset: usize) -> Array {
        let out = Array::over(self.storage.clone(), self.dtype, shape, strides, offset);
        debug_assert!(out.check_bounds().is_ok(), "{out:?} of {self:?}");
        out
    }

    /// As [`Array::with_geometry`] with bounds checked.
    pub fn as_strided(&self, shape: &[usize], strides: &[isize], offset: usize) -> Result<Array> {
        Array::from_storage(self.storage.clone(), self.dtype, shape, strides, offset)
    }

    /// The same bytes read as another dtype of the same width.
    pub fn reinterpret(&self, dtype: DType) -> Result<Array> {
        ensure!(
            dtype.size_bytes() == self.dtype.size_bytes(),
            Runtime,
            "cannot view {} as {}: element sizes differ",
            self.dtype.name(),
            dtype.name()
        );
        Ok(Array { dtype, ..self.clone() })
    }

    #[inline]
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    #[inline]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    #[inline]
    pub fn device(&self) -> Device {
        self.storage.device()
    }

    #[inline]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    #[inline]
    pub fn strides(&self) -> &[isize] {
        &self.strides
    }

    pub fn offset(&self) -> usize {
        self.offset
    }

    #[inline]
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    #[inline]
    pub fn numel(&self) -> usize {
        self.numel
    }

    /// Of the elements one by one; an expanded array has fewer in memory, and perhaps more than any memory holds.
    pub fn len_bytes(&self) -> usize {
        self.numel.saturating_mul(self.dtype.size_bytes())
    }

    pub fn is_meta(&self) -> bool {
        self.device() == Device::Meta
    }

    /// Whether the CPU can address the elements.
    #[inline]
    pub fn is_host(&self) -> bool {
        self.device() == Device::Cpu
    }

    #[inline]
    pub fn is_contiguous(&self) -> bool {
        self.row_major || is_contiguous(&self.shape, &self.strides)
    }

    /// Whether the strides are exactly those of a fresh array.
    #[inline]
    pub fn is_row_major(&self) -> bool {
        self.row_major
    }

    /// Whether both have the same shape and strides.
    #[inline]
    pub fn has_geometry_of(&self, other: &Array) -> bool {
        // By hand: comparing slices calls into the C library.
        self.rank() == other.rank()
            && self.shape.iter().zip(&other.shape).all(|(a, b)| a == b)
            && ((self.row_major && other.row_major) || self.strides.iter().zip(&other.strides).all(|(a, b)| a == b))
    }

    /// Address of the first element; of an empty array whatever its offset gives.
    #[inline]
    pub fn ptr(&self) -> *mut u8 {
        self.storage.ptr().wrapping_add(self.offset.wrapping_mul(self.dtype.size_bytes()))
    }

    /// The strides with which this is read as `shape` (already known to broadcast).
    pub fn strides_as(&self, shape: &[usize]) -> Strides {
        if self.shape.as_slice() == shape { self.strides.clone() } else { broadcast_strides(&self.shape, &self.strides, shape) }
    }

    /// The view of another shape with as many elements, where no copy is needed.
    pub fn view(&self, shape: &[usize]) -> Option<Array> {
        let strides = view_strides(&self.shape, &self.strides, shape)?;
        Some(self.with_geometry(shape.into(), strides, self.offset))
    }

    /// Whether two indices reach one element. Conservative where strides interleave: only expanded dimensions count, as in
    /// PyTorch.
    pub fn has_internal_overlap(&self) -> bool {
        self.shape.iter().zip(&self.strides).any(|(&size, &stride)| size > 1 && stride == 0) && self.numel() > 0
    }

    /// The bytes of the storage between the first element reached and the last; empty where there is none.
    pub fn reach_bytes(&self) -> std::ops::Range<usize> {
        let base = self.storage.ptr() as usize;
        self.extent().map_or(0..0, |(low, high)| low - base..high - base)
    }

    /// First and last byte address reached, the last exclusive; None where empty.
    fn extent(&self) -> Option<(usize, usize)> {
        if self.numel() == 0 {
            return None;
        }
        let (mut low, mut high) = (0isize, 0isize);
        for (&size, &stride) in self.shape.iter().zip(&self.strides) {
            let reach = (size as isize - 1) * stride;
            if reach < 0 { low += reach } else { high += reach }
        }
        let width = self.dtype.size_bytes() as isize;
        let start = self.ptr() as isize;
        Some(((start + low * width) as usize, (start + (high + 1) * width) as usize))
    }

    /// How the memory of two arrays overlaps. Interleaved views of one storage (say, even and odd columns) count as
    /// overlapping only where both are dense in what they span, as in PyTorch, which ignores what it cannot tell.
    pub fn overlap(&self, other: &Array) -> Overlap {
        if self.device() == Device::Meta || other.device() == Device::Meta {
            return Overlap::None;
        }
        let (Some(a), Some(b)) = (self.extent(), other.extent()) else { return Overlap::None };
        if a.1 <= b.0 || b.1 <= a.0 {
            return Overlap::None;
        }
        if self.ptr() == other.ptr() && self.shape == other.shape && self.strides == other.strides && self.dtype == other.dtype {
            return Overlap::Exact;
        }
        let dense = |x: &Array, extent: (usize, usize)| extent.1 - extent.0 == x.len_bytes();
        if dense(self, a) && dense(other, b) { Overlap::Partial } else { Overlap::None }
    }
}
