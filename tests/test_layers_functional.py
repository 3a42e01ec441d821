"""nn.functional: padding, windows, resizing, sampling, tables and alignments against plain numpy."""

import itertools
import math

import numpy as np
import pytest

import rustnn
from rustnn import nn
from rustnn.nn import functional as F


def random(*shape):
    return rustnn.randn(*shape, dtype=rustnn.float64)


def close(tensor, expected, tolerance=1e-10):
    np.testing.assert_allclose(tensor.detach().numpy(), expected, rtol=tolerance, atol=tolerance)


# ---- padding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "name"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
def test_pad_modes_are_numpys(mode, name):
    x = random(2, 3, 4, 5).requires_grad_()
    out = F.pad(x, (2, 1, 3, 0), mode)
    close(out, np.pad(x.detach().numpy(), ((0, 0), (0, 0), (3, 0), (2, 1)), name))
    weight = random(*out.shape)
    (out * weight).sum().backward()
    # Each source position gathers the weights of the places that show it.
    place = np.pad(np.arange(20).reshape(4, 5), ((3, 0), (2, 1)), name)
    expected = np.zeros((2, 3, 20))
    for flat in range(20):
        expected[..., flat] = weight.numpy()[..., place == flat].sum(-1)
    close(x.grad, expected.reshape(2, 3, 4, 5))


def test_constant_padding_adds_and_cuts():
    x = random(2, 4).requires_grad_()
    out = F.pad(x, (1, -2, 2, 0), value=7.0)
    assert out.shape == (4, 3) and out[0].tolist() == [7.0] * 3 and out[2, 0].item() == 7.0
    close(out[2:, 1:], x.detach().numpy()[:, :2])
    out.sum().backward()
    assert x.grad.tolist() == [[1.0, 1.0, 0.0, 0.0]] * 2


@pytest.mark.parametrize(
    ("shape", "pad", "mode", "kind", "text"),
    [
        ((2, 3), (1,), "constant", RuntimeError, "Padding length must be divisible by 2"),
        ((3,), (1, 1, 1, 1), "constant", RuntimeError, "Padding length should be less than or equal to two times"),
        ((2, 3), (1, 1), "other", NotImplementedError, "Unrecognised padding mode other"),
        ((2, 3), (3, 1), "reflect", RuntimeError, r"padding \(3, 1\) at dimension 1 of input \[2, 3\]"),
        ((2, 3), (4, 1), "circular", RuntimeError, "Padding value causes wrapping around more than once"),
        ((3,), (1, 1), "reflect", NotImplementedError, "Padding size 2 is not supported for 1D input tensor"),
    ],
)
def test_pad_refuses_what_does_not_fit(shape, pad, mode, kind, text):
    with pytest.raises(kind, match=text):
        F.pad(rustnn.ones(shape), pad, mode)


# ---- windows ---------------------------------------------------------------------------------------------------------


def test_unfold_takes_windows_and_fold_sums_them_back():
    x = random(2, 3, 6, 7)
    columns = F.unfold(x, (2, 3), dilation=(2, 1), padding=(1, 0), stride=(1, 2))
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (1, 1), (0, 0)))
    windows = [padded[:, :, i : i + 3 : 2, j : j + 3].reshape(2, -1) for i in range(6) for j in range(0, 5, 2)]
    close(columns, np.stack(windows, 2))
    ones = F.fold(F.unfold(rustnn.ones(1, 1, 4, 4), 2), (4, 4), 2)
    assert ones[0, 0].tolist() == [[1, 2, 2, 1], [2, 4, 4, 2], [2, 4, 4, 2], [1, 2, 2, 1]]


def test_unfold_and_fold_are_each_others_gradients():
    x = random(1, 2, 5, 5).requires_grad_()
    weight = random(1, 18, 9)
    (F.unfold(x, 3) * weight).sum().backward()
    close(x.grad, F.fold(weight, (5, 5), 3).numpy())


# ---- resizing and sampling -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aligned", [False, True])
def test_linear_interpolation_is_numpys_between_the_corners(aligned):
    x = random(1, 1, 5)
    out = F.interpolate(x, size=8, mode="linear", align_corners=aligned)
    places = np.arange(8) * 4 / 7 if aligned else np.clip((np.arange(8) + 0.5) * 5 / 8 - 0.5, 0, 4)
    close(out[0, 0], np.interp(places, np.arange(5), x[0, 0].numpy()))


def test_interpolation_modes_keep_constants_and_shapes():
    image = rustnn.full((1, 2, 4, 5), 3.0, dtype=rustnn.float64)
    for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area"):
        out = F.interpolate(image, scale_factor=(1.5, 2.0), mode=mode)
        assert out.shape == (1, 2, 6, 10)
        close(out, np.full((1, 2, 6, 10), 3.0))
    for mode in ("bilinear", "bicubic"):
        close(F.interpolate(image, size=(2, 3), mode=mode, antialias=True), np.full((1, 2, 2, 3), 3.0))


def test_nearest_interpolation_repeats_pixels():
    x = rustnn.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert F.interpolate(x, scale_factor=2)[0, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({}, ValueError, "either size or scale_factor should be defined"),
        ({"size": 2, "scale_factor": 2}, ValueError, "only one of size or scale_factor should be defined"),
        ({"size": 2, "align_corners": True}, ValueError, "align_corners option can only be set with"),
        ({"size": 2, "mode": "trilinear"}, NotImplementedError, "Got 4D input, but trilinear mode needs 5D input"),
        ({"size": (1, 2, 3)}, ValueError, "Input and output must have the same number of spatial dimensions"),
    ],
)
def test_interpolate_refuses_what_does_not_fit(options, kind, text):
    with pytest.raises(kind, match=text):
        F.interpolate(rustnn.ones(1, 1, 2, 2), **options)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_sampling_at_the_identity_grid_gives_the_image(mode, aligned):
    x = random(2, 3, 4, 5)
    theta = rustnn.tensor([[[1.0, 0, 0], [0, 1, 0]]] * 2, dtype=rustnn.float64)
    grid = F.affine_grid(theta, (2, 3, 4, 5), align_corners=aligned)
    close(F.grid_sample(x, grid, mode=mode, align_corners=aligned), x.numpy())


def test_sampling_outside_gives_zeros_the_border_or_the_mirror():
    x = rustnn.tensor([[[[1.0, 2.0, 3.0]]]])
    grid = rustnn.tensor([[[[-2.0, 0.0], [2.0, 0.0]]]])
    results = [
        F.grid_sample(x, grid, padding_mode=mode, align_corners=True) for mode in ("zeros", "border", "reflection")
    ]
    assert [result.flatten().tolist() for result in results] == [[0.0, 0.0], [1.0, 3.0], [2.0, 2.0]]


# ---- tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_embedding_bag_reduces_the_rows_of_each_bag(mode):
    table = random(6, 3).requires_grad_()
    bags = [[0, 2, 2], [], [5, 1]]
    index = rustnn.tensor([i for bag in bags for i in bag])
    out = F.embedding_bag(index, table, rustnn.tensor([0, 3, 3]), mode=mode)
    reduce = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode]
    rows = table.detach().numpy()
    close(out, np.stack([reduce(rows[bag], axis=0) if bag else np.zeros(3) for bag in bags]))
    out.sum().backward()
    assert table.grad[3].tolist() == [0.0] * 3 and table.grad.sum().item() > 0


def test_one_hot_marks_the_class():
    assert F.one_hot(rustnn.tensor([[0], [2]]), 4).tolist() == [[[1, 0, 0, 0]], [[0, 0, 1, 0]]]
    with pytest.raises(RuntimeError, match=r"Class values must be smaller than num_classes\."):
        F.one_hot(rustnn.tensor([3]), 3)


# ---- attention and alignments ----------------------------------------------------------------------------------------


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_attention_masks_by_numbers_by_truth_and_by_order():
    q, k, v = random(2, 3, 4), random(2, 5, 4), random(2, 5, 6)
    scores = q.numpy() @ k.numpy().transpose(0, 2, 1) / 2
    close(F.scaled_dot_product_attention(q, k, v), softmax(scores) @ v.numpy())
    bias = random(3, 5)
    close(F.scaled_dot_product_attention(q, k, v, bias), softmax(scores + bias.numpy()) @ v.numpy())
    keep = np.tril(np.ones((3, 5), bool))
    expected = softmax(np.where(keep, scores, -np.inf)) @ v.numpy()
    close(F.scaled_dot_product_attention(q, k, v, rustnn.tensor(keep)), expected)
    close(F.scaled_dot_product_attention(q, k, v, is_causal=True), expected)


def test_ctc_sums_over_all_alignments():
    logs = random(4, 1, 3).log_softmax(2)
    for labels in ([1, 2], [1, 1], [2], []):
        total = 0.0
        for path in itertools.product(range(3), repeat=4):
            merged = [key for key, _ in itertools.groupby(path) if key != 0]
            if merged == labels:
                total += math.exp(sum(logs[t, 0, c].item() for t, c in enumerate(path)))
        target = rustnn.tensor([[*labels, 0, 0][:2]])
        lengths = rustnn.tensor([4]), rustnn.tensor([len(labels)])
        loss = F.ctc_loss(logs, target, *lengths, reduction="none")
        close(loss, [-math.log(total)])


def test_ctc_of_a_target_that_is_too_long_is_infinite_or_zero():
    scores = random(1, 1, 3).requires_grad_()
    arguments = (rustnn.tensor([[1, 2]]), rustnn.tensor([1]), rustnn.tensor([2]))
    assert F.ctc_loss(scores.log_softmax(2), *arguments).item() == math.inf
    loss = F.ctc_loss(scores.log_softmax(2), *arguments, zero_infinity=True)
    loss.backward()
    assert loss.item() == 0.0 and not scores.grad.any()


# ---- distances and gates ---------------------------------------------------------------------------------------------


def test_distances_and_gates_compute_their_formulas():
    x, y = random(4, 6), random(4, 6)
    a, b = x.numpy(), y.numpy()
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    close(F.cosine_similarity(x, y), cosine)
    close(F.pairwise_distance(x, y, p=3), (np.abs(a - b + 1e-6) ** 3).sum(1) ** (1 / 3))
    close(F.glu(x), a[:, :3] / (1 + np.exp(-a[:, 3:])))
    close(F.pdist(x), [np.linalg.norm(a[i] - a[j]) for i in range(4) for j in range(i + 1, 4)])
    layer = nn.Bilinear(6, 6, 2).double()
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    close(layer(x, y), np.einsum("ni,oij,nj->no", a, weight, b) + bias)


def test_pixels_are_shuffled_and_back():
    x = rustnn.arange(16.0).reshape(1, 4, 2, 2)
    shuffled = F.pixel_shuffle(x, 2)
    assert shuffled[0, 0, 0].tolist() == [0.0, 4.0, 1.0, 5.0]
    assert rustnn.equal(F.pixel_unshuffle(shuffled, 2), x)


def test_lp_pool_and_local_response_follow_their_formulas():
    x = random(1, 3, 4).abs()
    n = x.numpy()
    close(F.lp_pool1d(x, 2, 2), np.sqrt(n[..., ::2] ** 2 + n[..., 1::2] ** 2))
    padded = np.pad(n**2, ((0, 0), (1, 1), (0, 0)))
    mean = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3
    close(F.local_response_norm(x, 3, 0.5, 0.75, 2.0), n / (2.0 + 0.5 * mean) ** 0.75)


def test_batches_of_nothing_pass_through():
    none = rustnn.zeros(0, 4, 2, 2)
    for out, shape in (
        (F.pixel_shuffle(none, 2), (0, 1, 4, 4)),
        (F.channel_shuffle(none, 2), (0, 4, 2, 2)),
        (F.unfold(none, 2), (0, 16, 1)),
        (F.fold(rustnn.zeros(0, 4, 1), 2, 2), (0, 1, 2, 2)),
        (F.grid_sample(none, rustnn.zeros(0, 3, 3, 2), align_corners=False), (0, 4, 3, 3)),
        (F.bilinear(rustnn.zeros(0, 2), rustnn.zeros(0, 3), rustnn.zeros(4, 2, 3)), (0, 4)),
        (F.max_unpool2d(none, none.long(), 2), (0, 4, 4, 4)),
        (rustnn.nn.RNN(2, 3)(rustnn.zeros(2, 0, 2))[0], (2, 0, 3)),
        (rustnn.nn.BatchNorm2d(4)(none), (0, 4, 2, 2)),
    ):
        assert out.shape == shape


def test_positions_that_are_no_numbers_sample_zeros():
    grid = rustnn.tensor([float("nan"), float("inf"), 0.0, float("-inf")]).reshape(1, 1, 2, 2)
    assert F.grid_sample(rustnn.ones(1, 1, 2, 2), grid, mode="nearest", align_corners=False).tolist() == [[[[0, 0]]]]


def test_cosine_similarity_of_integers_is_a_float():
    out = F.cosine_similarity(rustnn.tensor([[3, 4]]), rustnn.tensor([[4, 3]]))
    assert out.dtype is rustnn.float32 and out.item() == pytest.approx(24 / 25)


def test_indices_behind_the_last_offset_belong_to_no_bag():
    table = rustnn.arange(8.0).reshape(4, 2)
    index, offsets = rustnn.tensor([0, 1, 2, 3]), rustnn.tensor([0, 2, 3])
    out = F.embedding_bag(index, table, offsets, mode="sum", include_last_offset=True)
    assert out.tolist() == [[2, 4], [4, 5]]


def test_a_repeated_index_without_memory_of_its_own_is_added_and_embedded():
    once = rustnn.zeros(1, dtype=rustnn.int64)
    assert rustnn.zeros(2).index_add(0, once.expand(3), rustnn.ones(3)).tolist() == [3, 0]
    table = rustnn.ones(2, 1, requires_grad=True)
    F.embedding(once.unsqueeze(0).expand(2, 3).t(), table).sum().backward()
    assert table.grad.tolist() == [[6], [0]]


def test_a_gradient_given_in_another_dtype_is_cast():
    layer = rustnn.nn.Conv2d(1, 1, 2).to(rustnn.float64)
    layer(rustnn.ones(1, 1, 2, 2, dtype=rustnn.float64)).backward(rustnn.full((1, 1, 1, 1), 2.0))
    assert layer.bias.grad.dtype is rustnn.float64 and layer.bias.grad.item() == 2


def test_fractional_windows_lie_where_the_samples_say():
    x = rustnn.arange(36.0).reshape(1, 1, 6, 6)
    samples = rustnn.tensor([[[0.5, 0.5]]])
    # The step is (6 - 2) / (3 - 1) = 2: windows begin at 0, 2 and 4.
    out, index = F.fractional_max_pool2d(x, 2, output_size=3, return_indices=True, _random_samples=samples)
    assert out.tolist() == [[[[7, 9, 11], [19, 21, 23], [31, 33, 35]]]] and index.tolist() == out.tolist()
    layer = rustnn.nn.FractionalMaxPool2d(2, output_ratio=0.5)
    assert layer(x[0]).shape == (1, 3, 3)
    volume = rustnn.rand(2, 1, 5, 5, 5, dtype=rustnn.float64, requires_grad=True)
    samples = rustnn.rand(2, 1, 3, dtype=rustnn.float64)
    pool = rustnn.nn.FractionalMaxPool3d(2, output_size=3, _random_samples=samples)
    assert rustnn.autograd.gradcheck(pool, [volume])
    with pytest.raises(ValueError, match="either an output size, or a pooling ratio"):
        rustnn.nn.FractionalMaxPool2d(2)
    with pytest.raises(RuntimeError, match="too large relative to input"):
        F.fractional_max_pool2d(x, 5, output_size=3)


def test_a_linear_cross_entropy_is_that_of_the_logits():
    loss = rustnn.nn.LinearCrossEntropyLoss(3, 4, out_features=(2,), bias=True, label_smoothing=0.1)
    x, target = rustnn.randn(5, 3), rustnn.randint(4, (5, 2))
    logits = loss.linear(x).reshape(5, 4, 2)
    assert loss(x, target).item() == pytest.approx(F.cross_entropy(logits, target, label_smoothing=0.1).item())
    with pytest.raises(RuntimeError, match="ignore_index cannot be specified"):
        F.linear_cross_entropy(x, rustnn.ones(4, 3), rustnn.ones(5, 4), ignore_index=1)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: F.adaptive_max_pool2d(rustnn.ones(1, 1, 4, 4), (2, -1)), RuntimeError, "greater than or equal to 0"),
        (lambda: F.adaptive_avg_pool1d(rustnn.ones(1, 1, 4), -1), RuntimeError, "greater than or equal to 0"),
        (
            lambda: F.max_unpool3d(rustnn.ones(1, 1, 1, 1, 2), rustnn.ones(1, 1, 1, 1, 1).long(), 1),
            RuntimeError,
            "Expected shape of indices",
        ),
        (lambda: F.max_unpool2d(rustnn.ones(2, 2), rustnn.ones(2, 2).long(), 2), RuntimeError, "should be a 3d or 4d"),
        (lambda: F.max_unpool2d(rustnn.ones(1, 2, 2), rustnn.ones(1, 2, 2), 2), RuntimeError, "type int64"),
        (lambda: F.pad(rustnn.ones(1, 0, 4), (1, 1), "reflect"), RuntimeError, "other non-zero dimensions"),
        (lambda: F.pad(rustnn.ones(0, 4), (1, 1), "replicate"), RuntimeError, "other non-zero dimensions"),
        (lambda: F.interpolate(rustnn.ones(1, 1, 2), size=2.5), TypeError, "expected size to be one of int"),
        (
            lambda: F.cross_entropy(rustnn.ones(2, 3), rustnn.ones(2, 3).long()),
            RuntimeError,
            "Expected floating point type for target",
        ),
        (lambda: F.nll_loss(rustnn.ones(2, 3), rustnn.ones(2, 1).long()), RuntimeError, "multi-target not supported"),
        (
            lambda: F.nll_loss(rustnn.ones(2, 3, 2, 2), rustnn.ones(2, 3).long()),
            RuntimeError,
            "only batches of spatial targets",
        ),
        (lambda: F.max_pool2d(rustnn.ones(4, 4), 2), RuntimeError, "non-empty 3D or 4D"),
        (lambda: rustnn.nn.GRUCell(2, 3)(rustnn.ones(1, 4)), RuntimeError, "inconsistent input_size: got 4 expected 2"),
        (
            lambda: rustnn.nn.RNNCell(2, 3)(rustnn.ones(2, 2), rustnn.ones(1, 3)),
            RuntimeError,
            "Input batch size 2 doesn't match hidden0 batch size 1",
        ),
        (
            lambda: rustnn.nn.LSTMCell(2, 3)(rustnn.ones(1, 2), (rustnn.ones(1, 3), rustnn.ones(1, 4))),
            RuntimeError,
            "hidden1 has inconsistent hidden_size: got 4, expected 3",
        ),
        (lambda: rustnn.nn.LSTMCell(2, 3)(rustnn.ones(1, 2), rustnn.ones(1, 3)), TypeError, "must be tuple of Tensors"),
        (
            lambda: F.fractional_max_pool2d(rustnn.ones(1, 1, 4, 4), 2, 2, _random_samples=rustnn.ones(1, 1, 3)),
            RuntimeError,
            "equals to 2; got 3",
        ),
    ],
)
def test_inputs_that_do_not_fit_raise(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


def test_none_keeps_a_length_in_adaptive_pools():
    assert F.adaptive_max_pool2d(rustnn.ones(1, 1, 4, 5), (2, None)).shape == (1, 1, 2, 5)


# ---- what PyTorch's own tests found ----------------------------------------------------------------------------------


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_pictures_of_bytes_are_resized_in_single_precision_and_rounded(mode, antialias):
    picture = rustnn.randint(0, 256, (1, 3, 20, 24), dtype=rustnn.uint8)
    small = F.interpolate(picture, size=(7, 31), mode=mode, antialias=antialias)
    exact = F.interpolate(picture.float(), size=(7, 31), mode=mode, antialias=antialias)
    assert small.dtype == rustnn.uint8
    assert small.tolist() == exact.round().clamp(0, 255).to(rustnn.uint8).tolist()
    with pytest.raises(NotImplementedError, match="not implemented for"):
        F.interpolate(picture.int(), size=(7, 31), mode=mode)


@pytest.mark.parametrize("size", [3.0, rustnn.tensor(3.0), True])
def test_sizes_to_resize_to_are_whole_numbers(size):
    with pytest.raises(TypeError, match="expected size to be one of int"):
        F.interpolate(rustnn.ones(1, 1, 2, 2), size=(size, size))


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_padding_of_nothing_is_a_copy(mode):
    x = rustnn.zeros(1, 3, 4, 4)
    F.pad(x, (0, 0, 0, 0), mode=mode).fill_(1)
    assert x.sum() == 0


@pytest.mark.parametrize("width", [1, 2, 40])
def test_a_window_that_dilation_leads_around_all_elements_has_no_maximum(width):
    x = rustnn.ones(1, 1, 1, width, requires_grad=True)
    y, places = F.max_pool2d(x, 2, stride=1, padding=1, dilation=2, return_indices=True)
    expected = F.max_pool2d(F.pad(x, (1, 1, 1, 1), value=-math.inf), 2, stride=1, dilation=2)
    assert y.tolist() == expected.tolist()
    assert [place for value, place in zip(y.flatten(), places.flatten(), strict=True) if value == -math.inf] == [
        -1
    ] * y.numel()
    y.sum().backward()
    assert x.grad.abs().sum() == 0


@pytest.mark.parametrize(
    "pool", [lambda x: F.max_pool1d(x, 2, return_indices=True), lambda x: F.adaptive_max_pool1d(x, 2, True)]
)
def test_places_of_maxima_that_were_written_since_are_refused(pool):
    y, places = pool(rustnn.randn(1, 1, 4, requires_grad=True))
    places.fill_(10**9)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_an_alignment_of_no_steps_stays_in_the_graph():
    logs = rustnn.randn(1, 3, 5).log_softmax(2).detach().requires_grad_()
    none = rustnn.zeros(3, dtype=rustnn.int32)
    targets = rustnn.ones(3, 2, dtype=rustnn.int32)
    for counts, loss in ((none, 0.0), (none + 1, math.inf)):
        logs.grad = None
        result = F.ctc_loss(logs, targets, none, counts, reduction="none")
        result.sum().backward()
        assert result.tolist() == [loss] * 3
        assert logs.grad.abs().sum() == 0


def test_offsets_of_bags_may_not_decrease():
    with pytest.raises(RuntimeError, match="offsets must not decrease, but 1 follows 3"):
        F.embedding_bag(rustnn.arange(4), rustnn.randn(5, 2), rustnn.tensor([0, 3, 1]))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_gradients_of_convolutions_as_functions_are_autograds(n):
    conv = getattr(F, f"conv{n}d")
    x, weight = random(2, 4, *[6] * n).requires_grad_(), random(6, 2, *[3] * n).requires_grad_()
    y = conv(x, weight, None, 2, 1, 1, 2)
    grad = random(*y.shape)
    dx, dw = rustnn.autograd.grad(y, (x, weight), grad)
    close(getattr(nn.grad, f"conv{n}d_input")(x.shape, weight, grad, 2, 1, 1, 2), dx.numpy())
    close(getattr(nn.grad, f"conv{n}d_weight")(x, weight.shape, grad, 2, 1, 1, 2), dw.numpy())
    with rustnn.no_grad():
        assert not getattr(nn.grad, f"conv{n}d_input")(x.shape, weight, grad, 2, 1, 1, 2).requires_grad


def test_conv_tbc_is_conv1d_with_time_first():
    x, weight, bias = random(7, 2, 3), random(3, 3, 4), random(4)
    expected = F.conv1d(x.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=1).permute(2, 0, 1)
    close(rustnn.conv_tbc(x, weight, bias, 1), expected.numpy())
    with pytest.raises(RuntimeError, match="Input dim 2"):
        rustnn.conv_tbc(random(7, 2, 4), weight, bias)


def test_batch_norm_update_stats_moves_running_statistics():
    x, mean, var = random(4, 3, 5), rustnn.zeros(3).double(), rustnn.ones(3).double()
    now = rustnn.batch_norm_update_stats(x, mean, var, 0.1)
    close(now[0], x.numpy().mean((0, 2)))
    close(now[1], x.numpy().var((0, 2)))
    close(mean, 0.1 * x.numpy().mean((0, 2)))
    close(var, 0.9 + 0.1 * x.numpy().var((0, 2), ddof=1))
