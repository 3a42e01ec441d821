//! Convolutions over one to three spatial dimensions: forward, with respect to the input (also the transposed convolution), to the
//! weights and to the bias.
//!
//! Nothing is unfolded: a block of the image is copied once with its padding, its columns sorted by stride phase, so that every tap of
//! every output vector is one contiguous load at a tabulated offset, and the micro-kernels of `gemm` multiply from there.
//! Work is divided by size only, so bits do not depend on the number of threads. f16 and bf16 are computed in f32 and rounded once.
//! Error of an output that sums k products: |error| <= (k + 3) u Σ|products|, u the unit roundoff of the computing type.

use crate::gemm::tile::{Machine, OffsetColumns, PackedRows, Real, Target, Task, lanes, load, multiply, panel, run, splat, store};
use crate::gemm::{Element, Scratch, Shared, pack_rows};
use crate::memory::{Dst, Src};
use crate::parallel::par_for;
use fearless_simd::{Level, Select, SimdBase, SimdFloat};
use half::{bf16, f16};
use smallvec::SmallVec;

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
        assert!(self.groups > 0 && self.in_channels % self.groups == 0 && self.out_channels % self.groups == 0, "conv: groups do not divide");
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
    /// Whether elements are the computing type themselves.
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
    f16, f32, false, crate::gemm::Half::widen, f16::from_f32;
    bf16, f32, false, crate::gemm::Half::widen, bf16::from_f32;
}

/// Multiply-adds of a unit of parallel work: some 15 µs.
const GRAIN: usize = 1 << 19;
/// Bytes of image that a unit of work copies at most (if a row is not larger): with the weights' panel this stays in a level-2 cache.
const REGION_BYTES: usize = 160 << 10;

/// Output positions and the source positions that each of them sees: o · step + tap.
struct Stencil {
    /// Source channels of a group.
    channels: usize,
    source: [usize; 3],
    taps: Vec<[isize; 3]>,
    step: [usize; 3],
    grid: [usize; 3],
    low: [isize; 3],
    /// Greatest minus least tap.
    span: [usize; 3],
    /// For each column phase (source column - low) mod step: its place among the used ones.
    phases: SmallVec<[Option<usize>; 4]>,
    used_phases: usize,
}

/// How a block of the source lies in scratch: channel, plane, row, column phase, column.
#[derive(Clone, Copy)]
struct Region {
    planes: usize,
    rows: usize,
    phase: usize,
    row: usize,
    channel: usize,
}

impl Stencil {
    fn new(channels: usize, source: [usize; 3], taps: Vec<[isize; 3]>, step: [usize; 3], grid: [usize; 3]) -> Stencil {
        let low = std::array::from_fn(|d| taps.iter().map(|tap| tap[d]).min().unwrap_or(0));
        let span = std::array::from_fn(|d| taps.iter().map(|tap| (tap[d] - low[d]) as usize).max().unwrap_or(0));
        let mut used_phases = 0;
        let phases = (0..step[2])
            .map(|phase| {
                let used = taps.iter().any(|tap| (tap[2] - low[2]) as usize % step[2] == phase);
                used_phases += used as usize;
                used.then(|| used_phases - 1)
            })
            .collect();
        Stencil { channels, source, taps, step, grid, low, span, phases, used_phases }
    }

    /// The block that serves so many output planes and rows.
    fn region(&self, planes: usize, rows: usize) -> Region {
        let planes = (planes - 1) * self.step[0] + self.span[0] + 1;
        let rows = (rows - 1) * self.step[1] + self.span[1] + 1;
        let phase = ((self.grid[2] - 1) * self.step[2] + self.span[2] + 1).div_ceil(self.step[2]);
        let row = phase * self.used_phases;
        let mut channel = planes * rows * row;
        // Channels a power of two apart would fall into the same sets of the cache.
        if channel.is_multiple_of(128) {
            channel += 16;
        }
        Region { planes, rows, phase, row, channel }
    }

    /// Where `tap` lies, seen from an output's base.
    fn tap_offset(&self, region: &Region, tap: [isize; 3]) -> usize {
        let [plane, row, column] = std::array::from_fn(|d| (tap[d] - self.low[d]) as usize);
        let phase = self.phases[column % self.step[2]].expect("taps use their phases");
        (plane * region.rows + row) * region.row + phase * region.phase + column / self.step[2]
    }

    /// The base of output column 0 in the plane and row that are so far into the region.
    fn base(&self, region: &Region, plane: usize, row: usize) -> usize {
        (plane * self.step[0] * region.rows + row * self.step[1]) * region.row
    }

    /// Offsets of all channels and taps, in the order of the weights.
    fn offsets(&self, region: &Region) -> Vec<u32> {
        let channels = 0..self.channels;
        channels.flat_map(|channel| self.taps.iter().map(move |&tap| (channel * region.channel + self.tap_offset(region, tap)) as u32)).collect()
    }

    /// Copies what the outputs of planes and rows from `first` on see of `channels` channels at `source`.
    ///
    /// # Safety
    /// The channels are readable at `source` and `out` has room for them.
    #[inline(always)]
    unsafe fn copy<E: ConvElement>(&self, region: &Region, source: *const E, channels: usize, first: [usize; 2], out: *mut E::Real) {
        let image: usize = self.source.iter().product();
        let [depth, height, width] = self.source.map(|size| size as isize);
        let step = self.step[2] as isize;
        let reaches = |d: usize, at: usize| self.step[d] == 1 || self.taps.iter().any(|tap| at % self.step[d] == (tap[d] - self.low[d]) as usize % self.step[d]);
        for plane in 0..region.planes {
            let z = (first[0] * self.step[0] + plane) as isize + self.low[0];
            for row in 0..region.rows {
                if !reaches(0, plane) || !reaches(1, row) {
                    continue;
                }
                let y = (first[1] * self.step[1] + row) as isize + self.low[1];
                let inside = z >= 0 && z < depth && y >= 0 && y < height;
                for (phase, place) in self.phases.iter().enumerate() {
                    let Some(place) = place else { continue };
                    // Columns at which the source is met: start + j * step in 0..width.
                    let start = phase as isize + self.low[2];
                    let from = if start >= 0 { 0 } else { (-start + step - 1) / step };
                    let until = if start >= width { 0 } else { (width - start + step - 1) / step };
                    let (from, until) = (from.min(region.phase as isize) as usize, until.clamp(0, region.phase as isize) as usize);
                    let (from, until) = if inside && from < until { (from, until) } else { (0, 0) };
                    for channel in 0..channels {
                        let to = out.wrapping_add(channel * region.channel + (plane * region.rows + row) * region.row + place * region.phase);
                        let line = source.wrapping_add(channel * image).wrapping_offset((z * height + y) * width + start);
                        // SAFETY: `from..until` are the columns inside of the source; the rest of the row in scratch becomes 0.
                        unsafe {
                            (0..from).for_each(|at| *to.add(at) = E::Real::ZERO);
                            if step == 1 {
                                (from..until).for_each(|at| *to.add(at) = (*line.add(at)).widen());
                            } else {
                                (from..until).for_each(|at| *to.add(at) = (*line.offset(at as isize * step)).widen());
                            }
                            (until..region.phase).for_each(|at| *to.add(at) = E::Real::ZERO);
                        }
                    }
                }
            }
        }
    }
}

/// One vector of outputs.
#[derive(Clone, Copy)]
struct Place {
    /// Base in the scratch region.
    source: u32,
    /// First output, relative to the first one of the unit of work.
    target: isize,
    /// Outputs in use.
    count: u32,
}

/// Weights times what a stencil sees: the forward convolution, and for every stride phase the one with respect to the input.
struct Correlation<'a, E: ConvElement> {
    stencil: &'a Stencil,
    batch: usize,
    groups: usize,
    /// Output channels of a group.
    rows: usize,
    source: *const E,
    out: *mut E,
    /// Elements of one output image, channel, and between neighbouring outputs of the grid.
    out_image: usize,
    out_channel: usize,
    out_strides: [usize; 3],
    /// Packed for every group: panels of rows, depth, row.
    weights: *const E::Real,
    /// A value for each output channel, or null.
    bias: *const E::Real,
}

// SAFETY: plain addresses; units of work write disjoint outputs.
unsafe impl<E: ConvElement> Send for Correlation<'_, E> {}
// SAFETY: as above.
unsafe impl<E: ConvElement> Sync for Correlation<'_, E> {}

impl<E: ConvElement> Task for &Correlation<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Machine>(self, simd: S) {
        let (job, stencil) = (self, self.stencil);
        let vector = lanes::<S, E::Real>();
        let [planes, rows, columns] = stencil.grid;
        let depth = stencil.channels * stencil.taps.len();
        let panels = job.rows.div_ceil(S::ROWS);
        // Rows of the grid as vectors, the last one overlapping, waste lanes; gathering pixels into full vectors costs some 24 multiply-adds an element.
        let waste = columns.div_ceil(vector) * vector;
        let gather = columns < vector || waste * job.rows > columns * (job.rows + 24);
        // Whole images while they are small, else bands of planes or rows.
        let row_work = job.rows * depth.max(1) * columns;
        let fits = |planes: usize, rows: usize| {
            let bytes = stencil.region(planes, rows).channel * stencil.channels * size_of::<E::Real>();
            bytes <= REGION_BYTES && planes * rows * row_work <= 4 * GRAIN
        };
        let most = |total: usize, fits: &dyn Fn(usize) -> bool| (1..=total).rev().find(|&size| fits(size)).unwrap_or(1);
        let band_rows = if fits(1, rows) { rows } else { most(rows, &|size| fits(1, size)) };
        let band_planes = if band_rows == rows { most(planes, &|size| fits(size, rows)) } else { 1 };
        let band_rows = rows.div_ceil(rows.div_ceil(band_rows));
        let whole = band_rows == rows && band_planes == planes;
        let region = stencil.region(band_planes, band_rows);
        let region_len = region.channel * stencil.channels;
        let work = row_work * band_rows * band_planes;
        let images = if whole {
            let room = (REGION_BYTES / size_of::<E::Real>() / region_len.max(1)).max(1);
            (GRAIN / work).clamp(1, room).min(job.batch)
        } else {
            1
        };
        let image_units = job.batch.div_ceil(images);
        let bands = [planes.div_ceil(band_planes), rows.div_ceil(band_rows)];
        let units = image_units * job.groups * bands[0] * bands[1];
        // Few units: divide the output channels too.
        let splits = if units >= 16 { 1 } else { (16 / units).min(work / GRAIN).min(job.rows / 48).max(1) };
        let offsets = stencil.offsets(&region);
        let table = offsets.as_slice();
        par_for(units * splits, &|unit| {
            simd.vectorize(
                #[inline(always)]
                || {
                    let (split, unit) = (unit % splits, unit / splits);
                    let (row_band, unit) = (unit % bands[1], unit / bands[1]);
                    let (plane_band, unit) = (unit % bands[0], unit / bands[0]);
                    let (group, unit) = (unit % job.groups, unit / job.groups);
                    let first = [plane_band * band_planes, row_band * band_rows];
                    let block = Block {
                        images: unit * images..job.batch.min((unit + 1) * images),
                        group,
                        first,
                        planes: band_planes.min(planes - first[0]),
                        rows: band_rows.min(rows - first[1]),
                        panels: panel(panels, splits, split),
                    };
                    // SAFETY: whoever made the job vouched for its pointers.
                    unsafe { job.block::<S>(simd, &block, &region, table, gather) }
                },
            )
        });
    }
}

/// A unit of work: some images, one group, some planes and rows of the grid, some panels of output channels.
struct Block {
    images: std::ops::Range<usize>,
    group: usize,
    first: [usize; 2],
    planes: usize,
    rows: usize,
    panels: std::ops::Range<usize>,
}

impl<E: ConvElement> Correlation<'_, E> {
    /// # Safety
    /// The job's pointers are good for its sizes.
    #[inline(always)]
    unsafe fn block<S: Machine>(&self, simd: S, block: &Block, region: &Region, offsets: &[u32], gather: bool) {
        let stencil = self.stencil;
        let vector = lanes::<S, E::Real>();
        let columns = stencil.grid[2];
        let depth = offsets.len();
        let region_len = region.channel * stencil.channels;
        let source_len: usize = stencil.source.iter().product();
        let mut scratch = Scratch::of::<E::Real>(region_len * block.images.len());
        let copy = scratch.ptr::<E::Real>();
        for (at, image) in block.images.clone().enumerate() {
            let source = self.source.wrapping_add((image * self.groups + block.group) * stencil.channels * source_len);
            // SAFETY: the image has these channels, the scratch room for all regions.
            unsafe { stencil.copy::<E>(region, source, stencil.channels, block.first, copy.add(at * region_len)) };
        }
        let copy = copy.cast_const();
        let origin = block.images.start * self.out_image
            + block.group * self.rows * self.out_channel
            + block.first[0] * self.out_strides[0]
            + block.first[1] * self.out_strides[1];
        let out = self.out.wrapping_add(origin);
        // Output positions of this block: image, plane, row; then columns.
        let lines = || {
            let (planes, rows) = (block.planes, block.rows);
            (0..block.images.len()).flat_map(move |image| {
                (0..planes).flat_map(move |plane| {
                    (0..rows).map(move |row| {
                        let source = image * region_len + stencil.base(region, plane, row);
                        (source, image * self.out_image + plane * self.out_strides[0] + row * self.out_strides[1])
                    })
                })
            })
        };
        let step = self.out_strides[2];
        let total_panels = self.rows.div_ceil(S::ROWS);
        let weights = self.weights.wrapping_add(block.group * self.rows * depth);
        let finish = |rows: std::ops::Range<usize>| Target {
            ptr: out.cast::<E::Real>(),
            row: self.out_channel as isize,
            column: step as isize,
            alpha: E::Real::ONE,
            plus: if self.bias.is_null() { self.bias } else { self.bias.wrapping_add(block.group * self.rows + rows.start) },
            plus_row: 1,
            plus_column: 0,
            factor: E::Real::ONE,
            relu: false,
        };
        let channel = |rows: &std::ops::Range<usize>| out.wrapping_add(rows.start * self.out_channel);
        if !gather {
            let per_line = columns.div_ceil(vector);
            let count = block.images.len() * block.planes * block.rows * per_line;
            let mut place_scratch = Scratch::of::<Place>(count);
            let places = place_scratch.ptr::<Place>();
            let mut at = 0;
            for (source, target) in lines() {
                for part in 0..per_line {
                    // The last vector of a row ends with it: it repeats some outputs instead of leaving the row.
                    let column = (part * vector).min(columns - vector);
                    let place = Place { source: (source + column) as u32, target: (target + column * step) as isize, count: vector as u32 };
                    // SAFETY: `count` places were asked for.
                    unsafe { places.add(at).write(place) };
                    at += 1;
                }
            }
            // SAFETY: all have been written.
            let places = unsafe { std::slice::from_raw_parts(places.cast_const(), count) };
            // As many panels of weights at a time as leave room in the level-1 and level-2 caches.
            let group = ((96 << 10) / (S::ROWS * depth.max(1) * size_of::<E::Real>())).max(1);
            let mut start = block.panels.start;
            while start < block.panels.end {
                let end = block.panels.end.min(start + group);
                for pair in places.chunks(2) {
                    let vectors = [copy.wrapping_add(pair[0].source as usize), copy.wrapping_add(pair[pair.len() - 1].source as usize)];
                    let b = OffsetColumns { vectors, offsets: offsets.as_ptr() };
                    for at in start..end {
                        let rows = panel(self.rows, total_panels, at);
                        let a = PackedRows(weights.wrapping_add(rows.start * depth));
                        let out = channel(&rows);
                        // SAFETY: every place sees the whole stencil inside of the copy; its outputs belong to this block.
                        unsafe { self.tile::<S>(simd, rows.len(), pair, depth, a, b, finish(rows), out, step == 1, std::ptr::null()) };
                    }
                }
                start = end;
            }
            return;
        }
        // Pixels are gathered into full vectors.
        let pixels = block.images.len() * block.planes * block.rows * columns;
        let vectors = pixels.div_ceil(vector);
        let mut place_scratch = Scratch::of::<Place>(vectors * vector);
        let place = place_scratch.ptr::<Place>();
        for (at, (source, target)) in lines().enumerate() {
            for column in 0..columns {
                // SAFETY: there are so many pixels.
                unsafe { place.add(at * columns + column).write(Place { source: (source + column) as u32, target: (target + column * step) as isize, count: 1 }) };
            }
        }
        // SAFETY: all pixels have been written.
        let places = unsafe { std::slice::from_raw_parts(place.cast_const(), pixels) };
        // Sums of 16-bit floats must not be stored before they are complete.
        let most = if E::DIRECT { 256 } else { depth.max(1) };
        let depth_step = depth.div_ceil(depth.div_ceil(most).max(1)).max(1);
        let width = 2 * vector;
        let mut packed_scratch = Scratch::of::<E::Real>(vectors.next_multiple_of(2) * vector * depth_step);
        let packed = packed_scratch.ptr::<E::Real>();
        let tables: [SmallVec<[u32; 256]>; 2] = [1, 2].map(|v| (0..depth_step).map(|at| (at * v * vector) as u32).collect());
        let mut first = 0;
        loop {
            let here = depth_step.min(depth - first);
            for (tile, pixels) in places.chunks(width).enumerate() {
                let width = if pixels.len() > vector { width } else { vector };
                let to = packed.wrapping_add(tile * 2 * vector * depth_step);
                for (at, &offset) in offsets[first..first + here].iter().enumerate() {
                    for (lane, pixel) in pixels.iter().enumerate() {
                        // SAFETY: every pixel sees the whole stencil inside of the copy.
                        unsafe { *to.add(at * width + lane) = *copy.add((pixel.source + offset) as usize) };
                    }
                    // SAFETY: the panel has `width` lanes.
                    (pixels.len()..width).for_each(|lane| unsafe { *to.add(at * width + lane) = E::Real::ZERO });
                }
            }
            for at in block.panels.clone() {
                let rows = panel(self.rows, total_panels, at);
                let a = PackedRows(weights.wrapping_add(rows.start * depth + first * rows.len()));
                let out = channel(&rows);
                for (tile, pixels) in places.chunks(width).enumerate() {
                    let from = packed.cast_const().wrapping_add(tile * 2 * vector * depth_step);
                    let two = pixels.len() > vector;
                    let offsets = tables[two as usize].as_ptr();
                    let b = OffsetColumns { vectors: [from, from.wrapping_add(vector)], offsets };
                    let mut pair: SmallVec<[Place; 2]> = SmallVec::new();
                    let mut straight = true;
                    for part in pixels.chunks(vector) {
                        pair.push(Place { count: part.len() as u32, ..part[0] });
                        straight &= step == 1 && part.len() == vector && part[vector - 1].target - part[0].target == vector as isize - 1;
                    }
                    let target = finish(rows.clone()).pass(first == 0, true);
                    // SAFETY: the panels are packed; the outputs of these pixels belong to this block.
                    unsafe { self.tile::<S>(simd, rows.len(), &pair, here, a, b, target, out, straight, pixels.as_ptr()) };
                }
            }
            first += here;
            if first >= depth {
                return;
            }
        }
    }

    /// Multiplies one panel of weights with one or two vectors of outputs and writes them to `out`. Lanes go where `pixels` says, or,
    /// if it is null, `target.column` apart. If `target` adds what is there, its `plus` is the target itself.
    ///
    /// # Safety
    /// As for `block`.
    #[inline(always)]
    unsafe fn tile<S: Machine>(
        &self,
        simd: S,
        height: usize,
        pair: &[Place],
        depth: usize,
        a: PackedRows<E::Real>,
        b: OffsetColumns<E::Real>,
        target: Target<E::Real>,
        out: *mut E,
        straight: bool,
        pixels: *const Place,
    ) {
        let vector = lanes::<S, E::Real>();
        macro_rules! heights {
            ($vectors:literal, $($height:literal)*) => {
                match height {
                    $($height if $height <= S::ROWS => {
                        // SAFETY: the caller vouches for both operands.
                        let sums = unsafe { multiply::<S, E::Real, $height, $vectors>(simd, depth, a, b) };
                        if straight && E::DIRECT {
                            for row in 0..$height {
                                for part in 0..$vectors {
                                    // SAFETY: a straight vector of outputs lies in one piece; `E` is the computing type.
                                    unsafe {
                                        let to = out.offset(row as isize * target.row + pair[part].target).cast::<E::Real>();
                                        let value = if target.adds_itself() {
                                            sums[row][part] + load(simd, to.cast_const())
                                        } else {
                                            let plus = if target.plus.is_null() { target.plus } else { target.plus.add(row) };
                                            target.finish(simd, sums[row][part], plus)
                                        };
                                        store::<S, E::Real>(to, value);
                                    }
                                }
                            }
                        } else {
                            // SAFETY: the sums are $height * $vectors vectors.
                            unsafe { self.scatter((&raw const sums).cast(), $height, $vectors * vector, vector, pair, target, out, pixels) };
                        }
                    })*
                    _ => unreachable!("no tile has {height} rows"),
                }
            };
        }
        if pair.len() == 2 {
            heights!(2, 1 2 3 4 5 6 7 8 9 10 11 12)
        } else {
            heights!(1, 1 2 3 4 5 6 7 8 9 10 11 12)
        }
    }

    /// # Safety
    /// As for `tile`.
    unsafe fn scatter(
        &self,
        sums: *const E::Real,
        height: usize,
        stride: usize,
        vector: usize,
        pair: &[Place],
        target: Target<E::Real>,
        out: *mut E,
        pixels: *const Place,
    ) {
        for row in 0..height {
            let out = out.wrapping_offset(row as isize * target.row);
            for (part, place) in pair.iter().enumerate() {
                for lane in 0..place.count as usize {
                    // SAFETY: the caller vouches for sums, bias and outputs.
                    unsafe {
                        let offset = if pixels.is_null() {
                            place.target + lane as isize * target.column
                        } else {
                            (*pixels.add(part * vector + lane)).target
                        };
                        let to = out.offset(offset);
                        let mut value = *sums.add(row * stride + part * vector + lane);
                        if target.adds_itself() {
                            value += (*to).widen();
                        } else if !target.plus.is_null() {
                            value += *target.plus.add(row);
                        }
                        to.write(E::narrow(value));
                    }
                }
            }
        }
    }
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

/// A bias, widened.
fn widened<E: ConvElement>(bias: Option<Src<E>>, len: usize) -> Option<Vec<E::Real>> {
    let bias = pointer(bias?, len, "bias");
    // SAFETY: `Src` vouches for `len` elements.
    Some((0..len).map(|at| unsafe { *bias.add(at) }.widen()).collect())
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
    let bias = widened(bias, shape.out_channels);
    let out_pointer = target_pointer(&out, shape.batch * shape.out_channels * shape.output_len(), "output");
    if out.is_empty() {
        return;
    }
    let stencil = shape.stencil();
    let pack = Pack { groups: shape.groups, rows: shape.out_group(), depth, source: weight, row: depth, group: shape.out_group() * depth, places: None };
    let mut scratch = Scratch::of::<E::Real>(shape.out_channels * depth);
    let weights = scratch.ptr::<E::Real>();
    run(level, PackTask { pack: &pack, out: Shared(weights) });
    let job = Correlation {
        stencil: &stencil,
        batch: shape.batch,
        groups: shape.groups,
        rows: shape.out_group(),
        source: x,
        out: out_pointer,
        out_image: shape.out_channels * shape.output_len(),
        out_channel: shape.output_len(),
        out_strides: [shape.output[1] * shape.output[2], shape.output[2], 1],
        weights,
        bias: bias.as_ref().map_or(std::ptr::null(), |bias| bias.as_ptr()),
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
    let weight = pointer(weight, shape.out_channels * shape.in_group() * taps, "weight");
    let bias = widened(bias, shape.in_channels);
    let out = target_pointer(&dx, shape.batch * shape.in_channels * shape.input_len(), "result");
    if dx.is_empty() {
        return;
    }
    let mut scratch = Scratch::of::<E::Real>(shape.in_channels * shape.out_group() * taps);
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
            let position: [isize; 3] = std::array::from_fn(|d| residue[d] + shape.padding[d] as isize - (tap[d] * shape.dilation[d]) as isize);
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
            source: weight,
            row: taps,
            group: shape.out_group() * shape.in_group() * taps,
            places: Some((shape.in_group() * taps, &places)),
        };
        run(level, PackTask { pack: &pack, out: Shared(weights) });
        let [_, height, width] = shape.input;
        let start = (residue[0] as usize * height + residue[1] as usize) * width + residue[2] as usize;
        let job = Correlation {
            stencil: &stencil,
            batch: shape.batch,
            groups: shape.groups,
            rows: shape.in_group(),
            source: dy,
            out: out.wrapping_add(start),
            out_image: shape.in_channels * shape.input_len(),
            out_channel: shape.input_len(),
            out_strides: [shape.stride[0] * height * width, shape.stride[1] * width, shape.stride[2]],
            weights,
            bias: bias.as_ref().map_or(std::ptr::null(), |bias| bias.as_ptr()),
        };
        run(level, &job);
    }
}

/// The weights as the micro-kernels read them.
struct Pack<'a, E> {
    groups: usize,
    rows: usize,
    depth: usize,
    source: *const E,
    /// Between rows and between groups of the source.
    row: usize,
    group: usize,
    /// If the depth is not contiguous: the step from channel to channel, and for each channel the places of its taps.
    places: Option<(usize, &'a [usize])>,
}

struct PackTask<'a, E: ConvElement> {
    pack: &'a Pack<'a, E>,
    out: Shared<E::Real>,
}

// SAFETY: the source is only read.
unsafe impl<E> Sync for Pack<'_, E> {}

impl<E: ConvElement> Task for PackTask<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Machine>(self, simd: S) {
        let (pack, out) = (self.pack, self.out);
        let panels = pack.rows.div_ceil(S::ROWS);
        let group = (4096 / (S::ROWS * pack.depth).max(1)).max(1);
        let total = panels * pack.groups;
        par_for(total.div_ceil(group), &|unit| {
            simd.vectorize(
                #[inline(always)]
                || {
                    for at in unit * group..total.min((unit + 1) * group) {
                        let rows = panel(pack.rows, panels, at % panels);
                        let height = rows.len();
                        let source = pack.source.wrapping_add(at / panels * pack.group + rows.start * pack.row);
                        let to = out.get().wrapping_add((at / panels * pack.rows + rows.start) * pack.depth);
                        // SAFETY: the weights have these rows and taps; panels are disjoint.
                        unsafe {
                            match pack.places {
                                None if E::DIRECT => pack_rows(simd, source.cast::<E::Real>(), pack.row as isize, 1, height, pack.depth, to),
                                None => {
                                    for depth in 0..pack.depth {
                                        (0..height).for_each(|row| *to.add(depth * height + row) = (*source.add(row * pack.row + depth)).widen());
                                    }
                                }
                                Some((channel_step, places)) => {
                                    for channel in 0..pack.depth / places.len().max(1) {
                                        let source = source.wrapping_add(channel * channel_step);
                                        for (at, &place) in places.iter().enumerate() {
                                            let to = to.add((channel * places.len() + at) * height);
                                            (0..height).for_each(|row| *to.add(row) = (*source.add(row * pack.row + place)).widen());
                                        }
                                    }
                                }
                            }
                        }
                    }
                },
            )
        });
    }
}

/// Two positions whose products are summed: offsets in the copied image and in the gradient.
#[derive(Clone, Copy)]
struct Position {
    x: u32,
    dy: u32,
}

/// The gradient with respect to the weights: for every output channel and tap the sum over all output positions.
struct WeightGradient<'a, E: ConvElement> {
    shape: &'a ConvShape,
    stencil: &'a Stencil,
    x: *const E,
    dy: *const E,
    dw: *mut E,
}

// SAFETY: plain addresses; units of work write disjoint weights.
unsafe impl<E: ConvElement> Send for WeightGradient<'_, E> {}
// SAFETY: as above.
unsafe impl<E: ConvElement> Sync for WeightGradient<'_, E> {}

/// Output channels of a unit of work: each copied value of the image serves as many sums.
const WEIGHT_ROWS: usize = 32;
/// Output positions over which a tile sums before it adds to memory: four rows of the gradient then fill half of a level-1 cache.
const WEIGHT_POSITIONS: usize = 1024;

impl<E: ConvElement> Task for &WeightGradient<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Machine>(self, simd: S) {
        let (job, shape, stencil) = (self, self.shape, self.stencil);
        let vector = lanes::<S, E::Real>();
        let [planes, rows, columns] = stencil.grid;
        let (inputs, outputs, taps) = (shape.in_group(), shape.out_group(), stencil.taps.len());
        let weights = shape.out_channels * inputs * taps;
        let gather = columns < vector || columns.div_ceil(vector) * vector * outputs > columns * (outputs + 24);
        // One chunk: some images, or a band of one.
        let band_rows = rows.div_ceil(rows.div_ceil((WEIGHT_POSITIONS / columns).max(1)));
        let band_planes = if band_rows == rows { (WEIGHT_POSITIONS / (rows * columns)).clamp(1, planes) } else { 1 };
        let whole = band_rows == rows && band_planes == planes;
        let positions = band_planes * band_rows * columns;
        let images = if whole { (WEIGHT_POSITIONS / positions).clamp(1, shape.batch) } else { 1 };
        let bands = [planes.div_ceil(band_planes), rows.div_ceil(band_rows)];
        let chunks = shape.batch.div_ceil(images) * bands[0] * bands[1];
        let region = stencil.region(band_planes, band_rows);
        // A gathered channel holds all its taps.
        let channel_len = if gather { taps * (images * positions).next_multiple_of(vector) } else { region.channel * images };
        let input_block = (REGION_BYTES / size_of::<E::Real>() / channel_len).clamp(1, inputs);
        let input_blocks = inputs.div_ceil(input_block);
        let output_blocks = outputs.div_ceil(WEIGHT_ROWS);
        let units = shape.groups * input_blocks * output_blocks;
        // Few weights: chunks are divided too, into parts with sums of their own that are added in order.
        let total_work = weights * shape.batch * planes * rows * columns;
        let parts = if units >= 16 { 1 } else { 16usize.div_ceil(units).min(chunks).min((total_work / units / GRAIN).max(1)) };
        let mut scratch = Scratch::of::<E::Real>(parts * weights);
        let sums = Shared(scratch.ptr::<E::Real>());
        par_for(units * parts, &|unit| {
            simd.vectorize(
                #[inline(always)]
                || {
                    let (part, unit) = (unit / units, unit % units);
                    let (input_at, unit) = (unit % input_blocks, unit / input_blocks);
                    let (output_at, group) = (unit % output_blocks, unit / output_blocks);
                    let first_input = input_at * input_block;
                    let first_output = output_at * WEIGHT_ROWS;
                    let block = WeightBlock {
                        group,
                        inputs: first_input..inputs.min(first_input + input_block),
                        outputs: first_output..outputs.min(first_output + WEIGHT_ROWS),
                        sums: sums.get().wrapping_add(part * weights),
                    };
                    // SAFETY: whoever made the job vouched for its pointers; units write disjoint sums.
                    unsafe {
                        block.clear(shape, taps);
                        for chunk in panel(chunks, parts, part) {
                            let (row_band, chunk) = (chunk % bands[1], chunk / bands[1]);
                            let (plane_band, chunk) = (chunk % bands[0], chunk / bands[0]);
                            let first = [plane_band * band_planes, row_band * band_rows];
                            let served = [band_planes.min(planes - first[0]), band_rows.min(rows - first[1])];
                            let images = chunk * images..shape.batch.min((chunk + 1) * images);
                            job.chunk::<S>(simd, &block, &region, images, first, served, gather);
                        }
                    }
                },
            )
        });
        let unit = 1 << 14;
        par_for(weights.div_ceil(unit), &|at| {
            for at in at * unit..weights.min((at + 1) * unit) {
                // SAFETY: all sums are written; every weight is written once.
                unsafe {
                    let mut sum = *sums.get().add(at);
                    for part in 1..parts {
                        sum += *sums.get().add(part * weights + at);
                    }
                    job.dw.add(at).write(E::narrow(sum));
                }
            }
        });
    }
}

/// The weights of a unit of work: some input and output channels of a group.
struct WeightBlock<T> {
    group: usize,
    inputs: std::ops::Range<usize>,
    outputs: std::ops::Range<usize>,
    sums: *mut T,
}

impl<T: Real> WeightBlock<T> {
    /// The sums of an output channel, counted from the block's first one.
    fn row(&self, shape: &ConvShape, taps: usize, row: usize) -> *mut T {
        let output = self.group * shape.out_group() + self.outputs.start + row;
        self.sums.wrapping_add((output * shape.in_group() + self.inputs.start) * taps)
    }

    /// # Safety
    /// `sums` has room for all weights.
    unsafe fn clear(&self, shape: &ConvShape, taps: usize) {
        for row in 0..self.outputs.len() {
            let sums = self.row(shape, taps, row);
            // SAFETY: the caller vouches.
            (0..self.inputs.len() * taps).for_each(|at| unsafe { *sums.add(at) = T::ZERO });
        }
    }
}

impl<E: ConvElement> WeightGradient<'_, E> {
    /// Adds the products of one chunk.
    ///
    /// # Safety
    /// The job's pointers are good for its sizes.
    #[inline(always)]
    unsafe fn chunk<S: Machine>(
        &self,
        simd: S,
        block: &WeightBlock<E::Real>,
        region: &Region,
        images: std::ops::Range<usize>,
        first: [usize; 2],
        served: [usize; 2],
        gather: bool,
    ) {
        let (shape, stencil) = (self.shape, self.stencil);
        let vector = lanes::<S, E::Real>();
        let columns = stencil.grid[2];
        let (inputs, outputs, taps) = (block.inputs.len(), block.outputs.len(), stencil.taps.len());
        let region_len = region.channel * inputs;
        let mut scratch = Scratch::of::<E::Real>(region_len * images.len());
        let copy = scratch.ptr::<E::Real>();
        for (at, image) in images.clone().enumerate() {
            let channel = image * shape.in_channels + block.group * shape.in_group() + block.inputs.start;
            // SAFETY: the image has these channels, the scratch room for all regions.
            unsafe { stencil.copy::<E>(region, self.x.wrapping_add(channel * shape.input_len()), inputs, first, copy.add(at * region_len)) };
        }
        let copy = copy.cast_const();
        let dy_channel = shape.output_len();
        let dy_image = shape.out_channels * dy_channel;
        let dy = self.dy.wrapping_add(
            images.start * dy_image
                + (block.group * shape.out_group() + block.outputs.start) * dy_channel
                + (first[0] * stencil.grid[1] + first[1]) * columns,
        );
        let lines = || {
            (0..images.len()).flat_map(move |image| {
                (0..served[0]).flat_map(move |plane| {
                    (0..served[1]).map(move |row| {
                        let x = image * region_len + stencil.base(region, plane, row);
                        (x, image * dy_image + (plane * stencil.grid[1] + row) * columns)
                    })
                })
            })
        };
        let count = images.len() * served[0] * served[1];
        let pixels = count * columns;
        let padded = pixels.next_multiple_of(vector);
        // The gradient is read where it lies, or, gathered or to be widened, from a copy.
        let own = gather || !E::DIRECT;
        let mut dy_scratch = Scratch::of::<E::Real>(if own { outputs * padded } else { 0 });
        let dy_copy = dy_scratch.ptr::<E::Real>();
        if own {
            for row in 0..outputs {
                let to = dy_copy.wrapping_add(row * padded);
                let from = dy.wrapping_add(row * dy_channel);
                // SAFETY: a row of the copy has `padded` elements.
                unsafe {
                    for (at, (_, line)) in lines().enumerate() {
                        (0..columns).for_each(|column| *to.add(at * columns + column) = (*from.add(line + column)).widen());
                    }
                    (pixels..padded).for_each(|at| *to.add(at) = E::Real::ZERO);
                }
            }
        }
        let (dy_rows, dy_step) = if own { (dy_copy.cast_const(), padded) } else { (dy.cast::<E::Real>(), dy_channel) };
        let mut gathered_scratch = Scratch::of::<E::Real>(if gather { inputs * taps * padded } else { 0 });
        let gathered = gathered_scratch.ptr::<E::Real>();
        let per_line = if gather { 0 } else { columns / vector };
        let whole = if gather { padded / vector } else { count * per_line };
        let tails = if gather || columns.is_multiple_of(vector) { 0 } else { count };
        let mut position_scratch = Scratch::of::<Position>(whole + tails);
        let list = position_scratch.ptr::<Position>();
        // SAFETY: the lists have the lengths asked for; a vector never leaves its line.
        unsafe {
            if gather {
                let mut base_scratch = Scratch::of::<u32>(pixels);
                let bases = base_scratch.ptr::<u32>();
                for (at, (x, _)) in lines().enumerate() {
                    (0..columns).for_each(|column| *bases.add(at * columns + column) = (x + column) as u32);
                }
                for channel in 0..inputs {
                    for (tap, &place) in stencil.taps.iter().enumerate() {
                        let from = copy.add(channel * region.channel + stencil.tap_offset(region, place));
                        let to = gathered.add((channel * taps + tap) * padded);
                        (0..pixels).for_each(|at| *to.add(at) = *from.add(*bases.add(at) as usize));
                        (pixels..padded).for_each(|at| *to.add(at) = E::Real::ZERO);
                    }
                }
                (0..whole).for_each(|at| list.add(at).write(Position { x: (at * vector) as u32, dy: (at * vector) as u32 }));
            } else {
                for (at, (x, line)) in lines().enumerate() {
                    let line = if own { at * columns } else { line };
                    let position = |column: usize| Position { x: (x + column) as u32, dy: (line + column) as u32 };
                    (0..per_line).for_each(|part| list.add(at * per_line + part).write(position(part * vector)));
                    if tails > 0 {
                        // A row's rest is a vector that ends with the row; lanes that were counted already are masked.
                        list.add(whole + at).write(position(columns - vector));
                    }
                }
            }
            let list = std::slice::from_raw_parts(list.cast_const(), whole + tails);
            let (whole, tails) = list.split_at(whole);
            let x = if gather { gathered.cast_const() } else { copy };
            let offsets: SmallVec<[u32; 64]> = if gather {
                (0..inputs * taps).map(|at| (at * padded) as u32).collect()
            } else {
                let tap = |channel: usize| stencil.taps.iter().map(move |&tap| (channel * region.channel + stencil.tap_offset(region, tap)) as u32);
                (0..inputs).flat_map(tap).collect()
            };
            let sums = Sums { x, whole, tails, keep: columns % vector, offsets: &offsets };
            let mut row = 0;
            while row < outputs {
                let dy = dy_rows.add(row * dy_step);
                let out = block.row(shape, taps, row);
                let out_step = shape.in_group() * taps;
                row += match outputs - row {
                    1 => {
                        sums.add::<S, 1, 9>(simd, dy, dy_step, out, out_step);
                        1
                    }
                    2 | 3 => {
                        sums.add::<S, 2, 4>(simd, dy, dy_step, out, out_step);
                        2
                    }
                    _ if S::ROWS > 6 => {
                        sums.add::<S, 4, 6>(simd, dy, dy_step, out, out_step);
                        4
                    }
                    _ => {
                        sums.add::<S, 4, 3>(simd, dy, dy_step, out, out_step);
                        4
                    }
                };
            }
        }
    }
}

/// Dot products of rows of the gradient with what taps see.
struct Sums<'a, T> {
    x: *const T,
    whole: &'a [Position],
    /// Vectors of which only the last `keep` lanes count.
    tails: &'a [Position],
    keep: usize,
    offsets: &'a [u32],
}

impl<T: Real> Sums<'_, T> {
    /// Adds the sums of `H` output channels with all taps to `out`.
    ///
    /// # Safety
    /// All positions are readable; `out` has the sums.
    #[inline(always)]
    unsafe fn add<S: Machine, const H: usize, const W: usize>(&self, simd: S, dy: *const T, dy_step: usize, out: *mut T, out_step: usize) {
        let mut at = 0;
        while at < self.offsets.len() {
            // SAFETY: the caller vouches.
            unsafe {
                if at + W <= self.offsets.len() {
                    self.tile::<S, H, W>(simd, at, dy, dy_step, out, out_step);
                    at += W;
                } else {
                    self.tile::<S, H, 1>(simd, at, dy, dy_step, out, out_step);
                    at += 1;
                }
            }
        }
    }

    /// # Safety
    /// As for `add`; `W` taps from `at` on.
    #[inline(always)]
    unsafe fn tile<S: Machine, const H: usize, const W: usize>(
        &self,
        simd: S,
        at: usize,
        dy: *const T,
        dy_step: usize,
        out: *mut T,
        out_step: usize,
    ) {
        let mut sums = [[splat::<S, T>(simd, T::ZERO); W]; H];
        // SAFETY: the caller vouches.
        unsafe {
            let x: [*const T; W] = std::array::from_fn(|tap| self.x.add(self.offsets[at + tap] as usize));
            for position in self.whole {
                let seen: [T::Lanes<S>; W] = std::array::from_fn(|tap| load(simd, x[tap].add(position.x as usize)));
                for row in 0..H {
                    let gradient = load(simd, dy.add(row * dy_step + position.dy as usize));
                    for tap in 0..W {
                        sums[row][tap] = seen[tap].mul_add(gradient, sums[row][tap]);
                    }
                }
            }
            if !self.tails.is_empty() {
                let zero = splat::<S, T>(simd, T::ZERO);
                let first = lanes::<S, T>() - self.keep;
                let lane = T::Lanes::<S>::from_fn(simd, |lane| T::from_f64(lane as f64));
                let mask = lane.simd_ge(splat(simd, T::from_f64(first as f64)));
                for position in self.tails {
                    let seen: [T::Lanes<S>; W] = std::array::from_fn(|tap| mask.select(load(simd, x[tap].add(position.x as usize)), zero));
                    for row in 0..H {
                        let gradient = mask.select(load(simd, dy.add(row * dy_step + position.dy as usize)), zero);
                        for tap in 0..W {
                            sums[row][tap] = seen[tap].mul_add(gradient, sums[row][tap]);
                        }
                    }
                }
            }
            for row in 0..H {
                for tap in 0..W {
                    *out.add(row * out_step + at + tap) += sums[row][tap].reduce_sum();
                }
            }
        }
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
    let dw = target_pointer(&dw, shape.out_channels * shape.in_group() * shape.kernel_len(), "result");
    let len = shape.out_channels * shape.in_group() * shape.kernel_len();
    if shape.batch * shape.output_len() == 0 {
        // SAFETY: `Dst` vouches for all weights.
        return (0..len).for_each(|at| unsafe { dw.add(at).write(E::narrow(E::Real::ZERO)) });
    }
    if len == 0 {
        return;
    }
    let stencil = shape.stencil();
    run(level, &WeightGradient { shape, stencil: &stencil, x, dy, dw });
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
                                        meet(o, (oc * ig + ic) * s.kernel_len() + tap, ((channel * s.input[0] + z) * s.input[1] + y) * s.input[2] + x);
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

    fn shape(batch: usize, channels: [usize; 2], groups: usize, input: [usize; 3], kernel: [usize; 3], [stride, padding, dilation]: [[usize; 3]; 3]) -> ConvShape {
        let output = std::array::from_fn(|d| (input[d] + 2 * padding[d]).checked_sub(dilation[d] * (kernel[d].max(1) - 1) + 1).map_or(0, |rest| rest / stride[d] + 1));
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
                let mut pick = |least: usize, count: usize| -> [usize; 3] { std::array::from_fn(|d| if d + dims < 3 { least.min(1) } else { least + random.below(count) }) };
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
}
