"""The functions that files name for rebuilding tensors: PyTorch's are called ``torch._utils._rebuild_…``."""

import copyreg

from . import _core

# PyTorch has typed storages for these; tensors of the newer dtypes say their dtype themselves.
_TYPED = frozenset(
    (
        _core.float64,
        _core.float32,
        _core.float16,
        _core.bfloat16,
        _core.int64,
        _core.int32,
        _core.int16,
        _core.int8,
        _core.uint8,
        _core.bool,
        _core.complex64,
        _core.complex128,
    )
)


def _element_size(dtype):
    """How many bytes an element has.

    Raises: RuntimeError for what is no dtype.
    """
    if not isinstance(dtype, _core.dtype):
        raise RuntimeError(f"expected torch.dtype, but got {type(dtype)}")
    return dtype.itemsize


def _rebuild(storage, dtype, offset, size, stride, requires_grad, metadata):
    tensor = _core._tensor_over(storage.untyped()._bytes, dtype, offset, list(size), list(stride), bool(requires_grad))
    if metadata:
        tensor = _core._resolve_bits(tensor, bool(metadata.get("conj")), bool(metadata.get("neg")))
    return tensor


def _rebuild_tensor(storage, storage_offset, size, stride):
    """Files before PyTorch 0.4."""
    return _rebuild(storage, storage.dtype, storage_offset, size, stride, False, None)


def _rebuild_tensor_v2(storage, storage_offset, size, stride, requires_grad, backward_hooks, metadata=None):
    """A tensor over a typed storage. Backward hooks are never in files."""
    return _rebuild(storage, storage.dtype, storage_offset, size, stride, requires_grad, metadata)


def _rebuild_tensor_v3(storage, storage_offset, size, stride, requires_grad, backward_hooks, dtype, metadata=None):
    """A tensor of any dtype over an untyped storage."""
    return _rebuild(storage, dtype, storage_offset, size, stride, requires_grad, metadata)


def _rebuild_meta_tensor_no_storage(dtype, size, stride, requires_grad):
    """A tensor of the meta device."""
    tensor = _core.empty_strided(tuple(size), tuple(stride), dtype=dtype, device="meta")
    return tensor.requires_grad_() if requires_grad else tensor


def _rebuild_sparse_tensor(layout, data):
    """A sparse tensor of its indices, values, size and, in newer files, whether it is coalesced."""
    from ._sparse import sparse_coo_tensor

    if layout is not _core.sparse_coo:
        raise NotImplementedError(f"rebuilding sparse tensor for layout {layout}: rustnn has torch.sparse_coo only")
    if not isinstance(data, tuple) or len(data) not in (3, 4) or not all(isinstance(x, _core.Tensor) for x in data[:2]):
        raise RuntimeError("rebuilding a sparse tensor: its indices, values and size are expected")
    indices, values, size, *coalesced = data
    coalesced = bool(coalesced and coalesced[0])
    return sparse_coo_tensor(indices, values, size, check_invariants=True, is_coalesced=coalesced)


def _rebuild_parameter(data, requires_grad, backward_hooks):
    """A parameter."""
    from .nn.parameter import Parameter

    return Parameter(data, requires_grad)


def _rebuild_parameter_with_state(data, requires_grad, backward_hooks, state):
    """A parameter that carries attributes."""
    return _set_state(_rebuild_parameter(data, requires_grad, backward_hooks), state)


def _rebuild_from_type_v2(function, cls, arguments, state):
    """A tensor of a subclass, or with attributes. Files name it ``torch._tensor._rebuild_from_type_v2``."""
    tensor = function(*arguments)
    if type(tensor) is not cls:
        tensor = cls._make_subclass(cls, tensor, tensor.requires_grad)
    setstate = getattr(cls, "__setstate__", None)
    if setstate is None:
        return _set_state(tensor, state)
    setstate(tensor, state)
    return tensor


def _set_state(target, state):
    slots = None
    if isinstance(state, tuple):
        if len(state) != 2:
            raise RuntimeError(f"Invalid serialized state: {state}")
        state, slots = state
    if state:
        target.__dict__.update(state)
    for name, value in (slots or {}).items():
        setattr(target, name, value)
    return target


def _state(source):
    """What ``_set_state`` takes: the attributes, and those in slots."""
    attributes = dict(source.__dict__)
    names = [name for name in copyreg._slotnames(type(source)) if hasattr(source, name)]
    return (attributes, {name: getattr(source, name) for name in names}) if names else attributes


def _reduce_tensor(self, protocol):
    """``Tensor.__reduce_ex__``: the storage, and the view of it."""
    size, stride = tuple(self.shape), tuple(self.stride())
    if self.is_meta:
        function, arguments = _rebuild_meta_tensor_no_storage, (self.dtype, size, stride, self.requires_grad)
    else:
        from collections import OrderedDict

        view = (self.storage_offset(), size, stride, self.requires_grad, OrderedDict())
        if self.dtype in _TYPED:
            function, arguments = _rebuild_tensor_v2, (self.storage(), *view)
        else:
            function, arguments = _rebuild_tensor_v3, (self.untyped_storage(), *view, self.dtype)
    state = _state(self)
    if type(self) is _core.Tensor and not state:
        return function, arguments
    return _rebuild_from_type_v2, (function, type(self), arguments, state)


# ---- many tensors as one ---------------------------------------------------------------------------------------------


def _flatten_dense_tensors(tensors):
    """The elements of all tensors, one behind another; of a single contiguous tensor, a view."""
    tensors = list(tensors)
    if len(tensors) == 1:
        return tensors[0].contiguous().view(-1)
    return _core.cat([tensor.reshape(-1) for tensor in tensors])


def _unflatten_dense_tensors(flat, tensors):
    """Views of ``flat`` in the shapes of ``tensors``, one behind another."""
    views, at = [], 0
    for tensor in tensors:
        count = tensor.numel()
        part = flat.narrow(0, at, count) if count else _core.empty(0, dtype=flat.dtype, device=flat.device)
        views.append(part.view(tensor.shape))
        at += count
    return tuple(views)


def _take_tensors(tensors, size_limit):
    """Lists of tensors of one type, each of ``size_limit`` bytes at most or a single tensor."""
    waiting = {}
    for tensor in tensors:
        kind, size = tensor.type(), tensor.numel() * tensor.element_size()
        group, total = waiting.get(kind, ([], 0))
        if group and total + size > size_limit:
            yield group
            group, total = [], 0
        group.append(tensor)
        waiting[kind] = group, total + size
    for group, _ in waiting.values():
        yield group
