"""Ready parametrizations: orthogonal matrices, weight normalisation and spectral normalisation."""

from __future__ import annotations

from rustnn import _core, linalg
from rustnn._matrix_functions import geqrf
from rustnn.nn import functional as F
from rustnn.nn.modules.module import Module
from rustnn.nn.utils import parametrize
from rustnn.nn.utils.spectral_norm import _as_matrix, _default_dim, _power_iteration
from rustnn.nn.utils.weight_norm import _norm_except_dim

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


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
        return weight / _core.dot(u.conj(), _core.mv(matrix, v))

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


# The distance from one to the next number.
_ROUNDING = {_core.float64: 2.0**-52, _core.float32: 2.0**-23, _core.float16: 2.0**-10, _core.bfloat16: 2.0**-7}


def _with_orthonormal_columns(matrix):
    """Q of the QR decomposition whose R has a positive diagonal."""
    q, r = linalg.qr(matrix)
    return q * r.diagonal(dim1=-2, dim2=-1).sgn().unsqueeze(-2)


def _is_orthogonal(q) -> bool:
    """Within a few units of rounding of its size."""
    unit = _core.eye(q.size(-1), dtype=q.dtype, device=q.device)
    return _core.allclose(q.mT @ q, unit, atol=10.0 * q.size(-2) * _ROUNDING[q.dtype])


class _Orthogonal(Module):
    """A matrix with orthonormal columns (rows, if it is wide) from one without constraints."""

    def __init__(self, weight, orthogonal_map, *, use_trivialization=True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map == "householder":
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            # The map's result is multiplied by it, so that any orthogonal matrix is reached near the map's own zero.
            self.register_buffer("base", None)

    def forward(self, x):
        n, k = x.size(-2), x.size(-1)
        is_wide = n < k
        if is_wide:
            x, n, k = x.mT, k, n
        if self.orthogonal_map == "householder":
            a = x.tril(-1)
            q = linalg.householder_product(a, 2.0 / (1.0 + (a * a).sum(-2)))
            # The diagonal holds signs: constants, not to be trained.
            q = q * x.diagonal(dim1=-2, dim2=-1).detach().trunc().unsqueeze(-2)
        else:
            x = x.tril()
            if n != k:
                x = _core.cat([x, x.new_zeros(n, n - k).expand(*x.shape[:-2], -1, -1)], -1)
            skew = x - x.mT
            if self.orthogonal_map == "matrix_exp":
                q = linalg.matrix_exp(skew)
            else:
                # Cayley: (I - A/2)⁻¹ (I + A/2)
                unit = _core.eye(n, dtype=skew.dtype, device=skew.device)
                q = linalg.solve(unit - skew / 2, unit + skew / 2)
            if n != k:
                q = q[..., :k]
        if hasattr(self, "base"):
            q = self.base @ q
        return q.mT if is_wide else q

    @_core.no_grad()
    def right_inverse(self, value):
        if value.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of shape {value.shape}."
            )
        q = value.detach()
        n, k = q.size(-2), q.size(-1)
        is_wide = n < k
        if is_wide:
            q, n, k = q.mT, k, n
        if hasattr(self, "base"):
            if n == k:
                q = q.clone() if _is_orthogonal(q) else _with_orthonormal_columns(q)
            else:
                more = _core.randn(*q.shape[:-2], n, n - k, dtype=q.dtype, device=q.device)
                q = _with_orthonormal_columns(_core.cat([q, more], -1))
            self.base = q
            # Minus one on the diagonal: where the Householder map gives the unit matrix, and the others too.
            return (
                -_core.eye(*value.shape[-2:], dtype=value.dtype, device=value.device).expand(value.shape).contiguous()
            )
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley parametrizations when "
                "use_trivialization=False."
            )
        a, tau = geqrf(q)
        diagonal = a.diagonal(dim1=-2, dim2=-1)
        # The signs of R; where no reflection was needed, the reflection by zero turns the sign once more.
        signs = _core.where(tau == 0, -diagonal.sign(), diagonal.sign())
        diagonal.copy_(signs)
        return a.mT.contiguous() if is_wide else a


def orthogonal(module, name="weight", orthogonal_map=None, *, use_trivialization=True):
    """Make a weight a matrix with orthonormal columns (rows, if it is wide): Qᵀ Q = I.

        matrix_exp: Q = B exp(A)    cayley: Q = B (I - A/2)⁻¹ (I + A/2)    householder: Q = B H₁ H₂ …

    A is skew-symmetric, from the lower triangle of the parameter; B, the buffer ``base``, is set by assignment.

    Args:
        module: the module that has the weight.
        name: of the weight; a matrix or a batch of matrices.
        orthogonal_map: ``"matrix_exp"``, ``"cayley"`` or ``"householder"``; by default the first for square matrices,
            the last for others.
        use_trivialization: keep B, so that the weight can be assigned (without it only with Householder's map).
    Returns: the module.
    Raises: ValueError if there is no such weight, for a vector or an unknown map.
    Source: Lezcano-Casado 2019, arXiv:1909.09501; behaviour of ``torch.nn.utils.parametrizations.orthogonal``.
    Example:
        >>> import rustnn
        >>> layer = rustnn.nn.utils.parametrizations.orthogonal(rustnn.nn.Linear(20, 40))
        >>> product = layer.weight.T @ layer.weight
        >>> rustnn.allclose(product, rustnn.eye(20), atol=1e-5)
        True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, _core.Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.dim() < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions.")
    if orthogonal_map is None:
        is_square = weight.size(-2) == weight.size(-1)
        orthogonal_map = "matrix_exp" if is_square or weight.is_complex() else "householder"
    if orthogonal_map not in ("matrix_exp", "cayley", "householder"):
        raise ValueError(
            f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}'
        )
    map_module = _Orthogonal(weight, orthogonal_map, use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, map_module, unsafe=True)
    return module
