"""Sparse COO tensors: coordinates of elements beside their values, both dense tensors.

The class is a ``Tensor`` over the meta device, which has the shape and dtype but no memory: an op that is not written
here finds no numbers to be wrong with, and says so. Ops here are composed of dense ones on the values, through which
gradients flow.
"""

import math

from . import _core
from ._core import Tensor
from ._tensor import _FunctionOff, _kind, _parse_to
from .autograd.function import Function

__all__ = ["SparseTensor", "smm", "sparse_coo_tensor", "sparse_mask", "spmm"]

_BLOCK = 1 << 20  # elements gathered at a time in a product: a few megabytes


def _missing(name):
    return NotImplementedError(
        f"Could not run 'aten::{name.strip('_') if name.startswith('__') else name}' with arguments from the "
        "'SparseCPU' backend: rustnn has no such op for the layout torch.sparse_coo; to_dense() gives a strided tensor"
    )


class SparseTensor(Tensor):
    """What :func:`sparse_coo_tensor` makes: a ``Tensor`` whose layout is ``torch.sparse_coo``."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", str(func))
        op = _OPS.get(name)
        if op is None and name not in _INHERITED:
            raise _missing(name)
        if op is None:
            with _FunctionOff():
                return func(*args, **(kwargs or {}))
        return op(*args, **(kwargs or {}))

    @property
    def requires_grad(self):
        """Whether the values are recorded."""
        return self._parts[1].requires_grad

    @requires_grad.setter
    def requires_grad(self, value):
        self.requires_grad_(value)

    @property
    def grad(self):
        """The gradient of a leaf, with the places of the leaf itself; None before ``backward``."""
        indices, values = self._parts
        if not values.is_leaf or values.grad is None:
            return None
        return _make(indices, values.grad, self.shape, self._coalesced)

    @grad.setter
    def grad(self, value):
        if value is not None and not (is_sparse(value) and value.shape == self.shape):
            raise RuntimeError("assigned grad has data of a different size or layout")
        self._parts[1].grad = None if value is None else sparse_mask(value, self)._parts[1]

    @property
    def data(self):
        """The tensor without its history."""
        return detach(self)

    def __repr__(self, *, tensor_contents=None):
        return _text(self)

    def __str__(self):
        return _text(self)

    def __format__(self, spec):
        return object.__format__(self, spec)

    def __reduce_ex__(self, protocol):
        from ._utils import _rebuild_sparse_tensor

        indices, values = self._parts
        return _rebuild_sparse_tensor, (_core.sparse_coo, (indices, values.detach(), self.shape, self._coalesced))

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        from copy import deepcopy

        indices, values = self._parts
        copied = _make(deepcopy(indices, memo), deepcopy(values, memo), self.shape, self._coalesced)
        memo[id(self)] = copied
        _copy_attributes(self, copied, memo)
        return copied

    def __bool__(self):
        raise _missing("is_nonzero")

    layout = property(lambda self: _core.sparse_coo)
    device = property(lambda self: self._parts[1].device)
    is_sparse = property(lambda self: True)
    is_leaf = property(lambda self: self._parts[1].is_leaf)
    grad_fn = property(lambda self: self._parts[1].grad_fn)
    is_meta = property(lambda self: self._parts[1].is_meta)
    is_cpu = property(lambda self: self._parts[1].is_cpu)
    T = property(lambda self: permute(self, tuple(reversed(range(self.dim())))))
    mT = property(lambda self: transpose(self, -2, -1))


def _copy_attributes(source, target, memo):
    from copy import deepcopy

    for name, value in source.__dict__.items():
        if name not in ("_parts", "_coalesced"):
            target.__dict__[name] = deepcopy(value, memo)


def is_sparse(value):
    """Whether a value is a tensor of this layout."""
    return isinstance(value, SparseTensor)


def _make(indices, values, size, coalesced=False):
    with _FunctionOff():
        bare = _core.empty(tuple(size), dtype=values.dtype, device="meta")
        made = Tensor._make_subclass(SparseTensor, bare)
    made._parts, made._coalesced = (indices, values), bool(coalesced)
    return made


def _like(x, values, indices=None, coalesced=None):
    """A tensor of the shape of ``x`` with other parts."""
    coalesced = x._coalesced if coalesced is None else coalesced
    return _make(x._parts[0] if indices is None else indices, values, x.shape, coalesced)


def sparse_coo_tensor(
    indices,
    values=None,
    size=None,
    *,
    dtype=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
    check_invariants=None,
    is_coalesced=None,
):
    """A sparse tensor of the given values at the given places; what stands at one place is added.

    Args:
        indices: (sparse dims, nnz), whole numbers; one column for each value. Or the size alone, for no elements.
        values: (nnz, *dense dims).
        size: by default the smallest that holds all places.
        dtype, device: of the values; theirs by default.
        is_coalesced: True promises sorted places that differ; ``check_invariants=True`` has the promise checked.
    Raises: RuntimeError for places outside of the size (PyTorch looks only with ``check_invariants``), and for parts
        that do not fit together.
    Example:
        >>> rustnn.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3)).to_dense()
        tensor([[0., 0., 3.],
                [4., 0., 0.]])
    """
    if values is None:
        if isinstance(indices, Tensor):
            raise TypeError("sparse_coo_tensor() missing required argument 'values': got indices alone")
        size = tuple(indices) if size is None else tuple(size)
        indices = _core.empty((len(size), 0), dtype=_core.int64, device=device)
        values = _core.empty(0, dtype=dtype, device=device)
    if is_sparse(indices) or is_sparse(values):
        raise RuntimeError("sparse_coo_tensor: indices and values are strided tensors, got a sparse one")
    indices = _core.as_tensor(indices)
    values = _core.as_tensor(values, dtype=dtype, device=device)
    if device is None and indices.device != values.device:
        raise RuntimeError(f"device of indices ({indices.device}) must match device of values ({values.device})")
    indices = indices.detach().to(values.device, _core.int64)
    if indices.dim() != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(indices.shape)}")
    if values.dim() == 0:
        values = values.expand(indices.shape[1]).contiguous()
    sparse, count = indices.shape
    if count != values.shape[0]:
        raise RuntimeError(
            f"indices and values must have same nnz, but got nnz from indices: {count}, nnz from values: "
            f"{values.shape[0]}"
        )
    lowest, highest = ([0] * sparse, [-1] * sparse)
    if count and sparse and not values.is_meta:
        lowest, highest = indices.amin(1).tolist(), indices.amax(1).tolist()
    if size is None:
        if not count and sparse:
            highest = [-1] * sparse
        size = tuple(most + 1 for most in highest) + tuple(values.shape[1:])
    else:
        size = tuple(int(n) for n in size)
        if len(size) != sparse + values.dim() - 1:
            raise RuntimeError(
                f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(size)}, "
                f"sparse_dim = {sparse}, dense_dim = {values.dim() - 1}"
            )
        if size[sparse:] != tuple(values.shape[1:]):
            raise RuntimeError(
                f"values has incorrect size, expected {[count, *size[sparse:]]}, got {list(values.shape)}"
            )
    for dim in range(sparse):
        if lowest[dim] < 0:
            raise RuntimeError(f"found negative index {lowest[dim]} for dim {dim}")
        if highest[dim] >= size[dim]:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {dim}, size is {size[dim]} but found index {highest[dim]}"
            )
    if is_coalesced and check_invariants and count:
        key = _key(indices, size)
        if not (key[1:] > key[:-1]).all():
            raise RuntimeError("cannot set is_coalesced to true if indices correspond to uncoalesced COO tensor")
    if requires_grad:
        values = values.detach().requires_grad_()
    elif values.requires_grad:
        values = values.view_as(values)  # a leaf's gradient is its own, not this tensor's
    return _make(indices, values, size, is_coalesced)


# ---- parts -----------------------------------------------------------------------------------------------------------


def _key(indices, size):
    """The place of each element in a row of all sparse places."""
    sparse, count = indices.shape
    if math.prod(size[:sparse]) >= 2**63:
        raise RuntimeError(f"a sparse tensor of size {list(size)} has more places than int64 can count")
    key = _core.zeros(count, dtype=_core.int64, device=indices.device)
    for dim in range(sparse):
        key = key * size[dim] + indices[dim]
    return key


def _coordinates(key, size):
    """The columns of indices of sorted places."""
    rows = []
    for n in reversed(size):
        rows.append(key % max(n, 1))
        key = key // max(n, 1)
    if not rows:
        return _core.zeros((0, key.shape[0]), dtype=_core.int64, device=key.device)
    return _core.stack(rows[::-1])


def _summed(count, places, values):
    """(count, *dense): the values added up at their places."""
    shape = (count, *values.shape[1:])
    if values.dtype is _core.bool:
        return _summed(count, places, values.to(_core.int64)) != 0
    return _core.zeros(shape, dtype=values.dtype, device=values.device).index_add(0, places, values)


def coalesce(self):
    """The tensor with each place once, in order; itself if it is so."""
    if self._coalesced:
        return self
    indices, values = self._parts
    sparse, count = indices.shape
    if count < 2:
        return _like(self, values, coalesced=True)
    key = _key(indices, self.shape)
    if (key[1:] > key[:-1]).all():
        return _like(self, values, coalesced=True)
    key, inverse = _core.unique(key, return_inverse=True)
    return _make(_coordinates(key, self.shape[:sparse]), _summed(key.shape[0], inverse, values), self.shape, True)


def is_coalesced(self):
    """Whether each place is known to stand there once, in order."""
    return self._coalesced


def indices(self):
    """(sparse dims, nnz): the places of a coalesced tensor."""
    if not self._coalesced:
        raise RuntimeError("Cannot get indices on an uncoalesced tensor, please call .coalesce() first")
    return self._parts[0]


def values(self):
    """(nnz, *dense dims): the values of a coalesced tensor."""
    if not self._coalesced:
        raise RuntimeError("Cannot get values on an uncoalesced tensor, please call .coalesce() first")
    return self._parts[1]


def _indices(self):
    """The places as they are stored."""
    return self._parts[0]


def _values(self):
    """The values as they are stored, without their history."""
    return self._parts[1].detach()


def _nnz(self):
    """How many elements are stored."""
    return self._parts[0].shape[1]


def sparse_dim(self):
    """How many dimensions the places have."""
    return self._parts[0].shape[0]


def dense_dim(self):
    """How many dimensions each value has."""
    return self._parts[1].dim() - 1


def to_dense(self, dtype=None, *, masked_grad=None):
    """The strided tensor with zeros wherever nothing is stored."""
    indices, values = self._parts
    if dtype is not None:
        values = values.to(dtype)
    count = math.prod(self.shape[: indices.shape[0]])
    return _summed(count, _key(indices, self.shape), values).reshape(self.shape)


def to_sparse(self, sparse_dim=None, *, layout=None, blocksize=None, dense_dim=None):
    """The tensor itself."""
    _only_coo(layout, blocksize)
    if sparse_dim is not None and sparse_dim != self._parts[0].shape[0]:
        raise _missing("to_sparse.sparse_dim")
    return self


def _only_coo(layout, blocksize):
    if layout not in (None, _core.sparse_coo) or blocksize is not None:
        raise NotImplementedError(f"to_sparse: rustnn has the layout torch.sparse_coo only, got {layout}")


def dense_to_sparse(self, sparse_dim=None, *, layout=None, blocksize=None, dense_dim=None):
    """The sparse tensor of what is not zero.

    Args:
        sparse_dim: how many dimensions places have, all by default; the rest are in the values.
    """
    _only_coo(layout, blocksize)
    rank = self.dim()
    sparse = rank if sparse_dim is None else sparse_dim
    if not (0 <= sparse <= rank) or (sparse == 0 and rank > 0):
        raise RuntimeError(f"dense_to_sparse: sparse_dim argument must be in [0,{rank}] range, but {sparse} is given")
    with _core.no_grad():
        kept = self.detach() != 0
        if sparse < rank:
            kept = kept.reshape((*self.shape[:sparse], math.prod(self.shape[sparse:]))).any(-1)
        key = kept.reshape(-1).nonzero().reshape(-1)
        indices = _coordinates(key, self.shape[:sparse])
    return _make(
        indices,
        self.reshape((-1, *self.shape[sparse:])).index_select(0, key)
        if self.numel()
        else self.reshape((0, *self.shape[sparse:])),
        self.shape,
        True,
    )


# ---- shape -----------------------------------------------------------------------------------------------------------


def _dim(x, dim):
    rank = x.dim()
    if not -rank <= dim < rank:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {dim})")
    return dim % rank


def permute(self, *dims):
    """The dimensions in another order; sparse ones stay before dense ones."""
    dims = dims[0] if len(dims) == 1 and not isinstance(dims[0], int) else dims
    if len(dims) != self.dim():
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {self.dim()} is not equal to len(dims) = {len(dims)}"
        )
    dims = [_dim(self, dim) for dim in dims]
    if len(set(dims)) != len(dims):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    indices, values = self._parts
    sparse = indices.shape[0]
    first, rest = dims[:sparse], dims[sparse:]
    if any(dim >= sparse for dim in first):
        raise RuntimeError("permute(sparse_coo): sparse and dense dimensions cannot change places")
    if rest != list(range(sparse, self.dim())):
        values = values.permute(0, *(dim - sparse + 1 for dim in rest))
    same = first == list(range(sparse))
    size = [self.shape[dim] for dim in dims]
    return _make(indices if same else indices[first], values, size, self._coalesced and same)


def transpose(self, dim0, dim1):
    """Two dimensions change places."""
    dims = list(range(self.dim()))
    dim0, dim1 = _dim(self, dim0), _dim(self, dim1)
    dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
    return permute(self, dims)


def t(self):
    """The transpose of a matrix."""
    if self.dim() > 2:
        raise RuntimeError(
            f"t() expects a tensor with <= 2 sparse and 0 dense dimensions, but got {sparse_dim(self)} sparse and "
            f"{dense_dim(self)} dense dimensions"
        )
    return self if self.dim() < 2 else transpose(self, 0, 1)


def unsqueeze(self, dim):
    """A dimension of size 1 more."""
    rank = self.dim()
    if not -rank - 1 <= dim <= rank:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-rank - 1}, {rank}], but got {dim})")
    dim %= rank + 1
    indices, values = self._parts
    sparse = indices.shape[0]
    size = (*self.shape[:dim], 1, *self.shape[dim:])
    if dim > sparse:
        return _make(indices, values.unsqueeze(dim - sparse + 1), size, self._coalesced)
    zeros = _core.zeros((1, indices.shape[1]), dtype=_core.int64, device=indices.device)
    return _make(_core.cat([indices[:dim], zeros, indices[dim:]]), values, size, self._coalesced)


def select(self, dim, index):
    """One slice along a dimension; dense where no sparse dimension is left."""
    dim = _dim(self, dim)
    size = self.shape[dim]
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(self.shape)} at dimension {dim}"
        )
    index %= size
    indices, values = self._parts
    sparse = indices.shape[0]
    left = (*self.shape[:dim], *self.shape[dim + 1 :])
    if dim >= sparse:
        return _make(indices, values.select(dim - sparse + 1, index), left, self._coalesced)
    (hit,) = (indices[dim] == index).nonzero(as_tuple=True)
    values = values.index_select(0, hit)
    if sparse == 1:
        return values.sum(0, dtype=values.dtype)
    rows = [row for row in range(sparse) if row != dim]
    return _make(indices[rows].index_select(1, hit), values, left, self._coalesced)


def index(self, item):
    """``tensor[item]`` for whole numbers, ``:``, ``...`` and None."""
    if isinstance(self, Tensor) and not is_sparse(self):
        raise _missing("index.Tensor")
    items = list(item) if isinstance(item, tuple) else [item]
    named = len([each for each in items if each is not None and each is not Ellipsis])
    if Ellipsis in [each for each in items if each is None or each is Ellipsis]:
        place = next(i for i, each in enumerate(items) if each is Ellipsis)
        items[place : place + 1] = [slice(None)] * (self.dim() - named)
    out, dim = self, 0
    for each in items:
        if each is None:
            out, dim = out.unsqueeze(dim), dim + 1
        elif isinstance(each, slice) and each == slice(None):
            dim += 1
        elif isinstance(each, int) and not isinstance(each, bool):
            if dim >= out.dim():
                raise IndexError(f"too many indices for tensor of dimension {self.dim()}")
            if not -out.shape[dim] <= each < out.shape[dim]:
                raise IndexError(f"index {each} is out of bounds for dimension {dim} with size {out.shape[dim]}")
            out = out.select(dim, each)
        else:
            raise _missing("index.Tensor" if isinstance(each, Tensor) else "as_strided")
    return out


def _spread(counts):
    """For groups of the given sizes: the group of each member, and its number in the group."""
    group = _core.repeat_interleave(_core.arange(counts.shape[0], device=counts.device), counts)
    starts = counts.cumsum(0) - counts
    return group, _core.arange(group.shape[0], device=counts.device) - starts[group]


def _by_row(key, rows):
    """The order that sorts ``key``, and where in it each of ``rows`` numbers begins and how often it occurs."""
    order = key.argsort(stable=True)
    counts = _core.bincount(key, minlength=rows)
    return order, counts.cumsum(0) - counts, counts


def index_select(self, dim, index):
    """The slices that an index names along a dimension."""
    if not is_sparse(self) or is_sparse(index):
        raise _missing("index_select")
    dim = _dim(self, dim)
    indices, values = self._parts
    sparse, size = indices.shape[0], list(self.shape)
    if index.dim() > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    index = index.reshape(-1).to(_core.int64)
    if index.numel() and not ((index >= -size[dim]) & (index < size[dim])).all():
        raise IndexError("index_select(): index out of range")
    index = index % max(size[dim], 1)
    old, size[dim] = size[dim], index.shape[0]
    if dim >= sparse:
        return _make(indices, values.index_select(dim - sparse + 1, index), size, self._coalesced)
    order, starts, counts = _by_row(indices[dim], old)
    group, number = _spread(counts[index])
    taken = order[starts[index][group] + number]
    places = indices.index_select(1, taken)
    places[dim] = group
    return _make(places, values.index_select(0, taken), size)


def cat(tensors, dim=0, *, out=None):
    """Sparse tensors one behind another along a sparse dimension."""
    tensors = list(tensors)
    for place, each in enumerate(tensors):
        if not is_sparse(each):
            raise RuntimeError(f"Concatenating sparse tensors, but a dense tensor was found at position {place}.")
    if out is not None:
        raise _missing("cat.out")
    first = tensors[0]
    dim, sparse = _dim(first, dim), sparse_dim(first)
    if dim >= sparse:
        raise NotImplementedError(f"cat: sparse tensors along a dense dimension ({dim} of {sparse} sparse ones)")
    dtype = first.dtype
    columns, rows, at = [], [], 0
    for place, each in enumerate(tensors):
        if each.dim() != first.dim() or sparse_dim(each) != sparse:
            raise RuntimeError("All tensors must have the same shape and sparse dimensions, except in dimension dim")
        for other in range(first.dim()):
            if other != dim and each.shape[other] != first.shape[other]:
                raise RuntimeError(
                    f"All tensors must have the same shape: {list(first.shape)} (except in the concatenating "
                    f"dimension), but found shape: {list(each.shape)} at position {place}."
                )
        indices = each._parts[0]
        if at:
            indices = indices.clone()
            indices[dim] += at
        columns.append(indices)
        rows.append(each._parts[1])
        dtype = _core.promote_types(dtype, each.dtype)
        at += each.shape[dim]
    size = list(first.shape)
    size[dim] = at
    return _make(_core.cat(columns, 1), _core.cat([row.to(dtype) for row in rows]), size)


def stack(tensors, dim=0, *, out=None):
    """Sparse tensors along a new dimension."""
    tensors = list(tensors)
    if not all(map(is_sparse, tensors)):
        raise RuntimeError("stack: expected sparse tensors only, got a strided one among them")
    return cat([unsqueeze(each, dim) for each in tensors], dim, out=out)


# ---- arithmetic ------------------------------------------------------------------------------------------------------


def _is_number(value):
    return isinstance(value, (int, float, complex)) or (
        isinstance(value, Tensor) and not is_sparse(value) and value.dim() == 0
    )


def _scale(values, alpha):
    return values if alpha == 1 else values * alpha


def add(self, other, *, alpha=1, out=None):
    """sparse + sparse, or dense + sparse."""
    if out is not None:
        raise _missing("add.out")
    if is_sparse(self) and not is_sparse(other):
        raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    if not isinstance(self, Tensor):
        raise RuntimeError("add(sparse, dense) is not supported. Use add(dense, sparse) instead.")
    if self.shape != other.shape:
        raise RuntimeError(
            f"add: expected sizes of 'self' and 'other' to match, but {list(self.shape)} != {list(other.shape)}"
        )
    dtype = _core.promote_types(self.dtype, other.dtype)
    indices, values = other._parts
    values = _scale(values.to(dtype), alpha)
    if is_sparse(self):
        if sparse_dim(self) != sparse_dim(other):
            raise RuntimeError(
                f"add: expected 'self' and 'other' to have same number of sparse dimensions, but got "
                f"{sparse_dim(self)} and {sparse_dim(other)}"
            )
        both = _core.cat([self._parts[0], indices], 1), _core.cat([self._parts[1].to(dtype), values])
        return coalesce(_make(*both, self.shape))
    flat = self.to(dtype).reshape((-1, *values.shape[1:])) if self.numel() else None
    if flat is None:
        return self.to(dtype).clone()
    return flat.index_add(0, _key(indices, other.shape), values).reshape(self.shape)


def sub(self, other, *, alpha=1, out=None):
    """sparse - sparse, or dense - sparse."""
    return add(self, other, alpha=-alpha, out=out)


def _reflected(op):
    return lambda self, other: op(other, self)


def _intersection(a, b):
    a, b = coalesce(a), coalesce(b)
    keys, other = _key(a._parts[0], a.shape), _key(b._parts[0], b.shape)
    if not other.numel():
        hit = _core.zeros(0, dtype=_core.int64, device=keys.device)
        return a, b, hit, hit
    at = _core.searchsorted(other, keys).clamp(max=other.shape[0] - 1)
    (hit,) = (other[at] == keys).nonzero(as_tuple=True)
    return a, b, hit, at[hit]


def mul(self, other, *, out=None):
    """Product with a number, elementwise with a sparse tensor of the same size or a dense one that broadcasts to it."""
    if out is not None:
        raise _missing("mul.out")
    if not is_sparse(self):
        self, other = other, self
    indices, values = self._parts
    if _is_number(other):
        return _like(self, values * other)
    if not isinstance(other, Tensor):
        raise TypeError(f"mul(): argument 'other' must be Tensor, not {type(other).__name__}")
    if is_sparse(other):
        if self.shape != other.shape or sparse_dim(self) != sparse_dim(other):
            raise RuntimeError(
                f"mul operands have incompatible sizes: {list(self.shape)} and {list(other.shape)}, or sparse dims"
            )
        a, b, at, where = _intersection(self, other)
        product = a._parts[1].index_select(0, at) * b._parts[1].index_select(0, where)
        return _make(a._parts[0].index_select(1, at), product, self.shape, True)
    if not _fits(other.shape, self.shape):
        raise NotImplementedError(
            f"mul: a sparse tensor of shape {list(self.shape)} is not broadcast to {list(other.shape)}"
        )
    return _like(self, values * _at(other.expand(self.shape), indices))


def _fits(shape, target):
    """Whether a shape can be expanded to another."""
    return len(shape) <= len(target) and all(
        n in (1, full) for n, full in zip(reversed(shape), reversed(target), strict=False)
    )


def _at(dense, indices):
    """(nnz, *dense dims): what a dense tensor has at the places."""
    if not indices.shape[0]:
        return dense.unsqueeze(0).expand(indices.shape[1], *dense.shape)
    return dense[tuple(indices.unbind(0))]


def div(self, other, *, rounding_mode=None, out=None):
    """Quotient by a number."""
    if out is not None:
        raise _missing("div.out")
    if not is_sparse(self):
        raise _missing("reciprocal")
    if is_sparse(other) or not _is_number(other):
        if not isinstance(other, Tensor):
            raise TypeError(f"div(): argument 'other' must be Tensor, not {type(other).__name__}")
        raise RuntimeError(
            f"Sparse division requires a scalar or zero-dim dense tensor divisor (got shape {list(other.shape)} for "
            "divisor)"
        )
    self = coalesce(self) if rounding_mode is not None else self
    return _like(self, _core.div(self._parts[1], other, rounding_mode=rounding_mode))


def pow(self, exponent, *, out=None):
    """Each value to the power of a positive number; zeros stay zeros."""
    if out is not None or not is_sparse(self) or is_sparse(exponent) or not _is_number(exponent) or exponent <= 0:
        raise _missing("pow")
    self = coalesce(self)
    return _like(self, self._parts[1] ** exponent)


def _on_values(name):
    def op(self, *, out=None):
        if out is not None:
            raise _missing(f"{name}.out")
        summed = coalesce(self)
        return _like(summed, getattr(_core, name)(summed._parts[1]))

    op.__name__ = op.__qualname__ = name
    op.__doc__ = f"``{name}`` of each value: of zero it is zero."
    return op


# Functions that give zero for zero, so that what is not stored stays so.
_ZERO_TO_ZERO = """abs asin asinh atan atanh ceil deg2rad erf erfinv expm1 floor isinf isnan log1p positive rad2deg
    relu round sgn sign signbit sin sinh sqrt square tan tanh trunc""".split()


def neg(self, *, out=None):
    """Each value with the other sign."""
    if out is not None:
        raise _missing("neg.out")
    return _like(self, -self._parts[1])


def sum(self, dim=None, keepdim=False, *, dtype=None):
    """The sum of all values, or along dimensions; sparse as long as sparse dimensions are left."""
    indices, values = self._parts
    if dtype is not None:
        values = values.to(dtype)
    elif not values.is_floating_point() and not values.is_complex():
        values = values.to(_core.int64)
    if dim is None or dim == () or dim == []:
        return values.sum()
    dims = [_dim(self, each) for each in ([dim] if isinstance(dim, int) else dim)]
    if len(set(dims)) != len(dims):
        raise RuntimeError(
            f"dim {next(d for d in dims if dims.count(d) > 1)} appears multiple times in the list of dims"
        )
    sparse = indices.shape[0]
    inner = [each - sparse + 1 for each in dims if each >= sparse]
    if inner:
        values = values.sum(inner, keepdim=keepdim)
    outer = [each for each in dims if each < sparse]
    if keepdim:
        size = [1 if each in dims else n for each, n in enumerate(self.shape)]
        kept = indices.clone()
        for each in outer:
            kept[each] = 0
    else:
        size = [n for each, n in enumerate(self.shape) if each not in dims]
        rows = [each for each in range(sparse) if each not in outer]
        if not rows:
            return values.sum(0)
        kept = indices[rows] if outer else indices
    summed = _make(kept, values, size, self._coalesced and not outer)
    return coalesce(summed) if outer else summed


def norm(self, p="fro", dim=None, keepdim=False, dtype=None):
    """The norm of all values together."""
    if dim is not None or keepdim:
        raise _missing("norm.ScalarOpt_dim")
    return coalesce(self)._parts[1].norm(2 if p == "fro" else p, dtype=dtype)


def _softmax(self, dim, dtype, log):
    self, dim = coalesce(self), _dim(self, dim)
    indices, values = self._parts
    if dtype is not None:
        values = values.to(dtype)
    sparse = indices.shape[0]
    if dim >= sparse:
        return _like(self, (_core.log_softmax if log else _core.softmax)(values, dim - sparse + 1))
    if not values.shape[0]:
        return _like(self, values)
    others = [each for each in range(sparse) if each != dim]
    key = _key(indices[others], [self.shape[each] for each in others])
    groups, inverse = _core.unique(key, return_inverse=True)
    with _core.no_grad():
        places = inverse.reshape((-1, *[1] * (values.dim() - 1))).expand(values.shape)
        top = _core.full((groups.shape[0], *values.shape[1:]), -math.inf, dtype=values.dtype, device=values.device)
        top = top.scatter_reduce(0, places, values.detach(), "amax", include_self=True)
        top = _core.where(top.isinf(), _core.zeros_like(top), top)
    shifted = values - top.index_select(0, inverse)
    powers = shifted.exp()
    total = _summed(groups.shape[0], inverse, powers).index_select(0, inverse)
    return _like(self, shifted - total.log() if log else powers / total)


def softmax(self, dim, dtype=None, *, out=None):
    """Softmax along a dimension over what is stored."""
    return _softmax(self, dim, dtype, False)


def log_softmax(self, dim, dtype=None, *, out=None):
    """Logarithm of the softmax along a dimension over what is stored."""
    return _softmax(self, dim, dtype, True)


# ---- products --------------------------------------------------------------------------------------------------------


class _Product(Function):
    """out[r] = Σ values · dense[c] over elements (r, c): what is gathered is never all in memory at once."""

    @staticmethod
    def forward(ctx, values, dense, rows, columns, count):
        ctx.save_for_backward(values, dense, rows, columns)
        out = _core.zeros((count, dense.shape[1]), dtype=dense.dtype, device=dense.device)
        step = max(1, _BLOCK // max(1, dense.shape[1]))
        for at in range(0, rows.shape[0], step):
            part = slice(at, at + step)
            out.index_add_(0, rows[part], dense.index_select(0, columns[part]) * values[part].unsqueeze(1))
        return out

    @staticmethod
    def backward(ctx, dout):
        values, dense, rows, columns = ctx.saved_tensors
        dvalues = ddense = None
        if ctx.needs_input_grad[0]:
            step = max(1, _BLOCK // max(1, dense.shape[1]))
            parts = [slice(at, at + step) for at in range(0, rows.shape[0], step)]
            dots = [(dout.index_select(0, rows[part]) * dense.index_select(0, columns[part])).sum(1) for part in parts]
            dvalues = _core.cat(dots) if dots else _core.zeros_like(values)
        if ctx.needs_input_grad[1]:
            ddense = _Product.apply(values, dout, columns, rows, dense.shape[0])
        return dvalues, ddense, None, None, None


def _check_matrix(x, name):
    if x.dim() != 2 or (is_sparse(x) and dense_dim(x)):
        raise RuntimeError(
            f"{name}: expected a matrix, got {x.dim()}D tensor"
            + (f" with {dense_dim(x)} dense dims" if is_sparse(x) else "")
        )


def _check_dtypes(a, b):
    if a.dtype is not b.dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {_ctype(a)} != {_ctype(b)}")


def _ctype(x):
    names = {"Float": "float", "Double": "double", "Half": "c10::Half", "BFloat16": "c10::BFloat16", "Long": "long"}
    return names.get(_kind(x.dtype), _kind(x.dtype).lower())


def mm(input, mat2, out_dtype=None, *, out=None, reduce=None):
    """The product of two matrices of which one is sparse, or both: then sparse."""
    if out is not None or reduce is not None or out_dtype is not None:
        raise _missing("mm.out")
    _check_matrix(input, "mm")
    _check_matrix(mat2, "mm")
    _check_dtypes(input, mat2)
    if input.shape[1] != mat2.shape[0]:
        if is_sparse(input) and is_sparse(mat2):
            raise RuntimeError(
                f"mat1 and mat2 shapes cannot be multiplied ({input.shape[0]}x{input.shape[1]} and "
                f"{mat2.shape[0]}x{mat2.shape[1]})"
            )
        raise RuntimeError(f"addmm: Argument #3 (dense): Expected dim 0 size {input.shape[1]}, got {mat2.shape[0]}")
    if not is_sparse(input):
        return mm(t(mat2), input.t()).t()
    if is_sparse(mat2):
        return _sparse_by_sparse(input, mat2)
    (rows, columns), values = input._parts[0].unbind(0), input._parts[1]
    return _Product.apply(values, mat2, rows, columns, input.shape[0])


smm = spmm = mm


def _sparse_by_sparse(a, b):
    a, b = coalesce(a), coalesce(b)
    (rows, inner), left = a._parts[0].unbind(0), a._parts[1]
    (_, columns), right = b._parts[0].unbind(0), b._parts[1]
    counts = _core.bincount(b._parts[0][0], minlength=b.shape[0])
    starts = counts.cumsum(0) - counts
    group, number = _spread(counts[inner])
    taken = starts[inner][group] + number
    places = _core.stack([rows[group], columns[taken]])
    products = left.index_select(0, group) * right.index_select(0, taken)
    return coalesce(_make(places, products, (a.shape[0], b.shape[1])))


def mv(input, vec, *, out=None):
    """A sparse matrix by a vector."""
    if vec.dim() != 1:
        raise RuntimeError(f"mv: Expected a vector, got {vec.dim()}D tensor")
    if input.shape[-1] != vec.shape[0]:
        raise RuntimeError(f"mv: expected self.size(-1) == vec.size(-1), got {input.shape[-1]} and {vec.shape[0]}")
    return mm(input, vec.unsqueeze(1), out=out).squeeze(1)


def bmm(input, mat2, *, out=None):
    """The products of a batch of sparse matrices with dense ones."""
    if out is not None or not is_sparse(input) or is_sparse(mat2) or dense_dim(input) or sparse_dim(input) != 3:
        raise _missing("bmm")
    if mat2.dim() != 3:
        raise RuntimeError("batch2 must be a 3D tensor")
    _check_dtypes(input, mat2)
    batch, n, k = input.shape
    if tuple(mat2.shape[:2]) != (batch, k):
        raise RuntimeError(
            f"bmm_sparse: Expected size for first two dimensions of batch2 tensor to be: [{batch}, {k}] but got: "
            f"{list(mat2.shape[:2])}."
        )
    (which, rows, columns), values = input._parts[0].unbind(0), input._parts[1]
    flat = mat2.reshape(batch * k, mat2.shape[2])
    product = _Product.apply(values, flat, which * n + rows, which * k + columns, batch * n)
    return product.reshape(batch, n, mat2.shape[2])


def matmul(input, other, *, out=None):
    """``input @ other`` where one of them, or both, is a sparse matrix."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        return NotImplemented
    if input.dim() == 2 and other.dim() == 2:
        return mm(input, other, out=out)
    if is_sparse(input) and not is_sparse(other):
        if input.dim() == 2 and other.dim() == 1:
            return mv(input, other, out=out)
        if input.dim() == 3 and other.dim() == 3:
            return bmm(input, other, out=out)
        if input.dim() == 2 and other.dim() > 2:
            *batch, k, n = other.shape
            flat = other.reshape(-1, k, n).permute(1, 0, 2).reshape(k, -1)
            product = mm(input, flat).reshape(input.shape[0], -1, n).permute(1, 0, 2)
            return product.reshape(*batch, input.shape[0], n)
    if is_sparse(other) and not is_sparse(input) and other.dim() == 2:
        if input.dim() == 1:
            return mv(t(other), input)
        return mm(input.reshape(-1, input.shape[-1]), other).reshape(*input.shape[:-1], other.shape[1])
    raise _missing("matmul")


def linear(input, weight, bias=None):
    """``input @ weight.t() + bias``."""
    product = matmul(input, t(weight) if is_sparse(weight) else weight.t())
    return product if bias is None else product + bias


def addmm(input, mat1, mat2, *, beta=1, alpha=1, out=None):
    """``beta * input + alpha * mat1 @ mat2`` with a dense ``input``."""
    if out is not None or is_sparse(input) or (is_sparse(mat1) and is_sparse(mat2)):
        raise _missing("addmm")
    product = mm(mat1, mat2)
    return (product if alpha == 1 else product * alpha) + (input if beta == 1 else input * beta)


def sparse_mask(self, mask):
    """What a tensor has at the places of a sparse one."""
    if not is_sparse(mask):
        raise RuntimeError("sparse_mask: expected mask to be a sparse tensor of layout torch.sparse_coo")
    if self.shape != mask.shape:
        raise RuntimeError(
            f"sparse_mask(): operands have incompatible sizes; self has size {list(self.shape)} but mask has size "
            f"{list(mask.shape)}"
        )
    if not is_sparse(self):
        return _like(mask, _at(self, mask._parts[0]))
    kept = _make(
        mask._parts[0], _core.ones_like(mask._parts[1].detach(), dtype=self.dtype), mask.shape, mask._coalesced
    )
    a, b, at, where = _intersection(kept, self)
    values = _core.zeros_like(a._parts[1]).index_add(0, at, b._parts[1].index_select(0, where))
    return _like(a, values)


# ---- conversion, copies ----------------------------------------------------------------------------------------------


def to(self, *args, **kwargs):
    """The tensor with another dtype or on another device; itself where nothing changes."""
    kwargs.pop("memory_format", None)
    if not is_sparse(self):  # to(other) with a sparse other
        other = args[0]
        return self.to(other.device, other.dtype)
    device, dtype, copy = _parse_to(args, kwargs)
    return _converted(self, device, dtype, copy)


def _converted(self, device=None, dtype=None, copy=False):
    indices, values = self._parts
    device = values.device if device is None else _core.device(device)
    dtype = values.dtype if dtype is None else dtype
    if device == values.device and dtype is values.dtype and not copy:
        return self
    if device.type == "meta":
        raise _missing("to.device")
    if device.type == "gpu" and device.index is None and values.device.type == "gpu":
        device = values.device
    values = values.to(device, dtype, copy=copy)
    return _make(indices.to(device, copy=copy), values, self.shape, self._coalesced)


def _cast(dtype):
    return lambda self, memory_format=None: _converted(self, None, dtype)


def type_(self, dtype=None, non_blocking=False, **kwargs):
    """The name of the tensor's legacy type, or the tensor cast to a dtype."""
    if dtype is None:
        name = _core.Tensor.type(self._parts[1].detach())
        return f"{name.rpartition('.')[0]}.sparse.{name.rpartition('.')[2]}"
    if isinstance(dtype, str):
        dtype = dtype.replace("sparse.", "")
        return _converted(self, None, self._parts[1].detach()[:0].type(dtype).dtype)
    return _converted(self, None, getattr(dtype, "dtype", dtype))


def type_as(self, other):
    """The tensor in the dtype of another."""
    return _converted(self, other.device, other.dtype)


def clone(self, *, memory_format=None):
    """A copy, through which gradients flow."""
    return _like(self, self._parts[1].clone(), self._parts[0].clone())


def detach(self):
    """The tensor without its history."""
    return _like(self, self._parts[1].detach())


def detach_(self):
    """The tensor itself, cut from its history."""
    self._parts = (self._parts[0], self._parts[1].detach())
    return self


def requires_grad_(self, requires_grad=True):
    """Whether a leaf's values are recorded from now on."""
    indices, values = self._parts
    if values.is_leaf and values.requires_grad != requires_grad:
        # A tensor of its own: the values may be someone's who wants no gradient.
        self._parts = (indices, values.detach().requires_grad_(requires_grad))
    elif not values.is_leaf:
        values.requires_grad_(requires_grad)
    return self


def retain_grad(self):
    """Nothing to do for a leaf; other sparse tensors keep no gradients."""
    if not self.is_leaf:
        raise _missing("retain_grad")


def zeros_like(self, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None, pin_memory=None):
    """A tensor of the same shape without elements."""
    return _empty(self, self.shape, dtype, device, requires_grad)


def new_zeros(self, *size, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=None):
    """A tensor without elements, of the same dtype and number of dense dimensions."""
    size = tuple(size[0]) if len(size) == 1 and not isinstance(size[0], int) else size
    return _empty(self, size, dtype, device, requires_grad)


def _empty(x, size, dtype, device, requires_grad):
    dense = dense_dim(x)
    sparse = max(0, len(size) - dense)
    like = {"dtype": dtype or x.dtype, "device": device or x.device, "requires_grad": requires_grad}
    values = _core.zeros((0, *size[sparse:]), **like)
    return _make(_core.zeros((sparse, 0), dtype=_core.int64, device=like["device"]), values, size)


def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    """A strided tensor of ``data`` with the dtype and device of this one."""
    return _core.tensor(data, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)


def _assign(self, other):
    """``self`` becomes ``other``, in place."""
    if self._parts[1].requires_grad and self._parts[1].is_leaf and _core.is_grad_enabled():
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
    if other.dtype is not self.dtype:
        other = _converted(other, None, self.dtype)
    self._parts, self._coalesced = other._parts, other._coalesced
    return self


def copy_(self, src, non_blocking=False):
    """The places and values of another sparse tensor of the same size."""
    if not is_sparse(self) or not is_sparse(src):
        raise RuntimeError(
            "copy_() between dense and sparse Tensors is not implemented! Found self type = "
            f"{_type_name(self)} and src type = {_type_name(src)}"
        )
    if self.shape != src.shape:
        raise RuntimeError(
            f"copy_: sparse tensors of one size are expected, got {list(self.shape)} and {list(src.shape)}"
        )
    return _assign(self, _converted(clone(src), self.device, self.dtype))


def _type_name(x):
    return f"torch.{'sparse.' if is_sparse(x) else ''}{_kind(x.dtype)}Tensor"


def zero_(self):
    """Without elements from now on."""
    return _assign(self, zeros_like(self))


def add_(self, other, *, alpha=1):
    """``self += alpha * other``; of a dense tensor at the places of the sparse one."""
    if is_sparse(self) or not is_sparse(other):
        return _assign(self, add(self, other, alpha=alpha))
    if self.shape != other.shape:
        raise RuntimeError(
            f"add: expected sizes of 'self' and 'other' to match, but {list(self.shape)} != {list(other.shape)}"
        )
    indices, values = other._parts
    values = _scale(values, alpha).to(self.dtype)
    if not indices.shape[1]:
        return self
    return self.index_put_(tuple(indices.unbind(0)), values, accumulate=True)


def sub_(self, other, *, alpha=1):
    """``self -= alpha * other``."""
    return add_(self, other, alpha=-alpha)


def _in_place(op):
    def method(self, *args, **kwargs):
        if not is_sparse(self):
            raise _missing(op.__name__ + "_")
        return _assign(self, op(self, *args, **kwargs))

    method.__name__ = method.__qualname__ = op.__name__ + "_"
    method.__doc__ = f"See :func:`{op.__name__}`; in place."
    return method


def is_same_size(self, other):
    """Whether two tensors have one shape."""
    return tuple(self.shape) == tuple(other.shape)


def numpy(self, *args, **kwargs):
    """Raises TypeError: NumPy has no sparse arrays."""
    raise TypeError("can't convert Sparse layout tensor to numpy. Use Tensor.to_dense() first.")


def reshape(self, *shape):
    """Raises RuntimeError, as in PyTorch."""
    raise RuntimeError("reshape is not implemented for sparse tensors")


def contiguous(self, memory_format=None):
    """Raises RuntimeError, as in PyTorch."""
    raise RuntimeError("unsupported memory format option Contiguous")


def storage(self):
    """Raises NotImplementedError: there is no one storage."""
    raise NotImplementedError("Cannot access storage of SparseTensorImpl")


def item(self):
    """The one value of a tensor of one element."""
    if self.numel() != 1:
        raise RuntimeError(f"a Tensor with {self.numel()} elements cannot be converted to Scalar")
    return coalesce(self)._parts[1].sum().item()


def stride(self, dim=None):
    """Zeros: there are no steps in memory."""
    return (0,) * self.dim() if dim is None else 0


def iterate(self):
    """The slices along the first dimension."""
    return (select(self, 0, place) for place in range(self.shape[0]))


def _text(x):
    from . import _tensor_str

    with _core.no_grad():
        indices, values = x._parts[0], x._parts[1].detach()
        indent = len("tensor(")
        suffixes = [f"device='{x.device}'"] if x.device.type != "cpu" else []
        suffixes += [f"size={tuple(x.shape)}", *([] if x.is_meta else [f"nnz={_nnz(x)}"])]
        if x.dtype not in _tensor_str._unnamed():
            suffixes.append(f"dtype={x.dtype}")
        parts = []
        for name, part in (("indices", indices), ("values", values)):
            prefix = f"{name}=tensor("
            body = _tensor_str._tensor_str(part, indent + len(prefix))
            if not part.numel() or part.is_meta:
                body += f", size={tuple(part.shape)}"
            parts.append(f"{prefix}{body})")
        suffixes.append("layout=torch.sparse_coo")
        if x.grad_fn is not None:
            suffixes.append(f"grad_fn=<{x.grad_fn.name()}>")
        elif x.requires_grad:
            suffixes.append("requires_grad=True")
        return _tensor_str._add_suffixes(
            "tensor(" + (",\n" + " " * indent).join(parts), suffixes, indent, force_newline=True
        )


# ---- by name ---------------------------------------------------------------------------------------------------------

# By the names of functions and methods: what `__torch_function__` is asked for and what the class has.
_OPS = {
    op.__name__: op
    for op in (
        coalesce, is_coalesced, indices, values, _indices, _values, _nnz, sparse_dim, dense_dim, to_dense, to_sparse,
        permute, transpose, t, unsqueeze, select, index_select, cat, stack, add, sub, mul,
        neg, div, pow, sum, norm, softmax,
        log_softmax, mm, mv, bmm, matmul, linear, addmm, sparse_mask, to, type_as, clone, detach, detach_,
        requires_grad_, retain_grad, zeros_like, new_zeros, new_tensor, copy_, zero_, add_, sub_, is_same_size, numpy,
        reshape, contiguous, storage, item, stride,
        *map(_on_values, _ZERO_TO_ZERO),
        *map(_in_place, (mul, div, pow)),
    )
}  # fmt: skip
_OPS |= {
    "type": type_,
    "smm": mm,
    "spmm": mm,
    "_sparse_mm": mm,
    "concat": cat,
    "concatenate": cat,
    "absolute": _OPS["abs"],
    "negative": _OPS["neg"],
    "multiply": mul,
    "divide": div,
    "true_divide": div,
    "subtract": sub,
    "swapaxes": transpose,
    "swapdims": transpose,
    "empty_like": zeros_like,
    "new_empty": new_zeros,
    "rsub": lambda self, other, *, alpha=1: sub(other, self, alpha=alpha),
    "cpu": lambda self, memory_format=None: _converted(self, "cpu"),
    "is_contiguous": lambda self, memory_format=None: False,
    "untyped_storage": storage,
    "get_device": lambda self: self._parts[1].get_device(),
    "cuda": Tensor.cuda,
    "float": _cast(_core.float32),
    "double": _cast(_core.float64),
    "half": _cast(_core.float16),
    "bfloat16": _cast(_core.bfloat16),
    "int": _cast(_core.int32),
    "long": _cast(_core.int64),
    "short": _cast(_core.int16),
    "char": _cast(_core.int8),
    "byte": _cast(_core.uint8),
    "bool": _cast(_core.bool),
    "pin_memory": lambda self, device=None: self,
    "share_memory_": lambda self: self,
    "is_pinned": lambda self, device=None: False,
    "is_shared": lambda self: False,
    "__getitem__": index,
    "__iter__": iterate,
    "__add__": add,
    "__radd__": _reflected(add),
    "__iadd__": add_,
    "__sub__": sub,
    "__rsub__": _reflected(sub),
    "__isub__": sub_,
    "__mul__": mul,
    "__rmul__": mul,
    "__imul__": _OPS["mul_"],
    "__truediv__": div,
    "__rtruediv__": _reflected(div),
    "__itruediv__": _OPS["div_"],
    "__pow__": pow,
    "__matmul__": matmul,
    "__rmatmul__": _reflected(matmul),
    "__neg__": _OPS["neg"],
    "__pos__": lambda self: self,
    "__abs__": _OPS["abs"],
}

# What a tensor without memory answers rightly: its shape, its dtype, what every Python object has.
_INHERITED = """shape size dim ndim ndimension numel nelement dtype itemsize element_size is_floating_point is_complex
    is_signed is_inference is_cuda is_quantized is_nested is_mps is_xpu is_xla is_mkldnn is_ipu is_vulkan is_sparse_csr
    names dense_to_sparse output_nr _version __len__ __hash__ __class__ __dict__ __new__ __init__ __doc__ __module__
    __weakref__ __getattribute__ __setattr__ __delattr__ __init_subclass__ __subclasshook__ __dir__ __sizeof__
    __getstate__ __reduce__ __array_priority__ __torch_function__ _make_subclass
    _make_wrapper_subclass as_subclass _backward_hooks _cdata
    __match_args__ __annotations__ __firstlineno__ __static_attributes__ __class_getitem__ _is_param""".split()


def _refuse(name):
    def method(self, *args, **kwargs):
        raise _missing(name)

    method.__name__ = method.__qualname__ = name
    return method


def _complete():
    """Every method of ``Tensor`` is one written here or one that says that there is none."""
    for name in dir(Tensor):
        if name in SparseTensor.__dict__ or name in _INHERITED:
            continue
        op = _OPS.get(name)
        if op is None:
            op = _refuse(name)
            if not callable(getattr(Tensor, name, None)):
                op = property(op)
        setattr(SparseTensor, name, op)
    for name, op in _OPS.items():
        if name not in SparseTensor.__dict__:
            setattr(SparseTensor, name, op)


_complete()
