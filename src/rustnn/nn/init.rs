//! Starting values, drawn as the Python package draws them: the same seed gives the same values.

use super::Parameter;
use crate::{DType, Result, Tensor, autograd};
use rustnn_ops::random;

fn empty(shape: &[usize]) -> Result<Tensor> {
    let array = rustnn_tensor::Array::empty(shape, DType::F32, rustnn_ops::default_device())?;
    Ok(rustnn_ops::Tensor::from_array(array).into())
}

/// The sizes that count for the variance of a weight: inputs and outputs of one element.
///
/// # Errors
/// For fewer than 2 dimensions.
pub fn fans(shape: &[usize]) -> Result<(usize, usize)> {
    match shape {
        [outputs, inputs, field @ ..] => {
            // A tensor without elements may have sizes whose product is out of range.
            let field = field.iter().fold(1usize, |all, &n| all.saturating_mul(n));
            Ok((inputs.saturating_mul(field), outputs.saturating_mul(field)))
        }
        _ => Err(crate::Error::value("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")),
    }
}

/// Overwrites with values uniform in [low, high).
pub fn uniform_(tensor: &Tensor, low: f64, high: f64) -> Result<()> {
    let _quiet = autograd::no_grad();
    Ok(random::uniform_(tensor.as_op(), low, high, None)?)
}

/// Overwrites with normal values.
pub fn normal_(tensor: &Tensor, mean: f64, std: f64) -> Result<()> {
    let _quiet = autograd::no_grad();
    Ok(random::normal_(tensor.as_op(), mean, std, None)?)
}

/// Overwrites with one value.
pub fn constant_(tensor: &Tensor, value: f64) -> Result<()> {
    let _quiet = autograd::no_grad();
    tensor.fill_(value)
}

/// Overwrites uniformly in ±gain √(6 / (fan_in + fan_out)). Glorot and Bengio 2010, section 4.2.1.
pub fn xavier_uniform_(tensor: &Tensor, gain: f64) -> Result<()> {
    let (inputs, outputs) = fans(tensor.shape())?;
    let bound = gain * (6.0 / (inputs as f64 + outputs as f64)).sqrt();
    uniform_(tensor, -bound, bound)
}

/// Overwrites with normal values of standard deviation gain √(2 / (fan_in + fan_out)). Glorot and Bengio 2010.
///
/// # Errors
/// For fewer than 2 dimensions.
pub fn xavier_normal_(tensor: &Tensor, gain: f64) -> Result<()> {
    let (inputs, outputs) = fans(tensor.shape())?;
    normal_(tensor, 0.0, gain * (2.0 / (inputs as f64 + outputs as f64)).sqrt())
}

/// Overwrites uniformly in ±√(6 / ((1 + slope²) fan_in)), for a leaky ReLU of that slope. He et al. 2015, section 2.2.
pub fn kaiming_uniform_(tensor: &Tensor, slope: f64) -> Result<()> {
    if tensor.numel() == 0 {
        return Ok(());
    }
    let (inputs, _) = fans(tensor.shape())?;
    // In the order of PyTorch's formula, so that the bound has the same bits.
    let gain = (2.0 / (1.0 + slope * slope)).sqrt();
    let bound = 3.0f64.sqrt() * (gain / (inputs as f64).sqrt());
    uniform_(tensor, -bound, bound)
}

/// A weight uniform in ±bound.
pub(super) fn uniform(shape: &[usize], bound: f64) -> Result<Parameter> {
    let tensor = empty(shape)?;
    uniform_(&tensor, -bound, bound)?;
    Parameter::new(tensor)
}

/// A convolution's weight as PyTorch starts it, [`kaiming_uniform_`] with slope √5, and a bias of that length uniform in
/// ±1/√fan_in.
pub(super) fn weight_and_bias(shape: &[usize], bias: Option<usize>) -> Result<(Parameter, Option<Parameter>)> {
    let weight = empty(shape)?;
    kaiming_uniform_(&weight, 5.0f64.sqrt())?;
    let (inputs, _) = fans(shape)?;
    let bound = if inputs > 0 { 1.0 / (inputs as f64).sqrt() } else { 0.0 };
    let bias = bias.map(|len| uniform(&[len], bound)).transpose()?;
    Ok((Parameter::new(weight)?, bias))
}

pub(super) fn normal(shape: &[usize]) -> Result<Parameter> {
    let tensor = empty(shape)?;
    normal_(&tensor, 0.0, 1.0)?;
    Parameter::new(tensor)
}

pub(super) fn constant(shape: &[usize], value: f64) -> Result<Parameter> {
    Parameter::new(Tensor::full(shape, value, DType::F32)?)
}
