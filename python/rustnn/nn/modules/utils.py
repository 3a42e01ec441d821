"""Small conversions that several layer families share."""

from __future__ import annotations

__all__ = ["consume_prefix_in_state_dict_if_present"]


def _ntuple(n, name):
    def parse(x):
        if hasattr(x, "__iter__") and not isinstance(x, str):
            return tuple(x)
        return (x,) * n

    parse.__name__ = name
    parse.__doc__ = f"A tuple from any iterable; {n} times the value from anything else."
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(t, n):
    """Reverse a tuple and repeat each element, as ``pad`` wants one amount per side, last dimension first."""
    return tuple(x for x in reversed(t) for _ in range(n))


def consume_prefix_in_state_dict_if_present(state_dict, prefix) -> None:
    """Strip ``prefix`` from the keys of a state dict, and from its metadata, in place.

    Args:
        state_dict: a state dict, such as one saved from a wrapped model whose keys begin with ``module.``.
        prefix: what to strip, with its dot.
    Example:
        >>> from rustnn.nn.modules.utils import consume_prefix_in_state_dict_if_present
        >>> entries = {"module.weight": 1}
        >>> consume_prefix_in_state_dict_if_present(entries, "module.")
        >>> entries
        {'weight': 1}
    """
    for key in list(state_dict.keys()):
        if key.startswith(prefix):
            state_dict[key[len(prefix) :]] = state_dict.pop(key)
    metadata = getattr(state_dict, "_metadata", None)
    if metadata is not None:
        for key in list(metadata.keys()):
            # The entry of the wrapped module itself has the prefix without its dot; "" is the wrapper.
            if key == "":
                continue
            if key == prefix.replace(".", "") or key.startswith(prefix):
                metadata[key[len(prefix) :]] = metadata.pop(key)
