"""What all distributions have in common."""

import warnings

from .. import _core
from .._core import Size, Tensor
from . import constraints
from .utils import all_hold, lazy_property

__all__ = ["Distribution"]


class Distribution:
    """A batch of distributions: parameters of shape ``batch_shape``, each value of shape ``event_shape``.

    Args:
        batch_shape, event_shape: sizes.
        validate_args: check parameters here and values in ``log_prob``; default: as ``set_default_validate_args`` says.
    Raises: ValueError for a parameter that is not in its set (``arg_constraints``).
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = __debug__

    @staticmethod
    def set_default_validate_args(value):
        """Whether distributions that are not told otherwise check their arguments."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(self, batch_shape=(), event_shape=(), validate_args=None):
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    def _check_parameters(self):
        try:
            arg_constraints = self.arg_constraints
        except NotImplementedError:
            warnings.warn(
                f"{type(self)} does not define `arg_constraints`. Please set `arg_constraints = {{}}` or initialize "
                "the distribution with `validate_args=False` to turn off validation.",
                stacklevel=4,
            )
            return
        for name, constraint in arg_constraints.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name), lazy_property):
                continue  # derived from one that is checked
            value = getattr(self, name)
            if not all_hold(constraint.check(value)):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    @property
    def batch_shape(self):
        """The shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self):
        """The shape of one value."""
        return self._event_shape

    @property
    def arg_constraints(self):
        """A dict from the names of the parameters to the sets that they are in."""
        raise NotImplementedError

    @property
    def support(self):
        """The set of the values."""
        raise NotImplementedError

    @property
    def mean(self):
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self):
        """The most probable value."""
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self):
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self):
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape=()):
        """Values of shape sample_shape + batch_shape + event_shape, without a gradient."""
        with _core.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=()):
        """The same as functions of the parameters, with gradients to them."""
        raise NotImplementedError

    def sample_n(self, n):
        """``sample((n,))``, deprecated."""
        warnings.warn("`sample_n(n)` will be deprecated. Use `sample((n,))` instead.", FutureWarning, stacklevel=2)
        return self.sample((n,))

    def log_prob(self, value):
        """The logarithm of the probability or its density."""
        raise NotImplementedError

    def cdf(self, value):
        """The probability of a value up to this one."""
        raise NotImplementedError

    def icdf(self, value):
        """The inverse of :meth:`cdf`."""
        raise NotImplementedError

    def enumerate_support(self, expand=True):
        """All values of a finite distribution, along the first dimension.

        Args:
            expand: over the batch too; otherwise its dimensions are 1.
        """
        raise NotImplementedError

    def entropy(self):
        """The entropy in nats."""
        raise NotImplementedError

    def perplexity(self):
        """e to the entropy."""
        return self.entropy().exp()

    def expand(self, batch_shape, _instance=None):
        """The same distributions in a larger batch.

        Tensors and distributions that the object holds are expanded with it, so that classes here need no method of
        their own.

        Raises: NotImplementedError for a class from elsewhere that has its own ``__init__`` and no ``expand``.
        """
        owner = next(kind for kind in type(self).__mro__ if kind.__module__.startswith(__package__))
        if owner is Distribution:
            raise NotImplementedError
        new = self._get_checked_instance(owner, _instance)
        batch_shape, rank = Size(batch_shape), len(self._batch_shape)
        for name, value in self.__dict__.items():
            if name not in self._not_of_the_batch:
                if isinstance(value, Tensor) and value.shape[:rank] == self._batch_shape:
                    value = value.expand((*batch_shape, *value.shape[rank:]))
                elif isinstance(value, Distribution):
                    value = value.expand((*batch_shape, *value.batch_shape[rank:]))
            new.__dict__[name] = value
        new._batch_shape = batch_shape
        return new

    # Names of tensors and distributions that stay as they are where the batch is expanded.
    _not_of_the_batch = ()

    def _get_checked_instance(self, cls, _instance=None):
        """An object for ``expand`` to fill: the given one, or a new one if the class has ``cls``'s ``__init__``."""
        if _instance is None and type(self).__init__ != cls.__init__:
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ method must also "
                "define a custom .expand() method."
            )
        return self.__new__(type(self)) if _instance is None else _instance

    def _extended_shape(self, sample_shape=()):
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _validate_sample(self, value):
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        events = value.dim() - len(self._event_shape)
        if value.shape[events:] != self._event_shape:
            raise ValueError(
                f"The right-most size of value must match event_shape: {value.shape} vs {self._event_shape}."
            )
        expected = Size((*self._batch_shape, *self._event_shape))
        for i, j in zip(reversed(value.shape), reversed(expected), strict=False):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {value.shape} vs {expected}."
                )
        try:
            support = self.support
        except NotImplementedError:
            warnings.warn(
                f"{type(self)} does not define `support` to enable sample validation. Please initialize the "
                "distribution with `validate_args=False` to turn off validation.",
                stacklevel=3,
            )
            return
        if not all_hold(support.check(value)):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the "
                f"support ({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def _checked(self, value):
        """The value, after the checks that this distribution makes."""
        if self._validate_args:
            self._validate_sample(value)
        return value

    def __repr__(self):
        values = {name: self.__dict__[name] for name in self.arg_constraints if name in self.__dict__}
        shown = ", ".join(f"{name}: {v if v.numel() == 1 else v.size()}" for name, v in values.items())
        return f"{type(self).__name__}({shown})"
