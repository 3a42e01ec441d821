"""What nodes of the graph saved, as programs see it."""

import pytest

import rustnn


def leaf(*values):
    return rustnn.tensor(values, requires_grad=True)


def test_nodes_show_what_they_saved_by_name():
    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = a * b
    assert y.grad_fn._saved_self is a and y.grad_fn._saved_other is b
    z = y.exp()
    assert rustnn.equal(z.grad_fn._saved_result, z) and z.grad_fn._saved_result.grad_fn is z.grad_fn
    assert (a**2.5).grad_fn._saved_exponent == 2.5 and rustnn.sub(a, b, alpha=2).grad_fn._saved_alpha == 2
    for name in ("_saved_other", "_saved_self", "_raw_saved_other", "anything"):
        with pytest.raises(AttributeError, match=f"'ExpBackward0' object has no attribute '{name}'"):
            getattr(z.grad_fn, name)


def test_what_was_freed_or_written_raises():
    a = leaf(1.0, 2.0)
    y = a * a
    y.sum().backward()
    with pytest.raises(RuntimeError, match="after they have already been freed"):
        y.grad_fn._saved_self  # noqa: B018
    with pytest.raises(RuntimeError, match="after it has been freed"):
        y.grad_fn._raw_saved_self.register_hooks(lambda t: t, lambda t: t)
    b = a.clone()
    z = b * a
    b.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.grad_fn._saved_self  # noqa: B018


def test_hooks_on_a_saved_tensor_keep_something_else_in_its_place():
    a = leaf(1.0, 2.0)
    y = a * a
    packed = []
    y.grad_fn._raw_saved_self.register_hooks(lambda t: packed.append(t.tolist()) or 2 * t, lambda t: t / 2)
    assert packed == [[1.0, 2.0]] and rustnn.equal(y.grad_fn._saved_self, a)
    y.sum().backward()
    assert a.grad.tolist() == [2.0, 4.0]

    z = a.exp()
    z.grad_fn._raw_saved_result.register_hooks(lambda t: t.tolist(), lambda t: rustnn.tensor(t) * 0)
    z.sum().backward()
    assert a.grad.tolist() == [2.0, 4.0]


def test_hooks_on_a_saved_tensor_are_set_once_and_change_nothing_in_place():
    a = leaf(1.0, 2.0)
    saved = (a * a).grad_fn._raw_saved_self
    saved.register_hooks(lambda t: t, lambda t: t)
    with pytest.raises(RuntimeError, match="hooks have already been set"):
        saved.register_hooks(lambda t: t, lambda t: t)
    y = (a * 2).exp()
    with pytest.raises(RuntimeError, match="pack hook is modifying its input in place"):
        y.grad_fn._raw_saved_result.register_hooks(lambda t: t.mul_(2), lambda t: t)
    with pytest.raises(RuntimeError, match="SavedTensor object from Python is forbidden"):
        rustnn._C._autograd.SavedTensor()


def test_a_hook_that_asks_for_the_value_it_unpacks_gets_an_error():
    a = leaf(1.0, 2.0)
    y = a.exp()
    node = y.grad_fn
    node._raw_saved_result.register_hooks(lambda t: t, lambda t: node._saved_result)
    with pytest.raises(RuntimeError, match="is being unpacked"):
        y.sum().backward()


def test_a_node_is_called_with_gradients_of_its_outputs():
    a = leaf(1.0, 2.0)
    node = (a * 3).grad_fn
    da, of_number = node(rustnn.tensor([10.0, 20.0]))
    assert da.tolist() == [30.0, 60.0] and of_number is None
    with pytest.raises(TypeError, match="expected 1 arguments, got 2 instead"):
        node(a, a)
    with pytest.raises(TypeError, match="argument 0 is not a Variable"):
        node(3)


def test_every_node_is_an_instance_of_a_class_that_none_inherits_from():
    from rustnn.autograd.graph import Node

    node = leaf(1.0).exp().grad_fn
    assert isinstance(node, Node) and issubclass(type(node), Node) and Node not in type(node).__mro__
    assert not isinstance(3, Node)
    with pytest.raises(TypeError, match="made by ops"):
        Node()
