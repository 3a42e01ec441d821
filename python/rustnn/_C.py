"""The names of PyTorch's native module that programs use though they are not its interface. Every other name raises
AttributeError."""

import weakref

from . import _core
from ._size import Size
from ._tensor import _FunctionOff as DisableTorchFunctionSubclass

__all__ = ["DisableTorchFunctionSubclass", "DispatchKey", "DispatchKeySet", "Generator", "Size", "TensorBase"]

Generator, TensorBase, device, dtype = _core.Generator, _core.Tensor, _core.device, _core.dtype
_TensorBase = TensorBase
_TensorMeta = type(TensorBase)


class _Keys(type):
    def __getattr__(cls, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return cls._made.setdefault(name, cls(name))


class DispatchKey(metaclass=_Keys):
    """A name; every name is one. Nothing is dispatched by it."""

    _made = {}

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"DispatchKey.{self.name}"


class DispatchKeySet:
    """A set of keys, which nothing looks at."""

    def __init__(self, *keys):
        self._keys = frozenset(keys)

    def __or__(self, other):
        return DispatchKeySet(*self._keys, *other._keys)

    def has(self, key):
        return key in self._keys


class _ExcludeDispatchKeyGuard:
    """A context that changes nothing: there are no dispatch keys to leave out."""

    def __init__(self, keys):
        self._keys = keys

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        return False


# What PyTorch was built with: linear algebra is here, the libraries are not.
has_lapack = has_spectral = True
has_mkl = has_openmp = _has_mkldnn = _has_mkl = _has_cuda = False

_len_torch_function_stack = _core._len_torch_function_stack
_get_function_stack_at = _core._get_function_stack_at
_push_on_torch_function_stack = _core._push_on_torch_function_stack
_pop_torch_function_stack = _core._pop_torch_function_stack
_disabled_torch_function_impl = _core._disabled_torch_function_impl
is_grad_enabled, is_inference_mode_enabled = _core.is_grad_enabled, _core.is_inference_mode_enabled
_set_grad_enabled = _core._set_grad_enabled
_current_graph_task_id = _core._current_graph_task_id
_will_engine_execute_node = _core._will_engine_execute_node


class _WeakTensorRef:
    """A reference to a tensor that does not keep it."""

    def __init__(self, tensor):
        self._reference = weakref.ref(tensor)

    def expired(self):
        """Whether it is gone."""
        return self._reference() is None


class _autograd:
    """What the module ``torch._C._autograd`` has."""

    SavedTensor = _core.SavedTensor
    _push_saved_tensors_default_hooks = staticmethod(_core._push_saved_tensors_default_hooks)
    _pop_saved_tensors_default_hooks = staticmethod(_core._pop_saved_tensors_default_hooks)
    _saved_tensors_hooks_enable = staticmethod(_core._saved_tensors_hooks_enable)
    _saved_tensors_hooks_disable = staticmethod(_core._saved_tensors_hooks_disable)
    _saved_tensors_hooks_get_disabled_error_message = staticmethod(
        _core._saved_tensors_hooks_get_disabled_error_message
    )

    @staticmethod
    def _saved_tensors_hooks_is_enabled():
        """Whether no ``disable_saved_tensors_hooks`` is on."""
        return _core._saved_tensors_hooks_get_disabled_error_message() is None


def _is_torch_function_enabled():
    """Whether no ``DisableTorchFunctionSubclass`` is on."""
    before = _core._set_torch_function_off(False)
    _core._set_torch_function_off(before)
    return not before


def _get_default_device():
    """The device of new tensors, as text."""
    return str(_core._get_default_device())


def _get_tracing_state():
    """The trace being recorded: none."""
    return


def _log_api_usage_once(name):
    """Nothing is logged."""


def _are_functorch_transforms_active():
    """Whether tensors are batches of ``vmap``: it calls functions sample by sample, so never."""
    return False


def _cuda_isInBadFork():
    """Whether CUDA was lost in a fork: there is none."""
    return False


def _get_accelerator(check=False):
    """The device that ``rustnn.accelerator`` finds, or the CPU."""
    from . import accelerator

    return accelerator.current_accelerator() or _core.device("cpu")


class _nn:
    @staticmethod
    def _parse_to(*args, **kwargs):
        """The device, dtype, non_blocking and memory format that ``to(...)`` is given."""
        from .nn.modules.module import _parse_to

        return _parse_to(args, kwargs)


def __getattr__(name):
    if name == "_LinAlgError":
        from .linalg import LinAlgError

        return LinAlgError
    if name.startswith(("_jit_set_", "_jit_override_", "_jit_can_")):
        return lambda *args: False  # settings of a compiler that is not here
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
