"""Handles of registered hooks, and the machinery behind a module's full backward hooks.

Source: behaviour of ``torch.utils.hooks`` (PyTorch 2.13).
"""

from __future__ import annotations

import warnings
import weakref
from _thread import allocate_lock
from collections import OrderedDict

from rustnn import _core

__all__ = ["BackwardHook", "RemovableHandle", "strict_hooks", "unserializable_hook", "warn_if_has_hooks"]

_id_lock = allocate_lock()


class RemovableHandle:
    """The receipt for a registered hook: ``remove()`` takes the hook out again.

    The handle knows its dictionaries only weakly, so keeping it does not keep the module alive; removing twice, or
    after the module died, does nothing. As a context manager it removes on exit.

    Args:
        hooks_dict: the registry (an ``OrderedDict``) that the hook was, or will be, put into under ``handle.id``.
        extra_dict: a dictionary, or a list of them, from which the id is removed too.
    Source: behaviour of ``torch.utils.hooks.RemovableHandle``.
    Example:
        >>> from rustnn import nn
        >>> layer = nn.Identity()
        >>> handle = layer.register_forward_hook(lambda module, args, output: None)
        >>> len(layer._forward_hooks)
        1
        >>> handle.remove()
        >>> len(layer._forward_hooks)
        0
    """

    # One counter for all registries: an id never means two hooks.
    next_id: int = 0

    def __init__(self, hooks_dict, *, extra_dict=None) -> None:
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        with _id_lock:
            self.id = RemovableHandle.next_id
            RemovableHandle.next_id += 1
        if extra_dict is None:
            self.extra_dict_ref = ()
        elif isinstance(extra_dict, (list, tuple)):
            self.extra_dict_ref = tuple(weakref.ref(registry) for registry in extra_dict)
        else:
            self.extra_dict_ref = (weakref.ref(extra_dict),)

    def remove(self) -> None:
        """Take the hook out of its registries; harmless when it is gone already."""
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            registry = reference()
            if registry is not None:
                registry.pop(self.id, None)

    def __getstate__(self):
        state = (self.hooks_dict_ref(), self.id)
        if not self.extra_dict_ref:
            return state
        return (*state, tuple(reference() for reference in self.extra_dict_ref))

    def __setstate__(self, state) -> None:
        # A registry that had died before pickling becomes a reference that is dead at once.
        self.hooks_dict_ref = weakref.ref(OrderedDict() if state[0] is None else state[0])
        self.id = state[1]
        extra = state[2] if len(state) > 2 and state[2] is not None else ()
        self.extra_dict_ref = tuple(weakref.ref(OrderedDict() if registry is None else registry) for registry in extra)
        with _id_lock:
            RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, kind, value, traceback) -> None:
        self.remove()


def unserializable_hook(f):
    """Mark the hook ``f`` as one that needs no warning when the tensor that has it is serialised."""
    f.__torch_unserializable__ = True
    return f


def warn_if_has_hooks(tensor) -> None:
    """Warn once per backward hook of ``tensor`` that will be lost in serialisation."""
    for hook in (tensor._backward_hooks or {}).values():
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, you can decorate the "
                "function with @torch.utils.hooks.unserializable_hook to suppress this warning",
                stacklevel=2,
            )


class strict_hooks:
    """Say whether the tensors that pass a module's full backward hooks refuse to be written in place, as PyTorch's do.

    They do not by default: a module with hooks computes what it computes without, in-place ReLU and all. Takes effect
    when called; as a context manager it ends on exit.

    Example:
        >>> import rustnn
        >>> from rustnn import nn
        >>> layer = nn.ReLU(inplace=True)
        >>> handle = layer.register_full_backward_hook(lambda module, grad_input, grad_output: None)
        >>> x = rustnn.ones(2, requires_grad=True) * 1
        >>> with rustnn.utils.hooks.strict_hooks():
        ...     layer(x)
        Traceback (most recent call last):
        RuntimeError: Output 0 of BackwardHookFunction is a view and is being modified inplace. ...
    """

    _on = False

    def __init__(self, mode=True) -> None:
        self.before = strict_hooks._on
        strict_hooks._on = bool(mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind, value, traceback) -> None:
        strict_hooks._on = self.before


class _NestedHook:
    """A backward hook that also takes outputs in lists, dictionaries and tuples of any depth."""

    def __init__(self, hook) -> None:
        self.hook = hook

    def __call__(self, module, *grads):
        return self.hook(module, *grads)


def _leaves(value, into: list) -> None:
    """Append what lies in lists, tuples and dictionaries, depth first."""
    if isinstance(value, (list, tuple)):
        for item in value:
            _leaves(item, into)
    elif isinstance(value, dict):
        for item in value.values():
            _leaves(item, into)
    else:
        into.append(value)


def _rebuilt(like, leaves):
    """A structure like ``like`` with the next ``leaves`` of an iterator in it; a new one, of the same classes."""
    if isinstance(like, tuple):
        items = [_rebuilt(item, leaves) for item in like]
        return type(like)(*items) if hasattr(like, "_fields") else type(like)(items)
    if isinstance(like, list):
        return type(like)([_rebuilt(item, leaves) for item in like])
    if isinstance(like, dict):
        # A copy keeps what a subclass has beside its items (defaultdict, OrderedDict).
        twin = like.copy()
        for key, item in like.items():
            twin[key] = _rebuilt(item, leaves)
        return twin
    return next(leaves)


def _as_gradients(returned, expected: int, kind: str):
    """Check what a hook returned against the number of gradients; a bare tensor stands for a tuple of one."""
    if expected == 1 and isinstance(returned, _core.Tensor):
        return (returned,)
    if len(returned) != expected:
        raise RuntimeError(f"{kind}, got {len(returned)}, but expected {expected}")
    return returned


def _spread(values, positions, length):
    """A tuple of ``length`` with ``values`` at ``positions`` and None elsewhere."""
    slots = [None] * length
    # The engine may leave out outputs at the end that nobody used.
    for position, value in zip(positions, values, strict=False):
        slots[position] = value
    return tuple(slots)


class BackwardHook:
    """One call's full backward hooks: an identity node over the inputs, another over the outputs.

    The output node sees the gradients with respect to the outputs first (and runs the pre-hooks), the input node
    those with respect to the inputs last (and runs the hooks). One object serves one call of the module, so that a
    module used twice fires twice, each time with its own share.

    Args:
        module: the module, handed to the hooks as first argument.
        user_hooks: list of ``hook(module, grad_input, grad_output) -> tuple | None``, fixed now.
        user_pre_hooks: list of ``hook(module, grad_output) -> tuple | None``, fixed now.
        nested: the outputs may lie in lists, tuples and dictionaries of any depth; the hooks' ``grad_output`` then has
            the structure of the output (a tuple of one for a tensor).
    """

    def __init__(self, module, user_hooks, user_pre_hooks, nested=False) -> None:
        self.user_hooks = user_hooks
        self.user_pre_hooks = user_pre_hooks
        self.module = module
        self.grad_outputs = None
        self.n_inputs = -1
        self.n_outputs = -1
        # Position, shape, dtype and device of every tensor among several inputs.
        self.inputs = ()
        # Positions of the tensors that require grad; None until the node is built, and for ever where nothing requires
        # gradient.
        self.input_tensors_index = None
        self.output_tensors_index = None
        self.nested = nested
        # With `nested`: the output (a tuple of one for a tensor), with None for its leaves.
        self.structure = None

    def setup_input_hook(self, args: tuple) -> tuple:
        """Put the input node under ``args``; returns the arguments for forward."""
        self.n_inputs = len(args)
        args, self.input_tensors_index = self._through_node(args, self._on_input_gradients)
        if self.n_inputs > 1:
            # The only input of a call whose hook fires has a gradient.
            self.inputs = [
                (index, value.shape, value.dtype, value.device)
                for index, value in enumerate(args)
                if isinstance(value, _core.Tensor)
            ]
        return args

    def setup_output_hook(self, result):
        """Put the output node over ``result``; returns the result for the caller."""
        if self.nested:
            leaves = []
            _leaves(result, leaves)
            self.n_outputs = len(leaves)
            leaves, self.output_tensors_index = self._through_node(tuple(leaves), self._on_output_gradients)
            if self.output_tensors_index is not None:
                result = _rebuilt(result, iter(leaves))
                wrapped = (result,) if isinstance(result, _core.Tensor) else result
                self.structure = _rebuilt(wrapped, iter([None] * len(leaves)))
            return result
        if isinstance(result, tuple):
            self.n_outputs = len(result)
            result, self.output_tensors_index = self._through_node(result, self._on_output_gradients)
            return result
        self.n_outputs = 1
        (result,), self.output_tensors_index = self._through_node((result,), self._on_output_gradients)
        return result

    @staticmethod
    def _through_node(values: tuple, hook):
        if not _core.is_grad_enabled():
            return values, None
        # Others stay as they are, so that requires_grad does not spread.
        positions = [
            index for index, value in enumerate(values) if isinstance(value, _core.Tensor) and value.requires_grad
        ]
        if not positions:
            return values, None
        aliases, node = _core._identity_alias(tuple(values[index] for index in positions), strict_hooks._on)
        node.register_hook(hook)
        slots = list(values)
        for position, alias in zip(positions, aliases, strict=True):
            slots[position] = alias
        # A named tuple takes its fields one by one, a plain tuple as one iterable.
        return (tuple(slots) if type(values) is tuple else type(values)(*slots)), positions

    def _on_output_gradients(self, _grad_inputs, grad_outputs):
        grads = _spread(grad_outputs, self.output_tensors_index, self.n_outputs)
        for hook in self.user_pre_hooks:
            returned = hook(self.module, self._shown(grads))
            if returned is not None:
                kind = "Backward pre hook returned an invalid number of grad_output"
                if self.structure is not None:
                    leaves = []
                    _leaves(returned, leaves)
                    returned = tuple(leaves)
                grads = _as_gradients(returned, self.n_outputs, kind)
        if self.input_tensors_index is not None:
            self.grad_outputs = grads
        elif self.user_hooks:
            self._fire_without_inputs(grads)
        return tuple(grads[index] for index in self.output_tensors_index)

    def _shown(self, grads):
        """The outputs' gradients in the structure of the output."""
        return grads if self.structure is None else _rebuilt(self.structure, iter(grads))

    def _fire_without_inputs(self, grad_outputs) -> None:
        """No input requires gradient: the hooks run now, and have nothing to change."""
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module outputs since no inputs "
            "require gradients. See https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
            "#torch.nn.Module.register_full_backward_hook for more details.",
            stacklevel=6,
        )
        grad_inputs = (None,) * self.n_inputs
        for hook in self.user_hooks:
            returned = hook(self.module, grad_inputs, self._shown(grad_outputs))
            if returned is not None and not (isinstance(returned, tuple) and all(grad is None for grad in returned)):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always return None or None for "
                    "all gradients."
                )

    def _on_input_gradients(self, grad_inputs, _grad_outputs):
        # A gradient that reaches the inputs without having passed the outputs (second derivatives) is not this call's.
        if self.grad_outputs is None:
            return None
        flowing = grads = _spread(grad_inputs, self.input_tensors_index, self.n_inputs)
        if any(grads[index] is None for index, *_ in self.inputs):
            # Hooks see zeros for every tensor without a gradient, as in PyTorch; what flows on stays None.
            shown = list(grads)
            for index, shape, dtype, device in self.inputs:
                if shown[index] is None:
                    shown[index] = _core.zeros(shape, dtype=dtype, device=device)
            grads = tuple(shown)
        for hook in self.user_hooks:
            returned = hook(self.module, grads, self._shown(self.grad_outputs))
            if returned is not None:
                grads = _as_gradients(returned, self.n_inputs, "Backward hook returned an invalid number of grad_input")
                flowing = grads
        self.grad_outputs = None
        return tuple(flowing[index] for index in self.input_tensors_index)
