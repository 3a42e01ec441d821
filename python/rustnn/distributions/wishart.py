"""The Wishart distribution."""

import math
import warnings

from .. import _core, functional
from .._core import Tensor
from ..special import multigammaln
from . import constraints
from .chi2 import Chi2
from .exp_family import ExponentialFamily
from .multivariate_normal import _solve_lower, _WithFactor
from .utils import finfo, standard_normal

__all__ = ["Wishart"]


def _mvdigamma(x, p):
    """The derivative of :func:`multigammaln`."""
    return (x.unsqueeze(-1) - _core.arange(p, dtype=x.dtype, device=x.device) / 2).digamma().sum(-1)


def _trace_of_quotient(lower, matrix):
    """The trace of (L Lᵀ)⁻¹ M."""
    inverse = _solve_lower(lower, _core.eye(lower.shape[-1], dtype=lower.dtype, device=lower.device).expand_as(lower))
    return ((inverse.mT @ inverse) * matrix).sum((-2, -1))


class Wishart(_WithFactor, ExponentialFamily):
    """Σ x xᵀ of k vectors of the normal distribution with the covariance V.

    Args:
        df: k > n - 1, the degrees of freedom; need not be an integer.
        covariance_matrix: V, positive definite (..., n, n). precision_matrix: V⁻¹. scale_tril: lower triangular L with
            a positive diagonal, L Lᵀ = V. One of the three.
        validate_args: see :class:`Distribution`.
    Raises: ValueError for too few degrees of freedom or dimensions; AssertionError unless one of the three is given.
    Source: Bartlett 1933, On the theory of statistical regression (samples).
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    @property
    def arg_constraints(self):
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def __init__(self, df, covariance_matrix=None, precision_matrix=None, scale_tril=None, validate_args=None):
        given = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        given = {name: matrix for name, matrix in given.items() if matrix is not None}
        if len(given) != 1:
            raise AssertionError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        n = matrix.shape[-1]
        if not isinstance(df, Tensor):
            df = _core.tensor(float(df), dtype=matrix.dtype, device=matrix.device)
        batch_shape = functional.broadcast_shapes(matrix.shape[:-2], df.shape)
        if (df <= n - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {n - 1}.")
        setattr(self, name, matrix.expand((*batch_shape, n, n)))
        self.df = df.expand(batch_shape)
        super().__init__(batch_shape, matrix.shape[-2:], validate_args=validate_args)
        self._set_factor(covariance_matrix, precision_matrix, scale_tril)
        each = self.df.unsqueeze(-1) - _core.arange(n, dtype=self.df.dtype, device=self.df.device)
        self._dist_chi2 = Chi2(each)

    @property
    def mean(self):
        return self.df[..., None, None] * self.covariance_matrix

    @property
    def mode(self):
        factor = self.df - self.event_shape[-1] - 1
        return factor.masked_fill(factor <= 0, math.nan)[..., None, None] * self.covariance_matrix

    @property
    def variance(self):
        V = self.covariance_matrix
        diagonal = V.diagonal(dim1=-2, dim2=-1)
        return self.df[..., None, None] * (V.pow(2) + diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2))

    def rsample(self, sample_shape=()):
        """By Bartlett's decomposition; what rounding made singular is drawn again, a few times."""
        sample = self._bartlett_sampling(sample_shape)
        for _ in range(3 if self._event_shape[-1] < 4 else 10):
            singular = ~self.support.check(sample)
            if not singular.any():
                break
            warnings.warn("Singular sample detected.", stacklevel=2)
            sample = _core.where(singular[..., None, None], self._bartlett_sampling(sample_shape), sample)
        return sample

    def _bartlett_sampling(self, sample_shape):
        """Normal numbers below a diagonal of chi numbers, times L, times the transpose of that."""
        diagonal = self._dist_chi2.rsample(sample_shape)
        diagonal = diagonal.clamp(min=finfo(diagonal).tiny).sqrt().diag_embed()
        below = standard_normal(self._extended_shape(sample_shape), diagonal.dtype, diagonal.device).tril(-1)
        factor = self._unbroadcasted_scale_tril @ (diagonal + below)
        return factor @ factor.mT

    def _half_log_det(self):
        return self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value):
        from ..linalg import slogdet

        value = self._checked(value)
        n, lower = self._event_shape[-1], self._unbroadcasted_scale_tril
        return (
            -self.df * (n * math.log(2) / 2 + self._half_log_det())
            - multigammaln(self.df / 2, p=n)
            + (self.df - n - 1) / 2 * slogdet(value)[1]
            - _trace_of_quotient(lower, value) / 2
        )

    def entropy(self):
        n = self._event_shape[-1]
        return (
            (n + 1) * (n * math.log(2) / 2 + self._half_log_det())
            + multigammaln(self.df / 2, p=n)
            - (self.df - n - 1) / 2 * _mvdigamma(self.df / 2, n)
            + self.df * n / 2
        )

    @property
    def _natural_params(self):
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, x, y):
        from ..linalg import slogdet

        n = self._event_shape[-1]
        half = y + (n + 1) / 2
        return half * (n * math.log(2) - slogdet(-2 * x)[1]) + multigammaln(half, p=n)
