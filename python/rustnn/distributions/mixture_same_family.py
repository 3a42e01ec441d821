"""Mixtures of distributions of one kind."""

from .. import _core
from . import constraints
from .categorical import Categorical
from .constraints import MixtureSameFamilyConstraint
from .distribution import Distribution

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """A component by its probability, then a value of it. The components are the last dimension of a batch.

    Args:
        mixture_distribution: a :class:`Categorical`, of the components.
        component_distribution: the components.
        validate_args: see :class:`Distribution`.
    Raises: ValueError for others, and where the shapes of the batches do not go together.
    """

    arg_constraints = {}
    has_rsample = False

    def __init__(self, mixture_distribution, component_distribution, validate_args=None):
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(" The Mixture distribution needs to be an  instance of torch.distributions.Categorical")
        if not isinstance(component_distribution, Distribution):
            raise ValueError("The Component distribution needs to be an instance of torch.distributions.Distribution")
        self._mixture_distribution, self._component_distribution = mixture_distribution, component_distribution
        mixture, components = mixture_distribution.batch_shape, component_distribution.batch_shape
        for one, other in zip(reversed(mixture), reversed(components[:-1]), strict=False):
            if one != 1 and other != 1 and one != other:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({mixture}) is not compatible with "
                    f"`component_distribution.batch_shape`({components[:-1]})"
                )
        choices = mixture_distribution.logits.shape[-1]
        if choices != components[-1]:
            raise ValueError(
                f"`mixture_distribution component` ({choices}) does not equal `component_distribution.batch_shape[-1]` "
                f"({components[-1]})"
            )
        self._num_component = components[-1]
        event_shape = component_distribution.event_shape
        self._event_ndims = len(event_shape)
        super().__init__(components[:-1], event_shape, validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        new = self._get_checked_instance(MixtureSameFamily, _instance)
        new.__dict__.update(self.__dict__)
        batch_shape = _core.Size(batch_shape)
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        new._component_distribution = self._component_distribution.expand((*batch_shape, self._num_component))
        new._batch_shape = batch_shape
        return new

    @constraints.dependent_property
    def support(self):
        return MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self):
        """Of the components."""
        return self._mixture_distribution

    @property
    def component_distribution(self):
        """The components."""
        return self._component_distribution

    def _weights(self):
        """The probabilities of the components, for each dimension of a value."""
        probs = self._mixture_distribution.probs
        return probs.reshape((*probs.shape, *(1,) * self._event_ndims))

    def _over_components(self, value):
        return value.sum(-1 - self._event_ndims)

    @property
    def mean(self):
        return self._over_components(self._weights() * self._component_distribution.mean)

    @property
    def variance(self):
        """The mean of the components' variances and the variance of their means."""
        weights, mean = self._weights(), self._component_distribution.mean
        within = weights * self._component_distribution.variance
        between = weights * (mean - self._pad(self.mean)).pow(2.0)
        return self._over_components(within) + self._over_components(between)

    def cdf(self, x):
        return (self._component_distribution.cdf(self._pad(x)) * self._mixture_distribution.probs).sum(-1)

    def log_prob(self, x):
        log_prob = self._component_distribution.log_prob(self._pad(self._checked(x)))
        return (log_prob + self._mixture_distribution.logits.log_softmax(-1)).logsumexp(-1)

    def sample(self, sample_shape=()):
        with _core.no_grad():
            samples = self._component_distribution.sample(sample_shape)
            chosen = self._mixture_distribution.expand(self._batch_shape).sample(sample_shape)
            at = len(sample_shape) + len(self._batch_shape)
            chosen = chosen.reshape((*chosen.shape, 1, *(1,) * self._event_ndims))
            chosen = chosen.expand((*chosen.shape[: at + 1], *self._event_shape))
            return samples.gather(at, chosen).squeeze(at)

    def _pad(self, x):
        """With a dimension for the components."""
        return x.unsqueeze(-1 - self._event_ndims)

    def __repr__(self):
        return f"MixtureSameFamily(\n  {self._mixture_distribution},\n  {self._component_distribution})"
