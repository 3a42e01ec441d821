"""nn.utils: parametrized, normalised, pruned and replaced parameters."""

import copy
import pickle
import warnings

import pytest

import rustnn
from rustnn import nn
from rustnn.nn.utils import parametrize, prune, stateless
from rustnn.nn.utils.stateless import _functional_call as functional_call

pytestmark = pytest.mark.filterwarnings("ignore:.*is deprecated")


class Doubled(nn.Module):
    def forward(self, x):
        return x * 2

    def right_inverse(self, y):
        return y / 2


class Squared(nn.Module):
    def forward(self, x):
        return x * x


def test_a_parametrized_weight_is_computed_at_each_use():
    layer = nn.Linear(2, 2)
    before = layer.weight.detach().clone()
    assert parametrize.register_parametrization(layer, "weight", Doubled()) is layer
    assert rustnn.equal(layer.weight, before), "the inverse gave the original"
    assert rustnn.equal(layer.parametrizations.weight.original, before / 2)
    assert list(layer.state_dict()) == ["bias", "parametrizations.weight.original"]
    assert type(layer).__name__ == "ParametrizedLinear" and isinstance(layer, nn.Linear)
    layer.weight = rustnn.ones(2, 2)
    assert layer.parametrizations.weight.original[0, 0].item() == 0.5


def test_parametrizations_stack_and_are_removed():
    layer = nn.Linear(2, 2)
    nn.init.constant_(layer.weight, 3.0)
    parametrize.register_parametrization(layer, "weight", Squared())
    parametrize.register_parametrization(layer, "weight", Doubled())
    assert layer.weight[0, 0].item() == 18.0
    twin = copy.deepcopy(layer)
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and layer.weight[0, 0].item() == 18.0
    assert parametrize.is_parametrized(twin, "weight") and twin.weight[0, 0].item() == 18.0
    parametrize.remove_parametrizations(twin, "weight", leave_parametrized=False)
    assert twin.weight[0, 0].item() == 3.0


def test_a_parametrized_module_refuses_to_be_pickled_whole():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Doubled())
    with pytest.raises(RuntimeError, match="only supported through state_dict"):
        pickle.dumps(layer)


def test_a_parametrization_must_keep_the_shape():
    class Flat(nn.Module):
        def forward(self, x):
            return x.flatten()

    with pytest.raises(ValueError, match="may not change the shape of the tensor"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weight", Flat())
    with pytest.raises(ValueError, match="does not have a parameter, a buffer, or a parametrized element"):
        parametrize.register_parametrization(nn.Linear(2, 2), "other", Doubled())


def test_cached_computes_once():
    layer = parametrize.register_parametrization(nn.Linear(2, 2), "weight", Doubled())
    assert layer.weight is not layer.weight
    with parametrize.cached():
        assert layer.weight is layer.weight


@pytest.mark.parametrize("make", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
def test_weight_norm_keeps_the_weight_and_splits_length_from_direction(make):
    layer = nn.Linear(3, 2)
    weight = layer.weight.detach().clone()
    layer = make(layer)
    assert rustnn.allclose(layer.weight, weight, atol=1e-6)
    layer(rustnn.ones(1, 3)).sum().backward()
    names = {name: tuple(parameter.shape) for name, parameter in layer.named_parameters()}
    assert sorted(names.values()) == [(2,), (2, 1), (2, 3)]
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_removing_weight_norm_leaves_a_parameter():
    layer = nn.utils.remove_weight_norm(nn.utils.weight_norm(nn.Linear(3, 2)))
    assert isinstance(layer.weight, nn.Parameter) and not layer._forward_pre_hooks
    with pytest.raises(ValueError, match="weight_norm of 'weight' not found"):
        nn.utils.remove_weight_norm(layer)


@pytest.mark.parametrize("make", [nn.utils.spectral_norm, nn.utils.parametrizations.spectral_norm])
def test_spectral_norm_brings_the_largest_singular_value_to_one(make):
    layer = make(nn.Linear(4, 3))
    for _ in range(30):
        layer(rustnn.ones(1, 4))
    weight = layer.weight.detach()
    v = rustnn.ones(4)
    for _ in range(100):
        v = weight.T @ (weight @ v)
        v = v / v.norm()
    assert (weight @ v).norm().item() == pytest.approx(1.0, abs=1e-3)
    layer(rustnn.ones(1, 4)).sum().backward()


def test_pruning_masks_the_weight_until_it_is_removed():
    layer = nn.Linear(4, 2)
    nn.init.constant_(layer.bias, 0.0)
    prune.l1_unstructured(layer, "weight", 3)
    assert int((layer.weight == 0).sum()) == 3 and prune.is_pruned(layer)
    assert list(layer.state_dict()) == ["bias", "weight_orig", "weight_mask"]
    layer(rustnn.ones(1, 4)).sum().backward()
    assert int((layer.weight_orig.grad == 0).sum()) == 3
    prune.ln_structured(layer, "weight", 1, n=2, dim=0)
    assert int((layer.weight == 0).all(1).sum()) >= 1
    prune.remove(layer, "weight")
    assert isinstance(layer.weight, nn.Parameter) and not prune.is_pruned(layer)
    with pytest.raises(ValueError, match="has to be pruned before pruning can be removed"):
        prune.remove(layer, "weight")


def test_functional_call_replaces_tensors_for_one_call():
    net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)).eval()
    weight = net[0].weight
    given = {"0.weight": rustnn.tensor([[2.0]], requires_grad=True), "0.bias": rustnn.zeros(1)}
    out = functional_call(net, given, rustnn.ones(1, 1))
    out.sum().backward()
    assert out.item() == pytest.approx(2.0, abs=1e-4) and given["0.weight"].grad is not None
    assert net[0].weight is weight and weight.grad is None


def test_functional_call_replaces_tied_tensors_together():
    net = nn.Module()
    net.a = nn.Linear(1, 1, bias=False)
    net.b = nn.Linear(1, 1, bias=False)
    net.b.weight = net.a.weight
    net.forward = lambda x: net.b(net.a(x))
    assert functional_call(net, {"a.weight": rustnn.tensor([[3.0]])}, rustnn.ones(1, 1)).item() == 9.0
    with pytest.raises(ValueError, match="which are tied"):
        functional_call(net, {"a.weight": rustnn.ones(1, 1), "b.weight": rustnn.ones(1, 1)}, rustnn.ones(1, 1))


def test_functional_call_puts_everything_back_when_forward_raises():
    net = nn.Linear(2, 1)
    weight = net.weight
    with pytest.raises(RuntimeError):
        functional_call(net, {"weight": rustnn.ones(1, 2)}, rustnn.ones(1, 5))
    assert net.weight is weight
    with pytest.raises(RuntimeError, match=r"Unexpected key\(s\): 'zz'"):
        functional_call(net, {"zz": rustnn.ones(1)}, rustnn.ones(1, 2), strict=True)


def test_norms_of_weights_want_weights_that_are_there():
    for function in (nn.utils.weight_norm, nn.utils.spectral_norm):
        with pytest.raises(ValueError, match="can't have uninitialized parameters"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(nn.LazyLinear(3))


def test_a_subclass_is_made_by_the_class_it_is_asked_for():
    class Own(rustnn.Tensor):
        pass

    made = rustnn.Tensor._make_subclass(Own, rustnn.ones(2), True)
    assert type(made) is Own and made.requires_grad and type(Own._make_subclass(Own, rustnn.ones(2))) is Own


def test_empty_tensors_cannot_be_packed():
    for input, lengths in ((rustnn.ones(0, 0), []), (rustnn.ones(0, 2), [1, 1])):
        with pytest.raises(RuntimeError, match="Cannot pack empty tensors"):
            nn.utils.rnn.pack_padded_sequence(input, lengths)


def test_switches_of_cudnn_may_decorate():
    @rustnn.backends.cudnn.flags(enabled=False)
    def asked():
        return rustnn.backends.cudnn.enabled

    assert asked() is False and rustnn.backends.cudnn.enabled is True


def test_spectral_norm_finds_the_vector_that_old_files_lack():
    layer = nn.utils.spectral_norm(nn.Linear(5, 3))
    for _ in range(100):
        layer(rustnn.ones(1, 5))
    layer.eval()
    expected = layer(rustnn.ones(2, 5))
    new = layer.state_dict()
    old = new.copy()
    old["weight"] = layer.weight.detach()
    del old["weight_v"]
    fresh = nn.utils.spectral_norm(nn.Linear(5, 3)).eval()
    fresh.load_state_dict(old)
    assert rustnn.allclose(fresh(rustnn.ones(2, 5)), expected, atol=1e-5)
    assert rustnn.allclose(fresh.weight_v, layer.weight_v, atol=1e-4)
    assert new._metadata[""]["spectral_norm"] == {"weight.version": 1}
    fresh.load_state_dict(new)
    assert rustnn.equal(fresh.weight_u, layer.weight_u)
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "weight_orig"'):
        fresh.load_state_dict({"weight": layer.weight, "bias": layer.bias})


def test_the_older_name_of_functional_call_warns():
    layer = nn.Linear(1, 1, bias=False)
    with pytest.warns(FutureWarning, match=r"Please use `torch\.func\.functional_call`"):
        assert stateless.functional_call(layer, {"weight": rustnn.full((1, 1), 3.0)}, rustnn.ones(1, 1)).item() == 3
