//! `Module.__call__`: checks the registries and calls `forward`; forward hooks are run by `module_hooks`, others in Python.
//!
//! A method descriptor, not a base class: with a native base, classes that list a mixin before `Module` could neither be
//! copied (`__new__` is not safe) nor change their class (lazy modules).

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};
use smallvec::SmallVec;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

// SAFETY: the declaration is that of CPython's headers.
unsafe extern "C" {
    /// Public since Python 3.9, in the stable interface's list since 3.12 with the same signature.
    fn PyObject_Vectorcall(
        callable: *mut ffi::PyObject,
        args: *const *mut ffi::PyObject,
        nargs: usize,
        kwnames: *mut ffi::PyObject,
    ) -> *mut ffi::PyObject;
}

/// The global registries of backward hooks, backward pre-hooks, forward hooks and forward pre-hooks. A dictionary once set
/// here is never freed: another thread's call may be looking at it, and they are rebound in tests only.
static GLOBAL: [AtomicPtr<ffi::PyObject>; 4] = [const { AtomicPtr::new(ptr::null_mut()) }; 4];

/// The global flags of forward hooks: always called, with keyword arguments. Kept as the registries are.
static FLAGS: [AtomicPtr<ffi::PyObject>; 2] = [const { AtomicPtr::new(ptr::null_mut()) }; 2];

/// Tells which dictionaries are the global registries and flags now.
#[pyfunction]
pub fn _set_global_hooks(registries: [Py<PyDict>; 4], flags: [Py<PyDict>; 2]) {
    for (slot, registry) in GLOBAL.iter().chain(&FLAGS).zip(registries.into_iter().chain(flags)) {
        slot.store(registry.into_ptr(), Ordering::Release);
    }
}

fn told<'py>(py: Python<'py>, slot: &AtomicPtr<ffi::PyObject>) -> Option<Bound<'py, PyAny>> {
    // SAFETY: null, or a dictionary that is never freed.
    unsafe { Bound::from_borrowed_ptr_or_opt(py, slot.load(Ordering::Acquire)) }
}

/// A registry, numbered as in [`GLOBAL`].
pub fn global_registry(py: Python<'_>, which: usize) -> Option<Bound<'_, PyAny>> {
    told(py, &GLOBAL[which])
}

pub fn global_flags(py: Python<'_>) -> [Option<Bound<'_, PyAny>>; 2] {
    [told(py, &FLAGS[0]), told(py, &FLAGS[1])]
}

/// What a call looks up, interned once.
struct Names {
    compiled: Py<PyString>,
    forward: Py<PyString>,
    slow: Py<PyString>,
    own: [Py<PyString>; 4],
    /// The class of Python functions.
    function: Py<PyAny>,
}

static NAMES: PyOnceLock<Names> = PyOnceLock::new();

fn names(py: Python<'_>) -> PyResult<&Names> {
    NAMES.get_or_try_init(py, || {
        let name = |text: &str| PyString::intern(py, text).unbind();
        Ok(Names {
            compiled: name("_compiled_call_impl"),
            forward: name("forward"),
            slow: name("_wrapped_call_impl"),
            own: ["_backward_hooks", "_backward_pre_hooks", "_forward_hooks", "_forward_pre_hooks"].map(name),
            function: py.import("types")?.getattr("FunctionType")?.unbind(),
        })
    })
}

/// Whether no hook and no compiled call is there, for this module or for all.
///
/// # Safety
/// Attached; `state` is the live `__dict__` of a module.
unsafe fn is_plain(state: *mut ffi::PyObject, names: &Names) -> bool {
    // SAFETY: as the caller promises; borrowed results are used at once. Registries of an unfinished module are missing.
    unsafe {
        let global = GLOBAL.iter().all(|slot| ffi::PyDict_Size(slot.load(Ordering::Acquire)) == 0);
        let own = names.own.iter().all(|name| {
            let registry = ffi::PyDict_GetItemWithError(state, name.as_ptr());
            !registry.is_null() && ffi::PyDict_Size(registry) == 0
        });
        let compiled = ffi::PyDict_GetItemWithError(state, names.compiled.as_ptr());
        global && own && (compiled.is_null() || compiled == ffi::Py_None())
    }
}

/// Calls a function with `this` before the other arguments, without a bound method.
///
/// # Safety
/// Attached; live arguments as of `call`.
unsafe fn call_with_self(
    function: *mut ffi::PyObject,
    this: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    const MOST: usize = 8;
    // SAFETY: as the caller promises; the copies are borrowed for the call only.
    unsafe {
        let keywords = if kwnames.is_null() { 0 } else { ffi::PyTuple_Size(kwnames) as usize };
        let count = nargs as usize + keywords;
        if count < MOST {
            let mut all = [ptr::null_mut(); MOST];
            all[0] = this;
            ptr::copy_nonoverlapping(args, all.as_mut_ptr().add(1), count);
            return PyObject_Vectorcall(function, all.as_ptr(), nargs as usize + 1, kwnames);
        }
        let mut all = Vec::with_capacity(count + 1);
        all.push(this);
        all.extend_from_slice(std::slice::from_raw_parts(args, count));
        PyObject_Vectorcall(function, all.as_ptr(), nargs as usize + 1, kwnames)
    }
}

/// The result of a plain Python function on `this` and `args`; None if `function` is something else.
pub fn call_function<'py>(
    function: &Bound<'py, PyAny>,
    this: &Bound<'py, PyAny>,
    args: &Bound<'py, PyTuple>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = this.py();
    if function.get_type().as_ptr() != names(py)?.function.as_ptr() {
        return Ok(None);
    }
    let items: SmallVec<[*mut ffi::PyObject; 8]> = args.iter_borrowed().map(|item| item.as_ptr()).collect();
    // SAFETY: attached; the tuple keeps its items alive during the call.
    unsafe {
        let result = call_with_self(function.as_ptr(), this.as_ptr(), items.as_ptr(), items.len() as isize, ptr::null_mut());
        Bound::from_owned_ptr_or_err(py, result).map(Some)
    }
}

/// # Safety
/// Called by the interpreter as a fast-call method with keywords.
unsafe extern "C" fn call(
    this: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls attached, with `nargs` live positional arguments, then one per name in `kwnames`.
    unsafe {
        let py = Python::assume_attached();
        let names = match names(py) {
            Ok(names) => names,
            Err(error) => {
                error.restore(py);
                return ptr::null_mut();
            }
        };
        let state = ffi::PyObject_GenericGetDict(this, ptr::null_mut());
        if state.is_null() {
            return ptr::null_mut();
        }
        let plain = is_plain(state, names);
        // An instance's own forward comes before its class's.
        let of_class = plain && ffi::PyDict_GetItemWithError(state, names.forward.as_ptr()).is_null();
        let state = Bound::from_owned_ptr(py, state);
        if !ffi::PyErr_Occurred().is_null() {
            return ptr::null_mut();
        }
        if !plain {
            match hooked(py, this, &state, args, nargs, kwnames) {
                Ok(Some(result)) => return result.into_ptr(),
                Ok(None) => {}
                Err(error) => {
                    error.restore(py);
                    note(py, this, args, nargs, kwnames);
                    return ptr::null_mut();
                }
            }
        }
        drop(state);
        if of_class {
            let function = ffi::PyObject_GetAttr(ffi::Py_TYPE(this).cast(), names.forward.as_ptr());
            if !function.is_null() && ffi::Py_TYPE(function) == names.function.as_ptr().cast() {
                let result = call_with_self(function, this, args, nargs, kwnames);
                ffi::Py_DECREF(function);
                if result.is_null() {
                    note(py, this, args, nargs, kwnames);
                }
                return result;
            }
            ffi::Py_XDECREF(function);
            ffi::PyErr_Clear();
        }
        let target = ffi::PyObject_GetAttr(this, if plain { &names.forward } else { &names.slow }.as_ptr());
        if target.is_null() {
            return ptr::null_mut();
        }
        let result = PyObject_Vectorcall(target, args, nargs as usize, kwnames);
        ffi::Py_DECREF(target);
        if result.is_null() && plain {
            note(py, this, args, nargs, kwnames);
        }
        result
    }
}

/// The arguments of a fast call as a tuple and, if there are any of that kind, a dictionary.
///
/// # Safety
/// Attached; live arguments as of `call`.
unsafe fn gather<'py>(
    py: Python<'py>,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> PyResult<(Bound<'py, PyTuple>, Option<Bound<'py, PyDict>>)> {
    if kwnames.is_null() {
        // SAFETY: as the caller promises; the fresh tuple gets a reference of its own to each argument.
        let tuple = unsafe {
            let tuple = Bound::from_owned_ptr_or_err(py, ffi::PyTuple_New(nargs))?;
            for i in 0..nargs {
                let arg = *args.add(i as usize);
                ffi::Py_INCREF(arg);
                ffi::PyTuple_SetItem(tuple.as_ptr(), i, arg);
            }
            tuple
        };
        return Ok((tuple.cast_into()?, None));
    }
    // SAFETY: as the caller promises.
    let (arguments, kwnames) = unsafe {
        let keywords = if kwnames.is_null() { 0 } else { ffi::PyTuple_Size(kwnames) };
        let count = (nargs + keywords) as usize;
        let given = if count == 0 { &[][..] } else { std::slice::from_raw_parts(args, count) };
        let arguments: SmallVec<[Bound<'py, PyAny>; 4]> = given.iter().map(|&arg| Bound::from_borrowed_ptr(py, arg)).collect();
        (arguments, Bound::from_borrowed_ptr_or_opt(py, kwnames))
    };
    let (positional, named) = arguments.split_at(nargs as usize);
    let args = PyTuple::new(py, positional)?;
    let Some(kwnames) = kwnames else { return Ok((args, None)) };
    let kwargs = PyDict::new(py);
    for (name, value) in kwnames.try_iter()?.zip(named) {
        kwargs.set_item(name?, value)?;
    }
    Ok((args, Some(kwargs)))
}

/// # Safety
/// Attached; `state` is the module's `__dict__`; live arguments as of `call`.
unsafe fn hooked<'py>(
    py: Python<'py>,
    this: *mut ffi::PyObject,
    state: &Bound<'py, PyAny>,
    args: *const *mut ffi::PyObject,
    nargs: isize,
    kwnames: *mut ffi::PyObject,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    // SAFETY: as the caller promises.
    let (this, (args, kwargs)) = unsafe { (Bound::from_borrowed_ptr(py, this), gather(py, args, nargs, kwnames)?) };
    crate::module_hooks::call(&this, state.cast::<PyDict>()?, args, kwargs)
}

/// Writes on the passing exception which module it came from; whatever goes wrong in that is forgotten.
///
/// # Safety
/// Attached; live arguments as of `call`; an exception is set.
#[cold]
unsafe fn note(py: Python<'_>, this: *mut ffi::PyObject, args: *const *mut ffi::PyObject, nargs: isize, kwnames: *mut ffi::PyObject) {
    let Some(error) = PyErr::take(py) else { return };
    if error.is_instance_of::<pyo3::exceptions::PyException>(py) {
        let written = || -> PyResult<()> {
            // SAFETY: as the caller promises.
            let (this, (args, kwargs)) = unsafe { (Bound::from_borrowed_ptr(py, this), gather(py, args, nargs, kwnames)?) };
            let file = py.import("rustnn.nn.modules.module")?;
            file.call_method1("_note_module", (error.value(py), this, args, kwargs))?;
            Ok(())
        };
        let _ = written();
    }
    error.restore(py);
}

/// The descriptor that `rustnn.nn.Module` takes as `__call__`.
pub fn descriptor(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let method = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: c"__call__".as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: call },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        // `inspect` reads the signature off it.
        ml_doc: c"__call__($self, /, *args, **kwargs)\n--\n\nRun the module's hooks and forward.".as_ptr(),
    }));
    // SAFETY: the definition lives for ever; any object is an instance of `object`.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(&raw mut ffi::PyBaseObject_Type, method)) }
}
