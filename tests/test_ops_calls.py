"""How ops are called: which overload an argument picks, and small things that programs rely on."""

import numpy as np
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


def test_an_in_place_operator_asks_the_other_side_for_what_it_cannot_do():
    class Other:
        def __radd__(self, left):
            return "radd"

        def __rpow__(self, left):
            return "rpow"

    x = y = rustnn.ones(2)
    x += Other()
    y **= Other()
    assert (x, y) == ("radd", "rpow")
    z = rustnn.ones(2)
    with pytest.raises(TypeError, match=r"unsupported operand type\(s\) for \+="):
        z += "a"
    same = z
    z += 1
    z **= rustnn.tensor(2.0)
    z *= 0.5
    assert z is same and z.tolist() == [2, 2]


def test_a_tensor_without_elements_is_contiguous_whatever_its_strides():
    x = rustnn.ones(2, 3, 4).transpose(0, 2)[:, 1:1]
    assert x.shape == (4, 0, 2) and x.is_contiguous()
    assert rustnn.zeros(1, 0).expand(3, 0).copy_(rustnn.ones(3, 0)).shape == (3, 0)


def test_a_number_is_its_own_transpose_as_matrix():
    assert rustnn.tensor(3.0).mT.item() == 3 and rustnn.tensor(3.0).H.item() == 3


def test_out_does_not_change_what_is_computed():
    halves = rustnn.tensor([33000.0], dtype=rustnn.float16)
    assert rustnn.add(halves, halves, out=rustnn.empty(1, dtype=rustnn.float64)).item() == float("inf")
    bytes_ = rustnn.tensor([200], dtype=rustnn.uint8)
    assert rustnn.add(bytes_, bytes_, out=rustnn.empty(1, dtype=rustnn.int64)).item() == 400 - 256


def test_ranges_fill_an_out_of_as_many_elements_in_order():
    x = rustnn.zeros(2, 3)
    assert rustnn.arange(4, out=x[:, 1:]).shape == (2, 2)
    assert x.tolist() == [[0, 0, 1], [0, 2, 3]]
    rustnn.linspace(3, 0, 4, out=x[:, 1:])
    assert x.tolist() == [[0, 3, 2], [0, 1, 0]]
    rustnn.logspace(0, 3, 4, out=x[:, 1:])
    assert x.tolist() == [[0, 1, 10], [0, 100, 1000]]
    rustnn.range(1, 4, out=x[:, 1:])
    assert x.tolist() == [[0, 1, 2], [0, 3, 4]]
    assert rustnn.arange(4, out=x).shape == (4,)
    out = rustnn.empty(2)
    assert rustnn.normal(rustnn.zeros(2), rustnn.zeros(2), out=out) is out and out.tolist() == [0, 0]


def test_a_byte_mask_warns_that_it_is_old():
    with pytest.warns(UserWarning, match="indexing with dtype torch.uint8 is now deprecated"):
        assert rustnn.arange(3)[rustnn.tensor([1, 0, 1], dtype=rustnn.uint8)].tolist() == [0, 2]


def test_all_and_any_keep_dimensions_without_a_dim():
    x = rustnn.tensor([[1, 0], [1, 1]])
    assert x.any(keepdim=True).tolist() == [[True]] and rustnn.all(x, keepdim=True).tolist() == [[False]]
    assert x.all().shape == () and x.all(None).shape == () and x.all(0).tolist() == [True, False]


def test_roll_and_cat_take_what_pytorch_takes():
    x = rustnn.arange(4).reshape(2, 2)
    assert rustnn.equal(x.roll(1, dims=None), x.roll(1)) and x.roll(1).tolist() == [[3, 0], [1, 2]]
    assert rustnn.cat([rustnn.zeros(0), rustnn.zeros(0)], 1).shape == (0,)


def test_random_draws_up_to_the_greatest_where_no_end_is_given():
    x = rustnn.empty(1000, dtype=rustnn.int8).random_(100, None)
    assert x.min() == 100 and x.max() == 127


def test_random_tensors_are_laid_out_like_their_models():
    x = rustnn.zeros(2, 3, 4).permute(2, 0, 1)
    for like in (rustnn.rand_like, rustnn.randn_like, lambda x: rustnn.randint_like(x, 5)):
        drawn = like(x)
        assert drawn.stride() == x.stride() and len(drawn.unique()) > 4


def test_a_resize_to_another_shape_counts_as_a_change():
    x = rustnn.zeros(1)
    assert x.resize_(1, 2)._version == 1 and x.resize_(1, 2)._version == 1 and x.resize_(2)._version == 2


def test_nextafter_steps_to_the_neighbour():
    x = rustnn.tensor([1.0, 1.0, 0.0, -0.0, float("inf"), 2.0, float("nan")])
    y = rustnn.tensor([2.0, 0.0, 1.0, -1.0, 0.0, 2.0, 1.0])
    for dtype, numbers in ((rustnn.float32, np.float32), (rustnn.float64, np.float64)):
        found = rustnn.nextafter(x.to(dtype), y.to(dtype)).numpy()
        np.testing.assert_array_equal(found, np.nextafter(x.numpy().astype(numbers), y.numpy().astype(numbers)))
    half = rustnn.tensor([1.0], dtype=rustnn.bfloat16)
    assert half.nextafter_(half * 2).item() == 1 + 2**-7


def test_quantiles_of_rows_with_nan_hand_their_gradient_to_it():
    x = rustnn.tensor([1.0, float("nan"), 2.0], requires_grad=True)
    x.quantile(0.5).backward()
    assert x.grad.tolist() == [0, 1, 0]


def test_storages_are_storages():
    assert rustnn.is_storage(rustnn.ones(1).untyped_storage()) and rustnn.is_storage(rustnn.ones(1).storage())
    assert not rustnn.is_storage(rustnn.ones(1))


def test_masks_fill_expanded_tensors_where_any_place_of_an_element_is_masked():
    x = rustnn.zeros(3, 1).expand(3, 4)
    mask = rustnn.zeros(3, 4, dtype=rustnn.bool)
    mask[0, 2] = mask[2] = True
    assert x.masked_fill_(mask, 5.0).tolist() == [[5] * 4, [0] * 4, [5] * 4]
    x[x == 0] = 7.0
    assert x[:, 0].tolist() == [5, 7, 5] and x._version == 2
    base = rustnn.ones(2, requires_grad=True)
    y = base.clone()
    y.unsqueeze(1).expand(2, 3).masked_fill_(rustnn.tensor([[True], [False]]), 0.0)
    y.sum().backward()
    assert base.grad.tolist() == [0, 1]


@pytest.mark.parametrize("fill", ["cauchy_", "log_normal_", "normal_", "uniform_", "geometric_"])
def test_what_random_numbers_overwrite_gets_no_gradient(fill):
    x = rustnn.ones(3, requires_grad=True)
    getattr(x.clone(), fill)(*[0.5] * (fill == "geometric_")).sum().backward()
    assert x.grad.tolist() == [0, 0, 0]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        getattr(x, fill)(*[0.5] * (fill == "geometric_"))


def test_broadcast_to_takes_sizes_one_by_one():
    x = rustnn.ones(3)
    assert x.broadcast_to(2, 3).shape == x.broadcast_to((2, 3)).shape == rustnn.broadcast_to(x, (2, 3)).shape == (2, 3)
