"""What was measured and how it reads."""

import math
import textwrap
from contextlib import contextmanager
from dataclasses import dataclass, field

from rustnn import _core

__all__ = ["Measurement", "TaskSpec", "ordered_unique", "select_unit", "set_torch_threads", "trim_sigfig"]
__all__ += ["unit_to_english"]

_MOST_FIGURES = 4
_LEAST_INTERVAL = 25e-9  # seconds: what a clock may be off by
_WARN_ABOVE, _WARN_GROSSLY_ABOVE = 0.1, 0.25  # interquartile range over median

_UNITS = ((1e-9, "ns", "nanosecond"), (1e-6, "us", "microsecond"), (1e-3, "ms", "millisecond"), (1, "s", "second"))


@dataclass(init=True, repr=False, eq=True, frozen=True)
class TaskSpec:
    """What a measurement is of: everything but the clock's numbers. Measurements of equal specs can be merged."""

    stmt: str
    setup: str
    global_setup: str = ""
    label: str | None = None
    sub_label: str | None = None
    description: str | None = None
    env: str | None = None
    num_threads: int = 1

    @property
    def title(self):
        """The label or the statement, with the sub-label."""
        sub = self.sub_label
        if self.label is not None:
            return self.label + (f": {sub}" if sub else "")
        if "\n" not in self.stmt:
            return self.stmt + (f": {sub}" if sub else "")
        return f"stmt:{f' ({sub})' if sub else ''}\n{textwrap.indent(self.stmt, '  ')}"

    def setup_str(self):
        """The set-up as a line, or as lines of their own."""
        if self.setup in ("", "pass"):
            return ""
        return f"setup:\n{textwrap.indent(self.setup, '  ')}" if "\n" in self.setup else f"setup: {self.setup}"

    def summarize(self):
        """Title, description and set-up below each other."""
        parts = (self.title, self.description, self.setup_str())
        return "\n".join(part + "\n" if "\n" in part else part for part in parts if part)


def _quantile(ordered, share):
    """Between the two nearest numbers, in a line, of numbers in order."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


@dataclass(init=True, repr=False)
class Measurement:
    """How long a statement took.

    Args:
        number_per_run: how often it ran for each number.
        raw_times: seconds for that many runs, each.
        task_spec: what ran.
        metadata: whatever belongs to it.
    """

    number_per_run: int
    raw_times: list
    task_spec: TaskSpec
    metadata: dict | None = field(default=None)

    @property
    def times(self):
        """Seconds for one run."""
        return [time / self.number_per_run for time in self.raw_times]

    def _ordered(self):
        if not self.raw_times:
            raise AssertionError("A measurement without times has no statistics")
        return sorted(self.times)

    @property
    def median(self):
        """The median of the times."""
        return _quantile(self._ordered(), 0.5)

    @property
    def mean(self):
        """The mean of the times."""
        return sum(self._ordered()) / len(self.raw_times)

    @property
    def iqr(self):
        """What lies between a quarter of the times and three quarters."""
        ordered = self._ordered()
        return _quantile(ordered, 0.75) - _quantile(ordered, 0.25)

    @property
    def significant_figures(self):
        """How many digits of the median mean something, by the 90 % confidence interval of the middle half."""
        ordered = self._ordered()
        middle = ordered[len(ordered) // 4 : math.ceil(3 * len(ordered) / 4)]
        mean = sum(middle) / len(middle)
        deviation = math.sqrt(sum((time - mean) ** 2 for time in middle) / len(middle))
        interval = max(1.645 * deviation / math.sqrt(len(middle)), _LEAST_INTERVAL)
        return min(max(math.floor(math.log10(self.median / interval)), 1), _MOST_FIGURES)

    @property
    def has_warnings(self):
        """Whether the times differ by much."""
        return not self.meets_confidence()

    def meets_confidence(self, threshold=_WARN_ABOVE):
        """Whether the interquartile range is less than a share of the median."""
        return self.iqr / self.median < threshold

    @property
    def title(self):
        """See :class:`TaskSpec`."""
        return self.task_spec.title

    @property
    def as_row_name(self):
        """What a table calls it."""
        return self.task_spec.sub_label or self.task_spec.stmt or "[Unknown]"

    def __getattr__(self, name):
        if name.startswith("_") or name == "task_spec":
            raise AttributeError(name)
        return getattr(self.task_spec, name)

    def __repr__(self):
        spec, count = self.task_spec, len(self.raw_times)
        unit, scale = select_unit(self.median)
        median = f"{self.median / scale:.2f} {unit}"
        lines = [object.__repr__(self), spec.summarize(), f"  {'Median: ' if count > 1 else ''}{median}"]
        if count > 3:
            low, high = (_quantile(sorted(self.times), share) / scale for share in (0.25, 0.75))
            lines.append(f"  IQR:    {self.iqr / scale:.2f} {unit} ({low:.2f} to {high:.2f})")
        threads = f"{spec.num_threads} thread{'s' if spec.num_threads > 1 else ''}"
        runs = f"{self.number_per_run} runs {'per measurement,' if count > 1 else ','} {threads}"
        lines.append(f"  {count} measurement{'s' if count > 1 else ''}, {runs}")
        share = self.iqr / self.median
        if share >= _WARN_ABOVE:
            lines.append(f"  WARNING: Interquartile range is {share * 100:.1f}% of the median measurement.")
            if share > _WARN_GROSSLY_ABOVE:
                lines.append("           This suggests significant environmental influence.")
            else:
                lines.append("           This could indicate system fluctuation.")
        return "\n".join(lines)

    @staticmethod
    def merge(measurements):
        """One measurement for each spec, with the times of all that have it."""
        grouped = {}
        for each in measurements:
            grouped.setdefault(each.task_spec, []).extend(each.times)
        return [Measurement(1, times, spec) for spec, times in grouped.items()]


def select_unit(t):
    """The name and size in seconds of the largest unit in which a time is one or more."""
    size, name, _ = next((unit for unit in reversed(_UNITS) if t >= unit[0]), _UNITS[0])
    return name, size


def unit_to_english(u):
    """The word for a unit's name."""
    return {name: word for _, name, word in _UNITS}[u]


def trim_sigfig(x, n):
    """A number rounded to n significant figures."""
    if n != int(n):
        raise AssertionError("Number of significant figures must be an integer")
    if x == 0:
        return 0.0
    size = 10.0 ** (math.floor(math.log10(abs(x))) + 1 - int(n))
    return float(round(x / size) * size)


def ordered_unique(elements):
    """The elements, each once, in order."""
    return list(dict.fromkeys(elements))


@contextmanager
def set_torch_threads(n):
    """That many threads inside."""
    before = _core.get_num_threads()
    try:
        _core.set_num_threads(n)
        yield
    finally:
        _core.set_num_threads(before)
