"""Gradients: ``backward``, ``grad``, switches, custom functions, checks."""

import warnings

from .. import _core
from .._lazy import names_on_demand
from . import grad_mode
from .anomaly_mode import detect_anomaly, set_detect_anomaly
from .function import Function
from .grad_mode import enable_grad, inference_mode, no_grad, set_grad_enabled, set_multithreading_enabled
from .gradcheck import gradcheck, gradgradcheck
from .graph import GradientEdge
from .variable import Variable

__all__ = [
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
]

Tensor = _core.Tensor


# Used rarely, imported when they are.
__getattr__, __dir__ = names_on_demand(
    __name__, modules=("forward_ad", "functional", "profiler"), names={"ProfilerActivity": "profiler"}
)


def _as_tuple(value):
    return (value,) if isinstance(value, (Tensor, GradientEdge)) else tuple(value)


def _inputs_as_tuple(inputs, caller):
    if isinstance(inputs, (Tensor, GradientEdge)):
        return (inputs,)
    if type(inputs) is dict:
        inputs = inputs.values()
    elif hasattr(inputs, "keys"):
        raise TypeError(
            f"`inputs` argument to `{caller}()` must be a dict, not {type(inputs).__name__}. "
            "Other Mapping types are not supported."
        )
    inputs = tuple(inputs)
    if not inputs:
        raise RuntimeError(f"`inputs` argument to `{caller}()` cannot be empty.")
    return inputs


def _about(output, grad):
    """Shape, dtype and device of an output; a place in the graph has those of the gradient that is given for it."""
    if isinstance(output, GradientEdge):
        if not isinstance(grad, Tensor):
            raise RuntimeError("grad can be implicitly created only for scalar outputs; a GradientEdge needs one")
        output = grad
    return output.shape, output.dtype, output.device


def _make_grads(outputs, grads, is_grads_batched):
    """Check each gradient against its output, and make the gradient 1 of a one-element output where none is given."""
    made = []
    for number, (output, grad) in enumerate(zip(outputs, grads, strict=False)):
        if isinstance(output, GradientEdge) and is_grads_batched and isinstance(grad, Tensor):
            made.append(grad)
            continue
        shape, dtype, device = _about(output, grad)
        if isinstance(grad, Tensor):
            grad_shape = grad.shape[1:] if is_grads_batched else grad.shape
            if grad_shape != shape:
                where = (
                    f"grad_output[{number}] has a shape of {grad_shape} and output[{number}] has a shape of {shape}."
                )
                if is_grads_batched:
                    raise RuntimeError(
                        "If `is_grads_batched=True`, we interpret the first "
                        "dimension of each grad_output as the batch dimension. "
                        "The sizes of the remaining dimensions are expected to match "
                        "the shape of corresponding output, but a mismatch "
                        f"was detected: {where} If you only want some tensors in "
                        "`grad_output` to be considered batched, consider using vmap."
                    )
                raise RuntimeError("Mismatch in shape: " + where)
            if dtype.is_complex != grad.dtype.is_complex:
                raise RuntimeError(
                    "For complex Tensors, both grad_output and output "
                    "are required to have the same dtype. Mismatch in dtype: "
                    f"grad_output[{number}] has a dtype of {grad.dtype} and output[{number}] has a dtype of {dtype}."
                )
            made.append(grad)
        elif grad is not None:
            raise TypeError("gradients can be either Tensors or None, but got " + type(grad).__name__)
        elif output.requires_grad:
            if shape.numel() != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            if not dtype.is_floating_point:
                raise RuntimeError(f"grad can be implicitly created only for real scalar outputs but got {dtype}")
            made.append(_core.ones(shape, dtype=dtype, device=device))
        else:
            made.append(None)
    return tuple(made)


def _grads_as_tuple(grads, count):
    if grads is None:
        return (None,) * count
    return (grads,) if isinstance(grads, Tensor) else tuple(grads)


def backward(
    tensors,
    grad_tensors=None,
    retain_graph=None,
    create_graph=False,
    grad_variables=None,
    inputs=None,
):
    """Add to the ``grad`` of every leaf below ``tensors`` the gradient of their sum, each weighted by its
    ``grad_tensors``.

    Args:
        tensors: a tensor or several.
        grad_tensors: the gradient of each; None for one of a single element.
        retain_graph: keep what was saved, to go through again; the default is ``create_graph``.
        create_graph: record the computation of the gradients, to differentiate them too.
        inputs: only add to the ``grad`` of these.

    Raises: RuntimeError for gradients that do not fit, outputs without a graph, a graph already freed.

    Example:
        >>> x = rustnn.ones(2, requires_grad=True)
        >>> rustnn.autograd.backward((x * 3).sum())
        >>> x.grad.tolist()
        [3.0, 3.0]
    """
    if grad_variables is not None:
        warnings.warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning, stacklevel=2)
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) "
                "arguments both passed to `backward()`. Please only "
                "use `grad_tensors`."
            )
        grad_tensors = grad_variables
    inputs = () if inputs is None else _inputs_as_tuple(inputs, "backward")
    tensors = _as_tuple(tensors)
    grads = _make_grads(tensors, _grads_as_tuple(grad_tensors, len(tensors)), False)
    retain_graph = create_graph if retain_graph is None else retain_graph
    _core._run_backward(tensors, grads, retain_graph, create_graph, inputs, True, True)


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
):
    """The gradients of the sum of ``outputs``, each weighted by its ``grad_outputs``, for ``inputs``; no ``grad`` is
    touched.

    Args:
        outputs, inputs: a tensor or several; a dict of inputs gives a dict.
        grad_outputs: the gradient of each output; None for one of a single element.
        retain_graph: keep what was saved, to go through again; the default is ``create_graph``.
        create_graph: record the computation of the gradients, to differentiate them too.
        allow_unused: give None for inputs the outputs do not depend on, instead of raising.
        is_grads_batched: the first dimension of each ``grad_outputs`` is a batch; the results have it too.
        materialize_grads: give zeros for inputs the outputs do not depend on.

    Example:
        >>> x = rustnn.tensor(3.0, requires_grad=True)
        >>> rustnn.autograd.grad(x * x, x)[0].item()
        6.0
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: allow_unused=False."
        )
    allow_unused = materialize_grads if allow_unused is None else allow_unused
    outputs, names = _as_tuple(outputs), inputs
    inputs = _inputs_as_tuple(inputs, "grad")
    if not only_inputs:
        warnings.warn(
            "only_inputs argument is deprecated and is ignored now "
            "(defaults to True). To accumulate gradient for other "
            "parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
            stacklevel=2,
        )
    grads = _make_grads(outputs, _grads_as_tuple(grad_outputs, len(outputs)), is_grads_batched)
    retain_graph = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        result = _batched_gradients(outputs, grads, retain_graph, create_graph, inputs, allow_unused)
    else:
        result = _core._run_backward(outputs, grads, retain_graph, create_graph, inputs, allow_unused, False)
    if materialize_grads:
        if any(
            gradient is None and not isinstance(item, Tensor) for gradient, item in zip(result, inputs, strict=True)
        ):
            raise RuntimeError("materialize_grads cannot be used when the given input is a GradientEdge")
        result = tuple(
            _core.zeros_like(item, requires_grad=create_graph) if gradient is None else gradient
            for gradient, item in zip(result, inputs, strict=True)
        )
    return dict(zip(names, result, strict=True)) if type(names) is dict else result


def _batched_gradients(outputs, grads, retain_graph, create_graph, inputs, allow_unused):
    """One backward pass per row; the graph is kept until the last row is through."""
    sizes = {len(grad) for grad in grads if grad is not None}
    if len(sizes) != 1:
        raise RuntimeError(f"`is_grads_batched=True` needs grad_outputs with one batch size; got sizes {sorted(sizes)}")
    (size,) = sizes
    rows = []
    for row in range(size):
        row_grads = tuple(None if grad is None else grad[row] for grad in grads)
        keep = retain_graph or row + 1 < size
        rows.append(_core._run_backward(outputs, row_grads, keep, create_graph, inputs, allow_unused, False))
    if not rows:
        return tuple(_core.zeros((0, *item.shape), dtype=item.dtype, device=item.device) for item in inputs)
    return tuple(None if columns[0] is None else _core.stack(columns) for columns in zip(*rows, strict=True))
