"""Module, the base class of every network: registries, hooks, state dicts, conversion.

The registries are ordinary dictionaries in the instance's ``__dict__``. Programs read and edit them directly, so
nothing here keeps a second copy. The global hook registries are looked up by name at each call: tests rebind them.

Source: behaviour of ``torch.nn.Module`` (PyTorch 2.13); what differs is said at the place.
"""

from __future__ import annotations

import sys
import warnings
import weakref
from collections import OrderedDict, namedtuple
from collections.abc import Mapping

from rustnn import __future__ as conversion
from rustnn import _core
from rustnn._tensor import _dtype_of
from rustnn.nn.parameter import Buffer, Parameter, is_lazy
from rustnn.utils._swap import swap_tensors
from rustnn.utils.hooks import BackwardHook, RemovableHandle, _NestedHook

__all__ = [
    "Module",
    "register_module_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
]

Tensor = _core.Tensor
_EXTRA_STATE_KEY_SUFFIX = "_extra_state"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What ``load_state_dict`` found: unpacks to ``missing_keys, unexpected_keys``.

    ``mismatched_keys`` (ours) lists ``(key, shape in the file, shape in the model)`` that ``on_mismatch="skip"`` left
    out.
    """

    mismatched_keys: tuple = ()

    def __repr__(self) -> str:
        if not (self.missing_keys or self.unexpected_keys or self.mismatched_keys):
            return "<All keys matched successfully>"
        text = super().__repr__()
        if self.mismatched_keys:
            text = f"{text[:-1]}, mismatched_keys={self.mismatched_keys})"
        return text

    __str__ = __repr__


class _SizeMismatch(str):
    """An error message of ``load_state_dict`` that also knows its key and both shapes."""

    mismatch: tuple


class _WrappedHook:
    """A load_state_dict pre-hook that may get its module first, held weakly so that no reference cycle arises."""

    def __init__(self, hook, module=None) -> None:
        self.hook = hook
        # What functools.wraps would copy, without importing functools for it.
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            if hasattr(hook, name):
                setattr(self, name, getattr(hook, name))
        self.with_module = module is not None
        if self.with_module:
            self.module = weakref.ref(module)

    def __call__(self, *args, **kwargs):
        if not self.with_module:
            return self.hook(*args, **kwargs)
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self):
        state = {"hook": self.hook, "with_module": self.with_module}
        if self.with_module:
            state["module"] = self.module()
        return state

    def __setstate__(self, state) -> None:
        self.hook = state["hook"]
        self.with_module = state["with_module"]
        if self.with_module:
            if state["module"] is None:
                raise RuntimeError("You are trying to revive the hook of a dead Module!")
            self.module = weakref.ref(state["module"])


# Hooks common to all modules.
_global_buffer_registration_hooks: dict = OrderedDict()
_global_module_registration_hooks: dict = OrderedDict()
_global_parameter_registration_hooks: dict = OrderedDict()
_global_backward_pre_hooks: dict = OrderedDict()
_global_backward_hooks: dict = OrderedDict()
_global_is_full_backward_hook: bool | None = None
_global_forward_pre_hooks: dict = OrderedDict()
_global_forward_hooks: dict = OrderedDict()
_global_forward_hooks_always_called: dict = OrderedDict()
_global_forward_hooks_with_kwargs: dict = OrderedDict()


class _ModuleFile(type(sys)):
    """This file as a module object: rebinding a global registry (tests do) tells the native call the new one."""

    def __setattr__(self, name, value) -> None:
        super().__setattr__(name, value)
        if name.startswith("_global_"):
            _tell_native_half()


# The registries that decide whether a call is a plain one, and the flags of global forward hooks.
_CALL_REGISTRIES = (
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
)
_CALL_FLAGS = ("_global_forward_hooks_always_called", "_global_forward_hooks_with_kwargs")
_REGISTRATION_REGISTRIES = ("_global_parameter_registration_hooks", "_global_module_registration_hooks")


def _tell_native_half() -> None:
    registries, flags, registration = (
        [globals()[name] for name in names] for names in (_CALL_REGISTRIES, _CALL_FLAGS, _REGISTRATION_REGISTRIES)
    )
    _core._set_global_hooks(registries, flags)
    _core._set_registration_hooks(registration)


sys.modules[__name__].__class__ = _ModuleFile
_tell_native_half()


def _has_any_global_hook() -> bool:
    return bool(
        _global_backward_pre_hooks
        or _global_backward_hooks
        or _global_forward_pre_hooks
        or _global_forward_hooks
        or _global_forward_hooks_always_called
        or _global_forward_hooks_with_kwargs
    )


def _register(registry, hook, *extra, prepend=False) -> RemovableHandle:
    """Put ``hook`` into ``registry`` and its id into the ``extra`` flag dictionaries; returns the handle."""
    handle = RemovableHandle(registry, extra_dict=extra or None)
    registry[handle.id] = hook
    if prepend:
        registry.move_to_end(handle.id, last=False)
    return handle


def register_module_buffer_registration_hook(hook) -> RemovableHandle:
    """Run ``hook(module, name, buffer) -> None | replacement`` at every registration of a buffer; returns its
    handle."""
    return _register(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook) -> RemovableHandle:
    """Run ``hook(module, name, submodule) -> None | replacement`` whenever a submodule is added; returns its handle."""
    return _register(_global_module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook) -> RemovableHandle:
    """Run ``hook(module, name, param) -> None | replacement`` at every registration of a parameter; returns its
    handle."""
    return _register(_global_parameter_registration_hooks, hook)


def register_module_forward_pre_hook(hook) -> RemovableHandle:
    """Run ``hook(module, args) -> None | args`` before the forward of every module; returns its handle.

    Global hooks run before a module's own.
    """
    return _register(_global_forward_pre_hooks, hook)


def register_module_forward_hook(hook, *, with_kwargs=False, always_call=False) -> RemovableHandle:
    """Run ``hook(module, args, output) -> None | output`` after the forward of every module; returns its handle.

    Args:
        with_kwargs: call it as ``hook(module, args, kwargs, output)``.
        always_call: run it also when forward raises.
    """
    handle = _register(
        _global_forward_hooks, hook, _global_forward_hooks_with_kwargs, _global_forward_hooks_always_called
    )
    if with_kwargs:
        _global_forward_hooks_with_kwargs[handle.id] = True
    if always_call:
        _global_forward_hooks_always_called[handle.id] = True
    return handle


def _set_global_backward_kind(full: bool) -> None:
    global _global_is_full_backward_hook
    # An empty registry has no kind: PyTorch's flag stays set after the last handle is removed, ours does not.
    if _global_backward_hooks and _global_is_full_backward_hook is (not full):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module hook. "
            "Please use only one of them."
        )
    _global_is_full_backward_hook = full


def register_module_backward_hook(hook) -> RemovableHandle:
    """Register an old-style backward hook for every module; use :func:`register_module_full_backward_hook` instead."""
    _set_global_backward_kind(False)
    return _register(_global_backward_hooks, hook)


def register_module_full_backward_pre_hook(hook) -> RemovableHandle:
    """Run ``hook(module, grad_output) -> None | grad_output`` before every module's backward; returns its handle."""
    return _register(_global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook) -> RemovableHandle:
    """Run ``hook(module, grad_input, grad_output) -> None | grad_input`` after every module's backward."""
    _set_global_backward_kind(True)
    return _register(_global_backward_hooks, hook)


def _typename(obj) -> str:
    """The name of an object's type, as error messages give it."""
    if isinstance(obj, Tensor):
        return obj.type()
    home = getattr(obj, "__module__", None) or type(obj).__module__ or ""
    name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None) or type(obj).__qualname__
    return name if home in ("", "builtins") else f"{home}.{name}"


def _split_nested(hooks):
    """The backward hooks for tensors and tuples, and those for outputs of any structure."""
    nested = [hook for hook in hooks if isinstance(hook, _NestedHook)]
    return ([hook for hook in hooks if not isinstance(hook, _NestedHook)] if nested else hooks), nested


def _is_tensor_like(value) -> bool:
    return isinstance(value, Tensor) or hasattr(value, "__torch_function__")


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix and name else prefix or name


def _indent(text: str) -> str:
    """Indent all lines but the first by two; blank lines stay empty."""
    first, *rest = text.split("\n")
    return "\n".join([first, *("  " + line if line else line for line in rest)])


def _forward_unimplemented(self, *input) -> None:
    """Compute the result of a call; every subclass defines this.

    Call the module itself, not this function: only the call runs the hooks.
    """
    raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')


# ---- notes on exceptions: which module raised, and with what --------------------------------------------------------


def _describe_value(value) -> str:
    if isinstance(value, Tensor):
        try:
            return f"{str(value.dtype).rpartition('.')[2]}[{', '.join(map(str, value.shape))}]"
        except Exception:
            return type(value).__name__
    if value is None or isinstance(value, (bool, int, float)):
        return repr(value)
    return type(value).__name__


def _describe_call(args, kwargs) -> str:
    parts = [_describe_value(value) for value in args[:8]]
    if len(args) > 8:
        parts.append(f"... {len(args) - 8} more")
    parts += [f"{name}={_describe_value(value)}" for name, value in list((kwargs or {}).items())[:8]]
    return f"({', '.join(parts)})"


def _path_between(outer, inner) -> str | None:
    """The dotted path from one module to another below it, or None."""
    seen = set()
    pending = [(outer, "")]
    while pending:
        module, path = pending.pop()
        if module is inner:
            return path
        if id(module) in seen:
            continue
        seen.add(id(module))
        children = module.__dict__.get("_modules") or {}
        pending += [(child, _join(path, name)) for name, child in reversed(children.items()) if child is not None]
    return None


def _note_module(error, module, args, kwargs) -> None:
    """Write on a passing exception the path of the module it came from, seen from ``module``, and the arguments.

    Each call that the exception leaves rewrites the one note with a longer path; so the outermost call has the last
    word and nobody needs to know who that is.
    """
    try:
        trail = getattr(error, "_module_trail", None)
        if trail is None:
            path, kind, call, old_note = "", type(module).__name__, _describe_call(args, kwargs), None
        else:
            inner, path, kind, call, old_note = trail
            if inner is not module:
                step = _path_between(module, inner)
                if step is None:
                    # Not a registered child (held in a plain list, say): its class must do for a name.
                    step = f"<{type(inner).__name__}>"
                path = _join(step, path)
        where = f"'{path}' ({kind}) of {type(module).__name__}" if path else kind
        note = f"in module {where}, called with {call}"
        error._module_trail = (module, path, kind, call, note)
        if old_note == note:
            return
        notes = getattr(error, "__notes__", None)
        if old_note is not None and notes and old_note in notes:
            notes[notes.index(old_note)] = note
        else:
            error.add_note(note)
    except Exception:
        # A note must never hide the error it is about (an exception class may refuse attributes).
        pass


# ---- arguments of Module.to ------------------------------------------------------------------------------------------


def _parse_to(args, kwargs):
    """Read ``to(device | dtype | tensor, ...)``; returns device, dtype, non_blocking, memory_format."""

    def refuse():
        def kind(value):
            name = type(value).__name__
            return f"torch.{name}" if isinstance(value, (_core.dtype, _core.device)) else name

        got = ", ".join([kind(arg) for arg in args] + [f"{key}={kind(arg)}" for key, arg in kwargs.items()])
        return TypeError(
            f"to() received an invalid combination of arguments - got ({got}), but expected one of:\n"
            " * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = False, bool copy = False, "
            "*, torch.memory_format memory_format = None)\n"
            " * (torch.dtype dtype, bool non_blocking = False, bool copy = False, *, torch.memory_format "
            "memory_format = None)\n"
            " * (Tensor tensor, bool non_blocking = False, bool copy = False, *, torch.memory_format memory_format = "
            "None)\n"
        )

    rest = [_dtype_of(value) for value in args]
    named = {key: _dtype_of(value) for key, value in kwargs.items()}
    memory_format = named.pop("memory_format", None)
    device = dtype = None
    if (rest and isinstance(rest[0], Tensor)) or "tensor" in named:
        like = rest.pop(0) if rest else named.pop("tensor")
        if not isinstance(like, Tensor):
            raise refuse()
        device, dtype = like.device, like.dtype
    elif rest and isinstance(rest[0], _core.dtype):
        dtype = rest.pop(0)
    else:
        device = rest.pop(0) if rest else named.pop("device", None)
        dtype = rest.pop(0) if rest else named.pop("dtype", None)
    if "dtype" in named and dtype is None:
        dtype = named.pop("dtype")
    non_blocking = rest.pop(0) if rest else named.pop("non_blocking", False)
    copy = rest.pop(0) if rest else named.pop("copy", False)
    if (
        rest
        or named
        or not (dtype is None or isinstance(dtype, _core.dtype))
        or not (device is None or isinstance(device, (str, int, _core.device)))
        or not isinstance(non_blocking, bool)
    ):
        raise refuse()
    if copy:
        raise RuntimeError(".to() does not accept copy argument")
    if device is not None and not isinstance(device, _core.device):
        device = _core.device(device)
    return device, dtype, non_blocking, memory_format


# The methods whose overriding makes a class be copied by the pickle protocol, and the values that a copy shares.
_COPIED_AS_MODULE = ("__reduce_ex__", "__reduce__", "__getstate__", "__setstate__", "__new__")
_COPIED_AS_THEY_ARE = frozenset((bool, int, float, str, bytes, type(None)))


class Module:
    """Base class for all networks and layers: a tree of named parameters, buffers and submodules.

    A subclass calls ``super().__init__()`` first, assigns parameters and submodules as attributes, and defines
    ``forward``. Calling the module runs its hooks and ``forward``.

    Shapes: whatever ``forward`` defines.
    Raises: AttributeError when a parameter, buffer or submodule is assigned before ``super().__init__()``;
        NotImplementedError when called without a ``forward``. An exception that leaves a call carries a note with the
        module's dotted path and the shapes of its arguments.
    Source: behaviour of ``torch.nn.Module``; differences: loading never writes into the caller's metadata, keys under a
        submodule that is None are reported as unexpected, a bare tensor returned by a backward (pre-)hook stands for a
        tuple of one, the kind of backward hooks (full or not) is forgotten when the last one is removed.
    Example:
        >>> import rustnn
        >>> from rustnn import nn
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = nn.Linear(4, 8)
        ...         self.out = nn.Linear(8, 1)
        ...     def forward(self, x):
        ...         return self.out(self.hidden(x).relu())
        >>> net = Net()
        >>> net(rustnn.ones(3, 4)).shape
        torch.Size([3, 1])
        >>> [name for name, _ in net.named_parameters()]
        ['hidden.weight', 'hidden.bias', 'out.weight', 'out.bias']
    """

    dump_patches: bool = False
    # The version that state_dict() writes for this class; a class that changes its layout raises it.
    _version: int = 1
    training: bool
    call_super_init: bool = False
    # The type of what state_dict() fills.
    T_destination = dict
    _compiled_call_impl = None
    forward = _forward_unimplemented

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        # The native call and the native assignment know nothing of what hardly any class has: the steps of a call
        # overridden, a forward that takes no self, a class behind Module that has an assignment of its own.
        forward = next((vars(base)["forward"] for base in cls.__mro__ if "forward" in vars(base)), None)
        if cls.__call__ is Module.__call__ and (
            cls._call_impl is not Module._call_impl
            or cls._wrapped_call_impl is not Module._wrapped_call_impl
            or isinstance(forward, (staticmethod, classmethod))
        ):
            cls.__call__ = Module._python_call
        behind = cls.__mro__[cls.__mro__.index(Module) + 1 : -1]
        if cls.__setattr__ is Module.__setattr__ and any("__setattr__" in vars(base) for base in behind):
            cls.__setattr__ = Module._set_attribute

    def __init__(self, *args, **kwargs) -> None:
        if not self.call_super_init:
            if kwargs:
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'"
                )
            if args:
                raise TypeError(
                    f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given"
                )
        # Straight into __dict__: Module.__setattr__ would examine each value.
        state = self.__dict__
        state["training"] = True
        state["_parameters"] = {}
        state["_buffers"] = {}
        state["_non_persistent_buffers_set"] = set()
        state["_backward_pre_hooks"] = OrderedDict()
        state["_backward_hooks"] = OrderedDict()
        state["_is_full_backward_hook"] = None
        state["_forward_hooks"] = OrderedDict()
        state["_forward_hooks_with_kwargs"] = OrderedDict()
        state["_forward_hooks_always_called"] = OrderedDict()
        state["_forward_pre_hooks"] = OrderedDict()
        state["_forward_pre_hooks_with_kwargs"] = OrderedDict()
        state["_state_dict_hooks"] = OrderedDict()
        state["_state_dict_pre_hooks"] = OrderedDict()
        state["_load_state_dict_pre_hooks"] = OrderedDict()
        state["_load_state_dict_post_hooks"] = OrderedDict()
        state["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    # ---- registration -----------------------------------------------------------------------------------------------

    def register_buffer(self, name, tensor, persistent=True) -> None:
        """Add a tensor that belongs to the module's state but is not trained, such as a running mean.

        Args:
            name: attribute name, without dots.
            tensor: the buffer; None reserves the name and is left out of ``state_dict``.
            persistent: whether ``state_dict`` includes it.
        Raises: TypeError for a wrong kind of name or value, KeyError for a name that is taken, empty or has a dot.
        """
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"buffer name should be a string. Got {_typename(name)}")
        if "." in name:
            raise KeyError('buffer name can\'t contain "."')
        if name == "":
            raise KeyError('buffer name can\'t be empty string ""')
        if hasattr(self, name) and name not in self._buffers:
            raise KeyError(f"attribute '{name}' already exists")
        if tensor is not None and not _is_tensor_like(tensor):
            raise TypeError(
                f"cannot assign '{_typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        for hook in _global_buffer_registration_hooks.values():
            output = hook(self, name, tensor)
            if output is not None:
                tensor = output
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name, param) -> None:
        """Add a parameter under ``name``; None reserves the name.

        Raises: TypeError for a wrong kind of name or value, KeyError for a name that is taken, empty or has a dot,
            ValueError for a parameter that is the result of a computation.
        """
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"parameter name should be a string. Got {_typename(name)}")
        if "." in name:
            raise KeyError('parameter name can\'t contain "."')
        if name == "":
            raise KeyError('parameter name can\'t be empty string ""')
        if name not in self._parameters and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")
        if param is None:
            self._parameters[name] = None
            return
        if not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{_typename(param)}' object to parameter '{name}' (torch.nn.Parameter or None required)"
            )
        if param.grad_fn is not None:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly. To "
                f"express '{name}' as a function of another Tensor, compute the value in the forward() method."
            )
        for hook in _global_parameter_registration_hooks.values():
            output = hook(self, name, param)
            if output is not None:
                param = output
        self._parameters[name] = param

    def add_module(self, name, module) -> None:
        """Add a submodule under ``name``; None reserves the name.

        Raises: TypeError for a wrong kind of name or value, KeyError for a name that is taken, empty or has a dot.
        """
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{_typename(module)} is not a Module subclass")
        if not isinstance(name, str):
            raise TypeError(f"module name should be a string. Got {_typename(name)}")
        if hasattr(self, name) and name not in self._modules:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'module name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError('module name can\'t be empty string ""')
        self._modules[name] = self._run_module_registration_hooks(name, module)

    def register_module(self, name, module) -> None:
        """The same as :meth:`add_module`."""
        self.add_module(name, module)

    def _run_module_registration_hooks(self, name, module):
        for hook in _global_module_registration_hooks.values():
            output = hook(self, name, module)
            if output is not None:
                module = output
        return module

    # ---- access by path ---------------------------------------------------------------------------------------------

    def get_submodule(self, target):
        """The submodule at a dotted path such as ``"encoder.layers.0"``; the empty path is the module itself.

        Raises: AttributeError if a step of the path is missing or is not a module.
        """
        module = self
        for atom in target.split(".") if target else ():
            if not hasattr(module, atom):
                raise AttributeError(f"{module._get_name()} has no attribute `{atom}`")
            module = getattr(module, atom)
            if not isinstance(module, Module):
                raise AttributeError(f"`{atom}` is not an nn.Module")
        return module

    def set_submodule(self, target, module, strict=False) -> None:
        """Put ``module`` at a dotted path.

        Args:
            target: the path; all but its last step must exist.
            module: the new submodule.
            strict: the last step must exist too.
        Raises: ValueError for an empty path or a value that is not a module, AttributeError for a missing step or one
            that is not a module.
        """
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError(f"`module` is not an nn.Module, found {type(module)}")
        parent_path, _, name = target.rpartition(".")
        parent = self.get_submodule(parent_path) if "." in target else self
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{parent._get_name()} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target):
        """The parameter at a dotted path.

        Raises: AttributeError if the path is missing or does not lead to a parameter.
        """
        module_path, _, name = target.rpartition(".")
        module = self.get_submodule(module_path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        param = getattr(module, name)
        if not isinstance(param, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return param

    def get_buffer(self, target):
        """The buffer at a dotted path.

        Raises: AttributeError if the path is missing or does not lead to a buffer.
        """
        module_path, _, name = target.rpartition(".")
        module = self.get_submodule(module_path)
        if not hasattr(module, name):
            raise AttributeError(f"{module._get_name()} has no attribute `{name}`")
        buffer = getattr(module, name)
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return buffer

    def get_extra_state(self):
        """Whatever else ``state_dict`` shall contain for this module; a class that overrides it overrides
        :meth:`set_extra_state` too. Any picklable object."""
        raise RuntimeError(
            "Reached a code path in Module.get_extra_state() that should never be called. Please file an issue at "
            "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml to report this bug."
        )

    def set_extra_state(self, state) -> None:
        """Take back what :meth:`get_extra_state` gave; called by ``load_state_dict``."""
        raise RuntimeError(
            "Reached a code path in Module.set_extra_state() that should never be called. Please file an issue at "
            "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml to report this bug."
        )

    # ---- attributes -------------------------------------------------------------------------------------------------

    # Only reached when the ordinary look-up failed. The native form finds what is in the registries.
    __getattr__ = _core._module_getattr

    def _missing_attribute(self, name):
        state = self.__dict__
        for registry in ("_parameters", "_buffers", "_modules"):
            found = state.get(registry)
            if found is not None and name in found:
                return found[name]
        owner = getattr(type(self), name, None)
        if isinstance(owner, property) and owner.fget is not None:
            # A property exists but raised AttributeError, which brought us here: raise that one, it names the cause.
            return owner.fget(self)
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    # The native form does the plain cases of this one.
    __setattr__ = _core._module_setattr

    def _set_attribute(self, name, value) -> None:
        state = self.__dict__
        params = state.get("_parameters")
        is_tensor = isinstance(value, Tensor)
        if is_tensor and isinstance(value, Parameter):
            if params is None:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            state.pop(name, None)
            state["_buffers"].pop(name, None)
            state["_modules"].pop(name, None)
            state["_non_persistent_buffers_set"].discard(name)
            self.register_parameter(name, value)
            return
        if params and name in params:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, None)
            return
        modules = state.get("_modules")
        if isinstance(value, Module):
            if modules is None:
                raise AttributeError("cannot assign module before Module.__init__() call")
            state.pop(name, None)
            state["_buffers"].pop(name, None)
            state["_non_persistent_buffers_set"].discard(name)
            modules[name] = self._run_module_registration_hooks(name, value)
            return
        if modules and name in modules:
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as child module '{name}' (torch.nn.Module or None expected)"
                )
            modules[name] = self._run_module_registration_hooks(name, None)
            return
        buffers = state.get("_buffers")
        if (is_tensor and isinstance(value, Buffer)) or (buffers and name in buffers):
            self._assign_buffer(name, value)
            return
        super().__setattr__(name, value)

    def _assign_buffer(self, name, value) -> None:
        if value is not None and not _is_tensor_like(value):
            raise TypeError(
                f"cannot assign '{_typename(value)}' as buffer '{name}' "
                "(torch.nn.Buffer, torch.Tensor or None expected)"
            )
        if isinstance(value, Buffer):
            persistent = value.persistent
        else:
            persistent = name not in self._non_persistent_buffers_set
        register = self.register_buffer
        if getattr(register, "__func__", None) is not Module.register_buffer:
            # A subclass may have overridden it without the third argument.
            import inspect

            if "persistent" not in inspect.signature(register).parameters:
                if not persistent:
                    raise RuntimeError(
                        "Registering a non-persistent buffer on a Module subclass that implements register_buffer() "
                        "without the persistent argument is not allowed."
                    )
                register(name, value)
                return
        register(name, value, persistent)

    def __delattr__(self, name) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            super().__delattr__(name)

    def __dir__(self):
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers}
        return sorted(name for name in names if not name[:1].isdigit())

    # ---- calls ------------------------------------------------------------------------------------------------------

    def _slow_forward(self, *input, **kwargs):
        return self.forward(*input, **kwargs)

    def _wrapped_call_impl(self, *args, **kwargs):
        try:
            if self._compiled_call_impl is not None:
                return self._compiled_call_impl(*args, **kwargs)
            return self._call_impl(*args, **kwargs)
        except Exception as error:
            _note_module(error, self, args, kwargs)
            raise

    def _call_impl(self, *args, **kwargs):
        """``forward`` with all hooks around it, in this order: global pre-hooks, own pre-hooks, the backward hooks'
        input node, forward, global forward hooks, own forward hooks, the backward hooks' output node."""
        forward_call = self.forward
        if not (
            self._backward_hooks
            or self._backward_pre_hooks
            or self._forward_hooks
            or self._forward_pre_hooks
            or _global_backward_pre_hooks
            or _global_backward_hooks
            or _global_forward_hooks
            or _global_forward_pre_hooks
        ):
            return forward_call(*args, **kwargs)

        result = None
        # Ids of always_call hooks that have begun: they do not run a second time when something raises.
        begun = set()
        try:
            full_hooks, old_hooks = self._get_backward_hooks()
            pre_hooks = self._get_backward_pre_hooks()

            # Copies of the registries: a hook may remove itself or others while it runs.
            for hook_id, hook in (*_global_forward_pre_hooks.items(), *self._forward_pre_hooks.items()):
                if hook_id in self._forward_pre_hooks_with_kwargs:
                    replaced = hook(self, args, kwargs)
                    if replaced is not None:
                        if not (isinstance(replaced, tuple) and len(replaced) == 2):
                            raise RuntimeError(
                                "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                                f"but got {replaced}."
                            )
                        args, kwargs = replaced
                else:
                    replaced = hook(self, args)
                    if replaced is not None:
                        args = replaced if isinstance(replaced, tuple) else (replaced,)

            backward = nested = None
            if full_hooks or pre_hooks:
                plain, deep = _split_nested(full_hooks), _split_nested(pre_hooks)
                if plain[0] or deep[0]:
                    backward = BackwardHook(self, plain[0], deep[0])
                    args = backward.setup_input_hook(args)
                if plain[1] or deep[1]:
                    nested = BackwardHook(self, plain[1], deep[1], nested=True)
                    args = nested.setup_input_hook(args)

            result = forward_call(*args, **kwargs)

            for hook_id, hook in (*_global_forward_hooks.items(), *self._forward_hooks.items()):
                if hook_id in self._forward_hooks_always_called or hook_id in _global_forward_hooks_always_called:
                    begun.add(hook_id)
                replaced = self._run_forward_hook(hook_id, hook, args, kwargs, result)
                if replaced is not None:
                    result = replaced

            if backward is not None:
                if not isinstance(result, (Tensor, tuple)):
                    warnings.warn(
                        "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors but "
                        f"received {type(result)}",
                        stacklevel=2,
                    )
                result = backward.setup_output_hook(result)
            if nested is not None:
                result = nested.setup_output_hook(result)

            if old_hooks:
                self._attach_old_backward_hooks(old_hooks, args, result)
            return result
        except Exception:
            self._run_always_called_hooks(begun, args, kwargs, result)
            raise

    def _run_always_called_hooks(self, begun, args, kwargs, result) -> None:
        """After an exception: run the hooks that want to see every call, but those in ``begun``, whose ids began."""
        for where, registry, flagged in (
            ("global module", _global_forward_hooks, _global_forward_hooks_always_called),
            ("module", self._forward_hooks, self._forward_hooks_always_called),
        ):
            for hook_id, hook in list(registry.items()):
                if hook_id not in flagged or hook_id in begun:
                    continue
                try:
                    replaced = self._run_forward_hook(hook_id, hook, args, kwargs, result)
                    if replaced is not None:
                        result = replaced
                except Exception as silenced:
                    warnings.warn(
                        f"{where} forward hook with ``always_call=True`` raised an exception that was silenced as "
                        f"another error was raised in forward: {silenced}",
                        stacklevel=2,
                    )

    def _python_call(self, *args, **kwargs):
        return self._wrapped_call_impl(*args, **kwargs)

    # The native call does the same as the Python one. It is a method descriptor, not a base class: a base would forbid
    # __class__ changes and break copies of classes that list a mixin before Module.
    __call__ = _core._module_call

    def _run_forward_hook(self, hook_id, hook, args, kwargs, result):
        if hook_id in self._forward_hooks_with_kwargs or hook_id in _global_forward_hooks_with_kwargs:
            return hook(self, args, kwargs, result)
        return hook(self, args, result)

    def _get_backward_hooks(self):
        """The full and the old-style backward hooks that apply now, global ones first."""
        full, old = [], []
        if _global_backward_hooks:
            (full if _global_is_full_backward_hook else old).extend(_global_backward_hooks.values())
        if self._backward_hooks:
            (full if self._is_full_backward_hook else old).extend(self._backward_hooks.values())
        return full, old

    def _get_backward_pre_hooks(self):
        return [*_global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]

    def _attach_old_backward_hooks(self, hooks, args, result) -> None:
        first = result
        while not isinstance(first, Tensor):
            if isinstance(first, dict):
                first = next(value for value in first.values() if isinstance(value, Tensor))
            else:
                first = first[0]
        grad_fn = first.grad_fn
        if grad_fn is not None:
            for hook in hooks:
                grad_fn.register_hook(_WrappedHook(hook, self))
            self._maybe_warn_non_full_backward_hook(args, result, grad_fn)

    def _maybe_warn_non_full_backward_hook(self, inputs, result, grad_fn) -> None:
        def warn(text):
            warnings.warn(text, FutureWarning, stacklevel=3)

        advice = "Please use register_full_backward_hook to get the documented behavior."
        for values, verb, missing in ((result, "return", "grad_output"), (inputs, "take as input", "grad_input")):
            if not isinstance(values, Tensor) and not (
                isinstance(values, tuple) and all(isinstance(value, Tensor) for value in values)
            ):
                warn(
                    f"Using non-full backward hooks on a Module that does not {verb} a single Tensor or a tuple of "
                    "Tensors is deprecated and will be removed in future versions. This hook will be missing some of "
                    f"the {missing}. {advice}"
                )
                return
        outputs = (result,) if isinstance(result, Tensor) else result
        inputs = (inputs,) if isinstance(inputs, Tensor) else inputs
        nodes = {output.grad_fn for output in outputs if output.grad_fn is not None}
        if len(nodes) == 0 or (len(nodes) == 1 and grad_fn not in nodes):
            warn(
                "Using a non-full backward hook when outputs are nested in python data structure is deprecated and "
                "will be removed in future versions. This hook will be missing some grad_output."
            )
        elif len(nodes) > 1:
            warn(
                "Using a non-full backward hook when outputs are generated by different autograd Nodes is deprecated "
                f"and will be removed in future versions. This hook will be missing some grad_output. {advice}"
            )
        else:
            # One node whose parents are exactly the inputs' nodes gives the whole gradient; anything deeper does not.
            input_nodes = {value.grad_fn for value in inputs if value.grad_fn is not None}
            parents = {parent[0] for parent in grad_fn.next_functions if parent[0] is not None}
            if input_nodes != parents:
                warn(
                    "Using a non-full backward hook when the forward contains multiple autograd Nodes is deprecated "
                    f"and will be removed in future versions. This hook will be missing some grad_input. {advice}"
                )

    def compile(self, *args, **kwargs) -> None:
        """Do nothing: calls are as fast as they get here. Takes any arguments, as PyTorch's compiles with them."""

    # ---- hooks ------------------------------------------------------------------------------------------------------

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False) -> RemovableHandle:
        """Run ``hook(module, args)`` before forward; what it returns, if not None, replaces the arguments.

        Args:
            hook: returns None, a tuple of new arguments, or one value that becomes the only argument.
            prepend: run it before the hooks that are there already.
            with_kwargs: call it as ``hook(module, args, kwargs)``; it returns None or ``(new_args, new_kwargs)``.
        """
        handle = _register(self._forward_pre_hooks, hook, self._forward_pre_hooks_with_kwargs, prepend=prepend)
        if with_kwargs:
            self._forward_pre_hooks_with_kwargs[handle.id] = True
        return handle

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False) -> RemovableHandle:
        """Run ``hook(module, args, output)`` after forward; what it returns, if not None, replaces the output.

        Args:
            prepend: run it before the hooks that are there already.
            with_kwargs: call it as ``hook(module, args, kwargs, output)``.
            always_call: run it also when forward, or another hook, raises; output is then None or unfinished.
        """
        handle = _register(
            self._forward_hooks,
            hook,
            self._forward_hooks_with_kwargs,
            self._forward_hooks_always_called,
            prepend=prepend,
        )
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        return handle

    def _set_backward_kind(self, full: bool) -> None:
        if self._backward_hooks and self._is_full_backward_hook is (not full):
            raise RuntimeError(
                "Cannot use both regular backward hooks and full backward hooks on a single Module. "
                "Please use only one of them."
            )
        self.__dict__["_is_full_backward_hook"] = full

    def register_backward_hook(self, hook) -> RemovableHandle:
        """Register an old-style backward hook, which sees only the last operation of forward.

        Deprecated: use :meth:`register_full_backward_hook`.
        """
        self._set_backward_kind(False)
        return _register(self._backward_hooks, hook)

    def register_full_backward_pre_hook(self, hook, prepend=False, *, nested=False) -> RemovableHandle:
        """Run ``hook(module, grad_output)`` when the gradients of the outputs are known.

        What it returns, if not None, replaces them: a tuple of the same length, or a bare tensor for a single output.
        ``nested`` as in :meth:`register_full_backward_hook`.
        """
        return _register(self._backward_pre_hooks, _NestedHook(hook) if nested else hook, prepend=prepend)

    def register_full_backward_hook(self, hook, prepend=False, *, nested=False) -> RemovableHandle:
        """Run ``hook(module, grad_input, grad_output)`` when the gradients of the inputs are known.

        Both are tuples with one entry per positional argument, or output; None for what is not a tensor. What the hook
        returns, if not None, replaces grad_input for the rest of the backward pass; gradients of parameters stay. If no
        input requires gradient, the hook runs when the gradients of the outputs are known, and must return None.

        Args:
            prepend: run it before the hooks that are there already.
            nested: it also runs for outputs in lists, dictionaries and tuples of any depth, and its ``grad_output`` has
                the structure of the output (ours: without it, as in PyTorch, such outputs only cause a warning).
        """
        self._set_backward_kind(True)
        return _register(self._backward_hooks, _NestedHook(hook) if nested else hook, prepend=prepend)

    def register_state_dict_pre_hook(self, hook) -> RemovableHandle:
        """Run ``hook(module, prefix, keep_vars)`` before this module's part of ``state_dict`` is collected."""
        return _register(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook) -> RemovableHandle:
        """Run ``hook(module, state_dict, prefix, local_metadata)`` after this module and its children are collected.

        It edits ``state_dict`` in place and must return None.
        """
        try:
            hook._from_public_api = True
        except (AttributeError, TypeError):
            # Bound methods and builtins take no attributes; PyTorch fails on them, a wrapper carries the mark here.
            plain = hook

            def hook(module, state_dict, prefix, local_metadata):
                return plain(module, state_dict, prefix, local_metadata)

            hook._from_public_api = True
        return _register(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook) -> RemovableHandle:
        """Like the public one, but what the hook returns, if not None, takes the place of the root's result."""
        if getattr(hook, "_from_public_api", False):
            raise RuntimeError(
                "Cannot register the same function as the state dict post hook that was previously registered via "
                "register_state_dict_post_hook"
            )
        return _register(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook) -> RemovableHandle:
        """Run ``hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)``
        before this module loads; it may rename keys in ``state_dict`` for this module and its children."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(self, hook, with_module=False) -> RemovableHandle:
        return _register(self._load_state_dict_pre_hooks, _WrappedHook(hook, self if with_module else None))

    def register_load_state_dict_post_hook(self, hook) -> RemovableHandle:
        """Run ``hook(module, incompatible_keys)`` after this module and its children have loaded.

        The hook may edit both lists: ``strict`` judges what is left. It must return None.
        """
        return _register(self._load_state_dict_post_hooks, hook)

    # ---- state dict -------------------------------------------------------------------------------------------------

    def _save_to_state_dict(self, destination, prefix, keep_vars) -> None:
        """Write this module's own parameters, persistent buffers and extra state; children are not its business."""
        for name, param in self._parameters.items():
            if param is not None:
                destination[prefix + name] = param if keep_vars else param.detach()
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = buffer if keep_vars else buffer.detach()
        if type(self).get_extra_state is not Module.get_extra_state:
            destination[prefix + _EXTRA_STATE_KEY_SUFFIX] = self.get_extra_state()

    def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
        """All parameters and persistent buffers of the tree, by dotted name, as an ``OrderedDict``.

        The tensors share memory with the module. The attribute ``_metadata`` of the result holds each module's version.

        Args:
            destination: the dictionary to fill, a new one by default.
            prefix: put before every key; give it its trailing dot.
            keep_vars: put in the parameters themselves, not detached tensors.
        Example:
            >>> from rustnn import nn
            >>> list(nn.Linear(2, 1).state_dict())
            ['weight', 'bias']
        """
        if args:
            warnings.warn(
                "Positional args are being deprecated, use kwargs instead. Refer to "
                "https://pytorch.org/docs/main/generated/torch.nn.Module.html#torch.nn.Module.state_dict for details.",
                FutureWarning,
                stacklevel=2,
            )
            if destination is None:
                destination = args[0]
            if len(args) > 1 and prefix == "":
                prefix = args[1]
            if len(args) > 2 and keep_vars is False:
                keep_vars = args[2]
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        if not (self._state_dict_pre_hooks or self._state_dict_hooks) and _core._module_state_dict(
            self, destination, prefix, keep_vars
        ):
            return destination
        local_metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = local_metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=prefix + name + ".", keep_vars=keep_vars)
        for hook in self._state_dict_hooks.values():
            returned = hook(self, destination, prefix, local_metadata)
            if getattr(hook, "_from_public_api", False):
                if returned is not None:
                    raise RuntimeError("state_dict post-hook must return None")
            elif returned is not None:
                destination = returned
        return destination

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        """Load this module's own entries; what does not fit goes into the three lists.

        Args:
            state_dict: the entries below ``prefix`` (more may be there).
            prefix: of this module, with trailing dot.
            local_metadata: what was saved about this module; ``assign_to_params_buffers`` asks for assignment.
            strict: whether to report missing and unexpected keys.
            missing_keys, unexpected_keys, error_msgs: lists to append to.
        """
        for hook in self._load_state_dict_pre_hooks.values():
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)

        local_state = {name: param for name, param in self._parameters.items() if param is not None}
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                local_state.setdefault(name, buffer)
        assign = local_metadata.get("assign_to_params_buffers", False)

        for name, param in local_state.items():
            key = prefix + name
            if key in state_dict:
                self._load_one(name, key, param, state_dict[key], assign, error_msgs)
            elif strict:
                missing_keys.append(key)

        extra_key = prefix + _EXTRA_STATE_KEY_SUFFIX
        if type(self).set_extra_state is not Module.set_extra_state:
            if extra_key in state_dict:
                self.set_extra_state(state_dict[extra_key])
            elif strict:
                missing_keys.append(extra_key)
        elif strict and extra_key in state_dict:
            unexpected_keys.append(extra_key)

        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra_key:
                    head, dot, _ = key[len(prefix) :].partition(".")
                    # Under a submodule that is None nobody takes the key; PyTorch loses it silently.
                    if (self._modules.get(head) is None) if dot else (head not in local_state):
                        unexpected_keys.append(key)

    def _load_one(self, name, key, param, input_param, assign, error_msgs) -> None:
        swap = conversion.get_swap_module_params_on_conversion()
        if not _is_tensor_like(input_param):
            error_msgs.append(
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from '
                f"checkpoint but received {type(input_param)}"
            )
            return
        lazy = is_lazy(param)
        if not lazy:
            # Old files hold one-element vectors where a scalar belongs now.
            if len(param.shape) == 0 and len(input_param.shape) == 1 and input_param.shape[0] == 1:
                input_param = input_param[0]
            if input_param.shape != param.shape:
                message = _SizeMismatch(
                    f"size mismatch for {key}: copying a param with shape {input_param.shape} from checkpoint, "
                    f"the shape in current model is {param.shape}."
                )
                message.mismatch = (key, input_param.shape, param.shape)
                error_msgs.append(message)
                return
            if param.is_meta and not input_param.is_meta and not assign:
                warnings.warn(
                    f"for {key}: copying from a non-meta parameter in the checkpoint to a meta parameter in the "
                    "current model, which is a no-op. (Did you mean to pass `assign=True` to assign items in the state "
                    "dictionary to their corresponding key in the module instead of copying them in place?)",
                    stacklevel=2,
                )
        try:
            with _core.no_grad():
                if swap:
                    _load_swapped(param, input_param, assign)
                    return
                if not assign:
                    param.copy_(input_param)
                    return
                if isinstance(param, Parameter):
                    if isinstance(input_param, Parameter):
                        input_param.requires_grad_(param.requires_grad)
                    else:
                        input_param = Parameter(input_param, requires_grad=param.requires_grad)
                setattr(self, name, input_param)
        except Exception as error:
            error_msgs.append(
                f'While {"swapping" if swap else "copying"} the parameter named "{key}", whose dimensions in the '
                f"model are {param.size()} and "
                f"whose dimensions in the checkpoint are {input_param.size()}, an exception occurred : {error.args}."
            )

    def load_state_dict(self, state_dict, strict=True, assign=False, *, on_mismatch="error", atomic=False):
        """Copy parameters and buffers from a state dict into this module and its children.

        Args:
            state_dict: a mapping from dotted names to tensors.
            strict: the keys must be exactly those of ``self.state_dict()``.
            assign: take the tensors of ``state_dict`` themselves instead of copying their values; an optimizer that was
                built before still holds the old ones.
            on_mismatch: ``"error"`` raises for tensors of another shape, as PyTorch does; ``"skip"`` leaves those
                parameters as they are and lists them in the result's ``mismatched_keys`` (ours, not in PyTorch).
            atomic: if anything is wrong, put everything back as it was before raising (ours, not in PyTorch; needs
                memory for a second copy of the values while loading).
        Returns: a named tuple ``(missing_keys, unexpected_keys)``.
        Raises: RuntimeError listing everything that did not fit; TypeError if ``state_dict`` is not a mapping.
        Example:
            >>> from rustnn import nn
            >>> source, target = nn.Linear(2, 1), nn.Linear(2, 1)
            >>> target.load_state_dict(source.state_dict())
            <All keys matched successfully>
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        if on_mismatch not in ("error", "skip"):
            raise ValueError(f'load_state_dict: on_mismatch must be "error" or "skip", got {on_mismatch!r}')
        metadata = getattr(state_dict, "_metadata", None)
        state_dict = OrderedDict(state_dict)
        if metadata is not None:
            state_dict._metadata = metadata

        keys = _IncompatibleKeys([], [])
        error_msgs: list = []
        undo = _snapshot(self, assign, state_dict) if atomic else None
        try:
            swap = conversion.get_swap_module_params_on_conversion()
            _core._module_load(self, state_dict, metadata, assign, keys, error_msgs, swap)
            if on_mismatch == "skip":
                keys.mismatched_keys = [error.mismatch for error in error_msgs if isinstance(error, _SizeMismatch)]
                error_msgs = [error for error in error_msgs if not isinstance(error, _SizeMismatch)]
            if strict:
                for kind, names in (("Unexpected", keys.unexpected_keys), ("Missing", keys.missing_keys)):
                    if names:
                        listed = ", ".join(f'"{name}"' for name in names)
                        error_msgs.insert(0, f"{kind} key(s) in state_dict: {listed}. ")
            if error_msgs:
                lines = "\n\t".join(error_msgs)
                raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{lines}")
        except BaseException:
            if undo is not None:
                undo()
            raise
        return keys

    # ---- walking the tree -------------------------------------------------------------------------------------------

    def _named_members(self, get_members_fn, prefix="", recurse=True, remove_duplicate=True):
        """Yield ``(name, member)`` for the pairs that ``get_members_fn(module)`` gives, without repeats."""
        seen = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for module_prefix, module in modules:
            for name, member in get_members_fn(module):
                if member is None or member in seen:
                    continue
                if remove_duplicate:
                    seen.add(member)
                yield _join(module_prefix, name), member

    def parameters(self, recurse=True):
        """An iterator over the parameters, each once; only this module's own with ``recurse=False``."""
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """An iterator over ``(dotted name, parameter)``.

        Args:
            prefix: put before every name.
            recurse: go into submodules.
            remove_duplicate: give a shared parameter once, under its first name.
        """
        yield from self._named_members(
            lambda module: module._parameters.items(),
            prefix=prefix,
            recurse=recurse,
            remove_duplicate=remove_duplicate,
        )

    def buffers(self, recurse=True):
        """An iterator over the buffers, each once; only this module's own with ``recurse=False``."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """An iterator over ``(dotted name, buffer)``; the arguments are those of :meth:`named_parameters`."""
        yield from self._named_members(
            lambda module: module._buffers.items(),
            prefix=prefix,
            recurse=recurse,
            remove_duplicate=remove_duplicate,
        )

    def children(self):
        """An iterator over the direct submodules, each once."""
        for _, module in self.named_children():
            yield module

    def named_children(self):
        """An iterator over ``(name, submodule)`` of the direct submodules, each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self, remove_duplicate=True):
        """An iterator over this module and all below it, parents first."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """An iterator over ``(dotted name, module)`` of this module and all below it, parents first.

        Args:
            memo: the set of modules seen already.
            prefix: this module's name.
            remove_duplicate: give a shared module once.
        """
        if memo is None:
            memo = set()
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, _join(prefix, name), remove_duplicate)

    def apply(self, fn):
        """Call ``fn(module)`` for every submodule, children first, and for this module; returns this module.

        Example:
            >>> from rustnn import nn
            >>> net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
            >>> _ = net.apply(lambda m: nn.init.zeros_(m.bias) if isinstance(m, nn.Linear) else None)
            >>> net[1].bias.item()
            0.0
        """
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # ---- conversion -------------------------------------------------------------------------------------------------

    def _apply(self, fn, recurse=True):
        """Replace every parameter, gradient and buffer by ``fn`` of it; returns this module.

        Parameters keep their identity (only ``.data`` changes), so optimizers and ties stay valid; only between the
        meta device and a real one a new parameter is made.
        """
        if recurse:
            for module in self.children():
                module._apply(fn)
        swap = conversion.get_swap_module_params_on_conversion()
        overwrite = conversion.get_overwrite_module_params_on_conversion()
        for name, param in self._parameters.items():
            if param is None:
                continue
            grad = param.grad
            with _core.no_grad():
                applied = fn(param)
            if swap:
                self._apply_swapped(name, param, grad, applied, fn)
                continue
            if applied.is_meta == param.is_meta and not overwrite:
                param.data = applied
                target = param
            else:
                target = self._parameters[name] = Parameter(applied, param.requires_grad)
            if grad is None:
                continue
            with _core.no_grad():
                applied = fn(grad)
            if target.grad is not None and applied.is_meta == grad.is_meta and not overwrite:
                target.grad.data = applied
            else:
                target.grad = applied.requires_grad_(grad.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def _apply_swapped(self, name, param, grad, applied, fn) -> None:
        """Put ``applied`` in the place of a parameter, whose object stays, and ``fn(grad)`` in that of its gradient."""
        path = f"{self._get_name()}.{name}"
        applied = Parameter(applied, requires_grad=param.requires_grad)
        # A gradient is held by its parameter too, and what others hold cannot be swapped.
        param.grad = None
        try:
            swap_tensors(param, applied)
        except Exception as error:
            param.grad = grad
            raise RuntimeError(f"_apply(): Couldn't swap {path}") from error
        if grad is None:
            return
        with _core.no_grad():
            applied = fn(grad)
        applied.requires_grad_(grad.requires_grad)
        try:
            swap_tensors(grad, applied)
        except Exception as error:
            raise RuntimeError(f"_apply(): Couldn't swap {path}.grad") from error
        param.grad = grad

    def to(self, *args, **kwargs):
        """Move parameters and buffers to a device and/or cast the floating point ones, in place; returns this module.

        ``to(device=None, dtype=None, non_blocking=False)``, ``to(dtype)``, ``to(tensor)``, each also with
        ``memory_format=`` (used for 4-D and 5-D tensors).

        Raises: TypeError for a dtype that is neither floating point nor complex; NotImplementedError when leaving the
            meta device, which has no values to move (use :meth:`to_empty`).
        Example:
            >>> import rustnn
            >>> rustnn.nn.Linear(2, 2).to(rustnn.float64).weight.dtype
            torch.float64
        """
        device, dtype, non_blocking, memory_format = _parse_to(args, kwargs)
        if dtype is not None:
            if not (dtype.is_floating_point or dtype.is_complex):
                raise TypeError(
                    f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={dtype}"
                )
            if dtype.is_complex:
                warnings.warn(
                    "Complex modules are a new feature under active development whose design may change, and some "
                    "modules might not work as expected when using complex tensors as parameters or buffers. Please "
                    "file an issue at https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml if a "
                    "complex module does not work as expected.",
                    stacklevel=2,
                )

        def convert(tensor):
            options = {}
            if device is not None:
                options["device"] = device
            if dtype is not None and (tensor.is_floating_point() or tensor.is_complex()):
                options["dtype"] = dtype
            if memory_format is not None and tensor.dim() in (4, 5):
                options["memory_format"] = memory_format
            if not options:
                return tensor
            try:
                return tensor.to(non_blocking=non_blocking, **options)
            except NotImplementedError as error:
                if str(error) == "Cannot copy out of meta tensor; no data!":
                    raise NotImplementedError(
                        f"{error} Please use torch.nn.Module.to_empty() instead of torch.nn.Module.to() when moving "
                        "module from meta to a different device."
                    ) from None
                raise

        return self._apply(convert)

    def to_empty(self, *, device, recurse=True):
        """Move parameters and buffers to ``device`` with uninitialised values; returns this module."""
        return self._apply(lambda tensor: _core.empty_like(tensor, device=device), recurse=recurse)

    def type(self, dst_type):
        """Cast all parameters and buffers, integers too, to ``dst_type``; returns this module."""
        return self._apply(lambda tensor: tensor.type(dst_type))

    def float(self):
        """Cast floating point parameters and buffers to float32; returns this module."""
        return self._apply(lambda tensor: tensor.float() if tensor.is_floating_point() else tensor)

    def double(self):
        """Cast floating point parameters and buffers to float64; returns this module."""
        return self._apply(lambda tensor: tensor.double() if tensor.is_floating_point() else tensor)

    def half(self):
        """Cast floating point parameters and buffers to float16; returns this module."""
        return self._apply(lambda tensor: tensor.half() if tensor.is_floating_point() else tensor)

    def bfloat16(self):
        """Cast floating point parameters and buffers to bfloat16; returns this module."""
        return self._apply(lambda tensor: tensor.bfloat16() if tensor.is_floating_point() else tensor)

    def cpu(self):
        """Move parameters and buffers to the CPU; returns this module."""
        return self._apply(lambda tensor: tensor.cpu())

    def _to_kind(self, kind, device):
        if device is None:
            device = kind
        elif isinstance(device, int):
            device = f"{kind}:{device}"
        return self._apply(lambda tensor: tensor.to(device))

    def cuda(self, device=None):
        """Move parameters and buffers to a CUDA device; raises RuntimeError where there is none."""
        return self._apply(lambda tensor: tensor.cuda(device))

    def xpu(self, device=None):
        """Move parameters and buffers to an XPU device; raises RuntimeError where there is none."""
        return self._to_kind("xpu", device)

    def ipu(self, device=None):
        """Move parameters and buffers to an IPU device; raises RuntimeError where there is none."""
        return self._to_kind("ipu", device)

    def mtia(self, device=None):
        """Move parameters and buffers to an MTIA device; raises RuntimeError where there is none."""
        return self._to_kind("mtia", device)

    def share_memory(self):
        """Move parameters and buffers into memory that other processes can map; returns this module."""
        return self._apply(lambda tensor: tensor.share_memory_())

    # ---- mode and gradients -----------------------------------------------------------------------------------------

    def train(self, mode=True):
        """Set training mode (dropout on, batch statistics used) here and below; returns this module.

        Raises: ValueError if ``mode`` is not a bool.
        """
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """Set evaluation mode, the same as ``train(False)``; returns this module."""
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        """Say for all parameters whether gradients are wanted; returns this module."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True) -> None:
        """Drop the gradients of all parameters, or set them to zero with ``set_to_none=False``."""
        if getattr(self, "_is_replica", False):
            warnings.warn(
                "Calling .zero_grad() from a module created with nn.DataParallel() has no effect. The parameters are "
                "copied (in a differentiable manner) from the original module. This means they are not leaf nodes in "
                "autograd and so don't accumulate gradients. If you need gradients in your forward method, consider "
                "using autograd.grad instead.",
                stacklevel=2,
            )
        for param in self.parameters():
            grad = param.grad
            if grad is None:
                continue
            if set_to_none:
                param.grad = None
            else:
                if grad.grad_fn is not None:
                    grad.detach_()
                else:
                    grad.requires_grad_(False)
                grad.zero_()

    # ---- text, copies, pickles --------------------------------------------------------------------------------------

    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What ``repr`` shows between the parentheses; one line or several."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        child_lines = [f"({name}): {_indent(repr(module))}" for name, module in self._modules.items()]
        lines = extra_lines + child_lines
        if not lines:
            return f"{self._get_name()}()"
        if len(extra_lines) == 1 and not child_lines:
            return f"{self._get_name()}({extra_lines[0]})"
        body = "\n  ".join(lines)
        # Children come indented once already, the frame indents them once more.
        return f"{self._get_name()}(\n  {body}\n)"

    def __deepcopy__(self, memo):
        import copy

        cls = type(self)
        for name in _COPIED_AS_MODULE:
            if getattr(cls, name) is not getattr(Module, name) or name in self.__dict__:
                break
        else:
            if (
                cls not in copy.dispatch_table
                and not hasattr(cls, "__getnewargs_ex__")
                and not hasattr(cls, "__getnewargs__")
            ):
                return self._copy_deeply(copy.deepcopy, memo)
        # As copy.deepcopy does for classes without this method.
        reductor = copy.dispatch_table.get(cls)
        reduced = reductor(self) if reductor is not None else self.__reduce_ex__(4)
        return self if isinstance(reduced, str) else copy._reconstruct(self, memo, *reduced)

    def _copy_deeply(self, deepcopy, memo):
        twin = memo[id(self)] = object.__new__(type(self))
        state = twin.__dict__
        for key, value in self.__dict__.items():
            kind = type(value)
            if kind in _COPIED_AS_THEY_ARE:
                state[key] = value
            elif kind is dict or kind is OrderedDict or kind is set:
                known = memo.get(id(value))
                if known is not None:
                    state[key] = known
                elif not value:
                    # Most registries of hooks.
                    state[key] = memo[id(value)] = kind()
                elif kind is dict:
                    copied = state[key] = memo[id(value)] = {}
                    for name, item in value.items():
                        copied[name] = item.__deepcopy__(memo) if type(item) is Parameter else deepcopy(item, memo)
                else:
                    state[key] = deepcopy(value, memo)
            elif key != "_compiled_call_impl":
                state[key] = deepcopy(value, memo)
        return twin

    def __getstate__(self):
        state = self.__dict__.copy()
        state.pop("_compiled_call_impl", None)
        return state

    def __setstate__(self, state) -> None:
        self.__dict__.update(state)
        # Registries that pickles of older versions do not have.
        for name in (
            "_forward_pre_hooks",
            "_forward_pre_hooks_with_kwargs",
            "_forward_hooks_with_kwargs",
            "_forward_hooks_always_called",
            "_state_dict_hooks",
            "_state_dict_pre_hooks",
            "_load_state_dict_pre_hooks",
            "_load_state_dict_post_hooks",
            "_backward_pre_hooks",
        ):
            if name not in self.__dict__:
                self.__dict__[name] = OrderedDict()
        self.__dict__.setdefault("_non_persistent_buffers_set", set())
        self.__dict__.setdefault("_is_full_backward_hook", None)

    def _replicate_for_data_parallel(self):
        replica = type(self).__new__(type(self))
        replica.__dict__ = self.__dict__.copy()
        # A replica's parameters are computed tensors, set as attributes by whoever replicates.
        replica._parameters = {}
        replica._buffers = replica._buffers.copy()
        replica._modules = replica._modules.copy()
        replica._is_replica = True
        return replica


_core._set_module_classes(Module, Parameter)


def _load_swapped(param, given, assign) -> None:
    """Swap a parameter or buffer with what its ``module_load`` makes of a state dict's entry."""
    loaded = param.module_load(given, assign=assign)
    if loaded is given or loaded is param:
        raise RuntimeError(
            "module_load returned one of self or other, please .detach() the result if returning one of the inputs in "
            "module_load"
        )
    if isinstance(param, Parameter):
        if isinstance(loaded, Parameter):
            loaded.requires_grad_(param.requires_grad)
        else:
            loaded = Parameter(loaded, requires_grad=param.requires_grad)
    swap_tensors(param, loaded)


def _snapshot(module, assign, given):
    """Remember the tree's tensors and extra states, and which of the ``given`` parameters want gradients; returns a
    function that puts everything back."""
    registries = []
    values = {}
    lazy = {}
    extra = []
    for part in module.modules():
        registries.append((part._parameters, dict(part._parameters)))
        registries.append((part._buffers, dict(part._buffers)))
        overridden = type(part).get_extra_state is not Module.get_extra_state
        if overridden and type(part).set_extra_state is not Module.set_extra_state:
            import copy

            extra.append((part, copy.deepcopy(part.get_extra_state())))
        for tensor in (*part._parameters.values(), *part._buffers.values()):
            if tensor is None:
                continue
            if is_lazy(tensor):
                lazy[id(tensor)] = (tensor, type(tensor), tensor.data)
            elif not tensor.is_meta and id(tensor) not in values:
                # Assigning replaces tensors instead of writing into them: keeping the old ones is enough.
                values[id(tensor)] = (tensor, None if assign else tensor.detach().clone())
    wanting = [(value, value.requires_grad) for value in given.values() if isinstance(value, Parameter)]

    def undo():
        for registry, saved in registries:
            registry.clear()
            registry.update(saved)
        with _core.no_grad():
            for tensor, saved in values.values():
                if saved is not None:
                    tensor.copy_(saved)
            for tensor, kind, data in lazy.values():
                tensor.data = data
                tensor.__class__ = kind
        for part, state in extra:
            part.set_extra_state(state)
        for param, requires_grad in wanting:
            param.requires_grad_(requires_grad)

    return undo
