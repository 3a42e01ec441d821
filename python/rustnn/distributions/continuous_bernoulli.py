"""The continuous Bernoulli distribution."""

import math

from .. import _core
from . import constraints
from ._success import OfSuccess
from .exp_family import ExponentialFamily
from .utils import all_hold, broadcast_all, clamp_probs, lazy_property, logits_to_probs, uniform_like

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(OfSuccess, ExponentialFamily):
    """p(x) ∝ λ^x (1 - λ)^(1 - x) for 0 <= x <= 1: what a binary cross-entropy of pictures is the likelihood of.

    Args:
        probs: λ, in (0, 1); neither a probability nor the mean. logits: log(λ / (1 - λ)), instead of it.
        lims: where between them λ is so near to 1/2 that Taylor's series are taken.
        validate_args: see :class:`Distribution`.
    Raises: ValueError unless one of the two is given.
    Source: Loaiza-Ganem and Cunningham 2019, arXiv:1907.06845.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(self, probs=None, logits=None, lims=(0.499, 0.501), validate_args=None):
        self._take(probs, logits)
        if probs is not None:
            # Here, as they are clamped before the check that all distributions make.
            if validate_args is not None and not all_hold(self.arg_constraints["probs"].check(self.probs)):
                raise ValueError("The parameter probs has invalid values")
            self.probs = self._param = clamp_probs(self.probs)
        self._lims = lims
        super().__init__(self._param.size(), validate_args=validate_args)

    def _stable(self):
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _cut_probs(self):
        """λ, where it is near 1/2 another number."""
        return _core.where(self._stable(), self.probs, self._lims[0])

    def _cont_bern_log_norm(self):
        """The logarithm of the normalising constant, 2 atanh(1 - 2λ) / (1 - 2λ)."""
        cut = self._cut_probs()
        below = _core.where(cut <= 0.5, cut, 0.0)
        above = _core.where(cut >= 0.5, cut, 1.0)
        width = _core.where(cut <= 0.5, (-2.0 * below).log1p(), (2.0 * above - 1.0).log())
        exact = ((-cut).log1p() - cut.log()).abs().log() - width
        square = (self.probs - 0.5).pow(2)
        return _core.where(self._stable(), exact, math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * square) * square)

    @property
    def mean(self):
        cut, x = self._cut_probs(), self.probs - 0.5
        exact = cut / (2.0 * cut - 1.0) + 1.0 / ((-cut).log1p() - cut.log())
        return _core.where(self._stable(), exact, 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x)

    @property
    def stddev(self):
        return self.variance.sqrt()

    @property
    def variance(self):
        cut, square = self._cut_probs(), (self.probs - 0.5).pow(2)
        exact = cut * (cut - 1.0) / (1.0 - 2.0 * cut).pow(2) + 1.0 / ((-cut).log1p() - cut.log()).pow(2)
        return _core.where(self._stable(), exact, 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * square) * square)

    @lazy_property
    def probs(self):
        """λ."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def rsample(self, sample_shape=()):
        return self.icdf(uniform_like(self._extended_shape(sample_shape), self.probs))

    def log_prob(self, value):
        value = self._checked(value)  # before anything else shows in the message
        logits, value = broadcast_all(self.logits, value)
        unnormalised = -_core.binary_cross_entropy_with_logits(logits, value, reduction="none")
        return unnormalised + self._cont_bern_log_norm()

    def cdf(self, value):
        value = self._checked(value)
        cut = self._cut_probs()
        exact = (cut.pow(value) * (1.0 - cut).pow(1.0 - value) + cut - 1.0) / (2.0 * cut - 1.0)
        inside = _core.where(self._stable(), exact, value)
        return _core.where(value <= 0.0, 0.0, _core.where(value >= 1.0, 1.0, inside))

    def icdf(self, value):
        cut = self._cut_probs()
        exact = ((-cut + value * (2.0 * cut - 1.0)).log1p() - (-cut).log1p()) / (cut.log() - (-cut).log1p())
        return _core.where(self._stable(), exact, value)

    def entropy(self):
        none, one = (-self.probs).log1p(), self.probs.log()
        return self.mean * (none - one) - self._cont_bern_log_norm() - none

    @property
    def _natural_params(self):
        return (self.logits,)

    def _log_normalizer(self, x):
        stable = (x <= self._lims[0] - 0.5) | (x > self._lims[1] - 0.5)
        cut = _core.where(stable, x, self._lims[0] - 0.5)
        exact = (cut.exp() - 1.0).abs().log() - cut.abs().log()
        return _core.where(stable, exact, 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0)
