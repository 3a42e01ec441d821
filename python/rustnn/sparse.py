"""Functions of sparse tensors: see :func:`rustnn.sparse_coo_tensor`. Of the sparse layouts there is COO only."""

from . import _core, _sparse
from ._sparse import SparseTensor

__all__ = ["addmm", "check_sparse_tensor_invariants", "log_softmax", "mm", "softmax", "spdiags", "sum"]


def _sparse_only(name, x):
    if not isinstance(x, SparseTensor):
        raise NotImplementedError(f"sparse.{name}: expected a tensor of layout torch.sparse_coo, got {x.layout}")
    return x


def mm(mat1, mat2, reduce=None):
    """The product of two matrices of which one is sparse, or both: then sparse.

    Shapes: (n, k), (k, m) -> (n, m). Gradients flow to the values and to the dense matrix.
    Raises: RuntimeError for sizes that do not fit; NotImplementedError for ``reduce``.
    """
    if isinstance(mat1, SparseTensor) or isinstance(mat2, SparseTensor):
        return _sparse.mm(mat1, mat2, reduce=reduce)
    return _core.mm(mat1, mat2)


def addmm(mat, mat1, mat2, *, beta=1.0, alpha=1.0):
    """``beta * mat + alpha * mat1 @ mat2``, of a sparse ``mat1`` and dense others.

    Shapes: mat (n, m), mat1 (n, k), mat2 (k, m) -> (n, m).
    """
    return _core.addmm(mat, mat1, mat2, beta=beta, alpha=alpha)


def sum(input, dim=None, dtype=None):
    """The sum of all values, or along dimensions: sparse as long as sparse dimensions are left."""
    return _sparse.sum(_sparse_only("sum", input), dim, dtype=dtype)


def softmax(input, dim, *, dtype=None):
    """Softmax along a dimension over what is stored: what is not counts as minus infinity."""
    return _sparse.softmax(_sparse_only("softmax", input), dim, dtype)


def log_softmax(input, dim, *, dtype=None):
    """Logarithm of :func:`softmax`."""
    return _sparse.log_softmax(_sparse_only("log_softmax", input), dim, dtype)


def spdiags(diagonals, offsets, shape, layout=None):
    """The sparse matrix whose diagonals are rows of ``diagonals``.

    Args:
        diagonals: (count, length), or (length,) for one.
        offsets: (count,) numbers of the diagonals: 0 the main one, positive above it.
        shape: (rows, columns) of the result.
        layout: ``torch.sparse_coo``.
    Raises: RuntimeError for an offset twice or another number of them than of diagonals.
    """
    if layout not in (None, _core.sparse_coo):
        raise NotImplementedError(f"spdiags: rustnn has the sparse layout torch.sparse_coo only, got {layout}")
    diagonals, offsets = (
        diagonals.unsqueeze(0) if diagonals.dim() < 2 else diagonals,
        _core.as_tensor(offsets).reshape(-1),
    )
    if offsets.dtype is not _core.int64:
        raise RuntimeError(f"Offset Tensor must have dtype Long but got {_sparse._kind(offsets.dtype)}")
    numbers, (rows, columns) = offsets.tolist(), shape
    if len(numbers) != diagonals.shape[0]:
        raise RuntimeError(
            f"Number of diagonals ({diagonals.shape[0]}) does not match the number of offsets ({len(numbers)})"
        )
    if len(set(numbers)) != len(numbers):
        raise RuntimeError("Offset tensor contains duplicate values")
    places, values = [], []
    for row, offset in zip(diagonals, numbers, strict=True):
        # Element j of a diagonal stands in column j, whichever row that is.
        column = _core.arange(max(0, offset), max(0, offset, min(columns, rows + offset, row.shape[0])))
        places.append(_core.stack([column - offset, column]))
        values.append(row[column])
    return _sparse.sparse_coo_tensor(_core.cat(places, 1), _core.cat(values), (rows, columns))


class check_sparse_tensor_invariants:
    """Whether new sparse tensors are checked: their places are, always; this remembers a wish."""

    _state = False

    def __init__(self, enable=True):
        self._wish = enable

    @staticmethod
    def is_enabled():
        """What was wished."""
        return check_sparse_tensor_invariants._state

    @staticmethod
    def enable():
        """Wish for checks."""
        check_sparse_tensor_invariants._state = True

    @staticmethod
    def disable():
        """Wish for none."""
        check_sparse_tensor_invariants._state = False

    def __enter__(self):
        self._before, check_sparse_tensor_invariants._state = self._state, self._wish

    def __exit__(self, *exception):
        check_sparse_tensor_invariants._state = self._before

    def __call__(self, function):
        from functools import wraps

        @wraps(function)
        def checked(*args, **kwargs):
            with type(self)(self._wish):
                return function(*args, **kwargs)

        return checked


def _absent(name):
    def make(*args, **kwargs):
        raise NotImplementedError(f"{name}: rustnn has the sparse layout torch.sparse_coo only: sparse_coo_tensor")

    make.__name__ = make.__qualname__ = name
    make.__doc__ = "Raises NotImplementedError: of the sparse layouts there is ``torch.sparse_coo`` only."
    return make


sparse_csr_tensor, sparse_csc_tensor, sparse_bsr_tensor, sparse_bsc_tensor, sparse_compressed_tensor = map(
    _absent,
    ("sparse_csr_tensor", "sparse_csc_tensor", "sparse_bsr_tensor", "sparse_bsc_tensor", "sparse_compressed_tensor"),
)
sampled_addmm = _absent("sampled_addmm")
