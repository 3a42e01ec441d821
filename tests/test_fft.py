"""rustnn.fft: what needs no complex numbers is computed, what does raises."""

import pytest

import rustnn


def test_frequencies_and_shifts():
    assert rustnn.fft.fftfreq(5, 0.5).tolist() == pytest.approx([0, 0.4, 0.8, -0.8, -0.4])
    assert rustnn.fft.fftfreq(4).tolist() == [0, 0.25, -0.5, -0.25]
    assert rustnn.fft.rfftfreq(4, dtype=rustnn.float64).tolist() == [0, 0.25, 0.5]
    x = rustnn.arange(10).reshape(2, 5)
    assert rustnn.fft.fftshift(x, 1).tolist() == [[3, 4, 0, 1, 2], [8, 9, 5, 6, 7]]
    assert rustnn.equal(rustnn.fft.ifftshift(rustnn.fft.fftshift(x)), x)


def test_transforms_name_what_is_missing():
    with pytest.raises(NotImplementedError, match=r"fft\.rfft: rustnn has no complex numbers"):
        rustnn.fft.rfft(rustnn.ones(4))
