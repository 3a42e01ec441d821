"""The loader: batches of a dataset, in order, fetched ahead by threads if asked to."""

import warnings
import weakref
from itertools import cycle, repeat
from queue import Empty
from types import GenericAlias

from ... import _core
from ._utils.collate import default_collate, default_convert
from ._utils.fetch import fetcher_of
from ._utils.worker import Exhausted, Failure, WorkerPool, get_worker_info
from .dataset import IterableDataset
from .sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]


class _DatasetKind:
    Map = 0
    Iterable = 1


class _InfiniteConstantSampler(Sampler):
    """What counts the samples of an iterable dataset, which has no indices."""

    def __iter__(self):
        return repeat(None)


class DataLoader:
    """Iterates over a dataset in batches.

    Args:
        dataset: with ``__getitem__`` and ``__len__``, or an :class:`IterableDataset`.
        batch_size: samples per batch; None gives single samples.
        shuffle: a new random order in every pass.
        sampler, batch_sampler: the order, as indices or as lists of them, instead of ``shuffle`` and ``batch_size``.
        num_workers: threads that fetch ahead; 0 fetches when asked. The batches and their order are the same for any
            number.
        collate_fn: from a list of samples to a batch; :func:`default_collate` unless given.
        drop_last: leave out a last batch that is not full.
        timeout: seconds to wait for a batch from a worker, 0 for ever.
        worker_init_fn: called in each worker with its number, first of all.
        generator: source of the random order and of the workers' seeds.
        prefetch_factor: batches fetched ahead per worker, 2 unless given.
        persistent_workers: keep the threads between passes.
        in_order: give batches in the sampler's order even if a later one is ready first.
        pin_memory, pin_memory_device, multiprocessing_context: accepted, without effect: workers are threads of this
            process.

    Raises: ValueError for arguments that contradict each other. An exception in a worker is raised where its batch was
        due, with its own traceback.

    Example:
        >>> from rustnn.utils.data import DataLoader, TensorDataset
        >>> [batch[0].tolist() for batch in DataLoader(TensorDataset(rustnn.arange(5)), batch_size=2)]
        [[0, 1], [2, 3], [4]]
    """

    __class_getitem__ = classmethod(GenericAlias)
    __initialized = False
    _FIXED = frozenset(("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"))

    def __init__(
        self,
        dataset,
        batch_size=1,
        shuffle=None,
        sampler=None,
        batch_sampler=None,
        num_workers=0,
        collate_fn=None,
        pin_memory=False,
        drop_last=False,
        timeout=0,
        worker_init_fn=None,
        multiprocessing_context=None,
        generator=None,
        *,
        prefetch_factor=None,
        persistent_workers=False,
        pin_memory_device="",
        in_order=True,
    ):
        if num_workers < 0:
            raise ValueError("num_workers option should be non-negative; use num_workers=0 to disable multiprocessing.")
        if timeout < 0:
            raise ValueError("timeout option should be non-negative")
        if num_workers == 0 and prefetch_factor is not None:
            raise ValueError(
                "prefetch_factor option could only be specified in multiprocessing."
                "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
            )
        if num_workers > 0 and prefetch_factor is None:
            prefetch_factor = 2
        elif prefetch_factor is not None and prefetch_factor < 0:
            raise ValueError("prefetch_factor option should be non-negative")
        if persistent_workers and num_workers == 0:
            raise ValueError("persistent_workers option needs num_workers > 0")
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order

        self._is_iterable = isinstance(dataset, IterableDataset)
        self._dataset_kind = _DatasetKind.Iterable if self._is_iterable else _DatasetKind.Map
        if self._is_iterable:
            for name, value in (("shuffle", shuffle or None), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                if value is not None:
                    raise ValueError(
                        f"DataLoader with IterableDataset: expected unspecified {name} option, but got {name}={value}"
                    )
        shuffle = bool(shuffle)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
            drop_last = False
        elif batch_size is None and drop_last:
            raise ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last")
        if sampler is None:
            if self._is_iterable:
                sampler = _InfiniteConstantSampler()
            elif shuffle:
                sampler = RandomSampler(dataset, generator=generator)
            else:
                sampler = SequentialSampler(dataset)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_collate if self._auto_collation else default_convert
        self.collate_fn = collate_fn
        self.persistent_workers = persistent_workers
        self._IterableDataset_len_called = None
        self._iterator = None
        self.__initialized = True

    @property
    def multiprocessing_context(self):
        """Accepted for torch programs, without effect."""
        return self.__multiprocessing_context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context):
        if context is not None:
            if self.num_workers == 0:
                raise ValueError(
                    "multiprocessing_context can only be used with multi-process loading (num_workers > 0), "
                    f"but got num_workers={self.num_workers}"
                )
            import multiprocessing

            if isinstance(context, str):
                methods = multiprocessing.get_all_start_methods()
                if context not in methods:
                    raise ValueError(
                        "multiprocessing_context option should specify a valid start method in "
                        f"{methods!r}, but got multiprocessing_context={context!r}"
                    )
                context = multiprocessing.get_context(context)
            if not isinstance(context, multiprocessing.context.BaseContext):
                raise TypeError(
                    "multiprocessing_context option should be a valid context object or a string specifying "
                    f"the start method, but got multiprocessing_context={context}"
                )
        self.__multiprocessing_context = context

    def __setattr__(self, name, value):
        if self.__initialized and name in self._FIXED:
            raise ValueError(f"{name} attribute should not be set after {type(self).__name__} is initialized")
        super().__setattr__(name, value)

    @property
    def _auto_collation(self):
        return self.batch_sampler is not None

    @property
    def _index_sampler(self):
        return self.batch_sampler if self._auto_collation else self.sampler

    def _get_iterator(self):
        iterator = _SingleProcessDataLoaderIter if self.num_workers == 0 else _MultiProcessingDataLoaderIter
        return iterator(self)

    def __iter__(self):
        if not self.persistent_workers:
            return self._get_iterator()
        if self._iterator is None:
            self._iterator = self._get_iterator()
        else:
            self._iterator._reset(self)
        return self._iterator

    def __len__(self):
        if not self._is_iterable:
            return len(self._index_sampler)
        length = self._IterableDataset_len_called = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)


class _BaseDataLoaderIter:  # the names are PyTorch's: programs ask for them
    """One pass over a loader, each batch fetched when it is asked for."""

    def __init__(self, loader):
        self._dataset = loader.dataset
        self._is_iterable = loader._is_iterable
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        self._start(loader)

    def _start(self, loader):
        self._announced_len = loader._IterableDataset_len_called
        self._num_yielded = 0
        self._sampler_iter = iter(self._index_sampler)
        # Drawn with or without workers, so that a generator gives the same orders for any number of them.
        self._base_seed = int(_core.randint(0, 2**63 - 1, (), generator=loader.generator).item())
        if self._num_workers == 0:
            self._fetch = fetcher_of(
                loader.dataset, loader._is_iterable, loader._auto_collation, loader.collate_fn, loader.drop_last
            )

    def __iter__(self):
        return self

    def _next_data(self):
        return self._fetch(next(self._sampler_iter))

    def __next__(self):
        data = self._next_data()
        self._num_yielded += 1
        if self._announced_len is not None and self._num_yielded > self._announced_len:
            self._warn_about_len()
        return data

    def _warn_about_len(self):
        message = (
            f"Length of IterableDataset {self._dataset} was reported to be {self._announced_len}"
            f"(when accessing len(dataloader)), but {self._num_yielded} samples have been fetched. "
        )
        if self._num_workers > 0:
            message += (
                "For multiprocessing data-loading, this could be caused by not properly configuring the "
                "IterableDataset replica at each worker. Please see "
                "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for examples."
            )
        warnings.warn(message, stacklevel=3)

    def __len__(self):
        return len(self._index_sampler)

    def __getstate__(self):
        raise NotImplementedError("{} cannot be pickled", type(self).__name__)


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """One pass over a loader without workers."""


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """One pass over a loader (or one after the other), batches fetched ahead by a pool of threads."""

    def __init__(self, loader):
        if loader.prefetch_factor <= 0:
            raise AssertionError("prefetch_factor must be greater than 0 for loading with workers")
        self._timeout = loader.timeout
        self._in_order = loader.in_order
        self._persistent = loader.persistent_workers
        self._ahead = loader.prefetch_factor * loader.num_workers
        self._epoch = -1
        self._finalizer = None
        super().__init__(loader)
        self._begin_pass(loader)

    def _reset(self, loader):
        self._start(loader)
        self._begin_pass(loader)

    def _begin_pass(self, loader):
        if self._finalizer is None or not self._finalizer.alive:
            self._pool = WorkerPool(loader, self._base_seed)
            self._finalizer = weakref.finalize(self, self._pool.stop)
        self._epoch += 1  # results of a pass that was left early carry the old number
        self._sent = 0
        self._due = 0
        self._under_way = {}  # number of a batch -> its worker
        self._ready = {}  # number of a batch -> what its worker gave
        self._running = [True] * self._num_workers
        self._load = [0] * self._num_workers
        self._turns = cycle(range(self._num_workers))
        for _ in range(self._ahead):
            self._send_next()

    def _send_next(self):
        worker = self._free_worker()
        if worker is None:
            return
        try:
            index = next(self._sampler_iter)
        except StopIteration:
            return
        self._pool.tasks[worker].put((self._epoch, self._sent, index, self._base_seed))
        self._under_way[self._sent] = worker
        self._load[worker] += 1
        self._sent += 1

    def _free_worker(self):
        """The next worker in turn; out of order, the next that has not too much to do."""
        running = sum(self._running)
        for _ in range(self._num_workers):
            worker = next(self._turns)
            if self._running[worker] and (self._in_order or self._load[worker] < self._ahead // running):
                return worker
        return None

    def _receive(self):
        """Wait for one result of this pass and note it."""
        while True:
            try:
                epoch, number, worker, result = self._pool.results.get(timeout=self._timeout or None)
            except Empty:
                raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds") from None
            if epoch == self._epoch:
                break
        del self._under_way[number]
        self._load[worker] -= 1
        if result is Exhausted:
            self._running[worker] = False
        self._ready[number] = result
        return number

    def _next_data(self):
        while self._under_way or self._ready:
            if self._in_order:
                while self._due not in self._ready:
                    self._receive()
                number = self._due
                self._due += 1
            else:
                number = next(iter(self._ready)) if self._ready else self._receive()
            result = self._ready.pop(number)
            self._send_next()
            if result is Exhausted:
                continue
            if isinstance(result, Failure):
                # Taken out of the local variable, or the traceback would keep itself alive through this frame.
                error, is_fatal, result = result.error, result.is_fatal, None
                if is_fatal:
                    self._finalizer()
                    self._under_way.clear()
                    self._ready.clear()
                try:
                    raise error
                finally:
                    del error
            return result
        if not self._persistent:
            self._finalizer()
        raise StopIteration
