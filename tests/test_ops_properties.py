"""Properties that hold for any numbers, shapes and layouts, drawn by hypothesis."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import rustnn
from closeness import difference, dtype_name, numbers
from references import OPS, F

# One tensor or two, floats, and nothing else: what can be broadcast and laid out at will.
PLAIN = [line for line in OPS.values() if line.elementwise and line.samples[0].inputs()[0].dtype == "float32"]
PLAIN = [line for line in PLAIN if len(line.samples[0].args) == line.elementwise and not line.samples[0].kwargs]
PAIRS = [line for line in PLAIN if line.elementwise == 2]
REDUCTIONS = [OPS[name] for name in ("sum", "mean", "amax", "amin", "var", "logsumexp", "cumsum", "softmax", "prod")]

shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)
layouts = st.sampled_from(["contiguous", "transposed", "strided", "offset", "flipped dimensions"])


def draw_tensor(shape: tuple[int, ...], layout: str, line: Any, seed: int) -> Any:
    first = line.samples[0].inputs()[0]
    array = np.random.RandomState(seed).uniform(first.low, first.high, shape)
    if layout == "flipped dimensions":
        order = tuple(reversed(range(len(shape))))
        return rustnn.tensor(np.ascontiguousarray(array.transpose(order)).reshape(shape[::-1])).float().permute(order)
    if len(shape) < 2 or 0 in shape:
        layout = "contiguous"
    return F(*shape, layout=layout).build(rustnn, array)


def assert_same(actual: Any, expected: Any, ulp: float = 0.0) -> None:
    assert actual.dtype == expected.dtype
    assert not difference(numbers(actual), numbers(expected), dtype_name(expected), ulp, "tensor")


@given(st.sampled_from(PAIRS), shapes, st.data())
def test_broadcasting_gives_what_expanded_copies_give(line: Any, shape: tuple, data: Any) -> None:
    drop = data.draw(st.integers(0, len(shape)))
    small = tuple(1 if data.draw(st.booleans()) else size for size in shape[drop:])
    x = draw_tensor(shape, data.draw(layouts), line, 1)
    y = draw_tensor(small, data.draw(layouts), line, 2)
    expected = line.call(rustnn, x.contiguous(), y.expand(shape).contiguous())
    assert_same(line.call(rustnn, x, y), expected)
    assert_same(line.call(rustnn, y, x), line.call(rustnn, y.expand(shape).contiguous(), x.contiguous()))


@given(st.sampled_from(PLAIN), shapes, st.data())
def test_layout_of_the_inputs_changes_no_bit(line: Any, shape: tuple, data: Any) -> None:
    tensors = [draw_tensor(shape, data.draw(layouts), line, seed) for seed in range(line.elementwise)]
    assert_same(line.call(rustnn, *tensors), line.call(rustnn, *[x.contiguous() for x in tensors]))


@given(st.sampled_from(PAIRS), shapes, st.data())
def test_gradient_of_a_broadcast_input_is_the_sum_over_the_copies(line: Any, shape: tuple, data: Any) -> None:
    if not line.differentiable or line.call(rustnn, rustnn.ones(1), rustnn.ones(1)).dtype == rustnn.bool:
        return
    small = tuple(1 if data.draw(st.booleans()) else size for size in shape)
    x, y = draw_tensor(shape, "contiguous", line, 1).double(), draw_tensor(small, "contiguous", line, 2).double()
    y.requires_grad_()
    copies = y.detach().expand(shape).clone().requires_grad_()
    line.call(rustnn, x, y).sum().backward()
    line.call(rustnn, x, copies).sum().backward()
    expected = copies.grad
    for dim, (size, full) in enumerate(zip(small, shape, strict=True)):
        if size != full:
            expected = expected.sum(dim, keepdim=True)
    assert_same(y.grad, expected, ulp=16)


@given(st.sampled_from(REDUCTIONS), st.lists(st.integers(1, 40), min_size=1, max_size=3).map(tuple), st.data())
def test_reductions_do_not_depend_on_the_layout(line: Any, shape: tuple, data: Any) -> None:
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = draw_tensor(shape, data.draw(layouts), OPS["sum"], 3)
    function = getattr(rustnn, line.name)
    assert_same(function(x, dim), function(x.contiguous(), dim), ulp=8)


@given(shapes, st.data())
def test_indexing_with_slices_reads_what_numpy_reads(shape: tuple, data: Any) -> None:
    numpy_array = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    x = rustnn.tensor(numpy_array)
    bounds = st.none() | st.integers(-7, 7)
    index = tuple(
        data.draw(st.integers(-size, size - 1))
        if size and data.draw(st.booleans())
        else slice(data.draw(bounds), data.draw(bounds), data.draw(st.none() | st.integers(1, 3)))
        for size in shape
    )
    assert x[index].tolist() == numpy_array[index].tolist()
    changed, numpy_changed = x.clone(), numpy_array.copy()
    changed[index] = -1
    numpy_changed[index] = -1
    assert changed.tolist() == numpy_changed.tolist()


@given(shapes, st.data())
def test_a_view_and_its_base_see_each_others_writes(shape: tuple, data: Any) -> None:
    x = rustnn.zeros(shape)
    order = data.draw(st.permutations(range(len(shape))))
    view = x.permute(order)
    view.add_(1)
    assert x.sum().item() == x.numel()
    x.mul_(3)
    assert view.sum().item() == 3 * x.numel()
