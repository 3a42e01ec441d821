"""Small programs about `nn.Module` that must end alike in both libraries: the same values, classes of errors and texts.

Runs in the venv that `make parity` makes. Where PyTorch is at fault (docs/differences.md) there is no program here.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import io
import pickle
import re
import warnings
from collections import OrderedDict, namedtuple
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import rustnn

torch = pytest.importorskip("torch", reason="`make parity` installs PyTorch")

PROGRAMS: dict[str, Callable[[Any], Any]] = {}


def program(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    PROGRAMS[function.__name__] = function
    return function


def outcome(function: Callable[[Any], Any], t: Any) -> Any:
    """What a program returns or raises, and what it warns of; tensors as lists, without names of the library."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = plain(function(t))
        except BaseException as error:
            result = [type(error).__name__, text(str(error))]
    return result, [
        (w.category.__name__, text(str(w.message))) for w in caught if "is deprecated" not in str(w.message)
    ]


def text(value: str) -> str:
    value = re.sub(r"0x[0-9a-f]+", "0x", value)
    return re.sub(r"\b(torch|rustnn)\.", "", value)


def plain(value: Any) -> Any:
    if isinstance(value, (rustnn.Tensor, torch.Tensor)):
        return [text(str(value.dtype)), value.tolist()]
    if isinstance(value, dict):
        return [(plain(key), plain(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, (rustnn.nn.Module, torch.nn.Module)):
        return text(repr(value))
    return text(value) if isinstance(value, str) else value


def attempt(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except Exception as error:
        return [type(error).__name__, str(error)]


def bare(t: Any) -> Any:
    class Bare(t.nn.Module):
        def __init__(self) -> None:
            pass

    return Bare()


def filled(t: Any) -> Any:
    """A module with one of each kind of entry."""
    module = t.nn.Module()
    module.p = t.nn.Parameter(t.ones(2))
    module.register_parameter("none", None)
    module.register_buffer("b", t.zeros(1))
    module.register_buffer("q", t.zeros(1), persistent=False)
    module.register_buffer("empty", None)
    module.m = t.nn.Linear(2, 2)
    module.gone = t.nn.Identity()
    module.gone = None
    module.plain = 5
    return module


def values(t: Any) -> list[Any]:
    return [None, 5, "text", t.ones(1), t.nn.Parameter(t.ones(1)), t.nn.Buffer(t.ones(1)), t.nn.Tanh(), [1]]


@program
def state_of_a_new_module(t: Any) -> Any:
    module = t.nn.Module()
    return {
        key: (type(value), len(value) if hasattr(value, "__len__") else value)
        for key, value in sorted(vars(module).items())
    }


@program
def construction_with_arguments(t: Any) -> Any:
    class Net(t.nn.Module):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)

    return [attempt(lambda: Net(1, 2)), attempt(lambda: Net(foo=1)), attempt(lambda: Net(1, foo=1))]


@program
def assignment_before_init(t: Any) -> Any:
    found = [attempt(lambda value=value: setattr(bare(t), "a", value)) for value in values(t)]
    return [*found, attempt(lambda: delattr(bare(t), "a")), attempt(lambda: bare(t)(1)), attempt(lambda: bare(t).a)]


@program
def every_value_assigned_over_every_kind(t: Any) -> Any:
    found = []
    for name in ("p", "none", "b", "q", "empty", "m", "gone", "plain", "training", "new"):
        for value in values(t):
            module = filled(t)
            error = attempt(lambda module=module, name=name, value=value: setattr(module, name, value))
            registries = [list(module._parameters), list(module._buffers), list(module._modules)]
            hidden = sorted(module._non_persistent_buffers_set)
            found.append(
                (name, type(value), error, registries, hidden, name in vars(module), type(getattr(module, name, 0)))
            )
    return found


@program
def every_kind_deleted_and_assigned_again(t: Any) -> Any:
    found = []
    for name in ("p", "none", "b", "q", "empty", "m", "gone", "plain", "training", "new"):
        module = filled(t)
        before = attempt(lambda module=module, name=name: delattr(module, name))
        setattr(module, name, t.ones(1))
        module.p2 = t.nn.Parameter(t.ones(1))
        found.append(
            (before, list(module._parameters), list(module._buffers), list(module._modules), name in vars(module))
        )
    return found


NAMES = (5, None, "", "a.b", "training", "forward", "p", "b", "m", "plain", "fine")


@program
def registration_of_everything_under_every_name(t: Any) -> Any:
    found = []
    for method in ("register_buffer", "register_parameter", "add_module", "register_module"):
        for name in NAMES:
            for value in values(t):
                module = filled(t)
                error = attempt(lambda m=module, how=method, n=name, v=value: getattr(m, how)(n, v))
                found.append(
                    (
                        method,
                        name,
                        type(value),
                        error,
                        list(module._parameters),
                        list(module._buffers),
                        list(module._modules),
                    )
                )
    return found


@program
def a_class_attribute_in_the_way(t: Any) -> Any:
    class Net(t.nn.Module):
        weight = 3

        @property
        def shown(self) -> int:
            return 4

    found = []
    for name in ("weight", "shown"):
        for value in values(t):
            net = Net()
            error = attempt(lambda net=net, name=name, value=value: setattr(net, name, value))
            found.append(
                (error, list(net._parameters), list(net._modules), list(net._buffers), plain(getattr(net, name)))
            )
    return found


@program
def access_by_path(t: Any) -> Any:
    net = t.nn.Sequential(OrderedDict(a=t.nn.Sequential(t.nn.Linear(2, 2), t.nn.BatchNorm1d(2)), b=t.nn.ReLU()))
    paths = (
        "",
        "a",
        "a.0",
        "a.1",
        "b",
        "a.2",
        "a.0.weight",
        "a.1.running_mean",
        "zzz",
        "a..0",
        "a.0.zzz",
        "b.x.y",
        ".a",
    )
    return [
        [
            type(attempt(lambda path=path, how=how: getattr(net, how)(path))),
            attempt(lambda path=path, how=how: plain(getattr(net, how)(path))),
        ]
        for how in ("get_submodule",)
        for path in paths
    ] + [
        type(attempt(lambda path=path, how=how: getattr(net, how)(path)))
        if not isinstance(attempt(lambda path=path, how=how: getattr(net, how)(path)), list)
        else attempt(lambda path=path, how=how: getattr(net, how)(path))
        for how in ("get_parameter", "get_buffer")
        for path in paths
    ]


@program
def submodules_set_by_path(t: Any) -> Any:
    found = []
    for path in ("", "a", "a.0", "a.9", "zzz", "zzz.0", "a.0.weight", "b.c", "a..0"):
        for value in (t.nn.Tanh(), 5, None):
            for strict in (False, True):
                net = t.nn.Sequential(OrderedDict(a=t.nn.Sequential(t.nn.Linear(2, 2)), b=t.nn.ReLU()))
                error = attempt(lambda net=net, p=path, v=value, s=strict: net.set_submodule(p, v, strict=s))
                found.append((path, strict, error, plain(net)))
    return found


@program
def walks(t: Any) -> Any:
    shared = t.nn.Linear(1, 1)
    net = t.nn.Sequential(shared, t.nn.Sequential(shared, t.nn.BatchNorm1d(1)), t.nn.ReLU())
    net.register_module("none", None)
    net[1][1].weight = shared.weight
    net.own = t.nn.Parameter(t.ones(1))
    names = lambda walk: [name for name, _ in walk]  # noqa: E731
    return [
        names(net.named_modules()),
        names(net.named_modules(remove_duplicate=False)),
        names(net.named_modules(prefix="x")),
        names(net.named_modules(memo={shared})),
        names(net.named_children()),
        names(net.named_parameters()),
        names(net.named_parameters("x", False)),
        names(net.named_parameters(remove_duplicate=False)),
        names(net.named_buffers()),
        names(net.named_buffers("x", True, False)),
        len(list(net.modules())),
        len(list(net.modules(remove_duplicate=False))),
        len(list(net.children())),
    ]


@program
def application_order(t: Any) -> Any:
    shared = t.nn.ReLU()
    net = t.nn.Sequential(t.nn.Sequential(shared), shared, t.nn.Tanh())
    seen: list[str] = []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    return seen


@program
def a_walk_over_a_changing_module(t: Any) -> Any:
    net = t.nn.Sequential(t.nn.ReLU(), t.nn.ReLU())
    for _ in net.named_modules():
        net.more = t.nn.ReLU()


@program
def a_cycle_ends_in_recursion_error(t: Any) -> Any:
    net = t.nn.Module()
    net.child = t.nn.Module()
    net.child.parent = net
    return [len(list(net.modules())), type(attempt(net.state_dict)), attempt(net.state_dict)[0]]


class Recorder:
    def __init__(self, t: Any) -> None:
        self.t = t
        self.log: list[Any] = []

    def hook(self, name: str, returns: Any = None) -> Callable[..., Any]:
        def hook(module: Any, *args: Any) -> Any:
            self.log.append((name, *map(plain, args)))
            return returns

        return hook


@program
def forward_hooks_of_all_kinds(t: Any) -> Any:
    recorder = Recorder(t)
    module = t.nn.Identity()
    where = t.nn.modules.module
    handles = [
        where.register_module_forward_pre_hook(recorder.hook("global pre")),
        where.register_module_forward_hook(recorder.hook("global")),
        where.register_module_forward_hook(recorder.hook("global kwargs"), with_kwargs=True),
    ]
    module.forward = lambda x, scale=1: x * scale
    module.register_forward_pre_hook(recorder.hook("pre"))
    module.register_forward_pre_hook(recorder.hook("pre kwargs"), with_kwargs=True)
    module.register_forward_pre_hook(recorder.hook("pre first"), prepend=True)
    module.register_forward_hook(recorder.hook("post"))
    module.register_forward_hook(recorder.hook("post kwargs"), with_kwargs=True)
    module.register_forward_hook(recorder.hook("post first", t.ones(1) * 9), prepend=True)
    module.register_forward_hook(recorder.hook("post second first"), prepend=True)
    out = module(t.ones(1), scale=3)
    for handle in handles:
        handle.remove()
    return [out, recorder.log, len(where._global_forward_hooks), len(where._global_forward_pre_hooks)]


@program
def what_pre_hooks_may_return(t: Any) -> Any:
    found = []
    for with_kwargs in (False, True):
        for returned in (None, (), (1,), (1, 2), [1, 2], 5, ((1,), {}), ((1,), {"x": 2}), (1, 2, 3), "ab"):
            module = t.nn.Identity()
            module.forward = lambda *args, **kwargs: (args, kwargs)
            module.register_forward_pre_hook(lambda *a, r=returned: r, with_kwargs=with_kwargs)
            found.append(attempt(lambda module=module: module(0, k=1)))
    return found


@program
def hooks_that_raise(t: Any) -> Any:
    found = []
    for where in ("pre", "forward", "post", "always"):
        recorder = Recorder(t)

        def fails(*args: Any) -> Any:
            raise ValueError("on purpose")

        module = t.nn.Identity()
        if where == "forward":
            module.forward = fails
        module.register_forward_hook(recorder.hook("always 1"), always_call=True)
        module.register_forward_hook(recorder.hook("never"))
        if where == "post":
            module.register_forward_hook(fails)
        if where == "always":
            module.register_forward_hook(fails, always_call=True)
        module.register_forward_hook(recorder.hook("always 2", 7), always_call=True, with_kwargs=True)
        if where == "pre":
            module.register_forward_pre_hook(fails)
        found.append((where, attempt(lambda module=module: module(t.ones(1))), recorder.log))
    return found


@program
def hooks_that_change_the_registries(t: Any) -> Any:
    log: list[str] = []
    module = t.nn.Identity()

    def adds(*args: Any) -> None:
        log.append("adds")
        module.register_forward_hook(lambda *a: log.append("added"))

    handle = module.register_forward_hook(lambda *a: (log.append("removes"), handle.remove(), None)[-1])
    module.register_forward_hook(adds)
    module(1)
    log.append("second")
    module(1)
    return log


def gradients(t: Any, build: Callable[[Any], Any], *inputs: Any, hooks: int = 1) -> Any:
    recorder = Recorder(t)
    module = build(t)
    module.register_full_backward_pre_hook(recorder.hook("pre"))
    module.register_full_backward_hook(recorder.hook("full"))
    leaves = [x for x in inputs if isinstance(x, t.Tensor)]
    out = module(*inputs)
    outs = out if isinstance(out, tuple) else (out,)
    sum(o.sum() for o in outs if isinstance(o, t.Tensor)).backward()
    # No gradient says as much as one of zeros.
    return [recorder.log, [x.grad if x.grad is not None and x.grad.any() else None for x in leaves]]


def forward(function: Callable[..., Any]) -> Callable[[Any], Any]:
    def build(t: Any) -> Any:
        module = t.nn.Linear(1, 1, bias=False)
        with t.no_grad():
            module.weight.fill_(3.0)
        module.forward = lambda *args, **kwargs: function(module, *args, **kwargs)
        return module

    return build


Pair = namedtuple("Pair", "a b")
BACKWARD: dict[str, tuple[Callable[..., Any], int, tuple[bool, ...]]] = {
    "one": (lambda m, x: x * m.weight, 1, (True,)),
    "two_inputs": (lambda m, x, y: x * m.weight + y, 2, (True, False)),
    "unused_input": (lambda m, x, y: x * 2, 2, (True, True)),
    "no_input_gradient": (lambda m, x: x * m.weight, 1, (False,)),
    "tuple": (lambda m, x: (x * 2, x * 3), 1, (True,)),
    "tuple_with_other_things": (lambda m, x: (x * 2, 5, "text", None), 1, (True,)),
    "named_tuple": (lambda m, x: Pair(x * 2, x * 3), 1, (True,)),
}


@pytest.mark.parametrize("name", BACKWARD)
def test_full_backward_hooks_see_what_pytorchs_see(name: str) -> None:
    function, count, wanting = BACKWARD[name]

    def run(t: Any) -> Any:
        inputs = [t.full((2, 1), 2.0 + i, requires_grad=wanting[i]) for i in range(count)]
        return gradients(t, forward(function), *inputs)

    assert outcome(run, rustnn) == outcome(run, torch)


@program
def what_backward_hooks_may_return(t: Any) -> Any:
    found = []
    for kind in ("full", "pre"):
        for returned in (None, (), ("x",), ("x", "x"), (None,)):
            module = t.nn.Linear(1, 1, bias=False)
            with t.no_grad():
                module.weight.fill_(3.0)
            give = returned and tuple(t.full((2, 1), 7.0) if item else None for item in returned)
            register = module.register_full_backward_hook if kind == "full" else module.register_full_backward_pre_hook
            register(lambda *a, give=give: give)
            x = t.ones(2, 1, requires_grad=True)
            error = attempt(lambda module=module, x=x: module(x).sum().backward())
            grad = x.grad if x.grad is None or x.grad.any() else None
            found.append((kind, returned, error, grad, module.weight.grad))
    return found


@program
def gradients_of_parameters_alone_do_not_fire_the_hook(t: Any) -> Any:
    recorder = Recorder(t)
    module = t.nn.Linear(1, 1, bias=False)
    module.register_full_backward_hook(recorder.hook("full"))
    x = t.ones(2, 1, requires_grad=True)
    t.autograd.grad(module(x).sum(), [module.weight])
    return len(recorder.log)


@program
def mixed_backward_hooks(t: Any) -> Any:
    first, second = t.nn.Identity(), t.nn.Identity()
    first.register_full_backward_hook(lambda *a: None)
    second.register_backward_hook(lambda *a: None)
    return [
        attempt(lambda: first.register_backward_hook(lambda *a: None)),
        attempt(lambda: second.register_full_backward_hook(lambda *a: None)),
    ]


@program
def old_backward_hooks_warn(t: Any) -> Any:
    cases = [
        (lambda x: x * 2, lambda: t.ones(1, requires_grad=True)),
        (lambda x: [x * 2], lambda: t.ones(1, requires_grad=True)),
        (lambda x: {"a": 3, "b": x * 2}, lambda: t.ones(1, requires_grad=True)),
        (lambda x: x[0] * 2, lambda: [t.ones(1, requires_grad=True)]),
        (lambda x: (x * 2, x * 3), lambda: t.ones(1, requires_grad=True)),
        (lambda x: (x * 2).exp(), lambda: t.ones(1, requires_grad=True)),
    ]
    for function, argument in cases:
        module = t.nn.Identity()
        module.forward = function
        module.register_backward_hook(lambda *a: None)
        module(argument())


@program
def outputs_that_full_hooks_do_not_take(t: Any) -> Any:
    for wrap in (lambda x: [x], lambda x: {"a": x}, lambda x: None):
        module = t.nn.Identity()
        module.forward = lambda x, wrap=wrap: wrap(x * 2)
        module.register_full_backward_hook(lambda *a: None)
        module(t.ones(1, requires_grad=True))


def network(t: Any) -> Any:
    net = t.nn.Sequential(OrderedDict(fc=t.nn.Linear(2, 2), bn=t.nn.BatchNorm1d(2), act=t.nn.ReLU()))
    with t.no_grad():
        for value in net.state_dict().values():
            value.fill_(1)
    return net


@program
def state_dict_layout(t: Any) -> Any:
    net = network(t)
    net.register_buffer("hidden", t.ones(1), persistent=False)
    net.register_buffer("own", t.ones(1))
    net.fc.weight2 = net.fc.weight
    state = net.state_dict()
    prefixed = net.state_dict(prefix="x.")
    cut = net.state_dict(prefix="ab")
    into: dict[str, Any] = {"before": 1}
    assert net.state_dict(destination=into) is into
    return [
        state,
        state._metadata,
        prefixed._metadata,
        list(cut),
        cut._metadata,
        list(into),
        type(state),
        net.state_dict(keep_vars=True),
    ]


@program
def state_dict_with_positional_arguments(t: Any) -> Any:
    into: OrderedDict[str, Any] = OrderedDict()
    return list(network(t).state_dict(into, "p.", True))


class Extra:
    """Builds modules with extra state of both halves, one, or none."""

    @staticmethod
    def make(t: Any, get: bool, put: bool) -> Any:
        class Net(t.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.w = t.nn.Parameter(t.ones(1))
                self.got: Any = None

        if get:
            Net.get_extra_state = lambda self: {"x": 1}
        if put:
            Net.set_extra_state = lambda self, state: setattr(self, "got", state)
        return Net()


@program
def extra_state_of_every_sort(t: Any) -> Any:
    found = []
    for get in (False, True):
        for put in (False, True):
            module = Extra.make(t, get, put)
            for state in ({"w": t.ones(1)}, {"w": t.ones(1), "_extra_state": 5}):
                for strict in (True, False):
                    result = attempt(lambda m=module, s=state, k=strict: m.load_state_dict(s, strict=k))
                    found.append((get, put, result, module.got))
            found.append((list(module.state_dict()), attempt(lambda m=module: m.get_extra_state())))
    return found


@program
def loading_of_every_sort(t: Any) -> Any:
    found = []
    changes: list[Callable[[Any], Any]] = [
        lambda s: s,
        lambda s: s.pop("fc.bias"),
        lambda s: (s.pop("fc.bias"), s.pop("bn.running_var")),
        lambda s: s.update(zz=t.ones(1)),
        lambda s: s.update(
            {"fc.zz": t.ones(1), "act.x": t.ones(1), "fc.weight.bad": t.ones(1), "fcc.weight": t.ones(1)}
        ),
        lambda s: s.update({"fc.weight": t.ones(3, 3)}),
        lambda s: s.update({"fc.weight": t.ones(2)}),
        lambda s: s.update({"fc.weight": 5}),
        lambda s: s.update({"fc.weight": None}),
        lambda s: s.update({"fc.bias": t.ones(2, dtype=t.float64)}),
        lambda s: s.update({"bn.num_batches_tracked": t.tensor([7])}),
        lambda s: s.pop("bn.num_batches_tracked"),
        lambda s: s.clear(),
        lambda s: (s.update({"a": t.ones(1), "fc.weight": t.ones(1, 2)}), s.pop("fc.bias")),
    ]
    for index, change in enumerate(changes):
        for strict in (True, False):
            for assign in (False, True):
                # Not one for all: loading with assign=True writes into its metadata in PyTorch.
                state = network(t).state_dict()
                if assign and index in (9, 10):
                    continue
                change(state)
                net = network(t)
                result = attempt(lambda n=net, s=state, k=strict, a=assign: n.load_state_dict(s, strict=k, assign=a))
                found.append((index, strict, assign, str(result), net.state_dict()))
    return found


@program
def loading_what_is_no_mapping(t: Any) -> Any:
    return [
        attempt(lambda value=value: network(t).load_state_dict(value)) for value in (None, 5, [], "text", [("a", 1)])
    ]


@program
def results_of_loading(t: Any) -> Any:
    net = network(t)
    result = net.load_state_dict(net.state_dict())
    partial = net.load_state_dict({"zz": 1}, strict=False)
    missing, unexpected = partial
    return [repr(result), str(result), repr(partial), missing, unexpected, len(result), type(result).__name__]


@program
def hooks_around_state_dicts(t: Any) -> Any:
    log: list[Any] = []
    net = network(t)
    net.fc.register_state_dict_pre_hook(lambda m, prefix, keep: log.append(("save pre", prefix, keep)))
    net.register_state_dict_post_hook(
        lambda m, state, prefix, meta: log.append(("save post", len(state), prefix, dict(meta)))
    )
    net.bn._register_state_dict_hook(lambda m, state, prefix, meta: log.append(("old post", prefix)))
    net.register_load_state_dict_pre_hook(
        lambda m, state, prefix, meta, strict, a, b, c: log.append(("load pre", type(m), prefix, dict(meta), strict))
    )
    net.bn._register_load_state_dict_pre_hook(
        lambda state, prefix, *rest: log.append(("old load pre", list(state), prefix))
    )
    net.fc.register_load_state_dict_post_hook(
        lambda m, keys: log.append(("load post", type(m), list(keys.missing_keys)))
    )
    net.register_load_state_dict_post_hook(lambda m, keys: log.append(("root load post", list(keys.unexpected_keys))))
    state = net.state_dict()
    state["zz"] = t.ones(1)
    state.pop("fc.bias")
    result = attempt(lambda: net.load_state_dict(state))
    return [log, str(result)]


@program
def post_hooks_that_return_something(t: Any) -> Any:
    net = network(t)
    net.fc._register_state_dict_hook(lambda m, state, prefix, meta: {"inner": 1})
    first = list(net.state_dict())
    net._register_state_dict_hook(lambda m, state, prefix, meta: {"outer": 1})
    second = list(net.state_dict())
    other = network(t)
    other.register_state_dict_post_hook(lambda m, state, prefix, meta: {"x": 1})
    third = network(t)
    third.register_load_state_dict_post_hook(lambda m, keys: 5)

    def public(module: Any, *rest: Any) -> None:
        pass

    third.register_state_dict_post_hook(public)
    return [
        first,
        second,
        attempt(other.state_dict),
        attempt(lambda: third.load_state_dict(network(t).state_dict())),
        attempt(lambda: third._register_state_dict_hook(public)),
    ]


@program
def conversions(t: Any) -> Any:
    net = network(t)
    kinds = lambda: [str(value.dtype) for value in net.state_dict().values()]  # noqa: E731
    found = []
    for change in (
        lambda: net.double(),
        lambda: net.half(),
        lambda: net.bfloat16(),
        lambda: net.float(),
        lambda: net.to(t.float64),
        lambda: net.to("cpu", t.float16),
        lambda: net.to(t.ones(1, dtype=t.float32)),
        lambda: net.to(dtype=t.float64, non_blocking=True),
        lambda: net.to(t.int32),
        lambda: net.to("cpu", copy=True),
        lambda: net.to(t.int64, "cpu"),
        lambda: net.type(t.float64),
        lambda: net.train(1),
        lambda: net.train("yes"),
    ):
        result = attempt(lambda change=change: change() is net)
        # Which combinations of arguments there are stands in a long text.
        found.append((result if result is True else [result[0], result[1][:60]], kinds()))
    return found


@program
def conversion_keeps_identities(t: Any) -> Any:
    net = network(t)
    weight, mean = net.fc.weight, net.bn.running_mean
    net(t.ones(3, 2)).sum().backward()
    grad = weight.grad
    net.double()
    return [
        net.fc.weight is weight,
        net.bn.running_mean is mean,
        weight.grad is grad,
        grad.dtype == t.float64,
        type(net.fc.weight).__name__,
    ]


@program
def texts_of_modules(t: Any) -> Any:
    class Lines(t.nn.Module):
        def __init__(self, extra: str, child: bool) -> None:
            super().__init__()
            self.extra = extra
            if child:
                self.child = t.nn.Sequential(t.nn.ReLU())
                self.register_module("none", None)

        def extra_repr(self) -> str:
            return self.extra

    made = [Lines(extra, child) for extra in ("", "one", "two\nlines", "a\n\nb") for child in (False, True)]
    listed = t.nn.ModuleList([t.nn.Linear(2, 2), t.nn.Linear(2, 2), t.nn.ReLU(), *made, t.nn.ModuleList(made[:2])])
    other = [t.nn.ModuleDict({"a": made[1], "b": t.nn.ReLU()}), t.nn.ParameterList([t.ones(2), 5, "x"])]
    other.append(t.nn.ParameterDict({"a": t.nn.Parameter(t.ones(2, 3)), "b": 5}))
    return [*map(repr, made), repr(listed), repr(t.nn.ModuleList()), *map(repr, other)]


@program
def calls_without_forward(t: Any) -> Any:
    made = (
        t.nn.Module(),
        t.nn.ModuleList([t.nn.ReLU()]),
        t.nn.ModuleDict(),
        t.nn.ParameterList(),
        type("Own", (t.nn.Module,), {})(),
    )
    return [attempt(lambda module=module: module(1)) for module in made]


@program
def training_modes(t: Any) -> Any:
    net = network(t)
    found = [[m.training for m in net.eval().modules()], [m.training for m in net.train().modules()]]
    net.fc.eval()
    return [
        *found,
        [m.training for m in net.modules()],
        net.requires_grad_(False) is net,
        [p.requires_grad for p in net.parameters()],
    ]


@program
def zeroed_gradients(t: Any) -> Any:
    net = network(t)
    net(t.ones(3, 2)).sum().backward()
    before = net.fc.weight.grad
    net.zero_grad(set_to_none=False)
    kept = net.fc.weight.grad is before
    found = [kept, net.fc.weight.grad, net.zero_grad(), net.fc.weight.grad]
    return found


@program
def copies_and_pickles(t: Any) -> Any:
    net = network(t)
    net.fc.tied = net.fc.weight
    net.fc.weight.note = "lost"
    net(t.ones(3, 2)).sum().backward()
    twin, shallow = copy.deepcopy(net), copy.copy(net)
    found = [
        twin.fc.tied is twin.fc.weight,
        twin.fc.weight.grad,
        hasattr(twin.fc.weight, "note"),
        shallow._modules is net._modules,
        shallow._forward_hooks is net._forward_hooks,
        twin.state_dict(),
    ]
    net.result = net(t.ones(3, 2))
    return [*found, attempt(lambda: copy.deepcopy(net))]


@program
def deepcopy_honours_what_a_class_overrides(t: Any) -> Any:
    class Stated(t.nn.Linear):
        def __getstate__(self) -> dict:
            return {**super().__getstate__(), "stated": True}

    class Reduced(t.nn.Module):
        def __reduce_ex__(self, protocol: int) -> Any:
            return Reduced, (), {**self.__dict__, "reduced": True}

    class Restored(t.nn.Linear):
        def __setstate__(self, state: dict) -> None:
            super().__setstate__(state)
            self.__dict__["restored"] = True

    class Mixed(t.nn.Module, dict):
        def __init__(self) -> None:
            super().__init__()
            self["key"] = [1]

    class Cloned(t.nn.Module):
        def __deepcopy__(self, memo: dict) -> Any:
            return "cloned"

    mixed = Mixed()
    twin = copy.deepcopy(mixed)
    holder = t.nn.Sequential(t.nn.ReLU())
    holder.special = Cloned
    return [
        copy.deepcopy(Stated(1, 1)).stated,
        copy.deepcopy(Reduced()).reduced,
        copy.deepcopy(Restored(1, 1)).restored,
        twin["key"],
        twin["key"] is mixed["key"],
        copy.deepcopy(Cloned()),
    ]


@program
def deepcopy_keeps_what_is_shared_shared(t: Any) -> Any:
    net = t.nn.Module()
    net.items = net._parameters
    net.list = [1, 2]
    net.again = net.list
    net.child = t.nn.Module()
    net.child.back = [net]
    net.p = t.nn.Parameter(t.ones(1))
    net.alias = {"p": net.p}
    twin = copy.deepcopy(net)
    return [
        twin.items is twin._parameters,
        twin.again is twin.list,
        twin.list is not net.list,
        twin.child.back[0] is twin,
        twin.alias["p"] is twin.p,
    ]


@program
def hooks_in_copies(t: Any) -> Any:
    class Counts(t.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.count = 0
            self.handle = self.register_forward_hook(self.hook)

        def hook(self, *args: Any) -> None:
            self.count += 1

        def forward(self, x: Any) -> Any:
            return x

    first = Counts()
    second = copy.deepcopy(first)
    second(1)
    first.handle.remove()
    return [first.count, second.count, len(first._forward_hooks), len(second._forward_hooks)]


@program
def handles(t: Any) -> Any:
    module = t.nn.Identity()
    with module.register_forward_hook(lambda *a: None) as handle:
        during = [
            len(module._forward_hooks),
            handle.id in module._forward_hooks,
            handle.hooks_dict_ref() is module._forward_hooks,
        ]
    handle.remove()
    other = module.register_forward_pre_hook(lambda *a: None, with_kwargs=True)
    following = [other.id > handle.id, len(module._forward_pre_hooks_with_kwargs)]
    other.remove()
    return [during, following, len(module._forward_hooks), len(module._forward_pre_hooks_with_kwargs)]


@program
def registration_hooks(t: Any) -> Any:
    log: list[Any] = []
    where = t.nn.modules.module
    handles = [
        where.register_module_parameter_registration_hook(lambda m, n, v: log.append(("parameter", n))),
        where.register_module_buffer_registration_hook(lambda m, n, v: log.append(("buffer", n))),
        where.register_module_module_registration_hook(
            lambda m, n, v: log.append(("module", n)) or (t.nn.Tanh() if n == "swap" else None)
        ),
    ]
    try:
        module = filled(t)
        module.swap = t.nn.ReLU()
        module.swap = None
    finally:
        for handle in handles:
            handle.remove()
    return [log, module]


@program
def parameters_and_buffers(t: Any) -> Any:
    data = t.ones(2)
    p = t.nn.Parameter(data)
    b = t.nn.Buffer(t.ones(1), persistent=False)
    with t.no_grad():
        q = t.nn.Parameter(t.ones(1))
    return [
        repr(p),
        type(p * 2).__name__,
        type(p[0]).__name__,
        type(p.detach()).__name__,
        type(p.data).__name__,
        q.requires_grad,
        p.data_ptr() == data.data_ptr(),
        attempt(lambda: t.nn.Parameter(t.ones(1, dtype=t.int64))),
        isinstance(b, t.nn.Buffer),
        type(b).__name__,
        b.persistent,
        isinstance(t.ones(1), t.nn.Parameter),
        t.nn.Parameter().shape == (0,),
        copy.deepcopy(p).requires_grad,
        type(pickle.loads(pickle.dumps(p))).__name__,
    ]


@program
def lazy_modules(t: Any) -> Any:
    lazy = t.nn.LazyLinear(2)
    found = [repr(lazy), repr(lazy.weight), attempt(lambda: lazy.weight.shape), type(lazy.weight).__name__]
    found += [attempt(lambda: lazy.weight + 1)[0], list(lazy.state_dict()), len(lazy._forward_pre_hooks)]
    # Before the first call: loading gives the shapes.
    full = t.nn.Linear(3, 2)
    other = t.nn.LazyLinear(2)
    found.append(str(other.load_state_dict(full.state_dict())))
    found += [
        tuple(other.weight.shape),
        type(other).__name__,
        attempt(lambda: full.load_state_dict(lazy.state_dict()))[0],
    ]
    lazy(t.ones(1, 4))
    return [
        *found,
        type(lazy).__name__,
        tuple(lazy.weight.shape),
        type(lazy.weight).__name__,
        len(lazy._forward_pre_hooks),
    ]


@program
def sequential_containers(t: Any) -> Any:
    nn = t.nn
    make = lambda: nn.Sequential(OrderedDict(a=nn.Linear(1, 2), b=nn.ReLU(), c=nn.Tanh()))  # noqa: E731

    def after(change: Callable[[Any], Any]) -> Any:
        net = make()
        result = attempt(lambda: change(net))
        return [plain(result) if not isinstance(result, list) else result, plain(net), list(net._modules)]

    changes: list[Callable[[Any], Any]] = [
        lambda n: n[0],
        lambda n: n[-1],
        lambda n: n[3],
        lambda n: n[-4],
        lambda n: n[0:2],
        lambda n: n[::2],
        lambda n: n["a"],
        lambda n: n.a,
        lambda n: n.__setitem__(1, nn.Sigmoid()),
        lambda n: n.__setitem__(5, nn.Sigmoid()),
        lambda n: n.__delitem__(0),
        lambda n: n.__delitem__(slice(0, 2)),
        lambda n: n.__delitem__(7),
        lambda n: n.append(nn.Sigmoid()),
        lambda n: n.append(5),
        lambda n: n.extend([nn.Sigmoid(), nn.Sigmoid()]),
        lambda n: n.extend(nn.Sequential(nn.Sigmoid())),
        lambda n: n.insert(3, nn.Sigmoid()),
        lambda n: n.insert(9, nn.Sigmoid()),
        lambda n: n.insert(0, 5),
        lambda n: n.pop(0),
        lambda n: n.pop(-1),
        lambda n: n.pop(9),
        lambda n: n + nn.Sequential(nn.Sigmoid()),
        lambda n: n + [nn.Sigmoid()],
        lambda n: n.__iadd__(nn.Sequential(nn.Sigmoid())),
        lambda n: n * 2,
        lambda n: 2 * n,
        lambda n: n * 0,
        lambda n: n * -1,
        lambda n: n * 1.5,
        lambda n: n.__imul__(0),
        lambda n: len(n),
        lambda n: list(n),
        lambda n: n(t.ones(1, 1), t.ones(1, 1)),
    ]
    return [
        *map(after, changes),
        attempt(lambda: nn.Sequential(5)),
        attempt(lambda: nn.Sequential(None)),
        nn.Sequential()(5),
    ]


@program
def list_containers(t: Any) -> Any:
    nn = t.nn
    make = lambda: nn.ModuleList([nn.ReLU(), nn.Tanh(), nn.Sigmoid()])  # noqa: E731

    def after(change: Callable[[Any], Any]) -> Any:
        modules = make()
        result = attempt(lambda: change(modules))
        return [plain(result) if not isinstance(result, list) else result, plain(modules), list(modules._modules)]

    changes: list[Callable[[Any], Any]] = [
        lambda m: m[0],
        lambda m: m[-1],
        lambda m: m[3],
        lambda m: m[1:],
        lambda m: m["x"],
        lambda m: m.__setitem__(0, nn.GELU()),
        lambda m: m.__setitem__(0, 5),
        lambda m: m.__delitem__(1),
        lambda m: m.__delitem__(slice(None, 2)),
        lambda m: m.append(nn.GELU()),
        lambda m: m.append(5),
        lambda m: m.extend([nn.GELU()]),
        lambda m: m.extend(5),
        lambda m: m.insert(0, nn.GELU()),
        lambda m: m.pop(1),
        lambda m: m + [nn.GELU()],
        lambda m: m + nn.ModuleList([nn.GELU()]),
        lambda m: m.__iadd__([nn.GELU()]),
        lambda m: m.__iadd__(5),
        lambda m: len(m),
        lambda m: [type(x).__name__ for x in m],
        lambda m: nn.ReLU() in m,
        lambda m: "0" in dir(m),
    ]
    return [*map(after, changes), attempt(lambda: nn.ModuleList([1])), attempt(lambda: nn.ModuleList(5))]


@program
def dict_containers(t: Any) -> Any:
    nn = t.nn

    def after(change: Callable[[Any], Any]) -> Any:
        modules = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
        result = attempt(lambda: change(modules))
        return [plain(result) if not isinstance(result, list) else result, plain(modules), list(modules._modules)]

    changes: list[Callable[[Any], Any]] = [
        lambda m: m["a"],
        lambda m: m["zz"],
        lambda m: m.__setitem__("a", nn.GELU()),
        lambda m: m.__setitem__("c", 5),
        lambda m: m.__setitem__("keys", nn.GELU()),
        lambda m: m.__setitem__("a.b", nn.GELU()),
        lambda m: m.__setitem__("", nn.GELU()),
        lambda m: m.__setitem__(5, nn.GELU()),
        lambda m: m.__delitem__("a"),
        lambda m: m.__delitem__("zz"),
        lambda m: m.pop("a"),
        lambda m: m.pop("zz"),
        lambda m: m.clear(),
        lambda m: list(m.keys()),
        lambda m: [k for k, _ in m.items()],
        lambda m: len(list(m.values())),
        lambda m: "a" in m,
        lambda m: len(m),
        lambda m: m.update({"c": nn.GELU(), "a": nn.Mish()}),
        lambda m: m.update(nn.ModuleDict({"d": nn.GELU()})),
        lambda m: m.update([("e", nn.GELU()), ["f", nn.GELU()]]),
        lambda m: m.update(5),
        lambda m: m.update([5]),
        lambda m: m.update([("x",)]),
        lambda m: m.update([("x", 1, 2)]),
        lambda m: m.update({"x": 5}),
    ]
    return [*map(after, changes), attempt(lambda: nn.ModuleDict(5)), attempt(lambda: nn.ModuleDict([1]))]


@program
def parameter_lists(t: Any) -> Any:
    nn = t.nn

    def after(change: Callable[[Any], Any]) -> Any:
        items = nn.ParameterList([t.ones(2), 5, nn.Parameter(t.zeros(1))])
        result = attempt(lambda: change(items))
        kinds = [type(item).__name__ for item in items]
        shown = result if isinstance(result, list) else type(result).__name__
        return [shown, kinds, list(items.state_dict()), len(items)]

    changes: list[Callable[[Any], Any]] = [
        lambda p: p[0],
        lambda p: p[1],
        lambda p: p[-1],
        lambda p: p[9],
        lambda p: p[:2],
        lambda p: p.append(t.ones(1)),
        lambda p: p.append("text"),
        lambda p: p.extend([t.ones(1), 3]),
        lambda p: p.extend(nn.ParameterList([t.ones(1)])),
        lambda p: p.extend(5),
        lambda p: p.extend(t.ones(3)),
        lambda p: p.__iadd__([t.ones(1)]),
        lambda p: p.__setitem__(0, 7),
        lambda p: p.__setitem__(1, t.ones(1)),
        lambda p: p.__setitem__(9, 7),
        lambda p: p(),
    ]
    return [*map(after, changes), attempt(lambda: nn.ParameterList(5))]


@program
def parameter_dicts(t: Any) -> Any:
    nn = t.nn

    def after(change: Callable[[Any], Any]) -> Any:
        items = nn.ParameterDict({"a": t.ones(2), "b": 5})
        result = attempt(lambda: change(items))
        shown = result if isinstance(result, (list, bool, int, str)) else type(result).__name__
        return [shown, [(k, type(v).__name__) for k, v in items.items()], list(items.state_dict())]

    changes: list[Callable[[Any], Any]] = [
        lambda p: p["a"],
        lambda p: p["zz"],
        lambda p: p.get("zz"),
        lambda p: p.get("b", 1),
        lambda p: p.setdefault("a", t.zeros(1)),
        lambda p: p.setdefault("c", t.zeros(1)),
        lambda p: p.setdefault("d"),
        lambda p: p.pop("a"),
        lambda p: p.pop("zz"),
        lambda p: p.popitem()[0],
        lambda p: p.clear(),
        lambda p: list(p),
        lambda p: list(reversed(p)),
        lambda p: list(p.keys()),
        lambda p: len(list(p.values())),
        lambda p: "a" in p,
        lambda p: len(p),
        lambda p: list(p | nn.ParameterDict({"c": t.ones(1)})),
        lambda p: list(nn.ParameterDict({"c": t.ones(1)}) | p),
        lambda p: p.__ior__(nn.ParameterDict({"c": t.ones(1)})),
        lambda p: list(p.copy()),
        lambda p: list(p.fromkeys(["x", "y"], 3)),
        lambda p: p.update({"z": t.ones(1), "c": 1}),
        lambda p: p.update([("z", t.ones(1))]),
        lambda p: p.update(5),
        lambda p: p.update([5]),
        lambda p: p.__setitem__("a", 3),
        lambda p: p[5],
        lambda p: p.__delitem__("a"),
        lambda p: p.__delitem__("zz"),
    ]
    return [*map(after, changes)]


@program
def prefixes_taken_off(t: Any) -> Any:
    state = t.nn.Sequential(network(t)).state_dict(prefix="module.")
    t.nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
    return [list(state), state._metadata]


@program
def modules_that_are_more(t: Any) -> Any:
    class Mapping(t.nn.Module, dict):
        def __init__(self) -> None:
            super().__init__()
            self.layer = t.nn.Linear(1, 1)
            self["x"] = 1

        def forward(self, x: Any) -> Any:
            return x

    class Other(t.nn.Linear):
        def forward(self, x: Any) -> Any:
            return "other"

    made = Mapping()
    layer = t.nn.Linear(1, 1)
    layer.__class__ = Other
    return [made["x"], list(made.state_dict()), made(3), len(made), layer(1), isinstance(layer, Other)]


@program
def parametrized_weights(t: Any) -> Any:
    class Double(t.nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2

        def right_inverse(self, x: Any) -> Any:
            return x / 2

    P = t.nn.utils.parametrize
    layer = network(t).fc
    P.register_parametrization(layer, "weight", Double())
    found = [
        repr(layer),
        layer.weight,
        list(layer.state_dict()),
        P.is_parametrized(layer),
        P.is_parametrized(layer, "bias"),
    ]
    found.append(P.type_before_parametrizations(layer).__name__)
    layer.weight = t.zeros(2, 2)
    found.append(layer.parametrizations.weight.original)
    for make in (
        lambda: P.register_parametrization(layer, "zzz", Double()),
        lambda: P.remove_parametrizations(layer, "bias"),
        lambda: layer.load_state_dict({"bias": t.ones(2)}),
    ):
        found.append(attempt(make))
    P.remove_parametrizations(layer, "weight")
    return [*found, repr(layer), type(layer.weight).__name__, list(layer.state_dict())]


@program
def functional_calls(t: Any) -> Any:
    net = network(t).fc
    call = t.func.functional_call
    x = t.ones(1, 2)
    zero = {"weight": t.zeros(2, 2)}
    return [
        call(net, zero, x),
        call(net, (zero, {"bias": t.zeros(2)}), (x,)),
        attempt(lambda: call(net, (zero, zero), x)),
        attempt(lambda: call(net, 5, x)),
        attempt(lambda: call(net, (zero, 5), x)),
        attempt(lambda: call(net, {"zz": t.ones(1)}, x, strict=True)),
        net.weight,
    ]


@program
def pruning(t: Any) -> Any:
    importlib.import_module(f"{t.__name__}.nn.utils.prune")
    prune = t.nn.utils.prune
    layer = network(t).fc
    with t.no_grad():
        layer.weight.copy_(t.tensor([[1.0, -2.0], [3.0, 0.5]]))
    prune.l1_unstructured(layer, "weight", 0.5)
    found = [layer.weight, layer.weight_mask, list(layer.state_dict()), prune.is_pruned(layer)]
    prune.ln_structured(layer, "weight", 1, n=1, dim=0)
    found.append(layer.weight_mask)
    prune.remove(layer, "weight")
    found += [layer.weight, list(layer.state_dict()), attempt(lambda: prune.remove(layer, "weight"))]
    prune.custom_from_mask(layer, "bias", t.tensor([1.0, 0.0]))
    found += [
        layer.bias,
        attempt(lambda: prune.l1_unstructured(layer, "weight", 9)),
        attempt(lambda: prune.l1_unstructured(layer, "weight", 1.5)),
    ]
    prune.identity(layer, "weight")
    return [*found, [type(hook).__name__ for hook in layer._forward_pre_hooks.values()]]


@program
def vectors_of_parameters(t: Any) -> Any:
    utils = t.nn.utils
    net = network(t).fc
    vector = utils.parameters_to_vector(net.parameters())
    utils.vector_to_parameters(t.arange(6.0), net.parameters())
    return [vector, net.weight, net.bias, attempt(lambda: utils.vector_to_parameters(5, net.parameters()))]


@program
def clipped_gradients(t: Any) -> Any:
    found = []
    for norm in (1.0, 2.0, float("inf")):
        net = network(t).fc
        net(t.arange(4.0).reshape(2, 2)).sum().backward()
        total = t.nn.utils.clip_grad_norm_(net.parameters(), 1.5, norm)
        found.append((round(total.item(), 4), [round(x, 4) for x in net.weight.grad.flatten().tolist()]))
    net(t.ones(1, 2)).sum().backward()
    t.nn.utils.clip_grad_value_(net.parameters(), 0.7)
    return [found, net.weight.grad, attempt(lambda: t.nn.utils.clip_grad_norm_([], 1.0))]


@program
def packed_sequences(t: Any) -> Any:
    R = t.nn.utils.rnn
    sequences = [t.tensor([1.0, 2.0, 3.0]), t.tensor([4.0, 5.0]), t.tensor([6.0])]
    padded = R.pad_sequence(sequences, batch_first=True, padding_value=-1.0)
    packed = R.pack_padded_sequence(padded, [3, 2, 1], batch_first=True)
    mixed = R.pack_padded_sequence(padded[[2, 0, 1]], t.tensor([1, 3, 2]), batch_first=True, enforce_sorted=False)
    back, lengths = R.pad_packed_sequence(mixed, batch_first=True, padding_value=9.0, total_length=4)
    return [
        padded,
        R.pad_sequence(sequences, padding_side="left"),
        packed.data,
        packed.batch_sizes,
        mixed.sorted_indices,
        mixed.unsorted_indices,
        back,
        lengths,
        [plain(x) for x in R.unpad_sequence(padded, t.tensor([3, 2, 1]), batch_first=True)],
        R.pack_sequence(sequences).data,
        attempt(lambda: R.pack_padded_sequence(padded, [1, 2, 3], batch_first=True)),
        attempt(lambda: R.pack_padded_sequence(padded, [3, 2, 0], batch_first=True)),
    ]


@program
def fused_layers(t: Any) -> Any:
    conv, norm = t.nn.Conv2d(1, 2, 1).eval(), t.nn.BatchNorm2d(2).eval()
    linear, line = t.nn.Linear(2, 2).eval(), t.nn.BatchNorm1d(2).eval()
    with t.no_grad():
        for index, value in enumerate(
            (*conv.parameters(), *norm.parameters(), *linear.parameters(), *line.parameters())
        ):
            value.fill_(index + 1.0)
        norm.running_var.fill_(4.0)
        line.running_mean.fill_(0.5)
    fused, joined = t.nn.utils.fuse_conv_bn_eval(conv, norm), t.nn.utils.fuse_linear_bn_eval(linear, line)
    rounded = lambda x: [round(v, 3) for v in x.flatten().tolist()]  # noqa: E731
    return [rounded(p) for p in (*fused.parameters(), *joined.parameters())] + [
        attempt(lambda: t.nn.utils.fuse_conv_bn_eval(conv.train(), norm))
    ]


@program
def normed_weights_by_hooks(t: Any) -> Any:
    layer = t.nn.utils.weight_norm(network(t).fc, dim=1)
    found = [list(layer.state_dict()), len(layer._forward_pre_hooks), attempt(lambda: t.nn.utils.weight_norm(layer))]
    found.append([round(v, 4) for v in layer.weight_g.flatten().tolist()])
    t.nn.utils.remove_weight_norm(layer)
    spectral = t.nn.utils.spectral_norm(network(t).fc)
    return [
        *found,
        list(layer.state_dict()),
        list(spectral.state_dict()),
        attempt(lambda: t.nn.utils.remove_weight_norm(layer)),
    ]


@program
def orthogonal_weights(t: Any) -> Any:
    found = []
    for shape in ((3, 3), (4, 2), (2, 4)):
        for how in ("matrix_exp", "cayley", "householder"):
            layer = t.nn.Linear(shape[1], shape[0], bias=False)
            with t.no_grad():
                layer.weight.copy_(t.arange(shape[0] * shape[1]).reshape(shape).to(t.float32).sin())
            trivial = t.nn.utils.parametrizations.orthogonal(layer, orthogonal_map=how)
            weight = trivial.weight
            small = weight if shape[0] <= shape[1] else weight.T
            product = small @ small.T
            found.append((list(layer.state_dict()), [round(v, 3) + 0.0 for v in product.flatten().tolist()]))
    layer = t.nn.Linear(2, 2)
    make = t.nn.utils.parametrizations.orthogonal
    found += [
        attempt(lambda: make(layer, "zzz")),
        attempt(lambda: make(layer, "bias")),
        attempt(lambda: make(layer, orthogonal_map="x")),
    ]
    return found


@program
def orthogonal_maps_of_given_numbers(t: Any) -> Any:
    found = []
    for shape in ((3, 3), (4, 2), (2, 4)):
        for how in ("matrix_exp", "cayley", "householder"):
            layer = t.nn.Linear(shape[1], shape[0], bias=False)
            with t.no_grad():
                layer.weight.copy_(t.eye(*shape))
            make = partial(t.nn.utils.parametrizations.orthogonal, orthogonal_map=how, use_trivialization=False)
            error = attempt(partial(make, layer))
            if isinstance(error, list):
                found.append(error)
                continue
            with t.no_grad():
                values = t.arange(shape[0] * shape[1]).reshape(shape).to(t.float32).cos()
                layer.parametrizations.weight.original.copy_(values)
                layer.parametrizations.weight.original.diagonal().copy_(t.ones(min(shape)))
            weight = layer.weight
            (weight * t.arange(weight.numel()).reshape(shape)).sum().backward()
            grad = layer.parametrizations.weight.original.grad
            found.append([[round(v, 2) + 0.0 for v in x.flatten().tolist()] for x in (weight, grad)])
    return found


@program
def old_containers_and_factory_arguments(t: Any) -> Any:
    made = t.nn.Container(a=t.nn.ReLU(), b=t.nn.Tanh())
    factory = t.nn.factory_kwargs
    return [
        made,
        factory({"device": "cpu", "factory_kwargs": {"dtype": 5}}),
        factory(None),
        attempt(lambda: factory({"zz": 1})),
        attempt(lambda: factory({"dtype": 1, "factory_kwargs": {"dtype": 5}})),
    ]


@program
def skipped_initialisation(t: Any) -> Any:
    made = t.nn.utils.skip_init(t.nn.Linear, 3, 2)
    return [
        made,
        tuple(made.weight.shape),
        attempt(lambda: t.nn.utils.skip_init(dict, 1)),
        attempt(lambda: t.nn.utils.skip_init(t.nn.ReLU)),
    ]


@program
def meta_modules(t: Any) -> Any:
    made = t.nn.Linear(3, 2, device="meta")
    with t.device("meta"):
        context = t.nn.Sequential(t.nn.Linear(3, 2), t.nn.BatchNorm1d(2))
    tied = t.nn.Module()
    tied.a = made.weight
    tied.b = made.weight
    tied.to_empty(device="cpu")
    return [
        made.weight.is_meta,
        [value.is_meta for value in context.state_dict().values()],
        tuple(context(t.ones(4, 3, device="meta")).shape),
        attempt(lambda: made.to("cpu")),
        tied.a is tied.b,
        tied.a.is_meta,
        attempt(
            lambda: str(t.nn.Linear(3, 2, device="meta").load_state_dict(t.nn.Linear(3, 2).state_dict(), assign=True))
        ),
    ]


@program
def memory_formats(t: Any) -> Any:
    conv = t.nn.Conv2d(4, 6, 3)
    conv.to(memory_format=t.channels_last)
    x = t.ones(2, 4, 5, 5).to(memory_format=t.channels_last)
    out = conv(x)
    plain_conv = t.nn.Conv2d(4, 6, 3)
    t.nn.utils.convert_conv2d_weight_memory_format(plain_conv, t.channels_last)
    return [
        conv.weight.stride(),
        conv.bias.stride(),
        out.shape == (2, 6, 3, 3),
        plain_conv.weight.stride(),
        conv.weight.is_contiguous(memory_format=t.channels_last),
        copy.deepcopy(conv).weight.stride(),
        attempt(lambda: t.nn.Linear(2, 2).to(memory_format=t.channels_last) and None),
    ]


@program
def initialisers_without_chance(t: Any) -> Any:
    init = t.nn.init
    found = [
        init.constant_(t.empty(2), 3.0),
        init.ones_(t.empty(2)),
        init.zeros_(t.empty(2)),
        init.eye_(t.empty(2, 3)),
        init.dirac_(t.empty(2, 2, 3)),
        init.dirac_(t.empty(4, 2, 3, 3), groups=2).sum().item(),
        [init.calculate_gain(kind) for kind in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu")],
        init.calculate_gain("leaky_relu", 0.3),
        [init._calculate_fan_in_and_fan_out(t.empty(shape)) for shape in ((3, 4), (5, 2, 3), (5, 2, 3, 3))],
    ]
    for call in (
        lambda: init.eye_(t.empty(2)),
        lambda: init.dirac_(t.empty(2)),
        lambda: init.dirac_(t.empty(3, 2, 3), groups=2),
        lambda: init.calculate_gain("zzz"),
        lambda: init.calculate_gain("leaky_relu", "x"),
        lambda: init.xavier_uniform_(t.empty(2)),
        lambda: init.kaiming_normal_(t.empty(2, 2), mode="zzz"),
        lambda: init.orthogonal_(t.empty(2)),
        lambda: init.sparse_(t.empty(2), 0.1),
        lambda: init.kaiming_uniform_(t.empty(0, 2)),
        lambda: init.trunc_normal_(t.empty(2), mean=9.0),
    ):
        result = attempt(call)
        found.append(result if isinstance(result, list) else type(result).__name__)
    return found


@program
def saved_and_loaded(t: Any) -> Any:
    net = network(t)
    file = io.BytesIO()
    t.save(net.state_dict(), file)
    file.seek(0)
    state = t.load(file)
    return [str(network(t).load_state_dict(state)), state._metadata, list(state), type(state)]


@pytest.mark.parametrize("name", PROGRAMS)
def test_both_libraries_end_alike(name: str) -> None:
    ours, theirs = outcome(PROGRAMS[name], rustnn), outcome(PROGRAMS[name], torch)
    if isinstance(theirs[0], list) and isinstance(ours[0], list) and len(theirs[0]) == len(ours[0]):
        for index, (mine, reference) in enumerate(zip(ours[0], theirs[0], strict=True)):
            assert mine == reference, f"place {index}"
    assert ours == theirs


@pytest.mark.parametrize("name", [name for name in dir(torch.nn.Module) if callable(getattr(torch.nn.Module, name))])
def test_module_methods_take_pytorchs_arguments(name: str) -> None:
    assert hasattr(rustnn.nn.Module, name)
    if name.startswith("__"):
        return
    theirs = inspect.signature(getattr(torch.nn.Module, name)).parameters.values()
    ours = {p.name: p for p in inspect.signature(getattr(rustnn.nn.Module, name)).parameters.values()}
    for index, parameter in enumerate(theirs):
        mine = ours[parameter.name]
        assert (mine.kind, str(mine.default)) == (parameter.kind, str(parameter.default)), parameter.name
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.POSITIONAL_ONLY):
            assert list(ours)[index] == parameter.name
