"""Conditions that programs state: ``torch._check`` and its kin."""

from . import _core

__all__ = []


def _raise_unless(error, condition, message):
    if not isinstance(condition, bool):
        raise TypeError(f"cond must be a bool, but got {type(condition)}")
    if condition:
        return
    if message is None:
        text = (
            "Expected cond to be True, but got False. (Could this error message be improved? If so, please report it.)"
        )
    elif callable(message):
        text = str(message())
    else:
        raise TypeError("message must be a callable")
    raise error(text)


def _check(cond, message=None):
    """Raises RuntimeError with what ``message()`` returns unless the condition holds."""
    _raise_unless(RuntimeError, cond, message)


def _check_index(cond, message=None):
    """As :func:`_check` with IndexError."""
    _raise_unless(IndexError, cond, message)


def _check_value(cond, message=None):
    """As :func:`_check` with ValueError."""
    _raise_unless(ValueError, cond, message)


def _check_type(cond, message=None):
    """As :func:`_check` with TypeError."""
    _raise_unless(TypeError, cond, message)


def _check_not_implemented(cond, message=None):
    """As :func:`_check` with NotImplementedError."""
    _raise_unless(NotImplementedError, cond, message)


def _check_with(error_type, cond, message):
    """As :func:`_check` with an exception of the caller's."""
    _raise_unless(error_type, cond, message)


def _check_is_size(i, message=None, *, max=None):
    """Raises RuntimeError for a negative number, or one above ``max``."""
    _check(i >= 0 and (max is None or i <= max), message)


def _check_tensor_all(cond, message=None):
    """As :func:`_check` for a bool tensor all of whose elements must hold."""
    if not isinstance(cond, _core.Tensor):
        raise TypeError(f"cond must be a tensor, but got {type(cond)}")
    if cond.dtype != _core.bool:
        raise TypeError(f"cond tensor must have dtype torch.bool, but got {cond.dtype}")
    _raise_unless(RuntimeError, bool(cond.all()), message)


def _assert(condition, message):
    """``assert`` as a function."""
    assert condition, message
