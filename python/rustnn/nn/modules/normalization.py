"""Normalisation within a sample: LayerNorm, GroupNorm, RMSNorm, local response."""

from __future__ import annotations

from rustnn import _core
from rustnn.nn import functional as F
from rustnn.nn import init
from rustnn.nn.modules.module import Module
from rustnn.nn.parameter import Parameter

__all__ = ["CrossMapLRN2d", "GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class LocalResponseNorm(Module):
    """Returns each value divided by a power of its neighbouring channels' mean square.

        y_c = x_c / (k + alpha/size · Σ x_c'²)^beta, c' over the size channels around c

    Args:
        size: number of channels.
        alpha, beta, k: the numbers in the formula.
    Shapes: (N, C, *) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError for fewer than 3 dimensions.
    Source: Krizhevsky et al. 2012, section 3.3; behaviour of ``torch.nn.LocalResponseNorm``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LocalResponseNorm(2)(rustnn.ones(1, 4, 3)).shape
        torch.Size([1, 4, 3])
    """

    __constants__ = ["size", "alpha", "beta", "k"]

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input):
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """Returns the local response normalisation of (N, C, H, W) images; an older name of :class:`LocalResponseNorm`.

        y_c = x_c / (k + alpha/size · Σ x_c'²)^beta

    Args: those of :class:`LocalResponseNorm`.
    Shapes: (N, C, H, W) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError for an input that is not 4-D.
    Source: behaviour of ``torch.nn.CrossMapLRN2d``, whose running sum keeps the first channel too long; here the
        formula holds.
    Example:
        >>> import rustnn
        >>> rustnn.nn.CrossMapLRN2d(3)(rustnn.ones(1, 4, 2, 2)).shape
        torch.Size([1, 4, 2, 2])
    """

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1) -> None:
        super().__init__(size, alpha, beta, k)

    def forward(self, input):
        if input.dim() != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.dim()}D instead.")
        return super().forward(input)


def _as_shape(normalized_shape):
    return (normalized_shape,) if hasattr(normalized_shape, "__index__") else tuple(normalized_shape)


class LayerNorm(Module):
    """Returns the input normalised over its last dimensions.

        y = (x - E[x]) / √(Var[x] + eps) · weight + bias

    Args:
        normalized_shape: the last dimensions, one size or several.
        eps: added to the (biased) variance, in its unit.
        elementwise_affine: whether there are weight and bias.
        bias: False leaves out the bias.
        device, dtype: of the parameters.
    Shapes: (*, normalized_shape) -> the same. Dtypes: floating point; result as input.
    Raises: RuntimeError if the last dimensions are not normalized_shape.
    Source: Ba et al. 2016; behaviour of ``torch.nn.LayerNorm``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LayerNorm(2)(rustnn.tensor([[0.0, 2.0]])).round().tolist()
        [[-1.0, 1.0]]
    """

    __constants__ = ["normalized_shape", "eps", "elementwise_affine"]

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, device=None, dtype=None) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        if elementwise_affine:
            self.weight = Parameter(_core.empty(self.normalized_shape, device=device, dtype=dtype))
        else:
            self.register_parameter("weight", None)
        if elementwise_affine and bias:
            self.bias = Parameter(_core.empty(self.normalized_shape, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weight to 1 and bias to 0."""
        if self.elementwise_affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def forward(self, input):
        parameters = self._parameters
        try:
            weight, bias = parameters["weight"], parameters["bias"]
        except KeyError:
            weight, bias = self.weight, self.bias
        return F.layer_norm(input, self.normalized_shape, weight, bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """Returns the input normalised over groups of channels and all spatial dimensions.

        y = (x - E[x]) / √(Var[x] + eps) · weight + bias, weight and bias per channel

    Args:
        num_groups: number of groups; divides num_channels.
        num_channels: size of dimension 1.
        eps: added to the (biased) variance, in its unit.
        affine: whether there are weight and bias.
        device, dtype: of the parameters.
        bias: False leaves out the bias.
    Shapes: (N, C, *) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError if num_groups does not divide num_channels.
    Source: Wu & He 2018; behaviour of ``torch.nn.GroupNorm``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.GroupNorm(3, 6)(rustnn.ones(2, 6, 4, 4)).shape
        torch.Size([2, 6, 4, 4])
    """

    __constants__ = ["num_groups", "num_channels", "eps", "affine"]

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True, device=None, dtype=None, *, bias=True) -> None:
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        if affine:
            self.weight = Parameter(_core.empty(num_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("weight", None)
        if affine and bias:
            self.bias = Parameter(_core.empty(num_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set weight to 1 and bias to 0."""
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def forward(self, input):
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """Returns the input divided by the root mean square of its last dimensions.

        y = x / √(E[x²] + eps) · weight

    Args:
        normalized_shape: the last dimensions, one size or several.
        eps: added to the mean square; None for the dtype's epsilon.
        elementwise_affine: whether there is a weight.
        device, dtype: of the weight.
    Shapes: (*, normalized_shape) -> the same. Dtypes: floating point; result as input.
    Raises: RuntimeError if the last dimensions are not normalized_shape.
    Source: Zhang & Sennrich 2019; behaviour of ``torch.nn.RMSNorm``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.RMSNorm(2)(rustnn.tensor([[3.0, 3.0]])).round().tolist()
        [[1.0, 1.0]]
    """

    __constants__ = ["normalized_shape", "eps", "elementwise_affine"]

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        if elementwise_affine:
            self.weight = Parameter(_core.empty(self.normalized_shape, device=device, dtype=dtype))
        else:
            self.register_parameter("weight", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        if self.elementwise_affine:
            init.ones_(self.weight)

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
