"""Optimizers for several processes: named, not made."""

from ._absent import absent

__all__ = absent(globals(), classes="DistributedOptimizer PostLocalSGDOptimizer ZeroRedundancyOptimizer")
