"""The distribution of a choice among classes."""

from .. import _core, functional
from . import constraints
from .distribution import Distribution
from .utils import finfo, lazy_property, logits_to_probs, one_of, probs_to_logits

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
        self._param = self.logits if probs is None else self.probs
        self._num_events = self._param.size(-1)
        super().__init__(self._param.shape[:-1], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self):
        return constraints.integer_interval(0, self._num_events - 1)

    @lazy_property
    def logits(self):
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self):
        return logits_to_probs(self.logits)

    @property
    def param_shape(self):
        """The shape of the parameter."""
        return self._param.size()

    @property
    def mean(self):
        return _core.full(self._extended_shape(), float("nan"), dtype=self.probs.dtype, device=self.probs.device)

    variance = mean

    @property
    def mode(self):
        return self.probs.argmax(-1)

    def sample(self, sample_shape=()):
        with _core.no_grad():
            rows = self.probs.reshape(-1, self._num_events)
            chosen = _core.multinomial(rows, _core.Size(sample_shape).numel(), True).t()
            return chosen.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value):
        value = self._checked(value).long().unsqueeze(-1)
        value, logits = functional.broadcast_tensors(value, self.logits)
        return logits.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self):
        logits = self.logits.clamp(min=finfo(self.logits).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand=True):
        values = _core.arange(self._num_events, device=self._param.device)
        values = values.reshape(-1, *(1,) * len(self._batch_shape))
        return values.expand(-1, *self._batch_shape) if expand else values
