"""Switches for recording: context managers that are decorators too (of generators as well)."""

import warnings
from functools import partial, wraps

from .. import _core

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled", "set_multithreading_enabled"]

_CO_GENERATOR = 0x20  # flag of a code object; asking inspect would import it


def _is_generator_function(function):
    while isinstance(function, partial):
        function = function.func
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and bool(code.co_flags & _CO_GENERATOR)


def _wrap_generator(make_context, function):
    """A generator is suspended between its values, so the mode is entered on every resumption and left at every
    yield."""

    @wraps(function)
    def generator(*args, **kwargs):
        inner = function(*args, **kwargs)
        resume, value = inner.send, None
        while True:
            try:
                with make_context():
                    result = resume(value)
            except StopIteration as stop:
                return stop.value
            try:
                resume, value = inner.send, (yield result)
            except GeneratorExit:
                with make_context():
                    inner.close()
                raise
            except BaseException as error:
                resume, value = inner.throw, error

    return generator


class _GradMode:
    """What the modes share: each use as a decorator makes a fresh context per call."""

    def clone(self):
        """A fresh context of the same mode."""
        return type(self)()

    def __call__(self, function):
        if isinstance(function, type):
            warnings.warn(
                "Decorating classes is deprecated and will be disabled in "
                "future versions. You should only decorate functions or methods. "
                "To preserve the current behavior of class decoration, you can "
                "directly decorate the `__init__` method and nothing else.",
                FutureWarning,
                stacklevel=2,
            )

            def construct(*args, **kwargs):
                return function(*args, **kwargs)

            return self(construct)
        make_context = self.clone
        if _is_generator_function(function):
            return _wrap_generator(make_context, function)

        @wraps(function)
        def wrapped(*args, **kwargs):
            with make_context():
                return function(*args, **kwargs)

        return wrapped


class no_grad(_GradMode):
    """Record nothing: results of operations inside do not require gradients.

    Example:
        >>> x = rustnn.ones(1, requires_grad=True)
        >>> with rustnn.no_grad():
        ...     y = 2 * x
        >>> y.requires_grad
        False
    """

    def __new__(cls, function=None):  # so that @no_grad does as well as @no_grad()
        mode = super().__new__(cls)
        return mode if function is None else mode(function)

    def __enter__(self):
        self.prev = _core.is_grad_enabled()
        _core._set_grad_enabled(False)

    def __exit__(self, exc_type, exc_value, traceback):
        _core._set_grad_enabled(self.prev)


class enable_grad(_GradMode):
    """Record again inside a :class:`no_grad`.

    Example:
        >>> x = rustnn.ones(1, requires_grad=True)
        >>> with rustnn.no_grad(), rustnn.enable_grad():
        ...     y = 2 * x
        >>> y.requires_grad
        True
    """

    def __new__(cls, function=None):
        mode = super().__new__(cls)
        return mode if function is None else mode(function)

    def __enter__(self):
        self.prev = _core.is_grad_enabled()
        _core._set_grad_enabled(True)

    def __exit__(self, exc_type, exc_value, traceback):
        _core._set_grad_enabled(self.prev)


class set_grad_enabled(_GradMode):
    """Record or not as ``mode`` says; works as a plain call, as a context manager and as a decorator.

    Example:
        >>> with rustnn.set_grad_enabled(False):
        ...     rustnn.is_grad_enabled()
        False
    """

    def __init__(self, mode):
        self.prev = _core.is_grad_enabled()
        self.mode = mode
        _core._set_grad_enabled(mode)

    def __call__(self, function):
        _core._set_grad_enabled(self.prev)  # a decorator acts when its function is called, not when it is written
        return super().__call__(function)

    def __enter__(self):
        _core._set_grad_enabled(self.mode)

    def __exit__(self, exc_type, exc_value, traceback):
        _core._set_grad_enabled(self.prev)

    def __repr__(self):
        return f"{type(self).__module__}.{type(self).__qualname__}(mode={self.mode})"

    def clone(self):
        """A fresh context of the same mode."""
        return type(self)(self.mode)


class inference_mode(_GradMode):
    """Like :class:`no_grad`, and tensors made inside can never take part in recorded operations later.

    Args:
        mode: whether to switch the mode on or off; ``@inference_mode`` without parentheses works too.
    """

    def __new__(cls, mode=True):
        context = super().__new__(cls)
        if isinstance(mode, bool):
            return context
        context.__init__()
        return context(mode)

    def __init__(self, mode=True):
        self.mode = mode

    def __enter__(self):
        self.prev = _core.is_inference_mode_enabled(), _core.is_grad_enabled()
        _core._set_inference_mode(self.mode)
        _core._set_grad_enabled(not self.mode)

    def __exit__(self, exc_type, exc_value, traceback):
        inference, grad = self.prev
        _core._set_inference_mode(inference)
        _core._set_grad_enabled(grad)

    def clone(self):
        """A fresh context of the same mode."""
        return type(self)(self.mode)


class set_multithreading_enabled(_GradMode):
    """Accepted for torch programs: a backward pass here runs on the calling thread, its kernels on all threads."""

    def __init__(self, mode):
        self.mode = mode

    def __enter__(self):
        pass

    def __exit__(self, exc_type, exc_value, traceback):
        pass

    def clone(self):
        """A fresh context of the same mode."""
        return type(self)(self.mode)
