"""Autocast: products compute in a half-precision dtype, and what loses too much in it in float32."""

import functools
import warnings

from .. import _core, gpu

__all__ = [
    "autocast",
    "custom_bwd",
    "custom_fwd",
    "get_autocast_cpu_dtype",
    "get_autocast_dtype",
    "get_autocast_gpu_dtype",
    "is_autocast_available",
    "is_autocast_cache_enabled",
    "is_autocast_cpu_enabled",
    "is_autocast_enabled",
]

_DEVICES = """cpu cuda ipu xpu mkldnn opengl opencl ideep hip ve fpga maia xla lazy vulkan mps meta hpu mtia
    privateuseone gpu""".split()

# Types of devices that tensors lie on. One switch for both: what is on for one casts on the other, too.
_HERE = ("cpu", "gpu")

# The dtype that products compute in on this thread now; None while autocast is off.
_now = _core._get_autocast


class autocast:
    """A context and decorator in which products compute in a half-precision dtype, and losses in float32.

    ``linear``, matrix products, convolutions and attention cast their inputs to ``dtype``; losses, ``prod``,
    ``trace`` and
    ``avg_pool3d`` cast theirs to float32; ``cat`` and ``stack`` take the widest dtype they are given. Gradients come
    back
    in the dtype of the parameters.

    Args:
        device_type: "cpu", or "gpu" where there is one; others say that they are not here and do nothing.
        dtype: bfloat16, the CPU's default, or float16, a GPU's.
        enabled: False switches autocast off inside.
        cache_enabled: accepted; casts are not kept.
    Raises: ValueError for a device type that is no text, RuntimeError for one that does not exist.
    Example:
        >>> with rustnn.autocast("cpu"):
        ...     out = rustnn.ones(2, 2) @ rustnn.ones(2, 2)
        >>> out.dtype
        torch.bfloat16
    """

    def __init__(self, device_type, dtype=None, enabled=True, cache_enabled=None):
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if device_type not in _DEVICES:
            raise RuntimeError(
                f"Expected one of {', '.join(_DEVICES[:-1])} device type at start of device string: {device_type}"
            )
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        if enabled and not is_autocast_available(device_type):
            warnings.warn(
                f"User provided device_type of '{device_type}', but {device_type.upper()} is not available. "
                "Disabling autocast.",
                stacklevel=2,
            )
            enabled = False
        elif enabled and self.fast_dtype not in (_core.bfloat16, _core.float16):
            kind = device_type.upper()
            warnings.warn(
                f"In {kind} autocast, but the target dtype is not supported. Disabling autocast.\n{kind} Autocast only "
                "supports dtype of torch.bfloat16, torch.float16 currently.",
                stacklevel=2,
            )
            enabled = False
        self._enabled, self._before = enabled, []

    def __enter__(self):
        self._before.append(_now())
        if self.device in _HERE:
            _core._set_autocast(self.fast_dtype if self._enabled else None)
        return self

    def __exit__(self, *_):
        _core._set_autocast(self._before.pop())
        return False

    def __call__(self, function):
        @functools.wraps(function)
        def inside(*args, **kwargs):
            with self:
                return function(*args, **kwargs)

        return inside


def is_autocast_available(device_type):
    """Whether there is an autocast for a type of devices: for the CPU, and for GPUs where there are some."""
    return device_type == "cpu" or (device_type == "gpu" and gpu.is_available())


def is_autocast_enabled(device_type=None):
    """Whether ops on a type of devices cast their inputs now; "cuda" by default, as PyTorch has it."""
    return device_type in _HERE and _now() is not None


def is_autocast_cpu_enabled():
    """Whether ops on the CPU cast their inputs now."""
    return _now() is not None


def is_autocast_cache_enabled():
    """Whether casts of parameters are kept: never."""
    return False


def get_autocast_dtype(device_type):
    """The dtype that autocast has unless another is said: bfloat16 on the CPU, float16 elsewhere."""
    if device_type in _HERE:
        return _now() or (_core.bfloat16 if device_type == "cpu" else _core.float16)
    return _core.bfloat16 if device_type in ("xpu", "hpu", "xla") else _core.float16


def get_autocast_cpu_dtype():
    """The dtype of autocast on the CPU."""
    return get_autocast_dtype("cpu")


def get_autocast_gpu_dtype():
    """float16."""
    return _core.float16


def custom_fwd(fwd=None, *, device_type=None, cast_inputs=None):
    """A decorator for ``forward`` of an autograd Function.

    Args:
        cast_inputs: the dtype of all floating point tensors inside, where autocast is then off; otherwise it stays as
        it is.
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def inside(*args, **kwargs):
        args[0]._autocast_dtype = _now()
        if cast_inputs is None or _now() is None:
            return fwd(*args, **kwargs)
        with autocast("cpu", enabled=False):
            kwargs = {name: _cast(value, cast_inputs) for name, value in kwargs.items()}
            return fwd(*(_cast(value, cast_inputs) for value in args), **kwargs)

    return inside


def custom_bwd(bwd=None, *, device_type=None):
    """A decorator for ``backward`` of an autograd Function: autocast is inside as it was in ``forward``."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def inside(*args, **kwargs):
        dtype = getattr(args[0], "_autocast_dtype", None)
        with autocast("cpu", dtype, enabled=dtype is not None):
            return bwd(*args, **kwargs)

    return inside


def _cast(value, dtype):
    if isinstance(value, _core.Tensor):
        return value.to(dtype) if value.is_floating_point() and value.dtype is not _core.float64 else value
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(item, dtype) for item in value)
    return value
