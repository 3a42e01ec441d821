"""ONNX files are not written."""

__all__ = ["export", "is_in_onnx_export"]


def is_in_onnx_export():
    """Whether a model is being exported: never."""
    return False


def export(*args, **kwargs):
    """Raises NotImplementedError: write the weights with :func:`rustnn.save_safetensors` or :func:`rustnn.save`."""
    raise NotImplementedError("onnx.export: rustnn does not write ONNX files; rustnn.save writes PyTorch's")
