"""The parts of :mod:`rustnn.utils.benchmark`."""
