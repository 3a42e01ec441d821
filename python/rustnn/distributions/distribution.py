"""What all distributions have in common."""

from .. import _core
from .._core import Size, Tensor

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
    arg_constraints = {}
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
        if not self._validate_args:
            return
        for name, constraint in self.arg_constraints.items():
            value = self.__dict__.get(name)  # others are derived from those, lazily
            if value is None:
                continue
            if not constraint.check(value).all():
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution "
                    f"{self!r} to satisfy the constraint {constraint!r}, but found invalid values:\n{_text(value)}"
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

    @property
    def support(self):
        """The set of its values."""
        raise NotImplementedError

    def sample(self, sample_shape=()):
        """Values of shape sample_shape + batch_shape + event_shape, without a gradient."""
        with _core.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=()):
        """The same as functions of the parameters, with gradients to them."""
        raise NotImplementedError

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
        """All values of a finite distribution, along the first dimension."""
        raise NotImplementedError

    def entropy(self):
        """The entropy in nats."""
        raise NotImplementedError

    def perplexity(self):
        """e to the entropy."""
        return self.entropy().exp()

    def expand(self, batch_shape, _instance=None):
        """The same distributions in a larger batch."""
        batch_shape = Size(batch_shape)
        new = type(self).__new__(type(self))
        for name, value in self.__dict__.items():
            if isinstance(value, Tensor):
                rest = value.shape[len(self._batch_shape) :] if value.dim() > len(self._batch_shape) else ()
                value = value.expand(*batch_shape, *rest)
            new.__dict__[name] = value
        new._batch_shape = batch_shape
        return new

    def _extended_shape(self, sample_shape=()):
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _validate_sample(self, value):
        if not self._validate_args:
            return
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        events = value.dim() - len(self._event_shape)
        if value.shape[events:] != self._event_shape:
            raise ValueError(
                f"The right-most size of value must match event_shape: {value.shape} vs {self._event_shape}."
            )
        expected = (*self._batch_shape, *self._event_shape)
        for i, j in zip(reversed(value.shape), reversed(expected), strict=False):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    f"Value is not broadcastable with batch_shape+event_shape: {value.shape} vs {Size(expected)}."
                )
        if not self.support.check(value).all():
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) to be within the "
                f"support ({self.support!r}) of the distribution {self!r}, but found invalid values:\n{_text(value)}"
            )

    def __repr__(self):
        values = {name: self.__dict__[name] for name in self.arg_constraints if name in self.__dict__}
        shown = ", ".join(
            f"{name}: {value.item() if value.numel() == 1 else value.size()}" for name, value in values.items()
        )
        return f"{type(self).__name__}({shown})"


def _text(value):
    return str(value.item()) if value.dim() == 0 else repr(value)


def broadcast_all(*values):
    """Numbers and tensors as tensors of one shape; numbers take the dtype and device of the tensors."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    for value in values:
        if not isinstance(value, (Tensor, int, float)):
            raise ValueError(
                "Input arguments must all be instances of Number, torch.Tensor or objects implementing "
                "__torch_function__."
            )
    options = (
        {"dtype": tensors[0].dtype, "device": tensors[0].device} if tensors else {"dtype": _core.get_default_dtype()}
    )
    from ..functional import broadcast_tensors

    return broadcast_tensors(
        *(value if isinstance(value, Tensor) else _core.tensor(value, **options) for value in values)
    )
