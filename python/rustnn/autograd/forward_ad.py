"""Forward-mode derivatives are not recorded: no tensor has a tangent. ``rustnn.func.jvp`` gives the same numbers."""

from typing import NamedTuple

from .. import _core

__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]


class UnpackedDualTensor(NamedTuple):
    """A tensor and its tangent."""

    primal: _core.Tensor
    tangent: _core.Tensor | None


def enter_dual_level():
    """Begins a level; returns its number."""
    return 0


def exit_dual_level(*, level=None):
    """Ends a level."""


class dual_level:
    """A context in which tensors could have tangents."""

    def __enter__(self):
        return enter_dual_level()

    def __exit__(self, *exception):
        return False


def make_dual(tensor, tangent, *, level=None):
    """Raises NotImplementedError: see ``rustnn.func.jvp``."""
    raise NotImplementedError("forward_ad.make_dual: rustnn records no tangents, see rustnn.func.jvp")


def unpack_dual(tensor, *, level=None):
    """The tensor and its tangent: None."""
    return UnpackedDualTensor(tensor, None)
