"""Adafactor: second moments of matrices kept as a row and a column."""

from .. import _core
from ..numeric_limits import finfo
from ._elementwise import ElementwiseOptimizer

__all__ = ["Adafactor"]


class Adafactor(ElementwiseOptimizer):
    """Adafactor.

        η ← min(η₀, 1/√t),  s ← max(ε₂, rms θ) η,  β ← 1 - t^k
        r ← β r + (1 - β) mean over columns of g²,  c likewise over rows,  v ← r c / mean r
        u ← g / √max(v, ε₁²)
        θ ← (1 - η₀ λ) θ - s u / max(1, rms u / d)

    Of a vector v is the average of g² itself.

    Args:
        params: parameters or parameter groups.
        lr: η₀, >= 0. beta2_decay: k, <= 0. eps: (ε₁, ε₂); ε₁ None means the dtype's epsilon. d: clipping threshold, >=
        1.
        weight_decay: λ, >= 0.
        maximize: climb instead of descend.
    State per parameter: ``step`` t; ``row_var`` r and ``col_var`` c, or ``variance`` v.
    Raises: ValueError for options outside their range.
    Source: Shazeer and Stern 2018, arXiv:1804.04235.

    Example:
        >>> weight = rustnn.nn.Parameter(rustnn.ones(2))
        >>> optimizer = rustnn.optim.Adafactor([weight], lr=0.25)
        >>> (weight * 3).sum().backward()
        >>> optimizer.step()
        >>> weight.tolist()
        [0.75, 0.75]
    """

    def __init__(
        self,
        params,
        lr=1e-2,
        beta2_decay=-0.8,
        eps=(None, 1e-3),
        d=1.0,
        weight_decay=0.0,
        *,
        foreach=None,
        maximize=False,
    ):
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        checks = (
            (lr >= 0.0, f"Learning rate should be >= 0 but is: {lr}"),
            (beta2_decay <= 0.0, f"beta2_decay should be <= 0 but is: {beta2_decay}"),
            (eps[0] is None or eps[0] >= 0.0, f"epsilon1 should be >= 0 but is: {eps[0]}"),
            (eps[1] >= 0.0, f"epsilon2 should be >= 0 but is: {eps[1]}"),
            (d >= 1.0, f"Clipping threshold d should be >= 1 but is: {d}"),
            (weight_decay >= 0.0, f"weight_decay should be >= 0 but is: {weight_decay}"),
        )
        super().__init__(params, defaults, checks)

    def _begin(self, p, state, group):
        if p.grad.dim() > 1:
            shape = list(p.grad.shape)
            state["row_var"] = p.grad.new_zeros(*shape[:-1], 1)
            state["col_var"] = p.grad.new_zeros(*shape[:-2], 1, shape[-1])
        else:
            state["variance"] = _core.zeros_like(p.grad)

    def _update(self, p, g, state, group, lr):
        step = state["step"].item()
        least, smallest_step = group["eps"]
        least = finfo(p.dtype).eps if least is None else least
        share = step ** group["beta2_decay"]
        # Both roots of mean squares stay tensors: nobody has to wait for them.
        size = (p.norm() / p.numel() ** 0.5).clamp_min(smallest_step)
        if group["weight_decay"]:
            p.mul_(1 - lr * group["weight_decay"])
        squares = g * g
        if g.dim() > 1:
            rows = state["row_var"].lerp_(squares.mean(-1, keepdim=True), share)
            columns = state["col_var"].lerp_(squares.mean(-2, keepdim=True), share)
            variance = rows @ columns / rows.mean(-2, keepdim=True).clamp(min=least)
        else:
            variance = state["variance"].lerp_(squares, share)
        update = variance.clamp(min=least * least).rsqrt() * g
        excess = (update.norm() / (update.numel() ** 0.5 * group["d"])).clamp_min(1.0)
        p.sub_(update * (size / excess * min(lr, step**-0.5)))
