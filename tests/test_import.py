"""``import rustnn`` loads the core and little more; everything else is there when it is named."""

import pickle

import pytest

import rustnn
from fresh_interpreter import run

# What costs milliseconds or memory, and what most programs never use.
HEAVY = """
    argparse asyncio ast concurrent.futures ctypes dataclasses decimal difflib doctest email fractions hashlib http
    importlib.metadata importlib.resources inspect json logging lzma mmap multiprocessing numpy pathlib pickle platform
    pkgutil pprint queue random re shutil socket statistics subprocess tempfile tokenize traceback typing unittest
    urllib uuid zipfile
    rustnn.autograd.functional rustnn.datasets rustnn.linalg rustnn.nn rustnn.nn.functional rustnn.optim
    rustnn.serialization rustnn.utils.checkpoint rustnn.utils.data
""".split()


def test_an_import_loads_no_heavy_module():
    loaded = run("before = set(sys.modules); import rustnn; print(*(set(sys.modules) - before))", "-S")
    assert "rustnn._core" in loaded
    assert not set(loaded) & set(HEAVY)


def test_training_needs_neither_numpy_nor_other_heavy_libraries():
    loaded = run(
        """
import rustnn
model = rustnn.nn.Sequential(rustnn.nn.Linear(3, 4), rustnn.nn.ReLU(), rustnn.nn.Linear(4, 1))
optimizer = rustnn.optim.Adam(model.parameters())
loss = rustnn.nn.functional.mse_loss(model(rustnn.rand(5, 3)), rustnn.rand(5, 1))
loss.backward()
optimizer.step()
print(*sys.modules)
""",
        "-S",
    )  # without the site module, which loads what it likes
    assert "rustnn.optim.adam" in loaded
    assert not set(loaded) & {name for name in HEAVY if not name.startswith("rustnn")}


@pytest.mark.parametrize(
    "name",
    [
        "autograd.functional.jacobian",
        "autograd.gradcheck",
        "autograd.graph.saved_tensors_hooks",
        "broadcast_tensors",
        "datasets.digits",
        "einsum",
        "functional.einsum",
        "linalg.norm",
        "load",
        "nn.functional.relu",
        "nn.init.zeros_",
        "nn.Linear",
        "nn.modules.module.Module",
        "nn.utils.clip_grad_norm_",
        "nn.utils.rnn.pad_sequence",
        "no_grad",
        "optim.lr_scheduler.StepLR",
        "return_types",
        "save",
        "serialization.safe_globals",
        "set_printoptions",
        "summary",
        "utils.checkpoint.checkpoint",
        "utils.data.DataLoader",
        "utils.hooks.RemovableHandle",
    ],
)
def test_a_name_is_reached_from_the_bare_import(name):
    assert run(f"import rustnn; print(rustnn.{name} is not None, {name.split('.')[0]!r} in dir(rustnn))") == [
        "True",
        "True",
    ]


def test_submodules_import_under_other_names():
    assert (
        run("""
import rustnn.nn.functional as F
import rustnn as torch
from rustnn.utils.data import DataLoader
from rustnn import optim, nn
print(F is torch.nn.functional, DataLoader is torch.utils.data.DataLoader, optim.SGD is torch.optim.SGD)
""")
        == ["True"] * 3
    )


def test_a_star_import_brings_what_dir_shows():
    public = run("import rustnn; print(*(name for name in dir(rustnn) if not name.startswith('_')))")
    assert {"nn", "optim", "save", "einsum", "add", "no_grad", "Tensor"} <= set(public)
    assert set(public) <= set(run("from rustnn import *; print(*globals())"))


def test_a_pickle_loads_where_its_module_was_not_imported():
    model = rustnn.nn.Linear(2, 2)
    data = pickle.dumps((model, rustnn.optim.SGD(model.parameters(), lr=0.1).state_dict(), rustnn.float32))
    found = run(f"import pickle; layer, state, dtype = pickle.loads({data!r}); print(type(layer).__name__, dtype)")
    assert found == ["Linear", "torch.float32"]


def test_a_name_that_nobody_has_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'rustnn' has no attribute 'no_such_name'"):
        rustnn.no_such_name  # noqa: B018
    assert not hasattr(rustnn.optim, "no_such_name")
