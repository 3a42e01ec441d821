"""Sliding windows taken out of images, and put back."""

from __future__ import annotations

from rustnn.nn import functional as F
from rustnn.nn.modules.module import Module

__all__ = ["Fold", "Unfold"]


class Fold(Module):
    """Returns images summed up from columns of windows: the transpose of :class:`Unfold`.

        y[n, c, h, w] = Σ over the windows l and points k that lie on (h, w) of x[n, (c, k), l]

    Args:
        output_size: (H, W) of the images.
        kernel_size, dilation, padding, stride: of the windows, one number or one per dimension.
    Shapes: (N, C · points, windows) or (C · points, windows) -> (N, C, H, W) or (C, H, W). Dtypes: floating point.
    Raises: RuntimeError if sizes do not fit.
    Source: behaviour of ``torch.nn.Fold``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Fold((4, 5), (2, 2))(rustnn.ones(1, 12, 12)).shape
        torch.Size([1, 3, 4, 5])
    """

    __constants__ = ["output_size", "kernel_size", "dilation", "padding", "stride"]

    def __init__(self, output_size, kernel_size, dilation=1, padding=0, stride=1) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input):
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class Unfold(Module):
    """Returns the windows of images as columns.

        y[n, (c, k), l] = x[n, c, position of point k in window l]

    Args:
        kernel_size, dilation, padding, stride: of the windows, one number or one per dimension.
    Shapes: (N, C, H, W) or (C, H, W) -> (N, C · points, windows) or (C · points, windows). Dtypes: floating point.
    Raises: RuntimeError if the window is larger than the padded image.
    Source: behaviour of ``torch.nn.Unfold``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Unfold((2, 3))(rustnn.ones(2, 5, 3, 4)).shape
        torch.Size([2, 30, 4])
    """

    __constants__ = ["kernel_size", "dilation", "padding", "stride"]

    def __init__(self, kernel_size, dilation=1, padding=0, stride=1) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input):
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
