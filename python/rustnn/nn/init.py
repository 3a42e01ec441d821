"""Starting values for parameters: each function fills its tensor in place, without gradients, and returns it.

Source: behaviour of ``torch.nn.init``; He et al. 2015 and Glorot & Bengio 2010 for the Kaiming and Xavier rules. The
    same
seed gives other numbers than PyTorch.
"""

from __future__ import annotations

import math
import warnings

import rustnn
from rustnn import _core

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]


def _without_grad(fill, *args, **kwargs):
    """``fill(*args, **kwargs)`` with recording off; a context manager would take longer than filling a small tensor."""
    before = _core.is_grad_enabled()
    _core._set_grad_enabled(False)
    try:
        return fill(*args, **kwargs)
    finally:
        _core._set_grad_enabled(before)


def _no_grad_uniform_(tensor, a, b, generator=None):
    # As _without_grad, in one frame: most starting values are drawn here.
    before = _core.is_grad_enabled()
    _core._set_grad_enabled(False)
    try:
        return tensor.uniform_(a, b) if generator is None else tensor.uniform_(a, b, generator=generator)
    finally:
        _core._set_grad_enabled(before)


def _no_grad_normal_(tensor, mean, std, generator=None):
    return _without_grad(tensor.normal_, mean, std, generator=generator)


def _no_grad_fill_(tensor, val):
    return _without_grad(tensor.fill_, val)


def _no_grad_zero_(tensor):
    return _without_grad(tensor.zero_)


def _no_grad_trunc_normal_(tensor, mean, std, a, b, generator=None):
    if tensor.is_meta:
        return tensor

    def cdf(x):
        return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0

    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. The distribution of values may be "
            "incorrect.",
            stacklevel=3,
        )
    with _core.no_grad():
        # Uniform between the bounds' probabilities, then the inverse of the normal distribution.
        low, high = cdf((a - mean) / std), cdf((b - mean) / std)
        tensor.uniform_(2 * low - 1, 2 * high - 1, generator=generator)
        tensor.erfinv_()
        tensor.mul_(std * math.sqrt(2.0))
        tensor.add_(mean)
        # erfinv of exactly ±1 is infinite.
        tensor.clamp_(min=a, max=b)
        return tensor


def calculate_gain(nonlinearity, param=None) -> float:
    """The factor by which weights before a nonlinearity are scaled to keep the variance.

        linear, conv*, sigmoid: 1    tanh: 5/3    relu: √2    leaky_relu: √(2 / (1 + param²))    selu: 3/4

    Args:
        nonlinearity: name of the function.
        param: negative slope of ``leaky_relu``, 0.01 by default.
    Raises: ValueError for an unknown name or a slope that is not a number.
    Example:
        >>> from rustnn import nn
        >>> round(nn.init.calculate_gain("relu"), 4)
        1.4142
    """
    if nonlinearity in (
        "linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "sigmoid"
    ):  # fmt: skip
        return 1
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "leaky_relu":
        if param is None:
            param = 0.01
        elif isinstance(param, bool) or not isinstance(param, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + param**2))
    if nonlinearity == "selu":
        # Found by experiment, see PyTorch's pull request 50664.
        return 3.0 / 4
    raise ValueError(f"Unsupported nonlinearity {nonlinearity}")


def uniform_(tensor, a=0.0, b=1.0, generator=None):
    """Fill with values uniform in [a, b).

    Example:
        >>> import rustnn
        >>> bool((rustnn.nn.init.uniform_(rustnn.empty(9), -1, 1).abs() <= 1).all())
        True
    """
    return _no_grad_uniform_(tensor, a, b, generator)


def normal_(tensor, mean=0.0, std=1.0, generator=None):
    """Fill with values of a normal distribution.

    Example:
        >>> import rustnn
        >>> rustnn.nn.init.normal_(rustnn.empty(3, 5), std=0.02).shape
        torch.Size([3, 5])
    """
    return _no_grad_normal_(tensor, mean, std, generator)


def trunc_normal_(tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None):
    """Fill with values of a normal distribution of which only [a, b] is kept.

    Args:
        mean, std: of the distribution before it is cut.
        a, b: the bounds, in the values' own unit (not in standard deviations).
    Example:
        >>> import rustnn
        >>> bool((rustnn.nn.init.trunc_normal_(rustnn.empty(99)).abs() <= 2).all())
        True
    """
    return _no_grad_trunc_normal_(tensor, mean, std, a, b, generator=generator)


def constant_(tensor, val):
    """Fill with ``val``.

    Example:
        >>> import rustnn
        >>> rustnn.nn.init.constant_(rustnn.empty(2), 0.5).tolist()
        [0.5, 0.5]
    """
    return _no_grad_fill_(tensor, val)


def ones_(tensor):
    """Fill with 1.

    Example:
        >>> import rustnn
        >>> rustnn.nn.init.ones_(rustnn.empty(2)).tolist()
        [1.0, 1.0]
    """
    return _no_grad_fill_(tensor, 1.0)


def zeros_(tensor):
    """Fill with 0.

    Example:
        >>> import rustnn
        >>> rustnn.nn.init.zeros_(rustnn.empty(2)).tolist()
        [0.0, 0.0]
    """
    return _no_grad_zero_(tensor)


def eye_(tensor):
    """Fill a matrix with the identity, so that a linear layer passes through what it can.

    Raises: ValueError if the tensor has not 2 dimensions.
    Example:
        >>> import rustnn
        >>> rustnn.nn.init.eye_(rustnn.empty(2, 3)).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    with _core.no_grad():
        tensor.zero_()
        tensor.diagonal().fill_(1)
    return tensor


def dirac_(tensor, groups=1):
    """Fill a convolution kernel with the impulse, so that the layer passes through what channels it can.

    Args:
        tensor: a kernel with 3, 4 or 5 dimensions.
        groups: channel groups, each passed through by itself.
    Raises: ValueError for another number of dimensions, or output channels that ``groups`` does not divide.
    Example:
        >>> import rustnn
        >>> rustnn.nn.init.dirac_(rustnn.empty(1, 1, 3)).tolist()
        [[[0.0, 1.0, 0.0]]]
    """
    dimensions = tensor.ndimension()
    if dimensions not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    sizes = tensor.size()
    if sizes[0] % groups != 0:
        raise ValueError("dim 0 must be divisible by groups")
    if tensor.is_meta:
        return tensor
    per_group = sizes[0] // groups
    centre = tuple(size // 2 for size in sizes[2:])
    with _core.no_grad():
        tensor.zero_()
        for group in range(groups):
            for channel in range(min(per_group, sizes[1])):
                tensor[(group * per_group + channel, channel, *centre)] = 1
    return tensor


def _calculate_fan_in_and_fan_out(tensor):
    dimensions = tensor.dim()
    if dimensions < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    receptive_field = math.prod(tensor.shape[2:])
    return tensor.size(1) * receptive_field, tensor.size(0) * receptive_field


def _calculate_correct_fan(tensor, mode):
    mode = mode.lower()
    valid_modes = ["fan_in", "fan_out"]
    if mode not in valid_modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {valid_modes}")
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return fan_in if mode == "fan_in" else fan_out


def xavier_uniform_(tensor, gain=1.0, generator=None):
    """Fill uniformly in ±a.

        a = gain √(6 / (fan_in + fan_out))

    Raises: ValueError for fewer than 2 dimensions.
    Source: Glorot & Bengio 2010, section 4.2.1.
    Example:
        >>> import rustnn
        >>> bool((rustnn.nn.init.xavier_uniform_(rustnn.empty(3, 3)).abs() <= 1).all())
        True
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    a = gain * math.sqrt(6.0 / float(fan_in + fan_out))
    return _no_grad_uniform_(tensor, -a, a, generator)


def xavier_normal_(tensor, gain=1.0, generator=None):
    """Fill with a normal distribution of standard deviation gain √(2 / (fan_in + fan_out)).

    Raises: ValueError for fewer than 2 dimensions.
    Source: Glorot & Bengio 2010, section 4.2.1.
    Example:
        >>> import rustnn
        >>> rustnn.nn.init.xavier_normal_(rustnn.empty(3, 5)).shape
        torch.Size([3, 5])
    """
    fan_in, fan_out = _calculate_fan_in_and_fan_out(tensor)
    return _no_grad_normal_(tensor, 0.0, gain * math.sqrt(2.0 / float(fan_in + fan_out)), generator)


def kaiming_uniform_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Fill uniformly in ±bound.

        bound = gain(nonlinearity, a) √(3 / fan)

    Args:
        a: negative slope, for ``leaky_relu``.
        mode: ``"fan_in"`` keeps the variance of the forward pass, ``"fan_out"`` that of the backward pass.
        nonlinearity: see :func:`calculate_gain`.
    Raises: ValueError for fewer than 2 dimensions or an unknown mode.
    Source: He et al. 2015, section 2.2.
    Example:
        >>> import rustnn
        >>> bool((rustnn.nn.init.kaiming_uniform_(rustnn.empty(3, 6)).abs() <= 1).all())
        True
    """
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    std = calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))
    bound = math.sqrt(3.0) * std
    return _no_grad_uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(tensor, a=0, mode="fan_in", nonlinearity="leaky_relu", generator=None):
    """Fill with a normal distribution of standard deviation gain(nonlinearity, a) / √fan.

    The arguments are those of :func:`kaiming_uniform_`.

    Raises: ValueError for fewer than 2 dimensions or an unknown mode.
    Source: He et al. 2015, section 2.2.
    Example:
        >>> import rustnn
        >>> rustnn.nn.init.kaiming_normal_(rustnn.empty(3, 5), nonlinearity="relu").shape
        torch.Size([3, 5])
    """
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    std = calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))
    return _no_grad_normal_(tensor, 0.0, std, generator)


def orthogonal_(tensor, gain=1, generator=None):
    """Fill with a (semi-)orthogonal matrix times ``gain``; dimensions after the first count as one.

    Raises: ValueError for fewer than 2 dimensions.
    Source: Saxe et al. 2013; QR of a normal matrix, signs fixed by the diagonal of R so that the result is uniform.
    Example:
        >>> import rustnn
        >>> q = rustnn.nn.init.orthogonal_(rustnn.empty(3, 5))
        >>> bool(((q @ q.T - rustnn.eye(3)).abs() < 1e-5).all())
        True
    """
    if tensor.ndimension() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0 or tensor.is_meta:
        return tensor
    rows = tensor.size(0)
    columns = tensor.numel() // rows
    with _core.no_grad():
        matrix = _core.empty((max(rows, columns), min(rows, columns)), dtype=tensor.dtype, device=tensor.device)
        q, r = rustnn.linalg.qr(matrix.normal_(0, 1, generator=generator))
        q = q * r.diagonal().sign()
        if rows < columns:
            q = q.t()
        tensor.copy_(q.reshape(tensor.shape))
        tensor.mul_(gain)
    return tensor


def sparse_(tensor, sparsity, std=0.01, generator=None):
    """Fill a matrix with a normal distribution and set a fraction of each column to 0.

    Args:
        sparsity: the fraction, rounded up to whole elements.
        std: of the other values.
    Raises: ValueError if the tensor has not 2 dimensions.
    Source: Martens 2010, section 5.
    Example:
        >>> import rustnn
        >>> (rustnn.nn.init.sparse_(rustnn.empty(10, 2), sparsity=0.1) == 0).sum(0).tolist()
        [1, 1]
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    if tensor.is_meta:
        return tensor
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    with _core.no_grad():
        tensor.normal_(0, std, generator=generator)
        for column in range(columns):
            tensor[_core.randperm(rows, generator=generator)[:zeros], column] = 0
    return tensor


def _make_deprecate(function):
    """The old name, without the underscore, of an initialiser."""
    new_name = function.__name__
    old_name = new_name[:-1]

    def deprecated(*args, **kwargs):
        warnings.warn(
            f"`nn.init.{old_name}` is now deprecated in favor of `nn.init.{new_name}`.", FutureWarning, stacklevel=2
        )
        return function(*args, **kwargs)

    deprecated.__name__ = old_name
    deprecated.__doc__ = f"Deprecated name of :func:`{new_name}`."
    return deprecated


uniform = _make_deprecate(uniform_)
normal = _make_deprecate(normal_)
constant = _make_deprecate(constant_)
eye = _make_deprecate(eye_)
dirac = _make_deprecate(dirac_)
xavier_uniform = _make_deprecate(xavier_uniform_)
xavier_normal = _make_deprecate(xavier_normal_)
kaiming_uniform = _make_deprecate(kaiming_uniform_)
kaiming_normal = _make_deprecate(kaiming_normal_)
orthogonal = _make_deprecate(orthogonal_)
sparse = _make_deprecate(sparse_)
