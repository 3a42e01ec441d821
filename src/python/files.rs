//! Checkpoints: Python objects as the graph of values that `rustnn-io` reads and writes, and back.

use crate::detach::detached;
use crate::error::IntoPy;
use crate::tensor::{PyTensor, cast_tensor, make_subclass, wrap, wrap_as};
use crate::types::{self, PyDType, PyDevice};
use memmap2::{MmapMut, MmapOptions};
use pyo3::exceptions::*;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::*;
use rustnn_io::{
    DictKind, Encoding, Globals, Graph, Instance, Object, ObjectId, Options, SafeView, Source, Step, StorageId, StorageWriter, Value,
    WriteOptions,
};
use rustnn_kernels::{interrupt, parallel};
use rustnn_ops::Tensor;
use rustnn_tensor::{Array, DType, Device, Storage};
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Nesting beyond which an object is refused rather than the stack trusted.
const MAX_DEPTH: usize = 500;

// ---------------------------------------------------------------------------------------------------------------- errors

pub fn to_python(error: rustnn_io::Error) -> PyErr {
    let (kind, text) = (error.kind(), error.to_string());
    match (error, kind) {
        (rustnn_io::Error::File { path, source }, _) => os_error(source, Some(&path)),
        (rustnn_io::Error::Io(source), _) => os_error(source, None),
        (_, rustnn_io::ErrorKind::Eof) => PyEOFError::new_err(text),
        (_, rustnn_io::ErrorKind::Value) => PyValueError::new_err(text),
        (_, rustnn_io::ErrorKind::Unpickling) => pickle_error("UnpicklingError", &text),
        _ => PyRuntimeError::new_err(text),
    }
}

/// `OSError` of the subclass that its number chooses, with the file's name; or what a Python file object raised.
fn os_error(source: std::io::Error, path: Option<&Path>) -> PyErr {
    let number = source.raw_os_error().or(match source.kind() {
        std::io::ErrorKind::IsADirectory => Some(21),
        std::io::ErrorKind::PermissionDenied => Some(13),
        _ => None,
    });
    let text = source.to_string();
    if let Some(Ok(error)) = source.into_inner().map(|inner| inner.downcast::<PyErr>()) {
        return *error;
    }
    let Some(number) = number else {
        return PyOSError::new_err(path.map_or_else(|| text.clone(), |path| format!("{}: {text}", path.display())));
    };
    Python::attach(|py| {
        let reason = py.import("os").and_then(|os| os.call_method1("strerror", (number,)));
        let made = reason.and_then(|reason| py.get_type::<PyOSError>().call1((number, reason, path.map(Path::as_os_str))));
        made.map_or_else(|error| error, PyErr::from_value)
    })
}

fn pickle_error(class: &str, text: &str) -> PyErr {
    Python::attach(|py| match py.import("pickle").and_then(|m| m.getattr(class)).and_then(|c| c.call1((text,))) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    })
}

fn pickling_error(text: &str) -> PyErr {
    pickle_error("PicklingError", text)
}

// --------------------------------------------------------------------------------------------------------------- writing

/// Turns Python objects into a graph; one object becomes one node, however often it is met.
struct Reader<'py> {
    py: Python<'py>,
    graph: Graph,
    seen: HashMap<usize, ObjectId>,
    /// Objects stay alive while their addresses are keys.
    kept: Vec<Bound<'py, PyAny>>,
    storages: Storages,
    by_storage: HashMap<usize, StorageId>,
    modules: Bound<'py, PyDict>,
    dispatch: Bound<'py, PyDict>,
    parameter: Option<Bound<'py, PyAny>>,
    untyped_storage: Option<Bound<'py, PyAny>>,
    typed_storage: Option<Bound<'py, PyAny>>,
    tensor_reduce: Bound<'py, PyAny>,
}

/// The storages of what is saved, all in the CPU's memory.
struct Storages(Vec<Storage>);

impl StorageWriter for Storages {
    fn len_bytes(&self, id: StorageId) -> Option<u64> {
        self.0.get(id.0 as usize).map(|storage| storage.len_bytes() as u64)
    }

    /// Always the CPU: a file opens on every machine, and `map_location` says where else.
    fn location(&self, _: StorageId) -> Cow<'_, str> {
        "cpu".into()
    }

    fn write_to(&self, id: StorageId, out: &mut dyn Write) -> rustnn_io::Result<()> {
        for piece in bytes_of(&self.0[id.0 as usize]).chunks(1 << 22) {
            // Ctrl-C ends a long save as it ends an op; the old file is then as it was.
            interrupt::check();
            out.write_all(piece)?;
        }
        Ok(())
    }
}

impl<'py> Reader<'py> {
    fn new(py: Python<'py>) -> PyResult<Reader<'py>> {
        let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
        // Where a module was never imported there is no object of its classes.
        let class = |module: &str, name: &str| -> PyResult<Option<Bound<'py, PyAny>>> {
            modules.get_item(module)?.map(|module| module.getattr(name)).transpose()
        };
        Ok(Reader {
            py,
            graph: Graph::new(),
            seen: HashMap::new(),
            kept: Vec::new(),
            storages: Storages(Vec::new()),
            by_storage: HashMap::new(),
            parameter: class("rustnn.nn.parameter", "Parameter")?,
            untyped_storage: class("rustnn.storage", "UntypedStorage")?,
            typed_storage: class("rustnn.storage", "TypedStorage")?,
            modules,
            dispatch: py.import("copyreg")?.getattr("dispatch_table")?.cast_into::<PyDict>()?,
            tensor_reduce: py.get_type::<PyTensor>().getattr("__reduce_ex__")?,
        })
    }

    fn storage(&mut self, array: &Array) -> PyResult<StorageId> {
        let storage = array.storage();
        if let Some(&id) = self.by_storage.get(&storage.id()) {
            return Ok(id);
        }
        let own = match storage.device() {
            Device::Cpu => storage.clone(),
            _ => {
                let width = array.dtype().size_bytes();
                let count = storage.len_bytes() / width;
                let whole = Array::from_storage(storage.clone(), array.dtype(), &[count], &[1], 0).py()?;
                rustnn_ops::to_device(&Tensor::from_array(whole), Device::Cpu).py()?.array().storage().clone()
            }
        };
        // The graph keeps the object, and so the storage, whose identity is the key.
        self.storages.0.push(own);
        let id = StorageId(self.storages.0.len() as u32 - 1);
        self.by_storage.insert(storage.id(), id);
        Ok(id)
    }

    fn tensor(&mut self, t: &Tensor, requires_grad: bool) -> PyResult<rustnn_io::Tensor> {
        let a = t.array();
        if a.strides().iter().any(|&s| s < 0) {
            return Err(PyRuntimeError::new_err("cannot save a tensor with negative strides; contiguous() it first"));
        }
        let storage = if a.is_meta() { None } else { Some(self.storage(a)?) };
        Ok(rustnn_io::Tensor {
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
        })
    }

    fn add_tensor(&mut self, tensor: rustnn_io::Tensor) -> ObjectId {
        self.graph.add(Object::Tensor(Box::new(tensor)))
    }

    /// The attributes that a user put on a tensor, as a dict object.
    fn attributes(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> PyResult<Option<ObjectId>> {
        let attributes = object.getattr("__dict__")?.cast_into::<PyDict>()?;
        match self.dict(&attributes, depth)? {
            Value::Object(id) if !attributes.is_empty() => Ok(Some(id)),
            _ => Ok(None),
        }
    }

    /// A tensor or parameter; None for a class that describes itself.
    fn tensor_object(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> PyResult<Option<Value>> {
        let Some(tensor) = cast_tensor(object) else { return Ok(None) };
        let class = object.get_type();
        if self.parameter.as_ref().is_some_and(|parameter| class.is(parameter)) {
            let data = self.tensor(&tensor, false)?;
            let data = self.add_tensor(data);
            let state = self.attributes(object, depth)?.map(Value::Object);
            let id = self.graph.add(Object::Parameter { data, requires_grad: tensor.requires_grad(), state });
            return Ok(Some(self.note(object, id)));
        }
        if !class.getattr("__reduce_ex__")?.is(&self.tensor_reduce) {
            return Ok(None);
        }
        // PyTorch saves the value and the flag of a result of an op, too.
        let mut data = self.tensor(&tensor, tensor.requires_grad())?;
        data.attributes = self.attributes(object, depth)?;
        if !class.is(self.py.get_type::<PyTensor>())
            && let Value::Object(id) = self.value(class.as_any(), depth + 1)?
        {
            data.class = Some(id);
        }
        let id = self.add_tensor(data);
        Ok(Some(self.note(object, id)))
    }

    /// A storage by itself.
    fn storage_object(&mut self, object: &Bound<'py, PyAny>) -> PyResult<Option<Value>> {
        let is = |class: &Option<Bound<'py, PyAny>>| class.as_ref().map_or(Ok(false), |class| object.is_instance(class));
        let (untyped, dtype) = if is(&self.untyped_storage)? {
            (object.clone(), None)
        } else if is(&self.typed_storage)? {
            let dtype = object.getattr("dtype")?.cast_into::<PyDType>()?.get().0;
            (object.getattr("_untyped_storage")?, Some(dtype))
        } else {
            return Ok(None);
        };
        let Some(bytes) = cast_tensor(&untyped.getattr("_bytes")?) else { return Ok(None) };
        let array = bytes.array();
        if array.is_meta() {
            return Err(PyRuntimeError::new_err("cannot save a storage of the meta device: it has no data"));
        }
        if array.offset() != 0 || array.len_bytes() != array.storage().len_bytes() {
            return Err(PyRuntimeError::new_err("cannot save a part of a storage; save a tensor over it"));
        }
        let storage = rustnn_io::StorageRef::whole(self.storage(array)?, dtype, array.len_bytes() as u64);
        let id = self.graph.add(Object::Storage(storage));
        Ok(Some(self.note(object, id)))
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
        if let Some(value) = self.tensor_object(object, depth)? {
            return Ok(value);
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
            // Met again among its own items: the first meeting made it.
            if let Some(&id) = self.seen.get(&(object.as_ptr() as usize)) {
                return Ok(Value::Object(id));
            }
            let id = self.graph.add(Object::Tuple(items));
            return Ok(self.note(object, id));
        }
        if let Ok(dict) = object.cast_exact::<PyDict>() {
            return self.dict(dict, depth);
        }
        if let Ok(b) = object.cast_exact::<PyBytes>() {
            let id = self.graph.add(Object::Bytes(b.as_bytes().to_vec()));
            return Ok(self.note(object, id));
        }
        if object.is_exact_instance_of::<PyByteArray>() {
            let id = self.graph.add(Object::ByteArray(object.extract()?));
            return Ok(self.note(object, id));
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
        if let Ok(d) = object.cast::<PyDevice>() {
            let index = d.get().index.map(i64::from);
            return Ok(Value::Object(self.graph.add(Object::Device { kind: d.get().device.kind().into(), index })));
        }
        if let Some(value) = self.storage_object(object)? {
            return Ok(value);
        }
        let class = object.get_type();
        let module: String = class.getattr("__module__")?.extract().unwrap_or_default();
        let name: String = class.getattr("__qualname__")?.extract()?;
        match (module.as_str(), name.as_str()) {
            ("collections", "OrderedDict" | "Counter") => {
                let kind = if name == "Counter" { DictKind::Counter } else { DictKind::OrderedDict };
                let id = self.graph.add(Object::Dict { kind, entries: Vec::new(), attributes: None });
                let out = self.note(object, id);
                let entries = self.pairs(object.cast::<PyDict>()?, depth)?;
                let attributes = self.attributes(object, depth)?;
                self.graph[id] = Object::Dict { kind, entries, attributes };
                Ok(out)
            }
            ("rustnn._size", "Size") => Ok(Value::Object(self.graph.add(Object::Size(object.extract()?)))),
            ("rustnn", "layout") => Ok(Value::Object(self.graph.add(Object::Layout(object.str()?.to_cow()?.as_ref().into())))),
            _ => self.reduced(object, depth),
        }
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

    fn add_global(&mut self, module: &str, name: &str) -> Value {
        Value::Object(self.graph.add(Object::Global { module: module.into(), name: name.into() }))
    }

    fn add_call(&mut self, callable: Value, args: Vec<Value>) -> ObjectId {
        let args = Value::Object(self.graph.add(Object::Tuple(args)));
        let (appended, entries) = (Vec::new(), Vec::new());
        self.graph.add(Object::Instance(Box::new(Instance { callable, args, kwargs: None, is_new: false, appended, entries, state: None })))
    }

    /// A class or function by its name, which must lead to it.
    fn global(&mut self, object: &Bound<'py, PyAny>, name: Option<String>) -> PyResult<Value> {
        let py = self.py;
        let name = match name {
            Some(name) => name,
            None => object.getattr("__qualname__").or_else(|_| object.getattr("__name__"))?.extract()?,
        };
        let module: String = match object.getattr_opt("__module__")?.filter(|module| !module.is_none()) {
            Some(module) => module.extract()?,
            None => py.import("pickle")?.call_method1("whichmodule", (object, &name))?.extract()?,
        };
        let lost = |why: &str| pickling_error(&format!("Can't pickle {object}: {why} {module}.{name}"));
        if self.modules.get_item(&module)?.is_none() {
            py.import(module.as_str()).map_err(|_| lost("import of module failed for"))?;
        }
        let mut found = self.modules.get_item(&module)?.ok_or_else(|| lost("it's not found as"))?;
        for part in name.split('.') {
            found = found.getattr(part).map_err(|_| lost("it's not found as"))?;
        }
        if !found.is(object) {
            return Err(lost("it's not the same object as"));
        }
        // Files name PyTorch's classes: each side reads them as its own.
        let module = match module.strip_prefix("rustnn") {
            Some("" | "._core") => "torch".to_owned(),
            Some(rest) if rest.starts_with('.') => format!("torch{rest}"),
            _ => module,
        };
        // Protocol 2 has no names with dots.
        let mut parts = name.split('.');
        let mut out = self.add_global(&module, parts.next().unwrap_or_default());
        for part in parts {
            let getattr = self.add_global("builtins", "getattr");
            out = Value::Object(self.add_call(getattr, vec![out, part.into()]));
        }
        if let Value::Object(id) = out {
            self.note(object, id);
        }
        Ok(out)
    }

    /// A function of the core by the name that PyTorch has for it.
    fn core_function(&mut self, object: &Bound<'py, PyAny>) -> PyResult<Value> {
        let name: String = object.getattr("__name__")?.extract()?;
        for (ours, theirs) in [("rustnn.nn.functional", "torch.nn.functional"), ("rustnn.linalg", "torch.linalg"), ("rustnn", "torch")] {
            if let Some(module) = self.modules.get_item(ours)?
                && module.getattr(&name).is_ok_and(|found| found.is(object))
                && let Value::Object(id) = self.add_global(theirs, &name)
            {
                return Ok(self.note(object, id));
            }
        }
        Err(pickling_error(&format!("Can't pickle {object}: it's not found as rustnn.{name}")))
    }

    /// Any other object as its own `__reduce_ex__` describes it.
    fn reduced(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> PyResult<Value> {
        let py = self.py;
        let class = object.get_type();
        let parts = if let Some(reduce) = self.dispatch.get_item(&class)? {
            reduce.call1((object,))?
        } else if object.is_instance_of::<PyType>() {
            if object.is(py.get_type::<PyNone>()) {
                let callable = self.add_global("builtins", "type");
                return Ok(Value::Object(self.add_call(callable, vec![Value::None])));
            }
            return self.global(object, None);
        } else if object.is_instance_of::<PyFunction>() {
            return self.global(object, None);
        } else if object.is_instance_of::<PyCFunction>() && object.getattr("__self__")?.is_exact_instance_of::<PyInt>() {
            // A function of the core, bound to its number in the registry.
            return self.core_function(object);
        } else {
            object.call_method1("__reduce_ex__", (2,))?
        };
        if let Ok(name) = parts.extract::<String>() {
            return self.global(object, Some(name));
        }
        let Ok(parts) = parts.cast_into::<PyTuple>() else {
            return Err(pickling_error(&format!("Can't pickle {class}: __reduce_ex__ must return a string or tuple")));
        };
        let part = |i: usize| parts.get_item(i).ok().filter(|p| !p.is_none());
        let (Some(callable), Some(args)) = (part(0), part(1)) else {
            return Err(pickling_error(&format!(
                "Can't pickle {class}: tuple returned by __reduce_ex__ must contain 2 through 6 elements"
            )));
        };
        if part(5).is_some() {
            return Err(pickling_error(&format!("Can't pickle {class}: its __reduce_ex__ sets the state by a function of its own")));
        }
        let mut args = args.cast_into::<PyTuple>()?.iter().collect::<Vec<_>>();
        let copyreg = py.import("copyreg")?;
        let with_keywords = callable.is(&copyreg.getattr("__newobj_ex__")?) && args.len() == 3;
        let is_new = with_keywords || (callable.is(&copyreg.getattr("__newobj__")?) && !args.is_empty());
        let callable = if is_new { args.remove(0) } else { callable };
        let callable = self.value(&callable, depth + 1)?;
        let mut kwargs = None;
        if with_keywords {
            kwargs = Some(self.value(&args[1], depth + 1)?);
            args = args[0].cast::<PyTuple>()?.iter().collect();
        }
        let args = self.items(args.into_iter(), depth)?;
        let args = Value::Object(self.graph.add(Object::Tuple(args)));
        // Met again among its own arguments.
        if let Some(&id) = self.seen.get(&(object.as_ptr() as usize)) {
            return Ok(Value::Object(id));
        }
        let instance = Instance { callable, args, kwargs, is_new, appended: Vec::new(), entries: Vec::new(), state: None };
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

/// The bytes of a storage of the CPU.
fn bytes_of(storage: &Storage) -> &[u8] {
    if storage.len_bytes() == 0 || storage.device() != Device::Cpu {
        return &[];
    }
    // SAFETY: the storage holds that many initialised bytes and lives as long as the slice; nobody is to write them meanwhile
    // (a torn value would be the writer's, as for all unsynchronised writes).
    unsafe { std::slice::from_raw_parts(storage.ptr(), storage.len_bytes()) }
}

/// A Python object with `write`. What it raises travels as the cause of an `io::Error`.
struct PythonFile(Py<PyAny>);

impl Write for PythonFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Python::attach(|py| {
            let written = self.0.bind(py).call_method1("write", (PyBytes::new(py, bytes),))?;
            // Raw files may take a part; others return nothing of use.
            Ok(written.extract::<usize>().ok().filter(|&count| count < bytes.len()).unwrap_or(bytes.len()))
        })
        .map_err(|error: PyErr| std::io::Error::other(error))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Python::attach(|py| {
            if let Some(flush) = self.0.bind(py).getattr_opt("flush")? {
                flush.call0()?;
            }
            Ok(())
        })
        .map_err(|error: PyErr| std::io::Error::other(error))
    }
}

/// Where a checkpoint goes: a path, or a Python object with `write`.
fn write_to(target: &Bound<PyAny>, write: impl FnOnce(&mut dyn Write, &str) -> rustnn_io::Result<()> + Send) -> PyResult<()> {
    let py = target.py();
    if let Ok(path) = target.extract::<PathBuf>() {
        let save = || rustnn_io::write_atomically(&path, |sink| write(sink, &rustnn_io::archive_name(&path)));
        return detached(py, || Ok(save())).py()?.map_err(to_python);
    }
    let mut file = std::io::BufWriter::with_capacity(1 << 16, PythonFile(target.clone().unbind()));
    let done = detached(py, || Ok(write(&mut file, "archive")));
    // What an error leaves in the buffer must not be written by the drop.
    let _ = file.into_parts();
    done.py()?.map_err(to_python)
}

/// Writes `obj` to a path, all or nothing, or to a file object.
#[pyfunction]
#[pyo3(signature = (obj, target, legacy=false, checksums=true, skip_data=false, byteorder=true))]
fn _save(obj: &Bound<PyAny>, target: &Bound<PyAny>, legacy: bool, checksums: bool, skip_data: bool, byteorder: bool) -> PyResult<()> {
    let mut reader = Reader::new(obj.py())?;
    let root = reader.value(obj, 0)?;
    let (graph, storages) = (reader.graph, reader.storages);
    let options = WriteOptions { is_legacy: legacy, has_checksums: checksums, skips_data: skip_data, has_byteorder: byteorder };
    write_to(target, |sink, archive| rustnn_io::write_checkpoint_with(sink, archive, &graph, &root, &storages, &options))
}

/// Writes a pickle that another module made, and the storages (uint8 tensors) that it names by their numbers.
#[pyfunction]
fn _save_pickled(
    pickle: Vec<u8>,
    storages: Vec<Bound<PyTensor>>,
    target: &Bound<PyAny>,
    checksums: bool,
    skip_data: bool,
    byteorder: bool,
) -> PyResult<()> {
    let py = target.py();
    let storages = Storages(storages.iter().map(|t| t.get().get(py).array().storage().clone()).collect());
    let options = WriteOptions { is_legacy: false, has_checksums: checksums, skips_data: skip_data, has_byteorder: byteorder };
    let count = storages.0.len() as u32;
    write_to(target, |sink, archive| rustnn_io::write_pickled(sink, archive, pickle, count, &storages, &options))
}

// --------------------------------------------------------------------------------------------------------------- reading

/// Bytes of a Python object, read without the GIL.
struct PythonBytes {
    start: *const u8,
    len: usize,
    _owner: Py<PyBytes>,
}

// SAFETY: a bytes object never changes and lives as long as its owner is held.
unsafe impl Send for PythonBytes {}
// SAFETY: as above.
unsafe impl Sync for PythonBytes {}

impl AsRef<[u8]> for PythonBytes {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: start and length are those of the bytes object, which `_owner` keeps.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

/// A path, bytes, or the number of an open file of ours, which is closed in the end.
fn source_of(source: &Bound<PyAny>) -> PyResult<Source> {
    if let Ok(bytes) = source.cast::<PyBytes>() {
        let data = bytes.as_bytes();
        return Ok(Source::from(PythonBytes { start: data.as_ptr(), len: data.len(), _owner: bytes.clone().unbind() }));
    }
    #[cfg(unix)]
    if let Ok(number) = source.extract::<i32>() {
        use std::os::fd::FromRawFd;
        // SAFETY: the caller duplicated the descriptor for us and gives it away.
        let file = unsafe { std::fs::File::from_raw_fd(number) };
        return Source::from_file(file).map_err(to_python);
    }
    Source::open(&source.extract::<PathBuf>()?).map_err(to_python)
}

/// A file in memory: private to us, or shared with all who map it so.
#[derive(Clone)]
struct Mapping(Arc<MmapMut>);

impl Mapping {
    fn new(source: &Source, is_shared: bool) -> PyResult<Option<Mapping>> {
        let (Some(file), Some(path)) = (source.file(), source.path()) else { return Ok(None) };
        let error = |error| os_error(error, Some(path));
        if is_shared {
            let file = std::fs::OpenOptions::new().read(true).write(true).open(path).map_err(error)?;
            // SAFETY: the file may be changed by others while it is mapped: that is what the caller asks for. Every byte is a
            // valid byte, and nothing else is assumed of it.
            return Ok(Some(Mapping(Arc::new(unsafe { MmapOptions::new().map_mut(&file) }.map_err(error)?))));
        }
        // SAFETY: as above; changes of ours stay ours.
        Ok(Some(Mapping(Arc::new(unsafe { MmapOptions::new().map_copy(file) }.map_err(error)?))))
    }

    /// The part as a storage; None where numbers in it would be out of alignment.
    fn storage(&self, range: Range<u64>) -> PyResult<Option<Storage>> {
        let (Ok(start), Ok(end)) = (usize::try_from(range.start), usize::try_from(range.end)) else { return Ok(None) };
        if start > end || end > self.0.len() {
            return Err(PyRuntimeError::new_err("the file ends before its storages; was it cut short?"));
        }
        let address = self.0.as_ptr().wrapping_add(start).cast_mut();
        if address as usize % 8 != 0 {
            return Ok(None);
        }
        // SAFETY: the range lies inside the mapping, which the storage keeps; it may be written, being private or shared.
        Ok(Some(unsafe { Storage::foreign(address, end - start, true, Box::new(self.clone())) }))
    }
}

/// A storage of `len` bytes that `read` fills.
fn read_storage(len: u64, read: impl FnOnce(&mut [u8]) -> rustnn_io::Result<()>) -> PyResult<Storage> {
    let len = usize::try_from(len).map_err(|_| PyRuntimeError::new_err("a storage too large for this machine"))?;
    let storage = Storage::uninit(len, Device::Cpu).py()?;
    if len > 0 {
        // SAFETY: a fresh storage of `len` bytes that nobody else has yet; reading overwrites all of it or fails.
        let bytes = unsafe { std::slice::from_raw_parts_mut(storage.ptr(), len) };
        read(bytes).map_err(to_python)?;
    }
    Ok(storage)
}

/// All of a storage as a tensor of bytes.
fn byte_tensor(storage: Storage) -> PyResult<Tensor> {
    let len = storage.len_bytes();
    Ok(Tensor::from_array(Array::from_storage(storage, DType::U8, &[len], &[1], 0).py()?))
}

/// Bytes that a bool tensor is made of must be 0 or 1; PyTorch takes any other for true, and so it becomes 1.
fn settle_bools(array: &Array) {
    if array.dtype() != DType::Bool || array.device() != Device::Cpu || array.numel() == 0 {
        return;
    }
    let last: isize = array.shape().iter().zip(array.strides()).map(|(&size, &stride)| (size as isize - 1) * stride).sum();
    // SAFETY: `Array::from_storage` checked that the elements from the first to the last lie in the storage, and strides of
    // files are not negative; the storage was made by us just now, from a file that it alone sees.
    let bytes = unsafe { std::slice::from_raw_parts_mut(array.ptr(), last as usize + 1) };
    // Untouched pages of a mapped file stay untouched where nothing is wrong.
    if bytes.iter().any(|&byte| byte > 1) {
        bytes.iter_mut().for_each(|byte| *byte = u8::from(*byte != 0));
    }
}

/// The tensor whose conjugation and negation bits are carried out: what the file means, in memory of its own.
fn resolve_bits(tensor: &Tensor, conj: bool, neg: bool) -> PyResult<Tensor> {
    let array = rustnn_ops::copy::contiguous_array(tensor.array()).py()?;
    let dtype = array.dtype();
    // A fresh copy also of what was contiguous.
    let out = Array::empty(array.shape(), dtype, Device::Cpu).py()?;
    let len = out.len_bytes();
    if len == 0 {
        return Ok(Tensor::from_array(out));
    }
    let number = if dtype.is_complex() { dtype.size_bytes() / 2 } else { dtype.size_bytes() };
    // SAFETY: two distinct pieces of memory of `len` bytes each.
    let bytes = unsafe {
        std::ptr::copy_nonoverlapping(array.ptr(), out.ptr(), len);
        std::slice::from_raw_parts_mut(out.ptr(), len)
    };
    for (index, part) in bytes.chunks_exact_mut(number).enumerate() {
        let flips = neg ^ (conj && dtype.is_complex() && index % 2 == 1);
        if !flips {
            continue;
        }
        if dtype.is_float() || dtype.is_complex() {
            part[number - 1] ^= 0x80;
        } else {
            // Two's complement: invert and add one.
            let mut carry = true;
            for byte in part {
                (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
            }
        }
    }
    Ok(Tensor::from_array(out))
}

struct Builder<'a, 'py> {
    py: Python<'py>,
    graph: &'a Graph,
    storages: Vec<Storage>,
    made: Vec<Option<Bound<'py, PyAny>>>,
    /// What the user allowed beyond the closed list, by full name.
    allowed: Bound<'py, PyDict>,
}

static FIND: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

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
            Value::Object(id) => match self.made.get(id.0 as usize) {
                Some(Some(object)) => object.clone(),
                _ => return Err(PyRuntimeError::new_err("a checkpoint refers to an object before it is made")),
            },
        })
    }

    fn list(&self, items: &[Value]) -> PyResult<Vec<Bound<'py, PyAny>>> {
        items.iter().map(|v| self.value(v)).collect()
    }

    fn storage(&self, id: StorageId) -> PyResult<Storage> {
        self.storages.get(id.0 as usize).cloned().ok_or_else(|| PyRuntimeError::new_err("a storage that the file lacks"))
    }

    fn tensor(&self, t: &rustnn_io::Tensor) -> PyResult<Tensor> {
        let strides: Vec<isize> = t.strides.iter().map(|&s| s as isize).collect();
        let array = match t.storage {
            None => Array::empty(&t.shape, t.dtype, Device::Meta).py()?.with_geometry(t.shape[..].into(), strides[..].into(), 0),
            Some(id) => Array::from_storage(self.storage(id)?, t.dtype, &t.shape, &strides, t.offset).py()?,
        };
        settle_bools(&array);
        let out = Tensor::from_array(array);
        if (t.conj || t.neg) && out.device() == Device::Cpu { resolve_bits(&out, t.conj, t.neg) } else { Ok(out) }
    }

    fn full_name(&self, value: &Value) -> Option<String> {
        match self.graph.object(value) {
            Some(Object::Global { module, name }) => Some(format!("{module}.{name}")),
            _ => None,
        }
    }

    fn global(&self, module: &str, name: &str) -> PyResult<Bound<'py, PyAny>> {
        if let Some(object) = self.allowed.get_item(format!("{module}.{name}"))? {
            return Ok(object);
        }
        let find = FIND.get_or_try_init(self.py, || -> PyResult<Py<PyAny>> {
            Ok(self.py.import("rustnn.serialization")?.getattr("_find_global")?.unbind())
        })?;
        find.bind(self.py).call1((module, name)).map_err(|error| {
            let text = error.value(self.py).to_string();
            pickle_error("UnpicklingError", &format!("Weights only load failed. {text}"))
        })
    }

    /// Calls are for what the user allowed, by name or as a result of such a call.
    fn check_callable(&self, callable: &Value) -> PyResult<()> {
        let Some(name) = self.full_name(callable) else { return Ok(()) };
        if self.allowed.contains(&name)? {
            return Ok(());
        }
        Err(pickle_error("UnpicklingError", &format!("Weights only load failed. A checkpoint may name {name}, but not call it so.")))
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
            Object::Layout(name) => self.global("torch", name.strip_prefix("torch.").unwrap_or(name))?,
            Object::Storage(s) => {
                let bytes = byte_tensor(self.storage(s.storage)?)?.array().clone();
                let part = bytes.with_geometry([s.len_bytes as usize][..].into(), [1][..].into(), s.offset_bytes as usize);
                let dtype = s.dtype.map(|dtype| types::dtype(py, dtype)).transpose()?;
                py.import("rustnn.storage")?.call_method1("_storage_of", (wrap(py, Tensor::from_array(part))?, dtype))?
            }
            Object::Tensor(t) => self.create_tensor(t)?,
            Object::Parameter { data, requires_grad, state } => {
                let class = py.import("rustnn.nn.parameter")?.getattr("Parameter")?.cast_into::<PyType>()?;
                let data = self.value(&Value::Object(*data))?;
                let Some(tensor) = cast_tensor(&data) else { return Err(PyRuntimeError::new_err("a Parameter whose data is no tensor")) };
                let leaf = tensor.detach();
                leaf.set_requires_grad(*requires_grad).py()?;
                let out = wrap_as(&class, leaf)?;
                if let Some(state) = state {
                    set_state(&out, &self.value(state)?)?;
                }
                out
            }
            Object::Global { module, name } => self.global(module, name)?,
            Object::Instance(instance) => {
                self.check_callable(&instance.callable)?;
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
        self.made[id.0 as usize] = Some(object);
        Ok(())
    }

    fn create_tensor(&self, t: &rustnn_io::Tensor) -> PyResult<Bound<'py, PyAny>> {
        let py = self.py;
        let plain = self.tensor(t)?;
        if t.requires_grad {
            plain.set_requires_grad(true).py()?;
        }
        let mut out = wrap(py, plain)?;
        if let Some(class) = t.class {
            let class = self.value(&Value::Object(class))?;
            match class.cast_into::<PyType>() {
                Ok(class) if class.is_subclass_of::<PyTensor>()? => out = make_subclass(&class, &out, t.requires_grad)?,
                _ => return Err(pickle_error("UnpicklingError", "Weights only load failed. A tensor's class is not a class of tensors.")),
            }
        }
        if let Some(attributes) = t.attributes {
            let state = self.value(&Value::Object(attributes))?;
            match out.getattr_opt("__setstate__")? {
                Some(set) => drop(set.call1((state,))?),
                None => set_state(&out, &state)?,
            }
        }
        Ok(out)
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
                    match object.getattr_opt("__setstate__")? {
                        Some(set) => drop(set.call1((state,))?),
                        None => set_state(&object, &state)?,
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

/// How storages become memory.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Memory,
    /// No data at all.
    Meta,
    /// Memory, but not what the file holds (`skip_data`).
    Zeros,
    Private,
    Shared,
}

impl Place {
    fn parse(text: &str) -> PyResult<Place> {
        match text {
            "memory" => Ok(Place::Memory),
            "meta" => Ok(Place::Meta),
            "zeros" => Ok(Place::Zeros),
            "private" => Ok(Place::Private),
            "shared" => Ok(Place::Shared),
            _ => Err(PyValueError::new_err(format!("unknown place '{text}'"))),
        }
    }

    /// The storage, where it needs no reading.
    fn empty(self, len: u64) -> PyResult<Option<Storage>> {
        let len = usize::try_from(len).map_err(|_| PyRuntimeError::new_err("a storage too large for this machine"))?;
        match self {
            Place::Meta => Storage::uninit(len, Device::Meta).py().map(Some),
            Place::Zeros => Storage::zeroed(len, Device::Cpu).py().map(Some),
            _ => Ok(None),
        }
    }

    fn map(self, source: &Source) -> PyResult<Option<Mapping>> {
        match self {
            Place::Private | Place::Shared => Mapping::new(source, self == Place::Shared),
            _ => Ok(None),
        }
    }
}

fn encoding(text: &str) -> Encoding {
    match text.to_ascii_lowercase().replace('_', "-").as_str() {
        "ascii" => Encoding::Ascii,
        "latin1" | "latin-1" | "iso-8859-1" => Encoding::Latin1,
        "bytes" => Encoding::Bytes,
        _ => Encoding::Utf8,
    }
}

/// Reads a checkpoint without running anything; returns it and how many bytes it took.
///
/// `allowed` maps full names to what they stand for beyond the closed list; `restore(bytes, location)` gives a storage, as a
/// tensor of bytes, its place.
#[pyfunction]
#[pyo3(signature = (source, allowed, restore=None, place="memory", encoding="utf-8", big_endian=false))]
fn _load<'py>(
    source: &Bound<'py, PyAny>,
    allowed: Bound<'py, PyDict>,
    restore: Option<&Bound<'py, PyAny>>,
    place: &str,
    encoding: &str,
    big_endian: bool,
) -> PyResult<(Bound<'py, PyAny>, u64)> {
    let py = source.py();
    let place = Place::parse(place)?;
    let globals = if allowed.is_empty() {
        Globals::Listed
    } else {
        Globals::ListedAnd(allowed.keys().extract::<Vec<String>>()?.into_iter().collect())
    };
    let options = Options { globals, encoding: self::encoding(encoding), is_big_endian_by_default: big_endian, ..Options::default() };
    let source = source_of(source)?;
    let checkpoint = py.detach(|| rustnn_io::read_checkpoint(source, &options)).map_err(to_python)?;
    let mapping = place.map(checkpoint.source())?;
    if mapping.is_some() && checkpoint.format != rustnn_io::Format::Zip {
        return Err(PyRuntimeError::new_err(
            "mmap can only be used with files saved with `torch.save(_use_new_zipfile_serialization=True), please torch.save your \
             checkpoint with this option in order to use mmap.",
        ));
    }
    let mut storages = detached(py, || Ok(load_storages(&checkpoint, place, mapping.as_ref()))).py()??;
    if let Some(restore) = restore {
        for (storage, entry) in storages.iter_mut().zip(&checkpoint.storages) {
            let restored = restore.call1((wrap(py, byte_tensor(storage.clone())?)?, &*entry.location))?;
            let Some(restored) = cast_tensor(&restored) else { return Err(PyTypeError::new_err("map_location gave no storage")) };
            *storage = restored.array().storage().clone();
        }
    }
    let steps = checkpoint.graph.build_order(&checkpoint.root, 100_000).map_err(to_python)?;
    let made = vec![None; checkpoint.graph.len()];
    let mut builder = Builder { py, graph: &checkpoint.graph, storages, made, allowed };
    for step in steps {
        match step {
            Step::Create(id) => builder.create(id)?,
            Step::Fill(id) => builder.fill(id)?,
        }
    }
    Ok((builder.value(&checkpoint.root)?, checkpoint.len_bytes))
}

fn load_storages(checkpoint: &rustnn_io::Checkpoint, place: Place, mapping: Option<&Mapping>) -> PyResult<Vec<Storage>> {
    (0..checkpoint.storages.len())
        .map(|index| {
            let id = StorageId(index as u32);
            let len = checkpoint.storages[index].len_bytes;
            if let Some(storage) = place.empty(len)? {
                return Ok(storage);
            }
            if let (Some(mapping), Some(range)) = (mapping, checkpoint.file_range(id))
                && let Some(storage) = mapping.storage(range)?
            {
                return Ok(storage);
            }
            read_storage(len, |bytes| checkpoint.read_storage_into_by(id, bytes, &parallel::par_for))
        })
        .collect()
}

/// An opened zip checkpoint, for Python's pickle to read.
#[pyclass(name = "_Package", module = "rustnn._core", frozen)]
struct PyPackage {
    package: rustnn_io::Package,
    place: Place,
    mapping: Option<Mapping>,
}

#[pymethods]
impl PyPackage {
    #[new]
    #[pyo3(signature = (source, place="memory", big_endian=false))]
    fn py_new(source: &Bound<PyAny>, place: &str, big_endian: bool) -> PyResult<PyPackage> {
        let options = Options { is_big_endian_by_default: big_endian, ..Options::default() };
        let source = source_of(source)?;
        let place = Place::parse(place)?;
        let mapping = place.map(&source)?;
        let package = source_py(source, &options)?;
        Ok(PyPackage { package, place, mapping })
    }

    /// The bytes of its pickle.
    fn pickle<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.package.pickle(&Options::default()).map_err(to_python)?))
    }

    /// The storage with this key, which has `len` bytes of numbers of `dtype` (None: bytes), as a tensor of bytes.
    #[pyo3(signature = (key, len, dtype=None))]
    fn storage<'py>(&self, py: Python<'py>, key: &str, len: u64, dtype: Option<&Bound<'py, PyDType>>) -> PyResult<Bound<'py, PyAny>> {
        let record = self.package.storage(key, len).map_err(to_python)?;
        let mut storage = self.place.empty(len)?;
        if let Some(mapping) = &self.mapping
            && !record.is_deflated
            && !self.package.is_big_endian
        {
            storage = mapping.storage(record.offset..record.offset + len)?;
        }
        let dtype = dtype.map(|dtype| dtype.get().0);
        let storage = match storage {
            Some(storage) => storage,
            None => {
                let read = |bytes: &mut [u8]| self.package.read_into(record, dtype, bytes, &parallel::par_for);
                detached(py, || Ok(read_storage(len, read))).py()??
            }
        };
        wrap(py, byte_tensor(storage)?)
    }
}

fn source_py(source: Source, options: &Options) -> PyResult<rustnn_io::Package> {
    rustnn_io::Package::open(source, options).map_err(to_python)
}

// --------------------------------------------------------------------------------------------------------------- storages

/// All of a tensor's storage as a tensor of bytes.
#[pyfunction]
fn _storage_bytes<'py>(tensor: &Bound<'py, PyTensor>) -> PyResult<Bound<'py, PyAny>> {
    let py = tensor.py();
    wrap(py, byte_tensor(tensor.get().get(py).array().storage().clone())?)
}

/// A tensor over the memory of a tensor of bytes; offset and strides count elements.
#[pyfunction]
#[pyo3(signature = (bytes, dtype, offset, size, stride, requires_grad=false))]
fn _tensor_over<'py>(
    bytes: &Bound<'py, PyTensor>,
    dtype: &Bound<'py, PyDType>,
    offset: usize,
    size: Vec<usize>,
    stride: Vec<usize>,
    requires_grad: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = bytes.py();
    let (bytes, dtype) = (bytes.get().get(py), dtype.get().0);
    let (part, width) = (bytes.array(), dtype.size_bytes());
    if part.dtype() != DType::U8 || part.rank() != 1 {
        return Err(PyTypeError::new_err("_tensor_over: the storage must be a vector of bytes"));
    }
    let asked = rustnn_io::Tensor { offset, strides: stride, ..rustnn_io::Tensor::contiguous(StorageId(0), dtype, size) };
    let extent = asked.extent_bytes().filter(|_| asked.element_count().is_some() && asked.shape.len() == asked.strides.len());
    if extent.is_none_or(|extent| extent > part.len_bytes() as u64) {
        return Err(PyRuntimeError::new_err(format!(
            "setStorage: sizes {:?}, strides {:?}, storage offset {}, and itemsize {width} are out of bounds for storage of size {}",
            asked.shape,
            asked.strides,
            asked.offset,
            part.len_bytes()
        )));
    }
    if part.offset() % width != 0 {
        return Err(PyRuntimeError::new_err(format!("a storage part at byte {} cannot hold {}", part.offset(), dtype.name())));
    }
    let strides: Vec<isize> = asked.strides.iter().map(|&stride| stride as isize).collect();
    let offset = asked.offset + part.offset() / width;
    let array = Array::from_storage(part.storage().clone(), dtype, &asked.shape, &strides, offset).py()?;
    settle_bools(&array);
    let out = Tensor::from_array(array);
    if requires_grad {
        out.set_requires_grad(true).py()?;
    }
    wrap(py, out)
}

/// A tensor with the conjugation or negation that a file asks for carried out.
#[pyfunction]
fn _resolve_bits<'py>(tensor: &Bound<'py, PyTensor>, conj: bool, neg: bool) -> PyResult<Bound<'py, PyAny>> {
    let py = tensor.py();
    let own = tensor.get().get(py);
    if !(conj || neg) || own.device() != Device::Cpu {
        return Ok(tensor.clone().into_any());
    }
    let out = resolve_bits(&own, conj, neg)?;
    if own.requires_grad() {
        out.set_requires_grad(true).py()?;
    }
    wrap(py, out)
}

/// Writes bytes from the start of a storage on.
#[pyfunction]
fn _fill_bytes(target: &Bound<PyTensor>, bytes: &[u8]) -> PyResult<()> {
    let own = target.get().get(target.py());
    let array = own.array();
    if array.dtype() != DType::U8 || !array.is_contiguous() || array.device() != Device::Cpu || array.len_bytes() < bytes.len() {
        return Err(PyRuntimeError::new_err(format!("_fill_bytes: {} bytes do not fit the storage", bytes.len())));
    }
    // SAFETY: the array holds at least that many bytes in a row; `bytes` is Python's and cannot overlap a storage's own memory.
    unsafe { std::ptr::copy(bytes.as_ptr(), array.ptr(), bytes.len()) };
    Ok(())
}

/// The bytes of a tensor of bytes.
#[pyfunction]
fn _get_bytes<'py>(source: &Bound<'py, PyTensor>) -> PyResult<Bound<'py, PyBytes>> {
    let py = source.py();
    let own = source.get().get(py);
    let array = rustnn_ops::copy::contiguous_array(rustnn_ops::to_device(&own, Device::Cpu).py()?.array()).py()?;
    let start = array.offset() * array.dtype().size_bytes();
    Ok(PyBytes::new(py, &bytes_of(array.storage())[start..start + array.len_bytes()]))
}

// ----------------------------------------------------------------------------------------------------------- safetensors

/// Writes named tensors as safetensors to a path, all or nothing, or to a file object.
#[pyfunction]
#[pyo3(signature = (tensors, target, metadata=None))]
fn _save_safetensors(
    tensors: &Bound<PyDict>,
    target: &Bound<PyAny>,
    metadata: Option<std::collections::BTreeMap<String, String>>,
) -> PyResult<()> {
    let mut all: Vec<(String, Array)> = Vec::new();
    for (name, value) in tensors.iter() {
        let Some(t) = cast_tensor(&value) else {
            return Err(PyValueError::new_err(format!("Key `{name}` is invalid, expected torch.Tensor but received {}", value.get_type())));
        };
        if t.array().is_meta() {
            return Err(PyRuntimeError::new_err(format!("save_file: '{name}' is on the meta device and has no data")));
        }
        let own = rustnn_ops::to_device(&t.detach(), Device::Cpu).py()?;
        all.push((name.extract()?, rustnn_ops::copy::contiguous_array(own.array()).py()?));
    }
    write_to(target, |sink, _| {
        let views: Vec<SafeView> = all
            .iter()
            .map(|(name, a)| {
                let start = a.offset() * a.dtype().size_bytes();
                SafeView { name, dtype: a.dtype(), shape: a.shape(), bytes: &bytes_of(a.storage())[start..start + a.len_bytes()] }
            })
            .collect();
        rustnn_io::write_safetensors(sink, &views, &metadata.unwrap_or_default())
    })
}

/// An opened safetensors file: its header, checked; tensors on demand.
#[pyclass(name = "_SafeFile", module = "rustnn._core", frozen)]
struct PySafeFile {
    file: rustnn_io::SafeTensors,
    mapping: Option<Mapping>,
}

/// Opens a safetensors file, mapped or to be read, or its bytes.
#[pyfunction]
#[pyo3(signature = (source, mapped=false))]
fn _open_safetensors(source: &Bound<PyAny>, mapped: bool) -> PyResult<PySafeFile> {
    let source = source_of(source)?;
    let mapping = if mapped { Mapping::new(&source, false)? } else { None };
    Ok(PySafeFile { file: rustnn_io::read_safetensors(source).map_err(to_python)?, mapping })
}

#[pymethods]
impl PySafeFile {
    /// The names, in the order of the file.
    fn keys(&self) -> Vec<&str> {
        self.file.tensors.iter().map(|tensor| tensor.name.as_str()).collect()
    }

    fn metadata(&self) -> std::collections::BTreeMap<String, String> {
        self.file.metadata.clone()
    }

    /// (dtype, shape) of a tensor.
    fn describe<'py>(&self, py: Python<'py>, name: &str) -> PyResult<(Bound<'py, PyDType>, Vec<usize>)> {
        let tensor = self.find(name)?;
        Ok((types::dtype(py, tensor.dtype)?, tensor.shape.clone()))
    }

    fn tensor<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
        let tensor = self.find(name)?;
        let mapped = match &self.mapping {
            Some(mapping) => mapping.storage(tensor.range.clone())?,
            None => None,
        };
        let storage = match mapped {
            Some(storage) => storage,
            None => {
                let len = tensor.range.end - tensor.range.start;
                py.detach(|| read_storage(len, |bytes| self.file.read_into(tensor, bytes)))?
            }
        };
        let strides = rustnn_tensor::shape::contiguous_strides(&tensor.shape);
        let array = Array::from_storage(storage, tensor.dtype, &tensor.shape, &strides, 0).py()?;
        settle_bools(&array);
        wrap(py, Tensor::from_array(array))
    }
}

impl PySafeFile {
    fn find(&self, name: &str) -> PyResult<&rustnn_io::SafeTensor> {
        self.file.get(name).ok_or_else(|| PyKeyError::new_err(format!("File does not contain tensor {name}")))
    }
}

/// What a checkpoint holds, without loading it: tensors, sizes, and the globals that it needs.
#[pyfunction]
fn _inspect<'py>(source: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyDict>> {
    let py = source.py();
    let source = source_of(source)?;
    let found = py.detach(|| rustnn_io::inspect_source(source, &Options::default())).map_err(to_python)?;
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
    functions!(_save _save_pickled _load _inspect _storage_bytes _tensor_over _resolve_bits _fill_bytes _get_bytes);
    functions!(_save_safetensors _open_safetensors);
    module.add_class::<PyPackage>()?;
    module.add_class::<PySafeFile>()
}
