"""Attention whose scores and masks are functions of positions.

The functions are written for one position and called once with tensors of all of them, which broadcast: what
indexing, arithmetic and ``where`` make of numbers they make of these. All scores are computed; a block mask saves no
work."""

import math
from collections import namedtuple

from rustnn import _core

__all__ = ["AuxOutput", "AuxRequest", "BlockMask", "and_masks", "create_block_mask", "create_mask", "flex_attention"]
__all__ += ["create_nested_block_mask", "noop_mask", "or_masks"]

_DEFAULT_SPARSE_BLOCK_SIZE = 128

AuxRequest = namedtuple("AuxRequest", ("lse", "max_scores"), defaults=(False, False))
AuxOutput = namedtuple("AuxOutput", ("lse", "max_scores"), defaults=(None, None))


def noop_mask(batch, head, token_q, token_kv):
    """The mask that lets every position see every other."""
    return _core.ones((), dtype=_core.bool, device=getattr(token_q, "device", "cpu"))


def and_masks(*mask_mods):
    """The mask of the positions that all masks let see."""
    _check_masks(mask_mods)

    def both(b, h, q, kv):
        result = noop_mask(b, h, q, kv)
        for mask in mask_mods:
            result = result & mask(b, h, q, kv)
        return result

    return both


def or_masks(*mask_mods):
    """The mask of the positions that any mask lets see."""
    _check_masks(mask_mods)

    def either(b, h, q, kv):
        result = ~noop_mask(b, h, q, kv)
        for mask in mask_mods:
            result = result | mask(b, h, q, kv)
        return result

    return either


def _check_masks(masks):
    if not all(callable(mask) for mask in masks):
        raise RuntimeError(f"All inputs should be callable mask_mods: {masks}")


def _positions(sizes, device):
    """For each of four dimensions the numbers of its places, of shapes that broadcast."""
    return [
        _core.arange(size, device=device).reshape([-1 if i == dim else 1 for i in range(4)])
        for dim, size in enumerate(sizes)
    ]


def create_mask(mod_fn, B, H, Q_LEN, KV_LEN, device=None):
    """A bool tensor of shape (B, H, Q_LEN, KV_LEN): what a mask function lets see."""
    sizes = (B or 1, H or 1, Q_LEN, KV_LEN)
    return mod_fn(*_positions(sizes, device or "cpu")).to(_core.bool).expand(sizes)


class BlockMask:
    """A mask function with the lengths that it is for.

    Attributes: ``mask_mod``, ``seq_lengths``, ``shape`` and ``BLOCK_SIZE``.
    """

    def __init__(self, mask_mod, shape, block_size):
        self.mask_mod, self.shape, self.BLOCK_SIZE = mask_mod, shape, block_size
        self.seq_lengths = shape[2:]

    def numel(self):
        """Elements of the mask."""
        return math.prod(self.shape)

    def to(self, device):
        """Itself: it holds no tensors of its own."""
        return self

    def to_dense(self):
        """An int32 tensor with a 1 for each block in which a position is seen."""
        mask = create_mask(self.mask_mod, *self.shape)
        rows, columns = self.BLOCK_SIZE
        queries, keys = self.seq_lengths
        out = _core.zeros(*self.shape[:2], -(-queries // rows), -(-keys // columns), dtype=_core.int32)
        for i in range(out.shape[2]):
            for j in range(out.shape[3]):
                block = mask[:, :, i * rows : (i + 1) * rows, j * columns : (j + 1) * columns]
                out[:, :, i, j] = block.flatten(2).any(-1).to(_core.int32)
        return out

    def sparsity(self):
        """The share of blocks that nothing is seen in, in percent."""
        blocks = self.to_dense()
        return 100 * (1 - blocks.float().mean().item())

    def __repr__(self):
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%)"


def create_block_mask(
    mask_mod,
    B,
    H,
    Q_LEN,
    KV_LEN,
    device=None,
    BLOCK_SIZE=_DEFAULT_SPARSE_BLOCK_SIZE,
    _compile=False,
    **options,
):
    """A block mask of a mask function.

    Args:
        mask_mod: from batch, head, query and key positions to whether the query sees the key.
        B, H: batch and heads, None where the mask is one for all. Q_LEN, KV_LEN: lengths.
        device: accepted: the mask is computed where the query lies.
        BLOCK_SIZE: of the blocks, a number or a pair.
    """
    size = (BLOCK_SIZE, BLOCK_SIZE) if isinstance(BLOCK_SIZE, int) else tuple(BLOCK_SIZE)
    return BlockMask(mask_mod, (B or 1, H or 1, Q_LEN, KV_LEN), size)


def create_nested_block_mask(*args, **kwargs):
    """Raises NotImplementedError: there are no nested tensors."""
    raise NotImplementedError("create_nested_block_mask: rustnn has no nested tensors")


def flex_attention(
    query,
    key,
    value,
    score_mod=None,
    block_mask=None,
    scale=None,
    enable_gqa=False,
    return_lse=False,
    kernel_options=None,
    *,
    return_aux=None,
):
    """softmax(score_mod(q kᵀ scale)) v, with what ``block_mask`` hides left out.

    Args:
        query: (B, Hq, L, E). key: (B, Hkv, S, E). value: (B, Hkv, S, Ev).
        score_mod: from scores, batch, head, query and key positions to scores; also called with tensors, see above.
        block_mask: see :func:`create_block_mask`.
        scale: 1/√E if not given.
        enable_gqa: Hkv may be a divisor of Hq.
        return_lse: also return the logarithms of the sums, (B, Hq, L).
        kernel_options: accepted. return_aux: an ``AuxRequest`` in place of ``return_lse``.
    Returns: (B, Hq, L, Ev); rows that see nothing are 0. With ``return_lse`` or ``return_aux`` a pair.
    Raises: ValueError for tensors of other ranks, and unequal heads without ``enable_gqa``.
    """
    if not query.dim() == key.dim() == value.dim() == 4:
        raise ValueError("flex_attention: query, key and value must have 4 dimensions")
    if query.shape[1] != key.shape[1]:
        if not enable_gqa:
            raise ValueError(
                f"Expect query and key/value to have the same number of heads but got Hq={query.shape[1]} and "
                f"Hkv={key.shape[1]}. Try setting enable_gqa=True for GQA."
            )
        if query.shape[1] % key.shape[1]:
            raise ValueError(
                f"Expect number of query heads to be a multiple of kv heads for GQA but got Hq={query.shape[1]} and "
                f"Hkv={key.shape[1]}."
            )
        repeats = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(repeats, 1), value.repeat_interleave(repeats, 1)
    scores = (query @ key.transpose(-2, -1)) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    places = _positions(scores.shape, scores.device)
    if score_mod is not None:
        scores = score_mod(scores, *places)
    if block_mask is not None:
        seen = block_mask.mask_mod(*places).to(_core.bool)
        scores = scores.masked_fill(~seen, -math.inf)
    lse = scores.logsumexp(-1)
    # Rows that see nothing: exp(-inf - 0) is 0, where -inf - -inf would be NaN.
    weights = (scores - lse.masked_fill(lse == -math.inf, 0).unsqueeze(-1)).exp()
    out = weights.to(value.dtype) @ value
    if return_aux is not None:
        highest = scores.amax(-1) if return_aux.max_scores else None
        return out, AuxOutput(lse if return_aux.lse else None, highest)
    return (out, lse) if return_lse else out
