"""The names of ``rustnn.distributed.fsdp`` where PyTorch defines them."""

from . import *  # noqa: F403
