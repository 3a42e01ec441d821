"""rustnn.fft, stft and istft: against NumPy, by identities, and gradients by differences."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import rustnn
from rustnn.autograd import gradcheck, gradgradcheck


def numbers(*shape, seed=0):
    random = np.random.RandomState(seed)
    return random.uniform(-1, 1, shape) + 1j * random.uniform(-1, 1, shape)


def close(ours, expected, error=1e-12):
    got = ours.detach().numpy()
    assert got.shape == np.shape(expected)
    assert np.abs(got - expected).max(initial=0) <= error * np.abs(expected).max(initial=1)


def test_frequencies_and_shifts():
    assert rustnn.fft.fftfreq(5, 0.5).tolist() == pytest.approx([0, 0.4, 0.8, -0.8, -0.4])
    assert rustnn.fft.fftfreq(4).tolist() == [0, 0.25, -0.5, -0.25]
    assert rustnn.fft.rfftfreq(4, dtype=rustnn.float64).tolist() == [0, 0.25, 0.5]
    x = rustnn.arange(10).reshape(2, 5)
    assert rustnn.fft.fftshift(x, 1).tolist() == [[3, 4, 0, 1, 2], [8, 9, 5, 6, 7]]
    assert rustnn.equal(rustnn.fft.ifftshift(rustnn.fft.fftshift(x)), x)


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_transforms_are_numpys(name, norm):
    for shape, axis in (((3, 8), -1), ((7, 5), 0), ((2, 3, 13), 1), ((1009,), 0), ((4, 6, 2), 1)):
        x = numbers(*shape)
        x = x.real.copy() if name in ("rfft", "ihfft") else x
        for n in (None, 4, 9, 1):
            expected = getattr(np.fft, name)(x, n, axis, norm)
            close(getattr(rustnn.fft, name)(rustnn.tensor(x), n, axis, norm), expected)
            single = x.astype(np.complex64 if np.iscomplexobj(x) else np.float32)
            close(getattr(rustnn.fft, name)(rustnn.tensor(single), n, axis, norm), expected, 2e-6)


@pytest.mark.parametrize("name", ["fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn"])
def test_transforms_over_dimensions_are_numpys(name):
    x = numbers(3, 6, 5)
    x = x.real.copy() if name.startswith("rfft") else x
    for s, axes in (((4, 4), (0, 1)), (None, (-1, 1)), ((2, 7), (2, 0))):
        close(getattr(rustnn.fft, name)(rustnn.tensor(x), s, axes), getattr(np.fft, name)(x, s, axes))
    close(getattr(rustnn.fft, name)(rustnn.tensor(x)), getattr(np.fft, name)(x))


@pytest.mark.parametrize("name", "fft ifft rfft irfft hfft ihfft fft2 irfft2 hfft2 ihfft2 rfftn hfftn".split())
def test_gradients_are_those_of_differences(name):
    x = rustnn.tensor(numbers(3, 4).real if name in ("rfft", "ihfft", "ihfft2", "rfftn") else numbers(3, 4))
    x.requires_grad_()
    for more in ({}, {"norm": "ortho"}):
        function = lambda x, more=more: getattr(rustnn.fft, name)(x, **more)  # noqa: E731
        assert gradcheck(function, x) and gradgradcheck(function, x)
    if not name.endswith(("2", "n")):
        odd = lambda x: getattr(rustnn.fft, name)(x, 5)  # noqa: E731
        assert gradcheck(odd, x) and gradgradcheck(odd, x)


def test_a_real_inputs_gradient_is_real():
    x = rustnn.randn(6, requires_grad=True)
    rustnn.fft.fft(x).abs().sum().backward()
    assert x.grad.dtype == rustnn.float32


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 130), st.integers(1, 4), st.sampled_from(["backward", "ortho", "forward"]), st.integers(0, 1000))
def test_transforms_invert_keep_energy_and_are_linear(n, lines, norm, seed):
    x, y = rustnn.tensor(numbers(lines, n, seed=seed)), rustnn.tensor(numbers(lines, n, seed=seed + 1))
    spectrum = rustnn.fft.fft(x, norm=norm)
    close(rustnn.fft.ifft(spectrum, norm=norm), x.numpy())
    close(rustnn.fft.irfft(rustnn.fft.rfft(x.real, norm=norm), n, norm=norm), x.real.numpy())
    energy = (rustnn.fft.fft(x, norm="ortho").abs() ** 2).sum()
    assert energy.item() == pytest.approx((x.abs() ** 2).sum().item())
    close(rustnn.fft.fft(2j * x + y, norm=norm), (2j * spectrum + rustnn.fft.fft(y, norm=norm)).numpy())


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 24), st.integers(1, 12), st.integers(0, 60), st.booleans(), st.booleans())
def test_signals_come_back_from_their_spectrograms(n_fft, hop, more, normalized, onesided):
    hop = min(hop, max(1, n_fft // 2))
    x = rustnn.tensor(numbers(2, n_fft + more).real)
    window = rustnn.hann_window(n_fft, dtype=rustnn.float64) + 0.1
    options = {"hop_length": hop, "window": window, "normalized": normalized, "onesided": onesided}
    spectrum = rustnn.stft(x, n_fft, return_complex=True, **options)
    close(
        rustnn.istft(spectrum, n_fft, length=x.shape[1], **options)[:, : hop * (spectrum.shape[2] - 1)],
        x.numpy()[:, : hop * (spectrum.shape[2] - 1)],
        1e-9,
    )


def test_a_spectrogram_is_the_transform_of_each_window():
    x, window = rustnn.tensor(numbers(20).real), rustnn.hann_window(8, dtype=rustnn.float64)
    got = rustnn.stft(x, 8, 3, window=window, center=False, return_complex=True)
    assert got.shape == (5, 5)
    for t in range(5):
        close(got[:, t], np.fft.rfft(x.numpy()[3 * t : 3 * t + 8] * window.numpy()))


def test_gradients_pass_through_spectrograms():
    x = rustnn.tensor(numbers(12).real, requires_grad=True)
    window = rustnn.hann_window(4, dtype=rustnn.float64) + 0.1
    there = lambda x: rustnn.stft(x, 4, 2, window=window, return_complex=True)  # noqa: E731
    back = lambda x: rustnn.istft(there(x), 4, 2, window=window)  # noqa: E731
    assert gradcheck(there, x) and gradgradcheck(there, x) and gradcheck(back, x)


def test_no_points_are_refused_and_no_lines_give_none():
    with pytest.raises(RuntimeError, match=r"Invalid number of data points \(0\) specified"):
        rustnn.fft.fft(rustnn.ones(2, 0))
    assert rustnn.fft.fft(rustnn.ones(0, 4)).shape == (0, 4)
    assert rustnn.fft.irfft(rustnn.ones(0, 3, dtype=rustnn.complex64)).shape == (0, 4)


def test_shapes_are_known_without_data():
    x = rustnn.ones(3, 8, device="meta")
    assert rustnn.fft.rfft(x).shape == (3, 5) and rustnn.fft.irfft(rustnn.fft.fft(x)).shape == (3, 14)
    assert rustnn.stft(x, 4, window=rustnn.ones(4, device="meta"), return_complex=True).shape == (3, 3, 9)
