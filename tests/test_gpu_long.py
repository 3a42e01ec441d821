"""The GPU device on long rows, runs and windows: what one invocation of a shader cannot go through by itself.

Lavapipe ends an invocation's loops after 65,535 rounds and leaves what it has. Sizes are beyond what that allows a
kernel whose invocations walk over all of a row, or in parts on the way there.
"""

from __future__ import annotations

import numpy as np
import pytest

import rustnn
from rustnn.nn import functional as F

pytestmark = pytest.mark.skipif(
    not rustnn.gpu.is_available(), reason="no GPU adapter: install a Vulkan driver, such as Mesa's lavapipe"
)

LONG = 1_700_001
# Values that fall on one place.
MANY = 90_001


def there(x: np.ndarray) -> rustnn.Tensor:
    return rustnn.tensor(x).to("gpu")


def numbers(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(count, dtype=np.float32)


def close(got: rustnn.Tensor, wanted: np.ndarray, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(got.detach().cpu().numpy(), wanted, rtol=tolerance, atol=tolerance)


def test_places_and_masks_of_millions_of_elements_are_all_found() -> None:
    x = np.zeros(LONG, np.float32)
    x[[0, 3, 1_600_000, LONG - 1]] = [1, 2, 3, 4]
    assert there(x).nonzero().flatten().tolist() == [0, 3, 1_600_000, LONG - 1]
    assert there(x)[there(x) > 1].tolist() == [2, 3, 4]


@pytest.mark.parametrize("shape", [(LONG,), (3, LONG // 3)])
def test_running_sums_and_products_of_long_lines_reach_the_end(shape: tuple[int, ...]) -> None:
    whole = np.arange(LONG).reshape(shape) % 7 - 3
    np.testing.assert_array_equal(there(whole).cumsum(-1).cpu().numpy(), whole.cumsum(-1))
    signs = np.where(whole == 3, -1, 1)
    np.testing.assert_array_equal(there(signs).cumprod(-1).cpu().numpy(), signs.cumprod(-1))
    x = numbers(LONG).reshape(shape)
    close(there(x).cumsum(-1), x.astype(np.float64).cumsum(-1))
    close(there(x).logcumsumexp(-1), np.log(np.exp(x.astype(np.float64)).cumsum(-1)))


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_running_extremes_of_long_lines_have_the_last_of_equals(dtype: type) -> None:
    x = (np.arange(LONG) // 3 % 300_000).astype(dtype)
    x[1_500_000] = 400_000
    values, places = there(x).cummax(0)
    np.testing.assert_array_equal(values.cpu().numpy(), np.maximum.accumulate(x))
    is_last = x == np.maximum.accumulate(x)
    np.testing.assert_array_equal(places.cpu().numpy(), np.maximum.accumulate(np.where(is_last, np.arange(LONG), 0)))
    values, places = there(-x).cummin(0)
    np.testing.assert_array_equal(values.cpu().numpy(), np.minimum.accumulate(-x))
    assert places[-1].item() == 1_500_000


def runs() -> tuple[np.ndarray, np.ndarray]:
    """Places of which one has many values, and values."""
    place = np.zeros(MANY, np.int64)
    place[::5] = np.arange(len(place[::5])) % 50 + 1
    return place, numbers(MANY)


def test_counts_of_many_equal_values_are_whole() -> None:
    place, _ = runs()
    np.testing.assert_array_equal(there(place).bincount().cpu().numpy(), np.bincount(place))
    counts = there(place.astype(np.float32)).histc(51, 0, 50)
    np.testing.assert_array_equal(counts.cpu().numpy(), np.bincount(place).astype(np.float32))


def test_many_values_are_added_to_one_place() -> None:
    place, x = runs()
    wanted = np.bincount(place, x, 51)
    at, values = there(place), there(x)
    close(rustnn.zeros(51, device="gpu").index_add(0, at, values, alpha=2), 2 * wanted)
    close(rustnn.zeros(51, device="gpu").scatter_add(0, at, values), wanted)
    close(rustnn.zeros(51, device="gpu").index_put((at,), values, accumulate=True), wanted)
    close(rustnn.ones(51, device="gpu").index_reduce(0, at, values, "mean"), (wanted + 1) / (np.bincount(place) + 1))
    # In one order.
    first = rustnn.zeros(51, device="gpu").index_add(0, at, values).tolist()
    assert rustnn.zeros(51, device="gpu").index_add(0, at, values).tolist() == first


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int64, np.uint8])
def test_many_values_are_joined_in_one_place(dtype: type) -> None:
    place, x = runs()
    x = (x * 200).astype(dtype)
    x[-1] = 220
    at, values = there(place), there(x)
    for name, join in [("amax", np.maximum), ("amin", np.minimum)]:
        wanted = np.full(51, 100, dtype)
        join.at(wanted, place, x)
        got = there(np.full(51, 100, dtype)).scatter_reduce(0, at, values, name)
        np.testing.assert_array_equal(got.cpu().numpy(), wanted)
    signs = np.where(x > 100, 1, -1 if dtype != np.uint8 else 1).astype(dtype)
    wanted = np.ones(51, dtype)
    np.multiply.at(wanted, place, signs)
    got = there(np.ones(51, dtype)).scatter_reduce(0, at, there(signs), "prod")
    np.testing.assert_array_equal(got.cpu().numpy(), wanted)


@pytest.mark.parametrize("by_frequency", [False, True])
def test_rows_taken_many_times_have_their_whole_gradient(by_frequency: bool) -> None:
    place, _ = runs()
    dy = np.stack([numbers(MANY, 1), numbers(MANY, 2)], 1)
    wanted = np.stack([np.bincount(place, dy[:, c], 51) for c in range(2)], 1)
    wanted[7] = 0
    table = rustnn.zeros(51, 2, device="gpu", requires_grad=True)
    rows = F.embedding(there(place), table, padding_idx=7, scale_grad_by_freq=by_frequency)
    rows.backward(there(dy))
    close(table.grad, wanted / np.bincount(place)[:, None] if by_frequency else wanted)
    if not by_frequency:
        for take in (lambda t: t.index_select(0, there(place)), lambda t: t[there(place)]):
            table = rustnn.zeros(51, 2, device="gpu", requires_grad=True)
            take(table).backward(there(dy))
            close(table.grad[:7], wanted[:7])
        column = rustnn.zeros(51, device="gpu", requires_grad=True)
        column.gather(0, there(place)).backward(there(dy[:, 0]))
        close(column.grad[:7], wanted[:7, 0])


def test_a_bag_of_many_rows_is_summed_whole() -> None:
    place, _ = runs()
    table = np.random.default_rng(3).random((51, 3), dtype=np.float32)
    offsets = rustnn.tensor([0, 5000], device="gpu")
    rows = table[place].astype(np.float64)
    bags = [rows[:5000], rows[5000:]]
    for mode, join in [("sum", np.sum), ("mean", np.mean), ("max", np.max)]:
        got = F.embedding_bag(there(place), there(table), offsets, mode=mode)
        close(got, np.stack([join(bag, axis=0) for bag in bags]))


def test_extremes_and_modes_of_long_rows_are_found() -> None:
    x = np.zeros(17_000_000, np.int8)
    x[16_900_000:] = 1
    x[16_950_000] = -1
    assert there(x).argmax().item() == 16_900_000
    assert there(x).argmin().item() == 16_950_000
    spread = np.arange(700_000, dtype=np.int32)
    spread[-2] = spread[-1]
    value, place = there(spread).mode()
    assert value.item() == 699_999 and place.item() == 699_999


def test_softmax_of_a_long_row_sums_to_one_and_its_gradient_to_nothing() -> None:
    x = numbers(5_700_000) * 3
    wanted = np.exp(x.astype(np.float64))
    wanted /= wanted.sum()
    value = there(x).requires_grad_()
    y = value.softmax(0)
    np.testing.assert_allclose(y.detach().cpu().numpy(), wanted, rtol=1e-5)
    close(value.log_softmax(0), np.log(wanted))
    weight = there(numbers(len(x), 1))
    (y * weight).sum().backward()
    w = weight.cpu().numpy().astype(np.float64)
    np.testing.assert_allclose(value.grad.cpu().numpy(), wanted * (w - (w * wanted).sum()), rtol=1e-3, atol=1e-12)


def test_cross_entropy_over_millions_of_classes() -> None:
    x = numbers(5_700_000) * 3
    logits = there(x[None]).requires_grad_()
    loss = F.cross_entropy(logits, rustnn.tensor([5_000_000], device="gpu"), label_smoothing=0.1)
    loss.backward()
    exact = x.astype(np.float64)
    ln = exact - np.log(np.exp(exact).sum())
    assert loss.item() == pytest.approx(-0.9 * ln[5_000_000] - 0.1 * ln.mean(), rel=1e-5)
    wanted = np.exp(ln) - 0.1 / len(x)
    wanted[5_000_000] -= 0.9
    np.testing.assert_allclose(logits.grad.cpu().numpy()[0], wanted, rtol=1e-2, atol=1e-9)


@pytest.mark.parametrize("norm", ["layer", "root", "group", "batch"])
def test_norms_over_millions_of_elements_and_their_gradients(norm: str) -> None:
    count = 9_000_000 if norm in ("batch", "root") else 6_000_000
    x = (numbers(count) + 100).reshape(1, 1, -1)
    value, weight = there(x).requires_grad_(), rustnn.ones(1, device="gpu", requires_grad=True)
    if norm == "layer":
        y = F.layer_norm(value, (count,))
    elif norm == "root":
        y = F.rms_norm(value, (count,))
    elif norm == "group":
        y = F.group_norm(value, 1, weight)
    else:
        y = F.batch_norm(value, None, None, weight, training=True)
    exact = x.astype(np.float64)
    centre = exact - (0 if norm == "root" else exact.mean())
    wanted = centre / np.sqrt((centre**2).mean() + (0 if norm == "root" else 1e-5))
    np.testing.assert_allclose(y.detach().cpu().numpy(), wanted, rtol=1e-4, atol=2e-4)
    dy = numbers(count, 1).reshape(x.shape)
    y.backward(there(dy))
    dx = dy - (0 if norm == "root" else dy.mean(dtype=np.float64)) - wanted * (dy * wanted).mean()
    np.testing.assert_allclose(
        value.grad.cpu().numpy(), dx * np.sqrt(1 / (centre**2).mean()), rtol=2e-3, atol=1e-3 if norm != "root" else 1e-6
    )
    if norm in ("group", "batch"):
        # The mean is rounded to f32.
        assert weight.grad.item() == pytest.approx((dy * wanted).sum(), abs=3e-5 * abs(dy * wanted).sum())


@pytest.mark.parametrize("mean", [0.0, 1e4, -3e5])
def test_variances_keep_their_digits_where_the_mean_is_large(mean: float) -> None:
    x = (np.random.default_rng(0).standard_normal(4_000_000) + mean).astype(np.float32)
    exact = x.astype(np.float64)
    assert there(x).var().item() == pytest.approx(exact.var(ddof=1), rel=1e-6)
    assert there(x).std(correction=0).item() == pytest.approx(exact.std(), rel=1e-6)
    variances, means = rustnn.var_mean(there(x.reshape(100, -1)), 1)
    np.testing.assert_allclose(variances.cpu().numpy(), exact.reshape(100, -1).var(1, ddof=1), rtol=1e-6)
    np.testing.assert_allclose(means.cpu().numpy(), exact.reshape(100, -1).mean(1), rtol=1e-7, atol=1e-6)
    assert there(x).sum().item() == pytest.approx(exact.sum(), rel=1e-6, abs=1e-1)


SIDE = 300


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d", "adaptive_max_pool2d", "adaptive_avg_pool2d"])
def test_windows_of_many_places_are_pooled_whole(name: str) -> None:
    x = np.stack([numbers(SIDE * SIDE), numbers(SIDE * SIDE, 1)]).reshape(1, 2, SIDE, SIDE)
    x[0, 1, 2, 3] = x[0, 1, 299, 298] = np.nan
    value = there(x).requires_grad_()
    size = 1 if name.startswith("adaptive") else SIDE
    y = getattr(F, name)(value, size)
    y.backward(rustnn.tensor([[[[2.0]], [[3.0]]]], device="gpu"))
    wanted = np.zeros_like(x)
    if "max" in name:
        first = x[0, 0].argmax()
        assert y[0, 0].item() == x[0, 0].max()
        wanted[0, 0].ravel()[first] = 2
        wanted[0, 1, 299, 298] = 3  # the last NaN
    else:
        assert y[0, 0].item() == pytest.approx(x[0, 0].mean(dtype=np.float64), rel=1e-6)
        wanted[0, 0] = 2 / SIDE**2
        wanted[0, 1] = 3 / SIDE**2
    assert np.isnan(y[0, 1].item())
    close(value.grad, wanted)


def test_gradients_of_pools_on_large_planes_reach_every_place() -> None:
    x = numbers(SIDE * SIDE).reshape(1, 1, SIDE, SIDE)
    for name, args in [
        ("max_pool2d", (2,)),
        ("max_pool2d", (3, 2, 1)),
        ("max_pool2d", (3, 1, 1, 2)),
        ("adaptive_max_pool2d", (77,)),
        ("avg_pool2d", (3, 2, 1)),
        ("adaptive_avg_pool2d", (77,)),
    ]:
        here, value = rustnn.tensor(x, requires_grad=True), there(x).requires_grad_()
        y = getattr(F, name)(here, *args)
        dy = numbers(y.numel(), 1).reshape(y.shape)
        y.backward(rustnn.tensor(dy))
        getattr(F, name)(value, *args).backward(there(dy))
        close(value.grad, here.grad.numpy())
    # Each place is in very many windows.
    for pool in (lambda t: F.adaptive_avg_pool2d(t, SIDE), lambda t: F.adaptive_max_pool2d(t, SIDE)):
        one = rustnn.ones(1, 1, 1, 1, device="gpu", requires_grad=True)
        pool(one).sum().backward()
        assert one.grad.item() == SIDE**2


def test_deep_products_of_integers_go_to_the_bottom() -> None:
    depth = 70_001
    a, b = np.arange(2 * depth).reshape(2, depth) % 11 - 5, np.arange(2 * depth).reshape(depth, 2) % 13 - 6
    for dtype in (np.int64, np.int32, np.int8):
        got = there(a.astype(dtype)) @ there(b.astype(dtype))
        np.testing.assert_array_equal(got.cpu().numpy(), (a @ b).astype(dtype))


def test_draws_without_replacement_among_a_million_classes() -> None:
    weights = np.zeros(1_000_000, np.float32)
    weights[[5, 999_990]] = 1
    assert sorted(there(weights).multinomial(2).tolist()) == [5, 999_990]
    weights[999_999] = -1
    with pytest.raises(RuntimeError, match="probability tensor contains"):
        there(weights).multinomial(2).tolist()
