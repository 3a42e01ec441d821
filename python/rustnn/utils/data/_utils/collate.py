"""From a list of samples to one batch."""

import sys
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence
from copy import copy

from .... import _core

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

Tensor = _core.Tensor

default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def _holds_text_or_objects(array):
    return array.dtype.kind in "SaUO"


def default_convert(data):
    """Numpy arrays and numbers as tensors, inside lists, tuples and dicts too; everything else as it is."""
    kind = type(data)
    if isinstance(data, Tensor):
        return data
    if kind.__module__ == "numpy" and kind.__name__ not in ("str_", "string_", "bytes_"):
        return data if kind.__name__ == "ndarray" and _holds_text_or_objects(data) else _core.as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple):
        converted = [default_convert(item) for item in data]
        return kind(*converted) if hasattr(data, "_fields") else converted
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, [default_convert(item) for item in data])
    return data


def _like_mapping(model, items):
    """``items`` in a mapping of the model's type, with its further attributes if it can be copied."""
    try:
        if isinstance(model, MutableMapping):
            result = copy(model)
            result.update(items)
            return result
        return type(model)(items)
    except TypeError:  # a type whose constructor takes no mapping
        return items


def _like_sequence(model, items):
    try:
        if isinstance(model, MutableSequence):
            result = copy(model)
            for index, item in enumerate(items):
                result[index] = item
            return result
        return type(model)(items)
    except TypeError:  # a type that cannot be made from a list, such as range
        return items


def collate(batch, *, collate_fn_map=None):
    """One batch from samples: the function that ``collate_fn_map`` has for the type of the first sample, or by
    structure.

    Mappings are collated key by key, sequences position by position, and types with neither raise TypeError.
    """
    first = batch[0]
    kind = type(first)
    if collate_fn_map is not None:
        function = collate_fn_map.get(kind)
        if function is None:
            function = next((collate_fn_map[known] for known in collate_fn_map if isinstance(first, known)), None)
        if function is not None:
            return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        items = {key: collate([sample[key] for sample in batch], collate_fn_map=collate_fn_map) for key in first}
        return _like_mapping(first, items)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*(collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch, strict=False)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        columns = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch, strict=True)]
        return columns if isinstance(first, tuple) else _like_sequence(first, columns)
    raise TypeError(default_collate_err_msg_format.format(kind))


def collate_tensor_fn(batch, *, collate_fn_map=None):
    """Tensors stacked along a new first dimension."""
    return _core.stack(batch, 0)


def collate_numpy_array_fn(batch, *, collate_fn_map=None):
    """Numpy arrays as one tensor."""
    if _holds_text_or_objects(batch[0]):
        raise TypeError(default_collate_err_msg_format.format(batch[0].dtype))
    return collate([_core.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch, *, collate_fn_map=None):
    """Numpy numbers as one tensor of their dtype."""
    import numpy

    return _core.as_tensor(numpy.asarray(batch))


def collate_float_fn(batch, *, collate_fn_map=None):
    """Floats as one float64 tensor."""
    return _core.tensor(batch, dtype=_core.float64)


def collate_int_fn(batch, *, collate_fn_map=None):
    """Ints as one int64 tensor, bools as a bool tensor."""
    return _core.tensor(batch)


def collate_str_fn(batch, *, collate_fn_map=None):
    """Text and bytes as they are."""
    return batch


default_collate_fn_map = {
    Tensor: collate_tensor_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def _know_numpy():
    """Numpy's types, once numpy is there: importing it here would cost every program 0.1 s."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and numpy.ndarray not in default_collate_fn_map:
        default_collate_fn_map[numpy.ndarray] = collate_numpy_array_fn
        # Before float: numpy.float64 is one, but must give a tensor of its own kind.
        for kind in (numpy.bool_, numpy.number, numpy.object_):
            default_collate_fn_map[kind] = collate_numpy_scalar_fn
        for kind in (float, int, str, bytes):
            default_collate_fn_map[kind] = default_collate_fn_map.pop(kind)


def default_collate(batch):
    """One batch from a list of samples, keeping their structure.

    Tensors are stacked, arrays and numbers become tensors, text stays a list, dicts, named tuples, lists and tuples are
    collated inside (tuples as lists).

    Raises: TypeError for other types; RuntimeError for lists of different lengths.

    Example:
        >>> from rustnn.utils.data import default_collate
        >>> default_collate([("a", 1), ("b", 2)])
        [('a', 'b'), tensor([1, 2])]
    """
    _know_numpy()
    return collate(batch, collate_fn_map=default_collate_fn_map)
