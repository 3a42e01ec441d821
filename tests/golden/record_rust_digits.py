"""Writes tests/golden/rust/digits.pt: the losses of examples/train_digits.py, which its Rust twin has to give too.

Run with the package: RUSTNN_SIMD=sse4.2 python tests/golden/record_rust_digits.py

Sums are rounded as the SIMD level adds them up, so the level is part of the record; every x86-64 has this one.
"""

import contextlib
import io
import runpy
from argparse import Namespace
from pathlib import Path

import rustnn

LEVEL = "sse4.2"
TARGET = Path(__file__).with_name("rust") / "digits.pt"


def record():
    """The loss of each step, what each epoch gave, and the network after two epochs."""
    lesson = runpy.run_path(str(Path(__file__).parents[2] / "examples/train_digits.py"))
    losses = []

    class Recorder:
        @staticmethod
        def cross_entropy(scores, labels, **options):
            loss = rustnn.nn.functional.cross_entropy(scores, labels, **options)
            if rustnn.is_grad_enabled():
                losses.append(loss.item())
            return loss

    lesson["train"].__globals__["F"] = Recorder
    args = Namespace(epochs=2, lr=3e-3, batch_size=64, seed=0, device="cpu")
    with contextlib.redirect_stdout(io.StringIO()):
        network, _, history = lesson["train"](args)
    return {"losses": losses, "history": [list(epoch) for epoch in history], "network": network.state_dict()}


if __name__ == "__main__":
    rustnn.save(record(), TARGET)
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")
