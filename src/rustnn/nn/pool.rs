//! Pooling.

use super::{Forward, Module, Sizes};
use crate::{Result, Tensor};
use rustnn_ops::pool::{self, Pooling};

/// The window of a pooling layer.
#[derive(Clone, Copy, Debug)]
struct Window<const N: usize> {
    kernel: Sizes<N>,
    stride: Sizes<N>,
    padding: Sizes<N>,
}

impl<const N: usize> Window<N> {
    fn over<R>(&self, f: impl FnOnce(&Pooling) -> R) -> R {
        let (kernel, stride, padding) = (self.kernel.signed(), self.stride.signed(), self.padding.signed());
        f(&Pooling { kernel: &kernel, stride: Some(&stride), padding: &padding, dilation: &[1], ceil: false })
    }
}

macro_rules! windows {
    ($($(#[$doc:meta])* $name:ident [$one:ident $two:ident $three:ident] |$x:ident, $pooling:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Module)]
        pub struct $name<const N: usize> {
            #[module(skip)]
            window: Window<N>,
        }

        #[doc = concat!("[`", stringify!($name), "`] over one dimension.")]
        pub type $one = $name<1>;
        #[doc = concat!("[`", stringify!($name), "`] over two dimensions.")]
        pub type $two = $name<2>;
        #[doc = concat!("[`", stringify!($name), "`] over three dimensions.")]
        pub type $three = $name<3>;

        impl<const N: usize> $name<N> {
            /// Windows side by side.
            pub fn new(kernel: impl Into<Sizes<N>>) -> Self {
                let kernel = kernel.into();
                Self::with(kernel, kernel, 0)
            }

            /// Windows `stride` apart over an input with `padding` at both ends of each dimension.
            pub fn with(kernel: impl Into<Sizes<N>>, stride: impl Into<Sizes<N>>, padding: impl Into<Sizes<N>>) -> Self {
                $name { window: Window { kernel: kernel.into(), stride: stride.into(), padding: padding.into() } }
            }
        }

        impl<const N: usize> Forward for $name<N> {
            fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                self.window.over(|$pooling| Ok(Tensor::from($body)))
            }
        }
    )*};
}
windows! {
    /// The greatest of each window: (N, C, …) or (C, …).
    ///
    /// ```
    /// # fn main() -> rustnn::Result<()> {
    /// use rustnn::{Tensor, nn::{Forward, MaxPool2d}};
    /// assert_eq!(MaxPool2d::new(2).forward(&Tensor::rand([1, 3, 8, 6])?)?.shape(), [1, 3, 4, 3]);
    /// # Ok(())
    /// # }
    /// ```
    MaxPool [MaxPool1d MaxPool2d MaxPool3d] |x, pooling| pool::max_pool(x.as_op(), N, pooling, false)?.0;
    /// The mean of each window, padded zeros included: (N, C, …) or (C, …).
    AvgPool [AvgPool1d AvgPool2d AvgPool3d] |x, pooling| pool::avg_pool(x.as_op(), N, pooling, true, None)?;
}

macro_rules! adaptive {
    ($($(#[$doc:meta])* $name:ident [$one:ident $two:ident $three:ident] |$x:ident, $size:ident| $body:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Module)]
        pub struct $name<const N: usize> {
            size: Sizes<N>,
        }

        #[doc = concat!("[`", stringify!($name), "`] over one dimension.")]
        pub type $one = $name<1>;
        #[doc = concat!("[`", stringify!($name), "`] over two dimensions.")]
        pub type $two = $name<2>;
        #[doc = concat!("[`", stringify!($name), "`] over three dimensions.")]
        pub type $three = $name<3>;

        impl<const N: usize> $name<N> {
            /// An output of these sizes.
            pub fn new(size: impl Into<Sizes<N>>) -> Self {
                $name { size: size.into() }
            }
        }

        impl<const N: usize> Forward for $name<N> {
            fn forward(&self, $x: &Tensor) -> Result<Tensor> {
                let $size = &self.size.signed();
                Ok($body.into())
            }
        }
    )*};
}
adaptive! {
    /// The means of as many windows as asked for.
    AdaptiveAvgPool [AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d] |x, size| pool::adaptive_avg_pool(x.as_op(), size, N)?;
    /// The greatest of as many windows as asked for.
    AdaptiveMaxPool [AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d] |x, size| pool::adaptive_max_pool(x.as_op(), size, N, false)?.0;
}
