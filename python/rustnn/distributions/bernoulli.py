"""The distribution of a coin."""

from .. import _core
from . import constraints
from ._of_logits import clamp_probs, one_of
from .distribution import Distribution, broadcast_all

__all__ = ["Bernoulli"]


class Bernoulli(Distribution):
    """1 with probability p, else 0.

    Args:
        probs: p. logits: log(p / (1 - p)), instead of it.
        validate_args: see :class:`Distribution`.
    Raises: ValueError unless one of the two is given.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(self, probs=None, logits=None, validate_args=None):
        one_of(probs, logits)
        name, value = ("probs", probs) if logits is None else ("logits", logits)
        (parameter,) = broadcast_all(value)
        self.__dict__[name] = parameter
        super().__init__(parameter.shape, validate_args=validate_args)

    def __getattr__(self, name):
        # The one of the two that was not given, when it is first asked for.
        if name == "logits" and "probs" in self.__dict__:
            with _core.enable_grad():  # sample() asks without
                probs = clamp_probs(self.probs)
                self.logits = probs.log() - (-probs).log1p()
            return self.logits
        if name == "probs" and "logits" in self.__dict__:
            with _core.enable_grad():
                self.probs = self.logits.sigmoid()
            return self.probs
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def param_shape(self):
        """The shape of the parameter."""
        return self.probs.shape

    @property
    def mean(self):
        return self.probs

    @property
    def mode(self):
        mode = (self.probs >= 0.5).to(self.probs.dtype)
        return mode.masked_fill(self.probs == 0.5, float("nan"))

    @property
    def variance(self):
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape=()):
        with _core.no_grad():
            return _core.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value):
        self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -_core.binary_cross_entropy_with_logits(logits, value.to(logits.dtype), reduction="none")

    def entropy(self):
        return _core.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand=True):
        values = _core.arange(2, dtype=self.probs.dtype).reshape(-1, *(1,) * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values
