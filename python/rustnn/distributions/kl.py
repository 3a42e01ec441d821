"""The Kullback-Leibler divergence of two distributions."""

from .. import _core
from .bernoulli import Bernoulli
from .categorical import Categorical
from .exponential import Exponential
from .independent import Independent
from .laplace import Laplace
from .normal import Normal
from .uniform import Uniform

__all__ = ["kl_divergence", "register_kl"]

_formulas = {}


def register_kl(type_p, type_q):
    """A decorator: the function computes the divergence of a ``type_p`` from a ``type_q``."""

    def register(function):
        _formulas[type_p, type_q] = function
        return function

    return register


def kl_divergence(p, q):
    """∫ p(x) log(p(x) / q(x)) dx, in nats; the formula of the nearest base classes for which there is one.

    Raises: NotImplementedError if there is none.
    """
    for type_p in type(p).__mro__:
        for type_q in type(q).__mro__:
            if (type_p, type_q) in _formulas:
                return _formulas[type_p, type_q](p, q)
    raise NotImplementedError(
        f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}"
    )


@register_kl(Normal, Normal)
def _normal(p, q):
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p, q):
    softplus = _core.softplus
    ones = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    return ones + (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))


@register_kl(Categorical, Categorical)
def _categorical(p, q):
    terms = p.probs * (p.logits - q.logits)
    terms = _core.where(q.probs == 0, float("inf"), terms)
    return _core.where(p.probs == 0, 0.0, terms).sum(-1)


@register_kl(Uniform, Uniform)
def _uniform(p, q):
    result = ((q.high - q.low) / (p.high - p.low)).log()
    return result.masked_fill((q.low > p.low) | (q.high < p.high), float("inf"))


@register_kl(Normal, Uniform)
def _normal_uniform(p, q):
    return (p.loc + q.low).detach() * 0 + float("inf")  # p has values where q has none


@register_kl(Exponential, Exponential)
def _exponential(p, q):
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(Laplace, Laplace)
def _laplace(p, q):
    ratio, apart = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + apart / q.scale + ratio * (-apart / p.scale).exp() - 1


@register_kl(Independent, Independent)
def _independent(p, q):
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return p._sum(kl_divergence(p.base_dist, q.base_dist))
