"""Parameters computed from other parameters at each use, such as a weight of norm one or a symmetric matrix.

Source: behaviour of ``torch.nn.utils.parametrize`` (PyTorch 2.13); names in state dicts are the same.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from contextlib import contextmanager

from rustnn import _core
from rustnn.nn.modules.container import ModuleDict, ModuleList
from rustnn.nn.modules.module import Module
from rustnn.nn.parameter import Parameter

__all__ = [
    "ParametrizationList",
    "cached",
    "is_parametrized",
    "register_parametrization",
    "remove_parametrizations",
    "transfer_parametrizations_and_params",
    "type_before_parametrizations",
]

Tensor = _core.Tensor

_cached_depth = 0
_cache: dict = {}


@contextmanager
def cached():
    """Within this context each parametrized tensor is computed once and then kept.

    Example:
        >>> from rustnn import nn
        >>> from rustnn.nn.utils import parametrize
        >>> layer = parametrize.register_parametrization(nn.Linear(1, 1), "weight", nn.Identity())
        >>> with parametrize.cached():
        ...     layer.weight is layer.weight
        True
    """
    global _cached_depth
    _cached_depth += 1
    try:
        yield
    finally:
        _cached_depth -= 1
        if not _cached_depth:
            _cache.clear()


def _store(module, name, tensor) -> None:
    if isinstance(tensor, Parameter):
        module.register_parameter(name, tensor)
    else:
        module.register_buffer(name, tensor)


class ParametrizationList(ModuleList):
    """The parametrizations of one tensor, applied one after the other to the original tensor(s).

    Made by :func:`register_parametrization`.

    Args:
        modules: the parametrizations; the last one's result is the tensor.
        original: the tensor, to which their ``right_inverse`` is applied, last one first.
        unsafe: do not check that dtype and shape stay.
    Raises: ValueError if there is no module, or dtype, shape or kind of a result do not fit.
    Source: behaviour of ``torch.nn.utils.parametrize.ParametrizationList``.
    Example:
        >>> from rustnn import nn
        >>> from rustnn.nn.utils import parametrize
        >>> layer = parametrize.register_parametrization(nn.Linear(1, 1), "weight", nn.Identity())
        >>> type(layer.parametrizations.weight).__name__
        'ParametrizationList'
    """

    def __init__(self, modules, original, unsafe=False) -> None:
        if len(modules) == 0:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        new = original
        with _core.no_grad():
            for module in reversed(self):
                if hasattr(module, "right_inverse"):
                    try:
                        new = module.right_inverse(new)
                    except NotImplementedError:
                        # No inverse: the original stands as it is.
                        pass
        if not isinstance(new, (Tensor, Sequence)):
            raise ValueError(
                "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). "
                f"Got {type(new).__name__}"
            )
        self.is_tensor = isinstance(new, Tensor)
        self.ntensors = 1 if self.is_tensor else len(new)
        if self.is_tensor:
            if original.dtype != new.dtype:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the dtype.\n"
                    f"original.dtype: {original.dtype}\nright_inverse(original).dtype: {new.dtype}"
                )
            if original.device != new.device:
                raise ValueError(
                    "When `right_inverse` outputs one tensor, it may not change the device.\n"
                    f"original.device: {original.device}\nright_inverse(original).device: {new.device}"
                )
            shape, dtype = original.shape, original.dtype
            # The same object stays: an optimizer may hold it.
            original.data = new
            _store(self, "original", original)
        else:
            shape, dtype = original.shape, original.dtype
            for position, tensor in enumerate(new):
                if not isinstance(tensor, Tensor):
                    raise ValueError(
                        "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got element "
                        f"{position} of the sequence with type {type(tensor).__name__}."
                    )
                if isinstance(original, Parameter):
                    tensor = Parameter(tensor, original.requires_grad)
                tensor.requires_grad_(original.requires_grad)
                _store(self, f"original{position}", tensor)
        if not unsafe:
            result = self()
            if not isinstance(result, Tensor):
                raise ValueError(f"A parametrization must return a tensor. Got {type(result).__name__}.")
            for what, before, after in (("dtype", dtype, result.dtype), ("shape", shape, result.shape)):
                if before != after:
                    raise ValueError(
                        f"Registering a parametrization may not change the {what} of the tensor, unless `unsafe` flag "
                        "is "
                        f"enabled.\nunparametrized {what}: {before}\nparametrized {what}: {after}"
                    )

    def right_inverse(self, value) -> None:
        """Set the original tensor(s) so that the parametrized one becomes ``value``.

        Raises: RuntimeError if a parametrization has no ``right_inverse``; ValueError if it returns something unfit.
        """
        with _core.no_grad():
            for module in reversed(self):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(f"parametrization {type(module).__name__} does not implement right_inverse.")
                value = module.right_inverse(value)
            if self.is_tensor:
                if not isinstance(value, Tensor):
                    raise ValueError(f"`right_inverse` should return a tensor. Got {type(value).__name__}")
                if value.dtype != self.original.dtype:
                    raise ValueError(
                        f"The tensor returned by `right_inverse` has dtype {value.dtype} while `original` has dtype "
                        f"{self.original.dtype}"
                    )
                self.original.data = value
                return
            if not isinstance(value, Sequence):
                raise ValueError(f"'right_inverse' must return a sequence of tensors. Got {type(value).__name__}.")
            if len(value) != self.ntensors:
                raise ValueError(
                    f"'right_inverse' must return a sequence of tensors of length {self.ntensors}. Got a sequence of "
                    f"length {len(value)}."
                )
            for position, tensor in enumerate(value):
                original = getattr(self, f"original{position}")
                if not isinstance(tensor, Tensor):
                    raise ValueError(
                        f"'right_inverse' must return a sequence of tensors. Got element {position} of type "
                        f"{type(tensor).__name__}"
                    )
                if original.dtype != tensor.dtype:
                    raise ValueError(
                        f"Tensor {position} returned by `right_inverse` has dtype {tensor.dtype} while "
                        f"`original{position}` has dtype {original.dtype}"
                    )
                original.data = tensor

    def forward(self):
        if self.is_tensor:
            originals = (self.original,)
        else:
            originals = tuple(getattr(self, f"original{position}") for position in range(self.ntensors))
        first, *others = self
        x = first(*originals)
        for module in others:
            x = module(x)
        return x


def _inject_class(module) -> None:
    """Give the module a class of its own, which can carry properties."""
    cls = type(module)

    def default_deepcopy(self, memo):
        # The copy must get a class of its own too: properties added to it are not the original's.
        if id(self) in memo:
            return memo[id(self)]
        replica = cls.__new__(cls)
        memo[id(self)] = replica
        replica.__dict__ = copy.deepcopy(self.__dict__, memo)
        _inject_class(replica)
        for name in self.parametrizations:
            _inject_property(replica, name)
        return replica

    def getstate(self):
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict(). See:\n"
            "https://pytorch.org/tutorials/beginner/saving_loading_models.html"
            "#saving-loading-a-general-checkpoint-for-inference-and-or-resuming-training"
        )

    body = {"__getstate__": getstate}
    if cls.__deepcopy__ is Module.__deepcopy__:
        body["__deepcopy__"] = default_deepcopy
    module.__class__ = type(f"Parametrized{cls.__name__}", (cls,), body)


def _inject_property(module, tensor_name) -> None:
    if hasattr(module, tensor_name):
        raise AssertionError(f"Module already has an attribute named '{tensor_name}'")

    def get(self):
        parametrization = self.parametrizations[tensor_name]
        if not _cached_depth:
            return parametrization()
        key = (id(self), tensor_name)
        if key not in _cache:
            _cache[key] = parametrization()
        return _cache[key]

    def set_original(self, value) -> None:
        self.parametrizations[tensor_name].right_inverse(value)

    setattr(type(module), tensor_name, property(get, set_original))


def register_parametrization(module, tensor_name, parametrization, *, unsafe=False):
    """Make a parameter or buffer the result of a module that is called at each use.

    Reading ``module.weight`` then gives ``parametrization(original)``; assigning to it needs a ``right_inverse``
    method.
    The original tensor is ``module.parametrizations.weight.original`` (or ``original0``, ``original1``, …).

    Args:
        module: the module that has the tensor.
        tensor_name: its name.
        parametrization: a module from the original tensor(s) to the tensor.
        unsafe: do not check that dtype and shape stay.
    Returns: the module.
    Raises: ValueError if there is no such tensor or dtype, shape or kind of a result do not fit.
    Example:
        >>> import rustnn
        >>> from rustnn import nn
        >>> class Symmetric(nn.Module):
        ...     def forward(self, x):
        ...         return x.triu() + x.triu(1).transpose(-1, -2)
        >>> layer = nn.utils.parametrize.register_parametrization(nn.Linear(3, 3), "weight", Symmetric())
        >>> bool((layer.weight == layer.weight.T).all())
        True
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        if not unsafe:
            _check_further(module, tensor_name, parametrization)
        parts = module.parametrizations[tensor_name]
        parts.append(parametrization)
        parts.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        parts = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _inject_class(module)
            module.parametrizations = ModuleDict()
        _inject_property(module, tensor_name)
        module.parametrizations[tensor_name] = parts
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element with name "
            f"'{tensor_name}'"
        )
    return module


def _check_further(module, tensor_name, parametrization) -> None:
    """A second parametrization must keep dtype and shape, both ways."""
    current = getattr(module, tensor_name)
    result = parametrization(current)
    flag = "unless the `unsafe` flag is enabled"
    if not isinstance(result, Tensor):
        raise ValueError(f"A parametrization must return a tensor. Got {type(result).__name__}.")
    for what in ("dtype", "shape"):
        before, after = getattr(current, what), getattr(result, what)
        if before != after:
            raise ValueError(
                f"Registering a parametrization may not change the {what} of the tensor, {flag}.\n"
                f"module.{tensor_name}.{what}: {before}\nparametrization(module.{tensor_name}).{what}: {after}"
            )
    if not hasattr(parametrization, "right_inverse"):
        return
    try:
        back = parametrization.right_inverse(result)
    except NotImplementedError:
        return
    if not isinstance(back, Tensor):
        raise ValueError(f"parametrization.right_inverse must return a tensor. Got: {type(back).__name__}")
    for what in ("dtype", "shape"):
        before, after = getattr(current, what), getattr(back, what)
        if before != after:
            raise ValueError(
                f"The tensor returned by parametrization.right_inverse must have the same {what} as "
                f"module.{tensor_name}, {flag}.\nmodule.{tensor_name}.{what}: {before}\nreturned {what}: {after}"
            )


def is_parametrized(module, tensor_name=None) -> bool:
    """Whether the module, or its tensor of that name, has a parametrization."""
    parametrizations = getattr(module, "parametrizations", None)
    if not isinstance(parametrizations, ModuleDict):
        return False
    return len(parametrizations) > 0 if tensor_name is None else tensor_name in parametrizations


def remove_parametrizations(module, tensor_name, leave_parametrized=True):
    """Make a parametrized tensor an ordinary one again.

    Args:
        leave_parametrized: keep the computed value; otherwise the original tensor comes back.
    Returns: the module.
    Raises: ValueError if the tensor is not parametrized, or the original are several tensors.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    parts = module.parametrizations[tensor_name]
    if parts.is_tensor:
        original = parts.original
        if leave_parametrized:
            original.data = getattr(module, tensor_name).detach()
    elif leave_parametrized:
        value = getattr(module, tensor_name)
        original = Parameter(value.detach()) if value.requires_grad else value.detach()
    else:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a "
            "sequence "
            "of tensors."
        )
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _store(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module) -> type:
    """The module's class before it was parametrized, or its class."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(from_module, to_module, tensor_name=None):
    """Copy the parametrizations of one module, and their original tensors, to another.

    Args:
        tensor_name: only this tensor's; all by default.
    Returns: to_module.
    """
    if not is_parametrized(from_module):
        return to_module
    for name in list(from_module.parametrizations) if tensor_name is None else [tensor_name]:
        parts = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            setattr(to_module, name, Parameter(parts.original if parts.is_tensor else parts.original0))
        for part in parts:
            register_parametrization(to_module, name, part, unsafe=parts.unsafe)
        target = to_module.parametrizations[name]
        if parts.is_tensor:
            target.original = parts.original
        else:
            for position in range(parts.ntensors):
                setattr(target, f"original{position}", getattr(parts, f"original{position}"))
    return to_module
