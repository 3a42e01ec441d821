"""CUDA as in a PyTorch that was built without it: there is no device, and asking for one raises.

GPUs are reached as ``rustnn.device("gpu")`` instead: see :mod:`rustnn.gpu`.
"""

from .. import _core

__all__ = """
    CUDAGraph Event Stream can_device_access_peer cudart current_device current_stream default_stream device
    device_count
    device_of empty_cache get_arch_list get_device_capability get_device_name get_device_properties get_rng_state
    get_rng_state_all graph init initial_seed ipc_collect is_available is_bf16_supported is_current_stream_capturing
    is_initialized manual_seed manual_seed_all max_memory_allocated max_memory_reserved mem_get_info memory_allocated
    memory_reserved memory_stats memory_summary reset_max_memory_allocated reset_peak_memory_stats seed seed_all
    set_device set_per_process_memory_fraction set_rng_state set_rng_state_all set_stream stream synchronize utilization
""".split()


def _raise():
    raise AssertionError("Torch not compiled with CUDA enabled")


def is_available():
    """Whether there is a CUDA device: never."""
    return False


def is_initialized():
    """Whether CUDA runs: never."""
    return False


def is_bf16_supported(including_emulation=True):
    """Whether the device computes in bfloat16: there is none."""
    return False


def is_current_stream_capturing():
    """Whether a graph is being recorded: never."""
    return False


def device_count():
    """The number of CUDA devices: 0."""
    return 0


def get_arch_list():
    """The architectures that kernels were compiled for: none."""
    return []


def _nothing(name, doc):
    def function(*args, **kwargs):
        return

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _zero(name):
    def function(device=None):
        return 0

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Bytes of CUDA memory: 0."
    return function


def _refused(name):
    def function(*args, **kwargs):
        _raise()

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Raises AssertionError: there is no CUDA device."
    return function


# What PyTorch takes without a device, for the day that one is there.
manual_seed, manual_seed_all, seed, seed_all = (
    _nothing(name, "Takes a seed for CUDA devices: there are none.")
    for name in ("manual_seed", "manual_seed_all", "seed", "seed_all")
)
empty_cache, ipc_collect, reset_peak_memory_stats, reset_max_memory_allocated = (
    _nothing(name, "There is no CUDA memory.")
    for name in ("empty_cache", "ipc_collect", "reset_peak_memory_stats", "reset_max_memory_allocated")
)
memory_allocated, max_memory_allocated, memory_reserved, max_memory_reserved = map(
    _zero, ("memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved")
)


def memory_stats(device=None):
    """Statistics of CUDA memory: an empty dictionary."""
    return {}


def get_rng_state_all():
    """The states of the generators of all CUDA devices: none."""
    return []


def set_rng_state_all(new_states):
    """Take back what :func:`get_rng_state_all` gave.

    Raises: AssertionError for a state, as there is no device for it.
    """
    for _ in new_states:
        _raise()


for _name in """
    can_device_access_peer cudart current_device current_stream default_stream get_device_capability get_device_name
    get_device_properties get_rng_state init initial_seed mem_get_info memory_summary set_device
    set_per_process_memory_fraction set_rng_state synchronize utilization
""".split():
    globals()[_name] = _refused(_name)
del _name


class _Refused:
    def __init__(self, *args, **kwargs):
        _raise()


class Stream(_Refused):
    """A queue of a CUDA device. Raises AssertionError: there is none."""


class Event(_Refused):
    """A mark in a queue of a CUDA device. Raises AssertionError: there is none."""


class CUDAGraph(_Refused):
    """Recorded CUDA work. Raises AssertionError: there is no CUDA device."""


class graph(_Refused):
    """A context that records CUDA work. Raises AssertionError: there is no CUDA device."""


class device:
    """A context in which a CUDA device is the current one; None and negative numbers change nothing.

    Raises: AssertionError on entering, for any other device.
    """

    def __init__(self, device):
        self.idx = -1 if device is None else device if isinstance(device, int) else _core.device(device).index or 0

    def __enter__(self):
        if self.idx >= 0:
            _raise()

    def __exit__(self, *_):
        return False


class device_of(device):
    """The same for the device of a tensor: one on the CPU changes nothing."""

    def __init__(self, obj):
        super().__init__(None)


class StreamContext:
    """What :func:`stream` returns."""

    def __enter__(self):
        return

    def __exit__(self, *_):
        return False


def stream(stream):
    """A context in which a stream is the current one: None changes nothing, and there is no other."""
    if stream is not None:
        _raise()
    return StreamContext()


def set_stream(stream):
    """Make a stream the current one: None changes nothing, and there is no other."""
    if stream is not None:
        _raise()


def __getattr__(name):
    # amp needs no import of its own; the types of CUDA are named, but make no tensors.
    if name in ("amp", "nccl", "nvtx"):
        import importlib

        return importlib.import_module(f".{name}", __name__)
    if name.endswith("Tensor"):
        from .._tensor import _LEGACY

        if name in _LEGACY.values():
            return type(name, (_Refused,), {"__module__": __name__, "is_cuda": True})
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
