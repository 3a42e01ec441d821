"""Memory shared with other libraries, futures, processes: dlpack, futures, multiprocessing, fx, jit's names."""

import os
import threading

import numpy as np
import pytest

import rustnn
from rustnn import futures, multiprocessing
from rustnn.utils import dlpack


def test_dlpack_shares_memory_both_ways():
    tensor = rustnn.arange(6.0).reshape(2, 3)
    array = np.from_dlpack(tensor)
    tensor[0, 0] = 7
    assert array[0, 0] == 7 and array.shape == (2, 3)
    source = np.arange(4.0)
    again = rustnn.from_dlpack(source)
    source[1] = 5
    assert again.tolist() == [0, 5 if np.from_dlpack(source).flags.writeable else 1, 2, 3]
    assert dlpack.from_dlpack(dlpack.to_dlpack(tensor)).tolist() == tensor.tolist()
    assert tensor.__dlpack_device__() == (1, 0)
    copied = rustnn.from_dlpack(tensor, copy=True)
    copied.zero_()
    assert tensor[0, 0] == 7


def test_dlpack_refuses_gradients_and_foreign_dtypes():
    with pytest.raises(BufferError, match="require gradient, use tensor"):
        rustnn.ones(1, requires_grad=True).__dlpack__()
    with pytest.raises(BufferError, match="bfloat16"):
        rustnn.ones(1, dtype=rustnn.bfloat16).__dlpack__()


def test_futures_are_waited_for_and_chained():
    future = futures.Future()
    after = future.then(lambda f: f.value() * 2)
    assert not after.done()
    threading.Timer(0.01, future.set_result, (21,)).start()
    assert after.wait() == 42
    with pytest.raises(RuntimeError, match="only be set once"):
        future.set_result(1)
    failed = futures.Future()
    failed.set_exception(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        failed.then(lambda f: f.value()).wait()
    assert futures.wait_all([future, after]) == [21, 42] and futures.collect_all([]).wait() == []


def add_up(index, queue):
    queue.put((index, rustnn.arange(3.0) * index))


def fail(index):
    if index == 1:
        raise ValueError("the second one fails")
    threading.Event().wait(30)


def leave(index):
    os._exit(3)


def test_tensors_cross_processes_by_value():
    queue = multiprocessing.get_context("fork").Queue()
    running = multiprocessing.start_processes(add_up, (queue,), nprocs=2, join=False, start_method="fork")
    got = dict(queue.get(timeout=30) for _ in range(2))
    while not running.join():
        pass
    assert got[1].tolist() == [0, 1, 2] and got[0].tolist() == [0, 0, 0]


def test_a_failed_process_raises_here_with_its_traceback_and_ends_the_others():
    with pytest.raises(multiprocessing.ProcessRaisedException, match="the second one fails") as caught:
        multiprocessing.start_processes(fail, nprocs=2, start_method="fork")
    assert caught.value.error_index == 1
    with pytest.raises(multiprocessing.ProcessExitedException, match="exit code 3"):
        multiprocessing.start_processes(leave, start_method="fork")


def test_what_only_a_tracer_needs_is_accepted_and_tracing_refused():
    @rustnn.fx.wrap
    def kept(x):
        return x

    assert kept(3) == 3
    with pytest.raises(NotImplementedError, match=r"fx\.symbolic_trace"):
        rustnn.fx.symbolic_trace(rustnn.nn.ReLU())
    with pytest.raises(NotImplementedError, match=r"fx\.Tracer"):
        rustnn.fx.Tracer()
    assert not isinstance(rustnn.nn.ReLU(), rustnn.jit.ScriptModule)
