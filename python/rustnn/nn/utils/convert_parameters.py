"""Parameters as one long vector, and back."""

from __future__ import annotations

from rustnn import _core
from rustnn.nn.modules.module import _typename

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters):
    """All parameters flattened and joined in order.

    Args:
        parameters: an iterable of tensors on one device.
    Raises: TypeError if they are on several devices.
    Example:
        >>> from rustnn import nn
        >>> nn.utils.parameters_to_vector(nn.Linear(10, 20).parameters()).shape
        torch.Size([220])
    """
    device = None
    flat = []
    for parameter in parameters:
        device = _same_device(parameter, device)
        flat.append(parameter.reshape(-1))
    return _core.cat(flat)


def vector_to_parameters(vec, parameters) -> None:
    """Give each parameter its part of ``vec`` as new data.

    Args:
        vec: what :func:`parameters_to_vector` returns for these parameters.
        parameters: an iterable of tensors on one device.
    Raises: TypeError if ``vec`` is no tensor or the parameters are on several devices.
    Example:
        >>> import rustnn
        >>> layer = rustnn.nn.Linear(1, 1)
        >>> rustnn.nn.utils.vector_to_parameters(rustnn.tensor([2.0, 3.0]), layer.parameters())
        >>> layer.weight.item(), layer.bias.item()
        (2.0, 3.0)
    """
    if not isinstance(vec, _core.Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {_typename(vec)}")
    device = None
    start = 0
    for parameter in parameters:
        device = _same_device(parameter, device)
        count = parameter.numel()
        parameter.data = vec[start : start + count].view_as(parameter).data
        start += count


def _same_device(parameter, device):
    if device is not None and parameter.device != device:
        raise TypeError("Found two parameters on different devices, this is currently not supported.")
    return parameter.device
