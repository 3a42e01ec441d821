"""The timer of statements, and how measurements read."""

import pickle

import pytest

from rustnn.utils import benchmark


def measurement(medians, **kwargs):
    spec = benchmark.TaskSpec("x + y", "x = 1", label="add", **kwargs)
    return benchmark.Measurement(10, [time * 1e-5 for time in medians], spec)


def test_a_measurement_reads_as_pytorchs():
    noisy = measurement([10, 11, 12, 10.5, 50], sub_label="small", num_threads=2)
    assert repr(noisy).split("\n")[1:] == [
        "add: small",
        "setup: x = 1",
        "  Median: 11.00 us",
        "  IQR:    1.50 us (10.50 to 12.00)",
        "  5 measurements, 10 runs per measurement, 2 threads",
        "  WARNING: Interquartile range is 13.6% of the median measurement.",
        "           This could indicate system fluctuation.",
    ]
    assert noisy.has_warnings and noisy.significant_figures == 1 and noisy.mean == pytest.approx(1.87e-5)
    single = benchmark.Measurement(1000, [1e-2], benchmark.TaskSpec("f(x)\ng(y)", "pass"))
    assert repr(single).split("\n")[1:] == [
        "stmt:", "  f(x)", "  g(y)", "", "  10.00 us", "  1 measurement, 1000 runs , 1 thread",
    ]  # fmt: skip
    assert repr(pickle.loads(pickle.dumps(noisy))).split("\n")[1:] == repr(noisy).split("\n")[1:]


def test_a_table_reads_as_pytorchs():
    measured = [
        measurement([k * time for time in (10, 11, 12, 10.5, 13)], sub_label=sub, description=name, num_threads=threads)
        for k, (sub, name, threads) in enumerate(
            [("1", "float", 1), ("1", "double", 1), ("100", "float", 1), ("100", "double", 2)], 1
        )
    ]
    table = benchmark.Compare(measured)
    assert str(table) == (
        "[----------- add ------------]\n"
        "           |  float  |  double\n"
        "1 threads: -------------------\n"
        "      1    |   11.0  |   22.0 \n"
        "      100  |   33.0  |        \n"
        "2 threads: -------------------\n"
        "      100  |         |   44.0 \n\n"
        "Times are in microseconds (us).\n"
    )
    table.trim_significant_figures()
    table.colorize()
    assert "\033[92m\033[1m  10 \033[0m\033[0m" in str(table)
    with pytest.raises(ValueError, match="Expected an instance of `Measurement`"):
        table.extend_results([1])


def test_measurements_of_one_task_are_merged():
    (merged,) = benchmark.Measurement.merge([measurement([10]), measurement([20])])
    assert merged.times == pytest.approx([1e-5, 2e-5]) and merged.number_per_run == 1


def ticking(step):
    """A clock that moves by ``step`` seconds whenever it is read, and by ten at each run of ``tick()``."""
    now = [0.0]

    def tick():
        now[0] += 10 * step

    def clock():
        now[0] += step
        return now[0]

    return clock, tick


def test_a_timer_counts_runs_and_seconds():
    clock, tick = ticking(1e-4)
    timer = benchmark.Timer("tick()", timer=clock, globals={"tick": tick}, num_threads=1)
    assert timer.timeit(50).mean == pytest.approx(1e-3, rel=0.03)
    for measured in (timer.blocked_autorange(min_run_time=0.5), timer.adaptive_autorange()):
        assert measured.median == pytest.approx(1e-3, rel=0.1) and not measured.has_warnings
    seen = []
    measured = timer.blocked_autorange(lambda number, time: seen.append((number, time)), min_run_time=0.5)
    assert [time for _, time in seen] == measured.raw_times
    assert {number for number, _ in seen} == {measured.number_per_run}


def test_a_statement_sees_torch_and_its_setup():
    timer = benchmark.Timer(
        """
        y = torch.ones(n)
        seen.append(y.sum().item())
        """,
        setup="n = 3",
        globals={"seen": (seen := [])},
    )
    timer.timeit(2)
    assert seen == [3.0] * 4 and "\n" in timer._task_spec.stmt


def test_what_cannot_be_timed_is_refused():
    for arguments, error in (
        ({"stmt": 3}, ValueError), ({"language": "rust"}, ValueError), ({"global_setup": "x"}, ValueError),
        ({"language": "cpp"}, NotImplementedError), ({"stmt": "x ="}, SyntaxError),
    ):  # fmt: skip
        with pytest.raises(error):
            benchmark.Timer(**arguments)
    with pytest.raises(NotImplementedError):
        benchmark.Timer().collect_callgrind()
    with pytest.raises(NotImplementedError, match="rustnn makes no random inputs"):
        benchmark.Fuzzer([], [])
    with pytest.raises(NameError):
        benchmark.Timer("absent").timeit(1)


def test_the_report_of_a_machine_has_pytorchs_lines():
    from rustnn.utils import collect_env

    report = collect_env.get_pretty_env_info()
    for line in ("PyTorch version: 2.13.0+rustnn", "Is CUDA available: False", "Python version: 3.", "CPU:", "numpy=="):
        assert line in report
    assert collect_env.get_env_info().cuda_runtime_version == "No CUDA"
    assert collect_env.run(["rustnn-no-such-program"])[0] == 127
