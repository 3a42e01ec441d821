//! Tensors with gradients, and every op: one row of [`rows`] or one file each. The only room where arrays, kernels and
//! gradients meet.

pub mod activation;
pub mod alias;
pub mod arithmetic;
pub mod arrange;
pub mod complex;
pub mod conv;
pub mod copy;
pub mod create;
pub mod device;
pub mod embedding;
pub mod extremes;
mod formula;
#[cfg(feature = "complex")]
pub mod fourier;
pub mod index;
pub mod join;
pub mod loss;
pub mod matmul;
pub mod mode;
pub mod moments;
pub mod names;
pub mod norm;
pub mod optimizer;
pub mod pool;
pub mod random;
pub mod read;
pub mod reduce;
pub mod registry;
pub mod row;
pub mod rows;
pub mod saved;
pub mod schema;
pub mod softmax;
pub mod sort;
pub mod tape;
pub mod tensor;
mod unsigned;
pub mod views;
pub mod warning;

pub use copy::{clone, contiguous, to_device, to_dtype};
pub use row::{Operand, Scalar};
pub use tape::{backward, run_backward};
pub use tensor::Tensor;
pub use views::{permute, reshape, transpose, unsqueeze};

use rustnn_tensor::{Device, Result};
use std::cell::Cell;

thread_local! {
    static DEFAULT_DEVICE: Cell<Device> = const { Cell::new(Device::Cpu) };
}

/// Where new tensors lie if no device is named.
pub fn default_device() -> Device {
    DEFAULT_DEVICE.with(Cell::get)
}

/// Returns the former one.
pub fn set_default_device(device: Device) -> Device {
    device::register();
    DEFAULT_DEVICE.with(|d| d.replace(device))
}

type OpFile = &'static [(&'static str, registry::Place, &'static str, fn(&registry::Args) -> Result<registry::Output>)];

/// The ops of each file; a new file of ops adds its line here.
pub(crate) static OP_FILES: &[OpFile] = &[
    moments::OPS,
    complex::OPS,
    #[cfg(feature = "complex")]
    fourier::OPS,
    conv::OPS,
    join::OPS,
    loss::OPS,
    matmul::OPS,
    norm::OPS,
    pool::OPS,
    random::OPS,
    softmax::OPS,
    activation::OPS,
    arithmetic::OPS,
    arrange::OPS,
    copy::OPS,
    create::OPS,
    embedding::OPS,
    extremes::OPS,
    sort::OPS,
    index::OPS,
    reduce::OPS,
    views::OPS,
];

/// Other names of ops, in PyTorch too; in-place forms follow.
pub(crate) static ALIASES: &[(&str, &str)] = &[
    ("absolute", "abs"),
    ("arccos", "acos"),
    ("arccosh", "acosh"),
    ("arcsin", "asin"),
    ("arcsinh", "asinh"),
    ("arctan", "atan"),
    ("arctan2", "atan2"),
    ("arctanh", "atanh"),
    ("clip", "clamp"),
    ("concat", "cat"),
    ("concatenate", "cat"),
    ("ger", "outer"),
    ("divide", "div"),
    ("fix", "trunc"),
    ("greater", "gt"),
    ("greater_equal", "ge"),
    ("less", "lt"),
    ("less_equal", "le"),
    ("moveaxis", "movedim"),
    ("multiply", "mul"),
    ("negative", "neg"),
    ("not_equal", "ne"),
    ("subtract", "sub"),
    ("swapaxes", "transpose"),
    ("swapdims", "transpose"),
    ("true_divide", "div"),
];

pub fn add(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    row::call(&rows::ADD, &[a.into(), b.into()], &[Scalar::Int(1)])
}

pub fn mul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    row::call(&rows::MUL, &[a.into(), b.into()], &[])
}

pub fn mul_scalar(a: &Tensor, b: f64) -> Result<Tensor> {
    row::call(&rows::MUL, &[a.into(), b.into()], &[])
}
