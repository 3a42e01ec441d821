"""What PyTorch has for swapping tensors behind their names."""

__all__ = ["swap_tensors"]


def swap_tensors(t1, t2) -> None:
    """Raises NotImplementedError: two tensors cannot exchange their identities here; assign to ``.data`` instead."""
    raise NotImplementedError("swap_tensors: rustnn cannot exchange tensors' identities; assign to .data")
