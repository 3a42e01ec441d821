"""What programs decorate the functions with that would write their ops into ONNX files."""

__all__ = ["parse_args", "quantized_args"]


def parse_args(*arg_descriptors):
    """A decorator that returns the function itself."""
    return lambda function: function


def quantized_args(*arg_q_descriptors, scale=None, zero_point=None, quantize_output=True):
    """A decorator that returns the function itself."""
    return lambda function: function
