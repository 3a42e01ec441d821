"""Functions of the top level and of ``linalg`` that are composed of ops, and the methods that call them."""

import functools
import math

import pytest

import rustnn


def test_isin_finds_elements_among_others():
    elements = rustnn.tensor([[1, 2], [3, 4]])
    assert rustnn.isin(elements, rustnn.tensor([2, 3])).tolist() == [[False, True], [True, False]]
    assert rustnn.isin(elements, 4, invert=True).tolist() == [[True, True], [True, False]]
    assert not rustnn.isin(elements, rustnn.tensor([])).any()


def test_combinations_come_in_the_order_of_their_indices():
    assert rustnn.combinations(rustnn.tensor([5, 6, 7])).tolist() == [[5, 6], [5, 7], [6, 7]]
    assert rustnn.combinations(rustnn.tensor([1, 2, 3]), 3, with_replacement=True).shape == (10, 3)
    assert rustnn.combinations(rustnn.tensor([1]), 2).shape == (0, 2)


def test_diff_takes_neighbours_apart():
    x = rustnn.tensor([1, 3, 7])
    assert x.diff().tolist() == [2, 4]
    assert x.diff(n=2, prepend=rustnn.tensor([0])).tolist() == [1, 2]
    assert rustnn.diff(rustnn.tensor([True, False, True])).tolist() == [True, True]
    assert rustnn.diff(x, n=5).shape == (0,)


def test_trapezoids_integrate_lines_exactly():
    x = rustnn.tensor([0.0, 1.0, 3.0])
    assert rustnn.trapezoid(2 * x + 1, x).item() == 12.0
    assert rustnn.cumulative_trapezoid(2 * x + 1, x).tolist() == [2.0, 12.0]
    assert rustnn.trapezoid(rustnn.ones(2, 4), dx=0.5).tolist() == [1.5, 1.5]


def test_quantiles_lie_between_ranked_elements():
    x = rustnn.tensor([8.0, 1.0, 4.0, 2.0])
    assert x.quantile(0.3).item() == pytest.approx(1.9)
    found = {kind: x.quantile(0.3, interpolation=kind).item() for kind in ("lower", "higher", "midpoint", "nearest")}
    assert found == {"lower": 1.0, "higher": 2.0, "midpoint": 1.5, "nearest": 2.0}
    grid = rustnn.arange(6.0).reshape(2, 3)
    assert rustnn.quantile(grid, rustnn.tensor([0.5, 1.0]), dim=1).tolist() == [[1.0, 4.0], [2.0, 5.0]]
    assert rustnn.quantile(grid, rustnn.tensor([0.5, 1.0]), dim=1, keepdim=True).shape == (2, 2, 1)


def test_quantiles_are_nan_where_an_element_is_unless_those_are_left_out():
    x = rustnn.tensor([[1.0, math.nan, 3.0], [1.0, 2.0, 4.0]])
    assert math.isnan(rustnn.quantile(x, 0.5, dim=1)[0].item())
    assert rustnn.nanquantile(x, 0.5, dim=1).tolist() == [2.0, 2.0]


def test_the_gradient_of_a_quantile_goes_to_its_neighbours():
    x = rustnn.tensor([3.0, 1.0, 2.0], requires_grad=True)
    x.quantile(0.25).backward()
    assert x.grad.tolist() == [0.0, 0.5, 0.5]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: rustnn.tensor([1, 2]).quantile(0.5), "either float or double"),
        (lambda: rustnn.ones(2).quantile(1.5), r"range \[0, 1\] but got 1.5"),
        (lambda: rustnn.tensor([]).quantile(0.5), "must be non-empty"),
        (lambda: rustnn.ones(2).quantile(0.5, interpolation="cubic"), "interpolation must be one of"),
        (lambda: rustnn.is_nonzero(rustnn.ones(2)), "more than one value"),
        (lambda: rustnn.combinations(rustnn.ones(1, 2)), "Expect a 1D vector"),
        (lambda: rustnn.vsplit(rustnn.ones(4), 2), "at least 2 dimension"),
        (lambda: rustnn.hsplit(rustnn.ones(4), 3), "not divisible"),
        (lambda: rustnn.hann_window(-1), "non-negative window_length"),
        (lambda: rustnn.linalg.inv(rustnn.ones(2, 3)), "must be batches of square matrices"),
        (lambda: rustnn.linalg.inv(rustnn.zeros(2, 2)), "input matrix is singular"),
        (lambda: rustnn.ones(2, requires_grad=True).unsqueeze_(0), "a leaf Variable that requires grad"),
        (lambda: rustnn.ones(2, requires_grad=True).resize_(1), "cannot resize variables"),
        (lambda: rustnn.ones(2).fill_diagonal_(1), "dimensions must larger than 1"),
    ],
)
def test_bad_input_raises(call, message):
    with pytest.raises(RuntimeError, match=message):
        call()


def test_covariances_weigh_observations():
    x = rustnn.tensor([[1.0, 2.0, 4.0], [4.0, 3.0, 1.0]])
    repeated = rustnn.tensor([[1.0, 2.0, 2.0, 4.0], [4.0, 3.0, 3.0, 1.0]])
    weighted = rustnn.cov(x, fweights=rustnn.tensor([1, 2, 1]))
    assert rustnn.allclose(weighted, repeated.cov())
    assert rustnn.allclose(x.corrcoef(), rustnn.tensor([[1.0, -1.0], [-1.0, 1.0]]), atol=1e-6)
    assert x[0].cov().item() == pytest.approx(7 / 3)


def test_kron_repeats_the_second_in_the_first():
    assert rustnn.kron(rustnn.tensor([1, 2]), rustnn.tensor([[1], [3]])).tolist() == [[1, 2], [3, 6]]


def test_vander_holds_powers():
    assert rustnn.vander(rustnn.tensor([2, 3])).tolist() == [[2, 1], [3, 1]]
    assert rustnn.vander(rustnn.tensor([2, 3]), 3, increasing=True).tolist() == [[1, 2, 4], [1, 3, 9]]


def test_windows_are_symmetric_or_periodic():
    assert rustnn.hann_window(4, periodic=False).tolist() == pytest.approx([0.0, 0.75, 0.75, 0.0])
    assert rustnn.hann_window(4).tolist() == pytest.approx([0.0, 0.5, 1.0, 0.5])
    assert rustnn.hamming_window(4).tolist() == pytest.approx([0.08, 0.54, 1.0, 0.54])
    assert rustnn.blackman_window(4).tolist() == pytest.approx([0.0, 0.34, 1.0, 0.34], abs=1e-6)
    assert rustnn.bartlett_window(5, False).tolist() == [0.0, 0.5, 1.0, 0.5, 0.0]


def test_scattered_slices_leave_the_input_alone():
    zeros = rustnn.zeros(3, 2)
    assert rustnn.select_scatter(zeros, rustnn.ones(2), 0, 1).tolist() == [[0, 0], [1, 1], [0, 0]]
    assert rustnn.slice_scatter(zeros, rustnn.ones(1, 2), 0, 1, 2).tolist() == [[0, 0], [1, 1], [0, 0]]
    assert rustnn.diagonal_scatter(zeros, rustnn.ones(2)).tolist() == [[1, 0], [0, 1], [0, 0]]
    assert not zeros.any()


def test_products_of_vectors_and_batches_are_added():
    assert rustnn.addr(rustnn.ones(2, 2), rustnn.ones(2), rustnn.ones(2), beta=0.5, alpha=2).tolist() == [[2.5] * 2] * 2
    batch = rustnn.ones(3, 2, 2)
    assert rustnn.addbmm(rustnn.full((2, 2), math.nan), batch, batch, beta=0).tolist() == [[6.0, 6.0]] * 2


def test_renorm_scales_long_slices_down():
    x = rustnn.tensor([[3.0, 4.0], [0.3, 0.4]])
    assert rustnn.renorm(x, 2, 0, 1.0).norm(dim=1).tolist() == pytest.approx([1.0, 0.5], abs=1e-6)


def test_indices_are_unravelled():
    assert [index.tolist() for index in rustnn.unravel_index(rustnn.tensor([5, 3]), (2, 3))] == [[1, 1], [2, 0]]


def test_typename_says_what_a_thing_is():
    assert rustnn.typename(rustnn.ones(1)) == "torch.FloatTensor" and rustnn.typename(3) == "int"


def test_shapes_change_in_place_over_the_same_memory():
    x = rustnn.arange(6.0)
    seen = x.view(2, 3)
    assert x.unsqueeze_(0) is x and x.shape == (1, 6)
    assert x.squeeze_(0).shape == (6,)
    seen[0, 0] = 9
    assert x[0].item() == 9
    assert rustnn.ones(2, 3).t_().shape == rustnn.ones(2, 3).transpose_(0, 1).shape == (3, 2)


def test_shapes_of_recorded_tensors_change_in_place_and_gradients_flow():
    for name, args, shape in (
        ("unsqueeze_", (0,), (1, 2, 1)),
        ("squeeze_", (), (2,)),
        ("t_", (), (1, 2)),
        ("transpose_", (0, 1), (1, 2)),
        ("swapaxes_", (0, 1), (1, 2)),
        ("swapdims_", (0, 1), (1, 2)),
    ):
        leaf = rustnn.tensor([[1.0], [2.0]], requires_grad=True)
        x = leaf * 3
        before, version = x.grad_fn, x._version
        assert getattr(x, name)(*args) is x and x.shape == shape
        assert x.grad_fn is not before and x._version == version + 1
        (x * rustnn.arange(2.0).reshape(shape)).sum().backward()
        assert leaf.grad.tolist() == [[0.0], [3.0]]


def test_a_view_reshaped_in_place_still_writes_into_its_base():
    leaf = rustnn.ones(2, 3, requires_grad=True)
    base = leaf * 2
    row = base[0]
    row.unsqueeze_(1)
    row.mul_(3)
    assert row._base is base and base[0].tolist() == [6, 6, 6]
    base.sum().backward()
    assert leaf.grad.tolist() == [[6, 6, 6], [2, 2, 2]]
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        leaf[0].unsqueeze_(0)


def test_subnormal_numbers_have_mantissas_and_exponents():
    mantissa, exponent = rustnn.frexp(rustnn.tensor([2.0**-149, -(2.0**-130), 0.0, 3.0, float("inf")]))
    assert mantissa.tolist() == [0.5, -0.5, 0.0, 0.75, float("inf")] and exponent.tolist() == [-148, -129, 0, 2, 0]
    x = rustnn.tensor([2.0**-140, 6.0], requires_grad=True)
    rustnn.frexp(x).mantissa.sum().backward()
    assert x.grad.tolist() == [float("inf"), 0.125]  # 2^139 is no float32


def test_numbers_may_stand_before_tensors_as_in_old_programs():
    a, b, c = rustnn.ones(2), rustnn.full((2,), 2.0), rustnn.full((2,), 4.0)
    assert a.clone().add_(2, b).tolist() == rustnn.add(a, 2, b).tolist() == [5, 5]
    assert a.sub(2, b).tolist() == [-3, -3]
    assert a.clone().addcmul_(2, b, c).tolist() == rustnn.addcmul(a, 2, b, c).tolist() == [17, 17]
    assert a.clone().addcdiv_(-2, b, c).tolist() == [0, 0]
    with pytest.raises(TypeError, match="positional"):
        a.add(b, 2, c)


def test_a_tensor_is_set_to_other_memory():
    source = rustnn.arange(4.0)
    x = rustnn.ones(2)
    assert x.set_(source) is x and x.data_ptr() == source.data_ptr() and x.shape == (4,)
    x.set_(source.untyped_storage(), 1, (2,), (2,))
    assert x.tolist() == [1, 3]
    assert x.set_().shape == (0,)
    with pytest.raises(RuntimeError, match="int64 to a tensor of type float32"):
        x.set_(rustnn.arange(2))


def test_elements_are_mapped_with_those_of_other_tensors():
    x = rustnn.ones(2)
    x.map_(rustnn.tensor([1.0, 2.0]), lambda a, b: a + b)
    assert x.tolist() == [2, 3]
    x.map2_(x, rustnn.tensor(10.0), lambda a, b, c: a + b + c)
    assert x.tolist() == [14, 16]


def test_a_tensor_reversed_is_flipped_and_compares_sizes():
    assert [int(i) for i in reversed(rustnn.arange(3))] == [2, 1, 0]
    assert rustnn.ones(2).is_same_size(rustnn.zeros(2)) and not rustnn.ones(2).is_same_size(rustnn.ones(1, 2))


def test_products_are_added_in_place():
    a, b = rustnn.ones(2, 2), rustnn.eye(2)
    assert a.addmm_(b, b, beta=2, alpha=3).tolist() == [[5, 2], [2, 5]]


def test_a_size_takes_whole_numbers_only():
    assert rustnn.Size(rustnn.tensor([1, 2])) == (1, 2) and type(rustnn.Size([True])[0]) is int
    with pytest.raises(TypeError, match="item 1 is 'float'"):
        rustnn.Size([1, 2.0])
    with pytest.raises(TypeError, match="not list"):
        rustnn.Size([1]) + [2]


def test_devices_that_are_not_here_have_names_and_take_no_tensors():
    there = rustnn.device("cuda:1")
    assert (there.type, there.index, str(there)) == ("cuda", 1, "cuda:1")
    assert there != rustnn.device("cuda") and rustnn.device("cuda", 1) == there != rustnn.device("cpu")
    with pytest.raises(RuntimeError, match="no 'cuda' device"):
        rustnn.ones(1, device=there)
    with pytest.raises(RuntimeError, match="no 'mps' device"):
        rustnn.ones(1).to(rustnn.device("mps"))


def test_resizing_keeps_what_fits():
    x = rustnn.arange(6.0)
    assert x.resize_(2, 2).tolist() == [[0.0, 1.0], [2.0, 3.0]]
    assert x.resize_(8)[:6].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert x.resize_as_(rustnn.ones(1, 3)).shape == (1, 3)


def test_diagonals_are_filled_and_wrap():
    assert rustnn.zeros(3, 2).fill_diagonal_(5).tolist() == [[5, 0], [0, 5], [0, 0]]
    assert rustnn.zeros(6, 2).fill_diagonal_(5, wrap=True).tolist() == [[5, 0], [0, 5], [0, 0], [5, 0], [0, 5], [0, 0]]
    assert rustnn.zeros(2, 2, 2).fill_diagonal_(1).sum().item() == 2


def test_apply_calls_a_function_on_each_element():
    assert rustnn.arange(4).reshape(2, 2).t().apply_(lambda value: value * 10).tolist() == [[0, 20], [10, 30]]


def _matrix():
    return rustnn.tensor([[2.0, 0.3], [1.0, 4.0]], dtype=rustnn.float64, requires_grad=True)


@pytest.mark.parametrize("name", ["inverse", "det", "logdet"])
def test_gradients_of_matrix_functions_are_right(name):
    function = getattr(rustnn, name)
    assert rustnn.autograd.gradcheck(function, (_matrix(),))
    assert rustnn.autograd.gradcheck(function, (rustnn.stack([_matrix().detach()] * 2).requires_grad_(),))


def test_second_derivatives_of_the_inverse_are_right():
    assert rustnn.autograd.gradgradcheck(rustnn.linalg.inv, (_matrix(),))


@pytest.mark.parametrize("shape", [(2,), (2, 3)])
def test_gradients_of_solutions_are_right(shape):
    right = rustnn.ones(shape, dtype=rustnn.float64, requires_grad=True)
    assert rustnn.autograd.gradcheck(rustnn.linalg.solve, (_matrix(), right))


def test_determinants_of_a_matrix_have_no_dimensions():
    sign, logarithm = rustnn.slogdet(-2 * rustnn.eye(3))
    assert sign.item() == -1 and logarithm.item() == pytest.approx(3 * math.log(2))
    assert rustnn.eye(2).det().shape == () and math.isnan(rustnn.logdet(-rustnn.eye(1)).item())


def test_functions_of_layers_are_at_the_top_level_too():
    x = rustnn.ones(1, 4, 2, 2)
    assert rustnn.pixel_shuffle(x, 2).shape == (1, 1, 4, 4)
    assert rustnn.cosine_similarity(rustnn.ones(1, 2), rustnn.ones(1, 2)).item() == pytest.approx(1.0)


def test_derivatives_are_taken_on_even_and_uneven_grids():
    assert rustnn.gradient(rustnn.tensor([1.0, 2.0, 4.0, 8.0]))[0].tolist() == [1.0, 1.5, 3.0, 4.0]
    places = rustnn.tensor([0.0, 1.0, 3.0, 4.0])
    slopes = rustnn.gradient(places**2, spacing=(places,), edge_order=2)[0]
    assert slopes.tolist() == pytest.approx((2 * places).tolist())


def test_mantissas_and_exponents_make_the_number_again():
    x = rustnn.tensor([0.0, 1.0, -6.5, 1e-30, 2.0**20])
    mantissa, exponent = rustnn.frexp(x)
    assert rustnn.ldexp(mantissa, exponent).tolist() == pytest.approx(x.tolist())
    assert exponent.dtype is rustnn.int32 and ((mantissa[1:].abs() >= 0.5) & (mantissa[1:].abs() < 1)).all()


def test_divisors_and_multiples_are_common():
    a, b = rustnn.tensor([12, -18, 0]), rustnn.tensor([8, 12, 5])
    assert rustnn.gcd(a, b).tolist() == [4, 6, 5] and a.lcm(b).tolist() == [24, 36, 0]
    with pytest.raises(NotImplementedError, match="gcd"):
        rustnn.gcd(rustnn.ones(1), rustnn.ones(1))


def test_histograms_count_weigh_and_normalise():
    hist = rustnn.histogram(rustnn.tensor([1.0, 2.0, 1.0, 5.0]), bins=4, range=(0.0, 4.0))
    assert hist.hist.tolist() == [0, 2, 1, 0] and hist.bin_edges.tolist() == [0, 1, 2, 3, 4]
    hist = rustnn.histogram(rustnn.tensor([0.0, 1.0]), rustnn.tensor([0.0, 1.0]), weight=rustnn.tensor([3.0, 4.0]))
    assert hist.hist.tolist() == [7]
    assert rustnn.histogram(rustnn.arange(4.0), 2, density=True).hist.sum().item() * 1.5 == pytest.approx(1.0)


def test_rows_are_reduced_by_their_index():
    index, rows = rustnn.tensor([0, 0, 2]), rustnn.tensor([2.0, 3.0, 4.0])
    assert rustnn.index_reduce(rustnn.full((3,), 2.0), 0, index, rows, "prod").tolist() == [12, 2, 8]
    assert rustnn.ones(3).index_reduce_(0, index, rows, "amax", include_self=False).tolist() == [3, 1, 4]


def test_copies_of_views_have_memory_of_their_own():
    x = rustnn.arange(6.0).reshape(2, 3)
    for name, args in (("transpose", (0, 1)), ("select", (0, 1)), ("split", (1,)), ("unbind", ()), ("alias", ())):
        made = getattr(rustnn, name + "_copy")(x, *args)
        for part in made if isinstance(made, tuple) else (made,):
            assert part.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()
    assert rustnn.as_strided_scatter(rustnn.zeros(2, 2), rustnn.ones(2), (2,), (3,)).tolist() == [[1, 0], [0, 1]]
    assert rustnn.alias_copy(rustnn.ones(1, requires_grad=True)).requires_grad


def test_an_element_by_element_maximum_may_be_with_one_number_in_a_tensor():
    x = rustnn.tensor([[0.0, 2.0]])
    assert rustnn.max(x, rustnn.tensor(1)).tolist() == [[1, 2]] and x.min(rustnn.tensor(1.0)).tolist() == [[0, 1]]
    assert rustnn.max(x, 1).values.tolist() == [2]


def test_moments_come_together_biased_or_not():
    var, mean = rustnn.var_mean(rustnn.tensor([1.0, 3.0]), unbiased=False)
    assert (var.item(), mean.item()) == (1.0, 2.0)
    std, mean = rustnn.std_mean(rustnn.tensor([[1.0, 3.0]]), 1, True, True)
    assert std.tolist() == [[pytest.approx(2**0.5)]] and mean.shape == (1, 1)


def test_whole_ranges_count_in_whole_steps():
    assert rustnn.arange(0.0, -8.5, -4.0, dtype=rustnn.int64).tolist() == [0, -4]
    assert rustnn.linspace(0.9, 4.9, 5, dtype=rustnn.int64).tolist() == [0, 1, 2, 3, 4]


def test_one_variable_has_a_number_for_its_covariance():
    assert rustnn.cov(rustnn.tensor([[1, 3]])).item() == 2.0
    assert rustnn.corrcoef(rustnn.tensor([[1.0, 3.0]])).item() == 1.0


def test_memory_is_exchanged_with_numpy_by_dlpack():
    numpy = pytest.importorskip("numpy")
    x = rustnn.arange(3.0)
    seen = numpy.from_dlpack(x)
    x[0] = 7
    assert seen[0] == 7
    back = rustnn.from_dlpack(seen)
    assert back.data_ptr() == x.data_ptr() and rustnn.from_dlpack(seen, copy=True).data_ptr() != x.data_ptr()
    with pytest.raises(BufferError):
        numpy.from_dlpack(rustnn.ones(1, requires_grad=True))


def test_values_of_a_parameter_go_to_numpy_where_gradients_are_off():
    pytest.importorskip("numpy")
    weight = rustnn.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="requires grad"):
        weight.numpy()
    with rustnn.no_grad():
        assert weight.numpy().tolist() == [1, 1]


def test_arrays_of_numpy_and_tensors_make_tensors():
    numpy = pytest.importorskip("numpy")
    x, array = rustnn.ones(2), numpy.full(2, 3.0)
    for made, values in (
        (x + array, [4.0, 4.0]),
        (x**array, [1.0, 1.0]),
        (x // array, [0.0, 0.0]),
        (x % array, [1.0, 1.0]),
        (numpy.add(array, x), [4.0, 4.0]),
        (numpy.sqrt(x), [1.0, 1.0]),
        (x == array, [False, False]),
        (array != x, [True, True]),
    ):
        assert isinstance(made, rustnn.Tensor) and made.tolist() == values
    assert (x + array).dtype is rustnn.float64


def test_a_factor_may_not_lift_the_result_out_of_its_kind():
    whole = rustnn.ones(2, dtype=rustnn.int64)
    for call in (
        lambda: rustnn.add(whole, whole, alpha=0.5),
        lambda: whole.sub(whole, alpha=0.5),
        lambda: whole.add_(whole, alpha=0.5),
    ):
        with pytest.raises(RuntimeError, match="alpha must not be a floating point number"):
            call()
    with pytest.raises(RuntimeError, match="Boolean alpha only supported for Boolean results"):
        rustnn.add(rustnn.ones(2), True, alpha=True)
    with pytest.raises(RuntimeError, match="Integer division with addcdiv"):
        rustnn.addcdiv(whole, whole, whole)
    assert rustnn.addcdiv(rustnn.ones(2), rustnn.ones(2), whole, value=0.5).tolist() == [1.5, 1.5]


def test_stacks_take_sequences_and_no_single_tensor():
    for function in (rustnn.hstack, rustnn.vstack, rustnn.dstack, rustnn.column_stack):
        with pytest.raises(TypeError, match="must be tuple of Tensors, not Tensor"):
            function(rustnn.ones(2))
    with pytest.raises(RuntimeError, match="non-empty TensorList"):
        rustnn.meshgrid()


def test_the_old_range_includes_its_end():
    with pytest.warns(UserWarning, match="torch.range is deprecated"):
        assert rustnn.range(0, 3).tolist() == [0, 1, 2, 3]
    with pytest.warns(UserWarning, match="torch.range is deprecated"):
        assert rustnn.range(1, 2, 0.5).tolist() == [1, 1.5, 2]
    with pytest.warns(UserWarning), pytest.raises(RuntimeError, match="inconsistent with step sign"):
        rustnn.range(0, 3, -1)


def test_kaisers_window_is_one_in_the_middle_and_small_at_the_ends():
    window = rustnn.kaiser_window(5, periodic=False)
    assert window.tolist() == window.flip(0).tolist() and window[2].item() == 1.0
    assert window[0].item() == pytest.approx(5.2773e-05, rel=1e-3)
    assert rustnn.kaiser_window(4).tolist() == pytest.approx(rustnn.kaiser_window(5, False)[:4].tolist())


def test_pieces_end_at_the_indices_in_a_tensor():
    parts = rustnn.tensor_split(rustnn.arange(5), rustnn.tensor([1, 3]))
    assert [part.tolist() for part in parts] == [[0], [1, 2], [3, 4]]
    assert len(rustnn.arange(5).tensor_split(rustnn.tensor([1]))) == 2
    assert len(rustnn.arange(5).tensor_split(rustnn.tensor(3))) == 3


def test_equal_tensors_may_have_different_dtypes():
    assert rustnn.equal(rustnn.ones(2), rustnn.ones(2, dtype=rustnn.int64)) is True
    assert rustnn.equal(rustnn.ones(2), rustnn.full((2,), 1.5, dtype=rustnn.float64)) is False


def test_an_empty_tensor_lies_in_the_format_it_is_asked_for():
    x = rustnn.empty((2, 3, 5, 7), memory_format=rustnn.channels_last, requires_grad=True)
    assert x.stride() == (105, 1, 21, 3) and x.requires_grad and x.is_leaf


def test_broadcast_shapes_takes_lists_and_numbers_too():
    assert rustnn.broadcast_shapes([], rustnn.Size()) == rustnn.Size([])
    assert rustnn.broadcast_shapes([2, 1], 3, (1, 1)) == (2, 3)


# What PyTorch's own tests found


def test_a_list_of_numbers_has_the_dtype_that_theirs_are_promoted_to():
    def number(value, dtype):
        return rustnn.tensor(value, dtype=dtype)

    i8, u8, f16 = rustnn.int8, rustnn.uint8, rustnn.float16
    for numbers, dtype in (
        ([number(1, i8), number(2, i8)], i8),
        ([number(1, u8), number(2, i8)], rustnn.int16),
        ([number(1, i8), True], i8),
        ([number(1, i8), 2], rustnn.int64),
        ([number(1, i8), number(1.0, f16)], f16),
        ([number(1.0, f16), 1], f16),
        ([number(1.0, f16), 1.0], rustnn.float32),
        ([1, 2.5], rustnn.float32),
        ([True, 2], rustnn.int64),
        ([[]], rustnn.float32),
    ):
        assert rustnn.tensor(numbers).dtype is dtype, (numbers, dtype)


def test_numpys_numbers_in_a_list_keep_their_dtype():
    import numpy as np

    for numbers, dtype in (
        ([np.int8(1), np.int8(2)], rustnn.int8),
        ([np.array([1, 2], dtype="int8")] * 2, rustnn.int8),
        ([np.float64(1), np.float64(2)], rustnn.float64),
        ([np.float32(1), 1.0], rustnn.float32),
        ([np.bool_(True)] * 2, rustnn.bool),
    ):
        assert rustnn.tensor(numbers).dtype is dtype, (numbers, dtype)


def test_a_number_is_written_to_an_expanded_tensor_once():
    x = rustnn.zeros(2, 1, 3)
    assert x.expand(2, 4, 3).fill_(2).tolist() == [[[2.0] * 3] * 4] * 2
    assert x.tolist() == [[[2.0] * 3]] * 2
    rustnn.ones(()).expand(3).zero_()
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        rustnn.zeros(1).expand(3).add_(1)
    leaf = rustnn.ones(3, requires_grad=True)
    base = leaf * 2
    base[:, None].expand(3, 2)[:1].fill_(5)
    base.sum().backward()
    assert base.tolist() == [5, 2, 2]
    assert leaf.grad.tolist() == [0, 2, 2]


def test_numbers_are_copied_in():
    assert rustnn.zeros(2).copy_(2.5).tolist() == [2.5, 2.5]
    assert rustnn.zeros(2, dtype=rustnn.int64).copy_(3).tolist() == [3, 3]


def test_bernoulli_takes_a_probability_for_each_element_and_an_out():
    p = rustnn.tensor([0.0, 1.0, 1.0])
    assert rustnn.full((2, 3), 7.0).bernoulli_(p).tolist() == [[0, 1, 1]] * 2
    assert rustnn.full((3,), 7).bernoulli_(p).tolist() == [0, 1, 1]
    out = rustnn.empty(3, dtype=rustnn.bool)
    assert rustnn.bernoulli(p, out=out) is out
    assert out.tolist() == [False, True, True]
    with pytest.raises(RuntimeError):
        rustnn.zeros(3).bernoulli_(p + 1)
    with pytest.raises(RuntimeError):
        rustnn.zeros(2).bernoulli_(p)


def test_all_and_any_over_no_dimensions_are_the_truth_of_each_element():
    x = rustnn.tensor([[0.0, 2.0], [1.0, 0.0]])
    for function in (rustnn.all, rustnn.any):
        assert function(x, dim=()).tolist() == [[False, True], [True, False]]
        assert function(x.byte(), dim=()).dtype is rustnn.uint8
    assert rustnn.amax(x, dim=None).item() == 2
    assert x.amin(None).item() == 0


def test_reductions_write_to_out_of_the_dtype_that_holds_them():
    x = rustnn.tensor([[1.0, 2.0], [3.0, 7.0]])
    for name in ("std", "var", "nansum", "nanmean"):
        out = rustnn.empty(2)
        assert getattr(rustnn, name)(x, 1, out=out) is out
        assert out.tolist() == getattr(rustnn, name)(x, 1).tolist()
    for call, message in (
        (lambda: rustnn.all(x, 1, out=rustnn.empty(2)), "all only supports bool tensor for result, got: Float"),
        (lambda: rustnn.any(x, 1, out=rustnn.empty(2)), "any only supports bool tensor for result, got: Float"),
        (lambda: rustnn.argmax(x, 1, out=rustnn.empty(2)), "Expected out tensor to have dtype long int, but got float"),
        (lambda: rustnn.nonzero(x, out=rustnn.empty(2)), "nonzero: Expected out tensor to have scalar type Long"),
        (
            lambda: rustnn.nonzero(x, as_tuple=True, out=rustnn.empty(2, dtype=rustnn.int64)),
            "nonzero does not support the out kwarg when as_tuple is True",
        ),
    ):
        with pytest.raises(RuntimeError, match=message):
            call()


def test_a_histogram_needs_a_range():
    x = rustnn.tensor([1.0, 2.0])
    assert rustnn.histogram(rustnn.empty(0), 2).bin_edges.tolist() == [0, 0.5, 1]
    for call, message in (
        (lambda: rustnn.histogram(x, 0), "bins must be > 0, but got 0"),
        (lambda: rustnn.histogram(x, 2, range=(3.0, 1.0)), "min should not exceed max, but got min 3 max 1"),
        (lambda: rustnn.histogram(x / 0, 2), "is not finite"),
    ):
        with pytest.raises(RuntimeError, match=message):
            call()
    with pytest.raises(NotImplementedError):
        rustnn.histogram(x.long(), 2)


def test_slopes_beside_infinity_do_not_look_at_the_middle():
    inf = math.inf
    (slopes,) = rustnn.gradient(rustnn.tensor([2.0, -2.0, inf, 3.0, 5.0]))
    assert slopes.tolist() == [-4, inf, 2.5, -inf, 2]


def test_memory_is_laid_out_in_the_order_asked_for():
    x = rustnn.empty_permuted((2, 3, 4), (2, 0, 1), dtype=rustnn.float64)
    assert x.shape == (2, 3, 4)
    assert x.stride() == (3, 1, 6)
    with pytest.raises(RuntimeError, match="physical_layout"):
        rustnn.empty_permuted((2, 3), (0, 0))


def test_a_format_is_for_numbers():
    assert f"{rustnn.tensor(2.5):.2f} {rustnn.ones(1)}" == "2.50 tensor([1.])"
    with pytest.raises(TypeError, match=r"unsupported format string passed to Tensor.__format__"):
        f"{rustnn.ones(2):.2f}"


@pytest.mark.parametrize("dtype", [rustnn.uint8, rustnn.int64, rustnn.float64])
def test_what_is_created_in_out_has_its_dtype(dtype):
    for make, expected in (
        (lambda out: rustnn.zeros(2, out=out), [0, 0]),
        (lambda out: rustnn.ones(2, out=out), [1, 1]),
        (lambda out: rustnn.full((2,), 3, out=out), [3, 3]),
        (lambda out: rustnn.arange(3, out=out), [0, 1, 2]),
        (lambda out: rustnn.arange(1, 5, 2, out=out), [1, 3]),
        (lambda out: rustnn.linspace(0, 10, 3, out=out), [0, 5, 10]),
        (lambda out: rustnn.logspace(0, 2, 3, out=out), [1, 10, 100]),
        (lambda out: rustnn.eye(2, out=out), [[1, 0], [0, 1]]),
    ):
        out = rustnn.empty(0, dtype=dtype)
        assert make(out) is out
        assert out.tolist() == expected
        assert out.dtype is dtype
    with pytest.raises(RuntimeError, match="does not match dtype of out parameter"):
        rustnn.zeros(2, dtype=rustnn.float32, out=rustnn.empty(0, dtype=dtype))


def test_tensors_of_one_element_are_numbers_in_a_list():
    assert rustnn.tensor([rustnn.ones(1), rustnn.zeros(1, 1)]).tolist() == [1, 0]
    assert rustnn.tensor([[rustnn.ones(1), 2], [3, rustnn.tensor(4)]]).tolist() == [[1, 2], [3, 4]]
    assert rustnn.tensor(rustnn.ones(1)).shape == (1,)


def test_grids_and_blocks_take_vectors_and_matrices():
    for call, message in (
        (
            lambda: rustnn.block_diag(rustnn.ones(1, 1, 1)),
            "Input tensors must have 2 or fewer dimensions. Input 0 has 3",
        ),
        (lambda: rustnn.cartesian_prod(rustnn.ones(1, 1)), r"Expect a 1D vector, but got shape \[1, 1\]"),
        (lambda: rustnn.meshgrid(rustnn.ones(2), rustnn.ones(2).long()), "expects all tensors to have the same dtype"),
    ):
        with pytest.raises(RuntimeError, match=message):
            call()
    assert rustnn.block_diag().shape == (1, 0)


def test_histograms_of_points_count_boxes_and_fill_out():
    points = rustnn.tensor([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0], [2.0, 2.0]])
    found = rustnn.histogramdd(points, [3, 3], weight=rustnn.tensor([1.0, 2.0, 4.0, 8.0]))
    assert found.hist.tolist() == [[0, 1, 0], [2, 0, 0], [4, 0, 8]] and len(found.bin_edges) == 2
    density = rustnn.histogramdd(points, [rustnn.tensor([0.0, 1.0, 2.0]), rustnn.tensor([0.0, 2.0])], density=True)
    assert density.hist.tolist() == [[0.125], [0.375]]
    inside = rustnn.histogramdd(points, 2, range=(0.0, 1.0, 0.0, 1.0)).hist
    assert inside.tolist() == [[0, 1], [1, 0]]
    counts, edges = rustnn.empty(0), rustnn.empty(0)
    rustnn.histogram(rustnn.tensor([1.0, 2.0, 1.0]), 2, out=(counts, edges))
    assert counts.tolist() == [2, 1] and edges.tolist() == [1, 1.5, 2]


def test_small_questions_about_tensors_have_answers():
    x = rustnn.ones(2, 3)
    assert x.is_set_to(x.view(2, 3)) and not x.is_set_to(x[:1]) and not x.is_set_to(rustnn.ones(2, 3))
    assert x.is_same_size(rustnn.zeros(2, 3)) and not rustnn.is_same_size(x, x.t())
    assert not (x.is_conj() or x.is_neg() or rustnn.is_conj(x))
    assert x.new_empty_strided((2, 2), (1, 2), dtype=rustnn.int64).stride() == (1, 2)
    with pytest.raises(RuntimeError, match="imag is not implemented for tensors with non-complex dtypes"):
        x.imag  # noqa: B018


def test_a_grid_of_nearest_pixels_gets_a_gradient_of_zeros():
    image, grid = rustnn.rand(1, 1, 4, 4), (rustnn.rand(1, 2, 2, 2) * 2 - 1).requires_grad_()
    out = rustnn.grid_sampler(image, grid, 1, 0, False)
    out.sum().backward()
    assert grid.grad.tolist() == [[[[0, 0]] * 2] * 2]
    assert rustnn.equal(out, rustnn.nn.functional.grid_sample(image, grid.detach(), "nearest", align_corners=False))


def test_segments_are_reduced_one_by_one():
    x = rustnn.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 0.5], [7.0, 8.0]])
    lengths = rustnn.tensor([1, 0, 3])
    reduce = functools.partial(rustnn.segment_reduce, x, lengths=lengths)
    assert reduce("sum").tolist() == [[1, 2], [0, 0], [15, 12.5]]
    assert reduce("max").tolist() == [[1, 2], [-math.inf] * 2, [7, 8]]
    assert reduce("min", initial=2).tolist() == [[1, 2], [2, 2], [2, 0.5]]
    assert reduce("prod").tolist() == [[1, 2], [1, 1], [105, 16]]
    assert reduce("mean", initial=3).tolist() == [[4, 5], [3, 3], pytest.approx([6, 15.5 / 3])]
    assert rustnn.segment_reduce(x, "sum", offsets=rustnn.tensor([1, 1, 4])).tolist() == [[0, 0], [15, 12.5]]
    rows = rustnn.tensor([[1, 1], [2, 0], [1, 1], [0, 2]])
    assert rustnn.segment_reduce(x, "sum", lengths=rows, axis=1).tolist() == [[1, 2], [7, 0], [5, 0.5], [0, 15]]
    assert rustnn.segment_reduce(x, "sum", lengths=rustnn.tensor([1]), unsafe=True).tolist() == [[1, 2]]


def test_gradients_reach_the_elements_of_a_segment():
    x = rustnn.tensor([3.0, 3.0, 1.0, 2.0], requires_grad=True)
    rustnn.segment_reduce(x, "max", lengths=rustnn.tensor([3, 1]), initial=3).sum().backward()
    assert x.grad.tolist() == [0.5, 0.5, 0.0, 0.0]
    for kind in ("sum", "mean", "prod", "min"):
        y = rustnn.tensor([1.5, 2.5, -1.0, 4.0], dtype=rustnn.float64, requires_grad=True)
        assert rustnn.autograd.gradcheck(
            lambda y, kind=kind: rustnn.segment_reduce(y, kind, lengths=rustnn.tensor([3, 1])), (y,)
        )


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({}, RuntimeError, "Either lengths or offsets"),
        ({"lengths": [1, 1]}, RuntimeError, "to sum to data.size"),
        ({"lengths": [-1, 4]}, RuntimeError, "negative value"),
        ({"lengths": [3.0]}, NotImplementedError, "not implemented for 'Float'"),
        ({"lengths": [9], "unsafe": True}, RuntimeError, "lead out of the 3 elements"),
        ({"offsets": [0, 9]}, RuntimeError, "lead out of the 3 elements"),
        ({"offsets": [2, 1]}, RuntimeError, "lead out of the 3 elements"),
        ({"lengths": [3], "axis": 1}, RuntimeError, "last dimension of lengths but got 1"),
        ({"lengths": [[3]]}, RuntimeError, "do not lie in data"),
        ({"indices": [0, 0, 1]}, RuntimeError, "not supported yet"),
    ],
)
def test_segments_that_do_not_fit_raise(options, error, text):
    options = {name: rustnn.tensor(value) if isinstance(value, list) else value for name, value in options.items()}
    with pytest.raises(error, match=text):
        rustnn.segment_reduce(rustnn.ones(3), "sum", **options)


def test_other_reductions_and_dtypes_of_segments_raise():
    lengths = rustnn.tensor([3])
    with pytest.raises(RuntimeError, match="got median"):
        rustnn.segment_reduce(rustnn.ones(3), "median", lengths=lengths)
    with pytest.raises(NotImplementedError, match="'Long'"):
        rustnn.segment_reduce(rustnn.arange(3), "sum", lengths=lengths)


def test_asarray_shares_what_memory_there_is():
    import numpy

    vector = numpy.ones(3, dtype=numpy.float32)
    x = rustnn.asarray(vector)
    x[0] = 5
    assert vector[0] == 5
    buffer = bytearray(b"abcd")
    assert rustnn.asarray(buffer, dtype=rustnn.int16, copy=False).tolist() == [25185, 25699]
    assert rustnn.asarray(memoryview(vector.astype(numpy.float16)), dtype=rustnn.float16).tolist() == [5, 1, 1]
    capsule = rustnn.utils.dlpack.to_dlpack(x)
    assert rustnn.asarray(capsule).data_ptr() == x.data_ptr()
    assert rustnn.asarray(x, copy=True).data_ptr() != x.data_ptr()
    assert rustnn.asarray(x, dtype=rustnn.float64).dtype is rustnn.float64
    with pytest.raises(ValueError, match="can't alias tensor with dtype 'Float' into dtype 'Double'"):
        rustnn.asarray(vector, dtype=rustnn.float64, copy=False)
    with pytest.raises(ValueError, match="can't alias tensor from device 'cpu' to 'meta'"):
        rustnn.asarray(x, device="meta", copy=False)
    with pytest.raises(ValueError, match="arbitrary sequence"):
        rustnn.asarray([1], copy=False)
    with pytest.raises(RuntimeError, match="can't alias NumPy scalars"):
        rustnn.asarray(numpy.float32(3), copy=False)
    with pytest.raises(ValueError, match="does not implement Python buffer protocol"):
        rustnn.frombuffer([1, 2], dtype=rustnn.int32)


def test_grids_and_windows_say_what_they_refuse():
    with pytest.raises(RuntimeError, match="same device"):
        rustnn.meshgrid(rustnn.ones(2), rustnn.ones(2, device="meta"), indexing="ij")
    with pytest.raises(RuntimeError, match="N must be non-negative"):
        rustnn.vander(rustnn.ones(2), N=-1)
    with pytest.raises(RuntimeError, match="kaiser_window expects floating point dtypes"):
        rustnn.kaiser_window(3, dtype=rustnn.int64)


def test_composed_functions_write_to_an_out():
    matrix, vector, batch = rustnn.ones(3, 3), rustnn.arange(3.0), rustnn.ones(2, 3, 3)
    calls = {
        "addbmm": (matrix, batch, batch),
        "addr": (matrix, vector, vector),
        "column_stack": ((vector, vector),),
        "dstack": ((vector, vector),),
        "hstack": ((vector, vector),),
        "vstack": ((vector, vector),),
        "row_stack": ((vector, vector),),
        "diff": (vector,),
        "float_power": (vector, 2),
        "index_reduce": (vector, 0, rustnn.tensor([1]), rustnn.ones(1), "prod"),
        "isin": (vector, vector),
        "renorm": (matrix, 2, 0, 1),
        "vdot": (vector, vector),
        "slice_scatter": (matrix, matrix[:1] * 5, 0, 1, 2),
    }
    for name, arguments in calls.items():
        function = getattr(rustnn, name)
        expected = function(*arguments)
        out = rustnn.empty(0, dtype=expected.dtype)
        assert function(*arguments, out=out) is out
        assert rustnn.equal(out, expected), name
    with pytest.raises(RuntimeError, match="can't be cast"):
        rustnn.vstack((vector, vector), out=rustnn.empty(0, dtype=rustnn.int64))
    with pytest.raises(RuntimeError, match="don't support automatic differentiation"):
        rustnn.addr(matrix.requires_grad_(), vector, vector, out=rustnn.empty(0))


def test_composed_functions_resize_their_out():
    x = rustnn.tensor([1.0, 2.0, 3.0])
    calls = {
        rustnn.special.bessel_j0: (x,),
        rustnn.special.zeta: (x + 1, 1.0),
        rustnn.special.polygamma: (0, x),
        rustnn.special.multigammaln: (x + 2, 2),
        rustnn.fft.fftfreq: (3,),
        rustnn.fft.rfftfreq: (5,),
        rustnn.quantile: (x, 0.5),
        rustnn.tensordot: (x, x, 1),
        rustnn.gcd: (rustnn.tensor([4, 6]), rustnn.tensor([6, 9])),
        rustnn.lcm: (rustnn.tensor([4, 6]), rustnn.tensor([6, 9])),
        rustnn.ldexp: (x, 2),
        rustnn.nextafter: (x, x + 1),
    }
    for function, arguments in calls.items():
        expected = function(*arguments)
        out = rustnn.empty(0, dtype=expected.dtype)
        assert function(*arguments, out=out) is out
        assert rustnn.equal(out, expected), function.__name__
    with pytest.warns(UserWarning, match="An output with one or more elements was resized"):
        assert rustnn.special.i1(x, out=rustnn.empty(2)).shape == (3,)
    with pytest.raises(RuntimeError, match="result type Float can't be cast to the desired output type Long"):
        rustnn.special.i1(x, out=rustnn.empty(0, dtype=rustnn.int64))
    assert rustnn.fft.fftfreq(3, out=rustnn.empty(0, dtype=rustnn.float64)).dtype is rustnn.float64


def test_slopes_between_places_have_the_precision_of_the_places():
    places = rustnn.tensor([0.0, 1.0, 3.0, 4.0], dtype=rustnn.float64)
    for values in (
        rustnn.tensor([1, 4, 9, 16]),
        rustnn.tensor([1.0, 4.0, 9.0, 16.0]),
        rustnn.tensor([1, 4, 9, 16], dtype=rustnn.uint8),
    ):
        (slopes,) = rustnn.gradient(values, spacing=[places])
        assert slopes.dtype is rustnn.float64
        assert slopes.tolist() == pytest.approx([3, 17 / 6, 5.5, 7], rel=1e-15)
    assert rustnn.gradient(rustnn.ones(4).half(), spacing=[places.long()])[0].dtype is rustnn.float32


def test_a_raveled_tensor_is_contiguous():
    x = rustnn.arange(10.0, requires_grad=True)
    raveled = x[::2].ravel()
    assert raveled.is_contiguous() and raveled.tolist() == [0, 2, 4, 6, 8]
    raveled.sum().backward()
    assert x.grad.tolist() == [1, 0] * 5
    y = rustnn.ones(2, 3)
    assert y.ravel().data_ptr() == y.data_ptr()


def test_equally_spaced_numbers_lie_between_ends_given_as_tensors():
    end = rustnn.tensor(3.0, requires_grad=True)
    spaced = rustnn.linspace(rustnn.tensor(1), end, 3)
    assert spaced.tolist() == [1, 2, 3] and not spaced.requires_grad
    assert rustnn.logspace(rustnn.tensor(0), 2.0, 3).tolist() == [1, 10, 100]
    with pytest.raises(RuntimeError, match="only supports 0-dimensional start and end tensors"):
        rustnn.linspace(rustnn.ones(1), 1, 3)


def test_pieces_split_unsafely_may_be_written_under_gradients():
    for split in (
        lambda x: rustnn.unsafe_chunk(x, 2),
        lambda x: rustnn.unsafe_split(x, 2),
        lambda x: rustnn.unsafe_split_with_sizes(x, [2, 2]),
    ):
        x = rustnn.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=True)
        first, second = split(x * 1)
        first.mul_(second)
        first.sum().backward()
        assert x.grad.tolist() == [3, 4, 1, 2]


def test_statistics_of_no_elements_are_refused():
    with pytest.raises(RuntimeError, match=r"at least one element, but got input_sizes = \[0, 1\]"):
        rustnn.batch_norm_update_stats(rustnn.ones(0, 1), rustnn.ones(1), rustnn.ones(1), 0.1)


def test_a_complex_number_does_not_fill_real_rows():
    with pytest.raises(RuntimeError, match="Converting complex Scalar to non-complex type is not supported"):
        rustnn.ones(2, 2).index_fill_(1, rustnn.tensor([0]), 1 + 1j)
