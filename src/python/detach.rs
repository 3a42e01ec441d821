//! Long work without the interpreter: other Python threads run meanwhile, and Ctrl-C ends it.

use crate::error::from_python;
use pyo3::prelude::*;
use rustnn_kernels::interrupt::{self, Interrupted};
use rustnn_tensor::{Error, Result};
use std::cell::Cell;

/// Runs `work` detached. If a signal's handler raises meanwhile, as Python's own for Ctrl-C does, `work` ends early and the
/// result is that exception; what `work` was writing in place may then be written in part.
pub fn detached<R: Send>(py: Python<'_>, work: impl FnOnce() -> Result<R> + Send) -> Result<R> {
    py.detach(|| match interrupt::guard(a_handler_raised, work) {
        Ok(result) => result,
        Err(Interrupted) => Err(RAISED.take().map_or(Error::Interrupted, from_python)),
    })
}

thread_local! {
    /// What a handler raised, on its way to the end of `detached`.
    static RAISED: Cell<Option<PyErr>> = const { Cell::new(None) };
    /// In which process this thread was asked, and whether it is the one that handles signals there.
    static HANDLES: Cell<Option<(u32, bool)>> = const { Cell::new(None) };
}

/// Runs the handlers of signals that have arrived. Python does so on its main thread only: others need not wait for the lock.
fn a_handler_raised() -> bool {
    let process = std::process::id();
    if HANDLES.get() == Some((process, false)) {
        return false;
    }
    let run_handlers = |py: Python<'_>| -> PyResult<()> {
        if HANDLES.get().is_none_or(|(known, _)| known != process) {
            // Asking runs Python code, and with it handlers already.
            HANDLES.set(Some((process, is_main_thread(py)?)));
        }
        py.check_signals()
    };
    match Python::try_attach(run_handlers) {
        Some(Err(error)) => {
            RAISED.set(Some(error));
            true
        }
        _ => false,
    }
}

fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    threading.call_method0("get_ident")?.eq(threading.call_method0("main_thread")?.getattr("ident")?)
}
