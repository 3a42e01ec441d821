"""What distributions share: broadcasting of parameters, probabilities and logits, lazy properties."""

from functools import update_wrapper

from .. import _core
from .._core import Tensor

__all__ = """
    broadcast_all clamp_probs lazy_property logits_to_probs probs_to_logits tril_matrix_to_vec vec_to_tril_matrix
""".split()

euler_constant = 0.57721566490153286060  # Euler Mascheroni Constant


def _standard_normal(shape, dtype, device):
    """Draws of the normal distribution of mean 0 and deviation 1."""
    return _core.randn(shape, dtype=dtype, device=device)


def all_hold(mask):
    """Whether a check holds everywhere. While calls are recorded nobody looks: checks that only raise are left out."""
    return _core._is_recording() or bool(mask.all())


def broadcast_all(*values):
    """Numbers and tensors as tensors of one shape; numbers take the dtype and device of the first tensor.

    Raises: ValueError for anything else.
    """
    from ..functional import broadcast_tensors

    if not all(isinstance(value, (Tensor, int, float)) or hasattr(value, "__torch_function__") for value in values):
        raise ValueError(
            "Input arguments must all be instances of Number, torch.Tensor or objects implementing __torch_function__."
        )
    like = next((value for value in values if isinstance(value, Tensor)), None)
    options = {"dtype": _core.get_default_dtype()} if like is None else {"dtype": like.dtype, "device": like.device}
    return broadcast_tensors(
        *(_core.tensor(value, **options) if isinstance(value, (int, float)) else value for value in values)
    )


def standard_normal(shape, dtype, device):
    """Numbers of mean 0 and variance 1."""
    return _core.randn(shape, dtype=dtype, device=device)


def uniform_like(shape, like):
    """Numbers in [0, 1) with the dtype and device of a tensor."""
    return _core.rand(shape, dtype=like.dtype, device=like.device)


def open_uniform(shape, like):
    """Numbers above 0 and below 1, as :func:`clamp_probs` makes them: both logarithms are finite."""
    return clamp_probs(uniform_like(shape, like))


def sum_rightmost(value, dim):
    """The sum over the last ``dim`` dimensions."""
    return value if dim == 0 else value.reshape(*value.shape[: value.dim() - dim], -1).sum(-1)


_sum_rightmost = sum_rightmost


def finfo(value):
    """The limits of a tensor's dtype."""
    from ..numeric_limits import finfo

    return finfo(value.dtype)


def one_of(probs, logits):
    """Raises ValueError unless exactly one of them is given."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


def clamp_probs(probs):
    """Probabilities away from 0 and 1 by the dtype's eps, so that their logarithms are finite."""
    eps = finfo(probs).eps
    return _core.clamp(probs, eps, 1 - eps)


def logits_to_probs(logits, is_binary=False):
    """Probabilities of logits: each for itself (``is_binary``), or along the last dimension."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)


def probs_to_logits(probs, is_binary=False):
    """Logits of probabilities: log(p / (1 - p)) of each (``is_binary``), or log p."""
    probs = clamp_probs(probs)
    return probs.log() - (-probs).log1p() if is_binary else probs.log()


class lazy_property:
    """A decorator: the method is called when its value is first asked for, with gradients on, and the value kept."""

    def __init__(self, wrapped):
        self.wrapped = wrapped
        update_wrapper(self, wrapped)

    def __get__(self, instance, obj_type=None):
        if instance is None:
            return _lazy_property_and_property(self.wrapped)
        with _core.enable_grad():  # sample() asks without
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


class _lazy_property_and_property(lazy_property, property):
    """What the class's attribute is, where programs look for properties."""

    def __init__(self, wrapped):
        property.__init__(self, wrapped)


def tril_matrix_to_vec(mat, diag=0):
    """The elements of (..., n, n) matrices on and below a diagonal, row by row.

    Args:
        diag: which diagonal; 0 is the main one, -1 the one below it.
    Raises: ValueError if there is no such diagonal.
    """
    n = mat.shape[-1]
    if diag < -n or diag >= n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    rows, columns = _core.tril_indices(n, n, diag).to(mat.device)
    return mat[..., rows, columns]


def tril_count(n, diag):
    """How many elements of an (n, n) matrix are on and below a diagonal."""
    return sum(min(max(row + 1 + diag, 0), n) for row in range(n))


def vec_to_tril_matrix(vec, diag=0):
    """The inverse of :func:`tril_matrix_to_vec`: with ``diag`` 0, (..., n (n + 1) / 2) to lower triangular (..., n, n).

    Raises: ValueError if no matrix has that many elements there.
    """
    count = vec.shape[-1]
    # The positive root of n (n + 1) / 2 + diag n - (what the corner lacks where diag is below -1 or above 0) = count.
    n = round((-(1 + 2 * diag) + ((1 + 2 * diag) ** 2 + 8 * count + 4 * abs(diag) * (diag + 1)) ** 0.5) / 2)
    if tril_count(n, diag) != count:
        raise ValueError(
            f"The size of last dimension is {count} which cannot be expressed as the lower triangular part of a square "
            "D x D matrix."
        )
    rows, columns = _core.tril_indices(n, n, diag).to(vec.device)
    matrix = _core.zeros((*vec.shape[:-1], n, n), dtype=vec.dtype, device=vec.device)
    matrix[..., rows, columns] = vec
    return matrix
