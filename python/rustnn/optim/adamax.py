"""Adamax: Adam with the largest gradient in place of the root mean square."""

from .. import _core
from ._elementwise import ElementwiseOptimizer

__all__ = ["Adamax"]


class Adamax(ElementwiseOptimizer):
    """Adamax.

        g ← ∇f(θ) + λ θ
        m ← β₁ m + (1 - β₁) g
        u ← max(β₂ u, |g| + ε)
        θ ← θ - η / (1 - β₁ᵗ) m / u


    Args:
        params: parameters or parameter groups.
        lr: η, >= 0. betas: (β₁, β₂), each in [0, 1). eps: ε, >= 0. weight_decay: λ, >= 0.
        maximize: climb instead of descend. differentiable: record the step.
    State per parameter: ``step`` t, ``exp_avg`` m, ``exp_inf`` u.
    Raises: ValueError for options outside their range.
    Source: Kingma and Ba 2015, "Adam: a method for stochastic optimization", algorithm 2.

    Example:
        >>> weight = rustnn.nn.Parameter(rustnn.ones(1))
        >>> optimizer = rustnn.optim.Adamax([weight], lr=0.25)
        >>> (weight * 3).sum().backward()
        >>> optimizer.step()
        >>> round(weight.item(), 4)
        0.75
    """

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        checks = (
            (lr >= 0.0, f"Invalid learning rate: {lr}"),
            (eps >= 0.0, f"Invalid epsilon value: {eps}"),
            (0.0 <= betas[0] < 1.0, f"Invalid beta parameter at index 0: {betas[0]}"),
            (0.0 <= betas[1] < 1.0, f"Invalid beta parameter at index 1: {betas[1]}"),
            (weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}"),
        )
        super().__init__(params, defaults, checks)

    def _begin(self, p, state, group):
        state["exp_avg"], state["exp_inf"] = _core.zeros_like(p), _core.zeros_like(p)

    def _update(self, p, g, state, group, lr):
        beta1, beta2 = group["betas"]
        if group["weight_decay"]:
            g = g + p * group["weight_decay"]
        mean = state["exp_avg"].lerp_(g, 1 - beta1)
        largest = state["exp_inf"]
        largest.copy_(_core.maximum(largest * beta2, g.abs() + group["eps"]))
        p.addcdiv_(mean, largest, value=-lr / (1 - beta1 ** state["step"].item()))
