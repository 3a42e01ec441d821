"""Differentiable exchange between processes: named, not done."""

from .._absent import absent

__all__ = absent(
    globals(),
    classes="RemoteModule",
    functions="all_gather all_reduce all_to_all broadcast gather reduce reduce_scatter scatter",
)
