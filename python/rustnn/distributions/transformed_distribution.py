"""The distribution of a function of a random number."""

from .. import _core
from . import constraints
from .distribution import Distribution
from .independent import Independent
from .transforms import ComposeTransform, Transform
from .utils import sum_rightmost

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Distribution):
    """The distribution of y = t(x): log p(y) = log p(x) - log |det dy/dx|.

    Args:
        base_distribution: of x.
        transforms: t, or a list of transforms, the first applied first.
        validate_args: see :class:`Distribution`.
    Raises: ValueError for other transforms, and where the base has fewer dimensions than they need.
    """

    arg_constraints = {}
    _not_of_the_batch = ("base_dist",)  # expanded to its own shape

    def __init__(self, base_distribution, transforms, validate_args=None):
        if isinstance(transforms, Transform):
            transforms = [transforms]
        elif not isinstance(transforms, list):
            raise ValueError(f"transforms must be a Transform or list, but was {transforms}")
        elif not all(isinstance(transform, Transform) for transform in transforms):
            raise ValueError("transforms must be a Transform or a list of Transforms")
        self.transforms = transforms
        whole = ComposeTransform(transforms)
        events = whole.domain.event_dim

        shape = base_distribution.batch_shape + base_distribution.event_shape
        if len(shape) < events:
            raise ValueError(f"base_distribution needs to have shape with size at least {events}, but got {shape}.")
        # The transform's parameters may make the batch larger; its values may take dimensions of the base's batch.
        forward_shape = whole.forward_shape(shape)
        wanted = whole.inverse_shape(forward_shape)
        if tuple(wanted) != tuple(shape):
            base_distribution = base_distribution.expand(wanted[: len(wanted) - len(base_distribution.event_shape)])
        missing = events - len(base_distribution.event_shape)
        if missing > 0:
            base_distribution = Independent(base_distribution, missing)
        self.base_dist = base_distribution

        cut = len(forward_shape) - whole.codomain.event_dim - max(len(base_distribution.event_shape) - events, 0)
        super().__init__(forward_shape[:cut], forward_shape[cut:], validate_args=validate_args)

    def expand(self, batch_shape, _instance=None):
        new = super().expand(batch_shape, _instance)
        shape = ComposeTransform(self.transforms).inverse_shape(new._batch_shape + self._event_shape)
        new.base_dist = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])
        return new

    @constraints.dependent_property(is_discrete=False)
    def support(self):
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        more = len(self.event_shape) - support.event_dim
        return constraints.independent(support, more) if more > 0 else support

    @property
    def has_rsample(self):
        return self.base_dist.has_rsample

    def _apply(self, x):
        for transform in self.transforms:
            x = transform(x)
        return x

    def sample(self, sample_shape=()):
        with _core.no_grad():
            return self._apply(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape=()):
        return self._apply(self.base_dist.rsample(sample_shape))

    def log_prob(self, value):
        y, result, events = self._checked(value), 0.0, len(self.event_shape)
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            events += transform.domain.event_dim - transform.codomain.event_dim
            term = transform.log_abs_det_jacobian(x, y)
            result = result - sum_rightmost(term, events - transform.domain.event_dim)
            y = x
        return result + sum_rightmost(self.base_dist.log_prob(y), events - len(self.base_dist.event_shape))

    def _monotonize_cdf(self, value):
        """1 - value where the transforms turn the order round."""
        sign = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        if isinstance(sign, int) and sign == 1:
            return value
        return sign * (value - 0.5) + 0.5

    def cdf(self, value):
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._monotonize_cdf(self.base_dist.cdf(value))

    def icdf(self, value):
        return self._apply(self.base_dist.icdf(self._monotonize_cdf(value)))
