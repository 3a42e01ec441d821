"""Linear algebra: what the factors are, their first and second derivatives, batches, empty matrices, bad input."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rustnn
from rustnn import _factorizations as factors
from rustnn import linalg
from rustnn.autograd import gradcheck, gradgradcheck

SHAPES = [
    (3, 3),
    (2, 3, 3),
    (4, 2),
    (2, 4),
    (2, 1, 4, 3),
    (0, 3, 3),
    (0, 3),
    (3, 0),
    (0, 0),
    (2, 0, 0),
    (1, 1),
    (70, 40),
]
SQUARE = [shape for shape in SHAPES if shape[-1] == shape[-2]] + [(40, 40), (3, 35, 35)]


def random(*shape, grad=False):
    return rustnn.randn(*shape, dtype=rustnn.float64).requires_grad_(grad)


def positive(*shape):
    """Symmetric positive-definite matrices."""
    A = random(*shape)
    return A @ A.mT + rustnn.eye(shape[-1], dtype=A.dtype)


def close(a, b, tolerance=1e-9):
    assert a.shape == b.shape, (a.shape, b.shape)
    assert rustnn.allclose(a, b, rtol=tolerance, atol=tolerance)


def unit(size):
    return rustnn.eye(size, dtype=rustnn.float64)


def has_orthonormal_columns(Q):
    close(Q.mT @ Q, unit(Q.size(-1)).expand(*Q.shape[:-2], -1, -1))


@pytest.fixture(params=["with NumPy", "without NumPy"])
def numpy_or_not(request, monkeypatch):
    """The tests of what needs no NumPy run both ways."""
    if request.param == "without NumPy":
        monkeypatch.setattr(factors, "_numpy", lambda: None)


# What the factors are.


@pytest.mark.parametrize("shape", SHAPES)
def test_lu_multiplies_back(shape):
    A = random(*shape)
    P, L, U = linalg.lu(A)
    close(P @ L @ U, A)
    assert not U.tril(-1).any() and not L.triu(1).any()
    assert (L.diagonal(dim1=-2, dim2=-1) == 1).all() and (L.abs() <= 1 + 1e-12).all()
    LU, pivots = linalg.lu_factor(A)
    assert pivots.dtype is rustnn.int32
    for ours, theirs in zip(rustnn.lu_unpack(LU, pivots), (P, L, U), strict=True):
        close(ours, theirs)


@pytest.mark.parametrize("shape", SQUARE)
def test_cholesky_multiplies_back(shape, numpy_or_not):
    A = positive(*shape)
    L = linalg.cholesky(A)
    close(L @ L.mT, A)
    assert not L.triu(1).any()
    U = linalg.cholesky(A.triu(), upper=True)  # which looks at one triangle
    close(U.mT @ U, A)
    assert not linalg.cholesky_ex(A).info.any()


@pytest.mark.parametrize("mode", ["reduced", "complete"])
@pytest.mark.parametrize("shape", SHAPES)
def test_qr_multiplies_back(shape, mode, numpy_or_not):
    A = random(*shape)
    Q, R = linalg.qr(A, mode)
    close(Q @ R, A)
    has_orthonormal_columns(Q)
    assert not R.tril(-1).any()
    assert Q.size(-1) == (shape[-2] if mode == "complete" else min(shape[-2:]))
    close(linalg.qr(A, "r").R, linalg.qr(A).R)


@pytest.mark.parametrize("full_matrices", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_multiply_back(shape, full_matrices):
    A = random(*shape)
    U, S, Vh = linalg.svd(A, full_matrices)
    k = min(shape[-2:])
    has_orthonormal_columns(U)
    has_orthonormal_columns(Vh.mT)
    close(U[..., :k] * S.unsqueeze(-2) @ Vh[..., :k, :], A)
    assert (S >= 0).all() and (S.diff(dim=-1) <= 0).all()
    close(linalg.svdvals(A), S)


@pytest.mark.parametrize("UPLO", ["L", "U"])
@pytest.mark.parametrize("shape", SQUARE)
def test_eigenvectors_are_only_stretched(shape, UPLO):
    A = random(*shape)
    A = A + A.mT
    L, V = linalg.eigh(A.tril() if UPLO == "L" else A.triu(), UPLO)
    close(A @ V, V * L.unsqueeze(-2))
    has_orthonormal_columns(V)
    close(linalg.eigvalsh(A), L)
    assert (L.diff(dim=-1) >= 0).all()


@pytest.mark.parametrize("shape", SQUARE)
def test_ldl_factors_solve_indefinite_systems(shape):
    A = random(*shape)
    A = A + A.mT
    A.diagonal(dim1=-2, dim2=-1)[..., ::2] = 0.0  # so that some pivots are blocks
    if shape[-1] == 1:
        A = A + 1.0
    B = random(*shape[:-1], 2)
    LD, pivots = linalg.ldl_factor(A)
    close(A @ linalg.ldl_solve(LD, pivots, B), B, 1e-7)


@pytest.mark.parametrize("shape", SQUARE)
def test_solutions_solve(shape, numpy_or_not):
    A, n = random(*shape), shape[-1]
    A = A + 3 * unit(n)
    B, row = random(*shape[:-1], 2), random(*shape[:-2], 2, n)
    close(A @ linalg.solve(A, B), B)
    close(linalg.solve(A, row, left=False) @ A, row)
    close(A @ linalg.inv(A), unit(n).expand(shape))
    LU, pivots = linalg.lu_factor(A)
    close(A @ linalg.lu_solve(LU, pivots, B), B)
    close(A.mT @ linalg.lu_solve(LU, pivots, B, adjoint=True), B)
    close(linalg.lu_solve(LU, pivots, row, left=False) @ A, row)
    close(linalg.lu_solve(LU, pivots, row, left=False, adjoint=True) @ A.mT, row)
    S = positive(*shape)
    L = linalg.cholesky(S)
    close(S @ rustnn.cholesky_solve(B, L), B)
    close(S @ rustnn.cholesky_solve(B, L.mT, upper=True), B)
    close(S @ rustnn.cholesky_inverse(L), unit(n).expand(shape))


@pytest.mark.parametrize("unitriangular", [True, False])
@pytest.mark.parametrize("upper", [True, False])
@pytest.mark.parametrize("shape", SQUARE)
@pytest.mark.filterwarnings("ignore:torch.* is deprecated")
def test_triangular_systems_look_at_one_triangle(shape, upper, unitriangular, numpy_or_not):
    A = random(*shape) / max(shape[-1], 1) + 2 * unit(shape[-1])
    triangle = A.triu(int(unitriangular)) if upper else A.tril(-int(unitriangular))
    triangle = triangle + unit(shape[-1]) if unitriangular else triangle
    B, row = random(*shape[:-1], 2), random(*shape[:-2], 2, shape[-1])
    options = {"upper": upper, "unitriangular": unitriangular}
    close(triangle @ linalg.solve_triangular(A, B, **options), B)
    close(linalg.solve_triangular(A, row, left=False, **options) @ triangle, row)
    close(triangle.mT @ rustnn.triangular_solve(B, A, upper, True, unitriangular).solution, B)


def test_right_sides_are_vectors_matrices_or_batches():
    A, n = random(2, 3, 3), 3
    vectors = random(2, n)
    close((A @ linalg.solve(A, vectors).unsqueeze(-1)).squeeze(-1), vectors)
    one = random(n)
    close((A @ linalg.solve(A, one).unsqueeze(-1)).squeeze(-1), one.expand(2, n))
    many = random(4, 1, n, 2)
    assert linalg.solve(A, many).shape == (4, 2, n, 2)
    close(A @ linalg.solve(A, many), many.expand(4, 2, n, 2))


def test_determinants_are_products_of_pivots(numpy_or_not):
    assert linalg.det(rustnn.tensor([[1.0, 2.0], [2.0, 1.0]])).item() == -3.0
    A = random(2, 4, 4)
    sign, logarithm = linalg.slogdet(A)
    close(sign * logarithm.exp(), linalg.det(A))
    close(linalg.det(A @ A), linalg.det(A) ** 2)
    close(rustnn.logdet(A @ A.mT), 2 * logarithm)
    assert [part.item() for part in linalg.slogdet(rustnn.zeros(2, 2))] == [0.0, -math.inf]
    assert linalg.det(rustnn.zeros(0, 0)).item() == 1.0 and linalg.slogdet(rustnn.zeros(2, 0, 0))[1].tolist() == [0, 0]
    assert math.isnan(rustnn.logdet(-rustnn.eye(1)).item())


@pytest.mark.parametrize("shape", SHAPES)
def test_pseudo_inverses_are_moore_and_penroses(shape):
    A = random(*shape)
    if min(shape) > 1:
        A[..., -1, :] = A[..., 0, :]  # of less than full rank
    P = linalg.pinv(A)
    for product in (A @ P, P @ A):
        close(product, product.mT)
    close(A @ P @ A, A)
    close(P @ A @ P, P)
    close(rustnn.pinverse(A, 1e-10), P)
    symmetric = A @ A.mT
    close(linalg.pinv(symmetric, hermitian=True), linalg.pinv(symmetric), 1e-6)


def test_small_singular_values_count_for_zero():
    A = rustnn.diag(rustnn.tensor([4.0, 1.0, 1e-3, 0.0]))
    assert linalg.matrix_rank(A).item() == 3
    assert linalg.matrix_rank(A, atol=0.5).item() == linalg.matrix_rank(A, 0.5).item() == 2
    assert linalg.matrix_rank(A, rtol=0.5).item() == linalg.matrix_rank(A, atol=0.1, rtol=0.5).item() == 1
    assert linalg.matrix_rank(A, hermitian=True, atol=rustnn.tensor([0.0, 2.0])).tolist() == [3, 1]
    assert linalg.pinv(A, rtol=0.2).diagonal().tolist() == [0.25, 1.0, 0.0, 0.0]
    assert linalg.matrix_rank(rustnn.zeros(2, 0, 3)).tolist() == [0, 0]


@pytest.mark.parametrize("driver", ["gels", "gelsy", "gelsd", "gelss"])
def test_least_squares_leave_what_no_column_reaches(driver):
    A, B = random(2, 5, 3), random(2, 5, 2)
    X, residuals, rank, S = linalg.lstsq(A, B, driver=driver)
    close(A.mT @ (A @ X - B), rustnn.zeros(2, 3, 2, dtype=A.dtype))
    if driver == "gelsy":
        assert residuals.numel() == 0
    else:
        close(residuals, (A @ X - B).square().sum(-2))
    assert rank.tolist() == ([] if driver == "gels" else [3, 3])
    assert S.shape == ((2, 3) if driver in ("gelsd", "gelss") else (0,))
    vectors = random(2, 5)
    close(linalg.lstsq(A, vectors, driver=driver).solution, linalg.lstsq(A, vectors[..., None]).solution[..., 0])


def test_small_singular_values_are_left_out_of_solutions():
    A, B = rustnn.diag(rustnn.tensor([4.0, 1.0])), rustnn.ones(2, 1)
    assert linalg.lstsq(A, B, rcond=0.5).solution.flatten().tolist() == [0.25, 0.0]
    assert linalg.lstsq(A, B, rcond=-1.0).solution.flatten().tolist() == [0.25, 1.0]
    assert linalg.lstsq(A, B, rcond=2.0, driver="gelsd").solution.flatten().tolist() == [0.25, 1.0]
    assert linalg.lstsq(A, B, rcond=2.0, driver="gelss").rank.item() == 0


def test_of_many_solutions_the_shortest_is_found():
    A = rustnn.tensor([[1.0, 1.0]])
    assert linalg.lstsq(A, rustnn.tensor([[2.0]])).solution.flatten().tolist() == pytest.approx([1.0, 1.0])
    assert linalg.lstsq(rustnn.zeros(0, 3), rustnn.zeros(0, 2)).solution.tolist() == [[0.0] * 2] * 3
    assert linalg.lstsq(rustnn.zeros(2, 3, 0), rustnn.ones(2, 3, 1), driver="gelsd").residuals.tolist() == [[3.0]] * 2


def test_exponentials_of_matrices(numpy_or_not):
    angle = 0.7
    turn = linalg.matrix_exp(rustnn.tensor([[0.0, -angle], [angle, 0.0]], dtype=rustnn.float64))
    close(turn, rustnn.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]).double(), 1e-7)
    for size in (1e-9, 0.1, 3.0, 60.0):
        A = random(3, 4, 4) * rustnn.tensor([1.0, 0.01, 0.0])[:, None, None] * size
        E = linalg.matrix_exp(A)
        close(E @ linalg.matrix_exp(-A) / E.abs().amax(), unit(4).expand(3, 4, 4) / E.abs().amax(), 1e-8)
        if size < 10:
            close(linalg.slogdet(E).logabsdet, A.diagonal(dim1=-2, dim2=-1).sum(-1), 1e-6)
    assert linalg.matrix_exp(rustnn.zeros(2, 0, 0)).shape == (2, 0, 0)
    broken = linalg.matrix_exp(rustnn.stack([rustnn.full((2, 2), math.nan), rustnn.zeros(2, 2)]))
    assert broken[0].isnan().all() and broken[1].tolist() == [[1.0, 0.0], [0.0, 1.0]]


@given(st.integers(-4, 9))
def test_powers_are_repeated_products(n):
    A = rustnn.tensor([[1.0, 1.0], [0.5, -1.0]], dtype=rustnn.float64)
    expected = unit(2)
    for _ in range(abs(n)):
        expected = expected @ (A if n > 0 else linalg.inv(A))
    close(linalg.matrix_power(A, n), expected)
    assert linalg.matrix_power(rustnn.tensor([[1, 1], [1, 0]]), abs(n)).dtype is rustnn.int64


@given(st.lists(st.integers(1, 6), min_size=3, max_size=7))
def test_products_of_many_do_not_depend_on_their_order(sizes):
    matrices = [random(a, b) for a, b in itertools.pairwise(sizes)]
    expected = matrices[0]
    for matrix in matrices[1:]:
        expected = expected @ matrix
    close(linalg.multi_dot(matrices), expected)
    close(linalg.multi_dot([matrices[0][0], *matrices[1:-1], matrices[-1][:, 0]]), expected[0, 0])


def test_reflections_make_orthogonal_matrices(numpy_or_not):
    A = random(2, 5, 3)
    a, tau = rustnn.geqrf(A)
    Q, R = linalg.qr(A)
    close(rustnn.orgqr(a, tau), Q)
    close(a[..., :3, :].triu(), R)
    C, whole = random(2, 5, 4), linalg.qr(A, "complete").Q
    close(rustnn.ormqr(a, tau, C), whole @ C)
    close(rustnn.ormqr(a, tau, C, transpose=True), whole.mT @ C)
    close(rustnn.ormqr(a, tau, C.mT, left=False), C.mT @ whole)
    close(rustnn.ormqr(a, tau, C.mT, left=False, transpose=True), C.mT @ whole.mT)
    with_zero = rustnn.tensor([[2.0, 1.0], [0.0, 3.0]])  # no reflection is needed
    assert rustnn.geqrf(with_zero).tau.tolist() == [0.0, 0.0]


def test_tensors_are_inverted_as_matrices():
    A, B = random(2, 3, 6), random(2, 3)
    close(rustnn.tensordot(linalg.tensorinv(A), B, 2), linalg.tensorsolve(A, B))
    close(rustnn.tensordot(A, linalg.tensorsolve(A, B), 1), B)
    assert rustnn.tensordot(rustnn.ones(0, 2), rustnn.ones(2, 3), 1).shape == (0, 3)
    assert rustnn.tensordot(rustnn.ones(2, 0), rustnn.ones(0, 3), 1).tolist() == [[0.0] * 3] * 2
    moved = A.permute(0, 2, 1)
    close(linalg.tensorsolve(moved, B, dims=(1,)), linalg.tensorsolve(A, B))


def test_norms_of_matrices():
    A = rustnn.tensor([[3.0, 0.0], [-4.0, 5.0]])
    values = linalg.svdvals(A)
    expected = {
        "fro": math.sqrt(50), "nuc": values.sum().item(), 2: values[0].item(), -2: values[1].item(),
        1: 7.0, -1: 5.0, math.inf: 9.0, -math.inf: 3.0,
    }  # fmt: skip
    for ord, value in expected.items():
        assert linalg.matrix_norm(A, ord).item() == pytest.approx(value)
        assert linalg.norm(A, ord).item() == pytest.approx(value)
        stacked = rustnn.stack([A, 2 * A], dim=1)
        assert linalg.matrix_norm(stacked, ord, dim=(0, 2)).tolist() == pytest.approx([value, 2 * value])
        assert linalg.matrix_norm(stacked, ord, dim=(-1, 0), keepdim=True).shape == (1, 2, 1)
        if isinstance(ord, str) or ord > 0:
            assert linalg.matrix_norm(rustnn.zeros(2, 0, 3), ord).tolist() == [0.0, 0.0]
        elif ord != -1:
            with pytest.raises(IndexError, match="non-zero size"):
                linalg.matrix_norm(rustnn.zeros(2, 0, 3), ord)
    assert rustnn.norm(A, "nuc").item() == pytest.approx(expected["nuc"])
    assert linalg.norm(A.flatten(), 1).item() == 12.0 and linalg.norm(A, 1, dim=0).tolist() == [7.0, 5.0]


@pytest.mark.parametrize("p", [None, 2, -2, "fro", "nuc", 1, -1, math.inf, -math.inf])
def test_conditions_compare_norms_with_the_inverses(p):
    A = random(2, 3, 3)
    norm = 2 if p is None else p
    close(linalg.cond(A, p), linalg.matrix_norm(A, norm) * linalg.matrix_norm(linalg.inv(A), norm), 1e-6)
    assert linalg.cond(rustnn.zeros(0, 0), p).item() == 0
    if p not in (2, -2, None):
        assert linalg.cond(rustnn.ones(2, 2), p).item() == math.inf


def test_products_along_dimensions():
    x = rustnn.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    assert linalg.vecdot(x, x).tolist() == [14.0, 77.0] and linalg.vecdot(x, x, dim=0).tolist() == [17.0, 29.0, 45.0]
    assert linalg.cross(x, x.flip(0)).tolist() == [[-3.0, 6.0, -3.0], [3.0, -6.0, 3.0]]
    assert linalg.cross(x.T.flip(1), x.T, dim=0).shape == (3, 2)
    assert linalg.vander(rustnn.tensor([[2, 3]])).tolist() == [[[1, 2], [1, 3]]]
    assert linalg.vander(rustnn.tensor(2.0), N=3).tolist() == [[1.0, 2.0, 4.0]]
    assert linalg.vander(rustnn.tensor([2.0]), N=4).tolist() == [[1.0, 2.0, 4.0, 8.0]]
    assert linalg.diagonal(rustnn.ones(2, 3, 4), offset=1).shape == (2, 3)


def test_low_rank_matrices_are_found_from_random_products():
    A = random(2, 20, 3) @ random(2, 3, 12)
    U, S, V = rustnn.svd_lowrank(A, q=5)
    close(U * S.unsqueeze(-2) @ V.mT, A)
    close(rustnn.svd_lowrank(A + 1.0, q=5, M=rustnn.ones(20, 12, dtype=A.dtype))[1][..., :3], S[..., :3])
    U, S, V = rustnn.pca_lowrank(A, q=4, niter=3)
    close(U * S.unsqueeze(-2) @ V.mT, A - A.mean(-2, keepdim=True))
    assert (S[..., 3] < 1e-9).all()


@pytest.mark.filterwarnings("ignore:torch.* is deprecated")
def test_older_spellings_give_the_same():
    A = random(2, 4, 3)
    Q, R = rustnn.qr(A, some=False)
    close(Q @ R, A)
    U, S, V = A.svd()
    close(U * S.unsqueeze(-2) @ V.mT, A)
    U, _, V = rustnn.svd(A, compute_uv=False)
    assert not U.any() and not V.any() and U.shape == (2, 4, 4) and V.shape == (2, 3, 3)
    square = positive(2, 3, 3)
    close(square.cholesky(), linalg.cholesky(square))
    LU, pivots, info = rustnn.lu(square, get_infos=True)
    assert not info.any()
    close(square @ rustnn.lu_solve(A[:, :3], LU, pivots), A[:, :3])
    close(rustnn.chain_matmul(square[0], A[0, :3]), square[0] @ A[0, :3])
    close(square.inverse(), rustnn.inverse(square))
    close(rustnn.nuclear_norm(A), linalg.svdvals(A).sum(-1))
    assert rustnn.slogdet(square)._fields == ("sign", "logabsdet")
    for name in ("symeig", "eig", "solve", "lstsq", "matrix_rank"):
        with pytest.raises(RuntimeError, match="is now removed"):
            getattr(rustnn, name)(square, square)


def test_results_go_into_tensors_given():
    A = rustnn.tensor([[2.0, 0.0], [0.0, 4.0]])
    out = rustnn.empty(0)
    assert linalg.inv(A, out=out) is out and out.tolist() == [[0.5, 0.0], [0.0, 0.25]]
    pair = rustnn.empty(2), rustnn.empty(2, 2)
    named = linalg.eigh(A, out=pair)
    assert named.eigenvalues is pair[0] and pair[0].tolist() == [2.0, 4.0]
    with pytest.warns(UserWarning, match="was resized"):
        linalg.inv(A, out=rustnn.empty(3, 3))
    with pytest.raises(RuntimeError, match="Expected out tensor to have dtype float, but got double instead"):
        linalg.inv(A, out=rustnn.empty(2, 2).double())
    assert linalg.pinv(A, out=rustnn.empty(0).double()).dtype is rustnn.float64
    with pytest.raises(RuntimeError, match="Expected result to be safely castable from Float dtype"):
        linalg.pinv(A, out=rustnn.empty(0).int())
    with pytest.raises(RuntimeError, match="expected out tensor dtype Float but got: Double"):
        linalg.norm(A, out=rustnn.empty(0).double())
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        linalg.inv(A.requires_grad_(), out=out)


def test_inference_records_nothing():
    A = positive(2, 3, 3).requires_grad_()
    functions = [linalg.inv, linalg.det, linalg.slogdet, linalg.cholesky, linalg.qr, linalg.svd, linalg.eigh, linalg.lu,
                 linalg.pinv, linalg.matrix_exp, linalg.matrix_rank]  # fmt: skip
    with rustnn.inference_mode():
        for function in functions:
            result = function(A.clone())
            assert not (result[0] if isinstance(result, tuple) else result).requires_grad


def test_named_results_survive_a_copy():
    import copy

    found = linalg.svd(rustnn.eye(2))
    assert type(copy.deepcopy(found)) is type(found) is rustnn.return_types.linalg_svd
    assert repr(found).startswith("torch.return_types.linalg_svd(\nU=tensor")


def test_arguments_and_nodes_have_pytorchs_names():
    x = rustnn.tensor([[3.0, 4.0]], requires_grad=True)
    assert linalg.norm(x, axis=1, keepdims=True).tolist() == [[5.0]]
    assert linalg.vector_norm(x=x).item() == linalg.matrix_norm(input=x).item() == 5.0
    assert linalg.svdvals(x).grad_fn.name() == "LinalgSvdBackward0"
    assert rustnn._C._LinAlgError is linalg.LinAlgError


# Derivatives.


def symmetric(function):
    return lambda A, *others: function(A + A.mT, *others)


def definite(function):
    return lambda A, *others: function(A @ A.mT + unit(A.size(-1)), *others)


def lower(function):
    return lambda A, *others: function(A + 3 * unit(A.size(-1)), *others)


def signless(U, S, V):
    """What does not depend on the signs of the singular vectors."""
    return S, U.square(), (U * S.unsqueeze(-2)) @ V.mT.roll(1, -1)


# Name: (function, shapes of its inputs). Where eigenvectors come in, only what their signs leave alone.
DIFFERENTIABLE = {
    "cholesky": (definite(linalg.cholesky), [(2, 3, 3)]),
    "cholesky, upper": (definite(lambda A: linalg.cholesky(A, upper=True)), [(3, 3)]),
    "cholesky_solve": (lower(lambda A, B: rustnn.cholesky_solve(B, A)), [(3, 3), (2, 3, 2)]),
    "cholesky_inverse": (lower(lambda A: rustnn.cholesky_inverse(A, upper=True)), [(2, 3, 3)]),
    "inv": (linalg.inv, [(2, 3, 3)]),
    "det": (linalg.det, [(2, 3, 3)]),
    "slogdet": (lambda A: linalg.slogdet(A).logabsdet, [(2, 3, 3)]),
    "logdet": (definite(rustnn.logdet), [(3, 3)]),
    "solve": (linalg.solve, [(3, 3), (2, 3, 2)]),
    "solve, vectors": (linalg.solve, [(2, 3, 3), (2, 3)]),
    "solve, right": (lambda A, B: linalg.solve(A, B, left=False), [(3, 3), (2, 3)]),
    "solve_ex": (lambda A, B: linalg.solve_ex(A, B).result, [(3, 3), (3,)]),
    "solve_triangular": (lower(lambda A, B: linalg.solve_triangular(A, B, upper=False)), [(3, 3), (2, 3, 1)]),
    "solve_triangular, right, ones": (
        lambda A, B: linalg.solve_triangular(A, B, upper=True, left=False, unitriangular=True), [(3, 3), (2, 3)],
    ),
    "triangular_solve": (
        lower(lambda A, B: rustnn.triangular_solve(B, A, upper=True, transpose=True).solution), [(3, 3), (3, 2)],
    ),
    "lu": (lambda A: linalg.lu(A)[1:], [(2, 3, 3)]),
    "lu, wide": (lambda A: linalg.lu(A)[1:], [(3, 5)]),
    "lu, tall": (lambda A: linalg.lu(A)[1:], [(2, 5, 3)]),
    "lu_factor": (lambda A: linalg.lu_factor(A).LU, [(3, 4)]),
    "lu_solve": (lambda A, B: linalg.lu_solve(*linalg.lu_factor(A), B), [(3, 3), (2, 3, 2)]),
    "lu_solve, adjoint": (
        lambda A, B: linalg.lu_solve(*linalg.lu_factor(A), B, left=False, adjoint=True), [(3, 3), (2, 3)],
    ),
    "qr": (linalg.qr, [(2, 4, 3)]),
    "qr, wide": (linalg.qr, [(3, 5)]),
    "qr, complete": (lambda A: linalg.qr(A, "complete"), [(3, 3)]),
    "eigh": (symmetric(lambda A: (linalg.eigh(A)[0], linalg.eigh(A)[1].square())), [(2, 3, 3)]),
    "eigvalsh": (symmetric(linalg.eigvalsh), [(3, 3)]),
    "svd": (lambda A: signless(*rustnn.svd(A)), [(3, 3)]),
    "svd, tall": (lambda A: signless(*rustnn.svd(A)), [(2, 4, 2)]),
    "svd, wide": (lambda A: linalg.svd(A)[2][..., :2, :].square(), [(2, 4)]),
    "svdvals": (linalg.svdvals, [(2, 2, 3)]),
    "pinv, tall": (linalg.pinv, [(2, 4, 2)]),
    "pinv, wide": (linalg.pinv, [(2, 3)]),
    "pinv, low rank": (lambda A, B: linalg.pinv(A @ B, rtol=1e-9), [(4, 2), (2, 3)]),
    "pinv, hermitian": (symmetric(lambda A: linalg.pinv(A, hermitian=True)), [(3, 3)]),
    "lstsq": (lambda A, B: linalg.lstsq(A, B, driver="gelsd")[:2], [(2, 4, 2), (2, 4, 3)]),
    "lstsq, wide": (lambda A, B: linalg.lstsq(A, B).solution, [(2, 4), (2,)]),
    "matrix_exp": (linalg.matrix_exp, [(2, 3, 3)]),
    "matrix_power": (lambda A: linalg.matrix_power(A, -3), [(3, 3)]),
    "multi_dot": (lambda *all: linalg.multi_dot(all), [(3,), (3, 2), (2, 4)]),
    "householder_product": (linalg.householder_product, [(2, 4, 3), (2, 2)]),
    "ormqr": (lambda *all: rustnn.ormqr(*all, True, True), [(4, 2), (2,), (4, 3)]),
    "tensorinv": (linalg.tensorinv, [(2, 2, 4)]),
    "tensorsolve": (linalg.tensorsolve, [(2, 2, 4), (2, 2)]),
    "vander": (lambda x: linalg.vander(x, N=4), [(2, 2)]),
    "vecdot": (linalg.vecdot, [(2, 3), (3,)]),
    "cond": (linalg.cond, [(2, 3, 3)]),
    "cond, 1": (lambda A: linalg.cond(A, 1), [(3, 3)]),
    "cond, nuc": (lambda A: linalg.cond(A, "nuc"), [(3, 3)]),
    **{
        f"matrix_norm, {ord}": (lambda A, ord=ord: linalg.matrix_norm(A, ord), [(2, 3, 2)])
        for ord in ("fro", "nuc", 2, -2, 1, -1, math.inf, -math.inf)
    },
}  # fmt: skip


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@pytest.mark.filterwarnings("ignore:torch.* is deprecated")
def test_first_and_second_derivatives_are_right(name):
    function, shapes = DIFFERENTIABLE[name]
    inputs = tuple(random(*shape, grad=True) for shape in shapes)
    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("rank", [1, 2])
def test_singular_matrices_have_determinants_with_gradients(rank):
    A = (random(3, rank) @ random(rank, 3)).requires_grad_()
    A.data[..., 2, :] = A.data[..., 0, :] + A.data[..., 1, :]
    zero = rustnn.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=rustnn.float64, requires_grad=True)
    (gradient,) = rustnn.autograd.grad(linalg.det(zero), zero)
    close(gradient, rustnn.tensor([[4.0, -2.0], [-2.0, 1.0]]).double())
    assert gradcheck(linalg.det, (A,), atol=1e-6)
    assert gradgradcheck(linalg.det, (zero,))


def test_equal_singular_values_have_gradients():
    A = rustnn.eye(3, requires_grad=True)
    linalg.svdvals(A).sum().backward()
    assert A.grad.tolist() == rustnn.eye(3).tolist()
    B = rustnn.eye(3, requires_grad=True)
    linalg.eigvalsh(B).sum().backward()
    assert B.grad.tolist() == rustnn.eye(3).tolist()


def test_what_has_no_gradient_says_so():
    A = rustnn.ones(3, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match="mode='r'"):
        linalg.qr(A, "r").R.sum().backward()
    with pytest.raises(RuntimeError, match="mode='complete' and nrows > ncols"):
        linalg.qr(A, "complete").R.sum().backward()
    with pytest.raises(RuntimeError, match="ldl_factor_ex is not implemented"):
        linalg.ldl_factor(rustnn.eye(2, requires_grad=True)).LD.sum().backward()
    assert not linalg.matrix_rank(A).requires_grad


# Bad input.


SINGULAR = [[1.0, 2.0], [2.0, 4.0]]


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda A: linalg.inv(A), linalg.LinAlgError, "linalg.inv: The diagonal element 2 is zero, the inversion"),
        (lambda A: linalg.inv(rustnn.stack([A + A.T / 3 - 9, A])), linalg.LinAlgError, r"inv: \(Batch element 1\)"),
        (lambda A: A.inverse(), linalg.LinAlgError, "input matrix is singular"),
        (lambda A: linalg.solve(A, A), linalg.LinAlgError, "torch.linalg.solve: The solver failed because"),
        (lambda A: linalg.solve_ex(A, A, check_errors=True), linalg.LinAlgError, "torch.linalg.solve_ex: The solver"),
        (lambda A: linalg.inv_ex(A, check_errors=True), linalg.LinAlgError, "linalg.inv_ex: The diagonal element 2"),
        (lambda A: linalg.cholesky(A), linalg.LinAlgError, "linalg.cholesky: .* leading minor of order 2 is not"),
        (lambda A: linalg.cholesky(rustnn.full((2, 2), math.nan)), linalg.LinAlgError, "minor of order 1"),
        (lambda A: rustnn.cholesky(A.expand(3, 2, 2)), linalg.LinAlgError, r"cholesky: \(Batch element 0\): "),
        (lambda A: rustnn.cholesky_inverse(0 * A), linalg.LinAlgError, "cholesky_inverse: The diagonal element 1"),
        (lambda A: linalg.lu_factor(A), RuntimeError, r"torch.linalg.lu_factor: U\[2,2\] is zero"),
        (lambda A: linalg.lu_factor(A, pivot=False), RuntimeError, "LU without pivoting is not implemented"),
        (lambda A: linalg.svd(A / 0), linalg.LinAlgError, "linalg.svd: .* contained non-finite values"),
        (lambda A: linalg.svdvals(A.expand(3, 2, 2) / 0), linalg.LinAlgError, r"linalg.svd: \(Batch element 0\):"),
        (lambda A: linalg.svd(A, driver="gesvd"), RuntimeError, "only supported on CUDA inputs"),
        (lambda A: linalg.eigh(A, "x"), RuntimeError, "Expected UPLO argument to be 'L' or 'U', but got x"),
        (lambda A: linalg.qr(A, "full"), RuntimeError, "unrecognized mode 'full'"),
        (lambda A: linalg.eig(A[:1]), RuntimeError, "linalg.eig: A must be batches of square matrices"),
        (lambda A: linalg.eig(A.half()), NotImplementedError, "not implemented for 'Half'"),
        (lambda A: linalg.eigvals(A / 0), RuntimeError, "torch.linalg.eigvals: input tensor should not contain infs"),
        (lambda A: linalg.eigvals(A.long()), RuntimeError, "Unknown Complex ScalarType for Long"),
        (lambda A: linalg.lstsq(A, A, driver="gels"), linalg.LinAlgError, "does not have full rank"),
        (lambda A: linalg.lstsq(A, A, driver="x"), RuntimeError, r"should be one of \(gels, gelsy, gelsd, gelss\)"),
        (lambda A: linalg.inv(A[0]), RuntimeError, "linalg.inv: The input tensor A must have at least 2 dimensions"),
        (lambda A: linalg.det(A[:1]), RuntimeError, "linalg.det: A must be batches of square matrices.* 1 by 2"),
        (lambda A: linalg.inv(A.long()), RuntimeError, "a floating point or complex tensor as input. Got Long"),
        (lambda A: linalg.inv(A.half()), RuntimeError, "Low precision dtypes not supported. Got Half"),
        (lambda A: linalg.svd(A.bfloat16()), NotImplementedError, "\"linalg_svd_cpu\" not implemented for 'BFloat16'"),
        (lambda A: linalg.eigh(A.half()), NotImplementedError, "\"linalg_eigh_cpu\" not implemented for 'Half'"),
        (lambda A: linalg.inv("A"), TypeError, r"linalg_inv\(\): argument 'A' \(position 1\) must be Tensor, not str"),
        (lambda A: linalg.solve(A, A.double()), RuntimeError, "dtype, but found A of type Float and B of type Double"),
        (lambda A: linalg.solve(A, rustnn.ones(3, 1)), RuntimeError, r"the equation AX = B \(2x2 and 3x1\)"),
        (lambda A: linalg.solve(A, rustnn.ones(3), left=False), RuntimeError, r"XA = B \(2x2 and 3x1\)"),
        (lambda A: linalg.solve_triangular(A, rustnn.ones(2), upper=True), RuntimeError, "B must have at least 2"),
        (lambda A: linalg.lu_solve(A, rustnn.tensor([1, 2]), A), RuntimeError, "scalar type torch.int32"),
        (lambda A: linalg.lu_solve(A, rustnn.tensor([1, 3]).int(), A), RuntimeError, "smaller or equal to LU.size"),
        (lambda A: linalg.matrix_norm(A, 3), RuntimeError, "linalg.matrix_norm: Order 3 not supported"),
        (lambda A: linalg.matrix_norm(A, dim=(0, -2)), RuntimeError, r"dims must be different. Got \(0, -2\)"),
        (lambda A: linalg.norm(A[None], 2), RuntimeError, "input must be 1D or 2D. Got 3D"),
        (lambda A: linalg.vector_norm(A[:0], math.inf), RuntimeError, "the operation does not have an identity"),
        (lambda A: linalg.cond(A, 3), RuntimeError, "linalg.cond got an invalid norm type: 3"),
        (lambda A: linalg.multi_dot([A]), RuntimeError, "expected at least 2 tensors but got 1"),
        (lambda A: linalg.tensorinv(A, 0), RuntimeError, "strictly positive integer for 'ind'"),
        (lambda A: linalg.vander(A, N=1), RuntimeError, "N must be greater than 1"),
        (lambda A: rustnn.lu_unpack(A, rustnn.tensor([0, 1]).int()), RuntimeError, "must be between 1 and LU.size"),
        (lambda A: rustnn.pca_lowrank(A, q=3), ValueError, r"not greater than min\(m, n\)=2"),
    ],
)  # fmt: skip
def test_bad_input_raises(call, error, message):
    with pytest.raises(error, match=message) as raised:
        call(rustnn.tensor(SINGULAR))
    assert type(raised.value) is error


def test_failures_are_told_by_numbers_where_asked():
    batch = rustnn.stack([rustnn.eye(2), rustnn.tensor(SINGULAR), rustnn.zeros(2, 2)])
    for function in (linalg.inv_ex, linalg.cholesky_ex, linalg.lu_factor_ex, linalg.ldl_factor_ex):
        info = function(batch).info
        assert info.dtype is rustnn.int32 and info.tolist() == [0, 2, 1]
    assert linalg.solve_ex(batch, rustnn.ones(2)).info.tolist() == [0, 2, 1]
    assert linalg.cholesky_ex(batch).L[0].tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_not_a_number_stays_in_its_matrix():
    batch = rustnn.stack([rustnn.eye(2), rustnn.full((2, 2), math.nan)])
    for result in (*linalg.eigh(batch), linalg.inv(batch), linalg.det(batch), *linalg.qr(batch)):
        assert not result[0].isnan().any() and result[1].isnan().any()


def test_singular_values_without_numpy_say_what_they_need(monkeypatch):
    monkeypatch.setattr(factors, "_numpy", lambda: None)
    for name in ("svd", "svdvals", "eigh"):
        with pytest.raises(ModuleNotFoundError, match=f"linalg.{name} needs NumPy, which is not installed"):
            getattr(linalg, name)(rustnn.eye(2))


def test_single_precision_stays_single():
    A = rustnn.randn(3, 3)
    A = A @ A.T + rustnn.eye(3)
    results = [linalg.cholesky(A), *linalg.qr(A), *linalg.svd(A), *linalg.eigh(A), linalg.inv(A), linalg.det(A)]
    assert {result.dtype for result in results} == {rustnn.float32}
    assert rustnn.allclose(linalg.matrix_exp(linalg.pinv(A)), linalg.matrix_exp(linalg.inv(A)), atol=1e-4)


@pytest.mark.parametrize("kind", ["float64", "complex128"])
def test_eigenvectors_of_any_square_matrix_are_stretched(kind):
    rustnn.manual_seed(3)
    A = rustnn.randn(2, 4, 4, dtype=getattr(rustnn, kind))
    L, V = linalg.eig(A)
    assert L.dtype == V.dtype == rustnn.complex128
    close(rustnn.view_as_real(A.to(L.dtype) @ V), rustnn.view_as_real(V * L.unsqueeze(-2)))
    close(linalg.eigvals(A).sum(-1).real, A.diagonal(dim1=-2, dim2=-1).sum(-1).real)
    A = A[0].requires_grad_()
    assert gradcheck(lambda A: linalg.eigvals(A).abs().sum(), A) and gradcheck(lambda A: linalg.eig(A)[1].abs(), A)
    assert gradgradcheck(lambda A: linalg.eigvals(A).abs().sum(), A)
    with pytest.raises(RuntimeError, match="specified up to multiplication by"):
        linalg.eig(A)[1].imag.sum().backward()
