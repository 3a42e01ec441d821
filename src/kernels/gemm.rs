//! Matrix products: C = relu(alpha · A·B + factor · D), for any strides, any batch dimensions and every arithmetic dtype.
//!
//! f32 and f64 run in packed register tiles, f16 and bf16 are computed in f32 and rounded once, integers wrap. Blocks depend on sizes
//! alone and the depth is never divided among threads, so the bits do not depend on their number.
//! Error for a depth of k, with u the unit roundoff of the computing type: |error| <= (k + 3) u (|alpha| |A|·|B| + |factor D|)
//! elementwise (Higham, Accuracy and Stability, §3.5), plus the rounding to f16 or bf16.

#![allow(clippy::needless_range_loop, reason = "rows and vectors of a tile are indices of several arrays")]

mod element;
mod pack;
mod scratch;
pub(crate) mod tile;

pub(crate) use element::Half;
pub(crate) use scratch::Scratch;

use crate::memory::{Dst, Src};
use crate::parallel::par_for;
pub use element::{Call, Element};
use fearless_simd::Level;
use smallvec::SmallVec;
use std::ops::Range;
use tile::{
    Machine, PackedColumns, PackedRows, Real, StridedColumns, StridedRows, Target, Task, dot, lanes, load, panel, splat, store, tile,
};

/// What happens to the product on its way to C.
#[derive(Clone, Copy, Debug)]
pub struct Epilogue<'a, E: Element> {
    /// Factor of the product.
    pub alpha: E::Scalar,
    /// Factor and matrix to add; the shape is C's. Stride 0 repeats: a bias per column has row stride 0, one per row column stride 0. It
    /// may be C itself (then C = alpha·A·B + factor·C), but must not overlap it otherwise. Factor 0 means that it is not read.
    pub plus: Option<(E::Scalar, Src<'a, E>)>,
    /// Whether negative results become zero; NaN stays.
    pub relu: bool,
}

impl<E: Element> Default for Epilogue<'_, E> {
    fn default() -> Self {
        Epilogue { alpha: E::ONE, plus: None, relu: false }
    }
}

/// C = relu(alpha · A·B + factor · D).
///
/// Shapes: a (*, m, k), b (*, k, n), c (*, m, n), with the same batch sizes `*` (stride 0 where an operand repeats). Sizes may be 0;
/// with k = 0 the product is 0.
///
/// # Panics
/// If the shapes do not fit; `ops` has checked them.
pub fn gemm<E: Element>(a: Src<E>, b: Src<E>, c: Dst<E>, epilogue: &Epilogue<E>) {
    gemm_at(crate::level(), a, b, c, epilogue)
}

/// As `gemm`, at a given SIMD level.
pub fn gemm_at<E: Element>(level: Level, a: Src<E>, b: Src<E>, c: Dst<E>, epilogue: &Epilogue<E>) {
    let dims = c.shape.len();
    assert!(dims >= 2 && a.shape.len() == dims && b.shape.len() == dims, "gemm: operands differ in dimensions");
    let batch = dims - 2;
    let (m, n, k) = (c.shape[batch], c.shape[batch + 1], a.shape[batch + 1]);
    assert!(a.shape[batch] == m && b.shape[batch] == k && b.shape[batch + 1] == n, "gemm: shapes do not fit");
    assert!(a.shape[..batch] == c.shape[..batch] && b.shape[..batch] == c.shape[..batch], "gemm: batch sizes differ");
    let plus = epilogue.plus.filter(|(factor, _)| *factor != E::ZERO);
    if let Some((_, plus)) = plus {
        assert!(plus.shape == c.shape, "gemm: the shape to add differs");
    }
    if c.is_empty() {
        return;
    }
    let call = Call {
        m,
        n,
        k,
        a: a.ptr,
        a_row: a.strides[batch],
        a_depth: a.strides[batch + 1],
        b: b.ptr,
        b_depth: b.strides[batch],
        b_column: b.strides[batch + 1],
        c: c.ptr,
        c_row: c.strides[batch],
        c_column: c.strides[batch + 1],
        plus: plus.map_or(std::ptr::null(), |(_, plus)| plus.ptr),
        plus_row: plus.map_or(0, |(_, plus)| plus.strides[batch]),
        plus_column: plus.map_or(0, |(_, plus)| plus.strides[batch + 1]),
        alpha: epilogue.alpha,
        factor: plus.map_or(E::ZERO, |(factor, _)| factor),
        relu: epilogue.relu,
    };
    if batch == 0 {
        // SAFETY: `Src` and `Dst` vouch for the elements that their shapes reach.
        return unsafe { E::product(level, call, true) };
    }
    let mut dimensions: SmallVec<[[isize; 5]; 4]> = SmallVec::new();
    for at in 0..batch {
        if c.shape[at] != 1 {
            let plus = plus.map_or(0, |(_, plus)| plus.strides[at]);
            dimensions.push([c.shape[at] as isize, a.strides[at], b.strides[at], c.strides[at], plus]);
        }
    }
    batched(level, call, &mut dimensions)
}

/// Runs `call` for every index of the batch `dimensions`: (size, stride of a, of b, of c, of plus) each.
fn batched<E: Element>(level: Level, mut call: Call<E>, dimensions: &mut SmallVec<[[isize; 5]; 4]>) {
    // A batch that shares B and continues the rows of A is one taller matrix.
    while let Some(&[size, a, 0, c, plus]) = dimensions.last() {
        let m = call.m as isize;
        let one = m == 1;
        if one {
            (call.a_row, call.c_row, call.plus_row) = (a, c, plus);
        } else if a != m * call.a_row || c != m * call.c_row || !(call.plus.is_null() || plus == m * call.plus_row) {
            break;
        }
        call.m *= size as usize;
        dimensions.pop();
    }
    let total: usize = dimensions.iter().map(|dimension| dimension[0] as usize).product();
    let (call, dimensions) = (&call, &*dimensions);
    let at = |mut index: usize| {
        let mut call = *call;
        for &[size, a, b, c, plus] in dimensions.iter().rev() {
            let here = (index % size as usize) as isize;
            index /= size as usize;
            call.a = call.a.wrapping_offset(here * a);
            call.b = call.b.wrapping_offset(here * b);
            call.c = call.c.wrapping_offset(here * c);
            if !call.plus.is_null() {
                call.plus = call.plus.wrapping_offset(here * plus);
            }
        }
        call
    };
    let work = call.m * call.n * call.k.max(8);
    // SAFETY: `Src` and `Dst` vouch for the elements that their shapes reach; no two indices of C meet.
    let one = |index: usize, parallel: bool| unsafe { E::product(level, at(index), parallel) };
    if total == 1 || work >= LARGE {
        (0..total).for_each(|index| one(index, true));
    } else {
        let group = (GRAIN / work.max(1)).clamp(1, total);
        par_for(total.div_ceil(group), &|at| (at * group..total.min((at + 1) * group)).for_each(|index| one(index, false)));
    }
}

/// Multiply-adds from which one product is divided among threads by itself, in a batch.
const LARGE: usize = 1 << 22;
/// Multiply-adds of a unit of parallel work: some 15 µs.
const GRAIN: usize = 1 << 19;
/// Multiply-adds up to which operands are read where they lie and the work stays on this thread.
const SMALL: usize = 1 << 16;
/// Bytes of both operands up to which they are not packed beforehand: they stay near, and what one core has packed another reads
/// slowly (64 x 784 x 256: 163 µs packed, 113 µs not; 512³: 1.35 ms and 1.19 ms; from 1024³ on there is no difference).
const UNPACKED_BYTES: usize = 8 << 20;
/// Greatest depth of a packed block: 256 rows of a 16-column panel take 16 KiB, half of a level-1 cache.
const DEPTH: usize = 256;
/// Rows of a block of A: 96 x 256 values of f32 are 96 KiB, well inside a level-2 cache.
const BLOCK_ROWS: usize = 96;
/// Rows and columns for which packed operands are kept at a time, to bound memory.
const SPAN: usize = 2048;

/// One product of f32 or f64 matrices.
#[derive(Clone, Copy)]
pub(crate) struct Product<T> {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: *const T,
    pub a_row: isize,
    pub a_depth: isize,
    pub b: *const T,
    pub b_depth: isize,
    pub b_column: isize,
    pub target: Target<T>,
}

// SAFETY: plain addresses; whoever made the product vouched for them for the length of the call, and blocks of C do not overlap.
unsafe impl<T> Send for Product<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Product<T> {}

impl<T: Real> Product<T> {
    /// Cᵀ = Bᵀ·Aᵀ.
    fn transposed(self) -> Self {
        Product {
            m: self.n,
            n: self.m,
            k: self.k,
            a: self.b,
            a_row: self.b_column,
            a_depth: self.b_depth,
            b: self.a,
            b_depth: self.a_depth,
            b_column: self.a_row,
            target: self.target.transposed(),
        }
    }

    /// # Safety
    /// All elements that sizes and strides reach are accessible; C overlaps nothing but `plus`, and that exactly.
    pub(crate) unsafe fn run(self, level: Level, parallel: bool) {
        tile::run(level, Run { product: self, parallel })
    }
}

/// A raw pointer that may cross threads.
#[derive(Clone, Copy)]
pub(crate) struct Shared<T>(pub *mut T);
// SAFETY: used for disjoint blocks or after a join.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}
impl<T> Shared<T> {
    pub(crate) fn get(self) -> *mut T {
        self.0
    }
}

struct Run<T> {
    product: Product<T>,
    parallel: bool,
}

impl<T: Real> Task for Run<T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Machine>(self, simd: S) {
        let (p, parallel) = (self.product, self.parallel);
        // SAFETY: `Product::run` asks its caller for what these need.
        unsafe {
            if p.m == 0 || p.n == 0 {
            } else if p.k == 0 {
                (0..p.m).for_each(|row| (0..p.n).for_each(|column| p.target.put(row, column, T::ZERO)));
            } else {
                let narrow = if p.n < p.m { p.transposed() } else { p };
                // B is read once: packing it would cost more than the few products.
                let (one_use, large) = (narrow.m <= 4, narrow.m <= 12 && narrow.k * narrow.n >= 1 << 16);
                if narrow.b_depth == 1 && narrow.k >= 16 && (one_use || large && narrow.k >= 64) {
                    return few_rows_of_dots(simd, narrow, parallel);
                }
                if narrow.b_column == 1 && narrow.n >= 64 && (one_use && narrow.k * narrow.n >= 1 << 14 || large) {
                    return few_rows_of_sums(simd, narrow, parallel);
                }
                let p = if p.target.column != 1 && p.target.row == 1 { p.transposed() } else { p };
                // Few rows and a B across its grain: Bᵀ is read where it lies, and the few columns that Aᵀ then has are soon packed.
                let few = p.m <= 16 && p.b_column != 1 && p.b_depth == 1 && p.n >= 8 * S::ROWS;
                let p = if few { p.transposed() } else { p };
                let work = p.m * p.n * p.k;
                if work <= SMALL && p.k <= 4 * DEPTH {
                    unpacked(simd, p, (p.m.div_ceil(S::ROWS), p.n.div_ceil(2 * lanes::<S, T>())), false)
                } else if (p.m + p.n) * p.k * size_of::<T>() <= UNPACKED_BYTES && is_unpacked::<S, T>(&p) {
                    unpacked(simd, p, unpacked_panels::<S, T>(&p), parallel)
                } else {
                    packed(simd, p, parallel)
                }
            }
        }
    }
}

/// The panels `row_panels` of A times `columns` of B, without packing A: each panel of B is read where it
/// lies if its columns stand together, else packed.
///
/// # Safety
/// As for `Product::run`.
#[inline(always)]
unsafe fn in_place<S: Machine, T: Real>(simd: S, p: &Product<T>, row_panels: Range<usize>, columns: Range<usize>) {
    let width = 2 * lanes::<S, T>();
    let panels = p.m.div_ceil(S::ROWS);
    let mut scratch = None;
    for column in columns.clone().step_by(width) {
        let columns = width.min(columns.end - column);
        let from = p.b.wrapping_offset(column as isize * p.b_column);
        let direct = p.b_column == 1 && columns.is_multiple_of(width / 2);
        // SAFETY: the caller vouches for the operands; the scratch holds one panel.
        unsafe {
            let (panel_ptr, panel_depth) = if direct {
                (from, p.b_depth)
            } else {
                let packed = scratch.get_or_insert_with(|| Scratch::of::<T>(width * p.k)).ptr::<T>();
                pack::columns(simd, from, p.b_depth, p.b_column, columns, p.k, packed);
                (packed.cast_const(), if columns > width / 2 { width } else { width / 2 } as isize)
            };
            for at in row_panels.clone() {
                let rows = panel(p.m, panels, at);
                let a = StridedRows { ptr: p.a.wrapping_offset(rows.start as isize * p.a_row), row: p.a_row, depth: p.a_depth };
                let target = p.target.at(rows.start, column);
                tile(simd, rows.len(), columns, p.k, a, StridedColumns { ptr: panel_ptr, depth: panel_depth }, &target);
            }
        }
    }
}

/// Whether `unpacked` can divide the work: columns of B that do not stand together are packed by whoever needs them, so either they
/// are few, or there are enough of them for all threads.
#[inline(always)]
fn is_unpacked<S: Machine, T: Real>(p: &Product<T>) -> bool {
    let width = 2 * lanes::<S, T>();
    (p.a_depth == 1 || p.a_row == 1) && (p.b_column == 1 || p.n <= width || p.m >= 2 * S::ROWS && p.n >= 4 * width)
}

/// A product whose operands are read where they lie, blocks of so many panels of A and B in parallel: nothing is packed that another
/// thread reads.
///
/// # Safety
/// As for `Product::run`.
#[inline(always)]
unsafe fn unpacked<S: Machine, T: Real>(simd: S, p: Product<T>, (row_panels, column_panels): (usize, usize), parallel: bool) {
    // Closures borrow the whole product: its pointers alone may not cross threads.
    let p = &p;
    let width = 2 * lanes::<S, T>();
    let (a_panels, b_panels) = (p.m.div_ceil(S::ROWS), p.n.div_ceil(width));
    let row_blocks = a_panels.div_ceil(row_panels);
    let block = |at: usize| {
        simd.vectorize(
            #[inline(always)]
            || {
                let (row_block, column_block) = (at % row_blocks, at / row_blocks);
                let rows = row_block * row_panels..a_panels.min((row_block + 1) * row_panels);
                let columns = column_block * column_panels * width..p.n.min((column_block + 1) * column_panels * width);
                // SAFETY: the caller vouches for the operands; blocks write disjoint tiles of C.
                unsafe { in_place(simd, p, rows, columns) };
            },
        )
    };
    let blocks = row_blocks * b_panels.div_ceil(column_panels);
    if parallel { par_for(blocks, &block) } else { (0..blocks).for_each(block) }
}

/// The panels of A and of B of a block of `unpacked`.
#[inline(always)]
fn unpacked_panels<S: Machine, T: Real>(p: &Product<T>) -> (usize, usize) {
    let width = 2 * lanes::<S, T>();
    let (a_panels, b_panels) = (p.m.div_ceil(S::ROWS), p.n.div_ceil(width));
    match p.b_column {
        1 => block_panels::<S>(a_panels, b_panels, width, p.k),
        _ if b_panels == 1 => ((GRAIN / (S::ROWS * p.n * p.k)).clamp(1, a_panels.div_ceil(8)), 1),
        _ => (a_panels, (GRAIN / (p.m * width * p.k)).clamp(1, b_panels.div_ceil(8))),
    }
}

/// How many panels of A and of B a block of C has: at most `BLOCK_ROWS` x 16 panels, halved while there are few blocks and each is
/// worth a thread.
#[inline(always)]
fn block_panels<S: Machine>(a_panels: usize, b_panels: usize, width: usize, depth: usize) -> (usize, usize) {
    let mut row_panels = even(a_panels, BLOCK_ROWS / S::ROWS, 1);
    let mut column_panels = even(b_panels, 16, 1);
    loop {
        let blocks = a_panels.div_ceil(row_panels) * b_panels.div_ceil(column_panels);
        if blocks >= 16 || row_panels * S::ROWS * column_panels * width * depth < 2 * GRAIN {
            break;
        }
        if column_panels >= 4 && column_panels * width >= row_panels * S::ROWS {
            column_panels = column_panels.div_ceil(2);
        } else if row_panels >= 2 {
            row_panels = row_panels.div_ceil(2);
        } else {
            break;
        }
    }
    (row_panels, column_panels)
}

/// Divides `total` into the fewest pieces of at most `most`, of nearly the same size, each but the last a multiple of `unit`.
fn even(total: usize, most: usize, unit: usize) -> usize {
    let pieces = total.div_ceil(most);
    total.div_ceil(pieces).next_multiple_of(unit)
}

/// The general product: panels of A and B are packed for one block of the depth at a time, then blocks of C are computed in parallel.
///
/// # Safety
/// As for `Product::run`.
#[inline(always)]
unsafe fn packed<S: Machine, T: Real>(simd: S, p: Product<T>, parallel: bool) {
    let width = 2 * lanes::<S, T>();
    let depth_step = even(p.k, DEPTH, 1);
    let row_step = even(p.m, SPAN, S::ROWS);
    let column_step = even(p.n, SPAN, width);
    let mut a_scratch = Scratch::of::<T>(row_step.min(p.m) * depth_step);
    let mut b_scratch = Scratch::of::<T>(column_step * depth_step);
    let (a_packed, b_packed) = (Shared(a_scratch.ptr::<T>()), Shared(b_scratch.ptr::<T>()));
    for column in (0..p.n).step_by(column_step) {
        let columns = column_step.min(p.n - column);
        for row in (0..p.m).step_by(row_step) {
            let rows = row_step.min(p.m - row);
            for first in (0..p.k).step_by(depth_step) {
                let depth = depth_step.min(p.k - first);
                let block = Product {
                    m: rows,
                    n: columns,
                    k: depth,
                    a: p.a.wrapping_offset(row as isize * p.a_row + first as isize * p.a_depth),
                    b: p.b.wrapping_offset(column as isize * p.b_column + first as isize * p.b_depth),
                    target: p.target.at(row, column).pass(first == 0, first + depth == p.k),
                    ..p
                };
                // SAFETY: the caller vouches for the operands; the scratches hold the block's panels.
                unsafe { packed_block(simd, block, a_packed, b_packed, parallel, row == 0 || row_step < p.m || depth_step < p.k) };
            }
        }
    }
}

/// # Safety
/// As for `Product::run`; the packed buffers have room for the block.
#[inline(always)]
unsafe fn packed_block<S: Machine, T: Real>(
    simd: S,
    p: Product<T>,
    a_packed: Shared<T>,
    b_packed: Shared<T>,
    parallel: bool,
    pack_b: bool,
) {
    // Closures borrow the whole product: its pointers alone may not cross threads.
    let p = &p;
    let width = 2 * lanes::<S, T>();
    let a_panels = p.m.div_ceil(S::ROWS);
    let b_panels = p.n.div_ceil(width);
    let spread = |total: usize, body: &(dyn Fn(usize) + Sync)| if parallel { par_for(total, body) } else { (0..total).for_each(body) };
    // Units of packing: some 4096 values each.
    let a_group = (4096 / (S::ROWS * p.k)).max(1);
    let b_group = (4096 / (width * p.k)).max(1);
    let a_units = a_panels.div_ceil(a_group);
    let b_units = if pack_b { b_panels.div_ceil(b_group) } else { 0 };
    let pack_unit = |unit: usize| {
        simd.vectorize(
            #[inline(always)]
            || {
                // SAFETY: the caller vouches for the operands and the room; units write disjoint panels.
                unsafe {
                    if unit < a_units {
                        for at in unit * a_group..a_panels.min((unit + 1) * a_group) {
                            let rows = panel(p.m, a_panels, at);
                            let from = p.a.wrapping_offset(rows.start as isize * p.a_row);
                            pack::rows(simd, from, p.a_row, p.a_depth, rows.len(), p.k, a_packed.get().add(rows.start * p.k));
                        }
                    } else {
                        let unit = unit - a_units;
                        for at in unit * b_group..b_panels.min((unit + 1) * b_group) {
                            let columns = width.min(p.n - at * width);
                            let from = p.b.wrapping_offset((at * width) as isize * p.b_column);
                            pack::columns(simd, from, p.b_depth, p.b_column, columns, p.k, b_packed.get().add(at * width * p.k));
                        }
                    }
                }
            },
        )
    };
    spread(a_units + b_units, &pack_unit);
    let (row_panels, column_panels) = block_panels::<S>(a_panels, b_panels, width, p.k);
    let row_blocks = a_panels.div_ceil(row_panels);
    let column_blocks = b_panels.div_ceil(column_panels);
    let block = |at: usize| {
        simd.vectorize(
            #[inline(always)]
            || {
                let (row_block, column_block) = (at % row_blocks, at / row_blocks);
                for b_at in column_block * column_panels..b_panels.min((column_block + 1) * column_panels) {
                    let column = b_at * width;
                    let columns = width.min(p.n - column);
                    for a_at in row_block * row_panels..a_panels.min((row_block + 1) * row_panels) {
                        let rows = panel(p.m, a_panels, a_at);
                        // SAFETY: both panels are packed; blocks write disjoint tiles of C.
                        unsafe {
                            let a = PackedRows(a_packed.get().add(rows.start * p.k).cast_const());
                            let b = PackedColumns(b_packed.get().add(column * p.k).cast_const());
                            tile(simd, rows.len(), columns, p.k, a, b, &p.target.at(rows.start, column));
                        }
                    }
                }
            },
        )
    };
    spread(row_blocks * column_blocks, &block);
}

/// Few rows, the columns of B contiguous along the depth: every element is a dot product; B is read once.
///
/// # Safety
/// As for `Product::run`.
#[inline(always)]
unsafe fn few_rows_of_dots<S: Machine, T: Real>(simd: S, p: Product<T>, parallel: bool) {
    // Closures borrow the whole product: its pointers alone may not cross threads.
    let p = &p;
    let mut scratch;
    let (mut a, mut a_row) = (p.a, p.a_row);
    if p.a_depth != 1 {
        scratch = Scratch::of::<T>(p.m * p.k);
        let copy = scratch.ptr::<T>();
        for row in 0..p.m {
            for at in 0..p.k {
                // SAFETY: the caller vouches for A; the copy has m * k elements.
                unsafe { *copy.add(row * p.k + at) = *p.a.offset(row as isize * p.a_row + at as isize * p.a_depth) };
            }
        }
        (a, a_row) = (copy.cast_const(), p.k as isize);
    }
    let a = Shared(a.cast_mut());
    let columns = |range: Range<usize>| {
        simd.vectorize(
            #[inline(always)]
            || {
                let a = |row: usize| a.get().cast_const().wrapping_offset(row as isize * a_row);
                // SAFETY: the caller vouches for the rows of A and the columns of B; columns of C belong to this unit.
                unsafe {
                    for column in range.clone().step_by(4) {
                        let others = 4.min(range.end - column);
                        // Beyond the end, the last column is multiplied again and not written.
                        let right: [*const T; 4] =
                            std::array::from_fn(|other| p.b.wrapping_offset((column + other.min(others - 1)) as isize * p.b_column));
                        let put = |row: usize, sums: &[T]| (0..others).for_each(|other| p.target.put(row, column + other, sums[other]));
                        let mut row = 0;
                        while row < p.m {
                            match p.m - row {
                                1 => put(row, &dot::<S, T, 1, 4>(simd, p.k, [a(row)], right)[0]),
                                2 | 4 => {
                                    let sums = dot::<S, T, 2, 4>(simd, p.k, [a(row), a(row + 1)], right);
                                    (0..2).for_each(|at| put(row + at, &sums[at]));
                                    row += 1;
                                }
                                _ => {
                                    let sums = dot::<S, T, 3, 4>(simd, p.k, [a(row), a(row + 1), a(row + 2)], right);
                                    (0..3).for_each(|at| put(row + at, &sums[at]));
                                    row += 2;
                                }
                            }
                            row += 1;
                        }
                    }
                }
            },
        )
    };
    let unit = ((1 << 17) / p.k).next_multiple_of(4).max(4);
    spread_columns(p.n, unit, parallel && p.n > unit, &columns);
}

/// Few rows, the rows of B contiguous: B is read once, in order, and added to sums that stay in cache.
///
/// # Safety
/// As for `Product::run`.
#[inline(always)]
unsafe fn few_rows_of_sums<S: Machine, T: Real>(simd: S, p: Product<T>, parallel: bool) {
    // Closures borrow the whole product: its pointers alone may not cross threads.
    let p = &p;
    let vector = lanes::<S, T>();
    let columns = |range: Range<usize>| {
        simd.vectorize(
            #[inline(always)]
            || {
                let count = range.len();
                let mut scratch = Scratch::of::<T>(count * p.m);
                let sums = scratch.ptr::<T>();
                let b = p.b.wrapping_add(range.start);
                // SAFETY: the caller vouches for A and B; the sums have m * count elements, all written before they are read.
                unsafe {
                    (0..count * p.m).for_each(|at| *sums.add(at) = T::ZERO);
                    let mut depth = 0;
                    while depth < p.k {
                        let step = if p.k - depth >= 8 { 8 } else { 1 };
                        for row in 0..p.m {
                            let sums = sums.add(row * count);
                            let factor = |at: usize| *p.a.offset(row as isize * p.a_row + (depth + at) as isize * p.a_depth);
                            let from = |at: usize| b.wrapping_offset((depth + at) as isize * p.b_depth);
                            let mut column = 0;
                            if step == 8 {
                                let factors: [T::Lanes<S>; 8] = std::array::from_fn(|at| splat(simd, factor(at)));
                                let rows: [*const T; 8] = std::array::from_fn(from);
                                while column + vector <= count {
                                    let mut sum = load(simd, sums.add(column).cast_const());
                                    for at in 0..8 {
                                        sum = fearless_simd::SimdFloat::mul_add(load(simd, rows[at].add(column)), factors[at], sum);
                                    }
                                    store::<S, T>(sums.add(column), sum);
                                    column += vector;
                                }
                            }
                            for column in column..count {
                                for at in 0..step {
                                    *sums.add(column) += factor(at) * *from(at).add(column);
                                }
                            }
                        }
                        depth += step;
                    }
                    for row in 0..p.m {
                        (0..count).for_each(|column| p.target.put(row, range.start + column, *sums.add(row * count + column)));
                    }
                }
            },
        )
    };
    // Pieces of rows long enough to be read ahead, short enough that eight of them stay in a level-1 cache.
    let unit = if p.m == 1 { 2048 } else { 512 };
    spread_columns(p.n, unit, parallel && p.n * p.k * p.m > GRAIN, &columns);
}

/// Runs `body` for pieces of `unit` columns.
fn spread_columns(total: usize, unit: usize, parallel: bool, body: &(dyn Fn(Range<usize>) + Sync)) {
    let piece = |at: usize| body(at * unit..total.min((at + 1) * unit));
    if parallel { par_for(total.div_ceil(unit), &piece) } else { (0..total.div_ceil(unit)).for_each(piece) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::{bf16, f16};

    /// A strided matrix (or batch) over its own memory.
    struct Owned<E> {
        data: Vec<E>,
        start: usize,
        shape: Vec<usize>,
        strides: Vec<isize>,
    }

    trait Value: Element {
        /// Unit roundoff of a stored value and of the sums.
        const UNIT: [f64; 2];
        fn of(value: f64) -> Self;
        fn get(self) -> f64;
        fn scalar(value: f64) -> Self::Scalar;
    }
    macro_rules! values {
        ($($type:ty, $unit:expr, $of:expr, $get:expr;)*) => {$(
            impl Value for $type {
                const UNIT: [f64; 2] = $unit;
                fn of(value: f64) -> Self { $of(value) }
                fn get(self) -> f64 { $get(self) }
                fn scalar(value: f64) -> Self::Scalar { value as _ }
            }
        )*};
    }
    const F32: f64 = 1.0 / (1u64 << 24) as f64;
    values! {
        f32, [0.0, F32], |v| v as f32, |v| v as f64;
        f64, [0.0, 1.0 / (1u64 << 53) as f64], |v| v, |v| v;
        f16, [1.0 / 2048.0, F32], f16::from_f64, |v: f16| v.to_f64();
        bf16, [1.0 / 256.0, F32], bf16::from_f64, |v: bf16| v.to_f64();
        i8, [0.0, 0.0], |v: f64| (v * 3.0) as i8, |v| v as f64;
        i16, [0.0, 0.0], |v: f64| (v * 9.0) as i16, |v| v as f64;
        i32, [0.0, 0.0], |v: f64| (v * 9.0) as i32, |v| v as f64;
        i64, [0.0, 0.0], |v: f64| (v * 9.0) as i64, |v| v as f64;
        u8, [0.0, 0.0], |v: f64| (v * 2.0).abs() as u8, |v| v as f64;
    }

    /// A cheap generator: tests must not depend on another room.
    struct Random(u64);
    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 ^ self.0 >> 29).wrapping_mul(0xbf58476d1ce4e5b9) >> 20
        }
        fn below(&mut self, limit: usize) -> usize {
            (self.next() % limit as u64) as usize
        }
        fn value(&mut self) -> f64 {
            (self.next() % 4001) as f64 / 1000.0 - 2.0
        }
    }

    /// How a matrix lies in memory.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Layout {
        Rows,
        Columns,
        PaddedRows,
        ReversedRows,
        Spread,
    }
    const LAYOUTS: [Layout; 5] = [Layout::Rows, Layout::Columns, Layout::PaddedRows, Layout::ReversedRows, Layout::Spread];

    impl<E: Value> Owned<E> {
        fn new(random: &mut Random, rows: usize, columns: usize, layout: Layout) -> Self {
            let (r, c) = (rows as isize, columns as isize);
            let strides = match layout {
                Layout::Rows => [c, 1],
                Layout::Columns => [1, r],
                Layout::PaddedRows => [c + 3, 1],
                Layout::ReversedRows => [-c, 1],
                Layout::Spread => [3 * c + 1, -3],
            };
            let lowest: isize = [r, c].iter().zip(&strides).map(|(size, stride)| (size - 1).max(0) * stride.min(&0)).sum();
            let highest: isize = [r, c].iter().zip(&strides).map(|(size, stride)| (size - 1).max(0) * stride.max(&0)).sum();
            let data = (0..highest - lowest + 1).map(|_| E::of(random.value())).collect();
            Owned { data, start: -lowest as usize, shape: vec![rows, columns], strides: strides.to_vec() }
        }
        fn get(&self, row: usize, column: usize) -> f64 {
            self.data[(self.start as isize + row as isize * self.strides[0] + column as isize * self.strides[1]) as usize].get()
        }
        fn src(&self) -> Src<'_, E> {
            // SAFETY: `new` made the memory that the strides reach.
            unsafe { Src::new(self.data.as_ptr().add(self.start), &self.shape, &self.strides) }
        }
        fn dst(&mut self) -> Dst<'_, E> {
            // SAFETY: as for `src`; no layout makes two indices meet.
            unsafe { Dst::new(self.data.as_mut_ptr().add(self.start), &self.shape, &self.strides) }
        }
    }

    fn levels() -> Vec<Level> {
        ["fallback", "sse4.2", "avx2", "avx512", "neon"].into_iter().filter_map(crate::level::named).collect()
    }

    /// The C that comes out, and what is allowed: both against loops in f64.
    #[allow(clippy::type_complexity)]
    fn check<E: Value>(level: Level, [m, n, k]: [usize; 3], [la, lb, lc]: [Layout; 3], kind: usize, random: &mut Random) {
        let (a, b) = (Owned::<E>::new(random, m, k, la), Owned::<E>::new(random, k, n, lb));
        let mut c = Owned::<E>::new(random, m, n, lc);
        let before = Owned { data: c.data.clone(), start: c.start, shape: c.shape.clone(), strides: c.strides.clone() };
        let row_bias = Owned::<E>::new(random, m, 1, Layout::Rows);
        let column_bias = Owned::<E>::new(random, 1, n, Layout::Rows);
        let layout = LAYOUTS[random.below(5)];
        let other = Owned::<E>::new(random, m, n, layout);
        let shape = [m, n];
        let (alpha, factor) = if kind == 0 { (1.0, 0.0) } else { (2.0, [1.0, 3.0][random.below(2)]) };
        let relu = kind % 2 == 1;
        // SAFETY: both biases have as many elements as the dimension that moves.
        let (row_src, column_src) =
            unsafe { (Src::new(row_bias.data.as_ptr(), &shape, &[1, 0]), Src::new(column_bias.data.as_ptr(), &shape, &[0, 1])) };
        let plus = |row: usize, column: usize| match kind {
            0 => 0.0,
            1 => row_bias.get(row, 0),
            2 => column_bias.get(0, column),
            3 => other.get(row, column),
            _ => before.get(row, column),
        };
        let target = c.dst();
        // SAFETY: C is initialised.
        let itself = unsafe { target.as_src() };
        let source = [None, Some(row_src), Some(column_src), Some(other.src()), Some(itself)][kind];
        let epilogue = Epilogue { alpha: E::scalar(alpha), plus: source.map(|source| (E::scalar(factor), source)), relu };
        gemm_at(level, a.src(), b.src(), target, &epilogue);
        for row in 0..m {
            for column in 0..n {
                let (mut sum, mut size) = (0.0, 0.0);
                for depth in 0..k {
                    let product = a.get(row, depth) * b.get(depth, column);
                    sum += product;
                    size += product.abs();
                }
                let mut want = alpha * sum + factor * plus(row, column);
                if E::UNIT[1] == 0.0 {
                    want = wrap::<E>(want);
                }
                if relu {
                    want = want.max(0.0);
                }
                let bound = (k + 3) as f64 * E::UNIT[1] * (alpha * size + factor * plus(row, column).abs());
                let bound = bound * (1.0 + E::UNIT[0]) + E::UNIT[0] * want.abs();
                let got = c.get(row, column);
                if E::UNIT[1] == 0.0 {
                    assert_eq!(got, want, "{m} {n} {k} {la:?} {lb:?} {lc:?} {kind} at {row} {column}");
                } else {
                    let error = (got - want).abs();
                    assert!(error <= bound, "{m} {n} {k} {la:?} {lb:?} {lc:?} {kind}: {got} for {want} at {row} {column}, allowed {bound}");
                }
            }
        }
        // What lies between the elements of C is untouched.
        let mut reached = vec![false; c.data.len()];
        for row in 0..m as isize {
            for column in 0..n as isize {
                reached[(c.start as isize + row * c.strides[0] + column * c.strides[1]) as usize] = true;
            }
        }
        for (at, reached) in reached.iter().enumerate() {
            assert!(*reached || c.data[at].get() == before.data[at].get(), "wrote outside of C");
        }
    }

    fn wrap<E: Value>(value: f64) -> f64 {
        let value = value as i64;
        match std::any::type_name::<E>() {
            "i8" => value as i8 as f64,
            "u8" => value as u8 as f64,
            "i16" => value as i16 as f64,
            _ => value as f64,
        }
    }

    #[test]
    fn every_layout_and_epilogue_at_small_sizes_is_within_the_error_bound() {
        let sizes = [0, 1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 33];
        for level in levels() {
            let random = &mut Random(1);
            for la in LAYOUTS {
                for lb in LAYOUTS {
                    for lc in LAYOUTS {
                        for kind in 0..5 {
                            for _ in 0..6 {
                                let shape = [0; 3].map(|_| sizes[random.below(sizes.len())]);
                                check::<f32>(level, shape, [la, lb, lc], kind, random);
                                check::<f64>(level, shape, [la, lb, lc], kind, random);
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn blocked_and_narrow_sizes_are_within_the_error_bound() {
        for level in levels() {
            let random = &mut Random(2);
            let shapes = [
                [97, 131, 300],
                [6, 600, 270],
                [200, 5, 513],
                [1, 700, 100],
                [3, 100, 400],
                [300, 1, 129],
                [4, 260, 70],
                [130, 2, 1030],
                [40, 40, 1100],
            ];
            for shape in shapes {
                for round in 0..6 {
                    let layouts = [0; 3].map(|_| LAYOUTS[random.below(5)]);
                    check::<f32>(level, shape, layouts, round % 5, random);
                    check::<f64>(level, shape, layouts, round % 5, random);
                }
                for layout in [Layout::Rows, Layout::Columns] {
                    check::<f32>(level, shape, [Layout::Rows, layout, Layout::Rows], 0, random);
                    check::<f32>(level, shape, [Layout::Columns, layout, Layout::Rows], 3, random);
                }
            }
        }
    }

    #[test]
    fn sizes_beyond_one_span_are_within_the_error_bound() {
        let random = &mut Random(3);
        let level = crate::level();
        check::<f32>(level, [2100, 70, 20], [Layout::Rows; 3], 0, random);
        check::<f32>(level, [30, 2200, 300], [Layout::Rows, Layout::Columns, Layout::Rows], 3, random);
        check::<f32>(level, [2060, 2050, 9], [Layout::Rows; 3], 4, random);
        check::<bf16>(level, [20, 1030, 1100], [Layout::Rows, Layout::Columns, Layout::Rows], 3, random);
    }

    #[test]
    fn sixteen_bit_floats_are_summed_in_f32_and_rounded_once() {
        let random = &mut Random(4);
        let level = crate::level();
        for shape in [[0, 3, 2], [3, 4, 0], [1, 1, 1], [5, 9, 33], [33, 17, 130], [2, 40, 1500], [64, 70, 90]] {
            for kind in 0..5 {
                let layouts = [0; 3].map(|_| LAYOUTS[random.below(5)]);
                check::<f16>(level, shape, layouts, kind, random);
                check::<bf16>(level, shape, layouts, kind, random);
            }
        }
    }

    #[test]
    fn widening_f16_agrees_with_half_for_every_bit_pattern() {
        for bits in 0..=u16::MAX {
            let value = f16::from_bits(bits);
            let (got, want) = (element::Half::widen(value), value.to_f32());
            assert!(
                got == want && got.is_sign_negative() == want.is_sign_negative() || got.is_nan() && want.is_nan(),
                "{bits:#x}: {got} {want}"
            );
        }
    }

    #[test]
    fn integers_wrap() {
        let random = &mut Random(5);
        let level = crate::level();
        for shape in [[0, 3, 2], [3, 4, 0], [1, 1, 1], [5, 9, 33], [40, 20, 120]] {
            for kind in 0..5 {
                let layouts = [0; 3].map(|_| LAYOUTS[random.below(5)]);
                check::<i8>(level, shape, layouts, kind, random);
                check::<u8>(level, shape, layouts, kind, random);
                check::<i16>(level, shape, layouts, kind, random);
                check::<i32>(level, shape, layouts, kind, random);
                check::<i64>(level, shape, layouts, kind, random);
            }
        }
    }

    #[test]
    fn batches_broadcast_fold_and_permute() {
        let random = &mut Random(6);
        // (batch sizes, strides of a, b, c in units of a matrix)
        for (m, n, k) in [(3, 5, 4), (1, 6, 3), (20, 33, 17), (64, 64, 64)] {
            for (sizes, sa, sb, sc) in [
                (vec![4], vec![1], vec![0], vec![1]),
                (vec![4], vec![0], vec![1], vec![1]),
                (vec![2, 3], vec![3, 1], vec![1, 2], vec![1, 2]),
                (vec![2, 3, 2], vec![6, 2, 1], vec![0, 0, 1], vec![6, 2, 1]),
                (vec![2, 0], vec![3, 1], vec![1, 2], vec![1, 2]),
                (vec![1, 5], vec![9, 1], vec![0, 1], vec![5, 1]),
            ] {
                let values = |random: &mut Random, len: usize| (0..len * 12).map(|_| random.value() as f32).collect::<Vec<f32>>();
                let (a, b) = (values(random, m * k), values(random, k * n));
                let mut c = vec![f32::NAN; m * n * 12];
                let shape = |r: usize, c: usize| sizes.iter().copied().chain([r, c]).collect::<Vec<usize>>();
                let strides =
                    |s: &[isize], r: usize, c: usize| s.iter().map(|s| s * (r * c) as isize).chain([c as isize, 1]).collect::<Vec<isize>>();
                let (sha, shb, shc) = (shape(m, k), shape(k, n), shape(m, n));
                let (sta, stb, stc) = (strides(&sa, m, k), strides(&sb, k, n), strides(&sc, m, n));
                // SAFETY: twelve matrices of each, and no stride leads further.
                unsafe {
                    let target = Dst::new(c.as_mut_ptr(), &shc, &stc);
                    gemm(Src::new(a.as_ptr(), &sha, &sta), Src::new(b.as_ptr(), &shb, &stb), target, &Epilogue::default());
                }
                let total: usize = sizes.iter().product();
                for index in 0..total {
                    let (mut rest, mut at) = (index, [0; 3]);
                    for dimension in (0..sizes.len()).rev() {
                        let here = (rest % sizes[dimension]) as isize;
                        rest /= sizes[dimension];
                        at = [at[0] + here * sa[dimension], at[1] + here * sb[dimension], at[2] + here * sc[dimension]];
                    }
                    for row in 0..m {
                        for column in 0..n {
                            let product = |d: usize| {
                                a[at[0] as usize * m * k + row * k + d] as f64 * b[at[1] as usize * k * n + d * n + column] as f64
                            };
                            let want: f64 = (0..k).map(product).sum();
                            let size: f64 = (0..k).map(|d| product(d).abs()).sum();
                            let got = c[at[2] as usize * m * n + row * n + column] as f64;
                            assert!((got - want).abs() <= (k + 3) as f64 * F32 * size, "{sizes:?} {index}: {got} for {want}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_in_c_does_not_leak_and_relu_keeps_nan() {
        for n in [1, 8, 16, 40] {
            let (a, b) = (vec![1f32; 5 * 7], vec![2f32; 7 * n]);
            let mut c = vec![f32::NAN; 5 * n];
            let (a_shape, b_shape, shape) = ([5, 7], [7, n], [5, n]);
            let strides = [n as isize, 1];
            // SAFETY: the vectors have the sizes.
            unsafe {
                let (a, b) = (Src::new(a.as_ptr(), &a_shape, &[7, 1]), Src::new(b.as_ptr(), &b_shape, &strides));
                let target = Dst::new(c.as_mut_ptr(), &shape, &strides);
                let plus = Some((0.0, target.as_src()));
                gemm(a, b, target, &Epilogue { plus, ..Epilogue::default() });
                assert!(c.iter().all(|&value| value == 14.0));
                c[0] = f32::NAN;
                let target = Dst::new(c.as_mut_ptr(), &shape, &strides);
                gemm(a, b, target, &Epilogue { plus: Some((1.0, target.as_src())), relu: true, ..Epilogue::default() });
                assert!(c[0].is_nan() && c[1..].iter().all(|&value| value == 28.0));
            }
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let random = &mut Random(7);
        for (m, n, k) in [(200, 300, 520), (3, 3000, 200), (1, 5000, 100), (40, 40, 40)] {
            let a = Owned::<f32>::new(random, m, k, Layout::Rows);
            for layout in [Layout::Rows, Layout::Columns] {
                let b = Owned::<f32>::new(random, k, n, layout);
                let results = [1, 2, 5].map(|threads| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
                    let mut c = Owned::<f32>::new(random, m, n, Layout::Rows);
                    crate::parallel::with_pool(&pool, || gemm(a.src(), b.src(), c.dst(), &Epilogue::default()));
                    c.data.into_iter().map(f32::to_bits).collect::<Vec<u32>>()
                });
                assert!(results[0] == results[1] && results[0] == results[2], "{m} {n} {k} {layout:?}");
            }
        }
    }
}
