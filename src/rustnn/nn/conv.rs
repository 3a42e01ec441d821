//! Convolutions.

use super::module::class_over;
use super::parametrize::weight_and_bias;
use super::{Forward, Member, Module, PaddingMode, Parameter, Part, PartMut, Weighted, init, pad};
use crate::tensor::signed;
use crate::{Error, Result, Tensor};
use rustnn_ops::conv;

/// One number for each of `N` dimensions, or one for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes<const N: usize>(pub [usize; N]);

impl<const N: usize> From<usize> for Sizes<N> {
    fn from(all: usize) -> Sizes<N> {
        Sizes([all; N])
    }
}

impl<const N: usize> From<[usize; N]> for Sizes<N> {
    fn from(each: [usize; N]) -> Sizes<N> {
        Sizes(each)
    }
}

impl<const N: usize> Sizes<N> {
    pub(super) fn signed(&self) -> Vec<i64> {
        signed(&self.0)
    }
}

impl<const N: usize> Member for Sizes<N> {
    fn visit<'a>(&'a self, _: &str, _: &mut dyn FnMut(&str, Part<'a>)) {}
    fn visit_mut(&mut self, _: &str, _: &mut dyn FnMut(&str, PartMut<'_>)) {}
}

/// Positions around the input of a convolution: zeros, where no other mode is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding<const N: usize> {
    /// As many on both sides of each dimension.
    Zeros(Sizes<N>),
    /// As many as keep the sizes, for stride 1.
    Same,
}

impl<const N: usize> From<usize> for Padding<N> {
    fn from(all: usize) -> Padding<N> {
        Padding::Zeros(all.into())
    }
}

impl<const N: usize> From<[usize; N]> for Padding<N> {
    fn from(each: [usize; N]) -> Padding<N> {
        Padding::Zeros(each.into())
    }
}

/// The settings of a convolution beside channels and kernel.
#[derive(Clone, Copy, Debug)]
pub struct ConvOptions<const N: usize> {
    /// Steps of the kernel.
    pub stride: Sizes<N>,
    /// Positions around the input.
    pub padding: Padding<N>,
    /// What they hold.
    pub padding_mode: PaddingMode,
    /// Steps between the kernel's elements.
    pub dilation: Sizes<N>,
    /// Groups of channels, each convolved by itself.
    pub groups: usize,
    /// Whether to add a bias.
    pub bias: bool,
}

impl<const N: usize> Default for ConvOptions<N> {
    fn default() -> Self {
        ConvOptions { stride: 1.into(), padding: 0.into(), padding_mode: PaddingMode::default(), dilation: 1.into(), groups: 1, bias: true }
    }
}

fn grouped(channels: usize, groups: usize, name: &str) -> Result<usize> {
    if groups == 0 {
        return Err(Error::value("groups must be a positive integer"));
    }
    if channels % groups != 0 {
        return Err(Error::value(format!("{name} must be divisible by groups")));
    }
    Ok(channels / groups)
}

/// A convolution over `N` dimensions: (N, in_channels, …) or (in_channels, …) -> (N, out_channels, …).
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Conv2d, ConvOptions, Forward}};
/// let layer = Conv2d::with(16, 33, 3, ConvOptions { stride: 2.into(), padding: [4, 2].into(), ..Default::default() })?;
/// assert_eq!(layer.forward(&Tensor::ones([1, 16, 50, 100])?)?.shape(), [1, 33, 28, 51]);
/// # Ok(())
/// # }
/// ```
pub struct Conv<const N: usize> {
    /// (out_channels, in_channels / groups, kernel …).
    pub weight: Parameter,
    /// (out_channels).
    pub bias: Option<Parameter>,
    options: ConvOptions<N>,
}

/// [`Conv`] over one dimension.
pub type Conv1d = Conv<1>;
/// [`Conv`] over two dimensions.
pub type Conv2d = Conv<2>;
/// [`Conv`] over three dimensions.
pub type Conv3d = Conv<3>;

impl<const N: usize> Conv<N> {
    /// Stride 1, no padding, with a bias; weights uniform in ±1/√fan_in.
    ///
    /// # Errors
    /// As [`with`](Conv::with).
    pub fn new(in_channels: usize, out_channels: usize, kernel: impl Into<Sizes<N>>) -> Result<Self> {
        Self::with(in_channels, out_channels, kernel, ConvOptions::default())
    }

    /// [`new`](Conv::new) with other settings.
    ///
    /// # Errors
    /// If the groups do not divide the channels.
    pub fn with(in_channels: usize, out_channels: usize, kernel: impl Into<Sizes<N>>, options: ConvOptions<N>) -> Result<Self> {
        grouped(out_channels, options.groups, "out_channels")?;
        let shape = [&[out_channels, grouped(in_channels, options.groups, "in_channels")?], &kernel.into().0[..]].concat();
        let (weight, bias) = init::weight_and_bias(&shape, options.bias.then_some(out_channels))?;
        Ok(Conv { weight, bias, options })
    }
}

/// [`Module`] and [`Forward`] for layers whose fields other than weight and bias are settings of one const parameter.
macro_rules! convolution {
    ($name:ident) => {
        impl<const N: usize> Module for $name<N> {
            fn class_name(&self) -> &str {
                let name = stringify!($name);
                class_over(N, [name, concat!(stringify!($name), "1d"), concat!(stringify!($name), "2d"), concat!(stringify!($name), "3d")])
            }

            fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Part<'a>)) {
                self.weight.visit("weight", visit);
                self.bias.visit("bias", visit);
            }

            fn members_mut(&mut self, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
                self.weight.visit_mut("weight", visit);
                self.bias.visit_mut("bias", visit);
            }
        }

        impl<const N: usize> Forward for $name<N> {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                self.forward_with(&self.weight, x)
            }
        }
    };
}
convolution!(Conv);
convolution!(ConvTranspose);

impl<const N: usize> Conv<N> {
    fn over(&self, x: &Tensor, weight: &Tensor, padding: conv::Padding) -> Result<Tensor> {
        let ConvOptions { stride, dilation, groups, .. } = &self.options;
        let bias = self.bias.as_ref().map(|b| b.as_op());
        let groups = signed(&[*groups])[0];
        Ok(conv::conv(x.as_op(), weight.as_op(), bias, &stride.signed(), padding, &dilation.signed(), groups, N)?.into())
    }

    /// The padding before and after each dimension, the last one first.
    fn sides(&self) -> Result<[[i64; 2]; N]> {
        let mut sides = [[0; 2]; N];
        let shape = self.weight.shape();
        let kernel = shape.get(2..).filter(|kernel| kernel.len() == N);
        let kernel = kernel.ok_or_else(|| Error::value(format!("expected a weight of {} dimensions, but got shape {shape:?}", N + 2)))?;
        for (dim, side) in sides.iter_mut().rev().enumerate() {
            *side = match self.options.padding {
                Padding::Zeros(each) => [signed(&each.0[dim..=dim])[0]; 2],
                Padding::Same => {
                    let reach = kernel[dim].saturating_sub(1).checked_mul(self.options.dilation.0[dim]);
                    let total = signed(&[reach.ok_or_else(|| Error::value("dilation is too large"))?])[0];
                    [total / 2, total - total / 2]
                }
            };
        }
        Ok(sides)
    }
}

impl<const N: usize> Weighted for Conv<N> {
    weight_and_bias!();

    fn forward_with(&self, weight: &Tensor, x: &Tensor) -> Result<Tensor> {
        let sizes;
        match self.options.padding {
            _ if self.options.padding_mode != PaddingMode::default() => {
                let wide = pad(x, &self.sides()?, self.options.padding_mode)?;
                self.over(&wide, weight, conv::Padding::Sizes(&[0; N]))
            }
            Padding::Same => self.over(x, weight, conv::Padding::Named("same")),
            Padding::Zeros(each) => {
                sizes = each.signed();
                self.over(x, weight, conv::Padding::Sizes(&sizes))
            }
        }
    }
}

/// The settings of a transposed convolution beside channels and kernel.
#[derive(Clone, Copy, Debug)]
pub struct ConvTransposeOptions<const N: usize> {
    /// Steps of the kernel over the output.
    pub stride: Sizes<N>,
    /// What the output lacks at both ends of each dimension.
    pub padding: Sizes<N>,
    /// What the output has besides at the end of each dimension.
    pub output_padding: Sizes<N>,
    /// Steps between the kernel's elements.
    pub dilation: Sizes<N>,
    /// Groups of channels, each by itself.
    pub groups: usize,
    /// Whether to add a bias.
    pub bias: bool,
}

impl<const N: usize> Default for ConvTransposeOptions<N> {
    fn default() -> Self {
        let (zero, one) = (0.into(), 1.into());
        ConvTransposeOptions { stride: one, padding: zero, output_padding: zero, dilation: one, groups: 1, bias: true }
    }
}

/// The gradient of a convolution as a layer: (N, in_channels, …) -> (N, out_channels, …), larger by the stride.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{ConvTranspose2d, ConvTransposeOptions, Forward}};
/// let layer = ConvTranspose2d::with(16, 8, 2, ConvTransposeOptions { stride: 2.into(), ..Default::default() })?;
/// assert_eq!(layer.forward(&Tensor::ones([1, 16, 7, 7])?)?.shape(), [1, 8, 14, 14]);
/// # Ok(())
/// # }
/// ```
pub struct ConvTranspose<const N: usize> {
    /// (in_channels, out_channels / groups, kernel …).
    pub weight: Parameter,
    /// (out_channels).
    pub bias: Option<Parameter>,
    options: ConvTransposeOptions<N>,
}

/// [`ConvTranspose`] over one dimension.
pub type ConvTranspose1d = ConvTranspose<1>;
/// [`ConvTranspose`] over two dimensions.
pub type ConvTranspose2d = ConvTranspose<2>;
/// [`ConvTranspose`] over three dimensions.
pub type ConvTranspose3d = ConvTranspose<3>;

impl<const N: usize> ConvTranspose<N> {
    /// Stride 1, no padding, with a bias; weights uniform in ±1/√fan_in.
    ///
    /// # Errors
    /// As [`with`](ConvTranspose::with).
    pub fn new(in_channels: usize, out_channels: usize, kernel: impl Into<Sizes<N>>) -> Result<Self> {
        Self::with(in_channels, out_channels, kernel, ConvTransposeOptions::default())
    }

    /// [`new`](ConvTranspose::new) with other settings.
    ///
    /// # Errors
    /// If the groups do not divide the channels.
    pub fn with(in_channels: usize, out_channels: usize, kernel: impl Into<Sizes<N>>, options: ConvTransposeOptions<N>) -> Result<Self> {
        grouped(in_channels, options.groups, "in_channels")?;
        let shape = [&[in_channels, grouped(out_channels, options.groups, "out_channels")?], &kernel.into().0[..]].concat();
        let (weight, bias) = init::weight_and_bias(&shape, options.bias.then_some(out_channels))?;
        Ok(ConvTranspose { weight, bias, options })
    }
}

impl<const N: usize> Weighted for ConvTranspose<N> {
    /// The output's channels come second.
    const OUTPUT_DIM: usize = 1;

    weight_and_bias!();

    fn forward_with(&self, weight: &Tensor, x: &Tensor) -> Result<Tensor> {
        let o = &self.options;
        let bias = self.bias.as_ref().map(|b| b.as_op());
        let (stride, padding, extra) = (o.stride.signed(), o.padding.signed(), o.output_padding.signed());
        let groups = signed(&[o.groups])[0];
        let out = conv::conv_transpose(x.as_op(), weight.as_op(), bias, &stride, &padding, &extra, groups, &o.dilation.signed(), N)?;
        Ok(out.into())
    }
}
