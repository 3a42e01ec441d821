"""Every line of the op table against PyTorch itself: other numbers, every float dtype, and large inputs.

Runs in the venv that `make parity` makes; tests/test_ops.py compares with recorded values and needs no PyTorch.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rustnn
from closeness import difference, dtype_name, largest
from references import FLOATS, INTEGERS, OPS, Case, Input, Op, Sample, cotangent, flatten

torch = pytest.importorskip("torch", reason="`make parity` installs PyTorch")

SEEDS = (1, 2, 3)
# PyTorch's loops for AVX-512 multiply by x first: NaN at infinity, infinity near the largest number.
LOSES_RANGE = ("gelu",)
# A long sum's rounding errors grow with its length, in PyTorch's result as in ours.
LARGE_FACTOR = 8
SHAPES = ((3, 5, 7, 2), (1000,), (33, 65), (1, 1, 1), (2, 0, 3))

each_op = pytest.mark.parametrize("line", OPS.values(), ids=OPS.keys())


def numbers(tensor: Any) -> np.ndarray:
    name = dtype_name(tensor)
    # PyTorch's gradients that are known to be zero have no memory.
    tensor = torch.zeros_like(tensor) if getattr(tensor, "_is_zerotensor", bool)() else tensor.detach()
    return (tensor.double() if "float" in name else tensor if name == "bool" else tensor.long()).numpy()


def run(module: Any, case: Case, drawn: list, requires_grad: bool) -> tuple[list, list]:
    """(results, gradients), or ([exception], []) if the call raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            args, kwargs, tensors = case.build(module, drawn, requires_grad)
            results = flatten(case.op.call(module, *args, **kwargs))
        except Exception as error:
            return [error], []
        outputs = [out for out in results if isinstance(out, module.Tensor) and out.requires_grad]
        leaves = [x for x in tensors if x.requires_grad]
        if not outputs or not leaves:
            return results, []
        dys = [module.tensor(cotangent(tuple(out.shape))).to(out.dtype) for out in outputs]
        return results, list(module.autograd.grad(outputs, leaves, dys, allow_unused=True))


def compare(case: Case, seed: int, factor: float = 1.0) -> str | None:
    line = case.op
    drawn = case.numbers(seed)
    ours, our_grads = run(rustnn, case, drawn, line.differentiable)
    theirs, their_grads = run(torch, case, drawn, line.differentiable)
    if isinstance(theirs[0], Exception) or isinstance(ours[0], Exception):
        names = [c.__name__ for c in type(ours[0]).__mro__]
        lacking = isinstance(theirs[0], Exception) and any(case.key.endswith(f".{dtype}") for dtype in INTEGERS)
        if lacking or isinstance(theirs[0], NotImplementedError) or type(theirs[0]).__name__ in names:
            return None  # a dtype that PyTorch lacks may work here
        return f"gives {ours[0]!r}, PyTorch {theirs[0]!r}"[:500]
    if len(ours) != len(theirs) or len(our_grads) != len(their_grads):
        return f"{len(ours)} results and {len(our_grads)} gradients, PyTorch {len(theirs)} and {len(their_grads)}"
    results = enumerate(zip(ours, theirs, strict=True))
    grads = enumerate(zip(our_grads, their_grads, strict=True))
    pairs = [(f"result {k}", a, b, line.ulp, line.scale, largest(drawn)) for k, (a, b) in results]
    pairs += [(f"gradient {k}", a, b, line.grad_ulp, "tensor", 1.0) for k, (a, b) in grads]
    for what, mine, reference, ulp, scale, floor in pairs:
        if reference is None and isinstance(mine, rustnn.Tensor) and not numbers(mine).any():
            continue  # no gradient says as much as one of zeros
        if not isinstance(reference, torch.Tensor):
            if mine != reference and not (mine is None and reference is None):
                return f"{what} is {mine!r}, PyTorch's {reference!r}"
            continue
        if mine is None and not numbers(reference).any():
            continue  # no gradient says as much as one of zeros
        if mine is None or dtype_name(mine) != dtype_name(reference):
            return f"{what} is {mine if mine is None else mine.dtype}, PyTorch's {reference.dtype}"
        dtype = dtype_name(reference)
        wanted = numbers(reference)
        if line.name in LOSES_RANGE:
            wanted = np.where(np.isfinite(wanted), wanted, numbers(mine))
        if wrong := difference(numbers(mine), wanted, dtype, ulp * factor, scale, floor=floor):
            return f"{what}: {wrong}"
    return None


def further_cases(line: Op) -> Iterator[Case]:
    """Beyond the recorded ones: every sample in every float dtype; elementwise ops on more shapes and integer types."""
    for index, sample in enumerate(line.samples):
        for dtype in FLOATS if any(x.dtype == "float32" for x in sample.inputs()) else ():
            if dtype in ("float32", *line.dtypes):
                yield Case(line, f"{line.name}.{index}.{dtype}", sample.cast(dtype))
    if not line.elementwise:
        return
    first = line.samples[0]
    for shape in SHAPES:
        args, kwargs = first.map(lambda x, shape=shape: replace(x, shape=shape))
        yield Case(line, f"{line.name}.{shape}", Sample(args, kwargs))
    for dtype in INTEGERS:
        # From 1, so that no division is by zero: what happens then is the bad-input table's.
        args, kwargs = first.map(lambda x, dtype=dtype: Input(x.shape, dtype, 1, 5))
        yield Case(line, f"{line.name}.{dtype}", Sample(args, kwargs))


@each_op
def test_op_agrees_with_pytorch_on_other_numbers_and_dtypes(line: Op) -> None:
    found = []
    for case in further_cases(line):
        for seed in SEEDS:
            if wrong := compare(case, seed):
                found.append(f"{line.name}({case.sample.describe()}) [{case.key}, seed {seed}]: {wrong}"[:600])
                break
    if found:
        pytest.fail("\n".join(found), pytrace=False)


@each_op
def test_op_agrees_with_pytorch_on_a_large_input(line: Op) -> None:
    case = Case(line, f"{line.name}.large", line.large)
    seed = zlib.crc32(line.name.encode()) % 1000
    if wrong := compare(case, seed, LARGE_FACTOR):
        pytest.fail(f"{line.name}({line.large.describe()}): {wrong}"[:600], pytrace=False)
