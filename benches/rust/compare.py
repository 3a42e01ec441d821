"""Measures rustnn beside candle and burn and writes the ratio table into benches/README.md; `make bench-rust`.

    python benches/rust/compare.py               all rows, five rounds (a minute or two, after the build)
    python benches/rust/compare.py --only matmul     rows whose name contains the word; the README stays as it is

Each library runs in its own process, one row at a time; the three take turns, round by round, so that a machine that
slows down slows all. Criterion measures; the median of the rounds' medians counts.
"""

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
START, END = "<!-- rust: written by make bench-rust -->", "<!-- end of rust -->"
LIBRARIES = ["rustnn", "candle", "burn"]
# A run that takes longer than this hangs.
SECONDS = 60


def built() -> dict[str, str]:
    """Library -> the program that measures it."""
    command = ["cargo", "bench", "--locked", "--no-run", "--message-format=json-render-diagnostics"]
    lines = subprocess.check_output(command, cwd=HERE, text=True).splitlines()
    found = {}
    for message in map(json.loads, lines):
        if message["reason"] == "compiler-artifact" and message["target"]["kind"] == ["bench"]:
            found[message["target"]["name"].removeprefix("with_")] = message["executable"]
    return {library: found[library] for library in LIBRARIES}


def measure(program: str, library: str, row: str) -> float:
    """The median time of one run, in ns."""
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--bench", "--exact", f"{row}/{library}"]
        env = os.environ | {"CRITERION_HOME": folder}
        ran = subprocess.run(command, cwd=HERE, env=env, capture_output=True, text=True, timeout=SECONDS)
        results = list(Path(folder).glob("*/*/new/estimates.json"))
        if ran.returncode or len(results) != 1:
            raise SystemExit(f"{library} did not measure {row!r}:\n{ran.stdout}{ran.stderr}")
        return json.loads(results[0].read_text())["median"]["point_estimate"]


def text(ns: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


def version(name: str) -> str:
    lock = (HERE / "Cargo.lock").read_text()
    found = re.search(rf'name = "{name}"\nversion = "([^"]+)"', lock)
    return found[1] if found else "?"


def names() -> list[str]:
    """The rows' names in the order of rows.rs."""
    return re.findall(r'pub const [A-Z_]+: &str = "(.*)";', (HERE / "rows.rs").read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    programs = built()
    rows = [name for name in names() if options.only in name]
    times: dict[tuple[str, str], list[float]] = {(row, library): [] for row in rows for library in LIBRARIES}
    for _ in range(options.rounds):
        for row, library in times:
            times[row, library].append(measure(programs[library], library, row))
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    lines = [
        f"- processor: {model[1] if model else platform.machine()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f} at the end of the run; {options.rounds} rounds",
        f"- candle {version('candle-core')}, burn {version('burn')} on its backend Flex; each with its own threads",
        "",
        "| what | rustnn | candle | burn | candle / rustnn | burn / rustnn | |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        ours, candle, burn = (statistics.median(times[row, library]) for library in LIBRARIES)
        verdict = "ahead" if ours <= min(candle, burn) else "**behind**"
        lines.append(
            f"| {row} | {text(ours)} | {text(candle)} | {text(burn)} | {candle / ours:.2f}x | {burn / ours:.2f}x "
            f"| {verdict} |"
        )
    print("\n".join(lines))
    if not options.only:
        before, _, rest = README.read_text().partition(START)
        _, _, after = rest.partition(END)
        README.write_text("\n".join([before + START, "", *lines, "", END + after]))


if __name__ == "__main__":
    main()
