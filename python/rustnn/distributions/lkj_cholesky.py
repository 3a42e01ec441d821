"""The LKJ distribution of correlation matrices, as their Cholesky factors."""

import math

from .. import _core
from ..special import multigammaln
from . import constraints
from .beta import Beta
from .distribution import Distribution
from .utils import broadcast_all, finfo, standard_normal

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Lower triangular factors L of correlation matrices, p(L Lᵀ) ∝ det(L Lᵀ)^(η - 1).

    Args:
        dim: the size of the matrices, >= 2.
        concentration: η, > 0; 1 is uniform, above it matrices nearer to the identity are likelier.
        validate_args: see :class:`Distribution`.
    Raises: ValueError for another size.
    Source: Lewandowski, Kurowicka and Joe 2009, Generating random correlation matrices based on vines and extended
    onion method, section 3.2.
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(self, dim, concentration=1.0, validate_args=None):
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        # Of the squared length of row k's part below the diagonal; row 0 has none, its draw is not used.
        below = _core.arange(dim - 1, dtype=self.concentration.dtype, device=self.concentration.device)
        below = _core.cat([below.new_zeros((1,)), below])
        marginal = self.concentration.unsqueeze(-1) + 0.5 * (dim - 2)
        self._beta = Beta(0.5 * below + 0.5, marginal - 0.5 * below)
        super().__init__(self.concentration.size(), (dim, dim), validate_args)

    def sample(self, sample_shape=()):
        """Factors without a gradient, row by row: a direction that is uniform on a sphere, and a length."""
        with _core.no_grad():
            square = self._beta.sample(sample_shape).unsqueeze(-1)
            shape = self._extended_shape(sample_shape)
            direction = standard_normal(shape, self.concentration.dtype, self.concentration.device).tril(-1)
            norm = _core._vector_norm(direction, 2.0, -1, True)
            rows = square.sqrt() * direction / _core.where(norm > 0, norm, 1.0)  # row 0 is zeros
            rest = (1 - rows.pow(2).sum(-1)).clamp(min=finfo(rows).tiny).sqrt()
            return rows + rest.diag_embed()

    def log_prob(self, value):
        """Of the factor: the density of L Lᵀ times the Jacobian of the map to it, Π_k L_kk^(n - k)."""
        value = self._checked(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = _core.arange(2, self.dim + 1, dtype=diagonal.dtype, device=self.concentration.device)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        below = self.dim - 1
        alpha = self.concentration + 0.5 * below
        constant = 0.5 * below * math.log(math.pi) + multigammaln(alpha - 0.5, p=below) - alpha.lgamma() * below
        return (order * diagonal.log()).sum(-1) - constant
