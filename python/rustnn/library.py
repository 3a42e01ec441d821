"""Ops that programs define: ``custom_op``, ``Library``, and how ``rustnn.ops`` finds them.

An op is a Python function under a qualified name, with perhaps a formula for its gradient and one for tensors of the
meta device. Tensors are dispatched by what they are: a tensor without data goes to the fake kernel, one of a device
type to the kernel registered for that, any other to the general one."""

import inspect
from functools import wraps

from . import _core
from .autograd.function import Function
from .utils._pytree import tree_leaves

__all__ = [
    "CustomOpDef",
    "Library",
    "custom_op",
    "define",
    "get_kernel",
    "impl",
    "impl_abstract",
    "infer_schema",
    "register_autograd",
    "register_fake",
    "register_kernel",
    "register_torch_dispatch",
    "register_vmap",
]

Tensor = _core.Tensor

_GENERAL = "general"
_FAKE = "fake"
# Dispatch keys of PyTorch, and the kind of kernel that each is here.
_KINDS = {
    "": _GENERAL,
    "CompositeImplicitAutograd": _GENERAL,
    "CompositeExplicitAutograd": _GENERAL,
    "CPU": "cpu",
    "Meta": _FAKE,
}
_registry = {}


def _kind(key):
    key = getattr(key, "name", key)
    # Kernels for devices that are not here are kept under their names, and never met.
    return _KINDS.get(key, str(key).lower())


def _split(qualified):
    name, _, overload = qualified.partition(".")
    namespace, colons, op = name.partition("::")
    if not colons or not namespace or not op:
        raise ValueError(
            f"Expected the qualified name of an op to have the form namespace::name, got {qualified!r}. There is no "
            "default "
            "namespace."
        )
    return namespace, op, overload or "default"


class OpOverload:
    """An op under one name, such as ``rustnn.ops.mylib.scale.default``."""

    def __init__(self, namespace, op, overload="default"):
        self.namespace, self._op, self._overload = namespace, op, overload
        self._kernels = {}
        self._backward = self._setup_context = self._function = None
        self._schema = None

    def name(self):
        """Its qualified name."""
        return f"{self.namespace}::{self._op}" + ("" if self._overload == "default" else f".{self._overload}")

    @property
    def __name__(self):
        return f"{self._op}.{self._overload}"

    def __repr__(self):
        return f"<OpOverload(op='{self.namespace}.{self._op}', overload='{self._overload}')>"

    def _kernel(self, tensors):
        if any(tensor.is_meta for tensor in tensors):
            kind = _FAKE
            found = self._kernels.get(_FAKE)
        else:
            kind = tensors[0].device.type if tensors else "cpu"
            found = self._kernels.get(kind)
        found = found or self._kernels.get(_GENERAL)
        if found is None:
            backend = {"cpu": "CPU", _FAKE: "Meta"}.get(kind, kind.upper())
            raise NotImplementedError(
                f"Could not run '{self.name()}' with arguments from the '{backend}' backend: it has no kernel for them"
            )
        return found

    def __call__(self, *args, **kwargs):
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        kernel = self._kernel(tensors)
        recorded = _core.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
        if self._backward is None or not recorded:
            return kernel(*args, **kwargs)
        if kwargs:
            bound = inspect.signature(kernel).bind(*args, **kwargs)
            bound.apply_defaults()
            args = bound.args
        return self._differentiable().apply(*args)

    def _differentiable(self):
        if self._function is None:
            op = self

            class Recorded(Function):
                @staticmethod
                def forward(*args):
                    tensors = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)]
                    return op._kernel(tensors)(*args)

                @staticmethod
                def setup_context(ctx, inputs, output):
                    if op._setup_context is not None:
                        # By keywords, as PyTorch calls it.
                        op._setup_context(ctx=ctx, inputs=inputs, output=output)

                @staticmethod
                def backward(ctx, *grads):
                    return op._backward(ctx, *grads)

            Recorded.__name__ = Recorded.__qualname__ = f"{self._op}_{self._overload}"
            self._function = Recorded
        return self._function


class OpOverloadPacket:
    """An op with all its overloads; calling it calls the default one."""

    def __init__(self, namespace, op):
        self._namespace, self._op = namespace, op

    def overloads(self):
        """The overloads' names."""
        return list(_registry[self._namespace, self._op])

    def __getattr__(self, name):
        found = _registry.get((self._namespace, self._op), {}).get(name)
        if found is None:
            raise AttributeError(f"The underlying op of '{self._namespace}.{self._op}' has no overload name '{name}'")
        return found

    def __call__(self, *args, **kwargs):
        overloads = _registry[self._namespace, self._op]
        return (overloads.get("default") or next(iter(overloads.values())))(*args, **kwargs)

    def __repr__(self):
        return f"<OpOverloadPacket(op='{self._namespace}.{self._op}')>"


def _op(qualified, create=False):
    """The overload of a qualified name, or of an overload itself."""
    if isinstance(qualified, OpOverload):
        return qualified
    if isinstance(qualified, CustomOpDef):
        return qualified._op
    namespace, op, overload = _split(qualified)
    overloads = _registry.setdefault((namespace, op), {}) if create else _registry.get((namespace, op), {})
    if overload not in overloads:
        if not create:
            raise RuntimeError(f"operator {qualified} does not exist: define it first")
        overloads[overload] = OpOverload(namespace, op, overload)
    return overloads[overload]


def define(qualname, schema=None, *, lib=None, tags=(), alias_analysis=""):
    """Makes a qualified name the name of an op that has no kernel yet.

    Args:
        qualname: ``"namespace::name"``.
        schema: ``"(Tensor x, float s) -> Tensor"``; without it a decorator.
        lib, tags, alias_analysis: accepted.
    Raises: ValueError for names without a namespace.
    """
    if not isinstance(qualname, str):
        raise ValueError(f"define(qualname, schema): expected qualname to be instance of str, got {type(qualname)}")
    op = _op(qualname, create=True)
    op._schema = schema


def impl(qualname, types, func=None, *, lib=None):
    """Registers a kernel of an op for device types, "default" meaning all; without ``func`` a decorator."""
    return register_kernel(qualname, types, func)


def register_kernel(op, device_types, func=None, /, *, lib=None):
    """As :func:`impl`. None means all device types."""

    def register(function):
        wanted = (device_types,) if isinstance(device_types, str) or device_types is None else device_types
        target = _op(op)
        for device_type in wanted:
            target._kernels[_GENERAL if device_type in (None, "default") else device_type] = function
        return function

    return register if func is None else register(func)


def register_fake(op, func=None, /, *, lib=None, _stacklevel=1, allow_override=False):
    """Registers what an op gives for tensors of the meta device; without ``func`` a decorator. The op may be defined
    later."""

    def register(function):
        _op(op, create=True)._kernels[_FAKE] = function
        return function

    return register if func is None else register(func)


def impl_abstract(qualname, func=None, *, lib=None, _stacklevel=1):
    """The former name of :func:`register_fake`."""
    return register_fake(qualname, func)


def register_autograd(op, backward, /, *, setup_context=None, lib=None):
    """Registers the gradient of an op.

    Args:
        op: its qualified name, or the op.
        backward: called with a context and the gradients of the results; returns those of the arguments.
        setup_context: called with ``ctx``, ``inputs`` and ``output`` by keyword, to save what ``backward`` needs.
    """
    target = _op(op, create=True)
    target._backward, target._setup_context, target._function = backward, setup_context, None


def register_vmap(op, func=None, /, *, lib=None):
    """Accepted for compatibility: ``vmap`` calls ops sample by sample."""
    return func if func is not None else lambda function: function


def register_torch_dispatch(op, torch_dispatch_class, func=None, /, *, lib=None):
    """Accepted for compatibility: there are no dispatch modes."""
    return func if func is not None else lambda function: function


def register_autocast(op, device_type, cast_inputs, /, *, lib=None):
    """Accepted for compatibility: custom ops see their arguments as they are."""


def get_kernel(op, dispatch_key):
    """The kernel of an op for a dispatch key."""
    target = _op(op)
    found = target._kernels.get(_kind(dispatch_key)) or target._kernels.get(_GENERAL)
    if found is None:
        raise RuntimeError(f"operator {target.name()} has no kernel for {dispatch_key}")
    return found


_NAMES = {Tensor: "Tensor", int: "SymInt", float: "float", bool: "bool", str: "str"}


def infer_schema(prototype_function, /, *, mutates_args, op_name=None):
    """The schema that the annotations of a function give, such as ``"(Tensor x, float s=1.0) -> Tensor"``.

    Raises: ValueError for parameters without an annotation, or with one that no schema knows.
    """
    import typing

    signature = inspect.signature(prototype_function)
    hints = typing.get_type_hints(prototype_function)

    def spelled(annotation):
        origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
        if annotation in _NAMES:
            return _NAMES[annotation]
        if annotation in (int | float, int | float | bool):
            return "Scalar"
        if type(None) in inner:
            rest = [part for part in inner if part is not type(None)]
            return f"{spelled(rest[0])}?" if len(rest) == 1 else "Scalar?"
        if origin in (list, typing.get_origin(typing.Sequence[int])) and inner:
            return f"{spelled(inner[0])}[]"
        names = {"dtype": "ScalarType", "device": "Device"}
        if getattr(annotation, "__name__", None) in names:
            return names[annotation.__name__]
        raise ValueError(f"infer_schema(func): unsupported type {annotation}")

    parts, starred = [], False
    for name, parameter in signature.parameters.items():
        if name not in hints:
            raise ValueError(f"infer_schema(func): Parameter {name} must have a type annotation.")
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        text = spelled(hints[name])
        if text == "Tensor" and (mutates_args == "unknown" or name in mutates_args):
            text = f"Tensor(a{len(parts)}!)"
        default = "" if parameter.default is parameter.empty else f"={parameter.default}"
        parts.append(f"{text} {name}{default}")
    returned = hints.get("return", type(None))
    if returned is type(None):
        result = "()"
    elif typing.get_origin(returned) is tuple:
        result = f"({', '.join(map(spelled, typing.get_args(returned)))})"
    else:
        result = spelled(returned)
    return f"{op_name or ''}({', '.join(parts)}) -> {result}"


class CustomOpDef:
    """What :func:`custom_op` makes of a function: it can be called, and takes further kernels and a gradient."""

    def __init__(self, op, function):
        self._op, self._init_fn = op, function
        wraps(function)(self)

    @property
    def _qualname(self):
        return self._op.name()

    def register_kernel(self, device_types, fn=None, /):
        """Another kernel for some device types; without ``fn`` a decorator."""
        return register_kernel(self._op, device_types, fn)

    def register_fake(self, fn, /):
        """What the op gives for tensors of the meta device."""
        return register_fake(self._op, fn)

    def register_autograd(self, backward, /, *, setup_context=None):
        """The gradient, see :func:`register_autograd`."""
        register_autograd(self._op, backward, setup_context=setup_context)

    def register_vmap(self, func=None):
        """Accepted for compatibility."""
        return register_vmap(self._op, func)

    def register_torch_dispatch(self, torch_dispatch_class, fn=None, /):
        """Accepted for compatibility."""
        return register_torch_dispatch(self._op, torch_dispatch_class, fn)

    def __call__(self, *args, **kwargs):
        return self._op(*args, **kwargs)

    def __repr__(self):
        return f"<CustomOpDef({self._qualname})>"


def custom_op(name, fn=None, /, *, mutates_args, device_types=None, schema=None, tags=None):
    """Makes a function an op with a qualified name, found at ``rustnn.ops.namespace.name``; without ``fn`` a decorator.

    Args:
        name: ``"namespace::name"``.
        fn: the function, its parameters annotated unless ``schema`` is given.
        mutates_args: the names of the arguments that it writes, or "unknown".
        device_types: for which the function is the kernel; None: for all.
        schema: in place of the annotations.
        tags: accepted.
    Raises: ValueError for names without a namespace, and annotations that no schema knows.
    Source: behaviour of ``torch.library.custom_op``.

    Example:
        >>> import rustnn
        >>> @rustnn.library.custom_op("docs::scaled", mutates_args=())
        ... def scaled(x: rustnn.Tensor, by: float) -> rustnn.Tensor:
        ...     return x * by
        >>> scaled.register_autograd(
        ...     lambda ctx, grad: (grad * ctx.by, None),
        ...     setup_context=lambda ctx, inputs, output: setattr(ctx, "by", inputs[1]),
        ... )
        >>> x = rustnn.ones(2, requires_grad=True)
        >>> rustnn.ops.docs.scaled(x, 3.0).sum().backward()
        >>> x.grad
        tensor([3., 3.])
    """

    def make(function):
        text = schema if schema is not None else infer_schema(function, mutates_args=mutates_args)
        namespace, op, overload = _split(name)
        # A second definition replaces the first, as when a cell of a notebook runs again.
        made = _registry.setdefault((namespace, op), {})[overload] = OpOverload(namespace, op, overload)
        made._schema = text
        register_kernel(made, device_types, function)
        return CustomOpDef(made, function)

    return make if fn is None else make(fn)


class Library:
    """A namespace to which a program adds ops and kernels.

    Args:
        ns: the namespace.
        kind: "DEF", "FRAGMENT" or "IMPL".
        dispatch_key: for which :meth:`impl` registers kernels, where that says nothing else.
    Raises: ValueError for other kinds.
    """

    def __init__(self, ns, kind, dispatch_key=""):
        if kind not in ("IMPL", "DEF", "FRAGMENT"):
            raise ValueError(f"Unsupported kind: {kind}")
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key

    def define(self, schema, alias_analysis="", *, tags=()):
        """Makes an op of ``"name(Tensor x) -> Tensor"``; returns the name."""
        name = schema.partition("(")[0].strip()
        define(f"{self.ns}::{name}", schema[len(name) :])
        return name

    def impl(self, op_name, fn, dispatch_key="", *, with_keyset=False, allow_override=False):
        """Registers a kernel. Those for autograd keys must compute with differentiable ops, and count for all
        tensors."""
        if not callable(fn):
            raise TypeError(f"Input function is required to be a callable but found type {type(fn)}")
        op = op_name if isinstance(op_name, OpOverload) else _op(f"{self.ns}::{op_name.split('::')[-1]}", create=True)
        key = dispatch_key or self.dispatch_key
        kind = _GENERAL if str(key).startswith("Autograd") else _kind(key)
        op._kernels[kind] = fn

    def fallback(self, fn, dispatch_key="", *, with_keyset=False):
        """Raises NotImplementedError: ops without a kernel raise."""
        raise NotImplementedError("Library.fallback: rustnn calls no function in place of missing kernels")

    def _register_fake(self, op_name, fn, _stacklevel=1, *, allow_override=False):
        register_fake(f"{self.ns}::{op_name}", fn)

    def _destroy(self):
        """Accepted for compatibility: ops stay."""
