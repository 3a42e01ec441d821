"""Export: a program computes what its module computes, at other sizes, with gradients, from a file."""

from __future__ import annotations

import io
import json
import math
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

import export_models
import rustnn
import rustnn.nn.functional as F
from layers_table import LAYERS
from rustnn import nn
from rustnn.export import Dim, ExportError

GOLDEN = Path(__file__).parent / "golden" / "programs"


def leaves(value):
    if isinstance(value, rustnn.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    return [leaf for item in items for leaf in leaves(item)]


def batch_of(example, size):
    return [rustnn.cat([t, t.flip(0)])[:size] for t in example]


def reloaded(program):
    return rustnn.export.load(io.BytesIO(saved(program)))


def saved(program) -> bytes:
    file = io.BytesIO()
    rustnn.export.save(program, file)
    return file.getvalue()


@pytest.mark.parametrize("name", export_models.ALL)
def test_a_program_gives_what_its_module_gives_at_any_batch_size(name) -> None:
    module, example = export_models.ALL[name]()
    program = reloaded(rustnn.export(module, example))
    for size in (2, 6) if name == "writes" else (1, 2, 6):  # which takes its row 1
        inputs = batch_of(example, size)
        rustnn.manual_seed(3)
        expected = module(*inputs)
        rustnn.manual_seed(3)
        found = program(*inputs)
        assert [type(found)] == [type(expected)]
        for a, b in zip(leaves(found), leaves(expected), strict=True):
            assert a.dtype is b.dtype and a.shape == b.shape
            assert a.equal(b)


@pytest.mark.parametrize("name", export_models.ALL)
def test_a_program_has_its_modules_gradients(name) -> None:
    module, example = export_models.ALL[name]()
    program = reloaded(rustnn.export(module, example))
    inputs = batch_of(example, 5)
    for each in (module, program):
        sum(out.sum() for out in leaves(each(*inputs)) if out.requires_grad).backward()
    theirs = dict(program.named_parameters())
    assert list(theirs) == [name for name, _ in module.named_parameters()]
    for name, parameter in module.named_parameters():
        if parameter.grad is None:
            assert theirs[name].grad is None
        else:
            assert theirs[name].grad.equal(parameter.grad), name


def test_inputs_have_gradients() -> None:
    module, (x,) = export_models.mlp()
    program = rustnn.export(module, (x,))
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    module(a)[:, 0].sum().backward()
    program(b)[:, 0].sum().backward()
    assert a.grad.equal(b.grad)


def test_the_golden_programs_still_give_what_was_recorded() -> None:
    for path in sorted(GOLDEN.glob("*.cases.safetensors")):
        cases = rustnn.safetensors.load_file(path)
        program = rustnn.export.load(path.with_name(path.name.replace(".cases", "")))
        for case in "01":
            inputs = [cases[f"{case}.input.{i}"] for i in range(len(program.inputs))]
            for i, out in enumerate(leaves(program(*inputs))):
                assert rustnn.allclose(out.float(), cases[f"{case}.output.{i}"].float(), atol=1e-6, equal_nan=True)


def test_weights_keep_their_names_and_ties() -> None:
    module, example = export_models.gpt()
    program = reloaded(rustnn.export(module, example))
    state, expected = program.state_dict, module.state_dict()
    assert set(state) == set(expected)
    assert all(state[name].equal(expected[name]) for name in expected)
    assert state["tokens.weight"].data_ptr() == state["head.weight"].data_ptr()
    # Any reader of safetensors reads the weights; a shared tensor is there once.
    assert "head.weight" not in rustnn.safetensors.load(saved(program))


def test_a_buffer_that_no_state_dict_holds_stays_out_of_it() -> None:
    module, example = export_models.masked()
    program = rustnn.export(module, example)
    assert "mask" not in program.state_dict and [name for name, _ in program.named_buffers()] == ["mask"]
    assert list(program.module().state_dict()) == list(module.state_dict())


def test_the_weights_are_copies() -> None:
    module = nn.Linear(2, 2)
    program = rustnn.export(module, rustnn.ones(3, 2))
    before = program(rustnn.ones(1, 2))
    with rustnn.no_grad():
        module.weight.zero_()
    assert program(rustnn.ones(1, 2)).equal(before)


def test_a_program_becomes_a_module_that_trains() -> None:
    module, example = export_models.cnn()
    program = reloaded(rustnn.export(module, example))
    again = program.module()
    assert list(again.state_dict()) == list(module.state_dict())
    assert again(*example).equal(module(*example))
    target = rustnn.tensor([0, 1, 2])
    for each in (module, again):
        optimizer = rustnn.optim.Adam(each.parameters(), lr=0.01)
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(each(*example), target).backward()
            optimizer.step()
    assert again(*example).equal(module(*example))
    fresh, _ = export_models.cnn()
    again.load_state_dict(fresh.state_dict())
    assert again(*example).equal(fresh(*example))


def test_dropout_in_training_mode_draws_as_the_module_does() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 2), nn.AlphaDropout(0.3))
    program = rustnn.export(module, rustnn.randn(3, 4))
    x = rustnn.randn(6, 4)
    rustnn.manual_seed(1)
    expected = [module(x), module(x)]
    rustnn.manual_seed(1)
    assert [a.equal(b) for a, b in zip([program(x), program(x)], expected, strict=True)] == [True, True]
    assert not program(x).equal(program(x))


@pytest.mark.parametrize("layer", [nn.Dropout(0.5), nn.AlphaDropout(0.3), nn.TransformerEncoderLayer(4, 2, 8)])
def test_random_ops_take_a_batch_of_one(layer) -> None:
    module = nn.Sequential(nn.Linear(4, 4), layer)
    for batch in ("batch", {"input": {0: Dim("batch", min=1)}}):
        program = rustnn.export(module, rustnn.randn(3, 4), dynamic_shapes=batch)
        assert program.range_constraints == {"batch": (1, 2**31 - 1)}
        x = rustnn.randn(1, 4)
        rustnn.manual_seed(1)
        expected = module(x)
        rustnn.manual_seed(1)
        assert program(x).equal(expected)


def test_recording_leaves_random_numbers_and_buffers_as_they_were() -> None:
    module = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout())
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = rustnn.get_rng_state()
    rustnn.export(module, rustnn.randn(4, 3))
    assert all(value.equal(before[name]) for name, value in module.state_dict().items())
    rustnn.set_rng_state(state)
    first = rustnn.rand(3)
    rustnn.set_rng_state(state)
    rustnn.export(module, rustnn.zeros(4, 3))
    assert rustnn.rand(3).equal(first)


def test_batch_norm_in_training_mode_moves_the_programs_statistics() -> None:
    module = nn.BatchNorm1d(3)
    program = reloaded(rustnn.export(module, rustnn.randn(4, 3)))
    for _ in range(2):
        x = rustnn.randn(5, 3) * 2 + 1
        assert program(x).equal(module(x))
    for name, value in module.state_dict().items():
        assert program.state_dict[name].equal(value)


def test_two_sizes_vary() -> None:
    module, (tokens,) = export_models.gpt()
    batch, length = rustnn.export.dims("batch", "length", max=16)
    program = rustnn.export(module, (tokens,), dynamic_shapes={"tokens": {0: batch, 1: length}})
    program = reloaded(program)
    assert program.inputs == [("tokens", rustnn.int64, ("batch", "length"))]
    assert program.range_constraints == {"batch": (1, 16), "length": (1, 16)}
    for shape in ((1, 1), (2, 3), (5, 16)):
        tokens = rustnn.randint(0, 11, shape)
        assert program(tokens).equal(module(tokens))
    with pytest.raises(ValueError, match=r"length = 17, outside of 1 to 16"):
        program(rustnn.zeros(1, 17, dtype=rustnn.int64))


class Sizes(nn.Module):
    def forward(self, x):
        batch, width = x.shape
        half = x.view(batch // 2, 2 * width)
        grid = rustnn.arange(batch * width).view(width, batch).t()
        return half, grid * x, rustnn.full((batch + 3, 1), 0.5), x.narrow(0, batch - 1, 1), x.sum() / batch


def test_sizes_are_polynomials_of_the_batch() -> None:
    program = rustnn.export(Sizes(), rustnn.randn(4, 3))
    x = rustnn.randn(10, 3)
    assert all(a.equal(b) for a, b in zip(program(x), Sizes()(x), strict=True))
    with pytest.raises(ValueError, match="made for batch % 2 == 0, got batch = 7"):
        program(rustnn.randn(7, 3))
    assert program.guards == ["batch % 2 == 0"] and program.range_constraints == {"batch": (2, 2**31 - 1)}


class Squared(nn.Module):
    def forward(self, x):
        return x.new_zeros(x.shape[0] ** 2)


def test_a_size_that_is_no_polynomial_is_an_error_that_names_the_op() -> None:
    with pytest.raises(
        ExportError, match=r"argument \"size\" of new_zeros .* is no polynomial .* 9, 16, 36 with batch = 3"
    ):
        rustnn.export(Squared(), rustnn.ones(3), dynamic_shapes=({0: "batch"},))
    with pytest.warns(UserWarning, match="sizes of the example only.*no polynomial"):
        program = rustnn.export(Squared(), rustnn.ones(3))
    assert program(rustnn.ones(3)).shape == (9,)
    with pytest.raises(ValueError, match=r"input x is float32\[3\] in the program, got float32\[4\]"):
        program(rustnn.ones(4))


class Counting(nn.Module):
    def __init__(self, use):
        super().__init__()
        self.calls = 0
        self.use = use

    def forward(self, x):
        self.calls += 1
        return self.use(x, self.calls)


class Rows(nn.Module):
    def forward(self, x):
        return rustnn.stack([row * i for i, row in enumerate(x)])


class Branches(nn.Module):
    def forward(self, x):
        return x.relu() if x.shape[0] > 3 else x


class Listed(nn.Module):
    def forward(self, x):
        return x + rustnn.tensor([float(i) for i in range(x.shape[0])])


class Scaled(nn.Module):
    def forward(self, x):
        return x * x.shape[0] ** -0.5


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Rows(), "does not run the same ops|has more or fewer|runs .* ops"),
        (Branches(), r"constraints violated: .* recorded for Dim\('batch', min=1, max=3\); .* promises more"),
        (Listed(), "constraints violated: what forward does is right for the example's batch only"),
        (Scaled(), r"argument \"other\" of mul .* only integers may depend"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_depends_on_a_dynamic_size_in_python_is_refused(module, message) -> None:
    with pytest.raises(ExportError, match=message):
        rustnn.export(module, rustnn.ones(3), dynamic_shapes={"x": {0: Dim("batch")}})
    assert rustnn.export(module, rustnn.ones(3), dynamic_shapes=None)(rustnn.ones(3)).equal(module(rustnn.ones(3)))


class Runs(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


# What Python does with the size T of a [2, T] input: (forward, what its program, recorded at 8, is for, sizes to try).
BRANCHES = {
    "a crop": (lambda x: x[:, -32:].sum(1) if x.shape[1] > 32 else x.sum(1), (1, 32), [], [1, 9, 32]),
    "min": (lambda x: x[:, : min(x.shape[1], 32)].mean(1), (1, 32), [], [1, 9, 32]),
    "max": (lambda x: x.new_zeros(max(x.shape[1], 5)), (5, 2**31 - 1), [], [5, 8, 100]),
    "at least": (lambda x: x * 2 if x.size(1) >= 6 else x, (6, 2**31 - 1), [], [6, 8, 70]),
    "len": (lambda x: x * 2 if len(x.t()) > 16 else x, (1, 16), [], [1, 16]),
    "numel": (lambda x: x * 2 if x.numel() > 64 else x / x.nelement(), (1, 32), [], [1, 32]),
    "an odd size": (lambda x: F.pad(x, (0, x.shape[1] % 2)).mean(1), (2, 2**31 - 1), ["T % 2 == 0"], [2, 10, 44]),
    "a rest": (
        lambda x: F.avg_pool1d(F.pad(x, (0, -x.shape[1] % 4)), 4),
        (4, 2**31 - 1),
        ["T % 4 == 0"],
        [4, 12, 40],
    ),
    "a multiple": (
        lambda x: x[:, : x.shape[1] // 4 * 4].mean(1),
        (4, 2**31 - 1),
        ["T % 4 == 0"],
        [4, 12, 16, 40],
    ),
    "a sum's rest": (lambda x: x[:, : (x.shape[1] + 1) // 3], (2, 2**31 - 1), ["(T + 1) % 3 == 0"], [2, 5, 41]),
    "divmod": (lambda x: x * sum(divmod(x.shape[1], 3)), (2, 2**31 - 1), ["(T + 1) % 3 == 0"], [2, 5, 41]),
    "half": (lambda x: x[:, : math.ceil(x.shape[1] / 2)], (2, 2**31 - 1), ["T % 2 == 0"], [2, 20]),
    "shifts": (lambda x: x[:, : (x.shape[1] >> 1) + (x.shape[1] & 3)], (4, 2**31 - 1), ["T % 4 == 0"], [4, 20]),
    "another size": (lambda x: x * 2 if x.shape[1] == 40 else x, (1, 2**31 - 1), ["T != 40"], [1, 39, 41]),
    "a whole shape": (lambda x: x * 2 if x.shape == (2, 40) else x, (1, 2**31 - 1), ["T != 40"], [1, 39, 41]),
    "the example's own": (lambda x: x * 2 if x.shape[1] == 8 else x.mul(2), (1, 2**31 - 1), [], [1, 8, 41]),
    "one": (lambda x: x * 2 if x.shape[1] == 1 else x, (2, 2**31 - 1), [], [2, 41]),
    "one, without need": (lambda x: x if x.shape[1] == 1 else x.expand(2, -1), (1, 2**31 - 1), [], [1, 2, 41]),
    "truth": (lambda x: x * 2 if x.shape[1] - 3 else x, (1, 2**31 - 1), ["T != 3"], [1, 2, 41]),
    "all sizes": (lambda x: x * 2 if x.shape[1] > 0 and math.prod(x.shape) >= 2 else x, (1, 2**31 - 1), [], [1, 41]),
    "products": (lambda x: x.view(-1)[: x.numel() // x.shape[1]], (1, 2**31 - 1), [], [1, 2, 41]),
}


def differs(module, program, x) -> bool:
    """Whether the program gives another result than the module; not so if it raises ValueError."""
    try:
        found = program(x)
    except ValueError:
        return False
    expected = module(x)
    return found.shape != expected.shape or not found.equal(expected)


@pytest.mark.parametrize("what", BRANCHES)
def test_a_branch_on_a_size_narrows_the_program_to_where_it_is_right(what) -> None:
    function, limits, guards, sizes = BRANCHES[what]
    module, x = Runs(function), rustnn.randn(2, 8)
    program = reloaded(rustnn.export(module, x, dynamic_shapes={"x": {1: "T"}}))
    assert program.range_constraints == {"T": limits} and program.guards == guards
    for size in sizes:
        x = rustnn.randn(2, size)
        assert program(x).equal(module(x)), size
    assert not any(differs(module, program, rustnn.randn(2, size)) for size in range(1, 70))
    # A Dim that promises more is an error; one that does not is not.
    if guards or limits[1] < 2**31 - 1 or limits[0] > 2:
        with pytest.raises(ExportError, match=r"constraints violated: .*T(?s:.)*test_export.py"):
            rustnn.export(module, rustnn.randn(2, 8), dynamic_shapes={"x": {1: Dim("T", max=64)}})
    if not guards:
        dim = Dim("T", min=limits[0], max=limits[1])
        assert rustnn.export(module, rustnn.randn(2, 8), dynamic_shapes={"x": {1: dim}})(rustnn.randn(2, 9)) is not None


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * {8: 1, 9: 1, 11: 1, 16: 1, 24: 1}.get(x.shape[1], 3),
        lambda x: x * sum(i for i in range(x.shape[1]) if i < 4),
        lambda x: x[:, : int(x.shape[1]) // 16 + 3],
        lambda x: x * 2 if float(x.shape[1]) > 40 else x,
        lambda x: x * 2 if x.shape[1] * 0.1 > 4 else x,
        lambda x: x * 2 if x.shape[1] ** 0.5 > 6 else x,
        lambda x: x * 2 if math.log(x.shape[1]) > 4 else x,
        lambda x: x * 2 if x.shape[1] | 7 == 47 else x,
        lambda x: x * 2 if hash(x.shape) == hash((2, 40)) else x,
    ],
)
def test_a_size_that_goes_out_of_sight_is_refused(function) -> None:
    with pytest.raises(ExportError):
        rustnn.export(Runs(function), rustnn.randn(2, 8), dynamic_shapes={"x": {1: "T"}})


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.avg_pool1d(x, 4) * F.avg_pool1d(x, 4).shape[1],
        lambda x: x * x[:, -32:].shape[1],
        lambda x: x * 2 if F.avg_pool1d(x, 5, 2).shape[1] > 20 else x,
        lambda x: x[:, : len(x[0, :32])],
        lambda x: F.interpolate(F.avg_pool1d(x, 4)[None], scale_factor=4)[0].shape[1] * x,
        lambda x: sum(part.sum(1) for part in x.chunk(3, 1)),
    ],
)
def test_a_size_that_an_op_made_is_what_was_recorded_or_the_call_is_an_error(function) -> None:
    module = Runs(function)
    program = reloaded(rustnn.export(module, rustnn.randn(2, 8), dynamic_shapes={"x": {1: "T"}}))
    assert not any(differs(module, program, rustnn.randn(2, size)) for size in range(5, 70))
    x = rustnn.randn(2, 8)
    assert program(x).equal(module(x))


def test_the_batch_is_narrowed_as_other_sizes_are() -> None:
    module = Runs(lambda x: x * 2 if x.shape[0] > 16 else x)
    program = rustnn.export(module, rustnn.randn(4, 8))
    assert program.range_constraints == {"batch": (1, 16)}
    with pytest.raises(ValueError, match="batch = 40, outside of 1 to 16"):
        program(rustnn.randn(40, 8))
    module = Runs(lambda x: x[: x.shape[0] // 2 * 2].mean(0))
    program = rustnn.export(module, rustnn.randn(4, 8))
    with pytest.raises(ValueError, match="made for batch % 2 == 0, got batch = 5"):
        program(rustnn.randn(5, 8))


def test_a_branch_on_two_sizes_is_a_guard() -> None:
    both = {"x": {0: "B", 1: "T"}}
    for function, guard, shape in (
        (lambda x: x.t() if x.shape[0] > x.shape[1] else x, "B - T <= 0", (8, 3)),
        (lambda x: x * 2 if x.shape[0] == x.shape[1] else x, "B - T != 0", (5, 5)),
        (lambda x: x.view(-1)[: x.numel() // 4 * 4], "B*T % 4 == 0", (5, 5)),
    ):
        program = reloaded(rustnn.export(Runs(function), rustnn.randn(4, 8), dynamic_shapes=both))
        assert program.guards == [guard] and f"where {guard}" in program.graph
        x = rustnn.randn(4, 70)
        assert program(x).equal(function(x))
        with pytest.raises(ValueError, match=r"the program was made for B.*, got B = \d, T = \d"):
            program(rustnn.randn(shape))
    # Sizes that are the same in the example by chance.
    program = rustnn.export(nn.Unfold(2), rustnn.randn(3, 4, 6, 6), dynamic_shapes={"input": {2: "H", 3: "W"}})
    assert program.guards == []


def test_sizes_behave_as_integers_while_they_are_recorded() -> None:
    seen = []

    def uses(x):
        size = x.shape[1]
        seen.append(size)
        assert isinstance(size, int) and f"{size}" == str(size) == repr(size) == f"{int.__add__(size, 0)}"
        assert pickle.loads(pickle.dumps(size)) >= 1 and x.shape.numel() == 2 * size == x.numel()
        assert (size, -size, +size, abs(-size), 3 - size) == (size, 0 - size, size, size, -(size - 3))
        assert size**2 == size * size and 2 * size / 2 == size and divmod(size, size) == (1, 0) and size // size == 1
        assert x.shape[1:] == (size,) and type(x.shape[1:]) is rustnn.Size and isinstance(range(3), range)
        assert round(size) == math.floor(size) == math.trunc(size) == size
        assert ~size == -1 - size and size << 1 == 2 * size
        return x.view(size, 2)

    program = rustnn.export(Runs(uses), rustnn.randn(2, 8), dynamic_shapes={"x": {1: "T"}})
    assert program.guards == [] and program.range_constraints == {"T": (1, 2**31 - 1)}
    assert program(rustnn.zeros(2, 50)).shape == (50, 2)
    # Later they are plain numbers.
    (size,) = {each for each in seen if type(each) is not int}
    assert {8: 1}[size] == 1 and int(size) == float(size) == size == 8 and type(size + 1) is int
    assert type(range) is type and len(rustnn.ones(3)) == 3 and math.log2(size) == 3


READS = {
    "item()": lambda x: x * x.sum().item(),
    "bool() of a tensor": lambda x: x if x.sum() > 0 else -x,
    "tolist()": lambda x: x * x.tolist()[0],
    "float() or int() of a tensor": lambda x: x * float(x.sum()),
    "a tensor as an index": lambda x: x[list(range(3))[x.argmax()]],
    "a tensor as an index of one place": lambda x: x[x.argmax()],
    "tensor() of tensors": lambda x: rustnn.tensor([x.sum(), x.mean()]),
    "a tensor as a number": lambda x: rustnn.full((2,), x.sum()),
    "numpy()": lambda x: x + rustnn.from_numpy(x.numpy()),
    "equal() gives Python": lambda x: x if x.equal(x) else -x,
    "Python reads a shape": lambda x: x.nonzero().shape[0] * x,
    "numel() gives Python": lambda x: x[x > 0].numel() * x,
    "the text of a tensor": lambda x: x if "-" in str(x) else x * 2,
    "print)": lambda x: x if "-" in f"{x[0]}" else x * 2,
    "an assignment to .data": lambda x: setattr(x, "data", x * 2) or x,
    "draws from a Generator": lambda x: x + rustnn.rand(3, generator=rustnn.Generator()),
}


@pytest.mark.parametrize("what", READS)
def test_what_python_reads_of_tensors_cannot_be_recorded(what) -> None:
    with pytest.raises(ExportError) as caught:
        rustnn.export(Runs(READS[what]), rustnn.ones(3))
    assert what in str(caught.value)
    assert "test_export.py" in str(caught.value) and "lambda x" in str(caught.value)
    # Nothing is left behind.
    assert rustnn.ones(2).sum().item() == 2


def test_an_exception_that_forward_swallows_is_raised_all_the_same() -> None:
    def swallow(x):
        try:
            return x * x.sum().item()
        except RuntimeError:
            return x

    with pytest.raises(ExportError, match=r"item\(\)"):
        rustnn.export(Runs(swallow), rustnn.ones(3))


class Cube(rustnn.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad):
        return 3 * ctx.saved_tensors[0] ** 2 * grad


class CubeOf(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(rustnn.ones(3))

    def forward(self, x):
        return Cube.apply(x * self.weight)


class Aliases(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.hidden = [self.linear.weight.data]

    def forward(self, x):
        return x @ self.hidden[0]


def test_the_memory_of_a_weight_under_another_name_is_no_constant() -> None:
    with pytest.raises(ExportError, match="shares the memory of another"):
        rustnn.export(Aliases(), rustnn.ones(2, 3))


def test_a_python_gradient_cannot_be_recorded() -> None:
    with pytest.raises(ExportError, match="autograd Function Cube is Python code"):
        rustnn.export(CubeOf(), rustnn.ones(2, 3))
    module = CubeOf().requires_grad_(False)
    assert rustnn.export(module, rustnn.ones(2, 3))(rustnn.full((1, 3), 2.0)).tolist() == [[8.0, 8.0, 8.0]]


class Replaces(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", rustnn.zeros(3))

    def forward(self, x):
        self.mean = 0.9 * self.mean + x.mean(0)
        return x - self.mean


def test_a_buffer_that_is_replaced_is_an_error() -> None:
    module = Replaces()
    mean = module.mean
    with pytest.raises(ExportError, match=r"another tensor in the place of mean; write in place"):
        rustnn.export(module, rustnn.ones(2, 3))
    assert module.mean is mean and mean.tolist() == [0.0, 0.0, 0.0]


def test_what_escapes_the_recording_is_found() -> None:
    seen = []

    def remembers(x):
        seen.append(1)
        return x * len(seen)

    with pytest.raises(ExportError):
        rustnn.export(Runs(remembers), rustnn.ones(3), dynamic_shapes=None)

    def outside(x):
        return x + rustnn.frombuffer(bytearray(bytes(memoryview(x.detach().numpy()))), dtype=rustnn.float32)

    with pytest.raises(ExportError):
        rustnn.export(Runs(outside), rustnn.ones(3))


def test_constants_may_be_printed_and_read() -> None:
    scale = rustnn.tensor(3.0)

    def prints(x):
        assert "tensor(" in repr(scale) and f"{scale:.1f}" == "3.0"
        return x * scale.item() if bool(scale > 0) else x

    assert rustnn.export(Runs(prints), rustnn.ones(3))(rustnn.ones(2)).tolist() == [3.0, 3.0]


def test_arguments_are_given_as_to_forward() -> None:
    class Takes(nn.Module):
        def forward(self, x, pair, *rest, scale=1.0, **more):
            return {"sum": x + pair["a"] * scale, "rest": (*rest, more["last"]), "none": None, "name": "it"}

    module = Takes()
    args = (rustnn.ones(2), {"a": rustnn.full((2,), 2.0), "b": [1, "two"]}, rustnn.zeros(2))
    program = reloaded(rustnn.export(module, args, {"scale": 2.0, "last": rustnn.ones(2)}))
    result = program(*args, scale=2.0, last=rustnn.ones(2))
    assert result["sum"].tolist() == [5.0, 5.0] and result["none"] is None and result["name"] == "it"
    assert [t.tolist() for t in result["rest"]] == [[0.0, 0.0], [1.0, 1.0]]
    assert [name for name, _, _ in program.inputs] == ["x", "pair.a", "rest.0", "more.last"]
    with pytest.raises(ValueError, match=r"scale: the program was recorded with 2\.0, got 3\.0"):
        program(*args, scale=3.0, last=rustnn.ones(2))
    with pytest.raises(TypeError, match="missing a required"):
        program(args[0], scale=2.0, last=rustnn.ones(2))
    with pytest.raises(TypeError, match=r"x: the program takes a Tensor, got list"):
        program([1.0], *args[1:], scale=2.0, last=rustnn.ones(2))
    with pytest.raises(TypeError, match="pair: the program takes a dict of 2"):
        program(args[0], {"a": args[0]}, args[2], scale=2.0, last=rustnn.ones(2))


def test_wrong_inputs_are_errors() -> None:
    module, example = export_models.mlp()
    program = rustnn.export(module, example)
    for x in (rustnn.ones(3), rustnn.ones(3, 5), rustnn.ones(3, 4).double()):
        with pytest.raises(ValueError, match=r"input input is float32\[batch, 4\] in the program"):
            program(x)
    with pytest.raises(ValueError, match="Expected `mod` to be an instance"):
        rustnn.export(lambda x: x, (rustnn.ones(1),))
    with pytest.raises(TypeError, match="tuple of example positional inputs"):
        rustnn.export(module, 3)
    with pytest.raises(ValueError, match="hold no tensor"):
        rustnn.export(Runs(lambda x: rustnn.ones(2)), (3,))
    with pytest.raises(ExportError, match="is of type set"):
        rustnn.export(Runs(lambda x: {x}), rustnn.ones(1))
    with pytest.raises(ValueError, match=r"there is no dimension 5"):
        rustnn.export(module, example, dynamic_shapes={"input": {5: "batch"}})
    with pytest.raises(ValueError, match="names \\['x'\\]"):
        rustnn.export(module, example, dynamic_shapes={"x": {0: "batch"}})
    with pytest.raises(ValueError, match="identifier"):
        Dim("a b")
    with pytest.raises(TypeError, match="'ep' parameter must be an instance"):
        rustnn.export.save(module, "x")
    with pytest.raises(FileNotFoundError):
        rustnn.export.load("/nowhere/x.safetensors")


def test_errors_of_the_module_itself_are_its_own() -> None:
    with pytest.raises(RuntimeError, match=r"shapes cannot be multiplied") as caught:
        rustnn.export(nn.Linear(3, 2), rustnn.ones(2, 4))
    assert not isinstance(caught.value, ExportError)


def test_an_op_that_fails_names_its_call() -> None:
    program = rustnn.export(nn.Embedding(5, 2), rustnn.tensor([1, 2]))
    with pytest.raises(IndexError, match=r"in call 0 of the program, embedding\(\)"):
        program(rustnn.tensor([7]))


def test_default_dtype_does_not_leak_into_a_program() -> None:
    program = rustnn.export(Runs(lambda x: rustnn.zeros(2) + rustnn.full((2,), 0.5) + x.sum()), rustnn.ones(2))
    x = rustnn.ones(2)
    rustnn.set_default_dtype(rustnn.float64)
    try:
        assert program(x).dtype is rustnn.float32
    finally:
        rustnn.set_default_dtype(rustnn.float32)


def test_odd_numbers_survive_the_file() -> None:
    odd = [0.1 + 0.2, 1e-310, -0.0, float("inf"), 1.7976931348623157e308]

    def uses(x):
        return rustnn.stack([x.double() * 0 + value for value in odd] + [x.double().nan_to_num(nan=float("-inf"))])

    program = reloaded(rustnn.export(Runs(uses), rustnn.tensor([1.0])))
    assert program(rustnn.tensor([1.0])).tolist() == uses(rustnn.tensor([1.0])).tolist()
    assert program(rustnn.tensor([float("nan")])).flatten().tolist()[-1] == float("-inf")
    fill = reloaded(rustnn.export(Runs(lambda x: x.masked_fill(x > 0, float("nan"))), rustnn.tensor([1.0])))
    assert fill(rustnn.tensor([1.0])).isnan().all()


def test_unused_calls_are_left_out_but_not_their_effects() -> None:
    def wasteful(x):
        x.exp().sin()
        rustnn.rand(3)
        return x + 1

    ops = [op for op, _ in rustnn.export(Runs(wasteful), rustnn.ones(3))._program.nodes]
    assert ops == ["rand", "add"]


@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.kind)
def test_every_layer_exports(case) -> None:
    module = case.build(rustnn)
    given = [rustnn.from_numpy(each) for each in case.draw(1)]
    if case.kind.startswith("Lazy"):
        module(*given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of inputs whose dimension 0 is no batch
        program = reloaded(rustnn.export(module, tuple(given)))
    rustnn.manual_seed(1)
    expected = module(*given)
    rustnn.manual_seed(1)
    found = program(*given)
    for a, b in zip(leaves(found), leaves(expected), strict=True):
        assert rustnn.allclose(a, b, rtol=0, atol=0, equal_nan=True)


def test_lengths_and_offsets_are_inputs_like_others() -> None:
    loss = nn.CTCLoss(reduction="none", zero_infinity=True)
    logs, labels = rustnn.randn(6, 4, 5).log_softmax(2), rustnn.tensor([[1, 2, 2], [3, 0, 0], [4, 4, 4], [1, 2, 3]])
    lengths = rustnn.tensor([6, 5, 4, 0]), rustnn.tensor([3, 1, 0, 2])
    program = reloaded(rustnn.export(loss, (logs, labels, *lengths), dynamic_shapes=None))
    for other in (lengths, (rustnn.tensor([1, 6, 0, 6]), rustnn.tensor([1, 0, 0, 3]))):
        assert rustnn.allclose(program(logs, labels, *other), loss(logs, labels, *other), rtol=1e-6, atol=1e-6)

    bags = nn.EmbeddingBag(7, 3, mode="max", include_last_offset=True, padding_idx=2)
    sizes = {"input": {0: "count"}, "offsets": {0: "bags"}}
    program = rustnn.export(bags, (rustnn.tensor([1, 2, 4, 5, 4]), rustnn.tensor([0, 2, 4])), dynamic_shapes=sizes)
    for indices, offsets in (([6, 0, 1, 2], [0, 0, 3, 3]), ([2, 2], [0, 2]), ([1, 2, 3], [0, 1, 2, 3])):
        given = rustnn.tensor(indices), rustnn.tensor(offsets)
        assert program(*given).equal(bags(*given))
    with pytest.raises((RuntimeError, IndexError)):
        program(rustnn.tensor([1, 2]), rustnn.tensor([1, 2]))

    clusters = nn.AdaptiveLogSoftmaxWithLoss(4, 10, cutoffs=[3, 6])
    program = rustnn.export(clusters, (rustnn.randn(5, 4), rustnn.tensor([0, 3, 9, 1, 5])))
    x, classes = rustnn.randn(2, 4), rustnn.tensor([1, 2])
    assert program(x, classes).output.equal(clusters(x, classes).output)
    with pytest.raises((RuntimeError, IndexError)):
        program(x, rustnn.tensor([1, 10]))


def test_the_average_of_all_batches_is_the_programs_own() -> None:
    module = nn.BatchNorm1d(3, momentum=None)
    program = rustnn.export(module, rustnn.randn(5, 3))
    for _ in range(4):
        x = rustnn.randn(6, 3)
        assert program(x).equal(module(x))
    state = program.module().state_dict()
    assert state["num_batches_tracked"].item() == 4
    assert rustnn.allclose(state["running_var"], module.running_var, rtol=1e-6, atol=0)


def test_what_is_computed_outside_of_rustnn_is_refused_by_name() -> None:
    matrix = rustnn.eye(3) * 2
    for name in ("inv", "cholesky", "eigh", "svd", "qr", "eigvalsh", "pinv"):
        with pytest.raises(ExportError, match=rf"export: rustnn.linalg.{name}\(\) cannot be recorded"):
            rustnn.export(Runs(getattr(rustnn.linalg, name)), matrix, dynamic_shapes=None)
    one_run = (
        rustnn.randn(6, 2, 5).log_softmax(2),
        rustnn.tensor([1, 2, 3]),
        rustnn.tensor([6, 6]),
        rustnn.tensor([2, 1]),
    )
    with pytest.raises(ExportError, match="CTCLoss"):
        rustnn.export(nn.CTCLoss(), one_run, dynamic_shapes=None)


@pytest.mark.parametrize("dtype", [rustnn.float64, rustnn.float16, rustnn.bfloat16])
def test_other_dtypes(dtype) -> None:
    module = nn.Linear(3, 2).to(dtype)
    program = reloaded(rustnn.export(module, rustnn.ones(2, 3, dtype=dtype)))
    x = rustnn.randn(4, 3).to(dtype)
    assert program(x).equal(module(x))


def test_checks_of_values_are_left_to_the_ops() -> None:
    program = rustnn.export(Runs(lambda x: F.one_hot(x, 3)), rustnn.tensor([0, 2]))
    assert program(rustnn.tensor([1, 1, 0])).tolist() == [[0, 1, 0], [0, 1, 0], [1, 0, 0]]
    with pytest.raises(RuntimeError, match="must be smaller than num_classes"):
        program(rustnn.tensor([3]))


def test_hooks_are_recorded_as_what_they_compute() -> None:
    module = nn.Linear(2, 2)
    module.register_forward_hook(lambda module, args, output: output * 2)
    module.register_full_backward_hook(lambda module, grad_input, grad_output: None)
    program = rustnn.export(module, rustnn.ones(3, 2))
    assert program(rustnn.ones(5, 2)).equal(module(rustnn.ones(5, 2)))


def test_programs_are_pickled_and_called_from_threads() -> None:
    module, example = export_models.gpt()
    program = pickle.loads(pickle.dumps(rustnn.export(module, example)))
    expected, wrong = module(*example), []

    def run():
        for _ in range(20):
            if not program(*example).equal(expected):
                wrong.append(1)

    threads = [threading.Thread(target=run) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not wrong


def test_another_thread_may_compute_while_one_records() -> None:
    done, stop = [], threading.Event()

    def compute():
        while not stop.is_set():
            if (rustnn.ones(3) * 2).sum().item() == 6:
                done.append(1)

    def slow(x):
        count = len(done)
        while len(done) < count + 5:
            stop.wait(0.001)
        return x * 2

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        assert rustnn.export(Runs(slow), rustnn.ones(3))(rustnn.ones(1)).tolist() == [2.0]
    finally:
        stop.set()
        thread.join()


def test_the_module_is_a_function_and_a_namespace() -> None:
    import rustnn.export as export

    assert export is rustnn.export and callable(export) and export.export(nn.ReLU(), rustnn.ones(1)) is not None
    code = "import sys, rustnn; assert 'rustnn.export' not in sys.modules; rustnn.export.Dim('a')"
    subprocess.run([sys.executable, "-c", code], check=True)


# ------------------------------------------------------------------------------------------------------ malformed files


def parts(data: bytes):
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header, body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def with_graph(change) -> bytes:
    header, body = parts((GOLDEN / "mlp.safetensors").read_bytes())
    graph = json.loads(header["__metadata__"]["program"])
    changed = change(graph)
    header["__metadata__"]["program"] = json.dumps(graph if changed is None else changed)
    return joined(header, body)


def node(graph, **entries):
    graph["nodes"][0].update(entries)


CHANGES = {
    "an unknown op": lambda g: node(g, op="system"),
    "an argument too many": lambda g: g["nodes"][0]["args"].update(more={"int": 1}),
    "an argument too few": lambda g: g["nodes"][0]["args"].pop("weight"),
    "an argument of another kind": lambda g: g["nodes"][0]["args"].update(weight={"str": "x"}),
    "a value of no kind": lambda g: g["nodes"][0]["args"].update(weight={"file": "/etc/passwd"}),
    "a value of two kinds": lambda g: g["nodes"][0]["args"].update(weight={"int": 1, "float": "1"}),
    "a tensor that comes later": lambda g: g["nodes"][0]["args"].update(self={"tensor": 9}),
    "a node that uses its own result": lambda g: g["nodes"][0]["args"].update(self={"tensor": g["nodes"][0]["out"][0]}),
    "a tensor of a huge number": lambda g: g["nodes"][0]["args"].update(self={"tensor": 2**63}),
    "a negative number": lambda g: g["nodes"][0]["args"].update(self={"tensor": -1}),
    "a result out of order": lambda g: node(g, out=[10**9]),
    "a result too many": lambda g: node(g, out=[*g["nodes"][0]["out"], 0]),
    "no result": lambda g: node(g, out=[]),
    "an output that is not there": lambda g: g.update(outputs=[10**6]),
    "no nodes": lambda g: g.pop("nodes") and None,
    "nodes that are no list": lambda g: g.update(nodes={}),
    "a node that is no object": lambda g: g.update(nodes=[3]),
    "a weight that is not there": lambda g: g["weights"][0].update(name="nothing"),
    "a weight twice": lambda g: g["weights"][1].update(name=g["weights"][0]["name"]),
    "a weight left out": lambda g: g["weights"].pop() and None,
    "an unknown role": lambda g: g["weights"][0].update(role="king"),
    "an unknown dtype": lambda g: g["inputs"][0].update(dtype="float33"),
    "a symbol that no input has": lambda g: g["symbols"].append({"name": "s", "min": 1, "max": 2}),
    "a symbol without a number": lambda g: g["inputs"][0].update(shape=[{"terms": [[1, [7]]], "divisor": 1}, 4]),
    "a divisor of 0": lambda g: g["inputs"][0].update(shape=[{"terms": [[1, [0]]], "divisor": 0}, 4]),
    "a size of text": lambda g: g["inputs"][0].update(shape=["batch", 4]),
    "trees that are none": lambda g: g.update(trees="{}"),
    "trees of tensors that are not there": lambda g: g.update(trees=g["trees"].replace('"tensor": 0', '"tensor": 5')),
    "a list": lambda g: [],
    "a text": lambda g: "x",
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_malformed_graph_is_an_error(what) -> None:
    with pytest.raises((ValueError, RuntimeError)) as caught:
        rustnn.export.load(with_graph(CHANGES[what]))(rustnn.ones(2, 4))
    assert "internal error" not in str(caught.value)


def test_files_that_are_no_programs_are_errors() -> None:
    header, body = parts((GOLDEN / "mlp.safetensors").read_bytes())
    with pytest.raises(ValueError, match="is no program"):
        rustnn.export.load(rustnn.safetensors.save({"x": rustnn.ones(2)}))
    for version in ("3", "0", "x", "99999999999999999999999"):
        changed = {**header, "__metadata__": {**header["__metadata__"], "version": version}}
        with pytest.raises(ValueError, match=rf'version "{version}" is not known here'):
            rustnn.export.load(joined(changed, body))
    changed = {**header, "__metadata__": {**header["__metadata__"], "program": "[" * 100000}}
    with pytest.raises(ValueError, match="malformed program"):
        rustnn.export.load(joined(changed, body))


def test_a_file_cut_anywhere_is_an_error() -> None:
    data = (GOLDEN / "mlp.safetensors").read_bytes()
    for end in [*range(0, len(data), 97), len(data) - 1]:
        with pytest.raises((ValueError, RuntimeError)):
            rustnn.export.load(data[:end])


FUZZED = (GOLDEN / "mlp.safetensors").read_bytes()


def mutable(value, path=()):
    """The places in a graph."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from mutable(value[key], (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from mutable(item, (*path, i))


PLACES = [
    path for path in mutable(json.loads(parts(FUZZED)[0]["__metadata__"]["program"])) if path and "trees" not in path
]
ODD = st.sampled_from(
    [None, True, -1, 0, 1, 3, 7, 2**31, 2**63, -(2**63), 1.5, "", "x", "nan", "add_", "t_", [], [[]], {}]
)


@hypothesis.given(st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=3))
@hypothesis.settings(max_examples=400)
def test_a_graph_with_odd_values_runs_or_is_an_error(changes) -> None:
    def change(graph):
        for path, value in changes:
            at = graph
            try:
                for key in path[:-1]:
                    at = at[key]
                at[path[-1]] = value
            except (TypeError, KeyError, IndexError):
                pass

    try:
        rustnn.export.load(with_graph(change))(rustnn.ones(2, 4))
    except (ValueError, RuntimeError, TypeError, IndexError, NotImplementedError) as error:
        assert "internal error" not in str(error)


@hypothesis.given(st.integers(0, len(FUZZED) - 1), st.integers(0, 255))
@hypothesis.settings(max_examples=400)
def test_a_file_with_a_changed_byte_loads_or_is_an_error(at, byte) -> None:
    data = bytearray(FUZZED)
    data[at] = byte
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            rustnn.export.load(bytes(data))(rustnn.ones(2, 4))
    except (ValueError, RuntimeError, TypeError, IndexError, NotImplementedError) as error:
        assert "internal error" not in str(error)


@pytest.mark.parametrize(
    "use", [lambda x, n: x * n, lambda x, n: x.roll(n, 1), lambda x, n: x[:, : n % 3]], ids=["factor", "shift", "cut"]
)
def test_a_number_that_grows_with_each_call_is_not_taken_for_one_of_the_batchs_size(use):
    with pytest.raises(ExportError):
        rustnn.export(Counting(use), (rustnn.ones(3, 4),))


def test_what_autocast_casts_is_recorded():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(4, 8), nn.Linear(8, 2)

        def forward(self, x):
            with rustnn.autocast("cpu", dtype=rustnn.bfloat16):
                return self.second(self.first(x).relu()).float()

    rustnn.manual_seed(0)
    net = Mixed()
    program = rustnn.export(net, (rustnn.randn(3, 4),))
    x = rustnn.randn(5, 4)
    assert program(x).equal(net(x))
    program(x).sum().backward()


class Resized(nn.Module):
    def __init__(self, mode):
        super().__init__()
        self.conv, self.mode = nn.Conv2d(2, 2, 3, stride=2, padding=1), mode

    def forward(self, x):
        low = self.conv(x)
        corners = False if self.mode in ("bilinear", "bicubic") else None
        return nn.functional.interpolate(low, size=x.shape[2:], mode=self.mode, align_corners=corners) + x


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic"])
def test_what_is_resized_to_a_size_of_the_input_is_so_for_every_size(mode):
    module = Resized(mode)
    program = rustnn.export(module, (rustnn.randn(2, 2, 8, 8),), dynamic_shapes=({0: "B", 2: "H", 3: "W"},))
    for height, width in ((8, 8), (12, 10), (7, 8), (16, 4), (9, 13)):
        x = rustnn.randn(1, 2, height, width)
        try:
            given = program(x)
        except ValueError:
            assert (height % 2, width % 2) != (0, 0)  # a branch may have gone the even sizes' way
            continue
        assert rustnn.allclose(given, module(x), atol=1e-6), (height, width)


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_of_every_mode_takes_sizes_that_vary(mode):
    module = nn.Conv2d(2, 3, 3, padding=1, padding_mode=mode)
    program = rustnn.export(module, (rustnn.randn(2, 2, 8, 9),), dynamic_shapes=({0: "B", 2: "H", 3: "W"},))
    for height, width in ((8, 9), (5, 6), (20, 3)):
        x = rustnn.randn(1, 2, height, width)
        assert program(x).equal(module(x))
