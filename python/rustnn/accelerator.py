"""``torch.accelerator``: the GPUs of :mod:`rustnn.gpu` that are real.

Adapters that the CPU imitates do not count: a program that takes whatever accelerates it is faster on the CPU itself.

Example:
    >>> import rustnn
    >>> device = rustnn.accelerator.current_accelerator() or "cpu"
    >>> rustnn.zeros(2, device=device).shape
    torch.Size([2])
"""

from . import _core, gpu

__all__ = """
    current_accelerator current_device_idx current_device_index device_count device_index empty_cache is_available
    max_memory_allocated memory_allocated set_device_idx set_device_index synchronize
""".split()


def device_count():
    """How many real GPUs there are."""
    return sum(not _core._gpu_is_imitated(index) for index in range(gpu.device_count()))


def is_available():
    """Whether there is a real GPU."""
    return device_count() > 0


def current_accelerator(check_available=False):
    """``device("gpu")`` where there is a real one, else None."""
    return _core.device("gpu") if is_available() else None


def _index(device):
    """The number of a real GPU.

    Raises: RuntimeError if there is none of that number; ValueError for a device of another type.
    """
    count = device_count()
    if not count:
        raise RuntimeError("Cannot access accelerator device when none is available.")
    index = gpu._index(device)
    if index >= count:
        raise RuntimeError(f"device index {index} is out of range: there are {count} accelerators")
    return index


def current_device_index():
    """The index of the device that ``"gpu"`` means: 0.

    Raises: RuntimeError if there is no accelerator.
    """
    return _index(None)


def set_device_index(device, /):
    """Refuse any device but the first, which is always the current one.

    Raises: RuntimeError for another one, which programs name (``"gpu:1"``), and if there is no accelerator.
    """
    if _index(device):
        raise RuntimeError(f'the current accelerator is always the first; name "gpu:{_index(device)}" instead')


current_device_idx, set_device_idx = current_device_index, set_device_index


def synchronize(device=None, /):
    """Wait until the device has done everything asked of it so far.

    Raises: RuntimeError if there is no accelerator.
    """
    gpu.synchronize(_index(device))


def empty_cache():
    """Give pooled buffers that no tensor uses back to the driver."""
    for index in range(device_count()):
        gpu.empty_cache(index)


def memory_allocated(device=None, /):
    """Bytes of the buffers that tensors hold; 0 without an accelerator."""
    return gpu.memory_allocated(_index(device)) if is_available() else 0


def max_memory_allocated(device=None, /):
    """The most that :func:`memory_allocated` has been."""
    return gpu.max_memory_allocated(_index(device)) if is_available() else 0


class device_index:
    """A context in which an accelerator is the current one; None changes nothing.

    Raises: RuntimeError on entering, as :func:`set_device_index`.
    """

    def __init__(self, device, /):
        self.idx = device

    def __enter__(self):
        if self.idx is not None:
            set_device_index(self.idx)

    def __exit__(self, *exception):
        return False
