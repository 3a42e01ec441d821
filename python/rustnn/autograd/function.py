"""Operations with a gradient of your own: :class:`Function`.

The node that stands for such an operation in the graph is native. Its Python half is the context ``ctx``, an instance
of the function's ``_backward_cls``; the native half calls ``ctx.apply(*grads)`` on the way back.
"""

import warnings
from functools import wraps

from .. import _core
from .grad_mode import no_grad

__all__ = ["Function", "FunctionCtx", "FunctionMeta", "InplaceFunction", "once_differentiable"]

Tensor = _core.Tensor


class FunctionCtx:
    """What a :class:`Function` remembers between its forward and its backward; attributes may be set freely.

    Attributes:
        needs_input_grad: for each argument of ``apply``, whether it is a tensor that requires a gradient.
        saved_tensors: what :meth:`save_for_backward` was given.
    """

    to_save = ()
    dirty_tensors = ()
    non_differentiable = ()
    materialize_grads = True
    needs_input_grad = ()
    _saved = None

    def save_for_backward(self, *tensors):
        """Keep inputs or outputs (or None) for ``backward``, once; changing them in place meanwhile is an error
        there."""
        self.to_save = tensors

    def save_for_forward(self, *tensors):
        """Keep tensors for ``jvp``."""
        for tensor in tensors:
            if not (isinstance(tensor, Tensor) or tensor is None):
                raise AssertionError(
                    "save_for_forward expects all arguments to be tensors; "
                    "you should save non-tensors as attributes on ctx."
                )
        self.saved_for_forward = tensors

    def mark_dirty(self, *args):
        """Say which inputs ``forward`` changed in place; they must be among its outputs."""
        self.dirty_tensors = args

    def mark_non_differentiable(self, *args):
        """Say which outputs have no gradient; ``backward`` still gets an argument for each."""
        self.non_differentiable = args

    def set_materialize_grads(self, value):
        """Whether ``backward`` gets zeros (the default) or None for outputs that nothing was computed from."""
        self.materialize_grads = value

    @property
    def saved_tensors(self):
        """The tensors given to :meth:`save_for_backward`, connected to the graph as they were.

        Raises: RuntimeError if the graph was freed, or if one of them was changed in place since.
        """
        return () if self._saved is None else self._saved.unpack()


class BackwardCFunction(FunctionCtx):
    """Base of the contexts; ``_forward_cls`` is the :class:`Function` it serves."""

    _forward_cls = None

    def name(self):
        """The name the node has in ``grad_fn``."""
        return type(self).__name__

    def _get_user_fn(self):
        backward, vjp = self._forward_cls.backward, self._forward_cls.vjp
        if backward is not Function.backward and vjp is not Function.vjp:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom "
                "Function is not allowed. You should only implement one of them."
            )
        return vjp if vjp is not Function.vjp else backward

    def apply(self, *grads):
        """The gradients of the inputs, from those of the outputs."""
        if self._forward_cls.boxed_grads_call:
            grads = (list(grads),)
        return self._get_user_fn()(self, *grads)


class FunctionMeta(type):
    """Gives each function its context class, named as its node is."""

    def __init__(cls, name, bases, attributes):
        cls._backward_cls = type(name + "Backward", (BackwardCFunction,), {"_forward_cls": cls})
        super().__init__(name, bases, attributes)


class Function(metaclass=FunctionMeta):
    """An operation with its own gradient: subclass, write ``forward`` and ``backward`` as static methods, call
    ``apply``.

    ``forward(ctx, *args)`` computes without recording and returns a tensor or a tuple; alternatively ``forward(*args)``
    together with ``setup_context(ctx, inputs, output)``. ``backward(ctx, *grads)`` gets one gradient per output and
    returns one per argument of ``forward`` (None for what is no tensor). Written in tensor operations, it can itself be
    differentiated.

    Example:
        >>> class Cube(rustnn.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         ctx.save_for_backward(x)
        ...         return x**3
        ...     @staticmethod
        ...     def backward(ctx, grad):
        ...         (x,) = ctx.saved_tensors
        ...         return 3 * x**2 * grad
        >>> x = rustnn.tensor(2.0, requires_grad=True)
        >>> Cube.apply(x).backward()
        >>> x.grad.item()
        12.0
    """

    clear_saved_tensors_on_access = False
    boxed_grads_call = False
    generate_vmap_rule = False

    def __init__(self, *args, **kwargs):
        warnings.warn(
            f"{self.__class__} should not be instantiated. Methods on autograd functions "
            "are all static, so you should invoke them on the class itself. "
            "Instantiating an autograd function will raise an "
            "error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args, **kwargs):
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. "
            "Please use new-style autograd function with static forward method. "
            "(Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args, **kwargs):
        """Compute the result."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx, inputs, output):
        """Save what ``backward`` needs, if ``forward`` does not take ``ctx`` itself."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        """Compute the gradients of the arguments from those of the results."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for "
            "your custom autograd.Function to use it with backward "
            "mode AD."
        )

    vjp = backward

    @staticmethod
    def jvp(ctx, *grad_inputs):
        """Forward-mode gradient; forward mode does not exist here."""
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with forward mode AD."
        )

    @staticmethod
    def vmap(info, in_dims, *args):
        """Batching rule; vmap does not exist here."""
        raise NotImplementedError(
            "To use autograd.Function with vmap, you must either override the "
            "vmap staticmethod or set generate_vmap_rule=True."
        )

    @classmethod
    def apply(cls, *args, **kwargs):
        """Call ``forward`` and record the operation."""
        if cls.setup_context is not Function.setup_context:
            args, kwargs = _bind_defaults(cls.forward, args, kwargs)
        if kwargs:
            raise TypeError("apply() takes no keyword arguments")
        return _core._function_apply(cls, cls._backward_cls(), args)


def _bind_defaults(function, args, kwargs):
    """With ``setup_context`` the inputs are those of ``forward``'s signature, keyword arguments and defaults
    included."""
    code = getattr(function, "__code__", None)
    if not kwargs and code is not None and len(args) == code.co_argcount and not code.co_kwonlyargcount:
        return args, kwargs
    import inspect

    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.args, bound.kwargs


class _NotTwice(Function):
    """Passes gradients on, and refuses to be differentiated."""

    @staticmethod
    def forward(ctx, *gradients):
        return tuple(None if gradient is None else gradient.detach() for gradient in gradients)

    @staticmethod
    def backward(ctx, *grads):
        raise RuntimeError("trying to differentiate twice a function that was marked with @once_differentiable")


def once_differentiable(backward):
    """Decorate a ``backward`` that is not written in recordable operations: differentiating it raises, instead of being
    wrong."""

    @wraps(backward)
    def unrecorded(ctx, *grads):
        with no_grad():
            gradients = backward(ctx, *grads)
        if not _core.is_grad_enabled():
            return gradients
        if not any(isinstance(grad, Tensor) and grad.requires_grad for grad in grads):
            return gradients
        # Leaves that require a gradient lead into the refusing node, so that only a second differentiation meets it.
        leaves = gradients if isinstance(gradients, tuple) else (gradients,)
        return _NotTwice.apply(*(None if leaf is None else leaf.detach().requires_grad_() for leaf in leaves))

    return unrecorded


class InplaceFunction(Function):
    """The base class of old programs' in-place functions."""

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace
