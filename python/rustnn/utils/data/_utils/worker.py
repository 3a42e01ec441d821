"""Threads that fetch batches ahead."""

import atexit
from collections import namedtuple
from copy import copy
from queue import SimpleQueue
from threading import Thread, current_thread, local
from weakref import WeakSet

from .... import _core
from .fetch import fetcher_of

__all__ = ["WorkerInfo", "WorkerPool", "get_worker_info"]

_current = local()
_living = WeakSet()

Randomness = namedtuple("Randomness", ("random_generator", "torch_generator"))


class WorkerInfo:
    """What a worker knows about itself.

    Attributes:
        id, num_workers: which of how many.
        seed: differs between workers and between passes.
        dataset: this worker's dataset; of an iterable dataset each worker has a (shallow) copy of its own.
        rng: ``random_generator`` (a ``random.Random``) and ``torch_generator``, seeded anew for every batch from the
            number of the batch: random transforms drawn from them come out the same for any number of workers.
    """

    __slots__ = ("dataset", "id", "num_workers", "rng", "seed", "worker_method")

    def __init__(self, id, num_workers, seed, dataset, rng):
        self.id, self.num_workers, self.seed, self.dataset, self.rng = id, num_workers, seed, dataset, rng
        self.worker_method = "thread"

    def __repr__(self):
        return f"WorkerInfo(id={self.id}, num_workers={self.num_workers}, seed={self.seed}, dataset={self.dataset!r})"


def get_worker_info():
    """The :class:`WorkerInfo` of the worker this is called in; None in the main program."""
    return getattr(_current, "info", None)


class Failure:
    """An exception on its way from a worker to the main program.

    A fatal one ends the worker. The worker keeps no exception: raising it adds frames of the main program to it, and
    with them the iterator, which could then never be collected.
    """

    def __init__(self, error, is_fatal=False):
        self.error, self.is_fatal = error, is_fatal


class Exhausted:
    """A worker's iterable dataset came to its end."""


class WorkerPool:
    """Threads with a queue each; results come back through one queue as ``(epoch, number, worker, result)``.

    Knows nothing of the loader's iterator: an abandoned iterator is collected, and stops its pool then.
    """

    def __init__(self, loader, base_seed):
        self.results = SimpleQueue()
        self.tasks = [SimpleQueue() for _ in range(loader.num_workers)]
        self.threads = [
            Thread(
                target=_work,
                name=f"DataLoader worker {worker}",
                daemon=True,
                args=(
                    worker,
                    loader.num_workers,
                    tasks,
                    self.results,
                    base_seed,
                    loader.worker_init_fn,
                    loader.dataset,
                    (loader._is_iterable, loader._auto_collation, loader.collate_fn, loader.drop_last),
                ),
            )
            for worker, tasks in enumerate(self.tasks)
        ]
        for thread in self.threads:
            thread.start()
        if not _living:
            atexit.unregister(_stop_all)
            atexit.register(_stop_all)
        _living.add(self)

    def stop(self):
        """Ask the workers to end after the batch they are at."""
        for tasks in self.tasks:
            tasks.put(None)


def _stop_all():
    """At exit: a thread must not be inside native code when the interpreter goes."""
    pools = list(_living)
    for pool in pools:
        pool.stop()
    for pool in pools:
        for thread in pool.threads:
            if thread is not current_thread():
                thread.join(timeout=5)


def _own_copy(dataset):
    try:
        return copy(dataset)
    except Exception:  # it holds something that cannot be copied: then the workers share it
        return dataset


def _work(worker, num_workers, tasks, results, base_seed, init_fn, dataset, how):
    from random import Random  # brings hashlib along, which a program without workers need not load

    is_iterable = how[0]
    if is_iterable:
        dataset = _own_copy(dataset)
    rng = Randomness(Random(), _core.Generator())
    _current.info = WorkerInfo(worker, num_workers, base_seed + worker, dataset, rng)
    epoch, fetch = None, None
    try:
        if init_fn is not None:
            init_fn(worker)
    except BaseException as error:
        task = tasks.get()
        if task is not None:
            results.put((*task[:2], worker, Failure(error, is_fatal=True)))
        return
    while (task := tasks.get()) is not None:
        task_epoch, number, index, seed = task
        try:
            if fetch is None or (is_iterable and task_epoch != epoch):
                fetch = fetcher_of(_current.info.dataset, *how)
            epoch = task_epoch
            batch_seed = (seed + number) % 2**63
            rng.random_generator.seed(batch_seed)
            rng.torch_generator.manual_seed(batch_seed)
            result = fetch(index)
        except BaseException as error:
            ended = is_iterable and isinstance(error, StopIteration)
            result = Exhausted if ended else Failure(error)
            del error
        results.put((task_epoch, number, worker, result))
        del result, index, task  # a waiting worker must not keep its last batch alive
