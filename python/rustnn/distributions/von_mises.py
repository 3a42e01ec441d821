"""The von Mises distribution."""

import math

from .. import _core
from .._fallback import on_cpu
from ..samplers import _until_accepted
from ..special import i0e, i1e
from . import constraints
from .distribution import Distribution
from .utils import broadcast_all, lazy_property

__all__ = ["VonMises"]


def _proposal_r(kappa):
    """Of the wrapped Cauchy distribution that samples are proposed by."""
    tau = 1 + (1 + 4 * kappa**2).sqrt()
    rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
    # Its Taylor polynomial, where the difference would lose all digits.
    return _core.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho**2) / (2 * rho))


class VonMises(Distribution):
    """p(x) = exp(κ cos(x - μ)) / (2π I₀(κ)) for an angle x in radians, from -π to π.

    Args:
        loc: μ, in radians. concentration: κ, > 0.
        validate_args: see :class:`Distribution`.
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real
    has_rsample = False

    def __init__(self, loc, concentration, validate_args=None):
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    def log_prob(self, value):
        # exp(-κ) I₀(κ) stays finite; cos - 1 without loss near 0.
        sine = (0.5 * (self._checked(value) - self.loc)).sin()
        return -2 * self.concentration * sine * sine - math.log(2 * math.pi) - i0e(self.concentration).log()

    def sample(self, sample_shape=()):
        """Angles, without a gradient.

        Source: Best and Fisher 1979, Efficient simulation of the von Mises distribution.
        """
        shape = self._extended_shape(sample_shape)

        def propose(kappa, r):
            u = _core.rand(3, *kappa.shape, dtype=kappa.dtype, device=kappa.device)
            z = (math.pi * u[0]).cos()
            f = (1 + r * z) / (r + z)
            c = kappa * (r - f)
            accepted = (c * (2 - c) - u[1] > 0) | ((c / u[1]).log() + 1 - c >= 0)
            return (u[2] - 0.5).sign() * f.clamp(-1.0, 1.0).acos(), accepted

        def draw(loc, concentration):
            kappa = concentration.double()
            kappa, r = (value.expand(shape).reshape(-1) for value in (kappa, _proposal_r(kappa)))
            angle = _until_accepted(propose, kappa, r).reshape(shape) + loc.double()
            return ((angle + math.pi) % (2 * math.pi) - math.pi).to(loc.dtype)

        with _core.no_grad():
            return on_cpu("VonMises.sample", draw, (self.loc, self.concentration))

    @property
    def mean(self):
        """The direction of the mean vector: μ."""
        return self.loc

    @property
    def mode(self):
        return self.loc

    @lazy_property
    def variance(self):
        """1 - I₁(κ) / I₀(κ): one less the length of the mean vector."""
        return 1 - i1e(self.concentration) / i0e(self.concentration)
