"""Measurements and tables of :mod:`utils.benchmark` against PyTorch's, letter for letter."""

import random

import pytest

from rustnn.utils import benchmark

theirs = pytest.importorskip("torch.utils.benchmark", reason="`make parity` installs PyTorch")


def texts(library, seed):
    draw = random.Random(seed)
    choose, measured = draw.choice, []
    descriptions = choose([["d", "desc"], ["q"]])
    environments, labels = choose([["e1", "env2"], [None]]), choose([["L", "M"], ["L"]])
    for _ in range(draw.randint(1, 9)):
        base, spread = 10 ** draw.uniform(-6, 1), choose([0, 0.01, 0.2, 0.5])
        times = [base * (1 + spread * draw.random()) for _ in range(choose([1, 2, 3, 4, 9]))]
        setup = choose(["pass", "x=1", "y=2\nz=3"])
        spec = library.TaskSpec(
            choose(["a+b", "f(x)\ng(y)"]), setup, "", choose(labels), choose(["s", "tt", None]), choose(descriptions),
            choose(environments), choose([1, 2]),
        )  # fmt: skip
        measured.append(library.Measurement(choose([1, 10]), times, spec))
    for each in measured:
        yield repr(each).split("\n", 1)[1]
        yield each.significant_figures, each.title, each.as_row_name, each.env, each.has_warnings
    for changes in (
        (), ("trim_significant_figures",), ("colorize",), ("highlight_warnings", "trim_significant_figures"),
    ):  # fmt: skip
        table = library.Compare(measured)
        for change in changes:
            getattr(table, change)()
        yield str(table)


@pytest.mark.parametrize("seed", range(30))
def test_texts_are_pytorchs(seed):
    assert list(texts(benchmark, seed)) == list(texts(theirs, seed))
