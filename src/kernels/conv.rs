//! Convolutions over one to three spatial dimensions: forward, with respect to the input (also the transposed convolution), to the
//! weights and to the bias.
//!
//! Nothing is unfolded: a block of the image is copied once with its padding, its columns sorted by stride phase, so that every tap of
//! every output vector is one contiguous load at a tabulated offset, and the micro-kernels of `gemm` multiply from there.
//! Work is divided by size only, so bits do not depend on the number of threads. f16 and bf16 are computed in f32 and rounded once.
//! Error of an output that sums k products: |error| <= (k + 3) u Σ|products|, u the unit roundoff of the computing type.

#![allow(clippy::needless_range_loop, reason = "rows and vectors of a tile are indices of several arrays")]

mod correlate;
mod stencil;
mod weights;

use crate::gemm::tile::{Machine, Real, Task, run};
use crate::gemm::{Element, Half, Scratch, Shared};
use crate::memory::{Dst, Src};
use crate::parallel::par_for;
use correlate::{Correlation, Pack};
use fearless_simd::Level;
use half::{bf16, f16};
use stencil::{Format, Stencil};
use weights::WeightGradient;

/// The sizes of a convolution; spatial ones as (depth, height, width), 1 where there are fewer dimensions.
///
/// Layouts, all contiguous: input (batch, in_channels, *input), weight (out_channels, in_channels / groups, *kernel), output (batch,
/// out_channels, *output). Output o sees inputs o · stride + k · dilation - padding; what lies outside of the input is 0, so that
/// `padding` counts at the low end and `output` settles the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    pub batch: usize,
    pub in_channels: usize,
    pub out_channels: usize,
    /// Divides both numbers of channels.
    pub groups: usize,
    pub input: [usize; 3],
    pub kernel: [usize; 3],
    /// At least 1.
    pub stride: [usize; 3],
    pub padding: [usize; 3],
    /// At least 1.
    pub dilation: [usize; 3],
    pub output: [usize; 3],
}

impl ConvShape {
    fn input_len(&self) -> usize {
        self.input.iter().product()
    }
    fn output_len(&self) -> usize {
        self.output.iter().product()
    }
    fn kernel_len(&self) -> usize {
        self.kernel.iter().product()
    }
    fn check(&self) {
        assert!(
            self.groups > 0 && self.in_channels.is_multiple_of(self.groups) && self.out_channels.is_multiple_of(self.groups),
            "conv: groups do not divide"
        );
        assert!(self.stride.iter().chain(&self.dilation).all(|&step| step > 0), "conv: a stride or dilation is 0");
    }
    fn in_group(&self) -> usize {
        self.in_channels / self.groups
    }
    fn out_group(&self) -> usize {
        self.out_channels / self.groups
    }
    fn taps(&self) -> impl Iterator<Item = [usize; 3]> {
        let [depth, height, width] = self.kernel;
        (0..depth * height * width).map(move |at| [at / (height * width), at / width % height, at % width])
    }
    /// The stencil through which an output sees the input.
    fn stencil(&self) -> Stencil {
        let place = |tap: [usize; 3]| std::array::from_fn(|d| (tap[d] * self.dilation[d]) as isize - self.padding[d] as isize);
        Stencil::new(self.in_group(), self.input, self.taps().map(place).collect(), self.stride, self.output)
    }
}

/// A dtype that has convolutions.
#[allow(private_bounds, private_interfaces, reason = "sealed")]
pub trait ConvElement: Element {
    type Real: Real;
    /// Whether elements are of the computing type.
    const DIRECT: bool;
    fn widen(self) -> Self::Real;
    fn narrow(value: Self::Real) -> Self;
}
macro_rules! conv_elements {
    ($($type:ty, $real:ty, $direct:literal, $widen:expr, $narrow:expr;)*) => {$(
        #[allow(private_interfaces, reason = "sealed")]
        impl ConvElement for $type {
            type Real = $real;
            const DIRECT: bool = $direct;
            #[inline(always)]
            fn widen(self) -> $real { $widen(self) }
            #[inline(always)]
            fn narrow(value: $real) -> $type { $narrow(value) }
        }
    )*};
}
conv_elements! {
    f32, f32, true, |v| v, |v| v;
    f64, f64, true, |v| v, |v| v;
    f16, f32, false, Half::widen, f16::from_f32;
    bf16, f32, false, Half::widen, bf16::from_f32;
}

/// Multiply-adds of a unit of parallel work: some 15 µs.
const GRAIN: usize = 1 << 19;
/// Bytes of image that a unit of work copies at most (if a row is not larger): with a panel of weights this stays in a level-2 cache.
const REGION_BYTES: usize = 160 << 10;
/// The same where taps lie so far apart that such a unit would be little beside what it copies for it.
const FAR_BYTES: usize = 64 << 20;

fn format<E: ConvElement>() -> Format<E::Real> {
    /// # Safety
    /// `count` elements are readable, `step` apart, and writable.
    unsafe fn read<E: ConvElement>(from: *const u8, step: isize, count: usize, to: *mut E::Real) {
        let from = from.cast::<E>();
        // SAFETY: the caller vouches.
        unsafe {
            if step == 1 {
                (0..count).for_each(|at| *to.add(at) = (*from.add(at)).widen());
            } else {
                (0..count).for_each(|at| *to.add(at) = (*from.offset(at as isize * step)).widen());
            }
        }
    }
    /// # Safety
    /// An element is writable.
    unsafe fn write<E: ConvElement>(to: *mut u8, value: E::Real) {
        // SAFETY: the caller vouches.
        unsafe { to.cast::<E>().write(E::narrow(value)) }
    }
    Format { direct: E::DIRECT, bytes: size_of::<E>(), read: read::<E>, write: write::<E> }
}

/// A contiguous operand of `len` elements.
fn pointer<E>(src: Src<E>, len: usize, name: &str) -> *const E {
    assert!(src.is_contiguous() && src.len() == len, "conv: {name} is not contiguous or has another size");
    src.ptr
}
fn target_pointer<E>(dst: &Dst<E>, len: usize, name: &str) -> *mut E {
    assert!(dst.is_contiguous() && dst.len() == len, "conv: {name} is not contiguous or has another size");
    dst.ptr
}

/// An operand in the computing type: itself, or a widened copy.
struct Widened<T> {
    ptr: *const T,
    _copy: Option<Scratch>,
}

fn widened<E: ConvElement>(from: *const E, len: usize) -> Widened<E::Real> {
    if E::DIRECT {
        return Widened { ptr: from.cast(), _copy: None };
    }
    let mut copy = Scratch::of::<E::Real>(len);
    let to = copy.ptr::<E::Real>();
    // SAFETY: whoever made the operand vouched for its elements; the copy has as many.
    (0..len).for_each(|at| unsafe { *to.add(at) = (*from.add(at)).widen() });
    Widened { ptr: to, _copy: Some(copy) }
}

/// out = x ⋆ weight + bias.
///
/// # Panics
/// If a size does not fit or an operand is not contiguous; `ops` has checked them.
pub fn forward<E: ConvElement>(shape: &ConvShape, x: Src<E>, weight: Src<E>, bias: Option<Src<E>>, out: Dst<E>) {
    forward_at(crate::level(), shape, x, weight, bias, out)
}

fn forward_at<E: ConvElement>(level: Level, shape: &ConvShape, x: Src<E>, weight: Src<E>, bias: Option<Src<E>>, out: Dst<E>) {
    shape.check();
    let depth = shape.in_group() * shape.kernel_len();
    let x = pointer(x, shape.batch * shape.in_channels * shape.input_len(), "input");
    let weight = pointer(weight, shape.out_channels * depth, "weight");
    let bias = bias.map(|bias| widened(pointer(bias, shape.out_channels, "bias"), shape.out_channels));
    let out_pointer = target_pointer(&out, shape.batch * shape.out_channels * shape.output_len(), "output");
    if out.is_empty() {
        return;
    }
    let stencil = shape.stencil();
    let weight = widened(weight, shape.out_channels * depth);
    let job = Correlation {
        stencil: &stencil,
        format: &format::<E>(),
        batch: shape.batch,
        groups: shape.groups,
        rows: shape.out_group(),
        source: x.cast(),
        out: out_pointer.cast(),
        out_image: shape.out_channels * shape.output_len(),
        out_channel: shape.output_len(),
        out_strides: [shape.output[1] * shape.output[2], shape.output[2], 1],
        weights: weight.ptr,
        packed: false,
        bias: bias.as_ref().map_or(std::ptr::null(), |bias| bias.ptr),
    };
    run(level, &job);
}

/// dx: the gradient with respect to the input. Also the transposed convolution of `dy`, then with its `bias` (a value per in_channel).
///
/// # Panics
/// As `forward`.
pub fn backward_input<E: ConvElement>(shape: &ConvShape, dy: Src<E>, weight: Src<E>, bias: Option<Src<E>>, dx: Dst<E>) {
    backward_input_at(crate::level(), shape, dy, weight, bias, dx)
}

fn backward_input_at<E: ConvElement>(level: Level, shape: &ConvShape, dy: Src<E>, weight: Src<E>, bias: Option<Src<E>>, dx: Dst<E>) {
    shape.check();
    let taps = shape.kernel_len();
    let dy = pointer(dy, shape.batch * shape.out_channels * shape.output_len(), "gradient");
    let weight_len = shape.out_channels * shape.in_group() * taps;
    let weight = pointer(weight, weight_len, "weight");
    let bias = bias.map(|bias| widened(pointer(bias, shape.in_channels, "bias"), shape.in_channels));
    let out = target_pointer(&dx, shape.batch * shape.in_channels * shape.input_len(), "result");
    if dx.is_empty() {
        return;
    }
    let weight = widened(weight, weight_len);
    let mut scratch = Scratch::of::<E::Real>(weight_len);
    let weights = scratch.ptr::<E::Real>();
    let [planes, rows, columns] = shape.stride.map(|stride| stride as isize);
    // Inputs of one residue modulo the stride see whole outputs through the same taps: each residue is a convolution of stride 1.
    for phase in 0..planes * rows * columns {
        let residue = [phase / (rows * columns), phase / columns % rows, phase % columns];
        let grid: [usize; 3] = std::array::from_fn(|d| shape.input[d].saturating_sub(residue[d] as usize).div_ceil(shape.stride[d]));
        if grid.contains(&0) {
            continue;
        }
        let (mut places, mut seen) = (Vec::new(), Vec::new());
        for (at, tap) in shape.taps().enumerate() {
            let position: [isize; 3] =
                std::array::from_fn(|d| residue[d] + shape.padding[d] as isize - (tap[d] * shape.dilation[d]) as isize);
            if (0..3).all(|d| position[d].rem_euclid(shape.stride[d] as isize) == 0) {
                places.push(at);
                seen.push(std::array::from_fn(|d| position[d].div_euclid(shape.stride[d] as isize)));
            }
        }
        let depth = shape.out_group() * seen.len();
        let stencil = Stencil::new(if depth == 0 { 0 } else { shape.out_group() }, shape.output, seen, [1; 3], grid);
        let pack = Pack {
            groups: shape.groups,
            rows: shape.in_group(),
            depth,
            source: weight.ptr,
            row: taps,
            group: shape.out_group() * shape.in_group() * taps,
            channel: shape.in_group() * taps,
            places: &places,
            out: Shared(weights),
        };
        run(level, &pack);
        let [_, height, width] = shape.input;
        let start = (residue[0] as usize * height + residue[1] as usize) * width + residue[2] as usize;
        let job = Correlation {
            stencil: &stencil,
            format: &format::<E>(),
            batch: shape.batch,
            groups: shape.groups,
            rows: shape.in_group(),
            source: dy.cast(),
            out: out.wrapping_add(start).cast(),
            out_image: shape.in_channels * shape.input_len(),
            out_channel: shape.input_len(),
            out_strides: [shape.stride[0] * height * width, shape.stride[1] * width, shape.stride[2]],
            weights,
            packed: true,
            bias: bias.as_ref().map_or(std::ptr::null(), |bias| bias.ptr),
        };
        run(level, &job);
    }
}

/// dw: the gradient with respect to the weights.
///
/// # Panics
/// As `forward`.
pub fn backward_weight<E: ConvElement>(shape: &ConvShape, x: Src<E>, dy: Src<E>, dw: Dst<E>) {
    backward_weight_at(crate::level(), shape, x, dy, dw)
}

fn backward_weight_at<E: ConvElement>(level: Level, shape: &ConvShape, x: Src<E>, dy: Src<E>, dw: Dst<E>) {
    shape.check();
    let x = pointer(x, shape.batch * shape.in_channels * shape.input_len(), "input");
    let dy = pointer(dy, shape.batch * shape.out_channels * shape.output_len(), "gradient");
    let len = shape.out_channels * shape.in_group() * shape.kernel_len();
    let dw = target_pointer(&dw, len, "result");
    if len == 0 {
        return;
    }
    if shape.batch * shape.output_len() == 0 {
        // SAFETY: `Dst` vouches for all weights.
        return (0..len).for_each(|at| unsafe { dw.add(at).write(E::narrow(E::Real::ZERO)) });
    }
    let stencil = shape.stencil();
    run(level, &WeightGradient { shape, stencil: &stencil, format: &format::<E>(), x: x.cast(), dy: dy.cast(), dw: dw.cast() });
}

/// db: the gradient with respect to the bias, summed in f64.
///
/// # Panics
/// As `forward`.
pub fn backward_bias<E: ConvElement>(shape: &ConvShape, dy: Src<E>, db: Dst<E>) {
    shape.check();
    let len = shape.output_len();
    let dy = Shared(pointer(dy, shape.batch * shape.out_channels * len, "gradient").cast_mut());
    let db = Shared(target_pointer(&db, shape.out_channels, "result"));
    let level = crate::level();
    let group = ((1 << 15) / (shape.batch * len).max(1)).max(1);
    par_for(shape.out_channels.div_ceil(group), &|unit| {
        for channel in unit * group..shape.out_channels.min((unit + 1) * group) {
            let mut sum = 0.0;
            for image in 0..shape.batch {
                let from = dy.get().wrapping_add((image * shape.out_channels + channel) * len).cast_const();
                sum += run(level, LineSum { from, len });
            }
            // SAFETY: `Dst` vouches for a value per channel.
            unsafe { db.get().add(channel).write(E::narrow(E::Real::from_f64(sum))) };
        }
    });
}

/// The sum of a line: 32 partial sums over blocks of 4096, then f64.
struct LineSum<E> {
    from: *const E,
    len: usize,
}

impl<E: ConvElement> Task for LineSum<E> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Machine>(self, _simd: S) -> f64 {
        let mut total = 0.0;
        for start in (0..self.len).step_by(4096) {
            let len = 4096.min(self.len - start);
            let from = self.from.wrapping_add(start);
            let mut sums = [E::Real::ZERO; 32];
            let whole = len / 32 * 32;
            // SAFETY: the line has `len` elements.
            unsafe {
                for at in (0..whole).step_by(32) {
                    for lane in 0..32 {
                        sums[lane] += (*from.add(at + lane)).widen();
                    }
                }
                for at in whole..len {
                    sums[at - whole] += (*from.add(at)).widen();
                }
            }
            total += sums.iter().map(|sum| sum.to_f64()).sum::<f64>();
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::is_contiguous;

    struct Random(u64);
    impl Random {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (self.0 ^ self.0 >> 29).wrapping_mul(0xbf58476d1ce4e5b9) >> 20
        }
        fn below(&mut self, limit: usize) -> usize {
            (self.next() % limit as u64) as usize
        }
        fn values<E: ConvElement>(&mut self, len: usize) -> Vec<E> {
            (0..len).map(|_| E::narrow(E::Real::from_f64((self.next() % 4001) as f64 / 1000.0 - 2.0))).collect()
        }
    }

    fn levels() -> Vec<Level> {
        ["fallback", "sse4.2", "avx2", "avx512", "neon"].into_iter().filter_map(crate::level::named).collect()
    }

    /// Unit roundoff of the sums and of a stored value.
    fn units<E: ConvElement>() -> (f64, f64) {
        match std::any::type_name::<E>() {
            "f64" => (2f64.powi(-53), 0.0),
            "f32" => (2f64.powi(-24), 0.0),
            "half::binary16::f16" => (2f64.powi(-24), 2f64.powi(-11)),
            _ => (2f64.powi(-24), 2f64.powi(-8)),
        }
    }

    /// Every pair (output, weight, input) that meets, as flat indices.
    fn meetings(s: &ConvShape, mut meet: impl FnMut(usize, usize, usize)) {
        let (ig, og) = (s.in_group(), s.out_group());
        for n in 0..s.batch {
            for oc in 0..s.out_channels {
                for z in 0..s.output[0] {
                    for y in 0..s.output[1] {
                        for x in 0..s.output[2] {
                            let o = (((n * s.out_channels + oc) * s.output[0] + z) * s.output[1] + y) * s.output[2] + x;
                            for ic in 0..ig {
                                for (tap, place) in s.taps().enumerate() {
                                    let at = |d: usize, o: usize| (o * s.stride[d] + place[d] * s.dilation[d]).checked_sub(s.padding[d]);
                                    let (Some(z), Some(y), Some(x)) = (at(0, z), at(1, y), at(2, x)) else { continue };
                                    if z < s.input[0] && y < s.input[1] && x < s.input[2] {
                                        let channel = n * s.in_channels + oc / og * ig + ic;
                                        meet(
                                            o,
                                            (oc * ig + ic) * s.kernel_len() + tap,
                                            ((channel * s.input[0] + z) * s.input[1] + y) * s.input[2] + x,
                                        );
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn compare<E: ConvElement>(got: &[E], want: &[(f64, f64, usize)], what: &str, s: &ConvShape) {
        let (sums, stored) = units::<E>();
        for (at, (got, &(want, size, count))) in got.iter().zip(want).enumerate() {
            let got = got.widen().to_f64();
            let bound = (count + 3) as f64 * sums * size * (1.0 + stored) + stored * want.abs();
            assert!((got - want).abs() <= bound, "{what} of {s:?} at {at}: {got} for {want}, allowed {bound}");
        }
    }

    /// Checks all four directions against loops in f64.
    fn check<E: ConvElement>(level: Level, s: &ConvShape, random: &mut Random) {
        let x = random.values::<E>(s.batch * s.in_channels * s.input_len());
        let w = random.values::<E>(s.out_channels * s.in_group() * s.kernel_len());
        let b = random.values::<E>(s.out_channels);
        let c = random.values::<E>(s.in_channels);
        let dy = random.values::<E>(s.batch * s.out_channels * s.output_len());
        let get = |value: E| value.widen().to_f64();
        let bias = |from: &[E], len: usize, channels: usize| -> Vec<(f64, f64, usize)> {
            (0..s.batch * channels * len).map(|at| get(from[at / len % channels])).map(|value| (value, value.abs(), 1)).collect()
        };
        let mut y_want = bias(&b, s.output_len(), s.out_channels);
        let mut dx_want = bias(&c, s.input_len(), s.in_channels);
        let mut dw_want = vec![(0.0, 0.0, 0); w.len()];
        let add = |to: &mut (f64, f64, usize), value: f64| *to = (to.0 + value, to.1 + value.abs(), to.2 + 1);
        meetings(s, |o, weight, i| {
            add(&mut y_want[o], get(w[weight]) * get(x[i]));
            add(&mut dx_want[i], get(w[weight]) * get(dy[o]));
            add(&mut dw_want[weight], get(dy[o]) * get(x[i]));
        });
        let nan = E::narrow(E::Real::from_f64(f64::NAN));
        fn src<E>(values: &[E], shape: &'static mut [usize; 1]) -> Src<'static, E> {
            shape[0] = values.len();
            // SAFETY: the vectors outlive the calls below.
            unsafe { Src::new(values.as_ptr(), shape, &[1]) }
        }
        let shape = || Box::leak(Box::new([0usize]));
        let (xs, ws, bs, cs, dys) = (src(&x, shape()), src(&w, shape()), src(&b, shape()), src(&c, shape()), src(&dy, shape()));
        let run = |len: usize, body: &dyn Fn(Dst<E>)| {
            let mut out = vec![nan; len + 1];
            let shape = [len];
            assert!(is_contiguous(&shape, &[1]));
            // SAFETY: the vector has the length.
            body(unsafe { Dst::new(out.as_mut_ptr(), &shape, &[1]) });
            assert!(get(out[len]).is_nan(), "wrote beyond the end");
            out.truncate(len);
            out
        };
        compare(&run(dy.len(), &|out| forward_at(level, s, xs, ws, Some(bs), out)), &y_want, "forward", s);
        compare(&run(x.len(), &|out| backward_input_at(level, s, dys, ws, Some(cs), out)), &dx_want, "backward_input", s);
        compare(&run(w.len(), &|out| backward_weight_at(level, s, xs, dys, out)), &dw_want, "backward_weight", s);
        let mut db_want = vec![(0.0, 0.0, 0); s.out_channels];
        for (at, &value) in dy.iter().enumerate() {
            add(&mut db_want[at / s.output_len() % s.out_channels], get(value));
        }
        compare(&run(s.out_channels, &|out| backward_bias(s, dys, out)), &db_want, "backward_bias", s);
    }

    fn shape(
        batch: usize,
        channels: [usize; 2],
        groups: usize,
        input: [usize; 3],
        kernel: [usize; 3],
        [stride, padding, dilation]: [[usize; 3]; 3],
    ) -> ConvShape {
        let output = std::array::from_fn(|d| {
            (input[d] + 2 * padding[d]).checked_sub(dilation[d] * (kernel[d].max(1) - 1) + 1).map_or(0, |rest| rest / stride[d] + 1)
        });
        ConvShape { batch, in_channels: channels[0], out_channels: channels[1], groups, input, kernel, stride, padding, dilation, output }
    }

    #[test]
    fn random_convolutions_agree_with_loops_in_every_direction() {
        let random = &mut Random(11);
        for level in levels() {
            for round in 0..250 {
                let groups = 1 + random.below(3);
                let [i, o] = [0; 2].map(|_| groups * (1 + random.below(4)));
                let dims = 1 + random.below(3);
                let mut pick = |least: usize, count: usize| -> [usize; 3] {
                    std::array::from_fn(|d| if d + dims < 3 { least.min(1) } else { least + random.below(count) })
                };
                let s = shape(1, [i, o], groups, pick(1, 22), pick(1, 4), [pick(1, 3), pick(0, 3), pick(1, 3)]);
                let s = ConvShape { batch: 1 + random.below(3), ..s };
                let work = s.batch * s.output_len() * s.kernel_len() * i * o;
                if work > 400_000 {
                    continue;
                }
                check::<f32>(level, &s, random);
                if round % 3 == 0 {
                    check::<f64>(level, &s, random);
                    check::<bf16>(level, &s, random);
                    check::<f16>(level, &s, random);
                }
            }
        }
    }

    #[test]
    fn sizes_that_are_split_into_bands_and_channels_agree_with_loops() {
        let random = &mut Random(12);
        let one = [[1; 3], [0; 3], [1; 3]];
        for level in levels() {
            check::<f32>(level, &shape(5, [1, 32], 1, [1, 8, 8], [1, 3, 3], [[1; 3], [0, 1, 1], [1; 3]]), random);
            check::<f32>(level, &shape(2, [20, 35], 1, [1, 28, 28], [1, 3, 3], one), random);
            check::<f32>(level, &shape(1, [70, 130], 1, [1, 7, 7], [1, 3, 3], [[1; 3], [0, 1, 1], [1; 3]]), random);
            check::<f32>(level, &shape(3, [40, 100], 1, [1, 5, 4], [1, 1, 1], one), random);
            check::<f32>(level, &shape(1, [3, 16], 1, [1, 90, 70], [1, 7, 7], [[1, 2, 2], [0, 3, 3], [1; 3]]), random);
            check::<f32>(level, &shape(1, [4, 8], 2, [9, 20, 18], [3, 3, 3], [[1, 2, 1], [1; 3], [1, 1, 2]]), random);
            check::<f32>(level, &shape(2, [24, 24], 24, [1, 30, 33], [1, 3, 3], [[1; 3], [0, 1, 1], [1; 3]]), random);
            check::<bf16>(level, &shape(2, [80, 60], 1, [1, 6, 6], [1, 3, 3], [[1; 3], [0, 1, 1], [1; 3]]), random);
            // Taps so far apart that a band is higher than the cache holds.
            check::<f32>(level, &shape(1, [8, 8], 1, [1, 720, 30], [1, 2, 2], [[1; 3], [0; 3], [1, 700, 1]]), random);
            check::<f32>(level, &shape(1, [8, 8], 1, [1, 720, 30], [1, 2, 2], [[1, 2, 1], [0, 3, 0], [1, 700, 1]]), random);
        }
    }

    #[test]
    fn empty_sizes_and_output_padding_work() {
        let random = &mut Random(13);
        let level = crate::level();
        let base = shape(2, [2, 3], 1, [1, 4, 5], [1, 2, 3], [[1; 3], [0; 3], [1; 3]]);
        check::<f32>(level, &ConvShape { batch: 0, ..base }, random);
        check::<f32>(level, &ConvShape { in_channels: 0, ..base }, random);
        check::<f32>(level, &ConvShape { out_channels: 0, ..base }, random);
        check::<f32>(level, &ConvShape { output: [1, 0, 3], ..base }, random);
        // Stride 3 leaves inputs that no output sees; more outputs than fit see zeros only.
        let strided = shape(2, [2, 3], 1, [1, 9, 11], [1, 2, 2], [[1, 3, 3], [0; 3], [1; 3]]);
        check::<f32>(level, &strided, random);
        check::<f32>(level, &ConvShape { output: [1, 7, 9], ..strided }, random);
        check::<f32>(level, &shape(1, [1, 1], 1, [1, 2, 2], [1, 2, 2], [[1; 3], [0, 5, 5], [1; 3]]), random);
    }

    #[test]
    fn infinite_pixels_reach_only_the_outputs_that_see_them() {
        let s = shape(1, [1, 2], 1, [1, 12, 13], [1, 3, 3], [[1; 3], [0, 1, 1], [1; 3]]);
        let random = &mut Random(14);
        let mut x = random.values::<f32>(s.input_len());
        x[5 * 13 + 12] = f32::INFINITY;
        let dy = random.values::<f32>(2 * s.output_len());
        let mut dw = vec![0f32; 18];
        let mut want = [(0.0, 0.0, 0); 18];
        meetings(&s, |o, w, i| want[w].0 += dy[o] as f64 * x[i] as f64);
        // SAFETY: the vectors have the lengths.
        unsafe {
            let (xs, ds, ws) = ([x.len()], [dy.len()], [18]);
            backward_weight(&s, Src::new(x.as_ptr(), &xs, &[1]), Src::new(dy.as_ptr(), &ds, &[1]), Dst::new(dw.as_mut_ptr(), &ws, &[1]));
        }
        for (got, want) in dw.iter().zip(want) {
            assert_eq!(got.is_nan(), want.0.is_nan(), "{got} for {}", want.0);
            assert!(got.is_finite() == want.0.is_finite());
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let random = &mut Random(15);
        let s = shape(6, [12, 60], 1, [1, 26, 30], [1, 3, 3], [[1; 3], [0, 1, 1], [1; 3]]);
        let (x, w) = (random.values::<f32>(s.batch * 12 * s.input_len()), random.values::<f32>(60 * 12 * 9));
        let dy = random.values::<f32>(s.batch * 60 * s.output_len());
        let results = [1, 2, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
            let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), w.clone());
            let (xs, ws, ys) = ([x.len()], [w.len()], [dy.len()]);
            // SAFETY: the vectors have the lengths.
            unsafe {
                let (xp, wp, dp) = (Src::new(x.as_ptr(), &xs, &[1]), Src::new(w.as_ptr(), &ws, &[1]), Src::new(dy.as_ptr(), &ys, &[1]));
                crate::parallel::with_pool(&pool, || {
                    forward(&s, xp, wp, None, Dst::new(y.as_mut_ptr(), &ys, &[1]));
                    backward_input(&s, dp, wp, None, Dst::new(dx.as_mut_ptr(), &xs, &[1]));
                    backward_weight(&s, xp, dp, Dst::new(dw.as_mut_ptr(), &ws, &[1]));
                });
            }
            [y, dx, dw].map(|values| values.into_iter().map(f32::to_bits).collect::<Vec<u32>>())
        });
        assert!(results[0] == results[1] && results[0] == results[2]);
    }
}
