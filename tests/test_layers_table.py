"""Every layer of tests/layers_table.py: what all layers have in common, without PyTorch."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rustnn
from layers_table import CONTAINERS, LAYERS, Layer, flat
from rustnn import nn

names = [f"{index:03d}-{case.kind}" for index, case in enumerate(LAYERS)]
each_layer = pytest.mark.parametrize("case", LAYERS, ids=names)
# One case per class where the settings do not matter.
FIRST = list({case.kind: case for case in reversed(LAYERS)}.values())[::-1]
each_kind = pytest.mark.parametrize("case", FIRST, ids=[case.kind for case in FIRST])
pytestmark = pytest.mark.filterwarnings("ignore")


def inputs(case: Layer, seed: int = 1) -> list[Any]:
    return [rustnn.from_numpy(given) for given in case.draw(seed)]


def ready(case: Layer) -> Any:
    module = case.build(rustnn)
    if case.kind.startswith("Lazy"):
        module(*inputs(case))
    return module.eval()


def takes(case: Layer, name: str) -> bool:
    import inspect

    known = inspect.signature(getattr(nn, case.kind)).parameters if case.make is None else {}
    return name in known or ("kwargs" in known and issubclass(getattr(nn, case.kind), nn.RNNBase))


def strided(tensor: Any) -> Any:
    """The same numbers with gaps between them."""
    wide = rustnn.zeros(*tensor.shape, 2, dtype=tensor.dtype)
    wide[..., 1] = tensor
    return wide[..., 1]


def test_every_layer_is_in_the_table() -> None:
    classes = {name for name in nn.modules.__all__ if isinstance(getattr(nn, name), type)}
    assert classes - CONTAINERS - {case.kind for case in LAYERS} == set()


def test_every_layer_with_parameters_has_a_twin_in_rust() -> None:
    # These compute what another does there: sizes are told, and nothing is shared between processes.
    others = {"SyncBatchNorm", "NonDynamicallyQuantizableLinear"}
    with_parameters = {case.kind for case in FIRST if list(case.build(rustnn).parameters())}
    assert {"Linear", "LSTM", "Transformer", "AdaptiveLogSoftmaxWithLoss", "SyncBatchNorm"} <= with_parameters
    wanted = {kind for kind in with_parameters - others if not kind.startswith("Lazy")}
    files = (Path(__file__).parents[1] / "src/rustnn/nn").glob("*.rs")
    code = re.sub("//.*", "", "".join(path.read_text() for path in files))
    # Declared outright, or in the list of a macro.
    declared = set(re.findall(r"pub (?:struct|type) (\w+)|^    (\w+) (?:\{|Kind::)", code, re.MULTILINE))
    declared = {name for pair in declared for name in pair}
    assert wanted - declared == set()


@each_kind
def test_layer_is_built_in_the_dtype_and_on_the_device_asked_for(case: Layer) -> None:
    if not takes(case, "dtype"):
        assert case.make or not list(ready(case).parameters())
        return
    module = getattr(nn, case.kind)(*case.args, **case.kwargs, dtype=rustnn.float64, device="meta")
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        assert value.is_meta, name
        assert value.dtype == rustnn.float64 or not value.is_floating_point(), name


@each_kind
def test_layer_is_built_on_the_device_of_the_context(case: Layer) -> None:
    with rustnn.device("meta"):
        module = case.make(rustnn) if case.make else getattr(nn, case.kind)(*case.args, **case.kwargs)
    assert all(value.is_meta for value in module.state_dict().values())


@each_layer
def test_layer_gives_the_same_for_strided_inputs(case: Layer) -> None:
    module = ready(case)
    given = inputs(case)
    expected = flat(module(*given))
    found = flat(module(*map(strided, given)))
    for mine, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), reference.detach().numpy(), 1e-12, 1e-12)


@each_kind
def test_layer_copies_pickles_and_tells_its_settings(case: Layer) -> None:
    module = ready(case)
    expected = [out.tolist() for out in flat(module(*inputs(case)))]
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert repr(twin) == repr(module)
        assert [out.tolist() for out in flat(twin(*inputs(case)))] == expected
    fresh = case.build(rustnn).eval()
    fresh.load_state_dict(module.state_dict())
    assert [out.tolist() for out in flat(fresh(*inputs(case)))] == expected


@each_kind
def test_layer_has_the_gradients_that_differences_give(case: Layer) -> None:
    module = ready(case)
    given = inputs(case)
    for tensor, spec in zip(given, case.inputs, strict=True):
        if not isinstance(spec, np.ndarray):
            tensor.requires_grad_()
    leaves = [x for x in (*given, *module.parameters()) if x.requires_grad]
    if not leaves:
        return

    def function(*values: Any) -> Any:
        outputs = [out for out in flat(module(*given)) if out.is_floating_point()]
        return tuple(outputs)

    rng = np.random.default_rng(3)
    outputs = function()
    weights = [rustnn.from_numpy(rng.normal(size=tuple(out.shape))) for out in outputs]

    def total() -> Any:
        return sum(((out * weight).sum() for out, weight in zip(function(), weights, strict=True)), rustnn.zeros(()))

    grads = rustnn.autograd.grad(total(), leaves, allow_unused=True)
    # Along one random direction in all leaves at once: f(x + εd) - f(x - εd) = 2ε ∇f·d.
    step = 1e-6
    directions = [rustnn.from_numpy(rng.normal(size=tuple(leaf.shape))) for leaf in leaves]
    values = []
    with rustnn.no_grad():
        for sign in (1, -1):
            for leaf, direction in zip(leaves, directions, strict=True):
                leaf.add_(direction, alpha=sign * step)
            values.append(total().item())
            for leaf, direction in zip(leaves, directions, strict=True):
                leaf.sub_(direction, alpha=sign * step)
    numeric = (values[0] - values[1]) / (2 * step)
    analytic = sum((g * d).sum().item() for g, d in zip(grads, directions, strict=True) if g is not None)
    if case.kind in ("Embedding", "EmbeddingBag"):
        return  # the row of the padding index has a value and, on purpose, no gradient
    assert analytic == pytest.approx(numeric, rel=2e-5, abs=2e-6)
