"""The class that tensors with gradients had before tensors had gradients themselves; kept for old programs."""

from .. import _core

__all__ = ["Variable"]

Tensor = _core.Tensor


class _Engine:
    """What runs backwards, as far as programs speak to it."""

    queue_callback = staticmethod(_core._queue_callback)


class _VariableMeta(type):
    def __instancecheck__(cls, instance):
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableMeta):
    """``Variable(tensor, requires_grad)`` is the tensor's memory as a leaf; every tensor is an instance of this class.

    Example:
        >>> from rustnn.autograd import Variable
        >>> Variable(rustnn.ones(2), requires_grad=True).requires_grad
        True
    """

    _execution_engine = _Engine()

    def __new__(cls, data=None, requires_grad=False, volatile=None):
        if data is None:
            data = _core.zeros(0)
        elif not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        return data.detach().requires_grad_(requires_grad)
