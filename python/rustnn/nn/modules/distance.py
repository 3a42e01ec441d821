"""Distances between vectors."""

from __future__ import annotations

from rustnn.nn import functional as F
from rustnn.nn.modules.module import Module

__all__ = ["CosineSimilarity", "PairwiseDistance"]


class PairwiseDistance(Module):
    """Returns the p-norm of the difference of two sets of vectors.

        y = (Σ |x1 - x2 + eps|^p)^(1/p)

    Args:
        p: of the norm.
        eps: added to each difference, so that the norm has a gradient at zero.
        keepdim: keep the last dimension with size 1.
    Shapes: (N, D) or (D), twice -> (N) or (). Dtypes: floating point.
    Source: behaviour of ``torch.nn.PairwiseDistance``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.PairwiseDistance()(rustnn.tensor([[3.0, 0.0]]), rustnn.tensor([[0.0, 4.0]])).round().tolist()
        [5.0]
    """

    __constants__ = ["norm", "eps", "keepdim"]

    def __init__(self, p=2.0, eps=1e-6, keepdim=False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1, x2):
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """Returns the cosine of the angle between vectors along a dimension.

        y = x1 · x2 / max(‖x1‖ ‖x2‖, eps)

    Args:
        dim: the vectors' dimension.
        eps: least value of the divisor.
    Shapes: (*, D, *), twice -> (*, *). Dtypes: floating point.
    Source: behaviour of ``torch.nn.CosineSimilarity``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.CosineSimilarity(dim=0)(rustnn.tensor([2.0, 0.0]), rustnn.tensor([1.0, 0.0])).item()
        1.0
    """

    __constants__ = ["dim", "eps"]

    def __init__(self, dim=1, eps=1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1, x2):
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
