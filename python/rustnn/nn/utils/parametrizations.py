"""Ready parametrizations: weight normalisation and spectral normalisation."""

from __future__ import annotations

from rustnn import _core
from rustnn.nn import functional as F
from rustnn.nn.modules.module import Module
from rustnn.nn.utils import parametrize
from rustnn.nn.utils.spectral_norm import _as_matrix, _default_dim, _power_iteration
from rustnn.nn.utils.weight_norm import _norm_except_dim

__all__ = ["spectral_norm", "weight_norm"]


class _WeightNorm(Module):
    """w = g v / ‖v‖ with g as original0 and v as original1."""

    def __init__(self, dim=0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g, weight_v):
        return weight_v * (weight_g / _norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight):
        return _norm_except_dim(weight, self.dim), weight


def weight_norm(module, name="weight", dim=0):
    """Make a weight the product of a length and a direction.

        w = g v / ‖v‖

    Args:
        module: the module that has the weight.
        name: of the weight.
        dim: the dimension that keeps a length of its own; None for one length in all.
    Returns: the module, whose ``parametrizations.weight`` has g as ``original0`` and v as ``original1``. State dicts of
        the older form (``weight_g``, ``weight_v``) load too.
    Source: Salimans & Kingma 2016; behaviour of ``torch.nn.utils.parametrizations.weight_norm``.
    Example:
        >>> from rustnn import nn
        >>> layer = nn.utils.parametrizations.weight_norm(nn.Linear(20, 40))
        >>> layer.parametrizations.weight.original0.shape
        torch.Size([40, 1])
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename_old_keys(state_dict, prefix, *_) -> None:
        old = [f"{prefix}{name}_g", f"{prefix}{name}_v"]
        if all(key in state_dict for key in old):
            for position, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{position}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(rename_old_keys)
    return module


class _SpectralNorm(Module):
    """W divided by its largest singular value, estimated by power iteration in training."""

    def __init__(self, weight, n_power_iterations=1, dim=0, eps=1e-12) -> None:
        super().__init__()
        if dim >= weight.dim() or dim < -weight.dim():
            raise IndexError(
                f"Dimension out of range (expected to be in range of [-{weight.dim()}, {weight.dim() - 1}] but got "
                f"{dim})"
            )
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim if dim >= 0 else dim + weight.dim()
        self.eps = eps
        if weight.dim() > 1:
            self.n_power_iterations = n_power_iterations
            matrix = _as_matrix(weight, self.dim)
            with _core.no_grad():
                u = F.normalize(matrix.new_empty(matrix.size(0)).normal_(0, 1), dim=0, eps=eps)
                v = F.normalize(matrix.new_empty(matrix.size(1)).normal_(0, 1), dim=0, eps=eps)
            self.register_buffer("_u", u)
            self.register_buffer("_v", v)
            # A good start: later each forward does one step only.
            _power_iteration(matrix, self._u, self._v, 15, eps)

    def forward(self, weight):
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = _as_matrix(weight, self.dim)
        if self.training:
            _power_iteration(matrix, self._u, self._v, self.n_power_iterations, self.eps)
        # Copies: the next call changes them in place, and backward needs these.
        u, v = self._u.clone(), self._v.clone()
        return weight / _core.dot(u, _core.mv(matrix, v))

    def right_inverse(self, value):
        # Any weight is its own original, up to its norm.
        return value


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Make a weight itself divided by its largest singular value.

        w = W / (largest singular value of W)

    Args:
        module: the module that has the weight.
        name: of the weight.
        n_power_iterations: steps of the estimate at each use in training.
        eps: least length of a vector.
        dim: the dimension of the output; by default 1 for transposed convolutions, else 0.
    Returns: the module.
    Raises: ValueError if there is no such weight.
    Source: Miyato et al. 2018; behaviour of ``torch.nn.utils.parametrizations.spectral_norm``.
    Example:
        >>> from rustnn import nn
        >>> layer = nn.utils.parametrizations.spectral_norm(nn.Linear(20, 40))
        >>> sorted(layer.state_dict())
        ['bias', 'parametrizations.weight.0._u', 'parametrizations.weight.0._v', 'parametrizations.weight.original']
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, _core.Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = _default_dim(module)
    parametrize.register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
    return module
