"""A table of what a network is made of."""

from . import _core

__all__ = ["summary"]

Tensor = _core.Tensor


class Summary:
    """What :func:`summary` found; printing it gives the table.

    Attributes:
        rows: one dict per layer in order of their calls, with ``name``, ``kind``, ``output_shape``, ``parameters`` and
            ``multiply_adds`` (of all calls of that layer; None where none are counted).
        parameters, trainable_parameters: numbers of values in the whole network, shared ones once.
        multiply_adds: of all Linear and convolution layers in one forward.
    """

    def __init__(self, rows, parameters, trainable_parameters):
        self.rows = rows
        self.parameters = parameters
        self.trainable_parameters = trainable_parameters
        self.multiply_adds = sum(row["multiply_adds"] or 0 for row in rows)

    def __str__(self):
        lines = [("layer", "output shape", "parameters", "multiply-adds")]
        for row in self.rows:
            adds = row["multiply_adds"]
            shape = _shape_text(row["output_shape"])
            lines.append(
                (f"{row['name']} ({row['kind']})", shape, f"{row['parameters']:,}", f"{adds:,}" if adds else "-")
            )
        lines.append(("total", "", f"{self.parameters:,}", f"{self.multiply_adds:,}"))
        widths = [max(len(line[column]) for line in lines) for column in range(4)]
        text = [
            f"{name:<{widths[0]}}  {shape:<{widths[1]}}  {count:>{widths[2]}}  {adds:>{widths[3]}}".rstrip()
            for name, shape, count, adds in lines
        ]
        rule = "-" * (sum(widths) + 6)
        frozen = self.parameters - self.trainable_parameters
        if frozen:
            text.append(f"of these parameters {frozen:,} are not trained")
        return "\n".join([text[0], rule, *text[1 : len(lines) - 1], rule, *text[len(lines) - 1 :]])

    __repr__ = __str__


def summary(module, input_size, dtype=None):
    """The layers of a network with their output shapes, parameters and multiply-adds, found by running it once on
    zeros.

    Args:
        module: the network; it is run in evaluation mode without recording, and its mode is restored.
        input_size: shape of the input, batch included; or a list of shapes for several inputs.
        dtype: of the input; float32 if None.

    Returns: a :class:`Summary`, to be printed or read.

    Multiply-adds are counted for Linear and convolution layers, per output element the size of its window (plus nothing
    for the bias). A layer called several times has one row; one never called has none.

    Example:
        >>> from rustnn import nn
        >>> print(rustnn.summary(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), (1, 4)))
        layer       output shape  parameters  multiply-adds
        ---------------------------------------------------
        0 (Linear)  (1, 8)                40             32
        1 (ReLU)    (1, 8)                 0              -
        ---------------------------------------------------
        total                             40             32
    """
    from .autograd import no_grad

    sizes = input_size if isinstance(input_size, list) else [input_size]
    names = {id(part): name for name, part in module.named_modules()}
    rows = {}

    def note(layer, inputs, output):
        row = rows.setdefault(
            id(layer),
            {
                "name": names[id(layer)] or "(network)",
                "kind": type(layer).__name__,
                "output_shape": None,
                "parameters": sum(parameter.numel() for parameter in layer.parameters(recurse=False)),
                "multiply_adds": None,
            },
        )
        row["output_shape"] = _shape_of(output)
        adds = _multiply_adds(layer, inputs, output)
        if adds is not None:
            row["multiply_adds"] = (row["multiply_adds"] or 0) + adds

    def has_own_work(part):
        return not any(True for _ in part.children()) or any(True for _ in part.parameters(recurse=False))

    handles = [part.register_forward_hook(note) for part in module.modules() if has_own_work(part)]
    modes = [(part, part.training) for part in module.modules()]
    device = next((parameter.device for parameter in module.parameters()), None)
    try:
        module.eval()
        with no_grad():
            module(*(_core.zeros(size, dtype=dtype, device=device) for size in sizes))
    finally:
        for handle in handles:
            handle.remove()
        for part, training in modes:
            part.training = training
    parameters = list(module.parameters())
    return Summary(
        list(rows.values()),
        sum(parameter.numel() for parameter in parameters),
        sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
    )


def _shape_of(output):
    if isinstance(output, Tensor):
        return tuple(output.shape)
    if isinstance(output, (tuple, list)):
        return [_shape_of(item) for item in output]
    if isinstance(output, dict):
        return {key: _shape_of(item) for key, item in output.items()}
    return None


def _shape_text(shape):
    if isinstance(shape, list):
        return ", ".join(map(_shape_text, shape))
    if isinstance(shape, dict):
        return ", ".join(f"{key}: {_shape_text(item)}" for key, item in shape.items())
    return "-" if shape is None else str(shape)


def _multiply_adds(layer, inputs, output):
    """Of one call of a Linear or convolution layer; None for others, told apart by what they have, not by their
    class."""
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor) or not isinstance(output, Tensor):
        return None
    if hasattr(layer, "in_features") and weight.dim() == 2:
        return output.numel() * weight.shape[1]
    if hasattr(layer, "kernel_size") and hasattr(layer, "groups"):
        window = (
            weight.numel() // weight.shape[0]
        )  # (out, in / groups, *kernel), transposed (in, out / groups, *kernel)
        return (inputs[0] if getattr(layer, "transposed", False) else output).numel() * window
    return None
