//! Reading and setting the attributes of a `Module`: parameters, buffers and submodules live in registries, not in `__dict__`.
//!
//! Method descriptors, as in `module_call`. What is not the common case goes to the Python twin (`_missing_attribute`,
//! `_set_attribute`), which has the messages.

use crate::tensor::PyTensor;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyType};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The registries of hooks that run when a parameter or a module is registered; never freed, as `module_call::GLOBAL`.
static REGISTRATION: [AtomicPtr<ffi::PyObject>; 2] = [const { AtomicPtr::new(ptr::null_mut()) }; 2];

/// Tells which dictionaries are the global registries of registration hooks (parameters', modules') now.
#[pyfunction]
pub fn _set_registration_hooks(registries: [Py<PyDict>; 2]) {
    for (slot, registry) in REGISTRATION.iter().zip(registries) {
        slot.store(registry.into_ptr(), Ordering::Release);
    }
}

fn is_hooked(which: usize) -> bool {
    // SAFETY: a live dictionary (see REGISTRATION), called attached; null gives -1.
    unsafe { ffi::PyDict_Size(REGISTRATION[which].load(Ordering::Acquire)) != 0 }
}

/// What is known of the classes, told once by the Python side.
pub struct Classes {
    pub module: Py<PyType>,
    pub parameter: Py<PyType>,
    register_parameter: Py<PyAny>,
    builtin: [usize; 9],
    missing: Py<PyString>,
    set: Py<PyString>,
    register_name: Py<PyString>,
    parameters: Py<PyString>,
    buffers: Py<PyString>,
    modules: Py<PyString>,
    not_persistent: Py<PyString>,
}

static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();

/// The classes `Module` and `Parameter`, once both exist.
#[pyfunction]
pub fn _set_module_classes(module: Bound<'_, PyType>, parameter: Bound<'_, PyType>) -> PyResult<()> {
    let py = module.py();
    let name = |text: &str| PyString::intern(py, text).unbind();
    let builtins = py.import("builtins")?;
    let mut builtin = [py.None().bind(py).get_type().as_ptr() as usize; 9];
    for (slot, class) in builtin[1..].iter_mut().zip(["int", "bool", "float", "str", "tuple", "list", "dict", "set"]) {
        *slot = builtins.getattr(class)?.as_ptr() as usize;
    }
    let classes = Classes {
        register_parameter: module.getattr("register_parameter")?.unbind(),
        builtin,
        missing: name("_missing_attribute"),
        set: name("_set_attribute"),
        register_name: name("register_parameter"),
        parameters: name("_parameters"),
        buffers: name("_buffers"),
        modules: name("_modules"),
        not_persistent: name("_non_persistent_buffers_set"),
        module: module.unbind(),
        parameter: parameter.unbind(),
    };
    let _ = CLASSES.set(py, classes);
    Ok(())
}

pub fn classes(py: Python<'_>) -> PyResult<&Classes> {
    CLASSES.get(py).ok_or_else(|| pyo3::exceptions::PyRuntimeError::new_err("rustnn.nn is not imported yet"))
}

/// A registry of the module whose `__dict__` is `state`; borrowed, null where it is missing or no dictionary.
///
/// # Safety
/// Attached; `state` is a live dictionary.
unsafe fn registry(state: *mut ffi::PyObject, name: &Py<PyString>) -> *mut ffi::PyObject {
    // SAFETY: as the caller promises.
    unsafe {
        let found = ffi::PyDict_GetItemWithError(state, name.as_ptr());
        if found.is_null() || ffi::PyDict_Check(found) == 0 { ptr::null_mut() } else { found }
    }
}

/// `Module.__getattr__`: reached when the ordinary look-up failed.
///
/// # Safety
/// Called by the interpreter as a method with one argument.
unsafe extern "C" fn get(this: *mut ffi::PyObject, name: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls attached with live arguments; borrowed results are used or counted at once.
    unsafe {
        let py = Python::assume_attached();
        let Some(classes) = CLASSES.get(py) else { return ffi::PyObject_GenericGetAttr(this, name) };
        let state = ffi::PyObject_GenericGetDict(this, ptr::null_mut());
        if state.is_null() {
            return ptr::null_mut();
        }
        for which in [&classes.modules, &classes.parameters, &classes.buffers] {
            // A name is in one of the three only.
            let registry = registry(state, which);
            if !registry.is_null() && ffi::PyDict_Size(registry) > 0 {
                let found = ffi::PyDict_GetItemWithError(registry, name);
                if !found.is_null() {
                    ffi::Py_INCREF(found);
                    ffi::Py_DECREF(state);
                    return found;
                }
            }
        }
        ffi::Py_DECREF(state);
        if !ffi::PyErr_Occurred().is_null() {
            return ptr::null_mut();
        }
        let slow = ffi::PyObject_GetAttr(classes.module.as_ptr(), classes.missing.as_ptr());
        if slow.is_null() {
            return ptr::null_mut();
        }
        let result = ffi::PyObject_CallFunctionObjArgs(slow, this, name, ptr::null_mut::<ffi::PyObject>());
        ffi::Py_DECREF(slow);
        result
    }
}

/// What became of an assignment.
enum Set {
    Done,
    Failed,
    /// A case for the Python twin.
    Other,
}

/// Takes `name` out of a dictionary; false if that raised.
///
/// # Safety
/// Attached; live arguments.
unsafe fn discard(dict: *mut ffi::PyObject, name: *mut ffi::PyObject) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        if ffi::PyDict_Size(dict) == 0 {
            return true;
        }
        match ffi::PyDict_Contains(dict, name) {
            0 => true,
            // Not PyDict_DelItem: an OrderedDict (of an old pickle, say) has a list of its own.
            1 => ffi::PyObject_DelItem(dict, name) == 0,
            _ => false,
        }
    }
}

/// # Safety
/// Attached; `state` is the live `__dict__` of `this`; `name` is a string.
unsafe fn assign(
    classes: &Classes,
    this: *mut ffi::PyObject,
    state: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> Set {
    // SAFETY: as the caller promises; registries are kept alive by `state`, which nothing here replaces.
    unsafe {
        let py = Python::assume_attached();
        let class = ffi::Py_TYPE(value);
        let parameters = registry(state, &classes.parameters);
        let buffers = registry(state, &classes.buffers);
        let modules = registry(state, &classes.modules);
        let complete = !parameters.is_null() && !buffers.is_null() && !modules.is_null();
        let holds = |dict: *mut ffi::PyObject| ffi::PyDict_Size(dict) > 0 && ffi::PyDict_Contains(dict, name) != 0;
        let is_parameter = class == classes.parameter.as_ptr().cast();
        if is_parameter || ffi::PyType_IsSubtype(class, classes.module.as_ptr().cast()) != 0 {
            let not_persistent = ffi::PyDict_GetItemWithError(state, classes.not_persistent.as_ptr());
            if !complete || not_persistent.is_null() || ffi::PySet_Check(not_persistent) == 0 || is_hooked(usize::from(!is_parameter)) {
                return Set::Other;
            }
            if is_parameter {
                if !may_register(py, classes, this, state, name, value) {
                    return if ffi::PyErr_Occurred().is_null() { Set::Other } else { Set::Failed };
                }
                if !(discard(state, name) && discard(buffers, name) && discard(modules, name)) {
                    return Set::Failed;
                }
                if !holds(parameters) {
                    // A name that the class has is refused there.
                    let taken = ffi::PyObject_GetAttr(ffi::Py_TYPE(this).cast(), name);
                    if !taken.is_null() {
                        ffi::Py_DECREF(taken);
                        return Set::Other;
                    }
                    if ffi::PyErr_ExceptionMatches(ffi::PyExc_AttributeError) == 0 {
                        return Set::Failed;
                    }
                    ffi::PyErr_Clear();
                }
            } else if holds(parameters) || !(discard(state, name) && discard(buffers, name)) {
                return if ffi::PyErr_Occurred().is_null() { Set::Other } else { Set::Failed };
            }
            if ffi::PySet_Size(not_persistent) > 0 && ffi::PySet_Discard(not_persistent, name) < 0 {
                return Set::Failed;
            }
            let registry = if is_parameter { parameters } else { modules };
            return if ffi::PyObject_SetItem(registry, name, value) == 0 { Set::Done } else { Set::Failed };
        }
        let plain = classes.builtin.contains(&(class as usize)) || {
            // A stand-in (a proxy, a mock) says through `__class__` what it stands for.
            let tensor = py.get_type::<PyTensor>();
            ffi::PyType_IsSubtype(class, tensor.as_type_ptr()) == 0 && ffi::PyObject_IsInstance(value, classes.module.as_ptr()) == 0
        };
        if !ffi::PyErr_Occurred().is_null() {
            return Set::Failed;
        }
        if !plain || complete && (holds(parameters) || holds(modules) || holds(buffers)) {
            return Set::Other;
        }
        if ffi::PyObject_GenericSetAttr(this, name, value) == 0 { Set::Done } else { Set::Failed }
    }
}

/// Whether `name` and the parameter `value` need no look at by `register_parameter`, its Python form or a subclass's.
///
/// # Safety
/// As `assign`.
unsafe fn may_register(
    py: Python<'_>,
    classes: &Classes,
    this: *mut ffi::PyObject,
    state: *mut ffi::PyObject,
    name: *mut ffi::PyObject,
    value: *mut ffi::PyObject,
) -> bool {
    // SAFETY: as the caller promises.
    unsafe {
        if ffi::PyDict_Contains(state, classes.register_name.as_ptr()) != 0 {
            return false;
        }
        let register = ffi::PyObject_GetAttr(ffi::Py_TYPE(this).cast(), classes.register_name.as_ptr());
        ffi::Py_XDECREF(register);
        if register != classes.register_parameter.as_ptr() {
            return false;
        }
        let name = Bound::from_borrowed_ptr(py, name);
        let dotted =
            name.cast::<PyString>().ok().is_none_or(|name| name.to_str().map_or(true, |name| name.is_empty() || name.contains('.')));
        let value = Bound::from_borrowed_ptr(py, value);
        !dotted && value.cast::<PyTensor>().is_ok_and(|tensor| tensor.get().with(py, |tensor| tensor.grad_fn().is_none()))
    }
}

/// `Module.__setattr__`.
///
/// # Safety
/// Called by the interpreter as a fast-call method.
unsafe extern "C" fn set(this: *mut ffi::PyObject, args: *mut *mut ffi::PyObject, nargs: ffi::Py_ssize_t) -> *mut ffi::PyObject {
    // SAFETY: the interpreter calls attached, with `nargs` live arguments.
    unsafe {
        let py = Python::assume_attached();
        let classes = match classes(py) {
            Ok(classes) if nargs == 2 => classes,
            Ok(_) => {
                pyo3::exceptions::PyTypeError::new_err(format!("__setattr__() takes 2 arguments ({nargs} given)")).restore(py);
                return ptr::null_mut();
            }
            Err(error) => {
                error.restore(py);
                return ptr::null_mut();
            }
        };
        let (name, value) = (*args, *args.add(1));
        let state = ffi::PyObject_GenericGetDict(this, ptr::null_mut());
        if state.is_null() {
            return ptr::null_mut();
        }
        let outcome = if ffi::PyUnicode_Check(name) != 0 { assign(classes, this, state, name, value) } else { Set::Other };
        ffi::Py_DECREF(state);
        match outcome {
            Set::Done => {
                ffi::Py_INCREF(ffi::Py_None());
                ffi::Py_None()
            }
            Set::Failed => ptr::null_mut(),
            Set::Other => {
                let slow = ffi::PyObject_GetAttr(classes.module.as_ptr(), classes.set.as_ptr());
                if slow.is_null() {
                    return ptr::null_mut();
                }
                let result = ffi::PyObject_CallFunctionObjArgs(slow, this, name, value, ptr::null_mut::<ffi::PyObject>());
                ffi::Py_DECREF(slow);
                result
            }
        }
    }
}

fn descriptor<'py>(py: Python<'py>, definition: ffi::PyMethodDef) -> PyResult<Bound<'py, PyAny>> {
    let method = Box::leak(Box::new(definition));
    // SAFETY: the definition lives for ever; any object is an instance of `object`.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(&raw mut ffi::PyBaseObject_Type, method)) }
}

/// What `rustnn.nn.Module` takes as `__getattr__`.
pub fn getter(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    descriptor(
        py,
        ffi::PyMethodDef {
            ml_name: c"__getattr__".as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunction: get },
            ml_flags: ffi::METH_O,
            ml_doc: c"A parameter, buffer or submodule.".as_ptr(),
        },
    )
}

/// What `rustnn.nn.Module` takes as `__setattr__`.
pub fn setter(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    descriptor(
        py,
        ffi::PyMethodDef {
            ml_name: c"__setattr__".as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: set },
            ml_flags: ffi::METH_FASTCALL,
            ml_doc: c"Register a parameter, buffer or submodule, or set a plain attribute.".as_ptr(),
        },
    )
}
