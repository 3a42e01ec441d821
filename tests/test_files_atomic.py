"""Saving is all or nothing: kills, full disks, folders without leave, links, permissions."""

from __future__ import annotations

import ctypes
import os
import pickle
import random
import signal
import stat
import subprocess
import sys
import textwrap
import time

import pytest

import rustnn

LINUX = sys.platform == "linux"
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


def names(folder) -> list[str]:
    return sorted(os.listdir(folder))


SAVING = textwrap.dedent(
    """
    import sys
    import rustnn
    path, form = sys.argv[1:]
    numbers = [rustnn.full((1 << 20,), float(i)) for i in range(2)]
    print("ready", flush=True)
    while True:
        for value in numbers:
            if form == "safetensors":
                rustnn.safetensors.save_file({"a": value}, path)
            else:
                rustnn.save({"a": value}, path, _use_new_zipfile_serialization=form == "zip")
    """
)


@pytest.mark.skipif(not LINUX, reason="needs files without names")
@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_a_kill_at_any_of_50_moments_leaves_a_whole_file_and_nothing_else(tmp_path, form):
    path = tmp_path / f"model.{form}"
    moments = random.Random(0)
    seen = set()
    # Long enough for a save or two on a disk as slow as this one is now.
    begun = time.perf_counter()
    rustnn.save({"a": rustnn.zeros(1 << 20)}, tmp_path / "first")
    longest = min(max(0.08, 3 * (time.perf_counter() - begun)), 0.5)
    (tmp_path / "first").unlink()
    for _ in range(50 if form == "zip" else 10):
        process = subprocess.Popen([sys.executable, "-c", SAVING, str(path), form], stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        time.sleep(moments.uniform(0, longest))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if path.exists():
            value = (rustnn.safetensors.load_file if form == "safetensors" else rustnn.load)(path)["a"]
            assert value.shape == (1 << 20,) and (value == value[0]).all()
            seen.add(value[0].item())
        # A name is given only to a whole file, and taken in the same breath: at most that one may be left.
        left = [name for name in names(tmp_path) if name != path.name]
        assert len(left) <= 1
        for name in left:
            assert (tmp_path / name).stat().st_size == path.stat().st_size
            (tmp_path / name).unlink()
    assert seen  # some saves did end


def mounted(folder, size: str) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={size}".encode()) != 0:
        pytest.skip(f"cannot mount a tmpfs: {os.strerror(ctypes.get_errno())}")


@pytest.mark.skipif(not (LINUX and ROOT), reason="mounting a small tmpfs needs root")
@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
def test_a_full_disk_raises_and_leaves_the_old_file(tmp_path, form):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted(folder, "4m")

    def save(value):
        if form == "safetensors":
            rustnn.safetensors.save_file({"a": value}, folder / "a.safetensors")
        else:
            rustnn.save({"a": value}, folder / "a.safetensors", _use_new_zipfile_serialization=form == "zip")

    try:
        save(rustnn.ones(1000))
        before = (folder / "a.safetensors").read_bytes()
        with pytest.raises(OSError, match="No space left on device") as caught:
            save(rustnn.ones(2 << 20))
        assert caught.value.errno == 28 and (form == "safetensors" or isinstance(caught.value, RuntimeError))
        assert names(folder) == ["a.safetensors"] and (folder / "a.safetensors").read_bytes() == before
        # What the failed try took is free again.
        save(rustnn.ones(700_000))
        assert names(folder) == ["a.safetensors"]
    finally:
        ctypes.CDLL(None).umount2(os.fsencode(folder), 2)


def test_an_object_that_does_not_pickle_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.pt"
    rustnn.save(rustnn.ones(3), path)
    before = path.read_bytes()
    with pytest.raises(pickle.PicklingError):
        rustnn.save({"a": rustnn.ones(3), "f": lambda: 0}, path)
    with pytest.raises(ValueError):
        rustnn.safetensors.save_file({"a": rustnn.ones(2), "b": 1}, path)
    assert path.read_bytes() == before and names(tmp_path) == ["a.pt"]


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_are_kept_and_new_files_follow_the_mask(tmp_path):
    path = tmp_path / "a.pt"
    before = os.umask(0o027)
    try:
        rustnn.save(rustnn.ones(3), path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o604)
        rustnn.save(rustnn.ones(3), path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o604
    finally:
        os.umask(before)
    if ROOT:
        os.chown(path, 1234, 2345)
        rustnn.save(rustnn.ones(3), path)
        assert (path.stat().st_uid, path.stat().st_gid) == (1234, 2345)


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_symbolic_link_stays_one_and_its_file_is_replaced(tmp_path):
    (tmp_path / "data").mkdir()
    link, target = tmp_path / "latest.pt", tmp_path / "data" / "step1.pt"
    # First one that leads nowhere yet, then over the file, then through another link.
    link.symlink_to("data/step1.pt")
    (tmp_path / "again.pt").symlink_to(link)
    for number, path in enumerate((link, link, tmp_path / "again.pt")):
        rustnn.save(number, path)
        assert link.is_symlink() and not target.is_symlink() and rustnn.load(target) == number
        assert names(tmp_path) == ["again.pt", "data", "latest.pt"] and names(tmp_path / "data") == ["step1.pt"]
    (tmp_path / "loop.pt").symlink_to("loop.pt")
    with pytest.raises(OSError, match=r"symbolic links"):
        rustnn.save(1, tmp_path / "loop.pt")


WITHOUT_LEAVE = textwrap.dedent(
    """
    import os, sys
    import rustnn
    rustnn.save(rustnn.ones(1), os.devnull)  # imports all that it needs while it may
    if os.geteuid() == 0:
        os.setgid(65534); os.setuid(65534)
    for path in sys.argv[1:]:
        try:
            rustnn.save(rustnn.ones(3), path)
        except PermissionError as error:
            assert isinstance(error, RuntimeError) and error.filename == path and error.errno == 13, error
        else:
            raise AssertionError("was saved")
    """
)


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_folder_or_file_without_leave_raises_and_stays(tmp_path_factory):
    folder = tmp_path_factory.mktemp("locked")
    for parent in [folder, *folder.parents][:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    path = folder / "a.pt"
    rustnn.save(rustnn.ones(3), path)
    before = path.read_bytes()
    folder.chmod(0o555)
    try:
        done = subprocess.run(
            [sys.executable, "-c", WITHOUT_LEAVE, str(path), str(folder / "new.pt")], capture_output=True, text=True
        )
    finally:
        folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert names(folder) == ["a.pt"] and path.read_bytes() == before
    # A file that is read-only is not replaced either.
    path.chmod(0o444)
    with pytest.raises(PermissionError):
        rustnn.save(rustnn.ones(4), path)
    assert path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="devices of POSIX")
def test_devices_and_pipes_are_written_in_place(tmp_path):
    rustnn.save(rustnn.ones(3), "/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    os.mkfifo(tmp_path / "pipe")
    reader = subprocess.Popen(["cat", str(tmp_path / "pipe")], stdout=subprocess.PIPE)
    rustnn.save(rustnn.arange(3.0), tmp_path / "pipe")
    data, _ = reader.communicate()
    (tmp_path / "a.pt").write_bytes(data)
    assert rustnn.load(tmp_path / "a.pt").tolist() == [0, 1, 2]


def test_a_file_with_a_name_of_full_length_can_be_saved(tmp_path):
    path = tmp_path / ("n" * 252 + ".pt")
    rustnn.save(rustnn.ones(3), path)
    assert rustnn.load(path).tolist() == [1, 1, 1]


def test_a_file_may_be_saved_over_while_it_is_loaded_from(tmp_path):
    path = tmp_path / "a.pt"
    rustnn.save(rustnn.arange(100_000.0), path)
    mapped = rustnn.load(path, mmap=True)
    for _ in range(3):
        mapped = mapped + 1
        rustnn.save(mapped, path)
        mapped = rustnn.load(path, mmap=True)
    assert mapped[5].item() == 8.0


INTERRUPTED = textwrap.dedent(
    """
    import sys
    import rustnn
    path = sys.argv[1]
    value = {"a": rustnn.ones(64 << 20)}
    rustnn.save(1, path)
    print("ready", flush=True)
    try:
        while True:
            rustnn.save(value, path)
            rustnn.load(path)
    except KeyboardInterrupt:
        print("interrupted", rustnn.load(path, mmap=True) == 1 or "whole", flush=True)
    """
)


@pytest.mark.skipif(not LINUX, reason="needs files without names")
@pytest.mark.parametrize("wait", [0.05, 0.15, 0.4, 0.9])
def test_an_interrupt_ends_a_long_save_and_leaves_a_whole_file(tmp_path, wait):
    path = tmp_path / "a.pt"
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline().startswith("interrupted")
    assert process.wait() == 0 and names(tmp_path) == ["a.pt"]
    process.stdout.close()
