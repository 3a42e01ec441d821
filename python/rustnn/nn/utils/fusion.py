"""A batch normalisation in evaluation mode folded into the layer before it."""

from __future__ import annotations

import copy

from rustnn import _core
from rustnn.nn.parameter import Parameter

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]


def _fold(weight, bias, running_mean, running_var, eps, scale, shift, channel_dim):
    """W' = W s, b' = (b - mean) s + shift with s = scale / √(var + eps), one per channel."""
    if bias is None:
        bias = _core.zeros_like(running_mean)
    scale = _core.ones_like(running_mean) if scale is None else scale
    shift = _core.zeros_like(running_mean) if shift is None else shift
    factor = scale * (running_var + eps).rsqrt()
    shape = [1] * weight.dim()
    shape[channel_dim] = -1
    new_weight = (weight * factor.reshape(shape)).to(weight.dtype)
    new_bias = ((bias - running_mean) * factor + shift).to(bias.dtype)
    return Parameter(new_weight, weight.requires_grad), Parameter(new_bias, bias.requires_grad)


def fuse_conv_bn_weights(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, transpose=False):
    """The weight and bias of a convolution that does the work of the convolution and its batch normalisation.

    Args:
        conv_w, conv_b: of the convolution; the bias may be None.
        bn_rm, bn_rv, bn_eps, bn_w, bn_b: running mean and variance, epsilon, scale and shift of the normalisation.
        transpose: whether the convolution is a transposed one.
    Returns: two Parameters.
    """
    return _fold(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


def fuse_linear_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b):
    """The weight and bias of a linear layer that does the work of the layer and its batch normalisation.

    The arguments are those of :func:`fuse_conv_bn_weights`. Returns: two Parameters.
    """
    return _fold(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def fuse_conv_bn_eval(conv, bn, transpose=False):
    """A copy of ``conv`` that does the work of ``conv`` followed by ``bn``, both in evaluation mode.

    Raises: AssertionError if one of them is in training mode or ``bn`` has no running statistics.
    Example:
        >>> from rustnn import nn, ones
        >>> conv, bn = nn.Conv2d(1, 2, 3).eval(), nn.BatchNorm2d(2).eval()
        >>> nn.utils.fuse_conv_bn_eval(conv, bn)(ones(1, 1, 3, 3)).shape
        torch.Size([1, 2, 1, 1])
    """
    if conv.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("BatchNorm must have running_mean and running_var")
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_linear_bn_eval(linear, bn):
    """A copy of ``linear`` that does the work of ``linear`` followed by ``bn``, both in evaluation mode.

    Raises: AssertionError if one of them is in training mode, ``bn`` has no running statistics, or the sizes do not
        fit.
    Example:
        >>> from rustnn import nn, ones
        >>> linear, bn = nn.Linear(3, 2).eval(), nn.BatchNorm1d(2).eval()
        >>> nn.utils.fuse_linear_bn_eval(linear, bn)(ones(1, 3)).shape
        torch.Size([1, 2])
    """
    if linear.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("BatchNorm must have running_mean and running_var")
    if not (linear.out_features == bn.num_features or bn.num_features == 1):
        raise AssertionError("To fuse, linear.out_features == bn.num_features or bn.num_features == 1")
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused
