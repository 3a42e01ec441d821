"""Activation checkpointing: less memory for more time, by computing a part of the network again on the way back."""

import contextlib
import warnings
import weakref
from itertools import count
from threading import local

from .. import _core
from ..autograd import backward
from ..autograd.function import Function
from ..autograd.grad_mode import enable_grad, no_grad
from ..autograd.graph import saved_tensors_hooks

__all__ = [
    "CheckpointError",
    "CheckpointFunction",
    "checkpoint",
    "checkpoint_sequential",
    "is_recompute",
    "noop_context_fn",
    "set_checkpoint_early_stop",
]

Tensor = _core.Tensor


class CheckpointError(RuntimeError):
    """What was computed again differs from what was computed first."""


class _StopRecomputation(Exception):
    """Everything the backward needs has been computed again."""


_thread = local()
_early_stop_override = None


class set_checkpoint_early_stop:
    """Inside, says whether checkpoints stop computing again once all that is needed is there, over what each says
    itself."""

    def __init__(self, enable):
        self.enable = enable

    def __enter__(self):
        global _early_stop_override
        self.previous, _early_stop_override = _early_stop_override, self.enable

    def __exit__(self, *args):
        global _early_stop_override
        _early_stop_override = self.previous


def noop_context_fn():
    """Contexts for the forward and for the recomputation that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def checkpoint(
    function,
    *args,
    use_reentrant=None,
    context_fn=noop_context_fn,
    determinism_check="default",
    debug=False,
    early_stop=True,
    **kwargs,
):
    """``function(*args, **kwargs)`` whose intermediate results are not kept but computed again in the backward.

    Args:
        function: must do the same when called again.
        use_reentrant: False (recommended) recomputes within the one backward pass, and works with ``autograd.grad``,
            keyword arguments and nested structures; True runs a backward of its own inside.
        context_fn: gives two context managers, for the forward and for the recomputation.
        determinism_check: ``"default"`` compares shapes, dtypes and devices; ``"none"`` nothing.
        debug: accepted, without effect: a mismatch always names the tensors.
        early_stop: stop computing again once all that is needed is there.
        preserve_rng_state: (keyword, default True) draw the same random numbers again.

    Raises: :class:`CheckpointError` in the backward if the second computation saves other tensors than the first.
    Source: Chen et al. 2016, "Training deep nets with sublinear memory cost".

    Example:
        >>> from rustnn.utils.checkpoint import checkpoint
        >>> x = rustnn.ones(2, requires_grad=True)
        >>> checkpoint(lambda x: (x.exp() * 2).sum(), x, use_reentrant=False).backward()
        >>> bool((x.grad == 2 * x.exp()).all())
        True
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
            "Starting in PyTorch 2.9, calling checkpoint without use_reentrant will raise an exception. "
            "use_reentrant=False is recommended, but if you need to preserve the current default behavior, "
            "you can pass use_reentrant=True. Refer to docs for more details "
            "on the differences between the two variants.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if use_reentrant:
        if kwargs:
            raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
        if context_fn is not noop_context_fn or debug is not False:
            raise ValueError("Passing `context_fn` or `debug` is only supported when use_reentrant=False.")
        return CheckpointFunction.apply(function, preserve, *args)

    if determinism_check not in ("default", "none"):
        raise ValueError(f"determinism_check should be one of {['default', 'none']} but got {determinism_check}")
    forward_context, recompute_context = context_fn()
    if not _core.is_grad_enabled():
        with forward_context:
            return function(*args, **kwargs)
    if _early_stop_override is not None:
        early_stop = _early_stop_override
    frame = _Frame(function, args, kwargs, recompute_context, preserve, early_stop, determinism_check == "default")
    with _hooks(frame.pack, frame.unpack), forward_context:
        result = function(*args, **kwargs)
    frame.complete = True
    return result


def checkpoint_sequential(functions, segments, input, use_reentrant=None, **kwargs):
    """Run a ``Sequential`` (or list of functions) with all but the last of ``segments`` equal parts checkpointed."""
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be passed explicitly. "
            "In version 2.9 we will raise an exception if use_reentrant is not passed. "
            "use_reentrant=False is recommended, but if you need to preserve the current default behavior, "
            "you can pass use_reentrant=True. Refer to docs for more details "
            "on the differences between the two variants.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    parts = list(functions.children()) if hasattr(functions, "children") else list(functions)

    def run(segment):
        def forward(value):
            for part in segment:
                value = part(value)
            return value

        return forward

    size, start = len(parts) // segments, 0
    for _ in range(segments - 1):
        segment = parts[start : start + size]
        input = checkpoint(run(segment), input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
        start += size
    return run(parts[start:])(input)


_recomputing = local()


def is_recompute():
    """Whether this thread is computing something again for a checkpoint: forward hooks that count or log want to know.

    Example:
        >>> from rustnn import nn
        >>> from rustnn.utils.checkpoint import checkpoint, is_recompute
        >>> seen, layer = [], nn.Linear(1, 1)
        >>> handle = layer.register_forward_hook(lambda module, args, output: seen.append(is_recompute()))
        >>> checkpoint(layer, rustnn.ones(1, 1), use_reentrant=True).sum().requires_grad
        False
        >>> checkpoint(layer, rustnn.ones(1, 1, requires_grad=True), use_reentrant=True).sum().backward()
        >>> seen
        [False, False, True]
    """
    return getattr(_recomputing, "depth", 0) > 0


class _as_before:
    """Inside, something is computed again, under the autocast it had: the generator continues from ``state``;
    afterwards
    from where it was."""

    def __init__(self, state, autocast):
        self.state, self.autocast = state, autocast

    def __enter__(self):
        _recomputing.depth = getattr(_recomputing, "depth", 0) + 1
        self.outer_autocast = _core._set_autocast(self.autocast)
        if self.state is not None:
            self.outer = _core.get_rng_state()
            _core.set_rng_state(self.state)

    def __exit__(self, *args):
        _recomputing.depth -= 1
        _core._set_autocast(self.outer_autocast)
        if self.state is not None:
            _core.set_rng_state(self.outer)


class CheckpointFunction(Function):
    """The reentrant form: one node, whose backward recomputes and runs a backward pass of its own."""

    @staticmethod
    def forward(ctx, run_function, preserve_rng_state, *args):
        """Run without recording, keeping the arguments alone."""
        if not any(isinstance(arg, Tensor) and arg.requires_grad for arg in args):
            warnings.warn("None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2)
        ctx.run_function = run_function
        ctx.rng_state = _core.get_rng_state() if preserve_rng_state else None
        ctx.autocast = _core._get_autocast()
        ctx.others = [None if isinstance(arg, Tensor) else arg for arg in args]
        ctx.positions = [position for position, arg in enumerate(args) if isinstance(arg, Tensor)]
        ctx.save_for_backward(*(args[position] for position in ctx.positions))
        with no_grad():
            return run_function(*args)

    @staticmethod
    def backward(ctx, *grads):
        """Recompute with recording, then go back through it."""
        if not _core._is_checkpoint_valid():
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible"
                " with .grad() or passing an `inputs` parameter to .backward()."
                " To resolve this error, you can either set use_reentrant=False,"
                " or call .backward() without passing the `inputs` argument."
            )
        args = list(ctx.others)
        for position, tensor in zip(ctx.positions, ctx.saved_tensors, strict=True):
            args[position] = tensor.detach().requires_grad_(tensor.requires_grad)
        with _as_before(ctx.rng_state, ctx.autocast), enable_grad():
            outputs = ctx.run_function(*args)
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        pairs = [
            (output, grad)
            for output, grad in zip(outputs, grads, strict=True)
            if isinstance(output, Tensor) and output.requires_grad
        ]
        if not pairs:
            raise RuntimeError("none of output has requires_grad=True, this checkpoint() is not necessary")
        backward([output for output, _ in pairs], [grad for _, grad in pairs])
        return (None, None, *(arg.grad if isinstance(arg, Tensor) else None for arg in args))


class _hooks(saved_tensors_hooks):
    """Saved-tensor hooks that a checkpoint inside can find, so as to hand its own arguments to the one around it."""

    def __enter__(self):
        super().__enter__()
        self.outer = getattr(_thread, "hooks", None)
        _thread.hooks = self

    def __exit__(self, *args):
        _thread.hooks = self.outer
        super().__exit__(*args)


class _Place:
    """What the graph holds instead of a saved tensor: its number among those of the forward."""

    __slots__ = ("__weakref__", "number")

    def __init__(self, number):
        self.number = number


class _Frame:
    """One call of a checkpointed function: what is needed to call it again, and what came of that.

    ``places`` are the saved tensors of the forward in order (weakly: a place whose graph is gone needs no tensor);
    ``recomputed`` has those computed again, by number, until they are used.
    """

    def __init__(self, function, args, kwargs, context, preserve, early_stop, check):
        self.function, self.context, self.early_stop, self.check = function, context, early_stop, check
        outer = getattr(_thread, "hooks", None)
        # Inside another checkpoint its hooks pack the arguments, or they would stay in memory.
        self.unpack_argument = None if outer is None else outer.unpack_hook
        keep = (lambda value: value) if outer is None else self._packer(outer.pack_hook)
        self.args = [keep(arg) for arg in args]
        self.kwargs = {name: keep(value) for name, value in kwargs.items()}
        self.rng_state = _core.get_rng_state() if preserve else None
        self.autocast = _core._get_autocast()
        self.places, self.about, self.recomputed = [], [], {}
        self.complete = False

    @staticmethod
    def _packer(pack):
        return lambda value: _Packed(pack(value), value.requires_grad) if isinstance(value, Tensor) else value

    def _argument(self, value):
        if not isinstance(value, _Packed):
            return value
        return self.unpack_argument(value.value).detach().requires_grad_(value.requires_grad)

    def pack(self, tensor):
        """Keep a place instead of the tensor."""
        place = _Place(len(self.places))
        self.places.append(weakref.ref(place))
        self.about.append(_about(tensor) if self.check else None)
        return place

    def unpack(self, place):
        """The tensor of a place: each is used once, so one that is not there asks for a new computation of all."""
        tensor = self.recomputed.pop(place.number, None)
        if tensor is None:
            self.recomputed = self._recompute()
            tensor = self.recomputed.pop(place.number)
        return tensor

    def _recompute(self):
        tensors, numbers = {}, count()
        places, about = self.places, []

        def pack(tensor):
            number = next(numbers)
            if number >= len(places):
                if not self.complete:  # backward inside the forward: later tensors have no place yet
                    return tensor
                raise CheckpointError(
                    "torch.utils.checkpoint: trying to save more tensors during "
                    "recomputation than during the original forward pass."
                )
            tensor = tensor.detach() if tensor.requires_grad else tensor
            about.append(_about(tensor) if self.check else None)
            if places[number]() is not None:
                tensors[number] = tensor
            if self.early_stop and number + 1 == len(places):
                raise _StopRecomputation
            return tensor

        args = [self._argument(value) for value in self.args]
        kwargs = {name: self._argument(value) for name, value in self.kwargs.items()}
        try:
            before = _as_before(self.rng_state, self.autocast)
            with before, _hooks(pack, lambda tensor: tensor), self.context, enable_grad():
                self.function(*args, **kwargs)
        except _StopRecomputation:
            pass
        if len(about) != len(places):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved "
                "during the original forward and recomputation.\n"
                f"Number of tensors saved during forward: {len(places)}\n"
                f"Number of tensors saved during recomputation: {len(about)}."
            )
        if about != self.about:
            different = "".join(
                f"tensor at position {number}:\nsaved metadata: {first}\nrecomputed metadata: {second}\n"
                for number, (first, second) in enumerate(zip(self.about, about, strict=True))
                if first != second
            )
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors "
                f"have different metadata than during the forward pass.\n{different}"
            )
        return tensors


class _Packed:
    """An argument in the keeping of the checkpoint around; it comes back as a leaf, which is all a recomputation
    needs."""

    __slots__ = ("requires_grad", "value")

    def __init__(self, value, requires_grad):
        self.value, self.requires_grad = value, requires_grad


def _about(tensor):
    return {"shape": tensor.shape, "dtype": tensor.dtype, "device": tensor.device}


def _infer_device_type(*args):
    """The kind of device that the first tensor in nested arguments is on that is not on the CPU; else ``"cuda"``, as in
    PyTorch, whose random states are saved then."""
    from ._pytree import tree_leaves

    kinds = [leaf.device.type for leaf in tree_leaves(args) if isinstance(leaf, _core.Tensor)]
    kinds = list(dict.fromkeys(kind for kind in kinds if kind != "cpu"))
    if len(kinds) > 1:
        warnings.warn(
            "Tensor arguments, excluding CPU tensors, are detected on at least two types of devices. Device state will "
            "only be saved for devices of a single device type, and the remaining devices will be ignored. "
            "Consequently, if any checkpointed functions involve randomness, this may result in incorrect gradients. "
            f"(Note that if CUDA devices are among the devices detected, it will be prioritized; otherwise, the first "
            f"device encountered will be selected.)\nDevice types: {sorted(kinds)} first device type: {kinds[0]}",
            stacklevel=2,
        )
    return "cuda" if "cuda" in kinds or not kinds else kinds[0]


def get_device_states(*args):
    """The devices of tensors that have random generators of their own, and their states: none."""
    return [], []


def set_device_states(devices, states, *, device_type=None):
    """Accepted for compatibility: there is nothing to set."""
