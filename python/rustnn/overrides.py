"""``__torch_function__`` from the outside: which functions call it, and how functions written in Python do.

A class with a class method ``__torch_function__(cls, func, types, args=(), kwargs=None)`` is asked in place of any
function that one of its objects is given to."""

import warnings
from contextlib import contextmanager
from functools import cache, wraps
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType

from . import _core
from ._core import Tensor
from ._tensor import _disabled_torch_function_impl, _torch_function

__all__ = [
    "BaseTorchFunctionMode",
    "TorchFunctionMode",
    "get_default_nowrap_functions",
    "get_ignored_functions",
    "get_overridable_functions",
    "get_testing_overrides",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "is_tensor_like",
    "is_tensor_method_or_property",
    "resolve_name",
    "wrap_torch_function",
]


def _overrides(value):
    cls = type(value)
    if cls is Tensor:
        return False
    found = getattr(cls, "__torch_function__", None)
    if found is None or found is _disabled_torch_function_impl:
        return False
    return not (
        isinstance(value, _core.Tensor) and getattr(found, "__func__", None) is _torch_function and _is_plain(cls)
    )


def _is_plain(cls):
    """A class that calls need not ask: the core knows it."""
    return cls.__name__ == "Parameter" and cls.__module__.startswith(__package__)


def has_torch_function(relevant_args):
    """Whether one of some arguments has a ``__torch_function__`` of its own, or a mode is on."""
    return _core._len_torch_function_stack() > 0 or any(map(_overrides, relevant_args))


def has_torch_function_unary(arg):
    """:func:`has_torch_function` of one argument."""
    return has_torch_function((arg,))


def has_torch_function_variadic(*args):
    """:func:`has_torch_function` of the arguments."""
    return has_torch_function(args)


def handle_torch_function(public_api, relevant_args, *args, **kwargs):
    """What the ``__torch_function__`` of one of the relevant arguments returns, subclasses first.

    Args:
        public_api: the function in whose place they are called.
        relevant_args: the arguments that may have one.
        args, kwargs: of the call.
    Raises: TypeError if all return NotImplemented.
    """
    found = []
    for value in relevant_args:
        cls = type(value)
        if not _overrides(value) or cls in found:
            continue
        place = next((i for i, other in enumerate(found) if issubclass(cls, other)), len(found))
        found.insert(place, cls)
    if _core._len_torch_function_stack():
        with _pop_mode_temporarily() as mode:
            result = mode.__torch_function__(public_api, tuple(found), args, kwargs)
        if result is not NotImplemented:
            return result
    for cls in found:
        result = cls.__torch_function__(public_api, tuple(found), args, kwargs)
        if result is not NotImplemented:
            return result
    name = f"{public_api.__module__}.{public_api.__name__}"
    raise TypeError(
        f"no implementation found for '{name}' on types that implement __torch_function__: "
        f"{[cls.__name__ for cls in found]}"
    )


def wrap_torch_function(dispatcher):
    """A decorator: the function asks the arguments that ``dispatcher`` returns before it runs itself."""

    def decorate(function):
        @wraps(function)
        def wrapped(*args, **kwargs):
            relevant = dispatcher(*args, **kwargs)
            if has_torch_function(relevant):
                return handle_torch_function(wrapped, relevant, *args, **kwargs)
            return function(*args, **kwargs)

        return wrapped

    return decorate


def is_tensor_like(inp):
    """Whether a value is a tensor, or of a class with ``__torch_function__``."""
    return type(inp) is Tensor or hasattr(inp, "__torch_function__")


@cache
def get_default_nowrap_functions():
    """What a subclass's results are not made of: attributes that are no results of ops."""
    return {Tensor._base.__get__, Tensor.grad.__get__}


def _places():
    from . import functional, linalg, nn, special

    return (
        (_core, "torch"),
        (functional, "torch.functional"),
        (nn.functional, "torch.nn.functional"),
        (Tensor, "torch.Tensor"),
        (linalg, "torch.linalg"),
        (special, "torch.special"),
    )


_CALLABLE = (BuiltinFunctionType, FunctionType, MethodDescriptorType)


@cache
def _named_functions():
    found = {}
    for place, prefix in _places():
        for name in dir(place):
            value = getattr(place, name, None)
            if not name.startswith("_") and isinstance(value, _CALLABLE):
                found.setdefault(value, f"{prefix}.{name}")
    return found


def get_overridable_functions():
    """A dictionary from each place to the functions there that ask ``__torch_function__``."""
    named = _named_functions()
    return {place: [f for f, name in named.items() if name.startswith(f"{prefix}.")] for place, prefix in _places()}


def get_ignored_functions():
    """The functions that do not ask, since they take no tensors or make new ones."""
    names = """arange as_tensor empty empty_strided eye from_numpy full get_default_dtype is_grad_enabled is_tensor
        linspace logspace manual_seed ones rand randint randn randperm tensor zeros set_default_dtype
        set_grad_enabled""".split()
    return {getattr(_core, name) for name in names if hasattr(_core, name)}


def get_testing_overrides():
    """A dictionary from each function that asks to a function of the same parameters that returns -1."""
    return dict.fromkeys(_named_functions(), lambda *args, **kwargs: -1)


def resolve_name(f):
    """The name of a function as a program would write it, or None."""
    try:
        return _named_functions().get(f)
    except TypeError:
        return None


def is_tensor_method_or_property(func):
    """Whether a function is a method of ``Tensor``, or the getter of an attribute."""
    return getattr(func, "__name__", None) == "__get__" or isinstance(func, MethodDescriptorType)


class TorchFunctionMode:
    """A context in which every function of the package asks this object first.

    A subclass has a method ``__torch_function__(self, func, types, args=(), kwargs=None)``; what it returns is the
    call's result, NotImplemented leaves the call to the arguments. While it runs the mode is off, the ones around it
    are on. Asked are the native functions, the methods and operators; functions that are written in Python ask by those
    they call.

    Example:
        >>> class Names(rustnn.overrides.TorchFunctionMode):
        ...     def __torch_function__(self, func, types, args=(), kwargs=None):
        ...         print(func.__name__)
        ...         return func(*args, **(kwargs or {}))
        >>> with Names():
        ...     x = rustnn.ones(2) + 1
        ones
        add
    """

    inner = None  # PyTorch's name for the mode around this one

    def __init__(self):
        pass

    def __torch_function__(self, func, types, args=(), kwargs=None):
        raise NotImplementedError

    def __enter__(self):
        _core._push_on_torch_function_stack(self)
        return self

    def __exit__(self, *exception):
        _core._pop_torch_function_stack()

    @classmethod
    def push(cls, *args, **kwargs):
        """The mode itself; deprecated in PyTorch, too."""
        warnings.warn("`Mode.push()` is no longer necessary and can be replaced with just `with Mode()`", stacklevel=2)
        return cls(*args, **kwargs)


class BaseTorchFunctionMode(TorchFunctionMode):
    """A mode that runs the function."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        return func(*args, **({} if kwargs is None else kwargs))


def _get_current_function_mode():
    """The innermost mode, or None."""
    depth = _core._len_torch_function_stack()
    return _core._get_function_stack_at(depth - 1) if depth else None


def _get_current_function_mode_stack():
    """All modes, the innermost last."""
    return [_core._get_function_stack_at(level) for level in range(_core._len_torch_function_stack())]


@contextmanager
def _pop_mode_temporarily():
    """Inside, the innermost mode is off."""
    mode = _core._pop_torch_function_stack()
    try:
        yield mode
    finally:
        _core._push_on_torch_function_stack(mode)
