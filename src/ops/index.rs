//! Reading and writing by indices and masks: `x[i]`, `gather`, `scatter`, `index_*`, `take`, `masked_*`, `nonzero`.

use crate::copy;
use crate::device::indexing::{self, Indices, Mask, Reduce};
use crate::formula::{Formula, as_vector, attach, check_apart, if_wanted, on_contiguous, update, zeros};
use crate::registry::{Args, Output, into_out};
use crate::row::{Operand, Scalar, call};
use crate::rows;
use crate::saved::Saved;
use crate::tensor::Tensor;
use rustnn_tensor::shape::{broadcast, wrap_dim};
use rustnn_tensor::{Array, DType, Error, Result, Shape, bail, ensure};
use smallvec::{SmallVec, smallvec};

// ------------------------------------------------------------------------------------------------------ x[i, j, mask, …]

/// An index by tensors, taken apart.
struct Plan {
    /// Dimensions of `x` that are indexed, ascending.
    dims: SmallVec<[usize; 4]>,
    /// For each of them an integer tensor; masks have become several.
    tensors: SmallVec<[Tensor; 4]>,
    /// The common shape of `tensors`.
    index_shape: Shape,
    /// Where `index_shape` begins in the result.
    at: usize,
    /// Of the result.
    shape: Shape,
}

fn is_mask(t: &Tensor) -> bool {
    matches!(t.dtype(), DType::Bool | DType::U8)
}

fn check_mask(x: &Tensor, mask: &Tensor, dim: usize) -> Result<()> {
    for (j, &size) in mask.shape().iter().enumerate() {
        ensure!(dim + j < x.rank(), Index, "too many indices for tensor of dimension {}", x.rank());
        ensure!(
            size == x.shape()[dim + j],
            Index,
            "The shape of the mask {:?} at index {j} does not match the shape of the indexed tensor {:?} at index {}",
            mask.shape(),
            x.shape(),
            dim + j
        );
    }
    Ok(())
}

fn no_meta(x: &Tensor, op: &str) -> Result<()> {
    ensure!(
        !x.array().is_meta(),
        NotImplemented,
        "{op}: the shape of the result depends on the elements, which a meta tensor does not have"
    );
    Ok(())
}

fn plan(x: &Tensor, indices: &[Option<Tensor>]) -> Result<Plan> {
    let mut dims: SmallVec<[usize; 4]> = SmallVec::new();
    let mut tensors: SmallVec<[Tensor; 4]> = SmallVec::new();
    let mut dim = 0;
    for index in indices {
        match index {
            None => dim += 1,
            Some(mask) if is_mask(mask) => {
                ensure!(mask.rank() > 0, Index, "a mask of 0 dimensions adds a dimension; write x[None][mask.reshape(1)]");
                check_mask(x, mask, dim)?;
                no_meta(mask, "indexing by a mask")?;
                let places = nonzero_array(mask.array())?;
                for j in 0..mask.rank() {
                    tensors.push(Tensor::from_array(crate::views::select_array(&places, 1, j)));
                    dims.push(dim + j);
                }
                dim += mask.rank();
            }
            Some(index) => {
                ensure!(index.dtype().is_integral(), Index, "tensors used as indices must be long, int, byte or bool tensors");
                tensors.push(Tensor::from_array(index.array().clone()));
                dims.push(dim);
                dim += 1;
            }
        }
    }
    ensure!(dim <= x.rank(), Index, "too many indices for tensor of dimension {} (got {dim})", x.rank());
    let mut index_shape = Shape::new();
    for t in &tensors {
        index_shape = broadcast(&index_shape, t.shape()).map_err(|_| {
            let shapes: Vec<String> = tensors.iter().map(|t| format!("{:?}", t.shape())).collect();
            Error::Index(format!("shape mismatch: indexing tensors could not be broadcast together with shapes {}", shapes.join(", ")))
        })?;
    }
    let empty = index_shape.contains(&0);
    ensure!(empty || dims.iter().all(|&d| x.shape()[d] > 0), Index, "index is out of bounds for dimension with size 0");
    // Neighbouring indexed dimensions stay where they are; others go to the front.
    let adjacent = dims.windows(2).all(|d| d[1] == d[0] + 1);
    let at = if adjacent { dims.first().copied().unwrap_or(0) } else { 0 };
    let rest: Shape = (0..x.rank()).filter(|d| !dims.contains(d)).map(|d| x.shape()[d]).collect();
    let mut shape: Shape = rest[..at].into();
    shape.extend_from_slice(&index_shape);
    shape.extend_from_slice(&rest[at..]);
    rustnn_tensor::shape::checked_numel(&shape).ok_or_else(Error::size_overflow)?;
    Ok(Plan { dims, tensors, index_shape, at, shape })
}

impl Plan {
    /// The indices checked against the sizes of `x`.
    fn checked(&self, x: &Tensor) -> Result<SmallVec<[Indices; 4]>> {
        self.dims
            .iter()
            .zip(&self.tensors)
            .map(|(&d, t)| {
                let size = x.shape()[d];
                match Indices::from_anywhere(t.array(), x.array(), size, true)? {
                    Ok(indices) => Ok(indices.expand(&self.index_shape)),
                    Err(i) => bail!(Index, "index {i} is out of bounds for dimension {d} with size {size}"),
                }
            })
            .collect()
    }

    /// Saves the index tensors; [`restore`] makes an index of them again.
    fn save(&self) -> Result<Vec<Saved>> {
        self.tensors.iter().map(Saved::input).collect()
    }
}

fn restore(dims: &[usize], tensors: &[Tensor]) -> Vec<Option<Tensor>> {
    let mut indices = vec![None; dims.last().map_or(0, |d| d + 1)];
    dims.iter().zip(tensors).for_each(|(&d, t)| indices[d] = Some(t.clone()));
    indices
}

/// The mask, if the index is nothing but a mask over all dimensions.
fn whole_mask<'a>(x: &Tensor, indices: &'a [Option<Tensor>]) -> Option<&'a Tensor> {
    match indices {
        [Some(mask)] if is_mask(mask) && mask.rank() == x.rank() && mask.rank() > 0 => Some(mask),
        _ => None,
    }
}

/// `x[indices]`; None takes a whole dimension, masks (bool, uint8) take as many dimensions as they have.
pub fn get(x: &Tensor, indices: &[Option<Tensor>]) -> Result<Tensor> {
    if let Some(mask) = whole_mask(x, indices) {
        check_mask(x, mask, 0)?;
        return select_by_mask(x, mask, "IndexBackward0");
    }
    get_as(x, indices, "IndexBackward0")
}

fn get_as(x: &Tensor, indices: &[Option<Tensor>], name: &'static str) -> Result<Tensor> {
    let plan = plan(x, indices)?;
    if plan.dims.is_empty() {
        return crate::clone(x);
    }
    let out = Array::empty(&plan.shape, x.dtype(), x.device())?;
    indexing::index_get(x.array(), &plan.dims, &plan.checked(x)?, plan.at, &out)?;
    attach(out, &[x], || {
        let (dims, shape, saved) = (plan.dims.clone(), x.shape_owned(), plan.save()?);
        Ok(Formula::new(name, saved, move |dy, saved, _| {
            let base = zeros(dy, &shape)?;
            Ok(smallvec![Some(put_as(&base, false, &restore(&dims, saved), dy, true)?)])
        }))
    })
}

/// `x[indices] = value`, or `+=` if `accumulate`; `value` broadcasts.
pub fn put(x: &Tensor, indices: &[Option<Tensor>], value: &Tensor, accumulate: bool) -> Result<()> {
    put_as(x, true, indices, value, accumulate).map(drop)
}

fn put_as(x: &Tensor, in_place: bool, indices: &[Option<Tensor>], value: &Tensor, accumulate: bool) -> Result<Tensor> {
    let same_dtype = value.dtype() == x.dtype();
    // One number under a mask needs no list of places.
    if let ([Some(mask)], true, false, 1, false) = (indices, same_dtype, accumulate, value.numel(), value.requires_grad())
        && is_mask(mask)
        && mask.rank() > 0
        && !value.array().is_meta()
        && !x.array().is_meta()
    {
        check_mask(x, mask, 0)?;
        let mut shape = mask.shape_owned();
        shape.resize(x.rank(), 1);
        let mask = crate::views::reshape_to(&crate::to_dtype(mask, DType::Bool)?, &shape)?;
        if in_place {
            check_apart(x.array(), &[mask.array()])?;
        }
        if value.device().is_gpu() {
            // Not read: it is taken where the mask does not keep the old.
            let (keep, value) = (call(&rows::LOGICAL_NOT, &[(&mask).into()], &[])?, crate::views::reshape_to(value, &[])?);
            if !in_place {
                return call(&rows::WHERE, &[(&keep).into(), x.into(), (&value).into()], &[]);
            }
            crate::row::call_inplace(&rows::WHERE, x, &[(&keep).into(), (&value).into()], &[])?;
            return Ok(x.clone());
        }
        if value.dtype().is_complex() {
            let value = crate::views::reshape_to(value, &[])?;
            let filled = crate::arithmetic::masked_fill(x, &mask, Operand::Tensor(&value))?;
            if !in_place {
                return Ok(filled);
            }
            crate::copy::copy_(x, &filled)?;
            return Ok(x.clone());
        }
        let number = crate::read::item(value)?;
        if !in_place {
            return call(&rows::MASKED_FILL, &[(&mask).into(), x.into()], &[number]);
        }
        crate::arithmetic::masked_fill_(x, &mask, number)?;
        return Ok(x.clone());
    }
    // A number goes to any device.
    let moved = if value.rank() == 0 && value.device() == rustnn_tensor::Device::Cpu && x.device().is_gpu() {
        crate::to_device(value, x.device())?
    } else {
        value.clone()
    };
    let value = &moved;
    let plan = plan(x, indices)?;
    let mut from = value.shape();
    while from.len() > plan.shape.len() && from[0] == 1 {
        from = &from[1..];
    }
    let fits = broadcast(&plan.shape, from).is_ok_and(|s| s == plan.shape);
    ensure!(
        fits,
        Runtime,
        "shape mismatch: value tensor of shape {:?} cannot be broadcast to indexing result of shape {:?}",
        value.shape(),
        plan.shape
    );
    ensure!(
        same_dtype,
        Runtime,
        "Index put requires the source and destination dtypes match, got {} for the destination and {} for the source.",
        x.dtype().scalar_name(),
        value.dtype().scalar_name()
    );
    let value = if from.len() == value.rank() { value.clone() } else { crate::views::reshape_to(value, from)? };
    if in_place {
        check_apart(x.array(), &[value.array()])?;
    }
    let indices = plan.checked(x)?;
    let formula = || {
        let (dims, shape, saved) = (plan.dims.clone(), value.shape_owned(), plan.save()?);
        Ok(Formula::new("IndexPutBackward0", saved, move |dy, saved, context| {
            let index = restore(&dims, saved);
            let dx =
                if_wanted(context, 0, || if accumulate { Ok(dy.clone()) } else { put_as(dy, false, &index, &zeros(dy, &[])?, false) })?;
            let dvalue = if_wanted(context, 1, || crate::reduce::sum_to(&get_as(dy, &index, "IndexBackward0")?, &shape))?;
            Ok(smallvec![dx, dvalue])
        }))
    };
    let reduce = if accumulate { Reduce::Add } else { Reduce::Assign };
    update(x, in_place, &[&value], formula, |target| {
        let strides = value.array().strides_as(&plan.shape);
        let values = value.array().with_geometry(plan.shape.clone(), strides, value.array().offset());
        if plan.dims.is_empty() {
            return if accumulate {
                crate::row::run_into(&rows::ADD, &[&Tensor::from_array(target.clone()), &value], &[Scalar::Int(1)], target)
            } else {
                copy::copy_array(&values, target)
            };
        }
        indexing::index_put(reduce, target, &plan.dims, &indices, plan.at, &values)
    })
}

// --------------------------------------------------------------------------------------------- one index along one dimension

/// Refuses indices of other dtypes with PyTorch's words.
fn int32_or_64(index: &Tensor, text: impl FnOnce() -> Error) -> Result<()> {
    if matches!(index.dtype(), DType::I32 | DType::I64) { Ok(()) } else { Err(text()) }
}

fn size_at(x: &Tensor, dim: usize) -> usize {
    x.shape().get(dim).copied().unwrap_or(1)
}

/// Rows of a dimension, in the order of `index`.
pub fn index_select(x: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
    ensure!(index.rank() <= 1, Index, "index_select(): Index is supposed to be a vector");
    int32_or_64(index, || Error::Runtime("index_select(): Expected dtype int32 or int64 for index".into()))?;
    let d = wrap_dim(dim, x.rank())?;
    ensure!(
        x.rank() > 0 || index.numel() == 1,
        Runtime,
        "index_select(): Index to scalar can have only 1 value, got {} value(s)",
        index.numel()
    );
    let places = Indices::new(&as_vector(index.array()), x.array(), size_at(x, d), false)?;
    let Ok(places) = places else { bail!(Index, "index out of range in self") };
    let mut shape = x.shape_owned();
    if x.rank() > 0 {
        shape[d] = index.numel();
    }
    let out = Array::empty(&shape, x.dtype(), x.device())?;
    if x.is_contiguous() || x.rank() == 0 {
        indexing::index_select(x.array(), d, &places, &out)?;
    } else {
        indexing::index_get(x.array(), &[d], &[places], d, &out)?;
    }
    attach(out, &[x], || {
        let shape = x.shape_owned();
        Formula::one("IndexSelectBackward0", &[index], move |dy, saved| {
            index_add(&zeros(dy, &shape)?, false, d as i64, &saved[0], dy, Scalar::Int(1))
        })
    })
}

/// Picks, for every element of `index`, the element of `x` at the same place but for `dim`.
pub fn gather(x: &Tensor, dim: i64, index: &Tensor) -> Result<Tensor> {
    let d = wrap_dim(dim, x.rank())?;
    int32_or_64(index, || Error::Runtime("gather(): Expected dtype int32/int64 for index".into()))?;
    let (from, list) = (as_vector(x.array()), as_vector(index.array()));
    let out = Array::empty(index.shape(), x.dtype(), x.device())?;
    if index.numel() > 0 {
        ensure!(from.rank() == list.rank(), Runtime, "Index tensor must have the same number of dimensions as input tensor");
        for (i, (&n, &size)) in list.shape().iter().zip(from.shape()).enumerate() {
            ensure!(
                i == d || n <= size,
                Runtime,
                "Size does not match at dimension {i} expected index {:?} to be no larger than self {:?} apart from dimension {d}",
                index.shape(),
                x.shape()
            );
        }
        let places = inside(&list, &from, from.shape()[d], d)?;
        indexing::gather(&from, d, &places, &as_vector(&out))?;
    }
    attach(out, &[x], || {
        let shape = x.shape_owned();
        Formula::one("GatherBackward0", &[index], move |dy, saved| scatter_add(&zeros(dy, &shape)?, false, d as i64, &saved[0], dy))
    })
}

fn inside(index: &Array, of: &Array, size: usize, dim: usize) -> Result<Indices> {
    match Indices::new(index, of, size, false)? {
        Ok(places) => Ok(places),
        Err(i) => bail!(Runtime, "index {i} is out of bounds for dimension {dim} with size {size}"),
    }
}

/// The index of a scatter, checked; None where it is empty.
fn scatter_places(x: &Tensor, dim: i64, index: &Tensor, src: Option<&Tensor>) -> Result<(usize, Option<Indices>)> {
    let d = wrap_dim(dim, x.rank())?;
    int32_or_64(index, || Error::Runtime("scatter(): Expected dtype int32/int64 for index".into()))?;
    if let Some(src) = src {
        ensure!(src.dtype() == x.dtype(), Runtime, "scatter(): Expected self.dtype to be equal to src.dtype");
    }
    if index.numel() == 0 {
        return Ok((d, None));
    }
    let (to, list) = (as_vector(x.array()), as_vector(index.array()));
    ensure!(to.rank() == list.rank(), Runtime, "Index tensor must have the same number of dimensions as self tensor");
    let fits_self = list.shape().iter().zip(to.shape()).enumerate().all(|(i, (n, size))| i == d || n <= size);
    match src {
        None => ensure!(
            fits_self,
            Runtime,
            "Expected index {:?} to be no larger than self {:?} apart from dimension {d}",
            index.shape(),
            x.shape()
        ),
        Some(src) => {
            let from = as_vector(src.array());
            ensure!(from.rank() == list.rank(), Runtime, "Index tensor must have the same number of dimensions as src tensor");
            ensure!(
                fits_self && list.shape().iter().zip(from.shape()).all(|(n, size)| n <= size),
                Runtime,
                "Expected index {:?} to be no larger than self {:?} apart from dimension {d} and to be no larger size than src {:?}",
                index.shape(),
                x.shape(),
                src.shape()
            );
        }
    }
    inside(&list, &to, to.shape()[d], d).map(|places| (d, Some(places)))
}

/// The part of `src` that an index of `shape` reaches: its gradient is zero elsewhere.
fn reached(src: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let mut part = src.clone();
    if src.rank() == shape.len() {
        for (d, &n) in shape.iter().enumerate() {
            if part.shape()[d] > n {
                part = crate::views::slice(&part, d as i64, None, Some(n as i64), 1)?;
            }
        }
    }
    Ok(part)
}

fn no_gradient(op: &str, inputs: &[&Tensor]) -> Result<()> {
    ensure!(!crate::tensor::needs_grad(inputs), NotImplemented, "the derivative for '{op}' is not implemented");
    Ok(())
}

fn parse_reduce(reduce: Option<&str>) -> Result<Reduce> {
    Ok(match reduce {
        None => Reduce::Assign,
        Some("add") => Reduce::Add,
        Some("multiply") => Reduce::Multiply,
        Some(_) => bail!(Runtime, "reduce argument must be either add or multiply."),
    })
}

/// Writes the elements of `src` to the places that `index` names along `dim`.
pub fn scatter(x: &Tensor, in_place: bool, dim: i64, index: &Tensor, src: &Tensor, reduce: Option<&str>) -> Result<Tensor> {
    let how = parse_reduce(reduce)?;
    if how == Reduce::Add {
        return scatter_add(x, in_place, dim, index, src);
    }
    let (d, places) = scatter_places(x, dim, index, Some(src))?;
    if how == Reduce::Multiply {
        no_gradient("scatter with reduce='multiply'", &[x, src])?;
    }
    let src = reached(src, index.shape())?;
    if in_place {
        check_apart(x.array(), &[src.array(), index.array()])?;
    }
    let formula = || {
        let saved = vec![Saved::input(index)?];
        Ok(Formula::new("ScatterBackward0", saved, move |dy, saved, context| {
            let dx = if_wanted(context, 0, || scatter_number(dy, false, d as i64, &saved[0], Scalar::Int(0), None))?;
            let dsrc = if_wanted(context, 1, || gather(dy, d as i64, &saved[0]))?;
            Ok(smallvec![dx, dsrc])
        }))
    };
    update(x, in_place, &[&src], formula, |target| write_scatter(how, target, d, places.as_ref(), src.array()))
}

fn write_scatter(how: Reduce, target: &Array, dim: usize, places: Option<&Indices>, src: &Array) -> Result<()> {
    let Some(places) = places else { return Ok(()) };
    indexing::scatter(how, &as_vector(target), dim, places, &as_vector(src))
}

/// Writes one number to the places that `index` names along `dim`.
pub fn scatter_number(x: &Tensor, in_place: bool, dim: i64, index: &Tensor, value: Scalar, reduce: Option<&str>) -> Result<Tensor> {
    let how = parse_reduce(reduce)?;
    let (d, places) = scatter_places(x, dim, index, None)?;
    if how != Reduce::Assign {
        let value = crate::create::full_array(&[], value, x.dtype(), x.device()).map(Tensor::from_array)?;
        return scatter(x, in_place, dim, index, &crate::views::expand_to(&value, index.shape())?, reduce);
    }
    if in_place {
        check_apart(x.array(), &[index.array()])?;
    }
    let number = crate::create::full_array(&[], value, x.dtype(), x.device())?;
    let formula = || {
        Formula::one("ScatterBackward1", &[index], move |dy, saved| scatter_number(dy, false, d as i64, &saved[0], Scalar::Int(0), None))
    };
    update(x, in_place, &[], formula, |target| {
        let Some(places) = &places else { return Ok(()) };
        let values = number.with_geometry(places.shape().into(), smallvec![0; places.shape().len()], number.offset());
        indexing::scatter(Reduce::Assign, &as_vector(target), d, places, &values)
    })
}

/// Adds the elements of `src` to the places that `index` names along `dim`.
pub fn scatter_add(x: &Tensor, in_place: bool, dim: i64, index: &Tensor, src: &Tensor) -> Result<Tensor> {
    let (d, places) = scatter_places(x, dim, index, Some(src))?;
    let src = reached(src, index.shape())?;
    if in_place {
        check_apart(x.array(), &[src.array(), index.array()])?;
    }
    let formula = || {
        let saved = vec![Saved::input(index)?];
        Ok(Formula::new("ScatterAddBackward0", saved, move |dy, saved, context| {
            Ok(smallvec![Some(dy.clone()), if_wanted(context, 1, || gather(dy, d as i64, &saved[0]))?])
        }))
    };
    update(x, in_place, &[&src], formula, |target| write_scatter(Reduce::Add, target, d, places.as_ref(), src.array()))
}

/// The number that changes nothing under a reduction.
fn neutral(reduce: &str, dtype: DType) -> Scalar {
    let (least, greatest) = match dtype {
        DType::I8 => (i8::MIN as i64, i8::MAX as i64),
        DType::I16 => (i16::MIN as i64, i16::MAX as i64),
        DType::I32 => (i32::MIN as i64, i32::MAX as i64),
        DType::U8 => (0, u8::MAX as i64),
        DType::Bool => (0, 1),
        _ => (i64::MIN, i64::MAX),
    };
    match reduce {
        "prod" => Scalar::Int(1),
        "amax" if dtype.is_float() => Scalar::Float(f64::NEG_INFINITY),
        "amin" if dtype.is_float() => Scalar::Float(f64::INFINITY),
        "amax" => Scalar::Int(least),
        "amin" => Scalar::Int(greatest),
        _ => Scalar::Int(0),
    }
}

fn mul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    crate::mul(a, b)
}

fn div(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    call(&rows::DIV, &[a.into(), b.into()], &[])
}

fn equals(a: Operand, b: Operand) -> Result<Tensor> {
    call(&rows::EQ, &[a, b], &[])
}

fn masked_fill(x: &Tensor, mask: &Tensor, value: Scalar) -> Result<Tensor> {
    call(&rows::MASKED_FILL, &[mask.into(), x.into()], &[value])
}

/// How many updates each element of a mean gets, at least 1.
fn counts(like: &Tensor, dim: i64, index: &Tensor, include_self: bool) -> Result<Tensor> {
    let start = crate::create::full_like(like, Scalar::Int(include_self as i64), like.dtype())?;
    let ones = crate::create::full_array(index.shape(), Scalar::Int(1), like.dtype(), like.device()).map(Tensor::from_array)?;
    let n = scatter_add(&start, false, dim, index, &ones)?;
    masked_fill(&n, &equals((&n).into(), Scalar::Int(0).into())?, Scalar::Int(1))
}

/// Reduces the elements of `src` that go to one place: sum, prod, mean, amax, amin; with the old element if `include_self`.
pub fn scatter_reduce(x: &Tensor, dim: i64, index: &Tensor, src: &Tensor, reduce: &str, include_self: bool) -> Result<Tensor> {
    let how = match reduce {
        "sum" | "mean" => Reduce::Add,
        "prod" => Reduce::Multiply,
        "amax" => Reduce::Maximum,
        "amin" => Reduce::Minimum,
        other => bail!(Runtime, "reduce argument must be either sum, prod, mean, amax or amin, got {other}"),
    };
    if reduce == "mean" && x.dtype() == DType::Bool {
        return Err(Error::not_implemented("scatter_gather_tensor_cpu_reduce_mean", DType::Bool));
    }
    let reduce = reduce.to_string();
    let (d, places) = scatter_places(x, dim, index, Some(src))?;
    let src = reached(src, index.shape())?;
    let out = copy::clone_array(x.array())?;
    if let Some(places) = &places {
        if !include_self {
            let number = crate::create::full_array(&[], neutral(&reduce, x.dtype()), x.dtype(), x.device())?;
            let values = number.with_geometry(places.shape().into(), smallvec![0; places.shape().len()], number.offset());
            indexing::scatter(Reduce::Assign, &as_vector(&out), d, places, &values)?;
        }
        indexing::scatter(how, &as_vector(&out), d, places, &as_vector(src.array()))?;
    }
    let mut out = out;
    if reduce == "mean" {
        let n = counts(&x.detach(), d as i64, index, include_self)?;
        let row = if x.dtype().is_integral() { &rows::FLOOR_DIVIDE } else { &rows::DIV };
        out = call(row, &[(&Tensor::from_array(out)).into(), (&n).into()], &[])?.array().clone();
    }
    let inputs = [x, &src];
    let result = out.clone();
    attach(out, &inputs, || {
        let saved = vec![Saved::input(x)?, Saved::input(&src)?, Saved::input(index)?, Saved::output(&Tensor::from_array(result), 0)?];
        Ok(Formula::new("ScatterReduceBackward0", saved, move |dy, saved, context| {
            let [x, src, index, out] = saved else { bail!(Runtime, "scatter_reduce: wrong saved values") };
            let (mut dx, mut dsrc) = scatter_reduce_gradients(dy, [x, src, index, out], d as i64, &reduce, include_self)?;
            if !include_self {
                dx = scatter_number(&dx, false, d as i64, index, Scalar::Int(0), None)?;
            }
            if src.numel() == 0 {
                dsrc = zeros(dy, src.shape())?;
            }
            Ok(smallvec![if_wanted(context, 0, || Ok(dx))?, if_wanted(context, 1, || Ok(dsrc))?])
        }))
    })
}

fn scatter_reduce_gradients(dy: &Tensor, saved: [&Tensor; 4], d: i64, reduce: &str, include_self: bool) -> Result<(Tensor, Tensor)> {
    let [x, src, index, out] = saved;
    let as_number = |mask: &Tensor| crate::to_dtype(mask, dy.dtype());
    Ok(match reduce {
        "sum" => (dy.clone(), gather(dy, d, index)?),
        "mean" => {
            let share = div(dy, &counts(&x.detach(), d, index, include_self)?)?;
            (share.clone(), gather(&share, d, index)?)
        }
        "prod" => {
            // Without the element itself: zeros are replaced by ones where they are the only ones.
            let is_zero = |t: &Tensor| equals(t.into(), Scalar::Int(0).into());
            let masked_x = masked_fill(x, &is_zero(x)?, Scalar::Int(1))?;
            let with_masked = scatter_reduce(&masked_x, d, index, src, reduce, include_self)?;
            let dx = div(&mul(dy, &with_masked)?, &masked_x)?;
            let zero = is_zero(src)?;
            let base = zeros(dy, x.shape())?;
            let number = gather(&scatter_add(&base, false, d, index, &as_number(&zero)?)?, d, index)?;
            let single = call(&rows::LOGICAL_AND, &[(&zero).into(), (&equals((&number).into(), Scalar::Int(1).into())?).into()], &[])?;
            let without = scatter_reduce(x, d, index, &masked_fill(src, &single, Scalar::Int(1))?, reduce, include_self)?;
            let at_zero = gather(&mul(dy, &without)?, d, index)?;
            let elsewhere = div(&gather(&mul(dy, out)?, d, index)?, &masked_fill(src, &zero, Scalar::Int(1))?)?;
            (dx, call(&rows::WHERE, &[(&single).into(), (&at_zero).into(), (&elsewhere).into()], &[])?)
        }
        _ => {
            // Equal extremes share the gradient.
            let out = out.detach();
            let own = as_number(&equals(x.into(), (&out).into())?)?;
            let theirs = as_number(&equals(src.into(), (&gather(&out, d, index)?).into())?)?;
            let number = scatter_add(&own, false, d, index, &theirs)?;
            let share = div(dy, &number)?;
            (mul(&own, &share)?, mul(&theirs, &gather(&share, d, index)?)?)
        }
    })
}

/// Adds `alpha` times the rows of `source` to the rows of `dim` that `index` names.
pub fn index_add(x: &Tensor, in_place: bool, dim: i64, index: &Tensor, source: &Tensor, alpha: Scalar) -> Result<Tensor> {
    let d = wrap_dim(dim, x.rank())?;
    int32_or_64(index, || {
        Error::Runtime(format!("index_add_(): Expected dtype int32/int64 for index but got: {}", index.dtype().scalar_name()))
    })?;
    ensure!(index.rank() <= 1, Index, "index_add_(): Index dim must be <=1, got {}", index.rank());
    ensure!(
        source.dtype() == x.dtype(),
        Runtime,
        "index_add_(): self ({}) and source ({}) must have the same scalar type",
        x.dtype().scalar_name(),
        source.dtype().scalar_name()
    );
    let slices = |t: &Tensor| (0..t.rank()).filter(|&i| i != d).map(|i| t.shape()[i]).collect::<Shape>();
    ensure!(
        x.rank() == source.rank() && slices(x) == slices(source),
        Runtime,
        "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = {:?} source.shape = {:?}",
        x.shape(),
        source.shape()
    );
    ensure!(
        index.numel() == size_at(source, d),
        Runtime,
        "index_add_(): Number of indices ({}) should be equal to source.size(dim): ({}), for dim: {d}",
        index.numel(),
        size_at(source, d)
    );
    if x.dtype().is_complex() && x.rank() > 0 {
        let parts = crate::complex::view_as_real(x)?;
        let sums = index_add(&parts, in_place, d as i64, index, &crate::complex::view_as_real(source)?, alpha)?;
        return if in_place { Ok(x.clone()) } else { crate::complex::as_complex(&sums) };
    }
    let places = inside(&as_vector(index.array()), x.array(), size_at(x, d), d)?;
    if in_place {
        check_apart(x.array(), &[source.array(), index.array()])?;
    }
    let formula = || {
        let saved = vec![Saved::input(index)?];
        let rank = source.rank();
        Ok(Formula::new("IndexAddBackward0", saved, move |dy, saved, context| {
            let dsource = if_wanted(context, 1, || {
                let rows = index_select(dy, d as i64, &saved[0])?;
                let rows = if rank == 0 { crate::views::reshape_to(&rows, &[])? } else { rows };
                if alpha.to_f64() == 1.0 { Ok(rows) } else { call(&rows::MUL, &[(&rows).into(), alpha.into()], &[]) }
            })?;
            Ok(smallvec![Some(dy.clone()), dsource])
        }))
    };
    let factor = if matches!(alpha, Scalar::Int(1)) || alpha.to_f64() == 1.0 {
        None
    } else {
        Some(crate::create::full_array(&[], alpha, x.dtype(), rustnn_tensor::Device::Cpu)?)
    };
    let mut from = copy::contiguous_array(source.array())?;
    let factor = match factor {
        // A GPU's kernel sums whole numbers as they are.
        Some(_) if from.device().is_gpu() && from.dtype().is_integral() && from.dtype() != DType::Bool => {
            let scaled = crate::mode::no_grad(|| call(&rows::MUL, &[(&source.detach()).into(), alpha.into()], &[]))?;
            from = copy::contiguous_array(scaled.array())?;
            None
        }
        other => other,
    };
    update(x, in_place, &[source], formula, |target| {
        on_contiguous(target, |target| indexing::index_update(Reduce::Add, factor.as_ref(), target, d, &places, &from))
    })
}

/// Copies the rows of `source` to the rows of `dim` that `index` names.
pub fn index_copy(x: &Tensor, in_place: bool, dim: i64, index: &Tensor, source: &Tensor) -> Result<Tensor> {
    let d = wrap_dim(dim, x.rank())?;
    ensure!(index.rank() <= 1, Index, "index_copy_(): Index should have dimension 1 or 0 (got {})", index.rank());
    let n = index.numel();
    if source.rank() == 0 {
        ensure!(n == 1, Index, "index_copy_(): When source is scalar, index should have one element (got {n})");
    } else {
        ensure!(
            x.rank() == 0 || x.rank() == source.rank(),
            Index,
            "index_copy_(): When source and destination are not scalars, their dimensionality must match. Source dimensionality ({}), \
             destination dimensionality ({})",
            source.rank(),
            x.rank()
        );
    }
    ensure!(
        index.dtype() == DType::I64,
        Runtime,
        "index_copy_(): Expected a long tensor for index, but got {}",
        index.dtype().scalar_name()
    );
    ensure!(
        x.dtype() == source.dtype(),
        Runtime,
        "index_copy_(): self and source expected to have the same dtype, but got (self) {} and (source) {}",
        x.dtype().scalar_name(),
        source.dtype().scalar_name()
    );
    let slices = |t: &Tensor| (0..t.rank()).filter(|&i| i != d).map(|i| t.shape()[i]).collect::<Shape>();
    let (to, from) = (slices(x), slices(source));
    let numbers = |s: &[usize]| s.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
    ensure!(
        to == from || (to.iter().product::<usize>() == 1 && from.is_empty()),
        Runtime,
        "index_copy_(): Source/destination tensor must have same slice shapes. Destination slice shape: {} at dimension {d} and source \
         slice shape: {} at dimension 0.",
        numbers(&to),
        numbers(&from)
    );
    ensure!(
        source.rank() == 0 || n == source.shape()[d],
        Index,
        "index_copy_(): Number of indices ({n}) should be equal to source.size(dim) ({})",
        size_at(source, d)
    );
    let size = size_at(x, d);
    let places = match Indices::new(&as_vector(index.array()), x.array(), size, false)? {
        Ok(places) => places,
        Err(i) => bail!(Index, "index_copy_(): index {i} is out of bounds for dimension {d} with size {size}"),
    };
    if in_place {
        check_apart(x.array(), &[source.array(), index.array()])?;
    }
    let formula = || {
        let (saved, shape) = (vec![Saved::input(index)?], source.shape_owned());
        Ok(Formula::new("IndexCopyBackward0", saved, move |dy, saved, context| {
            let dx = if_wanted(context, 0, || index_fill(dy, false, d as i64, &saved[0], Scalar::Int(0)))?;
            let dsource = if_wanted(context, 1, || crate::views::reshape_to(&index_select(dy, d as i64, &saved[0])?, &shape))?;
            Ok(smallvec![dx, dsource])
        }))
    };
    let from = copy::contiguous_array(source.array())?;
    update(x, in_place, &[source], formula, |target| {
        on_contiguous(target, |target| indexing::index_update(Reduce::Assign, None, target, d, &places, &from))
    })
}

/// Writes one number to the rows of `dim` that `index` names.
pub fn index_fill(x: &Tensor, in_place: bool, dim: i64, index: &Tensor, value: Scalar) -> Result<Tensor> {
    ensure!(index.dtype() == DType::I64, Index, "index_fill_(): Expected dtype int64 for index.");
    ensure!(index.rank() <= 1, Runtime, "Index has to be a vector/scalar");
    let d = wrap_dim(dim, x.rank())?;
    let size = size_at(x, d);
    let places = match Indices::new(&as_vector(index.array()), x.array(), size, true)? {
        Ok(places) => places,
        Err(i) => bail!(Index, "index {i} is out of bounds for dimension {d} with size {size}"),
    };
    if in_place {
        check_apart(x.array(), &[index.array()])?;
    }
    let number = crate::create::full_array(&[], value, x.dtype(), x.device())?;
    let formula =
        || Formula::one("IndexFillBackward0", &[index], move |dy, saved| index_fill(dy, false, d as i64, &saved[0], Scalar::Int(0)));
    update(x, in_place, &[], formula, |target| {
        let target = as_vector(target);
        let mut shape: Shape = target.shape().into();
        shape[d] = places.numel();
        let values = number.with_geometry(shape.clone(), smallvec![0; shape.len()], number.offset());
        indexing::index_put(Reduce::Assign, &target, &[d], std::slice::from_ref(&places), d, &values)
    })
}

/// As [`index_fill`] with a 0-dim tensor, which gets a gradient.
fn index_fill_value(x: &Tensor, in_place: bool, dim: i64, index: &Tensor, value: Operand) -> Result<Tensor> {
    let value = match value {
        Operand::Scalar(s) => return index_fill(x, in_place, dim, index, s),
        Operand::Tensor(t) => t,
    };
    ensure!(
        value.rank() == 0,
        Runtime,
        "index_fill_ only supports a 0-dimensional value tensor, but got tensor with {} dimension(s).",
        value.rank()
    );
    if !crate::tensor::needs_grad(&[value]) && !value.array().is_meta() && !value.dtype().is_complex() {
        return index_fill(x, in_place, dim, index, crate::read::item(value)?);
    }
    let d = wrap_dim(dim, x.rank())?;
    let mut indices = vec![None; d + 1];
    indices[d] = Some(index.clone());
    ensure!(
        x.dtype().is_complex() || !value.dtype().is_complex(),
        Runtime,
        "index_fill_(): Converting complex Scalar to non-complex type is not supported"
    );
    let value = crate::to_dtype(value, x.dtype())?;
    if x.rank() > 0 {
        return put_as(x, in_place, &indices, &value, false);
    }
    let line = crate::views::reshape_to(x, &[1])?;
    let out = put_as(&line, in_place, &indices, &value, false)?;
    if in_place { Ok(x.clone()) } else { crate::views::in_shape(&out, &[]) }
}

/// The elements at places of the flattened tensor.
pub fn take(x: &Tensor, index: &Tensor) -> Result<Tensor> {
    ensure!(index.dtype() == DType::I64, Runtime, "take(): Expected a long tensor for index, but got {}", index.dtype().scalar_name());
    ensure!(x.numel() > 0 || index.numel() == 0, Index, "take(): tried to take from an empty tensor");
    let flat = crate::views::reshape_to(x, &[x.numel()])?;
    get_as(&flat, &[Some(index.clone())], "TakeBackward0").map_err(|error| flat_range(error, index, x.numel()))
}

/// The error for an index of a flattened tensor.
fn flat_range(error: Error, index: &Tensor, n: usize) -> Error {
    let outside = |i: &i64| *i < -(n as i64) || *i >= n as i64;
    match (&error, index.array().is_meta()) {
        (Error::Index(_), false) => match indexing::integers(index.array()).map(|all| all.into_iter().find(outside)) {
            Ok(Some(i)) => Error::Index(format!("out of range: tried to access index {i} on a tensor of {n} elements.")),
            _ => error,
        },
        _ => error,
    }
}

/// Writes to places of the flattened tensor.
fn put_flat(x: &Tensor, in_place: bool, index: &Tensor, source: &Tensor, accumulate: bool) -> Result<Tensor> {
    ensure!(index.dtype() == DType::I64, Runtime, "put_(): Expected a long tensor for index, but got {}", index.dtype().scalar_name());
    ensure!(
        source.dtype() == x.dtype(),
        Runtime,
        "put_(): self and source expected to have the same dtype, but got self.dtype = {} and source.dtype = {}",
        x.dtype().scalar_name(),
        source.dtype().scalar_name()
    );
    ensure!(
        source.numel() == index.numel(),
        Index,
        "put_(): Expected source and index to have the same number of elements, but got source.numel() = {}, index.numel() = {}",
        source.numel(),
        index.numel()
    );
    ensure!(x.numel() > 0 || index.numel() == 0, Index, "put_(): tried to put elements into an empty tensor");
    let source = crate::views::reshape_to(source, index.shape())?;
    let flat = crate::views::reshape_to(&if in_place && !x.is_contiguous() { crate::clone(x)? } else { x.clone() }, &[x.numel()])?;
    let written = put_as(&flat, in_place && x.is_contiguous(), &[Some(index.clone())], &source, accumulate)
        .map_err(|error| flat_range(error, index, x.numel()))?;
    if in_place && x.is_contiguous() {
        return Ok(x.clone());
    }
    let out = crate::views::reshape_to(&written, x.shape())?;
    if in_place {
        copy::copy_(x, &out)?;
        return Ok(x.clone());
    }
    Ok(out)
}

/// As [`gather`], `x` and `indices` broadcast to one another but for `dim`; negative indices count from the end.
pub fn take_along_dim(x: &Tensor, indices: &Tensor, dim: Option<i64>) -> Result<Tensor> {
    ensure!(
        indices.dtype() == DType::I64,
        Runtime,
        "torch.take_along_dim(): dtype of indices should be Long but got {}",
        indices.dtype().scalar_name()
    );
    let wrapped = |size: usize| -> Result<Tensor> {
        let below = call(&rows::LT, &[indices.into(), Scalar::Int(0).into()], &[])?;
        let shifted = call(&rows::ADD, &[indices.into(), Scalar::Int(size as i64).into()], &[Scalar::Int(1)])?;
        call(&rows::WHERE, &[(&below).into(), (&shifted).into(), indices.into()], &[])
    };
    let Some(dim) = dim else {
        let flat = crate::views::reshape_to(x, &[x.numel()])?;
        return gather(&flat, 0, &crate::views::reshape_to(&wrapped(x.numel())?, &[indices.numel()])?);
    };
    ensure!(
        x.rank() == indices.rank(),
        Runtime,
        "torch.take_along_dim(): input and indices should have the same number of dimensions, but got {} dimensions for input, and {} \
         dimensions for indices",
        x.rank(),
        indices.rank()
    );
    let d = wrap_dim(dim, x.rank())?;
    let index = wrapped(size_at(x, d))?;
    if x.rank() == 0 {
        return gather(x, 0, &index);
    }
    let (mut own, mut theirs) = (x.shape_owned(), index.shape_owned());
    (own[d], theirs[d]) = (1, 1);
    let common = broadcast(&own, &theirs)?;
    (own, theirs) = (common.clone(), common);
    (own[d], theirs[d]) = (x.shape()[d], index.shape()[d]);
    gather(&crate::views::expand_to(x, &own)?, d as i64, &crate::views::expand_to(&index, &theirs)?)
}

// -------------------------------------------------------------------------------------------------------------------- masks

fn nonzero_array(x: &Array) -> Result<Array> {
    let mask = Mask::new(x)?;
    let out = Array::empty(&[mask.total(), x.rank()], DType::I64, x.device())?;
    mask.nonzero(&out)?;
    Ok(out)
}

/// Coordinates of the elements that are not zero, a vector for each dimension.
fn places(x: &Tensor) -> Result<Vec<Tensor>> {
    let places = nonzero(&Tensor::from_array(as_vector(x.array())))?;
    crate::views::unbind(&crate::contiguous(&crate::transpose(&places, 0, 1)?)?, 0)
}

/// Coordinates of the elements that are not zero, one row each.
pub fn nonzero(x: &Tensor) -> Result<Tensor> {
    no_meta(x, "nonzero")?;
    nonzero_array(x.array()).map(Tensor::from_array)
}

fn select_by_mask(x: &Tensor, mask: &Tensor, name: &'static str) -> Result<Tensor> {
    no_meta(mask, "masked_select")?;
    no_meta(x, "masked_select")?;
    let plan = Mask::new(mask.array())?;
    let out = Array::empty(&[plan.total()], x.dtype(), x.device())?;
    plan.select(&copy::contiguous_array(x.array())?, &out)?;
    attach(out, &[x], || {
        let shape = x.shape_owned();
        Formula::one(name, &[mask], move |dy, saved| {
            masked_scatter(&zeros(dy, &shape)?, false, &crate::to_dtype(&saved[0], DType::Bool)?, dy)
        })
    })
}

/// The elements where `mask`, broadcast with `x`, is true.
pub fn masked_select(x: &Tensor, mask: &Tensor) -> Result<Tensor> {
    ensure!(mask.dtype() == DType::Bool, Runtime, "masked_select: expected BoolTensor for mask");
    let shape = broadcast(mask.shape(), x.shape())?;
    select_by_mask(&crate::views::expand_to(x, &shape)?, &crate::views::expand_to(mask, &shape)?, "MaskedSelectBackward0")
}

/// Writes successive elements of `source` where `mask` is true.
pub fn masked_scatter(x: &Tensor, in_place: bool, mask: &Tensor, source: &Tensor) -> Result<Tensor> {
    ensure!(
        x.dtype() == source.dtype(),
        Runtime,
        "masked_scatter: expected self and source to have same dtypes but got {} and {}",
        x.dtype().scalar_name(),
        source.dtype().scalar_name()
    );
    ensure!(
        mask.dtype() == DType::Bool,
        Runtime,
        "masked_scatter_ only supports boolean masks, but got mask with dtype {}",
        mask.dtype().scalar_name()
    );
    for other in [mask, source] {
        ensure!(
            other.device() == x.device(),
            Runtime,
            "Expected all tensors to be on the same device, but found at least two devices, {} and {}!",
            x.device(),
            other.device()
        );
    }
    let shape = broadcast(mask.shape(), x.shape())?;
    if in_place {
        ensure!(shape.as_slice() == x.shape(), Runtime, "output with shape {:?} doesn't match the broadcast shape {shape:?}", x.shape());
        check_apart(x.array(), &[mask.array(), source.array()])?;
    }
    let x = if in_place { x.clone() } else { crate::views::expand_to(x, &shape)? };
    let mask = crate::views::expand_to(mask, &shape)?;
    if x.array().is_meta() {
        return if in_place { Ok(x) } else { Array::empty(&shape, x.dtype(), x.device()).map(Tensor::from_array) };
    }
    let plan = Mask::new(mask.array())?;
    ensure!(source.numel() >= plan.total(), Runtime, "Number of elements of source < number of ones in mask");
    let formula = || {
        let (saved, shape) = (vec![Saved::input(&mask)?], source.shape_owned());
        Ok(Formula::new("MaskedScatterBackward0", saved, move |dy, saved, context| {
            let dx = if_wanted(context, 0, || masked_fill(dy, &saved[0], Scalar::Int(0)))?;
            let dsource = if_wanted(context, 1, || {
                let used = masked_select(dy, &saved[0])?;
                let n: usize = shape.iter().product();
                let base = zeros(dy, &[n])?;
                let places = crate::create::arange(Scalar::Int(0), Scalar::Int(used.numel() as i64), Scalar::Int(1), None, dy.device())?;
                crate::views::reshape_to(&index_copy(&base, false, 0, &places, &used)?, &shape)
            })?;
            Ok(smallvec![dx, dsource])
        }))
    };
    let values = copy::contiguous_array(source.array())?;
    update(&x, in_place, &[source], formula, |target| on_contiguous(target, |target| plan.scatter(&values, target)))
}

/// A row of zeros for each index, with a one in its column.
pub fn one_hot(index: &Tensor, classes: i64) -> Result<Tensor> {
    ensure!(index.dtype() == DType::I64, Runtime, "one_hot is only applicable to index tensor of type LongTensor.");
    ensure!(classes > 0 || index.numel() > 0 || classes != -1, Runtime, "Can not infer total number of classes from empty tensor.");
    ensure!(classes > 0 || index.numel() > 0, Runtime, "Can not infer total number of classes from empty tensor.");
    let mut shape = index.shape_owned();
    if index.array().is_meta() {
        ensure!(classes > 0, NotImplemented, "one_hot: num_classes is needed for a meta tensor");
        shape.push(classes as usize);
        return Array::empty(&shape, DType::I64, index.device()).map(Tensor::from_array);
    }
    let classes = if classes == -1 || !index.device().is_gpu() {
        let all = indexing::integers(index.array())?;
        ensure!(all.iter().all(|&i| i >= 0), Runtime, "Class values must be non-negative.");
        let most = all.iter().max().map_or(0, |m| m.saturating_add(1));
        ensure!(classes == -1 || most <= classes, Runtime, "Class values must be smaller than num_classes.");
        if classes == -1 { most } else { classes }
    } else {
        // Nobody waits for a GPU here: classes outside raise at the next read.
        classes
    } as usize;
    shape.push(classes);
    rustnn_tensor::shape::checked_numel(&shape).ok_or_else(Error::size_overflow)?;
    let out = Array::empty(&shape, DType::I64, index.device())?;
    indexing::one_hot(&inside(index.array(), index.array(), classes, 0)?, &out)?;
    Ok(Tensor::from_array(out))
}

fn index_list(a: &Args, i: usize) -> Result<Vec<Option<Tensor>>> {
    a.optional_tensors(i).map(<[_]>::to_vec)
}

fn scatter_any(a: &Args, in_place: bool, reduce: Option<&str>) -> Result<Tensor> {
    match a.operand(3)? {
        Operand::Tensor(src) => scatter(a.tensor(0)?, in_place, a.int(1)?, a.tensor(2)?, src, reduce),
        Operand::Scalar(value) => scatter_number(a.tensor(0)?, in_place, a.int(1)?, a.tensor(2)?, value, reduce),
    }
}

fn scatter_out(a: &Args, reduce: Option<&str>, out: usize) -> Result<Output> {
    into_out("scatter", &[a.tensor(0)?], || scatter_any(a, false, reduce), a.opt_tensor(out)?)
}

crate::ops! {
    "index_select(Tensor self, int dim, Tensor index, *, Tensor? out=None)" Both "Rows of a dimension, in the order of an index." =>
        |a| into_out("index_select", &[a.tensor(0)?], || index_select(a.tensor(0)?, a.int(1)?, a.tensor(2)?), a.opt_tensor(3)?)?;
    "gather(Tensor self, int dim, Tensor index, *, bool sparse_grad=False, Tensor? out=None)" Both "The elements that an index names along a dimension." =>
        |a| into_out("gather", &[a.tensor(0)?], || gather(a.tensor(0)?, a.int(1)?, a.tensor(2)?), a.opt_tensor(4)?)?;
    "scatter(Tensor self, int dim, Tensor index, Operand src, *, Tensor? out=None)" Both "Writes `src` to the places that an index names along a dimension." =>
        |a| scatter_out(a, None, 4)?;
    "scatter(Tensor self, int dim, Tensor index, Operand value, *, Tensor? out=None)" Both "Writes a number to the places that an index names along a dimension." =>
        |a| scatter_out(a, None, 4)?;
    "scatter(Tensor self, int dim, Tensor index, Operand src, *, str reduce, Tensor? out=None)" Both "Adds or multiplies `src` to the places that an index names." =>
        |a| scatter_out(a, Some(a.str(4)?), 5)?;
    "scatter(Tensor self, int dim, Tensor index, Operand value, *, str reduce, Tensor? out=None)" Both "Adds or multiplies a number to the places that an index names." =>
        |a| scatter_out(a, Some(a.str(4)?), 5)?;
    "scatter_(Tensor self, int dim, Tensor index, Operand src, *, str? reduce=None)" Method "Writes `src` to the places that an index names, in place." =>
        |a| scatter_any(a, true, a.opt_str(4)?)?;
    "scatter_(Tensor self, int dim, Tensor index, Operand value, *, str? reduce=None)" Method "Writes a number to the places that an index names, in place." =>
        |a| scatter_any(a, true, a.opt_str(4)?)?;
    "scatter_add(Tensor self, int dim, Tensor index, Tensor src, *, Tensor? out=None)" Both "Adds `src` to the places that an index names along a dimension." =>
        |a| into_out("scatter_add", &[a.tensor(0)?], || scatter_add(a.tensor(0)?, false, a.int(1)?, a.tensor(2)?, a.tensor(3)?), a.opt_tensor(4)?)?;
    "scatter_add_(Tensor self, int dim, Tensor index, Tensor src)" Method "Adds `src` to the places that an index names, in place." =>
        |a| scatter_add(a.tensor(0)?, true, a.int(1)?, a.tensor(2)?, a.tensor(3)?)?;
    "scatter_reduce(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True, Tensor? out=None)"
        Both "Reduces the elements of `src` that an index sends to one place: sum, prod, mean, amax or amin." =>
        |a| into_out("scatter_reduce", &[a.tensor(0)?], || scatter_reduce(a.tensor(0)?, a.int(1)?, a.tensor(2)?, a.tensor(3)?, a.str(4)?, a.bool(5)?), a.opt_tensor(6)?)?;
    "scatter_reduce_(Tensor self, int dim, Tensor index, Tensor src, str reduce, *, bool include_self=True)"
        Method "Reduces the elements of `src` that an index sends to one place, in place." => |a| {
        let x = a.tensor(0)?;
        x.check_writable()?;
        // The gradient reads the old value.
        let old = if crate::tensor::needs_grad(&[x, a.tensor(3)?]) { crate::clone(x)? } else { x.clone() };
        copy::copy_(x, &scatter_reduce(&old, a.int(1)?, a.tensor(2)?, a.tensor(3)?, a.str(4)?, a.bool(5)?)?)?;
        x.clone()
    };
    "index_add(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1, Tensor? out=None)" Both "Adds rows to the rows that an index names." =>
        |a| into_out("index_add", &[a.tensor(0)?], || index_add(a.tensor(0)?, false, a.int(1)?, a.tensor(2)?, a.tensor(3)?, a.scalar(4)?), a.opt_tensor(5)?)?;
    "index_add_(Tensor self, int dim, Tensor index, Tensor source, *, Scalar alpha=1)" Method "Adds rows to the rows that an index names, in place." =>
        |a| index_add(a.tensor(0)?, true, a.int(1)?, a.tensor(2)?, a.tensor(3)?, a.scalar(4)?)?;
    "index_copy(Tensor self, int dim, Tensor index, Tensor source, *, Tensor? out=None)" Both "Copies rows to the rows that an index names." =>
        |a| into_out("index_copy", &[a.tensor(0)?], || index_copy(a.tensor(0)?, false, a.int(1)?, a.tensor(2)?, a.tensor(3)?), a.opt_tensor(4)?)?;
    "index_copy_(Tensor self, int dim, Tensor index, Tensor source)" Method "Copies rows to the rows that an index names, in place." =>
        |a| index_copy(a.tensor(0)?, true, a.int(1)?, a.tensor(2)?, a.tensor(3)?)?;
    "index_fill(Tensor self, int dim, Tensor index, Operand value)" Both "Writes a number to the rows that an index names." =>
        |a| index_fill_value(a.tensor(0)?, false, a.int(1)?, a.tensor(2)?, a.operand(3)?)?;
    "index_fill_(Tensor self, int dim, Tensor index, Operand value)" Method "Writes a number to the rows that an index names, in place." =>
        |a| index_fill_value(a.tensor(0)?, true, a.int(1)?, a.tensor(2)?, a.operand(3)?)?;
    "_index(Tensor self, Tensor?[] indices)" Function "The places that index tensors name together." => |a| get(a.tensor(0)?, &index_list(a, 1)?)?;
    "index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False)" Both "Writes values to the places that index tensors name together." =>
        |a| put_as(a.tensor(0)?, false, &index_list(a, 1)?, a.tensor(2)?, a.bool(3)?)?;
    "index_put_(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False)" Both "Writes values to the places that index tensors name together, in place." =>
        |a| put_as(a.tensor(0)?, true, &index_list(a, 1)?, a.tensor(2)?, a.bool(3)?)?;
    "take(Tensor self, Tensor index, *, Tensor? out=None)" Both "Elements of the flattened tensor." =>
        |a| into_out("take", &[a.tensor(0)?], || take(a.tensor(0)?, a.tensor(1)?), a.opt_tensor(2)?)?;
    "put(Tensor self, Tensor index, Tensor source, bool accumulate=False)" Both "Writes to places of the flattened tensor." =>
        |a| put_flat(a.tensor(0)?, false, a.tensor(1)?, a.tensor(2)?, a.bool(3)?)?;
    "put_(Tensor self, Tensor index, Tensor source, bool accumulate=False)" Method "Writes to places of the flattened tensor, in place." =>
        |a| put_flat(a.tensor(0)?, true, a.tensor(1)?, a.tensor(2)?, a.bool(3)?)?;
    "take_along_dim(Tensor self, Tensor indices, int? dim=None, *, Tensor? out=None)" Both "The elements that indices, broadcast, name along a dimension." =>
        |a| into_out("take_along_dim", &[a.tensor(0)?], || take_along_dim(a.tensor(0)?, a.tensor(1)?, a.opt_int(2)?), a.opt_tensor(3)?)?;
    "masked_select(Tensor self, Tensor mask, *, Tensor? out=None)" Both "The elements where a mask is true, as a vector." =>
        |a| into_out("masked_select", &[a.tensor(0)?], || masked_select(a.tensor(0)?, a.tensor(1)?), a.opt_tensor(2)?)?;
    "masked_scatter(Tensor self, Tensor mask, Tensor source)" Both "Successive elements of `source` where a mask is true." =>
        |a| masked_scatter(a.tensor(0)?, false, a.tensor(1)?, a.tensor(2)?)?;
    "masked_scatter_(Tensor self, Tensor mask, Tensor source)" Method "Successive elements of `source` where a mask is true, in place." =>
        |a| masked_scatter(a.tensor(0)?, true, a.tensor(1)?, a.tensor(2)?)?;
    "where(Tensor condition)" Function "Coordinates of the elements that are not zero, a vector for each dimension." => |a| places(a.tensor(0)?)?;
    "nonzero(Tensor self, *, bool as_tuple=False, Tensor? out=None)" Both "Coordinates of the elements that are not zero." => |a| {
        let x = a.tensor(0)?;
        if a.bool(1)? {
            ensure!(a.opt_tensor(2)?.is_none(), Runtime, "nonzero does not support the out kwarg when as_tuple is True");
            Output::Tensors(places(x)?)
        } else {
            if let Some(out) = a.opt_tensor(2)? {
                ensure!(out.dtype() == DType::I64, Runtime, "nonzero: Expected out tensor to have scalar type Long but got scalar type{}", out.dtype().scalar_name());
            }
            into_out("nonzero", &[x], || nonzero(&x.detach()), a.opt_tensor(2)?)?
        }
    };
    "argwhere(Tensor self)" Both "Coordinates of the elements that are not zero, one row each." => |a| nonzero(a.tensor(0)?)?;
    "one_hot(Tensor self, int num_classes=-1)" Function "A row of zeros for each index, with a one in its column." => |a| one_hot(a.tensor(0)?, a.int(1)?)?;
}
