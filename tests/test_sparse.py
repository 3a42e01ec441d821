"""Sparse COO tensors: what they are made of, what they compute, and that nothing is computed wrongly in silence."""

import copy
import io
import pickle

import pytest

import rustnn
from fresh_interpreter import run
from rustnn import nn

INDICES = [[0, 1, 1, 0], [2, 0, 2, 2]]


def sparse(dtype=rustnn.float32, **kwargs):
    return rustnn.sparse_coo_tensor(INDICES, [3.0, 4.0, 5.0, 1.0], (2, 3), dtype=dtype, **kwargs)


DENSE = [[0.0, 0.0, 4.0], [4.0, 0.0, 5.0]]


def test_what_stands_at_one_place_is_added():
    assert sparse().to_dense().tolist() == DENSE
    summed = sparse().coalesce()
    assert summed.indices().tolist() == [[0, 1, 1], [2, 0, 2]]
    assert summed.values().tolist() == [4.0, 4.0, 5.0]
    assert summed.is_coalesced() and summed._nnz() == 3 and summed.coalesce() is summed
    flags = rustnn.sparse_coo_tensor(INDICES, [True, False, False, True], (2, 3))
    assert flags.to_dense().tolist() == [[False, False, True], [False, False, False]]


def test_a_sparse_tensor_says_what_it_is():
    s = sparse(rustnn.float64)
    assert isinstance(s, rustnn.Tensor) and rustnn.is_tensor(s) and s.is_sparse
    assert s.layout is rustnn.sparse_coo and s.device == rustnn.device("cpu") and not s.is_meta
    assert s.dtype is rustnn.float64 and s.shape == (2, 3) and s.numel() == 6 and len(s) == 2
    assert (s.sparse_dim(), s.dense_dim(), s._nnz(), s.is_coalesced()) == (2, 0, 4, False)
    assert s.type() == "torch.sparse.DoubleTensor"
    x = rustnn.ones(2, 3)
    assert not x.is_sparse and (x.sparse_dim(), x.dense_dim()) == (0, 2)


def test_its_text_is_pytorchs():
    text = """tensor(indices=tensor([[0, 1, 1, 0],
                       [2, 0, 2, 2]]),
       values=tensor([3., 4., 5., 1.]),
       size=(2, 3), nnz=4, layout=torch.sparse_coo)"""
    assert repr(sparse()) == text
    assert repr(rustnn.sparse_coo_tensor((2, 3))) == (
        "tensor(indices=tensor([], size=(2, 0)),\n       values=tensor([], size=(0,)),\n"
        "       size=(2, 3), nnz=0, layout=torch.sparse_coo)"
    )
    assert repr(sparse(rustnn.float64, requires_grad=True)).endswith(
        "size=(2, 3), nnz=4, dtype=torch.float64, layout=torch.sparse_coo,\n       requires_grad=True)"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0, 3]], [1.0, 2.0], (2,)), "size is inconsistent with indices: for dim 0, size is 2 but found index 3"),
        (([[0, -1]], [1.0, 2.0], (2,)), "found negative index -1 for dim 0"),
        (([[0, 1]], [1.0], (2,)), "must have same nnz, but got nnz from indices: 2, nnz from values: 1"),
        (([[0, 1]], [1.0, 2.0], (2, 3)), "len(size) = 2, sparse_dim = 1, dense_dim = 0"),
        (([0, 1], [1.0, 2.0]), "indices must be sparse_dim x nnz, but got: [2]"),
        (([[0, 1]], [[1.0], [2.0]], (2, 3)), "values has incorrect size, expected [2, 3], got [2, 1]"),
    ],
)
def test_parts_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(RuntimeError) as error:
        rustnn.sparse_coo_tensor(*arguments)
    assert message in str(error.value)


def test_a_false_promise_of_order_is_found_when_asked_for():
    with pytest.raises(RuntimeError, match="cannot set is_coalesced to true"):
        sparse(is_coalesced=True, check_invariants=True)


def test_parts_of_an_uncoalesced_or_strided_tensor_are_refused():
    for name in ("indices", "values"):
        with pytest.raises(RuntimeError, match=f"Cannot get {name} on an uncoalesced tensor"):
            getattr(sparse(), name)()
        with pytest.raises(RuntimeError, match="but got Strided"):
            getattr(rustnn.ones(2), name)()
    with pytest.raises(NotImplementedError, match="the tensor is not sparse"):
        rustnn.ones(2)._nnz()


def test_to_sparse_and_back_is_the_tensor():
    x = rustnn.tensor([[[0.0, 1.0], [0.0, 0.0]], [[2.0, 0.0], [float("nan"), 3.0]]])
    for sparse_dim in (None, 1, 2, 3):
        s = x.to_sparse() if sparse_dim is None else x.to_sparse(sparse_dim)
        assert s.is_coalesced()
        assert rustnn.equal(s.to_dense().nan_to_num(7.0), x.nan_to_num(7.0))
    assert x.to_sparse(2)._nnz() == 3 and x.to_sparse(2).dense_dim() == 1
    assert rustnn.zeros(0, 3).to_sparse().to_dense().shape == (0, 3)
    with pytest.raises(RuntimeError, match=r"sparse_dim argument must be in \[0,2\] range, but 3 is given"):
        rustnn.ones(2, 2).to_sparse(3)


def test_products_with_dense_matrices():
    x = rustnn.arange(12.0).reshape(3, 4)
    expected = (rustnn.tensor(DENSE) @ x).tolist()
    for product in (
        sparse() @ x, rustnn.sparse.mm(sparse(), x), rustnn.mm(sparse(), x), rustnn.spmm(sparse(), x), sparse().mm(x),
        sparse().matmul(x), rustnn.matmul(sparse(), x), (x.t() @ sparse().t()).t(),
    ):  # fmt: skip
        assert not product.is_sparse and product.tolist() == expected
    assert (sparse() @ x[:, 0]).tolist() == [row[0] for row in expected]
    assert rustnn.matmul(sparse(), x.expand(2, 3, 4)).tolist() == [expected, expected]
    added = rustnn.sparse.addmm(rustnn.ones(2, 4), sparse(), x, beta=2.0, alpha=3.0)
    assert added.tolist() == (3 * rustnn.tensor(expected) + 2).tolist()
    square = sparse() @ sparse().t()
    assert square.is_sparse and square.to_dense().tolist() == [[16.0, 20.0], [20.0, 41.0]]


def test_a_product_of_many_elements_is_the_sum_of_its_blocks(monkeypatch):
    from rustnn import _sparse

    generator = rustnn.Generator().manual_seed(0)
    places = rustnn.randint(0, 20, (2, 300), generator=generator)
    values = rustnn.randn(300, generator=generator, dtype=rustnn.float64).requires_grad_()
    x = rustnn.randn(20, 5, generator=generator, dtype=rustnn.float64).requires_grad_()
    s = rustnn.sparse_coo_tensor(places, values, (20, 20))
    found = []
    for block in (1 << 20, 35):
        monkeypatch.setattr(_sparse, "_BLOCK", block)
        y = s @ x
        found.append((y, *rustnn.autograd.grad((y * y).sum(), (values, x))))
    for whole, parts in zip(*found, strict=True):
        rustnn.testing.assert_close(whole, parts)
    dense = (s.to_dense() @ x).square().sum()
    for expected, got in zip(rustnn.autograd.grad(dense, (values, x)), found[0][1:], strict=True):
        rustnn.testing.assert_close(got, expected)


def test_gradients_reach_values_and_dense_factors_twice():
    values = rustnn.tensor([3.0, 4.0, 5.0, 1.0], dtype=rustnn.float64, requires_grad=True)
    x = rustnn.arange(6.0, dtype=rustnn.float64).reshape(3, 2).requires_grad_()

    def of(function):
        return lambda v, x: function(rustnn.sparse_coo_tensor(INDICES, v, (2, 3)), x)

    for function in (
        lambda s, x: s @ x,
        lambda s, x: rustnn.sparse.softmax(s, 1).to_dense() @ x,
        lambda s, x: rustnn.sparse.log_softmax(s, 0).to_dense(),
        lambda s, x: rustnn.sparse.sum(s * s, 1).to_dense(),
        lambda s, x: (s * x.t()).to_dense(),
        lambda s, x: (s + 2 * s.abs()).coalesce().values(),
        lambda s, x: (s @ s.t()).to_dense(),
        lambda s, x: x.t() + s,
    ):
        assert rustnn.autograd.gradcheck(of(function), (values, x))
        assert rustnn.autograd.gradgradcheck(of(function), (values, x))


def test_a_leaf_has_a_sparse_gradient():
    s = sparse(requires_grad=True)
    assert s.is_leaf and s.grad is None
    (s @ rustnn.ones(3, 2)).sum().backward()
    assert s.grad.is_sparse and s.grad.to_dense().tolist() == [[0.0, 0.0, 4.0], [2.0, 0.0, 2.0]]
    assert not s.detach().requires_grad
    values = rustnn.ones(4, requires_grad=True)
    made = rustnn.sparse_coo_tensor(INDICES, values, (2, 3))
    assert made.requires_grad and not made.is_leaf
    made.to_dense().sum().backward()
    assert values.grad.tolist() == [1.0] * 4


def test_arithmetic():
    s = sparse()
    d = rustnn.tensor(DENSE)
    for found, expected in (
        (s + s, d + d), (s - s, d - d), (s * 2, d * 2), (2 * s, d * 2), (s / 2, d / 2), (-s, -d), (s * s, d * d),
        (s * d, d * d), (d * s, d * d),
        (s.coalesce() * d[1], d * d[1]),
        (d + s, d + d), (d - s, d - d), (s.sqrt(), d.sqrt()), (s**2, d**2), (s.abs(), d), (s.t(), d.t()),
        (s.transpose(0, 1), d.t()), (s.T, d.t()), (s.unsqueeze(1), d.unsqueeze(1)), (s[1], d[1]), (s[:, 2], d[:, 2]),
        (s[1, 2], d[1, 2]), (rustnn.cat([s, s]), rustnn.cat([d, d])), (rustnn.cat([s, s], 1), rustnn.cat([d, d], 1)),
        (rustnn.stack([s, s], 1), rustnn.stack([d, d], 1)),
        (s.sum(0), d.sum(0)), (s.sum(1, keepdim=True), d.sum(1, keepdim=True)),
        (s.index_select(1, rustnn.tensor([2, 0, 2])), d[:, [2, 0, 2]]), (rustnn.zeros_like(s), d * 0),
        (d.sparse_mask(s.coalesce()), d), (s.double(), d.double()), (s.to(rustnn.int64), d.long()),
    ):  # fmt: skip
        found = found.to_dense() if found.is_sparse else found
        assert found.dtype is expected.dtype and found.tolist() == expected.tolist()
    assert s.sum().item() == 13.0 and rustnn.sparse.sum(s, dtype=rustnn.float64).dtype is rustnn.float64
    assert s.norm().item() == d.norm().item()
    grown = rustnn.ones(2, 3)
    grown.add_(s)
    assert grown.tolist() == (d + 1).tolist()
    grown.add_(s, alpha=-1)
    assert grown.tolist() == [[1.0] * 3] * 2
    s.mul_(2)
    assert s.to_dense().tolist() == (d * 2).tolist()


def test_softmax_counts_only_what_is_stored():
    s = rustnn.sparse.softmax(sparse(), 1)
    rustnn.testing.assert_close(s.values(), rustnn.tensor([1.0, 0.26894143, 0.73105860]))
    logs = rustnn.sparse.log_softmax(sparse(), 1)
    rustnn.testing.assert_close(logs.values().exp(), s.values())


def test_diagonals_make_a_matrix():
    s = rustnn.sparse.spdiags(rustnn.arange(6.0).reshape(2, 3), rustnn.tensor([0, -1]), (4, 4))
    assert s.to_dense().tolist() == [[0, 0, 0, 0], [3, 1, 0, 0], [0, 4, 2, 0], [0, 0, 5, 0]]


@pytest.mark.parametrize("call", ["add", "sub"])
def test_sparse_plus_dense_is_refused_as_in_pytorch(call):
    for other in (rustnn.ones(2, 3), 1):
        with pytest.raises(RuntimeError, match=r"add\(sparse, dense\) is not supported"):
            getattr(rustnn, call)(sparse(), other)


def test_every_other_function_and_method_says_that_it_is_not_there():
    s, x = sparse(), rustnn.ones(2, 3)
    for call in (
        lambda: s.exp(), lambda: rustnn.exp(s), lambda: rustnn.Tensor.exp(s), lambda: s == s,
        lambda: s.view(6), lambda: s.mean(), lambda: rustnn.einsum("ij,kj", s, x), lambda: nn.functional.dropout(s),
        lambda: nn.LayerNorm(3)(s), lambda: nn.Conv1d(2, 2, 1)(s), lambda: rustnn.where(s, x, x), lambda: s[0:1],
        lambda: rustnn.optim.SGD([sparse(requires_grad=True)], lr=0.1),
        lambda: x.mul_(s), lambda: s.tolist(), lambda: s.backward(), lambda: bool(s), lambda: 2 / s,
        lambda: s.to_sparse_csr(),
        lambda: rustnn.sparse_csr_tensor([0, 1], [0], [1.0]), lambda: x.to_sparse_csr(), lambda: s.to("meta"),
    ):  # fmt: skip
        with pytest.raises(NotImplementedError, match=r"sparse"):
            call()
    with pytest.raises(TypeError, match="can't convert Sparse layout tensor to numpy"):
        s.numpy()


def test_no_method_that_computes_is_inherited():
    inherited = run(  # in a process where no other test has put methods on Tensor
        """
import rustnn
from rustnn._sparse import _INHERITED, SparseTensor
print("Tensor:", *(name for name in dir(rustnn.Tensor) if name not in {*_INHERITED, *SparseTensor.__dict__}))
"""
    )
    assert list(inherited) == ["Tensor:"]


def test_sizes_and_dtypes_that_do_not_fit_are_refused():
    s = sparse()
    with pytest.raises(RuntimeError, match=r"Argument #3 \(dense\): Expected dim 0 size 3, got 2"):
        s @ rustnn.ones(2, 2)
    with pytest.raises(RuntimeError, match="to have the same dtype, but got: float != double"):
        s @ rustnn.ones(3, 2, dtype=rustnn.float64)
    with pytest.raises(RuntimeError, match="expected sizes of 'self' and 'other' to match"):
        s + sparse().t()
    with pytest.raises(RuntimeError, match="Sparse division requires a scalar"):
        s / rustnn.ones(2, 3)
    with pytest.raises(RuntimeError, match="Concatenating sparse tensors, but a dense tensor was found at position 1"):
        rustnn.cat([s, rustnn.ones(2, 3)])
    with pytest.raises(IndexError):
        rustnn.sparse.sum(s, -3)


class Graph(nn.Module):
    """A layer of a graph network."""

    def __init__(self):
        super().__init__()
        self.register_buffer("adjacency", sparse())
        self.weight = nn.Parameter(rustnn.ones(3, 2))

    def forward(self, x):
        return rustnn.sparse.mm(self.adjacency, x @ self.weight)


def test_a_module_keeps_casts_copies_saves_and_loads_a_sparse_buffer(tmp_path):
    graph = Graph()
    twin = copy.deepcopy(graph)
    assert twin.adjacency is not graph.adjacency and rustnn.equal(twin.adjacency.to_dense(), graph.adjacency.to_dense())
    graph.double()
    assert graph.adjacency.is_sparse and graph.adjacency.dtype is rustnn.float64
    rustnn.save(graph.state_dict(), tmp_path / "graph.pt")
    twin.adjacency.zero_()
    assert twin.adjacency._nnz() == 0
    state = rustnn.load(tmp_path / "graph.pt")
    assert twin.load_state_dict(state).missing_keys == []
    assert twin.adjacency.to_dense().tolist() == DENSE and twin.adjacency.dtype is rustnn.float32
    twin(rustnn.ones(3, 3)).sum().backward()
    assert twin.weight.grad.tolist() == [[13.0, 13.0]] * 3


def test_it_is_pickled_as_pytorchs():
    s = pickle.loads(pickle.dumps(sparse().coalesce()))
    assert s.is_coalesced() and s.to_dense().tolist() == DENSE
    buffer = io.BytesIO()
    rustnn.save([sparse()], buffer)
    assert b"_rebuild_sparse_tensor" in buffer.getvalue()
    buffer.seek(0)
    (loaded,) = rustnn.load(buffer)
    assert not loaded.is_coalesced() and loaded.to_dense().tolist() == DENSE
