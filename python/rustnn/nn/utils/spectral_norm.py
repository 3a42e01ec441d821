"""Spectral normalisation by a forward pre-hook, the older form of ``parametrizations.spectral_norm``."""

from __future__ import annotations

from rustnn import _core
from rustnn.nn import functional as F
from rustnn.nn.parameter import Parameter, is_lazy

__all__ = ["SpectralNorm", "remove_spectral_norm", "spectral_norm"]


def _as_matrix(weight, dim):
    """The weight with ``dim`` first and all others joined."""
    if dim != 0:
        weight = weight.permute(dim, *(other for other in range(weight.dim()) if other != dim))
    return weight.reshape(weight.size(0), -1)


def _power_iteration(matrix, first, second, steps, eps) -> None:
    """Bring the vectors, in place, nearer to those of the largest singular value.

    ``first`` becomes the direction of ``matrix @ second``, then ``second`` that of ``matrixᴴ @ first``.
    """
    with _core.no_grad():
        for _ in range(steps):
            first.copy_(F.normalize(_core.mv(matrix, second), dim=0, eps=eps))
            second.copy_(F.normalize(_core.mv(matrix.mH, first), dim=0, eps=eps))


def _default_dim(module) -> int:
    """Where the output channels are: dimension 1 in transposed convolutions."""
    from rustnn.nn.modules import conv

    return 1 if isinstance(module, (conv.ConvTranspose1d, conv.ConvTranspose2d, conv.ConvTranspose3d)) else 0


class SpectralNorm:
    """The hook: before each forward it divides the weight by an estimate of its largest singular value.

    Args:
        name: of the weight.
        n_power_iterations: steps of the estimate at each forward in training.
        dim: the dimension of the output.
        eps: least length of a vector.
    Raises: ValueError if n_power_iterations is not positive.
    Example:
        >>> from rustnn.nn.utils.spectral_norm import SpectralNorm
        >>> SpectralNorm().n_power_iterations
        1
    """

    # Written into state dicts; 1 since they have the vector v.
    _version = 1

    def __init__(self, name="weight", n_power_iterations=1, dim=0, eps=1e-12) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.name = name
        self.dim = dim
        self.n_power_iterations = n_power_iterations
        self.eps = eps

    def compute_weight(self, module, do_power_iteration):
        """W divided by uᵀ W v."""
        weight = getattr(module, self.name + "_orig")
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        matrix = _as_matrix(weight, self.dim)
        if do_power_iteration:
            _power_iteration(matrix.t(), v, u, self.n_power_iterations, self.eps)
            # Copies: the next call changes them in place, and backward needs these.
            u, v = u.clone(), v.clone()
        return weight / _core.dot(u, _core.mv(matrix, v))

    @staticmethod
    def apply(module, name, n_power_iterations, dim, eps):
        """Put the hook on a module; returns it.

        Raises: RuntimeError if the weight has one already.
        """
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm) and hook.name == name:
                raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
        hook = SpectralNorm(name, n_power_iterations, dim, eps)
        weight = module._parameters[name]
        if weight is not None and is_lazy(weight):
            raise ValueError(
                "The module passed to `SpectralNorm` can't have uninitialized parameters. Make sure to run the dummy "
                "forward "
                "before applying spectral normalization"
            )
        if weight is None:
            raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
        with _core.no_grad():
            height, width = _as_matrix(weight, dim).shape
            u = F.normalize(weight.new_empty(height).normal_(0, 1), dim=0, eps=eps)
            v = F.normalize(weight.new_empty(width).normal_(0, 1), dim=0, eps=eps)
        del module._parameters[name]
        module.register_parameter(name + "_orig", weight)
        # A plain attribute: it must be there, but is no parameter.
        setattr(module, name, weight.data)
        module.register_buffer(name + "_u", u)
        module.register_buffer(name + "_v", v)
        module.register_forward_pre_hook(hook)
        module._register_state_dict_hook(_write_version)
        module._register_load_state_dict_pre_hook(_Upgrade(hook))
        return hook

    def remove(self, module) -> None:
        """Make the weight an ordinary parameter again."""
        with _core.no_grad():
            weight = self.compute_weight(module, do_power_iteration=False)
        for suffix in ("", "_u", "_v", "_orig"):
            delattr(module, self.name + suffix)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module, inputs) -> None:
        setattr(module, self.name, self.compute_weight(module, do_power_iteration=module.training))


class _Upgrade:
    """Finds the vector v of files from before it was saved; those have the normalised weight instead."""

    def __init__(self, hook) -> None:
        self.hook = hook

    def __call__(self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs) -> None:
        version = local_metadata.get("spectral_norm", {}).get(self.hook.name + ".version")
        if version is not None and version >= 1:
            return
        key = prefix + self.hook.name
        if (
            version is None
            and key not in state_dict
            and all(key + part in state_dict for part in ("_orig", "_u", "_v"))
        ):
            return
        missing = [key + part for part in ("_orig", "", "_u") if key + part not in state_dict]
        if missing:
            if strict:
                missing_keys.extend(missing)
            return
        with _core.no_grad():
            original, u = state_dict[key + "_orig"], state_dict[key + "_u"]
            largest = (original / state_dict.pop(key)).mean()
            matrix = _as_matrix(original, self.hook.dim)
            # The v nearest to u = W v, so long that uᵀ W v is the singular value by which the weight was divided.
            v = _core.mv(matrix.pinverse(), u)
            state_dict[key + "_v"] = v * (largest / _core.dot(u, _core.mv(matrix, v)))


def _write_version(module, state_dict, prefix, local_metadata) -> None:
    versions = local_metadata.setdefault("spectral_norm", {})
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, SpectralNorm):
            versions[hook.name + ".version"] = hook._version


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Divide a weight by its largest singular value, estimated anew at each forward in training.

        w = W / (largest singular value of W)

    Args:
        module: the module that has the weight.
        name: of the weight.
        n_power_iterations: steps of the estimate.
        eps: least length of a vector.
        dim: the dimension of the output; by default 1 for transposed convolutions, else 0.
    Returns: the module.
    Raises: RuntimeError if it is normalised already.
    Source: Miyato et al. 2018; behaviour of ``torch.nn.utils.spectral_norm``.
    Example:
        >>> from rustnn import nn
        >>> nn.utils.spectral_norm(nn.Linear(20, 40)).weight_u.shape
        torch.Size([40])
    """
    SpectralNorm.apply(module, name, n_power_iterations, _default_dim(module) if dim is None else dim, eps)
    return module


def remove_spectral_norm(module, name="weight"):
    """Make a normalised weight an ordinary parameter again; returns the module.

    Raises: ValueError if it is not normalised.
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            break
    else:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    for key, hook in module._state_dict_hooks.items():
        if hook is _write_version:
            del module._state_dict_hooks[key]
            break
    return module
