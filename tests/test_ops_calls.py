"""How ops are called: which overload an argument picks, and small things that programs rely on."""

import pytest

import rustnn


@pytest.mark.parametrize("name", ["var", "std"])
def test_a_number_is_a_dimension_and_a_bool_is_unbiased(name):
    x = rustnn.arange(6.0).reshape(2, 3)
    method = getattr(x, name)
    assert method(0).shape == (3,) and method(1).shape == (2,) and method(False).shape == ()
    assert rustnn.equal(method(0), method(dim=0)) and rustnn.equal(method(False), method(unbiased=False))
    assert getattr(rustnn, f"{name}_mean")(x, 0)[0].shape == (3,)


def test_numbers_are_no_bools():
    x = rustnn.ones(2, 2)
    with pytest.raises(TypeError):
        x.sum(0, 1)
    with pytest.raises(TypeError):
        x.sum(0, keepdim=1)
    assert x.sum(0, True).shape == (1, 2)


def test_where_with_one_argument_gives_coordinates():
    rows, columns = rustnn.where(rustnn.tensor([[True, False], [False, True]]))
    assert rows.tolist() == [0, 1] and columns.tolist() == [0, 1]


def test_tensor_split_takes_pytorchs_names():
    x = rustnn.arange(5)
    assert [t.tolist() for t in rustnn.tensor_split(x, indices=(1, 3))] == [[0], [1, 2], [3, 4]]
    assert [t.tolist() for t in x.tensor_split(sections=2)] == [[0, 1, 2], [3, 4]]


def test_rows_of_a_tensor_without_history_can_be_written():
    for x in (rustnn.zeros(2, 3), rustnn.zeros(6).view(2, 3)):
        for i, row in enumerate(x):
            row[:] = i
        x.unbind(1)[0].fill_(7)
        x.chunk(2)[1].add_(1)
        assert x.tolist() == [[7, 0, 0], [8, 2, 2]]
    recorded = rustnn.zeros(2, 3, requires_grad=True).clone()
    with pytest.raises(RuntimeError, match="is a view and is being modified inplace"):
        recorded.unbind()[0].fill_(1)


def test_rows_are_not_written_with_what_requires_grad():
    w = rustnn.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="is a view and is being modified inplace"):
        for row in rustnn.zeros(2, 3):
            row.copy_(w)


def test_clone_takes_a_memory_format():
    x = rustnn.ones(2, 3).mT
    assert x.clone().stride() == (1, 3) and x.clone(memory_format=rustnn.preserve_format).stride() == (1, 3)
    assert x.clone(memory_format=rustnn.contiguous_format).stride() == (2, 1)
    image = rustnn.ones(1, 2, 3, 4)
    last = image.clone(memory_format=rustnn.channels_last)
    assert last.stride() == (24, 1, 8, 2) and last.data_ptr() != image.data_ptr()
    assert last.clone().stride() == last.stride()
