"""Module: full backward hooks and pre-hooks, and the old-style ones (checklist section 6)."""

import gc
import warnings
import weakref
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
    # One needs no gradient, the other is not used by forward: both are tensors, so there are zeros.
    assert [grad.tolist() for grad in grads[2:]] == [[0.0], [0.0]]


def test_hooks_do_not_turn_missing_gradients_of_the_inputs_into_zeros():
    layer = Times()
    layer.register_full_backward_hook(lambda *a: None)
    x, unused = leaf(1.0), leaf(2.0)
    layer(x, unused).sum().backward()
    assert x.grad.item() == 2.0 and unused.grad is None


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


def hooked(function, seen=None):
    """A module with a full backward hook; ``seen`` gets the gradients of its inputs."""
    layer = Free(function)
    log = seen if seen is not None else []
    layer.register_full_backward_hook(lambda m, gi, go: log.append([g if g is None else g.tolist() for g in gi]))
    return layer


def test_an_in_place_relu_with_hooks_works_and_its_hook_sees_its_share():
    seen = []
    layer = nn.ReLU(inplace=True)
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi[0].tolist(), go[0].tolist())))
    x = leaf(-1.0, 2.0)
    (layer(x * 1) * 5).sum().backward()
    assert x.grad.tolist() == [0.0, 5.0]
    assert seen == [([0.0, 5.0], [5.0, 5.0])]


def test_an_in_place_relu_after_a_module_with_hooks_works():
    seen = []
    net = nn.Sequential(hooked(lambda x: x * 3, seen), nn.ReLU(inplace=True), hooked(lambda x: x * 2, seen))
    x = leaf(-1.0, 2.0)
    net(x).sum().backward()
    assert x.grad.tolist() == [0.0, 6.0]
    assert seen == [[[2.0, 2.0]], [[0.0, 6.0]]]


def changes_in_place(add_hooks):
    """Results and gradients of a network full of in-place operations on inputs, outputs and views, hooks or none."""
    calls = []

    def with_hook(function):
        layer = Free(function)
        if add_hooks:
            layer.register_full_backward_hook(lambda m, gi, go: calls.append(1))
            layer.register_full_backward_pre_hook(lambda m, go: None)
        return layer

    def on_a_view(x):
        x[0] = 7.0
        x.view(-1)[1:].mul_(3.0)
        return x

    def gives_its_input(x):
        return x

    steps = [
        with_hook(lambda x: x.mul_(2.0)),
        with_hook(on_a_view),
        with_hook(gives_its_input),
        with_hook(lambda x: x.neg_().view(2, 2)),
        with_hook(lambda x: x[0].add_(1.0)),
    ]
    w = rustnn.tensor([0.1, 0.2, 0.3, 0.4], requires_grad=True)
    first = w * 1
    kept = first
    x = steps[0](first)
    kept_alias = x
    x = steps[1](x)
    x = steps[2](x)
    x += 1.0
    x = steps[3](x)
    x = nn.Sequential(with_hook(lambda y: y), with_hook(lambda y: y.div_(3.0)))(x)
    part = steps[4](x)
    # Everything that was kept shows the writes, and has them in its history.
    total = (part * 2).sum() + (kept * 3).sum() + (kept_alias * 5).sum() + x.sum()
    total.backward()
    return total.item(), w.grad.tolist(), kept.tolist(), len(calls)


def test_a_network_of_in_place_operations_is_the_same_with_hooks_as_without():
    bare, with_hooks = changes_in_place(False), changes_in_place(True)
    assert bare[:3] == with_hooks[:3]
    assert bare[3] == 0 and with_hooks[3] == 7


def test_a_write_to_the_argument_after_the_call_is_seen_by_what_the_module_kept():
    kept = []
    layer = hooked(lambda x: kept.append(x) or x * 1)
    x = leaf(1.0)
    y = x * 2
    layer(y)
    y.mul_(10.0)
    assert kept[0].tolist() == [20.0] and kept[0].data_ptr() == y.data_ptr() and kept[0]._version == y._version
    kept[0].sum().backward()
    assert x.grad.item() == 20.0


def test_an_alias_is_no_view_and_shares_storage_and_version():
    kept = []
    layer = hooked(lambda x: kept.append(x) or x * 1)
    x = leaf(1.0) * 1
    layer(x)
    (alias,) = kept
    assert alias is not x and not alias._is_view() and alias.data_ptr() == x.data_ptr()
    version = x._version
    with rustnn.no_grad():
        alias.add_(1.0)
    assert x._version == version + 1 and x.tolist() == [2.0]


def test_a_view_that_passes_a_module_with_hooks_may_be_written_there_and_the_hook_fires():
    seen = []
    x = leaf(1.0, 2.0, 3.0)
    base = x * 1
    out = hooked(lambda v: v.mul_(10.0), seen)(base[1:])
    (base.sum() + (out * rustnn.tensor([2.0, 3.0])).sum()).backward()
    assert x.grad.tolist() == [1.0, 30.0, 40.0]
    # What flows through the base passes the written part too.
    assert seen == [[[30.0, 40.0]]]


def test_leaves_are_protected_inside_a_module_with_hooks():
    for write in (lambda x: x.add_(1), lambda x: x[0].add_(1), lambda x: x.view(-1).mul_(2)):
        with pytest.raises(
            RuntimeError, match="leaf Variable that requires grad is being used in an in-place operation"
        ):
            hooked(write)(leaf(1.0, 2.0))
    x = leaf(1.0, 2.0)
    with rustnn.no_grad():
        hooked(lambda x: x.add_(1))(x)
    assert x.tolist() == [2.0, 3.0]


def test_a_saved_tensor_that_is_written_through_an_alias_is_noticed():
    x = leaf(1.0)
    y = x.exp()
    z = y * y
    hooked(lambda v: v.add_(1.0))(y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_detaching_in_place_inside_a_module_with_hooks_detaches_the_argument():
    x = leaf(1.0)
    y = x * 2
    hooked(lambda v: v.detach_())(y)
    assert not y.requires_grad


def test_second_derivatives_go_through_in_place_operations_beside_hooks():
    found = []
    for make in (hooked, Free):
        x = leaf(3.0)
        whole = x * x
        make(lambda v: v[:1].mul_(2.0))(whole.view(1, 1))
        (grad,) = rustnn.autograd.grad((make(lambda v: v.add_(1.0))(whole) ** 2).sum(), x, create_graph=True)
        (second,) = rustnn.autograd.grad(grad.sum(), x)
        found.append((grad.item(), second.item()))
    # (2x² + 1)²
    assert found == [(8 * 3.0 * (2 * 9 + 1), 8 * (6 * 9 + 1))] * 2


def test_strict_hooks_brings_pytorchs_refusal_back():
    def refused():
        with pytest.raises(RuntimeError) as error:
            hooked(lambda x: x.mul_(2))(leaf(1.0) * 1)
        text = (
            "Output 0 of BackwardHookFunction is a view and is being modified inplace. This view was created inside a"
        )
        assert str(error.value).startswith(text)

    with rustnn.utils.hooks.strict_hooks():
        refused()
        out = hooked(lambda x: x * 2)(leaf(1.0))
        with pytest.raises(RuntimeError, match="is a view and is being modified inplace"):
            out += 1
        with rustnn.utils.hooks.strict_hooks(False):
            hooked(lambda x: x.mul_(2))(leaf(1.0) * 1)
        refused()
    hooked(lambda x: x.mul_(2))(leaf(1.0) * 1)


def test_a_function_that_returns_its_input_gives_a_view_that_may_not_be_written():
    class Same(rustnn.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x

        @staticmethod
        def backward(ctx, grad):
            return grad

    for x in (leaf(1.0), leaf(1.0) * 1):
        y = Same.apply(x)
        assert y._is_view()
        with pytest.raises(RuntimeError, match="Output 0 of Same is a view and is being modified inplace"):
            y.mul_(2)


# ---- outputs of any structure ----------------------------------------------------------------------------------------


def test_nested_hooks_see_the_gradients_in_the_structure_of_the_output():
    seen = []
    layer = Free(lambda x: {"a": x * 2, "rest": [x * 3, (x * 4, "text")]})
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi[0].item(), go)), nested=True)
    x = leaf(1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = layer(x)
    (out["a"] + 10 * out["rest"][1][0]).sum().backward()
    ((grad_input, grad_output),) = seen
    assert grad_input == 42.0 and x.grad.item() == 42.0
    assert list(grad_output) == ["a", "rest"] and grad_output["a"].item() == 1.0
    assert (
        grad_output["rest"][0] is None
        and grad_output["rest"][1][0].item() == 10.0
        and grad_output["rest"][1][1] is None
    )
    assert type(grad_output["rest"]) is list and type(grad_output["rest"][1]) is tuple


@pytest.mark.parametrize("wrap", [lambda t: t, lambda t: (t, 5)])
def test_nested_hooks_see_tensors_and_tuples_as_others_do(wrap):
    plain, nested = [], []
    for log, options in ((plain, {}), (nested, {"nested": True})):
        layer = Free(lambda x: wrap(x * 2))
        layer.register_full_backward_hook(lambda m, gi, go, log=log: log.append([str(gi), str(go)]), **options)
        out = layer(leaf(1.0))
        (out[0] if isinstance(out, tuple) else out).sum().backward()
    assert plain == nested and len(plain) == 1


def test_nested_pre_hooks_replace_the_gradients_of_a_structure():
    layer = Free(lambda x: [x * 2, x * 3])
    layer.register_full_backward_pre_hook(lambda m, go: [go[0] * 10, go[1] * 100], nested=True)
    x = leaf(1.0)
    first, second = layer(x)
    (first + second).sum().backward()
    assert x.grad.item() == 320.0
    layer.register_full_backward_pre_hook(lambda m, go: [go[0]], nested=True)
    with pytest.raises(RuntimeError, match="invalid number of grad_output, got 1, but expected 2"):
        sum(layer(leaf(1.0))).sum().backward()


def test_plain_hooks_beside_nested_ones_keep_their_rules():
    log = []
    layer = Free(lambda x: {"a": x * 2})
    layer.register_full_backward_hook(lambda *a: log.append("plain"))
    layer.register_full_backward_hook(lambda *a: log.append("nested"), nested=True)
    with pytest.warns(UserWarning, match="module output should be a Tensor or a tuple of Tensors"):
        out = layer(leaf(1.0))
    out["a"].sum().backward()
    assert log == ["nested"]


# ---- who lives how long, who fires when ------------------------------------------------------------------------------


def test_gradients_of_parameters_alone_do_not_fire_the_hook():
    seen = []
    layer = Times()
    layer.register_full_backward_hook(lambda *a: seen.append(1))
    rustnn.autograd.grad(layer(leaf(1.0)).sum(), [layer.w])
    assert seen == []


def test_a_graph_keeps_the_module_of_its_hooks_and_frees_it_with_itself():
    layer = Times()
    layer.register_full_backward_hook(lambda *a: None)
    reference = weakref.ref(layer)
    out = layer(leaf(1.0)).sum()
    del layer
    gc.collect()
    assert reference() is not None
    del out
    gc.collect()
    assert reference() is None


def test_an_old_hook_may_write_into_the_gradients():
    layer = Free(lambda x: x.sigmoid())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layer.register_backward_hook(lambda m, gi, go: [g.mul_(0) for g in gi] and None)
        x = leaf(1.0, 2.0)
        layer(x).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(("reentrant", "expected"), [(True, ["f", "f again", "b"]), (False, ["f", "b"])])
def test_hooks_can_tell_that_a_checkpoint_computes_again(reentrant, expected):
    from rustnn.utils.checkpoint import checkpoint, is_recompute

    log = []
    layer = nn.Linear(1, 1)
    layer.register_forward_hook(lambda *a: log.append("f again" if is_recompute() else "f"))
    layer.register_full_backward_hook(lambda *a: log.append("b"))
    checkpoint(layer, rustnn.ones(1, 1, requires_grad=True), use_reentrant=reentrant).sum().backward()
    assert log == expected and not is_recompute()


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


def test_a_cycle_through_an_alias_is_collected():
    kept = []
    x = leaf(1.0) * 1
    hooked(lambda v: kept.append(v) or v * 2)(x)
    # The alias knows what it stands for, and that one now knows the alias.
    x.alias = kept.pop()
    reference = weakref.ref(x)
    del x
    gc.collect()
    assert reference() is None
