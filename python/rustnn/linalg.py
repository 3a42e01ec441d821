"""Linear algebra. Norms and products are the core's; decompositions are NumPy's and have no gradient."""

from . import _core, functional

__all__ = [
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


def _by_numpy(name, arguments, **options):
    import numpy

    if _core.is_grad_enabled() and any(argument.requires_grad for argument in arguments):
        raise NotImplementedError(f"linalg.{name} has no gradient in rustnn: detach() its input, or use no_grad")
    results = getattr(numpy.linalg, name)(*(argument.detach().numpy() for argument in arguments), **options)
    wrap = lambda array: _core.tensor(numpy.ascontiguousarray(array)).to(arguments[0].dtype)  # noqa: E731
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


def inv(A):
    """The inverse of a matrix."""
    return _by_numpy("inv", [A])


def pinv(A):
    """The pseudo-inverse of a matrix."""
    return _by_numpy("pinv", [A])


def det(A):
    """The determinant."""
    return _by_numpy("det", [A])


def slogdet(A):
    """Sign and logarithm of the determinant's magnitude."""
    return _by_numpy("slogdet", [A])


def solve(A, B):
    """X with A X = B."""
    return _by_numpy("solve", [A, B])


def cholesky(A):
    """Lower triangular L with A = L Lᵀ."""
    return _by_numpy("cholesky", [A])


def eigh(A, UPLO="L"):
    """Eigenvalues, rising, and eigenvectors of a symmetric matrix."""
    return _by_numpy("eigh", [A], UPLO=UPLO)
