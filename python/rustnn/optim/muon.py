"""Muon: the momentum of a matrix, orthogonalised."""

import math

from .. import _core
from ._elementwise import ElementwiseOptimizer

__all__ = ["Muon"]


class Muon(ElementwiseOptimizer):
    """Muon, for matrices.

        b ← μ b + (1 - μ) g
        u ← NS((1 - μ) g + μ b) with Nesterov, NS(b) without
        θ ← (1 - η λ) θ - η s u

    NS iterates X ← a X + (b A + c A²) X with A = X Xᵀ from X = g / |g|, which drives the singular values towards 1. The
    factor s is max(1, rows / columns)^½, or 0.2 max(rows, columns)^½ with ``adjust_lr_fn="match_rms_adamw"``.

    Args:
        params: parameters or parameter groups; matrices all.
        lr: η, >= 0. weight_decay: λ, >= 0. momentum: μ, >= 0. nesterov: look ahead.
        ns_coefficients: (a, b, c). eps: the least norm to divide by. ns_steps: iterations, below 100.
        adjust_lr_fn: ``"original"`` (as None) or ``"match_rms_adamw"``.
    State per parameter: ``momentum_buffer`` b.
    Raises: ValueError for options outside their range, and for a parameter that is no matrix.
    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; Liu et al. 2025,
    arXiv:2502.16982.
    """

    _counts_steps = False

    def __init__(
        self,
        params,
        lr=1e-3,
        weight_decay=0.1,
        momentum=0.95,
        nesterov=True,
        ns_coefficients=(3.4445, -4.775, 2.0315),
        eps=1e-7,
        ns_steps=5,
        adjust_lr_fn=None,
    ):
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        checks = (
            (lr >= 0.0, f"Learning rate should be >= 0 but is: {lr}"),
            (momentum >= 0.0, f"momentum should be >= 0 but is: {momentum}"),
            (weight_decay >= 0.0, f"weight decay should be >= 0 but is: {weight_decay}"),
            (
                adjust_lr_fn in (None, "original", "match_rms_adamw"),
                f"Adjust learning rate function {adjust_lr_fn} is not supported",
            ),
        )
        super().__init__(params, defaults, checks)
        for group in self.param_groups:
            for p in group["params"]:
                if p.dim() != 2:
                    raise ValueError(
                        f"Muon only supports 2D parameters whereas we found a parameter with size: {p.size()}"
                    )

    def _begin(self, p, state, group):
        state["momentum_buffer"] = _core.zeros_like(p.grad)

    def _update(self, p, g, state, group, lr):
        momentum = group["momentum"]
        buffer = state["momentum_buffer"].lerp_(g, 1 - momentum)
        update = _orthogonalised(g.lerp(buffer, momentum) if group["nesterov"] else buffer, group)
        rows, columns = p.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            factor = 0.2 * math.sqrt(max(rows, columns))
        else:
            factor = math.sqrt(max(1, rows / columns))
        p.mul_(1 - lr * group["weight_decay"]).add_(update.to(p.dtype), alpha=-lr * factor)


def _orthogonalised(matrix, group):
    if group["ns_steps"] >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(group["ns_coefficients"]) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = group["ns_coefficients"]
    tall = matrix.size(0) > matrix.size(1)
    x = matrix.to(_core.bfloat16)
    x = x.T if tall else x
    x = x / x.norm().clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        gram = x @ x.T
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.T if tall else x
