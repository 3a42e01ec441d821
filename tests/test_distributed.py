"""rustnn.distributed: names for annotations and isinstance; what would need other processes raises."""

import pytest

import rustnn
from rustnn import distributed


def test_nothing_is_available_and_programs_go_on_in_one_process():
    assert not distributed.is_available() and not distributed.is_initialized()
    assert not isinstance(rustnn.ones(1), distributed.tensor.DTensor)
    assert not isinstance(rustnn.nn.ReLU(), distributed.fsdp.FullyShardedDataParallel)


@pytest.mark.parametrize(
    "call",
    [
        lambda: distributed.init_process_group("gloo"),
        lambda: distributed.tensor.distribute_tensor(rustnn.ones(1)),
        lambda: distributed.fsdp.FullyShardedDataParallel(rustnn.nn.ReLU()),
        lambda: distributed.device_mesh.init_device_mesh("cpu", (2,)),
        lambda: distributed.nn.all_reduce(rustnn.ones(1)),
        lambda: distributed.optim.ZeroRedundancyOptimizer([]),
    ],
)
def test_what_would_need_other_processes_raises(call):
    with pytest.raises(RuntimeError, match="one process"):
        call()
