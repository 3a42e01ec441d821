"""The normal distribution of vectors."""

import math

from .. import _core, functional
from . import constraints
from .distribution import Distribution
from .utils import lazy_property, standard_normal

__all__ = ["MultivariateNormal"]


def _batch_mv(matrix, vector):
    """Products of batches of matrices and vectors."""
    return (matrix @ vector.unsqueeze(-1)).squeeze(-1)


def _solve_lower(lower, right):
    from ..linalg import solve_triangular

    return solve_triangular(lower, right, upper=False)


def _batch_mahalanobis(bL, bx):
    """xᵀ (L Lᵀ)⁻¹ x for a batch of factors (..., n, n) and one of vectors (..., n), broadcast."""
    if bL.dim() == 2:  # one system for all vectors
        solved = _solve_lower(bL, bx.reshape(-1, bx.shape[-1]).mT)
        return solved.pow(2).sum(0).reshape(bx.shape[:-1])
    shape = functional.broadcast_shapes(bL.shape[:-2], bx.shape[:-1])
    factor = bL.expand((*shape, *bL.shape[-2:]))
    return _solve_lower(factor, bx.expand((*shape, bx.shape[-1])).unsqueeze(-1)).pow(2).sum((-2, -1))


def _eye_like(matrix):
    return _core.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)


def _precision_to_scale_tril(P):
    """The Cholesky factor of the inverse of a matrix: its own factor, rows and columns reversed, inverted."""
    from ..linalg import cholesky

    reversed_factor = cholesky(P.flip((-2, -1)))
    upper = reversed_factor.flip((-2, -1)).mT
    return _solve_lower(upper, _eye_like(P).expand_as(upper))


def _inverse_of_factor(lower):
    """(L Lᵀ)⁻¹."""
    inverse = _solve_lower(lower, _eye_like(lower).expand_as(lower))
    return inverse.mT @ inverse


class _WithFactor(Distribution):
    """Distributions with a covariance matrix, which one of three matrices says: itself, its inverse, its factor L.

    ``_unbroadcasted_scale_tril`` is L of the given matrix's batch, not of the distribution's.
    """

    _not_of_the_batch = ("_unbroadcasted_scale_tril",)

    def _set_factor(self, covariance_matrix, precision_matrix, scale_tril):
        from ..linalg import cholesky

        if scale_tril is not None:
            self._unbroadcasted_scale_tril = scale_tril
        elif covariance_matrix is not None:
            self._unbroadcasted_scale_tril = cholesky(covariance_matrix)
        else:
            self._unbroadcasted_scale_tril = _precision_to_scale_tril(precision_matrix)

    def _expand_matrix(self, matrix):
        return matrix.expand((*self._batch_shape, *matrix.shape[-2:]))

    @lazy_property
    def scale_tril(self):
        """L."""
        return self._expand_matrix(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self):
        """L Lᵀ."""
        return self._expand_matrix(self._unbroadcasted_scale_tril @ self._unbroadcasted_scale_tril.mT)

    @lazy_property
    def precision_matrix(self):
        """The inverse of the covariance matrix."""
        return self._expand_matrix(_inverse_of_factor(self._unbroadcasted_scale_tril))


def _check_matrix(name, matrix):
    if matrix.dim() < 2:
        raise ValueError(f"{name} must be at least two-dimensional, with optional leading batch dimensions")
    return matrix


class MultivariateNormal(_WithFactor):
    """p(x) ∝ exp(-(x - μ)ᵀ Σ⁻¹ (x - μ) / 2).

    Args:
        loc: μ, (..., n).
        covariance_matrix: Σ, positive definite (..., n, n). precision_matrix: Σ⁻¹. scale_tril: lower triangular L with
            a positive diagonal, L Lᵀ = Σ; the cheapest. One of the three.
        validate_args: see :class:`Distribution`.
    Raises: ValueError unless one of the three is given, and for too few dimensions.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc, covariance_matrix=None, precision_matrix=None, scale_tril=None, validate_args=None):
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        given = {name: matrix for name, matrix in given.items() if matrix is not None}
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, matrix),) = given.items()
        batch_shape = functional.broadcast_shapes(_check_matrix(name, matrix).shape[:-2], loc.shape[:-1])
        setattr(self, name, matrix.expand((*batch_shape, *matrix.shape[-2:])))
        self.loc = loc.expand((*batch_shape, loc.shape[-1]))
        super().__init__(batch_shape, self.loc.shape[-1:], validate_args=validate_args)
        self._set_factor(covariance_matrix, precision_matrix, scale_tril)

    @property
    def mean(self):
        return self.loc

    @property
    def mode(self):
        return self.loc

    @property
    def variance(self):
        return self._unbroadcasted_scale_tril.pow(2).sum(-1).expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape=()):
        noise = standard_normal(self._extended_shape(sample_shape), self.loc.dtype, self.loc.device)
        return self.loc + _batch_mv(self._unbroadcasted_scale_tril, noise)

    def _half_log_det(self):
        return self._unbroadcasted_scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def log_prob(self, value):
        distance = _batch_mahalanobis(self._unbroadcasted_scale_tril, self._checked(value) - self.loc)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + distance) - self._half_log_det()

    def entropy(self):
        entropy = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + self._half_log_det()
        return entropy.expand(self._batch_shape)
