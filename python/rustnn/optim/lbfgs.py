"""L-BFGS: Newton's method with a curvature estimated from the last steps."""

from .. import _core
from ..autograd.grad_mode import enable_grad, no_grad
from .optimizer import Optimizer

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """L-BFGS over all parameters as one vector θ; each step makes up to ``max_iter`` iterations.

        d ← -H ∇f(θ)      H from the last steps s and changes of the gradient y, by the two-loop recursion
        θ ← θ + t d

    The first t is min(1, 1 / |∇f|₁) η, the later ones are η, or what the line search finds from there.

    Args:
        params: parameters, in one group.
        lr: η. max_iter: iterations in a step.
        max_eval: calls of the closure in a step; 1.25 max_iter if not given.
        tolerance_grad: stop when the largest gradient is not above it.
        tolerance_change: stop when the step, or the change of f, is not above it.
        history_size: how many steps H remembers.
        line_search_fn: None, or "strong_wolfe": along d to where f has fallen enough and its slope is flat enough.
    Raises: ValueError for several groups or a negative learning rate; RuntimeError for another line search.
    Source: Nocedal and Wright 2006, "Numerical optimization", algorithms 3.5, 3.6, 7.4 and 7.5.

    Example:
        >>> weight = rustnn.nn.Parameter(rustnn.tensor([3.0, -2.0]))
        >>> optimizer = rustnn.optim.LBFGS([weight])
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (weight**2 * rustnn.tensor([1.0, 10.0])).sum()
        ...     loss.backward()
        ...     return loss
        >>> optimizer.step(closure).item()
        49.0
        >>> bool(weight.abs().max() < 1e-3)
        True
    """

    def __init__(
        self,
        params,
        lr=1,
        max_iter=20,
        max_eval=None,
        tolerance_grad=1e-7,
        tolerance_change=1e-9,
        history_size=100,
        line_search_fn=None,
    ):
        if isinstance(lr, _core.Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    def _gradient(self):
        return _core.cat([(p if p.grad is None else p.grad).reshape(-1) * (p.grad is not None) for p in self._params])

    def _move(self, direction, length):
        at = 0
        for p in self._params:
            p.add_(direction[at : at + p.numel()].view_as(p), alpha=length)
            at += p.numel()

    def step(self, closure):
        """Make up to ``max_iter`` iterations.

        Args:
            closure: clears the gradients, computes the loss, calls ``backward`` and returns the loss.
        Returns: the loss before the step.
        """
        with no_grad():
            return self._step(closure)

    def _step(self, closure):
        group = self.param_groups[0]
        lr, least_change = float(group["lr"]), group["tolerance_change"]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        def evaluate():
            with enable_grad():
                loss = closure()
            state["func_evals"] += 1
            return loss

        first_loss = evaluate()
        loss, gradient = float(first_loss), self._gradient()
        evaluations = 1
        if gradient.abs().max() <= group["tolerance_grad"]:
            return first_loss
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, gradient, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = gradient.clone(), loss
            length = lr / max(1.0, float(gradient.abs().sum())) if state["n_iter"] == 1 else lr
            slope = float(gradient.dot(direction))
            state["d"], state["t"] = direction, length
            if slope > -least_change:
                break
            if group["line_search_fn"] is None:
                self._move(direction, length)
                if iteration < group["max_iter"]:
                    loss, gradient = float(evaluate()), self._gradient()
                    evaluations += 1
            elif group["line_search_fn"] == "strong_wolfe":
                before = [p.clone() for p in self._params]

                def along(length, direction=direction, before=before):
                    for p, old in zip(self._params, before, strict=True):
                        p.copy_(old)
                    self._move(direction, length)
                    loss = float(evaluate())
                    gradient = self._gradient()
                    return loss, gradient, float(gradient.dot(direction))

                longest = float(direction.abs().max())
                length, loss, gradient, used = _strong_wolfe(
                    along, length, loss, gradient, slope, longest, least_change
                )
                for p, old in zip(self._params, before, strict=True):
                    p.copy_(old)
                self._move(direction, length)
                state["t"] = length
                evaluations += used
            else:
                raise RuntimeError("only 'strong_wolfe' is supported")
            if evaluations >= group["max_eval"] or gradient.abs().max() <= group["tolerance_grad"]:
                break
            if (direction * length).abs().max() <= least_change or abs(loss - state["prev_loss"]) < least_change:
                break
        return first_loss

    @staticmethod
    def _direction(state, gradient, history_size):
        """-H ∇f, with the newest pair of step and change added to the history."""
        if state["n_iter"] == 1:
            state["old_dirs"], state["old_stps"], state["ro"], state["H_diag"] = [], [], [], 1
            return -gradient
        changes, steps, scales = state["old_dirs"], state["old_stps"], state["ro"]
        y, s = gradient - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = y.dot(s)
        if curvature > 1e-10:  # else H would not stay positive
            if len(changes) == history_size:
                del changes[0], steps[0], scales[0]
            changes.append(y)
            steps.append(s)
            scales.append(1.0 / curvature)
            state["H_diag"] = curvature / y.dot(y)
        q, weights = -gradient, [None] * len(changes)
        for i in reversed(range(len(changes))):
            weights[i] = steps[i].dot(q) * scales[i]
            q = q - weights[i] * changes[i]
        r = q * state["H_diag"]
        for i in range(len(changes)):
            r = r + steps[i] * (weights[i] - changes[i].dot(r) * scales[i])
        return r


def _cubic_minimum(x1, f1, g1, x2, f2, g2, low, high):
    """Where the cubic through two points with two slopes is least in [low, high]; its middle if it has no minimum."""
    d1 = g1 + g2 - 3 * (f1 - f2) / (x1 - x2)
    square = d1 * d1 - g1 * g2
    if not square >= 0:  # NaN too
        return (low + high) / 2
    d2 = square**0.5
    if x1 > x2:
        x1, g1, x2, g2 = x2, g2, x1, g1
    spread = g2 - g1 + 2 * d2
    if spread == 0:
        return (low + high) / 2
    return min(max(x2 - (x2 - x1) * (g2 + d2 - d1) / spread, low), high)


def _strong_wolfe(along, length, loss, gradient, slope, longest, least_change, c1=1e-4, c2=0.9, most=25):
    """A length where f has fallen by c1 of what the slope promised, and |slope| to c2 of what it was.

    ``along(length)`` gives f, gradient and slope there. Returns: length, f, gradient, number of calls.
    """
    start = (0.0, loss, gradient, slope)
    before, calls, bracket = start, 0, None
    while calls < most:
        point = (length, *along(length))
        calls += 1
        if point[1] > loss + c1 * length * slope or (calls > 1 and point[1] >= before[1]) or point[1] != point[1]:
            bracket = [before, point]
            break
        if abs(point[3]) <= -c2 * slope:
            return *point[:3], calls
        if point[3] >= 0:
            bracket = [before, point]
            break
        low, high = length + 0.01 * (length - before[0]), length * 10
        length = _cubic_minimum(before[0], before[1], before[3], length, point[1], point[3], low, high)
        before = point
    if bracket is None:
        bracket = [start, before]
    while calls < most:
        bracket.sort(key=lambda point: point[1] if point[1] == point[1] else float("inf"))
        best, other = bracket
        if abs(other[0] - best[0]) * longest < least_change:
            break
        low, high = sorted((best[0], other[0]))
        length = _cubic_minimum(best[0], best[1], best[3], other[0], other[1], other[3], low, high)
        edge = 0.1 * (high - low)
        length = min(max(length, low + edge), high - edge)
        point = (length, *along(length))
        calls += 1
        if point[1] > loss + c1 * length * slope or point[1] >= best[1] or point[1] != point[1]:
            bracket = [best, point]
            continue
        if abs(point[3]) <= -c2 * slope:
            return *point[:3], calls
        bracket = [point, other if point[3] * (other[0] - best[0]) < 0 else best]
    best = min(bracket, key=lambda point: point[1] if point[1] == point[1] else float("inf"))
    return *best[:3], calls
