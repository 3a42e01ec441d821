"""A choice among classes whose samples have gradients."""

from .. import _core
from . import constraints
from .categorical import Categorical
from .distribution import Distribution
from .transformed_distribution import TransformedDistribution
from .transforms import ExpTransform
from .utils import broadcast_all, open_uniform

__all__ = ["ExpRelaxedCategorical", "RelaxedOneHotCategorical"]


class ExpRelaxedCategorical(Distribution):
    """The logarithm of a relaxed unit vector: log softmax((logits + Gumbel noise) / T).

    Args:
        temperature: T; the lower, the nearer to a unit vector.
        probs: p, >= 0; divided by their sum. logits: log p up to a constant, instead of them.
        validate_args: see :class:`Distribution`.
    Source: Maddison, Mnih and Teh 2017, arXiv:1611.00712.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.real_vector
    has_rsample = True
    _not_of_the_batch = ("temperature",)

    def __init__(self, temperature, probs=None, logits=None, validate_args=None):
        self._categorical = Categorical(probs, logits)
        self.temperature = temperature
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args)

    @property
    def param_shape(self):
        """The shape of the parameter."""
        return self._categorical.param_shape

    @property
    def logits(self):
        """log p."""
        return self._categorical.logits

    @property
    def probs(self):
        """p."""
        return self._categorical.probs

    def rsample(self, sample_shape=()):
        noise = -(-open_uniform(self._extended_shape(sample_shape), self.logits).log()).log()
        scores = (self.logits + noise) / self.temperature
        return scores - scores.logsumexp(-1, keepdim=True)

    def log_prob(self, value):
        k = self._categorical._num_events
        value = self._checked(value)  # before anything else shows in the message
        logits, value = broadcast_all(self.logits, value)
        constant = _core.full_like(self.temperature, float(k)).lgamma() + self.temperature.log() * (k - 1)
        score = logits - value * self.temperature
        return (score - score.logsumexp(-1, keepdim=True)).sum(-1) + constant


class RelaxedOneHotCategorical(TransformedDistribution):
    """A point of the simplex in place of a unit vector, which has a gradient.

    Args:
        temperature: T; the lower, the nearer to a unit vector.
        probs: p, >= 0; divided by their sum. logits: log p up to a constant, instead of them.
        validate_args: see :class:`Distribution`.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, temperature, probs=None, logits=None, validate_args=None):
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    @property
    def temperature(self):
        """T."""
        return self.base_dist.temperature

    @property
    def logits(self):
        """log p."""
        return self.base_dist.logits

    @property
    def probs(self):
        """p."""
        return self.base_dist.probs
