"""Memory shared with other libraries by the DLPack protocol, on the CPU, through NumPy."""

from rustnn import _core

__all__ = ["from_dlpack", "to_dlpack"]


class _Capsule:
    """What :func:`to_dlpack` of any library gave, as an object of the protocol."""

    def __init__(self, capsule):
        self._capsule = capsule

    def __dlpack__(self, stream=None, **options):
        return self._capsule

    def __dlpack_device__(self):
        return 1, 0  # the CPU


class _Writable:
    """The array of an old capsule, which knows no read-only memory; NumPy takes it for such."""

    def __init__(self, array):
        self._array = array
        self.__array_interface__ = {**array.__array_interface__, "data": (array.ctypes.data, False)}


def from_dlpack(ext_tensor, *, device=None, copy=None):
    """A tensor over the memory of another library's array.

    Args:
        ext_tensor: an object with ``__dlpack__``, on the CPU, or a capsule.
        device: the CPU, or where a copy goes.
        copy: True copies; False refuses where a copy is needed.
    Raises: BufferError, TypeError or RuntimeError for memory that NumPy cannot take over, ValueError for a copy
        refused.
    """
    import numpy

    is_capsule = not hasattr(ext_tensor, "__dlpack__")
    is_versioned = is_capsule and "versioned" in repr(ext_tensor)
    array = numpy.from_dlpack(_Capsule(ext_tensor) if is_capsule else ext_tensor)
    if is_capsule and not is_versioned:
        array = _Writable(array)
    elif not array.flags.writeable:
        if copy is False:
            raise ValueError("from_dlpack: read-only memory cannot be shared; copy=True copies it")
        array = array.copy()
    tensor = _core.as_tensor(array)
    tensor = tensor.clone() if copy else tensor
    return tensor if device is None else tensor.to(device)


def to_dlpack(tensor):
    """A capsule over a tensor's memory, for one consumer.

    Raises: as :meth:`Tensor.__dlpack__`.
    """
    return tensor.__dlpack__()
