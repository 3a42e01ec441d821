"""Averages of models over training: stochastic weight averaging, exponential moving averages."""

import math
from copy import deepcopy

from .. import _core
from ..autograd.grad_mode import no_grad
from ..nn import Module
from ..nn.modules.batchnorm import _BatchNorm
from .lr_scheduler import LRScheduler

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def _check_decay(decay):
    if decay < 0.0 or decay > 1.0:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


def get_ema_multi_avg_fn(decay=0.999):
    """For ``multi_avg_fn``: averages ← decay · averages + (1 - decay) · parameters."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param_list, current_param_list, _):
        for average, current in zip(ema_param_list, current_param_list, strict=True):
            if average.is_floating_point():
                average.lerp_(current, 1 - decay)
            else:
                average.copy_(average * decay + current * (1 - decay))

    return ema_update


def get_swa_multi_avg_fn():
    """For ``multi_avg_fn``: the mean of all parameters seen."""

    @no_grad()
    def swa_update(averaged_param_list, current_param_list, num_averaged):
        share = 1 / (num_averaged + 1)
        for average, current in zip(averaged_param_list, current_param_list, strict=True):
            if average.is_floating_point():
                average.lerp_(current, float(share))
            else:
                average.copy_(average + (current - average) * share)

    return swa_update


def get_ema_avg_fn(decay=0.999):
    """For ``avg_fn``: decay · average + (1 - decay) · parameter."""
    _check_decay(decay)

    @no_grad()
    def ema_update(ema_param, current_param, num_averaged):
        return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn():
    """For ``avg_fn``: the mean of all parameters seen."""

    @no_grad()
    def swa_update(averaged_param, current_param, num_averaged):
        return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


class AveragedModel(Module):
    """A copy of a model whose parameters are averages of that model's over the calls of ``update_parameters``.

    Args:
        model: the model; it is copied.
        device: where the averages lie.
        avg_fn: from an average, a parameter and the count of those averaged to the new average; without it, their mean.
        multi_avg_fn: the same in place, on lists of tensors.
        use_buffers: average the buffers too, rather than copy them.
    Buffers: ``n_averaged``, the number of updates; the parameters' names begin with ``module.``.
    Raises: AssertionError for both functions.
    Source: Izmailov et al. 2018, arXiv:1803.05407; behaviour of ``torch.optim.swa_utils.AveragedModel``.

    Example:
        >>> import rustnn
        >>> model = rustnn.nn.Linear(1, 1, bias=False)
        >>> averaged = rustnn.optim.swa_utils.AveragedModel(model)
        >>> for value in (1.0, 2.0, 6.0):
        ...     _ = rustnn.nn.init.constant_(model.weight, value)
        ...     averaged.update_parameters(model)
        >>> averaged.module.weight.item()
        3.0
    """

    def __init__(self, model, device=None, avg_fn=None, multi_avg_fn=None, use_buffers=False):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", _core.tensor(0, dtype=_core.long, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args, **kwargs):
        return self.module(*args, **kwargs)

    def _tensors(self, model):
        buffers = list(model.buffers()) if self.use_buffers else []
        return [tensor.detach() for tensor in [*model.parameters(), *buffers]]

    def update_parameters(self, model):
        """Takes the present parameters of ``model`` into the averages; the first call copies them."""
        averages = self._tensors(self.module)
        current = [new.to(old.device) for old, new in zip(averages, self._tensors(model), strict=True)]
        count = self.n_averaged.item()
        if count == 0:
            for average, value in zip(averages, current, strict=True):
                average.copy_(value)
        elif self.avg_fn is not None:
            for average, value in zip(averages, current, strict=True):
                average.copy_(self.avg_fn(average, value, self.n_averaged.to(average.device)))
        elif averages:
            (self.multi_avg_fn or get_swa_multi_avg_fn())(averages, current, count)
        if not self.use_buffers:
            for own, theirs in zip(self.module.buffers(), model.buffers(), strict=True):
                own.detach().copy_(theirs.detach().to(own.device))
        self.n_averaged += 1


@no_grad()
def update_bn(loader, model, device=None):
    """Sets the running statistics of a model's batch norms to the means over a pass of the data.

    Args:
        loader: of batches; of a list or tuple the first member is the input.
        model: in any mode, which it keeps.
        device: where the inputs are moved.
    """
    momenta = {}
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.reset_running_stats()
            momenta[module] = module.momentum
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.momentum = None  # a plain mean over all batches
    for batch in loader:
        if isinstance(batch, (list, tuple)):
            batch = batch[0]
        model(batch if device is None else batch.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Moves the learning rate of each group to a value in some steps, and keeps it.

    Args:
        optimizer: whose rates are set.
        swa_lr: the value, or one for each group.
        anneal_epochs: the number of steps, >= 0.
        anneal_strategy: "cos" or "linear".
        last_epoch: the step to resume at.
    Raises: ValueError for other strategies and numbers, and for a list of another length.
    """

    def __init__(self, optimizer, swa_lr, anneal_epochs=10, anneal_strategy="cos", last_epoch=-1):
        rates = list(swa_lr) if isinstance(swa_lr, (list, tuple)) else [swa_lr] * len(optimizer.param_groups)
        if len(rates) != len(optimizer.param_groups):
            raise ValueError(
                f"swa_lr must have the same length as optimizer.param_groups: swa_lr has {len(rates)}, "
                f"optimizer.param_groups has {len(optimizer.param_groups)}"
            )
        for rate, group in zip(rates, optimizer.param_groups, strict=True):
            group["swa_lr"] = rate.clone() if isinstance(rate, _core.Tensor) else rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self.anneal_epochs = anneal_epochs
        self._strategy = anneal_strategy
        super().__init__(optimizer, last_epoch)

    def _share(self, step):
        """How far the rate has come after a step, of 1."""
        part = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        if self.anneal_epochs == 0:
            part = 1.0
        return (1 - math.cos(math.pi * part)) / 2 if self._strategy == "cos" else part

    def get_lr(self):
        self._warn_if_called_outside_step()
        # `_step_count` starts at 1.
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(max(0, step - 1)), self._share(step)
        rates = []
        for group in self.optimizer.param_groups:
            target, rate = group["swa_lr"], group["lr"]
            # The rate before annealing began, from where the last step left it.
            start = target if before == 1 else (rate - target * before) / (1 - before)
            rates.append(target * now + start * (1 - now))
        return rates
