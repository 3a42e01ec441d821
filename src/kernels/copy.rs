//! Copies and casts between strided memory, and fills: everything that moves elements without arithmetic on them.
//!
//! One engine: the dimensions are sorted by the destination's strides and merged; what is left runs as contiguous rows, as
//! strided rows, or as blocked transposes through a buffer that stays in the first cache. Work is split by size only.

use crate::level::dispatch;
use crate::memory::{Dst, Src, is_contiguous};
use crate::parallel::par_for;
use half::{f16, slice::HalfFloatSliceExt};
use rustnn_tensor::DType;
use smallvec::SmallVec;
use std::sync::OnceLock;

/// Bytes of output that one parallel task writes.
const TASK_BYTES: usize = 128 << 10;
/// Elements of a cast that pass through a stack buffer at once.
const BLOCK: usize = 512;
/// Elements on a side of a transposed tile.
const TILE: usize = 64;
/// Up to this many elements plain loops win over rows and tiles.
const SMALL: usize = 256;

/// A dimension of N arrays of one shape; strides in elements, the written array first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dim<const N: usize> {
    pub(crate) size: usize,
    pub(crate) strides: [isize; N],
}

pub(crate) type Dims<const N: usize> = SmallVec<[Dim<N>; 8]>;

/// Places of a copy's strides.
const DST: usize = 0;
const SRC: usize = 1;

/// The dimensions that matter, largest destination stride first, neighbours merged where all arrays allow it.
#[inline]
pub(crate) fn plan<const N: usize>(shape: &[usize], strides: [&[isize]; N]) -> Dims<N> {
    let mut dims = Dims::new();
    for (k, &size) in shape.iter().enumerate() {
        if size != 1 {
            dims.push(Dim { size, strides: strides.map(|s| s[k]) });
        }
    }
    let sorted = dims.as_mut_slice();
    for i in 1..sorted.len() {
        let mut at = i;
        while at > 0 && sorted[at - 1].strides[DST].unsigned_abs() < sorted[at].strides[DST].unsigned_abs() {
            sorted.swap(at - 1, at);
            at -= 1;
        }
    }
    let mut kept = 0;
    for i in 1..sorted.len() {
        let (outer, inner) = (sorted[kept], sorted[i]);
        if (0..N).all(|n| outer.strides[n] == inner.strides[n] * inner.size as isize) {
            sorted[kept] = Dim { size: outer.size * inner.size, ..inner };
        } else {
            kept += 1;
            sorted[kept] = inner;
        }
    }
    dims.truncate(kept + 1);
    dims
}

/// Walks dimensions in row-major order, giving element offsets into N arrays.
pub(crate) struct Walk<'a, const N: usize> {
    dims: &'a [Dim<N>],
    index: SmallVec<[usize; 8]>,
    pub(crate) at: [isize; N],
}

impl<'a, const N: usize> Walk<'a, N> {
    pub(crate) fn at(dims: &'a [Dim<N>], mut linear: usize) -> Self {
        let mut walk = Walk { dims, index: SmallVec::from_elem(0, dims.len()), at: [0; N] };
        if linear == 0 {
            return walk;
        }
        for (k, dim) in dims.iter().enumerate().rev() {
            let i = linear % dim.size;
            linear /= dim.size;
            walk.index[k] = i;
            for n in 0..N {
                walk.at[n] += i as isize * dim.strides[n];
            }
        }
        walk
    }

    #[inline]
    pub(crate) fn step(&mut self) {
        for (k, dim) in self.dims.iter().enumerate().rev() {
            self.index[k] += 1;
            for n in 0..N {
                self.at[n] += dim.strides[n];
            }
            if self.index[k] < dim.size {
                return;
            }
            self.index[k] = 0;
            for n in 0..N {
                self.at[n] -= dim.strides[n] * dim.size as isize;
            }
        }
    }
}

/// An address that may cross threads; tasks write disjoint elements behind it.
pub(crate) struct Shared<T>(*mut T);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Shared<T> {}
// SAFETY: a plain address; whoever uses it in a task keeps the tasks' elements apart.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    #[inline(always)]
    pub(crate) fn new(ptr: *mut T) -> Self {
        Shared(ptr)
    }

    #[inline(always)]
    pub(crate) fn read_only(ptr: *const T) -> Self {
        Shared(ptr.cast_mut())
    }

    #[inline(always)]
    pub(crate) fn get(self) -> *mut T {
        self.0
    }
}

/// The copy of few elements: plain nested loops, so that nothing is paid for but the elements.
pub(crate) unsafe fn small<T: Copy>(src: *const T, dst: *mut T, dims: &[Dim<2>]) {
    const ONE: Dim<2> = Dim { size: 1, strides: [0, 0] };
    let split = dims.len().saturating_sub(4);
    let mut inner = [ONE; 4];
    inner[4 - (dims.len() - split)..].copy_from_slice(&dims[split..]);
    // The order is free here: the longest loop goes inside.
    let longest = (0..4).max_by_key(|&k| inner[k].size).unwrap_or(3);
    inner.swap(longest, 3);
    let [a, b, c, d] = inner;
    let outer = &dims[..split];
    let mut walk = Walk::at(outer, 0);
    let mut rest: usize = outer.iter().map(|d| d.size).product();
    loop {
        let (from, to) = (src.wrapping_offset(walk.at[SRC]), dst.wrapping_offset(walk.at[DST]));
        for i in 0..a.size as isize {
            let (from, to) = (from.wrapping_offset(i * a.strides[SRC]), to.wrapping_offset(i * a.strides[DST]));
            for j in 0..b.size as isize {
                let (mut from, mut to) = (from.wrapping_offset(j * b.strides[SRC]), to.wrapping_offset(j * b.strides[DST]));
                for _ in 0..c.size {
                    let (mut x, mut y) = (from, to);
                    // Steps of two: an unrolled loop's entrance would cost more than the elements.
                    for _ in 0..d.size / 2 {
                        // SAFETY: two elements of the caller's arrays.
                        unsafe {
                            y.write(x.read());
                            y.wrapping_offset(d.strides[DST]).write(x.wrapping_offset(d.strides[SRC]).read());
                        }
                        (x, y) = (x.wrapping_offset(2 * d.strides[SRC]), y.wrapping_offset(2 * d.strides[DST]));
                    }
                    if d.size % 2 == 1 {
                        // SAFETY: the last element.
                        unsafe { y.write(x.read()) };
                    }
                    from = from.wrapping_offset(c.strides[SRC]);
                    to = to.wrapping_offset(c.strides[DST]);
                }
            }
        }
        rest -= 1;
        if rest == 0 {
            return;
        }
        walk.step();
    }
}

/// The conversion of few elements (at most BLOCK): gather, convert once, scatter.
unsafe fn small_cast<T: Copy>(bases: Bases, dims: &mut [Dim<2>], len: usize, cast: &Cast) {
    let mut gathered = [const { std::mem::MaybeUninit::<T>::uninit() }; BLOCK];
    let mut converted = [const { std::mem::MaybeUninit::<[u64; 2]>::uninit() }; BLOCK];
    let (src, dst) = (bases.src.get(), bases.dst.get());
    let targets: SmallVec<[isize; 8]> = dims.iter().map(|d| d.strides[DST]).collect();
    let mut dense = 1;
    for dim in dims.iter_mut().rev() {
        dim.strides[DST] = dense;
        dense *= dim.size as isize;
    }
    let is_dense = dims.iter().zip(&targets).all(|(d, &target)| d.strides[DST] == target);
    // SAFETY: `len <= BLOCK` elements in the buffers, the caller's promise for the arrays.
    unsafe {
        small::<T>(src.cast(), gathered.as_mut_ptr().cast(), dims);
        if is_dense {
            return cast.run(gathered.as_ptr().cast(), dst, len);
        }
        let between = converted.as_mut_ptr().cast::<u8>();
        cast.run(gathered.as_ptr().cast(), between, len);
        for (dim, &target) in dims.iter_mut().zip(&targets) {
            dim.strides = [target, dim.strides[DST]];
        }
        match cast.to_width {
            1 => small::<u8>(between, dst, dims),
            2 => small::<u16>(between.cast(), dst.cast(), dims),
            4 => small::<u32>(between.cast(), dst.cast(), dims),
            8 => small::<u64>(between.cast(), dst.cast(), dims),
            _ => small::<[u64; 2]>(between.cast(), dst.cast(), dims),
        }
    }
}

/// Base addresses of a copy.
#[derive(Clone, Copy)]
struct Bases {
    src: Shared<u8>,
    dst: Shared<u8>,
}

/// Copies `shape` elements from `src` to `dst`, converting from `from` to `to` as PyTorch does: float to integer truncates
/// (out of range as x86 does: the smallest integer of the converting instruction, then wrapped), wider integers wrap,
/// anything to bool is `x != 0` (NaN is true), float16/bfloat16 pass through float32 and round once to even.
///
/// Strides count elements of their own dtype; the source's may be 0 or negative. The source may be the destination exactly
/// (same address, strides and width); any other overlap gives unspecified values.
///
/// # Panics
/// If [`can_convert`] says no.
///
/// # Safety
/// As for [`Src::new`] and [`Dst::new`]; both addresses are aligned for their dtypes; a bool holds 0 or 1.
pub unsafe fn copy(from: DType, src: *const u8, src_strides: &[isize], to: DType, dst: *mut u8, dst_strides: &[isize], shape: &[usize]) {
    debug_assert!(shape.len() == src_strides.len() && shape.len() == dst_strides.len());
    if same_bits(from, to) {
        // SAFETY: the caller's promise.
        return unsafe { copy_bytes(from.size_bytes(), src, src_strides, dst, dst_strides, shape) };
    }
    let Some(cast) = Cast::new(from, to) else { panic!("no conversion from {} to {}", from.name(), to.name()) };
    let len: usize = shape.iter().product();
    if len == 0 {
        return;
    }
    let bases = Bases { src: Shared::read_only(src), dst: Shared::new(dst) };
    if len * to.size_bytes() <= TASK_BYTES && is_contiguous(shape, src_strides) && is_contiguous(shape, dst_strides) {
        // SAFETY: the caller's promise; all `len` elements lie in a row on both sides.
        return unsafe { cast.run(src, dst, len) };
    }
    let mut dims = plan(shape, [dst_strides, src_strides]);
    // SAFETY: the caller's promise.
    unsafe {
        match from.size_bytes() {
            1 => run::<u8>(bases, &mut dims, len, Some(&cast), to.size_bytes()),
            2 => run::<u16>(bases, &mut dims, len, Some(&cast), to.size_bytes()),
            4 => run::<u32>(bases, &mut dims, len, Some(&cast), to.size_bytes()),
            8 => run::<u64>(bases, &mut dims, len, Some(&cast), to.size_bytes()),
            _ => run::<[u64; 2]>(bases, &mut dims, len, Some(&cast), to.size_bytes()),
        }
    }
}

/// Whether [`copy`] converts between these dtypes: all but float8 and, in a build without them, complex ones; each to itself. A complex
/// number becomes its real part.
pub fn can_convert(from: DType, to: DType) -> bool {
    same_bits(from, to) || Cast::new(from, to).is_some()
}

/// As [`copy`] without conversion, for elements of `width` bytes (1, 2, 4, 8 or 16).
///
/// # Safety
/// As for [`copy`].
pub unsafe fn copy_bytes(width: usize, src: *const u8, src_strides: &[isize], dst: *mut u8, dst_strides: &[isize], shape: &[usize]) {
    let len: usize = shape.iter().product();
    if len == 0 || (std::ptr::eq(src, dst) && src_strides == dst_strides) {
        return;
    }
    let bases = Bases { src: Shared::read_only(src), dst: Shared::new(dst) };
    if len * width <= TASK_BYTES && is_contiguous(shape, src_strides) && is_contiguous(shape, dst_strides) {
        // SAFETY: the caller's promise. `copy` instead of `copy_nonoverlapping`: an alias with odd strides of unit
        // dimensions reaches this line.
        return unsafe { std::ptr::copy(src, dst, len * width) };
    }
    let mut dims = plan(shape, [dst_strides, src_strides]);
    // SAFETY: the caller's promise.
    unsafe {
        match width {
            1 => run::<u8>(bases, &mut dims, len, None, 1),
            2 => run::<u16>(bases, &mut dims, len, None, 2),
            4 => run::<u32>(bases, &mut dims, len, None, 4),
            8 => run::<u64>(bases, &mut dims, len, None, 8),
            16 => run::<[u64; 2]>(bases, &mut dims, len, None, 16),
            _ => unreachable!("element width {width}"),
        }
    }
}

/// Copies between arrays of one shape and type.
///
/// # Safety
/// As for [`copy`].
pub unsafe fn copy_elements<T: Copy>(src: Src<T>, dst: Dst<T>) {
    debug_assert_eq!(src.shape, dst.shape);
    // SAFETY: the caller's promise.
    unsafe { copy_bytes(size_of::<T>(), src.ptr.cast(), src.strides, dst.ptr.cast(), dst.strides, dst.shape) }
}

/// Writes `len` elements of `from` at `src` as `len` elements of `to` at `dst`, both contiguous, on this thread.
///
/// # Safety
/// As for [`copy`].
pub unsafe fn cast_row(from: DType, src: *const u8, to: DType, dst: *mut u8, len: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        match Cast::new(from, to) {
            _ if same_bits(from, to) => std::ptr::copy(src, dst, len * from.size_bytes()),
            Some(cast) => cast.run(src, dst, len),
            None => panic!("no conversion from {} to {}", from.name(), to.name()),
        }
    }
}

/// Writes the element of `width` bytes (1, 2, 4, 8 or 16) at `value` to every place of `dst`.
///
/// # Safety
/// As for [`copy`]; `value` does not lie in `dst`.
pub unsafe fn fill(width: usize, value: *const u8, dst: *mut u8, dst_strides: &[isize], shape: &[usize]) {
    let len: usize = shape.iter().product();
    if len * width <= TASK_BYTES && is_contiguous(shape, dst_strides) {
        // SAFETY: the caller's promise; all elements lie in a row.
        return unsafe {
            match width {
                1 => fill_row(value.read(), dst, len, false),
                2 => fill_row(value.cast::<u16>().read(), dst.cast(), len, false),
                4 => fill_row(value.cast::<u32>().read(), dst.cast(), len, false),
                8 => fill_row(value.cast::<u64>().read(), dst.cast(), len, false),
                _ => fill_row(value.cast::<[u64; 2]>().read(), dst.cast(), len, false),
            }
        };
    }
    let zeros: SmallVec<[isize; 8]> = SmallVec::from_elem(0, shape.len());
    // SAFETY: the caller's promise; strides of 0 read `value` alone.
    unsafe { copy_bytes(width, value, &zeros, dst, dst_strides, shape) }
}

/// As [`fill`], typed.
///
/// # Safety
/// As for [`copy`].
pub unsafe fn fill_elements<T: Copy>(value: T, dst: Dst<T>) {
    // SAFETY: the caller's promise.
    unsafe { fill(size_of::<T>(), (&raw const value).cast(), dst.ptr.cast(), dst.strides, dst.shape) }
}

/// Zeros `len_bytes` contiguous bytes.
///
/// # Safety
/// They are writable.
pub unsafe fn zero(dst: *mut u8, len_bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { fill(1, &0u8, dst, &[1], &[len_bytes]) }
}

/// Outputs beyond this many bytes do not stay in the last cache, so they are written around it.
pub fn streaming_bytes() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    *BYTES.get_or_init(|| {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        {
            // SAFETY: sysconf has no preconditions.
            let bytes = unsafe { libc::sysconf(libc::_SC_LEVEL3_CACHE_SIZE) };
            if bytes > 0 {
                return (bytes as usize).clamp(4 << 20, 64 << 20);
            }
        }
        16 << 20
    })
}

/// The engine. `T` is the source's width; `cast` converts contiguous runs into elements of `dst_width` bytes.
unsafe fn run<T: Copy>(bases: Bases, dims: &mut [Dim<2>], len: usize, cast: Option<&Cast>, dst_width: usize) {
    if len <= SMALL {
        // SAFETY: as the caller's.
        return unsafe {
            match cast {
                None => small::<T>(bases.src.get().cast(), bases.dst.get().cast(), dims),
                Some(cast) => small_cast::<T>(bases, dims, len, cast),
            }
        };
    }
    let Some((&inner, outer)) = dims.split_last() else {
        // SAFETY: a single element.
        return unsafe { put::<T>(bases.src.get(), bases.dst.get(), 1, cast) };
    };
    let stream = len * dst_width >= streaming_bytes();
    let partner = (inner.strides[DST] == 1 && inner.strides[SRC] != 1 && inner.strides[SRC] != 0)
        .then(|| outer.iter().position(|d| d.strides[SRC] == 1 && d.size > 1))
        .flatten();
    if let Some(partner) = partner {
        // SAFETY: as the caller's.
        return unsafe { transposes::<T>(bases, dims, partner, cast, dst_width, stream) };
    }
    let row_len = inner.size;
    let width = dst_width.max(size_of::<T>());
    let piece = row_len.min(TASK_BYTES / width);
    let pieces = row_len.div_ceil(piece);
    let total = len / row_len * pieces;
    let grain = (TASK_BYTES / (piece * width)).max(1);
    let body = |task: usize| {
        let first = task * grain;
        let last = (first + grain).min(total);
        let mut walk = Walk::at(outer, first / pieces);
        let mut at = first % pieces;
        for _ in first..last {
            let start = at * piece;
            let n = piece.min(row_len - start);
            let src = bases.src.get().wrapping_offset((walk.at[SRC] + start as isize * inner.strides[SRC]) * size_of::<T>() as isize);
            let dst = bases.dst.get().wrapping_offset((walk.at[DST] + start as isize * inner.strides[DST]) * dst_width as isize);
            // SAFETY: `n` elements of this row, all inside the arrays.
            unsafe { row::<T>(src, inner.strides[SRC], dst, inner.strides[DST], n, cast, dst_width, stream) };
            at += 1;
            if at == pieces {
                at = 0;
                walk.step();
            }
        }
        if stream {
            stream_end();
        }
    };
    let tasks = total.div_ceil(grain);
    if tasks == 1 { body(0) } else { par_for(tasks, &body) }
}

/// A contiguous run: as it is or converted.
#[inline(always)]
unsafe fn put<T: Copy>(src: *const u8, dst: *mut u8, n: usize, cast: Option<&Cast>) {
    // SAFETY: the caller's promise.
    unsafe {
        match cast {
            Some(cast) => cast.run(src, dst, n),
            // A call of memcpy costs more than a few moves.
            None if n * size_of::<T>() <= 32 => (0..n).for_each(|i| dst.cast::<T>().add(i).write(src.cast::<T>().add(i).read())),
            None => std::ptr::copy(src, dst, n * size_of::<T>()),
        }
    }
}

#[inline(always)]
unsafe fn row<T: Copy>(
    src: *const u8,
    src_stride: isize,
    dst: *mut u8,
    dst_stride: isize,
    n: usize,
    cast: Option<&Cast>,
    dst_width: usize,
    stream: bool,
) {
    let typed_src = src.cast::<T>();
    // SAFETY: every access below is one of the row's `n` elements.
    unsafe {
        match cast {
            _ if src_stride == 1 && dst_stride == 1 => {
                let len_bytes = n * dst_width;
                // Lines written in part would be read back: only long rows and whole lines go around the caches.
                if stream && (len_bytes >= 2048 || (dst.addr() | len_bytes).is_multiple_of(64)) {
                    stream_put::<T>(src, dst, n, cast, dst_width)
                } else {
                    put::<T>(src, dst, n, cast)
                }
            }
            None if src_stride == 0 && dst_stride == 1 => fill_row(typed_src.read(), dst.cast::<T>(), n, stream),
            None => strided(typed_src, src_stride, dst.cast::<T>(), dst_stride, n),
            Some(cast) => {
                let mut gathered = [const { std::mem::MaybeUninit::<T>::uninit() }; BLOCK];
                let mut converted = [const { std::mem::MaybeUninit::<[u64; 2]>::uninit() }; BLOCK];
                let mut done = 0;
                while done < n {
                    let m = BLOCK.min(n - done);
                    let here = typed_src.wrapping_offset(done as isize * src_stride);
                    let run = if src_stride == 1 {
                        here.cast()
                    } else {
                        strided(here, src_stride, gathered.as_mut_ptr().cast::<T>(), 1, m);
                        gathered.as_ptr().cast::<u8>()
                    };
                    let there = dst.wrapping_offset(done as isize * dst_stride * dst_width as isize);
                    if dst_stride == 1 {
                        cast.run(run, there, m);
                    } else {
                        cast.run(run, converted.as_mut_ptr().cast(), m);
                        let from = converted.as_ptr().cast::<u8>();
                        match dst_width {
                            1 => strided(from, 1, there, dst_stride, m),
                            2 => strided(from.cast::<u16>(), 1, there.cast(), dst_stride, m),
                            4 => strided(from.cast::<u32>(), 1, there.cast(), dst_stride, m),
                            8 => strided(from.cast::<u64>(), 1, there.cast(), dst_stride, m),
                            _ => strided(from.cast::<[u64; 2]>(), 1, there.cast(), dst_stride, m),
                        }
                    }
                    done += m;
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn strided<T: Copy>(src: *const T, src_stride: isize, dst: *mut T, dst_stride: isize, n: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        if dst_stride == 1 {
            for i in 0..n {
                dst.add(i).write(src.offset(i as isize * src_stride).read());
            }
        } else {
            for i in 0..n {
                dst.offset(i as isize * dst_stride).write(src.offset(i as isize * src_stride).read());
            }
        }
    }
}

#[inline(always)]
unsafe fn fill_row<T: Copy>(value: T, dst: *mut T, n: usize, stream: bool) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut done = 0;
        if stream && n * size_of::<T>() >= 4096 {
            let pattern = [value; 512];
            let m = pattern.len();
            while done < n {
                let run = m.min(n - done);
                stream_copy(pattern.as_ptr().cast(), dst.add(done).cast(), run * size_of::<T>());
                done += run;
            }
        }
        for i in done..n {
            dst.add(i).write(value);
        }
    }
}

/// As [`put`], around the caches.
unsafe fn stream_put<T: Copy>(src: *const u8, dst: *mut u8, n: usize, cast: Option<&Cast>, dst_width: usize) {
    // SAFETY: the caller's promise.
    unsafe {
        let Some(cast) = cast else { return stream_copy(src, dst, n * dst_width) };
        let mut converted = [const { std::mem::MaybeUninit::<[u64; 2]>::uninit() }; BLOCK];
        let mut done = 0;
        while done < n {
            let m = BLOCK.min(n - done);
            cast.run(src.add(done * size_of::<T>()), converted.as_mut_ptr().cast(), m);
            stream_copy(converted.as_ptr().cast(), dst.add(done * dst_width), m * dst_width);
            done += m;
        }
    }
}

/// Streamed lines become visible to other threads.
#[inline(always)]
fn stream_end() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE belongs to every x86-64.
    unsafe {
        std::arch::x86_64::_mm_sfence()
    };
}

/// Copies bytes around the caches; [`stream_end`] must follow on this thread.
unsafe fn stream_copy(src: *const u8, dst: *mut u8, len_bytes: usize) {
    // SAFETY: the caller's promise; the streamed part is aligned to 16 bytes and inside.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::*;
            if len_bytes >= 256 {
                let head = dst.align_offset(64);
                std::ptr::copy(src, dst, head);
                let mut at = head;
                while at + 64 <= len_bytes {
                    let from = src.add(at).cast::<__m128i>();
                    let to = dst.add(at).cast::<__m128i>();
                    let (a, b) = (_mm_loadu_si128(from), _mm_loadu_si128(from.add(1)));
                    let (c, d) = (_mm_loadu_si128(from.add(2)), _mm_loadu_si128(from.add(3)));
                    _mm_stream_si128(to, a);
                    _mm_stream_si128(to.add(1), b);
                    _mm_stream_si128(to.add(2), c);
                    _mm_stream_si128(to.add(3), d);
                    at += 64;
                }
                std::ptr::copy(src.add(at), dst.add(at), len_bytes - at);
                return;
            }
        }
        std::ptr::copy(src, dst, len_bytes);
    }
}

/// The innermost destination dimension has stride 1 and dimension `partner` has source stride 1: tiles are read along the
/// source, turned in a buffer, and written along the destination.
unsafe fn transposes<T: Copy>(bases: Bases, dims: &[Dim<2>], partner: usize, cast: Option<&Cast>, dst_width: usize, stream: bool) {
    let columns = dims[dims.len() - 1];
    let rows = dims[partner];
    let outer: Dims<2> = dims[..dims.len() - 1].iter().enumerate().filter(|&(k, _)| k != partner).map(|(_, &d)| d).collect();
    let side = if size_of::<T>() <= 4 { TILE } else { TILE / 2 };
    // A thin side gives its room to the other one.
    let (tile_rows, tile_columns) = if columns.size < side {
        ((side * side / columns.size).min(rows.size), columns.size)
    } else if rows.size < side {
        (rows.size, (side * side / rows.size).min(columns.size))
    } else {
        (side, side)
    };
    let (down, across) = (rows.size.div_ceil(tile_rows), columns.size.div_ceil(tile_columns));
    let per_outer = down * across;
    let total = outer.iter().map(|d| d.size).product::<usize>() * per_outer;
    let grain = (TASK_BYTES / (tile_rows * tile_columns * dst_width)).max(1);
    let body = |task: usize| {
        let mut buffer = [const { std::mem::MaybeUninit::<T>::uninit() }; TILE * TILE];
        let buffer = buffer.as_mut_ptr().cast::<T>();
        let first = task * grain;
        let last = (first + grain).min(total);
        let mut walk = Walk::at(&outer, first / per_outer);
        let mut at = first % per_outer;
        for _ in first..last {
            let (r0, c0) = (at / across * tile_rows, at % across * tile_columns);
            let (nr, nc) = (tile_rows.min(rows.size - r0), tile_columns.min(columns.size - c0));
            let src = bases.src.get().cast::<T>().wrapping_offset(walk.at[SRC] + r0 as isize + c0 as isize * columns.strides[SRC]);
            let dst = bases.dst.get().wrapping_offset((walk.at[DST] + r0 as isize * rows.strides[DST] + c0 as isize) * dst_width as isize);
            // SAFETY: the tile lies inside both arrays and `nr * nc` elements fit the buffer.
            unsafe {
                turn(src, columns.strides[SRC], buffer, nr, nc);
                if rows.strides[DST] == nc as isize && nc < 32 {
                    put::<T>(buffer.cast(), dst, nr * nc, cast);
                } else {
                    for r in 0..nr {
                        let from = buffer.add(r * nc).cast::<u8>();
                        let to = dst.wrapping_offset(r as isize * rows.strides[DST] * dst_width as isize);
                        if stream && nc * size_of::<T>() >= 256 {
                            stream_row(from, to, nc * size_of::<T>());
                        } else {
                            put::<T>(from, to, nc, cast);
                        }
                    }
                }
            }
            at += 1;
            if at == per_outer {
                at = 0;
                walk.step();
            }
        }
        if stream {
            stream_end();
        }
    };
    let tasks = total.div_ceil(grain);
    if tasks == 1 { body(0) } else { par_for(tasks, &body) }
}

/// A tile's row around the caches where its address allows whole lines, else through them.
#[inline(always)]
unsafe fn stream_row(src: *const u8, dst: *mut u8, len_bytes: usize) {
    // SAFETY: the caller's promise; streamed only if aligned.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::*;
            if (dst.addr() | len_bytes).is_multiple_of(64) {
                for i in 0..len_bytes / 16 {
                    _mm_stream_si128(dst.cast::<__m128i>().add(i), _mm_loadu_si128(src.cast::<__m128i>().add(i)));
                }
                return;
            }
        }
        std::ptr::copy(src, dst, len_bytes);
    }
}

/// `out[r * nc + c] = src[r + c * stride]`: reads whole source lines, writes into the buffer.
#[inline(always)]
unsafe fn turn<T: Copy>(src: *const T, stride: isize, out: *mut T, nr: usize, nc: usize) {
    // SAFETY: `r < nr` and `c < nc` everywhere.
    unsafe {
        if size_of::<T>() <= 2 {
            turn_blocks::<T, 8>(src, stride, out, nr, nc, |from, out| turn8(from, out, nc));
        } else {
            turn_blocks::<T, 4>(src, stride, out, nr, nc, |from, out| turn4(from, out, nc));
        }
    }
}

/// As [`turn`], in blocks of SIDE x SIDE, the rest element by element.
#[inline(always)]
unsafe fn turn_blocks<T: Copy, const SIDE: usize>(
    src: *const T,
    stride: isize,
    out: *mut T,
    nr: usize,
    nc: usize,
    block: impl Fn([*const T; SIDE], *mut T),
) {
    let (whole_r, whole_c) = (nr - nr % SIDE, nc - nc % SIDE);
    // SAFETY: `r < nr` and `c < nc` everywhere.
    unsafe {
        for c in (0..whole_c).step_by(SIDE) {
            let from: [*const T; SIDE] = std::array::from_fn(|k| src.wrapping_offset((c + k) as isize * stride));
            for r in (0..whole_r).step_by(SIDE) {
                block(from.map(|p| p.wrapping_add(r)), out.add(r * nc + c));
            }
            for r in whole_r..nr {
                for (k, p) in from.iter().enumerate() {
                    out.add(r * nc + c + k).write(p.wrapping_add(r).read());
                }
            }
        }
        for c in whole_c..nc {
            let from = src.wrapping_offset(c as isize * stride);
            for r in 0..nr {
                out.add(r * nc + c).write(from.wrapping_add(r).read());
            }
        }
    }
}

/// A block of 8 x 8 elements of one or two bytes.
#[inline(always)]
unsafe fn turn8<T: Copy>(from: [*const T; 8], out: *mut T, nc: usize) {
    // SAFETY: eight elements behind each pointer, eight places in each of eight rows of the output.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::*;
            if size_of::<T>() == 1 {
                let [a, b, c, d, e, f, g, h] = from.map(|p| _mm_loadl_epi64(p.cast()));
                let (ab, cd, ef, gh) = (_mm_unpacklo_epi8(a, b), _mm_unpacklo_epi8(c, d), _mm_unpacklo_epi8(e, f), _mm_unpacklo_epi8(g, h));
                let (low0, high0) = (_mm_unpacklo_epi16(ab, cd), _mm_unpackhi_epi16(ab, cd));
                let (low1, high1) = (_mm_unpacklo_epi16(ef, gh), _mm_unpackhi_epi16(ef, gh));
                let pairs = [
                    _mm_unpacklo_epi32(low0, low1),
                    _mm_unpackhi_epi32(low0, low1),
                    _mm_unpacklo_epi32(high0, high1),
                    _mm_unpackhi_epi32(high0, high1),
                ];
                for (k, &pair) in pairs.iter().enumerate() {
                    _mm_storel_epi64(out.add(2 * k * nc).cast(), pair);
                    _mm_storel_epi64(out.add((2 * k + 1) * nc).cast(), _mm_unpackhi_epi64(pair, pair));
                }
                return;
            }
            if size_of::<T>() == 2 {
                let [a, b, c, d, e, f, g, h] = from.map(|p| _mm_loadu_si128(p.cast()));
                for (half, rows) in [
                    [_mm_unpacklo_epi16(a, b), _mm_unpacklo_epi16(c, d), _mm_unpacklo_epi16(e, f), _mm_unpacklo_epi16(g, h)],
                    [_mm_unpackhi_epi16(a, b), _mm_unpackhi_epi16(c, d), _mm_unpackhi_epi16(e, f), _mm_unpackhi_epi16(g, h)],
                ]
                .into_iter()
                .enumerate()
                {
                    let [ab, cd, ef, gh] = rows;
                    let (low0, high0) = (_mm_unpacklo_epi32(ab, cd), _mm_unpackhi_epi32(ab, cd));
                    let (low1, high1) = (_mm_unpacklo_epi32(ef, gh), _mm_unpackhi_epi32(ef, gh));
                    let out = out.add(4 * half * nc);
                    _mm_storeu_si128(out.cast(), _mm_unpacklo_epi64(low0, low1));
                    _mm_storeu_si128(out.add(nc).cast(), _mm_unpackhi_epi64(low0, low1));
                    _mm_storeu_si128(out.add(2 * nc).cast(), _mm_unpacklo_epi64(high0, high1));
                    _mm_storeu_si128(out.add(3 * nc).cast(), _mm_unpackhi_epi64(high0, high1));
                }
                return;
            }
        }
        turn_plainly(&from, out, nc);
    }
}

/// A block of 4 x 4.
#[inline(always)]
unsafe fn turn4<T: Copy>(from: [*const T; 4], out: *mut T, nc: usize) {
    // SAFETY: four elements behind each pointer, four places in each of four rows of the output.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        {
            use std::arch::x86_64::*;
            if size_of::<T>() == 4 {
                let [a, b, c, d] = from.map(|p| _mm_loadu_si128(p.cast()));
                let (ab0, ab1) = (_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
                let (cd0, cd1) = (_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
                _mm_storeu_si128(out.cast(), _mm_unpacklo_epi64(ab0, cd0));
                _mm_storeu_si128(out.add(nc).cast(), _mm_unpackhi_epi64(ab0, cd0));
                _mm_storeu_si128(out.add(2 * nc).cast(), _mm_unpacklo_epi64(ab1, cd1));
                _mm_storeu_si128(out.add(3 * nc).cast(), _mm_unpackhi_epi64(ab1, cd1));
                return;
            }
            if size_of::<T>() == 8 {
                for half in 0..2 {
                    let [a, b, c, d] = from.map(|p| _mm_loadu_si128(p.add(2 * half).cast()));
                    let (even, odd) = (out.add(2 * half * nc), out.add((2 * half + 1) * nc));
                    _mm_storeu_si128(even.cast(), _mm_unpacklo_epi64(a, b));
                    _mm_storeu_si128(even.add(2).cast(), _mm_unpacklo_epi64(c, d));
                    _mm_storeu_si128(odd.cast(), _mm_unpackhi_epi64(a, b));
                    _mm_storeu_si128(odd.add(2).cast(), _mm_unpackhi_epi64(c, d));
                }
                return;
            }
        }
        turn_plainly(&from, out, nc);
    }
}

#[inline(always)]
unsafe fn turn_plainly<T: Copy>(from: &[*const T], out: *mut T, nc: usize) {
    for (k, p) in from.iter().enumerate() {
        for r in 0..from.len() {
            // SAFETY: as many elements behind each pointer as there are pointers.
            unsafe { out.add(r * nc + k).write(p.add(r).read()) };
        }
    }
}

/// Converts a contiguous run.
type Convert = unsafe fn(*const u8, *mut u8, usize);

/// A conversion: one step, or two with float32 between.
#[derive(Clone, Copy)]
struct Cast {
    first: Convert,
    second: Option<Convert>,
    from_width: usize,
    to_width: usize,
}

/// Whether one dtype's bits are the other's value, so that a copy will do.
fn same_bits(from: DType, to: DType) -> bool {
    use DType::*;
    from == to || matches!((from, to), (Bool | I8 | U8, I8 | U8) | (I16 | U16, I16 | U16) | (I32 | U32, I32 | U32) | (I64 | U64, I64 | U64))
}

impl Cast {
    fn new(from: DType, to: DType) -> Option<Cast> {
        use DType::*;
        let half = |d: DType| matches!(d, F16 | BF16);
        #[cfg(feature = "complex")]
        if (from.is_complex() || to.is_complex()) && !half(from) && !half(to) {
            let first = complex(from, to)?;
            return Some(Cast { first, second: None, from_width: from.size_bytes(), to_width: to.size_bytes() });
        }
        let (first, second) = if half(from) {
            (convert(from, F32)?, if to == F32 { None } else { Some(convert(F32, to)?) })
        } else if half(to) && from != F32 {
            (convert(from, F32)?, Some(convert(F32, to)?))
        } else {
            (convert(from, to)?, None)
        };
        Some(Cast { first, second, from_width: from.size_bytes(), to_width: to.size_bytes() })
    }

    #[inline]
    unsafe fn run(&self, src: *const u8, dst: *mut u8, n: usize) {
        // SAFETY: the caller's promise; the buffer holds BLOCK values of float32.
        unsafe {
            let Some(second) = self.second else { return (self.first)(src, dst, n) };
            let mut between = [0f32; BLOCK];
            let mut done = 0;
            while done < n {
                let m = BLOCK.min(n - done);
                (self.first)(src.add(done * self.from_width), between.as_mut_ptr().cast(), m);
                second(between.as_ptr().cast(), dst.add(done * self.to_width), m);
                done += m;
            }
        }
    }
}

/// One loop at the best level.
macro_rules! each {
    ($from:ty => $to:ty, |$x:ident| $value:expr) => {{
        #[inline(always)]
        unsafe fn lanes(src: *const $from, dst: *mut $to, n: usize) {
            for i in 0..n {
                // SAFETY: `i < n`.
                unsafe {
                    let $x = src.add(i).read();
                    dst.add(i).write($value);
                }
            }
        }
        unsafe fn block(src: *const u8, dst: *mut u8, n: usize) {
            // SAFETY: the caller's promise of `n` aligned elements on both sides.
            dispatch!(crate::level(), _simd => unsafe { lanes(src.cast(), dst.cast(), n) })
        }
        Some(block as Convert)
    }};
}

/// Targets of a number that is not half precision. Integers of one width are one target: `as` wraps.
macro_rules! from_integer {
    ($t:ty, $to:expr) => {
        match $to {
            DType::F32 => each!($t => f32, |x| x as f32),
            DType::F64 => each!($t => f64, |x| x as f64),
            DType::I8 | DType::U8 => each!($t => u8, |x| x as u8),
            DType::I16 | DType::U16 => each!($t => u16, |x| x as u16),
            DType::I32 | DType::U32 => each!($t => u32, |x| x as u32),
            DType::I64 | DType::U64 => each!($t => u64, |x| x as u64),
            DType::Bool => each!($t => u8, |x| (x != 0) as u8),
            _ => None,
        }
    };
}

/// `x` truncated as the x86 conversion does: the smallest integer where `x` does not fit.
macro_rules! truncate {
    ($x:ident: $float:ty => $integer:ty) => {{
        const LIMIT: $float = -(<$integer>::MIN as $float);
        let inside = (-LIMIT..LIMIT).contains(&$x);
        let safe = if inside { $x } else { -LIMIT };
        // SAFETY: `safe` is within the integer's range.
        #[allow(unused_unsafe)]
        unsafe {
            safe.to_int_unchecked::<$integer>()
        }
    }};
}

macro_rules! from_float {
    ($t:ty, $to:expr) => {
        match $to {
            DType::I8 | DType::U8 => each!($t => u8, |x| truncate!(x: $t => i32) as u8),
            DType::I16 | DType::U16 => each!($t => u16, |x| truncate!(x: $t => i32) as u16),
            DType::I32 => each!($t => i32, |x| truncate!(x: $t => i32)),
            DType::U32 => each!($t => u32, |x| truncate!(x: $t => i64) as u32),
            DType::I64 => each!($t => i64, |x| truncate!(x: $t => i64)),
            DType::U64 => each!($t => u64, |x| {
                const TOP: $t = 9223372036854775808.0;
                let low = x - TOP;
                // The upper half is reached from below, as compilers do it.
                if x >= TOP { truncate!(low: $t => i64) as u64 ^ (1 << 63) } else { truncate!(x: $t => i64) as u64 }
            }),
            DType::Bool => each!($t => u8, |x| (x != 0.0) as u8),
            _ => None,
        }
    };
}

/// Of or to complex numbers: one loop at the baseline, for these are seldom hot and bound by memory.
#[cfg(feature = "complex")]
fn complex(from: DType, to: DType) -> Option<Convert> {
    use DType::*;
    macro_rules! each {
        ($from:ty => $to:ty, |$x:ident| $value:expr) => {{
            unsafe fn block(src: *const u8, dst: *mut u8, n: usize) {
                let (src, dst) = (src.cast::<$from>(), dst.cast::<$to>());
                for i in 0..n {
                    // SAFETY: the caller's promise of `n` aligned elements on both sides.
                    unsafe {
                        let $x = src.add(i).read();
                        dst.add(i).write($value);
                    }
                }
            }
            Some(block as Convert)
        }};
    }
    macro_rules! to_complex {
        ($($dtype:pat => $t:ty),*) => {
            match (from, to) {
                $(($dtype, C64) => each!($t => [f32; 2], |x| [x as f32, 0.0]),
                ($dtype, C128) => each!($t => [f64; 2], |x| [x as f64, 0.0]),)*
                _ => None,
            }
        };
    }
    macro_rules! to_real {
        ($t:ty) => {
            match to {
                F32 => each!([$t; 2] => f32, |x| x[0] as f32),
                F64 => each!([$t; 2] => f64, |x| x[0] as f64),
                I8 | U8 => each!([$t; 2] => u8, |x| { let x = x[0]; truncate!(x: $t => i32) as u8 }),
                I16 | U16 => each!([$t; 2] => u16, |x| { let x = x[0]; truncate!(x: $t => i32) as u16 }),
                I32 => each!([$t; 2] => i32, |x| { let x = x[0]; truncate!(x: $t => i32) }),
                U32 => each!([$t; 2] => u32, |x| { let x = x[0]; truncate!(x: $t => i64) as u32 }),
                I64 | U64 => each!([$t; 2] => i64, |x| { let x = x[0]; truncate!(x: $t => i64) }),
                Bool => each!([$t; 2] => u8, |x| (x[0] != 0.0 || x[1] != 0.0) as u8),
                _ => None,
            }
        };
    }
    match (from, to) {
        (C64, C128) => each!([f32; 2] => [f64; 2], |x| [x[0] as f64, x[1] as f64]),
        (C128, C64) => each!([f64; 2] => [f32; 2], |x| [x[0] as f32, x[1] as f32]),
        (C32, C64) => each!([f16; 2] => [f32; 2], |x| [x[0].to_f32(), x[1].to_f32()]),
        (C32, C128) => each!([f16; 2] => [f64; 2], |x| [x[0].to_f64(), x[1].to_f64()]),
        (C64, C32) => each!([f32; 2] => [f16; 2], |x| [f16::from_f32(x[0]), f16::from_f32(x[1])]),
        (C128, C32) => each!([f64; 2] => [f16; 2], |x| [f16::from_f64(x[0]), f16::from_f64(x[1])]),
        (F32, C32) => each!(f32 => [f16; 2], |x| [f16::from_f32(x), f16::ZERO]),
        (C32, F32) => each!([f16; 2] => f32, |x| x[0].to_f32()),
        (C64, _) => to_real!(f32),
        (C128, _) => to_real!(f64),
        _ => {
            to_complex!(F32 => f32, F64 => f64, I8 => i8, I16 => i16, I32 => i32, I64 => i64, U8 | Bool => u8, U16 => u16, U32 => u32, U64 => u64)
        }
    }
}

fn convert(from: DType, to: DType) -> Option<Convert> {
    use DType::*;
    #[cfg(feature = "complex")]
    if from.is_complex() || to.is_complex() {
        return complex(from, to);
    }
    match (from, to) {
        (F32, F64) => each!(f32 => f64, |x| x as f64),
        (F64, F32) => each!(f64 => f32, |x| x as f32),
        (F32, F16) => Some(f32_to_f16 as Convert),
        (F16, F32) => Some(f16_to_f32 as Convert),
        // NaN keeps no payload, as in PyTorch; else round to nearest even.
        (F32, BF16) => each!(f32 => u16, |x| {
            let bits = x.to_bits();
            let rounded = (bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) >> 16) as u16;
            if x.is_nan() { 0x7fc0 } else { rounded }
        }),
        (BF16, F32) => each!(u16 => f32, |x| f32::from_bits((x as u32) << 16)),
        (F32, _) => from_float!(f32, to),
        (F64, _) => from_float!(f64, to),
        (I8, _) => from_integer!(i8, to),
        (I16, _) => from_integer!(i16, to),
        (I32, _) => from_integer!(i32, to),
        (I64, _) => from_integer!(i64, to),
        (U8 | Bool, _) => from_integer!(u8, to),
        (U16, _) => from_integer!(u16, to),
        (U32, _) => from_integer!(u32, to),
        (U64, _) => from_integer!(u64, to),
        _ => None,
    }
}

unsafe fn f16_to_f32(src: *const u8, dst: *mut u8, n: usize) {
    // SAFETY: the caller's promise of `n` aligned elements on both sides, not aliasing (widths differ).
    let (src, dst) = unsafe { (std::slice::from_raw_parts(src.cast::<f16>(), n), std::slice::from_raw_parts_mut(dst.cast::<f32>(), n)) };
    src.convert_to_f32_slice(dst);
}

unsafe fn f32_to_f16(src: *const u8, dst: *mut u8, n: usize) {
    // SAFETY: as above.
    let (src, dst) = unsafe { (std::slice::from_raw_parts(src.cast::<f32>(), n), std::slice::from_raw_parts_mut(dst.cast::<f16>(), n)) };
    dst.convert_from_f32_slice(src);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small deterministic source of test numbers.
    struct Random(u64);
    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }
        fn below(&mut self, n: usize) -> usize {
            (self.next() % n as u64) as usize
        }
    }

    fn row_major(shape: &[usize]) -> Vec<isize> {
        let mut strides = vec![1isize; shape.len()];
        for k in (1..shape.len()).rev() {
            strides[k - 1] = strides[k] * shape[k] as isize;
        }
        strides
    }

    fn offsets(shape: &[usize], strides: &[isize]) -> Vec<isize> {
        let mut all = vec![0];
        for (&size, &stride) in shape.iter().zip(strides) {
            all = all.iter().flat_map(|&o| (0..size as isize).map(move |i| o + i * stride)).collect();
        }
        all
    }

    /// Strides of a permuted layout of `shape`, optionally with gaps; returns the number of elements it spans.
    fn permuted(shape: &[usize], random: &mut Random, gap: bool) -> (Vec<isize>, usize) {
        let mut order: Vec<usize> = (0..shape.len()).collect();
        for i in (1..order.len()).rev() {
            order.swap(i, random.below(i + 1));
        }
        let mut strides = vec![0; shape.len()];
        let mut next = if gap { 1 + random.below(2) } else { 1 };
        for &k in &order {
            strides[k] = next as isize;
            next *= shape[k].max(1) + if gap { random.below(2) } else { 0 };
        }
        (strides, next.max(1))
    }

    fn check_copy<T: Copy + PartialEq + std::fmt::Debug>(make: impl Fn(u64) -> T, shape: &[usize], random: &mut Random) {
        let gaps = [random.below(2) == 0, random.below(3) == 0];
        let (mut src_strides, span) = permuted(shape, random, gaps[0]);
        let (dst_strides, dst_span) = permuted(shape, random, gaps[1]);
        let src: Vec<T> = (0..span as u64).map(&make).collect();
        let mut start = 0isize;
        for k in 0..shape.len() {
            match random.below(6) {
                0 => src_strides[k] = 0,
                1 if shape[k] > 0 => {
                    start += (shape[k] as isize - 1) * src_strides[k];
                    src_strides[k] = -src_strides[k];
                }
                _ => {}
            }
        }
        let filler = make(u64::MAX / 3);
        let mut dst = vec![filler; dst_span];
        let mut expected = dst.clone();
        for (s, d) in offsets(shape, &src_strides).iter().zip(offsets(shape, &dst_strides)) {
            expected[d as usize] = src[(start + s) as usize];
        }
        // SAFETY: both vectors span their strides.
        unsafe {
            let from = Src::new(src.as_ptr().wrapping_offset(start), shape, &src_strides);
            copy_elements(from, Dst::new(dst.as_mut_ptr(), shape, &dst_strides));
        }
        assert!(dst == expected, "{shape:?} {src_strides:?} -> {dst_strides:?}");
    }

    #[test]
    fn strided_copies_of_every_width_equal_naive_loops() {
        let mut random = Random(7);
        for round in 0..400 {
            let rank = random.below(6);
            let big = round % 8 == 0;
            let shape: Vec<usize> = (0..rank).map(|_| if big { 1 + random.below(40) } else { random.below(7) }).collect();
            if shape.iter().product::<usize>() > 400_000 {
                continue;
            }
            check_copy(|i| i as u8, &shape, &mut random);
            check_copy(|i| i as u16, &shape, &mut random);
            check_copy(|i| i as u32, &shape, &mut random);
            check_copy(|i| i, &shape, &mut random);
            check_copy(|i| [i, !i], &shape, &mut random);
        }
    }

    #[test]
    fn large_transposes_and_broadcasts_equal_naive_loops() {
        let mut random = Random(11);
        for shape in [vec![517, 311], vec![3, 257, 129], vec![70, 3, 700], vec![700, 2], vec![2, 900], vec![64, 64, 8, 3]] {
            for _ in 0..6 {
                check_copy(|i| i as u8, &shape, &mut random);
                check_copy(|i| i as u16, &shape, &mut random);
                check_copy(|i| i as u32, &shape, &mut random);
                check_copy(|i| i, &shape, &mut random);
                check_copy(|i| [i, !i], &shape, &mut random);
            }
        }
    }

    #[test]
    fn outputs_beyond_the_last_cache_equal_naive_loops() {
        let n = streaming_bytes() / 4 + 1027;
        let src: Vec<u32> = (0..n as u32).collect();
        let mut dst = vec![0u32; n];
        // SAFETY: both vectors hold `n` elements.
        unsafe { copy_elements(Src::new(src.as_ptr(), &[n], &[1]), Dst::new(dst.as_mut_ptr(), &[n], &[1])) };
        assert!(src == dst);
        // SAFETY: as above.
        unsafe { fill_elements(9u32, Dst::new(dst.as_mut_ptr(), &[n], &[1])) };
        assert!(dst.iter().all(|&x| x == 9));
        let rows = 4096 - 3;
        let columns = n / rows;
        // SAFETY: `rows * columns <= n`.
        unsafe {
            let (shape, turned, straight) = ([rows, columns], [1, rows as isize], [columns as isize, 1]);
            copy_elements(Src::new(src.as_ptr(), &shape, &turned), Dst::new(dst.as_mut_ptr(), &shape, &straight));
        }
        assert!((0..rows).all(|r| (0..columns).all(|c| dst[r * columns + c] == src[c * rows + r])));
    }

    #[test]
    fn fills_reach_every_element_and_no_other() {
        for shape in [vec![], vec![0], vec![5], vec![3, 0, 2], vec![33, 7], vec![2, 3, 5, 7]] {
            let len: usize = shape.iter().product();
            let strides: Vec<isize> = row_major(&shape).iter().map(|s| s * 2).collect();
            let mut dst = vec![1u16; len * 2 + 2];
            // SAFETY: doubled strides stay inside the doubled length.
            unsafe { fill_elements(7u16, Dst::new(dst.as_mut_ptr(), &shape, &strides)) };
            assert!(dst.iter().enumerate().all(|(i, &x)| x == if i % 2 == 0 && i < 2 * len { 7 } else { 1 }), "{shape:?}");
        }
    }

    #[test]
    fn a_copy_onto_itself_changes_nothing() {
        let mut data: Vec<f32> = (0..100).map(|x| x as f32).collect();
        let expected = data.clone();
        let ptr = data.as_mut_ptr();
        // SAFETY: the exact alias is allowed.
        unsafe { copy_elements(Src::new(ptr, &[10, 10], &[1, 10]), Dst::new(ptr, &[10, 10], &[1, 10])) };
        assert_eq!(data, expected);
    }

    /// Casts `values` through `copy` in a row, with gaps, and turned (through tiles): all must agree.
    fn cast<A: Copy + 'static, B: Copy + PartialEq + std::fmt::Debug + Default>(from: DType, to: DType, values: &[A]) -> Vec<B> {
        let n = values.len();
        let mut out = vec![B::default(); n];
        // SAFETY: `n` elements on both sides.
        unsafe { copy(from, values.as_ptr().cast(), &[1], to, out.as_mut_ptr().cast(), &[1], &[n]) };
        let doubled: Vec<A> = values.iter().flat_map(|&x| [x, x]).collect();
        let mut gaps = vec![B::default(); n * 3];
        // SAFETY: strides 2 and 3 in two- and threefold vectors.
        unsafe { copy(from, doubled.as_ptr().cast(), &[2], to, gaps.as_mut_ptr().cast(), &[3], &[n]) };
        assert!((0..n).all(|i| gaps[3 * i] == out[i]), "{from:?} -> {to:?}");
        let copies = 40;
        let many: Vec<A> = values.iter().flat_map(|&x| std::iter::repeat_n(x, copies)).collect();
        let mut turned = vec![B::default(); n * copies];
        // SAFETY: a transpose of `n` x `copies`.
        unsafe { copy(from, many.as_ptr().cast(), &[1, copies as isize], to, turned.as_mut_ptr().cast(), &[n as isize, 1], &[copies, n]) };
        assert!((0..copies * n).all(|i| turned[i] == out[i % n]), "{from:?} -> {to:?}");
        out
    }

    #[test]
    fn floats_truncate_into_integers_as_pytorch_does() {
        use DType::*;
        let x = [0.0f32, -0.0, 1.9, -1.9, 127.5, -128.7, 100.0, 3.999];
        assert_eq!(cast::<f32, i8>(F32, I8, &x), [0, 0, 1, -1, 127, -128, 100, 3]);
        assert_eq!(cast::<f32, i64>(F32, I64, &x), [0, 0, 1, -1, 127, -128, 100, 3]);
        let x = [255.9f64, 300.0, -1.0, f64::NAN, 1e30, -1e30, 65535.0, 2147483648.0];
        assert_eq!(cast::<f64, u8>(F64, U8, &x), [255, 44, 255, 0, 0, 0, 255, 0]);
        assert_eq!(cast::<f64, i32>(F64, I32, &x), [255, 300, -1, i32::MIN, i32::MIN, i32::MIN, 65535, i32::MIN]);
        assert_eq!(cast::<f64, u32>(F64, U32, &x)[..3], [255, 300, u32::MAX]);
        assert_eq!(cast::<f64, u32>(F64, U32, &x)[6..], [65535, 1 << 31]);
        assert_eq!(cast::<f64, i64>(F64, I64, &x)[2..6], [-1, i64::MIN, i64::MIN, i64::MIN]);
        assert_eq!(cast::<f64, u64>(F64, U64, &[1.8e19, 5.0, 9223372036854775808.0]), [18000000000000000000, 5, 1 << 63]);
        assert_eq!(cast::<f64, bool>(F64, Bool, &x), [true; 8]);
        assert_eq!(cast::<f32, bool>(F32, Bool, &[0.0, -0.0, 1e-45, f32::NAN]), [false, false, true, true]);
    }

    #[test]
    fn integers_wrap_and_widen() {
        use DType::*;
        assert_eq!(cast::<i64, u8>(I64, U8, &[300, -1, 255, 256]), [44, 255, 255, 0]);
        assert_eq!(cast::<i64, i32>(I64, I32, &[1 << 40, -5]), [0, -5]);
        assert_eq!(cast::<i8, i64>(I8, I64, &[-1, 5]), [-1, 5]);
        assert_eq!(cast::<i8, u8>(I8, U8, &[-1, 5]), [255, 5]);
        assert_eq!(cast::<u8, i64>(U8, I64, &[255, 5]), [255, 5]);
        assert_eq!(cast::<u8, bool>(U8, Bool, &[255, 0]), [true, false]);
        assert_eq!(cast::<bool, f32>(Bool, F32, &[true, false]), [1.0, 0.0]);
        assert_eq!(cast::<u32, f64>(U32, F64, &[u32::MAX]), [4294967295.0]);
        assert_eq!(cast::<u64, f64>(U64, F64, &[u64::MAX]), [18446744073709551615.0]);
        assert_eq!(cast::<i64, f32>(I64, F32, &[(1 << 24) + 1, i64::MIN]), [16777216.0, -9223372036854775808.0]);
    }

    #[test]
    fn half_precision_rounds_once_to_even() {
        use DType::*;
        let bits: Vec<u16> = (0..=u16::MAX).collect();
        let wide: Vec<f32> = cast(F16, F32, &bits[..0x7c00]);
        assert!(wide.iter().enumerate().all(|(i, x)| x.to_bits() == f16::from_bits(i as u16).to_f32().to_bits()));
        let back: Vec<u16> = cast(F32, F16, &wide);
        assert_eq!(back, bits[..0x7c00]);
        let wide: Vec<f32> = cast(BF16, F32, &bits[..0x7f81]);
        assert!(wide[..0x7f80].iter().enumerate().all(|(i, x)| x.to_bits() == (i as u32) << 16));
        let x = [1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0, 3.4e38, f32::INFINITY, f32::NAN, -0.0];
        assert_eq!(cast::<f32, u16>(F32, BF16, &x), [0x3f80, 0x3f82, 0x7f80, 0x7f80, 0x7fc0, 0x8000]);
        assert_eq!(cast::<f64, u16>(F64, F16, &[65519.0, 65520.0, 1e-8]), [0x7bff, 0x7c00, 0]);
        assert_eq!(cast::<i64, u16>(I64, BF16, &[257, -3]), [0x4380, 0xc040]);
        assert_eq!(cast::<u16, i64>(F16, I64, &[0x3e00, 0xc200]), [1, -3]);
        assert_eq!(cast::<u16, u16>(F16, BF16, &[0x3c00, 0x0000]), [0x3f80, 0]);
    }

    #[test]
    fn every_pair_of_dtypes_converts_but_those_of_8_bit_floats() {
        for from in &DType::ALL[..13] {
            for to in &DType::ALL[..13] {
                assert!(can_convert(*from, *to));
            }
        }
        assert!(!can_convert(DType::F8E5M2, DType::F32) && can_convert(DType::C64, DType::C64));
    }

    #[cfg(feature = "complex")]
    #[test]
    fn complex_numbers_convert_by_their_real_parts() {
        for dtype in &DType::ALL[..13] {
            for complex in [DType::C64, DType::C128] {
                assert!(can_convert(*dtype, complex) && can_convert(complex, *dtype));
            }
        }
        let n = 700;
        let values: Vec<[f64; 2]> = (0..n).map(|i| [i as f64 - 300.25, 0.5]).collect();
        assert_eq!(cast::<_, f32>(DType::C128, DType::F32, &values), (0..n).map(|i| i as f32 - 300.25).collect::<Vec<_>>());
        let longs: Vec<i64> = (0..n).collect();
        assert_eq!(cast::<_, [f64; 2]>(DType::I64, DType::C128, &longs), (0..n).map(|i| [i as f64, 0.0]).collect::<Vec<_>>());
        assert_eq!(cast::<_, u8>(DType::C128, DType::Bool, &[[0.0, 1.0], [0.0, 0.0], [f64::NAN, 0.0]]), [1, 0, 1]);
    }
}
