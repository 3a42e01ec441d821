//! Weights made of other parameters: weight and spectral normalisation, as PyTorch's `nn.utils.parametrizations`.

use super::{Buffer, Forward, Module, Parameter, Part, PartMut, Training, init};
use crate::tensor::signed;
use crate::{Error, Result, Tensor, autograd};
use rustnn_ops::moments;

/// A layer with a weight that another can stand in for: [`Linear`](super::Linear), convolutions.
pub trait Weighted: Forward {
    /// Which dimension of the weight is the output's.
    const OUTPUT_DIM: usize = 0;

    /// The weight.
    fn weight(&self) -> &Parameter;

    /// The bias.
    fn bias(&self) -> Option<&Parameter>;

    /// The bias, to be changed.
    fn bias_mut(&mut self) -> Option<&mut Parameter>;

    /// The result for `x` with another weight.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit.
    fn forward_with(&self, weight: &Tensor, x: &Tensor) -> Result<Tensor>;
}

/// Of [`Weighted`] what layers with the fields `weight` and `bias` have in common.
macro_rules! weight_and_bias {
    () => {
        fn weight(&self) -> &Parameter {
            &self.weight
        }

        fn bias(&self) -> Option<&Parameter> {
            self.bias.as_ref()
        }

        fn bias_mut(&mut self) -> Option<&mut Parameter> {
            self.bias.as_mut()
        }
    };
}
pub(super) use weight_and_bias;

/// The 2-norm over all dimensions but one, which are kept with size 1.
fn norm_except(x: &Tensor, dim: usize) -> Result<Tensor> {
    let others: Vec<usize> = (0..x.rank()).filter(|&d| d != dim).collect();
    if others.is_empty() {
        return x.abs();
    }
    Ok(moments::vector_norm(x.as_op(), 2.0, Some(&signed(&others)), true, None)?.into())
}

#[derive(Module)]
struct LengthAndDirection {
    original0: Parameter,
    original1: Parameter,
}

/// A layer whose weight is a length for each output times a direction: `w = g v / ‖v‖`. Salimans and Kingma 2016,
/// arXiv:1602.07868. PyTorch's `parametrizations.weight_norm`, and so are the names in state dicts.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Forward, Linear, Module, WeightNorm}};
/// let layer = WeightNorm::new(Linear::new(20, 40)?)?;
/// let state = layer.state_dict()?;
/// assert_eq!(
///     state.names().collect::<Vec<_>>(),
///     ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]
/// );
/// assert_eq!(layer.forward(&Tensor::ones([3, 20])?)?.shape(), [3, 40]);
/// # Ok(())
/// # }
/// ```
pub struct WeightNorm<L> {
    layer: L,
    parts: LengthAndDirection,
}

impl<L: Weighted> WeightNorm<L> {
    /// The layer, which computes what it did.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(layer: L) -> Result<WeightNorm<L>> {
        let length = Parameter::new(norm_except(layer.weight(), 0)?)?;
        let direction = layer.weight().clone();
        Ok(WeightNorm { layer, parts: LengthAndDirection { original0: length, original1: direction } })
    }

    /// The weight that the layer computes with.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn weight(&self) -> Result<Tensor> {
        let LengthAndDirection { original0: length, original1: direction } = &self.parts;
        direction.mul(&length.div(&norm_except(direction, 0)?)?)
    }
}

#[derive(Module)]
struct Vectors {
    #[module(rename = "_u")]
    left: Buffer,
    #[module(rename = "_v")]
    right: Buffer,
}

#[derive(Module)]
struct Spectrum {
    original: Parameter,
    #[module(rename = "0")]
    vectors: Vectors,
}

/// A layer whose weight is divided by its largest singular value, which training estimates by power iteration, a step at each
/// call. Miyato et al. 2018, arXiv:1802.05957. PyTorch's `parametrizations.spectral_norm`, and so are the names in state dicts.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Conv2d, Forward, SpectralNorm}};
/// let layer = SpectralNorm::new(Conv2d::new(3, 8, 3)?)?;
/// assert_eq!(layer.forward(&Tensor::ones([1, 3, 5, 5])?)?.shape(), [1, 8, 3, 3]);
/// # Ok(())
/// # }
/// ```
pub struct SpectralNorm<L> {
    layer: L,
    parts: Spectrum,
    training: Training,
}

/// The least length that a vector is divided by.
const LEAST: f64 = 1e-12;

fn normalized(x: &Tensor) -> Result<Tensor> {
    let length = Tensor::from(moments::vector_norm(x.as_op(), 2.0, None, false, None)?);
    x.div(&length.clamp(LEAST, f64::INFINITY)?)
}

impl<L: Weighted> SpectralNorm<L> {
    /// The layer; a first estimate is made at once.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(layer: L) -> Result<SpectralNorm<L>> {
        let original = layer.weight().clone();
        let matrix = as_matrix::<L>(&original)?;
        let drawn = |len: usize| {
            let values = Tensor::zeros([len])?;
            init::normal_(&values, 0.0, 1.0)?;
            Ok::<_, Error>(Buffer::new(normalized(&values)?))
        };
        let vectors = Vectors { left: drawn(matrix.size(0)?)?, right: drawn(matrix.size(1)?)? };
        let parts = Spectrum { original, vectors };
        // PyTorch's fifteen, and one as it looks whether the weight keeps its shape.
        parts.vectors.iterate(&matrix, 16)?;
        Ok(SpectralNorm { layer, parts, training: Training::default() })
    }

    fn weight(&self) -> Result<Tensor> {
        let Spectrum { original, vectors } = &self.parts;
        let matrix = as_matrix::<L>(original)?;
        if self.training.is_on() {
            vectors.iterate(&matrix, 1)?;
        }
        // Copies: the next call changes them in place, and backward needs these.
        let (left, right) = (vectors.left.copy()?, vectors.right.copy()?);
        original.div(&left.matmul(&matrix.matmul(&right)?)?)
    }
}

/// The weight with the output's dimension first and all others joined.
fn as_matrix<L: Weighted>(weight: &Tensor) -> Result<Tensor> {
    let weight = if L::OUTPUT_DIM == 0 { weight.clone() } else { weight.transpose(0, signed(&[L::OUTPUT_DIM])[0])? };
    weight.flatten(1, -1)
}

impl Vectors {
    /// Brings the vectors, in place, nearer to those of the largest singular value.
    fn iterate(&self, matrix: &Tensor, steps: usize) -> Result<()> {
        let _quiet = autograd::no_grad();
        for _ in 0..steps {
            self.left.copy_(&normalized(&matrix.matmul(&self.right)?)?)?;
            self.right.copy_(&normalized(&matrix.transpose(0, 1)?.matmul(&self.left)?)?)?;
        }
        Ok(())
    }
}

/// What Python calls the class of a layer with a parametrization.
fn parametrized_class(layer: &str) -> &'static str {
    match layer {
        "Linear" => "ParametrizedLinear",
        "Conv1d" => "ParametrizedConv1d",
        "Conv2d" => "ParametrizedConv2d",
        "Conv3d" => "ParametrizedConv3d",
        "ConvTranspose1d" => "ParametrizedConvTranspose1d",
        "ConvTranspose2d" => "ParametrizedConvTranspose2d",
        "ConvTranspose3d" => "ParametrizedConvTranspose3d",
        _ => "Parametrized",
    }
}

macro_rules! parametrized {
    ($name:ident $($training:ident)?) => {
        impl<L: Weighted> Module for $name<L> {
            fn class_name(&self) -> &str {
                parametrized_class(self.layer.class_name())
            }

            fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Part<'a>)) {
                if let Some(bias) = self.layer.bias() {
                    visit("bias", Part::Parameter(bias));
                }
                $(visit("training", Part::Training(self.$training));)?
                visit("parametrizations.weight", Part::Module(&self.parts));
            }

            fn members_mut(&mut self, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
                if let Some(bias) = self.layer.bias_mut() {
                    visit("bias", PartMut::Parameter(bias));
                }
                $(visit("training", PartMut::Training(&mut self.$training));)?
                visit("parametrizations.weight", PartMut::Module(&mut self.parts));
            }
        }

        impl<L: Weighted> Forward for $name<L> {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                self.layer.forward_with(&self.weight()?, x)
            }
        }
    };
}
parametrized!(WeightNorm);
parametrized!(SpectralNorm training);
