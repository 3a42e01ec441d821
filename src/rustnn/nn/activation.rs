//! Activations as layers.

use super::{Forward, Module, Parameter, init};
use crate::{Result, Tensor};
use rustnn_ops::row::{Row, call};
use rustnn_ops::{Scalar, activation, rows};

fn map(row: &'static Row, x: &Tensor, scalars: &[Scalar]) -> Result<Tensor> {
    Ok(call(row, &[x.as_op().into()], scalars)?.into())
}

macro_rules! activations {
    ($($(#[$doc:meta])* $name:ident => $row:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, Module)]
            pub struct $name;

            impl Forward for $name {
                fn forward(&self, x: &Tensor) -> Result<Tensor> {
                    map(&rows::$row, x, &[])
                }
            }
        )*
    };
}
activations! {
    /// `max(x, 0)`.
    ReLU => RELU;
    /// `min(max(x, 0), 6)`.
    ReLU6 => RELU6;
    /// `1 / (1 + exp(-x))`.
    Sigmoid => SIGMOID;
    /// The hyperbolic tangent.
    Tanh => TANH;
    /// `x sigmoid(x)`.
    SiLU => SILU;
    /// `x tanh(softplus(x))`.
    Mish => MISH;
    /// `x hardsigmoid(x)`.
    Hardswish => HARDSWISH;
    /// `x / (1 + |x|)`.
    Softsign => SOFTSIGN;
}

/// The Gaussian error linear unit, `x Φ(x)`. Hendrycks and Gimpel 2016, arXiv:1606.08415.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct GELU {
    /// By tanh instead of the error function.
    pub is_approximate: bool,
}

impl Forward for GELU {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(activation::gelu(x.as_op(), if self.is_approximate { "tanh" } else { "none" })?.into())
    }
}

/// `x` above 0, `negative_slope x` below.
#[derive(Clone, Copy, Debug, Module)]
pub struct LeakyReLU {
    /// The slope below 0.
    pub negative_slope: f64,
}

impl Default for LeakyReLU {
    fn default() -> LeakyReLU {
        LeakyReLU { negative_slope: 0.01 }
    }
}

impl Forward for LeakyReLU {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        map(&rows::LEAKY_RELU, x, &[Scalar::Float(self.negative_slope)])
    }
}

/// `x` above 0, `α (exp(x) - 1)` below. Clevert et al. 2016, arXiv:1511.07289.
#[derive(Clone, Copy, Debug, Module)]
pub struct ELU {
    /// What it tends to, negated, far below 0.
    pub alpha: f64,
}

impl Default for ELU {
    fn default() -> ELU {
        ELU { alpha: 1.0 }
    }
}

impl Forward for ELU {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        map(&rows::ELU, x, &[Scalar::Float(self.alpha), Scalar::Float(1.0), Scalar::Float(1.0)])
    }
}

/// `e^x` over its sum along a dimension.
#[derive(Clone, Copy, Debug, Module)]
pub struct Softmax {
    /// The dimension.
    pub dim: i64,
}

impl Forward for Softmax {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.softmax(self.dim)
    }
}

/// The first half of a dimension times the sigmoid of the second. Dauphin et al. 2016, arXiv:1612.08083.
#[derive(Clone, Copy, Debug, Module)]
pub struct GLU {
    /// The dimension, of even size.
    pub dim: i64,
}

impl Default for GLU {
    fn default() -> GLU {
        GLU { dim: -1 }
    }
}

impl Forward for GLU {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(activation::glu(x.as_op(), self.dim)?.into())
    }
}

/// `x` above 0, a learned slope times `x` below. He et al. 2015, arXiv:1502.01852.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Forward, PReLU}};
/// let y = PReLU::new(1, 0.25)?.forward(&Tensor::new(&[-4.0f32, 4.0], [2])?)?;
/// assert_eq!(y.to_vec::<f32>()?, [-1.0, 4.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct PReLU {
    /// (1), or one slope for each channel (dimension 1).
    pub weight: Parameter,
}

impl PReLU {
    /// `slopes` is 1 or the number of channels; all start at `slope`.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(slopes: usize, slope: f64) -> Result<PReLU> {
        Ok(PReLU { weight: init::constant(&[slopes], slope)? })
    }
}

impl Forward for PReLU {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(activation::prelu(x.as_op(), self.weight.as_op())?.into())
    }
}
