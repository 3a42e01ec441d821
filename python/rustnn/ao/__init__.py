"""PyTorch's architecture optimization, of which only the stubs of quantized models are here."""

from .._lazy import names_on_demand

__all__ = ["quantization"]

__getattr__, __dir__ = names_on_demand(__name__, modules=__all__)
