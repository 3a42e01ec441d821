"""Optimizers: the formulas against PyTorch's recorded numbers, state dicts, groups, hooks, errors."""

import copy
import json
import math
import pickle
from pathlib import Path

import pytest

import rustnn
from rustnn import nn, optim

GOLDEN = json.loads((Path(__file__).parent / "golden/training.json").read_text())


def parameter(values=(1.0, 2.0)):
    return nn.Parameter(rustnn.tensor(list(values)))


def with_gradients(values=(1.0, 2.0), gradient=(1.0, 1.0)):
    param = parameter(values)
    param.grad = rustnn.tensor(list(gradient))
    return param


def run(name, options):
    params = [parameter(values) for values in GOLDEN["start"]]
    optimizer = getattr(optim, name)(params, **options)
    for step in GOLDEN["gradients"]:
        for param, gradient in zip(params, step, strict=True):
            param.grad = None if gradient is None else rustnn.tensor(gradient)
        optimizer.step()
    return params, optimizer


def name_of(case):
    return "-".join([case["name"], *(f"{key}={value}" for key, value in case["options"].items())])


@pytest.mark.parametrize("case", GOLDEN["optimizers"], ids=name_of)
def test_five_steps_give_the_numbers_pytorch_recorded(case):
    params, optimizer = run(case["name"], case["options"])
    for param, expected in zip(params, case["params"], strict=True):
        assert param.tolist() == pytest.approx(expected, rel=2e-6, abs=1e-7)
    state = optimizer.state_dict()["state"]
    assert [str(number) for number in state] == list(case["state"])
    for number, expected in case["state"].items():
        assert list(state[int(number)]) == list(expected)
        for key, value in expected.items():
            assert state[int(number)][key].tolist() == pytest.approx(value, rel=2e-6, abs=1e-7), key


@pytest.mark.parametrize("case", GOLDEN["optimizers"], ids=name_of)
def test_options_and_text_are_pytorchs(case):
    _, optimizer = run(case["name"], case["options"])
    groups = json.loads(json.dumps(optimizer.state_dict()["param_groups"]))
    assert groups == case["param_groups"]
    assert [list(group) for group in groups] == [list(group) for group in case["param_groups"]]
    assert repr(optimizer) == case["repr"]


def test_float64_follows_the_formula_of_adam_closely():
    theta, m, v = 0.7, 0.0, 0.0
    param = nn.Parameter(rustnn.tensor([theta], dtype=rustnn.float64))
    optimizer = optim.Adam([param], lr=0.05, betas=(0.8, 0.95), weight_decay=0.1)
    for t in range(1, 8):
        param.grad = rustnn.tensor([0.3 * t - 1.0], dtype=rustnn.float64)
        optimizer.step()
        g = 0.3 * t - 1.0 + 0.1 * theta
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g * g
        theta -= 0.05 * (m / (1 - 0.8**t)) / ((v / (1 - 0.95**t)) ** 0.5 + 1e-8)
        assert param.item() == pytest.approx(theta, rel=1e-12)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_a_parameter_stays_the_same_object_and_its_version_counts_up(name):
    param = with_gradients()
    version = param._version
    getattr(optim, name)([param], lr=0.1).step()
    assert param._version > version
    assert param.requires_grad and param.is_leaf


def test_changing_a_parameter_by_a_step_is_noticed_by_backward():
    param = parameter()
    loss = (param * param).sum()
    optimizer = optim.SGD([param], lr=0.1)
    param.grad = rustnn.ones(2)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_state_goes_over_to_another_optimizer_which_then_takes_the_same_steps(name):
    options = {"lr": 0.1, "momentum": 0.9} if name == "SGD" else {"lr": 0.1}
    params, first = run(name, options)
    copies = [parameter(param.tolist()) for param in params]
    second = getattr(optim, name)(copies, lr=5.0)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    for param, other in zip(params, copies, strict=True):
        other.grad = param.grad
    first.step()
    second.step()
    assert [p.tolist() for p in copies] == [p.tolist() for p in params]
    assert second.param_groups[0]["lr"] == 0.1


def test_loaded_state_takes_the_dtype_of_its_parameter_but_the_count_stays_float32():
    source = with_gradients()
    first = optim.Adam([source])
    first.step()
    target = nn.Parameter(rustnn.zeros(2, dtype=rustnn.float64))
    second = optim.Adam([target])
    second.load_state_dict(first.state_dict())
    state = second.state[target]
    assert state["exp_avg"].dtype == rustnn.float64
    assert state["step"].dtype == rustnn.float32
    assert state["step"].shape == ()


def test_loading_copies_nothing_but_shares_no_groups():
    first, second = optim.SGD([parameter()], lr=0.1), optim.SGD([parameter()], lr=0.2)
    state_dict = first.state_dict()
    second.load_state_dict(state_dict)
    second.param_groups[0]["lr"] = 7.0
    assert state_dict["param_groups"][0]["lr"] == 0.1


@pytest.mark.parametrize(
    ("state_dict", "message"),
    [
        ({"state": {}, "param_groups": []}, "different number of parameter groups"),
        ({"state": {}, "param_groups": [{"params": [0, 1]}]}, "doesn't match the size of optimizer's group"),
    ],
)
def test_a_state_dict_of_another_shape_is_refused(state_dict, message):
    with pytest.raises(ValueError, match=message):
        optim.SGD([parameter()], lr=0.1).load_state_dict(state_dict)


def test_old_checkpoints_that_count_steps_in_a_number_load():
    param = with_gradients()
    optimizer = optim.Adam([param])
    optimizer.step()
    state_dict = optimizer.state_dict()
    state_dict["state"][0]["step"] = 3
    optimizer.load_state_dict(state_dict)
    assert optimizer.state[param]["step"].item() == 3.0


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_pickle_and_deepcopy_keep_options_state_and_stepping(name):
    _, optimizer = run(name, {"lr": 0.1})
    for twin in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        assert repr(twin) == repr(optimizer)
        mine, theirs = optimizer.param_groups[0]["params"], twin.param_groups[0]["params"]
        assert [p.tolist() for p in mine] == [p.tolist() for p in theirs]
        for p, q in zip(mine, theirs, strict=True):
            assert p is not q
            q.grad = p.grad
        twin.step()


def test_names_of_parameters_are_kept_and_loaded():
    layer = nn.Linear(2, 1)
    optimizer = optim.SGD(layer.named_parameters(), lr=0.1)
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    other = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["param_names"] == ["weight", "bias"]


def test_groups_have_their_own_options():
    slow, fast = with_gradients(), with_gradients()
    optimizer = optim.SGD([{"params": [slow]}, {"params": fast, "lr": 0.5}], lr=0.1)
    optimizer.step()
    assert slow.tolist() == pytest.approx([0.9, 1.9])
    assert fast.tolist() == pytest.approx([0.5, 1.5])


def test_a_group_can_be_added_later():
    optimizer = optim.Adam([with_gradients()], lr=0.1)
    optimizer.step()
    late = with_gradients()
    optimizer.add_param_group({"params": late, "lr": 1.0})
    optimizer.step()
    assert late.tolist() == pytest.approx([0.0, 1.0], abs=1e-6)


def test_a_learning_rate_changed_between_steps_counts():
    param = with_gradients()
    optimizer = optim.SGD([param], lr=1.0)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.5
    optimizer.step()
    assert param.tolist() == pytest.approx([-0.5, 0.5])


def test_a_learning_rate_may_be_a_tensor():
    param = with_gradients()
    rate = rustnn.tensor(1.0)
    optimizer = optim.Adam([param], lr=rate)
    optimizer.step()
    rate.fill_(0.5)
    optimizer.step()
    assert param.tolist() == pytest.approx([-0.5, 0.5], abs=1e-6)


def test_state_that_the_user_replaced_is_used():
    param = with_gradients()
    optimizer = optim.SGD([param], lr=1.0, momentum=0.5)
    optimizer.step()
    optimizer.state[param]["momentum_buffer"] = rustnn.tensor([10.0, 10.0])
    optimizer.step()
    assert param.tolist() == pytest.approx([-6.0, -5.0])
    optimizer.state.clear()
    optimizer.step()
    assert param.tolist() == pytest.approx([-7.0, -6.0])


def test_zero_grad_drops_gradients_or_fills_them_with_zeros():
    param = with_gradients()
    optimizer = optim.SGD([param], lr=0.1)
    gradient = param.grad
    optimizer.zero_grad(set_to_none=False)
    assert param.grad is gradient
    assert gradient.tolist() == [0.0, 0.0]
    optimizer.zero_grad()
    assert param.grad is None
    optimizer.step()
    assert param.tolist() == [1.0, 2.0]


def test_zero_grad_detaches_a_recorded_gradient():
    param = parameter()
    (param * param).sum().backward(create_graph=True)
    assert param.grad.requires_grad
    optim.SGD([param], lr=0.1).zero_grad(set_to_none=False)
    assert not param.grad.requires_grad


def test_a_closure_runs_with_gradients_enabled_and_its_loss_is_returned():
    param = parameter()
    optimizer = optim.SGD([param], lr=0.25)

    def closure():
        optimizer.zero_grad()
        loss = (param * param).sum()
        loss.backward()
        return loss

    with rustnn.no_grad():
        assert optimizer.step(closure).item() == 5.0
    assert param.tolist() == [0.5, 1.0]
    assert optimizer.step() is None


def test_step_hooks_run_around_the_step_in_order_and_can_be_removed():
    from rustnn.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    log = []
    optimizer = optim.SGD([with_gradients()], lr=0.1)
    handles = [
        optimizer.register_step_pre_hook(lambda o, args, kwargs: log.append(("before", len(args), list(kwargs)))),
        optimizer.register_step_post_hook(lambda o, args, kwargs: log.append("after")),
        register_optimizer_step_pre_hook(lambda o, args, kwargs: log.append("before all")),
        register_optimizer_step_post_hook(lambda o, args, kwargs: log.append("after all")),
    ]
    optimizer.step(closure=lambda: None)
    assert log == ["before all", ("before", 1, ["closure"]), "after", "after all"]
    for handle in handles:
        handle.remove()
    optimizer.step()
    assert len(log) == 4


def test_a_step_hook_may_replace_the_arguments_but_with_nothing_else():
    optimizer = optim.SGD([with_gradients()], lr=0.1)
    handle = optimizer.register_step_pre_hook(lambda o, args, kwargs: (args, {"closure": lambda: 42}))
    assert optimizer.step() == 42
    handle.remove()
    optimizer.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match=r"must return None or a tuple of \(new_args, new_kwargs\), but got 3"):
        optimizer.step()


def test_an_optimizer_of_ones_own_gets_hooks_and_state_dicts():
    class Signs(optim.Optimizer):
        def __init__(self, params, lr=0.1):
            super().__init__(params, {"lr": lr})

        @rustnn.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for param in group["params"]:
                    self.state[param]["steps"] = self.state[param].get("steps", 0) + 1
                    param -= group["lr"] * param.grad.sign()

    calls = []
    param = with_gradients(gradient=(3.0, -3.0))
    optimizer = Signs([param])
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    optimizer.step()
    assert param.tolist() == pytest.approx([0.9, 2.1])
    assert calls == [1]
    assert optimizer.state_dict()["state"] == {0: {"steps": 1}}


def test_state_dict_hooks_run_in_order_and_may_replace():
    log = []
    optimizer = optim.SGD([parameter()], lr=0.1)
    optimizer.register_state_dict_pre_hook(lambda o: log.append("first"))
    optimizer.register_state_dict_pre_hook(lambda o: log.append("zeroth"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda o, state_dict: {**state_dict, "note": 1})
    state_dict = optimizer.state_dict()
    assert state_dict["note"] == 1
    optimizer.register_load_state_dict_pre_hook(lambda o, loaded: log.append(sorted(loaded)))
    optimizer.register_load_state_dict_post_hook(lambda o: log.append("loaded"))
    optimizer.load_state_dict(state_dict)
    assert log == ["zeroth", "first", ["note", "param_groups", "state"], "loaded"]


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optim.SGD([]), ValueError, "optimizer got an empty parameter list"),
        (lambda: optim.SGD(parameter()), TypeError, "should be an iterable of Tensors or dicts, but got"),
        (lambda: optim.SGD([1]), TypeError, "optimizer can only optimize Tensors, but one of the params is int"),
        (lambda: optim.SGD([parameter() * 2]), ValueError, "can't optimize a non-leaf Tensor"),
        (lambda: optim.SGD([{"params": {parameter()}}]), TypeError, "ordered collections"),
        (lambda: optim.SGD([parameter(), ("b", parameter())]), ValueError, "Some param names are missing"),
        (lambda: optim.SGD([parameter()]).add_param_group(1), TypeError, "param_group must be a dict, but got"),
        (lambda: optim.SGD([parameter()], lr=-1.0), ValueError, "Invalid learning rate: -1.0"),
        (lambda: optim.SGD([parameter()], momentum=-1.0), ValueError, "Invalid momentum value: -1.0"),
        (lambda: optim.SGD([parameter()], weight_decay=-1.0), ValueError, "Invalid weight_decay value: -1.0"),
        (lambda: optim.SGD([parameter()], nesterov=True), ValueError, "Nesterov momentum requires a momentum"),
        (lambda: optim.SGD([parameter()], fused=True, foreach=True), RuntimeError, "cannot be `True` together"),
        (lambda: optim.Adam([parameter()], fused=True, differentiable=True), RuntimeError, "does not support"),
        (lambda: optim.Adam([parameter()], eps=-1.0), ValueError, "Invalid epsilon value: -1.0"),
        (lambda: optim.Adam([parameter()], betas=(1.0, 0.9)), ValueError, "Invalid beta parameter at index 0: 1.0"),
        (lambda: optim.Adam([parameter()], betas=(0.9, -1.0)), ValueError, "Invalid beta parameter at index 1: -1.0"),
        (lambda: optim.Adam([parameter()], betas=(0, 0.9)), ValueError, "both floats or both Tensors"),
        (lambda: optim.Adam([parameter()], lr=rustnn.ones(2)), ValueError, "Tensor lr must be 1-element"),
        (
            lambda: optim.Adam([parameter()], lr=rustnn.tensor(0.1), foreach=True),
            ValueError,
            "lr as a Tensor is not supported for capturable=False and foreach=True",
        ),
        (
            lambda: optim.Optimizer([parameter()], {"lr": optim.optimizer.required}),
            ValueError,
            "didn't specify a value of required optimization parameter lr",
        ),
        (lambda: optim.Optimizer([parameter()], {}).step(), NotImplementedError, "^$"),
    ],
)
def test_wrong_arguments_are_refused_in_pytorchs_words(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_one_parameter_in_two_groups_is_refused_and_twice_in_one_warned_about():
    param = parameter()
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        optim.SGD([{"params": [param]}, {"params": [param]}])
    with pytest.warns(UserWarning, match="duplicate parameters"):
        optim.SGD([param, param])


def test_named_and_unnamed_groups_do_not_mix():
    with pytest.raises(ValueError, match="cannot add param group with names to the optimizer"):
        optim.SGD([{"params": [parameter()]}, {"params": [("b", parameter())]}])


def test_fused_wants_floating_point_parameters():
    param = rustnn.zeros(2, dtype=rustnn.int64)
    optimizer = optim.SGD([param], lr=1.0, fused=True)
    param.grad = rustnn.zeros(2, dtype=rustnn.int64)
    with pytest.raises(RuntimeError, match="`fused=True` requires all the params to be floating point Tensors"):
        optimizer.step()


@pytest.mark.parametrize(
    ("name", "options"),
    [("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}), ("Adam", {"amsgrad": True}), ("AdamW", {})],
)
def test_gradients_flow_through_differentiable_steps(name, options):
    def run_from(start):
        param = start.clone()
        optimizer = getattr(optim, name)([param], lr=0.1, differentiable=True, **options)
        for step in range(2):
            param.grad = (start * (step + 1.5)).clone()
            optimizer.step()
        return param.sum()

    start = rustnn.tensor([1.0, 2.0], dtype=rustnn.float64, requires_grad=True)
    assert rustnn.autograd.gradcheck(run_from, start)


@pytest.mark.parametrize(("name", "options"), [("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True}), ("AdamW", {})])
def test_the_recorded_and_the_native_step_agree(name, options):
    results = []
    for differentiable in (False, True):
        param = rustnn.tensor([1.0, -2.0], dtype=rustnn.float64)
        optimizer = getattr(optim, name)([param], lr=0.1, differentiable=differentiable, **options)
        for step in range(4):
            param.grad = rustnn.tensor([0.5 * step - 1.0, 0.25], dtype=rustnn.float64)
            optimizer.step()
        results.append(param.tolist())
    assert results[0] == pytest.approx(results[1], rel=1e-12)


def test_an_optimizer_minimizes_the_rosenbrock_valley():
    point = nn.Parameter(rustnn.tensor([-1.5, 2.0], dtype=rustnn.float64))
    optimizer = optim.Adam([point], lr=0.05)
    for _ in range(2000):
        x, y = point[0], point[1]
        loss = (1 - x) ** 2 + 100 * (y - x * x) ** 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert point.tolist() == pytest.approx([1.0, 1.0], abs=1e-2)


FURTHER = [
    ("Adadelta", {"lr": 20.0}),
    ("Adagrad", {"lr": 0.5}),
    ("Adamax", {"lr": 0.1}),
    ("NAdam", {"lr": 0.1}),
    ("RAdam", {"lr": 0.06}),
    ("RMSprop", {"lr": 0.05}),
    ("RMSprop", {"lr": 0.01, "momentum": 0.9, "centered": True}),
    ("ASGD", {"lr": 0.02}),
    ("Adafactor", {"lr": 0.3}),
    ("Rprop", {"lr": 0.1}),
    ("LBFGS", {}),
    ("LBFGS", {"line_search_fn": "strong_wolfe"}),
]


@pytest.mark.parametrize(("kind", "options"), FURTHER)
def test_further_optimizers_descend_into_a_valley_and_go_on_from_their_state(kind, options):
    def descend(count, weight, optimizer):
        def closure():
            optimizer.zero_grad()
            loss = ((weight - rustnn.tensor([1.0, -2.0])) ** 2 * rustnn.tensor([1.0, 10.0])).sum()
            loss.backward()
            return loss

        return [optimizer.step(closure).item() for _ in range(count)]

    def begin():
        weight = rustnn.nn.Parameter(rustnn.tensor([3.0, 2.0]))
        return weight, getattr(rustnn.optim, kind)([weight], **options)

    weight, optimizer = begin()
    losses = descend(150, weight, optimizer)
    assert losses[0] == 164.0 and losses[-1] < 1.0

    first, optimizer = begin()
    descend(3, first, optimizer)
    second, other = begin()
    second.data.copy_(first.data)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert descend(3, first, optimizer) == descend(3, second, other)


def test_muon_makes_every_direction_of_a_matrix_step_alike():
    weight = rustnn.nn.Parameter(rustnn.zeros(4, 4))
    optimizer = rustnn.optim.Muon([weight], lr=1.0, weight_decay=0.0)
    weight.grad = rustnn.diag(rustnn.tensor([4.0, 2.0, 1.0, 0.5]))
    optimizer.step()
    steps = -weight.detach().diag()
    assert 0.6 < steps.min().item() and steps.max().item() < 1.3
    assert (weight.detach() - weight.detach().diag().diag()).abs().max().item() < 1e-6
    assert set(optimizer.state[weight]) == {"momentum_buffer"}


def test_asgd_averages_from_a_step_on():
    weight = rustnn.nn.Parameter(rustnn.zeros(1))
    optimizer = rustnn.optim.ASGD([weight], lr=1.0, lambd=0.0, t0=2)
    seen = []
    for _ in range(5):
        weight.grad = rustnn.full((1,), -1.0)
        optimizer.step()
        seen.append(optimizer.state[weight]["ax"].item())
    # θ is 1, 2, 3, 4, 5; from the fourth step on 1/2, 1/3 ... of the way to it is gone, the one before counted full.
    assert seen == pytest.approx([1.0, 2.0, 3.0, 4.0, 4.5])


def test_rprop_grows_its_steps_shrinks_them_after_a_turn_and_then_waits():
    weight = rustnn.nn.Parameter(rustnn.zeros(1))
    optimizer = rustnn.optim.Rprop([weight], lr=1.0)
    seen = []
    for grad in (-1.0, -3.0, 2.0, 2.0):
        weight.grad = rustnn.full((1,), grad)
        optimizer.step()
        seen.append(weight.item())
    assert seen == pytest.approx([1.0, 2.2, 2.2, 1.6])


def test_rmsprop_and_adagrad_begin_with_steps_of_known_length():
    for kind, length in (("RMSprop", 0.1 / math.sqrt(0.01)), ("Adagrad", 0.1), ("Adadelta", None)):
        weight = rustnn.nn.Parameter(rustnn.zeros(1))
        optimizer = getattr(rustnn.optim, kind)([weight], lr=0.1)
        (weight * 5).sum().backward()
        optimizer.step()
        expected = 0.1 * math.sqrt(1e-6 / (2.5 + 1e-6)) * 5 if length is None else length
        assert weight.item() == pytest.approx(-expected, rel=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: rustnn.optim.Adadelta(p, rho=2), "Invalid rho value: 2"),
        (lambda p: rustnn.optim.RMSprop(p, alpha=-1), "Invalid alpha value: -1"),
        (lambda p: rustnn.optim.Adagrad(p, lr_decay=-1), "Invalid lr_decay value: -1"),
        (lambda p: rustnn.optim.Rprop(p, etas=(2, 3)), "Invalid eta values: 2, 3"),
        (lambda p: rustnn.optim.Adafactor(p, d=0.5), "Clipping threshold d should be >= 1 but is: 0.5"),
        (lambda p: rustnn.optim.ASGD(p, weight_decay=-1), "Invalid weight_decay value: -1"),
        (lambda p: rustnn.optim.Muon(p), "only supports 2D parameters"),
        (lambda p: rustnn.optim.LBFGS(p, lr=-1), "Invalid learning rate: -1"),
        (lambda p: rustnn.optim.LBFGS([{"params": p}, {"params": [rustnn.nn.Parameter(rustnn.ones(1))]}]), "groups"),
    ],
)
def test_further_optimizers_refuse_options_outside_their_range(make, message):
    with pytest.raises(ValueError, match=message):
        make([rustnn.nn.Parameter(rustnn.ones(1))])


def test_lbfgs_without_a_closure_raises_and_so_does_an_unknown_line_search():
    weight = rustnn.nn.Parameter(rustnn.ones(1))
    with pytest.raises(TypeError, match="closure"):
        rustnn.optim.LBFGS([weight]).step()

    def closure():
        weight.grad = rustnn.ones(1)
        return weight.sum()

    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        rustnn.optim.LBFGS([weight], line_search_fn="golden").step(closure)


def test_steps_of_nadam_are_differentiable_in_the_running_product():
    product = rustnn.tensor(0.9, dtype=rustnn.float64, requires_grad=True)

    def loss(product):
        p = rustnn.ones(3, dtype=rustnn.float64, requires_grad=True)
        value = p.clone()
        optimizer = rustnn.optim.NAdam([p], lr=0.9, differentiable=True)
        optimizer.param_groups[0]["params"][0] = value
        value.grad = rustnn.full((3,), 0.5, dtype=rustnn.float64)
        optimizer.state[value] = {
            "step": rustnn.tensor(10.0),
            "mu_product": product.clone(),
            "exp_avg": rustnn.full((3,), 0.1, dtype=rustnn.float64),
            "exp_avg_sq": rustnn.full((3,), 0.2, dtype=rustnn.float64),
        }
        optimizer.step()
        return value.sum()

    assert rustnn.autograd.gradcheck(loss, (product,))


def test_the_annealed_rate_of_swa_is_not_the_callers_tensor():
    rate = rustnn.tensor(0.05)
    optimizer = rustnn.optim.SGD([rustnn.nn.Parameter(rustnn.zeros(1))], lr=0.1)
    rustnn.optim.swa_utils.SWALR(optimizer, swa_lr=rate)
    rate.mul_(0.5)
    assert float(optimizer.param_groups[0]["swa_lr"]) == pytest.approx(0.05)


def test_sparse_adam_leaves_rows_without_a_gradient_and_their_moments_alone():
    table = nn.Embedding(4, 2, sparse=True)
    before = table.weight.detach().clone()
    optimizer = rustnn.optim.SparseAdam(table.parameters(), lr=0.5)
    for rows in ([1, 3], [3]):
        optimizer.zero_grad()
        (3 * table(rustnn.tensor(rows))).sum().backward()
        optimizer.step()
    moved = table.weight.detach() - before
    # The first step of Adam is lr; the second, with one gradient twice, too.
    rustnn.testing.assert_close(moved[3], rustnn.tensor([-1.0, -1.0]))
    assert moved[0].tolist() == [0.0, 0.0] == moved[2].tolist() and moved[1].tolist() == pytest.approx([-0.5, -0.5])
    state = optimizer.state[table.weight]
    assert state["step"] == 2 and state["exp_avg"][1].tolist() == pytest.approx([0.3, 0.3])
    assert state["exp_avg"][0].tolist() == [0.0, 0.0]
    # A step without gradients, and of a tensor without dimensions.
    point = nn.Parameter(rustnn.tensor(1.0))
    optimizer = rustnn.optim.SparseAdam([point], lr=0.5, maximize=True)
    optimizer.step()
    point.grad = rustnn.tensor(2.0)
    optimizer.step()
    assert point.item() == pytest.approx(1.5)
