"""The geometric distribution."""

from .. import _core
from . import constraints
from ._success import OfSuccess
from .distribution import Distribution
from .utils import all_hold, broadcast_all, finfo, uniform_like

__all__ = ["Geometric"]


class Geometric(OfSuccess, Distribution):
    """How many trials fail before the first that succeeds: P(k) = (1 - p)^k p.

    Args:
        probs: p, in (0, 1]. logits: log(p / (1 - p)), instead of it.
        validate_args: see :class:`Distribution`.
    Raises: ValueError unless one of the two is given.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(self, probs=None, logits=None, validate_args=None):
        self._take(probs, logits)
        super().__init__(self._param.size(), validate_args=validate_args)
        if self._validate_args and probs is not None and not all_hold(self.probs > 0):
            raise ValueError(
                f"Expected parameter probs ({type(self.probs).__name__} of shape {tuple(self.probs.shape)}) of "
                f"distribution {self!r} to be positive but found invalid values:\n"
                f"{self.probs.detach()[self.probs <= 0]}"
            )

    @property
    def mean(self):
        return 1.0 / self.probs - 1.0

    @property
    def mode(self):
        return _core.zeros_like(self.probs)

    @property
    def variance(self):
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape=()):
        with _core.no_grad():
            u = uniform_like(self._extended_shape(sample_shape), self.probs).clamp(min=finfo(self.probs).tiny)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value):
        value, probs = broadcast_all(self._checked(value), self.probs)
        failures = _core.where((probs == 1) & (value == 0), 0.0, probs)  # 0 log 0 is 0
        return value * (-failures).log1p() + self.probs.log()

    def entropy(self):
        return _core.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none") / self.probs
