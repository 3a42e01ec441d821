"""Python's ``multiprocessing``, with PyTorch's additions. Tensors cross by value: what another process receives is a
copy, so that processes share results through queues and pipes, not through memory."""

import multiprocessing as _multiprocessing
import os
import signal
import traceback
from multiprocessing import *  # noqa: F403
from multiprocessing import connection

__all__ = [
    *_multiprocessing.__all__,
    "ProcessContext",
    "ProcessExitedException",
    "ProcessException",
    "ProcessRaisedException",
    "SpawnContext",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]

_STRATEGIES = {"file_descriptor", "file_system"}
_strategy = "file_descriptor"


def get_all_sharing_strategies():
    """The names that :func:`set_sharing_strategy` takes."""
    return set(_STRATEGIES)


def get_sharing_strategy():
    """The name last set."""
    return _strategy


def set_sharing_strategy(new_strategy):
    """Accepted for compatibility: tensors are copied whatever is set. Raises: AssertionError for unknown names."""
    global _strategy
    if new_strategy not in _STRATEGIES:
        raise AssertionError(f"invalid sharing strategy {new_strategy}, expected one of {sorted(_STRATEGIES)}")
    _strategy = new_strategy


class ProcessException(Exception):
    """A process ended badly."""

    def __init__(self, msg, error_index, pid):
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid

    def __reduce__(self):
        return type(self), (self.msg, self.error_index, self.pid)


class ProcessRaisedException(ProcessException):
    """An exception left a process's function."""


class ProcessExitedException(ProcessException):
    """A process ended by a signal or an exit code other than 0."""

    def __init__(self, msg, error_index, error_pid, exit_code, signal_name=None):
        super().__init__(msg, error_index, error_pid)
        self.exit_code, self.signal_name = exit_code, signal_name

    def __reduce__(self):
        return type(self), (self.msg, self.error_index, self.pid, self.exit_code, self.signal_name)


def _run(function, index, args, errors):
    try:
        function(index, *args)
    except KeyboardInterrupt:
        pass  # the parent was interrupted too
    except Exception:
        errors.send(traceback.format_exc())
        os._exit(1)


class ProcessContext:
    """Processes that :func:`start_processes` started, and how to wait for them."""

    def __init__(self, processes, errors):
        self.processes, self._errors = processes, errors
        self.sentinels = {process.sentinel: index for index, process in enumerate(processes)}

    def pids(self):
        """Their numbers."""
        return [process.pid for process in self.processes]

    def join(self, timeout=None, grace_period=None):
        """Waits for a process; True once all have ended well.

        Args:
            timeout: seconds; None waits for ever.
            grace_period: seconds that the others have when one has failed, before they are killed.
        Raises: ProcessRaisedException with the process's traceback, or ProcessExitedException; the others are ended.
        """
        if not self.sentinels:
            return True
        failed = None
        for sentinel in connection.wait(list(self.sentinels), timeout=timeout):
            index = self.sentinels.pop(sentinel)
            self.processes[index].join()
            if self.processes[index].exitcode != 0:
                failed = index
                break
        if failed is None:
            return not self.sentinels
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        for process in self.processes:
            process.join(grace_period if grace_period is not None else 30)
            if process.is_alive():
                process.kill()
                process.join()
        process = self.processes[failed]
        try:
            told = self._errors[failed].recv()
        except EOFError:  # it ended without a word
            pass
        else:
            message = f"\n\n-- Process {failed} terminated with the following error:\n{told}"
            raise ProcessRaisedException(message, failed, process.pid)
        code = process.exitcode
        if code < 0:
            name = signal.Signals(-code).name
            message = f"process {failed} terminated with signal {name}"
            raise ProcessExitedException(message, failed, process.pid, code, name)
        raise ProcessExitedException(f"process {failed} terminated with exit code {code}", failed, process.pid, code)


SpawnContext = ProcessContext


def start_processes(fn, args=(), nprocs=1, join=True, daemon=False, start_method="spawn"):
    """Starts processes that call ``fn(index, *args)``.

    Args:
        fn: a function that can be imported, unless ``start_method`` is "fork".
        args: a tuple.
        nprocs: how many.
        join: wait for all of them.
        daemon: they end with this process.
        start_method: "spawn", "fork" or "forkserver".
    Returns: None after waiting, otherwise a :class:`ProcessContext`.
    Raises: ProcessException, see :meth:`ProcessContext.join`.
    """
    context = _multiprocessing.get_context(start_method)
    processes, errors = [], []
    for index in range(nprocs):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(fn, index, args, sender), daemon=daemon)
        process.start()
        sender.close()
        processes.append(process)
        errors.append(receiver)
    running = ProcessContext(processes, errors)
    if not join:
        return running
    while not running.join():
        pass
    return None


def spawn(fn, args=(), nprocs=1, join=True, daemon=False, start_method="spawn"):
    """:func:`start_processes` with fresh interpreters."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)


def __getattr__(name):
    return getattr(_multiprocessing, name)
