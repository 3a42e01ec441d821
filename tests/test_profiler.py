"""rustnn.profiler: named parts of programs, schedules, traces."""

import json
import time

import pytest

import rustnn
from rustnn.profiler import ProfilerAction, ProfilerActivity, profile, record_function, schedule


def test_named_parts_are_counted_with_the_time_inside_and_without():
    with profile(activities=[ProfilerActivity.CPU]) as p:
        for _ in range(3):
            with record_function("outer"):
                time.sleep(0.002)
                with record_function("inner"):
                    time.sleep(0.004)
    found = {e.key: e for e in p.key_averages()}
    outer, inner = found["outer"], found["inner"]
    assert outer.count == inner.count == 3
    assert outer.cpu_time_total >= outer.self_cpu_time_total + inner.cpu_time_total - 1 > 0
    assert inner.cpu_time >= 4000 and outer.cpu_time >= 6000
    text = p.key_averages().table(sort_by="cpu_time_total", row_limit=1)
    assert "outer" in text and "inner" not in text and "Self CPU time total" in text
    with record_function("after"):
        pass
    assert "after" not in {e.key for e in p.key_averages()}


def test_a_schedule_records_its_active_steps_and_hands_each_round_over(tmp_path):
    plan = schedule(wait=1, warmup=1, active=2, repeat=2)
    wanted = ["NONE", "WARMUP", "RECORD", "RECORD_AND_SAVE"] * 2 + ["NONE"] * 2
    assert [plan(step).name for step in range(10)] == wanted
    rounds = []

    def ready(p):
        path = tmp_path / f"{p.step_num}.json"
        p.export_chrome_trace(path)
        rounds.append([e["name"] for e in json.loads(path.read_text())["traceEvents"]])

    with profile(schedule=plan, on_trace_ready=ready) as p:
        for step in range(10):
            with record_function(f"part{step}"):
                pass
            p.step()
    assert rounds == [
        ["part2", "ProfilerStep#2", "part3", "ProfilerStep#3"],
        ["part6", "ProfilerStep#6", "part7", "ProfilerStep#7"],
    ]
    assert p.current_action is ProfilerAction.NONE
    with pytest.raises(AssertionError, match="Invalid profiler schedule"):
        schedule(wait=0, warmup=0, active=0)


def test_traces_go_into_a_folder_for_tensorboard(tmp_path):
    handler = rustnn.profiler.tensorboard_trace_handler(tmp_path / "runs", "worker")
    with profile(on_trace_ready=handler), record_function("part"):
        pass
    (file,) = (tmp_path / "runs").iterdir()
    assert file.name.startswith("worker.") and json.loads(file.read_text())["traceEvents"][0]["name"] == "part"


def test_the_older_form_and_a_decorator():
    @record_function("decorated")
    def part():
        return 3

    with rustnn.autograd.profiler.profile() as p:
        assert part() == 3
    assert p.key_averages()[0].key == "decorated" and p.key_averages().total_average().cpu_time_total > 0
    with rustnn.autograd.profiler.profile(enabled=False) as p:
        part()
    assert p.events() == []
