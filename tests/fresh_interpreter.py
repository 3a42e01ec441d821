"""Python code in an interpreter of its own."""

import subprocess
import sys
from pathlib import Path

import rustnn


def run(code: str, *options: str, timeout: float = 120) -> list[str]:
    """The words that ``code`` prints. An error, a crash or too long a time is an error here."""
    python = str(Path(rustnn.__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {python!r})\n{code}"
    found = subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=timeout)
    assert found.returncode == 0, f"exit status {found.returncode}\n{found.stdout[-1000:]}\n{found.stderr[-4000:]}"
    return found.stdout.split()
