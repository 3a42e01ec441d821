"""The functions behind the layers: most come from the native core as they are, a few get their arguments sorted here.

What is written in Python below has no loop over elements: it reads old argument forms, warns, checks sizes, and calls
the core; or it composes a rarely used loss from differentiable operators.

Source: names, signatures and messages of ``torch.nn.functional`` (PyTorch 2.13).
"""

from __future__ import annotations

import math
import warnings
from functools import partial

from rustnn import _core
from rustnn._core import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    alpha_dropout,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    celu,
    celu_,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    dropout,
    elu,
    elu_,
    embedding,
    feature_alpha_dropout,
    gelu,
    glu,
    hardshrink,
    hardsigmoid,
    hardswish,
    hardtanh,
    hardtanh_,
    layer_norm,
    leaky_relu,
    leaky_relu_,
    linear,
    logsigmoid,
    max_pool1d,
    max_pool2d,
    max_pool3d,
    mish,
    one_hot,
    prelu,
    relu,
    relu6,
    relu_,
    rms_norm,
    selu,
    selu_,
    sigmoid,
    silu,
    softplus,
    softshrink,
    softsign,
    tanh,
    tanhshrink,
    threshold,
    threshold_,
)
from rustnn.nn import _composed, _reduction
from rustnn.nn._composed import (
    affine_grid,
    bilinear,
    channel_shuffle,
    cosine_similarity,
    ctc_loss,
    embedding_bag,
    fold,
    grid_sample,
    native_channel_shuffle,
    pad,
    pairwise_distance,
    pdist,
    pixel_shuffle,
    pixel_unshuffle,
    rrelu,
    rrelu_,
    scaled_dot_product_attention,
    unfold,
)
from rustnn.nn.modules.utils import _pair, _single, _triple

Tensor = _core.Tensor

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "affine_grid",
    "alpha_dropout",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "batch_norm",
    "bilinear",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "celu",
    "celu_",
    "channel_shuffle",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "cosine_embedding_loss",
    "cosine_similarity",
    "cross_entropy",
    "ctc_loss",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "elu",
    "elu_",
    "embedding",
    "embedding_bag",
    "feature_alpha_dropout",
    "fold",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "gaussian_nll_loss",
    "gelu",
    "glu",
    "grid_sample",
    "group_norm",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "hinge_embedding_loss",
    "huber_loss",
    "instance_norm",
    "interpolate",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "leaky_relu_",
    "linear",
    "linear_cross_entropy",
    "local_response_norm",
    "log_softmax",
    "logsigmoid",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
    "max_unpool1d",
    "max_unpool2d",
    "max_unpool3d",
    "mish",
    "mse_loss",
    "multi_head_attention_forward",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "native_channel_shuffle",
    "nll_loss",
    "normalize",
    "one_hot",
    "pad",
    "pairwise_distance",
    "pdist",
    "pixel_shuffle",
    "pixel_unshuffle",
    "poisson_nll_loss",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rms_norm",
    "rrelu",
    "rrelu_",
    "scaled_dot_product_attention",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "soft_margin_loss",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
    "unfold",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]


# ---- softmax ---------------------------------------------------------------------------------------------------------


def _get_softmax_dim(name, ndim, stacklevel) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    """exp(x) along ``dim``, divided by its sum there; cast to ``dtype`` first if given.

    Example:
        >>> import rustnn
        >>> rustnn.nn.functional.softmax(rustnn.zeros(4), dim=0).tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    if dim is None:
        dim = _get_softmax_dim("softmax", input.dim(), _stacklevel)
    return _core.softmax(input, dim, dtype=dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """The logarithm of :func:`softmax`, computed without cancellation."""
    if dim is None:
        dim = _get_softmax_dim("log_softmax", input.dim(), _stacklevel)
    return _core.log_softmax(input, dim, dtype=dtype)


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """The :func:`softmax` of -x."""
    if dim is None:
        dim = _get_softmax_dim("softmin", input.dim(), _stacklevel)
    return _core.softmax(-input, dim, dtype=dtype)


def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """A sample of the Gumbel-softmax distribution.

        y = softmax((logits + g) / tau),  g = -log(-log u)

    Args:
        tau: temperature, > 0.
        hard: return a one-hot vector whose gradient is that of the soft sample.
        dim: along which the softmax is taken.
    Source: Jang et al. 2016; Maddison et al. 2016.
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    gumbels = -_core.empty_like(logits).exponential_().log()
    soft = ((logits + gumbels) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    one_hot = _core.zeros_like(logits).scatter_(dim, index, 1.0)
    # Value of the one-hot vector, gradient of the soft one.
    return one_hot - soft.detach() + soft


# ---- dropout of whole channels ---------------------------------------------------------------------------------------


def _check_probability(p) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _feature_dropout(input, p, training, inplace, sample_rank=None):
    if input.dim() != sample_rank:
        return _core.feature_dropout(input, p, training, inplace)
    dropped = _core.feature_dropout(input.unsqueeze(0), p, training, inplace)
    # In place the view has written into the input already.
    return input if inplace else dropped.squeeze(0)


def dropout1d(input, p=0.5, training=True, inplace=False):
    """Zero whole channels of (N, C, L) or (C, L) with probability ``p``; the others are divided by 1 - p.

    Raises: ValueError for p outside [0, 1]; RuntimeError for an input that is not 2-D or 3-D.
    """
    _check_probability(p)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that dropout1d exists to "
            "provide channel-wise dropout on inputs with 1 spatial dimension, a channel dimension, and an optional "
            "batch dimension (i.e. 2D or 3D inputs)."
        )
    return _feature_dropout(input, p, training, inplace, 2)


def dropout2d(input, p=0.5, training=True, inplace=False):
    """Zero whole channels of (N, C, H, W) with probability ``p``; the others are divided by 1 - p.

    Raises: ValueError for p outside [0, 1].
    """
    _check_probability(p)
    if input.dim() not in (3, 4):
        warnings.warn(
            f"dropout2d: Received a {input.dim()}-D input to dropout2d, which is deprecated and will result in an "
            "error in a future release. To retain the behavior and silence this warning, please use dropout instead. "
            "Note that dropout2d exists to provide channel-wise dropout on inputs with 2 spatial dimensions, a channel "
            "dimension, and an optional batch dimension (i.e. 3D or 4D inputs).",
            stacklevel=2,
        )
    elif input.dim() == 3:
        # PyTorch's rule: here, unlike in dropout1d and dropout3d, a missing dimension is taken for the spatial one.
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is "
            "desired - input is interpreted as shape (N, C, L), where C is the channel dim. This behavior will change "
            "in a future release to interpret the input as one without a batch dimension, i.e. shape (C, H, W). To "
            "maintain the 1D channel-wise dropout behavior, please switch to using dropout1d instead.",
            stacklevel=2,
        )
    return _feature_dropout(input, p, training, inplace)


def dropout3d(input, p=0.5, training=True, inplace=False):
    """Zero whole channels of (N, C, D, H, W) or (C, D, H, W) with probability ``p``; the others are divided by 1 - p.

    Raises: ValueError for p outside [0, 1].
    """
    _check_probability(p)
    if input.dim() not in (4, 5):
        warnings.warn(
            f"dropout3d: Received a {input.dim()}-D input to dropout3d, which is deprecated and will result in an "
            "error in a future release. To retain the behavior and silence this warning, please use dropout instead. "
            "Note that dropout3d exists to provide channel-wise dropout on inputs with 3 spatial dimensions, a channel "
            "dimension, and an optional batch dimension (i.e. 4D or 5D inputs).",
            stacklevel=2,
        )
    return _feature_dropout(input, p, training, inplace, 4)


# ---- normalisation ---------------------------------------------------------------------------------------------------


def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Normalise each sample over groups of channels; see ``rustnn.nn.GroupNorm``.

    Raises: RuntimeError for fewer than two dimensions; ValueError for one value in a group.
    """
    if input.dim() < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.dim()}")
    _verify_batch_size([input.size(0) * input.size(1) // num_groups, num_groups, *input.shape[2:]])
    return _core.group_norm(input, num_groups, weight, bias, eps)


def _verify_batch_size(size) -> None:
    count = size[0]
    for length in size[2:]:
        count *= length
    if count == 1:
        raise ValueError(f"Expected more than 1 value per channel when training, got input size {size}")


def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Normalise each channel (dimension 1) over all other dimensions.

        y = (x - E[x]) / √(Var[x] + eps) · weight + bias

    Args:
        running_mean, running_var: used in place of the batch's statistics if ``training`` is False, updated with
            ``momentum`` if it is True; may be None if it is True.
        eps: added to the variance, in its unit.
    Raises: ValueError for a single value per channel in training, or a negative eps.
    """
    if training:
        if eps <= 0.0:
            raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
        _verify_batch_size(input.size())
        if input.numel() == 0 and input.dim() > 1 and input.size(1):
            # There is nothing to learn statistics from.
            mean, var = input.new_zeros(input.size(1)), input.new_ones(input.size(1))
            return _core.batch_norm(input, mean, var, weight, bias, False, momentum, eps)
    elif eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    return _core.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """Normalise each channel of each sample over its spatial dimensions; the arguments are those of :func:`batch_norm`.

    Raises: ValueError for a single spatial element when the input's statistics are used.
    """
    if use_input_stats:
        size = input.size()
        if math.prod(size[2:]) == 1:
            raise ValueError(f"Expected more than 1 spatial element when training, got input size {size}")
    return _core.instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats=use_input_stats, momentum=momentum, eps=eps
    )


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """Divide each value by a power of the mean square of ``size`` neighbouring channels.

        y_c = x_c / (k + alpha/size · Σ x_c'²)^beta

    Raises: ValueError for fewer than 3 dimensions.
    Source: Krizhevsky et al. 2012, section 3.3.
    """
    dim = input.dim()
    if dim < 3:
        raise ValueError(f"Expected 3D or higher dimensionality                          input (got {dim} dimensions)")
    if input.numel() == 0:
        return input
    # Channels become the pooled dimension: (N, 1, C, rest).
    sizes = input.size()
    squares = (input * input).reshape(sizes[0], 1, sizes[1], -1)
    squares = pad(squares, (0, 0, size // 2, (size - 1) // 2))
    means = avg_pool2d(squares, (size, 1), stride=1).squeeze(1).reshape(sizes)
    return input / (means * alpha + k).pow(beta)


def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """Divide by the p-norm along ``dim``, or by ``eps`` where the norm is smaller.

    Example:
        >>> import rustnn
        >>> rustnn.nn.functional.normalize(rustnn.tensor([3.0, 4.0]), dim=0).tolist()
        [0.6000000238418579, 0.800000011920929]
    """
    length = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    if out is None:
        return input / length
    return _core.div(input, length, out=out)


# ---- pooling ---------------------------------------------------------------------------------------------------------


def max_pool1d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """The maxima of windows, and their positions."""
    return max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode=ceil_mode, return_indices=True)


def max_pool2d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """The maxima of windows, and their positions."""
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode=ceil_mode, return_indices=True)


def max_pool3d_with_indices(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False
):
    """The maxima of windows, and their positions."""
    return max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode=ceil_mode, return_indices=True)


def adaptive_max_pool1d_with_indices(input, output_size, return_indices=False):
    """The maxima of ``output_size`` windows, and their positions."""
    return adaptive_max_pool1d(input, output_size, return_indices=True)


def adaptive_max_pool2d_with_indices(input, output_size, return_indices=False):
    """The maxima of ``output_size`` windows, and their positions."""
    return adaptive_max_pool2d(input, output_size, return_indices=True)


def adaptive_max_pool3d_with_indices(input, output_size, return_indices=False):
    """The maxima of ``output_size`` windows, and their positions."""
    return adaptive_max_pool3d(input, output_size, return_indices=True)


def _unpool_output_size(input, kernel_size, stride, padding, output_size):
    spatial = input.size()[-len(kernel_size) :]
    default = [(spatial[d] - 1) * stride[d] + kernel_size[d] - 2 * padding[d] for d in range(len(kernel_size))]
    if output_size is None:
        return default
    output_size = tuple(output_size)
    if len(output_size) == len(kernel_size) + 2:
        output_size = output_size[2:]
    if len(output_size) != len(kernel_size):
        raise ValueError(
            "output_size should be a sequence containing "
            f"{len(kernel_size)} or {len(kernel_size) + 2} elements, but it has a length of '{len(output_size)}'"
        )
    for d in range(len(kernel_size)):
        low, high = default[d] - stride[d], default[d] + stride[d]
        if not low < output_size[d] < high:
            raise ValueError(f"invalid output_size '{output_size}' (dim {d} must be between {low} and {high})")
    return list(output_size)


def _fractional_max_pool(input, kernel_size, output_size, output_ratio, return_indices, samples, spatial):
    name = f"fractional_max_pool{spatial}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    as_tuple = (None, None, _pair, _triple)[spatial]
    kernel, lengths = as_tuple(kernel_size), input.shape[-spatial:]
    if output_size is None:
        ratios = as_tuple(output_ratio)
        if len(ratios) != spatial:
            raise ValueError(f"{name} requires output_ratio to either be a single Int or tuple of Ints.")
        output_size = [int(length * ratio) for length, ratio in zip(lengths, ratios, strict=True)]
    output = as_tuple(output_size)
    if len(output) != spatial:
        raise RuntimeError(f"{name}: output_size must either be a single Int or tuple of Ints")
    if len(kernel) != spatial:
        raise RuntimeError(f"{name}: kernel_size must either be a single Int or tuple of Ints")
    if input.dim() not in (spatial + 1, spatial + 2):
        raise RuntimeError(f"{name}(): Expected {spatial + 1}D or {spatial + 2}D tensor, but got: {list(input.shape)}")
    x = input if input.dim() == spatial + 2 else input.unsqueeze(0)
    for d, length in enumerate(x.shape[1:], 1):
        if length == 0:
            raise RuntimeError(
                f"{name}: Expected input to have non-zero  size for non-batch dimensions, but got "
                f"{list(input.shape)} with "
                f"dimension {d} being empty."
            )
    for d, (length, out, window) in enumerate(zip(lengths, output, kernel, strict=True)):
        if out + window - 1 > length:
            axis = ("time", "height", "width")[d + 3 - spatial]
            raise RuntimeError(f"{name}(): pool {axis} {window} too large relative to input {axis} {length}")
    planes = x.shape[:2]
    if samples is None:
        samples = _core.rand(*planes, spatial, dtype=x.dtype, device=x.device)
    if samples.dtype is not x.dtype:
        raise RuntimeError("Expect _random_samples to have the same dtype as input")
    if samples.dim() != 3:
        raise RuntimeError(f"Expect _random_samples to have 3 dimensions, got {samples.dim()}")
    for d, least in enumerate(planes):
        if samples.size(d) < least:
            what = "input batch size" if d == 0 else "input channel size"
            raise RuntimeError(f"Expect _random_samples.size({d}) no less then {what}.")
    if samples.size(2) != spatial:
        raise RuntimeError(f"Expect _random_samples.size(2) equals to {spatial}; got {samples.size(2)}.")
    samples = samples[: planes[0], : planes[1]]
    # The places of each window along each dimension; images take their samples from the last dimension on.
    flat = None
    for d, (length, out, window) in enumerate(zip(lengths, output, kernel, strict=True)):
        sample = samples[..., d if spatial == 3 else spatial - 1 - d].to(x.dtype).unsqueeze(-1)
        step = (length - window) / (out - 1) if out > 1 else 0.0
        number = _core.arange(out, dtype=x.dtype, device=x.device)
        start = ((number + sample) * step).to(_core.int64) - (sample * step).to(_core.int64)
        start = _core.where(number == out - 1, length - window, start)
        place = start.unsqueeze(-1) + _core.arange(window, device=x.device)
        shape = [1] * (2 * spatial)
        shape[d], shape[spatial + d] = out, window
        place = place.reshape(*planes, *shape)
        flat = place if flat is None else flat * length + place
    windows = flat.flatten(2 + spatial)
    values = x.flatten(2).gather(2, windows.flatten(2)).reshape(windows.shape)
    best, at = values.max(-1)
    indices = windows.gather(-1, at.unsqueeze(-1)).squeeze(-1)
    if input.dim() == spatial + 1:
        best, indices = best.squeeze(0), indices.squeeze(0)
    return (best, indices) if return_indices else best


def fractional_max_pool2d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """Maxima of windows at random, overlapping places; see ``rustnn.nn.FractionalMaxPool2d``."""
    return _fractional_max_pool(input, kernel_size, output_size, output_ratio, return_indices, _random_samples, 2)


def fractional_max_pool3d(
    input, kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None
):
    """Maxima of windows at random, overlapping places; see ``rustnn.nn.FractionalMaxPool3d``."""
    return _fractional_max_pool(input, kernel_size, output_size, output_ratio, return_indices, _random_samples, 3)


fractional_max_pool2d_with_indices = partial(fractional_max_pool2d, return_indices=True)
fractional_max_pool3d_with_indices = partial(fractional_max_pool3d, return_indices=True)


def linear_cross_entropy(
    input,
    linear_weight,
    target,
    *,
    linear_bias=None,
    weight=None,
    reduction="mean",
    ignore_index=None,
    label_smoothing=0.0,
    options=None,
):
    """:func:`cross_entropy` of a linear map of the input; see ``rustnn.nn.LinearCrossEntropyLoss``.

    Args:
        linear_weight: (C, d_1, …, d_K, in features). linear_bias: (C, d_1, …, d_K).
        options: accepted; the logits are made at once whatever it says.
    """
    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}")
    if input.shape[-1] != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{input.shape[-1]} and {linear_weight.shape[-1]}, respectively"
        )
    shape = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != shape:
        raise RuntimeError(f"expected linear_bias shape {shape}, got {tuple(linear_bias.shape)}")
    if len(shape) > 1 and input.dim() == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires batched input, "
            "(N, "
            f"{input.shape[-1]}), got unbatched input with shape {tuple(input.shape)}"
        )
    logits = linear(input, linear_weight.flatten(0, -2), None if linear_bias is None else linear_bias.flatten())
    logits = logits.reshape(*input.shape[:-1], *shape)
    if target.shape == logits.shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    ignore_index = -100 if ignore_index is None else ignore_index
    return cross_entropy(
        logits, target, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
    )


def _max_unpool(input, indices, output_size):
    """Put each value at its flat position within its channel, zeros elsewhere."""
    spatial = len(output_size)
    lead = input.shape[:-spatial]
    total = math.prod(output_size)
    flat_indices = indices.flatten(len(lead))
    known = flat_indices.numel() and not _core._is_unread(flat_indices)
    if known and not (0 <= int(flat_indices.min()) and int(flat_indices.max()) < total):
        raise RuntimeError(
            f"Found an invalid max index: {int(flat_indices.max())} (output volumes are of size "
            f"{'x'.join(map(str, output_size))})"
        )
    flat = _core.zeros(*lead, total, dtype=input.dtype, device=input.device)
    out = flat.scatter(-1, flat_indices, input.flatten(len(lead))).reshape(*lead, *output_size)
    return _composed._in_format_of(out, input) if spatial == 2 else out


def _unpool(input, indices, kernel_size, stride, padding, output_size, as_tuple):
    kernel = as_tuple(kernel_size)
    spatial = len(kernel)
    if indices.dtype is not _core.int64:
        raise RuntimeError(f"elements in indices should be type int64 but got: {indices.dtype}")
    if input.dim() not in (spatial + 1, spatial + 2):
        raise RuntimeError(
            f"Input to max_unpooling{spatial}d should be a {spatial + 1}d or {spatial + 2}d Tensor, but got a tensor "
            "with "
            f"{input.dim()} dimensions."
        )
    if input.shape != indices.shape:
        raise RuntimeError(
            f"Expected shape of indices to be same as that of the input tensor ({list(input.shape)}) but got indices "
            "tensor "
            f"with shape: {list(indices.shape)}"
        )
    for d in range(1, input.dim()):
        if input.size(d) == 0:
            raise RuntimeError(
                f"max_unpooling{spatial}d(): Expected input to have non-zero size for non-batch dimensions, but got "
                f"{list(input.shape)} with dimension {d} being empty."
            )
    stride = kernel if stride is None else as_tuple(stride)
    return _max_unpool(input, indices, _unpool_output_size(input, kernel, stride, as_tuple(padding), output_size))


def max_unpool1d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """The partial inverse of max_pool1d: values go back to ``indices``, the rest is zero."""
    return _unpool(input, indices, kernel_size, stride, padding, output_size, _single)


def max_unpool2d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """The partial inverse of max_pool2d: values go back to ``indices``, the rest is zero."""
    return _unpool(input, indices, kernel_size, stride, padding, output_size, _pair)


def max_unpool3d(input, indices, kernel_size, stride=None, padding=0, output_size=None):
    """The partial inverse of max_pool3d: values go back to ``indices``, the rest is zero."""
    return _unpool(input, indices, kernel_size, stride, padding, output_size, _triple)


def _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, as_tuple, avg_pool, max_pool):
    if norm_type == math.inf:
        return max_pool(input, kernel_size, stride, 0, 1, ceil_mode=ceil_mode)
    if norm_type == -math.inf:
        return -max_pool(-input, kernel_size, stride, 0, 1, ceil_mode=ceil_mode)
    count = math.prod(as_tuple(kernel_size))
    means = avg_pool(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
    # sign · relu(|x|): the sum of odd powers may be negative, and its root is taken as zero.
    return (_core.sign(means) * relu(_core.abs(means))).mul(count).pow(1.0 / norm_type)


def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of windows: (Σ x^p)^(1/p)."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, _single, avg_pool1d, max_pool1d)


def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of windows: (Σ x^p)^(1/p)."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, _pair, avg_pool2d, max_pool2d)


def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-norm of windows: (Σ x^p)^(1/p)."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, _triple, avg_pool3d, max_pool3d)


# ---- losses ----------------------------------------------------------------------------------------------------------


def _reduction_of(size_average, reduce, reduction):
    if size_average is not None or reduce is not None:
        return _reduction.legacy_get_string(size_average, reduce)
    return reduction


def _reduce(loss, reduction):
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ValueError(f"{reduction} is not a valid value for reduction")


def _warn_if_sizes_differ(input, target) -> None:
    if target.size() != input.size():
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}). This will "
            "likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=3,
        )


def _weighted(loss, input, weight, reduction, weighted_mean):
    if weight.size() != input.size():
        raise ValueError("Weights and input must have the same size.")
    loss = loss * weight
    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    if reduction == "mean":
        return loss.sum() / weight.sum() if weighted_mean else loss.mean()
    raise ValueError(f"Invalid reduction mode: {reduction}. Expected one of 'none', 'mean', 'sum'.")


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """The mean (sum, or each) of (input - target)²; with ``weight``, the weighted mean.

    Example:
        >>> import rustnn
        >>> rustnn.nn.functional.mse_loss(rustnn.ones(2), rustnn.zeros(2)).item()
        1.0
    """
    _warn_if_sizes_differ(input, target)
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    if weight is not None:
        return _weighted(_core.mse_loss(input, target, reduction="none"), input, weight, reduction, True)
    return _core.mse_loss(input, target, reduction=reduction)


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """The mean (sum, or each) of |input - target|; with ``weight``, the weighted mean."""
    _warn_if_sizes_differ(input, target)
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    if input.is_complex() or target.is_complex():
        input = (input - target).abs()
        target = _core.zeros_like(input)
    if weight is not None:
        return _weighted(_core.l1_loss(input, target, reduction="none"), input, weight, reduction, True)
    return _core.l1_loss(input, target, reduction=reduction)


def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """The mean (sum, or each) of ½d²/beta where d = |input - target| < beta, else d - ½beta."""
    _warn_if_sizes_differ(input, target)
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    if beta == 0.0:
        return _core.l1_loss(input, target, reduction=reduction)
    return _core.smooth_l1_loss(input, target, reduction=reduction, beta=beta)


def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """The mean (sum, or each) of ½d² where d = |input - target| < delta, else delta (d - ½delta)."""
    _warn_if_sizes_differ(input, target)
    if weight is not None:
        loss = _core.huber_loss(input, target, reduction="none", delta=delta)
        return _weighted(loss, input, weight, reduction, False)
    return _core.huber_loss(input, target, reduction=reduction, delta=delta)


def cross_entropy(
    input,
    target,
    weight=None,
    size_average=None,
    ignore_index=-100,
    reduce=None,
    reduction="mean",
    label_smoothing=0.0,
):
    """The cross entropy between logits and class indices or class probabilities; see ``rustnn.nn.CrossEntropyLoss``."""
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    return _core.cross_entropy(
        input,
        target,
        weight=weight,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def nll_loss(input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"):
    """Minus the log-probability of the target class; see ``rustnn.nn.NLLLoss``."""
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    return _core.nll_loss(input, target, weight=weight, ignore_index=ignore_index, reduction=reduction)


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """The divergence Σ target (log target - input) of log-probabilities; see ``rustnn.nn.KLDivLoss``."""
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    elif reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size.'batchmean' divides "
            "only by the batch size, and aligns with the KL div math definition.'mean' will be changed to behave the "
            "same as 'batchmean' in the next major release.",
            stacklevel=2,
        )
    if reduction == "batchmean":
        total = _core.kl_div(input, target, reduction="sum", log_target=log_target)
        return total / input.size()[0] if input.dim() != 0 else total
    return _core.kl_div(input, target, reduction=reduction, log_target=log_target)


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """The mean (sum, or each) of -(t log x + (1 - t) log(1 - x)); both logarithms are cut at -100.

    Raises: ValueError if the sizes differ; RuntimeError if an input is outside [0, 1].
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size ({input.size()}) is "
            "deprecated. Please ensure they have the same size."
        )
    if weight is not None:
        weight = weight.expand(target.size())
    return _core.binary_cross_entropy(input, target, weight=weight, reduction=reduction)


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """The binary cross entropy of sigmoid(input), computed without overflow.

    Args:
        pos_weight: factor of the positive class's term.
    Raises: ValueError if the sizes differ.
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    if target.size() != input.size():
        raise ValueError(f"Target size ({target.size()}) must be the same as input size ({input.size()})")
    return _core.binary_cross_entropy_with_logits(
        input, target, weight=weight, reduction=reduction, pos_weight=pos_weight
    )


def poisson_nll_loss(
    input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean"
):
    """Minus the log-likelihood of counts under Poisson distributions; see ``rustnn.nn.PoissonNLLLoss``."""
    reduction = _reduction_of(size_average, reduce, reduction)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        # Stirling's formula for log(target!), of use above 1 only.
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return _reduce(loss, reduction)


def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """Minus the log-likelihood under normal distributions; see ``rustnn.nn.GaussianNLLLoss``."""
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * _core.ones_like(input)
    elif not _core._is_recording():
        _core._refuse_where(var < 0, "var has negative entry/entries")
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            # One variance per row.
            var = var.unsqueeze(-1)
        elif not (
            input.dim() == var.dim() and sum(y for x, y in zip(input.size(), var.size(), strict=True) if x != y) == 1
        ):
            raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    var = var.clone()
    with _core.no_grad():
        var.clamp_(min=eps)
    loss = 0.5 * (var.log() + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduce(loss, reduction)


def hinge_embedding_loss(input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"):
    """x where the target is 1, max(0, margin - x) where it is -1."""
    reduction = _reduction_of(size_average, reduce, reduction)
    zeros = _core.zeros_like(input)
    apart = _core.where(target != 1, (margin - input).clamp_min(0), zeros)
    together = _core.where(target != -1, input, zeros)
    return _reduce(apart + together, reduction)


def margin_ranking_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """max(0, -target (input1 - input2) + margin).

    Raises: RuntimeError if the three differ in their number of dimensions.
    """
    reduction = _reduction_of(size_average, reduce, reduction)
    if not (input1.dim() == input2.dim() == target.dim()):
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return _reduce((-target * (input1 - input2) + margin).clamp_min(0), reduction)


def cosine_embedding_loss(input1, input2, target, margin=0, size_average=None, reduce=None, reduction="mean"):
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1, along dimension 1 (or 0 of vectors).

    Raises: RuntimeError for targets that are not 0-D or 1-D, or inputs whose dimensions do not fit.
    """
    reduction = _reduction_of(size_average, reduce, reduction)
    if target.dim() not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if (input1.size() != input2.size() and input1.dim() != input2.dim()) or input1.dim() != target.dim() + 1:
        kind = (
            "1D target tensor expects 2D input tensors" if target.dim() else "0D target tensor expects 1D input tensors"
        )
        raise RuntimeError(f"{kind}, but found inputs with sizes {list(input1.size())} and {list(input2.size())}.")
    dim = target.dim()
    # PyTorch's constant: keeps the square root away from zero, unlike cosine_similarity's clamp.
    epsilon = 1e-12
    product = (input1 * input2).sum(dim)
    squares = ((input1 * input1).sum(dim) + epsilon) * ((input2 * input2).sum(dim) + epsilon)
    cosine = product / squares.sqrt()
    zeros = _core.zeros_like(cosine)
    together = _core.where(target == 1, 1 - cosine, zeros)
    apart = _core.where(target == -1, (cosine - margin).clamp_min(0), zeros)
    return _reduce(together + apart, reduction)


def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """log(1 + exp(-target · input)), with targets ±1."""
    reduction = _reduction_of(size_average, reduce, reduction)
    # softplus is that function without overflow.
    return _reduce(softplus(-target * input, threshold=88), reduction)


def multilabel_soft_margin_loss(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    """The binary cross entropy of each class, averaged over the last dimension."""
    reduction = _reduction_of(size_average, reduce, reduction)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    class_dim = input.dim() - 1
    return _reduce(loss.sum(dim=class_dim) / input.size(class_dim), reduction)


def _check_classes(input) -> None:
    if input.dim() > 2 or (input.dim() and input.size(-1) == 0):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: " + str(list(input.shape))
        )


def multi_margin_loss(input, target, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean"):
    """Σ over the wrong classes of max(0, margin - x[target] + x[class])^p, divided by the number of classes.

    Raises: ValueError for p other than 1 and 2, or a weight that is not 1-D.
    """
    reduction = _reduction_of(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    batched = input.dim() == 2
    _check_classes(input)
    rows = input if batched else input.reshape(1, -1)
    if target.dim() > 1 or target.numel() != rows.size(0):
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples (batch "
            "size). "
            f"Expected target size [{rows.size(0)}], but got {list(target.shape)}. Input has shape {list(input.shape)}."
        )
    index = target.reshape(-1, 1)
    terms = (margin - rows.gather(1, index) + rows).clamp_min(0)
    if p == 2:
        terms = terms * terms
    if weight is not None:
        terms = terms * weight[index]
    # The right class itself does not count.
    terms = terms.scatter(1, index, 0.0)
    loss = terms.sum(dim=1) / rows.size(1)
    return _reduce(loss if batched else loss.squeeze(0), reduction)


def multilabel_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """Σ over label and non-label pairs of max(0, 1 - (x[label] - x[other])), divided by the number of classes.

    Args:
        target: per row the label indices, closed by -1; what follows it is ignored.
    """
    reduction = _reduction_of(size_average, reduce, reduction)
    batched = input.dim() == 2
    _check_classes(input)
    rows = input if batched else input.reshape(1, -1)
    labels = target if batched else target.reshape(1, -1)
    if labels.shape != rows.shape or (target.dim() != input.dim() and input.numel() > 1):
        raise RuntimeError(f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}")
    # 1 up to the first -1.
    valid = ((labels < 0).cumsum(1) == 0).to(rows.dtype)
    index = labels.clamp(min=0)
    is_label = _core.zeros_like(rows).detach().scatter_reduce(1, index, valid, reduce="amax")
    gaps = (1 - (rows.gather(1, index).unsqueeze(2) - rows.unsqueeze(1))).clamp_min(0)
    loss = (gaps * valid.unsqueeze(2) * (1 - is_label).unsqueeze(1)).sum(dim=(1, 2)) / rows.size(1)
    return _reduce(loss if batched else loss.squeeze(0), reduction)


def triplet_margin_loss(
    anchor,
    positive,
    negative,
    margin=1.0,
    p=2,
    eps=1e-6,
    swap=False,
    size_average=None,
    reduce=None,
    reduction="mean",
):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin), d the p-norm of the difference plus eps.

    Raises: ValueError if the margin is not positive; RuntimeError if the inputs differ in their number of dimensions.
    """
    reduction = _reduction_of(size_average, reduce, reduction)
    return triplet_margin_with_distance_loss(
        anchor,
        positive,
        negative,
        distance_function=lambda x, y: pairwise_distance(x, y, p, eps),
        margin=margin,
        swap=swap,
        reduction=reduction,
    )


def triplet_margin_with_distance_loss(
    anchor, positive, negative, *, distance_function=None, margin=1.0, swap=False, reduction="mean"
):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) with a distance of one's own.

    Args:
        swap: use d(positive, negative) where it is smaller than d(anchor, negative).
    Raises: ValueError if the margin is not positive; RuntimeError if the inputs differ in their number of dimensions.
    Source: Balntas et al. 2016.
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not (anchor.dim() == positive.dim() == negative.dim()):
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of dimensions, but got: "
            f"anchor {anchor.dim()}D, positive {positive.dim()}D, and negative {negative.dim()}D inputs"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    to_positive = distance(anchor, positive)
    to_negative = distance(anchor, negative)
    if swap:
        to_negative = _core.minimum(to_negative, distance(positive, negative))
    return _reduce((margin + to_positive - to_negative).clamp_min(0), reduction)


# ---- interpolation ---------------------------------------------------------------------------------------------------

# The dimensions that each mode works on.
_INTERPOLATION_DIMS = {
    "nearest": (3, 4, 5),
    "nearest-exact": (3, 4, 5),
    "area": (3, 4, 5),
    "linear": (3,),
    "bilinear": (4,),
    "bicubic": (4,),
    "trilinear": (5,),
}


def _is_whole_number(x) -> bool:
    if isinstance(x, _core.Tensor):
        return x.numel() == 1 and x.dtype != _core.bool and not x.is_floating_point()
    return hasattr(x, "__index__") and not isinstance(x, bool)


def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    """Resize the spatial dimensions of (N, C, L), (N, C, H, W) or (N, C, D, H, W).

    Args:
        size: new spatial size, one number or one per dimension.
        scale_factor: factor instead of a size, one or one per dimension.
        mode: ``nearest``, ``nearest-exact``, ``linear`` (3-D input), ``bilinear``, ``bicubic`` (4-D), ``trilinear``
            (5-D) or ``area``.
        align_corners: whether corner pixels' centres or their edges coincide; for the linear and cubic modes.
        recompute_scale_factor: compute the factor again from the rounded size.
        antialias: average when making smaller; bilinear and bicubic.
    Raises: ValueError for sizes or options that do not fit; NotImplementedError for a mode that does not take this
        input.
    Example:
        >>> import rustnn
        >>> rustnn.nn.functional.interpolate(rustnn.ones(1, 1, 2), scale_factor=2).shape
        torch.Size([1, 1, 4])
    """
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | "
                "trilinear"
            )
    elif align_corners is None:
        align_corners = False

    dim = input.dim() - 2
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    output_size = scales = None
    if size is not None:
        if isinstance(size, (list, tuple)):
            if len(size) != dim:
                raise ValueError(
                    "Input and output must have the same number of spatial dimensions, but got input with spatial "
                    f"dimensions of {list(input.shape[2:])} and output size of {size}. Please provide input tensor in "
                    "(N, C, d1, d2, ...,dK) format and output size in (o1, o2, ...,oK) format."
                )
            if not all(_is_whole_number(x) for x in size):
                raise TypeError(
                    "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, int], but got "
                    f"size with types {[type(x) for x in size]}"
                )
            output_size = [x if isinstance(x, int) else int(x) for x in size]  # a size that is recorded stays one
        else:
            if not _is_whole_number(size):
                raise TypeError(
                    "interpolate: expected size to be one of int or Tuple[int], but got size of type "
                    f"{type(size).__name__}"
                )
            output_size = [size] * dim
        if recompute_scale_factor:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    else:
        if isinstance(scale_factor, (list, tuple)):
            if len(scale_factor) != dim:
                raise ValueError(
                    "Input and scale_factor must have the same number of spatial dimensions, but got input with "
                    f"spatial dimensions of {list(input.shape[2:])} and scale_factor of shape {scale_factor}. Please "
                    "provide input tensor in (N, C, d1, d2, ...,dK) format and scale_factor in (s1, s2, ...,sK) format."
                )
            scales = [float(factor) for factor in scale_factor]
        else:
            scales = [float(scale_factor)] * dim
        output_size = [math.floor(length * factor) for length, factor in zip(input.shape[2:], scales, strict=True)]
        # Area means adaptive pooling, which knows sizes only.
        if recompute_scale_factor or mode == "area":
            scales = None
    if antialias and not (mode in ("bilinear", "bicubic") and input.dim() == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
        )
    if input.dim() not in _INTERPOLATION_DIMS.get(mode, ()):
        if mode in _INTERPOLATION_DIMS and input.dim() in (3, 4, 5) and mode != "bicubic":
            (wanted,) = _INTERPOLATION_DIMS[mode]
            raise NotImplementedError(f"Got {input.dim()}D input, but {mode} mode needs {wanted}D input")
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.dim()}D) for the modes: nearest | "
            f"linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact (got {mode})"
        )
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[dim - 1](input, output_size)
    return _composed._interpolate(input, output_size, mode, bool(align_corners), scales, antialias)


def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """Deprecated name of :func:`interpolate`."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2)
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input, size=None, scale_factor=None):
    """Deprecated: :func:`interpolate` with mode ``nearest``."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input, size=None, scale_factor=None):
    """Deprecated: :func:`interpolate` with mode ``bilinear`` and aligned corners."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=2
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


# ---- attention -------------------------------------------------------------------------------------------------------


def _as_additive_mask(mask, name, dtype):
    """A mask that is added to the scores: True becomes minus infinity."""
    if mask is None:
        return None
    if mask.dtype == _core.bool:
        return _core.zeros_like(mask, dtype=dtype).masked_fill_(mask, float("-inf"))
    if not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {name} are supported")
    return mask


def _check_attention_shapes(query, key, value, key_padding_mask, attn_mask, num_heads) -> bool:
    """Whether the inputs are a batch; raises AssertionError where shapes do not fit."""
    batched = query.dim() == 3
    if query.dim() not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D query tensor"
        )
    kind = "batched (3-D)" if batched else "unbatched (2-D)"
    rank = query.dim()
    if key.dim() != rank or value.dim() != rank:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {rank}-D but found {key.dim()}-D and "
            f"{value.dim()}-D tensors respectively"
        )
    if key_padding_mask is not None and key_padding_mask.dim() != rank - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {rank - 1}-D but found "
            f"{key_padding_mask.dim()}-D tensor instead"
        )
    if attn_mask is not None:
        if attn_mask.dim() not in (2, 3):
            raise AssertionError(
                f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {attn_mask.dim()}-D "
                "tensor instead"
            )
        if not batched and attn_mask.dim() == 3:
            expected = (num_heads, query.shape[0], key.shape[0])
            if tuple(attn_mask.shape) != expected:
                raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {attn_mask.shape}")
    return batched


def multi_head_attention_forward(
    query,
    key,
    value,
    embed_dim_to_check,
    num_heads,
    in_proj_weight,
    in_proj_bias,
    bias_k,
    bias_v,
    add_zero_attn,
    dropout_p,
    out_proj_weight,
    out_proj_bias,
    training=True,
    key_padding_mask=None,
    need_weights=True,
    attn_mask=None,
    use_separate_proj_weight=False,
    q_proj_weight=None,
    k_proj_weight=None,
    v_proj_weight=None,
    static_k=None,
    static_v=None,
    average_attn_weights=True,
    is_causal=False,
):
    """Multi-head attention of (L, N, E) queries on (S, N, E) keys and values; see ``rustnn.nn.MultiheadAttention``.

        head_i = softmax(Q_i K_iᵀ / √d) V_i;  y = [head_1 … head_h] W_outᵀ + b_out

    Returns: the output, and the attention weights or None.
    Raises: AssertionError or RuntimeError for shapes that do not fit together.
    Source: Vaswani et al. 2017, section 3.2.2.
    """
    batched = _check_attention_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    tgt_len, bsz, embed_dim = query.shape
    src_len = key.shape[0]
    key_padding_mask = _as_additive_mask(key_padding_mask, "key_padding_mask", query.dtype)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    if is_causal and key_padding_mask is None and not need_weights:
        # The attention function makes the causal mask itself.
        attn_mask = None
    else:
        attn_mask = _as_additive_mask(attn_mask, "attn_mask", query.dtype)
        is_causal = is_causal and key_padding_mask is None and not need_weights
    if embed_dim != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed_dim}")
    head_dim = embed_dim // num_heads
    if head_dim * num_heads != embed_dim:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}"
            )
        for weight, name in (
            (q_proj_weight, "q_proj_weight"), (k_proj_weight, "k_proj_weight"), (v_proj_weight, "v_proj_weight")
        ):  # fmt: skip
            if weight is None:
                raise AssertionError(f"use_separate_proj_weight is True but {name} is None")
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
    elif key.shape != value.shape:
        raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
    else:
        weights = in_proj_weight.chunk(3)
    biases = (None, None, None) if in_proj_bias is None else in_proj_bias.chunk(3)
    if not use_separate_proj_weight and query is key and key is value:
        # One wide product in place of three.
        q, k, v = linear(query, in_proj_weight, in_proj_bias).chunk(3, dim=-1)
    else:
        q, k, v = (linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))

    if attn_mask is not None:
        if attn_mask.dim() == 2:
            if tuple(attn_mask.shape) != (tgt_len, src_len):
                raise RuntimeError(
                    f"The shape of the 2D attn_mask is {attn_mask.shape}, but should be {(tgt_len, src_len)}."
                )
            attn_mask = attn_mask.unsqueeze(0)
        elif tuple(attn_mask.shape) != (bsz * num_heads, tgt_len, src_len):
            raise RuntimeError(
                f"The shape of the 3D attn_mask is {attn_mask.shape}, but should be "
                f"{(bsz * num_heads, tgt_len, src_len)}."
            )
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias cannot be added to static key/value.")
        k = _core.cat([k, bias_k.repeat(1, bsz, 1)])
        v = _core.cat([v, bias_v.repeat(1, bsz, 1)])
        attn_mask = None if attn_mask is None else pad(attn_mask, (0, 1))
        key_padding_mask = None if key_padding_mask is None else pad(key_padding_mask, (0, 1))

    def heads_first(x, length):
        return x.reshape(length, bsz * num_heads, head_dim).transpose(0, 1)

    q = heads_first(q, tgt_len)
    k = heads_first(k, k.shape[0]) if static_k is None else static_k
    v = heads_first(v, v.shape[0]) if static_v is None else static_v
    if add_zero_attn:
        zero = _core.zeros((bsz * num_heads, 1, head_dim), dtype=k.dtype, device=k.device)
        k = _core.cat([k, zero], dim=1)
        v = _core.cat([v, zero], dim=1)
        attn_mask = None if attn_mask is None else pad(attn_mask, (0, 1))
        key_padding_mask = None if key_padding_mask is None else pad(key_padding_mask, (0, 1))
    src_len = k.size(1)
    if key_padding_mask is not None:
        if tuple(key_padding_mask.shape) != (bsz, src_len):
            which, want, got = (0, bsz, key_padding_mask.shape[0])
            if want == got:
                which, want, got = (1, src_len, key_padding_mask.shape[1])
            raise AssertionError(f"Expected key_padded_mask.shape[{which}] to be {want}, but got {got}")
        wide = key_padding_mask.view(bsz, 1, 1, src_len).expand(-1, num_heads, -1, -1)
        wide = wide.reshape(bsz * num_heads, 1, src_len)
        attn_mask = wide if attn_mask is None else attn_mask + wide

    if not training:
        dropout_p = 0.0
    if need_weights:
        scaled = q * math.sqrt(1.0 / head_dim)
        scores = _core.bmm(scaled, k.transpose(-2, -1))
        if attn_mask is not None:
            scores = scores + attn_mask
        attention = softmax(scores, dim=-1)
        if dropout_p > 0.0:
            attention = dropout(attention, p=dropout_p)
        mixed = _core.bmm(attention, v)
    else:
        attention = None
        if attn_mask is not None:
            if attn_mask.size(0) == 1:
                attn_mask = attn_mask.unsqueeze(0)
            else:
                attn_mask = attn_mask.view(bsz, num_heads, -1, src_len)
        q = q.view(bsz, num_heads, tgt_len, head_dim)
        k = k.view(bsz, num_heads, src_len, head_dim)
        v = v.view(bsz, num_heads, src_len, head_dim)
        mixed = scaled_dot_product_attention(q, k, v, attn_mask, dropout_p, is_causal)
        mixed = mixed.reshape(bsz * num_heads, tgt_len, head_dim)

    merged = mixed.transpose(0, 1).reshape(tgt_len * bsz, embed_dim)
    output = linear(merged, out_proj_weight, out_proj_bias)
    output = output.view(tgt_len, bsz, output.size(1))
    if attention is not None:
        attention = attention.view(bsz, num_heads, tgt_len, src_len)
        if average_attn_weights:
            attention = attention.mean(dim=1)
    if not batched:
        output = output.squeeze(1)
        attention = None if attention is None else attention.squeeze(0)
    return output, attention


def __getattr__(name):
    # What imports this module itself.
    if name == "grad":
        from . import grad

        return grad
    if name == "conv_tbc":
        from ..functional import conv_tbc

        return conv_tbc
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
