"""Learning-rate schedules against PyTorch's recorded rates, and closed forms."""

import json
import math
import types
import warnings
from pathlib import Path

import pytest

import rustnn
from rustnn import nn, optim
from rustnn.optim import lr_scheduler

GOLDEN = json.loads((Path(__file__).parent / "golden/training.json").read_text())


def two_groups(tensor_rates=False):
    rates = [rustnn.tensor(rate, dtype=rustnn.float64) if tensor_rates else rate for rate in (0.3, 0.7)]
    groups = [{"params": [nn.Parameter(rustnn.ones(2))], "lr": rate} for rate in rates]
    return optim.SGD(groups, lr=0.1, momentum=0.9)


def rates_of(schedule):
    return [float(rate) for rate in schedule.get_last_lr()]


def name_of(case):
    return "-".join([case["name"], *map(str, case["options"].values())])


@pytest.mark.parametrize("tensor_rates", [False, True])
@pytest.mark.parametrize("case", GOLDEN["schedules"], ids=name_of)
def test_twenty_steps_give_the_rates_pytorch_recorded(case, tensor_rates):
    optimizer = two_groups(tensor_rates)
    schedule = getattr(lr_scheduler, case["name"])(optimizer, **case["options"])
    for step, (rates, momenta) in enumerate(zip(case["rates"], case["momenta"], strict=True)):
        if step:
            optimizer.step()
            schedule.step()
        assert rates_of(schedule) == pytest.approx(rates, rel=1e-12)
        assert [group["momentum"] for group in optimizer.param_groups] == pytest.approx(momenta, rel=1e-12)
        assert [float(group["lr"]) for group in optimizer.param_groups] == rates_of(schedule)
    assert list(schedule.state_dict()) == case["state_keys"]


@pytest.mark.parametrize("case", GOLDEN["schedules"], ids=name_of)
def test_a_schedule_resumes_from_its_state_dict(case):
    first_optimizer, second_optimizer = two_groups(), two_groups()
    first = getattr(lr_scheduler, case["name"])(first_optimizer, **case["options"])
    for _ in range(6):
        first_optimizer.step()
        first.step()
    second = getattr(lr_scheduler, case["name"])(second_optimizer, **case["options"])
    second_optimizer.load_state_dict(first_optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    for _ in range(6):
        for optimizer, schedule in ((first_optimizer, first), (second_optimizer, second)):
            optimizer.step()
            schedule.step()
        assert rates_of(first) == rates_of(second)


@pytest.mark.parametrize("case", GOLDEN["plateau"], ids=lambda case: case["options"].get("mode", "min"))
def test_a_plateau_lowers_the_rate_when_pytorch_does(case):
    schedule = lr_scheduler.ReduceLROnPlateau(two_groups(), **case["options"])
    for metric, rates in zip(GOLDEN["metrics"], case["rates"], strict=True):
        schedule.step(metric)
        assert rates_of(schedule) == pytest.approx(rates)


def test_a_plateau_takes_tensors_and_refuses_unknown_modes():
    schedule = lr_scheduler.ReduceLROnPlateau(two_groups(), patience=0)
    schedule.step(rustnn.tensor(1.0))
    schedule.step(rustnn.tensor(1.0))
    assert rates_of(schedule) == pytest.approx([0.03, 0.07])
    with pytest.raises(ValueError, match="mode x is unknown!"):
        lr_scheduler.ReduceLROnPlateau(two_groups(), mode="x")
    with pytest.raises(ValueError, match="threshold mode x is unknown!"):
        lr_scheduler.ReduceLROnPlateau(two_groups(), threshold_mode="x")
    with pytest.raises(ValueError, match=r"Factor should be < 1\.0\."):
        lr_scheduler.ReduceLROnPlateau(two_groups(), factor=1.0)


def test_schedules_follow_one_another_as_pytorch_recorded():
    optimizer = two_groups()
    parts = [
        lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 5),
        lr_scheduler.CosineAnnealingLR(optimizer, 8),
        lr_scheduler.ExponentialLR(optimizer, 0.9),
    ]
    schedule = lr_scheduler.SequentialLR(optimizer, parts, [5, 12])
    for step, rates in enumerate(GOLDEN["sequential"]):
        if step:
            optimizer.step()
            schedule.step()
        assert rates_of(schedule) == pytest.approx(rates, rel=1e-12)


def test_chained_schedules_multiply():
    optimizer = two_groups()
    parts = [lr_scheduler.ConstantLR(optimizer, 0.5, 2), lr_scheduler.ExponentialLR(optimizer, 0.5)]
    schedule = lr_scheduler.ChainedScheduler(parts)
    expected = [0.3 * 0.5, 0.3 * 0.25, 0.3 * 0.25, 0.3 * 0.125]
    for step, rate in enumerate(expected):
        if step:
            optimizer.step()
            schedule.step()
        assert schedule.get_last_lr()[0] == pytest.approx(rate)


def test_a_lambda_gives_each_group_its_factor():
    optimizer = two_groups()
    schedule = lr_scheduler.LambdaLR(optimizer, [lambda t: 0.5**t, lambda t: 1 / (1 + t)])
    for _ in range(3):
        optimizer.step()
        schedule.step()
    assert schedule.get_last_lr() == pytest.approx([0.3 / 8, 0.7 / 4])
    with pytest.raises(ValueError, match="Expected 2 lr_lambdas, but got 1"):
        lr_scheduler.LambdaLR(two_groups(), [lambda t: 1.0])


def test_only_callable_objects_among_lambdas_are_saved():
    class Decay:
        def __init__(self, factor):
            self.factor = factor

        def __call__(self, t):
            return self.factor**t

    first = lr_scheduler.LambdaLR(two_groups(), [Decay(0.5), lambda t: 1.0])
    state_dict = first.state_dict()
    assert state_dict["lr_lambdas"] == [{"factor": 0.5}, None]
    second = lr_scheduler.LambdaLR(two_groups(), [Decay(0.1), lambda t: 1.0])
    second.load_state_dict(state_dict)
    assert second.lr_lambdas[0].factor == 0.5
    assert "lr_lambdas" in state_dict


def test_warm_restarts_go_to_any_fraction_of_an_epoch():
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(two_groups(), T_0=2, T_mult=2)
    for epoch, share in ((0.5, 0.25), (1.5, 0.75), (2.0, 0.0), (5.0, 0.75), (6.0, 0.0), (8.0, 0.25)):
        schedule.step(epoch)
        assert schedule.get_last_lr()[0] == pytest.approx(0.3 * (1 + math.cos(math.pi * share)) / 2)
    with pytest.raises(ValueError, match="Expected non-negative epoch, but got -1"):
        schedule.step(-1)


def test_one_cycle_moves_the_first_beta_of_adam_and_ends():
    param = nn.Parameter(rustnn.ones(1))
    optimizer = optim.Adam([param], lr=0.1)
    schedule = lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=4, pct_start=0.5)
    assert optimizer.param_groups[0]["betas"] == (0.95, 0.999)
    for _ in range(4):
        optimizer.step()
        schedule.step()
    with pytest.raises(ValueError, match=r"Tried to step 5 times\. The specified number of total steps is 4"):
        schedule.step()


def test_a_schedule_called_before_the_first_step_warns():
    optimizer = two_groups()
    schedule = lr_scheduler.StepLR(optimizer, 2)
    with pytest.warns(UserWarning, match=r"`lr_scheduler\.step\(\)` before `optimizer\.step\(\)`"):
        schedule.step()
    optimizer = two_groups()
    schedule = lr_scheduler.StepLR(optimizer, 2)
    optimizer.step = lambda: None
    with pytest.warns(UserWarning, match="has been overridden after learning rate scheduler"):
        schedule.step()


def test_a_step_replaced_before_the_schedule_was_made_counts():
    optimizer = two_groups()
    optimizer.step = types.MethodType(lambda self: "mine", optimizer)
    schedule = lr_scheduler.StepLR(optimizer, 1)
    assert optimizer.step() == "mine"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schedule.step()


def test_get_lr_outside_a_step_points_to_get_last_lr():
    schedule = lr_scheduler.ExponentialLR(two_groups(), 0.9)
    with pytest.warns(UserWarning, match=r"please use `get_last_lr\(\)`"):
        schedule.get_lr()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: lr_scheduler.StepLR(1, 2), TypeError, "int is not an Optimizer"),
        (lambda: lr_scheduler.StepLR(two_groups(), 2, last_epoch=3), KeyError, "'initial_lr' is not specified"),
        (lambda: lr_scheduler.ConstantLR(two_groups(), 2.0), ValueError, "expected to be between 0 and 1"),
        (lambda: lr_scheduler.LinearLR(two_groups(), 0.0), ValueError, "greater than 0 and less or equal to 1"),
        (lambda: lr_scheduler.LinearLR(two_groups(), 1.0, 2.0), ValueError, "Ending multiplicative factor"),
        (lambda: lr_scheduler.MultiplicativeLR(two_groups(), 3), TypeError, "should be a function, but got int"),
        (lambda: lr_scheduler.OneCycleLR(two_groups(), 1.0), ValueError, "You must define either total_steps OR"),
        (lambda: lr_scheduler.OneCycleLR(two_groups(), [1.0], total_steps=3), ValueError, "max_lr has 1 values"),
        (lambda: lr_scheduler.OneCycleLR(two_groups(), 1.0, total_steps=0), ValueError, "positive integer total_steps"),
        (lambda: lr_scheduler.CosineAnnealingWarmRestarts(two_groups(), 0), ValueError, "positive integer T_0"),
        (lambda: lr_scheduler.SequentialLR(two_groups(), [], []), ValueError, "expects at least one scheduler"),
        (lambda: lr_scheduler.ChainedScheduler([]), ValueError, "expects at least one scheduler to be chained"),
    ],
)
def test_wrong_arguments_are_refused_in_pytorchs_words(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_parts_of_a_sequence_must_belong_to_its_optimizer():
    optimizer, other = two_groups(), two_groups()
    with pytest.raises(ValueError, match="expects all schedulers to belong to the same optimizer"):
        lr_scheduler.SequentialLR(optimizer, [lr_scheduler.StepLR(other, 1)], [])
    with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau` scheduler"):
        lr_scheduler.SequentialLR(optimizer, [lr_scheduler.ReduceLROnPlateau(optimizer)], [])


def test_weights_are_averaged_over_time_and_buffers_taken_over():
    from rustnn.optim.swa_utils import AveragedModel, get_ema_avg_fn, get_ema_multi_avg_fn

    model = rustnn.nn.BatchNorm1d(1)
    mean, ema, many = AveragedModel(model), AveragedModel(model, avg_fn=get_ema_avg_fn(0.5)), None
    many = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5))
    for value in (1.0, 3.0, 5.0):
        rustnn.nn.init.constant_(model.weight, value)
        model.running_mean.fill_(value)
        for average in (mean, ema, many):
            average.update_parameters(model)
    assert mean.module.weight.item() == 3.0 and ema.module.weight.item() == many.module.weight.item() == 3.5
    assert mean.module.running_mean.item() == 5.0 and mean.n_averaged.item() == 3
    assert set(mean.state_dict()) == {"n_averaged", *(f"module.{name}" for name in model.state_dict())}
    with pytest.raises(ValueError, match="Invalid decay value 2"):
        get_ema_avg_fn(2)


def test_statistics_are_estimated_anew_over_a_loader():
    from rustnn.optim.swa_utils import update_bn

    model = rustnn.nn.BatchNorm1d(1)
    model.running_mean.fill_(9.0)
    update_bn([rustnn.tensor([[0.0], [2.0]]), (rustnn.tensor([[4.0], [6.0]]), None)], model.eval())
    assert model.running_mean.item() == 3.0 and model.momentum == 0.1 and not model.training


@pytest.mark.parametrize("strategy", ["linear", "cos"])
def test_the_rate_of_weight_averaging_is_reached_and_kept(strategy):
    from rustnn.optim.swa_utils import SWALR

    optimizer = rustnn.optim.SGD([rustnn.nn.Parameter(rustnn.ones(1))], lr=1.0)
    scheduler = SWALR(optimizer, swa_lr=0.2, anneal_epochs=2, anneal_strategy=strategy)
    rates = []
    for _ in range(4):
        optimizer.step()
        scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([0.6, 0.2, 0.2, 0.2])
    with pytest.raises(ValueError, match="must be one of 'cos' or 'linear'"):
        SWALR(optimizer, 0.1, anneal_strategy="step")
