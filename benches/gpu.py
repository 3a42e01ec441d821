"""What the GPU device costs and gives: µs a dispatch, dispatches a training step, bytes and multiply-adds a second.

    python benches/gpu.py                  prints the table
    python benches/gpu.py --write          also writes it into benches/README.md

The adapter's name stands above the table. On one that the CPU imitates (lavapipe) only the counts mean something.
"""

import argparse
import time
from pathlib import Path

import rustnn
from rustnn import nn
from rustnn.nn import functional as F

README = Path(__file__).with_name("README.md")
START, END = "<!-- gpu: written by benches/gpu.py -->", "<!-- end of gpu -->"


def seconds(run, rounds=5):
    """The least time of a call, waiting for the device included."""
    best = float("inf")
    run()
    rustnn.gpu.synchronize()
    for _ in range(rounds):
        start = time.perf_counter()
        run()
        rustnn.gpu.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def dispatch():
    """µs of one small op among many, recorded and run."""
    x = rustnn.ones(16, device="gpu")
    count = 1000

    def run():
        y = x
        for _ in range(count):
            y = y + 1

    return seconds(run) / count * 1e6


def bandwidth(op, elements, arrays):
    """GB/s read and written by an elementwise op."""
    x = rustnn.randn(elements, device="gpu")
    return 4 * elements * arrays / seconds(lambda: op(x)) / 1e9


def product(n):
    """GFLOP/s of an n x n x n product."""
    a, b = rustnn.randn(n, n, device="gpu"), rustnn.randn(n, n, device="gpu")
    return 2 * n**3 / seconds(lambda: a @ b, 3) / 1e9


class Attention(nn.Module):
    """A block of a GPT."""

    def __init__(self, width=64, heads=4):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (p.view(b, t, self.heads, -1).transpose(1, 2) for p in self.mix(self.norm1(x)).chunk(3, -1))
        weights = (q @ k.transpose(-1, -2) * (c // self.heads) ** -0.5).softmax(-1)
        x = x + self.out((weights @ v).transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


def models():
    """(name, model, input, target)."""
    labels = rustnn.randint(0, 10, (32,))
    yield (
        "MLP 784-256-10, batch 32",
        nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)),
        (32, 784),
        labels,
    )
    cnn = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 49, 10),
    )
    yield "CNN 1x14x14, batch 32", cnn, (32, 1, 14, 14), labels
    gpt = nn.Sequential(Attention(), Attention(), nn.LayerNorm(64), nn.Linear(64, 50), nn.Flatten(0, 1))
    yield "GPT of 2 blocks, width 64, 4 x 32 tokens", gpt, (4, 32, 64), rustnn.randint(0, 50, (128,))


def step_of(model, shape, target, device):
    """Dispatches, waits and ms of a training step with Adam."""
    model.to(device)
    optimizer = rustnn.optim.Adam(model.parameters())
    x, target = rustnn.randn(shape).to(device), target.to(device)

    def run():
        optimizer.zero_grad()
        F.cross_entropy(model(x), target).backward()
        optimizer.step()

    if device == "cpu":
        run()
        start = time.perf_counter()
        for _ in range(5):
            run()
        return (time.perf_counter() - start) / 5 * 1e3
    run()
    before = rustnn.gpu._counts()
    run()
    dispatches, waits = (b - a for a, b in zip(before, rustnn.gpu._counts(), strict=True))
    return dispatches, waits, seconds(run) * 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the table into benches/README.md")
    parser.add_argument("--sizes", type=int, nargs="*", default=[512, 1024], help="sides of the products")
    parser.add_argument("--elements", type=int, default=1 << 22, help="size of the elementwise operands")
    args = parser.parse_args()
    name = rustnn.gpu.device_name()
    imitated = "llvmpipe" in name.lower() or "swiftshader" in name.lower()
    lines = [f"{name}{'; the CPU imitates it, so that only the counts mean something' if imitated else ''}.", ""]
    lines += ["| what | figure |", "|---|---:|", f"| a small op, recorded and run | {dispatch():.1f} µs |"]
    lines.append(f"| copy | {bandwidth(lambda x: x.clone(), args.elements, 2):.2f} GB/s |")
    lines.append(f"| relu | {bandwidth(rustnn.relu, args.elements, 2):.2f} GB/s |")
    lines.append(f"| x * x + x | {bandwidth(lambda x: rustnn.addcmul(x, x, x), args.elements, 2):.2f} GB/s |")
    lines += [f"| matmul {n} | {product(n):.1f} GFLOP/s |" for n in args.sizes]
    lines += [
        "",
        "| training step, Adam | dispatches | waits | ms | ms on the CPU device |",
        "|---|---:|---:|---:|---:|",
    ]
    for label, model, shape, target in models():
        here = step_of(model, shape, target, "cpu")
        dispatches, waits, there = step_of(model, shape, target, "gpu")
        lines.append(f"| {label} | {dispatches} | {waits} | {there:.2f} | {here:.2f} |")
    table = "\n".join(lines)
    print(table)
    if args.write:
        text = README.read_text()
        head, rest = text.split(START)
        README.write_text(f"{head}{START}\n{table}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
