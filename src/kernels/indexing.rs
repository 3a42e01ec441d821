//! The safe face of the kernels that index, search and sort, on [`Array`]s. Shapes and dtypes must fit as each function says
//! (checked: a mismatch is the caller's bug and panics before memory is touched). On the meta device nothing runs.
//!
//! Indices and masks decide which memory is touched, and other threads may write them meanwhile: so they are copied first
//! ([`Indices`], [`Mask`]), and the copies are checked and used.

use crate::arrays::{dst, src};
use crate::reduce as folds;
use crate::{index as kernels, running, sort as sorts, with_float, with_number};
use rustnn_tensor::shape::broadcast_strides;
use rustnn_tensor::{Array, DType, Error, Result, Shape, Strides};
use smallvec::SmallVec;
use std::borrow::Cow;

pub use crate::index::{Half, Reduce};
pub use crate::sort::Distinct;
pub use folds::Scan;

/// Whether there is nothing to compute. Memory of other devices is the caller's business.
fn meta(arrays: &[&Array]) -> bool {
    let meta = arrays.iter().any(|a| a.is_meta());
    assert!(meta || arrays.iter().all(|a| a.is_host()), "device memory in a CPU kernel");
    meta
}

/// Whether kernels read the numbers of a dtype (others are moved only).
pub fn is_number(dtype: DType) -> bool {
    with_number!(dtype, _T => true, else false)
}

fn require_number(op: &str, dtype: DType) -> Result<()> {
    if is_number(dtype) { Ok(()) } else { Err(Error::not_implemented(op, dtype)) }
}

/// The real (0) or imaginary (1) parts of complex numbers.
fn part(x: &Array, which: usize) -> Result<Array> {
    let dtype = if x.dtype() == DType::C64 { DType::F32 } else { DType::F64 };
    let strides: Strides = x.strides().iter().map(|s| 2 * s).collect();
    Array::from_storage(x.storage().clone(), dtype, x.shape(), &strides, 2 * x.offset() + which)
}

/// Whether an update adds up complex numbers, which it does part by part.
fn adds_parts(reduce: Reduce, x: &Array) -> bool {
    reduce == Reduce::Add && matches!(x.dtype(), DType::C64 | DType::C128)
}

fn assert_writable(out: &Array) {
    assert!(!out.has_internal_overlap() && out.storage().is_writable(), "an array that cannot be written");
}

/// Indices into a dimension, known to lie inside: a copy that nobody else sees.
#[derive(Clone, Debug)]
pub struct Indices {
    /// int64, contiguous but for sizes along which it repeats.
    array: Array,
    /// Of the dimension.
    size: usize,
    negative: bool,
}

impl Indices {
    /// Copies integers of any type; `negative` ones count from the end if allowed. The inner error is the first one outside.
    pub fn new(index: &Array, size: usize, negative: bool) -> Result<std::result::Result<Indices, i64>> {
        let compact: Shape = index.shape().iter().zip(index.strides()).map(|(&n, &s)| if s == 0 && n > 1 { 1 } else { n }).collect();
        let array = Array::empty(&compact, DType::I64, index.device())?;
        if array.is_meta() {
            return Ok(Ok(Indices { array: spread(&array, index.shape()), size, negative }));
        }
        let once = index.with_geometry(compact, index.strides().into(), index.offset());
        crate::arrays::copy(&once, &array)?;
        let list = int64s(&array);
        let bad = if negative { kernels::check_wrapping_indices(list, size) } else { kernels::check_indices(list, size) };
        Ok(match bad {
            Some((_, value)) => Err(value),
            None => Ok(Indices { array: spread(&array, index.shape()), size, negative }),
        })
    }

    pub fn shape(&self) -> &[usize] {
        self.array.shape()
    }

    pub fn numel(&self) -> usize {
        self.array.numel()
    }

    /// The indices broadcast to a shape they fit.
    pub fn expand(&self, shape: &[usize]) -> Indices {
        Indices { array: spread(&self.array, shape), ..*self }
    }

    /// As a contiguous int64 array, negative ones counted from the front; without the repetitions of [`Indices::expand`].
    pub fn inside(&self) -> Result<Array> {
        let (shape, strides) = (self.array.shape(), self.array.strides());
        let compact: Shape = shape.iter().zip(strides).map(|(&n, &s)| if s == 0 && n > 1 { 1 } else { n }).collect();
        let once = self.array.with_geometry(compact.clone(), strides.into(), self.array.offset());
        let list: Vec<i64> = int64s(&once).iter().map(|&i| if i < 0 { i + self.size as i64 } else { i }).collect();
        Array::from_slice(&list, &compact)
    }

    /// One index after the other, repetitions written out.
    fn list(&self) -> Result<Cow<'_, [i64]>> {
        Ok(if self.array.is_contiguous() { Cow::Borrowed(int64s(&self.array)) } else { Cow::Owned(integers(&self.array)?) })
    }
}

fn spread(array: &Array, shape: &[usize]) -> Array {
    let strides = broadcast_strides(array.shape(), array.strides(), shape);
    array.with_geometry(shape.into(), strides, array.offset())
}

/// The numbers of a fresh contiguous int64 array.
fn int64s(array: &Array) -> &[i64] {
    assert!(array.dtype() == DType::I64 && array.is_contiguous() && array.is_host());
    // SAFETY: contiguous and inside its storage, which no one else writes: callers have just made it.
    unsafe { std::slice::from_raw_parts(array.ptr().cast(), array.numel()) }
}

/// The numbers of an integer array of any kind and layout.
pub fn integers(x: &Array) -> Result<Vec<i64>> {
    assert!(x.is_host());
    let copy = Array::empty(x.shape(), DType::I64, x.device())?;
    crate::arrays::copy(x, &copy)?;
    Ok(int64s(&copy).to_vec())
}

/// Sizes before, at and after a dimension; a 0-dim array counts as one of rank 1.
fn split(shape: &[usize], dim: usize) -> (usize, usize, usize) {
    if shape.is_empty() {
        return (1, 1, 1);
    }
    (shape[..dim].iter().product(), shape[dim], shape[dim + 1..].iter().product())
}

/// `out[.., k, ..] = x[.., index[k], ..]`; `x` and `out` contiguous.
pub fn index_select(x: &Array, dim: usize, index: &Indices, out: &Array) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    let (outer, size, inner) = split(x.shape(), dim);
    let count = index.numel();
    assert!(x.is_contiguous() && out.is_contiguous() && x.dtype() == out.dtype());
    assert!(out.numel() == outer * count * inner && index.size == size && !index.negative);
    assert_writable(out);
    let row = (inner * x.dtype().size_bytes()) as isize;
    let list = index.list()?;
    // SAFETY: the sizes have just been compared; the indices are rows of `x`.
    unsafe { kernels::index_select(x.ptr(), outer, row * size as isize, row, row as usize, &list, out.ptr()) };
    Ok(())
}

/// `out[i] = x[i with i[dim] = index[i]]`.
pub fn gather(x: &Array, dim: usize, index: &Indices, out: &Array) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    let shape = index.shape();
    assert!(out.shape() == shape && shape.len() == x.rank() && x.dtype() == out.dtype() && !index.negative);
    assert!(shape.iter().zip(x.shape()).enumerate().all(|(d, (a, b))| d == dim || a <= b));
    assert!(index.numel() == 0 || x.rank() == 0 || index.size == x.shape()[dim]);
    assert_writable(out);
    let width = x.dtype().size_bytes();
    // SAFETY: all places lie inside the arrays, as just compared.
    unsafe { kernels::gather(width, x.ptr(), x.strides(), dim, src(&index.array), out.ptr(), out.strides()) };
    Ok(())
}

/// `target[i with i[dim] = index[i]] (=, +=, …) values[i]`; `values` reaches at least the index's shape.
pub fn scatter(reduce: Reduce, target: &Array, dim: usize, index: &Indices, values: &Array) -> Result<()> {
    if meta(&[target, values]) {
        return Ok(());
    }
    if adds_parts(reduce, target) {
        return (0..2).try_for_each(|i| scatter(reduce, &part(target, i)?, dim, index, &part(values, i)?));
    }
    if reduce != Reduce::Assign {
        require_number("scatter", target.dtype())?;
    }
    let shape = index.shape();
    assert!(shape.len() == target.rank() && values.rank() == target.rank() && values.dtype() == target.dtype() && !index.negative);
    assert!(shape.iter().zip(target.shape()).enumerate().all(|(d, (a, b))| d == dim || a <= b));
    assert!(shape.iter().zip(values.shape()).all(|(a, b)| a <= b));
    assert!(index.numel() == 0 || target.rank() == 0 || index.size == target.shape()[dim]);
    assert_writable(target);
    // SAFETY: all places lie inside the arrays, as just compared; `ops` has refused or copied overlapping values.
    unsafe {
        kernels::scatter(target.dtype(), reduce, dim, src(&index.array), values.ptr(), values.strides(), target.ptr(), target.strides())
    };
    Ok(())
}

/// `target[.., index[k], ..] (=, += alpha *, …) values[.., k, ..]`; both contiguous, `alpha` one element of their dtype.
pub fn index_update(reduce: Reduce, alpha: Option<&Array>, target: &Array, dim: usize, index: &Indices, values: &Array) -> Result<()> {
    if meta(&[target, values]) {
        return Ok(());
    }
    let (outer, size, mut inner) = split(target.shape(), dim);
    let mut dtype = target.dtype();
    if adds_parts(reduce, target) && alpha.is_none() {
        // Rows of pairs add as rows of twice as many numbers.
        (dtype, inner) = (if dtype == DType::C64 { DType::F32 } else { DType::F64 }, 2 * inner);
    }
    if reduce != Reduce::Assign {
        require_number("index_add", dtype)?;
    }
    assert!(target.is_contiguous() && values.is_contiguous() && values.dtype() == target.dtype());
    assert!(values.numel() * values.dtype().size_bytes() == outer * index.numel() * inner * dtype.size_bytes());
    assert!(index.size == size && !index.negative);
    assert!(alpha.is_none_or(|a| a.dtype() == target.dtype() && a.numel() == 1));
    assert_writable(target);
    let alpha = alpha.map(|a| a.ptr().cast_const());
    let list = index.list()?;
    // SAFETY: the sizes have just been compared.
    unsafe { kernels::index_update(dtype, reduce, alpha, outer, size, inner, &list, None, values.ptr(), target.ptr()) };
    Ok(())
}

/// What an index by several arrays needs besides the arrays: places of the indexed dimensions in `indexed`, and where the
/// dimensions of the index begin in the result.
fn with_advanced<R>(
    indexed: &Array,
    dims: &[usize],
    indices: &[Indices],
    at: usize,
    plain: &Array,
    run: impl FnOnce(&kernels::Advanced) -> R,
) -> R {
    assert!(!dims.is_empty() && dims.len() == indices.len());
    let index_shape = indices[0].shape();
    let rank = index_shape.len();
    let rest: SmallVec<[usize; 6]> = (0..indexed.rank()).filter(|d| !dims.contains(d)).collect();
    let slice_shape: Shape = rest.iter().map(|&d| indexed.shape()[d]).collect();
    let slice_strides: Strides = rest.iter().map(|&d| indexed.strides()[d]).collect();
    assert!(plain.rank() == rank + rest.len() && plain.shape()[at..at + rank] == *index_shape);
    let outside: SmallVec<[usize; 6]> = (0..plain.rank()).filter(|d| !(at..at + rank).contains(d)).collect();
    let plain_slice_strides: Strides = outside.iter().map(|&d| plain.strides()[d]).collect();
    assert!(outside.iter().map(|&d| plain.shape()[d]).eq(slice_shape.iter().copied()) && plain.dtype() == indexed.dtype());
    let arrays: SmallVec<[kernels::IndexArray; 4]> = dims
        .iter()
        .zip(indices)
        .map(|(&d, index)| {
            assert!(index.shape() == index_shape && (index.numel() == 0 || index.size == indexed.shape()[d]));
            kernels::IndexArray {
                ptr: index.array.ptr().cast_const().cast(),
                strides: index.array.strides(),
                size: indexed.shape()[d],
                stride: indexed.strides()[d],
            }
        })
        .collect();
    run(&kernels::Advanced {
        arrays: &arrays,
        index_shape,
        slice_shape: &slice_shape,
        slice_strides: &slice_strides,
        plain_index_strides: &plain.strides()[at..at + rank],
        plain_slice_strides: &plain_slice_strides,
    })
}

/// `out = x[indices]`: dimension `dims[m]` of `x` is indexed by `indices[m]`, all of one shape, which begins at dimension
/// `at` of `out`; the other dimensions follow in their order.
pub fn index_get(x: &Array, dims: &[usize], indices: &[Indices], at: usize, out: &Array) -> Result<()> {
    if meta(&[x, out]) || out.numel() == 0 {
        return Ok(());
    }
    assert_writable(out);
    // SAFETY: `with_advanced` has compared all shapes; the indices are inside.
    with_advanced(x, dims, indices, at, out, |index| unsafe { kernels::index_get(x.dtype().size_bytes(), index, x.ptr(), out.ptr()) });
    Ok(())
}

/// `target[indices] (=, +=, …) values`, as [`index_get`]; `values` may repeat by strides of 0.
pub fn index_put(reduce: Reduce, target: &Array, dims: &[usize], indices: &[Indices], at: usize, values: &Array) -> Result<()> {
    if meta(&[target, values]) || values.numel() == 0 {
        return Ok(());
    }
    if adds_parts(reduce, target) {
        return (0..2).try_for_each(|i| index_put(reduce, &part(target, i)?, dims, indices, at, &part(values, i)?));
    }
    if reduce != Reduce::Assign {
        require_number("index_put", target.dtype())?;
    }
    assert_writable(target);
    // SAFETY: as above; `ops` has refused or copied overlapping values.
    with_advanced(target, dims, indices, at, values, |index| unsafe {
        kernels::index_put(target.dtype(), reduce, index, target.ptr(), values.ptr())
    });
    Ok(())
}

/// Keeps one half of the last two dimensions and zeros the other; both contiguous and of one shape, `out` may be `x`.
pub fn triangle(half: Half, diagonal: i64, x: &Array, out: &Array) -> Result<()> {
    if meta(&[x, out]) || x.numel() == 0 {
        return Ok(());
    }
    assert!(x.is_contiguous() && out.is_contiguous() && x.shape() == out.shape() && x.dtype() == out.dtype() && x.rank() >= 2);
    assert_writable(out);
    let (rows, columns) = (x.shape()[x.rank() - 2], x.shape()[x.rank() - 1]);
    let batch = x.numel() / (rows * columns);
    // SAFETY: both arrays are as stated.
    unsafe { kernels::triangle(x.dtype().size_bytes(), half, diagonal, batch, rows, columns, x.ptr(), out.ptr()) };
    Ok(())
}

/// A mask: a copy that nobody else sees, and where its true elements lie.
#[derive(Clone, Debug)]
pub struct Mask {
    array: Array,
    plan: kernels::MaskPlan,
}

impl Mask {
    /// The elements of `x` that are not zero.
    pub fn new(x: &Array) -> Result<Mask> {
        assert!(x.is_host());
        let array = Array::empty(x.shape(), DType::Bool, x.device())?;
        crate::arrays::copy(x, &array)?;
        // SAFETY: contiguous bools, written by the copy.
        let plan = unsafe { kernels::MaskPlan::new(array.ptr(), array.numel()) };
        Ok(Mask { array, plan })
    }

    /// True elements in all.
    pub fn total(&self) -> usize {
        self.plan.total()
    }

    /// Coordinates of the true elements, `total x rank`.
    pub fn nonzero(&self, out: &Array) -> Result<()> {
        assert!(out.shape() == [self.total(), self.array.rank()] && out.is_contiguous() && out.dtype() == DType::I64);
        assert_writable(out);
        // SAFETY: the plan is of this mask; `out` has room.
        unsafe { kernels::nonzero(self.array.ptr(), self.array.shape(), &self.plan, out.ptr().cast()) };
        Ok(())
    }

    /// Where the true elements lie in the mask, counted through.
    pub fn places(&self) -> Result<Array> {
        let out = Array::empty(&[self.total()], DType::I64, self.array.device())?;
        // SAFETY: the plan is of this mask; `out` has room for one number each.
        unsafe { kernels::nonzero(self.array.ptr(), &[self.array.numel()], &self.plan, out.ptr().cast()) };
        Ok(out)
    }

    /// The elements of contiguous `x`, shaped as the mask, where it is true.
    pub fn select(&self, x: &Array, out: &Array) -> Result<()> {
        assert!(x.shape() == self.array.shape() && x.is_contiguous() && out.is_contiguous());
        assert!(out.numel() == self.total() && x.dtype() == out.dtype());
        assert_writable(out);
        // SAFETY: the plan is of this mask; sizes have just been compared.
        unsafe { kernels::masked_select(x.dtype().size_bytes(), x.ptr(), self.array.ptr(), &self.plan, out.ptr()) };
        Ok(())
    }

    /// Successive elements of contiguous `values` to the true places of contiguous `target`.
    pub fn scatter(&self, values: &Array, target: &Array) -> Result<()> {
        assert!(target.shape() == self.array.shape() && target.is_contiguous() && values.is_contiguous());
        assert!(values.numel() >= self.total() && values.dtype() == target.dtype());
        assert_writable(target);
        // SAFETY: as above.
        unsafe { kernels::masked_scatter(values.dtype().size_bytes(), values.ptr(), self.array.ptr(), &self.plan, target.ptr()) };
        Ok(())
    }
}

/// `out[k, c] = (c == index[k])`, contiguous int64.
pub fn one_hot(index: &Indices, out: &Array) -> Result<()> {
    if meta(&[out]) {
        return Ok(());
    }
    assert!(out.dtype() == DType::I64 && out.is_contiguous() && !index.negative && out.numel() == index.numel() * index.size);
    assert_writable(out);
    let list = index.list()?;
    // SAFETY: `out` has room; the indices are below the number of classes.
    unsafe { kernels::one_hot(&list, index.size, out.ptr().cast()) };
    Ok(())
}

/// The gradient of an embedding's weight; `dy` contiguous, one row per index, `dweight` contiguous.
pub fn embedding_backward(dy: &Array, index: &Indices, padding: Option<i64>, by_frequency: bool, dweight: &Array) -> Result<()> {
    if meta(&[dy, dweight]) {
        return Ok(());
    }
    require_number("embedding_backward", dy.dtype())?;
    let (rows, columns) = (dweight.shape()[0], dweight.shape()[1]);
    assert!(dy.is_contiguous() && dweight.is_contiguous() && dy.dtype() == dweight.dtype());
    assert!(dy.numel() == index.numel() * columns && index.size == rows && !index.negative);
    assert_writable(dweight);
    let list = index.list()?;
    // SAFETY: sizes have just been compared.
    unsafe { kernels::embedding_backward(dy.dtype(), dy.ptr(), &list, padding, by_frequency, rows, columns, dweight.ptr()) };
    Ok(())
}

fn rows(x: &Array) -> (usize, usize) {
    let len = x.shape().last().copied().unwrap_or(1);
    (x.numel().checked_div(len).unwrap_or(0), len)
}

/// Sorts the last dimension of contiguous `x`, stably; `values` and `indices` are contiguous and of `x`'s shape.
pub fn sort(descending: bool, x: &Array, values: Option<&Array>, indices: Option<&Array>) -> Result<()> {
    if meta(&[x]) {
        return Ok(());
    }
    require_number("sort", x.dtype())?;
    assert!(x.is_contiguous() && values.is_none_or(|v| v.shape() == x.shape() && v.is_contiguous() && v.dtype() == x.dtype()));
    assert!(indices.is_none_or(|i| i.shape() == x.shape() && i.is_contiguous() && i.dtype() == DType::I64));
    values.into_iter().chain(indices).for_each(assert_writable);
    let (count, len) = rows(x);
    // SAFETY: the arrays are as large as stated.
    unsafe { sorts::sort(x.dtype(), descending, count, len, x.ptr(), values.map(Array::ptr), indices.map(|i| i.ptr().cast())) };
    Ok(())
}

/// The `k` greatest (or least) of the last dimension of contiguous `x`, in order; outputs contiguous with last size `k`.
pub fn topk(greatest: bool, k: usize, x: &Array, values: &Array, indices: &Array) -> Result<()> {
    if meta(&[x]) {
        return Ok(());
    }
    require_number("topk", x.dtype())?;
    let (count, len) = rows(x);
    assert!(x.is_contiguous() && values.is_contiguous() && indices.is_contiguous() && k <= len);
    assert!(values.dtype() == x.dtype() && indices.dtype() == DType::I64 && values.numel() == count * k && indices.numel() == count * k);
    assert_writable(values);
    assert_writable(indices);
    // SAFETY: the arrays are as large as stated.
    unsafe { sorts::topk(x.dtype(), greatest, count, len, k, x.ptr(), values.ptr(), indices.ptr().cast()) };
    Ok(())
}

/// The `k`-th least (from 1) of the last dimension of contiguous `x`; one output element per row.
pub fn kthvalue(k: usize, x: &Array, values: &Array, indices: &Array) -> Result<()> {
    if meta(&[x]) {
        return Ok(());
    }
    require_number("kthvalue", x.dtype())?;
    let (count, len) = rows(x);
    assert!(x.is_contiguous() && values.is_contiguous() && indices.is_contiguous() && (count == 0 || (1 <= k && k <= len)));
    assert!(values.dtype() == x.dtype() && indices.dtype() == DType::I64 && values.numel() == count && indices.numel() == count);
    assert_writable(values);
    assert_writable(indices);
    // SAFETY: the arrays are as large as stated.
    unsafe { sorts::kthvalue(x.dtype(), count, len, k, x.ptr(), values.ptr(), indices.ptr().cast()) };
    Ok(())
}

/// Where `values` would enter `sequence` (rows in the last dimensions; one sequence serves all if it has a single dimension),
/// each ascending in the order of `sorter` if given. All contiguous; `sequence` and `values` of one dtype.
pub fn searchsorted(right: bool, sequence: &Array, sorter: Option<&Indices>, values: &Array, out: &Array) -> Result<()> {
    if meta(&[sequence, values, out]) {
        return Ok(());
    }
    require_number("searchsorted", sequence.dtype())?;
    let shared = sequence.rank() == 1;
    let len = sequence.shape()[sequence.rank() - 1];
    let per_row = if shared { values.numel() } else { values.shape().last().copied().unwrap_or(1) };
    let count = if shared { 1 } else { sequence.shape()[..sequence.rank() - 1].iter().product() };
    assert!(sequence.is_contiguous() && values.is_contiguous() && out.is_contiguous() && sequence.dtype() == values.dtype());
    assert!(out.dtype() == DType::I64 && out.numel() == values.numel() && values.numel() == count * per_row);
    assert!(sorter.is_none_or(|s| s.shape() == sequence.shape() && s.size == len && !s.negative));
    assert_writable(out);
    let sorter = sorter.map(Indices::list).transpose()?;
    let sorter = sorter.as_ref().map(|list| list.as_ptr());
    // SAFETY: the arrays are as large as stated; the sorter's indices are inside.
    unsafe {
        sorts::searchsorted(sequence.dtype(), right, count, len, per_row, shared, sequence.ptr(), sorter, values.ptr(), out.ptr().cast())
    };
    Ok(())
}

/// Distinct elements of a contiguous array in ascending order, or its runs of equal neighbours.
pub fn unique(x: &Array, consecutive: bool) -> Result<Distinct> {
    require_number("unique", x.dtype())?;
    assert!(x.is_contiguous() && x.is_host());
    // SAFETY: contiguous elements.
    let found = unsafe {
        if consecutive { sorts::unique_consecutive(x.dtype(), x.ptr(), x.numel()) } else { sorts::unique(x.dtype(), x.ptr(), x.numel()) }
    };
    Ok(found)
}

/// Distinct rows (first dimension) of a contiguous array, in lexicographic order.
pub fn unique_rows(x: &Array) -> Result<Distinct> {
    require_number("unique_dim", x.dtype())?;
    assert!(x.is_contiguous() && x.is_host() && x.rank() > 0);
    let count = x.shape()[0];
    // SAFETY: contiguous elements.
    let found = unsafe { sorts::unique_rows(x.dtype(), x.ptr(), count, x.numel().checked_div(count).unwrap_or(0)) };
    Ok(found)
}

/// Sums or products along `dim`, from the end if `backwards`; `out` contiguous, of `x`'s shape and dtype.
pub fn scan(kind: Scan, backwards: bool, x: &Array, dim: usize, out: &Array) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    assert!(x.shape() == out.shape() && out.is_contiguous() && dim < x.rank());
    let unsupported = || Err(Error::not_implemented("cumsum", x.dtype()));
    with_number!(x.dtype(), T => folds::scan::<T, T>(kind, backwards, src(x), dim, dst(out)), else return unsupported());
    Ok(())
}

/// The extreme so far along `dim` and its place; all contiguous and of one shape.
pub fn running_extremes(greatest: bool, x: &Array, dim: usize, values: &Array, indices: &Array) -> Result<()> {
    if meta(&[x]) {
        return Ok(());
    }
    assert!(x.is_contiguous() && values.is_contiguous() && indices.is_contiguous() && dim < x.rank());
    assert!(values.shape() == x.shape() && indices.shape() == x.shape());
    with_number!(
        x.dtype(),
        T => running::extremes::<T>(greatest, src(x), dim, dst(values), dst(indices)),
        else return Err(Error::not_implemented("cummax", x.dtype()))
    );
    Ok(())
}

/// `ln Σ exp` so far along `dim`; both contiguous, of one shape and float dtype.
pub fn running_log_sum_exp(backwards: bool, x: &Array, dim: usize, out: &Array) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    assert!(x.is_contiguous() && out.is_contiguous() && x.shape() == out.shape() && dim < x.rank());
    with_float!(
        x.dtype(),
        T => running::log_sum_exp::<T>(backwards, src(x), dim, dst(out)),
        else return Err(Error::not_implemented("logcumsumexp_out_cpu", x.dtype()))
    );
    Ok(())
}

/// The most frequent element of the ascending rows of contiguous `sorted`, and where in the row its run ends.
pub fn modes(sorted: &Array, values: &Array, ends: &Array) -> Result<()> {
    if meta(&[sorted]) || values.numel() == 0 {
        return Ok(());
    }
    let (count, len) = rows(sorted);
    assert!(sorted.is_contiguous() && values.is_contiguous() && ends.is_contiguous() && len > 0);
    assert!(values.numel() == count && ends.numel() == count);
    with_number!(
        sorted.dtype(),
        T => running::modes::<T>(src(sorted), dst(values), dst(ends)),
        else return Err(Error::not_implemented("mode", sorted.dtype()))
    );
    Ok(())
}
