"""Every layer and loss against PyTorch itself: the same state dict, then outputs, gradients, buffers, keys and texts.

Runs in the venv that `make parity` makes. In float64, so that nothing hides in the tolerance.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np
import pytest

import rustnn
from layers_table import CONTAINERS, LAYERS, Layer, flat

torch = pytest.importorskip("torch", reason="`make parity` installs PyTorch")

RELATIVE, ABSOLUTE = 1e-7, 1e-9
# PyTorch's gradients that are not those of the function that was computed: docs/differences.md.
GRADIENTS_APART = {"CrossMapLRN2d", "CTCLoss"}


names = [f"{index:03d}-{case.kind}" for index, case in enumerate(LAYERS)]
each_layer = pytest.mark.parametrize("case", LAYERS, ids=names)


def array(tensor: Any) -> np.ndarray:
    return np.asarray(tensor.detach().numpy())


def assert_close(ours: Any, theirs: Any, what: str) -> None:
    if theirs is None or ours is None:
        # No gradient says as much as one of zeros.
        given = ours if theirs is None else theirs
        assert given is None or not array(given).any(), what
        return
    assert tuple(ours.shape) == tuple(theirs.shape), what
    assert str(ours.dtype) == str(theirs.dtype), what
    np.testing.assert_allclose(array(ours), array(theirs), RELATIVE, ABSOLUTE, err_msg=what)


def prepared(case: Layer) -> tuple[Any, Any]:
    """The layer in both libraries, with PyTorch's numbers; lazy ones after their first call."""
    torch.manual_seed(0)
    theirs, ours = case.build(torch), case.build(rustnn)
    if case.kind.startswith("Lazy"):
        drawn = case.draw(9)
        theirs(*map(torch.from_numpy, drawn))
        ours(*map(rustnn.from_numpy, drawn))
    for name, value in theirs.state_dict().items():
        if value.is_floating_point():
            value.add_(0.1 * torch.randn_like(value) if not name.endswith("running_var") else 0.3)
    state = {name: rustnn.from_numpy(array(value).copy()) for name, value in theirs.state_dict().items()}
    assert str(ours.load_state_dict(state)) == "<All keys matched successfully>"
    return ours, theirs


def run(t: Any, case: Layer, module: Any, drawn: list[np.ndarray]) -> tuple[list, list]:
    """Outputs, and gradients of a sum of them, weighted so that no two places count the same."""
    inputs = [t.from_numpy(given.copy()) for given in drawn]
    for tensor, given in zip(inputs, case.inputs, strict=True):
        if not isinstance(given, np.ndarray):
            tensor.requires_grad_()
    outputs = flat(module(*inputs))
    total = 0
    for out in outputs:
        if out.requires_grad:
            weights = t.from_numpy(np.cos(np.arange(out.numel())).reshape(tuple(out.shape)))
            total = total + (out * weights).sum()
    leaves = [x for x in (*inputs, *module.parameters()) if x.requires_grad]
    if isinstance(total, int) or not leaves:
        return outputs, []
    return outputs, list(t.autograd.grad(total, leaves, allow_unused=True))


@each_layer
@pytest.mark.filterwarnings("ignore")
def test_layer_agrees_with_pytorch_in_outputs_gradients_and_buffers(case: Layer) -> None:
    ours, theirs = prepared(case)
    for training in case.modes:
        drawn = case.draw(1 + training)
        found, found_grads = run(rustnn, case, ours.train(training), drawn)
        wanted, wanted_grads = run(torch, case, theirs.train(training), drawn)
        assert len(found) == len(wanted) and len(found_grads) == len(wanted_grads)
        for index, pair in enumerate(zip(found, wanted, strict=True)):
            assert_close(*pair, f"output {index}, training={training}")
        for index, pair in enumerate(zip(found_grads, wanted_grads, strict=True)):
            if case.kind in GRADIENTS_APART:
                break
            assert_close(*pair, f"gradient {index}, training={training}")
        for name, value in theirs.named_buffers():
            assert_close(ours.get_buffer(name), value, f"buffer {name}, training={training}")


def test_ctc_loss_of_normalised_numbers_has_pytorchs_gradient() -> None:
    # Alone, PyTorch's gradient takes for granted that a log-softmax comes before.
    case = next(case for case in LAYERS if case.kind == "CTCLoss")
    grads = []
    for t in (rustnn, torch):
        scores, *rest = (t.from_numpy(given.copy()) for given in case.draw(1))
        scores.requires_grad_()
        t.nn.CTCLoss()(scores.log_softmax(-1), *rest).backward()
        grads.append(array(scores.grad))
    np.testing.assert_allclose(*grads, RELATIVE, ABSOLUTE)


@each_layer
@pytest.mark.filterwarnings("ignore")
def test_layer_has_pytorchs_keys_metadata_and_text(case: Layer) -> None:
    ours, theirs = case.build(rustnn), case.build(torch)
    assert repr(ours) == repr(theirs)
    state, reference = ours.state_dict(), theirs.state_dict()
    assert list(state) == list(reference)
    assert dict(state._metadata) == dict(reference._metadata)
    kinds = [type(module).__name__ for module in ours.modules()]
    assert kinds == [type(module).__name__ for module in theirs.modules()]
    for name, value in reference.items():
        if not hasattr(value, "materialize"):
            assert tuple(state[name].shape) == tuple(value.shape), name
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]
    assert [name for name, _ in ours.named_buffers()] == [name for name, _ in theirs.named_buffers()]


@each_layer
@pytest.mark.filterwarnings("ignore")
def test_layers_state_dict_loads_into_pytorchs(case: Layer) -> None:
    ours, theirs = prepared(case)
    twin = copy.deepcopy(theirs)
    for value in twin.state_dict().values():
        value.zero_()
    state = {name: torch.from_numpy(array(value).copy()) for name, value in ours.state_dict().items()}
    assert str(twin.load_state_dict(state)) == "<All keys matched successfully>"
    for name, value in theirs.state_dict().items():
        assert torch.equal(twin.state_dict()[name], value), name


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "kind", sorted({case.kind for case in LAYERS} - {"NLLLoss2d"})
)  # whose own are *args, **kwargs
def test_constructor_takes_pytorchs_arguments(kind: str) -> None:
    def arguments(cls: Any) -> list[tuple[str, Any]]:
        parameters = inspect.signature(cls).parameters.values()
        return [
            (p.name, None if callable(p.default) else str(p.default)) for p in parameters if p.kind != p.VAR_KEYWORD
        ]

    assert arguments(getattr(rustnn.nn, kind)) == arguments(getattr(torch.nn, kind))


def test_every_layer_that_both_have_is_compared() -> None:
    def classes(t: Any) -> set[str]:
        return {name for name in dir(t.nn) if isinstance(getattr(t.nn, name), type)}

    compared = {case.kind for case in LAYERS}
    assert (classes(rustnn) & classes(torch)) - CONTAINERS - compared == set()
