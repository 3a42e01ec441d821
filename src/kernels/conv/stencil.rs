//! Which inputs an output sees, and the padded copy from which they are read.

use crate::gemm::tile::Real;
use smallvec::SmallVec;

/// How elements lie in tensors, if they are not the computing type.
pub(super) struct Format<T> {
    /// Whether elements are of the computing type.
    pub direct: bool,
    pub bytes: usize,
    /// Widens so many elements, which are so many elements apart.
    pub read: unsafe fn(from: *const u8, step: isize, count: usize, to: *mut T),
    pub write: unsafe fn(to: *mut u8, value: T),
}

/// Output positions and the source positions that each of them sees: o · step + tap.
pub(super) struct Stencil {
    /// Source channels of a group.
    pub channels: usize,
    pub source: [usize; 3],
    pub taps: Vec<[isize; 3]>,
    pub step: [usize; 3],
    pub grid: [usize; 3],
    low: [isize; 3],
    /// Greatest minus least tap.
    span: [usize; 3],
    /// For each column phase, (source column - low) modulo step: its place among those in use.
    phases: SmallVec<[Option<usize>; 4]>,
    used_phases: usize,
}

/// How a block of the source lies in the copy: channel, plane, row, column phase, column.
#[derive(Clone, Copy)]
pub(super) struct Region {
    planes: usize,
    rows: usize,
    phase: usize,
    row: usize,
    pub channel: usize,
}

impl Region {
    pub(super) fn rows(&self) -> usize {
        self.rows
    }
}

impl Stencil {
    pub(super) fn new(channels: usize, source: [usize; 3], taps: Vec<[isize; 3]>, step: [usize; 3], grid: [usize; 3]) -> Stencil {
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
    pub(super) fn region(&self, planes: usize, rows: usize) -> Region {
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
    pub(super) fn base(&self, region: &Region, plane: usize, row: usize) -> usize {
        (plane * self.step[0] * region.rows + row * self.step[1]) * region.row
    }

    /// Offsets of `channels` channels and all taps, in the order of the weights.
    pub(super) fn offsets<const N: usize>(&self, region: &Region, channels: usize) -> SmallVec<[u32; N]>
    where
        [u32; N]: smallvec::Array<Item = u32>,
    {
        let taps: SmallVec<[u32; 32]> = self.taps.iter().map(|&tap| self.tap_offset(region, tap) as u32).collect();
        let mut offsets = SmallVec::with_capacity(channels * taps.len());
        for channel in 0..channels {
            offsets.extend(taps.iter().map(|tap| (channel * region.channel) as u32 + tap));
        }
        offsets
    }

    /// Copies what the outputs of planes and rows from `first` on see of `channels` channels at `source`.
    ///
    /// # Safety
    /// The channels are readable at `source` and `out` has room for them.
    #[inline(always)]
    pub(super) unsafe fn copy<T: Real>(
        &self,
        format: &Format<T>,
        region: &Region,
        source: *const u8,
        channels: usize,
        first: [usize; 2],
        out: *mut T,
    ) {
        let image: usize = self.source.iter().product();
        let [depth, height, width] = self.source.map(|size| size as isize);
        let step = self.step[2] as isize;
        let reaches = |d: usize, at: usize| {
            self.step[d] == 1 || self.taps.iter().any(|tap| at % self.step[d] == (tap[d] - self.low[d]) as usize % self.step[d])
        };
        let line_bytes = format.bytes as isize;
        for (phase, place) in self.phases.iter().enumerate() {
            let Some(place) = place else { continue };
            // Columns at which the source is met: start + j * step in 0..width.
            let start = phase as isize + self.low[2];
            let from = if start >= 0 { 0 } else { (-start + step - 1) / step }.min(region.phase as isize) as usize;
            let until =
                if start >= width { 0 } else { (width - start + step - 1) / step }.clamp(from as isize, region.phase as isize) as usize;
            let line = Line { from, until, len: region.phase, step };
            let top = (first[1] * self.step[1]) as isize + self.low[1];
            for plane in 0..region.planes {
                if !reaches(0, plane) {
                    continue;
                }
                let z = (first[0] * self.step[0] + plane) as isize + self.low[0];
                // Rows inside of the source.
                let rows = if z >= 0 && z < depth {
                    (-top).clamp(0, region.rows as isize)..(height - top).clamp(0, region.rows as isize)
                } else {
                    0..0
                };
                let met = (z * height + top) * width + start + from as isize * step;
                for channel in 0..channels {
                    let mut source = source.wrapping_add(channel * image * format.bytes).wrapping_offset(met * line_bytes);
                    let mut to = out.wrapping_add(channel * region.channel + plane * region.rows * region.row + place * region.phase);
                    for row in 0..region.rows as isize {
                        if self.step[1] == 1 || reaches(1, row as usize) {
                            // SAFETY: the line's columns are inside of the source, and so is the row, or the whole of it is cleared.
                            unsafe {
                                if rows.contains(&row) {
                                    line.copy(format, source, to);
                                } else {
                                    clear_line(to, line.len);
                                }
                            }
                        }
                        source = source.wrapping_offset(width * line_bytes);
                        to = to.wrapping_add(region.row);
                    }
                }
            }
        }
    }
}

/// A row of the copy: which of its elements come from the source, `step` apart there; the others are 0.
struct Line {
    from: usize,
    until: usize,
    len: usize,
    step: isize,
}

impl Line {
    /// # Safety
    /// The elements are readable from `source` on, and the row is writable at `to`.
    #[inline(always)]
    unsafe fn copy<T: Real>(&self, format: &Format<T>, source: *const u8, to: *mut T) {
        let count = self.until - self.from;
        // SAFETY: the caller vouches.
        unsafe {
            clear_line(to, self.from);
            let to_source = to.add(self.from);
            if !format.direct {
                (format.read)(source, self.step, count, to_source);
            } else if self.step == 1 {
                copy_line(source.cast::<T>(), to_source, count);
            } else {
                (0..count).for_each(|at| *to_source.add(at) = *source.cast::<T>().offset(at as isize * self.step));
            }
            clear_line(to.add(self.until), self.len - self.until);
        }
    }
}

/// Copies a line that is mostly short: fixed-size pieces that overlap instead of a call.
///
/// # Safety
/// Both lines have `count` elements and do not overlap.
#[inline(always)]
pub(super) unsafe fn copy_line<T: Copy>(from: *const T, to: *mut T, count: usize) {
    // SAFETY: the pieces stay inside of `count`.
    unsafe {
        let piece = |at: usize| to.add(at).cast::<[T; 8]>().write(from.add(at).cast::<[T; 8]>().read());
        if count >= 8 {
            let mut at = 0;
            while at + 8 <= count {
                piece(at);
                at += 8;
            }
            piece(count - 8);
        } else if count >= 4 {
            let (low, high) = (from.cast::<[T; 4]>().read(), from.add(count - 4).cast::<[T; 4]>().read());
            to.cast::<[T; 4]>().write(low);
            to.add(count - 4).cast::<[T; 4]>().write(high);
        } else if count >= 2 {
            let (low, high) = (from.cast::<[T; 2]>().read(), from.add(count - 2).cast::<[T; 2]>().read());
            to.cast::<[T; 2]>().write(low);
            to.add(count - 2).cast::<[T; 2]>().write(high);
        } else if count == 1 {
            *to = *from;
        }
    }
}

/// Zeros, as `copy_line`.
///
/// # Safety
/// The line has `count` elements.
#[inline(always)]
pub(super) unsafe fn clear_line<T: Real>(to: *mut T, count: usize) {
    // SAFETY: the pieces stay inside of `count`.
    unsafe {
        if count >= 8 {
            let mut at = 0;
            while at + 8 <= count {
                to.add(at).cast::<[T; 8]>().write([T::ZERO; 8]);
                at += 8;
            }
            to.add(count - 8).cast::<[T; 8]>().write([T::ZERO; 8]);
        } else if count >= 4 {
            to.cast::<[T; 4]>().write([T::ZERO; 4]);
            to.add(count - 4).cast::<[T; 4]>().write([T::ZERO; 4]);
        } else if count >= 2 {
            to.cast::<[T; 2]>().write([T::ZERO; 2]);
            to.add(count - 2).cast::<[T; 2]>().write([T::ZERO; 2]);
        } else if count == 1 {
            *to = T::ZERO;
        }
    }
}
