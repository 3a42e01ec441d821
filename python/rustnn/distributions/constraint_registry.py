"""Transforms from unconstrained tensors to the sets that constraints describe.

``biject_to(constraint)`` gives a bijective transform, with a Jacobian, as Hamiltonian Monte Carlo needs it;
``transform_to(constraint)`` one that need not be, as optimisation does: it may have more numbers than the set has
dimensions.
"""

from numbers import Number

from . import constraints, transforms

__all__ = ["ConstraintRegistry", "biject_to", "transform_to"]


class ConstraintRegistry:
    """From classes of constraints to functions that make a transform for one of them."""

    def __init__(self):
        self._registry = {}
        super().__init__()

    def register(self, constraint, factory=None):
        """Sets the factory for a class of constraints, or for that of a constraint; a decorator where none is given.

        Raises: TypeError for what is no constraint.
        """
        if factory is None:
            return lambda factory: self.register(constraint, factory)
        kind = type(constraint) if isinstance(constraint, constraints.Constraint) else constraint
        if not isinstance(kind, type) or not issubclass(kind, constraints.Constraint):
            raise TypeError(f"Expected constraint to be either a Constraint subclass or instance, but got {constraint}")
        self._registry[kind] = factory
        return factory

    def __call__(self, constraint):
        """A transform whose codomain is the constraint.

        Raises: NotImplementedError where none is registered.
        """
        factory = self._registry.get(type(constraint))
        if factory is None:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints")
        return factory(constraint)


biject_to, transform_to = ConstraintRegistry(), ConstraintRegistry()


def _register(*kinds, registries=(biject_to, transform_to)):
    """A decorator of ``factory(registry, constraint)``, for both registries."""

    def decorate(factory):
        for registry in registries:
            for kind in kinds:
                registry.register(kind, lambda constraint, registry=registry: factory(registry, constraint))
        return factory

    return decorate


@_register(constraints.real)
def _real(registry, constraint):
    return transforms.identity_transform


@_register(constraints.independent)
def _independent(registry, constraint):
    base = registry(constraint.base_constraint)
    return transforms.IndependentTransform(base, constraint.reinterpreted_batch_ndims)


@_register(constraints.greater_than, constraints.greater_than_eq)
def _above(registry, constraint):
    return _exp_then(constraint.lower_bound, 1)


@_register(constraints.less_than)
def _below(registry, constraint):
    return _exp_then(constraint.upper_bound, -1)


def _exp_then(bound, sign):
    return transforms.ComposeTransform([transforms.ExpTransform(), transforms.AffineTransform(bound, sign)])


@_register(constraints.interval, constraints.half_open_interval)
def _between(registry, constraint):
    low, high = constraint.lower_bound, constraint.upper_bound
    if isinstance(low, Number) and isinstance(high, Number) and (low, high) == (0, 1):
        return transforms.SigmoidTransform()
    return transforms.ComposeTransform([transforms.SigmoidTransform(), transforms.AffineTransform(low, high - low)])


@_register(constraints.simplex, registries=(biject_to,))
def _by_sticks(registry, constraint):
    return transforms.StickBreakingTransform()


@_register(constraints.simplex, registries=(transform_to,))
def _by_softmax(registry, constraint):
    return transforms.SoftmaxTransform()


@_register(constraints.lower_cholesky, registries=(transform_to,))
def _lower_cholesky(registry, constraint):
    return transforms.LowerCholeskyTransform()


@_register(constraints.positive_definite, constraints.positive_semidefinite, registries=(transform_to,))
def _positive_definite(registry, constraint):
    return transforms.PositiveDefiniteTransform()


@_register(constraints.corr_cholesky)
def _corr_cholesky(registry, constraint):
    return transforms.CorrCholeskyTransform()


@_register(constraints.cat)
def _cat(registry, constraint):
    parts = [registry(part) for part in constraint.cseq]
    return transforms.CatTransform(parts, constraint.dim, constraint.lengths)


@_register(constraints.stack)
def _stack(registry, constraint):
    return transforms.StackTransform([registry(part) for part in constraint.cseq], constraint.dim)
