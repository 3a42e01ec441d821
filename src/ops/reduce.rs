//! Reductions over dimensions.

use crate::copy;
use crate::device::arrays::{self, Finish, Fold};
use crate::registry::{Args, Output, into_out};
use crate::row::call;
use crate::rows;
use crate::saved::Saved;
use crate::tape::record;
use crate::tensor::{Tensor, needs_grad};
use rustnn_autograd::{Backward, Context, Grads};
use rustnn_kernels::value::Scalar;
use rustnn_tensor::shape::wrap_dim;
use rustnn_tensor::{Array, DType, Error, Result, Shape, bail, ensure};
use smallvec::{SmallVec, smallvec};
use std::sync::Mutex;

/// Dimensions of a reduction: all of them for None and for an empty list.
pub fn dims(given: Option<&[i64]>, rank: usize) -> Result<SmallVec<[usize; 5]>> {
    let Some(given) = given.filter(|d| !d.is_empty()) else { return Ok((0..rank).collect()) };
    let mut out = SmallVec::new();
    for &d in given {
        let w = wrap_dim(d, rank)?;
        ensure!(!out.contains(&w), Runtime, "dim {w} appears multiple times in the list of dims");
        if rank > 0 {
            out.push(w);
        }
    }
    Ok(out)
}

/// The shape after reducing `dims`.
pub fn reduced(shape: &[usize], dims: &[usize], keep: bool) -> Shape {
    (0..shape.len()).filter(|d| keep || !dims.contains(d)).map(|d| if dims.contains(&d) { 1 } else { shape[d] }).collect()
}

/// Folds `x` over `dims`.
pub fn fold(kind: Fold, x: &Array, dims: &[usize], keep: bool, finish: Finish, dtype: DType) -> Result<Array> {
    let out = Array::empty(&reduced(x.shape(), dims, keep), dtype, x.device())?;
    fold_into(kind, x, dims, finish, &out)?;
    Ok(out)
}

/// Folds `x` over `dims` into `out`; sums of complex numbers part by part.
fn fold_into(kind: Fold, x: &Array, dims: &[usize], finish: Finish, out: &Array) -> Result<()> {
    if x.dtype().is_complex() && matches!(kind, Fold::Sum) {
        let (pairs, to) = (crate::complex::real_array(x)?, crate::complex::real_array(out)?);
        let kept = x.rank() - dims.len();
        if x.is_contiguous() && kept < x.rank() && dims.iter().all(|&d| d >= kept) {
            return fold_pairs(&pairs, x.shape()[..kept].iter().product(), finish, &to);
        }
        return arrays::reduce(kind, &pairs, dims, finish, &to);
    }
    arrays::reduce(kind, x, dims, finish, out)
}

/// The sum of each row of pairs: first of pairs far apart, many beside each other, then of what is left.
fn fold_pairs(x: &Array, rows: usize, finish: Finish, out: &Array) -> Result<()> {
    const WIDE: usize = 32;
    let len = x.numel() / 2 / rows.max(1);
    let geometry = |shape: &[usize], strides: &[isize], at: usize| x.with_geometry(shape.into(), strides.into(), x.offset() + at);
    let out = out.with_geometry(Shape::from_slice(&[rows, 2]), smallvec![2, 1], out.offset());
    let (count, rest) = (len / WIDE, len % WIDE);
    if rows == 0 || count < 4 {
        return arrays::reduce(Fold::Sum, &geometry(&[rows, len, 2], &[2 * len as isize, 2, 1], 0), &[1], finish, &out);
    }
    let step = 2 * len as isize;
    let wide =
        fold(Fold::Sum, &geometry(&[rows, count, 2 * WIDE], &[step, 2 * WIDE as isize, 1], 0), &[1], false, Finish::Plain, x.dtype())?;
    let last = Array::empty(&[rows, WIDE + rest, 2], x.dtype(), x.device())?;
    let pairs = wide.view(&[rows, WIDE, 2]).ok_or_else(Error::size_overflow)?;
    copy::copy_array(&pairs, &crate::views::narrow_array(&last, 1, 0, WIDE))?;
    if rest > 0 {
        let tail = geometry(&[rows, rest, 2], &[step, 2, 1], 2 * WIDE * count);
        copy::copy_array(&tail, &crate::views::narrow_array(&last, 1, WIDE, rest))?;
    }
    arrays::reduce(Fold::Sum, &last, &[1], finish, &out)
}

/// Sums a gradient back to a shape that was broadcast.
pub fn sum_to(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    if x.shape() == shape {
        return Ok(x.clone());
    }
    let lead = x.rank() - shape.len();
    let dims: SmallVec<[usize; 5]> = (0..x.rank()).filter(|&d| d < lead || (shape[d - lead] == 1 && x.shape()[d] != 1)).collect();
    if needs_grad(&[x]) {
        let dims: SmallVec<[i64; 5]> = dims.iter().map(|&d| d as i64).collect();
        let out = if dims.is_empty() { x.clone() } else { sum(x, Some(&dims), true, None)? };
        return crate::views::reshape_to(&out, shape);
    }
    let out = Array::empty(shape, x.dtype(), x.device())?;
    fold_into(Fold::Sum, x.array(), &dims, Finish::Plain, &out)?;
    Ok(Tensor::from_array(out))
}

/// Whether an element is zero.
pub fn any_zero(x: &Array) -> Result<bool> {
    if x.dtype().is_complex() {
        let some = call(&rows::NE, &[(&Tensor::from_array(x.clone())).into(), Scalar::Int(0).into()], &[])?;
        return any_zero(some.array());
    }
    let out = fold(Fold::All, x, &(0..x.rank()).collect::<Vec<_>>(), false, Finish::Plain, x.dtype())?;
    Ok(crate::read::scalar(&out)?.to_f64() == 0.0)
}

/// An error where an element of `bad` (bool) is true: now, or on a GPU, which nobody waits for here, where what comes next is read.
pub(crate) fn refuse_where(bad: &Array, error: fn(String) -> Error, text: &str) -> Result<()> {
    if bad.is_meta() || bad.numel() == 0 {
        return Ok(());
    }
    #[cfg(feature = "gpu")]
    if bad.device().is_gpu() && rustnn_gpu::refuse_where(bad, error, text)? {
        return Ok(());
    }
    let found = fold(Fold::Any, bad, &(0..bad.rank()).collect::<Vec<_>>(), false, Finish::Plain, DType::Bool)?;
    if crate::read::scalar(&found)?.to_bool() { Err(error(text.to_owned())) } else { Ok(()) }
}

/// The same where an element lies outside of `low ..= high`, or is NaN.
pub(crate) fn refuse_outside(x: &Array, low: f64, high: f64, error: fn(String) -> Error, text: &str) -> Result<()> {
    if x.is_meta() || x.numel() == 0 {
        return Ok(());
    }
    #[cfg(feature = "gpu")]
    if x.device().is_gpu() && rustnn_gpu::refuse_outside(x, low, high, error, text)? {
        return Ok(());
    }
    let all: Vec<usize> = (0..x.rank()).collect();
    let extreme = |of: Fold| -> Result<f64> { Ok(crate::read::scalar(&fold(of, x, &all, false, Finish::Plain, x.dtype())?)?.to_f64()) };
    let (least, most) = (extreme(Fold::Min)?, extreme(Fold::Max)?);
    // NaN fails the test too.
    if least >= low && most <= high { Ok(()) } else { Err(error(text.to_owned())) }
}

/// Whether an element is NaN.
pub fn has_nan(x: &Array) -> Result<bool> {
    let nan = call(&crate::rows::ISNAN, &[(&Tensor::from_array(x.clone())).into()], &[])?;
    let out = fold(Fold::Any, nan.array(), &(0..x.rank()).collect::<Vec<_>>(), false, Finish::Plain, DType::Bool)?;
    Ok(crate::read::scalar(&out)?.to_bool())
}

/// What a sum of integers is counted in.
fn sum_dtype(x: DType, asked: Option<DType>) -> DType {
    asked.unwrap_or(if x.is_integral() { DType::I64 } else { x })
}

/// The gradient of a sum: `dy · factor`, seen from every element.
struct SumBackward {
    name: &'static str,
    shape: Shape,
    dims: SmallVec<[usize; 5]>,
    keep: bool,
    factor: f64,
    dtype: DType,
}

impl Backward<Tensor> for SumBackward {
    fn name(&self) -> String {
        self.name.into()
    }

    fn backward(&self, grads: Grads<Tensor>, _: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(grad) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        let grad = spread(&grad, &self.shape, &self.dims, self.keep)?;
        let grad = if self.factor == 1.0 { grad } else { crate::mul_scalar(&grad, self.factor)? };
        Ok(smallvec![Some(crate::to_dtype(&grad, self.dtype)?)])
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// A reduced tensor seen again in the shape before the reduction, without copying.
pub fn spread(x: &Tensor, shape: &[usize], dims: &[usize], keep: bool) -> Result<Tensor> {
    let x = if keep { x.clone() } else { crate::views::reshape_to(x, &reduced(shape, dims, true))? };
    crate::views::expand_to(&x, shape)
}

pub fn sum(x: &Tensor, over: Option<&[i64]>, keep: bool, dtype: Option<DType>) -> Result<Tensor> {
    let over = dims(over, x.rank())?;
    sum_scaled(x, over, keep, sum_dtype(x.dtype(), dtype), false, if keep || x.rank() == 0 { "SumBackward1" } else { "SumBackward0" })
}

pub fn mean(x: &Tensor, over: Option<&[i64]>, keep: bool, dtype: Option<DType>) -> Result<Tensor> {
    let dtype = dtype.unwrap_or(x.dtype());
    if !dtype.is_float() && !dtype.is_complex() {
        bail!(
            Runtime,
            "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: {}",
            x.dtype().scalar_name()
        );
    }
    let name = if over.is_none_or(<[i64]>::is_empty) { "MeanBackward0" } else { "MeanBackward1" };
    let over = dims(over, x.rank())?;
    sum_scaled(x, over, keep, dtype, true, name)
}

fn sum_scaled(x: &Tensor, over: SmallVec<[usize; 5]>, keep: bool, dtype: DType, mean: bool, name: &'static str) -> Result<Tensor> {
    let counted = dtype == DType::I64 && x.dtype().is_integral() && crate::unsigned::twin(x.dtype()).is_none();
    let from = if x.dtype() == dtype || counted { x.array().clone() } else { copy::cast_array(x.array(), dtype)? };
    let n: usize = over.iter().map(|&d| x.shape()[d]).product();
    let finish = if mean { Finish::Over(n as f64) } else { Finish::Plain };
    let out = fold(Fold::Sum, &from, &over, keep, finish, dtype)?;
    if !needs_grad(&[x]) || !dtype.is_differentiable() {
        return Ok(Tensor::from_array(out));
    }
    let factor = if mean { 1.0 / n as f64 } else { 1.0 };
    Ok(record(out, &[x], SumBackward { name, shape: x.shape_owned(), dims: over, keep, factor, dtype: x.dtype() }))
}

/// The gradient of an extreme over dimensions: shared equally by all elements that attain it.
struct ExtremeBackward {
    saved: Mutex<(Saved, Saved)>,
    name: &'static str,
    dims: SmallVec<[usize; 5]>,
    keep: bool,
}

impl Backward<Tensor> for ExtremeBackward {
    fn name(&self) -> String {
        self.name.into()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(grad) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        let (x, y) = {
            let saved = self.saved.lock().unwrap_or_else(|e| e.into_inner());
            (saved.0.unpack(context)?, saved.1.unpack(context)?)
        };
        let y = spread(&y, x.shape(), &self.dims, self.keep)?;
        let nan = |t: &Tensor| call(&rows::ISNAN, &[t.into()], &[]);
        let hit = call(&rows::EQ, &[(&x).into(), (&y.detach()).into()], &[])?;
        let hit = call(
            &rows::LOGICAL_OR,
            &[(&hit).into(), (&call(&rows::LOGICAL_AND, &[(&nan(&x)?).into(), (&nan(&y)?).into()], &[])?).into()],
            &[],
        )?;
        let dims: SmallVec<[i64; 5]> = self.dims.iter().map(|&d| d as i64).collect();
        let hit = crate::to_dtype(&hit, grad.dtype())?;
        let count = sum(&hit, Some(&dims), true, None)?;
        let share = call(&rows::DIV, &[(&hit).into(), (&count).into()], &[])?;
        Ok(smallvec![Some(crate::mul(&spread(&grad, x.shape(), &self.dims, self.keep)?, &share)?)])
    }

    fn release(&self) {
        let saved = std::mem::replace(&mut *self.saved.lock().unwrap_or_else(|e| e.into_inner()), (Saved::Nothing, Saved::Nothing));
        drop(saved);
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The greatest or least over dimensions.
pub fn extreme(x: &Tensor, kind: Fold, over: Option<&[i64]>, keep: bool, name: &'static str, op: &str) -> Result<Tensor> {
    let given_all = over.is_none_or(<[i64]>::is_empty);
    let over = dims(over, x.rank())?;
    for &d in &over {
        if x.shape()[d] == 0 {
            if given_all {
                bail!(
                    Runtime,
                    "{op}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument."
                );
            }
            bail!(Index, "{op}(): Expected reduction dim {d} to have non-zero size.");
        }
    }
    let out = fold(kind, x.array(), &over, keep, Finish::Plain, x.dtype())?;
    if !needs_grad(&[x]) || !x.dtype().is_differentiable() {
        return Ok(Tensor::from_array(out));
    }
    let tensor = Tensor::from_array(out);
    let saved = Mutex::new((Saved::input(x)?, Saved::output(&tensor, 0)?));
    Ok(record(tensor.array().clone(), &[x], ExtremeBackward { saved, name, dims: over, keep }))
}

/// Whether any, or all, are not zero.
fn truth(x: &Tensor, kind: Fold, over: Option<&[i64]>, keep: bool) -> Result<Tensor> {
    // PyTorch keeps uint8 for uint8.
    let dtype = if x.dtype() == DType::U8 { DType::U8 } else { DType::Bool };
    if x.dtype().is_complex() {
        return truth(&call(&rows::NE, &[(&x.detach()).into(), Scalar::Int(0).into()], &[])?, kind, over, keep);
    }
    if over.is_some_and(<[i64]>::is_empty) {
        // Of these two alone, no dimensions means none rather than all.
        let holds = call(&rows::NE, &[(&x.detach()).into(), Scalar::Int(0).into()], &[])?;
        return copy::cast_array(holds.array(), dtype).map(Tensor::from_array);
    }
    let over = dims(over, x.rank())?;
    let x = crate::unsigned::as_twin(x.array())?;
    let folded = fold(kind, &x, &over, keep, Finish::Plain, x.dtype())?;
    copy::cast_array(&folded, dtype).map(Tensor::from_array)
}

/// Whether a mask holds anywhere along a dimension, which stays with size 1.
pub(crate) fn any_along(mask: &Tensor, dim: usize) -> Result<Tensor> {
    truth(mask, Fold::Any, Some(&[dim as i64]), true)
}

fn truth_into(name: &str, a: &Args, fold: Fold) -> Result<Output> {
    let (x, out) = (a.tensor(0)?, a.opt_tensor(3)?);
    if let Some(out) = out {
        let holds = matches!(out.dtype(), DType::Bool | DType::U8);
        ensure!(holds, Runtime, "{name} only supports bool tensor for result, got: {}", out.dtype().scalar_name());
    }
    into_out(name, &[x], || truth(x, fold, a.opt_ints(1)?, a.bool(2)?), out)
}

crate::ops! {
    "_refuse_where(Tensor bad, str text, bool runtime=False)" Function "A ValueError (or RuntimeError) where an element is true; on a GPU where what comes next is read." => |a| {
        refuse_where(a.tensor(0)?.array(), if a.bool(2)? { Error::Runtime } else { Error::Value }, a.str(1)?)?;
        a.tensor(0)?.clone()
    };
    "sum(Tensor self, *, ScalarType? dtype=None)" Both "Sum of all elements; integers are counted in int64." => |a| sum(a.tensor(0)?, None, false, a.opt_dtype(1)?)?;
    "sum(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None, Tensor? out=None)" Both "Sum over dimensions." =>
        |a| into_out("sum", &[a.tensor(0)?], || sum(a.tensor(0)?, a.opt_ints(1)?, a.bool(2)?, a.opt_dtype(3)?), a.opt_tensor(4)?)?;
    "mean(Tensor self, *, ScalarType? dtype=None)" Both "Mean of all elements." => |a| mean(a.tensor(0)?, None, false, a.opt_dtype(1)?)?;
    "mean(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None, Tensor? out=None)" Both "Mean over dimensions." =>
        |a| into_out("mean", &[a.tensor(0)?], || mean(a.tensor(0)?, a.opt_ints(1)?, a.bool(2)?, a.opt_dtype(3)?), a.opt_tensor(4)?)?;
    "amax(Tensor self, int[1]? dim=[], bool keepdim=False, *, Tensor? out=None)" Both "Greatest over dimensions; equal ones share the gradient." =>
        |a| into_out("amax", &[a.tensor(0)?], || extreme(a.tensor(0)?, Fold::Max, a.opt_ints(1)?, a.bool(2)?, "AmaxBackward0", "amax"), a.opt_tensor(3)?)?;
    "amin(Tensor self, int[1]? dim=[], bool keepdim=False, *, Tensor? out=None)" Both "Least over dimensions; equal ones share the gradient." =>
        |a| into_out("amin", &[a.tensor(0)?], || extreme(a.tensor(0)?, Fold::Min, a.opt_ints(1)?, a.bool(2)?, "AminBackward0", "amin"), a.opt_tensor(3)?)?;
    "max(Tensor self)" Both "Greatest of all elements." => |a| extreme(a.tensor(0)?, Fold::Max, None, false, "MaxBackward1", "max")?;
    "min(Tensor self)" Both "Least of all elements." => |a| extreme(a.tensor(0)?, Fold::Min, None, false, "MinBackward1", "min")?;
    "any(Tensor self, int[1]? dim=None, bool keepdim=False, *, Tensor? out=None)" Both "Whether any element, of all or along dimensions, is not zero." =>
        |a| truth_into("any", a, Fold::Any)?;
    "all(Tensor self, int[1]? dim=None, bool keepdim=False, *, Tensor? out=None)" Both "Whether all elements, of all or along dimensions, are not zero." =>
        |a| truth_into("all", a, Fold::All)?;
}
