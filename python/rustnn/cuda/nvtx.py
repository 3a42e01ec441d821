"""NVIDIA's marks for profilers: no profiler listens, as on a machine that has none."""

from contextlib import contextmanager

__all__ = ["mark", "range", "range_end", "range_pop", "range_push", "range_start"]


def range_push(msg):
    """Begin a span; -2: nobody counts how deep they nest."""
    return -2


def range_pop():
    """End the last span that was begun; -2, as :func:`range_push`."""
    return -2


def range_start(msg):
    """Begin a span that another thread may end; 0, its number."""
    return 0


def range_end(range_id):
    """End the span of this number."""


def mark(msg):
    """Mark a moment."""


@contextmanager
def range(msg, *args, **kwargs):
    """A context, or a decorator, that is a span; its name is ``msg.format(*args, **kwargs)``."""
    range_push(msg.format(*args, **kwargs))
    try:
        yield
    finally:
        range_pop()
