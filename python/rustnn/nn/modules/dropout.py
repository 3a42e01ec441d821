"""Dropout of elements and of whole channels."""

from __future__ import annotations

from rustnn.nn import functional as F
from rustnn.nn.modules.module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _DropoutNd(Module):
    __constants__ = ["p", "inplace"]

    def __init__(self, p=0.5, inplace=False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """Returns the input with elements set to zero at random in training, unchanged in evaluation.

        y = m x / (1 - p),  m = 0 with probability p, else 1

    Args:
        p: probability of zero.
        inplace: write the result into the input.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Raises: ValueError for p outside [0, 1].
    Source: Hinton et al. 2012; behaviour of ``torch.nn.Dropout``. The mask of a seed differs from PyTorch's.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Dropout(0.2).eval()(rustnn.ones(3)).tolist()
        [1.0, 1.0, 1.0]
    """

    def forward(self, input):
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """Returns signals with whole channels set to zero at random in training.

        y[n, c, :] = m[n, c] x[n, c, :] / (1 - p)

    Args:
        p: probability of zero.
        inplace: write the result into the input.
    Shapes: (N, C, L) or (C, L) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError for p outside [0, 1]; RuntimeError for an input of another rank.
    Source: Tompson et al. 2014; behaviour of ``torch.nn.Dropout1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Dropout1d(1.0)(rustnn.ones(1, 1, 2)).tolist()
        [[[0.0, 0.0]]]
    """

    def forward(self, input):
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """Returns images with whole channels set to zero at random in training.

        y[n, c, …] = m[n, c] x[n, c, …] / (1 - p)

    Args:
        p: probability of zero.
        inplace: write the result into the input.
    Shapes: (N, C, H, W) or (N, C, L) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError for p outside [0, 1].
    Source: Tompson et al. 2014; behaviour of ``torch.nn.Dropout2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Dropout2d(1.0)(rustnn.ones(1, 1, 1, 2)).tolist()
        [[[[0.0, 0.0]]]]
    """

    def forward(self, input):
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """Returns volumes with whole channels set to zero at random in training.

        y[n, c, …] = m[n, c] x[n, c, …] / (1 - p)

    Args:
        p: probability of zero.
        inplace: write the result into the input.
    Shapes: (N, C, D, H, W) or (C, D, H, W) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError for p outside [0, 1].
    Source: Tompson et al. 2014; behaviour of ``torch.nn.Dropout3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Dropout3d(1.0)(rustnn.ones(1, 1, 1, 1, 2)).flatten().tolist()
        [0.0, 0.0]
    """

    def forward(self, input):
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Returns the input with elements set to SELU's limit at random in training, mean and variance kept.

        y = a (m x + (1 - m) alpha') + b,  alpha' = -1.7581, a and b such that N(0, 1) stays N(0, 1)

    Args:
        p: probability of alpha'.
        inplace: kept for PyTorch's signature; not used.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Raises: ValueError for p outside [0, 1].
    Source: Klambauer et al. 2017; behaviour of ``torch.nn.AlphaDropout``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.AlphaDropout(0.2).eval()(rustnn.ones(2)).tolist()
        [1.0, 1.0]
    """

    def forward(self, input):
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """Returns the input with whole channels set to SELU's limit at random in training, mean and variance kept.

        y[n, c, …] = a (m[n, c] x[n, c, …] + (1 - m[n, c]) alpha') + b

    Args:
        p: probability of alpha'.
        inplace: kept for PyTorch's signature; not used.
    Shapes: (N, C, *) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError for p outside [0, 1].
    Source: Klambauer et al. 2017; behaviour of ``torch.nn.FeatureAlphaDropout``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.FeatureAlphaDropout(0.2).eval()(rustnn.ones(1, 2)).tolist()
        [[1.0, 1.0]]
    """

    def forward(self, input):
        return F.feature_alpha_dropout(input, self.p, self.training)
