"""PyTorch's checkpoint files, written and read; nothing in them runs unless that is asked for."""

import io
import os
import pickle
import threading
import typing
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from enum import Enum

from . import _core

__all__ = [
    "LoadEndianness",
    "add_safe_globals",
    "clear_safe_globals",
    "default_restore_location",
    "get_crc32_options",
    "get_default_load_endianness",
    "get_default_mmap_options",
    "get_safe_globals",
    "get_unsafe_globals_in_checkpoint",
    "inspect_checkpoint",
    "load",
    "location_tag",
    "register_package",
    "safe_globals",
    "save",
    "set_crc32_options",
    "set_default_load_endianness",
    "set_default_mmap_options",
    "skip_data",
]

DEFAULT_PROTOCOL = 2
# For annotations.
FILE_LIKE = str | os.PathLike | io.IOBase
MAP_LOCATION = typing.Any

# Types of arguments, which other libraries' annotations name.
FileLike = str | os.PathLike | io.IOBase
MAP_LOCATION = Callable | _core.device | str | dict | None

# ---- what may be named -----------------------------------------------------------------------------------------------

_safe = []


def add_safe_globals(safe_globals):
    """Allow classes and functions in files loaded with ``weights_only=True``.

    Args:
        safe_globals: a list of them, or of pairs (object, full name in the file).
    """
    _safe.extend(item for item in safe_globals if item not in _safe)


def get_safe_globals():
    """What was allowed so far."""
    return list(_safe)


def clear_safe_globals():
    """Allow the closed list only."""
    _safe.clear()


class safe_globals:
    """A context in which some globals are allowed.

    Args:
        safe_globals: as for :func:`add_safe_globals`.
    """

    def __init__(self, safe_globals):
        self._new = list(safe_globals)

    def __enter__(self):
        add_safe_globals(self._new)

    def __exit__(self, *_):
        _safe[:] = [item for item in _safe if item not in self._new]


def _allowed():
    """What was allowed, by the full name that files give it."""
    from ._utils import _rebuild_sparse_tensor

    allowed = {"torch._utils._rebuild_sparse_tensor": _rebuild_sparse_tensor}  # in Python, beyond the core's list
    for item in _safe:
        if not isinstance(item, tuple):
            allowed[_name_in_files(item.__module__, item.__qualname__)] = item
            continue
        if len(item) != 2:
            raise ValueError(
                f"Expected tuple of length 2 (global, str of callable full path), but got tuple of length: {len(item)}"
            )
        if type(item[1]) is not str:
            raise TypeError(f"Expected second item in tuple to be str of callable full path, but got: {type(item[1])}")
        allowed[_name_in_files(*item[1].rpartition(".")[::2])] = item[0]
    return allowed


def _name_in_files(module, name):
    """Files name PyTorch's classes: each side reads them as its own."""
    if module in ("rustnn", "rustnn._core"):
        module = "torch"
    elif module.startswith("rustnn."):
        module = "torch" + module[len("rustnn") :]
    return f"{module}.{name}"


class StorageType:
    """The class of a typed storage, as a file names it."""

    def __init__(self, dtype):
        self.dtype = dtype


def normalize_storage_type(storage_type):
    """The class of storages that has the name of another, such as CUDA's."""
    import rustnn

    return getattr(rustnn, storage_type.__name__)


def _find_global(module, name):
    """Our object for a name in a file, which is PyTorch's name for it.

    Raises: AttributeError where there is none here.
    """
    import importlib
    import sys

    if module != "torch" and not module.startswith("torch."):
        importlib.import_module(module)
        return _dotted(sys.modules[module], name)
    if name.endswith("Storage"):
        from . import storage

        kind = storage._NAMES.get(name.removesuffix("Storage"))
        if kind is not None:
            return StorageType(kind)
        if name in ("UntypedStorage", "TypedStorage"):
            return getattr(storage, name)
    if module in ("torch._utils", "torch._tensor", "torch.tensor") and name.startswith("_rebuild"):
        from . import _utils

        if not hasattr(_utils, name):
            raise AttributeError(
                f"{module}.{name} makes sparse, quantized, nested or wrapped tensors, which rustnn lacks"
            )
        return getattr(_utils, name)
    if module == "torch.storage" and name == "_load_from_bytes":
        return _load_from_bytes
    if module == "torch.serialization" and name == "_get_layout":
        return _get_layout
    if (module, name) == ("torch", "device"):
        return _device
    if (module, name) in (("torch._C", "_VariableFunctionsClass"), ("torch._C", "_VariableFunctions")):
        import rustnn

        return rustnn
    own = {"torch._C": "rustnn", "torch._C._nn": "rustnn.nn.functional"}.get(module, "rustnn" + module[len("torch") :])
    # Some classes have moved between PyTorch's files; their package has them all.
    package = "rustnn.nn" if own.startswith("rustnn.nn.") else None
    for place in filter(None, (own, package)):
        try:
            return _dotted(importlib.import_module(place), name)
        except (ImportError, AttributeError):
            continue
    raise AttributeError(f"Can't get attribute {name!r} of {module}: rustnn does not have it")


def _dotted(found, name):
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _device(*parts):
    """A device; of a kind unknown to this version, a text that says which it was."""
    try:
        return _core.device(*parts)
    except RuntimeError:
        return ":".join(map(str, parts))


def _get_layout(name):
    return getattr(_core, name.removeprefix("torch."))


def _load_from_bytes(data):
    """A storage that plain pickle wrote in PyTorch."""
    return load(io.BytesIO(data), weights_only=False)


# ---- settings --------------------------------------------------------------------------------------------------------


class LoadEndianness(Enum):
    """Byte order of files that do not name theirs."""

    NATIVE = 1
    LITTLE = 2
    BIG = 3


class _Settings:
    endianness = None
    compute_crc32 = True
    mmap_flags = 2  # MAP_PRIVATE


class _Context(threading.local):
    skips_data = False


_context = _Context()


def get_default_load_endianness():
    """The byte order of files that do not name theirs; None is little-endian."""
    return _Settings.endianness


def set_default_load_endianness(endianness):
    """Set the byte order of files that do not name theirs (a ``LoadEndianness``)."""
    if not isinstance(endianness, LoadEndianness) and endianness is not None:
        raise TypeError("Invalid argument type in function set_default_load_endianness")
    _Settings.endianness = endianness


def get_crc32_options():
    """Whether :func:`save` computes checksums."""
    return _Settings.compute_crc32


def set_crc32_options(compute_crc32):
    """Set whether :func:`save` computes a checksum for each record; :func:`load` compares those that there are."""
    _Settings.compute_crc32 = bool(compute_crc32)


def get_default_mmap_options():
    """``mmap.MAP_PRIVATE`` or ``mmap.MAP_SHARED``: how ``load(mmap=True)`` maps."""
    return _Settings.mmap_flags


class set_default_mmap_options:
    """Set, or as a context set for a while, how ``load(mmap=True)`` maps.

    Args:
        flags: ``mmap.MAP_PRIVATE``: writing to a loaded tensor changes no file. ``mmap.MAP_SHARED``: it does.
    """

    def __init__(self, flags):
        import mmap

        if flags not in (mmap.MAP_PRIVATE, mmap.MAP_SHARED):
            raise ValueError(
                "Invalid argument in function set_default_mmap_options, expected mmap.MAP_PRIVATE or mmap.MAP_SHARED, "
                f"but got {flags}"
            )
        self.prev, _Settings.mmap_flags = _Settings.mmap_flags, flags

    def __enter__(self):
        pass

    def __exit__(self, *_):
        _Settings.mmap_flags = self.prev


class skip_data:
    """A context in which :func:`save` leaves zeros where the numbers would be, and :func:`load` reads none."""

    def __init__(self, materialize_fake_tensors=False):
        self.materialize_fake_tensors = materialize_fake_tensors

    def __enter__(self):
        self._before, _context.skips_data = _context.skips_data, True

    def __exit__(self, *_):
        _context.skips_data = self._before


# ---- where storages go -----------------------------------------------------------------------------------------------

_packages = []


def register_package(priority, tagger, deserializer):
    """Have storages of a tag put in their place by a function.

    Args:
        priority: the smallest is asked first.
        tagger: from a storage to its tag, or None.
        deserializer: from a storage and a tag to the storage in its place, or None.
    """
    _packages.append((priority, tagger, deserializer))
    _packages.sort(key=lambda package: package[0])


def location_tag(storage):
    """The tag of a storage: its device."""
    for _, tagger, _ in _packages:
        tag = tagger(storage)
        if tag:
            return tag
    return str(storage.device)


# Devices that only PyTorch has: what was saved there comes to the CPU.
_FOREIGN = ("cuda", "mps", "xpu", "hpu", "mtia", "ipu", "xla", "privateuseone", "npu", "vulkan", "hip")


def default_restore_location(storage, location):
    """A storage, read from a file that tags it with ``location``, in its place; foreign devices' come to the CPU."""
    for _, _, deserializer in _packages:
        placed = deserializer(storage, location)
        if placed is not None:
            return placed
    if location.partition(":")[0] in _FOREIGN:
        return storage
    return _restore(storage, location)


def _restore(storage, location):
    """A storage on the device that the user asked for.

    Raises: RuntimeError where there is no such device here.
    """
    kind = location.partition(":")[0]
    if kind in _FOREIGN:
        raise RuntimeError(
            f"Attempting to deserialize object on a {kind.upper()} device but torch.{kind}.is_available() is False. "
            "If you are running on a CPU-only machine, please use torch.load with map_location=torch.device('cpu') to "
            "map your storages to the CPU."
        )
    try:
        device = _core.device(location)
    except RuntimeError:
        raise RuntimeError(
            f"don't know how to restore data location of torch.storage.UntypedStorage (tagged with {location})"
        ) from None
    try:
        return storage.to(device=device)
    except RuntimeError as error:
        raise RuntimeError(f"Attempting to deserialize object on {location}, which is not here: {error}") from error


def _restorer(map_location):
    """(function of storage and tag, or None where storages stay; whether no data is wanted)."""
    if map_location is None:
        return (default_restore_location if _packages else None), False
    if isinstance(map_location, bytes):
        map_location = map_location.decode()
    if isinstance(map_location, (str, _core.device)):
        location = str(map_location)
        if location in ("cpu", "cpu:0"):
            return None, False
        if location == "meta":
            return None, True
        return (lambda storage, _: _restore(storage, location)), False
    if isinstance(map_location, dict):
        places = {tag: str(place) for tag, place in map_location.items()}

        def restore(storage, tag):
            return _restore(storage, places[tag]) if tag in places else default_restore_location(storage, tag)

        return restore, False
    if not callable(map_location):
        raise TypeError(f"map_location must be a device, a string, a dict or a function, not {_name(map_location)}")

    def restore(storage, tag):
        from .storage import TypedStorage, UntypedStorage

        placed = map_location(storage, tag)
        if placed is None:
            return default_restore_location(storage, tag)
        if isinstance(placed, TypedStorage):
            placed = placed.untyped()
        if not isinstance(placed, UntypedStorage):
            raise TypeError(f"map_location must return a storage or None, but returned {_name(placed)}")
        if placed.nbytes() != storage.nbytes():
            raise RuntimeError(
                f"map_location returned a storage of {placed.nbytes()} bytes for one of {storage.nbytes()}"
            )
        return placed

    return restore, False


def _on_bytes(restore):
    """A restorer for the core, which knows a storage as a tensor of bytes."""
    if restore is None:
        return None
    from .storage import UntypedStorage

    return lambda array, tag: restore(UntypedStorage._over(array), tag)._bytes


def _name(value):
    return type(value).__name__


# ---- saving ----------------------------------------------------------------------------------------------------------


def _is_path(f):
    return isinstance(f, (str, os.PathLike))


_classes = {}


@contextmanager
def _as_runtime_errors():
    """PyTorch raises RuntimeError where a file cannot be written; ours is the OSError too."""
    try:
        yield
    except OSError as error:
        base = type(error)
        if base not in _classes:
            names = {"__module__": __name__, "__doc__": "A file could not be written."}
            _classes[base] = type(base.__name__, (base, RuntimeError), names)
        raise _classes[base](*error.args, *((error.filename,) if error.filename else ())) from None


def save(
    obj,
    f,
    pickle_module=pickle,
    pickle_protocol=DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization=True,
    _disable_byteorder_record=False,
):
    """Write an object to a file that PyTorch reads.

    A file named by a path is written whole or not at all: under another name, synced to the disk, then renamed.

    Args:
        obj: tensors, parameters, numbers, texts and containers of them, or any object that pickles.
        f: a path, or an object with ``write``.
        pickle_module: another module than ``pickle`` (such as dill) writes objects its own way; PyTorch then reads the
            file only where rustnn is installed.
        pickle_protocol: accepted up to 5; what is written is protocol 2, which every reader takes.
        _use_new_zipfile_serialization: False writes the format before PyTorch 1.6.
    Raises: pickle.PicklingError for what does not pickle; OSError (also a RuntimeError, as PyTorch's) where the file
        cannot be written: the old file is then as it was.
    Example:
        >>> import io
        >>> buffer = io.BytesIO()
        >>> rustnn.save({"weight": rustnn.ones(2)}, buffer)
        >>> _ = buffer.seek(0)
        >>> rustnn.load(buffer)
        {'weight': tensor([1., 1.])}
    """
    if pickle_protocol is not None and pickle_protocol > pickle.HIGHEST_PROTOCOL:
        raise ValueError(f"pickle protocol must be <= {pickle.HIGHEST_PROTOCOL}")
    if _is_path(f):
        target = os.fspath(f)
    elif hasattr(f, "write"):
        target = f
    else:
        raise AttributeError("expected 'f' to be string, path, or a file-like object with a 'write' attribute")
    is_legacy = not _use_new_zipfile_serialization
    if is_legacy and _context.skips_data:
        raise RuntimeError("Cannot use skip_data=True with _use_new_zipfile_serialization=False")
    options = (_Settings.compute_crc32, _context.skips_data, not _disable_byteorder_record)
    if pickle_module is None or pickle_module is pickle:
        with _as_runtime_errors():
            return _core._save(obj, target, is_legacy, *options)
    if is_legacy:
        raise RuntimeError("the legacy format is written by the pickle module only")
    data, storages = _pickled(obj, pickle_module, pickle_protocol)
    with _as_runtime_errors():
        _core._save_pickled(data, storages, target, *options)
    return None


def _pickled(obj, pickle_module, protocol):
    """The bytes that another pickle module makes of an object, and the storages that it names, as tensors of bytes."""
    from .storage import TypedStorage, UntypedStorage

    keys, storages = {}, []

    class Pickler(pickle_module.Pickler):
        def persistent_id(self, obj):
            if isinstance(obj, TypedStorage):
                storage, dtype = obj.untyped(), obj.dtype
            elif isinstance(obj, UntypedStorage):
                storage, dtype = obj, None
            else:
                return None
            key = keys.setdefault(storage._cdata, str(len(storages)))
            if key == str(len(storages)):
                storages.append(storage.cpu())
            kind = UntypedStorage if dtype is None else _legacy_class(dtype)
            count = storage.nbytes() // (1 if dtype is None else dtype.itemsize)
            return ("storage", kind, key, "cpu", count)

    buffer = io.BytesIO()
    Pickler(buffer, protocol=protocol).dump(obj)
    return buffer.getvalue(), [storage._bytes for storage in storages]


def _legacy_class(dtype):
    from . import storage

    return next(getattr(storage, f"{kind}Storage") for kind, own in storage._NAMES.items() if own is dtype)


# ---- loading ---------------------------------------------------------------------------------------------------------

_TRUST = (
    "`weights_only=False` loads it by running what it names, which only a file from a source that you trust deserves."
)
_YES = ("1", "y", "yes", "true")


def _explained(message):
    """What ``weights_only=True`` says of a file that it refuses."""
    message = message.removeprefix("Weights only load failed. ")
    if "was not an allowed global by default" in message:
        return (
            "Weights only load failed. This file can still be loaded, to do so you have two options, do those steps "
            f"only if you trust the source of the checkpoint.\n\t(1) {_TRUST}\n\t(2) Alternatively, to load with "
            "`weights_only=True` please check the recommended steps in the following error message.\n\t"
            f"WeightsUnpickler error: {message}\n\n`rustnn.inspect_checkpoint` lists all that the file would need."
        )
    return f"Weights only load failed. WeightsUnpickler error: {message}\n\n{_TRUST}"


def _wants_weights_only(weights_only, pickle_module):
    """The argument, its default, and what the environment forces."""
    forced, forced_off = (
        os.getenv(f"TORCH_FORCE_{name}WEIGHTS_ONLY_LOAD", "0").lower() in _YES for name in ("", "NO_")
    )
    if forced and forced_off:
        raise RuntimeError(
            "Only one of `TORCH_FORCE_WEIGHTS_ONLY_LOAD` or `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` should be set, but both "
            "were set."
        )
    if forced:
        return True
    if weights_only is not None:
        return bool(weights_only)
    if forced_off:
        warnings.warn(
            "Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected, since the`weights_only` argument was not "
            "explicitly passed to `torch.load`, forcing weights_only=False.",
            UserWarning,
            stacklevel=3,
        )
        return False
    return pickle_module is None


def load(f, map_location=None, pickle_module=None, *, weights_only=None, mmap=None, **pickle_load_args):
    """Read an object from a file that PyTorch or :func:`save` wrote.

    With ``weights_only=True``, the default, nothing in the file runs: a closed list of names is known, others raise an
    error that names them.

    Args:
        f: a path, or an object with ``read``, ``seek`` and ``tell``.
        map_location: where tensors go. None: the CPU, whatever device they were saved from. A device or its name: there
            ("meta" reads no data). A dict: from names in the file to names here. A function of a storage and its
            device's name in the file: the storage that it returns, or the default if it returns None.
        pickle_module: what reads the objects with ``weights_only=False``; ``pickle`` by default.
        weights_only: False builds objects of any class by running what the file says, which only a file from a source
            that you trust deserves.
        mmap: leave tensors in the file until they are touched; needs a path, and no other program that cuts the file.
        pickle_load_args: ``encoding`` of texts that Python 2 wrote ("utf-8"); others for ``weights_only=False``.
    Raises: pickle.UnpicklingError for a name that is not allowed or a malformed pickle; RuntimeError for a malformed
        file or a device that is not here; EOFError for a file that is cut short; FileNotFoundError.
    """
    weights_only = _wants_weights_only(weights_only, pickle_module)
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    if weights_only and pickle_load_args:
        warnings.warn("pickle_load_args only works if `weights_only=False`.", stacklevel=2)
    is_path = _is_path(f)
    if is_path and os.fspath(f).endswith(".safetensors"):
        return _load_safetensors(f, map_location)
    restore, wants_no_data = _restorer(map_location)
    place = "meta" if wants_no_data else "zeros" if _context.skips_data else "memory"
    if mmap and not is_path:
        raise ValueError("f must be a file path in order to use the mmap argument")
    if mmap:
        is_shared = _Settings.mmap_flags == _MAP_SHARED
        place = "meta" if wants_no_data else "shared" if is_shared else "private"
    arguments = (f, restore, place, pickle_load_args)
    if not weights_only:
        return _load_objects(*arguments, pickle_module or pickle, bool(mmap))
    try:
        return _load_weights(*arguments, bool(mmap))
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(_explained(str(error))) from None


_MAP_SHARED = 1


def _load_safetensors(f, map_location):
    from .safetensors import load_file

    if isinstance(map_location, dict) or callable(map_location):
        kind = "dict" if isinstance(map_location, dict) else "callable"
        raise RuntimeError(
            f"Loading safetensors file with {kind} map_location is not supported. Use a device string or torch.device "
            "instead."
        )
    return load_file(f, "cpu" if map_location is None else map_location)


def _check_seekable(f):
    try:
        f.seek(f.tell())
    except (io.UnsupportedOperation, AttributeError) as error:
        if not any(word in str(error) for word in ("seek", "tell")):
            raise
        raise type(error)(
            f"{error}. You can only torch.load from a file that is seekable. Please pre-load the data into a buffer "
            "like io.BytesIO and try to load from it instead."
        ) from None
    if not hasattr(f, "read"):
        raise AttributeError(f"'{_name(f)}' object has no attribute 'read'")


def _source(f):
    """What the core reads an open file by: a descriptor of its own where the file is a plain one, or the bytes."""
    start = f.tell()
    if type(f) is io.BytesIO:
        data = f.getvalue()
        return data[start:] if start else data
    if start == 0 and os.name == "posix" and type(f) in (io.BufferedReader, io.BufferedRandom, io.FileIO):
        import stat

        if f.writable():
            f.flush()
        if stat.S_ISREG(os.fstat(f.fileno()).st_mode):
            return os.dup(f.fileno())
    data = f.read()
    f.seek(start)
    return bytes(data)


def _is_big_endian():
    import sys

    order = _Settings.endianness
    return order is LoadEndianness.BIG or (order is LoadEndianness.NATIVE and sys.byteorder == "big")


def _not_mapped(f):
    name = f"{f}, " if isinstance(f, str) else ""
    return RuntimeError(
        f"mmap can only be used with files saved with `torch.save({name}_use_new_zipfile_serialization=True), please "
        "torch.save your checkpoint with this option in order to use mmap."
    )


def _load_weights(f, restore, place, options, mapped):
    encoding = options.get("encoding", "utf-8")
    arguments = (_allowed(), _on_bytes(restore), place, encoding, _is_big_endian())
    if _is_path(f):
        if mapped and not _starts_as_zip(f):
            raise _not_mapped(f)
        return _core._load(os.fspath(f), *arguments)[0]
    _check_seekable(f)
    start = f.tell()
    value, length = _core._load(_source(f), *arguments)
    # Files of the legacy format may hold one object after another.
    f.seek(start + length)
    return value


def _starts_as_zip(path):
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _load_objects(f, restore, place, options, pickle_module, mapped):
    """``weights_only=False``: Python's pickle reads, and runs, what the file says."""
    if _is_path(f):
        with open(f, "rb") as file:
            head = file.read(512)
            file.seek(0)
            if head.startswith(b"PK\x03\x04"):
                package = _core._Package(os.fspath(f), place, _is_big_endian())
                return _unpickle_package(package, restore, options, pickle_module)
            if mapped:
                raise _not_mapped(f)
            return _load_older(file, head, restore, place, options, pickle_module)
    _check_seekable(f)
    start = f.tell()
    head = f.read(512)
    f.seek(start)
    if head.startswith(b"PK\x03\x04"):
        package = _core._Package(_source(f), place, _is_big_endian())
        return _unpickle_package(package, restore, options, pickle_module)
    return _load_older(f, head, restore, place, options, pickle_module)


def _unpickler(pickle_module, file, options, persistent_load):
    class Unpickler(pickle_module.Unpickler):
        def find_class(self, module, name):
            if module == "torch" or module.startswith("torch."):
                return _find_global(module, name)
            return super().find_class(module, name)

    unpickler = Unpickler(file, **{"encoding": "utf-8", **options})
    unpickler.persistent_load = persistent_load
    return unpickler


def _text(value):
    return value.decode("ascii") if isinstance(value, bytes) else value


def _dtype_of(kind):
    """The dtype of a storage class in a file; None for bytes."""
    return getattr(kind, "dtype", None)


def _unpickle_package(package, restore, options, pickle_module):
    from .storage import UntypedStorage, _typed

    storages = {}

    def persistent_load(saved_id):
        if not isinstance(saved_id, tuple):
            raise AssertionError(f"saved_id must be a tuple, got {_name(saved_id)}")
        if _text(saved_id[0]) != "storage":
            raise AssertionError(
                f"Unknown typename for persistent_load, expected 'storage' but got '{_text(saved_id[0])}'"
            )
        kind, key, location, count = saved_id[1:]
        dtype = _dtype_of(kind)
        if key not in storages:
            array = package.storage(_text(key), count * (dtype.itemsize if dtype else 1), dtype)
            storage = UntypedStorage._over(array)
            storages[key] = restore(storage, _text(location)) if restore else storage
        return _typed(storages[key], dtype or _core.uint8)

    return _unpickler(pickle_module, io.BytesIO(package.pickle()), options, persistent_load).load()


def _load_older(f, head, restore, place, options, pickle_module):
    """The formats without zip."""
    from .storage import UntypedStorage, _typed

    if head[257:262] == b"ustar":
        # Nothing but tensors and plain values was ever in these: they need no Python.
        return _core._load(_source(f), _allowed(), _on_bytes(restore), place, options.get("encoding", "utf-8"))[0]
    start = f.tell()
    left = f.seek(0, os.SEEK_END) - start
    f.seek(start)

    def plain():
        return pickle_module.load(f, **{"encoding": "utf-8", **options})

    if plain() != 0x1950A86A20F9469CFC6C:
        raise RuntimeError("Invalid magic number; corrupt file?")
    version = plain()
    if version != 1001:
        raise RuntimeError(f"Invalid protocol version: {version}")
    plain()  # what machine wrote it

    storages, views, widths = {}, {}, {}

    def persistent_load(saved_id):
        if not isinstance(saved_id, tuple):
            raise AssertionError(f"saved_id must be a tuple, got {_name(saved_id)}")
        if _text(saved_id[0]) == "module":
            return saved_id[1]
        if _text(saved_id[0]) != "storage":
            raise RuntimeError(f"Unknown saved id type: {saved_id[0]}")
        kind, key, location, count, view = saved_id[1:]
        dtype = _dtype_of(kind) or _core.uint8
        width = dtype.itemsize
        if key not in storages:
            if not 0 <= count * width <= left:
                raise RuntimeError(f"storage {key} has {count * width} bytes, more than the file; was it cut short?")
            storage = UntypedStorage(count * width, device="meta" if place == "meta" else None)
            storages[key], widths[key] = storage, width
            if restore:
                views[key] = restore(storage, _text(location))
        storage = views.get(key, storages[key])
        if view is not None:
            _, offset, size = view
            storage = storage[offset * width : (offset + size) * width]
        return _typed(storage, dtype)

    value = _unpickler(pickle_module, f, options, persistent_load).load()
    for key in plain():
        if key not in storages:
            raise AssertionError(f"storage key {key!r} not found in deserialized_objects")
        storage = storages[key]
        count = int.from_bytes(f.read(8), "little", signed=True)
        if count * widths[key] != storage.nbytes():
            raise RuntimeError(
                f"storage {key} has {count} elements, but the pickle says {storage.nbytes() // widths[key]}"
            )
        data = f.read(storage.nbytes())
        if len(data) != storage.nbytes():
            raise RuntimeError(
                f"storage {key} needs {storage.nbytes()} bytes, the file has {len(data)}; was it cut short?"
            )
        if place == "memory":
            _core._fill_bytes(storage._bytes, data)
            if key in views and views[key] is not storage:
                views[key].copy_(storage)
    return value


# ---- looking ---------------------------------------------------------------------------------------------------------


def inspect_checkpoint(f):
    """What a file holds, without loading it.

    Args:
        f: a path, or an object with ``read``, ``seek`` and ``tell``.
    Returns: a dict with ``format`` ("zip", "legacy", "tar"), ``tensors`` (name, dtype, shape, whether a parameter),
        ``globals`` (name, whether ``weights_only`` allows it), ``storage_bytes`` and ``file_bytes``.
    Example:
        >>> rustnn.save({"net": rustnn.nn.Linear(1, 1).state_dict(), "step": 3}, "net.pt")
        >>> found = rustnn.inspect_checkpoint("net.pt")
        >>> found["tensors"]
        [('net.weight', torch.float32, [1, 1], False), ('net.bias', torch.float32, [1], False)]
        >>> all(is_allowed for name, is_allowed in found["globals"]), found["storage_bytes"]
        (True, 8)
    """
    if _is_path(f):
        return _core._inspect(os.fspath(f))
    _check_seekable(f)
    start = f.tell()
    found = _core._inspect(_source(f))
    f.seek(start)
    return found


def get_unsafe_globals_in_checkpoint(f):
    """The full names in a file that ``weights_only=True`` would refuse, as it is allowed to now.

    Args:
        f: a path, or an object with ``read``, ``seek`` and ``tell``.
    """
    allowed = _allowed()
    return [name for name, is_allowed in inspect_checkpoint(f)["globals"] if not is_allowed and name not in allowed]
