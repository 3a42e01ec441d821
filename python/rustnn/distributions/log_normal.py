"""The distribution of e to a normally distributed number."""

from . import constraints
from .normal import Normal

__all__ = ["LogNormal"]


class LogNormal(Normal):
    """exp(x) with x of the normal distribution.

    Args:
        loc: the mean of the logarithm. scale: its standard deviation, > 0.
        validate_args: see :class:`Distribution`.
    """

    support = constraints.positive

    @property
    def mean(self):
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def mode(self):
        return (self.loc - self.scale**2).exp()

    @property
    def variance(self):
        square = self.scale**2
        return square.expm1() * (2 * self.loc + square).exp()

    @property
    def stddev(self):
        return self.variance.sqrt()

    def rsample(self, sample_shape=()):
        return super().rsample(sample_shape).exp()

    def log_prob(self, value):
        self._validate_sample(value)
        logarithm = value.log()
        return Normal(self.loc, self.scale, validate_args=False).log_prob(logarithm) - logarithm

    def cdf(self, value):
        self._validate_sample(value)
        return Normal(self.loc, self.scale, validate_args=False).cdf(value.log())

    def icdf(self, value):
        return super().icdf(value).exp()

    def entropy(self):
        return super().entropy() + self.loc
