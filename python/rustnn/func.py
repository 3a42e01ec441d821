"""Modules as functions of their parameters, as in ``torch.func``."""

from .nn.utils import stateless

__all__ = ["functional_call"]


def functional_call(module, parameter_and_buffer_dicts, args=None, kwargs=None, *, tie_weights=True, strict=False):
    """The result of calling the module with some of its parameters and buffers replaced for this call.

    Args:
        module: the module; it is as before when the call is over.
        parameter_and_buffer_dicts: a mapping from dotted names to tensors, or a sequence of them without common names.
        args: positional arguments, a tuple; any other value is the only argument.
        kwargs: keyword arguments.
        tie_weights: replace a shared tensor under all its names.
        strict: the names must be exactly those of all parameters and buffers; otherwise unknown names are ignored.
    Raises: ValueError for what are no mappings, a name in two of them, or a shared tensor with two values; RuntimeError
        for missing and unexpected names, if strict.
    Source: behaviour of ``torch.func.functional_call``.
    Example:
        >>> import rustnn
        >>> layer = rustnn.nn.Linear(1, 1)
        >>> tensors = ({"weight": rustnn.full((1, 1), 3.0)}, {"bias": rustnn.ones(1)})
        >>> rustnn.func.functional_call(layer, tensors, rustnn.ones(1, 1)).item()
        4.0
    """
    if isinstance(parameter_and_buffer_dicts, dict):
        tensors = parameter_and_buffer_dicts
    elif isinstance(parameter_and_buffer_dicts, (list, tuple)):
        if not all(isinstance(part, dict) for part in parameter_and_buffer_dicts):
            raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
        names = [name for part in parameter_and_buffer_dicts for name in part]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"{repeated} appeared in multiple dictionaries; behavior of functional call is ambiguous")
        tensors = {name: value for part in parameter_and_buffer_dicts for name, value in part.items()}
    else:
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(parameter_and_buffer_dicts)}"
        )
    return stateless.functional_call(module, tensors, args, kwargs, tie_weights=tie_weights, strict=strict)
