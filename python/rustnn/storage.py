"""Storages: the memory behind tensors, as objects of their own. Files and ``map_location`` speak of them."""

import copy
import sys
import weakref

from . import _core

__all__ = ["TypedStorage", "UntypedStorage"]

# One object per living storage, so that shared memory stays shared through a pickle.
_living = weakref.WeakValueDictionary()


class UntypedStorage:
    """Bytes of memory on one device, shared by the tensors over it.

    Args:
        size: how many bytes (their values are arbitrary), or a sequence of them.
        device: where; the CPU by default.
    Example:
        >>> import rustnn
        >>> storage = rustnn.tensor([1, 2], dtype=rustnn.int16).untyped_storage()
        >>> storage.nbytes(), storage.tolist()
        (4, [1, 0, 2, 0])
    """

    def __init__(self, size=0, *, device=None):
        if isinstance(size, int):
            self._bytes = _core.empty(size, dtype=_core.uint8, device=device)
        else:
            self._bytes = _core.tensor(list(size), dtype=_core.uint8, device=device)
        if self._is_whole():
            _living[self._cdata] = self

    @classmethod
    def _over(cls, array):
        """The storage over a vector of bytes: one object, where the vector is a whole storage."""
        storage = cls.__new__(cls)
        storage._bytes = array
        return _living.setdefault(storage._cdata, storage) if storage._is_whole() else storage

    @classmethod
    def from_buffer(cls, buffer, byte_order="native", *, dtype=None, offset=0, count=-1):
        """A storage with a copy of a buffer's bytes."""
        data = bytes(buffer)[offset : None if count < 0 else offset + count]
        storage = cls(len(data))
        _core._fill_bytes(storage._bytes, data)
        return storage

    @classmethod
    def from_file(cls, filename, shared=False, nbytes=0):
        """A storage over a file that is mapped into memory.

        Args:
            shared: whether what is written is written to the file, which is made or grown where need be.
            nbytes: how many bytes.
        Raises: RuntimeError for a file that is too small, OSError for one that cannot be opened.
        """
        from ._native_names import from_file

        storage = cls._over(_core._storage_bytes(from_file(filename, shared, nbytes, dtype=_core.uint8)))
        storage.filename = str(filename) if shared else None
        return storage

    def _as_numbers_of(self, dtype=None):
        """The memory as a vector of numbers, int64 by default."""
        dtype = _core.int64 if dtype is None else dtype
        return _core._tensor_over(self._bytes, dtype, 0, (self.nbytes() // dtype.itemsize,), (1,))

    def _is_whole(self):
        return self._bytes.storage_offset() == 0 and self._bytes.numel() == self._bytes._storage()[1]

    @property
    def _cdata(self):
        """A number that tells living storages apart."""
        return self._bytes._storage()[2]

    @property
    def device(self):
        """Where the bytes lie."""
        return self._bytes.device

    is_cuda = False
    is_sparse = False
    filename = None

    def nbytes(self):
        """How many bytes."""
        return self._bytes.numel()

    size = __len__ = nbytes

    def element_size(self):
        """1: the elements are bytes."""
        return 1

    def data_ptr(self):
        """The address of the first byte."""
        return self._bytes.data_ptr()

    def __sizeof__(self):
        return object.__sizeof__(self) + self.nbytes()

    def __getitem__(self, index):
        _check_has_data(self)
        if isinstance(index, slice):
            if index.step not in (None, 1):
                raise RuntimeError(f"Trying to slice with a step of {index.step}, but only a step of 1 is supported")
            return type(self)._over(self._bytes[index])
        return self._bytes[index].item()

    def __setitem__(self, index, value):
        self._bytes[index] = value

    def __iter__(self):
        return iter(self.tolist())

    def tolist(self):
        """The bytes as a list of ints."""
        return self._bytes.tolist()

    def fill_(self, value):
        """Set every byte."""
        self._bytes.fill_(value)
        return self

    def copy_(self, source, non_blocking=None):
        """Take over the bytes of another storage of the same size."""
        self._bytes.copy_(source._bytes)
        return self

    def clone(self):
        """A storage of its own with the same bytes."""
        return type(self)._over(self._bytes.clone())

    def to(self, *, device, non_blocking=False):
        """The storage on another device; itself if it is there."""
        moved = self._bytes.to(device)
        return self if moved is self._bytes else type(self)._over(moved)

    def cpu(self):
        """The storage in the CPU's memory."""
        return self.to(device="cpu")

    def cuda(self, device=None, non_blocking=False):
        """There is no CUDA here."""
        return self._bytes.cuda(device)

    def byteswap(self, dtype):
        """Reverse the bytes of each number of ``dtype``, in place."""
        width = dtype.itemsize // (2 if dtype.is_complex else 1)
        self._bytes.copy_(self._bytes.reshape(-1, width).flip(1).reshape(-1))

    def resize_(self, size):
        """Another size, of a storage without data: all others keep theirs."""
        if self.device.type == "meta":
            self._bytes = _core.empty(size, dtype=_core.uint8, device="meta")
        elif size != self.nbytes():
            raise NotImplementedError(f"a storage keeps its size of {self.nbytes()} bytes; make a new one of {size}")
        return self

    def share_memory_(self):
        """Accepted for compatibility: threads share memory anyway."""
        return self

    def is_shared(self):
        """Whether the memory is shared between processes: never."""
        return False

    def pin_memory(self, device=None):
        """Accepted for compatibility."""
        return self

    def is_pinned(self, device=None):
        """Whether the memory is pinned: never."""
        return False

    def untyped(self):
        """Itself."""
        return self

    def __copy__(self):
        return self.clone()

    def __deepcopy__(self, memo):
        # Under the key by which tensors over this storage find their copy.
        _, size, number = self._bytes._storage()
        whole = memo.get(("storage", number)) if size else None
        if whole is None:
            whole = self._bytes.clone()
            if size:
                memo["storage", number] = whole
        return memo.setdefault(id(self), type(self)._over(_core._storage_bytes(whole)))

    def __reduce__(self):
        return _from_bytes, (_core._get_bytes(self._bytes),)

    def __repr__(self):
        lines = "".join(f" {byte}\n" for byte in self.tolist())
        return f"{lines}[{type(self).__module__}.{type(self).__name__}(device={self.device}) of size {len(self)}]"


def _check_has_data(storage):
    if storage.device.type == "meta":
        raise NotImplementedError("Not available for 'meta' device type")


def _from_bytes(data):
    """Unpickle a storage."""
    return UntypedStorage.from_buffer(data)


class TypedStorage:
    """A storage seen as numbers of one dtype, as PyTorch had them before version 2.

    Args:
        size: how many numbers (arbitrary values), or a sequence of them.
        wrap_storage: the storage to see.
        dtype: of the numbers.
    """

    def __init__(self, size=0, *, wrap_storage=None, dtype=None, device=None, _internal=False):
        self.dtype = dtype or type(self).__dict__.get("dtype") or _core.get_default_dtype()
        if wrap_storage is None:
            if isinstance(size, int):
                array = _core.empty(size, dtype=self.dtype, device=device)
            else:
                array = _core.tensor(list(size), dtype=self.dtype, device=device)
            wrap_storage = UntypedStorage._over(_core._storage_bytes(array))
        elif not isinstance(wrap_storage, UntypedStorage):
            raise TypeError(f"Argument 'wrap_storage' must be UntypedStorage, but got {type(wrap_storage).__name__}")
        self._untyped_storage = wrap_storage

    @classmethod
    def from_buffer(cls, buffer, byte_order=None, *, dtype=None, offset=0, count=-1):
        """A storage with a copy of the numbers in a buffer.

        Args:
            buffer: bytes or what gives them. byte_order: ``"native"``, ``"little"`` or ``"big"``.
            offset: bytes before the first number. count: how many; all by default.
        Raises: ValueError for another byte order, for bytes that are no whole numbers, for too few bytes.
        """
        dtype = cls.__dict__.get("dtype") or dtype or _core.get_default_dtype()
        if byte_order not in ("native", "little", "big") and dtype.itemsize > 1:
            raise ValueError(f"invalid byte_order '{byte_order}' (expected 'big', 'little', or 'native')")
        data = bytes(buffer)[offset:]
        if offset > len(bytes(buffer)):
            raise ValueError(
                f"offset must be non-negative and no greater than buffer length ({len(data)}), got {offset}"
            )
        if count < 0:
            if len(data) % dtype.itemsize:
                raise ValueError(f"buffer size ({len(data)}) must be a multiple of element size ({dtype.itemsize})")
        elif count * dtype.itemsize > len(data):
            raise ValueError(
                f"buffer has only {len(data)} elements after offset {offset}, but specified a size of {count}"
            )
        else:
            data = data[: count * dtype.itemsize]
        untyped = UntypedStorage.from_buffer(data)
        if byte_order not in ("native", sys.byteorder):
            untyped.byteswap(dtype)
        return cls(wrap_storage=untyped, dtype=dtype)

    @classmethod
    def from_file(cls, filename, shared=False, size=0):
        """A storage of ``size`` numbers over a file, see :meth:`UntypedStorage.from_file`.

        Raises: RuntimeError for a class without a dtype.
        """
        dtype = cls.__dict__.get("dtype")
        if dtype is None:
            raise RuntimeError("from_file can only be called on derived classes")
        untyped = UntypedStorage.from_file(filename, shared, size * dtype.itemsize)
        return cls(wrap_storage=untyped, dtype=dtype)

    @property
    def _cdata(self):
        """A number that tells living storages apart."""
        return self._untyped_storage._cdata

    @property
    def filename(self):
        """Of the file that the memory shows: None, for memory of its own."""
        return self._untyped_storage.filename

    def resizable(self):
        """Whether :meth:`UntypedStorage.resize_` changes the size: no."""
        return False

    def type(self, dtype=None, non_blocking=False):
        """The name of the storage's class, or the numbers as those of another class, given by its name or itself."""
        if dtype is None:
            return f"torch.{_KINDS[self.dtype]}Storage"
        name = dtype if isinstance(dtype, str) else dtype.__name__
        name = name.rsplit(".", 1)[-1]
        if name not in __all__ or name in ("TypedStorage", "UntypedStorage"):
            raise RuntimeError(f"storage.type: no storage is called {name!r}")
        return self._as(_NAMES[name.removesuffix("Storage")])

    def _as(self, dtype):
        if dtype is self.dtype:
            return self
        return _typed(UntypedStorage._over(_core._storage_bytes(self._numbers().to(dtype))), dtype)

    def copy_(self, source, non_blocking=None):
        """Take over the numbers of another storage of as many."""
        self._numbers().copy_(source._numbers())
        return self

    def _as_numbers_of(self, dtype=None):
        """The memory as a vector of the storage's numbers.

        Raises: RuntimeError for another dtype.
        """
        if dtype not in (None, self.dtype):
            raise RuntimeError(
                f"Expected a Storage of type {dtype} or an UntypedStorage, but got type {self.dtype} for argument 1 "
                "'storage'"
            )
        return self._untyped_storage._as_numbers_of(self.dtype)

    def resize_(self, size):
        """Another number of numbers, see :meth:`UntypedStorage.resize_`."""
        self._untyped_storage.resize_(size * self.dtype.itemsize)

    def __sizeof__(self):
        return object.__sizeof__(self) + self.nbytes()

    def _numbers(self):
        count = self._untyped_storage.nbytes() // self.dtype.itemsize
        return _core._tensor_over(self._untyped_storage._bytes, self.dtype, 0, [count], [1])

    @property
    def device(self):
        """Where the numbers lie."""
        return self._untyped_storage.device

    is_cuda = False

    def untyped(self):
        """The bytes."""
        return self._untyped_storage

    def share_memory_(self):
        """Accepted for compatibility: threads share memory anyway."""
        return self

    def is_shared(self):
        """Whether the memory is shared between processes: never."""
        return False

    def nbytes(self):
        """How many bytes."""
        return self._untyped_storage.nbytes()

    def size(self):
        """How many numbers."""
        return self.nbytes() // self.dtype.itemsize

    __len__ = size

    def element_size(self):
        """How many bytes a number has."""
        return self.dtype.itemsize

    def data_ptr(self):
        """The address of the first number."""
        return self._untyped_storage.data_ptr()

    def __getitem__(self, index):
        _check_has_data(self)
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        return self._numbers()[index].item()

    def __setitem__(self, index, value):
        self._numbers()[index] = value

    def __iter__(self):
        return iter(self.tolist())

    def tolist(self):
        """The numbers as a list."""
        return self._numbers().tolist()

    def fill_(self, value):
        """Set every number."""
        self._numbers().fill_(value)
        return self

    def clone(self):
        """A storage of its own with the same numbers."""
        return type(self)(wrap_storage=self._untyped_storage.clone(), dtype=self.dtype)

    def to(self, *, device, non_blocking=False):
        """The storage on another device."""
        moved = self._untyped_storage.to(device=device)
        return self if moved is self._untyped_storage else type(self)(wrap_storage=moved, dtype=self.dtype)

    def cpu(self):
        """The storage in the CPU's memory."""
        return self.to(device="cpu")

    def cuda(self, device=None, non_blocking=False):
        """There is no CUDA here."""
        return self._untyped_storage.cuda(device)

    def __eq__(self, other):
        if not isinstance(other, TypedStorage):
            return NotImplemented
        return self.dtype is other.dtype and self._untyped_storage is other._untyped_storage

    def __hash__(self):
        return hash((self.dtype, self._untyped_storage._cdata))

    def __deepcopy__(self, memo):
        return _typed(copy.deepcopy(self._untyped_storage, memo), self.dtype)

    def __reduce__(self):
        return _typed, (self._untyped_storage, self.dtype)

    def __repr__(self):
        lines = "".join(f" {number}\n" for number in self.tolist())
        return f"{lines}[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) of size {len(self)}]"


def _typed(untyped, dtype):
    """Unpickle a typed storage."""
    return TypedStorage(wrap_storage=untyped, dtype=dtype)


def _storage_of(array, dtype):
    """A storage object over a vector of bytes; typed if there is a dtype."""
    untyped = UntypedStorage._over(array)
    return untyped if dtype is None else _typed(untyped, dtype)


def untyped_storage(self):
    """The storage behind the tensor: one object for all tensors over the same memory."""
    return UntypedStorage._over(_core._storage_bytes(self))


def storage(self):
    """The storage behind the tensor, as numbers of its dtype."""
    return _typed(untyped_storage(self), self.dtype)


def _dtype_to_storage_type_map():
    """The names of the storages' classes by dtype."""
    return {dtype: f"{kind}Storage" for dtype, kind in _KINDS.items()}


def _storage_type_to_dtype_map():
    """The dtypes by the names of the storages' classes."""
    return {f"{kind}Storage": dtype for dtype, kind in _KINDS.items()}


# The names that PyTorch's files give to the storages of each dtype.
_NAMES = {
    "Double": _core.float64,
    "Float": _core.float32,
    "Half": _core.float16,
    "BFloat16": _core.bfloat16,
    "Long": _core.int64,
    "Int": _core.int32,
    "Short": _core.int16,
    "Char": _core.int8,
    "Byte": _core.uint8,
    "Bool": _core.bool,
    "ComplexFloat": _core.complex64,
    "ComplexDouble": _core.complex128,
}
_KINDS = {dtype: kind for kind, dtype in _NAMES.items()}


def _conversion(method, dtype):
    def convert(self):
        return self._as(dtype)

    convert.__name__ = convert.__qualname__ = method
    convert.__doc__ = f"The numbers as those of {dtype}; the storage itself if they are."
    return convert


for _kind, _dtype in _NAMES.items():
    _name = f"{_kind}Storage"
    globals()[_name] = type(_name, (TypedStorage,), {"dtype": _dtype, "__module__": "rustnn", "__doc__": f"{_dtype}."})
    __all__.append(_name)
    if not _dtype.is_complex:
        setattr(TypedStorage, _kind.lower(), _conversion(_kind.lower(), _dtype))
