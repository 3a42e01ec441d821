"""A coin whose samples have gradients."""

from .. import _core
from . import constraints
from ._success import OfSuccess
from .distribution import Distribution
from .transformed_distribution import TransformedDistribution
from .transforms import SigmoidTransform
from .utils import broadcast_all, open_uniform

__all__ = ["LogitRelaxedBernoulli", "RelaxedBernoulli"]


class LogitRelaxedBernoulli(OfSuccess, Distribution):
    """The logit of a relaxed coin: (logits + logistic noise) / T.

    Args:
        temperature: T; the lower, the nearer to 0 or 1.
        probs: p. logits: log(p / (1 - p)), instead of it.
        validate_args: see :class:`Distribution`.
    Raises: ValueError unless one of the two is given.
    Source: Maddison, Mnih and Teh 2017, arXiv:1611.00712; Jang, Gu and Poole 2017, arXiv:1611.01144.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.real
    has_rsample = True
    _not_of_the_batch = ("temperature",)

    def __init__(self, temperature, probs=None, logits=None, validate_args=None):
        self.temperature = temperature
        self._take(probs, logits)
        super().__init__(self._param.size(), validate_args=validate_args)

    def rsample(self, sample_shape=()):
        noise = open_uniform(self._extended_shape(sample_shape), self.probs)
        return (noise.log() - (-noise).log1p() + self.logits) / self.temperature

    def log_prob(self, value):
        value = self._checked(value)  # before anything else shows in the message
        logits, value = broadcast_all(self.logits, value)
        away = logits - value * self.temperature
        return self.temperature.log() + away + 2 * _core.logsigmoid(-away)


class RelaxedBernoulli(TransformedDistribution):
    """A number between 0 and 1 in place of a coin's 0 or 1, which has a gradient.

    Args:
        temperature: T; the lower, the nearer to 0 or 1.
        probs: p. logits: log(p / (1 - p)), instead of it.
        validate_args: see :class:`Distribution`.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(self, temperature, probs=None, logits=None, validate_args=None):
        base = LogitRelaxedBernoulli(temperature, probs, logits)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)

    @property
    def temperature(self):
        """T."""
        return self.base_dist.temperature

    @property
    def logits(self):
        """log(p / (1 - p))."""
        return self.base_dist.logits

    @property
    def probs(self):
        """p."""
        return self.base_dist.probs
