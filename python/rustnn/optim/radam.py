"""RAdam: Adam that waits with the root mean square until that is reliable."""

from .. import _core
from ._elementwise import ElementwiseOptimizer

__all__ = ["RAdam"]


class RAdam(ElementwiseOptimizer):
    """RAdam.

        g, m, v, m̂ as in Adam;  r∞ = 2 / (1 - β₂) - 1,  r = r∞ - 2 t β₂ᵗ / (1 - β₂ᵗ)
        l = √(1 - β₂ᵗ) / (√v + ε) √((r - 4)(r - 2) r∞ / ((r∞ - 4)(r∞ - 2) r))      if r > 5, else 1
        θ ← θ - η m̂ l


    Args:
        params: parameters or parameter groups.
        lr: η, >= 0. betas: (β₁, β₂), each in [0, 1). eps: ε, >= 0. weight_decay: λ, >= 0.
        decoupled_weight_decay: shrink the parameter by η λ θ instead of adding λ θ to the gradient.
        maximize: climb instead of descend. differentiable: record the step.
    State per parameter: ``step`` t, ``exp_avg`` m, ``exp_avg_sq`` v.
    Raises: ValueError for options outside their range.
    Source: Liu et al. 2020, arXiv:1908.03265, algorithm 2.

    Example:
        >>> weight = rustnn.nn.Parameter(rustnn.ones(1))
        >>> optimizer = rustnn.optim.RAdam([weight], lr=0.25)
        >>> (weight * 3).sum().backward()
        >>> optimizer.step()
        >>> round(weight.item(), 4)
        0.25
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        decoupled_weight_decay=False,
        foreach=None,
        *,
        maximize=False,
        capturable=False,
        differentiable=False,
    ):
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
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
        state["exp_avg"], state["exp_avg_sq"] = _core.zeros_like(p), _core.zeros_like(p)

    def _update(self, p, g, state, group, lr):
        beta1, beta2 = group["betas"]
        if group["weight_decay"]:
            if group["decoupled_weight_decay"]:
                p.mul_(1 - lr * group["weight_decay"])
            else:
                g = g + p * group["weight_decay"]
        mean = state["exp_avg"].lerp_(g, 1 - beta1)
        square = state["exp_avg_sq"]
        square.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        t = state["step"].item()
        mean = mean / (1 - beta1**t)
        longest = 2 / (1 - beta2) - 1
        length = longest - 2 * t * beta2**t / (1 - beta2**t)
        if length > 5:
            share = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            mean = mean * ((1 - beta2**t) ** 0.5 / (square.sqrt() + group["eps"])) * share**0.5
        p.add_(mean, alpha=-lr)
