"""Forward mode: tangents of dual tensors, ``gradcheck`` of them, Jacobians by that name."""

import pytest

import rustnn
from rustnn import nn
from rustnn.autograd import forward_ad, gradcheck
from rustnn.autograd.functional import hessian, jacobian


def rand(*shape):
    return rustnn.rand(*shape, dtype=rustnn.float64)


def test_a_network_carries_a_tangent_as_differences_say():
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 2)).double()
    x, direction, step = rand(5, 3), rand(5, 3), 1e-6
    expected = (net(x + step * direction) - net(x - step * direction)) / (2 * step)
    with rustnn.no_grad(), forward_ad.dual_level():
        y, tangent = forward_ad.unpack_dual(net(forward_ad.make_dual(x, direction)))
    assert rustnn.allclose(tangent, expected, atol=1e-8) and rustnn.equal(y, net(x))
    assert not rustnn.is_inference_mode_enabled() and rustnn.is_grad_enabled()


def test_several_duals_add_up_and_parameters_can_be_dual():
    layer = nn.Linear(2, 3)
    weight, bias, x = layer.weight, layer.bias, rustnn.rand(4, 2)
    directions = rustnn.rand(3, 2), rustnn.rand(3), rustnn.rand(4, 2)
    del layer.weight, layer.bias
    with forward_ad.dual_level():
        layer.weight = forward_ad.make_dual(weight, directions[0])
        layer.bias = forward_ad.make_dual(bias, directions[1])
        tangent = forward_ad.unpack_dual(layer(forward_ad.make_dual(x, directions[2]))).tangent
    expected = x @ directions[0].t() + directions[1] + directions[2] @ weight.t()
    assert rustnn.allclose(tangent, expected, atol=1e-6)


def test_a_dual_shares_memory_and_gives_back_its_own_tangent():
    x, direction = rustnn.ones(2), rustnn.ones(2)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x, direction)
        primal, tangent = forward_ad.unpack_dual(dual)
        assert tangent is direction and dual.data_ptr() == x.data_ptr() == primal.data_ptr()
        assert not primal.requires_grad and forward_ad.unpack_dual(x).tangent is None
        assert forward_ad.unpack_dual(dual.detach() * 2).tangent is None
        assert forward_ad.unpack_dual(dual > 0).tangent is None
    assert forward_ad.unpack_dual(dual).tangent is None
    with forward_ad.dual_level():
        assert forward_ad.unpack_dual(dual).tangent is None
        again = forward_ad.make_dual(x, direction * 2)
        assert forward_ad.unpack_dual(dual * again).tangent.tolist() == [2, 2]
        assert forward_ad.unpack_dual(dual).tangent is None


def test_writes_in_place_move_the_tangent_too():
    x, direction = rand(3), rand(3)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x.clone(), direction)
        dual *= 2
        dual[:1] *= 3
        kept = rustnn.zeros(3, dtype=rustnn.float64)
        kept[1:] = dual[1:]
        tangent = forward_ad.unpack_dual(dual).tangent
        assert rustnn.allclose(tangent, direction * rustnn.tensor([6.0, 2.0, 2.0]))
        assert rustnn.allclose(forward_ad.unpack_dual(kept).tangent, direction * rustnn.tensor([0.0, 2.0, 2.0]))


def test_a_tangent_is_differentiable_again():
    x, direction = rand(3).requires_grad_(), rand(3).requires_grad_()
    with forward_ad.dual_level():
        y, tangent = forward_ad.unpack_dual((forward_ad.make_dual(x, direction) ** 3).sum())
    by_x, by_direction = rustnn.autograd.grad(tangent, (x, direction), retain_graph=True)
    assert rustnn.allclose(by_x, 6 * x * direction) and rustnn.allclose(by_direction, 3 * x**2)
    assert rustnn.allclose(rustnn.autograd.grad(y, x)[0], 3 * x**2)


def test_a_linear_result_of_no_dual_has_a_tangent_of_zeros_or_none():
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(rustnn.ones(2), rustnn.ones(2))
        weight = rustnn.ones(2, requires_grad=True)
        assert forward_ad.unpack_dual(weight * 2).tangent is None
        assert forward_ad.unpack_dual(dual * 0).tangent.tolist() == [0, 0]
        assert forward_ad.unpack_dual(dual.sign()).tangent.tolist() == [0, 0]


def test_levels_and_duals_that_cannot_be_are_refused():
    ones = rustnn.ones(2)
    with pytest.raises(RuntimeError, match="no level exists"):
        forward_ad.make_dual(ones, ones)
    with pytest.raises(RuntimeError, match="not the last one"):
        forward_ad.exit_dual_level()
    with forward_ad.dual_level() as level:
        assert level == 0
        with pytest.raises(RuntimeError, match="Nested forward mode AD is not supported"):
            forward_ad.enter_dual_level()
        with pytest.raises(RuntimeError, match="not the last one"):
            forward_ad.exit_dual_level(level=3)
        with pytest.raises(RuntimeError, match=r"size \[2\] while the given forward gradient is of size \[3\]"):
            forward_ad.make_dual(ones, rustnn.ones(3))
        with pytest.raises(ValueError, match=r"Expected tangent to be floating point or complex, but got: .*int64"):
            forward_ad.make_dual(ones, ones.long())
        with pytest.raises(ValueError, match="Expected primal"):
            forward_ad.make_dual(ones.long(), ones)
        dual = forward_ad.make_dual(ones, ones)
        for arguments in ((dual, ones), (ones, dual)):
            with pytest.raises(RuntimeError, match="already has a forward gradient at the same level 0"):
                forward_ad.make_dual(*arguments)


def test_a_level_that_ends_by_an_exception_is_over():
    with pytest.raises(ZeroDivisionError), rustnn.no_grad(), forward_ad.dual_level():
        assert rustnn.is_grad_enabled()
        raise ZeroDivisionError
    with forward_ad.dual_level():
        pass


@pytest.mark.parametrize("fast_mode", [False, True])
def test_gradcheck_compares_tangents(fast_mode):
    class HalfRight(rustnn.autograd.Function):
        """Its backward is right, the derivative of that is not."""

        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return Doubled.apply(gradient)

    class Doubled(rustnn.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return gradient * 3

    x = (rand(2, 3) + 1).requires_grad_()
    assert gradcheck(rustnn.exp, x, check_forward_ad=True, fast_mode=fast_mode)
    assert gradcheck(lambda x: (x.sum(), x.floor(), x[0]), x, check_forward_ad=True, fast_mode=fast_mode)
    assert gradcheck(HalfRight.apply, x, fast_mode=fast_mode)
    with pytest.raises(RuntimeError, match="forward mode mismatch for output 0 with respect to input 0"):
        gradcheck(HalfRight.apply, x, check_forward_ad=True, check_backward_ad=False, fast_mode=fast_mode)


def test_jacobians_by_forward_mode_need_vectorize_and_are_the_same():
    x = rand(3)
    same = jacobian(rustnn.exp, x, strategy="forward-mode", vectorize=True)
    assert rustnn.equal(same, jacobian(rustnn.exp, x))
    found = hessian(lambda x: (x**3).sum(), x, outer_jacobian_strategy="forward-mode", vectorize=True)
    assert rustnn.allclose(found, rustnn.diag(6 * x))
    with pytest.raises(NotImplementedError, match="vectorize=True"):
        jacobian(rustnn.exp, x, strategy="forward-mode")
    with pytest.raises(NotImplementedError, match="vectorize=True"):
        hessian(lambda x: x.sum(), x, outer_jacobian_strategy="forward-mode")
    with pytest.raises(NotImplementedError, match="create_graph=True"):
        jacobian(rustnn.exp, x, strategy="forward-mode", vectorize=True, create_graph=True)
