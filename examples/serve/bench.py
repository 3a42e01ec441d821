"""Measures the server beside PyTorch behind FastAPI: the same weights, requests and machine, by turns.

    python bench.py --serve target/release/rustnn-serve --load target/release/load

needs PyTorch, FastAPI and uvicorn[standard] beside rustnn, and prints the rows of the README's table.
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
import urllib.error
import urllib.request
from pathlib import Path

PEER = """
import json, os, torch
from fastapi import FastAPI, Request, Response
from torch import nn

torch.set_num_threads(int(os.environ.get("THREADS", "1")))
layers = [nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10), nn.Softmax(-1)]
model = nn.Sequential(*layers)
model.load_state_dict(torch.load(os.environ["MODEL"]))
model.eval()
app = FastAPI()

@app.get("/health")
def health():
    return "ok"

@app.post("/predict")
async def predict(request: Request):
    inputs = torch.tensor((await request.json())["inputs"])
    with torch.inference_mode():
        outputs = model(inputs)
    return {"outputs": [outputs.tolist()]}
"""


def wait(url: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(url, timeout=1).read()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--serve", required=True)
    options.add_argument("--load", required=True)
    options.add_argument("--seconds", type=int, default=30)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--connections", type=int, default=64)
    given = options.parse_args()

    import rustnn
    from rustnn import nn

    folder = Path(tempfile.mkdtemp())
    rustnn.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10), nn.Softmax(-1)
    ).eval()
    x = rustnn.rand(1, 784)
    rustnn.export(net, (x,)).save(folder / "model.safetensors")
    rustnn.save(net.state_dict(), folder / "model.pt")
    body = folder / "body.json"
    body.write_text(json.dumps({"inputs": [[round(v, 4) for v in x[0].tolist()]]}))
    (folder / "peer.py").write_text(PEER)

    environment = {**os.environ, "MODEL": str(folder / "model.pt"), "PYTHONPATH": str(folder)}
    uvicorn = [sys.executable, "-m", "uvicorn", "peer:app", "--log-level", "error", "--port", "8091"]
    servers = {
        "rustnn": ([given.serve, str(folder / "model.safetensors"), "--listen", "127.0.0.1:8091"], environment),
        "PyTorch, FastAPI, 1 worker": (uvicorn, {**environment, "THREADS": "2"}),
        "PyTorch, FastAPI, 2 workers": ([*uvicorn, "--workers", "2"], {**environment, "THREADS": "1"}),
    }
    found: dict[str, list[dict]] = {name: [] for name in servers}
    answers = []
    for _ in range(given.rounds):
        for name, (command, environ) in servers.items():
            server = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)
            try:
                wait("http://127.0.0.1:8091/health")
                request = urllib.request.Request(
                    "http://127.0.0.1:8091/predict", body.read_bytes(), {"content-type": "application/json"}
                )
                answers.append(json.loads(urllib.request.urlopen(request).read())["outputs"][0][0])
                command = [given.load, "http://127.0.0.1:8091/predict", str(body)]
                command += ["--connections", str(given.connections), "--seconds"]
                subprocess.run([*command, "2"], check=True, stdout=subprocess.DEVNULL)  # warm
                result = subprocess.run([*command, str(given.seconds)], check=True, stdout=subprocess.PIPE)
                found[name].append(json.loads(result.stdout))
                print(name, result.stdout.decode().strip(), file=sys.stderr)
            finally:
                server.terminate()
                server.wait()
    worst = max(abs(a - b) for answer in answers for a, b in zip(answer, answers[0], strict=True))
    print(f"largest difference between the answers: {worst:.1e}")
    print("| server | requests/s | p50 ms | p99 ms | errors |\n|---|---:|---:|---:|---:|")
    for name, runs in found.items():
        middle = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        errors = sum(run["errors"] for run in runs)
        print(
            f"| {name} | {middle['requests_per_s']:,.0f} | {middle['p50_ms']:.1f} | {middle['p99_ms']:.1f} | {errors} |"
        )


if __name__ == "__main__":
    main()
