"""PyTorch's compiler of Python code, which is not here: what marks code for it is accepted and changes nothing."""

from types import SimpleNamespace

from ..compiler import allow_in_graph, assume_constant_result, disable, is_compiling, reset, set_stance
from .eval_frame import OptimizedModule

__all__ = ["allow_in_graph", "config", "disable", "graph_break", "is_compiling", "mark_dynamic", "mark_static", "reset"]

config = SimpleNamespace()  # takes any setting


def graph_break(msg=""):
    """Nothing to break."""


def mark_dynamic(t, index, **kwargs):
    """Every size may change."""


def mark_static(t, index=None):
    """Accepted for compatibility."""


def mark_static_address(t, guard=True):
    """Accepted for compatibility."""


def maybe_mark_dynamic(t, index):
    """Accepted for compatibility."""
