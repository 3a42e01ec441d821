"""Functions of ``torch``'s top level that compose ops."""

from . import _core
from ._core import Tensor

__all__ = ["broadcast_shapes", "broadcast_tensors", "is_storage", "is_tensor", "numel"]


def is_tensor(obj):
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj):
    """Whether an object is a storage."""
    return False


def numel(input):
    """The number of elements."""
    return input.numel()


def broadcast_shapes(*shapes):
    """The shape that arrays of the given shapes broadcast to.

    Raises: RuntimeError if they do not.
    """
    rank = max((len(shape) if isinstance(shape, tuple) else 1 for shape in shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        shape = shape if isinstance(shape, (tuple, list)) else (shape,)
        for i in range(-1, -1 - len(shape), -1):
            if shape[i] < 0:
                raise RuntimeError(f"Trying to create tensor with negative dimension ({shape[i]}): ({shape[i]})")
            if shape[i] == 1 or shape[i] == result[i]:
                continue
            if result[i] != 1:
                raise RuntimeError(
                    "Shape mismatch: objects cannot be broadcast to a single shape: "
                    f"{tuple(result)} and {tuple(shape)} differ at dimension {i}"
                )
            result[i] = shape[i]
    return _core.Size(result)


def broadcast_tensors(*tensors):
    """The tensors expanded to their common shape."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    shape = broadcast_shapes(*(tensor.shape for tensor in tensors))
    return tuple(tensor.expand(shape) for tensor in tensors)
