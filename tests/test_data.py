"""Datasets, samplers, collating and the loader."""

import gc
import random
import threading
import time
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import rustnn
from rustnn.utils.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    get_worker_info,
    random_split,
)

Point = namedtuple("Point", "x y")


class Squares(Dataset):
    def __init__(self, size=10):
        self.size = size

    def __len__(self):
        return self.size

    def __getitem__(self, index):
        return index * index


class Count(IterableDataset):
    """0, 1, …, of which each worker gives its share."""

    def __init__(self, end):
        self.start, self.end = 0, end

    def __iter__(self):
        worker = get_worker_info()
        first, step = (0, 1) if worker is None else (worker.id, worker.num_workers)
        return iter(range(self.start + first, self.end, step))


def pairs(size=10):
    return TensorDataset(rustnn.arange(size), rustnn.arange(size) * 10)


def lists(loader):
    return [batch.tolist() for batch in loader]


def flat(batches):
    return [value for batch in batches for value in batch]


def seeded(seed):
    generator = rustnn.Generator()
    generator.manual_seed(seed)
    return generator


# Datasets


def test_a_tensor_dataset_gives_rows_and_batches_of_rows():
    dataset = pairs()
    assert len(dataset) == 10
    assert [item.item() for item in dataset[-1]] == [9, 90]
    samples = dataset.__getitems__([3, 1])
    assert [[item.item() for item in sample] for sample in samples] == [[3, 30], [1, 10]]
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        TensorDataset(rustnn.ones(2), rustnn.ones(3))


def test_a_subclass_that_changes_its_samples_is_asked_for_each_of_them():
    class Negative(TensorDataset):
        def __getitem__(self, index):
            return -super().__getitem__(index)[0]

    assert lists(DataLoader(Negative(rustnn.arange(4)), batch_size=2)) == [[0, -1], [-2, -3]]


def test_a_batch_does_not_share_memory_with_its_dataset():
    dataset = pairs(4)
    first, _ = next(iter(DataLoader(dataset, batch_size=2)))
    first.zero_()
    first.add_(7)
    assert dataset.tensors[0].tolist() == [0, 1, 2, 3]


def test_datasets_concatenate_stack_and_chain():
    both = Squares(3) + Subset(Squares(), [5, 4])
    assert isinstance(both, ConcatDataset)
    assert [both[i] for i in range(len(both))] == [0, 1, 4, 25, 16]
    assert both[-1] == 16
    with pytest.raises(ValueError, match="absolute value of index should not exceed dataset length"):
        both[-6]
    assert StackDataset(Squares(3), Squares(3))[2] == (4, 4)
    named = StackDataset(square=Squares(3), pair=pairs(3))
    assert named.__getitems__([2])[0]["square"] == 4
    assert [batch["square"].tolist() for batch in DataLoader(named, batch_size=2)] == [[0, 1], [4]]
    chain = Count(2) + Count(3)
    assert isinstance(chain, ChainDataset)
    assert list(chain) == [0, 1, 0, 1, 2]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: StackDataset(), ValueError, "At least one dataset should be passed"),
        (lambda: StackDataset(Squares(), a=Squares()), ValueError, "both types are given"),
        (lambda: StackDataset(Squares(2), Squares(3)), ValueError, "Size mismatch between datasets"),
        (lambda: ConcatDataset([]), AssertionError, "datasets should not be an empty iterable"),
        (lambda: ConcatDataset([Count(3)]), AssertionError, "does not support IterableDataset"),
        (lambda: list(ChainDataset([Squares()])), AssertionError, "only supports IterableDataset"),
        (lambda: Dataset()[0], NotImplementedError, "should implement __getitem__"),
        (lambda: IterableDataset(), TypeError, "abstract"),
    ],
)
def test_datasets_that_do_not_fit_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_subset_that_changes_single_samples_must_change_batches_too():
    class Half(Subset):
        def __getitem__(self, index):
            return super().__getitem__(index) / 2

    with pytest.raises(NotImplementedError, match="overrides __getitem__ but not __getitems__"):
        Half(Squares(), [1])


def test_a_random_split_covers_everything_once_and_repeats_with_its_generator():
    parts = random_split(range(10), [6, 4], generator=seeded(1))
    assert sorted(parts[0].indices + parts[1].indices) == list(range(10))
    again = random_split(range(10), [6, 4], generator=seeded(1))
    assert [part.indices for part in again] == [part.indices for part in parts]
    assert [len(part) for part in random_split(range(11), [0.5, 0.3, 0.2])] == [6, 3, 2]
    with pytest.raises(ValueError, match="Sum of input lengths does not equal the length of the input dataset!"):
        random_split(range(10), [6, 5])
    with pytest.raises(ValueError, match="Fraction at index 0 is not between 0 and 1"):
        random_split(range(10), [1.5, -0.5])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        random_split(range(1), [0.5, 0.5])


def test_dataset_classes_take_type_arguments():
    class Typed(Dataset[int]):
        pass

    assert issubclass(Typed, Dataset)


# Samplers


def test_samplers_give_every_index_once():
    assert list(SequentialSampler(range(4))) == [0, 1, 2, 3]
    assert sorted(RandomSampler(range(100))) == list(range(100))
    assert sorted(SubsetRandomSampler([7, 8, 9])) == [7, 8, 9]
    assert sorted(RandomSampler(range(3), num_samples=6)) == [0, 0, 1, 1, 2, 2]
    drawn = list(RandomSampler(range(3), replacement=True, num_samples=50))
    assert len(drawn) == 50 and set(drawn) == {0, 1, 2}


def test_random_order_changes_from_pass_to_pass_and_repeats_with_the_seed():
    sampler = RandomSampler(range(100))
    rustnn.manual_seed(5)
    first, second = list(sampler), list(sampler)
    assert first != second
    rustnn.manual_seed(5)
    assert list(sampler) == first
    assert list(RandomSampler(range(9), generator=seeded(1))) == list(RandomSampler(range(9), generator=seeded(1)))


def test_weights_decide_how_often_an_index_is_drawn():
    drawn = list(WeightedRandomSampler([0.0, 3.0, 1.0], num_samples=2000))
    assert 0 not in drawn
    assert 1400 < drawn.count(1) < 1600
    assert sorted(WeightedRandomSampler([1.0, 1.0], num_samples=2, replacement=False)) == [0, 1]


def test_ranks_share_a_dataset_equally_in_an_order_that_changes_with_the_epoch():
    def shares(drop_last, epoch=0, shuffle=True):
        samplers = [DistributedSampler(range(10), 4, rank, shuffle, drop_last=drop_last) for rank in range(4)]
        for sampler in samplers:
            sampler.set_epoch(epoch)
        assert [len(list(sampler)) for sampler in samplers] == [len(sampler) for sampler in samplers]
        return [list(sampler) for sampler in samplers]

    assert shares(False, shuffle=False) == [[0, 4, 8], [1, 5, 9], [2, 6, 0], [3, 7, 1]]
    assert shares(True, shuffle=False) == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert set(flat(shares(False))) == set(range(10))
    assert shares(False) == shares(False)
    assert shares(False) != shares(False, epoch=1)
    assert list(DistributedSampler(range(1), 3, 2)) == [0]
    with pytest.raises(ValueError, match=r"Invalid rank 2, rank should be in the interval \[0, 1\]"):
        DistributedSampler(range(4), 2, 2)


def test_batches_of_indices_end_short_or_are_dropped():
    assert list(BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert list(BatchSampler(range(5), 2, True)) == [[0, 1], [2, 3]]
    assert len(BatchSampler(range(5), 2, False)) == 3
    assert len(BatchSampler(range(5), 2, True)) == 2


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RandomSampler([1], replacement=1), TypeError, "replacement should be a boolean value"),
        (
            lambda: RandomSampler([]),
            ValueError,
            "num_samples should be a positive integer value, but got num_samples=0",
        ),
        (lambda: WeightedRandomSampler([1.0], True), ValueError, "num_samples should be a positive integer value"),
        (lambda: WeightedRandomSampler([[1.0]], 1), ValueError, r"given weights have shape \(1, 1\)"),
        (lambda: BatchSampler([1], 0, False), ValueError, "batch_size should be a positive integer value"),
        (lambda: BatchSampler([1], 1, 0), ValueError, "drop_last should be a boolean value"),
    ],
)
def test_samplers_refuse_wrong_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


# Collating


def test_collating_keeps_the_structure():
    batch = default_collate([{"a": 1, "b": [1.0, "x"]}, {"a": 2, "b": [2.0, "y"]}])
    assert batch["a"].tolist() == [1, 2] and batch["a"].dtype == rustnn.int64
    assert batch["b"][0].dtype == rustnn.float64
    assert batch["b"][1] == ("x", "y")
    point = default_collate([Point(1, True), Point(2, False)])
    assert isinstance(point, Point) and point.y.dtype == rustnn.bool
    assert isinstance(default_collate([(1, 2), (3, 4)]), list)
    assert isinstance(default_collate([OrderedDict(a=1)]), OrderedDict)
    assert default_collate([rustnn.ones(2), rustnn.zeros(2)]).tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert default_collate([b"a", b"b"]) == [b"a", b"b"]


def test_numpy_values_become_tensors_of_their_own_dtype():
    assert default_collate([np.ones(2, np.float32), np.zeros(2, np.float32)]).dtype == rustnn.float32
    assert default_collate([np.float64(1), np.float64(2)]).dtype == rustnn.float64
    assert default_collate([np.int64(3)]).tolist() == [3]
    converted = default_convert({"a": np.ones(2), "b": ("x", np.float32(1))})
    assert converted["a"].dtype == rustnn.float64
    assert converted["b"][0] == "x" and converted["b"][1].dtype == rustnn.float32


@pytest.mark.parametrize("value", [None, object(), {1}])
def test_what_has_no_batch_form_is_refused(value):
    with pytest.raises(TypeError, match="default_collate: batch must contain tensors, numpy arrays, numbers, dicts or"):
        default_collate([value])


def test_lists_of_different_lengths_and_arrays_of_text_are_refused():
    with pytest.raises(RuntimeError, match="each element in list of batch should be of equal size"):
        default_collate([[1], [1, 2]])
    with pytest.raises(TypeError, match="found <U1"):
        default_collate([np.array(["a"])])
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size"):
        default_collate([rustnn.ones(2), rustnn.ones(3)])


# The loader


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_batches_come_in_order(num_workers):
    assert lists(DataLoader(Squares(), 4, num_workers=num_workers)) == [[0, 1, 4, 9], [16, 25, 36, 49], [64, 81]]
    assert lists(DataLoader(Squares(), 4, num_workers=num_workers, drop_last=True))[-1] == [16, 25, 36, 49]
    assert list(DataLoader(Squares(3), None, num_workers=num_workers)) == [0, 1, 4]
    assert lists(DataLoader(Squares(), sampler=[3, 1], num_workers=num_workers)) == [[9], [1]]
    assert lists(DataLoader(Squares(), batch_sampler=[[1, 2], [3]], num_workers=num_workers)) == [[1, 4], [9]]
    images, labels = next(iter(DataLoader(Subset(pairs(), [4, -1]), 2, num_workers=num_workers)))
    assert (images.tolist(), labels.tolist()) == ([4, 9], [40, 90])


def test_shuffled_order_is_the_same_for_any_number_of_workers():
    runs = [
        [lists(loader), lists(loader)]
        for loader in (
            DataLoader(Squares(20), 3, shuffle=True, num_workers=workers, generator=seeded(3)) for workers in (0, 1, 3)
        )
    ]
    assert runs[0] == runs[1] == runs[2]
    assert runs[0][0] != runs[0][1]
    assert sorted(flat(runs[0][0])) == [i * i for i in range(20)]


def test_random_transforms_from_the_workers_generators_repeat_for_any_number_of_workers():
    class Noisy(Squares):
        def __getitem__(self, index):
            rng = get_worker_info().rng
            return rng.random_generator.random() + rustnn.rand((), generator=rng.torch_generator).item()

    runs = [lists(DataLoader(Noisy(), 3, num_workers=workers, generator=seeded(3))) for workers in (1, 2, 3)]
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_an_iterable_dataset_is_read_to_its_end(num_workers):
    loader = DataLoader(Count(11), 3, num_workers=num_workers)
    assert sorted(flat(lists(loader))) == list(range(11))
    assert sorted(flat(lists(loader))) == list(range(11))
    assert sorted(DataLoader(Count(5), None, num_workers=num_workers)) == list(range(5))


def test_workers_of_an_iterable_dataset_have_their_own_copies():
    class Range(IterableDataset):
        def __init__(self):
            self.values = range(0)

        def __iter__(self):
            return iter(self.values)

    def share(worker):
        get_worker_info().dataset.values = range(worker * 10, worker * 10 + 2)

    assert sorted(DataLoader(Range(), None, num_workers=2, worker_init_fn=share)) == [0, 1, 10, 11]


def test_an_iterable_dataset_longer_than_it_says_warns():
    class Liar(Count):
        def __len__(self):
            return 2

    loader = DataLoader(Liar(4), None)
    assert len(loader) == 2
    with pytest.warns(UserWarning, match=r"was reported to be 2\(when accessing len\(dataloader\)\), but 3 samples"):
        assert len([next(iterator) for iterator in [iter(loader)] for _ in range(3)]) == 3


def test_an_exception_in_a_worker_arrives_in_turn_with_its_traceback():
    class Broken(Squares):
        def __getitem__(self, index):
            if index == 5:
                raise KeyError("five")
            return index

    iterator = iter(DataLoader(Broken(), 2, num_workers=2))
    assert [next(iterator).tolist(), next(iterator).tolist()] == [[0, 1], [2, 3]]
    with pytest.raises(KeyError, match="five") as caught:
        next(iterator)
    assert "__getitem__" in [entry.name for entry in caught.traceback]
    assert next(iterator).tolist() == [6, 7]


def test_a_failing_worker_init_fn_is_reported():
    def fail(worker):
        raise ValueError(f"worker {worker}")

    loader = DataLoader(Squares(), num_workers=2, worker_init_fn=fail, persistent_workers=True)
    for _ in range(2):
        iterator = iter(loader)
        with pytest.raises(ValueError, match="worker 0"):
            next(iterator)
        assert list(iterator) == []


def test_worker_info_tells_who_and_with_which_seed():
    class Who(Squares):
        def __getitem__(self, index):
            info = get_worker_info()
            assert info.dataset is self
            return info.id, info.num_workers, info.seed

    batches = list(DataLoader(Who(4), None, num_workers=2))
    assert [batch[:2] for batch in batches] == [[0, 2], [1, 2], [0, 2], [1, 2]]
    assert batches[1][2] == batches[0][2] + 1
    assert get_worker_info() is None


def test_a_batch_that_takes_too_long_times_out():
    class Slow(Squares):
        def __getitem__(self, index):
            time.sleep(1.0)
            return index

    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.05 seconds"):
        next(iter(DataLoader(Slow(1), num_workers=1, timeout=0.05)))


def test_out_of_order_gives_what_is_ready():
    class SlowFirst(Squares):
        def __getitem__(self, index):
            time.sleep(0.3 if index == 0 else 0.0)
            return index

    batches = lists(DataLoader(SlowFirst(6), 1, num_workers=2, in_order=False))
    assert sorted(batches) == [[0], [1], [2], [3], [4], [5]]
    assert batches[0] != [0]


def worker_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("DataLoader worker")]


def test_threads_end_with_the_pass_and_with_an_abandoned_iterator():
    list(DataLoader(Squares(), num_workers=2))
    next(iter(DataLoader(Squares(), num_workers=2)))
    gc.collect()
    deadline = time.monotonic() + 5
    while worker_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert worker_threads() == []


def test_persistent_workers_serve_one_pass_after_the_other():
    for dataset in (Squares(), Count(10)):
        loader = DataLoader(dataset, 3, num_workers=2, persistent_workers=True)
        first = lists(loader)
        threads = worker_threads()
        next(iter(loader))  # a pass that is left early must not leak into the next
        assert lists(loader) == first
        assert worker_threads() == threads
        del loader
        gc.collect()


def test_workers_fetch_only_as_far_ahead_as_asked():
    fetched = []

    class Watched(Squares):
        def __getitem__(self, index):
            fetched.append(index)
            return index

    iterator = iter(DataLoader(Watched(50), 1, num_workers=2, prefetch_factor=3))
    next(iterator)
    time.sleep(0.1)
    assert max(fetched) <= 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_workers": -1}, "num_workers option should be non-negative"),
        ({"timeout": -1}, "timeout option should be non-negative"),
        ({"prefetch_factor": 2}, "prefetch_factor option could only be specified in multiprocessing"),
        ({"persistent_workers": True}, "persistent_workers option needs num_workers > 0"),
        ({"shuffle": True, "sampler": [0]}, "sampler option is mutually exclusive with shuffle"),
        ({"batch_sampler": [[0]], "batch_size": 2}, "batch_sampler option is mutually exclusive with batch_size"),
        ({"batch_size": None, "drop_last": True}, "batch_size=None option disables auto-batching"),
        ({"batch_size": 0}, "batch_size should be a positive integer value, but got batch_size=0"),
        ({"multiprocessing_context": "fork"}, "can only be used with multi-process loading"),
        ({"multiprocessing_context": "x", "num_workers": 1}, "should specify a valid start method"),
    ],
)
def test_contradicting_options_are_refused_in_pytorchs_words(options, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(Squares(), **options)


@pytest.mark.parametrize("option", [{"shuffle": True}, {"sampler": [0]}, {"batch_sampler": [[0]]}])
def test_an_iterable_dataset_has_its_own_order(option):
    (name,) = option
    with pytest.raises(ValueError, match=f"DataLoader with IterableDataset: expected unspecified {name} option"):
        DataLoader(Count(3), **option)


def test_a_loader_does_not_change_after_it_was_made():
    loader = DataLoader(Squares(), pin_memory=True, num_workers=1, multiprocessing_context="spawn")
    with pytest.raises(ValueError, match="batch_size attribute should not be set after DataLoader is initialized"):
        loader.batch_size = 3
    assert len(loader) == 10


def test_collate_fn_gets_a_list_of_samples():
    batches = list(DataLoader(pairs(4), 2, collate_fn=lambda samples: samples))
    assert [[item.item() for item in sample] for sample in batches[1]] == [[2, 20], [3, 30]]
    assert isinstance(batches[0], list)


def test_random_module_is_left_alone_by_workers():
    random.seed(1)
    expected = random.random()
    random.seed(1)
    list(DataLoader(Squares(), num_workers=2))
    assert random.random() == expected


# The digits


def test_the_digits_come_split_and_scaled():
    train, test = rustnn.datasets.digits()
    assert (len(train), len(test)) == (1437, 360)
    images, labels = train.tensors
    assert images.shape == (1437, 1, 8, 8) and images.dtype == rustnn.float32
    assert labels.shape == (1437,) and labels.dtype == rustnn.int64
    assert (images.min().item(), images.max().item()) == (0.0, 1.0)
    counts = [(test.tensors[1] == digit).sum().item() for digit in range(10)]
    assert min(counts) >= 34 and max(counts) <= 37
    everything = {tuple(image.flatten().tolist()) for image in test.tensors[0]}
    assert len(everything) == 360
