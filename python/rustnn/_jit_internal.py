"""Marks for TorchScript's compiler, which other libraries import from here: there is none, and they change nothing."""

from .jit import export, ignore, unused

__all__ = ["export", "ignore", "unused"]


def _copy_to_script_wrapper(fn):
    """The function: a scripted module would get it too."""
    return fn
