"""Functions of PyTorch's native names, windows, Sobol points, mapped files."""

import math

import pytest

import rustnn
from rustnn.quasirandom import SobolEngine
from rustnn.signal import windows


def test_native_norms_return_their_statistics():
    x = rustnn.arange(24.0).reshape(2, 4, 3)
    y, mean, rstd = rustnn.native_layer_norm(x, [3], None, None, 0.0)
    assert mean.shape == rstd.shape == (2, 4, 1)
    rustnn.testing.assert_close((x - mean) * rstd, y)
    y, mean, rstd = rustnn.native_group_norm(x, None, None, 2, 4, 3, 2, 0.0)
    rustnn.testing.assert_close((x.reshape(2, 2, 6) - mean[..., None]) * rstd[..., None], y.reshape(2, 2, 6))
    y, mean, rstd = rustnn.native_batch_norm(x, None, None, None, None, True, 0.1, 0.0)
    rustnn.testing.assert_close((x - mean[:, None]) * rstd[:, None], y)
    assert [s.shape for s in rustnn.native_batch_norm(x, None, None, mean, rstd, False, 0.1, 0.0)[1:]] == [(0,), (0,)]


def test_native_dropout_returns_the_mask_of_what_it_keeps():
    rustnn.manual_seed(0)
    x = rustnn.ones(1000)
    y, mask = rustnn.native_dropout(x, 0.25, True)
    assert mask.dtype is rustnn.bool and rustnn.equal(y, mask / 0.75) and 0 < int(mask.sum()) < 1000
    y, mask = rustnn.native_dropout(x, 0.25, False)
    assert rustnn.equal(y, x) and mask.all()


def test_a_masked_softmax_spreads_over_what_the_mask_lets_through():
    scores = rustnn.tensor([[[[1.0, 2.0, 3.0]] * 3]])
    mask = rustnn.tensor([[False, False, True]])
    result = rustnn._masked_softmax(scores, mask, 3, 1)
    rustnn.testing.assert_close(result[0, 0, 0], rustnn.tensor([1 / (1 + math.e), math.e / (1 + math.e), 0.0]))
    with pytest.raises(RuntimeError, match="Mask should be a boolean tensor"):
        rustnn._masked_softmax(scores, mask.long(), 3, 1)
    with pytest.raises(RuntimeError, match="Mask Type should be 0"):
        rustnn._masked_softmax(scores, mask, 3, 7)


def test_places_of_nonzero_elements_fill_a_fixed_number_of_rows():
    x = rustnn.tensor([[0, 5], [7, 0]])
    assert rustnn.nonzero_static(x, size=3).tolist() == [[0, 1], [1, 0], [-1, -1]]
    assert rustnn.nonzero_static(x, size=1, fill_value=9).tolist() == [[0, 1]]
    with pytest.raises(RuntimeError, match="non-negative"):
        rustnn.nonzero_static(x, size=-1)


def test_overlap_is_told_from_the_strides():
    x = rustnn.ones(2, 3)
    overlaps = [x, x.T, x[:1].expand(2, 3), x.as_strided((2, 2), (2, 3))]
    assert [rustnn._debug_has_internal_overlap(t) for t in overlaps] == [0, 0, 1, 2]


def test_a_mapped_file_and_its_tensor_are_one(tmp_path):
    path = str(tmp_path / "numbers")
    shared = rustnn.from_file(path, True, 4, dtype=rustnn.int32).copy_(rustnn.arange(4))
    assert rustnn.from_file(path, False, 4, dtype=rustnn.int32).tolist() == [0, 1, 2, 3]
    private = rustnn.from_file(path, False, 4, dtype=rustnn.int32).fill_(9)
    assert private.tolist() == [9] * 4 and shared.tolist() == [0, 1, 2, 3]
    storage = rustnn.IntStorage.from_file(path, True, 4)
    storage[0] = 7
    assert shared[0].item() == 7 and storage.filename == path
    with pytest.raises(RuntimeError, match="smaller than the required"):
        rustnn.from_file(path, False, 1000)
    with pytest.raises(FileNotFoundError):
        rustnn.from_file(str(tmp_path / "nothing"), False, 1)
    with pytest.raises(RuntimeError, match="derived classes"):
        rustnn.TypedStorage.from_file(path, False, 1)


def test_windows_rise_and_fall_and_check_their_arguments():
    assert windows.bartlett(5).tolist() == [0.0, 0.5, 1.0, 0.5, 0.0]
    assert windows.hann(4, sym=False).tolist() == pytest.approx([0.0, 0.5, 1.0, 0.5])
    assert windows.general_hamming(3, alpha=0.5).tolist() == pytest.approx([0.0, 1.0, 0.0], abs=1e-7)
    for name in windows.__all__:
        more = {"a": [0.5, 0.5]} if name == "general_cosine" else {}
        window = getattr(windows, name)
        values = window(9, dtype=rustnn.float64, **more)
        rustnn.testing.assert_close(values, values.flip(0))
        assert window(0, **more).shape == (0,) and window(1, **more).shape == (1,)
        with pytest.raises(ValueError, match="non-negative"):
            window(-1, **more)
        with pytest.raises(ValueError, match="dtypes"):
            window(3, dtype=rustnn.int32, **more)


def test_sobol_points_fill_each_interval_alike():
    engine = SobolEngine(7)
    points = engine.draw(64)
    counts = rustnn.stack([(points * 8).long().eq(k).sum(0) for k in range(8)])
    assert points[0].tolist() == [0.0] * 7 and (counts == 8).all()
    rest = engine.draw(10)
    assert rustnn.equal(SobolEngine(7).fast_forward(64).draw(10), rest)
    assert rustnn.equal(engine.reset().draw(64), points)


def test_scrambled_sobol_points_follow_their_seed_and_stay_balanced():
    points = SobolEngine(3, scramble=True, seed=5).draw(256, dtype=rustnn.float64)
    assert rustnn.equal(points, SobolEngine(3, scramble=True, seed=5).draw(256, dtype=rustnn.float64))
    assert not rustnn.equal(points, SobolEngine(3, scramble=True, seed=6).draw(256, dtype=rustnn.float64))
    assert ((points * 16).long() == 3).sum(0).tolist() == [16, 16, 16]


def test_a_sobol_engine_refuses_what_it_cannot_balance():
    with pytest.raises(ValueError, match=r"\[1, 1111\]"):
        SobolEngine(1112)
    engine = SobolEngine(2)
    engine.draw_base2(2)
    with pytest.raises(ValueError, match="power of 2"):
        engine.draw_base2(4)


def test_copies_of_views_have_dense_memory_of_their_own():
    x = rustnn.arange(12.0).reshape(3, 4)
    copies = {
        rustnn.t_copy: ((), x.t()),
        rustnn.transpose_copy: ((0, 1), x.t()),
        rustnn.expand_copy: (((2, 3, 4),), x.expand(2, 3, 4)),
        rustnn.slice_copy: ((1, 1, 4, 2), x[:, 1:4:2]),
        rustnn.unfold_copy: ((1, 2, 1), x.unfold(1, 2, 1)),
        rustnn.as_strided_copy: (((2, 2), (1, 2)), x.as_strided((2, 2), (1, 2))),
        rustnn.select_copy: ((1, 2), x[:, 2]),
        rustnn.diagonal_copy: ((), x.diagonal()),
        rustnn.view_copy: (((4, 3),), x.view(4, 3)),
        rustnn.alias_copy: ((), x),
    }
    for function, (arguments, view) in copies.items():
        copy = function(x, *arguments)
        assert rustnn.equal(copy, view), function.__name__
        assert copy.is_contiguous()
        assert copy.untyped_storage().data_ptr() != x.untyped_storage().data_ptr()
    out = rustnn.empty(0)
    assert rustnn.permute_copy(x, (1, 0), out=out) is out
    assert out.tolist() == x.t().tolist()
    assert [part.tolist() for part in rustnn.unbind_copy(x)] == x.tolist()
    outs = [rustnn.empty(4) for _ in range(3)]
    assert rustnn.unbind_copy(x, out=outs) is None
    assert outs[1].tolist() == x[1].tolist()
    with pytest.raises(RuntimeError, match="expected 3 tensors in out, got 1"):
        rustnn.unbind_copy(x, out=outs[:1])
    z = rustnn.tensor([1 + 2j])
    assert rustnn.view_as_complex_copy(rustnn.view_as_real_copy(z)).tolist() == z.tolist()


def test_gradients_go_through_copies_of_views():
    x = rustnn.ones(2, 3, requires_grad=True)
    rustnn.select_copy(x, 1, 2).sum().backward()
    assert x.grad.tolist() == [[0, 0, 1]] * 2
