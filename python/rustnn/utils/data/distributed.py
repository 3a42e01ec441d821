"""The share of a dataset that one of several training processes reads."""

from itertools import chain, islice, repeat

from ... import _core
from .sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler):
    """Every ``num_replicas``-th index, starting at ``rank``; all ranks get equally many.

    Args:
        dataset: what is shared out.
        num_replicas: how many processes there are. rank: which one this is. From ``rustnn.distributed`` if not given.
        shuffle: a random order, the same on all ranks and another in every epoch told to :meth:`set_epoch`.
        seed: of that order; the same on all ranks.
        drop_last: leave out the last indices that do not make a full round, instead of starting again from the first.

    Example:
        >>> from rustnn.utils.data import DistributedSampler
        >>> [list(DistributedSampler(range(5), num_replicas=2, rank=rank, shuffle=False)) for rank in (0, 1)]
        [[0, 2, 4], [1, 3, 0]]
    """

    def __init__(self, dataset, num_replicas=None, rank=None, shuffle=True, seed=0, drop_last=False):
        if num_replicas is None or rank is None:
            distributed = _distributed()
            num_replicas = distributed.get_world_size() if num_replicas is None else num_replicas
            rank = distributed.get_rank() if rank is None else rank
        if not 0 <= rank < num_replicas:
            raise ValueError(f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]")
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        rounds, left_over = divmod(len(dataset), num_replicas)
        self.num_samples = rounds + (left_over > 0 and not drop_last)
        self.total_size = self.num_samples * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self):
        size = len(self.dataset)
        if self.shuffle:
            generator = _core.Generator()
            generator.manual_seed(self.seed + self.epoch)
            order = _core.randperm(size, generator=generator).tolist()
        else:
            order = range(size)
        return islice(chain.from_iterable(repeat(order)), self.rank, self.total_size, self.num_replicas)

    def __len__(self):
        return self.num_samples

    def set_epoch(self, epoch):
        """Say which epoch begins, for another random order."""
        self.epoch = epoch


def _distributed():
    try:
        from ... import distributed
    except ImportError:
        distributed = None
    if distributed is None or not distributed.is_available():
        raise RuntimeError("Requires distributed package to be available")
    return distributed
