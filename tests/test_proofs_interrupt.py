"""Ctrl-C ends long work within a moment; afterwards everything is as usable as before."""

import pytest

from fresh_interpreter import run

# Whatever the machine is busy with, no handler waits longer; the work itself would take minutes.
PATIENCE_S = 5

START = """
import os, signal, threading, time
import rustnn

def interrupted(work, after=0.7):
    # Seconds between the signal and the exception, or nothing if the work ended by itself.
    sent = []
    def send():
        time.sleep(after)
        sent.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)
    thread = threading.Thread(target=send)
    thread.start()
    try:
        work()
        while not sent:
            time.sleep(0.01)
        time.sleep(0.1)
    except KeyboardInterrupt:
        return time.perf_counter() - sent[0] if sent else None
    finally:
        thread.join()

def usable():
    # The pool, the tape and the modes.
    a = rustnn.ones(300, 300, requires_grad=True)
    (a @ a).sum().backward()
    return (a.grad == 600).all().item() and rustnn.is_grad_enabled() and rustnn.ones(1_000_000).sum().item() == 1e6

usable()
"""

# Work of minutes in one call each: (what it needs, the call).
LONG = {
    "matrix product": ("a = rustnn.ones(6000, 6000)", "while True: a @ a"),
    "one long product": ("a, b = rustnn.ones(6000, 60_000), rustnn.ones(60_000, 6000)", "a @ b"),
    "convolution": ("x, w = rustnn.ones(64, 64, 224, 224), rustnn.ones(256, 64, 7, 7)", "rustnn.conv2d(x, w)"),
    "running sum": ("x = rustnn.ones(200_000_000)", "for _ in range(100): x.cumsum(0)"),
    "sort": ("x = rustnn.rand(60_000_000)", "x.sort()"),
    "elementwise": ("x = rustnn.ones(100_000_000)", "for _ in range(1000): x.exp_()"),
    "sum of what is not there": ("x = rustnn.ones(1).expand(1_000_000_000_000)", "x.sum()"),
    "largest running element": ("x = rustnn.ones(100_000_000)", "for _ in range(100): x.cummax(0)"),
    "random numbers": ("x = rustnn.empty(100_000_000)", "for _ in range(100): x.normal_()"),
}


@pytest.mark.parametrize("name", LONG)
def test_a_long_call_ends(name):
    needs, call = LONG[name]
    waited, fine = run(
        START
        + f"""
{needs}
def work():
    {call}
print(interrupted(work), usable())
"""
    )
    assert waited != "None", "it went on to its end"
    assert float(waited) < PATIENCE_S and fine == "True"


def test_a_single_kernel_ends_not_only_the_loop_around_it():
    # Nothing runs between the signal and the exception but the one product: two million million multiplications and
    # additions.
    waited, ended, fine = run(
        START
        + """
a, b = rustnn.ones(4000, 60_000), rustnn.ones(60_000, 4000)
ended = []
def work():
    a @ b
    ended.append(True)
print(interrupted(work, 0.3), ended == [], usable())
"""
    )
    assert waited != "None" and float(waited) < PATIENCE_S and ended == fine == "True"


def test_a_long_backward_ends_and_leaves_the_leaf_as_it_was():
    waited, untouched, fine, nodes = run(
        START
        + """
rustnn._core._living_nodes()
x = rustnn.ones(2000, requires_grad=True)
y = x
for _ in range(400_000):
    y = y * 1.0
y = y.sum()
waited = interrupted(y.backward, 0.1)
untouched = x.grad is None
del x, y
print(waited, untouched, usable(), rustnn._core._living_nodes())
"""
    )
    assert waited != "None" and float(waited) < PATIENCE_S
    assert untouched == fine == "True"
    assert nodes == "0"


def test_a_long_kernel_inside_a_backward_ends():
    waited, fine = run(
        START
        + """
a = rustnn.ones(3000, 3000, requires_grad=True)
b = rustnn.ones(3000, 3000)
y = a
for _ in range(3):
    y = (y @ b) * 1e-3
seed = rustnn.ones(3000, 3000)
def work():
    while True:
        y.backward(seed, retain_graph=True)
print(interrupted(work), usable())
"""
    )
    assert waited != "None" and float(waited) < PATIENCE_S and fine == "True"


def test_a_handler_that_raises_nothing_lets_the_work_go_on():
    handled, right = run(
        START
        + """
seen = []
signal.signal(signal.SIGUSR1, lambda *_: seen.append(time.perf_counter()))
a = rustnn.ones(1500, 1500)
expected = (a @ a).sum().item()
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGUSR1)).start()
sums = set()
until = time.perf_counter() + 1.5
while time.perf_counter() < until:
    sums.add((a @ a).sum().item())
print(len(seen), sums == {expected})
"""
    )
    assert handled == "1" and right == "True"


def test_other_threads_go_on_when_the_main_thread_is_interrupted():
    waited, right, fine = run(
        START
        + """
a = rustnn.ones(700, 700)
expected = (a @ a @ a).sum().item()
done, sums = threading.Event(), set()
def other():
    while not done.is_set():
        sums.add((a @ a @ a).sum().item())
thread = threading.Thread(target=other)
thread.start()
x = rustnn.rand(40_000_000)
def work():
    while True:
        x.sort()
waited = interrupted(work)
done.set()
thread.join()
print(waited, sums == {expected}, usable())
"""
    )
    assert waited != "None" and float(waited) < 2 * PATIENCE_S and right == fine == "True"


def test_an_operation_in_place_may_end_half_way_and_the_tensor_stays_a_tensor():
    whole, again = run(
        START
        + """
x = rustnn.zeros(50_000_000)
def work():
    while True:
        x.add_(1)
interrupted(work)
low, high = x.min().item(), x.max().item()
x.fill_(3)
print(high - low in (0, 1), x.sum().item() == 150_000_000)
"""
    )
    assert whole == again == "True"
