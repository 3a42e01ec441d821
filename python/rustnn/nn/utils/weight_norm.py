"""Weight normalisation by a forward pre-hook, the older form of ``parametrizations.weight_norm``."""

from __future__ import annotations

import warnings

from rustnn.nn.parameter import Parameter, is_lazy

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]


def _norm_except_dim(v, dim):
    """The 2-norm over all dimensions but ``dim``, kept with size 1; over all of them if ``dim`` is None or -1."""
    if dim is None or dim == -1:
        return v.norm()
    others = tuple(other for other in range(v.dim()) if other != dim % v.dim())
    return v.norm(2, others, keepdim=True) if others else v.abs()


class WeightNorm:
    """The hook: before each forward it computes the weight from its length ``g`` and direction ``v``.

    Args:
        name: of the weight.
        dim: the dimension that keeps a length of its own.
    Example:
        >>> from rustnn import nn
        >>> from rustnn.nn.utils.weight_norm import WeightNorm
        >>> WeightNorm("weight", 0).name
        'weight'
    """

    def __init__(self, name, dim) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module):
        """g v / ‖v‖."""
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return v * (g / _norm_except_dim(v, self.dim))

    @staticmethod
    def apply(module, name, dim):
        """Put the hook on a module; returns it.

        Raises: RuntimeError if the weight has one already, ValueError if it is uninitialised.
        """
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm) and hook.name == name:
                raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
        hook = WeightNorm(name, dim)
        weight = getattr(module, name)
        if is_lazy(weight):
            raise ValueError(
                "The module passed to `WeightNorm` can't have uninitialized parameters. Make sure to run the dummy "
                "forward "
                "before applying weight normalization"
            )
        del module._parameters[name]
        module.register_parameter(name + "_g", Parameter(_norm_except_dim(weight, hook.dim).data))
        module.register_parameter(name + "_v", Parameter(weight.data))
        setattr(module, name, hook.compute_weight(module))
        module.register_forward_pre_hook(hook)
        return hook

    def remove(self, module) -> None:
        """Make the weight an ordinary parameter again."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[self.name + "_g"]
        del module._parameters[self.name + "_v"]
        setattr(module, self.name, Parameter(weight.data))

    def __call__(self, module, inputs) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module, name="weight", dim=0):
    """Replace a weight by its length and direction, two parameters ``weight_g`` and ``weight_v``.

        w = g v / ‖v‖

    Args:
        module: the module that has the weight.
        name: of the weight.
        dim: the dimension that keeps a length of its own; None for one length in all.
    Returns: the module.
    Raises: RuntimeError if it is normalised already.
    Source: Salimans & Kingma 2016; behaviour of ``torch.nn.utils.weight_norm``, deprecated there in favour of
        ``parametrizations.weight_norm``.
    Example:
        >>> import warnings
        >>> from rustnn import nn
        >>> with warnings.catch_warnings(record=True):
        ...     layer = nn.utils.weight_norm(nn.Linear(20, 40))
        >>> layer.weight_g.shape, layer.weight_v.shape
        (torch.Size([40, 1]), torch.Size([40, 20]))
    """
    warnings.warn(
        "`torch.nn.utils.weight_norm` is deprecated in favor of `torch.nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module, name="weight"):
    """Make a normalised weight an ordinary parameter again; returns the module.

    Raises: ValueError if it is not normalised.
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")
