"""The Kullback-Leibler divergence of two distributions."""

import math
import warnings

from .. import _core, functional
from .bernoulli import Bernoulli
from .beta import Beta
from .binomial import Binomial
from .categorical import Categorical
from .cauchy import Cauchy
from .continuous_bernoulli import ContinuousBernoulli
from .dirichlet import Dirichlet
from .exp_family import ExponentialFamily
from .exponential import Exponential
from .gamma import Gamma
from .geometric import Geometric
from .gumbel import Gumbel
from .half_normal import HalfNormal
from .independent import Independent
from .laplace import Laplace
from .lowrank_multivariate_normal import LowRankMultivariateNormal, _batch_lowrank_logdet, _batch_lowrank_mahalanobis
from .multivariate_normal import MultivariateNormal, _batch_mahalanobis
from .normal import Normal
from .one_hot_categorical import OneHotCategorical
from .pareto import Pareto
from .poisson import Poisson
from .transformed_distribution import TransformedDistribution
from .uniform import Uniform
from .utils import euler_constant, sum_rightmost

__all__ = ["kl_divergence", "register_kl"]

_KL_REGISTRY = {}
_KL_MEMOIZE = {}


def register_kl(type_p, type_q):
    """A decorator: the function computes the divergence of a ``type_p`` from a ``type_q``.

    They need not be of :class:`Distribution`: other libraries' bases stand for what those adopt.

    Raises: TypeError for what is no class.
    """
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not isinstance(kind, type):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {kind}")

    def register(function):
        _KL_REGISTRY[type_p, type_q] = function
        _KL_MEMOIZE.clear()
        return function

    return register


def _dispatch_kl(type_p, type_q):
    """The function of the nearest bases; NotImplemented where there is none."""
    matches = [(p, q) for p, q in _KL_REGISTRY if issubclass(type_p, p) and issubclass(type_q, q)]
    if not matches:
        return NotImplemented

    def far(match):
        """How many bases away each class is; a class that only counts as a base is the farthest."""
        lines = type_p.__mro__, type_q.__mro__
        return tuple(line.index(kind) if kind in line else len(line) for line, kind in zip(lines, match, strict=True))

    left, right = min(matches, key=far), min(matches, key=lambda match: far(match)[::-1])
    if _KL_REGISTRY[left] is not _KL_REGISTRY[right]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). "
            f"Please register_kl({left[0].__name__}, {right[1].__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return _KL_REGISTRY[left]


def kl_divergence(p, q):
    """∫ p(x) log(p(x) / q(x)) dx, in nats; the formula of the nearest base classes for which there is one.

    Raises: NotImplementedError if there is none.
    """
    kinds = type(p), type(q)
    function = _KL_MEMOIZE.get(kinds)
    if function is None:
        function = _KL_MEMOIZE[kinds] = _dispatch_kl(*kinds)
    if function is NotImplemented:
        raise NotImplementedError(
            f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}"
        )
    return function(p, q)


# Of one kind with its like.


@register_kl(ExponentialFamily, ExponentialFamily)
def _kl_expfamily_expfamily(p, q):
    """A Bregman divergence of the log-normaliser."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot"
            "                             be computed using Bregman divergences"
        )
    from ..autograd import grad

    with _core.enable_grad():
        natural = [parameter.detach().requires_grad_() for parameter in p._natural_params]
        logarithm = p._log_normalizer(*natural)
        gradients = grad(logarithm.sum(), natural, create_graph=True)
    result = q._log_normalizer(*q._natural_params) - logarithm
    for of_p, of_q, gradient in zip(natural, q._natural_params, gradients, strict=True):
        # Each has dimensions of its own beyond the batch's.
        result = result - sum_rightmost((of_q - of_p) * gradient, of_p.dim() - len(p.batch_shape))
    return result


def _softplus(x):
    return -_core.logsigmoid(-x)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p, q):
    ones = p.probs * (_softplus(-q.logits) - _softplus(-p.logits))
    ones = _core.where(p.probs == 0, 0.0, _core.where(q.probs == 0, math.inf, ones))
    zeros = (1 - p.probs) * (_softplus(q.logits) - _softplus(p.logits))
    return ones + _core.where(p.probs == 1, 0.0, _core.where(q.probs == 1, math.inf, zeros))


@register_kl(Beta, Beta)
def _beta(p, q):
    total_p, total_q = p.concentration1 + p.concentration0, q.concentration1 + q.concentration0
    return (
        q._log_normalizer(q.concentration1, q.concentration0)
        - p._log_normalizer(p.concentration1, p.concentration0)
        + (p.concentration1 - q.concentration1) * p.concentration1.digamma()
        + (p.concentration0 - q.concentration0) * p.concentration0.digamma()
        + (total_q - total_p) * total_p.digamma()
    )


@register_kl(Binomial, Binomial)
def _binomial(p, q):
    if (p.total_count < q.total_count).any():
        raise NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented")
    each = p.probs * (p.logits - q.logits) + _core.logsigmoid(-p.logits) - _core.logsigmoid(-q.logits)
    return (p.total_count * each).masked_fill(p.total_count > q.total_count, math.inf)


@register_kl(Categorical, Categorical)
def _categorical(p, q):
    terms = p.probs * (p.logits - q.logits)
    terms = _core.where(q.probs == 0, math.inf, terms)
    return _core.where(p.probs == 0, 0.0, terms).sum(-1)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p, q):
    constant = p._cont_bern_log_norm() + (-p.probs).log1p() - q._cont_bern_log_norm() - (-q.probs).log1p()
    return p.mean * (p.logits - q.logits) + constant


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p, q):
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    moved = (a - b) * (a.digamma() - total.digamma().unsqueeze(-1))
    return total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1) + moved.sum(-1)


@register_kl(Exponential, Exponential)
def _exponential(p, q):
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(Gamma, Gamma)
def _gamma(p, q):
    return (
        q.concentration * (p.rate / q.rate).log()
        + q.concentration.lgamma()
        - p.concentration.lgamma()
        + (p.concentration - q.concentration) * p.concentration.digamma()
        + (q.rate - p.rate) * (p.concentration / p.rate)
    )


@register_kl(Gumbel, Gumbel)
def _gumbel(p, q):
    ratio, apart = p.scale / q.scale, (p.loc - q.loc) / q.scale
    return apart - ratio.log() + ratio * euler_constant + ((1 + ratio).lgamma() - apart).exp() - (1 + euler_constant)


@register_kl(Geometric, Geometric)
def _geometric(p, q):
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p, q):
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace(p, q):
    ratio, apart = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + apart / q.scale + ratio * (-apart / p.scale).exp() - 1


@register_kl(Normal, Normal)
def _normal(p, q):
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_categorical(p, q):
    return _categorical(p._categorical, q._categorical)


@register_kl(Pareto, Pareto)
def _pareto(p, q):
    ratio = q.alpha / p.alpha
    result = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return result.masked_fill(p.scale < q.scale, math.inf)


@register_kl(Poisson, Poisson)
def _poisson(p, q):
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p, q):
    """That of the bases, where the transforms are the same."""
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    events = len(p.event_shape) - len(p.base_dist.event_shape)
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), max(events, 0))


@register_kl(Uniform, Uniform)
def _uniform(p, q):
    result = ((q.high - q.low) / (p.high - p.low)).log()
    return result.masked_fill((q.low > p.low) | (q.high < p.high), math.inf)


@register_kl(Independent, Independent)
def _independent(p, q):
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(Cauchy, Cauchy)
def _cauchy(p, q):
    """Source: Chyzak and Nielsen 2019, arXiv:1905.10965."""
    return ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log() - (4 * p.scale * q.scale).log()


# Normal distributions of several variables.


def _half_log_det(factor):
    """Half the logarithm of det(L Lᵀ)."""
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def _check_event_shapes(p, q, names):
    if p.event_shape != q.event_shape:
        raise ValueError(f"KL-divergence between two {names} with different event shapes cannot be computed")


def _solve_both(lower, *sides):
    """Σ of the squares of L⁻¹ B over all sides: the trace of (L Lᵀ)⁻¹ Σ B Bᵀ."""
    from ..linalg import solve_triangular

    return sum(solve_triangular(lower, side, upper=False).pow(2).sum((-2, -1)) for side in sides)


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p, q):
    _check_event_shapes(p, q, "Multivariate Normals")
    n = p.event_shape[0]
    halves = _half_log_det(q._unbroadcasted_scale_tril) - _half_log_det(p._unbroadcasted_scale_tril)
    trace = _solve_both(q._unbroadcasted_scale_tril, p._unbroadcasted_scale_tril)
    return halves + 0.5 * (trace + _batch_mahalanobis(q._unbroadcasted_scale_tril, q.loc - p.loc) - n)


def _lowrank_trace(q, *sides):
    """The trace of Σ_q⁻¹ Σ B Bᵀ, Σ_q = W Wᵀ + D, by Woodbury's formula."""
    from ..linalg import solve_triangular

    diagonal = q._unbroadcasted_cov_diag.unsqueeze(-1)
    across = q._unbroadcasted_cov_factor.mT / diagonal.mT
    whole = sum((side.pow(2) / diagonal).sum((-2, -1)) for side in sides)
    part = sum(solve_triangular(q._capacitance_tril, across @ side, upper=False).pow(2).sum((-2, -1)) for side in sides)
    return whole - part


def _lowrank_log_det(q):
    return _batch_lowrank_logdet(q._unbroadcasted_cov_factor, q._unbroadcasted_cov_diag, q._capacitance_tril)


def _lowrank_distance(q, difference):
    return _batch_lowrank_mahalanobis(
        q._unbroadcasted_cov_factor, q._unbroadcasted_cov_diag, difference, q._capacitance_tril
    )


def _lowrank_sides(p):
    """W and the root of D, whose squares add up to the covariance."""
    return p._unbroadcasted_cov_factor, p._unbroadcasted_cov_diag.sqrt().diag_embed()


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _lowrank_normal(p, q):
    _check_event_shapes(p, q, "Low Rank Multivariate Normals")
    log_dets = _lowrank_log_det(q) - _lowrank_log_det(p)
    trace = _lowrank_trace(q, *_lowrank_sides(p))
    return 0.5 * (log_dets + trace + _lowrank_distance(q, q.loc - p.loc) - p.event_shape[0])


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _normal_lowrank(p, q):
    _check_event_shapes(p, q, "(Low Rank) Multivariate Normals")
    log_dets = _lowrank_log_det(q) - 2 * _half_log_det(p._unbroadcasted_scale_tril)
    trace = _lowrank_trace(q, p._unbroadcasted_scale_tril)
    return 0.5 * (log_dets + trace + _lowrank_distance(q, q.loc - p.loc) - p.event_shape[0])


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _lowrank_to_normal(p, q):
    _check_event_shapes(p, q, "(Low Rank) Multivariate Normals")
    log_dets = 2 * _half_log_det(q._unbroadcasted_scale_tril) - _lowrank_log_det(p)
    trace = _solve_both(q._unbroadcasted_scale_tril, *_lowrank_sides(p))
    distance = _batch_mahalanobis(q._unbroadcasted_scale_tril, q.loc - p.loc)
    return 0.5 * (log_dets + trace + distance - p.event_shape[0])


# Of one kind with another: -H(p) less the mean of log q(x), which takes a few moments of p.


def _mean_log(p):
    """The mean of log x."""
    if isinstance(p, Beta):
        return p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma()
    if isinstance(p, Exponential):
        return -euler_constant - p.rate.log()
    if isinstance(p, Gamma):
        return p.concentration.digamma() - p.rate.log()
    if isinstance(p, Pareto):
        return p.scale.log() + p.alpha.reciprocal()
    return _mean_log_of_uniform(p.low, p.high)


def _mean_log_of_uniform(low, high):
    return (_core.xlogy(high, high) - _core.xlogy(low, low)) / (high - low) - 1


def _to_exponential(p, q):
    return -p.entropy() - q.rate.log() + q.rate * p.mean


def _to_gamma(p, q):
    constant = q.concentration.lgamma() - q.concentration * q.rate.log()
    return -p.entropy() + constant - (q.concentration - 1) * _mean_log(p) + q.rate * p.mean


def _to_normal(p, q):
    distance = (p.variance + (p.mean - q.loc).pow(2)) / q.scale.pow(2)
    return -p.entropy() + 0.5 * math.log(2 * math.pi) + q.scale.log() + 0.5 * distance


def _to_continuous_bernoulli(p, q):
    return -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._cont_bern_log_norm()


def _outside(p, result, low, high):
    """Infinite where q's support does not hold p's."""
    support = p.support
    return result.masked_fill((low > support.lower_bound) | (high < support.upper_bound), math.inf)


for _kind in (Beta, ContinuousBernoulli, Gamma):
    register_kl(_kind, Exponential)(_to_exponential)
for _kind in (Beta, Exponential):
    register_kl(_kind, Gamma)(_to_gamma)
for _kind in (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Uniform):
    register_kl(_kind, Normal)(_to_normal)
register_kl(Beta, ContinuousBernoulli)(_to_continuous_bernoulli)


@register_kl(Beta, Uniform)
@register_kl(ContinuousBernoulli, Uniform)
def _unit_uniform(p, q):
    return _outside(p, -p.entropy() + (q.high - q.low).log(), q.low, q.high)


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p, q):
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p, q):
    product, place = p.rate * q.scale, q.loc / q.scale
    return product.log() - 1 - place + place.exp() * product / (product + 1) + product.reciprocal()


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p, q):
    a, product, place = p.concentration, p.rate * q.scale, q.loc / q.scale
    entropy = (a - 1) * a.digamma() - a.lgamma() - a
    return entropy + product.log() + a / product + place.exp() * (1 + product.reciprocal()).pow(-a) - place


@register_kl(Normal, Gumbel)
def _normal_gumbel(p, q):
    apart, square = (p.loc - q.loc) / q.scale, (p.scale / q.scale).pow(2)
    return apart - 0.5 * square.log() + (0.5 * square - apart).exp() - 0.5 * (1 + math.log(2 * math.pi))


@register_kl(Normal, Laplace)
def _normal_laplace(p, q):
    apart = (p.loc - q.loc) / p.scale
    # The mean of |x - loc|, over p's scale.
    distance = math.sqrt(2 / math.pi) * (-0.5 * apart.pow(2)).exp() + apart * (math.sqrt(0.5) * apart).erf()
    ratio = p.scale / q.scale
    return ratio * distance - ratio.log() - 0.5 * (1 + math.log(0.5 * math.pi))


@register_kl(Pareto, Exponential)
def _pareto_exponential(p, q):
    return _to_exponential(p, q).masked_fill(p.alpha <= 1, math.inf)


@register_kl(Pareto, Gamma)
def _pareto_gamma(p, q):
    return _to_gamma(p, q).masked_fill(p.alpha <= 1, math.inf)


@register_kl(Pareto, Normal)
def _pareto_normal(p, q):
    return _to_normal(p, q).masked_fill(p.alpha <= 2, math.inf)


@register_kl(Uniform, Beta)
def _uniform_beta(p, q):
    upper = (q.concentration1 - 1) * _mean_log(p) + (q.concentration0 - 1) * _mean_log_of_uniform(1 - p.high, 1 - p.low)
    result = q._log_normalizer(q.concentration1, q.concentration0) - upper - p.entropy()
    return result.masked_fill((p.high > 1) | (p.low < 0), math.inf)


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous_bernoulli(p, q):
    return _to_continuous_bernoulli(p, q).masked_fill((p.high > 1) | (p.low < 0), math.inf)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p, q):
    return _to_exponential(p, q).masked_fill(p.low < 0, math.inf)


@register_kl(Uniform, Gamma)
def _uniform_gamma(p, q):
    return _to_gamma(p, q).masked_fill(p.low < 0, math.inf)


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p, q):
    ratio = q.scale / (p.high - p.low)
    high, low = (p.high - q.loc) / q.scale, (p.low - q.loc) / q.scale
    return ratio.log() + 0.5 * (high + low) - ratio * ((-high).exp() - (-low).exp())


@register_kl(Uniform, Pareto)
def _uniform_pareto(p, q):
    result = (q.alpha + 1) * _mean_log(p) - q.alpha.log() - q.alpha * q.scale.log() - p.entropy()
    return result.masked_fill(p.low < q.scale, math.inf)


def _infinity(p, q):
    """p has values where q has none."""
    shape = functional.broadcast_shapes(p.batch_shape, q.batch_shape)
    like = p.entropy() if not isinstance(p, Poisson) else p.rate
    return _core.full(shape, math.inf, dtype=like.dtype, device=like.device)


for _p, _qs in {
    Beta: (Pareto,),
    ContinuousBernoulli: (Pareto,),
    Exponential: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gamma: (Beta, ContinuousBernoulli, Pareto, Uniform),
    Gumbel: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Laplace: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Normal: (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform),
    Pareto: (Beta, ContinuousBernoulli, Uniform),
    Poisson: (Bernoulli, Binomial),
}.items():
    for _q in _qs:
        register_kl(_p, _q)(_infinity)
del _kind, _p, _q, _qs
