"""Special functions: known values, the equations that they solve, gradients of both orders."""

import math

import pytest

import rustnn
from rustnn import special

INF, NAN = math.inf, math.nan


def t(*numbers):
    return rustnn.tensor(numbers, dtype=rustnn.float64)


# From Abramowitz and Stegun's and NIST's tables (DLMF), to all digits of float64.
VALUES = [
    ("bessel_j0", 1.0, 0.7651976865579666),
    ("bessel_j0", 40.0, 0.007366890584237291),
    ("bessel_j1", 1.0, 0.4400505857449335),
    ("bessel_j1", -1.0, -0.4400505857449335),
    ("bessel_y0", 1.0, 0.08825696421567698),
    ("bessel_y0", 0.0, -INF),
    ("bessel_y1", 1.0, -0.7812128213002887),
    ("bessel_y1", -1.0, NAN),
    ("modified_bessel_i0", 1.0, 1.2660658777520082),
    ("modified_bessel_i1", 1.0, 0.565159103992485),
    ("modified_bessel_k0", 1.0, 0.42102443824070834),
    ("modified_bessel_k1", 1.0, 0.6019072301972346),
    ("modified_bessel_k1", 0.0, INF),
    ("scaled_modified_bessel_k0", 1.0, 1.1444630798068949),
    ("i0", 0.0, 1.0),
    ("i0", 800.0, INF),
    ("i1", -1.0, -0.565159103992485),
    ("i0e", 1e6, 0.0003989423302692458),
    ("airy_ai", 0.0, 0.3550280538878172),
    ("airy_ai", 1.0, 0.1352924163128814),
    ("airy_ai", -10.0, 0.04024123848644319),
    ("spherical_bessel_j0", 0.0, 1.0),
    ("erfcx", 0.0, 1.0),
    ("erfcx", 10.0, 0.05614099274382259),
    ("erfcx", -30.0, INF),
    ("ndtr", 0.0, 0.5),
    ("ndtr", -10.0, 7.61985302416053e-24),
    ("log_ndtr", -100.0, -5005.524208694205),
    ("ndtri", 0.975, 1.959963984540054),
    ("ndtri", 1e-100, -21.273453560965326),
    ("ndtri", 1.0, INF),
    ("ndtri", 1.5, NAN),
    ("entr", 0.5, 0.34657359027997264),
    ("entr", 0.0, 0.0),
    ("entr", -1.0, -INF),
]


@pytest.mark.parametrize("name, x, expected", VALUES)
def test_functions_have_the_values_of_the_tables(name, x, expected):
    assert getattr(special, name)(t(x)).item() == pytest.approx(expected, rel=2e-13, abs=1e-15, nan_ok=True)
    single = getattr(special, name)(rustnn.tensor([x], dtype=rustnn.float32))
    assert single.dtype is rustnn.float32
    if abs(expected) > 1e-30 and x != 1e-100:
        assert single.item() == pytest.approx(expected, rel=2e-5, nan_ok=True)


def test_functions_of_two_arguments_have_the_values_of_the_tables():
    assert special.zeta(t(2.0), 1.0).item() == pytest.approx(math.pi**2 / 6, rel=1e-15)
    assert special.zeta(t(4.0), 1.0).item() == pytest.approx(math.pi**4 / 90, rel=1e-15)
    assert special.zeta(t(2.0), 0.5).item() == pytest.approx(math.pi**2 / 2, rel=1e-15)
    assert special.zeta(t(1.0, 0.5, 2.0, 2.5), t(1.0, 1.0, -1.0, -0.5)).tolist() == pytest.approx(
        [INF, NAN, INF, NAN], nan_ok=True
    )
    assert special.polygamma(1, t(0.5, 1.0, -0.5)).tolist() == pytest.approx(
        [math.pi**2 / 2, math.pi**2 / 6, math.pi**2 / 2 + 4], rel=1e-14
    )
    assert special.polygamma(2, t(1.0)).item() == pytest.approx(-2.4041138063191885, rel=1e-14)
    assert special.polygamma(3, t(1.0)).item() == pytest.approx(math.pi**4 / 15, rel=1e-14)
    assert special.polygamma(0, t(1.0)).item() == pytest.approx(-0.5772156649015329, rel=1e-14)
    assert special.xlog1py(t(0.0, 2.0), t(-1.0, 3.0)).tolist() == [0.0, pytest.approx(2 * math.log(4))]
    # P(1, x) = 1 - e⁻ˣ; P(1/2, x) = erf √x; Q(3, x) = e⁻ˣ (1 + x + x²/2).
    x = t(1e-6, 0.3, 1.0, 4.0, 30.0)
    assert special.gammainc(t(1.0), x).tolist() == pytest.approx((-(-x).expm1()).tolist(), rel=1e-13)
    assert special.gammainc(t(0.5), x).tolist() == pytest.approx(x.sqrt().erf().tolist(), rel=1e-13)
    Q = (-x).exp() * (1 + x + x * x / 2)
    assert special.gammaincc(t(3.0), x).tolist() == pytest.approx(Q.tolist(), rel=1e-13)
    assert special.gammainc(t(100.0), t(100.0)).item() == pytest.approx(0.5132987982791487, rel=1e-13)
    edges = special.gammainc(t(0.0, 0.0, 1.0, 1.0, INF, -1.0, 1.0), t(1.0, 0.0, 0.0, INF, 1.0, 1.0, -1.0))
    assert edges.tolist() == pytest.approx([1.0, NAN, 0.0, 1.0, 0.0, NAN, NAN], nan_ok=True)
    assert special.multigammaln(t(2.5), 2).item() == pytest.approx(
        0.5 * math.log(math.pi) + math.lgamma(2.5) + math.lgamma(2.0)
    )


def test_orthogonal_polynomials_are_what_they_are_written_out():
    x = t(-0.7, 0.1, 0.9)
    angle = x.acos()
    for n in range(6):
        shifted = (x + 1) / 2
        for name, values in {
            "chebyshev_polynomial_t": (n * angle).cos(),
            "chebyshev_polynomial_u": ((n + 1) * angle).sin() / angle.sin(),
            "chebyshev_polynomial_v": ((n + 0.5) * angle).cos() / (angle / 2).cos(),
            "chebyshev_polynomial_w": ((n + 0.5) * angle).sin() / (angle / 2).sin(),
        }.items():
            assert getattr(special, name)(x, n).tolist() == pytest.approx(values.tolist())
            assert getattr(special, f"shifted_{name}")(shifted, n).tolist() == pytest.approx(values.tolist())
    for name, degree, values in (
        ("hermite_polynomial_h", 3, 8 * x**3 - 12 * x),
        ("hermite_polynomial_he", 4, x**4 - 6 * x**2 + 3),
        ("laguerre_polynomial_l", 2, x * x / 2 - 2 * x + 1),
        ("legendre_polynomial_p", 3, (5 * x**3 - 3 * x) / 2),
    ):
        function = getattr(special, name)
        assert function(x, degree).tolist() == pytest.approx(values.tolist())
        assert function(x, t(-1.0, 0.0, 1.0)).tolist()[:2] == [0.0, 1.0]


@pytest.mark.parametrize("x", [0.01, 0.4, 0.999, 1.001, 5.0, 19.9, 20.1, 24.9, 25.1, 300.0])
def test_bessel_functions_solve_their_equations(x):
    # The Wronskians, which join both solutions and both orders.
    x = t(x)
    ordinary = special.bessel_j1(x) * special.bessel_y0(x) - special.bessel_j0(x) * special.bessel_y1(x)
    assert (ordinary * math.pi * x / 2).item() == pytest.approx(1.0, rel=1e-12)
    modified = special.i0e(x) * special.scaled_modified_bessel_k1(x) + special.i1e(x) * (
        special.scaled_modified_bessel_k0(x)
    )
    assert (modified * x).item() == pytest.approx(1.0, rel=1e-13)


def test_inverses_invert():
    p = t(1e-300, 1e-20, 1e-3, 0.2, 0.25, 0.3, 0.5, 0.7, 0.75, 0.999)
    assert special.ndtr(special.ndtri(p)).tolist() == pytest.approx(p.tolist(), rel=1e-12)
    x = t(-35.0, -3.0, -1.0, -0.9, 0.0, 2.0, 30.0)
    assert special.log_ndtr(x).exp().tolist() == pytest.approx(special.ndtr(x).tolist(), rel=1e-11)
    a, y = t(0.001, 0.5, 29.9, 30.1, 1e5), t(0.1, 3.0, 35.0, 25.0, 1.001e5)
    assert (special.gammainc(a, y) + special.gammaincc(a, y)).tolist() == pytest.approx([1.0] * 5)


def test_functions_of_the_normal_distribution_agree_with_math():
    x = [-20.0, -3.0, -1.0, 0.0, 0.5, 4.0]
    ndtr = [math.erfc(-v / math.sqrt(2)) / 2 for v in x]
    assert special.ndtr(t(*x)).tolist() == pytest.approx(ndtr, rel=1e-12)
    assert special.log_ndtr(t(*x)).tolist() == pytest.approx([math.log(v) for v in ndtr], rel=1e-12)
    assert special.log_ndtr(t(-100.0)).item() == pytest.approx(-5005.524208694206, rel=1e-13)
    assert special.ndtri(special.ndtr(t(-2.0, 0.3))).tolist() == pytest.approx([-2.0, 0.3])
    assert special.erfcx(t(1.0, 10.0)).tolist() == pytest.approx(
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
        assert special.i0(t(x)).item() == pytest.approx(series(x, 0), rel=1e-12)
        assert special.i1(t(x)).item() == pytest.approx(series(x, 1), rel=1e-12)
        assert special.i0e(t(x)).item() == pytest.approx(series(x, 0) * math.exp(-abs(x)), rel=1e-12)
        assert special.i1e(t(x)).item() == pytest.approx(series(x, 1) * math.exp(-abs(x)), rel=1e-12)


def test_zeta_and_polygamma_have_their_known_values():
    assert special.zeta(t(2.0, 4.0, 1.0), 1).tolist() == pytest.approx([math.pi**2 / 6, math.pi**4 / 90, math.inf])
    assert rustnn.polygamma(1, t(1.0, 0.5)).tolist() == pytest.approx([math.pi**2 / 6, math.pi**2 / 2])
    assert t(-0.5).polygamma(1).item() == pytest.approx(math.pi**2 / 2 + 4)
    with pytest.raises(RuntimeError, match="negative n"):
        special.polygamma(-1, t(1.0))


def test_products_with_logarithms_are_zero_where_their_factor_is():
    assert special.entr(t(0.0, 1.0, 0.5, -1.0)).tolist() == pytest.approx([0.0, 0.0, math.log(2) / 2, -math.inf])
    assert special.xlog1py(t(0.0, 2.0), t(-1.0, 3.0)).tolist() == pytest.approx([0.0, 2 * math.log(4)])
    assert special.multigammaln(t(3.0), 2).item() == pytest.approx(
        math.log(math.pi) / 2 + math.lgamma(3) + math.lgamma(2.5)
    )


SMOOTH = """bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_k0 modified_bessel_k1 scaled_modified_bessel_k0
    scaled_modified_bessel_k1 spherical_bessel_j0 i0 i0e i1 i1e erfcx ndtr log_ndtr ndtri entr""".split()


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_of_both_orders_are_those_of_differences(name):
    function, x = getattr(special, name), t(0.2, 0.55, 0.9).requires_grad_()
    assert rustnn.autograd.gradcheck(function, (x,))
    assert rustnn.autograd.gradgradcheck(function, (x,))


def test_gradients_of_functions_of_two_arguments():
    a, x = t(0.3, 2.0, 50.0).requires_grad_(), t(0.5, 1.5, 45.0).requires_grad_()
    for function in (special.gammainc, special.gammaincc):
        assert rustnn.autograd.gradcheck(function, (a, x))
    assert rustnn.autograd.gradcheck(special.xlog1py, (a, x))
    assert rustnn.autograd.gradcheck(lambda q: special.zeta(t(2.5), q), (x,))
    assert rustnn.autograd.gradgradcheck(lambda x: special.polygamma(1, x), (a,))
    assert rustnn.autograd.gradcheck(lambda x: special.multigammaln(x + 1, 3), (a,))
    with pytest.raises(NotImplementedError, match="zeta: self"):
        special.zeta(x + 1, 1.0).sum().backward()
    with pytest.raises(NotImplementedError, match="airy_ai"):
        special.airy_ai(x).sum().backward()


def test_functions_are_methods_too_and_fill_in_place_and_out():
    x = t(0.5, 1.5)
    assert rustnn.equal(x.i0(), special.i0(x)) and rustnn.equal(x.polygamma(2), rustnn.polygamma(2, x))
    assert rustnn.equal(x.igamma(x), special.gammainc(x, x)) and rustnn.equal(x.igammac(x), rustnn.igammac(x, x))
    assert rustnn.equal(x.mvlgamma(1), rustnn.mvlgamma(x, 1))
    assert rustnn.equal(x.clone().polygamma_(1), x.polygamma(1)) and rustnn.equal(x.clone().i0_(), x.i0())
    out = rustnn.empty(2, dtype=rustnn.float64)
    assert special.erfcx(x, out=out) is out and rustnn.equal(out, special.erfcx(x))
    assert special.i0(rustnn.tensor([1])).dtype is rustnn.float32
    assert special.gammainc(rustnn.ones(2, 1), rustnn.ones(3)).shape == (2, 3)
    assert special.i0(rustnn.empty(0, 2)).shape == (0, 2)
    for half in (rustnn.float16, rustnn.bfloat16):
        assert special.i0(rustnn.ones(2, dtype=half)).dtype is half


@pytest.mark.parametrize(
    "call, kind, message",
    [
        (lambda: special.polygamma(-1, t(1.0)), RuntimeError, "does not support negative n"),
        (lambda: special.multigammaln(t(1.0), 0), RuntimeError, "p has to be greater than or equal to 1"),
        (lambda: special.zeta(2.0, 1.0), TypeError, "expected a Tensor"),
        (lambda: special.gammainc(rustnn.ones(2), rustnn.ones(3)), RuntimeError, "Shape mismatch"),
    ],
)
def test_bad_arguments_raise(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
