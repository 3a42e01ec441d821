"""The name of an optimizer for sparse gradients, which do not exist here."""

from .optimizer import Optimizer

__all__ = ["SparseAdam"]


class SparseAdam(Optimizer):
    """Adam for sparse gradients: checks its options as PyTorch's; a step raises, as PyTorch's does for dense gradients.

    Args:
        params: parameters or parameter groups.
        lr: > 0. betas: each in [0, 1). eps: > 0. maximize: accepted.
    Raises: ValueError for options outside these ranges; RuntimeError in ``step``: gradients are dense, use ``Adam``.
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
        """Raises RuntimeError if a parameter has a gradient."""
        loss = closure() if closure is not None else None
        if any(p.grad is not None for group in self.param_groups for p in group["params"]):
            raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
        return loss
