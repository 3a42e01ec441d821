"""Datasets: things with ``__getitem__`` and ``__len__``, or with ``__iter__``; and ways to put them together."""

import math
import warnings
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from types import GenericAlias

from ... import _core

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]


class Dataset:
    """Base of datasets with random access: subclasses define ``__getitem__`` and ``__len__``.

    A dataset that also defines ``__getitems__(indices)``, giving a list of samples, is asked for a whole batch at once.
    """

    __class_getitem__ = classmethod(GenericAlias)

    def __getitem__(self, index):
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other):
        return ConcatDataset([self, other])


class IterableDataset(Dataset, Iterable):
    """Base of datasets read in order: subclasses define ``__iter__``.

    With workers each one iterates; ``get_worker_info()`` inside ``__iter__`` tells which share is this one's.
    """

    def __add__(self, other):
        return ChainDataset([self, other])


class TensorDataset(Dataset):
    """Samples are tuples of rows: sample i is ``(tensors[0][i], tensors[1][i], …)``.

    A batch is fetched by one indexing of each tensor.

    Args:
        tensors: tensors with one size of their first dimension.

    Raises: AssertionError if the sizes differ.

    Example:
        >>> from rustnn.utils.data import TensorDataset
        >>> dataset = TensorDataset(rustnn.arange(3), rustnn.arange(3) * 10)
        >>> [item.item() for item in dataset[2]]
        [2, 20]
    """

    def __init__(self, *tensors):
        if any(tensor.size(0) != tensors[0].size(0) for tensor in tensors):
            raise AssertionError("Size mismatch between tensors")
        self.tensors = tensors

    def __getitem__(self, index):
        return tuple(tensor[index] for tensor in self.tensors)

    def __getitems__(self, indices):
        """The samples of a batch as a list."""
        columns = self._batch(indices)
        if columns is None:
            return [self[index] for index in indices]
        return list(zip(*(column.unbind(0) for column in columns), strict=True))

    def _batch(self, indices):
        """The batch already collated, one tensor per column; None if a subclass makes its samples differently."""
        if type(self).__getitem__ is not TensorDataset.__getitem__:
            return None
        indices = _core.tensor(indices, dtype=_core.int64)
        return [tensor[indices] for tensor in self.tensors]

    def __len__(self):
        return self.tensors[0].size(0)


class StackDataset(Dataset):
    """Samples are tuples (datasets given in order) or dicts (datasets given by name) of the samples of several
    datasets.

    Raises: ValueError if the lengths differ, or for a mixture of both forms.
    """

    def __init__(self, *args, **kwargs):
        if args and kwargs:
            raise ValueError(
                "Supported either ``tuple``- (via ``args``) or"
                "``dict``- (via ``kwargs``) like input/output, but both types are given."
            )
        if not args and not kwargs:
            raise ValueError("At least one dataset should be passed")
        self.datasets = args or kwargs
        lengths = [len(dataset) for dataset in self._parts()]
        if any(length != lengths[0] for length in lengths):
            raise ValueError("Size mismatch between datasets")
        self._length = lengths[0]

    def _parts(self):
        return self.datasets.values() if isinstance(self.datasets, dict) else self.datasets

    def _sample(self, items):
        return dict(zip(self.datasets, items, strict=True)) if isinstance(self.datasets, dict) else tuple(items)

    def __getitem__(self, index):
        return self._sample([dataset[index] for dataset in self._parts()])

    def __getitems__(self, indices):
        """The samples of a batch as a list."""
        columns = []
        for dataset in self._parts():
            if callable(getattr(dataset, "__getitems__", None)):
                items = dataset.__getitems__(indices)
                if len(items) != len(indices):
                    raise ValueError(
                        f"Nested dataset's output size mismatch. Expected {len(indices)}, got {len(items)}"
                    )
            else:
                items = [dataset[index] for index in indices]
            columns.append(items)
        return [self._sample(items) for items in zip(*columns, strict=True)]

    def __len__(self):
        return self._length


class ConcatDataset(Dataset):
    """Datasets one after the other; ``a + b`` makes one."""

    @staticmethod
    def cumsum(sequence):
        """The lengths added up."""
        return list(accumulate(map(len, sequence)))

    def __init__(self, datasets):
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self):
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx):
        if idx < 0:
            if -idx > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            idx += len(self)
        part = bisect_right(self.cumulative_sizes, idx)
        return self.datasets[part][idx - self.cumulative_sizes[part - 1] if part else idx]


class ChainDataset(IterableDataset):
    """Iterable datasets one after the other; ``a + b`` makes one."""

    def __init__(self, datasets):
        self.datasets = datasets

    def _parts(self):
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise AssertionError("ChainDataset only supports IterableDataset")
            yield dataset

    def __iter__(self):
        for dataset in self._parts():
            yield from dataset

    def __len__(self):
        return sum(len(dataset) for dataset in self._parts())


class Subset(Dataset):
    """The samples of a dataset at ``indices``."""

    def __init__(self, dataset, indices):
        self.dataset = dataset
        self.indices = indices
        if type(self).__getitem__ is not Subset.__getitem__ and type(self).__getitems__ is Subset.__getitems__:
            raise NotImplementedError(
                f"{type(self).__name__} overrides __getitem__ but not __getitems__. "
                "When subclassing Subset and overriding __getitem__, you must also override "
                "__getitems__ to ensure DataLoader works correctly with your custom logic. "
                "A simple implementation:\n\n"
                "def __getitems__(self, indices):\n"
                "    return [self.__getitem__(idx) for idx in indices]"
            )

    def __getitem__(self, idx):
        if isinstance(idx, list):
            return self.dataset[[self.indices[i] for i in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices):
        """The samples of a batch as a list."""
        indices = [self.indices[index] for index in indices]
        if callable(getattr(self.dataset, "__getitems__", None)):
            return self.dataset.__getitems__(indices)
        return [self.dataset[index] for index in indices]

    def _batch(self, indices):
        batch = getattr(self.dataset, "_batch", None)
        if batch is None or type(self).__getitems__ is not Subset.__getitems__:
            return None
        return batch([self.indices[index] for index in indices])

    def __len__(self):
        return len(self.indices)


def random_split(dataset, lengths, generator=None):
    """Split a dataset at random into parts that do not overlap.

    Args:
        dataset: what to split.
        lengths: how many samples each part gets, adding up to the dataset's length; or shares adding up to 1, of which
            rounding leftovers go to the first parts, one each.
        generator: source of the randomness; the default generator if None.

    Returns: a list of :class:`Subset`.
    Raises: ValueError if the lengths do not add up.

    Example:
        >>> from rustnn.utils.data import random_split
        >>> [len(part) for part in random_split(range(10), [0.5, 0.25, 0.25])]
        [6, 2, 2]
    """
    total = len(dataset)
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        for index, share in enumerate(lengths):
            if not 0 <= share <= 1:
                raise ValueError(f"Fraction at index {index} is not between 0 and 1")
        lengths = [math.floor(total * share) for share in lengths]
        for leftover in range(total - sum(lengths)):
            lengths[leftover % len(lengths)] += 1
        for index, length in enumerate(lengths):
            if length == 0:
                warnings.warn(
                    f"Length of split at index {index} is 0. This might result in an empty dataset.", stacklevel=2
                )
    if sum(lengths) != total:
        raise ValueError("Sum of input lengths does not equal the length of the input dataset!")
    order = _core.randperm(total, generator=generator).tolist()
    ends = accumulate(lengths)
    return [Subset(dataset, order[end - length : end]) for end, length in zip(ends, lengths, strict=True)]
