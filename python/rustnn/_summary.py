"""A table of what a network is made of."""

from . import _core

__all__ = ["summary"]

Tensor = _core.Tensor


class Summary:
    """What :func:`summary` found; printing it gives the table, a notebook shows it as HTML.

    Attributes:
        rows: one dict per layer in order of their calls, with ``name``, ``kind``, ``output_shape``, ``parameters``,
            ``multiply_adds`` and ``output_bytes`` (both of all calls of that layer; ``multiply_adds`` None where none
            are counted).
        parameters, trainable_parameters: numbers of values in the whole network, shared ones once.
        multiply_adds: of all layers in one forward.
        state_bytes: memory of parameters and buffers, shared ones once.
        output_bytes: memory of all layers' outputs in one forward; training keeps about as much.
    """

    def __init__(self, rows, parameters, trainable_parameters, state_bytes):
        self.rows = rows
        self.parameters = parameters
        self.trainable_parameters = trainable_parameters
        self.multiply_adds = sum(row["multiply_adds"] or 0 for row in rows)
        self.state_bytes = state_bytes
        self.output_bytes = sum(row["output_bytes"] for row in rows)

    def _table(self):
        """The cells as texts: head, rows, total."""
        head = ("layer", "output shape", "parameters", "multiply-adds", "memory")
        rows = [
            (
                f"{row['name']} ({row['kind']})",
                _shape_text(row["output_shape"]),
                f"{row['parameters']:,}",
                f"{row['multiply_adds']:,}" if row["multiply_adds"] else "-",
                _size_text(row["output_bytes"]),
            )
            for row in self.rows
        ]
        total = ("total", "", f"{self.parameters:,}", f"{self.multiply_adds:,}", _size_text(self.output_bytes))
        return head, rows, total

    def _remarks(self):
        remarks = [f"parameters and buffers take {_size_text(self.state_bytes)}"]
        frozen = self.parameters - self.trainable_parameters
        if frozen:
            remarks.append(f"of these parameters {frozen:,} are not trained")
        return remarks

    def __str__(self):
        head, rows, total = self._table()
        widths = [max(len(line[column]) for line in (head, *rows, total)) for column in range(5)]

        def text(line):
            left = "  ".join(f"{cell:<{width}}" for cell, width in zip(line[:2], widths[:2], strict=True))
            right = "  ".join(f"{cell:>{width}}" for cell, width in zip(line[2:], widths[2:], strict=True))
            return f"{left}  {right}".rstrip()

        rule = "-" * (sum(widths) + 8)
        return "\n".join([text(head), rule, *map(text, rows), rule, text(total), *self._remarks()])

    __repr__ = __str__

    def _repr_html_(self):
        from html import escape

        def line(cells, tag):
            sides = ("left", "left", "right", "right", "right")
            return "".join(
                f'<{tag} style="text-align:{side}">{escape(cell)}</{tag}>'
                for cell, side in zip(cells, sides, strict=True)
            )

        head, rows, total = self._table()
        body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
        foot = line(total, "th")
        remarks = "".join(f"<div>{escape(remark)}</div>" for remark in self._remarks())
        return (
            f"<table><thead><tr>{line(head, 'th')}</tr></thead><tbody>{body}</tbody>"
            f"<tfoot><tr>{foot}</tr></tfoot></table>{remarks}"
        )


def summary(module, input_size, dtype=None):
    """The layers of a network with their output shapes, parameters, multiply-adds and memory, found by running it once
    on zeros.

    Args:
        module: the network; it is run in evaluation mode without recording, and its mode is restored.
        input_size: shape of the input, batch included; or a list of shapes for several inputs.
        dtype: of the input; float32 if None.

    Returns: a :class:`Summary`, to be printed or read.

    Multiply-adds are counted for linear, bilinear, convolution, recurrent and attention layers, without what a bias
    costs. A layer called several times has one row; one never called has none. Memory is that of the outputs; a view
    counts as what it shows.

    Example:
        >>> from rustnn import nn
        >>> print(rustnn.summary(nn.Sequential(nn.Linear(4, 8), nn.ReLU()), (1, 4)))
        layer       output shape  parameters  multiply-adds  memory
        -----------------------------------------------------------
        0 (Linear)  (1, 8)                40             32    32 B
        1 (ReLU)    (1, 8)                 0              -    32 B
        -----------------------------------------------------------
        total                             40             32    64 B
        parameters and buffers take 160 B
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
                "parameters": 0,
                "multiply_adds": None,
                "output_bytes": 0,
            },
        )
        row["output_shape"] = _shape_of(output)
        row["output_bytes"] += _bytes_of(output)
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
    # What belongs to a part that is not called itself, such as the projection inside of an attention layer, counts for
    # the layer around it.
    counted = set()

    def count(part, row):
        row = rows.get(id(part), row)
        own = {id(parameter): parameter for parameter in part.parameters(recurse=False)}
        if row is not None:
            row["parameters"] += sum(own[key].numel() for key in own.keys() - counted)
            counted.update(own)
        for child in part.children():
            count(child, row)

    count(module, None)
    parameters = list(module.parameters())
    state = {id(tensor): tensor for tensor in (*parameters, *module.buffers())}
    return Summary(
        list(rows.values()),
        sum(parameter.numel() for parameter in parameters),
        sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        sum(_bytes_of(tensor) for tensor in state.values()),
    )


def _shape_of(output):
    if isinstance(output, Tensor):
        return tuple(output.shape)
    if isinstance(output, (tuple, list)):
        return [_shape_of(item) for item in output]
    if isinstance(output, dict):
        return {key: _shape_of(item) for key, item in output.items()}
    return None


def _bytes_of(output):
    if isinstance(output, Tensor):
        return output.numel() * output.element_size()
    if isinstance(output, dict):
        output = output.values()
    elif not isinstance(output, (tuple, list)):
        return 0
    return sum(_bytes_of(item) for item in output)


def _size_text(size):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


def _shape_text(shape):
    if isinstance(shape, list):
        return ", ".join(map(_shape_text, shape))
    if isinstance(shape, dict):
        return ", ".join(f"{key}: {_shape_text(item)}" for key, item in shape.items())
    return "-" if shape is None else str(shape)


def _multiply_adds(layer, inputs, output):
    """Of one call; None for layers that multiply by no weight. Told apart by what they have, not by their class."""
    if hasattr(layer, "num_heads") and hasattr(layer, "in_proj_bias") and len(inputs) >= 3:
        return _attention_multiply_adds(layer, *inputs[:3])
    if hasattr(layer, "hidden_size") and hasattr(layer, "input_size"):
        # Each weight is used once per element of the batch and step of the sequence.
        given = getattr(inputs[0], "data", inputs[0])
        uses = given.numel() // layer.input_size
        return uses * sum(param.numel() for param in layer.parameters(recurse=False) if param.dim() == 2)
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Tensor) or not isinstance(output, Tensor):
        return None
    if hasattr(layer, "in_features") and weight.dim() == 2:
        return output.numel() * weight.shape[1]
    if hasattr(layer, "in1_features"):
        return output.numel() * weight.shape[1] * weight.shape[2]
    if hasattr(layer, "kernel_size") and hasattr(layer, "groups"):
        # (out, in / groups, *kernel), transposed (in, out / groups, *kernel)
        window = weight.numel() // weight.shape[0]
        return (inputs[0] if getattr(layer, "transposed", False) else output).numel() * window
    return None


def _attention_multiply_adds(layer, query, key, value):
    width = layer.embed_dim
    queries, keys = query.numel() // query.shape[-1], key.numel() // key.shape[-1]
    batch_dim = None if query.dim() == 2 else 0 if layer.batch_first else 1
    batch = 1 if batch_dim is None else query.shape[batch_dim]
    projections = 2 * queries * width * width + keys * width * (key.shape[-1] + value.shape[-1])
    return projections + 2 * width * queries * (keys // batch)
