"""The chi-squared distribution."""

from . import constraints
from .gamma import Gamma

__all__ = ["Chi2"]


class Chi2(Gamma):
    """The sum of k squares of standard normal numbers: the gamma distribution with a = k / 2, r = 1/2.

    Args:
        df: k, > 0, the degrees of freedom.
        validate_args: see :class:`Distribution`.
    """

    arg_constraints = {"df": constraints.positive}

    def __init__(self, df, validate_args=None):
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    @property
    def df(self):
        """The degrees of freedom."""
        return self.concentration * 2
