"""Resilient backpropagation: steps whose size follows the sign of the gradient."""

from .. import _core
from ._elementwise import ElementwiseOptimizer

__all__ = ["Rprop"]


class Rprop(ElementwiseOptimizer):
    """Rprop, each element by itself.

        η ← min(η η₊, η_max) where g keeps its sign, max(η η₋, η_min) where it turned, and there g ← 0
        θ ← θ - η sign(g)

    Args:
        params: parameters or parameter groups.
        lr: the first step size, >= 0. etas: (η₋, η₊), η₋ in (0, 1) and η₊ above 1. step_sizes: (η_min, η_max).
        maximize: climb instead of descend. differentiable: record the step.
    State per parameter: ``step``, ``prev`` the last gradient, ``step_size`` η.
    Raises: ValueError for options outside their range.
    Source: Riedmiller and Braun 1993, "A direct adaptive method for faster backpropagation learning: the RPROP
    algorithm".

    Example:
        >>> weight = rustnn.nn.Parameter(rustnn.ones(1))
        >>> optimizer = rustnn.optim.Rprop([weight], lr=0.25)
        >>> (weight * 3).sum().backward()
        >>> optimizer.step()
        >>> weight.item()
        0.75
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        etas=(0.5, 1.2),
        step_sizes=(1e-6, 50),
        *,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        checks = (
            (lr >= 0.0, f"Invalid learning rate: {lr}"),
            (0.0 < etas[0] < 1.0 < etas[1], f"Invalid eta values: {etas[0]}, {etas[1]}"),
        )
        super().__init__(params, defaults, checks)

    def _begin(self, p, state, group):
        state["prev"] = _core.zeros_like(p)
        state["step_size"] = _core.full_like(p.grad, float(group["lr"]))

    def _update(self, p, g, state, group, lr):
        smaller, larger = group["etas"]
        # A recorded step must not find what it saved overwritten below.
        turn = g * (state["prev"].clone() if group["differentiable"] else state["prev"])
        size = state["step_size"]
        # In the steps' own dtype: numbers alone would meet in the default one.
        factor = _core.ones_like(size).masked_fill(turn > 0, larger).masked_fill(turn < 0, smaller)
        size.mul_(factor).clamp_(*group["step_sizes"])
        g = g.masked_fill(turn < 0, 0)
        p.addcmul_(g.sign(), size, value=-1)
        state["prev"].copy_(g)
