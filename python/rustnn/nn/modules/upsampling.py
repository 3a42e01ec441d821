"""Upsampling of signals, images and volumes."""

from __future__ import annotations

from rustnn.nn import functional as F
from rustnn.nn.modules.module import Module

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]


class Upsample(Module):
    """Returns the input resized in its spatial dimensions.

        y[i] = x interpolated at (i + ½) / scale - ½, or at i (L - 1) / (L' - 1) with align_corners

    Args:
        size: new spatial size, one number or one per dimension.
        scale_factor: factor instead of a size.
        mode: ``nearest``, ``linear`` (3-D input), ``bilinear``, ``bicubic`` (4-D), ``trilinear`` (5-D).
        align_corners: whether corner pixels' centres or their edges coincide.
        recompute_scale_factor: compute the factor again from the rounded size.
    Shapes: (N, C, L), (N, C, H, W) or (N, C, D, H, W) -> the same with new lengths ⌊L · scale_factor⌋.
    Raises: ValueError for sizes that do not fit.
    Source: behaviour of ``torch.nn.Upsample``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Upsample(scale_factor=2)(rustnn.tensor([[[1.0, 2.0]]])).tolist()
        [[[1.0, 1.0, 2.0, 2.0]]]
    """

    __constants__ = ["size", "scale_factor", "mode", "align_corners", "name", "recompute_scale_factor"]

    def __init__(
        self, size=None, scale_factor=None, mode="nearest", align_corners=None, recompute_scale_factor=None
    ) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        if isinstance(scale_factor, tuple):
            self.scale_factor = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input):
        return F.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            recompute_scale_factor=self.recompute_scale_factor,
        )

    def __setstate__(self, state) -> None:
        state.setdefault("recompute_scale_factor", True)
        super().__setstate__(state)

    def extra_repr(self) -> str:
        if self.scale_factor is not None:
            return f"scale_factor={self.scale_factor!r}, mode={self.mode!r}"
        return f"size={self.size!r}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Returns an image resized by repeating the nearest pixel.

        y[i, j] = x[⌊i / scale⌋, ⌊j / scale⌋]

    Args:
        size: new (H, W).
        scale_factor: factor instead of a size.
    Shapes: (N, C, H, W) -> (N, C, H', W'). Dtypes: floating point, uint8.
    Source: behaviour of ``torch.nn.UpsamplingNearest2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.UpsamplingNearest2d(scale_factor=2)(rustnn.ones(1, 1, 2, 2)).shape
        torch.Size([1, 1, 4, 4])
    """

    def __init__(self, size=None, scale_factor=None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Returns an image resized by bilinear interpolation with aligned corners.

        y[i, j] = x interpolated at (i (H - 1) / (H' - 1), j (W - 1) / (W' - 1))

    Args:
        size: new (H, W).
        scale_factor: factor instead of a size.
    Shapes: (N, C, H, W) -> (N, C, H', W'). Dtypes: floating point.
    Source: behaviour of ``torch.nn.UpsamplingBilinear2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.UpsamplingBilinear2d(size=(1, 3))(rustnn.tensor([[[[0.0, 2.0]]]])).tolist()
        [[[[0.0, 1.0, 2.0]]]]
    """

    def __init__(self, size=None, scale_factor=None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
