"""The Laplace distribution."""

from . import constraints
from .distribution import Distribution
from .utils import broadcast_all, finfo, uniform_like

__all__ = ["Laplace"]


class Laplace(Distribution):
    """p(x) = exp(-|x - μ| / b) / 2b.

    Args:
        loc: μ. scale: b, > 0.
        validate_args: see :class:`Distribution`.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc, scale, validate_args=None):
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self):
        return self.loc

    mode = mean

    @property
    def stddev(self):
        return 2**0.5 * self.scale

    @property
    def variance(self):
        return 2 * self.scale.pow(2)

    def rsample(self, sample_shape=()):
        # In (-1, 1): log1p(-|u|) stays finite.
        noise = 2 * uniform_like(self._extended_shape(sample_shape), self.loc) - 1
        noise = noise.clamp(min=-1 + finfo(noise).eps / 2)
        return self.loc - self.scale * noise.sign() * (-noise.abs()).log1p()

    def log_prob(self, value):
        return -(2 * self.scale).log() - (self._checked(value) - self.loc).abs() / self.scale

    def cdf(self, value):
        away = self._checked(value) - self.loc
        return 0.5 - 0.5 * away.sign() * (-away.abs() / self.scale).expm1()

    def icdf(self, value):
        term = value - 0.5
        return self.loc - self.scale * term.sign() * (-2 * term.abs()).log1p()

    def entropy(self):
        return 1 + (2 * self.scale).log()
