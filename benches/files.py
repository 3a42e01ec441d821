"""Measures saving and loading a checkpoint of 1 GiB against PyTorch.

    python benches/files.py [--folder /path/on/the/disk] [--mib 1024] [--rounds 5]

Each library runs in its own process; the two take turns, and the median over the rounds counts. `save` is measured to
the page cache's end (tmpfs, where syncing costs nothing) and to the disk's: ours syncs before the file takes its name,
so PyTorch's `save` is shown with and without `os.fsync`. Loading is from a warm page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TENSORS = 64


def state(t: Any, mib: int) -> dict[str, Any]:
    count = (mib << 20) // 4 // TENSORS
    return {f"layers.{i}.weight": t.randn(count) for i in range(TENSORS)}


def touch(value: dict[str, Any]) -> None:
    for tensor in value.values():
        tensor[0].item()


def work(library: str, mib: int) -> None:
    """Answers lines `action folder` with seconds."""
    t = __import__(library)
    if library == "rustnn":
        safetensors = t.safetensors
    else:
        import safetensors.torch as safetensors
    value = state(t, mib)

    def fsync_saved(path: Path) -> None:
        t.save(value, path)
        with open(path, "rb+") as file:
            os.fsync(file.fileno())

    actions = {
        "save": lambda path: t.save(value, path),
        "save and fsync": fsync_saved if library == "torch" else lambda path: t.save(value, path),
        "load": lambda path: touch(t.load(path)),
        "load, trusted": lambda path: touch(t.load(path, weights_only=False)),
        "load, mapped": lambda path: touch(t.load(path, mmap=True)),
        "safetensors save": lambda path: safetensors.save_file(value, path.with_suffix(".safetensors")),
        "safetensors load": lambda path: touch(safetensors.load_file(path.with_suffix(".safetensors"))),
    }
    print("ready", flush=True)
    for line in sys.stdin:
        action, folder = json.loads(line)
        path = Path(folder) / f"{library}.pt"
        # What the last action left to be written must not be this one's time.
        os.sync()
        start = time.perf_counter()
        actions[action](path)
        print(json.dumps(time.perf_counter() - start), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Saving and loading 1 GiB.")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="a folder on the disk")
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if options.work:
        work(options.work, options.mib)
        return
    rows = [("disk", name) for name in ("save", "save and fsync", "load", "load, trusted", "load, mapped")]
    rows += [("disk", name) for name in ("safetensors save", "safetensors load")]
    folders = {"disk": tempfile.TemporaryDirectory(dir=options.folder)}
    if os.path.isdir("/dev/shm"):
        folders["tmpfs"] = tempfile.TemporaryDirectory(dir="/dev/shm")
        rows = [("tmpfs", "save"), ("tmpfs", "load"), *rows]
    workers = {}
    for library in ("rustnn", "torch"):
        command = [sys.executable, __file__, "--work", library, "--mib", str(options.mib)]
        worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert worker.stdout is not None and worker.stdout.readline() == "ready\n"
        workers[library] = worker
    print(f"{options.mib} MiB in {TENSORS} tensors, median of {options.rounds} rounds, milliseconds")
    print("| where | what | rustnn | PyTorch | PyTorch / rustnn |")
    print("|---|---|---:|---:|---:|")
    for where, action in rows:
        times: dict[str, list[float]] = {library: [] for library in workers}
        for _ in range(options.rounds):
            for library, worker in workers.items():
                assert worker.stdin is not None and worker.stdout is not None
                worker.stdin.write(json.dumps([action, folders[where].name]) + "\n")
                worker.stdin.flush()
                times[library].append(float(worker.stdout.readline()))
        ours, theirs = (statistics.median(times[library]) * 1e3 for library in ("rustnn", "torch"))
        print(f"| {where} | {action} | {ours:.1f} | {theirs:.1f} | {theirs / ours:.2f} |", flush=True)
    for worker in workers.values():
        assert worker.stdin is not None
        worker.stdin.close()
        worker.wait()
    for folder in folders.values():
        folder.cleanup()


if __name__ == "__main__":
    main()
