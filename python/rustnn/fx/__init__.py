"""Graphs of modules are not taken here: what marks functions for tracing is accepted, what traces raises."""

__all__ = ["Graph", "GraphModule", "Interpreter", "Node", "Proxy", "Tracer", "Transformer", "symbolic_trace", "wrap"]


def wrap(fn_or_name):
    """The function itself, or the name: there is no tracing that would have to leave it alone.

    Raises: RuntimeError for what is neither."""
    if not callable(fn_or_name) and not isinstance(fn_or_name, str):
        raise RuntimeError("Unsupported type for global function! Must be either a callable or string name")
    return fn_or_name


def _refused(name):
    class Refused:
        """Raises NotImplementedError when made: there is no tracing."""

        def __init__(self, *args, **kwargs):
            raise NotImplementedError(f"fx.{name}: rustnn takes no graphs of Python code")

    Refused.__name__ = Refused.__qualname__ = name
    return Refused


Graph, GraphModule, Interpreter, Node, Proxy, Tracer, Transformer = map(_refused, __all__[:7])


def symbolic_trace(root, concrete_args=None):
    """Raises NotImplementedError: there is no tracing."""
    raise NotImplementedError("fx.symbolic_trace: rustnn takes no graphs of Python code")
