"""Writes tests/golden/training.json: what PyTorch's optimizers and schedules do, for tests that run without it.

Run with an interpreter that has PyTorch: python tests/golden/record_training.py
"""

import json
import warnings
from pathlib import Path

import torch
from torch.optim import lr_scheduler

START = [[0.5, -1.0, 2.0], [0.25, -0.125]]
GRADIENTS = [
    [[((7 * step + 3 * i + 5 * j) % 11 - 5) / 8 for i in range(len(p))] for j, p in enumerate(START)]
    for step in range(5)
]
GRADIENTS[1][1] = None  # a parameter without a gradient sits a step out

OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.25, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    ("Adam", {"lr": 0.1}),
    ("Adam", {"lr": 0.1, "betas": [0.5, 0.75], "eps": 0.01, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.1, "amsgrad": True, "maximize": True}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.5}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.5, "amsgrad": True}),
]
SCHEDULES = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("MultiStepLR", {"milestones": [2, 5, 5, 9]}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("CosineAnnealingLR", {"T_max": 7, "eta_min": 0.01}),
    ("LinearLR", {"start_factor": 0.1, "end_factor": 0.8, "total_iters": 6}),
    ("ConstantLR", {"factor": 0.25, "total_iters": 4}),
    ("PolynomialLR", {"total_iters": 8, "power": 2.0}),
    ("CosineAnnealingWarmRestarts", {"T_0": 4, "T_mult": 2, "eta_min": 0.001}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": [1.0, 2.0], "step_size_up": 3, "step_size_down": 5}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 4, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.1, "max_lr": 1.0, "step_size_up": 4, "mode": "exp_range", "gamma": 0.9}),
    ("OneCycleLR", {"max_lr": [1.0, 2.0], "total_steps": 30}),
    ("OneCycleLR", {"max_lr": 1.0, "total_steps": 30, "three_phase": True, "anneal_strategy": "linear"}),
]
METRICS = [5.0, 4.0, 4.0, 4.0, 4.0, 4.0, 3.0, 3.0, 3.0, 3.0] * 2
PLATEAU = [
    {"patience": 2, "cooldown": 1, "min_lr": [0.01, 0.2]},
    {"mode": "max", "patience": 1, "threshold": 0.5, "threshold_mode": "abs", "factor": 0.5},
]


def run_optimizer(name, options):
    params = [torch.nn.Parameter(torch.tensor(values)) for values in START]
    optimizer = getattr(torch.optim, name)(params, **options)
    for step in GRADIENTS:
        for param, gradient in zip(params, step, strict=True):
            param.grad = None if gradient is None else torch.tensor(gradient)
        optimizer.step()
    state = {k: {name: v.tolist() for name, v in s.items()} for k, s in optimizer.state_dict()["state"].items()}
    groups = optimizer.state_dict()["param_groups"]
    return {
        "name": name,
        "options": options,
        "params": [param.tolist() for param in params],
        "state": state,
        "param_groups": groups,
        "repr": repr(optimizer),
    }


def two_groups():
    groups = [{"params": [torch.nn.Parameter(torch.ones(2))], "lr": rate} for rate in (0.3, 0.7)]
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def run_schedule(name, options):
    optimizer = two_groups()
    schedule = getattr(lr_scheduler, name)(optimizer, **options)
    rates = [schedule.get_last_lr()]
    momenta = [[group["momentum"] for group in optimizer.param_groups]]
    for _ in range(20):
        optimizer.step()
        schedule.step()
        rates.append(schedule.get_last_lr())
        momenta.append([group["momentum"] for group in optimizer.param_groups])
    keys = list(schedule.state_dict())
    return {"name": name, "options": options, "rates": rates, "momenta": momenta, "state_keys": keys}


def run_plateau(options):
    schedule = lr_scheduler.ReduceLROnPlateau(two_groups(), **options)
    rates = []
    for metric in METRICS:
        schedule.step(metric)
        rates.append(schedule.get_last_lr())
    return {"options": options, "rates": rates}


def run_sequential():
    optimizer = two_groups()
    parts = [
        lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 5),
        lr_scheduler.CosineAnnealingLR(optimizer, 8),
        lr_scheduler.ExponentialLR(optimizer, 0.9),
    ]
    schedule = lr_scheduler.SequentialLR(optimizer, parts, [5, 12])
    rates = [schedule.get_last_lr()]
    for _ in range(20):
        optimizer.step()
        schedule.step()
        rates.append(schedule.get_last_lr())
    return rates


warnings.simplefilter("ignore")
record = {
    "torch": torch.__version__,
    "start": START,
    "gradients": GRADIENTS,
    "optimizers": [run_optimizer(*case) for case in OPTIMIZERS],
    "schedules": [run_schedule(*case) for case in SCHEDULES],
    "metrics": METRICS,
    "plateau": [run_plateau(options) for options in PLATEAU],
    "sequential": run_sequential(),
}
target = Path(__file__).with_name("training.json")
target.write_text(json.dumps(record, separators=(",", ":")) + "\n")
print(f"{target.name}: {target.stat().st_size} bytes")
