"""The ranges of dtypes: ``finfo`` of floats, ``iinfo`` of integers."""

from . import _core

__all__ = ["finfo", "iinfo"]

# Bits, greatest number, distance from 1 to the next number, smallest normal number, decimal resolution.
_FLOATS = {
    _core.float16: (16, 65504.0, 2.0**-10, 2.0**-14, 1e-3),
    _core.bfloat16: (16, 255.0 * 2.0**120, 2.0**-7, 2.0**-126, 1e-2),
    _core.float32: (32, (2.0 - 2.0**-23) * 2.0**127, 2.0**-23, 2.0**-126, 1e-6),
    _core.float64: (64, (2.0 - 2.0**-52) * 2.0**1023, 2.0**-52, 2.0**-1022, 1e-15),
    _core.float8_e4m3fn: (8, 448.0, 2.0**-3, 2.0**-6, 1.0),
    _core.float8_e4m3fnuz: (8, 240.0, 2.0**-3, 2.0**-7, 1.0),
    _core.float8_e5m2: (8, 57344.0, 2.0**-2, 2.0**-14, 1.0),
    _core.float8_e5m2fnuz: (8, 57344.0, 2.0**-2, 2.0**-15, 1.0),
}
_PARTS = {_core.complex32: _core.float16, _core.complex64: _core.float32, _core.complex128: _core.float64}
_INTEGERS = {
    _core.uint8: (8, False),
    _core.uint16: (16, False),
    _core.uint32: (32, False),
    _core.uint64: (64, False),
    _core.int8: (8, True),
    _core.int16: (16, True),
    _core.int32: (32, True),
    _core.int64: (64, True),
}


class _Limits:
    __slots__ = ("bits", "dtype", "max", "min")

    def __eq__(self, other):
        return type(other) is type(self) and other.dtype == self.dtype

    def __hash__(self):
        return hash((type(self).__name__, self.dtype))

    def __reduce__(self):
        return type(self), (getattr(_core, self.dtype),)


class finfo(_Limits):
    """The limits of a floating point dtype: of its parts, for a complex one.

    Attributes: bits, dtype (its name), max, min, eps (from 1 to the next number), smallest_normal, tiny (the same) and
        resolution (a power of ten), all Python numbers.
    Raises: TypeError for other dtypes.
    Example:
        >>> rustnn.finfo(rustnn.float16).max
        65504.0
    """

    __slots__ = ("eps", "resolution", "smallest_normal", "tiny")

    def __init__(self, type=None):
        dtype = _core.get_default_dtype() if type is None else type
        dtype = _PARTS.get(dtype, dtype)
        if dtype not in _FLOATS:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'"
            )
        self.bits, self.max, self.eps, self.smallest_normal, self.resolution = _FLOATS[dtype]
        self.min, self.tiny, self.dtype = -self.max, self.smallest_normal, str(dtype).partition(".")[2]

    def __repr__(self):
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo(_Limits):
    """The limits of an integer dtype.

    Attributes: bits, dtype (its name), max and min, all Python numbers.
    Raises: TypeError for other dtypes.
    Example:
        >>> rustnn.iinfo(rustnn.int8).min
        -128
    """

    __slots__ = ()

    def __init__(self, type):
        if type not in _INTEGERS:
            raise TypeError("torch.iinfo() requires an integer input type. Use torch.finfo to handle 'torch.iinfo'")
        self.bits, signed = _INTEGERS[type]
        self.max = 2 ** (self.bits - signed) - 1
        self.min, self.dtype = -self.max - 1 if signed else 0, str(type).partition(".")[2]

    def __repr__(self):
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
