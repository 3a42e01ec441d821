"""Checks the rules of the house that no compiler checks; `make check`, and the first thing that `make lint` runs.

1. Dependencies between the crates point one way, and only the crate whose room it is knows PyO3, wgpu, rayon ….
2. `unsafe` stays in its rooms, and every block and impl says why it is sound (`// SAFETY:`).
3. Tape, modules and optimizers name no GPU: they know tensors alone.
4. The Python package never imports PyTorch, and numpy only where it is used, not at import.

Needs only Python's own library, `cargo` and the sources; exits with 1 and one line per finding.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Crate -> the crates of ours that it may reach, directly or not.
MAY_DEPEND_ON = {
    "rustnn-tensor": set(),
    "rustnn-kernels": {"rustnn-tensor"},
    "rustnn-gpu": {"rustnn-kernels", "rustnn-tensor"},
    "rustnn-autograd": {"rustnn-tensor"},
    "rustnn-io": {"rustnn-tensor"},
    "rustnn-ops": {"rustnn-autograd", "rustnn-kernels", "rustnn-gpu", "rustnn-tensor"},
    "rustnn-derive": set(),
    "rustnn": {
        "rustnn-derive",
        "rustnn-ops",
        "rustnn-io",
        "rustnn-autograd",
        "rustnn-kernels",
        "rustnn-gpu",
        "rustnn-tensor",
    },
    "rustnn-python": {
        "rustnn",
        "rustnn-derive",
        "rustnn-ops",
        "rustnn-io",
        "rustnn-autograd",
        "rustnn-kernels",
        "rustnn-gpu",
        "rustnn-tensor",
    },
}
# Crate from outside -> the only crates of ours that may name it.
ONLY_IN = {
    "pyo3": {"rustnn-python"},
    "numpy": {"rustnn-python"},
    "wgpu": {"rustnn-gpu"},
    "rayon": {"rustnn-kernels"},
    "fearless_simd": {"rustnn-kernels"},
}
# Where `unsafe` may stand: the rooms of design §1 with the tests and benches inside them, and the program that measures
# the bare machine, which depends on no crate.
UNSAFE_ROOMS = ("src/tensor/", "src/kernels/", "src/gpu/", "src/python/", "benches/limits.rs")
# The one file that may name rayon: a forked child and a caller's own pool are handled there.
RAYON_FILE = "src/kernels/parallel.rs"


def cargo_tree(crate: str, *options: str) -> list[tuple[int, str]]:
    """(depth, crate name) of every normal dependency of `crate`, all features on."""
    command = ["cargo", "tree", "--package", crate, "--edges", "normal,build", "--all-features", "--prefix", "depth"]
    text = subprocess.run(
        [*command, "--format", " {p}", *options], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    lines = (re.match(r"(\d+) (\S+)", line) for line in text.splitlines())
    return [(int(line[1]), line[2]) for line in lines if line]


def check_dependencies() -> list[str]:
    found = []
    metadata = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    crates = set(re.findall(r'"name":"(rustnn(?:-[a-z]+)?)","version"', metadata))
    for crate in sorted(crates):
        if crate not in MAY_DEPEND_ON:
            found.append(f"{crate}: a crate that tools/check_house.py does not know; give it its place there")
            continue
        reached = cargo_tree(crate)
        for ours in sorted({name for _, name in reached if name.startswith("rustnn") and name != crate}):
            if ours not in MAY_DEPEND_ON[crate]:
                found.append(
                    f"{crate} depends on {ours}: dependencies point python -> rustnn -> ops, io -> … -> tensor"
                )
        for name in sorted({name for depth, name in reached if depth == 1}):
            if crate not in ONLY_IN.get(name, {crate}):
                found.append(f"{crate} depends on {name}: only {', '.join(sorted(ONLY_IN[name]))} may")
    return found


def blank_out(text: str) -> tuple[str, list[str]]:
    """The code of a Rust source with comments and literals replaced by spaces, and the comment text of each line."""
    comments = [""] * (text.count("\n") + 1)
    token = re.compile(
        r"//[^\n]*|/\*.*?\*/|r(?P<hashes>#*)\"(?:.|\n)*?\"(?P=hashes)|\"(?:\\.|[^\"\\])*\"|'(?:\\.[^']*|[^'\\])'", re.S
    )

    def replace(match: re.Match[str]) -> str:
        found = match.group()
        if found.startswith(("//", "/*")):
            first = text.count("\n", 0, match.start())
            for offset, line in enumerate(found.split("\n")):
                comments[first + offset] += line
        return re.sub(r"[^\n]", " ", found)

    return token.sub(replace, text), comments


def unsafe_findings(path: str, text: str) -> list[str]:
    code, comments = blank_out(text)
    lines = code.split("\n")
    # Tests hand a pool of their own in, as a program may.
    tests = next((number for number, line in enumerate(lines) if "#[cfg(test)]" in line), len(lines))
    found = []
    for number, line in enumerate(lines):
        if re.search(r"\brayon\s*::", line) and path != RAYON_FILE and number < tests:
            found.append(f"{path}:{number + 1}: rayon is called only through {RAYON_FILE}")
        # `unsafe fn(..)` is a type, not a use.
        if not re.search(r"\bunsafe\b(?!\s*(?:extern\s*)?fn\s*\()", line):
            continue
        # A function states its condition where it is public (clippy sees to that); its callers give the reasons.
        function = re.search(r"\bunsafe\s+(?:extern\s+)?fn\b", line)
        if not path.startswith(UNSAFE_ROOMS):
            found.append(f"{path}:{number + 1}: unsafe outside its rooms ({', '.join(UNSAFE_ROOMS)})")
        elif not function and not has_reason(lines, comments, number):
            found.append(f"{path}:{number + 1}: unsafe without a `// SAFETY:` line above it")
    return found


def has_reason(lines: list[str], comments: list[str], number: int) -> bool:
    """Whether a comment on the line or above explains it; attributes and the statement's start may intervene."""
    reason = re.compile(r"SAFETY:|# Safety")
    if reason.search(comments[number]):
        return True
    above = number - 1
    while above >= 0:
        code = lines[above].strip()
        if reason.search(comments[above]):
            return True
        # A statement that began on an earlier line, an attribute or a comment: look further up.
        starts_here = code == "" and comments[above] == ""
        ends_before = code.endswith((";", "{", "}")) and not code.startswith("#")
        if starts_here or ends_before:
            return False
        above -= 1
    return False


def check_unsafe() -> list[str]:
    found = []
    for room in ("src", "tests", "benches", "examples"):
        for path in sorted((ROOT / room).rglob("*.rs")):
            if "target" not in path.parts:
                found += unsafe_findings(path.relative_to(ROOT).as_posix(), path.read_text())
    return found


# Rooms that know no device.
BLIND_ROOMS = (
    "src/autograd",
    "src/rustnn/nn",
    "src/rustnn/optim",
    "python/rustnn/nn/modules",
    "python/rustnn/optim",
    "python/rustnn/autograd",
)


def check_blind_rooms() -> list[str]:
    found = []
    for room in BLIND_ROOMS:
        for path in sorted(p for p in (ROOT / room).rglob("*") if p.suffix in (".rs", ".py")):
            for number, line in enumerate(path.read_text().split("\n")):
                if re.search(r"(?i)\b(is_)?gpu(s?)\b|wgpu", line):
                    found.append(
                        f"{path.relative_to(ROOT).as_posix()}:{number + 1}: names a GPU in a room that knows none"
                    )
    return found


def check_python() -> list[str]:
    found = []
    for path in sorted((ROOT / "python").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text(), name)
        for node in ast.walk(tree):
            modules = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and node.level == 0
                else []
            )
            for module in modules:
                if module.split(".")[0] in ("torch", "torchvision"):
                    found.append(f"{name}:{node.lineno}: imports {module}; rustnn never needs PyTorch")
                if module.split(".")[0] == "numpy" and node in tree.body:
                    found.append(
                        f"{name}:{node.lineno}: imports numpy at import time (115 ms); import it where it is used"
                    )
    return found


def main() -> int:
    found = check_dependencies() + check_unsafe() + check_blind_rooms() + check_python()
    for line in found:
        print(line)
    print(f"check_house: {len(found)} finding{'s' * (len(found) != 1)}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
