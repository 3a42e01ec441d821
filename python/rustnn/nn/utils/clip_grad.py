"""Gradients kept within bounds, by norm or by value."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

from rustnn import _core

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

Tensor = _core.Tensor


def _as_list(tensors):
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The norm of all tensors taken as one long vector.

        ‖(‖t_1‖_p, …, ‖t_n‖_p)‖_p

    Args:
        tensors: a tensor or an iterable of tensors.
        norm_type: p; infinity gives the largest absolute value.
        error_if_nonfinite: raise if the norm is nan or infinite.
        foreach: kept for PyTorch's signature.
    Raises: RuntimeError for a norm that is not finite, if asked.
    Example:
        >>> import rustnn
        >>> rustnn.nn.utils.get_total_norm([rustnn.tensor([3.0]), rustnn.tensor([4.0])]).item()
        5.0
    """
    tensors = _as_list(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return _core.tensor(0.0)
    with _core.no_grad():
        total = _core.stack([tensor.norm(norm_type) for tensor in tensors]).norm(norm_type)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None) -> None:
    """Multiply all gradients, in place, by max_norm / (total_norm + 1e-6) where that is below 1.

    Args:
        parameters: a tensor or an iterable of tensors with ``.grad``.
        max_norm: greatest norm.
        total_norm: the gradients' norm, as a tensor.
        foreach: kept for PyTorch's signature.
    """
    grads = [parameter.grad for parameter in _as_list(parameters) if parameter.grad is not None]
    if not grads:
        return
    with _core.no_grad():
        # Always multiplied, by at most 1: no value has to be read back to decide.
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for grad in grads:
            grad.mul_(factor.to(grad.device))


def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scale all gradients together, in place, so that their norm is at most ``max_norm``.

    Args:
        parameters: a tensor or an iterable of tensors; those without gradient are left out.
        max_norm: greatest norm.
        norm_type: p of the norm.
        error_if_nonfinite: raise if the norm is nan or infinite.
        foreach: kept for PyTorch's signature.
    Returns: the norm before scaling.
    Raises: RuntimeError for a norm that is not finite, if asked.
    Example:
        >>> import rustnn
        >>> w = rustnn.nn.Parameter(rustnn.zeros(2))
        >>> (w * rustnn.tensor([3.0, 4.0])).sum().backward()
        >>> rustnn.nn.utils.clip_grad_norm_(w, max_norm=1.0).item(), round(w.grad.norm().item(), 3)
        (5.0, 1.0)
    """
    if not isinstance(parameters, Tensor):
        # A generator would be used up by the first pass.
        is_generator = isinstance(parameters, Iterator)
        parameters = list(parameters)
        if is_generator and not parameters:
            warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=3)
    grads = [parameter.grad for parameter in _as_list(parameters) if parameter.grad is not None]
    total = get_total_norm(grads, norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total, foreach)
    return total


def clip_grad_norm(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Deprecated name of :func:`clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters, clip_value, foreach=None) -> None:
    """Cut every element of all gradients, in place, to [-clip_value, clip_value].

    Args:
        parameters: a tensor or an iterable of tensors; those without gradient are left out.
        clip_value: greatest absolute value.
        foreach: kept for PyTorch's signature.
    Example:
        >>> import rustnn
        >>> w = rustnn.nn.Parameter(rustnn.zeros(2))
        >>> (w * rustnn.tensor([3.0, -0.5])).sum().backward()
        >>> rustnn.nn.utils.clip_grad_value_(w, 1.0)
        >>> w.grad.tolist()
        [1.0, -0.5]
    """
    clip_value = float(clip_value)
    with _core.no_grad():
        for parameter in _as_list(parameters):
            if parameter.grad is not None:
                parameter.grad.clamp_(min=-clip_value, max=clip_value)
