"""A module called with other tensors in place of its parameters and buffers."""

from __future__ import annotations

import warnings

from rustnn._core import Tensor
from rustnn.nn.modules.module import Module

__all__ = ["functional_call"]


_ABSENT = object()


def _owner(module, path):
    """The submodule at a dotted path, which may lead around a cycle.

    Raises: AttributeError if there is none; TypeError if something else is there.
    """
    for name in path.split(".") if path else ():
        if not hasattr(module, name):
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        module = getattr(module, name)
        if not isinstance(module, Module):
            raise TypeError(f"submodule `{name}`: {module} is not an instance of torch.nn.Module")
    return module


def _swap(module, name, value):
    """Puts a tensor, None or nothing in the place of what has a dotted name, which is returned."""
    path, _, key = name.rpartition(".")
    owner = _owner(module, path)
    for registry in (owner._parameters, owner._buffers):
        if key in registry:
            before = registry[key]
            if value is _ABSENT:
                del registry[key]
            else:
                registry[key] = value
            return before
    before = getattr(owner, key, _ABSENT)
    if before is not _ABSENT and not isinstance(before, Tensor):
        raise TypeError(f"attribute `{key}`: {before} is not an instance of torch.Tensor")
    if value is not _ABSENT:
        setattr(owner, key, value)
    elif before is not _ABSENT:
        delattr(owner, key)
    return before


def _functional_call(module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False):
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    given = dict(parameters_and_buffers)
    for value in given.values():
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(f"{value} is not an instance of torch.Tensor")
    tensors = {}
    if tie_weights or strict:
        tensors.update(module.named_parameters(remove_duplicate=False))
        tensors.update(module.named_buffers(remove_duplicate=False))
    if tie_weights:
        names_of = {}
        for name, tensor in tensors.items():
            names_of.setdefault(id(tensor), []).append(name)
        for names in names_of.values():
            values = [given[name] for name in names if name in given]
            if len({id(value) for value in values}) > 1:
                raise ValueError(
                    f"functional_call got multiple values for keys {sorted(names)}, which are tied. Consider using "
                    "tie_weights=False"
                )
            for name in names:
                if values:
                    given.setdefault(name, values[0])
    unexpected = [name for name in parameters_and_buffers if name not in tensors]
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
            replaced.append((name, _swap(module, name, tensor)))
        return module(*args, **(kwargs or {}))
    finally:
        for name, before in reversed(replaced):
            now = _swap(module, name, before)
            # What forward assigned anew is handed out under the name.
            if name in parameters_and_buffers and now is not _ABSENT:
                parameters_and_buffers[name] = now


def functional_call(module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False):
    """The result of calling the module with some of its parameters and buffers replaced for this call.

    The older name of ``rustnn.func.functional_call``; it gives a FutureWarning.

    Args:
        module: the module; it is as before when the call is over.
        parameters_and_buffers: mapping from dotted names to tensors.
        args: positional arguments, a tuple; any other value is the only argument.
        kwargs: keyword arguments.
        tie_weights: replace a shared tensor under all its names.
        strict: the names must be exactly those of all parameters and buffers; otherwise other names are attributes
            for the time of the call.
    Raises: RuntimeError for missing and unexpected names, if strict; ValueError for a shared tensor with two values;
        AttributeError for a name in a submodule that is not there; TypeError for what is no tensor.
    Source: behaviour of ``torch.nn.utils.stateless.functional_call`` and ``torch.func.functional_call``. Buffers that
        forward changes in place are changed in the given tensors; what it assigns anew replaces them in the mapping.
    Example:
        >>> import rustnn
        >>> from rustnn import nn
        >>> layer = nn.Linear(1, 1, bias=False)
        >>> nn.utils.stateless.functional_call(layer, {"weight": rustnn.full((1, 1), 3.0)}, rustnn.ones(1, 1)).item()
        3.0
    """
    warnings.warn(
        "`torch.nn.utils.stateless.functional_call` is deprecated as of PyTorch 2.0 and will be removed in a future "
        "version of PyTorch. Please use `torch.func.functional_call` instead which is a drop-in replacement.",
        FutureWarning,
        stacklevel=2,
    )
    return _functional_call(module, parameters_and_buffers, args, kwargs, tie_weights=tie_weights, strict=strict)
