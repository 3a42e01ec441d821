"""NAdam: Adam that looks ahead along the momentum."""

from .. import _core
from ._elementwise import ElementwiseOptimizer

__all__ = ["NAdam"]


class NAdam(ElementwiseOptimizer):
    """NAdam.

        g, m, v as in Adam
        μ_t = β₁ (1 - 0.96^(t ψ) / 2),  M ← M μ_t
        θ ← θ - η (μ_{t+1} m / (1 - M μ_{t+1}) + (1 - μ_t) g / (1 - M)) / (√(v / (1 - β₂ᵗ)) + ε)


    Args:
        params: parameters or parameter groups.
        lr: η, >= 0. betas: (β₁, β₂), each in [0, 1). eps: ε, >= 0. weight_decay: λ, >= 0.
        momentum_decay: ψ, >= 0.
        decoupled_weight_decay: shrink the parameter by η λ θ instead of adding λ θ to the gradient.
        maximize: climb instead of descend. differentiable: record the step.
    State per parameter: ``step`` t, ``mu_product`` M, ``exp_avg`` m, ``exp_avg_sq`` v.
    Raises: ValueError for options outside their range.
    Source: Dozat 2016, "Incorporating Nesterov momentum into Adam".

    Example:
        >>> weight = rustnn.nn.Parameter(rustnn.ones(1))
        >>> optimizer = rustnn.optim.NAdam([weight], lr=0.25)
        >>> (weight * 3).sum().backward()
        >>> optimizer.step()
        >>> round(weight.item(), 4)
        0.7359
    """

    def __init__(
        self,
        params,
        lr=2e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        momentum_decay=4e-3,
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
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        checks = (
            (lr >= 0.0, f"Invalid learning rate: {lr}"),
            (eps >= 0.0, f"Invalid epsilon value: {eps}"),
            (0.0 <= betas[0] < 1.0, f"Invalid beta parameter at index 0: {betas[0]}"),
            (0.0 <= betas[1] < 1.0, f"Invalid beta parameter at index 1: {betas[1]}"),
            (weight_decay >= 0.0, f"Invalid weight_decay value: {weight_decay}"),
            (momentum_decay >= 0.0, f"Invalid momentum_decay value: {momentum_decay}"),
        )
        super().__init__(params, defaults, checks)

    def _begin(self, p, state, group):
        state["mu_product"] = _core.tensor(1.0)
        state["exp_avg"], state["exp_avg_sq"] = _core.zeros_like(p), _core.zeros_like(p)

    def _update(self, p, g, state, group, lr):
        beta1, beta2 = group["betas"]
        if group["weight_decay"]:
            if group["decoupled_weight_decay"]:
                p.mul_(1 - lr * group["weight_decay"])
            else:
                g = g + p * group["weight_decay"]
        t = state["step"].item()
        now, ahead = (beta1 * (1 - 0.5 * 0.96 ** (i * group["momentum_decay"])) for i in (t, t + 1))
        state["mu_product"] *= now
        product = state["mu_product"] if group["differentiable"] else state["mu_product"].item()
        mean = state["exp_avg"].lerp_(g, 1 - beta1)
        square = state["exp_avg_sq"]
        square.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        spread = (square / (1 - beta2**t)).sqrt() + group["eps"]
        by_gradient, by_mean = -lr * (1 - now) / (1 - product), -lr * ahead / (1 - product * ahead)
        if group["differentiable"]:
            p.addcdiv_(g * by_gradient, spread).addcdiv_(mean * by_mean, spread)
        else:
            p.addcdiv_(g, spread, value=by_gradient).addcdiv_(mean, spread, value=by_mean)
