"""``range`` of tensors, whose name is Python's own elsewhere."""

import warnings

from . import _core

__all__ = ["range"]


def range(start=0, end=None, step=1, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """``start``, ``start + step``, … up to and including ``end``, as floats; the old form of ``arange``."""
    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with "
        "Python's range builtin. Instead, use torch.arange, which produces values in [start, end).",
        stacklevel=2,
    )
    from .functional import _in_order, _placed

    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    count = int((end - start) / step + 1e-12) + 1
    dtype = dtype or _core.get_default_dtype()
    steps = _core.arange(count, dtype=_core.float64, device="cpu")
    values = _placed(start + step * steps, dtype, device)
    if out is None:
        return values.requires_grad_(requires_grad)
    return _in_order(out, values)
