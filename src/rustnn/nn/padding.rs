//! Padding: positions added around an input, composed as the Python package composes it.

use super::{Forward, Module};
use crate::tensor::{listed, signed};
use crate::{Error, Result, Tensor};

/// What added positions hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PaddingMode {
    /// One value.
    Constant(f64),
    /// The input, mirrored at its first and last element, which are not repeated.
    Reflect,
    /// The first or last element.
    Replicate,
    /// The input, again from its other end.
    Circular,
}

/// Zeros.
impl Default for PaddingMode {
    fn default() -> PaddingMode {
        PaddingMode::Constant(0.0)
    }
}

/// Positions before and after each of the last dimensions, the last one first, as PyTorch counts them; negative ones are cut
/// off.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{PaddingMode, pad}};
/// let x = Tensor::new(&[1.0f32, 2.0, 3.0], [1, 1, 3])?;
/// assert_eq!(pad(&x, &[[2, 1]], PaddingMode::Reflect)?.to_vec::<f32>()?, [3.0, 2.0, 1.0, 2.0, 3.0, 2.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If there are fewer dimensions, or an input is too small for the mode.
pub fn pad(x: &Tensor, sides: &[[i64; 2]], mode: PaddingMode) -> Result<Tensor> {
    if sides.len() > x.rank() {
        return Err(Error::value(format!(
            "Padding length should be less than or equal to two times the input dimension but got padding length {} and input of \
             dimension {}",
            2 * sides.len(),
            x.rank()
        )));
    }
    if let PaddingMode::Constant(value) = mode {
        return with_constant(x, sides, value);
    }
    if !(sides.len() + 1..=sides.len() + 2).contains(&x.rank()) {
        return Err(Error::value(format!("Padding size {} is not supported for {}D input tensor.", 2 * sides.len(), x.rank())));
    }
    let mut out = x.clone();
    for (k, &[before, after]) in sides.iter().enumerate() {
        if before == 0 && after == 0 {
            continue;
        }
        let dim = x.rank() - 1 - k;
        let index = places(signed(&[x.shape()[dim]])[0], before, after, mode)?;
        let index = Tensor::new(&index, [index.len()])?.to_device(x.device())?;
        out = out.index_select(signed(&[dim])[0], &index)?;
    }
    Ok(out)
}

/// Where each position of the result comes from.
fn places(len: i64, before: i64, after: i64, mode: PaddingMode) -> Result<Vec<i64>> {
    let out = len.checked_add(before).and_then(|n| n.checked_add(after)).filter(|&n| n >= 1 && len > 0);
    if out.is_none() {
        return Err(Error::value(format!("pad(): a dimension of size {len} is too small for the padding ({before}, {after})")));
    }
    let most = before.max(after);
    if mode == PaddingMode::Reflect && most >= len {
        return Err(Error::value(format!(
            "Padding size should be less than the corresponding input dimension, but got: padding ({before}, {after}) at a dimension of \
             size {len}"
        )));
    }
    if mode == PaddingMode::Circular && most > len.saturating_add(before.min(0)).saturating_add(after.min(0)) {
        return Err(Error::value("Padding value causes wrapping around more than once."));
    }
    // What is cut off a circle does not come back on its other side.
    let (first, last) = (before.min(0).saturating_neg(), (len - 1).saturating_add(after.min(0)));
    let circle = last.saturating_sub(first).saturating_add(1).max(1);
    let first_place = before.saturating_neg();
    let count = out.and_then(|n| usize::try_from(n).ok()).unwrap_or(0);
    listed((0..count).map(|i| {
        let place = first_place.saturating_add(i as i64);
        match mode {
            PaddingMode::Circular => first + place.saturating_sub(first).rem_euclid(circle),
            PaddingMode::Reflect => len - 1 - (len - 1 - place.abs()).abs(),
            PaddingMode::Replicate | PaddingMode::Constant(_) => place.clamp(0, len - 1),
        }
    }))
}

fn with_constant(x: &Tensor, sides: &[[i64; 2]], value: f64) -> Result<Tensor> {
    let too_small = || Error::value("narrow(): length must be non-negative.");
    let mut kept = x.clone();
    let mut shape = x.shape().to_vec();
    for (k, &[before, after]) in sides.iter().enumerate() {
        let dim = x.rank() - 1 - k;
        let left = signed(&[shape[dim]])[0].checked_add(before.min(0)).and_then(|n| n.checked_add(after.min(0)));
        let left = left.and_then(|n| usize::try_from(n).ok()).ok_or_else(too_small)?;
        kept = kept.narrow(signed(&[dim])[0], before.min(0).saturating_neg(), left)?;
        let added = before.max(0).checked_add(after.max(0)).and_then(|n| usize::try_from(n).ok());
        shape[dim] = added.and_then(|n| left.checked_add(n)).ok_or_else(|| Error::value("pad(): the result is too large"))?;
    }
    let out = Tensor::full(shape, value, x.dtype())?.to_device(x.device())?;
    let mut inner = out.clone();
    for (k, &[before, _]) in sides.iter().enumerate() {
        let dim = x.rank() - 1 - k;
        inner = inner.narrow(signed(&[dim])[0], before.max(0), kept.shape()[dim])?;
    }
    inner.copy_(&kept)?;
    Ok(out)
}

/// Positions before and after each of the last `N` dimensions, the last one first; or one number for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides<const N: usize>(pub [[i64; 2]; N]);

impl<const N: usize> From<i64> for Sides<N> {
    fn from(all: i64) -> Sides<N> {
        Sides([[all; 2]; N])
    }
}

impl<const N: usize> From<[[i64; 2]; N]> for Sides<N> {
    fn from(each: [[i64; 2]; N]) -> Sides<N> {
        Sides(each)
    }
}

macro_rules! pads {
    ($($(#[$doc:meta])* $name:ident [$one:ident $two:ident $three:ident] $mode:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Module)]
        pub struct $name<const N: usize> {
            #[module(skip)]
            sides: Sides<N>,
        }

        #[doc = concat!("[`", stringify!($name), "`] of (N, C, W) or (C, W).")]
        pub type $one = $name<1>;
        #[doc = concat!("[`", stringify!($name), "`] of (N, C, H, W) or (C, H, W).")]
        pub type $two = $name<2>;
        #[doc = concat!("[`", stringify!($name), "`] of (N, C, D, H, W) or (C, D, H, W).")]
        pub type $three = $name<3>;

        impl<const N: usize> $name<N> {
            /// One number for all sides, or `[[left, right], [top, bottom], …]`.
            pub fn new(sides: impl Into<Sides<N>>) -> Self {
                $name { sides: sides.into() }
            }
        }

        impl<const N: usize> Forward for $name<N> {
            fn forward(&self, x: &Tensor) -> Result<Tensor> {
                pad(x, &self.sides.0, $mode)
            }
        }
    )*};
}
pads! {
    /// Zeros around the last `N` dimensions.
    ///
    /// ```
    /// # fn main() -> rustnn::Result<()> {
    /// use rustnn::{Tensor, nn::{Forward, ZeroPad2d}};
    /// assert_eq!(ZeroPad2d::new([[1, 1], [2, 0]]).forward(&Tensor::ones([1, 3, 4])?)?.shape(), [1, 5, 6]);
    /// # Ok(())
    /// # }
    /// ```
    ZeroPad [ZeroPad1d ZeroPad2d ZeroPad3d] PaddingMode::Constant(0.0);
    /// The input mirrored around its last `N` dimensions.
    ReflectionPad [ReflectionPad1d ReflectionPad2d ReflectionPad3d] PaddingMode::Reflect;
    /// The outermost elements repeated around the last `N` dimensions.
    ReplicationPad [ReplicationPad1d ReplicationPad2d ReplicationPad3d] PaddingMode::Replicate;
    /// The input around itself in the last `N` dimensions.
    CircularPad [CircularPad1d CircularPad2d CircularPad3d] PaddingMode::Circular;
}

/// One value around the last `N` dimensions.
#[derive(Clone, Copy, Debug, Module)]
pub struct ConstantPad<const N: usize> {
    #[module(skip)]
    sides: Sides<N>,
    value: f64,
}

/// [`ConstantPad`] of the last dimension.
pub type ConstantPad1d = ConstantPad<1>;
/// [`ConstantPad`] of the last two dimensions.
pub type ConstantPad2d = ConstantPad<2>;
/// [`ConstantPad`] of the last three dimensions.
pub type ConstantPad3d = ConstantPad<3>;

impl<const N: usize> ConstantPad<N> {
    /// One number for all sides, or `[[left, right], [top, bottom], …]`; and the value.
    pub fn new(sides: impl Into<Sides<N>>, value: f64) -> Self {
        ConstantPad { sides: sides.into(), value }
    }
}

impl<const N: usize> Forward for ConstantPad<N> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        pad(x, &self.sides.0, PaddingMode::Constant(self.value))
    }
}
