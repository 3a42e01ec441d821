"""Matrix functions of ``torch``'s top level: older spellings of :mod:`rustnn.linalg`, and low-rank approximations."""

import warnings

from . import _core, linalg, return_types
from . import _factorizations as factors
from ._tensor import _kind

__all__ = """
    chain_matmul cholesky cholesky_inverse cholesky_solve det eig frobenius_norm geqrf inverse logdet lstsq lu lu_solve
    lu_unpack matrix_rank nuclear_norm orgqr ormqr pca_lowrank pinverse qr slogdet solve svd svd_lowrank symeig
    triangular_solve
""".split()

_warned = set()


def _deprecated(name, other):
    """PyTorch's warning, once."""
    if name not in _warned:
        _warned.add(name)
        warnings.warn(
            f"torch.{name} is deprecated in favor of {other} and will be removed in a future PyTorch release.",
            UserWarning,
            stacklevel=3,
        )


def inverse(input, *, out=None):
    """See :func:`rustnn.linalg.inv`."""
    return linalg.inv(input, out=out)


def det(input):
    """See :func:`rustnn.linalg.det`."""
    return linalg.det(input)


def pinverse(input, rcond=1e-15):
    """See :func:`rustnn.linalg.pinv`."""
    return linalg.pinv(input, rcond)


def slogdet(input, *, out=None):
    """See :func:`rustnn.linalg.slogdet`."""
    found = linalg.slogdet(input, out=out)
    return getattr(return_types, "slogdet" if out is None else "slogdet_out")(found)


def logdet(input):
    """The logarithm of the determinant: NaN if that is negative, -inf if it is 0."""
    linalg._check_square("logdet", input)
    linalg._check_float("logdet", input, low=False)
    sign, logarithm = linalg.slogdet(input)
    return _core.where(sign < 0, float("nan"), logarithm)


def cholesky(input, upper=False, *, out=None):
    """See :func:`rustnn.linalg.cholesky`."""
    _deprecated("cholesky", "torch.linalg.cholesky")
    linalg._check_square("cholesky", input)
    linalg._check_computed("cholesky_cpu", input)
    L, info = linalg._cholesky_ex("cholesky", input, upper)
    linalg._raise_if_not_positive("cholesky", info)
    return linalg._cast_into("cholesky", L, out)


def _check_square(A):
    if A.size(-1) != A.size(-2):
        rows, columns = A.shape[-2:]
        raise RuntimeError(f"A must be batches of square matrices, but they are {rows} by {columns} matrices")


def _check_right_side(name, B, A):
    if A.dtype is not B.dtype:
        raise RuntimeError(
            f"Expected b and A to have the same dtype, but found b of type {_kind(B.dtype)} and A of type "
            f"{_kind(A.dtype)} instead."
        )
    _check_square(A)
    if A.size(-1) != B.size(-2):
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {A.size(-1)} by {A.size(-1)} but each b matrix is "
            f"{B.size(-2)} by {B.size(-1)}"
        )


def _by_cholesky(B, L, upper):
    if upper:
        L = L.mT
    Y = linalg.solve_triangular(L, B, upper=False)
    return linalg.solve_triangular(L.mT, Y, upper=True)


def cholesky_solve(input, input2, upper=False, *, out=None):
    """X with L Lᵀ X = B (Uᵀ U X = B if ``upper``).

    Args:
        input: B, (*, n, k). input2: L or U, (*, n, n), of which one triangle is looked at.
    """
    for shown, tensor in (("b", input), ("u", input2)):
        if tensor.dim() < 2:
            raise RuntimeError(f"{shown} should have at least 2 dimensions, but has {tensor.dim()} dimensions instead")
    _check_right_side("cholesky_solve", input, input2)
    linalg._check_computed("cholesky_solve_cpu", input)
    return linalg._cast_into("cholesky_solve", _by_cholesky(input, input2, upper), out)


def cholesky_inverse(input, upper=False, *, out=None):
    """(L Lᵀ)⁻¹, or (Uᵀ U)⁻¹ if ``upper``, from the triangle (*, n, n).

    Raises: LinAlgError if an element of the diagonal is zero.
    """
    linalg._check_square("cholesky_inverse", input)
    linalg._check_computed("cholesky_inverse_out_cpu", input)
    zero = input.detach().diagonal(dim1=-2, dim2=-1) == 0
    if input.numel():
        linalg._raise_if_no_inverse(
            "cholesky_inverse", _core.where(zero.any(-1), zero.int().argmax(-1) + 1, 0).to(_core.int32)
        )
    unit = linalg._unit_like(input, input.size(-1)).expand(input.shape)
    return linalg._cast_into("cholesky_inverse", _by_cholesky(unit, input, upper), out)


def triangular_solve(input, A, upper=True, transpose=False, unitriangular=False, *, out=None):
    """(X with A X = B, A): see :func:`rustnn.linalg.solve_triangular`; B is ``input``. ``transpose`` for Aᵀ X = B."""
    _deprecated("triangular_solve", "torch.linalg.solve_triangular")
    for shown, tensor in (("b", input), ("A", A)):
        if tensor.dim() < 2:
            raise RuntimeError(
                f"torch.triangular_solve: Expected {shown} to have at least 2 dimensions, but it has {tensor.dim()} "
                "dimensions instead"
            )
    _check_right_side("triangular_solve", input, A)
    used = A.mT if transpose else A
    X = linalg.solve_triangular(used, input, upper=upper != transpose, unitriangular=unitriangular)
    batched, _ = linalg._same_batches(A, X)
    return linalg._named("triangular_solve", (X, batched.clone()), out)


def lu(A, pivot=True, get_infos=False, out=None):
    """(LU, pivots), and info if ``get_infos``: see :func:`rustnn.linalg.lu_factor_ex`."""
    _deprecated("lu", "torch.linalg.lu_factor / torch.linalg.lu_factor_ex")
    found = tuple(linalg.lu_factor_ex(A, pivot=pivot))[: 3 if get_infos else 2]
    if out is None:
        return found
    return tuple(linalg._into("lu", result, target) for result, target in zip(found, out, strict=True))


def lu_solve(input, LU_data, LU_pivots, *, out=None):
    """See :func:`rustnn.linalg.lu_solve`; B is ``input``."""
    _deprecated("lu_solve", "torch.linalg.lu_solve")
    return linalg.lu_solve(LU_data, LU_pivots, input, out=out)


def lu_unpack(LU_data, LU_pivots, unpack_data=True, unpack_pivots=True, *, out=None):
    """(P, L, U) with A = P L U, from what :func:`rustnn.linalg.lu_factor` gave for A.

    Args:
        unpack_data: False for L and U empty. unpack_pivots: False for P empty.
    """
    if LU_pivots.dtype is not _core.int32:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype.\n"
            "Note: this function is intended to be used with the output produced by torch.linalg.lu_factor"
        )
    if LU_data.dim() < 2:
        raise RuntimeError(
            f"torch.lu_unpack: Expected tensor with 2 or more dimensions. Got size: {list(LU_data.shape)} instead"
        )
    m, n = LU_data.shape[-2:]
    in_range = (LU_pivots >= 1) & (LU_pivots <= m)
    if unpack_pivots and (LU_pivots.size(-1) != min(m, n) or not in_range.all()):
        raise RuntimeError(
            "pivots passed to lu_unpack must be between 1 and LU.size(-2) inclusive."
            "Did you properly pass the result of lu_factor?"
        )
    empty = LU_data.new_empty(0)
    P = linalg._permutation_matrix(LU_data, LU_pivots) if unpack_pivots else empty
    L, U = linalg._triangles(LU_data) if unpack_data else (empty, empty)
    return linalg._named("lu_unpack", (P, L, U), out)


def qr(input, some=True, *, out=None):
    """See :func:`rustnn.linalg.qr`; its mode is "reduced" if ``some``, else "complete"."""
    _deprecated("qr", "torch.linalg.qr")
    mode = "reduced" if some else "complete"
    linalg._check_qr(input, mode)
    return linalg._named("qr", linalg._QR.apply(input, mode), out)


def svd(input, some=True, compute_uv=True, *, out=None):
    """(U, S, V) with A = U diag(S) Vᵀ: see :func:`rustnn.linalg.svd`; ``full_matrices`` is not ``some``. Without
    ``compute_uv``, U and V are zeros."""
    if compute_uv:
        U, S, Vh = linalg.svd(input, full_matrices=not some)
        return linalg._named("svd", (U, S, Vh.mT), out)
    S = linalg.svdvals(input)
    m, n = input.shape[-2:]
    zeros = lambda size: input.new_zeros(*input.shape[:-2], size, size)  # noqa: E731
    return linalg._named("svd", (zeros(m), S, zeros(n)), out)


@linalg._node("GeqrfBackward0")
class _Householder(linalg._Differentiable):
    @staticmethod
    def forward(ctx, A):
        return factors.householder(A)

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError("derivative for aten::geqrf is not implemented")


def geqrf(input, *, out=None):
    """(a, τ) for :func:`orgqr`: R on and above the diagonal of a, the reflections below. Without a gradient."""
    if input.dim() < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    linalg._check_computed("geqrf_cpu", input)
    return linalg._named("geqrf", _Householder.apply(input), out, "torch.geqrf")


def orgqr(input, input2, *, out=None):
    """See :func:`rustnn.linalg.householder_product`; τ is ``input2``."""
    return linalg.householder_product(input, input2, out=out)


def ormqr(input, input2, input3, left=True, transpose=False, *, out=None):
    """Q C, with Q = H₀ H₁ … from the reflections that :func:`geqrf` gives and never made.

    Args:
        input: the reflections, (*, m, k). input2: τ, (*, k). input3: C.
        left: False for C Q. transpose: Qᵀ instead of Q.
    """
    A, tau, C = input, input2, input3
    for shown, tensor in (("input", A), ("other", C)):
        if tensor.dim() < 2:
            raise RuntimeError(f"torch.ormqr: {shown} must have at least 2 dimensions.")
    at = -2 if left else -1
    if C.size(at) < tau.size(-1):
        raise RuntimeError(f"torch.ormqr: other.shape[{at}] must be greater than or equal to tau.shape[-1]")
    if C.size(at) != A.size(-2):
        raise RuntimeError(f"torch.ormqr: other.shape[{at}] must be equal to input.shape[-2]")
    if tau.size(-1) != min(C.size(at), A.size(-1)):
        raise RuntimeError("torch.ormqr: tau.shape[-1] must be equal to min(other.shape[-2], input.shape[-1])")
    if A.dim() - tau.dim() != 1:
        raise RuntimeError(
            "torch.ormqr: Expected tau to have one dimension less than input, but got tau.ndim equal to "
            f"{tau.dim()} and input.ndim is equal to {A.dim()}"
        )
    if A.dim() != C.dim():
        raise RuntimeError(
            f"torch.ormqr: Expected other to have the same number of dimensions as input, but got other.ndim equal to "
            f"{C.dim()} and input.ndim is equal to {A.dim()}"
        )
    for shown, shape in (("tau", tau.shape[:-1]), ("other", C.shape[:-2])):
        if shape != A.shape[:-2]:
            raise RuntimeError(
                f"torch.ormqr: Expected batch dimensions of {shown} to be equal to input.shape[:-2], but got "
                f"{list(shape)}"
            )
    if tau.dtype is not A.dtype or C.dtype is not A.dtype:
        other = "tau" if tau.dtype is not A.dtype else "other"
        got = tau.dtype if other == "tau" else C.dtype
        raise RuntimeError(
            f"torch.ormqr: Expected input and {other} to have the same dtype, but input has dtype {_kind(A.dtype)} and "
            f"{other} has dtype {_kind(got)}"
        )
    linalg._check_computed("ormqr_cpu", A)
    V, T = linalg._reflections(A, tau)
    T = T.mT if transpose else T
    result = C - V @ (T @ (V.mT @ C)) if left else C - ((C @ V) @ T) @ V.mT
    return linalg._into("ormqr", result, out)


def chain_matmul(*matrices, out=None):
    """See :func:`rustnn.linalg.multi_dot`, which takes a list."""
    _deprecated("chain_matmul", "torch.linalg.multi_dot")
    if not matrices:
        raise RuntimeError("chain_matmul(): Expected one or more matrices")
    for matrix in matrices:
        if matrix.dim() != 2:
            raise RuntimeError(f"Tensor dimension is {matrix.dim()}, expected 2 instead.")
    if len(matrices) == 1:
        return linalg._into("chain_matmul", matrices[0].clone(), out)
    return linalg.multi_dot(matrices, out=out)


def frobenius_norm(input, dim=None, keepdim=False, *, out=None):
    """See :func:`rustnn.linalg.vector_norm` with ord 2."""
    return linalg.vector_norm(input, 2, dim, keepdim, out=out)


def nuclear_norm(input, dim=(-2, -1), keepdim=False, *, out=None):
    """See :func:`rustnn.linalg.matrix_norm` with ord "nuc"."""
    if isinstance(dim, bool):
        dim, keepdim = (-2, -1), dim
    return linalg.matrix_norm(input, "nuc", dim, keepdim, out=out)


def svd_lowrank(A, q=6, niter=2, M=None):
    """(U, S, V) of an approximation of A (of A - M) by rank q, from products with random vectors.

    Args:
        A: (*, m, n). M: subtracted, broadcast to A.
        q: the rank; a little more than what is needed makes the approximation good.
        niter: products with A Aᵀ, each making small singular values count less.
    Source: Halko, Martinsson, Tropp 2011, arXiv:0909.4061, algorithms 4.4 and 5.1.
    """
    q = 6 if q is None else q
    niter = 2 if niter is None else niter
    if M is not None:
        A = A - M.expand(A.shape)
    basis = linalg.qr(A @ _core.randn(A.size(-1), q, dtype=A.dtype, device=A.device)).Q
    for _ in range(niter):
        basis = linalg.qr(A @ linalg.qr(A.mT @ basis).Q).Q
    U, S, Vh = linalg.svd(basis.mT @ A, full_matrices=False)
    return basis @ U, S, Vh.mT


def pca_lowrank(A, q=None, center=True, niter=2):
    """(U, S, V): the columns of V are the q principal directions of the rows of A, by :func:`svd_lowrank`.

    Args:
        A: (*, m, n). q: at most min(m, n); by default 6 if there are so many.
        center: subtract the mean of the rows first.
    Raises: ValueError for q or niter out of range.
    """
    m, n = A.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}")
    if not niter >= 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)


def _removed(name, message):
    def function(*args, **kwargs):
        raise RuntimeError("This function was deprecated since version 1.9 and is now removed." + message)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Raises RuntimeError: PyTorch removed it."
    return function


matrix_rank = _removed(
    "matrix_rank",
    "\nPlease use the `torch.linalg.matrix_rank` function instead. The parameter 'symmetric' was renamed in "
    "`torch.linalg.matrix_rank()` to 'hermitian'.",
)
solve = _removed(
    "solve",
    " `torch.solve` is deprecated in favor of `torch.linalg.solve`: X = torch.solve(B, A).solution should be replaced "
    "with:\nX = torch.linalg.solve(A, B)",
)
lstsq = _removed(
    "lstsq",
    " `torch.lstsq` is deprecated in favor of `torch.linalg.lstsq`.\nX, _ = torch.lstsq(B, A) should be replaced "
    "with:\nX = torch.linalg.lstsq(A, B).solution",
)
symeig = _removed(
    "symeig",
    " L, V = torch.symeig(A, eigenvectors=True) should be replaced with:\n"
    "L, V = torch.linalg.eigh(A, UPLO='U' if upper else 'L')",
)
eig = _removed(
    "eig",
    " L, V = torch.eig(A, eigenvectors=True) should be replaced with:\nL_complex, V_complex = torch.linalg.eig(A)",
)
