"""The GPU device from Python: moving, printing, memory, waiting, failing; whole programs beside the CPU's results."""

from __future__ import annotations

import copy
import importlib.util
import math
import os
import pickle
import re
import subprocess
import sys
import textwrap
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

import rustnn
from rustnn import _core, nn
from rustnn.nn import functional as F

available = rustnn.gpu.is_available()
pytestmark = pytest.mark.skipif(
    not available, reason="no GPU adapter: install a Vulkan driver, such as Mesa's lavapipe"
)

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SOURCES = EXAMPLES.parent / "src"
# In f32, over some steps of training: what another order of sums may change.
LOSS_TOLERANCE = 1e-3


def test_device_names_and_counts() -> None:
    assert rustnn.gpu.device_count() >= 1 and rustnn.gpu.device_name()
    assert rustnn.device("gpu").type == "gpu" and str(rustnn.ones(1, device="gpu").device) == "gpu:0"
    assert rustnn.gpu.device_name("gpu:0") == rustnn.gpu.device_name(0)
    with pytest.raises(RuntimeError, match="invalid device: gpu:77"):
        rustnn.ones(1, device="gpu:77")
    with pytest.raises(RuntimeError, match="invalid device"):
        rustnn.gpu.device_name(77)
    assert [rustnn.device(f"gpu:{k}").index for k in (0, 1, 9)] == [0, 1, 9] and str(rustnn.device("gpu", 3)) == "gpu:3"
    for call in (rustnn.gpu.synchronize, rustnn.gpu.memory_allocated, rustnn.gpu.max_memory_allocated):
        for absent in ("gpu:9", rustnn.device("gpu:9"), 9, -1, 65535):
            with pytest.raises(RuntimeError, match="invalid device"):
                call(absent)
    with pytest.raises(RuntimeError, match="Invalid device string"):
        rustnn.ones(1, device="gpu:65535")


def test_accelerators_are_the_gpus_that_the_cpu_does_not_imitate(monkeypatch) -> None:
    accelerator = rustnn.accelerator
    count = rustnn.gpu.device_count()
    real = sum(not _core._gpu_is_imitated(k) for k in range(count))
    assert accelerator.device_count() == real and accelerator.is_available() == (real > 0)
    monkeypatch.setattr(_core, "_gpu_is_imitated", lambda index: False)
    assert accelerator.is_available() and accelerator.device_count() == count
    device = accelerator.current_accelerator()
    x = rustnn.ones(1000, device=device)
    assert x.device.type == "gpu" and accelerator.current_device_index() == 0
    accelerator.synchronize()
    assert accelerator.memory_allocated() == rustnn.gpu.memory_allocated() >= x.nbytes
    assert accelerator.max_memory_allocated("gpu") >= accelerator.memory_allocated(device)
    with accelerator.device_index(0):
        accelerator.empty_cache()
    with pytest.raises(RuntimeError, match="invalid device"):
        accelerator.set_device_index(count)
    with pytest.raises(RuntimeError, match="invalid device"), accelerator.device_index(count):
        pass


@pytest.mark.parametrize(
    "name", ["float32", "float64", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "bool"]
)
def test_tensors_of_every_dtype_go_there_and_back(name: str) -> None:
    dtype = getattr(rustnn, name)
    for shape in [(), (0,), (1,), (3,), (5, 7), (2, 0, 3), (1, 3, 1, 5)]:
        x = (rustnn.arange(int(np.prod(shape))) % 2).reshape(shape).to(dtype)
        there = x.to("gpu")
        assert there.device.type == "gpu" and there.dtype == dtype and there.shape == x.shape
        assert there.cpu().tolist() == x.tolist() and there.tolist() == x.tolist()
        assert there.to("gpu") is there
    x = rustnn.arange(12).reshape(3, 4).to(dtype).t()
    there = x.to("gpu")
    assert (
        there.stride() == x.stride() and there.tolist() == x.tolist() and there[1:, ::2].tolist() == x[1:, ::2].tolist()
    )


def test_printing_reading_and_converting_bring_the_numbers() -> None:
    x = rustnn.tensor([[1.0, 2.0], [3.0, 4.5]], device="gpu")
    assert repr(x) == "tensor([[1.0000, 2.0000],\n        [3.0000, 4.5000]], device='gpu:0')"
    assert x[1, 1].item() == 4.5 and float(x[0, 0]) == 1.0 and bool(x[0, 1] == 2) and len(x) == 2
    assert [row.tolist() for row in x] == [[1.0, 2.0], [3.0, 4.5]]
    with pytest.raises(TypeError, match="can't convert gpu:0 device type tensor to numpy"):
        x.numpy()
    assert x.numpy(force=True).tolist() == x.tolist()
    assert copy.deepcopy(x).device == x.device and copy.deepcopy(x).tolist() == x.tolist()
    assert pickle.loads(pickle.dumps(x)).tolist() == x.tolist()
    assert x.nonzero().shape == (4, 2) and x[x > 2].tolist() == [3.0, 4.5]


def test_tensors_of_two_devices_do_not_mix_but_numbers_do() -> None:
    here, there = rustnn.ones(2), rustnn.ones(2, device="gpu")
    for mixed in (
        lambda: here + there,
        lambda: there + here,
        lambda: here @ there,
        lambda: F.linear(there, rustnn.ones(3, 2)),
        lambda: rustnn.cat([here, there]),
        lambda: F.layer_norm(there, (2,), here),
    ):
        with pytest.raises(RuntimeError, match="same device"):
            mixed()
    assert (there + rustnn.tensor(2.0)).tolist() == [3.0, 3.0] and (there * 2 + 1).tolist() == [3.0, 3.0]
    assert there[rustnn.tensor([1, 0, 1])].tolist() == [1.0, 1.0, 1.0]


def test_views_and_writes_share_device_memory() -> None:
    x = rustnn.zeros(4, 4, device="gpu")
    x[1] = 5
    x[:, 2] += 1
    x.t()[3, 0] = 9
    assert x.tolist() == [[0, 0, 1, 9], [5, 5, 6, 5], [0, 0, 1, 0], [0, 0, 1, 0]]
    x[x > 4] = -1
    assert x.sum().item() == -4 * 1 - 1 + 1 + 1 + 1
    y = x.view(16)
    y[3] = 7
    assert x[0, 3].item() == 7 and x.data_ptr() == y.data_ptr() and x.data_ptr() != x.clone().data_ptr()


def test_an_index_out_of_range_raises_where_its_result_is_read_and_reaches_no_memory() -> None:
    table = rustnn.ones(4, 3, device="gpu")
    for bad in ([0, 4], [-1, 2], [2**40, 0]):
        out = F.embedding(rustnn.tensor(bad, device="gpu"), table)
        for _ in range(2):
            with pytest.raises(IndexError, match="out of bounds for dimension with size 4"):
                out.tolist()
        _core._gpu_forget_faults(0)
        assert out.tolist() == [[1.0] * 3] * 2
    loss = F.cross_entropy(rustnn.zeros(2, 3, device="gpu"), rustnn.tensor([1, 3], device="gpu"))
    with pytest.raises(IndexError, match="index 3 is out of bounds"):
        loss.item()
    assert rustnn.ones(2, device="gpu").sum().item() == 2


def test_what_is_made_of_a_wrong_index_raises_at_every_read_and_nothing_else_does() -> None:
    g = {"device": "gpu"}
    table, before = rustnn.ones(4, 3, **g), rustnn.arange(3, **g)
    good, bad = rustnn.tensor([1, 3], **g), rustnn.tensor([1, 4], **g)
    fine = F.embedding(good, table)
    wrong = F.embedding(bad, table)
    total = (wrong.sum(1) * 2).relu()
    also_fine = F.embedding(good, table) + fine
    # Unlike the results of one launch, ops that come before, between and after are read.
    assert before.tolist() == [0, 1, 2] and also_fine.sum().item() == 12 and fine.sum().item() == 6
    later = total + F.embedding(good, table).sum(1)
    target = rustnn.zeros(6, **g)
    target[:2] = total
    for _ in range(2):
        for spoilt in (wrong, total, total[0], wrong.t(), later, target, target[4]):
            for read in (
                lambda x: x.tolist(),
                lambda x: x.sum().item(),
                repr,
                lambda x: x.cpu(),
                lambda x: x.isnan().any().item(),
            ):
                with pytest.raises(IndexError, match="index 4 is out of bounds for dimension with size 4"):
                    read(spoilt)
        assert before.tolist() == [0, 1, 2] and also_fine.sum().item() == 12
        assert F.embedding(good, table).sum().item() == 6
    # What is written over as a whole is new.
    for renew in (
        lambda x: x.fill_(2),
        lambda x: x.copy_(rustnn.full((6,), 2.0)),
        lambda x: x.copy_(rustnn.full((6,), 2.0, **g)),
    ):
        renew(target)
        assert target.tolist() == [2.0] * 6
        target[:2] = total
        with pytest.raises(IndexError):
            target.tolist()
    # Memory that it lay in is nobody's guilt.
    del wrong, total, later, target, spoilt
    for _ in range(20):
        assert F.embedding(good, table).sum(1).tolist() == [3.0, 3.0]


def test_a_model_that_learned_from_a_wrong_index_says_so_until_it_is_loaded_again() -> None:
    rustnn.manual_seed(0)
    model = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(8, 3)).to("gpu")
    kept = {name: value.cpu() for name, value in model.state_dict().items()}
    other = nn.Linear(2, 2).to("gpu")
    optimizer = rustnn.optim.Adam(model.parameters())
    for words in ([[0, 1]], [[1, 5]], [[2, 3]]):
        optimizer.zero_grad()
        F.cross_entropy(model(rustnn.tensor(words, device="gpu")), rustnn.tensor([1], device="gpu")).backward()
        optimizer.step()
    for _ in range(2):
        with pytest.raises(IndexError, match="index 5 is out of bounds"):
            model[2].weight.sum().item()
    assert other.weight.isfinite().all()
    model.load_state_dict(kept)
    assert all(rustnn.equal(value.cpu(), kept[name]) for name, value in model.state_dict().items())


def test_a_thread_is_not_told_of_another_threads_index() -> None:
    told: dict[int, list[str]] = {0: [], 1: []}

    def work(k: int) -> None:
        table, words = rustnn.ones(4, 3, device="gpu"), rustnn.tensor([1, 4 - k], device="gpu")
        for _ in range(40):
            try:
                told[k].append(str(F.embedding(words, table).sum().item()))
            except IndexError as error:
                told[k].append(str(error))

    threads = [threading.Thread(target=work, args=(k,)) for k in told]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told[1] == ["6.0"] * 40
    assert len(told[0]) == 40 and all("index 4 is out of bounds" in text for text in told[0])


def test_more_launches_that_check_than_there_are_slots_are_all_heard() -> None:
    table = rustnn.ones(4, 3, device="gpu")
    words = [rustnn.tensor([k % 4 + 4 * (k == 150)], device="gpu") for k in range(200)]
    found = [F.embedding(w, table) for w in words]
    with pytest.raises(IndexError, match="index 6 is out of bounds"):
        rustnn.cat(found).sum().item()
    with pytest.raises(IndexError, match="index 6 is out of bounds"):
        found[150].tolist()
    assert F.embedding(words[0], table).tolist() == [[1.0] * 3]


# Each names row 4 of 4, or class 3 of 3.
BAD_INDICES = {
    "gather": lambda x, i: x.gather(0, i.unsqueeze(1)),
    "index_select": lambda x, i: x.index_select(0, i),
    "indexing": lambda x, i: x[i],
    "indexing by two": lambda x, i: x[i, i],
    "take": lambda x, i: x.take(i + 9),
    "take_along_dim": lambda x, i: x.take_along_dim(i.unsqueeze(1), 0),
    "scatter": lambda x, i: x.scatter(0, i.unsqueeze(1), 2.0),
    "scatter_add": lambda x, i: x.scatter_add(0, i.unsqueeze(1), x[:2, :1]),
    "scatter_reduce": lambda x, i: x.scatter_reduce(0, i.unsqueeze(1), x[:2, :1], "amax"),
    "index_add": lambda x, i: x.index_add(0, i, x[:2]),
    "index_copy": lambda x, i: x.index_copy(0, i, x[:2]),
    "index_fill": lambda x, i: x.index_fill(0, i, 2.0),
    "index_put": lambda x, i: x.index_put((i,), x[:2]),
    "embedding": lambda x, i: F.embedding(i, x),
    "embedding_bag": lambda x, i: F.embedding_bag(i, x, rustnn.tensor([0], device="gpu")),
    "one_hot": lambda x, i: F.one_hot(i, 3),
    "nll_loss": lambda x, i: F.nll_loss(x[:2], i),
    "cross_entropy": lambda x, i: F.cross_entropy(x[:2], i),
    "multi_margin_loss": lambda x, i: F.multi_margin_loss(x[:2], i),
    "max_unpool1d": lambda x, i: F.max_unpool1d(x[:1, :2], i.unsqueeze(0), 2, output_size=(4,)),
    "searchsorted": lambda x, i: rustnn.searchsorted(x[0, :2], x[0], sorter=i),
    "put": lambda x, i: x.put(i + 11, x[0, :2]),
    "index_reduce": lambda x, i: x.index_reduce(0, i, x[:2], "amax"),
    "scatter of a slice": lambda x, i: x.index_put((i, i), x[0, :2], accumulate=True),
    "max_unpool2d": lambda x, i: F.max_unpool2d(x[:1, :2].reshape(1, 1, 2), i.reshape(1, 1, 2) + 7, 2),
    "nll_loss of images": lambda x, i: F.nll_loss(x[:1].reshape(1, 3, 1).expand(1, 3, 2), i.reshape(1, 2)),
    "ctc_loss": lambda x, i: F.ctc_loss(x.unsqueeze(1), i.unsqueeze(0), (4,), (2,)),
}


@pytest.mark.parametrize("name", BAD_INDICES)
def test_no_op_follows_an_index_out_of_range(name: str) -> None:
    x, i = rustnn.ones(4, 3, device="gpu"), rustnn.tensor([1, 4], device="gpu")
    waits = rustnn.gpu._counts()[1]
    out = BAD_INDICES[name](x, i)
    assert rustnn.gpu._counts()[1] == waits
    with pytest.raises(IndexError, match="out of bounds for dimension with size"):
        out.tolist()
    assert x.tolist() == [[1.0] * 3] * 4


def test_more_workgroups_than_a_grid_is_wide() -> None:
    x = rustnn.zeros(66_000 * 256, device="gpu") + 1
    assert x[[0, 65_535 * 256 - 1, 65_535 * 256, -1]].tolist() == [1.0] * 4 and x.amin().item() == 1
    rows = x.view(66_000, 256).softmax(1)[65_500:]
    assert (rows - 1 / 256).abs().max().item() < 1e-8


def test_memory_is_counted_pooled_and_given_back() -> None:
    before = rustnn.gpu.memory_allocated()
    x = rustnn.empty(1 << 20, device="gpu")
    assert rustnn.gpu.memory_allocated() - before >= 4 << 20 and rustnn.gpu.max_memory_allocated() >= 4 << 20
    del x
    assert rustnn.gpu.memory_allocated() == before
    rustnn.gpu.empty_cache()
    rustnn.gpu.synchronize()
    for _ in range(100):
        y = rustnn.zeros(1000, device="gpu") + 1
    assert y.sum().item() == 1000


def test_too_much_memory_is_an_error_and_the_rest_goes_on() -> None:
    with pytest.raises(RuntimeError):
        rustnn.empty(1 << 40, device="gpu", dtype=rustnn.int8)
    with pytest.raises(RuntimeError):
        rustnn.zeros(10**15, device="gpu")
    assert rustnn.ones(3, device="gpu").sum().item() == 3


def test_memory_that_cannot_be_had_is_an_error_and_the_rest_goes_on() -> None:
    # lavapipe's device memory is the process's own, which is limited here; a real GPU's is filled.
    code = """
        import resource, rustnn
        x = rustnn.ones(4, device="gpu", requires_grad=True)
        (x + 1).sum().backward()
        x.grad.tolist()
        if "llvmpipe" in rustnn.gpu.device_name():
            now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (now + (500 << 20),) * 2)
        kept = []
        try:
            while True:
                kept.append(rustnn.empty(16 << 20, device="gpu"))
        except rustnn.OutOfMemoryError as error:
            assert isinstance(error, (RuntimeError, MemoryError)), error
            assert "gpu:0: out of memory. Tried to allocate" in str(error), error
        # What there was, lives; the CPU too; and what is freed can be had again.
        assert (x + 1).tolist() == [2.0] * 4 and (rustnn.ones(3) + 1).tolist() == [2.0] * 3
        assert len(kept) > 1
        del kept
        assert rustnn.zeros(16 << 20, device="gpu").sum().item() == 0
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=240)


def test_bad_numbers_raise_at_the_next_read_and_nobody_waits_before() -> None:
    g = {"device": "gpu"}
    numbers = rustnn.tensor([1, 2, 0], **g)
    bad = [
        ("element < 0", RuntimeError, lambda: rustnn.multinomial(rustnn.tensor([1.0, -1.0], **g), 1)),
        ("element < 0", RuntimeError, lambda: rustnn.multinomial(rustnn.tensor([1.0, float("inf")], **g), 1, True)),
        ("sum of probabilities <= 0", RuntimeError, lambda: rustnn.multinomial(rustnn.zeros(3, **g), 1)),
        ("not enough non-negative", RuntimeError, lambda: rustnn.multinomial(rustnn.tensor([1.0, 0.0], **g), 2)),
        ("p_in <= 1", RuntimeError, lambda: rustnn.bernoulli(rustnn.tensor([1.0, float("nan")], **g))),
        ("ZeroDivisionError", RuntimeError, lambda: numbers // numbers),
        ("ZeroDivisionError", RuntimeError, lambda: numbers % numbers),
        (
            "between 0 and 1",
            RuntimeError,
            lambda: F.binary_cross_entropy(rustnn.tensor([1.5], **g), rustnn.ones(1, **g)),
        ),
        ("var has negative", ValueError, lambda: F.gaussian_nll_loss(*rustnn.full((3, 2), -1.0, **g))),
        ("index 2 is out of bounds", IndexError, lambda: F.one_hot(numbers, 2)),
    ]
    for text, kind, run in bad:
        waits = rustnn.gpu._counts()[1]
        out = run()
        assert rustnn.gpu._counts()[1] == waits, text
        for _ in range(2):
            with pytest.raises(kind, match=f"{text}.*found by an op on gpu:0 before this read"):
                out.tolist()
        assert numbers.tolist() == [1, 2, 0]


def test_a_linear_map_and_its_activation_are_one_launch() -> None:
    for name in ("relu", "gelu"):
        for shape in [(3, 8), (2, 3, 8), (1, 8), (8,)]:
            for bias in (rustnn.randn(40), None):
                x, w = rustnn.randn(shape), rustnn.randn(40, 8)
                results = []
                for device in ("cpu", "gpu"):
                    leaves = [t.to(device).requires_grad_() for t in (x, w, bias) if t is not None]
                    args = (*leaves, *([None] * (3 - len(leaves))))
                    fused = _core._linear_activation(*args, name)
                    apart = getattr(F, name)(F.linear(*args))
                    assert fused.grad_fn.name() == apart.grad_fn.name()
                    dy = rustnn.ones(fused.shape, device=device)
                    for y in (fused, apart):
                        results.append([y, *rustnn.autograd.grad(y, leaves, dy, create_graph=True)])
                for result in results[1:]:
                    for a, b in zip(result, results[0], strict=True):
                        assert (a.cpu() - b).abs().max().item() < 1e-4
    x, w, bias = rustnn.randn(3, 8, device="gpu"), rustnn.randn(40, 8, device="gpu"), rustnn.randn(40, device="gpu")
    for run in (lambda: _core._linear_activation(x, w, bias, "gelu"), lambda: F.linear(x, w, bias)):
        before = rustnn.gpu._counts()[0]
        run()
        assert rustnn.gpu._counts()[0] == before + 1


def test_transformer_layers_ask_for_it_where_nobody_watches() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, activation="gelu", batch_first=True).to("gpu")
    x = rustnn.randn(2, 3, 8, device="gpu")

    def launches() -> int:
        before = rustnn.gpu._counts()[0]
        layer(x)
        return rustnn.gpu._counts()[0] - before

    with rustnn.no_grad():
        alone, out = launches(), layer(x)
        seen: list = []
        handle = layer.linear1.register_forward_hook(lambda _module, _inputs, output: seen.append(output.shape))
        assert launches() == alone + 1 and seen == [(2, 3, 16)]
        assert (layer(x) - out).abs().max().item() < 1e-6
        handle.remove()
        assert launches() == alone


def test_an_op_without_a_kernel_runs_on_the_cpu_with_one_warning_that_names_it() -> None:
    code = """
        import warnings, rustnn
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            x = rustnn.tensor([4.0, 1.0, 9.0], dtype=rustnn.float64, device="gpu")
            for _ in range(3):
                values = x.sqrt()
        assert values.tolist() == [2.0, 1.0, 3.0] and values.device.type == "gpu"
        assert [str(w.message) for w in said] == [
            "sqrt of float64 has no GPU kernel: it runs on the CPU, on copies brought over and back (said once)"
        ], [str(w.message) for w in said]
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120)


def test_a_forked_child_gets_an_error_and_not_a_hang() -> None:
    code = """
        import os, rustnn
        x = rustnn.ones(3, device="gpu")
        pid = os.fork()
        if pid == 0:
            try:
                x.sum().item()
            except RuntimeError as error:
                os._exit(0 if "forked" in str(error) else 2)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert x.sum().item() == 3
    """
    subprocess.run([sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)], check=True, timeout=120)


# ------------------------------------------------------------------------------------------------------------- programs


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Dropout(0.1), nn.Linear(32, 3))

    def forward(self, x):
        return self.layers(x)


class Cnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Linear(8 * 4 * 4, 3)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.conv(x.view(-1, 1, 8, 8)))), 2)
        return self.last(x.flatten(1))


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, mask):
        b, t, c = x.shape
        q, k, v = (part.view(b, t, self.heads, -1).transpose(1, 2) for part in self.mix(self.norm1(x)).chunk(3, -1))
        scores = (q @ k.transpose(-1, -2)) * (c // self.heads) ** -0.5
        weights = scores.masked_fill(mask, float("-inf")).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Gpt(nn.Module):
    def __init__(self, words: int = 17, width: int = 16, length: int = 12) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList([Block(width, 2) for _ in range(2)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)
        self.register_buffer("mask", rustnn.ones(length, length, dtype=rustnn.bool).triu(1))
        self.register_buffer("order", rustnn.arange(length))

    def forward(self, tokens):
        x = self.words(tokens) + self.places(self.order)
        for block in self.blocks:
            x = block(x, self.mask)
        return self.head(self.norm(x)).flatten(0, 1)


def program(kind: str):
    """A model and batches of (input, target)."""
    rustnn.manual_seed(11)
    if kind == "gpt":
        tokens = rustnn.randint(0, 17, (4, 6, 13))
        return Gpt(), [(t[:, :-1].contiguous(), t[:, 1:].reshape(-1)) for t in tokens]
    width = 8 if kind == "mlp" else 64
    return (Mlp() if kind == "mlp" else Cnn()), [
        (rustnn.randn(16, width), rustnn.randint(0, 3, (16,))) for _ in range(4)
    ]


OPTIMIZERS = {
    "mlp": lambda p: rustnn.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True),
    "cnn": lambda p: rustnn.optim.Adam(p, lr=1e-2),
    "gpt": lambda p: rustnn.optim.AdamW(p, lr=1e-3),
}


def step(model, optimizer, x, target):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), target)
    loss.backward()
    optimizer.step()
    return loss


def trained(kind: str, device: str):
    model, batches = program(kind)
    model.to(device)
    optimizer = OPTIMIZERS[kind](model.parameters())
    rustnn.manual_seed(12)
    losses = []
    for _ in range(3):
        for x, target in batches:
            losses.append(step(model, optimizer, x.to(device, non_blocking=True), target.to(device, non_blocking=True)))
    return [loss.item() for loss in losses], model, optimizer


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_training_gives_the_cpus_losses_and_no_op_falls_back(kind: str) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        losses, model, _ = trained(kind, "gpu")
    expected, reference, _ = trained(kind, "cpu")
    assert not [str(w.message) for w in said if "GPU kernel" in str(w.message)]
    assert max(abs(a - b) for a, b in zip(losses, expected, strict=True)) < LOSS_TOLERANCE
    for (name, a), (_, b) in zip(model.state_dict().items(), reference.state_dict().items(), strict=True):
        assert a.device.type == "gpu"
        assert (a.cpu().double() - b.double()).abs().max().item() < 1e-2, name


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_training_step_never_waits_for_the_device(kind: str) -> None:
    model, batches = program(kind)
    model.to("gpu")
    optimizer = OPTIMIZERS[kind](model.parameters())
    x, target = (t.to("gpu") for t in batches[0])
    step(model, optimizer, x, target)
    rustnn.gpu.synchronize()
    waits = rustnn.gpu._counts()[1]
    for _ in range(5):
        loss = step(model, optimizer, x, target)
    assert rustnn.gpu._counts()[1] == waits
    loss.item()
    assert rustnn.gpu._counts()[1] == waits + 1


COMPOSED = "ASGD Adadelta Adafactor Adagrad Adamax Muon NAdam RAdam RMSprop Rprop".split()


@pytest.mark.parametrize("name", COMPOSED)
def test_other_optimizers_step_as_on_the_cpu_without_a_wait(name: str) -> None:
    found = []
    for device in ("cpu", "gpu"):
        rustnn.manual_seed(4)
        model, x = (
            nn.Sequential(nn.Linear(6, 8, bias=False), nn.Tanh(), nn.Linear(8, 3, bias=False)),
            rustnn.randn(5, 6),
        )
        model, x = model.to(device), x.to(device)
        optimizer = getattr(rustnn.optim, name)(model.parameters(), lr=1e-2)
        for _ in range(3):
            optimizer.zero_grad()
            model(x).pow(2).sum().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            waits = rustnn.gpu._counts()[1]
            optimizer.step()
            assert rustnn.gpu._counts()[1] == waits
        found.append([p.detach().cpu() for p in model.parameters()])
    for a, b in zip(*found, strict=True):
        assert (a - b).abs().max().item() < 1e-5


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_an_optimizer_updates_many_parameters_in_a_few_dispatches(kind: str) -> None:
    parameters = [nn.Parameter(rustnn.full((n,), 1.0, device="gpu")) for n in range(1, 41)]
    optimizer = OPTIMIZERS[kind](parameters)
    for _ in range(2):
        for p in parameters:
            p.grad = rustnn.full_like(p, 0.5)
        before = rustnn.gpu._counts()[0]
        optimizer.step()
        dispatches = rustnn.gpu._counts()[0] - before
    assert dispatches <= 20
    here = [nn.Parameter(rustnn.full((n,), 1.0)) for n in range(1, 41)]
    optimizer = OPTIMIZERS[kind](here)
    for _ in range(2):
        for p in here:
            p.grad = rustnn.full_like(p, 0.5)
        optimizer.step()
    for a, b in zip(parameters, here, strict=True):
        assert (a.detach().cpu() - b.detach()).abs().max().item() < 1e-6


def test_checkpoints_cross_devices(tmp_path) -> None:
    _, model, optimizer = trained("mlp", "gpu")
    path = tmp_path / "model.pt"
    rustnn.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
    here = rustnn.load(path, map_location="cpu")
    assert {t.device.type for t in here["model"].values()} == {"cpu"}
    there = rustnn.load(path, map_location="gpu")
    assert {t.device.type for t in there["model"].values()} == {"gpu"}
    for name, t in model.state_dict().items():
        assert here["model"][name].tolist() == t.tolist() == there["model"][name].tolist()
    fresh = Mlp()
    fresh.load_state_dict(there["model"])
    assert (
        fresh.layers[0].weight.device.type == "cpu"
        and fresh.layers[0].weight.tolist() == model.layers[0].weight.tolist()
    )
    resumed = OPTIMIZERS["mlp"](model.parameters())
    resumed.load_state_dict(here["optimizer"])
    buffer = next(iter(resumed.state.values()))["momentum_buffer"]
    assert buffer.device.type == "gpu"


def test_batches_of_a_loader_move_without_waiting() -> None:
    data = rustnn.utils.data.TensorDataset(rustnn.arange(12.0).view(6, 2), rustnn.arange(6))
    loader = rustnn.utils.data.DataLoader(data, batch_size=2, pin_memory=True)
    waits = rustnn.gpu._counts()[1]
    moved = [(x.to("gpu", non_blocking=True), y.to("gpu", non_blocking=True)) for x, y in loader]
    assert rustnn.gpu._counts()[1] == waits
    assert rustnn.cat([x for x, _ in moved]).tolist() == rustnn.arange(12.0).view(6, 2).tolist()
    assert rustnn.cat([y for _, y in moved]).tolist() == list(range(6))


def test_moving_tensors_to_the_device_waits_for_nothing() -> None:
    tensors = [
        rustnn.tensor([True, False, True]),
        rustnn.arange(7, dtype=rustnn.uint8),
        rustnn.arange(5.0).half(),
        rustnn.arange(6.0).view(2, 3).t(),
        rustnn.tensor(3),
    ]
    rustnn.gpu.synchronize()
    waits = rustnn.gpu._counts()[1]
    moved = [t.to("gpu") for t in tensors]
    assert rustnn.gpu._counts()[1] == waits
    assert [t.tolist() for t in moved] == [t.tolist() for t in tensors]
    # What is recorded before reads what was there before.
    x = rustnn.ones(4, device="gpu")
    y = x + 1
    x.copy_(rustnn.arange(4.0))
    assert y.tolist() == [2.0] * 4 and x.tolist() == [0.0, 1.0, 2.0, 3.0]


def test_images_are_resized_without_waiting() -> None:
    image = rustnn.randn(1, 2, 5, 6)
    there = image.to("gpu")
    for options in ({"mode": "nearest"}, {"mode": "bilinear"}, {"mode": "bicubic", "align_corners": True}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            waits = rustnn.gpu._counts()[1]
            found = F.interpolate(there, size=(9, 4), **options)
            assert rustnn.gpu._counts()[1] == waits
        assert (found.cpu() - F.interpolate(image, size=(9, 4), **options)).abs().max().item() < 1e-5


def test_gradients_flow_between_devices() -> None:
    x = rustnn.tensor([1.0, 2.0], requires_grad=True)
    (x.to("gpu") * 3).cpu().sum().backward()
    assert x.grad.tolist() == [3.0, 3.0] and x.grad.device.type == "cpu"
    w = rustnn.ones(3, device="gpu", requires_grad=True)
    (w * w).sum().backward()
    assert w.grad.tolist() == [2.0] * 3 and w.grad.device.type == "gpu"
    (second,) = rustnn.autograd.grad((w**3).sum(), w, create_graph=True)
    (third,) = rustnn.autograd.grad(second.sum(), w)
    assert third.tolist() == [6.0] * 3


def test_autocast_and_the_scaler_of_gradients_work_there() -> None:
    torch_like = {"cpu": rustnn.bfloat16, "gpu": rustnn.float16}
    assert all(rustnn.get_autocast_dtype(kind) == dtype for kind, dtype in torch_like.items())
    rustnn.manual_seed(0)
    layer, x = nn.Linear(6, 3).to("gpu"), rustnn.randn(5, 6, device="gpu")
    optimizer, scaler = rustnn.optim.SGD(layer.parameters(), lr=0.1), rustnn.amp.GradScaler("gpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with rustnn.autocast("gpu"):
            out = layer(x)
            assert out.dtype is rustnn.float16 and rustnn.is_autocast_enabled("gpu")
            loss = F.mse_loss(out, rustnn.zeros(5, 3, device="gpu", dtype=rustnn.float16))
        assert not rustnn.is_autocast_enabled("gpu")
    before = layer.weight.detach().clone()
    scaler.scale(loss).backward()
    waits = rustnn.gpu._counts()[1]
    scaler.step(optimizer)
    assert rustnn.gpu._counts()[1] == waits + 1
    scaler.update()
    expected = before - 0.1 * layer.weight.grad
    assert (layer.weight - expected).abs().max().item() < 1e-6 and (layer.weight != before).any()


def test_modules_move_with_their_buffers() -> None:
    module = nn.BatchNorm1d(3).to("gpu")
    module(rustnn.randn(5, 3, device="gpu"))
    assert {t.device.type for t in module.state_dict().values()} == {"gpu"} and module.num_batches_tracked.item() == 1
    assert {t.device.type for t in module.cpu().state_dict().values()} == {"cpu"}


def test_results_are_the_same_in_every_run() -> None:
    first, second = trained("gpt", "gpu")[0], trained("gpt", "gpu")[0]
    assert first == second


def digits_example():
    spec = importlib.util.spec_from_file_location("train_digits", EXAMPLES / "train_digits.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example


def test_the_digits_are_learned_as_on_the_cpu() -> None:
    example = digits_example()
    data, _ = rustnn.datasets.digits()
    loader = rustnn.utils.data.DataLoader(data, batch_size=128)
    losses = {}
    for device in ("cpu", "gpu"):
        rustnn.manual_seed(0)
        network = example.DigitNet().to(device)
        optimizer = rustnn.optim.Adam(network.parameters(), lr=3e-3)
        scheduler = rustnn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=len(loader))
        losses[device] = example.train_epoch(network, loader, optimizer, scheduler, device)
    assert losses["cpu"] < 2.0 and abs(losses["gpu"] - losses["cpu"]) < LOSS_TOLERANCE


def test_the_example_gives_the_same_on_both_devices(tmp_path) -> None:
    """``make train DEVICE=gpu ARGS="--epochs 1"`` beside ``make train ARGS="--epochs 1"``."""
    found = {}
    for device in ("cpu", "gpu"):
        options = ["--epochs", "1", "--device", device, "--out", str(tmp_path / device)]
        run = subprocess.run(
            [sys.executable, str(EXAMPLES / "train_digits.py"), *options],
            check=True, capture_output=True, text=True, timeout=280,
        )  # fmt: skip
        found[device] = [float(x) for x in re.findall(r"loss (\d+\.\d+)", run.stdout)]
    assert len(found["cpu"]) == 2 and found["cpu"][1] < 2.0
    # The loss of training. That of testing is the next test's: see docs/gpu.md, "Numbers".
    assert abs(found["cpu"][0] - found["gpu"][0]) <= LOSS_TOLERANCE


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_epoch_on_the_device_tests_as_on_the_cpu_where_no_bias_stands_before_a_norm(seed: int) -> None:
    """A norm subtracts the bias again: its gradient is 0 but for rounding, of which Adam makes whole steps."""
    example, losses = digits_example(), {}
    data, test = rustnn.datasets.digits()
    loader, test_loader = (rustnn.utils.data.DataLoader(d, batch_size=128) for d in (data, test))
    for device in ("cpu", "gpu"):
        rustnn.manual_seed(seed)
        network = example.DigitNet().to(device)
        network.strokes.bias.requires_grad_(False)
        network.shapes.bias.requires_grad_(False)
        optimizer = rustnn.optim.Adam([p for p in network.parameters() if p.requires_grad], lr=3e-3)
        scheduler = rustnn.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=len(loader))
        learned = example.train_epoch(network, loader, optimizer, scheduler, device)
        losses[device] = (learned, example.evaluate(network, test_loader, device)[0])
    for here, there in zip(losses["cpu"], losses["gpu"], strict=True):
        assert abs(here - there) <= LOSS_TOLERANCE / 10


def test_without_a_driver_there_is_no_gpu_and_everything_else_works() -> None:
    code = """
        import rustnn
        assert not rustnn.gpu.is_available() and rustnn.gpu.device_count() == 0
        for use in (lambda: rustnn.ones(2, device="gpu"), rustnn.gpu.synchronize, lambda: rustnn.ones(2).to("gpu")):
            try:
                use()
            except RuntimeError as error:
                assert "no GPU: no adapter was found" in str(error), error
            else:
                raise AssertionError("no error")
        assert (rustnn.ones(2) + 1).tolist() == [2.0, 2.0]
    """
    environment = {**os.environ, "VK_DRIVER_FILES": "/nonexistent", "VK_ICD_FILENAMES": "/nonexistent"}
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120, env=environment)


def test_a_lost_device_is_an_error_and_the_cpu_goes_on() -> None:
    code = """
        import rustnn
        from rustnn import _core
        x = rustnn.ones(4, device="gpu", requires_grad=True)
        y = (x * 2).sum()
        _core._gpu_lose(0)
        fresh = lambda: rustnn.ones(9, device="gpu")
        for use in (y.item, y.backward, lambda: x + 1, x.tolist, rustnn.gpu.synchronize, fresh):
            try:
                use()
            except RuntimeError as error:
                assert "gpu:0" in str(error) and "lost" in str(error), error
            else:
                raise AssertionError(f"no error from {use}")
        z = rustnn.ones(4, requires_grad=True)
        (z * 2).sum().backward()
        assert z.grad.tolist() == [2.0] * 4
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120)


def test_a_tensor_over_the_limit_of_a_buffer_names_the_limit() -> None:
    with pytest.raises(RuntimeError, match=r"bytes is over this adapter's limit of \d+ bytes for one buffer; split it"):
        rustnn.empty(1 << 40, device="gpu", dtype=rustnn.int8)


def test_kernels_are_timed_by_the_devices_clock() -> None:
    x = rustnn.ones(1000, device="gpu")
    (x + 1).sum().item()
    try:
        _core._gpu_start_profile(0)
    except RuntimeError as error:
        pytest.skip(str(error))
    for _ in range(40):
        x = x + 1
    x.sum()
    times = _core._gpu_end_profile(0)
    assert sum(count for _, count, _ in times) == 41 and all(ns >= 0 for _, _, ns in times)
    assert x.sum().item() == 41000.0


def test_threads_train_side_by_side() -> None:
    inputs = [(rustnn.randn(16, 8), rustnn.randn(8, 4)) for _ in range(4)]
    grads: dict = {}

    def work(k: int) -> None:
        x, w = inputs[k][0].to("gpu"), inputs[k][1].to("gpu").requires_grad_()
        for _ in range(20):
            (x @ w).tanh().sum().backward()
        grads[k] = w.grad.cpu() / 20

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, (x, w) in enumerate(inputs):
        w.requires_grad_()
        (x @ w).tanh().sum().backward()
        assert (grads[k] - w.grad).abs().max().item() < 1e-4


def test_functions_near_zero_are_right_to_a_relative_error() -> None:
    x = rustnn.cat([rustnn.logspace(-20, -0.1, 200), -rustnn.logspace(-20, -0.1, 200)])
    for name in ("log1p", "expm1", "tanh", "sinh", "asinh", "atanh"):
        expected, actual = getattr(x, name)(), getattr(x.to("gpu"), name)().cpu()
        worst = ((actual - expected) / expected).abs().max().item()
        assert worst < 2e-5, (name, worst)
    below = rustnn.linspace(-20.0, -5.0, 64)
    for function in (F.softplus, F.mish):
        expected, actual = function(below), function(below.to("gpu")).cpu()
        assert ((actual - expected) / expected).abs().max().item() < 2e-5


def test_remainders_are_exact() -> None:
    k = rustnn.arange(1.0, 4001.0)
    divisors = (0.1, 3.0, -2.5, 1e-3, 6.2831853)
    for a in (k, k * 0.1, -k * 1e4, k * 1e30, k * 1e-42):
        for b in divisors:
            g = a.to("gpu")
            assert rustnn.equal(rustnn.fmod(g, b).cpu(), rustnn.fmod(a, b)), b
            assert rustnn.equal((g % b).cpu(), a % b), b
    assert rustnn.equal((k.to("gpu") // 0.1).cpu(), k // 0.1)
    odd = rustnn.tensor([0.0, -0.0, float("inf"), float("nan"), 1.0, -1.0])
    for b in (2.0, 0.0, float("inf"), float("nan")):
        expected, actual = rustnn.fmod(odd, b), rustnn.fmod(odd.to("gpu"), b).cpu()
        assert rustnn.equal(actual.isnan(), expected.isnan()) and rustnn.equal(
            actual.nan_to_num().copysign(actual), expected.nan_to_num().copysign(expected)
        ), b


# What comes after the place where a gradient is exchanged: ops that take gradients as they come, fused kernels, views.
AFTER = {
    "exp": rustnn.exp,
    "a sum of two": lambda x: x * 2 + x.sin(),
    "softmax": lambda x: x.softmax(0),
    "a product": lambda x: x.reshape(1, -1) @ rustnn.ones(4, 2, device=x.device),
    "layer_norm": lambda x: F.layer_norm(x, (4,)),
    "conv1d": lambda x: F.conv1d(x.reshape(1, 1, -1), rustnn.ones(1, 1, 2, device=x.device)),
    "a view": lambda x: x[1:].reshape(1, 3),
    "nothing": lambda x: x.view_as(x),
}
PAIRS = [("gpu", "cpu"), ("cpu", "gpu"), ("gpu", "meta"), ("cpu", "meta"), ("meta", "cpu")]


@pytest.mark.parametrize(("own", "foreign"), PAIRS)
@pytest.mark.parametrize("op", AFTER)
def test_a_gradient_of_another_device_is_refused(op: str, own: str, foreign: str) -> None:
    class Astray(rustnn.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            return rustnn.ones(grad.shape, device=foreign)

    def leaf():
        return rustnn.ones(4, device=own, requires_grad=True)

    def elsewhere(grad):
        return rustnn.ones(grad.shape, device=foreign)

    name = f"expected device {own}(:0)? but got {foreign}(:0)?"
    seed = rustnn.ones(AFTER[op](leaf()).shape, device=foreign)
    with pytest.raises(RuntimeError, match=f"invalid gradient at index 0 - {name}"):
        AFTER[op](leaf()).backward(seed)
    with pytest.raises(RuntimeError, match=f"Function AstrayBackward returned an invalid gradient at index 0 - {name}"):
        Astray.apply(AFTER[op](leaf())).sum().backward()
    for x in (leaf(), leaf() * 1):
        y = AFTER[op](x)
        y.register_hook(elsewhere)
        with pytest.raises(RuntimeError, match=f"hook 'elsewhere' has changed the type of value .*: {name}"):
            y.sum().backward()
        y = AFTER[op](x)
        y.grad_fn.register_prehook(lambda grads: tuple(elsewhere(grad) for grad in grads))
        with pytest.raises(RuntimeError, match=name):
            y.sum().backward()
        y = AFTER[op](x)
        y.grad_fn.register_hook(lambda inputs, _: tuple(None if g is None else elsewhere(g) for g in inputs))
        with pytest.raises(RuntimeError, match=name):
            y.sum().backward()
        x.register_hook(elsewhere)
        with pytest.raises(RuntimeError, match=name):
            AFTER[op](x).sum().backward()
    assert (leaf() + 1).device.type == own


def test_gradients_without_dimensions_come_from_the_cpu_too() -> None:
    class Mean(rustnn.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 3

        @staticmethod
        def backward(ctx, grad):
            return rustnn.tensor(3.0)

    x = rustnn.tensor(2.0, device="gpu", requires_grad=True)
    Mean.apply(x).backward(rustnn.tensor(1.0))
    assert x.grad.device.type == "gpu" and x.grad.item() == 3.0


def test_what_a_saved_tensor_becomes_may_not_lie_elsewhere() -> None:
    for device in ("cpu", "meta"):
        hooks = rustnn.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t, d=device: t.to(d))
        for op in (rustnn.exp, lambda x: x.softmax(0), lambda x: F.layer_norm(x, (4,)), lambda x: x * x.detach()):
            x = rustnn.ones(4, device="gpu", requires_grad=True)
            with hooks:
                y = op(x)
            with pytest.raises(RuntimeError, match="same device"):
                y.sum().backward()


def test_indices_of_another_device_are_refused() -> None:
    with pytest.raises(RuntimeError, match="indices should be either on cpu"):
        rustnn.ones(2, device="gpu")[rustnn.tensor([0], device="meta")]


def test_wrong_offsets_of_bags_raise_at_the_next_read() -> None:
    table, words = rustnn.ones(5, 3), rustnn.tensor([0, 1, 2, 3])
    for offsets, text in [
        ([1, 2], "offsets\\[0\\] has to be 0"),
        ([-1, 2], "offsets\\[0\\] has to be 0"),
        ([0, 3, 2], "offsets must not decrease"),
        ([0, 5], "offsets\\[-1\\] can not be greater than input's length 4"),
        ([0, 2**33], "offsets\\[-1\\] can not be greater than input's length 4"),
        ([0, -(2**40), 2], "offsets must not decrease"),
    ]:
        for options in ({}, {"include_last_offset": True}, {"mode": "max"}, {"mode": "sum"}):
            with pytest.raises(RuntimeError, match=text):
                F.embedding_bag(words, table, rustnn.tensor(offsets), **options)
            waits = rustnn.gpu._counts()[1]
            out = F.embedding_bag(words.to("gpu"), table.to("gpu"), rustnn.tensor(offsets, device="gpu"), **options)
            assert rustnn.gpu._counts()[1] == waits
            with pytest.raises(RuntimeError, match=f"{text}.*found by an op on gpu:0"):
                out.tolist()
            _core._gpu_forget_faults(0)
            # No number of another tensor: rows of ones, summed at most four times.
            assert 0 <= out.min().item() and out.max().item() <= 4


def test_counts_and_places_are_found_there_and_their_number_alone_is_read() -> None:
    mask = rustnn.rand(3, 50, 7) > 0.6
    x, words = rustnn.randn(3, 50, 7), rustnn.randint(0, 9, (200,))
    repeats = rustnn.randint(0, 4, (50,))
    calls = {
        "nonzero": (lambda d: mask.to(d).nonzero(), 1),
        "nonzero of floats": (lambda d: rustnn.nonzero((x * mask).to(d)), 1),
        "argwhere": (lambda d: rustnn.argwhere(mask.to(d)), 1),
        "masked_select": (lambda d: x.to(d)[mask.to(d)], 1),
        "an empty mask": (lambda d: x.to(d)[rustnn.zeros_like(mask, device=d)], 1),
        "masked_scatter": (lambda d: x.to(d).masked_scatter(mask.to(d), x.to(d)), 1),
        "bincount": (lambda d: rustnn.bincount(words.to(d), minlength=20), 2),
        "bincount by weights": (lambda d: rustnn.bincount(words.to(d), (words * 0.5).to(d)), 2),
        "repeat_interleave": (lambda d: x.to(d).repeat_interleave(repeats.to(d), 1), 1),
        "repeat_interleave of a known size": (
            lambda d: x.to(d).repeat_interleave(repeats.to(d), 1, output_size=int(repeats.sum())), 0,
        ),
        "histc": (lambda d: rustnn.histc(x.to(d), 9), 2),
        "histc of a range": (lambda d: rustnn.histc(x.to(d), 9, -1, 1), 0),
    }  # fmt: skip
    for name, (run, reads) in calls.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            waits = rustnn.gpu._counts()[1]
            found = run("gpu")
            assert rustnn.gpu._counts()[1] - waits == reads, name
        assert found.device.type == "gpu" and found.dtype == run("cpu").dtype
        assert found.tolist() == run("cpu").tolist(), name
    with pytest.raises(RuntimeError, match="repeats can not be negative"):
        x.to("gpu").repeat_interleave(-repeats.to("gpu"), 1)
    for size in (3, 10**6):
        out = x.to("gpu").repeat_interleave(repeats.to("gpu"), 1, output_size=size)
        with pytest.raises(RuntimeError, match="allocated size does not match required size"):
            out.tolist()
    for bad in ([1, -1], [-(2**40)]):
        with pytest.raises(RuntimeError, match="non-negative"):
            rustnn.bincount(rustnn.tensor(bad, device="gpu"))
    for bad in (float("nan"), float("inf")):
        with pytest.raises(RuntimeError, match="is not finite"):
            rustnn.histc(rustnn.tensor([1.0, bad], device="gpu"))


def _warnings_of(code: str) -> list[str]:
    """What a program of its own is told of kernels that GPUs lack."""
    program = "import rustnn\nfrom rustnn import special\n" + textwrap.dedent(code)
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    return re.findall(r"UserWarning: (.*) has no GPU kernel", run.stderr)


def test_functions_made_of_float64_run_on_the_cpu_and_name_themselves() -> None:
    code = """
    x = rustnn.tensor([0.5, 1.5], device="gpu", requires_grad=True)
    special.i0(x).sum().backward()
    other = x.detach().clone()
    rustnn.poisson(other), rustnn.frexp(x), rustnn.hann_window(8, device="gpu")
    other.geometric_(0.5), other.cauchy_(), other.cauchy_()
    special.gammainc(x, x).sum().backward()
    assert x.grad.device.type == "gpu"
    """
    assert _warnings_of(code) == [
        "special.i0 of float32",
        "special.i1 of float32",
        "poisson of float32",
        "frexp of float32",
        "geometric_ of float32",
        "cauchy_ of float32",
        "special.gammainc of float32",
        "special.gammainc_backward of float32",
    ]


def test_a_fallback_is_told_by_the_name_that_the_program_called() -> None:
    code = """
    x = rustnn.rand(4, 5, device="gpu")
    d, z = x.double().requires_grad_(), x.to(rustnn.complex64)
    rustnn.fft.rfft(x), z.abs(), d.mean(), d.std(1), d.argmax(1), d.clamp(0.2, 0.8)
    d.index_add(0, rustnn.tensor([0], device="gpu"), d[:1]), rustnn.norm(d)
    d.sort().values.sum().backward()
    """
    said = _warnings_of(code)
    for name in (
        "fft_r2c of float32",
        "abs of complex64",
        "mean of float64",
        "std of float64",
        "argmax of float64",
        "clamp of float64",
        "index_add of float64",
    ):
        assert name in said, (name, said)
    inner = ("map", "real_forward", "reduce", "arg_extreme", "index_update", "variance", "copy")
    assert not [text for text in said if text.split(" of ")[0] in inner or text.startswith("_")], said


def test_a_fallback_raises_where_warnings_are_errors_and_changes_nothing() -> None:
    code = """
        import warnings, rustnn
        x = rustnn.ones(3, dtype=rustnn.float64, device="gpu", requires_grad=False)
        warnings.simplefilter("error")
        for run in (lambda: x.mul_(3), lambda: x.mul_(3), lambda: x.cumsum(0), lambda: rustnn.special.i0(x)):
            try:
                run()
            except UserWarning as warning:
                assert "has no GPU kernel" in str(warning)
            else:
                raise AssertionError("no error")
        warnings.simplefilter("ignore")
        assert x.tolist() == [1.0, 1.0, 1.0]
        assert x.mul_(3).tolist() == [3.0, 3.0, 3.0]
    """
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr


def test_what_raises_does_not_say_that_it_ran_on_the_cpu() -> None:
    code = """
    x = rustnn.ones(2, 2, dtype=rustnn.bool, device="gpu")
    try:
        x @ x
    except NotImplementedError as error:
        assert "not implemented for 'Bool'" in str(error)
    else:
        raise AssertionError
    """
    assert _warnings_of(code) == []


def test_samples_are_the_cpus_wherever_they_are_drawn() -> None:
    drawn = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for device in ("cpu", "gpu"):
            rustnn.manual_seed(3)
            x = rustnn.full((50,), 4.0, device=device)
            drawn[device] = [
                rustnn.empty(20, device=device).geometric_(0.3).tolist(),
                rustnn.empty(20, device=device).cauchy_(1, 2).tolist(),
                rustnn.empty(20, device=device).log_normal_().tolist(),
                rustnn.poisson(x).tolist(),
                rustnn.binomial(x, x / 8).tolist(),
                rustnn.distributions.Gamma(x, x).sample().tolist(),
                rustnn.distributions.VonMises(x, x).sample().tolist(),
                rustnn.distributions.Dirichlet(x).sample().tolist(),
            ]
    for cpu, gpu in zip(drawn["cpu"], drawn["gpu"], strict=True):
        assert np.allclose(cpu, gpu, rtol=1e-5)


@pytest.mark.parametrize("name", ["uint16", "uint32", "uint64"])
def test_unsigned_integers_are_converted_and_filled_there(name: str) -> None:
    dtype = getattr(rustnn, name)
    top = min(2 ** (8 * dtype.itemsize), 2**63) - 1  # numbers of 63 bits are what a list may hold
    values = [0, 1, 2, 300, 40000, top - 1, top]
    x = rustnn.tensor(values, dtype=dtype)
    there = x.to("gpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for other in ("float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool", "uint16", "uint32"):
            to = getattr(rustnn, other)
            assert there.to(to).cpu().tolist() == x.to(to).tolist(), other
            back = rustnn.tensor([0, 1, 5], dtype=to)
            if not (name == "uint64" and to.is_floating_point):
                assert back.to("gpu").to(dtype).tolist() == back.to(dtype).tolist(), other
        assert (there + 1.5).tolist() == (x + 1.5).tolist()
        assert there.cumsum(0).tolist() == x.cumsum(0).tolist()
        assert there[there.to(rustnn.bool)].tolist() == x[x.to(rustnn.bool)].tolist()
        assert there.clone().fill_(top).tolist() == [top] * len(values)
        assert rustnn.full((3,), 7, dtype=dtype, device="gpu").tolist() == [7, 7, 7]
    floats = rustnn.tensor([0.0, 1.9, -1.0, 255.5, 3e9])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert floats.to("gpu").to(dtype).tolist() == floats.to(dtype).tolist()


def test_bools_are_added_by_or_without_leaving_the_device() -> None:
    x, places = rustnn.tensor([False, True, False]), rustnn.tensor([0, 0, 1])
    for values in ([True, False, False], [False, False, True]):
        v = rustnn.tensor(values)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            a, there, w = x.to("gpu"), places.to("gpu"), v.to("gpu")
            assert a.scatter_add(0, there, w).tolist() == x.scatter_add(0, places, v).tolist()
            assert a.index_add(0, there, w).tolist() == x.index_add(0, places, v).tolist()
            for alpha in (True, False):
                expected = x.index_add(0, places, v, alpha=alpha).tolist()
                assert a.index_add(0, there, w, alpha=alpha).tolist() == expected
            put = a.index_put((there,), w, accumulate=True)
        assert put.tolist() == x.index_put((places,), v, accumulate=True).tolist()


def test_only_advanced_indexing_takes_indices_of_the_cpu() -> None:
    x, places = rustnn.arange(6.0, device="gpu").reshape(3, 2), rustnn.tensor([2, 0])
    assert x[places].tolist() == [[4.0, 5.0], [0.0, 1.0]]
    for call in (
        lambda: x.index_select(0, places),
        lambda: x.gather(0, places[None]),
        lambda: x.clone().scatter_(0, places[None], x),
        lambda: x.clone().index_add_(0, places, x[:2]),
        lambda: x.clone().index_fill_(0, places, 1.0),
        lambda: x.clone().index_copy_(0, places, x[:2]),
        lambda: F.embedding(places, x),
        lambda: F.embedding_bag(places[None], x),
    ):
        with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
            call()
    assert rustnn.gpu.synchronize() is None


def test_a_factorization_says_once_that_it_runs_on_the_cpu() -> None:
    code = """
        import warnings, rustnn
        x = rustnn.eye(3, device="gpu") * 2
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            for _ in range(2):
                assert rustnn.linalg.cholesky(x).device.type == "gpu"
            rustnn.linalg.svd(x)
        texts = [str(w.message) for w in said]
        assert len(texts) == 2 and all("has no GPU kernel: it runs on the CPU" in text for text in texts), texts
        assert "cholesky of float32" in texts[0] and "svd of float32" in texts[1], texts
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=120)


def test_every_way_to_wait_is_counted() -> None:
    x = rustnn.arange(6, device="gpu", dtype=rustnn.uint8)
    for wait in (rustnn.gpu.synchronize, rustnn.gpu.empty_cache, x.sum().item, x.tolist, x.cpu, lambda: bool(x[1])):
        waits = rustnn.gpu._counts()[1]
        wait()
        assert rustnn.gpu._counts()[1] == waits + 1
    # One function waits, and counts; the other call of the driver's asks without waiting.
    code = (SOURCES / "gpu" / "device.rs").read_text()
    assert code.count("PollType::Wait") == 2 == code.count("PollType::wait") + 2
    body = code[code.index("    fn wait(") :]
    assert "self.waits.fetch_add(1, Relaxed);" in body[: body.index("PollType::Wait")]
    assert "timeout: Some(std::time::Duration::ZERO)" in code[: code.index("    fn wait(")]


def test_printing_waits_once() -> None:
    for x in (
        rustnn.randn(4, 5),
        rustnn.randn(3, 40, 50),
        rustnn.arange(5000),
        rustnn.randn(2, 2, dtype=rustnn.complex64),
        rustnn.tensor(2.5),
    ):
        there = x.to("gpu")
        waits = rustnn.gpu._counts()[1]
        text = repr(there)
        assert rustnn.gpu._counts()[1] == waits + 1
        assert "".join(text.split()).replace(",device='gpu:0'", "") == "".join(repr(x).split())


def test_an_index_error_shows_all_digits_of_the_index() -> None:
    table = rustnn.ones(4, 3, device="gpu")
    for bad in (2**31, 2**40 + 3, -(2**40), 2**63 - 1, -(2**63), -1):
        out = F.embedding(rustnn.tensor([0, bad], device="gpu"), table)
        with pytest.raises(IndexError, match=f"index {bad} is out of bounds for dimension with size 4"):
            out.tolist()
        loss = F.cross_entropy(rustnn.zeros(1, 3, device="gpu"), rustnn.tensor([bad], device="gpu"))
        with pytest.raises(IndexError, match=f"index {bad} is out of bounds for dimension with size 3"):
            loss.item()


@pytest.mark.parametrize("name", ["float16", "bfloat16", "uint8", "int8", "int16", "bool", "int32", "int64"])
def test_narrow_tables_are_read_where_they_lie(name: str) -> None:
    dtype = getattr(rustnn, name)
    table = (rustnn.rand(1 << 10, 64) * 2).to(dtype)
    index = rustnn.randint(0, 1 << 10, (8,))
    there, at = table.to("gpu"), index.to("gpu")
    for run in (
        lambda t, i: t.index_select(0, i),
        lambda t, i: t[i],
        lambda t, i: t[i, i % 64],
        lambda t, i: t.gather(0, i.reshape(1, -1)),
        lambda t, i: t.sum(),
        lambda t, i: t.any(),
        lambda t, i: t.argmax() if name != "bool" else t.all(),
    ):
        found, expected = run(there, at), run(table, index)
        if name in ("float16", "bfloat16") and found.dim() == 0:
            assert float(found) == pytest.approx(float(expected), rel=2e-2)
        else:
            assert found.tolist() == expected.tolist()


def test_a_table_of_halves_is_not_widened_as_a_whole() -> None:
    code = """
        import rustnn
        table = rustnn.ones(8192, 512, device="gpu", dtype=rustnn.half)
        index = rustnn.tensor([3, 5], device="gpu")
        before = rustnn.gpu.memory_allocated()
        assert before >= 8 << 20
        rustnn.nn.functional.embedding(index, table).sum().item()
        table[index].sum().item(), table.gather(0, index.reshape(1, 2)).tolist(), table.sum().item()
        table[index, index].tolist(), table.argmax().item(), table.any().item()
        assert rustnn.gpu.max_memory_allocated() - before < 4 << 20
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=240)


@pytest.mark.parametrize("rank", [9, 11])
def test_tensors_of_many_dimensions_are_computed_there(rank: int) -> None:
    x = rustnn.arange(3.0 * 2 ** (rank - 1)).reshape(3, *[2] * (rank - 1))
    order = list(range(rank))[::-1]
    turned, there = x.permute(order), x.to("gpu").permute(order)
    index = (rustnn.arange(turned.numel()) % 2).reshape(turned.shape)
    calls = [
        lambda t, i: t + t.flip(0),
        lambda t, i: (t + 1).contiguous(),
        lambda t, i: t.cumsum(1),
        lambda t, i: t.sum((0, 3, 5)),
        lambda t, i: t.gather(2, i),
        lambda t, i: t.scatter_add(2, i, t),
        lambda t, i: t[i[(0,) * (rank - 1)]],
        lambda t, i: t[:, i[(0,) * (rank - 1)], i[(0,) * (rank - 1)]],
        lambda t, i: t.half().flip(1).permute(order).contiguous(),
        lambda t, i: t.to(rustnn.uint8).permute(order) * 2,
        lambda t, i: t.clone().mul_(2),
        lambda t, i: (t > 4).nonzero(),
    ]
    for k, run in enumerate(calls):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = run(there, index.to("gpu"))
        expected = run(turned, index)
        assert found.device.type == "gpu" and found.shape == expected.shape
        assert found.cpu().tolist() == expected.tolist(), k


def test_floats_become_the_cpus_integers_in_range_and_out_of_it() -> None:
    edges = [0.5, -0.9, 127.9, 128.0, 255.9, 256.0, 300.0, -1.0, -129.0, 32768.0, -32769.0, 2.0**24 + 1]
    edges += [2.0**31 - 128, 2.0**31, -(2.0**31), -(2.0**31) - 256, 3e9, 2.0**32, 2.0**63, -(2.0**63), 1e30, -1e30]
    for x in (rustnn.tensor(edges), rustnn.tensor([float("inf"), float("-inf"), float("nan")])):
        for name in ("int8", "int16", "int32", "int64", "uint8", "bool"):
            dtype = getattr(rustnn, name)
            assert x.to("gpu").to(dtype).tolist() == x.to(dtype).tolist(), name
            assert x.bfloat16().to("gpu").to(dtype).tolist() == x.bfloat16().to(dtype).tolist(), name


def test_rows_of_a_table_are_scaled_down_for_indices_of_any_shape() -> None:
    table = rustnn.arange(20.0).reshape(5, 4)
    for words in ([0, 3, 3], [[0, 2], [2, 4]], [[[1]], [[4]]]):
        tables = [table.clone(), table.to("gpu")]
        rows = [F.embedding(rustnn.tensor(words, device=w.device), w, max_norm=1.5) for w in tables]
        for here, there in zip((tables[0], rows[0]), (tables[1], rows[1]), strict=True):
            assert rustnn.allclose(here, there.cpu(), rtol=1e-6)
    layer = nn.Embedding(5, 3, max_norm=1.0).to("gpu")
    assert (layer(rustnn.tensor([[0, 2], [2, 1]], device="gpu")).norm(dim=-1) < 1.0001).all()


@pytest.mark.parametrize("half", [rustnn.float16, rustnn.bfloat16], ids=["float16", "bfloat16"])
@pytest.mark.parametrize("whole", [rustnn.int64, rustnn.int32, rustnn.int16, rustnn.uint8], ids=str)
def test_integers_are_rounded_to_the_half_that_they_meet(half, whole) -> None:
    rustnn.manual_seed(0)
    low, high = (0, 256) if whole == rustnn.uint8 else (-5000, 5000)
    i, x = rustnn.randint(low, high, (500,), dtype=whole), (rustnn.randn(500) * 50).to(half)

    def both_ways(name: str):
        op = getattr(rustnn, name)
        return lambda i, x: (op(x, i), op(i, x))

    names = ("add", "sub", "mul", "div", "maximum", "eq", "lt", "ge", "fmod", "remainder")
    calls = {name: both_ways(name) for name in names}
    calls["where"] = lambda i, x: (rustnn.where(x > 0, x, i), x.clamp(max=i))
    calls["in place"] = lambda i, x: (x.clone().add_(i), x.clone().mul_(i), x.t().clone().sub_(i, alpha=2))
    calls["three"] = lambda i, x: (rustnn.addcmul(x, i, i), rustnn.addcdiv(x, x, i))
    calls["loss"] = lambda i, x: (F.mse_loss(x, i, reduction="none"), F.l1_loss(x, i, reduction="none"))
    calls["no dimensions"] = lambda i, x: (x + i.sum(), x * i[0], x == i[1].to(x.dtype))
    calls["a number of the CPU"] = lambda i, x: (x + rustnn.tensor(4099), x * rustnn.tensor(70001.0).double())
    for name, run in calls.items():
        for here, there in zip(run(i, x), run(i.to("gpu"), x.to("gpu")), strict=True):
            assert there.dtype == here.dtype and there.device.type == "gpu"
            found, wanted = there.cpu().double(), here.double()
            same = (found == wanted) | (found.isnan() & wanted.isnan())
            # A quotient's last bit is the adapter's: 2.5 units in float32.
            slack = 2**-7 * wanted.abs() if name in ("div", "three", "remainder", "fmod") else 0
            assert (same | ((found - wanted).abs() <= slack)).all(), name
    one = rustnn.ones(1, dtype=rustnn.bfloat16, device="gpu")
    assert (one + rustnn.tensor([257], device="gpu")).item() == 256
    assert (one.half() * rustnn.tensor([70000], device="gpu")).item() == float("inf")


def test_complex_numbers_of_the_cpu_meet_tensors_on_the_device() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        z = rustnn.tensor([1 + 2j, -3j], device="gpu")
        x = rustnn.tensor([1.0, 2.0], device="gpu", requires_grad=True)
        for run in (
            lambda z: z + 1j,
            lambda z: (2 + 1j) * z,
            lambda z: z / 2j,
            lambda z: 1 - z,
            lambda z: z == -3j,
            lambda z: z ** (1 + 1j),
            lambda z: z + rustnn.tensor(1j),
            lambda z: z.clone().mul_(1j),
            lambda z: rustnn.where(z.real > 0, z, rustnn.tensor(1j)),
        ):
            here, there = run(z.cpu()), run(z)
            assert there.device.type == "gpu" and there.cpu().tolist() == here.tolist()
        (x * 2j).abs().sum().backward()
        assert x.grad.tolist() == [2.0, 2.0]
    assert (x + rustnn.tensor(1.5)).device.type == "gpu"


def test_nothing_has_distinct_elements_members_and_extremes_on_the_device_too() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for shape in [(0,), (0, 3)]:
            x = rustnn.zeros(shape, device="gpu")
            for found in (
                x.unique(return_inverse=True, return_counts=True),
                x.unique_consecutive(return_inverse=True, return_counts=True),
                x.unique(dim=0, return_inverse=True, return_counts=True),
            ):
                assert all(t.device.type == "gpu" and t.numel() == 0 for t in found)
        ones = rustnn.ones(2, device="gpu")
        for elements, test, expected in [
            (ones, rustnn.zeros(0, device="gpu"), [False, False]),
            (1, ones, True),
            (ones, 1, [True, True]),
            (2.0, ones, False),
            (rustnn.zeros(0, device="gpu"), ones, []),
        ]:
            found = rustnn.isin(elements, test)
            assert found.device.type == "gpu" and found.tolist() == expected
        nothing = rustnn.zeros(0, 3, device="gpu")
        assert nothing.max(1).values.shape == (0,) == nothing.argmin(1).shape
        assert math.isnan(nothing.std().item()) and all(math.isnan(t.item()) for t in rustnn.var_mean(nothing))
        assert nothing.var(0).isnan().tolist() == [True] * 3 and nothing.var(1).shape == (0,)


@pytest.mark.parametrize("name", ["int8", "uint8", "int16", "int32", "int64"])
def test_integers_are_added_by_index_with_a_factor(name: str) -> None:
    dtype = getattr(rustnn, name)
    x, index = rustnn.arange(12).reshape(4, 3).to(dtype), rustnn.tensor([1, 3, 1])
    rows = rustnn.arange(100, 109).reshape(3, 3).to(dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        columns = rustnn.arange(100, 112).reshape(4, 3).to(dtype)
        for dim, places, values in ((0, index, rows), (1, index % 3, columns)):
            there = x.to("gpu").index_add(dim, places.to("gpu"), values.to("gpu"), alpha=3)
            assert there.dtype == dtype and there.tolist() == x.index_add(dim, places, values, alpha=3).tolist()
