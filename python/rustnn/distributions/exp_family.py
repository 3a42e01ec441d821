"""Distributions whose density is the exponential of an inner product."""

from .. import _core
from .distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """p(x; θ) = exp(⟨t(x), θ⟩ - F(θ) + k(x)).

    A class gives the natural parameters θ (``_natural_params``), F (``_log_normalizer``) and the mean of k
    (``_mean_carrier_measure``); the entropy follows from the gradient of F.

    Source: Nielsen and Nock 2010, Entropies and cross-entropies of exponential families.
    """

    @property
    def _natural_params(self):
        raise NotImplementedError

    def _log_normalizer(self, *natural_params):
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self):
        raise NotImplementedError

    def entropy(self):
        """F(θ) - ⟨θ, ∇F(θ)⟩ - the mean of k."""
        from ..autograd import grad

        result = -self._mean_carrier_measure
        with _core.enable_grad():
            natural = [parameter.detach().requires_grad_() for parameter in self._natural_params]
            logarithm = self._log_normalizer(*natural)
            gradients = grad(logarithm.sum(), natural, create_graph=True)
        result = result + logarithm
        events = len(self._event_shape)
        for parameter, gradient in zip(natural, gradients, strict=True):
            term = parameter * gradient
            result = result - (term.reshape((*self._batch_shape, -1)).sum(-1) if events else term)
        return result
