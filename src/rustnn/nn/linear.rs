//! Linear layers.

use super::parametrize::weight_and_bias;
use super::{Forward, Module, Parameter, Weighted, init};
use crate::tensor::signed;
use crate::{Error, Result, Tensor};
use rustnn_ops as ops;

/// `y = x Wᵀ + b`: (*, in_features) -> (*, out_features).
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Forward, Linear}};
/// assert_eq!(Linear::new(20, 30)?.forward(&Tensor::ones([128, 20])?)?.shape(), [128, 30]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct Linear {
    /// (out_features, in_features).
    pub weight: Parameter,
    /// (out_features).
    pub bias: Option<Parameter>,
}

impl Linear {
    /// Weight and bias uniform in ±1/√in_features.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(in_features: usize, out_features: usize) -> Result<Linear> {
        Linear::with(in_features, out_features, true)
    }

    /// [`new`](Linear::new), with or without a bias.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn with(in_features: usize, out_features: usize, bias: bool) -> Result<Linear> {
        let bound = if in_features > 0 { 1.0 / (in_features as f64).sqrt() } else { 0.0 };
        let weight = init::uniform(&[out_features, in_features], bound)?;
        let bias = if bias { Some(init::uniform(&[out_features], bound)?) } else { None };
        Ok(Linear { weight, bias })
    }
}

impl Weighted for Linear {
    weight_and_bias!();

    fn forward_with(&self, weight: &Tensor, x: &Tensor) -> Result<Tensor> {
        Ok(ops::matmul::linear(x.as_op(), weight.as_op(), self.bias.as_ref().map(|b| b.as_op()))?.into())
    }
}

impl Forward for Linear {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_with(&self.weight, x)
    }
}

/// `y_k = x₁ᵀ W_k x₂ + b_k`: (*, in1_features) and (*, in2_features) -> (*, out_features).
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::Bilinear};
/// let y = Bilinear::new(2, 3, 4)?.forward(&Tensor::ones([5, 2])?, &Tensor::ones([5, 3])?)?;
/// assert_eq!(y.shape(), [5, 4]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct Bilinear {
    /// (out_features, in1_features, in2_features).
    pub weight: Parameter,
    /// (out_features).
    pub bias: Option<Parameter>,
}

impl Bilinear {
    /// Weight and bias uniform in ±1/√in1_features.
    ///
    /// # Errors
    /// If `in1_features` is 0.
    pub fn new(in1_features: usize, in2_features: usize, out_features: usize) -> Result<Bilinear> {
        Bilinear::with(in1_features, in2_features, out_features, true)
    }

    /// [`new`](Bilinear::new), with or without a bias.
    ///
    /// # Errors
    /// If `in1_features` is 0.
    pub fn with(in1_features: usize, in2_features: usize, out_features: usize, bias: bool) -> Result<Bilinear> {
        if in1_features == 0 {
            return Err(Error::value("in1_features must be > 0, but got 0"));
        }
        let bound = 1.0 / (in1_features as f64).sqrt();
        let weight = init::uniform(&[out_features, in1_features, in2_features], bound)?;
        let bias = if bias { Some(init::uniform(&[out_features], bound)?) } else { None };
        Ok(Bilinear { weight, bias })
    }

    /// The result for two inputs whose leading sizes are the same.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x1: &Tensor, x2: &Tensor) -> Result<Tensor> {
        let ([lead @ .., left], [other @ .., right]) = (x1.shape(), x2.shape()) else {
            return Err(Error::value("bilinear(): inputs have at least one dimension"));
        };
        let [outputs, rows, columns] = *self.weight.shape() else { return Err(Error::value("bilinear(): the weight has 3 dimensions")) };
        if lead != other {
            return Err(Error::value(format!("bilinear(): input batch dimensions do not match: got {lead:?} and {other:?}")));
        }
        if (*left, *right) != (rows, columns) {
            return Err(Error::value(format!(
                "bilinear(): input sizes do not match the weight: got {left} and {right} but expected {rows} and {columns}"
            )));
        }
        let [k, i, j] = signed(&[outputs, rows, columns])[..] else { return Err(Error::value("bilinear(): the weight has 3 dimensions")) };
        // x₁ times all W_k at once, then the products with x₂: as the Python package composes it.
        let all = self.weight.permute([1, 0, 2])?.reshape([i, k * j])?;
        let halves = x1.reshape([-1, i])?.matmul(&all)?.reshape([-1, k, j])?;
        let mut y = halves.mul(&x2.reshape([-1, 1, j])?)?.sum_dim(&[-1], false)?;
        if let Some(bias) = &self.bias {
            y = y.add(bias)?;
        }
        y.reshape([&signed(lead)[..], &[k]].concat())
    }
}

/// What goes in comes out.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct Identity;

impl Forward for Identity {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(x.clone())
    }
}
