"""Unsigned integers wider than 8 bits: what PyTorch computes on them, against NumPy."""

import numpy as np
import pytest

import rustnn

DTYPES = {rustnn.uint16: np.uint16, rustnn.uint32: np.uint32, rustnn.uint64: np.uint64}


@pytest.fixture(params=DTYPES, ids=str)
def dtype(request):
    return request.param


def numbers(dtype, shape=(37, 5), seed=0):
    """Small ones, which meet each other, and such as have the highest bit set."""
    random = np.random.RandomState(seed)
    small = random.randint(0, 6, shape)
    large = np.iinfo(DTYPES[dtype]).max - small.astype(DTYPES[dtype])
    return np.where(random.rand(*shape) < 0.5, small.astype(DTYPES[dtype]), large)


def same(ours, expected):
    assert ours.numpy().dtype == expected.dtype and (ours.numpy() == expected).all()


def test_products_comparisons_and_bits_are_those_of_unsigned_numbers(dtype):
    a, b = numbers(dtype), numbers(dtype, seed=1)
    x, y = rustnn.tensor(a), rustnn.tensor(b)
    for ours, expected in [
        (x * y, a * b),
        (x * 3, a * DTYPES[dtype](3)),
        (x == y, a == b),
        (x != y, a != b),
        (x & y, a & b),
        (x | y, a | b),
        (x ^ y, a ^ b),
        (x.t() * y.t(), (a * b).T),
        (x[:1] * y, a[:1] * b),
        (x == y[:, :1], a == b[:, :1]),
        (x * rustnn.tensor(b % 2 == 0), a * (b % 2 == 0)),
        (rustnn.where(x == y, x, y), np.where(a == b, a, b)),
    ]:
        same(ours, expected)


def test_written_in_place_and_into_out_they_are_the_same(dtype):
    a, b = numbers(dtype), numbers(dtype, seed=1)
    x, y = rustnn.tensor(a), rustnn.tensor(b)
    same(x.clone().mul_(y), a * b)
    same(x.clone().bitwise_xor_(y), a ^ b)
    same(x.clone().eq_(y), (a == b).astype(a.dtype))
    same(rustnn.mul(x, y, out=rustnn.empty(0, dtype=dtype)), a * b)
    same(rustnn.ne(x, y, out=rustnn.empty(0, dtype=rustnn.bool)), a != b)
    masked = x.clone()
    masked[masked == 1] = 9
    same(masked, np.where(a == 1, 9, a).astype(a.dtype))


def test_they_are_equal_and_close_by_value(dtype):
    x = rustnn.tensor(numbers(dtype))
    assert rustnn.equal(x, x.clone()) and rustnn.allclose(x, x) and not rustnn.equal(x, x ^ 1)
    rustnn.testing.assert_close(x, x.clone())
    with pytest.raises(AssertionError):
        rustnn.testing.assert_close(x, x ^ 1)


def test_sums_are_counted_in_int64(dtype):
    a = numbers(dtype)
    x = rustnn.tensor(a)
    same(x.sum(), a.astype(np.int64).sum())
    same(x.sum(0, keepdim=True), a.astype(np.int64).sum(0, keepdims=True))
    same(x.t().sum(-1), a.astype(np.int64).sum(0))
    same(x.nansum(), a.astype(np.int64).sum())
    assert x[:0].sum().item() == 0 and not x.isnan().any()


def test_any_and_all_see_the_highest_bit(dtype):
    highest = rustnn.tensor([2 ** (8 * dtype.itemsize - 1), 0], dtype=dtype)
    assert highest.any() and not highest.all() and highest[:1].all()
    assert highest.reshape(2, 1).any(1).tolist() == highest.reshape(2, 1).all(1).tolist() == [True, False]


def test_order_is_that_of_unsigned_numbers(dtype):
    a = numbers(dtype)
    x = rustnn.tensor(a)
    for dim in (0, 1):
        values, places = x.sort(dim, stable=True)
        same(values, np.sort(a, dim))
        same(places, np.argsort(a, dim, kind="stable"))
        same(x.argsort(dim, stable=True), places.numpy())
        same(x.sort(dim, descending=True).values, np.flip(np.sort(a, dim), dim))


def test_distinct_numbers_come_in_order_with_places_and_counts(dtype):
    a = numbers(dtype)
    ours = rustnn.unique(rustnn.tensor(a), return_inverse=True, return_counts=True)
    expected = np.unique(a, return_inverse=True, return_counts=True)
    same(ours[0], expected[0])
    assert ours[1].reshape(-1).tolist() == expected[1].reshape(-1).tolist() and ours[2].tolist() == expected[2].tolist()
    same(rustnn.unique(rustnn.tensor(a[:, :1]), dim=0), np.unique(a[:, :1], axis=0))
    assert rustnn.unique_consecutive(rustnn.tensor([3, 3, 1, 3], dtype=dtype)).tolist() == [3, 1, 3]


def test_membership_of_a_number_is_found(dtype):
    greatest = np.iinfo(DTYPES[dtype]).max
    x = rustnn.tensor([greatest, 7], dtype=dtype)
    assert rustnn.isin(x, 7).tolist() == [False, True]
    assert rustnn.isin(x, 7, invert=True).tolist() == [True, False]


def test_drawn_integers_lie_in_the_range_and_reach_its_upper_half(dtype):
    high = 2 ** min(8 * dtype.itemsize, 62)
    drawn = rustnn.randint(3, high, (2000,), dtype=dtype)
    assert drawn.dtype is dtype
    as_numpy = drawn.numpy()
    assert as_numpy.min() >= 3 and as_numpy.max() > high // 2 and as_numpy.max() < high
    assert set(rustnn.randint_like(drawn, 2).numpy().tolist()) == {0, 1}
    assert set(drawn.random_(5, 8).numpy().tolist()) == {5, 6, 7}
    with pytest.raises(RuntimeError, match="from is out of bounds"):
        rustnn.randint(-1, 5, (2,), dtype=dtype)


def test_what_pytorch_does_not_compute_on_them_is_refused(dtype):
    x = rustnn.tensor([1, 2], dtype=dtype)
    for call in (lambda: x + x, lambda: x < x, lambda: -x, lambda: x.max(), lambda: x.topk(1), lambda: x // 2):
        with pytest.raises(NotImplementedError, match="not implemented for 'UInt"):  # as PyTorch does
            call()
