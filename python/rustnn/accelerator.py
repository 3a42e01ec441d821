"""Accelerators as in a PyTorch that was built without one. GPUs are ``rustnn.device("gpu")``: see :mod:`rustnn.gpu`."""

__all__ = ["current_accelerator", "current_device_index", "device_count", "empty_cache", "is_available"]
__all__ += ["device_index", "set_device_index", "synchronize"]


def is_available():
    """Whether there is an accelerator: no."""
    return False


def device_count():
    """The number of accelerators: 0."""
    return 0


def current_accelerator(check_available=False):
    """The device of the accelerator: None."""
    return


def _refuse():
    raise RuntimeError("Cannot access accelerator device when none is available.")


def current_device_index():
    """Raises RuntimeError: there is no accelerator."""
    _refuse()


def set_device_index(device):
    """Raises RuntimeError: there is no accelerator."""
    _refuse()


def synchronize(device=None):
    """Raises RuntimeError: there is no accelerator."""
    _refuse()


def empty_cache():
    """Raises RuntimeError: there is no accelerator."""
    _refuse()


class device_index:
    """A context in which an accelerator is the current one; None changes nothing.

    Raises: RuntimeError on entering, for a number: there is no accelerator.
    """

    def __init__(self, device, /):
        self.idx = device

    def __enter__(self):
        if self.idx is not None:
            _refuse()

    def __exit__(self, *exception):
        return False
