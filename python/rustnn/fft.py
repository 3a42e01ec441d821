"""Fourier transforms are not computed: their results are complex, and there is no complex dtype with arithmetic
here."""

__all__ = """
    fft fft2 fftn hfft hfft2 hfftn ifft ifft2 ifftn ihfft ihfft2 ihfftn irfft irfft2 irfftn rfft rfft2 rfftn
    fftfreq fftshift ifftshift rfftfreq
""".split()

from . import _core


def _refused(name):
    def function(*args, **kwargs):
        raise NotImplementedError(f"fft.{name}: rustnn has no complex numbers to give as a result")

    function.__name__ = function.__qualname__ = name
    function.__doc__ = "Raises NotImplementedError: there are no complex tensors."
    return function


for _name in __all__[:18]:
    globals()[_name] = _refused(_name)
del _name


def fftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """The frequencies of a transform's results: 0, 1, …, then the negative ones, each by n d.

    Args:
        n: length. d: spacing of the samples.
        dtype: a float, the default if not given.
    Shape: (n,).
    """
    dtype = dtype or _core.get_default_dtype()
    half = (n + 1) // 2
    numbers = [*range(half), *range(half - n, 0)]
    result = (_core.tensor(numbers, dtype=dtype, device=device) / (n * d)).requires_grad_(requires_grad)
    return result if out is None else out.copy_(result)


def rfftfreq(n, d=1.0, *, out=None, dtype=None, layout=None, device=None, requires_grad=False):
    """The frequencies of a real transform's results: those of :func:`fftfreq` that are not negative, and the highest.

    Shape: (n // 2 + 1,).
    """
    dtype = dtype or _core.get_default_dtype()
    result = (_core.arange(n // 2 + 1, dtype=dtype, device=device) / (n * d)).requires_grad_(requires_grad)
    return result if out is None else out.copy_(result)


def _dims(input, dim):
    dims = range(input.dim()) if dim is None else [dim] if isinstance(dim, int) else dim
    return list(dims)


def fftshift(input, dim=None):
    """``input`` rolled by half, so that frequency 0 lies in the middle of the dimensions, all if none is given."""
    dims = _dims(input, dim)
    return input.roll([input.shape[d] // 2 for d in dims], dims)


def ifftshift(input, dim=None):
    """What undoes :func:`fftshift`."""
    dims = _dims(input, dim)
    return input.roll([(input.shape[d] + 1) // 2 for d in dims], dims)
