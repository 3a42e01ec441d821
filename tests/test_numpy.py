"""NumPy's arrays and numbers: memory shared both ways, numbers that count as Python's."""

import ctypes

import numpy as np
import pytest

import rustnn
from fresh_interpreter import run

DTYPES = [
    ("bool", rustnn.bool),
    ("int8", rustnn.int8),
    ("int16", rustnn.int16),
    ("int32", rustnn.int32),
    ("int64", rustnn.int64),
    ("uint8", rustnn.uint8),
    ("uint16", rustnn.uint16),
    ("uint32", rustnn.uint32),
    ("uint64", rustnn.uint64),
    ("float16", rustnn.float16),
    ("float32", rustnn.float32),
    ("float64", rustnn.float64),
    ("complex64", rustnn.complex64),
    ("complex128", rustnn.complex128),
]


@pytest.mark.parametrize(("name", "dtype"), DTYPES)
def test_memory_is_shared_both_ways_in_every_dtype_that_numpy_has(name, dtype):
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(name)
    tensor = rustnn.from_numpy(array)
    assert tensor.dtype is dtype
    assert tensor.tolist() == array.tolist()
    array[0, 0] = 1
    assert tensor[0, 0].item() == 1
    back = tensor.numpy()
    assert back.dtype == array.dtype
    assert back.ctypes.data == array.ctypes.data
    tensor[1, 1] = 1
    assert back[1, 1] == array[1, 1] == 1


def test_integers_of_c_have_the_width_of_the_platform():
    for code in "bBhHiIlLqQ":
        array = np.ones(3, dtype=code)
        tensor = rustnn.from_numpy(array)
        assert tensor.element_size() == array.itemsize
        assert str(tensor.dtype).removeprefix("torch.").removeprefix("rustnn.") == array.dtype.name


def test_strides_and_offsets_survive_both_ways():
    array = np.arange(24.0).reshape(2, 3, 4)[:, ::2, 1:].transpose(2, 0, 1)
    tensor = rustnn.from_numpy(array)
    assert tensor.tolist() == array.tolist()
    back = tensor.t_() if tensor.dim() < 3 else tensor.transpose(0, 2)
    assert back.numpy().tolist() == array.transpose(2, 1, 0).tolist()
    assert back.numpy().strides == array.transpose(2, 1, 0).strides
    assert rustnn.ones(3, 1).expand(3, 4).numpy().strides == (4, 0)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (1, 1)])
def test_arrays_without_elements_or_dimensions_go_both_ways(shape):
    array = np.ones(shape, dtype=np.float32)
    tensor = rustnn.from_numpy(array)
    assert tuple(tensor.shape) == tensor.numpy().shape == shape
    assert rustnn.zeros(shape).numpy().shape == shape


def test_an_array_of_a_tensor_outlives_the_tensor_and_its_resizing():
    tensor = rustnn.arange(4.0)
    array = tensor.numpy()
    tensor.resize_(1 << 16).fill_(7.0)
    del tensor
    rustnn.full((1 << 16,), 3.0)
    assert array.tolist() in ([0.0, 1.0, 2.0, 3.0], [7.0] * 4)


def test_a_tensor_keeps_the_array_alive_whose_memory_it_uses():
    tensor = rustnn.from_numpy(np.arange(1 << 16, dtype=np.float32))
    np.zeros(1 << 16, dtype=np.float32).fill(5)
    assert tensor[-1].item() == (1 << 16) - 1


def test_a_read_only_array_makes_a_tensor_that_may_not_be_written():
    array = np.arange(3.0)
    array.flags.writeable = False
    tensor = rustnn.from_numpy(array)
    with pytest.raises(RuntimeError):
        tensor.add_(1)
    assert array.tolist() == [0, 1, 2]
    assert not tensor.numpy().flags.writeable


def test_subclasses_of_arrays_are_arrays(tmp_path):
    mapped = np.memmap(tmp_path / "numbers", dtype=np.int32, mode="w+", shape=(4,))
    tensor = rustnn.from_numpy(mapped)
    tensor.fill_(9)
    assert mapped.tolist() == [9] * 4


def test_an_object_that_describes_itself_as_arrays_do_is_taken_without_a_copy():
    memory = (ctypes.c_float * 3)(1, 2, 3)

    class Numbers:
        __array_interface__ = {"version": 3, "typestr": "<f4", "shape": (3,), "data": (ctypes.addressof(memory), False)}

    tensor = rustnn.as_tensor(Numbers())
    tensor[0] = 5
    assert list(memory) == [5, 2, 3]
    assert rustnn.tensor(Numbers()).tolist() == [5, 2, 3]
    with pytest.raises(TypeError, match=r"expected np\.ndarray"):
        rustnn.from_numpy(Numbers())


@pytest.mark.parametrize("kind", [np.int8, np.int64, np.uint16, np.uint64])
def test_an_integer_of_numpy_is_an_index_and_a_number(kind):
    x = rustnn.arange(6).reshape(3, 2)
    assert x[kind(2)].tolist() == [4, 5]
    assert x[kind(1), kind(1)].item() == 3
    assert x[kind(0) : kind(2)].shape == (2, 2)
    assert (x + kind(1)).tolist() == [[1, 2], [3, 4], [5, 6]]
    assert x.sum(kind(0)).tolist() == [6, 9]
    assert rustnn.zeros(kind(2), kind(3)).shape == (2, 3)


def test_numbers_of_numpy_in_sequences_bring_their_dtype():
    assert rustnn.tensor([np.float64(1), np.float64(2)]).dtype is rustnn.float64
    assert rustnn.tensor([np.float32(1), np.float32(2)]).dtype is rustnn.float32
    assert rustnn.tensor([np.int32(1), np.int8(2)]).dtype is rustnn.int32
    assert rustnn.tensor([np.bool_(True), np.bool_(False)]).tolist() == [True, False]
    assert rustnn.tensor([np.complex64(1 + 2j)]).dtype is rustnn.complex64
    assert rustnn.tensor([np.array(1.5), np.array(2.5)]).tolist() == [1.5, 2.5]
    assert rustnn.tensor([np.array([1, 2]), np.array([3, 4])]).tolist() == [[1, 2], [3, 4]]
    assert rustnn.tensor(np.float32(0.5)).dtype is rustnn.float32


@pytest.mark.parametrize("value", [np.longdouble(1.5), np.datetime64("2026-01-01"), np.str_("1")], ids=repr)
def test_what_numpy_has_and_we_have_not_is_refused(value):
    with pytest.raises((TypeError, RuntimeError, ValueError)):
        rustnn.tensor([value])
    with pytest.raises((TypeError, RuntimeError, ValueError)):
        rustnn.zeros(2).add(value)
    with pytest.raises(TypeError):
        rustnn.from_numpy(np.array([value]))


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.arange(3.0)[::-1], ValueError, "negative"),
        (np.arange(3, dtype=">i4"), ValueError, "byte order"),
        (np.frombuffer(bytes(range(16)), dtype=np.uint8)[1:13].view(np.float32), ValueError, "aligned"),
        (np.zeros(3, dtype=[("a", "f4"), ("b", "i1")])["a"], ValueError, "not a multiple"),
        (np.array(["a"]), TypeError, "numpy.str_"),
        (np.array([None]), TypeError, "numpy.object_"),
        ([1.0], TypeError, r"expected np\.ndarray .got list"),
    ],
)
def test_an_array_that_cannot_be_shared_is_refused_with_the_reason(array, error, message):
    with pytest.raises(error, match=message):
        rustnn.from_numpy(array)


def test_numpy_is_imported_by_nobody_before_an_array_is_made():
    run(
        "import sys, rustnn\n"
        "x = rustnn.tensor([[1.0, 2.0]])[0, 1] + 1\n"
        "x.item(), x.tolist(), repr(x)\n"
        "assert 'numpy' not in sys.modules\n"
        "class Many:\n"
        "    def __len__(self): return 2\n"
        "    def __getitem__(self, i): return [1.0, 2.0][i]\n"
        "rustnn.tensor(Many())\n"
        "assert 'numpy' not in sys.modules\n"
        "assert x.numpy().tolist() == 3.0\n"
        "assert 'numpy' in sys.modules\n"
    )
