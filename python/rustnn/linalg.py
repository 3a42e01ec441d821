"""Linear algebra. Norms and products are the core's; decompositions are NumPy's.

``inv``, ``det``, ``slogdet`` and ``solve`` have gradients, the others none."""

from . import _core, functional, return_types
from .autograd.function import Function

__all__ = [
    "LinAlgError",
    "cholesky",
    "cross",
    "det",
    "eigh",
    "inv",
    "matmul",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "vector_norm",
]

cross, matmul = _core.cross, _core.matmul


def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None, out=None):
    """(Σ |x|^ord)^(1/ord) of all elements or over dimensions; the greatest magnitude for ord = inf."""
    result = _core._vector_norm(x, float(ord), dim, keepdim, dtype=dtype)
    return result if out is None else out.copy_(result)


def norm(A, ord=None, dim=None, keepdim=False, *, dtype=None, out=None):
    """The norm of a vector, or the Frobenius norm of a matrix."""
    if (
        ord is not None
        and not isinstance(ord, str)
        and ((isinstance(dim, (tuple, list)) and len(dim) == 2) or (dim is None and A.dim() == 2))
    ):
        raise NotImplementedError(f"linalg.norm: matrix norms other than Frobenius are not computed, got ord={ord}")
    return functional.norm(A, "fro" if ord is None else ord, dim, keepdim, out=out, dtype=dtype)


class LinAlgError(RuntimeError):
    """A matrix that has no inverse, or no factors of the kind asked for."""


def _by_numpy(name, arguments, **options):
    import numpy

    if _core.is_grad_enabled() and any(argument.requires_grad for argument in arguments):
        raise NotImplementedError(f"linalg.{name} has no gradient in rustnn: detach() its input, or use no_grad")
    try:
        results = getattr(numpy.linalg, name)(*(argument.detach().numpy() for argument in arguments), **options)
    except numpy.linalg.LinAlgError as error:
        raise LinAlgError(f"linalg.{name}: {error}") from None
    wrap = lambda array: _core.tensor(numpy.asarray(array, order="C")).to(arguments[0].dtype)  # noqa: E731
    return tuple(wrap(array) for array in results) if isinstance(results, tuple) else wrap(results)


def qr(A, mode="reduced"):
    """Q with orthonormal columns and upper triangular R with A = Q R."""
    return _by_numpy("qr", [A], mode=mode)


def svd(A, full_matrices=True):
    """U, S and Vᵀ with A = U diag(S) Vᵀ, S falling."""
    return _by_numpy("svd", [A], full_matrices=full_matrices)


def svdvals(A):
    """The singular values, falling."""
    return _by_numpy("svd", [A], compute_uv=False)


class _Inverse(Function):
    @staticmethod
    def forward(ctx, A):
        inverse = _by_numpy("inv", [A])
        ctx.save_for_backward(inverse)
        return inverse

    @staticmethod
    def backward(ctx, dinverse):
        (inverse,) = ctx.saved_tensors
        return -inverse.mT @ dinverse @ inverse.mT


class _Slogdet(Function):
    @staticmethod
    def forward(ctx, A):
        ctx.save_for_backward(A)
        sign, logarithm = _by_numpy("slogdet", [A])
        ctx.mark_non_differentiable(sign)
        return sign, logarithm

    @staticmethod
    def backward(ctx, _, dlogarithm):
        (A,) = ctx.saved_tensors
        return dlogarithm[..., None, None] * inv(A).mT


class _Solve(Function):
    @staticmethod
    def forward(ctx, A, B):
        X = _by_numpy("solve", [A, B])
        ctx.save_for_backward(A, X)
        return X

    @staticmethod
    def backward(ctx, dX):
        A, X = ctx.saved_tensors
        dB = solve(A.mT, dX)
        return -dB @ X.mT, dB


def _check_square(name, A):
    if A.dim() < 2:
        raise RuntimeError(f"linalg.{name}: The input tensor A must have at least 2 dimensions.")
    if A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"linalg.{name}: A must be batches of square matrices, but they are {A.shape[-2]} by {A.shape[-1]} matrices"
        )
    if not A.is_floating_point():
        raise RuntimeError(f"linalg.{name}: Expected a floating point or complex tensor as input. Got {A.dtype}")


def inv(A):
    """The inverse of a matrix, or of each in a batch.

    Raises: RuntimeError for matrices that are not square or of no floating point dtype; LinAlgError for singular ones.
    """
    _check_square("inv", A)
    return _Inverse.apply(A)


def pinv(A):
    """The pseudo-inverse of a matrix."""
    return _by_numpy("pinv", [A])


def det(A):
    """The determinant of a matrix, or of each in a batch. Its gradient needs an inverse."""
    _check_square("det", A)
    if not (_core.is_grad_enabled() and A.requires_grad):
        return _by_numpy("det", [A])
    sign, logarithm = _Slogdet.apply(A)
    return sign * logarithm.exp()


def slogdet(A):
    """Sign and logarithm of the determinant's magnitude."""
    _check_square("slogdet", A)
    return return_types._make("slogdet", ("sign", "logabsdet"))(_Slogdet.apply(A))


def logdet(A):
    """The logarithm of the determinant: NaN if that is negative. ``torch.logdet``."""
    sign, logarithm = slogdet(A)
    return _core.where(sign < 0, float("nan"), logarithm)


def solve(A, B):
    """X with A X = B; B holds columns, or is one vector."""
    _check_square("solve", A)
    if B.dim() == 1:
        return _Solve.apply(A, B.unsqueeze(-1)).squeeze(-1)
    return _Solve.apply(A, B)


inverse, pinverse = inv, pinv  # of the top level


def cholesky(A):
    """Lower triangular L with A = L Lᵀ."""
    return _by_numpy("cholesky", [A])


def eigh(A, UPLO="L"):
    """Eigenvalues, rising, and eigenvectors of a symmetric matrix."""
    return _by_numpy("eigh", [A], UPLO=UPLO)
