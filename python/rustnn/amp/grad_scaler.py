"""Losses times a factor, so that small gradients survive half precision."""

from .. import _core
from .._core import Tensor

__all__ = ["GradScaler"]

_READY, _UNSCALED, _STEPPED = range(3)


class GradScaler:
    """Scales losses, takes the factor out of gradients, and leaves out steps in which one is inf or NaN.

    Args:
        device: "cpu"; with "cuda" it is off, with a warning, as there is no CUDA device.
        init_scale: the first factor.
        growth_factor: the factor grows by it, > 1, after ``growth_interval`` steps without an inf or NaN.
        backoff_factor: the factor is multiplied by it, < 1, after a step with one.
        enabled: False makes ``scale`` and ``unscale_`` do nothing, and ``step`` just step.
    Source: Micikevicius et al. 2018, arXiv:1710.03740, section 3.2; behaviour of ``torch.amp.GradScaler``.
    Example:
        >>> weight = rustnn.nn.Parameter(rustnn.ones(2))
        >>> optimizer = rustnn.optim.SGD([weight], lr=0.5)
        >>> scaler = rustnn.amp.GradScaler("cpu", init_scale=8.0)
        >>> scaler.scale(weight.sum()).backward()
        >>> scaler.step(optimizer)
        >>> scaler.update()
        >>> weight.tolist(), weight.grad.tolist(), scaler.get_scale()
        ([0.5, 0.5], [1.0, 1.0], 8.0)
    """

    def __init__(
        self,
        device="cuda",
        init_scale=65536.0,
        growth_factor=2.0,
        backoff_factor=0.5,
        growth_interval=2000,
        enabled=True,
    ):
        if device == "cuda" and enabled:
            import warnings

            warnings.warn("torch.cuda.amp.GradScaler is enabled, but CUDA is not available.  Disabling.", stacklevel=2)
            enabled = False
        if enabled and growth_factor <= 1.0:
            raise AssertionError("The growth factor must be > 1.0.")
        if enabled and backoff_factor >= 1.0:
            raise AssertionError("The backoff factor must be < 1.0.")
        self._device, self._enabled = device, enabled
        self._scale, self._used = float(init_scale), False
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval, self._growth_tracker = growth_interval, 0
        self._stages = {}  # id of an optimizer -> its stage since the last update

    def scale(self, outputs):
        """A tensor, or those in lists and tuples, times the factor."""
        if not self._enabled:
            return outputs
        self._used = True
        return self._scaled(outputs)

    def _scaled(self, outputs):
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if not hasattr(outputs, "__iter__"):
            raise ValueError("outputs must be a Tensor or an iterable of Tensors")
        scaled = map(self._scaled, outputs)
        return type(outputs)(scaled) if isinstance(outputs, (list, tuple)) else scaled

    def _check_used(self, action):
        if not self._used:
            raise AssertionError(
                f"Attempted {action} but _scale is None.  This may indicate your script did not use "
                "scaler.scale(loss or outputs) earlier in the iteration."
            )

    def unscale_(self, optimizer):
        """Divide the gradients of an optimizer's parameters by the factor, for instance to clip them before the step.

        Raises: RuntimeError the second time between two updates, or after the step; ValueError for float16 gradients.
        """
        if not self._enabled:
            return
        self._check_used("unscale_")
        stage = self._stages.get(id(optimizer), (_READY, False))[0]
        if stage == _UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if stage == _STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        finite: dict = {}
        with _core.no_grad():
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    gradient = parameter.grad
                    if gradient is None:
                        continue
                    if gradient.dtype is _core.float16:
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    finite.setdefault(str(gradient.device), []).append(gradient.isfinite().all())
                    gradient.mul_(1.0 / self._scale)
            # One look at each device.
            found = not all(bool(_core.stack(each).all()) for each in finite.values())
        self._stages[id(optimizer)] = (_UNSCALED, found)

    def step(self, optimizer, *args, **kwargs):
        """``optimizer.step(...)`` with unscaled gradients, unless one of them is inf or NaN; what it returns, or None.

        Raises: RuntimeError for a closure, and for a second step between two updates.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        self._check_used("step")
        stage, found = self._stages.get(id(optimizer), (_READY, False))
        if stage == _STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if stage == _READY:
            self.unscale_(optimizer)
            found = self._stages[id(optimizer)][1]
        result = None if found else optimizer.step(*args, **kwargs)
        self._stages[id(optimizer)] = (_STEPPED, found)
        return result

    def update(self, new_scale=None):
        """Adapt the factor to what was found since the last update, or set it to a number or a tensor of one.

        Raises: AssertionError if no optimizer's gradients were looked at.
        """
        if not self._enabled:
            return
        self._check_used("update")
        if new_scale is not None:
            self._scale = float(new_scale)
        else:
            if not self._stages:
                raise AssertionError("No inf checks were recorded prior to update.")
            if any(found for _, found in self._stages.values()):
                self._scale *= self._backoff_factor
                self._growth_tracker = 0
            else:
                self._growth_tracker += 1
                if self._growth_tracker == self._growth_interval:
                    self._scale *= self._growth_factor
                    self._growth_tracker = 0
        self._stages.clear()

    def get_scale(self):
        """The factor; 1.0 if scaling is off."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self):
        """What the factor grows by."""
        return self._growth_factor

    def set_growth_factor(self, new_factor):
        """Set what the factor grows by."""
        self._growth_factor = new_factor

    def get_backoff_factor(self):
        """What the factor is multiplied by after an inf or NaN."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor):
        """Set what the factor is multiplied by after an inf or NaN."""
        self._backoff_factor = new_factor

    def get_growth_interval(self):
        """Steps without inf or NaN between two growths."""
        return self._growth_interval

    def set_growth_interval(self, new_interval):
        """Set the steps between two growths."""
        self._growth_interval = new_interval

    def is_enabled(self):
        """Whether losses are scaled."""
        return self._enabled

    def state_dict(self):
        """The factor and its settings; empty if scaling is off."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale,
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state_dict):
        """Take what :meth:`state_dict` gave.

        Raises: RuntimeError if it is empty and scaling is on.
        """
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._scale = float(state_dict["scale"])
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval, self._growth_tracker = state_dict["growth_interval"], state_dict["_growth_tracker"]
