"""PyTorch's compiler is not here: ops run as they are called, so ``compile`` has nothing to do."""

__all__ = ["allow_in_graph", "compile", "cudagraph_mark_step_begin", "disable", "is_compiling", "is_dynamo_compiling"]
__all__ += ["assume_constant_result", "is_exporting", "list_backends", "nested_compile_region", "reset", "set_stance"]
__all__ += ["substitute_in_graph", "wrap_numpy"]


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


def assume_constant_result(fn):
    """The function itself."""
    return fn


def nested_compile_region(fn=None):
    """The function itself; without one, a decorator."""
    return fn if fn is not None else lambda function: function


def substitute_in_graph(original_fn, *, can_constant_fold_through=False, skip_signature_check=False):
    """A decorator that returns the function itself."""
    return lambda function: function


def wrap_numpy(fn):
    """The function itself: NumPy's functions run as they are."""
    return fn


class set_stance:
    """How much to compile: accepted as a call, a context or a decorator, and changes nothing."""

    def __init__(self, stance="default", **options):
        self.stance = stance

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return False

    def __call__(self, fn):
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
