"""Modules built without drawing starting values."""

from __future__ import annotations

__all__ = ["skip_init"]


def skip_init(module_cls, *args, **kwargs):
    """An instance of ``module_cls`` whose parameters hold uninitialised values.

    Args:
        module_cls: a Module class whose constructor takes ``device``.
        args, kwargs: for the constructor; ``device`` says where the parameters go.
    Raises: RuntimeError for another kind of class or a constructor without ``device``.
    Example:
        >>> from rustnn import nn
        >>> nn.utils.skip_init(nn.Linear, 5, 1).weight.shape
        torch.Size([1, 5])
    """
    import inspect

    from rustnn.nn import Module

    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    final_device = kwargs.pop("device", "cpu")
    kwargs["device"] = "meta"
    return module_cls(*args, **kwargs).to_empty(device=final_device)
