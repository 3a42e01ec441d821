"""Wrappers that PyTorch has for several devices."""

from rustnn.nn.parallel.data_parallel import (
    DataParallel,
    DistributedDataParallel,
    data_parallel,
    gather,
    parallel_apply,
    replicate,
    scatter,
)

__all__ = [
    "DataParallel",
    "DistributedDataParallel",
    "data_parallel",
    "gather",
    "parallel_apply",
    "replicate",
    "scatter",
]
