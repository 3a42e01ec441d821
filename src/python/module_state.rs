//! `Module.state_dict` and `load_state_dict` over a tree: natively where a module's class is content with `Module`'s own
//! methods and has no hooks, through its Python methods otherwise.

use crate::error::IntoPy;
use crate::module_attribute::classes;
use crate::tensor::PyTensor;
use pyo3::exceptions::PyAssertionError;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySet, PyString, PyType};
use rustnn_ops::mode;
use smallvec::SmallVec;
use std::collections::HashMap;
use std::sync::Mutex;

/// Which of its two parts a class leaves to `Module`.
#[derive(Clone, Copy)]
struct Inherits {
    state_dict: bool,
    save: bool,
    load: bool,
}

/// What has been found out about the classes met so far in one walk; they are few.
#[derive(Default)]
struct Walk<'py>(SmallVec<[(usize, Inherits, Bound<'py, PyDict>); 8]>);

impl<'py> Walk<'py> {
    /// Asked once per class and walk: classes may be patched at any other time. `own` are the methods that matter here.
    fn inherits(&mut self, module: &Bound<'py, PyAny>, state: &Bound<'py, PyDict>, own: &[&Bound<'py, PyString>]) -> PyResult<Inherits> {
        let py = module.py();
        let address = module.get_type_ptr() as usize;
        let found = match self.0.iter().find(|entry| entry.0 == address) {
            Some(entry) => entry.1,
            None => {
                let class = module.get_type();
                let base = classes(py)?.module.bind(py);
                let same = |name: &Bound<'_, PyString>| -> PyResult<bool> { Ok(class.getattr(name)?.is(base.getattr(name)?)) };
                let found = Inherits {
                    state_dict: same(intern!(py, "state_dict"))?,
                    save: same(intern!(py, "_save_to_state_dict"))? && same(intern!(py, "get_extra_state"))?,
                    load: same(intern!(py, "_load_from_state_dict"))?
                        && same(intern!(py, "set_extra_state"))?
                        && same(intern!(py, "_load_one"))?,
                };
                let saved = PyDict::new(py);
                saved.set_item(intern!(py, "version"), class.getattr(intern!(py, "_version"))?)?;
                self.0.push((address, found, saved));
                found
            }
        };
        // An object may have methods of its own, which is rare enough to give up everything.
        for name in own {
            if state.contains(name)? {
                return Ok(Inherits { state_dict: false, save: false, load: false });
            }
        }
        Ok(found)
    }

    /// What is saved about a module: its `_version`, the class's unless the object has its own.
    fn metadata(&self, module: &Bound<'py, PyAny>, state: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyDict>> {
        let py = module.py();
        let name = intern!(py, "_version");
        let class = module.get_type_ptr() as usize;
        match self.0.iter().find(|entry| entry.0 == class) {
            Some(entry) if !state.contains(name)? => entry.2.copy(),
            _ => {
                let own = PyDict::new(py);
                own.set_item(intern!(py, "version"), module.getattr(name)?)?;
                Ok(own)
            }
        }
    }
}

/// `module.__dict__`.
fn state_of<'py>(module: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    // SAFETY: attached, a live object.
    let dict = unsafe { Bound::from_owned_ptr_or_err(module.py(), ffi::PyObject_GenericGetDict(module.as_ptr(), std::ptr::null_mut()))? };
    Ok(dict.cast_into()?)
}

/// Where `Module.__init__` puts what is looked for here: counted among the attributes of a module, the first being 0. Only a hint.
#[derive(Clone, Copy)]
enum Place {
    Parameters = 1,
    Buffers = 2,
    NotPersistent = 3,
    SavingHooks = 12,
    SavingPreHooks = 13,
    LoadingPreHooks = 14,
    LoadingPostHooks = 15,
    Modules = 16,
}

impl Place {
    #[inline(always)]
    fn name(self, py: Python<'_>) -> &Bound<'_, PyString> {
        match self {
            Place::Parameters => intern!(py, "_parameters"),
            Place::Buffers => intern!(py, "_buffers"),
            Place::NotPersistent => intern!(py, "_non_persistent_buffers_set"),
            Place::SavingHooks => intern!(py, "_state_dict_hooks"),
            Place::SavingPreHooks => intern!(py, "_state_dict_pre_hooks"),
            Place::LoadingPreHooks => intern!(py, "_load_state_dict_pre_hooks"),
            Place::LoadingPostHooks => intern!(py, "_load_state_dict_post_hooks"),
            Place::Modules => intern!(py, "_modules"),
        }
    }

    /// What a module with the attributes `state` has there; borrowed, null where it has nothing.
    #[inline]
    fn get(self, state: &Bound<PyDict>) -> *mut ffi::PyObject {
        let name = self.name(state.py());
        let (mut position, mut key, mut value) = (self as isize, std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: attached, a live dictionary. A step from any position ends or gives an entry, which the key tells to be ours.
        unsafe {
            if ffi::PyDict_Next(state.as_ptr(), &mut position, &mut key, &mut value) != 0 && key == name.as_ptr() {
                return value;
            }
            ffi::PyDict_GetItemWithError(state.as_ptr(), name.as_ptr())
        }
    }

    /// The registry there that is a dictionary, as all are unless somebody replaced it.
    fn registry<'py>(self, state: &Bound<'py, PyDict>) -> Option<Bound<'py, PyDict>> {
        // SAFETY: attached; borrowed, and counted at once.
        let found = unsafe { Bound::from_borrowed_ptr_or_opt(state.py(), self.get(state)) };
        found.and_then(|found| found.cast_into().ok())
    }

    /// Whether there is a dictionary without entries.
    #[inline]
    fn is_empty(self, state: &Bound<PyDict>) -> bool {
        let found = self.get(state);
        // SAFETY: attached; the borrowed registry is asked at once.
        unsafe { !found.is_null() && ffi::PyDict_Check(found) != 0 && ffi::PyDict_Size(found) == 0 }
    }
}

type Entries<'py> = SmallVec<[(Bound<'py, PyAny>, Bound<'py, PyAny>); 4]>;

/// Names and values as they are now: code that runs meanwhile may change the dictionary. None is left out.
fn entries<'py>(dict: &Bound<'py, PyDict>) -> PyResult<Entries<'py>> {
    let mut out = all_entries(dict)?;
    out.retain(|(_, value)| !value.is_none());
    Ok(out)
}

fn all_entries<'py>(dict: &Bound<'py, PyDict>) -> PyResult<Entries<'py>> {
    let mut out = Entries::with_capacity(dict.len());
    for_each(dict, |key, value| {
        out.push((key.clone(), value.clone()));
        Ok(())
    })?;
    Ok(out)
}

/// Runs `f` on every key and value. Where `f` lets other code run that changes the dictionary, it may miss entries.
fn for_each<'py>(dict: &Bound<'py, PyDict>, mut f: impl FnMut(&Bound<'py, PyAny>, &Bound<'py, PyAny>) -> PyResult<()>) -> PyResult<()> {
    if !dict.is_exact_instance_of::<PyDict>() {
        // An OrderedDict's order is not that of its table.
        for item in dict.call_method0(intern!(dict.py(), "items"))?.try_iter()? {
            let (key, value): (Bound<PyAny>, Bound<PyAny>) = item?.extract()?;
            f(&key, &value)?;
        }
        return Ok(());
    }
    let (mut position, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: attached; what a step gives is borrowed, and counted at once. A step is safe after any change of the dictionary.
    unsafe {
        while ffi::PyDict_Next(dict.as_ptr(), &mut position, &mut key, &mut value) != 0 {
            f(&Bound::from_borrowed_ptr(dict.py(), key), &Bound::from_borrowed_ptr(dict.py(), value))?;
        }
    }
    Ok(())
}

fn text<'a>(name: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    name.cast::<PyString>()?.to_str()
}

/// One level deeper in a walk: a module that contains itself ends in Python's RecursionError.
struct Level;

impl Level {
    fn enter(py: Python<'_>) -> PyResult<Level> {
        // SAFETY: attached; left in `Drop`.
        if unsafe { ffi::Py_EnterRecursiveCall(c" while walking a module".as_ptr()) } != 0 { Err(PyErr::fetch(py)) } else { Ok(Level) }
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        // SAFETY: entered once; walks stay on one thread, attached.
        unsafe { ffi::Py_LeaveRecursiveCall() }
    }
}

/// A tensor whose class has no behaviour of its own: `Tensor` or `Parameter`.
#[inline]
fn plain<'a, 'py>(value: &'a Bound<'py, PyAny>, parameter: &Bound<'py, PyType>) -> Option<&'a Bound<'py, PyTensor>> {
    let class = value.get_type_ptr();
    if class == parameter.as_type_ptr() || class == crate::tensor::plain_class(value.py()) {
        // SAFETY: `Tensor`, or `Parameter`, which is a class of tensors.
        return Some(unsafe { value.cast_unchecked() });
    }
    None
}

fn detached<'py>(value: &Bound<'py, PyAny>, parameter: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    match plain(value, parameter) {
        Some(tensor) => crate::tensor::detached(value.py(), tensor.get()),
        None => value.call_method0(intern!(value.py(), "detach")),
    }
}

struct Saving<'py> {
    destination: Bound<'py, PyAny>,
    metadata: Option<Bound<'py, PyAny>>,
    keep_vars: Bound<'py, PyAny>,
    keep: bool,
    parameter: Bound<'py, PyType>,
    walk: Walk<'py>,
    keys: Option<Keys>,
}

/// The methods that an object of its own would save itself with.
fn saving_methods(py: Python<'_>) -> [&Bound<'_, PyString>; 2] {
    [intern!(py, "state_dict"), intern!(py, "_save_to_state_dict")]
}

/// Fills `destination` with what `module` and all below it have to save. False, and nothing done, if the module's own part is
/// not for here.
#[pyfunction]
pub fn _module_state_dict<'py>(
    module: &Bound<'py, PyAny>,
    destination: &Bound<'py, PyAny>,
    prefix: &Bound<'py, PyString>,
    keep_vars: &Bound<'py, PyAny>,
) -> PyResult<bool> {
    let py = module.py();
    let metadata = destination.getattr_opt(intern!(py, "_metadata"))?;
    let parameter = classes(py)?.parameter.bind(py).clone();
    let keep = keep_vars.is_truthy()?;
    let mut saving = Saving {
        destination: destination.clone(),
        metadata,
        keep_vars: keep_vars.clone(),
        keep,
        parameter,
        walk: Walk::default(),
        keys: None,
    };
    let state = state_of(module)?;
    if !saving.walk.inherits(module, &state, &saving_methods(py))?.save {
        return Ok(false);
    }
    let path = PyString::new(py, last_cut(prefix.to_str()?));
    saving.keys = Keys::take();
    save(&mut saving, module, &state, prefix, &path)?;
    Ok(true)
}

/// What the last walk put together, one after the other. A model is saved again and again, and so are its twins: the keys need not
/// be made, hashed and freed each time.
struct Keys {
    last: Vec<Key>,
    next: usize,
}

struct Key {
    first: Py<PyString>,
    second: Py<PyAny>,
    joined: Py<PyString>,
}

/// Absent while a walk has it.
static KEYS: Mutex<Option<Keys>> = Mutex::new(Some(Keys { last: Vec::new(), next: 0 }));

impl Keys {
    /// Characters of a key, and keys, worth keeping: what is kept is never more than a few MB.
    const LONGEST: usize = 256;
    const MOST: usize = 1 << 14;

    /// For one walk. One inside of another (or beside it, or in a child of a process that forked meanwhile) goes without.
    fn take() -> Option<Keys> {
        KEYS.try_lock().ok()?.take()
    }

    fn joined<'py>(&mut self, first: &Bound<'py, PyString>, second: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
        let py = first.py();
        let next = self.next;
        if let Some(key) = self.last.get(next)
            && key.first.is(first)
            && key.second.is(second)
        {
            self.next += 1;
            return Ok(key.joined.bind(py).clone());
        }
        let joined = joined(first, second)?;
        if next < Keys::MOST && joined.len()? <= Keys::LONGEST && second.is_exact_instance_of::<PyString>() {
            let key = Key { first: first.clone().unbind(), second: second.clone().unbind(), joined: joined.clone().unbind() };
            self.last.truncate(next);
            self.last.push(key);
            self.next += 1;
        }
        Ok(joined)
    }
}

impl Saving<'_> {
    fn joined<'py>(&mut self, first: &Bound<'py, PyString>, second: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
        match &mut self.keys {
            Some(keys) => keys.joined(first, second),
            None => joined(first, second),
        }
    }
}

impl Drop for Saving<'_> {
    fn drop(&mut self) {
        if let (Some(mut keys), Ok(mut place)) = (self.keys.take(), KEYS.try_lock()) {
            keys.last.truncate(keys.next);
            keys.next = 0;
            *place = Some(keys);
        }
    }
}

/// Two strings in one.
fn joined<'py>(first: &Bound<'py, PyString>, second: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    // SAFETY: attached, live objects; the interpreter checks that both are strings.
    let joined = unsafe { Bound::from_owned_ptr_or_err(first.py(), ffi::PyUnicode_Concat(first.as_ptr(), second.as_ptr()))? };
    Ok(joined.cast_into()?)
}

/// The part of a module without hooks and of all below it; `path` is `prefix` without its last character.
fn save<'py>(
    saving: &mut Saving<'py>,
    module: &Bound<'py, PyAny>,
    state: &Bound<'py, PyDict>,
    prefix: &Bound<'py, PyString>,
    path: &Bound<'py, PyString>,
) -> PyResult<()> {
    let py = module.py();
    let _level = Level::enter(py)?;
    if let Some(metadata) = &saving.metadata {
        metadata.set_item(path, saving.walk.metadata(module, state)?)?;
    }
    if let Some(parameters) = Place::Parameters.registry(state) {
        save_tensors(saving, &parameters, None, prefix)?;
    }
    if !Place::Buffers.is_empty(state)
        && let Some(buffers) = Place::Buffers.registry(state)
    {
        // SAFETY: attached; borrowed, and counted at once.
        let left_out = unsafe { Bound::from_borrowed_ptr_or_opt(py, Place::NotPersistent.get(state)) };
        save_tensors(saving, &buffers, left_out.as_ref(), prefix)?;
    }
    if Place::Modules.is_empty(state) {
        return Ok(());
    }
    let Some(modules) = Place::Modules.registry(state) else { return Ok(()) };
    let methods = saving_methods(py);
    for (name, child) in entries(&modules)? {
        let path = saving.joined(prefix, &name)?;
        let inner = saving.joined(&path, intern!(py, "."))?;
        let below = state_of(&child)?;
        let inherits = saving.walk.inherits(&child, &below, &methods)?;
        let silent = Place::SavingHooks.is_empty(&below) && Place::SavingPreHooks.is_empty(&below);
        if inherits.state_dict && inherits.save && silent {
            save(saving, &child, &below, &inner, &path)?;
        } else {
            let kwargs = PyDict::new(py);
            kwargs.set_item(intern!(py, "destination"), &saving.destination)?;
            kwargs.set_item(intern!(py, "prefix"), inner)?;
            kwargs.set_item(intern!(py, "keep_vars"), &saving.keep_vars)?;
            child.call_method(intern!(py, "state_dict"), (), Some(&kwargs))?;
        }
    }
    Ok(())
}

/// The tensors of one registry, those named in `left_out` aside.
fn save_tensors<'py>(
    saving: &mut Saving<'py>,
    tensors: &Bound<'py, PyDict>,
    left_out: Option<&Bound<'py, PyAny>>,
    prefix: &Bound<'py, PyString>,
) -> PyResult<()> {
    let put = |saving: &mut Saving<'py>, name: &Bound<'py, PyAny>, value: &Bound<'py, PyAny>| -> PyResult<()> {
        if value.is_none() || left_out.is_some_and(|names| names.contains(name).unwrap_or(false)) {
            return Ok(());
        }
        let key = saving.joined(prefix, name)?;
        let value = if saving.keep { value.clone() } else { detached(value, &saving.parameter)? };
        saving.destination.set_item(key, value)
    };
    for_each(tensors, |name, value| put(saving, name, value))
}

/// `prefix[:-1]`, by characters.
fn last_cut(prefix: &str) -> &str {
    let mut chars = prefix.chars();
    chars.next_back();
    chars.as_str()
}

struct Loading<'py> {
    metadata: Option<Bound<'py, PyAny>>,
    assign: bool,
    /// Each tensor is `_load_one`'s: parameters are swapped, not written.
    swap: bool,
    /// The named tuple that `load_state_dict` returns, and the lists in it.
    keys: Bound<'py, PyAny>,
    missing: Bound<'py, PyList>,
    unexpected: Bound<'py, PyList>,
    errors: Bound<'py, PyList>,
    parameter: Bound<'py, PyType>,
    walk: Walk<'py>,
}

/// Loads `module` and everything below it; a child sees only the entries under its own prefix.
#[pyfunction]
pub fn _module_load<'py>(
    module: &Bound<'py, PyAny>,
    entries: &Bound<'py, PyDict>,
    metadata: Option<Bound<'py, PyAny>>,
    assign: bool,
    keys: &Bound<'py, PyAny>,
    errors: &Bound<'py, PyList>,
    swap: bool,
) -> PyResult<()> {
    let py = module.py();
    let list = |name: &str| -> PyResult<Bound<'py, PyList>> { Ok(keys.getattr(name)?.cast_into()?) };
    let mut loading = Loading {
        metadata,
        assign,
        swap,
        keys: keys.clone(),
        missing: list("missing_keys")?,
        unexpected: list("unexpected_keys")?,
        errors: errors.clone(),
        parameter: classes(py)?.parameter.bind(py).clone(),
        walk: Walk::default(),
    };
    load(&mut loading, module, entries, "")
}

fn load<'py>(loading: &mut Loading<'py>, module: &Bound<'py, PyAny>, given: &Bound<'py, PyDict>, prefix: &str) -> PyResult<()> {
    let py = module.py();
    let _level = Level::enter(py)?;
    let state = state_of(module)?;
    let silent = Place::LoadingPreHooks.is_empty(&state);
    if silent && loading.walk.inherits(module, &state, &[intern!(py, "_load_from_state_dict")])?.load {
        load_own(loading, module, &state, given, prefix)?;
    } else {
        // A copy: hooks and classes may write into it, the caller's metadata stays as it is.
        let local = PyDict::new(py);
        if let Some(metadata) = &loading.metadata {
            let saved = metadata.call_method1(intern!(py, "get"), (last_cut(prefix), PyDict::new(py)))?;
            local.update(saved.cast()?)?;
        }
        // A file may carry the flag from a PyTorch that leaked it; only this call's argument counts.
        let flag = intern!(py, "assign_to_params_buffers");
        if loading.assign {
            local.set_item(flag, true)?;
        } else if local.contains(flag)? {
            local.del_item(flag)?;
        }
        let lists = (given, prefix, local, true, &loading.missing, &loading.unexpected, &loading.errors);
        module.call_method1(intern!(py, "_load_from_state_dict"), lists)?;
    }
    // Read now: loading may have changed them.
    let modules = Place::Modules.registry(&state);
    let children = modules.as_ref().map(entries).transpose()?.unwrap_or_default();
    if !children.is_empty() {
        // One pass over the entries for all children. Grouped now, not before: a pre-hook above may have renamed keys.
        let mut groups: Vec<(String, Bound<'py, PyAny>, Bound<'py, PyDict>)> = Vec::with_capacity(children.len());
        let mut places: HashMap<String, usize> = HashMap::with_capacity(children.len());
        let mut dotted = Vec::new();
        for (name, child) in children {
            let name = text(&name)?.to_owned();
            if name.contains('.') {
                dotted.push(groups.len());
            }
            places.insert(name.clone(), groups.len());
            groups.push((name, child, PyDict::new(py)));
        }
        for (key, value) in all_entries(given)? {
            let Some(rest) = text_of_key(&key)?.strip_prefix(prefix) else { continue };
            if let Some((head, _)) = rest.split_once('.')
                && let Some(&place) = places.get(head)
            {
                groups[place].2.set_item(&key, &value)?;
            }
            for &place in &dotted {
                if rest.strip_prefix(groups[place].0.as_str()).is_some_and(|rest| rest.starts_with('.')) {
                    groups[place].2.set_item(&key, &value)?;
                }
            }
        }
        for (name, child, group) in groups {
            load(loading, &child, &group, &format!("{prefix}{name}."))?;
        }
    }
    if let Some(hooks) = Place::LoadingPostHooks.registry(&state).filter(|hooks| !hooks.is_empty()) {
        for hook in hooks.call_method0(intern!(py, "values"))?.try_iter()?.collect::<PyResult<Vec<_>>>()? {
            if !hook.call1((module, &loading.keys))?.is_none() {
                return Err(PyAssertionError::new_err(
                    "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new values, if \
                     incompatible_keys need to be modified, it should be done inplace.",
                ));
            }
        }
    }
    Ok(())
}

fn text_of_key<'a>(key: &'a Bound<'_, PyAny>) -> PyResult<&'a str> {
    let text = key.cast::<PyString>().map_err(|_| {
        let kind = crate::schema::type_name(key);
        pyo3::exceptions::PyAttributeError::new_err(format!("'{kind}' object has no attribute 'startswith'"))
    })?;
    text.to_str()
}

/// What `Module._load_from_state_dict` does.
fn load_own<'py>(
    loading: &mut Loading<'py>,
    module: &Bound<'py, PyAny>,
    state: &Bound<'py, PyDict>,
    given: &Bound<'py, PyDict>,
    prefix: &str,
) -> PyResult<()> {
    let py = module.py();
    let mut own = Entries::new();
    if let Some(parameters) = Place::Parameters.registry(state) {
        own = entries(&parameters)?;
    }
    if let Some(buffers) = Place::Buffers.registry(state).filter(|buffers| !buffers.is_empty()) {
        let left_out = state.get_item(Place::NotPersistent.name(py))?;
        for (name, value) in entries(&buffers)? {
            if left_out.as_ref().is_none_or(|names| !names.contains(&name).unwrap_or(false)) {
                own.push((name, value));
            }
        }
    }
    let names = PySet::empty(py)?;
    for (name, target) in &own {
        names.add(name)?;
        let key = PyString::new(py, &format!("{prefix}{}", text(name)?));
        match given.get_item(&key)? {
            None => loading.missing.append(key)?,
            Some(source) => {
                if loading.assign || loading.swap || !copied(loading, target, &source)? {
                    let arguments = (name, key, target, source, loading.assign, &loading.errors);
                    module.call_method1(intern!(py, "_load_one"), arguments)?;
                }
            }
        }
    }
    let modules = Place::Modules.registry(state);
    let extra = format!("{prefix}_extra_state");
    if given.contains(&extra)? {
        loading.unexpected.append(&extra)?;
    }
    for (key, _) in all_entries(given)? {
        let full = text_of_key(&key)?;
        let Some(rest) = full.strip_prefix(prefix) else { continue };
        if full == extra {
            continue;
        }
        let expected = match rest.split_once('.') {
            None => names.contains(rest)?,
            // Under a submodule that is None nobody takes the key; PyTorch loses it silently.
            Some((head, _)) => match &modules {
                Some(modules) => modules.get_item(head)?.is_some_and(|module| !module.is_none()),
                None => false,
            },
        };
        if !expected {
            loading.unexpected.append(&key)?;
        }
    }
    Ok(())
}

/// Copies one tensor's values, if both are plain, of one shape, and have memory; false leaves it to `_load_one`.
fn copied<'py>(loading: &Loading<'py>, target: &Bound<'py, PyAny>, source: &Bound<'py, PyAny>) -> PyResult<bool> {
    /// Values worth letting other threads run meanwhile.
    const DETACH_ELEMENTS: usize = 1 << 15;
    let py = target.py();
    let (Some(target), Some(source)) = (plain(target, &loading.parameter), plain(source, &loading.parameter)) else {
        return Ok(false);
    };
    let (target, source) = (target.get().get(py), source.get().get(py));
    if target.shape() != source.shape() || target.array().is_meta() || source.array().is_meta() {
        return Ok(false);
    }
    let copy = || mode::no_grad(|| rustnn_ops::copy::copy_(&target, &source));
    // An error's text is `_load_one`'s to make: it tries again.
    let done = if target.numel() > DETACH_ELEMENTS { py.detach(copy) } else { copy() };
    Ok(done.py().is_ok())
}
