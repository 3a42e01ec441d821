"""Flatten and Unflatten: dimensions joined and split."""

from __future__ import annotations

from rustnn.nn.modules.module import Module

__all__ = ["Flatten", "Unflatten"]


class Flatten(Module):
    """Returns the input with a run of dimensions joined into one.

        y has shape (…, d_start · … · d_end, …)

    Args:
        start_dim, end_dim: first and last dimension of the run.
    Shapes: (*, d_start, …, d_end, *) -> (*, product, *); a view where strides allow. Dtypes: any.
    Source: behaviour of ``torch.nn.Flatten``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Flatten()(rustnn.ones(32, 5, 4, 3)).shape
        torch.Size([32, 60])
    """

    __constants__ = ["start_dim", "end_dim"]

    def __init__(self, start_dim=1, end_dim=-1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input):
        return input.flatten(self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Returns the input with one dimension split into several.

        y has shape (…, s_1, …, s_k, …)

    Args:
        dim: the dimension.
        unflattened_size: the sizes, one may be -1.
    Shapes: (*, s_1 · … · s_k, *) -> (*, s_1, …, s_k, *). Dtypes: any.
    Raises: TypeError if the sizes are not a tuple or list of ints; RuntimeError if they do not fit.
    Source: behaviour of ``torch.nn.Unflatten``, without its form for named dimensions.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Unflatten(1, (2, 5, 5))(rustnn.ones(2, 50)).shape
        torch.Size([2, 2, 5, 5])
    """

    __constants__ = ["dim", "unflattened_size"]

    def __init__(self, dim, unflattened_size) -> None:
        super().__init__()
        if not isinstance(unflattened_size, (tuple, list)):
            raise TypeError(
                f"unflattened_size must be a tuple of ints, but found type {type(unflattened_size).__name__}"
            )
        for position, size in enumerate(unflattened_size):
            if not isinstance(size, int):
                raise TypeError(
                    f"unflattened_size must be tuple of ints, but found element of type {type(size).__name__} at pos "
                    f"{position}"
                )
        self.dim = dim
        self.unflattened_size = unflattened_size

    def forward(self, input):
        return input.unflatten(self.dim, self.unflattened_size)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
