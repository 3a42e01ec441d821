"""PyTorch's checkpoint files, written and read without running code from them."""

import os

from . import _core

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "inspect_checkpoint",
    "load",
    "safe_globals",
    "save",
]

_safe = []


def add_safe_globals(safe_globals):
    """Allow classes and functions in files loaded with ``weights_only=True``: a list of them, or of (object, name)."""
    _safe.extend(safe_globals)


def get_safe_globals():
    """What was allowed so far."""
    return list(_safe)


def clear_safe_globals():
    """Allow the closed list only."""
    _safe.clear()


class safe_globals:
    """A context in which some globals are allowed."""

    def __init__(self, safe_globals):
        self._new = list(safe_globals)

    def __enter__(self):
        add_safe_globals(self._new)

    def __exit__(self, *_):
        for item in self._new:
            _safe.remove(item)


def _full_name(item):
    if isinstance(item, tuple):
        return item[1]
    module = item.__module__
    if module == "rustnn" or module.startswith("rustnn."):
        module = "torch" + module[len("rustnn") :]
    return f"{module}.{item.__qualname__}"


def _is_path(f):
    return isinstance(f, (str, os.PathLike))


def save(
    obj,
    f,
    pickle_module=None,
    pickle_protocol=2,
    _use_new_zipfile_serialization=True,
    _disable_byteorder_record=False,
):
    """Write an object to a file that PyTorch reads.

    A file named by a path is written whole or not at all: to a temporary file, synced, then renamed.

    Args:
        obj: tensors, parameters, numbers, texts and containers of them, or objects that pickle.
        f: a path, or an object with ``write``.
    Raises: RuntimeError for the legacy format, which is only read; pickle.PicklingError for what does not pickle.
    Example:
        >>> import io
        >>> buffer = io.BytesIO()
        >>> rustnn.save({"weight": rustnn.ones(2)}, buffer)
        >>> _ = buffer.seek(0)
        >>> rustnn.load(buffer)
        {'weight': tensor([1., 1.])}
    """
    if not _use_new_zipfile_serialization:
        raise RuntimeError("rustnn reads PyTorch's legacy format but writes zip files only")
    if _is_path(f):
        _core._save(obj, os.fspath(f))
        return
    if not hasattr(f, "write"):
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute; got " + type(f).__name__
        )
    f.write(_core._save(obj))


def load(f, map_location=None, pickle_module=None, *, weights_only=None, mmap=None, **pickle_load_args):
    """Read an object from a file that PyTorch or :func:`save` wrote.

    Nothing in the file runs: a closed list of names is known, others raise an error that names them.

    Args:
        f: a path, or an object with ``read``.
        map_location: where tensors go; files of other devices come to the CPU, and "meta" reads no data.
        weights_only: True (the default) for plain data and tensors; False builds objects of any class by calling it,
            which only a trusted file deserves.
        mmap: leave tensors in the file until they are touched; needs a path.
    Raises: pickle.UnpicklingError for a name that is not allowed or a malformed file; FileNotFoundError.
    """
    meta = _wants_meta(map_location)
    if weights_only is None:
        weights_only = True
    allowed = True
    if weights_only:
        if pickle_module is not None:
            raise RuntimeError(
                "Can not safely load weights when explicit pickle_module is specified. Either set weights_only=False "
                "or drop pickle_module."
            )
        allowed = {_full_name(item) for item in _safe} or None
    if mmap and not _is_path(f):
        raise ValueError("f must be a file path in order to use the mmap argument")
    if _is_path(f):
        return _core._load(os.fspath(f), allowed, meta, _mapped(f) if mmap else None)
    if not hasattr(f, "read"):
        raise AttributeError(
            f"'{type(f).__name__}' object has no attribute 'read'. You can only torch.load from a file that is "
            "seekable. Please pre-load the data into a buffer like io.BytesIO and try to load from it instead."
        )
    return _core._load(bytes(f.read()), allowed, meta)


def _mapped(path):
    import mmap

    with open(path, "rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)


def _wants_meta(map_location):
    if map_location is None or callable(map_location) or isinstance(map_location, dict):
        return False
    return _core.device(map_location).type == "meta"


def inspect_checkpoint(path):
    """What a file holds, without loading it.

    Returns: a dict with ``format``, ``tensors`` (name, dtype, shape, whether a parameter), ``globals`` (name, whether
    weights_only allows it), ``storage_bytes`` and ``file_bytes``.
    """
    return _core._inspect(os.fspath(path))
