"""Adam that touches only the rows that have a gradient."""

import math

from .. import _core
from ..autograd.grad_mode import enable_grad, no_grad
from .optimizer import Optimizer

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """Adam on rows: those of an embedding that were not looked up keep their values and moments.

        m ← β₁ m + (1 - β₁) g            of the rows with a gradient
        v ← β₂ v + (1 - β₂) g²
        θ ← θ - η √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε)

    Gradients are strided here, those of ``Embedding(sparse=True)`` too: the rows of a gradient are those along its
    first dimension that are not all zero. PyTorch takes the rows that were looked up, and refuses strided gradients.

    Args:
        params: parameters or parameter groups.
        lr: η > 0. betas: β₁ and β₂, each in [0, 1). eps: ε > 0. maximize: climb instead of descend.
    Raises: ValueError for options outside these ranges.
    Source: Kingma and Ba 2015, arXiv:1412.6980, in PyTorch's lazy variant.

    Example:
        >>> table = rustnn.nn.Embedding(4, 2, sparse=True)
        >>> optimizer = rustnn.optim.SparseAdam(table.parameters(), lr=0.5)
        >>> before = table.weight.detach().clone()
        >>> table(rustnn.tensor([1, 3])).sum().backward()
        >>> optimizer.step()
        >>> (table.weight != before).any(1).tolist()
        [False, True, False, True]
    """

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, maximize=False):
        for valid, message in (
            (lr > 0.0, f"Invalid learning rate: {lr}"),
            (eps > 0.0, f"Invalid epsilon value: {eps}"),
            (0.0 <= betas[0] < 1.0, f"Invalid beta parameter at index 0: {betas[0]}"),
            (0.0 <= betas[1] < 1.0, f"Invalid beta parameter at index 1: {betas[1]}"),
        ):
            if not valid:
                raise ValueError(message)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})

    def step(self, closure=None):
        """Update the rows that have a gradient and return the closure's loss, if there is a closure."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for p in group["params"]:
                    if p.grad is not None:
                        self._update(p, group)
        return loss

    def _update(self, p, group):
        state, (beta1, beta2) = self.state[p], group["betas"]
        if not state:
            state["step"] = 0
            state["exp_avg"], state["exp_avg_sq"] = _core.zeros_like(p), _core.zeros_like(p)
        state["step"] += 1
        shape = p.shape if p.dim() else (1,)
        g = p.grad.reshape(shape)
        rows = (g.reshape(shape[0], -1) != 0).any(1).nonzero().reshape(-1) if g.numel() else None
        if rows is None or not rows.numel():
            return
        g = g.index_select(0, rows)
        g = -g if group["maximize"] else g
        exp_avg, exp_avg_sq = state["exp_avg"].view(shape), state["exp_avg_sq"].view(shape)
        m = exp_avg.index_select(0, rows).lerp_(g, 1 - beta1)
        v = exp_avg_sq.index_select(0, rows).mul_(beta2).addcmul_(g, g, value=1 - beta2)
        exp_avg.index_copy_(0, rows, m)
        exp_avg_sq.index_copy_(0, rows, v)
        size = float(group["lr"]) * math.sqrt(1 - beta2 ** state["step"]) / (1 - beta1 ** state["step"])
        p.view(shape).index_add_(0, rows, m / (v.sqrt() + group["eps"]), alpha=-size)
