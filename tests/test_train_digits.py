"""The first lesson, run as it stands, and the summary table."""

import json
import os
import platform
import runpy
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

import rustnn
from rustnn import nn

LESSON = Path(__file__).parents[1] / "examples/train_digits.py"


@pytest.fixture(scope="module")
def lesson():
    return runpy.run_path(str(LESSON))


def test_two_epochs_already_read_most_digits_and_leave_their_files(lesson, tmp_path):
    args = Namespace(epochs=2, lr=3e-3, batch_size=64, seed=0, device="cpu")
    network, optimizer, history = lesson["train"](args)
    assert len(history) == 2
    assert history[-1][0] < history[0][0]
    assert history[-1][2] > 0.9
    lesson["save"](network, optimizer, history, tmp_path)
    checkpoint = rustnn.load(tmp_path / "digits.pt")
    twin = lesson["DigitNet"]()
    twin.load_state_dict(checkpoint["network"])
    again = rustnn.optim.Adam(twin.parameters())
    again.load_state_dict(checkpoint["optimizer"])
    assert again.state_dict()["state"][0]["step"].item() == 46
    _, test = rustnn.datasets.digits()
    images = test.tensors[0][:8]
    network.eval()
    twin.eval()
    assert twin(images).tolist() == network(images).tolist()
    assert (tmp_path / "digits.safetensors").stat().st_size > 38_378 * 4


def test_the_same_seed_gives_the_same_training(lesson):
    args = Namespace(epochs=1, lr=3e-3, batch_size=64, seed=3, device="cpu")
    assert lesson["train"](args)[2] == lesson["train"](args)[2]


def test_the_lesson_runs_from_the_command_line(tmp_path):
    command = [sys.executable, str(LESSON), "--epochs", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "epoch  1/1" in done.stdout
    assert "strokes (Conv2d)" in done.stdout
    assert done.stderr == ""  # no progress bar where nobody looks on
    assert (tmp_path / "digits.png").exists() or "matplotlib is not installed" in done.stdout


def test_the_losses_are_those_recorded_for_the_twin_in_rust():
    # tests/rust/digits.rs holds the Rust lesson to the same file.
    recorder = runpy.run_path(str(LESSON.parents[1] / "tests/golden/record_rust_digits.py"))
    code = f"import json, runpy; print(json.dumps(runpy.run_path({recorder['__file__']!r})['record']()['losses']))"
    environment = {**os.environ, "RUSTNN_SIMD": recorder["LEVEL"]}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    losses, recorded = json.loads(done.stdout), rustnn.load(recorder["TARGET"])["losses"]
    assert len(losses) == len(recorded) == 46
    # Machines of other families have other levels, whose rounding training amplifies.
    comparable = 46 if platform.machine() in ("x86_64", "AMD64") else 1
    assert losses[:comparable] == pytest.approx(recorded[:comparable], abs=1e-6)


def test_the_median_of_five_seeds_reads_98_percent(lesson):
    accuracies = []
    for seed in range(5):
        args = Namespace(epochs=20, lr=3e-3, batch_size=64, seed=seed, device="cpu")
        accuracies.append(lesson["train"](args)[2][-1][2])
    assert sorted(accuracies)[2] >= 0.98


def test_a_summary_lists_layers_shapes_parameters_and_multiply_adds():
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, groups=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 6 * 6, 10, bias=False),
    )
    network[3].weight.requires_grad_(False)
    network.train()
    network[1].eval()
    found = rustnn.summary(network, (2, 1, 6, 6))
    assert [row["kind"] for row in found.rows] == ["Conv2d", "ReLU", "Flatten", "Linear"]
    assert [row["output_shape"] for row in found.rows] == [(2, 4, 6, 6), (2, 4, 6, 6), (2, 144), (2, 10)]
    assert [row["parameters"] for row in found.rows] == [40, 0, 0, 1440]
    assert [row["multiply_adds"] for row in found.rows] == [2 * 4 * 36 * 9, None, None, 2 * 1440]
    assert (found.parameters, found.trainable_parameters) == (1480, 40)
    assert "of these parameters 1,440 are not trained" in str(found)
    assert network.training and network[0].training and not network[1].training
    assert not network[0]._forward_hooks


def test_a_summary_counts_grouped_and_transposed_convolutions():
    grouped = rustnn.summary(nn.Conv2d(4, 8, 3, groups=2), (1, 4, 5, 5))
    assert grouped.multiply_adds == 8 * 9 * (2 * 9)
    transposed = rustnn.summary(nn.ConvTranspose2d(4, 8, 2, stride=2), (1, 4, 3, 3))
    assert transposed.multiply_adds == 4 * 9 * (8 * 4)


def test_a_layer_called_twice_is_listed_once_with_the_work_of_both_calls():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            return self.layer(self.layer(x))

    found = rustnn.summary(Twice(), (1, 3))
    assert [(row["name"], row["multiply_adds"]) for row in found.rows] == [("layer", 18)]
    assert found.parameters == 12
