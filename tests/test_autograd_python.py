"""The Python side of autograd: modes, backward and grad, custom functions, graph tools, checks, checkpointing."""

import gc
import math
import warnings
from functools import partial

import pytest

import rustnn
from rustnn import autograd, nn
from rustnn.autograd import Function, gradcheck, gradgradcheck, graph
from rustnn.autograd.function import once_differentiable
from rustnn.autograd.gradcheck import GradcheckError
from rustnn.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential, set_checkpoint_early_stop


def leaf(*values, dtype=rustnn.float64):
    return rustnn.tensor(values if len(values) != 1 else values[0], dtype=dtype, requires_grad=True)


# Modes


@pytest.mark.parametrize(
    "decorator", [lambda: rustnn.no_grad(), lambda: rustnn.no_grad, lambda: rustnn.set_grad_enabled(False)]
)
def test_modes_decorate_functions(decorator):
    @decorator()
    def mode(value, *, other):
        """Say which."""
        return rustnn.is_grad_enabled(), value, other

    assert rustnn.is_grad_enabled()
    assert mode(1, other=2) == (False, 1, 2)
    assert rustnn.is_grad_enabled()
    assert (mode.__name__, mode.__doc__) == ("mode", "Say which.")


def test_modes_nest_and_are_restored_after_errors():
    with rustnn.no_grad():
        with rustnn.enable_grad():
            assert rustnn.is_grad_enabled()
            with pytest.raises(KeyError), rustnn.set_grad_enabled(False):
                raise KeyError
            assert rustnn.is_grad_enabled()
        assert not rustnn.is_grad_enabled()
    assert rustnn.is_grad_enabled()


def test_set_grad_enabled_acts_as_a_plain_call():
    rustnn.set_grad_enabled(False)
    assert not rustnn.is_grad_enabled()
    rustnn.set_grad_enabled(True)
    assert rustnn.is_grad_enabled()


def test_a_decorated_generator_has_the_mode_only_while_it_runs():
    log = []

    @rustnn.no_grad()
    def values():
        log.append((yield rustnn.is_grad_enabled()))
        try:
            yield rustnn.is_grad_enabled()
        except ValueError:
            log.append(rustnn.is_grad_enabled())
        yield "last"
        return "end"

    generator = values()
    assert next(generator) is False
    assert rustnn.is_grad_enabled()
    assert generator.send("sent") is False
    assert generator.throw(ValueError) == "last"
    assert rustnn.is_grad_enabled()
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == "end"
    assert log == ["sent", False]
    generator = values()
    next(generator)
    generator.close()
    assert rustnn.is_grad_enabled()


def test_inference_mode_records_nothing_and_nests():
    x = leaf(1.0)
    with rustnn.inference_mode():
        assert rustnn.is_inference_mode_enabled() and not rustnn.is_grad_enabled()
        assert (x * 2).is_inference()
        with rustnn.inference_mode(False):
            assert not rustnn.is_inference_mode_enabled() and rustnn.is_grad_enabled()
        assert rustnn.is_inference_mode_enabled()
    assert not rustnn.is_inference_mode_enabled() and rustnn.is_grad_enabled()

    @rustnn.inference_mode
    def mode():
        return rustnn.is_inference_mode_enabled()

    assert mode()


def test_decorating_a_class_warns_and_decorates_its_construction():
    with pytest.warns(FutureWarning, match="Decorating classes is deprecated"):

        @rustnn.no_grad()
        class Made:
            def __init__(self):
                self.mode = rustnn.is_grad_enabled()

    assert Made().mode is False


# backward and grad


def test_grad_gives_tuples_or_dicts_and_leaves_grad_alone():
    x, y = leaf(3.0), leaf(4.0)
    assert [g.item() for g in autograd.grad(x * x * y, (x, y))] == [24.0, 9.0]
    assert {name: g.item() for name, g in autograd.grad(x * y, {"x": x, "y": y}).items()} == {"x": 4.0, "y": 3.0}
    assert x.grad is None


def test_grad_of_several_outputs_adds_them_weighted():
    x = leaf(1.0, 2.0)
    (gradient,) = autograd.grad([x * x, x.sum()], x, [rustnn.tensor([1.0, 10.0], dtype=rustnn.float64), None])
    assert gradient.tolist() == [3.0, 41.0]


def test_unused_inputs_raise_or_give_none_or_zeros():
    x, y = leaf(1.0), leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="appears to not have been used in the graph"):
        autograd.grad(x * x, y)
    assert autograd.grad(x * x, y, allow_unused=True) == (None,)
    assert autograd.grad(x * x, y, materialize_grads=True)[0].tolist() == [0.0, 0.0]


def test_batched_gradients_are_the_rows_of_the_jacobian():
    x = leaf(1.0, 2.0)
    rows = rustnn.eye(2, dtype=rustnn.float64)
    (jacobian,) = autograd.grad(x * x, x, rows, is_grads_batched=True)
    assert jacobian.tolist() == [[2.0, 0.0], [0.0, 4.0]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: autograd.grad(x * x, x), RuntimeError, "grad can be implicitly created only for scalar outputs"),
        (lambda x: autograd.grad(x * x, []), RuntimeError, r"`inputs` argument to `grad\(\)` cannot be empty"),
        (lambda x: autograd.grad(x * x, x, [1.0]), TypeError, "gradients can be either Tensors or None, but got float"),
        (lambda x: autograd.grad(x * x, x, rustnn.ones(3)), RuntimeError, r"Mismatch in shape: grad_output\[0\] has"),
        (
            lambda x: autograd.grad(x * x, x, rustnn.ones(2, 3), is_grads_batched=True),
            RuntimeError,
            "If `is_grads_batched=True`, we interpret the first dimension",
        ),
        (
            lambda x: autograd.grad(x.sum(), x, materialize_grads=True, allow_unused=False),
            ValueError,
            "Expected allow_unused to be True or not passed",
        ),
        (lambda x: autograd.backward(x.sum(), inputs=[]), RuntimeError, r"to `backward\(\)` cannot be empty"),
        (
            lambda x: autograd.backward(x.detach().sum()),
            RuntimeError,
            "does not require grad and does not have a grad_fn",
        ),
        (
            lambda x: autograd.backward(x.sum(), rustnn.ones(()), grad_variables=rustnn.ones(())),
            RuntimeError,
            r"\(deprecated\) arguments both passed",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_wrong_calls_are_refused_in_pytorchs_words(call, error, message):
    with pytest.raises(error, match=message):
        call(leaf(1.0, 2.0))


def test_backward_adds_to_grad_of_all_leaves_or_of_the_inputs_given():
    x, y = leaf(2.0), leaf(3.0)
    autograd.backward(x * y)
    autograd.backward(x * y, inputs=x)
    assert (x.grad.item(), y.grad.item()) == (6.0, 2.0)


def test_a_variable_of_old_programs_is_a_leaf_on_the_same_memory():
    x = rustnn.ones(2)
    variable = autograd.Variable(x, requires_grad=True)
    assert variable.requires_grad and not x.requires_grad
    assert variable.data_ptr() == x.data_ptr()
    assert isinstance(x, autograd.Variable)
    with pytest.raises(TypeError, match="Variable data has to be a tensor, but got int"):
        autograd.Variable(3)


# Functions


class Cube(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grad


def test_a_function_has_its_own_gradient_and_that_can_be_differentiated():
    x = leaf(0.5, -1.5)
    y = Cube.apply(x)
    assert y.requires_grad and not y.is_leaf
    assert y.grad_fn.name() == "CubeBackward"
    assert gradcheck(Cube.apply, x)
    assert gradgradcheck(Cube.apply, x)


def test_a_function_records_nothing_where_nothing_is_recorded():
    with rustnn.no_grad():
        assert not Cube.apply(leaf(2.0)).requires_grad
    assert Cube.apply(rustnn.tensor(2.0)).item() == 8.0


def test_saved_tensors_are_the_very_inputs():
    seen = []

    class Same(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x, None)
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            seen.extend(ctx.saved_tensors)
            return grad

    x = leaf(1.0)
    Same.apply(x).backward()
    assert seen[0] is x and seen[1] is None


def test_setup_context_gets_inputs_with_defaults_and_the_output():
    class Scale(Function):
        @staticmethod
        def forward(x, factor=2.0):
            return x * factor

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.factor = inputs[1]
            ctx.shape = output.shape

        @staticmethod
        def backward(ctx, grad):
            assert ctx.needs_input_grad == (True, False)
            return grad * ctx.factor, None

    x = leaf(1.0)
    assert autograd.grad(Scale.apply(x), x)[0].item() == 2.0
    assert autograd.grad(Scale.apply(x, factor=3.0), x)[0].item() == 3.0


def test_several_outputs_of_which_some_have_no_gradient():
    seen = []

    class Parts(Function):
        @staticmethod
        def forward(ctx, x, materialize):
            ctx.set_materialize_grads(materialize)
            index = x.argmax()
            ctx.mark_non_differentiable(index)
            return x * 2, x * 3, index

        @staticmethod
        def backward(ctx, a, b, index):
            seen.append((a is None, b is None))
            return a, None

    x = leaf(1.0, 2.0)
    for materialize in (False, True):
        twice, thrice, index = Parts.apply(x, materialize)
        assert (twice.requires_grad, thrice.requires_grad, index.requires_grad) == (True, True, False)
        autograd.grad(twice.sum(), x)
    assert seen == [(False, True), (False, False)]


def test_marking_a_result_as_written_warns_and_changes_nothing():
    class Triple(Function):
        @staticmethod
        def forward(ctx, x):
            tripled = 3 * x
            ctx.mark_dirty(tripled)
            return tripled

        @staticmethod
        def backward(ctx, grad):
            return grad * 3

    x = leaf(2.0)
    with pytest.warns(UserWarning, match="mark_dirty\\(\\) received a tensor that was not an input"):
        y = Triple.apply(x)
    y.backward()
    assert y.item() == 6 and x.grad.item() == 3


def test_an_input_returned_as_it_came_keeps_its_class():
    class Named(rustnn.Tensor):
        pass

    class Same(Function):
        @staticmethod
        def forward(ctx, x):
            return x

    x = rustnn.ones(2).as_subclass(Named)
    y = Same.apply(x)
    assert type(y) is Named and y is not x and y.data_ptr() == x.data_ptr()


def test_a_function_may_change_its_input_in_place_if_it_says_so():
    class Double(Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            return x

        @staticmethod
        def backward(ctx, grad):
            return grad * 2

    x = leaf(3.0)
    y = x * 1
    assert Double.apply(y) is y
    assert y.grad_fn.name() == "DoubleBackward"
    assert autograd.grad(y, x)[0].item() == 2.0
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        Double.apply(x)


def test_an_output_may_be_an_input_and_a_tuple_may_hold_anything():
    class Through(Function):
        @staticmethod
        def forward(ctx, x):
            return x, "text"

        @staticmethod
        def backward(ctx, grad, nothing):
            return grad * 5

    x = leaf(1.0)
    y, text = Through.apply(x)
    assert y is not x and text == "text"
    assert autograd.grad(y, x)[0].item() == 5.0


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda grad: (grad, grad), "returned an incorrect number of gradients"),
        (lambda grad: rustnn.ones(3), "returned an invalid gradient at index 0"),
    ],
)
def test_gradients_that_do_not_fit_are_refused(result, message):
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            return result(grad)

    with pytest.raises(RuntimeError, match=message):
        Wrong.apply(leaf(1.0, 2.0)).sum().backward()


def test_an_exception_in_backward_arrives_as_it_is():
    class Fails(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        Fails.apply(leaf(1.0)).backward()


def test_saved_tensors_are_gone_after_backward_and_noticed_when_changed():
    x = leaf(1.0)
    y = Cube.apply(x)
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    z = x * 1
    y = Cube.apply(z)
    z.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()


def test_once_differentiable_refuses_the_second_time():
    class Once(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, grad):
            assert not rustnn.is_grad_enabled()
            return 2 * ctx.saved_tensors[0] * grad

    x = leaf(3.0)
    assert autograd.grad(Once.apply(x), x)[0].item() == 6.0
    (gradient,) = autograd.grad(Once.apply(x) ** 2, x, create_graph=True)
    assert gradient.item() == 108.0
    with pytest.raises(RuntimeError, match="trying to differentiate twice a function"):
        gradient.backward()


def test_a_function_is_neither_made_nor_called():
    with pytest.warns(DeprecationWarning, match="should not be instantiated"):
        instance = Cube()
    with pytest.raises(RuntimeError, match="Legacy autograd function"):
        instance(1)
    with pytest.raises(NotImplementedError, match="You must implement the forward function"):
        Function.apply(leaf(1.0))
    with pytest.raises(NotImplementedError, match="generate_vmap_rule"):
        Cube.vmap(None, None)


def test_a_backward_may_be_called_vjp_but_not_both():
    class Vjp(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def vjp(ctx, grad):
            return grad * 7

    class Both(Vjp):
        @staticmethod
        def backward(ctx, grad):
            return grad

    x = leaf(1.0)
    assert autograd.grad(Vjp.apply(x), x)[0].item() == 7.0
    with pytest.raises(RuntimeError, match="Implementing both 'backward' and 'vjp'"):
        Both.apply(x).backward()


# The graph


def test_hooks_see_every_saved_tensor():
    x = leaf(3.0)
    with graph.saved_tensors_hooks(lambda t: t.item(), lambda v: rustnn.tensor(v, dtype=rustnn.float64)):
        y = x * x
    y.backward()
    assert x.grad.item() == 6.0
    with graph.save_on_cpu():
        y = Cube.apply(x)
    assert autograd.grad(y, x)[0].item() == 27.0


@pytest.mark.parametrize("function", [rustnn.exp, rustnn.sin, lambda x: x * x, lambda x: (x * 2).sin()])
def test_a_tensor_that_went_through_hooks_can_be_differentiated_twice(function):
    def hooked(x):
        with graph.saved_tensors_hooks(lambda t: t.detach().clone(), lambda t: t):
            return function(x)

    assert gradgradcheck(hooked, leaf(0.5, 1.0))


def test_a_saved_tensor_hook_meets_only_tensors_that_are_all_there():
    shapes = []

    def look(t):
        shapes.extend(found.shape for found in gc.get_objects() if type(found) is rustnn.Tensor)
        return t

    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    with graph.saved_tensors_hooks(look, lambda t: t):
        product = x * y
        root = (x + y).exp()
    assert len(shapes) > 6
    (product + root).sum().backward()
    assert x.grad.tolist() == (y + (x + y).exp()).tolist()


def test_saved_tensor_hooks_can_be_forbidden():
    with graph.disable_saved_tensors_hooks("not here"):
        with pytest.raises(RuntimeError, match="not here"), graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            pass
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        pass


def test_a_hook_over_several_tensors_runs_once_when_all_gradients_are_there():
    calls = []
    x, y = leaf(2.0), leaf(3.0)
    product = x * y
    handle = graph.register_multi_grad_hook((x, y), lambda grads: calls.append([g and g.item() for g in grads]))
    product.backward(retain_graph=True)
    (x * 4).backward()
    handle.remove()
    product.backward(retain_graph=True)
    assert calls == [[3.0, 2.0], [4.0, None]]
    calls.clear()
    graph.register_multi_grad_hook((x, y), lambda grad: calls.append(grad.item()), mode="any")
    product.backward(retain_graph=True)
    product.backward()
    assert len(calls) == 2
    with pytest.raises(ValueError, match="Expects mode to be one of"):
        graph.register_multi_grad_hook((x, y), print, mode="some")


def test_an_edge_leads_to_the_node_of_a_tensor():
    x = leaf(2.0)
    y = x * 3
    assert graph.get_gradient_edge(y).node is y.grad_fn
    assert "AccumulateGrad" in graph.get_gradient_edge(x).node.name()
    with pytest.raises(RuntimeError, match="does not require gradients"):
        graph.get_gradient_edge(rustnn.ones(1))


def test_a_counted_change_is_noticed_by_backward():
    x = leaf(2.0)
    y = x * 1
    z = y * y
    graph.increment_version(y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.backward()


def test_anomaly_mode_names_the_operation_that_made_nan():
    x = leaf(0.0)
    with pytest.warns(UserWarning, match="Anomaly Detection has been enabled"):
        mode = autograd.detect_anomaly()
    with warnings.catch_warnings(), mode:
        warnings.simplefilter("ignore")
        y = (x.sqrt() * 0).sum()
        with pytest.raises(RuntimeError, match="returned nan values in its 0th output"):
            y.backward()
    assert not rustnn.is_anomaly_enabled()
    with autograd.set_detect_anomaly(True, check_nan=False):
        assert rustnn.is_anomaly_enabled() and not rustnn.is_anomaly_check_nan_enabled()


# gradcheck


def wrong(factor):
    class Wrong(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx, grad):
            return factor(ctx.saved_tensors[0], grad)

    return Wrong.apply


@pytest.mark.parametrize("fast_mode", [False, True])
def test_gradcheck_accepts_right_and_refuses_wrong_gradients(fast_mode):
    x = leaf(1.0, 2.0)
    check = partial(gradcheck, fast_mode=fast_mode)
    assert check(lambda a, b: (a @ b, (a * 2).sum()), (x, rustnn.eye(2, dtype=rustnn.float64, requires_grad=True)))
    assert check(rustnn.exp, leaf(1.0))
    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0 with respect to input 0"):
        check(wrong(lambda x, grad: 3 * x * grad), x)
    assert not check(wrong(lambda x, grad: 3 * x * grad), x, raise_exception=False)
    with pytest.raises(GradcheckError, match="Numerical gradient for function expected to be zero"):
        check(lambda x: x.detach() * 2, x)


def test_gradcheck_refuses_gradients_that_do_not_depend_on_what_comes_in():
    with pytest.raises(GradcheckError, match="backward not multiplied by grad_output"):
        gradcheck(wrong(lambda x, grad: 2 * x * (grad + (grad == 0))), leaf(1.0))


def test_gradcheck_notices_a_backward_that_does_not_repeat():
    count = iter(range(1000))
    with pytest.raises(GradcheckError, match="Backward is not reentrant"):
        gradcheck(wrong(lambda x, grad: 2 * x * grad + 1e-9 * next(count) * grad), leaf(1.0))


def test_gradcheck_wants_double_precision_inputs_that_require_gradients():
    with pytest.raises(ValueError, match="expects at least one input tensor to require gradient"):
        gradcheck(rustnn.exp, rustnn.ones(1))
    with (
        pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double precision"),
        pytest.raises(GradcheckError),
    ):
        gradcheck(rustnn.exp, leaf(0.1, dtype=rustnn.float32))
    with pytest.raises(RuntimeError, match="The 0th input has a dimension with stride 0"):
        gradcheck(rustnn.exp, leaf(1.0).expand(3))


def test_gradgradcheck_checks_second_derivatives():
    x, y = leaf(0.3, -0.4), rustnn.eye(2, dtype=rustnn.float64, requires_grad=True)
    assert gradgradcheck(lambda a, b: rustnn.tanh(a @ b), (x, y), gen_non_contig_grad_outputs=True)
    # Right to first order, while the derivative of its gradient is not: 2x written as |2x|.
    bad = wrong(lambda x, grad: 2 * x.detach() * grad + 0 * x)
    assert gradcheck(bad, x)
    with pytest.raises(GradcheckError):
        gradgradcheck(bad, x)


# functional


def test_jacobians_and_hessians_have_the_shapes_of_their_parts():
    functional = autograd.functional
    x = rustnn.tensor([1.0, 2.0])
    assert functional.jacobian(lambda a: a**2, x).tolist() == [[2.0, 0.0], [0.0, 4.0]]
    rows = functional.jacobian(lambda a, b: (a @ b, a.sum()), (x, rustnn.eye(2)))
    assert [[tuple(part.shape) for part in row] for row in rows] == [[(2, 2), (2, 2, 2)], [(2,), (2, 2)]]
    assert functional.hessian(lambda a: (a**3).sum(), x).tolist() == [[6.0, 0.0], [0.0, 12.0]]


def test_products_with_vectors_agree_with_the_matrices():
    functional = autograd.functional
    x, v = rustnn.tensor([0.5, 1.5], dtype=rustnn.float64), rustnn.tensor([2.0, -1.0], dtype=rustnn.float64)

    def curve(a):
        return a.sin() * a.sum()

    def height(a):
        return (a.exp() * a.flip(0)).sum()

    jacobian, hessian = functional.jacobian(curve, x), functional.hessian(height, x)
    assert functional.vjp(curve, x, v)[1].tolist() == pytest.approx((v @ jacobian).tolist())
    assert functional.jvp(curve, x, v)[1].tolist() == pytest.approx((jacobian @ v).tolist())
    assert functional.vhp(height, x, v)[1].tolist() == pytest.approx((v @ hessian).tolist())
    assert functional.hvp(height, x, v)[1].tolist() == pytest.approx((hessian @ v).tolist())


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f, x: f.jacobian(abs, 3), TypeError, "The inputs given to jacobian must be either a Tensor or a tuple"),
        (
            lambda f, x: f.vjp(lambda a: a, x),
            RuntimeError,
            "The vector v can only be None if the user-provided function",
        ),
        (lambda f, x: f.vjp(lambda a: a, x, rustnn.ones(3)), RuntimeError, "v has invalid size: should be"),
        (lambda f, x: f.hessian(lambda a: a, x), RuntimeError, "should contain a single element"),
        (lambda f, x: f.jacobian(lambda a: rustnn.ones(1), x, strict=True), RuntimeError, "does not require gradients"),
        (lambda f, x: f.hessian(lambda a: a.sum(), x, strict=True), RuntimeError, "found that the jacobian of the"),
    ],
)
def test_functions_that_do_not_fit_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call(autograd.functional, rustnn.ones(2))


# Checkpointing


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_checkpoint_gives_the_same_gradients_by_computing_twice(use_reentrant):
    calls = []
    layer = nn.Linear(2, 3, dtype=rustnn.float64)

    def part(x):
        calls.append(1)
        return nn.functional.dropout(layer(x).tanh(), 0.5)

    x = leaf([[0.5, -1.0], [2.0, 0.25]])
    rustnn.manual_seed(1)
    part(x).sum().backward()
    expected = x.grad.tolist(), layer.weight.grad.tolist()
    x.grad = layer.weight.grad = layer.bias.grad = None
    calls.clear()
    rustnn.manual_seed(1)
    checkpoint(part, x, use_reentrant=use_reentrant).sum().backward()
    assert (x.grad.tolist(), layer.weight.grad.tolist()) == expected
    assert len(calls) == 2


def test_a_checkpoint_restores_the_random_numbers_after_it():
    x = leaf(1.0, 2.0)
    rustnn.manual_seed(1)
    y = checkpoint(lambda x: nn.functional.dropout(x.exp(), 0.5), x, use_reentrant=False)
    state = rustnn.get_rng_state()
    y.sum().backward()
    assert rustnn.get_rng_state().tolist() == state.tolist()


def test_checkpoints_nest_and_work_with_grad_twice_and_keywords():
    x = leaf(0.5, 0.25)

    def inner(u, *, power):
        return (u.sin() * checkpoint(rustnn.exp, u, use_reentrant=False)) ** power

    def outer(v):
        return checkpoint(inner, v * 2, power=2, use_reentrant=False)

    plain = (x * 2).sin() * (x * 2).exp()
    (expected,) = autograd.grad((plain**2).sum(), x)
    y = checkpoint(outer, x, use_reentrant=False).sum()
    for retain in (True, False):
        (gradient,) = autograd.grad(y, x, retain_graph=retain)
        assert gradient.tolist() == pytest.approx(expected.tolist())
    assert gradgradcheck(lambda v: checkpoint(lambda u: u.exp().sin(), v, use_reentrant=False), x)


def test_a_saved_tensor_looked_at_twice_is_computed_again():
    class Twice(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * 3

        @staticmethod
        def backward(ctx, grad):
            assert ctx.saved_tensors[0].tolist() == ctx.saved_tensors[0].tolist() == [2.0, 4.0]
            return grad * 3

    x = leaf(1.0, 2.0)
    checkpoint(lambda x: Twice.apply(x * 2), x, use_reentrant=False).sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]


def test_a_recomputation_stops_when_it_has_what_is_needed():
    log = []

    def part(x):
        y = x.exp()
        log.append("done")
        return y * 2

    x = leaf(1.0)
    checkpoint(part, x, use_reentrant=False).backward()
    assert log == ["done"]
    with set_checkpoint_early_stop(False):
        y = checkpoint(part, x, use_reentrant=False)
    y.backward()
    assert log == ["done"] * 3


def test_a_second_computation_that_differs_is_refused():
    calls = []

    def part(x):
        calls.append(1)
        return (x if len(calls) % 2 else x[:1]).exp()

    x = leaf(1.0, 2.0)
    with pytest.raises(CheckpointError, match="have different metadata than during the forward pass"):
        checkpoint(part, x, use_reentrant=False).sum().backward()

    def shorter(x):
        calls.append(1)
        return x.exp().exp() if len(calls) % 2 else x * 1

    calls.clear()
    with pytest.raises(CheckpointError, match="A different number of tensors was saved"):
        checkpoint(shorter, x, use_reentrant=False).sum().backward()


def test_the_reentrant_form_says_what_it_cannot_do():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match=r"incompatible with \.grad\(\)"):
        autograd.grad(checkpoint(rustnn.exp, x, use_reentrant=True), x)
    with pytest.raises(ValueError, match="Unexpected keyword arguments: k"):
        checkpoint(rustnn.exp, x, use_reentrant=True, k=1)
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        checkpoint(rustnn.exp, x.detach(), use_reentrant=True)
    with pytest.warns(UserWarning, match="the use_reentrant parameter should be passed explicitly"):
        checkpoint(rustnn.exp, x)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_sequence_is_checkpointed_in_segments(use_reentrant):
    layers = nn.Sequential(*(nn.Linear(2, 2, dtype=rustnn.float64) for _ in range(5)))
    x = leaf([[0.5, -1.0]])
    y = checkpoint_sequential(layers, 2, x, use_reentrant=use_reentrant)
    assert y.tolist() == layers(x).tolist()
    y.sum().backward()
    assert math.isfinite(x.grad.sum().item())


# In-place writes by custom functions, kept gradients, hooks of nodes


class AddInPlace(Function):
    """Writes its first or its second argument."""

    @staticmethod
    def forward(ctx, x, y, second=False):
        written, other = (y, x) if second else (x, y)
        ctx.mark_dirty(written)
        return written.add_(other)

    @staticmethod
    def backward(ctx, grad):
        return grad * 2, grad * 3, None


@pytest.mark.parametrize("second", [False, True])
def test_a_function_that_writes_a_view_has_its_gradients_go_through_the_base(second):
    root, other = leaf(*([1.0] * 4)), leaf(5.0, 6.0)
    base = root.clone()
    view = base[1:3]
    written = AddInPlace.apply(*((other, view, True) if second else (view, other)))
    assert written is view
    assert base.tolist() == [1, 6, 7, 1]
    weight = rustnn.tensor([1.0, 10.0, 100.0, 1000.0], dtype=rustnn.float64)
    (base * weight).sum().backward()
    of_view, of_other = (3, 2) if second else (2, 3)
    assert root.grad.tolist() == [1, of_view * 10, of_view * 100, 1000]
    assert other.grad.tolist() == [of_other * 10, of_other * 100]


def test_a_function_with_several_outputs_may_not_write_a_view():
    class Two(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.mark_dirty(x)
            return x.mul_(2), x + 1

        @staticmethod
        def backward(ctx, one, two):
            return one * 2 + two * 2

    with pytest.raises(RuntimeError, match="modifies inplace an input that is a view of another Tensor"):
        Two.apply(leaf(1.0, 2.0).clone()[:1])


def test_a_kept_gradient_is_that_of_the_tensor_as_it_is_after_in_place_writes():
    a = leaf(1.0).clone()
    a.retain_grad()
    a.mul_(2)
    a.mul_(2)
    a.backward()
    assert a.grad.item() == 1
    base = leaf(1.0, 1.0).clone()
    base.retain_grad()
    view, other_view = base[:], base[:]
    view.retain_grad()
    other_view.retain_grad()
    view.mul_(3)
    (view * 5 + other_view).sum().backward()
    assert base.grad.tolist() == [6, 6]
    assert view.grad.tolist() == [5, 5]
    assert other_view.grad.tolist() == [1, 1]


def test_hooks_of_a_tensor_run_before_those_of_its_node_and_what_is_kept_is_between():
    log = []
    a = leaf(1.0)
    b = a.clone()
    b.grad_fn.register_prehook(lambda grads: (log.append("b's node"), (grads[0] * 2,))[1])
    b.register_hook(lambda grad: (log.append("b"), grad * 3)[1])
    node = b.grad_fn.next_functions[0][0]
    node.register_prehook(lambda grads: (log.append("a's node"), None)[1])
    a.register_hook(lambda grad: (log.append("a"), None)[1])
    b.retain_grad()
    b.sum().backward(retain_graph=True)
    assert log == ["b", "b's node", "a", "a's node"]
    assert (b.grad.item(), a.grad.item()) == (3, 6)
    log.clear()
    autograd.grad(b, b)
    assert log == ["b"], "a node that does not run has no hooks run"


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        ((), RuntimeError, r"hook 'hook' has returned an incorrect number of values \(got 0, but expected 1\)"),
        (3, TypeError, "expected tuple, but hook returned 'int'"),
        ((3,), TypeError, "expected Variable, but hook returned 'int'"),
    ],
)
def test_what_a_hook_of_a_node_returns_is_checked(result, error, message):
    def hook(*grads):
        return result

    for register in ("register_hook", "register_prehook"):
        y = leaf(1.0).exp()
        getattr(y.grad_fn, register)(hook)
        with pytest.raises(error, match=message):
            y.backward()


def test_gradients_go_from_and_to_places_of_the_graph():
    x = leaf(1.0, 1.0)
    y = x * 2
    z = (y * 3).sum()
    at_x, at_y, at_z = map(graph.get_gradient_edge, (x, y, z))
    assert [g.tolist() for g in autograd.grad(z, [at_x, at_y], retain_graph=True)] == [[6, 6], [3, 3]]
    z.backward(inputs=[at_x], retain_graph=True)
    assert x.grad.tolist() == [6, 6]
    one = rustnn.tensor(1.0, dtype=rustnn.float64)
    assert autograd.grad(at_z, x, grad_outputs=one, retain_graph=True)[0].tolist() == [6, 6]
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        autograd.grad(at_z, x)


def test_asking_for_the_gradient_of_what_gets_none_warns():
    x = leaf(1.0)
    y = x.exp()
    with pytest.warns(UserWarning, match="The .grad attribute of a Tensor that is not a leaf Tensor is being accessed"):
        assert y.grad is None
    y.retain_grad()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert y.grad is None
        assert x.grad is None
        assert rustnn.ones(1).exp().grad is None


def test_anomaly_mode_shows_where_the_op_was_called_whose_backward_fails():
    class Refuses(Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            raise ValueError("not today")

    with autograd.set_detect_anomaly(True):
        with pytest.warns(UserWarning, match="Error detected in RefusesBackward. Traceback of forward call"):
            with pytest.raises(ValueError, match="not today"):
                Refuses.apply(leaf(1.0)).backward()
        y = leaf(1.0) + 1
        z = y * y
        y.add_(1)
        with pytest.warns(UserWarning, match=r"(?s)Error detected in MulBackward0.*test_autograd_python"):
            with pytest.raises(RuntimeError, match="the backtrace further above shows the operation"):
                z.backward()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ValueError, match="not today"):
                Refuses.apply(leaf(1.0)).backward()


# callbacks and saved tensors


def test_callbacks_run_once_when_their_backward_is_over():
    log = []
    queue = rustnn.autograd.Variable._execution_engine.queue_callback

    def callback():
        log.append(x.grad.item())
        queue(lambda: log.append("last"))

    x = leaf(2.0)
    y = x * 3
    y.register_hook(lambda gradient: queue(callback))
    y.sum().backward()
    assert log == [3.0, "last"]
    (rustnn.ones(1, requires_grad=True) * 2).sum().backward()
    assert log == [3.0, "last"]
    with pytest.raises(RuntimeError, match="Final callbacks can only be installed during backward"):
        queue(callback)


def test_an_inner_backward_runs_its_own_callbacks_first():
    log = []
    queue = rustnn.autograd.Variable._execution_engine.queue_callback

    def hook(gradient):
        queue(lambda: log.append("outer"))
        with rustnn.enable_grad():
            inner = leaf(1.0) * 2
            inner.register_hook(lambda gradient: queue(lambda: log.append("inner")))
            inner.sum().backward()
        log.append("hook")

    y = leaf(1.0) * 2
    y.register_hook(hook)
    rustnn.autograd.grad(y.sum(), y)
    assert log == ["inner", "hook", "outer"]


def test_a_backward_that_fails_calls_no_callback_and_one_that_raises_is_seen():
    queue = rustnn.autograd.Variable._execution_engine.queue_callback
    log = []

    def failing(gradient):
        queue(lambda: log.append("called"))
        raise ZeroDivisionError

    y = leaf(1.0) * 2
    y.register_hook(failing)
    with pytest.raises(ZeroDivisionError):
        y.sum().backward()
    leaf(1.0).sum().backward()
    assert log == []
    z = leaf(1.0) * 2
    z.register_hook(lambda gradient: queue(lambda: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        z.sum().backward()


def test_saved_tensors_may_be_written_where_that_is_allowed():
    x = leaf(2.0, 3.0)
    with rustnn.autograd.graph.allow_mutation_on_saved_tensors():
        y = x.clone()
        out = (y**3).sum()
        y.zero_()
        (first,) = rustnn.autograd.grad(out, x, create_graph=True)
        (second,) = rustnn.autograd.grad(first.sum(), x)
        with (
            pytest.raises(RuntimeError, match="cannot be nested"),
            rustnn.autograd.graph.allow_mutation_on_saved_tensors(),
        ):
            pass
        kept = (y * x).sum()
    assert first.tolist() == [12, 27] and second.tolist() == [12, 18]
    with pytest.raises(AssertionError, match="outside of the 'allow_mutation_on_saved_tensors' context"):
        kept.backward()


def test_a_pack_hook_that_writes_is_refused():
    with (
        rustnn.autograd.graph.saved_tensors_hooks(lambda t: t.add_(1), lambda t: t),
        pytest.raises(RuntimeError, match="pack hook is modifying its input in place"),
    ):
        leaf(1.0).clone().exp()


def test_views_of_normal_tensors_are_normal_in_inference_mode():
    x = rustnn.ones(4)
    with rustnn.inference_mode():
        view, row, fresh = x.view(2, 2), x[:2], x + 1
        assert (view.is_inference(), row.is_inference(), fresh.is_inference()) == (False, False, True)
        assert fresh.view(2, 2).is_inference()
    view.add_(1)
    assert x.tolist() == [2, 2, 2, 2] and row._version == 1
    with pytest.raises(RuntimeError, match="Inplace update to inference tensor"):
        fresh.add_(1)


def test_a_gradient_can_be_deleted():
    x = leaf(1.0)
    (x * 2).sum().backward()
    del x.grad
    assert x.grad is None


@pytest.mark.parametrize(
    "call",
    [
        lambda x: x @ x,
        lambda x: x @ x[0],
        lambda x: x[0] @ x[0],
        lambda x: x.reshape(1, 2, 2) @ x,
        lambda x: x.reshape(1, 2, 2) @ x.reshape(1, 1, 2, 2),
        lambda x: rustnn.inner(x, x),
        lambda x: x.var(0),
        lambda x: rustnn.std_mean(x, 1)[1],
        lambda x: x.logsumexp(0),
        lambda x: x.roll(1),
    ],
)
def test_results_are_no_views_and_keep_their_hooks_when_they_are_written(call):
    x = leaf(1.0, 2.0, 3.0, 5.0).detach().reshape(2, 2).requires_grad_()
    y, log = call(x), []
    assert not y._is_view() and y._base is None
    y.register_hook(lambda gradient: log.append(gradient.flatten()[0].item()))
    y.mul_(2)
    y.sum().backward()
    written, log_of_result = x.grad.clone(), log
    x.grad = None
    (call(x) * 2).sum().backward()
    assert rustnn.equal(x.grad, written) and log_of_result == [2.0]


def test_a_written_result_is_noticed_by_what_saved_it():
    x = leaf(1.0, 2.0)
    y = x.std(0)
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_hook_on_the_first_of_several_gradients_runs_once_in_each_of_interleaved_backwards():
    x, y = leaf(1.0), leaf(2.0)
    calls = []
    autograd.graph.register_multi_grad_hook((x, y), calls.append, mode="any")
    inner = [(x * 11).sum(), (y * 13).sum()]
    first, second = x * 2, y * 3
    second.register_hook(lambda grad: inner[0].backward())
    first.register_hook(lambda grad: inner[1].backward())
    (first + second).sum().backward()
    assert len(calls) == 3 and (x.grad.item(), y.grad.item()) == (13, 16)
