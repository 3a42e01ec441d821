"""The incomplete gamma and beta functions and how their quantiles move with the shape parameters.

All take and give float64 without gradients. Two ways, one for each region where it converges fast: series of positive
terms, and Gauss-Legendre quadrature of the tail that does not cancel. Substituting t = x exp(±v) (gamma) or
logit t = logit x ± v (beta) makes the integrand exp(h(v)) with a concave h, h(0) = 0, so that 64 nodes between 0 and
the point where h = -40 give it to the last digits. 24 nodes up to -20 do where the result is rounded to float32.
"""

from functools import cache, partial

from . import _core

_BLOCK = 1 << 12  # elements integrated at a time: with their nodes they stay in the cache


class _Precision:
    """How deep integrands are followed, and by how many nodes."""

    def __init__(self, depth, count, rest):
        self.depth, self.count, self.rest = depth, count, rest  # rest: where series end

    @cache  # noqa: B019 - there are two of them
    def gauss(self):
        import numpy

        nodes, weights = numpy.polynomial.legendre.leggauss(self.count)
        return _core.tensor((nodes + 1) / 2), _core.tensor(weights / 2)  # on [0, 1]


_DOUBLE, _SINGLE = _Precision(40.0, 64, 1e-17), _Precision(20.0, 24, 1e-9)


def precision_for(dtype):
    """What results of a dtype need."""
    return _DOUBLE if dtype is _core.float64 else _SINGLE


def _root(height, slope, start, depth, steps):
    """About where a concave falling function is -depth, by Newton's method from the right of it."""
    v = start
    for _ in range(steps):
        off = height(v) + depth
        v = v - off / slope(v)
        if not (off < -0.1 * depth).any():
            break
    return v


def _integrals(height, factor, end, precision):
    """The integrals of exp(h) and of exp(h) times a factor over [0, end]; the functions take (n, 1) parameters' v."""
    nodes, weights = precision.gauss()
    v = end.unsqueeze(-1) * nodes.to(end.device)
    mass = height(v).exp() * (end.unsqueeze(-1) * weights.to(end.device))
    return mass.sum(-1), (mass * factor(v)).sum(-1)


def _pieces(function, mask, *arguments):
    """``function`` of the elements where the mask is true, block by block; zeros elsewhere. Of flat tensors."""
    (where,) = mask.nonzero(as_tuple=True)
    results = None
    for part in where.split(_BLOCK) if len(where) else ():
        values = function(*(argument[part] for argument in arguments))
        if results is None:
            results = tuple(_core.zeros_like(arguments[0]) for _ in values)
        for result, value in zip(results, values, strict=True):
            result[part] = value
    return results


def _merge(*pieces):
    """The sum of what :func:`_pieces` gave for masks that share no element."""
    pieces = [piece for piece in pieces if piece is not None]
    return tuple(sum(parts[1:], start=parts[0]) for parts in zip(*pieces, strict=True))


def _gamma_series(precision, a, x):
    """∫₀ˣ p(t) dt and -∂/∂a of it, both over x p(x): Σ xⁿ / (a)ₙ₊₁, and times ψ(a + n + 1) - log x."""
    term = a.reciprocal()
    offset = _core.digamma(a) + term - x.log()
    total, moved = term, term * offset
    n = 0
    while True:
        n += 1
        term = term * (x / (a + n))
        offset = offset + (a + n).reciprocal()
        total, moved = total + term, moved + term * offset
        if n > 1000 or not ((term > precision.rest * total) | (term * offset > precision.rest * moved.abs())).any():
            return total, moved


def _gamma_lower(precision, a, x):
    """The same by quadrature, for a >= 30 and x about a or less."""
    falling = a - x
    gauss = 2 * precision.depth / (falling + (falling * falling + 4 / 3 * precision.depth * x).sqrt())
    start = _core.minimum(_core.where(gauss < 1, gauss, float("inf")), (x + precision.depth) / a)
    end = _root(lambda v: -a * v - x * (-v).expm1(), lambda v: x * (-v).exp() - a, start, precision.depth, 6)
    a, x, shift = a.unsqueeze(-1), x.unsqueeze(-1), (_core.digamma(a) - x.log()).unsqueeze(-1)
    return _integrals(lambda v: -a * v - x * (-v).expm1(), lambda v: v + shift, end, precision)


def _gamma_upper(precision, a, x):
    """∫ₓ p(t) dt and ∂/∂a of it, both over x p(x), for x > 1/2 about a or more."""
    falling = x - a
    start = 2 * precision.depth / (falling + (falling * falling + 2 * precision.depth * x).sqrt())
    end = _root(lambda v: a * v - x * v.expm1(), lambda v: a - x * v.exp(), start, precision.depth, 10)
    a, x, shift = a.unsqueeze(-1), x.unsqueeze(-1), (x.log() - _core.digamma(a)).unsqueeze(-1)
    return _integrals(lambda v: a * v - x * v.expm1(), lambda v: v + shift, end, precision)


def log1p_minus(x):
    """log(1 + x) - x, to full relative precision near 0."""
    small = x.clamp(-0.1, 0.1)
    series = _core.zeros_like(x)
    for n in range(19, 1, -1):
        series = series * small + (-1) ** (n + 1) / n
    return _core.where(x.abs() < 0.1, small * small * series, x.log1p() - x)


def stirling_rest(a):
    """log Γ(a) less Stirling's (a - 1/2) log a - a + log √2π."""
    big = a.clamp(min=10.0)
    square = (big * big).reciprocal()
    series = _core.zeros_like(a)
    for c in (1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        series = series * square + c
    direct = _core.lgamma(a) - (a - 0.5) * a.log() + a - 0.9189385332046727
    return _core.where(a >= 10, series / big, direct)


def _gamma_density(a, x):
    """x p(x) = xᵃ e⁻ˣ / Γ(a)."""
    ratio, away = x / a, (x - a) / a
    exponent = _core.where(away.abs() < 0.5, log1p_minus(away.clamp(-0.5, 0.5)), ratio.log() - away)
    return (a * exponent - stirling_rest(a)).exp() * (a / 6.283185307179586).sqrt()


def _gamma_parts(a, x, precision):
    """For flat a, x > 0: lower tail, upper tail (each 0 where the other was computed), moved; all over x p(x)."""
    low = x <= _core.digamma(a + 1).exp()
    series = _pieces(partial(_gamma_series, precision), low & (a < 30), a, x)
    lower = _pieces(partial(_gamma_lower, precision), low & (a >= 30), a, x)
    upper = _pieces(partial(_gamma_upper, precision), ~low, a, x)
    tails, moved = _merge(series, lower, upper)
    return low, tails, moved


def gamma_tails(a, x, precision=_DOUBLE):
    """The regularised incomplete gamma functions P(a, x) and Q(a, x), and ∂P/∂a.

    Relative error of the smaller of P and Q against mpmath: below 2e-13, for 1e-3 < a < 3e3.
    """
    shape = a.shape
    a, x = a.flatten(), x.flatten()
    good = (a > 0) & (x > 0) & a.isfinite() & x.isfinite()
    inner, at = _core.where(good, a, 1.0), _core.where(good, x, 1.0)
    low, tails, moved = _gamma_parts(inner, at, precision)
    density = _gamma_density(inner, at)
    tail = (tails * density).clamp(max=1.0)
    P, slope = _core.where(low, tail, 1 - tail), -moved * density
    infinite = a.isinf() & (a > 0)
    outside = _core.where(infinite, _core.where(x.isinf(), float("nan"), 0.0), _core.where(x == 0, 0.0, 1.0))
    outside = _core.where((a == 0) & (x > 0), 1.0, outside)
    outside = _core.where((x < 0) | (a < 0) | ((a == 0) & (x == 0)) | a.isnan() | x.isnan(), float("nan"), outside)
    P = _core.where(good, P, outside)
    Q = _core.where(good, _core.where(low, 1 - tail, tail), 1 - outside)
    return P.reshape(shape), Q.reshape(shape), _core.where(good, slope, 0.0).reshape(shape)


def gamma_moves(a, x, precision=_DOUBLE):
    """dx/da of a quantile x of the gamma distribution with shape a: -∂P/∂a over the density at x."""
    shape = a.shape
    a, x = a.flatten(), x.flatten()
    _, _, moved = _gamma_parts(a, x, precision)
    return (moved * x).reshape(shape)


def _beta_series(precision, x, y, a, b):
    """-∂/∂a of I(x) over x y p(x), y = 1 - x: Σ xⁿ (a + b)ₙ / (a)ₙ₊₁ (ψ(a + n + 1) - ψ(a + b + n) - log x)."""
    del y
    whole = a + b
    term = a.reciprocal()
    offset = _core.digamma(a) + term - _core.digamma(whole) - x.log()
    moved = term * offset
    n = 0
    while True:
        term = term * (x * (whole + n) / (a + n + 1))
        offset = offset + (a + n + 1).reciprocal() - (whole + n).reciprocal()
        n += 1
        moved = moved + term * offset
        if n > 2000 or not ((term * offset).abs() > precision.rest * moved.abs()).any():
            return (moved,)


def _beta_series_upper(precision, x, y, a, b):
    """The same of the upper tail: Σ yⁿ (a + b)ₙ / (b)ₙ₊₁ (ψ(a + b + n) - ψ(a) + log x)."""
    whole = a + b
    term = b.reciprocal()
    offset = _core.digamma(whole) - _core.digamma(a) + x.log()
    moved = term * offset
    n = 0
    while True:
        term = term * (y * (whole + n) / (b + n + 1))
        offset = offset + (whole + n).reciprocal()
        n += 1
        moved = moved + term * offset
        if n > 2000 or not ((term * offset).abs() > precision.rest * moved.abs()).any():
            return (moved,)


def _beta_end(precision, x, y, a, b):
    """Where b v - (a + b) log(1 + y (eᵛ - 1)), which falls from 0 with the slope -a in the end, is -40."""
    whole = a + b
    start = (precision.depth - whole * y.log()) / a
    return _root(
        lambda v: b * v - whole * (y * v.expm1()).log1p(),
        lambda v: b - whole / (1 + x / y * (-v).exp()),
        start,
        precision.depth,
        24,
    )


def _beta_lower(precision, x, y, a, b):
    """The same by quadrature of the lower tail, for a >= 2."""
    end = _beta_end(precision, x, y, a, b)
    shift = (_core.digamma(a) - _core.digamma(a + b) - x.log()).unsqueeze(-1)
    y, a, b = y.unsqueeze(-1), a.unsqueeze(-1), b.unsqueeze(-1)
    grown = lambda v: (y * v.expm1()).log1p()  # noqa: E731
    return (_integrals(lambda v: b * v - (a + b) * grown(v), lambda v: shift + grown(v), end, precision)[1],)


def _beta_upper(precision, x, y, a, b):
    """The same by quadrature of the upper tail, for b >= 2."""
    end = _beta_end(precision, y, x, b, a)
    shift = (x.log() - _core.digamma(a) + _core.digamma(a + b)).unsqueeze(-1)
    x, a, b = x.unsqueeze(-1), a.unsqueeze(-1), b.unsqueeze(-1)
    grown = lambda v: (x * v.expm1()).log1p()  # noqa: E731
    return (_integrals(lambda v: a * v - (a + b) * grown(v), lambda v: shift + v - grown(v), end, precision)[1],)


def beta_moves(x, a, b, precision=_DOUBLE):
    """dx/da of a quantile x of the beta distribution, divided by 1 - x."""
    shape = x.shape
    x, a, b = x.flatten(), a.flatten(), b.flatten()
    # The density of a sample that rounding put on the edge is taken just inside.
    x = x.clamp(1e-300, 1 - 2.0**-53)
    y = 1 - x
    low = x * (a + b) <= a
    by_lower, by_upper = low & (a >= 2), ~low & (b >= 2)
    series = ~by_lower & ~by_upper
    below = (series & low & (x <= 0.75)) | (series & ~low & (y > 0.75))
    arguments = x, y, a, b
    (moved,) = _merge(
        _pieces(partial(_beta_lower, precision), by_lower, *arguments),
        _pieces(partial(_beta_upper, precision), by_upper, *arguments),
        _pieces(partial(_beta_series, precision), below, *arguments),
        _pieces(partial(_beta_series_upper, precision), series & ~below, *arguments),
    )
    return (moved * x).reshape(shape)
