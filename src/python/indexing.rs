//! `tensor[index]` and `tensor[index] = value`: ints, slices, None, Ellipsis and bools become views; tensors and lists then
//! index what is left.

use crate::arrays::{self, Number};
use crate::detach::detached;
use crate::error::IntoPy;
use crate::record;
use crate::schema::{int, type_name};
use crate::tensor::{PyTensor, cast_tensor, wrap};
use pyo3::exceptions::*;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyEllipsis, PyInt, PyList, PyRange, PySlice, PyTuple};
use rustnn_ops::registry::Arg;
use rustnn_ops::row::Scalar;
use rustnn_ops::{Tensor, views};
use rustnn_tensor::DType;
use smallvec::smallvec;

enum Item<'py> {
    Int(i64),
    Slice(Bound<'py, PySlice>),
    None,
    Ellipsis,
    Bool(bool),
    Tensor(Tensor),
}

/// The items of an index.
fn items<'py>(index: &Bound<'py, PyAny>) -> PyResult<Vec<Item<'py>>> {
    if let Ok(tuple) = index.cast::<PyTuple>() {
        return tuple.iter().map(|i| item(&i)).collect();
    }
    if let Ok(list) = index.cast::<PyList>()
        && is_meant_as_tuple(list)
    {
        let text = "Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed in pytorch 2.9; \
                    use x[tuple(seq)] instead of x[seq].";
        let py = index.py();
        py.import("warnings")?.call_method1("warn", (text, py.get_type::<PyUserWarning>()))?;
        return list.iter().map(|i| item(&i)).collect();
    }
    Ok(vec![item(index)?])
}

/// PyTorch's (and once NumPy's) rule: a short list that holds more than numbers is a tuple of indices, one for each dimension.
fn is_meant_as_tuple(list: &Bound<PyList>) -> bool {
    list.len() < 32
        && list.iter().any(|i| {
            i.is_none()
                || i.is(PyEllipsis::get(i.py()))
                || i.is_instance_of::<PySlice>()
                || i.is_instance_of::<PyTensor>()
                || i.is_instance_of::<PyList>()
                || i.is_instance_of::<PyTuple>()
        })
}

fn item<'py>(index: &Bound<'py, PyAny>) -> PyResult<Item<'py>> {
    if index.is_none() {
        return Ok(Item::None);
    }
    if index.is(PyEllipsis::get(index.py())) {
        return Ok(Item::Ellipsis);
    }
    if let Ok(slice) = index.cast::<PySlice>() {
        return Ok(Item::Slice(slice.clone()));
    }
    if let Ok(b) = index.cast::<PyBool>() {
        return Ok(Item::Bool(b.is_true()));
    }
    if let Ok(tensor) = index.cast::<PyTensor>() {
        let t = tensor.get().get(index.py());
        if t.rank() == 0 && t.dtype().is_integral() && t.dtype() != DType::Bool && t.dtype() != DType::U8 {
            if record::on() {
                record::check_read(&t, "a tensor as an index of one place")?;
            }
            return Ok(Item::Int(rustnn_ops::read::item(&t).py()?.to_i64()));
        }
        return Ok(Item::Tensor(t));
    }
    if index.is_instance_of::<PyInt>() {
        return index.extract().map(Item::Int).map_err(|_| PyIndexError::new_err("index does not fit 64 bits"));
    }
    if let Some((Number::Real(Scalar::Int(i)), _)) = arrays::number(index) {
        return Ok(Item::Int(i));
    }
    if index.is_instance_of::<PyList>()
        || index.is_instance_of::<PyTuple>()
        || index.is_instance_of::<PyRange>()
        || index.hasattr("__array_interface__")?
    {
        let t = crate::construct::tensor_of(index, None, None)?;
        if t.rank() == 0 && t.dtype().is_integral() && t.dtype() != DType::Bool {
            return Ok(Item::Int(rustnn_ops::read::item(&t).py()?.to_i64())); // an array without dimensions
        }
        // An empty list indexes nothing; of numbers in a list the whole part counts.
        let listed = index.is_instance_of::<PyList>() || index.is_instance_of::<PyTuple>();
        return Ok(Item::Tensor(if t.numel() == 0 || (listed && t.dtype().is_float()) {
            rustnn_ops::to_dtype(&t, DType::I64).py()?
        } else {
            t
        }));
    }
    if let Some(i) = int(index) {
        return Ok(Item::Int(i));
    }
    if index.is_instance_of::<pyo3::types::PyString>() {
        return Err(PyTypeError::new_err("only integers, slices (`:`), ellipsis (`...`), None and tensors are valid indices, not 'str'"));
    }
    Err(PyIndexError::new_err(format!(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got {})",
        type_name(index)
    )))
}

fn bound(slice: &Bound<PySlice>, name: &str) -> PyResult<Option<i64>> {
    let value = slice.getattr(name)?;
    if value.is_none() {
        return Ok(None);
    }
    match int(&value) {
        Some(i) => Ok(Some(i)),
        None if value.is_instance_of::<PyInt>() => Ok(Some(if value.lt(0)? { i64::MIN } else { i64::MAX })),
        None => Err(PyTypeError::new_err("slice indices must be integers or None or have an __index__ method")),
    }
}

#[inline]
fn select(x: &Tensor, dim: i64, index: i64) -> PyResult<Tensor> {
    if record::on() {
        return record::op("select", smallvec![Arg::Tensor(x.clone()), Arg::Int(dim), Arg::Int(index)]);
    }
    views::select(x, dim, index).py()
}

fn slice_of(x: &Tensor, dim: i64, start: Option<i64>, end: Option<i64>, step: i64) -> PyResult<Tensor> {
    if record::on() {
        let bound = |at: Option<i64>| at.map_or(Arg::None, Arg::Int);
        return record::op("slice", smallvec![Arg::Tensor(x.clone()), Arg::Int(dim), bound(start), bound(end), Arg::Int(step)]);
    }
    views::slice(x, dim, start, end, step).py()
}

fn unsqueeze(x: &Tensor, dim: i64) -> PyResult<Tensor> {
    if record::on() {
        return record::op("unsqueeze", smallvec![Arg::Tensor(x.clone()), Arg::Int(dim)]);
    }
    views::unsqueeze(x, dim).py()
}

const BYTE_MASK: &std::ffi::CStr = c"indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.";

/// The view that the plain items make, and the tensor items, one slot for each dimension of it.
fn plan(x: &Tensor, items: &[Item]) -> PyResult<(Tensor, Vec<Option<Tensor>>)> {
    let used: usize = items
        .iter()
        .map(|i| match i {
            Item::Int(_) | Item::Slice(_) => 1,
            Item::Tensor(t) if matches!(t.dtype(), DType::Bool | DType::U8) => t.rank(),
            Item::Tensor(_) => 1,
            _ => 0,
        })
        .sum();
    if used > x.rank() {
        return Err(PyIndexError::new_err(format!("too many indices for tensor of dimension {}", x.rank())));
    }
    let mut view = x.clone();
    let mut tensors: Vec<Option<Tensor>> = Vec::new();
    let mut dim = 0usize;
    // Dimensions of `x` behind us: messages name those.
    let mut behind = 0usize;
    let mut seen_ellipsis = false;
    for item in items {
        match item {
            Item::Int(i) => {
                let size = view.shape()[dim] as i64;
                if *i < -size || *i >= size {
                    return Err(PyIndexError::new_err(format!("index {i} is out of bounds for dimension {behind} with size {size}")));
                }
                view = select(&view, dim as i64, *i)?;
                behind += 1;
            }
            Item::Slice(slice) => {
                let step = bound(slice, "step")?.unwrap_or(1);
                if step <= 0 {
                    return Err(PyValueError::new_err(if step == 0 {
                        "slice step cannot be zero"
                    } else {
                        "step must be greater than zero"
                    }));
                }
                let (start, end) = (bound(slice, "start")?, bound(slice, "stop")?);
                if start.is_some() || end.is_some() || step != 1 {
                    view = slice_of(&view, dim as i64, start, end, step)?;
                }
                tensors.push(None);
                dim += 1;
                behind += 1;
            }
            Item::None => {
                view = unsqueeze(&view, dim as i64)?;
                tensors.push(None);
                dim += 1;
            }
            Item::Ellipsis if seen_ellipsis => {
                return Err(PyIndexError::new_err("an index can only have a single ellipsis ('...')"));
            }
            Item::Ellipsis => {
                seen_ellipsis = true;
                for _ in 0..x.rank() - used {
                    tensors.push(None);
                    dim += 1;
                    behind += 1;
                }
            }
            Item::Bool(b) => {
                view = unsqueeze(&view, dim as i64)?;
                tensors.push(Some(Tensor::from_slice(&[*b], &[1]).py()?));
                dim += 1;
            }
            Item::Tensor(t) => {
                if !matches!(t.dtype(), DType::I64 | DType::I32 | DType::I16 | DType::I8 | DType::U8 | DType::Bool) {
                    return Err(PyIndexError::new_err("tensors used as indices must be long, int, byte or bool tensors"));
                }
                if t.dtype() == DType::U8 {
                    Python::attach(|py| PyErr::warn(py, &py.get_type::<PyUserWarning>(), BYTE_MASK, 1))?;
                }
                let spans = if matches!(t.dtype(), DType::Bool | DType::U8) { t.rank() } else { 1 };
                if t.rank() == 0 {
                    // A 0-dim mask adds a dimension.
                    view = unsqueeze(&view, dim as i64)?;
                    tensors.push(Some(unsqueeze(t, 0)?));
                    dim += 1;
                } else {
                    tensors.push(Some(t.clone()));
                    dim += spans;
                    behind += spans;
                }
            }
        }
    }
    Ok((view, tensors))
}

pub fn get<'py>(slf: &Bound<'py, PyTensor>, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = slf.py();
    let x = slf.get().get(py);
    // x[i], the most frequent.
    if index.is_exact_instance_of::<PyInt>()
        && let Ok(i) = index.extract::<i64>()
    {
        let size = x.shape().first().copied().unwrap_or(0) as i64;
        if x.rank() == 0 {
            return Err(PyIndexError::new_err(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number",
            ));
        }
        if i < -size || i >= size {
            return Err(PyIndexError::new_err(format!("index {i} is out of bounds for dimension 0 with size {size}")));
        }
        return wrap(py, select(&x, 0, i)?);
    }
    let (view, tensors) = plan(&x, &items(index)?)?;
    let out = if record::on() {
        match tensors.iter().any(Option::is_some) {
            true => record::op("_index", smallvec![Arg::Tensor(view), Arg::OptionalTensors(tensors)])?,
            false if view.same(&x) => record::op("_alias", smallvec![Arg::Tensor(x)])?,
            false => view,
        }
    } else if tensors.iter().any(Option::is_some) {
        detached(py, || rustnn_ops::index::get(&view, &tensors)).py()?
    } else if view.same(&x) {
        views::alias(&x)
    } else {
        view
    };
    wrap(py, out)
}

pub fn set(slf: &Bound<PyTensor>, index: &Bound<PyAny>, value: &Bound<PyAny>) -> PyResult<()> {
    let py = slf.py();
    let x = slf.get().get(py);
    let value = match cast_tensor(value) {
        Some(t) => t,
        None => match crate::schema::scalar(value) {
            Some(s) => rustnn_ops::create::full_array(&[], s, x.dtype(), rustnn_tensor::Device::Cpu).map(Tensor::from_array).py()?,
            None if let Some((re, im)) = crate::schema::complex(value) => {
                let number = rustnn_ops::complex::number(re, im, x.dtype()).py()?;
                if !x.dtype().is_complex() {
                    return Err(pyo3::exceptions::PyRuntimeError::new_err(format!(
                        "value cannot be converted to type {} without overflow",
                        rustnn_ops::names::number_type(x.dtype())
                    )));
                }
                number
            }
            None if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() || value.hasattr("__array_interface__")? => {
                crate::construct::tensor_of(value, Some(x.dtype()), None)?
            }
            None => {
                return Err(PyTypeError::new_err(format!(
                    "can't assign a {} to a torch.{}",
                    type_name(value),
                    rustnn_ops::names::legacy_type(x.dtype())
                )));
            }
        },
    };
    let (view, tensors) = plan(&x, &items(index)?)?;
    if tensors.iter().any(Option::is_some) {
        if record::on() {
            let indices = Arg::OptionalTensors(tensors);
            return record::op("index_put_", smallvec![Arg::Tensor(view), indices, Arg::Tensor(value), Arg::Bool(false)]).map(drop);
        }
        return detached(py, || rustnn_ops::index::put(&view, &tensors, &value, false)).py();
    }
    // Leading sizes of 1 in the value do not matter.
    let mut shape = value.shape();
    while shape.len() > view.rank() && shape[0] == 1 {
        shape = &shape[1..];
    }
    if record::on() {
        let mut value = value.clone();
        for _ in 0..value.rank() - shape.len() {
            value = record::op("select", smallvec![Arg::Tensor(value), Arg::Int(0), Arg::Int(0)])?;
        }
        return record::op("copy_", smallvec![Arg::Tensor(view), Arg::Tensor(value), Arg::Bool(false)]).map(drop);
    }
    let value = if shape.len() == value.rank() { value.clone() } else { views::reshape_to(&value, shape).py()? };
    rustnn_ops::copy::copy_(&view, &value).py()
}
