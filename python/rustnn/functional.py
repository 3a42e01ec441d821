"""Functions of ``torch``'s top level that compose ops."""

from . import _core
from ._core import Tensor

__all__ = ["broadcast_shapes", "broadcast_tensors", "is_storage", "is_tensor"]


def is_tensor(obj):
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj):
    """Whether an object is a storage."""
    return False


def broadcast_shapes(*shapes):
    """The shape that arrays of the given shapes broadcast to.

    Raises: RuntimeError if they do not.
    """
    rank = max((len(shape) if isinstance(shape, tuple) else 1 for shape in shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        shape = shape if isinstance(shape, (tuple, list)) else (shape,)
        for i in range(-1, -1 - len(shape), -1):
            if shape[i] < 0:
                raise RuntimeError(f"Trying to create tensor with negative dimension ({shape[i]}): ({shape[i]})")
            if shape[i] == 1 or shape[i] == result[i]:
                continue
            if result[i] != 1:
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
        if p == "nuc":
            raise NotImplementedError("norm: the nuclear norm needs singular values, which rustnn does not compute")
        raise RuntimeError(f"norm: unknown norm {p!r}")
    result = _core._vector_norm(input, float(p), dim, keepdim, dtype=dtype)
    return result if out is None else out.copy_(result)


def meshgrid(*tensors, indexing=None):
    """Grids of the coordinates in vectors: one per vector, each of all their sizes.

    Args:
        indexing: "ij" (default) or "xy", which exchanges the first two dimensions.
    """
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    if any(tensor.dim() > 1 for tensor in tensors):
        raise RuntimeError("torch.meshgrid: Expected 0D or 1D tensor in the tensor list")
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
    count = 1
    for d in first:
        count *= a.shape[d]
    left = a.permute(rest_a + first).reshape(-1, count) if count else a.new_zeros(1, 0)
    right = b.permute(second + rest_b).reshape(count, -1)
    result = left.mm(right).reshape([a.shape[d] for d in rest_a] + [b.shape[d] for d in rest_b])
    return result if out is None else out.copy_(result)


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


def hstack(tensors):
    """Put together along columns (the first dimension of vectors)."""
    tensors = atleast_1d(list(tensors))
    return _core.cat(tensors, 0 if tensors[0].dim() == 1 else 1)


def vstack(tensors):
    """Put together along rows."""
    return _core.cat(atleast_2d(list(tensors)), 0)


def dstack(tensors):
    """Put together along the third dimension."""
    return _core.cat(atleast_3d(list(tensors)), 2)


def column_stack(tensors):
    """Vectors as columns, matrices side by side."""
    return _core.cat([t.reshape(-1, 1) if t.dim() < 2 else t for t in tensors], 1)


def block_diag(*tensors):
    """Matrices along the diagonal of a larger one, zeros elsewhere."""
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
    if len(tensors) == 1:
        return tensors[0]
    return _core.stack([grid.reshape(-1) for grid in meshgrid(*tensors)], 1)


def cdist(x1, x2, p=2.0, compute_mode=None):
    """Distances between all rows of ``x1`` and all rows of ``x2``."""
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


def logspace(start, end, steps, base=10.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """``base`` to the powers of equally spaced numbers, both ends included."""
    powers = _core.linspace(start, end, steps, dtype=_core.float64, device=device)
    result = _core.pow(float(base), powers).to(dtype or _core.get_default_dtype())
    if out is not None:
        return out.copy_(result)
    return result.requires_grad_(requires_grad)
