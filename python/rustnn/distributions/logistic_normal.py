"""Normal numbers broken into parts of a whole."""

from . import constraints
from .normal import Normal
from .transformed_distribution import TransformedDistribution
from .transforms import StickBreakingTransform

__all__ = ["LogisticNormal"]


class LogisticNormal(TransformedDistribution):
    """Points of a simplex: n normally distributed numbers through :class:`StickBreakingTransform`, to n + 1 parts.

    Args:
        loc, scale: of the normal distributions, along the last dimension.
        validate_args: see :class:`Distribution`.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, loc, scale, validate_args=None):
        base = Normal(loc, scale, validate_args=validate_args)
        if not base.batch_shape:
            base = base.expand([1])
        super().__init__(base, StickBreakingTransform(), validate_args=validate_args)

    @property
    def loc(self):
        """The means of the normal distributions."""
        return self.base_dist.base_dist.loc

    @property
    def scale(self):
        """The standard deviations of the normal distributions."""
        return self.base_dist.base_dist.scale
