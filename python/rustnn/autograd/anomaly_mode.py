"""Finding the operation whose backward fails or makes NaN."""

import warnings

from .. import _core

__all__ = ["detect_anomaly", "set_detect_anomaly"]


class set_detect_anomaly:
    """Switch anomaly detection on or off, as a call or as a context manager.

    Args:
        mode: whether to note where each operation was called, and to say so when its backward fails.
        check_nan: whether a NaN coming out of a backward is an error.
    """

    def __init__(self, mode, check_nan=True):
        self.prev = _core.is_anomaly_enabled()
        self.prev_check_nan = _core.is_anomaly_check_nan_enabled()
        _core.set_anomaly_enabled(mode, check_nan)

    def __enter__(self):
        pass

    def __exit__(self, *args):
        _core.set_anomaly_enabled(self.prev, self.prev_check_nan)


class detect_anomaly:
    """Inside, the error of a failing backward shows the traceback of the forward call that made it, and NaN is an
    error.

    Slow: for debugging only.
    """

    def __init__(self, check_nan=True):
        self.prev = _core.is_anomaly_enabled()
        self.check_nan = check_nan
        self.prev_check_nan = _core.is_anomaly_check_nan_enabled()
        warnings.warn(
            "Anomaly Detection has been enabled. "
            "This mode will increase the runtime "
            "and should only be enabled for debugging.",
            stacklevel=2,
        )

    def __enter__(self):
        _core.set_anomaly_enabled(True, self.check_nan)

    def __exit__(self, *args):
        _core.set_anomaly_enabled(self.prev, self.prev_check_nan)
