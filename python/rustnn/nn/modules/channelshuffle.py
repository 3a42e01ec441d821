"""Channels of several groups interleaved."""

from __future__ import annotations

from rustnn.nn import functional as F
from rustnn.nn.modules.module import Module

__all__ = ["ChannelShuffle"]


class ChannelShuffle(Module):
    """Returns the input with the channels of its groups interleaved.

        y[:, i g + j] = x[:, j C/g + i]

    Args:
        groups: number of groups g; divides the channels.
    Shapes: (N, C, *) -> the same. Dtypes: any.
    Raises: RuntimeError if g does not divide C.
    Source: Zhang et al. 2017; behaviour of ``torch.nn.ChannelShuffle``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ChannelShuffle(2)(rustnn.arange(4.0).reshape(1, 4, 1)).flatten().tolist()
        [0.0, 2.0, 1.0, 3.0]
    """

    __constants__ = ["groups"]

    def __init__(self, groups) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input):
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
