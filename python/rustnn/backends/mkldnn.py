"""oneDNN, which is not here: the kernels are rustnn's own."""

from contextlib import contextmanager

__all__ = ["flags", "is_available"]


def is_available():
    """Whether it is used: no."""
    return False


@contextmanager
def flags(enabled=False, deterministic=False, allow_tf32=True, fp32_precision="none"):
    """A context in which the switches would have other values."""
    yield
