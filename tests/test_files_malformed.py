"""Malformed and hostile files: each raises a clear error, runs nothing, and takes no memory that it does not hold.

All are read in one process whose address space has 64 MiB to spare: a file of a few hundred bytes that asked for more
would fail with another error.
"""

from __future__ import annotations

import io
import json
import pickle
import resource
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LARGEST = b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"  # 2**63 - 1
HEAD = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00."


def zipped(*records, method=zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as file:
        for name, data in records:
            file.writestr(name, data)
    return buffer.getvalue()


def pt(body: bytes, *storages: bytes) -> bytes:
    """A zip checkpoint of a pickle and its storages."""
    named = [(f"a/data/{key}", data) for key, data in enumerate(storages)]
    return zipped(("a/data.pkl", b"\x80\x02" + body + b"."), *named)


def storage(count: bytes = b"K\x06", key: bytes = b"0", kind: bytes = b"Float") -> bytes:
    return b"(Vstorage\nctorch\n" + kind + b"Storage\nV" + key + b"\nVcpu\n" + count + b"tQ"


def tensor(arguments: bytes, over: bytes | None = None) -> bytes:
    """A tensor over a storage of 6 floats."""
    body = b"ctorch._utils\n_rebuild_tensor_v2\n(" + (storage() if over is None else over) + arguments
    return pt(body + b"\x89ccollections\nOrderedDict\n)RtR", bytes(24))


def patch(data: bytes, find: bytes, occurrence: int, offset: int, new: bytes) -> bytes:
    at = -1
    for _ in range(occurrence + 1):
        at = data.index(find, at + 1)
    return data[: at + offset] + new + data[at + offset + len(new) :]


WHOLE = pt(b"]" + storage() + b"a", bytes(24))
CENTRAL, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"


def bomb() -> bytes:
    """64 KiB that say 64 MiB, deflated."""
    return zipped(("a/data.pkl", b"\x80\x02" + b"N0" * (1 << 25) + b"N."), method=zipfile.ZIP_DEFLATED)


def quine_like() -> bytes:
    """Two directory entries over the same bytes."""
    whole = zipped(("a/data.pkl", b"\x80\x02N."), ("a/data/0", bytes(64)), ("a/data/1", bytes(64)))
    first = whole.index(CENTRAL, whole.index(CENTRAL) + 1)
    offset = whole[first + 42 : first + 46]
    second = whole.index(CENTRAL, first + 1)
    whole = whole[: second + 42] + offset + whole[second + 46 :]
    return whole.replace(b"a/data/1", b"a/data/0")


def zip64_lies() -> bytes:
    """A 64-bit size far beyond the file."""
    name, data = b"a/data.pkl", b"\x80\x02N."
    extra = struct.pack("<HHQQ", 1, 16, 1 << 60, 1 << 60)
    crc = zlib.crc32(data)
    local = struct.pack("<4sHHHHHIIIHH", LOCAL, 45, 0, 0, 0, 0, crc, len(data), len(data), len(name), 0) + name + data
    entry = struct.pack(
        "<4sHHHHHHIIIHHHHHII",
        CENTRAL,
        45,
        45,
        0,
        0,
        0,
        0,
        crc,
        0xFFFFFFFF,
        0xFFFFFFFF,
        len(name),
        len(extra),
        0,
        0,
        0,
        0,
        0,
    )
    entry += name + extra
    return local + entry + struct.pack("<4sHHHHIIH", END, 0, 0, 1, 1, len(entry), len(local), 0)


def tar(storages: bytes, tensors: bytes, body: bytes, skip: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in (("storages", storages), ("tensors", tensors), ("pickle", body)):
            if name != skip:
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def p(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


TAR_STORAGE = p(b"K\x01") + p(b"K\x0bVcpu\nctorch\nFloatStorage\n\x87")
TAR_TENSOR = p(b"K\x01") + p(b"K\x15K\x0bctorch\nFloatTensor\n\x87")


def tar_tensor(dims: int, *sizes: int) -> bytes:
    return TAR_TENSOR + struct.pack("<ii", dims, 0) + struct.pack(f"<{len(sizes)}q", *sizes)


def safe(header: object, data: int = 8, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(data)


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


OLD_STORAGE = storage().replace(b"tQ", b"NtQ")


def deep(depth: int) -> bytes:
    return b"]" * depth + b"a" * (depth - 1)


GOLDEN = (HERE / "golden" / "files" / "adam.pt").read_bytes()
OLD = (HERE / "golden" / "files" / "legacy_adam.pt").read_bytes()
TAR = (HERE / "golden" / "files" / "tar.pt").read_bytes()

CASES: dict[str, bytes] = {
    # Cut short.
    "an empty file": b"",
    "one byte": b"P",
    "a zip cut in the middle": GOLDEN[: len(GOLDEN) // 2],
    "a zip without its last byte": GOLDEN[:-1],
    "a zip without its directory": GOLDEN[: GOLDEN.index(CENTRAL)],
    "a legacy file cut in its pickle": OLD[:200],
    "a legacy file without its last byte": OLD[:-1],
    "a tar cut in the middle": TAR[:1500],
    "a pickle without end": zipped(("a/data.pkl", b"\x80\x02]")),
    "text": b"hello, world\n" * 10,
    "zeros": bytes(1000),
    "ones": b"\xff" * 1000,
    # Archives that lie.
    "a byte behind the archive": GOLDEN + b"x",
    "more records than there are": patch(WHOLE, END, 0, 8, b"\xff\xff\xff\xff"),
    "a directory elsewhere": patch(WHOLE, END, 0, 16, b"\x01\x00\x00\x00"),
    "a directory of 4 GiB": patch(WHOLE, END, 0, 12, b"\xfe\xff\xff\xff"),
    "a record beyond the file": patch(WHOLE, CENTRAL, 1, 20, b"\x00\x00\x00\x70\x00\x00\x00\x70"),
    "a stored record of two sizes": patch(WHOLE, CENTRAL, 1, 24, b"\x00\x00\x00\x70"),
    "a 64-bit size beyond the file": zip64_lies(),
    "a record at 4 GiB": patch(WHOLE, CENTRAL, 1, 42, b"\x00\x00\x00\xf0"),
    "overlapping records": patch(WHOLE, CENTRAL, 0, 20, b"\x70\x00\x00\x00\x70\x00\x00\x00"),
    "one name twice": zipped(("a/data.pkl", p(b"N")), ("a/data/0", b"1"), ("a/data/0", b"2")),
    "two entries over the same bytes": quine_like(),
    "an encrypted record": patch(WHOLE, CENTRAL, 1, 8, b"\x01"),
    "an unknown compression": patch(WHOLE, CENTRAL, 1, 10, b"\x0e"),
    "a changed byte": patch(WHOLE, b"Vstorage", 0, 1, b"S"),
    "a zip bomb": bomb(),
    "a record that inflates to more than it says": patch(
        zipped(("a/data.pkl", p(b"N" * 500)), method=zipfile.ZIP_DEFLATED), CENTRAL, 0, 24, b"\x10\x00\x00\x00"
    ),
    "a size that deflate cannot reach": patch(
        zipped(("a/data.pkl", p(b"N" * 500)), method=zipfile.ZIP_DEFLATED), CENTRAL, 0, 24, b"\x00\x00\x00\x70"
    ),
    "no data.pkl": zipped(("a/other", b"x")),
    "two checkpoints in one archive": zipped(("a/data.pkl", p(b"N")), ("b/data.pkl", p(b"N"))),
    "a name that leaves the folder": zipped(
        ("../data.pkl", p(storage(key=b"../../etc/passwd"))), ("../data/0", bytes(24))
    ),
    "a storage key that leaves the folder": pt(storage(key=b"../data.pkl"), bytes(24)),
    "a storage key with a root": pt(storage(key=b"/etc/passwd"), bytes(24)),
    "an unknown byte order": zipped(("a/data.pkl", p(b"N")), ("a/byteorder", b"middle")),
    "a compiled program": zipped(("a/data.pkl", p(b"N")), ("a/constants.pkl", p(b"N"))),
    # Storages and tensors that lie.
    "a storage that is not there": pt(storage()),
    "a storage of another size": pt(storage(b"K\x07"), bytes(24)),
    "a storage of 2^63 elements": pt(storage(LARGEST), bytes(24)),
    "a storage of negative size": pt(storage(b"J\xff\xff\xff\xff"), bytes(24)),
    "a storage of two sizes": pt(storage() + b"0" + storage(b"K\x03", kind=b"Int"), bytes(24)),
    "a storage of an unknown class": pt(storage(kind=b"QInt32"), bytes(24)),
    "one element too many": tensor(b"K\x00K\x07\x85K\x01\x85"),
    "an offset beyond the storage": tensor(b"K\x06K\x01\x85K\x01\x85"),
    "an offset of 2^63": tensor(LARGEST + b"K\x01\x85K\x01\x85"),
    "a negative offset": tensor(b"J\xff\xff\xff\xffK\x01\x85K\x01\x85"),
    "a negative size": tensor(b"K\x00J\xff\xff\xff\xff\x85K\x01\x85"),
    "a negative stride": tensor(b"K\x00K\x02\x85J\xff\xff\xff\xff\x85"),
    "a stride beyond the storage": tensor(b"K\x00K\x02\x85K\x06\x85"),
    "a stride of 2^63": tensor(b"K\x00K\x03\x85" + LARGEST + b"\x85"),
    "sizes whose product overflows": tensor(b"K\x00" + LARGEST + LARGEST + b"\x86K\x00K\x00\x86"),
    "an expanded tensor of 2^62 elements of the meta device": pt(
        b"ctorch._utils\n_rebuild_meta_tensor_no_storage\n(ctorch\nfloat64\n" + LARGEST + b"\x85K\x01\x85\x89tR"
    ),
    "65 dimensions": tensor(b"K\x00(" + b"K\x01" * 65 + b"t(" + b"K\x01" * 65 + b"t"),
    "more sizes than strides": tensor(b"K\x00K\x01K\x01\x86K\x01\x85"),
    "a tensor over no storage": tensor(b"K\x00))", b"N"),
    "a tensor over a tensor": tensor(b"K\x00))", b"ctorch._utils\n_rebuild_tensor\n(" + storage() + b"K\x00))tR"),
    "an int tensor that requires a gradient": pt(
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(kind=b"Int") + b"K\x00K\x01\x85K\x01\x85\x88NtR", bytes(24)
    ),
    # Pickles that misbehave.
    "a memo that was never set": pt(b"h\x05"),
    "a memo number of 2^32": pt(b"Nr\xff\xff\xff\xff0j\xfe\xff\xff\xff"),
    "a memo number of 20 digits": pt(b"Np99999999999999999999\n"),
    "a tuple that contains itself": pt(b"(h\x00tq\x00"),
    "a list as a key": pt(b"}]Ns"),
    "a dict in a set": pt(b"\x8f(}\x90"),
    "an empty stack": pt(b"0"),
    "a tuple without a mark": pt(b"t"),
    "half a pair": pt(b"}(Nu"),
    "a string of 4 GiB": pt(b"X\xff\xff\xff\xffabc"),
    "bytes of 2^63": pt(b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc"),
    "a frame of 2^63": zipped(("a/data.pkl", b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f")),
    "a bytearray of 2^40": pt(b"\x96\x00\x00\x00\x00\x00\x01\x00\x00abc"),
    "an int of negative length": pt(b"\x8b\xff\xff\xff\xff"),
    "an int of 2 GiB": pt(b"\x8b\xff\xff\xff\x7fabc"),
    "an unknown instruction": pt(b"\xfe"),
    "an old class instance": pt(b"(iposix\nsystem\n"),
    "an extension": pt(b"\x82\x01"),
    "an out-of-band buffer": pt(b"\x97"),
    "protocol 9": zipped(("a/data.pkl", b"\x80\x09N.")),
    "nesting of 100,000": pt(deep(100_000)),
    "state for a list": pt(b"]}b"),
    "a call of an int": pt(b"K\x01)R"),
    "a bytearray of 2^40 by a call": pt(b"c__builtin__\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85R"),
    "bytes of 2^40 by a call": pt(b"c__builtin__\nbytes\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85R"),
    "a new tensor of 2^40": pt(b"ctorch\nTensor\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85\x81"),
    "a new storage of 2^40": pt(b"ctorch.storage\nUntypedStorage\n\x8a\x06\x00\x00\x00\x00\x00\x01\x85R"),
    "a set of one list again and again": pt(
        b"](" + b"N" * 5000 + b"eq\x000c__builtin__\nset\nq\x010](" + b"h\x01h\x00\x85R" * 5000 + b"e"
    ),
    "a name of a megabyte": pt(b"ctorch\n" + b"a" * (1 << 20) + b"\n"),
    "a call of os.system": pt(b"cos\nsystem\nVtouch /tmp/rustnn-evil\n\x85R"),
    "a call of eval": pt(b"c__builtin__\neval\nV1\n\x85R"),
    "getattr": pt(b"c__builtin__\ngetattr\nctorch\nTensor\nV__init__\n\x86R"),
    # Legacy files.
    "a legacy file of another version": HEAD.replace(b"\xe9\x03", b"\xea\x03"),
    "a legacy storage beyond the file": HEAD + p(storage(LARGEST).replace(b"tQ", b"NtQ")) + p(b"]V0\na") + LARGEST[2:],
    "a legacy storage of another size": HEAD + p(OLD_STORAGE) + p(b"]V0\na") + bytes(32),
    "a legacy storage twice": HEAD + p(OLD_STORAGE) + p(b"](V0\nV0\ne") + (b"\x06" + bytes(31)) * 2,
    "a legacy storage without bytes": HEAD + p(OLD_STORAGE) + p(b"]"),
    "a legacy view beyond its storage": HEAD
    + p(storage().replace(b"tQ", b"Vv\nK\x04K\x03\x87tQ"))
    + p(b"]V0\na")
    + b"\x06"
    + bytes(31),
    # Tar files.
    "a tar without tensors": tar(TAR_STORAGE, b"", p(b"N"), skip="tensors"),
    "a tar storage of 2^60": tar(TAR_STORAGE + struct.pack("<q", 1 << 60), b"", p(b"N")),
    "a tar of 2^62 storages": tar(p(b"\x8a\x08\x00\x00\x00\x00\x00\x00\x00\x40"), b"", p(b"N")),
    "a tar tensor beyond its storage": tar(
        TAR_STORAGE + struct.pack("<q", 2) + bytes(8) + p(b"]"), tar_tensor(1, 3, 1, 0), p(b"K\x15Q")
    ),
    "a tar tensor of 2^31 dimensions": tar(
        TAR_STORAGE + struct.pack("<q", 2) + bytes(8) + p(b"]"), tar_tensor((1 << 31) - 1, 1), p(b"K\x15Q")
    ),
    "a tar view beyond its storage": tar(
        TAR_STORAGE + struct.pack("<q", 2) + bytes(8) + p(b"](K\x0cK\x0bK\x01K\x02ta"), p(b"K\x00"), p(b"N")
    ),
    "a tar with a wrong checksum": patch(TAR, b"ustar", 0, -100, b"7"),
    # safetensors.
    "safetensors: nothing": b"#safetensors",
    "safetensors: a header of 2^63": safe({}, length=1 << 63),
    "safetensors: a header beyond the file": safe({}, length=1000),
    "safetensors: no JSON": safe(b"{nothing"),
    "safetensors: deep JSON": safe(b"[" * 50_000),
    "safetensors: a tensor beyond the file": safe({"a": entry(shape=(4,), offsets=(0, 16))}),
    "safetensors: bytes that nobody owns": safe({"a": entry()}, data=9),
    "safetensors: overlapping tensors": safe({"a": entry(), "b": entry(offsets=(4, 12))}, data=12),
    "safetensors: a gap": safe({"a": entry(offsets=(4, 12))}, data=12),
    "safetensors: offsets backwards": safe({"a": entry(offsets=(8, 0))}),
    "safetensors: a negative size": safe({"a": entry(shape=(-2,))}),
    "safetensors: another shape": safe({"a": entry(shape=(3,))}),
    "safetensors: a shape that overflows": safe({"a": entry(shape=(1 << 32, 1 << 32))}),
    "safetensors: an unknown dtype": safe({"a": entry(dtype="F31")}),
    "safetensors: offsets of 2^64": safe({"a": entry(offsets=(0, (1 << 64) - 1))}),
    "safetensors: metadata of numbers": safe({"__metadata__": {"a": 1}, "a": entry()}),
}


def outcome(name: str, data: bytes) -> str:
    """What reading a file does, as text: its error, or that there was none."""
    import rustnn

    read = rustnn.safetensors.load if name.startswith("safetensors") else lambda data: rustnn.load(io.BytesIO(data))
    start = time.monotonic()
    try:
        value = read(data)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        text = f"{type(error).__name__}: {error}"
        if isinstance(error, MemoryError) or not str(error):
            text = f"NOT CLEAR {text}"
    except BaseException as error:
        text = f"NOT CLEAR {type(error).__name__}: {error}"
    else:
        text = f"NO ERROR {str(value)[:100]}"
    elapsed = time.monotonic() - start
    return text if elapsed < 5 else f"SLOW {elapsed} s {text}"


def read_all() -> dict[str, object]:
    import rustnn

    rustnn.load(io.BytesIO(GOLDEN))
    rustnn.safetensors.load(safe({"a": entry()}))
    with open("/proc/self/statm") as file:
        present = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (present + (64 << 20),) * 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes: dict[str, object] = {name: outcome(name, data) for name, data in CASES.items()}
    outcomes["resident"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    return outcomes


@pytest.fixture(scope="module")
def outcomes() -> dict[str, object]:
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", CASES)
def test_a_malformed_file_raises_a_clear_error(name, outcomes):
    text = outcomes[name]
    assert not text.startswith(("NO", "SLOW")), text


def test_malformed_files_take_no_memory_that_they_do_not_hold(outcomes):
    # The largest case has 130 KB of pickle, of which a byte makes an object.
    assert outcomes["resident"] < 40 << 20
    assert len(CASES) >= 100


def test_no_malformed_file_ran_anything(outcomes):
    assert not Path("/tmp/rustnn-evil").exists()
    for name in ("a call of os.system", "a call of eval", "getattr"):
        assert "GLOBAL" in outcomes[name]


if __name__ == "__main__":
    print(json.dumps(read_all()))
