"""Assertions about tensors."""

from . import _core
from ._core import Tensor

__all__ = ["assert_allclose", "assert_close"]

# Relative and absolute tolerances; 0 for integers and bool.
_TOLERANCES = {
    _core.float16: (1e-3, 1e-5),
    _core.bfloat16: (1.6e-2, 1e-5),
    _core.float32: (1.3e-6, 1e-5),
    _core.float64: (1e-7, 1e-7),
}


def assert_close(
    actual,
    expected,
    *,
    allow_subclasses=True,
    rtol=None,
    atol=None,
    equal_nan=False,
    check_device=True,
    check_dtype=True,
    check_layout=True,
    check_stride=False,
    msg=None,
):
    """Raise AssertionError unless tensors, numbers, or those in sequences and mappings, are close.

        |actual - expected| <= atol + rtol |expected|

    Args:
        rtol, atol: both or none; none: by dtype, for two dtypes the larger ones.
        equal_nan: NaN is close to NaN.
        check_dtype, check_device, check_stride: these must be equal, too.
        msg: the text of the error, or a function that makes it of the one there would be.
    Raises: AssertionError; ValueError if only one tolerance is given; TypeError for values that cannot be compared.
    Example:
        >>> rustnn.testing.assert_close(rustnn.ones(2) + 1e-7, rustnn.ones(2))
    """
    if (rtol is None) != (atol is None):
        given, other = ("atol", "rtol") if rtol is None else ("rtol", "atol")
        raise ValueError(
            f"rtol and atol must both be specified or both be unspecified, but got no {other} and {given}="
            f"{atol if rtol is None else rtol}."
        )
    problem = _compare(actual, expected, rtol, atol, equal_nan, check_device, check_dtype, check_stride, "")
    if problem is not None:
        raise AssertionError(problem if msg is None else msg(problem) if callable(msg) else msg)


def assert_allclose(actual, expected, rtol=None, atol=None, equal_nan=True, msg=""):
    """:func:`assert_close` without a look at devices, dtypes and strides; ``expected`` may be a number."""
    actual = actual if isinstance(actual, Tensor) else _core.tensor(actual)
    expected = expected if isinstance(expected, Tensor) else _core.tensor(expected, dtype=actual.dtype)
    assert_close(
        actual,
        expected,
        rtol=rtol,
        atol=atol,
        equal_nan=equal_nan,
        check_device=False,
        check_dtype=False,
        msg=msg or None,
    )


def _compare(actual, expected, rtol, atol, equal_nan, check_device, check_dtype, check_stride, where):
    options = (rtol, atol, equal_nan, check_device, check_dtype, check_stride)
    if isinstance(actual, dict) and isinstance(expected, dict):
        if actual.keys() != expected.keys():
            missing, extra = sorted(expected.keys() - actual.keys()), sorted(actual.keys() - expected.keys())
            return (
                f"The keys of the mappings do not match:\nMissing keys in the actual mapping: {missing}\n"
                f"Additional keys in the actual mapping: {extra}{where}"
            )
        pairs = [(key, actual[key], expected[key]) for key in actual]
    elif isinstance(actual, (list, tuple)) and isinstance(expected, (list, tuple)):
        if len(actual) != len(expected):
            return f"The length of the sequences mismatch: {len(actual)} != {len(expected)}{where}"
        pairs = [(i, *pair) for i, pair in enumerate(zip(actual, expected, strict=True))]
    else:
        return _compare_two(actual, expected, *options, where)
    for key, one, other in pairs:
        problem = _compare(one, other, *options, f"\n\nThe failure occurred for item {_path(where)}[{key!r}]")
        if problem is not None:
            return problem
    return None


def _path(where):
    return where.rpartition(" ")[2] if where else ""


def _compare_two(actual, expected, rtol, atol, equal_nan, check_device, check_dtype, check_stride, where):
    if actual is None or expected is None:
        return None if actual is expected else f"None mismatch: {actual} is not {expected}{where}"
    if isinstance(actual, bool) and isinstance(expected, bool):
        return None if actual is expected else f"Booleans mismatch: {actual} is not {expected}{where}"
    scalar = all(isinstance(value, (int, float)) for value in (actual, expected))
    if (
        not scalar
        and not (isinstance(actual, Tensor) and isinstance(expected, Tensor))
        and not (hasattr(actual, "__array_interface__") and hasattr(expected, "__array_interface__"))
    ):
        raise TypeError(f"No comparison pair was able to handle inputs of type {type(actual)} and {type(expected)}.")
    if scalar:
        a, b = (
            _core.tensor(value, dtype=_core.int64 if type(value) is int else _core.float64)
            for value in (actual, expected)
        )
        check_dtype = False
    else:
        a, b = _core.as_tensor(actual), _core.as_tensor(expected)
    if a.shape != b.shape:
        return f"The values for attribute 'shape' do not match: {a.shape} != {b.shape}.{where}"
    for name, wanted in (("device", check_device), ("dtype", check_dtype)):
        if wanted and getattr(a, name) != getattr(b, name):
            return f"The values for attribute '{name}' do not match: {getattr(a, name)} != {getattr(b, name)}.{where}"
    if check_stride and a.stride() != b.stride():
        return f"The values for attribute 'stride()' do not match: {a.stride()} != {b.stride()}.{where}"
    if rtol is None:
        pairs = [_TOLERANCES.get(t.dtype, (0.0, 0.0)) for t in (a, b)]
        rtol, atol = (max(pair[i] for pair in pairs) for i in (0, 1))
    a, b = a.detach().cpu(), b.detach().cpu()
    if a.dtype is not b.dtype:
        dtype = _core.promote_types(a.dtype, b.dtype)
        a, b = a.to(dtype), b.to(dtype)
    if a.dtype is _core.bool:
        a, b = a.to(_core.uint8), b.to(_core.uint8)
    if rtol == atol == 0 and not a.is_floating_point():
        wrong = a != b
    else:
        wrong = ~_core.isclose(a, b, rtol=rtol, atol=atol, equal_nan=equal_nan)
    count = int(wrong.sum())
    if not count:
        return None
    exact = rtol == atol == 0
    wide = _core.float64 if a.is_floating_point() else _core.int64
    x, y = a.to(wide), b.to(wide)
    apart = (x - y).abs().masked_fill(~wrong, 0)
    relative = (apart / y.abs()).masked_fill(~wrong, 0.0)
    state = "equal" if exact else "close"
    limit = ("", "") if exact else (f" (up to {atol} allowed)", f" (up to {rtol} allowed)")
    if a.dim() == 0:
        return (
            f"Scalars are not {state}!\n\nExpected {b.item()} but got {a.item()}.\n"
            f"Absolute difference: {apart.item()}{limit[0]}\nRelative difference: {relative.item()}{limit[1]}{where}"
        )
    from .functional import unravel_index

    def worst(values):
        ranked = values.nan_to_num(float("inf"), posinf=float("inf")) if values.is_floating_point() else values
        at = unravel_index(ranked.argmax(), values.shape)
        at = tuple(int(index) for index in at)
        return f"{values[at].item()} at index {at}"

    share = f"{count} / {a.numel()} ({100 * count / a.numel():.1f}%)"
    return (
        f"Tensor-likes are not {state}!\n\nMismatched elements: {share}\n"
        f"Greatest absolute difference: {worst(apart)}{limit[0]}\n"
        f"Greatest relative difference: {worst(relative)}{limit[1]}{where}"
    )
