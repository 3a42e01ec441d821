"""Checking gradients against differences of function values."""

import math
import warnings
from itertools import product

from .. import _core

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]

Tensor = _core.Tensor


class GradcheckError(RuntimeError):
    """A gradient is wrong."""


def gradcheck(
    func,
    inputs,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_batched_forward_grad=False,
    check_forward_ad=False,
    check_backward_ad=True,
    fast_mode=False,
    masked=None,
):
    """Whether the gradients of ``func`` agree with central differences (f(x + eps) - f(x - eps)) / (2 eps).

    Args:
        func: from tensors to a tensor or a tuple of tensors.
        inputs: a tensor or several; those that require a gradient are checked and should be float64.
        eps: the step of the differences. atol, rtol: allowed |a - n| <= atol + rtol |n|.
        raise_exception: raise instead of returning False.
        nondet_tol: allowed difference between two runs of the same backward.
        check_undefined_grad: also check that outputs without a gradient count as zero.
        check_grad_dtypes: also check that gradients have their input's dtype.
        fast_mode: compare one random projection of the Jacobian instead of every entry.
        check_batched_grad: accepted; batches of gradients are computed row by row, there is no second way to compare
            with.
        check_forward_ad: also compare the tangents that ``forward_ad`` gives.
        check_backward_ad: compare the gradients.
        check_batched_forward_grad: accepted, as ``check_batched_grad``.

    Raises: GradcheckError if they disagree; ValueError if no input requires a gradient.

    Example:
        >>> x = rustnn.tensor([1.0, 2.0], dtype=rustnn.float64, requires_grad=True)
        >>> rustnn.autograd.gradcheck(rustnn.exp, x)
        True
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    try:
        inputs = _as_tuple(inputs)
        _check_inputs(inputs)
        func, inputs = _of_parts(func, inputs)
        if check_forward_ad:
            _check_tangents(func, inputs, eps, atol, rtol, fast_mode)
        if check_backward_ad:
            check = _check_projection if fast_mode else _check_entries
            check(func, inputs, eps, atol, rtol, nondet_tol, check_grad_dtypes)
            _check_zero_gradients(func, inputs)
            if check_undefined_grad:
                _check_undefined_gradients(func, inputs)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func,
    inputs,
    grad_outputs=None,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    gen_non_contig_grad_outputs=False,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_fwd_over_rev=False,
    check_rev_over_rev=True,
    fast_mode=False,
    masked=False,
):
    """Whether the gradients of the gradients of ``func`` agree with central differences of its gradients.

    Args: as :func:`gradcheck`; ``grad_outputs`` are the gradients the first backward starts from, random if not given
        (with gaps in memory if ``gen_non_contig_grad_outputs``).
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    if check_undefined_grad and not check_rev_over_rev:
        raise AssertionError("Setting check_undefined_grad=True requires check_rev_over_rev to be True")
    if check_batched_grad and not check_rev_over_rev:
        raise AssertionError("Setting check_batched_grad=True requires check_rev_over_rev to be True")
    inputs = _as_tuple(inputs)
    if grad_outputs is None:
        outputs = _differentiable(func(*inputs))
        grad_outputs = tuple(_random_gradient(output, gen_non_contig_grad_outputs) for output in outputs)
    else:
        grad_outputs = _as_tuple(grad_outputs)
    count = len(inputs)
    wanted = [index for index, item in enumerate(inputs) if _requires_grad(item)]
    wanted_grads = {index for index, item in enumerate(grad_outputs) if item.requires_grad}

    def gradients(*args):
        items, grads = args[:count], args[count:]
        items = tuple(item.requires_grad_() if index in wanted else item for index, item in enumerate(items))
        grads = tuple(grad.requires_grad_() if index in wanted_grads else grad for index, grad in enumerate(grads))
        outputs = _differentiable(func(*items))
        result = _grad(outputs, [items[index] for index in wanted], grads, create_graph=True, allow_unused=True)
        return tuple(gradient for gradient in result if gradient is not None)

    return gradcheck(
        gradients,
        inputs + grad_outputs,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )


def _grad(*args, **kwargs):
    from . import grad  # the package imports this module

    return grad(*args, **kwargs)


def _as_tuple(value):
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def _requires_grad(item):
    return isinstance(item, Tensor) and item.requires_grad


def _differentiable(outputs):
    return tuple(output for output in _as_tuple(outputs) if _requires_grad(output))


def _wanted(inputs):
    """The inputs to check, with their positions among all inputs."""
    return [(index, item) for index, item in enumerate(inputs) if _requires_grad(item)]


def _check_inputs(inputs):
    wanted = _wanted(inputs)
    for index, item in wanted:
        if item.dtype not in (_core.float64, _core.complex128):
            warnings.warn(
                f"Input #{index} requires gradient and "
                "is not a double precision floating point or complex. "
                "This check will likely fail if all the inputs are "
                "not of double precision floating point or complex. ",
                stacklevel=3,
            )
        if any(stride == 0 and size > 1 for stride, size in zip(item.stride(), item.size(), strict=True)):
            raise RuntimeError(
                f"The {index}th input has a dimension with stride 0. gradcheck only "
                "supports inputs that are non-overlapping to be able to "
                "compute the numerical gradients correctly. You should call "
                ".contiguous on the input before passing it to gradcheck."
            )
    if not wanted:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )


def _of_parts(func, inputs):
    """The function and its inputs with complex tensors as pairs of real ones: a gradient is that of both parts."""
    split = {number for number, item in enumerate(inputs) if _requires_grad(item) and item.is_complex()}

    def of_parts(*parts):
        items = (_core.view_as_complex(item) if number in split else item for number, item in enumerate(parts))
        outputs = _as_tuple(func(*items))
        return tuple(
            _core.view_as_real(output) if isinstance(output, Tensor) and output.is_complex() else output
            for output in outputs
        )

    parts = tuple(
        _core.view_as_real(item.detach().clone()).requires_grad_() if number in split else item
        for number, item in enumerate(inputs)
    )
    return of_parts, parts


def _values(func, inputs):
    """Differentiable outputs as plain copies: an output may share memory with the input about to be changed.

    Which outputs are differentiable is a matter of the graph, so gradients stay enabled.
    """
    return [output.detach().clone() for output in _as_tuple(func(*inputs)) if isinstance(output, Tensor)]


def _difference(func, inputs, item, step, eps, where, scale=1.0):
    """(f(x + step) - f(x - step)) / (2 eps scale) per output; ``item``, one of the inputs, is changed and restored in
    place."""
    data = item.data
    original = data.clone()
    data.copy_(original - step)
    low = _values(func, inputs)
    data.copy_(original + step)
    high = _values(func, inputs)
    data.copy_(original)
    for a, b in zip(low, high, strict=True):
        for what, of_a, of_b in (("shape", a.shape, b.shape), ("dtype", a.dtype, b.dtype)):
            if of_a != of_b:
                raise AssertionError(
                    f"Expected `func` to return outputs with the same {what} when inputs are perturbed "
                    f"{where}by {eps}, but got: {what}s {of_a} and {of_b}."
                )
    return [((b - a) / (2 * eps * scale)).reshape(-1) for a, b in zip(low, high, strict=True)]


def _numerical_jacobian(func, inputs, item, eps):
    """Per output the matrix (elements of the input, elements of the output)."""
    columns = []
    for position in product(*map(range, item.shape)):
        step = _core.zeros_like(item.data)
        step[position] = eps
        columns.append(_difference(func, inputs, item, step, eps, f"on index {position} "))
    if not columns:
        return [output.new_zeros((0, output.numel())) for output in _values(func, inputs)]
    return [_core.stack(list(column)) for column in zip(*columns, strict=True)]


def _vector_jacobian(output, wanted, gradient, check_dtypes):
    gradients = _grad(output, wanted, gradient, retain_graph=True, allow_unused=True)
    flat = []
    for item, result in zip(wanted, gradients, strict=True):
        if result is None:
            flat.append(item.new_zeros((item.numel(),)))
            continue
        if result.shape != item.shape:
            raise GradcheckError("Analytical gradient has incorrect size")
        if check_dtypes and result.dtype != item.dtype:
            raise GradcheckError("Gradient has dtype mismatch")
        flat.append(result.detach().clone().reshape(-1))
    return flat


def _analytical_jacobian(output, wanted, check_dtypes):
    """Per input the matrix (elements of the input, elements of the output)."""
    rows = []
    for number in range(output.numel()):
        gradient = output.new_zeros((output.numel(),))
        gradient[number] = 1.0
        rows.append(_vector_jacobian(output, wanted, gradient.reshape(output.shape), check_dtypes))
    if not rows:
        return [item.new_zeros((item.numel(), 0)) for item in wanted]
    return [_core.stack(list(row)).t() for row in zip(*rows, strict=True)]


def _check_repeats(first, second, tolerance):
    for a, b in zip(first, second, strict=True):
        if a.numel() and not bool(((a - b).abs().max() <= tolerance).item()):
            raise GradcheckError(
                "Backward is not reentrant, i.e., running backward with "
                "same input and grad_output multiple times gives different values, "
                "although analytical gradient matches numerical gradient."
                f"The tolerance for nondeterminism was {tolerance}."
            )


def _close(analytical, numerical, rtol, atol):
    dtype = _core.promote_types(analytical.dtype, numerical.dtype)
    return bool(_core.allclose(analytical.to(dtype), numerical.to(dtype), rtol, atol))


def _mismatch(analytical, numerical, output_index, input_index):
    return (
        f"Jacobian mismatch for output {output_index:d} with respect to input {input_index:d},\n"
        f"numerical:{numerical}\nanalytical:{analytical}\n"
    )


def _check_no_gradient(func, inputs, eps):
    """With no differentiable output the differences must vanish."""
    for _, item in _wanted(inputs):
        for jacobian in _numerical_jacobian(func, inputs, item, eps):
            if bool((jacobian != 0).any().item()):
                raise GradcheckError("Numerical gradient for function expected to be zero")


def _check_entries(func, inputs, eps, atol, rtol, nondet_tol, check_dtypes):
    outputs = [output for output in _as_tuple(func(*inputs)) if isinstance(output, Tensor)]
    if not _differentiable(outputs):
        _check_no_gradient(func, inputs, eps)
        return
    wanted = _wanted(inputs)
    items = [item for _, item in wanted]
    numerical = [_numerical_jacobian(func, inputs, item, eps) for item in items]
    differentiable = [position for position, output in enumerate(outputs) if _requires_grad(output)]
    for number, position in enumerate(differentiable):
        output = outputs[position]
        analytical = _analytical_jacobian(output, items, check_dtypes)
        _check_repeats(analytical, _analytical_jacobian(output, items, False), nondet_tol)
        for input_number, a in enumerate(analytical):
            n = numerical[input_number][position]
            if not _close(a, n, rtol, atol):
                raise GradcheckError(_mismatch(a, n, number, input_number))


def _random_direction(item):
    """A unit vector with positive entries, the same in every run."""
    generator = _core.Generator()
    generator.manual_seed(2147483647)
    values = _core.rand(item.numel(), generator=generator, dtype=_core.float64) + 0.01
    return (values / (values * values).sum().sqrt()).to(item.dtype).reshape(item.shape)


def _check_projection(func, inputs, eps, atol, rtol, nondet_tol, check_dtypes):
    """vᵀ J u for one direction u of each input and one v of each output, both ways."""
    outputs = [output for output in _as_tuple(func(*inputs)) if isinstance(output, Tensor)]
    if not _differentiable(outputs):
        _check_no_gradient(func, inputs, eps)
        return
    items = [item for _, item in _wanted(inputs)]
    directions = [_random_direction(item) for item in items]
    numerical = [_difference(func, inputs, item, u * eps, eps, "") for item, u in zip(items, directions, strict=True)]
    differentiable = [position for position, output in enumerate(outputs) if _requires_grad(output)]
    for number, position in enumerate(differentiable):
        output = outputs[position]
        v = _random_direction(output)
        analytical = _vector_jacobian(output, items, v, check_dtypes)
        _check_repeats(analytical, _vector_jacobian(output, items, v, False), nondet_tol)
        for input_number, (row, u) in enumerate(zip(analytical, directions, strict=True)):
            a = (row * u.reshape(-1)).sum()
            n = (numerical[input_number][position] * v.reshape(-1)).sum()
            # Errors of the entries add up in the projection.
            allowed = atol * float(u.sum()) * float(v.sum())
            if not _close(a, n, rtol, allowed):
                raise GradcheckError(_mismatch(a, n, number, input_number))


def _check_tangents(func, inputs, eps, atol, rtol, fast_mode):
    """J u as forward mode gives it, for one direction u of each input or for each of its elements."""
    outputs = [output for output in _as_tuple(func(*inputs)) if isinstance(output, Tensor)]
    differentiable = [position for position, output in enumerate(outputs) if _requires_grad(output)]
    for input_number, (_, item) in enumerate(_wanted(inputs)):
        if fast_mode:
            directions = [_random_direction(item)]
            numerical = _difference(func, inputs, item, directions[0] * eps, eps, "")
        else:
            directions = _core.eye(item.numel(), dtype=item.dtype).reshape(-1, *item.shape)
            numerical = _numerical_jacobian(func, inputs, item, eps)
        for number, position in enumerate(differentiable):
            analytical = _tangents(outputs[position], item, directions)
            if fast_mode:
                (analytical,) = analytical
            else:
                analytical = _core.stack(analytical) if analytical else item.new_zeros((0, outputs[position].numel()))
            if not _close(analytical, numerical[position], rtol, atol):
                raise GradcheckError(
                    f"Jacobian computed with forward mode mismatch for output {number:d} with respect to input "
                    f"{input_number:d},\nnumerical:{numerical[position]}\nanalytical:{analytical}\n"
                )


def _tangents(output, item, directions):
    """J u for each direction, flat: the derivative of vᵀ J with respect to v."""
    weight = _core.zeros_like(output).requires_grad_()
    (row,) = _grad(output, item, weight, create_graph=True, allow_unused=True)
    found = []
    for direction in directions:
        tangent = None
        if _requires_grad(row):
            (tangent,) = _grad(row, weight, direction, retain_graph=True, allow_unused=True)
        found.append((_core.zeros_like(output) if tangent is None else tangent).detach().reshape(-1))
    return found


def _check_zero_gradients(func, inputs):
    """A backward from zeros must give zeros of the input's dtype, device and size."""
    items = [item for _, item in _wanted(inputs)]
    outputs = _differentiable(func(*inputs))
    if not outputs:
        return
    gradients = _grad(outputs, items, [_core.zeros_like(output) for output in outputs], allow_unused=True)
    for item, gradient in zip(items, gradients, strict=True):
        if gradient is None:
            continue
        if not bool((gradient == 0).all().item()):
            raise GradcheckError("backward not multiplied by grad_output")
        for what, of_gradient, of_item in (
            ("type", gradient.dtype, item.dtype),
            ("device", gradient.device, item.device),
            ("size", gradient.shape, item.shape),
        ):
            if of_gradient != of_item:
                raise GradcheckError(f"grad is incorrect {what}")


def _check_undefined_gradients(func, inputs):
    """A backward that reaches only some outputs must count the others as zero: checked by leaving out one at a time."""
    items = [item for _, item in _wanted(inputs)]
    count = len(_differentiable(func(*inputs)))
    for left_out in range(count) if count > 1 else ():
        outputs = _differentiable(func(*inputs))
        used = [output for number, output in enumerate(outputs) if number != left_out]
        try:
            gradients = _grad(used, items, [_core.zeros_like(output) for output in used], allow_unused=True)
        except RuntimeError as error:
            raise GradcheckError("Expected backward function to handle undefined output grads.") from error
        if any(gradient is not None and not bool((gradient == 0).all().item()) for gradient in gradients):
            raise GradcheckError(
                "Expected all input grads to be undefined or zero when all output grads are undefined or zero."
            )


def _random_gradient(output, with_gaps):
    if output.is_complex():
        parts = [_random_gradient(part, with_gaps).detach() for part in (output.real, output.imag)]
        return _core.complex(*parts).requires_grad_()
    dtype = output.dtype if output.is_floating_point() else _core.float64
    shape = (*output.shape, 2) if with_gaps else tuple(output.shape)
    values = _core.rand(math.prod(shape), dtype=_core.float64).reshape(shape) * 2 - 1
    values = (values[..., 0] if with_gaps else values).to(dtype)
    return values.detach().requires_grad_()
