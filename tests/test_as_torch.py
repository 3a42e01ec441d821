"""Programs that import torch run on rustnn: rustnn.as_torch and python -m rustnn."""

import subprocess
import sys

import pytest

PROGRAM = """
import sys
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.utils.data.distributed
from torch import Tensor
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset
import importlib.metadata
import rustnn

assert torch is rustnn and nn is rustnn.nn and Tensor is rustnn.Tensor and sys.modules["torch.nn"] is rustnn.nn
assert rustnn.nn.__spec__.name == "rustnn.nn"
assert importlib.metadata.version("torch").startswith("2.13")
assert __name__ == "__main__"

torch.manual_seed(0)
x = torch.randn(64, 3)
loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=16)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(20):
    for a, b in loader:
        optimizer.zero_grad()
        loss = F.mse_loss(model(a), b)
        loss.backward()
        optimizer.step()
print("learned", loss.item() < 1e-3, *sys.argv[1:])
"""


def run(*arguments, cwd=None):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, timeout=120)


def test_a_program_runs_with_its_arguments_and_its_neighbours(tmp_path):
    (tmp_path / "train.py").write_text("import helper\n" + PROGRAM)
    (tmp_path / "helper.py").write_text("import torch.nn\n")
    done = run("-m", "rustnn", str(tmp_path / "train.py"), "--epochs", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "learned True --epochs 3\n"


def test_modules_and_code_run_too(tmp_path):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__main__.py").write_text(PROGRAM)
    (tmp_path / "package" / "__init__.py").write_text("")
    assert run("-m", "rustnn", "-m", "package", "x", cwd=tmp_path).stdout == "learned True x\n"
    assert run("-m", "rustnn", "-c", "import torch, sys; print(torch.ones(2), sys.argv)", "y").stdout == (
        "tensor([1., 1.]) ['-c', 'y']\n"
    )


def test_what_is_not_there_is_said_as_python_says_it(tmp_path):
    missing = run("-m", "rustnn", "-c", "import torch.no_such_module")
    assert "ModuleNotFoundError: No module named 'torch.no_such_module'" in missing.stderr
    name = run("-m", "rustnn", "-c", "from torch import no_such_name")
    assert "ImportError: cannot import name 'no_such_name'" in name.stderr
    file = run("-m", "rustnn", str(tmp_path / "nowhere.py"))
    assert file.returncode == 2 and "no such file" in file.stderr
    assert run("-m", "rustnn").returncode == 2 and "usage:" in run("-m", "rustnn", "-h").stdout
    assert run("-m", "rustnn", "-m").returncode == 2


def test_an_exit_code_and_an_exception_are_the_programs(tmp_path):
    assert run("-m", "rustnn", "-c", "raise SystemExit(7)").returncode == 7
    failed = run("-m", "rustnn", "-c", "import torch; torch.ones(2) @ torch.ones(3)")
    assert failed.returncode == 1 and "RuntimeError" in failed.stderr


def test_pytorch_itself_is_not_replaced_once_it_is_there(tmp_path):
    (tmp_path / "torch.py").write_text("__version__ = '2.13.0'\n")
    code = "import torch, rustnn.as_torch; rustnn.as_torch.install()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert "RuntimeError: as_torch.install: PyTorch 2.13.0 is imported already" in done.stderr


@pytest.mark.parametrize("name", ["torch.nn.modules.linear", "torch.optim.adam", "torch.utils.data.dataloader"])
def test_every_module_has_one_identity_under_both_names(name):
    code = f"import {name}, sys; import rustnn; print(sys.modules['{name}'] is sys.modules['rustnn{name[5:]}'])"
    assert run("-m", "rustnn", "-c", code).stdout == "True\n"
