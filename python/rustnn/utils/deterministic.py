"""What :func:`rustnn.use_deterministic_algorithms` does beside."""

import sys
import types

from rustnn import settings


class _Switches(types.ModuleType):
    @property
    def fill_uninitialized_memory(self):
        """Whether ``empty`` and its like are filled, while deterministic algorithms are asked for: True by default.

        With NaN, the greatest integer, True. Raises: TypeError when set to anything but a bool.
        """
        return settings._fills

    @fill_uninitialized_memory.setter
    def fill_uninitialized_memory(self, mode):
        if not isinstance(mode, bool):
            raise TypeError(f"fill_uninitialized_memory must be a bool, but got {type(mode).__name__}")
        settings._set_fills(mode)


sys.modules[__name__].__class__ = _Switches
