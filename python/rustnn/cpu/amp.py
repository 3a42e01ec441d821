"""The older name of autocast on the CPU."""

from .. import _core
from ..amp import GradScaler
from ..amp import autocast as _autocast

__all__ = ["GradScaler", "autocast"]


class autocast(_autocast):
    """:class:`rustnn.autocast` for "cpu"; PyTorch calls it deprecated."""

    def __init__(self, enabled=True, dtype=_core.bfloat16, cache_enabled=True):
        super().__init__("cpu", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)
