"""Special functions, against closed forms and Python's ``math``; gradients by differences."""

import math

import pytest

import rustnn
from rustnn import special
from rustnn.autograd import gradcheck


def double(*values):
    return rustnn.tensor(values, dtype=rustnn.float64)


def test_functions_of_the_normal_distribution_agree_with_math():
    x = [-20.0, -3.0, -1.0, 0.0, 0.5, 4.0]
    ndtr = [math.erfc(-v / math.sqrt(2)) / 2 for v in x]
    assert special.ndtr(double(*x)).tolist() == pytest.approx(ndtr, rel=1e-12)
    assert special.log_ndtr(double(*x)).tolist() == pytest.approx([math.log(v) for v in ndtr], rel=1e-12)
    assert special.log_ndtr(double(-100.0)).item() == pytest.approx(-5005.524208694206, rel=1e-13)
    assert special.ndtri(special.ndtr(double(-2.0, 0.3))).tolist() == pytest.approx([-2.0, 0.3])
    assert special.erfcx(double(1.0, 10.0)).tolist() == pytest.approx(
        [math.exp(1) * math.erfc(1), math.exp(100) * math.erfc(10)], rel=1e-11
    )


def test_bessel_functions_agree_with_their_power_series():
    def series(x, order):
        term = total = (x / 2) ** order / math.factorial(order)
        for k in range(1, 150):
            term *= (x / 2) ** 2 / (k * (k + order))
            total += term
        return total

    for x in (-3.0, 0.0, 0.5, 10.0, 39.0, 45.0):
        assert special.i0(double(x)).item() == pytest.approx(series(x, 0), rel=1e-12)
        assert special.i1(double(x)).item() == pytest.approx(series(x, 1), rel=1e-12)
        assert special.i0e(double(x)).item() == pytest.approx(series(x, 0) * math.exp(-abs(x)), rel=1e-12)
        assert special.i1e(double(x)).item() == pytest.approx(series(x, 1) * math.exp(-abs(x)), rel=1e-12)


def test_zeta_and_polygamma_have_their_known_values():
    assert special.zeta(double(2.0, 4.0, 1.0), 1).tolist() == pytest.approx([math.pi**2 / 6, math.pi**4 / 90, math.inf])
    assert rustnn.polygamma(1, double(1.0, 0.5)).tolist() == pytest.approx([math.pi**2 / 6, math.pi**2 / 2])
    assert double(-0.5).polygamma(1).item() == pytest.approx(math.pi**2 / 2 + 4)
    with pytest.raises(RuntimeError, match="negative n"):
        special.polygamma(-1, double(1.0))


def test_products_with_logarithms_are_zero_where_their_factor_is():
    assert special.entr(double(0.0, 1.0, 0.5, -1.0)).tolist() == pytest.approx([0.0, 0.0, math.log(2) / 2, -math.inf])
    assert special.xlog1py(double(0.0, 2.0), double(-1.0, 3.0)).tolist() == pytest.approx([0.0, 2 * math.log(4)])
    assert special.multigammaln(double(3.0), 2).item() == pytest.approx(
        math.log(math.pi) / 2 + math.lgamma(3) + math.lgamma(2.5)
    )


@pytest.mark.parametrize("name", "ndtr log_ndtr erfcx i0 i0e i1 i1e entr ndtri".split())
def test_gradients_agree_with_differences(name):
    x = double(0.2, 0.6, 0.8).requires_grad_()
    assert gradcheck(getattr(special, name), [x])
