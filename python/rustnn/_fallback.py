"""Functions of the Python package that a GPU has no kernels for."""

from . import _core


def on_cpu(name, function, tensors, **options):
    """What a function gives that is made of ops in float64 or reads its tensors' numbers.

    For tensors on a GPU it runs on the CPU, on copies, and its results are brought back; one warning names it. It is a
    function of values, without gradients.
    """
    device = tensors[0].device
    if device.type != "gpu":
        return function(*tensors, **options)
    _core._warn_of_fallback(name, tensors[0])
    found = function(*(tensor.detach().cpu() for tensor in tensors), **options)
    return tuple(part.to(device) for part in found) if isinstance(found, tuple) else found.to(device)
