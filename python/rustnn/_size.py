"""``rustnn.Size``: the shape of a tensor."""

from . import _core


class Size(tuple):
    """A tuple of sizes; sums, slices and products of it are Sizes too.

    Example:
        >>> rustnn.zeros(2, 3).shape.numel()
        6
    """

    __slots__ = ()

    def __repr__(self):
        return f"torch.Size([{', '.join(map(str, self))}])"

    def numel(self):
        """The number of elements: the product of the sizes."""
        product = 1
        for size in self:
            product *= size
        return product

    __getitem__ = _core._size_getitem()

    def __add__(self, other):
        if not isinstance(other, tuple):
            return NotImplemented
        return Size(tuple.__add__(self, other))

    def __radd__(self, other):
        if not isinstance(other, tuple):
            return NotImplemented
        return Size(tuple.__add__(other, self))

    def __mul__(self, times):
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __reduce__(self):
        return Size, (tuple(self),)
