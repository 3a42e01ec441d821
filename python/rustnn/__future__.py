"""Ways of converting a module's parameters that PyTorch may have as its default one day, by PyTorch's names.

``Module._apply`` and ``load_state_dict`` here keep each parameter's identity and replace its data. Asking for another
way raises; saying that the present one is wanted does nothing.
"""

__all__ = [
    "get_overwrite_module_params_on_conversion",
    "get_swap_module_params_on_conversion",
    "set_overwrite_module_params_on_conversion",
    "set_swap_module_params_on_conversion",
]


def _only_false(name, value) -> None:
    if value:
        raise NotImplementedError(f"{name}: parameters keep their identity in rustnn, it can only be False")


def set_overwrite_module_params_on_conversion(value) -> None:
    """Accept False, the present way; raises NotImplementedError for True."""
    _only_false("set_overwrite_module_params_on_conversion", value)


def get_overwrite_module_params_on_conversion() -> bool:
    """False: conversion changes the data of parameters, not the parameters."""
    return False


def set_swap_module_params_on_conversion(value) -> None:
    """Accept False, the present way; raises NotImplementedError for True."""
    _only_false("set_swap_module_params_on_conversion", value)


def get_swap_module_params_on_conversion() -> bool:
    """False: conversion changes the data of parameters, and swaps nothing."""
    return False
