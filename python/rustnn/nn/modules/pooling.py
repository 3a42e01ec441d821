"""Pooling over windows: maximum, average, power average, adaptive, and the inverse of the maximum."""

from __future__ import annotations

from rustnn.nn import functional as F
from rustnn.nn.modules.module import Module
from rustnn.nn.modules.utils import _pair, _single, _triple

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
]


class _MaxPoolNd(Module):
    __constants__ = ["kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode"]

    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """Returns the maximum of each window of a signal.

        y[n, c, i] = max_k x[n, c, i·stride + k·dilation - padding], k < kernel_size

    Args:
        kernel_size: length of the window.
        stride: its step, kernel_size by default.
        padding: positions of minus infinity on both sides, at most half of kernel_size.
        dilation: distance of the window's points.
        return_indices: return the positions of the maxima too.
        ceil_mode: keep windows that reach over the end.
    Shapes: (N, C, L) or (C, L) -> (N, C, L') or (C, L'), L' = ⌊(L + 2 padding - dilation (kernel_size - 1) - 1) /
        stride⌋ + 1.
        Dtypes: real; result as input.
    Raises: RuntimeError for an input of another rank or too much padding.
    Source: behaviour of ``torch.nn.MaxPool1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.MaxPool1d(2)(rustnn.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
        [[3.0, 2.0]]
    """

    def forward(self, input):
        return F.max_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )


class MaxPool2d(_MaxPoolNd):
    """Returns the maximum of each window of an image.

        y[n, c, i, j] = max over the window at (i·stride₀ - padding₀, j·stride₁ - padding₁) of x[n, c]

    Args: those of :class:`MaxPool1d`, one number or one per dimension.
    Shapes: (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W'), lengths as for :class:`MaxPool1d`. Dtypes: real.
    Raises: RuntimeError for an input of another rank or too much padding.
    Source: behaviour of ``torch.nn.MaxPool2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.MaxPool2d(3, stride=2)(rustnn.ones(20, 16, 50, 32)).shape
        torch.Size([20, 16, 24, 15])
    """

    def forward(self, input):
        return F.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )


class MaxPool3d(_MaxPoolNd):
    """Returns the maximum of each window of a volume.

        y[n, c, …] = max over the window of x[n, c], in three dimensions

    Args: those of :class:`MaxPool2d`.
    Shapes: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W'). Dtypes: real; result as input.
    Raises: RuntimeError for an input of another rank or too much padding.
    Source: behaviour of ``torch.nn.MaxPool3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.MaxPool3d(2)(rustnn.ones(1, 2, 4, 4, 4)).shape
        torch.Size([1, 2, 2, 2, 2])
    """

    def forward(self, input):
        return F.max_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )


class _MaxUnpoolNd(Module):
    _as_tuple = None

    def __init__(self, kernel_size, stride=None, padding=0) -> None:
        super().__init__()
        as_tuple = type(self)._as_tuple
        self.kernel_size = as_tuple(kernel_size)
        self.stride = as_tuple(kernel_size if stride is None else stride)
        self.padding = as_tuple(padding)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """Returns a signal with the maxima of :class:`MaxPool1d` at their old positions and zeros elsewhere.

        y[n, c, indices[n, c, i]] = x[n, c, i]

    Args:
        kernel_size, stride, padding: those of the pooling.
    Shapes: (N, C, L) or (C, L) and indices -> (N, C, L') or (C, L'), L' = (L - 1) stride - 2 padding + kernel_size, or
        ``output_size`` of forward.
    Raises: ValueError for an output_size out of range; RuntimeError for an index out of range.
    Source: behaviour of ``torch.nn.MaxUnpool1d``.
    Example:
        >>> from rustnn import nn, tensor
        >>> y, indices = nn.MaxPool1d(2, return_indices=True)(tensor([[1.0, 3.0, 2.0, 0.0]]))
        >>> nn.MaxUnpool1d(2)(y, indices).tolist()
        [[0.0, 3.0, 2.0, 0.0]]
    """

    _as_tuple = staticmethod(_single)

    def forward(self, input, indices, output_size=None):
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_MaxUnpoolNd):
    """Returns an image with the maxima of :class:`MaxPool2d` at their old positions and zeros elsewhere.

        y[n, c].flat[indices[n, c, i, j]] = x[n, c, i, j]

    Args: those of :class:`MaxUnpool1d`, one number or one per dimension.
    Shapes: (N, C, H, W) or (C, H, W) and indices -> (N, C, H', W') or (C, H', W').
    Raises: ValueError for an output_size out of range; RuntimeError for an index out of range.
    Source: behaviour of ``torch.nn.MaxUnpool2d``.
    Example:
        >>> from rustnn import nn, ones
        >>> y, indices = nn.MaxPool2d(2, return_indices=True)(ones(1, 1, 4, 4))
        >>> nn.MaxUnpool2d(2)(y, indices).sum().item()
        4.0
    """

    _as_tuple = staticmethod(_pair)

    def forward(self, input, indices, output_size=None):
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool3d(_MaxUnpoolNd):
    """Returns a volume with the maxima of :class:`MaxPool3d` at their old positions and zeros elsewhere.

        y[n, c].flat[indices[n, c, …]] = x[n, c, …]

    Args: those of :class:`MaxUnpool2d`.
    Shapes: (N, C, D, H, W) or (C, D, H, W) and indices -> (N, C, D', H', W') or (C, D', H', W').
    Raises: ValueError for an output_size out of range; RuntimeError for an index out of range.
    Source: behaviour of ``torch.nn.MaxUnpool3d``.
    Example:
        >>> from rustnn import nn, ones
        >>> y, indices = nn.MaxPool3d(2, return_indices=True)(ones(1, 1, 2, 2, 2))
        >>> nn.MaxUnpool3d(2)(y, indices).sum().item()
        1.0
    """

    _as_tuple = staticmethod(_triple)

    def forward(self, input, indices, output_size=None):
        return F.max_unpool3d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class _AvgPoolNd(Module):
    __constants__ = ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"]

    def __init__(
        self,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"

    def __setstate__(self, state) -> None:
        super().__setstate__(state)
        for name, value in (("padding", 0), ("ceil_mode", False), ("count_include_pad", True)):
            self.__dict__.setdefault(name, value)


class AvgPool1d(_AvgPoolNd):
    """Returns the average of each window of a signal.

        y[n, c, i] = Σ_k x[n, c, i·stride + k - padding] / kernel_size

    Args:
        kernel_size: length of the window.
        stride: its step, kernel_size by default.
        padding: zeros on both sides, at most half of kernel_size.
        ceil_mode: keep windows that reach over the end.
        count_include_pad: whether padding counts in the divisor.
    Shapes: (N, C, L) or (C, L) -> (N, C, L') or (C, L'), L' = ⌊(L + 2 padding - kernel_size) / stride⌋ + 1.
        Dtypes: floating point; result as input.
    Raises: RuntimeError for an input of another rank or too much padding.
    Source: behaviour of ``torch.nn.AvgPool1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.AvgPool1d(2)(rustnn.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
        [[2.0, 1.0]]
    """

    __constants__ = ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"]

    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True) -> None:
        Module.__init__(self)
        self.kernel_size = _single(kernel_size)
        self.stride = _single(kernel_size if stride is None else stride)
        self.padding = _single(padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input):
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)


class AvgPool2d(_AvgPoolNd):
    """Returns the average of each window of an image.

        y[n, c, i, j] = Σ_k Σ_l x[n, c, i·s₀ + k - p₀, j·s₁ + l - p₁] / (kernel height · kernel width)

    Args:
        divisor_override: divide by this number instead.
        kernel_size, stride, padding, ceil_mode, count_include_pad: as for :class:`AvgPool1d`, one number or one per
            dimension.
    Shapes: (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W'), lengths as for :class:`AvgPool1d`.
        Dtypes: floating point; result as input.
    Raises: RuntimeError for an input of another rank or too much padding.
    Source: behaviour of ``torch.nn.AvgPool2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.AvgPool2d(3, stride=2)(rustnn.ones(2, 3, 7, 7)).shape
        torch.Size([2, 3, 3, 3])
    """

    def forward(self, input):
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool3d(_AvgPoolNd):
    """Returns the average of each window of a volume.

        y[n, c, …] = Σ x over the window / its number of points, in three dimensions

    Args: those of :class:`AvgPool2d`.
    Shapes: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W'). Dtypes: floating point.
    Raises: RuntimeError for an input of another rank or too much padding.
    Source: behaviour of ``torch.nn.AvgPool3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.AvgPool3d(2)(rustnn.ones(1, 2, 4, 4, 4)).shape
        torch.Size([1, 2, 2, 2, 2])
    """

    def forward(self, input):
        return F.avg_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class _LPPoolNd(Module):
    __constants__ = ["norm_type", "kernel_size", "stride", "ceil_mode"]

    def __init__(self, norm_type, kernel_size, stride=None, ceil_mode=False) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """Returns the p-norm of each window of a signal.

        y = (Σ x^p)^(1/p)

    Args:
        norm_type: p; infinity gives the maximum.
        kernel_size: length of the window.
        stride: its step, kernel_size by default.
        ceil_mode: keep windows that reach over the end.
    Shapes: (N, C, L) or (C, L) -> (N, C, L') or (C, L'). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.LPPool1d``. The gradient is 0/0 where Σ x^p is zero.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LPPool1d(2, 2)(rustnn.tensor([[3.0, 4.0]])).tolist()
        [[5.0]]
    """

    def forward(self, input):
        return F.lp_pool1d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPoolNd):
    """Returns the p-norm of each window of an image.

        y = (Σ x^p)^(1/p)

    Args: those of :class:`LPPool1d`, one number or one per dimension.
    Shapes: (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W'). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.LPPool2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LPPool2d(2, 2)(rustnn.ones(1, 1, 2, 2)).tolist()
        [[[[2.0]]]]
    """

    def forward(self, input):
        return F.lp_pool2d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool3d(_LPPoolNd):
    """Returns the p-norm of each window of a volume.

        y = (Σ x^p)^(1/p)

    Args: those of :class:`LPPool2d`.
    Shapes: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W'). Dtypes: floating point.
    Source: behaviour of ``torch.nn.LPPool3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LPPool3d(1, 2)(rustnn.ones(1, 1, 2, 2, 2)).flatten().tolist()
        [8.0]
    """

    def forward(self, input):
        return F.lp_pool3d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class _AdaptiveMaxPoolNd(Module):
    __constants__ = ["output_size", "return_indices"]

    def __init__(self, output_size, return_indices=False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """Returns a fixed number of maxima of a signal.

        y[i] = max x[⌊i L / L'⌋ … ⌈(i + 1) L / L'⌉ - 1]

    Args:
        output_size: L'.
        return_indices: return the positions of the maxima too.
    Shapes: (N, C, L) or (C, L) -> (N, C, L') or (C, L'). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.AdaptiveMaxPool1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.AdaptiveMaxPool1d(2)(rustnn.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
        [[3.0, 2.0]]
    """

    def forward(self, input):
        return F.adaptive_max_pool1d(input, self.output_size, return_indices=self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """Returns a fixed grid of maxima of an image.

        y[i, j] = max of x over rows ⌊i H / H'⌋ … and columns ⌊j W / W'⌋ …, as :class:`AdaptiveMaxPool1d` in each
        dimension

    Args:
        output_size: (H', W'), or one number for both; None keeps a length.
        return_indices: return the positions of the maxima too.
    Shapes: (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W'). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.AdaptiveMaxPool2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.AdaptiveMaxPool2d((5, None))(rustnn.ones(1, 2, 8, 9)).shape
        torch.Size([1, 2, 5, 9])
    """

    def forward(self, input):
        return F.adaptive_max_pool2d(input, self.output_size, return_indices=self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """Returns a fixed grid of maxima of a volume.

        y[i, j, k] = max of x over its cell, as :class:`AdaptiveMaxPool1d` in each dimension

    Args: those of :class:`AdaptiveMaxPool2d`, with three lengths.
    Shapes: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W'). Dtypes: floating point.
    Source: behaviour of ``torch.nn.AdaptiveMaxPool3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.AdaptiveMaxPool3d(1)(rustnn.ones(1, 2, 3, 3, 3)).shape
        torch.Size([1, 2, 1, 1, 1])
    """

    def forward(self, input):
        return F.adaptive_max_pool3d(input, self.output_size, return_indices=self.return_indices)


class _AdaptiveAvgPoolNd(Module):
    __constants__ = ["output_size"]

    def __init__(self, output_size) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """Returns a fixed number of averages of a signal.

        y[i] = mean x[⌊i L / L'⌋ … ⌈(i + 1) L / L'⌉ - 1]

    Args:
        output_size: L'.
    Shapes: (N, C, L) or (C, L) -> (N, C, L') or (C, L'). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.AdaptiveAvgPool1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.AdaptiveAvgPool1d(2)(rustnn.tensor([[1.0, 3.0, 2.0, 0.0]])).tolist()
        [[2.0, 1.0]]
    """

    def forward(self, input):
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """Returns a fixed grid of averages of an image.

        y[i, j] = mean of x over rows ⌊i H / H'⌋ … and columns ⌊j W / W'⌋ …, as :class:`AdaptiveAvgPool1d` in each
        dimension

    Args:
        output_size: (H', W'), or one number for both; None keeps a length.
    Shapes: (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W'). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.AdaptiveAvgPool2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.AdaptiveAvgPool2d((1, 1))(rustnn.ones(1, 2, 8, 9)).shape
        torch.Size([1, 2, 1, 1])
    """

    def forward(self, input):
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """Returns a fixed grid of averages of a volume.

        y[i, j, k] = mean of x over its cell, as :class:`AdaptiveAvgPool1d` in each dimension

    Args: those of :class:`AdaptiveAvgPool2d`, with three lengths.
    Shapes: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or (C, D', H', W'). Dtypes: floating point.
    Source: behaviour of ``torch.nn.AdaptiveAvgPool3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.AdaptiveAvgPool3d(1)(rustnn.ones(1, 2, 3, 3, 3)).shape
        torch.Size([1, 2, 1, 1, 1])
    """

    def forward(self, input):
        return F.adaptive_avg_pool3d(input, self.output_size)


class _FractionalMaxPoolNd(Module):
    __constants__ = ["kernel_size", "return_indices", "output_size", "output_ratio"]
    _as_tuple = staticmethod(_pair)

    def __init__(
        self, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
    ) -> None:
        super().__init__()
        if output_size is None and output_ratio is None:
            raise ValueError(f"{type(self).__name__} requires specifying either an output size, or a pooling ratio")
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        self.kernel_size = self._as_tuple(kernel_size)
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else self._as_tuple(output_size)
        self.output_ratio = None if output_ratio is None else self._as_tuple(output_ratio)
        if self.output_ratio is not None and not all(0 < ratio < 1 for ratio in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """Returns maxima of overlapping windows whose places are drawn at random, to a size that need not divide the
    input's.

        y[i, j] = max of x over rows a_i … a_i + k_h - 1 and columns b_j … b_j + k_w - 1,
        a_i = ⌊s (i + u)⌋ - ⌊s u⌋,  s = (H - k_h) / (H' - 1),  u uniform in [0, 1) per sample, channel and dimension

    Args:
        kernel_size: (k_h, k_w), or one number for both.
        output_size: (H', W'), or one number for both.
        output_ratio: H' / H and W' / W instead, in (0, 1).
        return_indices: return the positions of the maxima too.
    Shapes: (N, C, H, W) or (C, H, W) -> (N, C, H', W') or (C, H', W'). Dtypes: floating point; result as input.
    Raises: ValueError unless just one of size and ratio is given; RuntimeError for windows that do not fit.
    Source: Graham 2014, arXiv:1412.6071.
    Example:
        >>> import rustnn
        >>> rustnn.nn.FractionalMaxPool2d(2, output_ratio=0.7)(rustnn.ones(1, 1, 10, 10)).shape
        torch.Size([1, 1, 7, 7])
    """

    def forward(self, input):
        return F.fractional_max_pool2d(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """Returns maxima of overlapping windows of a volume whose places are drawn at random.

        as :class:`FractionalMaxPool2d` in each of three dimensions

    Args:
        kernel_size: (k_d, k_h, k_w), or one number for all.
        output_size: (D', H', W'), or one number for all.
        output_ratio: the sizes' ratios instead, in (0, 1).
        return_indices: return the positions of the maxima too.
    Shapes: (N, C, D, H, W) or (C, D, H, W) -> (N, C, D', H', W') or without N. Dtypes: floating point; result as input.
    Raises: as :class:`FractionalMaxPool2d`.
    Source: Graham 2014, arXiv:1412.6071.
    Example:
        >>> import rustnn
        >>> rustnn.nn.FractionalMaxPool3d(2, output_size=3)(rustnn.ones(1, 1, 5, 6, 7)).shape
        torch.Size([1, 1, 3, 3, 3])
    """

    _as_tuple = staticmethod(_triple)

    def forward(self, input):
        return F.fractional_max_pool3d(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices, self._random_samples
        )
