"""`rustnn.masked`: reductions over the elements that a mask marks."""

import math

import pytest

import rustnn
from rustnn import masked

X = rustnn.tensor([[1.0, 2.0, -3.0], [4.0, math.nan, 6.0]])
MASK = rustnn.tensor([[True, False, True], [False, False, False]])


def test_what_does_not_count_changes_nothing():
    assert masked.sum(X, 1, mask=MASK).tolist() == [-2.0, 0.0]
    assert masked.prod(X, 1, mask=MASK).tolist() == [-3.0, 1.0]
    assert masked.amax(X, 1, mask=MASK).tolist() == [1.0, -math.inf]
    assert masked.amin(X, 1, mask=MASK).tolist() == [-3.0, math.inf]
    assert masked.norm(X, 1.0, 1, mask=MASK).tolist() == [4.0, 0.0]
    assert masked.logsumexp(X, 1, mask=MASK).tolist() == pytest.approx(
        [math.log(math.exp(1) + math.exp(-3)), -math.inf]
    )
    assert masked.cumsum(X, 1, mask=MASK).tolist() == [[1.0, 1.0, -2.0], [0.0, 0.0, 0.0]]
    assert masked.cumprod(X, 1, mask=MASK).tolist() == [[1.0, 1.0, -3.0], [1.0, 1.0, 1.0]]


def test_means_and_variances_divide_by_how_many_count():
    assert masked.mean(X, mask=MASK).item() == -1.0
    assert math.isnan(masked.mean(X, 1, mask=MASK)[1])
    assert masked.var(X, mask=MASK).item() == 8.0
    assert masked.var(X, mask=MASK, unbiased=False).item() == 4.0
    assert masked.std(X, mask=MASK, correction=0).item() == 2.0
    assert masked.median(X, 0, mask=rustnn.tensor([[True], [False]])).tolist() == [1.0, 2.0, -3.0]
    assert masked.var(X.half(), mask=MASK).dtype is rustnn.float16


def test_the_greatest_integer_is_what_no_integer_exceeds():
    x = rustnn.tensor([[3, 1], [2, 5]])
    mask = rustnn.tensor([[False, False], [True, False]])
    assert masked.amin(x, 1, mask=mask).tolist() == [2**63 - 1, 2]
    assert masked.amax(x, 1, mask=mask).tolist() == [-(2**63), 2]
    assert masked.argmin(x, 1, mask=mask).tolist() == [0, 0]


def test_normalizations_run_over_what_counts():
    soft = masked.softmax(X, 1, mask=MASK)[0].tolist()
    assert soft == pytest.approx([1 / (1 + math.exp(-4)), 0.0, 1 / (1 + math.exp(4))])
    assert masked.log_softmax(X, 1, mask=MASK)[0, 1].item() == -math.inf
    assert masked.softmin(X, 1, mask=MASK)[0].tolist() == pytest.approx(soft[::-1])
    assert masked.normalize(X, 2.0, 1, mask=MASK)[0].tolist() == pytest.approx(
        [1 / math.sqrt(10), 0.0, -3 / math.sqrt(10)]
    )


def test_gradients_flow_to_what_counts_alone():
    x = rustnn.tensor([1.0, math.inf, 3.0], requires_grad=True)
    masked.sum(x * 2, mask=rustnn.tensor([True, False, True])).backward()
    assert x.grad.tolist() == [2.0, 0.0, 2.0]


def test_masks_broadcast_and_no_mask_counts_all():
    assert masked.sum(X[:1], mask=rustnn.tensor([1, 0, 1])).item() == -2.0
    assert masked.sum(X[:1]).item() == 0.0
    assert masked.sum(X[:1], (), keepdim=True).shape == (1, 1)
    with pytest.raises(IndexError, match="broadcastable mask"):
        masked.sum(X, mask=rustnn.ones(1, 2, 3))


def test_bad_arguments_raise_as_pytorch_does():
    with pytest.raises(RuntimeError, match="dim=0 appears multiple times in the list of dims"):
        masked.sum(X, (0, 0))
    with pytest.raises(IndexError, match="Dimension out of range"):
        masked.amax(X, 2)
    with pytest.raises(ValueError, match="Could not infer output dtype"):
        masked.mean(rustnn.arange(3))
    with pytest.raises(NotImplementedError, match=r"identity of amax on torch\.bool input"):
        masked.amax(X > 0, mask=MASK)
    with pytest.raises(ValueError, match="no fully masked out rows"):
        masked.median(rustnn.arange(3), mask=rustnn.tensor([False, False, False]))
    with pytest.raises(ValueError, match="requires explicit mask"):
        masked._input_mask(X, mask=None)


def test_the_mask_of_a_result_is_true_where_anything_counted():
    assert masked._output_mask(masked.sum, X, 1, mask=MASK).tolist() == [True, False]
    assert masked._output_mask(masked.softmax, X, 1, mask=MASK).tolist() == MASK.tolist()
