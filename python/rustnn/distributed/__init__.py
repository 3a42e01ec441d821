"""Training in several processes, as in a PyTorch that was built without it: nothing is available.

Programs ask :func:`is_available` or :func:`is_initialized`, and go on in one process.
"""

__all__ = """
    ReduceOp all_gather all_gather_into_tensor all_gather_object all_reduce all_to_all barrier broadcast
    broadcast_object_list destroy_process_group gather get_backend get_rank get_world_size init_process_group
    is_available is_gloo_available is_initialized is_mpi_available is_nccl_available is_torchelastic_launched new_group
    recv reduce reduce_scatter scatter send
""".split()


class ReduceOp:
    """What a reduction over processes computes."""

    SUM, AVG, PRODUCT, MIN, MAX, BAND, BOR, BXOR = "SUM", "AVG", "PRODUCT", "MIN", "MAX", "BAND", "BOR", "BXOR"


def is_available():
    """Whether processes can work together: no."""
    return False


def is_initialized():
    """Whether there is a group of processes: never."""
    return False


is_nccl_available = is_gloo_available = is_mpi_available = is_torchelastic_launched = is_available


def init_process_group(backend=None, *args, **kwargs):
    """Raises RuntimeError: processes cannot work together here."""
    raise RuntimeError("init_process_group: rustnn trains in one process; start the program without a group")


def _without_group(name):
    def function(*args, **kwargs):
        raise ValueError("Default process group has not been initialized, please make sure to call init_process_group.")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Raises ValueError: there is no group of processes."
    return function


for _name in __all__:
    if _name not in globals():
        globals()[_name] = _without_group(_name)
del _name

from .._lazy import names_on_demand  # noqa: E402
from ._absent import absent  # noqa: E402

# For annotations and `isinstance`.
__all__ += absent(globals(), classes="ProcessGroup Store TCPStore FileStore HashStore Work P2POp")


class group:
    """The group of all processes: none."""

    WORLD = None


__getattr__, __dir__ = names_on_demand(__name__, modules=("device_mesh", "fsdp", "nn", "optim", "tensor"))
