//! The crate as a program uses it: layers against PyTorch's recorded numbers, training against the Python package's,
//! files, threads, and bad input.

mod bad_input;
mod digits;
mod files;
mod gpu;
mod layers;
mod modules;
mod optimizers;
mod threads;

use rustnn::io::{self, Value};
use rustnn::{Result, Tensor};
use std::path::{Path, PathBuf};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/rust").join(name)
}

fn load(name: &str) -> Value {
    io::load(golden(name)).unwrap()
}

fn tensor<'a>(value: &'a Value, key: &str) -> &'a Tensor {
    match value.get(key) {
        Some(Value::Tensor(tensor)) => tensor,
        other => panic!("{key}: {other:?}"),
    }
}

fn floats(value: &Tensor) -> Vec<f32> {
    value.detach().to_dtype(rustnn::DType::F32).unwrap().to_vec().unwrap()
}

#[track_caller]
fn assert_near(got: &Tensor, wanted: &Tensor, tolerance: f32, what: &str) {
    assert_eq!(got.shape(), wanted.shape(), "{what}");
    for (i, (a, b)) in floats(got).into_iter().zip(floats(wanted)).enumerate() {
        assert!((a - b).abs() <= tolerance * b.abs().max(1.0), "{what}: element {i} is {a}, not {b}");
    }
}

/// The text of the error that a call has to give.
#[track_caller]
fn refused<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    }
}
