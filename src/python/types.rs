//! Small Python types: dtype, device, layout, memory_format, Generator.

use crate::error::IntoPy;
use pyo3::exceptions::{PyRuntimeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple, PyType};
use rustnn_ops::complex::complex_dtype;
use rustnn_ops::random::Generator;
use rustnn_tensor::{DType, Device, Error};

/// The type of a tensor's elements.
#[pyclass(name = "dtype", module = "rustnn", frozen)]
pub struct PyDType(pub DType);

static DTYPES: PyOnceLock<Vec<Py<PyDType>>> = PyOnceLock::new();

/// The one object of a dtype.
pub fn dtype(py: Python<'_>, dtype: DType) -> PyResult<Bound<'_, PyDType>> {
    let all = DTYPES.get_or_try_init(py, || DType::ALL.iter().map(|&d| Py::new(py, PyDType(d))).collect::<PyResult<Vec<_>>>())?;
    Ok(all[dtype as usize].bind(py).clone())
}

#[pymethods]
impl PyDType {
    fn __repr__(&self) -> String {
        format!("torch.{}", self.0.name())
    }

    fn __reduce__(&self) -> &'static str {
        self.0.name()
    }

    fn __hash__(&self) -> isize {
        self.0 as isize + 7919
    }

    fn __eq__(&self, other: &Bound<PyAny>) -> bool {
        other.cast::<PyDType>().is_ok_and(|o| o.get().0 == self.0)
    }

    /// Width of an element in bytes.
    #[getter]
    fn itemsize(&self) -> usize {
        self.0.size_bytes()
    }

    /// The complex dtype of these parts. Raises: RuntimeError for integers and booleans.
    fn to_complex<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDType>> {
        let own = if self.0 == DType::BF16 { DType::F32 } else { self.0 };
        match complex_dtype(own).or(own.is_complex().then_some(own)) {
            Some(complex) => dtype(py, complex),
            None => Err(PyRuntimeError::new_err(format!("Unknown Complex ScalarType for {}", own.scalar_name()))),
        }
    }

    #[getter]
    fn is_floating_point(&self) -> bool {
        self.0.is_float()
    }

    #[getter]
    fn is_complex(&self) -> bool {
        self.0.is_complex()
    }

    #[getter]
    fn is_signed(&self) -> bool {
        self.0.is_signed()
    }

    fn to_real(slf: PyRef<'_, Self>) -> PyResult<Bound<'_, PyDType>> {
        let real = match slf.0 {
            DType::C32 => DType::F16,
            DType::C64 => DType::F32,
            DType::C128 => DType::F64,
            other => other,
        };
        dtype(slf.py(), real)
    }
}

/// Where a tensor lies.
#[pyclass(name = "device", module = "rustnn", frozen)]
pub struct PyDevice {
    pub device: Device,
    /// Whether an index was named: `device("cpu")` has none.
    pub index: Option<u16>,
    /// A kind that PyTorch knows and that is not here: such a device has a name, and no tensor can be put there.
    foreign: Option<&'static str>,
}

const FOREIGN: &[&str] = &[
    "cuda",
    "mps",
    "xpu",
    "hip",
    "hpu",
    "xla",
    "vulkan",
    "ipu",
    "mtia",
    "maia",
    "mkldnn",
    "opengl",
    "opencl",
    "ideep",
    "ve",
    "fpga",
    "lazy",
    "privateuseone",
];

/// The foreign kind that a name begins with, and its index.
fn foreign(text: &str) -> Option<(&'static str, Option<u16>)> {
    let (kind, index) = match text.split_once(':') {
        None => (text, None),
        Some((kind, index)) => (kind, Some(index.parse().ok()?)),
    };
    FOREIGN.iter().find(|&&known| known == kind).map(|&known| (known, index))
}

impl PyDevice {
    pub fn new(device: Device) -> PyDevice {
        let index = match device {
            Device::Gpu(i) => Some(i),
            _ => None,
        };
        PyDevice { device, index, foreign: None }
    }

    fn kind(&self) -> &'static str {
        self.foreign.unwrap_or_else(|| self.device.kind())
    }
}

/// A device given as an object, a string or an index of a gpu.
pub fn parse_device(object: &Bound<PyAny>) -> PyResult<Device> {
    if let Ok(device) = object.cast::<PyDevice>() {
        return match device.get().foreign {
            None => Ok(device.get().device),
            Some(kind) => Device::parse(kind).py(),
        };
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Device::parse(&text.to_cow()?).py();
    }
    if let Ok(index) = object.extract::<i64>() {
        return Device::parse(&format!("gpu:{index}"))
            .map_err(|_| Error::Runtime(format!("Device index must be between 0 and {}, got {index}", u16::MAX - 1)))
            .py();
    }
    Err(PyTypeError::new_err(format!("device must be a device, a string or an int, not {}", object.get_type().name()?)))
}

#[pymethods]
impl PyDevice {
    #[new]
    #[pyo3(signature = (r#type, index=None))]
    fn py_new(r#type: &Bound<PyAny>, index: Option<i64>) -> PyResult<PyDevice> {
        if let (Ok(text), Some(i)) = (r#type.cast::<PyString>(), index) {
            let text = text.to_cow()?;
            if text.contains(':') {
                return Err(PyRuntimeError::new_err(format!(
                    "type (string) must not include an index because index was passed explicitly: {text}"
                )));
            }
            if let Some((kind, index)) = foreign(&format!("{text}:{i}")) {
                return Ok(PyDevice { device: Device::Cpu, index, foreign: Some(kind) });
            }
            let device = Device::parse(&format!("{text}:{i}")).py();
            return Ok(PyDevice { index: u16::try_from(i).ok(), ..PyDevice::new(device?) });
        }
        if let Ok(device) = r#type.cast::<PyDevice>() {
            return Ok(PyDevice { ..*device.get() });
        }
        if let Ok(text) = r#type.cast::<PyString>()
            && let Some((kind, index)) = foreign(&text.to_cow()?)
        {
            return Ok(PyDevice { device: Device::Cpu, index, foreign: Some(kind) });
        }
        let device = parse_device(r#type)?;
        let named = r#type.cast::<PyString>().is_ok_and(|t| t.to_string().contains(':'));
        let parsed = PyDevice::new(device);
        Ok(PyDevice { index: parsed.index.or(named.then_some(0)), ..parsed })
    }

    #[getter]
    fn r#type(&self) -> &'static str {
        self.kind()
    }

    #[getter]
    fn index(&self) -> Option<u16> {
        self.index
    }

    fn __repr__(&self) -> String {
        match self.index {
            None => format!("device(type='{}')", self.kind()),
            Some(i) => format!("device(type='{}', index={i})", self.kind()),
        }
    }

    fn __str__(&self) -> String {
        match self.index {
            None => self.kind().into(),
            Some(i) => format!("{}:{i}", self.kind()),
        }
    }

    fn __hash__(&self) -> isize {
        self.kind().len() as isize * 1009 + self.index.map_or(-2, |i| i as isize)
    }

    fn __eq__(&self, other: &Bound<PyAny>) -> bool {
        other
            .cast::<PyDevice>()
            .is_ok_and(|o| o.get().device == self.device && o.get().index == self.index && o.get().foreign == self.foreign)
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyType>, Bound<'py, PyTuple>)> {
        let py = slf.py();
        let this = slf.get();
        let args = match this.index {
            None => PyTuple::new(py, [this.kind()])?,
            Some(i) => PyTuple::new(py, [this.kind().into_pyobject(py)?.into_any(), i.into_pyobject(py)?.into_any()])?,
        };
        Ok((slf.get_type(), args))
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        let before = rustnn_ops::set_default_device(parse_device(slf)?);
        DEVICE_STACK.with(|s| s.borrow_mut().push(before));
        Ok(slf.clone())
    }

    #[pyo3(signature = (*_args))]
    fn __exit__(&self, _args: &Bound<PyTuple>) {
        if let Some(before) = DEVICE_STACK.with(|s| s.borrow_mut().pop()) {
            rustnn_ops::set_default_device(before);
        }
    }
}

/// The device of new tensors, in this thread.
#[pyfunction]
fn _default_device() -> PyDevice {
    PyDevice::new(rustnn_ops::default_device())
}

#[pyfunction]
fn _set_default_device(device: &Bound<PyAny>) -> PyResult<()> {
    rustnn_ops::set_default_device(parse_device(device)?);
    Ok(())
}

thread_local! {
    static DEVICE_STACK: std::cell::RefCell<Vec<Device>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// An enumeration of named singletons that ops accept and mostly ignore.
macro_rules! named {
    ($type:ident, $python:literal, $doc:literal) => {
        #[doc = $doc]
        #[pyclass(name = $python, module = "rustnn", frozen)]
        pub struct $type(pub &'static str);

        #[pymethods]
        impl $type {
            fn __repr__(&self) -> String {
                format!("torch.{}", self.0)
            }
            fn __reduce__(&self) -> &'static str {
                self.0
            }
        }
    };
}
named!(PyLayout, "layout", "How a tensor is stored; always strided.");
named!(PyMemoryFormat, "memory_format", "An order of dimensions in memory.");

/// A source of random numbers with a seed and a position.
#[pyclass(name = "Generator", module = "rustnn", frozen, weakref)]
pub struct PyGenerator(pub Generator);

#[pymethods]
impl PyGenerator {
    #[new]
    #[pyo3(signature = (device=None))]
    fn new(device: Option<&Bound<PyAny>>) -> PyResult<PyGenerator> {
        if let Some(device) = device {
            parse_device(device)?;
        }
        Ok(PyGenerator(Generator::new(67_280_421_310_721)))
    }

    /// Starts the stream of a seed.
    fn manual_seed<'py>(slf: &Bound<'py, Self>, seed: i128) -> PyResult<Bound<'py, Self>> {
        slf.get().0.set_seed(seed_of(seed)?);
        Ok(slf.clone())
    }

    fn initial_seed(&self) -> u64 {
        self.0.seed()
    }

    /// A seed from the system, which is set and returned.
    fn seed(&self) -> u64 {
        let seed = fresh_seed();
        self.0.set_seed(seed);
        seed
    }

    #[getter]
    fn device(&self) -> PyDevice {
        PyDevice::new(Device::Cpu)
    }

    /// Seed and position.
    fn _state(&self) -> (u64, u64) {
        self.0.state()
    }

    fn _set_state(&self, seed: u64, position: u64) {
        self.0.set_state(seed, position);
    }

    fn clone_state(&self) -> PyGenerator {
        let (seed, position) = self.0.state();
        let out = Generator::new(seed);
        out.set_state(seed, position);
        PyGenerator(out)
    }

    fn __repr__(slf: &Bound<Self>) -> String {
        format!("<torch._C.Generator object at {:#x}>", slf.as_ptr() as usize)
    }
}

/// PyTorch's range of seeds: 64 bits, negative ones wrapped.
pub fn seed_of(seed: i128) -> PyResult<u64> {
    if seed > u64::MAX as i128 || seed < i64::MIN as i128 {
        return Err(pyo3::exceptions::PyValueError::new_err("Overflow when unpacking long long"));
    }
    Ok(seed as u64)
}

/// Unpredictable enough for a seed: the addresses and hasher keys of this process.
pub fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

static GLOBAL_GENERATOR: PyOnceLock<Py<PyGenerator>> = PyOnceLock::new();

pub fn global_generator(py: Python<'_>) -> PyResult<Bound<'_, PyGenerator>> {
    let made = GLOBAL_GENERATOR.get_or_try_init(py, || Py::new(py, PyGenerator(Generator::global().clone())))?;
    Ok(made.bind(py).clone())
}

pub fn add_to(module: &Bound<PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(_default_device, module)?)?;
    module.add_function(wrap_pyfunction!(_set_default_device, module)?)?;
    let py = module.py();
    module.add_class::<PyDType>()?;
    module.add_class::<PyDevice>()?;
    module.add_class::<PyLayout>()?;
    module.add_class::<PyMemoryFormat>()?;
    module.add_class::<PyGenerator>()?;
    for d in DType::ALL {
        module.add(d.name(), dtype(py, d)?)?;
    }
    for (alias, d) in [
        ("float", DType::F32),
        ("double", DType::F64),
        ("half", DType::F16),
        ("short", DType::I16),
        ("int", DType::I32),
        ("long", DType::I64),
        ("chalf", DType::C32),
        ("cfloat", DType::C64),
        ("cdouble", DType::C128),
    ] {
        module.add(alias, dtype(py, d)?)?;
    }
    module.add("strided", Py::new(py, PyLayout("strided"))?)?;
    module.add("sparse_coo", Py::new(py, PyLayout("sparse_coo"))?)?;
    for name in ["contiguous_format", "preserve_format", "channels_last", "channels_last_3d"] {
        module.add(name, Py::new(py, PyMemoryFormat(name))?)?;
    }
    module.add("default_generator", global_generator(py)?)
}
