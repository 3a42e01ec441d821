"""Distributions: densities against integrals, samples against densities, gradients, divergences, transforms."""

import copy
import math
import pickle

import pytest

import rustnn
from rustnn import distributions as D
from rustnn.distributions import constraints, transforms
from rustnn.distributions.utils import (
    lazy_property,
    logits_to_probs,
    probs_to_logits,
    tril_matrix_to_vec,
    vec_to_tril_matrix,
)

INF = math.inf


def t(*numbers):
    """Float64."""
    return rustnn.tensor(numbers[0] if len(numbers) == 1 else numbers, dtype=rustnn.float64)


# Distributions of one number, the interval that holds all but a rest of it, and how large the tails' rest may be.
CONTINUOUS = {
    "Beta": (lambda: D.Beta(t(2.5), t(1.8)), 0.0, 1.0),
    "Chi2": (lambda: D.Chi2(t(4.5)), 0.0, 90.0),
    "ContinuousBernoulli": (lambda: D.ContinuousBernoulli(t(0.8)), 0.0, 1.0),
    "ContinuousBernoulli near 1/2": (lambda: D.ContinuousBernoulli(t(0.5001)), 0.0, 1.0),
    "Exponential": (lambda: D.Exponential(t(1.7)), 0.0, 25.0),
    "FisherSnedecor": (lambda: D.FisherSnedecor(t(5.0), t(30.0)), 1e-9, 60.0),
    "Gamma": (lambda: D.Gamma(t(2.5), t(1.3)), 0.0, 40.0),
    "GeneralizedPareto": (lambda: D.GeneralizedPareto(t(0.5), t(1.0), t(-0.3)), 0.5, 0.5 + 1 / 0.3 - 1e-9),
    "GeneralizedPareto, exponential": (lambda: D.GeneralizedPareto(t(0.5), t(1.0), t(0.0)), 0.5, 40.0),
    "Gumbel": (lambda: D.Gumbel(t(0.5), t(1.2)), -6.0, 40.0),
    "HalfNormal": (lambda: D.HalfNormal(t(1.4)), 0.0, 14.0),
    "InverseGamma": (lambda: D.InverseGamma(t(12.0), t(5.0)), 1e-6, 20.0),
    "Kumaraswamy": (lambda: D.Kumaraswamy(t(2.0), t(3.5)), 1e-12, 1 - 1e-12),
    "Laplace": (lambda: D.Laplace(t(0.5), t(0.8)), -25.0, 25.0),
    "LogNormal": (lambda: D.LogNormal(t(0.1), t(0.4)), 1e-6, 20.0),
    "MixtureSameFamily": (
        lambda: D.MixtureSameFamily(D.Categorical(t(0.3, 0.7)), D.Normal(t(-1.0, 2.0), t(0.5, 1.0))),
        -10.0,
        12.0,
    ),
    "Normal": (lambda: D.Normal(t(0.3), t(1.5)), -14.0, 14.0),
    "Pareto": (lambda: D.Pareto(t(1.0), t(9.0)), 1.0 + 1e-12, 40.0),
    "RelaxedBernoulli": (lambda: D.RelaxedBernoulli(t(2.0), t(0.3)), 1e-9, 1 - 1e-9),
    "StudentT": (lambda: D.StudentT(t(12.0), t(0.5), t(0.7)), -40.0, 40.0),
    "TransformedDistribution": (
        lambda: D.TransformedDistribution(D.Normal(t(0.0), t(0.5)), D.SigmoidTransform()),
        1e-6,
        1 - 1e-6,
    ),
    "Uniform": (lambda: D.Uniform(t(-1.0), t(2.0)), -1.0, 2.0 - 1e-9),
    "VonMises": (lambda: D.VonMises(t(0.0), t(2.0)), -math.pi, math.pi),
    "Weibull": (lambda: D.Weibull(t(1.5), t(2.2)), 1e-12, 12.0),
}
# Discrete ones, and up to where their probabilities are added.
DISCRETE = {
    "Bernoulli": (lambda: D.Bernoulli(t(0.3)), 1),
    "Binomial": (lambda: D.Binomial(8, t(0.3)), 8),
    "Binomial of logits": (lambda: D.Binomial(9, logits=t(1.2)), 9),
    "Geometric": (lambda: D.Geometric(t(0.3)), 150),
    "NegativeBinomial": (lambda: D.NegativeBinomial(t(3.5), t(0.4)), 150),
    "Poisson": (lambda: D.Poisson(t(4.5)), 80),
}
# Whose variances and means are by other conventions than those of numbers on a line.
CIRCULAR = {"VonMises"}


def _or_none(call):
    try:
        return call()
    except NotImplementedError:
        return None


@pytest.mark.parametrize("name", CONTINUOUS)
def test_densities_have_the_mean_the_variance_and_the_entropy_they_say(name):
    make, low, high = CONTINUOUS[name]
    distribution = make()
    # Simpson's rule, closer together at the ends.
    u = rustnn.linspace(0, 1, 40_001, dtype=rustnn.float64)
    x = (low + (high - low) * u**2 * (3 - 2 * u)).clamp(low, high)
    weights = (high - low) * 6 * u * (1 - u) / 40_000
    weights[1:-1:2] *= 4 / 3
    weights[2:-1:2] *= 2 / 3
    inner = slice(1, -1)  # the weights at the ends are 0
    logarithm = distribution.log_prob(x[inner])
    density = logarithm.exp()

    def integral(y):
        return (y * weights[inner]).sum().item()

    assert integral(density) == pytest.approx(1.0, abs=1e-5)
    if name not in CIRCULAR:
        mean, square = integral(density * x[inner]), integral(density * x[inner] ** 2)
        if _or_none(lambda: distribution.mean) is not None:
            assert mean == pytest.approx(distribution.mean.item(), abs=2e-5)
            assert square - mean**2 == pytest.approx(distribution.variance.item(), abs=1e-4)
            assert distribution.stddev.item() == pytest.approx(math.sqrt(distribution.variance.item()))
    entropy = _or_none(distribution.entropy)
    if entropy is not None:
        terms = rustnn.where(density > 0, density * logarithm, 0.0)
        assert -integral(terms) == pytest.approx(entropy.item(), abs=1e-4)
        assert distribution.perplexity().item() == pytest.approx(math.exp(entropy.item()))
    mode = _or_none(lambda: distribution.mode)
    if mode is not None and not mode.isnan():
        assert distribution.log_prob(mode).item() >= logarithm.max().item() - 1e-6


@pytest.mark.parametrize("name", CONTINUOUS)
def test_quantiles_invert_the_distribution_function_whose_slope_is_the_density(name):
    distribution = CONTINUOUS[name][0]()
    p = t(0.05, 0.3, 0.7, 0.95)
    quantiles = _or_none(lambda: distribution.icdf(p))
    if quantiles is not None:
        assert distribution.cdf(quantiles).tolist() == pytest.approx(p.tolist(), abs=1e-9)
    rustnn.manual_seed(1)
    x = distribution.sample((5,)).requires_grad_()
    distances = _or_none(lambda: distribution.cdf(x))
    if distances is not None:
        (slope,) = rustnn.autograd.grad(distances.sum(), x)
        near = 1e-3 if name.endswith("1/2") else 1e-6  # there the distribution function is x itself
        assert slope.tolist() == pytest.approx(distribution.log_prob(x).exp().tolist(), rel=near)


@pytest.mark.parametrize("name", CONTINUOUS)
def test_samples_follow_the_density(name):
    make, low, high = CONTINUOUS[name]
    distribution = make()
    rustnn.manual_seed(5)
    sample = distribution.sample((20_000,))
    assert distribution.support.check(sample).all()
    # Probabilities of ten intervals that hold a tenth of the sample each.
    edges = rustnn.cat([t([low]), sample.sort().values[1999:19_000:2000], t([high])])
    for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        x = rustnn.linspace(a, b, 2001, dtype=rustnn.float64)[1:] - (b - a) / 4000
        mass = distribution.log_prob(x).exp().mean().item() * (b - a)
        assert mass == pytest.approx(0.1, abs=0.016)  # 5 standard deviations of twice 0.0021


@pytest.mark.parametrize("name", DISCRETE)
def test_probabilities_have_the_mean_the_variance_and_the_entropy_they_say(name):
    make, last = DISCRETE[name]
    distribution = make()
    x = rustnn.arange(last + 1.0, dtype=rustnn.float64)
    logarithm = distribution.log_prob(x)
    p = logarithm.exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-12)
    mean = (p * x).sum()
    assert mean.item() == pytest.approx(distribution.mean.item())
    assert (p * (x - mean) ** 2).sum().item() == pytest.approx(distribution.variance.item())
    assert x[p.argmax()].item() == pytest.approx(distribution.mode.item())
    if name not in ("Poisson", "NegativeBinomial"):
        assert -(p * logarithm).sum().item() == pytest.approx(distribution.entropy().item())
    if distribution.has_enumerate_support:
        assert distribution.enumerate_support().tolist() == x.tolist()
    rustnn.manual_seed(6)
    sample = distribution.sample((20_000,))
    assert sample.dtype is rustnn.float64 and distribution.support.check(sample).all()
    for k in x[p > 0.02].tolist():
        assert (sample == k).double().mean().item() == pytest.approx(p[int(k)].item(), abs=0.018)


PARAMETRIC = {
    "Bernoulli": (lambda p: D.Bernoulli(p), (0.3,), 1.0),
    "Bernoulli of logits": (lambda p: D.Bernoulli(logits=p), (0.3,), 1.0),
    "Beta": (D.Beta, (0.7, 2.0), 0.4),
    "Binomial": (lambda p: D.Binomial(5, p), (0.3,), 2.0),
    "Cauchy": (D.Cauchy, (0.3, 1.2), 0.7),
    "ContinuousBernoulli": (D.ContinuousBernoulli, (0.3,), 0.7),
    "Exponential": (D.Exponential, (0.3,), 0.7),
    "FisherSnedecor": (D.FisherSnedecor, (3.0, 5.0), 0.7),
    "Gamma": (D.Gamma, (0.3, 2.0), 0.7),
    "GeneralizedPareto": (D.GeneralizedPareto, (0.1, 2.0, 0.4), 0.7),
    "Geometric": (D.Geometric, (0.3,), 3.0),
    "Gumbel": (D.Gumbel, (0.3, 1.2), 0.7),
    "HalfCauchy": (D.HalfCauchy, (1.2,), 0.7),
    "HalfNormal": (D.HalfNormal, (1.2,), 0.7),
    "InverseGamma": (D.InverseGamma, (1.3, 1.2), 0.7),
    "Kumaraswamy": (D.Kumaraswamy, (1.3, 1.2), 0.7),
    "Laplace": (D.Laplace, (0.3, 1.2), 0.7),
    "LogNormal": (D.LogNormal, (0.3, 1.2), 0.7),
    "NegativeBinomial": (D.NegativeBinomial, (3.3, 0.4), 2.0),
    "Normal": (D.Normal, (0.3, 1.2), 0.7),
    "Pareto": (D.Pareto, (0.3, 1.2), 0.7),
    "Poisson": (D.Poisson, (3.0,), 2.0),
    "RelaxedBernoulli": (D.RelaxedBernoulli, (0.7, 0.2), 0.4),
    "StudentT": (D.StudentT, (3.0, 0.3, 1.2), 0.7),
    "Uniform": (D.Uniform, (0.3, 1.2), 0.7),
    "VonMises": (D.VonMises, (0.3, 1.2), 0.7),
    "Weibull": (D.Weibull, (0.3, 1.2), 0.7),
}


@pytest.mark.parametrize("name", PARAMETRIC)
def test_log_probabilities_have_gradients_to_parameters_and_values(name):
    kind, parameters, value = PARAMETRIC[name]
    parameters = [t(number, 1.1 * number).requires_grad_() for number in parameters]
    at = t(value).requires_grad_(not kind(*parameters).support.is_discrete)
    assert rustnn.autograd.gradcheck(lambda x, *p: kind(*p).log_prob(x), (at, *parameters))


@pytest.mark.parametrize("name", PARAMETRIC)
def test_gradients_of_samples_are_those_of_the_moments_they_estimate(name):
    kind, parameters, _ = PARAMETRIC[name]
    parameters = [t(number).requires_grad_() for number in parameters]
    distribution = kind(*parameters)
    assert not distribution.sample((3,)).requires_grad
    if not distribution.has_rsample:
        with pytest.raises(NotImplementedError):
            distribution.rsample()
        return
    # E[log(1 + x²)] is finite for all; its slope by finite differences of the density.
    rustnn.manual_seed(8)
    x = distribution.rsample((40_000,))
    (1 + x * x).log().mean().backward()
    with rustnn.no_grad():
        x = x.detach()
        f = (1 + x * x).log()
        for i, parameter in enumerate(parameters):
            if name in ("Uniform", "Pareto", "GeneralizedPareto") and i < 2:
                continue  # these move the values' set, which the density's slope knows nothing of
            ends = []
            for h in (1e-4, -1e-4):
                moved = [p + h if j == i else p for j, p in enumerate(parameters)]
                ends.append(kind(*moved, validate_args=False).log_prob(x))
            score = (ends[0] - ends[1]) / 2e-4
            slopes = (f - f.mean()) * score
            bound = 6 * (slopes.std() / 200).item() + 0.02
            assert parameter.grad.item() == pytest.approx(slopes.mean().item(), abs=bound)


def test_gamma_samples_move_along_their_quantile():
    a = t(0.01, 0.3, 1.0, 5.0, 29.0, 31.0, 1e3, 1e6).reshape(-1, 1).requires_grad_()
    quantiles = t(1e-3, 0.2, 0.5, 0.9, 1 - 1e-6)
    x = a.detach() * rustnn.ones(8, 5, dtype=rustnn.float64)
    for _ in range(200):  # Newton's method in log x, damped
        error = rustnn.special.gammainc(a.detach(), x) - quantiles
        slope = D.Gamma(a.detach(), t(1.0), validate_args=False).log_prob(x).exp() * x
        x = x * (-(error / slope).clamp(-1.0, 1.0)).exp()
    good = x > 1e-290
    moves = rustnn._standard_gamma_grad(a.detach().expand_as(x), x)
    step = 1e-4 * a.detach()
    moved = [rustnn.special.gammainc(a.detach() + h, x + h * moves) for h in (step, -step)]
    error = (moved[0] - moved[1]).abs() / (rustnn.special.gammainc(a.detach() + step, x) - moved[1]).abs()
    assert good.sum() >= 35 and error[good].max().item() < 1e-3


def test_beta_samples_move_along_their_quantile():
    # The quantile of Beta(a, 1) is p^(1 / a), that of Beta(1, b) is 1 - (1 - p)^(1 / b).
    p = t(0.001, 0.2, 0.5, 0.9, 0.999)
    for a in (0.05, 0.7, 1.0, 3.0, 40.0, 1e4):
        x = p ** (1 / a)
        moves = rustnn._dirichlet_grad(x, t(a), t(a + 1.0)) * (1 - x)
        assert moves.tolist() == pytest.approx((-x * p.log() / a**2).tolist(), rel=1e-9)
    for b in (0.3, 0.7, 3.0, 40.0, 1e4):
        x = 1 - (1 - p) ** (1 / b)
        # By the other parameter: that of 1 - x.
        moves = -rustnn._dirichlet_grad(1 - x, t(b), t(1.0 + b)) * x
        expected = (1 - p) ** (1 / b) * (1 - p).log() / b**2
        assert moves.tolist() == pytest.approx(expected.tolist(), rel=1e-7)


def test_slopes_in_single_precision_are_rounded_ones_of_double():
    rustnn.manual_seed(24)
    a, b = (rustnn.exp(rustnn.randn(2, 3000, dtype=rustnn.float64) * 3)).float().clamp(1e-3, 1e6)
    total = a + b
    for x, slope in (
        (rustnn._standard_gamma(a), lambda x, a, b: rustnn._standard_gamma_grad(a, x)),
        (D.Beta(a, b).sample().clamp(1e-6, 1 - 1e-6), lambda x, a, b: rustnn._dirichlet_grad(x, a, total.to(a.dtype))),
    ):
        single, double = slope(x, a, b), slope(x.double(), a.double(), b.double())
        assert single.dtype is rustnn.float32
        assert (single / double - 1).abs().max().item() < 2e-7


def test_dirichlet_samples_have_the_moments_and_gradients_of_their_margins():
    rustnn.manual_seed(9)
    concentration = t(0.5, 1.5, 3.0).requires_grad_()
    distribution = D.Dirichlet(concentration)
    x = distribution.rsample((40_000,))
    assert x.sum(-1).tolist() == pytest.approx([1.0] * 40_000)
    assert x.mean(0).tolist() == pytest.approx(distribution.mean.tolist(), abs=0.01)
    assert x.var(dim=0).tolist() == pytest.approx(distribution.variance.tolist(), abs=0.005)
    (slope,) = rustnn.autograd.grad(x[:, 0].mean(), concentration)
    (expected,) = rustnn.autograd.grad(distribution.mean[0], concentration)
    assert slope.tolist() == pytest.approx(expected.tolist(), abs=0.01)
    corners = rustnn._sample_dirichlet(rustnn.full((200, 3), 1e-5))
    assert corners.isfinite().all() and (corners.max(-1).values > 0.999).all()


def test_samples_depend_on_the_seed_alone():
    makers = [make for make, *_ in (*CONTINUOUS.values(), *DISCRETE.values())]
    for make in makers:
        draws = []
        for _ in range(2):
            rustnn.manual_seed(11)
            draws.append(make().sample((7,)).tolist())
        assert draws[0] == draws[1]
    generators = [rustnn.Generator().manual_seed(3) for _ in range(2)]
    rates = rustnn.full((50,), 30.0)
    assert rustnn.poisson(rates, generators[0]).tolist() == rustnn.poisson(rates, generators[1]).tolist()


@pytest.mark.parametrize("rate", [0.0, 0.02, 3.0, 9.9, 10.1, 400.0, 1e7])
def test_poisson_counts_have_their_mean_and_variance(rate):
    rustnn.manual_seed(12)
    x = rustnn.poisson(rustnn.full((40_000,), rate, dtype=rustnn.float64))
    assert (x == x.floor()).all() and (x >= 0).all()
    assert x.mean().item() == pytest.approx(rate, abs=6 * math.sqrt(rate) / 200)
    assert x.var().item() == pytest.approx(rate, rel=0.05 if rate > 1 else 0.3)


@pytest.mark.parametrize(
    "n, p", [(1, 0.3), (20, 0.1), (20, 0.95), (100, 0.3), (1000, 0.6), (1e6, 0.999), (5, 0), (5, 1)]
)
def test_binomial_counts_have_their_mean_and_variance(n, p):
    rustnn.manual_seed(13)
    x = rustnn.binomial(rustnn.full((40_000,), float(n), dtype=rustnn.float64), t(float(p)))
    variance = n * p * (1 - p)
    assert (x == x.floor()).all() and (x >= 0).all() and (x <= n).all()
    assert x.mean().item() == pytest.approx(n * p, abs=6 * math.sqrt(variance) / 200 + 1e-9)
    assert x.var().item() == pytest.approx(variance, rel=0.05)


def test_in_place_samplers_fill_with_their_distributions():
    rustnn.manual_seed(14)
    trials = rustnn.empty(20_000).geometric_(0.3)
    assert trials.min().item() == 1 and trials.mean().item() == pytest.approx(1 / 0.3, abs=0.12)
    assert rustnn.empty(5, dtype=rustnn.int64).geometric_(0.3).dtype is rustnn.int64
    cauchy = rustnn.empty(20_000).cauchy_(1.0, 2.0)
    assert cauchy.median().item() == pytest.approx(1.0, abs=0.15)
    assert ((cauchy > -1) & (cauchy < 3)).float().mean().item() == pytest.approx(0.5, abs=0.02)
    normal = rustnn.empty(20_000).log_normal_(0.5, 0.25).log()
    assert normal.mean().item() == pytest.approx(0.5, abs=0.01)
    assert normal.std().item() == pytest.approx(0.25, abs=0.01)


def test_vectors_of_the_normal_distribution():
    covariance = t([[2.0, 0.6, 0.1], [0.6, 1.0, -0.3], [0.1, -0.3, 0.5]])
    loc = t(0.1, -0.2, 0.3)
    x = t([[0.0, 0.0, 0.0], [1.0, -1.0, 2.0]])
    away = x - loc
    inverse = rustnn.linalg.inv(covariance)
    distance = (away @ inverse * away).sum(-1)
    expected = -0.5 * (distance + 3 * math.log(2 * math.pi) + rustnn.linalg.det(covariance).log())
    same = [
        D.MultivariateNormal(loc, covariance),
        D.MultivariateNormal(loc, precision_matrix=inverse),
        D.MultivariateNormal(loc, scale_tril=rustnn.linalg.cholesky(covariance)),
        D.MultivariateNormal(loc, covariance.expand(2, 3, 3)),
        D.MultivariateNormal(loc, covariance).expand((4, 2)),
    ]
    for distribution in same:
        log_prob = distribution.log_prob(x)
        assert log_prob.reshape(-1, 2)[0].tolist() == pytest.approx(expected.tolist())
        for matrix, right in (("covariance_matrix", covariance), ("precision_matrix", inverse)):
            assert rustnn.allclose(getattr(distribution, matrix), right)
        assert rustnn.allclose(distribution.variance, covariance.diagonal())
        assert distribution.mode is distribution.mean
    rustnn.manual_seed(15)
    sample = same[0].sample((20_000,))
    assert rustnn.allclose(sample.mT.cov(), covariance, atol=0.1)
    assert -same[0].log_prob(sample).mean().item() == pytest.approx(same[0].entropy().item(), abs=0.05)

    factor, diagonal = t([[1.0, 0.2], [0.3, -0.5], [0.0, 1.0]]), t(0.5, 0.7, 1.1)
    low = D.LowRankMultivariateNormal(loc, factor, diagonal)
    full = D.MultivariateNormal(loc, factor @ factor.mT + diagonal.diag())
    for attribute in "scale_tril covariance_matrix precision_matrix variance mean".split():
        assert rustnn.allclose(getattr(low, attribute), getattr(full, attribute)), attribute
    assert rustnn.allclose(low.log_prob(x), full.log_prob(x)) and rustnn.allclose(low.entropy(), full.entropy())
    for p, q in ((low, same[0]), (same[0], low), (low, low.expand((3,))), (full, same[0])):
        like_p, like_q = (D.MultivariateNormal(d.loc, d.covariance_matrix) for d in (p, q))
        assert rustnn.allclose(D.kl_divergence(p, q), D.kl_divergence(like_p, like_q), atol=1e-12)
    assert rustnn.allclose(low.sample((20_000,)).mT.cov(), full.covariance_matrix, atol=0.1)
    arguments = (loc.clone().requires_grad_(), rustnn.linalg.cholesky(covariance).requires_grad_())
    assert rustnn.autograd.gradcheck(lambda m, L: D.MultivariateNormal(m, scale_tril=L.tril()).log_prob(x), arguments)
    symmetric = lambda C: (C + C.mT) / 2  # noqa: E731
    arguments = (covariance.clone().requires_grad_(),)
    assert rustnn.autograd.gradcheck(lambda C: D.MultivariateNormal(loc, symmetric(C)).log_prob(x), arguments)


def test_wishart_matrices_have_the_moments_and_the_density_they_say():
    covariance = t([[2.0, 0.6], [0.6, 1.0]])
    distribution = D.Wishart(t(5.5), covariance)
    rustnn.manual_seed(16)
    sample = distribution.sample((20_000,))
    assert rustnn.allclose(sample.mean(0), distribution.mean, atol=0.25)
    assert rustnn.allclose(sample.var(dim=0), distribution.variance, rtol=0.1)
    assert -distribution.log_prob(sample).mean().item() == pytest.approx(distribution.entropy().item(), abs=0.05)
    # In one dimension it is the gamma distribution of df / 2 and 1 / 2v.
    one, gamma = D.Wishart(t(3.3), t([[0.7]])), D.Gamma(t(1.65), t(1 / 1.4))
    x = t(0.2, 1.0, 5.0)
    assert one.log_prob(x.reshape(3, 1, 1)).tolist() == pytest.approx(gamma.log_prob(x).tolist())
    assert one.entropy().item() == pytest.approx(gamma.entropy().item())
    other = D.Wishart(t(4.0), t([[0.9]]))
    divergence = D.kl_divergence(one, other).item()
    assert divergence == pytest.approx(D.kl_divergence(gamma, D.Gamma(t(2.0), t(1 / 1.8))).item())
    matrix = covariance.clone().requires_grad_()
    sample[0].requires_grad_()
    assert rustnn.autograd.gradcheck(
        lambda C: D.Wishart(t(5.5), (C + C.mT) / 2).log_prob(sample[0].detach()), (matrix,)
    )


def test_correlation_matrices_have_the_density_they_say():
    # Of two variables: p(r) ∝ (1 - r²)^(η - 1), and dr of the factor's last row is dr itself.
    r = rustnn.linspace(-1, 1, 20_001, dtype=rustnn.float64)[1:-1]
    zeros, ones = rustnn.zeros_like(r), rustnn.ones_like(r)
    factors = rustnn.stack([rustnn.stack([ones, zeros], -1), rustnn.stack([r, (1 - r * r).sqrt()], -1)], -2)
    for concentration in (1.0, 2.5):
        log_prob = D.LKJCholesky(2, t(concentration)).log_prob(factors)
        assert (log_prob.exp().sum() * 1e-4).item() == pytest.approx(1.0, abs=1e-3)
    rustnn.manual_seed(17)
    distribution = D.LKJCholesky(4, t(1.5, 4.0))
    sample = distribution.sample((5000,))
    assert sample.shape == (5000, 2, 4, 4) and distribution.support.check(sample).all()
    # Every correlation of n variables is 2 Beta(b, b) - 1 with b = η - 1 + n / 2.
    correlations = (sample @ sample.mT)[..., [1, 2, 2, 3, 3, 3], [0, 0, 1, 0, 1, 2]]
    for k, eta in enumerate((1.5, 4.0)):
        variances = correlations[:, k].var(dim=0).tolist()
        assert variances == pytest.approx([1 / (2 * (eta + 1) + 1)] * 6, rel=0.1)


def test_mixtures_of_vectors_are_sampled_and_weighed():
    rustnn.manual_seed(18)
    parts = D.Independent(D.Normal(t([[0.0, 1.0], [5.0, -5.0]]), t(1.0)), 1)
    mixture = D.MixtureSameFamily(D.Categorical(t(0.25, 0.75)), parts)
    sample = mixture.sample((20_000,))
    assert sample.shape == (20_000, 2)
    assert sample.mean(0).tolist() == pytest.approx(mixture.mean.tolist(), abs=0.15)
    assert sample.var(dim=0).tolist() == pytest.approx(mixture.variance.tolist(), rel=0.05)
    x = t(1.0, 1.0)
    both = [0.25 * parts.log_prob(x)[0].exp().item(), 0.75 * parts.log_prob(x)[1].exp().item()]
    assert mixture.log_prob(x).item() == pytest.approx(math.log(sum(both)))
    assert mixture.expand((3, 1)).sample((2,)).shape == (2, 3, 1, 2)
    assert mixture.support.check(t([[0.0, math.nan], [1.0, 2.0]])).tolist() == [False, True]


def test_a_policy_gradient_reaches_the_logits():
    logits = rustnn.zeros(2, 3, requires_grad=True)
    policy = D.Categorical(logits=logits)
    (-policy.log_prob(rustnn.tensor([0, 2]))).sum().backward()
    third = 1 / 3
    assert logits.grad.tolist() == [
        pytest.approx([third - 1, third, third]),
        pytest.approx([third, third, third - 1]),
    ]


def test_straight_through_samples_are_unit_vectors_with_the_gradient_of_the_probabilities():
    rustnn.manual_seed(19)
    logits = rustnn.zeros(3, requires_grad=True)
    x = D.OneHotCategoricalStraightThrough(logits=logits).rsample((5,))
    assert sorted(set(x.detach().round().flatten().tolist())) == [0.0, 1.0] and x.sum(-1).tolist() == [1.0] * 5
    x[:, 0].sum().backward()
    assert logits.grad.tolist() == pytest.approx([5 * 2 / 9, -5 / 9, -5 / 9])


def test_probabilities_first_asked_for_while_sampling_keep_their_gradient():
    logits = rustnn.zeros(3, requires_grad=True)
    for distribution in (D.Categorical(logits=logits), D.Bernoulli(logits=logits), D.Binomial(2, logits=logits)):
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
    vectors = D.OneHotCategorical(rustnn.tensor([[1.0, 3.0], [6.0, 2.0]]))
    assert vectors.sample((20_000,)).mean(0)[0].tolist() == pytest.approx([0.25, 0.75], abs=0.015)
    assert vectors.log_prob(vectors.enumerate_support()).exp()[:, 0].tolist() == pytest.approx([0.25, 0.75])


def test_multinomial_counts_add_up_and_their_probabilities_too():
    distribution = D.Multinomial(3, t(0.2, 0.3, 0.5))
    counts = [(a, b, 3 - a - b) for a in range(4) for b in range(4 - a)]
    log_prob = distribution.log_prob(t([list(map(float, count)) for count in counts]))
    assert log_prob.exp().sum().item() == pytest.approx(1.0)
    assert -(log_prob.exp() * log_prob).sum().item() == pytest.approx(distribution.entropy().item())
    rustnn.manual_seed(20)
    sample = distribution.sample((10_000,))
    assert (sample.sum(-1) == 3).all() and sample.mean(0).tolist() == pytest.approx([0.6, 0.9, 1.5], abs=0.05)


def _pairs():
    """Where p's values are q's too, so that log p - log q of samples has the divergence as its mean."""
    unit = [D.Beta(t(2.0), t(3.0)), D.ContinuousBernoulli(t(0.7)), D.Uniform(t(0.2), t(0.9))]
    positive = [D.Exponential(t(1.5)), D.Gamma(t(3.0), t(2.0)), D.Pareto(t(0.3), t(9.0))]
    real = [D.Normal(t(0.3), t(0.8)), D.Gumbel(t(0.2), t(0.6)), D.Laplace(t(-0.1), t(0.4))]
    registered = D.kl._KL_REGISTRY
    every = [*unit, *positive, *real]
    rank = lambda d: next(i for i, kinds in enumerate((unit, positive, real)) if d in kinds)  # noqa: E731
    for p in every:
        for q in every:
            if (type(p), type(q)) in registered and type(p) is not type(q) and rank(p) <= rank(q):
                if isinstance(q, (D.Uniform, D.Pareto)):
                    continue  # ends inside of p's values
                yield p, q
    yield D.Beta(t(2.0), t(3.0)), D.Uniform(t(-1.0), t(2.0))
    yield D.ContinuousBernoulli(t(0.3)), D.Uniform(t(0.0), t(1.0))
    yield D.Uniform(t(1.0), t(3.0)), D.Pareto(t(0.5), t(2.0))
    yield D.Laplace(t(0.2), t(0.7)), D.Laplace(t(-0.5), t(1.1))
    yield D.Cauchy(t(0.2), t(0.7)), D.Cauchy(t(-0.5), t(1.1))
    yield D.Gumbel(t(0.2), t(0.7)), D.Gumbel(t(-0.5), t(1.1))
    yield D.Geometric(t(0.4)), D.Geometric(t(0.7))
    yield D.Bernoulli(t(0.3)), D.Bernoulli(t(0.6))
    yield D.Bernoulli(t(0.3)), D.Poisson(t(0.6))
    yield D.Binomial(4, t(0.3)), D.Binomial(4, t(0.6))
    yield D.Poisson(t(2.0)), D.Poisson(t(3.0))
    yield D.Categorical(t(0.2, 0.8)), D.Categorical(t(0.5, 0.5))
    yield D.Dirichlet(t(2.0, 3.0, 1.5)), D.Dirichlet(t(1.0, 2.0, 2.5))
    yield D.HalfNormal(t(0.8)), D.HalfNormal(t(1.1))
    yield D.Pareto(t(1.0), t(3.0)), D.Pareto(t(0.8), t(2.0))
    yield D.LogNormal(t(0.1), t(0.5)), D.LogNormal(t(0.4), t(0.8))
    yield D.OneHotCategorical(t(0.2, 0.8)), D.OneHotCategorical(t(0.5, 0.5))


@pytest.mark.parametrize("p, q", list(_pairs()), ids=lambda distribution: type(distribution).__name__)
def test_divergences_are_means_of_log_ratios(p, q):
    rustnn.manual_seed(4)
    sample = p.sample((40_000,))
    ratio = p.log_prob(sample) - q.log_prob(sample)
    bound = 6 * ratio.std().item() / 200 + 1e-6
    assert D.kl_divergence(p, q).item() == pytest.approx(ratio.mean().item(), abs=bound)


def test_divergences_from_what_lacks_ones_values_are_infinite():
    for p, q in (
        (D.Normal(0.0, 1.0), D.Uniform(0.0, 1.0)),
        (D.Uniform(0.0, 1.0), D.Uniform(0.5, 1.0)),
        (D.Pareto(1.0, 2.0), D.Exponential(1.0).expand((2,))),
        (D.Poisson(1.0), D.Binomial(3, rustnn.tensor(0.5))),
        (D.Beta(1.0, 2.0), D.Pareto(1.0, 1.0)),
        (D.Bernoulli(0.5), D.Bernoulli(0.0)),
        (D.Uniform(-1.0, 1.0), D.Gamma(1.0, 1.0)),
    ):
        if not isinstance(p, D.Pareto):
            assert D.kl_divergence(p, q).item() == INF
        else:
            assert D.kl_divergence(D.Pareto(1.0, 0.9), q).tolist() == [INF, INF]


def test_divergences_of_exponential_families_follow_from_their_normalisers():
    general = D.kl._kl_expfamily_expfamily
    for p, q in (
        (D.Normal(t(0.1), t(0.7)), D.Normal(t(-0.3), t(1.1))),
        (D.Gamma(t(0.5), t(0.7)), D.Gamma(t(1.3), t(1.1))),
        (D.Beta(t(0.5), t(0.7)), D.Beta(t(1.3), t(1.1))),
        (D.Bernoulli(t(0.5)), D.Bernoulli(t(0.2))),
        (D.Exponential(t(0.5)), D.Exponential(t(0.2))),
        (D.Poisson(t(0.5)), D.Poisson(t(0.2))),
        (D.Dirichlet(t(0.5, 1.0)), D.Dirichlet(t(0.2, 3.0))),
        (D.ContinuousBernoulli(t(0.5)), D.ContinuousBernoulli(t(0.2))),
    ):
        assert general(p, q).item() == pytest.approx(D.kl_divergence(p, q).item(), abs=1e-7)
        if _or_none(lambda p=p: p._mean_carrier_measure) is not None:
            assert D.ExponentialFamily.entropy(p).item() == pytest.approx(p.entropy().item(), abs=1e-7)


def test_divergences_without_a_formula_raise_and_ambiguous_ones_warn():
    with pytest.raises(NotImplementedError, match="p type Uniform and q type Bernoulli"):
        D.kl_divergence(D.Uniform(0.0, 1.0), D.Bernoulli(0.5))

    class One(D.Normal):
        pass

    class Two(D.Normal):
        pass

    assert D.kl_divergence(One(0.0, 1.0), Two(0.0, 1.0)).item() == 0
    D.register_kl(One, D.Normal)(lambda p, q: 1)
    D.register_kl(D.Normal, Two)(lambda p, q: 2)
    with pytest.warns(RuntimeWarning, match=r"Ambiguous kl_divergence\(One, Two\)"):
        assert D.kl_divergence(One(0.0, 1.0), Two(0.0, 1.0)) == 1

    class Foreign:
        pass

    class Adopted(Foreign, D.Normal):
        pass

    D.register_kl(Foreign, D.Normal)(lambda p, q: 3)
    assert D.kl_divergence(Adopted(0.0, 1.0), D.Normal(0.0, 1.0)) == 3
    for pair in ((One, D.Normal), (D.Normal, Two), (Foreign, D.Normal)):
        del D.kl._KL_REGISTRY[pair]
    D.kl._KL_MEMOIZE.clear()
    with pytest.raises(TypeError, match="type_p"):
        D.register_kl(1, D.Normal)


def test_independent_adds_over_its_dimensions():
    batch = D.Normal(rustnn.zeros(2, 3), rustnn.ones(2, 3))
    joint = D.Independent(batch, 1)
    assert (joint.batch_shape, joint.event_shape) == ((2,), (3,))
    x = rustnn.arange(6.0).reshape(2, 3)
    assert joint.log_prob(x).tolist() == pytest.approx(batch.log_prob(x).sum(1).tolist())
    assert joint.entropy().tolist() == pytest.approx(batch.entropy().sum(1).tolist())
    assert joint.expand((4, 2)).sample((5,)).shape == (5, 4, 2, 3)
    assert D.kl_divergence(joint, joint).tolist() == [0.0, 0.0]


ALL = [
    *(make for make, *_ in CONTINUOUS.values()),
    *(make for make, _ in DISCRETE.values()),
    lambda: D.Dirichlet(t(2.0, 3.0, 1.5)),
    lambda: D.Categorical(t(0.2, 0.8)),
    lambda: D.OneHotCategorical(logits=t(0.2, 0.8)),
    lambda: D.Multinomial(3, t(0.2, 0.8)),
    lambda: D.MultivariateNormal(t(0.0, 1.0), rustnn.eye(2, dtype=rustnn.float64)),
    lambda: D.LowRankMultivariateNormal(t(0.0, 1.0), t([[1.0], [2.0]]), t(1.0, 0.5)),
    lambda: D.Wishart(t(3.0), rustnn.eye(2, dtype=rustnn.float64)),
    lambda: D.LKJCholesky(3, t(1.5)),
    lambda: D.LogisticNormal(t(0.0, 1.0), t(1.0)),
    lambda: D.RelaxedOneHotCategorical(t(0.5), t(0.2, 0.8)),
    lambda: D.Independent(D.Normal(t(0.0, 1.0), t(1.0)), 1),
    lambda: D.HalfCauchy(t(1.5)),
    lambda: D.Cauchy(t(0.5), t(1.5)),
]


@pytest.mark.parametrize("make", ALL, ids=lambda make: type(make()).__name__)
def test_every_distribution_is_expanded_pickled_and_copied(make):
    rustnn.manual_seed(21)
    distribution = make()
    x = distribution.sample()
    log_prob = distribution.log_prob(x)
    larger = distribution.expand((3, 2))
    assert larger.batch_shape == (3, 2) and larger.event_shape == distribution.event_shape
    assert larger.sample((4,)).shape == (4, 3, 2, *distribution.event_shape)
    assert rustnn.allclose(larger.log_prob(x), log_prob.expand(3, 2))
    assert type(larger.expand((5, 3, 2))) is type(distribution) and repr(larger)
    for twin in (pickle.loads(pickle.dumps(distribution)), copy.deepcopy(distribution), copy.copy(distribution)):
        assert rustnn.equal(twin.log_prob(x), log_prob) and twin.support.check(x).all()


def test_subclasses_are_expanded_or_say_that_they_cannot_be():
    class Plain(D.Normal):
        pass

    class Own(D.Normal):
        def __init__(self):
            super().__init__(0.0, 1.0)

    class Whole(Own):
        def expand(self, batch_shape, _instance=None):
            new = self._get_checked_instance(Whole, _instance)
            return super().expand(batch_shape, _instance=new)

    class Bare(D.Distribution):
        arg_constraints = {}

    assert type(Plain(0.0, 1.0).expand((2,))) is Plain and Whole().expand((2,)).loc.shape == (2,)
    with pytest.raises(NotImplementedError, match=r"Subclass Own of Normal that defines a custom __init__"):
        Own().expand((2,))
    with pytest.raises(NotImplementedError):
        Bare().expand((2,))


TRANSFORMS = {
    "Exp": (transforms.ExpTransform(), (2,)),
    "Power": (transforms.PowerTransform(t(1.7, -0.5)), (2,)),
    "Sigmoid": (transforms.SigmoidTransform(), (2,)),
    "Softplus": (transforms.SoftplusTransform(), (2,)),
    "Tanh": (transforms.TanhTransform(), (2,)),
    "Affine": (transforms.AffineTransform(t(1.0), t(2.0, -3.0)), (2,)),
    "Affine of vectors": (transforms.AffineTransform(1.0, t(-2.0), event_dim=1), (3, 2)),
    "StickBreaking": (transforms.StickBreakingTransform(), (2, 3)),
    "CorrCholesky": (transforms.CorrCholeskyTransform(), (2, 6)),
    "CumulativeDistribution": (transforms.CumulativeDistributionTransform(D.Normal(t(0.3), t(2.0))), (2,)),
    "Independent": (transforms.IndependentTransform(transforms.TanhTransform(), 2), (3, 2, 2)),
    "Reshape": (transforms.ReshapeTransform((4,), (2, 2)), (3, 4)),
    "Cat": (transforms.CatTransform([transforms.ExpTransform(), transforms.TanhTransform()], 0, [1, 2]), (3,)),
    "Stack": (transforms.StackTransform([transforms.ExpTransform(), transforms.TanhTransform()], 0), (2, 3)),
    "Compose": (transforms.ComposeTransform([transforms.AffineTransform(0, 2), transforms.TanhTransform()]), (2,)),
    "Compose to a simplex": (
        transforms.ComposeTransform([transforms.AffineTransform(0, 2), transforms.StickBreakingTransform()]),
        (2, 3),
    ),
    "identity": (transforms.identity_transform, (2,)),
    "inverse": (transforms.TanhTransform().inv.inv, (2,)),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_have_the_inverse_and_the_jacobian_they_say(name):
    transform, shape = TRANSFORMS[name]
    rustnn.manual_seed(22)
    x = rustnn.randn(shape, dtype=rustnn.float64) * 0.7
    if name == "Power":
        x = x.exp()
    y = transform(x)
    assert rustnn.allclose(transform.inv(y), x) and transform.codomain.check(y).all()
    assert tuple(transform.forward_shape(x.shape)) == y.shape and tuple(transform.inverse_shape(y.shape)) == x.shape
    log_det = transform.log_abs_det_jacobian(x, y)
    assert rustnn.allclose(transform.inv.log_abs_det_jacobian(y, x), -log_det)
    if name == "Affine of vectors":
        assert log_det.tolist() == pytest.approx([2 * math.log(2)] * 3)
        return
    events = transform.domain.event_dim
    event = shape[len(shape) - events :]
    n = math.prod(event)
    for row, value in zip(x.reshape(-1, n), log_det.reshape(-1), strict=True) if events else ():

        def free(row):
            """As many of the result's numbers as there are of the argument's."""
            y = transform(row.reshape(event))
            if name == "CorrCholesky":
                return tril_matrix_to_vec(y, -1)
            return y.flatten()[: row.numel()]

        jacobian = rustnn.autograd.functional.jacobian(free, row)
        assert rustnn.linalg.slogdet(jacobian)[1].item() == pytest.approx(value.item())
    if not events:
        leaf = x.clone().requires_grad_()
        (slope,) = rustnn.autograd.grad(transform(leaf).sum(), leaf)
        assert rustnn.allclose(slope.abs().log(), log_det.expand(slope.shape))
        if name not in ("Cat", "Stack"):
            assert (slope * transform.sign > 0).all()


def test_caches_give_the_very_argument_back():
    for transform in (
        transforms.ExpTransform(cache_size=1),
        transforms.ComposeTransform([transforms.ExpTransform()], 1),
    ):
        x = t(0.3)
        assert transform.inv(transform(x)) is x
    assert transforms.TanhTransform(cache_size=1).inv(t(1.0)).item() == INF
    cached = transforms.TanhTransform(cache_size=1)
    large = t(40.0)
    assert cached.inv(cached(large)) is large and cached.with_cache() is cached
    plain = transforms.ExpTransform()
    assert plain.with_cache(1) == plain and plain.inv == transforms.ExpTransform().inv and plain.inv.inv is plain
    assert transforms.AffineTransform(0, 1) == transforms.AffineTransform(t(0.0), t(1.0)) != transforms.ExpTransform()
    twin = pickle.loads(pickle.dumps(cached))
    assert twin.log_abs_det_jacobian(t(0.5), None).item() == pytest.approx(math.log(1 - math.tanh(0.5) ** 2))


SETS = [
    constraints.positive,
    constraints.nonnegative,
    constraints.greater_than(-2.0),
    constraints.less_than(3.0),
    constraints.interval(-1.0, 2.0),
    constraints.unit_interval,
    constraints.half_open_interval(1.0, 2.0),
    constraints.simplex,
    constraints.lower_cholesky,
    constraints.positive_definite,
    constraints.positive_semidefinite,
    constraints.corr_cholesky,
    constraints.real,
    constraints.real_vector,
    constraints.independent(constraints.positive, 1),
    constraints.cat([constraints.positive, constraints.real], -1, [2, 4]),
    constraints.stack([constraints.positive] * 6, -1),
]


@pytest.mark.parametrize("constraint", SETS, ids=repr)
def test_every_set_is_reached_from_unconstrained_numbers(constraint):
    rustnn.manual_seed(23)
    shape = (2, 3, 3) if constraint.event_dim == 2 and constraint is not constraints.corr_cholesky else (2, 6)
    x = rustnn.randn(shape, dtype=rustnn.float64)
    for registry in (D.transform_to, D.biject_to):
        try:
            transform = registry(constraint)
        except NotImplementedError as error:
            assert registry is D.biject_to and "Cannot transform _" in str(error)
            continue
        y = transform(x)
        assert constraint.check(y).all()
        assert rustnn.allclose(transform(transform.inv(y)), y)
        if registry is D.biject_to:
            assert transform.bijective and rustnn.allclose(transform.inv(y), x)
            assert transform.log_abs_det_jacobian(x, y).isfinite().all()


def test_constraints_of_users_are_registered():
    class Even(constraints.Constraint):
        def check(self, value):
            return value % 2 == 0

    with pytest.raises(NotImplementedError, match="Cannot transform Even constraints"):
        D.biject_to(Even())
    D.biject_to.register(Even, lambda constraint: transforms.AffineTransform(0, 2))
    assert D.biject_to(Even())(t(3.0)).item() == 6


def test_probabilities_logits_and_triangles_are_converted():
    p = t([[0.2, 0.3, 0.5]])
    assert rustnn.allclose(logits_to_probs(probs_to_logits(p)), p)
    assert rustnn.allclose(logits_to_probs(probs_to_logits(p, is_binary=True), is_binary=True), p)
    assert probs_to_logits(t(0.0, 1.0), is_binary=True).isfinite().all()
    for diag in (0, -1):
        vector = rustnn.arange(1.0, 11.0).reshape(1, 10).requires_grad_()
        matrix = vec_to_tril_matrix(vector, diag)
        assert matrix.shape == (1, 4 - diag, 4 - diag) and rustnn.equal(matrix, matrix.tril(diag))
        assert rustnn.equal(tril_matrix_to_vec(matrix, diag), vector)
        matrix.sum().backward()
        assert vector.grad.tolist() == [[1.0] * 10]
    with pytest.raises(ValueError, match="cannot be expressed as the lower triangular part"):
        vec_to_tril_matrix(rustnn.ones(4))
    with pytest.raises(ValueError, match="outside"):
        tril_matrix_to_vec(rustnn.ones(2, 2), 2)


def test_lazy_properties_are_computed_once():
    class Counts:
        calls = 0

        @lazy_property
        def value(self):
            """Documented."""
            self.calls += 1
            return self.calls

    counts = Counts()
    assert (counts.value, counts.value, counts.calls) == (1, 1, 1)
    assert isinstance(Counts.value, property) and Counts.value.__doc__ == "Documented."


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
        (lambda: D.Normal(rustnn.zeros(2), 1.0).log_prob(rustnn.zeros(3)), "not broadcastable with batch_shape"),
        (lambda: D.Dirichlet(rustnn.ones(2)).log_prob(rustnn.ones(3) / 3), "must match event_shape"),
        (lambda: D.MultivariateNormal(rustnn.zeros(2), -rustnn.eye(2)), r"constraint PositiveDefinite\(\)"),
        (lambda: D.MultivariateNormal(rustnn.zeros(2)), "Exactly one of covariance_matrix"),
        (lambda: D.TransformedDistribution(D.Normal(0.0, 1.0), [1]), "list of Transforms"),
        (lambda: D.ExpTransform(cache_size=2), "cache_size must be 0 or 1"),
        (lambda: rustnn.binomial(rustnn.tensor([3]), rustnn.tensor(0.5)), "only supports floating-point"),
    ],
)
def test_parameters_and_values_outside_their_sets_raise(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "call, kind",
    [
        (lambda: rustnn.poisson(rustnn.tensor([-1.0])), RuntimeError),
        (lambda: rustnn.poisson(rustnn.tensor([math.nan])), RuntimeError),
        (lambda: rustnn.poisson(rustnn.tensor([1])), NotImplementedError),
        (lambda: rustnn._standard_gamma(rustnn.tensor([1])), NotImplementedError),
        (lambda: rustnn.empty(2).geometric_(1.0), RuntimeError),
        (lambda: rustnn.empty(2).cauchy_(0, 0), RuntimeError),
        (lambda: rustnn.empty(2, dtype=rustnn.int64).cauchy_(), RuntimeError),
        (lambda: rustnn.empty(2).log_normal_(0, 0), RuntimeError),
        (lambda: rustnn.empty(2, dtype=rustnn.int64).log_normal_(), NotImplementedError),
    ],
)
def test_samplers_refuse_what_is_no_distribution(call, kind):
    with pytest.raises(kind):
        call()


def test_nothing_and_not_a_number_are_drawn_from_without_end():
    empty = rustnn.empty(0)
    for draw in (rustnn.poisson, rustnn._standard_gamma, lambda x: rustnn.binomial(x, x)):
        assert draw(empty).shape == (0,)
    nan = rustnn.tensor([math.nan, 1.0])
    assert rustnn.binomial(nan, rustnn.tensor(0.5)).isnan().tolist() == [True, False]
    assert rustnn._standard_gamma(nan).isnan().tolist() == [True, False]


def test_without_validation_nothing_is_checked():
    assert math.isnan(D.Normal(0.0, -1.0, validate_args=False).entropy().item())
    D.Distribution.set_default_validate_args(False)
    try:
        assert math.isnan(D.Normal(0.0, -1.0).entropy().item())
    finally:
        D.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError):
        D.Distribution.set_default_validate_args(3)


def test_a_distribution_without_constraints_warns():
    with pytest.warns(UserWarning, match="does not define `arg_constraints`"):
        D.Distribution(validate_args=True)
    with pytest.warns(FutureWarning, match="sample_n"):
        assert D.Normal(0.0, 1.0).sample_n(3).shape == (3,)
