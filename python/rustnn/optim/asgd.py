"""Averaged stochastic gradient descent."""

from .. import _core
from ._elementwise import ElementwiseOptimizer

__all__ = ["ASGD"]


class ASGD(ElementwiseOptimizer):
    """Averaged SGD.

        g ← ∇f(θ) + w θ
        θ ← (1 - λ η) θ - η g
        a ← a + μ (θ - a)
        η ← η₀ / (1 + λ η₀ t)^k,  μ ← 1 / max(1, t - t₀)

    Args:
        params: parameters or parameter groups.
        lr: η₀, >= 0. lambd: λ. alpha: k. t0: t₀, the step at which averaging starts. weight_decay: w, >= 0.
        maximize: climb instead of descend. differentiable: record the step.
    State per parameter: ``step`` t, ``eta`` η, ``mu`` μ, ``ax`` the average a.
    Raises: ValueError for options outside their range.
    Source: Polyak and Juditsky 1992, "Acceleration of stochastic approximation by averaging".

    Example:
        >>> weight = rustnn.nn.Parameter(rustnn.ones(1))
        >>> optimizer = rustnn.optim.ASGD([weight], lr=0.1, lambd=0)
        >>> (weight * 3).sum().backward()
        >>> optimizer.step()
        >>> round(weight.item(), 4)
        0.7
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        lambd=1e-4,
        alpha=0.75,
        t0=1e6,
        weight_decay=0,
        foreach=None,
        maximize=False,
        differentiable=False,
        capturable=False,
    ):
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        checks = (
            (lr >= 0.0, f"Invalid learning rate: {lr}"),
            (weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}"),
        )
        super().__init__(params, defaults, checks)

    def __setstate__(self, state):
        super().__setstate__(state)
        for p_state in self.state.values():
            for name in ("eta", "mu"):
                if name in p_state and not isinstance(p_state[name], _core.Tensor):
                    p_state[name] = _core.tensor(float(p_state[name]))

    def _begin(self, p, state, group):
        state["eta"] = _core.as_tensor(group["lr"], dtype=_core.float32).detach().clone()
        state["mu"] = _core.ones(())
        state["ax"] = _core.zeros_like(p)

    def _update(self, p, g, state, group, lr):
        if group["weight_decay"]:
            g = g + p * group["weight_decay"]
        eta, mu, step = state["eta"].item(), state["mu"].item(), state["step"].item()
        p.mul_(1 - group["lambd"] * eta).add_(g, alpha=-eta)
        average = state["ax"]
        if mu == 1:
            average.copy_(p)
        else:
            average.add_((p - average) * mu)
        state["eta"].fill_(lr / (1 + group["lambd"] * lr * step) ** group["alpha"])
        state["mu"].fill_(1 / max(1, step - group["t0"]))
