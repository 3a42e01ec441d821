"""Settings of the whole program that PyTorch's programs make. What they choose between is one thing here, so most are
only remembered: each function says so."""

from . import _core

__all__ = [
    "are_deterministic_algorithms_enabled",
    "get_default_device",
    "get_deterministic_debug_mode",
    "get_float32_matmul_precision",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_warn_always_enabled",
    "set_default_device",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_flush_denormal",
    "set_warn_always",
    "use_deterministic_algorithms",
]

_precision = "highest"
_deterministic = _warn_only = _warn_always = False
_fills = True


def set_float32_matmul_precision(precision):
    """Remember "highest", "high" or "medium". Products of float32 are computed in float32 whatever it is."""
    global _precision
    if precision not in ("highest", "high", "medium"):
        import warnings

        warnings.warn(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current"
            "setFloat32MatmulPrecision call has no effect.",
            stacklevel=2,
        )
        return
    _precision = precision


def get_float32_matmul_precision():
    """What :func:`set_float32_matmul_precision` was given."""
    return _precision


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Remember the wish. Every algorithm is deterministic anyway, also from one number of threads to another.

    What ``empty`` and its like give is NaN then, the greatest integer, True: see :mod:`rustnn.utils.deterministic`.
    """
    global _deterministic, _warn_only
    for name, value in (("mode", mode), ("warn_only", warn_only)):
        if not isinstance(value, bool):
            raise TypeError(
                f"_set_deterministic_algorithms(): argument '{name}' must be bool, not {type(value).__name__}"
            )
    _deterministic, _warn_only = mode, warn_only
    _core._mark_arbitrary(_deterministic and _fills)


def _set_fills(fills):
    global _fills
    _fills = fills
    _core._mark_arbitrary(_deterministic and _fills)


def are_deterministic_algorithms_enabled():
    """What :func:`use_deterministic_algorithms` was given."""
    return _deterministic


def is_deterministic_algorithms_warn_only_enabled():
    """What :func:`use_deterministic_algorithms` was given as ``warn_only``."""
    return _warn_only


def set_deterministic_debug_mode(debug_mode):
    """0 or "default", 1 or "warn", 2 or "error": :func:`use_deterministic_algorithms` by number."""
    names = ("default", "warn", "error")
    if isinstance(debug_mode, str):
        if debug_mode not in names:
            raise RuntimeError(
                f"invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got {debug_mode}"
            )
        debug_mode = names.index(debug_mode)
    if not isinstance(debug_mode, int):
        raise TypeError(f"debug_mode must be str or int, but got {type(debug_mode)}")
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}")
    use_deterministic_algorithms(debug_mode > 0, warn_only=debug_mode == 1)


def get_deterministic_debug_mode():
    """0, 1 or 2: see :func:`set_deterministic_debug_mode`."""
    return 0 if not _deterministic else 1 if _warn_only else 2


def set_warn_always(b):
    """Remember it. Python's warning filters decide what is shown."""
    global _warn_always
    _warn_always = bool(b)


def is_warn_always_enabled():
    """What :func:`set_warn_always` was given."""
    return _warn_always


def set_flush_denormal(mode):
    """False: denormal numbers are always computed with, as after ``set_flush_denormal(False)``."""
    return False


def get_default_device():
    """The device of new tensors in this thread: the CPU, unless :func:`set_default_device` or a ``with`` says else."""
    return _core._default_device()


def set_default_device(device):
    """New tensors for which no device is named lie there from now on, in this thread; None is the CPU."""
    _core._set_default_device("cpu" if device is None else device)
