"""Adagrad: steps scaled by the sum of all squared gradients."""

from .. import _core
from ._elementwise import ElementwiseOptimizer

__all__ = ["Adagrad"]


class Adagrad(ElementwiseOptimizer):
    """Adagrad.

        g ← ∇f(θ) + λ θ
        s ← s + g²
        θ ← θ - η / (1 + (t - 1) κ) g / (√s + ε)

    Args:
        params: parameters or parameter groups; their states exist from the start.
        lr: η. lr_decay: κ. weight_decay: λ. eps: ε. All >= 0.
        initial_accumulator_value: the first s, >= 0.
        maximize: climb instead of descend. differentiable: record the step.
    State per parameter: ``step`` t, ``sum`` s.
    Raises: ValueError for negative options.
    Source: Duchi, Hazan and Singer 2011, JMLR 12:2121-2159.

    Example:
        >>> weight = rustnn.nn.Parameter(rustnn.ones(1))
        >>> optimizer = rustnn.optim.Adagrad([weight], lr=0.25)
        >>> (weight * 3).sum().backward()
        >>> optimizer.step()
        >>> weight.item()
        0.75
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        lr_decay=0,
        weight_decay=0,
        initial_accumulator_value=0,
        eps=1e-10,
        foreach=None,
        *,
        maximize=False,
        differentiable=False,
        fused=None,
    ):
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        checks = (
            (lr >= 0.0, f"Invalid learning rate: {lr}"),
            (lr_decay >= 0.0, f"Invalid lr_decay value: {lr_decay}"),
            (weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}"),
            (
                initial_accumulator_value >= 0.0,
                f"Invalid initial_accumulator_value value: {initial_accumulator_value}",
            ),
            (eps >= 0.0, f"Invalid epsilon value: {eps}"),
        )
        super().__init__(params, defaults, checks)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p]["step"] = _core.tensor(0.0)
                self._begin(p, self.state[p], group)

    def _begin(self, p, state, group):
        state["sum"] = _core.full_like(p, group["initial_accumulator_value"]).detach()

    def share_memory(self):
        """Accepted for compatibility: threads share memory anyway."""

    def _update(self, p, g, state, group, lr):
        if group["weight_decay"]:
            g = g + p * group["weight_decay"]
        rate = lr / (1 + (state["step"].item() - 1) * group["lr_decay"])
        state["sum"].addcmul_(g, g, value=1)
        p.addcdiv_(g, state["sum"].sqrt() + group["eps"], value=-rate)
