//! Elements chosen along a dimension and what accumulates along one: `max`, `argmax`, `median`, `mode`, `kthvalue`, `cummax`,
//! `cumsum`, `cumprod`, `logcumsumexp`.

use crate::copy;
pub use crate::device::arrays::Extreme;
use crate::device::arrays::{self, Fold};
use crate::device::indexing::{self, Scan};
use crate::formula::{Formula, as_vector, attach, zeros};
use crate::index::{gather, scatter, scatter_add};
use crate::reduce::{extreme, reduced};
use crate::registry::{Output, into_out};
use crate::row::{Scalar, call};
use crate::rows;
use crate::saved::Saved;
use crate::tensor::Tensor;
use crate::views;
use rustnn_tensor::shape::wrap_dim;
use rustnn_tensor::{Array, DType, Error, Result, Shape, bail, ensure};
use smallvec::smallvec;

const VALUES: &[&str] = &["values", "indices"];

/// Values that were chosen along `dim` by `indices`; their gradient goes where they came from. `keep`: `dim` is still there.
pub(crate) fn chosen(x: &Tensor, values: Array, indices: &Tensor, dim: usize, keep: bool, name: &'static str) -> Result<Tensor> {
    let shape = x.shape_owned();
    attach(values, &[x], || {
        Formula::one(name, &[indices], move |dy, saved| {
            let base = zeros(dy, &shape)?;
            if keep || shape.is_empty() {
                return scatter(&base, false, dim as i64, &saved[0], dy, None);
            }
            let (dy, index) = (crate::unsqueeze(dy, dim as i64)?, crate::unsqueeze(&saved[0], dim as i64)?);
            scatter(&base, false, dim as i64, &index, &dy, None)
        })
    })
}

/// A named pair or tuple, or its copies in `out`.
pub(crate) fn named(
    name: &'static str,
    fields: &'static [&'static str],
    inputs: &[&Tensor],
    results: Vec<Tensor>,
    out: Option<&[Tensor]>,
) -> Result<Output> {
    let Some(out) = out else { return Ok(Output::Named(name, fields, results)) };
    ensure!(out.len() == results.len(), Type, "{name}(): argument 'out' must be a tuple of {} Tensors", results.len());
    let mut written = Vec::new();
    for (result, out) in results.into_iter().zip(out) {
        if result.dtype() == DType::I64 && out.dtype() != DType::I64 {
            let found = crate::names::type_meta(out.dtype());
            bail!(Runtime, "Expected out tensor to have dtype long int, but got {found} instead");
        }
        match into_out(name, inputs, || Ok(result.detach()), Some(out))? {
            Output::Written(t) => written.push(t),
            _ => bail!(Runtime, "{name}: out was not written"),
        }
    }
    Ok(Output::WrittenNamed(name, fields, written))
}

pub(crate) fn outputs<'a>(a: &'a crate::registry::Args, i: usize) -> Result<Option<&'a [Tensor]>> {
    if a.is_none(i) { Ok(None) } else { a.tensors(i).map(Some) }
}

/// The dimension a reduction runs over; an error where nothing lies along it.
fn nonempty(x: &Tensor, dim: i64, op: &str) -> Result<usize> {
    let d = wrap_dim(dim, x.rank())?;
    ensure!(x.shape().get(d) != Some(&0), Index, "{op}: Expected reduction dim {d} to have non-zero size.");
    Ok(d)
}

fn reduced_shape(x: &Tensor, d: usize, keep: bool) -> Shape {
    reduced(x.shape(), if x.rank() == 0 { &[] } else { std::slice::from_ref(&d) }, keep)
}

/// The greatest or least along a dimension, and the place of the first.
pub fn extreme_at(x: &Tensor, kind: Extreme, dim: i64, keep: bool) -> Result<(Tensor, Tensor)> {
    let (name, op) = if kind == Extreme::Max { ("MaxBackward0", "max()") } else { ("MinBackward0", "min()") };
    let d = nonempty(x, dim, op)?;
    let shape = reduced_shape(x, d, keep);
    let values = Array::empty(&shape, x.dtype(), x.device())?;
    let indices = Array::empty(&shape, DType::I64, x.device())?;
    arrays::arg_extreme(kind, &as_vector(x.array()), d, Some(&values), &indices)?;
    let indices = Tensor::from_array(indices);
    Ok((chosen(x, values, &indices, d, keep, name)?, indices))
}

/// The place of the first extreme element along a dimension, or in the flattened tensor.
pub fn arg_extreme(x: &Tensor, kind: Extreme, dim: Option<i64>, keep: bool) -> Result<Tensor> {
    let op = if kind == Extreme::Max { "argmax()" } else { "argmin()" };
    ensure!(x.dtype() != DType::Bool, Runtime, "{op}: does not support bool input");
    let Some(dim) = dim else {
        ensure!(x.numel() > 0, Index, "{op}: Expected reduction dim to be specified for input.numel() == 0.");
        let flat = line(x.array())?;
        let out = Array::empty(&if keep { Shape::from_elem(1, x.rank()) } else { Shape::new() }, DType::I64, x.device())?;
        arrays::arg_extreme(kind, &flat, 0, None, &out)?;
        return Ok(Tensor::from_array(out));
    };
    let d = nonempty(x, dim, op)?;
    let out = Array::empty(&reduced_shape(x, d, keep), DType::I64, x.device())?;
    arrays::arg_extreme(kind, &as_vector(x.array()), d, None, &out)?;
    Ok(Tensor::from_array(out))
}

/// `x` as one contiguous line.
pub(crate) fn line(x: &Array) -> Result<Array> {
    let flat = copy::contiguous_array(x)?;
    flat.view(&[x.numel()]).ok_or_else(|| Error::Runtime("a contiguous array is a line".into()))
}

/// `x` row-major with `dim` moved to the end.
pub(crate) fn lines(x: &Array, dim: usize) -> Result<Array> {
    let x = as_vector(x);
    let order: Vec<usize> = (0..x.rank()).filter(|&d| d != dim).chain([dim]).collect();
    copy::contiguous_array(&views::permute_array(&x, &order))
}

/// The inverse of [`lines`] for an array of `rank` dimensions, row-major.
pub(crate) fn unlines(x: &Array, dim: usize, rank: usize) -> Result<Array> {
    if rank == 0 {
        return x.view(&[]).ok_or_else(|| Error::Runtime("one element has no dimensions".into()));
    }
    let mut order: Vec<usize> = (0..rank - 1).collect();
    order.insert(dim, rank - 1);
    copy::contiguous_array(&views::permute_array(x, &order))
}

/// The `k`-th least along a dimension, from 1, NaN being the greatest, and its place.
pub fn kthvalue(x: &Tensor, k: i64, dim: i64, keep: bool) -> Result<(Tensor, Tensor)> {
    if x.dtype() == DType::Bool {
        return Err(Error::not_implemented("kthvalue_cpu", DType::Bool));
    }
    let d = nonempty(x, dim, "kthvalue()")?;
    let n = x.shape().get(d).copied().unwrap_or(1);
    ensure!(k >= 1 && k as u64 <= n as u64, Runtime, "kthvalue(): selected number k out of range for dimension {d}");
    let (values, indices) = kth(x, k as usize, d, keep)?;
    let indices = Tensor::from_array(indices);
    Ok((chosen(x, values, &indices, d, keep, "KthvalueBackward0")?, indices))
}

fn kth(x: &Tensor, k: usize, d: usize, keep: bool) -> Result<(Array, Array)> {
    let shape = reduced_shape(x, d, keep);
    let values = Array::empty(&shape, x.dtype(), x.device())?;
    let indices = Array::empty(&shape, DType::I64, x.device())?;
    indexing::kthvalue(k, &lines(x.array(), d)?, &values, &indices)?;
    Ok((values, indices))
}

/// The lower median along `d` and its place; the first NaN where there is one, unless they are to be ignored.
fn median_arrays(x: &Tensor, d: usize, keep: bool, ignore_nan: bool) -> Result<(Array, Array)> {
    if x.dtype() == DType::Bool {
        return Err(Error::not_implemented("median_cpu", DType::Bool));
    }
    let x = &x.detach();
    let n = x.shape().get(d).copied().unwrap_or(1);
    if !x.dtype().is_float() || x.array().is_meta() {
        return kth(x, n.div_ceil(2), d, keep);
    }
    if ignore_nan {
        // Sorted, the NaN are at the end: the middle of the rest.
        let (sorted, places) = crate::sort::sort(x, d as i64, false)?;
        let nan = call(&rows::ISNAN, &[x.into()], &[])?;
        let over = [d as i64];
        let count = crate::reduce::sum(&nan, Some(&over), true, None)?;
        let rest = call(&rows::RSUB, &[(&count).into(), Scalar::Int(n as i64 - 1).into()], &[Scalar::Int(1)])?;
        let middle = call(&rows::FLOOR_DIVIDE, &[(&rest).into(), Scalar::Int(2).into()], &[])?;
        let middle = call(&rows::CLAMP_MIN, &[(&middle).into()], &[Scalar::Int(0)])?;
        let pick = |t: &Tensor| -> Result<Array> {
            let t = gather(t, d as i64, &middle)?;
            Ok(views::reshape_to(&t, &reduced_shape(x, d, keep))?.array().clone())
        };
        return Ok((pick(&sorted)?, pick(&places)?));
    }
    let (values, indices) = kth(x, n.div_ceil(2), d, keep)?;
    // NaN is the greatest of all.
    let (most, place) = extreme_at(x, Extreme::Max, d as i64, keep)?;
    let nan = call(&rows::ISNAN, &[(&most).into()], &[])?;
    let either = |a: &Tensor, b: Array| -> Result<Array> {
        Ok(call(&rows::WHERE, &[(&nan).into(), a.into(), (&Tensor::from_array(b)).into()], &[])?.array().clone())
    };
    Ok((either(&most, values)?, either(&place, indices)?))
}

/// The lower median along a dimension, and its place.
pub fn median_at(x: &Tensor, dim: i64, keep: bool, ignore_nan: bool) -> Result<(Tensor, Tensor)> {
    let (name, op) = if ignore_nan { ("NanmedianBackward1", "nanmedian()") } else { ("MedianBackward1", "median()") };
    let d = nonempty(x, dim, op)?;
    let (values, indices) = median_arrays(x, d, keep, ignore_nan)?;
    let indices = Tensor::from_array(indices);
    Ok((chosen(x, values, &indices, d, keep, name)?, indices))
}

/// The lower median of all elements; equal elements share the gradient.
pub fn median(x: &Tensor, ignore_nan: bool) -> Result<Tensor> {
    if x.numel() == 0 {
        let nan = if x.dtype().is_float() { Scalar::Float(f64::NAN) } else { Scalar::Int(i64::MIN) };
        return crate::create::full_array(&[], nan, x.dtype(), x.device()).map(Tensor::from_array);
    }
    let flat = views::reshape_to(&x.detach(), &[x.numel()])?;
    let (value, _) = median_arrays(&flat, 0, false, ignore_nan)?;
    let result = Tensor::from_array(value.clone());
    attach(value, &[x], || {
        let saved = vec![Saved::input(x)?, Saved::output(&result, 0)?];
        Ok(Formula::new(if ignore_nan { "NanmedianBackward0" } else { "MedianBackward0" }, saved, |dy, saved, _| {
            let (x, y) = (saved[0].detach(), saved[1].detach());
            let nan = |t: &Tensor| call(&rows::ISNAN, &[t.into()], &[]);
            let both = call(&rows::LOGICAL_AND, &[(&nan(&x)?).into(), (&nan(&y)?).into()], &[])?;
            let equal = call(&rows::EQ, &[(&x).into(), (&y).into()], &[])?;
            let hit = call(&rows::LOGICAL_OR, &[(&equal).into(), (&both).into()], &[])?;
            let number = crate::to_dtype(&crate::reduce::sum(&hit, None, false, None)?, dy.dtype())?;
            let share = call(&rows::DIV, &[dy.into(), (&number).into()], &[])?;
            Ok(smallvec![Some(call(&rows::WHERE, &[(&hit).into(), (&share).into(), (&zeros(dy, &[])?).into()], &[])?)])
        }))
    })
}

/// The most frequent element along a dimension (the least of several) and the last place where it stands.
pub fn mode(x: &Tensor, dim: i64, keep: bool) -> Result<(Tensor, Tensor)> {
    let d = nonempty(x, dim, "mode()")?;
    let from = lines(x.array(), d)?;
    let (sorted, order) = (Array::empty(from.shape(), x.dtype(), x.device())?, Array::empty(from.shape(), DType::I64, x.device())?);
    indexing::sort(false, &from, Some(&sorted), Some(&order))?;
    let shape = reduced_shape(x, d, keep);
    let (values, ends) = (Array::empty(&shape, x.dtype(), x.device())?, Array::empty(&shape, DType::I64, x.device())?);
    indexing::modes(&sorted, &values, &ends)?;
    let rank = order.rank() as i64;
    let mut line_shape: Shape = order.shape().into();
    line_shape[rank as usize - 1] = 1;
    let ends = views::reshape_to(&Tensor::from_array(ends), &line_shape)?;
    let places = gather(&Tensor::from_array(order), rank - 1, &ends)?;
    let indices = Tensor::from_array(views::reshape_to(&places, &shape)?.array().clone());
    Ok((chosen(x, values, &indices, d, keep, "ModeBackward0")?, indices))
}

/// The extreme so far along a dimension, and its place.
pub fn running_extreme(x: &Tensor, greatest: bool, dim: i64) -> Result<(Tensor, Tensor)> {
    let d = wrap_dim(dim, x.rank())?;
    let name = if greatest { "CummaxBackward0" } else { "CumminBackward0" };
    let (values, indices) = (Array::empty(x.shape(), x.dtype(), x.device())?, Array::empty(x.shape(), DType::I64, x.device())?);
    if x.numel() > 0 {
        let from = copy::contiguous_array(x.array())?;
        indexing::running_extremes(greatest, &as_vector(&from), d, &as_vector(&values), &as_vector(&indices))?;
    }
    let indices = Tensor::from_array(indices);
    let out = attach(values, &[x], || {
        let shape = x.shape_owned();
        Formula::one(name, &[&indices], move |dy, saved| scatter_add(&zeros(dy, &shape)?, false, d as i64, &saved[0], dy))
    })?;
    Ok((out, indices))
}

fn scanned(x: &Tensor, kind: Scan, backwards: bool, d: usize) -> Result<Array> {
    let out = Array::empty(x.shape(), x.dtype(), x.device())?;
    if x.numel() > 0 {
        let (mut from, mut to) = (as_vector(x.array()), as_vector(&out));
        if x.dtype().is_complex() && matches!(kind, Scan::Sum) {
            (from, to) = (crate::complex::real_array(&from)?, crate::complex::real_array(&to)?);
        }
        indexing::scan(kind, backwards, &from, d, &to)?;
    }
    Ok(out)
}

/// `x` in the dtype that sums have: integers count in int64.
fn summable(x: &Tensor, dtype: Option<DType>) -> Result<Tensor> {
    let dtype = dtype.unwrap_or(if x.dtype().is_integral() { DType::I64 } else { x.dtype() });
    crate::to_dtype(x, dtype)
}

/// Sums of the elements so far along a dimension.
pub fn cumsum(x: &Tensor, dim: i64, dtype: Option<DType>) -> Result<Tensor> {
    let d = wrap_dim(dim, x.rank())?;
    cumsum_directed(&summable(x, dtype)?, d, false)
}

fn cumsum_directed(x: &Tensor, d: usize, backwards: bool) -> Result<Tensor> {
    attach(scanned(x, Scan::Sum, backwards, d)?, &[x], || {
        Formula::one("CumsumBackward0", &[], move |dy, _| cumsum_directed(dy, d, !backwards))
    })
}

/// Products of the elements so far along a dimension.
pub fn cumprod(x: &Tensor, dim: i64, dtype: Option<DType>) -> Result<Tensor> {
    let d = wrap_dim(dim, x.rank())?;
    let x = &summable(x, dtype)?;
    let out = scanned(x, Scan::Product, false, d)?;
    let result = Tensor::from_array(out.clone());
    attach(out, &[x], || {
        let saved = vec![Saved::input(x)?, Saved::output(&result, 0)?];
        Ok(Formula::new("CumprodBackward0", saved, move |dy, saved, context| {
            Ok(smallvec![Some(cumprod_gradient(dy, &saved[0], &saved[1], d, context.create_graph)?)])
        }))
    })
}

/// `dx_i = Σ_{j ≥ i} dy_j Π_{k ≤ j, k ≠ i} x_k`. Without zeros that is `Σ_{j ≥ i} dy_j out_j / x_i`; the first zero of a line takes
/// the sum with a one in its place, and what is behind it has no gradient. That shortcut is right but for its own gradient.
fn cumprod_gradient(dy: &Tensor, x: &Tensor, out: &Tensor, d: usize, again: bool) -> Result<Tensor> {
    if x.rank() == 0 || x.numel() == 0 {
        return Ok(dy.clone());
    }
    // A GPU is not asked: the way that bears zeros is right without them, too.
    let unseen = x.array().is_meta() || x.device().is_gpu() && !again;
    let has_zero = unseen || crate::reduce::any_zero(&copy::contiguous_array(x.array())?)?;
    if !has_zero {
        let total = cumsum_directed(&crate::mul(dy, out)?, d, true)?;
        return call(&rows::DIV, &[(&total).into(), x.into()], &[]);
    }
    if again {
        return cumprod_gradient_whole(dy, x, d);
    }
    let zero = call(&rows::EQ, &[x.into(), Scalar::Int(0).into()], &[])?;
    let zeros_so_far = cumsum(&zero, d as i64, None)?;
    let before = call(&rows::EQ, &[(&zeros_so_far).into(), Scalar::Int(0).into()], &[])?;
    let one_so_far = call(&rows::EQ, &[(&zeros_so_far).into(), Scalar::Int(1).into()], &[])?;
    let first = call(&rows::LOGICAL_AND, &[(&zero).into(), (&one_so_far).into()], &[])?;
    let fill = |t: &Tensor, mask: &Tensor| call(&rows::MASKED_FILL, &[mask.into(), t.into()], &[Scalar::Int(1)]);
    let plain = cumsum_directed(&crate::mul(dy, out)?, d, true)?;
    let plain = call(&rows::DIV, &[(&plain).into(), (&fill(x, &zero)?).into()], &[])?;
    let without = cumprod(&fill(x, &first)?, d as i64, None)?;
    let at_first = cumsum_directed(&crate::mul(dy, &without)?, d, true)?;
    let rest = call(&rows::WHERE, &[(&first).into(), (&at_first).into(), (&zeros(dy, &[])?).into()], &[])?;
    call(&rows::WHERE, &[(&before).into(), (&plain).into(), (&rest).into()], &[])
}

/// The same by a line for each place, with a one there: quadratic in the length, and differentiable everywhere.
fn cumprod_gradient_whole(dy: &Tensor, x: &Tensor, d: usize) -> Result<Tensor> {
    let n = x.shape()[d];
    let mut shape = x.shape_owned();
    shape.insert(d, n);
    // Dimension d counts the places, d + 1 the elements of a line.
    let lines = views::expand_to(&crate::unsqueeze(x, d as i64)?, &shape)?;
    let square = |make: fn(&Tensor) -> Result<Tensor>| -> Result<Tensor> {
        let all = Tensor::from_array(crate::create::full_array(&[n, n], Scalar::Int(1), DType::F32, x.device())?);
        let mut flat = Shape::from_elem(1, x.rank() + 1);
        (flat[d], flat[d + 1]) = (n, n);
        views::reshape_to(&crate::to_dtype(&make(&all)?, DType::Bool)?, &flat)
    };
    let upper = |t: &Tensor| crate::arrange::triangle(t, indexing::Half::Upper, 0, false);
    let own = square(|t| {
        let upper = crate::arrange::triangle(t, indexing::Half::Upper, 0, false)?;
        crate::arrange::triangle(&upper, indexing::Half::Lower, 0, false)
    })?;
    let from_own = square(upper)?;
    let ones = call(&rows::MASKED_FILL, &[(&own).into(), (&lines).into()], &[Scalar::Int(1)])?;
    let products = crate::mul(&cumprod(&ones, d as i64 + 1, None)?, &crate::unsqueeze(dy, d as i64)?)?;
    let kept = call(&rows::WHERE, &[(&from_own).into(), (&products).into(), (&zeros(dy, &[])?).into()], &[])?;
    crate::reduce::sum(&kept, Some(&[d as i64 + 1]), false, None)
}

/// Logarithms of the sums of exponentials so far along a dimension.
pub fn logcumsumexp(x: &Tensor, dim: i64) -> Result<Tensor> {
    let d = wrap_dim(dim, x.rank())?;
    if !x.dtype().is_float() {
        return Err(Error::not_implemented("logcumsumexp_out_cpu", x.dtype()));
    }
    logcumsumexp_directed(x, d, false)
}

fn logcumsumexp_directed(x: &Tensor, d: usize, backwards: bool) -> Result<Tensor> {
    let out = Array::empty(x.shape(), x.dtype(), x.device())?;
    if x.numel() > 0 {
        let from = copy::contiguous_array(x.array())?;
        indexing::running_log_sum_exp(backwards, &as_vector(&from), d, &as_vector(&out))?;
    }
    let result = Tensor::from_array(out.clone());
    attach(out, &[x], || {
        let saved = vec![Saved::input(x)?, Saved::output(&result, 0)?];
        Ok(Formula::new("LogcumsumexpBackward0", saved, move |dy, saved, _| {
            let (x, y) = (&saved[0], &saved[1]);
            // dx_i = exp(x_i) Σ_j dy_j exp(-y_j), in logarithms, positive and negative dy apart.
            let least =
                crate::create::full_array(&[], Scalar::Float(f64::NEG_INFINITY), dy.dtype(), dy.device()).map(Tensor::from_array)?;
            let empty = call(&rows::EQ, &[y.into(), Scalar::Float(f64::NEG_INFINITY).into()], &[])?;
            let part = |hit: &Tensor, dy: &Tensor| -> Result<Tensor> {
                let safe = call(&rows::WHERE, &[hit.into(), dy.into(), (&crate::create::ones_like(dy)?).into()], &[])?;
                let log = call(&rows::LOG, &[(&call(&rows::ABS, &[(&safe).into()], &[])?).into()], &[])?;
                let log = call(&rows::WHERE, &[hit.into(), (&log).into(), (&least).into()], &[])?;
                // Where all so far was exp(-inf), nothing has a share; the difference of infinities would be NaN.
                let scaled = call(&rows::SUB, &[(&log).into(), y.into()], &[Scalar::Int(1)])?;
                let scaled = call(&rows::WHERE, &[(&empty).into(), (&least).into(), (&scaled).into()], &[])?;
                let sums = logcumsumexp_directed(&scaled, d, !backwards)?;
                call(&rows::EXP, &[(&crate::add(&sums, x)?).into()], &[])
            };
            // NaN counts as positive, so that it stays.
            let negative = call(&rows::LT, &[dy.into(), Scalar::Int(0).into()], &[])?;
            let positive = call(&rows::LE, &[dy.into(), Scalar::Int(0).into()], &[])?;
            let positive = call(&rows::LOGICAL_NOT, &[(&positive).into()], &[])?;
            let (up, down) = (part(&positive, dy)?, part(&negative, dy)?);
            Ok(smallvec![Some(call(&rows::SUB, &[(&up).into(), (&down).into()], &[Scalar::Int(1)])?)])
        }))
    })
}

fn pair(name: &'static str, x: &Tensor, (values, indices): (Tensor, Tensor), out: Option<&[Tensor]>) -> Result<Output> {
    named(name, VALUES, &[x], vec![values, indices], out)
}

/// `x` overwritten by what `f` makes of a copy of it.
fn in_place(x: &Tensor, f: impl FnOnce(&Tensor) -> Result<Tensor>) -> Result<Tensor> {
    x.check_writable()?;
    copy::copy_(x, &f(&crate::clone(x)?)?)?;
    Ok(x.clone())
}

fn aminmax(x: &Tensor, dim: Option<i64>, keep: bool) -> Result<Vec<Tensor>> {
    match dim {
        None => {
            ensure!(x.numel() > 0, Runtime, "aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.")
        }
        Some(dim) => drop(nonempty(x, dim, "aminmax")?),
    }
    let dims = dim.map(|d| [d]);
    let over = dims.as_ref().map(<[i64; 1]>::as_slice);
    Ok(vec![
        extreme(x, Fold::Min, over, keep, "AminmaxBackward0", "aminmax")?,
        extreme(x, Fold::Max, over, keep, "AminmaxBackward0", "aminmax")?,
    ])
}

fn arg_into(name: &str, a: &crate::registry::Args, kind: Extreme) -> Result<Output> {
    let out = a.opt_tensor(3)?;
    if let Some(out) = out {
        let found = crate::names::type_meta(out.dtype());
        ensure!(out.dtype() == DType::I64, Runtime, "Expected out tensor to have dtype long int, but got {found} instead");
    }
    into_out(name, &[], || arg_extreme(a.tensor(0)?, kind, a.opt_int(1)?, a.bool(2)?), out)
}

fn binary(row: &'static crate::row::Row, a: &crate::registry::Args) -> Result<Output> {
    let (x, y) = (a.tensor(0)?, a.tensor(1)?);
    into_out(row.name, &[x, y], || call(row, &[x.into(), y.into()], &[]), a.opt_tensor(2)?)
}

crate::ops! {
    // Before the dimension, which a tensor of one element could be.
    "max(Tensor self, Tensor other, *, Tensor? out=None)" Both "The greater of two tensors, element by element." => |a| binary(&rows::MAXIMUM, a)?;
    "max(Tensor self, int dim, bool keepdim=False, *, Tensor[]? out=None)" Both "Greatest along a dimension, and the place of the first." =>
        |a| pair("max", a.tensor(0)?, extreme_at(a.tensor(0)?, Extreme::Max, a.int(1)?, a.bool(2)?)?, outputs(a, 3)?)?;
    "min(Tensor self, Tensor other, *, Tensor? out=None)" Both "The lesser of two tensors, element by element." => |a| binary(&rows::MINIMUM, a)?;
    "min(Tensor self, int dim, bool keepdim=False, *, Tensor[]? out=None)" Both "Least along a dimension, and the place of the first." =>
        |a| pair("min", a.tensor(0)?, extreme_at(a.tensor(0)?, Extreme::Min, a.int(1)?, a.bool(2)?)?, outputs(a, 3)?)?;
    "argmax(Tensor self, int? dim=None, bool keepdim=False, *, Tensor? out=None)" Both "Place of the first greatest element." =>
        |a| arg_into("argmax", a, Extreme::Max)?;
    "argmin(Tensor self, int? dim=None, bool keepdim=False, *, Tensor? out=None)" Both "Place of the first least element." =>
        |a| arg_into("argmin", a, Extreme::Min)?;
    "aminmax(Tensor self, *, int? dim=None, bool keepdim=False, Tensor[]? out=None)" Both "Least and greatest." =>
        |a| named("aminmax", &["min", "max"], &[a.tensor(0)?], aminmax(a.tensor(0)?, a.opt_int(1)?, a.bool(2)?)?, outputs(a, 3)?)?;
    "median(Tensor self)" Both "The lower median of all elements." => |a| median(a.tensor(0)?, false)?;
    "median(Tensor self, int dim, bool keepdim=False, *, Tensor[]? out=None)" Both "The lower median along a dimension, and its place." =>
        |a| pair("median", a.tensor(0)?, median_at(a.tensor(0)?, a.int(1)?, a.bool(2)?, false)?, outputs(a, 3)?)?;
    "nanmedian(Tensor self)" Both "The lower median of all elements but NaN." => |a| median(a.tensor(0)?, true)?;
    "nanmedian(Tensor self, int dim, bool keepdim=False, *, Tensor[]? out=None)" Both "The lower median along a dimension without NaN, and its place." =>
        |a| pair("nanmedian", a.tensor(0)?, median_at(a.tensor(0)?, a.int(1)?, a.bool(2)?, true)?, outputs(a, 3)?)?;
    "mode(Tensor self, int dim=-1, bool keepdim=False, *, Tensor[]? out=None)" Both "The most frequent element along a dimension, and its last place." =>
        |a| pair("mode", a.tensor(0)?, mode(a.tensor(0)?, a.int(1)?, a.bool(2)?)?, outputs(a, 3)?)?;
    "kthvalue(Tensor self, int k, int dim=-1, bool keepdim=False, *, Tensor[]? out=None)" Both "The k-th least along a dimension, and its place." =>
        |a| pair("kthvalue", a.tensor(0)?, kthvalue(a.tensor(0)?, a.int(1)?, a.int(2)?, a.bool(3)?)?, outputs(a, 4)?)?;
    "cummax(Tensor self, int dim, *, Tensor[]? out=None)" Both "The greatest so far along a dimension, and its place." =>
        |a| pair("cummax", a.tensor(0)?, running_extreme(a.tensor(0)?, true, a.int(1)?)?, outputs(a, 2)?)?;
    "cummin(Tensor self, int dim, *, Tensor[]? out=None)" Both "The least so far along a dimension, and its place." =>
        |a| pair("cummin", a.tensor(0)?, running_extreme(a.tensor(0)?, false, a.int(1)?)?, outputs(a, 2)?)?;
    "cumsum(Tensor self, int dim, *, ScalarType? dtype=None, Tensor? out=None)" Both "Sums so far along a dimension." =>
        |a| into_out("cumsum", &[a.tensor(0)?], || cumsum(a.tensor(0)?, a.int(1)?, a.opt_dtype(2)?), a.opt_tensor(3)?)?;
    "cumsum_(Tensor self, int dim, *, ScalarType? dtype=None)" Method "Sums so far along a dimension, in place." =>
        |a| in_place(a.tensor(0)?, |x| cumsum(x, a.int(1)?, Some(a.opt_dtype(2)?.unwrap_or(x.dtype()))))?;
    "cumprod(Tensor self, int dim, *, ScalarType? dtype=None, Tensor? out=None)" Both "Products so far along a dimension." =>
        |a| into_out("cumprod", &[a.tensor(0)?], || cumprod(a.tensor(0)?, a.int(1)?, a.opt_dtype(2)?), a.opt_tensor(3)?)?;
    "cumprod_(Tensor self, int dim, *, ScalarType? dtype=None)" Method "Products so far along a dimension, in place." =>
        |a| in_place(a.tensor(0)?, |x| cumprod(x, a.int(1)?, Some(a.opt_dtype(2)?.unwrap_or(x.dtype()))))?;
    "logcumsumexp(Tensor self, int dim, *, Tensor? out=None)" Both "Logarithms of the sums of exponentials so far along a dimension." =>
        |a| into_out("logcumsumexp", &[a.tensor(0)?], || logcumsumexp(a.tensor(0)?, a.int(1)?), a.opt_tensor(2)?)?;
}
