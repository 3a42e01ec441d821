"""Versions, as ``torch.version`` gives them."""

from . import __version__

__all__ = ["__version__", "cuda", "debug", "git_version", "hip", "xpu"]

cuda = hip = xpu = git_version = None
debug = False
