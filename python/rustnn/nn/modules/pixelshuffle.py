"""Channels exchanged for resolution, and back."""

from __future__ import annotations

from rustnn.nn import functional as F
from rustnn.nn.modules.module import Module

__all__ = ["PixelShuffle", "PixelUnshuffle"]


class PixelShuffle(Module):
    """Returns an image r times as high and wide, with r² times fewer channels.

        y[c, h r + i, w r + j] = x[c r² + i r + j, h, w]

    Args:
        upscale_factor: r.
    Shapes: (*, C r², H, W) -> (*, C, H r, W r). Dtypes: any.
    Raises: RuntimeError if r² does not divide the channels.
    Source: Shi et al. 2016; behaviour of ``torch.nn.PixelShuffle``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.PixelShuffle(3)(rustnn.ones(1, 9, 4, 4)).shape
        torch.Size([1, 1, 12, 12])
    """

    __constants__ = ["upscale_factor"]

    def __init__(self, upscale_factor) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input):
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Returns an image with r² times the channels, r times less high and wide: the inverse of :class:`PixelShuffle`.

        y[c r² + i r + j, h, w] = x[c, h r + i, w r + j]

    Args:
        downscale_factor: r.
    Shapes: (*, C, H r, W r) -> (*, C r², H, W). Dtypes: any.
    Raises: RuntimeError if r does not divide height and width.
    Source: Shi et al. 2016; behaviour of ``torch.nn.PixelUnshuffle``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.PixelUnshuffle(3)(rustnn.ones(1, 1, 12, 12)).shape
        torch.Size([1, 9, 4, 4])
    """

    __constants__ = ["downscale_factor"]

    def __init__(self, downscale_factor) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input):
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"
