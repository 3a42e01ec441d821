"""RMSprop: steps scaled by a running average of the squared gradient."""

from .. import _core
from ._elementwise import ElementwiseOptimizer

__all__ = ["RMSprop"]


class RMSprop(ElementwiseOptimizer):
    """RMSprop.

        g ← ∇f(θ) + λ θ
        v ← β v + (1 - β) g²
        a ← β a + (1 - β) g             centered: v - a² in place of v below
        b ← μ b + g / (√v + ε)          without momentum b is its second term
        θ ← θ - η b

    Args:
        params: parameters or parameter groups.
        lr: η. alpha: β. eps: ε. weight_decay: λ. momentum: μ. All >= 0.
        centered: divide by the deviation of the gradient instead of its root mean square.
        maximize: climb instead of descend. differentiable: record the step.
    State per parameter: ``step``, ``square_avg`` v, with momentum ``momentum_buffer`` b, if centered ``grad_avg`` a.
    Raises: ValueError for negative options.
    Source: Hinton, lecture 6 of "Neural networks for machine learning"; centered: Graves 2013, arXiv:1308.0850.

    Example:
        >>> weight = rustnn.nn.Parameter(rustnn.ones(1))
        >>> optimizer = rustnn.optim.RMSprop([weight], lr=0.01)
        >>> (weight * 3).sum().backward()
        >>> optimizer.step()
        >>> round(weight.item(), 4)
        0.9
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        alpha=0.99,
        eps=1e-8,
        weight_decay=0,
        momentum=0,
        centered=False,
        capturable=False,
        foreach=None,
        maximize=False,
        differentiable=False,
    ):
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        checks = (
            (lr >= 0.0, f"Invalid learning rate: {lr}"),
            (eps >= 0.0, f"Invalid epsilon value: {eps}"),
            (momentum >= 0.0, f"Invalid momentum value: {momentum}"),
            (weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}"),
            (alpha >= 0.0, f"Invalid alpha value: {alpha}"),
        )
        super().__init__(params, defaults, checks)

    def _begin(self, p, state, group):
        state["square_avg"] = _core.zeros_like(p)
        if group["momentum"] > 0:
            state["momentum_buffer"] = _core.zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = _core.zeros_like(p)

    def _update(self, p, g, state, group, lr):
        v, alpha = state["square_avg"], group["alpha"]
        if group["weight_decay"]:
            g = g + p * group["weight_decay"]
        v.mul_(alpha).addcmul_(g, g, value=1 - alpha)
        if group["centered"]:
            mean = state["grad_avg"].lerp_(g, 1 - alpha)
            spread = (v - mean * mean).sqrt()
        else:
            spread = v.sqrt()
        spread = spread + group["eps"]
        if group["momentum"] > 0:
            buffer = state["momentum_buffer"]
            buffer.mul_(group["momentum"]).add_(g / spread)
            p.add_(buffer, alpha=-lr)
        else:
            p.add_(g / spread, alpha=-lr)
