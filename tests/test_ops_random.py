"""Random functions: moments, ranges, and that a seed decides every bit. Their numbers are not PyTorch's, by design."""

from __future__ import annotations

import math

import pytest

import rustnn

COUNT = 200_000
# (call, mean, variance): the mean of COUNT draws lies within six standard errors.
MOMENTS = {
    "rand": (lambda: rustnn.rand(COUNT), 0.5, 1 / 12),
    "randn": (lambda: rustnn.randn(COUNT), 0.0, 1.0),
    "rand_like": (lambda: rustnn.rand_like(rustnn.empty(COUNT)), 0.5, 1 / 12),
    "randn_like": (lambda: rustnn.randn_like(rustnn.empty(COUNT)), 0.0, 1.0),
    "randint": (lambda: rustnn.randint(-3, 8, (COUNT,)).double(), 2.0, (11**2 - 1) / 12),
    "randint_like": (lambda: rustnn.randint_like(rustnn.empty(COUNT), 11).double(), 5.0, (11**2 - 1) / 12),
    "normal": (lambda: rustnn.normal(2.0, 3.0, (COUNT,)), 2.0, 9.0),
    "normal_": (lambda: rustnn.empty(COUNT).normal_(2.0, 3.0), 2.0, 9.0),
    "uniform_": (lambda: rustnn.empty(COUNT).uniform_(-1.0, 3.0), 1.0, 16 / 12),
    "exponential_": (lambda: rustnn.empty(COUNT).exponential_(2.0), 0.5, 0.25),
    "bernoulli": (lambda: rustnn.bernoulli(rustnn.full((COUNT,), 0.3)), 0.3, 0.21),
    "bernoulli_": (lambda: rustnn.empty(COUNT).bernoulli_(0.3), 0.3, 0.21),
    "random_": (lambda: rustnn.empty(COUNT).random_(0, 10), 4.5, (10**2 - 1) / 12),
    "multinomial": (lambda: rustnn.multinomial(rustnn.tensor([1.0, 0.0, 3.0]), COUNT, True).double(), 1.5, 0.75),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_mean_and_variance_are_the_distributions(name: str) -> None:
    draw, mean, variance = MOMENTS[name]
    x = draw().double()
    assert abs(x.mean().item() - mean) < 6 * math.sqrt(variance / COUNT)
    assert abs(x.var().item() - variance) < 0.03 * variance


@pytest.mark.parametrize("name", MOMENTS)
def test_a_seed_decides_every_number_and_the_next_draw_differs(name: str) -> None:
    draw, _, _ = MOMENTS[name]
    rustnn.manual_seed(7)
    first, second = draw(), draw()
    rustnn.manual_seed(7)
    assert rustnn.equal(draw(), first)
    assert not rustnn.equal(first, second)


@pytest.mark.parametrize("name", MOMENTS)
def test_neighbouring_numbers_are_not_correlated(name: str) -> None:
    draw, mean, variance = MOMENTS[name]
    x = draw().double() - mean
    assert abs((x[1:] * x[:-1]).mean().item()) < 6 * variance / math.sqrt(COUNT)


def test_number_of_threads_changes_no_random_bit() -> None:
    before = rustnn.get_num_threads()
    try:
        results = []
        for threads in (1, 2, 3):
            rustnn.set_num_threads(threads)
            rustnn.manual_seed(3)
            results.append(rustnn.randn(300_001))
        assert rustnn.equal(results[0], results[1]) and rustnn.equal(results[0], results[2])
    finally:
        rustnn.set_num_threads(before)


def test_a_generator_is_independent_of_the_global_one_and_keeps_its_state() -> None:
    generator = rustnn.Generator().manual_seed(5)
    first = rustnn.randn(4, generator=generator)
    state = generator.get_state()
    second = rustnn.randn(4, generator=generator)
    rustnn.randn(100)
    generator.set_state(state)
    assert rustnn.equal(rustnn.randn(4, generator=generator), second)
    generator.manual_seed(5)
    assert rustnn.equal(rustnn.randn(4, generator=generator), first)
    assert generator.initial_seed() == 5


def test_global_state_is_saved_and_restored() -> None:
    state = rustnn.get_rng_state()
    first = rustnn.rand(3)
    rustnn.set_rng_state(state)
    assert rustnn.equal(rustnn.rand(3), first)


def test_uniform_numbers_stay_below_one_in_every_float_dtype() -> None:
    for dtype in (rustnn.float32, rustnn.float64, rustnn.float16, rustnn.bfloat16):
        x = rustnn.rand(COUNT, dtype=dtype)
        assert 0.0 <= x.min().item() and x.max().item() < 1.0


def test_randperm_is_a_permutation() -> None:
    x = rustnn.randperm(1000)
    assert x.dtype == rustnn.int64
    assert sorted(x.tolist()) == list(range(1000)) != x.tolist()


def test_multinomial_without_replacement_draws_each_index_once() -> None:
    x = rustnn.multinomial(rustnn.tensor([[1.0, 2.0, 0.0, 3.0]] * 50), 3)
    assert all(sorted(row) == [0, 1, 3] for row in x.tolist())


@pytest.mark.parametrize("p", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_dropout_keeps_the_share_and_the_mean(p: float) -> None:
    x = rustnn.ones(COUNT, requires_grad=True)
    y = rustnn.nn.functional.dropout(x, p, training=True)
    kept = (y != 0).double().mean().item()
    assert abs(kept - (1 - p)) < 6 * math.sqrt(0.25 / COUNT)
    values = set(y.detach().unique().tolist())
    assert values <= {0.0} | ({float(rustnn.tensor(1 / (1 - p)))} if p < 1 else set())
    y.sum().backward()
    assert rustnn.equal(x.grad, y.detach())


def test_dropout_in_evaluation_gives_its_input() -> None:
    x = rustnn.randn(5)
    assert rustnn.equal(rustnn.nn.functional.dropout(x, 0.5, training=False), x)


@pytest.mark.parametrize(
    "draw",
    [
        lambda x: rustnn.normal(x, 1.0),
        lambda x: rustnn.normal(0.0, x),
        lambda x: rustnn.normal(x, x),
        rustnn.bernoulli,
    ],
)
def test_what_is_drawn_does_not_follow_its_parameters(draw):
    x = rustnn.tensor([0.5, 0.25], requires_grad=True)
    drawn = draw(x)
    assert drawn.requires_grad
    drawn.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


def test_gradients_of_what_is_drawn_have_the_shapes_of_the_parameters():
    mean, std = rustnn.zeros(3, 1, requires_grad=True), rustnn.ones(1, 2, requires_grad=True)
    drawn = rustnn.normal(mean, std)
    assert type(drawn.grad_fn).__name__ == "NormalBackward3"
    drawn.sum().backward()
    assert (mean.grad.shape, std.grad.shape) == ((3, 1), (1, 2))


@pytest.mark.parametrize("dtype", [rustnn.float64, rustnn.float16, rustnn.complex64])
@pytest.mark.parametrize(
    "draw",
    [rustnn.rand, rustnn.randn, lambda *size, **to: rustnn.normal(0.0, 1.0, size, **to)],
    ids=["rand", "randn", "normal"],
)
def test_out_is_drawn_in_its_own_dtype(draw, dtype):
    rustnn.manual_seed(1)
    expected = draw(20, dtype=dtype)
    out = rustnn.empty(0, dtype=dtype)
    rustnn.manual_seed(1)
    assert draw(20, out=out) is out
    assert rustnn.equal(out, expected)


def test_out_of_another_dtype_or_device_than_asked_raises():
    with pytest.raises(RuntimeError, match=r"dtype Double does not match dtype of out parameter \(Float\)"):
        rustnn.rand(3, out=rustnn.empty(3), dtype=rustnn.float64)
    with pytest.raises(RuntimeError, match=r"device type meta does not match device type of out parameter \(cpu\)"):
        rustnn.zeros(3, out=rustnn.empty(3), device="meta")


def test_permutations_need_a_dtype_that_holds_them():
    assert sorted(rustnn.randperm(128, dtype=rustnn.int8).tolist()) == list(range(128))
    with pytest.raises(RuntimeError, match="value cannot be converted to type int8_t without overflow"):
        rustnn.randperm(129, dtype=rustnn.int8)
    with pytest.raises(RuntimeError, match="n cannot be greater than 2049 for Half type"):
        rustnn.randperm(2050, dtype=rustnn.float16)
    with pytest.raises(NotImplementedError, match="'Bool'"):
        rustnn.randperm(3, dtype=rustnn.bool)


def test_uniform_bounds_lie_in_the_dtype():
    x = rustnn.zeros(3)
    for low, high, text in ((0, 1e39, "to is out of bounds for float"), (-1e39, 0, "from is out of bounds for float")):
        with pytest.raises(RuntimeError, match=text):
            x.uniform_(low, high)
    with pytest.raises(RuntimeError, match="result in to-from to exceed the limit"):
        x.uniform_(-3e38, 3e38)
    assert x.tolist() == [0, 0, 0]
