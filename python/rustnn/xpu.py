"""Intel's GPUs as in a PyTorch that was built without them. GPUs are ``rustnn.device("gpu")``: :mod:`rustnn.gpu`."""

__all__ = ["current_device", "device_count", "empty_cache", "init", "is_available", "is_bf16_supported"]
__all__ += ["is_initialized", "manual_seed", "manual_seed_all", "memory_allocated", "memory_reserved", "set_device"]
__all__ += ["synchronize"]


def is_available():
    """Whether there is a device: no."""
    return False


is_initialized = is_bf16_supported = is_available


def device_count():
    """The number of devices: 0."""
    return 0


def memory_allocated(device=None):
    """Bytes of the device's memory: 0."""
    return 0


memory_reserved = memory_allocated


def manual_seed(seed):
    """Takes a seed for the device: there is none."""


manual_seed_all = manual_seed


def empty_cache():
    """There is no memory of a device to give back."""


def _refused(name):
    def function(*args, **kwargs):
        raise AssertionError("Torch not compiled with XPU enabled")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Raises AssertionError: there is no device."
    return function


current_device, init, set_device, synchronize = map(_refused, ("current_device", "init", "set_device", "synchronize"))
