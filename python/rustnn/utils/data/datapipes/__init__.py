"""Datasets made of datasets: ``IterableWrapper(range(9)).map(f).shuffle().batch(3)``."""

from rustnn._lazy import names_on_demand

__all__ = ["datapipe", "iter", "map"]

__getattr__, __dir__ = names_on_demand(__name__, modules=__all__)
