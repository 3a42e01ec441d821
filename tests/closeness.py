"""How near two results are, in units in the last place, and how a tensor of any torch-like module is read for that."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from references import EPSILON, TINY

# A result far above this does not widen the tolerance of the others in its tensor.
LARGEST_SCALE = 1024.0


def dtype_name(tensor: Any) -> str:
    """The dtype's name without the module: "float32"."""
    return str(tensor.dtype).split(".")[-1]


def numbers(tensor: Any) -> np.ndarray:
    """The numbers as float64, int64 or bool, exactly; not through the NumPy bridge, which has tests of its own."""
    name = dtype_name(tensor)
    wide = np.float64 if "float" in name else bool if name == "bool" else np.int64
    return np.array(tensor.detach().tolist(), dtype=wide).reshape(tuple(tensor.shape))


def spacing(x: np.ndarray, dtype: str) -> np.ndarray:
    """The distance to the next number of that dtype, away from zero."""
    exponent = np.floor(np.log2(np.maximum(np.abs(x), 1e-300)))
    return np.maximum(np.exp2(exponent + np.log2(EPSILON[dtype])), TINY[dtype])


def largest(arrays: list[np.ndarray]) -> float:
    """The largest finite magnitude among the floats."""
    finite = [np.abs(x[np.isfinite(x)]) for x in arrays if x.dtype == np.float64]
    return max((float(x.max()) for x in finite if x.size), default=0.0)


def difference(
    actual: np.ndarray,
    expected: np.ndarray,
    dtype: str,
    ulp: float,
    scale: str = "element",
    signed_zeros: bool = False,
    floor: float = 0.0,
) -> str:
    """What differs, in words; empty if nothing does by more than `ulp`.

    With `scale` "tensor" the unit is that of the largest number in the result, and no less than that of `floor`: the
    size of what was added up, or of dy for a gradient.
    """
    if actual.shape != expected.shape:
        return f"shape {actual.shape}, expected {expected.shape}"
    if expected.dtype != np.float64:
        wrong = actual != expected
        allowed = np.zeros(expected.shape)
    else:
        finite = np.isfinite(expected)
        size = np.where(finite, np.abs(expected), 0.0)
        if scale == "tensor" and size.size:
            size = np.maximum(size, min(max(size.max(), floor), LARGEST_SCALE))
        allowed = ulp * spacing(size, dtype)
        with np.errstate(invalid="ignore"):
            wrong = np.where(finite, ~(np.abs(actual - expected) <= allowed), actual != expected)
        wrong &= ~(np.isnan(actual) & np.isnan(expected))
        if signed_zeros:
            wrong |= (expected == 0) & (actual == 0) & (np.signbit(actual) != np.signbit(expected))
    if not wrong.any():
        return ""
    where = tuple(int(i) for i in np.argwhere(wrong)[0])
    text = f"{wrong.sum()} of {wrong.size} differ, first at {where}: {actual[where]!r}, expected {expected[where]!r}"
    if expected.dtype == np.float64 and math.isfinite(actual[where]) and math.isfinite(expected[where]):
        units = np.abs(actual[where] - expected[where]) / spacing(np.array(size[where]), dtype)
        text += f" ({units:.1f} ulp, allowed {ulp})"
    return text.replace("np.float64", "").replace("np.", "")
