"""ONNX files are not written."""

__all__ = ["export", "is_in_onnx_export", "register_custom_op_symbolic", "unregister_custom_op_symbolic"]


def is_in_onnx_export():
    """Whether a model is being exported: never."""
    return False


def export(*args, **kwargs):
    """Raises NotImplementedError: write the weights with :func:`rustnn.save_safetensors` or :func:`rustnn.save`."""
    raise NotImplementedError("onnx.export: rustnn does not write ONNX files; rustnn.save writes PyTorch's")


def register_custom_op_symbolic(symbolic_name, symbolic_fn, opset_version):
    """Accepted for compatibility: nothing is exported that would need it."""


def unregister_custom_op_symbolic(symbolic_name, opset_version):
    """Accepted for compatibility."""


def __getattr__(name):
    # A set of ONNX operators, of which none is here: programs import it to write functions that nobody calls.
    if name.startswith("symbolic_opset") and name.removeprefix("symbolic_opset").isdigit():
        from types import ModuleType

        return globals().setdefault(name, ModuleType(f"{__name__}.{name}"))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
