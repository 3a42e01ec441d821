//! Views: other shapes and strides over the same memory.

use crate::copy;
use crate::tape::{Geometry, ViewOp, record};
use crate::tensor::{Tensor, needs_grad};
use rustnn_autograd::{Backward, Context, Grads};
use rustnn_tensor::shape::{broadcast_strides, checked_numel, wrap_dim};
use rustnn_tensor::{Array, DType, Error, Result, Shape, Strides, bail, ensure};
use smallvec::{SmallVec, smallvec};

/// `torch.Size([2, 3])`.
pub fn size_text(shape: &[usize]) -> String {
    format!("torch.Size({shape:?})")
}

/// The offset of an index of a dimension; an empty array, whose strides may be any, has no other than its own.
fn offset_at(a: &Array, dim: usize, index: usize) -> usize {
    if a.numel() == 0 { a.offset() } else { a.offset().wrapping_add_signed(index as isize * a.strides()[dim]) }
}

pub fn select_array(a: &Array, dim: usize, index: usize) -> Array {
    let (mut shape, mut strides): (Shape, Strides) = (a.shape().into(), a.strides().into());
    let offset = offset_at(a, dim, index);
    shape.remove(dim);
    strides.remove(dim);
    a.with_geometry(shape, strides, offset)
}

pub fn narrow_array(a: &Array, dim: usize, start: usize, len: usize) -> Array {
    slice_array(a, dim, start, len, 1)
}

/// `len` elements of `dim` from `start` on, `step` apart; they must exist.
pub fn slice_array(a: &Array, dim: usize, start: usize, len: usize, step: usize) -> Array {
    let (mut shape, mut strides): (Shape, Strides) = (a.shape().into(), a.strides().into());
    // An empty slice at the very end would point behind the storage.
    let offset = if len == 0 { a.offset() } else { offset_at(a, dim, start) };
    shape[dim] = len;
    strides[dim] = strides[dim].saturating_mul(step as isize);
    a.with_geometry(shape, strides, offset)
}

pub fn permute_array(a: &Array, dims: &[usize]) -> Array {
    let shape = dims.iter().map(|&d| a.shape()[d]).collect();
    let strides = dims.iter().map(|&d| a.strides()[d]).collect();
    a.with_geometry(shape, strides, a.offset())
}

/// Sizes for `numel` elements, one of which may be -1.
fn infer_size(size: &[i64], numel: usize) -> Result<Shape> {
    let invalid = || Error::Runtime(format!("shape '{size:?}' is invalid for input of size {numel}"));
    let mut known = 1usize;
    let mut unknown = None;
    for (i, &n) in size.iter().enumerate() {
        match n {
            -1 if unknown.is_some() => bail!(Runtime, "only one dimension can be inferred"),
            -1 => unknown = Some(i),
            n if n < 0 => bail!(Runtime, "invalid shape dimension {n} at index {i} of shape {size:?}"),
            n => known = known.checked_mul(n as usize).ok_or_else(invalid)?,
        }
    }
    let mut shape: Shape = size.iter().map(|&n| n.max(0) as usize).collect();
    match unknown {
        None if known == numel => {}
        Some(i) if known > 0 && numel % known == 0 => shape[i] = numel / known,
        Some(_) if known == 0 && numel == 0 => bail!(
            Runtime,
            "cannot reshape tensor of 0 elements into shape {size:?} because the unspecified dimension size -1 can be any value and is \
             ambiguous"
        ),
        _ => return Err(invalid()),
    }
    checked_numel(&shape).ok_or_else(Error::size_overflow)?;
    Ok(shape)
}

/// The same elements in another shape, without copying.
pub fn view(x: &Tensor, size: &[i64]) -> Result<Tensor> {
    let shape = infer_size(size, x.numel())?;
    match x.array().view(&shape) {
        Some(array) => Ok(x.make_view(array, ViewOp::Reshape { from: x.shape_owned() }, "ViewBackward0")),
        None => bail!(
            Runtime,
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two contiguous \
             subspaces). Use .reshape(...) instead."
        ),
    }
}

/// The same elements in another shape: a view where that is possible, else a copy.
pub fn reshape(x: &Tensor, size: &[i64]) -> Result<Tensor> {
    reshape_to(x, &infer_size(size, x.numel())?)
}

pub fn reshape_to(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    if x.shape() == shape {
        return Ok(x.make_view(x.array().clone(), ViewOp::Alias, "ViewBackward0"));
    }
    if let Some(array) = x.array().view(shape) {
        return Ok(x.make_view(array, ViewOp::Reshape { from: x.shape_owned() }, "ViewBackward0"));
    }
    let flat = copy::contiguous_array(x.array())?;
    let array = flat.view(shape).ok_or_else(|| Error::Runtime("reshape of another number of elements".into()))?;
    if !needs_grad(&[x]) {
        return Ok(Tensor::from_array(array));
    }
    Ok(record(array, &[x], ReshapeCopy { from: x.shape_owned() }))
}

/// An op's own fresh result in another shape. It is no view: nobody else holds what it would be a view of, and what is written
/// to it in place is its own history.
pub(crate) fn in_shape(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let Some(array) = x.array().view(shape) else { return reshape_to(x, shape) };
    let out = if needs_grad(&[x]) { record(array, &[x], ReshapeCopy { from: x.shape_owned() }) } else { Tensor::from_array(array) };
    Ok(out.sharing_version(x))
}

/// A reshape that had to copy, or whose input nobody else sees.
struct ReshapeCopy {
    from: Shape,
}

impl Backward<Tensor> for ReshapeCopy {
    fn name(&self) -> String {
        "UnsafeViewBackward0".into()
    }

    fn backward(&self, grads: Grads<Tensor>, _: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(grad) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        Ok(smallvec![Some(reshape_to(&grad, &self.from)?)])
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

pub fn permute(x: &Tensor, dims: &[i64]) -> Result<Tensor> {
    ensure!(
        dims.len() == x.rank(),
        Runtime,
        "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = {} is not equal to len(dims) = {}",
        x.rank(),
        dims.len()
    );
    let dims: SmallVec<[usize; 5]> = dims.iter().map(|&d| wrap_dim(d, x.rank())).collect::<Result<_>>()?;
    let mut seen: SmallVec<[bool; 8]> = smallvec![false; x.rank()];
    for &d in &dims {
        ensure!(!std::mem::replace(&mut seen[d], true), Runtime, "permute(): duplicate dims are not allowed.");
    }
    Ok(permuted(x, dims, "PermuteBackward0"))
}

fn permuted(x: &Tensor, dims: SmallVec<[usize; 5]>, name: &'static str) -> Tensor {
    x.make_view(permute_array(x.array(), &dims), ViewOp::Permute { dims }, name)
}

pub fn transpose(x: &Tensor, a: i64, b: i64) -> Result<Tensor> {
    let (a, b) = (wrap_dim(a, x.rank())?, wrap_dim(b, x.rank())?);
    let mut dims: SmallVec<[usize; 5]> = (0..x.rank()).collect();
    if x.rank() > 0 {
        dims.swap(a, b);
    }
    Ok(permuted(x, dims, "TransposeBackward0"))
}

/// The transpose of a matrix; vectors and numbers stay as they are.
pub fn t(x: &Tensor) -> Result<Tensor> {
    ensure!(x.rank() <= 2, Runtime, "t() expects a tensor with <= 2 dimensions, but self is {}D", x.rank());
    let dims = (0..x.rank()).rev().collect();
    Ok(permuted(x, dims, "TBackward0"))
}

/// All dimensions, or the last two, exchanged.
fn transposed(x: &Tensor, last_two: bool) -> Result<Tensor> {
    let n = x.rank();
    if last_two {
        ensure!(n != 1, Runtime, "tensor.mT is only supported on matrices or batches of matrices. Got {n}-D tensor.");
        if n >= 2 {
            return transpose(x, -2, -1);
        }
    }
    Ok(permuted(x, (0..n).rev().collect(), "PermuteBackward0"))
}

pub fn expand(x: &Tensor, size: &[i64]) -> Result<Tensor> {
    ensure!(
        size.len() >= x.rank(),
        Runtime,
        "expand(torch.{}Tensor{{{:?}}}, size={:?}): the number of sizes provided ({}) must be greater or equal to the number of dimensions in the tensor ({})",
        x.dtype().scalar_name(),
        x.shape(),
        size,
        size.len(),
        x.rank()
    );
    let lead = size.len() - x.rank();
    let mut shape = Shape::new();
    for (i, &n) in size.iter().enumerate() {
        let own = i.checked_sub(lead).map(|d| x.shape()[d]);
        shape.push(match (n, own) {
            (-1, Some(own)) => own,
            (-1, None) => bail!(
                Runtime,
                "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {i}"
            ),
            (n, _) if n < 0 => bail!(Runtime, "Trying to create tensor with negative dimension {n}: {size:?}"),
            (n, Some(own)) if own != 1 && own != n as usize => bail!(
                Runtime,
                "The expanded size of the tensor ({n}) must match the existing size ({own}) at non-singleton dimension {i}.  Target sizes: {size:?}.  Tensor sizes: {:?}",
                x.shape()
            ),
            (n, _) => n as usize,
        });
    }
    expand_to(x, &shape)
}

/// `x` broadcast to `shape`, which it must fit.
pub fn expand_to(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    checked_numel(shape).ok_or_else(Error::size_overflow)?;
    let mut strides = broadcast_strides(x.shape(), x.strides(), shape);
    // New dimensions of one element step over what follows, as unsqueeze gives them.
    for d in (0..shape.len() - x.rank()).rev().filter(|&d| shape[d] == 1) {
        strides[d] = if d + 1 < shape.len() { strides[d + 1].saturating_mul(shape[d + 1] as isize) } else { 1 };
    }
    let array = x.array().with_geometry(shape.into(), strides, x.array().offset());
    Ok(x.make_view(array, ViewOp::Expand { from: x.shape_owned() }, "ExpandBackward0"))
}

fn reshaped(x: &Tensor, shape: Shape, strides: Strides, name: &'static str) -> Tensor {
    let array = x.array().with_geometry(shape, strides, x.array().offset());
    x.make_view(array, ViewOp::Reshape { from: x.shape_owned() }, name)
}

/// Sizes of 1 dropped: all of them, or those among `dims`.
pub fn squeeze(x: &Tensor, dims: Option<&[i64]>) -> Result<Tensor> {
    let mut drop: SmallVec<[bool; 8]> = smallvec![dims.is_none(); x.rank()];
    for &d in dims.unwrap_or(&[]) {
        let d = wrap_dim(d, x.rank())?;
        if x.rank() > 0 {
            drop[d] = true;
        }
    }
    let kept = |d: &usize| !(drop[*d] && x.shape()[*d] == 1);
    let shape = (0..x.rank()).filter(kept).map(|d| x.shape()[d]).collect();
    let strides = (0..x.rank()).filter(kept).map(|d| x.strides()[d]).collect();
    Ok(reshaped(x, shape, strides, if dims.is_none() { "SqueezeBackward0" } else { "SqueezeBackward1" }))
}

pub fn unsqueeze(x: &Tensor, dim: i64) -> Result<Tensor> {
    let n = x.rank() as i64 + 1;
    if dim < -n || dim >= n {
        return Err(Error::dim_range(dim, n as usize));
    }
    let d = if dim < 0 { dim + n } else { dim } as usize;
    let (mut shape, mut strides): (Shape, Strides) = (x.shape().into(), x.strides().into());
    let stride = if d < shape.len() { strides[d].saturating_mul(shape[d] as isize) } else { 1 };
    shape.insert(d, 1);
    strides.insert(d, stride);
    Ok(reshaped(x, shape, strides, "UnsqueezeBackward0"))
}

pub fn flatten(x: &Tensor, start: i64, end: i64) -> Result<Tensor> {
    let (a, b) = (wrap_dim(start, x.rank())?, wrap_dim(end, x.rank())?);
    ensure!(a <= b, Runtime, "flatten() has invalid args: start_dim cannot come after end_dim");
    if x.rank() == 0 {
        return reshape_to(x, &[1]);
    }
    if a == b {
        return Ok(x.clone());
    }
    let mut shape: Shape = x.shape()[..a].into();
    shape.push(x.shape()[a..=b].iter().product());
    shape.extend_from_slice(&x.shape()[b + 1..]);
    reshape_to(x, &shape)
}

pub fn unflatten(x: &Tensor, dim: i64, sizes: &[i64]) -> Result<Tensor> {
    let d = wrap_dim(dim, x.rank())?;
    ensure!(!sizes.is_empty(), Runtime, "unflatten: sizes must be non-empty");
    ensure!(x.rank() > 0, Index, "Dimension specified as {dim} but tensor has no dimensions");
    let inner = infer_size(sizes, x.shape()[d]).map_err(|_| {
        Error::Runtime(format!(
            "unflatten: Provided sizes {sizes:?} don't multiply up to the size of dim {d} ({}) in the input tensor",
            x.shape()[d]
        ))
    })?;
    let mut shape: Shape = x.shape()[..d].into();
    shape.extend_from_slice(&inner);
    shape.extend_from_slice(&x.shape()[d + 1..]);
    checked_numel(&shape).ok_or_else(Error::size_overflow)?;
    reshape_to(x, &shape)
}

/// One index of a dimension, which goes.
pub fn select(x: &Tensor, dim: i64, index: i64) -> Result<Tensor> {
    ensure!(x.rank() > 0, Index, "select() cannot be applied to a 0-dim tensor.");
    let d = wrap_dim(dim, x.rank())?;
    let size = x.shape()[d] as i64;
    ensure!(
        index >= -size && index < size,
        Index,
        "select(): index {index} out of range for tensor of size {:?} at dimension {d}",
        x.shape()
    );
    let index = if index < 0 { index + size } else { index } as usize;
    let op = ViewOp::Select { dim: d, from: size as usize, index };
    Ok(x.make_view(select_array(x.array(), d, index), op, "SelectBackward0"))
}

/// Python's slice of a dimension; the step is positive.
pub fn slice(x: &Tensor, dim: i64, start: Option<i64>, end: Option<i64>, step: i64) -> Result<Tensor> {
    ensure!(x.rank() > 0, Runtime, "slice() cannot be applied to a 0-dim tensor.");
    ensure!(step > 0, Runtime, "slice step must be positive");
    let d = wrap_dim(dim, x.rank())?;
    let size = x.shape()[d] as i64;
    let place = |i: i64| if i < 0 { (i + size).max(0) } else { i.min(size) };
    let (start, end) = (place(start.unwrap_or(0)), place(end.unwrap_or(i64::MAX)));
    let len = if end > start { (end - start - 1) / step + 1 } else { 0 } as usize;
    let op = ViewOp::Slice { dim: d, from: size as usize, start: start as usize, step: step as usize };
    let step = if len > 1 { step as usize } else { step.min(size.max(1)) as usize };
    Ok(x.make_view(slice_array(x.array(), d, start as usize, len, step), op, "SliceBackward0"))
}

pub fn narrow(x: &Tensor, dim: i64, start: i64, length: i64) -> Result<Tensor> {
    ensure!(x.rank() > 0, Runtime, "narrow() cannot be applied to a 0-dim tensor.");
    ensure!(length >= 0, Runtime, "narrow(): length must be non-negative.");
    let d = wrap_dim(dim, x.rank())?;
    let size = x.shape()[d] as i64;
    ensure!(start >= -size && start <= size, Index, "start out of range (expected to be in range of [{}, {size}], but got {start})", -size);
    let start = if start < 0 { start + size } else { start };
    ensure!(start <= size - length, Runtime, "start ({start}) + length ({length}) exceeds dimension size ({size}).");
    slice(x, d as i64, Some(start), Some(start + length), 1)
}

/// Pieces of the given sizes along `dim`; they cannot be written in place.
pub fn split_sizes(x: &Tensor, sizes: &[i64], dim: i64, name: &'static str) -> Result<Vec<Tensor>> {
    ensure!(x.rank() > 0, Runtime, "split expects at least a 1-dimensional tensor");
    let d = wrap_dim(dim, x.rank())?;
    let total: i128 = sizes.iter().map(|&n| n as i128).sum();
    ensure!(
        sizes.iter().all(|&n| n >= 0) && total == x.shape()[d] as i128,
        Runtime,
        "split_with_sizes expects split_sizes to sum exactly to {} (input tensor's size at dimension {d}), but got split_sizes={sizes:?}",
        x.shape()[d]
    );
    let mut start = 0;
    let (mut arrays, mut ops) = (Vec::new(), Vec::new());
    for &n in sizes {
        arrays.push(narrow_array(x.array(), d, start, n as usize));
        ops.push(ViewOp::Slice { dim: d, from: x.shape()[d], start, step: 1 });
        start += n as usize;
    }
    Ok(x.make_views(arrays, ops, name))
}

/// Pieces of the given sizes as slices, each of which may be written in place.
fn slices(x: &Tensor, sizes: &[i64], dim: i64) -> Result<Vec<Tensor>> {
    let mut start = 0;
    sizes
        .iter()
        .map(|&n| {
            start += n;
            slice(x, dim, Some(start - n), Some(start), 1)
        })
        .collect()
}

/// Pieces of `size`, the last one perhaps smaller.
pub fn split(x: &Tensor, size: i64, dim: i64) -> Result<Vec<Tensor>> {
    ensure!(x.rank() > 0, Runtime, "split expects at least a 1-dimensional tensor");
    ensure!(size >= 0, Runtime, "split expects split_size be non-negative, but got split_size={size}");
    let d = wrap_dim(dim, x.rank())?;
    let n = x.shape()[d] as i64;
    ensure!(size > 0 || n == 0, Runtime, "split_size can only be 0 if dimension size is 0, but got dimension size of {n}");
    let count = if size >= n { 1 } else { n / size + i64::from(n % size != 0) };
    check_count(count as usize)?;
    let sizes: Vec<i64> = (0..count).map(|i| size.min(n - i * size)).collect();
    split_sizes(x, &sizes, dim, "SplitBackward0")
}

/// `chunks` pieces of equal size, the last one perhaps smaller, or fewer pieces.
pub fn chunk(x: &Tensor, chunks: i64, dim: i64) -> Result<Vec<Tensor>> {
    ensure!(x.rank() > 0, Runtime, "chunk expects at least a 1-dimensional tensor");
    ensure!(chunks > 0, Runtime, "chunk expects `chunks` to be greater than 0, got: {chunks}");
    let d = wrap_dim(dim, x.rank())?;
    let n = x.shape()[d] as i64;
    let size = n / chunks + i64::from(n % chunks != 0);
    if size == 0 {
        return split_sizes(x, &nearly_equal(0, chunks)?, dim, "SplitBackward0");
    }
    split(x, size, dim)
}

/// `size` in that many parts, the first ones perhaps greater by one.
fn nearly_equal(size: i64, parts: i64) -> Result<Vec<i64>> {
    check_count(usize::try_from(parts).unwrap_or(usize::MAX))?;
    Ok((0..parts).map(|i| size / parts + i64::from(i < size % parts)).collect())
}

/// An error unless memory can be had for so many tensors: a dimension of a tensor without elements may be of any size.
fn check_count(count: usize) -> Result<()> {
    // One takes some hundred bytes.
    if count < 1 << 16 { Ok(()) } else { rustnn_tensor::allocator::check_available(count.saturating_mul(512)) }
}

/// What is left of `narrow` from a tensor: those that are whole numbers were read as such.
fn narrow_from(start: &Tensor) -> Result<Tensor> {
    let dtype = start.dtype().name();
    bail!(Runtime, "start must be an 0-dim integral Tensor, but got one of dtype {dtype} and shape {:?}", start.shape())
}

pub fn unbind(x: &Tensor, dim: i64) -> Result<Vec<Tensor>> {
    ensure!(x.rank() > 0, Runtime, "Dimension specified as {dim} but tensor has no dimensions");
    let d = wrap_dim(dim, x.rank())?;
    let n = x.shape()[d];
    check_count(n)?;
    let arrays = (0..n).map(|i| select_array(x.array(), d, i)).collect();
    let ops = (0..n).map(|index| ViewOp::Select { dim: d, from: n, index }).collect();
    Ok(x.make_views(arrays, ops, "UnbindBackward0"))
}

/// The diagonal of two dimensions, as a new last one.
pub fn diagonal(x: &Tensor, offset: i64, dim1: i64, dim2: i64) -> Result<Tensor> {
    let (a, b) = (wrap_dim(dim1, x.rank())?, wrap_dim(dim2, x.rank())?);
    ensure!(
        x.rank() >= 2,
        Index,
        "Dimension out of range (expected to be in range of [{}, {}], but got {dim1})",
        -(x.rank() as i64),
        x.rank() as i64 - 1
    );
    ensure!(a != b, Runtime, "diagonal dimensions cannot be identical {dim1}, {dim2}");
    let (n, m) = (x.shape()[a] as i64, x.shape()[b] as i64);
    let len = if offset >= 0 { n.min(m - offset) } else { n.saturating_add(offset).min(m) }.max(0) as usize;
    let empty = len == 0 || x.numel() == 0;
    // Of any geometry of `x`'s shape.
    let of = |of: &Geometry| {
        let (mut shape, mut strides) = (of.shape.clone(), of.strides.clone());
        let step = strides[a].saturating_add(strides[b]);
        let skip = match offset {
            _ if empty => 0,
            0.. => offset as isize * strides[b],
            _ => -offset as isize * strides[a],
        };
        for d in [a.max(b), a.min(b)] {
            shape.remove(d);
            strides.remove(d);
        }
        shape.push(len);
        strides.push(step);
        Geometry { shape, strides, offset: of.offset.wrapping_add_signed(skip) }
    };
    let Geometry { shape, strides, offset } = of(&Geometry::of(x.array()));
    let array = x.array().with_geometry(shape, strides, offset);
    Ok(dense_view(x, array, of, "DiagonalBackward0"))
}

/// A view whose gradient is scattered into a dense tensor of `x`'s shape, whatever memory `x` itself has (its elements may lie on
/// one another); `as_dense` says where.
fn dense_view(x: &Tensor, array: Array, as_dense: impl Fn(&Geometry) -> Geometry, name: &'static str) -> Tensor {
    let strides = rustnn_tensor::shape::contiguous_strides(x.shape());
    let base = Geometry { shape: x.shape_owned(), strides, offset: 0 };
    let view = as_dense(&base);
    x.make_view(array, ViewOp::Strided { base, view }, name)
}

fn strided_view(x: &Tensor, array: Array, name: &'static str) -> Tensor {
    let op = ViewOp::Strided { base: Geometry::of(x.array()), view: Geometry::of(&array) };
    x.make_view(array, op, name)
}

pub fn as_strided(x: &Tensor, size: &[i64], stride: &[i64], offset: Option<i64>) -> Result<Tensor> {
    let shape = crate::create::sizes(size)?;
    let strides: Strides = stride.iter().map(|&s| s as isize).collect();
    ensure!(
        strides.iter().all(|&s| s >= 0),
        Runtime,
        "as_strided: Negative strides are not supported at the moment, got strides: {stride:?}"
    );
    let offset = match offset {
        None => x.array().offset(),
        Some(o) => usize::try_from(o).map_err(|_| Error::Runtime(format!("Tensor: invalid storage offset {o}")))?,
    };
    let array = x.array().as_strided(&shape, &strides, offset)?;
    Ok(strided_view(x, array, "AsStridedBackward0"))
}

/// Windows of `size`, `step` apart, along `dim`; their elements become a new last dimension.
pub fn unfold(x: &Tensor, dim: i64, size: i64, step: i64) -> Result<Tensor> {
    let d = wrap_dim(dim, x.rank())?;
    let n = if x.rank() == 0 { 1 } else { x.shape()[d] as i64 };
    ensure!(size >= 0, Runtime, "size is {size} but must be >= 0");
    ensure!(size <= n, Runtime, "maximum size for tensor at dimension {d} is {n} but size is {size}");
    ensure!(step > 0, Runtime, "step is {step} but must be > 0");
    let (mut shape, mut strides): (Shape, Strides) = (x.shape().into(), x.strides().into());
    if x.rank() == 0 {
        shape.push(size as usize);
        strides.push(1);
    } else {
        let stride = strides[d];
        shape[d] = ((n - size) / step + 1) as usize;
        strides[d] = stride.saturating_mul(step as isize);
        shape.push(size as usize);
        strides.push(stride);
    }
    // Windows lie on one another, and so may be more than any memory holds.
    checked_numel(&shape).ok_or_else(Error::size_overflow)?;
    let array = x.array().with_geometry(shape, strides, x.array().offset());
    let as_dense = |dense: &Geometry| {
        let mut strides = dense.strides.clone();
        if strides.is_empty() {
            strides.push(1);
        } else {
            let stride = strides[d];
            strides[d] = stride.saturating_mul(step as isize);
            strides.push(stride);
        }
        Geometry { shape: array.shape().into(), strides, offset: 0 }
    };
    Ok(dense_view(x, array.clone(), as_dense, "UnfoldBackward0"))
}

pub fn movedim(x: &Tensor, source: &[i64], destination: &[i64]) -> Result<Tensor> {
    ensure!(
        source.len() == destination.len(),
        Runtime,
        "movedim: Invalid source or destination dims: source ({source:?} dims) should contain the same number of dims as destination ({destination:?} dims)"
    );
    if x.rank() == 0 {
        return Ok(alias(x));
    }
    let wrap = |dims: &[i64]| dims.iter().map(|&d| wrap_dim(d, x.rank())).collect::<Result<Vec<usize>>>();
    let (from, to) = (wrap(source)?, wrap(destination)?);
    let mut order: SmallVec<[usize; 5]> = smallvec![usize::MAX; x.rank()];
    for (&f, &t) in from.iter().zip(&to) {
        ensure!(order[t] == usize::MAX, Runtime, "movedim: repeated dim in `destination` ({destination:?})");
        ensure!(!order.contains(&f), Runtime, "movedim: repeated dim in `source` ({source:?})");
        order[t] = f;
    }
    let mut rest = (0..x.rank()).filter(|d| !from.contains(d));
    for slot in order.iter_mut().filter(|d| **d == usize::MAX) {
        *slot = rest.next().unwrap_or_default();
    }
    Ok(permuted(x, order, "PermuteBackward0"))
}

/// `n` pieces of nearly equal size.
fn split_evenly(x: &Tensor, n: i64, dim: i64) -> Result<Vec<Tensor>> {
    ensure!(x.rank() > 0, Runtime, "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims");
    ensure!(n > 0, Runtime, "number of sections must be larger than 0, got {n}");
    let size = x.shape()[wrap_dim(dim, x.rank())?] as i64;
    slices(x, &nearly_equal(size, n)?, dim)
}

/// Pieces that end at the given indices of a dimension.
fn split_at(x: &Tensor, ends: &[i64], dim: i64) -> Result<Vec<Tensor>> {
    ensure!(x.rank() > 0, Runtime, "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims");
    let mut start = 0;
    let mut out = Vec::with_capacity(ends.len() + 1);
    for &end in ends {
        out.push(slice(x, dim, Some(start), Some(end), 1)?);
        start = end;
    }
    out.push(slice(x, dim, Some(start), None, 1)?);
    Ok(out)
}

/// Another tensor object over the same value, as an op of its own on the tape; for hooks of modules.
pub fn alias(x: &Tensor) -> Tensor {
    x.make_view(x.array().clone(), ViewOp::Alias, "AliasBackward0")
}

crate::ops! {
    "view(Tensor self, int[...] size)" Method "The same elements in another shape, without copying; one size may be -1." => |a| view(a.tensor(0)?, a.ints(1)?)?;
    "view_as(Tensor self, Tensor other)" Method "A view in the shape of `other`." => |a| {
        let shape: Vec<i64> = a.tensor(1)?.shape().iter().map(|&n| n as i64).collect();
        view(a.tensor(0)?, &shape)?
    };
    "reshape(Tensor self, int[...] shape)" Both "The same elements in another shape; a view where that is possible." => |a| reshape(a.tensor(0)?, a.ints(1)?)?;
    "reshape_as(Tensor self, Tensor other)" Method "The elements in the shape of `other`." => |a| {
        let shape: Vec<i64> = a.tensor(1)?.shape().iter().map(|&n| n as i64).collect();
        reshape(a.tensor(0)?, &shape)?
    };
    "permute(Tensor self, int[...] dims)" Both "The dimensions in another order." => |a| permute(a.tensor(0)?, a.ints(1)?)?;
    "transpose(Tensor self, int dim0, int dim1)" Both "Two dimensions exchanged." => |a| transpose(a.tensor(0)?, a.int(1)?, a.int(2)?)?;
    "t(Tensor self)" Both "The transpose of a matrix." => |a| t(a.tensor(0)?)?;
    "_T(Tensor self)" Method "All dimensions in reverse order." => |a| transposed(a.tensor(0)?, false)?;
    "_mT(Tensor self)" Method "The last two dimensions exchanged." => |a| transposed(a.tensor(0)?, true)?;
    "adjoint(Tensor self)" Both "The last two dimensions exchanged, conjugated." => |a| crate::complex::conj(&transposed(a.tensor(0)?, true)?)?;
    "expand(Tensor self, int[...] size, *, bool implicit=False)" Method "Sizes of 1 repeated without copying; -1 keeps a size." => |a| expand(a.tensor(0)?, a.ints(1)?)?;
    "expand_as(Tensor self, Tensor other)" Method "Expanded to the shape of `other`." => |a| {
        let shape: Vec<i64> = a.tensor(1)?.shape().iter().map(|&n| n as i64).collect();
        expand(a.tensor(0)?, &shape)?
    };
    "broadcast_to(Tensor self, int[...] size)" Both "Broadcast to a shape." => |a| expand(a.tensor(0)?, a.ints(1)?)?;
    "squeeze(Tensor self)" Both "All sizes of 1 dropped." => |a| squeeze(a.tensor(0)?, None)?;
    "squeeze(Tensor self, int[1] dim)" Both "Sizes of 1 among the given dimensions dropped." => |a| squeeze(a.tensor(0)?, Some(a.ints(1)?))?;
    "unsqueeze(Tensor self, int dim)" Both "A size of 1 put in." => |a| unsqueeze(a.tensor(0)?, a.int(1)?)?;
    "flatten(Tensor self, int start_dim=0, int end_dim=-1)" Both "Several dimensions made one." => |a| flatten(a.tensor(0)?, a.int(1)?, a.int(2)?)?;
    "ravel(Tensor self)" Both "All dimensions made one." => |a| crate::tape::named(reshape(&crate::contiguous(a.tensor(0)?)?, &[-1])?, "ViewBackward0");
    "unflatten(Tensor self, int dim, int[] sizes)" Both "One dimension made several." => |a| unflatten(a.tensor(0)?, a.int(1)?, a.ints(2)?)?;
    "select(Tensor self, int dim, int index)" Both "One index of a dimension." => |a| select(a.tensor(0)?, a.int(1)?, a.int(2)?)?;
    "narrow(Tensor self, int dim, int start, int length)" Both "`length` indices of a dimension from `start` on." => |a| narrow(a.tensor(0)?, a.int(1)?, a.int(2)?, a.int(3)?)?;
    "narrow(Tensor self, int dim, Tensor start, int length)" Both "`length` indices of a dimension from `start` on, a whole number in a 0-dim tensor." =>
        |a| narrow_from(a.tensor(2)?)?;
    "slice(Tensor self, int dim=0, int? start=None, int? end=None, int step=1)" Function "Python's slice of a dimension." =>
        |a| slice(a.tensor(0)?, a.int(1)?, a.opt_int(2)?, a.opt_int(3)?, a.int(4)?)?;
    "split(Tensor self, int split_size_or_sections, int dim=0)" Both "Pieces of a size along a dimension." => |a| split(a.tensor(0)?, a.int(1)?, a.int(2)?)?;
    "split(Tensor self, int[] split_size_or_sections, int dim=0)" Both "Pieces of the given sizes along a dimension." =>
        |a| split_sizes(a.tensor(0)?, a.ints(1)?, a.int(2)?, "SplitWithSizesBackward0")?;
    "split_with_sizes(Tensor self, int[] split_sizes, int dim=0)" Both "Pieces of the given sizes along a dimension." =>
        |a| split_sizes(a.tensor(0)?, a.ints(1)?, a.int(2)?, "SplitWithSizesBackward0")?;
    "chunk(Tensor self, int chunks, int dim=0)" Both "That many pieces along a dimension." => |a| chunk(a.tensor(0)?, a.int(1)?, a.int(2)?)?;
    // Before the number, which a vector of one index could be.
    "tensor_split(Tensor self, Tensor tensor_indices_or_sections, int dim=0)" Both "Pieces that end at the indices in a vector, or as many as a number says." => |a| {
        let at = a.tensor(1)?;
        ensure!(
            at.dtype() == DType::I64,
            Runtime,
            "tensor_split expected tensor_indices_or_sections to have dtype of long, but got {}",
            at.dtype().scalar_name()
        );
        if at.rank() == 0 {
            return split_evenly(a.tensor(0)?, crate::read::item(at)?.to_i64(), a.int(2)?).map(Into::into);
        }
        ensure!(
            at.rank() == 1,
            Runtime,
            "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but got a tensor with {} dims",
            at.rank()
        );
        let at: Vec<i64> = crate::read::elements(at.array())?.iter().map(|i| i.to_i64()).collect();
        split_at(a.tensor(0)?, &at, a.int(2)?)?
    };
    "tensor_split(Tensor self, int sections, int dim=0)" Both "That many pieces of nearly equal size." => |a| split_evenly(a.tensor(0)?, a.int(1)?, a.int(2)?)?;
    "tensor_split(Tensor self, int[] indices, int dim=0)" Both "Pieces that end at the given indices." => |a| split_at(a.tensor(0)?, a.ints(1)?, a.int(2)?)?;
    "unbind(Tensor self, int dim=0)" Both "The indices of a dimension as tensors of their own." => |a| unbind(a.tensor(0)?, a.int(1)?)?;
    "diagonal(Tensor self, int offset=0, int dim1=0, int dim2=1)" Both "The diagonal of two dimensions." =>
        |a| diagonal(a.tensor(0)?, a.int(1)?, a.int(2)?, a.int(3)?)?;
    "as_strided(Tensor self, int[] size, int[] stride, int? storage_offset=None)" Both "Any geometry over the storage; strides count elements." =>
        |a| as_strided(a.tensor(0)?, a.ints(1)?, a.ints(2)?, a.opt_int(3)?)?;
    "unfold(Tensor self, int dimension, int size, int step)" Method "Windows along a dimension." => |a| unfold(a.tensor(0)?, a.int(1)?, a.int(2)?, a.int(3)?)?;
    "movedim(Tensor self, int[1] source, int[1] destination)" Both "Dimensions moved." => |a| movedim(a.tensor(0)?, a.ints(1)?, a.ints(2)?)?;
    "_alias(Tensor self)" Function "The same value as an op of its own." => |a| alias(a.tensor(0)?);
    "numel(Tensor self)" Both "Number of elements." => |a| a.tensor(0)?.numel() as i64;
    "is_floating_point(Tensor self)" Both "Whether the dtype is a real floating-point one." => |a| a.tensor(0)?.dtype().is_float();
    "is_complex(Tensor self)" Both "Whether the dtype is complex." => |a| a.tensor(0)?.dtype().is_complex();
    "is_signed(Tensor self)" Both "Whether the dtype has negative values." => |a| a.tensor(0)?.dtype().is_signed();
}
