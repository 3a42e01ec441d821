"""Linear algebra on matrices and batches of them: ``torch.linalg``, for float32 and float64.

A matrix is the last two dimensions; the ones before are batches, and those of several arguments broadcast. Gradients
are written in the functions here, so that they have gradients themselves; source: Giles 2008, "An extended collection
of matrix derivative results", and the papers named where a gradient stands.

What needs eigenvalues or singular values needs NumPy, whose LAPACK finds them. Of complex matrices there are
:func:`eig` and :func:`eigvals`.
"""

import math
from functools import wraps

from . import _core, return_types
from . import _factorizations as factors
from ._core import Tensor
from ._out import filled, refuse_gradients
from ._tensor import _kind
from .autograd.function import Function, FunctionCtx

__all__ = """
    LinAlgError cholesky cholesky_ex cond cross det diagonal eig eigh eigvals eigvalsh householder_product inv inv_ex
    ldl_factor ldl_factor_ex ldl_solve lstsq lu lu_factor lu_factor_ex lu_solve matmul matrix_exp matrix_norm
    matrix_power matrix_rank multi_dot norm pinv qr slogdet solve solve_ex solve_triangular svd svdvals tensorinv
    tensorsolve vander vecdot vector_norm
""".split()

matmul = _core.matmul


_NUMPY_NAMES = {"a": "input", "x": "input", "axis": "dim", "keepdims": "keepdim"}


def _numpy_names(function):
    """Take arguments by NumPy's names too."""

    @wraps(function)
    def call(*args, **kwargs):
        if not _NUMPY_NAMES.keys().isdisjoint(kwargs):
            kwargs = {_NUMPY_NAMES.get(name, name): value for name, value in kwargs.items()}
        return function(*args, **kwargs)

    return call


class LinAlgError(RuntimeError):
    """A matrix that has no inverse, or no factors of the kind asked for."""


_FIELDS = {
    "linalg_cholesky_ex": "L info",
    "linalg_eig": "eigenvalues eigenvectors",
    "linalg_eigh": "eigenvalues eigenvectors",
    "linalg_inv_ex": "inverse info",
    "linalg_ldl_factor": "LD pivots",
    "linalg_ldl_factor_ex": "LD pivots info",
    "linalg_lstsq": "solution residuals rank singular_values",
    "linalg_lu": "P L U",
    "linalg_lu_factor": "LU pivots",
    "linalg_lu_factor_ex": "LU pivots info",
    "linalg_qr": "Q R",
    "linalg_slogdet": "sign logabsdet",
    "linalg_solve_ex": "result info",
    "linalg_svd": "U S Vh",
    "geqrf": "a tau",
    "lu_unpack": "P L U",
    "qr": "Q R",
    "slogdet": "sign logabsdet",
    "svd": "U S V",
    "triangular_solve": "solution cloned_coefficient",
}
for _name, _fields in _FIELDS.items():
    return_types._make(_name, tuple(_fields.split()))
    return_types._make(_name + "_out", tuple(_fields.split()))


# How results go out, and what may come in.


_DTYPE_NAMES = {
    _core.float32: "float",
    _core.float64: "double",
    _core.int64: "long int",
    _core.int16: "short int",
    _core.uint8: "unsigned char",
    _core.int8: "signed char",
    _core.float16: "c10::Half",
    _core.bfloat16: "c10::BFloat16",
}


def _dtype_name(dtype):
    return _DTYPE_NAMES.get(dtype, str(dtype).removeprefix("torch.").replace("int32", "int"))


def _into(name, result, out, message=None):
    """The result, in ``out`` if that is given, which is resized to fit; its dtype must be the result's, or ``message``
    says that it is not."""
    if out is None:
        return result
    refuse_gradients(name, result, out)
    if out.dtype is not result.dtype:
        raise RuntimeError(
            message
            or f"Expected out tensor to have dtype {_dtype_name(result.dtype)}, but got {_dtype_name(out.dtype)} "
            "instead"
        )
    return filled(result, out)


def _cast_into(name, result, out, part="result"):
    """As :func:`_into`, into any dtype of the same kind."""
    if out is None:
        return result
    if not _core.can_cast(result.dtype, out.dtype):
        raise RuntimeError(
            f"{name}: Expected {part} to be safely castable from {_kind(result.dtype)} dtype, but got {part} with "
            f"dtype {_kind(out.dtype)}"
        )
    return _into(name, result.to(out.dtype), out)


def _named(name, results, out=None, cast_as=None):
    """The named tuple of several results, in the tensors of ``out`` if they are given: of any dtype of the same kind
    for the function ``cast_as``."""
    if out is None:
        return getattr(return_types, name)(results)
    if not isinstance(out, (tuple, list)):
        raise TypeError(f"{name}(): argument 'out' must be tuple of Tensors, not {type(out).__name__}")
    into = _into
    if cast_as is not None:
        parts = iter(_FIELDS[name].split())
        into = lambda _, result, target: _cast_into(cast_as, result, target, next(parts))  # noqa: E731
    filled = [into(name, result, target) for result, target in zip(results, out, strict=True)]
    return getattr(return_types, name + "_out")(filled)


def _check_matrix(name, A, argument="A"):
    if not isinstance(A, Tensor):
        function = name.replace("torch.", "").replace(".", "_")
        raise TypeError(f"{function}(): argument '{argument}' (position 1) must be Tensor, not {type(A).__name__}")
    if A.dim() < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")


def _check_square(name, A):
    _check_matrix(name, A)
    if A.shape[-1] != A.shape[-2]:
        rows, columns = A.shape[-2:]
        raise RuntimeError(f"{name}: A must be batches of square matrices, but they are {rows} by {columns} matrices")


def _check_float(name, A, low=True):
    if not A.is_floating_point():
        raise RuntimeError(f"{name}: Expected a floating point or complex tensor as input. Got {_kind(A.dtype)}")
    if not low and A.dtype not in (_core.float32, _core.float64):
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {_kind(A.dtype)}")


def _check_computed(kernel, A):
    if A.dtype not in (_core.float32, _core.float64):
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{_kind(A.dtype)}'")


def _check_same_dtype(name, A, B):
    if A.dtype is not B.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type {_kind(A.dtype)} and B of type "
            f"{_kind(B.dtype)} instead"
        )


def _check_system(name, A, B, left):
    """That A X = B (X A = B) makes sense; then both with all batches."""
    _check_square(name, A)
    _check_matrix(name, B, "B")
    if A.shape[-1] != B.shape[-2 if left else -1]:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation {'AX' if left else 'XA'} = B "
            f"({A.shape[-2]}x{A.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})"
        )
    B, A = _same_batches(B, A)
    return A, B


def _same_batches(A, B):
    rank = max(A.dim(), B.dim()) - 2
    ours = (1,) * (rank + 2 - A.dim()) + tuple(A.shape[:-2])
    theirs = (1,) * (rank + 2 - B.dim()) + tuple(B.shape[:-2])
    for at in range(rank - 1, -1, -1):
        if ours[at] != theirs[at] and 1 not in (ours[at], theirs[at]):
            raise RuntimeError(
                f"The size of tensor a ({ours[at]}) must match the size of tensor b ({theirs[at]}) at non-singleton "
                f"dimension {at}"
            )
    batch = [b if a == 1 else a for a, b in zip(ours, theirs, strict=True)]
    return A.expand(*batch, *A.shape[-2:]), B.expand(*batch, *B.shape[-2:])


def _first_failure(info):
    """(its number for the message, code) of the first matrix whose info is not 0; None if there is none."""
    info = info.detach().cpu()
    if not info.any():
        return None
    if info.dim() == 0:
        return "", int(info)
    at = int((info.reshape(-1) != 0).int().argmax())
    return f" (Batch element {at}):", int(info.reshape(-1)[at])


def _raise_if_not_positive(name, info):
    if failure := _first_failure(info):
        raise LinAlgError(
            f"{name}:{failure[0]} The factorization could not be completed because the input is not positive-definite "
            f"(the leading minor of order {failure[1]} is not positive-definite)."
        )


def _raise_if_no_inverse(name, info):
    if failure := _first_failure(info):
        raise LinAlgError(
            f"{name}:{failure[0]} The diagonal element {failure[1]} is zero, the inversion could not be completed "
            "because the input matrix is singular."
        )


def _raise_if_singular(name, info):
    if failure := _first_failure(info):
        raise LinAlgError(f"{name}:{failure[0]} The solver failed because the input matrix is singular.")


class _Differentiable(Function):
    """A :class:`Function` that is its forward alone where nothing is to be recorded."""

    @classmethod
    def apply(cls, *args):
        if _core.is_grad_enabled() and any(isinstance(arg, Tensor) and arg.requires_grad for arg in args):
            return super().apply(*args)
        return cls.forward(FunctionCtx(), *args)


def _node(name):
    """Name the node of a :class:`Function` in the graph as PyTorch does."""

    def named(function):
        function._backward_cls.__name__ = name
        return function

    return named


def _unit_like(A, rows, columns=None):
    return _core.eye(rows, rows if columns is None else columns, dtype=A.dtype, device=A.device)


# Triangular systems and factors of symmetric matrices.


@_node("LinalgSolveTriangularBackward0")
class _SolveTriangular(_Differentiable):
    @staticmethod
    def forward(ctx, A, B, upper, unit):
        X = factors.triangular(A, B, upper=upper, unit=unit)
        ctx.upper, ctx.unit = upper, unit
        ctx.save_for_backward(A, X)
        return X

    @staticmethod
    def backward(ctx, dX):
        A, X = ctx.saved_tensors
        dB = _SolveTriangular.apply(A.mT, dX, not ctx.upper, ctx.unit)
        if not ctx.needs_input_grad[0]:
            return None, dB, None, None
        dA = -dB @ X.mT
        dA = dA.triu(int(ctx.unit)) if ctx.upper else dA.tril(-int(ctx.unit))
        return dA, dB, None, None


def solve_triangular(A, B, *, upper, left=True, unitriangular=False, out=None):
    """X with A X = B (X A = B if not ``left``), A a triangle of which the rest is not looked at.

    Args:
        A: (*, n, n). B: (*, n, k), or (*, k, n) if not ``left``.
        upper: whether A is the upper triangle.
        unitriangular: take the diagonal of A for ones.
    Returns: (*, n, k) or (*, k, n); infinite or NaN where the diagonal has zeros.
    Example:
        >>> rustnn.linalg.solve_triangular(rustnn.tensor([[2.0, 0.0], [1.0, 1.0]]), rustnn.ones(2, 1), upper=False).T
        tensor([[0.5000, 0.5000]])
    """
    name = "linalg.solve_triangular"
    A, B = _check_system(name, A, B, left)
    _check_same_dtype(name, A, B)
    _check_computed("triangular_solve_cpu", A)
    if left:
        X = _SolveTriangular.apply(A, B, upper, unitriangular)
    else:
        X = _SolveTriangular.apply(A.mT, B.mT, not upper, unitriangular).mT
    return _into("linalg_solve_triangular", X, out)


@_node("LinalgCholeskyExBackward0")
class _Cholesky(_Differentiable):
    @staticmethod
    def forward(ctx, A):
        L, info = factors.cholesky(A)
        ctx.save_for_backward(L)
        ctx.mark_non_differentiable(info)
        return L, info

    @staticmethod
    def backward(ctx, dL, _):
        (L,) = ctx.saved_tensors
        X = L.mT @ dL
        below = X.tril(-1)
        X = (below + below.mT + _core.diag_embed(X.diagonal(dim1=-2, dim2=-1))) / 2
        X = solve_triangular(L, X, upper=False, left=False)
        return solve_triangular(L.mT, X, upper=True)


def _cholesky_ex(name, A, upper):
    _check_square(name, A)
    _check_float(name, A)
    _check_computed("cholesky_cpu", A)
    L, info = _Cholesky.apply(A.mT if upper else A)
    return (L.mT if upper else L), info


def cholesky(input, *, upper=False, out=None):
    """Lower triangular L with A = L Lᵀ, from the lower triangle of a symmetric matrix; U with A = Uᵀ U if ``upper``.

    Raises: LinAlgError for a matrix that is not positive-definite.
    Example:
        >>> rustnn.linalg.cholesky(rustnn.tensor([[4.0, 2.0], [2.0, 5.0]]))
        tensor([[2., 0.],
                [1., 2.]])
    """
    L, info = _cholesky_ex("linalg.cholesky", input, upper)
    _raise_if_not_positive("linalg.cholesky", info)
    return _into("linalg_cholesky_ex", L, out)


def cholesky_ex(input, *, upper=False, check_errors=False, out=None):
    """:func:`cholesky` and ``info``: 0, or the order of the leading minor that is not positive. It raises only if
    ``check_errors``."""
    L, info = _cholesky_ex("linalg.cholesky", input, upper)
    if check_errors:
        _raise_if_not_positive("linalg.cholesky_ex", info)
    return _named("linalg_cholesky_ex", (L, info), out)


# LU: systems, inverses and determinants.


@_node("LinalgLuFactorExBackward0")
class _LU(_Differentiable):
    @staticmethod
    def forward(ctx, A):
        LU, pivots, info = factors.lu(A)
        ctx.save_for_backward(LU, pivots)
        ctx.mark_non_differentiable(pivots, info)
        return LU, pivots, info

    @staticmethod
    def backward(ctx, dLU, *_):
        # Of P A = L U, L and U cut where the shorter side ends: A₁₂ = L₁ U₂ and A₂₁ = L₂ U₁ are triangular systems.
        LU, pivots = ctx.saved_tensors
        m, n = LU.shape[-2:]
        k = min(m, n)
        first, dfirst = LU[..., :k, :k], dLU[..., :k, :k]
        L1, U1 = first.tril(-1) + _unit_like(LU, k), first.triu()
        below, above = L1.mT @ dfirst.tril(-1), dfirst.triu() @ U1.mT
        if n > k:
            below = below - dLU[..., k:] @ LU[..., k:].mT
        if m > k:
            above = above - LU[..., k:, :].mT @ dLU[..., k:, :]
        inner = below.tril(-1) + above.triu()
        left = lambda X: solve_triangular(L1.mT, X, upper=True, unitriangular=True)  # noqa: E731
        right = lambda X: solve_triangular(U1.mT, X, upper=False, left=False)  # noqa: E731
        dA = right(left(inner))
        if n > k:
            dA = _core.cat([dA, left(dLU[..., k:])], -1)
        if m > k:
            dA = _core.cat([dA, right(dLU[..., k:, :])], -2)
        return factors.permuted(dA, factors.permutation(pivots, m), back=True)


def _lu_factor_ex(A, pivot, name="torch.lu_factor"):
    if A.dim() < 2:
        raise RuntimeError(f"{name}: Expected tensor with 2 or more dimensions. Got size: {list(A.shape)} instead")
    _check_computed("lu_cpu", A)
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    return _LU.apply(A)


def _raise_if_pivot_is_zero(name, info):
    if failure := _first_failure(info):
        at = failure[1]
        raise RuntimeError(
            f"{name}:{failure[0]} U[{at},{at}] is zero and using it on lu_solve would result in a division by zero. If "
            "you still want to perform the factorization, consider calling linalg.lu(A, pivot) or "
            "linalg.lu_factor_ex(A, pivot)"
        )


def lu_factor(A, *, pivot=True, out=None):
    """(LU, pivots) with partial pivoting, for :func:`lu_solve`: L without its ones and U in one matrix (*, m, n); row i
    was exchanged with row pivots[i], counted from 1.

    Raises: RuntimeError if a pivot is zero.
    """
    LU, pivots, info = _lu_factor_ex(A, pivot)
    _raise_if_pivot_is_zero("torch.linalg.lu_factor", info)
    return _named("linalg_lu_factor", (LU, pivots), out)


def lu_factor_ex(A, *, pivot=True, check_errors=False, out=None):
    """:func:`lu_factor` and ``info``: 0, or the number of the first pivot that is zero."""
    LU, pivots, info = _lu_factor_ex(A, pivot)
    if check_errors:
        _raise_if_pivot_is_zero("torch.linalg.lu_factor_ex", info)
    return _named("linalg_lu_factor_ex", (LU, pivots, info), out)


def _unpacked(LU, pivots):
    """P, L and U of a factorization."""
    return _permutation_matrix(LU, pivots), *_triangles(LU)


def _triangles(LU):
    m, n = LU.shape[-2:]
    k = min(m, n)
    return LU[..., :k].tril(-1) + _unit_like(LU, m, k), LU[..., :k, :].triu()


def _permutation_matrix(LU, pivots):
    order = factors.permutation(pivots, LU.size(-2)).to(LU.device)
    return _unit_like(LU, LU.size(-2))[order].mT.contiguous()


def lu(A, *, pivot=True, out=None):
    """(P, L, U) with A = P L U: a permutation (*, m, m), a lower triangle with ones on the diagonal (*, m, k) and an
    upper one (*, k, n), k = min(m, n)."""
    LU, pivots, _ = _lu_factor_ex(A, pivot, "linalg.lu")
    return _named("linalg_lu", _unpacked(LU, pivots), out)


def lu_solve(LU, pivots, B, *, left=True, adjoint=False, out=None):
    """X with A X = B from what :func:`lu_factor` gave for A.

    Args:
        left: False for X A = B.
        adjoint: True for Aᵀ instead of A.
    """
    name = "linalg.lu_solve"
    _check_float(f"torch.{name}", LU)
    if LU.dtype is not B.dtype:
        raise RuntimeError(
            f"{name}: Expected LU and B to have the same dtype, but found LU of type {_kind(LU.dtype)} and B of type "
            f"{_kind(B.dtype)} instead"
        )
    if pivots.dtype is not _core.int32:
        raise RuntimeError(f"{name}: pivots should be a Tensor of scalar type torch.int32")
    _check_square(f"torch.{name}", LU)
    _check_matrix(name, B, "B")
    n = LU.size(-1)
    if pivots.dim() == 0 or pivots.size(-1) != n:
        raise RuntimeError(f"{name}: Number of pivots per batch should be same as the dimension of the matrix")
    if pivots.shape[:-1] != LU.shape[:-2]:
        raise RuntimeError(
            f"{name}: Expected LU.shape[:-1] and pivots.shape to be the same, but got pivots with shape "
            f"{list(pivots.shape)} instead"
        )
    for wrong, bound in ((pivots < 1, "greater or equal to 1"), (pivots > n, "smaller or equal to LU.size(-2)")):
        if wrong.any():
            raise RuntimeError(
                f"Pivots given to lu_solve must all be {bound}. Did you properly pass the result of lu_factor?"
            )
    factorization, B = _check_system(name, LU, B, left)
    _check_computed("lu_solve_cpu", LU)
    order = factors.permutation(pivots, LU.size(-1)).expand(*factorization.shape[:-1])
    X = B if left else B.mT
    if adjoint == left:  # Aᵀ X = B
        X = solve_triangular(factorization.mT, X, upper=False)
        X = solve_triangular(factorization.mT, X, upper=True, unitriangular=True)
        X = factors.permuted(X, order, back=True)
    else:
        X = solve_triangular(factorization, factors.permuted(X, order), upper=False, unitriangular=True)
        X = solve_triangular(factorization, X, upper=True)
    return _into("linalg_lu_solve", X if left else X.mT, out)


@_node("LinalgSolveExBackward0")
class _Solve(_Differentiable):
    @staticmethod
    def forward(ctx, A, B):
        X, info = factors.solve(A, B)
        ctx.save_for_backward(A, X)
        ctx.mark_non_differentiable(info)
        return X, info

    @staticmethod
    def backward(ctx, dX, _):
        A, X = ctx.saved_tensors
        dB, _ = _Solve.apply(A.mT, dX)
        return (-dB @ X.mT if ctx.needs_input_grad[0] else None), dB


def _is_vector(A, B):
    """Whether B holds vectors, one for each matrix, or is one."""
    return B.dim() == 1 or (B.dim() + 1 == A.dim() and B.shape == A.shape[:-1])


def _solve_ex(A, B, left):
    name = "linalg.solve"
    _check_square(name, A)
    _check_float(name, A)
    _check_same_dtype(name, A, B)
    is_vector = _is_vector(A, B)
    A, B = _check_system(name, A, B.unsqueeze(-1) if is_vector else B, left)
    _check_computed("lu_cpu", A)
    X, info = _Solve.apply(A, B) if left else _Solve.apply(A.mT, B.mT)
    X = X if left else X.mT
    return (X.squeeze(-1) if is_vector else X), info


def solve(A, B, *, left=True, out=None):
    """X with A X = B, or X A = B if not ``left``.

    Args:
        A: (*, n, n).
        B: (*, n, k), or (*, k, n) if not ``left``; or vectors: one (n), or one for each matrix (*, n).
    Raises: LinAlgError if a matrix is singular.
    Example:
        >>> rustnn.linalg.solve(rustnn.tensor([[2.0, 0.0], [0.0, 4.0]]), rustnn.ones(2))
        tensor([0.5000, 0.2500])
    """
    X, info = _solve_ex(A, B, left)
    _raise_if_singular("torch.linalg.solve", info)
    return _into("linalg_solve", X, out)


def solve_ex(A, B, *, left=True, check_errors=False, out=None):
    """:func:`solve` and ``info``: 0, or the number of the first pivot that is zero."""
    X, info = _solve_ex(A, B, left)
    if check_errors:
        _raise_if_singular("torch.linalg.solve_ex", info)
    return _named("linalg_solve_ex", (X, info), out)


@_node("LinalgInvExBackward0")
class _Inverse(_Differentiable):
    @staticmethod
    def forward(ctx, A):
        inverse, info = factors.solve(A, _unit_like(A, A.size(-1)).expand(A.shape))
        ctx.save_for_backward(inverse)
        ctx.mark_non_differentiable(info)
        return inverse, info

    @staticmethod
    def backward(ctx, dinverse, _):
        (inverse,) = ctx.saved_tensors
        return -inverse.mT @ dinverse @ inverse.mT


def _inv_ex(A):
    _check_square("linalg.inv", A)
    _check_float("linalg.inv", A, low=False)
    return _Inverse.apply(A)


def inv(A, *, out=None):
    """The inverse of a square matrix.

    Raises: LinAlgError for a singular matrix.
    """
    inverse, info = _inv_ex(A)
    _raise_if_no_inverse("linalg.inv", info)
    return _into("linalg_inv_ex", inverse, out)


def inv_ex(A, *, check_errors=False, out=None):
    """:func:`inv` and ``info``: 0, or the number of the first pivot that is zero.

    Raises: LinAlgError if ``check_errors`` and a matrix is singular.
    """
    inverse, info = _inv_ex(A)
    if check_errors:
        _raise_if_no_inverse("linalg.inv_ex", info)
    return _named("linalg_inv_ex", (inverse, info), out)


def _cofactors(A):
    """The matrix of cofactors from the minors: right for singular matrices too, at n² times the work."""
    n = A.size(-1)
    rest = _core.tensor([[j for j in range(n) if j != i] for i in range(n)], dtype=_core.int64, device=A.device)
    rest = rest.reshape(n, n - 1)
    minors = A[..., rest[:, None, :, None], rest[None, :, None, :]]
    steps = _core.arange(n, device=A.device)
    signs = 1 - 2 * ((steps.unsqueeze(-1) + steps) % 2)
    return det(minors) * signs.to(A.dtype)


@_node("LinalgDetBackward0")
class _Det(_Differentiable):
    @staticmethod
    def forward(ctx, A):
        LU, pivots, _ = factors.lu(A)
        result = _det_of(LU, pivots)
        ctx.save_for_backward(A, LU, pivots, result)
        return result

    @staticmethod
    def backward(ctx, grad):
        A, LU, pivots, result = ctx.saved_tensors
        scale = (grad * result)[..., None, None]
        singular = bool((result.detach() == 0).any())
        if not A.numel():
            return _core.zeros_like(A)
        if not singular:
            return scale * _Inverse.apply(A)[0].mT
        if _core.is_grad_enabled():
            return grad[..., None, None] * _cofactors(A)
        # The determinant is smooth where the inverse is not: a pivot of the size of rounding stands for zero.
        diagonal = LU.diagonal(dim1=-2, dim2=-1)
        shift = _core.diag_embed((diagonal == 0).to(A.dtype) * _epsilon(A))
        LU = LU + shift
        unit = _unit_like(A, A.size(-1)).expand(A.shape)
        return (grad * _det_of(LU, pivots))[..., None, None] * factors.lu_solve(LU, pivots, unit).mT


def _det_of(LU, pivots):
    exchanges = pivots != _core.arange(1, pivots.size(-1) + 1, dtype=_core.int32, device=pivots.device)
    return LU.diagonal(dim1=-2, dim2=-1).prod(-1) * (1 - 2 * (exchanges.sum(-1) % 2)).to(LU.dtype)


def _epsilon(A):
    """The distance from one to the next number."""
    return 2.0**-52 if A.dtype is _core.float64 else 2.0**-23


def det(A, *, out=None):
    """The determinant of a square matrix."""
    _check_square("linalg.det", A)
    _check_float("linalg.det", A)
    _check_computed("lu_cpu", A)
    return _into("linalg_det", _Det.apply(A), out)


@_node("LinalgSlogdetBackward0")
class _Slogdet(_Differentiable):
    @staticmethod
    def forward(ctx, A):
        ctx.save_for_backward(A)
        return factors.slogdet(A)

    @staticmethod
    def backward(ctx, _, dlogarithm):
        (A,) = ctx.saved_tensors
        return dlogarithm[..., None, None] * _Inverse.apply(A)[0].mT


def slogdet(A, *, out=None):
    """(sign, logarithm of the magnitude) of the determinant; 0 and -inf for a singular matrix."""
    _check_square("linalg.slogdet", A)
    _check_float("linalg.slogdet", A, low=False)
    return _named("linalg_slogdet", _Slogdet.apply(A), out)


# QR.


def _reflections(A, tau):
    """(V, T) with H₀ H₁ … = I - V T Vᵀ, Hᵢ = I - τᵢ vᵢ vᵢᵀ and vᵢ in column i of A below its diagonal. Differentiable.

    Source: Schreiber and Van Loan 1989, doi:10.1137/0910005; T from a triangular system as in Joffrain et al. 2006.
    """
    k = tau.size(-1)
    V = A[..., :k].tril(-1) + _unit_like(A, A.size(-2), k)
    system = tau.unsqueeze(-1) * (V.mT @ V).triu(1) + _unit_like(A, k)
    return V, solve_triangular(system, _core.diag_embed(tau), upper=True, unitriangular=True)


def householder_product(input, tau, *, out=None):
    """The first n columns of H₀ H₁ … with Hᵢ = I - τᵢ vᵢ vᵢᵀ.

    Args:
        input: A, (*, m, n), m ≥ n: vᵢ in column i below the diagonal, after a one on it.
        tau: (*, k), k ≤ n.
    """
    A = input
    name = "torch.linalg.householder_product"
    if A.dim() < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if A.size(-2) < A.size(-1):
        raise RuntimeError(f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]")
    if tau.dim() == 0 or A.size(-1) < tau.size(-1):
        raise RuntimeError(f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]")
    if A.dim() - tau.dim() != 1:
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal to {tau.dim()} and "
            f"input.ndim is equal to {A.dim()}"
        )
    if tau.shape[:-1] != A.shape[:-2]:
        raise RuntimeError(
            f"{name}: Expected batch dimensions of tau to be equal to input.shape[:-2], but got {list(tau.shape[:-1])}"
        )
    if tau.dtype is not A.dtype:
        raise RuntimeError(f"{name}: tau dtype {_kind(tau.dtype)} does not match input dtype {_kind(A.dtype)}")
    _check_computed("orgqr_cpu", A)
    V, T = _reflections(A, tau)
    Q = _unit_like(A, *A.shape[-2:]) - V @ (T @ V[..., : A.size(-1), :].mT)
    return _cast_into("torch.linalg.householder_product", Q, out)


@_node("LinalgQrBackward0")
class _QR(_Differentiable):
    @staticmethod
    def forward(ctx, A, mode):
        m, n = A.shape[-2:]
        k = min(m, n)
        H, tau = factors.householder(A)
        ctx.mode, ctx.shape = mode, (m, n)
        if mode == "r":
            Q = A.new_empty(0)
            R = H[..., :k, :].triu()
        elif mode == "complete" and m > k:
            Q = householder_product(_core.cat([H, H.new_zeros(*H.shape[:-1], m - k)], -1), tau)
            R = H.triu()
        else:
            Q = householder_product(H[..., :k], tau)
            R = H[..., :k, :].triu()
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(Q, R)
        return Q, R

    @staticmethod
    def backward(ctx, dQ, dR):
        # Walter, Lehmann 2018, doi:10.1007/s13137-018-0116-4; R₂ = Qᵀ A₂ where A is wide.
        m, n = ctx.shape
        if ctx.mode == "r":
            raise RuntimeError(
                "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use "
                "linalg.qr(A, mode='reduced') if you are going to differentiate through linalg.qr."
            )
        if ctx.mode == "complete" and m > n:
            raise RuntimeError("The QR decomposition is not differentiable when mode='complete' and nrows > ncols.")
        Q, R = ctx.saved_tensors
        if dQ is None and dR is None:
            return None, None
        k = min(m, n)
        dQ = _core.zeros_like(Q) if dQ is None else dQ
        dR = _core.zeros_like(R) if dR is None else dR
        R1, dR1 = R[..., :k], dR[..., :k]
        if n > k:
            dA2 = Q @ dR[..., k:]
            dQ = dQ + Q @ R[..., k:] @ dR[..., k:].mT
        inner = (dR1 @ R1.mT - Q.mT @ dQ).triu()
        inner = inner + inner.mT - _core.diag_embed(inner.diagonal(dim1=-2, dim2=-1))
        dA = solve_triangular(R1.mT, dQ + Q @ inner, upper=False, left=False)
        return (_core.cat([dA, dA2], -1) if n > k else dA), None


def _check_qr(A, mode):
    _check_matrix("linalg.qr", A)
    _check_float("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', or 'complete'"
        )
    _check_computed("geqrf_cpu", A)


def qr(A, mode="reduced", *, out=None):
    """(Q, R) with A = Q R: Q with orthonormal columns, R an upper triangle.

    Args:
        A: (*, m, n).
        mode: "reduced": Q is (*, m, k) and R (*, k, n), k = min(m, n); "complete": (*, m, m) and (*, m, n), without a
            gradient if m > n; "r": R alone, Q empty and no gradient.
    """
    _check_qr(A, mode)
    return _named("linalg_qr", _QR.apply(A, mode), out)


# Eigenvalues and singular values.


@_node("LinalgEighBackward0")
class _Eigh(_Differentiable):
    @staticmethod
    def forward(ctx, A, UPLO):
        L, V = factors.eigh(A, UPLO=UPLO)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(L, V)
        return L, V

    @staticmethod
    def backward(ctx, dL, dV):
        L, V = ctx.saved_tensors
        if dV is None:
            return (None if dL is None else V @ (dL.unsqueeze(-1) * V.mT)), None
        gaps = _gaps(L)
        inner = V.mT @ dV / gaps
        inner = inner - _core.diag_embed(inner.diagonal(dim1=-2, dim2=-1))
        if dL is not None:
            inner = inner + _core.diag_embed(dL)
        dA = V @ inner @ V.mT
        return (dA + dA.mT) / 2, None


def _gaps(values):
    """vⱼ - vᵢ in row i, and ones on the diagonal."""
    return values.unsqueeze(-2) - values.unsqueeze(-1) + _unit_like(values, values.size(-1))


def _eigh(name, A, UPLO):
    _check_square("linalg.eigh", A)
    if not isinstance(UPLO, str):
        raise TypeError(f"linalg_{name}(): argument 'UPLO' (position 2) must be str, not {type(UPLO).__name__}")
    if UPLO not in ("L", "U", "l", "u"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    _check_computed("linalg_eigh_cpu", A)
    return _Eigh.apply(A, UPLO)


def eigh(input, UPLO="L", *, out=None):
    """(eigenvalues (*, n), rising; eigenvectors (*, n, n), as columns) of a symmetric matrix; needs NumPy.

    Args:
        UPLO: which triangle is looked at, "L" or "U".

    The signs of eigenvectors are arbitrary, and so is their basis where eigenvalues are equal: gradients are finite and
    of use only for functions that do not depend on that.
    """
    return _named("linalg_eigh", _eigh("eigh", input, UPLO), out)


def eigvalsh(input, UPLO="L", *, out=None):
    """The eigenvalues of a symmetric matrix, rising; needs NumPy."""
    return _into("linalg_eigvalsh", _eigh("eigvalsh", input, UPLO)[0], out)


@_node("LinalgEigBackward0")
class _Eig(_Differentiable):
    @staticmethod
    def forward(ctx, A):
        L, V = factors.eig(A)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(L, V)
        ctx.real = not A.is_complex()
        return L, V

    @staticmethod
    def backward(ctx, dL, dV):
        L, V = ctx.saved_tensors
        if dL is None and dV is None:
            return None
        inner = 0
        if dV is not None:
            turned = V.mH @ dV
            own = turned.diagonal(dim1=-2, dim2=-1)
            # Eigenvectors are fixed but for their phases, on which no gradient may depend.
            if not _core.allclose(own.imag, _core.zeros_like(own.imag), atol=1e-2, rtol=1e-2):
                raise RuntimeError(
                    "linalg_eig_backward: The eigenvectors in the complex case are specified up to multiplication by "
                    "e^{i phi}. The specified loss function depends on this quantity, so it is ill-defined."
                )
            inner = (turned - (V.mH @ V) * own.real.unsqueeze(-2)) / _gaps(L).conj()
        if dL is not None:
            inner = inner + _core.diag_embed(dL)
        dA = _solved(V.mH, inner @ V.mH)
        return dA.real if ctx.real else dA


def _solved(A, B):
    """X with A X = B, all complex: as one system of real numbers twice as large."""
    blocks = _core.cat([_core.cat([A.real, -A.imag], -1), _core.cat([A.imag, A.real], -1)], -2)
    X = solve(blocks, _core.cat([B.real, B.imag], -2))
    n = A.shape[-1]
    return _core.complex(X[..., :n, :], X[..., n:, :])


def _eig(name, A):
    _check_square(f"linalg.{name}", A)
    if not (A.is_floating_point() or A.is_complex()):
        raise RuntimeError(f"Unknown Complex ScalarType for {_kind(A.dtype)}")
    if A.dtype not in (_core.float32, _core.float64, _core.complex64, _core.complex128):
        raise NotImplementedError(f"\"linalg_eig_out_cpu\" not implemented for '{_kind(A.dtype)}'")
    if not A.detach().isfinite().all():
        raise RuntimeError(f"torch.linalg.{name}: input tensor should not contain infs or NaNs.")
    return _Eig.apply(A)


def eig(input, *, out=None):
    """(eigenvalues (*, n), eigenvectors (*, n, n) as columns of length 1) of a square matrix, complex; needs NumPy.

    Eigenvectors are fixed but for their phases: a loss that depends on those raises in the backward.
    """
    return _named("linalg_eig", _eig("eig", input), out)


def eigvals(input, *, out=None):
    """The eigenvalues (*, n) of a square matrix, complex; needs NumPy."""
    L = _eig("eigvals", input)[0]
    return L if out is None else _cast_into("torch.linalg.eigvals", L, out, "eigenvalues")


@_node("LinalgSvdBackward0")
class _SVD(_Differentiable):
    @staticmethod
    def forward(ctx, A, full_matrices):
        U, S, Vh = factors.svd(A, full_matrices=full_matrices)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(U, S, Vh)
        return U, S, Vh

    @staticmethod
    def backward(ctx, dU, dS, dVh):
        # Townsend 2016, "Differentiating the singular value decomposition".
        U, S, Vh = ctx.saved_tensors
        m, n, k = U.size(-2), Vh.size(-1), S.size(-1)
        # Columns beyond k complete a basis: no function that has a gradient sees which.
        U, V = U[..., :k], Vh[..., :k, :].mT
        dU = None if dU is None else dU[..., :k]
        dV = None if dVh is None else dVh[..., :k, :].mT
        if dU is None and dV is None:
            return (None if dS is None else U @ (dS.unsqueeze(-1) * V.mT)), None
        gaps = S.unsqueeze(-2).square() - S.unsqueeze(-1).square() + _unit_like(S, k)
        inner = 0 if dS is None else _core.diag_embed(dS)
        if dU is not None:
            X = U.mT @ dU
            inner = inner + (X - X.mT) / gaps * S.unsqueeze(-2)
        if dV is not None:
            Y = V.mT @ dV
            inner = inner + S.unsqueeze(-1) * ((Y - Y.mT) / gaps)
        dA = U @ inner @ V.mT
        if dU is not None and m > k:
            dA = dA + (dU - U @ X) / S.unsqueeze(-2) @ V.mT
        if dV is not None and n > k:
            dA = dA + U / S.unsqueeze(-2) @ (dV - V @ Y).mT
        return dA, None


def _check_svd(A, driver=None):
    _check_matrix("linalg.svd", A)
    _check_float("linalg.svd", A)
    _check_computed("linalg_svd_cpu", A)
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with cuSOLVER backend."
        )


def svd(A, full_matrices=True, *, driver=None, out=None):
    """(U, S, Vᵀ) with A = U diag(S) Vᵀ: orthonormal columns, the singular values, falling, and orthonormal rows; needs
    NumPy.

    Args:
        A: (*, m, n).
        full_matrices: U is (*, m, m) and Vᵀ (*, n, n); else (*, m, k) and (*, k, n), k = min(m, n).
        driver: only None.
    Raises: LinAlgError if an element is NaN or infinite.

    Gradients are finite and of use for functions that do not depend on the signs of singular vectors, nor on those that
    ``full_matrices`` adds, and where no singular values are equal.
    """
    _check_svd(A, driver)
    return _named("linalg_svd", _SVD.apply(A, full_matrices), out)


def svdvals(A, *, driver=None, out=None):
    """The singular values (*, min(m, n)) of matrices (*, m, n), falling; needs NumPy."""
    _check_svd(A, driver)
    recorded = _core.is_grad_enabled() and A.requires_grad
    return _into("linalg_svdvals", _SVD.apply(A, False)[1] if recorded else factors.singular_values(A), out)


# Pseudo-inverses, least squares, ranks, norms.


def _tolerance(A, greatest, atol, rtol):
    """The largest singular value that counts for zero: the larger of atol and rtol times the greatest, (*).

    rtol is by default max(m, n) ε, or 0 where an atol > 0 is given.
    """
    default = _epsilon(A) * max(A.shape[-2:])
    if rtol is None:
        rtol = default
        if isinstance(atol, Tensor):
            rtol = _core.where(atol > 0, 0.0, default)
        elif atol is not None and atol > 0:
            rtol = 0.0
    relative = greatest * rtol
    if atol is None:
        return relative
    return _core.maximum(relative, _core.as_tensor(atol, dtype=relative.dtype, device=relative.device))


def _greatest(values):
    return _extreme(values, 2, -1, False)


@_node("LinalgPinvBackward0")
class _Pinv(_Differentiable):
    @staticmethod
    def forward(ctx, A, atol, rtol, hermitian):
        if hermitian:
            S, V = factors.eigh(A, UPLO="L")
            U = V
        else:
            U, S, Vh = factors.svd(A, full_matrices=False)
            V = Vh.mT
        magnitudes = S.abs()
        kept = magnitudes > _tolerance(A, _greatest(magnitudes), atol, rtol).unsqueeze(-1)
        P = V @ (_core.where(kept, 1.0 / S, 0.0).unsqueeze(-1) * U.mT)
        ctx.save_for_backward(A, P)
        return P

    @staticmethod
    def backward(ctx, dP):
        A, P = ctx.saved_tensors
        return _pinv_gradient(A, P, dP), None, None, None


def _pinv_gradient(A, P, dP):
    """Golub and Pereyra 1973, doi:10.1137/0710036, for matrices of constant rank."""
    left = dP.mT @ P @ P.mT
    right = P.mT @ P @ dP.mT
    return left - A @ (P @ left) + right - (right @ P) @ A - P.mT @ dP @ P.mT


def pinv(input, rcond=None, hermitian=False, *, atol=None, rtol=None, out=None):
    """The pseudo-inverse (*, n, m) of matrices (*, m, n); needs NumPy.

    Args:
        atol, rtol: singular values up to max(atol, rtol · the greatest) count for zero; by default rtol is max(m, n) ε.
        rcond: an older name for rtol.
        hermitian: the matrices are symmetric; their lower triangle is looked at.
    """
    A = input
    if not isinstance(A, Tensor):
        _check_matrix("linalg.pinv", A)
    if A.dim() < 2 or A.dtype not in (_core.float32, _core.float64):
        raise RuntimeError(
            f"linalg.pinv({_kind(A.dtype)}{{{list(A.shape)}}}): expected a tensor with 2 or more dimensions of float, "
            "double, cfloat or cdouble types"
        )
    rtol = rcond if rcond is not None else rtol
    if hermitian:
        _check_square("linalg.eigh", A)
    return _cast_into("linalg.pinv", _Pinv.apply(A, atol, rtol, hermitian), out)


def matrix_rank(input, tol=None, hermitian=False, *, atol=None, rtol=None, out=None):
    """How many singular values exceed max(atol, rtol · the greatest), as int64; needs NumPy.

    Args:
        atol, rtol: numbers or tensors (*); by default rtol is max(m, n) ε.
        tol: an older way to give atol with rtol = 0.
        hermitian: the matrices are symmetric; their lower triangle is looked at.
    """
    A = input
    name = "torch.linalg.matrix_rank"
    _check_matrix(name, A, "input")
    if A.dtype not in (_core.float32, _core.float64):
        raise RuntimeError("This function doesn't handle types other than float and double")
    if tol is not None:
        atol, rtol = tol, 0.0
    A = A.detach()
    S = eigvalsh(A).abs() if hermitian else factors.singular_values(A)
    rank = (S > _tolerance(A, _greatest(S), atol, rtol).unsqueeze(-1)).sum(-1)
    return _cast_into("torch.linalg.matrix_rank", rank, out)


@_node("LinalgLstsqBackward0")
class _LeastSquares(_Differentiable):
    @staticmethod
    def forward(ctx, A, B, rcond, rank_needed):
        U, S, Vh = factors.svd(A, full_matrices=False)
        kept = S > _tolerance(A, _greatest(S), None, rcond).unsqueeze(-1)
        if rank_needed and A.numel():
            _raise_if_rank_is_low(kept, S.size(-1))
        X = Vh.mT @ (_core.where(kept, 1.0 / S, 0.0).unsqueeze(-1) * (U.mT @ B))
        rank = kept.sum(-1)
        ctx.rcond = rcond
        ctx.save_for_backward(A, B)
        ctx.mark_non_differentiable(rank, S)
        return X, rank, S

    @staticmethod
    def backward(ctx, dX, *_):
        A, B = ctx.saved_tensors
        P = _Pinv.apply(A, None, ctx.rcond, False)
        dA = _pinv_gradient(A, P, dX @ B.mT) if ctx.needs_input_grad[0] else None
        return dA, P.mT @ dX, None, None


def _raise_if_rank_is_low(kept, size):
    first = kept.all(-1)
    if not first.all():
        where = "" if first.dim() == 0 else f" (Batch element {int((~first).reshape(-1).int().argmax())}):"
        code = int(kept.reshape(-1, size)[int((~first).reshape(-1).int().argmax())].sum()) + 1
        raise LinAlgError(
            f"torch.linalg.lstsq:{where} The least squares solution could not be computed because the input matrix "
            f"does not have full rank (error code: {code})."
        )


def lstsq(input, b, rcond=None, *, driver=None, out=None):
    """X that makes ‖A X - B‖ least, and is the shortest such; needs NumPy.

    Args:
        input: A, (*, m, n). b: B, (*, m, k), or vectors (*, m).
        rcond: singular values up to rcond · the greatest count for zero; by default max(m, n) ε; ε if it is negative.
        driver: "gelsy" (default), "gels", "gelsd" or "gelss", which say what is returned; all are computed from
            singular values.
    Returns: ``solution`` (*, n, k); ``residuals`` (*, k), the sums of squares that are left, if m > n, all ranks are n
        and the driver is not "gelsy", else empty; ``rank`` (*) but for "gels"; ``singular_values`` for "gelsd" and
        "gelss".
    Raises: LinAlgError for "gels" if a matrix does not have full rank.
    """
    A, B = input, b
    name = "torch.linalg.lstsq"
    if A.dim() < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if B.dim() < 1:
        raise RuntimeError(f"{name}: other must have at least 1 dimension.")
    if A.dtype is not B.dtype:
        raise RuntimeError(
            f"{name}: Expected input and other to have the same dtype, but got input's dtype {_kind(A.dtype)} and "
            f"other's dtype {_kind(B.dtype)}"
        )
    if not 0 <= A.dim() - B.dim() <= 1:
        raise RuntimeError(
            f"{name}: input.dim() must be greater or equal to other.dim() and (input.dim() - other.dim()) <= 1"
        )
    length = -1 if _is_vector(A, B) else -2
    if A.size(-2) != B.size(length):
        raise RuntimeError(f"{name}: input.size(-2) should match other.size({length})")
    driver = "gelsy" if driver is None else driver
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)")
    if A.dtype not in (_core.float32, _core.float64):
        raise RuntimeError("This function doesn't handle types other than float and double")
    is_vector = B.dim() + 1 == A.dim()
    A, B = _same_batches(A, B.unsqueeze(-1) if is_vector else B)
    if rcond is not None:
        # As LAPACK's drivers read it: no use, or that of rounding, where it would make no sense.
        if driver == "gels":
            rcond = None
        elif rcond < 0 or (driver == "gelsd" and not 0 < rcond < 1):
            rcond = _epsilon(A)
    X, rank, S = _LeastSquares.apply(A, B, rcond, driver == "gels")
    m, n = A.shape[-2:]
    residuals = X.reshape(-1)[:0]
    if m > n and driver != "gelsy" and bool((rank == n).all()):
        residuals = (A @ X - B).square().sum(-2)
    if is_vector:
        X = X.squeeze(-1)
    if driver == "gels":
        rank = _core.empty(0, dtype=_core.int64, device=A.device)
    if driver in ("gels", "gelsy"):
        S = A.new_empty(0)
    return _named("linalg_lstsq", (X, residuals, rank, S), out, "torch.linalg.lstsq")


@_numpy_names
def vector_norm(input, ord=2, dim=None, keepdim=False, *, dtype=None, out=None):
    """(Σ |x|^ord)^(1/ord) of all elements or over dimensions; the greatest magnitude for ord = inf."""
    if isinstance(ord, str):
        raise TypeError("linalg_vector_norm(): argument 'ord' (position 2) must be Number, not str")
    name = "linalg.vector_norm"
    if not input.is_complex():
        _check_float(name, input)
    if dtype is not None and dtype.is_floating_point and _core.promote_types(input.dtype, dtype) is not dtype:
        raise RuntimeError(
            f"{name}: the dtype of the input ({_kind(input.dtype)}) should be convertible without narrowing to the "
            f"specified dtype ({_kind(dtype)})"
        )
    if not input.numel() and (ord < 0 or ord == math.inf):
        dims = [dim] if isinstance(dim, int) else dim
        if not dims:
            raise RuntimeError(
                f"{name} cannot compute the {float(ord):g} norm on an empty tensor because the operation does not have "
                "an identity"
            )
        for d in dims:
            if not input.size(d):
                raise RuntimeError(
                    f"{name} cannot compute the {float(ord):g} norm on the dimension {d}because this dimension is "
                    "empty and the operation does not have an identity"
                )
    return _into("linalg_vector_norm", _core._vector_norm(input, float(ord), dim, keepdim, dtype=dtype), out)


@_numpy_names
def matrix_norm(input, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None, out=None):
    """A norm of the matrices in two dimensions.

    Args:
        ord: "fro", the root of the sum of squares; "nuc", the sum of the singular values; 2 or -2, the greatest or
            least of them; 1 or -1, the greatest or least sum of magnitudes in a column; inf or -inf, in a row. Singular
            values need NumPy.
    """
    A = input
    name = "linalg.matrix_norm"
    known = ("fro", "nuc") if isinstance(ord, str) else (2, -2, 1, -1, math.inf, -math.inf)
    if ord not in known:
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    _check_matrix(name, A)
    _check_float(name, A, low=ord not in ("nuc", 2, -2))
    if not isinstance(dim, (tuple, list)) or not all(isinstance(d, int) for d in dim):
        raise TypeError(f"linalg_matrix_norm(): argument 'dim' must be tuple of ints, not {type(dim).__name__}")
    if len(dim) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {' '.join(map(str, dim))}")
    rows, columns = (_positive_dim(A, d) for d in dim)
    if rows == columns:
        raise RuntimeError(f"{name}: dims must be different. Got ({dim[0]}, {dim[1]})")
    if dtype is not None and not dtype.is_floating_point:
        raise RuntimeError(f"{name}: dtype should be floating point or complex, but got {_kind(dtype)}")
    if ord == "fro":
        result = vector_norm(A, 2, [rows, columns], keepdim, dtype=dtype)
        return _into("linalg_vector_norm", result, out, _norm_message(name, result, out))
    A = A if dtype is None else A.to(dtype)
    if ord in ("nuc", 2, -2):
        S = svdvals(A.movedim((rows, columns), (-2, -1)))
        result = S.sum(-1) if ord == "nuc" else _extreme(S, ord, -1, False)
        if keepdim:
            for d in sorted((rows, columns)):
                result = result.unsqueeze(d)
    else:
        summed, kept = (columns, rows) if abs(ord) == math.inf else (rows, columns)
        sums = _core._vector_norm(A, 1.0, summed, keepdim)
        result = _extreme(sums, ord, kept if keepdim else kept - (kept > summed), keepdim)
    return _into("linalg_matrix_norm", result, out, _norm_message(name, result, out))


def _norm_message(name, result, out):
    return out is not None and f"{name} expected out tensor dtype {_kind(result.dtype)} but got: {_kind(out.dtype)}"


def _extreme(values, ord, dim, keepdim):
    """The greatest (0 of none) for a positive order, the least for a negative one."""
    if ord < 0:
        return values.amin(dim, keepdim)
    return values.amax(dim, keepdim) if values.size(dim) else values.sum(dim, keepdim)


def _positive_dim(A, dim):
    if not -A.dim() <= dim < A.dim():
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-A.dim()}, {A.dim() - 1}], but got {dim})"
        )
    return dim % A.dim()


@_numpy_names
def norm(input, ord=None, dim=None, keepdim=False, *, dtype=None, out=None):
    """A norm of a vector or a matrix.

    Args:
        ord: None for the root of the sum of squares, whatever the number of dimensions; otherwise as for
            :func:`vector_norm` along one dimension, and for :func:`matrix_norm` over two.
    """
    A = input
    dims = [dim] if isinstance(dim, int) else dim
    if dims is not None and len(dims) not in (1, 2):
        raise RuntimeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}")
    if ord is not None and dims is None and A.dim() not in (1, 2):
        raise RuntimeError(
            f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {A.dim()}D."
        )
    if ord is None:
        result = vector_norm(A, 2, dims, keepdim, dtype=dtype)
    elif isinstance(ord, str) or len(dims if dims is not None else A.shape) == 2:
        result = matrix_norm(A, ord, (-2, -1) if dims is None else dims, keepdim, dtype=dtype)
    else:
        result = vector_norm(A, ord, dims, keepdim, dtype=dtype)
    return _into("linalg_norm", result, out, _norm_message("linalg.norm", result, out))


def cond(input, p=None, *, out=None):
    """‖A‖ ‖A⁻¹‖ in the norm p, None being 2: how much a solution may change with A. Infinite for a singular matrix."""
    A = input
    if not isinstance(A, Tensor):
        _check_matrix("linalg.cond", A)
    if isinstance(p, str):
        _check_square(f"linalg.cond(ord={p})", A)
    if A.dim() < 2:
        raise RuntimeError("linalg.cond: The input tensor must have at least 2 dimensions.")
    if p is None or p in (2, -2):
        S = svdvals(A)
        if not A.numel():
            result = S.new_zeros(S.shape[:-1])
        else:
            result = S[..., 0] / S[..., -1] if p != -2 else S[..., -1] / S[..., 0]
        return _cast_into("linalg.cond", result, out)
    if p in (1, -1, math.inf, -math.inf):
        _check_square(f"linalg.cond(ord={p:g})", A)
    if p not in ("fro", "nuc", 1, -1, math.inf, -math.inf):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if not A.numel():
        return _cast_into("linalg.cond", A.new_zeros(A.shape[:-2]), out)
    inverse, info = _inv_ex(A)
    singular = info != 0
    inverse = _core.where(singular[..., None, None], 0.0, inverse)  # of which a norm is finite
    product = matrix_norm(A, p) * matrix_norm(inverse, p)
    return _cast_into("linalg.cond", _core.where(singular, math.inf, product), out)


# Functions of matrices, products, and systems of tensors.


@_node("LinalgMatrixExpBackward0")
class _MatrixExp(_Differentiable):
    @staticmethod
    def forward(ctx, A):
        ctx.save_for_backward(A)
        return factors.exponential(A)

    @staticmethod
    def backward(ctx, dE):
        # exp [[X, G], [0, X]] = [[exp X, the derivative in the direction G], [0, exp X]]: Mathias 1996,
        # doi:10.1137/S0895479895283409.
        (A,) = ctx.saved_tensors
        n = A.size(-1)
        top = _core.cat([A.mT, dE], -1)
        block = _core.cat([top, _core.cat([_core.zeros_like(A), A.mT], -1)], -2)
        return matrix_exp(block)[..., :n, n:]


def matrix_exp(input):
    """exp(A) = Σ Aⁱ / i! of a square matrix."""
    _check_square("linalg.matrix_exp", input)
    _check_float("linalg.matrix_exp", input)
    return _MatrixExp.apply(input)


def matrix_power(input, n, *, out=None):
    """A to a power, by squaring; of the inverse if n < 0."""
    A = input
    _check_square("linalg.matrix_power", A)
    if not isinstance(n, int):
        raise TypeError(f"linalg_matrix_power(): argument 'n' (position 2) must be int, not {type(n).__name__}")
    if n < 0:
        A, n = inv(A), -n
    result = None
    while n:
        if n & 1:
            result = A if result is None else result @ A
        n >>= 1
        A = A @ A if n else A
    if result is None:
        result = _unit_like(A, A.size(-1)).expand(A.shape).clone()
        if A.requires_grad:
            result = result + A.reshape(-1)[:0].sum()  # a gradient of zeros, as of any power
    return _into("linalg_matrix_power", result.clone() if result is A and out is None else result, out)


def multi_dot(tensors, *, out=None):
    """The product of two or more matrices, in the order that costs least; the first and the last may be vectors."""
    tensors = list(tensors)
    count = len(tensors)
    if count < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {count}")
    for place, at in (("first", 0), ("last", count - 1)):
        if tensors[at].dim() not in (1, 2):
            raise RuntimeError(f"multi_dot(): the {place} tensor must be 1D or 2D but got {tensors[at].dim()}D")
    for at, tensor in enumerate(tensors):
        if 0 < at < count - 1 and tensor.dim() != 2:
            raise RuntimeError(f"multi_dot(): tensor {at} must be 2D but got {tensor.dim()}D")
        if tensor.dtype is not tensors[0].dtype:
            raise RuntimeError(
                "multi_dot(): all tensors must have be the same dtype but tensor 0 is "
                f"{_dtype_name(tensors[0].dtype)} and tensor {at} {_dtype_name(tensor.dtype)}"
            )
    matrices = list(tensors)
    if matrices[0].dim() == 1:
        matrices[0] = matrices[0].unsqueeze(0)
    if matrices[-1].dim() == 1:
        matrices[-1] = matrices[-1].unsqueeze(-1)
    for at in range(count - 1):
        if matrices[at].size(1) != matrices[at + 1].size(0):
            raise RuntimeError(
                f"multi_dot(): tensors {at} and {at + 1} with shapes {list(tensors[at].shape)} and "
                f"{list(tensors[at + 1].shape)} cannot be multiplied"
            )
    result = _product(matrices)
    if tensors[0].dim() == 1:
        result = result.squeeze(0)
    if tensors[-1].dim() == 1:
        result = result.squeeze(-1)
    message = None
    if out is not None:
        wanted, got = _dtype_name(result.dtype), _dtype_name(out.dtype)
        message = f"multi_dot(): expected out tensor to have dtype {wanted} but got {got}"
    return _into("linalg_multi_dot", result, out, message)


def _product(matrices):
    """The product in the cheapest order, by dynamic programming over where to cut."""
    sizes = [matrix.size(0) for matrix in matrices] + [matrices[-1].size(1)]
    best = {(i, i): (0, i) for i in range(len(matrices))}
    for length in range(1, len(matrices)):
        for i in range(len(matrices) - length):
            j = i + length
            best[i, j] = min(
                (best[i, cut][0] + best[cut + 1, j][0] + sizes[i] * sizes[cut + 1] * sizes[j + 1], cut)
                for cut in range(i, j)
            )

    def product(i, j):
        if i == j:
            return matrices[i]
        cut = best[i, j][1]
        return product(i, cut) @ product(cut + 1, j)

    return product(0, len(matrices) - 1)


def tensorinv(input, ind=2, *, out=None):
    """The inverse of the map X -> ``tensordot(A, X, X.dim())``: of A seen as a matrix, its first ``ind`` dimensions
    being rows."""
    A = input
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    rows, columns = math.prod(A.shape[:ind]), math.prod(A.shape[ind:])
    if rows != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), but got "
            f"{columns} != {rows}"
        )
    inverse, info = _inv_ex(A.reshape(rows, columns))
    _raise_if_no_inverse("inv", info)
    return _cast_into("tensorinv", inverse.reshape(*A.shape[ind:], *A.shape[:ind]), out)


def tensorsolve(input, other, dims=None, *, out=None):
    """X with ``tensordot(A, X, X.dim()) == B``, the dimensions ``dims`` of A moved to its end."""
    A, B = input, other
    if dims is not None:
        A = A.movedim(list(dims), list(range(A.dim() - len(dims), A.dim())))
    shape = A.shape[B.dim() :]
    rows, columns = B.numel(), math.prod(shape)
    if rows != columns:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), "
            f"but got {columns} != {rows}"
        )
    return _cast_into("tensorsolve", solve(A.reshape(rows, columns), B.reshape(-1)).reshape(shape), out)


def vander(x, N=None):
    """Powers 0 to N - 1 of the elements of vectors (*, n), rising along a new last dimension; N is n by default."""
    if x.dtype in (_core.float16, _core.bfloat16, _core.bool):
        raise RuntimeError(
            f"linalg.vander supports floating point, complex, and integer tensors, but got {_kind(x.dtype)}"
        )
    x = x if x.dim() else x.reshape(1)
    N = x.size(-1) if N is None else N
    if N <= 1:
        raise RuntimeError("N must be greater than 1.")
    powers = x.unsqueeze(-1).expand(*x.shape, N - 1).cumprod(-1)
    return _core.cat([_core.ones(*x.shape, 1, dtype=powers.dtype, device=x.device), powers], -1)


def cross(input, other, *, dim=-1, out=None):
    """The cross product of vectors of length 3 along a dimension."""
    if input.dim() == other.dim() and not input.size(dim) == other.size(dim) == 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.size(dim)} and {other.size(dim)}"
        )
    return _into("linalg_cross", _core.cross(input, other, dim), out)


def vecdot(x, y, *, dim=-1, out=None):
    """Σ x y along a dimension."""
    _check_float("linalg.vecdot", x)
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"linalg.vecdot: Expected x and y to have the same dtype, but found x of type {_kind(x.dtype)} and y of "
            f"type {_kind(y.dtype)} instead"
        )
    if x.dim() == y.dim() == 1 and x.numel() != y.numel():
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{x.numel()}] and src [{y.numel()}] to have the same number of "
            f"elements, but got {x.numel()} and {y.numel()} elements respectively"
        )
    return _into("linalg_vecdot", (x * y).sum(dim), out)


def diagonal(A, *, offset=0, dim1=-2, dim2=-1):
    """The diagonals of matrices, as a view."""
    return A.diagonal(offset, dim1, dim2)


class _LDL(_Differentiable):
    @staticmethod
    def forward(ctx, A):
        LD, pivots, info = factors.ldl(A)
        ctx.mark_non_differentiable(pivots, info)
        return LD, pivots, info

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError("derivative for aten::linalg_ldl_factor_ex is not implemented")


def _ldl_factor_ex(A):
    name = "torch.linalg.ldl_factor_ex"
    _check_square(name, A)
    _check_float(name, A)
    _check_computed("ldl_factor_kernel_cpu", A)
    return _LDL.apply(A)


def _raise_if_rows_are_zero(name, info):
    if failure := _first_failure(info):
        raise LinAlgError(f"{name}:{failure[0]} The matrix is singular: row {failure[1]} of D is zero.")


def ldl_factor(input, *, hermitian=False, out=None):
    """(LD, pivots) of a symmetric matrix, from its lower triangle, for :func:`ldl_solve`. Without a gradient.

    Source: Bunch and Kaufman 1977, doi:10.1090/S0025-5718-1977-0428694-0; the format is that of LAPACK's ``sytrf``.
    Raises: LinAlgError for a singular matrix.
    """
    LD, pivots, info = _ldl_factor_ex(input)
    _raise_if_rows_are_zero("torch.linalg.ldl_factor", info)
    return _named("linalg_ldl_factor", (LD, pivots), out)


def ldl_factor_ex(input, *, hermitian=False, check_errors=False, out=None):
    """:func:`ldl_factor` and ``info``: 0, or the number of the first row of D that is zero."""
    LD, pivots, info = _ldl_factor_ex(input)
    if check_errors:
        _raise_if_rows_are_zero("torch.linalg.ldl_factor_ex", info)
    return _named("linalg_ldl_factor_ex", (LD, pivots, info), out)


class _LDLSolve(_Differentiable):
    @staticmethod
    def forward(ctx, LD, pivots, B):
        ctx.save_for_backward(LD, pivots)
        return factors.ldl_solve(LD, pivots, B)

    @staticmethod
    def backward(ctx, dX):
        if ctx.needs_input_grad[0]:
            raise RuntimeError("derivative for aten::linalg_ldl_solve is not implemented")
        LD, pivots = ctx.saved_tensors
        return None, None, _LDLSolve.apply(LD, pivots, dX)  # A is symmetric


def ldl_solve(LD, pivots, B, *, hermitian=False, out=None):
    """X with A X = B, from what :func:`ldl_factor` gave for A; B is (*, n, k). Gradients flow to B."""
    name = "torch.linalg.ldl_solve"
    _check_square(name, LD)
    _check_float(name, LD)
    if B.dim() < 2:
        raise RuntimeError(f"{name}: Expected B to have at least 2 dimensions, but it has {B.dim()} dimensions instead")
    if pivots.dtype.is_floating_point or pivots.dtype is _core.bool:
        raise RuntimeError(f"{name}: Expected pivots to be integers. Got {_kind(pivots.dtype)}")
    if pivots.shape != LD.shape[:-1]:
        raise RuntimeError(
            f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with shape "
            f"{list(pivots.shape)} instead"
        )
    _check_same_dtype(name, LD, B)
    batched, B = _check_system(name, LD, B, True)
    _check_computed("ldl_solve_kernel_cpu", LD)
    return _into("linalg_ldl_solve", _LDLSolve.apply(batched, pivots.expand(batched.shape[:-1]), B), out)
