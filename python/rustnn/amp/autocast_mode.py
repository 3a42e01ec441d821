"""Autocast: programs that ask for it run in the dtypes of their tensors, and are told so."""

import functools

from .. import _core

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


class autocast:
    """A context and decorator in which PyTorch computes products in a half-precision dtype. Here it is off.

    Asking for it warns: the ops compute in the dtypes of their tensors, which is slower where the hardware is fast in
    halves, and never less exact. Results are float32 where PyTorch's would be bfloat16.

    Args:
        device_type: "cpu", "cuda", ...
        dtype: the half-precision dtype; bfloat16 on the CPU unless it is said.
        enabled: False asks for nothing and warns of nothing.
    Raises: ValueError for a device type that is no text, RuntimeError for one that does not exist.
    Example:
        >>> with rustnn.autocast("cpu", enabled=False):
        ...     rustnn.ones(2)
        tensor([1., 1.])
    """

    def __init__(self, device_type, dtype=None, enabled=True, cache_enabled=None):
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        if device_type not in _DEVICES:
            raise RuntimeError(
                f"Expected one of {', '.join(_DEVICES[:-1])} device type at start of device string: {device_type}"
            )
        self.device, self._enabled = device_type, False
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        if enabled:
            import warnings

            cause = (
                "CUDA is not available"
                if device_type == "cuda"
                else "rustnn computes in the dtypes of the tensors: cast the module and its input to compute in halves"
            )
            warnings.warn(f"{cause}. Disabling autocast.", stacklevel=2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def __call__(self, function):
        @functools.wraps(function)
        def inside(*args, **kwargs):
            with self:
                return function(*args, **kwargs)

        return inside


def is_autocast_available(device_type):
    """Whether there is an autocast for a type of devices: no."""
    return False


def is_autocast_enabled(device_type=None):
    """Whether ops cast their inputs: never."""
    return False


def is_autocast_cpu_enabled():
    """Whether ops on the CPU cast their inputs: never."""
    return False


is_autocast_cache_enabled = is_autocast_cpu_enabled


def get_autocast_dtype(device_type):
    """The dtype that autocast has unless another is said: bfloat16 on the CPU, float16 elsewhere."""
    return _core.bfloat16 if device_type in ("cpu", "xpu", "hpu", "xla") else _core.float16


def get_autocast_cpu_dtype():
    """bfloat16."""
    return _core.bfloat16


def get_autocast_gpu_dtype():
    """float16."""
    return _core.float16


def custom_fwd(fwd=None, *, device_type=None, cast_inputs=None):
    """A decorator for ``forward`` of an autograd Function: as autocast is off, the function itself."""
    return fwd if fwd is not None else lambda function: function


def custom_bwd(bwd=None, *, device_type=None):
    """A decorator for ``backward`` of an autograd Function: as autocast is off, the function itself."""
    return bwd if bwd is not None else lambda function: function
