"""NVIDIA's collectives, which are not here."""

from . import _refused

__all__ = [
    "all_gather",
    "all_reduce",
    "broadcast",
    "init_rank",
    "is_available",
    "reduce",
    "reduce_scatter",
    "unique_id",
]
__all__ += ["version"]

SUM = 0  # ncclRedOp_t

all_gather, all_reduce, broadcast, init_rank, reduce, reduce_scatter, unique_id, version = map(
    _refused, "all_gather all_reduce broadcast init_rank reduce reduce_scatter unique_id version".split()
)


def is_available(tensors):
    """Whether these tensors can go through NCCL: never; a warning says so."""
    import warnings

    warnings.warn("PyTorch is not compiled with NCCL support", stacklevel=2)
    return False
