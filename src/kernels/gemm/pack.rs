//! Packing: panels of A and B in the order in which the micro-kernels read them.

use super::tile::{Real, lanes, load, splat, store};
use fearless_simd::Simd;

/// Packs `height` rows: the values of one depth stand together.
///
/// # Safety
/// The strided block is readable and `out` has room for `height * depth`.
#[inline(always)]
pub(crate) unsafe fn rows<S: Simd, T: Real>(
    simd: S,
    src: *const T,
    row_stride: isize,
    depth_stride: isize,
    height: usize,
    depth: usize,
    out: *mut T,
) {
    // SAFETY: all indices stay below `height` and `depth`; blocks of four overlap instead of leaving the panel.
    unsafe {
        if depth_stride == 1 && height >= 4 {
            let whole = depth / 4 * 4;
            for at in (0..whole).step_by(4) {
                let mut row = 0;
                loop {
                    let from = src.offset(row as isize * row_stride).add(at);
                    T::transpose4(simd, from, row_stride, out.add(at * height + row), height);
                    if row + 4 >= height {
                        break;
                    }
                    row = (row + 4).min(height - 4);
                }
            }
            for at in whole..depth {
                for row in 0..height {
                    *out.add(at * height + row) = *src.offset(row as isize * row_stride).add(at);
                }
            }
        } else if row_stride == 1 && height >= 4 {
            for at in 0..depth {
                let (from, to) = (src.offset(at as isize * depth_stride), out.add(at * height));
                let mut row = 0;
                loop {
                    to.add(row).cast::<[T; 4]>().write(from.add(row).cast::<[T; 4]>().read());
                    if row + 4 >= height {
                        break;
                    }
                    row = (row + 4).min(height - 4);
                }
            }
        } else {
            for at in 0..depth {
                for row in 0..height {
                    *out.add(at * height + row) = *src.offset(row as isize * row_stride + at as isize * depth_stride);
                }
            }
        }
    }
}

/// Packs `columns` columns, filled up with zeros to one vector or two: the values of one depth stand together.
///
/// # Safety
/// The strided block is readable, `columns` <= two vectors, and `out` has room for `depth` times one vector or two.
#[inline(always)]
pub(crate) unsafe fn columns<S: Simd, T: Real>(
    simd: S,
    src: *const T,
    depth_stride: isize,
    column_stride: isize,
    columns: usize,
    depth: usize,
    out: *mut T,
) {
    let vector = lanes::<S, T>();
    let width = if columns > vector { 2 * vector } else { vector };
    // SAFETY: all indices stay below `depth` and `width`, reads below `columns`.
    unsafe {
        if columns < width {
            for at in 0..depth {
                store::<S, T>(out.add(at * width + width - vector), splat(simd, T::ZERO));
            }
        }
        if column_stride == 1 && columns == 2 * vector {
            for at in 0..depth {
                let (from, to) = (src.offset(at as isize * depth_stride), out.add(at * width));
                store::<S, T>(to, load(simd, from));
                store::<S, T>(to.add(vector), load(simd, from.add(vector)));
            }
        } else if depth_stride == 1 {
            let (whole, wide) = (depth / 4 * 4, columns / 4 * 4);
            for at in (0..whole).step_by(4) {
                for column in (0..wide).step_by(4) {
                    let from = src.offset(column as isize * column_stride).add(at);
                    T::transpose4(simd, from, column_stride, out.add(at * width + column), width);
                }
                for column in wide..columns {
                    for at in at..at + 4 {
                        *out.add(at * width + column) = *src.offset(column as isize * column_stride).add(at);
                    }
                }
            }
            for at in whole..depth {
                for column in 0..columns {
                    *out.add(at * width + column) = *src.offset(column as isize * column_stride).add(at);
                }
            }
        } else {
            for at in 0..depth {
                for column in 0..columns {
                    *out.add(at * width + column) = *src.offset(at as isize * depth_stride + column as isize * column_stride);
                }
            }
        }
    }
}
