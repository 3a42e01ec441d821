"""Programs: a module's forward as one file, which runs without the module's code, in Python and in Rust.

``rustnn.export(module, example_inputs)`` runs the module on the example and records the ops that it calls. The result
runs as the module did, forward and backward, for other batch sizes too, and its file is read by the Rust crate
``rustnn`` (``rustnn::export::Program``) without Python. docs/export.md tells what can be recorded, and describes the
file.

The module is callable: ``rustnn.export(...)`` is :func:`export`, PyTorch's ``torch.export.export``.
"""

import functools
import inspect
import itertools
import json
import math
import os
import sys
import types
import warnings
from collections import OrderedDict, namedtuple

from . import _core
from ._core import Tensor
from ._traced_size import Trace
from .autograd.grad_mode import enable_grad, no_grad
from .random import get_rng_state, set_rng_state

__all__ = ["Dim", "ExportError", "ExportedProgram", "dims", "export", "load", "save"]


class ExportError(RuntimeError):
    """A module does what cannot be recorded; the message says what, and where."""


_PACKAGE = os.path.dirname(__file__) + os.sep
_OWN = (__file__, _PACKAGE + "_traced_size.py")


def _unrecordable(what):
    """The exception for it, with the line of the program that asked for it. The recorder calls this."""
    ours, line = _place()
    return ExportError(f"export: {ours}() cannot be recorded: {what}{line}" if ours else f"export: {what}{line}")


def _place():
    """The function of this package that is being run, if one is, and the line that called it, as a message's end."""
    frame, ours = sys._getframe(1), None
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        name = frame.f_code.co_qualname
        if frame.f_code.co_filename not in _OWN and not name.startswith("Module."):
            ours = f"{frame.f_globals['__name__']}.{name}"  # in the end what the program called
        frame = frame.f_back
    if frame is None:
        return ours, ""
    import linecache

    name, line = frame.f_code.co_filename, frame.f_lineno
    source = linecache.getline(name, line, frame.f_globals).strip()
    return ours, f'\n  File "{name}", line {line}, in {frame.f_code.co_name}' + (f"\n    {source}" if source else "")


def _asked_by_us():
    """Whether code of this package wants the text of a tensor, as error messages do. The recorder calls this."""
    return sys._getframe(1).f_code.co_filename.startswith(_PACKAGE)


class Dim:
    """A size of the inputs that may differ from call to call.

    Args:
        name: what messages call it; inputs with a Dim of the same name have the same size.
        min: the least size, 1 if not given. max: the greatest. A module that does not work for all of them is an error.
    Example:
        >>> rustnn.export.Dim("batch", max=64)
        Dim('batch', min=1, max=64)
    """

    AUTO: "Dim"
    DYNAMIC: "Dim"
    STATIC: "Dim"

    def __init__(self, name, *, min=None, max=None):
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(f"Dim: the name must be an identifier, got {name!r}")
        self.name, self._free, self._automatic = name, min is None, False
        self.min, self.max = 1 if min is None else min, 2**31 - 1 if max is None else max
        if not 0 <= self.min <= self.max:
            raise ValueError(f"Dim({name!r}): min {self.min} and max {self.max} leave no size")

    def __repr__(self):
        limit = "" if self.max == 2**31 - 1 else f", max={self.max}"
        return f"Dim({self.name!r}, min={self.min}{limit})"


Dim.AUTO, Dim.DYNAMIC, Dim.STATIC = Dim("AUTO"), Dim("DYNAMIC"), Dim("STATIC")


def _automatic(name):
    """A Dim that is for as many sizes as the module works for."""
    dim = Dim(name)
    dim._automatic = True
    return dim


def _narrowed(dim, least, most):
    narrow = Dim(dim.name, min=least, max=most)
    narrow._free, narrow._automatic = dim._free, dim._automatic
    return narrow


def dims(*names, min=None, max=None):
    """A tuple of :class:`Dim`, one for each name."""
    return tuple(Dim(name, min=min, max=max) for name in names)


# ---------------------------------------------------------------------------- arguments and results as trees of tensors


def _flatten(value, tensors, paths, path, what):
    """The tree of a value as JSON holds it; its tensors are added to ``tensors``, their names to ``paths``."""
    if isinstance(value, Tensor):
        tensors.append(value)
        paths.append(path)
        return {"tensor": len(tensors) - 1}
    if value is None or isinstance(value, (bool, int, float, str)):
        return {"value": value}

    def each(items):
        return [_flatten(item, tensors, paths, f"{path}.{name}" if path else str(name), what) for name, item in items]

    if isinstance(value, dict):
        if not all(isinstance(key, (str, int)) for key in value):
            raise ExportError(f"export: {what} holds a dict whose keys are no texts: {list(value)}")
        return {"dict": list(value), "items": each(value.items())}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {"named": [type(value).__name__, *value._fields], "items": each(zip(value._fields, value, strict=True))}
    if isinstance(value, (tuple, list)):
        return {"list" if isinstance(value, list) else "tuple": True, "items": each(enumerate(value))}
    raise ExportError(
        f"export: {what} is of type {type(value).__name__}; tensors, numbers, texts, None and tuples, lists and dicts "
        "of them can be recorded"
    )


@functools.cache
def _named(name, *fields):
    return namedtuple(name, fields)


def _build(tree, tensors):
    if "tensor" in tree:
        return tensors[tree["tensor"]]
    if "value" in tree:
        return tree["value"]
    items = [_build(item, tensors) for item in tree["items"]]
    if "dict" in tree:
        return dict(zip(tree["dict"], items, strict=True))
    if "named" in tree:
        name, *fields = tree["named"]
        return _named(name, *fields)(*items)
    return items if "list" in tree else tuple(items)


def _numbers(tree):
    """The numbers of the tensors in a tree, which is checked."""
    if "tensor" in tree:
        return [tree["tensor"] if type(tree["tensor"]) is int else -1]
    if "value" in tree:
        return []
    items = [number for item in tree["items"] for number in _numbers(item)]
    keys = tree["dict"] if "dict" in tree else tree["named"][1:] if "named" in tree else tree["items"]
    if len(keys) != len(tree["items"]):
        raise ValueError("names and items differ in number")
    if "named" in tree:
        _named(*tree["named"])
    return items


def _match(tree, value, found, path):
    """Puts the tensors of ``value`` where the tree of the recorded argument has them."""
    if "tensor" in tree:
        if not isinstance(value, Tensor):
            raise TypeError(f"{path}: the program takes a Tensor, got {type(value).__name__}")
        found[tree["tensor"]] = value
    elif "value" in tree:
        if isinstance(value, Tensor) or type(value) is not type(tree["value"]) or value != tree["value"]:
            raise ValueError(f"{path}: the program was recorded with {tree['value']!r}, got {value!r}")
    else:
        keys = tree.get("dict", range(len(tree["items"])))
        fits = isinstance(value, dict) if "dict" in tree else isinstance(value, (tuple, list))
        if not fits or len(value) != len(keys) or ("dict" in tree and any(key not in value for key in keys)):
            kind = "dict" if "dict" in tree else "sequence"
            raise TypeError(f"{path}: the program takes a {kind} of {len(keys)}, got {value!r:.80}")
        for key, item in zip(keys, tree["items"], strict=True):
            _match(item, value[key], found, f"{path}.{key}")


# --------------------------------------------------------------------------------------------------------- the programs


class ExportedProgram:
    """A recorded module. Calling it does what the module's ``forward`` did.

    The weights are copies of the module's: training either does not change the other. Calls from several threads run at
    once.

    Example:
        >>> import rustnn
        >>> net = rustnn.nn.Linear(2, 1)
        >>> program = rustnn.export(net, (rustnn.ones(4, 2),))
        >>> program(rustnn.ones(7, 2)).shape
        torch.Size([7, 1])
    """

    def __init__(self, program):
        self._program = program
        kind = inspect.Parameter
        kinds = {"positional": kind.POSITIONAL_OR_KEYWORD, "rest": kind.VAR_POSITIONAL, "named": kind.KEYWORD_ONLY}
        kinds["more"] = kind.VAR_KEYWORD
        try:
            trees = json.loads(program.trees)
            self._arguments, self._result = trees["arguments"], trees["result"]
            self._signature = inspect.Signature([kind(name, kinds[of]) for name, of, _ in self._arguments])
            given = sorted(number for *_, tree in self._arguments for number in _numbers(tree))
            if given != list(range(len(program.inputs))) or not set(_numbers(self._result)) <= set(
                range(program.outputs)
            ):
                raise ValueError("tensors that are not there")
            # The usual case: one tensor for each parameter.
            plain = ((of, tree.get("tensor")) for _, of, tree in self._arguments)
            self._plain = all(each == ("positional", i) for i, each in enumerate(plain))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"malformed program: trees: {type(error).__name__}: {error}") from None

    def _inputs(self, args, kwargs):
        if self._plain and not kwargs and len(args) == len(self._arguments) and all(type(a) is Tensor for a in args):
            return list(args)
        given = self._signature.bind(*args, **kwargs).arguments
        found = {}
        for name, of, tree in self._arguments:
            value = given.get(name, {} if of == "more" else ())
            _match(tree, value, found, name)
        return [found[i] for i in range(len(found))]

    def __call__(self, *args, **kwargs):
        return _build(self._result, self._program.forward(self._inputs(args, kwargs)))

    def _weights(self, *roles):
        return [(names, tensor) for *names, role, tensor in self._program.weights() if role in roles]

    def named_parameters(self):
        """An iterator over ``(dotted name, tensor)`` of the parameters: leaves, which have a ``grad``."""
        return ((name, tensor) for (name, _), tensor in self._weights("parameter"))

    def parameters(self):
        """An iterator over the parameters."""
        return (tensor for _, tensor in self.named_parameters())

    def named_buffers(self):
        """An iterator over ``(dotted name, tensor)`` of the buffers."""
        return ((name, tensor) for (name, _), tensor in self._weights("buffer", "non-persistent buffer"))

    def buffers(self):
        """An iterator over the buffers."""
        return (tensor for _, tensor in self.named_buffers())

    @property
    def state_dict(self):
        """Parameters and buffers by the names of the module's ``state_dict()``, as they are now."""
        state = OrderedDict()
        for (name, aliases), tensor in self._weights("parameter", "buffer"):
            for each in (name, *aliases):
                state[each] = tensor.detach()
        return state

    @property
    def constants(self):
        """Tensors that ``forward`` used without their being the module's."""
        return {name: tensor for (name, _), tensor in self._weights("constant")}

    @property
    def inputs(self):
        """``(name, dtype, shape)`` of each tensor that a call brings; sizes that vary are texts such as ``'batch'``."""
        size = [
            (name, getattr(_core, dtype), tuple(int(n) if n.isdigit() else n for n in shape))
            for name, dtype, shape in self._program.inputs
        ]
        return size

    @property
    def range_constraints(self):
        """The least and the greatest value of each size that varies, by its name."""
        return {name: (least, most) for name, least, most in self._program.symbols}

    @property
    def guards(self):
        """What has to hold of those sizes besides, as texts such as ``'batch % 2 == 0'``; else a call is an error."""
        return self._program.guards

    @property
    def graph(self):
        """The recorded calls, one a line."""
        return repr(self._program)

    def module(self):
        """A Module that runs the program; its parameters and buffers, under their names, are the program's."""
        return _made_module(self)

    def to(self, device):
        """The program with weights of its own on a device."""
        return ExportedProgram(self._program.to(device))

    def save(self, path):
        """Write the program with its weights as they are now, all or nothing; the same as ``rustnn.export.save``."""
        save(self, path)

    def __repr__(self):
        return f"ExportedProgram:\n{self.graph}"

    def __reduce__(self):
        return ExportedProgram, (self._program,)


def _made_module(program):
    from .nn import Module, Parameter

    class ProgramModule(Module):
        """A module made of a program; see :meth:`ExportedProgram.module`."""

        def forward(self, *args, **kwargs):
            weights = [find() for find in self.__dict__["_find"]]
            outputs = self._program._program.forward_with(weights, self._program._inputs(args, kwargs))
            return _build(self._program._result, outputs)

        def extra_repr(self):
            return ", ".join(f"{name}: {list(shape)}" for name, _, shape in self._program.inputs)

    def holder(root, name):
        *path, last = name.split(".")
        for part in path:
            if part not in root._modules:
                root.add_module(part, Module())
            root = root._modules[part]
        return root, last

    module = ProgramModule()
    module.__dict__.update(_program=program, _find=[])
    for name, aliases, role, tensor in program._program.weights():
        if role == "constant":
            module.__dict__["_find"].append(lambda tensor=tensor: tensor)
            continue
        own = Parameter(tensor.detach(), tensor.requires_grad) if role == "parameter" else tensor
        for each in (name, *aliases):
            where, last = holder(module, each)
            if role == "parameter":
                where.register_parameter(last, own)
            else:
                where.register_buffer(last, own, persistent=role == "buffer")
        where, last = holder(module, name)
        of = where._parameters if role == "parameter" else where._buffers
        module.__dict__["_find"].append(lambda of=of, last=last: of[last])
    return module


# ------------------------------------------------------------------------------------------------------------ recording


def export(mod, args, kwargs=None, *, dynamic_shapes="batch", strict=False):
    """Record a module's forward.

    The module runs a few times, on the example and on variations of it, with its buffers and the random numbers put
    back each time. It is recorded as it is: in training or evaluation mode, with gradients where parameters require
    them.

    Args:
        mod: the module.
        args: a tuple of positional example inputs; one tensor stands for itself. kwargs: a dict of keyword inputs.
        dynamic_shapes: which sizes may differ from call to call. "batch", the default, is dimension 0 of the first
            input and of those that have as many there, if the module runs with other sizes (a warning says if not);
            None is none, as in PyTorch. Otherwise PyTorch's: a dict from the names of forward's parameters, or a
            sequence, of specs; the spec of a tensor is a dict ``{dimension: Dim}``, a sequence of a Dim or None for
            each dimension, or None. The module has to do for all sizes of a Dim what it does for the example's; for a
            size that is named by a text, or Dim.AUTO, and for the batch, the program's ``range_constraints`` and
            ``guards`` say for which it does.
        strict: accepted for PyTorch's sake; everything is checked either way.
    Returns: an :class:`ExportedProgram`.
    Raises: ExportError, a RuntimeError, for what cannot be recorded, naming the op or the line: a Python branch or
        number that depends on what tensors hold (``item()``, ``if x.sum() > 0``), an autograd Function, a size that is
        no polynomial of the dynamic ones, a branch on a size that goes another way for some sizes of a Dim.
        ValueError and TypeError for arguments that do not fit.
    Example:
        >>> import rustnn
        >>> net = rustnn.nn.Sequential(rustnn.nn.Linear(4, 8), rustnn.nn.ReLU(), rustnn.nn.Linear(8, 2))
        >>> program = rustnn.export(net, (rustnn.ones(3, 4),))
        >>> program.inputs
        [('input', torch.float32, ('batch', 4))]
        >>> rustnn.export.save(program, "net.safetensors")
        >>> rustnn.export.load("net.safetensors")(rustnn.ones(5, 4)).shape
        torch.Size([5, 2])
    """
    from .nn import Module

    if not isinstance(mod, Module):
        raise ValueError(f"Expected `mod` to be an instance of `torch.nn.Module`, got {type(mod)}.")
    args = (args,) if isinstance(args, Tensor) else args
    if not isinstance(args, (tuple, list)):
        raise TypeError(f"Expecting `args` to be a tuple of example positional inputs, got {type(args)}")
    example = _Example(mod, tuple(args), kwargs or {})
    if dynamic_shapes is None:
        return _exported(mod, example, {})
    if dynamic_shapes != "batch":
        return _exported(mod, example, example.dims(dynamic_shapes))
    reasons = []
    for batch in example.batches():
        try:
            return _exported(mod, example, batch)
        except ExportError as error:
            if error.__cause__ is None and getattr(error, "_is_of_example", False):
                raise
            reasons.append(error)
    program = _exported(mod, example, {})
    if reasons:
        warnings.warn(
            "export: the program runs with the sizes of the example only, as the module does not with other batch "
            f"sizes: {reasons[-1]}. dynamic_shapes=None asks for that.",
            stacklevel=2,
        )
    return program


class _Example:
    """Example inputs: the tensors in them, how they lie in the arguments, and variations of other sizes."""

    def __init__(self, mod, args, kwargs):
        self.signature = inspect.signature(mod.forward)
        self.bound = self.signature.bind(*args, **kwargs)
        self.tensors, self.names, self.trees = [], [], []
        kinds = {
            inspect.Parameter.VAR_POSITIONAL: "rest",
            inspect.Parameter.VAR_KEYWORD: "more",
            inspect.Parameter.KEYWORD_ONLY: "named",
        }
        for name, value in self.bound.arguments.items():
            kind = kinds.get(self.signature.parameters[name].kind, "positional")
            self.trees.append([name, kind, _flatten(value, self.tensors, self.names, name, f"input {name}")])
        if not self.tensors:
            raise ValueError("export: the example inputs hold no tensor")

    def batches(self):
        """What may be the batch: the first dimension of the inputs, {(input, dimension): Dim}."""
        ranked = [i for i, tensor in enumerate(self.tensors) if tensor.dim()]
        if not ranked or not self.tensors[ranked[0]].shape[0]:
            return []
        size, batch = self.tensors[ranked[0]].shape[0], _automatic("batch")
        alike = [i for i in ranked if self.tensors[i].shape[0] == size]
        return [{(i, 0): batch for i in alike}] + ([{(ranked[0], 0): batch}] if len(alike) > 1 else [])

    def dims(self, specs):
        """{(input, dimension): Dim} of PyTorch's ``dynamic_shapes``."""
        if isinstance(specs, dict):
            unknown = [name for name in specs if name not in self.bound.arguments]
            if unknown:
                raise ValueError(f"dynamic_shapes names {unknown}, forward was given {list(self.bound.arguments)}")
            specs = [specs.get(name) for name in self.bound.arguments]
        elif not isinstance(specs, (tuple, list)):
            raise TypeError(f"dynamic_shapes must be a dict or a sequence, got {type(specs).__name__}")
        elif len(specs) != len(self.trees):
            raise ValueError(f"dynamic_shapes has {len(specs)} specs for {len(self.trees)} inputs")
        found = {}
        for (name, _, tree), spec in zip(self.trees, specs, strict=True):
            self._find(tree, spec, found, name)
        return found

    def _find(self, tree, spec, found, path):
        if spec is None:
            return
        if "items" in tree:
            if "dict" in tree and isinstance(spec, dict):
                spec = [spec.get(key) for key in tree["dict"]]
            if not isinstance(spec, (tuple, list)) or len(spec) != len(tree["items"]):
                raise ValueError(f"dynamic_shapes of {path}: expected {len(tree['items'])} specs, got {spec!r}")
            for i, (item, each) in enumerate(zip(tree["items"], spec, strict=True)):
                self._find(item, each, found, f"{path}.{i}")
            return
        if "tensor" not in tree:
            raise ValueError(f"dynamic_shapes of {path}: it is no tensor")
        number = tree["tensor"]
        tensor = self.tensors[number]
        pairs = spec.items() if isinstance(spec, dict) else enumerate(spec)
        for dim, each in pairs:
            if not isinstance(dim, int) or not -tensor.dim() <= dim < tensor.dim():
                raise ValueError(f"dynamic_shapes of {path}: there is no dimension {dim!r} of {tensor.dim()}")
            dim %= tensor.dim()
            if each is None or each is Dim.STATIC:
                continue
            if isinstance(each, int):
                if each != tensor.shape[dim]:
                    raise ValueError(f"dynamic_shapes of {path}: size {dim} is {tensor.shape[dim]}, not {each}")
                continue
            if each is Dim.AUTO or each is Dim.DYNAMIC:
                each = _automatic(f"size{tensor.shape[dim]}")
            elif isinstance(each, str):
                each = _automatic(each)
            if not isinstance(each, Dim):
                raise TypeError(f"dynamic_shapes of {path}: expected a Dim for dimension {dim}, got {each!r}")
            found[number, dim] = each

    def symbols(self, where):
        """{name: (Dim, size in the example)}."""
        symbols = {}
        for (number, dim), each in where.items():
            size = self.tensors[number].shape[dim]
            known = symbols.setdefault(each.name, (each, size))[1]
            if known != size:
                raise ValueError(f"dynamic_shapes: {each.name} is {known} and {size} in the example inputs")
            if not each.min <= size <= each.max:
                raise ValueError(f"dynamic_shapes: {each.name} is {size} in the example inputs, outside of {each!r}")
        return symbols

    def variation(self, where, sizes, other_values):
        """The inputs with sizes by their Dims' names; other values are the same in other places, floats smaller;
        offsets stay in order."""
        out = []
        with no_grad():
            for number, tensor in enumerate(self.tensors):
                value = tensor.detach().clone()
                offsets = _are_offsets(value)
                if other_values and value.dim() and not offsets:
                    value = value.flip(list(range(value.dim())))
                if other_values and value.is_floating_point():
                    value = value * 0.75
                for dim in range(value.dim()):
                    each = where.get((number, dim))
                    if each is not None and sizes[each.name] != value.shape[dim]:
                        at = _core.arange(sizes[each.name], device=value.device) % value.shape[dim]
                        value = value.index_select(dim, at)
                value = value.sort().values if offsets else value
                out.append(value.requires_grad_(tensor.requires_grad))
        return out

    def call(self, mod, tensors):
        bound = inspect.BoundArguments(
            self.signature, OrderedDict((name, _build(tree, tensors)) for name, _, tree in self.trees)
        )
        return mod(*bound.args, **bound.kwargs)


def _are_offsets(value) -> bool:
    """Whether these may be where pieces begin: integers that rise from 0. In another order they would say nothing."""
    if value.dim() != 1 or value.numel() < 2 or value.dtype not in (_core.int32, _core.int64):
        return False
    return value[0].item() == 0 and bool((value[1:] >= value[:-1]).all())


class _State:
    """A module's weights and the random numbers, to be put back."""

    def __init__(self, mod):
        self.mod, self.random = mod, get_rng_state()
        self.weights = self._weights()
        self.kept = {name: value.detach().clone() for name, value in mod.named_buffers()}
        self.registries = {id(each): (dict(each._parameters), dict(each._buffers)) for each in mod.modules()}

    def _weights(self):
        """[[names], role, tensor] of each parameter and buffer, once."""
        hidden = {
            f"{path}.{name}" if path else name
            for path, each in self.mod.named_modules(remove_duplicate=False)
            for name in each._non_persistent_buffers_set
        }
        found = {}
        for role, members in (
            ("parameter", self.mod.named_parameters(remove_duplicate=False)),
            ("buffer", self.mod.named_buffers(remove_duplicate=False)),
        ):
            for name, tensor in members:
                of = "non-persistent buffer" if name in hidden else role
                found.setdefault(id(tensor), ([], of, tensor))[0].append(name)
        return list(found.values())

    def restore(self, *, quietly=False):
        """Put everything back as it was.

        Raises: ExportError if another tensor is in the place of one of the weights, unless ``quietly``.
        """
        changed = []
        for path, each in self.mod.named_modules():
            for registry, before in zip((each._parameters, each._buffers), self.registries[id(each)], strict=True):
                for name in [*registry, *before]:
                    if registry.get(name) is not before.get(name):
                        changed.append(f"{path}.{name}" if path else name)
                        registry[name] = before.get(name)
        with no_grad():
            for name, value in self.mod.named_buffers():
                if not _same(value, self.kept[name]):
                    value.copy_(self.kept[name])
        set_rng_state(self.random)
        if changed and not quietly:
            raise ExportError(
                f"export: forward puts another tensor in the place of {changed[0]}; write in place, with copy_()"
            )


def _same(a, b):
    """Whether two tensors hold the same bits, or nearly."""
    if a.shape != b.shape or a.dtype is not b.dtype:
        return False
    if not a.is_floating_point():
        return _core.equal(a, b)
    return _core.allclose(a.detach(), b.detach(), rtol=1e-5, atol=1e-7, equal_nan=True)


def _record(mod, state, example, tensors, traced=None):
    """A recording of the module's forward on tensors, and what it returned."""
    _core._record_start(list(zip(example.names, tensors, strict=True)), state.weights, traced)
    try:
        with enable_grad():
            result = example.call(mod, tensors)
        outputs = []
        tree = _flatten(result, outputs, [], "", "what forward returns")
        recording = _core._record_finish(outputs, json.dumps({"arguments": example.trees, "result": tree}))
    except Exception:
        noted = _core._record_stop()
        if noted is not None:
            raise noted from None  # of which the exception may be a consequence
        raise
    finally:
        _core._record_stop()
    return recording, [output.detach().clone() for output in outputs]


def _exported(mod, example, where):
    """The program of a module in which the sizes ``where`` vary."""
    symbols = example.symbols(where)
    state = _State(mod)
    errors = []
    base = {name: size if size > 1 else min(2, each.max) for name, (each, size) in symbols.items()}
    # Sizes with the example's divisors, if it takes such.
    for steps in (dict.fromkeys(base, 1), base) if symbols else ({},):
        try:
            return _exported_in_steps(mod, state, example, where, symbols, base, steps)
        except ExportError as error:
            if getattr(error, "_is_of_example", False):
                raise
            errors.append(error)
        finally:
            state.restore(quietly=True)
    # The branch is more to the point than what came of it.
    raise next((error for error in errors if getattr(error, "_is_of_guard", False)), errors[0])


def _exported_in_steps(mod, state, example, where, declared, base, steps):
    symbols, guards, doubts, traced = declared, {}, {}, None
    for _ in range(4):
        points = _points(symbols, base, steps, guards)
        recordings, inputs, outputs = _recorded(mod, state, example, where, symbols, points)
        values = [list(point.values()) for point in points]
        if not symbols:
            break
        traced, asked = _traced(mod, state, example, declared, recordings, inputs[0], values)
        symbols, guards, doubts = _settled(declared, asked, values)
        if all(guard.holds(each) for guard in guards for each in values) and all(
            dim.min <= each <= dim.max for at in values for each, (dim, _) in zip(at, symbols.values(), strict=True)
        ):
            break
        # What the recordings say is proven where the guards hold alone.
        steps = {
            name: math.lcm(step, *(guard.of for guard in guards if guard.of and at in guard.symbols))
            for at, (name, step) in enumerate(steps.items())
        }
    else:
        raise ExportError("export: forward branches in other ways on the sizes of its inputs each time")

    def made():
        bounds = [(name, each.min, each.max) for name, (each, _) in symbols.items()]
        given = [([(factor, list(at)) for at, factor in each.terms], each.relation, each.of) for each in guards]
        return _combined(recordings, bounds, values, traced, given)

    def limited(name, least):
        dim, size = symbols[name]
        symbols[name] = _narrowed(dim, least, dim.max), size

    for name in doubts:
        limited(name, 1)
    program = made()
    for point, tensors, result in zip(points, inputs, outputs, strict=True):
        _verify(state, program, tensors, result, point)
    # Sizes of 1 broadcast, and modules ask whether they have one.
    for name, line in doubts.items():
        if _agree(mod, state, example, where, {**base, name: 1}, guards, program) is not True:
            dim, _ = symbols[name]
            if not (dim._free or dim._automatic):
                raise _promised(dim, _narrowed(dim, 2, dim.max), line)
            limited(name, 2)
    sizes = {name: 1 if each.min <= 1 else base[name] for name, (each, _) in symbols.items()}
    if 1 in sizes.values() and _agree(mod, state, example, where, sizes, guards, program) is False:
        for name, (dim, _) in list(symbols.items()):
            if sizes[name] == 1 and not (dim._free or dim._automatic):
                raise ExportError(f"export: forward does something else with {name} = 1; give {dim.name!r} a min of 2")
            limited(name, max(dim.min, 2))
    if any(not dim.min <= size <= dim.max for dim, size in symbols.values()):
        raise ExportError("export: forward does something else with the sizes of the example than with others")
    return ExportedProgram(made())


def _points(symbols, base, steps, guards):
    """The sizes to record with: the base, each other combination of it and of a second size, and third ones."""

    def grown(name, times, way):
        each, _ = symbols[name]
        size = base[name] + way * times * steps[name]
        if not each.min <= size <= each.max:
            size = base[name] - way * times * steps[name]
        return min(max(size, each.min), each.max)

    ways = list(itertools.product((1, -1), repeat=len(symbols) if len(symbols) <= 3 else 0)) or [()]
    for signs in ways:
        way = dict(itertools.zip_longest(symbols, signs, fillvalue=1))
        second = {name: grown(name, 1, way[name]) for name in symbols}
        points = [
            {name: second[name] if mask >> i & 1 else base[name] for i, name in enumerate(symbols)}
            for mask in range(1 << len(symbols))
        ]
        points.append({name: grown(name, 3 if steps[name] == 1 else 2, way[name]) for name in symbols})
        wrong = [guard for guard in guards for point in points if not guard.holds(list(point.values()))]
        if symbols and any(len({point[name] for point in points}) < 3 for name in symbols):
            raise ExportError(
                f"export: {[each for each, _ in symbols.values()]} leave fewer than three sizes to record"
            )
        if not wrong:
            return points
    raise ExportError(f"export: no sizes to record were found for which a branch goes the same way{guards[wrong[0]]}")


def _recorded(mod, state, example, where, symbols, points):
    recordings, inputs, outputs = [], [], []
    for number, point in enumerate(points):
        tensors = example.variation(where, point, other_values=number > 0)
        state.restore()
        at = ", ".join(f"{name} = {size}" for name, size in point.items())
        try:
            recording, result = _record(mod, state, example, [tensor.clone() for tensor in tensors])
            state.restore()
        except ExportError as error:
            error._is_of_example = number == 0
            raise
        except Exception as error:
            if number == 0 and point == {name: size for name, (_, size) in symbols.items()}:
                raise
            raise ExportError(
                f"export: the module runs on the example, but not {'with ' + at if at else 'with other values'}: "
                f"{type(error).__name__}: {error}"
            ) from error
        recordings.append(recording)
        inputs.append(tensors)
        outputs.append(result)
    return recordings, inputs, outputs


def _traced(mod, state, example, symbols, recordings, tensors, values):
    """A recording at the first sizes, which says which sizes Python read, and {Guard: the line that asked for it}."""
    ranges = [(each.min, each.max) for each, _ in symbols.values()]
    trace = Trace(ranges, values[0], _place, _unrecordable)
    state.restore()
    with trace.watching():
        traced, _ = _record(
            mod, state, example, [tensor.clone() for tensor in tensors], (recordings, values, trace.size)
        )
    state.restore()
    if not traced.is_like(recordings[0]):
        raise ExportError("export: forward runs other ops each time, though its inputs are the same")
    return traced, trace.guards


def _settled(symbols, guards, values):
    """The symbols for which the guards hold; the guards that ranges do not say; {name: line} of the sizes of which 1
    alone was left out, perhaps without need.

    Raises: ExportError if a Dim promises more.
    """
    names = list(symbols)
    dims = {name: each for name, (each, _) in symbols.items()}
    kept, doubts = [], {}
    for guard in sorted(guards, key=lambda guard: guard.relation != ">= 0"):
        line = guard.line
        if guard.relation == "== 0" and not all(map(guard.holds, values)):
            continue  # forward was recorded where it does not hold as well, and does the same
        if guard.relation in ("== 0", "fixed"):
            of = ", ".join(names[at] for at in sorted(guard.symbols))
            raise _violated(
                f"what forward does is right for the example's {of} only: Python branches on it, or computes a number "
                f"that is no polynomial of it{guards[guard]}"
            )
        if line is None:
            kept.append(guard)
            continue
        at, factor, constant = line
        dim = dims[names[at]]
        least, most = dim.min, dim.max
        if guard.relation == ">= 0" and factor > 0:
            least = max(least, -(constant // factor))
        elif guard.relation == ">= 0":
            most = min(most, constant // -factor)
        elif guard.relation == "!= 0" and -constant // factor == least:
            least += 1
        elif guard.relation == "!= 0" and -constant // factor == most:
            most -= 1
        else:
            kept.append(guard)
            while least < most and not guard.holds({at: least}):
                least += 1
        if least > most:
            raise _violated(f"forward works for no {dim.name} as it does for the example's{guards[guard]}")
        narrow = _narrowed(dim, least, most)
        if guard not in kept and dim.min == 1 and least == 2:
            doubts[dim.name] = guards[guard]
        elif not dim._automatic and (guard in kept or (least, most) != (dim.min, dim.max)):
            raise _promised(dim, narrow, guards[guard], guard if guard in kept else None)
        dims[names[at]] = narrow
    ranges = {at: (dims[name].min, dims[name].max) for at, name in enumerate(names)}
    stronger = [guard for guard in kept if guard.of and guard.line]
    kept = {
        guard: guards[guard]
        for guard in kept
        if not guard.implied(ranges) and not any(guard is not each and guard.follows(each) for each in stronger)
    }
    return {name: (dims[name], size) for name, (_, size) in symbols.items()}, kept, doubts


def _violated(what):
    error = ExportError(f"export: constraints violated: {what}")
    error._is_of_guard = True
    return error


def _promised(dim, narrow, line, guard=None):
    """The error for a Dim of which not all sizes are right, but those of a narrower one, or of a guard."""
    said, advice = repr(narrow), f"Give {narrow!r}, or let"
    if guard is not None:
        _, factor, constant = guard.line
        term = dim.name if factor == 1 else f"{factor}*{dim.name}"
        term = f"({term} + {constant})" if constant else term
        said = f"{term} % {guard.of} == 0" if guard.of else f"{dim.name} != {-constant // factor}"
        advice = "Let"
    return _violated(
        f"forward branches on {dim.name} or divides it, and was recorded for {said}; {dim!r} promises more. {advice} "
        f"export find the sizes: write {dim.name!r} in the Dim's place{line}"
    )


def _combined(recordings, bounds, points, traced=None, guards=()):
    try:
        return _core._program(recordings, bounds, points, traced, list(guards))
    except ValueError as error:
        raise ExportError(str(error)) from None


def _verify(state, program, tensors, result, point):
    """The program gives what the module gave, or it raises: then something escaped the recording."""
    set_rng_state(state.random)
    own = program.to(tensors[0].device)  # whose buffers may be written
    with no_grad():
        outputs = own.forward([tensor.detach().clone() for tensor in tensors])
    if not all(map(_same, outputs, result)):
        at = ", ".join(f"{name} = {size}" for name, size in point.items()) or "other values of the inputs"
        raise ExportError(
            f"export: the recorded program gives another result than the module with {at}: forward depends on "
            "something that is no op on its inputs, such as the time, random numbers of Python, or what it did before"
        )


def _agree(mod, state, example, where, sizes, guards, program):
    """Whether the program does as the module with sizes that were not recorded; None if the module takes none such."""
    if not all(guard.holds(list(sizes.values())) for guard in guards):
        return None
    tensors = example.variation(where, sizes, other_values=False)
    state.restore()  # random numbers too, of which the program draws the same
    try:
        with no_grad():
            result = example.call(mod, [tensor.clone() for tensor in tensors])
    except Exception:
        return None
    finally:
        state.restore()
    outputs = []
    _flatten(result, outputs, [], "", "what forward returns")
    try:
        _verify(state, program, tensors, outputs, sizes)
    except (RuntimeError, ValueError, IndexError):
        return False
    return True


# ---------------------------------------------------------------------------------------------------------------- files


def save(ep, f):
    """Write a program as a safetensors file, all or nothing.

    Args:
        ep: the program.
        f: a path, or an object with ``write``.
    Raises: TypeError for what is no program; OSError; ValueError for complex128 weights, which the format lacks.
    """
    if not isinstance(ep, ExportedProgram):
        raise TypeError(
            f"The 'ep' parameter must be an instance of 'ExportedProgram', got '{type(ep).__name__}' instead."
        )
    if hasattr(f, "write"):
        f.write(ep._program.to_bytes())
    else:
        ep._program.save(os.fspath(f))


def load(f):
    """The program of a file. Nothing in a file can run code.

    Args:
        f: a path, bytes, or an object with ``read``.
    Raises: ValueError or RuntimeError for a malformed file, or one of a newer version; FileNotFoundError.
    """
    if hasattr(f, "read"):
        f = f.read()
    if isinstance(f, (bytes, bytearray)):
        return ExportedProgram(_core._read_program(bytes(f)))
    path = os.fspath(f)
    os.stat(path)  # which raises as Python does
    return ExportedProgram(_core._load_program(path))


class _Callable(types.ModuleType):
    """A module that is the function of its name as well."""

    __call__ = staticmethod(export)


sys.modules[__name__].__class__ = _Callable
