"""PyTorch's native functions that are methods, layers' mathematics or parts of other functions under another name."""

import math

from . import _core
from ._out import written

__all__ = """
    addmv_ affine_grid_generator alpha_dropout_ as_strided_ conj_physical_ convolution dropout_ feature_alpha_dropout_
    feature_dropout_ from_file gcd_ grid_sampler_2d grid_sampler_3d gru_cell i0_ is_distributed is_vulkan_available
    lcm_ ldexp_ lstm_cell max_pool1d_with_indices native_batch_norm native_dropout native_group_norm native_layer_norm
    nonzero_static norm_except_dim resize_as_ rnn_relu_cell rnn_tanh_cell rrelu rrelu_ unsafe_split_with_sizes
""".split()


def _functional():
    from .nn import functional

    return functional


def _method(name):
    def function(input, *args, **kwargs):
        return getattr(input, name)(*args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"See :meth:`rustnn.Tensor.{name}`."
    return function


addmv_, as_strided_, conj_physical_ = _method("addmv_"), _method("as_strided_"), _method("conj_physical_")
gcd_, i0_, lcm_, ldexp_ = _method("gcd_"), _method("i0_"), _method("lcm_"), _method("ldexp_")
resize_as_ = _method("resize_as_")


# ---- random zeros ----------------------------------------------------------------------------------------------------


def dropout_(input, p, train):
    """``nn.functional.dropout`` in place."""
    return _functional().dropout(input, p, train, True)


def feature_dropout_(input, p, train):
    """Zeros whole channels in place, the others divided by 1 - p."""
    return _functional().dropout2d(input, p, train, True)


def alpha_dropout_(input, p, train):
    """``nn.functional.alpha_dropout`` in place."""
    return _functional().alpha_dropout(input, p, train, True)


def feature_alpha_dropout_(input, p, train):
    """``nn.functional.feature_alpha_dropout`` in place."""
    return _functional().feature_alpha_dropout(input, p, train, True)


def native_dropout(input, p, train):
    """Dropout, and the mask of what it keeps."""
    if train is False or p == 0:
        return input.clone(), _core.ones_like(input, dtype=_core.bool)
    mask = _functional().dropout(_core.ones_like(input.detach()), p, True)
    return input * mask, mask != 0


def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, generator=None):
    """See ``nn.functional.rrelu``."""
    return _functional().rrelu(input, lower, upper, training)


def rrelu_(input, lower=1.0 / 8, upper=1.0 / 3, training=False, generator=None):
    """``nn.functional.rrelu`` in place."""
    return _functional().rrelu(input, lower, upper, training, True)


# ---- layers' mathematics ---------------------------------------------------------------------------------------------


def convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """A convolution over all dimensions of ``weight`` but two, or a transposed one."""
    spatial = weight.dim() - 2
    if spatial not in (1, 2, 3):
        raise RuntimeError(f"convolution: expected a weight of 3 to 5 dimensions, but got one of size {weight.shape}")
    functional = _functional()
    if transposed:
        run = getattr(functional, f"conv_transpose{spatial}d")
        return run(input, weight, bias, stride, padding, output_padding, groups, dilation)
    return getattr(functional, f"conv{spatial}d")(input, weight, bias, stride, padding, dilation, groups)


def _cell(name):
    def cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
        from .nn import _composed

        return getattr(_composed, name)(input, hx, w_ih, w_hh, b_ih, b_hh)

    cell.__name__ = cell.__qualname__ = name
    cell.__doc__ = f"One step of a recurrence with the weights of ``nn``'s cell; see ``{name}`` there."
    return cell


lstm_cell, gru_cell = _cell("lstm_cell"), _cell("gru_cell")
rnn_tanh_cell, rnn_relu_cell = _cell("rnn_tanh_cell"), _cell("rnn_relu_cell")


def native_layer_norm(input, normalized_shape, weight, bias, eps):
    """Layer normalisation, and the mean and the reciprocal standard deviation of each row."""
    dims = list(range(-len(normalized_shape), 0))
    mean, var = input.mean(dims, keepdim=True), input.var(dims, correction=0, keepdim=True)
    return _core.layer_norm(input, normalized_shape, weight, bias, eps), mean, (var + eps).rsqrt()


def native_group_norm(input, weight, bias, N, C, HxW, group, eps):
    """Group normalisation, and the mean and the reciprocal standard deviation of each group of each sample."""
    rows = input.reshape(N, group, C // group * HxW)
    return (
        _core.group_norm(input, group, weight, bias, eps),
        rows.mean(-1),
        (rows.var(-1, correction=0) + eps).rsqrt(),
    )


def native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps):
    """Batch normalisation, and the batch's mean and reciprocal standard deviation; vectors of no elements in
    evaluation."""
    dims = [d for d in range(input.dim()) if d != 1]
    result = _core.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if not training:
        return result, input.new_empty(0), input.new_empty(0)
    return result, input.mean(dims), (input.var(dims, correction=0) + eps).rsqrt()


def max_pool1d_with_indices(input, kernel_size, stride=(), padding=0, dilation=1, ceil_mode=False):
    """``nn.functional.max_pool1d``, and the places of the greatest."""
    return _core.max_pool1d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


def affine_grid_generator(theta, size, align_corners):
    """See ``nn.functional.affine_grid``."""
    return _functional().affine_grid(theta, size, align_corners)


def _grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    mode = ("bilinear", "nearest", "bicubic")[interpolation_mode]
    return _functional().grid_sample(input, grid, mode, ("zeros", "border", "reflection")[padding_mode], align_corners)


def grid_sampler_2d(input, grid, interpolation_mode, padding_mode, align_corners):
    """``nn.functional.grid_sample`` of images; the modes are numbers in the order of its documentation."""
    return _grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sampler_3d(input, grid, interpolation_mode, padding_mode, align_corners):
    """``nn.functional.grid_sample`` of volumes; the modes are numbers in the order of its documentation."""
    return _grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def norm_except_dim(v, pow=2, dim=0):
    """The norms over all dimensions but one, which the result keeps beside ones; over all where ``dim`` is -1."""
    if dim == -1:
        return v.norm(pow)
    return v.norm(pow, [d for d in range(v.dim()) if d != dim % v.dim()], keepdim=True)


def _weight_norm(v, g, dim=0):
    """v g / ‖v‖, the norm over all dimensions but ``dim``."""
    return v * (g / norm_except_dim(v, 2, dim))


def _masked_softmax(input, mask, dim=None, mask_type=None):
    """The softmax over what ``mask`` lets through (where it is False), zeros elsewhere.

    Args:
        input: attention scores, (B, heads, L, L).
        dim: by default the last.
        mask_type: 0 for a mask (L, L), 1 for one (B, L) or of the input's shape, 2 for one of the input's shape.
    """
    if mask.dtype != _core.bool:
        raise RuntimeError("Mask should be a boolean tensor")
    if mask_type is None:
        raise RuntimeError("Mask Type should be defined")
    if mask_type not in (0, 1, 2):
        raise RuntimeError(
            f"Mask Type should be 0 (src_mask), 1 (src_key_padding_mask), or 2 (default_mask), but got {mask_type}"
        )
    if mask_type == 1 and mask.dim() == 2:
        mask = mask[:, None, None, :]
    scores = input.masked_fill(mask, -math.inf)
    return scores.softmax(-1 if dim is None else dim).masked_fill(mask, 0)


def _softmax_backward_data(grad_output, output, dim, input_dtype):
    """The gradient of a softmax's input, from its result."""
    grad = (grad_output - (grad_output * output).sum(dim, keepdim=True)) * output
    return grad.to(input_dtype)


def _log_softmax_backward_data(grad_output, output, dim, input_dtype):
    """The gradient of a log-softmax's input, from its result."""
    grad = grad_output - output.exp() * grad_output.sum(dim, keepdim=True)
    return grad.to(input_dtype)


def _add_relu(input, other, *, alpha=1, out=None):
    """max(0, input + alpha other)."""
    result = _core.add(input, other, alpha=alpha).relu()
    return written("_add_relu", result, out)


def _add_relu_(input, other, *, alpha=1):
    """max(0, input + alpha other), in place."""
    return input.add_(other, alpha=alpha).relu_()


# ---- shapes and memory -----------------------------------------------------------------------------------------------


def nonzero_static(input, *, size, fill_value=-1):
    """The places of the elements that are not zero, as (size, dimensions): the first ones, or filled up.

    Raises: RuntimeError for a negative size.
    """
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    found = input.nonzero()[:size]
    rest = found.new_full((size - len(found), input.dim()), fill_value)
    return _core.cat((found, rest))


def unsafe_split_with_sizes(input, split_sizes, dim=0):
    """As ``split_with_sizes``; see :func:`rustnn.unsafe_chunk`."""
    from .functional import unsafe_split

    return unsafe_split(input, list(split_sizes), dim)


def _shape_as_tensor(input):
    """The sizes as an int64 vector."""
    return _core.tensor(list(input.shape), dtype=_core.int64)


def _debug_has_internal_overlap(input):
    """Whether two indices reach one element: 0 no, 1 yes, 2 where the strides do not tell at once."""
    sizes = [(stride, size) for stride, size in zip(input.stride(), input.shape, strict=True) if size > 1]
    if input.is_contiguous():
        return 0
    if any(stride == 0 for stride, _ in sizes):
        return 1
    reach = 1
    for stride, size in sorted(sizes):
        if stride != reach:
            return 2
        reach *= size
    return 0


def from_file(
    filename, shared=None, size=0, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
):
    """A vector over a file that is mapped into memory.

    Args:
        shared: whether what is written to the tensor is written to the file, which is made or grown where need be;
            otherwise it stays in memory.
        size: how many elements.
        dtype: of the elements; by default the default dtype.
    Raises: RuntimeError for a file that is too small, OSError for one that cannot be opened.
    """
    import os

    import numpy

    dtype = _core.get_default_dtype() if dtype is None else dtype
    count = size * dtype.itemsize
    if shared:
        with open(filename, "ab") as file:
            if os.fstat(file.fileno()).st_size < count:
                file.truncate(count)
    elif os.path.getsize(filename) < count:
        raise RuntimeError(f"file <{filename}> size <{os.path.getsize(filename)}> is smaller than the required {count}")
    if count == 0:
        return _core.empty(0, dtype=dtype, requires_grad=requires_grad)
    memory = numpy.memmap(filename, dtype=numpy.uint8, mode="r+" if shared else "c", shape=(count,))
    return _core.from_numpy(memory).view(dtype).requires_grad_(requires_grad)


def is_distributed(input):
    """Whether a tensor is distributed over processes: never."""
    return False


def is_vulkan_available():
    """Whether PyTorch's Vulkan backend is there: never (GPUs are ``"gpu"``)."""
    return False


def _nnpack_available():
    """Whether NNPACK is there: never."""
    return False
