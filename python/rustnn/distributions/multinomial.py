"""The multinomial distribution."""

from .. import _core
from . import constraints
from .binomial import Binomial
from .categorical import Categorical
from .distribution import Distribution
from .utils import broadcast_all

__all__ = ["Multinomial"]


class Multinomial(Distribution):
    """How often each class comes in n choices.

    Args:
        total_count: n, one int for the batch.
        probs: p, >= 0; divided by their sum. logits: log p up to a constant, instead of them.
        validate_args: see :class:`Distribution`.
    Raises: NotImplementedError if n is no int.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}

    def __init__(self, total_count=1, probs=None, logits=None, validate_args=None):
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs=probs, logits=logits)
        self._binomial = Binomial(total_count=total_count, probs=self.probs)
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args)

    @property
    def mean(self):
        return self.probs * self.total_count

    @property
    def variance(self):
        return self.total_count * self.probs * (1 - self.probs)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self):
        return constraints.multinomial(self.total_count)

    @property
    def logits(self):
        """log p."""
        return self._categorical.logits

    @property
    def probs(self):
        """p."""
        return self._categorical.probs

    @property
    def param_shape(self):
        """The shape of the parameter."""
        return self._categorical.param_shape

    def sample(self, sample_shape=()):
        with _core.no_grad():
            choices = self._categorical.sample((self.total_count, *sample_shape))
            choices = choices.permute(*range(1, choices.dim()), 0)
            counts = _core.zeros(self._extended_shape(sample_shape), dtype=self.probs.dtype, device=self.probs.device)
            ones = _core.ones(choices.shape, dtype=counts.dtype, device=counts.device)
            return counts.scatter_add(-1, choices, ones)

    def entropy(self):
        """n H(p) - log n! + the mean of Σ log x_k!, each x_k being binomial."""
        support = self._binomial.enumerate_support(expand=False)[1:]
        terms = self._binomial.log_prob(support).exp() * (support + 1).lgamma()
        n = _core.tensor(float(self.total_count), dtype=terms.dtype, device=terms.device)
        return n * self._categorical.entropy() - (n + 1).lgamma() + terms.sum((0, -1))

    def log_prob(self, value):
        value = self._checked(value)  # before anything else shows in the message
        logits, value = broadcast_all(self.logits, value)
        # 0 log 0 is 0.
        logits = logits.masked_fill((value == 0) & (logits == -float("inf")), 0.0)
        ways = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        return ways + (logits * value).sum(-1)
