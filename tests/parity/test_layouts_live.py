"""The order in memory of results: the same strides in both libraries, whatever order the inputs have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rustnn

torch = pytest.importorskip("torch", reason="`make parity` installs PyTorch")


def images(t: Any) -> Any:
    return t.arange(2 * 8 * 6 * 6.0).reshape(2, 8, 6, 6).to(memory_format=t.channels_last)


def volumes(t: Any) -> Any:
    return t.arange(2 * 4 * 4 * 6 * 6.0).reshape(2, 4, 4, 6, 6).to(memory_format=t.channels_last_3d)


OF_IMAGES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "conv2d": lambda t, F, x: F.conv2d(x, t.ones(4, 8, 3, 3)),
    "conv2d of row-major images": lambda t, F, x: F.conv2d(
        x.contiguous(), t.ones(4, 8, 3, 3).to(memory_format=t.channels_last)
    ),
    "conv2d, depthwise": lambda t, F, x: F.conv2d(x, t.ones(8, 1, 3, 3), groups=8),
    "conv2d of one image": lambda t, F, x: F.conv2d(x[0], t.ones(4, 8, 3, 3)),
    "conv_transpose2d": lambda t, F, x: F.conv_transpose2d(x, t.ones(8, 4, 3, 3)),
    "max_pool2d": lambda t, F, x: F.max_pool2d(x, 2),
    "max_pool2d's places": lambda t, F, x: F.max_pool2d(x, 2, return_indices=True)[1],
    "max_unpool2d": lambda t, F, x: F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2),
    "avg_pool2d": lambda t, F, x: F.avg_pool2d(x, 2),
    "lp_pool2d": lambda t, F, x: F.lp_pool2d(x, 2, 2),
    "adaptive_avg_pool2d": lambda t, F, x: F.adaptive_avg_pool2d(x, 2),
    "adaptive_avg_pool2d to one": lambda t, F, x: F.adaptive_avg_pool2d(x, 1),
    "adaptive_max_pool2d's places": lambda t, F, x: F.adaptive_max_pool2d(x, 2, return_indices=True)[1],
    "batch_norm in training": lambda t, F, x: F.batch_norm(x, None, None, training=True),
    "batch_norm": lambda t, F, x: F.batch_norm(x, t.zeros(8), t.ones(8)),
    "group_norm": lambda t, F, x: F.group_norm(x, 2),
    "instance_norm": lambda t, F, x: F.instance_norm(x),
    "layer_norm": lambda t, F, x: F.layer_norm(x, (6,)),
    "rms_norm": lambda t, F, x: F.rms_norm(x, (6,)),
    "nearest": lambda t, F, x: F.interpolate(x, scale_factor=2),
    "bilinear": lambda t, F, x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "area": lambda t, F, x: F.interpolate(x, scale_factor=2, mode="area"),
    "pad by a constant": lambda t, F, x: F.pad(x, (1, 1, 1, 1)),
    "pad by reflection": lambda t, F, x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
    "pad around": lambda t, F, x: F.pad(x, (1, 1, 1, 1), mode="circular"),
    "pixel_shuffle": lambda t, F, x: F.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda t, F, x: F.pixel_unshuffle(x, 2),
    "channel_shuffle": lambda t, F, x: F.channel_shuffle(x, 2),
    "dropout": lambda t, F, x: F.dropout(x),
    "softmax": lambda t, F, x: F.softmax(x, 1),
    "glu": lambda t, F, x: F.glu(x, 1),
    "cat": lambda t, F, x: t.cat([x, x], 1),
    "cat with a row-major one": lambda t, F, x: t.cat([x, x.contiguous()], 1),
    "flip": lambda t, F, x: x.flip(1),
    "roll": lambda t, F, x: x.roll(1, 1),
    "sort": lambda t, F, x: x.sort(1)[0],
    "argsort": lambda t, F, x: x.argsort(1),
    "diff": lambda t, F, x: x.diff(),
    "a broadcast sum": lambda t, F, x: x + t.ones(6),
    "a sum of two orders": lambda t, F, x: x.contiguous() + x,
    "a sum of parts": lambda t, F, x: x[:, :2] + x[:, 2:4],
    "a product with an expanded one": lambda t, F, x: x * t.ones(2, 8, 1, 1).expand(2, 8, 6, 6),
}

OF_VOLUMES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "conv3d": lambda t, F, x: F.conv3d(x, t.ones(4, 4, 3, 3, 3)),
    "max_pool3d": lambda t, F, x: F.max_pool3d(x, 2),
    "avg_pool3d": lambda t, F, x: F.avg_pool3d(x, 2),
    "adaptive_avg_pool3d": lambda t, F, x: F.adaptive_avg_pool3d(x, 2),
    "adaptive_avg_pool3d to one": lambda t, F, x: F.adaptive_avg_pool3d(x, 1),
    "adaptive_max_pool3d": lambda t, F, x: F.adaptive_max_pool3d(x, 2),
    "batch_norm": lambda t, F, x: F.batch_norm(x, None, None, training=True),
    "nearest": lambda t, F, x: F.interpolate(x, scale_factor=2),
    "trilinear": lambda t, F, x: F.interpolate(x, scale_factor=2, mode="trilinear"),
}

GRADIENTS: dict[str, Callable[[Any, Any, Any], Any]] = {
    name: OF_IMAGES[name]
    for name in (
        "conv2d",
        "conv_transpose2d",
        "max_pool2d",
        "avg_pool2d",
        "adaptive_avg_pool2d",
        "batch_norm in training",
        "batch_norm",
        "group_norm",
    )
}


def strides(t: Any, of: Callable[[Any], Any], f: Callable[[Any, Any, Any], Any]) -> Any:
    result = f(t, t.nn.functional, of(t))
    return tuple(result.shape), result.stride()


@pytest.mark.parametrize("name", OF_IMAGES)
def test_results_of_images_with_channels_innermost_lie_as_in_pytorch(name: str) -> None:
    assert strides(rustnn, images, OF_IMAGES[name]) == strides(torch, images, OF_IMAGES[name])


@pytest.mark.parametrize("name", OF_VOLUMES)
def test_results_of_volumes_with_channels_innermost_lie_as_in_pytorch(name: str) -> None:
    assert strides(rustnn, volumes, OF_VOLUMES[name]) == strides(torch, volumes, OF_VOLUMES[name])


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_of_images_with_channels_innermost_lie_as_in_pytorch(name: str) -> None:
    def of_sum(t: Any) -> Any:
        x = images(t).requires_grad_()
        (dx,) = t.autograd.grad(GRADIENTS[name](t, t.nn.functional, x).sum(), x)
        return dx.stride()

    assert of_sum(rustnn) == of_sum(torch)
