"""The stub says what the module has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import make_stubs

ROOT = Path(__file__).parent.parent


def test_the_stub_is_what_the_op_table_says() -> None:
    assert make_stubs.STUB.read_text() == make_stubs.stub(), "run `make stubs`"


def test_stubtest_finds_no_difference_to_the_module() -> None:
    pytest.importorskip("mypy")
    command = [sys.executable, "-m", "mypy.stubtest", "rustnn._core", "--ignore-disjoint-bases"]
    allowed = ROOT / "tools" / "stubtest_allowlist.txt"
    if allowed.exists():
        command += ["--allowlist", str(allowed), "--ignore-unused-allowlist"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-1000:]


def test_a_program_that_uses_the_types_passes_mypy_strictly(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    program = tmp_path / "program.py"
    program.write_text(
        "from rustnn._core import Tensor, add, float32, sum, zeros\n\n"
        "x: Tensor = zeros(2, 3, dtype=float32)\n"
        "y: Tensor = sum(add(x, 1.5), dim=1, keepdim=True)\n"
        "z: Tensor = (x @ y.t()).relu().view(-1)\n"
        "rows: tuple[Tensor, ...] = x.unbind(0)\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent", str(program)]
    result = subprocess.run(command, cwd=ROOT / "python", capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stdout[-4000:]


@pytest.mark.parametrize(
    ("schema", "function", "method"),
    [
        (
            "sum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None)",
            "(input: Tensor, dim: _IntList | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None) "
            "-> Tensor",
            "(self, dim: _IntList | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None) -> Tensor",
        ),
        (
            "max(Tensor self, int dim, bool keepdim=False)",
            "(input: Tensor, dim: _int, keepdim: _bool = False) -> tuple[Tensor, Tensor]",
            "(self, dim: _int, keepdim: _bool = False) -> tuple[Tensor, Tensor]",
        ),
        ("add(Tensor self, Operand other)", "(input: Tensor, other: Tensor | _Number) -> Tensor", None),
        ("cat(Tensor[] tensors, int dim=0)", "(tensors: Sequence[Tensor], dim: _int = 0) -> Tensor", None),
    ],
)
def test_schemas_become_signatures(schema: str, function: str, method: str | None) -> None:
    assert make_stubs.signatures(schema, method=False) == [function]
    if method:
        assert make_stubs.signatures(schema, method=True) == [method]


def test_sizes_may_come_one_by_one() -> None:
    schema = "zeros(int[...] size, *, ScalarType? dtype=None)"
    assert make_stubs.signatures(schema, method=False) == [
        "(size: Sequence[_int], *, dtype: _dtype | None = None) -> Tensor",
        "(*size: _int, dtype: _dtype | None = None) -> Tensor",
    ]
