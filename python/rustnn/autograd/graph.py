"""Looking at the graph and stepping into it: saved-tensor hooks, gradient edges, hooks over several tensors."""

from collections import namedtuple
from functools import wraps
from threading import Lock

from .. import _core
from ..utils.hooks import RemovableHandle
from .grad_mode import enable_grad

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]

Tensor = _core.Tensor


class _Nodes(type):
    def __instancecheck__(cls, instance):
        return isinstance(instance, _core.Node)

    def __subclasscheck__(cls, subclass):
        return issubclass(subclass, _core.Node)


class Node(metaclass=_Nodes):
    """What ``grad_fn`` is: every node is an instance, though none inherits from this class.

    A node has ``name()``, ``next_functions``, ``metadata``, ``register_hook(fn)`` and ``register_prehook(fn)``; called
    with the gradients of its outputs, it returns those of its inputs.
    """

    def __init__(self):
        raise TypeError("nodes are made by ops")


class GradientEdge(namedtuple("GradientEdge", ("node", "output_nr", "ownership_token"), defaults=(None,))):
    """The place in the graph where a tensor's gradient arrives: a node and the number of its output."""

    __slots__ = ()


def _node_of(tensor):
    if isinstance(tensor, GradientEdge):
        return tensor.node
    if tensor.requires_grad and tensor.grad_fn is None:
        with enable_grad():  # a leaf's accumulating node is found behind any operation on it
            return tensor.view_as(tensor).grad_fn.next_functions[0][0]
    return tensor.grad_fn


def get_gradient_edge(tensor):
    """The :class:`GradientEdge` of a tensor; differentiating from it or to it needs the tensor no longer.

    Raises: RuntimeError if the tensor does not require a gradient.
    """
    if not tensor.requires_grad:
        raise RuntimeError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(_node_of(tensor), tensor.output_nr)


def increment_version(tensor):
    """Count a change of a tensor, or of each in an iterable, that happened outside the library's sight."""
    _core._increment_version((tensor,) if isinstance(tensor, Tensor) else tuple(tensor))


class saved_tensors_hooks:
    """Inside, every tensor saved for a backward is given to ``pack_hook``; its result is kept and unpacked when needed.

    Args:
        pack_hook: from the tensor to anything; must not change the tensor in place.
        unpack_hook: from that thing back to a tensor with the same contents.

    Example:
        >>> x = rustnn.ones(2, requires_grad=True)
        >>> with rustnn.autograd.graph.saved_tensors_hooks(lambda t: t.tolist(), rustnn.tensor):
        ...     y = (x * x).sum()
        >>> y.backward()
        >>> x.grad.tolist()
        [2.0, 2.0]
    """

    def __init__(self, pack_hook, unpack_hook):
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self):
        _core._push_saved_tensors_default_hooks(self.pack_hook, self.unpack_hook)

    def __exit__(self, *args):
        _core._pop_saved_tensors_default_hooks()


class save_on_cpu(saved_tensors_hooks):
    """Inside, tensors saved for a backward wait in the CPU's memory.

    Args:
        pin_memory: accepted, without effect.
        device_type: accepted, without effect: each tensor returns to the device it came from.
    """

    def __init__(self, pin_memory=False, device_type="cuda"):
        super().__init__(lambda tensor: (tensor.device, tensor.cpu()), lambda packed: packed[1].to(packed[0]))


class allow_mutation_on_saved_tensors:
    """Inside, tensors saved for a backward may be written afterwards: what was saved is a copy.

    The backward must run inside, too. Every saved tensor is copied at once, also where nothing is written.

    Raises: RuntimeError for one inside of another; AssertionError for a backward outside.

    Example:
        >>> x = rustnn.ones(2, requires_grad=True)
        >>> with rustnn.autograd.graph.allow_mutation_on_saved_tensors():
        ...     y = x.clone()
        ...     z = (y**2).sum()
        ...     y.mul_(10)
        ...     z.backward()
        tensor([10., 10.], grad_fn=<MulBackward0>)
        >>> x.grad.tolist()
        [2.0, 2.0]
    """

    _is_active = False

    def __enter__(self):
        kind = allow_mutation_on_saved_tensors
        if kind._is_active:
            raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")

        def unpack(copy):
            if not self._is_open:
                raise AssertionError(
                    "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context in which the graph "
                    "was originally recorded."
                )
            return copy

        self._is_open = kind._is_active = True
        self._hooks = saved_tensors_hooks(Tensor.clone, unpack)
        self._hooks.__enter__()
        return self

    def __exit__(self, *args):
        self._is_open = allow_mutation_on_saved_tensors._is_active = False
        self._hooks.__exit__(*args)


class disable_saved_tensors_hooks:
    """Inside, using saved-tensor hooks is an error with this message."""

    def __init__(self, error_message):
        self.error_message = error_message

    def __enter__(self):
        self.previous = _core._saved_tensors_hooks_get_disabled_error_message()
        _core._saved_tensors_hooks_disable(self.error_message)

    def __exit__(self, *args):
        if self.previous is None:
            _core._saved_tensors_hooks_enable()
        else:
            _core._saved_tensors_hooks_disable(self.previous)


class _MultiHandle(RemovableHandle):
    """One handle for hooks on several tensors."""

    def __init__(self, handles):
        self.handles = handles

    def remove(self):
        """Remove all of them."""
        for handle in self.handles:
            handle.remove()

    def __getstate__(self):
        return self.handles

    def __setstate__(self, state):
        self.handles = state


# How many backward runs of different threads are told apart.
_RUNS_AT_ONCE = 256


def register_multi_grad_hook(tensors, fn, *, mode="all"):
    """Call ``fn`` when the gradients of several tensors are there.

    Args:
        tensors: tensors that require gradients.
        fn: with ``mode="all"`` called once per backward, with the list of gradients (None where the backward does not
            reach); with ``mode="any"`` called with the first gradient that is computed.

    Returns: a handle whose ``remove()`` removes the hook.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of {('all', 'any')} but got {mode}")
    lock = Lock()
    runs = {}  # of each backward under way: what has arrived

    def current_run():
        run = _core._current_graph_task_id()
        if run == -1:
            raise AssertionError("expected this hook to be called inside a backward call")
        return run

    if mode == "any":
        begun = dict.fromkeys(range(-_RUNS_AT_ONCE, 0))  # the last runs, the oldest first

        @wraps(fn)
        def first_only(grad):
            run = current_run()
            with lock:
                first = run not in begun
                if first:
                    del begun[next(iter(begun))]
                    begun[run] = None
            if first:
                fn(grad)

        return _MultiHandle(tuple(tensor.register_hook(first_only) for tensor in tensors if tensor.requires_grad))

    nodes = [_node_of(tensor) for tensor in tensors]

    def hook_of(index):
        def hook(grad):
            run = current_run()
            with lock:
                if run not in runs:
                    runs[run] = [[None] * len(nodes), sum(map(_core._will_engine_execute_node, nodes))]
                arrived = runs[run]
                arrived[0][index] = grad
                arrived[1] -= 1
                complete = arrived[1] == 0
                if complete:
                    del runs[run]
            if complete:
                fn(arrived[0])

        return hook

    return _MultiHandle(tuple(tensor.register_hook(hook_of(index)) for index, tensor in enumerate(tensors)))
