"""The distribution of a number of successes."""

from .. import _core
from ..samplers import binomial
from . import constraints
from ._success import OfSuccess
from .distribution import Distribution

__all__ = ["Binomial"]


class Binomial(OfSuccess, Distribution):
    """How many of n trials succeed.

    Args:
        total_count: n.
        probs: of a success. logits: log(p / (1 - p)), instead of it.
        validate_args: see :class:`Distribution`.
    Raises: ValueError unless one of the two is given.
    """

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True

    def __init__(self, total_count=1, probs=None, logits=None, validate_args=None):
        (total_count,) = self._take(probs, logits, total_count)
        self.total_count = total_count.to(self._param.dtype)
        super().__init__(self._param.size(), validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self):
        return self.total_count * self.probs

    @property
    def mode(self):
        return _core.minimum(((self.total_count + 1) * self.probs).floor(), self.total_count)

    @property
    def variance(self):
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape=()):
        shape = self._extended_shape(sample_shape)
        with _core.no_grad():
            return binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value):
        value = self._checked(value)
        ways = (self.total_count + 1).lgamma() - (value + 1).lgamma() - (self.total_count - value + 1).lgamma()
        # log(1 - p) = logsigmoid(-logits)
        return ways + value * self.logits + self.total_count * _core.logsigmoid(-self.logits)

    def _same_count(self, message):
        count = int(self.total_count.max())
        if not self.total_count.min() == count:
            raise NotImplementedError(message)
        return count

    def entropy(self):
        self._same_count("Inhomogeneous total count not supported by `entropy`.")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand=True):
        count = self._same_count("Inhomogeneous total count not supported by `enumerate_support`.")
        values = _core.arange(1 + count, dtype=self._param.dtype, device=self._param.device)
        values = values.reshape(-1, *(1,) * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values
