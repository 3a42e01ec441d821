"""Weights set to zero by masks: at random, by size, by channel.

A pruned tensor is computed before each forward from ``NAME_orig`` (a parameter) and ``NAME_mask`` (a buffer).

Source: behaviour of ``torch.nn.utils.prune`` (PyTorch 2.13).
"""

from __future__ import annotations

from collections.abc import Iterable

from rustnn import _core

__all__ = [
    "BasePruningMethod",
    "CustomFromMask",
    "Identity",
    "L1Unstructured",
    "LnStructured",
    "PruningContainer",
    "RandomStructured",
    "RandomUnstructured",
    "custom_from_mask",
    "global_unstructured",
    "identity",
    "is_pruned",
    "l1_unstructured",
    "ln_structured",
    "random_structured",
    "random_unstructured",
    "remove",
]


def _is_whole(amount) -> bool:
    return hasattr(amount, "__index__")


def _validate_pruning_amount_init(amount) -> None:
    if not isinstance(amount, (int, float)) and not _is_whole(amount):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if amount < 0 or (not _is_whole(amount) and amount > 1.0):
        raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")


def _validate_pruning_amount(amount, tensor_size) -> None:
    if _is_whole(amount) and amount > tensor_size:
        raise ValueError(f"amount={amount} should be smaller than the number of parameters to prune={tensor_size}")


def _compute_nparams_toprune(amount, tensor_size) -> int:
    """How many of a number to prune: as many as ``amount`` says, or the share that it is."""
    return int(amount) if _is_whole(amount) else round(amount * tensor_size)


def _count(amount, total) -> int:
    _validate_pruning_amount(amount, total)
    return _compute_nparams_toprune(amount, total)


def _check_structured(t, dim) -> None:
    if t.dim() <= 1:
        raise ValueError(
            "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape "
            f"{t.shape} with {t.dim()} dims"
        )
    if dim >= t.dim():
        raise IndexError(f"Invalid index {dim} for tensor of size {t.shape}")


def _zeroed(mask, indices):
    """The mask with zeros at flat positions."""
    return mask.reshape(-1).index_fill(0, indices, 0).reshape(mask.shape)


def _without_channels(mask, dim, channels):
    """The mask with zeros in whole channels."""
    return mask.index_fill(dim, channels, 0)


class BasePruningMethod:
    """What all methods share: the mask is applied before each forward, and can be removed for good.

    A subclass sets ``PRUNING_TYPE`` ("unstructured", "structured" or "global") and defines
    ``compute_mask(t, default_mask)``.

    Source: behaviour of ``torch.nn.utils.prune.BasePruningMethod``.
    Example:
        >>> from rustnn.nn.utils import prune
        >>> class EveryOther(prune.BasePruningMethod):
        ...     PRUNING_TYPE = "unstructured"
        ...     def compute_mask(self, t, default_mask):
        ...         mask = default_mask.clone()
        ...         mask.view(-1)[::2] = 0
        ...         return mask
        >>> import rustnn
        >>> layer = rustnn.nn.Linear(4, 1)
        >>> _ = EveryOther.apply(layer, "weight")
        >>> (layer.weight == 0).tolist()
        [[True, False, True, False]]
    """

    PRUNING_TYPE = "unstructured"
    _tensor_name = None

    def __call__(self, module, inputs) -> None:
        setattr(module, self._tensor_name, self.apply_mask(module))

    def compute_mask(self, t, default_mask):
        """The mask, 0 where ``t`` is to be pruned; ``default_mask`` is the one so far."""
        raise NotImplementedError(f"{type(self).__name__} does not define compute_mask")

    def apply_mask(self, module):
        """The pruned tensor: mask · original."""
        if self._tensor_name is None:
            raise AssertionError(f"Module {module} has to be pruned")
        original = getattr(module, self._tensor_name + "_orig")
        return getattr(module, self._tensor_name + "_mask").to(dtype=original.dtype) * original

    @classmethod
    def apply(cls, module, name, *args, importance_scores=None, **kwargs):
        """Prune a module's parameter; further methods on it come on top.

        Args:
            name: of the parameter.
            importance_scores: judge these instead of the parameter's values.
            args, kwargs: for the method's constructor.
        Returns: the method, or the container of all methods on this parameter.
        """
        method = cls(*args, **kwargs)
        method._tensor_name = name
        old = [
            (key, hook)
            for key, hook in module._forward_pre_hooks.items()
            if isinstance(hook, BasePruningMethod) and hook._tensor_name == name
        ]
        if len(old) > 1:
            raise AssertionError(
                f"Avoid adding multiple pruning hooks to the same tensor {name} of module {module}. Use a "
                "PruningContainer."
            )
        if old:
            container = old[0][1]
            if not isinstance(container, PruningContainer):
                container = PruningContainer(container)
            container.add_pruning_method(method)
            method = container
        tensor = getattr(module, name)
        original = getattr(module, name + "_orig") if old else tensor
        if importance_scores is None:
            importance_scores = tensor
        elif importance_scores.shape != tensor.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}, got "
                f"{importance_scores.shape} vs {tensor.shape}"
            )
        # Nothing of the module changes before the mask is there.
        with _core.no_grad():
            so_far = getattr(module, name + "_mask").detach().clone() if old else _core.ones_like(tensor)
            mask = method.compute_mask(importance_scores, default_mask=so_far)
        for key, _ in old:
            del module._forward_pre_hooks[key]
        if not old:
            module.register_parameter(name + "_orig", original)
            del module._parameters[name]
        module.register_buffer(name + "_mask", mask)
        setattr(module, name, method.apply_mask(module))
        module.register_forward_pre_hook(method)
        return method

    def prune(self, t, default_mask=None, importance_scores=None):
        """A pruned tensor, computed from ``t`` without any module."""
        if importance_scores is None:
            importance_scores = t
        elif importance_scores.shape != t.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as tensor t, got {importance_scores.shape} vs {t.shape}"
            )
        if default_mask is None:
            default_mask = _core.ones_like(t)
        return t * self.compute_mask(importance_scores, default_mask=default_mask)

    def remove(self, module) -> None:
        """Make the pruned tensor an ordinary parameter with zeros in it."""
        if self._tensor_name is None:
            raise AssertionError(f"Module {module} has to be pruned before pruning can be removed")
        name = self._tensor_name
        weight = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original = module._parameters.pop(name + "_orig")
        original.data = weight.data
        del module._buffers[name + "_mask"]
        setattr(module, name, original)


class PruningContainer(BasePruningMethod):
    """Several methods on one parameter; the last one prunes what the others left.

    Args: the methods.
    Source: behaviour of ``torch.nn.utils.prune.PruningContainer``.
    Example:
        >>> from rustnn import nn
        >>> from rustnn.nn.utils import prune
        >>> layer = prune.l1_unstructured(nn.Linear(4, 1), "weight", 2)
        >>> layer = prune.l1_unstructured(layer, "weight", 1)
        >>> int(layer.weight_mask.sum())
        1
    """

    def __init__(self, *args) -> None:
        self._pruning_methods = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
        for method in args:
            self.add_pruning_method(method)

    def add_pruning_method(self, method) -> None:
        """Put a method behind the others.

        Raises: TypeError for something else, ValueError for a method on another parameter.
        """
        if method is not None:
            if not isinstance(method, BasePruningMethod):
                raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
            if self._tensor_name != method._tensor_name:
                raise ValueError(
                    f"Can only add pruning methods acting on the parameter named '{self._tensor_name}' to "
                    f"PruningContainer {self}. Found '{method._tensor_name}'"
                )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self):
        return iter(self._pruning_methods)

    def __getitem__(self, idx):
        return self._pruning_methods[idx]

    def compute_mask(self, t, default_mask):
        method = self._pruning_methods[-1]
        mask = default_mask.to(dtype=t.dtype).clone()
        if method.PRUNING_TYPE == "unstructured":
            part = default_mask == 1
        elif method.PRUNING_TYPE == "structured":
            if not hasattr(method, "dim"):
                raise AttributeError(
                    'Pruning methods of PRUNING_TYPE "structured" need to have the attribute `dim` defined.'
                )
            dim = method.dim + t.dim() if method.dim < 0 else method.dim
            if dim < 0:
                raise IndexError(f"Index is out of bounds for tensor with dimensions {t.dim()}")
            # Only channels that still have something.
            alive = default_mask.sum(dim=[other for other in range(t.dim()) if other != dim]) != 0
            part = (slice(None),) * dim + (alive,)
        elif method.PRUNING_TYPE == "global":
            part = (slice(None),) * t.dim()
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        mask[part] = method.compute_mask(t[part], default_mask=default_mask[part]).to(dtype=mask.dtype)
        return mask


class Identity(BasePruningMethod):
    """A method that prunes nothing.

    Source: behaviour of ``torch.nn.utils.prune.Identity``.
    Example:
        >>> from rustnn import nn
        >>> from rustnn.nn.utils import prune
        >>> int(prune.identity(nn.Linear(4, 1), "weight").weight_mask.sum())
        4
    """

    def compute_mask(self, t, default_mask):
        return default_mask


class RandomUnstructured(BasePruningMethod):
    """A method that prunes elements at random.

    Args:
        amount: how many, or which fraction.
    Raises: TypeError or ValueError for an unfit amount.
    Source: behaviour of ``torch.nn.utils.prune.RandomUnstructured``.
    Example:
        >>> from rustnn import nn
        >>> from rustnn.nn.utils import prune
        >>> int(prune.random_unstructured(nn.Linear(4, 1), "weight", 0.5).weight_mask.sum())
        2
    """

    def __init__(self, amount) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount

    def compute_mask(self, t, default_mask):
        count = _count(self.amount, t.numel())
        if count == 0:
            return default_mask.clone()
        return _zeroed(default_mask, _core.randperm(t.numel(), device=t.device)[:count])


class L1Unstructured(BasePruningMethod):
    """A method that prunes the elements of least absolute value.

    Args:
        amount: how many, or which fraction.
    Raises: TypeError or ValueError for an unfit amount.
    Source: behaviour of ``torch.nn.utils.prune.L1Unstructured``.
    Example:
        >>> from rustnn import nn
        >>> from rustnn.nn.utils import prune
        >>> int(prune.l1_unstructured(nn.Linear(4, 1), "weight", 3).weight_mask.sum())
        1
    """

    def __init__(self, amount) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount

    def compute_mask(self, t, default_mask):
        count = _count(self.amount, t.numel())
        if count == 0:
            return default_mask.clone()
        return _zeroed(default_mask, t.abs().reshape(-1).topk(count, largest=False)[1])


class RandomStructured(BasePruningMethod):
    """A method that prunes whole channels at random.

    Args:
        amount: how many channels, or which fraction.
        dim: the channels' dimension.
    Raises: TypeError, ValueError or IndexError for an unfit amount, tensor or dimension.
    Source: behaviour of ``torch.nn.utils.prune.RandomStructured``.
    Example:
        >>> from rustnn import nn
        >>> from rustnn.nn.utils import prune
        >>> int(prune.random_structured(nn.Linear(4, 2), "weight", 1, dim=0).weight_mask.sum())
        4
    """

    PRUNING_TYPE = "structured"

    def __init__(self, amount, dim=-1) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount
        self.dim = dim

    def compute_mask(self, t, default_mask):
        _check_structured(t, self.dim)
        count = _count(self.amount, t.shape[self.dim])
        if count == 0:
            return default_mask
        return _without_channels(default_mask, self.dim, _core.randperm(t.shape[self.dim], device=t.device)[:count])


class LnStructured(BasePruningMethod):
    """A method that prunes the channels of least norm.

    Args:
        amount: how many channels, or which fraction.
        n: of the norm.
        dim: the channels' dimension.
    Raises: TypeError, ValueError or IndexError for an unfit amount, tensor or dimension.
    Source: behaviour of ``torch.nn.utils.prune.LnStructured``.
    Example:
        >>> from rustnn import nn
        >>> from rustnn.nn.utils import prune
        >>> int(prune.ln_structured(nn.Linear(4, 2), "weight", 0.5, n=2, dim=1).weight_mask.sum())
        4
    """

    PRUNING_TYPE = "structured"

    def __init__(self, amount, n, dim=-1) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount
        self.n = n
        self.dim = dim

    def compute_mask(self, t, default_mask):
        _check_structured(t, self.dim)
        count = _count(self.amount, t.shape[self.dim])
        if count == 0:
            return default_mask
        others = [other for other in range(t.dim()) if other != self.dim % t.dim()]
        return _without_channels(default_mask, self.dim, t.norm(self.n, others).topk(count, largest=False)[1])


class CustomFromMask(BasePruningMethod):
    """A method with a mask of one's own.

    Args:
        mask: of the parameter's shape.
    Source: behaviour of ``torch.nn.utils.prune.CustomFromMask``.
    Example:
        >>> import rustnn
        >>> from rustnn.nn.utils import prune
        >>> layer = prune.custom_from_mask(rustnn.nn.Linear(2, 1), "weight", rustnn.tensor([[0, 1]]))
        >>> bool(layer.weight[0, 0] == 0)
        True
    """

    PRUNING_TYPE = "global"

    def __init__(self, mask) -> None:
        self.mask = mask

    def compute_mask(self, t, default_mask):
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"default_mask shape {default_mask.shape} must match self.mask shape {self.mask.shape}"
            )
        return default_mask * self.mask.to(dtype=default_mask.dtype)


def identity(module, name):
    """Mask a parameter without pruning anything; returns the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module, name, amount):
    """Prune elements at random; returns the module. See :class:`RandomUnstructured`."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module, name, amount, importance_scores=None):
    """Prune the elements of least absolute value; returns the module. See :class:`L1Unstructured`."""
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module, name, amount, dim):
    """Prune channels at random; returns the module. See :class:`RandomStructured`."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module, name, amount, n, dim, importance_scores=None):
    """Prune the channels of least norm; returns the module. See :class:`LnStructured`."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module, name, mask):
    """Prune by a given mask; returns the module. See :class:`CustomFromMask`."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(parameters, pruning_method, importance_scores=None, **kwargs) -> None:
    """Prune elements of several parameters together, as if they were one vector.

    Args:
        parameters: pairs of a module and a parameter's name.
        pruning_method: an unstructured method's class.
        importance_scores: for some pairs, what to judge instead of the values.
        kwargs: for the method's constructor, ``amount`` say.
    Raises: TypeError for other kinds of arguments or methods.
    Example:
        >>> from rustnn import nn
        >>> from rustnn.nn.utils import prune
        >>> a, b = nn.Linear(4, 1), nn.Linear(4, 1)
        >>> prune.global_unstructured([(a, "weight"), (b, "weight")], prune.L1Unstructured, amount=5)
        >>> int(a.weight_mask.sum() + b.weight_mask.sum())
        3
    """
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    parameters = list(parameters)
    importance_scores = {} if importance_scores is None else importance_scores
    if not isinstance(importance_scores, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    method = pruning_method(**kwargs)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method '
            f"{pruning_method} of type {method.PRUNING_TYPE}"
        )
    tensors = [getattr(module, name) for module, name in parameters]
    with _core.no_grad():
        scores = [importance_scores.get(pair, tensor) for pair, tensor in zip(parameters, tensors, strict=True)]
        masks = [getattr(module, name + "_mask", None) if is_pruned(module) else None for module, name in parameters]
        masks = [_core.ones_like(tensor) if mask is None else mask for mask, tensor in zip(masks, tensors, strict=True)]
        mask = PruningContainer(method).compute_mask(
            _core.cat([score.reshape(-1) for score in scores]), _core.cat([mask.reshape(-1) for mask in masks])
        )
    start = 0
    for (module, name), tensor in zip(parameters, tensors, strict=True):
        custom_from_mask(module, name, mask=mask[start : start + tensor.numel()].view_as(tensor))
        start += tensor.numel()


def remove(module, name):
    """Make a pruned parameter an ordinary one with zeros in it; returns the module.

    Raises: ValueError if it is not pruned.
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")


def is_pruned(module) -> bool:
    """Whether a parameter of the module, or of one below it, is pruned."""
    return any(
        isinstance(hook, BasePruningMethod) for part in module.modules() for hook in part._forward_pre_hooks.values()
    )
