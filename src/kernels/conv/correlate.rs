//! Weights times what a stencil sees: the forward convolution and, for every stride phase, the one with respect to the input.

use super::stencil::{Format, Region, Stencil};
use super::{FAR_BYTES, GRAIN, REGION_BYTES};
use crate::gemm::tile::{Machine, OffsetColumns, Real, Spill, StridedRows, Task, lanes, load, multiply, panel, splat, store};
use crate::gemm::{Scratch, Shared};
use crate::parallel::{num_threads, par_for};
use smallvec::SmallVec;
use std::ops::Range;

pub(super) struct Correlation<'a, T> {
    pub stencil: &'a Stencil,
    pub format: &'a Format<T>,
    pub batch: usize,
    pub groups: usize,
    /// Output channels of a group.
    pub rows: usize,
    pub source: *const u8,
    pub out: *mut u8,
    /// Elements of one output image and channel, and between neighbouring outputs of the grid.
    pub out_image: usize,
    pub out_channel: usize,
    pub out_strides: [usize; 3],
    /// For every group: rows of the depth as they lie, or packed: panels of rows, depth, row. (Packing all of them beforehand costs
    /// more than reading them in place: another core reads slowly what one has just packed.)
    pub weights: *const T,
    pub packed: bool,
    /// A value for each output channel, or null.
    pub bias: *const T,
}

// SAFETY: plain addresses; units of work write disjoint outputs.
unsafe impl<T> Send for Correlation<'_, T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Correlation<'_, T> {}

/// One vector of outputs.
#[derive(Clone, Copy)]
struct Place {
    /// Base in the copied region.
    source: u32,
    /// Outputs in use.
    count: u32,
    /// First output, in elements from the first one of the unit of work.
    target: isize,
}

/// A unit of work: some images, one group, some planes and rows of the grid, some panels of output channels.
struct Block {
    images: Range<usize>,
    group: usize,
    first: [usize; 2],
    planes: usize,
    rows: usize,
    panels: Range<usize>,
}

/// Where a tile is written.
struct Goal<'a, T> {
    /// Null: nothing is added.
    bias: *const T,
    /// Whether sums are added to what is there, instead of to the bias.
    add: bool,
    out: *mut u8,
    /// Lane by lane, where vectors do not lie in one piece; null: lanes are `step` apart.
    pixels: *const Place,
    step: usize,
    places: &'a [Place],
    /// Whether the lanes in use of each vector lie next to each other.
    pieces: [bool; 4],
}

impl<T: Real> Task for &Correlation<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Machine>(self, simd: S) {
        let (job, stencil) = (self, self.stencil);
        let vector = lanes::<S, T>();
        let [planes, rows, columns] = stencil.grid;
        let depth = stencil.channels * stencil.taps.len();
        let panels = job.rows.div_ceil(S::ROWS);
        // Rows of the grid as vectors, the last one overlapping, waste lanes; gathering pixels into full vectors costs some GATHER
        // multiply-adds an element.
        let waste = columns.next_multiple_of(vector);
        let gather = columns < vector || waste * job.rows > columns * (job.rows + GATHER);
        // A unit of work: whole images while they are small, else bands of planes or rows; several groups while they are small.
        let row_work = job.rows * depth.max(1) * columns;
        let total_work = row_work * planes * rows * job.batch * job.groups;
        let threads = if total_work < 2 * GRAIN { 1 } else { num_threads() };
        let row_bytes = stencil.channels * size_of::<T>();
        let bytes = |planes: usize, rows: usize| stencil.region(planes, rows).channel * row_bytes;
        let fits = |planes: usize, rows: usize| bytes(planes, rows) <= REGION_BYTES;
        let halo = stencil.region(1, 1).rows() - 1;
        let most = |total: usize, fits: &dyn Fn(usize) -> bool| (1..=total).rev().find(|&size| fits(size)).unwrap_or(1);
        // Few pixels are not divided: they are gathered with those of other images.
        let [band_planes, band_rows] = if gather && planes * rows * columns <= PIXELS {
            [planes, rows]
        } else {
            let bands = Bands {
                rows,
                columns,
                vector,
                halo,
                taps: stencil.taps.len().max(1),
                channels: job.rows,
                others: job.batch * job.groups * planes,
                threads,
                gather,
            };
            let near = most(rows, &|size| fits(1, size));
            // A band that sees far beyond itself may be as high as that, in the cache or not: else copying takes most of the time.
            let far = if halo > 4 * near { most(rows.min(halo), &|size| bytes(1, size) <= FAR_BYTES) } else { near };
            let band_rows = bands.best(near.max(far));
            [if band_rows == rows { most(planes, &|size| fits(size, rows)) } else { 1 }, band_rows]
        };
        let whole = band_rows == rows && band_planes == planes;
        let region = stencil.region(band_planes, band_rows);
        let work = row_work * band_rows * band_planes;
        let room = (REGION_BYTES / row_bytes.max(1) / region.channel.max(1)).max(1);
        let images = match whole {
            true if gather => (GRAIN / work).max(PIXELS / (planes * rows * columns)).clamp(1, job.batch),
            true => (GRAIN / work).clamp(1, room).min(job.batch),
            false => 1,
        };
        let images = job.batch.div_ceil(job.batch.div_ceil(images));
        let image_units = job.batch.div_ceil(images);
        let groups = if image_units == 1 || images > 1 || !whole { 1 } else { (GRAIN / work).clamp(1, job.groups) };
        let group_units = job.groups.div_ceil(groups);
        let bands = [planes.div_ceil(band_planes), rows.div_ceil(band_rows)];
        let units = image_units * group_units * bands[0] * bands[1];
        let splits = split(units, threads, job.rows, if gather { GATHER + 2 } else { 2 });
        let layout = Layout::new(job, region, [images, band_planes, band_rows], vector, gather);
        par_for(units * splits, &|unit| {
            simd.vectorize(
                #[inline(always)]
                || {
                    let (split, unit) = (unit % splits, unit / splits);
                    let (row_band, unit) = (unit % bands[1], unit / bands[1]);
                    let (plane_band, unit) = (unit % bands[0], unit / bands[0]);
                    let (group_at, unit) = (unit % group_units, unit / group_units);
                    let first = [plane_band * band_planes, row_band * band_rows];
                    for group in group_at * groups..job.groups.min((group_at + 1) * groups) {
                        let block = Block {
                            images: unit * images..job.batch.min((unit + 1) * images),
                            group,
                            first,
                            planes: band_planes.min(planes - first[0]),
                            rows: band_rows.min(rows - first[1]),
                            panels: panel(panels, splits, split),
                        };
                        // SAFETY: whoever made the job vouched for its pointers.
                        unsafe { if gather { job.gathered(simd, &block, &layout) } else { job.rowwise(simd, &block, &layout) } }
                    }
                },
            )
        });
    }
}

/// Pixels that a unit of work gathers, if the image has no more: 256 x 256 values of f32 fill half of a level-2 cache.
const PIXELS: usize = 256;

/// What all units of work have in common: the copied region and the vectors (or pixels) of the largest block. A smaller block has the
/// first of them: it has fewer images, or, of one image, fewer planes or fewer rows of one plane.
struct Layout {
    region: Region,
    offsets: SmallVec<[u32; 64]>,
    /// Channels that are gathered at a time.
    channels: usize,
    places: Scratch,
    /// Places of an output row.
    per_line: usize,
}

impl Layout {
    fn new<T: Real>(job: &Correlation<T>, region: Region, [images, planes, rows]: [usize; 3], vector: usize, gather: bool) -> Layout {
        let stencil = job.stencil;
        let columns = stencil.grid[2];
        // Sums that are to be rounded to 16 bits must not be stored before they are complete.
        let most = if gather && job.format.direct { (256 / stencil.taps.len().max(1)).max(1) } else { usize::MAX };
        let channels = stencil.channels.div_ceil(stencil.channels.div_ceil(most).max(1));
        let per_line = if gather { columns } else { columns.div_ceil(vector) };
        let mut scratch = Scratch::of::<Place>(images * planes * rows * per_line);
        let places = scratch.ptr::<Place>();
        let mut at = 0;
        for image in 0..images {
            for plane in 0..planes {
                for row in 0..rows {
                    let source = image * region.channel * channels + stencil.base(&region, plane, row);
                    let target = image * job.out_image + plane * job.out_strides[0] + row * job.out_strides[1];
                    for part in 0..per_line {
                        // The last vector of a row ends with it: it repeats some outputs instead of leaving the row.
                        let column = if gather { part } else { (part * vector).min(columns - vector) };
                        let target = (target + column * job.out_strides[2]) as isize;
                        let place = Place { source: (source + column) as u32, count: if gather { 1 } else { vector as u32 }, target };
                        // SAFETY: so many places were asked for.
                        unsafe { places.add(at).write(place) };
                        at += 1;
                    }
                }
            }
        }
        Layout { region, offsets: stencil.offsets(&region, channels), channels, places: scratch, per_line }
    }

    /// The places of a block.
    fn places(&self, block: &Block) -> &[Place] {
        let count = block.images.len() * block.planes * block.rows * self.per_line;
        // SAFETY: `new` has written the places of the largest block.
        unsafe { std::slice::from_raw_parts(self.places.start::<Place>(), count) }
    }
}

/// What gathering an element costs, in multiply-adds (measured).
const GATHER: usize = 8;
/// What copying an element with its padding costs.
const COPY: usize = 16;

/// Into how many parts the `rows` of output channels are divided besides the `units` of image, for threads to have equal shares:
/// each part copies and gathers the whole unit for itself, at the cost of `again` channels. Each output is computed the same way
/// whatever the parts and bands, so that they may depend on the number of threads.
fn split(units: usize, threads: usize, rows: usize, again: usize) -> usize {
    let cost = |parts: usize| (units * parts).div_ceil(threads) * (rows.div_ceil(parts) + again);
    let most = (4 * threads).div_ceil(units).min(rows / 24).max(1);
    // Of equals the first, with the fewest parts.
    (1..=most).min_by_key(|&parts| cost(parts)).unwrap_or(1)
}

/// An image that is to be cut into bands of rows.
struct Bands {
    rows: usize,
    columns: usize,
    vector: usize,
    /// Rows that a band sees beyond its own.
    halo: usize,
    taps: usize,
    /// Output channels.
    channels: usize,
    /// Bands of the same rows: of other images, groups, planes.
    others: usize,
    threads: usize,
    gather: bool,
}

impl Bands {
    /// The rows of a band, at most `most`, for which threads are done soonest.
    fn best(&self, most: usize) -> usize {
        let cost = |size: usize| {
            let units = self.rows.div_ceil(size) * self.others;
            let again = if self.gather { GATHER } else { 0 };
            let parts = split(units, self.threads, self.channels, again + 2);
            let lanes = match self.gather {
                true => (size * self.columns).next_multiple_of(self.vector),
                false => size * self.columns.next_multiple_of(self.vector),
            };
            let one = lanes * self.taps * (self.channels.div_ceil(parts) + again) + (size + self.halo) * self.columns * COPY;
            // Many units even themselves out.
            let each = (units * parts).div_ceil(self.threads);
            if each > 8 { one * units * parts / self.threads } else { one * each }
        };
        let even = |bands: usize| self.rows.div_ceil(bands);
        let fewest = self.rows.div_ceil(most);
        // Of equals the first, with the fewest bands.
        (fewest..=self.rows.min(fewest + 4 * self.threads + 8)).map(even).min_by_key(|&size| cost(size)).unwrap_or(most)
    }
}

impl<T: Real> Correlation<'_, T> {
    /// Channels of the block's part of the source, padded; a vector more can be read.
    ///
    /// # Safety
    /// The job's pointers are good for its sizes.
    #[inline(always)]
    unsafe fn copied(&self, block: &Block, region: &Region, channels: Range<usize>, apart: usize, copy: *mut T) {
        let stencil = self.stencil;
        let source_len: usize = stencil.source.iter().product();
        for (at, image) in block.images.clone().enumerate() {
            let channel = (image * self.groups + block.group) * stencil.channels + channels.start;
            let source = self.source.wrapping_add(channel * source_len * self.format.bytes);
            // SAFETY: the image has these channels, the copy room for all regions.
            unsafe { stencil.copy(self.format, region, source, channels.len(), block.first, copy.add(at * apart)) };
        }
    }

    /// The first output of the block's first row, in elements.
    fn origin(&self, block: &Block) -> usize {
        let [plane, row] = block.first;
        let channel = block.group * self.rows * self.out_channel;
        block.images.start * self.out_image + channel + plane * self.out_strides[0] + row * self.out_strides[1]
    }

    /// The weights of a panel from element `first` of the depth on.
    #[inline(always)]
    fn panel_weights(&self, group: usize, rows: &Range<usize>, depth: usize, first: usize) -> StridedRows<T> {
        let from = self.weights.wrapping_add((group * self.rows + rows.start) * depth);
        match self.packed {
            true => StridedRows { ptr: from.wrapping_add(first * rows.len()), row: 1, depth: rows.len() as isize },
            false => StridedRows { ptr: from.wrapping_add(first), row: depth as isize, depth: 1 },
        }
    }

    /// The bias of a panel, and its outputs.
    fn goal<'a>(&self, origin: usize, group: usize, rows: &Range<usize>, places: &'a [Place], pieces: [bool; 4]) -> Goal<'a, T> {
        Goal {
            bias: if self.bias.is_null() { self.bias } else { self.bias.wrapping_add(group * self.rows + rows.start) },
            add: false,
            out: self.out.wrapping_add((origin + rows.start * self.out_channel) * self.format.bytes),
            pixels: std::ptr::null(),
            step: self.out_strides[2],
            places,
            pieces,
        }
    }

    /// Vectors are pieces of output rows: every tap of every vector is one load from the copy.
    ///
    /// # Safety
    /// The job's pointers are good for its sizes; rows have a vector's length at least.
    #[inline(always)]
    unsafe fn rowwise<S: Machine>(&self, simd: S, block: &Block, layout: &Layout) {
        let vector = lanes::<S, T>();
        let (offsets, step) = (&layout.offsets, self.out_strides[2]);
        let depth = offsets.len();
        let region_len = layout.region.channel * self.stencil.channels;
        let mut scratch = Scratch::of::<T>(region_len * block.images.len() + vector);
        let copy = scratch.ptr::<T>();
        // SAFETY: the scratch has room for all images.
        unsafe { self.copied(block, &layout.region, 0..self.stencil.channels, region_len, copy) };
        let copy = copy.cast_const();
        let places = layout.places(block);
        let total_panels = self.rows.div_ceil(S::ROWS);
        let origin = self.origin(block);
        let pieces = [step == 1; 4];
        // As many panels of weights at a time as leave room in the level-2 cache.
        let panel_group = ((96 << 10) / (S::ROWS * depth.max(1) * size_of::<T>())).max(1);
        let mut start = block.panels.start;
        while start < block.panels.end {
            let end = block.panels.end.min(start + panel_group);
            // Few rows do not fill the registers with two vectors.
            for chunk in places.chunks(if self.rows <= 3 { 4 } else { 2 }) {
                let mut four = [chunk[chunk.len() - 1]; 4];
                four[..chunk.len()].copy_from_slice(chunk);
                let places = &four[..if chunk.len() == 3 { 4 } else { chunk.len() }];
                let b = OffsetColumns { vectors: four.map(|place| copy.wrapping_add(place.source as usize)), offsets: offsets.as_ptr() };
                for at in start..end {
                    let rows = panel(self.rows, total_panels, at);
                    let a = self.panel_weights(block.group, &rows, depth, 0);
                    let goal = self.goal(origin, block.group, &rows, places, pieces);
                    // SAFETY: every place sees the whole stencil inside of the copy; its outputs belong to this block.
                    unsafe { self.tile(simd, rows.len(), depth, a, b, &goal) };
                }
            }
            start = end;
        }
    }

    /// Vectors are full of pixels, whatever the row: what they see is gathered into panels first.
    ///
    /// # Safety
    /// The job's pointers are good for its sizes.
    #[inline(always)]
    unsafe fn gathered<S: Machine>(&self, simd: S, block: &Block, layout: &Layout) {
        let (vector, taps) = (lanes::<S, T>(), self.stencil.taps.len());
        let (depth, step) = (self.stencil.channels * taps, self.out_strides[2]);
        let places = layout.places(block);
        let width = 2 * vector;
        let depth_step = layout.offsets.len();
        let tile_len = width * depth_step;
        let region_len = layout.region.channel * layout.channels;
        let mut scratch = Scratch::of::<T>(region_len * block.images.len() + vector);
        let copy = scratch.ptr::<T>();
        let mut packed_scratch = Scratch::of::<T>(places.len().div_ceil(width) * tile_len + vector);
        let packed = packed_scratch.ptr::<T>();
        let mut table_scratch = Scratch::of::<u32>(2 * depth_step);
        let tables = table_scratch.ptr::<u32>();
        for at in 0..depth_step {
            // SAFETY: two tables of `depth_step`.
            unsafe {
                *tables.add(at) = (at * vector) as u32;
                *tables.add(depth_step + at) = (at * width) as u32;
            }
        }
        let total_panels = self.rows.div_ceil(S::ROWS);
        let origin = self.origin(block);
        let mut channel = 0;
        loop {
            let channels = channel..self.stencil.channels.min(channel + layout.channels);
            let (first, here) = (channel * taps, channels.len() * taps);
            // SAFETY: the scratch has room for these channels of all images.
            unsafe { self.copied(block, &layout.region, channels.clone(), region_len, copy) };
            for (tile, pixels) in places.chunks(width).enumerate() {
                // SAFETY: every pixel sees the whole stencil inside of the copy; a vector more can be read and written.
                unsafe { gather_panel(simd, pixels, &layout.offsets[..here], copy, packed.add(tile * tile_len)) };
            }
            // A panel of pixels stays in the level-1 cache while a level-2 cache's share of weights passes by.
            let panel_group = ((128 << 10) / (S::ROWS * here.max(1) * size_of::<T>())).max(1);
            for start in block.panels.clone().step_by(panel_group) {
                for (tile, pixels) in places.chunks(width).enumerate() {
                    let from = packed.cast_const().wrapping_add(tile * tile_len);
                    let two = pixels.len() > vector;
                    let mut pair = [pixels[0]; 2];
                    let mut pieces = [false; 4];
                    for (at, part) in pixels.chunks(vector).enumerate() {
                        pair[at] = Place { count: part.len() as u32, ..part[0] };
                        pieces[at] = step == 1 && part[part.len() - 1].target - part[0].target == part.len() as isize - 1;
                    }
                    let vectors = [from, from.wrapping_add(vector), from, from];
                    let b = OffsetColumns { vectors, offsets: tables.cast_const().wrapping_add(if two { depth_step } else { 0 }) };
                    for at in start..block.panels.end.min(start + panel_group) {
                        let rows = panel(self.rows, total_panels, at);
                        let a = self.panel_weights(block.group, &rows, depth, first);
                        let goal = self.goal(origin, block.group, &rows, &pair[..1 + two as usize], pieces);
                        // SAFETY: the panels are packed; the outputs of these pixels belong to this block.
                        unsafe { self.tile(simd, rows.len(), here, a, b, &Goal { add: first > 0, pixels: pixels.as_ptr(), ..goal }) };
                    }
                }
            }
            channel = channels.end;
            if channel >= self.stencil.channels {
                return;
            }
        }
    }

    /// Multiplies one panel of weights with one, two or (at most three rows) four vectors of outputs and writes them.
    ///
    /// # Safety
    /// Both operands and all outputs are accessible.
    #[inline(always)]
    unsafe fn tile<S: Machine>(&self, simd: S, height: usize, depth: usize, a: StridedRows<T>, b: OffsetColumns<T, 4>, goal: &Goal<T>) {
        macro_rules! heights {
            ($vectors:literal, $($height:literal)*) => {
                match height {
                    $($height if $height <= S::ROWS => {
                        // SAFETY: the caller vouches for both operands and the outputs.
                        unsafe {
                            let sums = multiply::<S, T, $height, $vectors>(simd, depth, a, b);
                            self.write::<S, $height, $vectors>(simd, sums, goal);
                        }
                    })*
                    _ => unreachable!("no tile has {height} rows"),
                }
            };
        }
        match goal.places.len() {
            1 => heights!(1, 1 2 3 4 5 6 7 8 9 10 11 12),
            2 => heights!(2, 1 2 3 4 5 6 7 8 9 10 11 12),
            // A row of nine taps, most often of a depthwise convolution: a depth known to the compiler saves the loop.
            _ if height == 1 && depth == 9 => {
                // SAFETY: as above.
                unsafe {
                    let sums = multiply::<S, T, 1, 4>(simd, 9, a, b);
                    self.write::<S, 1, 4>(simd, sums, goal);
                }
            }
            _ => heights!(4, 1 2 3),
        }
    }

    /// # Safety
    /// All outputs and the bias are accessible.
    #[inline(always)]
    unsafe fn write<S: Machine, const H: usize, const V: usize>(&self, simd: S, sums: [[T::Lanes<S>; V]; H], goal: &Goal<T>) {
        if self.format.direct && (0..V).all(|part| goal.pieces[part] && goal.places[part].count as usize == lanes::<S, T>()) {
            for row in 0..H {
                // SAFETY: the caller vouches; whole vectors of the computing type lie in one piece each.
                unsafe {
                    let line = goal.out.cast::<T>().add(row * self.out_channel);
                    let bias = if goal.bias.is_null() { T::ZERO } else { *goal.bias.add(row) };
                    for part in 0..V {
                        let to = line.offset(goal.places[part].target);
                        let plus = if goal.add { load(simd, to.cast_const()) } else { splat::<S, T>(simd, bias) };
                        store::<S, T>(to, sums[row][part] + plus);
                    }
                }
            }
        } else {
            let spill = Spill::<T>::new::<S, H, V>(sums);
            // SAFETY: the caller vouches; the spill has H * V vectors.
            unsafe { self.scatter(spill.ptr(), H, lanes::<S, T>(), goal) };
        }
    }

    /// # Safety
    /// All outputs and the bias are accessible, and `height` rows of sums.
    unsafe fn scatter(&self, sums: *const T, height: usize, vector: usize, goal: &Goal<T>) {
        let bytes = self.format.bytes;
        for row in 0..height {
            let out = goal.out.wrapping_add(row * self.out_channel * bytes);
            // SAFETY: the caller vouches for sums, bias and outputs.
            unsafe {
                let bias = if goal.bias.is_null() { T::ZERO } else { *goal.bias.add(row) };
                for (part, place) in goal.places.iter().enumerate() {
                    let (sums, count) = (sums.add((row * goal.places.len() + part) * vector), place.count as usize);
                    if goal.pieces[part] && self.format.direct {
                        let to = out.wrapping_offset(place.target * bytes as isize).cast::<T>();
                        if goal.add {
                            (0..count).for_each(|lane| *to.add(lane) += *sums.add(lane));
                        } else {
                            (0..count).for_each(|lane| *to.add(lane) = *sums.add(lane) + bias);
                        }
                        continue;
                    }
                    for lane in 0..count {
                        let target = if goal.pixels.is_null() {
                            place.target + (lane * goal.step) as isize
                        } else {
                            (*goal.pixels.add(part * vector + lane)).target
                        };
                        let to = out.wrapping_offset(target * bytes as isize);
                        let sum = *sums.add(lane);
                        if !self.format.direct {
                            (self.format.write)(to, sum + bias);
                        } else if goal.add {
                            *to.cast::<T>() += sum;
                        } else {
                            *to.cast::<T>() = sum + bias;
                        }
                    }
                }
            }
        }
    }
}

/// Gathers what up to two vectors of pixels see, depth by depth. Runs of neighbouring pixels are copied as whole vectors; what they
/// write beyond their end is overwritten by the next run.
///
/// # Safety
/// A vector can be read at every pixel and offset, and one can be written after the panel.
#[inline(always)]
unsafe fn gather_panel<S: Machine, T: Real>(simd: S, pixels: &[Place], offsets: &[u32], copy: *const T, to: *mut T) {
    let vector = lanes::<S, T>();
    let width = if pixels.len() > vector { 2 * vector } else { vector };
    // Lane and source of each run of at most a vector.
    let mut runs = [(0u32, 0u32); 64];
    let mut count = 0;
    let mut length = vector;
    for (lane, pixel) in pixels.iter().enumerate() {
        if length == vector || lane == 0 || pixel.source != pixels[lane - 1].source + 1 {
            runs[count] = (lane as u32, pixel.source);
            count += 1;
            length = 0;
        }
        length += 1;
    }
    for (at, &offset) in offsets.iter().enumerate() {
        // SAFETY: the caller vouches.
        unsafe {
            let to = to.add(at * width);
            if pixels.len() < width {
                store::<S, T>(to.add(width - vector), splat(simd, T::ZERO));
            }
            for &(lane, source) in &runs[..count] {
                store::<S, T>(to.add(lane as usize), load(simd, copy.add((source + offset) as usize)));
            }
        }
    }
}

/// The weights of a convolution, to be packed as the micro-kernels read them.
pub(super) struct Pack<'a, T> {
    pub groups: usize,
    pub rows: usize,
    pub depth: usize,
    pub source: *const T,
    /// Elements between rows and between groups of the source.
    pub row: usize,
    pub group: usize,
    /// The step from channel to channel, and the places of a channel's taps.
    pub channel: usize,
    pub places: &'a [usize],
    pub out: Shared<T>,
}

// SAFETY: the source is only read, panels are disjoint.
unsafe impl<T> Sync for Pack<'_, T> {}

impl<T: Real> Task for &Pack<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Machine>(self, simd: S) {
        let pack = self;
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
                        let to = pack.out.get().wrapping_add((at / panels * pack.rows + rows.start) * pack.depth);
                        let taps = pack.places.len();
                        for channel in 0..pack.depth / taps.max(1) {
                            let source = source.wrapping_add(channel * pack.channel);
                            for (at, &place) in pack.places.iter().enumerate() {
                                let to = to.wrapping_add((channel * taps + at) * height);
                                // SAFETY: the weights have these rows and taps.
                                (0..height).for_each(|row| unsafe { *to.add(row) = *source.add(row * pack.row + place) });
                            }
                        }
                    }
                },
            )
        });
    }
}
