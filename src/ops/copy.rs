//! Copies, casts and fills.

use crate::device::arrays;
use crate::mode;
use crate::registry::Output;
use crate::row::Scalar;
use crate::tape::record;
use crate::tensor::{Tensor, needs_grad};
use rustnn_autograd::{Backward, Context, Grads, Node};
use rustnn_tensor::{Array, DType, Device, Overlap, Result, Shape, bail, ensure, shape};
use smallvec::{SmallVec, smallvec};

/// A fresh array with the same elements, without gaps, in the same order of dimensions.
pub fn clone_array(array: &Array) -> Result<Array> {
    let out = like(array, array.dtype())?;
    arrays::copy(array, &out)?;
    Ok(out)
}

/// A fresh array laid out as a clone of `array`.
pub fn like(array: &Array, dtype: DType) -> Result<Array> {
    empty_like(array, dtype, array.device())
}

fn empty_like(array: &Array, dtype: DType, device: Device) -> Result<Array> {
    let out = Array::empty(array.shape(), dtype, device)?;
    Ok(match crate::row::strides_like(array) {
        Some(strides) => out.with_geometry(array.shape().into(), strides, 0),
        None => out,
    })
}

/// `out`, a fresh array without gaps whose elements are in no order yet, in a memory format.
pub fn formatted(out: Array, format: Option<&str>) -> Result<Array> {
    let rank = match format {
        None | Some("preserve_format") => return Ok(out),
        Some("channels_last") => 4,
        Some("channels_last_3d") => 5,
        _ => out.rank(),
    };
    let shape = out.shape();
    ensure!(shape.len() == rank, Runtime, "required rank {rank} tensor to use {} format", format.unwrap_or_default());
    let mut strides = shape::contiguous_strides(shape);
    if format != Some("contiguous_format") {
        let there: Shape = std::iter::once(0).chain(2..rank).chain([1]).map(|d| shape[d]).collect();
        let last = shape::contiguous_strides(&there);
        strides = [0, rank - 1].into_iter().chain(1..rank - 1).map(|d| last[d]).collect();
    }
    Ok(out.with_geometry(shape.into(), strides, 0))
}

/// A fresh array with the same elements, in the order of dimensions of `model` where that one is dense, else row-major.
pub fn clone_laid_out_as(array: &Array, model: &Array) -> Result<Array> {
    let out =
        if crate::row::is_dense(model) { like(model, array.dtype())? } else { Array::empty(array.shape(), array.dtype(), array.device())? };
    arrays::copy(array, &out)?;
    Ok(out)
}

/// A copy on another device; the array itself where it is there.
pub fn array_on(array: &Array, device: Device) -> Result<Array> {
    if array.device() == device {
        return Ok(array.clone());
    }
    crate::device::register();
    let out = empty_like(array, array.dtype(), device)?;
    arrays::copy(array, &out)?;
    Ok(out)
}

/// Whether the channels (dimension 1) of images or volumes lie innermost, as PyTorch reads it from the strides: results of
/// convolutions, pools and norms keep that. Where sizes of 1 leave it open, they do not.
pub fn is_channels_last(array: &Array) -> bool {
    let (shape, strides, rank) = (array.shape(), array.strides(), array.rank());
    if !(rank == 4 || rank == 5) || strides[1] == 0 {
        return false;
    }
    let mut least = 0;
    for d in std::iter::once(1).chain((2..rank).rev()).chain([0]) {
        if shape[d] == 0 || strides[d] < least || (d == 0 && least == strides[1]) {
            return false;
        }
        least = strides[d] * shape[d].max(1) as isize;
    }
    true
}

/// `out`, a fresh row-major array, laid out with its channels innermost if `wanted`.
pub fn in_channels_last(out: Array, wanted: bool) -> Result<Array> {
    if !wanted {
        return Ok(out);
    }
    let shape = out.shape();
    let there: Shape = std::iter::once(0).chain(2..shape.len()).chain([1]).map(|d| shape[d]).collect();
    let last = Array::empty(&there, out.dtype(), out.device())?;
    let back: SmallVec<[usize; 5]> = [0, shape.len() - 1].into_iter().chain(1..shape.len() - 1).collect();
    let last = crate::views::permute_array(&last, &back);
    arrays::copy(&out, &last)?;
    Ok(last)
}

/// `out`, a fresh row-major array, in the order of dimensions of `model`, an array of its shape.
pub fn in_order_of(out: Array, model: &Array) -> Result<Array> {
    if crate::row::strides_like(model).is_none() {
        return Ok(out);
    }
    let ordered = like(model, out.dtype())?;
    arrays::copy(&out, &ordered)?;
    Ok(ordered)
}

pub fn contiguous_array(array: &Array) -> Result<Array> {
    if array.is_contiguous() {
        return Ok(array.clone());
    }
    let out = Array::empty(array.shape(), array.dtype(), array.device())?;
    arrays::copy(array, &out)?;
    Ok(out)
}

pub fn cast_array(array: &Array, dtype: DType) -> Result<Array> {
    if array.dtype() == dtype {
        return Ok(array.clone());
    }
    let out = like(array, dtype)?;
    arrays::copy(array, &out)?;
    Ok(out)
}

/// Copies with broadcasting and conversion.
pub fn copy_array(from: &Array, to: &Array) -> Result<()> {
    if from.overlap(to) == Overlap::Partial {
        return arrays::copy(&clone_array(from)?, to);
    }
    arrays::copy(from, to)
}

pub fn fill_array(array: &Array, value: Scalar) -> Result<()> {
    arrays::fill(array, value)
}

/// Adds `from` to `to`, several of whose indices may reach one element: slice by slice until they do not.
pub fn add_overlapping(from: &Array, to: &Array) -> Result<()> {
    let dims = || (0..to.rank()).filter(|&d| to.shape()[d] > 1);
    let mut order: Vec<usize> = dims().collect();
    order.sort_by_key(|&d| to.strides()[d].unsigned_abs());
    let mut reach = 0;
    for &d in &order {
        let stride = to.strides()[d].unsigned_abs();
        if stride <= reach {
            for i in 0..to.shape()[d] {
                add_overlapping(&crate::views::select_array(from, d, i), &crate::views::select_array(to, d, i))?;
            }
            return Ok(());
        }
        reach += stride * (to.shape()[d] - 1);
    }
    let (a, b) = (Tensor::from_array(to.clone()), Tensor::from_array(from.clone()));
    crate::row::run_into(&crate::rows::ADD, &[&a, &b], &[Scalar::Int(1)], to)
}

/// A gradient that passes unchanged, cast back to the input's dtype and device.
struct CopyBackward {
    name: &'static str,
    dtype: DType,
    device: Device,
}

impl Backward<Tensor> for CopyBackward {
    fn name(&self) -> String {
        self.name.into()
    }

    fn backward(&self, grads: Grads<Tensor>, _: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(grad) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        Ok(smallvec![Some(to_device(&to_dtype(&grad, self.dtype)?, self.device)?)])
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn copied(x: &Tensor, array: Array, name: &'static str) -> Tensor {
    if needs_grad(&[x]) && array.dtype().is_differentiable() {
        record(array, &[x], CopyBackward { name, dtype: x.dtype(), device: x.device() })
    } else {
        Tensor::from_array(array)
    }
}

/// A copy with memory of its own.
pub fn clone(x: &Tensor) -> Result<Tensor> {
    Ok(copied(x, clone_array(x.array())?, "CloneBackward0"))
}

/// `x` itself if it is row-major without gaps, else a copy that is.
pub fn contiguous(x: &Tensor) -> Result<Tensor> {
    if x.is_contiguous() {
        return Ok(x.clone());
    }
    Ok(copied(x, contiguous_array(x.array())?, "CloneBackward0"))
}

/// `x` dense in a memory format: `channels_last` keeps the channels (dimension 1) innermost.
pub fn in_format(x: &Tensor, format: Option<&str>) -> Result<Tensor> {
    let rank = match format {
        Some("channels_last") => 4,
        Some("channels_last_3d") => 5,
        Some("preserve_format") => return Ok(x.clone()),
        _ => return contiguous(x),
    };
    if x.rank() != rank {
        bail!(Runtime, "required rank {rank} tensor to use {} format", format.unwrap_or_default());
    }
    let there: SmallVec<[usize; 5]> = std::iter::once(0).chain(2..rank).chain([1]).collect();
    let last = crate::views::permute_array(x.array(), &there);
    if last.is_contiguous() {
        return Ok(x.clone());
    }
    let dense = contiguous_array(&last)?;
    let back: SmallVec<[usize; 5]> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    Ok(copied(x, crate::views::permute_array(&dense, &back), "CloneBackward0"))
}

/// `x` in another dtype; `x` itself where it has it already.
pub fn to_dtype(x: &Tensor, dtype: DType) -> Result<Tensor> {
    if x.dtype() == dtype {
        return Ok(x.clone());
    }
    Ok(copied(x, cast_array(x.array(), dtype)?, "ToCopyBackward0"))
}

/// `x` on another device; `x` itself where it is there already.
pub fn to_device(x: &Tensor, device: Device) -> Result<Tensor> {
    match (x.device(), device) {
        (a, b) if a == b => Ok(x.clone()),
        (_, Device::Meta) => {
            let out = Array::empty(x.shape(), x.dtype(), Device::Meta)?.with_geometry(x.shape().into(), x.strides().into(), 0);
            Ok(copied(x, out, "ToCopyBackward0"))
        }
        (Device::Meta, _) => bail!(NotImplemented, "Cannot copy out of meta tensor; no data!"),
        _ => Ok(copied(x, array_on(x.array(), device)?, "ToCopyBackward0")),
    }
}

/// `target[...] = source`, broadcasting and converting.
pub fn copy_(target: &Tensor, source: &Tensor) -> Result<()> {
    if shape::broadcast(target.shape(), source.shape()).ok().as_deref() != Some(target.shape()) {
        // PyTorch words this one from the target's side.
        for i in 0..source.rank().min(target.rank()) {
            let (a, b) = (target.shape()[target.rank() - 1 - i], source.shape()[source.rank() - 1 - i]);
            if a != b && b != 1 {
                bail!(
                    Runtime,
                    "The expanded size of the tensor ({a}) must match the existing size ({b}) at non-singleton dimension {}.  Target sizes: {:?}.  Tensor sizes: {:?}",
                    target.rank() - 1 - i,
                    target.shape(),
                    source.shape()
                );
            }
        }
        bail!(
            Runtime,
            "output with shape {:?} doesn't match the broadcast shape {:?}",
            target.shape(),
            shape::broadcast(target.shape(), source.shape())?
        );
    }
    target.check_writable()?;
    if source.array().is_meta() && !target.array().is_meta() {
        bail!(NotImplemented, "Cannot copy out of meta tensor; no data!");
    }
    let record = needs_grad(&[target, source]) && target.dtype().is_differentiable();
    let edges = if record { crate::tape::edges(&[target, source]) } else { Default::default() };
    copy_array(source.array(), target.array())?;
    target.bump_version();
    if record {
        let payload = CopyInto { shape: source.shape_owned(), dtype: source.dtype(), device: source.device() };
        crate::tape::rebase(target, Node::new(edges, payload));
    }
    Ok(())
}

struct CopyInto {
    shape: Shape,
    dtype: DType,
    device: Device,
}

impl Backward<Tensor> for CopyInto {
    fn name(&self) -> String {
        "CopyBackwards".into()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(grad) = grads.into_iter().next().flatten() else { return Ok(smallvec![None, None]) };
        let mut out: Grads<Tensor> = smallvec![None, None];
        if context.wants(0) && context.node.edges[0].is_some() {
            // Nothing of the old value is left.
            out[0] = Some(crate::create::zeros_like(&grad)?);
        }
        if context.wants(1) && context.node.edges[1].is_some() {
            let summed = crate::reduce::sum_to(&grad, &self.shape)?;
            out[1] = Some(to_device(&to_dtype(&summed, self.dtype)?, self.device)?);
        }
        Ok(out)
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The gradient of a tensor overwritten by a constant.
struct FillBackward(&'static str);

impl Backward<Tensor> for FillBackward {
    fn name(&self) -> String {
        self.0.into()
    }

    fn backward(&self, grads: Grads<Tensor>, _: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(grad) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        Ok(smallvec![Some(crate::create::zeros_like(&grad)?)])
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Overwrites `target` by what `write` puts into its memory: `fill_`, `zero_`, `normal_`, …
pub fn overwrite(target: &Tensor, name: &'static str, write: impl FnOnce(&Array) -> Result<()>) -> Result<()> {
    overwrite_as(target, target.array(), name, write)
}

fn overwrite_as(target: &Tensor, array: &Array, name: &'static str, write: impl FnOnce(&Array) -> Result<()>) -> Result<()> {
    target.check_writable_as(array)?;
    let record = mode::grad_enabled() && target.requires_grad();
    let edges = if record { crate::tape::edges(&[target]) } else { Default::default() };
    write(array)?;
    target.bump_version();
    if record {
        crate::tape::rebase(target, Node::new(edges, FillBackward(name)));
    }
    Ok(())
}

/// The array without the repetitions of expanded dimensions.
fn each_once(array: &Array) -> Array {
    let mut once = array.clone();
    for d in 0..array.rank() {
        if array.strides()[d] == 0 && array.shape()[d] > 1 {
            once = crate::views::narrow_array(&once, d, 0, 1);
        }
    }
    once
}

/// Refuses a complex number for what is none.
pub(crate) fn check_real(value: &Tensor, to: DType) -> Result<()> {
    if value.dtype().is_complex() && !to.is_complex() {
        bail!(Runtime, "value cannot be converted to type {} without overflow", crate::names::number_type(to));
    }
    Ok(())
}

/// Whether a number lies in a dtype's range. Negative whole numbers wrap round in unsigned dtypes, as in PyTorch; halves and complex
/// dtypes take infinity for what is too large.
fn can_hold(dtype: DType, value: Scalar) -> bool {
    let (low, high) = match dtype {
        DType::I8 => (i8::MIN as i128, i8::MAX as i128),
        DType::I16 => (i16::MIN as i128, i16::MAX as i128),
        DType::I32 => (i32::MIN as i128, i32::MAX as i128),
        DType::I64 => (i64::MIN as i128, i64::MAX as i128),
        DType::U8 => (0, u8::MAX as i128),
        DType::U16 => (0, u16::MAX as i128),
        DType::U32 => (0, u32::MAX as i128),
        DType::U64 => (0, u64::MAX as i128),
        DType::F32 => return !matches!(value, Scalar::Float(f) if f.is_finite() && f.abs() > f32::MAX as f64),
        _ => return true,
    };
    match value {
        Scalar::Bool(_) => true,
        Scalar::Int(i) if low == 0 => i.unsigned_abs() as i128 <= high,
        Scalar::Int(i) => (low..=high).contains(&(i as i128)),
        Scalar::Float(f) => f >= low as f64 && f <= high as f64,
    }
}

pub fn fill_(target: &Tensor, value: Scalar) -> Result<()> {
    if !can_hold(target.dtype(), value) {
        bail!(Runtime, "value cannot be converted to type {} without overflow", crate::names::number_type(target.dtype()));
    }
    overwrite_as(target, &each_once(target.array()), "FillBackward0", |array| fill_array(array, value))
}

pub fn zero_(target: &Tensor) -> Result<()> {
    overwrite_as(target, &each_once(target.array()), "ZeroBackward0", |array| fill_array(array, Scalar::Int(0)))
}

crate::ops! {
    "clone(Tensor self, *, MemoryFormat? memory_format=None)" Both "A copy with memory of its own." =>
        |a| match a.opt_str(1)? {
            None | Some("preserve_format") => clone(a.tensor(0)?)?,
            // A copy keeps the order of dimensions of what is dense.
            format => clone(&in_format(a.tensor(0)?, format)?)?,
        };
    "contiguous(Tensor self, *, MemoryFormat? memory_format=None)" Method "The tensor itself if it is dense in the order of the format, else a copy that is." =>
        |a| in_format(a.tensor(0)?, a.opt_str(1)?)?;
    "_in_format(Tensor self, MemoryFormat? memory_format=None)" Method "Dense in the order of the format." => |a| in_format(a.tensor(0)?, a.opt_str(1)?)?;
    "copy_(Tensor self, Tensor src, bool non_blocking=False)" Method "Copies `src` in, broadcasting and converting." =>
        |a| { copy_(a.tensor(0)?, a.tensor(1)?)?; a.tensor(0)?.clone() };
    "copy_(Tensor self, Scalar src, bool non_blocking=False)" Method "Copies a number in." => |a| { fill_(a.tensor(0)?, a.scalar(1)?)?; a.tensor(0)?.clone() };
    "fill_(Tensor self, Operand value)" Both "Writes one value everywhere." => |a| {
        match a.operand(1)? {
            crate::row::Operand::Scalar(s) => fill_(a.tensor(0)?, s)?,
            crate::row::Operand::Tensor(t) if t.rank() == 0 => {
                check_real(t, a.tensor(0)?.dtype())?;
                copy_(a.tensor(0)?, t)?;
                crate::tape::named(a.tensor(0)?.clone(), "FillBackward1");
            }
            crate::row::Operand::Tensor(t) => bail!(Runtime, "fill_ only supports 0-dimension value tensor but got tensor with {} dimensions.", t.rank()),
        }
        a.tensor(0)?.clone()
    };
    "zero_(Tensor self)" Both "Writes zeros." => |a| { zero_(a.tensor(0)?)?; a.tensor(0)?.clone() };
    "detach(Tensor self)" Both "The same memory without history." => |a| a.tensor(0)?.detach();
    "detach_(Tensor self)" Both "Forgets the history." => |a| { a.tensor(0)?.forget_history()?; a.tensor(0)?.clone() };
    "_to(Tensor self, Device? device=None, ScalarType? dtype=None, bool copy=False)" Method "Another device or dtype." => |a| {
        let x = a.tensor(0)?;
        let mut out = x.clone();
        if let Some(dtype) = a.opt_dtype(2)? { out = to_dtype(&out, dtype)?; }
        if let Some(device) = a.opt_device(1)? { out = to_device(&out, device)?; }
        if a.bool(3)? && out.same(x) { clone(&out)? } else { out }
    };
}

/// Used where an op returns its first argument.
pub fn same(x: &Tensor) -> Output {
    Output::Tensor(x.clone())
}
