//! Shapes, strides and the arithmetic on them. Ranks up to 5 live inline.

use crate::{Error, Result};
use smallvec::{SmallVec, smallvec};

pub type Shape = SmallVec<[usize; 5]>;
pub type Strides = SmallVec<[isize; 5]>;

/// A copy. `SmallVec`'s own is a loop or a call into the C library; inline ones are copied whole, whatever their length.
#[inline]
pub fn duplicate<T: Copy>(dims: &SmallVec<[T; 5]>) -> SmallVec<[T; 5]> {
    if dims.spilled() {
        return SmallVec::from_slice(dims);
    }
    // SAFETY: an inline vector of plain values owns nothing, so that its bits are another one.
    unsafe { std::ptr::read(dims) }
}

/// Row-major strides; sizes of 0 count as 1, as in PyTorch.
pub fn contiguous_strides(shape: &[usize]) -> Strides {
    let mut strides: Strides = smallvec![1; shape.len()];
    let mut step = 1isize;
    for (stride, &size) in strides.iter_mut().zip(shape).rev() {
        *stride = step;
        step = step.saturating_mul(size.max(1) as isize);
    }
    strides
}

/// Row-major without gaps; sizes of 1 and empty arrays do not care.
pub fn is_contiguous(shape: &[usize], strides: &[isize]) -> bool {
    let mut expected = 1isize;
    for (&size, &stride) in shape.iter().zip(strides).rev() {
        if size != 1 {
            if stride != expected {
                return shape.contains(&0);
            }
            expected = expected.wrapping_mul(size as isize);
        }
    }
    true
}

/// Number of elements, or None where it does not fit. Nor may that of an empty shape's other sizes overflow: so no product of
/// some sizes does, and no row-major stride.
pub fn checked_numel(shape: &[usize]) -> Option<usize> {
    let mut product = 1usize;
    let mut empty = false;
    for &size in shape {
        empty |= size == 0;
        product = product.checked_mul(size.max(1))?;
    }
    if product > isize::MAX as usize { None } else { Some(if empty { 0 } else { product }) }
}

/// `dim` counted from the front, -1 being the last; a 0-dim tensor counts as one of rank 1.
pub fn wrap_dim(dim: i64, rank: usize) -> Result<usize> {
    let n = rank.max(1) as i64;
    if dim < -n || dim >= n {
        return Err(Error::dim_range(dim, rank));
    }
    Ok(if dim < 0 { dim + n } else { dim } as usize)
}

/// The common shape of `a` and `b` by NumPy's broadcasting.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Shape> {
    if a == b {
        return Ok(a.into());
    }
    let rank = a.len().max(b.len());
    let mut out: Shape = smallvec![0; rank];
    for i in 0..rank {
        let size = |s: &[usize]| if i < s.len() { s[s.len() - 1 - i] } else { 1 };
        let (x, y) = (size(a), size(b));
        out[rank - 1 - i] = if x == y || y == 1 {
            x
        } else if x == 1 {
            y
        } else {
            return Err(Error::broadcast(x, y, rank - 1 - i));
        };
    }
    Ok(out)
}

/// The strides with which an array of `shape`, `strides` is read as one of shape `to` (already known to broadcast).
pub fn broadcast_strides(shape: &[usize], strides: &[isize], to: &[usize]) -> Strides {
    let pad = to.len() - shape.len();
    let mut out: Strides = smallvec![0; to.len()];
    for i in 0..shape.len() {
        out[pad + i] = if shape[i] == 1 && to[pad + i] != 1 { 0 } else { strides[i] };
    }
    out
}

/// The strides that let an array be seen in `new` shape without copying, if such exist. Adjacent dimensions that lie one
/// behind the other form a run; each run must be cut up again by a group of new sizes.
pub fn view_strides(shape: &[usize], strides: &[isize], new: &[usize]) -> Option<Strides> {
    if shape.contains(&0) {
        return Some(contiguous_strides(new));
    }
    let mut out: Strides = smallvec![1; new.len()];
    let mut next = new.len();
    let mut end = shape.len();
    while end > 0 {
        let base = strides[end - 1];
        let mut start = end - 1;
        let mut run = shape[start];
        let mut step = base.wrapping_mul(run as isize);
        while start > 0 && (shape[start - 1] == 1 || strides[start - 1] == step) {
            start -= 1;
            run *= shape[start];
            step = base.wrapping_mul(run as isize);
        }
        let mut taken = 1usize;
        while next > 0 && (taken < run || new[next - 1] == 1) {
            next -= 1;
            out[next] = base.wrapping_mul(taken as isize);
            taken *= new[next];
        }
        if taken != run {
            // Sizes of 1 at the front of the old shape match nothing in the new one.
            return None;
        }
        end = start;
    }
    while next > 0 {
        next -= 1;
        if new[next] != 1 {
            return None;
        }
        out[next] = if next + 1 < new.len() { out[next + 1].wrapping_mul(new[next + 1] as isize) } else { 1 };
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_follows_numpy() {
        assert_eq!(broadcast(&[3, 1], &[4]).unwrap().as_slice(), &[3, 4]);
        assert_eq!(broadcast(&[0], &[1]).unwrap().as_slice(), &[0]);
        assert_eq!(broadcast(&[2, 3], &[2, 2]).unwrap_err(), Error::broadcast(3, 2, 1));
        assert_eq!(broadcast_strides(&[3, 1], &[1, 1], &[2, 3, 4]).as_slice(), &[0, 1, 0]);
    }

    #[test]
    fn sizes_multiply_to_what_fits_even_where_one_is_0() {
        const HALF: usize = 1 << 62;
        assert_eq!(checked_numel(&[]), Some(1));
        assert_eq!(checked_numel(&[HALF, 0]), Some(0));
        assert_eq!(checked_numel(&[HALF, 0, 2]), None);
        assert_eq!(checked_numel(&[0, usize::MAX]), None);
        assert_eq!(checked_numel(&[HALF, 2]), None);
    }

    #[test]
    fn a_view_needs_no_copy_exactly_where_runs_can_be_cut_up() {
        assert_eq!(view_strides(&[2, 3, 4], &[12, 4, 1], &[6, 4]).unwrap().as_slice(), &[4, 1]);
        assert_eq!(view_strides(&[2, 3, 4], &[12, 4, 1], &[2, 2, 6]).unwrap().as_slice(), &[12, 6, 1]);
        assert_eq!(view_strides(&[3, 2], &[1, 3], &[6]), None);
        assert_eq!(view_strides(&[3, 2], &[1, 3], &[3, 1, 2]).unwrap().as_slice()[..1], [1]);
        assert_eq!(view_strides(&[3, 2], &[1, 3], &[3, 2, 1, 1]).unwrap().as_slice()[..2], [1, 3]);
        assert_eq!(view_strides(&[1, 1], &[1, 1], &[1]).unwrap().len(), 1);
        assert_eq!(view_strides(&[], &[], &[1, 1]).unwrap().len(), 2);
        assert_eq!(view_strides(&[1], &[1], &[]).unwrap().len(), 0);
        assert_eq!(view_strides(&[4, 3], &[0, 0], &[12]).unwrap().as_slice(), &[0]);
    }
}
