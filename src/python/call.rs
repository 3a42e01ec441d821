//! Calls from Python into the registry: one native function per name, without a Python frame.

use crate::detach::detached;
use crate::error::to_python;
use crate::record;
use crate::schema::{Mismatch, Values, read, type_name};
use crate::tensor::{self, PyTensor};
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple, PyType};
use rustnn_ops::registry::{self, Arg, Args, Output, Place};
use rustnn_ops::schema::Schema;
use std::collections::HashMap;
use std::ffi::CString;
use std::sync::OnceLock;

/// A name and its overloads.
struct Entry {
    name: String,
    overloads: Vec<Schema>,
    /// The Python object of the function (or the method's descriptor where it is a method only), for `__torch_function__`.
    object: PyOnceLock<Py<PyAny>>,
    place: (bool, bool),
}

struct Table {
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
}

static TABLE: OnceLock<Table> = OnceLock::new();

fn table() -> &'static Table {
    TABLE.get_or_init(|| {
        let mut entries: Vec<Entry> = Vec::new();
        let mut by_name = HashMap::new();
        for op in registry::all() {
            let schema = Schema::parse(&op).unwrap_or_else(|error| panic!("{error}"));
            let at = *by_name.entry(schema.name.clone()).or_insert_with(|| {
                entries.push(Entry { name: schema.name.clone(), overloads: Vec::new(), object: PyOnceLock::new(), place: (false, false) });
                entries.len() - 1
            });
            let entry = &mut entries[at];
            entry.place.0 |= op.place != Place::Method;
            entry.place.1 |= op.place != Place::Function;
            entry.overloads.push(schema);
        }
        Table { entries, by_name }
    })
}

/// Elements above which other Python threads run meanwhile.
const DETACH_ELEMENTS: usize = 1 << 14;

fn cost(values: &Values) -> usize {
    values
        .iter()
        .map(|v| match v {
            Arg::Tensor(t) => t.numel(),
            Arg::Tensors(all) => all.iter().map(|t| t.numel()).sum(),
            Arg::Ints(sizes) => sizes.iter().try_fold(1usize, |n, &s| n.checked_mul(usize::try_from(s).ok()?)).unwrap_or(0),
            _ => 0,
        })
        .sum()
}

fn is_meta(value: &Arg) -> bool {
    match value {
        Arg::Tensor(t) => t.array().is_meta(),
        Arg::Tensors(all) => all.iter().any(|t| t.array().is_meta()),
        Arg::OptionalTensors(all) => all.iter().flatten().any(|t| t.array().is_meta()),
        _ => false,
    }
}

/// An error for tensors with and without data in one call: an op looks at one of them to see whether there is anything to compute.
/// The table's rows and copies know better.
#[cold]
fn check_meta(schema: &Schema, values: &Values) -> rustnn_tensor::Result<()> {
    let elementwise = schema.text.contains("Operand ") || schema.name == "copy_";
    let has_data = |t: &rustnn_ops::Tensor| !t.array().is_meta();
    let mixed = values.iter().any(|value| match value {
        Arg::Tensor(t) => has_data(t),
        Arg::Tensors(all) => all.iter().any(&has_data),
        Arg::OptionalTensors(all) => all.iter().flatten().any(&has_data),
        _ => false,
    });
    if mixed && !elementwise {
        return Err(rustnn_tensor::Error::Runtime(
            "Expected all tensors to be on the same device, but found at least two devices, cpu and meta!".into(),
        ));
    }
    Ok(())
}

fn call<'py>(
    py: Python<'py>,
    entry: &Entry,
    args: &[Bound<'py, PyAny>],
    kwargs: &[(Bound<'py, PyString>, Bound<'py, PyAny>)],
) -> PyResult<Bound<'py, PyAny>> {
    let mut failures = Vec::new();
    let mut values = Values::new();
    for schema in &entry.overloads {
        values.clear();
        match read(schema, args, kwargs, &mut values) {
            Ok(()) => {
                if values.iter().any(|value| matches!(value, Arg::Complex(..))) {
                    crate::schema::resolve_complex(&mut values).map_err(to_python)?;
                }
                if let Some(half) = crate::autocast::dtype() {
                    crate::autocast::cast(&schema.name, half, &mut values)?;
                }
                if values.iter().any(is_meta) {
                    check_meta(schema, &values).map_err(to_python)?;
                }
                let run = || schema.run.call(&Args(&values));
                let compute = || if cost(&values) > DETACH_ELEMENTS { detached(py, run) } else { run() };
                let result = if record::on() {
                    if let Some(count) = record::traced_numel(py, schema, &values)? {
                        return Ok(count);
                    }
                    record::call(schema, &values, compute)
                } else {
                    compute()
                };
                return output(py, result.map_err(to_python)?);
            }
            Err(Mismatch::Arguments(text)) => failures.push(text),
            Err(Mismatch::Raised(error)) => return Err(error),
        }
    }
    if kwargs.is_empty()
        && let Some((positional, number)) = number_first(&entry.name, args)
    {
        let kind = if positional.len() == 2 { "alpha" } else { "value" };
        let text = format!(
            "This overload of {name} is deprecated:\n\t{name}(Tensor input, Number {kind}, …)\nConsider using one of the following signatures \
             instead:\n\t{}",
            entry.overloads[0].text,
            name = entry.name
        );
        PyErr::warn(py, &py.get_type::<pyo3::exceptions::PyUserWarning>(), &CString::new(text)?, 1)?;
        return call(py, entry, &positional, &[(PyString::new(py, kind), number)]);
    }
    if failures.len() == 1 {
        return Err(PyTypeError::new_err(failures.remove(0)));
    }
    let got: Vec<String> = args.iter().map(type_name).chain(kwargs.iter().map(|(k, v)| format!("{k}={}", type_name(v)))).collect();
    let expected: Vec<String> = entry.overloads.iter().zip(&failures).map(|(s, why)| format!(" * {}\n      {why}", s.text)).collect();
    Err(PyTypeError::new_err(format!(
        "{}() received an invalid combination of arguments - got ({}), but expected one of:\n{}\n",
        entry.name,
        got.join(", "),
        expected.join("\n")
    )))
}

/// The arguments of `add(input, alpha, other)` and `addcmul(input, value, tensor1, tensor2)`, orders that old programs use, and the
/// number among them.
#[cold]
fn number_first<'py>(name: &str, args: &[Bound<'py, PyAny>]) -> Option<(Vec<Bound<'py, PyAny>>, Bound<'py, PyAny>)> {
    let tensors = match name.trim_end_matches('_') {
        "add" | "sub" => 1,
        "addcmul" | "addcdiv" => 2,
        _ => return None,
    };
    let [own, number, rest @ ..] = args else { return None };
    let fits = rest.len() == tensors && rest.iter().chain([own]).all(|t| t.cast::<PyTensor>().is_ok());
    (fits && number.cast::<PyTensor>().is_err()).then(|| ([own].into_iter().chain(rest).cloned().collect(), number.clone()))
}

/// A `torch.return_types` tuple.
fn named<'py>(py: Python<'py>, name: &str, fields: &[&str], items: Vec<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    let class = py.import("rustnn.return_types")?.getattr("_make")?.call1((name, PyTuple::new(py, fields)?))?;
    class.call1((PyTuple::new(py, items)?,))
}

fn output(py: Python<'_>, output: Output) -> PyResult<Bound<'_, PyAny>> {
    match output {
        Output::None => Ok(py.None().into_bound(py)),
        Output::Tensor(t) => tensor::wrap(py, t),
        Output::Written(t) => tensor::wrap_written(py, t),
        Output::Tensors(all) => {
            let items = all.into_iter().map(|t| tensor::wrap(py, t)).collect::<PyResult<Vec<_>>>()?;
            Ok(PyTuple::new(py, items)?.into_any())
        }
        Output::Named(name, fields, all) => named(py, name, fields, all.into_iter().map(|t| tensor::wrap(py, t)).collect::<PyResult<_>>()?),
        Output::WrittenNamed(name, fields, all) => {
            named(py, name, fields, all.into_iter().map(|t| tensor::wrap_written(py, t)).collect::<PyResult<_>>()?)
        }
        Output::Bool(b) => tensor::number(py, b.into()),
        Output::Int(i) => tensor::number(py, i.into()),
        Output::Scalar(s) => tensor::number(py, s),
        Output::Ints(i) => tensor::size(py, i.into_iter()),
        Output::DType(d) => Ok(crate::types::dtype(py, d)?.into_any()),
    }
}

/// Runs `f` with the first schema of a name.
pub fn with_schema<R>(name: &str, f: impl FnOnce(&Schema) -> rustnn_tensor::Result<R>) -> rustnn_tensor::Result<R> {
    let table = table();
    match table.by_name.get(name).and_then(|&at| table.entries[at].overloads.first()) {
        Some(schema) => f(schema),
        None => Err(rustnn_tensor::Error::Runtime(format!("rustnn has no op {name}"))),
    }
}

/// Runs the op of a name, which has one schema, and records it.
pub fn run_recorded(name: &str, values: &Values) -> PyResult<Output> {
    with_schema(name, |schema| record::call(schema, values, || schema.run.call(&Args(values)))).map_err(to_python)
}

/// Calls an op by name.
pub fn by_name<'py>(
    py: Python<'py>,
    name: &str,
    args: &[Bound<'py, PyAny>],
    kwargs: &[(Bound<'py, PyString>, Bound<'py, PyAny>)],
) -> PyResult<Bound<'py, PyAny>> {
    let table = table();
    match table.by_name.get(name) {
        Some(&at) => call(py, &table.entries[at], args, kwargs),
        None => Err(PyRuntimeError::new_err(format!("rustnn has no op {name}"))),
    }
}

static DISABLED: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
static DEFAULT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Objects that stand for "no override" as a class's `__torch_function__`.
pub fn set_function_markers(py: Python<'_>, disabled: Py<PyAny>, default: Py<PyAny>) {
    let _ = DISABLED.set(py, disabled);
    let _ = DEFAULT.set(py, default);
}

thread_local! {
    /// `DisableTorchFunctionSubclass` is on.
    pub static FUNCTION_OFF: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    /// The `TorchFunctionMode`s that this thread has entered, the innermost last.
    static MODES: std::cell::RefCell<Vec<Py<PyAny>>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// How many modes all threads have entered: none, nearly always, so that calls look no further.
static MODES_ENTERED: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// Whether this thread is in a `TorchFunctionMode`.
#[inline]
pub fn in_mode() -> bool {
    MODES_ENTERED.load(std::sync::atomic::Ordering::Relaxed) > 0 && MODES.with_borrow(|modes| !modes.is_empty())
}

#[pyfunction]
fn _push_on_torch_function_stack(mode: Py<PyAny>) {
    MODES_ENTERED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    MODES.with_borrow_mut(|modes| modes.push(mode));
}

#[pyfunction]
fn _pop_torch_function_stack() -> PyResult<Py<PyAny>> {
    let mode = MODES.with_borrow_mut(Vec::pop).ok_or_else(|| PyRuntimeError::new_err("there is no TorchFunctionMode to leave"))?;
    MODES_ENTERED.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
    Ok(mode)
}

#[pyfunction]
fn _len_torch_function_stack() -> usize {
    MODES.with_borrow(Vec::len)
}

#[pyfunction]
fn _get_function_stack_at(py: Python<'_>, level: usize) -> PyResult<Py<PyAny>> {
    MODES
        .with_borrow(|modes| modes.get(level).map(|mode| mode.clone_ref(py)))
        .ok_or_else(|| PyRuntimeError::new_err(format!("there is no TorchFunctionMode at level {level}")))
}

/// What the innermost mode makes of a call, which it sees from outside of itself; None where it leaves it to the arguments.
#[cold]
fn asked_of_mode<'py>(
    py: Python<'py>,
    function: &Bound<'py, PyAny>,
    classes: &Bound<'py, PyTuple>,
    args: &Bound<'py, PyTuple>,
    named: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let mode = _pop_torch_function_stack()?;
    let result = mode.bind(py).call_method1("__torch_function__", (function, classes, args, named));
    _push_on_torch_function_stack(mode);
    let result = result?;
    Ok((!result.is(py.NotImplemented().bind(py))).then_some(result))
}

/// The result of a `__torch_function__` of one of the arguments, if their classes have such.
pub fn overridden<'py>(py: Python<'py>, name: &str, args: &[Bound<'py, PyAny>]) -> PyResult<Option<Bound<'py, PyAny>>> {
    let plain = py.get_type::<PyTensor>();
    if !in_mode() && args.iter().all(|a| a.get_type_ptr() == plain.as_type_ptr() || !may_override(a)) {
        return Ok(None);
    }
    override_with(py, name, args, &[])
}

/// Classes without an override that are met all the time (Parameter), kept alive for ever.
static PLAIN: [std::sync::atomic::AtomicUsize; 4] = [const { std::sync::atomic::AtomicUsize::new(0) }; 4];

/// Says that a class has no `__torch_function__` of its own, so that calls need not ask.
#[pyfunction]
fn _register_plain_class(class: Bound<'_, PyType>) {
    use std::sync::atomic::Ordering::*;
    let address = class.as_ptr() as usize;
    if PLAIN.iter().any(|slot| slot.compare_exchange(0, address, AcqRel, Acquire).is_ok()) {
        std::mem::forget(class);
    }
}

/// Whether an argument's class can have an override: plain Python values cannot.
fn may_override(object: &Bound<PyAny>) -> bool {
    let class = object.get_type();
    let address = class.as_ptr() as usize;
    if PLAIN.iter().any(|slot| slot.load(std::sync::atomic::Ordering::Relaxed) == address) {
        return false;
    }
    // SAFETY: reading a type's flags.
    let flags = unsafe { ffi::PyType_GetFlags(class.as_type_ptr()) };
    flags & ffi::Py_TPFLAGS_HEAPTYPE != 0
}

fn override_with<'py>(
    py: Python<'py>,
    name: &str,
    args: &[Bound<'py, PyAny>],
    kwargs: &[(Bound<'py, PyString>, Bound<'py, PyAny>)],
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let moded = in_mode();
    if FUNCTION_OFF.get() && !moded {
        return Ok(None);
    }
    let mut found: Vec<(Bound<PyAny>, Bound<PyType>)> = Vec::new();
    let mut consider = |value: &Bound<'py, PyAny>| -> PyResult<()> {
        if !may_override(value) || value.get_type().is(py.get_type::<PyTensor>()) {
            return Ok(());
        }
        let class = value.get_type();
        let Ok(function) = class.getattr("__torch_function__") else { return Ok(()) };
        let marker = |cell: &PyOnceLock<Py<PyAny>>| cell.get(py).is_some_and(|m| function.is(m.bind(py)));
        let own_default = function.getattr("__func__").is_ok_and(|f| DEFAULT.get(py).is_some_and(|d| f.is(d.bind(py))));
        if marker(&DISABLED) || (own_default && value.cast::<PyTensor>().is_err()) {
            return Ok(());
        }
        if found.iter().any(|(_, c)| c.is(&class)) {
            return Ok(());
        }
        // Subclasses come before their bases.
        let mut at = found.len();
        for (i, (_, other)) in found.iter().enumerate() {
            if class.is_subclass(other)? {
                at = i;
                break;
            }
        }
        found.insert(at, (function, class));
        Ok(())
    };
    for value in args.iter().chain(kwargs.iter().map(|(_, v)| v)) {
        consider(value)?;
        if let Ok(list) = value.cast::<PyTuple>() {
            for item in list.iter() {
                consider(&item)?;
            }
        } else if let Ok(list) = value.cast::<pyo3::types::PyList>() {
            for item in list.iter() {
                consider(&item)?;
            }
        }
    }
    if FUNCTION_OFF.get() {
        found.clear();
    }
    if found.is_empty() && !moded {
        return Ok(None);
    }
    let function = function_object(py, name)?;
    let classes = PyTuple::new(py, found.iter().map(|(_, c)| c.clone()))?;
    let named = PyDict::new(py);
    for (k, v) in kwargs {
        named.set_item(k, v)?;
    }
    let args = PyTuple::new(py, args)?;
    if moded && let Some(result) = asked_of_mode(py, &function, &classes, &args, &named)? {
        return Ok(Some(result));
    }
    if found.is_empty() {
        return Ok(None);
    }
    for (implementation, _) in &found {
        let result = implementation.call1((&function, &classes, &args, &named))?;
        if !result.is(py.NotImplemented().bind(py)) {
            return Ok(Some(result));
        }
    }
    let names: Vec<String> = found.iter().map(|(_, c)| c.to_string()).collect();
    Err(PyTypeError::new_err(format!(
        "no implementation found for 'torch.{name}' on types that implement __torch_function__: [{}]",
        names.join(", ")
    )))
}

/// What `func` is in `__torch_function__(cls, func, types, args, kwargs)`.
fn function_object<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    let table = table();
    if let Some(&at) = table.by_name.get(name)
        && let Some(object) = table.entries[at].object.get(py)
    {
        return Ok(object.bind(py).clone());
    }
    py.get_type::<PyTensor>().getattr(name.trim_start_matches('_')).or_else(|_| py.get_type::<PyTensor>().getattr(name))
}

/// The vectorcall arguments as slices.
///
/// # Safety
/// As CPython calls a METH_FASTCALL | METH_KEYWORDS function.
unsafe fn dispatch(
    py: Python<'_>,
    entry: &Entry,
    slf: Option<*mut ffi::PyObject>,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> PyResult<*mut ffi::PyObject> {
    let mut positional: smallvec::SmallVec<[Bound<PyAny>; 6]> = smallvec::SmallVec::new();
    let mut keywords: smallvec::SmallVec<[(Bound<PyString>, Bound<PyAny>); 2]> = smallvec::SmallVec::new();
    // SAFETY: CPython's promise: `nargs` objects, then one for each name.
    unsafe {
        if let Some(slf) = slf {
            positional.push(Bound::from_borrowed_ptr(py, slf));
        }
        for i in 0..nargs {
            positional.push(Bound::from_borrowed_ptr(py, *args.offset(i)));
        }
        if !kwnames.is_null() {
            let names = Bound::from_borrowed_ptr(py, kwnames).cast_into::<PyTuple>()?;
            for (i, name) in names.iter().enumerate() {
                keywords.push((name.cast_into::<PyString>()?, Bound::from_borrowed_ptr(py, *args.offset(nargs + i as isize))));
            }
        }
    }
    let plain = py.get_type::<PyTensor>();
    let possible = positional.iter().chain(keywords.iter().map(|(_, v)| v)).any(|v| {
        v.get_type_ptr() != plain.as_type_ptr()
            && (may_override(v) || v.is_instance_of::<PyTuple>() || v.is_instance_of::<pyo3::types::PyList>())
    });
    if (possible || in_mode())
        && let Some(result) = override_with(py, &entry.name, &positional, &keywords)?
    {
        return Ok(result.into_ptr());
    }
    call(py, entry, &positional, &keywords).map(Bound::into_ptr)
}

/// Runs `f`, turning errors and panics into Python exceptions.
unsafe fn guarded(f: impl FnOnce(Python<'_>) -> PyResult<*mut ffi::PyObject>) -> *mut ffi::PyObject {
    // SAFETY: CPython calls us attached.
    let py = unsafe { Python::assume_attached() };
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| f(py)));
    let error = match result {
        Ok(Ok(object)) => return object,
        Ok(Err(error)) => error,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?");
            PyRuntimeError::new_err(format!("internal error of rustnn (please report it): {text}"))
        }
    };
    error.restore(py);
    std::ptr::null_mut()
}

/// The entries behind module functions and behind methods. A definition carries no data and what a function is bound to must be
/// its module (or it could not be pickled), so each has machine code of its own, which knows its number.
static FUNCTIONS: OnceLock<Vec<usize>> = OnceLock::new();
static METHODS: OnceLock<Vec<usize>> = OnceLock::new();

/// # Safety
/// As CPython calls a METH_FASTCALL | METH_KEYWORDS function that `install` made.
unsafe fn enter(
    numbers: &OnceLock<Vec<usize>>,
    number: usize,
    slf: Option<*mut ffi::PyObject>,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the caller's promise.
    unsafe {
        guarded(|py| {
            let at = numbers.get().and_then(|all| all.get(number)).copied().unwrap_or_default();
            dispatch(py, &table().entries[at], slf, args, nargs, kwnames)
        })
    }
}

/// Module function number `I`.
unsafe extern "C" fn function<const I: usize>(
    _module: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called by CPython.
    unsafe { enter(&FUNCTIONS, I, None, args, nargs, kwnames) }
}

/// Method number `I`.
unsafe extern "C" fn method<const I: usize>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: called by CPython; descriptors check that `slf` is a Tensor.
    unsafe { enter(&METHODS, I, Some(slf), args, nargs, kwnames) }
}

type Fast = unsafe extern "C" fn(*mut ffi::PyObject, *const *mut ffi::PyObject, ffi::Py_ssize_t, *mut ffi::PyObject) -> *mut ffi::PyObject;

macro_rules! trampolines {
    ($($a:literal)*) => {
        trampolines!(@table FUNCTION_TRAMPOLINES function $($a)*);
        trampolines!(@table METHOD_TRAMPOLINES method $($a)*);
    };
    (@table $table:ident $f:ident $($a:literal)*) => {
        static $table: &[Fast] = &[$(
            $f::<{ $a * 8 }>, $f::<{ $a * 8 + 1 }>, $f::<{ $a * 8 + 2 }>, $f::<{ $a * 8 + 3 }>,
            $f::<{ $a * 8 + 4 }>, $f::<{ $a * 8 + 5 }>, $f::<{ $a * 8 + 6 }>, $f::<{ $a * 8 + 7 }>,
        )*];
    };
}
trampolines!(
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39
    40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 72 73 74 75 76 77 78 79
);

fn definition(name: &str, doc: &str, function: Fast) -> &'static mut ffi::PyMethodDef {
    let leak = |s: &str| CString::new(s.replace('\0', "")).unwrap_or_default().into_raw().cast_const();
    Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: leak(name),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: function },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: leak(doc),
    }))
}

/// The docstring, starting with the signature that `inspect` and `help` read.
fn doc(entry: &Entry) -> String {
    let mut text = String::new();
    for schema in &entry.overloads {
        text += &format!("{}\n", schema.text);
    }
    for schema in &entry.overloads {
        if !text.contains(schema.doc.trim()) {
            text += &format!("\n{}\n", schema.doc.trim());
        }
    }
    text
}

/// Puts every op on the module and on `Tensor`.
pub fn install(module: &Bound<PyModule>) -> PyResult<()> {
    let py = module.py();
    let table = table();
    let class = py.get_type::<PyTensor>();
    let name = PyString::new(py, "rustnn");
    let (mut functions, mut methods) = (Vec::new(), Vec::new());
    let next = |table: &'static [Fast], used: &Vec<usize>| {
        let full = || PyRuntimeError::new_err("more ops than trampolines: add a line to `trampolines!` in src/python/call.rs");
        table.get(used.len()).copied().ok_or_else(full)
    };
    for (at, entry) in table.entries.iter().enumerate() {
        let text = doc(entry);
        if entry.place.0 {
            let definition = definition(&entry.name, &text, next(FUNCTION_TRAMPOLINES, &functions)?);
            functions.push(at);
            // SAFETY: the definition is never freed.
            let object = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyCFunction_NewEx(definition, module.as_ptr(), name.as_ptr()))? };
            module.add(entry.name.as_str(), &object)?;
            let _ = entry.object.set(py, object.unbind());
        }
        if entry.place.1 {
            let definition = definition(&entry.name, &text, next(METHOD_TRAMPOLINES, &methods)?);
            methods.push(at);
            // SAFETY: the definition is never freed.
            let object = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(class.as_type_ptr(), definition))? };
            class.setattr(entry.name.as_str(), &object)?;
            if !entry.place.0 {
                let _ = entry.object.set(py, object.unbind());
            }
        }
    }
    let _ = FUNCTIONS.set(functions);
    let _ = METHODS.set(methods);
    Ok(())
}

/// Name -> (schemas, doc, is a function, is a method).
#[pyfunction]
fn _op_schemas(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let out = PyDict::new(py);
    for entry in &table().entries {
        let schemas: Vec<&str> = entry.overloads.iter().map(|s| s.text.as_str()).collect();
        let docs: Vec<&str> = entry.overloads.iter().map(|s| s.doc).collect();
        out.set_item(&entry.name, (schemas, docs, entry.place.0, entry.place.1))?;
    }
    Ok(out)
}

#[pyfunction]
fn _op_names() -> Vec<&'static str> {
    table().entries.iter().map(|e| e.name.as_str()).collect()
}

pub fn add_to(module: &Bound<PyModule>) -> PyResult<()> {
    install(module)?;
    module.add_function(wrap_pyfunction!(_op_schemas, module)?)?;
    module.add_function(wrap_pyfunction!(_register_plain_class, module)?)?;
    module.add_function(wrap_pyfunction!(_push_on_torch_function_stack, module)?)?;
    module.add_function(wrap_pyfunction!(_pop_torch_function_stack, module)?)?;
    module.add_function(wrap_pyfunction!(_len_torch_function_stack, module)?)?;
    module.add_function(wrap_pyfunction!(_get_function_stack_at, module)?)?;
    module.add_function(wrap_pyfunction!(_op_names, module)?)
}
