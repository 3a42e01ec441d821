"""The older form of ``rustnn.profiler``."""

from ..profiler import EventList, FunctionEventAvg, ProfilerActivity, record_function
from ..profiler import profile as _profile

__all__ = ["EventList", "FunctionEventAvg", "ProfilerActivity", "profile", "record_function"]


class profile(_profile):
    """As ``rustnn.profiler.profile``, all steps recorded.

    Args:
        enabled: False records nothing.
        options: accepted; the CPU is what is measured.
    """

    def __init__(self, enabled=True, **options):
        super().__init__()
        self.enabled = enabled

    def _records(self):
        return self.enabled


class emit_nvtx:
    """Raises RuntimeError when entered, as PyTorch without CUDA does."""

    def __init__(self, enabled=True, record_shapes=False):
        self.enabled = enabled

    def __enter__(self):
        if self.enabled:
            raise RuntimeError("NVTX functions not installed. Are you sure you have a CUDA build?")
        return self

    def __exit__(self, *exception):
        return False


emit_itt = emit_nvtx
