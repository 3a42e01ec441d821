"""rustnn.nn.attention.flex_attention: scores and masks as functions of positions."""

import pytest

import rustnn
from rustnn.nn.attention import flex_attention as flex
from rustnn.nn.functional import scaled_dot_product_attention


def tensors(heads=2, keys=5):
    rustnn.manual_seed(0)
    shapes = (3, 2, 4, 8), (3, heads, keys, 8), (3, heads, keys, 6)
    return [rustnn.randn(*shape, dtype=rustnn.float64, requires_grad=True) for shape in shapes]


def causal(b, h, q, kv):
    return q >= kv


def test_it_is_scaled_dot_product_attention_where_nothing_is_changed():
    q, k, v = tensors()
    assert rustnn.allclose(flex.flex_attention(q, k, v), scaled_dot_product_attention(q, k, v))
    out, lse = flex.flex_attention(q, k, v, return_lse=True)
    assert rustnn.allclose(lse, (q @ k.mT / 8**0.5).logsumexp(-1)) and out.shape == (3, 2, 4, 6)
    _, aux = flex.flex_attention(q, k, v, return_aux=flex.AuxRequest(max_scores=True))
    assert aux.lse is None and rustnn.allclose(aux.max_scores, (q @ k.mT / 8**0.5).amax(-1))


def test_a_mask_function_is_the_mask_that_it_computes():
    q, k, v = tensors()
    mask = flex.create_block_mask(causal, None, None, 4, 5, device="cpu")
    expected = scaled_dot_product_attention(q, k, v, is_causal=False, attn_mask=flex.create_mask(causal, 1, 1, 4, 5))
    assert rustnn.allclose(flex.flex_attention(q, k, v, block_mask=mask), expected)
    assert rustnn.autograd.gradcheck(lambda *a: flex.flex_attention(*a, block_mask=mask), (q, k, v))
    window = flex.and_masks(causal, lambda b, h, q, kv: q - kv < 2)
    assert flex.create_mask(window, None, None, 3, 3)[0, 0].int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    either = flex.or_masks(causal, lambda b, h, q, kv: kv == 2)
    assert flex.create_mask(either, None, None, 2, 3)[0, 0].int().tolist() == [[1, 0, 1], [1, 1, 1]]


def test_a_row_that_sees_nothing_is_zero_and_has_no_nan_gradient():
    q, k, v = tensors()
    mask = flex.create_block_mask(lambda b, h, q, kv: q > kv, None, None, 4, 5)
    out = flex.flex_attention(q, k, v, block_mask=mask)
    assert (out[:, :, 0] == 0).all()
    out.sum().backward()
    assert all(t.grad.isfinite().all() for t in (q, k, v))


def test_scores_are_changed_by_position():
    q, k, v = tensors()
    slopes = rustnn.tensor([0.5, 0.25], dtype=rustnn.float64)
    out = flex.flex_attention(q, k, v, score_mod=lambda score, b, h, i, j: score + slopes[h] * (j - i))
    bias = slopes[:, None, None] * (rustnn.arange(5)[None, :] - rustnn.arange(4)[:, None])
    assert rustnn.allclose(out, scaled_dot_product_attention(q, k, v, attn_mask=bias))


def test_fewer_heads_of_keys_need_the_switch():
    q, k, v = tensors(heads=1)
    with pytest.raises(ValueError, match="Try setting enable_gqa=True"):
        flex.flex_attention(q, k, v)
    out = flex.flex_attention(q, k, v, enable_gqa=True)
    assert rustnn.allclose(out, scaled_dot_product_attention(q, k.expand(-1, 2, -1, -1), v.expand(-1, 2, -1, -1)))
    with pytest.raises(ValueError, match="must have 4 dimensions"):
        flex.flex_attention(q[0], k, v)


def test_blocks_are_counted():
    mask = flex.create_block_mask(causal, 1, 1, 4, 4, BLOCK_SIZE=2)
    assert mask.to_dense()[0, 0].tolist() == [[1, 0], [1, 1]] and mask.sparsity() == 25.0
    assert mask.shape == (1, 1, 4, 4) and mask.numel() == 16
