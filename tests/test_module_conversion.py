"""Module: conversion, mode, gradients, text, copies and pickles (checklist sections 10 and 11)."""

import copy
import importlib
import pickle
import weakref
from collections import OrderedDict

import pytest

import rustnn
from rustnn import nn


class Mixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(rustnn.ones(2))
        self.register_buffer("f", rustnn.ones(2), persistent=False)
        self.register_buffer("i", rustnn.ones(2, dtype=rustnn.int64))


# ---- conversion ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("double", rustnn.float64), ("half", rustnn.float16), ("bfloat16", rustnn.bfloat16), ("float", rustnn.float32)],
)
def test_casting_touches_floating_tensors_only(name, dtype):
    net = Mixed()
    assert getattr(net, name)() is net
    assert net.w.dtype == dtype and net.f.dtype == dtype and net.i.dtype == rustnn.int64


def test_type_casts_everything():
    net = Mixed().type(rustnn.float64)
    assert {tensor.dtype for tensor in (net.w, net.f, net.i)} == {rustnn.float64}


def test_conversion_keeps_identity_ties_and_gradients():
    net = nn.Module()
    net.a, net.b = nn.Linear(1, 1), nn.Linear(1, 1)
    net.b.weight = net.a.weight
    weight = net.a.weight
    net.a.weight.grad = rustnn.ones(1, 1)
    grad = net.a.weight.grad
    net.double()
    assert net.a.weight is weight and net.b.weight is weight and weight.dtype == rustnn.float64
    assert weight.grad is grad and grad.dtype == rustnn.float64


def test_buffers_are_replaced_and_keep_their_persistence():
    net = Mixed()
    old = net.f
    net.double()
    assert net.f is not old and list(net.state_dict()) == ["w", "i"]


def test_views_taken_before_keep_the_old_memory():
    net = Mixed()
    view = net.w.data.view(2)
    net.double()
    with rustnn.no_grad():
        net.w.fill_(5)
    assert view.tolist() == [1.0, 1.0]


def test_apply_visits_children_through_their_own_method():
    seen = []

    class Special(nn.Linear):
        def _apply(self, fn, recurse=True):
            seen.append("special")
            return super()._apply(fn, recurse)

    nn.Sequential(Special(1, 1)).double()
    assert seen == ["special"]


@pytest.mark.parametrize(
    "arguments",
    [
        ((rustnn.float64,), {}),
        ((), {"dtype": rustnn.float64}),
        (("cpu", rustnn.float64), {}),
        ((rustnn.device("cpu"), rustnn.float64, True), {}),
        ((rustnn.ones(1, dtype=rustnn.float64),), {}),
        ((None, rustnn.float64), {}),
        (("cpu",), {"dtype": rustnn.float64, "non_blocking": True}),
    ],
)
def test_to_reads_its_arguments(arguments):
    args, kwargs = arguments
    net = Mixed()
    assert net.to(*args, **kwargs) is net
    assert net.w.dtype == rustnn.float64 and net.i.dtype == rustnn.int64


def test_to_refuses_what_it_cannot_do():
    with pytest.raises(TypeError) as error:
        Mixed().to(rustnn.int32)
    assert str(error.value) == (
        "nn.Module.to only accepts floating point or complex dtypes, but got desired dtype=torch.int32"
    )
    with pytest.raises(RuntimeError, match="does not accept copy argument"):
        Mixed().to("cpu", copy=True)
    with pytest.raises(TypeError):
        Mixed().to(1.5)
    with pytest.raises(TypeError):
        Mixed().to("cpu", other=1)


def test_to_accepts_a_memory_format():
    net = nn.Conv2d(2, 2, 3).to(memory_format=rustnn.channels_last)
    assert net.weight.is_contiguous(memory_format=rustnn.channels_last) and net.bias.dim() == 1


def test_leaving_meta_needs_to_empty():
    net = nn.Linear(2, 3, device="meta")
    with pytest.raises(NotImplementedError) as error:
        net.to("cpu")
    assert str(error.value) == (
        "Cannot copy out of meta tensor; no data! Please use torch.nn.Module.to_empty() instead of "
        "torch.nn.Module.to() when moving module from meta to a different device."
    )
    assert net.to_empty(device="cpu") is net
    assert net.weight.device.type == "cpu" and net.weight.shape == (3, 2) and isinstance(net.weight, nn.Parameter)


def test_to_empty_may_stay_at_its_own_level():
    net = nn.Module()
    net.w = nn.Parameter(rustnn.ones(1, device="meta"))
    net.child = nn.Linear(1, 1, device="meta")
    net.to_empty(device="cpu", recurse=False)
    assert not net.w.is_meta and net.child.weight.is_meta


def test_cpu_and_share_memory_return_the_module():
    net = Mixed()
    assert net.cpu() is net and net.share_memory() is net


@pytest.mark.parametrize("name", ["cuda", "xpu", "ipu", "mtia"])
def test_devices_that_are_not_there_raise(name):
    with pytest.raises((RuntimeError, AssertionError)):
        getattr(Mixed(), name)()


# ---- mode and gradients ----------------------------------------------------------------------------------------------


def test_train_and_eval_go_down_the_tree_and_return_the_module():
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.ReLU()))
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    assert net.train() is net
    assert all(module.training for module in net.modules())


@pytest.mark.parametrize("mode", [1, "yes", None])
def test_train_takes_only_a_bool(mode):
    with pytest.raises(ValueError) as error:
        nn.Identity().train(mode)
    assert str(error.value) == "training mode is expected to be boolean"


def test_overriding_train_covers_eval():
    class Frozen(nn.Module):
        def train(self, mode=True):
            return super().train(False)

    assert Frozen().train().training is False and nn.Sequential(Frozen()).train()[0].training is False


def test_requires_grad_touches_parameters_only():
    net = Mixed()
    assert net.requires_grad_(False) is net
    assert not net.w.requires_grad
    net.requires_grad_()
    assert net.w.requires_grad and not net.f.requires_grad


def test_requires_grad_refuses_integer_parameters():
    net = nn.Module()
    net.i = nn.Parameter(rustnn.ones(1, dtype=rustnn.int64), requires_grad=False)
    net.requires_grad_(False)
    with pytest.raises(RuntimeError):
        net.requires_grad_(True)


def test_zero_grad_drops_or_zeroes_gradients():
    net = Mixed()
    net.w.grad = rustnn.ones(2)
    grad = net.w.grad
    assert net.zero_grad(set_to_none=False) is None
    assert net.w.grad is grad and grad.tolist() == [0.0, 0.0]
    net.zero_grad()
    assert net.w.grad is None


def test_zero_grad_detaches_a_gradient_with_a_graph():
    net = Mixed()
    (net.w**3).sum().backward(create_graph=True)
    assert net.w.grad.grad_fn is not None or net.w.grad.requires_grad
    net.zero_grad(set_to_none=False)
    assert not net.w.grad.requires_grad and net.w.grad.tolist() == [0.0, 0.0]


# ---- text ------------------------------------------------------------------------------------------------------------


def test_repr_shows_children_indented():
    net = nn.Sequential(OrderedDict(a=nn.Linear(1, 2), b=nn.Sequential(nn.ReLU()), c=nn.ModuleList()))
    net.register_module("e", None)
    assert repr(net) == (
        "Sequential(\n  (a): Linear(in_features=1, out_features=2, bias=True)\n  (b): Sequential(\n    (0): ReLU()\n  "
        ")\n"
        "  (c): ModuleList()\n  (e): None\n)"
    )


def test_repr_with_extra_text():
    class Net(nn.Module):
        def __init__(self, text):
            super().__init__()
            self.text = text

        def extra_repr(self):
            return self.text

    assert repr(Net("one line")) == "Net(one line)"
    assert repr(Net("two\nlines")) == "Net(\n  two\n  lines\n)"
    assert repr(nn.Module()) == "Module()"
    net = Net("one line")
    net.child = nn.ReLU()
    assert repr(net) == "Net(\n  one line\n  (child): ReLU()\n)"


def test_module_list_folds_equal_texts():
    net = nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1)])
    text = "Linear(in_features=1, out_features=1, bias=True)"
    assert repr(net) == f"ModuleList(\n  (0-1): 2 x {text}\n  (2): ReLU()\n  (3): {text}\n)"


# ---- copies and pickles ----------------------------------------------------------------------------------------------


def test_copy_shares_the_registries():
    net = Mixed()
    twin = copy.copy(net)
    twin.extra = nn.Parameter(rustnn.ones(1))
    assert "extra" in net._parameters


def test_deepcopy_keeps_ties_and_drops_gradients():
    net = nn.Module()
    net.a = nn.Linear(1, 1)
    net.tied = net.a.weight
    net.a.weight.grad = rustnn.ones(1, 1)
    twin = copy.deepcopy(net)
    assert twin.tied is twin.a.weight and twin.a.weight is not net.a.weight
    assert twin.a.weight.grad is None and isinstance(twin.tied, nn.Parameter)


def test_deepcopy_refuses_results_of_computations():
    net = nn.Module()
    net.result = rustnn.ones(1, requires_grad=True) * 2
    with pytest.raises(RuntimeError, match="Only Tensors created explicitly by the user"):
        copy.deepcopy(net)


def test_pickle_keeps_values_buffers_and_mode():
    net = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).eval()
    twin = pickle.loads(pickle.dumps(net))
    assert repr(twin) == repr(net) and twin[1].training is False
    for key, value in net.state_dict().items():
        assert (twin.state_dict()[key] == value).all(), key
    assert isinstance(twin[0].weight, nn.Parameter) and twin[0].weight.requires_grad


def test_old_pickles_get_the_registries_they_lack():
    state = nn.Identity().__getstate__()
    for name in list(state):
        if "hooks" in name and name not in ("_forward_hooks", "_backward_hooks"):
            del state[name]
    del state["_non_persistent_buffers_set"], state["_is_full_backward_hook"]
    module = nn.Identity.__new__(nn.Identity)
    module.__setstate__(state)
    assert module(3) == 3 and list(module.state_dict()) == []
    module.register_forward_hook(lambda *a: None, with_kwargs=True, always_call=True)


@pytest.fixture
def future():
    future = importlib.import_module("rustnn.__future__")
    yield future
    future.set_swap_module_params_on_conversion(False)
    future.set_overwrite_module_params_on_conversion(False)


def test_swapped_tensors_exchange_values_classes_attributes_and_gradients():
    a, b = nn.Parameter(rustnn.ones(2)), rustnn.zeros(3)
    a.mark, a.grad = "of a", rustnn.full((2,), 5.0)
    rustnn.utils.swap_tensors(a, b)
    assert type(a) is rustnn.Tensor and a.tolist() == [0, 0, 0] and a.grad is None and not hasattr(a, "mark")
    assert type(b) is nn.Parameter and b.tolist() == [1, 1] and b.grad.tolist() == [5, 5] and b.mark == "of a"
    (b * 2).sum().backward()
    assert b.grad.tolist() == [7, 7]


def test_tensors_that_others_hold_are_not_swapped():
    a, b = rustnn.ones(2), rustnn.zeros(2)
    view = a[0]
    with pytest.raises(RuntimeError, match="use_count of t1"):
        rustnn.utils.swap_tensors(a, b)
    del view
    watch = weakref.ref(b)
    with pytest.raises(RuntimeError, match="Cannot swap t2"):
        rustnn.utils.swap_tensors(a, b)
    assert watch() is b


def test_a_graph_through_a_swapped_leaf_refuses_to_run():
    a, b = rustnn.ones(2, requires_grad=True), rustnn.zeros(2)
    out = a.sum()
    rustnn.utils.swap_tensors(a, b)
    with pytest.raises(RuntimeError, match="poisoned by swap_tensors"):
        out.backward()


def test_swapping_conversion_keeps_the_objects(future):
    net = nn.Linear(2, 2)
    weight, memory = net.weight, net.weight.data_ptr()
    net(rustnn.ones(1, 2)).sum().backward()
    grad = weight.grad
    future.set_swap_module_params_on_conversion(True)
    assert future.get_swap_module_params_on_conversion()
    net.double()
    assert net.weight is weight and weight.dtype is rustnn.float64 and weight.data_ptr() != memory
    assert weight.grad is grad and grad.dtype is rustnn.float64


def test_swapping_load_asks_module_load_and_keeps_the_objects(future):
    source, net = nn.Linear(2, 2), nn.Linear(2, 2)
    weight = net.weight
    future.set_swap_module_params_on_conversion(True)
    net.load_state_dict(source.state_dict())
    assert net.weight is weight and isinstance(weight, nn.Parameter) and weight.requires_grad
    assert weight.equal(source.weight) and weight.data_ptr() != source.weight.data_ptr()
    net.load_state_dict(source.state_dict(), assign=True)
    assert net.weight is weight and weight.data_ptr() == source.weight.data_ptr()


def test_a_module_load_that_returns_its_argument_is_named(future):
    class Careless(rustnn.Tensor):
        def module_load(self, other, assign=False):
            return other

    net = nn.Module()
    net.register_buffer("b", rustnn.ones(2).as_subclass(Careless))
    future.set_swap_module_params_on_conversion(True)
    with pytest.raises(
        RuntimeError, match=r"While swapping the parameter named.*module_load returned one of self or other"
    ):
        net.load_state_dict({"b": rustnn.zeros(2)})


def test_overwriting_conversion_makes_new_parameters(future):
    net = nn.Linear(2, 2)
    weight = net.weight
    future.set_overwrite_module_params_on_conversion(True)
    net.double()
    assert net.weight is not weight and net.weight.dtype is rustnn.float64 and weight.dtype is rustnn.float32
