//! The micro-kernels: small blocks of products held in registers.

use std::mem::MaybeUninit;

use fearless_simd::{Level, Select, Simd, SimdBase, SimdFloat, SimdFloatElement, f32x4, f64x2};

/// A type the micro-kernels compute in.
pub(crate) trait Real:
    Copy
    + Send
    + Sync
    + PartialOrd
    + std::ops::Add<Output = Self>
    + std::ops::AddAssign
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + SimdFloatElement
    + 'static
{
    type Lanes<S: Simd>: SimdFloat<S, Element = Self>;
    const ZERO: Self;
    const ONE: Self;

    fn to_f64(self) -> f64;
    fn from_f64(value: f64) -> Self;

    /// Writes the 4 x 4 block at `src`, whose rows are `src_stride` apart, transposed to `dst`, whose rows are `dst_stride` apart.
    ///
    /// # Safety
    /// All sixteen elements of both blocks are accessible.
    unsafe fn transpose4<S: Simd>(simd: S, src: *const Self, src_stride: isize, dst: *mut Self, dst_stride: usize);
}

impl Real for f32 {
    type Lanes<S: Simd> = S::f32s;
    const ZERO: f32 = 0.0;
    const ONE: f32 = 1.0;

    fn to_f64(self) -> f64 {
        self as f64
    }
    fn from_f64(value: f64) -> f32 {
        value as f32
    }

    #[inline(always)]
    unsafe fn transpose4<S: Simd>(simd: S, src: *const f32, src_stride: isize, dst: *mut f32, dst_stride: usize) {
        // SAFETY: the caller vouches for both blocks.
        unsafe {
            let row = |r: isize| f32x4::<S>::load_array(simd, src.offset(r * src_stride).cast::<[f32; 4]>().read());
            let (a, b, c, d) = (row(0), row(1), row(2), row(3));
            let (ac_low, ac_high) = (a.zip_low(c), a.zip_high(c));
            let (bd_low, bd_high) = (b.zip_low(d), b.zip_high(d));
            let columns = [ac_low.zip_low(bd_low), ac_low.zip_high(bd_low), ac_high.zip_low(bd_high), ac_high.zip_high(bd_high)];
            for (at, column) in columns.into_iter().enumerate() {
                dst.add(at * dst_stride).cast::<[f32; 4]>().write(column.to_array());
            }
        }
    }
}

impl Real for f64 {
    type Lanes<S: Simd> = S::f64s;
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;

    fn to_f64(self) -> f64 {
        self
    }
    fn from_f64(value: f64) -> f64 {
        value
    }

    #[inline(always)]
    unsafe fn transpose4<S: Simd>(simd: S, src: *const f64, src_stride: isize, dst: *mut f64, dst_stride: usize) {
        for r in [0, 2] {
            for c in [0, 2] {
                // SAFETY: the caller vouches for both blocks.
                unsafe {
                    let from = src.offset(r as isize * src_stride).add(c);
                    let a = f64x2::<S>::load_array(simd, from.cast::<[f64; 2]>().read());
                    let b = f64x2::<S>::load_array(simd, from.offset(src_stride).cast::<[f64; 2]>().read());
                    let to = dst.add(c * dst_stride + r);
                    to.cast::<[f64; 2]>().write(a.zip_low(b).to_array());
                    to.add(dst_stride).cast::<[f64; 2]>().write(a.zip_high(b).to_array());
                }
            }
        }
    }
}

/// A SIMD level and the tile that fits its registers: `ROWS` x two vectors.
pub(crate) trait Machine: Simd {
    const ROWS: usize;
}

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
mod machines {
    use super::Machine;
    use fearless_simd::x86::{Avx2, Avx512, Sse2};

    impl Machine for Sse2 {
        const ROWS: usize = 6;
    }
    impl Machine for Avx2 {
        const ROWS: usize = 6;
    }
    impl Machine for Avx512 {
        const ROWS: usize = 12;
    }
}
#[cfg(target_arch = "aarch64")]
impl Machine for fearless_simd::aarch64::Neon {
    const ROWS: usize = 12;
}
#[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
impl Machine for fearless_simd::Fallback {
    const ROWS: usize = 6;
}

/// Work that is compiled once a level.
pub(crate) trait Task {
    type Output;
    fn run<S: Machine>(self, simd: S) -> Self::Output;
}

/// Runs `task`, compiled for `level`. (`dispatch!` hides the type of the level, and tiles depend on it.)
pub(crate) fn run<K: Task>(level: Level, task: K) -> K::Output {
    macro_rules! at {
        ($simd:expr) => {{
            let simd = $simd;
            simd.vectorize(
                #[inline(always)]
                move || task.run(simd),
            )
        }};
    }
    match level {
        #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), feature = "avx512"))]
        Level::Avx512(simd) => at!(simd),
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Level::Avx2(simd) => at!(simd),
        // Nothing here gains from SSE4.2.
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        Level::Sse4_2(_) | Level::Sse2(_) => at!(level.as_sse2().expect("part of SSE4.2")),
        #[cfg(target_arch = "aarch64")]
        Level::Neon(simd) => at!(simd),
        #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
        Level::Fallback(simd) => at!(simd),
        _ => unreachable!("a level of another architecture"),
    }
}

/// Lanes of a native vector of `T`.
#[inline(always)]
pub(crate) const fn lanes<S: Simd, T: Real>() -> usize {
    <T::Lanes<S> as SimdBase<S>>::LEN
}

/// # Safety
/// As many elements as a vector has lanes are readable at `ptr`.
#[inline(always)]
pub(crate) unsafe fn load<S: Simd, T: Real>(simd: S, ptr: *const T) -> T::Lanes<S> {
    // SAFETY: the caller vouches; the array type asks for the alignment of an element only.
    T::Lanes::<S>::load_array(simd, unsafe { ptr.cast::<<T::Lanes<S> as SimdBase<S>>::Array>().read() })
}

/// # Safety
/// As many elements as a vector has lanes are writable at `ptr`.
#[inline(always)]
pub(crate) unsafe fn store<S: Simd, T: Real>(ptr: *mut T, value: T::Lanes<S>) {
    // SAFETY: as for `load`.
    unsafe { ptr.cast::<<T::Lanes<S> as SimdBase<S>>::Array>().write(value.to_array()) }
}

#[inline(always)]
pub(crate) fn splat<S: Simd, T: Real>(simd: S, value: T) -> T::Lanes<S> {
    T::Lanes::<S>::splat(simd, value)
}

/// Where a tile reads its rows of A.
pub(crate) trait Rows<T>: Copy {
    /// # Safety
    /// `row` and `depth` are inside the panel.
    unsafe fn at<const H: usize>(self, depth: usize, row: usize) -> T;
}

/// A packed panel: the `H` values of one depth stand together.
#[derive(Clone, Copy)]
pub(crate) struct PackedRows<T>(pub *const T);
impl<T: Copy> Rows<T> for PackedRows<T> {
    #[inline(always)]
    unsafe fn at<const H: usize>(self, depth: usize, row: usize) -> T {
        // SAFETY: the caller vouches.
        unsafe { *self.0.add(depth * H + row) }
    }
}

/// Rows where they lie.
#[derive(Clone, Copy)]
pub(crate) struct StridedRows<T> {
    pub ptr: *const T,
    pub row: isize,
    pub depth: isize,
}
impl<T: Copy> Rows<T> for StridedRows<T> {
    #[inline(always)]
    unsafe fn at<const H: usize>(self, depth: usize, row: usize) -> T {
        // SAFETY: the caller vouches.
        unsafe { *self.ptr.offset(depth as isize * self.depth + row as isize * self.row) }
    }
}

/// Where a tile reads its columns of B, a vector at a time.
pub(crate) trait Columns<T>: Copy {
    /// # Safety
    /// `depth` is inside the panel and `vector` < `V`.
    unsafe fn at<const V: usize>(self, lanes: usize, depth: usize, vector: usize) -> *const T;
}

/// A packed panel: the `V` vectors of one depth stand together.
#[derive(Clone, Copy)]
pub(crate) struct PackedColumns<T>(pub *const T);
impl<T: Copy> Columns<T> for PackedColumns<T> {
    #[inline(always)]
    unsafe fn at<const V: usize>(self, lanes: usize, depth: usize, vector: usize) -> *const T {
        // SAFETY: the caller vouches.
        unsafe { self.0.add((depth * V + vector) * lanes) }
    }
}

/// Columns where they lie, next to each other.
#[derive(Clone, Copy)]
pub(crate) struct StridedColumns<T> {
    pub ptr: *const T,
    pub depth: isize,
}
impl<T: Copy> Columns<T> for StridedColumns<T> {
    #[inline(always)]
    unsafe fn at<const V: usize>(self, lanes: usize, depth: usize, vector: usize) -> *const T {
        // SAFETY: the caller vouches.
        unsafe { self.ptr.offset(depth as isize * self.depth).add(vector * lanes) }
    }
}

/// Each vector has its own start, each depth its offset from there: a convolution reads its image through this.
#[derive(Clone, Copy)]
pub(crate) struct OffsetColumns<T, const N: usize> {
    pub vectors: [*const T; N],
    pub offsets: *const u32,
}
impl<T: Copy, const N: usize> Columns<T> for OffsetColumns<T, N> {
    #[inline(always)]
    unsafe fn at<const V: usize>(self, _lanes: usize, depth: usize, vector: usize) -> *const T {
        // SAFETY: the caller vouches.
        unsafe { self.vectors[vector].add(*self.offsets.add(depth) as usize) }
    }
}

/// The products of `H` rows and `V` vectors of columns, summed over `depth`.
///
/// # Safety
/// `a` has `H` rows and `b` has `V` vectors for every depth.
#[inline(always)]
pub(crate) unsafe fn multiply<S: Simd, T: Real, const H: usize, const V: usize>(
    simd: S,
    depth: usize,
    a: impl Rows<T>,
    b: impl Columns<T>,
) -> [[T::Lanes<S>; V]; H] {
    let mut sums = [[splat::<S, T>(simd, T::ZERO); V]; H];
    for at in 0..depth {
        // SAFETY: the caller vouches for every depth, row and vector.
        unsafe {
            let columns: [T::Lanes<S>; V] = std::array::from_fn(|vector| load(simd, b.at::<V>(lanes::<S, T>(), at, vector)));
            for row in 0..H {
                let value = splat(simd, a.at::<H>(at, row));
                for vector in 0..V {
                    sums[row][vector] = columns[vector].mul_add(value, sums[row][vector]);
                }
            }
        }
    }
    sums
}

/// Where the block of C with its corner at `ptr` goes, and what is done on the way: C = relu(alpha * sum + factor * plus).
#[derive(Clone, Copy)]
pub(crate) struct Target<T> {
    pub ptr: *mut T,
    pub row: isize,
    pub column: isize,
    pub alpha: T,
    /// Null: nothing is added.
    pub plus: *const T,
    pub plus_row: isize,
    pub plus_column: isize,
    pub factor: T,
    pub relu: bool,
}

impl<T: Real> Target<T> {
    /// The block whose corner is `rows` down and `columns` to the right.
    #[inline(always)]
    pub(crate) fn at(self, rows: usize, columns: usize) -> Target<T> {
        let (rows, columns) = (rows as isize, columns as isize);
        let ptr = self.ptr.wrapping_offset(rows * self.row + columns * self.column);
        let plus =
            if self.plus.is_null() { self.plus } else { self.plus.wrapping_offset(rows * self.plus_row + columns * self.plus_column) };
        Target { ptr, plus, ..self }
    }

    pub(crate) fn transposed(self) -> Target<T> {
        Target { row: self.column, column: self.row, plus_row: self.plus_column, plus_column: self.plus_row, ..self }
    }

    /// The target of one of several passes over the depth: the first one adds `plus`, later ones what is there, the last one ends with relu.
    pub(crate) fn pass(self, first: bool, last: bool) -> Target<T> {
        let relu = self.relu && last;
        if first {
            return Target { relu, ..self };
        }
        Target { plus: self.ptr, plus_row: self.row, plus_column: self.column, factor: T::ONE, relu, ..self }
    }

    /// Whether vectors can be stored as they are.
    #[inline(always)]
    pub(crate) fn takes_vectors(&self) -> bool {
        self.column == 1 && (self.plus.is_null() || self.plus_column == 1 || self.plus_column == 0)
    }

    /// Writes one element.
    ///
    /// # Safety
    /// Row and column are inside the block.
    #[inline(always)]
    pub(crate) unsafe fn put(&self, row: usize, column: usize, sum: T) {
        let (row, column) = (row as isize, column as isize);
        let mut value = if self.alpha == T::ONE { sum } else { sum * self.alpha };
        // SAFETY: the caller vouches.
        unsafe {
            if !self.plus.is_null() {
                let plus = *self.plus.offset(row * self.plus_row + column * self.plus_column);
                value += if self.factor == T::ONE { plus } else { plus * self.factor };
            }
            if self.relu && value < T::ZERO {
                value = T::ZERO;
            }
            *self.ptr.offset(row * self.row + column * self.column) = value;
        }
    }

    /// Writes `rows` x `columns` sums whose rows are `stride` apart.
    ///
    /// # Safety
    /// The block is as large, and so is the memory at `sums`.
    pub(crate) unsafe fn put_block(&self, rows: usize, columns: usize, sums: *const T, stride: usize) {
        for row in 0..rows {
            for column in 0..columns {
                // SAFETY: the caller vouches.
                unsafe { self.put(row, column, *sums.add(row * stride + column)) };
            }
        }
    }

    /// Finishes one vector of a row; `plus` is where what is to be added lies, if anything is.
    ///
    /// # Safety
    /// `plus`, if it counts, is readable for a vector (one element if `plus_column` is 0).
    #[inline(always)]
    pub(crate) unsafe fn finish<S: Simd>(&self, simd: S, sum: T::Lanes<S>, plus: *const T) -> T::Lanes<S> {
        let mut value = if self.alpha == T::ONE { sum } else { sum * splat(simd, self.alpha) };
        if !self.plus.is_null() {
            // SAFETY: the caller vouches.
            let plus = unsafe { if self.plus_column == 0 { splat(simd, *plus) } else { load(simd, plus) } };
            value += if self.factor == T::ONE { plus } else { plus * splat(simd, self.factor) };
        }
        if self.relu {
            let zero = splat(simd, T::ZERO);
            // NaN is not below zero, so it stays.
            value = value.simd_lt(zero).select(zero, value);
        }
        value
    }
}

/// A tile in memory. (Taking the address of the sums themselves would keep them out of registers.)
#[repr(align(64))]
pub(crate) struct Spill<T>(pub [MaybeUninit<T>; MOST]);
/// Elements of the largest tile: 12 rows of two 16-lane vectors.
const MOST: usize = 12 * 32;

impl<T: Real> Spill<T> {
    #[inline(always)]
    pub(crate) fn new<S: Simd, const H: usize, const V: usize>(sums: [[T::Lanes<S>; V]; H]) -> Spill<T> {
        let width = lanes::<S, T>();
        assert!(H * V * width <= MOST);
        let mut spill = Spill([const { MaybeUninit::uninit() }; MOST]);
        let to = spill.0.as_mut_ptr().cast::<T>();
        for row in 0..H {
            for vector in 0..V {
                // SAFETY: row * V + vector < H * V.
                unsafe { store::<S, T>(to.add((row * V + vector) * width), sums[row][vector]) };
            }
        }
        spill
    }

    pub(crate) fn ptr(&self) -> *const T {
        self.0.as_ptr().cast()
    }
}

/// Writes a tile, of which `columns` columns belong to C.
///
/// # Safety
/// The block at `target` has `H` rows and `columns` columns; `columns` <= `V` vectors.
#[inline(always)]
pub(crate) unsafe fn write<S: Simd, T: Real, const H: usize, const V: usize>(
    simd: S,
    sums: [[T::Lanes<S>; V]; H],
    columns: usize,
    target: &Target<T>,
) {
    let width = lanes::<S, T>();
    // SAFETY: the caller vouches for the block; the spill has H * V vectors.
    unsafe {
        if columns == V * width && target.takes_vectors() {
            for row in 0..H {
                let (to, plus) =
                    (target.ptr.wrapping_offset(row as isize * target.row), target.plus.wrapping_offset(row as isize * target.plus_row));
                for vector in 0..V {
                    let plus = plus.wrapping_offset((vector * width) as isize * target.plus_column);
                    store::<S, T>(to.add(vector * width), target.finish(simd, sums[row][vector], plus));
                }
            }
        } else {
            target.put_block(H, columns, Spill::<T>::new::<S, H, V>(sums).ptr(), V * width);
        }
    }
}

/// Multiplies and writes the tile of `height` rows and `columns` columns.
///
/// # Safety
/// `a` has `height` rows, at most `S::ROWS`; `b` has one vector for every depth, two if `columns` is more than a vector; `target` has the block.
#[inline(always)]
pub(crate) unsafe fn tile<S: Machine, T: Real>(
    simd: S,
    height: usize,
    columns: usize,
    depth: usize,
    a: impl Rows<T>,
    b: impl Columns<T>,
    target: &Target<T>,
) {
    macro_rules! heights {
        ($vectors:literal, $($height:literal)*) => {
            match height {
                $($height if $height <= S::ROWS => {
                    // SAFETY: the caller vouches.
                    unsafe {
                        let sums = multiply::<S, T, $height, $vectors>(simd, depth, a, b);
                        write::<S, T, $height, $vectors>(simd, sums, columns, target);
                    }
                })*
                _ => unreachable!("no tile has {height} rows"),
            }
        };
    }
    if columns > lanes::<S, T>() { heights!(2, 1 2 3 4 5 6 7 8 9 10 11 12) } else { heights!(1, 1 2 3 4 5 6 7 8 9 10 11 12) }
}

/// The rows of panel `at` of `panels` over `total` rows: heights differ by one at most.
#[inline(always)]
pub(crate) fn panel(total: usize, panels: usize, at: usize) -> std::ops::Range<usize> {
    total * at / panels..total * (at + 1) / panels
}

/// The sums over `len` of the products of `H` rows and `W` others, all contiguous.
///
/// # Safety
/// All rows have `len` elements.
#[inline(always)]
pub(crate) unsafe fn dot<S: Simd, T: Real, const H: usize, const W: usize>(
    simd: S,
    len: usize,
    a: [*const T; H],
    b: [*const T; W],
) -> [[T; W]; H] {
    let width = lanes::<S, T>();
    let mut sums = [[splat::<S, T>(simd, T::ZERO); W]; H];
    let mut at = 0;
    // SAFETY: the caller vouches for `len` elements of each row.
    unsafe {
        while at + width <= len {
            let left: [T::Lanes<S>; H] = std::array::from_fn(|row| load(simd, a[row].add(at)));
            for other in 0..W {
                let right = load(simd, b[other].add(at));
                for row in 0..H {
                    sums[row][other] = left[row].mul_add(right, sums[row][other]);
                }
            }
            at += width;
        }
        let mut out = [[T::ZERO; W]; H];
        for row in 0..H {
            for other in 0..W {
                let mut sum = sums[row][other].reduce_sum();
                for rest in at..len {
                    sum += *a[row].add(rest) * *b[other].add(rest);
                }
                out[row][other] = sum;
            }
        }
        out
    }
}
