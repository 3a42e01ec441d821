"""Module: walking the tree (checklist section 4)."""

import pytest

import rustnn
from rustnn import nn


def tree():
    net = nn.Module()
    net.a = nn.Linear(1, 1)
    net.b = nn.Sequential(nn.BatchNorm1d(1), net.a)
    net.none = None
    net.register_module("empty", None)
    return net


def test_named_modules_goes_parents_first_and_names_a_shared_module_once():
    assert [name for name, _ in tree().named_modules()] == ["", "a", "b", "b.0"]


def test_named_modules_lists_every_path_without_removing_duplicates():
    assert [name for name, _ in tree().named_modules(remove_duplicate=False)] == ["", "a", "b", "b.0", "b.1"]
    assert len(list(tree().modules(remove_duplicate=False))) == 5


def test_named_modules_takes_a_prefix_and_a_memo():
    net = tree()
    assert [name for name, _ in net.named_modules(prefix="x")] == ["x", "x.a", "x.b", "x.b.0"]
    assert list(net.named_modules({net})) == []


def test_named_modules_ends_in_a_cycle():
    net = nn.Module()
    net.child = nn.Module()
    net.child.parent = net
    assert [name for name, _ in net.named_modules()] == ["", "child"]


def test_named_modules_calls_the_childs_own_method():
    class Hidden(nn.Module):
        def named_modules(self, memo=None, prefix="", remove_duplicate=True):
            return iter(())

    assert [name for name, _ in nn.Sequential(Hidden()).named_modules()] == [""]


def test_children_come_once_and_none_is_left_out():
    net = nn.Module()
    net.a = nn.Identity()
    net.b = net.a
    net.register_module("c", None)
    assert list(net.named_children()) == [("a", net.a)]
    assert list(net.children()) == [net.a]


def test_parameters_are_given_once_under_their_first_name():
    net = tree()
    assert [name for name, _ in net.named_parameters()] == ["a.weight", "a.bias", "b.0.weight", "b.0.bias"]
    tied = nn.Module()
    tied.one = nn.Linear(1, 1)
    tied.two = nn.Linear(1, 1)
    tied.two.weight = tied.one.weight
    assert [n for n, _ in tied.named_parameters()] == ["one.weight", "one.bias", "two.bias"]
    assert [n for n, _ in tied.named_parameters(remove_duplicate=False)] == [
        "one.weight",
        "one.bias",
        "two.weight",
        "two.bias",
    ]


def test_named_parameters_takes_prefix_and_recurse():
    net = tree()
    assert [name for name, _ in net.named_parameters(prefix="p", recurse=False)] == []
    assert [name for name, _ in net.a.named_parameters(prefix="p")] == ["p.weight", "p.bias"]


def test_named_buffers_lists_persistent_and_other_buffers():
    net = tree()
    net.register_buffer("x", rustnn.ones(1), persistent=False)
    assert [name for name, _ in net.named_buffers()] == [
        "x",
        "b.0.running_mean",
        "b.0.running_var",
        "b.0.num_batches_tracked",
    ]
    assert len(list(net.buffers(recurse=False))) == 1


def test_changing_children_while_walking_raises():
    net = nn.Sequential(nn.Identity(), nn.Identity())
    with pytest.raises(RuntimeError, match="dictionary changed size"):
        for _ in net.named_children():
            net.add_module(f"new{len(net)}", nn.Identity())


def test_apply_visits_children_first_and_a_shared_module_once_per_parent():
    net = tree()
    seen = []
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["Linear", "BatchNorm1d", "Linear", "Sequential", "Module"]
