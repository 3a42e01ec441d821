//! Python arguments read by an op's schema.

use crate::arrays::{self, Number};
use crate::tensor::{PyTensor, cast_tensor};
use crate::types::{PyDType, PyGenerator, PyLayout, PyMemoryFormat, parse_device};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyComplex, PyFloat, PyInt, PyList, PyString, PyTuple};
use rustnn_ops::registry::Arg;
use rustnn_ops::row::Scalar;
use rustnn_ops::schema::{Kind, Param, Schema};
use rustnn_tensor::DType;
use smallvec::SmallVec;

/// Why an overload did not take its arguments.
pub enum Mismatch {
    /// Another overload may do.
    Arguments(String),
    /// A conversion raised something that is not about types.
    Raised(PyErr),
}

impl From<PyErr> for Mismatch {
    fn from(error: PyErr) -> Self {
        Mismatch::Raised(error)
    }
}

pub type Values = SmallVec<[Arg; 6]>;

/// Names that NumPy gives to PyTorch's parameters.
fn alias(name: &str) -> &str {
    match name {
        "axis" => "dim",
        "keepdims" => "keepdim",
        "x1" => "self",
        "x2" => "other",
        "input" | "x" | "a" => "self",
        "axis0" => "dim0",
        "axis1" => "dim1",
        other => other,
    }
}

fn shown(name: &str) -> &str {
    if name == "self" { "input" } else { name }
}

/// Reads `args` and `kwargs` into `values`, which is empty, in the schema's order.
pub fn read(
    schema: &Schema,
    args: &[Bound<PyAny>],
    kwargs: &[(Bound<PyString>, Bound<PyAny>)],
    values: &mut Values,
) -> Result<(), Mismatch> {
    let params = &schema.params;
    let mut next = 0;
    for (i, param) in params.iter().enumerate() {
        // view(2, 3): all that follows is the list.
        if let (Kind::Ints { rest: true, .. }, false) = (param.kind, param.keyword_only)
            && next < args.len()
            && (args.len() - next > 1 || is_int(&args[next]))
        {
            let last = args.len();
            let ints = args[next..last].iter().map(int).collect::<Option<SmallVec<[i64; 5]>>>();
            match ints {
                Some(ints) => {
                    values.push(Arg::Ints(ints));
                    next = last;
                    continue;
                }
                None if args.len() - next > 1 && int_list(&args[next]).is_none() => {
                    let bad = args[next..].iter().find(|a| int(a).is_none()).unwrap_or(&args[next]);
                    return Err(Mismatch::Arguments(format!(
                        "{}(): argument '{}' (position {}) must be tuple of ints, but found element of type {} at pos {}",
                        schema.name,
                        shown(&param.name),
                        i + 1,
                        type_name(bad),
                        args[next..].iter().position(|a| int(a).is_none()).unwrap_or(0)
                    )));
                }
                None => {}
            }
        }
        let given = if !param.keyword_only && next < args.len() {
            next += 1;
            Some((&args[next - 1], Some(next)))
        } else if kwargs.is_empty() {
            None
        } else {
            let found = kwargs.iter().find(|(k, _)| {
                let k = k.to_cow().unwrap_or_default();
                *k == *param.name || (alias(&k) == param.name && !params.iter().any(|p| *p.name == *k))
            });
            found.map(|(_, v)| (v, None))
        };
        match given {
            Some((value, position)) => values.push(convert(schema, param, value, position)?),
            None => match &param.default {
                Some(default) => values.push(default.clone()),
                None => {
                    let missing: Vec<String> = params[i..]
                        .iter()
                        .filter(|p| p.default.is_none() && !kwargs.iter().any(|(k, _)| *k.to_cow().unwrap_or_default() == *p.name))
                        .map(|p| format!("\"{}\"", shown(&p.name)))
                        .collect();
                    return Err(Mismatch::Arguments(format!(
                        "{}() missing {} required positional arguments: {}",
                        schema.name,
                        missing.len(),
                        missing.join(", ")
                    )));
                }
            },
        }
    }
    if next < args.len() {
        let positional = params.iter().filter(|p| !p.keyword_only).count();
        return Err(Mismatch::Arguments(format!(
            "{}() takes {positional} positional argument{} but {} {} given",
            schema.name,
            if positional == 1 { "" } else { "s" },
            args.len(),
            if args.len() == 1 { "was" } else { "were" }
        )));
    }
    for (k, _) in kwargs {
        let k = k.to_cow().unwrap_or_default();
        match params.iter().position(|p| *p.name == *k || (p.name == alias(&k) && !params.iter().any(|q| *q.name == *k))) {
            None => {
                return Err(Mismatch::Arguments(format!("{}() got an unexpected keyword argument '{k}'", schema.name)));
            }
            Some(i) if i < args.len() && !params[i].keyword_only => {
                return Err(Mismatch::Arguments(format!("{}() got multiple values for argument '{k}'", schema.name)));
            }
            _ => {}
        }
    }
    Ok(())
}

pub fn type_name(object: &Bound<PyAny>) -> String {
    if object.cast::<PyTensor>().is_ok() && object.get_type().is(object.py().get_type::<PyTensor>()) {
        return "Tensor".into();
    }
    object.get_type().name().map_or_else(|_| "object".into(), |n| n.to_string())
}

fn is_int(object: &Bound<PyAny>) -> bool {
    int(object).is_some()
}

/// An int, or anything that stands for one: NumPy's ints, whole 0-dim tensors; no bool.
pub fn int(object: &Bound<PyAny>) -> Option<i64> {
    if object.is_exact_instance_of::<PyInt>() {
        return object.extract().ok();
    }
    let not = object.is_instance_of::<PyBool>() || object.is_instance_of::<PyFloat>() || object.is_instance_of::<PyTuple>();
    if not || object.is_instance_of::<PyString>() {
        return None;
    }
    if let Ok(tensor) = object.cast::<PyTensor>() {
        let t = tensor.get().get(object.py());
        if t.numel() != 1 || !t.dtype().is_integral() || t.requires_grad() {
            return None;
        }
        if crate::record::on() && crate::record::check_read(&t, "a tensor as a number").is_err() {
            return None;
        }
        return rustnn_ops::read::item(&t).ok().map(Scalar::to_i64);
    }
    object.call_method0("__index__").ok()?.extract().ok()
}

fn int_list(object: &Bound<PyAny>) -> Option<SmallVec<[i64; 5]>> {
    if let Ok(tuple) = object.cast::<PyTuple>() {
        return tuple.iter().map(|i| int(&i)).collect();
    }
    if let Ok(list) = object.cast::<PyList>() {
        return list.iter().map(|i| int(&i)).collect();
    }
    None
}

/// A Python number, or None.
pub fn scalar(object: &Bound<PyAny>) -> Option<Scalar> {
    if let Ok(float) = object.cast::<PyFloat>() {
        return Some(Scalar::Float(float.value()));
    }
    if let Ok(bool) = object.cast::<PyBool>() {
        return Some(Scalar::Bool(bool.is_true()));
    }
    if object.is_instance_of::<PyInt>() {
        return match object.extract::<i64>() {
            Ok(i) => Some(Scalar::Int(i)),
            Err(_) => object.extract::<f64>().ok().map(Scalar::Float),
        };
    }
    if let Ok(tensor) = object.cast::<PyTensor>() {
        let t = tensor.get().get(object.py());
        if t.rank() == 0 && !t.requires_grad() {
            if crate::record::on() && crate::record::check_read(&t, "a tensor as a number").is_err() {
                return None;
            }
            return rustnn_ops::read::item(&t).ok();
        }
        return None;
    }
    match arrays::number(object)?.0 {
        Number::Real(value) => Some(value),
        Number::Complex(..) => None,
    }
}

/// The parts of a complex number of Python or NumPy, or of a 0-dim tensor.
pub fn complex(object: &Bound<PyAny>) -> Option<(f64, f64)> {
    if let Ok(number) = object.cast::<PyComplex>() {
        return Some((number.real(), number.imag()));
    }
    if let Ok(tensor) = object.cast::<PyTensor>() {
        let t = tensor.get().get(object.py());
        let readable = t.rank() == 0 && t.dtype().is_complex() && !t.requires_grad() && !t.array().is_meta() && !crate::record::on();
        return if readable { rustnn_ops::complex::elements(t.array()).ok()?.first().copied() } else { None };
    }
    match arrays::number(object)?.0 {
        Number::Real(_) => None,
        Number::Complex(re, im) => Some((re, im)),
    }
}

fn complex_arg(object: &Bound<PyAny>) -> Option<Arg> {
    complex(object).map(|(re, im)| Arg::Complex(re, im))
}

/// Turns complex numbers among the arguments into tensors, as precise as the tensors beside them.
pub fn resolve_complex(values: &mut Values) -> rustnn_tensor::Result<()> {
    let mut beside = None;
    for value in values.iter() {
        if let Arg::Tensor(t) = value {
            let dtype = t.dtype();
            beside = Some(if matches!(dtype, DType::F64 | DType::C128) { DType::F64 } else { beside.unwrap_or(dtype) });
        }
    }
    for value in values.iter_mut() {
        if let Arg::Complex(re, im) = *value {
            *value = Arg::Tensor(rustnn_ops::complex::number(re, im, beside.unwrap_or(DType::C128))?);
        }
    }
    Ok(())
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::Tensor => "Tensor",
        Kind::Tensors | Kind::OptionalTensors => "tuple of Tensors",
        Kind::Operand => "Tensor",
        Kind::Scalar => "Number",
        Kind::Int => "int",
        Kind::Ints { .. } | Kind::OptionalInts => "tuple of ints",
        Kind::Float => "float",
        Kind::Floats => "tuple of floats",
        Kind::Bool => "bool",
        Kind::Str => "str",
        Kind::DType => "torch.dtype",
        Kind::Device => "torch.device",
        Kind::Layout => "torch.layout",
        Kind::MemoryFormat => "torch.memory_format",
        Kind::Generator => "torch.Generator",
    }
}

fn convert(schema: &Schema, param: &Param, value: &Bound<PyAny>, position: Option<usize>) -> Result<Arg, Mismatch> {
    let py = value.py();
    if value.is_none() && (param.optional || matches!(param.kind, Kind::MemoryFormat)) {
        return Ok(Arg::None);
    }
    let got = match param.kind {
        Kind::Tensor => cast_tensor(value).map(Arg::Tensor),
        Kind::Operand => cast_tensor(value).map(Arg::Tensor).or_else(|| scalar(value).map(Arg::Scalar)).or_else(|| complex_arg(value)),
        Kind::Scalar => scalar(value).map(Arg::Scalar).or_else(|| complex_arg(value)),
        Kind::Tensors => tensors(value)?.map(Arg::Tensors),
        Kind::OptionalTensors => match value.try_iter() {
            Ok(items) => {
                let mut out = Vec::new();
                for item in items {
                    let item = item?;
                    out.push(if item.is_none() { None } else { cast_tensor(&item) });
                }
                Some(Arg::OptionalTensors(out))
            }
            Err(_) => None,
        },
        Kind::Int => {
            if value.is_instance_of::<PyInt>() && value.extract::<i64>().is_err() {
                return Err(Mismatch::Raised(PyValueError::new_err("Overflow when unpacking long long")));
            }
            int(value).map(Arg::Int)
        }
        Kind::Ints { single, .. } => match int_list(value) {
            Some(list) => Some(Arg::Ints(list)),
            None if single => int(value).map(|i| Arg::Ints(SmallVec::from_slice(&[i]))),
            None => match value.cast::<PyTuple>().map(|t| t.to_list()).ok().or_else(|| value.cast::<PyList>().ok().cloned()) {
                Some(list) => {
                    let at = list.iter().position(|i| int(&i).is_none()).unwrap_or(0);
                    let item = list.get_item(at)?;
                    if item.is_instance_of::<PyInt>() {
                        return Err(Mismatch::Raised(PyValueError::new_err("Overflow when unpacking long long")));
                    }
                    return Err(Mismatch::Arguments(format!(
                        "{}(): argument '{}' {}must be tuple of ints, but found element of type {} at pos {at}",
                        schema.name,
                        shown(&param.name),
                        position.map_or(String::new(), |p| format!("(position {p}) ")),
                        type_name(&item)
                    )));
                }
                None => None,
            },
        },
        Kind::OptionalInts => {
            let one = |v: &Bound<PyAny>| if v.is_none() { Some(rustnn_ops::pool::WHOLE) } else { int(v) };
            match value.cast::<PyTuple>().map(|t| t.to_list()).ok().or_else(|| value.cast::<PyList>().ok().cloned()) {
                Some(list) => list.iter().map(|v| one(&v)).collect::<Option<SmallVec<[i64; 5]>>>().map(Arg::Ints),
                None => one(value).map(|i| Arg::Ints(SmallVec::from_slice(&[i]))),
            }
        }
        Kind::Float => scalar(value).map(|s| Arg::Float(s.to_f64())),
        Kind::Floats => match value.try_iter() {
            Ok(items) => {
                let list: Vec<Bound<PyAny>> = items.collect::<PyResult<_>>()?;
                list.iter().map(|v| scalar(v).map(Scalar::to_f64)).collect::<Option<Vec<f64>>>().map(Arg::Floats)
            }
            Err(_) => scalar(value).map(|s| Arg::Floats(vec![s.to_f64()])),
        },
        Kind::Bool => match value.cast::<PyBool>() {
            Ok(b) => Some(Arg::Bool(b.is_true())),
            // No numbers, as in PyTorch: `var(0)` is not `var(unbiased=False)`.
            Err(_) => numpy_bool(value).map(Arg::Bool),
        },
        Kind::Str => value.cast::<PyString>().ok().map(|s| Arg::Str(s.to_string())),
        Kind::DType => match value.cast::<PyDType>() {
            Ok(d) => Some(Arg::DType(d.get().0)),
            Err(_) => python_dtype(value).map(Arg::DType),
        },
        Kind::Device => Some(Arg::Device(parse_device(value)?)),
        Kind::Layout => value.cast::<PyLayout>().ok().map(|_| Arg::None),
        Kind::MemoryFormat => value.cast::<PyMemoryFormat>().ok().map(|m| Arg::Str(m.get().0.into())),
        Kind::Generator => value.cast::<PyGenerator>().ok().map(|g| Arg::Generator(g.get().0.clone())),
    };
    let _ = py;
    got.ok_or_else(|| {
        Mismatch::Arguments(format!(
            "{}(): argument '{}' {}must be {}, not {}",
            schema.name,
            shown(&param.name),
            position.map_or(String::new(), |p| format!("(position {p}) ")),
            expected(param.kind),
            type_name(value)
        ))
    })
}

fn numpy_bool(value: &Bound<PyAny>) -> Option<bool> {
    match scalar(value)? {
        Scalar::Bool(b) => Some(b),
        _ => None,
    }
}

/// `float`, `int`, `bool` and `complex` stand for dtypes, as in PyTorch.
pub fn python_dtype(value: &Bound<PyAny>) -> Option<rustnn_tensor::DType> {
    let py = value.py();
    if value.is(py.get_type::<PyFloat>()) {
        Some(rustnn_tensor::DType::F64)
    } else if value.is(py.get_type::<PyInt>()) {
        Some(rustnn_tensor::DType::I64)
    } else if value.is(py.get_type::<PyBool>()) {
        Some(rustnn_tensor::DType::Bool)
    } else if value.is(py.get_type::<pyo3::types::PyComplex>()) {
        Some(rustnn_tensor::DType::C128)
    } else {
        None
    }
}

fn tensors(value: &Bound<PyAny>) -> Result<Option<Vec<rustnn_ops::Tensor>>, Mismatch> {
    if !value.is_instance_of::<PyTuple>() && !value.is_instance_of::<PyList>() {
        return Ok(None);
    }
    let mut out = Vec::new();
    for (i, item) in value.try_iter()?.enumerate() {
        let item = item?;
        match cast_tensor(&item) {
            Some(t) => out.push(t),
            None => {
                return Err(Mismatch::Raised(PyTypeError::new_err(format!(
                    "expected Tensor as element {i} in argument 0, but got {}",
                    type_name(&item)
                ))));
            }
        }
    }
    Ok(Some(out))
}
