"""Convolutions of 1 to 3 spatial dimensions, their transposes, and the lazy forms of both."""

from __future__ import annotations

import math

from rustnn import _core
from rustnn.nn import functional as F
from rustnn.nn import init
from rustnn.nn.modules.lazy import LazyModuleMixin
from rustnn.nn.modules.module import Module
from rustnn.nn.modules.utils import _pair, _reverse_repeat_tuple, _single, _triple
from rustnn.nn.parameter import Parameter, UninitializedParameter

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
]

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What all convolutions share: checks, parameters, starting values, text."""

    __constants__ = [
        "stride",
        "padding",
        "dilation",
        "groups",
        "padding_mode",
        "output_padding",
        "in_channels",
        "out_channels",
        "kernel_size",
    ]
    # Filled by the classes below: the tuple maker for the number of spatial dimensions, the function's name.
    _as_tuple = None
    _function = None

    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride,
        padding,
        dilation,
        transposed,
        output_padding,
        groups,
        bias,
        padding_mode,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"Invalid padding string {padding!r}, should be one of {{'valid', 'same'}}")
            if padding == "same" and any(step != 1 for step in stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"padding_mode must be one of {set(_PADDING_MODES)}, but got padding_mode='{padding_mode}'"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.transposed = transposed
        self.output_padding = output_padding
        self.groups = groups
        self.padding_mode = padding_mode
        # What F.pad takes, last dimension first; used by the padding modes other than zeros.
        if padding == "valid":
            self._reversed_padding_repeated_twice = [0, 0] * len(kernel_size)
        elif padding == "same":
            amounts = [rate * (size - 1) for rate, size in zip(reversed(dilation), reversed(kernel_size), strict=True)]
            self._reversed_padding_repeated_twice = [
                side for amount in amounts for side in (amount // 2, amount - amount // 2)
            ]
        else:
            self._reversed_padding_repeated_twice = _reverse_repeat_tuple(padding, 2)
        first, second = (in_channels, out_channels) if transposed else (out_channels, in_channels)
        self.weight = Parameter(_core.empty((first, second // groups, *kernel_size), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(_core.empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new starting values: uniform in ±1/√fan_in."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def _conv_forward(self, input, weight, bias):
        function = getattr(F, self._function)
        if self.padding_mode != "zeros":
            input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            return function(input, weight, bias, self.stride, 0, self.dilation, self.groups)
        return function(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)

    def forward(self, input):
        parameters = self._parameters
        try:
            weight, bias = parameters["weight"], parameters["bias"]
        except KeyError:
            weight, bias = self.weight, self.bias
        return self._conv_forward(input, weight, bias)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * len(self.padding):
            text += f", padding={self.padding}"
        if self.dilation != (1,) * len(self.dilation):
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * len(self.output_padding):
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text

    def __setstate__(self, state) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("padding_mode", "zeros")


class _Conv(_ConvNd):
    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ) -> None:
        as_tuple = type(self)._as_tuple
        super().__init__(
            in_channels,
            out_channels,
            as_tuple(kernel_size),
            as_tuple(stride),
            padding if isinstance(padding, str) else as_tuple(padding),
            as_tuple(dilation),
            False,
            as_tuple(0),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )


class Conv1d(_Conv):
    """Returns the cross-correlation of (N, C, L) signals with a bank of kernels.

        y[n, o, i] = b[o] + Σ_c Σ_k W[o, c, k] x[n, c, i·stride + k·dilation - padding]

    Args:
        in_channels, out_channels: channels of input and output.
        kernel_size: length of the kernels.
        stride: step of the window.
        padding: positions added on both sides, or ``"same"`` (output as long as the input) or ``"valid"`` (none).
        dilation: distance of the kernel's points.
        groups: channel groups that do not mix; divides both channel counts.
        bias: whether to add b.
        padding_mode: what the added positions hold: ``zeros``, ``reflect``, ``replicate`` or ``circular``.
        device, dtype: of the parameters.
    Shapes: (N, C_in, L) or (C_in, L) -> (N, C_out, L') or (C_out, L'),
        L' = ⌊(L + 2 padding - dilation (kernel_size - 1) - 1) / stride⌋ + 1; ``weight`` (C_out, C_in/groups,
        kernel_size).
        Dtypes: floating point; result as input. Parameters start uniform in ±1/√fan_in.
    Raises: ValueError for groups that do not divide the channels or an unknown padding; RuntimeError for an input of
        another rank or channel count.
    Source: behaviour of ``torch.nn.Conv1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Conv1d(16, 33, 3, stride=2)(rustnn.ones(20, 16, 50)).shape
        torch.Size([20, 33, 24])
    """

    _as_tuple = staticmethod(_single)
    _function = "conv1d"


class Conv2d(_Conv):
    """Returns the cross-correlation of (N, C, H, W) images with a bank of kernels.

        y[n, o, i, j] = b[o] + Σ_c Σ_k Σ_l W[o, c, k, l] x[n, c, i·s₀ + k·d₀ - p₀, j·s₁ + l·d₁ - p₁]

    Args: those of :class:`Conv1d`; kernel_size, stride, padding and dilation take one number or one per dimension.
    Shapes: (N, C_in, H, W) or (C_in, H, W) -> (N, C_out, H', W') or (C_out, H', W'), each length as in :class:`Conv1d`;
        ``weight`` (C_out, C_in/groups, kernel height, kernel width). Dtypes: floating point; result as input.
    Raises: ValueError for groups that do not divide the channels or an unknown padding; RuntimeError for an input of
        another rank or channel count.
    Source: behaviour of ``torch.nn.Conv2d``.
    Example:
        >>> import rustnn
        >>> layer = rustnn.nn.Conv2d(3, 8, kernel_size=(3, 5), padding=(1, 2))
        >>> layer(rustnn.ones(4, 3, 16, 16)).shape
        torch.Size([4, 8, 16, 16])
    """

    _as_tuple = staticmethod(_pair)
    _function = "conv2d"


class Conv3d(_Conv):
    """Returns the cross-correlation of (N, C, D, H, W) volumes with a bank of kernels.

        y[n, o, …] = b[o] + Σ W[o, c, …] x[n, c, …], in three dimensions what :class:`Conv2d` is in two

    Args: those of :class:`Conv2d`.
    Shapes: (N, C_in, D, H, W) or (C_in, D, H, W) -> (N, C_out, D', H', W') or (C_out, D', H', W'). Dtypes: floating
        point.
    Raises: ValueError for groups that do not divide the channels or an unknown padding; RuntimeError for an input of
        another rank or channel count.
    Source: behaviour of ``torch.nn.Conv3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Conv3d(2, 4, 3, padding=1)(rustnn.ones(1, 2, 4, 4, 4)).shape
        torch.Size([1, 4, 4, 4, 4])
    """

    _as_tuple = staticmethod(_triple)
    _function = "conv3d"


class _ConvTransposeNd(_ConvNd):
    def __init__(
        self,
        in_channels,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
        dilation=1,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        as_tuple = type(self)._as_tuple
        super().__init__(
            in_channels,
            out_channels,
            as_tuple(kernel_size),
            as_tuple(stride),
            as_tuple(padding),
            as_tuple(dilation),
            True,
            as_tuple(output_padding),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _output_padding(self, input, output_size, stride, padding, kernel_size, num_spatial_dims, dilation=None):
        """The positions to add at the end so that the output has ``output_size``."""
        if output_size is None:
            return self.output_padding
        output_size = list(output_size)
        lead = input.dim() - num_spatial_dims
        if len(output_size) == num_spatial_dims + lead:
            output_size = output_size[lead:]
        if len(output_size) != num_spatial_dims:
            raise ValueError(
                f"ConvTranspose{num_spatial_dims}D: for {input.dim()}D input, output_size must have "
                f"{num_spatial_dims} or {num_spatial_dims + lead} elements (got {len(output_size)})"
            )
        dilation = dilation if dilation is not None else [1] * num_spatial_dims
        smallest = [
            (input.size(d + lead) - 1) * stride[d] - 2 * padding[d] + dilation[d] * (kernel_size[d] - 1) + 1
            for d in range(num_spatial_dims)
        ]
        largest = [smallest[d] + stride[d] - 1 for d in range(num_spatial_dims)]
        if not all(low <= size <= high for low, size, high in zip(smallest, output_size, largest, strict=True)):
            raise ValueError(
                f"requested an output size of {output_size}, but valid sizes range from {smallest} to {largest} (for "
                f"an input of {input.size()[2:]})"
            )
        return [size - low for size, low in zip(output_size, smallest, strict=True)]

    def forward(self, input, output_size=None):
        output_padding = self._output_padding(
            input, output_size, self.stride, self.padding, self.kernel_size, len(self.kernel_size), self.dilation
        )
        return getattr(F, self._function)(
            input, self.weight, self.bias, self.stride, self.padding, output_padding, self.groups, self.dilation
        )


class ConvTranspose1d(_ConvTransposeNd):
    """Returns the transposed convolution of (N, C, L) signals: the gradient map of :class:`Conv1d` as a layer.

        y[n, o, i·stride + k·dilation - padding] += Σ_c W[c, o, k] x[n, c, i];  y += b

    Args:
        in_channels, out_channels, kernel_size, stride, groups, bias, dilation, device, dtype: as for :class:`Conv1d`.
        padding: positions cut off on both sides.
        output_padding: positions added at the end, for the choice between output lengths that stride makes possible.
    Shapes: (N, C_in, L) or (C_in, L) -> (N, C_out, L') or (C_out, L'), L' = (L - 1) stride - 2 padding
        + dilation (kernel_size - 1) + output_padding + 1; ``weight`` (C_in, C_out/groups, kernel_size).
        ``forward`` also takes ``output_size``. Dtypes: floating point.
    Raises: ValueError for groups that do not divide the channels, another padding mode than zeros, or an output_size
        out of range.
    Source: behaviour of ``torch.nn.ConvTranspose1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ConvTranspose1d(4, 2, 3, stride=2)(rustnn.ones(1, 4, 5)).shape
        torch.Size([1, 2, 11])
    """

    _as_tuple = staticmethod(_single)
    _function = "conv_transpose1d"


class ConvTranspose2d(_ConvTransposeNd):
    """Returns the transposed convolution of (N, C, H, W) images: the gradient map of :class:`Conv2d` as a layer.

        y[n, o, i·s + k·d - p] += Σ_c W[c, o, k] x[n, c, i] in both dimensions;  y += b

    Args: those of :class:`ConvTranspose1d`, with one number or one per dimension.
    Shapes: (N, C_in, H, W) or (C_in, H, W) -> (N, C_out, H', W') or (C_out, H', W'). Dtypes: floating point.
    Raises: ValueError as :class:`ConvTranspose1d`.
    Source: behaviour of ``torch.nn.ConvTranspose2d``.
    Example:
        >>> import rustnn
        >>> up = rustnn.nn.ConvTranspose2d(16, 16, 3, stride=2, padding=1)
        >>> up(rustnn.ones(1, 16, 6, 6), output_size=(12, 12)).shape
        torch.Size([1, 16, 12, 12])
    """

    _as_tuple = staticmethod(_pair)
    _function = "conv_transpose2d"


class ConvTranspose3d(_ConvTransposeNd):
    """Returns the transposed convolution of (N, C, D, H, W) volumes: the gradient map of :class:`Conv3d` as a layer.

        y[n, o, i·s + k·d - p] += Σ_c W[c, o, k] x[n, c, i] in three dimensions;  y += b

    Args: those of :class:`ConvTranspose2d`.
    Shapes: (N, C_in, D, H, W) or (C_in, D, H, W) -> (N, C_out, D', H', W') or (C_out, D', H', W'). Dtypes: floating
        point.
    Raises: ValueError as :class:`ConvTranspose1d`.
    Source: behaviour of ``torch.nn.ConvTranspose3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ConvTranspose3d(2, 1, 2, stride=2)(rustnn.ones(1, 2, 2, 2, 2)).shape
        torch.Size([1, 1, 4, 4, 4])
    """

    _as_tuple = staticmethod(_triple)
    _function = "conv_transpose3d"


class _LazyConvXdMixin(LazyModuleMixin):
    """A convolution that takes in_channels from its first input."""

    def _make_lazy(self, out_channels, bias, device, dtype) -> None:
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_channels = out_channels
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.in_channels != 0:
            super().reset_parameters()

    def initialize_parameters(self, input, *args, **kwargs) -> None:
        """Give the parameters the shapes that ``input`` asks for, and their starting values."""
        if not self.has_uninitialized_params():
            return
        spatial = len(self.kernel_size)
        if input.dim() not in (spatial + 1, spatial + 2):
            raise RuntimeError(
                f"Expected {spatial + 1}D (unbatched) or {spatial + 2}D (batched) input to {type(self).__name__}, but "
                f"got input of size: {input.shape}"
            )
        self.in_channels = input.shape[-spatial - 1]
        if self.in_channels % self.groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        self.weight.materialize((first, second // self.groups, *self.kernel_size))
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class _LazyConv(_LazyConvXdMixin):
    def __init__(
        self,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        dilation=1,
        groups=1,
        bias=True,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ) -> None:
        # No channels: the plain class has nothing to fill yet.
        super().__init__(0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode)
        self._make_lazy(out_channels, bias, device, dtype)


class _LazyConvTranspose(_LazyConvXdMixin):
    def __init__(
        self,
        out_channels,
        kernel_size,
        stride=1,
        padding=0,
        output_padding=0,
        groups=1,
        bias=True,
        dilation=1,
        padding_mode="zeros",
        device=None,
        dtype=None,
    ) -> None:
        super().__init__(0, 0, kernel_size, stride, padding, output_padding, groups, False, dilation, padding_mode)
        self._make_lazy(out_channels, bias, device, dtype)


class LazyConv1d(_LazyConv, Conv1d):
    """A :class:`Conv1d` that takes in_channels from its first input, and then is a plain ``Conv1d``.

    Args: those of :class:`Conv1d` without in_channels.
    Shapes: as :class:`Conv1d`.
    Source: behaviour of ``torch.nn.LazyConv1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LazyConv1d(2, 3)(rustnn.ones(1, 4, 5)).shape
        torch.Size([1, 2, 3])
    """

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """A :class:`Conv2d` that takes in_channels from its first input, and then is a plain ``Conv2d``.

    Args: those of :class:`Conv2d` without in_channels.
    Shapes: as :class:`Conv2d`.
    Source: behaviour of ``torch.nn.LazyConv2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LazyConv2d(2, 3)(rustnn.ones(1, 4, 5, 5)).shape
        torch.Size([1, 2, 3, 3])
    """

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):
    """A :class:`Conv3d` that takes in_channels from its first input, and then is a plain ``Conv3d``.

    Args: those of :class:`Conv3d` without in_channels.
    Shapes: as :class:`Conv3d`.
    Source: behaviour of ``torch.nn.LazyConv3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LazyConv3d(2, 1)(rustnn.ones(1, 4, 2, 2, 2)).shape
        torch.Size([1, 2, 2, 2, 2])
    """

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """A :class:`ConvTranspose1d` that takes in_channels from its first input, and then is a plain ``ConvTranspose1d``.

    Args: those of :class:`ConvTranspose1d` without in_channels.
    Shapes: as :class:`ConvTranspose1d`.
    Source: behaviour of ``torch.nn.LazyConvTranspose1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LazyConvTranspose1d(2, 3)(rustnn.ones(1, 4, 5)).shape
        torch.Size([1, 2, 7])
    """

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """A :class:`ConvTranspose2d` that takes in_channels from its first input, and then is a plain ``ConvTranspose2d``.

    Args: those of :class:`ConvTranspose2d` without in_channels.
    Shapes: as :class:`ConvTranspose2d`.
    Source: behaviour of ``torch.nn.LazyConvTranspose2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LazyConvTranspose2d(2, 3)(rustnn.ones(1, 4, 5, 5)).shape
        torch.Size([1, 2, 7, 7])
    """

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvTranspose, ConvTranspose3d):
    """A :class:`ConvTranspose3d` that takes in_channels from its first input, and then is a plain ``ConvTranspose3d``.

    Args: those of :class:`ConvTranspose3d` without in_channels.
    Shapes: as :class:`ConvTranspose3d`.
    Source: behaviour of ``torch.nn.LazyConvTranspose3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LazyConvTranspose3d(2, 1)(rustnn.ones(1, 4, 2, 2, 2)).shape
        torch.Size([1, 2, 2, 2, 2])
    """

    cls_to_become = ConvTranspose3d
