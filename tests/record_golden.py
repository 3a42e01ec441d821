"""Writes tests/golden/ops/ from PyTorch 2.13: values and gradients of every line of tests/references.py.

Run it after a change of the table, in the venv of `make parity`:

    .venv-parity/bin/python tests/record_golden.py [family …]

Seeds are fixed, so that only what changed in the table changes in the files.
"""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch

import golden_files
from references import DTYPES, FAMILIES, OPS, Case, Op, cotangent, flatten


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def stored(x: torch.Tensor) -> golden_files.Stored:
    # Gradients that PyTorch knows to be zero have no memory.
    x = torch.zeros_like(x) if x._is_zerotensor() else x.detach().clone(memory_format=torch.contiguous_format)
    data = x.reshape(-1).view(torch.uint8).numpy().tobytes() if x.numel() else b""
    return name_of(x.dtype), tuple(x.shape), data


def plain(value: Any) -> Any:
    """A result that is not a tensor, as JSON."""
    return value if not isinstance(value, float) or math.isfinite(value) else repr(value)


def record(case: Case) -> tuple[dict[str, golden_files.Stored], str]:
    numbers = case.numbers()
    args, kwargs, tensors = case.build(torch, numbers, requires_grad=case.op.differentiable)
    results = flatten(case.op.call(torch, *args, **kwargs))
    found = {f"{case.key}.in{k}": stored(x) for k, x in enumerate(tensors)}
    about: dict[str, Any] = {"call": f"{case.op.name}({case.sample.describe()})", "out": []}
    outputs, cotangents = [], []
    for k, out in enumerate(results):
        if not isinstance(out, torch.Tensor):
            about["out"].append({"value": plain(out)})
            continue
        found[f"{case.key}.out{k}"] = stored(out)
        entry: dict[str, Any] = {}
        if out.grad_fn is not None:
            entry["grad_fn"] = out.grad_fn.name()
        if out.requires_grad:
            outputs.append(out)
            cotangents.append(torch.tensor(cotangent(tuple(out.shape))).to(out.dtype))
        if out._base is not None or any(out is x for x in tensors):
            entry["view"] = list(out.stride())
        about["out"].append(entry)
    leaves = [(k, x) for k, x in enumerate(tensors) if x.requires_grad]
    if outputs and leaves:
        grads = torch.autograd.grad(outputs, [x for _, x in leaves], cotangents, allow_unused=True)
        for (k, _), grad in zip(leaves, grads, strict=True):
            if grad is not None:
                found[f"{case.key}.grad{k}"] = stored(grad)
    return found, json.dumps(about, separators=(",", ":"))


def attempt(call: Callable) -> str:
    """The dtype of the result, or the class of the exception."""
    try:
        return name_of(call().dtype)
    except Exception as error:
        return type(error).__name__


def dtype_rules(line: Op) -> dict[str, list[str]]:
    """Result dtypes of an elementwise op, in the order of DTYPES: for tensors, and for a tensor with a number."""
    rules: dict[str, list[str]] = {}
    call = line.call
    arguments = line.samples[0].args[1:] if line.elementwise == 1 else ()
    tensors = [torch.ones(2, dtype=getattr(torch, name)) for name in DTYPES]
    if line.elementwise == 1:
        rules["tensor"] = [attempt(lambda x=x: call(torch, x, *arguments)) for x in tensors]
        return rules
    rules["tensor, tensor"] = [attempt(lambda x=x, y=y: call(torch, x, y)) for x in tensors for y in tensors]
    rules["tensor, 0-dim"] = [attempt(lambda x=x, y=y: call(torch, x, y[0])) for x in tensors for y in tensors]
    for name, number in (("int", 2), ("float", 2.5), ("bool", True)):
        rules[f"tensor, {name}"] = [attempt(lambda x=x, n=number: call(torch, x, n)) for x in tensors]
        rules[f"{name}, tensor"] = [attempt(lambda x=x, n=number: call(torch, n, x)) for x in tensors]
    return rules


def main(families: list[str]) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    golden_files.FOLDER.mkdir(parents=True, exist_ok=True)
    failures = []
    for name in families or FAMILIES:
        tensors: dict[str, golden_files.Stored] = {}
        metadata: dict[str, str] = {}
        for line in OPS.values():
            for case in line.cases() if line.family == name else ():
                try:
                    found, about = record(case)
                except Exception as error:
                    failures.append(
                        f"{case.key}: {line.name}({case.sample.describe()}): {type(error).__name__}: {str(error)[:200]}"
                    )
                    continue
                tensors.update(found)
                metadata[case.key] = about
        path = golden_files.FOLDER / f"{name}.safetensors"
        golden_files.write(path, tensors, metadata)
        print(f"{path.name}: {len(metadata)} cases, {path.stat().st_size / 1e3:.0f} kB")
    rules = {line.name: dtype_rules(line) for line in OPS.values() if line.elementwise}
    text = json.dumps(rules, separators=(",", ":")).replace('},"', '},\n"')
    (golden_files.FOLDER / "dtypes.json").write_text(text + "\n")
    print("\n".join(failures))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main(sys.argv[1:])
