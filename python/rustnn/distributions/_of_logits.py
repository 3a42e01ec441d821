"""Distributions that have either probabilities or logits."""

from .. import _core

__all__ = ["clamp_probs"]


def one_of(probs, logits):
    """Raises ValueError unless exactly one of them is given."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


def clamp_probs(probs):
    """Probabilities away from 0 and 1 by the dtype's eps, so that their logarithms are finite."""
    from ..numeric_limits import finfo

    eps = finfo(probs.dtype).eps
    return _core.clamp(probs, eps, 1 - eps)
