//! The types that rows are computed in (f32, f64, i64), read from raw memory as native vectors, and the way between them and
//! the element types.

use crate::copy::cast_row;
use fearless_simd::{Simd, SimdBase, SimdFloatElement};
use half::{bf16, f16};
use rustnn_tensor::dtype::Element;

/// Lanes of the widest native vector of any level.
pub const MAX_LANES: usize = 16;

/// A type that rows are computed in.
pub trait Wide: Element + PartialOrd + Default + Widen<Wide = Self> + Narrow<Self> {
    type V<S: Simd>: SimdBase<S, Element = Self>;
    const ZERO: Self;
    const ONE: Self;
    /// Nothing is below it.
    const LOWEST: Self;
    /// Nothing is above it.
    const HIGHEST: Self;
    fn plus(self, other: Self) -> Self;
    fn times(self, other: Self) -> Self;
    /// Divided in f64.
    fn over(self, divisor: f64) -> Self;
    fn root(self) -> Self;
}

macro_rules! wide {
    ($t:ty, $lanes:ident, $low:expr, $high:expr, $add:expr, $mul:expr) => {
        impl Wide for $t {
            type V<S: Simd> = S::$lanes;
            const ZERO: Self = 0 as $t;
            const ONE: Self = 1 as $t;
            const LOWEST: Self = $low;
            const HIGHEST: Self = $high;
            #[inline(always)]
            fn plus(self, other: Self) -> Self {
                $add(self, other)
            }
            #[inline(always)]
            fn times(self, other: Self) -> Self {
                $mul(self, other)
            }
            #[inline(always)]
            fn over(self, divisor: f64) -> Self {
                (self as f64 / divisor) as $t
            }
            #[inline(always)]
            fn root(self) -> Self {
                (self as f64).sqrt() as $t
            }
        }
    };
}
wide!(f32, f32s, f32::NEG_INFINITY, f32::INFINITY, |a, b| a + b, |a, b| a * b);
wide!(f64, f64s, f64::NEG_INFINITY, f64::INFINITY, |a, b| a + b, |a, b| a * b);
wide!(i64, i64s, i64::MIN, i64::MAX, i64::wrapping_add, i64::wrapping_mul);

/// An element type and the type that its rows are computed in.
pub trait Widen: Element {
    type Wide: Wide;
    /// Whether that is the element type itself: then memory is read where it lies.
    const SAME: bool = false;
    fn widen(self) -> Self::Wide;
}

/// An element type that results of type `L` are rounded to.
pub trait Narrow<L>: Element {
    fn narrow(value: L) -> Self;
}

macro_rules! widen {
    ($($t:ty => $l:ty, $same:expr, $widen:expr, $narrow:expr;)*) => { $(
        impl Widen for $t {
            type Wide = $l;
            const SAME: bool = $same;
            #[inline(always)]
            fn widen(self) -> $l {
                $widen(self)
            }
        }
        impl Narrow<$l> for $t {
            #[inline(always)]
            fn narrow(value: $l) -> Self {
                $narrow(value)
            }
        }
    )* };
}
widen! {
    f32 => f32, true, |x| x, |x| x;
    f64 => f64, true, |x| x, |x| x;
    i64 => i64, true, |x| x, |x| x;
    f16 => f32, false, f16::to_f32, f16::from_f32;
    bf16 => f32, false, bf16::to_f32, bf16::from_f32;
    i32 => i64, false, |x| x as i64, |x| x as i32;
    i16 => i64, false, |x| x as i64, |x| x as i16;
    i8 => i64, false, |x| x as i64, |x| x as i8;
    u8 => i64, false, |x| x as i64, |x| x as u8;
    bool => i64, false, |x| x as i64, |x| x != 0;
}
impl Narrow<f32> for bool {
    #[inline(always)]
    fn narrow(value: f32) -> Self {
        value != 0.0
    }
}
impl Narrow<f64> for bool {
    #[inline(always)]
    fn narrow(value: f64) -> Self {
        value != 0.0
    }
}
/// f32 or f64.
pub trait Float: Wide + SimdFloatElement + Widen<Wide = Self> + std::ops::Neg<Output = Self> {
    fn of(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn exp<S: Simd>(simd: S, v: Self::Native<S>) -> Self::Native<S>;
    fn ln<S: Simd>(simd: S, v: Self::Native<S>) -> Self::Native<S>;
}

/// A floating-point element type.
pub trait Real: Widen<Wide = <Self as Real>::Float> + Narrow<<Self as Real>::Float> {
    type Float: Float;
}

impl Real for f32 {
    type Float = f32;
}
impl Real for f64 {
    type Float = f64;
}
impl Real for f16 {
    type Float = f32;
}
impl Real for bf16 {
    type Float = f32;
}

impl Float for f32 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self as f64
    }
    #[inline(always)]
    fn exp<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
        crate::lanes::exp_f32(simd, x)
    }
    #[inline(always)]
    fn ln<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
        crate::lanes::ln_f32(simd, x)
    }
}

impl Float for f64 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }
    #[inline(always)]
    fn to_f64(self) -> f64 {
        self
    }
    #[inline(always)]
    fn exp<S: Simd>(_: S, mut x: S::f64s) -> S::f64s {
        x.as_mut_slice().iter_mut().for_each(|x| *x = x.exp());
        x
    }
    #[inline(always)]
    fn ln<S: Simd>(_: S, mut x: S::f64s) -> S::f64s {
        x.as_mut_slice().iter_mut().for_each(|x| *x = x.ln());
        x
    }
}

/// A whole vector from `ptr`, of any alignment.
///
/// # Safety
/// `V::LEN` elements are readable and initialised.
#[inline(always)]
pub unsafe fn load<S: Simd, V: SimdBase<S>>(simd: S, ptr: *const V::Element) -> V {
    const { assert!(size_of::<V::Array>() == V::LEN * size_of::<V::Element>()) };
    // SAFETY: the caller's promise; the array type is `[V::Element; V::LEN]`.
    V::load_array(simd, unsafe { ptr.cast::<V::Array>().read_unaligned() })
}

/// The first `n <= V::LEN` lanes from `ptr`, the others `pad`.
///
/// # Safety
/// `n` elements are readable and initialised.
#[inline(always)]
pub unsafe fn load_some<S: Simd, V: SimdBase<S>>(simd: S, ptr: *const V::Element, n: usize, pad: V) -> V {
    debug_assert!(n <= V::LEN);
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::*;
        use std::mem::transmute_copy;
        // Written in pieces, a vector is read back only after all of them have left the store queue: some 10 ns per row.
        static MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        // SAFETY: the level is proof of the instructions; lanes that the mask leaves out are not read; `V::Array` is an array of
        // the register's size, as asserted.
        unsafe {
            match simd.level() {
                fearless_simd::Level::Avx2(_) if size_of::<V::Array>() == 32 => {
                    let pad: __m256 = transmute_copy(&pad.to_array());
                    let lanes = n * size_of::<V::Element>() / 4;
                    let mask = _mm256_loadu_si256(MASK.as_ptr().add(8 - lanes).cast());
                    let v = _mm256_blendv_ps(pad, _mm256_maskload_ps(ptr.cast(), mask), _mm256_castsi256_ps(mask));
                    return V::load_array(simd, transmute_copy(&v));
                }
                fearless_simd::Level::Avx512(_) if size_of::<V::Array>() == 64 => {
                    let pad: __m512 = transmute_copy(&pad.to_array());
                    let lanes = n * size_of::<V::Element>() / 4;
                    let v = _mm512_mask_loadu_ps(pad, ((1u32 << lanes) - 1) as u16, ptr.cast());
                    return V::load_array(simd, transmute_copy(&v));
                }
                _ => {}
            }
        }
    }
    let _ = simd;
    let mut v = pad;
    // SAFETY: the caller's promise; `v` has `V::LEN` lanes.
    unsafe { copy_few(ptr, v.as_mut_slice().as_mut_ptr(), n) };
    v
}

/// Stores a whole vector at `ptr`, of any alignment.
///
/// # Safety
/// `V::LEN` elements are writable.
#[inline(always)]
pub unsafe fn store<S: Simd, V: SimdBase<S>>(v: V, ptr: *mut V::Element) {
    // SAFETY: the caller's promise; the array type is `[V::Element; V::LEN]`.
    unsafe { ptr.cast::<V::Array>().write_unaligned(v.to_array()) }
}

/// Stores the first `n <= V::LEN` lanes.
///
/// # Safety
/// `n` elements are writable.
#[inline(always)]
pub unsafe fn store_some<S: Simd, V: SimdBase<S>>(v: V, ptr: *mut V::Element, n: usize) {
    debug_assert!(n <= V::LEN);
    // SAFETY: the caller's promise; `v` has `V::LEN` lanes.
    unsafe { copy_few(v.as_slice().as_ptr(), ptr, n) }
}

/// Copies `n < 32` elements without a call.
///
/// # Safety
/// As `copy_nonoverlapping`.
#[inline(always)]
unsafe fn copy_few<T: Copy>(src: *const T, dst: *mut T, n: usize) {
    let mut at = 0;
    // SAFETY: the caller's promise; the pieces add up to `n`.
    unsafe {
        if n & 16 != 0 {
            dst.cast::<[T; 16]>().write_unaligned(src.cast::<[T; 16]>().read_unaligned());
            at = 16;
        }
        if n & 8 != 0 {
            dst.add(at).cast::<[T; 8]>().write_unaligned(src.add(at).cast::<[T; 8]>().read_unaligned());
            at += 8;
        }
        if n & 4 != 0 {
            dst.add(at).cast::<[T; 4]>().write_unaligned(src.add(at).cast::<[T; 4]>().read_unaligned());
            at += 4;
        }
        if n & 2 != 0 {
            dst.add(at).cast::<[T; 2]>().write_unaligned(src.add(at).cast::<[T; 2]>().read_unaligned());
            at += 2;
        }
        if n & 1 != 0 {
            dst.add(at).write(src.add(at).read());
        }
    }
}

/// Widens `n` elements that lie `stride` apart into `out`.
///
/// # Safety
/// The elements are readable and initialised, `n` at `out` writable.
#[inline]
pub unsafe fn gather<T: Widen>(src: *const T, stride: isize, n: usize, out: *mut T::Wide) {
    // SAFETY: the caller's promise.
    unsafe {
        if stride == 1 && n >= 8 {
            return cast_row(T::DTYPE, src.cast(), T::Wide::DTYPE, out.cast(), n);
        }
        for i in 0..n {
            out.add(i).write(src.offset(i as isize * stride).read().widen());
        }
    }
}

/// Rounds `n` values at `src` to elements at `out`.
///
/// # Safety
/// The values are readable and initialised, `n` elements at `out` writable and other memory.
#[inline]
pub unsafe fn scatter<L: Wide, O: Narrow<L>>(src: *const L, n: usize, out: *mut O, stride: isize) {
    // SAFETY: the caller's promise.
    unsafe {
        if stride == 1 && O::DTYPE == L::DTYPE {
            return std::ptr::copy_nonoverlapping(src, out.cast(), n);
        }
        if stride == 1 && n >= 8 && O::DTYPE != rustnn_tensor::dtype::DType::Bool {
            return cast_row(L::DTYPE, src.cast(), O::DTYPE, out.cast(), n);
        }
        for i in 0..n {
            out.offset(i as isize * stride).write(O::narrow(src.add(i).read()));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::level::named;

    #[test]
    fn row_kernels_pass_their_tests_at_every_level_of_this_machine() {
        // The level is chosen once per process, so the tests run again in processes of their own.
        let tests = std::env::current_exe().unwrap();
        for level in ["fallback", "sse4.2", "avx2", "avx512", "neon"].into_iter().filter(|level| named(level).is_some()) {
            let mut command = std::process::Command::new(&tests);
            command.args(["reduce::tests", "softmax::tests", "norm::tests", "loss::tests"]).env("RUSTNN_SIMD", level);
            let output = command.output().unwrap();
            assert!(output.status.success(), "{level}: {}", String::from_utf8_lossy(&output.stdout));
        }
    }
}
