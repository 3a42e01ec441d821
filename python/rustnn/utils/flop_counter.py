"""Floating-point operations of the layers that multiply by weights."""

from collections import defaultdict

from .. import _summary
from ..nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

__all__ = ["FlopCounterMode"]


class FlopCounterMode:
    """Counts what modules that are called meanwhile compute: two operations for each multiply-add with a weight.

    Layers count (linear, convolution, recurrent, attention), functions that are called without one do not, nor does
    the backward pass.

    Args:
        mods: accepted; the modules are found as they are called.
        depth: of the table's rows.
        display: print the table at the end.
        custom_mapping: accepted.

    Example:
        >>> import rustnn
        >>> with rustnn.utils.flop_counter.FlopCounterMode(display=False) as counter:
        ...     _ = rustnn.nn.Linear(3, 4)(rustnn.ones(2, 3))
        >>> counter.get_total_flops()
        48
    """

    def __init__(self, mods=None, depth=2, display=True, custom_mapping=None):
        self.depth, self.display = depth, display
        self.flop_counts = defaultdict(lambda: defaultdict(int))
        self._path, self._handles = [], []

    def _enter_module(self, module, args):
        name = type(module).__name__
        if self._path:
            outer, path = self._path[-1]
            names = [key for key, child in outer._modules.items() if child is module]
            name = f"{path}.{names[0] if names else name}"
        self._path.append((module, name))

    def _leave_module(self, module, args, output):
        count = _summary._multiply_adds(module, args, output)
        if count:
            for name in {"Global", *(path for _, path in self._path)}:
                self.flop_counts[name][type(module).__name__] += 2 * count
        while self._path and self._path.pop()[0] is not module:
            pass  # modules that raised left their place behind

    def __enter__(self):
        self.flop_counts.clear()
        hooks = register_module_forward_pre_hook(self._enter_module), register_module_forward_hook(self._leave_module)
        self._handles = list(hooks)
        return self

    def __exit__(self, *exception):
        for handle in self._handles:
            handle.remove()
        self._path.clear()
        if self.display:
            print(self.get_table(self.depth))
        return False

    def get_total_flops(self):
        """Of all modules."""
        return sum(self.flop_counts["Global"].values()) if "Global" in self.flop_counts else 0

    def get_flop_counts(self):
        """From each module's path, and from "Global", to the counts of each kind of layer."""
        return {name: dict(counts) for name, counts in self.flop_counts.items()}

    def get_table(self, depth=None):
        """A text table of the modules down to a depth."""
        depth = self.depth if depth is None else depth
        total = self.get_total_flops() or 1
        rows = [("Module", "FLOP", "% Total")]
        for name, counts in sorted(self.flop_counts.items(), key=lambda item: (item[0] != "Global", item[0])):
            if name.count(".") < depth:
                count = sum(counts.values())
                rows.append((name, f"{count:,}", f"{100 * count / total:.2f}%"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [f"{a.ljust(widths[0])}  {b.rjust(widths[1])}  {c.rjust(widths[2])}" for a, b, c in rows]
        return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])
