"""The module in which PyTorch has its wrapper for several processes."""

from rustnn.nn.parallel.data_parallel import DistributedDataParallel

__all__ = ["DistributedDataParallel"]
