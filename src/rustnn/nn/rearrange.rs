//! The same elements in another arrangement, and images of other sizes; composed as the Python package composes them.

use super::{Forward, Module};
use crate::tensor::{listed, signed};
use crate::{Error, Result, Tensor};

/// All dimensions after the first become one.
#[derive(Clone, Copy, Debug, Default, Module)]
pub struct Flatten;

impl Forward for Flatten {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.flatten(1, -1)
    }
}

/// One dimension becomes several.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Forward, Unflatten}};
/// assert_eq!(Unflatten { dim: 1, sizes: vec![2, -1] }.forward(&Tensor::ones([5, 6])?)?.shape(), [5, 2, 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Module)]
pub struct Unflatten {
    /// The dimension.
    pub dim: i64,
    /// Its new sizes, of which one may be -1.
    #[module(skip)]
    pub sizes: Vec<i64>,
}

impl Forward for Unflatten {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.unflatten(self.dim, &self.sizes)
    }
}

/// The leading sizes, and the last three; `factor` is of the kind that no shape is multiplied out of range by.
fn image<'a>(x: &'a Tensor, name: &str, factor: usize) -> Result<(&'a [usize], [i64; 4])> {
    let [lead @ .., channels, height, width] = x.shape() else {
        return Err(Error::value(format!(
            "{name} expects input to have at least 3 dimensions, but got input with {} dimension(s)",
            x.rank()
        )));
    };
    match signed(&[*channels, *height, *width, factor])[..] {
        [c, h, w, r] if r > 0 && r.checked_mul(r).is_some() => Ok((lead, [c, h, w, r])),
        _ => Err(Error::value(format!("{name} expects a positive factor, but got {factor}"))),
    }
}

/// Channels become pixels: (*, C r², H, W) -> (*, C, H r, W r). Shi et al. 2016, arXiv:1609.05158.
#[derive(Clone, Copy, Debug, Module)]
pub struct PixelShuffle {
    /// r.
    pub upscale_factor: usize,
}

impl Forward for PixelShuffle {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (lead, [c, h, w, r]) = image(x, "pixel_shuffle", self.upscale_factor)?;
        if c % (r * r) != 0 {
            return Err(Error::value(format!(
                "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, but \
                 input.size(-3)={c} is not divisible by {}",
                r * r
            )));
        }
        let (lead, out) = (signed(lead), c / (r * r));
        let apart = x.reshape([&lead[..], &[out, r, r, h, w]].concat())?.flatten_lead(lead.len())?;
        let mixed = apart.permute([0, 1, 4, 2, 5, 3])?;
        mixed.reshape([&lead[..], &[out, h.saturating_mul(r), w.saturating_mul(r)]].concat())
    }
}

/// Pixels become channels: (*, C, H r, W r) -> (*, C r², H, W).
#[derive(Clone, Copy, Debug, Module)]
pub struct PixelUnshuffle {
    /// r.
    pub downscale_factor: usize,
}

impl Forward for PixelUnshuffle {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (lead, [c, h, w, r]) = image(x, "pixel_unshuffle", self.downscale_factor)?;
        if h % r != 0 || w % r != 0 {
            return Err(Error::value(format!(
                "pixel_unshuffle expects height and width to be divisible by downscale_factor, but {h} and {w} are not by {r}"
            )));
        }
        let (lead, h, w) = (signed(lead), h / r, w / r);
        let apart = x.reshape([&lead[..], &[c, h, r, w, r]].concat())?.flatten_lead(lead.len())?;
        let mixed = apart.permute([0, 1, 3, 5, 2, 4])?;
        mixed.reshape([&lead[..], &[c.saturating_mul(r * r), h, w]].concat())
    }
}

impl Tensor {
    /// The first `count` dimensions as one, also if there are none.
    fn flatten_lead(&self, count: usize) -> Result<Tensor> {
        if count == 0 { self.unsqueeze(0) } else { self.flatten(0, signed(&[count - 1])[0]) }
    }
}

/// The channels of all groups interleaved: (N, C, …) -> the same. Zhang et al. 2018, arXiv:1707.01083.
#[derive(Clone, Copy, Debug, Module)]
pub struct ChannelShuffle {
    /// The number of groups.
    pub groups: usize,
}

impl Forward for ChannelShuffle {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let &[batch, channels, ref rest @ ..] = x.shape() else {
            return Err(Error::value(format!("channel_shuffle expects input with > 2 dims, but got input with sizes {:?}", x.shape())));
        };
        if rest.is_empty() || self.groups == 0 || channels % self.groups != 0 {
            return Err(Error::value(format!(
                "channel_shuffle: Number of channels must be divisible by groups. Got input with sizes {:?} and {} groups.",
                x.shape(),
                self.groups
            )));
        }
        let rest: usize = rest.iter().product();
        let split = x.reshape(signed(&[batch, self.groups, channels / self.groups, rest]))?;
        split.transpose(1, 2)?.reshape(signed(x.shape()))
    }
}

/// How [`Upsample`] finds values between those of the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpsampleMode {
    /// The nearest element.
    #[default]
    Nearest,
    /// Between two elements of each dimension: linear, bilinear or trilinear.
    Linear,
    /// As [`Linear`](UpsampleMode::Linear), with the outermost elements in the outermost places.
    LinearCorners,
}

/// The dimensions after the first two, each times a factor: (N, C, …) -> (N, C, …).
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Forward, Upsample, UpsampleMode}};
/// let x = Tensor::new(&[1.0f32, 2.0], [1, 1, 2])?;
/// let y = Upsample { scale_factor: 2.0, mode: UpsampleMode::Linear }.forward(&x)?;
/// assert_eq!(y.to_vec::<f32>()?, [1.0, 1.25, 1.75, 2.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Module)]
pub struct Upsample {
    /// The factor, which may be below 1.
    pub scale_factor: f64,
    /// What stands between the elements.
    #[module(skip)]
    pub mode: UpsampleMode,
}

impl Forward for Upsample {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if !matches!(x.rank(), 3..=5) {
            return Err(Error::value(format!(
                "Input Error: Only 3D, 4D and 5D input Tensors supported (got {}D) for upsampling",
                x.rank()
            )));
        }
        let mut out = x.clone();
        for dim in 2..x.rank() {
            let len = x.shape()[dim];
            let wanted = (len as f64 * self.scale_factor).floor();
            if !(1.0..9e15).contains(&wanted) {
                return Err(Error::value(format!("Input and output sizes should be greater than 0, but got input {len} output {wanted}")));
            }
            out = resized(&out, dim, wanted as usize, 1.0 / self.scale_factor, self.mode)?;
        }
        out.contiguous()
    }
}

/// One dimension in another size; `step` is the distance of the output's elements in the input.
fn resized(x: &Tensor, dim: usize, wanted: usize, step: f64, mode: UpsampleMode) -> Result<Tensor> {
    let len = x.shape()[dim];
    let at = |places: Vec<i64>| -> Result<Tensor> {
        let index = Tensor::new(&places, [places.len()])?.to_device(x.device())?;
        x.index_select(signed(&[dim])[0], &index)
    };
    let places = (0..wanted).map(|i| i as f64);
    let last = signed(&[len])[0] - 1;
    if mode == UpsampleMode::Nearest {
        return at(listed(places.map(|i| ((i * step).floor() as i64).min(last)))?);
    }
    let corners = if wanted > 1 { (len - 1) as f64 / (wanted - 1) as f64 } else { 0.0 };
    let (step, shift) = if mode == UpsampleMode::LinearCorners { (corners, 0.0) } else { (step, 0.5) };
    let places = listed(places.map(|i| ((i + shift) * step - shift).max(0.0)))?;
    let mut shape = vec![1; x.rank()];
    shape[dim] = wanted;
    let share = listed(places.iter().map(|p| p - p.floor()))?;
    let share = Tensor::new(&share, &shape)?.to_dtype(x.dtype())?.to_device(x.device())?;
    let near = |k: i64| at(listed(places.iter().map(|p| (p.floor() as i64 + k).clamp(0, last)))?);
    let kept = share.neg()?.add(1)?;
    near(0)?.mul(&kept)?.add(&near(1)?.mul(&share)?)
}
