"""Pipes of data: each gives what it says, and loaders share them among their workers."""

import pytest

import rustnn
from rustnn.utils.data import DataLoader, IterableDataset, IterDataPipe, MapDataPipe, functional_datapipe
from rustnn.utils.data.datapipes.iter import IterableWrapper, Mapper
from rustnn.utils.data.datapipes.map import SequenceWrapper


def test_pipes_in_a_row_give_what_each_makes_of_the_last():
    numbers = IterableWrapper(range(6))
    assert isinstance(numbers, IterDataPipe) and isinstance(numbers, IterableDataset) and len(numbers) == 6
    assert list(numbers.map(lambda x: x * 2).filter(lambda x: x > 2)) == [4, 6, 8, 10]
    assert list(numbers.batch(4)) == [[0, 1, 2, 3], [4, 5]] and len(numbers.batch(4)) == 2
    assert list(numbers.batch(4, drop_last=True)) == [[0, 1, 2, 3]]
    assert list(numbers.batch(2).batch(2).unbatch(2)) == list(numbers.batch(2).batch(2).unbatch(-1)) == list(range(6))
    assert list(numbers.zip(numbers))[1] == (1, 1) and list(numbers.concat(numbers)) == [*range(6)] * 2
    assert list(numbers.mux(IterableWrapper("ab"))) == [0, "a", 1, "b"]
    assert [batch.tolist() for batch in numbers.batch(3).collate()] == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(TypeError, match=r"has no len\(\)"):
        len(numbers.filter(bool))
    with pytest.raises(ValueError, match="Boolean output is required"):
        list(numbers.filter(lambda x: x))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        numbers.nothing  # noqa: B018
    with pytest.raises(IndexError, match="exceeds the depth"):
        list(numbers.unbatch())


def test_columns_are_mapped_in_place_or_elsewhere():
    rows = IterableWrapper([(1, 2, 3)])
    assert list(rows.map(lambda x: -x, input_col=1)) == [(1, -2, 3)]
    assert list(rows.map(lambda x, y: x + y, input_col=[0, 2])) == [(4, 2)]
    assert list(rows.map(lambda x: -x, input_col=0, output_col=-1)) == [(1, 2, 3, -1)]
    assert list(Mapper(IterableWrapper([{"a": 1}]), lambda x: x + 1, "a", "b")) == [{"a": 1, "b": 2}]
    assert list(rows.filter(lambda x: x > 1, input_col=0)) == []
    with pytest.raises(ValueError, match="must be None when"):
        rows.map(abs, output_col=1)


def test_a_shuffled_pipe_has_every_sample_once_in_an_order_that_seeds_fix():
    numbers = IterableWrapper(range(50))
    for buffer_size in (1, 7, 10000):
        pipe = numbers.shuffle(buffer_size=buffer_size)
        first, second = list(pipe.set_seed(3)), list(pipe.set_seed(3))
        assert first == second and sorted(first) == list(range(50)) and (first != list(range(50))) == (buffer_size > 1)
    assert list(pipe.set_shuffle(False)) == list(range(50))
    rustnn.manual_seed(1)
    one = list(numbers.shuffle())
    rustnn.manual_seed(1)
    assert list(numbers.shuffle()) == one


def test_workers_of_a_loader_share_a_pipe_with_a_sharding_filter():
    pipe = IterableWrapper(range(10)).sharding_filter().map(lambda x: x)
    for workers in (0, 2):
        loader = DataLoader(pipe, batch_size=None, num_workers=workers)
        assert sorted(int(x) for x in loader) == list(range(10))
    pipe = IterableWrapper(range(10)).sharding_filter()
    pipe.apply_sharding(3, 1)
    assert list(pipe) == [1, 4, 7] and len(pipe) == 3
    with pytest.raises(ValueError, match="should be smaller than num_of_instances"):
        pipe.apply_sharding(3, 3)


def test_pipes_with_random_access():
    pipe = SequenceWrapper([3, 4, 5])
    assert isinstance(pipe, MapDataPipe) and pipe.map(str)[1] == "4" and len(pipe.concat(pipe)) == 6
    assert pipe.concat(pipe)[4] == 4 and pipe.zip(pipe)[2] == (5, 5) and pipe.batch(2)[1] == [5]
    assert [x.tolist() for x in DataLoader(pipe.map(float), batch_size=3)] == [[3.0, 4.0, 5.0]]
    with pytest.raises(IndexError, match="Index 6 is out of range"):
        pipe.concat(pipe)[6]


def test_a_pipe_of_ones_own_becomes_a_method():
    @functional_datapipe("rustnn_test_twice")
    class Twice(IterDataPipe):
        def __init__(self, source):
            self.source = source

        def __iter__(self):
            for data in self.source:
                yield from (data, data)

    assert list(IterableWrapper([1, 2]).rustnn_test_twice()) == [1, 1, 2, 2]
    with pytest.raises(Exception, match="name rustnn_test_twice as it is already taken"):
        functional_datapipe("rustnn_test_twice")(Twice)
    with pytest.raises(TypeError, match="can only decorate"):
        functional_datapipe("other")(int)
