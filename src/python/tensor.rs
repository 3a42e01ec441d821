//! `rustnn.Tensor`: the header cell, identity, number slots and properties. Ops come from the registry (see `call`).

use crate::detach;
use crate::error::IntoPy;
use crate::record;
use crate::types::{self, PyDType, PyDevice};
use pyo3::exceptions::*;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::pyclass::{CompareOp, PyTraverseError, PyVisit};
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyComplex, PyDict, PyFloat, PyInt, PyList, PyTuple, PyType};
use pyo3::{IntoPyObjectExt, PyTypeInfo};
use rustnn_ops::row::{self, Operand, Row, Scalar};
use rustnn_ops::saved::Host;
use rustnn_ops::{Tensor, rows};
use rustnn_tensor::DType;
use std::cell::{Cell, UnsafeCell};
use std::sync::atomic::{AtomicPtr, Ordering::*};

/// A tensor as Python sees it. Its identity is the `Meta` of the Rust tensor: while this object lives, every conversion of that
/// tensor returns it.
#[pyclass(name = "Tensor", module = "rustnn", frozen, dict, weakref, subclass)]
pub struct PyTensor {
    /// Read and written with the interpreter attached only; never borrowed across a call into Python.
    header: UnsafeCell<Tensor>,
    made: Made,
}

/// True in an object that is all there. The collector can meet one that is still zeros: `object.__new__` allocates the instance
/// dictionary after the object, and that allocation may start a collection.
pub struct Made(bool);

impl Made {
    pub const YES: Made = Made(true);

    pub fn yes(&self) -> bool {
        self.0
    }
}

// SAFETY: the cell is reached with the interpreter attached only, which abi3 builds (all with a global lock) serialise.
unsafe impl Sync for PyTensor {}

thread_local! {
    /// What `Tensor.__new__` is to wrap when Rust calls it.
    static PENDING: Cell<Option<Tensor>> = const { Cell::new(None) };
}

impl PyTensor {
    /// The tensor; a clone, so that nothing is borrowed while other code runs.
    #[inline]
    pub fn get(&self, _py: Python<'_>) -> Tensor {
        // SAFETY: attached, and no header is borrowed mutably across calls.
        unsafe { (*self.header.get()).clone() }
    }

    /// Runs `f` on the tensor; `f` must not run Python code.
    #[inline]
    pub fn with<R>(&self, _py: Python<'_>, f: impl FnOnce(&Tensor) -> R) -> R {
        // SAFETY: attached; `f` runs no Python, so no one can write the header meanwhile.
        f(unsafe { &*self.header.get() })
    }

    /// Changes the header.
    pub fn set(&self, _py: Python<'_>, tensor: Tensor) {
        // SAFETY: attached; nobody borrows the header now.
        let before = unsafe { std::mem::replace(&mut *self.header.get(), tensor) };
        drop(before);
    }

    /// The only element, for Python's conversions.
    fn only(&self, py: Python<'_>, target: &str) -> PyResult<Scalar> {
        let t = self.get(py);
        if t.numel() != 1 {
            return Err(PyValueError::new_err("only one element tensors can be converted to Python scalars"));
        }
        if record::on() {
            record::check_read(&t, "float() or int() of a tensor")?;
        }
        if t.dtype().is_complex() {
            let (re, im) = t.complex_item().py()?;
            if im != 0.0 {
                return Err(PyRuntimeError::new_err(format!("value cannot be converted to type {target} without overflow")));
            }
            return Ok(Scalar::Float(re));
        }
        match rustnn_ops::read::item(&t).py()? {
            // The bits of a uint64.
            Scalar::Int(i) if i < 0 && t.dtype() == DType::U64 => match target {
                "double" => Ok(Scalar::Float(i as u64 as f64)),
                _ => Err(PyRuntimeError::new_err(format!("value cannot be converted to type {target} without overflow"))),
            },
            value => Ok(value),
        }
    }

    fn new(tensor: Tensor) -> PyTensor {
        PyTensor { header: UnsafeCell::new(tensor), made: Made::YES }
    }
}

impl Drop for PyTensor {
    fn drop(&mut self) {
        let own = (self as *mut PyTensor).cast::<()>();
        // Where nobody else has the tensor, nobody will look into its slot again.
        if self.header.get_mut().is_sole_owner() {
            return;
        }
        let _ = self.header.get_mut().meta().host().compare_exchange(own, std::ptr::null_mut(), AcqRel, Relaxed);
    }
}

/// Bytes from the start of a Python object to its `PyTensor`; the same for every subclass.
static OFFSET: PyOnceLock<usize> = PyOnceLock::new();

/// The living object in a tensor's slot.
#[inline]
fn living<'py>(py: Python<'py>, tensor: &Tensor) -> Option<Bound<'py, PyAny>> {
    let content = tensor.meta().host().load(Acquire);
    if content.is_null() {
        return None;
    }
    let object = content.cast::<u8>().wrapping_sub(*OFFSET.get(py)?).cast::<ffi::PyObject>();
    // SAFETY: the slot is cleared (see `Drop`) before the object's memory is freed, with the interpreter attached as now; an
    // object that is being taken apart has no references left and does not count.
    unsafe {
        if ffi::Py_REFCNT(object) == 0 {
            return None;
        }
        Some(Bound::from_borrowed_ptr(py, object))
    }
}

/// Puts a fresh object into its tensor's slot.
fn settle(object: &Bound<PyTensor>) {
    let content = std::ptr::from_ref(object.get());
    OFFSET.get_or_init(object.py(), || {
        let offset = content as usize - object.as_ptr() as usize;
        let size = object.py().get_type::<PyTensor>().getattr("__basicsize__").and_then(|size| size.extract::<usize>());
        assert!(size.is_ok_and(|size| size == offset + size_of::<PyTensor>() + TRAILER_BYTES), "PyO3 lays objects out in another way");
        offset
    });
    object.get().with(object.py(), |t| t.meta().host().store(content.cast_mut().cast(), Release));
}

/// The Python object of a tensor: the living one, or a new plain `Tensor`.
#[inline]
pub fn wrap<'py>(py: Python<'py>, tensor: Tensor) -> PyResult<Bound<'py, PyAny>> {
    if let Some(object) = living(py, &tensor) {
        return Ok(object);
    }
    fresh(py, tensor)
}

/// The class `Tensor`, for comparisons of addresses.
#[inline]
pub fn plain_class(py: Python<'_>) -> *mut ffi::PyTypeObject {
    static CLASS: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(std::ptr::null_mut());
    let class = CLASS.load(Relaxed);
    if !class.is_null() {
        return class;
    }
    let class = PyTensor::type_object_raw(py);
    CLASS.store(class, Relaxed);
    class
}

/// Bytes behind the `PyTensor` in an object: the instance dictionary and the list of weak references.
const TRAILER_BYTES: usize = 2 * size_of::<*mut ffi::PyObject>();

/// A new plain object around a tensor that has none. It is made without `object.__new__`, which gives every object a dictionary
/// at once (a tenth of a small op's time); it gets one when an attribute is set.
#[inline(always)]
fn fresh<'py>(py: Python<'py>, tensor: Tensor) -> PyResult<Bound<'py, PyAny>> {
    fresh_made(py, || tensor)
}

/// As [`fresh`], of a tensor that is made inside the object. `make` may not run Python code.
#[inline(always)]
fn fresh_made<'py>(py: Python<'py>, make: impl FnOnce() -> Tensor) -> PyResult<Bound<'py, PyAny>> {
    let Some(&offset) = OFFSET.get(py) else { return first(py, make()) };
    let Some(object) = blank(py) else { return Err(PyErr::fetch(py)) };
    let content = at(&object, offset);
    // SAFETY: the object is blank, and no Python code has run since.
    unsafe {
        content.write(PyTensor::new(make()));
        (*(*content).header.get()).meta().host().store(content.cast(), Release);
    }
    Ok(object)
}

/// A new object around the same memory, without history.
pub fn detached<'py>(py: Python<'py>, tensor: &PyTensor) -> PyResult<Bound<'py, PyAny>> {
    fresh_made(py, || tensor.with(py, Tensor::detach))
}

/// A new plain object that is yet to be written, before any Python code runs; None where memory ran out, which Python has noted.
#[inline(always)]
fn blank<'py>(py: Python<'py>) -> Option<Bound<'py, PyAny>> {
    // SAFETY: the type is `Tensor` itself, whose objects hold a `PyTensor` at `OFFSET` (as measured on one), for which zeros, what
    // the allocator wrote, are one that is not all there (see `Made`), and behind it, as `OFFSET` asserts, two pointers for which
    // null is the empty state.
    unsafe { Bound::from_owned_ptr_or_opt(py, ffi::PyType_GenericAlloc(plain_class(py), 0)) }
}

/// The content of an object.
#[inline(always)]
fn at(object: &Bound<PyAny>, offset: usize) -> *mut PyTensor {
    object.as_ptr().cast::<u8>().wrapping_add(offset).cast()
}

/// The object of what a row makes of two tensors, put together inside the object.
#[inline(always)]
fn paired<'py>(py: Python<'py>, a: &PyTensor, b: &PyTensor, row: &'static Row, scalars: &[Scalar]) -> PyResult<Bound<'py, PyAny>> {
    let Some(&offset) = OFFSET.get(py) else {
        return first(py, a.with(py, |x| b.with(py, |y| row::call(row, &[x.into(), y.into()], scalars))).py()?);
    };
    // Before the headers are borrowed: an allocation may start a collection, and that runs Python code.
    let Some(object) = blank(py) else { return Err(PyErr::fetch(py)) };
    let content = at(&object, offset);
    let mut blank = true;
    let done = a.with(py, |x| {
        b.with(py, |y| {
            let inputs = [x.into(), y.into()];
            // SAFETY: the object is blank until the one write here, before which no Python code runs.
            row::call_plain(row, &inputs, scalars, |new| unsafe {
                blank = false;
                new.meta().host().store(content.cast(), Release);
                content.write(PyTensor::new(new.tensor()));
                &*(*content).header.get()
            })
        })
    });
    if blank {
        // SAFETY: as above. The object must be all there to be dropped, and before hooks run, which may come upon it.
        a.with(py, |x| unsafe { content.write(PyTensor::new(x.clone())) });
    }
    match done {
        Some(Ok(())) => Ok(object),
        Some(Err(error)) => Err(*error).py(),
        None => {
            // Of other calls hooks may learn, which are Python code: nothing is borrowed.
            let (x, y) = (a.get(py), b.get(py));
            let out = row::call(row, &[(&x).into(), (&y).into()], scalars).py()?;
            if let Some(object) = living(py, &out) {
                return Ok(object);
            }
            out.meta().host().store(content.cast(), Release);
            // SAFETY: the stand-in was written above.
            unsafe { &*content }.set(py, out);
            Ok(object)
        }
    }
}

/// The first object of all.
#[cold]
fn first<'py>(py: Python<'py>, tensor: Tensor) -> PyResult<Bound<'py, PyAny>> {
    let object = Bound::new(py, PyTensor::new(tensor))?;
    settle(&object);
    Ok(object.into_any())
}

/// As [`wrap`]; a living object takes over the header of `tensor`.
pub fn wrap_written<'py>(py: Python<'py>, tensor: Tensor) -> PyResult<Bound<'py, PyAny>> {
    if let Some(object) = living(py, &tensor) {
        if let Ok(own) = object.cast::<PyTensor>() {
            own.get().set(py, tensor);
        }
        return Ok(object);
    }
    wrap(py, tensor)
}

/// An object of a subclass over a new leaf.
pub fn wrap_as<'py>(class: &Bound<'py, PyType>, tensor: Tensor) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    if class.is(py.get_type::<PyTensor>()) {
        return wrap(py, tensor);
    }
    if !class.is_subclass_of::<PyTensor>()? {
        return Err(PyTypeError::new_err(
            "Creating a Tensor subclass from a class that does not inherit from Tensor is not possible. Make sure your class inherits from Tensor.",
        ));
    }
    PENDING.set(Some(tensor));
    let made = py.get_type::<PyTensor>().getattr("__new__").and_then(|new| new.call1((class,)));
    PENDING.set(None);
    let made = made?;
    settle(made.cast::<PyTensor>()?);
    Ok(made)
}

/// The tensor of a Python object, or None.
pub fn cast_tensor(object: &Bound<PyAny>) -> Option<Tensor> {
    object.cast::<PyTensor>().ok().map(|t| t.get().get(object.py()))
}

/// Wires the identity rule to the core.
pub fn install_host() {
    rustnn_ops::saved::set_host(Host {
        retain: |tensor| Python::try_attach(|py| living(py, tensor).map(|object| object.into_ptr() as usize)).flatten(),
        release: |share| {
            Python::try_attach(|py| {
                // SAFETY: `retain` gave this reference away.
                drop(unsafe { Bound::from_owned_ptr(py, share as *mut ffi::PyObject) });
            });
        },
    });
}

/// What a number slot can compute with beside a tensor of a dtype, or None for Python to try the other side.
fn operand<'a>(object: &Bound<PyAny>, beside: DType, held: &'a mut Option<Tensor>) -> Option<Operand<'a>> {
    if let Ok(t) = object.cast::<PyTensor>() {
        *held = Some(t.get().get(object.py()));
        return held.as_ref().map(Operand::Tensor);
    }
    if object.is_instance_of::<PyFloat>() || object.is_instance_of::<PyInt>() || object.is_instance_of::<PyBool>() {
        return crate::schema::scalar(object).map(Operand::Scalar);
    }
    if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() || object.is_none() {
        return None;
    }
    if let Some(scalar) = crate::schema::scalar(object) {
        return Some(Operand::Scalar(scalar));
    }
    let (re, im) = crate::schema::complex(object)?;
    *held = Some(rustnn_ops::complex::number(re, im, beside).ok()?);
    held.as_ref().map(Operand::Tensor)
}

/// The right side of an in-place operator. What it cannot be makes the slot give NotImplemented, so that Python asks the other
/// side, as in `tensor += object` with `object.__radd__`.
struct RightSide<'py>(Bound<'py, PyAny>);

impl<'a, 'py> FromPyObject<'a, 'py> for RightSide<'py> {
    type Error = PyErr;

    fn extract(object: pyo3::Borrowed<'a, 'py, PyAny>) -> PyResult<RightSide<'py>> {
        let object = object.to_owned();
        if object.is_instance_of::<PyTensor>() || operand(&object, DType::F32, &mut None).is_some() {
            return Ok(RightSide(object));
        }
        Err(PyTypeError::new_err("no operand"))
    }
}

/// `a op b`; work worth more than this many elements lets other threads run.
const DETACH_ELEMENTS: usize = 1 << 15;

fn binary<'py>(a: &Bound<'py, PyTensor>, b: &Bound<'py, PyAny>, row: &'static Row, scalars: &[Scalar]) -> PyResult<Bound<'py, PyAny>> {
    let py = a.py();
    if record::on() {
        return recorded(py, public(row), [a.as_any(), b], b);
    }
    let plain = plain_class(py);
    let both = a.get_type_ptr() == plain && b.get_type_ptr() == plain;
    if (!both || crate::call::in_mode())
        && let Some(result) = crate::call::overridden(py, row.name, &[a.as_any().clone(), b.clone()])?
    {
        return Ok(result);
    }
    // The common case: both are tensors, nothing is cloned.
    // SAFETY: the class was just compared.
    let kin = if both { Some(unsafe { b.cast_unchecked::<PyTensor>() }) } else { b.cast::<PyTensor>().ok() };
    if let Some(b) = kin
        && a.get().with(py, Tensor::numel).max(b.get().with(py, Tensor::numel)) <= DETACH_ELEMENTS
    {
        return paired(py, a.get(), b.get(), row, scalars);
    }
    let mut held = None;
    let x = a.get().get(py);
    let Some(other) = operand(b, x.dtype(), &mut held) else { return Ok(py.NotImplemented().into_bound(py)) };
    let out = if x.numel() <= DETACH_ELEMENTS {
        row::call(row, &[(&x).into(), other], scalars)
    } else {
        detach::detached(py, || row::call(row, &[(&x).into(), other], scalars))
    };
    wrap(py, out.py()?)
}

/// `other op self` of a number.
fn reflected<'py>(a: &Bound<'py, PyTensor>, b: &Bound<'py, PyAny>, row: &'static Row, scalars: &[Scalar]) -> PyResult<Bound<'py, PyAny>> {
    let py = a.py();
    if record::on() {
        return recorded(py, public(row), [b, a.as_any()], b);
    }
    if let Some(result) = crate::call::overridden(py, row.name, &[b.clone(), a.as_any().clone()])? {
        return Ok(result);
    }
    let mut held = None;
    let x = a.get().get(py);
    let Some(other) = operand(b, x.dtype(), &mut held) else { return Ok(py.NotImplemented().into_bound(py)) };
    wrap(py, detach::detached(py, || row::call(row, &[other, (&x).into()], scalars)).py()?)
}

fn in_place(a: &Bound<PyTensor>, b: &Bound<PyAny>, row: &'static Row, scalars: &[Scalar]) -> PyResult<()> {
    let py = a.py();
    if crate::call::in_mode() && crate::call::overridden(py, &format!("{}_", public(row)), &[a.as_any().clone(), b.clone()])?.is_some() {
        return Ok(());
    }
    let mut held = None;
    let x = a.get().get(py);
    let Some(other) = operand(b, x.dtype(), &mut held) else {
        return Err(PyTypeError::new_err(format!("unsupported operand type: '{}'", crate::schema::type_name(b))));
    };
    if record::on() {
        return op(py, &format!("{}_", public(row)), &[a.as_any().clone(), b.clone()]).map(drop);
    }
    let run = || row::call_inplace(row, &x, &[other], scalars);
    if x.numel() <= DETACH_ELEMENTS { run().py() } else { detach::detached(py, run).py() }
}

const ONE: &[Scalar] = &[Scalar::Int(1)];

/// The name of a row's op: rows that one op wraps begin with an underscore.
fn public(row: &Row) -> &str {
    row.name.trim_start_matches('_')
}

/// A number slot while calls are recorded: through the registry, as the function of that name.
#[cold]
fn recorded<'py>(py: Python<'py>, name: &str, args: [&Bound<'py, PyAny>; 2], other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let mut held = None;
    if operand(other, DType::F32, &mut held).is_none() {
        return Ok(py.NotImplemented().into_bound(py));
    }
    let args = args.map(Clone::clone);
    match crate::call::overridden(py, name, &args)? {
        Some(result) => Ok(result),
        None => op(py, name, &args),
    }
}

/// Runs an op of the registry by name.
fn op<'py>(py: Python<'py>, name: &str, args: &[Bound<'py, PyAny>]) -> PyResult<Bound<'py, PyAny>> {
    crate::call::by_name(py, name, args, &[])
}

/// What PyTorch warns of where `.grad` is asked of what gets none.
const NO_LEAF: &std::ffi::CStr = c"The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute \
    won't be populated during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf Tensor, use \
    .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead.";

#[pymethods]
impl PyTensor {
    #[new]
    #[pyo3(signature = (*args, **kwargs))]
    fn py_new(args: &Bound<PyTuple>, kwargs: Option<&Bound<PyDict>>) -> PyResult<PyTensor> {
        if let Some(tensor) = PENDING.take() {
            return Ok(PyTensor::new(tensor));
        }
        crate::construct::legacy(args, kwargs).map(PyTensor::new)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if !self.made.yes() {
            return Ok(());
        }
        // SAFETY: the collector runs attached, and no header is borrowed mutably across calls.
        let tensor = unsafe { &*self.header.get() };
        crate::engine::visit_hosts(&visit, |each| tensor.visit_hosts(each))
    }

    fn __clear__(&self) {
        // SAFETY: as above. What is dropped may run Python code, but only code of other garbage can still reach this object.
        unsafe { &*self.header.get() }.clear_hosts();
    }

    #[classmethod]
    #[pyo3(signature = (data, require_grad=false))]
    fn _make_subclass<'py>(cls: &Bound<'py, PyType>, data: &Bound<'py, PyAny>, require_grad: bool) -> PyResult<Bound<'py, PyAny>> {
        make_subclass(cls, data, require_grad)
    }

    /// Takes over the shape and the place on the tape of `view`, a view of this tensor.
    fn _become_view(&self, py: Python<'_>, view: &Bound<PyAny>) -> PyResult<()> {
        let Some(view) = cast_tensor(view) else { return Err(PyTypeError::new_err("_become_view(): a view is a Tensor")) };
        let mut own = self.get(py);
        own.become_view(&view).py()?;
        self.set(py, own);
        Ok(())
    }

    /// How many hold this tensor: the object, views and saved tensors, a gradient's owner.
    fn _use_count(&self, py: Python<'_>) -> usize {
        self.with(py, |t| t.meta().strong_count())
    }

    /// Whether a graph would add up gradients in this leaf.
    fn _is_in_a_graph(&self, py: Python<'_>) -> bool {
        self.with(py, |t| t.is_in_a_graph())
    }

    /// Exchanges what two objects stand for: memory, history, gradient, hooks.
    fn _exchange(slf: &Bound<Self>, other: &Bound<Self>) {
        let py = slf.py();
        let (a, b) = (slf.get().get(py), other.get().get(py));
        slf.get().set(py, b);
        other.get().set(py, a);
        settle(slf);
        settle(other);
    }

    /// The tensor, its history included, as an object of a subclass.
    fn as_subclass<'py>(slf: &Bound<'py, Self>, cls: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
        let own = slf.get().get(slf.py());
        let alias = rustnn_ops::views::alias(&own);
        if record::on() {
            record::made("_alias", &own, &alias)?;
        }
        wrap_as(cls, alias)
    }

    // Numbers.

    fn __add__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::ADD, ONE)
    }
    fn __radd__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::ADD, ONE)
    }
    fn __iadd__(slf: &Bound<Self>, other: RightSide) -> PyResult<()> {
        in_place(slf, &other.0, &rows::ADD, ONE)
    }
    fn __sub__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::SUB, ONE)
    }
    fn __rsub__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::RSUB, ONE)
    }
    fn __isub__(slf: &Bound<Self>, other: RightSide) -> PyResult<()> {
        in_place(slf, &other.0, &rows::SUB, ONE)
    }
    fn __mul__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::MUL, &[])
    }
    fn __rmul__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::MUL, &[])
    }
    fn __imul__(slf: &Bound<Self>, other: RightSide) -> PyResult<()> {
        in_place(slf, &other.0, &rows::MUL, &[])
    }
    fn __truediv__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::DIV, &[])
    }
    fn __rtruediv__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        reflected(slf, other, &rows::DIV, &[])
    }
    fn __itruediv__(slf: &Bound<Self>, other: RightSide) -> PyResult<()> {
        in_place(slf, &other.0, &rows::DIV, &[])
    }
    fn __floordiv__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::FLOOR_DIVIDE, &[])
    }
    fn __rfloordiv__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        reflected(slf, other, &rows::FLOOR_DIVIDE, &[])
    }
    fn __ifloordiv__(slf: &Bound<Self>, other: RightSide) -> PyResult<()> {
        in_place(slf, &other.0, &rows::FLOOR_DIVIDE, &[])
    }
    fn __mod__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::REMAINDER, &[])
    }
    fn __rmod__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        reflected(slf, other, &rows::REMAINDER, &[])
    }
    fn __imod__(slf: &Bound<Self>, other: RightSide) -> PyResult<()> {
        in_place(slf, &other.0, &rows::REMAINDER, &[])
    }
    fn __and__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::BITWISE_AND, &[])
    }
    fn __rand__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::BITWISE_AND, &[])
    }
    fn __iand__(slf: &Bound<Self>, other: RightSide) -> PyResult<()> {
        in_place(slf, &other.0, &rows::BITWISE_AND, &[])
    }
    fn __or__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::BITWISE_OR, &[])
    }
    fn __ror__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::BITWISE_OR, &[])
    }
    fn __ior__(slf: &Bound<Self>, other: RightSide) -> PyResult<()> {
        in_place(slf, &other.0, &rows::BITWISE_OR, &[])
    }
    fn __xor__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::BITWISE_XOR, &[])
    }
    fn __rxor__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::BITWISE_XOR, &[])
    }
    fn __ixor__(slf: &Bound<Self>, other: RightSide) -> PyResult<()> {
        in_place(slf, &other.0, &rows::BITWISE_XOR, &[])
    }
    fn __lshift__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::BITWISE_LEFT_SHIFT, &[])
    }
    fn __rlshift__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        reflected(slf, other, &rows::BITWISE_LEFT_SHIFT, &[])
    }
    fn __ilshift__(slf: &Bound<Self>, other: RightSide) -> PyResult<()> {
        in_place(slf, &other.0, &rows::BITWISE_LEFT_SHIFT, &[])
    }
    fn __rshift__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        binary(slf, other, &rows::BITWISE_RIGHT_SHIFT, &[])
    }
    fn __rrshift__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        reflected(slf, other, &rows::BITWISE_RIGHT_SHIFT, &[])
    }
    fn __irshift__(slf: &Bound<Self>, other: RightSide) -> PyResult<()> {
        in_place(slf, &other.0, &rows::BITWISE_RIGHT_SHIFT, &[])
    }
    fn __invert__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if slf.get().with(slf.py(), |t| !t.dtype().is_integral()) {
            return Err(PyTypeError::new_err("~ (operator.invert) is only implemented on integer and Boolean-type tensors"));
        }
        op(slf.py(), "bitwise_not", &[slf.as_any().clone()])
    }
    fn __neg__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        op(slf.py(), "neg", &[slf.as_any().clone()])
    }
    fn __pos__<'py>(slf: &Bound<'py, Self>) -> Bound<'py, Self> {
        slf.clone()
    }
    fn __abs__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        op(slf.py(), "abs", &[slf.as_any().clone()])
    }
    fn __pow__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>, _modulo: Option<&Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let mut held = None;
        if operand(other, DType::F32, &mut held).is_none() {
            return Ok(slf.py().NotImplemented().into_bound(slf.py()));
        }
        op(slf.py(), "pow", &[slf.as_any().clone(), other.clone()])
    }
    fn __rpow__<'py>(
        slf: &Bound<'py, Self>,
        other: &Bound<'py, PyAny>,
        _modulo: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut held = None;
        if operand(other, DType::F32, &mut held).is_none() {
            return Ok(slf.py().NotImplemented().into_bound(slf.py()));
        }
        op(slf.py(), "pow", &[other.clone(), slf.as_any().clone()])
    }
    fn __ipow__<'py>(slf: &Bound<'py, Self>, other: RightSide<'py>, _modulo: Option<&Bound<'py, PyAny>>) -> PyResult<()> {
        op(slf.py(), "pow_", &[slf.as_any().clone(), other.0]).map(drop)
    }
    fn __matmul__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if other.cast::<PyTensor>().is_err() {
            return Ok(slf.py().NotImplemented().into_bound(slf.py()));
        }
        op(slf.py(), "matmul", &[slf.as_any().clone(), other.clone()])
    }

    fn __richcmp__<'py>(slf: &Bound<'py, Self>, other: &Bound<'py, PyAny>, compare: CompareOp) -> PyResult<Bound<'py, PyAny>> {
        let row = match compare {
            CompareOp::Eq => &rows::EQ,
            CompareOp::Ne => &rows::NE,
            CompareOp::Lt => &rows::LT,
            CompareOp::Le => &rows::LE,
            CompareOp::Gt => &rows::GT,
            CompareOp::Ge => &rows::GE,
        };
        let result = binary(slf, other, row, &[])?;
        // NumPy would leave `==` to identity.
        if matches!(compare, CompareOp::Eq | CompareOp::Ne)
            && result.is(slf.py().NotImplemented().bind(slf.py()))
            && other.get_type().name().is_ok_and(|name| name == "ndarray")
        {
            let other = slf.py().import("rustnn._core")?.getattr("as_tensor")?.call1((other,))?;
            return binary(slf, &other, row, &[]);
        }
        Ok(result)
    }

    fn __hash__(slf: &Bound<Self>) -> isize {
        // By identity, as `object` does it.
        (slf.as_ptr() as usize).rotate_right(4) as isize
    }

    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        let t = self.get(py);
        if record::on() {
            record::check_read(&t, "bool() of a tensor (if, while, and, or, not)")?;
        }
        match t.numel() {
            0 => Err(PyRuntimeError::new_err("Boolean value of Tensor with no values is ambiguous")),
            1 if t.dtype().is_complex() => t.complex_item().py().map(|(re, im)| re != 0.0 || im != 0.0),
            1 => Ok(rustnn_ops::read::item(&t).py()?.to_bool()),
            _ => Err(PyRuntimeError::new_err("Boolean value of Tensor with more than one value is ambiguous")),
        }
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let t = self.get(py);
        if record::on() {
            record::check_shape(&t)?;
        }
        t.shape().first().copied().ok_or_else(|| PyTypeError::new_err("len() of a 0-d tensor"))
    }

    fn __float__(&self, py: Python<'_>) -> PyResult<f64> {
        Ok(self.only(py, "double")?.to_f64())
    }

    fn __complex__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let t = self.get(py);
        if t.dtype().is_complex() && t.numel() == 1 {
            let (re, im) = t.complex_item().py()?;
            return Ok(PyComplex::from_doubles(py, re, im).into_any());
        }
        Ok(PyComplex::from_doubles(py, self.only(py, "double")?.to_f64(), 0.0).into_any())
    }

    fn __int__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.only(py, "int64_t")? {
            Scalar::Float(f) => f.into_pyobject(py)?.call_method0("__int__"),
            other => Ok(other.to_i64().into_pyobject(py)?.into_any()),
        }
    }

    fn __index__(&self, py: Python<'_>) -> PyResult<i64> {
        let t = self.get(py);
        if !t.dtype().is_integral() || t.numel() != 1 {
            return Err(PyTypeError::new_err("only integer tensors of a single element can be converted to an index"));
        }
        if record::on() {
            record::check_read(&t, "a tensor as an index or a size")?;
        }
        Ok(self.only(py, "int64_t")?.to_i64())
    }

    fn __contains__(slf: &Bound<Self>, element: &Bound<PyAny>) -> PyResult<bool> {
        let mut held = None;
        if operand(element, DType::F32, &mut held).is_none() {
            return Err(PyRuntimeError::new_err(format!(
                "Tensor.__contains__ only supports Tensor or scalar, but you passed in a {}.",
                element.get_type()
            )));
        }
        let equal = binary(slf, element, &rows::EQ, &[])?;
        op(slf.py(), "any", &[equal])?.is_truthy()
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if slf.get().with(slf.py(), |t| t.rank() == 0) {
            return Err(PyTypeError::new_err("iteration over a 0-d tensor"));
        }
        op(slf.py(), "unbind", &[slf.as_any().clone()])?.try_iter().map(|i| i.into_any())
    }

    fn __getitem__<'py>(slf: &Bound<'py, Self>, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        if let Some(result) = crate::call::overridden(slf.py(), "__getitem__", &[slf.as_any().clone(), index.clone()])? {
            return Ok(result);
        }
        crate::indexing::get(slf, index)
    }

    fn __setitem__(slf: &Bound<Self>, index: &Bound<PyAny>, value: &Bound<PyAny>) -> PyResult<()> {
        crate::indexing::set(slf, index, value)
    }

    fn __delitem__(&self, _index: &Bound<PyAny>) -> PyResult<()> {
        Err(PyTypeError::new_err("Tensor does not support deleting items"))
    }

    fn __repr__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        if record::on() {
            record::check_text(slf.py(), &slf.get().get(slf.py()))?;
        }
        record::paused(|| slf.py().import("rustnn._tensor_str")?.call_method1("_str", (slf,)))
    }

    fn __format__<'py>(slf: &Bound<'py, Self>, spec: &str) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if slf.get().with(py, |t| t.rank() == 0 && !t.array().is_meta()) && slf.get_type().is(py.get_type::<PyTensor>()) {
            if record::on() {
                record::check_text(py, &slf.get().get(py))?;
            }
            return record::paused(|| slf.call_method0("item"))?.call_method1("__format__", (spec,));
        }
        if !spec.is_empty() {
            let name = slf.get_type().name()?;
            return Err(PyTypeError::new_err(format!("unsupported format string passed to {name}.__format__")));
        }
        Ok(slf.str()?.into_any())
    }

    fn item<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let t = slf.get().get(slf.py());
        if record::on() {
            record::check_read(&t, "item()")?;
        }
        if t.dtype().is_complex() && t.numel() == 1 {
            let (re, im) = t.complex_item().py()?;
            return Ok(PyComplex::from_doubles(slf.py(), re, im).into_any());
        }
        number_of(slf.py(), t.dtype(), rustnn_ops::read::item(&t).py()?)
    }

    fn tolist<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let t = slf.get().get(slf.py());
        if record::on() {
            record::check_read(&t, "tolist()")?;
        }
        let py = slf.py();
        if t.dtype().is_complex() {
            let elements = rustnn_ops::complex::elements(t.array()).py()?;
            return nested(&elements, t.shape(), &|&(re, im)| Ok(PyComplex::from_doubles(py, re, im).into_any()), py);
        }
        let elements = rustnn_ops::read::elements(t.array()).py()?;
        let dtype = t.dtype();
        nested(&elements, t.shape(), &|&element| number_of(py, dtype, element), py)
    }

    // Shape and dtype.

    #[getter]
    fn shape<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if record::on() {
            let t = self.get(py);
            record::check_shape(&t)?;
            if let Some(sizes) = record::sizes(py, &t)? {
                return size_object(py, sizes.into_iter());
            }
        }
        let shape = self.with(py, |t| t.shape_owned());
        size(py, shape.iter().map(|&n| n as i64))
    }

    #[pyo3(signature = (dim=None))]
    fn size<'py>(&self, py: Python<'py>, dim: Option<i64>) -> PyResult<Bound<'py, PyAny>> {
        match dim {
            None => self.shape(py),
            Some(d) => {
                let t = self.get(py);
                if record::on() {
                    record::check_shape(&t)?;
                }
                let d = rustnn_tensor::shape::wrap_dim(d, t.rank()).py()?;
                if t.rank() == 0 {
                    return Err(PyIndexError::new_err(format!("Dimension specified as {d} but tensor has no dimensions")));
                }
                if record::on()
                    && let Some(sizes) = record::sizes(py, &t)?
                {
                    return Ok(sizes[d].clone());
                }
                Ok(t.shape()[d].into_pyobject(py)?.into_any())
            }
        }
    }

    #[pyo3(signature = (dim=None))]
    fn stride<'py>(&self, py: Python<'py>, dim: Option<i64>) -> PyResult<Bound<'py, PyAny>> {
        let t = self.get(py);
        match dim {
            None => Ok(PyTuple::new(py, t.strides())?.into_any()),
            Some(d) => Ok(t.strides()[rustnn_tensor::shape::wrap_dim(d, t.rank()).py()?].into_pyobject(py)?.into_any()),
        }
    }

    fn dim(&self, py: Python<'_>) -> usize {
        self.with(py, |t| t.rank())
    }

    fn ndimension(&self, py: Python<'_>) -> usize {
        self.with(py, |t| t.rank())
    }

    #[getter]
    fn ndim(&self, py: Python<'_>) -> usize {
        self.with(py, |t| t.rank())
    }

    fn nelement<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        op(slf.py(), "numel", &[slf.as_any().clone()])
    }

    fn element_size(&self, py: Python<'_>) -> usize {
        self.with(py, |t| t.dtype().size_bytes())
    }

    #[getter]
    fn itemsize(&self, py: Python<'_>) -> usize {
        self.with(py, |t| t.dtype().size_bytes())
    }

    #[getter]
    fn nbytes(&self, py: Python<'_>) -> usize {
        self.with(py, |t| t.array().len_bytes())
    }

    fn storage_offset(&self, py: Python<'_>) -> usize {
        self.with(py, |t| t.array().offset())
    }

    fn data_ptr(&self, py: Python<'_>) -> usize {
        self.with(py, |t| if t.numel() == 0 { 0 } else { t.array().ptr() as usize })
    }

    /// Address, length in bytes and identity of the storage.
    fn _storage(&self, py: Python<'_>) -> (usize, usize, usize) {
        self.with(py, |t| (t.array().storage().ptr() as usize, t.array().storage().len_bytes(), t.array().storage().id()))
    }

    #[pyo3(signature = (memory_format=None))]
    fn is_contiguous(&self, py: Python<'_>, memory_format: Option<&Bound<PyAny>>) -> PyResult<bool> {
        let t = self.get(py);
        let name = match memory_format {
            Some(f) => {
                f.cast::<types::PyMemoryFormat>().map_err(|_| PyTypeError::new_err("memory_format must be a torch.memory_format"))?.get().0
            }
            None => "contiguous_format",
        };
        Ok(match (name, t.rank()) {
            ("channels_last", 4) | ("channels_last_3d", 5) => {
                let n = t.rank();
                let order: Vec<usize> = std::iter::once(0).chain(2..n).chain([1]).collect();
                let shape: Vec<usize> = order.iter().map(|&d| t.shape()[d]).collect();
                let strides: Vec<isize> = order.iter().map(|&d| t.strides()[d]).collect();
                rustnn_tensor::shape::is_contiguous(&shape, &strides)
            }
            ("channels_last" | "channels_last_3d", _) => false,
            _ => t.is_contiguous(),
        })
    }

    #[getter]
    fn dtype<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDType>> {
        types::dtype(py, self.with(py, |t| t.dtype()))
    }

    #[getter]
    fn device(&self, py: Python<'_>) -> PyDevice {
        PyDevice::new(self.with(py, |t| t.device()))
    }

    #[getter]
    fn layout<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("rustnn._core")?.getattr("strided")
    }

    #[getter]
    fn is_cpu(&self, py: Python<'_>) -> bool {
        self.with(py, |t| t.device() == rustnn_tensor::Device::Cpu)
    }

    #[getter]
    fn is_meta(&self, py: Python<'_>) -> bool {
        self.with(py, |t| t.array().is_meta())
    }

    #[getter]
    fn is_cuda(&self) -> bool {
        false
    }

    #[getter]
    fn is_sparse(&self) -> bool {
        false
    }

    #[getter]
    fn is_quantized(&self) -> bool {
        false
    }

    #[getter]
    fn is_nested(&self) -> bool {
        false
    }

    #[getter]
    fn is_mkldnn(&self) -> bool {
        false
    }

    #[getter(T)]
    fn reversed<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        op(slf.py(), "_T", &[slf.as_any().clone()])
    }

    #[getter(mT)]
    fn matrix_transposed<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        op(slf.py(), "_mT", &[slf.as_any().clone()])
    }

    #[getter(H)]
    fn hermitian<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let rank = slf.get().with(slf.py(), |t| t.rank());
        if rank != 0 && rank != 2 {
            let cure = if rank > 2 { " For batches of matrices, consider using tensor.mH" } else { "" };
            return Err(PyRuntimeError::new_err(format!(
                "tensor.H is only supported on matrices (2-D tensors). Got {rank}-D tensor.{cure}"
            )));
        }
        let turned = op(slf.py(), "_T", &[slf.as_any().clone()])?;
        if slf.get().with(slf.py(), |t| t.dtype().is_complex()) { op(slf.py(), "conj", &[turned]) } else { Ok(turned) }
    }

    // Autograd.

    #[getter(requires_grad)]
    fn get_requires_grad(&self, py: Python<'_>) -> bool {
        self.with(py, |t| t.requires_grad())
    }

    #[setter(requires_grad)]
    fn put_requires_grad(&self, py: Python<'_>, on: bool) -> PyResult<()> {
        self.get(py).set_requires_grad(on).py()
    }

    #[pyo3(signature = (requires_grad=true))]
    fn requires_grad_<'py>(slf: &Bound<'py, Self>, requires_grad: bool) -> PyResult<Bound<'py, Self>> {
        slf.get().get(slf.py()).set_requires_grad(requires_grad).py()?;
        Ok(slf.clone())
    }

    #[getter]
    fn is_leaf(&self, py: Python<'_>) -> bool {
        self.get(py).is_leaf()
    }

    #[getter(grad)]
    fn get_grad<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let t = self.get(py);
        let Some(grad) = t.grad() else {
            if t.requires_grad() && !t.is_leaf() && !t.retains_grad() {
                PyErr::warn(py, &py.get_type::<PyUserWarning>(), NO_LEAF, 1)?;
            }
            return Ok(None);
        };
        let known = !grad.meta().host().load(Relaxed).is_null();
        let object = wrap(py, grad.clone())?;
        if !known {
            // From now on the gradient's object lives as long as the gradient.
            t.set_grad_unchecked(Some(grad));
        }
        Ok(Some(object))
    }

    #[deleter(grad)]
    fn drop_grad(&self, py: Python<'_>) -> PyResult<()> {
        self.get(py).set_grad(None).py()
    }

    #[setter(grad)]
    fn put_grad(&self, py: Python<'_>, given: Option<&Bound<PyAny>>) -> PyResult<()> {
        let grad = match given {
            None => None,
            Some(g) => Some(cast_tensor(g).ok_or_else(|| {
                PyTypeError::new_err(format!(
                    "assigned grad expected to be a Tensor or None but got grad of type {}",
                    crate::schema::type_name(g)
                ))
            })?),
        };
        // An object that its class made, not an op, is known from here on: it is the gradient that is read later.
        if let Some(Ok(object)) = given.map(|g| g.cast::<PyTensor>())
            && object.get().with(py, |t| t.meta().host().load(Relaxed).is_null())
        {
            settle(object);
        }
        self.get(py).set_grad(grad).py()
    }

    #[deleter(grad)]
    fn delete_grad(&self, py: Python<'_>) {
        self.get(py).set_grad_unchecked(None);
    }

    #[deleter(data)]
    fn delete_data(&self) -> PyResult<()> {
        Err(PyRuntimeError::new_err("Deleting tensor data is not allowed. Delete tensor instead!"))
    }

    #[getter(data)]
    fn get_data<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let own = self.get(py);
        let data = own.data();
        if record::on() {
            record::made("detach", &own, &data)?;
        }
        wrap(py, data)
    }

    #[setter(data)]
    fn put_data(&self, py: Python<'_>, data: &Bound<PyAny>) -> PyResult<()> {
        let Some(data) = cast_tensor(data) else {
            return Err(PyTypeError::new_err(format!("Variable data has to be a tensor, but got {}", crate::schema::type_name(data))));
        };
        let mut own = self.get(py);
        if record::on() {
            record::refuse("an assignment to .data gives a tensor other memory; write in place with copy_()")?;
        }
        own.set_data(&data).py()?;
        self.set(py, own);
        Ok(())
    }

    #[getter]
    fn _version(&self, py: Python<'_>) -> u32 {
        self.with(py, |t| t.version())
    }

    #[getter]
    fn _base<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.get(py).base().map(|b| wrap(py, b.tensor().clone())).transpose()
    }

    fn _is_view(&self, py: Python<'_>) -> bool {
        self.with(py, |t| t.is_view())
    }

    fn is_inference(&self, py: Python<'_>) -> bool {
        self.with(py, |t| t.is_inference())
    }

    #[getter]
    fn output_nr(&self, py: Python<'_>) -> usize {
        let t = self.get(py);
        if t.grad_fn().is_some() { t.output_number() } else { 0 }
    }

    #[getter]
    fn grad_fn<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.get(py).grad_fn().map(|node| crate::engine::node_object(py, &node)).transpose()
    }

    fn retain_grad(&self, py: Python<'_>) -> PyResult<()> {
        self.get(py).retain_grad().py()
    }

    #[getter]
    fn retains_grad(&self, py: Python<'_>) -> bool {
        self.with(py, |t| t.retains_grad())
    }

    fn register_hook<'py>(slf: &Bound<'py, Self>, hook: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        crate::engine::register_hook(slf, hook)
    }

    fn register_post_accumulate_grad_hook<'py>(slf: &Bound<'py, Self>, hook: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        crate::engine::register_post_accumulate(slf, hook)
    }

    #[pyo3(signature = (gradient=None, retain_graph=None, create_graph=false, inputs=None))]
    fn backward<'py>(
        slf: &Bound<'py, Self>,
        gradient: Option<&Bound<'py, PyAny>>,
        retain_graph: Option<bool>,
        create_graph: bool,
        inputs: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<()> {
        let py = slf.py();
        if gradient.is_none() && inputs.is_none() {
            return crate::engine::backward_plain(py, slf.get().get(py), retain_graph.unwrap_or(create_graph), create_graph);
        }
        let kwargs = PyDict::new(py);
        kwargs.set_item("inputs", inputs)?;
        py.import("rustnn.autograd")?.getattr("backward")?.call((slf, gradient, retain_graph, create_graph), Some(&kwargs)).map(drop)
    }

    fn __reduce_ex__<'py>(slf: &Bound<'py, Self>, protocol: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("rustnn._tensor")?.call_method1("_reduce_ex", (slf, protocol))
    }

    fn __deepcopy__<'py>(slf: &Bound<'py, Self>, memo: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("rustnn._tensor")?.call_method1("_deepcopy", (slf, memo))
    }

    #[pyo3(signature = (dtype=None, copy=None))]
    fn __array__<'py>(slf: &Bound<'py, Self>, dtype: Option<&Bound<'py, PyAny>>, copy: Option<bool>) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import("rustnn._tensor")?.call_method1("_array", (slf, dtype, copy))
    }
}

/// A new leaf of class `cls` over the memory of `data`.
pub fn make_subclass<'py>(cls: &Bound<'py, PyType>, data: &Bound<'py, PyAny>, require_grad: bool) -> PyResult<Bound<'py, PyAny>> {
    let Some(tensor) = cast_tensor(data) else {
        return Err(PyTypeError::new_err(format!(
            "_make_subclass(): argument 'data' (position 2) must be Tensor, not {}",
            crate::schema::type_name(data)
        )));
    };
    let leaf = tensor.detach();
    if record::on() && record::knows(&tensor) {
        record::made("detach", &tensor, &leaf)?;
    }
    if require_grad && !leaf.dtype().is_differentiable() {
        return Err(PyRuntimeError::new_err("Only Tensors of floating point and complex dtype can require gradients"));
    }
    leaf.set_requires_grad(require_grad).py()?;
    wrap_as(cls, leaf)
}

/// A number as Python has it.
pub fn number<'py>(py: Python<'py>, scalar: Scalar) -> PyResult<Bound<'py, PyAny>> {
    Ok(match scalar {
        Scalar::Int(i) => i.into_pyobject(py)?.into_any(),
        Scalar::Float(f) => f.into_pyobject(py)?.into_any(),
        Scalar::Bool(b) => PyBool::new(py, b).to_owned().into_any(),
    })
}

/// A number as Python has it; those of uint64 lie in the bits of an i64.
fn number_of<'py>(py: Python<'py>, dtype: DType, scalar: Scalar) -> PyResult<Bound<'py, PyAny>> {
    match scalar {
        Scalar::Int(i) if dtype == DType::U64 => Ok((i as u64).into_pyobject(py)?.into_any()),
        other => number(py, other),
    }
}

fn nested<'py, T>(
    elements: &[T],
    shape: &[usize],
    number: &dyn Fn(&T) -> PyResult<Bound<'py, PyAny>>,
    py: Python<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    let Some((&n, rest)) = shape.split_first() else { return number(&elements[0]) };
    let step: usize = rest.iter().product();
    let list = PyList::empty(py);
    for i in 0..n {
        list.append(nested(&elements[i * step..(i + 1) * step], rest, number, py)?)?;
    }
    Ok(list.into_any())
}

static SIZE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// `Size.__getitem__`: as a tuple's, but a slice is a Size. Native, since programs read `x.shape[0]` all the time.
///
/// # Safety
/// As CPython calls a METH_O method of `tuple`.
unsafe extern "C" fn size_getitem(this: *mut ffi::PyObject, index: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: attached; `this` is a tuple, the descriptor sees to it; borrowed references are used at once.
    unsafe {
        if ffi::PyIndex_Check(index) != 0 {
            let given = ffi::PyNumber_AsSsize_t(index, ffi::PyExc_IndexError);
            if given == -1 && !ffi::PyErr_Occurred().is_null() {
                return std::ptr::null_mut();
            }
            let at = if given < 0 { given + ffi::PyTuple_Size(this) } else { given };
            // Raises IndexError out of range.
            let item = ffi::PyTuple_GetItem(this, at);
            ffi::Py_XINCREF(item);
            return item;
        }
        let plain = ffi::PyTuple_GetSlice(this, 0, ffi::PyTuple_Size(this));
        if plain.is_null() {
            return plain;
        }
        let items = ffi::PyObject_GetItem(plain, index);
        ffi::Py_DECREF(plain);
        if items.is_null() {
            return items;
        }
        let items = Bound::from_owned_ptr(Python::assume_attached(), items);
        match size_class(items.py()).and_then(|class| class.call1((&items,))) {
            Ok(size) => size.into_ptr(),
            Err(error) => {
                error.restore(items.py());
                std::ptr::null_mut()
            }
        }
    }
}

fn size_class(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    SIZE.get_or_try_init(py, || py.import("rustnn._size")?.getattr("Size").map(Bound::unbind)).map(|class| class.bind(py))
}

/// The descriptor that `rustnn.Size` takes as `__getitem__`.
#[pyfunction]
pub fn _size_getitem(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let method = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: c"__getitem__".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: size_getitem },
        ml_flags: ffi::METH_O,
        ml_doc: c"The size at an index, or the Size of a slice.".as_ptr(),
    }));
    // SAFETY: the definition lives for ever.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(&raw mut ffi::PyTuple_Type, method)) }
}

/// `torch.Size`.
pub fn size(py: Python<'_>, sizes: impl ExactSizeIterator<Item = i64>) -> PyResult<Bound<'_, PyAny>> {
    size_object(py, sizes)
}

/// `torch.Size` of what becomes Python's integers.
fn size_object<'py, T: IntoPyObject<'py>>(py: Python<'py>, sizes: impl ExactSizeIterator<Item = T>) -> PyResult<Bound<'py, PyAny>> {
    let class = size_class(py)?;
    // SAFETY: the class is a subclass of tuple without fields, made as `tuple.__new__` makes one; its own `__new__`, which only
    // looks whether all are integers, would take three times as long. Each place is filled once, while nobody else has the tuple.
    unsafe {
        let made = Bound::from_owned_ptr_or_err(py, ffi::PyType_GenericAlloc(class.as_ptr().cast(), sizes.len() as ffi::Py_ssize_t))?;
        for (i, size) in sizes.enumerate() {
            let size = size.into_bound_py_any(py)?.into_ptr();
            if ffi::PyTuple_SetItem(made.as_ptr(), i as ffi::Py_ssize_t, size) != 0 {
                return Err(PyErr::fetch(py));
            }
        }
        Ok(made)
    }
}
