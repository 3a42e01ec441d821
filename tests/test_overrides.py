"""rustnn.overrides: who has a __torch_function__, and how Python functions ask it."""

import pytest

import rustnn
from rustnn import overrides


class Wrapped:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return func.__name__, len(args), kwargs


class Refusing:
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return NotImplemented


class Sub(rustnn.Tensor):
    pass


def function(a, b=1):
    if overrides.has_torch_function_variadic(a, b):
        return overrides.handle_torch_function(function, (a, b), a, b=b)
    return "own"


def test_only_classes_with_an_override_of_their_own_are_asked():
    x = rustnn.ones(2)
    having = [x, rustnn.nn.Parameter(x), 3, Wrapped(), x.as_subclass(Sub)]
    assert [overrides.has_torch_function_unary(v) for v in having] == [False, False, False, True, True]
    assert [overrides.is_tensor_like(v) for v in having] == [True, True, False, True, True]
    assert function(x) == "own" and function(Wrapped()) == ("function", 1, {"b": 1})
    assert overrides.wrap_torch_function(lambda a: (a,))(lambda a: "own")(x) == "own"


def test_a_function_that_all_refuse_raises_a_type_error_with_their_names():
    with pytest.raises(TypeError, match=r"no implementation found for '.*function' on types .*\['Refusing'\]"):
        function(Refusing())
    assert function(Refusing(), Wrapped())[0] == "function"


def test_functions_have_names():
    assert overrides.resolve_name(rustnn.add) == "torch.add"
    assert overrides.resolve_name(rustnn.Tensor.add) == "torch.Tensor.add"
    assert overrides.resolve_name(rustnn.nn.functional.relu) in ("torch.nn.functional.relu", "torch.relu")
    assert overrides.resolve_name(3) is None
    assert overrides.is_tensor_method_or_property(rustnn.Tensor.add)
    assert rustnn.add in overrides.get_testing_overrides() and rustnn.zeros in overrides.get_ignored_functions()


class Names(overrides.TorchFunctionMode):
    def __init__(self):
        self.seen = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.seen.append(func.__name__)
        return func(*args, **(kwargs or {}))


def test_a_mode_sees_every_call_inside_and_none_outside():
    x = rustnn.ones(2)
    with Names() as mode:
        y = rustnn.zeros(2) + x
        y += 1
        y = y.mul(2)[0]
    x + x
    assert mode.seen == ["zeros", "add", "add_", "mul", "__getitem__"]
    assert y.item() == 4.0 and overrides._get_current_function_mode() is None


def test_modes_nest_and_see_what_those_inside_call():
    class Doubles(overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return func(*args, **(kwargs or {})) * 2

    with Names() as outer, Doubles() as inner:
        assert overrides._get_current_function_mode_stack() == [outer, inner]
        assert rustnn.ones(2).tolist() == [2.0, 2.0]
    assert outer.seen == ["ones", "mul"]


def test_a_mode_answers_before_a_subclass_and_may_leave_the_call_to_it():
    class Mine(rustnn.Tensor):
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return "class"

    class Answers(overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return "mode" if func is rustnn.add else NotImplemented

    mine = rustnn.ones(2).as_subclass(Mine)
    with Answers():
        assert rustnn.add(mine, 1) == "mode" and rustnn.mul(mine, 1) == "class"
        assert rustnn.mul(rustnn.ones(1), 3).item() == 3.0


def test_a_mode_that_raises_is_left_as_it_was_entered():
    class Raises(overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            raise ValueError("no")

    with Raises(), pytest.raises(ValueError, match="no"):
        rustnn.ones(1)
    with Raises() as mode:
        with pytest.raises(ValueError, match="no"):
            rustnn.ones(1)
        assert overrides._get_current_function_mode() is mode
    with pytest.raises(RuntimeError, match="no TorchFunctionMode"):
        rustnn._C._pop_torch_function_stack()
    assert rustnn.ones(1).item() == 1.0
