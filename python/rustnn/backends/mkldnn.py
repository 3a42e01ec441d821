"""oneDNN, which is not here: the kernels are rustnn's own."""

__all__ = ["is_available"]


def is_available():
    """Whether it is used: no."""
    return False
