"""DataParallel, for programs that wrap their model in it."""

from __future__ import annotations

from rustnn.nn.modules.module import Module

__all__ = ["DataParallel"]


class DataParallel(Module):
    """Returns what its module returns: on one device there is nothing to split.

        y = module(x)

    Args:
        module: the module; it is the attribute ``module``, so keys of state dicts begin with ``module.``.
        device_ids, output_device, dim: kept for PyTorch's signature.
    Raises: ValueError for more than one device.
    Source: behaviour of ``torch.nn.DataParallel`` without a GPU.
    Example:
        >>> from rustnn import nn, ones
        >>> net = nn.DataParallel(nn.Linear(2, 1))
        >>> net(ones(3, 2)).shape, list(net.state_dict())
        (torch.Size([3, 1]), ['module.weight', 'module.bias'])
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0) -> None:
        super().__init__()
        if device_ids is not None and len(device_ids) > 1:
            raise ValueError(f"DataParallel: one device at most is supported, got device_ids={device_ids}")
        self.module = module
        self.device_ids = []
        self.output_device = output_device
        self.dim = dim

    def forward(self, *inputs, **kwargs):
        return self.module(*inputs, **kwargs)
