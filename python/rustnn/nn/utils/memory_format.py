"""The memory format of convolutions' weights in a whole network."""

from __future__ import annotations

from rustnn import _core

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]


def _convert(module, memory_format, classes):
    if isinstance(module, classes):
        weight = module.weight
        with _core.no_grad():
            weight.data = weight.detach().clone().contiguous(memory_format=memory_format)
    for child in module.children():
        _convert(child, memory_format, classes)
    return module


def convert_conv2d_weight_memory_format(module, memory_format):
    """Lay out the weights of all Conv2d and ConvTranspose2d in ``memory_format``; returns the module.

    Args:
        module: the network.
        memory_format: such as ``rustnn.channels_last``.
    Example:
        >>> import rustnn
        >>> layer = rustnn.nn.Conv2d(8, 4, 3)
        >>> _ = rustnn.nn.utils.convert_conv2d_weight_memory_format(layer, rustnn.channels_last)
        >>> layer.weight.stride()
        (72, 1, 24, 8)
    """
    from rustnn.nn import Conv2d, ConvTranspose2d

    return _convert(module, memory_format, (Conv2d, ConvTranspose2d))


def convert_conv3d_weight_memory_format(module, memory_format):
    """Lay out the weights of all Conv3d and ConvTranspose3d in ``memory_format``; returns the module.

    Args:
        module: the network.
        memory_format: such as ``rustnn.channels_last_3d``.
    """
    from rustnn.nn import Conv3d, ConvTranspose3d

    return _convert(module, memory_format, (Conv3d, ConvTranspose3d))
