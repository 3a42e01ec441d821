//! The gradient with respect to the weights: for every output channel and tap a dot product over all output positions.

use super::stencil::{Format, Region, Stencil, clear_line, copy_line};
use super::{ConvShape, GRAIN, REGION_BYTES};
use crate::gemm::tile::{Machine, Real, Task, lanes, load, panel, splat};
use crate::gemm::{Scratch, Shared};
use crate::parallel::par_for;
use fearless_simd::{SimdBase, SimdFloat};
use std::ops::Range;

pub(super) struct WeightGradient<'a, T> {
    pub shape: &'a ConvShape,
    pub stencil: &'a Stencil,
    pub format: &'a Format<T>,
    pub x: *const u8,
    pub dy: *const u8,
    pub dw: *mut u8,
}

// SAFETY: plain addresses; units of work write disjoint weights.
unsafe impl<T> Send for WeightGradient<'_, T> {}
// SAFETY: as above.
unsafe impl<T> Sync for WeightGradient<'_, T> {}

/// Two positions whose products are summed: offsets in the copied image and in the gradient.
#[derive(Clone, Copy)]
struct Position {
    x: u32,
    dy: u32,
}

/// Output channels of a unit of work: each copied value of the image serves as many sums.
const ROWS: usize = 128;
/// Output positions over which a tile sums before it adds to memory: four rows of the gradient then fill half of a level-1 cache.
const POSITIONS: usize = 1024;

impl<T: Real> Task for &WeightGradient<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Machine>(self, simd: S) {
        let (job, shape, stencil) = (self, self.shape, self.stencil);
        let vector = lanes::<S, T>();
        let [planes, rows, columns] = stencil.grid;
        let (inputs, outputs, taps) = (shape.in_group(), shape.out_group(), stencil.taps.len());
        let weights = shape.out_channels * inputs * taps;
        let gather = columns < vector || columns.next_multiple_of(vector) * outputs.min(ROWS) > columns * (outputs.min(ROWS) + GATHER);
        // One chunk: some images, or a band of one.
        let band_rows = rows.div_ceil(rows.div_ceil((POSITIONS / columns).max(1)));
        let band_planes = if band_rows == rows { (POSITIONS / (rows * columns)).clamp(1, planes) } else { 1 };
        let whole = band_rows == rows && band_planes == planes;
        let positions = band_planes * band_rows * columns;
        let images = if whole { (POSITIONS / positions).clamp(1, shape.batch) } else { 1 };
        let bands = [planes.div_ceil(band_planes), rows.div_ceil(band_rows)];
        let chunks = shape.batch.div_ceil(images) * bands[0] * bands[1];
        let region = stencil.region(band_planes, band_rows);
        // A gathered channel holds all its taps.
        let channel_len = if gather { taps * (images * positions).next_multiple_of(vector) } else { region.channel * images };
        let input_block = (REGION_BYTES / size_of::<T>() / channel_len).clamp(1, inputs);
        let input_blocks = inputs.div_ceil(input_block);
        let output_blocks = outputs.div_ceil(ROWS);
        let units = shape.groups * input_blocks * output_blocks;
        // Few weights: chunks are divided too, into parts with sums of their own that are added in order.
        let unit_work =
            weights * shape.batch * planes * rows * columns / shape.out_channels * shape.out_group() / (input_blocks * output_blocks);
        let parts = if units >= 16 { 1 } else { 16usize.div_ceil(units).min(chunks).min((unit_work / GRAIN).max(1)) };
        let mut scratch = Scratch::of::<T>(parts * weights);
        let sums = Shared(scratch.ptr::<T>());
        par_for(units * parts, &|unit| {
            simd.vectorize(
                #[inline(always)]
                || {
                    let (part, unit) = (unit / units, unit % units);
                    let (input_at, unit) = (unit % input_blocks, unit / input_blocks);
                    let (output_at, group) = (unit % output_blocks, unit / output_blocks);
                    let first_input = input_at * input_block;
                    let first_output = output_at * ROWS;
                    let block = Block {
                        group,
                        inputs: first_input..inputs.min(first_input + input_block),
                        outputs: first_output..outputs.min(first_output + ROWS),
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
                    if job.format.direct {
                        *job.dw.cast::<T>().add(at) = sum;
                    } else {
                        (job.format.write)(job.dw.wrapping_add(at * job.format.bytes), sum);
                    }
                }
            }
        });
    }
}

/// What gathering an element costs, in multiply-adds (measured).
const GATHER: usize = 12;

/// The weights of a unit of work: some input and output channels of a group.
struct Block<T> {
    group: usize,
    inputs: Range<usize>,
    outputs: Range<usize>,
    sums: *mut T,
}

impl<T: Real> Block<T> {
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

impl<T: Real> WeightGradient<'_, T> {
    /// Adds the products of one chunk.
    ///
    /// # Safety
    /// The job's pointers are good for its sizes.
    #[inline(always)]
    unsafe fn chunk<S: Machine>(
        &self,
        simd: S,
        block: &Block<T>,
        region: &Region,
        images: Range<usize>,
        first: [usize; 2],
        served: [usize; 2],
        gather: bool,
    ) {
        let (shape, stencil, bytes) = (self.shape, self.stencil, self.format.bytes);
        let vector = lanes::<S, T>();
        let columns = stencil.grid[2];
        let (inputs, outputs, taps) = (block.inputs.len(), block.outputs.len(), stencil.taps.len());
        let region_len = region.channel * inputs;
        // The last line's last vector may reach beyond the end.
        let mut scratch = Scratch::of::<T>(region_len * images.len() + vector);
        let copy = scratch.ptr::<T>();
        for (at, image) in images.clone().enumerate() {
            let channel = image * shape.in_channels + block.group * shape.in_group() + block.inputs.start;
            let source = self.x.wrapping_add(channel * shape.input_len() * bytes);
            // SAFETY: the image has these channels, the scratch room for all regions.
            unsafe { stencil.copy(self.format, region, source, inputs, first, copy.add(at * region_len)) };
        }
        let copy = copy.cast_const();
        let dy_channel = shape.output_len();
        let dy_image = shape.out_channels * dy_channel;
        let dy_first = images.start * dy_image
            + (block.group * shape.out_group() + block.outputs.start) * dy_channel
            + (first[0] * stencil.grid[1] + first[1]) * columns;
        let dy = self.dy.wrapping_add(dy_first * bytes);
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
        // The gradient is read where it lies or, to be gathered, widened or filled up with zeros to whole vectors, from a copy.
        let own = gather || !self.format.direct || !columns.is_multiple_of(vector);
        let line_len = if gather { columns } else { columns.next_multiple_of(vector) };
        let padded = if gather { pixels.next_multiple_of(vector) } else { count * line_len };
        let mut dy_scratch = Scratch::of::<T>(if own { outputs * padded } else { 0 });
        let dy_copy = dy_scratch.ptr::<T>();
        if own {
            // Lines that stand together are copied together.
            let (runs, run) = if line_len == columns { (1, served[0] * served[1] * columns) } else { (served[0] * served[1], columns) };
            for row in 0..outputs {
                let from = dy.wrapping_add(row * dy_channel * bytes);
                let mut to = dy_copy.wrapping_add(row * padded);
                // SAFETY: a row of the copy has `padded` elements.
                unsafe {
                    for image in 0..images.len() {
                        for at in 0..runs {
                            let from = from.add((image * dy_image + at * columns) * bytes);
                            if self.format.direct {
                                copy_line(from.cast::<T>(), to, run);
                            } else {
                                (self.format.read)(from, 1, run, to);
                            }
                            to = to.add(run);
                            if line_len > columns {
                                clear_line(to, line_len - columns);
                                to = to.add(line_len - columns);
                            }
                        }
                    }
                    clear_line(to, padded - (to.offset_from(dy_copy) as usize - row * padded));
                }
            }
        }
        let (dy_rows, dy_step) = if own { (dy_copy.cast_const(), padded) } else { (dy.cast::<T>(), dy_channel) };
        let mut gathered_scratch = Scratch::of::<T>(if gather { inputs * taps * padded } else { 0 });
        let gathered = gathered_scratch.ptr::<T>();
        let per_line = line_len.div_ceil(vector);
        let vectors = if gather { padded / vector } else { count * per_line };
        let mut position_scratch = Scratch::of::<Position>(vectors);
        let list = position_scratch.ptr::<Position>();
        // SAFETY: the list has the length asked for; vectors that leave their line of the copied image meet zeros of the gradient.
        unsafe {
            if gather {
                for (tap, &offset) in stencil.offsets::<64>(region, inputs).iter().enumerate() {
                    let to = gathered.add(tap * padded);
                    for (at, (x, _)) in lines().enumerate() {
                        copy_line(copy.add(x + offset as usize), to.add(at * columns), columns);
                    }
                }
                (0..inputs * taps).for_each(|row| clear_line(gathered.add(row * padded + pixels), padded - pixels));
                (0..vectors).for_each(|at| list.add(at).write(Position { x: (at * vector) as u32, dy: (at * vector) as u32 }));
            } else {
                for (at, (x, line)) in lines().enumerate() {
                    let line = if own { at * line_len } else { line };
                    let position = |part: usize| Position { x: (x + part * vector) as u32, dy: (line + part * vector) as u32 };
                    (0..per_line).for_each(|part| list.add(at * per_line + part).write(position(part)));
                }
            }
            let offsets =
                if gather { (0..inputs * taps).map(|at| (at * padded) as u32).collect() } else { stencil.offsets::<64>(region, inputs) };
            let sums = Sums {
                x: if gather { gathered.cast_const() } else { copy },
                positions: std::slice::from_raw_parts(list.cast_const(), vectors),
                line: if gather { 0 } else { columns },
                offsets: &offsets,
            };
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
    positions: &'a [Position],
    /// Elements of a line, if lines end inside of a vector; the gradient has zeros after them.
    line: usize,
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
    /// As for `add`; there are `W` taps from `at` on.
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
            for position in self.positions {
                let seen: [T::Lanes<S>; W] = std::array::from_fn(|tap| load(simd, x[tap].add(position.x as usize)));
                for row in 0..H {
                    let gradient = load(simd, dy.add(row * dy_step + position.dy as usize));
                    for tap in 0..W {
                        sums[row][tap] = seen[tap].mul_add(gradient, sums[row][tap]);
                    }
                }
            }
            for row in 0..H {
                for tap in 0..W {
                    let mut sum = sums[row][tap].reduce_sum();
                    // An infinite value beyond the end of a line makes NaN of the zero that it meets.
                    if sum.to_f64().is_nan() {
                        sum = self.exact(lanes::<S, T>(), x[tap], dy.add(row * dy_step));
                    }
                    *out.add(row * out_step + at + tap) += sum;
                }
            }
        }
    }

    /// The sum of one tap without what lies beyond the ends of lines.
    ///
    /// # Safety
    /// All positions are readable.
    #[cold]
    unsafe fn exact(&self, vector: usize, x: *const T, dy: *const T) -> T {
        let mut sum = T::ZERO;
        for (at, position) in self.positions.iter().enumerate() {
            let first = if self.line == 0 { 0 } else { at % self.line.div_ceil(vector) * vector };
            let count = if self.line == 0 { vector } else { vector.min(self.line - first) };
            for lane in 0..count {
                // SAFETY: the caller vouches.
                sum += unsafe { *x.add(position.x as usize + lane) * *dy.add(position.dy as usize + lane) };
            }
        }
        sum
    }
}
