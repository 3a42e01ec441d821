"""Writes what `cargo bench` in this folder measured last into benches/README.md; `make bench-rust` runs both."""

import json
import os
import platform
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"
START, END = "<!-- rust: written by make bench-rust -->", "<!-- end of rust -->"
LIBRARIES = ["rustnn", "candle", "burn"]


def measured(target: Path) -> dict[str, dict[str, float]]:
    """Row -> library -> median in ns."""
    rows: dict[str, dict[str, float]] = {}
    for path in target.glob("criterion/*/*/new/benchmark.json"):
        about = json.loads(path.read_text())
        estimates = json.loads(path.with_name("estimates.json").read_text())
        rows.setdefault(about["group_id"], {})[about["function_id"]] = estimates["median"]["point_estimate"]
    return rows


def text(ns: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns:.3g} ns"


def version(name: str) -> str:
    lock = (HERE / "Cargo.lock").read_text()
    found = re.search(rf'name = "{name}"\nversion = "([^"]+)"', lock)
    return found[1] if found else "?"


def order() -> list[str]:
    """The rows' names in the order of peers.rs."""
    return re.findall(r'pub const [A-Z_]+: &str = "(.*)";', (HERE / "peers.rs").read_text())


def main() -> None:
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target"))
    rows = measured(target)
    missing = [name for name in order() if set(rows.get(name, {})) != set(LIBRARIES)]
    if missing:
        raise SystemExit(f"not measured: {missing}; run cargo bench in {HERE} first")
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    lines = [
        f"- processor: {model[1] if model else platform.machine()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f} at the end of the run",
        f"- candle {version('candle-core')}, burn {version('burn')} on its backend Flex; each with its own threads",
        "",
        "| what | rustnn | candle | burn | candle / rustnn | burn / rustnn | |",
        "|---|---:|---:|---:|---:|---:|---|",
    ]
    for name in order():
        ours, candle, burn = (rows[name][library] for library in LIBRARIES)
        verdict = "ahead" if ours <= min(candle, burn) else "**behind**"
        lines.append(
            f"| {name} | {text(ours)} | {text(candle)} | {text(burn)} | {candle / ours:.2f}x | {burn / ours:.2f}x "
            f"| {verdict} |"
        )
    before, _, rest = README.read_text().partition(START)
    _, _, after = rest.partition(END)
    README.write_text("\n".join([before + START, "", *lines, "", END + after]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
