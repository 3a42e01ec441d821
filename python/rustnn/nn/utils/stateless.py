"""A module called with other tensors in place of its parameters and buffers."""

from __future__ import annotations

from rustnn._core import Tensor

__all__ = ["functional_call"]


def _slot(module, name):
    """The registry and key that hold the tensor at a dotted name.

    Raises: AttributeError or KeyError if there is none.
    """
    path, _, key = name.rpartition(".")
    owner = module.get_submodule(path)
    for registry in (owner._parameters, owner._buffers):
        if key in registry:
            return registry, key
    raise KeyError(name)


def functional_call(module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False):
    """The result of calling the module with some of its parameters and buffers replaced for this call.

    Args:
        module: the module; it is as before when the call is over.
        parameters_and_buffers: mapping from dotted names to tensors.
        args: positional arguments, a tuple; any other value is the only argument.
        kwargs: keyword arguments.
        tie_weights: replace a shared tensor under all its names.
        strict: the names must be exactly those of all parameters and buffers; otherwise unknown names are ignored.
    Raises: RuntimeError for missing and unexpected names, if strict; ValueError for a shared tensor with two values.
    Source: behaviour of ``torch.nn.utils.stateless.functional_call`` and ``torch.func.functional_call``. Buffers that
        forward changes in place are changed in the given tensors.
    Example:
        >>> import rustnn
        >>> from rustnn import nn
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> nn.utils.stateless.functional_call(layer, {"weight": rustnn.full((1, 1), 3.0)}, rustnn.ones(1, 1)).item()
        3.0
    """
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    given = dict(parameters_and_buffers)
    for value in given.values():
        if not isinstance(value, Tensor):
            raise TypeError(f"{value} is not an instance of torch.Tensor")
    tensors = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    unexpected = [name for name in given if name not in tensors]
    missing = [name for name in tensors if name not in given]
    if tie_weights:
        names_of = {}
        for name, tensor in tensors.items():
            names_of.setdefault(id(tensor), []).append(name)
        for names in names_of.values():
            values = [given[name] for name in names if name in given]
            if len({id(value) for value in values}) > 1:
                raise ValueError(f"functional_call got multiple values for keys {sorted(names)}, which are tied.")
            for name in names:
                if values:
                    given.setdefault(name, values[0])
        missing = [name for name in tensors if name not in given]
    if strict and (unexpected or missing):
        text = f"Error(s) in reparametrizing for {type(module).__name__}:"
        if unexpected:
            text += f"\n\tUnexpected key(s): {', '.join(map(repr, sorted(unexpected)))}."
        if missing:
            text += f"\n\tMissing key(s): {', '.join(map(repr, sorted(missing)))}."
        raise RuntimeError(text)

    replaced = []
    try:
        for name, tensor in given.items():
            if name not in tensors:
                continue
            registry, key = _slot(module, name)
            replaced.append((registry, key, registry[key]))
            registry[key] = tensor
        return module(*args, **(kwargs or {}))
    finally:
        for registry, key, tensor in reversed(replaced):
            registry[key] = tensor
