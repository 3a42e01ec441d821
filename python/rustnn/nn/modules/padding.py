"""Padding of signals, images and volumes: circular, constant, mirrored, repeated edge, zeros."""

from __future__ import annotations

from rustnn.nn import functional as F
from rustnn.nn.modules.module import Module
from rustnn.nn.modules.utils import _ntuple, _pair, _quadruple

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]

_sextuple = _ntuple(6, "_sextuple")


class _PadNd(Module):
    """What all padding layers share: the amounts as a tuple, last dimension first."""

    __constants__ = ["padding"]
    _as_tuple = None
    _mode = None

    def __init__(self, padding) -> None:
        super().__init__()
        self.padding = type(self)._as_tuple(padding)

    def forward(self, input):
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPadNd(_PadNd):
    _mode = "circular"
    # Accepted ranks: with and without the batch dimension.
    _ranks = ()

    def forward(self, input):
        if input.dim() not in self._ranks:
            low, high = self._ranks
            raise ValueError(f"expected {low}D or {high}D input (got {input.dim()}D input)")
        return F.pad(input, self.padding, self._mode)


class _ConstantPadNd(_PadNd):
    __constants__ = ["padding", "value"]
    _mode = "constant"

    def __init__(self, padding, value) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input):
        return F.pad(input, self.padding, self._mode, self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ReflectionPadNd(_PadNd):
    _mode = "reflect"


class _ReplicationPadNd(_PadNd):
    _mode = "replicate"


class CircularPad1d(_CircularPadNd):
    """Returns a signal with the signal repeated added on its sides.

        y inside = x;  y outside = x[i mod n]

    Args:
        padding: positions to add, one number for all sides or (left, right); negative ones cut off.
    Shapes: (N, C, L) or (C, L) -> the same with longer L. Dtypes: any; result as input.
    Raises: ValueError for an input of another rank; RuntimeError for more padding than the length.
    Source: behaviour of ``torch.nn.CircularPad1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.CircularPad1d(1)(rustnn.tensor([[0.0, 1.0, 2.0]])).tolist()
        [[2.0, 0.0, 1.0, 2.0, 0.0]]
    """

    _as_tuple = staticmethod(_pair)
    _ranks = (2, 3)


class CircularPad2d(_CircularPadNd):
    """Returns an image with the signal repeated added on its sides.

        y inside = x;  y outside = x[i mod n]

    Args:
        padding: positions to add, one number for all sides or (left, right, top, bottom); negative ones cut off.
    Shapes: (N, C, H, W) or (C, H, W) -> the same with longer H, W. Dtypes: any; result as input.
    Raises: ValueError for an input of another rank; RuntimeError for more padding than the length.
    Source: behaviour of ``torch.nn.CircularPad2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.CircularPad2d(1)(rustnn.ones(1, 3, 4, 4)).shape
        torch.Size([1, 3, 6, 6])
    """

    _as_tuple = staticmethod(_quadruple)
    _ranks = (3, 4)


class CircularPad3d(_CircularPadNd):
    """Returns a volume with the signal repeated added on its sides.

        y inside = x;  y outside = x[i mod n]

    Args:
        padding: positions to add, one number for all sides or (left, right, top, bottom, front, back); negative ones
            cut off.
    Shapes: (N, C, D, H, W) or (C, D, H, W) -> the same with longer D, H, W. Dtypes: any; result as input.
    Raises: ValueError for an input of another rank; RuntimeError for more padding than the length.
    Source: behaviour of ``torch.nn.CircularPad3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.CircularPad3d(1)(rustnn.ones(1, 3, 4, 4, 4)).shape
        torch.Size([1, 3, 6, 6, 6])
    """

    _as_tuple = staticmethod(_sextuple)
    _ranks = (4, 5)


class ConstantPad1d(_ConstantPadNd):
    """Returns a signal with a fixed value added on its sides.

        y inside = x;  y outside = value

    Args:
        padding: positions to add, one number for all sides or (left, right); negative ones cut off.
        value: the fixed value.
    Shapes: (N, C, L) or (C, L) -> the same with longer L. Dtypes: any; result as input.
    Source: behaviour of ``torch.nn.ConstantPad1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ConstantPad1d(1, 7.0)(rustnn.tensor([[0.0, 1.0, 2.0]])).tolist()
        [[7.0, 0.0, 1.0, 2.0, 7.0]]
    """

    _as_tuple = staticmethod(_pair)


class ConstantPad2d(_ConstantPadNd):
    """Returns an image with a fixed value added on its sides.

        y inside = x;  y outside = value

    Args:
        padding: positions to add, one number for all sides or (left, right, top, bottom); negative ones cut off.
        value: the fixed value.
    Shapes: (N, C, H, W) or (C, H, W) -> the same with longer H, W. Dtypes: any; result as input.
    Source: behaviour of ``torch.nn.ConstantPad2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ConstantPad2d(1, 7.0)(rustnn.ones(1, 3, 4, 4)).shape
        torch.Size([1, 3, 6, 6])
    """

    _as_tuple = staticmethod(_quadruple)


class ConstantPad3d(_ConstantPadNd):
    """Returns a volume with a fixed value added on its sides.

        y inside = x;  y outside = value

    Args:
        padding: positions to add, one number for all sides or (left, right, top, bottom, front, back); negative ones
            cut off.
        value: the fixed value.
    Shapes: (N, C, D, H, W) or (C, D, H, W) -> the same with longer D, H, W. Dtypes: any; result as input.
    Source: behaviour of ``torch.nn.ConstantPad3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ConstantPad3d(1, 7.0)(rustnn.ones(1, 3, 4, 4, 4)).shape
        torch.Size([1, 3, 6, 6, 6])
    """

    _as_tuple = staticmethod(_sextuple)


class ReflectionPad1d(_ReflectionPadNd):
    """Returns a signal with the signal mirrored without its edge added on its sides.

        y inside = x;  y outside = x mirrored at the edge

    Args:
        padding: positions to add, one number for all sides or (left, right); negative ones cut off.
    Shapes: (N, C, L) or (C, L) -> the same with longer L. Dtypes: any; result as input.
    Raises: RuntimeError for an input of another rank, or padding not below the length.
    Source: behaviour of ``torch.nn.ReflectionPad1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ReflectionPad1d(1)(rustnn.tensor([[0.0, 1.0, 2.0]])).tolist()
        [[1.0, 0.0, 1.0, 2.0, 1.0]]
    """

    _as_tuple = staticmethod(_pair)


class ReflectionPad2d(_ReflectionPadNd):
    """Returns an image with the signal mirrored without its edge added on its sides.

        y inside = x;  y outside = x mirrored at the edge

    Args:
        padding: positions to add, one number for all sides or (left, right, top, bottom); negative ones cut off.
    Shapes: (N, C, H, W) or (C, H, W) -> the same with longer H, W. Dtypes: any; result as input.
    Raises: RuntimeError for an input of another rank, or padding not below the length.
    Source: behaviour of ``torch.nn.ReflectionPad2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ReflectionPad2d(1)(rustnn.ones(1, 3, 4, 4)).shape
        torch.Size([1, 3, 6, 6])
    """

    _as_tuple = staticmethod(_quadruple)


class ReflectionPad3d(_ReflectionPadNd):
    """Returns a volume with the signal mirrored without its edge added on its sides.

        y inside = x;  y outside = x mirrored at the edge

    Args:
        padding: positions to add, one number for all sides or (left, right, top, bottom, front, back); negative ones
            cut off.
    Shapes: (N, C, D, H, W) or (C, D, H, W) -> the same with longer D, H, W. Dtypes: any; result as input.
    Raises: RuntimeError for an input of another rank, or padding not below the length.
    Source: behaviour of ``torch.nn.ReflectionPad3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ReflectionPad3d(1)(rustnn.ones(1, 3, 4, 4, 4)).shape
        torch.Size([1, 3, 6, 6, 6])
    """

    _as_tuple = staticmethod(_sextuple)


class ReplicationPad1d(_ReplicationPadNd):
    """Returns a signal with the edge value added on its sides.

        y inside = x;  y outside = the nearest x

    Args:
        padding: positions to add, one number for all sides or (left, right); negative ones cut off.
    Shapes: (N, C, L) or (C, L) -> the same with longer L. Dtypes: any; result as input.
    Raises: RuntimeError for an input of another rank.
    Source: behaviour of ``torch.nn.ReplicationPad1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ReplicationPad1d(1)(rustnn.tensor([[0.0, 1.0, 2.0]])).tolist()
        [[0.0, 0.0, 1.0, 2.0, 2.0]]
    """

    _as_tuple = staticmethod(_pair)


class ReplicationPad2d(_ReplicationPadNd):
    """Returns an image with the edge value added on its sides.

        y inside = x;  y outside = the nearest x

    Args:
        padding: positions to add, one number for all sides or (left, right, top, bottom); negative ones cut off.
    Shapes: (N, C, H, W) or (C, H, W) -> the same with longer H, W. Dtypes: any; result as input.
    Raises: RuntimeError for an input of another rank.
    Source: behaviour of ``torch.nn.ReplicationPad2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ReplicationPad2d(1)(rustnn.ones(1, 3, 4, 4)).shape
        torch.Size([1, 3, 6, 6])
    """

    _as_tuple = staticmethod(_quadruple)


class ReplicationPad3d(_ReplicationPadNd):
    """Returns a volume with the edge value added on its sides.

        y inside = x;  y outside = the nearest x

    Args:
        padding: positions to add, one number for all sides or (left, right, top, bottom, front, back); negative ones
            cut off.
    Shapes: (N, C, D, H, W) or (C, D, H, W) -> the same with longer D, H, W. Dtypes: any; result as input.
    Raises: RuntimeError for an input of another rank.
    Source: behaviour of ``torch.nn.ReplicationPad3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ReplicationPad3d(1)(rustnn.ones(1, 3, 4, 4, 4)).shape
        torch.Size([1, 3, 6, 6, 6])
    """

    _as_tuple = staticmethod(_sextuple)


class ZeroPad1d(ConstantPad1d):
    """Returns a signal with zeros added on its sides.

        y inside = x;  y outside = 0

    Args:
        padding: positions to add, one number for all sides or (left, right); negative ones cut off.
    Shapes: (N, C, L) or (C, L) -> the same with longer L. Dtypes: any; result as input.
    Source: behaviour of ``torch.nn.ZeroPad1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ZeroPad1d(1)(rustnn.tensor([[0.0, 1.0, 2.0]])).tolist()
        [[0.0, 0.0, 1.0, 2.0, 0.0]]
    """

    def __init__(self, padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Returns an image with zeros added on its sides.

        y inside = x;  y outside = 0

    Args:
        padding: positions to add, one number for all sides or (left, right, top, bottom); negative ones cut off.
    Shapes: (N, C, H, W) or (C, H, W) -> the same with longer H, W. Dtypes: any; result as input.
    Source: behaviour of ``torch.nn.ZeroPad2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ZeroPad2d(1)(rustnn.ones(1, 3, 4, 4)).shape
        torch.Size([1, 3, 6, 6])
    """

    def __init__(self, padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Returns a volume with zeros added on its sides.

        y inside = x;  y outside = 0

    Args:
        padding: positions to add, one number for all sides or (left, right, top, bottom, front, back); negative ones
            cut off.
    Shapes: (N, C, D, H, W) or (C, D, H, W) -> the same with longer D, H, W. Dtypes: any; result as input.
    Source: behaviour of ``torch.nn.ZeroPad3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ZeroPad3d(1)(rustnn.ones(1, 3, 4, 4, 4)).shape
        torch.Size([1, 3, 6, 6, 6])
    """

    def __init__(self, padding) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"
