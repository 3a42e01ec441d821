//! Recorded programs as Python sees them; `rustnn.export` dresses them.

use crate::detach::detached;
use crate::error::{IntoPy, from_python};
use crate::record::Recording;
use crate::tensor::{PyTensor, wrap};
use crate::types::parse_device;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use rustnn::export::{self, Graph, Guard, Program, Read, Relation, Symbol, Term};
use rustnn::{Error, Tensor};
use std::path::PathBuf;
use std::sync::Mutex;

/// A program of the crate `rustnn`.
#[pyclass(name = "_Program", module = "rustnn._core", frozen)]
struct PyProgram(Mutex<Program>);

impl PyProgram {
    /// A clone shares weights and steps.
    fn get(&self) -> Program {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    fn run<'py>(&self, py: Python<'py>, weights: &[Tensor], inputs: Vec<Bound<'py, PyTensor>>) -> PyResult<Bound<'py, PyList>> {
        let (program, inputs) = (self.get(), tensors(&inputs));
        let outputs = run(py, || program.forward_with(weights, &inputs))?;
        PyList::new(py, outputs.into_iter().map(|t| wrap(py, t.as_op().clone())).collect::<PyResult<Vec<_>>>()?)
    }
}

fn tensors(list: &[Bound<PyTensor>]) -> Vec<Tensor> {
    list.iter().map(|t| t.get().get(t.py()).into()).collect()
}

fn to_python(error: Error) -> PyErr {
    match error {
        Error::Tensor(error) => crate::error::to_python(error),
        Error::File(error) => crate::files::to_python(error),
        other => PyValueError::new_err(other.to_string()),
    }
}

/// Runs `work` detached.
fn run<R: Send>(py: Python<'_>, work: impl FnOnce() -> rustnn::Result<R> + Send) -> PyResult<R> {
    detached(py, || work().map_err(|error| from_python(to_python(error)))).py()
}

/// A copy of a weight, so that training the module goes on without the program.
fn own(tensor: &Tensor) -> PyResult<Tensor> {
    tensor.detach().copy().and_then(|copy| copy.requires_grad_(tensor.requires_grad())).map_err(to_python)
}

/// A guard as Python has it: its terms, what is asked of their sum, and the number of which it has to be a multiple.
type GivenGuard = (Vec<(i64, Vec<usize>)>, String, i64);

/// One program of recordings at several sizes. `symbols` are (name, least, greatest), `points` their values in each recording.
/// `traced` is the recording that says which sizes Python read; `guards` are what it asked of them.
#[pyfunction]
fn _program(
    recordings: Vec<Bound<Recording>>,
    symbols: Vec<(String, i64, i64)>,
    points: Vec<Vec<i64>>,
    traced: Option<Bound<Recording>>,
    guards: Vec<GivenGuard>,
) -> PyResult<PyProgram> {
    let graphs: Vec<Graph> = recordings.iter().map(|r| r.get().graph.clone()).collect();
    let symbols = symbols.into_iter().map(|(name, min, max)| Symbol { name, min, max }).collect();
    let mut graph = export::merge(&graphs, symbols, &points).map_err(to_python)?;
    for (&(node, out, dim), size) in traced.iter().flat_map(|traced| &traced.get().reads) {
        if let Some(node) = graph.nodes.get_mut(node) {
            node.reads.push(Read { out, dim, size: size.clone() });
        }
    }
    graph.guards = guards.into_iter().map(guard).collect();
    graph.prune();
    for weight in &mut graph.weights {
        weight.tensor = own(&weight.tensor)?;
    }
    Ok(PyProgram(Mutex::new(Program::new(graph).map_err(to_python)?)))
}

fn guard((terms, is, of): GivenGuard) -> Guard {
    let terms = terms.into_iter().map(|(coefficient, symbols)| Term { coefficient, symbols }).collect();
    let is = match is.as_str() {
        ">= 0" => Relation::AtLeastZero,
        "!= 0" => Relation::NotZero,
        _ => Relation::Multiple(of),
    };
    Guard { terms, is }
}

/// Reads a program of a path.
#[pyfunction]
fn _load_program(py: Python<'_>, path: PathBuf) -> PyResult<PyProgram> {
    run(py, || Program::load(path)).map(|program| PyProgram(Mutex::new(program)))
}

/// Reads a program of the bytes of its file.
#[pyfunction]
fn _read_program(bytes: &[u8]) -> PyResult<PyProgram> {
    Program::from_bytes(bytes.to_vec()).map_err(to_python).map(|program| PyProgram(Mutex::new(program)))
}

#[pymethods]
impl PyProgram {
    fn forward<'py>(&self, py: Python<'py>, inputs: Vec<Bound<'py, PyTensor>>) -> PyResult<Bound<'py, PyList>> {
        let weights: Vec<Tensor> = self.get().weights().map(|(_, tensor)| tensor.clone()).collect();
        self.run(py, &weights, inputs)
    }

    /// `forward` with other weights, in the order of `weights()`.
    fn forward_with<'py>(
        &self,
        py: Python<'py>,
        weights: Vec<Bound<'py, PyTensor>>,
        inputs: Vec<Bound<'py, PyTensor>>,
    ) -> PyResult<Bound<'py, PyList>> {
        self.run(py, &tensors(&weights), inputs)
    }

    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        let program = self.get();
        run(py, || program.save(path))
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.get().to_bytes().map_err(to_python)?))
    }

    /// (name, further names, role, tensor) of each weight.
    fn weights<'py>(&self, py: Python<'py>) -> PyResult<Vec<(String, Vec<String>, &'static str, Bound<'py, PyAny>)>> {
        let program = self.get();
        let each = program.weights().map(|(weight, tensor)| {
            Ok((weight.name.clone(), weight.aliases.clone(), weight.role.name(), wrap(py, tensor.as_op().clone())?))
        });
        each.collect()
    }

    fn set_weight(&self, py: Python<'_>, name: &str, tensor: &Bound<PyTensor>) -> PyResult<()> {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).set_weight(name, tensor.get().get(py).into()).map_err(to_python)
    }

    fn to(&self, device: &Bound<PyAny>) -> PyResult<PyProgram> {
        Ok(PyProgram(Mutex::new(self.get().to_device(parse_device(device)?).map_err(to_python)?)))
    }

    #[getter]
    fn trees(&self) -> String {
        self.get().graph().trees.clone()
    }

    /// (name, dtype, shape) of each input; sizes that vary are text.
    #[getter]
    fn inputs(&self) -> Vec<(String, &'static str, Vec<String>)> {
        let program = self.get();
        let text = |input: &export::Input| input.shape.iter().map(|s| s.text(program.symbols())).collect();
        program.inputs().iter().map(|input| (input.name.clone(), input.dtype.name(), text(input))).collect()
    }

    /// How many tensors a call gives.
    #[getter]
    fn outputs(&self) -> usize {
        self.get().graph().outputs.len()
    }

    /// (name, least, greatest) of each size that varies.
    #[getter]
    fn symbols(&self) -> Vec<(String, i64, i64)> {
        self.get().symbols().iter().map(|s| (s.name.clone(), s.min, s.max)).collect()
    }

    /// What has to hold of them, as text.
    #[getter]
    fn guards(&self) -> Vec<String> {
        let program = self.get();
        program.guards().iter().map(|guard| guard.text(program.symbols())).collect()
    }

    /// (op, number of results) of each call.
    #[getter]
    fn nodes(&self) -> Vec<(String, usize)> {
        self.get().graph().nodes.iter().map(|n| (n.op.clone(), n.outs.len())).collect()
    }

    fn __repr__(&self) -> String {
        self.get().graph().to_string()
    }

    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let read = py.import("rustnn._core")?.getattr("_read_program")?;
        Ok((read, (self.to_bytes(py)?,)))
    }
}

pub fn add_to(module: &Bound<PyModule>) -> PyResult<()> {
    module.add_class::<PyProgram>()?;
    module.add_function(wrap_pyfunction!(_program, module)?)?;
    module.add_function(wrap_pyfunction!(_load_program, module)?)?;
    module.add_function(wrap_pyfunction!(_read_program, module)?)
}
