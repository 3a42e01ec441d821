"""Apple's Metal Performance Shaders, which are not here."""

__all__ = ["is_available", "is_built"]


def is_available():
    """Whether there is a device: no."""
    return False


def is_built():
    """Whether this was built with MPS: no."""
    return False
