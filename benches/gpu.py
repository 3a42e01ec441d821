"""What the GPU device costs and gives, beside what the adapter can do at most.

    python benches/gpu.py                  prints the tables
    python benches/gpu.py --write          also writes them into benches/README.md

The adapter's own limits are measured first: the driver's copy from buffer to buffer, and multiply-adds in registers.
Kernels' times are those of the device's clock. On an adapter that the CPU imitates (lavapipe) arrays are small, a
product of 4096 runs once, and only the counts mean something.
"""

import argparse
import time
from pathlib import Path

import rustnn
from rustnn import _core, nn
from rustnn.nn import functional as F

README = Path(__file__).with_name("README.md")
START, END = "<!-- gpu: written by benches/gpu.py -->", "<!-- end of gpu -->"
# A device that checks and runs nothing: what recording alone takes.
RECORDER = "gpu:65535"


def seconds(run, rounds=3, least=0.02, most=5.0):
    """The least time of a call, among as many in a row as take `least` seconds together; one of `most` is enough."""
    count = 1
    start = time.perf_counter()
    run()
    rustnn.gpu.synchronize()
    best = time.perf_counter() - start
    if best > most:
        return best
    best = float("inf")
    while rounds:
        start = time.perf_counter()
        for _ in range(count):
            run()
        rustnn.gpu.synchronize()
        elapsed = time.perf_counter() - start
        if elapsed < least:
            count *= 2
            continue
        best = min(best, elapsed / count)
        rounds -= 1
    return best


def dispatch(device, count=1000):
    """µs of one small op among many, by the wall clock and by the CPU time of this thread alone."""
    x = rustnn.ones(16, device=device)

    def run():
        y = x
        for _ in range(count):
            y = y + 1

    run()
    wall, own = float("inf"), float("inf")
    for _ in range(5):
        start, thread = time.perf_counter(), time.thread_time()
        run()
        if device != RECORDER:
            rustnn.gpu.synchronize()
        wall, own = min(wall, time.perf_counter() - start), min(own, time.thread_time() - thread)
    return wall / count * 1e6, own / count * 1e6


def copy_limit(elements):
    """GB/s read and written by the driver's own copy."""
    return 8 * elements / seconds(lambda: _core._gpu_buffer_copy(0, 4 * elements)) / 1e9


def fma_limit(loops):
    """GFLOP/s of multiply-adds in registers."""
    operations = _core._gpu_fma_loop(0, loops)
    return operations / seconds(lambda: _core._gpu_fma_loop(0, loops)) / 1e9


def bandwidth(op, elements, arrays):
    """GB/s read and written by an elementwise op."""
    x = rustnn.rand(elements, device="gpu")
    return 4 * elements * arrays / seconds(lambda: op(x)) / 1e9


def product(m, k, n):
    """Seconds of a product."""
    a, b = rustnn.rand(m, k, device="gpu"), rustnn.rand(k, n, device="gpu")
    return seconds(lambda: a @ b)


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
    """Of a training step with Adam: ms, dispatches, waits, and ms of its kernels (None: the adapter has no clock)."""
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
        return (time.perf_counter() - start) / 5 * 1e3, 0, 0, None
    run()
    before = rustnn.gpu._counts()
    run()
    dispatches, waits = (b - a for a, b in zip(before, rustnn.gpu._counts(), strict=True))
    ms = seconds(run) * 1e3
    try:
        _core._gpu_start_profile(0)
    except RuntimeError:
        return ms, dispatches, waits, None
    run()
    return ms, dispatches, waits, sum(ns for _, _, ns in _core._gpu_end_profile(0)) / 1e6


def table(sizes, elements, loops):
    """The lines of both tables."""
    wall, own = dispatch("gpu")
    _, recorded = dispatch(RECORDER)
    copy, peak = copy_limit(elements), fma_limit(loops)
    yield from ("| what | figure | of the limit |", "|---|---:|---:|")
    yield f"| a small op, recorded and run | {wall:.1f} µs | |"
    yield f"| of that, this program's thread | {own:.1f} µs | |"
    yield f"| a small op on a device that runs nothing, this program's thread | {recorded:.1f} µs | |"
    yield f"| limit: the driver's copy of {4 * elements >> 20} MiB | {copy:.2f} GB/s | 1 |"
    yield f"| limit: multiply-adds in registers, f32 | {peak:.1f} GFLOP/s | 1 |"
    for label, op, arrays in [
        ("clone", lambda x: x.clone(), 2),
        ("relu", rustnn.relu, 2),
        ("x + x", lambda x: x + x, 2),
        ("tanh", rustnn.tanh, 2),
        ("softmax of rows of 1024", lambda x: x.view(-1, 1024).softmax(1), 2),
        ("sum", rustnn.sum, 1),
    ]:
        rate = bandwidth(op, elements, arrays)
        yield f"| {label} | {rate:.2f} GB/s | {rate / copy:.2f} |"
    for n in sizes:
        rate = 2 * n**3 / product(n, n, n) / 1e9
        yield f"| matmul {n} | {rate:.1f} GFLOP/s | {rate / peak:.2f} |"
    n = sizes[-1]
    for label, (m, k, c) in [("matrix times vector", (n, n, 1)), ("vector times matrix", (1, n, n))]:
        rate = 4 * n * n / product(m, k, c) / 1e9
        yield f"| {label}, {n} | {rate:.2f} GB/s | {rate / copy:.2f} |"
    yield ""
    yield "| training step, Adam | dispatches | waits | ms | ms of its kernels | ratio | ms on the CPU device |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for label, model, shape, target in models():
        here = step_of(model, shape, target, "cpu")[0]
        there, dispatches, waits, kernels = step_of(model, shape, target, "gpu")
        alone, ratio = ("-", "-") if kernels is None else (f"{kernels:.2f}", f"{there / kernels:.2f}")
        yield f"| {label} | {dispatches} | {waits} | {there:.2f} | {alone} | {ratio} | {here:.2f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the tables into benches/README.md")
    parser.add_argument("--sizes", type=int, nargs="*", help="sides of the products")
    parser.add_argument("--elements", type=int, help="size of the elementwise operands")
    parser.add_argument("--loops", type=int, help="length of the loop of multiply-adds")
    args = parser.parse_args()
    name = rustnn.gpu.device_name()
    imitated = "llvmpipe" in name.lower() or "swiftshader" in name.lower()
    sizes = args.sizes or [512, 1024, 2048, 4096]
    elements, loops = args.elements or (1 << 20 if imitated else 1 << 26), args.loops or (16 if imitated else 4096)
    lines = [f"{name}{'; the CPU imitates it, so that only the counts mean something' if imitated else ''}.", ""]
    print("\n".join(lines))
    for line in table(sizes, elements, loops):
        print(line, flush=True)
        lines.append(line)
    if args.write:
        text = README.read_text()
        head, rest = text.split(START)
        written = "\n".join(lines)
        README.write_text(f"{head}{START}\n{written}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
