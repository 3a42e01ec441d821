"""``rustnn.Size``: the shape of a tensor."""

import operator

from . import _core


class Size(tuple):
    """A tuple of sizes; sums, slices and products of it are Sizes too.

    Example:
        >>> rustnn.zeros(2, 3).shape.numel()
        6
    """

    __slots__ = ()

    def __new__(cls, sizes=()):
        sizes = tuple(sizes)
        for position, size in enumerate(sizes):
            if type(size) is not int:
                return tuple.__new__(cls, _whole(sizes, position))
        return tuple.__new__(cls, sizes)

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
            raise TypeError(f"can only concatenate tuple (not {type(other).__name__}) to torch.Size")
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


def _whole(sizes, start):
    """The sizes from ``start`` on as ints where they are such; bools and numbers of NumPy are."""
    whole = list(sizes)
    for position in range(start, len(whole)):
        size = whole[position]
        if hasattr(size, "_expression"):
            continue  # of `rustnn.export`, which follows what becomes of it
        try:
            whole[position] = operator.index(size)
        except TypeError:
            kind = type(size).__name__
            raise TypeError(f"torch.Size() takes an iterable of 'int' (item {position} is '{kind}')") from None
    return whole
