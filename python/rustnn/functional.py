"""Functions of ``torch``'s top level that compose ops."""

import functools
import math
import warnings
from math import isfinite, prod

from . import _core
from ._core import Tensor
from ._fallback import on_cpu
from ._out import written
from ._tensor import _kind

__all__ = ["broadcast_shapes", "broadcast_tensors", "is_storage", "is_tensor"]


def _with_out(function):
    """The function with ``out=``: a tensor that takes over the result, which has to be castable to its dtype."""

    @functools.wraps(function)
    def with_out(*args, out=None, **kwargs):
        result = function(*args, **kwargs)
        return written(function.__name__, result, out)

    return with_out


def is_tensor(obj):
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj):
    """Whether an object is a storage."""
    from .storage import TypedStorage, UntypedStorage

    return isinstance(obj, (TypedStorage, UntypedStorage))


def broadcast_shapes(*shapes):
    """The shape that arrays of the given shapes broadcast to.

    Raises: RuntimeError if they do not, or for what is no shape.
    """
    for shape in shapes:
        if not isinstance(shape, (int, tuple, list)):
            raise RuntimeError(f"Input shapes should be of type ints, a tuple of ints, or a list of ints, got {shape}")
    rank = max((len(shape) if isinstance(shape, (tuple, list)) else 1 for shape in shapes), default=0)
    result = [None] * rank
    for shape in shapes:
        shape = shape if isinstance(shape, (tuple, list)) else (shape,)
        for i in range(-1, -1 - len(shape), -1):
            if shape[i] < 0:
                raise RuntimeError(f"Trying to create tensor with negative dimension ({shape[i]}): ({shape[i]})")
            if result[i] is not None and (shape[i] == result[i] or shape[i] == 1):
                continue
            if result[i] is not None and result[i] != 1:
                raise RuntimeError(
                    "Shape mismatch: objects cannot be broadcast to a single shape: "
                    f"{tuple(result)} and {tuple(shape)} differ at dimension {i}"
                )
            result[i] = shape[i]
    return _core.Size(result)


def broadcast_tensors(*tensors):
    """The tensors expanded to their common shape."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    shape = broadcast_shapes(*(tensor.shape for tensor in tensors))
    return tuple(tensor if tensor.shape == shape else tensor.expand(shape) for tensor in tensors)


def einsum(equation, *operands):
    """Einstein's sum: products over the labels that inputs share, summed over those that the output lacks.

    Example:
        >>> rustnn.einsum("ij,jk->ik", rustnn.ones(2, 3), rustnn.ones(3, 4)).shape
        torch.Size([2, 4])
    """
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    if not isinstance(equation, str):
        equation, operands = _einsum_of_lists((equation, *operands))
    return _core._einsum(equation, list(operands))


def _einsum_of_lists(arguments):
    """``einsum(a, [0, 1], b, [1, 2], [0, 2])`` in letters."""

    def letters(labels):
        return "".join("..." if label is Ellipsis else _label(label) for label in labels)

    operands = list(arguments[0:-1:2]) if len(arguments) % 2 else list(arguments[0::2])
    terms = ",".join(letters(labels) for labels in arguments[1 : 2 * len(operands) : 2])
    return (f"{terms}->{letters(arguments[-1])}" if len(arguments) % 2 else terms), operands


def _label(number):
    if not 0 <= number < 52:
        raise ValueError("einsum(): subscripts must be in [0, 52)")
    return chr(ord("A") + number) if number < 26 else chr(ord("a") + number - 26)


def norm(input, p="fro", dim=None, keepdim=False, out=None, dtype=None):
    """The p-norm of all elements, or over dimensions; the Frobenius norm is that of p = 2."""
    if p is None or p == "fro":
        p = 2.0
    if isinstance(p, str):
        from .linalg import matrix_norm

        dim = (dim,) if isinstance(dim, int) else tuple(range(input.dim())) if dim is None else dim
        return matrix_norm(input, p, dim, keepdim, out=out, dtype=dtype)
    if out is not None or not input.numel():
        from .linalg import vector_norm

        return vector_norm(input, p, dim, keepdim, dtype=dtype, out=out)
    return _core._vector_norm(input, float(p), dim, keepdim, dtype=dtype)


def meshgrid(*tensors, indexing=None):
    """Grids of the coordinates in vectors: one per vector, each of all their sizes.

    Args:
        indexing: "ij" (default) or "xy", which exchanges the first two dimensions.
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    if any(tensor.dim() > 1 for tensor in tensors):
        raise RuntimeError("torch.meshgrid: Expected 0D or 1D tensor in the tensor list")
    if any(tensor.dtype != tensors[0].dtype for tensor in tensors):
        raise RuntimeError("meshgrid expects all tensors to have the same dtype")
    if any(tensor.device != tensors[0].device for tensor in tensors):
        raise RuntimeError("meshgrid expects all tensors to have the same device")
    if indexing is None:
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing argument.", stacklevel=2
        )
    swap = indexing == "xy" and len(tensors) > 1
    order = (tensors[1], tensors[0], *tensors[2:]) if swap else tuple(tensors)
    shape = [tensor.numel() for tensor in order]
    grids = []
    for i, tensor in enumerate(order):
        sizes = [1] * len(order)
        sizes[i] = -1
        grids.append(tensor.reshape(sizes).expand(shape))
    if swap:
        grids = [grids[1], grids[0], *grids[2:]]
    return tuple(grids)


def tensordot(a, b, dims=2, out=None):
    """Sums of products over pairs of dimensions: the last ``dims`` of ``a`` with the first of ``b``, or two lists."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.dim(), b.dim()):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        first, second = list(range(a.dim() - dims, a.dim())), list(range(dims))
    else:
        first, second = ([d] if isinstance(d, int) else list(d) for d in dims)
    first, second = [d % a.dim() for d in first], [d % b.dim() for d in second]
    if len(first) != len(second):
        raise RuntimeError(f"both dimension lists should have same length, got {first} and {second}")
    for i, j in zip(first, second, strict=True):
        if a.shape[i] != b.shape[j]:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a.shape[i]} in dim {i} and second has size "
                f"{b.shape[j]} in dim {j}"
            )
    rest_a = [d for d in range(a.dim()) if d not in first]
    rest_b = [d for d in range(b.dim()) if d not in second]
    shape_a, shape_b = [a.shape[d] for d in rest_a], [b.shape[d] for d in rest_b]
    count = prod(a.shape[d] for d in first)
    left = a.permute(rest_a + first).reshape(prod(shape_a), count)
    right = b.permute(second + rest_b).reshape(count, prod(shape_b))
    result = left.mm(right).reshape(shape_a + shape_b)
    return written("tensordot", result, out)


def atleast_1d(*tensors):
    """Views with one dimension at least."""
    return _atleast(tensors, lambda t: t.reshape(1) if t.dim() == 0 else t)


def atleast_2d(*tensors):
    """Views with two dimensions at least, added in front."""
    return _atleast(tensors, lambda t: t.reshape(1, -1) if t.dim() < 2 else t)


def atleast_3d(*tensors):
    """Views with three dimensions at least."""

    def three(t):
        if t.dim() < 2:
            return t.reshape(1, -1, 1)
        return t.unsqueeze(-1) if t.dim() == 2 else t

    return _atleast(tensors, three)


def _atleast(tensors, view):
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        return tuple(view(t) for t in tensors[0])
    return view(tensors[0]) if len(tensors) == 1 else tuple(view(t) for t in tensors)


def _listed(name, tensors):
    if isinstance(tensors, Tensor):
        raise TypeError(f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor")
    return list(tensors)


@_with_out
def hstack(tensors):
    """Put together along columns (the first dimension of vectors)."""
    tensors = atleast_1d(_listed("hstack", tensors))
    return _core.cat(tensors, 0 if tensors[0].dim() == 1 else 1)


@_with_out
def vstack(tensors):
    """Put together along rows."""
    return _core.cat(atleast_2d(_listed("vstack", tensors)), 0)


@_with_out
def dstack(tensors):
    """Put together along the third dimension."""
    return _core.cat(atleast_3d(_listed("dstack", tensors)), 2)


@_with_out
def column_stack(tensors):
    """Vectors as columns, matrices side by side."""
    tensors = _listed("column_stack", tensors)
    return _core.cat([t.reshape(-1, 1) if t.dim() < 2 else t for t in tensors], 1)


def block_diag(*tensors):
    """Matrices along the diagonal of a larger one, zeros elsewhere."""
    for number, tensor in enumerate(tensors):
        if tensor.dim() > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {number} has {tensor.dim()} "
                "dimensions"
            )
    if not tensors:
        return _core.empty(1, 0)
    blocks = [t.reshape(1, -1) if t.dim() < 2 else t for t in tensors]
    width = sum(block.shape[1] for block in blocks)
    rows, start = [], 0
    for block in blocks:
        height, own = block.shape
        rows.append(_core.cat([block.new_zeros(height, start), block, block.new_zeros(height, width - start - own)], 1))
        start += own
    return _core.cat(rows, 0)


def cartesian_prod(*tensors):
    """All combinations of the elements of vectors, one a row."""
    for tensor in tensors:
        if tensor.dim() != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(tensor.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    return _core.stack([grid.reshape(-1) for grid in meshgrid(*tensors, indexing="ij")], 1)


def cdist(x1, x2, p=2.0, compute_mode=None):
    """Distances between all rows of ``x1`` and all rows of ``x2``."""
    for number, x in enumerate((x1, x2), 1):
        if x.is_complex():
            raise RuntimeError(f"cdist only supports floating-point dtypes, X{number} got: {_kind(x.dtype)}")
    if x1.shape[-1:] != x2.shape[-1:]:
        raise RuntimeError(f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}")
    return norm(x1.unsqueeze(-2) - x2.unsqueeze(-3), p, -1)


__all__ += [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "block_diag",
    "cartesian_prod",
    "cdist",
    "column_stack",
    "dstack",
    "einsum",
    "hstack",
    "logspace",
    "meshgrid",
    "norm",
    "tensordot",
    "vstack",
]


def _in_order(out, values):
    """Put a vector into ``out``, which keeps its shape if it has as many elements."""
    if out.numel() != values.numel():
        out.resize_(values.shape)
    return out.copy_(values.reshape(out.shape))


def _placed(values, dtype, device):
    """Numbers computed in float64 on the CPU, since GPUs lack it, in a dtype and where a new tensor would lie."""
    return values.to(dtype=dtype, device=device or _core._get_default_device())


def logspace(start, end, steps, base=10.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """``base`` to the powers of equally spaced numbers, both ends included."""
    is_complex = isinstance(start, complex) or isinstance(end, complex)
    if dtype is None:
        dtype = _core.get_default_dtype() if out is None else out.dtype
        if is_complex and out is None:
            dtype = dtype.to_complex()
    if is_complex and not dtype.is_complex:
        raise RuntimeError(
            f"torch.logspace(): inferred dtype complex can't be safely cast to passed dtype {_kind(dtype)}"
        )
    # In double precision, which not every device has.
    wide = _core.complex128 if is_complex else _core.float64
    result = _core.pow(float(base), _core.linspace(start, end, steps, dtype=wide, device="cpu"))
    if out is not None:
        return _in_order(out, result)
    return _placed(result, dtype, device).requires_grad_(requires_grad)


def scalar_tensor(s, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """A tensor without dimensions, of the default dtype unless one is given."""
    dtype = dtype or _core.get_default_dtype()
    return _core.tensor(s, dtype=dtype, device=device, requires_grad=requires_grad)


def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """A tensor of ``obj``: of its memory where that is possible, copied if ``copy``.

    Raises: ValueError if copy is False and the memory cannot be shared.
    """
    shared = _memory_of(obj, dtype)
    if shared is None:
        if copy is False:
            if hasattr(obj, "__array_interface__"):
                raise RuntimeError("can't alias NumPy scalars. Either remove copy=False or transform it in a ndarray. ")
            raise ValueError("can't alias arbitrary sequence into a tensor.")
        return _core.tensor(obj, dtype=dtype, device=device, requires_grad=requires_grad)
    device = None if device is None else _core.device(device)
    moves = device is not None and (device.type, device.index or 0) != (shared.device.type, shared.device.index or 0)
    if copy is False and moves:
        raise ValueError(f"can't alias tensor from device '{shared.device}' to '{device}'.")
    if copy is False and dtype not in (None, shared.dtype):
        raise ValueError(f"can't alias tensor with dtype '{_kind(shared.dtype)}' into dtype '{_kind(dtype)}'.")
    result = shared.to(device if moves else shared.device, dtype or shared.dtype)
    if copy and result is shared:
        result = shared.clone()
    if not requires_grad:
        return result.detach() if result.requires_grad else result
    return (result.detach() if result is obj else result).requires_grad_()


def _memory_of(obj, dtype):
    """A tensor over the memory of a tensor, a NumPy array, a DLPack capsule or a buffer of ``dtype``; else None."""
    if isinstance(obj, Tensor):
        return obj
    if hasattr(obj, "__array_interface__"):
        return _core.from_numpy(obj) if hasattr(obj, "__len__") else None
    if type(obj).__name__ == "PyCapsule":
        from .utils.dlpack import from_dlpack

        return from_dlpack(obj)
    if isinstance(obj, (list, tuple, int, float, complex)):
        return None
    try:
        memoryview(obj)
    except TypeError:
        return None
    return _core.frombuffer(obj, dtype=dtype or _core.get_default_dtype())


def is_inference(input):
    """Whether a tensor was made in inference mode."""
    return input.is_inference()


def is_nonzero(input):
    """Whether a tensor of one element is not zero.

    Raises: RuntimeError for more elements, or none.
    """
    if input.numel() != 1:
        count = "no values" if input.numel() == 0 else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {count} is ambiguous")
    return bool(input.item() != 0)


def typename(obj):
    """The name of an object's type: of a tensor that of its legacy type, ``torch.FloatTensor``."""
    if isinstance(obj, Tensor):
        return obj.type()
    kind = obj if hasattr(obj, "__qualname__") else type(obj)
    module = getattr(kind, "__module__", "") or ""
    return kind.__qualname__ if module in ("", "builtins") else f"{module}.{kind.__qualname__}"


@_with_out
def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Which elements are among the test elements (not, if ``invert``): bool, of the shape of ``elements``.

    Example:
        >>> rustnn.isin(rustnn.tensor([1, 2, 3]), rustnn.tensor([3, 1]))
        tensor([ True, False,  True])
    """
    if isinstance(test_elements, (int, float)):
        return elements != test_elements if invert else elements == test_elements
    # A number lies beside the tensor.
    device = elements.device if isinstance(elements, Tensor) else getattr(test_elements, "device", None)
    elements, test_elements = (
        t if isinstance(t, Tensor) else _core.as_tensor(t, device=device) for t in (elements, test_elements)
    )
    dtype = _core.promote_types(elements.dtype, test_elements.dtype)
    known = test_elements.reshape(-1).to(dtype).sort().values
    if not known.numel():
        found = _core.zeros(elements.shape, dtype=_core.bool, device=elements.device)
    else:
        values = elements.to(dtype)
        at = _core.searchsorted(known, values.contiguous()).clamp(max=known.numel() - 1)
        found = known[at] == values
    return ~found if invert else found


def combinations(input, r=2, with_replacement=False):
    """The combinations of ``r`` elements of a vector, one a row, in the order of their indices."""
    if input.dim() != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_empty(0)
    import itertools

    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(input.numel()), r))
    return input[_core.tensor(rows, dtype=_core.int64).reshape(-1, r)]


@_with_out
def diff(input, n=1, dim=-1, prepend=None, append=None):
    """Differences of neighbours along a dimension, ``n`` times; exclusive or for bool."""
    if input.dim() == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    if n == 0:
        return input.clone()
    parts = [part for part in (prepend, input, append) if part is not None]
    if any(part.dim() != input.dim() for part in parts):
        raise RuntimeError("diff expects prepend or append to be the same dimension as input")
    d = dim % input.dim()
    for part in parts:
        for k, (size, own) in enumerate(zip(part.shape, input.shape, strict=True)):
            if k != d and size != own:
                raise RuntimeError(
                    "diff expects the shape of tensor to prepend or append to match that of input except along the "
                    f"differencing dimension; input.size({k}) = {own}, but got tensor.size({k}) = {size}"
                )
    result = _core.cat(parts, dim) if len(parts) > 1 else input
    for _ in range(min(n, result.shape[dim])):
        count = result.shape[dim]
        after, before = result.narrow(dim, min(1, count), max(count - 1, 0)), result.narrow(dim, 0, max(count - 1, 0))
        result = after ^ before if result.dtype is _core.bool else after - before
    return result.clone() if result is input else result


def trapezoid(y, x=None, *, dx=1, dim=-1):
    """The integral along a dimension by the trapezoidal rule, at positions ``x`` or in steps of ``dx``."""
    return _trapezoids(y, x, dx, dim).sum(dim)


def cumulative_trapezoid(y, x=None, *, dx=1, dim=-1):
    """The integral from the first position to each later one, by the trapezoidal rule."""
    return _trapezoids(y, x, dx, dim).cumsum(dim)


trapz = trapezoid


def _trapezoids(y, x, dx, dim):
    if y.dim() == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    count = y.shape[dim]
    if not count:
        return y * 1.0
    means = (y.narrow(dim, 1, count - 1) + y.narrow(dim, 0, count - 1)) / 2
    if x is None:
        return means * dx
    if x.dim() == 1 and y.dim() > 1:
        sizes = [1] * y.dim()
        sizes[dim] = -1
        x = x.reshape(sizes)
    return means * diff(x, dim=dim if x.dim() == y.dim() else -1)


def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    """The values below which the shares ``q`` of the elements lie, of all or along a dimension; NaN if one is NaN.

    Args:
        q: a number or a vector in [0, 1]; a vector adds a first dimension.
        interpolation: between neighbours: "linear", "lower", "higher", "midpoint" or "nearest".
    Example:
        >>> rustnn.quantile(rustnn.tensor([1.0, 2.0, 4.0, 8.0]), 0.5)
        tensor(3.)
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, out)


def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear", out=None):
    """:func:`quantile` of the elements that are not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, out)


def _quantile(name, input, q, dim, keepdim, interpolation, out):
    if not input.numel():
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if input.dtype not in (_core.float32, _core.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but got {interpolation}"
        )
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        q = _core.tensor(float(q), dtype=input.dtype, device=input.device)
    if q.dim() > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if q.dtype is not input.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if not ((q >= 0) & (q <= 1)).all():
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    rank = input.dim()
    if dim is not None and rank and not -rank <= dim < rank:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {dim})")
    rows = input.reshape(-1) if dim is None or rank == 0 else input.movedim(dim, -1)
    ranked = rows.sort(-1).values  # NaN last
    empty = ranked.isnan()
    counts = (~empty).sum(-1, keepdim=True)
    last = (counts - 1).clamp(min=0).to(input.dtype) if name == "nanquantile" else ranked.shape[-1] - 1.0
    at = q.reshape(-1) * last if isinstance(last, float) else last * q.reshape(-1)
    at = at.expand(*ranked.shape[:-1], q.numel())
    if interpolation == "lower":
        at = at.floor()
    elif interpolation == "higher":
        at = at.ceil()
    elif interpolation == "nearest":
        at = at.round()
    below = at.floor()
    low = ranked.gather(-1, below.long())
    result = low
    if interpolation in ("linear", "midpoint"):
        weight = at - below if interpolation == "linear" else 0.5
        result = low.lerp(ranked.gather(-1, at.ceil().long()), weight)
    if name == "quantile":
        result = _core.where(empty.any(-1, keepdim=True), ranked[..., -1:], result)
    result = result.movedim(-1, 0)
    if keepdim and rank:
        result = result.reshape(-1, *[1] * rank) if dim is None else result.unsqueeze(dim if dim < 0 else dim + 1)
    result = result.squeeze(0) if q.dim() == 0 else result
    return written(name, result, out)


def dist(input, other, p=2):
    """The p-norm of the difference."""
    return norm(input - other, p)


def cov(input, *, correction=1, fweights=None, aweights=None):
    """Covariances of the rows of a matrix: variables; its columns are observations.

    Args:
        correction: taken from the number of observations.
        fweights: how often each observation counts, integers. aweights: how much.
    """
    if input.dim() > 2:
        raise RuntimeError(
            f"cov(): expected input to have two or fewer dimensions but got an input with {input.dim()} dimensions"
        )
    values = input.reshape(1, -1) if input.dim() < 2 else input
    if not (values.is_floating_point() or values.is_complex()):
        values = values.to(_core.get_default_dtype())
    weights = None
    for weight in (fweights, aweights):
        if weight is not None:
            weights = weight if weights is None else weights * weight
    total = values.shape[1] if weights is None else weights.sum()
    mean = values.mean(1, keepdim=True) if weights is None else (values * weights).sum(1, keepdim=True) / total
    centred = values - mean
    if weights is None or aweights is None or correction == 0:
        scale = total - correction
    else:
        scale = total - correction * (weights * aweights).sum() / total
    weighted = centred if weights is None else centred * weights
    result = weighted.mm(centred.t().conj()) / (scale.clamp(min=0) if isinstance(scale, Tensor) else max(scale, 0))
    return result.squeeze()


def corrcoef(input):
    """Correlations of the rows of a matrix, between -1 and 1."""
    covariance = cov(input)
    if covariance.dim() == 0:
        return covariance / covariance
    deviation = covariance.diagonal().real.sqrt()
    result = covariance / deviation.unsqueeze(1) / deviation
    if result.is_complex():
        return _core.complex(result.real.clamp(-1, 1), result.imag.clamp(-1, 1))
    return result.clamp(-1, 1)


def vander(x, N=None, increasing=False):
    """Powers of the elements of a vector, one a row: falling to 0, or rising from it."""
    if x.dim() != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    count = x.numel() if N is None else N
    if count < 0:
        raise RuntimeError("N must be non-negative.")
    powers = _core.arange(count, device=x.device)
    return x.unsqueeze(1) ** (powers if increasing else powers.flip(0))


def kron(input, other, *, out=None):
    """Kronecker's product: the elements of ``input``, each times ``other``."""
    rank = max(input.dim(), other.dim())
    a = input.reshape([1] * (rank - input.dim()) + list(input.shape))
    b = other.reshape([1] * (rank - other.dim()) + list(other.shape))
    sizes = [m * n for m, n in zip(a.shape, b.shape, strict=True)]
    left = [size for m in a.shape for size in (m, 1)]
    right = [size for n in b.shape for size in (1, n)]
    result = (a.reshape(left) * b.reshape(right)).reshape(sizes)
    if out is None:
        return result
    from .linalg import _into

    if not _core.can_cast(result.dtype, out.dtype):
        raise RuntimeError(
            f"result type {_kind(result.dtype)} can't be cast to the desired output type {_kind(out.dtype)}"
        )
    return _into("kron", result.to(out.dtype), out)


@_with_out
def vdot(input, other):
    """The dot product of the conjugate of a vector and another one."""
    return input.conj().dot(other)


@_with_out
def addr(input, vec1, vec2, *, beta=1, alpha=1):
    """beta input + alpha vec1 vec2ᵀ; input is not looked at if beta is 0."""
    product = vec1.outer(vec2) * alpha
    return product.expand(broadcast_shapes(input.shape, product.shape)) if beta == 0 else input * beta + product


@_with_out
def addbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """beta input + alpha Σ batch1_i batch2_i."""
    product = batch1.bmm(batch2).sum(0) * alpha
    return product.expand(broadcast_shapes(input.shape, product.shape)) if beta == 0 else input * beta + product


def _split_along(name, least, dim_of):
    def function(input, indices_or_sections):
        if input.dim() < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor with "
                f"{input.dim()} dimensions!"
            )
        dim = dim_of(input)
        if isinstance(indices_or_sections, int) and (
            indices_or_sections <= 0 or input.shape[dim] % indices_or_sections
        ):
            raise RuntimeError(
                f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension "
                f"{input.shape[dim]} is not divisible by the split_size {indices_or_sections}!"
            )
        return input.tensor_split(indices_or_sections, dim)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Equal sections, or those between indices, as views."
    return function


hsplit = _split_along("hsplit", 1, lambda input: 0 if input.dim() == 1 else 1)
vsplit = _split_along("vsplit", 2, lambda input: 0)
dsplit = _split_along("dsplit", 3, lambda input: 2)
row_stack = vstack


@_with_out
def float_power(input, exponent):
    """Powers, computed in float64, or in complex128 where one is complex."""

    def wide(value):
        if isinstance(value, Tensor):
            return value.to(_core.complex128 if value.is_complex() else _core.float64)
        return value if isinstance(value, complex) else float(value)

    return _core.pow(wide(input), wide(exponent))


def isreal(input):
    """Which elements are real: those without an imaginary part."""
    return input.imag == 0 if input.is_complex() else _core.ones_like(input, dtype=_core.bool)


def unravel_index(indices, shape):
    """Indices into a flat array as indices into one of a shape, one tensor for each dimension."""
    if indices.is_floating_point() or indices.dtype is _core.bool:
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    if not isinstance(shape, (int, tuple, list)):
        raise TypeError(f"expected 'shape' to be int or sequence of ints, but got {type(shape)}")
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    for size in shape:
        if not isinstance(size, int):
            raise TypeError(f"expected 'shape' sequence to only contain ints, but got {type(size)}")
    if any(size < 0 for size in shape):
        raise ValueError(f"'shape' cannot have negative values, but got {shape}")
    result = []
    for size in reversed(shape):
        result.append(indices % size)
        indices = indices // size
    return tuple(reversed(result))


def _scattered(name, view, doc):
    def function(input, src, *args, **kwargs):
        result = input.clone()
        target = view(result, *args, **kwargs)
        if target.shape != src.shape:
            raise RuntimeError(
                f"expected src to have a size equal to the slice of self. src size = {list(src.shape)}, "
                f"slice size = {list(target.shape)}"
            )
        target.copy_(src)
        return result

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _slice_of(tensor, dim=0, start=None, end=None, step=1):
    return tensor[(slice(None),) * (dim % tensor.dim()) + (slice(start, end, step),)]


select_scatter = _scattered(
    "select_scatter",
    lambda tensor, dim, index: tensor.select(dim, index),
    "A copy with one index along ``dim`` replaced.",
)
slice_scatter = _with_out(
    _scattered("slice_scatter", _slice_of, "A copy with the elements of a slice along ``dim`` replaced.")
)
diagonal_scatter = _scattered(
    "diagonal_scatter",
    lambda tensor, offset=0, dim1=0, dim2=1: tensor.diagonal(offset, dim1, dim2),
    "A copy with a diagonal replaced.",
)


def hash_tensor(input, dim=(), *, keepdim=False, mode=0, out=None):
    """The exclusive or of the elements' bits, as 64-bit floats or integers: a checksum.

    Args:
        dim: which dimensions go, an int or several; all by default.
        keepdim: whether they stay with size 1.
        mode: 0, there is no other.
    Shapes: as of a sum. Dtypes: all but complex -> uint64.
    Raises: RuntimeError for another mode, NotImplementedError for complex numbers, IndexError for empty dimensions.
    """
    if mode != 0:
        raise RuntimeError(f"Unknown hash_tensor mode: {mode}")
    if input.is_complex():
        raise NotImplementedError(f"\"xor_sum_cpu\" not implemented for '{_kind(input.dtype)}'")
    rank = input.dim()
    dims = [dim] if isinstance(dim, int) else list(dim or range(rank))
    if not input.numel() and not (isinstance(dim, int) or dim):
        raise RuntimeError(
            "hash_tensor: Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim "
            "with the 'dim' argument."
        )
    shape = input.sum(dims, keepdim=keepdim, dtype=_core.float64).shape  # whose checks of dims these are
    dims = [d % max(rank, 1) for d in dims]
    for d in dims:
        if rank and input.shape[d] == 0:
            raise IndexError(f"hash_tensor: Expected reduction dim {d} to have non-zero size.")
    words = input.detach().to(_core.float64).view(_core.int64) if input.is_floating_point() else input.to(_core.int64)
    if rank:
        words = words.permute(*(d for d in range(rank) if d not in dims), *dims).flatten(rank - len(dims))
        while (n := words.shape[-1]) > 1:
            half, odd = n // 2, words[..., n - n % 2 :]
            words = _core.cat([words[..., :half].bitwise_xor(words[..., half : 2 * half]), odd], -1)
    result = words.reshape(shape).clone().view(_core.uint64)
    if out is not None and out.dtype is not _core.uint64:
        raise RuntimeError(f"Expected result to be of dtype uint64, but got {_kind(out.dtype)}")
    return written("hash_tensor", result, out)


@_with_out
def renorm(input, p, dim, maxnorm):
    """The slices along ``dim``, those with a larger p-norm scaled down to ``maxnorm``."""
    others = [d for d in range(input.dim()) if d != dim % input.dim()]
    norms = _core._vector_norm(input, float(p), others, True)
    return input * _core.where(norms > maxnorm, maxnorm / (norms + 1e-7), 1.0)


def _window(name, values):
    def window(
        window_length,
        periodic=True,
        *parameters,
        dtype=None,
        layout=None,
        device=None,
        pin_memory=False,
        requires_grad=False,
    ):
        dtype = dtype or _core.get_default_dtype()
        if not dtype.is_floating_point:
            raise RuntimeError(f"{name} expects floating point dtypes, got: {dtype}")
        if window_length < 0:
            raise RuntimeError(f"{name} requires non-negative window_length, got window_length={window_length}")
        if window_length <= 1:
            return _core.ones(window_length, dtype=dtype, device=device, requires_grad=requires_grad)
        steps = window_length if periodic else window_length - 1
        phase = _core.arange(window_length, dtype=_core.float64, device="cpu") / steps
        return _placed(values(phase, *parameters), dtype, device).requires_grad_(requires_grad)

    window.__name__ = window.__qualname__ = name
    window.__doc__ = f"""The weights of {name.partition("_")[0].capitalize()}'s window.

    Args:
        window_length: their number.
        periodic: the next weight would be the first again; False for a symmetric window.
    """
    return window


def _cosines(*weights):
    def values(phase):
        return sum(weight * (2 * 3.141592653589793 * i * phase).cos() for i, weight in enumerate(weights))

    return values


hann_window = _window("hann_window", _cosines(0.5, -0.5))
blackman_window = _window("blackman_window", _cosines(0.42, -0.5, 0.08))
hamming_window = _window("hamming_window", lambda phase, alpha=0.54, beta=0.46: _cosines(alpha, -beta)(phase))
bartlett_window = _window("bartlett_window", lambda phase: 1 - (2 * phase - 1).abs())


__all__ += """
    addbmm addr asarray bartlett_window blackman_window combinations corrcoef cov
    cumulative_trapezoid diagonal_scatter diff dist dsplit float_power hamming_window hann_window hsplit is_nonzero isin
    isreal kron nanquantile quantile renorm hash_tensor row_stack scalar_tensor select_scatter
    slice_scatter trapezoid trapz typename unravel_index vander vdot vsplit
""".split()


def nextafter(input, other, *, out=None):
    """The number next to ``input`` in the direction of ``other``, elementwise; of floats, without a gradient."""
    dtype = _core.result_type(input, other)
    if not dtype.is_floating_point:
        raise NotImplementedError(f"\"nextafter\" not implemented for '{_kind(dtype)}'")
    whole = {2: _core.int16, 4: _core.int32, 8: _core.int64}[dtype.itemsize]
    x, y = broadcast_tensors(input.detach().to(dtype), other.detach().to(dtype))
    # Floats of one sign are ordered as their bits are.
    away = _core.where((y > x) == (x > 0), 1, -1).to(whole)
    smallest = _core.tensor(1, dtype=whole, device=x.device).view(dtype)
    stepped = _core.where(x == 0, _core.copysign(smallest, y), (x.view(whole) + away).view(dtype))
    result = _core.where(x == y, y, _core.where((x == x) & (y == y), stepped, x + y))
    return written("nextafter", result, out)


def ldexp(input, other, *, out=None):
    """x 2^other."""
    powers = (other if isinstance(other, Tensor) else _core.tensor(other)).to(_core.get_default_dtype())
    result = input * powers.exp2()
    return written("ldexp", result, out)


def _binary_exponent(x):
    """The least e with |x| < 2^e (0 of 0, infinities and NaN), and two factors, each finite, whose product is 2^-e."""
    magnitude = x.abs().to(_core.float64)
    regular = (magnitude > 0) & magnitude.isfinite()
    exponent = _core.where(regular, _core.where(regular, magnitude, 1.0).log2().floor() + 1, 0.0)
    mantissa = magnitude * (-exponent).exp2()
    # The logarithm may be off by one at powers of two.
    above, below = regular & (mantissa >= 1), regular & (mantissa < 0.5)
    exponent = exponent + _core.where(above, 1.0, 0.0) - _core.where(below, 1.0, 0.0)
    half = (exponent / 2).floor()
    return exponent.to(_core.int32), (-half).exp2().to(x.dtype), (half - exponent).exp2().to(x.dtype)


def frexp(input, *, out=None):
    """Mantissas, of magnitude in [0.5, 1), and int32 exponents with x = mantissa 2^exponent."""
    exponent, first, second = on_cpu("frexp", _binary_exponent, (input.detach(),))
    mantissa = input * first * second
    from . import return_types

    return return_types._make("frexp", ("mantissa", "exponent"))((mantissa, exponent))


def logaddexp2(input, other, *, out=None):
    """log₂(2^x + 2^y)."""
    log2 = 0.6931471805599453
    result = _core.logaddexp(input * log2, other * log2) / log2
    return written("logaddexp2", result, out)


def gcd(input, other, *, out=None):
    """The greatest common divisor of integers: Euclid's algorithm on all elements at once."""
    a, b = broadcast_tensors(input, other)
    dtype = _core.promote_types(a.dtype, b.dtype)
    if dtype.is_floating_point or dtype is _core.bool:
        raise NotImplementedError(f"\"gcd\" not implemented for '{_kind(dtype)}'")
    a, b = a.to(dtype).abs(), b.to(dtype).abs()
    while (b != 0).any():
        zero = b == 0
        a, b = _core.where(zero, a, b), _core.where(zero, b, a.remainder(b.masked_fill(zero, 1)))
    return written("gcd", a, out)


def lcm(input, other, *, out=None):
    """The least common multiple of integers."""
    divisor = gcd(input, other)
    result = ((input // divisor.masked_fill(divisor == 0, 1)) * other).abs()
    return written("lcm", result, out)


def gradient(input, *, spacing=1, dim=None, edge_order=1):
    """Derivatives along dimensions by second-order differences, of first or second order at the edges.

    Args:
        spacing: the distance of samples, one or one per dimension, or vectors of their places.
        dim: one dimension or several; all by default.
        edge_order: 1 or 2.
    Returns: a tuple, one tensor for each dimension.
    """
    dims = list(range(input.dim())) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    if isinstance(spacing, (int, float)) or (isinstance(spacing, Tensor) and spacing.dim() == 0):
        spacings = [spacing] * len(dims)
    else:
        spacings = list(spacing)
    if len(spacings) != len(dims):
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, or a list of length equal to 'dim', but got "
            f"{len(spacings)} spacings and {len(dims)} dims"
        )
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    x = input if input.is_floating_point() or input.is_complex() else input.to(_core.get_default_dtype())
    places = [space.dtype for space in spacings if isinstance(space, Tensor) and space.dim()]
    if places:
        # In the precision of the places, which whole numbers have none of.
        x = input.to(
            _core.promote_types(x.dtype if places[0].is_floating_point else _core.get_default_dtype(), places[0])
        )
    return tuple(_slopes(x, d, space, edge_order) for d, space in zip(dims, spacings, strict=True))


def _slopes(input, dim, spacing, edge_order):
    x = input.movedim(dim, -1)
    count = x.shape[-1]
    if count < edge_order + 1:
        raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
    even = not (isinstance(spacing, Tensor) and spacing.dim())
    if even:
        steps = _core.full((count - 1,), float(spacing), dtype=x.dtype.to_real(), device=x.device)
    else:
        steps = (spacing[1:] - spacing[:-1]).to(x.dtype.to_real())
    rises = (x[..., 1:] - x[..., :-1]) / steps
    before, after = steps[:-1], steps[1:]
    if even:
        # Without the middle, which may be infinite.
        inner = (x[..., 2:] - x[..., :-2]) / (before + after)
    else:
        inner = (rises[..., :-1] * after + rises[..., 1:] * before) / (before + after)
    first, last = rises[..., :1], rises[..., -1:]
    if edge_order == 2:
        bend = (rises[..., 1:] - rises[..., :-1]) / (before + after)
        first, last = first - bend[..., :1] * steps[0], last + bend[..., -1:] * steps[-1]
    return _core.cat([first, inner, last], -1).movedim(-1, dim)


def _edges(values, bins, limits, number):
    """The edges of the bins of one dimension."""
    if isinstance(bins, Tensor):
        if bins.dim() != 1:
            raise RuntimeError(
                f"torch.histogramdd: bins tensor should have one dimension, but got {bins.dim()} dimensions in the "
                f"bins tensor for dimension {number}"
            )
        if bins.dtype is not values.dtype:
            raise RuntimeError(
                "torch.histogramdd: input tensor and bins tensors should have the same dtype, but got input with dtype "
                f"{values.dtype} and bins for dimension {number} with dtype {bins.dtype}"
            )
        return bins
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension {number}")
    if limits is not None:
        low, high = limits
    else:
        low, high = (float(values.min()), float(values.max())) if values.numel() else (0.0, 1.0)
    if not (isfinite(low) and isfinite(high)):
        raise RuntimeError(f"torch.histogramdd: dimension {number}'s range [{low:g}, {high:g}] is not finite")
    if low > high:
        raise RuntimeError(
            f"torch.histogramdd: min should not exceed max, but got min {low:g} max {high:g} for dimension {number}"
        )
    if low == high:
        low, high = low - 0.5, high + 0.5
    return _core.linspace(low, high, bins + 1, dtype=values.dtype, device=values.device)


def histogramdd(input, bins, *, range=None, weight=None, density=False):
    """How many points lie in each box of a grid, and the grid's edges; the last boxes include their upper edges.

    Args:
        input: the points, (*, D).
        bins: how many boxes of equal width in each dimension, one number for all of them, or the D tensors of edges.
        range: the least and greatest coordinate of each dimension, 2 D numbers; by default those of the points.
        weight: (*), what each point counts. density: divide so that the integral is 1.
    """
    if not input.is_floating_point():
        raise NotImplementedError(f'"histogramdd" not implemented for {input.dtype}')
    if input.dim() < 2:
        raise RuntimeError(f"torch.histogramdd: input tensor should have at least 2 dimensions, but got {input.dim()}")
    rank = input.shape[-1]
    points = input.detach().reshape(-1, rank)
    bins = [bins] * rank if isinstance(bins, int) else bins
    if len(bins) != rank:
        raise RuntimeError(
            "histogramdd: The size of bins must be equal to the innermost dimension of the input; got "
            f"{len(bins)} bins and {rank} dimensions"
        )
    if range is not None and len(range) != 2 * rank:
        raise RuntimeError(
            f"torch.histogramdd: for a {rank}-dimensional histogram range should have {2 * rank} elements, but got "
            f"{len(range)}"
        )
    if weight is not None and (weight.shape != input.shape[:-1] or weight.dtype is not input.dtype):
        raise RuntimeError(
            "torch.histogramdd: if weight tensor is provided it should have the same shape as the input tensor "
            f"excluding its innermost dimension, and its dtype, but got input with shape {list(input.shape)} of "
            f"{input.dtype} and weight with shape {list(weight.shape)} of {weight.dtype}"
        )
    edges, places, inside = [], _core.zeros(len(points), dtype=_core.int64, device=input.device), None
    for number, count in enumerate(bins):
        values = points[:, number]
        own = _edges(values, count, None if range is None else range[2 * number : 2 * number + 2], number)
        within = (values >= own[0]) & (values <= own[-1])
        inside = within if inside is None else inside & within
        place = (_core.bucketize(values, own, right=True) - 1).clamp(0, own.numel() - 2)
        places = places * (own.numel() - 1) + place
        edges.append(own)
    sizes = [own.numel() - 1 for own in edges]
    weights = _core.ones(len(points), dtype=input.dtype, device=input.device) if weight is None else weight.reshape(-1)
    counts = _core.zeros(prod(sizes), dtype=input.dtype, device=input.device)
    counts = counts.index_add(0, places[inside], weights.detach()[inside]).reshape(sizes)
    if density:
        counts = counts / counts.sum()
        for number, own in enumerate(edges):
            shape = [1] * rank
            shape[number] = -1
            counts = counts / (own[1:] - own[:-1]).reshape(shape)
    from . import return_types

    return return_types._make("histogramdd", ("hist", "bin_edges"))((counts, tuple(edges)))


def histogram(input, bins, *, range=None, weight=None, density=False, out=None):
    """How many elements lie in each bin, the last of which includes its upper edge; and the edges.

    Args:
        bins: how many of equal width, or their edges, rising.
        range: (low, high) for a number of bins; the least and greatest element by default.
        weight: what each element counts. density: divide so that the integral is 1.
        out: two tensors, for both results.
    """
    weight = None if weight is None else weight.reshape(-1)
    counts, edges = histogramdd(input.reshape(-1, 1), [bins], range=range, weight=weight, density=density)
    from . import return_types

    results = (counts, edges[0])
    if out is not None:
        for target, result in zip(out, results, strict=True):
            target.resize_(result.shape).copy_(result)
        results = out
    return return_types._make("histogram", ("hist", "bin_edges"))(results)


def is_same_size(input, other):
    """Whether both tensors have the same shape."""
    return input.shape == other.shape


def is_conj(input):
    """Whether the tensor stands for the conjugate of its memory: never, conjugates are computed at once."""
    return False


def is_neg(input):
    """Whether the tensor stands for the negative of its memory: never."""
    return False


def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    """See :func:`rustnn.nn.functional.grid_sample`, whose modes are numbers here."""
    from .nn import functional as F

    mode = ("bilinear", "nearest", "bicubic")[interpolation_mode]
    padding = ("zeros", "border", "reflection")[padding_mode]
    return F.grid_sample(input, grid, mode, padding, align_corners)


@_with_out
def index_reduce(input, dim, index, source, reduce, *, include_self=True):
    """Rows of ``source`` reduced into the rows of ``input`` that ``index`` names: ``prod``, ``mean``, ``amax``,
    ``amin``."""
    shape = [1] * source.dim()
    shape[dim] = -1
    places = index.reshape(shape).expand(source.shape)
    return input.scatter_reduce(dim, places, source, reduce, include_self=include_self)


def as_strided_scatter(input, src, size, stride, storage_offset=None):
    """A copy of ``input`` with the elements that ``as_strided`` names replaced by those of ``src``."""
    result = input.clone(memory_format=_core.contiguous_format) if not input.is_contiguous() else input.clone()
    result.as_strided(size, stride, storage_offset).copy_(src)
    return result


def constant_pad_nd(input, pad, value=0):
    """Pads of a constant, for the last dimensions first: ``nn.functional.pad``."""
    from .nn.functional import pad as padded

    return padded(input, tuple(pad), "constant", value)


def fill(input, value):
    """A tensor of the input's shape and dtype, all of whose elements are ``value``."""
    return input.clone().fill_(value)


def _copied(view, out):
    """What a view function gave, in dense memory of its own or in that of ``out``."""
    if isinstance(view, tuple):
        if out is not None and len(out) != len(view):
            raise RuntimeError(f"expected {len(view)} tensors in out, got {len(out)}")
        copies = tuple(_copied(part, None if out is None else out[i]) for i, part in enumerate(view))
        return copies if out is None else None
    return view.clone(memory_format=_core.contiguous_format) if out is None else written("copy", view, out)


def _copy_of(name, function=None):
    def copy(input, *args, out=None, **kwargs):
        return _copied(function(input) if function else getattr(input, name)(*args, **kwargs), out)

    copy.__name__ = copy.__qualname__ = f"{name}_copy"
    copy.__doc__ = f"The values of :meth:`Tensor.{name}` in dense memory of their own."
    return copy


def slice_copy(input, dim=0, start=None, end=None, step=1, *, out=None):
    """A copy of every ``step``-th place from ``start`` up to ``end`` along a dimension."""
    return _copied(input.movedim(dim, 0)[start:end:step].movedim(0, dim), out)


_VIEWS = (
    "alias as_strided detach diagonal expand narrow permute select split split_with_sizes squeeze t transpose unbind "
    "unfold unsqueeze view view_as_complex view_as_real"
).split()
_BY_FUNCTION = {
    "alias": lambda input: input,
    "view_as_complex": _core.view_as_complex,
    "view_as_real": _core.view_as_real,
}
for _name in _VIEWS:
    globals()[f"{_name}_copy"] = _copy_of(_name, _BY_FUNCTION.get(_name))
del _name


def unsafe_chunk(input, chunks, dim=0):
    """As ``chunk``, of pieces that may be written: copies where gradients are recorded, as views may not be then."""
    return _apart(input.chunk(chunks, dim))


def unsafe_split(tensor, split_size, dim=0):
    """As ``split``; see :func:`unsafe_chunk`."""
    return _apart(tensor.split(split_size, dim))


def _apart(pieces):
    return tuple(piece.clone() if piece.requires_grad else piece for piece in pieces)


def polygamma(n, input, *, out=None):
    """See :func:`rustnn.special.polygamma`."""
    from . import special

    return special.polygamma(n, input, out=out)


def mvlgamma(input, p, *, out=None):
    """See :func:`rustnn.special.multigammaln`."""
    from . import special

    return special.multigammaln(input, p, out=out)


def i0(input, *, out=None):
    """See :func:`rustnn.special.i0`."""
    from . import special

    return special.i0(input, out=out)


__all__ += ["slice_copy", *(f"{name}_copy" for name in _VIEWS)]
__all__ += """
    as_strided_scatter constant_pad_nd fill frexp gcd gradient grid_sampler histogram histogramdd i0 index_reduce
    is_conj is_neg is_same_size lcm ldexp logaddexp2 mvlgamma nextafter polygamma unsafe_chunk unsafe_split
""".split()


def kaiser_window(
    window_length,
    periodic=True,
    beta=12.0,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """Kaiser's window: I₀(β √(1 - x²)) / I₀(β) for x from -1 to 1.

    Args:
        periodic: the next weight would be the first again; False for a symmetric window.
        beta: β, how fast it falls off.
    """
    from . import special

    if window_length < 0:
        raise RuntimeError(f"kaiser_window requires non-negative window_length, got window_length={window_length}")
    dtype = dtype or _core.get_default_dtype()
    if not dtype.is_floating_point:
        raise RuntimeError(f"kaiser_window expects floating point dtypes, got: {dtype}")
    last = window_length if periodic else window_length - 1
    at = _core.arange(window_length, dtype=_core.float64, device="cpu")
    x = at * (2 / last) - 1 if last else at
    at_center = _core.tensor(float(beta), dtype=_core.float64, device="cpu")
    weights = special.i0(beta * (1 - x * x).clamp(min=0).sqrt()) / special.i0(at_center)
    weights = weights if window_length != 1 else _core.ones_like(weights)
    return _placed(weights, dtype, device).requires_grad_(requires_grad)


__all__ += ["kaiser_window"]


def conv_tbc(input, weight, bias, pad=0):
    """The convolution over time of (T, N, C) with a weight (K, C, O) and a bias (O,), as (T, N, O).

    Raises: RuntimeError for operands of other ranks or sizes.
    """
    if input.dim() != 3:
        raise RuntimeError("Input must have 3 dims: time, batch, in_channel")
    if weight.dim() != 3:
        raise RuntimeError("Weight tensor must have 3 dims: kernel_width, in_channels, out_channels.")
    if bias.dim() != 1:
        raise RuntimeError("Bias must be 1-D")
    if input.size(2) != weight.size(1):
        raise RuntimeError(
            "Input dim 2 (input channels) is not == dim 1 in the weight tensor: got "
            f"{input.size(2)} and {weight.size(1)}"
        )
    if weight.size(2) != bias.size(0):
        raise RuntimeError("Bias size must equal dim 2 in the weight tensor (output channels).")
    return _core.conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, 1, pad).permute(2, 0, 1)


def batch_norm_update_stats(input, running_mean, running_var, momentum):
    """Mean and biased variance of each channel of (N, C, *); the running ones, unless None, come nearer."""
    if not input.numel():
        raise RuntimeError(f"input tensor must have at least one element, but got input_sizes = {list(input.shape)}")
    over = [d for d in range(input.dim()) if d != 1]
    mean, var = input.mean(over), input.var(over, correction=0)
    if running_mean is not None:
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
    if running_var is not None:
        running_var.lerp_(input.var(over).to(running_var.dtype), momentum)
    return mean, var


def native_channel_shuffle(input, groups):
    """The channels of (N, C, *) dealt out to ``groups`` groups and gathered again."""
    from .nn.functional import channel_shuffle

    return channel_shuffle(input, groups)


def empty_permuted(
    size, physical_layout, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
):
    """Memory of arbitrary values whose dimensions lie in the order ``physical_layout``, the slowest first.

    Raises: RuntimeError if ``physical_layout`` is no order of the dimensions.
    """
    if sorted(physical_layout) != list(range(len(size))):
        raise RuntimeError(
            f"Number of dimensions in size and physical_layout must match, each once: got size {tuple(size)} and "
            f"physical_layout {tuple(physical_layout)}"
        )
    made = _core.empty([size[d] for d in physical_layout], dtype=dtype, device=device)
    back = sorted(range(len(size)), key=lambda d: physical_layout[d])
    return made.permute(back).requires_grad_(requires_grad)


def _assert_async(input, assert_msg=None):
    """Raises RuntimeError unless the one element of a tensor is not zero."""
    if not is_nonzero(input):
        raise RuntimeError(assert_msg or "Expected Tensor with single nonzero value, but got zero")


_interop_threads = _core.get_num_threads()


def get_num_interop_threads():
    """The number that :func:`set_num_interop_threads` was given; ops run one after the other, whatever it is."""
    return _interop_threads


def set_num_interop_threads(threads):
    """Remembers a number.

    Raises: RuntimeError unless it is positive.
    """
    global _interop_threads
    if not isinstance(threads, int) or isinstance(threads, bool):
        raise TypeError(f"set_num_interop_threads expects an int, but got {type(threads).__name__}")
    if threads <= 0:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    _interop_threads = threads


__all__ += """
    batch_norm_update_stats conv_tbc empty_permuted get_num_interop_threads is_inference native_channel_shuffle
    set_num_interop_threads
""".split()


def segment_reduce(data, reduce, *, lengths=None, indices=None, offsets=None, axis=0, unsafe=False, initial=None):
    """Neighbouring elements along a dimension reduced, segment by segment.

    Args:
        data: floats.
        reduce: "sum", "mean", "max", "min" or "prod".
        lengths: how long the segments are, integers (*, segments) where * are the sizes of ``data`` before ``axis``.
        offsets: instead, where they begin and the last one ends, (*, segments + 1).
        axis: the dimension that the segments lie in.
        unsafe: True allows lengths that do not sum to the size of ``axis``: what lies behind is left out.
        initial: what each segment is reduced with; an empty one gives it. By default 0, NaN, -inf, inf, 1.
    Raises: RuntimeError for segments that do not fit, NotImplementedError for other dtypes.

    Example:
        >>> rustnn.segment_reduce(rustnn.tensor([1.0, 2.0, 3.0]), "sum", lengths=rustnn.tensor([2, 1]))
        tensor([3., 3.])
    """
    kind = {"max": "amax", "min": "amin"}.get(reduce, reduce)
    if kind not in ("sum", "prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    if indices is not None:
        raise RuntimeError("segment_reduce(): indices based reduction is not supported yet.")
    if lengths is None and offsets is None:
        raise RuntimeError("segment_reduce(): Either lengths or offsets must be defined.")
    if not data.is_floating_point():
        raise NotImplementedError(f"\"_segment_reduce_cpu\" not implemented for '{_kind(data.dtype)}'")
    name, given = ("offsets", offsets) if lengths is None else ("lengths", lengths)
    if given.dtype not in (_core.int32, _core.int64):
        raise NotImplementedError(f"\"_segment_reduce_{name}_cpu\" not implemented for '{_kind(given.dtype)}'")
    if given.dim() == 0 or data.dim() < given.dim() or data.shape[: given.dim() - 1] != given.shape[:-1]:
        raise RuntimeError(f"segment_reduce(): {name} {tuple(given.shape)} do not lie in data {tuple(data.shape)}")
    axis = axis + data.dim() if axis < 0 else axis
    if axis != given.dim() - 1:
        raise RuntimeError(f"segment_reduce(): Expected axis to be the last dimension of {name} but got {axis}.")
    given, size = given.detach().to(_core.int64), data.shape[axis]
    if lengths is None:
        starts, ends = given[..., :-1], given[..., 1:]
    else:
        if (given < 0).any():
            raise RuntimeError("lengths contains negative value!")
        if not unsafe and (given.sum(-1) != size).any():
            raise RuntimeError(
                "segment_reduce(): Expected all rows of lengths along axis to sum to data.size(lengths.dim()-1) when "
                "!unsafe."
            )
        ends = given.cumsum(-1)
        starts = ends - given
    if (starts < 0).any() or (starts > ends).any() or (ends > size).any():
        raise RuntimeError(f"segment_reduce(): {name} lead out of the {size} elements, or back")
    count = ends.shape[-1]
    shape = (*data.shape[:axis], count, *data.shape[axis + 1 :])
    if not count:
        return data.new_empty(shape)
    # Where no segment is, elements go to one more, which is dropped.
    at = _core.arange(size, device=data.device).expand(*data.shape[:axis], size).contiguous()
    segment = _core.searchsorted(ends.contiguous(), at, right=True)
    segment = _core.where(at < starts[..., :1], count, segment)
    rest = [1] * (data.dim() - axis - 1)
    segment = segment.reshape(*segment.shape, *rest).expand(data.shape)
    start = {"prod": 1.0, "amax": -math.inf, "amin": math.inf}.get(kind, 0.0)
    out = data.new_full((*data.shape[:axis], count + 1, *data.shape[axis + 1 :]), start)
    out = out.scatter_reduce(
        axis, segment, data, "sum" if kind == "mean" else kind, include_self=kind in ("sum", "mean", "prod")
    )
    out = out.narrow(axis, 0, count)
    if kind == "prod":
        return out if initial is None else out * initial
    if kind in ("amax", "amin"):
        out = _segment_ends().apply(data, out.detach(), segment, axis)
        if initial is None:
            return out
        beyond = out < initial if kind == "amax" else out > initial
        return _core.where(beyond, _core.full((), initial, dtype=out.dtype, device=out.device), out)
    out = out if initial is None else out + initial
    if kind == "sum":
        return out
    lengths = (ends - starts).reshape(*ends.shape, *rest)
    mean = out / lengths
    return mean if initial is None else _core.where(lengths == 0, initial, mean).to(out.dtype)


@functools.cache
def _segment_ends():
    from .autograd import Function

    class SegmentReduce(Function):
        """The greatest or least elements of segments, whose gradient they share; NaN is one of them."""

        @staticmethod
        def forward(ctx, data, ends, segment, axis):
            ctx.save_for_backward(data, ends, segment)
            ctx.axis = axis
            return ends.clone()

        @staticmethod
        def backward(ctx, grad):
            data, ends, segment = ctx.saved_tensors
            at, axis = segment.clamp(max=ends.shape[ctx.axis] - 1), ctx.axis
            end = ends.gather(axis, at)
            is_end = ((data == end) | (data.isnan() & end.isnan())) & (segment == at)
            count = _core.zeros_like(ends).scatter_add(axis, at, is_end.to(ends.dtype))
            share = grad / count.clamp(min=1)
            return _core.where(is_end, share.gather(axis, at), 0.0).to(data.dtype), None, None, None

    return SegmentReduce


_segment_reduce = segment_reduce
__all__ += ["segment_reduce"]
