"""Discrete Fourier transforms of real and complex tensors, and frequencies that go with them.

    X_k = Σ_j x_j exp(-2πi jk / n)

Transforms of float32 and float64 and of complex64 and complex128; whole numbers become the default dtype. ``n`` or
``s`` cuts the input off or pads it with zeros first. ``norm`` says which direction divides: "backward" (the inverse one
by n, as for None), "forward" (the other one), "ortho" (both by √n).
"""

__all__ = """
    fft fft2 fftn hfft hfft2 hfftn ifft ifft2 ifftn ihfft ihfft2 ihfftn irfft irfft2 irfftn rfft rfft2 rfftn
    fftfreq fftshift ifftshift rfftfreq
""".split()

from . import _core
from ._out import filled, refuse_gradients, written
from ._tensor import _kind


def _norm(norm, forward):
    if norm in (None, "backward"):
        return "none" if forward else "all"
    if norm == "forward":
        return "all" if forward else "none"
    if norm == "ortho":
        return "root"
    raise RuntimeError(f'Invalid normalization mode: "{norm}"')


def _checked(name, input):
    """The input as floats or complex numbers."""
    if not isinstance(input, _core.Tensor):
        raise TypeError(f"fft_{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if input.dtype in (_core.float16, _core.bfloat16, _core.complex32):
        raise RuntimeError(f"Unsupported dtype {_kind(input.dtype)}")
    if not (input.is_floating_point() or input.is_complex()):
        return input.to(_core.get_default_dtype())
    return input


def _real(name, input, message="{name} expects a real input tensor, but got {kind}"):
    input = _checked(name, input)
    if input.is_complex():
        raise RuntimeError(message.format(name=name, kind=_kind(input.dtype)))
    return input


def _complex(name, input):
    input = _checked(name, input)
    if input.is_complex():
        return input
    return input.to(_core.complex128 if input.dtype == _core.float64 else _core.complex64)


def _wrapped(input, dim):
    rank = input.dim()
    if not isinstance(dim, int):
        raise TypeError(f"fft: argument 'dim' must be int, not {type(dim).__name__}")
    if rank == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    if not -rank <= dim < rank:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], but got {dim})")
    return dim % rank


def _points(name, n):
    if isinstance(n, bool) or not isinstance(n, int):
        try:
            n = n.__index__()
        except AttributeError:
            raise TypeError(f"fft_{name}(): argument 'n' must be int, not {type(n).__name__}") from None
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return n


def _fitted(input, sizes):
    """The input cut off or padded with zeros to the given sizes, one for each dimension in ``sizes``."""
    for dim, size in sizes.items():
        have = input.shape[dim]
        if have > size:
            input = input.narrow(dim, 0, size)
        elif have < size:
            shape = list(input.shape)
            shape[dim] = size - have
            input = _core.cat([input, _core.zeros(shape, dtype=input.dtype, device=input.device)], dim)
    return input


def _given(name, result, out, is_complex):
    if out is None:
        return result
    if is_complex != out.is_complex() or not (out.is_complex() or out.is_floating_point()):
        wanted = "complex" if is_complex else "floating point"
        raise RuntimeError(f"{name} expects a {wanted} output tensor, but got {_kind(out.dtype)}")
    refuse_gradients(name, result, out)
    return filled(result, out)


def _sizes(name, input, s, dim):
    """The dimensions of a transform over several, each with its size."""
    s = (s,) if isinstance(s, int) else s
    dim = (dim,) if isinstance(dim, int) else dim
    dims = None if dim is None else [_wrapped(input, d) for d in dim]
    if dims is not None and len(set(dims)) != len(dims):
        raise RuntimeError("FFT dims must be unique")
    if s is None:
        dims = list(range(input.dim())) if dims is None else dims
        s = [input.shape[d] for d in dims]
    else:
        if dims is None:
            if len(s) > input.dim():
                raise RuntimeError(
                    f"Got shape with {len(s)} values but input tensor only has {input.dim()} dimensions."
                )
            dims = list(range(input.dim() - len(s), input.dim()))
        elif len(s) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
        s = [input.shape[d] if n == -1 else n for d, n in zip(dims, s, strict=True)]
    return {d: _points(name, n) for d, n in zip(dims, s, strict=True)}


def _half_sizes(name, input, s, dim):
    """As :func:`_sizes` of a transform to real numbers: sizes of the input, and the last size of the result."""
    s = (s,) if isinstance(s, int) else s
    default = s is None or (len(s) > 0 and s[-1] == -1)
    try:
        sizes = _sizes(name, input, s, dim)
    except RuntimeError:
        if not default:
            raise
        sizes = None
    if sizes is not None and not sizes:
        raise RuntimeError(f"{name} must transform at least one axis")
    if sizes is None:
        return _sizes(name, input, s, dim), 0
    last = next(reversed(sizes))
    n = _points(name, 2 * (input.shape[last] - 1)) if default else sizes[last]
    sizes[last] = n // 2 + 1
    return sizes, n


def _transformed(name, input, sizes, norm, forward):
    input = _fitted(input, sizes)
    dims = list(sizes)
    mode = _norm(norm, forward)
    if not dims:
        return input.clone() if input.is_complex() else _complex(name, input)
    if not input.is_complex() and forward:
        return _core._fft_r2c(input, dims, mode, False)
    return _core._fft_c2c(_complex(name, input), dims, mode, forward)


def fft(input, n=None, dim=-1, norm=None, *, out=None):
    """The transform along one dimension.

    Args:
        n: size that the dimension gets first, its own if not given.
    Shapes: (*, n, *) -> (*, n, *), complex.
    Raises: RuntimeError for no points, halves, an unknown ``norm``.
    """
    input = _checked("fft", input)
    dim = _wrapped(input, dim)
    sizes = {dim: _points("fft", input.shape[dim] if n is None else n)}
    return _given("fft", _transformed("fft", input, sizes, norm, True), out, True)


def ifft(input, n=None, dim=-1, norm=None, *, out=None):
    """What undoes :func:`fft`.

    Shapes: (*, n, *) -> (*, n, *), complex.
    """
    input = _checked("ifft", input)
    dim = _wrapped(input, dim)
    sizes = {dim: _points("ifft", input.shape[dim] if n is None else n)}
    return _given("ifft", _transformed("ifft", input, sizes, norm, False), out, True)


def rfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The transform of real numbers: the first half of it, whose rest are conjugates.

    Shapes: (*, n, *) -> (*, n // 2 + 1, *), complex.
    """
    input = _real("rfft", input)
    dim = _wrapped(input, dim)
    input = _fitted(input, {dim: _points("rfft", input.shape[dim] if n is None else n)})
    return _given("rfft", _core._fft_r2c(input, [dim], _norm(norm, True), True), out, True)


def irfft(input, n=None, dim=-1, norm=None, *, out=None):
    """What undoes :func:`rfft`: real numbers from the first half of a transform.

    Args:
        n: size of the result, 2 (m - 1) if not given.
    Shapes: (*, m, *) -> (*, n, *), real.
    """
    input = _complex("irfft", input)
    dim = _wrapped(input, dim)
    n = _points("irfft", 2 * (input.shape[dim] - 1) if n is None else n)
    input = _fitted(input, {dim: n // 2 + 1})
    return _given("irfft", _core._fft_c2r(input, [dim], _norm(norm, False), n), out, False)


def hfft(input, n=None, dim=-1, norm=None, *, out=None):
    """The transform of a signal that is conjugate-symmetric in time, of which the first half is given: real numbers.

    Shapes: (*, m, *) -> (*, n, *), real; n is 2 (m - 1) if not given.
    """
    input = _complex("hfft", input)
    dim = _wrapped(input, dim)
    n = _points("hfft", 2 * (input.shape[dim] - 1) if n is None else n)
    input = _fitted(input, {dim: n // 2 + 1})
    return _given("hfft", _core._fft_c2r(input.conj(), [dim], _norm(norm, True), n), out, False)


def ihfft(input, n=None, dim=-1, norm=None, *, out=None):
    """What undoes :func:`hfft`.

    Shapes: (*, n, *) -> (*, n // 2 + 1, *), complex.
    """
    input = _real("ihfft", input)
    dim = _wrapped(input, dim)
    input = _fitted(input, {dim: _points("ihfft", input.shape[dim] if n is None else n)})
    return _given("ihfft", _core._fft_r2c(input, [dim], _norm(norm, False), True).conj(), out, True)


def fftn(input, s=None, dim=None, norm=None, *, out=None):
    """The transform along several dimensions, all if neither they nor sizes are given.

    Args:
        s: sizes that the dimensions get first, -1 for their own.
    Shapes: (*, *s) -> (*, *s), complex.
    """
    input = _checked("fftn", input)
    return _given("fftn", _transformed("fftn", input, _sizes("fftn", input, s, dim), norm, True), out, True)


def ifftn(input, s=None, dim=None, norm=None, *, out=None):
    """What undoes :func:`fftn`."""
    input = _checked("ifftn", input)
    return _given("ifftn", _transformed("ifftn", input, _sizes("ifftn", input, s, dim), norm, False), out, True)


def rfftn(input, s=None, dim=None, norm=None, *, out=None):
    """The transform of real numbers along several dimensions, of the last of which the first half is given.

    Shapes: (*, *s) -> (*, *s[:-1], s[-1] // 2 + 1), complex.
    """
    input = _real("rfftn", input, "{name} expects a real-valued input tensor, but got {kind}")
    sizes = _sizes("rfftn", input, s, dim)
    if not sizes:
        raise RuntimeError("rfftn must transform at least one axis")
    input = _fitted(input, sizes)
    return _given("rfftn", _core._fft_r2c(input, list(sizes), _norm(norm, True), True), out, True)


def irfftn(input, s=None, dim=None, norm=None, *, out=None):
    """What undoes :func:`rfftn`; the last size is 2 (m - 1) if not given."""
    input = _complex("irfftn", input)
    sizes, n = _half_sizes("irfftn", input, s, dim)
    input = _fitted(input, sizes)
    return _given("irfftn", _core._fft_c2r(input, list(sizes), _norm(norm, False), n), out, False)


def hfftn(input, s=None, dim=None, norm=None, *, out=None):
    """:func:`hfft` along the last of several dimensions, after :func:`fftn` along the others."""
    input = _complex("hfftn", input)
    sizes, n = _half_sizes("hfftn", input, s, dim)
    input, (*others, last), mode = _fitted(input, sizes), sizes, _norm(norm, True)
    if others:
        input = _core._fft_c2c(input, others, mode, True)
    return _given("hfftn", _core._fft_c2r(input.conj(), [last], mode, n), out, False)


def ihfftn(input, s=None, dim=None, norm=None, *, out=None):
    """What undoes :func:`hfftn`."""
    input = _real("ihfftn", input, "Only supports floating-point dtypes, but found: {kind}")
    sizes = _sizes("ihfftn", input, s, dim)
    if not sizes:
        raise RuntimeError("ihfftn must transform at least one axis")
    input, (*others, last), mode = _fitted(input, sizes), sizes, _norm(norm, False)
    result = _core._fft_r2c(input, [last], mode, True).conj()
    if others:
        result = _core._fft_c2c(result, others, mode, False)
    return _given("ihfftn", result, out, True)


def _of_two(function):
    def transform(input, s=None, dim=(-2, -1), norm=None, *, out=None):
        return function(input, s, dim, norm, out=out)

    name = function.__name__.removesuffix("n") + "2"
    transform.__name__ = transform.__qualname__ = name
    transform.__doc__ = f"As :func:`{function.__name__}`, along the last two dimensions if none are given."
    return transform


fft2, ifft2, rfft2, irfft2, hfft2, ihfft2 = map(_of_two, (fftn, ifftn, rfftn, irfftn, hfftn, ihfftn))


def fftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """The frequencies of a transform's results: 0, 1, …, then the negative ones, each by n d.

    Args:
        n: length. d: spacing of the samples.
        dtype: a float, the default if not given.
    Shape: (n,).
    """
    dtype = dtype or (_core.get_default_dtype() if out is None else out.dtype)
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError("fftfreq requires a floating point or complex dtype")
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    half = (n + 1) // 2
    numbers = [*range(half), *range(half - n, 0)]
    factor = 1.0 / (n * d) if n * d else float("inf")
    result = (_core.tensor(numbers, dtype=dtype, device=device) * factor).requires_grad_(requires_grad)
    return written("fftfreq", result, out)


def rfftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """The frequencies of a real transform's results: those of :func:`fftfreq` that are not negative, and the highest.

    Shape: (n // 2 + 1,).
    """
    dtype = dtype or (_core.get_default_dtype() if out is None else out.dtype)
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError("rfftfreq requires a floating point or complex dtype")
    factor = 1.0 / (n * d) if n * d else float("inf")
    result = (_core.arange(n // 2 + 1, dtype=dtype, device=device) * factor).requires_grad_(requires_grad)
    return written("rfftfreq", result, out)


def _dims(input, dim):
    dims = range(input.dim()) if dim is None else [dim] if isinstance(dim, int) else dim
    return list(dims)


def fftshift(input, dim=None):
    """``input`` rolled by half, so that frequency 0 lies in the middle of the dimensions, all if none is given."""
    dims = _dims(input, dim)
    return input.roll([input.shape[_wrapped(input, d)] // 2 for d in dims], dims)


def ifftshift(input, dim=None):
    """What undoes :func:`fftshift`."""
    dims = _dims(input, dim)
    return input.roll([(input.shape[_wrapped(input, d)] + 1) // 2 for d in dims], dims)
