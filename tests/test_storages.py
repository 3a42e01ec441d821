"""Storages as data of tensors, and storages without data."""

import copy
import sys

import pytest

import rustnn


def test_a_tensor_of_a_storage_reads_its_bytes():
    x = rustnn.tensor([1.0, 2.0])
    assert rustnn.tensor(x.storage()).tolist() == [1.0, 2.0]
    assert rustnn.tensor(x.untyped_storage(), dtype=rustnn.float32).tolist() == [1.0, 2.0]
    assert rustnn.tensor(x.untyped_storage(), dtype=rustnn.int32).tolist() == [0x3F800000, 0x40000000]
    assert rustnn.tensor(x.storage()).data_ptr() == x.data_ptr()
    with pytest.raises(RuntimeError, match=r"Expected a Storage of type torch\.int64 or an UntypedStorage"):
        rustnn.tensor(x.storage(), dtype=rustnn.int64)
    with pytest.raises(RuntimeError, match=r"Expected a Storage of type torch\.float64"):
        rustnn.tensor([], dtype=rustnn.float64).set_(x.storage())


def test_storages_are_named_by_dtype():
    assert rustnn.ones(1).storage_type() is rustnn.FloatStorage
    assert rustnn.storage._dtype_to_storage_type_map()[rustnn.bool] == "BoolStorage"
    assert rustnn.storage._storage_type_to_dtype_map()["LongStorage"] is rustnn.int64


def test_a_storage_weighs_what_it_holds():
    small, large = rustnn.ones(10).storage(), rustnn.ones(110).storage()
    assert sys.getsizeof(large) - sys.getsizeof(small) == 400
    assert sys.getsizeof(large.untyped()) - sys.getsizeof(small.untyped()) == 400


def test_a_storage_without_data_has_a_size_that_may_change_and_no_elements():
    storage = rustnn.TypedStorage([1, 2, 3], dtype=rustnn.int32, device="meta")
    assert storage.nbytes() == 12 and storage.size() == 3 and storage.data_ptr() == 0
    for each in (storage, storage.untyped()):
        with pytest.raises(NotImplementedError, match="Not available for 'meta' device type"):
            each[0]
    storage.resize_(10)
    assert storage.size() == 10
    with pytest.raises(NotImplementedError, match="keeps its size"):
        rustnn.ones(2).storage().resize_(10)


def test_old_orders_of_arguments_warn():
    x = rustnn.ones(2)
    with pytest.warns(UserWarning, match="This overload of addcdiv is deprecated"):
        assert rustnn.addcdiv(x, 2, x, x).tolist() == [3.0, 3.0]
    with pytest.warns(UserWarning, match="This overload of add_ is deprecated"):
        x.add_(3, x)


def test_neighbours_differ_only_between_tensors_of_one_shape():
    with pytest.raises(RuntimeError, match=r"input\.size\(1\) = 3, but got tensor\.size\(1\) = 2"):
        rustnn.ones(2, 3).diff(dim=0, prepend=rustnn.ones(1, 2))


def test_a_deep_copy_shares_memory_where_the_original_does():
    x = rustnn.zeros(4)
    copied, typed, untyped, bits = copy.deepcopy([x, x.storage(), x.untyped_storage(), x.view(rustnn.int32)])
    copied.add_(1)
    assert x.tolist() == [0, 0, 0, 0] and typed.tolist() == [1, 1, 1, 1]
    assert typed.data_ptr() == untyped.data_ptr() == copied.data_ptr() == bits.data_ptr() != x.data_ptr()
    first, whole = copy.deepcopy([x.storage(), x])
    first[0] = 5
    assert whole.tolist() == [5, 0, 0, 0] and x[0] == 0


def test_a_tensor_is_resized_into_a_memory_format():
    x = rustnn.arange(96.0)
    assert x.resize_((2, 3, 4, 4), memory_format=rustnn.channels_last).stride() == (48, 1, 12, 3)
    assert x.as_strided((96,), (1,)).tolist() == list(range(96))
    assert x.resize_((2, 3, 4, 4)).stride() == (48, 1, 12, 3)
    assert x.resize_((2, 3, 4, 4), memory_format=rustnn.contiguous_format).stride() == (48, 16, 4, 1)
    like = rustnn.zeros(2, 3, 2, 2, 4).to(memory_format=rustnn.channels_last_3d)
    assert rustnn.zeros(1).resize_as_(like, memory_format=rustnn.preserve_format).stride() == like.stride()
    assert rustnn.zeros(1).resize_as_(like).is_contiguous()
    with pytest.raises(RuntimeError, match="required rank 4 tensor to use channels_last format"):
        x.resize_((2, 3), memory_format=rustnn.channels_last)
    with pytest.raises(RuntimeError, match="Unsupported memory format"):
        x.resize_((2, 3), memory_format=rustnn.preserve_format)
