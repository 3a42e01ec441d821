"""Adam: steps scaled by running averages of the gradient and of its square."""

from .. import _core
from ..autograd.grad_mode import enable_grad
from .optimizer import Optimizer, _check_fused, _check_fused_options, _to_scalar

__all__ = ["Adam", "adam"]

Tensor = _core.Tensor


class Adam(Optimizer):
    """Adam: every parameter moves by its mean gradient over the root of its mean squared gradient.

        g ← ∇f(θ) + λ θ                          maximize: -∇f(θ) + λ θ
        m ← β₁ m + (1 - β₁) g
        v ← β₂ v + (1 - β₂) g²
        m̂ ← m / (1 - β₁ᵗ)
        v̂ ← v / (1 - β₂ᵗ)                        amsgrad: the largest v so far in place of v
        θ ← θ - η m̂ / (√v̂ + ε)

    Args:
        params: parameters or parameter groups.
        lr: η, the learning rate, >= 0; a float or a one-element tensor.
        betas: (β₁, β₂), each in [0, 1); both floats or both one-element tensors.
        eps: ε, >= 0. weight_decay: λ, >= 0.
        amsgrad: divide by the largest v so far (Reddi et al. 2018).
        maximize: climb instead of descend.
        differentiable: record the step, so that gradients flow through it.
        decoupled_weight_decay: shrink the parameter by η λ θ instead of adding λ θ to the gradient, as :class:`AdamW`
            does.
        foreach, capturable, fused: accepted as torch accepts them; every step is one native call for all parameters.

    State per parameter: ``step`` (0-dim float32), ``exp_avg`` m, ``exp_avg_sq`` v, with amsgrad ``max_exp_avg_sq``.
    Raises: ValueError for options outside their range; RuntimeError for contradicting ones.
    Source: Kingma and Ba 2015, "Adam: a method for stochastic optimization", algorithm 1.

    Example:
        >>> weight = rustnn.nn.Parameter(rustnn.ones(2))
        >>> optimizer = rustnn.optim.Adam([weight], lr=0.5)
        >>> weight.sum().backward()
        >>> optimizer.step()
        >>> [round(value, 6) for value in weight.tolist()]
        [0.5, 0.5]
    """

    def __init__(
        self,
        params,
        lr=1e-3,
        betas=(0.9, 0.999),
        eps=1e-8,
        weight_decay=0,
        amsgrad=False,
        *,
        foreach=None,
        maximize=False,
        capturable=False,
        differentiable=False,
        fused=None,
        decoupled_weight_decay=False,
    ):
        if isinstance(lr, Tensor):
            if foreach and not capturable:
                raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
            if lr.numel() != 1:
                raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not 0.0 <= eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        for index in (0, 1):
            if not 0.0 <= betas[index] < 1.0:
                raise ValueError(f"Invalid beta parameter at index {index}: {betas[index]}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if not any(isinstance(betas[0], kind) and isinstance(betas[1], kind) for kind in (float, Tensor)):
            raise ValueError("betas must be either both floats or both Tensors")
        for index in (0, 1):
            if isinstance(betas[index], Tensor):
                if foreach and not capturable:
                    raise ValueError(
                        f"betas[{index}] as a Tensor is not supported for capturable=False and foreach=True"
                    )
                if betas[index].numel() != 1:
                    raise ValueError(f"Tensor betas[{index}] must be 1-element")
        defaults = {
            "lr": lr,
            "betas": tuple(map(_to_scalar, betas)),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)
        _check_fused_options(fused, foreach, differentiable)

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            group.setdefault("amsgrad", False)
            group.setdefault("maximize", False)
            group.setdefault("foreach", None)
            group.setdefault("capturable", False)
            group.setdefault("differentiable", False)
            group.setdefault("decoupled_weight_decay", False)
            group.setdefault("fused", None)
            for p in group["params"]:
                p_state = self.state.get(p)
                if p_state and not isinstance(p_state["step"], Tensor):  # checkpoints of early torch hold a number
                    p_state["step"] = _core.tensor(float(p_state["step"]), dtype=_step_dtype(group))

    def _init_state(self, p, group):
        """The state of a parameter that is about to make its first step."""
        if group["fused"]:
            _check_fused(p)
        p_state = self.state[p]
        p_state["step"] = _core.tensor(0.0, dtype=_step_dtype(group))
        p_state["exp_avg"] = _core.zeros_like(p)
        p_state["exp_avg_sq"] = _core.zeros_like(p)
        if group["amsgrad"]:
            p_state["max_exp_avg_sq"] = _core.zeros_like(p)
        return p_state

    def step(self, closure=None):
        """Update all parameters once and return the closure's loss, if there is a closure."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        state = self.state
        for group in self.param_groups:
            params, grads, exp_avgs, exp_avg_sqs, max_exp_avg_sqs, steps = [], [], [], [], [], []
            amsgrad = group["amsgrad"]
            for p in group["params"]:  # one loop: measured twice as fast as a comprehension per list
                grad = p.grad
                if grad is not None:
                    p_state = state[p] or self._init_state(p, group)
                    params.append(p)
                    grads.append(grad)
                    exp_avgs.append(p_state["exp_avg"])
                    exp_avg_sqs.append(p_state["exp_avg_sq"])
                    steps.append(p_state["step"])
                    if amsgrad:
                        max_exp_avg_sqs.append(p_state["max_exp_avg_sq"])
            beta1, beta2 = group["betas"]
            lr = group["lr"]
            if group["differentiable"]:
                update = _recorded_adam
            else:
                update, lr, beta1, beta2 = _core._adam_step, float(lr), float(beta1), float(beta2)
            update(
                params,
                grads,
                exp_avgs,
                exp_avg_sqs,
                max_exp_avg_sqs,
                steps,
                amsgrad,
                beta1,
                beta2,
                lr,
                group["weight_decay"],
                group["eps"],
                group["maximize"],
                group["decoupled_weight_decay"],
            )
        return loss


def _step_dtype(group):
    """torch counts in float64 only if that is the default dtype and the step is not fused."""
    double = _core.get_default_dtype() == _core.float64 and not group["fused"]
    return _core.float64 if double else _core.float32


def _recorded_adam(
    params,
    grads,
    exp_avgs,
    exp_avg_sqs,
    max_exp_avg_sqs,
    steps,
    amsgrad,
    beta1,
    beta2,
    lr,
    weight_decay,
    eps,
    maximize,
    decoupled,
):
    """The step in tensor ops, for gradients through the optimizer."""
    lr = _to_scalar(lr)
    with enable_grad():
        for i, (param, g, m, v, step) in enumerate(zip(params, grads, exp_avgs, exp_avg_sqs, steps, strict=True)):
            if step.requires_grad:
                raise RuntimeError("`requires_grad` is not supported for `step` in differentiable mode")
            g = -g if maximize else g
            t = float(step.add_(1))
            if decoupled:
                param.mul_(1 - lr * weight_decay)
            elif weight_decay != 0:
                g = g + weight_decay * param
            m.mul_(beta1).add_((1 - beta1) * g)
            v.mul_(beta2).add_((1 - beta2) * (g * g))
            if amsgrad:
                v = max_exp_avg_sqs[i].copy_(_core.maximum(max_exp_avg_sqs[i].clone(), v.clone())).clone()
            m_hat = m / (1 - beta1**t)
            v_hat = v / (1 - beta2**t)
            param.sub_(lr * m_hat / (v_hat.sqrt() + eps))


def adam(
    params,
    grads,
    exp_avgs,
    exp_avg_sqs,
    max_exp_avg_sqs,
    state_steps,
    foreach=None,
    capturable=False,
    differentiable=False,
    fused=None,
    grad_scale=None,
    found_inf=None,
    has_complex=False,
    decoupled_weight_decay=False,
    *,
    amsgrad,
    beta1,
    beta2,
    lr,
    weight_decay,
    eps,
    maximize,
):
    """One Adam step on lists of tensors. See :class:`Adam`."""
    if not all(isinstance(step, Tensor) for step in state_steps):
        raise RuntimeError("API has changed, `state_steps` argument must contain a list of singleton tensors")
    moments = (exp_avgs, exp_avg_sqs, max_exp_avg_sqs, state_steps)
    options = (weight_decay, eps, maximize, decoupled_weight_decay)
    if differentiable:
        _recorded_adam(params, grads, *moments, amsgrad, beta1, beta2, lr, *options)
    else:
        _core._adam_step(params, grads, *moments, amsgrad, float(beta1), float(beta2), float(lr), *options)
