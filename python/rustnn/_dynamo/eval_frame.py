"""The class of compiled modules, of which there are none."""

from ..nn import Module

__all__ = ["OptimizedModule"]


class OptimizedModule(Module):
    """For ``isinstance``: ``compile`` returns the module itself."""
