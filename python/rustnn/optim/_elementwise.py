"""What optimizers share whose step is a formula on one parameter in tensor ops."""

from .. import _core
from ..autograd.grad_mode import enable_grad, set_grad_enabled
from .optimizer import Optimizer, _to_scalar

__all__ = ["ElementwiseOptimizer"]


class ElementwiseOptimizer(Optimizer):
    """A subclass says what state a parameter begins with, and how a gradient updates both.

    Options that all have: ``foreach``, ``maximize``, ``capturable`` and ``differentiable``; the first and third are
    accepted as torch accepts them and change nothing. An optimizer that lacks one never does what it says.
    """

    _counts_steps = True

    def __init__(self, params, defaults, checks):
        lr = defaults["lr"]
        if isinstance(lr, _core.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        for valid, message in checks:
            if not valid:
                raise ValueError(message)
        super().__init__(params, defaults)

    def __setstate__(self, state):
        super().__setstate__(state)
        for group in self.param_groups:
            for name, value in self.defaults.items():
                if isinstance(value, bool) or value is None:
                    group.setdefault(name, value)  # options younger than the checkpoint
            for p in group["params"]:
                p_state = self.state.get(p)
                if p_state and not isinstance(p_state.get("step", None), (_core.Tensor, type(None))):
                    p_state["step"] = _core.tensor(float(p_state["step"]))

    def step(self, closure=None):
        """Update all parameters once and return the closure's loss, if there is a closure."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            with set_grad_enabled(bool(group.get("differentiable"))):
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    if p.is_complex():
                        self._advance_parts(p, self.state[p], group)
                    else:
                        self._advance(p, self.state[p], group)
        return loss

    def _advance(self, p, p_state, group):
        if not p_state:
            if self._counts_steps:
                p_state["step"] = _core.tensor(0.0)
            self._begin(p, p_state, group)
        if self._counts_steps:
            p_state["step"] += 1
        grad = -p.grad if group.get("maximize") else p.grad
        self._update(p, grad, p_state, group, _to_scalar(group["lr"]))

    def _advance_parts(self, p, p_state, group):
        """As :meth:`_advance`, of a complex parameter as pairs of real numbers; its state is complex too."""
        parts = _core.view_as_real(p.detach())
        parts.grad = _core.view_as_real(p.grad)
        seen = {name: _core.view_as_real(value) if _is_complex(value) else value for name, value in p_state.items()}
        self._advance(parts, seen, group)
        for name, value in seen.items():
            whole = isinstance(value, _core.Tensor) and value.shape == parts.shape
            p_state[name] = _core.view_as_complex(value.detach()) if whole else value


def _is_complex(value):
    return isinstance(value, _core.Tensor) and value.is_complex()
