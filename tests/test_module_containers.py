"""Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict (checklist section 13)."""

from collections import OrderedDict

import pytest

import rustnn
from rustnn import nn


def names(container):
    return list(container._modules)


def kinds(container):
    return [type(module).__name__ for module in container]


# ---- Sequential ------------------------------------------------------------------------------------------------------


def test_sequential_passes_its_input_through():
    net = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    x = rustnn.ones(1, 2)
    assert (net(x) == net[1](net[0](x))).all()
    with pytest.raises(TypeError):
        net(x, x)


def test_sequential_takes_an_ordered_dict_and_names_its_children():
    net = nn.Sequential(OrderedDict(first=nn.ReLU(), second=nn.Tanh()))
    assert names(net) == ["first", "second"] and net.second is net[1] is net[-1]


def test_a_slice_of_a_sequential_keeps_the_names():
    net = nn.Sequential(OrderedDict(a=nn.ReLU(), b=nn.Tanh(), c=nn.GELU()))
    part = net[1:]
    assert type(part) is nn.Sequential and names(part) == ["b", "c"] and part.b is net.b


def test_sequential_indices_may_be_tensors_and_must_be_in_range():
    net = nn.Sequential(nn.ReLU(), nn.Tanh())
    assert net[rustnn.tensor(1)] is net[1]
    with pytest.raises(IndexError, match="index 2 is out of range"):
        net[2]


def test_sequential_items_can_be_set_and_deleted():
    net = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.GELU(), nn.SiLU())
    net[-1] = nn.Sigmoid()
    del net[0]
    assert names(net) == ["0", "1", "2"] and kinds(net) == ["Tanh", "GELU", "Sigmoid"]
    del net[1:]
    assert kinds(net) == ["Tanh"]
    with pytest.raises(IndexError):
        del net[5]


def test_sequentials_can_be_added_and_repeated():
    net = nn.Sequential(nn.ReLU()) + nn.Sequential(nn.Tanh())
    assert kinds(net) == ["ReLU", "Tanh"]
    net += nn.Sequential(nn.GELU())
    assert kinds(net) == ["ReLU", "Tanh", "GELU"] and names(net) == ["0", "1", "2"]
    twice = nn.Sequential(nn.ReLU()) * 2
    assert twice[0] is twice[1] and kinds(2 * nn.Sequential(nn.ReLU())) == ["ReLU", "ReLU"]
    twice *= 2
    assert len(twice) == 4


def test_sequential_arithmetic_refuses_other_operands():
    net = nn.Sequential(nn.ReLU())
    for operation in (lambda: net + [nn.ReLU()], lambda: net.__iadd__([nn.ReLU()])):
        with pytest.raises(ValueError) as error:
            operation()
        assert (
            str(error.value) == "add operator supports only objects of Sequential class, but <class 'list'> is given."
        )
    for operation in (lambda: net * 0, lambda: net.__imul__(-1)):
        with pytest.raises(ValueError, match="Non-positive multiplication factor"):
            operation()
    with pytest.raises(TypeError, match="unsupported operand type"):
        net * "a"


def test_sequential_grows_by_append_extend_and_insert():
    net = nn.Sequential(nn.ReLU())
    assert net.append(nn.Tanh()) is net
    assert net.extend([nn.GELU(), nn.SiLU()]) is net
    assert net.insert(1, nn.Sigmoid()) is net
    assert kinds(net) == ["ReLU", "Sigmoid", "Tanh", "GELU", "SiLU"]
    net.insert(-1, nn.ELU())
    assert kinds(net)[-2:] == ["ELU", "SiLU"]
    with pytest.raises(AssertionError, match="module should be of type"):
        net.insert(0, 5)
    with pytest.raises(IndexError, match="Index out of range: 9"):
        net.insert(9, nn.ReLU())


def test_sequential_pop_takes_out_a_module_or_a_part():
    net = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.GELU())
    assert isinstance(net.pop(0), nn.ReLU) and kinds(net) == ["Tanh", "GELU"]
    assert kinds(net.pop(slice(0, 1))) == ["Tanh"] and kinds(net) == ["GELU"]


def test_only_modules_go_into_a_sequential():
    with pytest.raises(TypeError) as error:
        nn.Sequential(5)
    assert str(error.value) == "int is not a Module subclass"


# ---- ModuleList ------------------------------------------------------------------------------------------------------


def test_module_list_behaves_like_a_list():
    modules = nn.ModuleList([nn.ReLU(), nn.Tanh(), nn.GELU()])
    assert len(modules) == 3 and kinds(modules) == ["ReLU", "Tanh", "GELU"]
    assert modules[-1] is modules[2] and kinds(modules[1:]) == ["Tanh", "GELU"] and type(modules[1:]) is nn.ModuleList
    modules[0] = nn.SiLU()
    modules.insert(1, nn.ELU())
    modules.append(nn.SELU()).extend([nn.CELU()])
    modules += [nn.Mish()]
    assert kinds(modules) == ["SiLU", "ELU", "Tanh", "GELU", "SELU", "CELU", "Mish"]
    assert isinstance(modules.pop(0), nn.SiLU)
    del modules[0]
    del modules[::2]
    assert kinds(modules) == ["GELU", "CELU"] and names(modules) == ["0", "1"]
    both = modules + nn.ModuleList([nn.ReLU()])
    assert len(both) == 3 and both is not modules


def test_module_list_names_what_it_cannot_take():
    with pytest.raises(TypeError) as error:
        nn.ModuleList().extend(5)
    assert str(error.value) == "ModuleList.extend should be called with an iterable, but got int"
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        nn.ModuleList([5])
    with pytest.raises(IndexError, match="index 0 is out of range"):
        nn.ModuleList()[0]


# ---- ModuleDict ------------------------------------------------------------------------------------------------------


def test_module_dict_behaves_like_a_dict():
    modules = nn.ModuleDict({"a": nn.ReLU(), "b": nn.Tanh()})
    assert list(modules) == list(modules.keys()) == ["a", "b"] and "a" in modules and len(modules) == 2
    assert isinstance(modules["b"], nn.Tanh) and [k for k, _ in modules.items()] == ["a", "b"]
    assert [type(v).__name__ for v in modules.values()] == ["ReLU", "Tanh"]
    modules.update([("c", nn.GELU())])
    modules.update(nn.ModuleDict({"d": nn.ELU()}))
    assert isinstance(modules.pop("a"), nn.ReLU)
    del modules["b"]
    assert list(modules) == ["c", "d"]
    modules.clear()
    assert len(modules) == 0
    with pytest.raises(KeyError):
        modules["zzz"]


@pytest.mark.parametrize(
    ("argument", "kind", "text"),
    [
        (1, TypeError, "ModuleDict.update should be called with an iterable of key/value pairs, but got int"),
        ([1], TypeError, "ModuleDict update sequence element #0 should be Iterable; isint"),
        ([("a",)], ValueError, "ModuleDict update sequence element #0 has length 1; 2 is required"),
        ({"a": 1}, TypeError, "int is not a Module subclass"),
    ],
)
def test_module_dict_update_names_what_it_cannot_take(argument, kind, text):
    with pytest.raises(kind) as error:
        nn.ModuleDict().update(argument)
    assert str(error.value) == text


@pytest.mark.parametrize("key", ["keys", "a.b", "", "training"])
def test_module_dict_refuses_reserved_names(key):
    with pytest.raises(KeyError):
        nn.ModuleDict()[key] = nn.ReLU()


# ---- ParameterList ---------------------------------------------------------------------------------------------------


def test_parameter_list_turns_tensors_into_parameters_and_keeps_other_objects():
    values = nn.ParameterList([rustnn.ones(1), nn.Parameter(rustnn.ones(2)), "text"])
    assert len(values) == 3 and isinstance(values[0], nn.Parameter) and values[2] == "text"
    assert [name for name, _ in values.named_parameters()] == ["0", "1"]
    values[-1] = rustnn.ones(3)
    values.append(None).extend([5])
    values += [rustnn.ones(4)]
    assert len(values) == 6 and len(list(values.parameters())) == 4
    assert len(values[1:3]) == 2 and type(values[1:3]) is nn.ParameterList
    assert [type(value).__name__ for value in values] == ["Parameter"] * 3 + ["NoneType", "int", "Parameter"]


def test_parameter_list_does_not_unpack_a_tensor():
    with pytest.raises(TypeError, match=r"ParameterList\.extend should be called with an iterable, but got Tensor"):
        nn.ParameterList(rustnn.ones(2))
    with pytest.raises(RuntimeError, match=r"ParameterList should not be called\."):
        nn.ParameterList()(1)


def test_parameter_list_text():
    assert repr(nn.ParameterList([rustnn.ones(2, 3), "x"])) == (
        "ParameterList(\n    (0): Parameter containing: [torch.float32 of size 2x3]\n    (1): Object of type: str\n)"
    )


# ---- ParameterDict ---------------------------------------------------------------------------------------------------


def test_parameter_dict_behaves_like_a_dict():
    values = nn.ParameterDict({"b": rustnn.ones(1), "a": "text"})
    assert list(values) == ["a", "b"], "a plain dict is taken in sorted order"
    values["c"] = rustnn.ones(2)
    assert isinstance(values["c"], nn.Parameter) and "c" in values and len(values) == 3
    assert list(reversed(values)) == ["c", "b", "a"]
    assert values.get("zzz") is None and values.get("zzz", 4) == 4
    assert values.setdefault("a", 1) == "text" and values.setdefault("d", 1) == 1
    assert values.popitem() == ("d", 1)
    assert values.pop("a") == "text" and list(values.keys()) == ["b", "c"]
    twin = values.copy()
    assert twin is not values and twin["b"] is values["b"]
    assert [key for key, _ in values.items()] == ["b", "c"] and len(list(values.values())) == 2
    values.clear()
    assert len(values) == 0 and len(twin) == 2
    assert list(twin.fromkeys(["x", "y"], 1).items()) == [("x", 1), ("y", 1)]


def test_parameter_dicts_can_be_joined():
    left, right = nn.ParameterDict({"a": rustnn.ones(1)}), nn.ParameterDict({"b": rustnn.ones(1)})
    assert list(left | right) == ["a", "b"]
    left |= right
    assert list(left) == ["a", "b"]


def test_parameter_dict_keeps_the_order_of_ordered_dicts_and_pairs():
    assert list(nn.ParameterDict(OrderedDict([("b", 1), ("a", 2)]))) == ["b", "a"]
    assert list(nn.ParameterDict([("b", 1), ("a", 2)])) == ["b", "a"]


@pytest.mark.parametrize(
    ("argument", "kind", "text"),
    [
        (1, TypeError, "ParametersDict.update should be called with an iterable of key/value pairs, but got int"),
        ([1], TypeError, "ParameterDict update sequence element #0 should be Iterable; isint"),
        ([("a",)], ValueError, "ParameterDict update sequence element #0 has length 1; 2 is required"),
    ],
)
def test_parameter_dict_update_names_what_it_cannot_take(argument, kind, text):
    with pytest.raises(kind) as error:
        nn.ParameterDict().update(argument)
    assert str(error.value) == text


def test_parameter_dict_keys_are_strings():
    with pytest.raises(TypeError, match="it is not a string \\(type is 'int'\\)"):
        nn.ParameterDict()[1] = 1
    with pytest.raises(RuntimeError, match=r"ParameterDict should not be called\."):
        nn.ParameterDict()(1)


def test_parameter_dict_text():
    assert repr(nn.ParameterDict({"w": rustnn.ones(2, 3), "x": 1})) == (
        "ParameterDict(\n    (w): Parameter containing: [torch.FloatTensor of size 2x3]\n    (x): Object of type: "
        "int\n)"
    )
