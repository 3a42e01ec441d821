//! The same elements elsewhere: triangles, diagonals, flips, rolls, rotations, repetitions.

use crate::copy;
use crate::device::indexing::{self, Half};
use crate::formula::{Formula, attach, on_contiguous, update, zeros};
use crate::index::index_select;
use crate::registry::into_out;
use crate::row::{Scalar, call};
use crate::rows;
use crate::tensor::Tensor;
use crate::views;
use rustnn_tensor::shape::{checked_numel, wrap_dim};
use rustnn_tensor::{Array, DType, Device, Error, Result, Shape, Strides, bail, ensure};
use smallvec::SmallVec;

/// The part of matrices on and below (`Lower`) or above a diagonal; zeros elsewhere.
pub fn triangle(x: &Tensor, half: Half, diagonal: i64, in_place: bool) -> Result<Tensor> {
    let (name, op) = if half == Half::Lower { ("TrilBackward0", "tril") } else { ("TriuBackward0", "triu") };
    ensure!(x.rank() >= 2, Runtime, "{op}: input tensor must have at least 2 dimensions");
    let formula = || Formula::one(name, &[], move |dy, _| triangle(dy, half, diagonal, false));
    if in_place {
        return update(x, true, &[], formula, |target| on_contiguous(target, |target| indexing::triangle(half, diagonal, target, target)));
    }
    let out = Array::empty(x.shape(), x.dtype(), x.device())?;
    indexing::triangle(half, diagonal, &copy::contiguous_array(x.array())?, &out)?;
    attach(out, &[x], formula)
}

/// Coordinates of a triangle of a `rows x columns` matrix, as the rows of a `2 x n` tensor.
fn triangle_indices(lower: bool, rows: i64, columns: i64, offset: i64, dtype: DType) -> Result<Tensor> {
    ensure!(rows >= 0, Runtime, "row must be non-negative, got{rows}");
    ensure!(columns >= 0, Runtime, "col must be non-negative, got{columns}");
    // The columns of row i.
    let range = |i: i64| {
        let edge = i.saturating_add(offset);
        if lower { 0..columns.min(edge.saturating_add(1).max(0)) } else { edge.clamp(0, columns)..columns }
    };
    // Rows that have any: the first ones have none below a diagonal far down, the last ones none right of one far up.
    let first = if lower { offset.saturating_neg().clamp(0, rows) } else { 0 };
    let end = if lower { rows } else { columns.saturating_sub(offset).clamp(0, rows) };
    let with_columns = if columns == 0 { 0..0 } else { first..end };
    // Their number: rows grow (shrink) by a column each, but are whole from (up to) some row on.
    let count = (with_columns.end - with_columns.start) as i128;
    let (columns_wide, edge) = (columns as i128, with_columns.start as i128 + offset as i128);
    let n = if lower {
        let growing = (columns_wide - edge - 1).clamp(0, count);
        growing * (edge + 1) + growing * (growing - 1) / 2 + (count - growing) * columns_wide
    } else {
        let whole = (-edge).clamp(0, count);
        let shrinking = count - whole;
        whole * columns_wide + shrinking * (columns_wide - (edge + whole).max(0)) - shrinking * (shrinking - 1) / 2
    };
    let mut all: Vec<i64> = Vec::new();
    let n = usize::try_from(n).unwrap_or(usize::MAX);
    if all.try_reserve_exact(n.saturating_mul(2)).is_err() {
        return Err(rustnn_tensor::Error::OutOfMemory { bytes: n.saturating_mul(16) });
    }
    all.extend(with_columns.clone().flat_map(|i| range(i).map(move |_| i)));
    all.extend(with_columns.flat_map(range));
    copy::cast_array(&Array::from_slice(&all, &[2, n])?, dtype).map(Tensor::from_array)
}

/// `x` on the diagonal of two new dimensions, zeros elsewhere.
pub fn diag_embed(x: &Tensor, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
    let rank = x.rank() + 1;
    let (a, b) = (wrap_dim(dim1, rank)?, wrap_dim(dim2, rank)?);
    ensure!(a != b, Runtime, "diagonal dimensions cannot be identical {dim1}, {dim2}");
    let n = size_sum(x.shape()[x.rank() - 1], offset.unsigned_abs())?;
    let mut shape: Shape = x.shape()[..x.rank() - 1].into();
    let (low, high) = (a.min(b), a.max(b));
    shape.insert(low, n);
    shape.insert(high, n);
    checked_numel(&shape).ok_or_else(Error::size_overflow)?;
    let out = Array::zeros(&shape, x.dtype(), x.device())?;
    let place = views::diagonal(&Tensor::from_array(out.clone()), offset, a as i64, b as i64)?;
    copy::copy_array(x.array(), place.array())?;
    attach(out, &[x], || {
        Formula::one("DiagEmbedBackward0", &[], move |dy, _| crate::clone(&views::diagonal(dy, offset, a as i64, b as i64)?))
    })
}

fn size_sum(a: usize, b: u64) -> Result<usize> {
    usize::try_from(b).ok().and_then(|b| a.checked_add(b)).ok_or_else(Error::size_overflow)
}

/// A matrix with `x` on its diagonal, or the diagonal of a matrix.
pub fn diag(x: &Tensor, diagonal: i64) -> Result<Tensor> {
    match x.rank() {
        1 => diag_embed(x, diagonal, -2, -1),
        2 => crate::clone(&views::diagonal(x, diagonal, 0, 1)?),
        n => bail!(Runtime, "diag(): Supports 1D or 2D tensors. Got {n}D"),
    }
}

/// Dimensions in reverse order of their indices.
pub fn flip(x: &Tensor, dims: &[i64]) -> Result<Tensor> {
    let mut flipped: SmallVec<[usize; 5]> = SmallVec::new();
    for &d in dims {
        let d = wrap_dim(d, x.rank())?;
        ensure!(!flipped.contains(&d), Runtime, "dim {d} appears multiple times in the list of dims");
        flipped.push(d);
    }
    let a = x.array();
    let mut strides: Strides = a.strides().into();
    let mut offset = a.offset() as isize;
    if x.numel() > 0 && x.rank() > 0 {
        for &d in &flipped {
            offset += (x.shape()[d] as isize - 1) * strides[d];
            strides[d] = -strides[d];
        }
    }
    let out = copy::like(a, x.dtype())?;
    copy::copy_array(&a.with_geometry(a.shape().into(), strides, offset as usize), &out)?;
    attach(out, &[x], || {
        let dims: SmallVec<[i64; 5]> = dims.into();
        Formula::one("FlipBackward0", &[], move |dy, _| flip(dy, &dims))
    })
}

/// Elements moved along dimensions, those that leave coming in at the other end; without dimensions, along all of them as one.
pub fn roll(x: &Tensor, shifts: &[i64], dims: &[i64]) -> Result<Tensor> {
    ensure!(!shifts.is_empty(), Runtime, "`shifts` required");
    if dims.is_empty() && shifts.len() == 1 {
        let flat = views::reshape_to(x, &[x.numel()])?;
        return views::in_shape(&roll(&flat, shifts, &[0])?, x.shape());
    }
    ensure!(shifts.len() == dims.len(), Runtime, "shifts and dimensions must align. shifts: {}, dims:{}", shifts.len(), dims.len());
    let mut out = x.array().clone();
    for (&shift, &dim) in shifts.iter().zip(dims) {
        let d = wrap_dim(dim, x.rank())?;
        let next = copy::like(x.array(), x.dtype())?;
        if x.rank() == 0 || x.numel() == 0 {
            copy::copy_array(&out, &next)?;
        } else {
            let n = x.shape()[d];
            let shift = shift.rem_euclid(n as i64) as usize;
            for (from, to, len) in [(0, shift, n - shift), (n - shift, 0, shift)] {
                if len > 0 {
                    copy::copy_array(&views::narrow_array(&out, d, from, len), &views::narrow_array(&next, d, to, len))?;
                }
            }
        }
        out = next;
    }
    attach(out, &[x], || {
        let (back, dims): (Vec<i64>, Vec<i64>) = (shifts.iter().map(|s| s.wrapping_neg()).collect(), dims.to_vec());
        Formula::one("RollBackward0", &[], move |dy, _| roll(dy, &back, &dims))
    })
}

/// `k` quarter turns in the plane of two dimensions, from the first toward the second.
pub fn rot90(x: &Tensor, k: i64, dims: &[i64]) -> Result<Tensor> {
    ensure!(dims.len() == 2, Runtime, "expected total rotation dims == 2, but got dims = {}", dims.len());
    ensure!(x.rank() >= 2, Runtime, "expected total dims >= 2, but got total dims = {}", x.rank());
    let (a, b) = (wrap_dim(dims[0], x.rank())?, wrap_dim(dims[1], x.rank())?);
    ensure!(a != b, Runtime, "expected rotation dims to be different, but got dim0 = {} and dim1 = {}", dims[0], dims[1]);
    let (a, b) = (a as i64, b as i64);
    match k.rem_euclid(4) {
        1 => crate::contiguous(&views::transpose(&flip(x, &[b])?, a, b)?),
        2 => flip(x, &[a, b]),
        3 => crate::contiguous(&views::transpose(&flip(x, &[a])?, a, b)?),
        _ => crate::clone(x),
    }
}

/// The tensor repeated along each dimension; further counts make dimensions in front.
pub fn repeat(x: &Tensor, repeats: &[i64]) -> Result<Tensor> {
    ensure!(
        repeats.len() >= x.rank(),
        Runtime,
        "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"
    );
    let lead = repeats.len() - x.rank();
    let size = |d: usize| if d < lead { 1 } else { x.shape()[d - lead] };
    let wanted: SmallVec<[i64; 5]> = repeats.iter().enumerate().map(|(d, &r)| r.saturating_mul(size(d) as i64)).collect();
    if let Some(n) = repeats.iter().zip(&wanted).find(|r| *r.0 < 0).map(|r| r.1.min(&-1)) {
        bail!(Runtime, "Trying to create tensor with negative dimension {n}: {wanted:?}");
    }
    let shape = crate::create::sizes(&wanted)?;
    checked_numel(&shape).ok_or_else(Error::size_overflow)?;
    let out = Array::empty(&shape, x.dtype(), x.device())?;
    // Each dimension seen as repetitions x size.
    let (mut pairs, mut strides) = (Shape::new(), Strides::new());
    for (d, &r) in repeats.iter().enumerate() {
        pairs.extend_from_slice(&[r as usize, size(d)]);
        strides.extend_from_slice(&[0, if d < lead { 0 } else { x.strides()[d - lead] }]);
    }
    if out.numel() > 0 {
        let from = x.array().with_geometry(pairs.clone(), strides, x.array().offset());
        let to = out.view(&pairs).ok_or_else(|| Error::Runtime("repeat: a fresh array has every shape".into()))?;
        copy::copy_array(&from, &to)?;
    }
    attach(out, &[x], || {
        let shape = x.shape_owned();
        Formula::one("RepeatBackward0", &[], move |dy, _| {
            if dy.numel() == 0 {
                return zeros(dy, &shape);
            }
            let dims: SmallVec<[i64; 5]> = (0..pairs.len() as i64).step_by(2).collect();
            let summed = crate::reduce::sum(&views::reshape_to(dy, &pairs)?, Some(&dims), false, None)?;
            views::reshape_to(&summed, &shape)
        })
    })
}

/// As [`repeat`], counts missing in front being 1.
pub fn tile(x: &Tensor, dims: &[i64]) -> Result<Tensor> {
    let mut counts: SmallVec<[i64; 5]> = SmallVec::from_elem(1, x.rank().saturating_sub(dims.len()));
    counts.extend_from_slice(dims);
    repeat(x, &counts)
}

/// For each count as many copies of its place: `[2, 1]` gives `[0, 0, 1]`.
fn repeated_places(repeats: &Tensor, output_size: Option<i64>) -> Result<Tensor> {
    if !matches!(repeats.dtype(), DType::I32 | DType::I64) {
        return Err(Error::not_implemented("repeat_interleave_cpu", repeats.dtype()));
    }
    ensure!(repeats.rank() == 1, Runtime, "repeat_interleave only accept 1D vector as repeat");
    if repeats.array().is_meta() {
        let Some(n) = output_size else { bail!(NotImplemented, "repeat_interleave: output_size is needed for a meta tensor") };
        return Array::empty(&crate::create::sizes(&[n])?, DType::I64, Device::Meta).map(Tensor::from_array);
    }
    if repeats.device().is_gpu() {
        return repeated_places_on_device(repeats, output_size);
    }
    let counts = indexing::integers(repeats.array())?;
    ensure!(counts.iter().all(|&n| n >= 0), Runtime, "repeats can not be negative");
    let total = counts.iter().try_fold(0i64, |sum, &n| sum.checked_add(n)).ok_or_else(Error::size_overflow)?;
    ensure!(output_size.is_none_or(|n| n == total), Runtime, "allocated size does not match required size");
    // The allocator refuses what a vector would abort on.
    let room = Array::empty(&crate::create::sizes(&[total])?, DType::I64, Device::Cpu)?;
    drop(room);
    let places: Vec<i64> = counts.iter().enumerate().flat_map(|(i, &n)| std::iter::repeat_n(i as i64, n as usize)).collect();
    crate::to_device(&Tensor::from_slice(&places, &[places.len()])?, repeats.device())
}

/// The same on a GPU, of which the sum alone is read, and not even that where the caller knows it.
fn repeated_places_on_device(repeats: &Tensor, output_size: Option<i64>) -> Result<Tensor> {
    let n = repeats.numel();
    let counts = crate::contiguous(&crate::to_dtype(repeats, DType::I64)?)?;
    let below = call(&rows::LT, &[(&counts).into(), Scalar::Int(0).into()], &[])?;
    crate::reduce::refuse_where(below.array(), Error::Runtime, "repeats can not be negative")?;
    let ends = Array::empty(&[n], DType::I64, repeats.device())?;
    indexing::scan(indexing::Scan::Sum, false, counts.array(), 0, &ends)?;
    let last = Tensor::from_array(ends.with_geometry([n.min(1)][..].into(), [1][..].into(), ends.offset() + n.saturating_sub(1)));
    let total = match output_size {
        Some(total) => {
            let differs = call(&rows::NE, &[(&last).into(), Scalar::Int(total).into()], &[])?;
            crate::reduce::refuse_where(differs.array(), Error::Runtime, "allocated size does not match required size")?;
            total
        }
        None if n == 0 => 0,
        None => crate::read::item(&last)?.to_i64(),
    };
    let out = Array::empty(&crate::create::sizes(&[total])?, DType::I64, repeats.device())?;
    let each = crate::create::arange(Scalar::Int(0), Scalar::Int(total), Scalar::Int(1), Some(DType::I64), repeats.device())?;
    indexing::searchsorted(true, &ends, None, each.array(), &out)?;
    // Only sums that were refused leave a place behind the last one.
    let inside = call(&rows::CLAMP, &[(&Tensor::from_array(out)).into()], &[Scalar::Int(0), Scalar::Int(n.max(1) as i64 - 1)])?;
    Ok(inside)
}

/// Every element of a dimension repeated, one after the other; without `dim`, of the flattened tensor.
fn repeat_interleave(x: &Tensor, repeats: &Tensor, dim: Option<i64>, output_size: Option<i64>) -> Result<Tensor> {
    let (x, dim) = match dim {
        Some(dim) => (x.clone(), dim),
        None => (views::reshape_to(x, &[x.numel()])?, 0),
    };
    let d = wrap_dim(dim, x.rank())?;
    let x = if x.rank() == 0 { views::reshape_to(&x, &[1])? } else { x };
    let n = x.shape()[d];
    ensure!(repeats.rank() <= 1, Runtime, "repeats must be 0-dim or 1-dim tensor");
    let repeats = if repeats.rank() == 0 || repeats.shape()[0] == 1 {
        views::expand_to(&views::reshape_to(repeats, &[1])?, &[n])?
    } else {
        ensure!(
            repeats.shape()[0] == n,
            Runtime,
            "repeats must have the same size as input along dim, but got repeats.size(0) = {} and input.size({d}) = {n}",
            repeats.shape()[0]
        );
        repeats.clone()
    };
    let places = repeated_places(&repeats, output_size)?;
    // Numbers of repeats that the host knows are summed there.
    let places = if places.device() == x.device() { places } else { crate::to_device(&places, x.device())? };
    index_select(&x, d as i64, &places)
}

/// The two or more dimensions that names such as `fliplr` take for granted.
fn at_least(x: &Tensor, rank: usize, text: &str) -> Result<()> {
    ensure!(x.rank() >= rank, Runtime, "{text}");
    Ok(())
}

crate::ops! {
    "tril(Tensor self, int diagonal=0, *, Tensor? out=None)" Both "The lower triangle of matrices, zeros above." =>
        |a| into_out("tril", &[a.tensor(0)?], || triangle(a.tensor(0)?, Half::Lower, a.int(1)?, false), a.opt_tensor(2)?)?;
    "triu(Tensor self, int diagonal=0, *, Tensor? out=None)" Both "The upper triangle of matrices, zeros below." =>
        |a| into_out("triu", &[a.tensor(0)?], || triangle(a.tensor(0)?, Half::Upper, a.int(1)?, false), a.opt_tensor(2)?)?;
    "tril_(Tensor self, int diagonal=0)" Method "Zeros above the diagonal, in place." => |a| triangle(a.tensor(0)?, Half::Lower, a.int(1)?, true)?;
    "triu_(Tensor self, int diagonal=0)" Method "Zeros below the diagonal, in place." => |a| triangle(a.tensor(0)?, Half::Upper, a.int(1)?, true)?;
    "tril_indices(int row, int col, int offset=0, *, ScalarType? dtype=None, Device? device=None, Layout? layout=None)" Function
        "Coordinates of the lower triangle, as rows of a 2 x n tensor." =>
        |a| crate::to_device(&triangle_indices(true, a.int(0)?, a.int(1)?, a.int(2)?, a.opt_dtype(3)?.unwrap_or(DType::I64))?, a.opt_device(4)?.unwrap_or_else(crate::default_device))?;
    "triu_indices(int row, int col, int offset=0, *, ScalarType? dtype=None, Device? device=None, Layout? layout=None)" Function
        "Coordinates of the upper triangle, as rows of a 2 x n tensor." =>
        |a| crate::to_device(&triangle_indices(false, a.int(0)?, a.int(1)?, a.int(2)?, a.opt_dtype(3)?.unwrap_or(DType::I64))?, a.opt_device(4)?.unwrap_or_else(crate::default_device))?;
    "diag(Tensor self, int diagonal=0, *, Tensor? out=None)" Both "A matrix with a vector on its diagonal, or the diagonal of a matrix." =>
        |a| into_out("diag", &[a.tensor(0)?], || {
            let out = diag(a.tensor(0)?, a.int(1)?)?;
            Ok(if a.tensor(0)?.rank() == 2 { crate::tape::named(out, "DiagonalBackward0_copy") } else { out })
        }, a.opt_tensor(2)?)?;
    "diag_embed(Tensor self, int offset=0, int dim1=-2, int dim2=-1)" Both "The last dimension on the diagonal of two new ones." => |a| {
        let x = a.tensor(0)?;
        ensure!(x.rank() > 0, Index, "diag_embed: needs at least one dimension, got 0");
        diag_embed(x, a.int(1)?, a.int(2)?, a.int(3)?)?
    };
    "diagflat(Tensor self, int offset=0)" Both "A matrix with all elements on its diagonal." => |a| {
        let x = a.tensor(0)?;
        diag_embed(&views::reshape_to(x, &[x.numel()])?, a.int(1)?, -2, -1)?
    };
    "flip(Tensor self, int[...] dims)" Both "Dimensions in reverse order." => |a| flip(a.tensor(0)?, a.ints(1)?)?;
    "fliplr(Tensor self)" Both "Columns in reverse order." => |a| { at_least(a.tensor(0)?, 2, "Input must be >= 2-d.")?; flip(a.tensor(0)?, &[1])? };
    "flipud(Tensor self)" Both "Rows in reverse order." => |a| { at_least(a.tensor(0)?, 1, "Input must be >= 1-d.")?; flip(a.tensor(0)?, &[0])? };
    "roll(Tensor self, int[1] shifts, int[1]? dims=None)" Both "Elements moved along dimensions, coming in again at the other end." =>
        |a| crate::tape::named(roll(a.tensor(0)?, a.ints(1)?, a.opt_ints(2)?.unwrap_or(&[]))?, "RollBackward0");
    "rot90(Tensor self, int k=1, int[] dims=[0,1])" Both "Quarter turns in the plane of two dimensions." =>
        |a| crate::tape::named(rot90(a.tensor(0)?, a.int(1)?, a.ints(2)?)?, "Rot90Backward0");
    "repeat(Tensor self, int[...] repeats)" Method "The tensor repeated along each dimension." => |a| repeat(a.tensor(0)?, a.ints(1)?)?;
    "tile(Tensor self, int[...] dims)" Both "The tensor repeated along each of the last dimensions." => |a| tile(a.tensor(0)?, a.ints(1)?)?;
    "repeat_interleave(Tensor self, Tensor repeats, int? dim=None, *, int? output_size=None)" Both "Every element of a dimension repeated." =>
        |a| repeat_interleave(a.tensor(0)?, a.tensor(1)?, a.opt_int(2)?, a.opt_int(3)?)?;
    "repeat_interleave(Tensor self, int repeats, int? dim=None, *, int? output_size=None)" Both "Every element of a dimension repeated." => |a| {
        let n = a.int(1)?;
        ensure!(n >= 0, Runtime, "Repeats must be non-negative");
        crate::tape::named(repeat_interleave(a.tensor(0)?, &Tensor::from_slice(&[n], &[1])?, a.opt_int(2)?, a.opt_int(3)?)?, "ViewBackward0")
    };
    "repeat_interleave(Tensor repeats, *, int? output_size=None)" Function "For each count as many copies of its place." =>
        |a| repeated_places(a.tensor(0)?, a.opt_int(1)?)?;
}
