"""Parameter, Buffer, lazy parameters and lazy modules (checklist section 12)."""

import copy
import pickle

import pytest

import rustnn
from rustnn import nn
from rustnn.nn.parameter import is_lazy


def test_a_parameter_shares_memory_and_requires_grad_even_under_no_grad():
    data = rustnn.ones(2)
    with rustnn.no_grad():
        weight = nn.Parameter(data)
    assert weight.requires_grad and weight.is_leaf and weight.data_ptr() == data.data_ptr()
    assert not nn.Parameter(data, requires_grad=False).requires_grad
    assert nn.Parameter().shape == (0,)


def test_integers_cannot_require_gradients():
    with pytest.raises(RuntimeError, match="Only Tensors of floating point and complex dtype can require gradients"):
        nn.Parameter(rustnn.ones(1, dtype=rustnn.int64))
    assert nn.Parameter(rustnn.ones(1, dtype=rustnn.int64), requires_grad=False).dtype == rustnn.int64


def test_results_of_operations_are_plain_tensors():
    weight = nn.Parameter(rustnn.ones(2))
    for result in (weight * 2, weight.detach(), weight.data, weight[0], weight.clone(), rustnn.relu(weight)):
        assert type(result) is rustnn.Tensor
        assert not isinstance(result, nn.Parameter)


def test_a_parameter_shows_what_it_is():
    assert repr(nn.Parameter(rustnn.ones(2))) == "Parameter containing:\ntensor([1., 1.], requires_grad=True)"


def test_a_parameter_of_a_parameter_is_a_parameter():
    weight = nn.Parameter(rustnn.ones(1))
    assert type(nn.Parameter(weight)) is nn.Parameter


def test_subclasses_of_parameter_are_parameters():
    class Special(nn.Parameter):
        pass

    special = Special(rustnn.ones(1))
    module = nn.Module()
    module.s = special
    assert isinstance(special, nn.Parameter) and isinstance(special, Special) and module._parameters["s"] is special
    assert not isinstance(nn.Parameter(rustnn.ones(1)), Special)


def test_a_marked_tensor_counts_as_a_parameter():
    marked = rustnn.ones(1)
    marked._is_param = True
    assert isinstance(marked, nn.Parameter) and not isinstance(rustnn.ones(1), nn.Parameter)


def test_deepcopy_makes_an_equal_leaf_without_gradient():
    weight = nn.Parameter(rustnn.ones(2))
    weight.grad = rustnn.ones(2)
    twin = copy.deepcopy(weight)
    assert type(twin) is nn.Parameter and twin.requires_grad and twin.grad is None
    assert twin.data_ptr() != weight.data_ptr() and twin.tolist() == [1.0, 1.0]
    first, second = copy.deepcopy([weight, weight])
    assert first is second


def test_pickle_keeps_class_flag_and_attributes():
    weight = nn.Parameter(rustnn.ones(2), requires_grad=False)
    twin = pickle.loads(pickle.dumps(weight))
    assert type(twin) is nn.Parameter and twin.requires_grad is False and twin.tolist() == [1.0, 1.0]
    weight.note = "kept"
    assert pickle.loads(pickle.dumps(weight)).note == "kept"


def test_a_buffer_is_a_marked_tensor():
    data = rustnn.ones(2)
    buffer = nn.Buffer(data, persistent=False)
    assert type(buffer) is rustnn.Tensor and isinstance(buffer, nn.Buffer) and buffer.persistent is False
    assert buffer.data_ptr() == data.data_ptr() and nn.Buffer(data).persistent is True
    assert not isinstance(data, nn.Buffer) and not isinstance(nn.Parameter(data), nn.Buffer)


def test_a_lazy_parameter_has_no_shape_and_refuses_operations():
    weight = nn.UninitializedParameter()
    assert is_lazy(weight) and isinstance(weight, nn.Parameter) and repr(weight) == "<UninitializedParameter>"
    with pytest.raises(RuntimeError, match="Can't access the shape of an uninitialized parameter or buffer"):
        weight.shape  # noqa: B018
    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter in"):
        weight + 1
    with pytest.raises(RuntimeError, match="Can't share memory on an uninitialized parameter or buffer"):
        weight.share_memory_()


def test_materialize_makes_a_plain_parameter():
    weight = nn.UninitializedParameter(dtype=rustnn.float64)
    weight.materialize((2, 3))
    assert type(weight) is nn.Parameter and weight.shape == (2, 3) and weight.dtype == rustnn.float64
    assert weight.requires_grad and not is_lazy(weight)
    buffer = nn.UninitializedBuffer()
    buffer.materialize((2,))
    assert type(buffer) is rustnn.Tensor and buffer.shape == (2,)


def test_a_lazy_module_becomes_a_plain_one_at_its_first_call():
    layer = nn.LazyLinear(3)
    assert isinstance(layer, nn.Linear) and layer.has_uninitialized_params()
    assert layer(rustnn.ones(2, 5)).shape == (2, 3)
    assert type(layer) is nn.Linear and layer.weight.shape == (3, 5) and layer.in_features == 5
    assert not layer._forward_pre_hooks and not layer._load_state_dict_pre_hooks
    assert not hasattr(layer, "_initialize_hook")


@pytest.mark.parametrize(
    ("name", "args", "shape"),
    [
        ("LazyConv1d", (2, 2), (1, 3, 4)),
        ("LazyConv2d", (2, 2), (1, 3, 4, 4)),
        ("LazyConv3d", (2, 2), (1, 3, 4, 4, 4)),
        ("LazyConvTranspose1d", (2, 2), (1, 3, 4)),
        ("LazyConvTranspose2d", (2, 2), (1, 3, 4, 4)),
        ("LazyConvTranspose3d", (2, 2), (1, 3, 4, 4, 4)),
        ("LazyBatchNorm1d", (), (2, 3)),
        ("LazyBatchNorm2d", (), (2, 3, 4, 4)),
        ("LazyBatchNorm3d", (), (2, 3, 4, 4, 4)),
        ("LazyInstanceNorm1d", (), (2, 3, 4)),
        ("LazyInstanceNorm2d", (), (2, 3, 4, 4)),
        ("LazyInstanceNorm3d", (), (2, 3, 4, 4, 4)),
    ],
)
def test_every_lazy_class_takes_its_channels_from_the_input(name, args, shape):
    layer = getattr(nn, name)(*args)
    assert layer.has_uninitialized_params()
    layer(rustnn.ones(shape))
    assert type(layer).__name__ == name[len("Lazy") :]
    channels = layer.num_features if "Norm" in name else layer.in_channels
    assert channels == 3 and all(not is_lazy(p) for p in layer.parameters())


def test_a_lazy_module_saves_uninitialised_tensors_and_loads_initialised_ones():
    lazy = nn.LazyLinear(3)
    assert is_lazy(lazy.state_dict()["weight"])
    plain = nn.Linear(5, 3)
    lazy.load_state_dict(plain.state_dict())
    assert lazy.weight.shape == (3, 5) and (lazy.weight == plain.weight).all()
    lazy(rustnn.ones(1, 5))
    assert type(lazy) is nn.Linear and lazy.in_features == 5


def test_an_uninitialised_state_does_not_load_into_an_initialised_module():
    with pytest.raises(RuntimeError):
        nn.Linear(5, 3).load_state_dict(nn.LazyLinear(3).state_dict())


def test_a_lazy_module_pickles_and_copies():
    for twin in (pickle.loads(pickle.dumps(nn.LazyLinear(3))), copy.deepcopy(nn.LazyLinear(3))):
        assert twin(rustnn.ones(2, 4)).shape == (2, 3)


def test_a_lazy_module_without_initialize_parameters_says_so():
    class Lazy(nn.modules.lazy.LazyModuleMixin, nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="initialize_parameters is not implemented for Lazy"):
        Lazy()(1)
