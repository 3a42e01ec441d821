"""The names for random inputs of benchmarks, of which there are none."""

__all__ = ["FuzzedParameter", "FuzzedSparseTensor", "FuzzedTensor", "Fuzzer", "ParameterAlias"]


class _Absent:
    def __init__(self, *args, **kwargs):
        raise NotImplementedError(f"benchmark.{type(self).__name__}: rustnn makes no random inputs; use torch.rand")


class Fuzzer(_Absent):
    """Raises NotImplementedError."""


class FuzzedParameter(_Absent):
    """Raises NotImplementedError."""


class FuzzedTensor(_Absent):
    """Raises NotImplementedError."""


class FuzzedSparseTensor(_Absent):
    """Raises NotImplementedError."""


class ParameterAlias(_Absent):
    """Raises NotImplementedError."""
