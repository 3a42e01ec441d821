"""Nothing of the op registry goes unproven: every op has a line of tests, a doc example that runs, and a bench."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import golden_files
import rustnn
from references import ALIASES, OPS, Case

ROOT = Path(__file__).resolve().parent.parent
# Registered ops that are no line of the table, and the file that tests them.
ELSEWHERE = {"slice": "test_ops_properties.py"}


def registered() -> list[str]:
    """Without what begins with an underscore: parts of other ops, tested through them."""
    return sorted(name for name in set(rustnn._core._op_names()) if not name.startswith("_"))


def public_name(op: str) -> str:
    """The line of the table that tests the op: `add_`, `add` and its other names are one."""
    base = op if op in OPS or op in ALIASES else op.removesuffix("_")
    return ALIASES.get(base, base)


def test_every_registered_op_has_a_line_in_the_table() -> None:
    missing = [op for op in registered() if public_name(op) not in OPS and op not in ELSEWHERE]
    assert not missing, f"add a line to tests/references.py for: {', '.join(missing)}"


@pytest.mark.parametrize("alias", ALIASES)
def test_other_names_do_the_same(alias: str) -> None:
    line = OPS[ALIASES[alias]]
    args, kwargs, _ = Case(line, line.name, line.samples[0]).build(
        rustnn, Case(line, line.name, line.samples[0]).numbers()
    )
    result, expected = getattr(rustnn, alias)(*args, **kwargs), line.call(rustnn, *args, **kwargs)
    assert rustnn.equal(result, expected)


def test_every_op_of_the_table_has_recorded_values() -> None:
    recorded = set()
    for path in golden_files.FOLDER.glob("*.safetensors"):
        recorded |= set(golden_files.read(path)[1])
    missing = sorted({line.name for line in OPS.values() for case in line.cases() if case.key not in recorded})
    assert not missing, f"run tests/record_golden.py for: {', '.join(missing)}"


def test_every_registered_op_has_an_example_in_the_docs() -> None:
    examples = re.findall(r"^>>> (.*)$", (ROOT / "docs" / "ops.md").read_text(), re.M)
    shown = {name for example in examples for name in re.findall(r"\.(\w+)\(", example)}
    missing = [op for op in registered() if not {op, public_name(op)} & shown and op not in ELSEWHERE]
    assert not missing, f"no example in docs/ops.md of: {', '.join(missing)}"


def test_every_line_has_a_bench_sample() -> None:
    assert not [line.name for line in OPS.values() if line.large is None]


@pytest.mark.parametrize("path", ELSEWHERE.values())
def test_exceptions_name_files_that_exist(path: str) -> None:
    assert re.fullmatch(r"test_\w+\.py", path)
    assert (golden_files.FOLDER.parent.parent / path).exists()
