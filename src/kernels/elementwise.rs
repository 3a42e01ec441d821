//! Elementwise loops. A row's formula becomes a [`Kernel`], a set of functions on contiguous blocks, one per dtype; [`run`]
//! brings strided, broadcast and mixed-dtype operands to such blocks.
//!
//! float16 and bfloat16 are computed in float32, block by block, and rounded once.

#[cfg(feature = "complex")]
use crate::complex::{Complex, Real};
use crate::copy::{cast_row, streaming_bytes};
use crate::lanes::Lanes;
use crate::memory::is_contiguous;
use crate::parallel::par_chunks;
use crate::text::Text;
use crate::value::{BitsFormula, Compute, FloatFormula, FloatTest, NumberFormula, NumberTest, Scalar, Truth, Wrapping};
use fearless_simd::{Simd, prelude::*};
use rustnn_tensor::DType;
use smallvec::SmallVec;
use std::mem::MaybeUninit;

/// Inputs that a row may have.
pub const MAX_INPUTS: usize = 5;
/// Elements that pass through a stack buffer at once: a kernel's inputs and outputs stay within a first-level cache.
const BLOCK: usize = 512;
/// Elements of one parallel task: 64 KiB of f32, some 10 µs of a cheap formula.
const TASK: usize = 16 << 10;
/// Up to this many elements a call is one block on this thread.
const SMALL: usize = 32 << 10;
/// Inner runs of this many elements are worth a kernel call of their own.
const ROW: usize = 8;
/// The same where they pass through a buffer, which might else hold several runs.
const BUFFERED_ROW: usize = 256;
/// Rows of a tile: a cache line of 4-byte elements.
const TILE_ROWS: usize = 16;

/// Contiguous rows of one length: what a kernel works on. Few fields, since for a few elements writing them is the work.
struct Rows<'a> {
    /// The kernel's inputs, the rest unwritten: to `len` elements of the compute dtype, or to a single one where the input's
    /// bit in `splat` is set.
    inputs: [MaybeUninit<*const u8>; MAX_INPUTS],
    splat: u8,
    /// To `len` results, bytes for a test. An input may be the output itself.
    out: *mut u8,
    len: usize,
    scalars: &'a [Scalar],
    /// How many rows there are, and how far apart; None for one.
    steps: Option<&'a Steps>,
}

struct Steps {
    count: usize,
    /// Bytes from one row to the next.
    inputs: [isize; MAX_INPUTS],
    out: isize,
}

impl<'a> Rows<'a> {
    /// One row, its inputs yet to be written.
    #[inline(always)]
    fn single(out: *mut u8, len: usize, scalars: &'a [Scalar]) -> Self {
        Rows { inputs: [const { MaybeUninit::uninit() }; MAX_INPUTS], splat: 0, out, len, scalars, steps: None }
    }

    /// The first row's inputs.
    ///
    /// # Safety
    /// N inputs have been written.
    #[inline(always)]
    unsafe fn first<T, const N: usize>(&self) -> [*const T; N] {
        // SAFETY: the caller's promise.
        std::array::from_fn(|k| unsafe { self.inputs[k].assume_init() }.cast())
    }
}

type Block = unsafe fn(&Rows);

/// A row's functions, by compute dtype.
#[derive(Clone, Copy)]
pub struct Kernel {
    /// Indexed by dtype, up to bool; float16 and bfloat16 hold the function of float32.
    blocks: [Option<Block>; 10],
    /// Those of complex64 and complex128.
    complex: Option<[Block; 2]>,
    inputs: usize,
    scalars: usize,
    test: bool,
    text: Reading,
}

/// A formula read as shader text: the name of the result, a number or a condition.
pub type Reading = fn(&[Text], &[Text]) -> String;

fn inputs<'a, const N: usize>(values: &[Text<'a>]) -> [Text<'a>; N] {
    values.try_into().unwrap_or_else(|_| panic!("a formula of {N} values was given {}", values.len()))
}

macro_rules! reading {
    ($name:ident $formula:ident) => {
        fn $name<F: $formula<N, S>, const N: usize, const S: usize>(x: &[Text], s: &[Text]) -> String {
            F::eval(inputs::<N>(x), inputs::<S>(s)).name()
        }
    };
}
reading!(float_text FloatFormula);
reading!(number_text NumberFormula);
reading!(bits_text BitsFormula);
reading!(number_test_text NumberTest);
reading!(float_test_text FloatTest);

macro_rules! kernel {
    ($test:literal, $text:ident, [$($dtype:ident: $block:expr),* $(,)?]) => {{
        const { assert!(N <= MAX_INPUTS) };
        let mut blocks: [Option<Block>; 10] = [None; 10];
        $(blocks[DType::$dtype as usize] = Some($block as Block);)*
        Kernel { blocks, complex: None, inputs: N, scalars: S, test: $test, text: $text::<F, N, S> }
    }};
}

/// Methods that add a formula's complex blocks, which a build without the feature leaves out.
macro_rules! complex {
    ($($(#[$doc:meta])* $name:ident $formula:ident: $block:ident;)*) => { $(
        $(#[$doc])*
        pub const fn $name<F: $formula<N, S>, const N: usize, const S: usize>(self) -> Kernel {
            #[cfg(feature = "complex")]
            return Kernel { complex: Some([$block::<F, f32, 4, N, S>, $block::<F, f64, 2, N, S>]), ..self };
            #[cfg(not(feature = "complex"))]
            self
        }
    )* };
}

impl Kernel {
    /// A row for the four floating-point dtypes.
    pub const fn float<F: FloatFormula<N, S>, const N: usize, const S: usize>() -> Kernel {
        kernel!(false, float_text, [F32: float_f32::<F, N, S>, F16: float_f32::<F, N, S>, BF16: float_f32::<F, N, S>, F64: float_f64::<F, N, S>])
    }

    /// A row for all ten dtypes.
    pub const fn number<F: NumberFormula<N, S>, const N: usize, const S: usize>() -> Kernel {
        kernel!(
            false,
            number_text,
            [
                F32: number_f32::<F, N, S>,
                F16: number_f32::<F, N, S>,
                BF16: number_f32::<F, N, S>,
                F64: number_f64::<F, N, S>,
                I8: number::<F, Wrapping<i8>, 32, N, S>,
                I16: number::<F, Wrapping<i16>, 32, N, S>,
                I32: number::<F, Wrapping<i32>, 16, N, S>,
                I64: number::<F, Wrapping<i64>, 8, N, S>,
                U8: number::<F, Wrapping<u8>, 32, N, S>,
                Bool: number::<F, Truth, 32, N, S>,
            ]
        )
    }

    /// A row for the integers and bool.
    pub const fn bits<F: BitsFormula<N, S>, const N: usize, const S: usize>() -> Kernel {
        kernel!(
            false,
            bits_text,
            [
                I8: bits::<F, Wrapping<i8>, 32, N, S>,
                I16: bits::<F, Wrapping<i16>, 32, N, S>,
                I32: bits::<F, Wrapping<i32>, 16, N, S>,
                I64: bits::<F, Wrapping<i64>, 8, N, S>,
                U8: bits::<F, Wrapping<u8>, 32, N, S>,
                Bool: bits::<F, Truth, 32, N, S>,
            ]
        )
    }

    /// A row for all ten dtypes whose result is bool.
    pub const fn test<F: NumberTest<N, S>, const N: usize, const S: usize>() -> Kernel {
        kernel!(
            true,
            number_test_text,
            [
                F32: test_f32::<F, N, S>,
                F16: test_f32::<F, N, S>,
                BF16: test_f32::<F, N, S>,
                F64: test_f64::<F, N, S>,
                I8: test::<F, Wrapping<i8>, 32, N, S>,
                I16: test::<F, Wrapping<i16>, 32, N, S>,
                I32: test::<F, Wrapping<i32>, 16, N, S>,
                I64: test::<F, Wrapping<i64>, 8, N, S>,
                U8: test::<F, Wrapping<u8>, 32, N, S>,
                Bool: test::<F, Truth, 32, N, S>,
            ]
        )
    }

    /// A row for the four floating-point dtypes whose result is bool.
    pub const fn float_test<F: FloatTest<N, S>, const N: usize, const S: usize>() -> Kernel {
        kernel!(
            true,
            float_test_text,
            [
                F32: float_test_f32::<F, N, S>,
                F16: float_test_f32::<F, N, S>,
                BF16: float_test_f32::<F, N, S>,
                F64: float_test_f64::<F, N, S>
            ]
        )
    }

    complex! {
        /// With the complex dtypes, as `number` made it of the same formula.
        complex_number NumberFormula: number_complex;
        /// As `float` made it.
        complex_float FloatFormula: float_complex;
        /// As `test` made it.
        complex_test NumberTest: test_complex;
        /// As `float_test` made it.
        complex_float_test FloatTest: float_test_complex;
        /// The gradient of a function of complex numbers, as `float` made it of its real formula: that is linear in the last
        /// input, the result's gradient, of which PyTorch wants the product with the derivative's conjugate.
        complex_gradient FloatFormula: gradient_complex;
    }

    /// Whether the row computes in this dtype.
    #[inline]
    pub const fn supports(&self, dtype: DType) -> bool {
        if (dtype as usize) < self.blocks.len() { self.blocks[dtype as usize].is_some() } else { self.complex_block(dtype).is_some() }
    }

    const fn complex_block(&self, dtype: DType) -> Option<Block> {
        match (self.complex, dtype) {
            (Some(blocks), DType::C64) => Some(blocks[0]),
            (Some(blocks), DType::C128) => Some(blocks[1]),
            _ => None,
        }
    }

    #[inline]
    fn block(&self, dtype: DType) -> Block {
        let block = if (dtype as usize) < self.blocks.len() { self.blocks[dtype as usize] } else { self.complex_block(dtype) };
        block.expect("the kernel computes in this dtype")
    }

    /// The dtype of the results when computing in `dtype`.
    #[inline]
    pub const fn result(&self, dtype: DType) -> DType {
        if self.test { DType::Bool } else { dtype }
    }

    /// Whether the results are bool.
    pub const fn is_test(&self) -> bool {
        self.test
    }

    /// The formula read as shader text.
    pub const fn text(&self) -> Reading {
        self.text
    }

    #[inline]
    pub const fn inputs(&self) -> usize {
        self.inputs
    }

    #[inline]
    pub const fn scalars(&self) -> usize {
        self.scalars
    }
}

// ------------------------------------------------------------------------------------------------ blocks, one per kind

unsafe fn float_f32<F: FloatFormula<N, S>, const N: usize, const S: usize>(rows: &Rows) {
    // SAFETY: the caller's promise (see `Rows`).
    crate::level::dispatch_lean!(simd => unsafe {
        lanes(simd, rows, #[inline(always)] |x: [Lanes<_>; N], s: [Lanes<_>; S], out| store(F::eval(x, s), out), 4)
    })
}

unsafe fn number_f32<F: NumberFormula<N, S>, const N: usize, const S: usize>(rows: &Rows) {
    // SAFETY: the caller's promise (see `Rows`).
    crate::level::dispatch_lean!(simd => unsafe {
        lanes(simd, rows, #[inline(always)] |x: [Lanes<_>; N], s: [Lanes<_>; S], out| store(F::eval(x, s), out), 4)
    })
}

unsafe fn test_f32<F: NumberTest<N, S>, const N: usize, const S: usize>(rows: &Rows) {
    // SAFETY: the caller's promise (see `Rows`).
    crate::level::dispatch_lean!(simd => unsafe {
        lanes(simd, rows, #[inline(always)] |x: [Lanes<_>; N], s: [Lanes<_>; S], out| store_mask(simd, F::eval(x, s), out), 1)
    })
}

unsafe fn float_test_f32<F: FloatTest<N, S>, const N: usize, const S: usize>(rows: &Rows) {
    // SAFETY: the caller's promise (see `Rows`).
    crate::level::dispatch_lean!(simd => unsafe {
        lanes(simd, rows, #[inline(always)] |x: [Lanes<_>; N], s: [Lanes<_>; S], out| store_mask(simd, F::eval(x, s), out), 1)
    })
}

unsafe fn float_f64<F: FloatFormula<N, S>, const N: usize, const S: usize>(rows: &Rows) {
    // SAFETY: the caller's promise (see `Rows`).
    crate::level::dispatch_lean!(_simd => unsafe {
        numbers::<f64, f64, 8, N, S>(rows, #[inline(always)] |x, s| F::eval(x, s))
    })
}

unsafe fn float_test_f64<F: FloatTest<N, S>, const N: usize, const S: usize>(rows: &Rows) {
    // SAFETY: the caller's promise (see `Rows`).
    crate::level::dispatch_lean!(_simd => unsafe {
        numbers::<f64, bool, 8, N, S>(rows, #[inline(always)] |x, s| F::eval(x, s))
    })
}

unsafe fn number_f64<F: NumberFormula<N, S>, const N: usize, const S: usize>(rows: &Rows) {
    // SAFETY: the caller's promise (see `Rows`).
    crate::level::dispatch_lean!(_simd => unsafe {
        numbers::<f64, f64, 8, N, S>(rows, #[inline(always)] |x, s| F::eval(x, s))
    })
}

// Integers run at the baseline: their loops are many, seldom hot, and bound by memory.
unsafe fn number<F: NumberFormula<N, S>, T: Compute, const W: usize, const N: usize, const S: usize>(rows: &Rows) {
    // SAFETY: the caller's promise (see `Rows`).
    unsafe {
        numbers::<T, T, W, N, S>(
            rows,
            #[inline(always)]
            |x, s| F::eval(x, s),
        )
    }
}

unsafe fn test_f64<F: NumberTest<N, S>, const N: usize, const S: usize>(rows: &Rows) {
    // SAFETY: the caller's promise (see `Rows`).
    crate::level::dispatch_lean!(_simd => unsafe {
        numbers::<f64, bool, 8, N, S>(rows, #[inline(always)] |x, s| F::eval(x, s))
    })
}

unsafe fn test<F: NumberTest<N, S>, T: Compute<Mask = bool>, const W: usize, const N: usize, const S: usize>(rows: &Rows) {
    // SAFETY: the caller's promise (see `Rows`).
    unsafe {
        numbers::<T, bool, W, N, S>(
            rows,
            #[inline(always)]
            |x, s| F::eval(x, s),
        )
    }
}

unsafe fn bits<F: BitsFormula<N, S>, T: Compute + crate::value::Bits, const W: usize, const N: usize, const S: usize>(rows: &Rows) {
    // SAFETY: the caller's promise (see `Rows`).
    unsafe {
        numbers::<T, T, W, N, S>(
            rows,
            #[inline(always)]
            |x, s| F::eval(x, s),
        )
    }
}

/// Blocks of complex numbers: arithmetic at the machine's level, functions, whose work is done elsewhere, at the baseline.
#[cfg(feature = "complex")]
macro_rules! complex_blocks {
    ($($name:ident $formula:ident $result:ty, |$x:ident, $s:ident| $value:expr;)*) => { $(
        unsafe fn $name<F: $formula<N, S>, T: Real, const W: usize, const N: usize, const S: usize>(rows: &Rows) {
            // SAFETY: the caller's promise (see `Rows`).
            unsafe { numbers::<Complex<T>, $result, W, N, S>(rows, #[inline(always)] |$x, $s| $value) }
        }
    )* };
}
#[cfg(feature = "complex")]
complex_blocks! {
    float_complex FloatFormula Complex<T>, |x, s| F::eval(x, s);
    test_complex NumberTest bool, |x, s| F::eval(x, s);
    float_test_complex FloatTest bool, |x, s| F::eval(x, s);
    gradient_complex FloatFormula Complex<T>, |x, s| {
        let mut x = x;
        x[N - 1] = x[N - 1].conj();
        F::eval(x, s).conj()
    };
}

#[cfg(feature = "complex")]
unsafe fn number_complex<F: NumberFormula<N, S>, T: Real, const W: usize, const N: usize, const S: usize>(rows: &Rows) {
    // SAFETY: the caller's promise (see `Rows`).
    crate::level::dispatch_lean!(_simd => unsafe {
        numbers::<Complex<T>, Complex<T>, W, N, S>(rows, #[inline(always)] |x, s| F::eval(x, s))
    })
}

/// # Safety
/// One vector of f32 is writable at `out`.
#[inline(always)]
unsafe fn store<V: Simd>(value: Lanes<V>, out: *mut u8) {
    // SAFETY: the caller's promise; the array has no alignment above f32's and is written unaligned.
    unsafe { out.cast::<<V::f32s as SimdBase<V>>::Array>().write_unaligned(value.v.to_array()) }
}

/// Writes a mask as bytes 0 and 1.
///
/// # Safety
/// As many bytes as a vector has lanes are writable at `out`.
#[inline(always)]
unsafe fn store_mask<V: Simd>(_simd: V, mask: V::mask32s, out: *mut u8) {
    let bits = mask.to_bitmask();
    // Eight bits to eight bytes: byte k keeps bit k, and any bit carries into the byte's top one.
    let spread = |bits: u64| {
        let each = ((bits & 0xff) * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
        ((each + 0x7f7f_7f7f_7f7f_7f7f) >> 7) & 0x0101_0101_0101_0101
    };
    // SAFETY: the caller's promise.
    unsafe {
        match V::f32s::LEN {
            4 => out.cast::<u32>().write_unaligned((spread(bits) as u32).to_le()),
            n => (0..n / 8).for_each(|i| out.add(8 * i).cast::<u64>().write_unaligned(spread(bits >> (8 * i)).to_le())),
        }
    }
}

/// The loop of f32: whole vectors, then the rest in the same loop once more, so that the formula is compiled once: the last
/// whole vector of the row, computing some results twice, or a padded one in a short row or where a result may have replaced
/// its input. A splat is a vector that the loop does not step past.
///
/// # Safety
/// `rows` holds; `eval` writes a vector's results of `out_width` bytes each to its third argument.
#[inline(always)]
unsafe fn lanes<V: Simd, const N: usize, const S: usize>(
    simd: V,
    rows: &Rows,
    eval: impl Fn([Lanes<V>; N], [Lanes<V>; S], *mut u8),
    out_width: usize,
) {
    type Array<V> = <<V as Simd>::f32s as SimdBase<V>>::Array;
    debug_assert!(rows.scalars.len() >= S);
    let width = V::f32s::LEN;
    let mut s = [Lanes::splat(simd, 0.0); S];
    for (s, scalar) in s.iter_mut().zip(rows.scalars) {
        *s = Lanes::splat(simd, f32::from_scalar(*scalar));
    }
    let mut x = [Lanes::splat(simd, 0.0); N];
    let mut pads = [MaybeUninit::<[f32; 16]>::uninit(); N];
    let mut padded = MaybeUninit::<[f32; 16]>::uninit();
    // SAFETY: the caller's promise.
    let mut inputs = unsafe { rows.first::<f32, N>() };
    let mut out = rows.out;
    let rest = rows.len % width;
    let overlaps = rest != 0 && rows.len >= width && inputs.iter().all(|input| input.cast() != out.cast_const());
    let mut left = rows.steps.map_or(1, |steps| steps.count);
    while left > 0 {
        let mut from = inputs;
        let mut step = [width; N];
        // SAFETY: `count` vectors lie before the end of every input that steps; pads hold 16 lanes, the most that a vector has.
        unsafe {
            for k in 0..N {
                if rows.splat >> k & 1 != 0 {
                    let pad = pads[k].as_mut_ptr().cast::<f32>();
                    pad.cast::<Array<V>>().write_unaligned(V::f32s::splat(simd, from[k].read()).to_array());
                    (from[k], step[k]) = (pad, 0);
                }
            }
            let mut to = out;
            let mut count = rows.len / width;
            let mut last = false;
            loop {
                for _ in 0..count {
                    for k in 0..N {
                        x[k].v = V::f32s::load_array(simd, from[k].cast::<Array<V>>().read_unaligned());
                        from[k] = from[k].wrapping_add(step[k]);
                    }
                    eval(x, s, to);
                    to = to.wrapping_add(width * out_width);
                }
                if last || rest == 0 {
                    break;
                }
                (count, last) = (1, true);
                if overlaps {
                    for k in 0..N {
                        if step[k] != 0 {
                            from[k] = from[k].sub(width - rest);
                        }
                    }
                    to = to.sub((width - rest) * out_width);
                    continue;
                }
                for k in 0..N {
                    if step[k] != 0 {
                        // Padded with a value that is there anyway: no new NaN, no new special case.
                        let pad = pads[k].as_mut_ptr().cast::<f32>();
                        pad.cast::<Array<V>>().write_unaligned(V::f32s::splat(simd, from[k].read()).to_array());
                        for i in 1..rest {
                            pad.add(i).write(from[k].add(i).read());
                        }
                        from[k] = pad;
                    }
                }
                to = padded.as_mut_ptr().cast();
            }
            if rest != 0 && !overlaps {
                std::ptr::copy_nonoverlapping(padded.as_ptr().cast::<u8>(), out.add((rows.len - rest) * out_width), rest * out_width);
            }
            left -= 1;
            if left > 0
                && let Some(steps) = rows.steps
            {
                for (input, step) in inputs.iter_mut().zip(steps.inputs) {
                    *input = input.byte_offset(step);
                }
                out = out.byte_offset(steps.out);
            }
        }
    }
}

/// The loop of the other dtypes, `W` elements at a time so that the compiler makes vectors of it.
///
/// # Safety
/// `rows` holds, `R` being the result's type.
#[inline(always)]
unsafe fn numbers<T: Compute, R: Copy, const W: usize, const N: usize, const S: usize>(rows: &Rows, eval: impl Fn([T; N], [T; S]) -> R) {
    debug_assert!(rows.scalars.len() >= S);
    let s: [T; S] = std::array::from_fn(|k| T::from_scalar(rows.scalars[k]));
    let mut pads = [MaybeUninit::<[T; W]>::uninit(); N];
    let mut padded = MaybeUninit::<[R; W]>::uninit();
    // SAFETY: the caller's promise.
    let mut inputs = unsafe { rows.first::<T, N>() };
    let mut out = rows.out.cast::<R>();
    let rest = rows.len % W;
    let overlaps = rest != 0 && rows.len >= W && inputs.iter().all(|input| input.cast() != out.cast_const());
    let mut left = rows.steps.map_or(1, |steps| steps.count);
    while left > 0 {
        let mut from = inputs;
        let mut step = [W; N];
        // SAFETY: `count` groups of W lie before the end of every input that steps; pads hold W.
        unsafe {
            for k in 0..N {
                if rows.splat >> k & 1 != 0 {
                    pads[k].write([from[k].read(); W]);
                    (from[k], step[k]) = (pads[k].as_ptr().cast(), 0);
                }
            }
            let mut to = out;
            let mut count = rows.len / W;
            let mut last = false;
            loop {
                for _ in 0..count {
                    let x: [[T; W]; N] = std::array::from_fn(
                        #[inline(always)]
                        |k| from[k].cast::<[T; W]>().read_unaligned(),
                    );
                    let y: [R; W] = std::array::from_fn(
                        #[inline(always)]
                        |i| {
                            eval(
                                std::array::from_fn(
                                    #[inline(always)]
                                    |k| x[k][i],
                                ),
                                s,
                            )
                        },
                    );
                    to.cast::<[R; W]>().write_unaligned(y);
                    for k in 0..N {
                        from[k] = from[k].wrapping_add(step[k]);
                    }
                    to = to.wrapping_add(W);
                }
                if last || rest == 0 {
                    break;
                }
                (count, last) = (1, true);
                if overlaps {
                    for k in 0..N {
                        if step[k] != 0 {
                            from[k] = from[k].sub(W - rest);
                        }
                    }
                    to = to.sub(W - rest);
                    continue;
                }
                for k in 0..N {
                    if step[k] != 0 {
                        let pad = pads[k].write([from[k].read(); W]);
                        for (i, value) in pad[..rest].iter_mut().enumerate() {
                            *value = from[k].add(i).read();
                        }
                        from[k] = pad.as_ptr();
                    }
                }
                to = padded.as_mut_ptr().cast();
            }
            if rest != 0 && !overlaps {
                std::ptr::copy_nonoverlapping(padded.as_ptr().cast::<R>(), out.add(rows.len - rest), rest);
            }
            left -= 1;
            if left > 0
                && let Some(steps) = rows.steps
            {
                for (input, step) in inputs.iter_mut().zip(steps.inputs) {
                    *input = input.byte_offset(step);
                }
                out = out.byte_offset(steps.out);
            }
        }
    }
}

// ------------------------------------------------------------------------------------------------------------ operands

/// What a kernel reads: strided memory, already broadcast to the output's shape, or one number.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Tensor { ptr: *const u8, dtype: DType, strides: &'a [isize] },
    Value(Scalar),
}

impl<'a> Operand<'a> {
    /// Memory of any dtype that kernels compute on; it is converted to the compute dtype block by block. `strides` count
    /// elements, 0 where broadcast.
    ///
    /// # Safety
    /// Every element that the output's shape and `strides` reach from `ptr` is readable and initialised for 'a, and `ptr` is
    /// aligned for `dtype`. It is the output exactly (address, strides, width) or does not overlap it.
    pub const unsafe fn tensor(ptr: *const u8, dtype: DType, strides: &'a [isize]) -> Self {
        Operand(Source::Tensor { ptr, dtype, strides })
    }

    /// The same number everywhere. In float16 and bfloat16 kernels it enters as float32.
    pub const fn value(scalar: Scalar) -> Self {
        Operand(Source::Value(scalar))
    }
}

/// What a kernel writes; possibly uninitialised.
#[derive(Clone, Copy, Debug)]
pub struct DstBytes<'a> {
    ptr: *mut u8,
    dtype: DType,
    shape: &'a [usize],
    strides: &'a [isize],
}

impl<'a> DstBytes<'a> {
    /// Memory of any dtype that kernels compute on; results are converted to it. `strides` count elements.
    ///
    /// # Safety
    /// Every element that `shape` and `strides` reach from `ptr` is writable for 'a, no two indices reach one element, `ptr`
    /// is aligned for `dtype`, and `shape` and `strides` are of one length.
    pub const unsafe fn new(ptr: *mut u8, dtype: DType, shape: &'a [usize], strides: &'a [isize]) -> Self {
        DstBytes { ptr, dtype, shape, strides }
    }
}

/// The dtype that the arithmetic of `dtype` runs in.
const fn computed_in(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        other => other,
    }
}

/// One value of a compute dtype, as bytes.
type Splat = [u64; 2];

fn splat(scalar: Scalar, compute: DType) -> Splat {
    match compute {
        // The real part; the other one is 0.
        DType::C64 => [splat_bytes(scalar, DType::F32), 0],
        DType::C128 => [splat_bytes(scalar, DType::F64), 0],
        real => [splat_bytes(scalar, real), 0],
    }
}

fn splat_bytes(scalar: Scalar, compute: DType) -> u64 {
    let bits = match compute {
        DType::F32 => f32::from_scalar(scalar).to_bits() as u64,
        DType::F64 => f64::from_scalar(scalar).to_bits(),
        DType::I8 => Wrapping::<i8>::from_scalar(scalar).0 as u64,
        DType::I16 => Wrapping::<i16>::from_scalar(scalar).0 as u64,
        DType::I32 => Wrapping::<i32>::from_scalar(scalar).0 as u64,
        DType::I64 => Wrapping::<i64>::from_scalar(scalar).0 as u64,
        DType::U8 => Wrapping::<u8>::from_scalar(scalar).0 as u64,
        DType::Bool => Truth::from_scalar(scalar).0 as u64,
        _ => unreachable!("no arithmetic in {}", compute.name()),
    };
    // The value's bytes come first in memory on either kind of machine.
    if cfg!(target_endian = "big") { bits << (64 - 8 * compute.size_bytes()) } else { bits }
}

/// Runs `kernel` in `dtype` over the whole output.
///
/// # Panics
/// If the kernel does not support `dtype` or takes another number of inputs or more scalars.
pub fn run(kernel: &Kernel, dtype: DType, inputs: &[Operand], scalars: &[Scalar], out: DstBytes) {
    assert!(inputs.len() == kernel.inputs && scalars.len() >= kernel.scalars, "wrong number of inputs or scalars");
    let compute = computed_in(dtype);
    let block = kernel.block(dtype);
    let mut len = 1;
    for &size in out.shape {
        len *= size;
    }
    if len == 0 {
        return;
    }
    // The fast path: everything contiguous or one value, of the compute dtype, and small.
    if len <= SMALL && out.dtype == kernel.result(compute) && is_plain(out.shape, out.strides) {
        let mut rows = Rows::single(out.ptr, len, scalars);
        let mut values = [const { MaybeUninit::<Splat>::uninit() }; MAX_INPUTS];
        let mut plain = true;
        for (k, input) in inputs.iter().enumerate() {
            match input.0 {
                Source::Tensor { ptr, dtype, strides } => {
                    debug_assert_eq!(strides.len(), out.shape.len());
                    rows.inputs[k].write(ptr);
                    if dtype != compute {
                        plain = false;
                    } else if !is_plain(out.shape, strides) {
                        plain = is_splat(out.shape, strides);
                        rows.splat |= 1 << k;
                    }
                    if !plain {
                        break;
                    }
                }
                Source::Value(scalar) => {
                    let value: *const Splat = values[k].write(splat(scalar, compute));
                    rows.inputs[k].write(value.cast());
                    rows.splat |= 1 << k;
                }
            }
        }
        if plain {
            // SAFETY: `Operand` and `DstBytes` vouch for `len` elements each.
            return unsafe { block(&rows) };
        }
    }
    run_plan(kernel, block, dtype, inputs, scalars, out, len);
}

/// Up to this many elements [`run_plain`] takes.
pub const PLAIN_ELEMENTS: usize = SMALL;

/// What [`run_plain`] reads.
#[derive(Clone, Copy, Debug)]
pub enum Plain {
    Elements(*const u8),
    Value(Scalar),
}

/// As [`run`] for calls that need no plan: one block on this thread.
///
/// # Safety
/// `dtype` is float32 or float64, which the kernel supports; `inputs` are as many as the kernel takes, each pointing to `len`
/// elements of `dtype`; `out` has room for `len` results; `len` is 1 to [`PLAIN_ELEMENTS`].
#[inline]
pub unsafe fn run_plain(kernel: &Kernel, dtype: DType, inputs: impl Iterator<Item = Plain>, scalars: &[Scalar], out: *mut u8, len: usize) {
    let block = kernel.blocks[dtype as usize].expect("the kernel computes in this dtype");
    let mut rows = Rows::single(out, len, scalars);
    let mut values = [const { MaybeUninit::<u64>::uninit() }; MAX_INPUTS];
    for (k, input) in inputs.take(MAX_INPUTS).enumerate() {
        match input {
            Plain::Elements(ptr) => {
                rows.inputs[k].write(ptr);
            }
            Plain::Value(scalar) => {
                let value: *const u64 = values[k].write(splat_bytes(scalar, dtype));
                rows.inputs[k].write(value.cast());
                rows.splat |= 1 << k;
            }
        }
    }
    // SAFETY: the caller's promise.
    unsafe { block(&rows) }
}

/// Out of line, so that the fast path has little to save and restore.
#[inline(never)]
fn run_plan(kernel: &Kernel, block: Block, dtype: DType, inputs: &[Operand], scalars: &[Scalar], out: DstBytes, len: usize) {
    Plan::new(kernel, block, dtype, inputs, scalars, out, len).run();
}

/// `is_contiguous`, quicker for the commonest numbers of dimensions.
#[inline(always)]
fn is_plain(shape: &[usize], strides: &[isize]) -> bool {
    match (shape, strides) {
        ([], _) => true,
        (&[size], &[stride]) => stride == 1 || size <= 1,
        (&[_, size], &[down, right]) if right == 1 && down == size as isize => true,
        _ => is_contiguous(shape, strides),
    }
}

/// Whether all indices reach one element.
fn is_splat(shape: &[usize], strides: &[isize]) -> bool {
    shape.iter().zip(strides).all(|(&size, &stride)| stride == 0 || size == 1)
}

/// A dimension of the iteration; strides in elements.
#[derive(Clone, Copy, Debug)]
struct Dim {
    size: usize,
    out: isize,
    inputs: [isize; MAX_INPUTS],
}

#[derive(Clone, Copy)]
struct Input {
    ptr: *const u8,
    dtype: DType,
    /// Holds the value where the input is a number.
    value: Splat,
    reach: Reach,
}

/// What an operand's elements look like in the order of the iteration.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// A number.
    Value,
    /// One element.
    Splat,
    /// A row without gaps.
    Linear,
    Strided,
}

impl Reach {
    fn new(dims: &[Dim], stride: impl Fn(&Dim) -> isize) -> Self {
        let mut next = 1;
        let mut linear = true;
        for dim in dims.iter().rev() {
            linear &= stride(dim) == next;
            next *= dim.size as isize;
        }
        match linear {
            true => Reach::Linear,
            false if dims.iter().all(|dim| stride(dim) == 0) => Reach::Splat,
            false => Reach::Strided,
        }
    }
}

/// How a call iterates: the dimensions that matter, largest output stride first, neighbours merged where all operands
/// allow it.
struct Plan<'a> {
    block: Block,
    /// The arithmetic's dtype, and the one that its result has.
    compute: DType,
    result: DType,
    /// float16 or bfloat16, which integers are rounded to first, as PyTorch's casts do.
    half: Option<DType>,
    count: usize,
    inputs: [Input; MAX_INPUTS],
    scalars: &'a [Scalar],
    out: *mut u8,
    out_dtype: DType,
    out_reach: Reach,
    len: usize,
    /// Elements that fit a buffer.
    block_len: usize,
    dims: SmallVec<[Dim; 6]>,
    /// Runs of the inner dimension are blocks of their own; else blocks cross it.
    rows: bool,
    /// Blocks of the rows pass through a buffer, because of a stride, a conversion or streaming.
    buffered: bool,
    /// Several rows are one call.
    batched: bool,
    /// Operands run along different dimensions, so tiles of the last two are gathered.
    tiled: bool,
    /// The output is too large for the caches and is written past them.
    stream: bool,
}
// SAFETY: addresses that `Operand` and `DstBytes` vouch for; tasks write disjoint elements.
unsafe impl Sync for Plan<'_> {}

/// A place in the iteration.
#[derive(Clone)]
struct Walk<'a> {
    dims: &'a [Dim],
    index: SmallVec<[usize; 6]>,
    out: isize,
    inputs: [isize; MAX_INPUTS],
}

impl<'a> Walk<'a> {
    fn at(dims: &'a [Dim], mut linear: usize) -> Self {
        let mut walk = Walk { dims, index: SmallVec::from_elem(0, dims.len()), out: 0, inputs: [0; MAX_INPUTS] };
        for (k, dim) in dims.iter().enumerate().rev() {
            let i = linear % dim.size;
            linear /= dim.size;
            walk.index[k] = i;
            walk.out += i as isize * dim.out;
            for (offset, stride) in walk.inputs.iter_mut().zip(dim.inputs) {
                *offset += i as isize * stride;
            }
        }
        walk
    }

    /// On by `count` rows, which the innermost of these dimensions still has.
    #[inline]
    fn advance(&mut self, count: usize) {
        let mut by = count;
        for (k, dim) in self.dims.iter().enumerate().rev() {
            self.index[k] += by;
            let back = if self.index[k] < dim.size { 0 } else { dim.size as isize };
            self.out += dim.out * (by as isize - back);
            for (offset, stride) in self.inputs.iter_mut().zip(dim.inputs) {
                *offset += stride * (by as isize - back);
            }
            if back == 0 {
                return;
            }
            self.index[k] = 0;
            by = 1;
        }
    }
}

/// A stack buffer for one block of any dtype.
#[repr(C, align(64))]
struct Buffer(MaybeUninit<[u8; BLOCK * 8]>);

impl Buffer {
    const fn new() -> Self {
        Buffer(MaybeUninit::uninit())
    }

    fn ptr(&mut self) -> *mut u8 {
        self.0.as_mut_ptr().cast()
    }
}

struct Buffers {
    inputs: [Buffer; MAX_INPUTS],
    raw: Buffer,
    out: Buffer,
    converted: Buffer,
}

impl Buffers {
    const fn new() -> Self {
        Buffers { inputs: [const { Buffer::new() }; MAX_INPUTS], raw: Buffer::new(), out: Buffer::new(), converted: Buffer::new() }
    }
}

impl<'a> Plan<'a> {
    fn new(kernel: &Kernel, block: Block, dtype: DType, inputs: &[Operand], scalars: &'a [Scalar], out: DstBytes, len: usize) -> Self {
        let compute = computed_in(dtype);
        let mut dims: SmallVec<[Dim; 6]> = SmallVec::new();
        for (d, (&size, &out_stride)) in out.shape.iter().zip(out.strides).enumerate() {
            if size == 1 {
                continue;
            }
            let mut dim = Dim { size, out: out_stride, inputs: [0; MAX_INPUTS] };
            for (stride, input) in dim.inputs.iter_mut().zip(inputs) {
                if let Source::Tensor { strides, .. } = input.0 {
                    *stride = strides[d];
                }
            }
            let mut at = dims.len();
            while at > 0 && dims[at - 1].out.unsigned_abs() < out_stride.unsigned_abs() {
                at -= 1;
            }
            dims.insert(at, dim);
        }
        let mut kept = 0;
        for i in 1..dims.len() {
            let (outer, inner) = (dims[kept], dims[i]);
            let size = inner.size as isize;
            if outer.out == inner.out * size && (0..inputs.len()).all(|k| outer.inputs[k] == inner.inputs[k] * size) {
                dims[kept] = Dim { size: outer.size * inner.size, ..inner };
            } else {
                kept += 1;
                dims[kept] = inner;
            }
        }
        dims.truncate(kept + 1);
        if dims.is_empty() {
            dims.push(Dim { size: 1, out: 1, inputs: [0; MAX_INPUTS] });
        }
        let count = inputs.len();
        let tiled = bring_partner_inward(&mut dims, count);
        let mut sources = [Input { ptr: std::ptr::null(), dtype: compute, value: [0; 2], reach: Reach::Value }; MAX_INPUTS];
        for (k, (source, input)) in sources.iter_mut().zip(inputs).enumerate() {
            match input.0 {
                Source::Tensor { ptr, dtype, .. } => {
                    *source = Input { ptr, dtype, value: [0; 2], reach: Reach::new(&dims, |dim| dim.inputs[k]) };
                }
                Source::Value(scalar) => source.value = splat(scalar, compute),
            }
        }
        let inner = dims[dims.len() - 1];
        let out_width = out.dtype.size_bytes();
        let result = kernel.result(compute);
        let aliased = sources.iter().any(|s| s.ptr == out.ptr.cast_const());
        // An output that is also an input comes into the caches anyway.
        let stream = !tiled && inner.out == 1 && inner.size * out_width >= 4096 && len * out_width >= streaming_bytes() && !aliased;
        let widest = sources.iter().map(|s| s.dtype.size_bytes()).max().unwrap_or(0);
        let converts = |k: usize| sources[k].dtype != compute;
        let buffered = stream
            || inner.out != 1
            || out.dtype != result
            || (0..count).any(|k| inner.inputs[k] != 0 && (converts(k) || inner.inputs[k] != 1));
        let rows = dims.len() == 1 || inner.size >= if buffered { BUFFERED_ROW } else { ROW };
        Plan {
            block,
            compute,
            result,
            half: if compute == dtype { None } else { Some(dtype) },
            count,
            inputs: sources,
            scalars,
            out: out.ptr,
            out_dtype: out.dtype,
            out_reach: Reach::new(&dims, |dim| dim.out),
            len,
            block_len: if compute.size_bytes().max(out_width).max(widest) > 8 { BLOCK / 2 } else { BLOCK },
            rows,
            buffered,
            batched: rows && !buffered && dims.len() > 1 && (0..count).all(|k| sources[k].reach != Reach::Strided || !converts(k)),
            tiled,
            stream,
            dims,
        }
    }

    fn run(&self) {
        if self.tiled {
            let [.., across, along] = self.dims[..] else { unreachable!("tiles have two dimensions") };
            let band = TILE_ROWS * along.size;
            let bands = self.len / (across.size * along.size) * across.size.div_ceil(TILE_ROWS);
            // SAFETY: bands are disjoint and within the output; `Operand` and `DstBytes` vouch for the rest.
            return par_chunks(bands, (TASK / band).max(1), &|range| range.for_each(|i| unsafe { self.band(i) }));
        }
        let grain = if self.len <= SMALL { SMALL } else { TASK };
        // SAFETY: ranges are disjoint and within the output; `Operand` and `DstBytes` vouch for the rest.
        par_chunks(self.len, grain, &|range| unsafe { self.range(range.start, range.end) });
    }

    /// Computes the elements `start..end` in the order of the iteration.
    ///
    /// # Safety
    /// They exist, and no other thread writes them.
    unsafe fn range(&self, start: usize, end: usize) {
        let mut buffers = Buffers::new();
        let (inner, outer) = self.dims.split_last().expect("a plan has a dimension");
        let mut walk = Walk::at(outer, start / inner.size);
        let mut column = start % inner.size;
        let mut i = start;
        while i < end {
            let mut n = end - i;
            if self.batched && column == 0 && n >= inner.size {
                let left = outer[outer.len() - 1].size - walk.index[outer.len() - 1];
                let count = left.min(n / inner.size);
                // SAFETY: the caller's promise.
                unsafe { self.piece(&mut buffers, &walk, inner, i, 0, inner.size, count) };
                i += count * inner.size;
                walk.advance(count);
                continue;
            }
            if self.rows {
                n = n.min(inner.size - column);
            }
            if !self.rows || self.buffered {
                n = n.min(self.block_len);
            }
            // SAFETY: the caller's promise.
            unsafe { self.piece(&mut buffers, &walk, inner, i, column, n, 1) };
            i += n;
            column += n;
            while column >= inner.size && i < end {
                column -= inner.size;
                walk.advance(1);
            }
        }
        if self.stream {
            fence();
        }
    }

    /// Band `i` of tiles: up to TILE_ROWS of the last but one dimension, all of the last.
    ///
    /// # Safety
    /// It exists, and no other thread writes it.
    unsafe fn band(&self, i: usize) {
        let mut buffers = Buffers::new();
        let [outer @ .., across, along] = &self.dims[..] else { unreachable!("tiles have two dimensions") };
        let bands = across.size.div_ceil(TILE_ROWS);
        let walk = Walk::at(outer, i / bands);
        let first_row = i % bands * TILE_ROWS;
        let rows = TILE_ROWS.min(across.size - first_row);
        let across_tile = self.block_len / TILE_ROWS;
        for first in (0..along.size).step_by(across_tile) {
            let columns = across_tile.min(along.size - first);
            let n = rows * columns;
            let at = |offset: isize, across: isize, along: isize| offset + first_row as isize * across + first as isize * along;
            let mut tile = Rows::single(buffers.out.ptr(), n, self.scalars);
            // SAFETY: the caller's promise; a buffer holds `block_len` elements.
            unsafe {
                for k in 0..self.count {
                    let input = &self.inputs[k];
                    let (raw, count) = match input.reach {
                        Reach::Value => (input.value.as_ptr().cast(), 1),
                        Reach::Splat => (input.ptr, 1),
                        _ => {
                            let (down, right) = (across.inputs[k], along.inputs[k]);
                            let width = input.dtype.size_bytes();
                            let from = input.ptr.offset(at(walk.inputs[k], down, right) * width as isize);
                            let buffer = if input.dtype == self.compute { buffers.inputs[k].ptr() } else { buffers.raw.ptr() };
                            move_tile(width, rows, columns, (from, down, right), (buffer, columns as isize, 1));
                            (buffer.cast_const(), n)
                        }
                    };
                    if count == 1 {
                        tile.splat |= 1 << k;
                    }
                    tile.inputs[k].write(self.converted(&mut buffers, k, raw, count));
                }
                (self.block)(&tile);
                let mut from = buffers.out.ptr();
                if self.out_dtype != self.result {
                    cast_row(self.result, from, self.out_dtype, buffers.converted.ptr(), n);
                    from = buffers.converted.ptr();
                }
                let width = self.out_dtype.size_bytes();
                let to = self.out.offset(at(walk.out, across.out, along.out) * width as isize);
                move_tile(width, rows, columns, (from, columns as isize, 1), (to, across.out, along.out));
            }
        }
    }

    /// `count` elements of input `k` at `raw` (perhaps in the raw buffer), in the compute dtype.
    ///
    /// # Safety
    /// They exist and fit a buffer.
    #[inline]
    unsafe fn converted(&self, buffers: &mut Buffers, k: usize, raw: *const u8, count: usize) -> *const u8 {
        let dtype = self.inputs[k].dtype;
        if dtype == self.compute {
            return raw;
        }
        // SAFETY: the caller's promise; a buffer holds `block_len` elements.
        unsafe {
            let buffer = buffers.inputs[k].ptr();
            cast_row(dtype, raw, self.compute, buffer, count);
            if let Some(half) = self.half
                && dtype != half
            {
                let rounded = buffers.raw.ptr();
                cast_row(self.compute, buffer, half, rounded, count);
                cast_row(half, rounded, self.compute, buffer, count);
            }
            buffer
        }
    }

    /// `n` elements from element `i` on, which is `column` of the row at `walk`; of `count` rows if the plan is batched.
    ///
    /// # Safety
    /// They exist; `n` is at most `block_len` where buffers are needed.
    #[inline]
    unsafe fn piece(&self, buffers: &mut Buffers, walk: &Walk, inner: &Dim, i: usize, column: usize, n: usize, count: usize) {
        let within = column + n <= inner.size;
        let mut rows = Rows::single(self.out, n, self.scalars);
        let mut steps = Steps { count, inputs: [0; MAX_INPUTS], out: 0 };
        // SAFETY: the caller's promise; a buffer holds `block_len` elements.
        unsafe {
            for k in 0..self.count {
                let input = &self.inputs[k];
                let width = input.dtype.size_bytes();
                let stride = inner.inputs[k];
                let (raw, len) = match input.reach {
                    Reach::Value => (input.value.as_ptr().cast(), 1),
                    Reach::Splat => (input.ptr, 1),
                    Reach::Linear => (input.ptr.add(i * width), n),
                    Reach::Strided if within && matches!(stride, 0 | 1) => {
                        let at = input.ptr.offset((walk.inputs[k] + column as isize * stride) * width as isize);
                        (at, if stride == 0 { 1 } else { n })
                    }
                    Reach::Strided => {
                        let buffer = if input.dtype == self.compute { buffers.inputs[k].ptr() } else { buffers.raw.ptr() };
                        gather(width, input.ptr, walk, inner, k, column, n, buffer);
                        (buffer.cast_const(), n)
                    }
                };
                if len == 1 {
                    rows.splat |= 1 << k;
                }
                rows.inputs[k].write(self.converted(buffers, k, raw, len));
                if count > 1 {
                    steps.inputs[k] = self.dims[self.dims.len() - 2].inputs[k] * width as isize;
                }
            }
            let out_width = self.out_dtype.size_bytes();
            let at = self.out.offset((walk.out + column as isize * inner.out) * out_width as isize);
            let direct = (self.out_reach == Reach::Linear || within && inner.out == 1) && !self.stream;
            if direct && self.out_dtype == self.result {
                rows.out = at;
                if count > 1 {
                    steps.out = self.dims[self.dims.len() - 2].out * out_width as isize;
                    rows.steps = Some(&steps);
                }
                return (self.block)(&rows);
            }
            let mut from = buffers.out.ptr();
            rows.out = from;
            (self.block)(&rows);
            if self.out_dtype != self.result {
                let to = if direct { at } else { buffers.converted.ptr() };
                cast_row(self.result, from, self.out_dtype, to, n);
                from = to;
            }
            if self.stream {
                stream(from, at, n * out_width);
            } else if !direct {
                scatter(out_width, from, walk, inner, column, n, self.out);
            }
        }
    }
}

/// Where an operand steps far along the inner dimension but by one element along another one, that dimension becomes the last
/// but one: tiles of the two use all of a cache line. Whether there is such an operand.
fn bring_partner_inward(dims: &mut SmallVec<[Dim; 6]>, count: usize) -> bool {
    let last = dims.len() - 1;
    let inner = dims[last];
    let partner = (0..count)
        .filter(|&k| inner.inputs[k].unsigned_abs() >= TILE_ROWS)
        .find_map(|k| dims[..last].iter().position(|dim| dim.inputs[k] == 1 && dim.size >= TILE_ROWS));
    let Some(partner) = partner else { return false };
    if inner.size < TILE_ROWS {
        return false;
    }
    let dim = dims.remove(partner);
    dims.insert(last - 1, dim);
    true
}

/// Copies a tile; a side is its first element and the strides down and right, in elements.
///
/// # Safety
/// Both sides have the elements.
unsafe fn move_tile(width: usize, rows: usize, columns: usize, from: (*const u8, isize, isize), to: (*mut u8, isize, isize)) {
    // SAFETY: the caller's promise.
    unsafe {
        match width {
            1 => move_tile_elements::<u8>(rows, columns, from, to),
            2 => move_tile_elements::<u16>(rows, columns, from, to),
            4 => move_tile_elements::<u32>(rows, columns, from, to),
            8 => move_tile_elements::<u64>(rows, columns, from, to),
            _ => move_tile_elements::<[u64; 2]>(rows, columns, from, to),
        }
    }
}

unsafe fn move_tile_elements<T: Copy>(rows: usize, columns: usize, from: (*const u8, isize, isize), to: (*mut u8, isize, isize)) {
    let ((from, from_down, from_right), (to, to_down, to_right)) = (from, to);
    let (from, to) = (from.cast::<T>(), to.cast::<T>());
    // SAFETY: the caller's promise.
    let each = |row: usize, column: usize| unsafe {
        let value = from.offset(row as isize * from_down + column as isize * from_right).read();
        to.offset(row as isize * to_down + column as isize * to_right).write(value);
    };
    // Reads run along memory.
    if from_down == 1 && rows == TILE_ROWS {
        (0..columns).for_each(|column| (0..TILE_ROWS).for_each(|row| each(row, column)));
    } else if from_right == 1 && to_right == 1 {
        (0..rows).for_each(|row| {
            // SAFETY: the caller's promise; input and buffer are different memory.
            unsafe {
                let (from, to) = (from.offset(row as isize * from_down), to.offset(row as isize * to_down));
                std::ptr::copy_nonoverlapping(from, to, columns);
            }
        });
    } else {
        (0..rows).for_each(|row| (0..columns).for_each(|column| each(row, column)));
    }
}

/// Copies `n` elements of input `k`, from `column` of the row at `walk` on, into a row.
///
/// # Safety
/// The elements exist; `to` has room.
unsafe fn gather(width: usize, ptr: *const u8, walk: &Walk, inner: &Dim, k: usize, column: usize, n: usize, to: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        match width {
            1 => gather_elements::<u8>(ptr.cast(), walk, inner, k, column, n, to.cast()),
            2 => gather_elements::<u16>(ptr.cast(), walk, inner, k, column, n, to.cast()),
            4 => gather_elements::<u32>(ptr.cast(), walk, inner, k, column, n, to.cast()),
            8 => gather_elements::<u64>(ptr.cast(), walk, inner, k, column, n, to.cast()),
            _ => gather_elements::<[u64; 2]>(ptr.cast(), walk, inner, k, column, n, to.cast()),
        }
    }
}

unsafe fn gather_elements<T: Copy>(ptr: *const T, walk: &Walk, inner: &Dim, k: usize, column: usize, n: usize, to: *mut T) {
    let stride = inner.inputs[k];
    each_run(walk, inner, column, n, |walk, column, done, m| {
        // SAFETY: the caller's promise.
        unsafe {
            let from = ptr.offset(walk.inputs[k] + column as isize * stride);
            let to = to.add(done);
            match stride {
                0 => (0..m).for_each(|i| to.add(i).write(from.read())),
                1 => (0..m).for_each(|i| to.add(i).write(from.add(i).read())),
                _ => (0..m).for_each(|i| to.add(i).write(from.offset(i as isize * stride).read())),
            }
        }
    });
}

/// The way back: a row to `n` elements of the output.
///
/// # Safety
/// As for `gather`.
unsafe fn scatter(width: usize, from: *const u8, walk: &Walk, inner: &Dim, column: usize, n: usize, out: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe {
        match width {
            1 => scatter_elements::<u8>(from.cast(), walk, inner, column, n, out.cast()),
            2 => scatter_elements::<u16>(from.cast(), walk, inner, column, n, out.cast()),
            4 => scatter_elements::<u32>(from.cast(), walk, inner, column, n, out.cast()),
            8 => scatter_elements::<u64>(from.cast(), walk, inner, column, n, out.cast()),
            _ => scatter_elements::<[u64; 2]>(from.cast(), walk, inner, column, n, out.cast()),
        }
    }
}

unsafe fn scatter_elements<T: Copy>(from: *const T, walk: &Walk, inner: &Dim, column: usize, n: usize, out: *mut T) {
    let stride = inner.out;
    each_run(walk, inner, column, n, |walk, column, done, m| {
        // SAFETY: the caller's promise.
        unsafe {
            let to = out.offset(walk.out + column as isize * stride);
            let from = from.add(done);
            match stride {
                1 => (0..m).for_each(|i| to.add(i).write(from.add(i).read())),
                _ => (0..m).for_each(|i| to.offset(i as isize * stride).write(from.add(i).read())),
            }
        }
    });
}

/// Calls `body(walk, column, done, m)` for the runs of the inner dimension that `n` elements from `column` on fall into.
#[inline(always)]
fn each_run(walk: &Walk, inner: &Dim, mut column: usize, n: usize, body: impl Fn(&Walk, usize, usize, usize)) {
    if column + n <= inner.size {
        return body(walk, column, 0, n);
    }
    let mut walk = walk.clone();
    let mut done = 0;
    while done < n {
        let m = (inner.size - column).min(n - done);
        body(&walk, column, done, m);
        done += m;
        column = 0;
        walk.advance(1);
    }
}

/// Copies past the caches where the machine can; [`fence`] ends a run of such copies.
///
/// # Safety
/// `len` bytes are readable and writable, without overlap.
unsafe fn stream(from: *const u8, to: *mut u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the caller's promise; SSE2 is part of x86-64, and the streamed part is aligned to 16 bytes.
    unsafe {
        use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
        let head = to.align_offset(64).min(len);
        std::ptr::copy_nonoverlapping(from, to, head);
        let lines = (len - head) / 64;
        for i in 0..lines {
            let (from, to) = (from.add(head + 64 * i).cast::<__m128i>(), to.add(head + 64 * i).cast::<__m128i>());
            let (a, b) = (_mm_loadu_si128(from), _mm_loadu_si128(from.add(1)));
            let (c, d) = (_mm_loadu_si128(from.add(2)), _mm_loadu_si128(from.add(3)));
            _mm_stream_si128(to, a);
            _mm_stream_si128(to.add(1), b);
            _mm_stream_si128(to.add(2), c);
            _mm_stream_si128(to.add(3), d);
        }
        let done = head + 64 * lines;
        std::ptr::copy_nonoverlapping(from.add(done), to.add(done), len - done);
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the caller's promise.
    unsafe {
        std::ptr::copy_nonoverlapping(from, to, len);
    }
}

/// Makes streamed stores visible before whatever this thread stores next.
fn fence() {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Bits, Number, Value};
    use half::{bf16, f16};

    macro_rules! rows {
        ($($name:ident: $formula:ident<$n:literal, $s:literal> $bound:ident -> $out:ty = |$x:ident, $c:ident| $f:expr;)*) => { $(
            #[derive(Clone, Copy)]
            struct $name;
            impl $formula<$n, $s> for $name {
                #[inline(always)]
                fn eval<V: $bound>($x: [V; $n], $c: [V; $s]) -> $out {
                    $f
                }
            }
        )* };
    }
    rows! {
        AddScaled: NumberFormula<2, 1> Number -> V = |x, s| x[0] + x[1] * s[0];
        Subtract: NumberFormula<2, 0> Number -> V = |x, _s| x[0] - x[1];
        Relu: NumberFormula<1, 0> Number -> V = |x, _s| V::select(x[0].le(x[0].lit(0.0)), x[0].lit(0.0), x[0]);
        Maximum: NumberFormula<2, 0> Number -> V = |x, _s| x[0].maximum(x[1]);
        FloorDiv: NumberFormula<2, 0> Number -> V = |x, _s| x[0].floor_div(x[1]);
        Remainder: NumberFormula<2, 0> Number -> V = |x, _s| x[0].remainder(x[1]);
        Five: FloatFormula<5, 2> Value -> V = |x, s| x[0] * x[1] + x[2] * s[0] - x[3] * x[4] * s[1];
        Where: NumberFormula<3, 0> Number -> V = |x, _s| V::select(x[0].ne(x[0].lit(0.0)), x[1], x[2]);
        Less: NumberTest<2, 0> Number -> V::Mask = |x, _s| x[0].lt(x[1]);
        IsNan: FloatTest<1, 0> Value -> V::Mask = |x, _s| x[0].is_nan();
        Exp: FloatFormula<1, 0> Value -> V = |x, _s| x[0].exp();
        Sqrt: FloatFormula<1, 0> Value -> V = |x, _s| x[0].sqrt();
        Xor: BitsFormula<2, 0> Bits -> V = |x, _s| x[0].xor(x[1]);
        Not: BitsFormula<1, 0> Bits -> V = |x, _s| x[0].not();
        ShiftLeft: BitsFormula<2, 0> Bits -> V = |x, _s| x[0].shl(x[1]);
        ShiftRight: BitsFormula<2, 0> Bits -> V = |x, _s| x[0].shr(x[1]);
    }
    const ADD_SCALED: Kernel = Kernel::number::<AddScaled, 2, 1>();
    const SUBTRACT: Kernel = Kernel::number::<Subtract, 2, 0>();
    const RELU: Kernel = Kernel::number::<Relu, 1, 0>();
    const LESS: Kernel = Kernel::test::<Less, 2, 0>();

    fn row_major(shape: &[usize]) -> Vec<isize> {
        let mut strides = vec![1isize; shape.len()];
        for d in (1..shape.len()).rev() {
            strides[d - 1] = strides[d] * shape[d].max(1) as isize;
        }
        strides
    }

    /// Offsets of all elements, in row-major order of the shape.
    fn offsets(shape: &[usize], strides: &[isize]) -> Vec<usize> {
        let mut all = vec![0isize];
        for (&size, &stride) in shape.iter().zip(strides) {
            all = all.iter().flat_map(|&o| (0..size as isize).map(move |i| o + i * stride)).collect();
        }
        all.into_iter().map(|o| o as usize).collect()
    }

    fn operand<'a, T>(x: &'a [T], dtype: DType, strides: &'a [isize]) -> Operand<'a> {
        // SAFETY: every test's strides stay within its slice.
        unsafe { Operand::tensor(x.as_ptr().cast(), dtype, strides) }
    }

    fn destination<'a, T>(out: &'a mut [T], dtype: DType, shape: &'a [usize], strides: &'a [isize]) -> DstBytes<'a> {
        // SAFETY: as above.
        unsafe { DstBytes::new(out.as_mut_ptr().cast(), dtype, shape, strides) }
    }

    fn numbers(n: usize) -> Vec<f32> {
        (0..n).map(|i| ((i * 7919 + 13) % 1009) as f32 * 0.25 - 100.0).collect()
    }

    /// Runs `a - b` over strided operands and compares with a plain loop; gaps of the output must stay.
    fn check(shape: &[usize], a_strides: &[isize], b_strides: &[isize], out_strides: &[isize]) {
        let reach = |strides: &[isize]| offsets(shape, strides).into_iter().max().map_or(1, |o| o + 1);
        let (a, b) = (numbers(reach(a_strides)), numbers(reach(b_strides) + 5)[5..].to_vec());
        let mut out = vec![f32::MAX; reach(out_strides)];
        let mut expected = out.clone();
        for ((i, j), o) in offsets(shape, a_strides).into_iter().zip(offsets(shape, b_strides)).zip(offsets(shape, out_strides)) {
            expected[o] = a[i] - b[j];
        }
        let inputs = [operand(&a, DType::F32, a_strides), operand(&b, DType::F32, b_strides)];
        run(&SUBTRACT, DType::F32, &inputs, &[], destination(&mut out, DType::F32, shape, out_strides));
        assert_eq!(out, expected, "shape {shape:?}, strides {a_strides:?} {b_strides:?} -> {out_strides:?}");
    }

    #[test]
    fn every_length_agrees_with_a_plain_loop() {
        for n in (0..70).chain([511, 512, 513, 4097, 40_000, 100_003]) {
            check(&[n], &[1], &[1], &[1]);
            check(&[n], &[1], &[0], &[1]);
            check(&[n], &[0], &[1], &[1]);
            check(&[n], &[2], &[1], &[1]);
            check(&[n], &[1], &[1], &[3]);
        }
    }

    #[test]
    fn every_broadcast_and_stride_pattern_agrees_with_a_plain_loop() {
        check(&[], &[], &[], &[]);
        check(&[1, 1], &[5, 7], &[0, 0], &[1, 1]);
        for (n, c) in [(3, 5), (40, 7), (100, 16), (33, 64), (9, 700), (700, 9), (300, 200)] {
            let (r, k) = (n as isize, c as isize);
            check(&[n, c], &[k, 1], &[0, 1], &[k, 1]);
            check(&[n, c], &[k, 1], &[1, 0], &[k, 1]);
            check(&[n, c], &[1, r], &[k, 1], &[k, 1]);
            check(&[n, c], &[1, r], &[1, r], &[k, 1]);
            check(&[n, c], &[1, r], &[1, r], &[1, r]);
            check(&[n, c], &[1, 0], &[0, 1], &[1, r]);
            check(&[n, c], &[k + 3, 1], &[2 * k, 2], &[k + 1, 1]);
            check(&[n, c], &[2 * k, 2], &[k, 1], &[2 * k, 2]);
            check(&[n, c], &[0, 0], &[k, 1], &[k, 1]);
        }
        for shape in [[2, 3, 4, 5], [2, 16, 7, 7], [8, 3, 32, 32], [4, 5, 1, 40]] {
            let full = row_major(&shape);
            check(&shape, &full, &[0, 1, 0, 0], &full);
            check(&shape, &full, &[0, (shape[2] * shape[3]) as isize, shape[3] as isize, 1], &full);
            let last = [full[0], 1, (shape[1] * shape[3]) as isize, shape[1] as isize];
            check(&shape, &last, &[0, 1, 0, 0], &last);
            check(&shape, &last, &full, &full);
            check(&shape, &full, &full, &last);
        }
    }

    #[test]
    fn empty_outputs_are_left_alone() {
        check(&[0], &[1], &[1], &[1]);
        check(&[3, 0, 2], &[0, 2, 1], &[0, 0, 0], &[0, 2, 1]);
    }

    #[test]
    fn an_input_may_be_the_output() {
        for (shape, strides) in [(vec![1003], vec![1]), (vec![60_000], vec![1]), (vec![1003], vec![2]), (vec![37, 29], vec![1, 37])] {
            let reach = offsets(&shape, &strides).into_iter().max().unwrap() + 1;
            let mut x = numbers(reach);
            let mut expected = x.clone();
            offsets(&shape, &strides).into_iter().for_each(|o| expected[o] = x[o] - 3.0);
            let ptr = x.as_mut_ptr();
            // SAFETY: the vector outlives the call; the alias is exact.
            let (input, out) =
                unsafe { (Operand::tensor(ptr.cast(), DType::F32, &strides), DstBytes::new(ptr.cast(), DType::F32, &shape, &strides)) };
            run(&SUBTRACT, DType::F32, &[input, Operand::value(Scalar::Int(3))], &[], out);
            assert_eq!(x, expected);
        }
    }

    #[test]
    fn large_outputs_that_bypass_the_caches_agree() {
        let n = streaming_bytes() / 4 + 4099;
        check(&[n], &[1], &[1], &[1]);
        check(&[n / 2000, 2000], &[2000, 1], &[0, 1], &[2000, 1]);
        let mut out = vec![0f32; n + 1];
        let x = numbers(n);
        run(&RELU, DType::F32, &[operand(&x, DType::F32, &[1])], &[], destination(&mut out[1..], DType::F32, &[n], &[1]));
        assert!(x.iter().zip(&out[1..]).all(|(x, y)| x.max(0.0) == *y));
        let mut out = vec![f16::ZERO; 2 * n];
        let x = numbers(2 * n);
        run(&RELU, DType::F32, &[operand(&x, DType::F32, &[1])], &[], destination(&mut out, DType::F16, &[2 * n], &[1]));
        assert!(x.iter().zip(&out).all(|(x, y)| f16::from_f32(x.max(0.0)) == *y));
    }

    #[test]
    fn integers_wrap_and_integer_scalars_stay_exact() {
        let big = (1i64 << 53) + 1;
        let (a, b) = ([0i64, 1, i64::MAX], [1i64, 1, 1]);
        let mut out = [0i64; 3];
        let inputs = [operand(&a, DType::I64, &[1]), operand(&b, DType::I64, &[1])];
        run(&ADD_SCALED, DType::I64, &inputs, &[Scalar::Int(big)], destination(&mut out, DType::I64, &[3], &[1]));
        assert_eq!(out, [big, big + 1, i64::MAX.wrapping_add(big)]);
        let (a, mut out) = ([250u8; 77], [0u8; 77]);
        let inputs = [operand(&a, DType::U8, &[1]), Operand::value(Scalar::Int(7))];
        run(&ADD_SCALED, DType::U8, &inputs, &[Scalar::Int(2)], destination(&mut out, DType::U8, &[77], &[1]));
        assert_eq!(out, [8u8; 77]);
    }

    #[test]
    fn bool_adds_as_or_and_multiplies_as_and() {
        let (a, b) = ([true, true, false, false], [true, false, true, false]);
        let mut out = [false; 4];
        let inputs = [operand(&a, DType::Bool, &[1]), operand(&b, DType::Bool, &[1])];
        run(&ADD_SCALED, DType::Bool, &inputs, &[Scalar::Bool(true)], destination(&mut out, DType::Bool, &[4], &[1]));
        assert_eq!(out, [true, true, true, false]);
        run(&Kernel::bits::<Xor, 2, 0>(), DType::Bool, &inputs, &[], destination(&mut out, DType::Bool, &[4], &[1]));
        assert_eq!(out, [false, true, true, false]);
        run(&Kernel::bits::<Not, 1, 0>(), DType::Bool, &inputs[..1], &[], destination(&mut out, DType::Bool, &[4], &[1]));
        assert_eq!(out, [false, false, true, true]);
    }

    #[test]
    fn division_rounds_down_and_remainders_take_the_divisors_sign() {
        let (a, b) = ([7i32, -7, 7, -7, i32::MIN, 5], [2i32, 2, -2, -2, -1, 0]);
        let mut out = [0i32; 6];
        let inputs = [operand(&a, DType::I32, &[1]), operand(&b, DType::I32, &[1])];
        run(&Kernel::number::<FloorDiv, 2, 0>(), DType::I32, &inputs, &[], destination(&mut out, DType::I32, &[6], &[1]));
        assert_eq!(out, [3, -4, -4, 3, i32::MIN, 0]);
        run(&Kernel::number::<Remainder, 2, 0>(), DType::I32, &inputs, &[], destination(&mut out, DType::I32, &[6], &[1]));
        assert_eq!(out, [1, 1, -1, -1, 0, 0]);

        // PyTorch's values.
        let (nan, inf) = (f32::NAN, f32::INFINITY);
        let a = [5.0f32, -5.0, 5.0, -5.0, inf, 1.0, 0.0, -0.0, nan, 5.0];
        let b = [3.0f32, 3.0, -3.0, -3.0, 2.0, inf, -2.0, 2.0, 1.0, 0.0];
        let mut out = [0f32; 10];
        let inputs = [operand(&a, DType::F32, &[1]), operand(&b, DType::F32, &[1])];
        run(&Kernel::number::<FloorDiv, 2, 0>(), DType::F32, &inputs, &[], destination(&mut out, DType::F32, &[10], &[1]));
        assert_same(&out, &[1.0, -2.0, -2.0, 1.0, nan, 0.0, -0.0, -0.0, nan, inf]);
        run(&Kernel::number::<Remainder, 2, 0>(), DType::F32, &inputs, &[], destination(&mut out, DType::F32, &[10], &[1]));
        assert_same(&out, &[2.0, 1.0, -1.0, -2.0, nan, 1.0, 0.0, -0.0, nan, nan]);
    }

    fn assert_same(out: &[f32], expected: &[f32]) {
        let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
        assert!(out.iter().zip(expected).all(|(&a, &b)| same(a, b)), "{out:?}, expected {expected:?}");
    }

    #[test]
    fn shifts_beyond_the_width_leave_zero_or_the_sign() {
        let (a, b) = ([1i32, 2, -8, 8, -8, -8], [33i32, -1, 33, -1, 1, 0]);
        let mut out = [0i32; 6];
        let inputs = [operand(&a, DType::I32, &[1]), operand(&b, DType::I32, &[1])];
        run(&Kernel::bits::<ShiftLeft, 2, 0>(), DType::I32, &inputs, &[], destination(&mut out, DType::I32, &[6], &[1]));
        assert_eq!(out, [0, 0, 0, 0, -16, -8]);
        run(&Kernel::bits::<ShiftRight, 2, 0>(), DType::I32, &inputs, &[], destination(&mut out, DType::I32, &[6], &[1]));
        assert_eq!(out, [0, 0, -1, 0, -4, -8]);
        let (a, b) = ([200u8, 200], [8u8, 7]);
        let mut out = [9u8; 2];
        let inputs = [operand(&a, DType::U8, &[1]), operand(&b, DType::U8, &[1])];
        run(&Kernel::bits::<ShiftRight, 2, 0>(), DType::U8, &inputs, &[], destination(&mut out, DType::U8, &[2], &[1]));
        assert_eq!(out, [0, 1]);
    }

    #[test]
    fn nan_passes_through_maximum_and_fails_every_comparison() {
        let (nan, n) = (f32::NAN, 19);
        let a: Vec<f32> = (0..n).map(|i| [nan, 1.0, nan, 2.0][i % 4]).collect();
        let b: Vec<f32> = (0..n).map(|i| [1.0, nan, nan, 3.0][i % 4]).collect();
        let mut out = vec![0f32; n];
        let inputs = [operand(&a, DType::F32, &[1]), operand(&b, DType::F32, &[1])];
        run(&Kernel::number::<Maximum, 2, 0>(), DType::F32, &inputs, &[], destination(&mut out, DType::F32, &[n], &[1]));
        assert_same(&out, &(0..n).map(|i| [nan, nan, nan, 3.0][i % 4]).collect::<Vec<_>>());
        let mut less = vec![true; n];
        run(&LESS, DType::F32, &inputs, &[], destination(&mut less, DType::Bool, &[n], &[1]));
        assert_eq!(less, (0..n).map(|i| i % 4 == 3).collect::<Vec<_>>());
        run(&Kernel::float_test::<IsNan, 1, 0>(), DType::F32, &inputs[..1], &[], destination(&mut less, DType::Bool, &[n], &[1]));
        assert_eq!(less, (0..n).map(|i| i % 2 == 0).collect::<Vec<_>>());
    }

    #[test]
    fn half_precision_is_computed_in_f32_and_rounded_once() {
        let n = 1100;
        let a: Vec<f16> = (0..n).map(|i| f16::from_f32(i as f32 * 0.37 - 100.0)).collect();
        let b: Vec<f16> = (0..n).map(|i| f16::from_f32((i % 91) as f32 * 1.7)).collect();
        let mut out = vec![f16::ZERO; n];
        let inputs = [operand(&a, DType::F16, &[1]), operand(&b, DType::F16, &[1])];
        run(&ADD_SCALED, DType::F16, &inputs, &[Scalar::Float(0.1)], destination(&mut out, DType::F16, &[n], &[1]));
        for i in 0..n {
            assert_eq!(out[i], f16::from_f32(a[i].to_f32() + b[i].to_f32() * 0.1));
        }
        // An integer operand is rounded to the dtype first.
        let a = [bf16::from_f32(1.0); 3];
        let b = [257i64, 258, -259];
        let mut out = [bf16::ZERO; 3];
        let inputs = [operand(&a, DType::BF16, &[1]), operand(&b, DType::I64, &[1])];
        run(&SUBTRACT, DType::BF16, &inputs, &[], destination(&mut out, DType::BF16, &[3], &[1]));
        assert_eq!(out, b.map(|b| bf16::from_f32(1.0 - bf16::from_f32(b as f32).to_f32())));
    }

    #[test]
    fn mixed_dtypes_convert_on_the_way() {
        let n = 1300;
        let condition: Vec<bool> = (0..n).map(|i| i % 3 == 0).collect();
        let a = numbers(n);
        let mut out = vec![0f64; n];
        let inputs = [operand(&condition, DType::Bool, &[1]), operand(&a, DType::F32, &[1]), Operand::value(Scalar::Float(0.5))];
        run(&Kernel::number::<Where, 3, 0>(), DType::F32, &inputs, &[], destination(&mut out, DType::F64, &[n], &[1]));
        for i in 0..n {
            assert_eq!(out[i], if condition[i] { a[i] as f64 } else { 0.5 });
        }
        // Broadcast and converted at once.
        let mut out = vec![0f32; 6 * n];
        let ints: Vec<i32> = (0..6).collect();
        let inputs = [operand(&ints, DType::I32, &[1, 0]), operand(&a, DType::F32, &[0, 1])];
        run(&SUBTRACT, DType::F32, &inputs, &[], destination(&mut out, DType::F32, &[6, n], &[n as isize, 1]));
        for i in 0..6 * n {
            assert_eq!(out[i], (i / n) as f32 - a[i % n]);
        }
    }

    #[test]
    fn five_inputs_of_all_kinds_and_two_scalars_meet() {
        let (n, c) = (37, 21);
        let (a, b) = (numbers(n * c), numbers(c));
        let d: Vec<f64> = (0..n).map(|i| i as f64 * 0.5).collect();
        let mut out = vec![0f32; n * c];
        let (shape, strides) = ([n, c], [c as isize, 1]);
        let inputs = [
            operand(&a, DType::F32, &strides),
            operand(&b, DType::F32, &[0, 1]),
            operand(&d, DType::F64, &[1, 0]),
            Operand::value(Scalar::Int(3)),
            operand(&a[5..], DType::F32, &[0, 0]),
        ];
        let scalars = [Scalar::Float(0.5), Scalar::Bool(true)];
        run(&Kernel::float::<Five, 5, 2>(), DType::F32, &inputs, &scalars, destination(&mut out, DType::F32, &shape, &strides));
        for i in 0..n * c {
            let expected = a[i] as f64 * b[i % c] as f64 + d[i / c] * 0.5 - 3.0 * a[5] as f64;
            assert!((out[i] as f64 - expected).abs() <= 1e-6 * expected.abs().max(100.0), "{} {expected}", out[i]);
        }
    }

    #[test]
    fn f64_rows_agree_with_a_plain_loop() {
        let x: Vec<f64> = (0..1003).map(|i| i as f64 * 0.01 - 5.0).collect();
        let mut out = vec![0f64; 1003];
        run(
            &Kernel::float::<Exp, 1, 0>(),
            DType::F64,
            &[operand(&x, DType::F64, &[1])],
            &[],
            destination(&mut out, DType::F64, &[1003], &[1]),
        );
        assert!(x.iter().zip(&out).all(|(x, y)| x.exp() == *y));
        let mut less = vec![false; 1003];
        let inputs = [operand(&x, DType::F64, &[1]), Operand::value(Scalar::Float(1.0))];
        run(&LESS, DType::F64, &inputs, &[], destination(&mut less, DType::Bool, &[1003], &[1]));
        assert!(x.iter().zip(&less).all(|(x, y)| (*x < 1.0) == *y));
    }

    /// Prints times; `cargo test --release -p rustnn-kernels times -- --ignored --nocapture`.
    #[test]
    #[ignore = "a measurement"]
    fn times() {
        let time = |name: &str, elements: usize, bytes: usize, body: &mut dyn FnMut()| {
            let mut best = f64::MAX;
            let repeat = (2_000_000 / elements.max(16)).max(1);
            for _ in 0..7 {
                let start = std::time::Instant::now();
                (0..repeat).for_each(|_| body());
                best = best.min(start.elapsed().as_secs_f64() / repeat as f64);
            }
            println!(
                "{name:32} {:10.1} ns {:8.3} ns/element {:7.2} GB/s",
                best * 1e9,
                best * 1e9 / elements as f64,
                bytes as f64 / best / 1e9
            );
        };
        for n in [16, 1024, 16 << 10, 16 << 20] {
            let (a, b) = (numbers(n), numbers(n));
            let mut out = vec![0f32; n];
            let mut mask = vec![false; n];
            let inputs = [operand(&a, DType::F32, &[1]), operand(&b, DType::F32, &[1])];
            let shape = [n];
            time(&format!("add {n}"), n, 12 * n, &mut || {
                run(&SUBTRACT, DType::F32, std::hint::black_box(&inputs), &[], destination(&mut out, DType::F32, &shape, &[1]))
            });
            time(&format!("relu {n}"), n, 8 * n, &mut || {
                run(&RELU, DType::F32, &inputs[..1], &[], destination(&mut out, DType::F32, &shape, &[1]))
            });
            time(&format!("less {n}"), n, 9 * n, &mut || {
                run(&LESS, DType::F32, &inputs, &[], destination(&mut mask, DType::Bool, &shape, &[1]))
            });
            let moderate: Vec<f32> = a.iter().map(|a| a * 0.1).collect();
            let moderate = [operand(&moderate, DType::F32, &[1])];
            time(&format!("exp {n}"), n, 8 * n, &mut || {
                run(&const { Kernel::float::<Exp, 1, 0>() }, DType::F32, &moderate, &[], destination(&mut out, DType::F32, &shape, &[1]))
            });
            time(&format!("sqrt {n}"), n, 8 * n, &mut || {
                run(
                    &const { Kernel::float::<Sqrt, 1, 0>() },
                    DType::F32,
                    &inputs[..1],
                    &[],
                    destination(&mut out, DType::F32, &shape, &[1]),
                )
            });
        }
        for (n, c) in [(64, 64), (64, 16), (1000, 10), (128, 768), (4096, 1024)] {
            let (a, b) = (numbers(n * c), numbers(c.max(n)));
            let mut out = vec![0f32; n * c];
            let k = c as isize;
            let shape = [n, c];
            let strides = [k, 1];
            for (name, bias) in [("row", [0, 1]), ("column", [1, 0])] {
                let inputs = [operand(&a, DType::F32, &strides), operand(&b, DType::F32, &bias)];
                time(&format!("({n}, {c}) - {name}"), n * c, 8 * n * c, &mut || {
                    run(&SUBTRACT, DType::F32, &inputs, &[], destination(&mut out, DType::F32, &shape, &strides))
                });
            }
            let turned = [1, n as isize];
            let inputs = [operand(&a, DType::F32, &strides), operand(&a, DType::F32, &turned)];
            time(&format!("({n}, {c}) - transposed"), n * c, 12 * n * c, &mut || {
                run(&SUBTRACT, DType::F32, &inputs, &[], destination(&mut out, DType::F32, &shape, &strides))
            });
        }
        let ints = [7i32; 16];
        let mut out = [0i32; 16];
        let inputs = [operand(&ints, DType::I32, &[1]), operand(&ints, DType::I32, &[1])];
        time("i32 sub 16", 16, 192, &mut || {
            run(&SUBTRACT, DType::I32, std::hint::black_box(&inputs), &[], destination(&mut out, DType::I32, &[16], &[1]))
        });
        let n = 16 << 10;
        let (a, b): (Vec<i32>, Vec<i32>) = ((0..n as i32).collect(), (1..=n as i32).collect());
        let mut out = vec![0i32; n];
        let inputs = [operand(&a, DType::I32, &[1]), operand(&b, DType::I32, &[1])];
        time("i32 sub", n, 12 * n, &mut || run(&SUBTRACT, DType::I32, &inputs, &[], destination(&mut out, DType::I32, &[n], &[1])));
        let (a, b): (Vec<u8>, Vec<u8>) = ((0..n).map(|i| i as u8).collect(), vec![3; n]);
        let mut out = vec![0u8; n];
        let inputs = [operand(&a, DType::U8, &[1]), operand(&b, DType::U8, &[1])];
        time("u8 sub", n, 3 * n, &mut || run(&SUBTRACT, DType::U8, &inputs, &[], destination(&mut out, DType::U8, &[n], &[1])));
        time("u8 less", n, 3 * n, &mut || run(&LESS, DType::U8, &inputs, &[], destination(&mut out, DType::Bool, &[n], &[1])));
        let a: Vec<f64> = (0..n).map(|i| i as f64).collect();
        let mut out = vec![0f64; n];
        let inputs = [operand(&a, DType::F64, &[1]), operand(&a, DType::F64, &[1])];
        time("f64 sub", n, 24 * n, &mut || run(&SUBTRACT, DType::F64, &inputs, &[], destination(&mut out, DType::F64, &[n], &[1])));
        time("f64 less", n, 17 * n, &mut || run(&LESS, DType::F64, &inputs, &[], destination(&mut out, DType::Bool, &[n], &[1])));
        let a: Vec<f16> = (0..n).map(|i| f16::from_f32((i % 1000) as f32)).collect();
        let mut out = vec![f16::ZERO; n];
        let inputs = [operand(&a, DType::F16, &[1]), operand(&a, DType::F16, &[1])];
        time("f16 sub", n, 6 * n, &mut || run(&SUBTRACT, DType::F16, &inputs, &[], destination(&mut out, DType::F16, &[n], &[1])));
        let inputs = [operand(&a, DType::BF16, &[1]), operand(&a, DType::BF16, &[1])];
        time("bf16 sub", n, 6 * n, &mut || run(&SUBTRACT, DType::BF16, &inputs, &[], destination(&mut out, DType::BF16, &[n], &[1])));
    }
}
