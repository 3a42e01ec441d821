"""Parameter and Buffer: tensors that a module registers when they are assigned to it; and their shapeless lazy
forms."""

from __future__ import annotations

from collections import OrderedDict

from rustnn import _core
from rustnn._utils import _rebuild_parameter, _rebuild_parameter_with_state, _state

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter", "factory_kwargs", "is_lazy"]

Tensor = _core.Tensor


def factory_kwargs(kwargs):
    """Of a constructor's keyword arguments, those for making tensors: device, dtype, memory_format.

    Raises: TypeError for any others, and for one that also stands in ``kwargs["factory_kwargs"]``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.factory_kwargs({"device": "cpu", "factory_kwargs": {"dtype": rustnn.float64}})
        {'dtype': torch.float64, 'device': 'cpu'}
    """
    if kwargs is None:
        return {}
    known = {"device", "dtype", "memory_format"}
    if not kwargs.keys() <= known | {"factory_kwargs"}:
        raise TypeError(f"unexpected kwargs {kwargs.keys() - (known | {'factory_kwargs'})}")
    made = dict(kwargs.get("factory_kwargs", {}))
    for name in ("device", "dtype", "memory_format"):
        if name in kwargs:
            if name in made:
                raise TypeError(f"{name} specified twice, in **kwargs and in factory_kwargs")
            made[name] = kwargs[name]
    return made


class _ParameterMeta(type(Tensor)):
    # A tensor of another class counts as a parameter when it says so: `_is_param` is PyTorch's mark for that.
    def __instancecheck__(cls, instance) -> bool:
        if type(instance) is cls or super().__instancecheck__(instance):
            return True
        return cls is Parameter and isinstance(instance, Tensor) and getattr(instance, "_is_param", False)


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A tensor that a module trains: assigned to a module, it appears in ``module.parameters()``.

    It shares memory with ``data``. Operations on it give plain tensors. ``requires_grad`` holds even when it is built
    under ``no_grad``.

    Args:
        data: the tensor with the first values; an empty one by default.
        requires_grad: whether gradients are wanted.
    Raises: RuntimeError if ``requires_grad`` is asked for a dtype without gradients (integers, bool).
    Source: behaviour of ``torch.nn.Parameter``.
    Example:
        >>> import rustnn
        >>> weight = rustnn.nn.Parameter(rustnn.ones(2))
        >>> weight.requires_grad, weight.is_leaf
        (True, True)
        >>> isinstance(weight * 2, rustnn.nn.Parameter)
        False
    """

    def __new__(cls, data=None, requires_grad=True):
        if data is None:
            data = _core.empty(0)
        kind = type(data)
        if kind is Tensor or kind is Parameter:
            return cls._make_subclass(cls, data, requires_grad)
        # A custom tensor class keeps its class; the mark makes isinstance say Parameter.
        marked = data.detach().requires_grad_(requires_grad)
        if type(marked) is not type(data):
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {type(data).__name__} requires that detach() returns "
                f"an instance of the same type, but return type {type(marked).__name__} was found instead. To use the "
                "type as a Parameter, please correct the detach() semantics defined by its __torch_dispatch__() "
                "implementation."
            )
        marked._is_param = True
        return marked

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        # detach: the copy is a new leaf; the gradient and the attributes stay behind, as in PyTorch.
        data = self.detach().clone()
        cls = type(self)
        result = (
            cls._make_subclass(cls, data, self.requires_grad) if cls is Parameter else cls(data, self.requires_grad)
        )
        memo[id(self)] = result
        return result

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol):
        state = _state(self)
        # Hooks are not written; the empty mapping keeps PyTorch's layout.
        if not state:
            return _rebuild_parameter, (self.detach(), self.requires_grad, OrderedDict())
        return _rebuild_parameter_with_state, (self.detach(), self.requires_grad, OrderedDict(), state)

    if hasattr(_core, "_disabled_torch_function_impl"):
        # Results of operations are plain tensors, not parameters.
        __torch_function__ = _core._disabled_torch_function_impl


class _BufferMeta(type(Tensor)):
    def __instancecheck__(cls, instance) -> bool:
        if cls is Buffer:
            return isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)
        return super().__instancecheck__(instance)


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that a module carries without training it: assigned to a module, it appears in ``module.buffers()``.

    The result is a plain ``Tensor`` with the attributes ``_is_buffer`` and ``persistent``.

    Args:
        data: the tensor with the values; an empty one by default.
        persistent: whether it belongs to ``state_dict()``.
    Source: behaviour of ``torch.nn.Buffer``.
    Example:
        >>> import rustnn
        >>> module = rustnn.nn.Module()
        >>> module.mean = rustnn.nn.Buffer(rustnn.zeros(2), persistent=False)
        >>> [name for name, _ in module.named_buffers()], list(module.state_dict())
        (['mean'], [])
    """

    def __new__(cls, data=None, *, persistent=True):
        if data is None:
            data = _core.empty(0)
        buffer = data.detach().requires_grad_(data.requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer


# What may be asked of a tensor that has no shape yet: its dtype, its device, and whatever does not touch data.
_ALLOWED_WITHOUT_SHAPE = frozenset(
    ("copy_", "is_floating_point", "half", "float", "double", "char", "short", "int", "long", "cuda", "cpu", "to",
     "_to", "get_device", "_has_compatible_shallow_copy_type", "is_complex", "bfloat16", "type")
)  # fmt: skip


class UninitializedTensorMixin:
    """What lazy parameters and lazy buffers share: a dtype and a device, but no shape until ``materialize``."""

    cls_to_become: type

    def materialize(self, shape, device=None, dtype=None) -> None:
        """Give this tensor a shape and uninitialised values; it changes its class to a plain parameter or tensor.

        Args:
            shape: the shape.
            device, dtype: those of the placeholder by default.
        """
        like = self.data
        self.data = _core.empty(shape, device=like.device if device is None else device,
                                dtype=like.dtype if dtype is None else dtype)  # fmt: skip
        self.__class__ = self.cls_to_become

    @property
    def shape(self):
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call `forward` "
            "to initialize the parameters before accessing their attributes."
        )

    def share_memory_(self):
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. Call `forward` to initialize the parameters "
            "before calling `module.share_memory()`."
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol):
        return type(self), (self.requires_grad,)

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name = getattr(func, "__name__", "")
        # Attribute reads come as the getter or setter of a property.
        if name in _ALLOWED_WITHOUT_SHAPE or name in ("__get__", "__set__"):
            return super().__torch_function__(func, types, args, kwargs or {})
        raise ValueError(
            f"Attempted to use an uninitialized parameter in {func}. This error happens when you are using a "
            f"`LazyModule` or explicitly manipulating `torch.nn.parameter.{cls.__name__}` objects. When using "
            "LazyModules Call `forward` with a dummy batch to initialize the parameters before calling torch functions"
        )


def is_lazy(param) -> bool:
    """Whether ``param`` is an uninitialised parameter or buffer."""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape is found later, at the first forward of a lazy module.

    Reading its shape raises RuntimeError, computing with it ValueError; ``materialize(shape)`` makes it a
    ``Parameter``.

    Args:
        requires_grad: whether gradients are wanted.
        device, dtype: what it will have.
    Source: behaviour of ``torch.nn.UninitializedParameter``.
    Example:
        >>> from rustnn import nn
        >>> weight = nn.UninitializedParameter()
        >>> weight.materialize((2, 3))
        >>> type(weight).__name__, tuple(weight.shape)
        ('Parameter', (2, 3))
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad=True, device=None, dtype=None):
        return cls._make_subclass(cls, _core.empty(0, device=device, dtype=dtype), requires_grad)

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        result = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        memo[id(self)] = result
        return result


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape is found later, at the first forward of a lazy module.

    Args:
        requires_grad: kept for symmetry; buffers rarely want gradients.
        device, dtype: what it will have.
        persistent: whether it belongs to ``state_dict()``.
    Source: behaviour of ``torch.nn.UninitializedBuffer``.
    Example:
        >>> from rustnn import nn
        >>> mean = nn.UninitializedBuffer()
        >>> mean.materialize((3,))
        >>> tuple(mean.shape)
        (3,)
    """

    cls_to_become = Tensor

    def __new__(cls, requires_grad=False, device=None, dtype=None, persistent=True):
        buffer = cls._make_subclass(cls, _core.empty(0, device=device, dtype=dtype), requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer


_core._register_plain_class(Parameter)
