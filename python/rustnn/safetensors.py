"""safetensors files: names, tensors and texts, with nothing in them that could run.

The functions are those of the ``safetensors.torch`` package.
"""

import os

from . import _core

__all__ = ["load", "load_file", "load_model", "load_safetensors", "safe_open", "save", "save_file", "save_model"]
__all__ += ["save_safetensors"]


def _check(tensors):
    if not isinstance(tensors, dict):
        raise ValueError(f"Expected a dict of [str, torch.Tensor] but received {type(tensors)}")
    return dict(tensors)


def save_file(tensors, filename, metadata=None):
    """Write tensors by name, all or nothing; each is written whole, whatever it shares.

    Args:
        tensors: a dict from names to tensors.
        filename: a path, or an object with ``write``.
        metadata: a dict from texts to texts.
    Raises: ValueError for what is not a tensor, or of a dtype that the format lacks (complex128); OSError.
    Example:
        >>> import rustnn
        >>> rustnn.safetensors.save_file({"weight": rustnn.ones(2)}, "model.safetensors", {"format": "pt"})
        >>> rustnn.safetensors.load_file("model.safetensors")
        {'weight': tensor([1., 1.])}
    """
    target = filename if hasattr(filename, "write") else os.fspath(filename)
    _core._save_safetensors(_check(tensors), target, metadata)


def save(tensors, metadata=None):
    """The bytes of a safetensors file: :func:`save_file` to memory."""
    import io

    buffer = io.BytesIO()
    _core._save_safetensors(_check(tensors), buffer, metadata)
    return buffer.getvalue()


def load_file(filename, device="cpu"):
    """A dict of the tensors of a file.

    They stay in the file until they are touched (a private mapping: writing to them changes no file).

    Args:
        filename: a path.
        device: where they go.
    Raises: RuntimeError for a malformed file; FileNotFoundError.
    """
    return _all(_core._open_safetensors(os.fspath(filename), True), device)


def load(data, device="cpu"):
    """A dict of the tensors in the bytes of a file."""
    return _all(_core._open_safetensors(bytes(data)), device)


def _all(file, device):
    return {name: file.tensor(name).to(device) for name in file.keys()}


class safe_open:
    """A context over a file, in which tensors are read one by one.

    Args:
        filename: a path.
        framework: accepted for compatibility ("pt").
        device: where tensors go.
    Example:
        >>> import rustnn
        >>> rustnn.safetensors.save_file({"a": rustnn.arange(4)}, "a.safetensors")
        >>> with rustnn.safetensors.safe_open("a.safetensors", "pt") as file:
        ...     file.keys(), file.get_slice("a").get_shape(), file.get_slice("a")[1:3]
        (['a'], [4], tensor([1, 2]))
    """

    def __init__(self, filename, framework="pt", device="cpu"):
        self._file = _core._open_safetensors(os.fspath(filename), True)
        self._device = device

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._file = None

    def keys(self):
        """The names, sorted."""
        return sorted(self._file.keys())

    def offset_keys(self):
        """The names, in the order of the file."""
        return self._file.keys()

    def metadata(self):
        """The texts that the file carries; None if there are none."""
        return self._file.metadata() or None

    def get_tensor(self, name):
        """A tensor."""
        return self._file.tensor(name).to(self._device)

    def get_slice(self, name):
        """A tensor of which only the part that is indexed is read."""
        return _Slice(self._file, name, self._device)


class _Slice:
    def __init__(self, file, name, device):
        self._file, self._name, self._device = file, name, device
        self._dtype, self._shape = file.describe(name)

    def get_shape(self):
        return list(self._shape)

    def get_dtype(self):
        return _NAMES[self._dtype]

    def __getitem__(self, index):
        return self._file.tensor(self._name)[index].clone().to(self._device)


_NAMES = {
    _core.float64: "F64",
    _core.float32: "F32",
    _core.float16: "F16",
    _core.bfloat16: "BF16",
    _core.int64: "I64",
    _core.int32: "I32",
    _core.int16: "I16",
    _core.int8: "I8",
    _core.uint8: "U8",
    _core.uint16: "U16",
    _core.uint32: "U32",
    _core.uint64: "U64",
    _core.bool: "BOOL",
    _core.complex64: "C64",
    _core.float8_e4m3fn: "F8_E4M3",
    _core.float8_e5m2: "F8_E5M2",
    _core.float8_e4m3fnuz: "F8_E4M3FNUZ",
    _core.float8_e5m2fnuz: "F8_E5M2FNUZ",
}


def save_model(model, filename, metadata=None):
    """Write a module's state; of tensors that are one, such as tied weights, the first name keeps it.

    The other names stand in the metadata, where :func:`load_model` finds them.
    """
    kept, first = {}, {}
    metadata = dict(metadata or {})
    for name, tensor in sorted(model.state_dict().items()):
        key = (tensor._storage()[2], tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and key in first:
            metadata[name] = first[key]
        else:
            first[key] = name
            kept[name] = tensor
    save_file(kept, filename, metadata or None)


def load_model(model, filename, strict=True, device="cpu"):
    """Read a module's state that :func:`save_model` wrote; returns (missing names, unexpected names)."""
    file = _core._open_safetensors(os.fspath(filename), True)
    state = _all(file, device)
    own = model.state_dict()
    for name, source in file.metadata().items():
        if name in own and name not in state and source in state:
            state[name] = state[source]
    missing, unexpected = model.load_state_dict(state, strict=False)
    if strict and (missing or unexpected):
        parts = [f"    Missing key(s) in state_dict: {', '.join(map(repr, missing))}"] if missing else []
        parts += [f"    Unexpected key(s) in state_dict: {', '.join(map(repr, unexpected))}"] if unexpected else []
        raise RuntimeError("\n".join([f"Error(s) in loading state_dict for {type(model).__name__}:", *parts]))
    return missing, unexpected


save_safetensors, load_safetensors = save_file, load_file
