"""Distributions, constraints, transforms and special functions against PyTorch itself.

Every case is built twice, by the same text. Runs in the venv that `make parity` makes.
"""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

import rustnn

torch = pytest.importorskip("torch", reason="`make parity` installs PyTorch")

_NUMBERS = np.random.default_rng(7)


def _matrix(n: int) -> list[list[float]]:
    root = _NUMBERS.normal(size=(n, n))
    return (root @ root.T + np.eye(n)).tolist()


A, B = _matrix(3), _matrix(3)
LOW = _NUMBERS.normal(size=(3, 2)).tolist()

# Name -> how it is built, of D (distributions), t (a function to a float64 tensor) and m (the package).
CASES = {
    "Bernoulli": "D.Bernoulli(t([0.2, 0.5, 0.9]))",
    "Bernoulli of logits": "D.Bernoulli(logits=t([-2.0, 0.0, 3.0]))",
    "Beta": "D.Beta(t([0.5, 2.0, 3.0]), t([0.7, 3.0, 1.0]))",
    "Binomial": "D.Binomial(5, t([0.2, 0.5, 0.9]))",
    "Binomial of logits": "D.Binomial(t([5.0, 2.0]), logits=t([-1.0, 2.0]))",
    "Categorical": "D.Categorical(t([[0.1, 0.2, 0.7], [2.0, 3.0, 5.0]]))",
    "Categorical of logits": "D.Categorical(logits=t([[0.1, 0.2, 0.7], [2.0, 3.0, 5.0]]))",
    "Cauchy": "D.Cauchy(t([0.0, -1.0]), t([1.0, 2.5]))",
    "Chi2": "D.Chi2(t([1.0, 3.5]))",
    "ContinuousBernoulli": "D.ContinuousBernoulli(t([0.1, 0.4995, 0.8]))",
    "Dirichlet": "D.Dirichlet(t([[0.5, 1.5, 2.0], [0.5, 0.2, 0.3]]))",
    "Exponential": "D.Exponential(t([0.5, 2.0]))",
    "FisherSnedecor": "D.FisherSnedecor(t([1.5, 5.0]), t([2.5, 8.0]))",
    "Gamma": "D.Gamma(t([0.5, 2.0, 40.0]), t([1.5, 0.3, 2.0]))",
    # float32 is all that PyTorch's takes
    "GeneralizedPareto": "D.GeneralizedPareto(m.tensor([0.0, 1.0]), m.tensor([1.0, 2.0]), m.tensor([0.2, 0.4]))",
    "Geometric": "D.Geometric(t([0.2, 0.7]))",
    "Gumbel": "D.Gumbel(t([0.0, 2.0]), t([1.0, 0.5]))",
    "HalfCauchy": "D.HalfCauchy(t([1.0, 2.0]))",
    "HalfNormal": "D.HalfNormal(t([1.0, 2.0]))",
    "Independent": "D.Independent(D.Normal(t([[0.0, 1.0, 2.0]]), t([[1.0, 2.0, 0.5]])), 1)",
    "InverseGamma": "D.InverseGamma(t([0.5, 3.0]), t([1.5, 0.3]))",
    "Kumaraswamy": "D.Kumaraswamy(t([0.5, 2.0]), t([1.5, 3.0]))",
    "LKJCholesky": "D.LKJCholesky(3, t([0.5, 2.0]))",
    "Laplace": "D.Laplace(t([0.0, 2.0]), t([1.0, 0.5]))",
    "LogNormal": "D.LogNormal(t([0.0, 0.5]), t([1.0, 0.5]))",
    "LogisticNormal": "D.LogisticNormal(t([0.0, 0.5]), t([1.0, 0.5]))",
    "LowRankMultivariateNormal": f"D.LowRankMultivariateNormal(t([0.0, 1.0, 2.0]), t({LOW}), t([0.5, 1.0, 2.0]))",
    "MixtureSameFamily": "D.MixtureSameFamily(D.Categorical(t([0.3, 0.7])), D.Normal(t([0.0, 2.0]), t([1.0, 0.5])))",
    "MixtureSameFamily of vectors": (
        "D.MixtureSameFamily(D.Categorical(t([[0.3, 0.7]])), "
        "D.Independent(D.Normal(t([[[0.0, 1.0], [2.0, 3.0]]]), t([[[1.0, 1.0], [0.5, 2.0]]])), 1))"
    ),
    "Multinomial": "D.Multinomial(5, t([[0.2, 0.3, 0.5], [0.1, 0.1, 0.8]]))",
    "MultivariateNormal": f"D.MultivariateNormal(t([0.0, 1.0, 2.0]), t({A}))",
    "MultivariateNormal of a batch": f"D.MultivariateNormal(t([[0.0, 1.0, 2.0]]), precision_matrix=t([{A}, {B}]))",
    "MultivariateNormal of a factor": "D.MultivariateNormal(t([0.0, 1.0]), scale_tril=t([[1.0, 0.0], [0.5, 2.0]]))",
    "NegativeBinomial": "D.NegativeBinomial(t([2.0, 5.5]), t([0.3, 0.8]))",
    "Normal": "D.Normal(t([0.0, 2.0]), t([1.0, 0.5]))",
    "OneHotCategorical": "D.OneHotCategorical(t([[0.1, 0.2, 0.7], [2.0, 3.0, 5.0]]))",
    "OneHotCategoricalStraightThrough": "D.OneHotCategoricalStraightThrough(t([0.1, 0.2, 0.7]))",
    "Pareto": "D.Pareto(t([1.0, 0.5]), t([2.5, 0.8]))",
    "Poisson": "D.Poisson(t([0.5, 20.0]))",
    "RelaxedBernoulli": "D.RelaxedBernoulli(t(0.7), t([0.2, 0.7]))",
    "RelaxedOneHotCategorical": "D.RelaxedOneHotCategorical(t(0.7), t([[0.1, 0.2, 0.7], [2.0, 3.0, 5.0]]))",
    "StudentT": "D.StudentT(t([0.8, 1.5, 5.0]), t([0.0, 1.0, 2.0]), t([1.0, 2.0, 0.5]))",
    "TransformedDistribution": (
        "D.TransformedDistribution(D.Normal(t([0.0, 0.5]), t([1.0, 0.5])), "
        "[D.AffineTransform(t(1.0), t(-2.0)), D.SigmoidTransform()])"
    ),
    "Uniform": "D.Uniform(t([0.0, -1.0]), t([1.0, 2.0]))",
    "VonMises": "D.VonMises(t([0.0, 2.0]), t([1.0, 50.0]))",
    "Weibull": "D.Weibull(t([1.0, 2.0]), t([0.8, 3.0]))",
    "Wishart": f"D.Wishart(t([4.0, 5.5]), t({A}))",
    "Wishart of a precision": f"D.Wishart(t(3.5), precision_matrix=t({A}))",
}
# Where PyTorch gives NaN and there is a mode: docs/differences.md.
BETTER = {("Kumaraswamy", "mode")}
# PyTorch's figures are as good as this: Bessel functions by polynomials, factors rounded to float32.
ROUGHLY = {"VonMises": 1e-4, "Multinomial": 1e-7, "GeneralizedPareto": 1e-6}


def _build(text: str, m):
    number = lambda x: m.tensor(x, dtype=m.float64)  # noqa: E731
    return eval(text, {"D": m.distributions, "t": number, "m": m})


def _both(text: str):
    return _build(text, rustnn), _build(text, torch)


def _outcome(call):
    """A result, or the class and text of an error."""
    try:
        return call()
    except Exception as error:
        return type(error).__name__, str(error).replace("rustnn.", "torch.")


def _plain(value):
    return value.detach().numpy() if hasattr(value, "detach") else value


def _same(ours, theirs, what, rtol=1e-9, atol=1e-11):
    ours, theirs = _plain(ours), _plain(theirs)
    if not isinstance(theirs, np.ndarray):
        assert ours == theirs, what
        return
    assert isinstance(ours, np.ndarray), f"{what}: {ours}"
    assert ours.shape == theirs.shape, what
    np.testing.assert_allclose(ours, theirs, rtol, atol, err_msg=what)


def test_every_name_of_pytorchs_is_there() -> None:
    for module in ("distributions", "distributions.constraints", "distributions.transforms", "distributions.utils"):
        ours, theirs = rustnn, torch
        for part in module.split("."):
            ours, theirs = getattr(ours, part), getattr(theirs, part)
        assert set(theirs.__all__) <= set(ours.__all__), module
    built = {text.split("(")[0].removeprefix("D.") for text in CASES.values()}
    classes = {
        name
        for name in torch.distributions.__all__
        if isinstance(getattr(torch.distributions, name), type)
        and issubclass(getattr(torch.distributions, name), torch.distributions.Distribution)
    }
    assert classes - built == {"Distribution", "ExponentialFamily"}, "every distribution has a case"


@pytest.mark.parametrize("name", CASES)
def test_moments_entropies_and_descriptions_agree(name: str) -> None:
    ours, theirs = _both(CASES[name])

    def compare(attributes: str, calls: bool = False) -> None:
        for attribute in attributes.split():
            if (name, attribute) not in BETTER:
                results = [_outcome(lambda d=d: getattr(d, attribute)) for d in (ours, theirs)]  # noqa: B023
                if calls:
                    results = [_outcome(method) for method in results]
                _same(*results, attribute, rtol=ROUGHLY.get(name, 1e-9))

    assert repr(ours) == repr(theirs)
    compare("batch_shape event_shape has_rsample has_enumerate_support mean mode variance stddev")
    compare("entropy perplexity enumerate_support", calls=True)
    assert repr(ours) == repr(theirs)
    support = [repr(d.support).replace("\n", "") for d in (ours, theirs)]
    assert support[0] == support[1]
    assert (ours.support.event_dim, ours.support.is_discrete) == (theirs.support.event_dim, theirs.support.is_discrete)
    assert repr(ours.arg_constraints) == repr(theirs.arg_constraints)
    larger = (2, *theirs.batch_shape)
    ours, theirs = ours.expand(larger), theirs.expand(larger)
    compare("batch_shape event_shape mean variance")
    assert ours.sample((3,)).shape == theirs.sample((3,)).shape


@pytest.mark.parametrize("name", CASES)
def test_densities_and_their_gradients_and_quantiles_agree(name: str) -> None:
    ours, theirs = _both(CASES[name])
    torch.manual_seed(3)
    values = theirs.sample((4,))
    here = rustnn.tensor(values.numpy())
    rough = ROUGHLY.get(name, 1e-8)
    values.requires_grad_(not theirs.support.is_discrete)
    here.requires_grad_(not theirs.support.is_discrete)
    there_log, here_log = theirs.log_prob(values), ours.log_prob(here)
    _same(here_log, there_log, "log_prob", rtol=rough)
    if there_log.requires_grad:
        there_log.sum().backward()
        here_log.sum().backward()
        _same(here.grad, values.grad, "the gradient of log_prob", rtol=max(rough, 1e-7), atol=max(rough / 100, 1e-9))
    values, here = values.detach(), here.detach()
    # PyTorch's incomplete gamma function is good to 1e-8.
    _same(_outcome(lambda: ours.cdf(here)), _outcome(lambda: theirs.cdf(values)), "cdf", rtol=max(rough, 1e-7))
    p = np.linspace(0.05, 0.95, 4 * values[0].numel()).reshape(values.shape).astype(values.numpy().dtype)
    _same(
        _outcome(lambda: ours.icdf(rustnn.tensor(p))),
        _outcome(lambda: theirs.icdf(torch.tensor(p))),
        "icdf",
        rtol=rough,
    )


# Their values' sets differ, so that all cases of the formulas are met; but no uniform one ends on the edges of
# another's values, where PyTorch takes equal supports for foreign ones.
PAIRS = {
    "Bernoulli": "D.Bernoulli(t([0.0, 0.3, 1.0]))",
    "Bernoulli too": "D.Bernoulli(t([0.5, 0.0, 1.0]))",
    "Beta": "D.Beta(t([0.5, 2.0, 3.0]), t([0.7, 3.0, 1.0]))",
    "Beta too": "D.Beta(t([1.5, 1.0, 2.0]), t([2.7, 0.3, 1.5]))",
    "Binomial": "D.Binomial(t([3.0, 4.0, 5.0]), t([0.2, 0.5, 0.9]))",
    "Binomial too": "D.Binomial(t([3.0, 2.0, 5.0]), t([0.4, 0.6, 0.3]))",
    "Categorical": "D.Categorical(t([[0.0, 0.3, 0.7], [2.0, 3.0, 5.0], [1.0, 0.0, 0.0]]))",
    "Categorical too": "D.Categorical(t([[0.0, 0.5, 0.5], [2.0, 0.0, 5.0], [1.0, 1.0, 0.0]]))",
    "Cauchy": "D.Cauchy(t([0.0, 1.0, 2.0]), t([1.0, 2.0, 0.5]))",
    "ContinuousBernoulli": "D.ContinuousBernoulli(t([0.1, 0.4995, 0.8]))",
    "ContinuousBernoulli too": "D.ContinuousBernoulli(t([0.3, 0.6, 0.9]))",
    "Dirichlet": "D.Dirichlet(t([[0.5, 1.5], [2.0, 3.0], [1.0, 1.0]]))",
    "Exponential": "D.Exponential(t([0.5, 2.0, 1.0]))",
    "Gamma": "D.Gamma(t([0.5, 2.0, 4.0]), t([1.5, 0.3, 2.0]))",
    "Geometric": "D.Geometric(t([0.5, 0.2, 0.9]))",
    "Gumbel": "D.Gumbel(t([0.0, 1.0, -2.0]), t([1.0, 2.0, 0.5]))",
    "HalfNormal": "D.HalfNormal(t([0.5, 2.0, 1.0]))",
    "Independent": "D.Independent(D.Normal(t([[0.0, 1.0]] * 3), t([[1.0, 2.0]] * 3)), 1)",
    "Laplace": "D.Laplace(t([0.0, 1.0, -2.0]), t([1.0, 2.0, 0.5]))",
    "LogNormal": "D.LogNormal(t([0.0, 1.0, -2.0]), t([1.0, 2.0, 0.5]))",
    "LowRankMultivariateNormal": f"D.LowRankMultivariateNormal(t([0.0, 1.0, 2.0]), t({LOW}), t([0.5, 1.0, 2.0]))",
    "MultivariateNormal": f"D.MultivariateNormal(t([0.0, 1.0, 2.0]), t({A}))",
    "MultivariateNormal too": f"D.MultivariateNormal(t([[0.0, 1.0, 2.0]] * 3), t({B}))",
    "Normal": "D.Normal(t([0.0, 1.0, -2.0]), t([1.0, 2.0, 0.5]))",
    "Normal too": "D.Normal(t([0.5, 0.1, -0.3]), t([0.7, 1.0, 2.0]))",
    "OneHotCategorical": "D.OneHotCategorical(t([[0.1, 0.2, 0.7], [2.0, 3.0, 5.0], [1.0, 1.0, 1.0]]))",
    "Pareto": "D.Pareto(t([0.5, 2.0, 1.0]), t([2.5, 1.5, 0.8]))",
    "Pareto too": "D.Pareto(t([0.7, 0.1, 0.5]), t([1.5, 2.5, 3.8]))",
    "Poisson": "D.Poisson(t([0.5, 2.0, 10.0]))",
    "Uniform": "D.Uniform(t([0.01, 0.2, -1.0]), t([0.99, 0.7, 2.0]))",
    "Uniform too": "D.Uniform(t([-0.5, -0.1, 1.0]), t([1.5, 1.1, 2.0]))",
    "Wishart": f"D.Wishart(t(4.5), t({A}))",
    "Wishart too": f"D.Wishart(t(3.5), t({B}))",
}


def test_divergences_of_all_pairs_agree_and_those_without_a_formula_raise() -> None:
    compared = set()
    registry = {(p.__name__, q.__name__) for p, q in rustnn.distributions.kl._KL_REGISTRY}
    assert registry == {(p.__name__, q.__name__) for p, q in torch.distributions.kl._KL_REGISTRY}
    built = {name: _both(text) for name, text in PAIRS.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for (p, (our_p, their_p)), (q, (our_q, their_q)) in itertools.product(built.items(), built.items()):
            ours = _outcome(lambda p=our_p, q=our_q: rustnn.distributions.kl_divergence(p, q))
            theirs = _outcome(lambda p=their_p, q=their_q: torch.distributions.kl_divergence(p, q))
            _same(ours, theirs, f"{p}, {q}", rtol=1e-8)
            compared.add((type(their_p).__name__, type(their_q).__name__))
    left = {pair for pair in registry - compared if "TransformedDistribution" not in pair}
    assert left == {("ExponentialFamily", "ExponentialFamily")}


TRANSFORMS = {
    "Exp": ("D.ExpTransform()", [0.3, -1.0]),
    "Sigmoid": ("D.SigmoidTransform()", [0.3, -1.0]),
    "Softplus": ("D.SoftplusTransform()", [0.3, -1.0]),
    "Tanh": ("D.TanhTransform()", [0.3, -1.0]),
    "Abs": ("D.AbsTransform()", [0.3, -1.0]),
    "Affine": ("D.AffineTransform(1.5, -2.0)", [0.3, -1.0]),
    "Affine of tensors": (
        "D.AffineTransform(t([1.5, 2.0]), t([[3.0, 1.0], [-2.0, 0.5]]), event_dim=1)",
        [[0.3, -1.0]] * 2,
    ),
    "Power": ("D.PowerTransform(t([2.0, -0.5]))", [0.3, 1.5]),
    "Softmax": ("D.SoftmaxTransform()", [[0.3, -1.0, 2.0]]),
    "StickBreaking": ("D.StickBreakingTransform()", [[0.3, -1.0, 2.0]]),
    "LowerCholesky": ("D.LowerCholeskyTransform()", [[0.3, -1.0], [0.5, 0.7]]),
    "PositiveDefinite": ("D.PositiveDefiniteTransform()", [[0.3, -1.0], [0.5, 0.7]]),
    "CorrCholesky": ("D.CorrCholeskyTransform()", [0.3, -1.0, 0.5, 0.7, 1.2, -0.2]),
    "CumulativeDistribution": ("D.CumulativeDistributionTransform(D.Normal(t(0.5), t(2.0)))", [0.3, -1.0]),
    "Independent": ("D.IndependentTransform(D.ExpTransform(), 1)", [0.3, -1.0]),
    "Reshape": ("D.ReshapeTransform((4,), (2, 2))", [0.3, -1.0, 2.0, 3.0]),
    "Cat": ("D.CatTransform([D.ExpTransform(), D.AffineTransform(1.0, 2.0)], 0, [1, 2])", [0.3, -1.0, 2.0]),
    "Stack": ("D.StackTransform([D.ExpTransform(), D.TanhTransform()], 0)", [[0.3, -1.0], [2.0, 0.1]]),
    "Compose": ("D.ComposeTransform([D.AffineTransform(1.0, -2.0), D.StickBreakingTransform()])", [0.3, -1.0]),
    "identity": ("D.identity_transform", [0.3, -1.0]),
}


@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_agree(name: str, inverse: bool) -> None:
    text, numbers = TRANSFORMS[name]
    ours, theirs = _both(text)
    here, there = rustnn.tensor(numbers, dtype=rustnn.float64), torch.tensor(numbers, dtype=torch.float64)
    if inverse:
        ours, theirs, here, there = ours.inv, theirs.inv, ours(here), theirs(there)
    y_here, y_there = ours(here), theirs(there)
    _same(y_here, y_there, "the result")
    _same(ours.inv(y_here), theirs.inv(y_there), "the inverse")
    for what in (
        lambda t, x, y: t.log_abs_det_jacobian(x, y),
        lambda t, x, y: t.sign,
        lambda t, x, y: t.bijective,
        lambda t, x, y: t.event_dim,
        lambda t, x, y: t.domain.event_dim,
        lambda t, x, y: t.codomain.event_dim,
        lambda t, x, y: repr(t.domain),
        lambda t, x, y: repr(t.codomain),
        lambda t, x, y: repr(t),
        lambda t, x, y: tuple(t.forward_shape(x.shape)),
        lambda t, x, y: tuple(t.inverse_shape(y.shape)),
        lambda t, x, y: t.with_cache()._cache_size,
        lambda t, x, y: t == t.with_cache(0),
    ):
        _same(_outcome(lambda w=what: w(ours, here, y_here)), _outcome(lambda w=what: w(theirs, there, y_there)), name)


CONSTRAINTS = {
    "boolean": [0.0, 1.0, 0.5, np.nan],
    "one_hot": [[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]],
    "nonnegative_integer": [0.0, 1.5, -1.0, 3.0],
    "positive_integer": [0.0, 1.5, -1.0, 3.0],
    "integer_interval(1, 3)": [0.0, 1.5, 1.0, 3.0],
    "real": [0.0, np.nan, np.inf],
    "real_vector": [[0.0, np.nan], [1.0, 2.0]],
    "positive": [0.0, 1.0, -1.0],
    "nonnegative": [0.0, 1.0, -1.0],
    "greater_than(1)": [0.0, 1.0, 2.0],
    "greater_than_eq(1)": [0.0, 1.0, 2.0],
    "less_than(1)": [0.0, 1.0, 2.0],
    "interval(-1.0, 2.0)": [-1.0, 2.0, 3.0],
    "unit_interval": [0.0, 1.0, 1.5],
    "half_open_interval(0.0, 1.0)": [0.0, 1.0, 0.5],
    "multinomial(3)": [[1.0, 2.0], [2.0, 2.0], [-1.0, 2.0]],
    "simplex": [[0.3, 0.7], [0.5, 0.6], [1.5, -0.5]],
    "lower_triangular": [[[1.0, 0.0], [2.0, 0.0]], [[1.0, 1.0], [2.0, 3.0]]],
    "lower_cholesky": [[[1.0, 0.0], [2.0, 0.0]], [[1.0, 0.0], [2.0, 3.0]]],
    "corr_cholesky": [[[1.0, 0.0], [0.6, 0.8]], [[1.0, 0.0], [2.0, 3.0]]],
    "square": [[[1.0, 0.0, 1.0], [2.0, 0.0, 1.0]]],
    "symmetric": [[[1.0, 2.0], [2.0, 0.0]], [[1.0, 1.0], [2.0, 3.0]]],
    "positive_semidefinite": [[[1.0, 1.0], [1.0, 1.0]], [[1.0, 2.0], [2.0, 1.0]], [[2.0, 0.0], [0.0, 1.0]]],
    "positive_definite": [[[1.0, 1.0], [1.0, 0.5]], [[1.0, 2.0], [2.0, 1.0]], [[2.0, 0.0], [0.0, 1.0]]],
    "independent(C.positive, 1)": [[1.0, 2.0], [1.0, -2.0]],
    "cat([C.positive, C.real], 0, [1, 2])": [1.0, -2.0, np.nan],
    "stack([C.positive, C.less_than(0.0)], 0)": [[1.0, -2.0], [1.0, -2.0]],
    "MixtureSameFamilyConstraint(C.positive)": [1.0, -2.0],
    "dependent": [1.0],
}


@pytest.mark.parametrize("text", CONSTRAINTS)
def test_constraints_check_and_are_reached_alike(text: str) -> None:
    ours = eval(f"C.{text}", {"C": rustnn.distributions.constraints})
    theirs = eval(f"C.{text}", {"C": torch.distributions.constraints})
    here = rustnn.tensor(CONSTRAINTS[text], dtype=rustnn.float64)
    there = torch.tensor(CONSTRAINTS[text], dtype=torch.float64)
    _same(_outcome(lambda: ours.check(here)), _outcome(lambda: theirs.check(there)), text)
    assert repr(ours) == repr(theirs)
    for attribute in ("event_dim", "is_discrete"):
        _same(
            _outcome(lambda a=attribute: getattr(ours, a)), _outcome(lambda a=attribute: getattr(theirs, a)), attribute
        )
    for registry in ("biject_to", "transform_to"):
        transforms = (
            _outcome(lambda r=registry: repr(getattr(rustnn.distributions, r)(ours))),
            _outcome(lambda r=registry: repr(getattr(torch.distributions, r)(theirs))),
        )
        assert transforms[0] == transforms[1], registry


ERRORS = """
    D.Normal(0.0, -1.0)
    D.Normal(m.zeros(3), m.tensor([1.0, -1.0, 1.0]))
    D.Normal(0.0, 1.0).log_prob(m.tensor([float("nan"), 1.0]))
    D.Normal(0.0, 1.0).log_prob(1.0)
    D.Normal(m.zeros(2), 1.0).log_prob(m.zeros(3))
    D.Normal("a", 1.0)
    D.Normal(0.0, 1.0).enumerate_support()
    D.Bernoulli()
    D.Bernoulli(0.5, 0.5)
    D.Bernoulli(1.5)
    D.Bernoulli(0.5).log_prob(m.tensor(2.0))
    D.Binomial(3)
    D.Binomial(m.tensor([2, 3]), m.tensor(0.5)).enumerate_support()
    D.Binomial(m.tensor([2, 3]), m.tensor(0.5)).entropy()
    D.Categorical(m.tensor(1.0))
    D.Categorical(m.tensor([-1.0, 2.0]))
    D.Categorical(m.ones(2)).log_prob(m.tensor(5))
    D.ContinuousBernoulli(1.5, validate_args=True)
    D.ContinuousBernoulli(0.5).mode
    D.Dirichlet(m.tensor(1.0))
    D.Gamma(1.0, 1.0).icdf(m.tensor(0.5))
    D.Geometric(0.0)
    D.HalfNormal(-1.0)
    D.Independent(D.Normal(0.0, 1.0), 1)
    D.Independent(D.Bernoulli(m.ones(2)), 1).enumerate_support()
    D.Kumaraswamy(-1.0, 1.0)
    D.LKJCholesky(1)
    D.LogisticNormal(m.zeros(2), 1.0).mean
    D.LowRankMultivariateNormal(m.tensor(0.0), m.ones(2, 1), m.ones(3))
    D.LowRankMultivariateNormal(m.zeros(2), m.ones(3, 1), m.ones(2))
    D.LowRankMultivariateNormal(m.zeros(2), m.ones(2), m.ones(2))
    D.LowRankMultivariateNormal(m.zeros(2), m.ones(2, 1), m.ones(3))
    D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(0.0, 1.0))
    D.MixtureSameFamily(D.Categorical(m.ones(2)), 1)
    D.MixtureSameFamily(D.Categorical(m.ones(2)), D.Normal(m.zeros(3), 1))
    D.MixtureSameFamily(D.Categorical(m.ones(4, 2)), D.Normal(m.zeros(3, 2), 1))
    D.MixtureSameFamily(D.Categorical(m.ones(2)), D.Normal(m.zeros(2), 1)).mode
    D.Multinomial(m.tensor([1, 2]), m.ones(2))
    D.Multinomial(3, m.ones(2)).log_prob(m.tensor([2.0, 2.0]))
    D.Multinomial(3, m.ones(2)).rsample()
    D.MultivariateNormal(m.zeros(2))
    D.MultivariateNormal(m.tensor(1.0), m.eye(2))
    D.MultivariateNormal(m.zeros(2), m.ones(2))
    D.MultivariateNormal(m.zeros(2), precision_matrix=m.ones(2))
    D.MultivariateNormal(m.zeros(2), -m.eye(2))
    D.NegativeBinomial(3.0, m.tensor(1.0))
    D.NegativeBinomial(3.0, m.tensor(0.5)).entropy()
    D.Poisson(-1.0)
    D.TransformedDistribution(D.Normal(0.0, 1.0), 1)
    D.TransformedDistribution(D.Normal(0.0, 1.0), [1])
    D.TransformedDistribution(D.Normal(0.0, 1.0), D.StickBreakingTransform())
    D.Uniform(1.0, 0.0)
    D.Uniform(0.0, 1.0).log_prob(m.tensor(2.0))
    D.VonMises(m.tensor(0.0), m.tensor(1.0)).cdf(1.0)
    D.Wishart(m.tensor(1.0), m.eye(2))
    D.Wishart(m.tensor(1.0), m.ones(2))
    D.Wishart(m.tensor(1.0))
    D.AbsTransform().log_abs_det_jacobian(1, 1)
    D.AffineTransform(0, 1, cache_size=2)
    D.CorrCholeskyTransform().forward_shape((5,))
    D.CorrCholeskyTransform().inverse_shape((5, 4))
    D.CorrCholeskyTransform().inverse_shape((5,))
    D.StickBreakingTransform().forward_shape(())
    D.SoftmaxTransform().inverse_shape(())
    D.ReshapeTransform((2,), (3,))
    D.IndependentTransform(D.ExpTransform(), 2)(m.ones(2))
    D.biject_to(D.constraints.dependent)
    D.biject_to.register(3, 4)
    D.kl_divergence(D.Normal(0.0, 1.0), D.Bernoulli(0.5))
    D.kl_divergence(D.StudentT(1.0), D.Cauchy(0.0, 1.0))
    D.Distribution.set_default_validate_args(3)
    D.utils.broadcast_all(1, "a")
    D.utils.tril_matrix_to_vec(m.ones(2, 2), 3)
    m.poisson(m.tensor([-1.0]))
    m.poisson(m.tensor([1, 2]))
    m.binomial(m.tensor([3]), m.tensor([0.5]))
    m.empty(3).geometric_(0)
    m.empty(3).cauchy_(0, -1)
    m.empty(3, dtype=m.long).cauchy_()
    m.empty(3).log_normal_(0, -1)
    m.polygamma(-1, m.ones(2))
    m.special.multigammaln(m.ones(2), 0)
""".strip().splitlines()


@pytest.mark.parametrize("text", [text.strip() for text in ERRORS])
def test_errors_agree(text: str) -> None:
    results = [_outcome(lambda m=m: eval(text, {"D": m.distributions, "m": m})) for m in (rustnn, torch)]
    assert isinstance(results[1], tuple) and isinstance(results[0], tuple), results
    assert results[0] == results[1]


SPECIAL = {
    "real": """bessel_j0 bessel_j1 entr erfcx i0 i0e i1 i1e log_ndtr ndtr spherical_bessel_j0 airy_ai""",
    "positive": """bessel_y0 bessel_y1 modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1
        scaled_modified_bessel_k0 scaled_modified_bessel_k1 gammaln digamma""",
    "unit": "ndtri logit erfinv",
}
POINTS = {
    "real": [-60.0, -9.5, -1.0, -0.3, 0.0, 1e-3, 0.7, 2.0, 8.0, 30.0],
    "positive": [0.0, 1e-6, 0.3, 1.0, 2.5, 7.0, 24.0, 26.0, 400.0],
    "unit": [0.0, 1e-40, 1e-3, 0.2, 0.5, 0.8, 1.0],
}
# PyTorch's own, in float64, are good to these.
ROUGH = {"bessel_j0": 1e-6, "bessel_j1": 1e-6, "bessel_y0": 1e-6, "bessel_y1": 1e-6, "airy_ai": 1e-5}


@pytest.mark.parametrize("name", [name for names in SPECIAL.values() for name in names.split()])
def test_special_functions_agree(name: str) -> None:
    points = np.array(next(POINTS[kind] for kind, names in SPECIAL.items() if name in names.split()))
    rough = ROUGH.get(name)
    _same(
        getattr(rustnn.special, name)(rustnn.tensor(points)),
        getattr(torch.special, name)(torch.tensor(points)),
        name,
        rtol=0 if rough else 1e-12,
        atol=rough or 1e-16,
    )
    for dtype in ("float32", "int64"):
        ours = getattr(rustnn.special, name)(rustnn.tensor([1], dtype=getattr(rustnn, dtype)))
        theirs = getattr(torch.special, name)(torch.tensor([1], dtype=getattr(torch, dtype)))
        assert str(ours.dtype) == str(theirs.dtype)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), 3e-6 if not rough else 1e-5)


def test_special_functions_of_two_arguments_agree() -> None:
    x, n = np.linspace(-1.5, 1.5, 12), np.arange(12.0)
    for name in dir(torch.special):
        if "polynomial" in name:
            _same(
                getattr(rustnn.special, name)(rustnn.tensor(x), rustnn.tensor(n)),
                getattr(torch.special, name)(torch.tensor(x), torch.tensor(n)),
                name,
            )
    s, q = np.array([1.0, 1.5, 2.0, 30.0, 3.0]), np.array([0.5, 0.1, -0.5, 2.0, -2.0])
    for name, a, b in (("zeta", s, q), ("xlog1py", x, x), ("gammainc", s, q + 3), ("gammaincc", s, q + 3)):
        _same(
            getattr(rustnn.special, name)(rustnn.tensor(a), rustnn.tensor(b)),
            getattr(torch.special, name)(torch.tensor(a), torch.tensor(b)),
            name,
            rtol=1e-8,
        )
    for order in range(5):
        _same(
            rustnn.special.polygamma(order, rustnn.tensor(s)),
            torch.special.polygamma(order, torch.tensor(s)),
            "polygamma",
            rtol=1e-8,  # PyTorch's trigamma is good to 1e-9
        )
    assert set(rustnn.special.__all__) >= {
        name for name in dir(torch.special) if callable(getattr(torch.special, name)) and name[0] not in "_T"
    }


def test_reparametrised_gradients_agree() -> None:
    rng = np.random.default_rng(2)
    concentration = np.exp(rng.uniform(-2, 5, 300))
    x = rng.gamma(concentration)
    # PyTorch's are approximations, good to 1e-2 where its rational one is used.
    _same(
        rustnn._standard_gamma_grad(rustnn.tensor(concentration), rustnn.tensor(x)),
        torch._standard_gamma_grad(torch.tensor(concentration), torch.tensor(x)),
        "gamma",
        rtol=2e-3,
    )
    other = np.exp(rng.uniform(-2, 5, 300))
    x = np.clip(rng.beta(concentration, other), 1e-6, 1 - 1e-6)
    _same(
        rustnn._dirichlet_grad(*map(rustnn.tensor, (x, concentration, concentration + other))),
        torch._dirichlet_grad(*map(torch.tensor, (x, concentration, concentration + other))),
        "beta",
        rtol=5e-2,
    )
