"""The generalised Pareto distribution."""

import math

from .. import _core
from . import constraints
from .distribution import Distribution
from .utils import broadcast_all, uniform_like

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """What exceeds a high threshold: P(X > x) = (1 + k (x - μ) / s)^(-1/k), exp(-(x - μ) / s) for k = 0.

    Args:
        loc: μ, the threshold. scale: s, > 0. concentration: k; below 0 the values end at μ - s / k.
        validate_args: see :class:`Distribution`.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive, "concentration": constraints.real}
    has_rsample = True

    def __init__(self, loc, scale, concentration, validate_args=None):
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def _exponential(self):
        """Where k is 0, and k elsewhere."""
        zero = _core.isclose(self.concentration, _core.zeros_like(self.concentration))
        return zero, _core.where(zero, 1.0, self.concentration)

    def rsample(self, sample_shape=()):
        return self.icdf(uniform_like(self._extended_shape(sample_shape), self.loc))

    def _z(self, x):
        return (x - self.loc) / self.scale

    def log_prob(self, value):
        z = self._z(self._checked(value))
        zero, k = self._exponential()
        return _core.where(zero, -z, -(1 + 1 / k) * (k * z).log1p()) - self.scale.log()

    def log_survival_function(self, value):
        """log P(X > value)."""
        z = self._z(self._checked(value))
        zero, k = self._exponential()
        return _core.where(zero, -z, -(k * z).log1p() / k)

    def log_cdf(self, value):
        """log P(X <= value)."""
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value):
        return self.log_cdf(value).exp()

    def icdf(self, value):
        zero, k = self._exponential()
        logarithm = (-value).log1p()
        return self.loc + self.scale * _core.where(zero, -logarithm, (-k * logarithm).expm1() / k)

    @property
    def mean(self):
        k = self.concentration
        return _core.where(k < 1, self.loc + self.scale / (1 - _core.where(k < 1, k, 0.0)), math.inf)

    @property
    def variance(self):
        k = _core.where(self.concentration < 0.5, self.concentration, 0.0)
        return _core.where(self.concentration < 0.5, self.scale**2 / ((1 - k) ** 2 * (1 - 2 * k)), math.inf)

    def entropy(self):
        return (self.scale.log() + self.concentration + 1).expand(self._batch_shape)

    @property
    def mode(self):
        return self.loc

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self):
        below = self.concentration < 0
        end = self.loc - self.scale / _core.where(below, self.concentration, -1.0)
        return constraints.interval(self.loc, _core.where(below, end, math.inf))
