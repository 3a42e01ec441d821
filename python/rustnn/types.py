"""Names for annotations, as ``torch.types`` has them."""

import builtins
from collections.abc import Sequence
from os import PathLike
from typing import IO, Any

from . import _core
from ._core import Tensor, device, dtype
from ._size import Size

__all__ = ["Device", "FileLike", "IntLikeType", "Number", "Storage", "TensorOrTensors"]

_TensorOrTensors = TensorOrTensors = Tensor | Sequence[Tensor]
_TensorOrTensorsOrGradEdge = Any
_dtype = dtype
_device = device
_layout = _core.layout
_size = Size | list[builtins.int] | tuple[builtins.int, ...]
_symsize = _size
_dispatchkey = str
_int, _float, _bool, _complex = builtins.int, builtins.float, builtins.bool, builtins.complex
IntLikeType = builtins.int
FloatLikeType = builtins.float
BoolLikeType = builtins.bool
py_sym_types = ()
PySymType = Any
Number = builtins.int | builtins.float | builtins.bool
Device = device | str | builtins.int | None
FileLike = str | PathLike | IO[bytes]
Storage = Any


class SymInt:
    """For ``isinstance``: a size that PyTorch's compiler leaves open. Sizes are numbers here."""


class SymFloat:
    """As :class:`SymInt`."""


class SymBool:
    """As :class:`SymInt`."""
