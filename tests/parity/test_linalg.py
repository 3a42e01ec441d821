"""Linear algebra against PyTorch itself: values and gradients of what does not depend on signs, and what errors say."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

import rustnn

torch = pytest.importorskip("torch", reason="`make parity` installs PyTorch")

BATCHES = [(), (2,), (2, 1)]


def matrix(*shape, kind="general", seed=0):
    values = np.random.default_rng(seed).standard_normal(shape)
    if kind == "positive":
        values = values @ np.swapaxes(values, -1, -2) + np.eye(shape[-1])
    if kind == "symmetric":
        values = values + np.swapaxes(values, -1, -2)
    return values


def flatten(found):
    """The tensors in a result, in order."""
    if isinstance(found, (tuple, list)):
        return [tensor for part in found for tensor in flatten(part)]
    return [found]


def weights(library, output, seed):
    return library.tensor(np.cos(np.arange(output.numel()) + seed)).to(output.dtype).reshape(output.shape)


def compare(function, *arrays, dtype="float64", tolerance=1e-8, gradients=True):
    """Values, dtypes, shapes, names of fields, and gradients of a weighted sum."""
    results = []
    for library in (rustnn, torch):
        inputs = []
        for array in arrays:
            tensor = library.tensor(array)
            floating = tensor.is_floating_point()
            inputs.append(tensor.to(getattr(library, dtype)).requires_grad_(gradients) if floating else tensor)
        found = function(library, *inputs)
        names = getattr(type(found), "__match_args__", None)
        outputs = flatten(found)
        sums = [
            (output * weights(library, output, i)).sum() for i, output in enumerate(outputs) if output.requires_grad
        ]
        if gradients and sums:
            sum(sums).backward()
        shown = [output.detach().numpy() for output in outputs]
        grads = [None if input.grad is None else input.grad.numpy() for input in inputs if gradients]
        kinds = [str(output.dtype) for output in outputs]
        results.append((shown, grads, kinds, names))
    (ours, our_grads, our_kinds, our_names), (theirs, their_grads, their_kinds, their_names) = results
    assert our_kinds == their_kinds
    assert our_names == their_names
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)
    for a, b in zip(our_grads, their_grads, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=tolerance * 10, atol=tolerance * 10)


def spectrum(L, V):
    """What does not depend on the signs of eigenvectors."""
    return L, V**2


def singular(found):
    U, S, Vh = found
    k = S.shape[-1]
    return S, U[..., :k] ** 2, (U[..., :k] * S.unsqueeze(-2)) @ Vh[..., :k, :].flip(-1)


# Name: (function, kinds and shapes of the inputs after the batch).
SAME = {
    "cholesky": (lambda t, A: t.linalg.cholesky(A), [("positive", 3, 3)]),
    "cholesky upper": (lambda t, A: t.linalg.cholesky(A, upper=True), [("positive", 3, 3)]),
    "cholesky_ex": (lambda t, A: t.linalg.cholesky_ex(A), [("positive", 3, 3)]),
    "cholesky_solve": (
        lambda t, A, B: t.cholesky_solve(B, A.triu(), upper=True), [("positive", 3, 3), ("general", 3, 2)],
    ),
    "cholesky_inverse": (lambda t, A: t.cholesky_inverse(A.tril()), [("positive", 3, 3)]),
    "det": (lambda t, A: t.linalg.det(A), [("general", 4, 4)]),
    "Tensor.det": (lambda t, A: A.det(), [("general", 2, 2)]),
    "slogdet": (lambda t, A: t.linalg.slogdet(A), [("general", 3, 3)]),
    "torch.slogdet": (lambda t, A: t.slogdet(A), [("general", 3, 3)]),
    "logdet": (lambda t, A: t.logdet(A), [("positive", 3, 3)]),
    "inv": (lambda t, A: t.linalg.inv(A), [("general", 3, 3)]),
    "inv_ex": (lambda t, A: t.linalg.inv_ex(A), [("general", 3, 3)]),
    "solve": (lambda t, A, B: t.linalg.solve(A, B), [("general", 3, 3), ("general", 3, 2)]),
    "solve right": (lambda t, A, B: t.linalg.solve(A, B, left=False), [("general", 3, 3), ("general", 2, 3)]),
    "solve vectors": (lambda t, A, B: t.linalg.solve(A, B), [("general", 3, 3), ("general", 3)]),
    "solve_ex": (lambda t, A, B: t.linalg.solve_ex(A, B), [("general", 3, 3), ("general", 3, 2)]),
    "solve_triangular": (
        lambda t, A, B: t.linalg.solve_triangular(A, B, upper=True), [("positive", 3, 3), ("general", 3, 2)],
    ),
    "solve_triangular right": (
        lambda t, A, B: t.linalg.solve_triangular(A, B, upper=False, left=False, unitriangular=True),
        [("general", 3, 3), ("general", 2, 3)],
    ),
    "triangular_solve": (
        lambda t, A, B: t.triangular_solve(B, A, upper=False, transpose=True), [("positive", 3, 3), ("general", 3, 2)],
    ),
    "lu": (lambda t, A: t.linalg.lu(A), [("general", 3, 3)]),
    "lu wide": (lambda t, A: t.linalg.lu(A), [("general", 3, 5)]),
    "lu tall": (lambda t, A: t.linalg.lu(A), [("general", 5, 3)]),
    "lu_factor": (lambda t, A: t.linalg.lu_factor(A), [("general", 4, 3)]),
    "lu_factor_ex": (lambda t, A: t.linalg.lu_factor_ex(A), [("general", 3, 4)]),
    "torch.lu": (lambda t, A: tuple(t.lu(A)), [("general", 3, 3)]),
    "lu_unpack": (lambda t, A: t.lu_unpack(*t.linalg.lu_factor(A)), [("general", 3, 4)]),
    "lu_unpack data": (lambda t, A: t.lu_unpack(*t.linalg.lu_factor(A), unpack_pivots=False), [("general", 3, 4)]),
    "vecdot of one": (lambda t, x, y: t.linalg.vecdot(x, y, dim=-2), [("general", 2, 3), ("general", 2, 1)]),
    "lu_solve": (
        lambda t, A, B: t.linalg.lu_solve(*t.linalg.lu_factor(A), B), [("general", 3, 3), ("general", 3, 2)],
    ),
    "lu_solve adjoint": (
        lambda t, A, B: t.linalg.lu_solve(*t.linalg.lu_factor(A), B, left=False, adjoint=True),
        [("general", 3, 3), ("general", 2, 3)],
    ),
    "qr": (lambda t, A: t.linalg.qr(A), [("general", 4, 3)]),
    "qr wide": (lambda t, A: t.linalg.qr(A), [("general", 3, 5)]),
    "qr square": (lambda t, A: t.linalg.qr(A, mode="complete"), [("general", 3, 3)]),
    "torch.qr": (lambda t, A: t.qr(A), [("general", 4, 3)]),
    "householder_product": (
        lambda t, A, tau: t.linalg.householder_product(A, tau), [("general", 4, 3), ("general", 2)],
    ),
    "eigh": (lambda t, A: spectrum(*t.linalg.eigh(A)), [("symmetric", 3, 3)]),
    "eigh upper": (lambda t, A: spectrum(*t.linalg.eigh(A, UPLO="U")), [("general", 3, 3)]),
    "eigvalsh": (lambda t, A: t.linalg.eigvalsh(A), [("general", 3, 3)]),
    "svd": (lambda t, A: singular(t.linalg.svd(A)), [("general", 3, 3)]),
    "svd tall": (lambda t, A: singular(t.linalg.svd(A)), [("general", 4, 2)]),
    "svd wide": (lambda t, A: singular(t.linalg.svd(A, full_matrices=False)), [("general", 2, 4)]),
    "svdvals": (lambda t, A: t.linalg.svdvals(A), [("general", 2, 4)]),
    "torch.svd": (lambda t, A: t.svd(A)[1], [("general", 2, 4)]),
    "pinv": (lambda t, A: t.linalg.pinv(A), [("general", 4, 2)]),
    "pinv wide": (lambda t, A: t.linalg.pinv(A, rtol=1e-5), [("general", 2, 3)]),
    "pinv hermitian": (lambda t, A: t.linalg.pinv(A, hermitian=True), [("symmetric", 3, 3)]),
    "pinverse": (lambda t, A: A.pinverse(), [("general", 2, 3)]),
    "lstsq": (lambda t, A, B: t.linalg.lstsq(A, B)[0::2], [("general", 4, 2), ("general", 4, 3)]),
    "lstsq wide": (lambda t, A, B: t.linalg.lstsq(A, B).solution, [("general", 2, 4), ("general", 2, 3)]),
    "matrix_exp": (lambda t, A: t.linalg.matrix_exp(A), [("general", 3, 3)]),
    "Tensor.matrix_exp": (lambda t, A: (A * 0.01).matrix_exp(), [("general", 4, 4)]),
    "matrix_power": (lambda t, A: t.linalg.matrix_power(A, 5), [("general", 3, 3)]),
    "matrix_power -2": (lambda t, A: A.matrix_power(-2), [("general", 3, 3)]),
    "matrix_power 0": (lambda t, A: A.matrix_power(0), [("general", 3, 3)]),
    "cross": (lambda t, a, b: t.linalg.cross(a, b), [("general", 2, 3), ("general", 2, 3)]),
    "diagonal": (lambda t, A: t.linalg.diagonal(A, offset=-1), [("general", 3, 4)]),
    "vander": (lambda t, x: t.linalg.vander(x, N=4), [("general", 3)]),
    "vecdot": (lambda t, x, y: t.linalg.vecdot(x, y), [("general", 2, 3), ("general", 2, 3)]),
    "norm": (lambda t, A: t.linalg.norm(A), [("general", 3, 3)]),
    "norm nuc": (lambda t, A: t.norm(A, p="nuc", dim=(-2, -1)), [("general", 3, 3)]),
    **{
        f"matrix_norm {ord}": (lambda t, A, ord=ord: t.linalg.matrix_norm(A, ord, keepdim=True), [("general", 2, 3)])
        for ord in ("fro", "nuc", 2, -2, 1, -1, math.inf, -math.inf)
    },
    **{
        f"cond {p}": (lambda t, A, p=p: t.linalg.cond(A, p), [("general", 3, 3)])
        for p in (None, 2, -2, "fro", "nuc", 1, -1, math.inf, -math.inf)
    },
}  # fmt: skip


@pytest.mark.parametrize("batch", BATCHES, ids=str)
@pytest.mark.parametrize("name", SAME)
@pytest.mark.filterwarnings("ignore")
def test_values_and_gradients_are_pytorchs(name, batch):
    function, kinds = SAME[name]
    if name == "solve vectors" and batch == (2, 1):
        batch = (4,)
    arrays = [matrix(*batch, *shape, kind=kind, seed=i) for i, (kind, *shape) in enumerate(kinds)]
    # PyTorch cannot differentiate the others' conditions: it changes an inverse that it has saved.
    gradients = "cond" not in name or name in ("cond None", "cond 2", "cond -2", "cond nuc")
    compare(function, *arrays, gradients=gradients)


@pytest.mark.parametrize("name", [name for name in SAME if "cond" not in name and "exp" not in name])
@pytest.mark.filterwarnings("ignore")
def test_single_precision_is_as_near(name):
    function, kinds = SAME[name]
    arrays = [matrix(*shape, kind=kind, seed=i) for i, (kind, *shape) in enumerate(kinds)]
    compare(function, *arrays, dtype="float32", tolerance=2e-4)


UNRECORDED = {
    "lu_unpack pivots": lambda t, A: t.lu_unpack(*t.linalg.lu_factor(A), unpack_data=False),
    "matrix_rank": lambda t, A: t.linalg.matrix_rank(A),
    "geqrf": lambda t, A: t.geqrf(A),
    "ormqr": lambda t, A: t.ormqr(*t.geqrf(A), A, transpose=True),
    "ormqr right": lambda t, A: t.ormqr(*t.geqrf(A), A.mT, left=False),
    "orgqr": lambda t, A: t.orgqr(*t.geqrf(A)),
    "qr r": lambda t, A: t.linalg.qr(A, mode="r"),
    "qr complete": lambda t, A: t.linalg.qr(A, mode="complete"),
    "lu_factor": lambda t, A: t.linalg.lu_factor(A),
    "svd without vectors": lambda t, A: t.svd(A, compute_uv=False),
    "ldl_factor": lambda t, A: t.linalg.ldl_factor(A.mT @ A - 2 * t.eye(A.shape[-1], dtype=A.dtype)),
    "ldl_factor_ex": lambda t, A: t.linalg.ldl_factor_ex(A.mT @ A - 2 * t.eye(A.shape[-1], dtype=A.dtype)),
    "ldl_solve": lambda t, A: t.linalg.ldl_solve(*t.linalg.ldl_factor(A.mT @ A), A.mT),
    "multi_dot": lambda t, A: t.linalg.multi_dot([A.flatten(0, -2), A.flatten(0, -2).mT, A.flatten(0, -2)[:, 0]]),
    **{f"lstsq {d}": lambda t, A, d=d: t.linalg.lstsq(A, A + 1, driver=d) for d in ("gels", "gelsy", "gelsd", "gelss")},
    **{
        f"lstsq vectors {d}": lambda t, A, d=d: t.linalg.lstsq(A, A[..., 0] + 1, driver=d)
        for d in ("gels", "gelsy", "gelsd", "gelss")
    },
    "tensorinv": lambda t, A: t.linalg.tensorinv(t.eye(6, dtype=A.dtype).reshape(2, 3, 6) * 3 + A.sum()),
    "tensorsolve": lambda t, A: t.linalg.tensorsolve(
        t.eye(6, dtype=A.dtype).reshape(2, 6, 3) + A.sum(), A.new_ones(2, 3), (1,)
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", [(5, 3), (2, 4, 4), (2, 70, 50)], ids=str)
@pytest.mark.parametrize("name", UNRECORDED)
@pytest.mark.filterwarnings("ignore")
def test_values_are_pytorchs(name, shape):
    compare(UNRECORDED[name], matrix(*shape), gradients=False)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (2, 0, 3), (0, 2, 3), (0, 0), (2, 0, 0), (0, 2, 2)], ids=str)
@pytest.mark.parametrize(
    "name",
    "svd svdvals qr lu lu_factor_ex pinv matrix_rank matrix_norm det slogdet inv inv_ex cholesky cholesky_ex eigh "
    "eigvalsh matrix_exp ldl_factor_ex cond vector_norm".split(),
)
def test_empty_matrices_are_pytorchs(name, shape):
    results = []
    for library in (rustnn, torch):
        try:
            found = flatten(getattr(library.linalg, name)(library.zeros(shape)))
            results.append([(tuple(part.shape), str(part.dtype), part.tolist()) for part in found])
        except Exception as error:
            results.append((type(error).__name__.lstrip("_"), str(error)))
    assert results[0] == results[1]


MATRICES = "x[:1]", "x[0]", "x", "0 * x", "x.expand(3, 2, 2)", "x / 0", "x.long()", "x.half()", "x.bfloat16()"
CALLS = """
    linalg.cholesky({}) linalg.cholesky_ex({}) linalg.inv({}) linalg.inv_ex({}) linalg.det({}) linalg.slogdet({})
    logdet({}) linalg.eigh({}) linalg.eigvalsh({}) linalg.svd({}) linalg.svdvals({}) linalg.qr({}) linalg.lu({})
    linalg.lu_factor({}) linalg.lu_factor_ex({}) linalg.pinv({}) linalg.matrix_rank({}) linalg.matrix_norm({})
    linalg.matrix_exp({}) linalg.matrix_power({},-1) linalg.solve({},y) linalg.solve({},x) linalg.solve({},y[:1])
    linalg.solve_ex({},y) linalg.solve_triangular({},x,upper=True) linalg.solve_triangular({},y,upper=True)
    linalg.lstsq({},y) linalg.lstsq({},x,driver="gels") linalg.ldl_factor_ex({}) inverse({}) geqrf({}) cholesky({})
    cholesky_inverse({}) cholesky_solve(y,{}) cholesky_solve(x,{}) linalg.householder_product({},y)
    linalg.lu_solve({},y.int(),x) linalg.lu_solve({},y,x) lu_unpack({},y.int()) linalg.multi_dot([{},x])
    linalg.multi_dot([{}]) linalg.tensorinv({},1) linalg.tensorsolve({},y) linalg.cond({},1) linalg.cond({},3)
    linalg.norm({},3) linalg.vector_norm({},3) linalg.vecdot({},y) linalg.cross({},x) linalg.eig({}) linalg.eigvals({})
    triangular_solve(x,{}) ormqr({},y,x) pinverse({}) norm({},"nuc") linalg.matrix_rank({},hermitian=True)
    linalg.pinv({},hermitian=True) linalg.norm({},"fro",1) linalg.matrix_norm({},2,(0,0)) linalg.qr({},"x")
    linalg.eigh({},"x") linalg.vander({},N=1)
""".split()  # fmt: skip


def outcome(library, call):
    x = library.tensor([[1.0, 2.0], [2.0, 4.0]])
    y = library.tensor([1.0, 1.0])
    try:
        eval(f"t.{call}", {"t": library, "x": x, "y": y})
    except Exception as error:
        return error
    return None


# Where the two differ on purpose.
DIFFERENT = {
    "ormqr(x.": "PyTorch leaves a space out",
    "linalg.eigvals(x /": "PyTorch's LAPACK reads memory that is not its own",
    "lu_unpack(x[:1]": "PyTorch looks at as many pivots as there are rows",
    'linalg.lstsq(x,x,driver="gels"': "PyTorch solves what it finds to be of full rank by rounding",
    'linalg.lstsq(0 * x,x,driver="gels"': "PyTorch solves with zeros",
    **dict.fromkeys(
        [
            "linalg.svd(x /",
            "linalg.svdvals(x /",
            "linalg.pinv(x /",
            "linalg.matrix_rank(x / 0)",
            "linalg.lstsq(x /",
            "pinverse(x /",
            'norm(x / 0,"nuc"',
        ],
        "infinity is refused as NaN is, which LAPACK does not always",
    ),
    "linalg.solve_triangular(x.long(),x": "PyTorch takes two dtypes and reads one as the other",
    "linalg.solve_triangular(x.half(),x": "PyTorch takes two dtypes and reads one as the other",
    "linalg.solve_triangular(x.bfloat16(),x": "PyTorch takes two dtypes and reads one as the other",
}


@pytest.mark.parametrize("x", MATRICES)
@pytest.mark.parametrize("call", CALLS)
def test_errors_say_what_pytorchs_say(call, x):
    call = call.format(x)
    if reason := next((reason for start, reason in DIFFERENT.items() if call.startswith(start)), None):
        pytest.skip(reason)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = outcome(rustnn, call), outcome(torch, call)
    assert (ours is None) == (theirs is None), (ours, theirs)
    if theirs is not None:
        assert isinstance(ours, RuntimeError) == isinstance(theirs, RuntimeError)
        assert type(ours).__name__ == type(theirs).__name__.lstrip("_")
        assert str(ours).partition("\n")[0] == str(theirs).partition("\n")[0]


def test_every_public_name_is_there():
    public = {name for name in dir(torch.linalg) if not name.startswith("_") and name != "common_notes"}
    assert public <= set(dir(rustnn.linalg))
