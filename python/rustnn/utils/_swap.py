"""Two tensors exchanged behind their names."""

import copyreg
import weakref

__all__ = ["swap_tensors"]


def swap_tensors(t1, t2) -> None:
    """Exchange what two tensor objects stand for: values, class, attributes, gradient and hooks.

    Whoever holds either object then sees the other tensor.

    Raises: RuntimeError if one of them has weak references, slots that the other lacks, or is held elsewhere: by a
    view, a
        graph that saved it, or as a gradient.
    Example:
        >>> import rustnn
        >>> a, b = rustnn.zeros(1), rustnn.ones(2)
        >>> rustnn.utils.swap_tensors(a, b)
        >>> a.tolist(), b.tolist()
        ([1.0, 1.0], [0.0])
    """
    pair = {"t1": t1, "t2": t2}
    for name, tensor in pair.items():
        if weakref.getweakrefs(tensor):
            raise RuntimeError(f"Cannot swap {name} because it has weakref associated with it")
    slots = set(copyreg._slotnames(type(t1)))
    if slots != set(copyreg._slotnames(type(t2))):
        raise RuntimeError("Cannot swap t1 and t2 if they have different slots")
    for name, tensor in pair.items():
        if tensor._use_count() > 1:
            raise RuntimeError(
                f"Expected use_count of {name} to be 1 or 2 with an AccumulateGrad node but got "
                f"{tensor._use_count()} make sure "
                "you are not holding references to the tensor in other places."
            )
    for tensor in pair.values():
        if tensor._is_in_a_graph():
            from ..autograd.graph import get_gradient_edge

            get_gradient_edge(tensor).node.register_prehook(_refuse)
    t1.__class__, t2.__class__ = type(t2), type(t1)
    t1.__dict__, t2.__dict__ = t2.__dict__, t1.__dict__
    for slot in slots:
        values = [getattr(tensor, slot) if hasattr(tensor, slot) else _ABSENT for tensor in (t2, t1)]
        for tensor, value in zip((t1, t2), values, strict=True):
            if value is not _ABSENT:
                setattr(tensor, slot, value)
            elif hasattr(tensor, slot):
                delattr(tensor, slot)
    t1._exchange(t2)


_ABSENT = object()


def _refuse(grad_outputs):
    raise RuntimeError(
        "Trying to execute AccumulateGrad node that was poisoned by swap_tensors this can happen when you try to run "
        "backward on "
        "a tensor that was swapped. For a module m with "
        "`torch.__future__.set_swap_module_params_on_conversion(True)` you should "
        "not change the device or dtype of the module (e.g. `m.cpu()` or `m.half()`) between running forward and "
        "backward. To "
        "resolve this, please only change the device/dtype before running forward (or after both forward and backward)."
    )
