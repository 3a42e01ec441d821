"""Records the programs that the Rust tests run, with inputs, outputs and gradients.

`python tests/golden/record_programs.py` writes into tests/golden/programs:

`NAME.safetensors` is the program, `NAME.cases.safetensors` holds for two batch sizes what the module itself gave:
`CASE.input.I`, `CASE.output.I`, and `CASE.grad.NAME` of the sum of all outputs' sums for each parameter.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "python")]

import export_models  # noqa: E402
import rustnn  # noqa: E402

NAMES = ("mlp", "cnn", "gpt", "gpt_loss", "lstm", "writes")


# Programs with guards, of which nothing but the file is recorded.
GUARDED = {"steps": export_models.STEPS_SIZES}


def leaves(value):
    if isinstance(value, rustnn.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    return [leaf for item in items for leaf in leaves(item)]


def record(name):
    rustnn.manual_seed(0)
    if name in GUARDED:
        module, example = getattr(export_models, name)()
        program = rustnn.export(module, example, dynamic_shapes=GUARDED[name])
        program.save(HERE / "programs" / f"{name}.safetensors")
        return
    module, example = export_models.ALL[name]()
    program = rustnn.export(module, example)
    program.save(HERE / "programs" / f"{name}.safetensors")
    cases = {}
    for case, batch in enumerate((2, 5)):
        inputs = [rustnn.cat([t, t.flip(0), t * 0 + 1])[:batch] for t in example]
        outputs = leaves(module(*inputs))
        module.zero_grad()
        sum(out.sum() for out in outputs if out.requires_grad).backward()
        cases |= {f"{case}.input.{i}": t for i, t in enumerate(inputs)}
        cases |= {f"{case}.output.{i}": t.detach() for i, t in enumerate(outputs)}
        cases |= {f"{case}.grad.{n}": p.grad for n, p in module.named_parameters() if p.grad is not None}
    rustnn.safetensors.save_file(cases, HERE / "programs" / f"{name}.cases.safetensors")


if __name__ == "__main__":
    (HERE / "programs").mkdir(exist_ok=True)
    for name in sys.argv[1:] or (*NAMES, *GUARDED):
        record(name)
