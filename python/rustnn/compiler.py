"""PyTorch's compiler is not here: ops run as they are called, so ``compile`` has nothing to do."""

__all__ = ["allow_in_graph", "compile", "cudagraph_mark_step_begin", "disable", "is_compiling", "is_dynamo_compiling"]
__all__ += ["is_exporting", "list_backends", "reset"]


def compile(
    model=None, *, fullgraph=False, dynamic=None, backend="inductor", mode=None, options=None, disable=False, **_
):
    """The module or function itself; without one, a decorator that returns what it decorates.

    PyTorch's wraps a module, so that the names in its state dict begin with ``_orig_mod.``; here they stay.

    Raises: RuntimeError if both mode and options are given.
    """
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified at the same time.")
    return model if model is not None else lambda function: function


def disable(fn=None, recursive=True, *, reason=None):
    """The function itself; without one, a decorator."""
    return fn if fn is not None else lambda function: function


def allow_in_graph(fn):
    """The function itself."""
    return fn


def is_compiling():
    """Whether this runs inside a compiler: never."""
    return False


is_dynamo_compiling = is_exporting = is_compiling


def list_backends(exclude_tags=()):
    """The compilers: none."""
    return []


def reset():
    """Nothing is kept."""


def cudagraph_mark_step_begin():
    """Nothing is recorded."""
