"""The distribution of a choice among classes."""

from .. import _core
from . import constraints
from ._of_logits import clamp_probs, one_of
from .distribution import Distribution

__all__ = ["Categorical"]


class Categorical(Distribution):
    """k with probability p_k; the last dimension of the parameter is k.

    Args:
        probs: p, >= 0; divided by their sum. logits: log p up to a constant, instead of them.
        validate_args: see :class:`Distribution`.
    Raises: ValueError unless one of the two is given, with at least one dimension.
    Example:
        >>> policy = rustnn.distributions.Categorical(logits=rustnn.zeros(4))
        >>> policy.log_prob(policy.sample()), policy.entropy()
        (tensor(-1.3863), tensor(1.3863))
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(self, probs=None, logits=None, validate_args=None):
        one_of(probs, logits)
        name, parameter = ("probs", probs) if logits is None else ("logits", logits)
        if parameter.dim() < 1:
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if logits is None:
            self.probs = probs / probs.sum(-1, keepdim=True)
        else:
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
        self._num_events = parameter.shape[-1]
        super().__init__(parameter.shape[:-1], validate_args=validate_args)

    def __getattr__(self, name):
        # The one of the two that was not given, when it is first asked for.
        if name == "logits" and "probs" in self.__dict__:
            with _core.enable_grad():  # sample() asks without
                self.logits = clamp_probs(self.probs).log()
            return self.logits
        if name == "probs" and "logits" in self.__dict__:
            with _core.enable_grad():
                self.probs = self.logits.softmax(-1)
            return self.probs
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def support(self):
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def param_shape(self):
        """The shape of the parameter."""
        return self.probs.shape

    @property
    def mean(self):
        return _core.full(self._extended_shape(), float("nan"), dtype=self.probs.dtype, device=self.probs.device)

    variance = mean

    @property
    def mode(self):
        return self.probs.argmax(-1)

    def sample(self, sample_shape=()):
        with _core.no_grad():
            count = 1
            for size in sample_shape:
                count *= size
            rows = self.probs.reshape(-1, self._num_events)
            chosen = _core.multinomial(rows, count, True).t()
            return chosen.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value):
        self._validate_sample(value)
        from ..functional import broadcast_tensors

        value, logits = broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return logits.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self):
        from ..numeric_limits import finfo

        logits = self.logits.clamp(min=finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand=True):
        values = _core.arange(self._num_events, device=self.probs.device)
        values = values.reshape(-1, *(1,) * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values
