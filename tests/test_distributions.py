"""Distributions: their log-probabilities against sums and integrals, samples against moments, divergences."""

import math

import pytest

import rustnn
from rustnn import distributions as D


def _continuous():
    return [
        (D.Normal(0.3, 1.5), -12.0, 12.0),
        (D.LogNormal(0.1, 0.4), 1e-6, 20.0),
        (D.Uniform(-1.0, 2.0), -1.0, 2.0 - 1e-9),
        (D.Exponential(1.7), 0.0, 20.0),
        (D.Laplace(0.5, 0.8), -25.0, 25.0),
    ]


def _double(distribution):
    for name, value in vars(distribution).items():
        if isinstance(value, rustnn.Tensor):
            setattr(distribution, name, value.double())
    return distribution


@pytest.mark.parametrize("case", _continuous(), ids=lambda case: type(case[0]).__name__)
def test_densities_have_the_mean_the_variance_and_the_entropy_they_say(case):
    distribution, low, high = _double(case[0]), *case[1:]
    x = rustnn.linspace(low, high, 400_001, dtype=rustnn.float64)
    step = (high - low) / 400_000
    logarithm = distribution.log_prob(x)
    density = logarithm.exp()

    def integral(y):
        return ((y.sum() - 0.5 * (y[0] + y[-1])) * step).item()

    assert integral(density) == pytest.approx(1.0, abs=1e-4)
    mean = integral(density * x)
    assert mean == pytest.approx(distribution.mean.item(), abs=1e-3)
    assert integral(density * (x - mean) ** 2) == pytest.approx(distribution.variance.item(), abs=2e-3)
    assert distribution.stddev.item() == pytest.approx(math.sqrt(distribution.variance.item()))
    terms = rustnn.where(density > 0, density * logarithm, 0.0)
    assert -integral(terms) == pytest.approx(distribution.entropy().item(), abs=1e-3)


@pytest.mark.parametrize("case", _continuous(), ids=lambda case: type(case[0]).__name__)
def test_the_inverse_of_the_distribution_function_inverts_it_and_samples_follow_it(case):
    distribution = case[0]
    p = rustnn.tensor([0.05, 0.3, 0.7, 0.95])
    assert distribution.cdf(distribution.icdf(p)).tolist() == pytest.approx(p.tolist(), abs=1e-5)
    rustnn.manual_seed(1)
    sample = distribution.sample((20_000,))
    for level in p.tolist():
        below = (distribution.cdf(sample) <= level).float().mean().item()
        assert below == pytest.approx(level, abs=0.015)


def test_reparametrised_samples_have_gradients_and_samples_have_none():
    loc, scale = rustnn.zeros(2, requires_grad=True), rustnn.ones(2, requires_grad=True)
    for kind in (D.Normal, D.Laplace, D.LogNormal):
        distribution = kind(loc, scale)
        assert not distribution.sample((3,)).requires_grad
        distribution.rsample((3,)).sum().backward()
    assert loc.grad is not None and scale.grad is not None


def test_a_policy_gradient_reaches_the_logits():
    logits = rustnn.zeros(2, 3, requires_grad=True)
    policy = D.Categorical(logits=logits)
    (-policy.log_prob(rustnn.tensor([0, 2]))).sum().backward()
    third = 1 / 3
    assert logits.grad.tolist() == [
        pytest.approx([third - 1, third, third]),
        pytest.approx([third, third, third - 1]),
    ]


def test_probabilities_first_asked_for_while_sampling_keep_their_gradient():
    logits = rustnn.zeros(3, requires_grad=True)
    for distribution in (D.Categorical(logits=logits), D.Bernoulli(logits=logits)):
        distribution.sample()
        assert distribution.probs.requires_grad


def test_categories_are_drawn_as_often_as_they_are_probable():
    rustnn.manual_seed(2)
    distribution = D.Categorical(rustnn.tensor([[1.0, 3.0], [6.0, 2.0]]))
    sample = distribution.sample((20_000,))
    assert sample.shape == (20_000, 2) and sample.dtype is rustnn.int64
    assert sample.float().mean(0).tolist() == pytest.approx([0.75, 0.25], abs=0.015)
    assert distribution.mode.tolist() == [1, 0]
    assert distribution.entropy().tolist() == pytest.approx([0.5623351] * 2, abs=1e-6)
    assert distribution.enumerate_support().tolist() == [[0, 0], [1, 1]]


def test_coins_have_the_probability_they_say():
    rustnn.manual_seed(3)
    coin = D.Bernoulli(0.3)
    assert coin.sample((20_000,)).mean().item() == pytest.approx(0.3, abs=0.015)
    assert coin.log_prob(rustnn.tensor([1.0, 0.0])).exp().tolist() == pytest.approx([0.3, 0.7])
    assert coin.entropy().item() == pytest.approx(0.6108643)


@pytest.mark.parametrize(
    "p, q",
    [
        (D.Normal(0.0, 1.0), D.Normal(1.0, 2.0)),
        (D.Laplace(0.2, 0.7), D.Laplace(-0.5, 1.1)),
        (D.Exponential(1.5), D.Exponential(0.5)),
        (D.Uniform(0.0, 1.0), D.Uniform(-1.0, 2.0)),
        (D.Bernoulli(0.3), D.Bernoulli(0.6)),
        (D.Categorical(rustnn.tensor([0.2, 0.8])), D.Categorical(rustnn.tensor([0.5, 0.5]))),
    ],
    ids=lambda distribution: type(distribution).__name__,
)
def test_divergences_are_means_of_log_ratios(p, q):
    rustnn.manual_seed(4)
    sample = p.sample((100_000,))
    mean = (p.log_prob(sample) - q.log_prob(sample)).mean().item()
    assert D.kl_divergence(p, q).item() == pytest.approx(mean, abs=0.015)


def test_divergences_without_a_formula_raise():
    with pytest.raises(NotImplementedError, match="p type Uniform and q type Bernoulli"):
        D.kl_divergence(D.Uniform(0.0, 1.0), D.Bernoulli(0.5))


def test_independent_adds_over_its_dimensions():
    batch = D.Normal(rustnn.zeros(2, 3), rustnn.ones(2, 3))
    joint = D.Independent(batch, 1)
    assert (joint.batch_shape, joint.event_shape) == ((2,), (3,))
    x = rustnn.arange(6.0).reshape(2, 3)
    assert joint.log_prob(x).tolist() == pytest.approx(batch.log_prob(x).sum(1).tolist())
    assert joint.entropy().tolist() == pytest.approx(batch.entropy().sum(1).tolist())
    assert joint.expand((4, 2)).sample((5,)).shape == (5, 4, 2, 3)
    assert D.kl_divergence(joint, joint).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: D.Normal(0.0, -1.0), r"Expected parameter scale \(Tensor of shape \(\)\) of distribution Normal"),
        (lambda: D.Normal(0.0, 1.0).log_prob(rustnn.tensor(math.nan)), r"within the support \(Real\(\)\)"),
        (lambda: D.Normal(0.0, 1.0).log_prob(3.0), "value argument to log_prob must be a Tensor"),
        (lambda: D.Uniform(2.0, 1.0), r"LessThan\(upper_bound=1.0\)"),
        (lambda: D.Categorical(rustnn.tensor([-1.0, 2.0])), r"constraint Simplex\(\)"),
        (lambda: D.Categorical(rustnn.tensor(1.0)), "at least one-dimensional"),
        (lambda: D.Categorical(), "Either `probs` or `logits`"),
        (lambda: D.Categorical(rustnn.ones(2)).log_prob(rustnn.tensor(2)), r"IntegerInterval\(lower_bound=0, upper"),
        (lambda: D.Bernoulli(0.5).log_prob(rustnn.tensor(2.0)), r"Boolean\(\)"),
        (lambda: D.Independent(D.Normal(0.0, 1.0), 1), "reinterpreted_batch_ndims"),
    ],
)
def test_parameters_and_values_outside_their_sets_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_without_validation_nothing_is_checked():
    assert math.isnan(D.Normal(0.0, -1.0, validate_args=False).entropy().item())
