"""Module: instance state, construction, attributes, registration, access by path (checklist sections 0 to 3)."""

from collections import OrderedDict

import pytest

import rustnn
from rustnn import nn
from rustnn.nn.modules import module as module_file

STATE = {
    "training", "_parameters", "_buffers", "_non_persistent_buffers_set", "_modules",
    "_backward_pre_hooks", "_backward_hooks", "_forward_hooks", "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs", "_state_dict_hooks",
    "_state_dict_pre_hooks", "_load_state_dict_pre_hooks", "_load_state_dict_post_hooks", "_is_full_backward_hook",
}  # fmt: skip


class Bare(nn.Module):
    """A module that does not call super().__init__()."""

    def __init__(self):
        pass


# ---- instance state --------------------------------------------------------------------------------------------------


def test_a_new_module_has_exactly_the_17_state_entries():
    assert set(vars(nn.Module())) == STATE


def test_registries_are_plain_dicts_and_hook_registries_are_ordered_dicts():
    module = nn.Module()
    assert type(module._parameters) is dict and type(module._buffers) is dict and type(module._modules) is dict
    assert type(module._non_persistent_buffers_set) is set
    for name in STATE:
        if name.endswith(("hooks", "with_kwargs", "always_called")):
            assert type(getattr(module, name)) is OrderedDict, name
    assert module.training is True and module._is_full_backward_hook is None


def test_direct_writes_into_the_registries_are_seen_everywhere():
    module = nn.Module()
    weight = nn.Parameter(rustnn.ones(2))
    module._parameters["w"] = weight
    module._buffers["b"] = rustnn.zeros(1)
    module._modules["m"] = nn.Identity()
    assert module.w is weight
    assert [name for name, _ in module.named_parameters()] == ["w"]
    assert list(module.state_dict()) == ["w", "b"]
    assert [name for name, _ in module.named_modules()] == ["", "m"]


def test_class_attributes_have_their_defaults():
    assert nn.Module.dump_patches is False
    assert nn.Module._version == 1 and nn.BatchNorm1d._version == 2
    assert nn.Module.call_super_init is False
    assert nn.Module._compiled_call_impl is None


# ---- construction ----------------------------------------------------------------------------------------------------


def test_unexpected_keyword_names_the_subclass():
    class Net(nn.Module):
        pass

    with pytest.raises(TypeError) as error:
        Net(foo=1)
    assert str(error.value) == "Net.__init__() got an unexpected keyword argument 'foo'"


def test_positional_arguments_are_counted():
    with pytest.raises(TypeError) as error:
        nn.Module(1, 2)
    assert str(error.value) == "Module.__init__() takes 1 positional argument but 3 were given"


def test_call_super_init_reaches_a_mixin_behind_module():
    class Mixin:
        def __init__(self, value):
            self.value = value

    class Net(nn.Module, Mixin):
        call_super_init = True

    assert Net(7).value == 7


def test_module_can_be_combined_with_dict():
    class Net(nn.Module, dict):
        pass

    net = Net()
    net["key"] = 1
    net.layer = nn.Linear(1, 1)
    assert net["key"] == 1 and list(net.state_dict()) == ["layer.weight", "layer.bias"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (lambda: nn.Parameter(rustnn.ones(1)), "cannot assign parameters before Module.__init__() call"),
        (lambda: nn.Identity(), "cannot assign module before Module.__init__() call"),
        (lambda: nn.Buffer(rustnn.ones(1)), "cannot assign buffer before Module.__init__() call"),
    ],
)
def test_registered_kinds_cannot_be_assigned_before_init(value, text):
    with pytest.raises(AttributeError) as error:
        Bare().x = value()
    assert str(error.value) == text


def test_plain_values_can_be_assigned_before_init():
    module = Bare()
    module.x = 1
    assert module.x == 1


def test_deleting_before_init_names_the_missing_registry():
    with pytest.raises(AttributeError, match="'Bare' object has no attribute '_parameters'"):
        del Bare().x


def test_calling_before_init_names_the_missing_registry():
    with pytest.raises(AttributeError, match="'Bare' object has no attribute '_backward_hooks'"):
        Bare()(1)


# ---- attributes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [3, "tensor", "module", "buffer"])
def test_only_none_or_a_parameter_replaces_a_parameter(value):
    value = {"tensor": rustnn.ones(1), "module": nn.Identity(), "buffer": nn.Buffer(rustnn.ones(1))}.get(value, value)
    module = nn.Linear(1, 1)
    with pytest.raises(TypeError, match=r"as parameter 'weight' \(torch.nn.Parameter or None expected\)"):
        module.weight = value


def test_assigning_a_tensor_over_a_parameter_names_its_type():
    with pytest.raises(TypeError) as error:
        nn.Linear(1, 1).weight = rustnn.ones(1)
    assert (
        str(error.value)
        == "cannot assign 'torch.FloatTensor' as parameter 'weight' (torch.nn.Parameter or None expected)"
    )


def test_only_none_or_a_module_replaces_a_module():
    module = nn.Module()
    module.x = nn.Identity()
    with pytest.raises(TypeError) as error:
        module.x = 5
    assert str(error.value) == "cannot assign 'int' as child module 'x' (torch.nn.Module or None expected)"
    module.x = None
    assert module._modules == {"x": None}


def test_only_none_or_a_tensor_replaces_a_buffer():
    module = nn.BatchNorm1d(2)
    with pytest.raises(TypeError) as error:
        module.running_mean = 5
    assert str(error.value) == (
        "cannot assign 'int' as buffer 'running_mean' (torch.nn.Buffer, torch.Tensor or None expected)"
    )


def test_a_parameter_replaces_a_module_or_buffer_of_that_name():
    module = nn.Module()
    module.x = nn.Identity()
    module.x = nn.Parameter(rustnn.ones(1))
    assert "x" in module._parameters and "x" not in module._modules
    module.register_buffer("y", rustnn.ones(1), persistent=False)
    module.y = nn.Parameter(rustnn.ones(1))
    assert "y" in module._parameters and "y" not in module._buffers
    assert "y" not in module._non_persistent_buffers_set


def test_a_module_replaces_a_buffer_of_that_name():
    module = nn.Module()
    module.register_buffer("x", rustnn.ones(1))
    module.x = nn.Identity()
    assert "x" in module._modules and "x" not in module._buffers


def test_overwriting_keeps_the_position_and_deleting_loses_it():
    module = nn.Module()
    for name in "abc":
        setattr(module, name, nn.Parameter(rustnn.ones(1)))
    module.a = nn.Parameter(rustnn.ones(1))
    assert list(module._parameters) == ["a", "b", "c"]
    module.a = None
    module.a = nn.Parameter(rustnn.ones(1))
    assert list(module._parameters) == ["a", "b", "c"]
    del module.a
    module.a = nn.Parameter(rustnn.ones(1))
    assert list(module._parameters) == ["b", "c", "a"]


def test_a_parameter_or_module_takes_the_place_of_a_plain_attribute():
    module = nn.Module()
    module.a = None
    module.b = None
    module.a = nn.Parameter(rustnn.ones(1))
    module.b = nn.Identity()
    assert "a" not in vars(module) and "b" not in vars(module)


def test_a_buffer_does_not_take_the_place_of_a_plain_attribute():
    module = nn.Module()
    module.p = 1
    with pytest.raises(KeyError, match="attribute 'p' already exists"):
        module.p = nn.Buffer(rustnn.ones(1))


def test_a_parameter_cannot_have_the_name_of_a_class_attribute():
    class Net(nn.Module):
        weight = 1

    with pytest.raises(KeyError, match="attribute 'weight' already exists"):
        Net().weight = nn.Parameter(rustnn.ones(1))


def test_a_module_under_a_class_attribute_is_stored_but_hidden():
    class Net(nn.Module):
        part = 1

    net = Net()
    net.part = nn.Identity()
    assert net.part == 1 and isinstance(net._modules["part"], nn.Identity)


def test_setattr_of_a_module_accepts_dots_while_a_parameter_does_not():
    module = nn.Module()
    setattr(module, "a.b", nn.Identity())
    setattr(module, "", nn.Identity())
    assert set(module._modules) == {"a.b", ""}
    with pytest.raises(KeyError):
        setattr(module, "a.c", nn.Parameter(rustnn.ones(1)))


def test_a_reserved_parameter_refuses_a_tensor_and_a_reserved_buffer_takes_it():
    module = nn.Module()
    module.register_parameter("p", None)
    module.register_buffer("b", None, persistent=False)
    with pytest.raises(TypeError):
        module.p = rustnn.ones(1)
    module.b = rustnn.ones(1)
    assert "b" in module._buffers and "b" in module._non_persistent_buffers_set


def test_plain_tensors_and_lists_of_modules_are_not_registered():
    module = nn.Module()
    module.t = rustnn.ones(1)
    module.l = [nn.Linear(1, 1)]
    assert list(module.parameters()) == [] and list(module.buffers()) == [] and list(module.children()) == []


def test_an_unknown_attribute_is_named():
    with pytest.raises(AttributeError) as error:
        nn.Linear(1, 1).zzz  # noqa: B018
    assert str(error.value) == "'Linear' object has no attribute 'zzz'"


def test_an_attribute_error_inside_a_property_names_its_cause():
    class Net(nn.Module):
        @property
        def broken(self):
            return self.inner_name

    with pytest.raises(AttributeError, match="inner_name"):
        Net().broken  # noqa: B018


def test_the_same_parameter_object_is_returned_each_time():
    layer = nn.Linear(1, 1)
    assert layer.weight is layer.weight
    assert layer.weight in {layer.weight}
    assert hash(layer.weight) == hash(layer._parameters["weight"])


def test_deleting_a_buffer_forgets_that_it_was_not_persistent():
    module = nn.Module()
    module.register_buffer("b", rustnn.ones(1), persistent=False)
    del module.b
    assert module._non_persistent_buffers_set == set()
    with pytest.raises(AttributeError):
        del module.b


def test_a_deleted_parameter_name_becomes_a_plain_attribute():
    layer = nn.Linear(1, 1)
    del layer.weight
    layer.weight = rustnn.ones(1, 1)
    assert "weight" in vars(layer)


def test_an_instance_forward_is_used_and_an_instance_call_is_not():
    module = nn.Identity()
    module.forward = lambda x: x + 1
    assert module(1) == 2
    vars(module)["__call__"] = lambda x: x + 10
    assert module(1) == 2


def test_dir_lists_parameters_modules_and_buffers_sorted_and_without_digits():
    net = nn.Sequential(nn.BatchNorm1d(2))
    names = dir(net[0])
    assert {"weight", "running_mean", "training"} <= set(names)
    assert names == sorted(names)
    assert "0" not in dir(net)
    assert all(hasattr(net[0], name) for name in names)


# ---- registration ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "kind", "text"),
    [
        (1, None, TypeError, "buffer name should be a string. Got int"),
        ("a.b", None, KeyError, "'buffer name can\\'t contain \".\"'"),
        ("", None, KeyError, "'buffer name can\\'t be empty string \"\"'"),
        ("training", None, KeyError, "\"attribute 'training' already exists\""),
        ("w", 5, TypeError, "cannot assign 'int' object to buffer 'w' (torch Tensor or None required)"),
    ],
)
def test_register_buffer_checks_in_order(name, value, kind, text):
    with pytest.raises(kind) as error:
        nn.Module().register_buffer(name, value)
    assert str(error.value) == text


def test_register_buffer_takes_anything_with_torch_function():
    class Like:
        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

    module = nn.Module()
    module.register_buffer("like", Like())
    assert isinstance(module.like, Like)


@pytest.mark.parametrize(
    ("name", "value", "kind", "text"),
    [
        ("a", 5, TypeError, "int is not a Module subclass"),
        (None, nn.Identity, TypeError, "module name should be a string. Got NoneType"),
        ("training", nn.Identity, KeyError, "\"attribute 'training' already exists\""),
        ("a.b", nn.Identity, KeyError, "'module name can\\'t contain \".\", got: a.b'"),
        ("", nn.Identity, KeyError, "'module name can\\'t be empty string \"\"'"),
    ],
)
def test_add_module_checks_in_order(name, value, kind, text):
    for method in ("add_module", "register_module"):
        with pytest.raises(kind) as error:
            getattr(nn.Module(), method)(name, value if isinstance(value, int) else value())
        assert str(error.value) == text


@pytest.mark.parametrize(
    ("name", "value", "kind", "text"),
    [
        (1, None, TypeError, "parameter name should be a string. Got int"),
        ("a.b", None, KeyError, "'parameter name can\\'t contain \".\"'"),
        ("", None, KeyError, "'parameter name can\\'t be empty string \"\"'"),
        ("training", None, KeyError, "\"attribute 'training' already exists\""),
        ("w", 5, TypeError, "cannot assign 'int' object to parameter 'w' (torch.nn.Parameter or None required)"),
    ],
)
def test_register_parameter_checks_in_order(name, value, kind, text):
    with pytest.raises(kind) as error:
        nn.Module().register_parameter(name, value)
    assert str(error.value) == text


def test_registering_again_overwrites_and_toggles_persistence():
    module = nn.Module()
    module.register_buffer("b", rustnn.ones(1), persistent=False)
    module.register_buffer("b", rustnn.zeros(1))
    assert list(module.state_dict()) == ["b"]
    module.register_buffer("b", rustnn.zeros(1), persistent=False)
    assert list(module.state_dict()) == []


def test_buffer_class_carries_its_persistence_into_the_module():
    module = nn.Module()
    module.a = nn.Buffer(rustnn.ones(1))
    module.b = nn.Buffer(rustnn.ones(1), persistent=False)
    assert list(module.state_dict()) == ["a"] and [name for name, _ in module.named_buffers()] == ["a", "b"]


def test_global_registration_hooks_see_and_replace_what_is_registered():
    seen = []
    replacement = nn.Tanh()

    def on_module(module, name, value):
        seen.append(("module", name, type(value).__name__))
        return replacement if name == "swap" else None

    handles = [
        module_file.register_module_module_registration_hook(on_module),
        module_file.register_module_parameter_registration_hook(lambda m, n, v: seen.append(("parameter", n))),
        module_file.register_module_buffer_registration_hook(lambda m, n, v: seen.append(("buffer", n))),
    ]
    try:
        module = nn.Module()
        module.a = nn.Identity()
        module.swap = nn.Identity()
        module.register_module("n", None)
        module.w = nn.Parameter(rustnn.ones(1))
        module.register_parameter("none", None)
        module.register_buffer("b", None)
    finally:
        for handle in handles:
            handle.remove()
    assert module.swap is replacement
    assert seen == [
        ("module", "a", "Identity"),
        ("module", "swap", "Identity"),
        ("module", "n", "NoneType"),
        ("parameter", "w"),
        ("buffer", "b"),
    ]


def test_an_overridden_register_buffer_without_persistent_still_works():
    class Net(nn.Module):
        def register_buffer(self, name, value):
            self._buffers[name] = value

    net = Net()
    net.register_buffer("b", rustnn.ones(1))
    net.b = rustnn.zeros(1)
    assert net.b.item() == 0
    with pytest.raises(RuntimeError, match="without the persistent argument is not allowed"):
        net.c = nn.Buffer(rustnn.ones(1), persistent=False)


# ---- access by path --------------------------------------------------------------------------------------------------


def net_of_two_levels():
    net = nn.Module()
    net.inner = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    return net


def test_get_submodule_follows_the_path():
    net = net_of_two_levels()
    assert net.get_submodule("") is net
    assert net.get_submodule("inner.0") is net.inner[0]
    with pytest.raises(AttributeError) as error:
        net.get_submodule("inner.0.zzz")
    assert str(error.value) == "Linear has no attribute `zzz`"
    with pytest.raises(AttributeError) as error:
        net.get_submodule("inner.0.weight")
    assert str(error.value) == "`weight` is not an nn.Module"


def test_get_parameter_and_get_buffer_tell_the_kinds_apart():
    net = net_of_two_levels()
    assert net.get_parameter("inner.0.weight") is net.inner[0].weight
    assert net.get_buffer("inner.1.running_mean") is net.inner[1].running_mean
    for method, target, text in (
        ("get_parameter", "inner.1.running_mean", "`running_mean` is not an nn.Parameter"),
        ("get_buffer", "inner.1.weight", "`weight` is not a buffer"),
        ("get_parameter", "inner.0.zzz", "Linear has no attribute `zzz`"),
        ("get_buffer", "inner.0.zzz", "Linear has no attribute `zzz`"),
    ):
        with pytest.raises(AttributeError) as error:
            getattr(net, method)(target)
        assert str(error.value) == text


def test_set_submodule_replaces_a_child_or_adds_one():
    net = net_of_two_levels()
    net.set_submodule("inner.0", nn.Tanh())
    net.set_submodule("other", nn.ReLU())
    assert isinstance(net.inner[0], nn.Tanh) and isinstance(net.other, nn.ReLU)


@pytest.mark.parametrize(
    ("target", "module", "strict", "kind", "text"),
    [
        ("", nn.Identity, False, ValueError, "Cannot set the submodule without a target name!"),
        ("inner.0", int, False, ValueError, "`module` is not an nn.Module, found <class 'int'>"),
        ("inner.9", nn.Identity, True, AttributeError, "Sequential has no attribute `9`"),
        ("zzz.0", nn.Identity, False, AttributeError, "Module has no attribute `zzz`"),
        ("inner.0.weight", nn.Identity, False, AttributeError, "`weight` is not an nn.Module"),
    ],
)
def test_set_submodule_refuses_what_does_not_fit(target, module, strict, kind, text):
    with pytest.raises(kind) as error:
        net_of_two_levels().set_submodule(target, module(), strict)
    assert str(error.value) == text


# ---- classes with several bases --------------------------------------------------------------------------------------


class Mixin:
    pass


class MixinFirst(Mixin, nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(rustnn.ones(1))


class MixinLast(nn.Module, Mixin):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(rustnn.ones(1))


@pytest.mark.parametrize("kind", [MixinFirst, MixinLast])
def test_a_class_with_a_mixin_copies_and_pickles(kind):
    import copy
    import pickle

    net = kind()
    for twin in (copy.copy(net), copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert type(twin) is kind and twin.w.item() == 1.0
    assert type(kind.__new__(kind)) is kind


def test_a_module_may_change_its_class():
    net = MixinFirst()
    net.__class__ = MixinLast
    assert type(net) is MixinLast
    net.__class__ = nn.Module
    assert type(net) is nn.Module
