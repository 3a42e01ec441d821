"""Time spent in the parts of a program that ``record_function`` names, and in the steps of a schedule.

Single ops are not recorded: what is not under a name counts for nothing."""

import json
import os
import threading
import time
from collections import namedtuple
from contextlib import ContextDecorator
from enum import Enum

__all__ = [
    "ProfilerAction",
    "ProfilerActivity",
    "profile",
    "record_function",
    "schedule",
    "supported_activities",
    "tensorboard_trace_handler",
]


class ProfilerActivity(Enum):
    """What is measured."""

    CPU = 0
    XPU = 1
    CUDA = 2
    MTIA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(Enum):
    """What a profiler does in a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities():
    """What can be measured: the CPU."""
    return {ProfilerActivity.CPU}


def schedule(*, wait, warmup, active, repeat=0, skip_first=0, skip_first_wait=0):
    """A function from a step's number to what a profiler does in it.

    Args:
        wait, warmup, active: how many steps are left out, run for warmth, and recorded, one after the other.
        repeat: how often; 0 means for ever.
        skip_first: steps left out before all that.
        skip_first_wait: if not 0, the first round has no ``wait``.
    Raises: AssertionError for negative numbers, and no active step.
    """
    if min(wait, warmup, repeat, skip_first) < 0 or active <= 0:
        raise AssertionError("Invalid profiler schedule arguments")

    def action(step):
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:
            step += wait
        length = wait + warmup + active
        if 0 < repeat <= step // length:
            return ProfilerAction.NONE
        place = step % length
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        return ProfilerAction.RECORD if place < length - 1 else ProfilerAction.RECORD_AND_SAVE

    return action


def tensorboard_trace_handler(dir_name, worker_name=None, use_gzip=False):
    """For ``on_trace_ready``: writes each trace into a folder, as Chrome's JSON."""

    def handle(profiler):
        os.makedirs(dir_name, exist_ok=True)
        name = f"{worker_name or f'{os.uname().nodename}_{os.getpid()}'}.{time.time_ns()}.pt.trace.json"
        profiler.export_chrome_trace(os.path.join(dir_name, name + (".gz" if use_gzip else "")))

    return handle


Event = namedtuple("Event", ("name", "thread", "start_ns", "end_ns", "inner_ns"))
_running = []


class record_function(ContextDecorator):
    """Names a part of a program for the profilers that run meanwhile; a context or a decorator.

    Args:
        name: the name. args: accepted.
    """

    _open = threading.local()

    def __init__(self, name, args=None):
        self.name, self.args = name, args

    def __enter__(self):
        stack = self._open.__dict__.setdefault("stack", [])
        stack.append([time.perf_counter_ns(), 0])
        return self

    def __exit__(self, *exception):
        start, inner = self._open.stack.pop()
        end = time.perf_counter_ns()
        if self._open.stack:
            self._open.stack[-1][1] += end - start
        for profiler in _running:
            profiler._events.append(Event(self.name, threading.get_ident(), start, end, inner))
        return False


class FunctionEventAvg:
    """The events of one name together; times in microseconds."""

    def __init__(self, key, events):
        self.key, self.count = key, len(events)
        self.cpu_time_total = sum(e.end_ns - e.start_ns for e in events) / 1000
        self.self_cpu_time_total = sum(e.end_ns - e.start_ns - e.inner_ns for e in events) / 1000
        self.cpu_time = self.cpu_time_total / self.count
        self.device_time_total = self.self_device_time_total = 0.0

    def __repr__(self):
        return f"<FunctionEventAvg key={self.key} cpu_time={self.cpu_time:.3f}us count={self.count}>"


class EventList(list):
    """Averages of events, which print as a table."""

    def table(self, sort_by=None, row_limit=100, max_src_column_width=75, header=None, top_level_events_only=False):
        """A text table, sorted by an attribute such as ``"cpu_time_total"``, the greatest first."""
        rows = sorted(self, key=lambda e: getattr(e, sort_by, 0), reverse=True) if sort_by else list(self)
        total = sum(e.self_cpu_time_total for e in self) or 1.0
        lines = [("Name", "Self CPU %", "Self CPU", "CPU total", "CPU time avg", "# of Calls")]
        for e in rows if row_limit < 0 else rows[:row_limit]:
            times = (f"{t:.3f}us" for t in (e.self_cpu_time_total, e.cpu_time_total, e.cpu_time))
            lines.append((e.key, f"{100 * e.self_cpu_time_total / total:.2f}%", *times, str(e.count)))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        text = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
        rule = "  ".join("-" * width for width in widths)
        return "\n".join(
            [*([header] if header else []), rule, text[0], rule, *text[1:], rule, f"Self CPU time total: {total:.3f}us"]
        )

    def total_average(self):
        """The whole list's time, as ``self_cpu_time_total`` of the result."""
        out = FunctionEventAvg("Total", [Event("", 0, 0, 0, 0)])
        out.self_cpu_time_total = out.cpu_time_total = sum(e.self_cpu_time_total for e in self)
        return out

    def __str__(self):
        return self.table()


class profile:
    """Collects the parts that ``record_function`` names while it runs; a context, or ``start`` and ``stop``.

    Args:
        activities: accepted; the CPU is what is measured.
        schedule: which steps are recorded, see :func:`schedule`; without it all.
        on_trace_ready: called with this object after each recorded round.
        record_shapes, profile_memory, with_stack, with_flops, with_modules, experimental_config: accepted.
    """

    def __init__(self, *, activities=None, schedule=None, on_trace_ready=None, **options):
        self.activities = set(activities) if activities else supported_activities()
        self.schedule, self.on_trace_ready = schedule, on_trace_ready
        self.step_num, self._events, self._step = 0, [], None
        self._is_over = False  # a round has been handed over; the next one begins anew
        self.current_action = schedule(0) if schedule else ProfilerAction.RECORD

    def _records(self):
        return self.current_action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.stop()
        return False

    def _begin_step(self):
        if self._records():
            _running.append(self)
        if self.schedule is not None:
            self._step = record_function(f"ProfilerStep#{self.step_num}")
            self._step.__enter__()

    def _end_step(self):
        if self._step is not None:
            self._step.__exit__()
            self._step = None
        if self in _running:
            _running.remove(self)

    def start(self):
        """Begins."""
        self._begin_step()

    def stop(self):
        """Ends; calls ``on_trace_ready`` if anything was recorded since it was last called."""
        self._end_step()
        if self._records() and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def step(self):
        """The next step begins."""
        self._end_step()
        if self.current_action is ProfilerAction.RECORD_AND_SAVE and self.on_trace_ready is not None:
            self.on_trace_ready(self)
        self.step_num += 1
        if self.current_action is ProfilerAction.RECORD_AND_SAVE:
            self._is_over = True
        if self.schedule is not None:
            self.current_action = self.schedule(self.step_num)
        if self._is_over and self._records():
            self._events, self._is_over = [], False
        self._begin_step()

    def key_averages(self, group_by_input_shape=False, group_by_stack_n=0):
        """The events of each name together."""
        names = {}
        for event in self._events:
            names.setdefault(event.name, []).append(event)
        return EventList(FunctionEventAvg(name, events) for name, events in names.items())

    def events(self):
        """All events, in the order in which they ended."""
        return list(self._events)

    def export_chrome_trace(self, path):
        """Writes the events for Chrome's trace viewer; a name that ends in ``.gz`` is compressed."""
        import gzip

        trace = [
            {
                "ph": "X",
                "name": e.name,
                "ts": e.start_ns / 1000,
                "dur": (e.end_ns - e.start_ns) / 1000,
                "pid": os.getpid(),
                "tid": e.thread,
            }
            for e in self._events
        ]
        with (gzip.open if str(path).endswith(".gz") else open)(path, "wt") as file:
            json.dump({"traceEvents": trace}, file)

    def add_metadata(self, key, value):
        """Accepted for compatibility."""

    def add_metadata_json(self, key, value):
        """Accepted for compatibility."""


def kineto_available():
    """Whether PyTorch's tracing library is there: no."""
    return False
