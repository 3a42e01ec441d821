"""Functions made of differentiable tensor operations, for which the core has no kernel of its own.

Source: names, signatures, results and messages of ``torch.nn.functional`` (PyTorch 2.13).
"""

from __future__ import annotations

import math
import warnings
from itertools import pairwise

from rustnn import _core, functional
from rustnn.nn.modules.utils import _pair

# ---- rearranged elements ---------------------------------------------------------------------------------------------


def one_hot(tensor, num_classes=-1):
    """A 1 at each index along a new last dimension, zeros elsewhere.

    Args:
        tensor: int64 class indices.
        num_classes: length of the new dimension; -1 for the largest index plus one.
    Example:
        >>> import rustnn
        >>> rustnn.nn.functional.one_hot(rustnn.tensor([0, 2])).tolist()
        [[1, 0, 0], [0, 0, 1]]
    """
    if not _core._is_recording():
        return _core.one_hot(tensor, num_classes)
    if tensor.dtype != _core.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return _core.zeros((*tensor.shape, num_classes), dtype=_core.int64, device=tensor.device)
    if num_classes == -1:
        if int(tensor.min()) < 0:
            raise RuntimeError("Class values must be non-negative.")
        num_classes = int(tensor.max()) + 1
    result = _core.zeros((*tensor.shape, num_classes), dtype=_core.int64, device=tensor.device)
    return result.scatter(-1, tensor.unsqueeze(-1), 1)


def _check_rank(name, input) -> None:
    if input.dim() < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with {input.dim()} dimension(s)"
        )


_CHANNELS_LAST = {4: _core.channels_last, 5: _core.channels_last_3d}


def _in_format_of(x, model):
    """``x`` with its channels innermost where ``model`` has them so."""
    last = _CHANNELS_LAST.get(model.dim())
    if last is None or model.is_contiguous() or not model.is_contiguous(memory_format=last):
        return x
    return x.contiguous(memory_format=last)


def pixel_shuffle(input, upscale_factor):
    """(*, C r², H, W) to (*, C, H r, W r); see ``rustnn.nn.PixelShuffle``."""
    r = upscale_factor
    _check_rank("pixel_shuffle", input)
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, channels, height, width = input.shape
    if channels % (r * r):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
            f"but input.size(-3)={channels} is not divisible by {r * r}"
        )
    out = channels // (r * r)
    shuffled = (
        input.reshape(math.prod(lead), out, r, r, height, width)
        .permute(0, 1, 4, 2, 5, 3)
        .reshape(*lead, out, height * r, width * r)
    )
    return _in_format_of(shuffled, input)


def pixel_unshuffle(input, downscale_factor):
    """(*, C, H r, W r) to (*, C r², H, W); see ``rustnn.nn.PixelUnshuffle``."""
    r = downscale_factor
    _check_rank("pixel_unshuffle", input)
    if r <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, channels, height, width = input.shape
    for name, dim, size in (("height", -2, height), ("width", -1, width)):
        if size % r:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({dim})={size} is "
                f"not divisible by {r}"
            )
    height, width = height // r, width // r
    shuffled = (
        input.reshape(math.prod(lead), channels, height, r, width, r)
        .permute(0, 1, 3, 5, 2, 4)
        .reshape(*lead, channels * r * r, height, width)
    )
    return _in_format_of(shuffled, input)


def channel_shuffle(input, groups):
    """The channels of all groups interleaved; see ``rustnn.nn.ChannelShuffle``."""
    if input.dim() <= 2:
        raise RuntimeError(f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    if groups <= 0:
        raise RuntimeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    batch, channels, *rest = input.shape
    if channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and {groups} groups."
        )
    split = input.reshape(batch, groups, channels // groups, math.prod(rest))
    return _in_format_of(split.transpose(1, 2).reshape(batch, channels, *rest), input)


native_channel_shuffle = channel_shuffle


# ---- padding ---------------------------------------------------------------------------------------------------------

_PAD_RANKS = {2: (2, 3), 4: (3, 4), 6: (4, 5)}


def pad(input, pad, mode="constant", value=None):
    """The input with positions added on the sides of its last dimensions, or cut off where a number is negative.

    Args:
        pad: pairs of numbers, last dimension first.
        mode: what the new positions hold: ``constant``, ``reflect``, ``replicate`` or ``circular``.
        value: the constant, 0 by default.
    Raises: RuntimeError or NotImplementedError for numbers or a mode that do not fit the input.
    Example:
        >>> import rustnn
        >>> rustnn.nn.functional.pad(rustnn.ones(1, 2), (1, 2)).tolist()
        [[0.0, 1.0, 1.0, 0.0, 0.0]]
    """
    amounts = []
    for position, amount in enumerate(pad):
        if not hasattr(amount, "__index__"):
            raise TypeError(
                "pad(): argument 'pad' (position 2) must be tuple of ints, but found element of type "
                f"{type(amount).__name__} at pos {position}"
            )
        amounts.append(int(amount))
    if len(amounts) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(amounts) > 2 * input.dim():
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(amounts)} and input of dimension {input.dim()}"
        )
    # (dimension, before, after), last dimension first.
    sides = [(input.dim() - 1 - k, amounts[2 * k], amounts[2 * k + 1]) for k in range(len(amounts) // 2)]
    if mode == "constant":
        return _pad_constant(input, sides, 0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if input.dim() not in _PAD_RANKS.get(len(amounts), ()):
        raise NotImplementedError(
            f"Padding size {len(amounts)} is not supported for {input.dim()}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    if mode != "circular":
        rank = len(sides) + 2
        channels_on = input.shape[1:] if input.dim() == rank else input.shape
        if 0 in channels_on:
            raise RuntimeError(
                f"Expected {rank - 1}D or {rank}D (batch mode) tensor with possibly 0 batch size and other non-zero "
                f"dimensions for input, but got: {list(input.shape)}"
            )
    x = input
    for k, (dim, before, after) in enumerate(sides):
        if before == 0 and after == 0:
            continue
        length = input.size(dim)
        out = length + before + after
        if out < 1 or length == 0:
            name = "WHD"[k]
            raise RuntimeError(f"input ({name}: {length}) is too small. Calculated output {name}: {out}")
        if mode == "reflect" and max(before, after) >= length:
            raise RuntimeError(
                f"Argument #{4 + 2 * k}: Padding size should be less than the corresponding input dimension, but got: "
                f"padding ({before}, {after}) at dimension {dim} of input {list(input.shape)}"
            )
        if mode == "circular":
            # What is cut off does not come back on the other side.
            x = x.narrow(dim, min(max(-before, 0), length), max(length + min(before, 0) + min(after, 0), 0))
            length, before, after = x.size(dim), max(before, 0), max(after, 0)
            if max(before, after) > length:
                raise RuntimeError("Padding value causes wrapping around more than once.")
        index = _core.arange(-before, length + after, device=x.device)
        if mode == "circular":
            index = index.remainder(length)
        elif mode == "replicate":
            index = index.clamp(0, length - 1)
        else:
            index = length - 1 - (length - 1 - index.abs()).abs()
        x = x.index_select(dim, index)
    if x is input:
        return x.clone()
    return x if mode == "circular" else _in_format_of(x, input)


def _pad_constant(input, sides, value):
    x = input
    shape = list(input.shape)
    inner = [slice(None)] * input.dim()
    for dim, before, after in sides:
        shape[dim] += before + after
        if shape[dim] < 0 or input.size(dim) + min(before, 0) + min(after, 0) < 0:
            raise RuntimeError("narrow(): length must be non-negative.")
        # What is cut off first, then where the rest goes.
        kept = input.size(dim) + min(before, 0) + min(after, 0)
        x = x.narrow(dim, max(-before, 0), kept)
        inner[dim] = slice(max(before, 0), max(before, 0) + kept)
    result = input.new_full(shape, bool(value) if input.dtype == _core.bool else value)
    result = _in_format_of(result, input)
    result[tuple(inner)] = x
    return result


# ---- windows ---------------------------------------------------------------------------------------------------------


def _check_windows(kernel, dilation, padding, stride) -> None:
    for name, values, least in (
        ("kernel size", kernel, 1),
        ("stride", stride, 1),
        ("dilation", dilation, 1),
        ("padding", padding, 0),
    ):
        if min(values) < least:
            label = name.split()[0]
            bound = "greater than zero" if least else "non-negative"
            raise RuntimeError(
                f"{name} should be {bound}, but got {label}_height: {values[0]} {label}_width: {values[1]}"
            )


def _window_counts(size, kernel, dilation, padding, stride):
    return tuple((size[d] + 2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1) // stride[d] + 1 for d in (0, 1))


def _window_places(kernel, dilation, stride, counts, width, device):
    """The flat places of all points (k, l) of all windows (i, j), in that order, in an image of that width."""

    def along(d):
        starts = _core.arange(counts[d], device=device) * stride[d]
        return (_core.arange(kernel[d], device=device) * dilation[d]).unsqueeze(1) + starts

    down = (along(0) * width).reshape(kernel[0], 1, counts[0], 1)
    return (down + along(1).reshape(1, kernel[1], 1, counts[1])).reshape(-1)


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """The windows of images as columns; see ``rustnn.nn.Unfold``."""
    from rustnn.nn import functional as F

    kernel, dilation, padding, stride = _pair(kernel_size), _pair(dilation), _pair(padding), _pair(stride)
    _check_windows(kernel, dilation, padding, stride)
    if input.dim() not in (3, 4) or 0 in input.shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for "
            f"input, but got: {list(input.shape)}"
        )
    counts = _window_counts(input.shape[-2:], kernel, dilation, padding, stride)
    if any(count < 1 for count in counts):
        raise RuntimeError(
            f"Given input with spatial size {tuple(input.shape[-2:])}, kernel_size={kernel}, dilation={dilation}, "
            f"padding={padding}, calculated shape of the array of sliding blocks as {counts}, but its components must "
            "be at least one."
        )
    batched = input.dim() == 4
    x = input if batched else input.unsqueeze(0)
    if any(padding):
        x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    places = _window_places(kernel, dilation, stride, counts, x.shape[3], x.device)
    columns = x.flatten(2).index_select(2, places)
    columns = columns.reshape(x.shape[0], x.shape[1] * kernel[0] * kernel[1], counts[0] * counts[1])
    return columns if batched else columns.squeeze(0)


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Images summed up from columns of windows; see ``rustnn.nn.Fold``."""
    size, kernel, dilation = _pair(output_size), _pair(kernel_size), _pair(dilation)
    padding, stride = _pair(padding), _pair(stride)
    _check_windows(kernel, dilation, padding, stride)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
            f"input, but got: {list(input.shape)}"
        )
    batched = input.dim() == 3
    x = input if batched else input.unsqueeze(0)
    points = kernel[0] * kernel[1]
    if x.shape[1] % points:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={x.shape[1]} and kernel_size={kernel}."
        )
    rows, columns = _window_counts(size, kernel, dilation, padding, stride)
    if rows < 1 or columns < 1:
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={dilation}, padding={padding}, stride={stride}, "
            f"calculated shape of the array of sliding blocks as ({rows}, {columns}), but its components must be at "
            "least one."
        )
    if x.shape[2] != rows * columns:
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={dilation}, padding={padding}, stride={stride}, "
            f"expected size of input's dimension 2 to match the calculated number of sliding blocks {rows} * "
            f"{columns} = {rows * columns}, but got input.size(2)={x.shape[2]}."
        )
    channels = x.shape[1] // points
    height, width = size[0] + 2 * padding[0], size[1] + 2 * padding[1]

    places = _window_places(kernel, dilation, stride, (rows, columns), width, x.device)
    image = x.new_zeros(x.shape[0], channels, height * width)
    image = image.index_add(2, places, x.reshape(x.shape[0], channels, len(places)))
    image = image.reshape(x.shape[0], channels, height, width)
    image = image[:, :, padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]
    return image if batched else image.squeeze(0)


# ---- products, distances, gates --------------------------------------------------------------------------------------


def bilinear(input1, input2, weight, bias=None):
    """x1ᵀ A_k x2 + b_k over the last dimensions; see ``rustnn.nn.Bilinear``."""
    if input1.dim() != input2.dim():
        raise RuntimeError(f"bilinear(): input dimensions do not match: got {input1.dim()} and {input2.dim()}")
    for dim in range(input1.dim() - 1):
        if input1.size(dim) != input2.size(dim):
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {dim}: got {input1.size(dim)} and "
                f"{input2.size(dim)}"
            )
    for number, input, dim in ((1, input1, 1), (2, input2, 2)):
        if input.size(-1) != weight.size(dim):
            raise RuntimeError(
                f"bilinear(): input{number} size does not match weight size: got {input.size(-1)} but expected "
                f"{weight.size(dim)}"
            )
    out, left, right = weight.shape
    lead, count = input1.shape[:-1], math.prod(input1.shape[:-1])
    # x1 times all A_k at once, (n, out, right), then the product with x2.
    halves = input1.reshape(count, left) @ weight.permute(1, 0, 2).reshape(left, out * right)
    result = (halves.reshape(count, out, right) * input2.reshape(count, 1, right)).sum(-1)
    if bias is not None:
        result = result + bias
    return result.reshape(*lead, out)


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    """The cosine of the angle between vectors along ``dim``; see ``rustnn.nn.CosineSimilarity``."""
    common = _core.promote_types(x1.dtype, x2.dtype)
    if common.is_complex:
        kind = "ComplexDouble" if common is _core.complex128 else "ComplexFloat"
        raise RuntimeError(f"expected common dtype to be floating point, yet common dtype is {kind}")
    if not common.is_floating_point:
        common = _core.get_default_dtype()
    x1, x2 = functional.broadcast_tensors(x1.to(common), x2.to(common))
    lengths = (x.norm(2, dim, keepdim=True).clamp_min(eps) for x in (x1, x2))
    return ((x1 / next(lengths)) * (x2 / next(lengths))).sum(dim)


def pairwise_distance(x1, x2, p=2.0, eps=1e-6, keepdim=False):
    """The p-norm of x1 - x2 + eps along the last dimension; see ``rustnn.nn.PairwiseDistance``."""
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def pdist(input, p=2):
    """The p-norm distances of all pairs of rows, in the order (0, 1), (0, 2), …, (1, 2), …"""
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    rows = input.size(0)
    first = [i for i in range(rows) for _ in range(i + 1, rows)]
    second = [j for i in range(rows) for j in range(i + 1, rows)]
    first, second = (_core.tensor(index, dtype=_core.int64, device=input.device) for index in (first, second))
    return (input.index_select(0, first) - input.index_select(0, second)).norm(p, -1)


def glu(input, dim=-1):
    """The first half of a dimension times the sigmoid of the second; see ``rustnn.nn.GLU``."""
    if input.dim() == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    if input.size(dim) % 2:
        whole = dim + input.dim() if dim < 0 else dim
        raise RuntimeError(f"Halving dimension must be even, but dimension {whole} is size {input.size(dim)}")
    value, gate = input.chunk(2, dim)
    return value * gate.sigmoid()


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """x, negative values times a random slope; see ``rustnn.nn.RReLU``."""
    if not lower <= upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if training:
        slope = _core.empty_like(input).detach().uniform_(lower, upper)
        result = _core.where(input >= 0, input, input * slope)
    else:
        result = _core.where(input >= 0, input, input * ((lower + upper) / 2))
    return input.copy_(result) if inplace else result


def rrelu_(input, lower=1.0 / 8, upper=1.0 / 3, training=False):
    """The in-place form of :func:`rrelu`."""
    return rrelu(input, lower, upper, training, inplace=True)


def softsign(input):
    """x / (1 + |x|)."""
    return input / (input.abs() + 1)


def tanhshrink(input):
    """x - tanh(x)."""
    return input - input.tanh()


# ---- attention -------------------------------------------------------------------------------------------------------


def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """softmax(Q Kᵀ scale + mask) V over the last two dimensions.

    Args:
        query, key, value: (*, L, E), (*, S, E), (*, S, E').
        attn_mask: True where a position takes part, or numbers that are added to the scores; broadcast to (*, L, S).
        dropout_p: probability of dropping a weight; applied whenever it is above zero.
        is_causal: let position i see positions up to i only.
        scale: 1 / √E by default.
        enable_gqa: repeat the heads of key and value to the number of query heads.
    Raises: RuntimeError for both a mask and is_causal, or inputs of rank below 2.
    Source: Vaswani et al. 2017, section 3.2.1. A row whose mask hides everything gives nan, as the formula does.
    """
    from rustnn.nn import functional as F

    if min(query.dim(), key.dim(), value.dim()) < 2:
        raise RuntimeError(
            "Expected query, key, and value to all be  at least 2 dimensional, but got query.dim: "
            f"{query.dim()} key.dim: {key.dim()} and value.dim: {value.dim()} instead."
        )
    if is_causal and attn_mask is not None:
        raise RuntimeError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if scale is None:
        scale = 1.0 / math.sqrt(query.size(-1))
    if enable_gqa:
        times = query.size(-3) // key.size(-3)
        key, value = key.repeat_interleave(times, -3), value.repeat_interleave(times, -3)
    scores = (query * scale) @ key.transpose(-2, -1)
    if is_causal:
        length, sources = query.size(-2), key.size(-2)
        hidden = _core.ones((length, sources), dtype=_core.bool, device=query.device).triu(1)
        scores = scores.masked_fill(hidden, float("-inf"))
    elif attn_mask is not None:
        if attn_mask.dtype == _core.bool:
            scores = scores.masked_fill(attn_mask.logical_not(), float("-inf"))
        else:
            scores = scores + attn_mask
    weights = F.softmax(scores, dim=-1)
    if dropout_p > 0.0:
        weights = F.dropout(weights, dropout_p)
    return weights @ value


# ---- tables ----------------------------------------------------------------------------------------------------------


def embedding_bag(
    input,
    weight,
    offsets=None,
    max_norm=None,
    norm_type=2,
    scale_grad_by_freq=False,
    mode="mean",
    sparse=False,
    per_sample_weights=None,
    include_last_offset=False,
    padding_idx=None,
):
    """The sum, mean or maximum of rows of a table, per bag of indices; see ``rustnn.nn.EmbeddingBag``."""
    from rustnn.nn import functional as F

    if weight.dtype == _core.int64 and input.is_floating_point():
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage `embedding_bag(weight, input, ...)` is "
            "deprecated, and should now be `embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        weight, input = input, weight
    if per_sample_weights is not None and input.size() != per_sample_weights.size():
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then it must have the "
            f"same shape as the input ({input.shape})"
        )
    if weight.dim() != 2:
        raise ValueError(f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' (got "
            f"mode='{mode}'). Please open a feature request on GitHub."
        )
    _check_bags(input, weight, per_sample_weights, padding_idx)
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of fixed length "
                f"sequences. However, found offsets of type {type(offsets)}"
            )
        bags, length = input.shape
        bag = _core.arange(bags, device=input.device).unsqueeze(1).expand(bags, length).reshape(-1)
        input = input.reshape(-1)
        per_sample_weights = None if per_sample_weights is None else per_sample_weights.reshape(-1)
    elif input.dim() == 1:
        if offsets is None:
            raise ValueError("offsets has to be a 1D Tensor but got None")
        if offsets.dim() != 1:
            raise ValueError("offsets has to be a 1D Tensor")
        if _core._is_unread(offsets):
            # In ops alone; what is wrong is an index out of range in a program, and told at a device's next read.
            if not _core._is_recording():
                _refuse_offsets(offsets, input.numel())
            bag = _core.searchsorted(offsets, _core.arange(input.numel(), device=input.device), right=True) - 1
            bags = offsets.numel() - bool(include_last_offset)
        else:
            bag, bags = _bag_of_each(offsets.tolist(), input, include_last_offset)
            # What lies behind the last offset belongs to no bag.
            input = input[: len(bag)]
            per_sample_weights = None if per_sample_weights is None else per_sample_weights[: len(bag)]
    else:
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}")

    if padding_idx is not None:
        padding_idx = padding_idx + weight.size(0) if padding_idx < 0 else padding_idx
        counted = (input != padding_idx).nonzero().reshape(-1)
        input, bag = input.index_select(0, counted), bag.index_select(0, counted)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.index_select(0, counted)
    rows = F.embedding(input, weight, None, max_norm, norm_type, scale_grad_by_freq, sparse)
    if rows.dtype in (_core.float16, _core.bfloat16):
        rows = rows.to(_core.float32)  # sums of halves
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(1).to(rows.dtype)
    # One more place for what a program finds behind the last offset.
    rest = int(include_last_offset and offsets is not None and _core._is_unread(offsets))
    result = rows.new_zeros(bags + rest, weight.size(1))
    if mode == "max":
        index = bag.unsqueeze(1).expand(-1, weight.size(1))
        # An empty bag stays zero.
        result = result.scatter_reduce(0, index, rows, "amax", include_self=False)
    else:
        result = result.index_add(0, bag, rows)
    if mode == "mean":
        ones = _core.ones_like(bag, dtype=rows.dtype)
        counts = rows.new_zeros(bags + rest).detach().index_add(0, bag, ones).clamp_min(1)
        result = result / counts.unsqueeze(1)
    return (result[:bags] if rest else result).to(weight.dtype)


def _check_bags(input, weight, per_sample_weights, padding_idx) -> None:
    count = weight.size(0)
    if input.dtype not in (_core.int32, _core.int64):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"{input.type()} instead (while checking arguments for embedding_bag)"
        )
    if per_sample_weights is not None and per_sample_weights.dtype != weight.dtype:
        raise RuntimeError(
            "Expected tensor for argument #1 'weight' to have the same type as tensor for argument #1 "
            "'per_sample_weights'; "
            f"but type {weight.type()} does not equal {per_sample_weights.type()} (while checking arguments for "
            "embedding_bag)"
        )
    if padding_idx is not None and not -count <= padding_idx < count:
        raise RuntimeError(
            f"padding_idx must be within the number of embeddings, {-count} through {count - 1}, but got {padding_idx}"
        )
    if input.numel() and not input.is_meta and not _core._is_unread(input):
        low, high = (int(value) for value in input.aminmax())
        if low < 0 or high >= count:
            bad = low if low < 0 else high
            raise RuntimeError(f"embedding_bag: Expected idx >= 0 && idx < num_embeddings but found idx to be {bad}")


def _refuse_offsets(offsets, total) -> None:
    if offsets.numel():
        for bad, text in [
            (
                offsets[:1] != 0,
                "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0",
            ),
            (offsets[1:] < offsets[:-1], "embedding_bag: offsets must not decrease"),
            (offsets[-1:] > total, f"offsets[-1] can not be greater than input's length {total}"),
        ]:
            _core._refuse_where(bad, text, runtime=True)


def _bag_of_each(offsets, input, include_last_offset):
    """For each index the number of its bag; and the number of bags."""
    total = input.numel()
    if offsets and offsets[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. "
            f"However, got {offsets[0]}"
        )
    if offsets and offsets[-1] > total:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length {total} but got offsets[-1] of {offsets[-1]}"
        )
    for before, after in pairwise(offsets):
        if after < before:
            raise RuntimeError(f"embedding_bag: offsets must not decrease, but {after} follows {before}")
    ends = [*offsets[1:]] if include_last_offset else [*offsets[1:], total]
    starts = offsets[: len(ends)]
    bag = [number for number, (start, end) in enumerate(zip(starts, ends, strict=True)) for _ in range(start, end)]
    return _core.tensor(bag, dtype=_core.int64, device=input.device), len(ends)


# ---- connectionist temporal classification ---------------------------------------------------------------------------


def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False):
    """Minus the log-probability of label sequences over all alignments; see ``rustnn.nn.CTCLoss``.

    The forward recursion over time in logarithms; its gradient comes from the tape.
    """
    batched = log_probs.dim() == 3
    logs = log_probs if batched else log_probs.unsqueeze(1)
    steps, batch, classes = logs.shape

    for name, values in (("input_lengths", input_lengths), ("target_lengths", target_lengths)):
        if isinstance(values, _core.Tensor) and values.is_floating_point():
            raise RuntimeError(f"{name} must be integral")
        if isinstance(values, (list, tuple)) and not all(isinstance(value, int) for value in values):
            raise TypeError(
                f"ctc_loss() received an invalid combination of arguments: {name} must be a tensor or a tuple of "
                "ints, not "
                f"{values}"
            )

    # A program takes any lengths and finds nothing wrong with them, and some lie where reading waits; else they are
    # looked at, as labels in one run need.
    recorded = (targets.dim() == 2 or not batched) and any(
        isinstance(each, _core.Tensor) and _core._is_unread(each) for each in (input_lengths, target_lengths)
    )
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    if recorded:
        labels = targets if targets.dim() == 2 else targets.unsqueeze(0)
    else:
        input_lengths, target_lengths = _python_lengths(input_lengths), _python_lengths(target_lengths)
        for name, values in (("input_lengths", input_lengths), ("target_lengths", target_lengths)):
            if len(values) != batch:
                raise RuntimeError(f"{name} must be of size batch_size")
        if max(input_lengths) > steps:
            raise RuntimeError(
                f"Expected input_lengths to have value at most {steps}, but got value {max(input_lengths)} (while "
                "checking arguments for ctc_loss_allocate_outputs)"
            )
        longest = max(target_lengths)
        if targets.dim() == 2 or not batched:
            labels = (targets if targets.dim() == 2 else targets.unsqueeze(0))[:, :longest]
        else:
            # One run of all labels, cut by their lengths.
            starts = [sum(target_lengths[:n]) for n in range(batch)]
            labels = _core.zeros((batch, longest), dtype=_core.int64, device=logs.device)
            for n, (start, count) in enumerate(zip(starts, target_lengths, strict=True)):
                labels[n, :count] = targets[start : start + count].to(_core.int64)
        steps = max(input_lengths)

    def as_column(values):
        values = values if isinstance(values, _core.Tensor) else _core.tensor(values)
        return values.to(device=logs.device, dtype=_core.int64).reshape(-1, 1)

    input_lengths, target_lengths = as_column(input_lengths), as_column(target_lengths)

    # Blanks between, before and behind the labels: 2 S + 1 states.
    count = labels.size(1)
    inside = _core.arange(count, device=logs.device) < target_lengths
    labels = _core.where(inside, labels.to(_core.int64), blank)
    blanks = _core.full_like(labels, blank)
    extended = _core.cat(
        [_core.stack([blanks, labels], 2).reshape(batch, 2 * count), _core.full_like(input_lengths, blank)], 1
    )
    states = 2 * count + 1
    nothing = float("-inf")
    # A label may be reached from the label before it, past the blank, if they differ.
    may_skip = _core.zeros_like(extended, dtype=_core.bool)
    if states > 2:
        may_skip[:, 2:] = (extended[:, 2:] != blank) & (extended[:, 2:] != extended[:, :-2])
    column = logs.new_full((batch, 1), nothing)
    emit = logs.gather(2, extended.unsqueeze(0).expand(logs.size(0), batch, states))
    first = _core.arange(states, device=logs.device) < 2
    alpha = emit[0].masked_fill(first.logical_not(), nothing) if logs.size(0) else column.expand(batch, states)
    alphas = [alpha]
    for t in range(1, steps):
        one = _core.cat([column, alpha[:, :-1]], 1)
        two = _core.cat([column, column, alpha[:, :-2]], 1)[:, :states].masked_fill(may_skip.logical_not(), nothing)
        alpha = emit[t] + _log_sum_exp(_core.stack([alpha, one, two]))
        alphas.append(alpha)
    # The last two states of each sequence at its last step: the label's and the blank's behind it.
    place = (input_lengths - 1).clamp_min(0).reshape(1, batch, 1).expand(1, batch, states)
    last = _core.stack(alphas).gather(0, place).squeeze(0)
    behind = last.gather(1, 2 * target_lengths)
    label = last.gather(1, (2 * target_lengths - 1).clamp_min(0)).masked_fill(target_lengths == 0, nothing)
    loss = -_log_sum_exp(_core.cat([label, behind], 1).T)
    # Without a step only the empty sequence is possible.
    of_nothing = _core.where(target_lengths == 0, 0.0, float("inf")).to(loss.dtype).reshape(-1)
    loss = _core.where(input_lengths.reshape(-1) == 0, of_nothing, loss)
    if zero_infinity:
        loss = _core.where(loss == float("inf"), _core.zeros_like(loss), loss)
    if reduction == "mean":
        return (loss / target_lengths.reshape(-1).clamp_min(1).to(loss.dtype)).mean()
    if reduction == "sum":
        return loss.sum()
    if reduction != "none":
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return loss if batched else loss.squeeze(0)


def _python_lengths(values):
    values = values.reshape(-1).tolist() if isinstance(values, _core.Tensor) else values
    return list(values) if isinstance(values, (list, tuple)) else [values]


def _log_sum_exp(x):
    """log Σ exp x over dimension 0; minus infinity where all are, with a gradient of zero there instead of nan."""
    top = x.detach().amax(0)
    dead = top == float("-inf")
    top = top.masked_fill(dead, 0.0)
    total = (x - top).exp().sum(0)
    return total.masked_fill(dead, 1.0).log().add(top).masked_fill(dead, float("-inf"))


# ---- resizing and sampling -------------------------------------------------------------------------------------------


def _ratio(length, out):
    """A quotient of sizes: that of the call, also where a program is recorded."""
    return _core.full((), length, dtype=_core.float64, device="cpu") / out if _core._is_recording() else length / out


def _source_positions(length, out, mode, align_corners, scale):
    """Where each output position lies in the input, as real numbers: known from sizes, so that no device is asked."""
    index = _core.arange(out, dtype=_core.float64, device="cpu")
    if align_corners:
        return index * (_ratio(length - 1, out - 1) if out > 1 else 0.0)
    step = 1.0 / scale if scale is not None and scale > 0 else _ratio(length, out)
    if mode == "nearest":
        return (index * step).floor().clamp(max=length - 1)
    if mode == "nearest-exact":
        return ((index + 0.5) * step).floor().clamp(max=length - 1)
    return (index + 0.5) * step - 0.5


def _cubic(t):
    """Keys' cubic kernel with a = -0.75 at the distances t + 1, t, 1 - t, 2 - t."""
    a = -0.75

    def near(x):
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x):
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return far(t + 1), near(t), near(1 - t), far(2 - t)


def _antialias_matrix(length, out, mode, align_corners, scale, like):
    """Rows of weights that average over the source when it is made smaller."""
    if align_corners:
        step = (length - 1) / (out - 1) if out > 1 else 0.0
    else:
        step = 1.0 / scale if scale is not None and scale > 0 else length / out
    wide = max(step, 1.0)
    reach = (1.0 if mode == "bilinear" else 2.0) * wide
    rows = []
    for i in range(out):
        centre = step * (i + 0.5)
        low = max(int(centre - reach + 0.5), 0)
        high = min(int(centre + reach + 0.5), length)
        weights = []
        for j in range(low, high):
            x = abs((j - centre + 0.5) / wide)
            if mode == "bilinear":
                weights.append(max(1.0 - x, 0.0))
            elif x < 1:
                # Antialiased cubics take a = -0.5.
                weights.append((1.5 * x - 2.5) * x * x + 1)
            elif x < 2:
                weights.append(((-0.5 * x + 2.5) * x - 4) * x + 2)
            else:
                weights.append(0.0)
        total = sum(weights) or 1.0
        rows.append([0.0] * low + [weight / total for weight in weights] + [0.0] * (length - high))
    return _core.tensor(rows, dtype=like.dtype, device=like.device)


# Weights between 0 and 1 need single precision; results are rounded once.
_NOT_WEIGHED = (
    _core.uint8, _core.int8, _core.int16, _core.int32, _core.int64, _core.bool, _core.float16, _core.bfloat16,
)  # fmt: skip


def _interpolate(input, output_size, mode, align_corners, scales, antialias):
    """Resize the spatial dimensions one after the other: each output is a weighted sum of a few input positions."""
    x, dtype = input, input.dtype
    if not mode.startswith("nearest") and dtype in _NOT_WEIGHED:
        if not dtype.is_floating_point and dtype != _core.uint8:
            raise NotImplementedError(f'"upsample_{mode}{x.dim() - 2}d" not implemented for {dtype}')
        x = x.float()
    for d, out in enumerate(output_size):
        dim = d + 2
        length = x.size(dim)
        if out <= 0 or length == 0:
            raise RuntimeError(
                f"Input and output sizes should be greater than 0, but got input (H: {length}) output (H: {out})"
            )
        scale = None if scales is None else scales[d]
        if antialias:
            matrix = _antialias_matrix(length, out, mode, align_corners, scale, x)
            x = (x.transpose(dim, -1) @ matrix.T).transpose(dim, -1)
            continue
        where = _source_positions(length, out, mode, align_corners, scale)
        if mode.startswith("nearest"):
            x = x.index_select(dim, where.to(_core.int64).to(x.device))
            continue
        if mode != "bicubic":
            where = where.clamp(min=0)
        base = where.floor()
        shape = [1] * x.dim()
        shape[dim] = out
        t = (where - base).to(x.dtype).reshape(shape).to(x.device)
        base = base.to(_core.int64)
        taps = enumerate(_cubic(t), -1) if mode == "bicubic" else enumerate((1 - t, t))
        x = sum(x.index_select(dim, (base + k).clamp(0, length - 1).to(x.device)) * weight for k, weight in taps)
    if x.dtype != dtype:
        # Cubic weights overshoot: rounded values of pixels keep to 0..255.
        x = (x.round().clamp(0, 255) if dtype == _core.uint8 else x).to(dtype)
    return _in_format_of(x.contiguous(), input)


_ALIGN_CORNERS_WARNING = (
    "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please specify "
    "align_corners=True if the old behavior is desired. See the documentation of grid_sample for details."
)


def affine_grid(theta, size, align_corners=None):
    """The positions in [-1, 1] at which ``grid_sample`` applies affine maps.

    Args:
        theta: (N, 2, 3) or (N, 3, 4).
        size: of the output, (N, C, H, W) or (N, C, D, H, W).
        align_corners: whether -1 and 1 are the corner pixels' centres or their edges.
    Returns: (N, H, W, 2) or (N, D, H, W, 3), coordinates in the order x, y, z.
    """
    if align_corners is None:
        warnings.warn(_ALIGN_CORNERS_WARNING, stacklevel=2)
        align_corners = False
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    spatial = len(size) - 2
    if spatial not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size "
            f"{size}."
        )
    if theta.dim() != 3 or tuple(theta.shape[-2:]) != (spatial, spatial + 1):
        raise ValueError(
            f"Expected a batch of {spatial}D affine matrices of shape Nx{spatial}x{spatial + 1} for size {size}. Got "
            f"{theta.shape}."
        )
    if any(length <= 0 for length in size):
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    if align_corners and any(length == 1 for length in size[2:]):
        warnings.warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids when align_corners=True. "
            "This is not an intended use case of affine_grid. See the documentation of affine_grid for details.",
            stacklevel=2,
        )
    lengths = tuple(size[2:])
    axes = []
    for d, length in enumerate(lengths):
        steps = _core.arange(length, dtype=theta.dtype, device=theta.device)
        if align_corners:
            line = steps * (2 / (length - 1)) - 1 if length > 1 else steps * 0
        else:
            line = (steps * 2 + 1) / length - 1
        shape = [1] * spatial
        shape[d] = length
        axes.append(line.reshape(shape).expand(lengths))
    base = _core.stack([*reversed(axes), _core.ones_like(axes[0])], -1).reshape(1, -1, spatial + 1)
    return (base @ theta.transpose(1, 2)).reshape(size[0], *lengths, spatial)


def _into_range(x, length, padding_mode, align_corners):
    """Positions brought into the image, as the padding mode says."""
    if padding_mode == "reflection":
        low, span = (0.0, 2.0 * (length - 1)) if align_corners else (-0.5, 2.0 * length)
        if span <= 0:
            return x * 0
        x = (x - low).abs().remainder(span)
        x = _core.where(x > span / 2, span - x, x) + low
    return x.clamp(0, length - 1) if padding_mode != "zeros" else x


def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """The values of an image or volume at given positions.

    Args:
        input: (N, C, H, W) or (N, C, D, H, W).
        grid: (N, H', W', 2) or (N, D', H', W', 3), coordinates x, y(, z) in [-1, 1].
        mode: ``bilinear``, ``nearest`` or (images only) ``bicubic``.
        padding_mode: what lies outside: ``zeros``, ``border`` or ``reflection``.
        align_corners: whether -1 and 1 are the corner pixels' centres or their edges.
    Source: Jaderberg et al. 2015.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            f"nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: "
            f"'{padding_mode}'"
        )
    if align_corners is None:
        warnings.warn(_ALIGN_CORNERS_WARNING, stacklevel=2)
        align_corners = False
    spatial = input.dim() - 2
    if grid.size(-1) != spatial:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {spatial} in last dimension, but got grid with sizes "
            f"{list(grid.shape)}"
        )
    if spatial not in (2, 3) or grid.dim() != input.dim():
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if input.size(0) != grid.size(0):
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with sizes "
            f"{list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if mode == "bicubic" and spatial != 2:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    lengths = input.shape[2:]
    for dim, length in enumerate(lengths, 2):
        if length == 0:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes "
                f"{list(input.shape)} with dimension {dim} being empty"
            )
    batch, channels = input.shape[:2]
    flat = input.flatten(2)

    # Coordinates in pixels, first spatial dimension first.
    places = []
    for d, length in enumerate(lengths):
        x = grid[..., spatial - 1 - d]
        places.append((x + 1) * ((length - 1) / 2) if align_corners else ((x + 1) * length - 1) / 2)

    # Per dimension the taps: an integer position and a weight each.
    taps = []
    for x, length in zip(places, lengths, strict=True):
        if mode != "bicubic":
            x = _into_range(x, length, padding_mode, align_corners)
        if mode == "nearest":
            # The step has a gradient of zeros where one is asked for.
            taps.append([(x.round(), 1 + x.sign() * 0 if x.requires_grad else None)])
            continue
        base = x.detach().floor()
        t = x - base
        if mode == "bilinear":
            taps.append([(base, 1 - t), (base + 1, t)])
        else:
            points = (_into_range(base + k, length, padding_mode, align_corners) for k in (-1, 0, 1, 2))
            taps.append(list(zip(points, _cubic(t), strict=True)))

    result = None
    for corner in _corners(taps):
        index, weight, inside = None, None, None
        for (place, part), length in zip(corner, lengths, strict=True):
            ok = (place >= 0) & (place <= length - 1)
            inside = ok if inside is None else inside & ok
            whole = place.masked_fill(ok.logical_not(), 0).to(_core.int64)
            index = whole if index is None else index * length + whole
            if part is not None:
                weight = part if weight is None else weight * part
        values = flat.gather(2, index.flatten(1).unsqueeze(1).expand(batch, channels, -1))
        values = values.reshape(batch, channels, *index.shape[1:])
        values = values.masked_fill(inside.unsqueeze(1).logical_not(), 0)
        if weight is not None:
            values = values * weight.unsqueeze(1)
        result = values if result is None else result + values
    return result


def _corners(taps):
    """All combinations of one tap per dimension."""
    if not taps:
        yield ()
        return
    for tap in taps[0]:
        for rest in _corners(taps[1:]):
            yield (tap, *rest)


# ---- recurrent networks ----------------------------------------------------------------------------------------------


def _lstm_step(gates, state):
    i, f, g, o = gates.chunk(4, -1)
    c = _core._gated_sum(f, state[1], _core._gated_tanh(i, g))
    return _core._gated_tanh(o, c), c


def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of a long short-term memory; returns (h, c)."""
    from rustnn.nn import functional as F

    return _lstm_step(F.linear(input, w_ih, b_ih) + F.linear(hx[0], w_hh, b_hh), hx)


def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of a gated recurrent unit."""
    from rustnn.nn import functional as F

    return _gru_step(F.linear(input, w_ih, b_ih), F.linear(hx, w_hh, b_hh), hx)


def _gru_step(from_input, from_state, h):
    r1, z1, n1 = from_input.chunk(3, -1)
    r2, z2, n2 = from_state.chunk(3, -1)
    return _core._gated_mix(_core._gated_candidate(n1, r1 + r2, n2), z1 + z2, h)


def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of an Elman network with tanh."""
    from rustnn.nn import functional as F

    return (F.linear(input, w_ih, b_ih) + F.linear(hx, w_hh, b_hh)).tanh()


def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of an Elman network with relu."""
    from rustnn.nn import functional as F

    return (F.linear(input, w_ih, b_ih) + F.linear(hx, w_hh, b_hh)).relu()


def _direction(kind, x, sizes, state, weights, has_biases, reverse):
    """One layer in one direction over packed elements.

    Args:
        x: elements step by step, (sum of sizes, input).
        sizes: how many sequences run at each step; falls.
        state: list of (N, width) tensors: h, and c of an LSTM.
        weights: w_ih, w_hh, then b_ih, b_hh with biases, then w_hr with a projection.
    Returns: outputs like x, and the last state of each sequence.
    """
    from rustnn.nn import functional as F

    w_ih, w_hh, *rest = weights
    b_ih, b_hh = rest[:2] if has_biases else (None, None)
    w_hr = rest[-1] if len(rest) % 2 else None
    # The inputs' part of all steps is one product.
    parts = F.linear(x, w_ih, b_ih).split(sizes)
    steps = range(len(sizes))
    outputs = [None] * len(sizes)
    # Forwards sequences end one after the other, longest last; backwards they join in.
    current = [part[: sizes[-1 if reverse else 0]] for part in state]
    finished = []
    for step in reversed(steps) if reverse else steps:
        size, running = sizes[step], current[0].size(0)
        if size < running:
            finished.append([part[size:] for part in current])
            current = [part[:size] for part in current]
        elif size > running:
            current = [_core.cat([part, start[running:size]]) for part, start in zip(current, state, strict=True)]
        if kind == "lstm":
            h, c = _lstm_step(parts[step] + F.linear(current[0], w_hh, b_hh), current)
            current = [h if w_hr is None else F.linear(h, w_hr), c]
        elif kind == "gru":
            current = [_gru_step(parts[step], F.linear(current[0], w_hh, b_hh), current[0])]
        else:
            total = parts[step] + F.linear(current[0], w_hh, b_hh)
            current = [total.tanh() if kind == "rnn_tanh" else total.relu()]
        outputs[step] = current[0]
    finished.append(current)
    last = [_core.cat([part[k] for part in reversed(finished)]) for k in range(len(state))]
    return _core.cat(outputs), last


def _recurrent(kind, x, sizes, states, params, has_biases, num_layers, dropout, train, bidirectional):
    """All layers and directions over packed elements; returns outputs and the last states, one tensor per kind of
    state."""
    from rustnn.nn import functional as F

    directions = 2 if bidirectional else 1
    per = len(params) // (num_layers * directions)
    last = []
    for layer in range(num_layers):
        results = []
        for direction in range(directions):
            number = layer * directions + direction
            output, final = _direction(
                kind,
                x,
                sizes,
                [state[number] for state in states],
                params[number * per : (number + 1) * per],
                has_biases,
                direction == 1,
            )
            results.append(output)
            last.append(final)
        x = results[0] if directions == 1 else _core.cat(results, -1)
        if dropout and train and layer < num_layers - 1:
            x = F.dropout(x, dropout, True)
    return x, tuple(_core.stack([final[k] for final in last]) for k in range(len(states)))


def _make_recurrent(kind):
    def run(*args):
        # (input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first), or packed:
        # (data, batch_sizes, hx, params, has_biases, num_layers, dropout, train, bidirectional).
        packed = isinstance(args[2], _core.Tensor) or (
            isinstance(args[2], (list, tuple)) and isinstance(args[3], (list, tuple))
        )
        if packed:
            x, batch_sizes, hx, *options = args
            sizes = batch_sizes.tolist()
        else:
            x, hx, *options, batch_first = args
            if batch_first:
                x = x.transpose(0, 1)
            length, batch = x.shape[:2]
            sizes = [batch] * length
            if length == 0:
                raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
            x = x.reshape(length * batch, x.size(2))
        states = tuple(hx) if kind == "lstm" else (hx,)
        output, last = _recurrent(kind, x, sizes, states, *options)
        if not packed:
            output = output.reshape(length, batch, output.size(-1))
            if batch_first:
                output = output.transpose(0, 1)
        return (output, *last)

    run.__name__ = kind
    run.__doc__ = f"The {kind.replace('_', ' with ')} of several layers; the arguments are those of ``torch.{kind}``."
    return run


lstm = _make_recurrent("lstm")
gru = _make_recurrent("gru")
rnn_tanh = _make_recurrent("rnn_tanh")
rnn_relu = _make_recurrent("rnn_relu")
