//! Order and counts: `sort`, `topk`, `unique`, `searchsorted`, `bincount`, `histc`.

use crate::copy::{self, in_order_of};
use crate::device::indexing::{self, Distinct, Indices};
use crate::extremes::{chosen, line, lines, named, outputs, unlines};
use crate::formula::as_vector;
use crate::index::{index_add, index_select};
use crate::registry::{Args, Output, into_out};
use crate::row::{Operand, Scalar, default_dtype};
use crate::rows;
use crate::tensor::Tensor;
use crate::{unsigned, views};
use rustnn_tensor::shape::wrap_dim;
use rustnn_tensor::{Array, DType, Device, Error, Result, bail, ensure};

const VALUES: &[&str] = &["values", "indices"];

/// Sorted along a dimension, equal elements in their order, and the places they came from; NaN is greatest.
pub fn sort(x: &Tensor, dim: i64, descending: bool) -> Result<(Tensor, Tensor)> {
    if let Some(keys) = unsigned::keys(x)? {
        let (values, indices) = sort(&keys, dim, descending)?;
        return Ok((unsigned::of_keys(&values, x.dtype())?, indices));
    }
    let d = wrap_dim(dim, x.rank())?;
    let from = lines(x.array(), d)?;
    let (values, indices) = (Array::empty(from.shape(), x.dtype(), x.device())?, Array::empty(from.shape(), DType::I64, x.device())?);
    indexing::sort(descending, &from, Some(&values), Some(&indices))?;
    let as_input = |lines: &Array| in_order_of(unlines(lines, d, x.rank())?, x.array());
    let indices = Tensor::from_array(as_input(&indices)?);
    Ok((chosen(x, as_input(&values)?, &indices, d, true, "SortBackward0")?, indices))
}

/// The places that sort a dimension.
pub fn argsort(x: &Tensor, dim: i64, descending: bool) -> Result<Tensor> {
    if let Some(keys) = unsigned::keys(x)? {
        return argsort(&keys, dim, descending);
    }
    let d = wrap_dim(dim, x.rank())?;
    let from = lines(x.array(), d)?;
    let indices = Array::empty(from.shape(), DType::I64, x.device())?;
    indexing::sort(descending, &from, None, Some(&indices))?;
    in_order_of(unlines(&indices, d, x.rank())?, x.array()).map(Tensor::from_array)
}

/// The `k` greatest (or least) of a dimension in order, and their places.
pub fn topk(x: &Tensor, k: i64, dim: i64, largest: bool) -> Result<(Tensor, Tensor)> {
    let d = wrap_dim(dim, x.rank())?;
    ensure!(x.dtype() != DType::Bool, Runtime, "topk does not support bool dtypes on CPU");
    let n = x.shape().get(d).copied().unwrap_or(1);
    ensure!(k >= 0 && k as u64 <= n as u64, Runtime, "selected index k out of range");
    let from = lines(x.array(), d)?;
    let mut shape: rustnn_tensor::Shape = from.shape().into();
    let last = shape.len() - 1;
    shape[last] = k as usize;
    let (values, indices) = (Array::empty(&shape, x.dtype(), x.device())?, Array::empty(&shape, DType::I64, x.device())?);
    // Without lines there is nothing to look for, and no count of them to be told from the size.
    if values.numel() > 0 {
        indexing::topk(largest, k as usize, &from, &values, &indices)?;
    }
    if x.rank() == 0 && k == 0 {
        // PyTorch gives vectors of no elements.
        return Ok((Tensor::from_array(values), Tensor::from_array(indices)));
    }
    let indices = Tensor::from_array(unlines(&indices, d, x.rank())?);
    Ok((chosen(x, unlines(&values, d, x.rank())?, &indices, d, true, "TopkBackward0")?, indices))
}

fn list(values: &[i64]) -> Result<Tensor> {
    Tensor::from_slice(values, &[values.len()])
}

fn places(found: &Distinct) -> Result<Tensor> {
    list(&found.firsts.iter().map(|&i| i as i64).collect::<Vec<_>>())
}

fn known(x: &Tensor, op: &str) -> Result<()> {
    ensure!(
        !x.array().is_meta(),
        NotImplemented,
        "{op}: the shape of the result depends on the elements, which a meta tensor does not have"
    );
    Ok(())
}

/// Which slices of `dim` begin a run of equal neighbours.
fn runs(x: &Tensor, d: usize) -> Result<Distinct> {
    let n = x.shape()[d];
    let mut found = Distinct { firsts: vec![], inverse: Vec::with_capacity(n), counts: vec![] };
    let part = |start: usize| views::slice(x, d as i64, Some(start as i64), Some((start + n - 1) as i64), 1);
    let differ = if n > 1 {
        let differ = crate::row::call(&rows::NE, &[(&part(1)?).into(), (&part(0)?).into()], &[])?;
        let front = views::movedim(&differ, &[d as i64], &[0])?;
        let count = crate::reduce::sum(&views::reshape(&front, &[n as i64 - 1, -1])?, Some(&[1]), false, None)?;
        indexing::integers(count.array())?
    } else {
        Vec::new()
    };
    for i in 0..n {
        if i == 0 || differ[i - 1] != 0 {
            found.firsts.push(i);
            found.counts.push(0);
        }
        found.inverse.push(found.firsts.len() as i64 - 1);
        if let Some(count) = found.counts.last_mut() {
            *count += 1;
        }
    }
    Ok(found)
}

/// [`unique`] where `x` lies on a GPU, of its sorts and scans: how many there are is all that is read. `x` has slices along `d`.
fn unique_on_device(x: &Tensor, d: usize, consecutive: bool, slices: bool) -> Result<[Tensor; 3]> {
    let whole = slices && !consecutive;
    let n = x.shape()[d];
    let front = copy::contiguous_array(views::movedim(x, &[d as i64], &[0])?.array())?;
    let width = front.numel() / n;
    let rows = Tensor::from_array(front.view(&[n, width]).ok_or_else(Error::size_overflow)?);
    let column = |of: &Tensor, k: usize| views::reshape(&views::slice(of, 1, Some(k as i64), Some(k as i64 + 1), 1)?, &[n as i64]);
    let mut order = None;
    if !consecutive {
        // Stable sorts from the last column to the first.
        for k in (0..width).rev() {
            let keys = column(&rows, k)?;
            order = Some(match order {
                None => argsort(&keys, 0, false)?,
                Some(before) => index_select(&before, 0, &argsort(&index_select(&keys, 0, &before)?, 0, false)?)?,
            });
        }
    }
    let sorted = order.as_ref().map_or_else(|| Ok(rows.clone()), |order| index_select(&rows, 0, order))?;
    let minus = |a: &Tensor, b: &Tensor| crate::row::call(&rows::SUB, &[a.into(), b.into()], &[Scalar::Int(1)]);
    let part = |start: i64| views::slice(&sorted, 0, Some(start), Some(start + n as i64 - 1), 1);
    let ne = |a: &Tensor, b: &Tensor| crate::row::call(&rows::NE, &[a.into(), b.into()], &[]);
    let (next, last) = (part(1)?, part(0)?);
    let mut differ = ne(&next, &last)?;
    if whole && x.dtype().is_float() {
        // NaN is one value in slices, as on the CPU.
        let nan = |a: &Tensor| crate::row::call(&rows::ISNAN, &[a.into()], &[]);
        let both = crate::row::call(&rows::LOGICAL_AND, &[(&nan(&next)?).into(), (&nan(&last)?).into()], &[])?;
        differ = ne(&differ, &both)?;
    }
    let begins = crate::reduce::sum(&differ, Some(&[1]), false, None)?;
    let one = |value: usize| crate::create::full_array(&[1], Scalar::Int(value as i64), DType::I64, x.device()).map(Tensor::from_array);
    let begins = crate::row::call(&rows::NE, &[(&crate::join::cat(&[one(1)?, begins], 0)?).into(), Scalar::Int(0).into()], &[])?;
    let number = minus(&crate::extremes::cumsum(&begins, 0, None)?, &one(1)?)?;
    let firsts = views::reshape(&crate::index::nonzero(&begins)?, &[-1])?;
    let ends = crate::join::cat(&[views::slice(&firsts, 0, Some(1), None, 1)?, one(n)?], 0)?;
    let counts = minus(&ends, &firsts)?;
    let (firsts, inverse) = match &order {
        None => (firsts, number),
        Some(order) => (index_select(order, 0, &firsts)?, crate::index::scatter(&number, false, 0, order, &number, None)?),
    };
    Ok([index_select(x, d as i64, &firsts)?, inverse, counts])
}

/// Distinct elements (or slices of `dim`), for each element which one it is, and how often each occurs.
fn unique(x: &Tensor, dim: Option<i64>, consecutive: bool) -> Result<[Tensor; 3]> {
    known(x, "unique")?;
    if let Some(keys) = unsigned::keys(x)? {
        let [values, inverse, counts] = unique(&keys, dim, consecutive)?;
        return Ok([unsigned::of_keys(&values, x.dtype())?, inverse, counts]);
    }
    let x = x.detach();
    if x.device().is_gpu() {
        if x.numel() == 0 {
            // Nothing to bring over.
            let [values, inverse, counts] = unique(&crate::to_device(&x, Device::Cpu)?, dim, consecutive)?;
            let back = |t: &Tensor| crate::to_device(t, x.device());
            return Ok([back(&values)?, back(&inverse)?, back(&counts)?]);
        }
        return match dim {
            None => {
                let [values, inverse, counts] = unique_on_device(&Tensor::from_array(line(x.array())?), 0, consecutive, false)?;
                Ok([values, views::reshape_to(&inverse, x.shape())?, counts])
            }
            Some(dim) => unique_on_device(&Tensor::from_array(as_vector(x.array())), wrap_dim(dim, x.rank())?, consecutive, true),
        };
    }
    let (found, values, inverse_shape) = match dim {
        None => {
            let flat = line(x.array())?;
            let found = indexing::unique(&flat, consecutive)?;
            let values = index_select(&Tensor::from_array(flat), 0, &places(&found)?)?;
            (found, values, x.shape_owned())
        }
        Some(dim) => {
            let d = wrap_dim(dim, x.rank())?;
            let x = Tensor::from_array(as_vector(x.array()));
            if x.numel() == 0 {
                ensure!(x.shape()[d] == 0, Runtime, "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied");
            }
            let found = if consecutive && x.numel() > 0 {
                runs(&x, d)?
            } else {
                let front = views::movedim(&x, &[d as i64], &[0])?;
                indexing::unique_rows(&copy::contiguous_array(front.array())?)?
            };
            let values = index_select(&x, d as i64, &places(&found)?)?;
            let n = found.inverse.len();
            (found, values, rustnn_tensor::Shape::from_slice(&[n]))
        }
    };
    let inverse = crate::to_device(&Tensor::from_slice(&found.inverse, &inverse_shape)?, x.device())?;
    Ok([values, inverse, crate::to_device(&list(&found.counts)?, x.device())?])
}

fn unique_output([values, inverse, counts]: [Tensor; 3], with_inverse: bool, with_counts: bool) -> Output {
    if !with_inverse && !with_counts {
        return Output::Tensor(values);
    }
    let mut all = vec![values];
    all.extend(with_inverse.then_some(inverse));
    all.extend(with_counts.then_some(counts));
    Output::Tensors(all)
}

/// A number as a 0-dim tensor of its own dtype.
fn operand_tensor(value: Operand, like: &Tensor) -> Result<Tensor> {
    match value {
        Operand::Tensor(t) => Ok(t.clone()),
        Operand::Scalar(s) => {
            let dtype = match s {
                Scalar::Float(_) if like.dtype().is_integral() => default_dtype(),
                _ => like.dtype(),
            };
            crate::create::full_array(&[], s, dtype, like.device()).map(Tensor::from_array)
        }
    }
}

/// Where values would enter ascending sequences: before equal elements, or behind them (`right`).
pub fn searchsorted(sequence: &Tensor, values: &Tensor, right: bool, sorter: Option<&Tensor>, int32: bool) -> Result<Tensor> {
    ensure!(sequence.rank() > 0, Runtime, "torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 dimension");
    let lead = sequence.rank() - 1;
    ensure!(
        sequence.rank() == 1 || (values.rank() == sequence.rank() && values.shape()[..lead] == sequence.shape()[..lead]),
        Runtime,
        "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value \
         tensor must match, but we got boundaries tensor {:?} and input value tensor {:?}",
        sequence.shape(),
        values.shape()
    );
    let sorter = match sorter {
        None => None,
        Some(sorter) => {
            ensure!(
                sorter.shape() == sequence.shape(),
                Runtime,
                "torch.searchsorted(): boundary and sorter must have the same size, but got boundary tensor {:?}and got sorter tensor {:?}",
                sequence.shape(),
                sorter.shape()
            );
            ensure!(
                sorter.dtype() == DType::I64,
                Runtime,
                "torch.searchsorted(): sorter must be a tensor of long dtype but got dtype {}",
                sorter.dtype().scalar_name()
            );
            match Indices::new(&copy::contiguous_array(sorter.array())?, sequence.array(), sequence.shape()[lead], false)? {
                Ok(indices) => Some(indices),
                Err(_) => bail!(Runtime, "torch.searchsorted(): sorter index out of range"),
            }
        }
    };
    let dtype = sequence.dtype().promote(values.dtype()).unwrap_or(sequence.dtype());
    let prepared = |t: &Tensor| copy::contiguous_array(&copy::cast_array(t.array(), dtype)?);
    let out = Array::empty(values.shape(), DType::I64, values.device())?;
    if out.numel() > 0 {
        indexing::searchsorted(right, &prepared(sequence)?, sorter.as_ref(), &prepared(values)?, &out)?;
    }
    copy::cast_array(&out, if int32 { DType::I32 } else { DType::I64 }).map(Tensor::from_array)
}

fn search(a: &Args) -> Result<Output> {
    let sequence = a.tensor(0)?;
    let values = operand_tensor(a.operand(1)?, sequence)?;
    let right = a.bool(3)?;
    let right = match a.opt_str(4)? {
        None => right,
        Some("right") => true,
        Some("left") if right => {
            bail!(Runtime, "torch.searchsorted(): side and right can't be set to opposites, got side of left while right was True")
        }
        Some("left") => false,
        Some(other) => bail!(Runtime, "torch.searchsorted(): side can only be 'left' or 'right' but got {other}"),
    };
    let run = || searchsorted(sequence, &values, right, a.opt_tensor(5)?, a.bool(2)?);
    into_out("searchsorted", &[], run, a.opt_tensor(6)?)
}

/// How often each integer from 0 on occurs, or the sum of its weights.
pub fn bincount(x: &Tensor, weights: Option<&Tensor>, least: i64) -> Result<Tensor> {
    ensure!(least >= 0, Runtime, "minlength should be >= 0");
    if !x.dtype().is_integral() || x.dtype() == DType::Bool {
        return Err(Error::not_implemented("bincount_cpu", x.dtype()));
    }
    known(x, "bincount")?;
    let wrong = "bincount only supports 1-d non-negative integral inputs.";
    ensure!(x.rank() == 1, Runtime, "{wrong}");
    if let Some(w) = weights {
        ensure!(w.shape() == x.shape(), Runtime, "weights should be 1-d and have the same length as input");
    }
    // On a GPU the extremes alone are read.
    let there = x.device().is_gpu();
    let all = if there { Vec::new() } else { indexing::integers(x.array())? };
    let (low, high) = match there && x.numel() > 0 {
        true => extremes_of(x).map(|(low, high)| (low.to_i64(), high.to_i64()))?,
        false => (all.iter().copied().min().unwrap_or(0), all.iter().copied().max().unwrap_or(-1)),
    };
    ensure!(low >= 0, Runtime, "{wrong}");
    let size = high.saturating_add(1).max(least);
    let dtype = weights.map_or(DType::I64, |w| if w.dtype() == DType::F32 { DType::F32 } else { DType::F64 });
    // The allocator refuses what a vector would abort on.
    let start = Tensor::from_array(Array::zeros(&crate::create::sizes(&[size])?, dtype, x.device())?);
    if there {
        let places = crate::to_dtype(x, DType::I64)?;
        let added = match weights {
            Some(weights) => crate::to_dtype(&weights.detach(), dtype)?,
            None => crate::create::full_like(&places, Scalar::Int(1), dtype)?,
        };
        return index_add(&start, false, 0, &places, &added, Scalar::Int(1));
    }
    let Some(weights) = weights else {
        let mut counts = zeroed(size as usize)?;
        all.iter().for_each(|&i| counts[i as usize] += 1);
        return crate::to_device(&list(&counts)?, x.device());
    };
    let added = crate::to_dtype(&weights.detach(), dtype)?;
    index_add(&start, false, 0, &list(&all)?, &added, Scalar::Int(1))
}

/// The least and the greatest element.
fn extremes_of(x: &Tensor) -> Result<(Scalar, Scalar)> {
    use crate::device::arrays::{Finish, Fold};
    let all: Vec<usize> = (0..x.rank()).collect();
    let found = [Fold::Min, Fold::Max].map(|kind| crate::reduce::fold(kind, x.array(), &all, false, Finish::Plain, x.dtype()));
    let [low, high] = found;
    Ok((crate::read::scalar(&low?)?, crate::read::scalar(&high?)?))
}

/// Counters, as many as a value or an argument says.
fn zeroed(len: usize) -> Result<Vec<i64>> {
    let mut counts = Vec::new();
    counts.try_reserve_exact(len).map_err(|_| rustnn_tensor::Error::OutOfMemory { bytes: len.saturating_mul(8) })?;
    counts.resize(len, 0);
    Ok(counts)
}

/// Counts of elements in equal bins between two numbers (of the data, where both are equal), the last bin closed.
pub fn histc(x: &Tensor, bins: i64, min: f64, max: f64) -> Result<Tensor> {
    ensure!(bins > 0, Runtime, "torch.histogram(): bins must be > 0, but got {bins} for dimension 0");
    if !x.dtype().is_float() {
        return Err(Error::not_implemented("histogram_cpu", x.dtype()));
    }
    let out = Array::zeros(&crate::create::sizes(&[bins])?, x.dtype(), x.device())?;
    if x.array().is_meta() {
        return Ok(Tensor::from_array(out));
    }
    let there = x.device().is_gpu();
    let all: Vec<f64> = if there { Vec::new() } else { crate::read::elements(x.array())?.into_iter().map(Scalar::to_f64).collect() };
    let (mut low, mut high) = (min, max);
    if there && low == high && x.numel() > 0 {
        let (least, most) = extremes_of(x)?;
        (low, high) = (least.to_f64(), most.to_f64());
    } else if low == high && !all.is_empty() {
        let nan = all.iter().any(|v| v.is_nan());
        low = if nan { f64::NAN } else { all.iter().copied().fold(f64::INFINITY, f64::min) };
        high = if nan { f64::NAN } else { all.iter().copied().fold(f64::NEG_INFINITY, f64::max) };
    }
    if low == high {
        (low, high) = (low - 1.0, high + 1.0);
    }
    let text = |v: f64| if v.is_nan() { "nan".into() } else { format!("{v}") };
    ensure!(low.is_finite() && high.is_finite(), Runtime, "torch.histc: range of [{}, {}] is not finite", text(low), text(high));
    ensure!(low < high, Runtime, "torch.histc: max must be larger than min");
    if there {
        return histogram_on_device(x, bins, low, high);
    }
    let mut counts = zeroed(bins as usize)?;
    for v in all.into_iter().filter(|v| *v >= low && *v <= high) {
        let place = if x.dtype() == DType::F64 {
            (v - low) * bins as f64 / (high - low)
        } else {
            // In the precision of the elements, as PyTorch does: the same element falls into the same bin.
            ((v as f32 - low as f32) * bins as f32 / (high as f32 - low as f32)) as f64
        };
        counts[(place as i64).clamp(0, bins - 1) as usize] += 1;
    }
    copy::copy_array(&Array::from_slice(&counts, &[counts.len()])?, &out)?;
    Ok(Tensor::from_array(out))
}

/// [`histc`] between given bounds where `x` lies on a GPU: nothing is read.
fn histogram_on_device(x: &Tensor, bins: i64, low: f64, high: f64) -> Result<Tensor> {
    let call = crate::row::call;
    let x = views::reshape(&x.detach(), &[-1])?;
    let past = call(&rows::SUB, &[(&x).into(), low.into()], &[Scalar::Int(1)])?;
    let place = call(&rows::MUL, &[(&past).into(), Scalar::Int(bins).into()], &[])?;
    let place = crate::to_dtype(&call(&rows::DIV, &[(&place).into(), (high - low).into()], &[])?, DType::I64)?;
    let place = call(&rows::CLAMP, &[(&place).into()], &[Scalar::Int(0), Scalar::Int(bins - 1)])?;
    let (above, below) = (call(&rows::GE, &[(&x).into(), low.into()], &[])?, call(&rows::LE, &[(&x).into(), high.into()], &[])?);
    let inside = crate::to_dtype(&call(&rows::LOGICAL_AND, &[(&above).into(), (&below).into()], &[])?, DType::I64)?;
    let counts = Tensor::from_array(Array::zeros(&crate::create::sizes(&[bins])?, DType::I64, x.device())?);
    crate::to_dtype(&crate::index::scatter_add(&counts, false, 0, &place, &inside)?, x.dtype())
}

fn pair(name: &'static str, x: &Tensor, (values, indices): (Tensor, Tensor), out: Option<&[Tensor]>) -> Result<Output> {
    named(name, VALUES, &[x], vec![values, indices], out)
}

crate::ops! {
    "sort(Tensor self, int dim=-1, bool descending=False, bool? stable=False, *, Tensor[]? out=None)" Both "Sorted along a dimension (always stably), and the places the elements came from." =>
        |a| pair("sort", a.tensor(0)?, sort(a.tensor(0)?, a.int(1)?, a.bool(2)?)?, outputs(a, 4)?)?;
    "argsort(Tensor self, int dim=-1, bool descending=False, bool? stable=False)" Both "The places that sort a dimension (always stably)." =>
        |a| argsort(a.tensor(0)?, a.int(1)?, a.bool(2)?)?;
    "msort(Tensor self, *, Tensor? out=None)" Both "Sorted along the first dimension." =>
        |a| into_out("msort", &[a.tensor(0)?], || Ok(sort(a.tensor(0)?, 0, false)?.0), a.opt_tensor(1)?)?;
    "topk(Tensor self, int k, int dim=-1, bool largest=True, bool sorted=True, *, Tensor[]? out=None)" Both "The k greatest or least of a dimension, in order, and their places." =>
        |a| pair("topk", a.tensor(0)?, topk(a.tensor(0)?, a.int(1)?, a.int(2)?, a.bool(3)?)?, outputs(a, 5)?)?;
    "unique(Tensor self, bool sorted=True, bool return_inverse=False, bool return_counts=False, int? dim=None)" Both "Distinct elements in ascending order." =>
        |a| unique_output(unique(a.tensor(0)?, a.opt_int(4)?, false)?, a.bool(2)?, a.bool(3)?);
    "unique_consecutive(Tensor self, bool return_inverse=False, bool return_counts=False, int? dim=None)" Both "The first of each run of equal neighbours." =>
        |a| unique_output(unique(a.tensor(0)?, a.opt_int(3)?, true)?, a.bool(1)?, a.bool(2)?);
    "searchsorted(Tensor sorted_sequence, Operand self, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None, Tensor? out=None)"
        Function "Where values would enter ascending sequences." => |a| search(a)?;
    "bucketize(Operand self, Tensor boundaries, *, bool out_int32=False, bool right=False, Tensor? out=None)" Function "Which interval between boundaries a value lies in." => |a| {
        let boundaries = a.tensor(1)?;
        ensure!(boundaries.rank() == 1, Runtime, "boundaries tensor must be 1 dimension, but got dim({})", boundaries.rank());
        let values = operand_tensor(a.operand(0)?, boundaries)?;
        into_out("bucketize", &[], || searchsorted(boundaries, &values, a.bool(3)?, None, a.bool(2)?), a.opt_tensor(4)?)?
    };
    "bincount(Tensor self, Tensor? weights=None, int minlength=0)" Both "How often each integer occurs." =>
        |a| bincount(a.tensor(0)?, a.opt_tensor(1)?, a.int(2)?)?;
    "histc(Tensor self, int bins=100, Scalar min=0, Scalar max=0, *, Tensor? out=None)" Both "Counts of elements in equal bins." =>
        |a| into_out("histc", &[a.tensor(0)?], || histc(a.tensor(0)?, a.int(1)?, a.float(2)?, a.float(3)?), a.opt_tensor(4)?)?;
}
