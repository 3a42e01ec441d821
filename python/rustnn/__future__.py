"""How ``Module._apply`` and ``load_state_dict`` put new values into parameters, by PyTorch's names.

As they stand, each parameter keeps its identity and its data is replaced. ``overwrite`` makes new parameters;
``swap`` keeps
the objects and exchanges what they stand for (:func:`rustnn.utils.swap_tensors`), which suits tensor subclasses.
"""

__all__ = [
    "get_overwrite_module_params_on_conversion",
    "get_swap_module_params_on_conversion",
    "set_overwrite_module_params_on_conversion",
    "set_swap_module_params_on_conversion",
]

_overwrite = _swap = False


def set_overwrite_module_params_on_conversion(value) -> None:
    """Whether conversions such as ``module.half()`` put new parameters in the place of the old ones."""
    global _overwrite
    _overwrite = value


def get_overwrite_module_params_on_conversion() -> bool:
    """See :func:`set_overwrite_module_params_on_conversion`; False unless set."""
    return _overwrite


def set_swap_module_params_on_conversion(value) -> None:
    """Whether conversions and ``load_state_dict`` swap parameters with new ones behind the same objects."""
    global _swap
    _swap = value


def get_swap_module_params_on_conversion() -> bool:
    """See :func:`set_swap_module_params_on_conversion`; False unless set."""
    return _swap
