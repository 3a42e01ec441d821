"""rustnn.utils.flop_counter counts the layers of modules by path."""

import rustnn
from rustnn.utils.flop_counter import FlopCounterMode


def test_layers_count_two_operations_for_each_multiply_add(capsys):
    net = rustnn.nn.Sequential(rustnn.nn.Conv2d(1, 2, 3), rustnn.nn.Flatten(), rustnn.nn.Linear(8, 5))
    with FlopCounterMode(depth=3) as counter:
        net(rustnn.ones(3, 1, 4, 4))
    conv, linear = 2 * 3 * 2 * 2 * 2 * 9, 2 * 3 * 8 * 5
    counts = counter.get_flop_counts()
    assert counts["Sequential.0"] == {"Conv2d": conv} and counts["Sequential.2"] == {"Linear": linear}
    assert (
        counter.get_total_flops()
        == conv + linear
        == sum(counts["Global"].values())
        == sum(counts["Sequential"].values())
    )
    assert "Sequential.2" in capsys.readouterr().out
    net(rustnn.ones(3, 1, 4, 4))
    assert counter.get_total_flops() == conv + linear
    assert FlopCounterMode(display=False).get_total_flops() == 0
