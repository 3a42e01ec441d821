"""Measures rustnn against PyTorch, prints the ratio table and keeps it in benches/README.md; `make bench`.

    python benches/compare.py            the rows with bars (some 6 minutes)
    python benches/compare.py --ops      also every line of the op table on its large sample
    python benches/compare.py --only matmul      rows whose name contains the word; the README stays as it is

Each library runs in its own process. The two are measured in turn, round by round, so that a machine that slows down
slows both. Where things lie in memory differs from process to process and can double the time of a short row, so that
each row is measured in several pairs of processes; the median over all rounds of all of them counts.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import timeit
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "tests")]

from programs import ROWS, Row  # noqa: E402

PROCESSES, ROUNDS = 5, 3
# One measurement lasts about this long.
SECONDS = 0.15
PAGES = {"rustnn": "rustnn", "torch": "PyTorch"}


# ------------------------------------------------------------------------------------------------- the measured process
def program_of(name: str, t: Any) -> tuple[str, dict[str, Any]]:
    if not name.startswith("op:"):
        return ROWS[name].program(t)
    from references import OPS, Case

    line = OPS[name[3:]]
    case = Case(line, f"{line.name}.large", line.large)
    args, kwargs, _ = case.build(t, case.numbers())
    return "call(t, *args, **kwargs)", {"call": line.call, "t": t, "args": args, "kwargs": kwargs}


def memory_kb(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise RuntimeError(f"/proc/self/status has no {field}")


def work(library: str, name: str) -> None:
    """Answers every line on standard input with one measurement, in nanoseconds for one execution."""
    t = __import__(library)
    t.manual_seed(0)
    statement, names = program_of(name, t)
    timer = timeit.Timer(statement, globals=names)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here
    before = memory_kb("VmRSS")
    timer.timeit(3)  # warm: caches, pools, lazily made state
    for _ in range(20 if name == "cnn_mnist" else 0):
        timer.timeit(1)
    print(json.dumps({"peak_mb": (memory_kb("VmHWM") - before) / 1024}), flush=True)
    once = max(timer.timeit(1), 1e-8)
    while once * (count := max(1, round(SECONDS / 8 / once))) < SECONDS / 40:
        once = timer.timeit(count) / count
    for _ in sys.stdin:
        samples = [timer.timeit(count) / count for _ in range(8)]
        print(statistics.median(samples) * 1e9, flush=True)


# ------------------------------------------------------------------------------------------------------- the comparison
class Worker:
    def __init__(self, library: str, name: str) -> None:
        command = [sys.executable, __file__, "--work", library, name]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts = json.loads(self.answer())

    def answer(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the measured process ended: {self.process.args}")
        return line

    def measure(self) -> float:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.answer())

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def compare(name: str, processes: int, rounds: int) -> dict[str, Any]:
    """{library: {"ns": median, "peak_mb": …}}"""
    times: dict[str, list[float]] = {library: [] for library in PAGES}
    peaks: dict[str, list[float]] = {library: [] for library in PAGES}
    for _ in range(processes):
        workers = {library: Worker(library, name) for library in PAGES}
        try:
            for _ in range(rounds):
                for library, worker in workers.items():
                    times[library].append(worker.measure())
        finally:
            for library, worker in workers.items():
                peaks[library].append(worker.facts["peak_mb"])
                worker.close()
    middle = statistics.median
    return {library: {"ns": middle(times[library]), "peak_mb": middle(peaks[library])} for library in PAGES}


def import_cpu_ms(library: str) -> float:
    code = f"import time; start = time.process_time(); import {library}; print((time.process_time() - start) * 1e3)"
    run = lambda: float(subprocess.check_output([sys.executable, "-c", code], text=True))  # noqa: E731
    run()
    return statistics.median(run() for _ in range(7 if library == "rustnn" else 3))


def wheel_mb() -> float:
    """Of a wheel built as it would be published; cargo has it built already."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["make", "--silent", "wheel", f"DIST={folder}"], cwd=HERE.parent, check=True)
        return next(Path(folder).glob("*.whl")).stat().st_size / 1e6


def limits() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "limits"
        command = ["rustc", "--edition", "2024", "-O", "-C", "target-cpu=native", str(HERE / "limits.rs")]
        subprocess.run([*command, "-o", str(program)], check=True)
        found = json.loads(subprocess.check_output([str(program)], text=True))
    number = {"x": 1.5, "y": 2.5, "f": lambda x: x}
    best = lambda statement: min(timeit.repeat(statement, globals=number, number=200_000, repeat=7)) / 200_000 * 1e9  # noqa: E731
    found["python_call_ns"] = best("x + y")
    found["python_function_ns"] = best("f(x)")
    return found


def machine(measured: dict[str, float]) -> list[str]:
    def first(path: str, start: str = "") -> str:
        try:
            lines = Path(path).read_text().splitlines()
        except OSError:
            return "unknown"
        return next((line for line in lines if line.startswith(start)), "unknown")

    import torch

    import rustnn

    processor = first("/proc/cpuinfo", "model name").split(":")[-1].strip()
    level = getattr(rustnn._core, "_simd_level", lambda: "not told")()
    flags = first("/proc/cpuinfo", "flags").split()
    features = [name for name in ("avx2", "fma", "avx512f", "amx_tile") if name in flags]
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    huge_pages = first("/sys/kernel/mm/transparent_hugepage/enabled")
    return [
        f"- processor: {processor} ({', '.join(features)}), {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores",
        f"- memory: {memory_gb:.0f} GiB; transparent huge pages: `{huge_pages}`",
        f"- {platform.system()} {platform.release()}, Python {platform.python_version()}, PyTorch {torch.__version__} "
        f"with {torch.get_num_threads()} threads, rustnn {rustnn.version.rustnn} with "
        f"{rustnn.get_num_threads()} threads, SIMD level {level}",
        f"- limits measured by `limits.rs` in the same run: {measured['fma_gflop_s']:.0f} GFLOP/s of f32 "
        f"multiply-adds, {measured['memory_gb_s']:.1f} GB/s of memory traffic on all cores; a float addition in the "
        f"interpreter takes {measured['python_call_ns']:.0f} ns, "
        f"the call of a Python function {measured['python_function_ns']:.0f} ns",
    ]


def time_text(ns: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


def verdict(passed: bool) -> str:
    return "pass" if passed else "**miss**"


def table_of_rows(names: list[str], measured: dict[str, float]) -> tuple[list[str], list[float]]:
    lines = [
        "| what | rustnn | PyTorch | ratio | bar | | machine's limit | of it | where the rest goes |",
        "|---|---:|---:|---:|---|---|---:|---:|---|",
    ]
    ratios = []
    own: dict[str, float] = {}
    for name in names:
        row: Row = ROWS[name]
        found = compare(name, PROCESSES, ROUNDS)
        ours, theirs = found["rustnn"]["ns"], found["torch"]["ns"]
        ratio = theirs / ours
        ratios.append(ratio)
        own[name] = ours
        passed = ratio >= row.bar and (row.most_ns is None or ours <= row.most_ns)
        bar = f"≥ {row.bar:g}x" + (f", ≤ {row.most_ns:g} ns" if row.most_ns else "")
        if row.most_times:
            other, times = row.most_times
            if other not in own:
                own[other] = compare(other, PROCESSES, ROUNDS)["rustnn"]["ns"]
            passed = passed and ours <= times * own[other]
            bar += f", ≤ {times:g}x {ROWS[other].title} ({ours / own[other]:.2f}x)"
        limit = row.limit(measured) if row.limit else math.nan
        lines.append(
            f"| {row.title} | {time_text(ours)} | {time_text(theirs)} | {ratio:.2f}x | {bar} | {verdict(passed)} "
            f"| {time_text(limit)}: {row.limit_name} | {100 * limit / ours:.0f} % | {row.rest} |"
        )
        print(lines[-1], flush=True)
        if name == "cnn_mnist":
            ours, theirs = found["rustnn"]["peak_mb"], found["torch"]["peak_mb"]
            lines.append(
                f"| peak memory of that CNN step, over what the process held before | {ours:.0f} MB | {theirs:.0f} MB "
                f"| {theirs / max(ours, 1e-9):.2f}x | ≤ PyTorch's | {verdict(ours <= theirs)} "
                "| | | activations kept for backward |"
            )
            print(lines[-1], flush=True)
    return lines, ratios


def table_of_sizes() -> list[str]:
    ours, theirs, wheel = import_cpu_ms("rustnn"), import_cpu_ms("torch"), wheel_mb()
    return [
        f"| import, CPU time | {ours:.0f} ms | {theirs:.0f} ms | {theirs / ours:.1f}x "
        f"| ≤ 60 ms | {verdict(ours <= 60)} "
        "| | | Python files of the package |",
        f"| wheel, with the GPU backend | {wheel:.1f} MB | | | ≤ 12 MB | {verdict(wheel <= 12)} "
        "| | | kernels once for each SIMD level; 2 MB are the backend's |",
    ]


def table_of_ops(word: str) -> list[str]:
    from references import OPS

    lines = ["| op | sample | rustnn | PyTorch | ratio |", "|---|---|---:|---:|---:|"]
    ratios = []
    for line in OPS.values():
        if word and word not in line.name:
            continue
        found = compare(f"op:{line.name}", 1, 3)
        ours, theirs = found["rustnn"]["ns"], found["torch"]["ns"]
        ratios.append(theirs / ours)
        described = line.large.describe()
        described = described if len(described) < 80 else described[:77] + "…"
        lines.append(
            f"| {line.name} | `{described}` | {time_text(ours)} | {time_text(theirs)} | {theirs / ours:.2f}x |"
        )
        print(lines[-1], flush=True)
    slower = sum(ratio < 1 for ratio in ratios)
    lines += [
        "",
        f"Geometric mean {statistics.geometric_mean(ratios):.2f}x; {slower} of {len(ratios)} slower than PyTorch.",
    ]
    print(lines[-1])
    return lines


def write_between(marker: str, lines: list[str]) -> None:
    readme = HERE / "README.md"
    start, end = f"<!-- {marker}: written by make bench -->", f"<!-- end of {marker} -->"
    before, _, rest = readme.read_text().partition(start)
    _, _, after = rest.partition(end)
    readme.write_text("\n".join([before + start, "", *lines, "", end + after]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose name contains this; writes nothing")
    parser.add_argument("--ops", action="store_true", help="every line of the op table, too")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work(*options.work)
        return
    measured = limits()
    facts = machine(measured)
    print("\n".join(facts))
    names = [name for name in ROWS if options.only in name]
    lines, ratios = table_of_rows(names, measured) if names else ([], [])
    if not options.only:
        lines += table_of_sizes()
        print("\n".join(lines[-2:]))
        lines += ["", f"Geometric mean of the timed rows: {statistics.geometric_mean(ratios):.2f}x."]
        write_between("bars", [*facts, "", *lines])
    if options.ops:
        ops = table_of_ops(options.only)
        if not options.only:
            write_between("ops", ops)


if __name__ == "__main__":
    main()
