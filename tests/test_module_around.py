"""Around Module: orthogonal weights, memory formats, functional calls, wrappers for several devices, summaries."""

import copy
import warnings
from collections import OrderedDict, namedtuple

import pytest

import rustnn
from rustnn import nn
from rustnn.nn.utils import parametrizations, parametrize

MAPS = ("matrix_exp", "cayley", "householder")
SHAPES = ((3, 3), (5, 2), (2, 5))


def columns(weight):
    """As a tall matrix: its columns are to be orthonormal."""
    return weight if weight.size(-2) >= weight.size(-1) else weight.mT


# ---- orthogonal weights ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", MAPS)
def test_an_orthogonal_weight_stays_orthogonal_while_it_is_trained(name, shape):
    layer = parametrizations.orthogonal(nn.Linear(shape[1], shape[0]).double(), orthogonal_map=name)
    optimizer = rustnn.optim.SGD(layer.parameters(), lr=0.3)
    x = rustnn.randn(7, shape[1], dtype=rustnn.float64)
    before = layer.weight.detach().clone()
    for _ in range(3):
        optimizer.zero_grad()
        (layer(x) ** 3).sum().backward()
        optimizer.step()
        q = columns(layer.weight)
        assert rustnn.allclose(q.mT @ q, rustnn.eye(min(shape), dtype=rustnn.float64), atol=1e-10)
    assert not rustnn.allclose(layer.weight, before, atol=1e-3)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", MAPS)
def test_an_orthogonal_matrix_can_be_assigned(name, shape):
    layer = parametrizations.orthogonal(nn.Linear(shape[1], shape[0], bias=False).double(), orthogonal_map=name)
    wanted = nn.init.orthogonal_(rustnn.empty(*shape, dtype=rustnn.float64))
    layer.weight = wanted
    assert rustnn.allclose(layer.weight, wanted, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
def test_householders_map_without_a_base_takes_assignments(shape):
    layer = nn.Linear(shape[1], shape[0], bias=False).double()
    parametrizations.orthogonal(layer, orthogonal_map="householder", use_trivialization=False)
    wanted = nn.init.orthogonal_(rustnn.empty(*shape, dtype=rustnn.float64))
    layer.weight = wanted
    assert rustnn.allclose(layer.weight, wanted, atol=1e-10)
    fixed = parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="cayley", use_trivialization=False)
    with pytest.raises(NotImplementedError, match="use_trivialization=False"):
        fixed.weight = rustnn.eye(2)


@pytest.mark.parametrize("name", MAPS)
def test_orthogonal_maps_have_the_gradients_that_differences_give(name):
    layer = nn.Linear(2, 4, bias=False).double()
    parametrizations.orthogonal(layer, orthogonal_map=name)
    module = layer.parametrizations.weight[0]
    x = rustnn.randn(4, 2, dtype=rustnn.float64)
    x.diagonal().fill_(-1.0)

    def below(values):
        # Only what lies below the diagonal is free in Householder's map.
        return module(
            values.tril(-1) + x.diag().diag_embed()[:2].new_zeros(4, 2) - rustnn.eye(4, 2, dtype=rustnn.float64)
        )

    assert rustnn.autograd.gradcheck(below, [x.clone().requires_grad_()])


def test_orthogonal_weights_copy_and_load():
    layer = parametrizations.orthogonal(nn.Linear(3, 3))
    twin = copy.deepcopy(layer)
    assert rustnn.equal(twin.weight, layer.weight) and parametrize.is_parametrized(twin, "weight")
    fresh = parametrizations.orthogonal(nn.Linear(3, 3))
    fresh.load_state_dict(layer.state_dict())
    assert rustnn.allclose(fresh.weight, layer.weight)


def test_orthogonal_refuses_what_is_no_matrix():
    with pytest.raises(ValueError, match="Got a tensor of 1 dimensions"):
        parametrizations.orthogonal(nn.Linear(2, 2), "bias")
    with pytest.raises(ValueError, match="has no parameter or buffer with name 'zzz'"):
        parametrizations.orthogonal(nn.Linear(2, 2), "zzz")
    with pytest.raises(ValueError, match="orthogonal_map has to be one of"):
        parametrizations.orthogonal(nn.Linear(2, 2), orthogonal_map="rotation")
    with pytest.raises(ValueError, match="Expected a matrix or batch of matrices of shape"):
        parametrizations.orthogonal(nn.Linear(2, 2)).weight = rustnn.ones(3, 3)


def test_old_weight_norm_files_load_into_the_parametrization():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        old = nn.utils.weight_norm(nn.Linear(3, 2))
    new = parametrizations.weight_norm(nn.Linear(3, 2))
    assert str(new.load_state_dict(old.state_dict())) == "<All keys matched successfully>"
    assert rustnn.allclose(new.weight, old.weight)


# ---- memory formats --------------------------------------------------------------------------------------------------


def test_channels_last_strides_are_kept_by_conversion_copy_and_loading():
    conv = nn.Conv2d(4, 6, 3)
    before = conv.weight.detach().clone()
    conv.to(memory_format=rustnn.channels_last)
    assert conv.weight.stride() == (36, 1, 12, 4) and rustnn.equal(conv.weight, before)
    assert copy.deepcopy(conv).weight.stride() == (36, 1, 12, 4)
    conv.load_state_dict(nn.Conv2d(4, 6, 3).state_dict())
    assert conv.weight.stride() == (36, 1, 12, 4)
    assert nn.Linear(2, 2).to(memory_format=rustnn.channels_last).weight.stride() == (2, 1)


def test_a_channels_last_network_gives_the_same_numbers():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2)
    )
    x = rustnn.randn(2, 3, 6, 6)
    expected = net(x)
    twin = nn.utils.convert_conv2d_weight_memory_format(copy.deepcopy(net), rustnn.channels_last)
    twin[1].reset_running_stats()
    found = twin(x.to(memory_format=rustnn.channels_last))
    assert twin[0].weight.stride() == (27, 1, 9, 3)
    assert rustnn.allclose(found, expected, atol=1e-5)
    found.sum().backward()
    expected.sum().backward()
    assert rustnn.allclose(twin[0].weight.grad, net[0].weight.grad, atol=1e-4)


def test_weights_of_volumes_are_laid_out_too():
    conv = nn.Conv3d(2, 3, 2)
    nn.utils.convert_conv3d_weight_memory_format(nn.Sequential(conv), rustnn.channels_last_3d)
    assert conv.weight.stride() == (16, 1, 8, 4, 2)


# ---- functional calls ------------------------------------------------------------------------------------------------


def test_functional_call_takes_several_dictionaries():
    net = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1)).eval()
    params, buffers = dict(net.named_parameters()), dict(net.named_buffers())
    params["0.weight"] = rustnn.tensor([[4.0]], requires_grad=True)
    buffers["1.running_mean"] = rustnn.tensor([1.0])
    out = rustnn.func.functional_call(net, (params, buffers), (rustnn.ones(1, 1),))
    assert out.item() == pytest.approx((4.0 + net[0].bias.item() - 1.0) / (1 + 1e-5) ** 0.5, rel=1e-5)
    out.sum().backward()
    assert params["0.weight"].grad is not None and net[0].weight.grad is None


def test_functional_call_tells_what_it_cannot_take():
    net = nn.Linear(1, 1)
    x = rustnn.ones(1, 1)
    with pytest.raises(ValueError, match=r"\['weight'\] appeared in multiple dictionaries"):
        rustnn.func.functional_call(net, ({"weight": x}, {"weight": x}), x)
    with pytest.raises(ValueError, match="Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts"):
        rustnn.func.functional_call(net, 5, x)
    with pytest.raises(ValueError, match="Expected all elements of parameter_and_buffer_dicts to be dictionaries"):
        rustnn.func.functional_call(net, ({}, 5), x)


# ---- wrappers for several devices ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [nn.DataParallel, nn.parallel.DistributedDataParallel])
def test_parallel_wrappers_pass_everything_through(kind):
    inner = nn.Linear(2, 1)
    net = kind(inner)
    x = rustnn.ones(3, 2)
    assert rustnn.equal(net(x), inner(x)) and list(net.state_dict()) == ["module.weight", "module.bias"]
    with pytest.raises(ValueError, match="one device at most"):
        kind(inner, device_ids=[0, 1])


def test_a_distributed_wrapper_wants_something_to_train():
    with pytest.raises(RuntimeError, match="doesn't have any parameter that requires a gradient"):
        nn.parallel.DistributedDataParallel(nn.ReLU())
    net = nn.parallel.DistributedDataParallel(nn.Linear(1, 1))
    with net.no_sync():
        net(rustnn.ones(1, 1)).sum().backward()
    assert net.module.weight.grad.item() == 1.0


def test_the_parts_of_data_parallel_work_on_nested_data():
    Pair = namedtuple("Pair", "x y")
    data = (rustnn.arange(4), [rustnn.ones(2, 3), "text"], {"a": rustnn.zeros(2)}, Pair(rustnn.arange(2), 5))
    first, second = nn.parallel.scatter(data, [0, 1])
    assert first[0].tolist() == [0, 1] and second[0].tolist() == [2, 3]
    assert first[1][0].shape == (1, 3) and first[1][1] == "text" and second[2]["a"].shape == (1,)
    assert type(second[3]) is Pair and second[3].x.tolist() == [1] and second[3].y == 5
    outputs = [(rustnn.ones(1), {"a": rustnn.zeros(2)}), (rustnn.ones(2), {"a": rustnn.zeros(1)})]
    joined = nn.parallel.gather(outputs, 0)
    assert joined[0].shape == (3,) and joined[1]["a"].shape == (3,)
    modules = nn.parallel.replicate(nn.ReLU(), [0, 1])
    results = nn.parallel.parallel_apply(modules, [rustnn.ones(1), (rustnn.zeros(1),)])
    assert [result.item() for result in results] == [1.0, 0.0]
    assert nn.parallel.data_parallel(nn.ReLU(), rustnn.ones(1)).item() == 1.0


# ---- summaries -------------------------------------------------------------------------------------------------------


def network():
    return nn.Sequential(
        OrderedDict(
            conv=nn.Conv2d(1, 2, 3),
            norm=nn.BatchNorm2d(2),
            flat=nn.Flatten(),
            out=nn.Linear(8, 3),
        )
    )


def test_a_summary_counts_parameters_products_and_memory():
    found = rustnn.summary(network(), (5, 1, 4, 4))
    rows = {row["name"]: row for row in found.rows}
    assert [row["kind"] for row in found.rows] == ["Conv2d", "BatchNorm2d", "Flatten", "Linear"]
    assert rows["conv"]["output_shape"] == (5, 2, 2, 2) and rows["conv"]["parameters"] == 20
    assert rows["conv"]["multiply_adds"] == 5 * 2 * 2 * 2 * 9 and rows["out"]["multiply_adds"] == 5 * 8 * 3
    assert rows["norm"]["multiply_adds"] is None and rows["conv"]["output_bytes"] == 5 * 8 * 4
    assert found.parameters == 20 + 4 + 27 and found.multiply_adds == 360 + 120
    # Parameters and running statistics in float32, the count of batches in int64.
    assert found.state_bytes == (51 + 4) * 4 + 8
    assert found.output_bytes == 3 * 160 + 60


def test_a_summary_prints_as_a_table_and_shows_as_html():
    found = rustnn.summary(network(), (5, 1, 4, 4))
    lines = str(found).split("\n")
    assert lines[0].split() == ["layer", "output", "shape", "parameters", "multiply-adds", "memory"]
    assert lines[2].split() == ["conv", "(Conv2d)", "(5,", "2,", "2,", "2)", "20", "360", "160", "B"]
    assert len({len(line) for line in lines[2:6]}) == 1
    assert lines[-1] == "parameters and buffers take 228 B"
    html = found._repr_html_()
    assert html.startswith("<table>") and html.count("<tr>") == 6 and "conv (Conv2d)" in html
    network_of_one = nn.Sequential(OrderedDict({"<b>": nn.ReLU()}))
    assert "&lt;b&gt; (ReLU)" in rustnn.summary(network_of_one, (1,))._repr_html_()


def test_a_summary_counts_recurrent_attention_and_bilinear_layers():
    lstm = rustnn.summary(nn.LSTM(3, 4, 2, bidirectional=True), (7, 2, 3))
    weights = 2 * (16 * 3 + 16 * 4) + 2 * (16 * 8 + 16 * 4)
    assert lstm.multiply_adds == 7 * 2 * weights
    attention = rustnn.summary(nn.MultiheadAttention(8, 2), [(5, 3, 8), (4, 3, 8), (4, 3, 8)])
    projections = 5 * 3 * 8 * 8 * 2 + 4 * 3 * 8 * 8 * 2
    assert attention.multiply_adds == projections + 2 * 3 * 5 * 4 * 8
    assert rustnn.summary(nn.Bilinear(3, 2, 4), [(5, 3), (5, 2)]).multiply_adds == 5 * 4 * 3 * 2


def test_parameters_of_parts_that_are_not_called_count_for_the_layer_around_them():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(rustnn.ones(3))
            self.attention = nn.MultiheadAttention(4, 2)
            self.tied = nn.ModuleList([nn.Linear(4, 4)] * 2)
            self.unused = nn.Linear(5, 5)

        def forward(self, x):
            return self.tied[1](self.tied[0](self.attention(x, x, x)[0]))

    found = rustnn.summary(Scaled(), (2, 1, 4))
    assert {row["name"]: row["parameters"] for row in found.rows} == {
        "attention": 3 * 20 + 20,
        "tied.0": 20,
        "(network)": 3 + 30,
    }
    assert sum(row["parameters"] for row in found.rows) == found.parameters


def test_a_summary_leaves_the_network_as_it_was():
    net = network()
    net.norm.eval()
    mean = net.norm.running_mean.clone()
    rustnn.summary(net, (2, 1, 4, 4))
    assert [part.training for part in net.modules()] == [True, True, False, True, True]
    assert rustnn.equal(net.norm.running_mean, mean) and not any(part._forward_hooks for part in net.modules())
    net.out.weight.requires_grad_(False)
    assert "of these parameters 24 are not trained" in str(rustnn.summary(net, (2, 1, 4, 4)))
    with pytest.raises(RuntimeError):
        rustnn.summary(net, (2, 3, 4, 4))
    assert not any(part._forward_hooks for part in net.modules())


# ---- sequences, vectors, gradients, fusion ---------------------------------------------------------------------------


def sequences():
    return [rustnn.tensor([1.0, 2.0, 3.0]), rustnn.tensor([4.0, 5.0]), rustnn.tensor([6.0])]


def test_padding_packing_and_their_inverses_fit_together():
    rnn = nn.utils.rnn
    padded = rnn.pad_sequence(sequences(), batch_first=True, padding_value=-1.0)
    assert padded.tolist() == [[1.0, 2.0, 3.0], [4.0, 5.0, -1.0], [6.0, -1.0, -1.0]]
    packed = rnn.pack_padded_sequence(padded, [3, 2, 1], batch_first=True)
    assert packed.data.tolist() == [1.0, 4.0, 6.0, 2.0, 5.0, 3.0] and packed.batch_sizes.tolist() == [3, 2, 1]
    back, lengths = rnn.pad_packed_sequence(packed, batch_first=True, padding_value=-1.0)
    assert rustnn.equal(back, padded) and lengths.tolist() == [3, 2, 1]
    parts = rnn.unpad_sequence(padded, rustnn.tensor([3, 2, 1]), batch_first=True)
    assert [part.tolist() for part in parts] == [part.tolist() for part in sequences()]
    left = rnn.pad_sequence(sequences(), batch_first=True, padding_side="left")
    assert left[2].tolist() == [0.0, 0.0, 6.0]


def test_unsorted_sequences_are_packed_sorted_and_come_back_in_their_order():
    rnn = nn.utils.rnn
    mixed = [sequences()[i] for i in (2, 0, 1)]
    packed = rnn.pack_sequence(mixed, enforce_sorted=False)
    assert packed.sorted_indices.tolist() == [1, 2, 0] and packed.unsorted_indices.tolist() == [2, 0, 1]
    back, lengths = rnn.pad_packed_sequence(packed, batch_first=True)
    assert lengths.tolist() == [1, 3, 2] and back[0].tolist() == [6.0, 0.0, 0.0]
    with pytest.raises(RuntimeError, match="must be sorted in decreasing order"):
        rnn.pack_sequence(mixed)
    with pytest.raises(RuntimeError, match="greater than 0"):
        rnn.pack_padded_sequence(back, [3, 2, 0], batch_first=True)


def test_a_packed_sequence_through_an_lstm_is_each_sequence_by_itself():
    rnn = nn.utils.rnn
    lstm = nn.LSTM(1, 2, bidirectional=True)
    mixed = [sequences()[i].unsqueeze(1) for i in (1, 2, 0)]
    packed, (hidden, _) = lstm(rnn.pack_sequence(mixed, enforce_sorted=False))
    outputs, lengths = rnn.pad_packed_sequence(packed)
    for index, sequence in enumerate(mixed):
        alone, (state, _) = lstm(sequence)
        assert rustnn.allclose(outputs[: lengths[index], index], alone, atol=1e-6)
        assert rustnn.allclose(hidden[:, index], state, atol=1e-6)


def test_parameters_go_into_a_vector_and_back():
    layer = nn.Linear(2, 1)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.tolist() == [*layer.weight.flatten().tolist(), layer.bias.item()]
    nn.utils.vector_to_parameters(rustnn.tensor([1.0, 2.0, 3.0]), layer.parameters())
    assert layer.weight.tolist() == [[1.0, 2.0]] and layer.bias.tolist() == [3.0]
    with pytest.raises(TypeError, match=r"expected torch\.Tensor, but got: int"):
        nn.utils.vector_to_parameters(5, layer.parameters())


@pytest.mark.parametrize(("norm", "total"), [(1, 7.0), (2, 5.0), (float("inf"), 4.0)])
def test_gradients_are_clipped_by_their_common_norm(norm, total):
    first, second = (nn.Parameter(rustnn.zeros(1)) for _ in range(2))
    first.grad, second.grad = rustnn.tensor([3.0]), rustnn.tensor([-4.0])
    found = nn.utils.clip_grad_norm_([first, second], total / 2, norm)
    assert found.item() == pytest.approx(total)
    assert (first.grad.item(), second.grad.item()) == pytest.approx((1.5, -2.0), rel=1e-5)
    nn.utils.clip_grad_value_([first, second], 1.0)
    assert (first.grad.item(), second.grad.item()) == (1.0, -1.0)
    second.grad.fill_(float("nan"))
    with pytest.raises(RuntimeError, match="non-finite"):
        nn.utils.clip_grad_norm_([first, second], 1.0, error_if_nonfinite=True)


@pytest.mark.parametrize(
    ("fuse", "layer", "norm", "shape"),
    [
        (nn.utils.fuse_conv_bn_eval, lambda: nn.Conv2d(3, 4, 3, bias=False), lambda: nn.BatchNorm2d(4), (2, 3, 5, 5)),
        (nn.utils.fuse_conv_bn_eval, lambda: nn.Conv1d(3, 4, 3), lambda: nn.BatchNorm1d(4), (2, 3, 5)),
        (nn.utils.fuse_linear_bn_eval, lambda: nn.Linear(3, 4), lambda: nn.BatchNorm1d(4), (2, 3)),
    ],
)
def test_a_fused_layer_gives_what_the_two_give(fuse, layer, norm, shape):
    first, second = layer(), norm()
    for value in (second.weight, second.bias, second.running_mean, second.running_var):
        nn.init.uniform_(value, 0.5, 2.0)
    first.eval(), second.eval()
    x = rustnn.randn(*shape)
    fused = fuse(first, second)
    assert type(fused) is type(first) and fused is not first
    assert rustnn.allclose(fused(x), second(first(x)), atol=1e-5)


def test_skip_init_builds_without_drawing():
    rustnn.manual_seed(3)
    before = rustnn.get_rng_state()
    made = nn.utils.skip_init(nn.Linear, 3, 2)
    assert rustnn.equal(rustnn.get_rng_state(), before)
    assert made.weight.shape == (2, 3) and not made.weight.is_meta and made.weight.requires_grad
    with pytest.raises(RuntimeError, match="Expected a Module"):
        nn.utils.skip_init(dict)
    with pytest.raises(RuntimeError, match="must support a 'device' arg"):
        nn.utils.skip_init(nn.ReLU)


def test_random_unstructured_and_global_pruning_remove_what_they_say():
    prune = nn.utils.prune
    first, second = nn.Linear(4, 5), nn.Linear(5, 4)
    prune.random_unstructured(first, "weight", 7)
    assert int((first.weight_mask == 0).sum()) == 7
    prune.random_structured(second, "weight", 2, dim=1)
    assert int((second.weight_mask == 0).all(0).sum()) == 2
    third, fourth = nn.Linear(2, 2), nn.Linear(2, 2)
    nn.init.constant_(third.weight, 0.1), nn.init.constant_(fourth.weight, 5.0)
    prune.global_unstructured([(third, "weight"), (fourth, "weight")], prune.L1Unstructured, amount=4)
    assert int((third.weight == 0).sum()) == 4 and int((fourth.weight == 0).sum()) == 0
