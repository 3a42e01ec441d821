"""Transforms of the windows of a signal, and back: ``stft`` and ``istft``."""

import warnings

from . import _core
from ._tensor import _kind

__all__ = ["istft", "stft"]


def _call(name, tensor_type, input, n_fft, hop_length, win_length, window, **rest):
    """What PyTorch's messages begin with."""
    shown = "None" if window is None else f"{window.type().replace('rustnn', 'torch')}{{{list(window.shape)}}}"
    texts = {"n_fft": n_fft, "hop_length": hop_length, "win_length": win_length, "window": shown}
    texts |= {key: value if value is None else int(value) for key, value in rest.items()}
    sizes = ", ".join(map(str, input.shape))
    return f"{name}({tensor_type}[{sizes}], " + ", ".join(f"{key}={value}" for key, value in texts.items()) + ") "


def _padded_window(window, input, win_length, n_fft):
    if window is None:
        dtype = _core.view_as_real(input).dtype if input.is_complex() else input.dtype
        window = _core.ones(win_length, dtype=dtype, device=input.device)
    left = (n_fft - win_length) // 2
    ends = [window.new_zeros(left), window, window.new_zeros(n_fft - win_length - left)]
    return window if win_length == n_fft else _core.cat(ends)


def _padded(input, width, mode):
    """``width`` samples more at both ends."""
    rank = input.dim()
    if mode == "reflect" and rank and 0 < width < input.shape[-1]:
        ends = [input.narrow(-1, start, width).flip(-1) for start in (1, input.shape[-1] - 1 - width)]
        return _core.cat([ends[0], input, ends[1]], -1)
    from .nn.functional import pad

    seen = input.reshape([1] * (3 - rank) + list(input.shape)) if rank <= 3 else input
    seen = pad(seen, (width, width), mode)
    return seen.reshape(seen.shape[seen.dim() - rank :]) if rank else seen.reshape(seen.shape[-1:])


def _warn_of_no_window():
    warnings.warn(
        "A window was not provided. A rectangular window will be applied,which is known to cause spectral leakage. "
        "Other windows such as torch.hann_window or torch.hamming_window are recommended to reduce spectral "
        "leakage.To suppress this warning and use a rectangular window, explicitly set "
        "`window=torch.ones(n_fft, device=<device>)`.",
        stacklevel=3,
    )


def stft(
    input,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    pad_mode="reflect",
    normalized=False,
    onesided=None,
    return_complex=None,
    align_to_window=None,
):
    """The transforms of the windows of a signal.

        X[k, t] = Σ_j window[j] x[t hop + j] exp(-2πi jk / n_fft)

    Args:
        n_fft: samples of a window. hop_length: samples from one window to the next, n_fft // 4 if not given.
        win_length: length of ``window``, n_fft if not given; centred in it and padded with zeros.
        center: whether window t is centred at sample t hop, the signal being padded by ``pad_mode`` at both ends.
        normalized: whether the results are divided by √n_fft.
        onesided: whether only the first n_fft // 2 + 1 frequencies are given; so for real signals and windows if
            not given.
        return_complex: required to be True or False for real signals; False gives pairs of real numbers.
    Shapes: (L,) or (B, L) -> (N, T) or (B, N, T).
    Raises: RuntimeError for sizes that do not fit. NotImplementedError for ``align_to_window`` with shorter windows.
    """
    if align_to_window is not None and center:
        raise RuntimeError("stft align_to_window should only be set when center = false")
    if center:
        input = _padded(input, n_fft // 2, pad_mode)
    hop = n_fft // 4 if hop_length is None else hop_length
    length = n_fft if win_length is None else win_length
    if window is None:
        _warn_of_no_window()
    text = _call(
        "stft",
        input.type().replace("rustnn", "torch"),
        input,
        n_fft,
        hop,
        length,
        window,
        normalized=normalized,
        onesided=onesided,
        return_complex=return_complex,
        align_to_window=align_to_window,
    )
    is_complex = input.is_complex() or (window is not None and window.is_complex())
    if return_complex is None and not is_complex:
        raise RuntimeError(
            "stft requires the return_complex parameter be given for real inputs, and will further require that "
            "return_complex=True in a future PyTorch release."
        )
    if return_complex is False:
        warnings.warn(
            "stft with return_complex=False is deprecated. In a future pytorch release, stft will return complex "
            "tensors for all inputs, and return_complex=False will raise an error.\nNote: you can still call "
            "torch.view_as_real on the complex output to recover the old return format.",
            stacklevel=2,
        )
    if not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError(text + ": expected a tensor of floating point or complex values")
    if input.dim() not in (1, 2):
        raise RuntimeError(text + ": expected a 1D or 2D tensor")
    if not 0 < n_fft <= input.shape[-1]:
        raise RuntimeError(text + f": expected 0 < n_fft < {input.shape[-1]}, but got n_fft={n_fft}")
    if hop <= 0:
        raise RuntimeError(text + f": expected hop_length > 0, but got hop_length={hop}")
    if not 0 < length <= n_fft:
        raise RuntimeError(text + f": expected 0 < win_length <= n_fft, but got win_length={length}")
    if window is not None and (window.dim() != 1 or window.shape[0] != length):
        raise RuntimeError(
            text + f": expected a 1D window tensor of size equal to win_length={length}, but got window with size "
            f"{list(window.shape)}"
        )
    if align_to_window and length < n_fft:
        raise NotImplementedError("stft: align_to_window with a window shorter than n_fft is not supported")
    if onesided is None:
        onesided = not is_complex
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    frames = input.unfold(-1, n_fft, hop)
    if window is not None or length < n_fft:
        frames = frames * _padded_window(window, input, length, n_fft)
    if frames.dtype in (_core.float16, _core.bfloat16):
        raise RuntimeError(f"MKL FFT doesn't support tensors of type: {_kind(frames.dtype)}")
    norm = "root" if normalized else "none"
    if is_complex:
        result = _core._fft_c2c(frames, [-1], norm, True)
    else:
        result = _core._fft_r2c(frames, [-1], norm, bool(onesided))
    result = result.transpose(-2, -1)
    return _core.view_as_real(result) if return_complex is False else result


def istft(
    input,
    n_fft,
    hop_length=None,
    win_length=None,
    window=None,
    center=True,
    normalized=False,
    onesided=None,
    length=None,
    return_complex=False,
):
    """The signal whose windows' transforms come nearest to the given ones, by least squares.

    Args: as of :func:`stft`.
        length: of the result; what the windows reach if not given.
        return_complex: whether the signal is complex.
    Shapes: (N, T) or (B, N, T) -> (L,) or (B, L).
    Raises: RuntimeError for sizes that do not fit and for windows whose squares sum up to 0 somewhere.
    Source: Griffin and Lim 1984, "Signal estimation from modified short-time Fourier transform".
    """
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    if window is None:
        _warn_of_no_window()
    if not input.is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with return_complex=True."
        )
    kind = f"CPU{_kind(input.dtype)}Type" if input.device.type == "cpu" else input.type().replace("rustnn", "torch")
    text = _call(
        "istft",
        kind,
        input,
        n_fft,
        hop,
        width,
        window,
        center=center,
        normalized=normalized,
        onesided=onesided,
        length=length,
        return_complex=return_complex,
    )
    if input.numel() == 0:
        raise RuntimeError(text + ": input tensor cannot be empty.")
    if input.dim() not in (2, 3):
        raise RuntimeError(text + f": expected a tensor with 2 or 3 dimensions, but got {input.dim()}")
    count, size = input.shape[-1], input.shape[-2]
    onesided = size != n_fft if onesided is None else onesided
    if onesided:
        if n_fft // 2 + 1 != size:
            raise RuntimeError(
                text + ": expected the frequency dimension (3rd to the last) of the input tensor to match n_fft / 2 + "
                f"1 when onesided=True, but got {size}"
            )
    elif n_fft != size:
        raise RuntimeError(
            text + ": expected the frequency dimension (3rd to the last) of the input tensor to match n_fft when "
            f"onesided=False, but got {size}"
        )
    if not 0 < hop <= width:
        raise RuntimeError(text + ": expected 0 < hop_length <= win_length")
    if not 0 < width <= n_fft:
        raise RuntimeError(text + ": expected 0 < win_length <= n_fft")
    if window is not None and (window.dim() != 1 or window.shape[0] != width):
        raise RuntimeError(text + ": Invalid window shape. window has to be 1D and length of `win_length`")
    if return_complex and onesided:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    if not return_complex and window is not None and window.is_complex():
        raise RuntimeError("Complex windows are incompatible with return_complex=False")
    window = _padded_window(window, input, width, n_fft)
    frames = input.transpose(-2, -1)
    norm = "root" if normalized else "all"
    if return_complex:
        frames = _core._fft_c2c(frames, [-1], norm, False)
    else:
        frames = _core._fft_c2r(frames.narrow(-1, 0, n_fft // 2 + 1), [-1], norm, n_fft)
    signal = _overlapped(frames * window, n_fft, hop)
    weight = _overlapped((window * window).expand(1, count, n_fft), n_fft, hop)[0]
    reach = n_fft + hop * (count - 1)
    start = n_fft // 2 if center else 0
    end = start + length if length is not None else reach - n_fft // 2 if center else reach
    signal, weight = signal[..., start:end], weight[start:end]
    if weight.abs().min() <= 1e-11:
        raise RuntimeError(text + "window overlap add min: 1")
    signal = signal / weight
    if end > reach:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded with zeros in the tail. "
            "Please check your center and hop_length settings.",
            stacklevel=2,
        )
        signal = _core.cat([signal, signal.new_zeros([*signal.shape[:-1], end - reach])], -1)
    return signal


def _overlapped(frames, n_fft, hop):
    """Windows (*, T, n_fft) added up, each ``hop`` behind the one before."""
    from .nn.functional import fold

    if frames.is_complex():
        return _core.complex(_overlapped(frames.real, n_fft, hop), _overlapped(frames.imag, n_fft, hop))
    reach = n_fft + hop * (frames.shape[-2] - 1)
    columns = frames.transpose(-2, -1)
    summed = fold(columns if columns.dim() == 3 else columns[None], (1, reach), (1, n_fft), stride=(1, hop))
    return summed.reshape([*frames.shape[:-2], reach])
