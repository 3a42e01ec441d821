"""Stochastic gradient descent."""

from .. import _core
from ..autograd.grad_mode import enable_grad
from .optimizer import Optimizer, _check_fused, _check_fused_options, _to_scalar

__all__ = ["SGD", "sgd"]

Tensor = _core.Tensor


class SGD(Optimizer):
    """Stochastic gradient descent, optionally with momentum.

        g ← ∇f(θ) + λ θ
        b ← μ b + (1 - τ) g              b ← g in the first step
        g ← g + μ b                      nesterov;  g ← b without
        θ ← θ - η g                      θ ← θ + η g if maximize

    Args:
        params: parameters or parameter groups.
        lr: η, the learning rate, >= 0; a float or a one-element tensor.
        momentum: μ. dampening: τ. weight_decay: λ. All >= 0.
        nesterov: look ahead along the momentum; needs momentum and no dampening.
        maximize: climb instead of descend.
        differentiable: record the step, so that gradients flow through it.
        foreach, fused: accepted as torch accepts them; every step is one native call for all parameters.

    Raises: ValueError for negative options; RuntimeError for contradicting ones.
    Source: Sutskever et al. 2013, "On the importance of initialization and momentum in deep learning", with torch's
        variant, in which η multiplies the whole buffer and the first buffer is the gradient itself.

    Example:
        >>> weight = rustnn.nn.Parameter(rustnn.ones(2))
        >>> optimizer = rustnn.optim.SGD([weight], lr=0.5)
        >>> (weight * weight).sum().backward()
        >>> optimizer.step()
        >>> weight.tolist()
        [0.0, 0.0]
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        momentum=0,
        dampening=0,
        weight_decay=0,
        nesterov=False,
        *,
        maximize=False,
        foreach=None,
        differentiable=False,
        fused=None,
    ):
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        _check_fused_options(fused, foreach, differentiable)

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("nesterov", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("differentiable", False)
            group.setdefault("fused", False)

    def step(self, closure=None):
        """Update all parameters once and return the closure's loss, if there is a closure."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        state = self.state
        for group in self.param_groups:
            params, grads, buffers, has_new_buffer = [], [], [], False
            momentum = group["momentum"]
            for p in group["params"]:
                grad = p.grad
                if grad is not None:
                    params.append(p)
                    grads.append(grad)
                    if momentum:
                        buffer = state[p].get("momentum_buffer")
                        buffers.append(buffer)
                        has_new_buffer |= buffer is None
            if group["fused"]:
                for p in params:
                    _check_fused(p)
            lr, weight_decay = group["lr"], group["weight_decay"]
            if group["differentiable"]:
                update = _recorded_sgd
            else:
                update, lr, weight_decay = _core._sgd_step, float(lr), float(weight_decay)
            dampening, nesterov, maximize = group["dampening"], group["nesterov"], group["maximize"]
            update(params, grads, buffers, lr, momentum, dampening, weight_decay, nesterov, maximize)
            if has_new_buffer:
                for p, buffer in zip(params, buffers, strict=True):
                    state[p]["momentum_buffer"] = buffer
        return loss


def _recorded_sgd(params, grads, buffers, lr, momentum, dampening, weight_decay, nesterov, maximize):
    """The step in tensor ops, for gradients through the optimizer; entries of ``buffers`` that are None are created.

    Unlike torch's, the first buffer stays connected to its gradient: without that the result would be wrong.
    """
    lr = _to_scalar(lr)
    with enable_grad():
        for i, (param, g) in enumerate(zip(params, grads, strict=True)):
            g = -g if maximize else g
            if isinstance(weight_decay, Tensor) or weight_decay != 0:
                g = g + weight_decay * param
            if momentum:
                b = buffers[i]
                b = buffers[i] = g.clone() if b is None else b.mul_(momentum).add_(g, alpha=1 - dampening)
                g = g + momentum * b if nesterov else b.clone()
            param.sub_(lr * g)


def sgd(
    params,
    d_p_list,
    momentum_buffer_list,
    has_sparse_grad=False,
    foreach=None,
    fused=None,
    grad_scale=None,
    found_inf=None,
    *,
    weight_decay,
    momentum,
    lr,
    dampening,
    nesterov,
    maximize,
):
    """One SGD step on lists of tensors; ``momentum_buffer_list`` entries that are None are created. See
    :class:`SGD`."""
    _core._sgd_step(
        params,
        d_p_list,
        momentum_buffer_list,
        float(lr),
        momentum,
        dampening,
        float(weight_decay),
        nesterov,
        maximize,
    )
