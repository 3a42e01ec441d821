"""Matrix factorizations on values alone, which :mod:`rustnn.linalg` gives gradients to.

Each works on batches of float32 or float64 matrices, the last two dimensions, and returns new tensors. LU, Cholesky,
QR and triangular systems need nothing but the core; LAPACK, which comes with NumPy, does them faster where it is there,
and eigenvalues and singular values are its alone.
"""

from functools import wraps

from . import _core
from ._fallback import on_cpu

_BLOCK = 32  # columns that are eliminated one by one before a matrix product brings the rest up to date


def _numpy():
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def _lapack(name, *matrices, **options):
    """What ``numpy.linalg`` gives as tensors; None without NumPy, or where a matrix has no such factors."""
    numpy = _numpy()
    if numpy is None:
        return None
    try:
        found = getattr(numpy.linalg, name)(*(matrix.numpy() for matrix in matrices), **options)
    except numpy.linalg.LinAlgError:
        return None
    return tuple(_tensor_over(part) for part in found) if isinstance(found, tuple) else _tensor_over(found)


def _tensor_over(found):
    """A tensor over the memory of an array; a number is an array of no dimensions."""
    import numpy

    return _core.from_numpy(numpy.ascontiguousarray(found) if found.ndim else numpy.array(found))


def _on_cpu(function):
    """A function of values computed on the CPU, its results where its first argument is."""

    @wraps(function)
    def call(*matrices, **options):
        with _core.no_grad():
            return on_cpu(f"linalg.{function.__name__}", function, [matrix.detach() for matrix in matrices], **options)

    return call


def _flat(matrices):
    """A batch with one leading dimension."""
    return matrices.reshape(-1, *matrices.shape[-2:])


@_on_cpu
def cholesky(A):
    """(L, info): lower triangular L with A = L Lᵀ, from the lower triangle of A. info is 0, or the order of the first
    leading minor that is not positive; L is then of no use."""
    shape = A.shape[:-2]
    found = _lapack("cholesky", A) if A.numel() else A.clone()
    # LAPACK lets pass what is not finite, where PyTorch does not.
    if found is not None and found.isfinite().all():
        return found, _core.zeros(shape, dtype=_core.int32)
    L = _flat(A).tril()
    info = _core.zeros(len(L), dtype=_core.int32)
    for j in range(L.size(-1)):
        pivot = L[:, j, j]
        info = _core.where(~(pivot > 0) & (info == 0), j + 1, info)
        good = info == 0
        root = _core.where(good, pivot, 1.0).sqrt()
        L[:, j:, j] /= root.unsqueeze(-1)
        column = (L[:, j + 1 :, j] * good.unsqueeze(-1)).unsqueeze(-1)
        L[:, j + 1 :, j + 1 :] -= (column * column.mT).tril()
    return L.reshape(A.shape), info.reshape(shape)


@_on_cpu
def lu(A):
    """(LU, pivots, info) with partial pivoting: L below the diagonal of LU, U on and above it; row i was exchanged with
    row pivots[i], counted from 1. info is 0, or the number of the first pivot that is zero."""
    m, n = A.shape[-2:]
    k = min(m, n)
    shape = A.shape[:-2]
    if not A.numel():
        steps = _core.arange(1, k + 1, dtype=_core.int32).expand(*shape, k).contiguous()
        return A.clone(), steps, _core.zeros(shape, dtype=_core.int32)
    LU = _flat(A).clone()
    batch = _core.arange(len(LU))
    pivots = _core.zeros(len(LU), k, dtype=_core.int32)
    info = _core.zeros(len(LU), dtype=_core.int32)
    for start in range(0, k, _BLOCK):
        stop = min(start + _BLOCK, k)
        for j in range(start, stop):
            chosen = LU[:, j:, j].abs().argmax(-1) + j
            pivots[:, j] = chosen + 1
            if len(LU) == 1:
                p = int(chosen)
                if p != j:
                    LU[0, [j, p]] = LU[0, [p, j]]
            else:
                rows = LU[batch, chosen]
                LU[batch, chosen] = LU[:, j].clone()
                LU[:, j] = rows
            pivot = LU[:, j, j]
            zero = pivot == 0
            info = _core.where(zero & (info == 0), j + 1, info)
            if j + 1 < m:
                LU[:, j + 1 :, j] /= _core.where(zero, 1.0, pivot).unsqueeze(-1)
                if j + 1 < stop:
                    LU[:, j + 1 :, j + 1 : stop] -= LU[:, j + 1 :, j : j + 1] * LU[:, j : j + 1, j + 1 : stop]
        if stop < n:
            right = triangular(LU[:, start:stop, start:stop], LU[:, start:stop, stop:], upper=False, unit=True)
            LU[:, start:stop, stop:] = right
            if stop < m:
                LU[:, stop:, stop:] -= LU[:, stop:, start:stop] @ right
    return LU.reshape(A.shape), pivots.reshape(*shape, k), info.reshape(shape)


@_on_cpu
def triangular(A, B, *, upper, unit=False):
    """X with A X = B, from one triangle of A, with ones on the diagonal if ``unit``; batches of equal shapes."""
    n = A.size(-1)
    if not B.numel():
        return B.clone()
    if n > _BLOCK:
        # Half the unknowns first, the others from what they leave of B.
        half = n // 2
        top, below = B[..., :half, :], B[..., half:, :]
        first, last = A[..., :half, :half], A[..., half:, half:]
        if upper:
            below = triangular(last, below, upper=True, unit=unit)
            top = triangular(first, top - A[..., :half, half:] @ below, upper=True, unit=unit)
        else:
            top = triangular(first, top, upper=False, unit=unit)
            below = triangular(last, below - A[..., half:, :half] @ top, upper=False, unit=unit)
        return _core.cat([top, below], -2)
    A = A.triu() if upper else A.tril()
    if unit:
        A.diagonal(dim1=-2, dim2=-1).fill_(1.0)
    # Elimination finds nothing to do in an upper triangle and goes straight to substitution; a lower one is an upper
    # one from its end.
    turned = (A, B) if upper else (A.flip(-2, -1), B.flip(-2))
    found = _lapack("solve", *turned)
    if found is not None:
        return found if upper else found.flip(-2)
    X = B.clone()
    for i in range(n - 1, -1, -1) if upper else range(n):
        known = slice(i + 1, n) if upper else slice(0, i)
        row = X[..., i : i + 1, :] - A[..., i : i + 1, known] @ X[..., known, :]
        X[..., i : i + 1, :] = row if unit else row / A[..., i : i + 1, i : i + 1]
    return X


def permutation(pivots, rows):
    """The order that exchanging row i with row pivots[i] for i = 0, 1, … puts ``rows`` rows into; on the CPU."""
    orders = []
    for exchanged in pivots.reshape(-1, pivots.size(-1)).tolist() if pivots.numel() else ():
        order = list(range(rows))
        for i, p in enumerate(exchanged):
            order[i], order[p - 1] = order[p - 1], order[i]
        orders.append(order)
    if not orders:
        return _core.arange(rows).expand(*pivots.shape[:-1], rows)
    return _core.tensor(orders, dtype=_core.int64).reshape(*pivots.shape[:-1], rows)


def permuted(matrices, order, back=False):
    """The rows in an order, or back from it. Differentiable."""
    order = (order.argsort(-1) if back else order).to(matrices.device)
    return matrices.gather(-2, order.unsqueeze(-1).expand(matrices.shape))


@_on_cpu
def solve(A, B):
    """(X, info) with A X = B; info as :func:`lu` has it. Batches of equal shapes."""
    found = _lapack("solve", A, B) if B.numel() else B.clone()
    if found is not None:
        return found, _core.zeros(A.shape[:-2], dtype=_core.int32)
    LU, pivots, info = lu(A)
    return lu_solve(LU, pivots, B), info


def lu_solve(LU, pivots, B):
    """X with P L U X = B."""
    right = permuted(B, permutation(pivots, LU.size(-1)))
    return triangular(LU, triangular(LU, right, upper=False, unit=True), upper=True)


@_on_cpu
def slogdet(A):
    """(sign, logarithm of the magnitude) of the determinants."""
    if not A.size(-1):
        return A.new_ones(A.shape[:-2]), A.new_zeros(A.shape[:-2])
    found = _lapack("slogdet", A) if A.numel() else None
    if found is not None:
        return found
    LU, pivots, _ = lu(A)
    diagonal = LU.diagonal(dim1=-2, dim2=-1)
    exchanges = pivots != _core.arange(1, pivots.size(-1) + 1, dtype=_core.int32)
    sign = diagonal.sign().prod(-1) * (1 - 2 * (exchanges.sum(-1) % 2)).to(A.dtype)
    return sign, diagonal.abs().log().sum(-1)


@_on_cpu
def householder(A):
    """(H, τ): A = H₀ H₁ … R with Hᵢ = I - τᵢ vᵢ vᵢᵀ; R on and above the diagonal of H, vᵢ below it in column i, after
    a one on the diagonal."""
    m, n = A.shape[-2:]
    k = min(m, n)
    if not A.numel():
        return A.clone(), A.new_zeros(*A.shape[:-2], k)
    found = _lapack("qr", A, mode="raw")
    if found is not None:
        return found[0].mT.contiguous(), found[1]
    H = _flat(A).clone()
    taus = H.new_zeros(len(H), k)
    for j in range(k):
        first, rest = H[:, j, j].clone(), H[:, j + 1 :, j]
        length = _core.cat([first.unsqueeze(-1), rest], -1).square().sum(-1).sqrt()
        # Away from the first element, so that nothing cancels; a column that is reduced already stays.
        done = (rest == 0).all(-1)
        beta = _core.where(done, first, _core.where(first < 0, length, -length))
        tau = _core.where(done, 0.0, (beta - first) / _core.where(done, 1.0, beta))
        rest /= _core.where(done, 1.0, first - beta).unsqueeze(-1)
        H[:, j, j] = beta
        taus[:, j] = tau
        if j + 1 < n:
            v = _core.cat([_core.ones(len(H), 1, dtype=H.dtype), rest], -1).unsqueeze(-1)
            right = H[:, j:, j + 1 :]
            right -= tau[:, None, None] * (v @ (v.mT @ right))
    return H.reshape(A.shape), taus.reshape(*A.shape[:-2], k)


def _needs_numpy(name):
    if _numpy() is None:
        raise ModuleNotFoundError(f"linalg.{name} needs NumPy, which is not installed", name="numpy")


def _not_converged(name, A, values):
    """The error for LAPACK's giving up; it does not say on which matrix."""
    from .linalg import LinAlgError

    return LinAlgError(
        f"linalg.{name}: The algorithm failed to converge because the input matrix is ill-conditioned or has too many "
        f"repeated {values}."
    )


@_on_cpu
def eigh(A, *, UPLO):
    """(eigenvalues, rising; eigenvectors as columns) of symmetric matrices, from one triangle. NaN where an element is
    NaN or infinite."""
    if not A.numel():
        return A.new_zeros(A.shape[:-1]), A.clone()
    _needs_numpy("eigh")
    bad = ~A.isfinite().all(-1).all(-1)
    found = _lapack("eigh", A.masked_fill(bad[..., None, None], 0.0), UPLO=UPLO.upper())
    if found is None:
        raise _not_converged("eigh", A, "eigenvalues")
    nan = float("nan")
    return found[0].masked_fill(bad[..., None], nan), found[1].masked_fill(bad[..., None, None], nan)


@_on_cpu
def eig(A):
    """(eigenvalues, eigenvectors as columns of length 1) of square matrices, complex."""
    dtype = _core.complex128 if A.dtype in (_core.float64, _core.complex128) else _core.complex64
    A = A.to(dtype) if not A.numel() else A
    if not A.numel():
        return A.new_zeros(A.shape[:-1]), A.clone()
    _needs_numpy("eig")
    found = _lapack("eig", A)
    if found is None:
        raise _not_converged("eig", A, "eigenvalues")
    return found[0].to(dtype), found[1].to(dtype)


def finite_or_raise(A):
    """Raise PyTorch's error of the singular value decomposition for the first matrix with NaN or infinity."""
    if not A.numel():
        return
    bad = ~A.detach().isfinite().all(-1).all(-1)
    if bad.any():
        from .linalg import LinAlgError

        where = "" if A.dim() == 2 else f" (Batch element {int(bad.reshape(-1).int().argmax())}):"
        raise LinAlgError(
            f"linalg.svd:{where} The algorithm failed to converge because the input matrix contained non-finite values."
        )


@_on_cpu
def svd(A, *, full_matrices):
    """(U, S, Vᵀ) with A = U diag(S) Vᵀ, S falling."""
    finite_or_raise(A)
    m, n = A.shape[-2:]
    if not A.numel():
        unit = lambda size, width: _core.eye(size, width, dtype=A.dtype).expand(*A.shape[:-2], size, width).clone()  # noqa: E731
        k = min(m, n)
        return unit(m, m if full_matrices else k), A.new_zeros(*A.shape[:-2], k), unit(n if full_matrices else k, n)
    _needs_numpy("svd")
    found = _lapack("svd", A, full_matrices=full_matrices)
    if found is None:
        raise _not_converged("svd", A, "singular values")
    return found


@_on_cpu
def singular_values(A):
    """S of :func:`svd`."""
    finite_or_raise(A)
    if not A.numel():
        return A.new_zeros(*A.shape[:-2], min(A.shape[-2:]))
    _needs_numpy("svdvals")
    found = _lapack("svd", A, compute_uv=False)
    if found is None:
        raise _not_converged("svd", A, "singular values")
    return found


# Coefficients of the diagonal Padé approximant of order 13, and the norm up to which it is exact to rounding:
# Higham 2005, doi:10.1137/04061101X.
_PADE = [1.0]
for _i in range(13):
    _PADE.append(_PADE[-1] * (13 - _i) / ((26 - _i) * (_i + 1)))
_PADE_NORM = 5.371920351148152


@_on_cpu
def exponential(A):
    """exp(A) by scaling, Padé's approximant and squaring, computed in float64."""
    if not A.numel():
        return A.clone()
    X = _flat(A).double()
    norms = X.abs().sum(-2).amax(-1)
    bad = ~norms.isfinite()
    X = X.masked_fill(bad[:, None, None], 0.0)
    halvings = (norms.masked_fill(bad, 0.0) / _PADE_NORM).clamp(min=1.0).log2().ceil()
    X = X / halvings.exp2()[:, None, None]
    X2 = X @ X
    X4 = X2 @ X2
    X6 = X4 @ X2
    unit = _core.eye(X.size(-1), dtype=X.dtype)

    def terms(at, order):  # Σ c[at + 2i] X^(2i), the higher half by a product with X⁶
        low = _PADE[at] * unit + _PADE[at + 2] * X2 + _PADE[at + 4] * X4 + _PADE[at + 6] * X6
        return low + X6 @ (_PADE[at + 8] * X2 + _PADE[at + 10] * X4 + (_PADE[at + 12] * X6 if order == 12 else 0.0))

    even, odd = terms(0, 12), X @ terms(1, 12)
    result, _ = solve(even - odd, even + odd)
    for i in range(int(halvings.max())):
        result = _core.where((halvings > i)[:, None, None], result @ result, result)
    return result.masked_fill(bad[:, None, None], float("nan")).reshape(A.shape).to(A.dtype)


_GROWTH = (1 + 17**0.5) / 8  # least ratio of a pivot to what is in its column: Bunch and Kaufman 1977


@_on_cpu
def ldl(A):
    """(LD, pivots, info) of symmetric matrices, from the lower triangle: Bunch and Kaufman's factors as LAPACK keeps
    them. A negative pivot, twice, says that D has a block of two rows there. info is 0, or the number of the first row
    of zeros."""
    found = [_ldl_of_one(matrix) for matrix in A.reshape(-1, *A.shape[-2:])] if A.numel() else []
    shape, n = A.shape[:-2], A.size(-1)
    if not found:
        steps = _core.zeros(*shape, n, dtype=_core.int32)
        return A.clone(), steps, _core.zeros(shape, dtype=_core.int32)
    pivots = _core.tensor([pivots for _, pivots, _ in found], dtype=_core.int32).reshape(*shape, n)
    info = _core.tensor([info for _, _, info in found], dtype=_core.int32).reshape(shape)
    return _core.stack([LD for LD, _, _ in found]).reshape(A.shape), pivots, info


def _ldl_of_one(A):
    n, info, k = A.size(-1), 0, 0
    A = A.tril() + A.tril(-1).mT
    pivots = [0] * n
    while k < n:
        size, chosen = 1, k
        below = A[k + 1 :, k].abs()
        diagonal = abs(A[k, k].item())
        greatest = below.max().item() if k + 1 < n else 0.0
        if not max(diagonal, greatest) > 0:
            info = info or k + 1
        elif diagonal < _GROWTH * greatest:
            other = k + 1 + int(below.argmax())
            row = A[other, k:].abs()
            row[other - k] = 0.0
            across = row.max().item()
            if diagonal * across < _GROWTH * greatest * greatest:
                chosen = other
                size = 1 if abs(A[other, other].item()) >= _GROWTH * across else 2
        last = k + size - 1
        if chosen != last:
            order = list(range(k, n))
            order[last - k], order[chosen - k] = chosen, last
            A[k:, k:] = A[k:, k:][[i - k for i in order]][:, [i - k for i in order]]
        pivots[k : k + size] = [chosen + 1] if size == 1 else [-chosen - 1] * 2
        rest = k + size
        if rest < n and not (size == 1 and not max(diagonal, greatest) > 0):
            columns = A[rest:, k:rest].clone()
            reduced = _by_pivot(A[k:rest, k:rest], columns.mT).mT
            A[rest:, rest:] -= reduced @ columns.mT
            A[rest:, k:rest] = reduced
        k = rest
    return A.tril(), pivots, info


def _by_pivot(block, B):
    """D⁻¹ B for a symmetric block of one or two rows."""
    if block.size(-1) == 1:
        return B / block
    # Scaled by the element off the diagonal, which is the greatest.
    off = block[1, 0]
    a, c = block[0, 0] / off, block[1, 1] / off
    first, second = B[:1] / off, B[1:] / off
    scale = a * c - 1
    return _core.cat([(c * first - second) / scale, (a * second - first) / scale], 0)


@_on_cpu
def ldl_solve(LD, pivots, B):
    """X with A X = B from the factors of A that :func:`ldl` gives; batches of equal shapes."""
    X = B.clone()
    if not B.numel():
        return X
    n = LD.size(-1)
    flat = zip(LD.reshape(-1, n, n), pivots.reshape(-1, n).tolist(), X.view(-1, *X.shape[-2:]), strict=True)
    for L, exchanged, x in flat:
        k, steps = 0, []
        while k < n:
            size = 1 if exchanged[k] > 0 else 2
            last, chosen, rest = k + size - 1, abs(exchanged[k]) - 1, k + size
            steps.append((k, rest, last, chosen))
            if chosen != last:
                x[[last, chosen]] = x[[chosen, last]]
            x[rest:] -= L[rest:, k:rest] @ x[k:rest]
            block = L[k:rest, k:rest]
            x[k:rest] = _by_pivot(block.tril() + block.tril(-1).mT, x[k:rest].clone())
            k = rest
        for k, rest, last, chosen in reversed(steps):
            x[k:rest] -= L[rest:, k:rest].mT @ x[rest:]
            if chosen != last:
                x[[last, chosen]] = x[[chosen, last]]
    return X
