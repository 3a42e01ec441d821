"""Tools beside the network classes: hook handles, checkpointing, and the packages beside this file."""

from rustnn._lazy import names_on_demand

__all__ = [
    "benchmark",
    "checkpoint",
    "collect_env",
    "cpp_extension",
    "data",
    "deterministic",
    "dlpack",
    "flop_counter",
    "hooks",
    "model_zoo",
    "tensorboard",
]

__getattr__, __dir__ = names_on_demand(__name__, modules=__all__, names={"swap_tensors": "_swap"})
