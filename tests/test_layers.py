"""Layers: shapes, text, state keys, errors, numbers against plain numpy, pickles, docstrings."""

import copy
import math
import pickle
import types

import numpy as np
import pytest

import rustnn
from rustnn import nn
from rustnn.nn import functional as F

pytestmark = pytest.mark.filterwarnings("ignore")

# name, constructor arguments, input shape, output shape, text
LAYERS = [
    ("Identity", (), (2, 3), (2, 3), "Identity()"),
    ("Linear", (3, 5), (2, 3), (2, 5), "Linear(in_features=3, out_features=5, bias=True)"),
    ("Linear", (3, 5, False), (4, 2, 3), (4, 2, 5), "Linear(in_features=3, out_features=5, bias=False)"),
    ("Linear", (3, 5), (3,), (5,), None),
    ("Conv1d", (4, 6, 3), (2, 4, 8), (2, 6, 6), "Conv1d(4, 6, kernel_size=(3,), stride=(1,))"),
    ("Conv1d", (4, 6, 3, 2, 1, 2, 2), (4, 9), (6, 4), None),
    (
        "Conv2d",
        (4, 6, (3, 5), 1, "same"),
        (2, 4, 7, 8),
        (2, 6, 7, 8),
        "Conv2d(4, 6, kernel_size=(3, 5), stride=(1, 1), padding=same)",
    ),
    (
        "Conv2d",
        (4, 6, 3, 2, 1, 1, 2, False, "reflect"),
        (2, 4, 7, 8),
        (2, 6, 4, 4),
        "Conv2d(4, 6, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), groups=2, bias=False, padding_mode=reflect)",
    ),
    ("Conv3d", (2, 3, 2), (1, 2, 3, 4, 5), (1, 3, 2, 3, 4), None),
    ("ConvTranspose1d", (4, 2, 3, 2, 1, 1), (1, 4, 5), (1, 2, 10), None),
    (
        "ConvTranspose2d",
        (4, 2, 3, 2, 1, 1),
        (1, 4, 5, 6),
        (1, 2, 10, 12),
        "ConvTranspose2d(4, 2, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), output_padding=(1, 1))",
    ),
    (
        "BatchNorm1d",
        (3,),
        (4, 3),
        (4, 3),
        "BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)",
    ),
    ("BatchNorm1d", (3,), (4, 3, 5), (4, 3, 5), None),
    ("BatchNorm2d", (3,), (4, 3, 5, 6), (4, 3, 5, 6), None),
    ("BatchNorm3d", (3,), (4, 3, 2, 2, 2), (4, 3, 2, 2, 2), None),
    ("InstanceNorm1d", (3,), (4, 3, 5), (4, 3, 5), None),
    ("InstanceNorm2d", (3, 1e-5, 0.1, True), (3, 5, 6), (3, 5, 6), None),
    ("LayerNorm", (3,), (4, 3), (4, 3), "LayerNorm((3,), eps=1e-05, elementwise_affine=True, bias=True)"),
    ("LayerNorm", ((2, 3),), (4, 2, 3), (4, 2, 3), None),
    ("GroupNorm", (2, 4), (3, 4, 5), (3, 4, 5), "GroupNorm(2, 4, eps=1e-05, affine=True, bias=True)"),
    ("RMSNorm", (3,), (4, 3), (4, 3), "RMSNorm((3,), eps=None, elementwise_affine=True)"),
    ("Dropout", (0.3,), (4, 3), (4, 3), "Dropout(p=0.3, inplace=False)"),
    ("MaxPool1d", (2,), (1, 2, 6), (1, 2, 3), None),
    (
        "MaxPool2d",
        (3, 2, 1),
        (1, 2, 6, 7),
        (1, 2, 3, 4),
        "MaxPool2d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False)",
    ),
    ("AvgPool1d", (2,), (2, 6), (2, 3), "AvgPool1d(kernel_size=(2,), stride=(2,), padding=(0,))"),
    ("AvgPool2d", (2,), (1, 2, 6, 7), (1, 2, 3, 3), "AvgPool2d(kernel_size=2, stride=2, padding=0)"),
    ("AdaptiveAvgPool1d", (3,), (1, 2, 7), (1, 2, 3), None),
    ("AdaptiveAvgPool2d", ((3, None),), (1, 2, 7, 5), (1, 2, 3, 5), "AdaptiveAvgPool2d(output_size=(3, None))"),
    ("Flatten", (), (2, 3, 4), (2, 12), "Flatten(start_dim=1, end_dim=-1)"),
    ("Unflatten", (1, (3, 4)), (2, 12), (2, 3, 4), "Unflatten(dim=1, unflattened_size=(3, 4))"),
    ("Softmax", (1,), (2, 3), (2, 3), "Softmax(dim=1)"),
    ("GLU", (), (2, 4), (2, 2), "GLU(dim=-1)"),
]


def random(*shape):
    return rustnn.randn(*shape, dtype=rustnn.float64)


@pytest.mark.parametrize(("name", "args", "shape", "out_shape", "text"), LAYERS)
def test_a_layer_has_its_shapes_and_text_and_survives_copies(name, args, shape, out_shape, text):
    layer = getattr(nn, name)(*args).double()
    x = random(*shape)
    layer.eval()
    out = layer(x)
    assert tuple(out.shape) == out_shape and out.dtype == rustnn.float64
    if text is not None:
        assert repr(layer) == text
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert (twin(x) == out).all() and repr(twin) == repr(layer)


@pytest.mark.parametrize(("name", "args", "shape", "out_shape", "text"), LAYERS)
def test_a_layer_passes_gradients_to_input_and_parameters(name, args, shape, out_shape, text):
    layer = getattr(nn, name)(*args).double()
    x = random(*shape).requires_grad_()
    (layer(x) * random(*out_shape)).sum().backward()
    assert x.grad is not None and x.grad.shape == x.shape and bool(x.grad.isfinite().all())
    for key, parameter in layer.named_parameters():
        assert parameter.grad is not None and parameter.grad.shape == parameter.shape, key


@pytest.mark.parametrize(
    ("name", "args", "keys"),
    [
        ("Linear", (2, 3), ["weight", "bias"]),
        ("Conv2d", (2, 3, 1), ["weight", "bias"]),
        ("BatchNorm2d", (2,), ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]),
        ("Embedding", (2, 3), ["weight"]),
        ("PReLU", (), ["weight"]),
        ("LayerNorm", (2,), ["weight", "bias"]),
        ("InstanceNorm1d", (2,), []),
        ("LSTM", (2, 3), ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]),
        ("MultiheadAttention", (4, 2), ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]),
    ],
)
def test_state_keys_are_pytorchs(name, args, keys):
    assert list(getattr(nn, name)(*args).state_dict()) == keys


@pytest.mark.parametrize(
    "name", ["Linear", "Conv2d", "BatchNorm2d", "LayerNorm", "GroupNorm", "Embedding", "PReLU", "LSTM"]
)
def test_device_and_dtype_reach_the_parameters(name):
    args = {"Linear": (2, 3), "Conv2d": (2, 3, 1), "BatchNorm2d": (2,), "LayerNorm": (2,), "GroupNorm": (1, 2)}
    args |= {"Embedding": (2, 3), "PReLU": (), "LSTM": (2, 3)}
    layer = getattr(nn, name)(*args[name], device="meta", dtype=rustnn.float64)
    assert all(p.is_meta and p.dtype == rustnn.float64 for p in layer.parameters())


# ---- numbers against numpy -------------------------------------------------------------------------------------------


def close(tensor, expected, tolerance=1e-12):
    np.testing.assert_allclose(tensor.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


def test_linear_computes_x_w_transposed_plus_b():
    layer = nn.Linear(3, 5).double()
    x = random(4, 3)
    w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    close(layer(x), x.numpy() @ w.T + b)


def test_conv2d_is_the_sum_over_window_points():
    layer = nn.Conv2d(4, 6, (2, 3), stride=(1, 2), padding=(1, 0), dilation=(1, 2), groups=2).double()
    x = random(2, 4, 5, 9)
    w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (0, 0)))
    height, width = 6, 3
    expected = np.zeros((2, 6, height, width))
    for out in range(6):
        group = out // 3
        for i in range(height):
            for j in range(width):
                window = padded[:, group * 2 : group * 2 + 2, i : i + 2, j * 2 : j * 2 + 5 : 2]
                expected[:, out, i, j] = (window * w[out]).sum((1, 2, 3)) + b[out]
    close(layer(x), expected)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_conv_padding_modes_are_padding_then_convolution(mode):
    layer = nn.Conv1d(2, 3, 3, padding=2, padding_mode=mode).double()
    x = random(1, 2, 6)
    names = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}
    padded = rustnn.tensor(np.pad(x.numpy(), ((0, 0), (0, 0), (2, 2)), names[mode]))
    close(layer(x), F.conv1d(padded, layer.weight, layer.bias).detach().numpy())


def test_batchnorm_uses_batch_statistics_in_training_and_running_ones_in_evaluation():
    layer = nn.BatchNorm1d(3, momentum=0.25).double()
    nn.init.uniform_(layer.weight)
    nn.init.uniform_(layer.bias)
    w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    x = random(5, 3)
    n = x.numpy()
    close(layer(x), (n - n.mean(0)) / np.sqrt(n.var(0) + 1e-5) * w + b)
    mean, var = 0.25 * n.mean(0), 0.75 + 0.25 * n.var(0, ddof=1)
    close(layer.running_mean, mean)
    close(layer.running_var, var)
    assert layer.num_batches_tracked.item() == 1
    close(layer.eval()(x), (n - mean) / np.sqrt(var + 1e-5) * w + b)


def test_batchnorm_without_momentum_averages_all_batches():
    layer = nn.BatchNorm1d(2, momentum=None).double()
    batches = [random(4, 2) for _ in range(3)]
    for batch in batches:
        layer(batch)
    close(layer.running_mean, np.mean([batch.numpy().mean(0) for batch in batches], axis=0))


def test_norms_within_a_sample():
    x = random(2, 4, 6)
    n = x.numpy()

    def normalised(axes, shape=None):
        a = n if shape is None else n.reshape(shape)
        return ((a - a.mean(axes, keepdims=True)) / np.sqrt(a.var(axes, keepdims=True) + 1e-5)).reshape(n.shape)

    close(nn.LayerNorm(6).double()(x), normalised(-1))
    close(nn.LayerNorm((4, 6)).double()(x), normalised((1, 2)))
    close(nn.GroupNorm(2, 4).double()(x), normalised(-1, (2, 2, 12)))
    close(nn.InstanceNorm1d(4)(x), normalised(-1))
    close(nn.RMSNorm(6, eps=1e-3).double()(x), n / np.sqrt((n**2).mean(-1, keepdims=True) + 1e-3))


def test_embedding_picks_rows_and_its_padding_row_gets_no_gradient():
    table = nn.Embedding(5, 3, padding_idx=-1)
    assert table.padding_idx == 4 and table.weight[4].tolist() == [0.0, 0.0, 0.0]
    index = rustnn.tensor([[0, 4], [2, 2]])
    out = table(index)
    assert (out[1, 0] == table.weight[2]).all()
    out.sum().backward()
    assert table.weight.grad[4].tolist() == [0.0] * 3 and table.weight.grad[2].tolist() == [2.0] * 3


def test_embedding_from_pretrained_shares_and_freezes():
    rows = rustnn.ones(2, 3)
    table = nn.Embedding.from_pretrained(rows)
    assert not table.weight.requires_grad and table.weight.data_ptr() == rows.data_ptr()
    assert nn.Embedding.from_pretrained(rows, freeze=False).weight.requires_grad
    with pytest.raises(AssertionError, match="Embeddings parameter is expected to be 2-dimensional"):
        nn.Embedding.from_pretrained(rustnn.ones(2))
    with pytest.raises(AssertionError, match="Padding_idx must be within num_embeddings"):
        nn.Embedding(2, 3, padding_idx=2)


def test_dropout_scales_in_training_and_does_nothing_in_evaluation():
    layer = nn.Dropout(0.25)
    x = rustnn.ones(10000)
    out = layer(x)
    values = set(np.unique(out.numpy()).tolist())
    assert values == {0.0, np.float32(1 / 0.75)}
    assert 0.7 < float((out != 0).float().mean()) < 0.8
    assert (layer.eval()(x) == x).all()
    with pytest.raises(ValueError, match=r"dropout probability has to be between 0 and 1, but got 1\.5"):
        nn.Dropout(1.5)


def test_channel_dropout_drops_whole_channels():
    for layer, shape in (
        (nn.Dropout1d(0.5), (8, 16, 3)),
        (nn.Dropout2d(0.5), (8, 16, 3, 3)),
        (nn.Dropout1d(), (16, 3)),
    ):
        out = layer(rustnn.ones(shape)).numpy().reshape(-1, 3)
        assert all(len(set(row)) == 1 for row in out.tolist())
        assert {0.0, 2.0} == set(np.unique(out).tolist())


def test_pools_take_maxima_and_averages():
    x = rustnn.arange(24.0).reshape(1, 1, 4, 6)
    out, indices = nn.MaxPool2d(2, return_indices=True)(x)
    assert out.flatten().tolist() == [7.0, 9.0, 11.0, 19.0, 21.0, 23.0]
    assert (nn.MaxUnpool2d(2)(out, indices).flatten().nonzero().flatten() == indices.flatten()).all()
    assert nn.AvgPool2d(2)(x).flatten().tolist() == [3.5, 5.5, 7.5, 15.5, 17.5, 19.5]
    assert nn.AvgPool1d(3, 1, 1, count_include_pad=False)(rustnn.ones(1, 4)).tolist() == [[1.0] * 4]
    assert nn.AdaptiveAvgPool1d(2)(rustnn.arange(5.0).reshape(1, 5)).tolist() == [[1.0, 3.0]]


ACTIVATIONS = {
    "ReLU": lambda x: np.maximum(x, 0),
    "ReLU6": lambda x: np.clip(x, 0, 6),
    "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "Tanh": np.tanh,
    "SiLU": lambda x: x / (1 + np.exp(-x)),
    "Mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "Hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "Hardsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "ELU": lambda x: np.where(x > 0, x, np.expm1(x)),
    "CELU": lambda x: np.maximum(0, x) + np.minimum(0, np.expm1(x)),
    "SELU": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "GELU": lambda x: x * np.array([0.5 * (1 + math.erf(v / math.sqrt(2))) for v in x.ravel()]).reshape(x.shape),
    "Hardshrink": lambda x: np.where(np.abs(x) > 0.5, x, 0),
    "Softshrink": lambda x: np.sign(x) * np.maximum(np.abs(x) - 0.5, 0),
    "LeakyReLU": lambda x: np.where(x > 0, x, 0.01 * x),
    "LogSigmoid": lambda x: -np.log1p(np.exp(-x)),
    "Softplus": lambda x: np.log1p(np.exp(x)),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Tanhshrink": lambda x: x - np.tanh(x),
    "PReLU": lambda x: np.where(x > 0, x, 0.25 * x),
    "Hardtanh": lambda x: np.clip(x, -1, 1),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_computes_its_formula(name):
    x = random(5, 7) * 3
    layer = getattr(nn, name)().double()
    close(layer(x), ACTIVATIONS[name](x.numpy()), 1e-10)


@pytest.mark.parametrize(
    "name", ["ReLU", "SiLU", "Mish", "ELU", "CELU", "SELU", "LeakyReLU", "Hardtanh", "Hardswish", "Hardsigmoid"]
)
def test_an_inplace_activation_writes_into_its_input(name):
    x = random(3)
    expected = getattr(nn, name)()(x.clone())
    out = getattr(nn, name)(inplace=True)(x)
    assert out.data_ptr() == x.data_ptr() and (x == expected).all()


def log_softmax(x, axis=1):
    return x - x.max(axis, keepdims=True) - np.log(np.exp(x - x.max(axis, keepdims=True)).sum(axis, keepdims=True))


def test_cross_entropy_takes_indices_weights_ignored_classes_and_smoothing():
    x, target = random(4, 3), rustnn.tensor([0, 2, 1, 2])
    logs = log_softmax(x.numpy())
    picked = -logs[np.arange(4), target.numpy()]
    close(nn.CrossEntropyLoss()(x, target), picked.mean())
    close(nn.CrossEntropyLoss(reduction="none")(x, target), picked)
    close(nn.CrossEntropyLoss(reduction="sum")(x, target), picked.sum())
    weight = rustnn.tensor([0.2, 0.3, 0.5], dtype=rustnn.float64)
    factors = weight.numpy()[target.numpy()]
    close(nn.CrossEntropyLoss(weight)(x, target), (picked * factors).sum() / factors.sum())
    close(nn.CrossEntropyLoss(ignore_index=2)(x, target), picked[[0, 2]].mean())
    close(nn.CrossEntropyLoss(label_smoothing=0.1)(x, target), (0.9 * picked - 0.1 * logs.mean(1)).mean())
    probabilities = np.exp(log_softmax(random(4, 3).numpy()))
    close(nn.CrossEntropyLoss()(x, rustnn.tensor(probabilities)), -(probabilities * logs).sum(1).mean())
    close(nn.NLLLoss()(rustnn.tensor(logs), target), picked.mean())


def test_regression_losses_compute_their_formulas():
    x, y = random(4, 3) * 2, random(4, 3)
    d = np.abs(x.numpy() - y.numpy())
    close(nn.MSELoss()(x, y), (d**2).mean())
    close(nn.L1Loss(reduction="sum")(x, y), d.sum())
    close(nn.SmoothL1Loss(beta=0.5)(x, y), np.where(d < 0.5, d * d, d - 0.25).mean())
    close(nn.HuberLoss(delta=0.5)(x, y), np.where(d < 0.5, 0.5 * d * d, 0.5 * (d - 0.25)).mean())


def test_binary_and_divergence_losses_compute_their_formulas():
    x, t = random(4, 3), np.random.default_rng(0).random((4, 3))
    p = 1 / (1 + np.exp(-x.numpy()))
    each = -(t * np.log(p) + (1 - t) * np.log(1 - p))
    close(nn.BCEWithLogitsLoss()(x, rustnn.tensor(t)), each.mean(), 1e-10)
    close(nn.BCELoss(reduction="none")(rustnn.tensor(p), rustnn.tensor(t)), each, 1e-10)
    weighted = -(3 * t * np.log(p) + (1 - t) * np.log(1 - p))
    close(
        nn.BCEWithLogitsLoss(pos_weight=rustnn.tensor([3.0], dtype=rustnn.float64))(x, rustnn.tensor(t)),
        weighted.mean(),
        1e-10,
    )
    divergence = (t * (np.log(t) - x.numpy())).sum() / 4
    close(nn.KLDivLoss(reduction="batchmean")(x, rustnn.tensor(t)), divergence, 1e-10)
    close(nn.KLDivLoss(reduction="batchmean", log_target=True)(x, rustnn.tensor(np.log(t))), divergence, 1e-10)


def test_losses_warn_about_sizes_that_would_broadcast():
    with pytest.warns(
        UserWarning, match=r"Using a target size \(torch.Size\(\[3\]\)\) that is different to the input size"
    ):
        nn.MSELoss()(rustnn.ones(3, 1), rustnn.ones(3))
    with pytest.raises(ValueError, match=r"Target size \(torch.Size\(\[3\]\)\) must be the same as input size"):
        nn.BCEWithLogitsLoss()(rustnn.ones(3, 1), rustnn.ones(3))


def test_the_old_reduction_flags_warn_and_work():
    with pytest.warns(UserWarning, match="please use reduction='sum' instead"):
        loss = nn.MSELoss(size_average=False)
    assert loss.reduction == "sum"
    with pytest.raises(ValueError):
        nn.MSELoss(reduction="other")(rustnn.ones(1), rustnn.ones(1))


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: nn.Conv2d(3, 4, 1, groups=2), ValueError, "in_channels must be divisible by groups"),
        (lambda: nn.Conv2d(4, 3, 1, groups=2), ValueError, "out_channels must be divisible by groups"),
        (lambda: nn.Conv2d(4, 4, 1, groups=0), ValueError, "groups must be a positive integer"),
        (
            lambda: nn.Conv2d(4, 4, 3, stride=2, padding="same"),
            ValueError,
            "padding='same' is not supported for strided convolutions",
        ),
        (lambda: nn.GroupNorm(3, 4), ValueError, r"num_channels \(4\) must be divisible by num_groups \(3\)"),
        (lambda: nn.BatchNorm1d(2)(rustnn.ones(2)), ValueError, r"expected 2D or 3D input \(got 1D input\)"),
        (lambda: nn.BatchNorm2d(2)(rustnn.ones(2, 2)), ValueError, r"expected 4D input \(got 2D input\)"),
        (
            lambda: nn.BatchNorm1d(2)(rustnn.ones(1, 2)),
            ValueError,
            r"Expected more than 1 value per channel when training, got input size torch.Size\(\[1, 2\]\)",
        ),
        (lambda: nn.Unflatten(1, 5), TypeError, "unflattened_size must be a tuple of ints, but found type int"),
        (
            lambda: nn.Linear(2, 3)(rustnn.ones(4, 5)),
            RuntimeError,
            r"mat1 and mat2 shapes cannot be multiplied \(4x5 and 2x3\)",
        ),
        (lambda: nn.Hardtanh(1, -1), AssertionError, r"max_val \(-1\) must be greater than min_val \(1\)"),
        (lambda: nn.MultiheadAttention(5, 2), AssertionError, "embed_dim must be divisible by num_heads"),
        (lambda: nn.LSTM(2, 0), ValueError, "hidden_size must be greater than zero"),
        (lambda: nn.Embedding(3, 2)(rustnn.tensor([3])), IndexError, "index out of range in self"),
    ],
)
def test_bad_arguments_raise_pytorchs_text(make, kind, text):
    with pytest.raises(kind, match=text):
        make()


# ---- starting values -------------------------------------------------------------------------------------------------


def test_starting_values_have_their_spread():
    init = nn.init
    w = rustnn.empty(200, 100)
    bound = math.sqrt(6 / 300)
    assert float(init.xavier_uniform_(w).abs().max()) <= bound and abs(float(w.std()) - bound / math.sqrt(3)) < 0.005
    assert abs(float(init.xavier_normal_(w).std()) - math.sqrt(2 / 300)) < 0.005
    assert abs(float(init.kaiming_normal_(w, nonlinearity="relu").std()) - math.sqrt(2 / 100)) < 0.005
    assert abs(float(init.kaiming_normal_(w, mode="fan_out").std()) - math.sqrt(2 / 200)) < 0.005
    assert float(init.kaiming_uniform_(w, a=math.sqrt(5)).abs().max()) <= 0.1
    assert float(init.trunc_normal_(w, std=2.0, a=-1, b=1).abs().max()) <= 1
    assert abs(float(init.normal_(w, 3.0, 0.5).mean()) - 3) < 0.05
    q = init.orthogonal_(rustnn.empty(6, 4), gain=2)
    close(q.T @ q, 4 * np.eye(4), 1e-4)
    assert init.eye_(rustnn.empty(2, 3)).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    x = rustnn.randn(1, 4, 5)
    assert (F.conv1d(x, init.dirac_(rustnn.empty(4, 4, 3)), padding=1) == x).all()
    assert (init.sparse_(rustnn.empty(10, 5), 0.25) == 0).sum(0).tolist() == [3] * 5


def test_initialisers_refuse_what_they_cannot_fill():
    with pytest.raises(
        ValueError, match="Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
    ):
        nn.init.xavier_uniform_(rustnn.empty(3))
    with pytest.raises(ValueError, match="Unsupported nonlinearity other"):
        nn.init.calculate_gain("other")
    with pytest.raises(ValueError, match="Mode other not supported"):
        nn.init.kaiming_uniform_(rustnn.empty(2, 2), mode="other")
    with pytest.warns(FutureWarning, match=r"`nn.init.normal` is now deprecated in favor of `nn.init.normal_`."):
        nn.init.normal(rustnn.empty(2))


def test_initialisers_leave_no_graph():
    weight = nn.Parameter(rustnn.empty(2, 2))
    assert nn.init.ones_(weight) is weight and weight.grad_fn is None and weight.requires_grad


# ---- recurrent layers and attention ----------------------------------------------------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_lstm_gru_and_rnn_follow_their_formulas():
    x = random(6, 2, 3)
    for kind in ("LSTM", "GRU", "RNN"):
        layer = getattr(nn, kind)(3, 4).double()
        w, u, b, v = (p.detach().numpy() for p in layer.parameters())
        h = c = np.zeros((2, 4))
        outputs = []
        for step in x.numpy():
            a, r = step @ w.T + b, h @ u.T + v
            if kind == "LSTM":
                i, f, g, o = np.split(a + r, 4, axis=1)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            elif kind == "GRU":
                (ar, az, an), (rr, rz, rn) = np.split(a, 3, axis=1), np.split(r, 3, axis=1)
                z = sigmoid(az + rz)
                h = (1 - z) * np.tanh(an + sigmoid(ar + rr) * rn) + z * h
            else:
                h = np.tanh(a + r)
            outputs.append(h)
        out, state = layer(x)
        close(out, np.stack(outputs), 1e-10)
        close(state[0][0] if kind == "LSTM" else state[0], h, 1e-10)


def test_cells_do_one_step_of_their_layer():
    for kind in ("LSTM", "GRU", "RNN"):
        layer = getattr(nn, kind)(3, 4).double()
        cell = getattr(nn, kind + "Cell")(3, 4).double()
        cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
        x = random(1, 2, 3)
        out = cell(x[0])
        close(out[0] if kind == "LSTM" else out, layer(x)[0][0].detach().numpy(), 1e-10)


def test_packed_sequences_give_the_same_as_single_ones():
    layer = nn.GRU(3, 4, bidirectional=True).double()
    sequences = [random(length, 3) for length in (2, 5, 3)]
    packed = nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
    out, state = layer(packed)
    for number, (sequence, result) in enumerate(zip(sequences, nn.utils.rnn.unpack_sequence(out), strict=True)):
        expected, last = layer(sequence)
        close(result, expected.detach().numpy(), 1e-10)
        close(state[:, number], last.detach().numpy(), 1e-10)


def test_attention_is_softmax_of_scaled_products():
    layer = nn.MultiheadAttention(6, 2, batch_first=True).double()
    x = random(1, 4, 6)
    q, k, v = np.split(x.numpy()[0] @ layer.in_proj_weight.detach().numpy().T, 3, axis=1)
    heads = []
    for part in (slice(0, 3), slice(3, 6)):
        scores = q[:, part] @ k[:, part].T / math.sqrt(3)
        heads.append(np.exp(log_softmax(scores)) @ v[:, part])
    expected = np.concatenate(heads, axis=1) @ layer.out_proj.weight.detach().numpy().T
    out, weights = layer(x, x, x)
    close(out[0], expected, 1e-10)
    close(weights.sum(-1), np.ones((1, 4)), 1e-10)
    close(layer(x, x, x, need_weights=False)[0][0], expected, 1e-10)


def test_a_causal_mask_hides_the_future():
    net = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2).double().eval()
    x = random(1, 5, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=rustnn.float64)
    close(net(x, mask)[:, :3], net(x[:, :3], mask[:3, :3]).detach().numpy(), 1e-10)


# ---- nn.utils --------------------------------------------------------------------------------------------------------


def test_clipping_by_norm_scales_all_gradients_together():
    parameters = [nn.Parameter(rustnn.zeros(2)), nn.Parameter(rustnn.zeros(1)), nn.Parameter(rustnn.zeros(1))]
    parameters[0].grad, parameters[1].grad = rustnn.tensor([3.0, 0.0]), rustnn.tensor([4.0])
    assert nn.utils.clip_grad_norm_(iter(parameters), 1.0).item() == 5.0
    close(parameters[0].grad, [0.6, 0.0], 1e-5)
    assert nn.utils.clip_grad_norm_(parameters, 10.0).item() == pytest.approx(1.0, abs=1e-5)
    close(parameters[0].grad, [0.6, 0.0], 1e-5)
    parameters[1].grad = rustnn.tensor([math.inf])
    with pytest.raises(RuntimeError, match="is non-finite, so it cannot be clipped"):
        nn.utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0.0


def test_parameters_go_to_a_vector_and_back():
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    nn.utils.vector_to_parameters(nn.utils.parameters_to_vector(source.parameters()), target.parameters())
    assert (source.weight == target.weight).all() and (source.bias == target.bias).all()


def test_a_folded_batchnorm_gives_the_same_result():
    conv, norm = nn.Conv2d(2, 3, 3).double(), nn.BatchNorm2d(3).double()
    norm(random(4, 3, 5, 5) * 3 + 1)
    conv.eval(), norm.eval()
    x = random(2, 2, 6, 6)
    close(nn.utils.fuse_conv_bn_eval(conv, norm)(x), norm(conv(x)).detach().numpy(), 1e-10)


# ---- documentation ---------------------------------------------------------------------------------------------------


def documented():
    """Everything public in nn that has a docstring of its own."""
    for home in (nn, nn.functional, nn.init, nn.utils, nn.utils.rnn):
        for name, value in sorted(vars(home).items()):
            if name.startswith("_") or isinstance(value, types.ModuleType):
                continue
            if str(getattr(value, "__module__", "")).startswith("rustnn.nn") and isinstance(
                value, (type, types.FunctionType)
            ):
                yield f"{home.__name__}.{name}", value


DOCUMENTED = dict(documented())


@pytest.mark.parametrize("name", [name for name, value in DOCUMENTED.items() if isinstance(value, type)])
def test_every_class_says_what_it_returns_and_shows_an_example(name):
    text = DOCUMENTED[name].__doc__
    assert text and ">>>" in text, name
    if issubclass(DOCUMENTED[name], nn.Module) and name.count(".") == 2:
        assert "Source:" in text or "Deprecated" in text, name
