"""Sparse tensors against PyTorch itself: values, gradients, texts, errors and files."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest

import rustnn

torch = pytest.importorskip("torch", reason="`make parity` installs PyTorch")

pytestmark = pytest.mark.filterwarnings("ignore")


def parts(seed, size, count, dense=()):
    random = np.random.default_rng(seed)
    places = np.stack([random.integers(0, n, count) for n in size])
    return places, random.standard_normal((count, *dense))


def run(library, function, seed, size, count, dense=(), others=(), gradients=True):
    """The dense result of a function of a sparse tensor and others, and the gradients of values and others."""
    places, numbers = parts(seed, size, count, dense)
    values = library.tensor(numbers, requires_grad=True)
    others = [library.tensor(other, requires_grad=True) for other in others]
    s = library.sparse_coo_tensor(library.tensor(places), values, (*size, *dense))
    out = function(library, s, *others)
    is_sparse, shape = out.is_sparse, tuple(out.shape)
    if is_sparse:
        assert out.layout is library.sparse_coo
        out = out.to_dense()
    if not gradients:
        return is_sparse, shape, [out.detach().numpy()]
    weights = library.tensor(np.cos(np.arange(out.numel()))).reshape(out.shape)
    grads = library.autograd.grad((out * weights).sum(), (values, *others), allow_unused=True)
    return is_sparse, shape, [out.detach().numpy(), *(None if g is None else g.to_dense().numpy() for g in grads)]


def dense(seed, *shape):
    return np.random.default_rng(seed + 100).standard_normal(shape)


CASES = {
    "to_dense": (lambda t, s: s.to_dense(), (4, 3), 7, (), ()),
    "to_dense of three dims": (lambda t, s: s.to_dense(), (4, 3, 2), 9, (), ()),
    "to_dense with dense dims": (lambda t, s: s.to_dense(), (4, 3), 7, (2, 5), ()),
    "coalesce": (lambda t, s: s.coalesce(), (4, 3), 30, (2,), ()),
    "values": (lambda t, s: s.coalesce().values(), (4, 3), 30, (2,), ()),
    "mm": (lambda t, s, x: t.sparse.mm(s, x), (4, 3), 9, (), (dense(0, 3, 5),)),
    "matmul": (lambda t, s, x: s @ x, (4, 3), 9, (), (dense(0, 3, 5),)),
    "mm of nothing": (lambda t, s, x: t.sparse.mm(s, x), (4, 3), 0, (), (dense(0, 3, 5),)),
    "mv": (lambda t, s, x: s @ x, (4, 3), 9, (), (dense(0, 3),)),
    "addmm": (lambda t, s, a, x: t.sparse.addmm(a, s, x, beta=0.5, alpha=2.0), (4, 3), 9, (),
              (dense(1, 4, 5), dense(0, 3, 5))),
    "sparse by sparse": (lambda t, s: t.sparse.mm(s, s.t()), (4, 3), 9, (), ()),
    "bmm": (lambda t, s, x: t.bmm(s, x), (2, 4, 3), 9, (), (dense(0, 2, 3, 5),)),
    "add": (lambda t, s: s + s.coalesce(), (4, 3), 9, (2,), ()),
    "sub with alpha": (lambda t, s: t.sub(s, s * s, alpha=3), (4, 3), 9, (), ()),
    "dense plus sparse": (lambda t, s, x: x + s, (4, 3), 9, (), (dense(0, 4, 3),)),
    "times a number": (lambda t, s: s * 3.0, (4, 3), 9, (2,), ()),
    "times dense": (lambda t, s, x: s.coalesce() * x, (4, 3), 9, (), (dense(0, 4, 3),)),
    "times sparse": (lambda t, s: s.coalesce() * (s * 2).coalesce(), (4, 3), 9, (), ()),
    "divided": (lambda t, s: s / 3.0, (4, 3), 9, (), ()),
    "sum": (lambda t, s: t.sparse.sum(s), (4, 3), 9, (2,), ()),
    "sum of dim 0": (lambda t, s: t.sparse.sum(s, 0), (4, 3), 9, (), ()),
    "sum of dims": (lambda t, s: t.sparse.sum(s, (1, 2)), (4, 3), 9, (2,), ()),
    "sum of all sparse dims": (lambda t, s: t.sparse.sum(s, (0, 1)), (4, 3), 9, (2,), ()),
    "softmax": (lambda t, s: t.sparse.softmax(s, 1), (4, 3), 9, (), ()),
    "softmax along dim 0": (lambda t, s: t.sparse.softmax(s, 0), (4, 3), 9, (2,), ()),
    "softmax along a dense dim": (lambda t, s: t.sparse.softmax(s, 2), (4, 3), 9, (2,), ()),
    "log_softmax": (lambda t, s: t.sparse.log_softmax(s, 1).coalesce().values(), (4, 3), 9, (), ()),
    "transpose": (lambda t, s: s.t(), (4, 3), 9, (), ()),
    "permute": (lambda t, s: s.permute(2, 0, 1, 4, 3), (4, 3, 2), 9, (2, 3), ()),
    "unsqueeze": (lambda t, s: s.unsqueeze(1), (4, 3), 9, (), ()),
    "select": (lambda t, s: s[1], (4, 3), 9, (), ()),
    "select of one sparse dim": (lambda t, s: s[1], (4,), 9, (3,), ()),
    "index_select": (lambda t, s: s.index_select(0, t.tensor([2, 0, 2])), (4, 3), 9, (), ()),
    "cat": (lambda t, s: t.cat([s, s * 2], 1), (4, 3), 9, (), ()),
    "stack": (lambda t, s: t.stack([s, s * 2], 1), (4, 3), 9, (), ()),
    "tanh": (lambda t, s: t.tanh(s), (4, 3), 9, (), ()),
    "float and back": (lambda t, s: s.float().double(), (4, 3), 9, (), ()),
    "to_sparse": (lambda t, s, x: x.to_sparse(), (4, 3), 9, (), (dense(0, 2, 3),)),
    "to_sparse of rows": (lambda t, s, x: x.to_sparse(1), (4, 3), 9, (), (dense(0, 2, 3),)),
    "sparse_mask": (lambda t, s, x: x.sparse_mask(s.detach().coalesce()), (4, 3), 9, (), (dense(0, 4, 3),)),
    "linear": (lambda t, s, x: t.nn.functional.linear(s, x), (4, 3), 9, (), (dense(0, 5, 3),)),
}  # fmt: skip

# PyTorch has no gradient for these.
NO_GRADIENT = {"unsqueeze", "select", "index_select", "cat", "tanh"}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_pytorchs(name):
    function, size, count, inner, others = CASES[name]
    for seed in range(3):
        ours = run(rustnn, function, seed, size, count, inner, others, name not in NO_GRADIENT)
        theirs = run(torch, function, seed, size, count, inner, others, name not in NO_GRADIENT)
        assert ours[:2] == theirs[:2]
        for found, wanted in zip(ours[2], theirs[2], strict=True):
            assert (found is None) == (wanted is None)
            if wanted is not None:
                np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


def texts(library):
    places = library.tensor([[0, 1, 1], [2, 0, 2]])
    for values, size in (
        (library.tensor([3.0, 4.0, 5.0]), (2, 3)),
        (library.tensor([3.25, 4.0, 5e6], dtype=library.float64), (2, 3)),
        (library.tensor([3, 4, 5]), (20, 30)),
        (library.tensor([True, False, True]), (2, 3)),
        (library.ones(3, 2, 2), (2, 3, 2, 2)),
    ):
        s = library.sparse_coo_tensor(places, values, size)
        yield repr(s)
        yield repr(s.coalesce())
        yield str(s.requires_grad_()) if values.is_floating_point() else ""
    yield repr(library.sparse_coo_tensor((2, 3), dtype=library.float16))
    yield repr(library.sparse_coo_tensor(library.arange(2000).repeat(2, 1), library.arange(2000.0)))


def test_texts_are_pytorchs():
    assert list(texts(rustnn)) == list(texts(torch))


BAD = [
    "t.sparse_coo_tensor([[0, 1]], [1.0], (2,))",
    "t.sparse_coo_tensor([[0, 1]], [1.0, 2.0], (2, 3))",
    "t.sparse_coo_tensor([[0, 1]], [1.0, 2.0], (1,), check_invariants=True)",
    "t.sparse_coo_tensor([[0, -1]], [1.0, 2.0], (2,), check_invariants=True)",
    "t.sparse_coo_tensor([[1, 0]], [1.0, 2.0], (2,), is_coalesced=True, check_invariants=True)",
    "s.indices()",
    "s.values()",
    "t.ones(2).indices()",
    "t.ones(2).values()",
    "t.ones(2).coalesce()",
    "t.ones(2).is_coalesced()",
    "t.ones(2, 2).to_sparse(3)",
    "s + 1",
    "s + t.ones(2, 3)",
    "s - t.ones(2, 3)",
    "s + s.t()",
    "s / t.ones(2, 3)",
    "s @ t.ones(2, 2)",
    "s.numpy()",
    "s.reshape(6)",
    "s.contiguous()",
    "s.storage()",
    "s.item()",
    "s.t().unsqueeze(0).t()",
    "s.permute(0)",
    "s[5]",
    "t.sparse.sum(s, -3)",
    "t.sparse.softmax(s, 2)",
    "t.cat([s, t.ones(2, 3)])",
    "t.cat([s, s.t()])",
    "t.ones(3, 2).sparse_mask(s)",
    "t.ones(2, 3).copy_(s)",
    "s.requires_grad_().mul_(2)",
    "2 / s",
    "s.exp()",
    "s.view(6)",
    "s == s",
    "s.mean()",
    "t.ones_like(s)",
]


@pytest.mark.parametrize("call", BAD)
def test_errors_are_pytorchs(call):
    said = []
    for library in (torch, rustnn):
        s = library.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [3.0, 4.0, 5.0], (2, 3))
        with pytest.raises(Exception) as error:
            eval(call, {"t": library, "s": s})
        said.append((type(error.value), str(error.value)))
    (theirs, text), (ours, own) = said
    assert issubclass(ours, theirs), said
    if theirs is not NotImplementedError:
        assert own == text.split("\nException raised from")[0]


def test_files_go_there_and_back():
    for save, load in ((torch, rustnn), (rustnn, torch)):
        for dtype in ("float32", "float64", "int64", "bool"):
            s = save.sparse_coo_tensor([[0, 1, 1], [2, 0, 2]], [1, 0, 1], (2, 3), dtype=getattr(save, dtype))
            buffer = io.BytesIO()
            save.save({"first": s, "second": s.coalesce()}, buffer)
            for weights_only in (True, False):
                buffer.seek(0)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    loaded = load.load(buffer, weights_only=weights_only)
                assert [x.is_coalesced() for x in loaded.values()] == [False, True]
                assert all(x.dtype is getattr(load, dtype) for x in loaded.values())
                assert loaded["second"].to_dense().tolist() == s.to_dense().tolist()


OTHER_DTYPES = [
    "c.sum()", "c.sum(0)", "c @ t.ones(3, 2, dtype=t.complex128)", "c * 2j", "c.abs()",
    "t.ones(2, 3, dtype=t.complex128) + c",
    "n.sum()", "n.sum(1)", "n.to(t.bool).sum()", "n / 2", "n * 1.5", "n.sqrt()",
    "n @ t.ones(3, 1, dtype=t.int64)", "-n",
    "n.half()", "n.bfloat16().coalesce()", "n.to(t.bool)", "t.tensor(2) * n", "t.zeros(3, 0).to_sparse()",
    "t.sparse_coo_tensor(t.zeros(0, 2, dtype=t.int64), t.ones(2), ())", "t.tensor(3.0).to_sparse()",
    "c.to(t.complex64)",
]  # fmt: skip


@pytest.mark.parametrize("call", OTHER_DTYPES)
def test_other_dtypes_and_edges_are_pytorchs(call):
    found = []
    for library in (rustnn, torch):
        places = library.tensor([[0, 1, 1], [2, 0, 0]])
        c = library.sparse_coo_tensor(places, library.tensor([1 + 2j, 3 - 1j, 2j], dtype=library.complex128), (2, 3))
        n = library.sparse_coo_tensor(places, [1, 2, 3], (2, 3))
        out = eval(call, {"t": library, "c": c, "n": n})
        found.append((str(out), str(out.dtype), out.is_sparse))
    assert found[0] == found[1]
