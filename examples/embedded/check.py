"""Builds the program as the README has it and checks it: static, below 3 MB, reading digits; `make examples`."""

import os
import struct
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LARGEST_BYTES = 3_000_000
FLAGS = "-C target-feature=+crt-static -C relocation-model=static -C force-unwind-tables=no"
PT_INTERP = 3


def built() -> Path:
    about = subprocess.check_output(["rustc", "-vV"], text=True)
    target = about.partition("host: ")[2].splitlines()[0]
    assert FLAGS in (HERE / "README.md").read_text(), "the README builds with other flags"
    env = os.environ | {"RUSTFLAGS": FLAGS}
    subprocess.run(["cargo", "build", "--release", "--locked", "--target", target], cwd=HERE, env=env, check=True)
    return Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target")) / target / "release/embedded"


def needs_a_loader(file: bytes) -> bool:
    """Whether an ELF file of 64 bits has a program header that names a loader, as all have that link at run time."""
    assert file[:5] == b"\x7fELF\x02", "no ELF file of 64 bits"
    start, size, count = struct.unpack_from("<32xQ14xHH", file)
    return any(struct.unpack_from("<I", file, start + i * size)[0] == PT_INTERP for i in range(count))


def main() -> None:
    program = built()
    file = program.read_bytes()
    assert len(file) < LARGEST_BYTES, f"{len(file)} bytes"
    assert not needs_a_loader(file), "not static"
    if not needs_a_loader(Path(sys.executable).read_bytes()):
        print("the interpreter is static too: that the check can tell is not shown")

    def answer(text: str) -> subprocess.CompletedProcess:
        return subprocess.run([program], input=text, capture_output=True, text=True, env={}, timeout=60)

    good = answer((HERE / "image.txt").read_text())
    assert good.returncode == 0 and good.stdout.startswith("3 ("), good
    for text, says in ("1 2 3", "got 3"), ("ink", "no brightness"), ("17 " * 64, "no brightness"), ("", "got 0"):
        bad = answer(text)
        assert bad.returncode == 1 and says in bad.stderr, bad
    print(f"{program}: {len(file):,} bytes, static; a three reads as {good.stdout.strip()}")


if __name__ == "__main__":
    main()
