"""``python -m rustnn program.py …`` runs a PyTorch program; ``-m module`` and ``-c code`` as for ``python``."""

import runpy
import sys

from rustnn import as_torch

USAGE = """usage: python -m rustnn program.py [argument ...]
       python -m rustnn -m module [argument ...]
       python -m rustnn -c code [argument ...]

Runs a program in which `import torch` means rustnn."""


def main():
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if arguments else 2
    kind, *rest = arguments
    if kind in ("-m", "-c") and not rest:
        print(f"{USAGE}\n\n{kind} needs an argument", file=sys.stderr)
        return 2
    as_torch.install()
    if kind == "-m":
        sys.argv = rest
        sys.path.insert(0, "")
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path.insert(0, "")
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
    else:
        import os

        sys.argv = arguments
        sys.path.insert(0, os.path.dirname(os.path.abspath(kind)))
        try:
            runpy.run_path(kind, run_name="__main__")
        except FileNotFoundError as error:
            if error.filename != kind:
                raise
            print(f"python -m rustnn: can't open file {kind!r}: no such file", file=sys.stderr)
            return 2
    return 0


sys.exit(main())
