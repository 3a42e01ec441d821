"""The table of bad input against PyTorch itself: it raises the class and says the text that ours are tested for."""

from __future__ import annotations

import pytest

from test_bad_input import CALLS, raised

torch = pytest.importorskip("torch", reason="`make parity` installs PyTorch")


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore")
def test_pytorch_raises_what_the_table_says(name: str) -> None:
    call, expected, text = CALLS[name]
    error = raised(call, torch)
    assert type(error) is expected, repr(error)
    assert text in str(error)
