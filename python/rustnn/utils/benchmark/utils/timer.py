"""How long a statement takes."""

import enum
import itertools
import textwrap
import timeit
from timeit import default_timer as timer

from .common import Measurement, TaskSpec, set_torch_threads

__all__ = ["Language", "Timer", "timer"]


class Language(enum.Enum):
    """What a statement is written in."""

    PYTHON = 0
    CPP = 1


class Timer:
    """Measures a statement, warmed up and with a set number of threads.

    Args:
        stmt, setup: code; ``setup`` runs once before each measurement.
        global_setup: for C++ only.
        timer: a function that returns seconds.
        globals: the names that the code sees, beside ``torch``.
        label, sub_label, description, env: what :class:`Compare` sorts by.
        num_threads: how many threads ops use meanwhile: 1 by default.
        language: Python; C++ raises NotImplementedError.

    Example:
        >>> from rustnn.utils import benchmark
        >>> measured = benchmark.Timer("x + 1", globals={"x": rustnn.ones(3)}).timeit(100)
        >>> 0 < measured.mean < 1
        True
    """

    _timer_cls = timeit.Timer

    def __init__(
        self,
        stmt="pass",
        setup="pass",
        global_setup="",
        timer=timer,
        globals=None,
        label=None,
        sub_label=None,
        description=None,
        env=None,
        num_threads=1,
        language=Language.PYTHON,
    ):
        if not isinstance(stmt, str):
            raise ValueError("Currently only a `str` stmt is supported.")
        if language in (Language.CPP, "cpp", "c++"):
            raise NotImplementedError("benchmark.Timer: C++ is not measured, as there is none of rustnn; use Python")
        if language not in (Language.PYTHON, "py", "python"):
            raise ValueError(f"Invalid language `{language}`.")
        if global_setup:
            raise ValueError(
                f"global_setup is C++ only, got `{global_setup}`. Most likely this code can simply be moved to `setup`."
            )
        import rustnn

        self._globals = dict(globals or {})
        self._globals.setdefault("torch", rustnn)
        stmt = textwrap.dedent(stmt)
        stmt = (stmt[1:] if stmt and stmt[0] == "\n" else stmt).rstrip()
        setup = textwrap.dedent(setup)
        setup = (setup[1:] if setup and setup[0] == "\n" else setup).rstrip()
        self._timer = self._timer_cls(stmt=stmt, setup=setup, timer=timer, globals=self._globals)
        self._task_spec = TaskSpec(stmt, setup, global_setup, label, sub_label, description, env, num_threads)

    def _timeit(self, number):
        # A clock that did not move would make a speed without end.
        return max(self._timer.timeit(number), 1e-9)

    def timeit(self, number=1000000):
        """One measurement of ``number`` runs, after a hundredth of them, two at least, to warm up."""
        with set_torch_threads(self._task_spec.num_threads):
            self._timeit(number=max(int(number // 100), 2))
            return Measurement(number, [self._timeit(number=number)], self._task_spec)

    def repeat(self, repeat=-1, number=-1):
        """Raises NotImplementedError: see :meth:`blocked_autorange`."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def autorange(self, callback=None):
        """Raises NotImplementedError: see :meth:`blocked_autorange`."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def _number(self, min_run_time):
        """So many runs that reading the clock costs less than a ten-thousandth of them, or they take long enough."""
        overhead = sorted(self._timeit(0) for _ in range(5))[2]
        number = 1
        while True:
            took = self._timeit(number)
            if overhead <= took * 1e-4 and took >= min_run_time / 1000:
                return number
            if took > min_run_time:
                return number
            number *= 10

    def blocked_autorange(self, callback=None, min_run_time=0.2):
        """As many measurements of equal numbers of runs as fit into a time, in seconds.

        Args:
            callback: called with (number, time) after each.
        """
        with set_torch_threads(self._task_spec.num_threads):
            number, times, total = self._number(min_run_time), [], 0.0
            while total < min_run_time or not times:
                took = self._timeit(number)
                times.append(took)
                total += took
                if callback is not None:
                    callback(number, took)
            return Measurement(number, times, self._task_spec)

    def adaptive_autorange(self, threshold=0.1, *, min_run_time=0.01, max_run_time=10.0, callback=None):
        """Measurements until their interquartile range is below a share of the median, or the time is up.

        Args:
            threshold: that share.
            min_run_time, max_run_time: seconds that it takes at least and at most.
            callback: called with (number, time) after each.
        """
        with set_torch_threads(self._task_spec.num_threads):
            number, times, total = self._number(0.05), [], 0.0
            for count in itertools.count(1):
                took = self._timeit(number)
                times.append(took)
                total += took
                if callback is not None:
                    callback(number, took)
                if total > max_run_time:
                    break
                enough = count > 3 and total > min_run_time
                if enough and Measurement(number, times, self._task_spec).meets_confidence(threshold):
                    break
            return Measurement(number, times, self._task_spec)

    def collect_callgrind(self, number=100, *, repeats=None, collect_baseline=True, retain_out_file=False):
        """Raises NotImplementedError: instructions are not counted."""
        raise NotImplementedError("Timer.collect_callgrind: rustnn counts no instructions; run valgrind on the program")
