//! Pooling over planes: maximum and average, plain and adaptive, in one to three dimensions, forward and backward.
//!
//! A tensor is `planes` (batch times channels) contiguous planes of up to three dimensions; fewer dimensions have leading
//! sizes of 1. A plane is one task's work, so every sum has one order. float16 and bfloat16 are computed in float32.

use crate::copy::{Shared, cast_row};
use crate::level::dispatch;
use crate::parallel::par_for;
use fearless_simd::{Simd, SimdElement, prelude::*};
use rustnn_tensor::DType;
use smallvec::SmallVec;
use std::ops::{Add, AddAssign, Div, Mul};

/// Elements read or written that make a task worth its hand-over.
const TASK_ELEMENTS: usize = 16 << 10;
/// Outputs of a row that are computed together.
const BLOCK: usize = 128;

/// Sizes of a pooling, depth, height, width; `padding` is what lies before the first element, the window may end beyond
/// the last one (ceil mode). Each window holds at least one element of the input (PyTorch's output sizes ensure it).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub input: [usize; 3],
    pub output: [usize; 3],
    pub kernel: [usize; 3],
    pub stride: [usize; 3],
    pub padding: [usize; 3],
    pub dilation: [usize; 3],
}

/// What an average divides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divisor {
    /// The window's elements, padding included (`count_include_pad=True`), except beyond the padding.
    WithPadding,
    /// The window's elements inside the input.
    Inside,
    /// A fixed number (`divisor_override`).
    Fixed(i64),
}

/// float32 or float64.
trait Real:
    SimdElement + Copy + Send + Sync + PartialOrd + Add<Output = Self> + AddAssign + Mul<Output = Self> + Div<Output = Self> + 'static
{
    const ZERO: Self;
    const LOWEST: Self;
    /// The native vector.
    type Lanes<S: Simd>: SimdBase<S, Element = Self>;
    fn from_count(n: i64) -> Self;
    fn to_index(self) -> usize;
}
impl Real for f32 {
    const ZERO: f32 = 0.0;
    const LOWEST: f32 = f32::NEG_INFINITY;
    type Lanes<S: Simd> = S::f32s;
    fn to_index(self) -> usize {
        self as usize
    }
    fn from_count(n: i64) -> f32 {
        n as f32
    }
}
impl Real for f64 {
    const ZERO: f64 = 0.0;
    const LOWEST: f64 = f64::NEG_INFINITY;
    type Lanes<S: Simd> = S::f64s;
    fn to_index(self) -> usize {
        self as usize
    }
    fn from_count(n: i64) -> f64 {
        n as f64
    }
}

/// Whether `x` takes the place of `best`: greater, or NaN.
#[inline(always)]
#[allow(clippy::eq_op)]
fn takes<F: Real>(x: F, best: F) -> bool {
    // No shortcut: a branch would keep the loop from becoming lanes.
    (x > best) | (x != x)
}

/// The work on one plane; `src` and `dst` are the plane's own.
trait PlaneKernel: Sync {
    /// # Safety
    /// The plane's elements are readable and writable.
    unsafe fn run<F: Real>(&self, plane: usize, src: *const F, dst: *mut F);
}

/// Runs a kernel on every plane.
unsafe fn each_plane(dtype: DType, planes: usize, src: *const u8, src_len: usize, dst: *mut u8, dst_len: usize, kernel: &impl PlaneKernel) {
    if planes == 0 || dst_len == 0 {
        return;
    }
    let (src, dst) = (Shared::read_only(src), Shared::new(dst));
    let grain = (TASK_ELEMENTS / (src_len + dst_len)).max(1);
    let body =
        |task: usize| {
            let range = task * grain..(task * grain + grain).min(planes);
            // SAFETY: planes of this task; scratch holds one plane of each side.
            unsafe {
                match dtype {
                    DType::F32 => range
                        .for_each(|p| kernel.run(p, src.get().cast::<f32>().add(p * src_len), dst.get().cast::<f32>().add(p * dst_len))),
                    DType::F64 => range
                        .for_each(|p| kernel.run(p, src.get().cast::<f64>().add(p * src_len), dst.get().cast::<f64>().add(p * dst_len))),
                    _ => {
                        let (mut from, mut to) = (vec![0f32; src_len], vec![0f32; dst_len]);
                        for p in range {
                            cast_row(dtype, src.get().add(2 * p * src_len), DType::F32, from.as_mut_ptr().cast(), src_len);
                            kernel.run(p, from.as_ptr(), to.as_mut_ptr());
                            cast_row(DType::F32, to.as_ptr().cast(), dtype, dst.get().add(2 * p * dst_len), dst_len);
                        }
                    }
                }
            }
        };
    let tasks = planes.div_ceil(grain);
    if tasks == 1 { body(0) } else { par_for(tasks, &body) }
}

impl Window {
    fn input_len(&self) -> usize {
        self.input.iter().product()
    }

    fn output_len(&self) -> usize {
        self.output.iter().product()
    }

    /// Kernel positions of dimension `k` that lie inside the input for output `o`, and the input place of position 0.
    #[inline(always)]
    fn inside(&self, k: usize, o: usize) -> (std::ops::Range<usize>, isize) {
        let start = (o * self.stride[k]) as isize - self.padding[k] as isize;
        let dilation = self.dilation[k] as isize;
        let first = if start < 0 { (-start + dilation - 1) / dilation } else { 0 };
        let last = (self.input[k] as isize - start + dilation - 1).max(0) / dilation;
        (first as usize..(last as usize).clamp(first as usize, self.kernel[k].max(first as usize)), start)
    }

    /// Outputs of a row (dimension 2) whose window position `k` lies inside the input.
    #[inline(always)]
    fn columns(&self, k: usize) -> std::ops::Range<usize> {
        let shift = (k * self.dilation[2]) as isize - self.padding[2] as isize;
        let stride = self.stride[2] as isize;
        let first = if shift < 0 { (-shift + stride - 1) / stride } else { 0 };
        let last = (self.input[2] as isize - shift + stride - 1).max(0) / stride;
        let last = (last as usize).min(self.output[2]);
        (first as usize).min(last)..last
    }

    /// [`Window::columns`] of every window position: divisions are dear inside the loops.
    fn all_columns(&self) -> SmallVec<[std::ops::Range<usize>; 8]> {
        (0..self.kernel[2]).map(|k| self.columns(k)).collect()
    }

    /// The divisor of output `o` in dimension `k`: elements with padding, and inside.
    #[inline(always)]
    fn extent(&self, k: usize, o: usize) -> (i64, i64) {
        let start = (o * self.stride[k]) as i64 - self.padding[k] as i64;
        let end = (start + self.kernel[k] as i64).min((self.input[k] + self.padding[k]) as i64);
        (end - start, end.min(self.input[k] as i64) - start.max(0))
    }

    /// What the outputs of a row are divided by, but for the factor of the other dimensions: that is [`Window::area`].
    fn widths<F: Real>(&self, rule: Divisor) -> Vec<F> {
        let width = |o: usize| match (rule, self.extent(2, o)) {
            (Divisor::Fixed(n), _) => n,
            (Divisor::WithPadding, (all, _)) => all,
            (Divisor::Inside, (_, inside)) => inside,
        };
        (0..self.output[2]).map(|o| F::from_count(width(o))).collect()
    }

    fn area<F: Real>(&self, rule: Divisor, od: usize, oh: usize) -> F {
        let (d, h) = (self.extent(0, od), self.extent(1, oh));
        F::from_count(match rule {
            Divisor::Fixed(_) => 1,
            Divisor::WithPadding => d.0 * h.0,
            Divisor::Inside => d.1 * h.1,
        })
    }
}

/// Window maxima; a NaN wins, as in PyTorch. `indices`, if wanted, gets the place of each maximum in its plane: the first of
/// equal ones, the last NaN. A window without elements has minus infinity at place -1.
///
/// # Safety
/// `src` holds `planes` inputs, `dst` and `indices` have room for as many outputs, nothing overlaps; dtype is floating.
pub unsafe fn max_pool(dtype: DType, window: &Window, planes: usize, src: *const u8, dst: *mut u8, indices: Option<*mut i64>) {
    let kernel = MaxForward { window: *window, indices: indices.map(Shared::new) };
    // SAFETY: the caller's promise.
    unsafe { each_plane(dtype, planes, src, window.input_len(), dst, window.output_len(), &kernel) }
}

struct MaxForward {
    window: Window,
    indices: Option<Shared<i64>>,
}

impl PlaneKernel for MaxForward {
    unsafe fn run<F: Real>(&self, plane: usize, src: *const F, dst: *mut F) {
        let w = &self.window;
        let indices = self.indices.map(|i| i.get().wrapping_add(plane * w.output_len()));
        let halves = w.kernel == [1, 2, 2] && w.stride[1..] == [2, 2] && w.padding == [0; 3] && w.dilation[1..] == [1, 1];
        let whole = w.output[1] * 2 <= w.input[1] && w.output[2] * 2 <= w.input[2];
        // SAFETY: the caller's promise.
        dispatch!(crate::level(), simd => unsafe {
            if halves && whole && w.stride[0] == 1 && w.input[0] == w.output[0] {
                max_halves(w, src, dst, indices)
            } else {
                max_rows(simd, w, src, dst, indices)
            }
        })
    }
}

/// Windows of 2 x 2 side by side.
#[inline(always)]
unsafe fn max_halves<F: Real>(w: &Window, src: *const F, dst: *mut F, indices: Option<*mut i64>) {
    let width = w.input[2];
    for d in 0..w.input[0] {
        for oh in 0..w.output[1] {
            let first = (d * w.input[1] + 2 * oh) * width;
            let out = (d * w.output[1] + oh) * w.output[2];
            // SAFETY: two rows of the input, one of the output.
            unsafe {
                let (top, bottom, to) = (src.add(first), src.add(first + width), dst.add(out));
                match indices {
                    None => {
                        for i in 0..w.output[2] {
                            let (a, b) = (top.add(2 * i).read(), top.add(2 * i + 1).read());
                            let (c, e) = (bottom.add(2 * i).read(), bottom.add(2 * i + 1).read());
                            let ab = if takes(b, a) { b } else { a };
                            let ce = if takes(e, c) { e } else { c };
                            to.add(i).write(if takes(ce, ab) { ce } else { ab });
                        }
                    }
                    Some(indices) => {
                        let places = indices.add(out);
                        for i in 0..w.output[2] {
                            let (a, b) = (top.add(2 * i).read(), top.add(2 * i + 1).read());
                            let (c, e) = (bottom.add(2 * i).read(), bottom.add(2 * i + 1).read());
                            let right = takes(b, a);
                            let ab = if right { b } else { a };
                            let low_right = takes(e, c);
                            let ce = if low_right { e } else { c };
                            let low = takes(ce, ab);
                            to.add(i).write(if low { ce } else { ab });
                            let step = if low { width + low_right as usize } else { right as usize };
                            places.add(i).write((first + 2 * i + step) as i64);
                        }
                    }
                }
            }
        }
    }
}

/// A place of the window that lies inside the input for the output row at hand: where it begins for output column 0 (but for
/// the padding), and its column in the window.
struct Tap {
    offset: usize,
    column: usize,
}

/// Any window.
#[inline(always)]
unsafe fn max_rows<S: Simd, F: Real>(simd: S, w: &Window, src: *const F, dst: *mut F, indices: Option<*mut i64>) {
    let [_, height, width] = w.input;
    let (stride, padding) = (w.stride[2], w.padding[2]);
    let columns = w.all_columns();
    // Outputs whose window lies inside the row as a whole.
    let first = columns.iter().map(|c| c.start).max().unwrap_or(0);
    let end = columns.iter().map(|c| c.end).min().unwrap_or(0).max(first);
    // Stride 2 reads one element more than it takes.
    let reach = (width + padding).saturating_sub((w.kernel[2] - 1) * w.dilation[2]) / 2;
    let lanes_end = if stride == 2 { end.min(reach).max(first) } else { end };
    let mut taps: SmallVec<[Tap; 32]> = SmallVec::new();
    for od in 0..w.output[0] {
        let (depths, d0) = w.inside(0, od);
        for oh in 0..w.output[1] {
            let (rows, h0) = w.inside(1, oh);
            taps.clear();
            for kd in depths.clone() {
                let d = (d0 + (kd * w.dilation[0]) as isize) as usize;
                for kh in rows.clone() {
                    let h = (h0 + (kh * w.dilation[1]) as isize) as usize;
                    let row = (d * height + h) * width;
                    taps.extend((0..w.kernel[2]).map(|column| Tap { offset: row + column * w.dilation[2], column }));
                }
            }
            let out = (od * w.output[1] + oh) * w.output[2];
            let row = MaxRow {
                src: src.wrapping_sub(padding),
                dst: dst.wrapping_add(out),
                indices: indices.map(|i| i.wrapping_add(out)),
                taps: &taps,
                stride,
                padding,
            };
            // SAFETY: windows of `first..lanes_end` lie inside the row, the others are looked at place by place.
            unsafe {
                if taps.is_empty() {
                    (0..w.output[2]).for_each(|o| row.nothing(o));
                    continue;
                }
                let done = row.blocks::<S, F::Lanes<S>>(simd, first..lanes_end)
                    || row.blocks::<S, <F::Lanes<S> as SimdBase<S>>::Block>(simd, first..lanes_end);
                let ends = if done { lanes_end } else { first };
                for o in (0..first).chain(ends..w.output[2]) {
                    row.single(&columns, o);
                }
            }
        }
    }
}

/// A row of outputs; `src` is the plane less the padding.
struct MaxRow<'a, F> {
    src: *const F,
    dst: *mut F,
    indices: Option<*mut i64>,
    taps: &'a [Tap],
    stride: usize,
    padding: usize,
}

impl<F: Real> MaxRow<'_, F> {
    /// Outputs in blocks of lanes, the last block reaching back; false if there are fewer outputs than lanes.
    #[inline(always)]
    unsafe fn blocks<S: Simd, V: SimdBase<S, Element = F>>(&self, simd: S, outputs: std::ops::Range<usize>) -> bool {
        if outputs.len() < V::LEN {
            return false;
        }
        let mut at = outputs.start;
        while at < outputs.end {
            at = at.min(outputs.end - V::LEN);
            // SAFETY: the caller's promise.
            unsafe { self.block::<S, V>(simd, at) };
            at += V::LEN;
        }
        true
    }

    #[inline(always)]
    unsafe fn block<S: Simd, V: SimdBase<S, Element = F>>(&self, simd: S, at: usize) {
        let load = |tap: &Tap| {
            let from = self.src.wrapping_add(tap.offset + at * self.stride);
            // SAFETY: the caller's promise.
            unsafe {
                let read = |from: *const F| V::load_array(simd, from.cast::<V::Array>().read_unaligned());
                match self.stride {
                    1 => read(from),
                    2 => read(from).unzip_low(read(from.wrapping_add(V::LEN))),
                    stride => V::from_fn(simd, |i| from.wrapping_add(i * stride).read()),
                }
            }
        };
        let mut best = load(&self.taps[0]);
        // SAFETY: a block of outputs.
        unsafe {
            let Some(indices) = self.indices else {
                for tap in &self.taps[1..] {
                    let x = load(tap);
                    best = (x.simd_gt(best) | x.simd_ne(x)).select(x, best);
                }
                return self.dst.wrapping_add(at).cast::<V::Array>().write_unaligned(best.to_array());
            };
            // Numbers of places are small: they are exact in the lanes' own type.
            let mut which = V::simd_from(simd, F::ZERO);
            for (k, tap) in self.taps.iter().enumerate().skip(1) {
                let x = load(tap);
                let won = x.simd_gt(best) | x.simd_ne(x);
                best = won.select(x, best);
                which = won.select(V::simd_from(simd, F::from_count(k as i64)), which);
            }
            self.dst.wrapping_add(at).cast::<V::Array>().write_unaligned(best.to_array());
            for (i, &k) in which.as_slice().iter().enumerate() {
                self.index(indices, at + i, k.to_index());
            }
        }
    }

    /// Writes the index of output `o`, whose maximum lies at place `k`.
    #[inline(always)]
    unsafe fn index(&self, indices: *mut i64, o: usize, k: usize) {
        let place = self.taps[k].offset + o * self.stride - self.padding;
        // SAFETY: the caller's promise.
        unsafe { indices.wrapping_add(o).write(place as i64) };
    }

    /// The output of a window that dilation leads around all elements: nothing is greatest, at no place.
    unsafe fn nothing(&self, o: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            self.dst.wrapping_add(o).write(F::LOWEST);
            if let Some(indices) = self.indices {
                indices.wrapping_add(o).write(-1);
            }
        }
    }

    /// One output whose window reaches beyond the row.
    unsafe fn single(&self, columns: &[std::ops::Range<usize>], o: usize) {
        let mut best: Option<(F, usize)> = None;
        for (k, tap) in self.taps.iter().enumerate().filter(|(_, tap)| columns[tap.column].contains(&o)) {
            // SAFETY: the place lies inside the row.
            let x = unsafe { self.src.wrapping_add(tap.offset + o * self.stride).read() };
            if best.is_none_or(|(best, _)| takes(x, best)) {
                best = Some((x, k));
            }
        }
        // SAFETY: the caller's promise.
        let Some((value, k)) = best else { return unsafe { self.nothing(o) } };
        // SAFETY: the caller's promise.
        unsafe {
            self.dst.wrapping_add(o).write(value);
            if let Some(indices) = self.indices {
                self.index(indices, o, k);
            }
        }
    }
}

/// The gradient of [`max_pool`] and [`adaptive_max_pool`]: `dx[indices[i]] += dy[i]` in each plane, in order, after zeroing;
/// an index outside of the plane is no place.
///
/// # Safety
/// `dy` and `indices` hold `planes` times `output_len` elements, `dx` has room for `planes` times `input_len`.
pub unsafe fn max_pool_backward(
    dtype: DType,
    planes: usize,
    input_len: usize,
    output_len: usize,
    dy: *const u8,
    indices: *const i64,
    dx: *mut u8,
) {
    let kernel = MaxBackward { indices: Shared::read_only(indices), input_len, output_len };
    // SAFETY: the caller's promise.
    unsafe { each_plane(dtype, planes, dy, output_len, dx, input_len, &kernel) }
}

struct MaxBackward {
    indices: Shared<i64>,
    input_len: usize,
    output_len: usize,
}

impl PlaneKernel for MaxBackward {
    unsafe fn run<F: Real>(&self, plane: usize, dy: *const F, dx: *mut F) {
        let indices = self.indices.get().wrapping_add(plane * self.output_len);
        // SAFETY: the caller's promise.
        unsafe {
            (0..self.input_len).for_each(|i| dx.add(i).write(F::ZERO));
            for i in 0..self.output_len {
                let place = indices.add(i).read() as usize;
                if place < self.input_len {
                    *dx.add(place) += dy.add(i).read();
                }
            }
        }
    }
}

/// Window averages. Dilation must be 1.
///
/// # Safety
/// As for [`max_pool`].
pub unsafe fn avg_pool(dtype: DType, window: &Window, divisor: Divisor, planes: usize, src: *const u8, dst: *mut u8) {
    debug_assert_eq!(window.dilation, [1; 3]);
    // SAFETY: the caller's promise.
    unsafe { each_plane(dtype, planes, src, window.input_len(), dst, window.output_len(), &AvgForward { window: *window, divisor }) }
}

struct AvgForward {
    window: Window,
    divisor: Divisor,
}

impl PlaneKernel for AvgForward {
    unsafe fn run<F: Real>(&self, _: usize, src: *const F, dst: *mut F) {
        // SAFETY: the caller's promise.
        dispatch!(crate::level(), _simd => unsafe { avg_rows(&self.window, self.divisor, src, dst) })
    }
}

#[inline(always)]
unsafe fn add_row<F: Real>(from: *const F, step: usize, sums: &mut [F]) {
    for (i, sum) in sums.iter_mut().enumerate() {
        // SAFETY: the caller's promise.
        *sum += unsafe { from.wrapping_add(i * step).read() };
    }
}

#[inline(always)]
unsafe fn avg_rows<F: Real>(w: &Window, divisor: Divisor, src: *const F, dst: *mut F) {
    let [_, height, width] = w.input;
    let widths: Vec<F> = w.widths(divisor);
    let stride = w.stride[2];
    let all_columns = w.all_columns();
    for od in 0..w.output[0] {
        let (depths, d0) = w.inside(0, od);
        for oh in 0..w.output[1] {
            let (rows, h0) = w.inside(1, oh);
            let out = (od * w.output[1] + oh) * w.output[2];
            let area: F = w.area(divisor, od, oh);
            for start in (0..w.output[2]).step_by(BLOCK) {
                let n = BLOCK.min(w.output[2] - start);
                let mut sums = [F::ZERO; BLOCK];
                for kd in depths.clone() {
                    for kh in rows.clone() {
                        let row = src.wrapping_add(((d0 as usize).wrapping_add(kd) * height + (h0 as usize).wrapping_add(kh)) * width);
                        for (kw, columns) in all_columns.iter().enumerate() {
                            let (low, high) = (columns.start.max(start), columns.end.min(start + n));
                            if low >= high {
                                continue;
                            }
                            let from = row.wrapping_add(low * stride + kw).wrapping_sub(w.padding[2]);
                            let sums = &mut sums[low - start..high - start];
                            // A known step lets the loop become lanes.
                            // SAFETY: `columns` keeps every place inside the row.
                            unsafe {
                                match stride {
                                    1 => add_row(from, 1, sums),
                                    2 => add_row(from, 2, sums),
                                    _ => add_row(from, stride, sums),
                                }
                            }
                        }
                    }
                }
                for (i, (&sum, &width)) in sums[..n].iter().zip(&widths[start..]).enumerate() {
                    // SAFETY: output `out + start + i`.
                    unsafe { dst.add(out + start + i).write(sum / (area * width)) };
                }
            }
        }
    }
}

/// The gradient of [`avg_pool`].
///
/// # Safety
/// `dy` holds `planes` outputs, `dx` has room for as many inputs.
pub unsafe fn avg_pool_backward(dtype: DType, window: &Window, divisor: Divisor, planes: usize, dy: *const u8, dx: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { each_plane(dtype, planes, dy, window.output_len(), dx, window.input_len(), &AvgBackward { window: *window, divisor }) }
}

struct AvgBackward {
    window: Window,
    divisor: Divisor,
}

impl PlaneKernel for AvgBackward {
    unsafe fn run<F: Real>(&self, _: usize, dy: *const F, dx: *mut F) {
        // SAFETY: the caller's promise.
        dispatch!(crate::level(), _simd => unsafe { avg_backward_rows(&self.window, self.divisor, dy, dx) })
    }
}

#[inline(always)]
unsafe fn avg_backward_rows<F: Real>(w: &Window, divisor: Divisor, dy: *const F, dx: *mut F) {
    let [_, height, width] = w.input;
    let widths: Vec<F> = w.widths(divisor);
    let stride = w.stride[2];
    let all_columns = w.all_columns();
    // SAFETY: the caller's promise; `inside` and `columns` keep every place inside the input.
    unsafe {
        (0..w.input_len()).for_each(|i| dx.add(i).write(F::ZERO));
        for od in 0..w.output[0] {
            let (depths, d0) = w.inside(0, od);
            for oh in 0..w.output[1] {
                let (rows, h0) = w.inside(1, oh);
                let out = (od * w.output[1] + oh) * w.output[2];
                let area: F = w.area(divisor, od, oh);
                for start in (0..w.output[2]).step_by(BLOCK) {
                    let n = BLOCK.min(w.output[2] - start);
                    let mut shares = [F::ZERO; BLOCK];
                    for (i, (share, &width)) in shares[..n].iter_mut().zip(&widths[start..]).enumerate() {
                        *share = dy.add(out + start + i).read() / (area * width);
                    }
                    for kd in depths.clone() {
                        for kh in rows.clone() {
                            let row = dx.wrapping_add(((d0 as usize).wrapping_add(kd) * height + (h0 as usize).wrapping_add(kh)) * width);
                            // Descending, so that an element's shares arrive in the order of the outputs.
                            for (kw, columns) in all_columns.iter().enumerate().rev() {
                                let (low, high) = (columns.start.max(start), columns.end.min(start + n));
                                if low >= high {
                                    continue;
                                }
                                let to = row.wrapping_add(low * stride + kw).wrapping_sub(w.padding[2]);
                                for (i, &share) in shares[low - start..high - start].iter().enumerate() {
                                    *to.wrapping_add(i * stride) += share;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Sizes of an adaptive pooling: output `o` of a dimension covers `floor(o · in / out) .. ceil((o + 1) · in / out)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adaptive {
    pub input: [usize; 3],
    pub output: [usize; 3],
}

/// The windows of a pooling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    Fixed(Window),
    Adaptive(Adaptive),
}

impl Windows {
    pub fn input(&self) -> [usize; 3] {
        match self {
            Windows::Fixed(w) => w.input,
            Windows::Adaptive(s) => s.input,
        }
    }

    pub fn output(&self) -> [usize; 3] {
        match self {
            Windows::Fixed(w) => w.output,
            Windows::Adaptive(s) => s.output,
        }
    }
}

impl Adaptive {
    #[inline(always)]
    fn range(&self, k: usize, o: usize) -> std::ops::Range<usize> {
        o * self.input[k] / self.output[k]..((o + 1) * self.input[k]).div_ceil(self.output[k])
    }

    /// Calls `each(output place, depths, rows, columns)` for every output in order.
    #[inline(always)]
    fn each(&self, mut each: impl FnMut(usize, std::ops::Range<usize>, std::ops::Range<usize>, std::ops::Range<usize>)) {
        let mut place = 0;
        for od in 0..self.output[0] {
            for oh in 0..self.output[1] {
                for ow in 0..self.output[2] {
                    each(place, self.range(0, od), self.range(1, oh), self.range(2, ow));
                    place += 1;
                }
            }
        }
    }

    fn lens(&self) -> (usize, usize) {
        (self.input.iter().product(), self.output.iter().product())
    }
}

/// Averages over adaptive windows.
///
/// # Safety
/// `src` holds `planes` inputs, none of whose sizes is 0, `dst` has room for as many outputs; dtype is floating.
pub unsafe fn adaptive_avg_pool(dtype: DType, sizes: &Adaptive, planes: usize, src: *const u8, dst: *mut u8) {
    let (input, output) = sizes.lens();
    // SAFETY: the caller's promise.
    unsafe { each_plane(dtype, planes, src, input, dst, output, &AdaptiveAvg(*sizes)) }
}

struct AdaptiveAvg(Adaptive);

impl PlaneKernel for AdaptiveAvg {
    unsafe fn run<F: Real>(&self, _: usize, src: *const F, dst: *mut F) {
        dispatch!(crate::level(), _simd => {
            let [_, height, width] = self.0.input;
            self.0.each(|place, depths, rows, columns| {
                let count = depths.len() * rows.len() * columns.len();
                let mut sum = F::ZERO;
                // Whole rows that follow each other are one run.
                let (runs, run) = if columns.len() == width { (1, rows.len() * width) } else { (rows.len(), columns.len()) };
                for d in depths {
                    for r in 0..runs {
                        // SAFETY: the window lies inside the plane.
                        sum += unsafe { sum_run(src.add((d * height + rows.start + r) * width + columns.start), run) };
                    }
                }
                // SAFETY: output `place`.
                unsafe { dst.add(place).write(sum / F::from_count(count as i64)) };
            })
        })
    }
}

/// The sum of a run: 32 strands, joined as a tree.
#[inline(always)]
unsafe fn sum_run<F: Real>(src: *const F, n: usize) -> F {
    const STRANDS: usize = 32;
    // SAFETY: `n` elements.
    unsafe {
        if n < STRANDS {
            return (0..n).fold(F::ZERO, |sum, i| sum + src.add(i).read());
        }
        let mut strands = [F::ZERO; STRANDS];
        for at in (0..n - n % STRANDS).step_by(STRANDS) {
            for (k, strand) in strands.iter_mut().enumerate() {
                *strand += src.add(at + k).read();
            }
        }
        let mut half = STRANDS / 2;
        while half > 0 {
            for k in 0..half {
                strands[k] += strands[k + half];
            }
            half /= 2;
        }
        (n - n % STRANDS..n).fold(strands[0], |sum, i| sum + src.add(i).read())
    }
}

/// The gradient of [`adaptive_avg_pool`].
///
/// # Safety
/// `dy` holds `planes` outputs, `dx` has room for as many inputs.
pub unsafe fn adaptive_avg_pool_backward(dtype: DType, sizes: &Adaptive, planes: usize, dy: *const u8, dx: *mut u8) {
    let (input, output) = sizes.lens();
    // SAFETY: the caller's promise.
    unsafe { each_plane(dtype, planes, dy, output, dx, input, &AdaptiveAvgBackward(*sizes)) }
}

struct AdaptiveAvgBackward(Adaptive);

impl PlaneKernel for AdaptiveAvgBackward {
    unsafe fn run<F: Real>(&self, _: usize, dy: *const F, dx: *mut F) {
        let [_, height, width] = self.0.input;
        // SAFETY: the caller's promise; windows lie inside the plane.
        unsafe {
            (0..self.0.lens().0).for_each(|i| dx.add(i).write(F::ZERO));
            self.0.each(|place, depths, rows, columns| {
                let count = depths.len() * rows.len() * columns.len();
                let share = dy.add(place).read() / F::from_count(count as i64);
                for d in depths {
                    for h in rows.clone() {
                        for x in columns.clone() {
                            *dx.add((d * height + h) * width + x) += share;
                        }
                    }
                }
            })
        }
    }
}

/// Maxima over adaptive windows, with their places in the plane, as [`max_pool`].
///
/// # Safety
/// As for [`adaptive_avg_pool`], with room for the indices.
pub unsafe fn adaptive_max_pool(dtype: DType, sizes: &Adaptive, planes: usize, src: *const u8, dst: *mut u8, indices: *mut i64) {
    let (input, output) = sizes.lens();
    let kernel = AdaptiveMax { sizes: *sizes, indices: Shared::new(indices) };
    // SAFETY: the caller's promise.
    unsafe { each_plane(dtype, planes, src, input, dst, output, &kernel) }
}

struct AdaptiveMax {
    sizes: Adaptive,
    indices: Shared<i64>,
}

impl PlaneKernel for AdaptiveMax {
    unsafe fn run<F: Real>(&self, plane: usize, src: *const F, dst: *mut F) {
        let [_, height, width] = self.sizes.input;
        let indices = self.indices.get().wrapping_add(plane * self.sizes.lens().1);
        self.sizes.each(|place, depths, rows, columns| {
            let mut best = F::LOWEST;
            let mut at = (depths.start * height + rows.start) * width + columns.start;
            for d in depths {
                for h in rows.clone() {
                    for x in columns.clone() {
                        let here = (d * height + h) * width + x;
                        // SAFETY: inside the plane.
                        let value = unsafe { src.add(here).read() };
                        if takes(value, best) {
                            (best, at) = (value, here);
                        }
                    }
                }
            }
            // SAFETY: output `place`.
            unsafe {
                dst.add(place).write(best);
                indices.add(place).write(at as i64);
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize) -> Vec<f32> {
        let mut state = 88172645463325252u64;
        (0..n)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 40) as f32 / 1024.0 - 8192.0
            })
            .collect()
    }

    fn output(input: usize, kernel: usize, stride: usize, padding: usize, dilation: usize, ceil: bool) -> usize {
        let span = input + 2 * padding - dilation * (kernel - 1) - 1;
        let mut out = (span + if ceil { stride - 1 } else { 0 }) / stride + 1;
        if ceil && (out - 1) * stride >= input + padding {
            out -= 1;
        }
        out
    }

    fn windows() -> Vec<Window> {
        let mut all = vec![];
        for input in [[1, 8, 8], [1, 9, 7], [1, 1, 300], [4, 5, 6], [2, 6, 270]] {
            for (kernel, stride, padding, dilation) in [(2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 1, 1), (2, 3, 1, 1), (3, 1, 1, 2), (2, 1, 0, 1)]
            {
                for ceil in [false, true] {
                    let mut w = Window { input, output: [1; 3], kernel: [1; 3], stride: [1; 3], padding: [0; 3], dilation: [1; 3] };
                    let mut fits = true;
                    for (k, &size) in input.iter().enumerate() {
                        // Depth 2 is left unpooled, so that planes of several slices are tested with 2 x 2 windows.
                        if size > 2 {
                            fits &= size + 2 * padding > dilation * (kernel - 1);
                            (w.kernel[k], w.stride[k], w.padding[k], w.dilation[k]) = (kernel, stride, padding, dilation);
                        }
                    }
                    if fits {
                        (0..3).for_each(|k| w.output[k] = output(input[k], w.kernel[k], w.stride[k], w.padding[k], w.dilation[k], ceil));
                        all.push(w);
                    }
                }
            }
        }
        all
    }

    /// Input places of one output's window in order.
    fn places(w: &Window, at: [usize; 3]) -> Vec<usize> {
        let mut all = vec![];
        for kd in 0..w.kernel[0] {
            for kh in 0..w.kernel[1] {
                for kw in 0..w.kernel[2] {
                    let place: Vec<isize> = [kd, kh, kw]
                        .iter()
                        .enumerate()
                        .map(|(k, &at_kernel)| (at[k] * w.stride[k] + at_kernel * w.dilation[k]) as isize - w.padding[k] as isize)
                        .collect();
                    if (0..3).all(|k| place[k] >= 0 && place[k] < w.input[k] as isize) {
                        all.push((place[0] as usize * w.input[1] + place[1] as usize) * w.input[2] + place[2] as usize);
                    }
                }
            }
        }
        all
    }

    fn each_output(output: [usize; 3]) -> impl Iterator<Item = [usize; 3]> {
        (0..output.iter().product()).map(move |i: usize| [i / (output[1] * output[2]), i / output[2] % output[1], i % output[2]])
    }

    #[test]
    fn maxima_and_their_places_equal_naive_loops() {
        for w in windows() {
            let planes = 3;
            let mut x = numbers(planes * w.input_len());
            x[0] = f32::NAN;
            x[w.input_len() / 2] = f32::NAN;
            x[w.input_len()..2 * w.input_len()].fill(f32::NEG_INFINITY);
            let n = planes * w.output_len();
            let (mut y, mut alone, mut indices) = (vec![0f32; n], vec![0f32; n], vec![-1i64; n]);
            // SAFETY: sizes as stated.
            unsafe {
                max_pool(DType::F32, &w, planes, x.as_ptr().cast(), y.as_mut_ptr().cast(), Some(indices.as_mut_ptr()));
                max_pool(DType::F32, &w, planes, x.as_ptr().cast(), alone.as_mut_ptr().cast(), None);
            }
            let mut expected_dx = vec![0f32; x.len()];
            for p in 0..planes {
                for (i, at) in each_output(w.output).enumerate() {
                    let inside = places(&w, at);
                    let (mut best, mut place) = (f32::NEG_INFINITY, inside[0]);
                    for &k in &inside {
                        let value = x[p * w.input_len() + k];
                        if value > best || value.is_nan() {
                            (best, place) = (value, k);
                        }
                    }
                    let o = p * w.output_len() + i;
                    assert_eq!((y[o].to_bits(), alone[o].to_bits(), indices[o]), (best.to_bits(), best.to_bits(), place as i64), "{w:?}");
                    expected_dx[p * w.input_len() + place] += o as f32;
                }
            }
            let dy: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let mut dx = vec![f32::NAN; x.len()];
            // SAFETY: sizes as stated.
            unsafe {
                let (input, output) = (w.input_len(), w.output_len());
                max_pool_backward(DType::F32, planes, input, output, dy.as_ptr().cast(), indices.as_ptr(), dx.as_mut_ptr().cast())
            };
            assert_eq!(dx, expected_dx);
        }
    }

    #[test]
    fn averages_and_their_gradients_equal_naive_loops() {
        for w in windows().into_iter().filter(|w| w.dilation == [1; 3]) {
            for rule in [Divisor::WithPadding, Divisor::Inside, Divisor::Fixed(5)] {
                let planes = 2;
                let x: Vec<f64> = numbers(planes * w.input_len()).iter().map(|&x| x as f64).collect();
                let n = planes * w.output_len();
                let mut y = vec![0f64; n];
                let dy: Vec<f64> = (0..n).map(|i| (i * 7 % 31) as f64).collect();
                let (mut dx, mut expected_dx) = (vec![f64::NAN; x.len()], vec![0f64; x.len()]);
                // SAFETY: sizes as stated.
                unsafe {
                    avg_pool(DType::F64, &w, rule, planes, x.as_ptr().cast(), y.as_mut_ptr().cast());
                    avg_pool_backward(DType::F64, &w, rule, planes, dy.as_ptr().cast(), dx.as_mut_ptr().cast());
                }
                for p in 0..planes {
                    for (i, at) in each_output(w.output).enumerate() {
                        let inside = places(&w, at);
                        let with_padding: usize = (0..3)
                            .map(|k| (at[k] * w.stride[k] + w.kernel[k]).min(w.input[k] + 2 * w.padding[k]) - at[k] * w.stride[k])
                            .product();
                        let divisor = match rule {
                            Divisor::WithPadding => with_padding as f64,
                            Divisor::Inside => inside.len() as f64,
                            Divisor::Fixed(n) => n as f64,
                        };
                        let sum = inside.iter().fold(0.0, |sum, &k| sum + x[p * w.input_len() + k]);
                        let o = p * w.output_len() + i;
                        assert_eq!(y[o], sum / divisor, "{w:?} {rule:?}");
                        inside.iter().for_each(|&k| expected_dx[p * w.input_len() + k] += dy[o] / divisor);
                    }
                }
                assert_eq!(dx, expected_dx, "{w:?} {rule:?}");
            }
        }
    }

    #[test]
    fn adaptive_pools_equal_naive_loops() {
        for (input, output) in
            [([1, 7, 9], [1, 3, 4]), ([1, 5, 5], [1, 1, 1]), ([3, 4, 100], [2, 3, 7]), ([1, 2, 3], [1, 5, 7]), ([1, 1, 4], [1, 0, 2])]
        {
            let sizes = Adaptive { input, output };
            let ((len, n), planes) = (sizes.lens(), 2);
            let x = numbers(planes * len);
            let dy: Vec<f32> = (0..planes * n).map(|i| i as f32).collect();
            let (mut mean, mut most, mut indices) = (vec![0f32; planes * n], vec![0f32; planes * n], vec![0i64; planes * n]);
            let (mut dx, mut expected) = (vec![0f32; x.len()], vec![0f32; x.len()]);
            // SAFETY: sizes as stated.
            unsafe {
                adaptive_avg_pool(DType::F32, &sizes, planes, x.as_ptr().cast(), mean.as_mut_ptr().cast());
                adaptive_max_pool(DType::F32, &sizes, planes, x.as_ptr().cast(), most.as_mut_ptr().cast(), indices.as_mut_ptr());
                adaptive_avg_pool_backward(DType::F32, &sizes, planes, dy.as_ptr().cast(), dx.as_mut_ptr().cast());
            }
            for p in 0..planes {
                for (i, at) in each_output(output).enumerate() {
                    let ranges: Vec<_> =
                        (0..3).map(|k| at[k] * input[k] / output[k]..((at[k] + 1) * input[k]).div_ceil(output[k])).collect();
                    let inside: Vec<usize> = ranges[0]
                        .clone()
                        .flat_map(|d| ranges[1].clone().map(move |h| (d, h)))
                        .flat_map(|(d, h)| ranges[2].clone().map(move |w| (d * input[1] + h) * input[2] + w))
                        .collect();
                    let o = p * n + i;
                    let sum: f64 = inside.iter().map(|&k| x[p * len + k] as f64).sum();
                    assert!((mean[o] as f64 - sum / inside.len() as f64).abs() < 2e-3, "{input:?}");
                    let place = inside.iter().copied().reduce(|a, b| if x[p * len + b] > x[p * len + a] { b } else { a }).unwrap();
                    assert_eq!((most[o], indices[o]), (x[p * len + place], place as i64));
                    inside.iter().for_each(|&k| expected[p * len + k] += dy[o] / inside.len() as f32);
                }
            }
            assert_eq!(dx, if n == 0 { vec![0.0; x.len()] } else { expected });
        }
    }

    #[test]
    fn half_precision_is_computed_in_single() {
        use half::f16;
        let x: Vec<f16> = [1.0f32, 2.0, 3.0, 4.5].iter().map(|&x| f16::from_f32(x)).collect();
        let w = Window { input: [1, 2, 2], output: [1; 3], kernel: [1, 2, 2], stride: [1, 2, 2], padding: [0; 3], dilation: [1; 3] };
        let (mut y, mut index) = ([f16::ZERO; 2], [0i64]);
        // SAFETY: one plane of 2 x 2.
        unsafe {
            max_pool(DType::F16, &w, 1, x.as_ptr().cast(), y.as_mut_ptr().cast(), Some(index.as_mut_ptr()));
            avg_pool(DType::F16, &w, Divisor::Inside, 1, x.as_ptr().cast(), y.as_mut_ptr().add(1).cast());
        }
        assert_eq!((y[0].to_f32(), y[1], index[0]), (4.5, f16::from_f32(2.625), 3));
    }
}
