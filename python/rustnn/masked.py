"""Reductions, scans and normalizations over the elements that a mask marks, as ``torch.masked`` has them.

A mask is true (not zero) where an element counts; it broadcasts to the input, and without one all count. An element
that does not count is replaced by what changes nothing: 0 in a sum, 1 in a product, minus infinity in a maximum. Where
the mask of a result (`_output_mask`) is false, nothing counted, and the value means nothing.
"""

from . import _core

__all__ = [
    "amax",
    "amin",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "mean",
    "median",
    "norm",
    "normalize",
    "prod",
    "softmax",
    "softmin",
    "std",
    "sum",
    "var",
]


def _canonical_dim(dim, ndim):
    """``dim`` as a sorted tuple, counted from the front; all dimensions for None and ()."""
    if dim is None or (isinstance(dim, tuple | list) and not dim):
        return tuple(range(ndim))
    dims = []
    for d in (dim,) if isinstance(dim, int) else dim:
        bound = max(ndim, 1)
        if not -bound <= d < bound:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got {d})"
            )
        d = d % bound
        if d in dims:
            raise RuntimeError(f"dim={d} appears multiple times in the list of dims")
        dims.append(d)
    return tuple(sorted(dims))


def _one(dim, input):
    """The dimension that a scan goes along: the first for None."""
    return _canonical_dim(dim, input.dim())[0]


def _input_mask(input, *args, mask=None, **kwargs):
    """The mask as booleans of the input's shape; other arguments are an op's, and change nothing.

    Raises: IndexError for a mask of more dimensions, ValueError for None.
    """
    if mask is None:
        raise ValueError("input_mask requires explicit mask")
    if mask.layout is not _core.strided:
        mask = mask.to_dense()
    if mask.shape != input.shape:
        if mask.dim() > input.dim():
            raise IndexError(
                "_input_mask expected broadcastable mask (got mask dimensionality higher than of the input)"
            )
        mask = mask.broadcast_to(input.shape)
    return mask if mask.dtype is _core.bool else mask != 0


def _output_mask(op, input, *args, mask=None, dim=None, keepdim=False, **kwargs):
    """The mask of ``op(input, …, mask=mask)``: of a reduction, where any element counted; else the input's."""
    where = _input_mask(input, mask=mask)
    if op.__name__ not in _REDUCTIONS:
        return where
    if args:
        dim = args[1] if op is norm and len(args) > 1 else None if op is norm else args[0]
    if op in (argmax, argmin, median) and dim is None:
        return where.any()
    dims = _canonical_dim(dim, input.dim())
    return where.any(dim=dims, keepdim=bool(keepdim)) if dims else where


def _fill(input, mask, value):
    """The input, with ``value`` where the mask is false."""
    if mask is None:
        return input
    return _core.where(
        _input_mask(input, mask=mask), input, _core.full((), value, dtype=input.dtype, device=input.device)
    )


def _least(name, dtype):
    """What no number of the dtype is smaller than."""
    return -float("inf") if dtype.is_floating_point else _integers(name, dtype).min


def _greatest(name, dtype):
    return float("inf") if dtype.is_floating_point else _integers(name, dtype).max


def _integers(name, dtype):
    from .numeric_limits import iinfo

    if dtype is _core.bool or dtype.is_complex:
        raise NotImplementedError(f"identity of {name} on {dtype} input")
    return iinfo(dtype)


def _with_dtype(input, dtype):
    return input if dtype is None or dtype is input.dtype else input.to(dtype)


def sum(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The sum of the elements that count, 0 where none does.

    Args:
        dim: which dimensions go, an int or several; all by default.
        keepdim: whether they stay with size 1.
        dtype: of the sum; int64 for smaller integers, else the input's by default.
        mask: where elements count, broadcastable to the input; everywhere by default.

    Example:
        >>> x, mask = rustnn.tensor([[1, 2], [3, 4]]), rustnn.tensor([[True, False], [True, True]])
        >>> rustnn.masked.sum(x, 1, mask=mask)
        tensor([1, 7])
    """
    return _fill(input, mask, 0).sum(_canonical_dim(dim, input.dim()), bool(keepdim), dtype=dtype)


def prod(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The product of the elements that count, 1 where none does. Arguments as of `sum`."""
    x = _fill(input, mask, 1)
    for d in reversed(_canonical_dim(dim, x.dim())):
        x = x.prod(d, bool(keepdim), dtype=dtype)
    return x


def cumsum(input, dim, *, dtype=None, mask=None):
    """Sums along ``dim`` up to each place, of the elements that count."""
    return _fill(input, mask, 0).cumsum(_one(dim, input), dtype=dtype)


def cumprod(input, dim, *, dtype=None, mask=None):
    """Products along ``dim`` up to each place, of the elements that count."""
    return _fill(input, mask, 1).cumprod(_one(dim, input), dtype=dtype)


def _towards(end, name, input, mask):
    """The input, its elements that do not count at one end of what there is."""
    return input if mask is None else _fill(input, mask, end(name, input.dtype))


def amax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The greatest of the elements that count; -inf (the least integer) where none does. Arguments as of `sum`."""
    dims = _canonical_dim(dim, input.dim())
    return _with_dtype(_towards(_least, "amax", input, mask).amax(dims, bool(keepdim)), dtype)


def amin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The least of the elements that count; infinity (the greatest integer) where none does. Arguments as of `sum`."""
    dims = _canonical_dim(dim, input.dim())
    return _with_dtype(_towards(_greatest, "amin", input, mask).amin(dims, bool(keepdim)), dtype)


def argmax(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The place of the greatest of the elements that count, along ``dim`` or, without it, in the flattened input.

    Its dtype is ``dtype``, by default the input's, as PyTorch has it.
    """
    place = _towards(_least, "argmax", input, mask).argmax(dim, bool(keepdim))
    return place.to(dtype or input.dtype)


def argmin(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The place of the least of the elements that count, along ``dim`` or, without it, in the flattened input.

    Its dtype is ``dtype``, by default the input's, as PyTorch has it.
    """
    place = _towards(_greatest, "argmin", input, mask).argmin(dim, bool(keepdim))
    return place.to(dtype or input.dtype)


def _count(input, dims, keepdim, mask):
    ones = _core.ones(input.shape, dtype=_core.int64, device=input.device)
    return sum(ones, dims, keepdim=keepdim, mask=mask)


def mean(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The mean of the elements that count, NaN where none does. Arguments as of `sum`.

    Raises: ValueError for integers and booleans without a dtype of floats.
    """
    given, wanted = ("Input", input.dtype) if dtype is None else ("Optional", dtype)
    if not (wanted.is_floating_point or wanted.is_complex):
        raise ValueError(
            f"mean(): Could not infer output dtype. {given} dtype must be either a floating point or complex dtype. "
            f"Got: {wanted}"
        )
    x = _with_dtype(input, dtype)
    total = sum(x, dim, keepdim=keepdim, dtype=x.dtype, mask=mask)
    return total / _count(x, dim, keepdim, mask)


def median(input, dim=-1, *, keepdim=False, dtype=None, mask=None):
    """The lower median along ``dim`` of the elements that count, NaN where none does.

    Raises: ValueError for integers, where none does.
    """
    wide = input if input.is_floating_point() else input.to(_core.float64)
    values = _fill(wide, mask, float("nan")).nanmedian(_one(dim, input), bool(keepdim)).values
    if wide is input:
        return values
    if values.isnan().any():
        raise ValueError("masked median expects no fully masked out rows if dtype is not floating point")
    return values.to(dtype or input.dtype)


def logsumexp(input, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The logarithm of the sum of the exponentials of the elements that count. Arguments as of `sum`."""
    dims = _canonical_dim(dim, input.dim())
    return _towards(_least, "logsumexp", input, mask).logsumexp(dims, bool(keepdim)).to(dtype or input.dtype)


def logaddexp(input, other, *, dtype=None, input_mask=None, other_mask=None):
    """log(exp(input) + exp(other)), where either counts as its mask says."""
    x, y = _with_dtype(input, dtype), _with_dtype(other, dtype)
    return _fill(x, input_mask, -float("inf")).logaddexp(_fill(y, other_mask, -float("inf")))


def norm(input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None):
    """The vector norm of order ``ord`` of the elements that count. Other arguments as of `sum`."""
    from .linalg import vector_norm

    nothing = float("inf") if ord == -float("inf") else 0.0  # of other negative orders too, as in PyTorch
    x = _with_dtype(_fill(input, mask, nothing), dtype)
    return vector_norm(x, 2.0 if ord is None else ord, _canonical_dim(dim, x.dim()), bool(keepdim))


def _moment(input, dim, unbiased, correction, keepdim, dtype, mask, root):
    if unbiased is not None and correction is not None:
        raise AssertionError("Only one of unbiased and correction may be given")
    if correction is None:
        correction = 1.0 if unbiased is None or unbiased else 0.0
    x = _with_dtype(input, dtype)
    if not (x.is_floating_point() or x.is_complex()):
        x = x.to(_core.get_default_dtype())
    dims = _canonical_dim(dim, x.dim())
    if mask is None:
        return (x.std if root else x.var)(dims, correction=correction, keepdim=bool(keepdim)).to(x.dtype)
    count = _count(x, dims, True, mask)
    from_mean = x - sum(x, dims, keepdim=True, mask=mask) / count
    total = sum(
        (from_mean * from_mean.conj()).real if x.is_complex() else from_mean.square(), dims, keepdim=keepdim, mask=mask
    )
    if not keepdim:
        count = count.reshape(total.shape)
    variance = total / (count - correction).clamp(min=0).to(total.dtype)
    return (variance.sqrt() if root else variance).to(x.dtype)


def var(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """The variance of the elements that count.

    Args:
        unbiased: True stands for ``correction=1``, False for 0.
        correction: what is taken from the number of elements, by which the squares' sum is divided; 1 by default.
        dim, keepdim, dtype, mask: as of `sum`.
    """
    return _moment(input, dim, unbiased, correction, keepdim, dtype, mask, False)


def std(input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None):
    """The standard deviation of the elements that count, the square root of `var`."""
    return _moment(input, dim, unbiased, correction, keepdim, dtype, mask, True)


def softmax(input, dim, *, dtype=None, mask=None):
    """The softmax along ``dim`` of the elements that count; 0 for the others, NaN where none does."""
    return _with_dtype(_towards(_least, "softmax", input, mask), dtype).softmax(_one(dim, input))


def log_softmax(input, dim, *, dtype=None, mask=None):
    """The logarithm of `softmax`."""
    return _with_dtype(_towards(_least, "log_softmax", input, mask), dtype).log_softmax(_one(dim, input))


def softmin(input, dim, *, dtype=None, mask=None):
    """The softmax of the negative input."""
    return (-_with_dtype(_towards(_greatest, "softmin", input, mask), dtype)).softmax(_one(dim, input))


def normalize(input, ord, dim, *, eps=1e-12, dtype=None, mask=None):
    """The input by its norm along ``dim``, or by ``eps`` where that is greater."""
    x = _with_dtype(input, dtype)
    length = norm(x, ord, dim, keepdim=True, mask=mask)
    return _fill(x, mask, 0) / length.clamp(min=eps)


_REDUCTIONS = {"sum", "prod", "amax", "amin", "argmax", "argmin", "mean", "median", "norm", "var", "std", "logsumexp"}
