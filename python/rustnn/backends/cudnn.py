"""Switches of cuDNN, which is not here: they are remembered and change nothing."""

import functools

__all__ = ["allow_tf32", "benchmark", "benchmark_limit", "deterministic", "enabled", "flags", "is_available", "version"]

enabled, deterministic, benchmark, benchmark_limit, allow_tf32 = True, False, False, 10, True


def is_available():
    """Whether there is a cuDNN: no."""
    return False


def version():
    """Its version: None."""
    return


class flags:
    """A context in which the switches have other values."""

    def __init__(self, enabled=False, benchmark=False, benchmark_limit=10, deterministic=False, allow_tf32=True):
        self._values = {
            "enabled": enabled,
            "benchmark": benchmark,
            "benchmark_limit": benchmark_limit,
            "deterministic": deterministic,
            "allow_tf32": allow_tf32,
        }

    def __enter__(self):
        self._before = {name: globals()[name] for name in self._values}
        globals().update(self._values)

    def __exit__(self, *_):
        globals().update(self._before)

    def __call__(self, function):
        @functools.wraps(function)
        def inside(*args, **kwargs):
            with self:
                return function(*args, **kwargs)

        return inside
