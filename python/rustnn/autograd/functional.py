"""Jacobians, Hessians and their products with vectors, of functions of tensors."""

from .. import _core
from . import grad
from .grad_mode import enable_grad, set_grad_enabled

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

Tensor = _core.Tensor


def _tensors(value, what, caller):
    """Whether the value is a tuple, and its tensors as one."""
    if isinstance(value, Tensor):
        return False, (value,)
    must_be = f"The {what} given to {caller} must be either a Tensor or a tuple of Tensors but the"
    if not isinstance(value, tuple):
        raise TypeError(f"{must_be} given {what} has type {type(value)}.")
    for index, item in enumerate(value):
        if not isinstance(item, Tensor):
            raise TypeError(f"{must_be} value at index {index} has type {type(item)}.")
    return True, value


def _prepare(tensors, create_graph, requires_grad):
    """Fresh tensors to differentiate for: views connected to the caller's graph, or leaves."""
    return tuple(
        tensor.view_as(tensor)
        if create_graph and tensor.requires_grad
        else tensor.detach().requires_grad_(requires_grad)
        for tensor in tensors
    )


def _finish(tensors, is_tuple, create_graph):
    tensors = tensors if create_graph else tuple(tensor.detach() for tensor in tensors)
    return tensors if is_tuple else tensors[0]


def _vector(v, like, is_tuple, caller, create_graph, message):
    """The given vector, checked against the tensors it belongs to; None stands for 1 if there is one single element."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(message)
        return (None,)
    _, v = _tensors(v, "v", caller)
    if len(v) != len(like):
        if is_tuple:
            raise RuntimeError(f"v is a tuple of invalid length: should be {len(like)} but got {len(v)}.")
        raise RuntimeError("The given v should contain a single Tensor.")
    for index, (item, other) in enumerate(zip(v, like, strict=True)):
        if item.size() != other.size():
            where = f"Entry {index} in " if is_tuple else ""
            raise RuntimeError(f"{where}v has invalid size: should be {other.size()} but got {item.size()}.")
    return _prepare(v, create_graph, False)


_OF_INPUT = (
    "The vector v can only be None if the input to the user-provided function is a single Tensor with a single element."
)
_OF_OUTPUT = (
    "The vector v can only be None if the user-provided function returns a single Tensor with a single element."
)
_STRICT = " This is not allowed in strict mode."


def _gradients(outputs, inputs, grad_outputs, **options):
    """Gradients with None for what is not connected, outputs without a graph included."""
    pairs = [(o, g) for o, g in zip(outputs, grad_outputs, strict=True) if o is not None and o.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    outputs, grad_outputs = zip(*pairs, strict=True)
    return grad(outputs, inputs, grad_outputs, allow_unused=True, **options)


def _or_zeros(gradients, like, strict, create_graph, missing, constant):
    """Zeros for unconnected gradients; in strict mode errors for them, and for unrecorded ones of a recorded result."""
    filled = []
    for index, (gradient, item) in enumerate(zip(gradients, like, strict=True)):
        if gradient is None:
            if strict:
                raise RuntimeError(missing.format(index) + _STRICT)
            gradient = _core.zeros_like(item)
        elif strict and create_graph and not gradient.requires_grad:
            raise RuntimeError(constant.format(index) + _STRICT[:-1] + " when create_graph=True.")
        filled.append(gradient)
    return tuple(filled)


def _check_outputs(outputs, strict):
    for index, output in enumerate(outputs if strict else ()):
        if not output.requires_grad:
            raise RuntimeError(
                f"Output {index} of the user-provided function does not require gradients."
                " The outputs must be computed in a differentiable manner from the input when running in strict mode."
            )


def _check_gradients(gradients, strict, constant):
    for index, gradient in enumerate(gradients if strict else ()):
        if gradient is None:
            raise RuntimeError(f"The output of the user-provided function is independent of input {index}." + _STRICT)
        if not gradient.requires_grad:
            raise RuntimeError(constant.format(index))


def _run(func, inputs, caller, create_graph, strict):
    is_tuple, inputs = _tensors(inputs, "inputs", caller)
    inputs = _prepare(inputs, create_graph, True)
    is_output_tuple, outputs = _tensors(func(*inputs), "outputs of the user-provided function", caller)
    _check_outputs(outputs, strict)
    return is_tuple, inputs, is_output_tuple, outputs


_JACOBIAN_OF = "The output of the user-provided function is independent of input {}."
_JACOBIAN_CONSTANT = "The jacobian of the user-provided function is independent of input {}."
_GRADIENT_CONSTANT = (
    "While computing the hessian, found that the jacobian of the user-provided function with respect to input {}"
    " is independent of the input." + _STRICT + " You should ensure that your function is twice differentiable and"
    " that the jacobian depends on the inputs (this would be violated by a linear function for example)."
)
_HESSIAN_CONSTANT = "The hessian of the user-provided function is independent of input {}."


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """``func(inputs)`` and vᵀ J, the product of a vector with the Jacobian.

    Args:
        func: from tensors to a tensor or a tuple of tensors.
        inputs: a tensor or a tuple of them.
        v: shaped as the outputs; 1 if there is a single element.
        create_graph: record, so that the results can be differentiated.
        strict: raise where an output does not depend on an input, instead of giving zeros.
    """
    with enable_grad():
        is_tuple, inputs, is_output_tuple, outputs = _run(func, inputs, "vjp", create_graph, strict)
        v = _vector(v, outputs, is_output_tuple, "vjp", create_graph, _OF_OUTPUT)
    with set_grad_enabled(create_graph or _core.is_grad_enabled()):
        result = _gradients(outputs, inputs, v, create_graph=create_graph)
        result = _or_zeros(result, inputs, strict, create_graph, _JACOBIAN_OF, _JACOBIAN_CONSTANT)
    return _finish(outputs, is_output_tuple, create_graph), _finish(result, is_tuple, create_graph)


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """``func(inputs)`` and J v, the product of the Jacobian with a vector, by differentiating uᵀ J for u.

    Args: as :func:`vjp`; ``v`` is shaped as the inputs.
    """
    with enable_grad():
        is_tuple, inputs, is_output_tuple, outputs = _run(func, inputs, "jvp", create_graph, strict)
        v = _vector(v, inputs, is_tuple, "jvp", create_graph, _OF_INPUT)
        u = tuple(_core.zeros_like(output, requires_grad=True) for output in outputs)
        row = _gradients(outputs, inputs, u, create_graph=True)
        constant = "The gradient with respect to input {} is independent of the inputs of the user-provided function."
        _check_gradients(row, strict, constant + _STRICT)
    missing = (
        "The gradient with respect to the input is independent of entry {} in the grad_outputs"
        " when using the double backward trick to compute forward mode gradients."
    )
    with set_grad_enabled(create_graph or _core.is_grad_enabled()):
        result = _gradients(row, u, v, create_graph=create_graph)
        result = _or_zeros(result, outputs, strict, create_graph, missing, _JACOBIAN_CONSTANT)
    return _finish(outputs, is_output_tuple, create_graph), _finish(result, is_output_tuple, create_graph)


def _check_vectorized(vectorize):
    if not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian is only implemented for "
            "`vectorize=True`."
        )


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    """The Jacobian: for every output and input a tensor of shape (*output.shape, *input.shape).

    Args: as :func:`vjp`. ``vectorize`` is accepted, without effect, and so is ``strategy``: ``"forward-mode"``, which
        needs ``vectorize``, gives the same numbers.
    Returns: a tensor; a tuple over inputs, or outputs, where these are tuples; a tuple of tuples (outputs first) for
        both.

    Example:
        >>> rustnn.autograd.functional.jacobian(lambda x: x**2, rustnn.tensor([1.0, 2.0])).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
    """
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your '
            'function has more outputs than inputs, "forward-mode" tends to be more performant. '
            'Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode":
        if create_graph:
            raise NotImplementedError(
                'torch.autograd.functional.jacobian: `create_graph=True` and `strategy="forward-mode"` are not '
                'supported together (yet). Please either set `create_graph=False` or `strategy="reverse-mode"`.'
            )
        _check_vectorized(vectorize)
    if vectorize and strict:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` "
            "and `vectorized=True` are not supported together. "
            "Please either set `strict=False` or "
            "`vectorize=False`."
        )
    with enable_grad():
        is_tuple, inputs, is_output_tuple, outputs = _run(func, inputs, "jacobian", create_graph, strict)
        rows = []
        for number, output in enumerate(outputs):
            flat = output.reshape(-1)
            gradients = [
                _gradients((flat[element],), inputs, (None,), retain_graph=True, create_graph=create_graph)
                for element in range(output.numel())
            ]
            row = []
            for index, item in enumerate(inputs):
                missing = f"Output {number} of the user-provided function is independent of input {index}."
                parts = [
                    _or_zeros((g[index],), (item,), strict, create_graph, missing, _JACOBIAN_CONSTANT.format(number))[0]
                    for g in gradients
                ]
                stacked = _core.stack(parts) if parts else item.new_zeros((0, *item.shape))
                row.append(stacked.reshape(output.shape + item.shape))
            rows.append(_finish(tuple(row), is_tuple, create_graph))
    return tuple(rows) if is_output_tuple else rows[0]


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode"):
    """The matrix of second derivatives of a function with one value: for inputs i and j shape (*i.shape, *j.shape).

    Args: as :func:`jacobian`.

    Example:
        >>> rustnn.autograd.functional.hessian(lambda x: (x**3).sum(), rustnn.tensor([1.0, 2.0])).tolist()
        [[6.0, 0.0], [0.0, 12.0]]
    """
    if outer_jacobian_strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')
    if outer_jacobian_strategy == "forward-mode":
        _check_vectorized(vectorize)
    is_tuple, inputs = _tensors(inputs, "inputs", "hessian")

    def one_value(*items):
        return _one_value(
            _tensors(func(*items), "outputs of the user-provided function", "hessian"), "hessian"
        ).squeeze()

    def gradient(*items):
        result = jacobian(one_value, items, create_graph=True)
        _check_gradients(result, strict, _GRADIENT_CONSTANT)
        return result

    result = jacobian(gradient, inputs, create_graph, strict, vectorize)
    return result if is_tuple else result[0][0]


def _one_value(outputs, caller):
    is_tuple, outputs = outputs
    if is_tuple:
        raise RuntimeError(f"The function given to {caller} should return a single Tensor")
    if outputs[0].numel() != 1:
        raise RuntimeError(f"The Tensor returned by the function given to {caller} should contain a single element")
    return outputs[0]


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """``func(inputs)`` and vᵀ H, the product of a vector with the Hessian of a function with one value.

    Args: as :func:`vjp`; ``v`` is shaped as the inputs.
    """
    with enable_grad():
        is_tuple, inputs, is_output_tuple, outputs = _run(func, inputs, "vhp", create_graph, strict)
        v = _vector(v, inputs, is_tuple, "vhp", create_graph, _OF_INPUT)
        _one_value((is_output_tuple, outputs), "vhp")
        gradient = _gradients(outputs, inputs, (None,), create_graph=True)
        _check_gradients(gradient, strict, _GRADIENT_CONSTANT)
    with set_grad_enabled(create_graph or _core.is_grad_enabled()):
        result = _gradients(gradient, inputs, v, create_graph=create_graph)
        result = _or_zeros(result, inputs, strict, create_graph, _JACOBIAN_CONSTANT, _HESSIAN_CONSTANT)
    return _finish(outputs, is_output_tuple, create_graph), _finish(result, is_tuple, create_graph)


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """``func(inputs)`` and H v, the product of the Hessian of a function with one value with a vector.

    H is symmetric where the second derivatives are continuous; this still differentiates twice more, as :func:`jvp`
    does, and so is slower than :func:`vhp`.

    Args: as :func:`vjp`; ``v`` is shaped as the inputs.
    """
    with enable_grad():
        is_tuple, inputs, is_output_tuple, outputs = _run(func, inputs, "hvp", create_graph, strict)
        v = _vector(v, inputs, is_tuple, "hvp", create_graph, _OF_INPUT)
        _one_value((is_output_tuple, outputs), "hvp")
        gradient = _gradients(outputs, inputs, (None,), create_graph=True)
        _check_gradients(gradient, strict, _GRADIENT_CONSTANT)
        u = tuple(_core.zeros_like(item, requires_grad=True) for item in inputs)
        row = _gradients(gradient, inputs, u, create_graph=True)
    missing = "The hessian of the user-provided function is independent of entry {} in the grad_jacobian."
    with set_grad_enabled(create_graph or _core.is_grad_enabled()):
        result = _gradients(row, u, v, create_graph=create_graph)
        result = _or_zeros(result, inputs, strict, create_graph, missing, _HESSIAN_CONSTANT)
    return _finish(outputs, is_output_tuple, create_graph), _finish(result, is_tuple, create_graph)
