//! Checkpoints: Python objects as the graph of values that `rustnn-io` reads and writes, and back.

use crate::error::IntoPy;
use crate::tensor::{PyTensor, cast_tensor, wrap, wrap_as};
use crate::types::{self, PyDType, PyDevice};
use pyo3::exceptions::*;
use pyo3::prelude::*;
use pyo3::types::*;
use rustnn_io::{
    DictKind, Globals, Graph, Instance, Object, ObjectId, Options, SafeView, SliceStorages, Step, StorageId, StorageSpec, Value,
};
use rustnn_ops::Tensor;
use rustnn_tensor::{Array, DType, Device, Storage};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Nesting beyond which an object is refused rather than the stack trusted.
const MAX_DEPTH: usize = 500;

fn to_python(error: rustnn_io::Error) -> PyErr {
    let text = error.to_string();
    match error.kind() {
        rustnn_io::ErrorKind::Os => match error.os_error() {
            Some(os) => std::io::Error::from_raw_os_error(os.raw_os_error().unwrap_or(5)).into(),
            None => PyOSError::new_err(text),
        },
        rustnn_io::ErrorKind::Eof => PyEOFError::new_err(text),
        rustnn_io::ErrorKind::Value => PyValueError::new_err(text),
        rustnn_io::ErrorKind::Runtime => PyRuntimeError::new_err(text),
        _ => Python::attach(|py| match py.import("pickle").and_then(|m| m.getattr("UnpicklingError")) {
            Ok(class) => PyErr::from_value(class.call1((text.clone(),)).unwrap_or_else(|_| class.clone())),
            Err(error) => error,
        }),
    }
}

// --------------------------------------------------------------------------------------------------------------- writing

/// Turns Python objects into a graph; one object becomes one node, however often it is met.
struct Reader<'py> {
    py: Python<'py>,
    graph: Graph,
    seen: HashMap<usize, ObjectId>,
    /// Objects stay alive while their addresses are keys.
    kept: Vec<Bound<'py, PyAny>>,
    storages: Vec<Storage>,
    by_storage: HashMap<usize, StorageId>,
}

impl<'py> Reader<'py> {
    fn storage(&mut self, storage: &Storage) -> StorageId {
        *self.by_storage.entry(storage.id()).or_insert_with(|| {
            self.storages.push(storage.clone());
            StorageId(self.storages.len() as u32 - 1)
        })
    }

    fn tensor(&mut self, t: &Tensor, requires_grad: bool) -> PyResult<ObjectId> {
        let a = t.array();
        if a.strides().iter().any(|&s| s < 0) {
            return Err(PyRuntimeError::new_err("cannot save a tensor with negative strides; contiguous() it first"));
        }
        let storage = if a.is_meta() { None } else { Some(self.storage(a.storage())) };
        Ok(self.graph.add(Object::Tensor(Box::new(rustnn_io::Tensor {
            storage,
            dtype: a.dtype(),
            shape: a.shape().to_vec(),
            strides: a.strides().iter().map(|&s| s as usize).collect(),
            offset: a.offset(),
            requires_grad,
            conj: false,
            neg: false,
            attributes: None,
            class: None,
        }))))
    }

    fn items(&mut self, items: impl Iterator<Item = Bound<'py, PyAny>>, depth: usize) -> PyResult<Vec<Value>> {
        items.map(|i| self.value(&i, depth + 1)).collect()
    }

    fn pairs(&mut self, dict: &Bound<'py, PyDict>, depth: usize) -> PyResult<Vec<(Value, Value)>> {
        dict.iter().map(|(k, v)| Ok((self.value(&k, depth + 1)?, self.value(&v, depth + 1)?))).collect()
    }

    fn note(&mut self, object: &Bound<'py, PyAny>, id: ObjectId) -> Value {
        self.seen.insert(object.as_ptr() as usize, id);
        self.kept.push(object.clone());
        Value::Object(id)
    }

    fn value(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> PyResult<Value> {
        let py = self.py;
        if depth > MAX_DEPTH {
            return Err(PyRecursionError::new_err(format!("cannot save an object nested deeper than {MAX_DEPTH}")));
        }
        if object.is_none() {
            return Ok(Value::None);
        }
        if let Ok(b) = object.cast_exact::<PyBool>() {
            return Ok(Value::Bool(b.is_true()));
        }
        if let Ok(f) = object.cast_exact::<PyFloat>() {
            return Ok(Value::Float(f.value()));
        }
        if let Ok(s) = object.cast_exact::<PyString>() {
            return Ok(Value::Str(s.to_cow()?.as_ref().into()));
        }
        if let Ok(d) = object.cast::<PyDType>() {
            return Ok(Value::DType(d.get().0));
        }
        if object.is_exact_instance_of::<PyInt>() {
            if let Ok(i) = object.extract::<i64>() {
                return Ok(Value::Int(i));
            }
            let bits: usize = object.call_method0("bit_length")?.extract()?;
            let kwargs = PyDict::new(py);
            kwargs.set_item("signed", true)?;
            let bytes: Vec<u8> = object.call_method("to_bytes", (bits / 8 + 1, "little"), Some(&kwargs))?.extract()?;
            return Ok(Value::Object(self.graph.add(Object::BigInt(bytes))));
        }
        if let Some(&id) = self.seen.get(&(object.as_ptr() as usize)) {
            return Ok(Value::Object(id));
        }
        if let Ok(t) = object.cast::<PyTensor>() {
            let tensor = t.get().get(py);
            let parameter = py.import("rustnn.nn.parameter")?.getattr("Parameter")?;
            let class = object.get_type();
            if class.is(&parameter) {
                let data = self.tensor(&tensor, false)?;
                let attributes = object.getattr("__dict__")?.cast_into::<PyDict>()?;
                let state = if attributes.is_empty() { None } else { Some(self.dict(&attributes, depth)?) };
                let id = self.graph.add(Object::Parameter { data, requires_grad: tensor.requires_grad(), state });
                return Ok(self.note(object, id));
            }
            if class.is(py.get_type::<PyTensor>()) {
                if tensor.requires_grad() && !tensor.is_leaf() {
                    // PyTorch saves the value and the flag.
                    let id = self.tensor(&tensor, true)?;
                    return Ok(self.note(object, id));
                }
                let id = self.tensor(&tensor, tensor.requires_grad())?;
                return Ok(self.note(object, id));
            }
        }
        if let Ok(list) = object.cast_exact::<PyList>() {
            let id = self.graph.add(Object::List(Vec::new()));
            let out = self.note(object, id);
            let items = self.items(list.iter(), depth)?;
            self.graph[id] = Object::List(items);
            return Ok(out);
        }
        if let Ok(tuple) = object.cast_exact::<PyTuple>() {
            let items = self.items(tuple.iter(), depth)?;
            let id = self.graph.add(Object::Tuple(items));
            return Ok(self.note(object, id));
        }
        if let Ok(dict) = object.cast_exact::<PyDict>() {
            return self.dict(dict, depth);
        }
        let class = object.get_type();
        let module: String = class.getattr("__module__")?.extract().unwrap_or_default();
        let name: String = class.getattr("__qualname__")?.extract()?;
        if module == "collections" && matches!(name.as_str(), "OrderedDict" | "Counter") {
            let kind = if name == "Counter" { DictKind::Counter } else { DictKind::OrderedDict };
            let id = self.graph.add(Object::Dict { kind, entries: Vec::new(), attributes: None });
            let out = self.note(object, id);
            let entries = self.pairs(object.cast::<PyDict>()?, depth)?;
            let extra = object.getattr("__dict__")?.cast_into::<PyDict>()?;
            let attributes = match self.dict(&extra, depth)? {
                Value::Object(a) if !extra.is_empty() => Some(a),
                _ => None,
            };
            self.graph[id] = Object::Dict { kind, entries, attributes };
            return Ok(out);
        }
        if let Ok(b) = object.cast_exact::<PyBytes>() {
            return Ok(Value::Object(self.graph.add(Object::Bytes(b.as_bytes().to_vec()))));
        }
        if object.is_exact_instance_of::<PyByteArray>() {
            return Ok(Value::Object(self.graph.add(Object::ByteArray(object.extract()?))));
        }
        if let Ok(c) = object.cast_exact::<PyComplex>() {
            return Ok(Value::Object(self.graph.add(Object::Complex { re: c.real(), im: c.imag() })));
        }
        if object.is_exact_instance_of::<PySet>() || object.is_exact_instance_of::<PyFrozenSet>() {
            let items: Vec<Bound<PyAny>> = object.try_iter()?.collect::<PyResult<_>>()?;
            let items = self.items(items.into_iter(), depth)?;
            let frozen = object.is_exact_instance_of::<PyFrozenSet>();
            let id = self.graph.add(if frozen { Object::FrozenSet(items) } else { Object::Set(items) });
            return Ok(self.note(object, id));
        }
        if name == "Size" && module == "rustnn._size" {
            return Ok(Value::Object(self.graph.add(Object::Size(object.extract()?))));
        }
        if let Ok(d) = object.cast::<PyDevice>() {
            let index = d.get().index.map(i64::from);
            return Ok(Value::Object(self.graph.add(Object::Device { kind: d.get().device.kind().into(), index })));
        }
        if module == "numpy" && object.hasattr("item")? && object.getattr("shape")?.len()? == 0 {
            return self.value(&object.call_method0("item")?, depth);
        }
        self.reduced(object, depth)
    }

    fn dict(&mut self, dict: &Bound<'py, PyDict>, depth: usize) -> PyResult<Value> {
        if let Some(&id) = self.seen.get(&(dict.as_ptr() as usize)) {
            return Ok(Value::Object(id));
        }
        let id = self.graph.add(Object::dict(Vec::new()));
        let out = self.note(dict.as_any(), id);
        let entries = self.pairs(dict, depth)?;
        self.graph[id] = Object::dict(entries);
        Ok(out)
    }

    fn global(&mut self, object: &Bound<'py, PyAny>) -> PyResult<Value> {
        let name: String = object.getattr("__qualname__").or_else(|_| object.getattr("__name__"))?.extract()?;
        let module: String = object.getattr("__module__")?.extract()?;
        if name.contains("<locals>") || name.contains("<lambda>") {
            return Err(pickling_error(self.py, &format!("Can't pickle {object}: it is defined inside a function")));
        }
        // Files name PyTorch's classes: each side reads them as its own.
        let module = match module.strip_prefix("rustnn") {
            Some(rest) if rest.is_empty() || rest.starts_with('.') => format!("torch{rest}"),
            _ => module,
        };
        Ok(Value::Object(self.graph.add(Object::Global { module: module.into(), name: name.into() })))
    }

    /// Any other object as its own `__reduce_ex__` describes it.
    fn reduced(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> PyResult<Value> {
        let py = self.py;
        if object.is_instance_of::<PyType>() || object.is_instance_of::<PyCFunction>() || object.getattr("__code__").is_ok() {
            let value = self.global(object)?;
            if let Value::Object(id) = value {
                return Ok(self.note(object, id));
            }
            return Ok(value);
        }
        let parts = object.call_method1("__reduce_ex__", (2,))?;
        let Ok(parts) = parts.cast_into::<PyTuple>() else {
            return Err(pickling_error(py, &format!("Can't pickle {}: __reduce_ex__ did not return a tuple", object.get_type())));
        };
        let part = |i: usize| parts.get_item(i).ok().filter(|p| !p.is_none());
        let (Some(callable), Some(args)) = (part(0), part(1)) else {
            return Err(pickling_error(py, &format!("Can't pickle {}: incomplete __reduce_ex__", object.get_type())));
        };
        let mut args = args.cast_into::<PyTuple>()?.iter().collect::<Vec<_>>();
        let copyreg = py.import("copyreg")?;
        let is_new = callable.is(&copyreg.getattr("__newobj__")?);
        let callable = if is_new { args.remove(0) } else { callable };
        let callable = self.value(&callable, depth + 1)?;
        let args = self.items(args.into_iter(), depth)?;
        let args = Value::Object(self.graph.add(Object::Tuple(args)));
        let instance = Instance { callable, args, kwargs: None, is_new, appended: Vec::new(), entries: Vec::new(), state: None };
        let id = self.graph.add(Object::Instance(Box::new(instance)));
        let out = self.note(object, id);
        let state = match part(2) {
            Some(state) => Some(self.value(&state, depth + 1)?),
            None => None,
        };
        let appended = match part(3) {
            Some(items) => {
                let items: Vec<Bound<PyAny>> = items.try_iter()?.collect::<PyResult<_>>()?;
                self.items(items.into_iter(), depth)?
            }
            None => Vec::new(),
        };
        let mut entries = Vec::new();
        if let Some(items) = part(4) {
            for item in items.try_iter()? {
                let (k, v): (Bound<PyAny>, Bound<PyAny>) = item?.extract()?;
                entries.push((self.value(&k, depth + 1)?, self.value(&v, depth + 1)?));
            }
        }
        if let Object::Instance(instance) = &mut self.graph[id] {
            (instance.state, instance.appended, instance.entries) = (state, appended, entries);
        }
        Ok(out)
    }
}

fn pickling_error(py: Python<'_>, text: &str) -> PyErr {
    match py.import("pickle").and_then(|m| m.getattr("PicklingError")).and_then(|c| c.call1((text,))) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}

/// The bytes of a storage.
fn bytes_of(storage: &Storage) -> &[u8] {
    if storage.len_bytes() == 0 {
        return &[];
    }
    // SAFETY: the storage holds that many initialised bytes and lives as long as the slice; nobody is to write them meanwhile
    // (a torn value would be the writer's, as for all unsynchronised writes).
    unsafe { std::slice::from_raw_parts(storage.ptr(), storage.len_bytes()) }
}

/// Writes `obj` to a file, all or nothing, or returns its bytes where there is no path.
#[pyfunction]
#[pyo3(signature = (obj, path=None))]
fn _save<'py>(obj: &Bound<'py, PyAny>, path: Option<PathBuf>) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let py = obj.py();
    let mut reader =
        Reader { py, graph: Graph::new(), seen: HashMap::new(), kept: Vec::new(), storages: Vec::new(), by_storage: HashMap::new() };
    let root = reader.value(obj, 0)?;
    let (graph, storages) = (reader.graph, reader.storages);
    let specs = SliceStorages(storages.iter().map(|s| StorageSpec { location: Cow::Borrowed("cpu"), bytes: bytes_of(s) }).collect());
    match path {
        Some(path) => {
            py.detach(|| rustnn_io::save_checkpoint(&path, &graph, &root, &specs)).map_err(to_python)?;
            Ok(None)
        }
        None => {
            let mut out = Vec::new();
            py.detach(|| rustnn_io::write_checkpoint(&mut out, "archive", &graph, &root, &specs)).map_err(to_python)?;
            Ok(Some(PyBytes::new(py, &out)))
        }
    }
}

// --------------------------------------------------------------------------------------------------------------- reading

struct Builder<'a, 'py> {
    py: Python<'py>,
    graph: &'a Graph,
    storages: Vec<Storage>,
    made: HashMap<ObjectId, Bound<'py, PyAny>>,
    /// Where tensors go: the user's `map_location`, called with (location) -> device or None.
    device: Option<Device>,
    allow: bool,
}

impl<'py> Builder<'_, 'py> {
    fn value(&self, value: &Value) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        Ok(match value {
            Value::None => py.None().into_bound(py),
            Value::Bool(b) => PyBool::new(py, *b).to_owned().into_any(),
            Value::Int(i) => i.into_pyobject(py)?.into_any(),
            Value::Float(f) => f.into_pyobject(py)?.into_any(),
            Value::Str(s) => PyString::new(py, s).into_any(),
            Value::DType(d) => types::dtype(py, *d)?.into_any(),
            Value::Object(id) => match self.made.get(id) {
                Some(object) => object.clone(),
                None => return Err(PyRuntimeError::new_err("a checkpoint refers to an object before it is made")),
            },
        })
    }

    fn list(&self, items: &[Value]) -> PyResult<Vec<Bound<'py, PyAny>>> {
        items.iter().map(|v| self.value(v)).collect()
    }

    fn tensor(&self, t: &rustnn_io::Tensor) -> PyResult<Tensor> {
        let strides: Vec<isize> = t.strides.iter().map(|&s| s as isize).collect();
        let array = match t.storage {
            None => {
                let n: usize = t.shape.iter().product();
                let storage = Storage::uninit(n * t.dtype.size_bytes(), Device::Meta).py()?;
                Array::from_storage(storage, t.dtype, &t.shape, &rustnn_tensor::shape::contiguous_strides(&t.shape), 0).py()?
            }
            Some(id) => {
                let storage = self.storages.get(id.0 as usize).cloned();
                let storage = storage.ok_or_else(|| PyRuntimeError::new_err("a tensor of a storage that the file lacks"))?;
                Array::from_storage(storage, t.dtype, &t.shape, &strides, t.offset).py()?
            }
        };
        let out = Tensor::from_array(array);
        match self.device {
            Some(device) => rustnn_ops::to_device(&out, device).py(),
            None => Ok(out),
        }
    }

    fn global(&self, module: &str, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let own = match module.strip_prefix("torch") {
            Some(rest) if rest.is_empty() || rest.starts_with('.') => format!("rustnn{rest}"),
            _ => module.to_string(),
        };
        let mut object = self
            .py
            .import(own.as_str())
            .map_err(|error| PyAttributeError::new_err(format!("Can't get {module}.{name}: {}", error.value(self.py))))?
            .into_any();
        for part in name.split('.') {
            object = object.getattr(part)?;
        }
        Ok(object)
    }

    fn create(&mut self, id: ObjectId) -> PyResult<()> {
        let py = self.py;
        let object: Bound<PyAny> = match &self.graph[id] {
            Object::BigInt(bytes) => {
                let kwargs = PyDict::new(py);
                kwargs.set_item("signed", true)?;
                py.get_type::<PyInt>().call_method("from_bytes", (PyBytes::new(py, bytes), "little"), Some(&kwargs))?
            }
            Object::Complex { re, im } => PyComplex::from_doubles(py, *re, *im).into_any(),
            Object::Bytes(b) => PyBytes::new(py, b).into_any(),
            Object::ByteArray(b) => PyByteArray::new(py, b).into_any(),
            Object::List(_) => PyList::empty(py).into_any(),
            Object::Tuple(items) => PyTuple::new(py, self.list(items)?)?.into_any(),
            Object::Set(items) => PySet::new(py, self.list(items)?)?.into_any(),
            Object::FrozenSet(items) => PyFrozenSet::new(py, self.list(items)?)?.into_any(),
            Object::Dict { kind, .. } => match kind {
                DictKind::Dict => PyDict::new(py).into_any(),
                DictKind::OrderedDict => py.import("collections")?.getattr("OrderedDict")?.call0()?,
                DictKind::Counter => py.import("collections")?.getattr("Counter")?.call0()?,
            },
            Object::Size(sizes) => crate::tensor::size(py, sizes.iter().copied())?,
            Object::Device { kind, index } => {
                let text = index.map_or(kind.to_string(), |i| format!("{kind}:{i}"));
                // A device that is not here stays a text that says which it was.
                match py.get_type::<PyDevice>().call1((&text,)) {
                    Ok(device) => device,
                    Err(_) => PyString::new(py, &text).into_any(),
                }
            }
            Object::Layout(_) => py.import("rustnn._core")?.getattr("strided")?,
            Object::Storage(s) => {
                let storage = self.storages.get(s.storage.0 as usize).cloned();
                let storage = storage.ok_or_else(|| PyRuntimeError::new_err("a storage that the file lacks"))?;
                let n = storage.len_bytes();
                wrap(py, Tensor::from_array(Array::from_storage(storage, DType::U8, &[n], &[1], 0).py()?))?
            }
            Object::Tensor(t) => {
                let out = self.tensor(t)?;
                if t.requires_grad {
                    out.set_requires_grad(true).py()?;
                }
                wrap(py, out)?
            }
            Object::Parameter { data, requires_grad, state } => {
                let class = py.import("rustnn.nn.parameter")?.getattr("Parameter")?.cast_into::<PyType>()?;
                let data = self.value(&Value::Object(*data))?;
                let Some(tensor) = cast_tensor(&data) else { return Err(PyRuntimeError::new_err("a Parameter whose data is no tensor")) };
                let leaf = tensor.detach();
                leaf.set_requires_grad(*requires_grad).py()?;
                let out = wrap_as(&class, leaf)?;
                if let Some(state) = state {
                    out.getattr("__dict__")?.call_method1("update", (self.value(state)?,))?;
                }
                out
            }
            Object::Global { module, name } => self.global(module, name)?,
            Object::Instance(instance) => {
                if !self.allow {
                    return Err(PyRuntimeError::new_err("an object of a class that was not allowed"));
                }
                let callable = self.value(&instance.callable)?;
                let args = self.value(&instance.args)?.cast_into::<PyTuple>()?;
                let kwargs = instance.kwargs.as_ref().map(|k| self.value(k)).transpose()?;
                let kwargs = kwargs.map(|k| k.cast_into::<PyDict>()).transpose()?;
                if instance.is_new {
                    let mut all = vec![callable.clone()];
                    all.extend(args.iter());
                    callable.getattr("__new__")?.call(PyTuple::new(py, all)?, kwargs.as_ref())?
                } else {
                    callable.call(args, kwargs.as_ref())?
                }
            }
        };
        self.made.insert(id, object);
        Ok(())
    }

    fn fill(&mut self, id: ObjectId) -> PyResult<()> {
        let object = self.value(&Value::Object(id))?;
        match &self.graph[id] {
            Object::List(items) => {
                let list = object.cast_into::<PyList>()?;
                for item in items {
                    list.append(self.value(item)?)?;
                }
            }
            Object::Dict { entries, attributes, .. } => {
                for (k, v) in entries {
                    object.set_item(self.value(k)?, self.value(v)?)?;
                }
                if let Some(attributes) = attributes {
                    object.getattr("__dict__")?.call_method1("update", (self.value(&Value::Object(*attributes))?,))?;
                }
            }
            Object::Instance(instance) => {
                for item in &instance.appended {
                    object.call_method1("append", (self.value(item)?,))?;
                }
                for (k, v) in &instance.entries {
                    object.set_item(self.value(k)?, self.value(v)?)?;
                }
                if let Some(state) = &instance.state {
                    let state = self.value(state)?;
                    match object.getattr("__setstate__") {
                        Ok(set) => drop(set.call1((state,))?),
                        Err(_) => set_state(&object, &state)?,
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The state of an object without `__setstate__`: its `__dict__`, or a pair with slots.
fn set_state(object: &Bound<PyAny>, state: &Bound<PyAny>) -> PyResult<()> {
    let (plain, slots) = match state.cast::<PyTuple>() {
        Ok(pair) if pair.len() == 2 => (pair.get_item(0)?, Some(pair.get_item(1)?)),
        _ => (state.clone(), None),
    };
    if !plain.is_none() {
        object.getattr("__dict__")?.call_method1("update", (plain,))?;
    }
    if let Some(slots) = slots.filter(|s| !s.is_none()) {
        for (k, v) in slots.cast::<PyDict>()?.iter() {
            object.setattr(k.cast::<PyString>()?, v)?;
        }
    }
    Ok(())
}

/// A storage filled from the file; a mapped one stays in it.
fn load_storage(checkpoint: &rustnn_io::Checkpoint, id: StorageId, meta: bool) -> PyResult<Storage> {
    let len = usize::try_from(checkpoint.storages[id.0 as usize].len_bytes)
        .map_err(|_| PyRuntimeError::new_err("a storage too large for this machine"))?;
    if meta {
        return Storage::uninit(len, Device::Meta).py();
    }
    let storage = Storage::uninit(len, Device::Cpu).py()?;
    if len > 0 {
        // SAFETY: a fresh storage of `len` bytes that nobody else has yet; reading overwrites all of it or fails.
        let bytes = unsafe { std::slice::from_raw_parts_mut(storage.ptr(), len) };
        checkpoint.read_storage_into(id, bytes).map_err(to_python)?;
    }
    Ok(storage)
}

/// Reads a checkpoint from a path or from bytes. `globals`: None allows the closed list only, a set of full names these too, True any.
#[pyfunction]
#[pyo3(signature = (source, globals, meta=false, mapped=None))]
fn _load<'py>(
    source: &Bound<'py, PyAny>,
    globals: &Bound<'py, PyAny>,
    meta: bool,
    mapped: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = source.py();
    let allowed = if globals.is_none() {
        Globals::Listed
    } else if globals.is_instance_of::<PyBool>() {
        Globals::Any
    } else {
        Globals::ListedAnd(globals.try_iter()?.map(|n| n?.extract::<String>()).collect::<PyResult<_>>()?)
    };
    let allow = !matches!(allowed, Globals::Listed);
    let options = Options { globals: allowed, ..Options::default() };
    let checkpoint = match source.cast::<PyBytes>() {
        Ok(bytes) => {
            let bytes = bytes.as_bytes().to_vec();
            py.detach(|| rustnn_io::read_checkpoint(bytes, &options))
        }
        Err(_) => {
            let path: PathBuf = source.extract()?;
            py.detach(|| rustnn_io::load_checkpoint(&path, &options))
        }
    }
    .map_err(to_python)?;
    let storages = (0..checkpoint.storages.len())
        .map(|i| {
            let id = StorageId(i as u32);
            if let (Some(map), Some(range), false) = (mapped, checkpoint.file_range(id), meta) {
                return map_storage(map, range);
            }
            py.detach(|| load_storage(&checkpoint, id, meta))
        })
        .collect::<PyResult<Vec<_>>>()?;
    let steps = checkpoint.graph.build_order(&checkpoint.root, 100_000).map_err(to_python)?;
    let mut builder = Builder { py, graph: &checkpoint.graph, storages, made: HashMap::new(), device: None, allow };
    for step in steps {
        match step {
            Step::Create(id) => builder.create(id)?,
            Step::Fill(id) => builder.fill(id)?,
        }
    }
    builder.value(&checkpoint.root)
}

/// A part of a mapped file: `map` is a writable private buffer of the whole file (Python's `mmap` with ACCESS_COPY).
fn map_storage(map: &Bound<PyAny>, range: std::ops::Range<u64>) -> PyResult<Storage> {
    let array = map.py().import("numpy")?.call_method1("frombuffer", (map, "uint8"))?;
    let interface = array.getattr("__array_interface__")?.cast_into::<PyDict>()?;
    let data = interface.get_item("data")?.ok_or_else(|| PyRuntimeError::new_err("a buffer without an address"))?;
    let (address, _): (usize, bool) = data.extract()?;
    let len = array.len()? as u64;
    if range.end > len {
        return Err(PyRuntimeError::new_err("the file ends before its storages"));
    }
    let size = (range.end - range.start) as usize;
    // SAFETY: the range lies inside the mapping, which `array` keeps alive; it is private, so writes stay ours.
    Ok(unsafe { Storage::foreign((address + range.start as usize) as *mut u8, size, true, Box::new(array.unbind())) })
}

// ----------------------------------------------------------------------------------------------------------- safetensors

/// Writes named tensors as safetensors, all or nothing.
#[pyfunction]
#[pyo3(signature = (tensors, path, metadata=None))]
fn save_safetensors(tensors: &Bound<PyDict>, path: PathBuf, metadata: Option<std::collections::BTreeMap<String, String>>) -> PyResult<()> {
    let py = tensors.py();
    let mut all: Vec<(String, Array)> = Vec::new();
    for (name, value) in tensors.iter() {
        let Some(t) = cast_tensor(&value) else {
            return Err(PyTypeError::new_err(format!("save_safetensors: '{name}' is {}, not a Tensor", crate::schema::type_name(&value))));
        };
        if t.array().is_meta() {
            return Err(PyRuntimeError::new_err(format!("save_safetensors: '{name}' is on the meta device and has no data")));
        }
        all.push((name.extract()?, rustnn_ops::copy::contiguous_array(t.array()).py()?));
    }
    py.detach(|| {
        let views: Vec<SafeView> = all
            .iter()
            .map(|(name, a)| {
                let start = a.offset() * a.dtype().size_bytes();
                SafeView { name, dtype: a.dtype(), shape: a.shape(), bytes: &bytes_of(a.storage())[start..start + a.len_bytes()] }
            })
            .collect();
        rustnn_io::save_safetensors(&path, &views, &metadata.unwrap_or_default())
    })
    .map_err(to_python)
}

/// Reads a safetensors file into a dict of tensors.
#[pyfunction]
fn load_safetensors(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyDict>> {
    let file = rustnn_io::load_safetensors(&path).map_err(to_python)?;
    let out = PyDict::new(py);
    for t in &file.tensors {
        let len = (t.range.end - t.range.start) as usize;
        let storage = Storage::uninit(len, Device::Cpu).py()?;
        if len > 0 {
            // SAFETY: as in `load_storage`.
            let bytes = unsafe { std::slice::from_raw_parts_mut(storage.ptr(), len) };
            file.read_into(t, bytes).map_err(to_python)?;
        }
        let strides = rustnn_tensor::shape::contiguous_strides(&t.shape);
        let array = Array::from_storage(storage, t.dtype, &t.shape, &strides, 0).py()?;
        out.set_item(&t.name, wrap(py, Tensor::from_array(array))?)?;
    }
    Ok(out)
}

/// What a checkpoint holds, without loading it: tensors, sizes, and the globals that it needs.
#[pyfunction]
fn _inspect<'py>(py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyDict>> {
    let found = rustnn_io::inspect(Path::new(&path), &Options::default()).map_err(to_python)?;
    let out = PyDict::new(py);
    out.set_item("format", format!("{:?}", found.format).to_lowercase())?;
    out.set_item("globals", found.globals.iter().map(|g| (g.name.to_string(), g.is_allowed)).collect::<Vec<_>>())?;
    let tensors = found
        .tensors
        .iter()
        .map(|t| Ok((t.name.clone(), types::dtype(py, t.dtype)?, t.shape.clone(), t.is_parameter)))
        .collect::<PyResult<Vec<_>>>()?;
    out.set_item("tensors", tensors)?;
    out.set_item("storage_bytes", found.storage_bytes)?;
    out.set_item("file_bytes", found.file_bytes)?;
    Ok(out)
}

pub fn add_to(module: &Bound<PyModule>) -> PyResult<()> {
    macro_rules! functions {
        ($($f:ident)*) => { $(module.add_function(wrap_pyfunction!($f, module)?)?;)* };
    }
    functions!(_save _load save_safetensors load_safetensors _inspect);
    Ok(())
}
