"""What is measured: each program is written once against a torch-like module and runs in rustnn and in PyTorch.

A program returns (statement, names): `statement` is timed as it stands, in a loop of the timing module's own, so that a
call of 80 ns is not drowned in the cost of measuring it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Timed = tuple[str, dict[str, Any]]


def add_small(t: Any) -> Timed:
    a, b = t.ones(4, 4, requires_grad=True), t.ones(4, 4)
    return "a + b", {"a": a, "b": b}


def empty_module(t: Any) -> Timed:
    class Empty(t.nn.Module):
        def forward(self, x: Any) -> Any:
            return x

    return "m(x)", {"m": Empty(), "x": t.ones(1)}


def hooked_module(t: Any) -> Timed:
    statement, names = empty_module(t)
    names["m"].register_forward_hook(lambda module, args, output: None)
    return statement, names


def attribute_of_module(name: str) -> Callable[[Any], Timed]:
    def program(t: Any) -> Timed:
        class Holder(t.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.layer = t.nn.Identity()
                self.plain = 1

        return f"m.{name}", {"m": Holder()}

    return program


def layers(t: Any, count: int) -> Any:
    return t.nn.Sequential(*(t.nn.Linear(4, 4) for _ in range(count)))


def state_dict(t: Any) -> Timed:
    return "net.state_dict()", {"net": layers(t, 100)}


def load_state_dict(t: Any) -> Timed:
    net = layers(t, 100)
    return "net.load_state_dict(state)", {"net": net, "state": net.state_dict()}


def build_model(t: Any) -> Timed:
    return "layers(t, 200)", {"layers": layers, "t": t}


def deepcopy_model(t: Any) -> Timed:
    return "copy.deepcopy(net)", {"copy": copy, "net": layers(t, 100)}


def training_step(t: Any, model: Any, inputs: Any, classes: int) -> Timed:
    optimizer = t.optim.Adam(model.parameters(), lr=1e-3)
    labels = t.arange(inputs.shape[0]) % classes
    loss_of = t.nn.functional.cross_entropy

    def step() -> None:
        optimizer.zero_grad()
        loss_of(model(inputs), labels).backward()
        optimizer.step()

    return "step()", {"step": step}


def mlp_tiny(t: Any) -> Timed:
    model = t.nn.Sequential(t.nn.Linear(4, 32), t.nn.ReLU(), t.nn.Linear(32, 2))
    return training_step(t, model, t.randn(8, 4), 2)


def mlp_mnist(t: Any) -> Timed:
    model = t.nn.Sequential(t.nn.Linear(784, 256), t.nn.ReLU(), t.nn.Linear(256, 10))
    return training_step(t, model, t.randn(64, 784), 10)


def cnn_mnist(t: Any) -> Timed:
    model = t.nn.Sequential(
        *(t.nn.Conv2d(1, 32, 3, padding=1), t.nn.BatchNorm2d(32), t.nn.ReLU(), t.nn.MaxPool2d(2)),
        *(t.nn.Conv2d(32, 64, 3, padding=1), t.nn.BatchNorm2d(64), t.nn.ReLU(), t.nn.MaxPool2d(2)),
        *(t.nn.Flatten(), t.nn.Dropout(0.25), t.nn.Linear(64 * 7 * 7, 128), t.nn.ReLU(), t.nn.Linear(128, 10)),
    )
    return training_step(t, model, t.randn(64, 1, 28, 28), 10)


def matmul(size: int) -> Callable[[Any], Timed]:
    def program(t: Any) -> Timed:
        return "a @ b", {"a": t.randn(size, size), "b": t.randn(size, size)}

    return program


def relu_large(t: Any) -> Timed:
    return "relu(x)", {"relu": t.relu, "x": t.randn(16 * 2**20)}


def add_large(t: Any) -> Timed:
    return "a + b", {"a": t.randn(16 * 2**20), "b": t.randn(16 * 2**20)}


@dataclass(frozen=True)
class Row:
    """One line of the table: `bar` is the least ratio to PyTorch, `most_ns` the greatest own time, `most_times`
    another row and the greatest multiple of its own time.

    limit: what the machine would allow, as a function of its measured limits (see limits.rs), in nanoseconds.
    rest: where the time above that limit goes.
    """

    title: str
    program: Callable[[Any], Timed]
    bar: float
    most_ns: float | None = None
    most_times: tuple[str, float] | None = None
    limit: Callable[[dict[str, float]], float] | None = None
    limit_name: str = ""
    rest: str = ""


MEGABYTES_64 = 64 * 2**20
CALL = "a C call through the interpreter's number slot"


def bandwidth(streams: int, note: str) -> dict[str, Any]:
    return {"limit": lambda m: streams * MEGABYTES_64 / m["memory_gb_s"], "limit_name": f"{note} at memory bandwidth"}


def flops(count: float, note: str = "") -> dict[str, Any]:
    return {"limit": lambda m: count / m["fma_gflop_s"], "limit_name": f"{note}FMA peak"}


MLP_FLOPS = 6 * 64 * (784 * 256 + 256 * 10) - 2 * 64 * 784 * 256  # the input needs no gradient
CNN_FLOPS = 64 * (4 * 28 * 28 * 9 * 32 + 6 * 14 * 14 * 9 * 32 * 64 + 6 * (3136 * 128 + 1280))
ROWS = {
    "add_small": Row(
        *("`a + b`, 4x4, recorded", add_small, 15.0, 150.0),
        limit=lambda m: m["python_call_ns"],
        limit_name=CALL,
        rest="two allocations (tensor, node) and the checks of the one door",
    ),
    "empty_module": Row(
        *("call of an empty Module", empty_module, 5.0),
        limit=lambda m: m["python_function_ns"],
        limit_name="a plain Python function doing the same",
        rest="looking at the hook dictionaries, which anybody may edit",
    ),
    "hooked_module": Row(
        *("the same call with a forward hook", hooked_module, 1.0),
        most_times=("empty_module", 3.0),
        limit=lambda m: 2 * m["python_function_ns"],
        limit_name="two plain Python functions",
        rest="a tuple of the arguments, the hook dictionaries, a list of the hooks as they are now",
    ),
    "submodule_read": Row(
        *("read of a submodule, `m.layer`", attribute_of_module("layer"), 1.5),
        limit=lambda m: m["python_call_ns"],
        limit_name=CALL,
        rest="Python 3.11 first looks everywhere else and raises an AttributeError",
    ),
    "plain_read": Row(
        *("read of a plain attribute of a module", attribute_of_module("plain"), 0.95),
        limit=lambda m: m["python_call_ns"],
        limit_name=CALL,
        rest="the interpreter's own look-up",
    ),
    "state_dict": Row(
        *("`state_dict()` of 200 parameters", state_dict, 5.0),
        limit=lambda m: 200 * m["python_call_ns"],
        limit_name="a C call for each",
        rest="a tensor object, a key and an OrderedDict entry each; a metadata dict for each module",
    ),
    "load_state_dict": Row(
        *("`load_state_dict()` of 200 parameters", load_state_dict, 5.0),
        limit=lambda m: 200 * m["python_call_ns"],
        limit_name="a C call for each",
        rest="keys built, looked up and searched for what nobody expects",
    ),
    "build_model": Row(
        *("building 200 Linear layers", build_model, 3.0),
        limit=lambda m: 200 * 5 * m["python_function_ns"],
        limit_name="5 Python calls each",
        rest="17 registries each; two tensors made, wrapped and filled",
    ),
    "deepcopy_model": Row(
        *("`deepcopy` of 100 Linear layers", deepcopy_model, 2.0),
        limit=lambda m: 100 * 4 * m["python_function_ns"],
        limit_name="4 Python calls each",
        rest="17 registries each; two tensors copied",
    ),
    "mlp_tiny": Row(
        *("train step, MLP 4-32-2, batch 8, Adam", mlp_tiny, 15.0),
        limit=lambda m: 12 * m["python_call_ns"],
        limit_name="its 12 Python-to-native calls",
        rest="recording, the backward engine, the interpreter between the calls",
    ),
    "mlp_mnist": Row(
        *("train step, MLP 784-256-10, batch 64, Adam", mlp_mnist, 1.5),
        **flops(MLP_FLOPS),
        rest="Adam reads and writes 0.2 M parameters four times over; small matrices",
    ),
    "cnn_mnist": Row(
        *("train step, CNN on 28x28 images, batch 64, Adam", cnn_mnist, 1.3),
        **flops(CNN_FLOPS),
        rest="batch norm, ReLU, pooling and dropout pass over memory; packing of convolution windows",
    ),
    **{
        f"matmul_{size}": Row(
            *(f"matmul f32, {size}x{size}", matmul(size), 0.95),
            **flops(2.0 * size**3),
            rest="edges of tiles, waking the second core; packing above 1024",
        )
        for size in (128, 256, 512, 1024, 2048)
    },
    "relu_large": Row(*("relu over 64 MB", relu_large, 4.0), **bandwidth(2, "one read, one write"), rest="page tables"),
    "add_large": Row(
        *("add over 2 x 64 MB", add_large, 4.0), **bandwidth(3, "two reads, one write"), rest="page tables"
    ),
}
