"""Every layer and loss on the GPU device, gradients included, against the CPU's results; skipped with the reason where
there is no adapter."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import rustnn
from layers_table import LAYERS, Layer, flat

pytestmark = pytest.mark.skipif(
    not rustnn.gpu.is_available(), reason="no GPU adapter: install a Vulkan driver, such as Mesa's lavapipe"
)

# Of the size of the numbers, at least of 1: WGSL's functions and another order of sums.
TOLERANCE = 1e-4
# Which classes go to which cluster depends on the data; so does which indices are padding.
WAITS = {"AdaptiveLogSoftmaxWithLoss"}


def run(case: Layer, training: bool, device: str) -> tuple[list[Any], list[Any], int]:
    """Results, gradients of parameters and inputs, and how often it waited for the device."""
    rustnn.manual_seed(0)
    module = case.build(rustnn).float().train(training)
    inputs = [rustnn.from_numpy(given) for given in case.draw(1)]
    inputs = [x.float() if x.is_floating_point() else x for x in inputs]
    if case.kind.startswith("Lazy"):
        module.eval()(*inputs)
        module.train(training)
    module = module.to(device)
    inputs = [x.to(device) for x in inputs]
    for x in inputs:
        x.requires_grad_(x.is_floating_point())
    leaves = [x for x in (*module.parameters(), *inputs) if x.requires_grad]
    rustnn.manual_seed(1)
    waits = rustnn.gpu._counts()[1]
    results = flat(module(*inputs))
    loss = sum(((out * out).sum() for out in results if out.requires_grad), rustnn.zeros((), device=device))
    grads = rustnn.autograd.grad(loss, leaves, allow_unused=True) if loss.requires_grad else []
    return results, [grad for grad in grads if grad is not None], rustnn.gpu._counts()[1] - waits


@pytest.mark.parametrize("number", range(len(LAYERS)), ids=[f"{k}-{case.kind}" for k, case in enumerate(LAYERS)])
def test_layer_gives_what_it_gives_on_the_cpu_and_stays_on_the_device(number: int) -> None:
    case = LAYERS[number]
    for training in case.modes:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            expected, expected_grads, _ = run(case, training, "cpu")
            results, grads, waits = run(case, training, "gpu")
        assert not [str(w.message) for w in said if "GPU kernel" in str(w.message)]
        padded = case.kind == "EmbeddingBag" and "padding_idx" in case.kwargs
        assert waits == 0 or case.kind in WAITS or padded
        assert len(results) == len(expected) and len(grads) == len(expected_grads)
        for out, reference in zip((*results, *grads), (*expected, *expected_grads), strict=True):
            assert out.device.type == "gpu" and out.dtype == reference.dtype and out.shape == reference.shape
            a, b = out.detach().cpu().double(), reference.detach().double()
            near = ((a - b).abs() <= TOLERANCE * b.abs().clamp_min(1)) | (a == b) | (a.isnan() & b.isnan())
            assert near.all(), f"{case.kind}, training={training}: {a} where the CPU has {b}"
