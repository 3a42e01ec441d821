"""Optimizers and schedulers against PyTorch itself: the same steps, the same state dicts, exchanged both ways.

Runs in the venv that `make parity` makes.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import rustnn

torch = pytest.importorskip("torch", reason="`make parity` installs PyTorch")

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.02, "amsgrad": True, "maximize": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.02, "weight_decay": 0.3, "amsgrad": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.7, "eps": 1e-4, "weight_decay": 0.1, "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.05, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    # Loading widens its float32 product of momenta to the parameter's dtype, so that steps in float64 part at 1e-9.
    ("NAdam", {"lr": 1e-4, "betas": (0.8, 0.9), "weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"lr": 1e-4, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.7), "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.9), "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.02, "alpha": 0.8, "momentum": 0.9, "centered": True, "eps": 1e-2, "weight_decay": 0.1}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (1e-3, 0.2), "maximize": True}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.05, "lambd": 0.1, "alpha": 0.5, "t0": 2, "weight_decay": 0.1, "maximize": True}),
    ("Adafactor", {}),
    (
        "Adafactor",
        {"lr": 0.1, "beta2_decay": -0.5, "eps": (1e-3, 1e-2), "d": 2.0, "weight_decay": 0.1, "maximize": True},
    ),
]
each_optimizer = pytest.mark.parametrize(
    ("kind", "options"), OPTIMIZERS, ids=[f"{i}-{o[0]}" for i, o in enumerate(OPTIMIZERS)]
)
SHAPES = ((3, 4), (4,), ())
TOLERANCE = {"float64": 1e-10, "float32": 2e-6}


def parameters(t: Any, dtype: str) -> list[Any]:
    rng = np.random.default_rng(0)
    return [t.nn.Parameter(t.tensor(rng.normal(size=shape).tolist(), dtype=getattr(t, dtype))) for shape in SHAPES]


def optimizer(t: Any, kind: str, options: dict[str, Any], dtype: str) -> tuple[list[Any], Any]:
    """Two groups, the second with a learning rate of its own."""
    params = parameters(t, dtype)
    groups = [{"params": params[:1]}, {"params": params[1:], "lr": 0.05}]
    return params, getattr(t.optim, kind)(groups, **options)


def steps(t: Any, params: list[Any], optimizer: Any, first: int, count: int) -> None:
    for step in range(first, first + count):
        rng = np.random.default_rng(step)
        for param in params:
            param.grad = t.tensor(rng.normal(size=tuple(param.shape)).tolist(), dtype=param.dtype)
        if step % 3 == 1:
            params[0].grad = None
        optimizer.step()


def converted(t: Any, value: Any) -> Any:
    """A state dict with the other library's tensors."""
    if isinstance(value, dict):
        return {key: converted(t, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(converted(t, item) for item in value)
    return t.from_numpy(value.detach().numpy().copy()) if hasattr(value, "detach") else value


def same(ours: Any, theirs: Any, tolerance: float, where: str = "") -> None:
    if hasattr(theirs, "detach"):
        assert tuple(ours.shape) == tuple(theirs.shape) and str(ours.dtype) == str(theirs.dtype), where
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), tolerance, tolerance, err_msg=where)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs), where
        for key, item in theirs.items():
            same(ours[key], item, tolerance, f"{where}.{key}")
    elif isinstance(theirs, (list, tuple)):
        assert len(ours) == len(theirs) and type(ours) is type(theirs), where
        for index, item in enumerate(theirs):
            same(ours[index], item, tolerance, f"{where}[{index}]")
    elif isinstance(theirs, float):
        assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-15), where
    elif isinstance(theirs, (int, str, bool, type(None))):
        assert ours == theirs and type(ours) is type(theirs), where
    else:
        assert type(ours).__name__ == type(theirs).__name__, where


@pytest.mark.parametrize("dtype", TOLERANCE)
@each_optimizer
def test_optimizer_takes_pytorchs_steps(kind: str, options: dict[str, Any], dtype: str) -> None:
    ours, our_optimizer = optimizer(rustnn, kind, options, dtype)
    theirs, their_optimizer = optimizer(torch, kind, options, dtype)
    for step in range(12):
        steps(rustnn, ours, our_optimizer, step, 1)
        steps(torch, theirs, their_optimizer, step, 1)
        for index, (mine, reference) in enumerate(zip(ours, theirs, strict=True)):
            same(mine, reference, TOLERANCE[dtype], f"parameter {index} after step {step}")


@each_optimizer
def test_optimizer_has_pytorchs_state_dict_and_text(kind: str, options: dict[str, Any]) -> None:
    ours, our_optimizer = optimizer(rustnn, kind, options, "float32")
    theirs, their_optimizer = optimizer(torch, kind, options, "float32")
    same(our_optimizer.state_dict(), their_optimizer.state_dict(), 0.0)
    steps(rustnn, ours, our_optimizer, 0, 3)
    steps(torch, theirs, their_optimizer, 0, 3)
    same(our_optimizer.state_dict(), their_optimizer.state_dict(), TOLERANCE["float32"])
    assert repr(our_optimizer) == repr(their_optimizer)


@pytest.mark.parametrize("back", [False, True], ids=["from PyTorch", "to PyTorch"])
@each_optimizer
def test_a_run_goes_on_in_the_other_library(kind: str, options: dict[str, Any], back: bool) -> None:
    source, target = (rustnn, torch) if back else (torch, rustnn)
    whole, whole_optimizer = optimizer(source, kind, options, "float64")
    steps(source, whole, whole_optimizer, 0, 5)
    params, resumed = optimizer(target, kind, options, "float64")
    for param, value in zip(params, whole, strict=True):
        param.data.copy_(converted(target, value))
    resumed.load_state_dict(converted(target, whole_optimizer.state_dict()))
    steps(source, whole, whole_optimizer, 5, 6)
    steps(target, params, resumed, 5, 6)
    # ASGD keeps its rate in float32 until a state is loaded, which widens it to the parameter's dtype.
    tolerance = 1e-6 if kind == "ASGD" else 1e-10
    for mine, reference in zip(params, whole, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), reference.detach().numpy(), tolerance)


def test_every_optimizer_is_compared() -> None:
    def kinds(t: Any) -> set[str]:
        base = t.optim.Optimizer
        found = {name: getattr(t.optim, name) for name in dir(t.optim)}
        return {name for name, c in found.items() if isinstance(c, type) and issubclass(c, base) and c is not base}

    assert (kinds(rustnn) & kinds(torch)) - {kind for kind, _ in OPTIMIZERS} == {
        "LBFGS",  # below
        "Muon",  # below
        "SparseAdam",  # below
    }


# ----------------------------------------------------------------------------------------------------------- schedulers
def sequential(t: Any, optimizer: Any) -> Any:
    s = t.optim.lr_scheduler
    parts = [s.LinearLR(optimizer, 0.25, total_iters=3), s.StepLR(optimizer, 2, 0.5), s.ExponentialLR(optimizer, 0.9)]
    return s.SequentialLR(optimizer, parts, milestones=[3, 8])


def chained(t: Any, optimizer: Any) -> Any:
    s = t.optim.lr_scheduler
    return s.ChainedScheduler([s.ConstantLR(optimizer, 0.1, 4), s.ExponentialLR(optimizer, 0.8)], optimizer=optimizer)


SCHEDULERS: list[tuple[str, tuple, dict[str, Any]]] = [
    ("LambdaLR", (lambda epoch: 0.9**epoch,), {}),
    ("LambdaLR", ([lambda epoch: 1 / (epoch + 1), lambda epoch: 0.5],), {}),
    ("MultiplicativeLR", (lambda epoch: 0.95,), {}),
    ("StepLR", (3,), {"gamma": 0.3}),
    ("MultiStepLR", ([2, 5, 5, 9],), {"gamma": 0.5}),
    ("ConstantLR", (), {"factor": 0.2, "total_iters": 4}),
    ("LinearLR", (), {"start_factor": 0.1, "end_factor": 0.8, "total_iters": 6}),
    ("ExponentialLR", (0.85,), {}),
    ("PolynomialLR", (), {"total_iters": 7, "power": 2.0}),
    ("CosineAnnealingLR", (6,), {"eta_min": 0.001}),
    ("CosineAnnealingWarmRestarts", (3,), {"T_mult": 2, "eta_min": 0.01}),
    ("CyclicLR", (0.01, 0.2), {"step_size_up": 3, "mode": "triangular2", "cycle_momentum": True}),
    (
        "CyclicLR",
        ([0.01, 0.02], [0.1, 0.3]),
        {"step_size_up": 2, "step_size_down": 4, "mode": "exp_range", "gamma": 0.9},
    ),
    ("OneCycleLR", (0.4,), {"total_steps": 15}),
    (
        "OneCycleLR",
        ([0.4, 0.3],),
        {"epochs": 3, "steps_per_epoch": 5, "anneal_strategy": "linear", "three_phase": True},
    ),
    ("ReduceLROnPlateau", (), {"patience": 1, "factor": 0.5, "cooldown": 1, "threshold_mode": "abs", "min_lr": 0.001}),
    ("ReduceLROnPlateau", ("max",), {"patience": 0, "factor": 0.1}),
    ("SequentialLR", (), {}),
    ("ChainedScheduler", (), {}),
]
BUILT = {"SequentialLR": sequential, "ChainedScheduler": chained}
each_scheduler = pytest.mark.parametrize(
    ("kind", "args", "kwargs"), SCHEDULERS, ids=[f"{i}-{s[0]}" for i, s in enumerate(SCHEDULERS)]
)
LOSSES = [1.0, 0.8, 0.9, 0.85, 0.9, 0.7, 0.7, 0.71, 0.72, 0.6, 0.61, 0.62, 0.63]


def scheduler(t: Any, kind: str, args: tuple, kwargs: dict[str, Any]) -> tuple[Any, Any]:
    _, made = optimizer(t, "SGD", {"lr": 0.1, "momentum": 0.9}, "float32")
    if kind in BUILT:
        return made, BUILT[kind](t, made)
    return made, getattr(t.optim.lr_scheduler, kind)(made, *args, **kwargs)


def rates(made: Any, scheduler: Any, first: int, count: int) -> list[tuple]:
    found = []
    for epoch in range(first, first + count):
        made.step()
        if type(scheduler).__name__ == "ReduceLROnPlateau":
            scheduler.step(LOSSES[epoch])
        else:
            scheduler.step()
        momenta = tuple(group["momentum"] for group in made.param_groups)
        found.append((*map(float, scheduler.get_last_lr()), *momenta))
    return found


@each_scheduler
@pytest.mark.filterwarnings("ignore")
def test_scheduler_sets_pytorchs_learning_rates(kind: str, args: tuple, kwargs: dict[str, Any]) -> None:
    ours, theirs = (scheduler(t, kind, args, kwargs) for t in (rustnn, torch))
    for mine, reference in zip(rates(*ours, 0, 13), rates(*theirs, 0, 13), strict=True):
        assert mine == pytest.approx(reference, rel=1e-12)


@each_scheduler
@pytest.mark.filterwarnings("ignore")
def test_scheduler_has_pytorchs_state_dict(kind: str, args: tuple, kwargs: dict[str, Any]) -> None:
    ours, theirs = (scheduler(t, kind, args, kwargs) for t in (rustnn, torch))
    rates(*ours, 0, 4)
    rates(*theirs, 0, 4)
    same(ours[1].state_dict(), theirs[1].state_dict(), 1e-12)
    same(ours[0].state_dict()["param_groups"], theirs[0].state_dict()["param_groups"], 1e-12)


@pytest.mark.parametrize("back", [False, True], ids=["from PyTorch", "to PyTorch"])
@each_scheduler
def test_a_schedule_goes_on_in_the_other_library(kind: str, args: tuple, kwargs: dict[str, Any], back: bool) -> None:
    source, target = (rustnn, torch) if back else (torch, rustnn)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made, whole = scheduler(source, kind, args, kwargs)
        rates(made, whole, 0, 5)
        other, resumed = scheduler(target, kind, args, kwargs)
        other.load_state_dict(converted(target, made.state_dict()))
        resumed.load_state_dict(converted(target, whole.state_dict()))
        expected, found = rates(made, whole, 5, 8), rates(other, resumed, 5, 8)
    for mine, reference in zip(found, expected, strict=True):
        assert mine == pytest.approx(reference, rel=1e-12)


def test_every_scheduler_is_compared() -> None:
    def kinds(t: Any) -> set[str]:
        found = t.optim.lr_scheduler
        bases = (found.LRScheduler,)
        names = [name for name in dir(found) if isinstance(getattr(found, name), type) and not name.startswith("_")]
        return {
            name
            for name in names
            if issubclass(getattr(found, name), bases) and name not in ("LRScheduler", "_LRScheduler")
        }

    assert kinds(rustnn) == kinds(torch)
    assert kinds(torch) - {kind for kind, *_ in SCHEDULERS} == set()


@pytest.mark.parametrize("line_search", [None, "strong_wolfe"])
@pytest.mark.parametrize("lr", [1, 0.1])
def test_lbfgs_takes_the_same_path_through_rosenbrocks_valley(line_search: str | None, lr: float) -> None:
    def path(t: Any) -> list[float]:
        p = t.nn.Parameter(t.tensor([-1.2, 1.0], dtype=t.float64))
        optimizer = t.optim.LBFGS([p], lr=lr, line_search_fn=line_search)

        def closure() -> Any:
            optimizer.zero_grad()
            loss = (1 - p[0]) ** 2 + 100 * (p[1] - p[0] ** 2) ** 2
            loss.backward()
            return loss

        losses = [optimizer.step(closure).item() for _ in range(4)]
        state = optimizer.state[p]
        return [*losses, *p.tolist(), state["func_evals"], state["n_iter"]]

    np.testing.assert_allclose(path(rustnn), path(torch), rtol=1e-5)


# -------------------------------------------------------------------------------------------------- Muon and averages
@pytest.mark.parametrize(
    "options",
    [{}, {"lr": 0.1, "nesterov": False, "momentum": 0.5, "weight_decay": 0.2, "adjust_lr_fn": "match_rms_adamw"}],
)
@pytest.mark.parametrize("shape", [(3, 5), (6, 2)])
def test_muon_takes_pytorchs_steps(options: dict[str, Any], shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    start, grads = rng.normal(size=shape), [rng.normal(size=shape) for _ in range(4)]

    def run(t: Any) -> tuple[Any, Any]:
        p = t.nn.Parameter(t.tensor(start.tolist()))
        muon = t.optim.Muon([p], **options)
        for grad in grads:
            p.grad = t.tensor(grad.tolist())
            muon.step()
        return p.detach().numpy(), muon.state_dict()

    (ours, our_state), (theirs, their_state) = run(rustnn), run(torch)
    # The iteration runs in bfloat16: a sum in another order is another bit now and then.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=4 * 0.05 * options.get("lr", 1e-3))
    same(our_state, their_state, 1e-6)
    for t in (rustnn, torch):
        with pytest.raises(ValueError, match="Muon only supports 2D parameters"):
            t.optim.Muon([t.nn.Parameter(t.ones(3))])


@pytest.mark.parametrize("kind", ["swa", "ema", "avg", "ema_avg"])
@pytest.mark.parametrize("use_buffers", [False, True])
def test_averaged_models_are_pytorchs(kind: str, use_buffers: bool) -> None:
    def run(t: Any) -> Any:
        utils = t.optim.swa_utils
        how = {
            "swa": {},
            "ema": {"multi_avg_fn": utils.get_ema_multi_avg_fn(0.9)},
            "avg": {"avg_fn": utils.get_swa_avg_fn()},
            "ema_avg": {"avg_fn": utils.get_ema_avg_fn(0.7)},
        }[kind]
        model = t.nn.Sequential(t.nn.Linear(2, 3), t.nn.BatchNorm1d(3))
        averaged = utils.AveragedModel(model, use_buffers=use_buffers, **how)
        rng = np.random.default_rng(2)
        for _ in range(4):
            with t.no_grad():
                for tensor in [*model.parameters(), *model.buffers()]:
                    tensor.copy_(t.tensor((rng.normal(size=tuple(tensor.shape)) * 5).tolist()))
            averaged.update_parameters(model)
        batches = [t.tensor(rng.normal(size=(4, 2)).tolist(), dtype=t.float32) for _ in range(3)]
        utils.update_bn(batches, averaged)
        return averaged.state_dict()

    same(dict(run(rustnn)), dict(run(torch)), 1e-5)


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 1, 4])
def test_swalr_sets_pytorchs_rates(strategy: str, epochs: int) -> None:
    def run(t: Any) -> list[float]:
        params = [t.nn.Parameter(t.ones(1)) for _ in range(2)]
        sgd = t.optim.SGD([{"params": params[:1]}, {"params": params[1:], "lr": 0.5}], lr=1.0)
        first = t.optim.lr_scheduler.StepLR(sgd, 2, 0.5)
        schedule = t.optim.swa_utils.SWALR(sgd, [0.1, 0.2], anneal_epochs=epochs, anneal_strategy=strategy)
        rates = []
        for step in range(8):
            sgd.step()
            (first if step < 2 else schedule).step()
            rates += [group["lr"] for group in sgd.param_groups]
        return rates

    assert run(rustnn) == pytest.approx(run(torch), rel=1e-9)


@pytest.mark.parametrize("maximize", [False, True])
def test_sparse_adam_trains_an_embedding_as_pytorchs(maximize):
    found = []
    for library in (torch, rustnn):
        table = library.nn.Embedding(10, 3, padding_idx=2, sparse=True)
        with library.no_grad():
            table.weight.copy_(library.tensor(np.random.default_rng(0).standard_normal((10, 3))))
        optimizer = library.optim.SparseAdam(list(table.parameters()), lr=0.1, maximize=maximize)
        rows = np.random.default_rng(1)
        for _ in range(5):
            optimizer.zero_grad()
            (table(library.tensor(rows.integers(0, 10, 6))) ** 3).sum().backward()
            optimizer.step()
        state = optimizer.state_dict()["state"][0]
        found.append(
            [table.weight.detach().numpy(), state["exp_avg"].numpy(), state["exp_avg_sq"].numpy(), state["step"]]
        )
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
