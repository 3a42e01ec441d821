"""Special functions, as ``torch.special``: names of the core's, and what is composed of them.

Sources: Abramowitz and Stegun, "Handbook of mathematical functions"; the polynomials for i0, i1: Clenshaw's Chebyshev
sums of
the integral over the cosine, by quadrature. Stated errors are against values of SciPy in float64.
"""

import math

from . import _core

__all__ = """
    digamma entr erf erfc erfcx erfinv exp2 expit expm1 gammaln i0 i0e i1 i1e log1p log_ndtr log_softmax logit logsumexp
    multigammaln ndtr ndtri polygamma psi round sinc softmax xlog1py xlogy zeta
""".split()

digamma = psi = _core.digamma
erf, erfc, erfinv, exp2, expm1, log1p = _core.erf, _core.erfc, _core.erfinv, _core.exp2, _core.expm1, _core.log1p
expit, gammaln, logit = _core.sigmoid, _core.lgamma, _core.logit
sinc, xlogy, round = _core.sinc, _core.xlogy, _core.round


def _floating(x):
    return x if x.is_floating_point() else x.to(_core.get_default_dtype())


def _given(result, out):
    return result if out is None else out.copy_(result)


def logsumexp(input, dim, keepdim=False, *, out=None):
    """log Σ exp x over dimensions."""
    return _given(_core.logsumexp(input, dim, keepdim), out)


def softmax(input, dim, *, dtype=None):
    """exp x / Σ exp x along a dimension."""
    return _core.softmax(input, dim, dtype=dtype)


def log_softmax(input, dim, *, dtype=None):
    """x - log Σ exp x along a dimension."""
    return _core.log_softmax(input, dim, dtype=dtype)


def entr(input, *, out=None):
    """-x log x; 0 at 0, and minus infinity below."""
    x = _floating(input)
    inside = x > 0
    safe = _core.where(inside, x, 1.0)
    outside = _core.where(x == 0, 0.0, _core.where(x < 0, -math.inf, x))
    return _given(_core.where(inside, -safe * safe.log(), outside), out)


def xlog1py(input, other, *, out=None):
    """x log(1 + y); 0 where x is 0 and y no NaN."""
    is_tensor = lambda value: isinstance(value, _core.Tensor)  # noqa: E731
    y = _floating(other) if is_tensor(other) else _core.tensor(float(other))
    x = _floating(input) if is_tensor(input) else _core.tensor(float(input))
    zero = (x == 0) & y.isnan().logical_not()
    return _given(_core.where(zero, 0.0, x * _core.where(zero, 0.0, y).log1p()), out)


def ndtr(input, *, out=None):
    """The distribution function of the standard normal: (1 + erf(x / √2)) / 2, by erfc where that cancels."""
    x = _floating(input)
    return _given(0.5 * (-x * math.sqrt(0.5)).erfc(), out)


def ndtri(input, *, out=None):
    """The inverse of :func:`ndtr`."""
    return _given(math.sqrt(2.0) * (2 * _floating(input) - 1).erfinv(), out)


def erfcx(input, *, out=None):
    """exp(x²) erfc(x), by a continued fraction where erfc underflows (x above 5)."""
    x = _floating(input)
    large = x > 5
    near = _core.where(large, 0.0, x)
    far = _core.where(large, x, 10.0)
    fraction = far
    for k in range(12, 0, -1):
        fraction = far + (k / 2) / fraction
    return _given(_core.where(large, 1 / (fraction * math.sqrt(math.pi)), (near * near).exp() * near.erfc()), out)


def log_ndtr(input, *, out=None):
    """log of :func:`ndtr`, exact far below zero too."""
    x = _floating(input)
    low = x < -1
    below = _core.where(low, x, -1.0)
    above = _core.where(low, 0.0, x)
    tail = (erfcx(below * -math.sqrt(0.5)) / 2).log() - below * below / 2
    return _given(_core.where(low, tail, (-0.5 * (above * math.sqrt(0.5)).erfc()).log1p()), out)


def multigammaln(input, p, *, out=None):
    """The logarithm of the multivariate gamma function of dimension p, ``torch.mvlgamma``."""
    x = _floating(input)
    shifts = _core.arange(p, dtype=x.dtype, device=x.device) / 2
    return _given(p * (p - 1) / 4 * math.log(math.pi) + (x.unsqueeze(-1) - shifts).lgamma().sum(-1), out)


def zeta(input, other, *, out=None):
    """Hurwitz's zeta function Σ (q + k)^-x over k >= 0, for x > 1 and q > 0: a sum of ten terms and Euler and
    Maclaurin's rest."""
    is_tensor = lambda value: isinstance(value, _core.Tensor)  # noqa: E731
    x = _floating(input) if is_tensor(input) else _core.tensor(float(input))
    q = _floating(other) if is_tensor(other) else _core.tensor(float(other))
    dtype = _core.promote_types(x.dtype, q.dtype)
    x, q = x.to(_core.float64), q.to(_core.float64)
    total = sum((q + k).pow(-x) for k in range(10))
    start = q + 10
    total = total + start.pow(1 - x) / (x - 1) + start.pow(-x) / 2
    term, power = x, start.pow(-x - 1)
    for k, bernoulli in enumerate((1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000)):
        total = total + bernoulli * term * power
        term = term * (x + 2 * k + 1) * (x + 2 * k + 2)
        power = power / (start * start)
    total = _core.where(x == 1, math.inf, _core.where((x < 1) | (q <= 0), math.nan, total))
    return _given(total.to(dtype), out)


def polygamma(n, input, *, out=None):
    """The n-th derivative of :func:`digamma`: (-1)^(n+1) n! ζ(n + 1, x); reflected for negative x where n is 1."""
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    x = _floating(input)
    if n == 0:
        return _given(_core.digamma(x), out)
    positive = x > 0
    safe = _core.where(positive, x, 1 - x)
    values = (-1) ** (n + 1) * math.factorial(n) * zeta(float(n + 1), safe)
    if n == 1:
        sines = (x.to(_core.float64) * math.pi).sin()
        reflected = ((math.pi / sines) ** 2).to(values.dtype) - values
        values = _core.where(positive, values, reflected)
    else:
        values = _core.where(positive, values, math.nan)
    return _given(values.to(x.dtype), out)


# Nodes of the integrals over [0, π] below, which converge faster than any power of their number.
_NODES = 64


def _bessel(x, order):
    """exp(-|x|) I_order(|x|): the mean over half a turn of exp(|x| (cos t - 1)) cos(order t), or its asymptotic
    series."""
    # What is odd has a slope at 0, what is even none.
    z = (_core.where(x < 0, -x, x) if order else x.abs()).to(_core.float64)
    large = z > 40
    near, far = _core.where(large, 0.0, z), _core.where(large, z, 50.0)
    angles = (_core.arange(_NODES, dtype=_core.float64) + 0.5) * (math.pi / _NODES)
    weights = (angles * order).cos() / _NODES
    close = ((near.unsqueeze(-1) * (angles.cos() - 1)).exp() * weights).sum(-1)
    term, series = _core.ones_like(far), _core.ones_like(far)
    for k in range(1, 13):
        term = -term * (4 * order * order - (2 * k - 1) ** 2) / (8 * k * far)
        series = series + term
    return _core.where(large, series / (2 * math.pi * far).sqrt(), close)


def i0e(input, *, out=None):
    """exp(-|x|) I₀(x), the scaled modified Bessel function of order 0."""
    x = _floating(input)
    return _given(_bessel(x, 0).to(x.dtype), out)


def i1e(input, *, out=None):
    """exp(-|x|) I₁(x), the scaled modified Bessel function of order 1."""
    x = _floating(input)
    return _given((_bessel(x, 1) * _core.where(x < 0, -1.0, 1.0)).to(x.dtype), out)


def i0(input, *, out=None):
    """The modified Bessel function of order 0."""
    x = _floating(input)
    return _given((_bessel(x, 0) * x.to(_core.float64).abs().exp()).to(x.dtype), out)


def i1(input, *, out=None):
    """The modified Bessel function of order 1."""
    x = _floating(input)
    return _given((_bessel(x, 1) * x.to(_core.float64).abs().exp() * _core.where(x < 0, -1.0, 1.0)).to(x.dtype), out)
