"""Complex arithmetic and Fourier transforms against PyTorch: values, gradients, dtypes, messages, texts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import rustnn

DTYPES = ("complex64", "complex128")
CLOSE = {"complex64": 3e-6, "complex128": 1e-13, "float32": 3e-6, "float64": 1e-13}


def numbers(shape, dtype="complex128", seed=0):
    random = np.random.RandomState(seed)
    parts = random.uniform(-2, 2, shape), random.uniform(-2, 2, shape)
    array = parts[0] + 1j * parts[1] if dtype.startswith("complex") else parts[0]
    return np.asarray(array).astype(dtype)


def both(*arrays, grad=False):
    """The same tensors in PyTorch and here."""
    return tuple([t.tensor(a).requires_grad_(grad and a.dtype.kind in "fc") for a in arrays] for t in (torch, rustnn))


def agree(theirs, ours, scale=1.0):
    if isinstance(theirs, (tuple, list)):
        assert len(theirs) == len(ours)
        for a, b in zip(theirs, ours, strict=True):
            agree(a, b, scale)
        return
    assert str(ours.dtype) == str(theirs.dtype)
    assert tuple(ours.shape) == tuple(theirs.shape)
    expected = theirs.detach().resolve_conj().resolve_neg().numpy()
    got = ours.detach().numpy()
    if expected.dtype.kind not in "fc":
        assert (got == expected).all()
        return
    finite = np.isfinite(expected)
    assert (np.isfinite(got) == finite).all(), (got, expected)
    tolerance = scale * CLOSE[expected.dtype.name] * max(1.0, np.abs(expected[finite]).max(initial=0))
    assert np.abs(got - expected)[finite].max(initial=0) <= tolerance, (got, expected)


def compare(function, *arrays, scale=1.0, gradients=True, second=False):
    """Values, then gradients from one and the same cotangent, then the gradients' gradients."""
    (theirs, ours) = both(*arrays, grad=gradients)
    out = [function(t, *tensors) for t, tensors in ((torch, theirs), (rustnn, ours))]
    agree(*out, scale)
    if not gradients or not out[0].requires_grad:
        return
    assert out[1].requires_grad
    cotangent = numbers(tuple(out[0].shape), out[0].dtype.__str__()[6:], 1)
    grads = []
    for t, tensors, result in ((torch, theirs, out[0]), (rustnn, ours, out[1])):
        leaves = [x for x in tensors if x.requires_grad]
        grads.append(t.autograd.grad(result, leaves, t.tensor(cotangent), create_graph=second, allow_unused=True))
    grads = [[g for g in each if g is not None] for each in grads]
    agree(grads[0], grads[1], 20 * scale)
    if second:
        twice = []
        for t, tensors, each in ((torch, theirs, grads[0]), (rustnn, ours, grads[1])):
            leaves = [x for x in tensors if x.requires_grad]
            total = sum(((g.abs() ** 2).sum() for g in each if g.requires_grad), 0 * leaves[0].abs().sum())
            twice.append(t.autograd.grad(total, leaves, allow_unused=True))
        twice = [[g for g in each if g is not None] for each in twice]
        agree(twice[0], twice[1], 400 * scale)


UNARY = """neg square reciprocal exp expm1 exp2 log log1p log2 log10 sqrt rsqrt sin cos tan asin acos atan sinh cosh
    tanh asinh acosh atanh sinc sigmoid abs angle sgn conj_physical isnan isinf isfinite isreal""".split()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_number_agree_with_their_gradients(name, dtype):
    if (name, dtype) == ("rsqrt", "complex64"):
        return  # PyTorch's own error there exceeds the tolerance
    x = numbers((5, 7), dtype)
    compare(lambda t, x: getattr(t, name)(x), x, scale=8, second=name not in ("isreal", "isnan", "isinf", "isfinite"))
    compare(lambda t, x: getattr(t, name)(x.t()[::2]), x, scale=8)
    for shape in ((), (0, 3)):
        compare(lambda t, x: getattr(t, name)(x), numbers(shape, dtype, 3), scale=8)


BINARY = {
    "add": lambda t, x, y: t.add(x, y, alpha=2),
    "sub": lambda t, x, y: x - y,
    "rsub": lambda t, x, y: t.rsub(x, y),
    "mul": lambda t, x, y: x * y,
    "div": lambda t, x, y: x / y,
    "pow": lambda t, x, y: x**y,
    "eq": lambda t, x, y: x == y,
    "ne": lambda t, x, y: t.ne(x, y),
    "logical_and": lambda t, x, y: t.logical_and(x, y),
    "where": lambda t, x, y: t.where(t.tensor([True, False, True, True]), x, y),
    "addcmul": lambda t, x, y: t.addcmul(x, y, y, value=3),
    "addcdiv": lambda t, x, y: t.addcdiv(x, x, y),
    "lerp": lambda t, x, y: t.lerp(x, y, 0.25) if x.dtype == y.dtype else x + y,
}


WIDTHS = {"float32": 4, "complex64": 4, "float64": 8, "complex128": 8}
KINDS = "complex64 complex64, complex128 complex64, complex64 float32, float64 complex64, float32 complex128"


@pytest.mark.parametrize("kinds", [pair.split() for pair in KINDS.split(", ")])
@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_numbers_agree_over_dtypes_and_broadcasts(name, kinds):
    function = BINARY[name]
    for x, y in (((3, 4), (3, 4)), ((3, 1), (4,)), ((), (4,)), ((0, 1), (4,)), ((2, 4), ())):
        if name == "addcdiv" and kinds[0] != kinds[1]:
            continue
        # PyTorch's own backward of `where` refuses a real and a complex input.
        gradients = name != "where" or kinds[0][:5] == kinds[1][:5]
        arrays = numbers(x, kinds[0]), numbers(y, kinds[1], 2)
        # Gradients of 0-dim tensors are float64 numbers computed in the other one's precision.
        mixed = len({WIDTHS[kind] for kind in kinds}) > 1
        compare(function, *arrays, scale=3e7 if mixed else 8, gradients=gradients, second=x == (3, 4))


@pytest.mark.parametrize("dtype", ("float32", "float64", "complex64", "complex128", "int64"))
@pytest.mark.parametrize("number", (2j, 1 - 0.5j, 0.1 + 0.7j))
def test_numbers_of_python_lift_the_kind_and_keep_the_precision(dtype, number):
    x = numbers((4,), dtype) if dtype != "int64" else np.arange(1, 5)
    for function in (
        lambda t, x: x + number,
        lambda t, x: number - x,
        lambda t, x: x * number,
        lambda t, x: number / x,
        lambda t, x: x**number,
        lambda t, x: t.mul(x, number),
        lambda t, x: x == number,
        lambda t, x: t.where(x == x, x, number),
    ):
        compare(function, x, scale=8)


REDUCTIONS = {
    "sum": lambda t, x: x.sum(),
    "sum1": lambda t, x: x.sum(1),
    "sum2": lambda t, x: x.sum((0, -1), keepdim=True),
    "mean": lambda t, x: x.mean(0),
    "prod": lambda t, x: x.prod(),
    "prod1": lambda t, x: x.prod(1),
    "cumsum": lambda t, x: x.cumsum(1),
    "norm": lambda t, x: x.norm(),
    "norm1": lambda t, x: t.linalg.vector_norm(x, 1, 1),
    "norminf": lambda t, x: t.linalg.vector_norm(x, float("inf"), 1),
    "norm3": lambda t, x: t.linalg.vector_norm(x, 3),
    "var": lambda t, x: x.var(),
    "std": lambda t, x: x.std(1),
    "any": lambda t, x: x.any(1),
    "all": lambda t, x: x.all(),
    "trace": lambda t, x: x[:3, :3].trace(),
    "count_nonzero": lambda t, x: x.count_nonzero(),
    "cov": lambda t, x: t.cov(x),
    "corrcoef": lambda t, x: t.corrcoef(x),
    "float_power": lambda t, x: t.float_power(x, 2),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_agree(name, dtype):
    compare(REDUCTIONS[name], numbers((3, 5), dtype), scale=8, second=True)


PRODUCTS = {
    "mm": (lambda t, x, y: x @ y, (3, 4), (4, 5)),
    "mm of transposed": (lambda t, x, y: x.t() @ y.t(), (4, 3), (5, 4)),
    "bmm": (lambda t, x, y: t.bmm(x, y), (2, 3, 4), (2, 4, 5)),
    "matmul": (lambda t, x, y: t.matmul(x, y), (2, 1, 3, 4), (3, 4, 2)),
    "mv": (lambda t, x, y: x.mv(y), (3, 4), (4,)),
    "dot": (lambda t, x, y: x.dot(y), (4,), (4,)),
    "vdot": (lambda t, x, y: t.vdot(x, y), (4,), (4,)),
    "outer": (lambda t, x, y: t.outer(x, y), (3,), (4,)),
    "einsum": (lambda t, x, y: t.einsum("bij,bkj->bik", x, y), (2, 3, 4), (2, 5, 4)),
    "linear": (lambda t, x, y: t.nn.functional.linear(x, y), (2, 3, 4), (5, 4)),
    "addmm": (lambda t, x, y: t.addmm(y[:1, :1], x, y), (3, 4), (4, 5)),
    "empty": (lambda t, x, y: x @ y, (3, 0), (0, 5)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PRODUCTS)
def test_products_agree(name, dtype):
    function, x, y = PRODUCTS[name]
    compare(function, numbers(x, dtype), numbers(y, dtype, 2), scale=8, second=True)


MOVES = {
    "cat": lambda t, x: t.cat([x, x[:1]]),
    "cat of mixed": lambda t, x: t.cat([x, x.abs()]),
    "stack": lambda t, x: t.stack([x, x], 1),
    "flip": lambda t, x: x.flip(0, 1),
    "roll": lambda t, x: x.roll(2, 1),
    "pad": lambda t, x: t.nn.functional.pad(x, (1, 2)),
    "index": lambda t, x: x[t.tensor([2, 0, 2])],
    "mask": lambda t, x: x[x.real > 0],
    "gather": lambda t, x: x.gather(1, t.tensor([[0, 1], [3, 3], [2, 0]])),
    "index_select": lambda t, x: x.index_select(1, t.tensor([3, 0])),
    "take": lambda t, x: x.take(t.tensor([5, 1])),
    "masked_fill": lambda t, x: x.masked_fill(x.real > 0, 2.5),
    "masked_fill of a complex number": lambda t, x: x.masked_fill(x.real > 0, 2.5j),
    "tril": lambda t, x: x.tril(),
    "triu": lambda t, x: x.triu(1),
    "diag": lambda t, x: t.diag(x[0]),
    "repeat": lambda t, x: x.repeat(2, 1),
    "repeat_interleave": lambda t, x: x.repeat_interleave(2, 0),
    "expand": lambda t, x: x[:, :1].expand(3, 4) * 1,
    "permute": lambda t, x: x.permute(1, 0).contiguous(),
    "unfold": lambda t, x: x.unfold(1, 2, 1),
    "real": lambda t, x: x.real,
    "imag": lambda t, x: x.imag,
    "mH": lambda t, x: x.mH,
    "H": lambda t, x: x.H,
    "adjoint": lambda t, x: t.adjoint(x),
    "to real and back": lambda t, x: t.view_as_complex(t.view_as_real(x) * 2),
    "to complex128": lambda t, x: x.to(t.complex128),
    "scatter": lambda t, x: x.scatter(1, t.tensor([[0], [1], [2]]), x[:, :1] * 3),
    "index_add": lambda t, x: x.index_add(0, t.tensor([0, 0]), x[:2]),
    "scatter_add": lambda t, x: x.scatter_add(1, t.tensor([[0, 0], [1, 1], [2, 2]]), x[:, :2]),
    "index_put": lambda t, x: x.index_put((t.tensor([0, 0]),), x[:2], accumulate=True),
    "write to the real part": lambda t, x: _written(t, x, "real"),
    "write to the imaginary part": lambda t, x: _written(t, x, "imag"),
    "write to a slice": lambda t, x: _sliced(t, x),
}


def _written(t, x, part):
    y = x * 1
    getattr(y, part).mul_(3)
    getattr(y, part)[0] = x.real[0]
    return y


def _sliced(t, x):
    y = x * 1
    y[1] = 2 - 1j
    y[:, 0] += 1j
    y[:, 1] *= x[:, 2]
    return y


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", MOVES)
def test_moves_agree(name, dtype):
    compare(MOVES[name], numbers((3, 4), dtype), scale=8, second=name != "real" and name != "imag")


def test_creation_and_conversion_agree():
    for function in (
        lambda t: t.tensor([1 + 2j, 3]),
        lambda t: t.tensor([[1, 2j], [True, 1.5]]),
        lambda t: t.tensor(1j, dtype=t.complex128),
        lambda t: t.tensor(np.array([1j], dtype="complex64")),
        lambda t: t.tensor([np.complex64(1j)]),
        lambda t: t.zeros(2, dtype=t.complex64),
        lambda t: t.ones(2, 3, dtype=t.complex128),
        lambda t: t.full((2,), 1 - 2j),
        lambda t: t.full((2,), 0.1j, dtype=t.complex128),
        lambda t: t.full_like(t.ones(2, dtype=t.complex64), 2j),
        lambda t: t.ones(2, dtype=t.complex64).new_full((1,), 3j),
        lambda t: t.eye(2, dtype=t.complex64),
        lambda t: t.complex(t.ones(2), t.tensor([0.5, 2])),
        lambda t: t.polar(t.ones(2, dtype=t.float64), t.tensor([0.5, 2], dtype=t.float64)),
        lambda t: t.zeros(2, dtype=t.complex64).fill_(1 + 1j),
        lambda t: t.arange(3).to(t.complex64),
        lambda t: t.tensor([1.5, 2]).cdouble(),
        lambda t: t.tensor([1 + 1j, 0]).bool(),
        lambda t: t.view_as_complex(t.ones(3, 2)),
        lambda t: t.linspace(0, 1, 3).cfloat(),
    ):
        agree(function(torch), function(rustnn))


def test_results_have_pytorchs_dtypes():
    kinds = [torch.float32, torch.float64, torch.int64, torch.bool, torch.float16, torch.complex64, torch.complex128]
    for a, b in itertools.product(kinds, kinds):
        ours = getattr(rustnn, str(a)[6:]), getattr(rustnn, str(b)[6:])
        assert str(rustnn.promote_types(*ours)) == str(torch.promote_types(a, b))
        for shapes in (((2,), (2,)), ((2,), ()), ((), (2,))):
            theirs = torch.result_type(torch.ones(shapes[0], dtype=a), torch.ones(shapes[1], dtype=b))
            mine = rustnn.result_type(rustnn.ones(shapes[0], dtype=ours[0]), rustnn.ones(shapes[1], dtype=ours[1]))
            assert str(mine) == str(theirs)
    for dtype in kinds:
        mine = rustnn.result_type(rustnn.ones(2, dtype=getattr(rustnn, str(dtype)[6:])), 1j)
        assert str(mine) == str(torch.result_type(torch.ones(2, dtype=dtype), 1j))


@pytest.mark.parametrize(
    "make",
    [
        lambda t: t.tensor([1 + 2j, 3.5 - 0.25j]),
        lambda t: t.tensor(1j),
        lambda t: t.tensor([1 + 2j], dtype=t.complex128),
        lambda t: t.tensor([[1e-5 + 1j, 2], [float("nan"), complex(float("inf"), -1)]]),
        lambda t: t.empty(0, dtype=t.complex64),
        lambda t: t.tensor([1j, 2], requires_grad=True),
        lambda t: t.arange(2000).cfloat() * (1 - 2j),
        lambda t: t.ones(2, 3, 2, dtype=t.complex64) * 1e9j,
        lambda t: t.tensor([1e-9j, -0.0]),
        lambda t: t.arange(40).cfloat() * 1.2345j,
    ],
)
def test_texts_are_pytorchs(make):
    assert repr(make(rustnn)) == repr(make(torch))


def test_python_numbers_come_out():
    for dtype in DTYPES:
        (theirs,), (ours,) = both(numbers((2, 3), dtype))
        assert ours.tolist() == theirs.tolist() and ours[0, 1].item() == theirs[0, 1].item()
        assert complex(ours[1, 1]) == complex(theirs[1, 1])
        assert (ours.numpy() == theirs.numpy()).all() and ours.numpy().dtype == theirs.numpy().dtype
        assert (rustnn.from_numpy(ours.numpy()) == ours).all()
    assert float(rustnn.tensor(2 + 0j)) == 2.0 and bool(rustnn.tensor(1j))


REFUSED = {
    "order": lambda t, z: z < z,
    "order of a number": lambda t, z: z >= 1,
    "maximum": lambda t, z: t.maximum(z, z),
    "sign": lambda t, z: t.sign(z),
    "clamp": lambda t, z: z.clamp(min=0),
    "floor": lambda t, z: z.floor(),
    "round": lambda t, z: z.round(),
    "remainder": lambda t, z: z % 2,
    "floor_divide": lambda t, z: z // 2,
    "relu": lambda t, z: t.relu(z),
    "erf": lambda t, z: z.erf(),
    "atan2": lambda t, z: t.atan2(z, z),
    "bits": lambda t, z: z & z,
    "float": lambda t, z: float(z[0]),
    "int": lambda t, z: int(z[0]),
    "abs_": lambda t, z: z.abs_(),
    "imag of reals": lambda t, z: t.ones(2).imag,
    "in place into reals": lambda t, z: t.ones(2).add_(1j),
    "fill of reals": lambda t, z: t.ones(2).fill_(1j),
    "full of reals": lambda t, z: t.full((2,), 1j, dtype=t.float32),
    "tensor of reals": lambda t, z: t.tensor([1j], dtype=t.float32),
    "complex of two dtypes": lambda t, z: t.complex(t.ones(2), t.ones(2, dtype=t.float64)),
    "complex of integers": lambda t, z: t.complex(t.arange(2), t.arange(2)),
    "polar of shapes": lambda t, z: t.polar(t.ones(2), t.ones(3)),
    "view_as_real of reals": lambda t, z: t.view_as_real(t.ones(2)),
    "view_as_complex of threes": lambda t, z: t.view_as_complex(t.ones(3)),
    "view_as_complex of integers": lambda t, z: t.view_as_complex(t.ones(3, 2, dtype=t.int64)),
    "view_as_complex of rows": lambda t, z: t.view_as_complex(t.ones(2, 3).t()),
    "view_as_complex of nothing": lambda t, z: t.view_as_complex(t.tensor(1.0)),
    "view_as_complex of odd rows": lambda t, z: t.view_as_complex(t.ones(9)[1:].as_strided((2, 2), (3, 1))),
    "view_as_complex at an odd place": lambda t, z: t.view_as_complex(t.ones(9).as_strided((2, 2), (2, 1), 1)),
    "backward of a complex sum": lambda t, z: z.clone().requires_grad_().sum().backward(),
    "cdist": lambda t, z: t.cdist(z[None], z[None]),
    "cosine_similarity": lambda t, z: t.nn.functional.cosine_similarity(z, z, 0),
    "integers that require gradients": lambda t, z: z.long().requires_grad_(),
}


@pytest.mark.filterwarnings("ignore:Casting complex")
@pytest.mark.parametrize("name", REFUSED)
def test_refusals_are_pytorchs(name):
    said = []
    for t in (torch, rustnn):
        with pytest.raises(Exception) as caught:
            REFUSED[name](t, t.tensor([1 + 1j, 2 - 1j]))
        said.append((type(caught.value), str(caught.value)))
    assert issubclass(said[1][0], said[0][0]) and said[1][1] == said[0][1]


def test_parts_that_are_lost_are_warned_of():
    # PyTorch says it once in a process.
    with pytest.warns(UserWarning, match="Casting complex values to real discards the imaginary part"):
        assert rustnn.tensor([1 + 2j]).to(rustnn.float64).tolist() == [1.0]


ONE = "fft ifft rfft irfft hfft ihfft".split()
MANY = "fft2 ifft2 rfft2 irfft2 hfft2 ihfft2 fftn ifftn rfftn irfftn hfftn ihfftn".split()
REAL_ONLY = ("rfft", "ihfft")


def inputs_of(name, shape, dtypes=("float32", "float64", "complex64", "complex128")):
    real = name.startswith(REAL_ONLY)
    return [numbers(shape, dtype) for dtype in dtypes if not (real and dtype.startswith("complex"))]


@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize("name", ONE)
def test_transforms_along_a_dimension_agree(name, norm):
    for x in inputs_of(name, (3, 10)):
        for n, dim in ((None, -1), (7, -1), (12, 1), (16, 0), (1, 0), (None, 0), (31, 1)):
            call = lambda t, x, n=n, dim=dim: getattr(t.fft, name)(x, n, dim, norm)  # noqa: E731
            compare(call, x, scale=8, second=n == 7)
    compare(lambda t, x: getattr(t.fft, name)(x[:, ::2].t(), 5, 0), inputs_of(name, (3, 10))[0], scale=8)


@pytest.mark.parametrize("name", MANY)
def test_transforms_along_several_dimensions_agree(name):
    for x in inputs_of(name, (2, 5, 6)):
        for s, dim in ((None, None), (None, (0, 1)), ((4, 7), (-1, 0)), ((3, 8), None), ((-1, 5), (1, 2))):
            if dim is None and name.endswith("2"):
                call = lambda t, x, s=s: getattr(t.fft, name)(x, s)  # noqa: E731
            else:
                call = lambda t, x, s=s, dim=dim: getattr(t.fft, name)(x, s, dim, "ortho")  # noqa: E731
            compare(call, x, scale=8, second=s == (3, 8))


@pytest.mark.parametrize("n", [1, 2, 3, 17, 64, 97, 210, 1009, 1024])
def test_any_length_agrees(n):
    for dtype in ("complex64", "complex128"):
        compare(lambda t, x: t.fft.fft(x), numbers((2, n), dtype), scale=30)
        compare(lambda t, x: t.fft.irfft(t.fft.rfft(x), n), numbers((2, n), dtype).real.copy(), scale=30)


def test_whole_numbers_and_out_agree():
    for t in (torch, rustnn):
        assert t.fft.fft(t.arange(4)).dtype == t.complex64
        out = t.empty(0, dtype=t.complex128)
        assert t.fft.rfft(t.ones(4), out=out) is out and out.shape == (3,)
    agree(torch.fft.fft(torch.arange(6) > 2), rustnn.fft.fft(rustnn.arange(6) > 2))
    agree(torch.fft.fftfreq(7, 0.3), rustnn.fft.fftfreq(7, 0.3))
    agree(torch.fft.rfftfreq(8, 0.3), rustnn.fft.rfftfreq(8, 0.3))
    agree(torch.fft.fftshift(torch.arange(12).reshape(3, 4)), rustnn.fft.fftshift(rustnn.arange(12).reshape(3, 4)))


BAD_TRANSFORMS = {
    "norm": lambda t, x, z: t.fft.fft(x, norm="bad"),
    "no points": lambda t, x, z: t.fft.fft(x, n=0),
    "negative points": lambda t, x, z: t.fft.rfft(x, n=-1),
    "no dimensions": lambda t, x, z: t.fft.fft(t.tensor(1.0)),
    "dimension": lambda t, x, z: t.fft.fft(x, dim=5),
    "halves": lambda t, x, z: t.fft.fft(x.half()),
    "bfloat16": lambda t, x, z: t.fft.rfft(x.bfloat16()),
    "empty": lambda t, x, z: t.fft.fft(x[:, :0]),
    "rfft of complex": lambda t, x, z: t.fft.rfft(z),
    "rfftn of complex": lambda t, x, z: t.fft.rfftn(z),
    "ihfft of complex": lambda t, x, z: t.fft.ihfft(z),
    "ihfft2 of complex": lambda t, x, z: t.fft.ihfft2(z),
    "fft2 of a vector": lambda t, x, z: t.fft.fft2(x[0]),
    "one size for two": lambda t, x, z: t.fft.fft2(x, s=(3,)),
    "dimension twice": lambda t, x, z: t.fft.fft2(x, s=(3, 3), dim=(0, 0)),
    "more sizes than dimensions": lambda t, x, z: t.fft.fftn(x, s=(3, 3, 3)),
    "size of 0": lambda t, x, z: t.fft.fftn(x, s=(-1, 0)),
    "rfftn of no dimension": lambda t, x, z: t.fft.rfftn(x, dim=()),
    "irfftn of no dimension": lambda t, x, z: t.fft.irfftn(z, dim=()),
    "irfft of one": lambda t, x, z: t.fft.irfft(z[:, :1]),
    "real out": lambda t, x, z: t.fft.fft(x, out=t.empty(0)),
    "complex out": lambda t, x, z: t.fft.irfft(z, out=t.empty(0, dtype=t.complex64)),
    "list": lambda t, x, z: t.fft.fft([1, 2]),
    "fftfreq of integers": lambda t, x, z: t.fft.fftfreq(4, dtype=t.int64),
    "fftfreq of less than none": lambda t, x, z: t.fft.fftfreq(-1),
    "fftshift": lambda t, x, z: t.fft.fftshift(x, (0, 5)),
    "stft without return_complex": lambda t, x, z: t.stft(x[0], 4, window=t.ones(4)),
    "stft hop": lambda t, x, z: t.stft(x[0], 4, 0, window=t.ones(4), return_complex=True),
    "stft window length": lambda t, x, z: t.stft(x[0], 4, win_length=5, return_complex=True),
    "stft window": lambda t, x, z: t.stft(x[0], 4, window=t.ones(3), return_complex=True),
    "stft onesided": lambda t, x, z: t.stft(z[0], 4, onesided=True, return_complex=True),
    "stft rank": lambda t, x, z: t.stft(x[None], 4, return_complex=True),
    "stft of integers": lambda t, x, z: t.stft(x[0].long(), 4, center=False, return_complex=True),
    "stft size": lambda t, x, z: t.stft(x[0], 100, center=False, return_complex=True),
    "stft align": lambda t, x, z: t.stft(x[0], 4, return_complex=True, align_to_window=True),
    "istft of reals": lambda t, x, z: t.istft(x[:3], 4),
    "istft hop": lambda t, x, z: t.istft(z[:3], 4, hop_length=5),
    "istft window": lambda t, x, z: t.istft(z[:3], 4, window=t.ones(3)),
    "istft windows of zeros": lambda t, x, z: t.istft(z[:3], 4, window=t.zeros(4)),
    "istft empty": lambda t, x, z: t.istft(z[:3, :0], 4),
    "istft frequencies": lambda t, x, z: t.istft(z[:3], 4, onesided=False),
    "istft complex and onesided": lambda t, x, z: t.istft(z[:3], 4, return_complex=True),
}


@pytest.mark.filterwarnings("ignore:A window was not provided")
@pytest.mark.parametrize("name", BAD_TRANSFORMS)
def test_refusals_of_transforms_are_pytorchs(name):
    said = []
    for t in (torch, rustnn):
        with pytest.raises(Exception) as caught:
            BAD_TRANSFORMS[name](t, t.ones(4, 6), t.ones(4, 6, dtype=t.complex64))
        said.append((type(caught.value), str(caught.value).splitlines()[0]))
    assert issubclass(said[1][0], said[0][0]) and said[1][1] == said[0][1]


STFTS = [
    {},
    {"hop_length": 3},
    {"win_length": 6},
    {"center": False},
    {"pad_mode": "constant"},
    {"pad_mode": "replicate"},
    {"normalized": True},
    {"onesided": False},
    {"hop_length": 8, "center": False},
]


@pytest.mark.filterwarnings("ignore:stft with return_complex=False")
@pytest.mark.parametrize("options", STFTS)
def test_spectrograms_agree_there_and_back(options):
    width = options.get("win_length", 8)
    window = np.hanning(width + 2)[1:-1]
    for dtype in ("float32", "float64"):
        for shape in ((30,), (2, 30)):
            x = numbers(shape, dtype)
            forward = lambda t, x, w: t.stft(x, 8, window=w, return_complex=True, **options)  # noqa: E731
            compare(forward, x, window.astype(dtype), scale=8)
            back = {k: v for k, v in options.items() if k != "pad_mode"}
            for more in ({}, {"length": 21}):
                options_back = {**back, **more}
                inverse = lambda t, x, w, there=forward, o=options_back: t.istft(there(t, x, w), 8, window=w, **o)  # noqa: E731
                compare(inverse, x, window.astype(dtype), scale=40)
    compare(lambda t, x, w: t.stft(x, 8, window=w, return_complex=False, **options), numbers((30,), "float64"), window)
    if "onesided" not in options:
        compare(lambda t, x, w: x.stft(8, window=w, **options), numbers((2, 30)), window.astype("complex128"), scale=8)


def test_rotary_embeddings_agree():
    def rotary(t, x, angles):
        turns = t.polar(t.ones_like(angles), angles)
        pairs = t.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2))
        return t.view_as_real(pairs * turns[None, :, None]).flatten(3).type_as(x)

    compare(rotary, numbers((2, 5, 3, 8), "float32"), numbers((5, 4), "float32", 2), second=True)


@pytest.mark.parametrize("name", "SGD Adam AdamW RMSprop Adagrad Adadelta Adamax NAdam RAdam Rprop ASGD".split())
def test_optimizers_step_complex_parameters_alike(name):
    ends = []
    for t in (torch, rustnn):
        p = t.nn.Parameter(t.tensor(numbers((3, 2))))
        q = t.nn.Parameter(t.tensor(numbers((2,), "float64", 2)))
        options = {"momentum": 0.9} if name == "SGD" else {}
        optimizer = getattr(t.optim, name)([p, q], lr=0.05, **options)
        for _ in range(4):
            optimizer.zero_grad()
            ((p @ q.to(p.dtype)).abs() ** 2).sum().backward()
            optimizer.step()
        ends.append((p, q))
    agree(ends[0], ends[1], 10)


def test_layers_hold_complex_parameters():
    for t in (torch, rustnn):
        layer = t.nn.Linear(3, 2, dtype=t.complex64)
        assert layer.weight.dtype == t.complex64 and layer(t.ones(1, 3, dtype=t.complex64)).dtype == t.complex64
        with pytest.warns(UserWarning, match="Complex modules"):
            layer.to(t.complex128)
        assert layer.weight.dtype == t.complex128
        t.nn.init.normal_(layer.weight)
        t.nn.init.xavier_uniform_(layer.weight)
        t.nn.init.zeros_(layer.bias)
