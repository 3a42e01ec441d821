"""Distributions of trials, which have the probability of a success or its logit."""

from .utils import broadcast_all, lazy_property, logits_to_probs, one_of, probs_to_logits


class OfSuccess:
    """Holds ``probs`` or ``logits``, the one that was given; the other is derived when it is first asked for."""

    def _take(self, probs, logits, *others):
        """Stores the given one, broadcast with other parameters, which it returns.

        Raises: ValueError unless one of the two is given.
        """
        one_of(probs, logits)
        name, value = ("probs", probs) if logits is None else ("logits", logits)
        *others, self._param = broadcast_all(*others, value)
        setattr(self, name, self._param)
        return others

    @lazy_property
    def logits(self):
        """log(p / (1 - p))."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self):
        """p."""
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def param_shape(self):
        """The shape of the parameter."""
        return self._param.size()
