"""What programs for several devices wrap their model in. Here all of it runs on the one device that there is."""

from __future__ import annotations

from contextlib import contextmanager

from rustnn import _core
from rustnn.nn.modules.module import Module

__all__ = [
    "DataParallel",
    "DistributedDataParallel",
    "data_parallel",
    "gather",
    "parallel_apply",
    "replicate",
    "scatter",
]


def _one_device(name, device_ids) -> None:
    if device_ids is not None and len(device_ids) > 1:
        raise ValueError(f"{name}: one device at most is supported, got device_ids={device_ids}")


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
        _one_device("DataParallel", device_ids)
        self.module = module
        self.device_ids = []
        self.output_device = output_device
        self.dim = dim

    def forward(self, *inputs, **kwargs):
        return self.module(*inputs, **kwargs)


class DistributedDataParallel(Module):
    """Returns what its module returns: a group of one process has nobody to average gradients with.

        y = module(x)

    Args:
        module: the module; it is the attribute ``module``, so keys of state dicts begin with ``module.``.
        device_ids: one at most.
        options: PyTorch's others, without effect.
    Raises: ValueError for more than one device; RuntimeError if no parameter requires gradients.
    Source: behaviour of ``torch.nn.parallel.DistributedDataParallel`` in a group of one.
    Example:
        >>> from rustnn import nn, ones
        >>> net = nn.parallel.DistributedDataParallel(nn.Linear(2, 1))
        >>> with net.no_sync():
        ...     net(ones(3, 2)).sum().backward()
        >>> net.module.bias.grad.item()
        3.0
    """

    def __init__(self, module, device_ids=None, output_device=None, dim=0, **options) -> None:
        super().__init__()
        _one_device("DistributedDataParallel", device_ids)
        if not any(param.requires_grad for param in module.parameters()):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter that requires a "
                "gradient."
            )
        self.module = module
        self.device_ids = device_ids
        self.output_device = output_device
        self.dim = dim

    def forward(self, *inputs, **kwargs):
        return self.module(*inputs, **kwargs)

    @contextmanager
    def no_sync(self):
        """Gradients are not averaged inside; there is nothing to leave out."""
        yield


def data_parallel(module, inputs, device_ids=None, output_device=None, dim=0, module_kwargs=None):
    """The result of ``module(*inputs, **module_kwargs)``; the other arguments are kept for PyTorch's signature."""
    _one_device("data_parallel", device_ids)
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)), **(module_kwargs or {}))


def parallel_apply(modules, inputs, kwargs_tup=None, devices=None):
    """The results of each module on its arguments, one after the other.

    Args:
        modules: the modules.
        inputs: for each of them its positional arguments, a tuple, or its only one.
        kwargs_tup: for each of them its keyword arguments.
        devices: kept for PyTorch's signature.
    """
    if len(modules) != len(inputs):
        raise AssertionError(f"The number of modules {len(modules)} is not equal to the number of inputs {len(inputs)}")
    kwargs_tup = kwargs_tup or ({},) * len(modules)
    return [
        module(*(args if isinstance(args, (list, tuple)) else (args,)), **kwargs)
        for module, args, kwargs in zip(modules, inputs, kwargs_tup, strict=True)
    ]


def replicate(network, devices, detach=False):
    """The network once per device; copies of its parameters would differ in nothing."""
    return [network for _ in devices]


def scatter(inputs, target_gpus, dim=0):
    """A list of ``inputs``, one for each device: the tensors in them, nested or not, are split along ``dim``."""
    count = len(target_gpus)
    if isinstance(inputs, _core.Tensor):
        return list(inputs.chunk(count, dim))
    if isinstance(inputs, (list, tuple)) and inputs:
        parts = zip(*(scatter(item, target_gpus, dim) for item in inputs), strict=False)
        named = hasattr(inputs, "_fields")
        return [type(inputs)(*part) if named else type(inputs)(part) for part in parts]
    if isinstance(inputs, dict) and inputs:
        values = zip(*(scatter(item, target_gpus, dim) for item in inputs.values()), strict=False)
        return [type(inputs)(zip(inputs, part, strict=True)) for part in values]
    return [inputs for _ in target_gpus]


def gather(outputs, target_device, dim=0):
    """Join what the devices computed along ``dim``: tensors, or lists, tuples and dictionaries of them."""
    first = outputs[0]
    if isinstance(first, _core.Tensor):
        return _core.stack(outputs) if first.dim() == 0 else _core.cat(outputs, dim)
    if first is None:
        return None
    if isinstance(first, dict):
        return type(first)((key, gather([output[key] for output in outputs], target_device, dim)) for key in first)
    parts = [gather(list(items), target_device, dim) for items in zip(*outputs, strict=True)]
    return type(first)(*parts) if hasattr(first, "_fields") else type(first)(parts)
