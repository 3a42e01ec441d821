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


def test_modes_are_refused():
    with pytest.raises(NotImplementedError, match="TorchFunctionMode"), overrides.TorchFunctionMode():
        pass
