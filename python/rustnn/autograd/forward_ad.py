"""Forward-mode derivatives: tensors that carry a tangent, and what operations make of it.

A tangent is found when it is asked for, by differentiating twice backwards what was recorded since the dual tensors
were made: operations need no rules of their own for it, but they have to be recorded.
"""

from typing import NamedTuple

from .. import _core
from . import grad
from .function import Function
from .grad_mode import enable_grad

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]

Tensor = _core.Tensor

_current_level = -1
_was_recording = True
# Of each dual tensor of the level: the leaf that its gradient reaches, and its tangent.
_duals = []


class UnpackedDualTensor(NamedTuple):
    """A tensor and its tangent, None if it has none."""

    primal: Tensor
    tangent: Tensor | None


def enter_dual_level():
    """Begin a level and return its number, 0. Operations are recorded inside, also where ``no_grad`` stands around it.

    Raises: RuntimeError inside of another level.
    """
    global _current_level, _was_recording
    if _current_level >= 0:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _current_level = 0
    _was_recording = _core.is_grad_enabled()
    _core._set_grad_enabled(True)
    return 0


def exit_dual_level(*, level=None):
    """End a level; its dual tensors lose their tangents.

    Raises: RuntimeError if ``level`` is not the last one begun, or there is none.
    """
    global _current_level
    if _current_level < 0 or level not in (None, _current_level):
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is not supported."
        )
    _current_level = -1
    _duals.clear()
    _core._set_grad_enabled(_was_recording)


class dual_level:
    """A context in which tensors can have tangents.

    Example:
        >>> import rustnn.autograd.forward_ad as forward_ad
        >>> with forward_ad.dual_level():
        ...     x = forward_ad.make_dual(rustnn.tensor([2.0, 3.0]), rustnn.tensor([1.0, 10.0]))
        ...     forward_ad.unpack_dual(x * x).tangent.tolist()
        [4.0, 60.0]
    """

    def __enter__(self):
        return enter_dual_level()

    def __exit__(self, *exception):
        exit_dual_level()


class _Dual(Function):
    """The tensor under a new name, in the same memory; gradients reach the anchor as well."""

    @staticmethod
    def forward(ctx, tensor, anchor, tangent):
        ctx.set_materialize_grads(False)
        ctx.tangent = tangent
        return tensor.detach()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, gradient, None


def _check_floating(what, tensor):
    if not (tensor.is_floating_point() or tensor.is_complex()):
        raise ValueError(f"Expected {what} to be floating point or complex, but got: {tensor.dtype}")


def make_dual(tensor, tangent, *, level=None):
    """The tensor, in the same memory, with a tangent.

    Args:
        tensor, tangent: of floating point and of one shape.
        level: the current one.
    Raises: RuntimeError outside of a level, for another shape, for a tensor or tangent that has a tangent; ValueError
        for other dtypes.
    """
    if _current_level < 0:
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first."
        )
    _check_floating("primal", tensor)
    _check_floating("tangent", tangent)
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            "Trying to set a forward gradient that has a different size than that of the original Tensor, this is not "
            f"supported. Tensor is of size {list(tensor.shape)} while the given forward gradient is of size "
            f"{list(tangent.shape)}."
        )
    for part in (tensor, tangent):
        if _tangent_of(part) is not None:
            raise RuntimeError(
                "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level "
                f"{_current_level} is not supported."
            )
    anchor = tensor.detach().requires_grad_()
    with enable_grad():
        dual = _Dual.apply(tensor, anchor, tangent)
    _duals.append((anchor, tangent))
    return dual


def unpack_dual(tensor, *, level=None):
    """The tensor without its tangent, and the tangent, None if it depends on no dual tensor of the level.

    What depends on other tensors that require a gradient keeps its graph, tangent and all.
    """
    tangent = _tangent_of(tensor) if isinstance(tensor, Tensor) else None
    if tangent is None:
        return UnpackedDualTensor(tensor, None)
    return UnpackedDualTensor(_without_duals(tensor), tangent)


def _without_duals(tensor):
    from ..func import _left

    return _left([tensor], [anchor for anchor, _ in _duals])[0]


def _tangent_of(tensor):
    if not _duals or not tensor.requires_grad or tensor.grad_fn is None:
        return None
    anchors, tangents = zip(*_duals, strict=True)
    if tensor.grad_fn.name() == "_DualBackward" and any(tensor.grad_fn.tangent is tangent for tangent in tangents):
        return tensor.grad_fn.tangent
    with enable_grad():
        weight = _core.zeros_like(tensor).requires_grad_()
        sums = grad(tensor, anchors, weight, create_graph=True, allow_unused=True)
        found = [(part, tangent) for part, tangent in zip(sums, tangents, strict=True) if part is not None]
        if not found:
            return None
        recorded = [(part, tangent) for part, tangent in found if part.requires_grad]
        if not recorded:
            return _core.zeros_like(tensor)
        parts, directions = zip(*recorded, strict=True)
        directions = [direction.to(part.dtype) for part, direction in recorded]
        (tangent,) = grad(parts, weight, directions, create_graph=True, allow_unused=True)
    if tangent is None:
        return _core.zeros_like(tensor)
    return _without_duals(tangent)
