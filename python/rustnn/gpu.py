"""GPUs, through wgpu: Vulkan, Metal or DX12. Their tensors lie on ``rustnn.device("gpu")``, ``"gpu:1"``, …

Ops are recorded and run later; what leaves the device (``item``, ``tolist``, ``numpy``, ``cpu``, printing) or has a
shape that depends on the data (``nonzero``, masks) waits for them. An op without a GPU kernel runs on the CPU, with one
warning that names it.

Example:
    >>> import rustnn
    >>> rustnn.gpu.is_available() in (True, False)
    True
"""

from . import _core

__all__ = [
    "current_device",
    "device_count",
    "device_name",
    "empty_cache",
    "get_device_name",
    "is_available",
    "max_memory_allocated",
    "memory_allocated",
    "synchronize",
]


def _index(device):
    if device is None:
        return 0
    if isinstance(device, int):
        if not 0 <= device < device_count():
            raise RuntimeError(f"invalid device: gpu:{device}; there are {device_count()} of them")
        return device
    device = _core.device(device)
    if device.type != "gpu":
        raise ValueError(f"Expected a gpu device, but got: {device}")
    return device.index or 0


def _call(name, device):
    return getattr(_core, name)(_index(device))


def device_count():
    """How many GPUs there are; adapters that the CPU imitates (lavapipe) count. 0 in a build without the feature."""
    return _core._gpu_device_count()


def is_available():
    """Whether there is a GPU."""
    return device_count() > 0


def device_name(device=None):
    """The name of the adapter, its interface and driver.

    Raises: RuntimeError if there is no such device.
    """
    return _call("_gpu_device_name", device)


get_device_name = device_name


def current_device():
    """The index of the device that ``"gpu"`` means: 0."""
    return 0


def synchronize(device=None):
    """Wait until the device has done everything asked of it so far.

    Raises: RuntimeError if the device was lost or refused an op.
    """
    _call("_gpu_synchronize", device)


def memory_allocated(device=None):
    """Bytes of the buffers that tensors hold."""
    return _call("_gpu_memory", device)[0]


def max_memory_allocated(device=None):
    """The most that :func:`memory_allocated` has been."""
    return _call("_gpu_memory", device)[1]


def empty_cache(device=None):
    """Give pooled buffers that no tensor uses back to the driver."""
    if is_available():
        _call("_gpu_empty_cache", device)


def _counts(device=None):
    """(dispatches, times the host waited) so far."""
    return _call("_gpu_counts", device)
