"""Module: full backward hooks and pre-hooks, and the old-style ones (checklist section 6)."""

import warnings
from collections import OrderedDict, namedtuple

import pytest

import rustnn
from rustnn import nn
from rustnn.nn.modules import module as module_file


@pytest.fixture(autouse=True)
def no_global_hooks_left():
    yield
    module_file._global_backward_hooks = OrderedDict()
    module_file._global_backward_pre_hooks = OrderedDict()
    module_file._global_is_full_backward_hook = None


class Times(nn.Module):
    """Multiplies its first input by a parameter."""

    def __init__(self, value=2.0):
        super().__init__()
        self.w = nn.Parameter(rustnn.tensor(value))

    def forward(self, x, *rest):
        return x * self.w


class Free(nn.Module):
    """Calls any function as forward."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args, **kwargs):
        return self.function(*args, **kwargs)


def leaf(*values):
    return rustnn.tensor(list(values), requires_grad=True)


def test_a_full_hook_sees_the_gradients_of_inputs_and_outputs():
    seen = []
    layer = Times(3.0)
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((m, gi[0].tolist(), go[0].tolist())))
    x = leaf(1.0, 2.0)
    (layer(x) * 10).sum().backward()
    assert seen == [(layer, [30.0, 30.0], [10.0, 10.0])]
    assert x.grad.tolist() == [30.0, 30.0]


def test_each_call_of_a_shared_module_fires_with_its_own_share():
    seen = []
    layer = Times(3.0)
    layer.register_full_backward_hook(lambda m, gi, go: seen.append(gi[0].item()))
    x = leaf(1.0)
    (layer(x) + 10 * layer(x)).sum().backward()
    assert sorted(seen) == [3.0, 30.0]


def test_grad_input_has_one_entry_per_positional_argument():
    seen = []
    layer = Times()
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, len(go))))
    layer(leaf(1.0), "text", rustnn.ones(1), leaf(2.0)).sum().backward()
    ((grads, outputs),) = seen
    assert len(grads) == 4 and outputs == 1
    assert grads[0].item() == 2.0 and grads[1] is None
    # One needs no gradient, the other is not used by forward.
    assert all(grad is None or grad.item() == 0.0 for grad in grads[2:])


def test_an_unused_output_gives_none():
    seen = []
    layer = Free(lambda x: (x * 2, x * 3, "text"))
    layer.register_full_backward_hook(lambda m, gi, go: seen.append([g if g is None else g.item() for g in go]))
    layer(leaf(1.0))[0].sum().backward()
    assert seen == [[1.0, None, None]]


def test_requires_grad_does_not_spread_over_the_inputs():
    seen = []

    def forward(x, y):
        seen.append((x.requires_grad, y.requires_grad))
        return x + y

    layer = Free(forward)
    layer.register_full_backward_hook(lambda *a: None)
    layer(leaf(1.0), rustnn.ones(1))
    assert seen == [(True, False)]


def test_without_a_gradient_at_the_inputs_the_hook_fires_at_the_outputs_and_warns():
    seen = []
    layer = Times()
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].item())))
    with pytest.warns(UserWarning, match="Full backward hook is firing when gradients are computed with respect to"):
        layer(rustnn.ones(1), 5).sum().backward()
    assert seen == [((None, None), 1.0)]


def test_without_a_gradient_at_the_inputs_the_hook_must_return_none():
    layer = Times()
    layer.register_full_backward_hook(lambda m, gi, go: (rustnn.ones(1),))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(RuntimeError, match="where no input requires gradient should always return None or None"):
            layer(rustnn.ones(1)).sum().backward()


def test_a_hook_never_fires_if_no_output_requires_gradient():
    seen = []
    layer = Free(lambda x: x.detach())
    layer.register_full_backward_hook(lambda *a: seen.append(1))
    x = leaf(1.0)
    (layer(x) + x).sum().backward()
    assert seen == []


def test_hooks_do_not_build_nodes_under_no_grad():
    layer = Times()
    layer.register_full_backward_hook(lambda *a: None)
    with rustnn.no_grad():
        assert layer(leaf(1.0)).grad_fn is None


def test_what_a_hook_returns_replaces_the_input_gradient_only():
    layer = Times(3.0)
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 100,))
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0] + 1,))
    x = leaf(2.0)
    layer(x).sum().backward()
    assert x.grad.item() == 301.0 and layer.w.grad.item() == 2.0


def test_returning_none_for_an_input_drops_its_gradient():
    layer = Times(3.0)
    layer.register_full_backward_hook(lambda m, gi, go: (None,))
    x = leaf(2.0)
    layer(x).sum().backward()
    assert x.grad is None or x.grad.item() == 0.0


def test_a_hook_that_returns_another_number_of_gradients_is_refused():
    layer = Times()
    layer.register_full_backward_hook(lambda m, gi, go: ())
    with pytest.raises(RuntimeError, match="invalid number of grad_input, got 0, but expected 1"):
        layer(leaf(1.0)).sum().backward()


def test_pre_hooks_change_what_flows_into_the_module():
    seen = []
    layer = Times(3.0)
    layer.register_full_backward_pre_hook(lambda m, go: (go[0] * 10,))
    layer.register_full_backward_pre_hook(lambda m, go: (go[0] + 1,))
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi[0].item(), go[0].item())))
    x = leaf(2.0)
    layer(x).sum().backward()
    assert seen == [(33.0, 11.0)]
    assert x.grad.item() == 33.0 and layer.w.grad.item() == 22.0


def test_a_pre_hook_that_returns_another_number_of_gradients_is_refused():
    layer = Times()
    layer.register_full_backward_pre_hook(lambda m, go: (go[0], go[0]))
    with pytest.raises(RuntimeError, match="invalid number of grad_output, got 2, but expected 1"):
        layer(leaf(1.0)).sum().backward()


def test_a_bare_tensor_stands_for_a_tuple_of_one():
    layer = Times(3.0)
    layer.register_full_backward_pre_hook(lambda m, go: go[0] * 2)
    layer.register_full_backward_hook(lambda m, gi, go: gi[0] * 5)
    x = leaf(1.0, 1.0)
    layer(x).sum().backward()
    assert x.grad.tolist() == [30.0, 30.0]


def test_prepended_backward_hooks_run_first():
    order = []
    layer = Times()
    layer.register_full_backward_hook(lambda *a: order.append("a"))
    layer.register_full_backward_hook(lambda *a: order.append("b"), prepend=True)
    layer.register_full_backward_pre_hook(lambda *a: order.append("c"))
    layer.register_full_backward_pre_hook(lambda *a: order.append("d"), prepend=True)
    module_file.register_module_full_backward_hook(lambda *a: order.append("global"))
    module_file.register_module_full_backward_pre_hook(lambda *a: order.append("global pre"))
    layer(leaf(1.0)).sum().backward()
    assert order == ["global pre", "d", "c", "global", "b", "a"]


def test_the_list_of_hooks_is_fixed_at_forward():
    log = []
    layer = Times()
    handle = layer.register_full_backward_hook(lambda *a: log.append("removed after forward"))
    out = layer(leaf(1.0)).sum()
    handle.remove()
    layer.register_full_backward_hook(lambda *a: log.append("registered after forward"))
    out.backward()
    assert log == ["removed after forward"]


def test_hooks_fire_again_in_a_second_backward_of_a_kept_graph():
    seen = []
    layer = Times()
    layer.register_full_backward_hook(lambda m, gi, go: seen.append(1))
    out = layer(leaf(1.0)).sum()
    out.backward(retain_graph=True)
    out.backward()
    assert seen == [1, 1]


def test_gradients_in_hooks_can_be_differentiated_again():
    seen = []
    layer = Free(lambda x: x**3)
    layer.register_full_backward_hook(lambda m, gi, go: seen.append(gi[0].requires_grad))
    x = leaf(2.0)
    (grad,) = rustnn.autograd.grad(layer(x).sum(), x, create_graph=True)
    grad.sum().backward()
    assert seen[0] is True and x.grad.item() == 12.0


def test_in_place_operations_on_input_and_output_are_allowed_beside_hooks():
    layer = nn.ReLU(inplace=True)
    layer.register_full_backward_hook(lambda *a: None)
    x = leaf(-1.0, 2.0)
    layer(x * 1).sum().backward()
    assert x.grad.tolist() == [0.0, 1.0]
    layer = Times(3.0)
    layer.register_full_backward_hook(lambda *a: None)
    x = leaf(-1.0, 2.0)
    out = layer(x)
    out += 1
    out.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_named_tuple_output_stays_one():
    Pair = namedtuple("Pair", ["a", "b"])
    seen = []
    layer = Free(lambda x: Pair(x * 2, x * 3))
    layer.register_full_backward_hook(lambda m, gi, go: seen.append(len(go)))
    out = layer(leaf(1.0))
    assert type(out) is Pair
    (out.a + out.b).sum().backward()
    assert seen == [2]


@pytest.mark.parametrize("wrap", [lambda t: [t], lambda t: {"a": t}])
def test_other_outputs_warn_that_the_hook_will_not_fire(wrap):
    layer = Free(lambda x: wrap(x * 2))
    layer.register_full_backward_hook(lambda *a: None)
    with pytest.warns(UserWarning, match="module output should be a Tensor or a tuple of Tensors but received <class"):
        layer(leaf(1.0))


def test_tensors_among_keyword_arguments_are_not_counted():
    seen = []
    layer = Free(lambda x=None: x * 2)
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].item())))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer(x=leaf(1.0)).sum().backward()
    assert seen == [((), 1.0)]


def test_an_old_hook_sees_the_last_operation():
    seen = []
    layer = Free(lambda x: x * 2)
    layer.register_backward_hook(lambda m, gi, go: seen.append((m is layer, gi[0].item(), go[0].item())))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer(leaf(1.0)).sum().backward()
    assert seen == [(True, 2.0, 1.0)]


def test_an_old_hook_takes_the_first_tensor_of_a_dict():
    seen = []
    layer = Free(lambda x: {"name": 1, "value": x * 2})
    layer.register_backward_hook(lambda m, gi, go: seen.append(1))
    with pytest.warns(FutureWarning, match="does not return a single Tensor or a tuple of Tensors"):
        out = layer(leaf(1.0))
    out["value"].sum().backward()
    assert seen == [1]


@pytest.mark.parametrize(
    ("function", "argument", "text"),
    [
        (lambda x: [x * 2], lambda: leaf(1.0), "does not return a single Tensor or a tuple of Tensors"),
        (lambda x: x[0] * 2, lambda: [leaf(1.0)], "does not take as input a single Tensor or a tuple of Tensors"),
        (lambda x: (x * 2, x * 3), lambda: leaf(1.0), "outputs are generated by different autograd Nodes"),
        (lambda x: (x * 2).exp(), lambda: leaf(1.0), "the forward contains multiple autograd Nodes"),
    ],
)
def test_old_hooks_warn_about_what_they_miss(function, argument, text):
    layer = Free(function)
    layer.register_backward_hook(lambda *a: None)
    with pytest.warns(FutureWarning, match=text):
        layer(argument())


def test_old_and_full_hooks_do_not_mix_on_a_module():
    layer = Times()
    layer.register_full_backward_hook(lambda *a: None)
    with pytest.raises(RuntimeError) as error:
        layer.register_backward_hook(lambda *a: None)
    assert str(error.value) == (
        "Cannot use both regular backward hooks and full backward hooks on a single Module. Please use only one of "
        "them."
    )
    layer = Times()
    layer.register_backward_hook(lambda *a: None)
    with pytest.raises(RuntimeError):
        layer.register_full_backward_hook(lambda *a: None)


def test_old_and_full_global_hooks_do_not_mix():
    module_file.register_module_full_backward_hook(lambda *a: None)
    with pytest.raises(RuntimeError) as error:
        module_file.register_module_backward_hook(lambda *a: None)
    assert str(error.value) == (
        "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
        "Please use only one of them."
    )


def test_the_kind_is_forgotten_with_the_last_hook():
    layer = Times()
    layer.register_full_backward_hook(lambda *a: None).remove()
    layer.register_backward_hook(lambda *a: None)
    module_file.register_module_backward_hook(lambda *a: None).remove()
    module_file.register_module_full_backward_hook(lambda *a: None)


def test_global_full_hooks_fire_for_every_module_below_first():
    seen = []
    module_file.register_module_full_backward_hook(lambda m, gi, go: seen.append(type(m).__name__))
    nn.Sequential(Times(), Times())(leaf(1.0)).sum().backward()
    assert seen == ["Times", "Times", "Sequential"]
