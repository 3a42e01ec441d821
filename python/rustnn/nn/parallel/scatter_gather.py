"""The module in which PyTorch has its functions that share out batches."""

from rustnn.nn.parallel.data_parallel import gather, scatter

__all__ = ["gather", "scatter"]
