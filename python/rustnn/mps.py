"""Apple's Metal Performance Shaders as in a PyTorch that was built without them. GPUs are ``rustnn.device("gpu")``."""

__all__ = ["current_allocated_memory", "device_count", "driver_allocated_memory", "empty_cache", "is_available"]
__all__ += ["manual_seed", "synchronize"]


def is_available():
    """Whether there is a device: no."""
    return False


def device_count():
    """The number of devices: 0."""
    return 0


def manual_seed(seed):
    """Takes a seed for the device: there is none."""


def empty_cache():
    """There is no memory of a device to give back."""


def _refuse(name):
    raise RuntimeError(f"Cannot execute {name}() without MPS backend.")


def synchronize():
    """Raises RuntimeError: there is no device."""
    _refuse("deviceSynchronize")


def current_allocated_memory():
    """Raises RuntimeError: there is no device."""
    _refuse("currentAllocatedMemory")


def driver_allocated_memory():
    """Raises RuntimeError: there is no device."""
    _refuse("driverAllocatedMemory")
