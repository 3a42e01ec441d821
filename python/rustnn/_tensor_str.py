"""How tensors print: the text that PyTorch prints, from a few elements of large tensors."""

import math

from . import _core

__all__ = ["set_printoptions"]


class _Options:
    precision = 4
    threshold = 1000
    edgeitems = 3
    linewidth = 80
    sci_mode = None


_options = _Options()

_PROFILES = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None):
    """How tensors print from now on.

    Args:
        precision: digits after the point (4).
        threshold: elements above which a tensor is summarised (1000).
        edgeitems: elements at either end of a dimension in a summary (3).
        linewidth: characters of a line (80).
        profile: "default", "short" or "full".
        sci_mode: True or False for scientific notation always or never; None chooses by the values.
    """
    if profile is not None:
        for name, value in _PROFILES[profile].items():
            setattr(_options, name, value)
    for name, value in (
        ("precision", precision),
        ("threshold", threshold),
        ("edgeitems", edgeitems),
        ("linewidth", linewidth),
    ):
        if value is not None:
            setattr(_options, name, value)
    _options.sci_mode = sci_mode


class printoptions:
    """A context with other :func:`set_printoptions`."""

    def __init__(self, **kwargs):
        self._new = kwargs

    def __enter__(self):
        self._old = {k: getattr(_options, k) for k in ("precision", "threshold", "edgeitems", "linewidth", "sci_mode")}
        set_printoptions(**self._new)

    def __exit__(self, *_):
        for name, value in self._old.items():
            setattr(_options, name, value)


class _Formatter:
    """One width and notation for all elements of a tensor."""

    def __init__(self, values, is_float):
        self.is_float = is_float
        self.whole, self.scientific, self.width = True, False, 1
        if not is_float:
            self.width = max((len(str(value)) for value in values), default=1)
            return
        finite = [value for value in values if math.isfinite(value) and value != 0]
        if not finite:  # zeros, infinities and NaN alone are not aligned
            return
        self.whole = all(value == math.ceil(value) for value in finite)
        magnitudes = [abs(value) for value in finite]
        low, high = min(magnitudes), max(magnitudes)
        if self.whole:
            self.scientific = high / low > 1000.0 or high > 1.0e8
        else:
            self.scientific = high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4
        if _options.sci_mode is not None:
            self.scientific = _options.sci_mode
        shown = finite
        self.width = max(1, max(len(self.number(value)) for value in shown))
        # Infinities and NaN widen a column of whole numbers only as far as they need.
        self.width = max(self.width, 1)

    def number(self, value):
        if self.scientific:
            return f"{{:.{_options.precision}e}}".format(value)
        if self.whole:
            return f"{value:.0f}."
        return f"{{:.{_options.precision}f}}".format(value)

    def text(self, value):
        if not self.is_float:
            return str(value)
        if self.scientific:
            return f"{{:.{_options.precision}e}}".format(value)
        if self.whole:
            return f"{value:.0f}" + ("" if math.isinf(value) or math.isnan(value) else ".")
        return f"{{:.{_options.precision}f}}".format(value)

    def __call__(self, value):
        return self.text(value).rjust(self.width)


class _ComplexFormatter:
    """A width and notation for all real parts, and others for all imaginary ones."""

    def __init__(self, values):
        self.real = _Formatter([value.real for value in values], True)
        self.imag = _Formatter([value.imag for value in values], True)
        self.width = self.real.width + self.imag.width + 1

    def __call__(self, value):
        imag = (self.imag(value.imag) + "j").lstrip()
        return self.real(value.real) + (imag if imag[0] in "+-" else "+" + imag)


def _edges(tensor):
    """What a summary shows of a tensor, as one tensor."""
    if tensor.dim() == 0:
        return tensor
    edge = _options.edgeitems
    size = tensor.shape[0]
    if size > 2 * edge:
        parts = [tensor[i] for i in (*range(edge), *range(size - edge, size))]
    else:
        parts = [tensor[i] for i in range(size)]
    if not parts:
        return tensor
    return _core.stack([_edges(part) for part in parts])


def _vector(seen, size, indent, summarize, formatter):
    per_line = max(1, (_options.linewidth - indent) // (formatter.width + 2))
    edge = _options.edgeitems
    if summarize and not edge:
        return "[...]"
    values = [formatter(v) for v in seen.tolist()]
    if summarize and size > 2 * edge:
        values = [*values[:edge], " ...", *values[-edge:]]
    lines = [", ".join(values[i : i + per_line]) for i in range(0, len(values), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _nested(seen, shape, indent, summarize, formatter):
    """The text of a tensor of a shape, of which ``seen`` is what is shown."""
    if not shape:
        return formatter(seen.item())
    size, *rest = shape
    if not rest:
        return _vector(seen, size, indent, summarize, formatter)
    edge = _options.edgeitems
    cut = summarize and size > 2 * edge
    slices = [_nested(seen[i], rest, indent + 1, summarize, formatter) for i in range(2 * edge if cut else size)]
    if cut:
        slices.insert(edge, "...")
    return "[" + ("," + "\n" * len(rest) + " " * (indent + 1)).join(slices) + "]"


_STORED_ONLY = {
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
}


def _tensor_str(tensor, indent):
    """The numbers of a tensor between brackets; lines after the first begin ``indent`` columns in."""
    if tensor.numel() == 0:
        return "[]"
    if tensor.is_meta:
        return "..."
    if tensor.requires_grad:
        tensor = tensor.detach()
    if str(tensor.dtype)[6:] in _STORED_ONLY:
        return "..."
    summarize = tensor.numel() > _options.threshold
    # A device is waited for once.
    seen = (_edges(tensor) if summarize else tensor).cpu()
    if tensor.is_complex():
        formatter = _ComplexFormatter(seen.reshape(-1).tolist())
        return _nested(seen, tensor.shape, indent, summarize, formatter)
    values = seen.reshape(-1).tolist()
    formatter = _Formatter(values, tensor.dtype.is_floating_point)
    return _nested(seen, tensor.shape, indent, summarize, formatter)


def _add_suffixes(text, suffixes, indent, force_newline=False):
    """``text``, the suffixes behind it on as few lines as they fit on, and a bracket."""
    parts = [text]
    last = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if force_newline or last + len(suffix) + 2 > _options.linewidth:
            force_newline = False
            parts.append(",\n" + " " * indent + suffix)
            last = indent + len(suffix)
        else:
            parts.append(", " + suffix)
            last += len(suffix) + 2
    return "".join(parts) + ")"


def _str(tensor, *, tensor_contents=None):
    """The text of a tensor."""
    with _core.no_grad():
        return _text(tensor.detach() if tensor.requires_grad else tensor, tensor, tensor_contents)


def _unnamed():
    """The dtypes that texts do not name: numbers of Python have them by default."""
    own = _core.complex128 if _core.get_default_dtype() == _core.float64 else _core.complex64
    return _core.get_default_dtype(), own, _core.int64, _core.bool


def _text(plain, tensor, contents):
    name = "tensor"
    if type(tensor).__name__ not in ("Tensor", "Parameter", "Buffer"):
        name = type(tensor).__name__
    prefix = f"{name}("
    indent = len(prefix)
    suffixes = []
    if tensor.device.type != "cpu":
        suffixes.append(f"device='{tensor.device}'")
    default = _unnamed()
    if tensor.is_meta:
        suffixes.append(f"size={tuple(tensor.shape)}")
        if tensor.dtype != _core.get_default_dtype():
            suffixes.append(f"dtype={tensor.dtype}")
        body = "..."
    elif tensor.numel() == 0:
        if tensor.dim() != 1:
            suffixes.append(f"size={tuple(tensor.shape)}")
        if tensor.dtype != _core.get_default_dtype():
            suffixes.append(f"dtype={tensor.dtype}")
        body = "[]"
    else:
        if tensor.dtype not in default:
            suffixes.append(f"dtype={tensor.dtype}")
        body = _tensor_str(plain, indent) if contents is None else contents
    node = tensor.grad_fn
    if node is not None:
        suffixes.append(f"grad_fn=<{node.name()}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    return _add_suffixes(prefix + body, suffixes, indent)
