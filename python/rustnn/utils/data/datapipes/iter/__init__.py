"""Pipes read in order."""

import copy
import random
import warnings

from ... import get_worker_info
from ..._utils.collate import default_collate
from ..datapipe import DataChunk, IterDataPipe, functional_datapipe

__all__ = [
    "Batcher",
    "Collator",
    "Concater",
    "Filter",
    "IterDataPipe",
    "IterableWrapper",
    "Mapper",
    "Multiplexer",
    "Sampler",
    "ShardingFilter",
    "Shuffler",
    "UnBatcher",
    "Zipper",
]


class IterableWrapperIterDataPipe(IterDataPipe):
    """What an iterable gives.

    Args:
        iterable: anything to iterate over.
        deepcopy: iterate over a copy, so that a pass cannot change it.
    """

    def __init__(self, iterable, deepcopy=True):
        self.iterable, self.deepcopy = iterable, deepcopy

    def __iter__(self):
        source = self.iterable
        if self.deepcopy:
            try:
                source = copy.deepcopy(source)
            except TypeError:
                warnings.warn(
                    "The input iterable can not be deepcopied, please be aware of in-place modification would affect "
                    "source data.",
                    stacklevel=2,
                )
        yield from source

    def __len__(self):
        return len(self.iterable)


class _Over(IterDataPipe):
    """A pipe over one other."""

    def __init__(self, datapipe):
        self.datapipe = datapipe

    def __len__(self):
        return len(self.datapipe)


@functional_datapipe("map")
class MapperIterDataPipe(_Over):
    """A function of each sample.

    Args:
        fn: the function.
        input_col: what of a sample it is given: an index or key, or several as arguments; the sample if None.
        output_col: where its result goes: an index or key, -1 for behind the last; where it came from if None.
    Raises: ValueError for an ``output_col`` without ``input_col``, or several.
    """

    def __init__(self, datapipe, fn, input_col=None, output_col=None):
        super().__init__(datapipe)
        if input_col is None and output_col is not None:
            raise ValueError("`output_col` must be None when `input_col` is None.")
        if isinstance(output_col, (list, tuple)):
            if len(output_col) > 1:
                raise ValueError("`output_col` must be a single-element list or tuple")
            output_col = output_col[0]
        self.fn, self.input_col, self.output_col = fn, input_col, output_col

    def _apply(self, data):
        columns = self.input_col
        if columns is None:
            return self.fn(data)
        several = isinstance(columns, (list, tuple))
        result = self.fn(*(data[column] for column in columns)) if several else self.fn(data[columns])
        was_tuple = isinstance(data, tuple)
        data = list(data) if was_tuple else data
        if self.output_col == -1:
            data.append(result)
        elif self.output_col is not None:
            data[self.output_col] = result
        elif several:
            data[columns[0]] = result
            for column in sorted(columns[1:], reverse=True):
                del data[column]
        else:
            data[columns] = result
        return tuple(data) if was_tuple else data

    def __iter__(self):
        for data in self.datapipe:
            yield self._apply(data)


@functional_datapipe("filter")
class FilterIterDataPipe(_Over):
    """The samples for which a function is true.

    Args:
        filter_fn: the function, of the sample or of ``input_col`` of it as for ``map``.
    Raises: ValueError where it gives no bool.
    """

    def __init__(self, datapipe, filter_fn, input_col=None):
        super().__init__(datapipe)
        self.filter_fn, self.input_col = filter_fn, input_col

    def _holds(self, data):
        columns = self.input_col
        if columns is None:
            held = self.filter_fn(data)
        elif isinstance(columns, (list, tuple)):
            held = self.filter_fn(*(data[column] for column in columns))
        else:
            held = self.filter_fn(data[columns])
        if not isinstance(held, bool):
            raise ValueError(f"Boolean output is required for `filter_fn` of FilterIterDataPipe, got {type(held)}")
        return held

    def __iter__(self):
        return filter(self._holds, self.datapipe)

    def __len__(self):
        raise TypeError(f"object of type '{type(self).__name__}' has no len()")


@functional_datapipe("batch")
class BatcherIterDataPipe(_Over):
    """Lists of ``batch_size`` samples, the last one shorter unless ``drop_last``."""

    def __init__(self, datapipe, batch_size, drop_last=False, wrapper_class=DataChunk):
        if batch_size <= 0:
            raise AssertionError("Batch size is required to be larger than 0!")
        super().__init__(datapipe)
        self.batch_size, self.drop_last, self.wrapper_class = batch_size, drop_last, wrapper_class

    def __iter__(self):
        batch = []
        for data in self.datapipe:
            batch.append(data)
            if len(batch) == self.batch_size:
                yield self.wrapper_class(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.wrapper_class(batch)

    def __len__(self):
        count = len(self.datapipe)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


@functional_datapipe("unbatch")
class UnBatcherIterDataPipe(_Over):
    """The samples of batches, and of ``unbatch_level`` levels of them; -1 for all levels of lists."""

    def __init__(self, datapipe, unbatch_level=1):
        super().__init__(datapipe)
        self.unbatch_level = unbatch_level

    def __iter__(self):
        if self.unbatch_level < -1:
            raise ValueError("unbatch_level must be -1 or >= 0")
        for data in self.datapipe:
            yield from self._dive(data, self.unbatch_level)

    def _dive(self, data, level):
        if level == 0 or (level == -1 and not isinstance(data, list)):
            yield data
            return
        if not isinstance(data, list):
            raise IndexError(f"unbatch_level {self.unbatch_level} exceeds the depth of the DataPipe")
        for part in data:
            yield from self._dive(part, level if level == -1 else level - 1)

    def __len__(self):
        raise TypeError(f"object of type '{type(self).__name__}' has no len()")


@functional_datapipe("collate")
class CollatorIterDataPipe(MapperIterDataPipe):
    """Batches of tensors from lists of samples: ``default_collate`` or another function."""

    def __init__(self, datapipe, conversion=default_collate, collate_fn=None):
        super().__init__(datapipe, conversion if collate_fn is None else collate_fn)


@functional_datapipe("concat")
class ConcaterIterDataPipe(IterDataPipe):
    """One pipe behind another."""

    def __init__(self, *datapipes):
        if not datapipes:
            raise ValueError("Expected at least one DataPipe, but got nothing")
        if not all(isinstance(each, IterDataPipe) for each in datapipes):
            raise TypeError("Expected all inputs to be `IterDataPipe`")
        self.datapipes = datapipes

    def __iter__(self):
        for datapipe in self.datapipes:
            yield from datapipe

    def __len__(self):
        return sum(map(len, self.datapipes))


@functional_datapipe("zip")
class ZipperIterDataPipe(ConcaterIterDataPipe):
    """Tuples of a sample of each pipe, until the shortest ends."""

    def __iter__(self):
        return zip(*self.datapipes, strict=False)

    def __len__(self):
        return min(map(len, self.datapipes))


@functional_datapipe("mux")
class MultiplexerIterDataPipe(ConcaterIterDataPipe):
    """A sample of each pipe in turn, until the shortest ends."""

    def __iter__(self):
        for row in zip(*self.datapipes, strict=False):
            yield from row

    def __len__(self):
        return min(map(len, self.datapipes)) * len(self.datapipes)


@functional_datapipe("shuffle")
class ShufflerIterDataPipe(_Over):
    """The samples in a random order: one at random of ``buffer_size`` that wait, each time."""

    def __init__(self, datapipe, *, buffer_size=10000, unbatch_level=0):
        if buffer_size <= 0:
            raise ValueError("buffer_size should be larger than 0")
        super().__init__(datapipe if unbatch_level == 0 else datapipe.unbatch(unbatch_level=unbatch_level))
        self.buffer_size, self._enabled, self._seed = buffer_size, True, None

    def set_shuffle(self, shuffle=True):
        """Whether the order changes."""
        self._enabled = shuffle
        return self

    def set_seed(self, seed):
        """The order of the next pass; later ones draw their own."""
        self._seed = seed
        return self

    def __iter__(self):
        if not self._enabled:
            yield from self.datapipe
            return
        from rustnn import _core

        seed, self._seed = self._seed, None
        source = random.Random(int(_core.randint(0, 2**62, ()).item()) if seed is None else seed)
        waiting = []
        for data in self.datapipe:
            if len(waiting) < self.buffer_size:
                waiting.append(data)
                continue
            place = source.randrange(len(waiting))
            taken, waiting[place] = waiting[place], data
            yield taken
        source.shuffle(waiting)
        yield from waiting


@functional_datapipe("sharding_filter")
class ShardingFilterIterDataPipe(_Over):
    """Every n-th sample, so that n workers share them: a loader's, unless :meth:`apply_sharding` says otherwise."""

    def __init__(self, datapipe, sharding_group_filter=None):
        super().__init__(datapipe)
        self._share = None

    def apply_sharding(self, num_of_instances, instance_id, sharding_group=None):
        """The samples whose number is ``instance_id`` modulo ``num_of_instances``.

        Raises: ValueError unless 0 <= instance_id < num_of_instances.
        """
        if not 0 <= instance_id < num_of_instances:
            raise ValueError(f"instance_id({instance_id}) should be smaller than num_of_instances({num_of_instances})")
        self._share = num_of_instances, instance_id

    def _of_now(self):
        if self._share is not None:
            return self._share
        worker = get_worker_info()
        return (1, 0) if worker is None else (worker.num_workers, worker.id)

    def __iter__(self):
        count, own = self._of_now()
        return (data for place, data in enumerate(self.datapipe) if place % count == own)

    def __len__(self):
        count, own = self._of_now()
        return (len(self.datapipe) - own + count - 1) // count


class SamplerIterDataPipe(_Over):
    """The indices that a sampler gives for a dataset.

    Args:
        sampler: the class of the sampler, called with ``data_source``, ``sampler_args`` and ``sampler_kwargs``.
    """

    def __init__(self, datapipe, sampler=None, sampler_args=None, sampler_kwargs=None):
        from ...sampler import SequentialSampler

        super().__init__(datapipe)
        kwargs = {**(sampler_kwargs or {}), "data_source": datapipe}
        self.sampler = (sampler or SequentialSampler)(*(sampler_args or ()), **kwargs)

    def __iter__(self):
        return iter(self.sampler)

    def __len__(self):
        return len(self.sampler)


Batcher, Collator, Concater, Filter = (
    BatcherIterDataPipe, CollatorIterDataPipe, ConcaterIterDataPipe, FilterIterDataPipe,
)  # fmt: skip
IterableWrapper, Mapper, Multiplexer = IterableWrapperIterDataPipe, MapperIterDataPipe, MultiplexerIterDataPipe
Sampler, ShardingFilter, Shuffler = SamplerIterDataPipe, ShardingFilterIterDataPipe, ShufflerIterDataPipe
UnBatcher, Zipper = UnBatcherIterDataPipe, ZipperIterDataPipe
