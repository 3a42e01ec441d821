"""PyTorch reads what rustnn-io writes: each file goes torch -> rustnn-io -> torch and must come back equal.

The Rust side is the example `checkpoint` of src/io (built here; RUSTNN_CHECKPOINT names a built one). What the Python
package writes and reads is in test_files_exchange.py.
"""

import collections
import os
import pathlib
import subprocess
import sys
import time
import zipfile

import pytest
import torch
from torch.utils.serialization import config as serialization_config

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/golden/files"))
import record  # noqa: E402

CASES = dict(record.cases())
del CASES["beyond_torch"]  # its weights_only reader lacks the instructions


@pytest.fixture(scope="session")
def tool():
    built = os.environ.get("RUSTNN_CHECKPOINT")
    if built:
        return built
    command = ["cargo", "build", "-q", "-p", "rustnn-io", "--example", "checkpoint"]
    subprocess.run(command, cwd=ROOT, check=True)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return str(target / "debug/examples/checkpoint")


def rewrite(tool, source, target):
    subprocess.run([tool, "rewrite", str(source), str(target)], check=True)


def content(value):
    return record.Description()(value)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("legacy", [False, True])
def test_torch_reads_what_we_write(tool, tmp_path, name, legacy):
    value = CASES[name]
    if legacy and name == "storages":
        pytest.skip("torch cannot save an untyped storage beside tensors in its legacy format")
    torch.save(value, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    rewrite(tool, tmp_path / "a.pt", tmp_path / "b.pt")
    # Untyped storages come back typed from torch's own files too.
    expected = torch.load(tmp_path / "a.pt", weights_only=True) if "storage" in name else value
    assert content(torch.load(tmp_path / "b.pt", weights_only=True)) == content(expected)


@pytest.mark.parametrize("name", ["views", "state_dict", "adam", "dtype_bfloat16", "parameters"])
def test_torch_maps_what_we_write(tool, tmp_path, name):
    torch.save(CASES[name], tmp_path / "a.pt")
    rewrite(tool, tmp_path / "a.pt", tmp_path / "b.pt")
    assert content(torch.load(tmp_path / "b.pt", weights_only=True, mmap=True)) == content(CASES[name])


@pytest.mark.parametrize("name", ["views", "state_dict", "adam", "empty"])
def test_torch_calculates_our_storage_offsets(tool, tmp_path, name, monkeypatch):
    torch.save(CASES[name], tmp_path / "a.pt")
    rewrite(tool, tmp_path / "a.pt", tmp_path / "b.pt")
    monkeypatch.setenv("TORCH_SERIALIZATION_DEBUG", "1")
    with serialization_config.patch("load.calculate_storage_offsets", True):
        assert content(torch.load(tmp_path / "b.pt", weights_only=True, mmap=True)) == content(CASES[name])


def test_our_archives_are_valid_zip_files(tool, tmp_path):
    torch.save(CASES["adam"], tmp_path / "a.pt")
    rewrite(tool, tmp_path / "a.pt", tmp_path / "b.pt")
    with zipfile.ZipFile(tmp_path / "b.pt") as ours, zipfile.ZipFile(tmp_path / "a.pt") as theirs:
        assert ours.testzip() is None
        assert [n.partition("/")[2] for n in ours.namelist()] == [n.partition("/")[2] for n in theirs.namelist()]


def test_python_reads_our_pickles_of_empty_bytes(tool, tmp_path):
    torch.save([b"", b"a"], tmp_path / "a.pt")
    rewrite(tool, tmp_path / "a.pt", tmp_path / "b.pt")
    with pytest.raises(Exception, match="bytes"):
        torch.load(tmp_path / "a.pt", weights_only=True)
    assert torch.load(tmp_path / "b.pt", weights_only=True) == [b"", b"a"]


def test_a_model_loads_the_state_dict_we_write(tool, tmp_path):
    model = record.Model()
    torch.save(model.state_dict(), tmp_path / "a.pt")
    rewrite(tool, tmp_path / "a.pt", tmp_path / "b.pt")
    state = torch.load(tmp_path / "b.pt", weights_only=True)
    assert type(state) is collections.OrderedDict and state._metadata == model.state_dict()._metadata
    record.Model().load_state_dict(state)


def test_whole_models_keep_their_classes_and_state(tool, tmp_path):
    model = torch.nn.Sequential(
        record.Model(),
        torch.nn.LSTM(3, 2),
        torch.nn.ModuleDict({"conv": torch.nn.Conv2d(1, 2, 3), "act": torch.nn.GELU()}),
        torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(2, 2)).parametrizations,
    )
    value = {"model": model, "path": pathlib.PurePosixPath("a/b"), "slice": slice(1, 2), "set": frozenset([1])}
    for protocol in (2, 4, 5):
        torch.save(value, tmp_path / "a.pt", pickle_protocol=protocol)
        rewrite(tool, tmp_path / "a.pt", tmp_path / "b.pt")
        loaded = torch.load(tmp_path / "b.pt", weights_only=False)
        assert repr(loaded) == repr(value)
        assert content(loaded["model"].state_dict()) == content(model.state_dict())


def test_big_endian_files_are_swapped(tool, tmp_path):
    values = {name: record.sample(getattr(torch, name), 3, 2) for name in record.DTYPES}
    torch.save(values, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as source, zipfile.ZipFile(tmp_path / "big.pt", "w") as target:
        names = list(values)
        for info in source.infolist():
            data = source.read(info)
            if info.filename.endswith("/byteorder"):
                data = b"big"
            elif "/data/" in info.filename:
                value = values[names[int(info.filename.rpartition("/")[2])]]
                width = value.element_size() // (2 if value.is_complex() else 1)
                data = b"".join(data[i : i + width][::-1] for i in range(0, len(data), width))
            target.writestr(info.filename, data)
    rewrite(tool, tmp_path / "big.pt", tmp_path / "b.pt")
    assert content(torch.load(tmp_path / "b.pt", weights_only=True)) == content(values)


def test_a_kill_at_any_moment_leaves_the_old_file_whole(tool, tmp_path):
    target = tmp_path / "model" / "model.pt"
    target.parent.mkdir()
    torch.save(torch.zeros(8), target)
    torch.save(torch.ones(2**22), tmp_path / "new.pt")
    start = time.monotonic()
    rewrite(tool, tmp_path / "new.pt", tmp_path / "done.pt")
    usual = time.monotonic() - start
    before = target.read_bytes()
    for step in range(25):
        process = subprocess.Popen([tool, "rewrite", str(tmp_path / "new.pt"), str(target)])
        time.sleep(usual * step / 20)
        process.kill()
        process.wait()
        # The old file as it was, or the new one complete.
        if target.read_bytes() != before:
            assert torch.equal(torch.load(target, weights_only=True), torch.ones(2**22))
            assert zipfile.ZipFile(target).testzip() is None


@pytest.mark.skipif("RUSTNN_LARGE_FILES" not in os.environ, reason="needs 9 GB of disk and 5 GB of memory")
def test_storages_beyond_4_gigabytes_stay_equal(tool, tmp_path):
    value = {"large": torch.zeros(2**32 + 4096, dtype=torch.uint8), "far": torch.arange(7.0), "farther": torch.ones(3)}
    value["large"][:: 2**20 + 1] = 7
    torch.save(value, tmp_path / "a.pt")
    rewrite(tool, tmp_path / "a.pt", tmp_path / "b.pt")
    (tmp_path / "a.pt").unlink()
    with serialization_config.patch("load.calculate_storage_offsets", True):
        loaded = torch.load(tmp_path / "b.pt", weights_only=True, mmap=True)
    assert all(torch.equal(loaded[name], value[name]) for name in value)
    rewrite(tool, tmp_path / "b.pt", tmp_path / "c.pt")
    assert (tmp_path / "b.pt").stat().st_size == (tmp_path / "c.pt").stat().st_size


def test_safetensors_files_stay_equal(tool, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    dtypes = [name for name in record.DTYPES if name != "complex128"]
    values = {name: record.sample(getattr(torch, name), 3, 2) for name in dtypes}
    values |= {"scalar": torch.tensor(1.5), "empty": torch.empty(0, 3)}
    save_file(values, tmp_path / "a.safetensors", metadata={"format": "pt", "ä": "ö"})
    rewrite(tool, tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    with safe_open(tmp_path / "b.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "ä": "ö"}
    loaded = load_file(tmp_path / "b.safetensors")
    assert set(loaded) == set(values)
    for name, value in values.items():
        assert content(loaded[name].clone()) == content(value.clone()), name
