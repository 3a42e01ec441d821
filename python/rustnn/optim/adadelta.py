"""Adadelta: steps as large as the former steps were, where the gradients are as large as the former gradients."""

from .. import _core
from ._elementwise import ElementwiseOptimizer

__all__ = ["Adadelta"]


class Adadelta(ElementwiseOptimizer):
    """Adadelta.

        g ← ∇f(θ) + λ θ
        v ← r v + (1 - r) g²
        d ← g √(u + ε) / √(v + ε)
        u ← r u + (1 - r) d²
        θ ← θ - η d

    Args:
        params: parameters or parameter groups.
        lr: η, >= 0. rho: r, in [0, 1]. eps: ε, >= 0. weight_decay: λ, >= 0.
        maximize: climb instead of descend. differentiable: record the step.
    State per parameter: ``step``, ``square_avg`` v, ``acc_delta`` u.
    Raises: ValueError for options outside their range.
    Source: Zeiler 2012, arXiv:1212.5701, algorithm 1, with torch's η.

    Example:
        >>> weight = rustnn.nn.Parameter(rustnn.ones(1))
        >>> optimizer = rustnn.optim.Adadelta([weight])
        >>> (weight * 3).sum().backward()
        >>> optimizer.step()
        >>> round(weight.item(), 4)
        0.9968
    """

    def __init__(
        self,
        params,
        lr=1.0,
        rho=0.9,
        eps=1e-6,
        weight_decay=0,
        foreach=None,
        *,
        capturable=False,
        maximize=False,
        differentiable=False,
    ):
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        checks = (
            (lr >= 0.0, f"Invalid learning rate: {lr}"),
            (0.0 <= rho <= 1.0, f"Invalid rho value: {rho}"),
            (eps >= 0.0, f"Invalid epsilon value: {eps}"),
            (weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}"),
        )
        super().__init__(params, defaults, checks)

    def _begin(self, p, state, group):
        state["square_avg"], state["acc_delta"] = _core.zeros_like(p), _core.zeros_like(p)

    def _update(self, p, g, state, group, lr):
        v, u, rho, eps = state["square_avg"], state["acc_delta"], group["rho"], group["eps"]
        if group["weight_decay"]:
            g = g + p * group["weight_decay"]
        v.mul_(rho).addcmul_(g, g, value=1 - rho)
        delta = (u + eps).sqrt() / (v + eps).sqrt() * g
        u.mul_(rho).addcmul_(delta, delta, value=1 - rho)
        p.add_(delta, alpha=-lr)
