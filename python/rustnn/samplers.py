"""Random numbers that are composed of uniform and normal ones, in the generator's stream.

Counts and gamma variates are drawn in float64 and rounded to the dtype. Like all random numbers here they depend on the
seed alone, and are not PyTorch's.
"""

import math

from . import _core, functional
from ._fallback import on_cpu
from .autograd.function import Function, once_differentiable

__all__ = ["binomial", "poisson"]


def _uniform(like, generator):
    return _core.rand(like.shape, dtype=_core.float64, device=like.device, generator=generator)


def _normal(like, generator):
    return _core.randn(like.shape, dtype=_core.float64, device=like.device, generator=generator)


def _log_uniform(like, generator):
    """The logarithm of a number in (0, 1]."""
    return (-_uniform(like, generator)).log1p()


def _until_accepted(propose, *parameters):
    """Draws of ``propose(*parameters) -> (values, accepted)``, each repeated until it is accepted."""
    result, accepted = propose(*parameters)
    (todo,) = (~accepted).nonzero(as_tuple=True)
    while len(todo):
        values, accepted = propose(*(parameter[todo] for parameter in parameters))
        result[todo[accepted]] = values[accepted]
        todo = todo[~accepted]
    return result


def _where_true(result, mask, draw, *parameters):
    """Puts draws for the elements of a mask into the result."""
    (where,) = mask.nonzero(as_tuple=True)
    if len(where):
        result[where] = draw(*(parameter[where] for parameter in parameters))


def _count_up(first, ratio, u):
    """The least k with p₀ + … + pₖ >= u, where pₖ = pₖ₋₁ ratio(k); the last one where rounding leaves the sum short."""
    term, total, k, count = first, first, 0, _core.zeros_like(u)
    while True:
        short = u > total
        if not short.any() or k > 5000:
            return count
        k += 1
        term = term * ratio(k)
        # Where the terms have died out the sum is all there is.
        count = _core.where(short & (term > 0), float(k), count)
        total = _core.where(term > 1e-22 * total, total + term, math.inf)


def _poisson(rate, generator):
    """Counts of Poisson distributions, flat, float64: below 10 by inversion, else by Hörmann's rejection.

    Source: Hörmann 1993, The transformed rejection method for generating Poisson random variables, algorithm PTRS.
    """

    def small(rate):
        return _count_up((-rate).exp(), lambda k: rate / k, _uniform(rate, generator))

    def propose(rate):
        b = 0.931 + 2.53 * rate.sqrt()
        a = -0.059 + 0.02483 * b
        scale = 1.1239 + 1.1328 / (b - 3.4)
        u, v = _uniform(rate, generator) - 0.5, _uniform(rate, generator)
        inside = 0.5 - u.abs()
        k = ((2 * a / inside + b) * u + rate + 0.43).floor()
        sure = (inside >= 0.07) & (v <= 0.9277 - 3.6224 / (b - 2))
        out = (k < 0) | ((inside < 0.013) & (v > inside))
        height = v.log() + scale.log() - (a / (inside * inside) + b).log()
        under = height <= k * rate.log() - rate - (k.clamp(min=0.0) + 1).lgamma()
        return k, sure | (~out & under)

    count = rate.clone()  # NaN stays
    _where_true(count, (rate < 10) & (rate >= 0), small, rate)
    _where_true(count, rate >= 10, lambda rate: _until_accepted(propose, rate), rate)
    return count


def _binomial(count, prob, generator):
    """Successes of count trials, flat, float64: for less than 10 expected by inversion, else by Hörmann's rejection.

    Source: Hörmann 1993, The generation of binomial random variates, algorithm BTRS.
    """

    def small(n, p):
        odds = p / (1 - p)
        return _count_up((n * (-p).log1p()).exp(), lambda k: odds * (n - k + 1) / k, _uniform(n, generator))

    def propose(n, p):
        q = 1 - p
        deviation = (n * p * q).sqrt()
        b = 1.15 + 2.53 * deviation
        a = -0.0873 + 0.0248 * b + 0.01 * p
        mode = ((n + 1) * p).floor()
        u, v = _uniform(n, generator) - 0.5, _uniform(n, generator)
        inside = 0.5 - u.abs()
        k = ((2 * a / inside + b) * u + n * p + 0.5).floor()
        sure = (inside >= 0.07) & (v <= 0.92 - 4.2 / b)
        out = (k < 0) | (k > n)
        at = _core.where(out, mode, k)
        height = (v * (2.83 + 5.1 / b) * deviation / (a / (inside * inside) + b)).log()
        logarithm = lambda k: (k + 1).lgamma() + (n - k + 1).lgamma()  # noqa: E731
        under = height <= logarithm(mode) - logarithm(at) + (at - mode) * (p / q).log()
        return k, ~out & (sure | under)

    result = count * prob * 0  # NaN stays
    trials = (count > 0) & (prob > 0)
    result = _core.where(trials & (prob >= 1), count, result)
    trials &= prob < 1
    p = _core.where(prob > 0.5, 1 - prob, prob)
    drawn = _core.zeros_like(result)
    _where_true(drawn, trials & (count * p < 10), small, count, p)
    _where_true(drawn, trials & (count * p >= 10), lambda n, p: _until_accepted(propose, n, p), count, p)
    return _core.where(trials, _core.where(prob > 0.5, count - drawn, drawn), result)


class _FlatRandom(Function):
    """Counts: their gradient is 0."""

    @staticmethod
    def forward(ctx, name, draw, generator, *parameters):
        def rounded(*parameters):
            flat = (parameter.double().flatten() for parameter in parameters)
            return draw(*flat, generator).to(parameters[0].dtype).reshape(parameters[0].shape)

        return on_cpu(name, rounded, parameters)

    @staticmethod
    def backward(ctx, dy):
        return None, None, None, *(_core.zeros_like(dy) if needed else None for needed in ctx.needs_input_grad[3:])


def poisson(input, generator=None):
    """Counts of Poisson distributions with these rates, in the rates' dtype.

    Raises: NotImplementedError for integers; RuntimeError for a rate below 0.
    """
    if not input.is_floating_point():
        raise NotImplementedError(f"\"poisson_cpu\" not implemented for '{_legacy_name(input)}'")
    if input.numel() and not (input >= 0).all():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    return _FlatRandom.apply("poisson", _poisson, generator, input)


def binomial(count, prob, generator=None):
    """Successes in ``count`` trials that succeed with ``prob``, in the counts' dtype.

    Raises: ValueError for integers.
    """
    if not count.is_floating_point():
        raise ValueError(f"binomial only supports floating-point dtypes for count, got: {_legacy_name(count)}")
    count, prob = functional.broadcast_tensors(count, prob)
    return _FlatRandom.apply("binomial", _binomial, generator, count, prob)


def _legacy_name(tensor):
    return tensor.type().removeprefix("torch.").removesuffix("Tensor")


def _log_gamma(shape, generator):
    """Logarithms of gamma variates, flat, float64.

    Source: Marsaglia and Tsang 2000, A simple method for generating gamma variables; for shapes below 1 by
    Γ(a) = Γ(a + 1) U^(1/a), whose logarithm cannot underflow.
    """

    def propose(shape):
        d = shape - 1 / 3
        x = _normal(shape, generator)
        root = 1 + x / (9 * d).sqrt()
        v = root * root * root
        positive = root > 0
        logarithm = _core.where(positive, v, 1.0).log()
        accepted = _log_uniform(shape, generator) < 0.5 * x * x + d * (1 - v + logarithm)
        return d.log() + logarithm, positive & accepted

    good = shape > 0
    inner = _core.where(good, shape, 1.0)
    below = inner < 1
    boosted = inner + below.to(inner.dtype)
    result = _until_accepted(propose, boosted)
    if below.any():
        result = _core.where(below, result + _log_uniform(inner, generator) / inner, result)
    return result if good.all() else _core.where(good, result, _core.where(shape.isnan(), shape, -math.inf))


def _check_gamma(concentration):
    if not concentration.is_floating_point():
        raise NotImplementedError(f"\"gamma_cpu\" not implemented for '{_legacy_name(concentration)}'")


def _limits(tensor):
    from .numeric_limits import finfo

    return finfo(tensor.dtype)


class _StandardGamma(Function):
    @staticmethod
    def forward(ctx, concentration, generator):
        def draw(shape):
            drawn = _log_gamma(shape.double().flatten(), generator).exp().to(shape.dtype)
            return drawn.reshape(shape.shape).clamp(min=_limits(drawn).tiny)

        result = on_cpu("_standard_gamma", draw, (concentration,))
        ctx.save_for_backward(concentration, result)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        return dy * _standard_gamma_grad(*ctx.saved_tensors), None


def _standard_gamma(concentration, generator=None):
    """Gamma variates of these shapes and rate 1; their gradient is that of the quantile where they are."""
    _check_gamma(concentration)
    return _StandardGamma.apply(concentration, generator)


def _standard_gamma_grad(concentration, output):
    """dx/da of variates x of shape a: by implicit differentiation of the distribution function P(a, x) = constant."""
    from ._incomplete import gamma_moves, precision_for

    shape, x = functional.broadcast_tensors(concentration, output)
    moves = lambda shape, x: gamma_moves(shape.double(), x.double(), precision_for(output.dtype)).to(output.dtype)  # noqa: E731
    with _core.no_grad():
        return on_cpu("_standard_gamma_grad", moves, (shape, x))


def _sample_dirichlet(concentration, generator=None):
    """Points of Dirichlet distributions along the last dimension, without a gradient.

    Normalised as logarithms, so that parameters near 0 give corners and not NaN; no coordinate is rounded to 0 or 1,
    where the density of some is infinite.
    """
    _check_gamma(concentration)

    def draw(concentration):
        logarithm = _log_gamma(concentration.double().flatten(), generator).reshape(concentration.shape)
        limits = _limits(concentration)
        return logarithm.softmax(-1).to(concentration.dtype).clamp(limits.tiny, 1 - limits.eps / 2)

    with _core.no_grad():
        return on_cpu("_sample_dirichlet", draw, (concentration,))


def _dirichlet_grad(x, alpha, total):
    """The slope of one coordinate by its parameter, over 1 - x: on a quantile of its distribution, a beta one."""
    from ._incomplete import beta_moves, precision_for

    def moves(*tensors):
        wide = functional.broadcast_tensors(*(tensor.double() for tensor in tensors))
        return beta_moves(wide[0], wide[1], wide[2] - wide[1], precision_for(x.dtype)).to(x.dtype)

    with _core.no_grad():
        return on_cpu("_dirichlet_grad", moves, (x, alpha, total))


def _fill(tensor, name, draw):
    """Puts float64 values, drawn in the shape and on the device of a tensor, into one in place; what was there gets a
    gradient of zeros. A GPU has no float64: they are drawn on the CPU."""
    like = tensor
    if tensor.device.type == "gpu":
        _core._warn_of_fallback(name, tensor)
        like = _core.empty(tensor.shape, dtype=_core.float64, device="cpu")
    return tensor.copy_(draw(like))


def geometric_(self, p, *, generator=None):
    """Fills with counts of trials up to the first success, >= 1.

    Raises: RuntimeError unless 0 < p < 1.
    """
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    return _fill(self, "geometric_", lambda x: (_log_uniform(x, generator) / math.log1p(-p)).ceil().clamp(min=1.0))


def cauchy_(self, median=0, sigma=1, *, generator=None):
    """Fills with numbers of the Cauchy distribution.

    Raises: RuntimeError for integers, and unless sigma > 0.
    """
    if not self.is_floating_point():
        name = {"Long": "long int", "Int": "int", "Short": "short int"}.get(_legacy_name(self), _legacy_name(self))
        raise RuntimeError(
            "Cauchy distribution is a continuous probability distribution. dtype must be a floating point but you "
            f"specified {name}"
        )
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    return _fill(self, "cauchy_", lambda x: median + sigma * (math.pi * (_uniform(x, generator) - 0.5)).tan())


def log_normal_(self, mean=1, std=2, *, generator=None):
    """Fills with e to normally distributed numbers of this mean and standard deviation.

    Raises: NotImplementedError for integers; RuntimeError unless std > 0.
    """
    if not self.is_floating_point():
        raise NotImplementedError(f"\"log_normal_cpu\" not implemented for '{_legacy_name(self)}'")
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    return _fill(self, "log_normal_", lambda x: (mean + std * _normal(x, generator)).exp())
