"""Tools beside the network classes: hook handles (:mod:`rustnn.utils.hooks`), and the packages beside this file."""

from rustnn.utils import hooks

__all__ = ["hooks"]
