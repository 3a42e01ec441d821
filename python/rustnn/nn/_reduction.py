"""How the two old arguments ``size_average`` and ``reduce`` of losses translate to ``reduction``."""

from __future__ import annotations

import warnings


def legacy_get_string(size_average, reduce, emit_warning=True) -> str:
    """The ``reduction`` that the old pair of flags means; an absent flag counts as True."""
    reduce = True if reduce is None else reduce
    size_average = True if size_average is None else size_average
    reduction = ("mean" if size_average else "sum") if reduce else "none"
    if emit_warning:
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            stacklevel=3,
        )
    return reduction
