"""Windows: weights by which the samples of a signal are faded in and out before a transform.

All take ``sym`` (the default): symmetric, for filters; else periodic, one period of a window longer by one sample. They
give float vectors of M elements and raise ValueError for a negative M and for dtypes that are not floating point.
"""

import math

from .. import _core

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def _prepare(name, M, dtype, layout):
    """The dtype of a window of M samples."""
    dtype = _core.get_default_dtype() if dtype is None else dtype
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if layout is not None and layout is not _core.strided:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    if dtype not in (_core.float32, _core.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    return dtype


def _line(start, end, M, dtype, device):
    return _core.linspace(start, end, steps=M, dtype=dtype, device=device)


def _finish(window, requires_grad):
    return window.requires_grad_(requires_grad)


def exponential(M, *, center=None, tau=1.0, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """exp(-|n - center| / tau); the center is the middle unless the window is periodic and says otherwise."""
    dtype = _prepare("exponential", M, dtype, layout)
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    if M == 0:
        return _finish(_core.empty(0, dtype=dtype, device=device), requires_grad)
    if center is None:
        center = (M if not sym and M > 1 else M - 1) / 2.0
    scale = 1 / tau
    k = _line(-center * scale, (-center + M - 1) * scale, M, dtype, device)
    return _finish((-k.abs()).exp(), requires_grad)


def cosine(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """sin(π (n + 1/2) / M)."""
    dtype = _prepare("cosine", M, dtype, layout)
    if M == 0:
        return _finish(_core.empty(0, dtype=dtype, device=device), requires_grad)
    start, scale = 0.5, math.pi / (M + 1 if not sym and M > 1 else M)
    return _finish(_line(start * scale, (start + M - 1) * scale, M, dtype, device).sin(), requires_grad)


def gaussian(M, *, std=1.0, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """exp(-(n / (std √2))²), n counted from the middle."""
    dtype = _prepare("gaussian", M, dtype, layout)
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    if M == 0:
        return _finish(_core.empty(0, dtype=dtype, device=device), requires_grad)
    start = -(M if not sym and M > 1 else M - 1) / 2.0
    scale = 1 / (std * math.sqrt(2))
    k = _line(start * scale, (start + M - 1) * scale, M, dtype, device)
    return _finish((-(k**2)).exp(), requires_grad)


def kaiser(M, *, beta=12.0, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """I₀(β √(1 - (2n / (M - 1) - 1)²)) / I₀(β). Kaiser and Schafer 1980."""
    dtype = _prepare("kaiser", M, dtype, layout)
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    if M == 0:
        return _finish(_core.empty(0, dtype=dtype, device=device), requires_grad)
    if M == 1:
        return _finish(_core.ones(1, dtype=dtype, device=device), requires_grad)
    from ..functional import i0

    # Rounding must not carry the last place beyond β.
    beta = _core.tensor(beta, dtype=dtype, device=device)
    step = 2.0 * float(beta) / (M if not sym else M - 1)
    k = _line(-float(beta), min(float(beta), -float(beta) + (M - 1) * step), M, dtype, device)
    return _finish(i0((beta * beta - k**2).clamp_min(0).sqrt()) / i0(beta), requires_grad)


def hamming(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """0.54 - 0.46 cos(2πn / (M - 1))."""
    return general_hamming(M, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)


def hann(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """(1 - cos(2πn / (M - 1))) / 2."""
    return general_hamming(
        M, alpha=0.5, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )


def blackman(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """0.42 - 0.5 cos(2πn / (M - 1)) + 0.08 cos(4πn / (M - 1))."""
    _prepare("blackman", M, dtype, layout)
    return general_cosine(
        M, a=[0.42, 0.5, 0.08], sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )


def bartlett(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """The triangle 1 - |2n / (M - 1) - 1|."""
    dtype = _prepare("bartlett", M, dtype, layout)
    if M == 0:
        return _finish(_core.empty(0, dtype=dtype, device=device), requires_grad)
    if M == 1:
        return _finish(_core.ones(1, dtype=dtype, device=device), requires_grad)
    step = 2 / (M if not sym else M - 1)
    return _finish(1 - _line(-1, -1 + (M - 1) * step, M, dtype, device).abs(), requires_grad)


def general_cosine(M, *, a, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """Σ (-1)ⁱ aᵢ cos(2πin / (M - 1)).

    Raises: TypeError if ``a`` cannot be gone through, ValueError if it is empty.
    """
    dtype = _prepare("general_cosine", M, dtype, layout)
    if M == 0:
        return _finish(_core.empty(0, dtype=dtype, device=device), requires_grad)
    if M == 1:
        return _finish(_core.ones(1, dtype=dtype, device=device), requires_grad)
    try:
        a = list(a)
    except TypeError:
        raise TypeError("Coefficients must be a list/tuple") from None
    if not a:
        raise ValueError("Coefficients cannot be empty")
    step = 2 * math.pi / (M if not sym else M - 1)
    k = _line(0, (M - 1) * step, M, dtype, device)
    signed = _core.tensor([(-1) ** i * weight for i, weight in enumerate(a)], dtype=dtype, device=device)
    order = _core.arange(len(a), dtype=dtype, device=device)
    return _finish((signed.unsqueeze(-1) * (order.unsqueeze(-1) * k).cos()).sum(0), requires_grad)


def general_hamming(M, *, alpha=0.54, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """alpha - (1 - alpha) cos(2πn / (M - 1))."""
    return general_cosine(
        M, a=[alpha, 1.0 - alpha], sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad
    )


def nuttall(M, *, sym=True, dtype=None, layout=None, device=None, requires_grad=False):
    """The minimum 4-term window of Nuttall 1981."""
    weights = [0.3635819, 0.4891775, 0.1365995, 0.0106411]
    return general_cosine(M, a=weights, sym=sym, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad)
