"""The same bits for any number of threads; models side by side in threads; forks of a process with a live pool."""

import hashlib
import os
import threading
import warnings

import pytest

import rustnn
from fresh_interpreter import run
from rustnn import nn

THREADS = (1, 2, 3, 16)


@pytest.fixture(autouse=True)
def threads_as_before():
    before = rustnn.get_num_threads()
    yield
    rustnn.set_num_threads(before)


def digest(*tensors):
    """The bytes of tensors, in short."""
    return hashlib.sha256(b"".join(t.detach().contiguous().numpy().tobytes() for t in tensors)).hexdigest()


def leaf(*shape):
    return rustnn.randn(*shape).requires_grad_()


def gradients_too(result, *inputs):
    """The result and the gradients of a weighted sum of it."""
    weights = rustnn.linspace(-1, 1, result.numel()).reshape(result.shape)
    return (result, *rustnn.autograd.grad((result * weights).sum(), inputs))


def of(function, *shapes):
    """What a function gives for leaves of these shapes, and its gradients for them."""

    def compute():
        inputs = [leaf(*shape) for shape in shapes]
        return gradients_too(function(*inputs), *inputs)

    return compute


def scattered():
    values = rustnn.randn(50_021, 3)
    index = rustnn.randint(0, 1009, (50_021,))
    out = rustnn.zeros(1009, 3).index_add(0, index, values)
    wide = rustnn.zeros(1009, 3).scatter_add(0, index.unsqueeze(1).expand(-1, 3), values)
    table = leaf(1009, 7)
    looked_up = nn.functional.embedding(index, table)
    return (
        out,
        wide,
        *gradients_too(looked_up, table),
        rustnn.zeros(1009).index_put((index,), values[:, 0], accumulate=True),
    )


F = nn.functional

# Sizes that no block divides, large enough for several chunks.
COMPUTATIONS = {
    "sum": of(lambda x: x.sum(), (1_000_003,)),
    "sum of rows": of(lambda x: x.sum(1), (333, 3001)),
    "sum of columns": of(lambda x: x.sum(0), (3001, 333)),
    "mean and variance": of(lambda x: rustnn.stack([x.mean(), x.var(), x.std(0).sum()]), (1013, 517)),
    "logsumexp": of(lambda x: x.logsumexp(1), (517, 1013)),
    "norm": of(lambda x: x.norm(), (700_001,)),
    "product": of(lambda x: (x * 1e-3 + 1).prod(), (100_003,)),
    "cumsum": of(lambda x: x.cumsum(0), (5003, 67)),
    "max": of(lambda x: x.max(1).values, (517, 1013)),
    "matmul": of(lambda a, b: a @ b, (317, 523), (523, 211)),
    "matmul of a row": of(lambda a, b: a @ b, (1, 2049), (2049, 1031)),
    "batched matmul": of(lambda a, b: a @ b, (13, 67, 101), (13, 101, 59)),
    "linear": of(F.linear, (517, 301), (203, 301), (203,)),
    "softmax": of(lambda x: x.softmax(1), (517, 1013)),
    "log-softmax of columns": of(lambda x: x.log_softmax(0), (517, 1013)),
    "layer norm": of(lambda x, w, b: F.layer_norm(x, (301,), w, b), (1013, 301), (301,), (301,)),
    "batch norm": of(lambda x, w, b: F.batch_norm(x, None, None, w, b, True), (37, 19, 23, 29), (19,), (19,)),
    "group norm": of(lambda x, w, b: F.group_norm(x, 3, w, b), (17, 21, 31, 33), (21,), (21,)),
    "3x3 convolution": of(lambda x, w, b: F.conv2d(x, w, b, padding=1), (5, 17, 33, 35), (19, 17, 3, 3), (19,)),
    "strided convolution": of(lambda x, w: F.conv2d(x, w, stride=2), (3, 8, 57, 61), (12, 8, 5, 5)),
    "depthwise convolution": of(lambda x, w: F.conv2d(x, w, groups=24), (5, 24, 41, 43), (24, 1, 3, 3)),
    "transposed convolution": of(lambda x, w: F.conv_transpose2d(x, w, stride=2), (3, 9, 27, 29), (9, 11, 3, 3)),
    "max pool": of(lambda x: F.max_pool2d(x, 2), (7, 13, 61, 67)),
    "average pool": of(lambda x: F.avg_pool2d(x, 3, stride=2), (7, 13, 61, 67)),
    "cross entropy": of(lambda x: F.cross_entropy(x, rustnn.arange(5003) % 67), (5003, 67)),
    "attention": of(F.scaled_dot_product_attention, (3, 5, 67, 33), (3, 5, 71, 33), (3, 5, 71, 33)),
    "elementwise": of(lambda x: (x.exp() + x.sigmoid() * x.tanh()).abs().log1p(), (700_001,)),
    "dropout": of(lambda x: F.dropout(x, 0.3), (700_001,)),
    "random numbers": lambda: (rustnn.rand(300_007), rustnn.randn(300_007), rustnn.randperm(100_003)),
    "sort": lambda: rustnn.randint(0, 1000, (37, 5003)).sort(1),
    "scatter": scattered,
}


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_a_computation_gives_the_same_bits_for_any_number_of_threads(name):
    found = set()
    for threads in THREADS:
        rustnn.set_num_threads(threads)
        rustnn.manual_seed(5)
        found.add(digest(*COMPUTATIONS[name]()))
    assert len(found) == 1


def network():
    return nn.Sequential(
        nn.Conv2d(1, 9, 3, padding=1),
        nn.BatchNorm2d(9),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(9, 14, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(14 * 5 * 5, 33),
        nn.LayerNorm(33),
        nn.GELU(),
        nn.Linear(33, 10),
    )


def trained(seed, steps=12, batch=67):
    """A small network after some steps on random images: loss, parameters, statistics, the optimizer's state."""
    generator = rustnn.Generator().manual_seed(seed)
    images = rustnn.randn(batch, 1, 14, 14, generator=generator)
    labels = rustnn.randint(0, 10, (batch,), generator=generator)
    model = network()
    with rustnn.no_grad():
        for parameter in model.parameters():
            parameter.copy_(rustnn.randn(parameter.shape, generator=generator) * 0.1)
    # Its masks come from the default generator, which threads share.
    model[7].p = 0.2 if threading.current_thread() is threading.main_thread() else 0.0
    optimizer = rustnn.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    moments = [value for state in optimizer.state.values() for value in state.values()]
    return [loss, *model.state_dict().values(), *(m for m in moments if isinstance(m, rustnn.Tensor))]


def test_a_whole_training_run_gives_the_same_bits_for_any_number_of_threads():
    found = set()
    for threads in THREADS:
        rustnn.set_num_threads(threads)
        rustnn.manual_seed(7)
        found.add(digest(*trained(3)))
    assert len(found) == 1


def in_threads(work, count):
    """Runs ``work(i)`` in ``count`` threads at once; their results in order."""
    results, errors = [None] * count, []
    start = threading.Barrier(count)

    def body(i):
        try:
            start.wait(30)
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=body, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def test_threads_that_train_models_of_their_own_get_what_each_gets_alone():
    alone = [in_threads(lambda _, i=i: digest(*trained(i)), 1)[0] for i in range(5)]
    assert len(set(alone)) == 5
    for threads in (1, 3):
        rustnn.set_num_threads(threads)
        assert in_threads(lambda i: digest(*trained(i)), 5) == alone


def test_threads_share_one_model_for_inference_and_gradients():
    rustnn.manual_seed(0)
    model = network().eval()
    inputs = [rustnn.randn(33, 1, 14, 14) for _ in range(4)]

    def infer(i):
        with rustnn.no_grad():
            return [digest(model(inputs[i])) for _ in range(10)]

    def differentiate(i):
        x = inputs[i].clone().requires_grad_()
        return [digest(*rustnn.autograd.grad(model(x).square().sum(), [x, *model.parameters()])) for _ in range(5)]

    for work in (infer, differentiate):
        alone = [work(i) for i in range(4)]
        assert in_threads(work, 4) == alone
        assert len({tuple(row) for row in alone}) == 4 and all(len(set(row)) == 1 for row in alone)


def test_two_threads_may_run_backward_through_one_graph():
    x = leaf(1000)
    y = x
    for _ in range(50):
        y = y * 1.01
    y = y.sum()
    expected = digest(*rustnn.autograd.grad(y, x, retain_graph=True))
    found = in_threads(lambda _: [digest(*rustnn.autograd.grad(y, x, retain_graph=True)) for _ in range(20)], 4)
    assert {value for row in found for value in row} == {expected}


FORK = """
import os, threading
import rustnn
from rustnn import nn

rustnn.set_num_threads(3)

def large():
    a = rustnn.ones(300, 300)
    return (a @ a).exp().clamp(max=1).sum().item() + rustnn.ones(1_000_000).cumsum(0)[-1].item()

def train():
    rustnn.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 12 * 12, 10))
    optimizer = rustnn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    images, labels = rustnn.randn(64, 1, 14, 14), rustnn.arange(64) % 10
    for _ in range(5):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
    return loss.item()

def child(work):
    # In a forked child; its exit status says whether all went well.
    pid = os.fork()
    if pid == 0:
        import signal
        signal.alarm(60)  # ends a hang
        try:
            os._exit(0 if work() else 1)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(2)
    return pid

def ended(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

expected = (large(), train())
same = lambda: (large(), train()) == expected
"""


def test_children_of_a_process_with_a_live_pool_compute_and_train_and_so_does_the_parent():
    assert run(
        FORK
        + """
children = []
for _ in range(5):
    large()
    children.append(child(same))
    assert same()
print(*map(ended, children), same())
"""
    ) == ["0"] * 5 + ["True"]


def test_a_grandchild_computes_too():
    assert run(FORK + "print(ended(child(lambda: same() and ended(child(same)) == 0 and same())), same())") == [
        "0",
        "True",
    ]


def test_forks_while_other_threads_compute_leave_working_children():
    assert run(
        FORK
        + """
done = threading.Event()
def busy():
    while not done.is_set():
        large(); train()
threads = [threading.Thread(target=busy) for _ in range(3)]
for thread in threads:
    thread.start()
statuses = [ended(child(same)) for _ in range(8)]
done.set()
for thread in threads:
    thread.join()
print(*statuses, same())
""",
        "-W",
        "ignore",
        timeout=200,
    ) == ["0"] * 8 + ["True"]


def test_a_child_of_a_worker_thread_computes():
    assert run(
        FORK
        + """
found = []
thread = threading.Thread(target=lambda: found.append(ended(child(same))))
thread.start()
thread.join()
print(*found, same())
""",
        "-W",
        "ignore",
    ) == ["0", "True"]


def test_processes_of_multiprocessing_load_data_and_send_it_back():
    assert run(
        FORK
        + """
import multiprocessing

def load(i):
    batch = rustnn.full((64, 1, 14, 14), float(i))
    return i, (batch.exp().log() @ rustnn.eye(14)).numpy()

context = multiprocessing.get_context("fork")
with context.Pool(2) as pool:
    total = 0.0
    for i, array in pool.imap(load, range(8)):
        large()
        total += rustnn.from_numpy(array).mean().item() - i
print(abs(total) < 1e-4, same())
""",
        "-W",
        "ignore",
    ) == ["True", "True"]


def test_tensors_made_before_a_fork_are_the_childs_own_after_it():
    assert run(
        FORK
        + """
weight = rustnn.ones(500_000, requires_grad=True)
graph = (weight * 2).sum()

def work():
    graph.backward()
    with rustnn.no_grad():
        weight.add_(weight.grad)
    return weight.sum().item() == 1_500_000

print(ended(child(work)), weight.sum().item() == 500_000, weight.grad is None)
graph.backward()
print(weight.grad.sum().item() == 1_000_000)
"""
    ) == ["0", "True", "True", "True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are Unix's")
def test_a_fork_here_and_now_works_whatever_tests_ran_before():
    large = rustnn.ones(1_000_000).exp().sum().item()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks in processes with threads
        pid = os.fork()
    if pid == 0:
        os._exit(0 if rustnn.ones(1_000_000).exp().sum().item() == large else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
