//! Random numbers: Philox 4x32-10, a counter-based generator (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2,
//! 3"). The value at a place depends on the stream and the place alone, so bits do not depend on threads; the float32 laws
//! use plain arithmetic in a fixed order, so they do not depend on the SIMD level either.
//!
//! A stream is a seed and an offset counted in blocks of 128 bits. Every fill returns how many blocks it used; the caller
//! advances the offset by that. Outputs are contiguous.

use crate::copy::{Shared, cast_row};
use crate::level::dispatch;
use crate::parallel::par_for;
use fearless_simd::{Simd, prelude::*};
use half::{bf16, f16};
use rustnn_tensor::{DType, Element};

/// Blocks that are computed side by side.
const LANES: usize = 16;
/// 32-bit words that they give.
const WORDS: usize = 4 * LANES;
/// Groups of `WORDS` that one task makes.
const TASK_GROUPS: usize = 256;

/// A place in the sequence of a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    pub seed: u64,
    /// In blocks of 128 bits.
    pub offset: u64,
}

/// One block: Philox 4x32 with ten rounds.
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut a, mut b, mut c, mut d] = counter;
    for [k0, k1] in round_keys(key) {
        let (p, q) = (a as u64 * FIRST, c as u64 * SECOND);
        (a, b, c, d) = ((q >> 32) as u32 ^ b ^ k0, q as u32, (p >> 32) as u32 ^ d ^ k1, p as u32);
    }
    [a, b, c, d]
}

const FIRST: u64 = 0xD251_1F53;
const SECOND: u64 = 0xCD9E_8D57;

#[inline(always)]
fn round_keys(key: [u32; 2]) -> [[u32; 2]; 10] {
    std::array::from_fn(|r| {
        [key[0].wrapping_add(0x9E37_79B9u32.wrapping_mul(r as u32)), key[1].wrapping_add(0xBB67_AE85u32.wrapping_mul(r as u32))]
    })
}

/// The words of `LANES` blocks from `block` on; word `w` of block `i` is number `w * LANES + i`.
#[inline(always)]
fn words<S: Simd>(simd: S, seed: u64, block: u64) -> [u32; WORDS] {
    let keys = round_keys([seed as u32, (seed >> 32) as u32]);
    #[cfg(target_arch = "x86_64")]
    if simd.level().as_avx2().is_some() {
        // SAFETY: the level says that AVX2 is there.
        return unsafe { words_avx2(keys, block) };
    }
    let low = S::u64s::splat(simd, u32::MAX as u64);
    let (first, second) = (S::u64s::splat(simd, FIRST), S::u64s::splat(simd, SECOND));
    let mut all = [0; WORDS];
    // Two vectors at a time hide the products' latency; lanes of 64 bits hold 32, so that products come without shuffles.
    let n = S::u64s::LEN;
    for at in (0..LANES).step_by(2 * n) {
        let counter = |part: usize| {
            let place = S::u64s::from_fn(simd, |i| block.wrapping_add((at + part * n + i) as u64));
            [place & low, place >> 32, S::u64s::splat(simd, 0), S::u64s::splat(simd, 0)]
        };
        let mut both = [counter(0), counter(1)];
        for [k0, k1] in keys {
            let (k0, k1) = (S::u64s::splat(simd, k0 as u64), S::u64s::splat(simd, k1 as u64));
            for [a, b, c, d] in &mut both {
                let (p, q) = (*a * first, *c * second);
                (*a, *b, *c, *d) = ((q >> 32) ^ *b ^ k0, q & low, (p >> 32) ^ *d ^ k1, p & low);
            }
        }
        for (part, state) in both.iter().enumerate() {
            for (w, word) in state.iter().enumerate() {
                for (i, &x) in word.as_slice().iter().enumerate() {
                    all[w * LANES + at + part * n + i] = x as u32;
                }
            }
        }
    }
    all
}

/// As [`words`]. The instruction that multiplies 32 by 32 bits is worth intrinsics: through `u64s` the same product takes
/// three of them, and a group twice the time.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn words_avx2(keys: [[u32; 2]; 10], block: u64) -> [u32; WORDS] {
    use std::arch::x86_64::*;
    let (first, second) = (_mm256_set1_epi64x(FIRST as i64), _mm256_set1_epi64x(SECOND as i64));
    let mut all = [0u32; WORDS];
    // Two vectors of four counters at a time fill the registers.
    for at in (0..LANES).step_by(8) {
        let counter = |part: u64| {
            let start = _mm256_set1_epi64x(block.wrapping_add(at as u64 + 4 * part) as i64);
            let place = _mm256_add_epi64(start, _mm256_setr_epi64x(0, 1, 2, 3));
            [place, _mm256_srli_epi64::<32>(place), _mm256_setzero_si256(), _mm256_setzero_si256()]
        };
        let mut both = [counter(0), counter(1)];
        for [k0, k1] in keys {
            let (k0, k1) = (_mm256_set1_epi64x(k0 as i64), _mm256_set1_epi64x(k1 as i64));
            for [a, b, c, d] in &mut both {
                // Upper halves are left as they come: neither the product nor the end looks at them.
                let (p, q) = (_mm256_mul_epu32(*a, first), _mm256_mul_epu32(*c, second));
                *a = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64::<32>(q), *b), k0);
                *b = q;
                *c = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64::<32>(p), *d), k1);
                *d = p;
            }
        }
        let [low, high] = both;
        for w in 0..4 {
            // The lower halves of both vectors, in order.
            let picked = _mm256_shuffle_ps::<0b10_00_10_00>(_mm256_castsi256_ps(low[w]), _mm256_castsi256_ps(high[w]));
            let packed = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_castps_si256(picked));
            // SAFETY: eight words from `w * LANES + at` on.
            unsafe { _mm256_storeu_si256(all.as_mut_ptr().add(w * LANES + at).cast(), packed) };
        }
    }
    all
}

/// How words become values, V of them from each group.
trait Law<A, const V: usize>: Copy + Sync {
    fn values(&self, words: &[u32; WORDS]) -> [A; V];
}

/// Fills `n` elements of `dtype` (converted from A) and returns the blocks used.
unsafe fn fill<A: Element, const V: usize>(dtype: DType, stream: Stream, law: impl Law<A, V>, dst: *mut u8, n: usize) -> u64 {
    let groups = n.div_ceil(V);
    let width = dtype.size_bytes();
    let dst = Shared::new(dst);
    for_groups(groups, &|group| {
        let block = stream.offset.wrapping_add((group * LANES) as u64);
        let values = dispatch!(crate::level(), simd => law.values(&words(simd, stream.seed, block)));
        let len = V.min(n - group * V);
        // SAFETY: the elements of this group.
        unsafe { cast_row(A::DTYPE, values.as_ptr().cast(), dtype, dst.get().add(group * V * width), len) };
    });
    (groups * LANES) as u64
}

#[inline]
fn for_groups(groups: usize, body: &(impl Fn(usize) + Sync)) {
    let task = |task: usize| (task * TASK_GROUPS..(task * TASK_GROUPS + TASK_GROUPS).min(groups)).for_each(body);
    match groups.div_ceil(TASK_GROUPS) {
        0 => {}
        1 => task(0),
        tasks => par_for(tasks, &task),
    }
}

/// 64 bits from two words of a group.
#[inline(always)]
fn wide(words: &[u32; WORDS], i: usize) -> u64 {
    (words[i] as u64) << 32 | words[WORDS / 2 + i] as u64
}

/// A number in (0, 1] from 32 bits.
#[inline(always)]
fn open(word: u32) -> f32 {
    ((word >> 1) as i32 as f32 + 0.5) * (1.0 / (1u32 << 31) as f32)
}

/// A number in (0, 1] from 64 bits.
#[inline(always)]
fn open_wide(bits: u64) -> f64 {
    ((bits >> 11) as f64 + 0.5) * (1.0 / (1u64 << 53) as f64)
}

/// The natural logarithm of a normal number in (0, 1]; relative error below 1.5e-7.
#[inline(always)]
fn ln(x: f32) -> f32 {
    // x = m · 2^e with m in [√½, √2), where the polynomial (fitted to (ln(1 + f) - f + f²/2) / f³) holds.
    let bits = x.to_bits().wrapping_sub(0x3f35_04f3);
    let e = (bits as i32 >> 23) as f32;
    let f = f32::from_bits((bits & 0x007f_ffff).wrapping_add(0x3f35_04f3)) - 1.0;
    let coefficients = [0.07149754, -0.11571201, 0.11661511, -0.124110505, 0.14249937, -0.1666848, 0.20000708, -0.2499999, 0.333_333_3];
    let p = coefficients.iter().fold(0f32, |p, c| p * f + c);
    let square = f * f;
    e * std::f32::consts::LN_2 + (f - 0.5 * square + square * f * p)
}

/// Cosine and sine of `turns` full turns, in [0, 1); error below 2e-7.
#[inline(always)]
fn circle(turns: f32) -> (f32, f32) {
    let quarter = (turns * 4.0 + 0.5) as i32;
    let t = turns - quarter as f32 * 0.25;
    let z = t * t;
    let sin = t * [41.455242, -76.69725, 81.605194, -41.3417, 6.2831855].iter().fold(0f32, |p, c| p * z + c);
    let cos = [59.220287, -85.44285, 64.939316, -19.739208, 1.0].iter().fold(0f32, |p, c| p * z + c);
    let (x, y) = if quarter & 1 == 0 { (cos, sin) } else { (sin, cos) };
    (if (quarter + 1) & 2 == 0 { x } else { -x }, if quarter & 2 == 0 { y } else { -y })
}

#[derive(Clone, Copy)]
struct Uniform<F> {
    bits: u32,
    low: F,
    width: F,
    /// The largest value below the upper end, which rounding must not reach.
    last: F,
}

impl Law<f32, WORDS> for Uniform<f32> {
    #[inline(always)]
    fn values(&self, words: &[u32; WORDS]) -> [f32; WORDS] {
        let unit = 1.0 / (1u32 << self.bits) as f32;
        let mut out = [0f32; WORDS];
        for (x, &w) in out.iter_mut().zip(words) {
            let value = (w >> (32 - self.bits)) as i32 as f32 * unit * self.width + self.low;
            *x = if value < self.last { value } else { self.last };
        }
        out
    }
}

impl Law<f64, { WORDS / 2 }> for Uniform<f64> {
    #[inline(always)]
    fn values(&self, words: &[u32; WORDS]) -> [f64; WORDS / 2] {
        let unit = 1.0 / (1u64 << 53) as f64;
        let mut out = [0f64; WORDS / 2];
        for (i, x) in out.iter_mut().enumerate() {
            *x = ((wide(words, i) >> 11) as f64 * unit * self.width + self.low).min(self.last);
        }
        out
    }
}

/// Uniform in [low, high): 24 random bits for float32, 53 for float64, 11 and 8 for float16 and bfloat16. If `high == low`
/// every value is `low`.
///
/// # Safety
/// `dst` has room for `n` elements of the floating dtype.
pub unsafe fn uniform(dtype: DType, stream: Stream, low: f64, high: f64, dst: *mut u8, n: usize) -> u64 {
    let bits = match dtype {
        DType::F16 => f16::MANTISSA_DIGITS,
        DType::BF16 => bf16::MANTISSA_DIGITS,
        _ => 24,
    };
    // SAFETY: the caller's promise.
    unsafe {
        if dtype == DType::F64 {
            let last = if high > low { high.next_down() } else { low };
            return fill(dtype, stream, Uniform { bits, low, width: high - low, last }, dst, n);
        }
        let (low, high) = (low as f32, high as f32);
        let below = match dtype {
            DType::F16 => f16::from_bits(before(f16::from_f32(high).to_bits())).to_f32(),
            DType::BF16 => bf16::from_bits(before(bf16::from_f32(high).to_bits())).to_f32(),
            _ => high.next_down(),
        };
        fill(dtype, stream, Uniform { bits, low, width: high - low, last: if high > low { below.max(low) } else { low } }, dst, n)
    }
}

/// The bits of the next lower number of a 16-bit float.
fn before(bits: u16) -> u16 {
    match bits {
        0 | 0x8000 => 0x8001,
        b if b & 0x8000 == 0 => b - 1,
        b => b + 1,
    }
}

#[derive(Clone, Copy)]
struct Normal<F> {
    mean: F,
    std: F,
}

impl Law<f32, WORDS> for Normal<f32> {
    #[inline(always)]
    fn values(&self, words: &[u32; WORDS]) -> [f32; WORDS] {
        let mut out = [0f32; WORDS];
        let (cosines, sines) = out.split_at_mut(WORDS / 2);
        for i in 0..WORDS / 2 {
            // Box and Muller; 31 bits reach 6.6 standard deviations.
            let square = -2.0 * ln(open(words[i]));
            let radius = if square > 0.0 { square } else { 0.0 }.sqrt() * self.std;
            let (x, y) = circle((words[WORDS / 2 + i] >> 8) as i32 as f32 * (1.0 / (1 << 24) as f32));
            cosines[i] = radius * x + self.mean;
            sines[i] = radius * y + self.mean;
        }
        out
    }
}

impl Law<f64, { WORDS / 2 }> for Normal<f64> {
    #[inline(always)]
    fn values(&self, words: &[u32; WORDS]) -> [f64; WORDS / 2] {
        let mut out = [0f64; WORDS / 2];
        for i in 0..WORDS / 4 {
            let radius = (-2.0 * open_wide(wide(words, i)).ln()).sqrt() * self.std;
            let turns = (wide(words, WORDS / 4 + i) >> 11) as f64 * (1.0 / (1u64 << 53) as f64);
            let (y, x) = (turns * std::f64::consts::TAU).sin_cos();
            out[i] = radius * x + self.mean;
            out[WORDS / 4 + i] = radius * y + self.mean;
        }
        out
    }
}

/// Normal with that mean and standard deviation.
///
/// # Safety
/// As for [`uniform`].
pub unsafe fn normal(dtype: DType, stream: Stream, mean: f64, std: f64, dst: *mut u8, n: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        match dtype {
            DType::F64 => fill(dtype, stream, Normal { mean, std }, dst, n),
            _ => fill(dtype, stream, Normal { mean: mean as f32, std: std as f32 }, dst, n),
        }
    }
}

#[derive(Clone, Copy)]
struct Exponential<F>(F);

impl Law<f32, WORDS> for Exponential<f32> {
    #[inline(always)]
    fn values(&self, words: &[u32; WORDS]) -> [f32; WORDS] {
        // Never 0: quotients by these numbers are taken.
        let mut out = [0f32; WORDS];
        for (x, &w) in out.iter_mut().zip(words) {
            let value = -ln(open(w));
            *x = if value > f32::EPSILON / 2.0 { value } else { f32::EPSILON / 2.0 } / self.0;
        }
        out
    }
}

impl Law<f64, { WORDS / 2 }> for Exponential<f64> {
    #[inline(always)]
    fn values(&self, words: &[u32; WORDS]) -> [f64; WORDS / 2] {
        let mut out = [0f64; WORDS / 2];
        for (i, x) in out.iter_mut().enumerate() {
            *x = (-open_wide(wide(words, i)).ln()).max(f64::EPSILON / 2.0) / self.0;
        }
        out
    }
}

/// Exponential with that rate, never 0.
///
/// # Safety
/// As for [`uniform`].
pub unsafe fn exponential(dtype: DType, stream: Stream, rate: f64, dst: *mut u8, n: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        match dtype {
            DType::F64 => fill(dtype, stream, Exponential(rate), dst, n),
            _ => fill(dtype, stream, Exponential(rate as f32), dst, n),
        }
    }
}

#[derive(Clone, Copy)]
struct Narrow {
    low: i64,
    span: u32,
}

impl Law<i64, WORDS> for Narrow {
    #[inline(always)]
    fn values(&self, words: &[u32; WORDS]) -> [i64; WORDS] {
        let mut out = [0i64; WORDS];
        for (x, &w) in out.iter_mut().zip(words) {
            *x = self.low.wrapping_add(((w as u64 * self.span as u64) >> 32) as i64);
        }
        out
    }
}

#[derive(Clone, Copy)]
struct Broad {
    low: i64,
    /// 0 stands for 2^64.
    span: u64,
}

impl Law<i64, { WORDS / 2 }> for Broad {
    #[inline(always)]
    fn values(&self, words: &[u32; WORDS]) -> [i64; WORDS / 2] {
        let mut out = [0i64; WORDS / 2];
        for (i, x) in out.iter_mut().enumerate() {
            let bits = wide(words, i);
            let value = if self.span == 0 { bits } else { ((bits as u128 * self.span as u128) >> 64) as u64 };
            *x = self.low.wrapping_add(value as i64);
        }
        out
    }
}

/// Integers in `low .. low + span`, any dtype (converted from int64); a `span` of 0 stands for 2^64. A value's probability is
/// off by at most 2^-16 of itself.
///
/// # Safety
/// `dst` has room for `n` elements.
pub unsafe fn integers(dtype: DType, stream: Stream, low: i64, span: u64, dst: *mut u8, n: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe {
        match span {
            1..=0x1_0000 => fill(dtype, stream, Narrow { low, span: span as u32 }, dst, n),
            _ => fill(dtype, stream, Broad { low, span }, dst, n),
        }
    }
}

/// Words that count as true for probability `p`: those below it. None: not one.
fn threshold(p: f64) -> Option<u32> {
    let below = (p * 4294967296.0).round().clamp(0.0, 4294967296.0) as u64;
    below.checked_sub(1).map(|last| last as u32)
}

#[derive(Clone, Copy)]
struct Bernoulli(Option<u32>);

impl Law<u8, WORDS> for Bernoulli {
    #[inline(always)]
    fn values(&self, words: &[u32; WORDS]) -> [u8; WORDS] {
        let mut out = [0; WORDS];
        if let Some(last) = self.0 {
            for (x, &w) in out.iter_mut().zip(words) {
                *x = (w <= last) as u8;
            }
        }
        out
    }
}

/// 1 with probability `p`, else 0, in any dtype.
///
/// # Safety
/// `dst` has room for `n` elements.
pub unsafe fn bernoulli(dtype: DType, stream: Stream, p: f64, dst: *mut u8, n: usize) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { fill(dtype, stream, Bernoulli(threshold(p)), dst, n) }
}

/// 1 with each element's own probability from the contiguous floating `p`.
///
/// # Safety
/// `p` holds and `dst` has room for `n` elements; `dst` may be `p` exactly.
pub unsafe fn bernoulli_each(dtype: DType, stream: Stream, p_dtype: DType, p: *const u8, dst: *mut u8, n: usize) -> u64 {
    let groups = n.div_ceil(WORDS);
    let (p, dst) = (Shared::read_only(p), Shared::new(dst));
    for_groups(groups, &|group| {
        let block = stream.offset.wrapping_add((group * LANES) as u64);
        let words = dispatch!(crate::level(), simd => words(simd, stream.seed, block));
        let (first, len) = (group * WORDS, WORDS.min(n - group * WORDS));
        let (mut chances, mut values) = ([0f64; WORDS], [0u8; WORDS]);
        // SAFETY: the elements of this group.
        unsafe {
            cast_row(p_dtype, p.get().add(first * p_dtype.size_bytes()), DType::F64, chances.as_mut_ptr().cast(), len);
            for i in 0..len {
                values[i] = ((words[i] as f64) < chances[i] * 4294967296.0) as u8;
            }
            cast_row(DType::U8, values.as_ptr(), dtype, dst.get().add(first * dtype.size_bytes()), len);
        }
    });
    (groups * LANES) as u64
}

/// `dst = keep ? src / (1 - p) : 0`, each element kept with probability `1 - p`; `mask`, if wanted, gets the choice as 0 or
/// 1. The same stream gives the same choice, so this is its own backward: apply it to the gradient and keep no mask.
///
/// # Safety
/// `src` holds and `dst` and `mask` have room for `n` elements of the floating dtype (mask: bytes); `dst` may be `src` exactly.
pub unsafe fn dropout(dtype: DType, stream: Stream, p: f64, src: *const u8, dst: *mut u8, mask: Option<*mut u8>, n: usize) -> u64 {
    let groups = n.div_ceil(WORDS);
    let last = threshold(1.0 - p);
    let scale = if p < 1.0 { 1.0 / (1.0 - p) } else { 0.0 };
    let width = dtype.size_bytes();
    let (src, dst, mask) = (Shared::read_only(src), Shared::new(dst), mask.map(Shared::new));
    for_groups(groups, &|group| {
        let block = stream.offset.wrapping_add((group * LANES) as u64);
        let (first, len) = (group * WORDS, WORDS.min(n - group * WORDS));
        let (from, to) = (src.get().wrapping_add(first * width), dst.get().wrapping_add(first * width));
        // SAFETY: the elements of this group; buffers hold a group.
        unsafe {
            let keep = dispatch!(crate::level(), simd => {
                let keep = Bernoulli(last).values(&words(simd, stream.seed, block));
                if dtype == DType::F32 && len == WORDS {
                    let (from, to) = (from.cast::<f32>(), to.cast::<f32>());
                    // The quotient of 1 by 1 - p in float32, as PyTorch divides its mask.
                    let scale = if p < 1.0 { 1.0 / (1.0 - p) as f32 } else { 0.0 };
                    for (i, &keep) in keep.iter().enumerate() {
                        let x = from.add(i).read() * scale;
                        to.add(i).write(if keep != 0 { x } else { 0.0 });
                    }
                }
                keep
            });
            if let Some(mask) = mask {
                std::ptr::copy_nonoverlapping(keep.as_ptr(), mask.get().add(first), len);
            }
            if dtype == DType::F64 {
                for (i, &keep) in keep[..len].iter().enumerate() {
                    let x = from.cast::<f64>().add(i).read() * scale;
                    to.cast::<f64>().add(i).write(if keep != 0 { x } else { 0.0 });
                }
            } else if dtype != DType::F32 || len < WORDS {
                let mut block = [0f32; WORDS];
                let scale = if p < 1.0 { 1.0 / (1.0 - p) as f32 } else { 0.0 };
                cast_row(dtype, from, DType::F32, block.as_mut_ptr().cast(), len);
                for (x, &keep) in block.iter_mut().zip(&keep) {
                    *x = if keep != 0 { *x * scale } else { 0.0 };
                }
                cast_row(DType::F32, block.as_ptr().cast(), dtype, to, len);
            }
        }
    });
    (groups * LANES) as u64
}

/// Words one after another, for serial draws.
struct Words {
    stream: Stream,
    group: u64,
    next: usize,
    words: [u32; WORDS],
}

impl Words {
    fn new(stream: Stream) -> Words {
        Words { stream, group: 0, next: WORDS, words: [0; WORDS] }
    }

    /// 64 bits.
    fn wide(&mut self) -> u64 {
        if self.next == WORDS {
            let block = self.stream.offset.wrapping_add(self.group * LANES as u64);
            self.words = dispatch!(crate::level(), simd => words(simd, self.stream.seed, block));
            (self.group, self.next) = (self.group + 1, 0);
        }
        self.next += 2;
        (self.words[self.next - 2] as u64) << 32 | self.words[self.next - 1] as u64
    }

    /// A number in `0 .. span`.
    fn below(&mut self, span: usize) -> usize {
        ((self.wide() as u128 * span as u128) >> 64) as usize
    }

    fn used(&self) -> u64 {
        self.group * LANES as u64
    }
}

/// A permutation of `0 .. n` (Fisher and Yates).
///
/// # Safety
/// `dst` has room for `n` numbers.
pub unsafe fn randperm(stream: Stream, dst: *mut i64, n: usize) -> u64 {
    let mut words = Words::new(stream);
    // SAFETY: places below `n`.
    unsafe {
        (0..n).for_each(|i| dst.add(i).write(i as i64));
        for i in 0..n.saturating_sub(1) {
            let other = i + words.below(n - i);
            std::ptr::swap(dst.add(i), dst.add(other));
        }
    }
    words.used()
}

/// Why a row of weights gives no sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadWeights {
    /// An infinite, NaN or negative weight.
    NotAWeight,
    /// All are 0.
    NoWeight,
    /// Fewer positive weights than samples without replacement.
    TooFew,
}

impl BadWeights {
    /// PyTorch's words for it.
    pub fn text(self) -> &'static str {
        match self {
            BadWeights::NotAWeight => "probability tensor contains either `inf`, `nan` or element < 0",
            BadWeights::NoWeight => "invalid multinomial distribution (sum of probabilities <= 0)",
            BadWeights::TooFew => "invalid multinomial distribution (with replacement=False, not enough non-negative category to sample)",
        }
    }
}

/// Draws `samples` categories for each of `rows` contiguous rows of `categories` weights (floating dtype, any scale), with or
/// without replacement; without, in the order drawn.
///
/// # Safety
/// `weights` holds `rows x categories` elements, `dst` has room for `rows x samples`.
pub unsafe fn multinomial(
    dtype: DType,
    stream: Stream,
    weights: *const u8,
    rows: usize,
    categories: usize,
    samples: usize,
    replacement: bool,
    dst: *mut i64,
) -> Result<u64, BadWeights> {
    let mut words = Words::new(stream);
    // Without rows there may be any number of categories.
    let mut row = vec![0f64; if rows == 0 { 0 } else { categories }];
    for r in 0..rows {
        // SAFETY: the caller's promise.
        let out = unsafe {
            cast_row(dtype, weights.add(r * categories * dtype.size_bytes()), DType::F64, row.as_mut_ptr().cast(), categories);
            dst.add(r * samples)
        };
        if row.iter().any(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(BadWeights::NotAWeight);
        }
        let total: f64 = row.iter().sum();
        if total <= 0.0 {
            return Err(BadWeights::NoWeight);
        }
        if replacement {
            // Scaled first: sums of the largest weights stay finite.
            let largest = row.iter().fold(0f64, |a, &b| a.max(b));
            let mut sum = 0.0;
            row.iter_mut().for_each(|w| {
                sum += *w / largest;
                *w = sum;
            });
            for i in 0..samples {
                let at = (words.wide() >> 11) as f64 * (1.0 / (1u64 << 53) as f64) * sum;
                // The first category whose sum exceeds `at` has a positive weight.
                let place = row.partition_point(|&s| s <= at).min(row.partition_point(|&s| s < sum));
                // SAFETY: sample `i` of this row.
                unsafe { out.add(i).write(place as i64) };
            }
        } else {
            if row.iter().filter(|&&w| w > 0.0).count() < samples {
                return Err(BadWeights::TooFew);
            }
            // The race of exponential clocks (Efraimidis and Spirakis 2006): the smallest times, in order, are the draws.
            let mut times: Vec<(f64, usize)> = row
                .iter()
                .enumerate()
                .map(|(i, &w)| {
                    let time = -open_wide(words.wide()).ln();
                    (if w > 0.0 { time / w } else { f64::INFINITY }, i)
                })
                .collect();
            if samples > 0 && samples < categories {
                times.select_nth_unstable_by(samples - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            }
            times.truncate(samples);
            times.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            for (i, &(_, category)) in times.iter().enumerate() {
                // SAFETY: sample `i` of this row.
                unsafe { out.add(i).write(category as i64) };
            }
        }
    }
    Ok(words.used())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: Stream = Stream { seed: 42, offset: 0 };

    fn f32s(n: usize, fill: impl Fn(*mut u8) -> u64) -> Vec<f32> {
        let mut x = vec![f32::NAN; n];
        fill(x.as_mut_ptr().cast());
        x
    }

    fn f64s(n: usize, fill: impl Fn(*mut u8) -> u64) -> Vec<f64> {
        let mut x = vec![f64::NAN; n];
        fill(x.as_mut_ptr().cast());
        x
    }

    fn moments(x: &[f64]) -> (f64, f64) {
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        (mean, x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64)
    }

    /// The largest distance between the sample's distribution and `cdf`, times √n (Kolmogorov and Smirnov): above 1.95 once
    /// in a thousand.
    fn distance(x: &[f64], cdf: impl Fn(f64) -> f64) -> f64 {
        let mut sorted = x.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = x.len() as f64;
        let far = sorted.iter().enumerate().map(|(i, &v)| (cdf(v) - i as f64 / n).abs().max((cdf(v) - (i + 1) as f64 / n).abs()));
        far.fold(0.0, f64::max) * n.sqrt()
    }

    /// Abramowitz and Stegun 7.1.26 is too coarse here: integrate instead.
    fn normal_cdf(x: f64) -> f64 {
        let steps = 200;
        let h = x / steps as f64;
        let density = |t: f64| (-t * t / 2.0).exp() / std::f64::consts::TAU.sqrt();
        let inner: f64 = (1..steps).map(|i| density(i as f64 * h) * if i % 2 == 1 { 4.0 } else { 2.0 }).sum();
        0.5 + h / 3.0 * (density(0.0) + inner + density(x))
    }

    #[test]
    fn philox_gives_the_papers_numbers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
        let pi = philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]);
        assert_eq!(pi, [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
        let group = dispatch!(crate::level(), simd => words(simd, 0xabcd_ef01_2345_6789, u32::MAX as u64 - 3));
        for i in 0..LANES {
            let block = u32::MAX as u64 - 3 + i as u64;
            let one = philox([block as u32, (block >> 32) as u32, 0, 0], [0x2345_6789, 0xabcd_ef01]);
            assert_eq!(one, std::array::from_fn(|w| group[w * LANES + i]));
        }
    }

    #[test]
    fn values_depend_on_the_place_alone() {
        let n = 3 * TASK_GROUPS * WORDS + 17;
        // SAFETY: `n` elements, as many as each vector holds.
        unsafe {
            let whole = f32s(n, |p| normal(DType::F32, STREAM, 0.0, 1.0, p, n));
            let few = f32s(100, |p| normal(DType::F32, STREAM, 0.0, 1.0, p, 100));
            assert_eq!(whole[..100], few);
            let later = Stream { offset: 5 * LANES as u64, ..STREAM };
            let tail = f32s(1000, |p| normal(DType::F32, later, 0.0, 1.0, p, 1000));
            assert_eq!(whole[5 * WORDS..5 * WORDS + 1000], tail);
            assert_ne!(f32s(9, |p| normal(DType::F32, Stream { seed: 43, offset: 0 }, 0.0, 1.0, p, 9)), few[..9]);
        }
    }

    #[test]
    fn advances_cover_what_was_used() {
        let mut x = vec![0f64; 200];
        let p = x.as_mut_ptr().cast();
        // SAFETY: at most 200 elements of 8 bytes.
        unsafe {
            for (n, single, double) in [(0, 0, 0), (1, 16, 16), (32, 16, 16), (33, 16, 32), (64, 16, 32), (65, 32, 48)] {
                assert_eq!(uniform(DType::F32, STREAM, 0.0, 1.0, p, n), single);
                assert_eq!(uniform(DType::F64, STREAM, 0.0, 1.0, p, n), double);
                assert_eq!(bernoulli(DType::Bool, STREAM, 0.5, p, n), single);
            }
        }
    }

    #[test]
    fn uniforms_fill_their_range_evenly() {
        let n = 100_000;
        // SAFETY: `n` elements.
        let (single, double) = unsafe {
            let single = f32s(n, |p| uniform(DType::F32, STREAM, -2.0, 3.0, p, n));
            (single, f64s(n, |p| uniform(DType::F64, STREAM, 0.0, 1.0, p, n)))
        };
        let single: Vec<f64> = single.iter().map(|&x| x as f64).collect();
        assert!(single.iter().all(|x| (-2.0..3.0).contains(x)) && double.iter().all(|x| (0.0..1.0).contains(x)));
        assert!(distance(&single, |x| (x + 2.0) / 5.0) < 1.6 && distance(&double, |x| x) < 1.6);
        let (mean, variance) = moments(&double);
        assert!((mean - 0.5).abs() < 0.004 && (variance - 1.0 / 12.0).abs() < 0.002);
        // Chi square over 100 cells: 99 ± 14.
        let mut cells = [0f64; 100];
        double.iter().for_each(|x| cells[(x * 100.0) as usize] += 1.0);
        let chi: f64 = cells.iter().map(|c| (c - n as f64 / 100.0).powi(2) / (n as f64 / 100.0)).sum();
        assert!((60.0..145.0).contains(&chi), "{chi}");
    }

    #[test]
    fn uniforms_of_half_precision_never_reach_the_end() {
        let n = 20_000;
        let mut x = vec![0u16; n];
        // SAFETY: `n` elements of two bytes.
        unsafe {
            uniform(DType::BF16, STREAM, 0.0, 1.0, x.as_mut_ptr().cast(), n);
            assert!(x.iter().all(|&b| bf16::from_bits(b).to_f32() < 1.0));
            uniform(DType::F16, STREAM, 5.0, 6.0, x.as_mut_ptr().cast(), n);
            assert!(x.iter().all(|&b| (5.0..6.0).contains(&f16::from_bits(b).to_f32())));
            uniform(DType::F16, STREAM, 2.0, 2.0, x.as_mut_ptr().cast(), n);
            assert!(x.iter().all(|&b| f16::from_bits(b).to_f32() == 2.0));
        }
    }

    #[test]
    fn normals_have_their_shape() {
        let n = 200_000;
        // SAFETY: `n` elements.
        let (single, double) = unsafe {
            let single = f32s(n, |p| normal(DType::F32, STREAM, 3.0, 2.0, p, n));
            (single, f64s(n, |p| normal(DType::F64, STREAM, 0.0, 1.0, p, n)))
        };
        let single: Vec<f64> = single.iter().map(|&x| (x as f64 - 3.0) / 2.0).collect();
        for x in [&single, &double] {
            let (mean, variance) = moments(x);
            assert!(mean.abs() < 0.008 && (variance - 1.0).abs() < 0.01, "{mean} {variance}");
            assert!(distance(x, normal_cdf) < 1.6);
            let fourth = x.iter().map(|v| v.powi(4)).sum::<f64>() / n as f64;
            assert!((fourth - 3.0).abs() < 0.12, "{fourth}");
            let neighbours = x.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / n as f64;
            let pairs = (0..n - 32).map(|i| x[i] * x[i + 32]).sum::<f64>() / n as f64;
            assert!(neighbours.abs() < 0.01 && pairs.abs() < 0.01);
        }
    }

    #[test]
    fn logarithm_and_circle_meet_their_stated_errors() {
        for i in 1..200_000 {
            let x = i as f32 / 200_000.0;
            let error = (ln(x) as f64 - (x as f64).ln()).abs() / (x as f64).ln().abs();
            assert!(error < 1.5e-7, "{x} {error}");
            let (c, s) = circle(x);
            let angle = x as f64 * std::f64::consts::TAU;
            assert!((c as f64 - angle.cos()).abs() < 2e-7 && (s as f64 - angle.sin()).abs() < 2e-7, "{x}");
        }
        assert_eq!((ln(1.0), circle(0.0), circle(0.5).0), (0.0, (1.0, 0.0), -1.0));
        assert!((ln(f32::MIN_POSITIVE) + 87.336_55).abs() < 1e-5);
    }

    #[test]
    fn exponentials_decay_at_their_rate_and_are_positive() {
        let n = 100_000;
        // SAFETY: `n` elements.
        let x = unsafe { f32s(n, |p| exponential(DType::F32, STREAM, 2.0, p, n)) };
        let x: Vec<f64> = x.iter().map(|&x| x as f64).collect();
        assert!(x.iter().all(|&x| x > 0.0) && distance(&x, |t| 1.0 - (-2.0 * t).exp()) < 1.6);
    }

    #[test]
    fn integers_cover_their_range() {
        let n = 60_000;
        let mut x = vec![0i64; n];
        let p: *mut u8 = x.as_mut_ptr().cast();
        // SAFETY: `n` elements of at most eight bytes.
        unsafe {
            integers(DType::I64, STREAM, -2, 6, p, n);
            for value in -2..4 {
                let count = x.iter().filter(|&&v| v == value).count() as f64;
                assert!((count - 10_000.0).abs() < 400.0);
            }
            integers(DType::I64, STREAM, 5, 1 << 40, p, n);
            assert!(x.iter().all(|&v| (5..5 + (1 << 40)).contains(&v)) && x.iter().any(|&v| v > 1 << 39));
            integers(DType::I64, STREAM, i64::MIN, 0, p, n);
            assert!(x.iter().any(|&v| v < 0) && x.iter().any(|&v| v > 1 << 62));
            let mut bytes = vec![0u8; n];
            integers(DType::U8, STREAM, 0, 256, bytes.as_mut_ptr(), n);
            assert!((0..=255).all(|v| bytes.contains(&v)));
        }
    }

    #[test]
    fn coins_fall_as_often_as_asked() {
        let n = 100_000;
        let mut x = vec![9u8; n];
        // SAFETY: `n` bytes.
        unsafe {
            for p in [0.0, 0.3, 1.0] {
                bernoulli(DType::Bool, STREAM, p, x.as_mut_ptr(), n);
                let share = x.iter().map(|&b| b as f64).sum::<f64>() / n as f64;
                assert!((share - p).abs() < 0.006 && (p % 1.0 != 0.0 || share == p));
            }
            let chances: Vec<f32> = (0..n).map(|i| [0.0, 1.0, 0.25][i % 3]).collect();
            bernoulli_each(DType::U8, STREAM, DType::F32, chances.as_ptr().cast(), x.as_mut_ptr(), n);
            assert!((0..n).all(|i| i % 3 == 2 || x[i] == (i % 3) as u8));
            let share = (2..n).step_by(3).map(|i| x[i] as f64).sum::<f64>() / (n / 3) as f64;
            assert!((share - 0.25).abs() < 0.01);
        }
    }

    #[test]
    fn dropout_scales_what_it_keeps_and_repeats_its_choice() {
        for (dtype, width) in [(DType::F32, 4), (DType::F64, 8), (DType::BF16, 2)] {
            let n = 1000;
            let (mut x, mut y, mut mask) = (vec![0u8; n * width], vec![1u8; n * width], vec![9u8; n]);
            // SAFETY: `n` elements each.
            let (values, results, again) = unsafe {
                normal(dtype, STREAM, 4.0, 1.0, x.as_mut_ptr(), n);
                dropout(dtype, STREAM, 0.25, x.as_ptr(), y.as_mut_ptr(), Some(mask.as_mut_ptr()), n);
                let read = |bytes: &[u8]| {
                    f64s(n, |p| {
                        cast_row(dtype, bytes.as_ptr(), DType::F64, p, n);
                        0
                    })
                };
                let (values, results) = (read(&x), read(&y));
                let p = x.as_mut_ptr();
                dropout(dtype, STREAM, 0.25, p, p, None, n);
                (values, results, read(&x))
            };
            assert_eq!(results, again);
            let kept = mask.iter().filter(|&&m| m == 1).count();
            assert!((700..800).contains(&kept) && mask.iter().all(|&m| m <= 1));
            for i in 0..n {
                let expected = if mask[i] == 1 { values[i] / 0.75 } else { 0.0 };
                assert!((results[i] - expected).abs() <= expected.abs() * 0.005);
            }
        }
        let (x, mut y) = ([1f32, f32::NAN, 2.0], [5f32; 3]);
        // SAFETY: three elements.
        unsafe { dropout(DType::F32, STREAM, 1.0, x.as_ptr().cast(), y.as_mut_ptr().cast(), None, 3) };
        assert_eq!(y, [0.0; 3]);
        // SAFETY: as above.
        unsafe { dropout(DType::F32, STREAM, 0.0, x.as_ptr().cast(), y.as_mut_ptr().cast(), None, 3) };
        assert!(y[0] == 1.0 && y[1].is_nan() && y[2] == 2.0);
    }

    #[test]
    fn permutations_hold_every_number_once_and_are_even() {
        for n in [0, 1, 2, 1000] {
            let mut x = vec![-1i64; n];
            // SAFETY: `n` places.
            unsafe { randperm(STREAM, x.as_mut_ptr(), n) };
            x.sort_unstable();
            assert!(x.iter().enumerate().all(|(i, &v)| i as i64 == v));
        }
        let mut counts = [0; 6];
        for offset in 0..6000u64 {
            let mut x = [0i64; 3];
            // SAFETY: three places.
            unsafe { randperm(Stream { seed: 1, offset: offset * 16 }, x.as_mut_ptr(), 3) };
            counts[(x[0] * 2 + (x[1] > x[2]) as i64) as usize] += 1;
        }
        assert!(counts.iter().all(|c| (880..1120).contains(c)), "{counts:?}");
    }

    #[test]
    fn multinomial_draws_by_weight_and_refuses_bad_weights() {
        let draw = |weights: &[f32], samples: usize, replacement: bool, seed: u64| {
            let mut out = vec![-1i64; samples];
            // SAFETY: one row.
            let result = unsafe {
                let stream = Stream { seed, offset: 0 };
                multinomial(DType::F32, stream, weights.as_ptr().cast(), 1, weights.len(), samples, replacement, out.as_mut_ptr())
            };
            result.map(|_| out)
        };
        let x = draw(&[1.0, 0.0, 3.0, 0.0], 40_000, true, 7).unwrap();
        let twos = x.iter().filter(|&&c| c == 2).count();
        assert!((29_500..30_500).contains(&twos) && x.iter().all(|&c| c == 0 || c == 2));
        let mut first = [0; 3];
        for seed in 0..8000 {
            let mut x = draw(&[1.0, 2.0, 5.0], 3, false, seed).unwrap();
            first[x[0] as usize] += 1;
            x.sort_unstable();
            assert_eq!(x, [0, 1, 2]);
        }
        assert!((first[0] - 1000i32).abs() < 120 && (first[2] - 5000i32).abs() < 180, "{first:?}");
        assert_eq!(draw(&[1.0, -1.0], 1, true, 1), Err(BadWeights::NotAWeight));
        assert_eq!(draw(&[1.0, f32::NAN], 1, true, 1), Err(BadWeights::NotAWeight));
        assert_eq!(draw(&[0.0, 0.0], 1, true, 1), Err(BadWeights::NoWeight));
        assert_eq!(draw(&[1.0, 0.0], 2, false, 1), Err(BadWeights::TooFew));
    }
}
