"""The CPU in the words of the other devices."""

__all__ = ["current_device", "device_count", "is_available", "set_device", "synchronize"]


def is_available():
    """Whether there is a CPU: yes."""
    return True


def device_count():
    """The number of CPUs as devices: 1."""
    return 1


def current_device():
    """The current device's name."""
    return "cpu"


def set_device(device):
    """There is one device only."""


def synchronize(device=None):
    """Every op is complete when its call returns."""


def __getattr__(name):
    if name == "amp":
        import importlib

        return importlib.import_module(".amp", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
