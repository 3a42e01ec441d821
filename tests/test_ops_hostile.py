"""Every op of the registry meets hostile arguments: it returns or raises; it never panics, aborts or hangs.

By hand, more seeds: ``python tests/test_ops_hostile.py 0 2000 [op …]`` prints findings with the calls that caused them.
"""

from __future__ import annotations

import contextlib
import math
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytest

import rustnn
from rustnn import _core

# An op that takes longer is asked to end, as Ctrl-C would, and has as long to do so.
SECONDS = 8
# Address space of the process that runs them: absurd sizes have to fail at once, not to fill the machine.
SPACE_BYTES = 3 << 30

INTS = [0, 1, 2, 3, -1, -2, -3, 5, 7, 100, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63), 2**64, True]
FLOATS = [0.0, 1.0, -1.0, 0.5, 1e-45, 1e308, -1e308, math.inf, -math.inf, math.nan, 2.0**63]
TEXTS = [
    "mean",
    "sum",
    "none",
    "valid",
    "same",
    "tanh",
    "floor",
    "trunc",
    "prod",
    "amax",
    "left",
    "ij,jk->ik",
    "->",
    "i,i",
    ",",
    "é",
    "",
]
WRONG = ["text", None, [], {}, (), object(), 1.5, [[1, 2], [3]], b"bytes", 1j, range(3), int]
SHAPES = [
    (),
    (0,),
    (1,),
    (2,),
    (3,),
    (7,),
    (33,),
    (2, 3),
    (3, 2),
    (0, 3),
    (3, 0),
    (1, 1),
    (3, 3),
    (4, 5),
    (2, 3, 4),
    (1, 0, 2),
    (2, 3, 4, 5),
]
SHAPES += [(1, 1, 1, 1), (1, 2, 7, 7), (2, 0, 3, 3), (2, 2, 3, 3, 3), (1,) * 8, (1025,), (65, 70)]
# As large as sizes can be, of tensors that have no elements and so cost nothing.
EMPTY = [(2**40, 0), (0, 2**62), (2**63 - 1, 0), (1, 0, 2**40), (2**20, 3, 0), (0, 2**31, 2**31), (2**40, 3, 0, 0)]
DTYPES = [d for d in vars(_core).values() if isinstance(d, _core.dtype)]
USUAL = [rustnn.float32] * 6 + [
    rustnn.float64,
    rustnn.float16,
    rustnn.bfloat16,
    rustnn.int64,
    rustnn.int64,
    rustnn.uint8,
    rustnn.bool,
]


class Arguments:
    """A stream of arguments; the same for the same seed."""

    def __init__(self, seed: Any) -> None:
        self.draw = random.Random(str(seed))
        # Calls are the more telling the fewer arguments are wrong in them.
        self.hostility = self.draw.choice([0.0, 0.05, 0.2])
        self.last_shape: tuple[int, ...] = self.draw.choice(SHAPES)

    def tensor(self) -> Any:
        draw = self.draw
        shape = self.last_shape if draw.random() < 0.6 else draw.choice(SHAPES)
        kind = draw.random()
        if 0.05 <= kind < 0.09:
            shape = draw.choice(EMPTY)
        self.last_shape = shape
        dtype = draw.choice(DTYPES) if draw.random() < 0.15 else draw.choice(USUAL)
        if kind < 0.05:
            return rustnn.empty(shape, dtype=dtype, device="meta")
        if 0.09 <= kind < 0.092 and shape:
            # More elements than there is memory, all of them one number in it.
            sizes = (2**40,) if len(shape) == 1 else (2**20, 2**20) + (1,) * (len(shape) - 2)
            return rustnn.ones((1,) * len(shape), dtype=rustnn.float32).expand(sizes)
        try:
            made = rustnn.randint(-3 if dtype.is_signed else 0, 4, shape).to(dtype)
        except (RuntimeError, NotImplementedError):
            return rustnn.zeros(shape, dtype=dtype)
        if dtype.is_floating_point and made.numel():
            if kind < 0.15:
                made.view(-1)[0] = draw.choice(FLOATS)
            elif kind < 0.5:
                made = made + rustnn.rand(shape).to(dtype)
        if kind > 0.9 and len(shape) > 1:
            made = made.transpose(0, -1)
        elif kind > 0.85:
            made = made.expand(2, *shape)
        elif kind > 0.8 and shape and shape[0] > 1:
            made = made[::2]
        elif kind > 0.77 and dtype is rustnn.int64:
            made = made * draw.choice(INTS[:-2])
        if dtype.is_floating_point and draw.random() < 0.4:
            made = made.detach().requires_grad_()
            if draw.random() < 0.3:
                made = made * 1
        return made

    def int(self) -> Any:
        return self.draw.choice(INTS[:8]) if self.draw.random() < 0.75 else self.draw.choice(INTS)

    def ints(self) -> Any:
        count = self.draw.choice([0, 1, 1, 2, 2, 3, 4, 9])
        values = [self.int() for _ in range(count)]
        if self.draw.random() < 0.3:
            values = [abs(v) % 5 for v in values]
        return tuple(values) if self.draw.random() < 0.5 else values

    def scalar(self) -> Any:
        return self.draw.choice([self.draw.choice(FLOATS), self.int(), self.draw.random() < 0.5])

    def of(self, kind: str) -> Any:
        draw = self.draw
        if draw.random() < self.hostility:
            return draw.choice([*WRONG, self.tensor(), self.ints()])
        if kind.endswith("?"):
            return None if draw.random() < 0.4 else self.of(kind[:-1])
        match re.sub(r"\[[\d.]+\]", "[n]", kind):
            case "Tensor":
                return self.tensor()
            case "Tensor[]":
                return [self.tensor() for _ in range(draw.choice([0, 1, 2, 2, 3]))]
            case "Tensor?[]":
                return [self.tensor() if draw.random() < 0.8 else None for _ in range(draw.choice([0, 1, 2, 3]))]
            case "Operand":
                return self.tensor() if draw.random() < 0.7 else self.scalar()
            case "Scalar":
                return self.scalar()
            case "float":
                return draw.choice(FLOATS) if draw.random() < 0.7 else self.int()
            case "int":
                return self.int()
            case "int[n]":
                return self.int() if draw.random() < 0.4 else self.ints()
            case "int?[n]":
                return [None if draw.random() < 0.3 else self.int() for _ in range(draw.choice([1, 2, 3]))]
            case "int[]":
                return self.ints()
            case "bool":
                return draw.random() < 0.5
            case "str":
                return draw.choice(TEXTS)
            case "ScalarType":
                return draw.choice(DTYPES) if draw.random() < 0.3 else draw.choice(USUAL)
            case "Device":
                return draw.choice(["cpu", "cpu", "meta", "cpu:7", "nonsense", -1])
            case "Generator":
                return rustnn.Generator()
            case "Layout":
                return rustnn.strided
            case "MemoryFormat":
                return draw.choice([rustnn.contiguous_format, rustnn.channels_last, rustnn.preserve_format])
        raise AssertionError(f"a type of the registry that this driver does not know: {kind}")


def call_of(schema: str, seed: Any) -> tuple[list[Any], dict[str, Any]]:
    """Arguments for a schema, as the registry writes it."""
    arguments = Arguments(seed)
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    by_name = False
    # At commas that are in no default such as [0, 1].
    for parameter in re.split(r",\s*(?![^\[\]]*\])", schema[schema.index("(") + 1 : schema.rindex(")")]):
        if parameter == "*":
            by_name = True
            continue
        kind, _, name = parameter.partition(" ")
        name, has_default, _ = name.partition("=")
        if has_default and arguments.draw.random() < 0.5:
            by_name = True
        elif by_name:
            kwargs[name] = arguments.of(kind)
        else:
            args.append(arguments.of(kind))
    return args, kwargs


def shown(value: Any) -> str:
    """How to write an argument, tensors by what they are."""
    if isinstance(value, rustnn.Tensor):
        text = f"{tuple(value.shape)} {value.dtype} strides {tuple(value.stride())} {value.device}"
        text += " grad" if value.requires_grad else ""
        if 0 < value.numel() <= 8 and not value.is_meta and value.dtype in USUAL:
            text += " " + repr(value.detach().tolist())
        return f"<{text}>"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(shown, value))}]"
    return repr(value)


def use(result: Any) -> None:
    """Reads every element of a result and goes back through its graph."""
    if isinstance(result, (list, tuple)):
        for item in result:
            use(item)
    elif isinstance(result, rustnn.Tensor):
        repr(result)
        if result.is_meta:
            return
        # Lists of many lists without elements would only fill Python's memory.
        if math.prod(max(n, 1) for n in result.shape) < 10_000:
            result.tolist()
        if result.requires_grad and result.numel() < 10**6:
            gradient = rustnn.ones_like(result)
            result.backward(gradient, retain_graph=True)
            leaves = [result]
            rustnn.autograd.grad(result, leaves, gradient, create_graph=True, allow_unused=True)


class TooLong(Exception):
    pass


def attempt(function: Any, args: list[Any], kwargs: dict[str, Any]) -> str | None:
    """Why the call is a finding, or None."""

    def stop(*_: Any) -> None:
        raise TooLong

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    start = time.perf_counter()
    try:
        use(function(*args, **kwargs))
    except TooLong:
        waited = time.perf_counter() - start
        return f"not to be ended for {waited:.0f} s" if waited > 2 * SECONDS else None
    except Exception as error:
        if "internal error of rustnn" in str(error):
            return f"{type(error).__name__}: {error}"
        if isinstance(error, (SystemError, UnboundLocalError)):
            return "".join(traceback.format_exception(error))
    except BaseException as error:  # PanicException
        return f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    return None


def drive(first_seed: int, seeds: int, names: list[str], calls: Path) -> int:
    """Makes the calls, each written to ``calls`` before it is made, and prints findings; their number."""
    import resource

    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (SPACE_BYTES, SPACE_BYTES))
    schemas = _core._op_schemas()
    findings = 0
    with calls.open("w") as log:
        for seed in range(first_seed, first_seed + seeds):
            for name in names or schemas:
                overloads, _, is_function, _ = schemas[name]
                function = getattr(_core if is_function else rustnn.Tensor, name)
                for schema in overloads:
                    rustnn.manual_seed(seed)
                    args, kwargs = call_of(schema, (seed, schema))
                    described = (
                        f"{name} seed {seed}: {', '.join(map(shown, args))} {kwargs and shown(list(kwargs.items()))}"
                    )
                    log.seek(0)
                    log.truncate()
                    log.write(described)
                    log.flush()
                    why = attempt(function, args, kwargs)
                    if why:
                        findings += 1
                        print(f"{why[:600]}\n    in {described}", flush=True)
    return findings


def findings_of(first_seed: int, seeds: int, names: list[str] | None = None) -> str:
    """What a process of its own finds, a crash of it included."""
    with tempfile.TemporaryDirectory() as folder:
        calls = Path(folder) / "calls"
        command = [sys.executable, __file__, str(first_seed), str(seeds), f"--calls={calls}", *(names or [])]
        found = subprocess.run(
            command, capture_output=True, text=True, cwd=Path(rustnn.__file__).parents[1], timeout=280
        )
        text = found.stdout
        if found.returncode not in (0, 1):
            text += f"\nexit status {found.returncode}: {found.stderr[-1500:]}\n    in {calls.read_text()}"
        return text


@pytest.mark.parametrize("seed", range(4))
def test_no_op_panics_aborts_or_hangs_on_hostile_arguments(seed: int) -> None:
    assert not findings_of(10 * seed, 10)


def test_the_driver_finds_a_panic_and_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    def panics() -> None:
        raise RuntimeError("internal error of rustnn (please report it): made up")

    def hangs() -> None:
        until = time.perf_counter() + 3
        while time.perf_counter() < until:
            with contextlib.suppress(TooLong):
                time.sleep(0.1)
        raise TooLong

    class PanicException(BaseException):
        pass

    def panics_in_a_class() -> None:
        raise PanicException("made up")

    monkeypatch.setitem(globals(), "SECONDS", 1)
    assert "made up" in str(attempt(panics, [], {}))
    assert "PanicException: made up" in str(attempt(panics_in_a_class, [], {}))
    assert "not to be ended for 3 s" in str(attempt(hangs, [], {}))
    assert attempt(time.sleep, [5], {}) is None
    assert attempt(rustnn.add, [rustnn.ones(2), rustnn.ones(3)], {}) is None


if __name__ == "__main__":
    log = next((Path(a[8:]) for a in sys.argv if a.startswith("--calls=")), Path("/dev/shm/calls"))
    words = [a for a in sys.argv[1:] if not a.startswith("--")]
    sys.exit(1 if drive(int(words[0]), int(words[1]), words[2:], log) else 0)
