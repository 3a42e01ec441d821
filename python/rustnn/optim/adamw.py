"""AdamW: Adam whose weight decay acts on the parameter and not on the gradient."""

from functools import partial

from .adam import Adam, adam

__all__ = ["AdamW", "adamw"]


class AdamW(Adam):
    """Adam with decoupled weight decay.

        θ ← θ - η λ θ
        θ ← θ - η m̂ / (√v̂ + ε)                   m̂, v̂ as in :class:`Adam`, from the gradient without decay

    Args: as :class:`Adam`; ``weight_decay`` λ is 0.01 unless given.
    Source: Loshchilov and Hutter 2019, "Decoupled weight decay regularization", algorithm 2.

    Example:
        >>> weight = rustnn.nn.Parameter(rustnn.ones(2))
        >>> optimizer = rustnn.optim.AdamW([weight], lr=0.5, weight_decay=0.5)
        >>> weight.sum().backward()
        >>> optimizer.step()
        >>> [round(value, 6) for value in weight.tolist()]
        [0.25, 0.25]
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=1e-2,
        amsgrad=False,
        *,
        maximize=False,
        foreach=None,
        capturable=False,
        differentiable=False,
        fused=None,
    ):
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:  # a checkpoint of plain Adam does not turn this one into it
            group["decoupled_weight_decay"] = True


adamw = partial(adam, decoupled_weight_decay=True)
