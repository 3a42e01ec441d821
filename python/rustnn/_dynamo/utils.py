"""What programs ask of PyTorch's compiler."""

__all__ = ["is_compile_supported"]


def is_compile_supported(device_type):
    """Whether ``compile`` makes code for a kind of device: never."""
    return False
