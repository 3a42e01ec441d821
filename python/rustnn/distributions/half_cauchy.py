"""The magnitude of a number of the Cauchy distribution."""

import math

from .. import _core
from .cauchy import Cauchy
from .half_normal import _Half

__all__ = ["HalfCauchy"]


class HalfCauchy(_Half):
    """|x| with x of the Cauchy distribution around 0.

    Args:
        scale: that of x, > 0; the median of |x|.
        validate_args: see :class:`Distribution`.
    """

    def __init__(self, scale, validate_args=None):
        super().__init__(Cauchy(0, scale, validate_args=False), validate_args)

    @property
    def mean(self):
        return _core.full(self._extended_shape(), math.inf, dtype=self.scale.dtype, device=self.scale.device)

    @property
    def variance(self):
        return self.base_dist.variance
