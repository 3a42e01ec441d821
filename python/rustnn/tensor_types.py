"""The types of old programs: ``FloatTensor([1, 2])``, ``isinstance(x, LongTensor)``. One for each dtype."""

from . import _core
from ._core import Tensor
from ._tensor import _LEGACY

__all__ = ["TensorType", "set_default_tensor_type", *_LEGACY.values()]


class tensortype(type):
    """The class of the types: tensors of their dtype on the CPU are their instances, calling them makes one."""

    def __instancecheck__(cls, instance):
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype and instance.is_cpu

    def __call__(cls, *args, device=None):
        if device is not None and _core.device(device).type != "cpu":
            raise RuntimeError(
                f"legacy constructor expects device type: cpu but device type: {_core.device(device).type} was passed"
            )
        if not args:
            return _core.empty(0, dtype=cls.dtype)
        source = args[0]
        if len(args) > 1 or isinstance(source, (int, _core.Size)):
            return _core.empty(*args, dtype=cls.dtype)
        if isinstance(source, Tensor):
            if not isinstance(source, cls):
                raise TypeError(f"expected {cls.__name__} (got {source.type()})")
            return source.detach()
        if isinstance(source, (float, complex, str)) or not hasattr(source, "__len__"):
            raise TypeError(f"new(): data must be a sequence (got {type(source).__name__})")
        return _core.tensor(source, dtype=cls.dtype)


def _type(name, dtype):
    doc = f"""Tensors of {dtype} on the CPU: of a size (uninitialised), or of data.

        Raises: TypeError for a number that is no size, and for a tensor of another dtype.
        """
    return tensortype(name, (), {"dtype": dtype, "is_cuda": False, "__doc__": doc, "__module__": __name__})


globals().update({name: _type(name, dtype) for dtype, name in _LEGACY.items()})


class TensorType:
    """PyTorch's type of tensors in graphs of TorchScript, as annotations name it."""

    @staticmethod
    def get():
        """The one type."""
        return _TENSOR_TYPE

    def __repr__(self):
        return "Tensor"


_TENSOR_TYPE = TensorType()


def set_default_tensor_type(t):
    """Make the dtype of a floating point type, or of its name ("torch.DoubleTensor"), the default dtype."""
    if isinstance(t, str):
        name = t.rpartition(".")[2]
        if name not in _LEGACY.values():
            raise TypeError(f"invalid type name: {t}")
        t = globals()[name]
    if not isinstance(t, tensortype):
        raise TypeError("invalid type object")
    if not t.dtype.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _core.set_default_dtype(t.dtype)
