"""The library opt_einsum, which is not used: ``einsum`` contracts from left to right."""

__all__ = ["get_opt_einsum", "is_available"]

enabled = False
strategy = None


def is_available():
    """Whether it is used: no."""
    return False


def get_opt_einsum():
    """The library: None."""
    return
