"""How this build was made, as ``torch.__config__``."""

from . import _core

__all__ = ["parallel_info", "show"]


def show() -> str:
    """A text on the build: vector instructions, GPU backend."""
    from .version import rustnn as version

    gpu = "with" if hasattr(_core, "_gpu_device_count") else "without"
    return f"rustnn {version} built with:\n  - CPU capability usage: {_core._simd_level()}\n  - {gpu} the GPU backend\n"


def parallel_info() -> str:
    """A text on the threads in use."""
    return f"rustnn parallel info:\n\tget_num_threads() : {_core.get_num_threads()}\n"
