"""TorchScript is not here: what a program scripts stays the Python it was; traces and script files raise."""

import typing

__all__ = """
    Final annotate export fork freeze ignore interface is_scripting is_tracing isinstance load optimize_for_inference
    save script script_if_tracing set_fusion_strategy trace trace_module unused wait
    RecursiveScriptModule ScriptFunction ScriptModule TracerWarning TracingCheckError
""".split()

Final = typing.Final  # of attributes that TorchScript would take for constants


def _overload(func):
    """The function itself."""
    return func


_overload_method = _overload


def script(obj=None, optimize=None, _frames_up=0, _rcb=None, example_inputs=None):
    """The function, class or module itself; without one, a decorator. It has no ``save``."""
    return obj if obj is not None else lambda function: function


def script_if_tracing(fn):
    """The function itself."""
    return fn


_script_if_tracing = script_if_tracing


def export(fn):
    """The function itself."""
    return fn


def interface(obj):
    """The class itself."""
    return obj


def ignore(drop=False, **kwargs):
    """The function itself; with an option, a decorator."""
    return drop if callable(drop) else lambda function: function


def unused(fn):
    """The function itself."""
    return fn


def freeze(mod, preserved_attrs=None, optimize_numerics=True):
    """The module itself.

    Raises: RuntimeError if it is in training mode.
    """
    if mod.training:
        raise RuntimeError(
            "Freezing is currently only implemented for modules in eval mode. Please call .eval() on your module "
            "before freezing."
        )
    return mod


def optimize_for_inference(mod, other_methods=None):
    """The module itself."""
    return mod


def is_scripting():
    """Whether this runs inside TorchScript: never."""
    return False


def is_tracing():
    """Whether a trace is being recorded: never."""
    return False


def annotate(the_type, the_value):
    """The value itself."""
    return the_value


def isinstance(obj, target_type):
    """Whether an object is of a type or of one in a tuple."""
    import builtins

    return builtins.isinstance(obj, target_type)


def fork(func, *args, **kwargs):
    """What the function returns: it is called at once."""
    return func(*args, **kwargs)


def wait(future):
    """What :func:`fork` returned."""
    return future


def set_fusion_strategy(strategy):
    """Accepted for compatibility: there is nothing to fuse. Returns the former strategy: none."""
    return []


def _refused(name):
    def function(*args, **kwargs):
        raise NotImplementedError(f"jit.{name}: rustnn has no TorchScript; keep the module and its state dict")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Raises NotImplementedError: there is no TorchScript."
    return function


load, save, trace, trace_module = map(_refused, ("load", "save", "trace", "trace_module"))


def script_method(fn):
    """The method itself."""
    return fn


def enable_onednn_fusion(enabled):
    """Accepted for compatibility: there is nothing to fuse."""


def onednn_fusion_enabled():
    """Whether graphs are fused: never."""
    return False


class TracerWarning(Warning):
    """What a trace would warn of."""


class TracingCheckError(Exception):
    """What checking a trace would raise."""


class ScriptFunction:
    """The class of compiled functions, of which there are none."""


def __getattr__(name):
    # Made on demand: `nn` is not imported for the names alone.
    if name not in ("ScriptModule", "RecursiveScriptModule"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ..nn import Module

    class ScriptModule(Module):
        """A module; the base of classes that programs write for TorchScript. Nothing is compiled."""

    class RecursiveScriptModule(ScriptModule):
        """The class of compiled modules, of which there are none."""

    globals().update(ScriptModule=ScriptModule, RecursiveScriptModule=RecursiveScriptModule)
    return globals()[name]


class _Structure:
    """How :func:`_flatten` found tensors nested."""

    def __init__(self, description):
        self._description = description

    def __repr__(self):
        return f"IODescriptor({self._description})"


def _flatten(value):
    """(the tensors in nested tuples, lists and dictionaries, in order; how they were nested).

    Raises: RuntimeError for anything else in them.
    """
    import builtins

    from .. import _core

    found = []

    def walk(part):
        if type(part) is tuple or type(part) is list:
            return type(part)(map(walk, part))
        if type(part) is dict:
            return {key: walk(inner) for key, inner in part.items()}
        if not builtins.isinstance(part, _core.Tensor):
            raise RuntimeError(
                "Only tuples, lists and Variables are supported as JIT inputs/outputs. Dictionaries and strings are "
                "also accepted, but their usage is not recommended. Here, received an input of unsupported type: "
                f"{type(part).__name__}"
            )
        found.append(part)
        return "v"

    structure = _Structure(walk(value))
    return found, structure
