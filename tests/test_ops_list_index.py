"""A list as an index: PyTorch reads a short one that holds more than numbers as a tuple, with a warning."""

import pytest

import rustnn

X = rustnn.arange(12).reshape(3, 4)


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        ([[0, 2], [1, 0]], [1, 8]),
        ([[[0, 2], [1, 0]]], X[rustnn.tensor([[0, 2], [1, 0]])].tolist()),
        ([slice(0, 1), 1], [1]),
        ([None, 0], [[0, 1, 2, 3]]),
        ([..., 0], [0, 4, 8]),
        ([[True, False, True]], [[0, 1, 2, 3], [8, 9, 10, 11]]),
        ([rustnn.tensor([0, 2]), [1, 0]], [1, 8]),
    ],
)
def test_a_list_of_more_than_numbers_is_a_tuple_of_indices(index, expected):
    with pytest.warns(UserWarning, match="Using a non-tuple sequence for multidimensional indexing is deprecated"):
        assert X[index].tolist() == expected
    y = X.clone()
    with pytest.warns(UserWarning, match="non-tuple sequence"):
        y[index] = -1
    assert (y == -1).sum().item() == rustnn.tensor(expected).unique().numel()


@pytest.mark.filterwarnings("error")
def test_a_list_of_numbers_indexes_the_first_dimension():
    assert X[[0, 2]].tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]
    assert X[[0] * 40].shape == (40, 4)
    assert X[([0, 2], [1, 0])].tolist() == [1, 8]
