"""The names of ``rustnn.distributed.nn`` where PyTorch defines them."""

from . import *  # noqa: F403
