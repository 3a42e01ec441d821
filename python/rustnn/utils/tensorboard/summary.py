"""What summaries consist of: scalars, histograms, images, sounds, texts and curves, as messages of an event file."""

import io
import math
import struct
import zlib

from .events import message

__all__ = ["audio", "histogram", "histogram_raw", "hparams", "image", "pr_curve", "scalar", "text"]

_FLOAT, _DOUBLE, _STRING = 1, 2, 7


def as_array(value):
    """A tensor, a number or anything NumPy takes, as an array."""
    import numpy as np

    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if value.is_floating_point():
            value = value.double()
        return value.numpy()
    return np.asarray(value)


def _value(tag, *fields):
    return message((1, message((1, tag), *fields)))


def _plugin(name, content=b""):
    return (9, message((1, message((1, name), (2, content)))))


def scalar(tag, value, new_style=False, double_precision=False):
    """One number; with ``new_style`` as a tensor of no dimensions."""
    array = as_array(value).squeeze()
    if array.ndim != 0:
        raise AssertionError(
            "Tensor should contain one element (0 dimensions). "
            f"Was given size: {array.size} and {array.ndim} dimensions."
        )
    number = float(array)
    if not new_style:
        return _value(tag, (2, (number, "float32")))
    kind = (_DOUBLE, struct.pack("<d", number)) if double_precision else (_FLOAT, struct.pack("<f", number))
    tensor = message((1, kind[0]), (2, b""), (4, kind[1]))
    return _value(tag, (8, tensor), (9, message((1, message((1, "scalars"))), (4, 1))))


def _exponential_edges():
    edge, positive = 1e-12, []
    while edge < 1e20:
        positive.append(edge)
        edge *= 1.1
    return [-edge for edge in reversed(positive)] + [0.0, *positive]


def histogram(tag, values, bins="tensorflow", max_bins=None):
    """How many values lie between which edges; the default edges grow by a tenth each.

    Raises: ValueError for no values.
    """
    import numpy as np

    values = as_array(values).reshape(-1).astype(float)
    if values.size == 0:
        raise ValueError("The input has no element.")
    counts, edges = np.histogram(values, bins=_exponential_edges() if bins == "tensorflow" else bins)
    if max_bins is not None and len(counts) > max_bins:
        together = len(counts) // max_bins
        pad = -len(counts) % together
        counts = np.concatenate([counts, np.zeros(pad, counts.dtype)]).reshape(-1, together).sum(1)
        last = edges[-1]
        edges = edges[::together]
        if len(edges) < len(counts) + 1:
            edges = np.append(edges, last)
    filled = np.flatnonzero(counts)
    if filled.size:
        # One empty bucket before the first, whose right edge says where that begins.
        first, behind = filled[0], filled[-1] + 1
        counts = np.concatenate([[0], counts[first:behind]])
        edges = edges[first : behind + 1]
    else:
        counts, edges = np.zeros(1), edges[-1:]
    return histogram_raw(
        tag,
        values.min(),
        values.max(),
        values.size,
        values.sum(),
        float(values @ values),
        edges.tolist(),
        counts.tolist(),
    )


def histogram_raw(tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts):
    """A histogram that is there already: right edges and counts.

    Raises: ValueError for edges and counts of different numbers.
    """
    if len(bucket_limits) != len(bucket_counts):
        raise ValueError("len(bucket_limits) != len(bucket_counts), see the document.")
    packed = [struct.pack(f"<{len(row)}d", *row) for row in (bucket_limits, bucket_counts)]
    numbers = [float(number) for number in (min, max, num, sum, sum_squares)]
    return _value(tag, (5, message(*enumerate([*numbers, *packed], 1))))


def _png(pixels):
    """Rows of 8-bit pixels, (height, width, 1, 3 or 4), as a PNG file."""
    import numpy as np

    height, width, channels = pixels.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * channels)], 1)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6))
        + chunk(b"IEND", b"")
    )


def _as_pixels(array, dataformats):
    """(height, width, channels), several images side by side, eight to a row."""
    import numpy as np

    dataformats = dataformats.upper()
    if len(set(dataformats)) != len(dataformats) or array.ndim != len(dataformats):
        raise AssertionError(
            "size of input tensor and input format are different. "
            f"tensor shape: {array.shape}, input_format: {dataformats}"
        )
    if set(dataformats) == set("NCHW"):
        array = array.transpose([dataformats.index(letter) for letter in "NHWC"])
        across = min(8, len(array))
        rows = [array[start : start + across] for start in range(0, len(array), across)]
        blank = np.zeros_like(array[0])
        rows = [np.concatenate([*row, *[blank] * (across - len(row))], 1) for row in rows]
        array = np.concatenate(rows, 0)
    elif set(dataformats) == set("CHW"):
        array = array.transpose([dataformats.index(letter) for letter in "HWC"])
    elif set(dataformats) == set("HW"):
        array = array.transpose([dataformats.index(letter) for letter in "HW"])[..., None]
    else:
        raise AssertionError(f"an image has the dimensions HW, CHW or NCHW in any order; got {dataformats}")
    if array.shape[-1] not in (1, 3, 4):
        raise AssertionError(f"an image has 1, 3 or 4 channels; got {array.shape[-1]}")
    return array


def image(tag, pixels, dataformats="NCHW"):
    """A picture, or several side by side: bytes, or numbers from 0 to 1."""
    import numpy as np

    if not hasattr(pixels, "dtype"):
        pixels = np.asarray(pixels)
    is_bytes = "uint8" in str(pixels.dtype)
    array = _as_pixels(as_array(pixels), dataformats)
    array = array.astype(np.uint8) if is_bytes else (array.astype(float) * 255).clip(0, 255).astype(np.uint8)
    height, width, channels = array.shape
    return _value(tag, (4, message((1, height), (2, width), (3, channels), (4, _png(array)))))


def audio(tag, sound, sample_rate=44100):
    """A sound, (1, length) or (length,), of numbers from -1 to 1, as a WAV file."""
    import wave

    samples = as_array(sound).squeeze()
    if samples.ndim != 1:
        raise AssertionError("input tensor should be 1 dimensional.")
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((samples.clip(-1, 1) * 32767).astype("<i2").tobytes())
    content = message(
        (1, (float(sample_rate), "float32")), (2, 1), (3, len(samples)), (4, data.getvalue()), (5, "audio/wav")
    )
    return _value(tag, (6, content))


def text(tag, words):
    """Text, in Markdown."""
    tensor = message((1, _STRING), (2, message((2, message((1, 1))))), (8, str(words)))
    return _value(tag + "/text_summary", (8, tensor), _plugin("text"))


def pr_curve(tag, labels, predictions, num_thresholds=127, weights=None):
    """Precision and recall of predictions (0 to 1) of labels (0 or 1) at each threshold."""
    import numpy as np

    labels, predictions = as_array(labels).reshape(-1).astype(float), as_array(predictions).reshape(-1).astype(float)
    weights = np.ones_like(labels) if weights is None else np.broadcast_to(as_array(weights).reshape(-1), labels.shape)
    num_thresholds = min(num_thresholds, 127)
    places = np.floor(predictions * (num_thresholds - 1)).astype(int).clip(0, num_thresholds - 1)
    right = np.bincount(places, labels * weights, num_thresholds)[::-1].cumsum()[::-1]
    wrong = np.bincount(places, (1 - labels) * weights, num_thresholds)[::-1].cumsum()[::-1]
    unseen, clear = right[0] - right, wrong[0] - wrong
    tiny = 1e-7
    rows = np.stack(
        [right, wrong, clear, unseen, right / np.maximum(tiny, right + wrong), right / np.maximum(tiny, right + unseen)]
    )
    shape = message((2, [message((1, size)) for size in rows.shape]))
    tensor = message((1, _FLOAT), (2, shape), (4, rows.astype("<f4").tobytes()))
    return _value(tag, (8, tensor), _plugin("pr_curves", message((2, num_thresholds))))


def hparams(hparam_dict, metric_dict, hparam_domain_discrete=None, start_time=0.0):
    """Three summaries: which hyperparameters and metrics there are, a run's values, and that it ended.

    Raises: TypeError for what are no dictionaries; ValueError for a hyperparameter that is no number, bool or text.
    """
    for name, given in (("hparam_dict", hparam_dict), ("metric_dict", metric_dict)):
        if not isinstance(given, dict):
            raise TypeError(f"parameter: {name} should be a dictionary, nothing logged.")
    domains = hparam_domain_discrete or {}
    values, infos = [], []
    for key, given in hparam_dict.items():
        if given is None:
            continue
        kind, value = _hparam(given)
        values.append(message((1, key), (2, value)))
        allowed = domains.get(key)
        domain = None if allowed is None else message((1, [_hparam(item)[1] for item in allowed]))
        infos.append(message((1, key), (4, kind), (5, domain)))
    metrics = [message((1, message((2, key)))) for key in metric_dict]
    parts = [
        ("experiment", (2, message((4, infos), (5, metrics)))),
        ("session_start_info", (3, message((1, values), (5, float(start_time))))),
        ("session_end_info", (4, message((1, 1)))),
    ]
    return [_value(f"_hparams_/{name}", _plugin("hparams", message(part))) for name, part in parts]


def _hparam(value):
    """The kind and the message of a hyperparameter's value."""
    import numpy as np

    if isinstance(value, str):
        return 1, message((3, value))
    if isinstance(value, (bool, np.bool_)):
        return 2, message((4, int(value)))
    array = as_array(value)
    if array.ndim == 0 and array.dtype.kind in "iuf":
        return 3, message((2, float(array)))
    raise ValueError("value should be one of int, float, str, bool, or torch.Tensor")


def sprite(images):
    """Small pictures (N, C, H, W) in a square, as a PNG file, and the size of one."""
    import numpy as np

    array = as_array(images)
    side = math.ceil(math.sqrt(len(array)))
    array = np.concatenate([array, np.zeros((side * side - len(array), *array.shape[1:]), array.dtype)])
    channels, height, width = array.shape[1:]
    square = array.reshape(side, side, channels, height, width).transpose(0, 3, 1, 4, 2)
    pixels = (square.reshape(side * height, side * width, channels) * 255).clip(0, 255).astype(np.uint8)
    return _png(pixels), width, height
