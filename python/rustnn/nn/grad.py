"""Gradients of convolutions as functions of their own."""

from .. import _core
from ..autograd import grad
from ..autograd.grad_mode import enable_grad
from . import functional as F

__all__ = [f"conv{n}d_{of}" for n in (1, 2, 3) for of in ("input", "weight")]


def _gradient(conv, size, place, other, grad_output, stride, padding, dilation, groups):
    """The gradient of a convolution with respect to its operand number ``place``, of shape ``size``; it is linear in
    that operand, so zeros stand for it."""
    record = _core.is_grad_enabled() and (other.requires_grad or grad_output.requires_grad)
    operand = _core.zeros(tuple(size), dtype=other.dtype, device=other.device, requires_grad=True)
    with enable_grad():
        output = conv(*((operand, other) if place == 0 else (other, operand)), None, stride, padding, dilation, groups)
    return grad(output, operand, grad_output, create_graph=record)[0]


def conv1d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of ``conv1d`` with respect to an input of shape ``input_size``.

    Example:
        >>> weight, grad_output = rustnn.ones(1, 1, 2), rustnn.ones(1, 1, 3)
        >>> rustnn.nn.grad.conv1d_input((1, 1, 4), weight, grad_output).tolist()
        [[[1.0, 2.0, 2.0, 1.0]]]
    """
    return _gradient(F.conv1d, input_size, 0, weight, grad_output, stride, padding, dilation, groups)


def conv1d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of ``conv1d`` with respect to a weight of shape ``weight_size``."""
    return _gradient(F.conv1d, weight_size, 1, input, grad_output, stride, padding, dilation, groups)


def conv2d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of ``conv2d`` with respect to an input of shape ``input_size``."""
    return _gradient(F.conv2d, input_size, 0, weight, grad_output, stride, padding, dilation, groups)


def conv2d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of ``conv2d`` with respect to a weight of shape ``weight_size``."""
    return _gradient(F.conv2d, weight_size, 1, input, grad_output, stride, padding, dilation, groups)


def conv3d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of ``conv3d`` with respect to an input of shape ``input_size``."""
    return _gradient(F.conv3d, input_size, 0, weight, grad_output, stride, padding, dilation, groups)


def conv3d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of ``conv3d`` with respect to a weight of shape ``weight_size``."""
    return _gradient(F.conv3d, weight_size, 1, input, grad_output, stride, padding, dilation, groups)
