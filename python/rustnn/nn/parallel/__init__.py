"""Wrappers that PyTorch has for several devices."""

from rustnn.nn.parallel.data_parallel import DataParallel

__all__ = ["DataParallel"]
