"""``torch._foreach_…``: an op on each tensor of a list, one after the other."""

from . import _core
from ._core import Tensor

__all__ = []


def _pairs(tensors, other):
    """Each tensor with its partner: one of a list, or the same for all."""
    if isinstance(other, (list, tuple)):
        if len(other) != len(tensors):
            raise RuntimeError(
                f"Tensor lists must have the same number of tensors, got {len(tensors)} and {len(other)}"
            )
        return zip(tensors, other, strict=True)
    return ((tensor, other) for tensor in tensors)


def _check(tensors):
    if not tensors:
        raise RuntimeError("Tensor list must have at least one tensor.")
    for tensor in tensors:
        if not isinstance(tensor, Tensor):
            raise TypeError(f"a tensor list holds tensors only, got {type(tensor).__name__}")


def _unary(name):
    def foreach(self):
        _check(self)
        results = [getattr(tensor, name)() for tensor in self]
        return None if name.endswith("_") else tuple(results)

    return foreach


def _binary(name):
    def foreach(self, other, **options):
        _check(self)
        results = [getattr(tensor, name)(partner, **options) for tensor, partner in _pairs(self, other)]
        return None if name.endswith("_") else tuple(results)

    return foreach


def _ternary(name):
    def foreach(self, tensor1, tensor2, value=1):
        _check(self)
        values = value.tolist() if isinstance(value, Tensor) else value
        results = [
            getattr(tensor, name)(first, second, value=factor)
            for ((tensor, first), second), factor in zip(
                zip(_pairs(self, tensor1), tensor2, strict=True),
                values if isinstance(values, (list, tuple)) else [values] * len(self),
                strict=True,
            )
        ]
        return None if name.endswith("_") else tuple(results)

    return foreach


def _foreach_lerp(self, tensors1, weight):
    """Each tensor a share of the way to its partner."""
    _check(self)
    return tuple(tensor.lerp(partner, weight) for tensor, partner in _pairs(self, tensors1))


def _foreach_lerp_(self, tensors1, weight):
    """:func:`_foreach_lerp` in place."""
    _check(self)
    for tensor, partner in _pairs(self, tensors1):
        tensor.lerp_(partner, weight)


def _foreach_norm(self, ord=2, dtype=None):
    """The norm of each tensor."""
    _check(self)
    return tuple(_core._vector_norm(tensor, float(ord), None, False, dtype=dtype) for tensor in self)


def _foreach_copy_(self, src, non_blocking=False):
    """Each tensor made a copy of its partner."""
    _check(self)
    for tensor, source in _pairs(self, list(src)):
        tensor.copy_(source)


def _add(maker, names, in_place):
    for name in names.split():
        for form in (name, name + "_")[: 1 + in_place]:
            function = maker(form)
            function.__name__ = function.__qualname__ = f"_foreach_{form}"
            function.__doc__ = f"``{form}`` of each tensor in a list."
            globals()[function.__name__] = function


_add(_unary, "abs ceil cos erf exp expm1 floor log log10 log1p log2 neg reciprocal round rsqrt sigmoid sign", True)
_add(_unary, "sin sqrt tan tanh trunc zero", True)
_add(_binary, "add sub mul div pow clamp_min clamp_max maximum minimum", True)
_add(_ternary, "addcmul addcdiv", True)
del _foreach_zero  # noqa: F821  there is only the form in place
__all__ += [name for name in globals() if name.startswith("_foreach_")]
