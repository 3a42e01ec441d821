"""The negative binomial distribution."""

from .. import _core
from ..samplers import poisson
from . import constraints
from ._success import OfSuccess
from .distribution import Distribution
from .gamma import Gamma
from .utils import lazy_property

__all__ = ["NegativeBinomial"]


class NegativeBinomial(OfSuccess, Distribution):
    """How many trials succeed before n have failed.

    Args:
        total_count: n, >= 0; need not be an integer.
        probs: p of a success, in [0, 1). logits: log(p / (1 - p)), instead of it.
        validate_args: see :class:`Distribution`.
    Raises: ValueError unless one of the two is given.
    """

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(self, total_count, probs=None, logits=None, validate_args=None):
        (total_count,) = self._take(probs, logits, total_count)
        self.total_count = total_count.to(self._param.dtype)
        super().__init__(self._param.size(), validate_args=validate_args)

    @property
    def mean(self):
        return self.total_count * self.logits.exp()

    @property
    def mode(self):
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self):
        return self.mean / (-self.logits).sigmoid()

    @lazy_property
    def _gamma(self):
        """Of the rate of the Poisson distribution that a sample comes from."""
        return Gamma(self.total_count, (-self.logits).exp(), validate_args=False)

    def sample(self, sample_shape=()):
        with _core.no_grad():
            return poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value):
        value = self._checked(value)
        unnormalised = self.total_count * _core.logsigmoid(-self.logits) + value * _core.logsigmoid(self.logits)
        ways = (self.total_count + value).lgamma() - (1.0 + value).lgamma() - self.total_count.lgamma()
        # There are no trials where n and the value are 0: Γ(0) / Γ(0) is 1.
        return unnormalised + ways.masked_fill(self.total_count + value == 0.0, 0.0)
