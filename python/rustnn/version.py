"""Versions, as ``torch.version`` gives them."""

from . import __version__

__all__ = ["__version__", "cuda", "debug", "git_version", "hip", "rustnn", "xpu"]

cuda = hip = xpu = git_version = None
debug = False

# The version of this package; `__version__` starts with that of the PyTorch it speaks.
rustnn = __version__.rpartition("rustnn.")[2]
