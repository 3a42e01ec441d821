"""Parts of ``Tensor`` that run seldom and read better in Python: pickling, copying, NumPy, legacy methods."""

import math
import warnings
from collections import OrderedDict

from . import _core
from ._core import Tensor


def _reduce_ex(self, protocol):
    from ._utils import _reduce_tensor

    return _reduce_tensor(self, protocol)


def _deepcopy(self, memo):
    if id(self) in memo:
        return memo[id(self)]
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  "
            "If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, "
            "see "
            "https://github.com/pytorch/pytorch/pull/103001"
        )
    import copy

    # Views of one storage stay views of one storage.
    storage = self._storage()
    key = ("storage", storage[2])
    if storage[1] and not self.is_meta:
        whole = memo.get(key)
        if whole is None:
            count = storage[1] // self.element_size()
            whole = memo[key] = self.detach().as_strided((count,), (1,), 0).clone()
        if whole.dtype is not self.dtype and storage[1] == whole.nbytes and storage[1] % self.element_size() == 0:
            whole = whole.view(_core.uint8).view(self.dtype)
        if whole.dtype is self.dtype:
            copied = whole.data.as_strided(self.shape, self.stride(), self.storage_offset()).detach()
        else:
            copied = self.detach().clone()
    elif self.is_meta and type(self) is not Tensor:
        copied = self.clone()  # the class may keep its data elsewhere
        if type(copied) is not type(self):
            raise RuntimeError(
                "The default implementation of __deepcopy__() for wrapper subclasses only works for subclass types "
                "that properly implement clone() by returning another instance of the same subclass."
            )
    else:
        copied = self.detach().clone()
    if type(copied) is not type(self):
        copied = Tensor._make_subclass(type(self), copied, False)
    if self.requires_grad:
        copied.requires_grad_()
    memo[id(self)] = copied
    if self.grad is not None:
        copied.grad = copy.deepcopy(self.grad, memo)
    if type(self) is not Tensor:
        from ._utils import _set_state, _state

        _set_state(copied, copy.deepcopy(_state(self), memo))  # with what is in slots
    elif self.__dict__:
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
    return copied


def _array(self, dtype=None, copy=None):
    array = self.numpy()
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    return array.copy() if copy else array


def _array_wrap(self, array, context=None, return_scalar=False):
    """What functions of NumPy return that take a tensor: a tensor."""
    return _core.as_tensor(array)


def numpy(self, *, force=False):
    """The values as a NumPy array over the same memory.

    Args:
        force: detach, resolve and copy to the CPU where that is needed.
    Raises: RuntimeError if the tensor requires a gradient and gradients are on; TypeError if NumPy lacks the dtype.
    """
    return _core._array_over(self.detach().cpu() if force else self if _core.is_grad_enabled() else self.detach())


def cpu(self, memory_format=None):
    """The tensor on the CPU; itself if it is there."""
    return self._to("cpu")


def to(self, *args, **kwargs):
    """The tensor with another dtype or on another device; itself where nothing changes.

    ``to(dtype)``, ``to(device, dtype)`` or ``to(other)``; ``copy=True`` always copies.
    """
    if not kwargs and len(args) == 1:
        # By far the most calls; most of those of a loop change nothing.
        (what,) = args
        kind = type(what)
        if kind is str:
            stays = what == "cpu" and self.is_cpu
        elif kind is _core.device:
            stays = what == self.device
        else:
            stays = kind is _core.dtype and what is self.dtype
        if stays and not _core._is_recording():
            return self
    memory_format = kwargs.pop("memory_format", None)
    if memory_format is not None and memory_format is not _core.preserve_format:
        return to(self, *args, **kwargs)._in_format(memory_format)
    device, dtype, copy = _parse_to(args, kwargs)
    if device is None and dtype is None and not copy:
        return self
    _warn_of_parts(self, dtype)
    return self._to(device, dtype, copy)


def _warn_of_parts(tensor, dtype):
    """What PyTorch says where numbers lose their imaginary parts."""
    if dtype is not None and not dtype.is_complex and dtype is not _core.bool and tensor.is_complex():
        warnings.warn("Casting complex values to real discards the imaginary part", stacklevel=3)


_DTYPES_OF_PYTHON = {float: _core.float64, int: _core.int64, bool: _core.bool, complex: _core.complex128}


def _dtype_of(value):
    """The dtype that a type of Python's numbers stands for; anything else as it is."""
    return _DTYPES_OF_PYTHON.get(value, value) if isinstance(value, type) else value


def _parse_to(args, kwargs):
    args = [_dtype_of(value) for value in args]
    device, dtype = kwargs.pop("device", None), _dtype_of(kwargs.pop("dtype", None))
    copy = kwargs.pop("copy", False)
    for ignored in ("non_blocking", "memory_format"):
        kwargs.pop(ignored, None)
    other = kwargs.pop("other", None)
    if kwargs:
        name = next(iter(kwargs))
        raise TypeError(f"to() got an unexpected keyword argument '{name}'")
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        other = rest.pop(0)
    if other is not None:
        device, dtype = other.device, other.dtype
    elif rest and isinstance(rest[0], _core.dtype):
        dtype = rest.pop(0)
    elif rest and (
        rest[0] is None or (isinstance(rest[0], (str, int, _core.device)) and not isinstance(rest[0], bool))
    ):
        device = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], _core.dtype)):
            dtype = rest.pop(0)
    flags = [flag for flag in rest if isinstance(flag, bool)]
    if len(flags) != len(rest) or len(flags) > 2:
        got = ", ".join(type(arg).__name__ for arg in args)
        raise TypeError(
            f"to() received an invalid combination of arguments - got ({got}), but expected one of:\n"
            " * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = False, bool copy = False, "
            "*, torch.memory_format memory_format = None)\n"
            " * (torch.dtype dtype, bool non_blocking = False, bool copy = False, *, torch.memory_format "
            "memory_format = None)\n"
            " * (Tensor tensor, bool non_blocking = False, bool copy = False, *, torch.memory_format "
            "memory_format = None)\n"
        )
    if len(flags) > 1:
        copy = flags[1]
    return device, dtype, copy


def type_(self, dtype=None, non_blocking=False, **kwargs):
    """The name of the tensor's legacy type, or the tensor cast to a dtype."""
    if dtype is None:
        prefix = "torch." if self.is_cpu else f"torch.{self.device.type}."
        return f"{prefix}{_legacy_name(self.dtype)}"
    if isinstance(dtype, str):
        name = dtype.rpartition(".")[2]
        for candidate, legacy in _LEGACY.items():
            if legacy == name:
                return self.to(candidate)
        raise ValueError(f"invalid type: '{dtype}'")
    return self.to(_core.get_default_dtype() if dtype is Tensor else getattr(dtype, "dtype", dtype))


_LEGACY = {
    _core.float32: "FloatTensor",
    _core.float64: "DoubleTensor",
    _core.float16: "HalfTensor",
    _core.bfloat16: "BFloat16Tensor",
    _core.uint8: "ByteTensor",
    _core.int8: "CharTensor",
    _core.int16: "ShortTensor",
    _core.int32: "IntTensor",
    _core.int64: "LongTensor",
    _core.bool: "BoolTensor",
    _core.complex32: "ComplexHalfTensor",
    _core.complex64: "ComplexFloatTensor",
    _core.complex128: "ComplexDoubleTensor",
}


def _legacy_name(dtype):
    return _LEGACY.get(dtype, f"{dtype}Tensor")


def _cast(name, dtype):
    def cast(self, memory_format=None):
        _warn_of_parts(self, dtype)
        return self if self.dtype is dtype else self._to(None, dtype)

    cast.__name__ = cast.__qualname__ = name
    cast.__doc__ = f"The tensor as {dtype}."
    return cast


def _view_dtype(self, dtype):
    """The same memory read as another dtype; where its elements have another size, the last dimension changes."""
    if dtype is self.dtype:
        return _native_view(self, self.shape)
    old, new = self.element_size(), dtype.itemsize
    shape, strides, offset = list(self.shape), list(self.stride()), self.storage_offset()
    pair = f"to view {_kind(self.dtype)} as {_kind(dtype)} (different element sizes)"
    if old != new and not shape:
        raise RuntimeError(f"self.dim() cannot be 0 {pair}")
    if old != new and strides[-1] != 1:
        raise RuntimeError(f"self.stride(-1) must be 1 {pair}, but got {strides[-1]}")
    if old > new:
        ratio = old // new
        strides = [stride * ratio for stride in strides[:-1]] + [1]
        shape[-1], offset = shape[-1] * ratio, offset * ratio
    elif old < new:
        ratio = new // old
        named = [("size(-1)", shape[-1]), ("storage_offset()", offset)]
        named += [(f"stride({dim})", stride) for dim, stride in enumerate(strides[:-1])]
        for name, value in named:
            if value % ratio:
                raise RuntimeError(f"self.{name} must be divisible by {ratio} {pair}, but got {value}")
        strides = [stride // ratio for stride in strides[:-1]] + [1]
        shape[-1], offset = shape[-1] // ratio, offset // ratio
    memory = _core._storage_bytes(self)
    if dtype is _core.bool and not self.is_meta:
        seen = _core._tensor_over(memory, _core.uint8, offset, shape, strides)
        if (seen > 1).any():
            raise RuntimeError("bytes other than 0 and 1 cannot be seen as bool")
    return _core._tensor_over(memory, dtype, offset, shape, strides)


def _kind(dtype):
    """The name of a dtype in PyTorch's messages: Float, Long."""
    return _legacy_name(dtype).removesuffix("Tensor").removeprefix("torch.").replace("ui", "UI")


def view(self, *size):
    """The same memory in another shape, or read as another dtype."""
    if len(size) == 1 and isinstance(dtype := _dtype_of(size[0]), _core.dtype):
        return _view_dtype(self, dtype)
    return _native_view(self, *size)


def type_as(self, other):
    """The tensor in the dtype and on the device of ``other``."""
    return self._to(other.device, other.dtype)


def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    """A tensor of ``data`` with the dtype and device of this one."""
    return _core.tensor(data, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)


def new(self, *args, size=None, device=None):
    """A tensor of the same dtype on the same device, of a size or of data.

    Raises: RuntimeError for another kind of device.
    """
    kind = self.device.type
    if device is not None and (asked := _core.device(device).type) != kind:
        raise RuntimeError(f"legacy constructor expects device type: {kind} but device type: {asked} was passed")
    return Tensor(*(args if size is None else size)).to(device or self.device, self.dtype)


def is_set_to(self, tensor):
    """Whether both tensors see the same memory in the same way: storage, offset, sizes and strides."""
    return (
        self.untyped_storage()._cdata == tensor.untyped_storage()._cdata
        and self.storage_offset() == tensor.storage_offset()
        and self.shape == tensor.shape
        and self.stride() == tensor.stride()
    )


def new_empty_strided(self, size, stride, *, dtype=None, device=None, requires_grad=False):
    """A tensor of arbitrary contents in the given layout, with the dtype and device of this one."""
    dtype, device = dtype or self.dtype, device or self.device
    return _core.empty_strided(size, stride, dtype=dtype, device=device).requires_grad_(requires_grad)


def _part(name):
    def get(self):
        return getattr(_core, name)(self)

    def put(self, value):
        get(self).copy_(value if isinstance(value, Tensor) else _core.tensor(value))

    return property(get, put, doc=f"The {name}inary parts: a view." if name == "imag" else "The real parts: a view.")


def reversed_(self):
    """What ``reversed`` gives: the tensor flipped along its first dimension."""
    return self.flip(0) if self.dim() else self


def to_dense(self, dtype=None, *, masked_grad=None):
    """The tensor itself, which is dense, in another dtype if that is given."""
    return self if dtype is None else self.to(dtype)


def set_(self, source=None, storage_offset=0, size=None, stride=None):
    """Look at the memory of a tensor or storage, from an offset on, in a given shape; without a source at none.

    Raises: RuntimeError for a source of another dtype.
    """
    if source is None:
        source = _core.empty(0, dtype=self.dtype, device=self.device)
    elif not isinstance(source, Tensor):
        source = source._as_numbers_of(self.dtype)
    if source.dtype is not self.dtype:
        raise RuntimeError(
            "Could not set tensor of type " + f"{source.dtype} to a tensor of type {self.dtype}".replace("torch.", "")
        )
    if size is not None:
        source = source.detach()
        strides = stride if stride is not None else _contiguous_strides(size)
        source = source.as_strided(tuple(size), tuple(strides), storage_offset)
    self.data = source
    return self


# The dimensions from the outermost in memory to the innermost.
_LAST = {_core.channels_last: (0, 2, 3, 1), _core.channels_last_3d: (0, 2, 3, 4, 1)}


def _contiguous_strides(sizes):
    count, strides = 1, []
    for size in reversed(sizes):
        strides.insert(0, count)
        count *= size
    return strides


def map_(self, tensor, callable):
    """Each element replaced by what a function makes of it and of the one in ``tensor``: slow."""
    return _mapped(self, callable, tensor)


def map2_(self, x, y, callable):
    """Each element replaced by what a function makes of it and of those in ``x`` and ``y``: slow."""
    return _mapped(self, callable, x, y)


def _mapped(self, callable, *others):
    if self.requires_grad or any(other.requires_grad for other in others):
        name = "map2_" if len(others) == 2 else "map_"
        raise RuntimeError(f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() instead.")
    columns = [other.expand(self.shape).reshape(-1).tolist() for other in (self, *others)]
    flat = [callable(*values) for values in zip(*columns, strict=True)]
    return self.copy_(_core.tensor(flat, dtype=self.dtype).reshape(self.shape))


def polygamma(self, n):
    """See :func:`rustnn.special.polygamma`."""
    from . import special

    return special.polygamma(n, self)


def as_strided_(self, size, stride, storage_offset=None):
    """The tensor itself in any geometry over its memory."""
    self._become_view(self.as_strided(size, stride, storage_offset))
    return self


def renorm_(self, p, dim, maxnorm):
    """See :func:`rustnn.renorm`; in place."""
    from . import functional

    return self.copy_(functional.renorm(self, p, dim, maxnorm))


def _in_place_of(name):
    def method(self, *args, **kwargs):
        return self.copy_(getattr(self, name)(*args, **kwargs))

    method.__name__ = method.__qualname__ = name + "_"
    method.__doc__ = f"See :meth:`{name}`; the result replaces the values of this tensor."
    return method


def dim_order(self):
    """The dimensions from the largest stride to the smallest."""
    return tuple(sorted(range(self.dim()), key=lambda d: -self.stride(d)))


def share_memory_(self):
    """Accepted for compatibility: threads share memory anyway; nothing moves."""
    return self


def is_shared(self):
    """Whether the memory is shared between processes: never."""
    return False


def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
    """The memory for another library, by the DLPack protocol.

    Raises: BufferError for tensors that require grad, are not on the CPU, or of dtypes that NumPy lacks.
    """
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if self.device.type != "cpu" or self.dtype == _core.bfloat16:
        raise BufferError(f"Can't export a tensor of {self.dtype} on {self.device}: it goes through NumPy, on the CPU")
    wishes = {"stream": stream, "max_version": max_version, "dl_device": dl_device}  # older NumPy knows fewer
    array = (self.clone() if copy else self).numpy()
    return array.__dlpack__(**{name: wish for name, wish in wishes.items() if wish is not None})


def __dlpack_device__(self):
    """(kind of device, its index): (1, 0), the CPU.

    Raises: BufferError elsewhere.
    """
    if self.device.type != "cpu":
        raise BufferError(f"a tensor on {self.device} cannot be exported: copy it to the CPU first")
    return 1, 0


def pin_memory(self, device=None):
    """Accepted for compatibility: there is nothing to pin for."""
    return self


def is_pinned(self, device=None):
    """Whether the memory is pinned: never."""
    return False


def cuda(self, device=None, non_blocking=False, memory_format=None):
    """There is no CUDA here.

    Raises: AssertionError, as PyTorch built without CUDA does.
    """
    raise AssertionError("Torch not compiled with CUDA enabled")


def get_device(self):
    """The index of the device, -1 on the CPU."""
    return -1 if self.device.index is None else self.device.index


def untyped_storage(self):
    """The storage behind the tensor: one object for all tensors over the same memory."""
    from . import storage

    return storage.untyped_storage(self)


def storage(self):
    """The storage behind the tensor, as numbers of its dtype."""
    from . import storage

    return storage.storage(self)


def storage_type(self):
    """The class of the storages of the tensor's dtype."""
    from . import storage

    return getattr(storage, storage._dtype_to_storage_type_map()[self.dtype])


def where(self, condition, other):
    """Not PyTorch's argument order of the function: ``self`` where ``condition`` holds, else ``other``."""
    return self._where(condition, other)


def _refuse_dense(name, message):
    def method(self):
        raise NotImplementedError(message) if name.startswith("_") else RuntimeError(message)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"``{name}`` of a sparse tensor; raises for a strided one, which this is."
    return method


def sparse_dim(self):
    """How many dimensions the places of a sparse tensor have: none, the tensor is strided."""
    return 0


def dense_dim(self):
    """How many dimensions are strided: all."""
    return self.dim()


def to_sparse(self, sparse_dim=None, *, layout=None, blocksize=None, dense_dim=None):
    """The sparse tensor of what is not zero: see :func:`rustnn.sparse_coo_tensor`.

    Args:
        sparse_dim: how many dimensions places have, all by default; the rest are in the values.
    """
    from . import _sparse

    return _sparse.dense_to_sparse(self, sparse_dim, layout=layout, blocksize=blocksize, dense_dim=dense_dim)


def to_sparse_coo(self):
    """:meth:`to_sparse`."""
    return self.to_sparse()


def _refuse_layout(name):
    def method(self, *args, **kwargs):
        raise NotImplementedError(f"{name}: rustnn has the sparse layout torch.sparse_coo only; see to_sparse()")

    method.__name__ = method.__qualname__ = name
    method.__doc__ = "Raises NotImplementedError: of the sparse layouts there is ``torch.sparse_coo`` only."
    return method


def _of_module(module, name):
    def method(self, *args, **kwargs):
        function = getattr(__import__(f"{__package__}.{module}", fromlist=[name]), name)
        return function(self, *args, **kwargs)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"See :func:`rustnn.{name}`."
    return method


def record_stream(self, stream):
    """Accepted for compatibility: there are no streams that memory could be in use on."""


def _reshape_in_place(name):
    def method(self, *args, **kwargs):
        if name == "t" and self.dim() > 2:
            raise RuntimeError(f"t_() expects a tensor with <= 2 dimensions, but self is {self.dim()}D")
        self._become_view(getattr(self, name)(*args, **kwargs))
        return self

    method.__name__ = method.__qualname__ = name + "_"
    method.__doc__ = f"""The tensor itself in the shape that ``{name}`` gives, over the same memory; gradients flow
    through.

    Raises: RuntimeError for a leaf that requires a gradient, and a view of one.
    """
    return method


def apply_(self, callable):
    """Each element replaced by what a function makes of it: slow."""
    flat = [callable(value) for value in self.detach().reshape(-1).tolist()]
    with _core.no_grad():
        self.copy_(_core.tensor(flat, dtype=self.dtype).reshape(self.shape))
    return self


def fill_diagonal_(self, fill_value, wrap=False):
    """Fill the main diagonal; of a tall matrix from its start again after each row left out, if ``wrap``.

    Raises: RuntimeError for fewer than two dimensions, and for more unless all sizes are equal.
    """
    if self.dim() < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.dim() > 2 and len(set(self.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    step, least = sum(self.stride()), min(self.shape)
    self.as_strided((least,), (step,), self.storage_offset()).fill_(fill_value)
    if wrap and self.dim() == 2:
        height, width = self.shape
        for start in range(width + 1, height, width + 1):
            self[start : start + width].diagonal().fill_(fill_value)
    return self


def resize_as_(self, the_template, *, memory_format=None):
    """:meth:`resize_` to another tensor's shape; with ``rustnn.preserve_format`` to its order of dimensions too."""
    if memory_format is _core.preserve_format:
        memory_format = next((f for f in _LAST if the_template.is_contiguous(memory_format=f)), None)
    return self.resize_(the_template.shape, memory_format=memory_format)


def resize_(self, *sizes, memory_format=None):
    """Another shape over the same memory; where that is too small, over new memory that begins with what was there.

    Other tensors over the old memory keep it then (in PyTorch they see the new).

    Raises: RuntimeError if the tensor requires a gradient.
    """
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    sizes = sizes[0] if len(sizes) == 1 and not isinstance(sizes[0], int) else sizes
    if memory_format is _core.preserve_format:
        raise RuntimeError("Unsupported memory format Preserve")
    order = _LAST.get(memory_format, ())
    if order and len(sizes) != len(order):
        raise RuntimeError(f"required rank {len(order)} tensor to use {str(memory_format).partition('.')[2]} format")
    if tuple(sizes) == tuple(self.shape) and memory_format is None:
        return self
    if math.prod(sizes) * self.element_size() >= 2**63:
        raise RuntimeError(f"Storage size calculation overflowed with sizes={list(sizes)}")
    strides, count = _contiguous_strides(sizes), math.prod(sizes)
    if order:
        dense = _contiguous_strides([sizes[d] for d in order])
        strides = [dense[order.index(d)] for d in range(len(order))]
    if max(strides, default=0) >= 2**63:
        raise RuntimeError("Stride calculation overflowed")
    _core._increment_version(self)
    offset = self.storage_offset()
    room = self.untyped_storage().nbytes() // self.element_size() - offset
    source = self.data
    if count > room:
        grown = _core.empty(count, dtype=self.dtype, device=self.device)
        grown[:room].copy_(source.as_strided((room,), (1,), offset))
        source, offset = grown, 0
    self.data = source.as_strided(tuple(sizes), tuple(strides), offset)
    return self


def norm(self, p="fro", dim=None, keepdim=False, dtype=None):
    """See :func:`rustnn.norm`."""
    from . import functional

    return functional.norm(self, p, dim, keepdim, dtype=dtype)


class _FunctionOff:
    """``DisableTorchFunctionSubclass``: overrides by ``__torch_function__`` are off inside."""

    def __enter__(self):
        self._before = _core._set_torch_function_off(True)

    def __exit__(self, *_):
        _core._set_torch_function_off(self._before)


def _torch_function(cls, func, types, args=(), kwargs=None):
    """The default: run the op, and give its result the subclass's type."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    with _FunctionOff():
        result = func(*args, **(kwargs or {}))
    return _convert(result, cls)


def _convert(result, cls):
    if cls is Tensor:
        return result
    if isinstance(result, Tensor) and not isinstance(result, cls):
        return result.as_subclass(cls)
    if isinstance(result, tuple) and not hasattr(result, "_fields"):
        return type(result)(_convert(item, cls) for item in result)
    if isinstance(result, list):
        return [_convert(item, cls) for item in result]
    return result


def _disabled_torch_function_impl(func, types, args=(), kwargs=None):
    """As a class's ``__torch_function__``: results of ops are plain tensors. The core knows it and need not call it."""
    with _FunctionOff():
        return func(*args, **(kwargs or {}))


_native_view = Tensor.view
_native_subclass = Tensor.__dict__["_make_subclass"]


def _make_subclass(cls, data, require_grad=False, *, dispatch_strides=False, dispatch_device=False, **_):
    """A new leaf of class ``cls`` over the memory of ``data``."""
    return _native_subclass.__get__(None, cls)(data, require_grad)


def module_load(self, other, assign=False):
    """What ``load_state_dict`` is to swap this parameter or buffer with, see :mod:`rustnn.__future__`.

    The values of ``other`` in this tensor's place and dtype, or with ``assign`` ``other`` as it is: a new object,
    always.
    """
    return other.detach() if assign else self.copy_(other).detach()


# Methods that are functions of a module's, on the tensor.
_FUNCTIONS = {
    "functional": """addbmm addr as_strided_scatter corrcoef cov diagonal_scatter diff dist
        dsplit float_power frexp gcd hash_tensor histogram hsplit i0 index_reduce isreal is_conj is_neg is_nonzero
        is_same_size kron lcm ldexp logaddexp2
        mvlgamma nanquantile nextafter quantile renorm select_scatter slice_scatter
        unsafe_chunk unsafe_split vdot vsplit""",
    "_spectrogram": "istft stft",
    "linalg": "matrix_exp matrix_power",
    "_matrix_functions": """cholesky cholesky_inverse cholesky_solve det eig geqrf inverse logdet lstsq lu lu_solve
        orgqr ormqr pinverse qr slogdet solve svd symeig triangular_solve""",
    "samplers": "cauchy_ geometric_ log_normal_",
    "special": "igamma igammac",
    "_sparse": "sparse_mask smm",
}


def _make_wrapper_subclass(cls, size, *args, **kwargs):
    """Raises: a tensor without memory that ``__torch_dispatch__`` stands for cannot be made; see `_make_subclass`."""
    if not hasattr(cls, "__torch_dispatch__"):
        raise TypeError(f"{cls.__name__} must define __torch_dispatch__")
    raise NotImplementedError(
        f"_make_wrapper_subclass: rustnn calls no __torch_dispatch__ ({cls.__name__}); define __torch_function__ and "
        "use _make_subclass"
    )


# What only sparse tensors have, and what PyTorch says of a strided one.
_OF_SPARSE = {
    "indices": "indices expected sparse coordinate tensor layout but got Strided",
    "values": "values expected sparse tensor layout but got Strided",
    "coalesce": "coalesce expected sparse coordinate tensor layout but got Strided",
    "is_coalesced": "is_coalesced expected sparse coordinate tensor layout but got Strided",
    "crow_indices": "crow_indices expected sparse row compressed tensor layout but got Strided",
    "col_indices": "col_indices expected sparse row compressed tensor layout but got Strided",
    **{
        name: f"Could not run 'aten::{name}' with arguments from the 'CPU' backend: the tensor is not sparse"
        for name in ("_indices", "_values", "_nnz")
    },
}


def install():
    """Put the methods above on ``Tensor``."""
    for method in (
        numpy,
        cpu,
        to,
        type_as,
        new_tensor,
        new,
        dim_order,
        __dlpack__,
        __dlpack_device__,
        share_memory_,
        is_shared,
        pin_memory,
        is_pinned,
        module_load,
        cuda,
        get_device,
        untyped_storage,
        storage,
        storage_type,
        where,
        view,
        norm,
        record_stream,
        apply_,
        fill_diagonal_,
        resize_,
        resize_as_,
        is_set_to,
        new_empty_strided,
        to_dense,
        set_,
        map_,
        map2_,
        renorm_,
        polygamma,
        as_strided_,
        sparse_dim,
        dense_dim,
        to_sparse,
        to_sparse_coo,
        *map(_refuse_layout, ("to_sparse_csr", "to_sparse_csc", "to_sparse_bsr", "to_sparse_bsc")),
        *(_refuse_dense(name, message) for name, message in _OF_SPARSE.items()),
        *map(
            _in_place_of,
            """addmm addbmm addmv addr baddbmm gcd i0 igamma igammac index_reduce lcm ldexp nextafter
            mvlgamma polygamma""".split(),
        ),
        *map(_reshape_in_place, ("unsqueeze", "squeeze", "transpose", "t", "swapaxes", "swapdims")),
    ):
        setattr(Tensor, method.__name__, method)
    for module, names in _FUNCTIONS.items():
        for name in names.split():
            setattr(Tensor, name, _of_module(module, name))
    Tensor._make_subclass = staticmethod(_make_subclass)
    Tensor._make_wrapper_subclass = staticmethod(_make_wrapper_subclass)
    Tensor.__reversed__ = reversed_
    Tensor.real, Tensor.imag = _part("real"), _part("imag")
    Tensor.mH = property(lambda self: self.mT.conj(), doc="The last two dimensions exchanged, conjugated.")
    Tensor.type = type_
    for name, dtype in {
        "float": _core.float32,
        "double": _core.float64,
        "half": _core.float16,
        "bfloat16": _core.bfloat16,
        "chalf": _core.complex32,
        "cfloat": _core.complex64,
        "cdouble": _core.complex128,
        "int": _core.int32,
        "long": _core.int64,
        "short": _core.int16,
        "char": _core.int8,
        "byte": _core.uint8,
        "bool": _core.bool,
    }.items():
        setattr(Tensor, name, _cast(name, dtype))
    Tensor.__array_priority__ = 1000
    Tensor.__array_wrap__ = _array_wrap
    Tensor.__torch_function__ = classmethod(_torch_function)
    Tensor.is_sparse_csr = property(lambda self: False)
    Tensor.names = property(lambda self: (None,) * self.dim())
    Tensor.is_mps = Tensor.is_xpu = Tensor.is_xla = property(lambda self: False)
    Tensor._grad = property(lambda self: self.grad, lambda self, grad: setattr(self, "grad", grad))
    Tensor._cdata = property(id)
    Tensor._backward_hooks = property(lambda self: None)
    Tensor._state_hooks = property(lambda self: OrderedDict())
    _core._set_function_markers(_disabled_torch_function_impl, _torch_function)
    _core._disabled_torch_function_impl = _disabled_torch_function_impl
