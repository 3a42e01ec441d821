"""Linear maps: Linear, Bilinear, and Identity."""

from __future__ import annotations

import math

from rustnn import _core
from rustnn.nn import functional as F
from rustnn.nn import init
from rustnn.nn.modules.lazy import LazyModuleMixin
from rustnn.nn.modules.module import Module
from rustnn.nn.parameter import Parameter, UninitializedParameter

__all__ = ["Bilinear", "Identity", "LazyLinear", "Linear"]


class Identity(Module):
    """Returns its input unchanged; takes and ignores any arguments.

        y = x

    Shapes: (*) -> (*). Dtypes: any.
    Source: behaviour of ``torch.nn.Identity``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Identity(54, unused=True)(rustnn.ones(2)).tolist()
        [1.0, 1.0]
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__()

    def forward(self, input):
        return input


class Linear(Module):
    """Returns an affine map of the last dimension.

        y = x Wᵀ + b

    Args:
        in_features: size of the last dimension of the input.
        out_features: size of the last dimension of the output.
        bias: whether to add b.
        device, dtype: of the parameters.
    Shapes: (*, in_features) -> (*, out_features); ``weight`` (out_features, in_features), ``bias`` (out_features).
        Dtypes: floating point; result as input. Both start uniform in ±1/√in_features.
    Raises: RuntimeError if the last dimension is not in_features.
    Source: behaviour of ``torch.nn.Linear``.
    Example:
        >>> import rustnn
        >>> layer = rustnn.nn.Linear(20, 30)
        >>> layer(rustnn.ones(128, 20)).shape
        torch.Size([128, 30])
    """

    __constants__ = ["in_features", "out_features"]

    def __init__(self, in_features, out_features, bias=True, device=None, dtype=None) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = Parameter(_core.empty((out_features, in_features), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(_core.empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new starting values: uniform in ±1/√in_features."""
        parameters = self._parameters
        # As in forward.
        weight = parameters["weight"] if "weight" in parameters else self.weight
        bias = parameters["bias"] if "bias" in parameters else self.bias
        if weight.numel() == 0:
            # Which warns; there is nothing to draw.
            init.kaiming_uniform_(weight, a=math.sqrt(5))
        bound = 1 / math.sqrt(weight.size(1)) if weight.size(1) > 0 else 0
        init.uniform_(weight, -bound, bound)
        if bias is not None:
            init.uniform_(bias, -bound, bound)

    def forward(self, input):
        parameters = self._parameters
        try:
            # Not by attribute: that fails first and then asks __getattr__, which takes longer than a small product.
            weight, bias = parameters["weight"], parameters["bias"]
        except KeyError:
            # The weight is computed: weight_norm, parametrize.
            weight, bias = self.weight, self.bias
        return F.linear(input, weight, bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class NonDynamicallyQuantizableLinear(Linear):
    """A Linear by another class name, which attention's output projection has in PyTorch."""


class Bilinear(Module):
    """Returns a bilinear map of the last dimensions of two inputs.

        y_k = x1ᵀ A_k x2 + b_k

    Args:
        in1_features, in2_features: sizes of the inputs' last dimensions, > 0.
        out_features: size of the output's last dimension.
        bias: whether to add b.
        device, dtype: of the parameters.
    Shapes: (*, in1_features), (*, in2_features) -> (*, out_features). Dtypes: floating point; result as input.
    Raises: ValueError if in1_features is not positive; RuntimeError if sizes do not fit.
    Source: behaviour of ``torch.nn.Bilinear``.
    Example:
        >>> import rustnn
        >>> layer = rustnn.nn.Bilinear(20, 30, 40)
        >>> layer(rustnn.ones(8, 20), rustnn.ones(8, 30)).shape
        torch.Size([8, 40])
    """

    __constants__ = ["in1_features", "in2_features", "out_features"]

    def __init__(self, in1_features, in2_features, out_features, bias=True, device=None, dtype=None) -> None:
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"in1_features must be > 0, but got {in1_features}")
        self.in1_features = in1_features
        self.in2_features = in2_features
        self.out_features = out_features
        self.weight = Parameter(_core.empty((out_features, in1_features, in2_features), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(_core.empty(out_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new starting values: uniform in ±1/√in1_features."""
        bound = 1 / math.sqrt(self.weight.size(1))
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1, input2):
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, "
            f"out_features={self.out_features}, bias={self.bias is not None}"
        )


class LazyLinear(LazyModuleMixin, Linear):
    """A ``Linear`` that takes in_features from its first input, and then is a plain ``Linear``.

        y = x Wᵀ + b

    Args:
        out_features, bias, device, dtype: as for ``Linear``.
    Shapes: (*, in_features) -> (*, out_features).
    Source: behaviour of ``torch.nn.LazyLinear``.
    Example:
        >>> import rustnn
        >>> layer = rustnn.nn.LazyLinear(3)
        >>> layer(rustnn.ones(2, 5)).shape, layer
        (torch.Size([2, 3]), Linear(in_features=5, out_features=3, bias=True))
    """

    cls_to_become = Linear

    def __init__(self, out_features, bias=True, device=None, dtype=None) -> None:
        # Zero features: the plain class has nothing to fill yet.
        super().__init__(0, 0, False)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.in_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input) -> None:
        """Give the parameters the shapes that ``input`` asks for, and their starting values."""
        if self.has_uninitialized_params():
            with _core.no_grad():
                self.in_features = input.shape[-1]
                self.weight.materialize((self.out_features, self.in_features))
                if self.bias is not None:
                    self.bias.materialize((self.out_features,))
                self.reset_parameters()
        if self.in_features == 0:
            self.in_features = input.shape[-1]
