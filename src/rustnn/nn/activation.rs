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
    /// `ln(1 / (1 + exp(-x)))`.
    LogSigmoid => LOGSIGMOID;
    /// `x - tanh(x)`.
    Tanhshrink => TANHSHRINK;
    /// `x / 6 + 1 / 2`, held between 0 and 1.
    Hardsigmoid => HARDSIGMOID;
}

macro_rules! with_numbers {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $default:expr),* } => $row:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Module)]
            pub struct $name {
                $($(#[$field_doc])* pub $field: f64,)*
            }

            impl Default for $name {
                fn default() -> $name {
                    $name { $($field: $default),* }
                }
            }

            impl Forward for $name {
                fn forward(&self, x: &Tensor) -> Result<Tensor> {
                    map(&rows::$row, x, &[$(Scalar::Float(self.$field)),*])
                }
            }
        )*
    };
}
with_numbers! {
    /// `x` above 0, `negative_slope x` below.
    LeakyReLU {
        /// The slope below 0.
        negative_slope: 0.01
    } => LEAKY_RELU;
    /// `x` above 0, `α (exp(x / α) - 1)` below. Barron 2017, arXiv:1704.07483.
    CELU {
        /// What it tends to, negated, far below 0.
        alpha: 1.0
    } => CELU;
    /// `ln(1 + exp(β x)) / β`, and x itself above `threshold / β`.
    Softplus {
        /// How sharp the bend is.
        beta: 1.0,
        /// From where on it is x.
        threshold: 20.0
    } => SOFTPLUS;
    /// `x`, held between two numbers.
    Hardtanh {
        /// The lower one.
        min_val: -1.0,
        /// The upper one.
        max_val: 1.0
    } => HARDTANH;
    /// `x` outside of ±λ, 0 inside.
    Hardshrink {
        /// λ.
        lambd: 0.5
    } => HARDSHRINK;
    /// `x` moved towards 0 by λ, 0 within ±λ.
    Softshrink {
        /// λ.
        lambd: 0.5
    } => SOFTSHRINK;
}

/// `x` above a threshold, else a value.
#[derive(Clone, Copy, Debug, Module)]
pub struct Threshold {
    /// The threshold.
    pub threshold: f64,
    /// What stands in for what is not above it.
    pub value: f64,
}

impl Forward for Threshold {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        map(&rows::THRESHOLD, x, &[Scalar::Float(self.threshold), Scalar::Float(self.value)])
    }
}

/// `λ x` above 0, `λ α (exp(x) - 1)` below, with the constants that keep mean 0 and variance 1. Klambauer et al. 2017,
/// arXiv:1706.02515.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct SELU;

impl Forward for SELU {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        const ALPHA: f64 = 1.673_263_242_354_377_2;
        const SCALE: f64 = 1.050_700_987_355_480_5;
        map(&rows::ELU, x, &[Scalar::Float(ALPHA), Scalar::Float(SCALE), Scalar::Float(1.0)])
    }
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

macro_rules! along_a_dimension {
    ($($(#[$doc:meta])* $name:ident => |$x:ident, $dim:ident| $formula:expr;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Module)]
            pub struct $name {
                /// The dimension.
                pub dim: i64,
            }

            impl Forward for $name {
                fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                    let $dim = self.dim;
                    $formula
                }
            }
        )*
    };
}
along_a_dimension! {
    /// `e^x` over its sum along a dimension.
    Softmax => |x, dim| x.softmax(dim);
    /// The logarithm of [`Softmax`].
    LogSoftmax => |x, dim| x.log_softmax(dim);
    /// [`Softmax`] of `-x`.
    Softmin => |x, dim| x.neg()?.softmax(dim);
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
