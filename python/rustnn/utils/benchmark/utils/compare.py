"""Measurements in a table."""

import enum
import math

from .common import Measurement, ordered_unique, select_unit, trim_sigfig, unit_to_english

__all__ = ["Colorize", "Compare"]

_BEST, _GOOD, _BAD, _VERY_BAD, _BOLD, _END = "\033[92m", "\033[34m", "\033[2m\033[91m", "\033[31m", "\033[1m", "\033[0m"


class Colorize(enum.Enum):
    """What a number is compared with for its colour."""

    NONE = "none"
    COLUMNWISE = "columnwise"
    ROWWISE = "rowwise"


def _coloured(text, value, best):
    if value <= best * 1.01 or value <= best + 100e-9:
        return f"{_BEST}{_BOLD}{text}{_END}{_END}"
    if value <= best * 1.1:
        return f"{_GOOD}{_BOLD}{text}{_END}{_END}"
    if value >= best * 5:
        return f"{_VERY_BAD}{_BOLD}{text}{_END}{_END}"
    if value >= best * 2:
        return f"{_BAD}{text}{_END}{_END}"
    return text


def _row(measurement):
    return measurement.num_threads, measurement.env or "", measurement.as_row_name


class _Table:
    """The measurements of one label: a row for each statement, surroundings and threads; a column each description."""

    def __init__(self, measurements, options):
        self.options = options
        self.label = measurements[0].label or ""
        self.is_noisy = any(m.has_warnings for m in measurements)
        self.unit, self.scale = select_unit(min(m.median for m in measurements))
        self.rows = sorted(ordered_unique(map(_row, measurements)), key=lambda row: row[:2])
        self.columns = ordered_unique(m.description for m in measurements)
        self.cells = {(_row(m), m.description): m for m in measurements}

    def _format(self, column):
        """How the numbers of a column are written."""
        options = self.options
        found = [self.cells[row, column] for row in self.rows if (row, column) in self.cells]
        digits = {id(m): int(math.log10(m.median / self.scale)) + 1 for m in found}
        decimals = 1
        if options.trim:
            decimals = min(max(m.significant_figures - digits[id(m)], 0) for m in found)
        width = max(digits.values()) + decimals + (1 if decimals else 0)

        mark = 7 if any(m.has_warnings for m in found) else 0

        def text(m):
            value = m.median / self.scale
            if options.trim:
                value = trim_sigfig(value, m.significant_figures)
            number = f"{value:>{width}.{decimals}f}"
            if not options.warn:
                return number
            return number + (f" (! {m.iqr / m.median * 100:.0f}%)" if m.has_warnings else "").rjust(mark)

        return text

    def _best(self, row, column):
        if self.options.colours is Colorize.ROWWISE:
            return min(self.cells[row, c].median for c in self.columns if (row, c) in self.cells)
        alike = [r for r in self.rows if r[0] == row[0] and (r, column) in self.cells]
        return min(self.cells[r, column].median for r in alike)

    def render(self):
        environments = {row[1] for row in self.rows}
        names, env_width = [], max(map(len, environments)) if len(environments) > 1 else 0
        for place, (threads, env, name) in enumerate(self.rows):
            is_first = not place or self.rows[place - 1][:2] != (threads, env)
            shown = f"({env})" if is_first and env_width else ""
            names.append("  " + shown.ljust(env_width + 4) + name)
        formats = {column: self._format(column) for column in self.columns}
        texts = [
            [formats[c](self.cells[row, c]) if (row, c) in self.cells else "" for c in self.columns]
            for row in self.rows
        ]
        titles = [column or "" for column in self.columns]
        widths = [max(map(len, column)) for column in zip(titles, *texts, strict=True)]
        first = max(map(len, names))
        header = "  |  ".join([" " * first, *(t.center(w) for t, w in zip(titles, widths, strict=True))])
        lines = [f"[{f' {self.label} '.center(len(header) - 2, '-')}]", header]
        for place, row in enumerate(self.rows):
            if not place or self.rows[place - 1][0] != row[0]:
                lines.append(f"{row[0]} threads: ".ljust(len(header), "-"))
            cells = []
            for column, text, width in zip(self.columns, texts[place], widths, strict=True):
                text = text.center(width)
                if self.options.colours is not Colorize.NONE and (row, column) in self.cells:
                    text = _coloured(text, self.cells[row, column].median, self._best(row, column))
                cells.append(text)
            lines.append("  |  ".join([names[place].ljust(first), *cells]))
        lines += ["", f"Times are in {unit_to_english(self.unit)}s ({self.unit})."]
        if self.options.warn and self.is_noisy:
            lines.append("(! XX%) Measurement has high variance, where XX is the IQR / median * 100.")
        return "\n".join([*lines, ""])


class Compare:
    """A table of measurements: one for each label, rows by sub-label, threads and env, columns by description.

    Args:
        results: a list of :class:`Measurement`.

    Example:
        >>> from rustnn.utils import benchmark
        >>> timers = [benchmark.Timer("pass", label="nothing", description=name) for name in ("a", "b")]
        >>> "nothing" in str(benchmark.Compare([timer.timeit(100) for timer in timers]))
        True
    """

    def __init__(self, results):
        self._results = []
        self.extend_results(results)
        self.trim, self.warn, self.colours = False, False, Colorize.NONE

    def __str__(self):
        groups = {}
        for each in Measurement.merge(self._results):
            groups.setdefault(each.label, []).append(each)
        return "\n".join(_Table(group, self).render() for group in groups.values())

    def extend_results(self, results):
        """More measurements.

        Raises: ValueError for anything else.
        """
        for each in results:
            if not isinstance(each, Measurement):
                raise ValueError(f"Expected an instance of `Measurement`, got {type(each)} instead.")
        self._results.extend(results)

    def trim_significant_figures(self):
        """Show only the digits that mean something."""
        self.trim = True

    def colorize(self, rowwise=False):
        """Colour what is fast and what is slow in each column, or row."""
        self.colours = Colorize.ROWWISE if rowwise else Colorize.COLUMNWISE

    def highlight_warnings(self):
        """Mark measurements that differ by much."""
        self.warn = True

    def print(self):
        """Print the table."""
        print(str(self))
