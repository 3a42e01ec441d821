//! `Module.__call__` with forward hooks and pre-hooks, and no backward hook: what `Module._call_impl` does, in its order.

use crate::module_call::{global_flags, global_registry};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};
use smallvec::SmallVec;
use std::ptr;

type Hooks<'py> = SmallVec<[(Bound<'py, PyAny>, Bound<'py, PyAny>); 4]>;

fn len(registry: &Bound<PyAny>) -> isize {
    // SAFETY: attached; no dictionary gives -1 and an error, which is cleared.
    unsafe {
        let size = ffi::PyDict_Size(registry.as_ptr());
        if size < 0 {
            ffi::PyErr_Clear();
        }
        size
    }
}

/// Whether the dictionary under `name` in `state` has the key `id`.
fn is_flagged(state: &Bound<PyDict>, name: &Bound<PyString>, id: &Bound<PyAny>) -> PyResult<bool> {
    // SAFETY: attached; the borrowed dictionary is used at once, by code that runs no other (ids are numbers).
    unsafe {
        let flags = ffi::PyDict_GetItemWithError(state.as_ptr(), name.as_ptr());
        if flags.is_null() || ffi::PyDict_Check(flags) == 0 || ffi::PyDict_Size(flags) == 0 {
            return Ok(false);
        }
        Bound::from_borrowed_ptr(state.py(), flags).contains(id)
    }
}

/// Entries of the dictionary under `name`; -1 where there is none.
fn entries(state: &Bound<PyDict>, name: &Bound<PyString>) -> isize {
    // SAFETY: as in `is_flagged`.
    unsafe {
        let registry = ffi::PyDict_GetItemWithError(state.as_ptr(), name.as_ptr());
        if registry.is_null() || ffi::PyDict_Check(registry) == 0 { -1 } else { ffi::PyDict_Size(registry) }
    }
}

fn is_flagged_globally(flags: Option<Bound<PyAny>>, id: &Bound<PyAny>) -> PyResult<bool> {
    match flags {
        Some(flags) if len(&flags) != 0 => flags.contains(id),
        _ => Ok(false),
    }
}

/// Adds the hooks of a registry as they are now: a hook may remove itself or others while it runs.
fn snapshot<'py>(registry: &Bound<'py, PyAny>, into: &mut Hooks<'py>) -> PyResult<()> {
    let py = registry.py();
    match len(registry) {
        0 => {}
        1 => {
            let (mut position, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
            // SAFETY: a dictionary of one entry, as `len` found; its borrowed entry is counted at once.
            unsafe {
                if ffi::PyDict_Next(registry.as_ptr(), &mut position, &mut key, &mut value) != 0 {
                    into.push((Bound::from_borrowed_ptr(py, key), Bound::from_borrowed_ptr(py, value)));
                }
            }
        }
        _ => {
            // Through the mapping: an OrderedDict's own order is another than its table's once a hook was prepended.
            for item in registry.call_method0(intern!(py, "items"))?.try_iter()? {
                into.push(item?.extract()?);
            }
        }
    }
    Ok(())
}

/// A call as far as it has come.
struct Call<'py> {
    this: Bound<'py, PyAny>,
    state: Bound<'py, PyDict>,
    args: Bound<'py, PyTuple>,
    /// None while nobody asked for the keyword arguments and there are none.
    kwargs: Option<Bound<'py, PyDict>>,
    result: Option<Bound<'py, PyAny>>,
    /// Ids of always-called hooks that have begun.
    begun: Option<Bound<'py, PyList>>,
}

impl<'py> Call<'py> {
    fn registry(&self, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let missing = || {
            let class = crate::schema::type_name(&self.this);
            pyo3::exceptions::PyAttributeError::new_err(format!("'{class}' object has no attribute '{name}'"))
        };
        self.state.get_item(name)?.ok_or_else(missing)
    }

    fn kwargs(&mut self) -> Bound<'py, PyDict> {
        let py = self.this.py();
        self.kwargs.get_or_insert_with(|| PyDict::new(py)).clone()
    }

    fn run_pre_hooks(&mut self, global: Option<&Bound<'py, PyAny>>) -> PyResult<()> {
        let py = self.this.py();
        let mut hooks = Hooks::new();
        let own = self.registry(intern!(py, "_forward_pre_hooks"))?;
        for registry in global.into_iter().chain([&own]) {
            snapshot(registry, &mut hooks)?;
        }
        for (id, hook) in &hooks {
            if !is_flagged(&self.state, intern!(py, "_forward_pre_hooks_with_kwargs"), id)? {
                let replaced = hook.call1((&self.this, &self.args))?;
                if !replaced.is_none() {
                    self.args = match replaced.cast_into::<PyTuple>() {
                        Ok(args) => args,
                        Err(other) => PyTuple::new(py, [other.into_inner()])?,
                    };
                }
                continue;
            }
            let kwargs = self.kwargs();
            let replaced = hook.call1((&self.this, &self.args, kwargs))?;
            if replaced.is_none() {
                continue;
            }
            let Some(pair) = replaced.cast::<PyTuple>().ok().filter(|pair| pair.len() == 2) else {
                return Err(pyo3::exceptions::PyRuntimeError::new_err(format!(
                    "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {}.",
                    replaced.str()?
                )));
            };
            // Whatever unpacks: `forward(*args, **kwargs)`, with the interpreter's words where it does not.
            let (args, kwargs) = (pair.get_item(0)?, pair.get_item(1)?);
            let refused = |stars: &str, wanted: &str, got: &Bound<PyAny>| -> PyErr {
                let forward = self.this.getattr(intern!(py, "forward"));
                let part = |name: &str| forward.as_ref().ok().and_then(|f| f.getattr(name).ok()).map(|text| text.to_string());
                let name = format!("{}.{}", part("__module__").unwrap_or_default(), part("__qualname__").unwrap_or_default());
                let kind = crate::schema::type_name(got);
                pyo3::exceptions::PyTypeError::new_err(format!("{name}() argument after {stars} must be {wanted}, not {kind}"))
            };
            if !kwargs.hasattr(intern!(py, "keys"))? {
                return Err(refused("**", "a mapping", &kwargs));
            }
            if args.try_iter().is_err() {
                return Err(refused("*", "an iterable", &args));
            }
            self.args = py.get_type::<PyTuple>().call1((args,))?.cast_into()?;
            self.kwargs = Some(match kwargs.cast_into::<PyDict>() {
                Ok(kwargs) => kwargs,
                Err(other) => py.get_type::<PyDict>().call1((other.into_inner(),))?.cast_into()?,
            });
        }
        Ok(())
    }

    fn run_hooks(&mut self, global: Option<&Bound<'py, PyAny>>) -> PyResult<()> {
        let py = self.this.py();
        let mut hooks = Hooks::new();
        if entries(&self.state, intern!(py, "_forward_hooks")) == 0 && global.is_none() {
            return Ok(());
        }
        let own = self.registry(intern!(py, "_forward_hooks"))?;
        for registry in global.into_iter().chain([&own]) {
            snapshot(registry, &mut hooks)?;
        }
        for (id, hook) in &hooks {
            let [always, with_kwargs] = global_flags(py);
            let (own_always, own_kwargs) = (intern!(py, "_forward_hooks_always_called"), intern!(py, "_forward_hooks_with_kwargs"));
            if is_flagged(&self.state, own_always, id)? || is_flagged_globally(always, id)? {
                self.begun.get_or_insert_with(|| PyList::empty(py)).append(id)?;
            }
            let takes_kwargs = is_flagged(&self.state, own_kwargs, id)? || is_flagged_globally(with_kwargs, id)?;
            let result = self.result.clone().unwrap_or_else(|| py.None().into_bound(py));
            let replaced = if takes_kwargs {
                let kwargs = self.kwargs();
                hook.call1((&self.this, &self.args, kwargs, result))?
            } else {
                hook.call1((&self.this, &self.args, result))?
            };
            if !replaced.is_none() {
                self.result = Some(replaced);
            }
        }
        Ok(())
    }

    fn run(&mut self) -> PyResult<()> {
        let py = self.this.py();
        let global = global_registry(py, 3).filter(|registry| len(registry) != 0);
        if entries(&self.state, intern!(py, "_forward_pre_hooks")) != 0 || global.is_some() {
            self.run_pre_hooks(global.as_ref())?;
        }
        self.result = Some(self.forward()?);
        // Looked at now: forward may have registered hooks.
        self.run_hooks(global_registry(py, 2).filter(|registry| len(registry) != 0).as_ref())
    }

    fn forward(&self) -> PyResult<Bound<'py, PyAny>> {
        let name = intern!(self.this.py(), "forward");
        if let Some(kwargs) = self.kwargs.as_ref().filter(|kwargs| !kwargs.is_empty()) {
            return self.this.getattr(name)?.call(&self.args, Some(kwargs));
        }
        if !self.state.contains(name)? {
            let function = self.this.get_type().getattr(name)?;
            if let Some(result) = crate::module_call::call_function(&function, &self.this, &self.args)? {
                return Ok(result);
            }
        }
        self.this.getattr(name)?.call1(&self.args)
    }
}

/// The call's result, or None where it is not for here: backward hooks, a compiled call, an unfinished module.
pub fn call<'py>(
    this: &Bound<'py, PyAny>,
    state: &Bound<'py, PyDict>,
    args: Bound<'py, PyTuple>,
    kwargs: Option<Bound<'py, PyDict>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = this.py();
    for name in [intern!(py, "_backward_hooks"), intern!(py, "_backward_pre_hooks")] {
        if entries(state, name) != 0 {
            return Ok(None);
        }
    }
    let global = (0..2).any(|which| global_registry(py, which).is_some_and(|registry| len(&registry) != 0));
    if global || state.get_item(intern!(py, "_compiled_call_impl"))?.is_some_and(|call| !call.is_none()) {
        return Ok(None);
    }
    let mut call = Call { this: this.clone(), state: state.clone(), args, kwargs, result: None, begun: None };
    let Err(error) = call.run() else { return Ok(call.result) };
    let [always, _] = global_flags(py);
    let any = entries(state, intern!(py, "_forward_hooks_always_called")) > 0 || always.is_some_and(|flags| len(&flags) != 0);
    if any && error.is_instance_of::<pyo3::exceptions::PyException>(py) {
        let begun = call.begun.take().unwrap_or_else(|| PyList::empty(py));
        let kwargs = call.kwargs();
        let result = call.result.unwrap_or_else(|| py.None().into_bound(py));
        // Raises only what is no Exception (Ctrl-C): that goes on then.
        this.call_method1(intern!(py, "_run_always_called_hooks"), (begun, call.args, kwargs, result))?;
    }
    Err(error)
}
