//! How each dtype multiplies.

use super::tile::{Real, Target};
use super::{GRAIN, Product, Scratch, Shared};
use crate::parallel::par_for;
use fearless_simd::Level;
use half::{bf16, f16};

/// One product: sizes, and every operand as pointer and strides in elements. C = relu(alpha · A·B + factor · plus).
#[derive(Clone, Copy, Debug)]
pub struct Call<E: Element> {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: *const E,
    pub a_row: isize,
    pub a_depth: isize,
    pub b: *const E,
    pub b_depth: isize,
    pub b_column: isize,
    pub c: *mut E,
    pub c_row: isize,
    pub c_column: isize,
    /// Null: nothing is added.
    pub plus: *const E,
    pub plus_row: isize,
    pub plus_column: isize,
    pub alpha: E::Scalar,
    pub factor: E::Scalar,
    pub relu: bool,
}

// SAFETY: plain addresses; `Element::product` asks for what makes their use on several threads sound.
unsafe impl<E: Element> Send for Call<E> {}
// SAFETY: as above.
unsafe impl<E: Element> Sync for Call<E> {}

mod sealed {
    pub trait Sealed {}
}

/// A dtype that has matrix products.
pub trait Element: sealed::Sealed + Copy + Send + Sync + std::fmt::Debug + 'static {
    /// The type of `alpha` and `factor`: f32 for f16 and bf16, else the type itself.
    type Scalar: Copy + PartialEq + Send + Sync + std::fmt::Debug;
    const ZERO: Self::Scalar;
    const ONE: Self::Scalar;

    /// Runs one product.
    ///
    /// # Safety
    /// All elements that sizes and strides reach are accessible and initialised (C need not be); C overlaps nothing but `plus`, and
    /// that exactly; no two indices of C meet.
    unsafe fn product(level: Level, call: Call<Self>, parallel: bool);
}

macro_rules! real {
    ($($type:ty)*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            type Scalar = $type;
            const ZERO: $type = 0.0;
            const ONE: $type = 1.0;

            unsafe fn product(level: Level, call: Call<$type>, parallel: bool) {
                // SAFETY: the caller vouches.
                unsafe { real_product(call).run(level, parallel) }
            }
        }
    )*};
}
real!(f32 f64);

fn real_product<T: Real + Element<Scalar = T>>(call: Call<T>) -> Product<T> {
    Product {
        m: call.m,
        n: call.n,
        k: call.k,
        a: call.a,
        a_row: call.a_row,
        a_depth: call.a_depth,
        b: call.b,
        b_depth: call.b_depth,
        b_column: call.b_column,
        target: Target {
            ptr: call.c,
            row: call.c_row,
            column: call.c_column,
            alpha: call.alpha,
            plus: call.plus,
            plus_row: call.plus_row,
            plus_column: call.plus_column,
            factor: call.factor,
            relu: call.relu,
        },
    }
}

macro_rules! integer {
    ($($type:ty)*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            type Scalar = $type;
            const ZERO: $type = 0;
            const ONE: $type = 1;

            #[allow(unused_comparisons, reason = "unsigned types have no negative values")]
            unsafe fn product(_level: Level, call: Call<$type>, parallel: bool) {
                // Closures borrow the whole call: its pointers alone may not cross threads.
                let call = &call;
                let row = |row: usize| {
                    let mut scratch = Scratch::of::<$type>(call.n);
                    let sums = scratch.ptr::<$type>();
                    let row = row as isize;
                    // SAFETY: the caller vouches for the operands; the scratch has n sums, zeroed first.
                    unsafe {
                        (0..call.n).for_each(|column| *sums.add(column) = 0);
                        for depth in 0..call.k as isize {
                            let left = *call.a.offset(row * call.a_row + depth * call.a_depth);
                            let right = call.b.wrapping_offset(depth * call.b_depth);
                            for column in 0..call.n {
                                let product = left.wrapping_mul(*right.offset(column as isize * call.b_column));
                                *sums.add(column) = (*sums.add(column)).wrapping_add(product);
                            }
                        }
                        for column in 0..call.n as isize {
                            let mut value = call.alpha.wrapping_mul(*sums.offset(column));
                            if !call.plus.is_null() {
                                let plus = *call.plus.offset(row * call.plus_row + column * call.plus_column);
                                value = value.wrapping_add(call.factor.wrapping_mul(plus));
                            }
                            if call.relu && value < 0 {
                                value = 0;
                            }
                            *call.c.offset(row * call.c_row + column * call.c_column) = value;
                        }
                    }
                };
                let work = call.n * call.k.max(1);
                let group = (GRAIN / 8 / work.max(1)).max(1);
                if parallel && call.m > group {
                    par_for(call.m.div_ceil(group), &|at| (at * group..call.m.min((at + 1) * group)).for_each(row));
                } else {
                    (0..call.m).for_each(row);
                }
            }
        }
    )*};
}
integer!(i8 i16 i32 i64 u8);

/// A 16-bit float that is computed in f32.
pub(crate) trait Half: Copy + Send + Sync + 'static {
    fn widen(self) -> f32;
    fn narrow(value: f32) -> Self;
}

impl Half for bf16 {
    #[inline(always)]
    fn widen(self) -> f32 {
        f32::from_bits((self.to_bits() as u32) << 16)
    }
    #[inline(always)]
    fn narrow(value: f32) -> bf16 {
        bf16::from_f32(value)
    }
}

impl Half for f16 {
    /// Without branches, so that loops of it become vectors: the exponent is moved by a multiplication, which also normalises subnormals.
    #[inline(always)]
    fn widen(self) -> f32 {
        let bits = self.to_bits() as u32;
        let scaled = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
        let special = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
        f32::from_bits(scaled.to_bits() | special | (bits & 0x8000) << 16)
    }
    #[inline(always)]
    fn narrow(value: f32) -> f16 {
        f16::from_f32(value)
    }
}

/// Rows, columns and depth of the blocks in which 16-bit floats are widened: 4 MiB of f32 each.
const BLOCK: usize = 1024;

macro_rules! half {
    ($($type:ty)*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            type Scalar = f32;
            const ZERO: f32 = 0.0;
            const ONE: f32 = 1.0;

            unsafe fn product(level: Level, call: Call<$type>, parallel: bool) {
                // SAFETY: the caller vouches.
                unsafe { half_product(level, call, parallel) }
            }
        }
    )*};
}
half!(f16 bf16);

/// Widens blocks of A and B, sums in f32, rounds once.
///
/// # Safety
/// As for `Element::product`.
unsafe fn half_product<E: Half + Element<Scalar = f32>>(level: Level, call: Call<E>, parallel: bool) {
    let call = &call;
    let (rows, columns, depth) = (call.m.min(BLOCK), call.n.min(BLOCK), call.k.min(BLOCK));
    let mut a_scratch = Scratch::of::<f32>(rows * depth);
    let mut b_scratch = Scratch::of::<f32>(columns * depth);
    let mut c_scratch = Scratch::of::<f32>(rows * columns);
    let (a, b, c) = (a_scratch.ptr::<f32>(), b_scratch.ptr::<f32>(), c_scratch.ptr::<f32>());
    for column in (0..call.n).step_by(BLOCK) {
        let n = BLOCK.min(call.n - column);
        for row in (0..call.m).step_by(BLOCK) {
            let m = BLOCK.min(call.m - row);
            let target = Target {
                ptr: c,
                row: n as isize,
                column: 1,
                alpha: 1.0,
                plus: std::ptr::null(),
                plus_row: 0,
                plus_column: 0,
                factor: 0.0,
                relu: false,
            };
            let mut first = 0;
            // One round at least, so that a depth of 0 gives zeros.
            loop {
                let k = BLOCK.min(call.k - first);
                // SAFETY: the caller vouches for A and B; the scratches hold one block each.
                unsafe {
                    let from = call.a.wrapping_offset(row as isize * call.a_row + first as isize * call.a_depth);
                    let (a_row, a_depth) = widen(from, [m, k], [call.a_row, call.a_depth], a, parallel);
                    let from = call.b.wrapping_offset(first as isize * call.b_depth + column as isize * call.b_column);
                    let (b_depth, b_column) = widen(from, [k, n], [call.b_depth, call.b_column], b, parallel);
                    let target = target.pass(first == 0, false);
                    Product { m, n, k, a, a_row, a_depth, b, b_depth, b_column, target }.run(level, parallel);
                }
                first += k;
                if first >= call.k {
                    break;
                }
            }
            let sums = Shared(c);
            let finish = |at: usize| {
                let i = (row + at) as isize;
                for j in 0..n {
                    // SAFETY: the block of sums is written; the caller vouches for C and `plus`.
                    unsafe {
                        let mut value = *sums.get().add(at * n + j) * call.alpha;
                        let j = (column + j) as isize;
                        if !call.plus.is_null() {
                            value += call.factor * (*call.plus.offset(i * call.plus_row + j * call.plus_column)).widen();
                        }
                        if call.relu && value < 0.0 {
                            value = 0.0;
                        }
                        *call.c.offset(i * call.c_row + j * call.c_column) = E::narrow(value);
                    }
                }
            };
            spread(m, n, parallel, &finish);
        }
    }
}

/// Runs `body` for every row, in parallel if that is wanted and worth it.
fn spread(rows: usize, columns: usize, parallel: bool, body: &(dyn Fn(usize) + Sync)) {
    let group = ((1 << 14) / columns.max(1)).max(1);
    if parallel && rows > group {
        par_for(rows.div_ceil(group), &|at| (at * group..rows.min((at + 1) * group)).for_each(body));
    } else {
        (0..rows).for_each(body);
    }
}

/// Widens a block into contiguous f32 at `to`, in the order of its strides; returns the new strides.
///
/// # Safety
/// The block is readable and `to` has room for it.
unsafe fn widen<E: Half>(from: *const E, shape: [usize; 2], strides: [isize; 2], to: *mut f32, parallel: bool) -> (isize, isize) {
    let swap = strides[0].unsigned_abs() < strides[1].unsigned_abs();
    let (outer, inner) = if swap { (1, 0) } else { (0, 1) };
    let (count, step) = (shape[inner], strides[inner]);
    let (from, to) = (Shared(from.cast_mut()), Shared(to));
    let line = |at: usize| {
        let (from, to) = (from.get().wrapping_offset(at as isize * strides[outer]), to.get().wrapping_add(at * count));
        // SAFETY: the caller vouches for both; lines are disjoint.
        unsafe {
            if step == 1 {
                (0..count).for_each(|at| *to.add(at) = (*from.add(at)).widen());
            } else {
                (0..count).for_each(|at| *to.add(at) = (*from.offset(at as isize * step)).widen());
            }
        }
    };
    spread(shape[outer], count, parallel, &line);
    if swap { (1, count as isize) } else { (count as isize, 1) }
}
