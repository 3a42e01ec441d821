"""Module: state_dict and load_state_dict (checklist sections 8 and 9)."""

import copy
import pickle
import warnings
from collections import OrderedDict

import pytest

import rustnn
from rustnn import nn


def layer(value=0.0):
    result = nn.Linear(2, 2)
    nn.init.constant_(result.weight, value)
    nn.init.constant_(result.bias, value)
    return result


# ---- state_dict ------------------------------------------------------------------------------------------------------


class WithExtra(nn.Module):
    def __init__(self, state=5):
        super().__init__()
        self.state = state
        self.w = nn.Parameter(rustnn.ones(1))
        self.child = nn.Linear(1, 1)
        self.register_buffer("b", rustnn.ones(1))
        self.register_buffer("hidden", rustnn.ones(1), persistent=False)
        self.register_parameter("none", None)

    def get_extra_state(self):
        return self.state

    def set_extra_state(self, state):
        self.state = state


def test_keys_come_as_parameters_buffers_extra_state_children():
    assert list(WithExtra().state_dict()) == ["w", "b", "_extra_state", "child.weight", "child.bias"]


def test_metadata_has_an_entry_for_every_module():
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.BatchNorm1d(1))
    assert net.state_dict()._metadata == OrderedDict(
        [("", {"version": 1}), ("0", {"version": 1}), ("1", {"version": 1}), ("2", {"version": 2})]
    )


def test_a_plain_dict_as_destination_gets_no_metadata():
    destination = {}
    assert layer().state_dict(destination=destination) is destination
    assert list(destination) == ["weight", "bias"]


def test_a_prefix_without_its_dot_is_taken_as_it_is():
    state = nn.Sequential(nn.Linear(1, 1)).state_dict(prefix="a")
    assert list(state) == ["a0.weight", "a0.bias"] and set(state._metadata) == {"", "a0"}


def test_tied_parameters_appear_under_every_name():
    net = nn.Module()
    net.a = nn.Linear(1, 1)
    net.b = net.a
    state = net.state_dict()
    assert list(state) == ["a.weight", "a.bias", "b.weight", "b.bias"]
    assert state["a.weight"].data_ptr() == state["b.weight"].data_ptr()


def test_values_are_detached_and_share_memory():
    net = layer(1.0)
    state = net.state_dict()
    assert type(state["weight"]) is rustnn.Tensor and not state["weight"].requires_grad
    with rustnn.no_grad():
        net.weight.fill_(7)
    assert state["weight"][0, 0].item() == 7.0


def test_keep_vars_puts_in_the_parameters_themselves():
    net = layer()
    assert net.state_dict(keep_vars=True)["weight"] is net.weight


def test_metadata_survives_copies_and_pickles():
    state = layer().state_dict()
    for twin in (copy.copy(state), copy.deepcopy(state), pickle.loads(pickle.dumps(state))):
        assert twin._metadata == state._metadata
    assert not hasattr(dict(state), "_metadata")


def test_positional_arguments_still_work_and_warn():
    destination = OrderedDict()
    with pytest.warns(FutureWarning, match="Positional args are being deprecated, use kwargs instead"):
        layer().state_dict(destination, "p.", True)
    assert list(destination) == ["p.weight", "p.bias"] and destination["p.weight"].requires_grad


def test_pre_hooks_run_per_module_before_its_part_is_saved():
    seen = []
    net = nn.Sequential(nn.Linear(1, 1))
    net[0].register_state_dict_pre_hook(lambda module, prefix, keep_vars: seen.append((prefix, keep_vars)))
    net.state_dict(prefix="x.")
    assert seen == [("x.0.", False)]


def test_the_private_post_hook_replaces_the_roots_result():
    net = layer()
    net._register_state_dict_hook(lambda module, state, prefix, metadata: {"replaced": 1})
    assert net.state_dict() == {"replaced": 1}
    outer = nn.Sequential(net)
    assert list(outer.state_dict()) == ["0.weight", "0.bias"]


def test_the_public_post_hook_edits_in_place_and_returns_none():
    net = layer()
    net.register_state_dict_post_hook(lambda module, state, prefix, metadata: state.update(more=1))
    assert "more" in net.state_dict()
    net.register_state_dict_post_hook(lambda module, state, prefix, metadata: state)
    with pytest.raises(RuntimeError, match="state_dict post-hook must return None"):
        net.state_dict()


def test_a_public_post_hook_cannot_be_registered_privately_too():
    def hook(module, state, prefix, metadata):
        return None

    net = layer()
    net.register_state_dict_post_hook(hook)
    with pytest.raises(RuntimeError, match="Cannot register the same function as the state dict post hook"):
        net._register_state_dict_hook(hook)


def test_a_bound_method_can_be_a_public_post_hook():
    class Hooks:
        def hook(self, module, state, prefix, metadata):
            state["bound"] = 1

    net = layer()
    net.register_state_dict_post_hook(Hooks().hook)
    assert "bound" in net.state_dict()


def test_extra_state_must_be_overridden_to_be_asked():
    with pytest.raises(RuntimeError, match="should never be called"):
        nn.Module().get_extra_state()
    with pytest.raises(RuntimeError, match="should never be called"):
        nn.Module().set_extra_state(1)


# ---- load_state_dict -------------------------------------------------------------------------------------------------


def test_loading_copies_values_and_says_that_all_matched():
    target = layer(0.0)
    weight = target.weight
    result = target.load_state_dict(layer(3.0).state_dict())
    assert repr(result) == str(result) == "<All keys matched successfully>"
    assert target.weight is weight and weight[0, 0].item() == 3.0 and weight.requires_grad


def test_only_mappings_load():
    with pytest.raises(TypeError) as error:
        layer().load_state_dict([])
    assert str(error.value) == "Expected state_dict to be dict-like, got <class 'list'>."


def test_missing_unexpected_and_mismatched_keys_are_listed_in_order():
    net = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict({"0.weight": rustnn.ones(3, 3), "zz": rustnn.ones(1)})
    assert str(error.value) == (
        'Error(s) in loading state_dict for Sequential:\n\tMissing key(s) in state_dict: "0.bias". '
        '\n\tUnexpected key(s) in state_dict: "zz". '
        "\n\tsize mismatch for 0.weight: copying a param with shape torch.Size([3, 3]) from checkpoint, "
        "the shape in current model is torch.Size([2, 2])."
    )


def test_not_strict_returns_the_keys():
    missing, unexpected = layer().load_state_dict({"bias": rustnn.ones(2), "zz": 1}, strict=False)
    assert missing == ["weight"] and unexpected == ["zz"]
    result = layer().load_state_dict({"bias": rustnn.ones(2)}, strict=False)
    assert repr(result) == "_IncompatibleKeys(missing_keys=['weight'], unexpected_keys=[])"


def test_another_shape_raises_even_if_not_strict():
    with pytest.raises(RuntimeError, match="size mismatch for weight"):
        layer().load_state_dict({"weight": rustnn.ones(3, 3)}, strict=False)


def test_on_mismatch_skip_leaves_parameters_of_another_shape_as_they_are():
    net = layer(1.0)
    result = net.load_state_dict({"weight": rustnn.ones(3, 3), "bias": rustnn.zeros(2)}, on_mismatch="skip")
    assert result.mismatched_keys == [("weight", (3, 3), (2, 2))] and result.missing_keys == []
    assert net.weight[0, 0].item() == 1.0 and net.bias[0].item() == 0.0
    assert "mismatched_keys" in repr(result)
    with pytest.raises(ValueError, match="on_mismatch"):
        net.load_state_dict({}, on_mismatch="other")


def test_a_failed_load_has_written_the_good_keys():
    net = layer(0.0)
    with pytest.raises(RuntimeError):
        net.load_state_dict({"weight": rustnn.ones(2, 2)})
    assert net.weight[0, 0].item() == 1.0


@pytest.mark.parametrize("assign", [False, True])
def test_a_failed_atomic_load_has_written_nothing(assign):
    net = WithExtra(state=1)
    before = {key: copy.deepcopy(value) for key, value in net.state_dict().items()}
    weight = net.w
    state = {"w": rustnn.zeros(1), "b": rustnn.zeros(1), "_extra_state": 9, "child.weight": rustnn.zeros(1, 1)}
    with pytest.raises(RuntimeError):
        net.load_state_dict(state, assign=assign, atomic=True)
    assert net.w is weight and net.state == 1
    for key, value in net.state_dict().items():
        assert value == before[key], key


def test_loading_casts_to_the_modules_dtype():
    net = layer()
    net.load_state_dict(
        {"weight": rustnn.ones(2, 2, dtype=rustnn.float64), "bias": rustnn.ones(2, dtype=rustnn.float16)}
    )
    assert net.weight.dtype == rustnn.float32 and net.bias.tolist() == [1.0, 1.0]


def test_loading_between_forward_and_backward_is_noticed():
    net = layer(1.0)
    out = net(rustnn.ones(1, 2, requires_grad=True)).sum()
    net.load_state_dict(layer(2.0).state_dict())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()


def test_a_vector_of_one_loads_into_a_scalar_and_not_the_reverse():
    net = nn.Module()
    net.s = nn.Parameter(rustnn.tensor(0.0))
    net.load_state_dict({"s": rustnn.tensor([2.0])})
    assert net.s.item() == 2.0
    net = nn.Module()
    net.s = nn.Parameter(rustnn.zeros(1))
    with pytest.raises(RuntimeError, match="size mismatch for s"):
        net.load_state_dict({"s": rustnn.tensor(2.0)})


def test_assign_takes_the_tensors_themselves_as_parameters():
    net = layer(0.0)
    net.bias.requires_grad_(False)
    state = {"weight": rustnn.ones(2, 2), "bias": nn.Parameter(rustnn.ones(2))}
    old = net.weight
    net.load_state_dict(state, assign=True)
    assert net.weight is not old and net.weight.requires_grad and isinstance(net.weight, nn.Parameter)
    assert net.weight.data_ptr() == state["weight"].data_ptr()
    assert net.bias is state["bias"] and net.bias.requires_grad is False
    assert list(net._parameters) == ["weight", "bias"]


def test_assign_takes_buffers_as_they_are_and_keeps_their_persistence():
    net = nn.BatchNorm1d(2)
    mean = rustnn.ones(2)
    net.load_state_dict({**net.state_dict(), "running_mean": mean}, assign=True)
    assert net.running_mean is mean and "running_mean" in net._buffers


def test_assign_leaves_the_callers_metadata_alone():
    state = layer(1.0).state_dict()
    layer().load_state_dict(state, assign=True)
    assert state._metadata == {"": {"version": 1}}
    other = layer(0.0)
    other.load_state_dict(state)
    assert other.weight.data_ptr() != state["weight"].data_ptr()


def test_an_assign_flag_left_in_a_file_is_ignored():
    state = layer(1.0).state_dict()
    state._metadata[""]["assign_to_params_buffers"] = True
    net = layer(0.0)
    net.load_state_dict(state)
    assert net.weight.data_ptr() != state["weight"].data_ptr() and net.weight[0, 0].item() == 1.0


def test_copying_into_a_meta_parameter_warns():
    net = nn.Linear(2, 2, device="meta")
    with pytest.warns(UserWarning, match="for weight: copying from a non-meta parameter in the checkpoint to a meta"):
        net.load_state_dict(layer().state_dict())


def test_what_is_no_tensor_is_reported():
    with pytest.raises(RuntimeError) as error:
        layer().load_state_dict({"weight": [1], "bias": rustnn.ones(2)}, strict=False)
    assert (
        'While copying the parameter named "weight", expected torch.Tensor or Tensor-like object from checkpoint but '
        "received <class 'list'>"
    ) in str(error.value)


def test_other_errors_are_reported_with_the_shapes():
    class Bad:
        shape = rustnn.Size([2, 2])
        is_meta = False

        def size(self):
            return self.shape

        @classmethod
        def __torch_function__(cls, func, types, args=(), kwargs=None):
            raise ValueError("cannot be copied")

    with pytest.raises(RuntimeError) as error:
        layer().load_state_dict({"weight": Bad(), "bias": rustnn.ones(2)})
    assert (
        'While copying the parameter named "weight", whose dimensions in the model are torch.Size([2, 2]) and whose '
        "dimensions in the checkpoint are torch.Size([2, 2]), an exception occurred : ("
    ) in str(error.value)


def test_a_child_sees_only_its_own_keys():
    seen = []

    class Child(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *args):
            seen.append((prefix, sorted(state_dict)))
            super()._load_from_state_dict(state_dict, prefix, *args)

    net = nn.Sequential(Child(1, 1), Child(1, 1))
    net.load_state_dict(net.state_dict())
    assert seen == [("0.", ["0.bias", "0.weight"]), ("1.", ["1.bias", "1.weight"])]


def test_a_parents_pre_hook_may_rename_keys_for_its_children():
    net = nn.Sequential(nn.Linear(1, 1))

    def rename(state_dict, prefix, *args):
        for key in list(state_dict):
            state_dict[key.replace("old", "0")] = state_dict.pop(key)

    net._register_load_state_dict_pre_hook(rename)
    net.load_state_dict({"old.weight": rustnn.ones(1, 1), "old.bias": rustnn.ones(1)})
    assert net[0].weight.item() == 1.0


def test_keys_under_unknown_or_empty_names_are_unexpected():
    net = nn.Sequential(nn.Linear(1, 1))
    net.none = None
    net.register_module("empty", None)
    net.register_buffer("hidden", rustnn.ones(1), persistent=False)
    net.register_parameter("nothing", None)
    state = net.state_dict()
    extra = ["0.weight.bad", "9.weight", "hidden", "nothing", "empty.weight"]
    for key in extra:
        state[key] = rustnn.ones(1)
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert missing == [] and sorted(unexpected) == sorted(extra)


def test_extra_state_goes_round():
    net = WithExtra(1)
    net.load_state_dict(WithExtra({"any": "thing"}).state_dict())
    assert net.state == {"any": "thing"}


def test_extra_state_may_be_missing_or_unexpected():
    state = WithExtra().state_dict()
    del state["_extra_state"]
    with pytest.raises(RuntimeError, match='Missing key\\(s\\) in state_dict: "_extra_state"'):
        WithExtra().load_state_dict(state)

    class OnlyGet(nn.Module):
        def get_extra_state(self):
            return 1

    with pytest.raises(RuntimeError, match='Unexpected key\\(s\\) in state_dict: "_extra_state"'):
        OnlyGet().load_state_dict(OnlyGet().state_dict())


def test_local_metadata_is_what_was_saved_for_the_module():
    seen = []
    net = nn.Sequential(nn.BatchNorm1d(1))
    net[0]._register_load_state_dict_pre_hook(lambda sd, prefix, metadata, *args: seen.append(metadata))
    net.load_state_dict(net.state_dict())
    net.load_state_dict(dict(net.state_dict()))
    assert seen == [{"version": 2}, {}]


def test_old_batchnorm_files_get_their_count():
    net = nn.BatchNorm1d(2)
    state = net.state_dict()
    del state["num_batches_tracked"]
    state._metadata[""]["version"] = 1
    assert net.load_state_dict(state).missing_keys == []
    state._metadata[""]["version"] = 2
    with pytest.raises(RuntimeError, match='"num_batches_tracked"'):
        net.load_state_dict(state)


def test_pre_hooks_get_the_module_if_asked():
    seen = []
    net = layer()
    net._register_load_state_dict_pre_hook(lambda *args: seen.append(len(args)))
    net._register_load_state_dict_pre_hook(lambda module, *args: seen.append((module, len(args))), with_module=True)
    net.register_load_state_dict_pre_hook(lambda module, *args: seen.append((module, len(args))))
    net.load_state_dict(net.state_dict())
    assert seen == [7, (net, 7), (net, 7)]


def load_hook(module, *args):
    module.hook_ran = True


def test_a_pre_hook_follows_its_module_into_copies_and_pickles():
    net = layer()
    net.register_load_state_dict_pre_hook(load_hook)
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        twin.load_state_dict(net.state_dict())
        assert twin.hook_ran and not hasattr(net, "hook_ran")


def test_a_pre_hook_of_a_dead_module_says_so():
    net = layer()
    net.register_load_state_dict_pre_hook(load_hook)
    (hook,) = net._load_state_dict_pre_hooks.values()
    del net
    with pytest.raises(RuntimeError, match="You are trying to call the hook of a dead Module!"):
        hook()


def test_post_hooks_see_the_global_lists_after_the_children():
    seen = []
    net = nn.Sequential(nn.Linear(1, 1))
    net.register_load_state_dict_post_hook(lambda module, keys: seen.append(("root", list(keys.missing_keys))))
    net[0].register_load_state_dict_post_hook(lambda module, keys: seen.append(("child", list(keys.missing_keys))))
    net.load_state_dict({"0.weight": rustnn.ones(1, 1)}, strict=False)
    assert seen == [("child", ["0.bias"]), ("root", ["0.bias"])]


def test_a_post_hook_may_clear_or_add_what_strict_judges():
    net = layer()
    handle = net.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.clear())
    net.load_state_dict({"weight": rustnn.ones(2, 2)})
    handle.remove()
    net.register_load_state_dict_post_hook(lambda module, keys: keys.missing_keys.append("made up"))
    with pytest.raises(RuntimeError, match="made up"):
        net.load_state_dict(net.state_dict())


def test_a_post_hook_that_returns_something_is_refused():
    net = layer()
    net.register_load_state_dict_post_hook(lambda module, keys: keys)
    with pytest.raises(AssertionError, match="are not expected to return new values"):
        net.load_state_dict(net.state_dict())


def test_overridden_save_and_load_concern_their_own_level():
    class Custom(nn.Module):
        def __init__(self):
            super().__init__()
            self.value = 1
            self.child = nn.Linear(1, 1)

        def _save_to_state_dict(self, destination, prefix, keep_vars):
            destination[prefix + "value"] = self.value

        def _load_from_state_dict(self, state_dict, prefix, metadata, strict, missing, unexpected, errors):
            self.value = state_dict[prefix + "value"]

    source, target = nn.Sequential(Custom()), nn.Sequential(Custom())
    source[0].value = 8
    state = source.state_dict()
    assert list(state) == ["0.value", "0.child.weight", "0.child.bias"]
    target.load_state_dict(state)
    assert target[0].value == 8 and target[0].child.weight.item() == source[0].child.weight.item()


def test_loading_leaves_no_reference_cycle():
    import gc
    import weakref

    net = layer()
    state = net.state_dict()
    gc.disable()
    try:
        net.load_state_dict(state)
        reference = weakref.ref(net)
        del net
        assert reference() is None
    finally:
        gc.enable()


def test_consume_prefix_strips_keys_and_metadata():
    from rustnn.nn.modules.utils import consume_prefix_in_state_dict_if_present

    wrapper = nn.Module()
    wrapper.module = nn.Sequential(nn.Linear(1, 1))
    state = wrapper.state_dict()
    consume_prefix_in_state_dict_if_present(state, "module.")
    assert list(state) == ["0.weight", "0.bias"]
    assert set(state._metadata) == {"", "0"}
    nn.Sequential(nn.Linear(1, 1)).load_state_dict(state)


def test_loading_is_silent():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = layer()
        net.load_state_dict(net.state_dict())


def test_keys_that_were_put_together_before_are_those_of_the_model_at_hand():
    def net(*names):
        return nn.ModuleDict({name: nn.Linear(1, 1) for name in names})

    first, second = net("a", "b", "c"), net("a", "x", "c")
    for _ in range(2):
        for model, names in ((first, "abc"), (second, "axc"), (first["a"], "")):
            keys = [f"{name}.{part}" for name in names for part in ("weight", "bias")] or ["weight", "bias"]
            assert list(model.state_dict()) == keys
            assert list(model.state_dict(prefix="p.")) == [f"p.{key}" for key in keys]
    first["d"] = nn.BatchNorm1d(1)
    del first["a"]
    assert list(first.state_dict())[:5] == ["b.weight", "b.bias", "c.weight", "c.bias", "d.weight"]


def test_a_state_dict_that_a_module_asks_for_while_one_is_made_is_right_too():
    class Nested(nn.Linear):
        def _save_to_state_dict(self, destination, prefix, keep_vars):
            super()._save_to_state_dict(destination, prefix, keep_vars)
            inner = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1)).state_dict()
            destination[prefix + "inner"] = list(inner)

    model = nn.Sequential(nn.Linear(1, 1), Nested(1, 1), nn.Linear(1, 1))
    for _ in range(2):
        state = model.state_dict()
        assert list(state) == ["0.weight", "0.bias", "1.weight", "1.bias", "1.inner", "2.weight", "2.bias"]
        assert state["1.inner"] == ["0.weight", "0.bias", "1.weight", "1.bias"]
