"""``torch.special``: special functions.

Those that the core lacks are composed of its ops in float64, whatever the dtype, and rounded once; their gradients are
composed of differentiable functions, so that gradients of gradients follow. Errors stated are against mpmath, in
float64.
"""

import math
from functools import cache

from . import _core, functional
from ._core import Tensor
from ._fallback import on_cpu
from ._out import written
from .autograd.function import Function

__all__ = """
    airy_ai bessel_j0 bessel_j1 bessel_y0 bessel_y1 chebyshev_polynomial_t chebyshev_polynomial_u
    chebyshev_polynomial_v chebyshev_polynomial_w digamma entr erf erfc erfcx erfinv exp2 expit expm1 gammainc gammaincc
    gammaln hermite_polynomial_h hermite_polynomial_he i0 i0e i1 i1e laguerre_polynomial_l legendre_polynomial_p log1p
    log_ndtr log_softmax logit logsumexp modified_bessel_i0 modified_bessel_i1 modified_bessel_k0 modified_bessel_k1
    multigammaln ndtr ndtri polygamma psi round scaled_modified_bessel_k0 scaled_modified_bessel_k1
    shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u shifted_chebyshev_polynomial_v
    shifted_chebyshev_polynomial_w sinc softmax spherical_bessel_j0 xlog1py xlogy zeta
""".split()

_SQRT2, _SQRT_PI = math.sqrt(2), math.sqrt(math.pi)

digamma = psi = _core.digamma
erf, erfc, erfinv, exp2, expm1, log1p = _core.erf, _core.erfc, _core.erfinv, _core.exp2, _core.expm1, _core.log1p
expit, gammaln, logit, xlogy = _core.sigmoid, _core.lgamma, _core.logit, _core.xlogy
log_softmax, logsumexp, round, sinc, softmax = (
    _core.log_softmax,
    _core.logsumexp,
    _core.round,
    _core.sinc,
    _core.softmax,
)


class _Composed(Function):
    """A function computed in float64 and rounded once, with its derivatives by each input (None: there is none)."""

    @staticmethod
    def forward(ctx, name, formula, derivatives, *inputs):
        ctx.derivatives = derivatives
        ctx.save_for_backward(*inputs)
        if inputs[0].is_meta:
            return _core.empty_like(inputs[0])
        rounded = lambda *inputs: formula(*(x.double() for x in inputs)).to(inputs[0].dtype)  # noqa: E731
        return on_cpu(f"special.{name}", rounded, inputs)

    @staticmethod
    def backward(ctx, dy):
        inputs = ctx.saved_tensors
        gradients = []
        for needed, derivative in zip(ctx.needs_input_grad[3:], ctx.derivatives, strict=True):
            if needed and isinstance(derivative, str):
                raise NotImplementedError(derivative)
            gradients.append(dy * derivative(*inputs) if needed else None)
        return None, None, None, *gradients


def _apply(name, formula, derivatives, *inputs, out=None):
    """The function of tensors and numbers, of which one at least is a tensor, broadcast and promoted."""
    like = next((x for x in inputs if isinstance(x, Tensor)), None)
    if like is None:
        raise TypeError(f"expected a Tensor among the arguments, got {', '.join(type(x).__name__ for x in inputs)}")
    dtype = like.dtype if len(inputs) == 1 else _core.result_type(*inputs)
    if not dtype.is_floating_point:
        dtype = _core.get_default_dtype()
    tensors = [
        x.to(dtype) if isinstance(x, Tensor) else _core.tensor(x, dtype=dtype, device=like.device) for x in inputs
    ]
    if len(tensors) > 1:
        tensors = functional.broadcast_tensors(*tensors)
    result = _Composed.apply(name, formula, derivatives, *tensors)
    return written(name, result, out)


def _choose(x, *cases, otherwise=math.nan):
    """Piecewise: (mask, function) pairs, each function called with the elements of its mask alone."""
    flat = x.flatten()
    result = _core.full_like(flat, otherwise)
    for mask, function in cases:
        (where,) = mask.flatten().nonzero(as_tuple=True)
        if len(where):
            result[where] = function(flat[where])
    return result.reshape(x.shape)


# The error function's relatives.


def _erfcx(x):
    def far(x):  # asymptotic; at 7 its least term is e⁻⁴⁹
        inverse = (2 * x * x).reciprocal()
        term = total = _core.ones_like(x)
        for k in range(1, 30):
            term = term * (-(2 * k - 1) * inverse)
            term = _core.where(term.abs() > 1e-18, term, 0.0)
            total = total + term
        return total / (x * _SQRT_PI)

    # x² in two parts, so that its rounding does not show in the exponential.
    def square_exp(x):
        high = (x * 16).round() / 16
        return (high * high).exp() * ((x - high) * (x + high)).exp()

    near = lambda x: square_exp(x) * x.erfc()  # noqa: E731
    negative = lambda x: _core.where(x < -26.7, math.inf, near(x.clamp(min=-26.7)))  # noqa: E731
    return _choose(x, (x < 0, negative), ((x >= 0) & (x < 7), near), (x >= 7, far))


def erfcx(input, *, out=None):
    """exp(x²) erfc(x). Relative error below 1e-15 for x > 0."""
    return _apply("erfcx", _erfcx, [lambda x: 2 * x * erfcx(x) - 2 / _SQRT_PI], input, out=out)


def ndtr(input, *, out=None):
    """The distribution function of the standard normal distribution."""
    formula = lambda x: 0.5 * (-x / _SQRT2).erfc()  # noqa: E731
    return _apply("ndtr", formula, [lambda x: (-0.5 * x * x).exp() / (_SQRT2 * _SQRT_PI)], input, out=out)


def _log_ndtr(x):
    low = lambda x: (0.5 * _erfcx(-x / _SQRT2)).log() - 0.5 * x * x  # noqa: E731
    return _choose(x, (x < -1, low), (x >= -1, lambda x: (-0.5 * (x / _SQRT2).erfc()).log1p()))


def log_ndtr(input, *, out=None):
    """The logarithm of :func:`ndtr`."""
    return _apply("log_ndtr", _log_ndtr, [lambda x: math.sqrt(2 / math.pi) / erfcx(-x / _SQRT2)], input, out=out)


def _ndtri(p):
    """Newton's method on the logarithm of the distribution function of the smaller tail."""

    def lower(p):
        target = p.log()
        # By erfinv, whose argument rounds where p is small; there by the tail's density over its distance.
        square = -2 * target
        far = -(square - (2 * math.pi * square).log()).sqrt()
        x = _core.where(p > 1e-6, _SQRT2 * (2 * p - 1).erfinv(), _core.where(p > 1e-6, 0.0, far))
        for _ in range(5):
            logarithm = _log_ndtr(x)
            step = (target - logarithm) * (logarithm + 0.5 * x * x).exp() * (_SQRT2 * _SQRT_PI)
            x = x + step
            if not (step.abs() > 1e-8 * x.abs()).any():  # the next is its square
                break
        return x

    ends = (p == 0, lambda p: _core.full_like(p, -math.inf)), (p == 1, lambda p: _core.full_like(p, math.inf))
    middle = (p > 0.25) & (p < 0.75)
    return _choose(
        p,
        *ends,
        (middle, lambda p: _SQRT2 * (2 * p - 1).erfinv()),
        ((p > 0) & (p <= 0.25), lower),
        ((p >= 0.75) & (p < 1), lambda p: -lower(1 - p)),
    )


def ndtri(input, *, out=None):
    """The inverse of :func:`ndtr`; NaN outside [0, 1]."""
    return _apply("ndtri", _ndtri, [lambda p: (0.5 * ndtri(p) ** 2).exp() * (_SQRT2 * _SQRT_PI)], input, out=out)


# Logarithms.


def _entr(x):
    inside = -x * _core.where(x > 0, x, 1.0).log()
    return _core.where(x > 0, inside, _core.where(x == 0, 0.0, _core.where(x < 0, -math.inf, x)))


def entr(input, *, out=None):
    """-x log x; 0 at 0, -inf below."""
    return _apply("entr", _entr, [lambda x: -x.log() - 1], input, out=out)


def _xlog1py(x, y):
    return _core.where((x == 0) & ~y.isnan(), 0.0, x * y.log1p())


def xlog1py(input, other, *, out=None):
    """x log(1 + y), 0 where x is 0."""
    return _apply("xlog1py", _xlog1py, [lambda x, y: y.log1p(), lambda x, y: x / (1 + y)], input, other, out=out)


# The gamma function's relatives.

_BERNOULLI = (  # B₂ₖ / (2k)!
    1 / 12,
    -1 / 720,
    1 / 30240,
    -1 / 1209600,
    1 / 47900160,
    -691 / 1307674368000,
    1 / 74724249600,
    -3617 / 10670622842880000,
    43867 / 5109094217170944000,
    -174611 / 802857662698291200000,
    77683 / 14101100039391805440000,
    -236364091 / 1693824136731743669452800000,
)


def _zeta(s, q):
    """By the Euler-Maclaurin formula from the first a = q + n > 9."""
    good = (s > 1) & ((q > 0) | ((q != q.floor()) & (s == s.floor()))) & s.isfinite() & q.isfinite()
    exponent, a = _core.where(good, s, 2.0), _core.where(good, q, 1.0)
    total = a.pow(-exponent)
    n = 0
    while True:
        n += 1
        going = (a <= 9) | (n < 9)
        if not going.any():
            break
        a = _core.where(going, a + 1, a)
        total = total + _core.where(going, a.pow(-exponent), 0.0)
    power = a.pow(-exponent)
    total = total + power * a / (exponent - 1) - 0.5 * power
    factor, last = exponent, power / a
    for k, coefficient in enumerate(_BERNOULLI):
        total = total + coefficient * factor * last
        factor = factor * (exponent + 2 * k + 1) * (exponent + 2 * k + 2)
        last = last / (a * a)
    pole = (s == 1) | ((s > 1) & (q <= 0) & (q == q.floor()))
    total = _core.where((s > 1) & (q == math.inf), 0.0, total)
    good = good | ((s > 1) & (q == math.inf))
    return _core.where(good, total, _core.where(pole, math.inf, math.nan))


def zeta(input, other, *, out=None):
    """Hurwitz' zeta function Σ (q + k)⁻ˢ of s > 1 and q; its gradient is that by q."""
    missing = "the derivative for 'zeta: self' is not implemented."
    return _apply("zeta", _zeta, [missing, lambda s, q: -s * zeta(s + 1, q)], input, other, out=out)


def _trigamma(x):
    """By recurrence to above 10 and the asymptotic series there; by reflection below 1/2."""
    reflected = x < 0.5
    z = _core.where(reflected, 1 - x, x)
    value = _core.zeros_like(z)
    for _ in range(10):
        value = value + (z * z).reciprocal()
        z = z + 1
    square = (z * z).reciprocal()
    series = _core.zeros_like(z)
    for bernoulli in (7 / 6, -691 / 2730, 5 / 66, -1 / 30, 1 / 42, -1 / 30, 1 / 6):
        series = (series + bernoulli) * square
    value = value + (1 + series) / z + 0.5 * square
    sine = ((x - x.round()) * math.pi).sin()
    return _core.where(reflected, (math.pi / sine) ** 2 - value, value)


def polygamma(n, input, *, out=None):
    """The nth derivative of :func:`digamma`.

    Raises: RuntimeError for n < 0.
    """
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    if n == 0:
        return written("polygamma", digamma(input), out)
    if n == 1:
        formula = _trigamma
    else:
        factor = (-1.0) ** (n + 1) * math.exp(math.lgamma(n + 1))
        formula = lambda x: factor * _zeta(_core.full_like(x, n + 1.0), x)  # noqa: E731
    return _apply("polygamma", formula, [lambda x: polygamma(n + 1, x)], input, out=out)


def multigammaln(input, p, *, out=None):
    """The logarithm of the multivariate gamma function: p(p-1)/4 log π + Σ log Γ(a - i/2), i = 0 … p-1.

    Raises: RuntimeError for p < 1.
    """
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    if not input.is_floating_point():
        input = input.to(_core.get_default_dtype())
    shifts = _core.arange(p, dtype=input.dtype, device=input.device) * 0.5
    result = _core.lgamma(input.unsqueeze(-1) - shifts).sum(-1) + p * (p - 1) / 4 * math.log(math.pi)
    return written("multigammaln", result, out)


def _gamma_slope(a, x):
    return ((a - 1) * x.log() - x - _core.lgamma(a)).exp()


def _tails(part, input, other):
    """A function to one of P, Q and ∂P/∂a, as precise as the result of these inputs is to be."""
    from ._incomplete import gamma_tails, precision_for

    dtype = _core.result_type(input, other)
    precision = precision_for(dtype if dtype.is_floating_point else _core.get_default_dtype())
    return lambda a, x: gamma_tails(a, x, precision)[part]


def _by_shape(a, x):
    slope = lambda a, x: _tails(2, a, x)(a.double(), x.double()).to(a.dtype)  # noqa: E731
    with _core.no_grad():
        return on_cpu("special.gammainc_backward", slope, (a, x))


def gammainc(input, other, *, out=None):
    """The regularised lower incomplete gamma function P(a, x). It has gradients by both (PyTorch: by x alone)."""
    return _apply("gammainc", _tails(0, input, other), [_by_shape, _gamma_slope], input, other, out=out)


def gammaincc(input, other, *, out=None):
    """The regularised upper incomplete gamma function Q(a, x) = 1 - P(a, x)."""
    derivatives = [lambda a, x: -_by_shape(a, x), lambda a, x: -_gamma_slope(a, x)]
    return _apply("gammaincc", _tails(1, input, other), derivatives, input, other, out=out)


# Bessel functions.


def _bessel_i(order):
    """e⁻|ˣ| I(x) of order 0 or 1: the power series below 20, the asymptotic one from there."""

    def near(x):
        quarter = x * x / 4
        term = total = _core.ones_like(x)
        for k in range(1, 70):
            term = term * quarter / (k * (k + order))
            total = total + term
            if not (term > 1e-17 * total).any():
                break
        return total * (x / 2 if order else 1.0) * (-x.abs()).exp()

    def far(x):
        size = x.abs()
        term = total = _core.ones_like(x)
        for k in range(1, 40):
            term = term * -(4 * order - (2 * k - 1) ** 2) / (8 * k * size)
            total = total + term
            if not (term.abs() > 1e-17 * total).any():
                break
        total = total / (2 * math.pi * size).sqrt()
        return total * x.sign() if order else total

    return lambda x: _choose(x, (x.abs() < 20, near), (x.abs() >= 20, far))


_i0e, _i1e = _bessel_i(0), _bessel_i(1)


def _unscaled(function):
    # e|ˣ| in two factors: the function outlives the exponential a little.
    return lambda x: (function(x) * (x.abs() / 2).exp()) * (x.abs() / 2).exp()


def i0(input, *, out=None):
    """The modified Bessel function of the first kind, of order 0."""
    return _apply("i0", _unscaled(_i0e), [lambda x: i1(x)], input, out=out)


def i0e(input, *, out=None):
    """e⁻|ˣ| I₀(x)."""
    return _apply("i0e", _i0e, [lambda x: i1e(x) - x.sign() * i0e(x)], input, out=out)


def _ratio_at_zero(numerator, x):
    """I₁(x) / x, 1/2 at 0."""
    return _core.where(x == 0, 0.5, numerator / _core.where(x == 0, 1.0, x))


def i1(input, *, out=None):
    """The modified Bessel function of the first kind, of order 1."""
    return _apply("i1", _unscaled(_i1e), [lambda x: i0(x) - _ratio_at_zero(i1(x), x)], input, out=out)


def i1e(input, *, out=None):
    """e⁻|ˣ| I₁(x)."""
    derivative = lambda x: i0e(x) - _ratio_at_zero(i1e(x), x) - x.sign() * i1e(x)  # noqa: E731
    return _apply("i1e", _i1e, [derivative], input, out=out)


def modified_bessel_i0(input, *, out=None):
    """The modified Bessel function of the first kind, of order 0."""
    return i0(input, out=out)


def modified_bessel_i1(input, *, out=None):
    """The modified Bessel function of the first kind, of order 1."""
    return i1(input, out=out)


def _bessel_k(order):
    """eˣ K(x): the series with the logarithm up to 1, the trapezoidal rule for ∫ exp(-x (cosh t - 1)) cosh(nt) dt."""

    def near(x):
        quarter = x * x / 4
        logarithm = (x / 2).log() + 0.5772156649015329
        term, harmonic = _core.ones_like(x), 0.0
        total = -logarithm if order == 0 else _core.zeros_like(x)
        if order == 0:
            for k in range(1, 14):
                term, harmonic = term * quarter / (k * k), harmonic + 1 / k
                total = total + term * (harmonic - logarithm)
        else:
            for k in range(14):
                if k:
                    term, harmonic = term * quarter / (k * (k + 1)), harmonic + 1 / k
                total = total + term * (logarithm - harmonic - 0.5 / (k + 1))
            total = x.reciprocal() + x / 2 * total
        return total * x.exp()

    def far(x):
        # To where the exponent is -40; the error of the rule falls as exp(-π² / step).
        step = (1 + 40 / x).acosh() / 32
        total = 0.5 * _core.ones_like(x)
        for k in range(1, 33):
            t = k * step
            weight = (-2 * x * (t / 2).sinh() ** 2).exp()
            total = total + (weight * t.cosh() if order else weight)
        return total * step

    zero = lambda x: _core.full_like(x, math.inf)  # noqa: E731
    infinite = lambda x: _core.zeros_like(x)  # noqa: E731
    return lambda x: _choose(
        x, (x == 0, zero), ((x > 0) & (x <= 1), near), ((x > 1) & (x < math.inf), far), (x == math.inf, infinite)
    )


_k0e, _k1e = _bessel_k(0), _bessel_k(1)
_no_gradient = "the derivative for '{}' is not implemented."


def modified_bessel_k0(input, *, out=None):
    """The modified Bessel function of the second kind, of order 0."""
    formula = lambda x: _k0e(x) * (-x).exp()  # noqa: E731
    return _apply("modified_bessel_k0", formula, [lambda x: -modified_bessel_k1(x)], input, out=out)


def modified_bessel_k1(input, *, out=None):
    """The modified Bessel function of the second kind, of order 1."""
    derivative = lambda x: -modified_bessel_k0(x) - modified_bessel_k1(x) / x  # noqa: E731
    return _apply("modified_bessel_k1", lambda x: _k1e(x) * (-x).exp(), [derivative], input, out=out)


def scaled_modified_bessel_k0(input, *, out=None):
    """eˣ K₀(x)."""
    derivative = lambda x: scaled_modified_bessel_k0(x) - scaled_modified_bessel_k1(x)  # noqa: E731
    return _apply("scaled_modified_bessel_k0", _k0e, [derivative], input, out=out)


def scaled_modified_bessel_k1(input, *, out=None):
    """eˣ K₁(x)."""
    derivative = lambda x: scaled_modified_bessel_k1(x) * (1 - 1 / x) - scaled_modified_bessel_k0(x)  # noqa: E731
    return _apply("scaled_modified_bessel_k1", _k1e, [derivative], input, out=out)


_BACKWARD_FROM = 72  # where Miller's recurrence starts, for arguments up to 25: J₇₂(25) is 1e-25


def _bessel_by_recurrence(x, second_kind):
    """J₀, J₁ and if wanted Y₀, Y₁ of 0 < x <= 25: all J by Miller's backward recurrence, then Neumann's series for Y₀.

    Y₁ = -dY₀/dx, term by term.
    """
    upper, here = _core.zeros_like(x), _core.full_like(x, 1e-300)
    norm = even = odd = _core.zeros_like(x)
    inverse = 2 / x
    for n in range(_BACKWARD_FROM, 0, -1):
        below = n * inverse * here - upper  # Jₙ₋₁
        upper, here = here, below
        m = n - 1
        k = m // 2
        if m % 2 == 0:
            norm = norm + (2 * here if m else here)
            if m and second_kind:
                even = even + (-1) ** k / k * here
        elif m > 1 and second_kind:  # J₂ₖ₊₁
            odd = odd + (-1) ** k * (2 * k + 1) / (k * (k + 1)) * here
        if n % 6 == 0:
            large = here.abs() > 1e200  # from 1e-8 on, six steps grow it by less than 1e62
            if large.any():
                scale = _core.where(large, 1e-250, _core.ones_like(x))
                upper, here, norm, even, odd = (value * scale for value in (upper, here, norm, even, odd))
    J0, J1 = here / norm, upper / norm
    if not second_kind:
        return J0, J1
    even, odd = even / norm, odd / norm
    logarithm = (x / 2).log() + 0.5772156649015329
    Y0 = 2 / math.pi * (logarithm * J0 - 2 * even)
    Y1 = 2 / math.pi * (-J0 / x + (logarithm - 1) * J1 - odd)
    return J0, J1, Y0, Y1


def _bessel_asymptotic(order, x):
    """Amplitude times P and Q of Hankel's expansion, and the phase, for x > 25."""
    P, Q, term = _core.ones_like(x), _core.zeros_like(x), _core.ones_like(x)
    for k in range(1, 46):
        factor = (4 * order * order - (2 * k - 1) ** 2) / (8 * k * x)
        term = _core.where(factor.abs() < 1, term * factor, 0.0)
        sign = (-1) ** (k // 2)
        if k % 2:
            Q = Q + sign * term
        else:
            P = P + sign * term
    amplitude = (2 / (math.pi * x)).sqrt()
    # cos(x - π/4 - nπ/2) by the sums of angles: a difference of large numbers would lose digits.
    sine, cosine = x.sin(), x.cos()
    if order == 0:
        c, s = (cosine + sine) / _SQRT2, (sine - cosine) / _SQRT2
    else:
        c, s = (sine - cosine) / _SQRT2, -(sine + cosine) / _SQRT2
    return amplitude * (P * c - Q * s), amplitude * (P * s + Q * c)


def _bessel(index, order):
    near = lambda x: _bessel_by_recurrence(x, index >= 2)[index]  # noqa: E731
    far = lambda x: _bessel_asymptotic(order, x)[index // 2]  # noqa: E731
    if index >= 2:
        pole = lambda x: _core.full_like(x, -math.inf)  # noqa: E731
        tiny = lambda x: 2 / math.pi * (-1 / x if order else (x / 2).log() + 0.5772156649015329)  # noqa: E731
        return lambda x: _choose(
            x,
            (x == 0, pole),
            ((x > 0) & (x < 1e-8), tiny),
            ((x >= 1e-8) & (x <= 25), near),
            ((x > 25) & x.isfinite(), far),
            (x == math.inf, lambda x: _core.zeros_like(x)),
        )

    def first_kind(x):
        size = x.abs()
        value = _choose(
            size,
            (size < 1e-8, lambda x: x / 2 if order else _core.ones_like(x)),
            ((size >= 1e-8) & (size <= 25), near),
            ((size > 25) & size.isfinite(), far),
            (size == math.inf, lambda x: _core.zeros_like(x)),
        )
        return _core.where(x < 0, -value, value) if order else value

    return first_kind


def bessel_j0(input, *, out=None):
    """The Bessel function of the first kind, of order 0. Absolute error below 1e-15."""
    return _apply("bessel_j0", _bessel(0, 0), [lambda x: -bessel_j1(x)], input, out=out)


def bessel_j1(input, *, out=None):
    """The Bessel function of the first kind, of order 1."""
    derivative = lambda x: bessel_j0(x) - _ratio_at_zero(bessel_j1(x), x)  # noqa: E731
    return _apply("bessel_j1", _bessel(1, 1), [derivative], input, out=out)


def bessel_y0(input, *, out=None):
    """The Bessel function of the second kind, of order 0; -inf at 0, NaN below."""
    return _apply("bessel_y0", _bessel(2, 0), [lambda x: -bessel_y1(x)], input, out=out)


def bessel_y1(input, *, out=None):
    """The Bessel function of the second kind, of order 1; -inf at 0, NaN below."""
    return _apply("bessel_y1", _bessel(3, 1), [lambda x: bessel_y0(x) - bessel_y1(x) / x], input, out=out)


def _spherical_j0(x):
    return _core.where(x.isinf(), 0.0, _core.where(x == 0, 1.0, x.sin() / _core.where(x == 0, 1.0, x)))


def spherical_bessel_j0(input, *, out=None):
    """sin(x) / x."""

    def derivative(x):
        away = _core.where(x == 0, 1.0, x)
        return _core.where(x == 0, 0.0, (x.cos() - spherical_bessel_j0(x)) / away)

    return _apply("spherical_bessel_j0", _spherical_j0, [derivative], input, out=out)


@cache
def _airy_coefficients():
    """uₖ of the asymptotic series: uₖ = (6k-5)(6k-3)(6k-1) / (216 k (2k-1)) uₖ₋₁."""
    u = [1.0]
    for k in range(1, 30):
        u.append(u[-1] * (6 * k - 5) * (6 * k - 3) * (6 * k - 1) / (216 * k * (2 * k - 1)))
    return u


def _airy(x):
    def taylor(x):
        cube = x * x * x
        f = total_f = _core.ones_like(x)
        g = total_g = x
        for k in range(1, 60):
            f = f * cube / ((3 * k - 1) * (3 * k))
            g = g * cube / ((3 * k) * (3 * k + 1))
            total_f, total_g = total_f + f, total_g + g
        return 0.3550280538878172392600632 * total_f - 0.2588194037928067984051836 * total_g

    def positive(x):
        # √(x/3) / π K₁/₃(ζ): the trapezoidal rule, as for the Bessel functions.
        zeta = 2 / 3 * x * x.sqrt()
        step = (1 + 40 / zeta).acosh() / 32
        total = 0.5 * _core.ones_like(x)
        for k in range(1, 33):
            t = k * step
            total = total + (-2 * zeta * (t / 2).sinh() ** 2).exp() * (t / 3).cosh()
        return (x / 3).sqrt() / math.pi * total * step * (-zeta).exp()

    def negative(x):
        size = -x
        zeta = 2 / 3 * size * size.sqrt()
        even, odd, power, last = _core.zeros_like(x), _core.zeros_like(x), _core.ones_like(x), None
        for k, u in enumerate(_airy_coefficients()):
            term = u * power
            last = term if last is None else _core.where(term < last, term, 0.0)
            sign = (-1) ** (k // 2)
            if k % 2:
                odd = odd + sign * last
            else:
                even = even + sign * last
            power = power / zeta
        phase = zeta + math.pi / 4
        return (phase.sin() * even - phase.cos() * odd) / (_SQRT_PI * size.sqrt().sqrt())

    return _choose(
        x,
        ((x >= -6.5) & (x <= 1), taylor),
        ((x > 1) & (x < math.inf), positive),
        ((x < -6.5) & (x > -math.inf), negative),
        (x.isinf(), lambda x: _core.zeros_like(x)),
    )


def airy_ai(x, *, out=None):
    """The Airy function Ai. Absolute error below 1e-12; it has no gradient, as in PyTorch."""
    return _apply("airy_ai", _airy, [_no_gradient.format("special_airy_ai: x")], x, out=out)


# Orthogonal polynomials, by their three-term recurrences.


def _polynomial(name, doc, first, step, shifted=False):
    def formula(x, n):
        if shifted:
            x = 2 * x - 1
        degree = n.floor()  # towards 0, as an index
        before, here = _core.ones_like(x), first(x)
        result = _core.where(degree == 0, before, _core.where(degree < 0, 0.0, here))
        result = _core.where(degree.isnan() | x.isnan(), math.nan, result)
        for k in range(1, int(degree.nan_to_num(0.0, 0.0, 0.0).max().item()) if degree.numel() else 0):
            before, here = here, step(k, x, before, here)
            result = _core.where(degree == k + 1, here, result)
        return result

    missing = _no_gradient.format(f"special_{name}: self")

    def polynomial(input, n, *, out=None):
        return _apply(name, formula, [missing, missing], input, n, out=out)

    polynomial.__name__ = polynomial.__qualname__ = name
    polynomial.__doc__ = doc
    return polynomial


def _chebyshev(kind, first, shifted=False):
    name = f"{'shifted_' if shifted else ''}chebyshev_polynomial_{kind}"
    doc = f"The Chebyshev polynomial {kind.upper()}ₙ({'2x - 1' if shifted else 'x'}); n is cut to an integer."
    return _polynomial(name, doc, first, lambda k, x, before, here: 2 * x * here - before, shifted=shifted)


_FIRST = {"t": lambda x: x, "u": lambda x: 2 * x, "v": lambda x: 2 * x - 1, "w": lambda x: 2 * x + 1}
chebyshev_polynomial_t, chebyshev_polynomial_u, chebyshev_polynomial_v, chebyshev_polynomial_w = (
    _chebyshev(kind, first) for kind, first in _FIRST.items()
)
(
    shifted_chebyshev_polynomial_t,
    shifted_chebyshev_polynomial_u,
    shifted_chebyshev_polynomial_v,
    shifted_chebyshev_polynomial_w,
) = (_chebyshev(kind, first, shifted=True) for kind, first in _FIRST.items())
hermite_polynomial_h = _polynomial(
    "hermite_polynomial_h",
    "The physicists' Hermite polynomial Hₙ(x).",
    lambda x: 2 * x,
    lambda k, x, before, here: 2 * x * here - 2 * k * before,
)
hermite_polynomial_he = _polynomial(
    "hermite_polynomial_he",
    "The probabilists' Hermite polynomial Heₙ(x).",
    lambda x: x,
    lambda k, x, before, here: x * here - k * before,
)
laguerre_polynomial_l = _polynomial(
    "laguerre_polynomial_l",
    "The Laguerre polynomial Lₙ(x).",
    lambda x: 1 - x,
    lambda k, x, before, here: ((2 * k + 1 - x) * here - k * before) / (k + 1),
)
legendre_polynomial_p = _polynomial(
    "legendre_polynomial_p",
    "The Legendre polynomial Pₙ(x).",
    lambda x: x,
    lambda k, x, before, here: ((2 * k + 1) * x * here - k * before) / (k + 1),
)

# Names of the top level.
igamma, igammac = gammainc, gammaincc
