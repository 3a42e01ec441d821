"""``out=`` of functions that are written in Python: the tensor that takes over a result."""

import warnings

from . import _core
from ._tensor import _kind


def refuse_gradients(name, result, out):
    """Raise where a result or its ``out`` would have to be recorded."""
    if result.requires_grad or out.requires_grad:
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, but one of the "
            "arguments requires grad."
        )


def filled(result, out):
    """``out`` with a result in it, resized to fit: with a warning, where it had elements."""
    if out.shape != result.shape:
        if out.numel():
            warnings.warn(
                _core._resized_text(out.shape, result.shape),
                UserWarning,
                stacklevel=4,
            )
        out.resize_(result.shape)
    return out.copy_(result) if result.numel() else out


def written(name, result, out):
    """The result of the function ``name``, in ``out`` if that is given.

    Raises: RuntimeError for a dtype that the result's cannot be cast to, and where a gradient is asked for.
    """
    if out is None:
        return result
    refuse_gradients(name, result, out)
    if not _core.can_cast(result.dtype, out.dtype):
        raise RuntimeError(
            f"result type {_kind(result.dtype)} can't be cast to the desired output type {_kind(out.dtype)}"
        )
    return filled(result, out)
