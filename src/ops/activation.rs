//! Activations in `torch.nn.functional`'s signatures.

use crate::registry::{Args, Output};
use crate::row::{Row, Scalar, call, call_inplace};
use crate::rows;
use crate::tensor::Tensor;
use rustnn_tensor::{Result, bail, ensure};

fn either(row: &'static Row, x: &Tensor, scalars: &[Scalar], in_place: bool) -> Result<Output> {
    if in_place {
        call_inplace(row, x, &[], scalars)?;
        return Ok(Output::Tensor(x.clone()));
    }
    call(row, &[x.into()], scalars).map(Output::Tensor)
}

/// Scale and slope of SELU: fixed points of mean 0 and variance 1. Klambauer et al. 2017, arXiv:1706.02515, equation 14.
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;

fn elu_scalars(a: &Args, at: usize) -> Result<[Scalar; 3]> {
    Ok([a.scalar(at)?, Scalar::Float(1.0), Scalar::Float(1.0)])
}

fn selu_scalars() -> [Scalar; 3] {
    [Scalar::Float(SELU_ALPHA), Scalar::Float(SELU_SCALE), Scalar::Float(1.0)]
}

pub fn gelu(x: &Tensor, approximate: &str) -> Result<Tensor> {
    match approximate {
        "none" => call(&rows::GELU, &[x.into()], &[]),
        "tanh" => call(&rows::GELU_TANH, &[x.into()], &[]),
        _ => bail!(Runtime, "approximate argument must be either none or tanh."),
    }
}

/// The weight has one number, or one for each channel (dimension 1).
pub fn prelu(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    ensure!(weight.rank() <= 1, Runtime, "prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {}", weight.rank());
    ensure!(
        x.dtype() == weight.dtype(),
        Runtime,
        "prelu: Type promoting not supported. Got {} and {}",
        x.dtype().scalar_name(),
        weight.dtype().scalar_name()
    );
    let weight = if weight.numel() != 1 {
        ensure!(x.rank() > 0, Runtime, "Not allow zero-dim input tensor.");
        let channels = if x.rank() > 1 { x.shape()[1] } else { 1 };
        ensure!(
            channels == weight.numel(),
            Runtime,
            "Mismatch of parameter numbers and input channel size. Found parameter numbers = {} and channel size = {channels}.",
            weight.numel()
        );
        let mut shape = vec![1usize; x.rank()];
        shape[1.min(x.rank() - 1)] = weight.numel();
        crate::views::reshape_to(weight, &shape)?
    } else {
        crate::views::reshape_to(weight, &[])?
    };
    call(&rows::PRELU, &[x.into(), (&weight).into()], &[])
}

/// The first half of a dimension times the sigmoid of the second. Dauphin et al. 2016, arXiv:1612.08083.
pub fn glu(x: &Tensor, dim: i64) -> Result<Tensor> {
    ensure!(x.rank() > 0, Runtime, "glu does not support 0-dimensional tensors");
    let d = rustnn_tensor::shape::wrap_dim(dim, x.rank())?;
    let n = x.shape()[d];
    ensure!(n % 2 == 0, Runtime, "Halving dimension must be even, but dimension {d} is size {n}");
    let half = |i: usize| crate::views::narrow(x, d as i64, (i * n / 2) as i64, (n / 2) as i64);
    let gate = call(&rows::SIGMOID, &[(&half(1)?).into()], &[])?;
    Ok(crate::tape::named(crate::mul(&half(0)?, &gate)?, "GluBackward0"))
}

fn gated(row: &'static Row, a: &Args) -> Result<Tensor> {
    match row.inputs.len() {
        2 => call(row, &[a.tensor(0)?.into(), a.tensor(1)?.into()], &[]),
        _ => call(row, &[a.tensor(0)?.into(), a.tensor(1)?.into(), a.tensor(2)?.into()], &[]),
    }
}

crate::ops! {
    "_gated_tanh(Tensor gate, Tensor input)" Function "What a gate lets through of a tanh." => |a| gated(&rows::GATED_TANH, a)?;
    "_gated_sum(Tensor gate, Tensor memory, Tensor new)" Function "What a gate keeps of a memory, beside what comes new to it." =>
        |a| gated(&rows::GATED_SUM, a)?;
    "_gated_candidate(Tensor input, Tensor gate, Tensor memory)" Function "The candidate of a GRU." => |a| gated(&rows::GATED_CANDIDATE, a)?;
    "_gated_mix(Tensor input, Tensor gate, Tensor memory)" Function "Between input and memory." => |a| gated(&rows::GATED_MIX, a)?;
    "relu(Tensor self, bool inplace=False)" Both "Rectified linear unit, `max(x, 0)`." => |a| either(&rows::RELU, a.tensor(0)?, &[], a.bool(1)?)?;
    "relu_(Tensor self)" Both "Rectified linear unit, in place." => |a| either(&rows::RELU, a.tensor(0)?, &[], true)?;
    "relu6(Tensor self, bool inplace=False)" Function "Rectified linear unit, cut off at 6." => |a| either(&rows::RELU6, a.tensor(0)?, &[], a.bool(1)?)?;
    "elu(Tensor self, Scalar alpha=1.0, bool inplace=False)" Function "Exponential linear unit." => |a| either(&rows::ELU, a.tensor(0)?, &elu_scalars(a, 1)?, a.bool(2)?)?;
    "elu_(Tensor self, Scalar alpha=1.0)" Function "Exponential linear unit, in place." => |a| either(&rows::ELU, a.tensor(0)?, &elu_scalars(a, 1)?, true)?;
    "selu(Tensor self, bool inplace=False)" Function "Scaled exponential linear unit." => |a| either(&rows::ELU, a.tensor(0)?, &selu_scalars(), a.bool(1)?)?;
    "selu_(Tensor self)" Function "Scaled exponential linear unit, in place." => |a| either(&rows::ELU, a.tensor(0)?, &selu_scalars(), true)?;
    "celu(Tensor self, Scalar alpha=1.0, bool inplace=False)" Function "Continuously differentiable ELU." => |a| either(&rows::CELU, a.tensor(0)?, &[a.scalar(1)?], a.bool(2)?)?;
    "celu_(Tensor self, Scalar alpha=1.0)" Function "Continuously differentiable ELU, in place." => |a| either(&rows::CELU, a.tensor(0)?, &[a.scalar(1)?], true)?;
    "leaky_relu(Tensor self, Scalar negative_slope=0.01, bool inplace=False)" Function "`x` above 0, a slope below." => |a| either(&rows::LEAKY_RELU, a.tensor(0)?, &[a.scalar(1)?], a.bool(2)?)?;
    "leaky_relu_(Tensor self, Scalar negative_slope=0.01)" Function "`x` above 0, a slope below, in place." => |a| either(&rows::LEAKY_RELU, a.tensor(0)?, &[a.scalar(1)?], true)?;
    "prelu(Tensor self, Tensor weight)" Both "`x` above 0, a learned slope below." => |a| prelu(a.tensor(0)?, a.tensor(1)?)?;
    "glu(Tensor self, int dim=-1)" Function "The first half times the sigmoid of the second. Dauphin et al. 2016, arXiv:1612.08083." => |a| glu(a.tensor(0)?, a.int(1)?)?;
    "gelu(Tensor self, *, str approximate='none')" Function "Gaussian error linear unit." => |a| gelu(a.tensor(0)?, a.str(1)?)?;
    "silu(Tensor self, bool inplace=False)" Function "`x * sigmoid(x)`." => |a| either(&rows::SILU, a.tensor(0)?, &[], a.bool(1)?)?;
    "mish(Tensor self, bool inplace=False)" Function "`x * tanh(softplus(x))`." => |a| either(&rows::MISH, a.tensor(0)?, &[], a.bool(1)?)?;
    "hardtanh(Tensor self, Scalar min_val=-1.0, Scalar max_val=1.0, bool inplace=False)" Function "Held between two numbers." => |a| hardtanh(a, 3)?;
    "hardtanh_(Tensor self, Scalar min_val=-1.0, Scalar max_val=1.0)" Function "Held between two numbers, in place." =>
        |a| either(&rows::HARDTANH, a.tensor(0)?, &[a.scalar(1)?, a.scalar(2)?], true)?;
    "hardsigmoid(Tensor self, bool inplace=False)" Function "`max(0, min(1, x / 6 + 1 / 2))`." => |a| either(&rows::HARDSIGMOID, a.tensor(0)?, &[], a.bool(1)?)?;
    "hardswish(Tensor self, bool inplace=False)" Function "`x * hardsigmoid(x)`." => |a| either(&rows::HARDSWISH, a.tensor(0)?, &[], a.bool(1)?)?;
    "threshold(Tensor self, Scalar threshold, Scalar value, bool inplace=False)" Function "`x` above a threshold, else a value." =>
        |a| either(&rows::THRESHOLD, a.tensor(0)?, &[a.scalar(1)?, a.scalar(2)?], a.bool(3)?)?;
    "threshold_(Tensor self, Scalar threshold, Scalar value)" Function "`x` above a threshold, else a value, in place." =>
        |a| either(&rows::THRESHOLD, a.tensor(0)?, &[a.scalar(1)?, a.scalar(2)?], true)?;
}

fn hardtanh(a: &Args, in_place: usize) -> Result<Output> {
    let (low, high) = (a.scalar(1)?, a.scalar(2)?);
    ensure!(low.to_f64() <= high.to_f64(), Value, "min_val cannot be greater than max_val");
    either(&rows::HARDTANH, a.tensor(0)?, &[low, high], a.bool(in_place)?)
}
