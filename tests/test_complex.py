"""Complex arithmetic: against NumPy and by identities; gradients by differences."""

import threading

import numpy as np
import pytest

import rustnn
from rustnn import nn
from rustnn.autograd import gradcheck, gradgradcheck


def numbers(*shape, dtype=np.complex128, seed=0):
    random = np.random.RandomState(seed)
    return (random.uniform(-2, 2, shape) + 1j * random.uniform(-2, 2, shape)).astype(dtype)


def tensor(*shape, dtype=np.complex128, seed=0, grad=False):
    return rustnn.tensor(numbers(*shape, dtype=dtype, seed=seed)).requires_grad_(grad)


def close(ours, expected, error=1e-12):
    got = ours.detach().numpy()
    assert got.shape == np.shape(expected)
    assert np.abs(got - expected).max(initial=0) <= error * np.abs(expected).max(initial=1)


NUMPYS = {
    "reciprocal": np.reciprocal,
    "square": np.square,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "abs": np.abs,
    "angle": np.angle,
    "conj": np.conj,
}


@pytest.mark.parametrize("name", NUMPYS)
def test_functions_are_numpys_and_their_gradients_those_of_differences(name):
    x = numbers(6, 5)
    close(getattr(rustnn, name)(rustnn.tensor(x)), NUMPYS[name](x))
    close(getattr(rustnn, name)(rustnn.tensor(x.astype(np.complex64))), NUMPYS[name](x), 1e-6)
    z = tensor(3, 2, grad=True, seed=4)
    assert gradcheck(getattr(rustnn, name), z)
    assert gradgradcheck(getattr(rustnn, name), z)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize(
    "function",
    [
        rustnn.add,
        rustnn.sub,
        rustnn.mul,
        rustnn.div,
        lambda x, y: x**y,
        lambda x, y: rustnn.where(x.real > 0, x, y),
        lambda x, y: rustnn.addcmul(x, y, y),
    ],
)
def test_gradients_of_two_numbers_are_those_of_differences(function, mixed):
    x = tensor(3, 2, grad=True)
    y = (rustnn.rand(2, dtype=rustnn.float64) + 0.5).requires_grad_() if mixed else tensor(2, grad=True, seed=3)
    assert gradcheck(function, (x, y)) and gradgradcheck(function, (x, y))
    if mixed:
        function(x, y).abs().sum().backward()
        assert y.grad.dtype == rustnn.float64 and x.grad.dtype == rustnn.complex128


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.sum(0),
        lambda x: x.mean(),
        lambda x: x.prod(1),
        lambda x: x.cumsum(1),
        lambda x: x.norm(),
        lambda x: x.var(0),
        lambda x: x.std(),
        lambda x: x @ x.mH,
        lambda x: x.real * x.imag,
        lambda x: rustnn.view_as_complex(rustnn.view_as_real(x) ** 2),
        lambda x: x.sgn(),
        lambda x: x[:, [0, 1, 0]],
        lambda x: rustnn.cat([x, x.abs()]),
        lambda x: x.masked_fill(x.real > 0, 1j),
    ],
)
def test_gradients_of_one_tensor_are_those_of_differences(function):
    x = tensor(2, 3, grad=True)
    assert gradcheck(function, x) and gradgradcheck(function, x)


def test_the_gradient_is_that_of_both_parts():
    z = tensor(4, grad=True)
    (z.real**2 + 3 * z.imag).sum().backward()
    close(z.grad, 2 * z.detach().numpy().real + 3j)


def test_parts_are_views_that_can_be_written_with_a_history():
    z = tensor(3, grad=True)
    w = z * 1
    w.real.mul_(2)
    w.imag = w.real
    assert w.detach().numpy() == pytest.approx(2 * z.detach().numpy().real * (1 + 1j))
    w.abs().sum().backward()
    close(z.grad, 2 * np.sqrt(2) * np.sign(z.detach().numpy().real) + 0j)
    pairs = rustnn.zeros(2, 2, dtype=rustnn.float64, requires_grad=True)
    base = pairs * 1
    rustnn.view_as_complex(base).add_(1 + 2j)
    assert base.tolist() == [[1, 2], [1, 2]]
    base.sum().backward()
    assert pairs.grad.tolist() == [[1, 1], [1, 1]]


def test_real_tensors_pass_through():
    x = rustnn.tensor([1.0, -2.0])
    assert rustnn.real(x) is not None and rustnn.equal(x.conj(), x) and rustnn.equal(rustnn.resolve_conj(x), x)
    assert x.angle().tolist() == pytest.approx([0, np.pi]) and not x.is_conj() and x.isreal().all()


@pytest.mark.parametrize("layout", [lambda x: x, lambda x: x.t(), lambda x: x[::2, 1:], lambda x: x[:, ::3]])
@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_large_and_strided_arrays_agree_with_numpy(layout, dtype):
    a, b = numbers(311, 253, dtype=dtype), numbers(253, 311, dtype=dtype, seed=2).T.copy()
    x, y = layout(rustnn.tensor(a)), layout(rustnn.tensor(b))
    a, b = x.numpy(), y.numpy()
    error = 1e-6 if dtype is np.complex64 else 1e-14
    close(x * y + x / y, a * b + a / b, 20 * error)
    close(x.to(rustnn.complex128), a.astype(np.complex128), error)
    close(x.real + x.imag, a.real + a.imag, error)
    close(x.sum(0), a.sum(0), 50 * error)
    close(x.mH @ y, a.conj().T @ b, 50 * error)


def test_results_are_the_same_on_any_number_of_threads():
    x, y = tensor(700, 300, dtype=np.complex64), tensor(700, 300, dtype=np.complex64, seed=1)

    def all_of_it():
        return [(x * y).exp(), x.sum(), x.abs(), x @ y.mH, rustnn.fft.fft2(x)]

    before = rustnn.get_num_threads()
    try:
        rustnn.set_num_threads(1)
        alone = all_of_it()
        rustnn.set_num_threads(4)
        together = all_of_it()
    finally:
        rustnn.set_num_threads(before)
    assert all(rustnn.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_random_numbers_have_half_of_the_variance_in_each_part():
    x = rustnn.randn(20000, dtype=rustnn.complex64)
    assert x.real.var().item() == pytest.approx(0.5, abs=0.03) and x.imag.var().item() == pytest.approx(0.5, abs=0.03)
    assert abs(x.mean().item()) < 0.03
    u = rustnn.rand(1000, dtype=rustnn.complex128)
    assert 0 <= u.real.min().item() and u.imag.max().item() < 1


def test_files_and_arrays_keep_complex_numbers(tmp_path):
    z = tensor(3, dtype=np.complex64)
    rustnn.save({"z": z}, tmp_path / "z.pt")
    assert rustnn.equal(rustnn.load(tmp_path / "z.pt")["z"], z)
    array = z.numpy()
    array[0] = 5j
    assert z[0].item() == 5j


def test_threads_of_python_share_the_plans_of_transforms():
    expected = rustnn.fft.fft(rustnn.ones(60))
    results = []
    threads = [threading.Thread(target=lambda: results.append(rustnn.fft.fft(rustnn.ones(60)))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all(rustnn.equal(result, expected) for result in results)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda z: nn.functional.mse_loss(z, z), "mse_cpu\" not implemented for 'ComplexFloat'"),
        (lambda z: rustnn.nansum(z), "nansum on CPU does not support complex inputs"),
        (lambda z: rustnn.randint(0, 3, (2,), dtype=z.dtype), "check_random_bounds handles only integral"),
    ],
)
def test_what_has_no_meaning_for_complex_numbers_is_refused(call, message):
    with pytest.raises(RuntimeError, match=message):
        call(rustnn.ones(2, dtype=rustnn.complex64))


def test_polar_has_the_gradient_of_its_formula_for_lengths_of_any_sign():
    length = rustnn.tensor([-2.0, 0.0, 1.5], dtype=rustnn.float64, requires_grad=True)
    angle = rustnn.tensor([0.3, -1.0, 2.0], dtype=rustnn.float64, requires_grad=True)
    assert gradcheck(rustnn.polar, (length, angle))


def test_masks_and_places_take_complex_numbers():
    mask = rustnn.tensor([True, False, True])
    x = rustnn.ones(3, dtype=rustnn.complex64)
    x[mask] = 2j
    assert x.tolist() == [2j, 1, 2j]
    x[mask] = 0
    assert x.tolist() == [0, 1, 0]
    assert rustnn.index_put(x, (mask,), rustnn.tensor(3j)).tolist() == [3j, 1, 3j]
    assert x.index_fill(0, rustnn.tensor([1]), 5j).tolist() == [0, 5j, 0]
    x.index_fill_(0, rustnn.tensor([0]), rustnn.tensor(1 + 1j))
    assert x.tolist() == [1 + 1j, 1, 0]


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("transposed", [False, True])
def test_a_convolution_is_made_of_those_of_the_parts(dims, transposed):
    x, weight, bias = tensor(2, 4, *[5] * dims, seed=1), tensor(4, 2, *[3] * dims, seed=2), tensor(4, seed=3)
    convolve = getattr(nn.functional, f"conv{'_transpose' * transposed}{dims}d")
    settings = {"stride": 2, "padding": 1, "groups": 2}
    ours = convolve(x, weight, bias, **settings)

    def of(a, b):
        return convolve(a.contiguous(), b.contiguous(), **settings).numpy()

    expected = (
        of(x.real, weight.real) - of(x.imag, weight.imag) + 1j * (of(x.real, weight.imag) + of(x.imag, weight.real))
    )
    close(ours, expected + bias.numpy().reshape(-1, *[1] * dims))
    assert ours.shape[1] == 4


def test_a_complex_convolution_has_its_gradients_twice():
    x, weight, bias = tensor(1, 2, 4, grad=True), tensor(2, 2, 2, seed=1, grad=True), tensor(2, seed=2, grad=True)
    assert gradcheck(nn.functional.conv1d, (x, weight, bias))
    assert gradgradcheck(nn.functional.conv1d, (x, weight, bias))
    layer = nn.Conv2d(2, 3, 3, padding="same", dtype=rustnn.complex64)
    out = layer(rustnn.ones(2, 4, 4, dtype=rustnn.complex64))
    assert out.shape == (3, 4, 4) and out.is_complex()
    out.abs().sum().backward()
    assert layer.weight.grad.is_complex() and layer.bias.grad.shape == (3,)


def test_rows_of_complex_numbers_are_added_where_an_index_says():
    a, rows = numbers(3, 2), numbers(4, 2, seed=1)
    expected = a.copy()
    np.add.at(expected, [0, 2, 0, 0], 2 * rows)
    index = rustnn.tensor([0, 2, 0, 0])
    close(rustnn.tensor(a).index_add(0, index, rustnn.tensor(rows), alpha=2), expected)
    x = rustnn.tensor(a)
    assert x.index_add_(0, index, rustnn.tensor(rows), alpha=2) is x
    close(x, expected)
    assert gradcheck(
        lambda x, rows: x.index_add(0, index, rows), (tensor(3, 2, grad=True), tensor(4, 2, seed=1, grad=True))
    )


def test_the_absolute_error_of_complex_numbers_is_their_distance():
    a, b = numbers(5), numbers(5, seed=1)
    for reduction, fold in (("mean", np.mean), ("sum", np.sum), ("none", np.array)):
        close(nn.functional.l1_loss(rustnn.tensor(a), rustnn.tensor(b), reduction=reduction), fold(abs(a - b)))


def test_zero_to_a_complex_power_is_zero_where_the_real_part_is_positive():
    zero = rustnn.zeros(1, dtype=rustnn.complex128)
    assert (zero ** (1 + 1j)).tolist() == (zero**0.5).tolist() == [0]
    assert (zero ** (-1 + 1j)).real.tolist() == [float("inf")]
    assert (zero**1j).isnan().all() and (zero**0).tolist() == [1]


def test_slopes_of_complex_numbers_keep_their_imaginary_part():
    a = numbers(7)
    close(rustnn.gradient(rustnn.tensor(a))[0], np.gradient(a))


def test_the_spectral_norm_of_a_complex_weight_is_its_largest_singular_value():
    layer = nn.Linear(2, 2, dtype=rustnn.complex128)
    with rustnn.no_grad():
        layer.weight.copy_(rustnn.diag(rustnn.tensor([3j, 1.0 + 0j], dtype=rustnn.complex128)))
    nn.utils.parametrizations.spectral_norm(layer)
    close(layer.weight, np.diag([1j, 1 / 3]))
    a = numbers(3, 4)
    wide = nn.Linear(4, 3, dtype=rustnn.complex128)
    with rustnn.no_grad():
        wide.weight.copy_(rustnn.tensor(a))
    nn.utils.parametrizations.spectral_norm(wide, n_power_iterations=200)
    close(wide.weight, a / np.linalg.norm(a, 2), error=1e-6)
