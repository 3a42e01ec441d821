"""Every line of the op table on the GPU device, gradients included, against the CPU's results; skipped with the reason
where there is no adapter. What shaders may get wrong is WGSL's stated error, not the CPU's.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import rustnn
from closeness import difference, dtype_name, numbers
from references import OPS, Case, Op, cotangent, flatten

pytestmark = pytest.mark.skipif(
    not rustnn.gpu.is_available(), reason="no GPU adapter: install a Vulkan driver, such as Mesa's lavapipe"
)

# Units in the last place beside the table's own, on the scale of the largest number: WGSL allows exp 3 + 2|x|, log 3,
# division 2.5 and builds tanh, pow and others from these; sums run in another order; 16-bit floats round once more.
EXTRA_ULP = {"float32": 64.0, "float16": 2.0, "bfloat16": 2.0, "float64": 0.0}
# WGSL: sin, cos and tan within 2^-11 absolutely; atan and its kin within 4096 units; pow as exp2(y log2(x)).
WIDER = {"lgamma": 512, "digamma": 4096, "tan": 4096, "erfinv": 256, "sinc": 256, "polygamma": 4096}
# Integers are compared in double precision.
IN_DOUBLE = {"isclose"}
# What has a shape or a Python number that depends on the data waits; so does a tensor without dimensions as an index,
# which says where a view begins.
WAITS = {
    *("allclose", "equal", "nonzero", "nonzero_tuple", "argwhere", "bincount", "histc", "one_hot", "unique"),
    *("unique_consecutive", "repeat_interleave", "index_mask", "assign_mask", "masked_select", "masked_scatter"),
    "index_scalar_tensor",
}
# The order in which equal values or random draws fall is not the op's to promise, or the result has no values at all.
WITHOUT_VALUES = {"empty", "empty_like", "new_empty", "empty_strided"}


# WGSL may take a subnormal number for 0, and sines lose all digits far from 0.
LARGEST, LEAST = 1e4, 2.0**-126


def counts(line: Op, inputs: list, shape: tuple) -> np.ndarray:
    """Where the inputs of an elementwise op are numbers that WGSL promises something about."""
    mask = np.ones(shape, dtype=bool)
    for x in inputs:
        if x.is_floating_point():
            size = np.abs(numbers(x))
            with np.errstate(invalid="ignore"):
                mask &= np.broadcast_to(
                    ~(np.isfinite(size) & ((size > LARGEST) | ((size > 0) & (size < LEAST)))), shape
                )
    return mask


def on_gpu(value):
    return value.to("gpu") if isinstance(value, rustnn.Tensor) else value


def run(case: Case, device: str, gradients: bool) -> tuple[list, list, list]:
    """Results, gradients (None where there is none) and inputs of one call on a device."""
    rustnn.manual_seed(1)
    _, kwargs, built = case.build(rustnn, case.numbers(), requires_grad=False)
    floats = [x.is_floating_point() and spec.grad for x, spec in zip(built, case.sample.inputs(), strict=True)]
    if device == "gpu":
        built = [x.to("gpu") for x in built]
    leaves = []
    if gradients:
        for x, wanted in zip(built, floats, strict=True):
            if wanted:
                x.requires_grad_()
                leaves.append(x)
    moved = iter(built)
    args, given = case.sample.map(lambda _: next(moved))
    given = {k: kwargs[k] if isinstance(v, str) else v for k, v in given.items()}
    with rustnn.device(device):
        results = flatten(case.op.call(rustnn, *args, **given))
    for out in results:
        if isinstance(out, rustnn.Tensor):
            assert out.device.type == device, out.device
    outputs = [out for out in results if isinstance(out, rustnn.Tensor) and out.requires_grad]
    if not leaves or not outputs:
        return results, [], built
    dys = [rustnn.tensor(cotangent(tuple(out.shape))).to(out.dtype).to(out.device) for out in outputs]
    return results, list(rustnn.autograd.grad(outputs, leaves, dys, allow_unused=True)), built


def compare(what: str, found, expected, line: Op, ulp: float, inputs: tuple = ()) -> str | None:
    if not isinstance(expected, rustnn.Tensor):
        return None if found == expected or found != found else f"{what} is {found!r}, expected {expected!r}"
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return f"{what} is {found.dtype} {tuple(found.shape)}, expected {expected.dtype} {tuple(expected.shape)}"
    dtype = dtype_name(expected)
    if "float" not in dtype:
        wrong = difference(numbers(found), numbers(expected), dtype, 0)
    else:
        allowed = ulp + max(EXTRA_ULP[dtype], WIDER.get(line.name, 0) if dtype == "float32" else 0)
        actual, wanted = numbers(found), numbers(expected)
        if line.elementwise:
            mask = counts(line, inputs, wanted.shape)
            actual, wanted = np.where(mask, actual, 0.0), np.where(mask, wanted, 0.0)
        wrong = difference(actual, wanted, dtype, allowed, "tensor", floor=1.0)
    return f"{what}: {wrong}" if wrong else None


@pytest.mark.parametrize("line", OPS.values(), ids=OPS.keys())
def test_op_and_its_gradients_are_the_cpus(line: Op) -> None:
    """And there it runs, without a wait, unless float64 or complex numbers take part, which shaders do not have."""
    found = []
    for case in line.cases():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            expected, expected_grads, inputs = run(case, "cpu", line.differentiable)
            waits = rustnn.gpu._counts()[1]
            actual, grads, _ = run(case, "gpu", line.differentiable)
            waits = rustnn.gpu._counts()[1] - waits
        texts = [str(w.message) for w in said if "GPU kernel" in str(w.message)]
        wrong = [text for text in texts if "float64" not in text and "complex" not in text]
        tensors = [x for x in (*inputs, *expected) if isinstance(x, rustnn.Tensor)]
        double = line.name in IN_DOUBLE or line.family == "complex" or any(x.dtype == rustnn.float64 for x in tensors)
        if waits and not double and line.name not in WAITS:
            wrong.append(f"it waits for the device {waits} times")
        if line.name not in WITHOUT_VALUES:
            wrong += [
                compare(f"result {k}", a, b, line, line.ulp, inputs)
                for k, (a, b) in enumerate(zip(actual, expected, strict=True))
            ]
        for k, (a, b) in enumerate(zip(grads, expected_grads, strict=True)):
            if (a is None) != (b is None):
                wrong.append(f"gradient {k} is {a}, expected {b}")
            elif a is not None:
                fits = [x for x in inputs if line.elementwise and len(x.shape) <= len(b.shape)]
                wrong.append(
                    compare(
                        f"gradient {k}",
                        a,
                        b,
                        line,
                        line.grad_ulp,
                        fits if all(x.shape == b.shape for x in inputs) else (),
                    )
                )
        found += [f"{case.op.name}({case.sample.describe()}) [{case.key}]: {text}" for text in wrong if text]
    assert not found, "\n" + "\n".join(text[:500] for text in found)


IN_PLACE = [line for line in OPS.values() if "i" in line.forms]


@pytest.mark.parametrize("line", IN_PLACE, ids=[line.name for line in IN_PLACE])
def test_in_place_op_writes_what_the_op_returns(line: Op) -> None:
    found = []
    for case in line.cases():
        args, kwargs, _ = case.build(rustnn, case.numbers())
        if not isinstance(args[0], rustnn.Tensor) or case.sample.inputs()[0].layout == "expanded":
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = flatten(case.op.call(rustnn, *args, **kwargs))[0]
            if expected.shape != args[0].shape or expected.dtype != args[0].dtype:
                continue
            x = args[0].clone().to("gpu")
            getattr(x, f"{line.name}_")(*[on_gpu(a) for a in args[1:]], **{k: on_gpu(v) for k, v in kwargs.items()})
        text = compare("the target", x, expected, line, line.ulp, case.build(rustnn, case.numbers())[2])
        if text:
            found.append(f"{case.key}: {text}")
    assert not found, "\n" + "\n".join(text[:500] for text in found)


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16", "int8", "int16", "int32", "int64", "uint8", "bool"])
def test_views_of_every_width_are_read_and_written_where_they_lie(name: str) -> None:
    dtype = getattr(rustnn, name)
    for shape, view in [
        ((5, 7), lambda t: t[1:4, 2:5]),
        ((4, 6), lambda t: t.t()[1:5:2]),
        ((3, 5, 2), lambda t: t[..., 0]),
        ((9,), lambda t: t[1:8]),
    ]:
        base = (rustnn.arange(int(np.prod(shape))) % 5).reshape(shape).to(dtype)
        there = base.to("gpu")
        one = rustnn.ones((), dtype=dtype)
        here_view, there_view = view(base), view(there)
        assert there_view.tolist() == here_view.tolist()
        if name == "bool":
            here_view.logical_not_()
            there_view.logical_not_()
        else:
            here_view.add_(one)
            there_view.add_(one.to("gpu"))
        assert there.tolist() == base.tolist()
        here_view.copy_(here_view.flip(0))
        there_view.copy_(there_view.flip(0))
        assert there.tolist() == base.tolist()
        here_view.fill_(1)
        there_view.fill_(1)
        assert there.tolist() == base.tolist()


def test_integers_multiply_as_on_the_cpu() -> None:
    for name in ("int8", "int16", "int32", "int64", "uint8"):
        dtype = getattr(rustnn, name)
        a, b = (rustnn.randint(-100, 100, shape).to(dtype) for shape in [(2, 3, 5, 7), (3, 7, 4)])
        assert (a.to("gpu") @ b.to("gpu")).tolist() == (a @ b).tolist()
        x, w, bias = a[0, 0], b[0].t().contiguous(), b[0, 0]
        linear = rustnn.nn.functional.linear
        assert linear(x.to("gpu"), w.to("gpu"), bias.to("gpu")).tolist() == linear(x, w, bias).tolist()
        assert (x.to("gpu") @ x[0].to("gpu")).tolist() == (x @ x[0]).tolist()
    # Nothing is cut off on the way.
    a = rustnn.randint(-(2**62), 2**62, (4, 5))
    assert (a.to("gpu") @ a.t().to("gpu")).tolist() == (a @ a.t()).tolist()
    base, exponent = rustnn.tensor([3, -2, 1, -1, 0, 7, 2]), rustnn.tensor([39, 63, -5, -3, 0, 2, -1])
    assert (base.to("gpu") ** exponent.to("gpu")).tolist() == (base**exponent).tolist()


@pytest.mark.parametrize("shape", [(3, 500), (4, 3), (2, 3000), (1, 1)])
def test_modes_and_distinct_elements_are_the_cpus(shape: tuple[int, int]) -> None:
    nan = rustnn.randn(shape)
    nan[0, 0] = float("nan")
    for x in (rustnn.randint(-3, 4, shape), rustnn.randint(0, 5, shape).half(), rustnn.rand(shape) > 0.5, nan):
        g = x.to("gpu")
        for dim in (0, 1):
            found, expected = g.mode(dim), x.mode(dim)
            assert str(found.values.tolist()) == str(expected.values.tolist())
            assert found.indices.tolist() == expected.indices.tolist()
        for op in (rustnn.unique, rustnn.unique_consecutive):
            for options in ({}, {"dim": 0}, {"dim": 1}):
                if options.get("dim") == 1 and shape[1] == 3000:
                    continue
                pairs = zip(
                    op(g, return_inverse=True, return_counts=True, **options),
                    op(x, return_inverse=True, return_counts=True, **options),
                    strict=True,
                )
                for found, expected in pairs:
                    assert found.device.type == "gpu" and str(found.tolist()) == str(expected.tolist()), (op, options)


@pytest.mark.parametrize("categories", [5, 50, 3000])
@pytest.mark.parametrize("replacement", [True, False])
def test_categories_are_drawn_as_on_the_cpu(categories: int, replacement: bool) -> None:
    weights = rustnn.rand(3, categories)
    weights[:, 1] = 0
    for w in (weights, weights.half(), weights[0] * 1e38):
        rustnn.manual_seed(3)
        expected = rustnn.multinomial(w, 4, replacement)
        rustnn.manual_seed(3)
        assert rustnn.multinomial(w.to("gpu"), 4, replacement).tolist() == expected.tolist()


def test_int64_keeps_all_its_bits() -> None:
    values = [2**53 + 1, -(2**63), 2**63 - 1, -1, 0, 2**32, 2**31, -(2**40) - 7]
    others = [3, 7, -(2**33), 2**20 + 1, 5, -5, 2**31 - 1, 12345]
    x, y = rustnn.tensor(values), rustnn.tensor(others)
    gx, gy = x.to("gpu"), y.to("gpu")
    for op in (
        "add",
        "sub",
        "mul",
        "floor_divide",
        "remainder",
        "fmod",
        "maximum",
        "minimum",
        "bitwise_and",
        "bitwise_or",
        "bitwise_xor",
        "lt",
        "eq",
    ):
        expected = getattr(rustnn, op)(x, y).tolist()
        assert getattr(rustnn, op)(gx, gy).tolist() == expected, op
    for shift in (0, 1, 31, 32, 33, 63):
        assert (gx << shift).tolist() == (x << shift).tolist(), shift
        assert (gx >> shift).tolist() == (x >> shift).tolist(), shift
    assert (-gx).tolist() == (-x).tolist() and gx.abs().tolist() == x.abs().tolist()
    assert gx.sum().item() == x.sum().item() and gx.max().item() == x.max().item()
    assert gx.to(rustnn.float32).tolist() == x.to(rustnn.float32).tolist()
    assert gx.to(rustnn.int32).tolist() == x.to(rustnn.int32).tolist()


def test_halves_round_once_to_the_nearest_even() -> None:
    x = rustnn.tensor(
        [0.0, -0.0, 1.0, 65504.0, 65520.0, 1e6, 6e-8, 2.9e-8, 3.1e-8, 6.1e-5, 2049.0, 2051.0, 1.0 + 2**-11, 0.1, -7.3]
    )
    for dtype in (rustnn.float16, rustnn.bfloat16):
        assert x.to("gpu").to(dtype).tolist() == x.to(dtype).tolist()
        assert x.to(dtype).to("gpu").to(rustnn.float32).tolist() == x.to(dtype).to(rustnn.float32).tolist()


def test_special_values_pass_through_formulas() -> None:
    x = rustnn.tensor([0.0, -0.0, float("inf"), float("-inf"), float("nan"), 1e-40, 3.0, -2.0])
    for op in ("isnan", "isinf", "isfinite", "neg", "abs", "sign", "relu", "exp", "sqrt", "signbit"):
        expected, actual = getattr(rustnn, op)(x), getattr(rustnn, op)(x.to("gpu"))
        # Subnormal numbers may count as 0 (WGSL).
        keep = [i for i in range(8) if not (i == 5 and op in ("sign", "sqrt", "relu", "abs", "neg"))]
        wrong = difference(numbers(actual)[keep], numbers(expected)[keep], dtype_name(expected), 4)
        assert not wrong, (op, wrong)
    a, b = x.to("gpu"), x.flip(0).to("gpu")
    for op in ("maximum", "minimum", "fmax", "fmin"):
        assert str(getattr(rustnn, op)(a, b).tolist()) == str(getattr(rustnn, op)(x, x.flip(0)).tolist()), op


def test_random_numbers_are_the_cpus() -> None:
    for name, args in [("rand", (1000,)), ("randn", (1000,)), ("randint", (0, 100, (1000,))), ("randperm", (100,))]:
        rustnn.manual_seed(3)
        expected = getattr(rustnn, name)(*args)
        rustnn.manual_seed(3)
        actual = getattr(rustnn, name)(*args, device="gpu")
        assert actual.device.type == "gpu"
        if name == "randn":
            assert (actual.cpu() - expected).abs().max().item() < 1e-5
        else:
            assert actual.tolist() == expected.tolist()
    x = rustnn.ones(500)
    rustnn.manual_seed(5)
    expected = rustnn.nn.functional.dropout(x, 0.3)
    rustnn.manual_seed(5)
    assert rustnn.nn.functional.dropout(x.to("gpu"), 0.3).tolist() == expected.tolist()
    p = rustnn.linspace(0, 1, 300)
    rustnn.manual_seed(7)
    expected = rustnn.bernoulli(p)
    rustnn.manual_seed(7)
    assert rustnn.bernoulli(p.to("gpu")).tolist() == expected.tolist()


def test_integers_of_any_range_and_dtype_are_the_cpus() -> None:
    for low, high in [(0, 100), (-5, 70_000), (-(2**40), 2**50), (-(2**63), 2**63 - 1)]:
        for dtype in (rustnn.int64, rustnn.float32, rustnn.int32):
            if dtype is not rustnn.int64 and high > 1 << 31:
                continue
            rustnn.manual_seed(3)
            expected = rustnn.randint(low, high, (100,), dtype=dtype)
            rustnn.manual_seed(3)
            assert rustnn.randint(low, high, (100,), dtype=dtype, device="gpu").tolist() == expected.tolist()


SORTED = ["float32", "float16", "bfloat16", "int64", "int32", "uint8"]


@pytest.mark.parametrize("name", SORTED)
@pytest.mark.parametrize("length", [1, 5, 700, 1024, 2500])
def test_sorts_are_stable_and_the_cpus(name: str, length: int) -> None:
    # Few values, so that equal ones are many; NaN is greatest, zeros of both signs are equal.
    x = rustnn.randint(0, 40, (3, length)).to(getattr(rustnn, name))
    if x.is_floating_point():
        x = x - 20
        x[x == 7] = float("nan")
        x[x == -3] = -0.0
    if name == "int64":
        x = (x - 20) * 2**40
    g = x.to("gpu")

    def same(found, expected) -> bool:
        return str(found.tolist()) == str(expected.tolist())

    for descending in (False, True):
        found, expected = (t.sort(dim=1, descending=descending, stable=True) for t in (g, x))
        assert same(found.values, expected.values) and same(found.indices, expected.indices)
        assert same(g.argsort(0, descending, stable=True), x.argsort(0, descending, stable=True))
        for k in {1, min(3, length), min(200, length), length}:
            assert same(g.topk(k, largest=descending).values, x.topk(k, largest=descending).values)
    places = g.topk(1).indices
    assert same(g.gather(1, places), x.topk(1).values)
    middle = (length + 1) // 2
    assert same(g.kthvalue(middle).values, x.kthvalue(middle).values)


@pytest.mark.parametrize("length", [1, 64, 65, 256, 1000])
def test_running_results_along_lines_of_any_length(length: int) -> None:
    for x in (rustnn.randn(3, length), rustnn.randn(length, 3).t(), rustnn.randint(-5, 5, (2, length))):
        g = x.to("gpu")
        assert (g.cumsum(1).cpu() - x.cumsum(1)).abs().max().item() <= 1e-6 * length
        for op in ("cummax", "cummin"):
            found, expected = getattr(g, op)(1), getattr(x, op)(1)
            assert found.values.tolist() == expected.values.tolist()
            assert found.indices.tolist() == expected.indices.tolist()
        if x.is_floating_point():
            assert (g.logcumsumexp(1).cpu() - x.logcumsumexp(1)).abs().max().item() < 1e-5
    x = rustnn.tensor([1.0, float("nan"), 3.0] * 40)
    assert x.to("gpu").cummax(0).indices.tolist() == x.cummax(0).indices.tolist()
    assert x.to("gpu").argmax().item() == x.argmax().item() == 1


@pytest.mark.parametrize("shape", [(5, 7, 3), (300, 40), (3000, 5), (2, 9000, 3), (70_000,)])
def test_folds_over_any_dimensions(shape: tuple[int, ...]) -> None:
    x = rustnn.randn(shape)
    g = x.to("gpu")
    for dim in range(len(shape)):
        assert (g.sum(dim).cpu() - x.sum(dim)).abs().max().item() <= 1e-6 * max(shape) + 1e-5
        assert g.amax(dim).tolist() == x.amax(dim).tolist() and g.argmin(dim).tolist() == x.argmin(dim).tolist()
    assert rustnn.ones(0, 3, device="gpu").sum(0).tolist() == [0.0] * 3
    assert rustnn.ones(0, 3, device="gpu").prod(0).tolist() == [1.0] * 3
    assert all(v != v for v in rustnn.ones(0, 3, device="gpu").mean(0).tolist())
    halves = (x * 4).round() / 4
    assert halves.half().to("gpu").sum(0).tolist() == halves.half().sum(0).tolist()
    whole = (x * 10).long()
    assert whole.to("gpu").sum(0).tolist() == whole.sum(0).tolist() and whole.to("gpu").sum() == whole.sum().to("gpu")


def test_masks_select_and_scatter_on_the_device() -> None:
    x = rustnn.randn(20, 30)
    mask = x > 0.5
    g, there = x.to("gpu"), mask.to("gpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert g[there].tolist() == x[mask].tolist()
        g[there] = 7.0
        assert there.nonzero().tolist() == mask.nonzero().tolist()
        values = rustnn.arange(600.0)
        found = g.masked_scatter(there, values.to("gpu"))
    x[mask] = 7.0
    assert g.tolist() == x.tolist() and found.tolist() == x.masked_scatter(mask, values).tolist()
    assert g[rustnn.zeros(20, 30, dtype=rustnn.bool, device="gpu")].shape == (0,)


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 1),
        (3, 5, 7),
        (17, 33, 65),
        (64, 64, 64),
        (70, 130, 33),
        (1, 300, 40),
        (200, 1, 9),
        (300, 64, 1),
        (20, 2000, 12),
        (1, 5000, 1),
        (900, 20, 900),
        (1536, 8, 1280),
    ],
)
def test_products_of_any_size_and_layout(shape: tuple[int, int, int]) -> None:
    m, k, n = shape
    for dtype in (rustnn.float16, rustnn.bfloat16):
        # Small whole numbers, whose sums halves hold: any order of sums gives the same.
        a, b = (rustnn.randint(-1, 2, size).to(dtype) for size in [(m, k), (k, n)])
        a[:, 100:] = 0
        assert (a.to("gpu") @ b.to("gpu")).tolist() == (a @ b).tolist()
    a, b = rustnn.randn(m, k), rustnn.randn(k, n)
    expected = a @ b
    for left, right in [(a, b), (a.t().contiguous().t(), b), (a, b.t().contiguous().t())]:
        actual = (left.to("gpu") @ right.to("gpu")).cpu()
        assert (actual - expected).abs().max().item() <= 1e-5 * max(k, 8)
    c = rustnn.randn(n)
    assert (
        rustnn.addmm(c.to("gpu"), a.to("gpu"), b.to("gpu")).cpu() - (expected + c)
    ).abs().max().item() <= 1e-5 * max(k, 8)
    batch = rustnn.randn(3, 2, m, k), rustnn.randn(2, k, n)
    assert ((batch[0].to("gpu") @ batch[1].to("gpu")).cpu() - batch[0] @ batch[1]).abs().max().item() <= 1e-5 * max(
        k, 8
    )


@pytest.mark.parametrize("count", [1, 63, 64, 65, 255, 257, 5000, 70000])
def test_sums_softmax_and_extremes_of_any_length(count: int) -> None:
    x = rustnn.randn(3, count)
    g = x.to("gpu")
    assert (g.sum(1).cpu() - x.sum(1)).abs().max().item() <= 1e-6 * count
    assert (g.sum().cpu() - x.sum()).abs().item() <= 1e-6 * count * 3
    assert (g.sum(0).cpu() - x.sum(0)).abs().max().item() <= 1e-5
    assert g.argmax(1).tolist() == x.argmax(1).tolist() and g.max().item() == x.max().item()
    assert (g.softmax(1).cpu() - x.softmax(1)).abs().max().item() <= 1e-6
    assert (g.log_softmax(1).cpu() - x.log_softmax(1)).abs().max().item() <= 1e-5
    if count > 1:
        assert (g.var(1).cpu() - x.var(1)).abs().max().item() <= 1e-4


def test_scattered_sums_have_one_order() -> None:
    index = rustnn.randint(0, 7, (3000,))
    values = rustnn.randn(3000)
    first = rustnn.zeros(7, device="gpu").index_add(0, index.to("gpu"), values.to("gpu"))
    assert (first.cpu() - rustnn.zeros(7).index_add(0, index, values)).abs().max().item() < 1e-3
    for _ in range(3):
        again = rustnn.zeros(7, device="gpu").scatter_add(0, index.to("gpu"), values.to("gpu"))
        assert again.tolist() == first.tolist()
