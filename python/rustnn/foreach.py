"""``torch._foreach_…``: an op on each tensor of a list, one after the other. The forms in place give the list back."""

from . import _core
from ._core import Tensor

__all__ = []


def _check(tensors):
    if not isinstance(tensors, (list, tuple)) or not all(isinstance(tensor, Tensor) for tensor in tensors):
        raise TypeError(f"expected a list or tuple of tensors, got {_kinds(tensors)}")
    if not tensors:
        raise RuntimeError("Tensor list must have at least one tensor.")


def _kinds(values):
    if not isinstance(values, (list, tuple)):
        return type(values).__name__
    return f"{type(values).__name__} of {', '.join(sorted({type(value).__name__ for value in values}))}"


def _partners(tensors, other):
    """For each tensor its partner: one of a list of tensors or of numbers, or one number for all."""
    if isinstance(other, (list, tuple)):
        if len(other) != len(tensors):
            if other and isinstance(other[0], Tensor):
                raise RuntimeError(
                    f"Tensor lists must have the same number of tensors, got {len(tensors)} and {len(other)}"
                )
            raise RuntimeError("Tensor list must have same number of elements as scalar list.")
        return other
    if isinstance(other, Tensor) and other.dim() > 0:
        raise RuntimeError(
            f"scalar tensor expected to be 0 dim but it has {other.dim()} dimensions and {other.numel()} elements."
        )
    return [other] * len(tensors)


def _given(self, results, name):
    """What a function returns: of the forms in place, the list that was given."""
    return self if name.endswith("_") else tuple(results)


def _unary(name):
    def foreach(self):
        _check(self)
        return _given(self, [getattr(tensor, name)() for tensor in self], name)

    return foreach


_LACKING = object()


def _binary(name):
    def foreach(self, other=_LACKING, *, scalar=_LACKING, scalars=_LACKING, exponent=_LACKING, **options):
        given = [value for value in (other, scalar, scalars, exponent) if value is not _LACKING]
        if len(given) != 1:
            raise TypeError(f"_foreach_{name}() takes a list of tensors and one other argument, got {1 + len(given)}")
        if isinstance(self, (int, float, complex)):
            _check(given[0])
            return tuple(getattr(_core, name)(self, tensor) for tensor in given[0])
        _check(self)
        partners = _partners(self, given[0])
        results = [getattr(tensor, name)(partner, **options) for tensor, partner in zip(self, partners, strict=True)]
        return _given(self, results, name)

    return foreach


def _ternary(name):
    def foreach(self, tensor1, tensor2, scalars=None, *, value=1):
        _check(self)
        if isinstance(scalars, Tensor):
            if scalars.dim() != 1:
                raise RuntimeError(f"Expected packed scalar Tensor to be of dimension 1. Got {scalars.dim()} instead.")
            scalars = scalars.tolist()
            if len(scalars) != len(self):
                raise RuntimeError(
                    f"Expected length of scalars to match input of length {len(self)} but got {len(scalars)} instead."
                )
        factors = _partners(self, value if scalars is None else scalars)
        rows = zip(self, _partners(self, tensor1), _partners(self, tensor2), factors, strict=True)
        results = [getattr(tensor, name)(first, second, value=factor) for tensor, first, second, factor in rows]
        return _given(self, results, name)

    return foreach


def _lerp(name):
    def foreach(self, tensors1, weight):
        _check(self)
        rows = zip(self, _partners(self, tensors1), _partners(self, weight), strict=True)
        return _given(self, [getattr(tensor, name)(end, share) for tensor, end, share in rows], name)

    return foreach


def _foreach_norm(self, ord=2, dtype=None):
    """The norm of each tensor."""
    _check(self)
    return tuple(_core._vector_norm(tensor, float(ord), None, False, dtype=dtype) for tensor in self)


def _foreach_powsum(self, ord=2, dtype=None):
    """The sum of the absolute values to the power of ``ord``, of each tensor."""
    _check(self)
    return tuple(tensor.to(dtype or tensor.dtype).abs().pow(ord).sum() for tensor in self)


def _foreach_max(self):
    """The greatest element of each tensor."""
    _check(self)
    if not all(tensor.numel() for tensor in self):
        raise RuntimeError(
            "_foreach_max cannot compute the maximum of an empty tensor; max over zero elements is undefined."
        )
    return tuple(tensor.max() for tensor in self)


def _foreach_mm(self, mat2):
    """The product of each matrix and its partner."""
    _check(self)
    return tuple(matrix.mm(other) for matrix, other in zip(self, _partners(self, mat2), strict=True))


def _foreach_copy_(self, src, non_blocking=False):
    """Each tensor made a copy of its partner."""
    _check(self)
    for tensor, source in zip(self, _partners(self, list(src)), strict=True):
        tensor.copy_(source)
    return self


def _add(maker, names, in_place):
    for name in names.split():
        for form in (name, name + "_")[: 1 + in_place]:
            function = maker(form)
            function.__name__ = function.__qualname__ = f"_foreach_{form}"
            function.__doc__ = f"``{form}`` of each tensor in a list."
            globals()[function.__name__] = function


_add(_unary, "abs acos asin atan ceil cos cosh erf erfc exp expm1 floor frac lgamma log log10 log1p log2 neg", True)
_add(_unary, "reciprocal round rsqrt sigmoid sign sin sinh sqrt tan tanh trunc zero", True)
_add(_unary, "clone", False)
_add(_binary, "add sub mul div pow clamp_min clamp_max maximum minimum", True)
_add(_ternary, "addcmul addcdiv", True)
_add(_lerp, "lerp", True)
del _foreach_zero  # noqa: F821  there is only the form in place
__all__ += [name for name in globals() if name.startswith("_foreach_")]
