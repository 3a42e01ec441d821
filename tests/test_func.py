"""Derivatives of functions, maps over samples, trees: rustnn.func and rustnn.utils._pytree."""

from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass

import pytest

import rustnn
from rustnn import func, nn
from rustnn.func import functional_call
from rustnn.utils import _pytree as pytree

Pair = namedtuple("Pair", "x y")


def close(a, b):
    assert rustnn.allclose(a, b, rtol=1e-9, atol=1e-12), (a, b)


def vector():
    return rustnn.tensor([0.3, -1.2, 2.0], dtype=rustnn.float64)


# --------------------------------------------------------------------------------------------------------------- trees
TREE = {
    "a": (1, [2, None]),
    "b": Pair(3, OrderedDict(q=4)),
    "c": deque([5], maxlen=3),
    "d": defaultdict(list, z=6),
}


def test_a_tree_comes_back_from_its_leaves_with_the_types_of_its_containers():
    leaves, spec = pytree.tree_flatten(TREE)
    assert leaves == [1, 2, None, 3, 4, 5, 6]
    again = pytree.tree_unflatten(leaves, spec)
    assert again == TREE and type(again["b"]) is Pair and again["c"].maxlen == 3
    assert again["d"].default_factory is list and spec == pytree.tree_structure(again)
    assert (spec.num_leaves, spec.num_nodes) == (7, 14)


def test_maps_over_trees_need_trees_of_one_structure():
    assert pytree.tree_map(lambda a, b: a + b, [1, (2,)], [3, (4,)]) == [4, (6,)]
    with pytest.raises(ValueError, match="Node arity mismatch; expected 2, but got 1"):
        pytree.tree_map(lambda a, b: a, [1, 2], [1])
    with pytest.raises(ValueError, match="Type mismatch"):
        pytree.tree_map(lambda a, b: a, [1], (1,))
    with pytest.raises(ValueError, match="holds 2 items"):
        pytree.tree_unflatten([1], pytree.tree_structure([0, 0]))


def test_paths_read_as_python_writes_them():
    paths = [pytree.keystr(path) for path, _ in pytree.tree_leaves_with_path(TREE)]
    assert paths == ["['a'][0]", "['a'][1][0]", "['a'][1][1]", "['b'].x", "['b'].y['q']", "['c'][0]", "['d']['z']"]
    for path, leaf in pytree.tree_leaves_with_path(TREE):
        assert pytree.key_get(TREE, path) is leaf


def test_a_class_becomes_a_container_by_registration_once():
    @dataclass
    class Point:
        x: int
        y: int

    assert pytree.tree_leaves(Point(1, 2)) == [Point(1, 2)]
    pytree.register_dataclass(Point)
    assert pytree.tree_map(lambda v: v * 10, [Point(1, 2)]) == [Point(10, 20)]
    with pytest.raises(ValueError, match="already registered"):
        pytree.register_dataclass(Point)


# ---------------------------------------------------------------------------------------------------------- derivatives
def test_grad_of_grad_is_the_second_derivative():
    third = func.grad(func.grad(func.grad(lambda x: x**4)))
    close(third(rustnn.tensor(2.0, dtype=rustnn.float64)), rustnn.tensor(48.0, dtype=rustnn.float64))


def test_gradients_keep_the_structure_of_the_arguments_and_carry_no_graph():
    x = vector()
    found, value = func.grad_and_value(lambda d: (d["a"] * d["b"][0]).sum())({"a": x, "b": [x * 2]})
    close(found["a"], x * 2)
    close(found["b"][0], x)
    assert not value.requires_grad and not found["a"].requires_grad and not x.requires_grad
    first, second = func.grad(lambda a, b: (a * b).sum(), argnums=(0, 1))(x, x + 1)
    close(first, x + 1)
    close(second, x)
    assert func.grad(lambda x: (x.sum(), {"kept": x}), has_aux=True)(x)[1]["kept"].grad_fn is None


def test_what_the_function_closes_over_still_gets_gradients():
    x, w = vector(), rustnn.ones(3, dtype=rustnn.float64, requires_grad=True)
    func.grad(lambda x: (w * x**2).sum())(x).sum().backward()
    close(w.grad, 2 * x)


def test_vjp_and_jvp_agree_with_the_jacobian():
    a = rustnn.arange(9, dtype=rustnn.float64).reshape(3, 3) / 5

    def f(x):
        return {"sin": (a @ x).sin(), "sum": x.sum()}

    x, v = vector(), rustnn.tensor([1.0, 0.5, -2.0], dtype=rustnn.float64)
    jacobian = func.jacrev(f)(x)
    close(func.jacfwd(f)(x)["sin"], jacobian["sin"])
    output, pull = func.vjp(f, x)
    close(output["sin"], (a @ x).sin())
    one = rustnn.ones((), dtype=rustnn.float64)
    (pulled,) = pull({"sin": v, "sum": one})
    close(pulled, v @ jacobian["sin"] + 1)
    _, moved = func.jvp(f, (x,), (v,))
    close(moved["sin"], jacobian["sin"] @ v)
    close(moved["sum"], v.sum())
    close(func.linearize(f, x)[1](v)["sin"], moved["sin"])


def test_the_hessian_is_that_of_autograd():
    def f(x):
        return (x**3).sum() + x[0] * x[1]

    close(func.hessian(f)(vector()), rustnn.autograd.functional.hessian(f, vector()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: func.grad(lambda x: x)(x), "to return a scalar Tensor, got tensor with 1 dims"),
        (lambda x: func.grad(lambda x: 3)(x), "Expected f\\(\\*args\\) to return a tensor"),
        (lambda x: func.grad(lambda x: x.sum(), argnums=2)(x), "Got argnum=2, but only 1 positional inputs"),
        (
            lambda x: func.grad(lambda x: x.sum())(x.long()),
            "only Tensors of floating point dtype can require gradients",
        ),
        (lambda x: func.jvp(lambda x: x, x, x), "Expected primals to be a tuple"),
        (lambda x: func.vjp(lambda x: x, x)[1]((x, x)), "Expected pytree structure of cotangents"),
    ],
)
def test_what_cannot_be_differentiated_is_refused(call, message):
    with pytest.raises(RuntimeError, match=message):
        call(vector())


# ----------------------------------------------------------------------------------------------------------------- vmap
def test_vmap_maps_over_any_dimension_and_puts_results_where_asked():
    a = rustnn.arange(6.0).reshape(2, 3)
    b = rustnn.tensor([1.0, 2.0])
    product, total = rustnn.vmap(lambda x, y: (x * y, x.sum()), in_dims=(1, None), out_dims=(1, 0))(a, b)
    assert product.tolist() == (a * b[:, None]).tolist() and total.tolist() == a.sum(0).tolist()
    outer = rustnn.vmap(rustnn.vmap(lambda x, y: x * y, in_dims=(None, 0)), in_dims=(0, None))
    assert outer(b, b).tolist() == [[1, 2], [2, 4]]
    assert rustnn.vmap(lambda d, k: d["x"] + k, in_dims=({"x": 0}, None))({"x": b}, 1).tolist() == [2, 3]


def test_per_sample_gradients_of_a_module():
    rustnn.manual_seed(0)
    layer = rustnn.nn.Linear(3, 1)
    parameters = {name: value.detach() for name, value in layer.named_parameters()}
    x, y = rustnn.randn(4, 3), rustnn.randn(4)

    def loss(parameters, x, y):
        return (func.functional_call(layer, parameters, (x[None],))[0, 0] - y) ** 2

    found = func.vmap(func.grad(loss), in_dims=(None, 0, 0))(parameters, x, y)
    for i in range(4):
        layer.zero_grad()
        loss(dict(layer.named_parameters()), x[i], y[i]).backward()
        assert rustnn.allclose(found["weight"][i], layer.weight.grad)
    assert layer.bias.grad.shape == (1,)


def test_an_ensemble_runs_by_its_stacked_state():
    models = [rustnn.nn.Linear(2, 2) for _ in range(3)]
    parameters, buffers = func.stack_module_state(models)
    x = rustnn.randn(5, 2)
    together = func.vmap(lambda p, b: func.functional_call(models[0], (p, b), (x,)))(parameters, buffers)
    assert rustnn.equal(together, rustnn.stack([model(x) for model in models]))
    together.sum().backward()
    assert parameters["weight"].grad.shape == (3, 2, 2)
    with pytest.raises(RuntimeError, match="at least one model"):
        func.stack_module_state([])
    with pytest.raises(RuntimeError, match="same class"):
        func.stack_module_state([models[0], rustnn.nn.ReLU()])


def test_random_numbers_under_vmap_are_refused_the_same_or_different():
    x = rustnn.zeros(3)
    with pytest.raises(RuntimeError, match="called random operation while in randomness error mode"):
        rustnn.vmap(lambda x: x + rustnn.rand(1))(x)
    same = rustnn.vmap(lambda x: x + rustnn.rand(()), randomness="same")(x)
    assert len(set(same.tolist())) == 1
    assert len(set(rustnn.vmap(lambda x: x + rustnn.rand(()), randomness="different")(x).tolist())) == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: rustnn.vmap(lambda x: x, in_dims=3)(x), "Got in_dim=3 for some input"),
        (
            lambda x: rustnn.vmap(lambda x: x, in_dims=(0, 0))(x),
            "in_dims is not compatible with the structure of `inputs`",
        ),
        (lambda x: rustnn.vmap(lambda x: x, in_dims=(None,))(x), "Expected at least one Tensor to vmap over"),
        (lambda x: rustnn.vmap(lambda x: 3)(x), "must only return Tensors, got type <class 'int'>"),
        (lambda x: rustnn.vmap(lambda x, y: x)(x, x[:2]), "Expected all tensors to have the same size"),
        (lambda x: rustnn.vmap(lambda: x)(), "got no inputs"),
        (lambda x: rustnn.vmap(lambda x: x, out_dims=(0, 0))(x), "out_dims is not compatible"),
        (lambda x: rustnn.vmap(lambda x: x, in_dims=0.5)(x), "expected `in_dims` to be int"),
        (
            lambda x: rustnn.vmap(lambda x, k: x)(x, 3),
            "Got in_dim=0 for an input but the input is of type <class 'int'>",
        ),
    ],
)
def test_what_vmap_cannot_map_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(vector())
    with pytest.raises(NotImplementedError, match="size 0"):
        rustnn.vmap(lambda x: x)(rustnn.zeros(0))


class Holder(nn.Module):
    """A plain tensor, a buffer that forward assigns anew, a layer."""

    def __init__(self):
        super().__init__()
        self.plain, self.number = rustnn.ones(2), 3.0
        self.register_buffer("count", rustnn.zeros(1))
        self.layer = nn.Linear(1, 1)

    def forward(self, x, *, more=0):
        self.count = self.count + 1
        return x * self.plain + more + self.count


def test_a_functional_call_replaces_plain_tensors_and_hands_out_what_forward_assigns():
    module, given = Holder(), {"plain": rustnn.zeros(2), "count": rustnn.tensor([2.0])}
    assert functional_call(module, given, rustnn.ones(2), {"more": 5}).tolist() == [8, 8]
    assert given["count"].tolist() == [3]
    assert (module.count.tolist(), module.plain.tolist()) == ([0], [1, 1])


def test_a_functional_call_leaves_no_trace_of_other_names():
    module = Holder()
    functional_call(module, {"extra": rustnn.ones(1), "layer.bias": None}, rustnn.ones(2))
    assert not hasattr(module, "extra")
    assert module.layer.bias is not None
    assert list(module.state_dict()) == ["count", "layer.weight", "layer.bias"]


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("layer.weight", 3, TypeError, "3 is not an instance of torch.Tensor"),
        ("number", rustnn.ones(1), TypeError, "attribute `number`: 3.0 is not an instance of torch.Tensor"),
        ("number.weight", rustnn.ones(1), TypeError, "submodule `number`: 3.0 is not an instance"),
        ("other.weight", rustnn.ones(1), AttributeError, "Holder has no attribute `other`"),
    ],
)
def test_a_functional_call_names_what_it_cannot_replace(name, value, error, message):
    with pytest.raises(error, match=message):
        functional_call(Holder(), {"plain": rustnn.zeros(2), name: value}, rustnn.ones(2))


def test_a_functional_call_follows_cycles_of_modules_without_ties():
    module = Holder()
    module.layer.back = module
    given = {"layer.back.plain": rustnn.full((2,), 4.0)}
    assert functional_call(module, given, rustnn.ones(2), tie_weights=False).tolist() == [5, 5]
