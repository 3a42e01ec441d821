"""Module: calls and forward hooks, notes on exceptions, handles (checklist sections 5 and 7)."""

import copy
import gc
import pickle
import warnings
import weakref
from collections import OrderedDict

import pytest

import rustnn
from rustnn import nn
from rustnn.nn.modules import module as module_file
from rustnn.utils.hooks import RemovableHandle


@pytest.fixture(autouse=True)
def no_global_hooks_left():
    yield
    for name in (
        "_global_forward_pre_hooks",
        "_global_forward_hooks",
        "_global_forward_hooks_always_called",
        "_global_forward_hooks_with_kwargs",
    ):
        setattr(module_file, name, OrderedDict())


class Add(nn.Module):
    def forward(self, x, *, amount=1):
        return x + amount


class Fails(nn.Module):
    def forward(self, x):
        raise ValueError("inside forward")


def logger(log, text):
    return lambda *args: log.append(text)


def test_hooks_run_in_order_global_first():
    log = []
    layer = Add()
    layer.register_forward_hook(logger(log, "own"))
    layer.register_forward_pre_hook(logger(log, "own pre"))
    module_file.register_module_forward_hook(logger(log, "global"))
    module_file.register_module_forward_pre_hook(logger(log, "global pre"))
    layer(1)
    assert log == ["global pre", "own pre", "global", "own"]


def test_a_rebound_global_registry_is_respected():
    log = []
    module_file.register_module_forward_hook(logger(log, "global"))
    module_file._global_forward_hooks = OrderedDict()
    Add()(1)
    assert log == []


def test_a_hook_may_remove_itself_and_others_while_running():
    log = []
    layer = Add()
    handles = []

    def first(module, args, output):
        log.append("first")
        for handle in handles:
            handle.remove()

    handles.append(layer.register_forward_hook(first))
    handles.append(layer.register_forward_hook(logger(log, "second")))
    layer(1)
    layer(1)
    assert log == ["first", "second"]


def test_a_pre_hook_may_remove_itself_while_running():
    layer = Add()
    handle = layer.register_forward_pre_hook(lambda module, args: handle.remove())
    assert layer(1) == 2 and layer(1) == 2 and len(layer._forward_pre_hooks) == 0


def test_a_hook_registered_in_a_forward_hook_runs_from_the_next_call():
    log = []
    layer = Add()

    def register(module, args, output):
        module.register_forward_hook(logger(log, "late"))

    handle = layer.register_forward_hook(register)
    layer(1)
    assert log == []
    handle.remove()
    layer(1)
    assert log == ["late"]


def test_a_forward_hook_registered_in_forward_runs_in_the_same_call_if_a_hook_was_there():
    log = []

    class Net(nn.Module):
        def forward(self, x):
            self.register_forward_hook(logger(log, "from forward"))
            return x

    net = Net()
    net(1)
    assert log == []
    net = Net()
    net.register_forward_pre_hook(lambda module, args: None)
    net(1)
    assert log == ["from forward"]


def test_prepended_hooks_run_last_in_first_out():
    order = []
    layer = Add()
    for number, prepend in ((0, False), (1, True), (2, False), (3, False), (4, True)):
        layer.register_forward_hook(lambda m, a, o, number=number: order.append(number), prepend=prepend)
    layer(1)
    assert order == [4, 1, 0, 2, 3]
    order.clear()
    layer = Add()
    for number, prepend in ((0, False), (1, True), (2, False), (3, False), (4, True)):
        layer.register_forward_pre_hook(lambda m, a, number=number: order.append(number), prepend=prepend)
    layer(1)
    assert order == [4, 1, 0, 2, 3]


def test_what_a_pre_hook_returns_replaces_the_arguments():
    class Both(nn.Module):
        def forward(self, *args):
            return args

    net = Both()
    net.register_forward_pre_hook(lambda module, args: 5)
    assert net(1, 2) == (5,)
    net = Both()
    net.register_forward_pre_hook(lambda module, args: (5, 6))
    assert net(1) == (5, 6)
    net = Both()
    net.register_forward_pre_hook(lambda module, args: [5, 6])
    assert net(1) == ([5, 6],)
    net = Both()
    net.register_forward_pre_hook(lambda module, args: None)
    assert net(1) == (1,)


def test_a_pre_hook_with_kwargs_sees_and_replaces_both():
    layer = Add()
    layer.register_forward_pre_hook(lambda m, args, kwargs: (args, {"amount": 10}), with_kwargs=True)
    assert layer(1, amount=2) == 11


def test_a_pre_hook_with_kwargs_may_edit_the_dict_in_place():
    layer = Add()
    layer.register_forward_pre_hook(lambda m, args, kwargs: kwargs.update(amount=20), with_kwargs=True)
    assert layer(1) == 21


def test_a_pre_hook_with_kwargs_must_return_a_pair():
    layer = Add()
    layer.register_forward_pre_hook(lambda m, args, kwargs: (1,), with_kwargs=True)
    with pytest.raises(RuntimeError) as error:
        layer(1)
    assert str(error.value) == "forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got (1,)."


def test_what_a_forward_hook_returns_replaces_the_output():
    layer = Add()
    layer.register_forward_hook(lambda module, args, output: (output, "more"))
    assert layer(1) == (2, "more")


def test_a_forward_hook_with_kwargs_gets_them_before_the_output():
    seen = []
    layer = Add()
    layer.register_forward_hook(lambda m, args, kwargs, output: seen.append((args, kwargs, output)), with_kwargs=True)
    layer(1, amount=3)
    assert seen == [((1,), {"amount": 3}, 4)]


def test_removing_a_handle_clears_the_flag_registries():
    layer = Add()
    handle = layer.register_forward_hook(lambda *args: None, with_kwargs=True, always_call=True)
    pre = layer.register_forward_pre_hook(lambda *args: None, with_kwargs=True)
    assert handle.id in layer._forward_hooks_with_kwargs and handle.id in layer._forward_hooks_always_called
    handle.remove()
    pre.remove()
    assert not layer._forward_hooks_with_kwargs and not layer._forward_hooks_always_called
    assert not layer._forward_pre_hooks_with_kwargs


def test_always_call_hooks_run_once_when_forward_raises():
    log = []
    layer = Fails()
    module_file.register_module_forward_hook(lambda m, a, o: log.append(("global", o)), always_call=True)
    layer.register_forward_hook(lambda m, a, o: log.append(("own", o)), always_call=True)
    layer.register_forward_hook(lambda m, a, o: log.append("never"))
    with pytest.raises(ValueError, match="inside forward"):
        layer(1)
    assert log == [("global", None), ("own", None)]


def test_always_call_hooks_run_when_a_pre_hook_raises():
    log = []
    layer = Add()

    def bad(module, args):
        raise ValueError("in the pre-hook")

    layer.register_forward_pre_hook(bad)
    layer.register_forward_hook(logger(log, "always"), always_call=True)
    with pytest.raises(ValueError, match="in the pre-hook"):
        layer(1)
    assert log == ["always"]


def test_an_always_call_hook_that_failed_itself_is_not_run_again():
    log = []

    def bad(module, args, output):
        log.append("bad")
        raise ValueError("in the hook")

    layer = Add()
    layer.register_forward_hook(bad, always_call=True)
    layer.register_forward_hook(logger(log, "next"), always_call=True)
    with pytest.raises(ValueError, match="in the hook"):
        layer(1)
    assert log == ["bad", "next"]


def test_exceptions_of_always_call_hooks_become_warnings():
    def bad(module, args, output):
        raise ValueError("in the hook")

    layer = Fails()
    layer.register_forward_hook(bad, always_call=True)
    with pytest.warns(UserWarning) as record, pytest.raises(ValueError, match="inside forward"):
        layer(1)
    assert str(record[0].message).startswith(
        "module forward hook with ``always_call=True`` raised an exception that was silenced as another error was "
        "raised in forward: in the hook"
    )


def test_always_call_hooks_do_not_run_for_keyboard_interrupt():
    class Interrupted(nn.Module):
        def forward(self, x):
            raise KeyboardInterrupt

    log = []
    layer = Interrupted()
    layer.register_forward_hook(logger(log, "always"), always_call=True)
    with pytest.raises(KeyboardInterrupt):
        layer(1)
    assert log == []


def test_a_global_always_call_hook_with_kwargs_gets_them_when_forward_raises():
    log = []
    module_file.register_module_forward_hook(
        lambda m, args, kwargs, output: log.append(kwargs), with_kwargs=True, always_call=True
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError):
            Fails()(1)
    assert log == [{}]


def test_removing_a_global_hook_clears_its_flags():
    handle = module_file.register_module_forward_hook(lambda *args: None, with_kwargs=True, always_call=True)
    handle.remove()
    assert not module_file._global_forward_hooks_with_kwargs
    assert not module_file._has_any_global_hook()


def test_global_hooks_with_kwargs_get_them():
    seen = []
    module_file.register_module_forward_hook(lambda m, a, kwargs, o: seen.append(kwargs), with_kwargs=True)
    Add()(1, amount=4)
    assert seen == [{"amount": 4}]


@pytest.mark.parametrize("kind", [nn.Module, nn.ModuleList, nn.ModuleDict])
def test_a_module_without_forward_says_so(kind):
    with pytest.raises(NotImplementedError) as error:
        kind()(1)
    assert str(error.value) == f'Module [{kind.__name__}] is missing the required "forward" function'


def test_hooks_do_not_run_when_forward_is_called_directly():
    log = []
    layer = Add()
    layer.register_forward_hook(logger(log, "hook"))
    assert layer.forward(1) == 2 and log == []


def test_a_compiled_call_takes_over_and_is_not_copied():
    layer = Add()
    layer._compiled_call_impl = lambda x: "compiled"
    assert layer(1) == "compiled"
    assert copy.deepcopy(layer)(1) == 2
    assert "_compiled_call_impl" not in layer.__getstate__()


# ---- notes on exceptions ---------------------------------------------------------------------------------------------


def notes_of(call, *args, **kwargs):
    with pytest.raises(Exception) as error:
        call(*args, **kwargs)
    return getattr(error.value, "__notes__", [])


def test_an_exception_names_the_module_and_its_arguments():
    net = nn.Sequential(nn.Sequential(nn.Linear(4, 8), Fails()))
    (note,) = notes_of(net, rustnn.ones(3, 4))
    assert note == "in module '0.1' (Fails) of Sequential, called with (float32[3, 8])"


def test_the_outermost_module_itself_needs_no_path():
    assert notes_of(Fails(), 5) == ["in module Fails, called with (5)"]


def test_the_note_is_there_with_hooks_too():
    net = nn.Sequential(Fails())
    net.register_forward_hook(lambda *args: None)
    net[0].register_forward_pre_hook(lambda *args: None)
    assert notes_of(net, None) == ["in module '0' (Fails) of Sequential, called with (None)"]


def test_a_module_that_is_no_registered_child_is_named_by_its_class():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.parts = [Fails()]

        def forward(self, x):
            return self.parts[0](x)

    assert notes_of(Net(), 1) == ["in module '<Fails>' (Fails) of Net, called with (1)"]


# ---- handles ---------------------------------------------------------------------------------------------------------


def test_ids_are_unique_over_all_kinds_of_hooks():
    layer = Add()
    ids = [
        layer.register_forward_hook(lambda *a: None).id,
        layer.register_forward_pre_hook(lambda *a: None).id,
        layer.register_full_backward_hook(lambda *a: None).id,
        layer.register_state_dict_pre_hook(lambda *a: None).id,
    ]
    assert ids == sorted(set(ids))
    assert RemovableHandle.next_id == ids[-1] + 1


def test_removing_twice_or_after_the_module_died_is_harmless():
    layer = Add()
    handle = layer.register_forward_hook(lambda *a: None)
    handle.remove()
    handle.remove()
    other = layer.register_forward_hook(lambda *a: None)
    del layer
    gc.collect()
    assert other.hooks_dict_ref() is None
    other.remove()


def test_a_handle_is_a_context_manager():
    layer = Add()
    with layer.register_forward_hook(lambda m, a, o: 7):
        assert layer(1) == 7
    assert layer(1) == 2


def test_a_handle_pickles_with_its_registries_and_moves_the_counter():
    registry = OrderedDict()
    handle = RemovableHandle(registry, extra_dict=OrderedDict())
    state = handle.__getstate__()
    assert state[1] == handle.id and len(state) == 3
    registry, other = pickle.loads(pickle.dumps((registry, RemovableHandle(registry))))
    assert other.hooks_dict_ref() is registry
    restored = RemovableHandle.__new__(RemovableHandle)
    restored.__setstate__((registry, RemovableHandle.next_id + 10))
    assert RemovableHandle.next_id == restored.id + 1


def module_level_hook(module, args, output):
    return None


def test_a_copied_module_has_its_own_hooks():
    layer = Add()
    handle = layer.register_forward_hook(module_level_hook)
    twin = copy.deepcopy(layer)
    handle.remove()
    assert len(twin._forward_hooks) == 1 and len(layer._forward_hooks) == 0


def test_a_bound_method_hook_is_bound_to_the_copy():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls = 0
            self.register_forward_hook(self.hook)

        def hook(self, module, args, output):
            self.calls += 1

        def forward(self, x):
            return x

    net = Net()
    twin = copy.deepcopy(net)
    twin(1)
    assert (net.calls, twin.calls) == (0, 1)


def test_a_module_with_hooks_pickles_if_the_hooks_do():
    layer = nn.Identity()
    layer.register_forward_hook(module_level_hook)
    assert len(pickle.loads(pickle.dumps(layer))._forward_hooks) == 1
    layer.register_forward_hook(lambda *a: None)
    with pytest.raises(Exception):  # noqa: B017
        pickle.dumps(layer)


def test_a_module_without_references_dies_at_once():
    layer = Add()
    layer.register_forward_hook(module_level_hook)
    layer(1)
    reference = weakref.ref(layer)
    del layer
    assert reference() is None
