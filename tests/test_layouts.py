"""Results in another order than row-major have the values of row-major ones."""

import pytest

import rustnn
from rustnn.nn import functional as F

LAST = {4: rustnn.channels_last, 5: rustnn.channels_last_3d}

OPS = {
    "conv2d": lambda x: F.conv2d(x, weight(5, 4, 3, 3), weight(5), padding=1),
    "conv2d, grouped": lambda x: F.conv2d(x, weight(6, 2, 3, 3), stride=2, groups=2),
    "conv_transpose2d": lambda x: F.conv_transpose2d(x, weight(4, 3, 2, 2), stride=2),
    "max_pool2d": lambda x: F.max_pool2d(x, 2, 1),
    "avg_pool2d": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "adaptive_avg_pool2d": lambda x: F.adaptive_avg_pool2d(x, (3, 1)),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, 2),
    "batch_norm": lambda x: F.batch_norm(x, None, None, weight(4), weight(4), training=True),
    "batch_norm, frozen": lambda x: F.batch_norm(x, weight(4), weight(4).abs() + 1),
    "group_norm": lambda x: F.group_norm(x, 2, weight(4), weight(4)),
    "interpolate": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "pad": lambda x: F.pad(x, (1, 2, 0, 1), mode="reflect"),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x, 2),
}


def weight(*shape):
    generator = rustnn.Generator().manual_seed(sum(shape))
    return rustnn.randn(*shape, generator=generator)


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("dtype", [rustnn.float32, rustnn.float64])
def test_channels_innermost_change_no_value_and_no_gradient(name, dtype):
    def both(x):
        x = x.requires_grad_()
        y = OPS[name](x) if dtype is rustnn.float32 else OPS[name](x.float()).to(dtype)
        (y * y.detach().cos()).sum().backward()
        return y, x.grad

    plain = weight(2, 4, 6, 5).to(dtype)
    y, dy = both(plain.clone())
    z, dz = both(plain.to(memory_format=rustnn.channels_last))
    assert z.is_contiguous(memory_format=rustnn.channels_last) and y.is_contiguous()
    rustnn.testing.assert_close(z, y)
    rustnn.testing.assert_close(dz, dy)


def test_gradients_are_laid_out_as_their_leaves():
    for layout in (rustnn.contiguous_format, rustnn.channels_last):
        x = weight(2, 3, 4, 5).to(memory_format=layout).requires_grad_()
        x.sum().backward()
        assert x.grad.stride() == x.stride()
        x.grad = None
        (x * weight(2, 3, 4, 5)).sum().backward()
        assert x.grad.stride() == x.stride()
        x.grad.zero_()
        (x * x).sum().backward()
        assert rustnn.equal(x.grad, 2 * x.detach()) and x.grad.stride() == x.stride()
    gaps = rustnn.empty_strided((2, 2), (4, 2)).fill_(1).requires_grad_()
    gaps.sum().backward()
    assert gaps.grad.stride() == (2, 1)


def test_the_weight_of_a_convolution_in_channels_last_trains_as_a_row_major_one():
    weights = []
    for layout in (rustnn.contiguous_format, rustnn.channels_last):
        conv = rustnn.nn.Conv2d(4, 3, 3, bias=False)
        with rustnn.no_grad():
            conv.weight.copy_(weight(3, 4, 3, 3))
        conv = conv.to(memory_format=layout)
        optimizer = rustnn.optim.AdamW(conv.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            conv(weight(2, 4, 6, 6).to(memory_format=layout)).square().mean().backward()
            optimizer.step()
        weights.append(conv.weight.detach())
    assert weights[1].is_contiguous(memory_format=rustnn.channels_last)
    rustnn.testing.assert_close(*weights)


def test_gradients_through_any_geometry_over_an_expanded_tensor_count_each_element_once():
    x = rustnn.arange(1.0, 6.0, dtype=rustnn.float64).requires_grad_()
    y = x.expand(5, 5).as_strided((5, 5), (0, 1), 0)
    y.sum().backward()
    assert x.grad.tolist() == [5.0] * 5

    def through(x):
        return x.expand(4, 2, 3).as_strided((2, 3), (3, 1), 0) ** 2

    z = rustnn.arange(1.0, 7.0, dtype=rustnn.float64).reshape(2, 3).requires_grad_()
    assert rustnn.autograd.gradcheck(through, (z,)) and rustnn.autograd.gradgradcheck(through, (z,))


def test_a_volume_without_a_batch_keeps_its_channels_innermost_in_a_max_pool():
    x = weight(1, 4, 6, 6, 6).to(memory_format=rustnn.channels_last_3d)[0].requires_grad_()
    y, places = F.max_pool3d(x, 2, return_indices=True)
    assert y.unsqueeze(0).is_contiguous(memory_format=rustnn.channels_last_3d) and places.stride() == y.stride()
    z, others = F.max_pool3d(x.detach().contiguous(), 2, return_indices=True)
    assert rustnn.equal(y, z) and rustnn.equal(places, others)
    y.sum().backward()
    assert x.grad.stride() == x.stride() and x.grad.sum().item() == y.numel()


def test_expanding_by_dimensions_of_one_element_is_unsqueezing():
    x = rustnn.arange(5)
    assert x.expand(1, 1, 5).stride() == x.unsqueeze(0).unsqueeze(1).stride() == (5, 5, 1)
    assert x.expand(1, 2, 5).stride() == (0, 0, 1) and x.expand(2, 1, 5).stride() == (0, 5, 1)


def test_nothing_that_an_adaptive_pool_made_has_a_gradient():
    for pool, shape in ((F.adaptive_avg_pool2d, (1, 2, 3, 3)), (F.adaptive_max_pool3d, (1, 2, 3, 3, 3))):
        x = rustnn.ones(shape, requires_grad=True)
        assert pool(x, 0).numel() == 0
        with pytest.raises(RuntimeError, match="Expected grad_output to have non-zero size for non-batch dimensions"):
            pool(x, 0).sum().backward()
    x = rustnn.ones(1, 64, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"grad_output has sizes \[1, 1, 0\] with dimension 2 being empty"):
        F.adaptive_avg_pool1d(x, 0).sum().backward()


def test_copies_of_tensors_with_gaps_keep_the_order_of_dimensions():
    with_gaps = rustnn.ones(2, 4, 5, 3).permute(0, 3, 1, 2)[:, :, :, ::2]
    order = (36, 1, 9, 3)
    for copy in (with_gaps.clone(), with_gaps.double(), rustnn.empty_like(with_gaps), rustnn.rand_like(with_gaps)):
        assert copy.stride() == order
    assert F.dropout(with_gaps, 0.5).stride() == order
    assert rustnn.equal(with_gaps.clone(), with_gaps)


@pytest.mark.parametrize(
    "like",
    [
        rustnn.empty_like,
        rustnn.zeros_like,
        rustnn.ones_like,
        lambda x, **options: rustnn.full_like(x, 2, **options),
        rustnn.rand_like,
        rustnn.randn_like,
        lambda x, **options: rustnn.randint_like(x, 2, **options),
    ],
)
def test_new_tensors_of_a_shape_take_a_memory_format(like):
    x = rustnn.ones(2, 3, 4, 5)
    assert like(x, memory_format=rustnn.channels_last).stride() == (60, 1, 15, 3)
    assert like(x.permute(0, 2, 3, 1), memory_format=rustnn.contiguous_format).stride() == (60, 15, 3, 1)
    assert like(x.permute(0, 2, 3, 1), memory_format=rustnn.preserve_format).stride() == (60, 5, 1, 20)
    with pytest.raises(RuntimeError, match="required rank 5 tensor"):
        like(x, memory_format=rustnn.channels_last_3d)
