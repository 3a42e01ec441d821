"""Every code block of the docs runs as printed, and every `>>>` example of a docstring.

The ```python blocks of a page run from top to bottom in one namespace: those with `>>>` through doctest, others as a
program. Shell blocks are not run here; they hold only targets of the Makefile, which is tested.
"""

from __future__ import annotations

import doctest
import importlib
import os
import pkgutil
import re
from pathlib import Path

import pytest

import rustnn

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
# An ellipsis stands for what changes from run to run.
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def run_examples(text: str, names: dict, title: str, first_line: int) -> None:
    test = doctest.DocTestParser().get_doctest(text, names, title, title, first_line)
    output: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=output.append, clear_globs=False)
    names.update(test.globs)
    if result.failed:
        pytest.fail("".join(output), pytrace=False)


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_code_block_of_the_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "docs"}
    text = page.read_text()
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if ">>>" in match[1]:
            run_examples(match[1], names, str(page), line)
        else:
            exec(compile("\n" * line + match[1], str(page), "exec"), names)


def test_shell_blocks_name_only_targets_that_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"^make ([a-z]+)", page.read_text(), re.M):
            assert re.search(rf"^{target}:", makefile, re.M), f"{page.name}: make {target}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)}: {link}"


def modules() -> list[str]:
    found = pkgutil.walk_packages(rustnn.__path__, "rustnn.", onerror=lambda name: None)
    return ["rustnn", *(module.name for module in found if not module.name.endswith("__main__"))]


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)
    names = {"rustnn": rustnn, "nn": rustnn.nn, "F": rustnn.nn.functional, "os": os}
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, name):
        if test.examples:
            rustnn.manual_seed(0)
            test.globs = {**vars(module), **names}
            output: list[str] = []
            result = doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(test, out=output.append)
            if result.failed:
                pytest.fail("".join(output), pytrace=False)
