"""Types of the native module; written by tools/make_stubs.py from the op table, do not edit."""

import builtins
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self, TypeAlias, final, overload

# Here `int`, `float` and `bool` are dtypes and functions, and methods of Tensor hide what else they are named after.
_int: TypeAlias = builtins.int
_float: TypeAlias = builtins.float
_bool: TypeAlias = builtins.bool
_str: TypeAlias = builtins.str
_dtype: TypeAlias = dtype
_device: TypeAlias = device
_Number: TypeAlias = _int | _float | _bool
_IntList: TypeAlias = _int | Sequence[_int]
_DeviceLike: TypeAlias = _device | _str | _int

class DTypeError(RuntimeError, TypeError):
    """An op was given a dtype, or a mix of dtypes, that it cannot take."""
@final
class Generator:
    """A source of random numbers with a seed and a position."""
    def __new__(cls, device: Any = ...) -> Self: ...
    def clone_state(self) -> Any: ...
    @property
    def device(self) -> Any: ...
    @device.setter
    def device(self, value: Any) -> None: ...
    def get_state(self) -> Any: ...
    def initial_seed(self) -> Any: ...
    def manual_seed(self, seed: Any) -> Any:
        """Starts the stream of a seed."""
    def seed(self) -> Any:
        """A seed from the system, which is set and returned."""
    def set_state(self, state: Any) -> Any: ...
from rustnn.autograd.graph import Node as Node
class OutOfMemoryError(RuntimeError, MemoryError):
    """Memory could not be had."""
@final
class SavedTensor:
    """The place of a tensor that a node saved."""
    def __new__(cls, *_args: Any, **_kwargs: Any) -> Self: ...
    def register_hooks(self, pack_hook: Any, unpack_hook: Any) -> Any:
        """Keeps what `pack_hook` makes of the tensor in its place, and gives that to `unpack_hook` when the tensor is needed."""
from rustnn._size import Size as Size
class Tensor:
    """A tensor as Python sees it. Its identity is the `Meta` of the Rust tensor: while this object lives, every conversion of that tensor returns it."""
    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    @property
    def H(self) -> Any: ...
    @H.setter
    def H(self, value: Any) -> None: ...
    @property
    def T(self) -> Any: ...
    @T.setter
    def T(self, value: Any) -> None: ...
    def _T(self) -> Tensor:
        """All dimensions in reverse order."""
    def __abs__(self) -> Tensor: ...
    def __add__(self, other: Any, /) -> Tensor: ...
    def __and__(self, other: Any, /) -> Tensor: ...
    def __array__(self, dtype: Any = None, copy: _bool | None = None) -> Any: ...
    __array_priority__: ClassVar[Any]
    def __array_wrap__(self, array: Any, context: Any = ..., return_scalar: Any = ...) -> Any:
        """What functions of NumPy return that take a tensor: a tensor."""
    def __bool__(self) -> _bool: ...
    def __complex__(self) -> Any: ...
    def __contains__(self, item: Any, /) -> _bool: ...
    def __deepcopy__(self, memo: Any) -> Self: ...
    def __delitem__(self, key: Any, /) -> Any:
        """Delete self[key]."""
    def __dlpack__(self, *, stream: Any = ..., max_version: Any = ..., dl_device: Any = ..., copy: Any = ...) -> Any: ...
    def __dlpack_device__(self) -> tuple[_int, _int]: ...
    def __eq__(self, other: Any, /) -> Tensor: ...  # type: ignore[override]
    def __float__(self) -> _float: ...
    def __floordiv__(self, other: Any, /) -> Tensor: ...
    def __ge__(self, other: Any, /) -> Tensor: ...
    def __getitem__(self, index: Any, /) -> Tensor: ...
    def __gt__(self, other: Any, /) -> Tensor: ...
    def __hash__(self) -> _int: ...
    def __iadd__(self, other: Any, /) -> Tensor: ...
    def __iand__(self, other: Any, /) -> Tensor: ...
    def __ifloordiv__(self, other: Any, /) -> Tensor: ...
    def __ilshift__(self, other: Any, /) -> Tensor: ...
    def __imod__(self, other: Any, /) -> Tensor: ...
    def __imul__(self, other: Any, /) -> Tensor: ...
    def __index__(self) -> _int: ...
    def __int__(self) -> _int: ...
    def __invert__(self) -> Tensor: ...
    def __ior__(self, other: Any, /) -> Tensor: ...
    def __ipow__(self, other: Any, /) -> Tensor: ...  # type: ignore[misc]
    def __irshift__(self, other: Any, /) -> Tensor: ...
    def __isub__(self, other: Any, /) -> Tensor: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __itruediv__(self, other: Any, /) -> Tensor: ...
    def __ixor__(self, other: Any, /) -> Tensor: ...
    def __le__(self, other: Any, /) -> Tensor: ...
    def __len__(self) -> _int: ...
    def __lshift__(self, other: Any, /) -> Tensor: ...
    def __lt__(self, other: Any, /) -> Tensor: ...
    def __matmul__(self, other: Any, /) -> Tensor: ...
    def __mod__(self, other: Any, /) -> Tensor: ...
    def __mul__(self, other: Any, /) -> Tensor: ...
    def __ne__(self, other: Any, /) -> Tensor: ...  # type: ignore[override]
    def __neg__(self) -> Tensor: ...
    def __or__(self, other: Any, /) -> Tensor: ...
    def __pos__(self) -> Tensor: ...
    def __pow__(self, other: Any, mod: Any = None, /) -> Tensor: ...
    def __radd__(self, other: Any, /) -> Tensor: ...
    def __rand__(self, other: Any, /) -> Tensor: ...
    def __reversed__(self) -> Any:
        """What ``reversed`` gives: the tensor flipped along its first dimension."""
    def __rfloordiv__(self, other: Any, /) -> Tensor: ...
    def __rlshift__(self, other: Any, /) -> Tensor: ...
    def __rmatmul__(self, other: Any, /) -> Tensor: ...
    def __rmod__(self, other: Any, /) -> Tensor: ...
    def __rmul__(self, other: Any, /) -> Tensor: ...
    def __ror__(self, other: Any, /) -> Tensor: ...
    def __rpow__(self, other: Any, mod: Any = None, /) -> Tensor: ...
    def __rrshift__(self, other: Any, /) -> Tensor: ...
    def __rshift__(self, other: Any, /) -> Tensor: ...
    def __rsub__(self, other: Any, /) -> Tensor: ...
    def __rtruediv__(self, other: Any, /) -> Tensor: ...
    def __rxor__(self, other: Any, /) -> Tensor: ...
    def __setitem__(self, index: Any, value: Any, /) -> None: ...
    def __sub__(self, other: Any, /) -> Tensor: ...
    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = ..., kwargs: Any = ...) -> Any: ...
    def __truediv__(self, other: Any, /) -> Tensor: ...
    def __xor__(self, other: Any, /) -> Tensor: ...
    @property
    def _backward_hooks(self) -> Any: ...
    @property
    def _base(self) -> Any: ...
    @_base.setter
    def _base(self, value: Any) -> None: ...
    def _become_view(self, view: Any) -> Any:
        """Takes over the shape and the place on the tape of `view`, a view of this tensor."""
    @property
    def _cdata(self) -> Any: ...
    def _exchange(self, other: Any) -> Any:
        """Exchanges what two objects stand for: memory, history, gradient, hooks."""
    @property
    def _grad(self) -> Any: ...
    @_grad.setter
    def _grad(self, value: Any) -> None: ...
    def _in_format(self, memory_format: Any | None = None) -> Tensor:
        """Dense in the order of the format."""
    def _indices(self) -> Any:
        """``_indices`` of a sparse tensor; raises for a strided one, which this is."""
    def _is_in_a_graph(self) -> Any:
        """Whether a graph would add up gradients in this leaf."""
    def _is_view(self) -> Any: ...
    def _mT(self) -> Tensor:
        """The last two dimensions exchanged."""
    @staticmethod
    def _make_subclass(cls: Any, data: Any, require_grad: Any = ..., *, dispatch_strides: Any = ..., dispatch_device: Any = ..., **_: Any) -> Any: ...
    @staticmethod
    def _make_wrapper_subclass(cls: Any, size: Any, *args: Any, **kwargs: Any) -> Any: ...
    def _nnz(self) -> Any:
        """``_nnz`` of a sparse tensor; raises for a strided one, which this is."""
    @property
    def _state_hooks(self) -> Any: ...
    def _storage(self) -> Any:
        """Address, length in bytes and identity of the storage."""
    def _to(self, device: _DeviceLike | None = None, dtype: _dtype | None = None, copy: _bool = False) -> Tensor:
        """Another device or dtype."""
    def _use_count(self) -> Any:
        """How many hold this tensor: the object, views and saved tensors, a gradient's owner."""
    def _values(self) -> Any:
        """``_values`` of a sparse tensor; raises for a strided one, which this is."""
    @property
    def _version(self) -> Any: ...
    @_version.setter
    def _version(self, value: Any) -> None: ...
    def _where(self, condition: Tensor, other: Tensor | _Number) -> Tensor:
        """`self` where the condition holds, else `other`."""
    def abs(self, *, out: Tensor | None = None) -> Tensor:
        """Absolute value."""
    def abs_(self) -> Tensor:
        """Absolute value."""
    def absolute(self, *, out: Tensor | None = None) -> Tensor:
        """Absolute value."""
    def absolute_(self) -> Tensor:
        """Absolute value."""
    def acos(self, *, out: Tensor | None = None) -> Tensor:
        """Inverse cosine; radians."""
    def acos_(self) -> Tensor:
        """Inverse cosine; radians."""
    def acosh(self, *, out: Tensor | None = None) -> Tensor:
        """Inverse hyperbolic cosine."""
    def acosh_(self) -> Tensor:
        """Inverse hyperbolic cosine."""
    def add(self, other: Tensor | _Number, *, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
        """Sum: `input + alpha * other`."""
    def add_(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """Sum: `input + alpha * other`."""
    def addbmm(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.addbmm`."""
    def addbmm_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`addbmm`; the result replaces the values of this tensor."""
    def addcdiv(self, tensor1: Tensor | _Number, tensor2: Tensor | _Number, *, value: _Number = 1, out: Tensor | None = None) -> Tensor:
        """`input + value * tensor1 / tensor2`."""
    def addcdiv_(self, tensor1: Tensor | _Number, tensor2: Tensor | _Number, *, value: _Number = 1) -> Tensor:
        """`input + value * tensor1 / tensor2`."""
    def addcmul(self, tensor1: Tensor | _Number, tensor2: Tensor | _Number, *, value: _Number = 1, out: Tensor | None = None) -> Tensor:
        """`input + value * tensor1 * tensor2`."""
    def addcmul_(self, tensor1: Tensor | _Number, tensor2: Tensor | _Number, *, value: _Number = 1) -> Tensor:
        """`input + value * tensor1 * tensor2`."""
    def addmm(self, mat1: Tensor, mat2: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
        """`beta * self + alpha * mat1 @ mat2`."""
    def addmm_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`addmm`; the result replaces the values of this tensor."""
    def addmv(self, mat: Tensor, vec: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
        """`beta * self + alpha * mat @ vec`."""
    def addmv_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`addmv`; the result replaces the values of this tensor."""
    def addr(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.addr`."""
    def addr_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`addr`; the result replaces the values of this tensor."""
    def adjoint(self) -> Tensor:
        """The last two dimensions exchanged, conjugated."""
    def all(self, dim: _IntList | None = None, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
        """Whether all elements, of all or along dimensions, are not zero."""
    def allclose(self, other: Tensor | _Number, rtol: _float = 1e-05, atol: _float = 1e-08, equal_nan: _bool = False) -> _bool:
        """Whether all elements are close."""
    def amax(self, dim: _IntList | None = ..., keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
        """Greatest over dimensions; equal ones share the gradient."""
    def amin(self, dim: _IntList | None = ..., keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
        """Least over dimensions; equal ones share the gradient."""
    def aminmax(self, *, dim: _int | None = None, keepdim: _bool = False, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Least and greatest."""
    def angle(self, *, out: Tensor | None = None) -> Tensor:
        """The angle to the positive real axis; radians."""
    def any(self, dim: _IntList | None = None, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
        """Whether any element, of all or along dimensions, is not zero."""
    def apply_(self, callable: Any) -> Any:
        """Each element replaced by what a function makes of it: slow."""
    def arccos(self, *, out: Tensor | None = None) -> Tensor:
        """Inverse cosine; radians."""
    def arccos_(self) -> Tensor:
        """Inverse cosine; radians."""
    def arccosh(self, *, out: Tensor | None = None) -> Tensor:
        """Inverse hyperbolic cosine."""
    def arccosh_(self) -> Tensor:
        """Inverse hyperbolic cosine."""
    def arcsin(self, *, out: Tensor | None = None) -> Tensor:
        """Inverse sine; radians."""
    def arcsin_(self) -> Tensor:
        """Inverse sine; radians."""
    def arcsinh(self, *, out: Tensor | None = None) -> Tensor:
        """Inverse hyperbolic sine."""
    def arcsinh_(self) -> Tensor:
        """Inverse hyperbolic sine."""
    def arctan(self, *, out: Tensor | None = None) -> Tensor:
        """Inverse tangent; radians."""
    def arctan2(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Angle of the point (`other`, `input`); radians."""
    def arctan2_(self, other: Tensor | _Number) -> Tensor:
        """Angle of the point (`other`, `input`); radians."""
    def arctan_(self) -> Tensor:
        """Inverse tangent; radians."""
    def arctanh(self, *, out: Tensor | None = None) -> Tensor:
        """Inverse hyperbolic tangent."""
    def arctanh_(self) -> Tensor:
        """Inverse hyperbolic tangent."""
    def argmax(self, dim: _int | None = None, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
        """Place of the first greatest element."""
    def argmin(self, dim: _int | None = None, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
        """Place of the first least element."""
    def argsort(self, dim: _int = -1, descending: _bool = False, stable: _bool | None = False) -> Tensor:
        """The places that sort a dimension (always stably)."""
    def argwhere(self) -> Tensor:
        """Coordinates of the elements that are not zero, one row each."""
    def as_strided(self, size: _IntList, stride: _IntList, storage_offset: _int | None = None) -> Tensor:
        """Any geometry over the storage; strides count elements."""
    def as_strided_(self, size: Any, stride: Any, storage_offset: Any = ...) -> Any:
        """The tensor itself in any geometry over its memory."""
    def as_strided_scatter(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.as_strided_scatter`."""
    def as_subclass(self, cls: Any) -> Any:
        """The tensor, its history included, as an object of a subclass."""
    def asin(self, *, out: Tensor | None = None) -> Tensor:
        """Inverse sine; radians."""
    def asin_(self) -> Tensor:
        """Inverse sine; radians."""
    def asinh(self, *, out: Tensor | None = None) -> Tensor:
        """Inverse hyperbolic sine."""
    def asinh_(self) -> Tensor:
        """Inverse hyperbolic sine."""
    def atan(self, *, out: Tensor | None = None) -> Tensor:
        """Inverse tangent; radians."""
    def atan2(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Angle of the point (`other`, `input`); radians."""
    def atan2_(self, other: Tensor | _Number) -> Tensor:
        """Angle of the point (`other`, `input`); radians."""
    def atan_(self) -> Tensor:
        """Inverse tangent; radians."""
    def atanh(self, *, out: Tensor | None = None) -> Tensor:
        """Inverse hyperbolic tangent."""
    def atanh_(self) -> Tensor:
        """Inverse hyperbolic tangent."""
    def backward(self, gradient: Any = ..., retain_graph: Any = ..., create_graph: Any = ..., inputs: Any = ...) -> Any: ...
    def baddbmm(self, batch1: Tensor, batch2: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
        """`beta * self + alpha * batch1 @ batch2`."""
    def baddbmm_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`baddbmm`; the result replaces the values of this tensor."""
    @overload
    def bernoulli(self, *, generator: Generator | None = None, out: Tensor | None = None) -> Tensor:
        """1 with each element's probability."""
    @overload
    def bernoulli(self, p: _float, *, generator: Generator | None = None) -> Tensor: ...
    @overload
    def bernoulli_(self, p: Tensor, *, generator: Generator | None = None) -> Tensor:
        """1 with each element's probability, in place."""
    @overload
    def bernoulli_(self, p: _float = 0.5, *, generator: Generator | None = None) -> Tensor: ...
    def bfloat16(self, memory_format: Any = ...) -> Any:
        """The tensor as torch.bfloat16."""
    def bincount(self, weights: Tensor | None = None, minlength: _int = 0) -> Tensor:
        """How often each integer occurs."""
    def bitwise_and(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Bits set in both."""
    def bitwise_and_(self, other: Tensor | _Number) -> Tensor:
        """Bits set in both."""
    def bitwise_left_shift(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Bits moved up."""
    def bitwise_left_shift_(self, other: Tensor | _Number) -> Tensor:
        """Bits moved up."""
    def bitwise_not(self, *, out: Tensor | None = None) -> Tensor:
        """Bits not set; logical for bool."""
    def bitwise_not_(self) -> Tensor:
        """Bits not set; logical for bool."""
    def bitwise_or(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Bits set in either."""
    def bitwise_or_(self, other: Tensor | _Number) -> Tensor:
        """Bits set in either."""
    def bitwise_right_shift(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Bits moved down; the sign is kept."""
    def bitwise_right_shift_(self, other: Tensor | _Number) -> Tensor:
        """Bits moved down; the sign is kept."""
    def bitwise_xor(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Bits set in exactly one."""
    def bitwise_xor_(self, other: Tensor | _Number) -> Tensor:
        """Bits set in exactly one."""
    def bmm(self, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Products of two stacks of matrices."""
    def bool(self, memory_format: Any = ...) -> Any:
        """The tensor as torch.bool."""
    @overload
    def broadcast_to(self, size: Sequence[_int]) -> Tensor:
        """Broadcast to a shape."""
    @overload
    def broadcast_to(self, *size: _int) -> Tensor: ...
    def byte(self, memory_format: Any = ...) -> Any:
        """The tensor as torch.uint8."""
    def cauchy_(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.cauchy_`."""
    def cdouble(self, memory_format: Any = ...) -> Any:
        """The tensor as torch.complex128."""
    def ceil(self, *, out: Tensor | None = None) -> Tensor:
        """Smallest integer not below."""
    def ceil_(self) -> Tensor:
        """Rounds up in place."""
    def cfloat(self, memory_format: Any = ...) -> Any:
        """The tensor as torch.complex64."""
    def chalf(self, memory_format: Any = ...) -> Any:
        """The tensor as torch.complex32."""
    def char(self, memory_format: Any = ...) -> Any:
        """The tensor as torch.int8."""
    def cholesky(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.cholesky`."""
    def cholesky_inverse(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.cholesky_inverse`."""
    def cholesky_solve(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.cholesky_solve`."""
    def chunk(self, chunks: _int, dim: _int = 0) -> tuple[Tensor, ...]:
        """That many pieces along a dimension."""
    @overload
    def clamp(self, min: _Number | None = None, max: _Number | None = None, *, out: Tensor | None = None) -> Tensor:
        """Held between `min` and `max`."""
    @overload
    def clamp(self, min: Tensor | None = None, max: Tensor | None = None, *, out: Tensor | None = None) -> Tensor: ...
    @overload
    def clamp_(self, min: _Number | None = None, max: _Number | None = None) -> Tensor:
        """Held between `min` and `max`, in place."""
    @overload
    def clamp_(self, min: Tensor | None = None, max: Tensor | None = None) -> Tensor: ...
    def clamp_max(self, max: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """At most `max`."""
    @overload
    def clamp_max_(self, max: Tensor) -> Tensor:
        """At most the tensor `max`, in place."""
    @overload
    def clamp_max_(self, max: _Number) -> Tensor: ...
    def clamp_min(self, min: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """At least `min`."""
    @overload
    def clamp_min_(self, min: Tensor) -> Tensor:
        """At least the tensor `min`, in place."""
    @overload
    def clamp_min_(self, min: _Number) -> Tensor: ...
    @overload
    def clip(self, min: _Number | None = None, max: _Number | None = None, *, out: Tensor | None = None) -> Tensor:
        """Held between `min` and `max`."""
    @overload
    def clip(self, min: Tensor | None = None, max: Tensor | None = None, *, out: Tensor | None = None) -> Tensor: ...
    @overload
    def clip_(self, min: _Number | None = None, max: _Number | None = None) -> Tensor:
        """Held between `min` and `max`, in place."""
    @overload
    def clip_(self, min: Tensor | None = None, max: Tensor | None = None) -> Tensor: ...
    def clone(self, *, memory_format: Any | None = None) -> Tensor:
        """A copy with memory of its own."""
    def coalesce(self) -> Any:
        """``coalesce`` of a sparse tensor; raises for a strided one, which this is."""
    def col_indices(self) -> Any:
        """``col_indices`` of a sparse tensor; raises for a strided one, which this is."""
    def conj(self) -> Tensor:
        """Complex conjugates; a real tensor itself."""
    def conj_physical(self, *, out: Tensor | None = None) -> Tensor:
        """Complex conjugates; a real tensor itself."""
    def conj_physical_(self) -> Tensor:
        """Complex conjugates, in place."""
    def contiguous(self, *, memory_format: Any | None = None) -> Tensor:
        """The tensor itself if it is dense in the order of the format, else a copy that is."""
    @overload
    def copy_(self, src: Tensor, non_blocking: _bool = False) -> Tensor:
        """Copies `src` in, broadcasting and converting."""
    @overload
    def copy_(self, src: _Number, non_blocking: _bool = False) -> Tensor: ...
    def copysign(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """The magnitude of `input` with the sign of `other`."""
    def copysign_(self, other: Tensor | _Number) -> Tensor:
        """The magnitude of `input` with the sign of `other`."""
    def corrcoef(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.corrcoef`."""
    def cos(self, *, out: Tensor | None = None) -> Tensor:
        """Cosine; radians."""
    def cos_(self) -> Tensor:
        """Cosine; radians."""
    def cosh(self, *, out: Tensor | None = None) -> Tensor:
        """Hyperbolic cosine."""
    def cosh_(self) -> Tensor:
        """Hyperbolic cosine."""
    def count_nonzero(self, dim: _IntList | None = None) -> Tensor:
        """How many elements are not zero."""
    def cov(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.cov`."""
    def cpu(self, memory_format: Any = ...) -> Any:
        """The tensor on the CPU; itself if it is there."""
    def cross(self, other: Tensor | _Number, dim: _int | None = None) -> Tensor:
        """Vector products along a dimension of size 3."""
    def crow_indices(self) -> Any:
        """``crow_indices`` of a sparse tensor; raises for a strided one, which this is."""
    def cuda(self, device: Any = ..., non_blocking: Any = ..., memory_format: Any = ...) -> Any:
        """There is no CUDA here."""
    def cummax(self, dim: _int, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The greatest so far along a dimension, and its place."""
    def cummin(self, dim: _int, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The least so far along a dimension, and its place."""
    def cumprod(self, dim: _int, *, dtype: _dtype | None = None, out: Tensor | None = None) -> Tensor:
        """Products so far along a dimension."""
    def cumprod_(self, dim: _int, *, dtype: _dtype | None = None) -> Tensor:
        """Products so far along a dimension, in place."""
    def cumsum(self, dim: _int, *, dtype: _dtype | None = None, out: Tensor | None = None) -> Tensor:
        """Sums so far along a dimension."""
    def cumsum_(self, dim: _int, *, dtype: _dtype | None = None) -> Tensor:
        """Sums so far along a dimension, in place."""
    @property
    def data(self) -> Any: ...
    @data.setter
    def data(self, value: Any) -> None: ...
    def data_ptr(self) -> Any: ...
    def deg2rad(self, *, out: Tensor | None = None) -> Tensor:
        """Degrees to radians."""
    def deg2rad_(self) -> Tensor:
        """Degrees to radians."""
    def dense_dim(self) -> Any:
        """How many dimensions are strided: all."""
    def det(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.det`."""
    def detach(self) -> Tensor:
        """The same memory without history."""
    def detach_(self) -> Tensor:
        """Forgets the history."""
    @property
    def device(self) -> Any: ...
    @device.setter
    def device(self, value: Any) -> None: ...
    def diag(self, diagonal: _int = 0, *, out: Tensor | None = None) -> Tensor:
        """A matrix with a vector on its diagonal, or the diagonal of a matrix."""
    def diag_embed(self, offset: _int = 0, dim1: _int = -2, dim2: _int = -1) -> Tensor:
        """The last dimension on the diagonal of two new ones."""
    def diagflat(self, offset: _int = 0) -> Tensor:
        """A matrix with all elements on its diagonal."""
    def diagonal(self, offset: _int = 0, dim1: _int = 0, dim2: _int = 1) -> Tensor:
        """The diagonal of two dimensions."""
    def diagonal_scatter(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.diagonal_scatter`."""
    def diff(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.diff`."""
    def digamma(self, *, out: Tensor | None = None) -> Tensor:
        """Derivative of `ln Γ`."""
    def digamma_(self) -> Tensor:
        """Derivative of `ln Γ`."""
    def dim(self) -> Any: ...
    def dim_order(self) -> Any:
        """The dimensions from the largest stride to the smallest."""
    def dist(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.dist`."""
    def div(self, other: Tensor | _Number, *, rounding_mode: _str | None = None, out: Tensor | None = None) -> Tensor:
        """Quotient, a float for integers too; rounded by `floor` or `trunc` if asked."""
    def div_(self, other: Tensor | _Number, *, rounding_mode: _str | None = None) -> Tensor:
        """Divides in place."""
    def divide(self, other: Tensor | _Number, *, rounding_mode: _str | None = None, out: Tensor | None = None) -> Tensor:
        """Quotient, a float for integers too; rounded by `floor` or `trunc` if asked."""
    def divide_(self, other: Tensor | _Number, *, rounding_mode: _str | None = None) -> Tensor:
        """Divides in place."""
    def dot(self, tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Inner product of two vectors."""
    def double(self, memory_format: Any = ...) -> Any:
        """The tensor as torch.float64."""
    def dsplit(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.dsplit`."""
    @property
    def dtype(self) -> Any: ...
    @dtype.setter
    def dtype(self, value: Any) -> None: ...
    def eig(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.eig`."""
    def element_size(self) -> Any: ...
    def eq(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Whether equal."""
    def eq_(self, other: Tensor | _Number) -> Tensor:
        """Whether equal."""
    def equal(self, other: Tensor | _Number) -> _bool:
        """Whether shapes and all elements are equal."""
    def erf(self, *, out: Tensor | None = None) -> Tensor:
        """Error function, `2/√π ∫₀ˣ exp(-t²) dt`."""
    def erf_(self) -> Tensor:
        """Error function, `2/√π ∫₀ˣ exp(-t²) dt`."""
    def erfc(self, *, out: Tensor | None = None) -> Tensor:
        """`1 - erf(x)`."""
    def erfc_(self) -> Tensor:
        """`1 - erf(x)`."""
    def erfinv(self, *, out: Tensor | None = None) -> Tensor:
        """Inverse of `erf`."""
    def erfinv_(self) -> Tensor:
        """Inverse of `erf`."""
    def exp(self, *, out: Tensor | None = None) -> Tensor:
        """Exponential."""
    def exp2(self, *, out: Tensor | None = None) -> Tensor:
        """`2 ** x`."""
    def exp2_(self) -> Tensor:
        """`2 ** x`."""
    def exp_(self) -> Tensor:
        """Exponential."""
    @overload
    def expand(self, size: Sequence[_int], *, implicit: _bool = False) -> Tensor:
        """Sizes of 1 repeated without copying; -1 keeps a size."""
    @overload
    def expand(self, *size: _int, implicit: _bool = False) -> Tensor: ...
    def expand_as(self, other: Tensor | _Number) -> Tensor:
        """Expanded to the shape of `other`."""
    def expm1(self, *, out: Tensor | None = None) -> Tensor:
        """`exp(x) - 1`, accurate near 0."""
    def expm1_(self) -> Tensor:
        """`exp(x) - 1`, accurate near 0."""
    def exponential_(self, lambd: _float = 1, *, generator: Generator | None = None) -> Tensor:
        """Exponential, in place."""
    def fill_(self, value: Tensor | _Number) -> Tensor:
        """Writes one value everywhere."""
    def fill_diagonal_(self, fill_value: Any, wrap: Any = ...) -> Any:
        """Fill the main diagonal; of a tall matrix from its start again after each row left out, if ``wrap``."""
    def fix(self, *, out: Tensor | None = None) -> Tensor:
        """The integer part."""
    def fix_(self) -> Tensor:
        """Drops the fraction in place."""
    def flatten(self, start_dim: _int = 0, end_dim: _int = -1) -> Tensor:
        """Several dimensions made one."""
    @overload
    def flip(self, dims: Sequence[_int]) -> Tensor:
        """Dimensions in reverse order."""
    @overload
    def flip(self, *dims: _int) -> Tensor: ...
    def fliplr(self) -> Tensor:
        """Columns in reverse order."""
    def flipud(self) -> Tensor:
        """Rows in reverse order."""
    def float(self, memory_format: Any = ...) -> Any:
        """The tensor as torch.float32."""
    def float_power(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.float_power`."""
    def floor(self, *, out: Tensor | None = None) -> Tensor:
        """Largest integer not above."""
    def floor_(self) -> Tensor:
        """Rounds down in place."""
    def floor_divide(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Quotient rounded toward minus infinity, `floor(input / other)`."""
    def floor_divide_(self, other: Tensor | _Number) -> Tensor:
        """Quotient rounded toward minus infinity, `floor(input / other)`."""
    def fmax(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """The larger one, the number where one is NaN."""
    def fmax_(self, other: Tensor | _Number) -> Tensor:
        """The larger one, the number where one is NaN."""
    def fmin(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """The smaller one, the number where one is NaN."""
    def fmin_(self, other: Tensor | _Number) -> Tensor:
        """The smaller one, the number where one is NaN."""
    def fmod(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Remainder with the sign of the dividend, as C's `fmod`."""
    def fmod_(self, other: Tensor | _Number) -> Tensor:
        """Remainder with the sign of the dividend, as C's `fmod`."""
    def frac(self, *, out: Tensor | None = None) -> Tensor:
        """The fractional part, with the sign of the input."""
    def frac_(self) -> Tensor:
        """The fractional part, with the sign of the input."""
    def frexp(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.frexp`."""
    def gather(self, dim: _int, index: Tensor, *, sparse_grad: _bool = False, out: Tensor | None = None) -> Tensor:
        """The elements that an index names along a dimension."""
    def gcd(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.gcd`."""
    def gcd_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`gcd`; the result replaces the values of this tensor."""
    def ge(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Whether greater or equal."""
    def ge_(self, other: Tensor | _Number) -> Tensor:
        """Whether greater or equal."""
    def geometric_(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.geometric_`."""
    def geqrf(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.geqrf`."""
    def ger(self, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Products of all pairs of two vectors' elements."""
    def get_device(self) -> Any:
        """The index of the device, -1 on the CPU."""
    @property
    def grad(self) -> Any: ...
    @grad.setter
    def grad(self, value: Any) -> None: ...
    @property
    def grad_fn(self) -> Any: ...
    @grad_fn.setter
    def grad_fn(self, value: Any) -> None: ...
    def greater(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Whether greater."""
    def greater_(self, other: Tensor | _Number) -> Tensor:
        """Whether greater."""
    def greater_equal(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Whether greater or equal."""
    def greater_equal_(self, other: Tensor | _Number) -> Tensor:
        """Whether greater or equal."""
    def gt(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Whether greater."""
    def gt_(self, other: Tensor | _Number) -> Tensor:
        """Whether greater."""
    def half(self, memory_format: Any = ...) -> Any:
        """The tensor as torch.float16."""
    def hardshrink(self, lambd: _Number = 0.5, *, out: Tensor | None = None) -> Tensor:
        """`x` outside of [-lambd, lambd], else 0."""
    def hardshrink_(self, lambd: _Number = 0.5) -> Tensor:
        """`x` outside of [-lambd, lambd], else 0."""
    def hash_tensor(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.hash_tensor`."""
    def heaviside(self, values: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """0 below zero, 1 above, `values` at zero."""
    def heaviside_(self, values: Tensor | _Number) -> Tensor:
        """0 below zero, 1 above, `values` at zero."""
    def histc(self, bins: _int = 100, min: _Number = 0, max: _Number = 0, *, out: Tensor | None = None) -> Tensor:
        """Counts of elements in equal bins."""
    def histogram(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.histogram`."""
    def hsplit(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.hsplit`."""
    def hypot(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Length of the hypotenuse, `sqrt(a² + b²)`."""
    def hypot_(self, other: Tensor | _Number) -> Tensor:
        """Length of the hypotenuse, `sqrt(a² + b²)`."""
    def i0(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.i0`."""
    def i0_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`i0`; the result replaces the values of this tensor."""
    def igamma(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.igamma`."""
    def igamma_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`igamma`; the result replaces the values of this tensor."""
    def igammac(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.igammac`."""
    def igammac_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`igammac`; the result replaces the values of this tensor."""
    @property
    def imag(self) -> Any: ...
    @imag.setter
    def imag(self, value: Any) -> None: ...
    def index_add(self, dim: _int, index: Tensor, source: Tensor, *, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
        """Adds rows to the rows that an index names."""
    def index_add_(self, dim: _int, index: Tensor, source: Tensor, *, alpha: _Number = 1) -> Tensor:
        """Adds rows to the rows that an index names, in place."""
    def index_copy(self, dim: _int, index: Tensor, source: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Copies rows to the rows that an index names."""
    def index_copy_(self, dim: _int, index: Tensor, source: Tensor) -> Tensor:
        """Copies rows to the rows that an index names, in place."""
    def index_fill(self, dim: _int, index: Tensor, value: Tensor | _Number) -> Tensor:
        """Writes a number to the rows that an index names."""
    def index_fill_(self, dim: _int, index: Tensor, value: Tensor | _Number) -> Tensor:
        """Writes a number to the rows that an index names, in place."""
    def index_put(self, indices: Sequence[Tensor | None], values: Tensor, accumulate: _bool = False) -> Tensor:
        """Writes values to the places that index tensors name together."""
    def index_put_(self, indices: Sequence[Tensor | None], values: Tensor, accumulate: _bool = False) -> Tensor:
        """Writes values to the places that index tensors name together, in place."""
    def index_reduce(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.index_reduce`."""
    def index_reduce_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`index_reduce`; the result replaces the values of this tensor."""
    def index_select(self, dim: _int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Rows of a dimension, in the order of an index."""
    def indices(self) -> Any:
        """``indices`` of a sparse tensor; raises for a strided one, which this is."""
    def inner(self, other: Tensor | _Number) -> Tensor:
        """Sums of products over the last dimensions."""
    def int(self, memory_format: Any = ...) -> Any:
        """The tensor as torch.int32."""
    def inverse(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.inverse`."""
    def is_coalesced(self) -> Any:
        """``is_coalesced`` of a sparse tensor; raises for a strided one, which this is."""
    def is_complex(self) -> _bool:
        """Whether the dtype is complex."""
    def is_conj(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.is_conj`."""
    def is_contiguous(self, memory_format: Any = ...) -> Any: ...
    @property
    def is_cpu(self) -> Any: ...
    @is_cpu.setter
    def is_cpu(self, value: Any) -> None: ...
    @property
    def is_cuda(self) -> Any: ...
    @is_cuda.setter
    def is_cuda(self, value: Any) -> None: ...
    def is_floating_point(self) -> _bool:
        """Whether the dtype is a real floating-point one."""
    def is_inference(self) -> Any: ...
    @property
    def is_leaf(self) -> Any: ...
    @is_leaf.setter
    def is_leaf(self, value: Any) -> None: ...
    @property
    def is_meta(self) -> Any: ...
    @is_meta.setter
    def is_meta(self, value: Any) -> None: ...
    @property
    def is_mkldnn(self) -> Any: ...
    @is_mkldnn.setter
    def is_mkldnn(self, value: Any) -> None: ...
    @property
    def is_mps(self) -> Any: ...
    def is_neg(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.is_neg`."""
    @property
    def is_nested(self) -> Any: ...
    @is_nested.setter
    def is_nested(self, value: Any) -> None: ...
    def is_nonzero(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.is_nonzero`."""
    def is_pinned(self, device: Any = ...) -> Any:
        """Whether the memory is pinned: never."""
    @property
    def is_quantized(self) -> Any: ...
    @is_quantized.setter
    def is_quantized(self, value: Any) -> None: ...
    def is_same_size(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.is_same_size`."""
    def is_set_to(self, tensor: Any) -> Any:
        """Whether both tensors see the same memory in the same way: storage, offset, sizes and strides."""
    def is_shared(self) -> Any:
        """Whether the memory is shared between processes: never."""
    def is_signed(self) -> _bool:
        """Whether the dtype has negative values."""
    @property
    def is_sparse(self) -> Any: ...
    @is_sparse.setter
    def is_sparse(self, value: Any) -> None: ...
    @property
    def is_sparse_csr(self) -> Any: ...
    @property
    def is_xla(self) -> Any: ...
    @property
    def is_xpu(self) -> Any: ...
    def isclose(self, other: Tensor | _Number, rtol: _float = 1e-05, atol: _float = 1e-08, equal_nan: _bool = False) -> Tensor:
        """Whether elements are close."""
    def isfinite(self, *, out: Tensor | None = None) -> Tensor:
        """Whether neither infinite nor NaN."""
    def isinf(self, *, out: Tensor | None = None) -> Tensor:
        """Whether +inf or -inf."""
    def isnan(self, *, out: Tensor | None = None) -> Tensor:
        """Whether NaN."""
    def isneginf(self, *, out: Tensor | None = None) -> Tensor:
        """Whether -inf."""
    def isposinf(self, *, out: Tensor | None = None) -> Tensor:
        """Whether +inf."""
    def isreal(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.isreal`."""
    def istft(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.istft`."""
    def item(self) -> Any: ...
    @property
    def itemsize(self) -> Any: ...
    @itemsize.setter
    def itemsize(self, value: Any) -> None: ...
    def kron(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.kron`."""
    def kthvalue(self, k: _int, dim: _int = -1, keepdim: _bool = False, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The k-th least along a dimension, and its place."""
    @property
    def layout(self) -> Any: ...
    @layout.setter
    def layout(self, value: Any) -> None: ...
    def lcm(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.lcm`."""
    def lcm_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`lcm`; the result replaces the values of this tensor."""
    def ldexp(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.ldexp`."""
    def ldexp_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`ldexp`; the result replaces the values of this tensor."""
    def le(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Whether less or equal."""
    def le_(self, other: Tensor | _Number) -> Tensor:
        """Whether less or equal."""
    def lerp(self, end: Tensor, weight: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Linear interpolation, `self + weight * (end - self)`."""
    def lerp_(self, end: Tensor, weight: Tensor | _Number) -> Tensor:
        """Interpolates in place."""
    def less(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Whether less."""
    def less_(self, other: Tensor | _Number) -> Tensor:
        """Whether less."""
    def less_equal(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Whether less or equal."""
    def less_equal_(self, other: Tensor | _Number) -> Tensor:
        """Whether less or equal."""
    def lgamma(self, *, out: Tensor | None = None) -> Tensor:
        """`ln |Γ(x)|`."""
    def lgamma_(self) -> Tensor:
        """`ln |Γ(x)|`."""
    def log(self, *, out: Tensor | None = None) -> Tensor:
        """Natural logarithm."""
    def log10(self, *, out: Tensor | None = None) -> Tensor:
        """Logarithm to base 10."""
    def log10_(self) -> Tensor:
        """Logarithm to base 10."""
    def log1p(self, *, out: Tensor | None = None) -> Tensor:
        """`ln(1 + x)`, accurate near 0."""
    def log1p_(self) -> Tensor:
        """`ln(1 + x)`, accurate near 0."""
    def log2(self, *, out: Tensor | None = None) -> Tensor:
        """Logarithm to base 2."""
    def log2_(self) -> Tensor:
        """Logarithm to base 2."""
    def log_(self) -> Tensor:
        """Natural logarithm."""
    def log_normal_(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.log_normal_`."""
    def log_softmax(self, dim: _int, dtype: _dtype | None = None) -> Tensor:
        """The logarithm of softmax, without overflow."""
    def logaddexp(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """`ln(exp(a) + exp(b))`, without overflow."""
    def logaddexp2(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.logaddexp2`."""
    def logaddexp_(self, other: Tensor | _Number) -> Tensor:
        """`ln(exp(a) + exp(b))`, without overflow."""
    def logcumsumexp(self, dim: _int, *, out: Tensor | None = None) -> Tensor:
        """Logarithms of the sums of exponentials so far along a dimension."""
    def logdet(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.logdet`."""
    def logical_and(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Whether both are non-zero."""
    def logical_and_(self, other: Tensor | _Number) -> Tensor:
        """Whether both are non-zero."""
    def logical_not(self, *, out: Tensor | None = None) -> Tensor:
        """Whether zero."""
    def logical_not_(self) -> Tensor:
        """Whether zero."""
    def logical_or(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Whether one is non-zero."""
    def logical_or_(self, other: Tensor | _Number) -> Tensor:
        """Whether one is non-zero."""
    def logical_xor(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Whether exactly one is non-zero."""
    def logical_xor_(self, other: Tensor | _Number) -> Tensor:
        """Whether exactly one is non-zero."""
    def logit(self, eps: _float | None = None, *, out: Tensor | None = None) -> Tensor:
        """Log-odds; inputs held in [eps, 1 - eps] if given."""
    def logit_(self, eps: _float | None = None) -> Tensor:
        """Log-odds, in place."""
    def logsigmoid(self, *, out: Tensor | None = None) -> Tensor:
        """`ln(sigmoid(x))`, without overflow."""
    def logsigmoid_(self) -> Tensor:
        """`ln(sigmoid(x))`, without overflow."""
    def logsumexp(self, dim: _IntList, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
        """ln Σ exp(x) over dimensions, without overflow."""
    def long(self, memory_format: Any = ...) -> Any:
        """The tensor as torch.int64."""
    def lstsq(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.lstsq`."""
    def lt(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Whether less."""
    def lt_(self, other: Tensor | _Number) -> Tensor:
        """Whether less."""
    def lu(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.lu`."""
    def lu_solve(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.lu_solve`."""
    @property
    def mH(self) -> Any: ...
    @property
    def mT(self) -> Any: ...
    @mT.setter
    def mT(self, value: Any) -> None: ...
    def map2_(self, x: Any, y: Any, callable: Any) -> Any:
        """Each element replaced by what a function makes of it and of those in ``x`` and ``y``: slow."""
    def map_(self, tensor: Any, callable: Any) -> Any:
        """Each element replaced by what a function makes of it and of the one in ``tensor``: slow."""
    def masked_fill(self, mask: Tensor, value: Tensor | _Number) -> Tensor:
        """`value` where the mask holds."""
    def masked_fill_(self, mask: Tensor, value: Tensor | _Number) -> Tensor:
        """`value` where the mask holds, in place."""
    def masked_scatter(self, mask: Tensor, source: Tensor) -> Tensor:
        """Successive elements of `source` where a mask is true."""
    def masked_scatter_(self, mask: Tensor, source: Tensor) -> Tensor:
        """Successive elements of `source` where a mask is true, in place."""
    def masked_select(self, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
        """The elements where a mask is true, as a vector."""
    def matmul(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Product of vectors, matrices or stacks of matrices."""
    def matrix_exp(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.matrix_exp`."""
    def matrix_power(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.matrix_power`."""
    @overload
    def max(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """The greater of two tensors, element by element."""
    @overload
    def max(self, dim: _int, keepdim: _bool = False, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]: ...
    @overload
    def max(self) -> Tensor: ...
    def maximum(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """The larger one, NaN where either is; equal ones share the gradient."""
    def maximum_(self, other: Tensor | _Number) -> Tensor:
        """The larger one, NaN where either is; equal ones share the gradient."""
    @overload
    def mean(self, *, dtype: _dtype | None = None) -> Tensor:
        """Mean of all elements."""
    @overload
    def mean(self, dim: _IntList | None, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Tensor | None = None) -> Tensor: ...
    @overload
    def median(self) -> Tensor:
        """The lower median of all elements."""
    @overload
    def median(self, dim: _int, keepdim: _bool = False, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]: ...
    @overload
    def min(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """The lesser of two tensors, element by element."""
    @overload
    def min(self, dim: _int, keepdim: _bool = False, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]: ...
    @overload
    def min(self) -> Tensor: ...
    def minimum(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """The smaller one, NaN where either is; equal ones share the gradient."""
    def minimum_(self, other: Tensor | _Number) -> Tensor:
        """The smaller one, NaN where either is; equal ones share the gradient."""
    def mm(self, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Product of two matrices."""
    def mode(self, dim: _int = -1, keepdim: _bool = False, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The most frequent element along a dimension, and its last place."""
    def module_load(self, other: Any, assign: Any = ...) -> Any:
        """What ``load_state_dict`` is to swap this parameter or buffer with, see :mod:`rustnn.__future__`."""
    def moveaxis(self, source: _IntList, destination: _IntList) -> Tensor:
        """Dimensions moved."""
    def movedim(self, source: _IntList, destination: _IntList) -> Tensor:
        """Dimensions moved."""
    def msort(self, *, out: Tensor | None = None) -> Tensor:
        """Sorted along the first dimension."""
    def mul(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Product: `input * other`."""
    def mul_(self, other: Tensor | _Number) -> Tensor:
        """Product: `input * other`."""
    def multinomial(self, num_samples: _int, replacement: _bool = False, *, generator: Generator | None = None) -> Tensor:
        """Categories drawn by weight."""
    def multiply(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Product: `input * other`."""
    def multiply_(self, other: Tensor | _Number) -> Tensor:
        """Product: `input * other`."""
    def mv(self, vec: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Product of a matrix and a vector."""
    def mvlgamma(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.mvlgamma`."""
    def mvlgamma_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`mvlgamma`; the result replaces the values of this tensor."""
    @property
    def names(self) -> Any: ...
    def nan_to_num(self, nan: _float | None = None, posinf: _float | None = None, neginf: _float | None = None, *, out: Tensor | None = None) -> Tensor:
        """NaN and infinities replaced."""
    def nan_to_num_(self, nan: _float | None = None, posinf: _float | None = None, neginf: _float | None = None) -> Tensor:
        """NaN and infinities replaced, in place."""
    def nanmean(self, dim: _IntList | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Tensor | None = None) -> Tensor:
        """Mean of what is not NaN."""
    @overload
    def nanmedian(self) -> Tensor:
        """The lower median of all elements but NaN."""
    @overload
    def nanmedian(self, dim: _int, keepdim: _bool = False, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]: ...
    def nanquantile(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.nanquantile`."""
    def nansum(self, dim: _IntList | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Tensor | None = None) -> Tensor:
        """Sum, NaN counted as 0."""
    @overload
    def narrow(self, dim: _int, start: _int, length: _int) -> Tensor:
        """`length` indices of a dimension from `start` on."""
    @overload
    def narrow(self, dim: _int, start: Tensor, length: _int) -> Tensor: ...
    @property
    def nbytes(self) -> Any: ...
    @nbytes.setter
    def nbytes(self, value: Any) -> None: ...
    @property
    def ndim(self) -> Any: ...
    @ndim.setter
    def ndim(self, value: Any) -> None: ...
    def ndimension(self) -> Any: ...
    def ne(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Whether unequal."""
    def ne_(self, other: Tensor | _Number) -> Tensor:
        """Whether unequal."""
    def neg(self, *, out: Tensor | None = None) -> Tensor:
        """Negation: `-input`."""
    def neg_(self) -> Tensor:
        """Negation: `-input`."""
    def negative(self, *, out: Tensor | None = None) -> Tensor:
        """Negation: `-input`."""
    def negative_(self) -> Tensor:
        """Negation: `-input`."""
    def nelement(self) -> Any: ...
    def new(self, *args: Any, size: Any = ..., device: Any = ...) -> Any:
        """A tensor of the same dtype on the same device, of a size or of data."""
    @overload
    def new_empty(self, size: Sequence[_int], *, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
        """Arbitrary contents of the given size, dtype and device as here."""
    @overload
    def new_empty(self, *size: _int, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor: ...
    def new_empty_strided(self, size: Any, stride: Any, *, dtype: Any = ..., device: Any = ..., requires_grad: Any = ...) -> Any:
        """A tensor of arbitrary contents in the given layout, with the dtype and device of this one."""
    def new_full(self, size: _IntList, fill_value: _Number, *, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
        """One value everywhere, dtype and device as here."""
    @overload
    def new_ones(self, size: Sequence[_int], *, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
        """Ones of the given size, dtype and device as here."""
    @overload
    def new_ones(self, *size: _int, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor: ...
    def new_tensor(self, data: Any, *, dtype: Any = ..., device: Any = ..., requires_grad: Any = ...) -> Any:
        """A tensor of ``data`` with the dtype and device of this one."""
    @overload
    def new_zeros(self, size: Sequence[_int], *, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
        """Zeros of the given size, dtype and device as here."""
    @overload
    def new_zeros(self, *size: _int, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor: ...
    def nextafter(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.nextafter`."""
    def nextafter_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`nextafter`; the result replaces the values of this tensor."""
    def nonzero(self, *, as_tuple: _bool = False, out: Tensor | None = None) -> Tensor:
        """Coordinates of the elements that are not zero."""
    def norm(self, p: Any = ..., dim: Any = ..., keepdim: Any = ..., dtype: Any = ...) -> Any:
        """See :func:`rustnn.norm`."""
    def normal_(self, mean: _float = 0, std: _float = 1, *, generator: Generator | None = None) -> Tensor:
        """Normal, in place."""
    def not_equal(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Whether unequal."""
    def not_equal_(self, other: Tensor | _Number) -> Tensor:
        """Whether unequal."""
    def numel(self) -> _int:
        """Number of elements."""
    def numpy(self, *, force: Any = ...) -> Any:
        """The values as a NumPy array over the same memory."""
    def orgqr(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.orgqr`."""
    def ormqr(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.ormqr`."""
    def outer(self, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Products of all pairs of two vectors' elements."""
    @property
    def output_nr(self) -> Any: ...
    @output_nr.setter
    def output_nr(self, value: Any) -> None: ...
    @overload
    def permute(self, dims: Sequence[_int]) -> Tensor:
        """The dimensions in another order."""
    @overload
    def permute(self, *dims: _int) -> Tensor: ...
    def pin_memory(self, device: Any = ...) -> Any:
        """Accepted for compatibility: there is nothing to pin for."""
    def pinverse(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.pinverse`."""
    def polygamma(self, n: Any) -> Any:
        """See :func:`rustnn.special.polygamma`."""
    def polygamma_(self, *args: Any, **kwargs: Any) -> Any:
        """See :meth:`polygamma`; the result replaces the values of this tensor."""
    def positive(self) -> Tensor:
        """The tensor itself."""
    def pow(self, exponent: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Power, `self ** exponent`."""
    def pow_(self, exponent: Tensor | _Number) -> Tensor:
        """Raises to a power in place."""
    def prelu(self, weight: Tensor) -> Tensor:
        """`x` above 0, a learned slope below."""
    @overload
    def prod(self, *, dtype: _dtype | None = None) -> Tensor:
        """Product of all elements."""
    @overload
    def prod(self, dim: _int, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Tensor | None = None) -> Tensor: ...
    def put(self, index: Tensor, source: Tensor, accumulate: _bool = False) -> Tensor:
        """Writes to places of the flattened tensor."""
    def put_(self, index: Tensor, source: Tensor, accumulate: _bool = False) -> Tensor:
        """Writes to places of the flattened tensor, in place."""
    def qr(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.qr`."""
    def quantile(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.quantile`."""
    def rad2deg(self, *, out: Tensor | None = None) -> Tensor:
        """Radians to degrees."""
    def rad2deg_(self) -> Tensor:
        """Radians to degrees."""
    @overload
    def random_(self, *, generator: Generator | None = None) -> Tensor:
        """Integers of the dtype's range, in place."""
    @overload
    def random_(self, to: _int, *, generator: Generator | None = None) -> Tensor: ...
    @overload
    def random_(self, from_: _int, to: _int | None, *, generator: Generator | None = None) -> Tensor: ...
    def ravel(self) -> Tensor:
        """All dimensions made one."""
    @property
    def real(self) -> Any: ...
    @real.setter
    def real(self, value: Any) -> None: ...
    def reciprocal(self, *, out: Tensor | None = None) -> Tensor:
        """Reciprocal: `1 / input`."""
    def reciprocal_(self) -> Tensor:
        """Reciprocal: `1 / input`."""
    def record_stream(self, stream: Any) -> Any:
        """Accepted for compatibility: there are no streams that memory could be in use on."""
    def register_hook(self, hook: Any) -> Any: ...
    def register_post_accumulate_grad_hook(self, hook: Any) -> Any: ...
    def relu(self, inplace: _bool = False) -> Tensor:
        """Rectified linear unit, `max(x, 0)`."""
    def relu_(self) -> Tensor:
        """Rectified linear unit, in place."""
    def remainder(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Remainder with the sign of the divisor, as Python's `%`."""
    def remainder_(self, other: Tensor | _Number) -> Tensor:
        """Remainder with the sign of the divisor, as Python's `%`."""
    def renorm(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.renorm`."""
    def renorm_(self, p: Any, dim: Any, maxnorm: Any) -> Any:
        """See :func:`rustnn.renorm`; in place."""
    @overload
    def repeat(self, repeats: Sequence[_int]) -> Tensor:
        """The tensor repeated along each dimension."""
    @overload
    def repeat(self, *repeats: _int) -> Tensor: ...
    @overload
    def repeat_interleave(self, repeats: Tensor, dim: _int | None = None, *, output_size: _int | None = None) -> Tensor:
        """Every element of a dimension repeated."""
    @overload
    def repeat_interleave(self, repeats: _int, dim: _int | None = None, *, output_size: _int | None = None) -> Tensor: ...
    @overload
    def repeat_interleave(self, *, output_size: _int | None = None) -> Tensor: ...
    @property
    def requires_grad(self) -> Any: ...
    @requires_grad.setter
    def requires_grad(self, value: Any) -> None: ...
    def requires_grad_(self, requires_grad: Any = ...) -> Any: ...
    @overload
    def reshape(self, shape: Sequence[_int]) -> Tensor:
        """The same elements in another shape; a view where that is possible."""
    @overload
    def reshape(self, *shape: _int) -> Tensor: ...
    def reshape_as(self, other: Tensor | _Number) -> Tensor:
        """The elements in the shape of `other`."""
    def resize_(self, *sizes: Any, memory_format: Any = ...) -> Any:
        """Another shape over the same memory; where that is too small, over new memory that begins with what was there."""
    def resize_as_(self, the_template: Any, *, memory_format: Any = ...) -> Any:
        """:meth:`resize_` to another tensor's shape; with ``rustnn.preserve_format`` to its order of dimensions too."""
    def resolve_conj(self) -> Tensor:
        """The tensor itself: conjugates are computed at once."""
    def resolve_neg(self) -> Tensor:
        """The tensor itself: negatives are computed at once."""
    def retain_grad(self) -> Any: ...
    @property
    def retains_grad(self) -> Any: ...
    @retains_grad.setter
    def retains_grad(self, value: Any) -> None: ...
    def roll(self, shifts: _IntList, dims: _IntList | None = None) -> Tensor:
        """Elements moved along dimensions, coming in again at the other end."""
    def rot90(self, k: _int = 1, dims: _IntList = ...) -> Tensor:
        """Quarter turns in the plane of two dimensions."""
    def round(self, *, decimals: _int = 0, out: Tensor | None = None) -> Tensor:
        """Nearest integer, halves to the even one."""
    def round_(self, *, decimals: _int = 0) -> Tensor:
        """Rounds in place."""
    def rsqrt(self, *, out: Tensor | None = None) -> Tensor:
        """`1 / sqrt(x)`."""
    def rsqrt_(self) -> Tensor:
        """`1 / sqrt(x)`."""
    def rsub(self, other: Tensor | _Number, *, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
        """Difference with the operands exchanged: `other - alpha * input`."""
    def rsub_(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """Difference with the operands exchanged: `other - alpha * input`."""
    @overload
    def scatter(self, dim: _int, index: Tensor, src: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """Writes `src` to the places that an index names along a dimension."""
    @overload
    def scatter(self, dim: _int, index: Tensor, value: Tensor | _Number, *, out: Tensor | None = None) -> Tensor: ...
    @overload
    def scatter(self, dim: _int, index: Tensor, src: Tensor | _Number, *, reduce: _str, out: Tensor | None = None) -> Tensor: ...
    @overload
    def scatter(self, dim: _int, index: Tensor, value: Tensor | _Number, *, reduce: _str, out: Tensor | None = None) -> Tensor: ...
    @overload
    def scatter_(self, dim: _int, index: Tensor, src: Tensor | _Number, *, reduce: _str | None = None) -> Tensor:
        """Writes `src` to the places that an index names, in place."""
    @overload
    def scatter_(self, dim: _int, index: Tensor, value: Tensor | _Number, *, reduce: _str | None = None) -> Tensor: ...
    def scatter_add(self, dim: _int, index: Tensor, src: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Adds `src` to the places that an index names along a dimension."""
    def scatter_add_(self, dim: _int, index: Tensor, src: Tensor) -> Tensor:
        """Adds `src` to the places that an index names, in place."""
    def scatter_reduce(self, dim: _int, index: Tensor, src: Tensor, reduce: _str, *, include_self: _bool = True, out: Tensor | None = None) -> Tensor:
        """Reduces the elements of `src` that an index sends to one place: sum, prod, mean, amax or amin."""
    def scatter_reduce_(self, dim: _int, index: Tensor, src: Tensor, reduce: _str, *, include_self: _bool = True) -> Tensor:
        """Reduces the elements of `src` that an index sends to one place, in place."""
    def select(self, dim: _int, index: _int) -> Tensor:
        """One index of a dimension."""
    def select_scatter(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.select_scatter`."""
    def set_(self, source: Any = ..., storage_offset: Any = ..., size: Any = ..., stride: Any = ...) -> Any:
        """Look at the memory of a tensor or storage, from an offset on, in a given shape; without a source at none."""
    def sgn(self, *, out: Tensor | None = None) -> Tensor:
        """Sign: -1, 0 or 1; of a complex number the one of magnitude 1 in its direction."""
    def sgn_(self) -> Tensor:
        """Sign, in place."""
    @property
    def shape(self) -> Any: ...
    @shape.setter
    def shape(self, value: Any) -> None: ...
    def share_memory_(self) -> Any:
        """Accepted for compatibility: threads share memory anyway; nothing moves."""
    def short(self, memory_format: Any = ...) -> Any:
        """The tensor as torch.int16."""
    def sigmoid(self, *, out: Tensor | None = None) -> Tensor:
        """Logistic function, `1 / (1 + exp(-x))`."""
    def sigmoid_(self) -> Tensor:
        """Logistic function, `1 / (1 + exp(-x))`."""
    def sign(self, *, out: Tensor | None = None) -> Tensor:
        """Sign: -1, 0 or 1."""
    def sign_(self) -> Tensor:
        """Sign: -1, 0 or 1."""
    def signbit(self, *, out: Tensor | None = None) -> Tensor:
        """Whether the sign bit is set."""
    def sin(self, *, out: Tensor | None = None) -> Tensor:
        """Sine; radians."""
    def sin_(self) -> Tensor:
        """Sine; radians."""
    def sinc(self, *, out: Tensor | None = None) -> Tensor:
        """`sin(πx) / (πx)`, 1 at 0."""
    def sinc_(self) -> Tensor:
        """`sin(πx) / (πx)`, 1 at 0."""
    def sinh(self, *, out: Tensor | None = None) -> Tensor:
        """Hyperbolic sine."""
    def sinh_(self) -> Tensor:
        """Hyperbolic sine."""
    def size(self, dim: Any = ...) -> Any: ...
    def slice_scatter(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.slice_scatter`."""
    def slogdet(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.slogdet`."""
    def smm(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.smm`."""
    def softmax(self, dim: _int, dtype: _dtype | None = None) -> Tensor:
        """exp(x) divided by its sum along a dimension."""
    def softplus(self, beta: _Number = 1, threshold: _Number = 20, *, out: Tensor | None = None) -> Tensor:
        """`ln(1 + exp(beta * x)) / beta`; x itself where `beta * x` exceeds the threshold."""
    def softplus_(self, beta: _Number = 1, threshold: _Number = 20) -> Tensor:
        """`ln(1 + exp(beta * x)) / beta`; x itself where `beta * x` exceeds the threshold."""
    def softshrink(self, lambd: _Number = 0.5, *, out: Tensor | None = None) -> Tensor:
        """`x` moved toward 0 by lambd, 0 between."""
    def softshrink_(self, lambd: _Number = 0.5) -> Tensor:
        """`x` moved toward 0 by lambd, 0 between."""
    def softsign(self, *, out: Tensor | None = None) -> Tensor:
        """`x / (1 + |x|)`."""
    def softsign_(self) -> Tensor:
        """`x / (1 + |x|)`."""
    def solve(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.solve`."""
    def sort(self, dim: _int = -1, descending: _bool = False, stable: _bool | None = False, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Sorted along a dimension (always stably), and the places the elements came from."""
    def sparse_dim(self) -> Any:
        """How many dimensions the places of a sparse tensor have: none, the tensor is strided."""
    def sparse_mask(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.sparse_mask`."""
    @overload
    def split(self, split_size_or_sections: _int, dim: _int = 0) -> tuple[Tensor, ...]:
        """Pieces of a size along a dimension."""
    @overload
    def split(self, split_size_or_sections: _IntList, dim: _int = 0) -> tuple[Tensor, ...]: ...
    def split_with_sizes(self, split_sizes: _IntList, dim: _int = 0) -> tuple[Tensor, ...]:
        """Pieces of the given sizes along a dimension."""
    def sqrt(self, *, out: Tensor | None = None) -> Tensor:
        """Square root."""
    def sqrt_(self) -> Tensor:
        """Square root."""
    def square(self, *, out: Tensor | None = None) -> Tensor:
        """Square, `self ** 2`."""
    def square_(self) -> Tensor:
        """Squares in place."""
    @overload
    def squeeze(self) -> Tensor:
        """All sizes of 1 dropped."""
    @overload
    def squeeze(self, dim: _IntList) -> Tensor: ...
    def squeeze_(self, *args: Any, **kwargs: Any) -> Any:
        """The tensor itself in the shape that ``squeeze`` gives, over the same memory; gradients flow     through."""
    @overload
    def std(self, unbiased: _bool = True) -> Tensor:
        """Standard deviation of all elements."""
    @overload
    def std(self, dim: _IntList | None = None, *, correction: _Number | None = 1, keepdim: _bool = False, out: Tensor | None = None) -> Tensor: ...
    @overload
    def std(self, dim: _IntList | None, unbiased: _bool = True, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor: ...
    def stft(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.stft`."""
    def storage(self) -> Any:
        """The storage behind the tensor, as numbers of its dtype."""
    def storage_offset(self) -> Any: ...
    def storage_type(self) -> Any:
        """The class of the storages of the tensor's dtype."""
    def stride(self, dim: Any = ...) -> Any: ...
    def sub(self, other: Tensor | _Number, *, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
        """Difference: `input - alpha * other`."""
    def sub_(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """Difference: `input - alpha * other`."""
    def subtract(self, other: Tensor | _Number, *, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
        """Difference: `input - alpha * other`."""
    def subtract_(self, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
        """Difference: `input - alpha * other`."""
    @overload
    def sum(self, *, dtype: _dtype | None = None) -> Tensor:
        """Sum of all elements; integers are counted in int64."""
    @overload
    def sum(self, dim: _IntList | None, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Tensor | None = None) -> Tensor: ...
    def svd(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.svd`."""
    def swapaxes(self, dim0: _int, dim1: _int) -> Tensor:
        """Two dimensions exchanged."""
    def swapaxes_(self, *args: Any, **kwargs: Any) -> Any:
        """The tensor itself in the shape that ``swapaxes`` gives, over the same memory; gradients flow     through."""
    def swapdims(self, dim0: _int, dim1: _int) -> Tensor:
        """Two dimensions exchanged."""
    def swapdims_(self, *args: Any, **kwargs: Any) -> Any:
        """The tensor itself in the shape that ``swapdims`` gives, over the same memory; gradients flow     through."""
    def symeig(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.symeig`."""
    def t(self) -> Tensor:
        """The transpose of a matrix."""
    def t_(self, *args: Any, **kwargs: Any) -> Any:
        """The tensor itself in the shape that ``t`` gives, over the same memory; gradients flow     through."""
    def take(self, index: Tensor, *, out: Tensor | None = None) -> Tensor:
        """Elements of the flattened tensor."""
    def take_along_dim(self, indices: Tensor, dim: _int | None = None, *, out: Tensor | None = None) -> Tensor:
        """The elements that indices, broadcast, name along a dimension."""
    def tan(self, *, out: Tensor | None = None) -> Tensor:
        """Tangent; radians."""
    def tan_(self) -> Tensor:
        """Tangent; radians."""
    def tanh(self, *, out: Tensor | None = None) -> Tensor:
        """Hyperbolic tangent."""
    def tanh_(self) -> Tensor:
        """Hyperbolic tangent."""
    def tanhshrink(self, *, out: Tensor | None = None) -> Tensor:
        """`x - tanh(x)`."""
    def tanhshrink_(self) -> Tensor:
        """`x - tanh(x)`."""
    @overload
    def tensor_split(self, tensor_indices_or_sections: Tensor, dim: _int = 0) -> tuple[Tensor, ...]:
        """Pieces that end at the indices in a vector, or as many as a number says."""
    @overload
    def tensor_split(self, sections: _int, dim: _int = 0) -> tuple[Tensor, ...]: ...
    @overload
    def tensor_split(self, indices: _IntList, dim: _int = 0) -> tuple[Tensor, ...]: ...
    @overload
    def tile(self, dims: Sequence[_int]) -> Tensor:
        """The tensor repeated along each of the last dimensions."""
    @overload
    def tile(self, *dims: _int) -> Tensor: ...
    def to(self, *args: Any, **kwargs: Any) -> Any:
        """The tensor with another dtype or on another device; itself where nothing changes."""
    def to_dense(self, dtype: Any = ..., *, masked_grad: Any = ...) -> Any:
        """The tensor itself, which is dense, in another dtype if that is given."""
    def to_sparse(self, sparse_dim: Any = ..., *, layout: Any = ..., blocksize: Any = ..., dense_dim: Any = ...) -> Any:
        """The sparse tensor of what is not zero: see :func:`rustnn.sparse_coo_tensor`."""
    def to_sparse_bsc(self, *args: Any, **kwargs: Any) -> Any:
        """Raises NotImplementedError: of the sparse layouts there is ``torch.sparse_coo`` only."""
    def to_sparse_bsr(self, *args: Any, **kwargs: Any) -> Any:
        """Raises NotImplementedError: of the sparse layouts there is ``torch.sparse_coo`` only."""
    def to_sparse_coo(self) -> Any:
        """:meth:`to_sparse`."""
    def to_sparse_csc(self, *args: Any, **kwargs: Any) -> Any:
        """Raises NotImplementedError: of the sparse layouts there is ``torch.sparse_coo`` only."""
    def to_sparse_csr(self, *args: Any, **kwargs: Any) -> Any:
        """Raises NotImplementedError: of the sparse layouts there is ``torch.sparse_coo`` only."""
    def tolist(self) -> Any: ...
    def topk(self, k: _int, dim: _int = -1, largest: _bool = True, sorted: _bool = True, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """The k greatest or least of a dimension, in order, and their places."""
    def trace(self) -> Tensor:
        """Sum of a matrix's diagonal."""
    def transpose(self, dim0: _int, dim1: _int) -> Tensor:
        """Two dimensions exchanged."""
    def transpose_(self, *args: Any, **kwargs: Any) -> Any:
        """The tensor itself in the shape that ``transpose`` gives, over the same memory; gradients flow     through."""
    def triangular_solve(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.triangular_solve`."""
    def tril(self, diagonal: _int = 0, *, out: Tensor | None = None) -> Tensor:
        """The lower triangle of matrices, zeros above."""
    def tril_(self, diagonal: _int = 0) -> Tensor:
        """Zeros above the diagonal, in place."""
    def triu(self, diagonal: _int = 0, *, out: Tensor | None = None) -> Tensor:
        """The upper triangle of matrices, zeros below."""
    def triu_(self, diagonal: _int = 0) -> Tensor:
        """Zeros below the diagonal, in place."""
    def true_divide(self, other: Tensor | _Number, *, rounding_mode: _str | None = None, out: Tensor | None = None) -> Tensor:
        """Quotient, a float for integers too; rounded by `floor` or `trunc` if asked."""
    def true_divide_(self, other: Tensor | _Number, *, rounding_mode: _str | None = None) -> Tensor:
        """Divides in place."""
    def trunc(self, *, out: Tensor | None = None) -> Tensor:
        """The integer part."""
    def trunc_(self) -> Tensor:
        """Drops the fraction in place."""
    def type(self, dtype: Any = ..., non_blocking: Any = ..., **kwargs: Any) -> Any:
        """The name of the tensor's legacy type, or the tensor cast to a dtype."""
    def type_as(self, other: Any) -> Any:
        """The tensor in the dtype and on the device of ``other``."""
    def unbind(self, dim: _int = 0) -> tuple[Tensor, ...]:
        """The indices of a dimension as tensors of their own."""
    def unflatten(self, dim: _int, sizes: _IntList) -> Tensor:
        """One dimension made several."""
    def unfold(self, dimension: _int, size: _int, step: _int) -> Tensor:
        """Windows along a dimension."""
    def uniform_(self, from_: _float = 0, to: _float = 1, *, generator: Generator | None = None) -> Tensor:
        """Uniform in [from, to), in place."""
    def unique(self, sorted: _bool = True, return_inverse: _bool = False, return_counts: _bool = False, dim: _int | None = None) -> Any:
        """Distinct elements in ascending order."""
    def unique_consecutive(self, return_inverse: _bool = False, return_counts: _bool = False, dim: _int | None = None) -> Any:
        """The first of each run of equal neighbours."""
    def unsafe_chunk(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.unsafe_chunk`."""
    def unsafe_split(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.unsafe_split`."""
    def unsqueeze(self, dim: _int) -> Tensor:
        """A size of 1 put in."""
    def unsqueeze_(self, *args: Any, **kwargs: Any) -> Any:
        """The tensor itself in the shape that ``unsqueeze`` gives, over the same memory; gradients flow     through."""
    def untyped_storage(self) -> Any:
        """The storage behind the tensor: one object for all tensors over the same memory."""
    def values(self) -> Any:
        """``values`` of a sparse tensor; raises for a strided one, which this is."""
    @overload
    def var(self, unbiased: _bool = True) -> Tensor:
        """Variance of all elements."""
    @overload
    def var(self, dim: _IntList | None = None, *, correction: _Number | None = 1, keepdim: _bool = False, out: Tensor | None = None) -> Tensor: ...
    @overload
    def var(self, dim: _IntList | None, unbiased: _bool = True, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor: ...
    def vdot(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.vdot`."""
    def view(self, *size: Any) -> Any:
        """The same memory in another shape, or read as another dtype."""
    def view_as(self, other: Tensor | _Number) -> Tensor:
        """A view in the shape of `other`."""
    def view_as_complex(self) -> Tensor:
        """Pairs of real numbers in the last dimension as complex ones: a view."""
    def view_as_real(self) -> Tensor:
        """Complex numbers as pairs of real ones in a new last dimension: a view."""
    def vsplit(self, *args: Any, **kwargs: Any) -> Any:
        """See :func:`rustnn.vsplit`."""
    def where(self, condition: Any, other: Any) -> Any:
        """Not PyTorch's argument order of the function: ``self`` where ``condition`` holds, else ``other``."""
    def xlogy(self, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
        """`x * ln(y)`, 0 where x is 0."""
    def xlogy_(self, other: Tensor | _Number) -> Tensor:
        """`x * ln(y)`, 0 where x is 0."""
    def zero_(self) -> Tensor:
        """Writes zeros."""
@final
class TensorHandle:
    """What removes a hook; the Python side (`utils.hooks.RemovableHandle`) has its own for module hooks."""
    def __enter__(self) -> Any: ...
    def __exit__(self, *_args: Any) -> Any: ...
    @property
    def id(self) -> Any: ...
    @id.setter
    def id(self, value: Any) -> None: ...
    def remove(self) -> Any:
        """Takes the hook off; calling it again does nothing."""
@final
class _Package:
    """An opened zip checkpoint, for Python's pickle to read."""
    def __new__(cls, source: Any, place: Any = ..., big_endian: Any = ...) -> Self: ...
    def pickle(self) -> Any:
        """The bytes of its pickle."""
    def storage(self, key: Any, len: Any, dtype: Any = ...) -> Any:
        """The storage with this key, which has `len` bytes of numbers of `dtype` (None: bytes), as a tensor of bytes."""
@final
class _Program:
    """A program of the crate `rustnn`."""
    def forward(self, inputs: Any) -> Any: ...
    def forward_with(self, weights: Any, inputs: Any) -> Any:
        """`forward` with other weights, in the order of `weights()`."""
    @property
    def guards(self) -> Any: ...
    @guards.setter
    def guards(self, value: Any) -> None: ...
    @property
    def inputs(self) -> Any: ...
    @inputs.setter
    def inputs(self, value: Any) -> None: ...
    @property
    def nodes(self) -> Any: ...
    @nodes.setter
    def nodes(self, value: Any) -> None: ...
    @property
    def outputs(self) -> Any: ...
    @outputs.setter
    def outputs(self, value: Any) -> None: ...
    def save(self, path: Any) -> Any: ...
    def set_weight(self, name: Any, tensor: Any) -> Any: ...
    @property
    def symbols(self) -> Any: ...
    @symbols.setter
    def symbols(self, value: Any) -> None: ...
    def to(self, device: Any) -> Any: ...
    def to_bytes(self) -> Any: ...
    @property
    def trees(self) -> Any: ...
    @trees.setter
    def trees(self, value: Any) -> None: ...
    def weights(self) -> Any:
        """(name, further names, role, tensor) of each weight."""
@final
class _Recording:
    """A recorded forward at one set of sizes."""
    def is_like(self, other: Any) -> Any:
        """Whether the same ops ran with the same arguments in another recording."""
@final
class _SafeFile:
    """An opened safetensors file: its header, checked; tensors on demand."""
    def describe(self, name: Any) -> Any:
        """(dtype, shape) of a tensor."""
    def keys(self) -> Any:
        """The names, in the order of the file."""
    def metadata(self) -> Any: ...
    def tensor(self, name: Any) -> Any: ...
def _adam_step(params: Any, grads: Any, exp_avgs: Any, exp_avg_sqs: Any, max_exp_avg_sqs: Any, steps: Any, amsgrad: Any, beta1: Any, beta2: Any, lr: Any, weight_decay: Any, eps: Any, maximize: Any, decoupled: Any) -> Any:
    """A step of Adam or AdamW (`decoupled`); `steps` are counted up."""
def _alias(input: Tensor) -> Tensor:
    """The same value as an op of its own."""
def _array_over(tensor: Any) -> Any:
    """An array over a tensor's memory."""
def _current_graph_task_id() -> Any:
    """The number of the run that this thread is in, or -1."""
def _default_device() -> Any:
    """The device of new tensors, in this thread."""
def _disabled_torch_function_impl(func: Any, types: Any, args: Any = ..., kwargs: Any = ...) -> Any:
    """As a class's ``__torch_function__``: results of ops are plain tensors. The core knows it and need not call it."""
def _einsum(equation: _str, operands: Sequence[Tensor]) -> Tensor:
    """Einstein's sum."""
def _empty_cache() -> Any: ...
def _fft_c2c(input: Tensor, dim: _IntList, norm: _str, forward: _bool) -> Tensor:
    """The Fourier transform of complex numbers."""
def _fft_c2r(input: Tensor, dim: _IntList, norm: _str, last_dim_size: _int) -> Tensor:
    """The inverse Fourier transform of what real numbers have."""
def _fft_r2c(input: Tensor, dim: _IntList, norm: _str, onesided: _bool) -> Tensor:
    """The Fourier transform of real numbers."""
def _fill_bytes(target: Any, bytes: Any) -> Any:
    """Writes bytes from the start of a storage on."""
def _function_apply(cls: Any, ctx: Any, args: Any) -> Any:
    """Runs a custom Function's forward and records it. `ctx` is a fresh instance of the Function's context class."""
def _gated_candidate(input: Tensor, gate: Tensor, memory: Tensor) -> Tensor:
    """The candidate of a GRU."""
def _gated_mix(input: Tensor, gate: Tensor, memory: Tensor) -> Tensor:
    """Between input and memory."""
def _gated_sum(gate: Tensor, memory: Tensor, new: Tensor) -> Tensor:
    """What a gate keeps of a memory, beside what comes new to it."""
def _gated_tanh(gate: Tensor, input: Tensor) -> Tensor:
    """What a gate lets through of a tanh."""
def _get_autocast() -> Any:
    """What [`_set_autocast`] set on this thread."""
def _get_bytes(source: Any) -> Any:
    """The bytes of a tensor of bytes."""
def _get_default_device() -> Any: ...
def _get_function_stack_at(level: Any) -> Any: ...
def _gpu_buffer_copy(index: Any, bytes: Any) -> Any:
    """Records the driver's own copy of so many bytes."""
def _gpu_counts(index: Any) -> Any:
    """(dispatches, times the host waited) so far."""
def _gpu_device_count() -> Any:
    """How many GPUs there are, those that the CPU imitates included."""
def _gpu_device_name(index: Any) -> Any: ...
def _gpu_empty_cache(index: Any) -> Any: ...
def _gpu_end_profile(index: Any) -> Any:
    """(kernel, how often it ran, ns in all) of each kernel since the profile was started."""
def _gpu_fma_loop(index: Any, loops: Any) -> Any:
    """Records a kernel of multiply-adds in registers; how many operations it does."""
def _gpu_forget_faults(index: Any) -> Any:
    """Forgets what kernels found wrong with numbers: what came of it is read as it is. For tests."""
def _gpu_is_imitated(index: Any) -> Any:
    """Whether the CPU imitates it."""
def _gpu_lose(index: Any) -> Any:
    """Ends the device as a driver that gives up would. For tests."""
def _gpu_memory(index: Any) -> Any:
    """(bytes that tensors hold, the most they have held)."""
def _gpu_start_profile(index: Any) -> Any:
    """Begins to time every kernel by the device's clock."""
def _gpu_synchronize(index: Any) -> Any:
    """Waits until the device has done everything asked of it."""
def _identity_alias(tensors: Any, strict: Any) -> Any:
    """Passes tensors, which require grad, through one identity node; returns the aliases and the node. See `rustnn_ops::alias`."""
def _increment_version(tensor: Any) -> Any: ...
def _index(input: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    """The places that index tensors name together."""
def _inspect(source: Any) -> Any:
    """What a checkpoint holds, without loading it: tensors, sizes, and the globals that it needs."""
def _is_checkpoint_valid() -> Any:
    """Whether the run that this thread is in goes to all leaves, as reentrant checkpoints need."""
def _is_recording() -> Any:
    """Whether calls are recorded on this thread: checks of values are then left to the ops."""
def _is_unread(tensor: Any) -> Any:
    """Whether a tensor's numbers are not looked at now: calls are recorded, or it lies where reading waits. Checks are left to the ops."""
def _len_torch_function_stack() -> Any: ...
def _linear_activation(input: Tensor, weight: Tensor, bias: Tensor | None, activation: _str) -> Tensor:
    """A linear map and an activation in one step."""
def _living_nodes() -> Any:
    """Nodes of the graph that live, less those from before the first call: for tests that look for leaks."""
def _load(source: Any, allowed: Any, restore: Any = ..., place: Any = ..., encoding: Any = ..., big_endian: Any = ...) -> Any:
    """Reads a checkpoint without running anything; returns it and how many bytes it took."""
def _load_program(path: Any) -> Any:
    """Reads a program of a path."""
def _mark_arbitrary(on: Any) -> Any: ...
def _memory() -> Any:
    """Live bytes, their peak, and bytes kept for reuse."""
def _module_call(self: Any, /, *args: Any, **kwargs: Any) -> Any:
    """Run the module's hooks and forward."""
def _module_getattr(*args: Any, **kwargs: Any) -> Any:
    """A parameter, buffer or submodule."""
def _module_load(module: Any, entries: Any, metadata: Any, assign: Any, keys: Any, errors: Any, swap: Any) -> Any:
    """Loads `module` and everything below it; a child sees only the entries under its own prefix."""
def _module_setattr(*args: Any, **kwargs: Any) -> Any:
    """Register a parameter, buffer or submodule, or set a plain attribute."""
def _module_state_dict(module: Any, destination: Any, prefix: Any, keep_vars: Any) -> Any:
    """Fills `destination` with what `module` and all below it have to save. False, and nothing done, if the module's own part is not for here."""
_node_classes: Any
def _op_names() -> Any: ...
def _op_schemas() -> Any:
    """Name -> (schemas, doc, is a function, is a method)."""
def _open_safetensors(source: Any, mapped: Any = ...) -> Any:
    """Opens a safetensors file, mapped or to be read, or its bytes."""
def _pop_saved_tensors_default_hooks() -> Any: ...
def _pop_torch_function_stack() -> Any: ...
def _program(recordings: Any, symbols: Any, points: Any, traced: Any, guards: Any) -> Any:
    """One program of recordings at several sizes. `symbols` are (name, least, greatest), `points` their values in each recording. `traced` is the recording that says which sizes Python read; `guards` are what it asked of them."""
def _push_on_torch_function_stack(mode: Any) -> Any: ...
def _push_saved_tensors_default_hooks(pack: Any, unpack: Any) -> Any: ...
def _queue_callback(callback: Any) -> Any:
    """Has the run that this thread is in call a function, without arguments, when it is over."""
def _read_program(bytes: Any) -> Any:
    """Reads a program of the bytes of its file."""
def _record_finish(outputs: Any, trees: Any) -> Any:
    """Ends the recording of this thread; `outputs` are what forward returned, `trees` how it is made of them."""
def _record_start(inputs: Any, weights: Any, traced: Any = ...) -> Any:
    """Begins to record on this thread. `inputs` are (name, tensor), `weights` (names, role, tensor), `traced` earlier recordings, the values of the sizes that vary in each, and what makes the object that stands for one of them."""
def _record_stop() -> Any:
    """Ends the recording of this thread, if there is one, without a result; gives the exception for what could not be recorded."""
def _refuse_where(bad: Tensor, text: _str, runtime: _bool = False) -> Tensor:
    """A ValueError (or RuntimeError) where an element is true; on a GPU where what comes next is read."""
def _register_plain_class(*args: Any, **kwargs: Any) -> Any:
    """Says that a class has no `__torch_function__` of its own, so that calls need not ask."""
def _reset_peak_memory() -> Any: ...
def _resized_text(before: Any, after: Any) -> Any:
    """What is said where an `out` that has elements is given another shape."""
def _resolve_bits(tensor: Any, conj: Any, neg: Any) -> Any:
    """A tensor with the conjugation or negation that a file asks for carried out."""
def _run_backward(tensors: Any, grad_tensors: Any, keep_graph: Any, create_graph: Any, inputs: Any = ..., allow_unreachable: Any = ..., accumulate_grad: Any = ...) -> Any: ...
def _save(obj: Any, target: Any, legacy: Any = ..., checksums: Any = ..., skip_data: Any = ..., byteorder: Any = ...) -> Any:
    """Writes `obj` to a path, all or nothing, or to a file object."""
def _save_pickled(pickle: Any, storages: Any, target: Any, checksums: Any, skip_data: Any, byteorder: Any) -> Any:
    """Writes a pickle that another module made, and the storages (uint8 tensors) that it names by their numbers."""
def _save_safetensors(tensors: Any, target: Any, metadata: Any = ...) -> Any:
    """Writes named tensors as safetensors to a path, all or nothing, or to a file object."""
def _saved_tensors_hooks_disable(message: Any) -> Any: ...
def _saved_tensors_hooks_enable() -> Any: ...
def _saved_tensors_hooks_get_disabled_error_message() -> Any: ...
def _set_autocast(dtype: Any) -> Any:
    """Sets the dtype that products compute in, None for their own; returns the former one."""
def _set_default_device(device: Any) -> Any: ...
def _set_function_markers(disabled: Any, default: Any) -> Any: ...
def _set_global_hooks(registries: Any, flags: Any) -> Any:
    """Tells which dictionaries are the global registries and flags now."""
def _set_grad_enabled(mode: Any) -> Any: ...
def _set_inference_mode(mode: Any) -> Any: ...
def _set_module_classes(module: Any, parameter: Any) -> Any:
    """The classes `Module` and `Parameter`, once both exist."""
def _set_registration_hooks(registries: Any) -> Any:
    """Tells which dictionaries are the global registries of registration hooks (parameters', modules') now."""
def _set_torch_function_off(off: Any) -> Any:
    """Returns the former state."""
def _sgd_step(params: Any, grads: Any, momentum_buffers: Any, lr: Any, momentum: Any, dampening: Any, weight_decay: Any, nesterov: Any, maximize: Any) -> Any:
    """A step of SGD; `momentum_buffers` holds None where a parameter has none yet, and gets it."""
def _simd_level() -> Any:
    """The vector instructions in use, as `RUSTNN_SIMD` names them."""
def _size_getitem() -> Any:
    """The descriptor that `rustnn.Size` takes as `__getitem__`."""
def _storage_bytes(tensor: Any) -> Any:
    """All of a tensor's storage as a tensor of bytes."""
def _tensor_over(bytes: Any, dtype: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = ...) -> Any:
    """A tensor over the memory of a tensor of bytes; offset and strides count elements."""
def _vector_norm(input: Tensor, p: _float = 2, dim: _IntList | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None) -> Tensor:
    """`(Σ |x|^p)^(1/p)` over dimensions."""
def _warn_of_fallback(name: Any, tensor: Any) -> Any:
    """Says once that a function of the Python package is computed on the CPU, on copies of what lies on a GPU."""
def _will_engine_execute_node(node: Any) -> Any:
    """Whether the run that this thread is in goes through a node."""
def abs(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Absolute value."""
def abs_(input: Tensor) -> Tensor:
    """Absolute value."""
def absolute(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Absolute value."""
def absolute_(input: Tensor) -> Tensor:
    """Absolute value."""
def acos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse cosine; radians."""
def acos_(input: Tensor) -> Tensor:
    """Inverse cosine; radians."""
def acosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse hyperbolic cosine."""
def acosh_(input: Tensor) -> Tensor:
    """Inverse hyperbolic cosine."""
def adaptive_avg_pool1d(input: Tensor, output_size: _IntList) -> Tensor:
    """The means of as many windows as asked for; None keeps a size."""
def adaptive_avg_pool2d(input: Tensor, output_size: _IntList) -> Tensor:
    """The means of as many windows as asked for; None keeps a size."""
def adaptive_avg_pool3d(input: Tensor, output_size: _IntList) -> Tensor:
    """The means of as many windows as asked for; None keeps a size."""
def adaptive_max_pool1d(input: Tensor, output_size: _IntList, return_indices: _bool = False) -> Tensor:
    """The greatest of as many windows as asked for; None keeps a size."""
def adaptive_max_pool2d(input: Tensor, output_size: _IntList, return_indices: _bool = False) -> Tensor:
    """The greatest of as many windows as asked for; None keeps a size."""
def adaptive_max_pool3d(input: Tensor, output_size: _IntList, return_indices: _bool = False) -> Tensor:
    """The greatest of as many windows as asked for; None keeps a size."""
def add(input: Tensor | _Number, other: Tensor | _Number, *, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
    """Sum: `input + alpha * other`."""
def add_(input: Tensor, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
    """Sum: `input + alpha * other`."""
def addcdiv(input: Tensor | _Number, tensor1: Tensor | _Number, tensor2: Tensor | _Number, *, value: _Number = 1, out: Tensor | None = None) -> Tensor:
    """`input + value * tensor1 / tensor2`."""
def addcdiv_(input: Tensor, tensor1: Tensor | _Number, tensor2: Tensor | _Number, *, value: _Number = 1) -> Tensor:
    """`input + value * tensor1 / tensor2`."""
def addcmul(input: Tensor | _Number, tensor1: Tensor | _Number, tensor2: Tensor | _Number, *, value: _Number = 1, out: Tensor | None = None) -> Tensor:
    """`input + value * tensor1 * tensor2`."""
def addcmul_(input: Tensor, tensor1: Tensor | _Number, tensor2: Tensor | _Number, *, value: _Number = 1) -> Tensor:
    """`input + value * tensor1 * tensor2`."""
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
    """`beta * self + alpha * mat1 @ mat2`."""
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
    """`beta * self + alpha * mat @ vec`."""
def adjoint(input: Tensor) -> Tensor:
    """The last two dimensions exchanged, conjugated."""
def all(input: Tensor, dim: _IntList | None = None, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
    """Whether all elements, of all or along dimensions, are not zero."""
def allclose(input: Tensor, other: Tensor | _Number, rtol: _float = 1e-05, atol: _float = 1e-08, equal_nan: _bool = False) -> _bool:
    """Whether all elements are close."""
def alpha_dropout(input: Tensor, p: _float = 0.5, training: _bool = False, inplace: _bool = False) -> Tensor:
    """Dropout that keeps mean and variance of SELU networks."""
def amax(input: Tensor, dim: _IntList | None = ..., keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
    """Greatest over dimensions; equal ones share the gradient."""
def amin(input: Tensor, dim: _IntList | None = ..., keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
    """Least over dimensions; equal ones share the gradient."""
def aminmax(input: Tensor, *, dim: _int | None = None, keepdim: _bool = False, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """Least and greatest."""
def angle(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angle to the positive real axis; radians."""
def any(input: Tensor, dim: _IntList | None = None, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
    """Whether any element, of all or along dimensions, is not zero."""
@overload
def arange(end: _Number, *, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
    """Numbers from 0 to `end`, which is not included."""
@overload
def arange(start: _Number, end: _Number, step: _Number = 1, *, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor: ...
def arccos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse cosine; radians."""
def arccos_(input: Tensor) -> Tensor:
    """Inverse cosine; radians."""
def arccosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse hyperbolic cosine."""
def arccosh_(input: Tensor) -> Tensor:
    """Inverse hyperbolic cosine."""
def arcsin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse sine; radians."""
def arcsin_(input: Tensor) -> Tensor:
    """Inverse sine; radians."""
def arcsinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse hyperbolic sine."""
def arcsinh_(input: Tensor) -> Tensor:
    """Inverse hyperbolic sine."""
def arctan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse tangent; radians."""
def arctan2(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Angle of the point (`other`, `input`); radians."""
def arctan2_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Angle of the point (`other`, `input`); radians."""
def arctan_(input: Tensor) -> Tensor:
    """Inverse tangent; radians."""
def arctanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse hyperbolic tangent."""
def arctanh_(input: Tensor) -> Tensor:
    """Inverse hyperbolic tangent."""
def argmax(input: Tensor, dim: _int | None = None, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
    """Place of the first greatest element."""
def argmin(input: Tensor, dim: _int | None = None, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
    """Place of the first least element."""
def argsort(input: Tensor, dim: _int = -1, descending: _bool = False, stable: _bool | None = False) -> Tensor:
    """The places that sort a dimension (always stably)."""
def argwhere(input: Tensor) -> Tensor:
    """Coordinates of the elements that are not zero, one row each."""
def as_strided(input: Tensor, size: _IntList, stride: _IntList, storage_offset: _int | None = None) -> Tensor:
    """Any geometry over the storage; strides count elements."""
def as_tensor(data: Any, dtype: Any = ..., device: Any = ...) -> Any:
    """The data as a tensor, sharing memory where that is possible."""
def asin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse sine; radians."""
def asin_(input: Tensor) -> Tensor:
    """Inverse sine; radians."""
def asinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse hyperbolic sine."""
def asinh_(input: Tensor) -> Tensor:
    """Inverse hyperbolic sine."""
def atan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse tangent; radians."""
def atan2(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Angle of the point (`other`, `input`); radians."""
def atan2_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Angle of the point (`other`, `input`); radians."""
def atan_(input: Tensor) -> Tensor:
    """Inverse tangent; radians."""
def atanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse hyperbolic tangent."""
def atanh_(input: Tensor) -> Tensor:
    """Inverse hyperbolic tangent."""
def avg_pool1d(input: Tensor, kernel_size: _IntList, stride: _IntList | None = None, padding: _IntList = 0, ceil_mode: _bool = False, count_include_pad: _bool = True) -> Tensor:
    """The mean of each window."""
def avg_pool2d(input: Tensor, kernel_size: _IntList, stride: _IntList | None = None, padding: _IntList = 0, ceil_mode: _bool = False, count_include_pad: _bool = True, divisor_override: _int | None = None) -> Tensor:
    """The mean of each window."""
def avg_pool3d(input: Tensor, kernel_size: _IntList, stride: _IntList | None = None, padding: _IntList = 0, ceil_mode: _bool = False, count_include_pad: _bool = True, divisor_override: _int | None = None) -> Tensor:
    """The mean of each window."""
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: _Number = 1, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
    """`beta * self + alpha * batch1 @ batch2`."""
def batch_norm(input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None, bias: Tensor | None = None, training: _bool = False, momentum: _float = 0.1, eps: _float = 1e-05) -> Tensor:
    """Normalisation of each channel over all else. Ioffe and Szegedy 2015, arXiv:1502.03167."""
@overload
def bernoulli(input: Tensor, *, generator: Generator | None = None, out: Tensor | None = None) -> Tensor:
    """1 with each element's probability."""
@overload
def bernoulli(input: Tensor, p: _float, *, generator: Generator | None = None) -> Tensor: ...
bfloat16: _dtype
def binary_cross_entropy(input: Tensor, target: Tensor, *, weight: Tensor | None = None, reduction: _str = ...) -> Tensor:
    """Cross-entropy of probabilities."""
def binary_cross_entropy_with_logits(input: Tensor, target: Tensor, *, weight: Tensor | None = None, reduction: _str = ..., pos_weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of logits of probabilities."""
def bincount(input: Tensor, weights: Tensor | None = None, minlength: _int = 0) -> Tensor:
    """How often each integer occurs."""
def bitwise_and(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Bits set in both."""
def bitwise_and_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Bits set in both."""
def bitwise_left_shift(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Bits moved up."""
def bitwise_left_shift_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Bits moved up."""
def bitwise_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Bits not set; logical for bool."""
def bitwise_not_(input: Tensor) -> Tensor:
    """Bits not set; logical for bool."""
def bitwise_or(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Bits set in either."""
def bitwise_or_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Bits set in either."""
def bitwise_right_shift(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Bits moved down; the sign is kept."""
def bitwise_right_shift_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Bits moved down; the sign is kept."""
def bitwise_xor(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Bits set in exactly one."""
def bitwise_xor_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Bits set in exactly one."""
def bmm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Products of two stacks of matrices."""
bool: _dtype
@overload
def broadcast_to(input: Tensor, size: Sequence[_int]) -> Tensor:
    """Broadcast to a shape."""
@overload
def broadcast_to(input: Tensor, *size: _int) -> Tensor: ...
def bucketize(input: Tensor | _Number, boundaries: Tensor, *, out_int32: _bool = False, right: _bool = False, out: Tensor | None = None) -> Tensor:
    """Which interval between boundaries a value lies in."""
def can_cast(from_: Any, to: Any) -> Any: ...
def cat(tensors: Sequence[Tensor], dim: _int = 0, *, out: Tensor | None = None) -> Tensor:
    """The tensors one behind the other along a dimension."""
cdouble: _dtype
def ceil(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Smallest integer not below."""
def ceil_(input: Tensor) -> Tensor:
    """Rounds up in place."""
def celu(input: Tensor, alpha: _Number = 1.0, inplace: _bool = False) -> Tensor:
    """Continuously differentiable ELU."""
def celu_(input: Tensor, alpha: _Number = 1.0) -> Tensor:
    """Continuously differentiable ELU, in place."""
cfloat: _dtype
chalf: _dtype
channels_last: Any
channels_last_3d: Any
def chunk(input: Tensor, chunks: _int, dim: _int = 0) -> tuple[Tensor, ...]:
    """That many pieces along a dimension."""
@overload
def clamp(input: Tensor, min: _Number | None = None, max: _Number | None = None, *, out: Tensor | None = None) -> Tensor:
    """Held between `min` and `max`."""
@overload
def clamp(input: Tensor, min: Tensor | None = None, max: Tensor | None = None, *, out: Tensor | None = None) -> Tensor: ...
@overload
def clamp_(input: Tensor, min: _Number | None = None, max: _Number | None = None) -> Tensor:
    """Held between `min` and `max`, in place."""
@overload
def clamp_(input: Tensor, min: Tensor | None = None, max: Tensor | None = None) -> Tensor: ...
def clamp_max(input: Tensor, max: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """At most `max`."""
@overload
def clamp_max_(input: Tensor, max: Tensor) -> Tensor:
    """At most the tensor `max`, in place."""
@overload
def clamp_max_(input: Tensor, max: _Number) -> Tensor: ...
def clamp_min(input: Tensor, min: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """At least `min`."""
@overload
def clamp_min_(input: Tensor, min: Tensor) -> Tensor:
    """At least the tensor `min`, in place."""
@overload
def clamp_min_(input: Tensor, min: _Number) -> Tensor: ...
@overload
def clip(input: Tensor, min: _Number | None = None, max: _Number | None = None, *, out: Tensor | None = None) -> Tensor:
    """Held between `min` and `max`."""
@overload
def clip(input: Tensor, min: Tensor | None = None, max: Tensor | None = None, *, out: Tensor | None = None) -> Tensor: ...
@overload
def clip_(input: Tensor, min: _Number | None = None, max: _Number | None = None) -> Tensor:
    """Held between `min` and `max`, in place."""
@overload
def clip_(input: Tensor, min: Tensor | None = None, max: Tensor | None = None) -> Tensor: ...
def clone(input: Tensor, *, memory_format: Any | None = None) -> Tensor:
    """A copy with memory of its own."""
def complex(real: Tensor, imag: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Complex numbers of their real and imaginary parts."""
complex128: _dtype
complex32: _dtype
complex64: _dtype
def concat(tensors: Sequence[Tensor], dim: _int = 0, *, out: Tensor | None = None) -> Tensor:
    """The tensors one behind the other along a dimension."""
def concatenate(tensors: Sequence[Tensor], dim: _int = 0, *, out: Tensor | None = None) -> Tensor:
    """The tensors one behind the other along a dimension."""
def conj(input: Tensor) -> Tensor:
    """Complex conjugates; a real tensor itself."""
def conj_physical(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Complex conjugates; a real tensor itself."""
contiguous_format: Any
@overload
def conv1d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _IntList = 1, padding: _IntList = 0, dilation: _IntList = 1, groups: _int = 1) -> Tensor:
    """Convolution over one dimension: (N, C, L) with weight (O, C / groups, K)."""
@overload
def conv1d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _IntList = 1, padding: _str = ..., dilation: _IntList = 1, groups: _int = 1) -> Tensor: ...
@overload
def conv2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _IntList = 1, padding: _IntList = 0, dilation: _IntList = 1, groups: _int = 1) -> Tensor:
    """Convolution over two dimensions: (N, C, H, W) with weight (O, C / groups, K, K)."""
@overload
def conv2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _IntList = 1, padding: _str = ..., dilation: _IntList = 1, groups: _int = 1) -> Tensor: ...
@overload
def conv3d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _IntList = 1, padding: _IntList = 0, dilation: _IntList = 1, groups: _int = 1) -> Tensor:
    """Convolution over three dimensions."""
@overload
def conv3d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _IntList = 1, padding: _str = ..., dilation: _IntList = 1, groups: _int = 1) -> Tensor: ...
def conv_transpose1d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _IntList = 1, padding: _IntList = 0, output_padding: _IntList = 0, groups: _int = 1, dilation: _IntList = 1) -> Tensor:
    """The gradient of conv1d with respect to its input, as a layer."""
def conv_transpose2d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _IntList = 1, padding: _IntList = 0, output_padding: _IntList = 0, groups: _int = 1, dilation: _IntList = 1) -> Tensor:
    """The gradient of conv2d with respect to its input, as a layer."""
def conv_transpose3d(input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: _IntList = 1, padding: _IntList = 0, output_padding: _IntList = 0, groups: _int = 1, dilation: _IntList = 1) -> Tensor:
    """The gradient of conv3d with respect to its input, as a layer."""
def copysign(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """The magnitude of `input` with the sign of `other`."""
def copysign_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """The magnitude of `input` with the sign of `other`."""
def cos(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Cosine; radians."""
def cos_(input: Tensor) -> Tensor:
    """Cosine; radians."""
def cosh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Hyperbolic cosine."""
def cosh_(input: Tensor) -> Tensor:
    """Hyperbolic cosine."""
def count_nonzero(input: Tensor, dim: _IntList | None = None) -> Tensor:
    """How many elements are not zero."""
def cross(input: Tensor, other: Tensor | _Number, dim: _int | None = None) -> Tensor:
    """Vector products along a dimension of size 3."""
def cross_entropy(input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: _int = -100, reduction: _str = ..., label_smoothing: _float = 0.0) -> Tensor:
    """Cross-entropy of logits (N, C, …) with classes or probabilities."""
def cummax(input: Tensor, dim: _int, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """The greatest so far along a dimension, and its place."""
def cummin(input: Tensor, dim: _int, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """The least so far along a dimension, and its place."""
def cumprod(input: Tensor, dim: _int, *, dtype: _dtype | None = None, out: Tensor | None = None) -> Tensor:
    """Products so far along a dimension."""
def cumsum(input: Tensor, dim: _int, *, dtype: _dtype | None = None, out: Tensor | None = None) -> Tensor:
    """Sums so far along a dimension."""
default_generator: Any
def deg2rad(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Degrees to radians."""
def deg2rad_(input: Tensor) -> Tensor:
    """Degrees to radians."""
def detach(input: Tensor) -> Tensor:
    """The same memory without history."""
def detach_(input: Tensor) -> Tensor:
    """Forgets the history."""
@final
class device:
    """Where a tensor lies."""
    def __new__(cls, type: Any, index: Any = ...) -> Self: ...
    def __enter__(self) -> Any: ...
    def __exit__(self, *_args: Any) -> Any: ...
    @property
    def index(self) -> Any: ...
    @index.setter
    def index(self, value: Any) -> None: ...
    @property
    def type(self) -> Any: ...
    @type.setter
    def type(self, value: Any) -> None: ...
def diag(input: Tensor, diagonal: _int = 0, *, out: Tensor | None = None) -> Tensor:
    """A matrix with a vector on its diagonal, or the diagonal of a matrix."""
def diag_embed(input: Tensor, offset: _int = 0, dim1: _int = -2, dim2: _int = -1) -> Tensor:
    """The last dimension on the diagonal of two new ones."""
def diagflat(input: Tensor, offset: _int = 0) -> Tensor:
    """A matrix with all elements on its diagonal."""
def diagonal(input: Tensor, offset: _int = 0, dim1: _int = 0, dim2: _int = 1) -> Tensor:
    """The diagonal of two dimensions."""
def digamma(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Derivative of `ln Γ`."""
def digamma_(input: Tensor) -> Tensor:
    """Derivative of `ln Γ`."""
def div(input: Tensor | _Number, other: Tensor | _Number, *, rounding_mode: _str | None = None, out: Tensor | None = None) -> Tensor:
    """Quotient, a float for integers too; rounded by `floor` or `trunc` if asked."""
def divide(input: Tensor | _Number, other: Tensor | _Number, *, rounding_mode: _str | None = None, out: Tensor | None = None) -> Tensor:
    """Quotient, a float for integers too; rounded by `floor` or `trunc` if asked."""
def dot(input: Tensor, tensor: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inner product of two vectors."""
double: _dtype
def dropout(input: Tensor, p: _float = 0.5, training: _bool = True, inplace: _bool = False) -> Tensor:
    """Zeros elements with probability p; the others are divided by 1 - p. Srivastava et al. 2014."""
@final
class dtype:
    """The type of a tensor's elements."""
    @property
    def is_complex(self) -> Any: ...
    @is_complex.setter
    def is_complex(self, value: Any) -> None: ...
    @property
    def is_floating_point(self) -> Any: ...
    @is_floating_point.setter
    def is_floating_point(self, value: Any) -> None: ...
    @property
    def is_signed(self) -> Any: ...
    @is_signed.setter
    def is_signed(self, value: Any) -> None: ...
    @property
    def itemsize(self) -> Any: ...
    @itemsize.setter
    def itemsize(self, value: Any) -> None: ...
    def to_complex(self) -> Any:
        """The complex dtype of these parts. Raises: RuntimeError for integers and booleans."""
    def to_real(self) -> Any: ...
def elu(input: Tensor, alpha: _Number = 1.0, inplace: _bool = False) -> Tensor:
    """Exponential linear unit."""
def elu_(input: Tensor, alpha: _Number = 1.0) -> Tensor:
    """Exponential linear unit, in place."""
def embedding(input: Tensor, weight: Tensor, padding_idx: _int | None = None, max_norm: _float | None = None, norm_type: _float = 2.0, scale_grad_by_freq: _bool = False, sparse: _bool = False) -> Tensor:
    """Rows of `weight` looked up by index; the gradient is dense, whatever `sparse` says."""
@overload
def empty(size: Sequence[_int], *, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False, memory_format: Any | None = None) -> Tensor:
    """A tensor with arbitrary contents."""
@overload
def empty(*size: _int, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False, memory_format: Any | None = None) -> Tensor: ...
def empty_like(input: Tensor, *, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False, memory_format: Any | None = None) -> Tensor:
    """Arbitrary contents, shaped like the input."""
def empty_strided(size: _IntList, stride: _IntList, *, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
    """A tensor with arbitrary contents and the given strides."""
from rustnn.autograd.grad_mode import enable_grad as enable_grad
def eq(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Whether equal."""
def eq_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Whether equal."""
def equal(input: Tensor, other: Tensor | _Number) -> _bool:
    """Whether shapes and all elements are equal."""
def erf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Error function, `2/√π ∫₀ˣ exp(-t²) dt`."""
def erf_(input: Tensor) -> Tensor:
    """Error function, `2/√π ∫₀ˣ exp(-t²) dt`."""
def erfc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`1 - erf(x)`."""
def erfc_(input: Tensor) -> Tensor:
    """`1 - erf(x)`."""
def erfinv(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Inverse of `erf`."""
def erfinv_(input: Tensor) -> Tensor:
    """Inverse of `erf`."""
def exp(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Exponential."""
def exp2(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`2 ** x`."""
def exp2_(input: Tensor) -> Tensor:
    """`2 ** x`."""
def exp_(input: Tensor) -> Tensor:
    """Exponential."""
def expm1(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`exp(x) - 1`, accurate near 0."""
def expm1_(input: Tensor) -> Tensor:
    """`exp(x) - 1`, accurate near 0."""
def eye(n: _int, m: _int | None = None, *, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
    """Ones on the diagonal."""
def feature_alpha_dropout(input: Tensor, p: _float = 0.5, training: _bool = False, inplace: _bool = False) -> Tensor:
    """Alpha dropout of whole channels."""
def feature_dropout(input: Tensor, p: _float, train: _bool, inplace: _bool = False) -> Tensor:
    """Zeros whole channels."""
def fill_(input: Tensor, value: Tensor | _Number) -> Tensor:
    """Writes one value everywhere."""
def fix(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The integer part."""
def fix_(input: Tensor) -> Tensor:
    """Drops the fraction in place."""
def flatten(input: Tensor, start_dim: _int = 0, end_dim: _int = -1) -> Tensor:
    """Several dimensions made one."""
@overload
def flip(input: Tensor, dims: Sequence[_int]) -> Tensor:
    """Dimensions in reverse order."""
@overload
def flip(input: Tensor, *dims: _int) -> Tensor: ...
def fliplr(input: Tensor) -> Tensor:
    """Columns in reverse order."""
def flipud(input: Tensor) -> Tensor:
    """Rows in reverse order."""
float: _dtype
float16: _dtype
float32: _dtype
float64: _dtype
float8_e4m3fn: _dtype
float8_e4m3fnuz: _dtype
float8_e5m2: _dtype
float8_e5m2fnuz: _dtype
def floor(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Largest integer not above."""
def floor_(input: Tensor) -> Tensor:
    """Rounds down in place."""
def floor_divide(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Quotient rounded toward minus infinity, `floor(input / other)`."""
def floor_divide_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Quotient rounded toward minus infinity, `floor(input / other)`."""
def fmax(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """The larger one, the number where one is NaN."""
def fmax_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """The larger one, the number where one is NaN."""
def fmin(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """The smaller one, the number where one is NaN."""
def fmin_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """The smaller one, the number where one is NaN."""
def fmod(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Remainder with the sign of the dividend, as C's `fmod`."""
def fmod_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Remainder with the sign of the dividend, as C's `fmod`."""
def frac(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The fractional part, with the sign of the input."""
def frac_(input: Tensor) -> Tensor:
    """The fractional part, with the sign of the input."""
def from_numpy(array: Any) -> Any:
    """A tensor over a NumPy array's memory; writes to either are seen by both."""
def frombuffer(buffer: Any, *, dtype: Any, count: Any = ..., offset: Any = ..., requires_grad: Any = ...) -> Any:
    """A tensor over the bytes of a buffer (`bytearray`, `memoryview`, …)."""
def full(size: _IntList, fill_value: _Number, *, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
    """One value everywhere."""
def full_like(input: Tensor, fill_value: _Number, *, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False, memory_format: Any | None = None) -> Tensor:
    """One value everywhere, shaped like the input."""
def gather(input: Tensor, dim: _int, index: Tensor, *, sparse_grad: _bool = False, out: Tensor | None = None) -> Tensor:
    """The elements that an index names along a dimension."""
def ge(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Whether greater or equal."""
def ge_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Whether greater or equal."""
def gelu(input: Tensor, *, approximate: _str = ...) -> Tensor:
    """Gaussian error linear unit."""
def ger(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Products of all pairs of two vectors' elements."""
def get_default_dtype() -> Any: ...
def get_num_threads() -> Any: ...
def get_rng_state() -> Any:
    """Seed and position of the default generator, as a uint8 tensor."""
def glu(input: Tensor, dim: _int = -1) -> Tensor:
    """The first half times the sigmoid of the second. Dauphin et al. 2016, arXiv:1612.08083."""
def greater(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Whether greater."""
def greater_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Whether greater."""
def greater_equal(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Whether greater or equal."""
def greater_equal_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Whether greater or equal."""
def group_norm(input: Tensor, num_groups: _int, weight: Tensor | None = None, bias: Tensor | None = None, eps: _float = 1e-05) -> Tensor:
    """Normalisation over groups of channels. Wu and He 2018, arXiv:1803.08494."""
def gt(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Whether greater."""
def gt_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Whether greater."""
half: _dtype
def hardshrink(input: Tensor, lambd: _Number = 0.5, *, out: Tensor | None = None) -> Tensor:
    """`x` outside of [-lambd, lambd], else 0."""
def hardshrink_(input: Tensor, lambd: _Number = 0.5) -> Tensor:
    """`x` outside of [-lambd, lambd], else 0."""
def hardsigmoid(input: Tensor, inplace: _bool = False) -> Tensor:
    """`max(0, min(1, x / 6 + 1 / 2))`."""
def hardswish(input: Tensor, inplace: _bool = False) -> Tensor:
    """`x * hardsigmoid(x)`."""
def hardtanh(input: Tensor, min_val: _Number = -1.0, max_val: _Number = 1.0, inplace: _bool = False) -> Tensor:
    """Held between two numbers."""
def hardtanh_(input: Tensor, min_val: _Number = -1.0, max_val: _Number = 1.0) -> Tensor:
    """Held between two numbers, in place."""
def heaviside(input: Tensor | _Number, values: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """0 below zero, 1 above, `values` at zero."""
def heaviside_(input: Tensor, values: Tensor | _Number) -> Tensor:
    """0 below zero, 1 above, `values` at zero."""
def histc(input: Tensor, bins: _int = 100, min: _Number = 0, max: _Number = 0, *, out: Tensor | None = None) -> Tensor:
    """Counts of elements in equal bins."""
def huber_loss(input: Tensor, target: Tensor, *, reduction: _str = ..., delta: _float = 1.0) -> Tensor:
    """Huber's loss."""
def hypot(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Length of the hypotenuse, `sqrt(a² + b²)`."""
def hypot_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Length of the hypotenuse, `sqrt(a² + b²)`."""
def imag(input: Tensor) -> Tensor:
    """The imaginary parts: a view."""
def index_add(input: Tensor, dim: _int, index: Tensor, source: Tensor, *, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
    """Adds rows to the rows that an index names."""
def index_copy(input: Tensor, dim: _int, index: Tensor, source: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Copies rows to the rows that an index names."""
def index_fill(input: Tensor, dim: _int, index: Tensor, value: Tensor | _Number) -> Tensor:
    """Writes a number to the rows that an index names."""
def index_put(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: _bool = False) -> Tensor:
    """Writes values to the places that index tensors name together."""
def index_put_(input: Tensor, indices: Sequence[Tensor | None], values: Tensor, accumulate: _bool = False) -> Tensor:
    """Writes values to the places that index tensors name together, in place."""
def index_select(input: Tensor, dim: _int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Rows of a dimension, in the order of an index."""
from rustnn.autograd.grad_mode import inference_mode as inference_mode
def inner(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Sums of products over the last dimensions."""
def instance_norm(input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None, weight: Tensor | None = None, bias: Tensor | None = None, use_input_stats: _bool = True, momentum: _float = 0.1, eps: _float = 1e-05) -> Tensor:
    """Normalisation of each channel of each sample. Ulyanov et al. 2016, arXiv:1607.08022."""
int: _dtype
int16: _dtype
int32: _dtype
int64: _dtype
int8: _dtype
def is_anomaly_check_nan_enabled() -> Any: ...
def is_anomaly_enabled() -> Any: ...
def is_complex(input: Tensor) -> _bool:
    """Whether the dtype is complex."""
def is_floating_point(input: Tensor) -> _bool:
    """Whether the dtype is a real floating-point one."""
def is_grad_enabled() -> Any: ...
def is_inference_mode_enabled() -> Any: ...
def is_signed(input: Tensor) -> _bool:
    """Whether the dtype has negative values."""
def isclose(input: Tensor, other: Tensor | _Number, rtol: _float = 1e-05, atol: _float = 1e-08, equal_nan: _bool = False) -> Tensor:
    """Whether elements are close."""
def isfinite(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether neither infinite nor NaN."""
def isinf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether +inf or -inf."""
def isnan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether NaN."""
def isneginf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether -inf."""
def isposinf(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether +inf."""
def kl_div(input: Tensor, target: Tensor, *, reduction: _str = ..., log_target: _bool = False) -> Tensor:
    """Kullback-Leibler divergence of log-probabilities."""
def kthvalue(input: Tensor, k: _int, dim: _int = -1, keepdim: _bool = False, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """The k-th least along a dimension, and its place."""
def l1_loss(input: Tensor, target: Tensor, *, reduction: _str = ...) -> Tensor:
    """Absolute error."""
def layer_norm(input: Tensor, normalized_shape: _IntList, weight: Tensor | None = None, bias: Tensor | None = None, eps: _float = 1e-05) -> Tensor:
    """Normalisation over the last dimensions. Ba et al. 2016, arXiv:1607.06450."""
@final
class layout:
    """How a tensor is stored; always strided."""
def le(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Whether less or equal."""
def le_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Whether less or equal."""
def leaky_relu(input: Tensor, negative_slope: _Number = 0.01, inplace: _bool = False) -> Tensor:
    """`x` above 0, a slope below."""
def leaky_relu_(input: Tensor, negative_slope: _Number = 0.01) -> Tensor:
    """`x` above 0, a slope below, in place."""
def lerp(input: Tensor, end: Tensor, weight: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Linear interpolation, `self + weight * (end - self)`."""
def less(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Whether less."""
def less_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Whether less."""
def less_equal(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Whether less or equal."""
def less_equal_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Whether less or equal."""
def lgamma(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`ln |Γ(x)|`."""
def lgamma_(input: Tensor) -> Tensor:
    """`ln |Γ(x)|`."""
def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`y = x Wᵀ + b` over the last dimension."""
def linspace(start: Tensor | _Number, end: Tensor | _Number, steps: _int, *, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
    """Equally spaced numbers, both ends included."""
def log(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Natural logarithm."""
def log10(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Logarithm to base 10."""
def log10_(input: Tensor) -> Tensor:
    """Logarithm to base 10."""
def log1p(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`ln(1 + x)`, accurate near 0."""
def log1p_(input: Tensor) -> Tensor:
    """`ln(1 + x)`, accurate near 0."""
def log2(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Logarithm to base 2."""
def log2_(input: Tensor) -> Tensor:
    """Logarithm to base 2."""
def log_(input: Tensor) -> Tensor:
    """Natural logarithm."""
def log_softmax(input: Tensor, dim: _int, dtype: _dtype | None = None) -> Tensor:
    """The logarithm of softmax, without overflow."""
def logaddexp(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """`ln(exp(a) + exp(b))`, without overflow."""
def logaddexp_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """`ln(exp(a) + exp(b))`, without overflow."""
def logcumsumexp(input: Tensor, dim: _int, *, out: Tensor | None = None) -> Tensor:
    """Logarithms of the sums of exponentials so far along a dimension."""
def logical_and(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Whether both are non-zero."""
def logical_and_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Whether both are non-zero."""
def logical_not(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether zero."""
def logical_not_(input: Tensor) -> Tensor:
    """Whether zero."""
def logical_or(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Whether one is non-zero."""
def logical_or_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Whether one is non-zero."""
def logical_xor(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Whether exactly one is non-zero."""
def logical_xor_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Whether exactly one is non-zero."""
def logit(input: Tensor, eps: _float | None = None, *, out: Tensor | None = None) -> Tensor:
    """Log-odds; inputs held in [eps, 1 - eps] if given."""
def logit_(input: Tensor, eps: _float | None = None) -> Tensor:
    """Log-odds, in place."""
def logsigmoid(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`ln(sigmoid(x))`, without overflow."""
def logsigmoid_(input: Tensor) -> Tensor:
    """`ln(sigmoid(x))`, without overflow."""
def logsumexp(input: Tensor, dim: _IntList, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor:
    """ln Σ exp(x) over dimensions, without overflow."""
long: _dtype
def lt(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Whether less."""
def lt_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Whether less."""
def masked_fill(input: Tensor, mask: Tensor, value: Tensor | _Number) -> Tensor:
    """`value` where the mask holds."""
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """Successive elements of `source` where a mask is true."""
def masked_select(input: Tensor, mask: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The elements where a mask is true, as a vector."""
def matmul(input: Tensor, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Product of vectors, matrices or stacks of matrices."""
@overload
def max(input: Tensor, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """The greater of two tensors, element by element."""
@overload
def max(input: Tensor, dim: _int, keepdim: _bool = False, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]: ...
@overload
def max(input: Tensor) -> Tensor: ...
def max_pool1d(input: Tensor, kernel_size: _IntList, stride: _IntList | None = None, padding: _IntList = 0, dilation: _IntList = 1, ceil_mode: _bool = False, return_indices: _bool = False) -> Tensor:
    """The greatest of each window."""
def max_pool2d(input: Tensor, kernel_size: _IntList, stride: _IntList | None = None, padding: _IntList = 0, dilation: _IntList = 1, ceil_mode: _bool = False, return_indices: _bool = False) -> Tensor:
    """The greatest of each window."""
def max_pool3d(input: Tensor, kernel_size: _IntList, stride: _IntList | None = None, padding: _IntList = 0, dilation: _IntList = 1, ceil_mode: _bool = False, return_indices: _bool = False) -> Tensor:
    """The greatest of each window."""
def maximum(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """The larger one, NaN where either is; equal ones share the gradient."""
def maximum_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """The larger one, NaN where either is; equal ones share the gradient."""
@overload
def mean(input: Tensor, *, dtype: _dtype | None = None) -> Tensor:
    """Mean of all elements."""
@overload
def mean(input: Tensor, dim: _IntList | None, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Tensor | None = None) -> Tensor: ...
@overload
def median(input: Tensor) -> Tensor:
    """The lower median of all elements."""
@overload
def median(input: Tensor, dim: _int, keepdim: _bool = False, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]: ...
@final
class memory_format:
    """An order of dimensions in memory."""
@overload
def min(input: Tensor, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """The lesser of two tensors, element by element."""
@overload
def min(input: Tensor, dim: _int, keepdim: _bool = False, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]: ...
@overload
def min(input: Tensor) -> Tensor: ...
def minimum(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """The smaller one, NaN where either is; equal ones share the gradient."""
def minimum_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """The smaller one, NaN where either is; equal ones share the gradient."""
def mish(input: Tensor, inplace: _bool = False) -> Tensor:
    """`x * tanh(softplus(x))`."""
def mm(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Product of two matrices."""
def mode(input: Tensor, dim: _int = -1, keepdim: _bool = False, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """The most frequent element along a dimension, and its last place."""
def moveaxis(input: Tensor, source: _IntList, destination: _IntList) -> Tensor:
    """Dimensions moved."""
def movedim(input: Tensor, source: _IntList, destination: _IntList) -> Tensor:
    """Dimensions moved."""
def mse_loss(input: Tensor, target: Tensor, *, reduction: _str = ...) -> Tensor:
    """Squared error."""
def msort(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sorted along the first dimension."""
def mul(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Product: `input * other`."""
def mul_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Product: `input * other`."""
def multinomial(input: Tensor, num_samples: _int, replacement: _bool = False, *, generator: Generator | None = None) -> Tensor:
    """Categories drawn by weight."""
def multiply(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Product: `input * other`."""
def multiply_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Product: `input * other`."""
def mv(input: Tensor, vec: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Product of a matrix and a vector."""
def nan_to_num(input: Tensor, nan: _float | None = None, posinf: _float | None = None, neginf: _float | None = None, *, out: Tensor | None = None) -> Tensor:
    """NaN and infinities replaced."""
def nan_to_num_(input: Tensor, nan: _float | None = None, posinf: _float | None = None, neginf: _float | None = None) -> Tensor:
    """NaN and infinities replaced, in place."""
def nanmean(input: Tensor, dim: _IntList | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Tensor | None = None) -> Tensor:
    """Mean of what is not NaN."""
@overload
def nanmedian(input: Tensor) -> Tensor:
    """The lower median of all elements but NaN."""
@overload
def nanmedian(input: Tensor, dim: _int, keepdim: _bool = False, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]: ...
def nansum(input: Tensor, dim: _IntList | None = None, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Tensor | None = None) -> Tensor:
    """Sum, NaN counted as 0."""
@overload
def narrow(input: Tensor, dim: _int, start: _int, length: _int) -> Tensor:
    """`length` indices of a dimension from `start` on."""
@overload
def narrow(input: Tensor, dim: _int, start: Tensor, length: _int) -> Tensor: ...
def ne(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Whether unequal."""
def ne_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Whether unequal."""
def neg(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Negation: `-input`."""
def neg_(input: Tensor) -> Tensor:
    """Negation: `-input`."""
def negative(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Negation: `-input`."""
def negative_(input: Tensor) -> Tensor:
    """Negation: `-input`."""
def nll_loss(input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: _int = -100, reduction: _str = ...) -> Tensor:
    """Negative log-likelihood of log-probabilities (N, C, …)."""
from rustnn.autograd.grad_mode import no_grad as no_grad
def nonzero(input: Tensor, *, as_tuple: _bool = False, out: Tensor | None = None) -> Tensor:
    """Coordinates of the elements that are not zero."""
@overload
def normal(mean: Tensor | _Number, std: Tensor | _Number = 1, *, generator: Generator | None = None, out: Tensor | None = None) -> Tensor:
    """Normal with the mean and standard deviation of each element."""
@overload
def normal(mean: _float, std: _float, size: _IntList, *, generator: Generator | None = None, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor: ...
def not_equal(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Whether unequal."""
def not_equal_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Whether unequal."""
def numel(input: Tensor) -> _int:
    """Number of elements."""
def one_hot(input: Tensor, num_classes: _int = -1) -> Tensor:
    """A row of zeros for each index, with a one in its column."""
@overload
def ones(size: Sequence[_int], *, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
    """Ones of the given size."""
@overload
def ones(*size: _int, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor: ...
def ones_like(input: Tensor, *, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False, memory_format: Any | None = None) -> Tensor:
    """Ones shaped like the input."""
def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Products of all pairs of two vectors' elements."""
@overload
def permute(input: Tensor, dims: Sequence[_int]) -> Tensor:
    """The dimensions in another order."""
@overload
def permute(input: Tensor, *dims: _int) -> Tensor: ...
def polar(abs: Tensor, angle: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Complex numbers of their magnitudes and angles, which are radians."""
def positive(input: Tensor) -> Tensor:
    """The tensor itself."""
def pow(input: Tensor | _Number, exponent: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Power, `self ** exponent`."""
def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """`x` above 0, a learned slope below."""
preserve_format: Any
@overload
def prod(input: Tensor, *, dtype: _dtype | None = None) -> Tensor:
    """Product of all elements."""
@overload
def prod(input: Tensor, dim: _int, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Tensor | None = None) -> Tensor: ...
def promote_types(a: Any, b: Any) -> Any: ...
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: _bool = False) -> Tensor:
    """Writes to places of the flattened tensor."""
def rad2deg(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Radians to degrees."""
def rad2deg_(input: Tensor) -> Tensor:
    """Radians to degrees."""
@overload
def rand(size: Sequence[_int], *, generator: Generator | None = None, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
    """Uniform in [0, 1)."""
@overload
def rand(*size: _int, generator: Generator | None = None, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor: ...
def rand_like(input: Tensor, *, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False, memory_format: Any | None = None, generator: Generator | None = None) -> Tensor:
    """Uniform in [0, 1), shaped like the input."""
@overload
def randint(high: _int, size: _IntList, *, generator: Generator | None = None, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
    """Integers in [0, high)."""
@overload
def randint(low: _int, high: _int, size: _IntList, *, generator: Generator | None = None, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor: ...
@overload
def randint_like(input: Tensor, high: _int, *, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False, memory_format: Any | None = None) -> Tensor:
    """Integers in [0, high), shaped like the input."""
@overload
def randint_like(input: Tensor, low: _int, high: _int, *, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False, memory_format: Any | None = None) -> Tensor: ...
@overload
def randn(size: Sequence[_int], *, generator: Generator | None = None, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
    """Normal with mean 0 and variance 1."""
@overload
def randn(*size: _int, generator: Generator | None = None, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor: ...
def randn_like(input: Tensor, *, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False, memory_format: Any | None = None, generator: Generator | None = None) -> Tensor:
    """Normal, shaped like the input."""
def randperm(n: _int, *, generator: Generator | None = None, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
    """A random order of the integers below n."""
def ravel(input: Tensor) -> Tensor:
    """All dimensions made one."""
def real(input: Tensor) -> Tensor:
    """The real parts: a view; a real tensor itself."""
def reciprocal(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Reciprocal: `1 / input`."""
def reciprocal_(input: Tensor) -> Tensor:
    """Reciprocal: `1 / input`."""
def relu(input: Tensor, inplace: _bool = False) -> Tensor:
    """Rectified linear unit, `max(x, 0)`."""
def relu6(input: Tensor, inplace: _bool = False) -> Tensor:
    """Rectified linear unit, cut off at 6."""
def relu_(input: Tensor) -> Tensor:
    """Rectified linear unit, in place."""
def remainder(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Remainder with the sign of the divisor, as Python's `%`."""
def remainder_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """Remainder with the sign of the divisor, as Python's `%`."""
@overload
def repeat_interleave(input: Tensor, repeats: Tensor, dim: _int | None = None, *, output_size: _int | None = None) -> Tensor:
    """Every element of a dimension repeated."""
@overload
def repeat_interleave(input: Tensor, repeats: _int, dim: _int | None = None, *, output_size: _int | None = None) -> Tensor: ...
@overload
def repeat_interleave(repeats: Tensor, *, output_size: _int | None = None) -> Tensor: ...
@overload
def reshape(input: Tensor, shape: Sequence[_int]) -> Tensor:
    """The same elements in another shape; a view where that is possible."""
@overload
def reshape(input: Tensor, *shape: _int) -> Tensor: ...
def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: conjugates are computed at once."""
def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself: negatives are computed at once."""
def result_type(a: Any, b: Any) -> Any:
    """The operands' result dtype."""
def rms_norm(input: Tensor, normalized_shape: _IntList, weight: Tensor | None = None, eps: _float | None = None) -> Tensor:
    """Division by the root mean square of the last dimensions. Zhang and Sennrich 2019, arXiv:1910.07467."""
def roll(input: Tensor, shifts: _IntList, dims: _IntList | None = None) -> Tensor:
    """Elements moved along dimensions, coming in again at the other end."""
def rot90(input: Tensor, k: _int = 1, dims: _IntList = ...) -> Tensor:
    """Quarter turns in the plane of two dimensions."""
def round(input: Tensor, *, decimals: _int = 0, out: Tensor | None = None) -> Tensor:
    """Nearest integer, halves to the even one."""
def round_(input: Tensor, *, decimals: _int = 0) -> Tensor:
    """Rounds in place."""
def rsqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`1 / sqrt(x)`."""
def rsqrt_(input: Tensor) -> Tensor:
    """`1 / sqrt(x)`."""
def rsub(input: Tensor | _Number, other: Tensor | _Number, *, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
    """Difference with the operands exchanged: `other - alpha * input`."""
def rsub_(input: Tensor, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
    """Difference with the operands exchanged: `other - alpha * input`."""
@overload
def scatter(input: Tensor, dim: _int, index: Tensor, src: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """Writes `src` to the places that an index names along a dimension."""
@overload
def scatter(input: Tensor, dim: _int, index: Tensor, value: Tensor | _Number, *, out: Tensor | None = None) -> Tensor: ...
@overload
def scatter(input: Tensor, dim: _int, index: Tensor, src: Tensor | _Number, *, reduce: _str, out: Tensor | None = None) -> Tensor: ...
@overload
def scatter(input: Tensor, dim: _int, index: Tensor, value: Tensor | _Number, *, reduce: _str, out: Tensor | None = None) -> Tensor: ...
def scatter_add(input: Tensor, dim: _int, index: Tensor, src: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Adds `src` to the places that an index names along a dimension."""
def scatter_reduce(input: Tensor, dim: _int, index: Tensor, src: Tensor, reduce: _str, *, include_self: _bool = True, out: Tensor | None = None) -> Tensor:
    """Reduces the elements of `src` that an index sends to one place: sum, prod, mean, amax or amin."""
def searchsorted(sorted_sequence: Tensor, input: Tensor | _Number, *, out_int32: _bool = False, right: _bool = False, side: _str | None = None, sorter: Tensor | None = None, out: Tensor | None = None) -> Tensor:
    """Where values would enter ascending sequences."""
def select(input: Tensor, dim: _int, index: _int) -> Tensor:
    """One index of a dimension."""
def selu(input: Tensor, inplace: _bool = False) -> Tensor:
    """Scaled exponential linear unit."""
def selu_(input: Tensor) -> Tensor:
    """Scaled exponential linear unit, in place."""
def set_anomaly_enabled(mode: Any, check_nan: Any = ...) -> Any: ...
def set_default_dtype(d: Any) -> Any: ...
from rustnn.autograd.grad_mode import set_grad_enabled as set_grad_enabled
def set_num_threads(n: Any) -> Any: ...
def set_rng_state(new_state: Any) -> Any:
    """Put the default generator where :func:`get_rng_state` found it."""
def sgn(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sign: -1, 0 or 1; of a complex number the one of magnitude 1 in its direction."""
def sgn_(input: Tensor) -> Tensor:
    """Sign, in place."""
short: _dtype
def sigmoid(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Logistic function, `1 / (1 + exp(-x))`."""
def sigmoid_(input: Tensor) -> Tensor:
    """Logistic function, `1 / (1 + exp(-x))`."""
def sign(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sign: -1, 0 or 1."""
def sign_(input: Tensor) -> Tensor:
    """Sign: -1, 0 or 1."""
def signbit(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Whether the sign bit is set."""
def silu(input: Tensor, inplace: _bool = False) -> Tensor:
    """`x * sigmoid(x)`."""
def sin(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Sine; radians."""
def sin_(input: Tensor) -> Tensor:
    """Sine; radians."""
def sinc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`sin(πx) / (πx)`, 1 at 0."""
def sinc_(input: Tensor) -> Tensor:
    """`sin(πx) / (πx)`, 1 at 0."""
def sinh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Hyperbolic sine."""
def sinh_(input: Tensor) -> Tensor:
    """Hyperbolic sine."""
def slice(input: Tensor, dim: _int = 0, start: _int | None = None, end: _int | None = None, step: _int = 1) -> Tensor:
    """Python's slice of a dimension."""
def smooth_l1_loss(input: Tensor, target: Tensor, *, reduction: _str = ..., beta: _float = 1.0) -> Tensor:
    """Squared error below beta, absolute above."""
def softmax(input: Tensor, dim: _int, dtype: _dtype | None = None) -> Tensor:
    """exp(x) divided by its sum along a dimension."""
def softplus(input: Tensor, beta: _Number = 1, threshold: _Number = 20, *, out: Tensor | None = None) -> Tensor:
    """`ln(1 + exp(beta * x)) / beta`; x itself where `beta * x` exceeds the threshold."""
def softplus_(input: Tensor, beta: _Number = 1, threshold: _Number = 20) -> Tensor:
    """`ln(1 + exp(beta * x)) / beta`; x itself where `beta * x` exceeds the threshold."""
def softshrink(input: Tensor, lambd: _Number = 0.5, *, out: Tensor | None = None) -> Tensor:
    """`x` moved toward 0 by lambd, 0 between."""
def softshrink_(input: Tensor, lambd: _Number = 0.5) -> Tensor:
    """`x` moved toward 0 by lambd, 0 between."""
def softsign(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`x / (1 + |x|)`."""
def softsign_(input: Tensor) -> Tensor:
    """`x / (1 + |x|)`."""
def sort(input: Tensor, dim: _int = -1, descending: _bool = False, stable: _bool | None = False, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """Sorted along a dimension (always stably), and the places the elements came from."""
sparse_coo: Any
@overload
def split(input: Tensor, split_size_or_sections: _int, dim: _int = 0) -> tuple[Tensor, ...]:
    """Pieces of a size along a dimension."""
@overload
def split(input: Tensor, split_size_or_sections: _IntList, dim: _int = 0) -> tuple[Tensor, ...]: ...
def split_with_sizes(input: Tensor, split_sizes: _IntList, dim: _int = 0) -> tuple[Tensor, ...]:
    """Pieces of the given sizes along a dimension."""
def sqrt(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Square root."""
def sqrt_(input: Tensor) -> Tensor:
    """Square root."""
def square(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Square, `self ** 2`."""
def square_(input: Tensor) -> Tensor:
    """Squares in place."""
@overload
def squeeze(input: Tensor) -> Tensor:
    """All sizes of 1 dropped."""
@overload
def squeeze(input: Tensor, dim: _IntList) -> Tensor: ...
def stack(tensors: Sequence[Tensor], dim: _int = 0, *, out: Tensor | None = None) -> Tensor:
    """The tensors side by side along a new dimension."""
@overload
def std(input: Tensor, unbiased: _bool = True) -> Tensor:
    """Standard deviation of all elements."""
@overload
def std(input: Tensor, dim: _IntList | None = None, *, correction: _Number | None = 1, keepdim: _bool = False, out: Tensor | None = None) -> Tensor: ...
@overload
def std(input: Tensor, dim: _IntList | None, unbiased: _bool = True, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor: ...
@overload
def std_mean(input: Tensor, unbiased: _bool = True) -> tuple[Tensor, Tensor]:
    """Standard deviation and mean of all elements."""
@overload
def std_mean(input: Tensor, dim: _IntList | None, unbiased: _bool = True, keepdim: _bool = False) -> tuple[Tensor, Tensor]: ...
@overload
def std_mean(input: Tensor, dim: _IntList | None = None, *, correction: _Number | None = 1, keepdim: _bool = False) -> tuple[Tensor, Tensor]: ...
strided: Any
def sub(input: Tensor | _Number, other: Tensor | _Number, *, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
    """Difference: `input - alpha * other`."""
def sub_(input: Tensor, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
    """Difference: `input - alpha * other`."""
def subtract(input: Tensor | _Number, other: Tensor | _Number, *, alpha: _Number = 1, out: Tensor | None = None) -> Tensor:
    """Difference: `input - alpha * other`."""
def subtract_(input: Tensor, other: Tensor | _Number, *, alpha: _Number = 1) -> Tensor:
    """Difference: `input - alpha * other`."""
@overload
def sum(input: Tensor, *, dtype: _dtype | None = None) -> Tensor:
    """Sum of all elements; integers are counted in int64."""
@overload
def sum(input: Tensor, dim: _IntList | None, keepdim: _bool = False, *, dtype: _dtype | None = None, out: Tensor | None = None) -> Tensor: ...
def swapaxes(input: Tensor, dim0: _int, dim1: _int) -> Tensor:
    """Two dimensions exchanged."""
def swapdims(input: Tensor, dim0: _int, dim1: _int) -> Tensor:
    """Two dimensions exchanged."""
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix."""
def take(input: Tensor, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Elements of the flattened tensor."""
def take_along_dim(input: Tensor, indices: Tensor, dim: _int | None = None, *, out: Tensor | None = None) -> Tensor:
    """The elements that indices, broadcast, name along a dimension."""
def tan(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Tangent; radians."""
def tan_(input: Tensor) -> Tensor:
    """Tangent; radians."""
def tanh(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Hyperbolic tangent."""
def tanh_(input: Tensor) -> Tensor:
    """Hyperbolic tangent."""
def tanhshrink(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`x - tanh(x)`."""
def tanhshrink_(input: Tensor) -> Tensor:
    """`x - tanh(x)`."""
def tensor(data: Any, *, dtype: Any = ..., device: Any = ..., requires_grad: Any = ..., pin_memory: Any = ...) -> Any: ...
@overload
def tensor_split(input: Tensor, tensor_indices_or_sections: Tensor, dim: _int = 0) -> tuple[Tensor, ...]:
    """Pieces that end at the indices in a vector, or as many as a number says."""
@overload
def tensor_split(input: Tensor, sections: _int, dim: _int = 0) -> tuple[Tensor, ...]: ...
@overload
def tensor_split(input: Tensor, indices: _IntList, dim: _int = 0) -> tuple[Tensor, ...]: ...
def threshold(input: Tensor, threshold: _Number, value: _Number, inplace: _bool = False) -> Tensor:
    """`x` above a threshold, else a value."""
def threshold_(input: Tensor, threshold: _Number, value: _Number) -> Tensor:
    """`x` above a threshold, else a value, in place."""
@overload
def tile(input: Tensor, dims: Sequence[_int]) -> Tensor:
    """The tensor repeated along each of the last dimensions."""
@overload
def tile(input: Tensor, *dims: _int) -> Tensor: ...
def topk(input: Tensor, k: _int, dim: _int = -1, largest: _bool = True, sorted: _bool = True, *, out: Sequence[Tensor] | None = None) -> tuple[Tensor, Tensor]:
    """The k greatest or least of a dimension, in order, and their places."""
def trace(input: Tensor) -> Tensor:
    """Sum of a matrix's diagonal."""
def transpose(input: Tensor, dim0: _int, dim1: _int) -> Tensor:
    """Two dimensions exchanged."""
def tril(input: Tensor, diagonal: _int = 0, *, out: Tensor | None = None) -> Tensor:
    """The lower triangle of matrices, zeros above."""
def tril_indices(row: _int, col: _int, offset: _int = 0, *, dtype: _dtype | None = None, device: _DeviceLike | None = None, layout: Any | None = None) -> Tensor:
    """Coordinates of the lower triangle, as rows of a 2 x n tensor."""
def triu(input: Tensor, diagonal: _int = 0, *, out: Tensor | None = None) -> Tensor:
    """The upper triangle of matrices, zeros below."""
def triu_indices(row: _int, col: _int, offset: _int = 0, *, dtype: _dtype | None = None, device: _DeviceLike | None = None, layout: Any | None = None) -> Tensor:
    """Coordinates of the upper triangle, as rows of a 2 x n tensor."""
def true_divide(input: Tensor | _Number, other: Tensor | _Number, *, rounding_mode: _str | None = None, out: Tensor | None = None) -> Tensor:
    """Quotient, a float for integers too; rounded by `floor` or `trunc` if asked."""
def trunc(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The integer part."""
def trunc_(input: Tensor) -> Tensor:
    """Drops the fraction in place."""
uint16: _dtype
uint32: _dtype
uint64: _dtype
uint8: _dtype
def unbind(input: Tensor, dim: _int = 0) -> tuple[Tensor, ...]:
    """The indices of a dimension as tensors of their own."""
def unflatten(input: Tensor, dim: _int, sizes: _IntList) -> Tensor:
    """One dimension made several."""
def unique(input: Tensor, sorted: _bool = True, return_inverse: _bool = False, return_counts: _bool = False, dim: _int | None = None) -> Any:
    """Distinct elements in ascending order."""
def unique_consecutive(input: Tensor, return_inverse: _bool = False, return_counts: _bool = False, dim: _int | None = None) -> Any:
    """The first of each run of equal neighbours."""
def unsqueeze(input: Tensor, dim: _int) -> Tensor:
    """A size of 1 put in."""
@overload
def var(input: Tensor, unbiased: _bool = True) -> Tensor:
    """Variance of all elements."""
@overload
def var(input: Tensor, dim: _IntList | None = None, *, correction: _Number | None = 1, keepdim: _bool = False, out: Tensor | None = None) -> Tensor: ...
@overload
def var(input: Tensor, dim: _IntList | None, unbiased: _bool = True, keepdim: _bool = False, *, out: Tensor | None = None) -> Tensor: ...
@overload
def var_mean(input: Tensor, unbiased: _bool = True) -> tuple[Tensor, Tensor]:
    """Variance and mean of all elements."""
@overload
def var_mean(input: Tensor, dim: _IntList | None, unbiased: _bool = True, keepdim: _bool = False) -> tuple[Tensor, Tensor]: ...
@overload
def var_mean(input: Tensor, dim: _IntList | None = None, *, correction: _Number | None = 1, keepdim: _bool = False) -> tuple[Tensor, Tensor]: ...
def view_as_complex(input: Tensor) -> Tensor:
    """Pairs of real numbers in the last dimension as complex ones: a view."""
def view_as_real(input: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones in a new last dimension: a view."""
@overload
def where(condition: Tensor, input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """`input` where the condition holds, else `other`."""
@overload
def where(condition: Tensor) -> Tensor: ...
def xlogy(input: Tensor | _Number, other: Tensor | _Number, *, out: Tensor | None = None) -> Tensor:
    """`x * ln(y)`, 0 where x is 0."""
def xlogy_(input: Tensor, other: Tensor | _Number) -> Tensor:
    """`x * ln(y)`, 0 where x is 0."""
def zero_(input: Tensor) -> Tensor:
    """Writes zeros."""
@overload
def zeros(size: Sequence[_int], *, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor:
    """Zeros of the given size."""
@overload
def zeros(*size: _int, out: Tensor | None = None, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False) -> Tensor: ...
def zeros_like(input: Tensor, *, dtype: _dtype | None = None, layout: Any | None = None, device: _DeviceLike | None = None, pin_memory: _bool | None = None, requires_grad: _bool = False, memory_format: Any | None = None) -> Tensor:
    """Zeros shaped like the input."""
