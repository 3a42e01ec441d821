"""Module: what its native half (calls, attributes, state dicts) leaves to classes with ways of their own."""

import copy
import pickle
from collections import OrderedDict

import pytest

import rustnn
from rustnn import nn
from rustnn.nn.modules import module as module_file


class Twice(nn.Module):
    def forward(self, x):
        return x * 2


# ---- calls -----------------------------------------------------------------------------------------------------------


def test_overridden_steps_of_a_call_are_honoured():
    class Inner(Twice):
        def _call_impl(self, *args, **kwargs):
            return "inner", super()._call_impl(*args, **kwargs)

    class Outer(Twice):
        def _wrapped_call_impl(self, *args, **kwargs):
            return "outer", super()._wrapped_call_impl(*args, **kwargs)

    class Own(Inner):
        def __call__(self, x):
            return "own"

    assert Inner()(1) == ("inner", 2) and Outer()(1) == ("outer", 2) and Own()(1) == "own"


def test_a_class_may_get_another_call_or_forward_later():
    class Late(Twice):
        pass

    late = Late()
    Late.forward = lambda self, x: x * 3
    assert late(1) == 3
    late.register_forward_hook(lambda m, a, o: None)
    assert late(1) == 3
    Late.forward = nn.Identity()
    assert late(1) == 1


def test_forward_may_be_a_static_or_a_class_method():
    class Static(nn.Module):
        @staticmethod
        def forward(x):
            return x * 3

    class OfTheClass(nn.Module):
        @classmethod
        def forward(cls, x):
            return cls.__name__, x

    for module, expected in ((Static(), 6), (OfTheClass(), ("OfTheClass", 2))):
        assert module(2) == expected
        module.register_forward_hook(lambda m, a, o: None)
        assert module(2) == expected


def test_many_and_named_arguments_reach_forward_with_and_without_hooks():
    class All(nn.Module):
        def forward(self, *args, **kwargs):
            return args, kwargs

    module = All()
    for _ in range(2):
        assert module() == ((), {})
        assert module(*range(20), a=1, b=2) == (tuple(range(20)), {"a": 1, "b": 2})
        assert module(a=1) == ((), {"a": 1})
        module.register_forward_hook(lambda m, args, kwargs, out: None, with_kwargs=True)
        module.register_forward_pre_hook(lambda m, args: None)


def test_a_hook_that_replaces_a_registry_while_it_runs_is_harmless():
    module = Twice()

    def replaces(m, args, output):
        m._forward_hooks = OrderedDict()
        m._forward_hooks_with_kwargs = OrderedDict()

    module.register_forward_hook(replaces)
    module.register_forward_hook(lambda m, a, o: o + 1)
    assert module(1) == 3 and module(1) == 2


def test_a_deep_tower_of_hooked_modules_works():
    net = Twice()
    for _ in range(100):
        net = nn.Sequential(net)
        net.register_forward_hook(lambda m, a, o: o + 1)
    assert net(1) == 102


# ---- attributes ------------------------------------------------------------------------------------------------------


def test_constructing_sets_no_registry_through_setattr():
    names = []

    class Watched(nn.Module):
        def __setattr__(self, name, value):
            names.append(name)
            super().__setattr__(name, value)

    module = Watched()
    assert names == []
    module.layer = nn.Linear(1, 1)
    assert names == ["layer"] and isinstance(module._modules["layer"], nn.Linear)


def test_an_assignment_of_a_class_behind_module_is_honoured():
    class Behind:
        def __setattr__(self, name, value):
            self.__dict__.setdefault("log", []).append(name)
            super().__setattr__(name, value)

    class Mixed(nn.Module, Behind):
        pass

    module = Mixed()
    module.plain = 5
    module.weight = nn.Parameter(rustnn.ones(1))
    assert module.log == ["plain"] and "weight" in module._parameters


def test_an_overridden_register_parameter_sees_assignments():
    seen = []

    class Net(nn.Module):
        def register_parameter(self, name, param):
            seen.append(name)
            super().register_parameter(name, param)

    net = Net()
    net.weight = nn.Parameter(rustnn.ones(1))
    other = nn.Module()
    other.__dict__["register_parameter"] = lambda name, param: seen.append((name, "of the object"))
    other.weight = nn.Parameter(rustnn.ones(1))
    assert seen == ["weight", ("weight", "of the object")] and not other._parameters


def test_an_overridden_getattr_still_finds_the_registries():
    class Net(nn.Module):
        def __getattr__(self, name):
            try:
                return super().__getattr__(name)
            except AttributeError:
                return f"no {name}"

    net = Net()
    net.layer = nn.Identity()
    assert isinstance(net.layer, nn.Identity) and net.zzz == "no zzz"


def test_a_registry_of_another_class_of_dictionary_works():
    module = nn.Module()
    module._modules = OrderedDict(a=nn.Identity())
    module._parameters = OrderedDict()
    module.b = nn.Parameter(rustnn.ones(1))
    assert isinstance(module.a, nn.Identity) and list(module._parameters) == ["b"]
    assert list(module.state_dict()) == ["b"]


def test_a_stand_in_for_a_module_is_registered():
    import weakref

    inner = nn.Linear(1, 1)
    net = nn.Module()
    net.proxy = weakref.proxy(inner)
    assert list(net._modules) == ["proxy"]


def test_assigning_under_global_hooks_or_strange_names_takes_the_careful_way():
    module = nn.Module()
    with pytest.raises(TypeError):
        nn.Module.__setattr__(module, 5, 1)
    seen = []
    handle = module_file.register_module_parameter_registration_hook(lambda m, n, p: seen.append(n))
    try:
        module.w = nn.Parameter(rustnn.ones(1))
    finally:
        handle.remove()
    module.v = nn.Parameter(rustnn.ones(1))
    assert seen == ["w"]


# ---- state dicts -----------------------------------------------------------------------------------------------------


def nested():
    return nn.Sequential(OrderedDict(a=nn.Linear(2, 2), b=nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 1))))


def test_overridden_state_dicts_anywhere_in_the_tree_are_called():
    class Renames(nn.Linear):
        def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
            destination[prefix + "own"] = 1
            return destination

    class Saves(nn.Linear):
        def _save_to_state_dict(self, destination, prefix, keep_vars):
            destination[prefix + "saved"] = 2

    net = nn.Sequential(Renames(1, 1), nn.Sequential(Saves(1, 1)), nn.Linear(1, 1))
    net[2].__dict__["_save_to_state_dict"] = lambda destination, prefix, keep_vars: destination.update(
        {prefix + "x": 3}
    )
    assert list(net.state_dict()) == ["0.own", "1.0.saved", "2.x"]
    assert list(Saves(1, 1).state_dict()) == ["saved"]


def test_overridden_loading_anywhere_in_the_tree_is_called():
    log = []

    class Loads(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *rest):
            log.append((sorted(state_dict), prefix))
            super()._load_from_state_dict(state_dict, prefix, *rest)

    net = nn.Sequential(OrderedDict(a=nn.Sequential(Loads(1, 1)), b=nn.Linear(1, 1)))
    net.load_state_dict(net.state_dict())
    assert log == [(["a.0.bias", "a.0.weight"], "a.0.")]


def test_a_module_that_contains_itself_ends_in_a_recursion_error():
    net = nn.Module()
    net.child = nn.Module()
    net.child.parent = net
    with pytest.raises(RecursionError):
        net.state_dict()
    with pytest.raises(RecursionError):
        net.load_state_dict({})


def test_names_beyond_ascii_save_and_load():
    net = nn.Module()
    net.add_module("größe", nn.Linear(1, 1))
    state = net.state_dict(prefix="é")
    assert list(state) == ["égröße.weight", "égröße.bias"] and list(state._metadata) == ["", "égröße"]
    assert str(net.load_state_dict(net.state_dict())) == "<All keys matched successfully>"


def test_keys_that_are_no_strings_are_refused():
    with pytest.raises(AttributeError, match="'int' object has no attribute 'startswith'"):
        nn.Linear(1, 1).load_state_dict({5: rustnn.ones(1)})


@pytest.mark.parametrize("assign", [False, True])
def test_an_atomic_load_undoes_everything_when_a_hook_raises_midway(assign):
    net = nested()
    net.lazy = nn.LazyLinear(2)
    before = [
        (name, value, value.detach().clone()) for name, value in net.named_parameters() if not name.startswith("lazy")
    ]
    mean = net.b[0].running_mean.clone()
    state = {name: rustnn.full(value.shape, 9.0, dtype=value.dtype) for name, value in nested().state_dict().items()}
    state |= {"lazy.weight": rustnn.ones(2, 3), "lazy.bias": rustnn.ones(2)}
    state["a.bias"] = nn.Parameter(state["a.bias"], requires_grad=False)

    def fails(module, keys):
        raise KeyError("midway")

    net.register_load_state_dict_post_hook(fails)
    with pytest.raises(KeyError, match="midway"):
        net.load_state_dict(state, assign=assign, atomic=True)
    for name, param, value in before:
        assert net.get_parameter(name) is param and rustnn.equal(param, value), name
    assert rustnn.equal(net.b[0].running_mean, mean) and net.b[0].num_batches_tracked.item() == 0
    assert isinstance(net.lazy.weight, nn.UninitializedParameter) and repr(net.lazy.bias) == "<UninitializedParameter>"
    assert state["a.bias"].requires_grad is False
    assert net.lazy(rustnn.ones(1, 5)).shape == (1, 2)


def test_a_load_that_is_not_atomic_keeps_what_was_written():
    net = nested()
    with pytest.raises(RuntimeError):
        net.load_state_dict({"a.weight": rustnn.ones(2, 2), "zz": rustnn.ones(1)})
    assert net.a.weight.tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_skipped_mismatches_are_reported_and_strictness_stays():
    net = nested()
    state = net.state_dict()
    state["a.weight"] = rustnn.ones(3, 3)
    state["b.0.running_mean"] = rustnn.ones(5)
    before = net.a.weight.clone()
    result = net.load_state_dict(state, on_mismatch="skip")
    assert [(key, tuple(a), tuple(b)) for key, a, b in result.mismatched_keys] == [
        ("a.weight", (3, 3), (2, 2)),
        ("b.0.running_mean", (5,), (2,)),
    ]
    assert "mismatched_keys=[" in repr(result) and result.missing_keys == [] and rustnn.equal(net.a.weight, before)
    state["zz"] = rustnn.ones(1)
    with pytest.raises(RuntimeError, match="Unexpected key"):
        net.load_state_dict(state, on_mismatch="skip")
    with pytest.raises(ValueError, match="on_mismatch"):
        net.load_state_dict(state, on_mismatch="ignore")


# ---- copies ----------------------------------------------------------------------------------------------------------


def test_deepcopy_honours_what_a_class_overrides():
    class Stated(nn.Linear):
        def __getstate__(self):
            return {**super().__getstate__(), "stated": True}

    class Restored(nn.Linear):
        def __setstate__(self, state):
            super().__setstate__(state)
            self.__dict__["restored"] = True

    class Reduced(nn.Module):
        def __reduce_ex__(self, protocol):
            return Reduced, (), {**self.__dict__, "reduced": protocol}

    class New(nn.Module):
        def __new__(cls):
            made = super().__new__(cls)
            made.__dict__["made"] = "new"
            return made

        def __getnewargs__(self):
            return ()

    class Cloned(nn.Module):
        def __deepcopy__(self, memo):
            return "cloned"

    assert copy.deepcopy(Stated(1, 1)).stated and copy.deepcopy(Restored(1, 1)).restored
    assert copy.deepcopy(Reduced()).reduced == 4 and copy.deepcopy(New()).made == "new"
    assert copy.deepcopy(nn.ModuleDict({"a": nn.Identity()}))["a"] is not None
    assert copy.deepcopy(Cloned()) == "cloned"
    holder = nn.Module()
    holder.children_of_mine = [Stated(1, 1)]
    assert copy.deepcopy(holder).children_of_mine[0].stated


def test_deepcopy_keeps_what_is_shared_shared_and_copies_the_rest():
    net = nested()
    net.alias = net._modules
    net.settings = {"rate": [1]}
    net.same = net.settings
    net.tied = net.a.weight
    net.register_buffer("hidden", rustnn.ones(1), persistent=False)
    twin = copy.deepcopy(net)
    assert twin.alias is twin._modules and twin.alias is not net.alias
    assert twin.same is twin.settings and twin.settings["rate"] is not net.settings["rate"]
    assert twin.tied is twin.a.weight and twin.tied is not net.tied
    assert "hidden" in twin._non_persistent_buffers_set and type(twin._forward_hooks) is OrderedDict
    assert [type(part) for part in twin.modules()] == [type(part) for part in net.modules()]
    assert rustnn.equal(twin.b[0].running_mean, net.b[0].running_mean)


def test_a_recurrent_layer_copies_with_its_list_of_weights():
    lstm = nn.LSTM(2, 3, 2)
    twin = copy.deepcopy(lstm)
    assert twin._flat_weights[0] is twin.weight_ih_l0 and twin.weight_ih_l0 is not lstm.weight_ih_l0
    x = rustnn.ones(4, 1, 2)
    assert rustnn.equal(twin(x)[0], lstm(x)[0])
    assert rustnn.equal(pickle.loads(pickle.dumps(lstm))(x)[0], lstm(x)[0])


def test_compiling_a_module_changes_nothing():
    layer = nn.Linear(2, 1)
    x = rustnn.ones(1, 2)
    before = layer(x)
    assert layer.compile(mode="max-autotune", dynamic=True) is None
    assert rustnn.equal(layer(x), before) and vars(layer).keys() == vars(nn.Linear(2, 1)).keys()


# ---- notes -----------------------------------------------------------------------------------------------------------


def notes(call):
    with pytest.raises(Exception) as error:
        call()
    return getattr(error.value, "__notes__", [])


def test_a_note_gives_the_dotted_path_and_shapes_from_the_outermost_module():
    net = nn.Sequential(OrderedDict(enc=nn.Sequential(nn.ReLU(), nn.Linear(3, 2)), dec=nn.Linear(2, 1)))
    expected = ["in module 'enc.1' (Linear) of Sequential, called with (float32[4, 5])"]
    assert notes(lambda: net(rustnn.ones(4, 5))) == expected
    for part in (net, net.enc, net.enc[1]):
        part.register_forward_hook(lambda m, a, o: None)
    assert notes(lambda: net(rustnn.ones(4, 5))) == expected
    net.enc[1].register_full_backward_hook(lambda *a: None)
    assert notes(lambda: net(rustnn.ones(4, 5))) == expected


def test_a_note_is_written_when_a_hook_raises():
    net = nn.Sequential(nn.Identity())

    def fails(*args):
        raise ValueError("in a hook")

    for register in (net[0].register_forward_pre_hook, net[0].register_forward_hook):
        handle = register(fails)
        assert notes(lambda: net(5)) == ["in module '0' (Identity) of Sequential, called with (5)"]
        handle.remove()


def test_an_exception_class_without_room_for_notes_passes():
    class Closed(Exception):
        __slots__ = ()

        def add_note(self, note):
            raise TypeError("no notes")

    class Raises(nn.Module):
        def forward(self):
            raise Closed("as it was")

    with pytest.raises(Closed, match="as it was"):
        nn.Sequential(Raises())[0]()


def test_what_is_no_exception_gets_no_note():
    class Stops(nn.Module):
        def forward(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as error:
        Stops()()
    assert not hasattr(error.value, "__notes__")
