"""Conditions that programs state: torch._check and its kin, torch._assert."""

import pytest

import rustnn


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("_check", RuntimeError),
        ("_check_index", IndexError),
        ("_check_value", ValueError),
        ("_check_type", TypeError),
        ("_check_not_implemented", NotImplementedError),
    ],
)
def test_a_condition_that_fails_raises_what_its_message_says(name, error):
    check = getattr(rustnn, name)
    check(True, lambda: 1 / 0)
    with pytest.raises(error, match="got 3"):
        check(False, lambda: f"got {3}")
    with pytest.raises(error, match="Expected cond to be True"):
        check(False)
    with pytest.raises(TypeError, match="cond must be a bool"):
        check(1)


def test_tensors_of_conditions_must_hold_everywhere():
    rustnn._check_tensor_all(rustnn.tensor([True, True]))
    with pytest.raises(RuntimeError, match="not all"):
        rustnn._check_tensor_all(rustnn.tensor([True, False]), lambda: "not all")
    with pytest.raises(TypeError, match=r"must have dtype torch\.bool"):
        rustnn._check_tensor_all(rustnn.ones(1))
    with pytest.raises(AssertionError, match="no"):
        rustnn._assert(False, "no")
