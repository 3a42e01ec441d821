"""Functions of functions, as in ``torch.func``: derivatives, maps over samples, calls of modules."""

from functools import wraps

from . import _core, autograd
from ._vmap import vmap
from .nn.utils import stateless
from .utils._pytree import tree_flatten, tree_leaves, tree_map_only, tree_unflatten

__all__ = [
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "vjp",
    "vmap",
]

Tensor = _core.Tensor


def functional_call(module, parameter_and_buffer_dicts, args=None, kwargs=None, *, tie_weights=True, strict=False):
    """The result of calling the module with some of its parameters and buffers replaced for this call.

    Args:
        module: the module; it is as before when the call is over.
        parameter_and_buffer_dicts: a mapping from dotted names to tensors, or a sequence of them without common names.
        args: positional arguments, a tuple; any other value is the only argument.
        kwargs: keyword arguments.
        tie_weights: replace a shared tensor under all its names.
        strict: the names must be exactly those of all parameters and buffers; otherwise other names are attributes
            for the time of the call.
    Raises: ValueError for what are no mappings, a name in two of them, or a shared tensor with two values; RuntimeError
        for missing and unexpected names, if strict.
    Source: behaviour of ``torch.func.functional_call``.
    Example:
        >>> import rustnn
        >>> layer = rustnn.nn.Linear(1, 1)
        >>> tensors = ({"weight": rustnn.full((1, 1), 3.0)}, {"bias": rustnn.ones(1)})
        >>> rustnn.func.functional_call(layer, tensors, rustnn.ones(1, 1)).item()
        4.0
    """
    if isinstance(parameter_and_buffer_dicts, dict):
        tensors = parameter_and_buffer_dicts
    elif isinstance(parameter_and_buffer_dicts, (list, tuple)):
        if not all(isinstance(part, dict) for part in parameter_and_buffer_dicts):
            raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
        names = [name for part in parameter_and_buffer_dicts for name in part]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"{repeated} appeared in multiple dictionaries; behavior of functional call is ambiguous")
        tensors = {name: value for part in parameter_and_buffer_dicts for name, value in part.items()}
    else:
        raise ValueError(
            "Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got "
            f"{type(parameter_and_buffer_dicts)}"
        )
    return stateless._functional_call(module, tensors, args, kwargs, tie_weights=tie_weights, strict=strict)


def stack_module_state(models):
    """The parameters and the buffers of models of one kind, each stacked over them along a new dimension 0.

    Args:
        models: modules of one class, all in the same mode.
    Returns: two dictionaries, of parameters and of buffers; the parameters are leaves of their own.
    Raises: RuntimeError for no models, models of several classes or of different modes.
    """
    if len(models) == 0:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if len({model.training for model in models}) > 1:
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if not all(type(model) is type(models[0]) for model in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")

    def stacked(named):
        out = {}
        for name in dict(named(models[0])):
            tensors = [dict(named(model))[name] for model in models]
            out[name] = _core.stack([tensor.detach() for tensor in tensors])
            out[name].requires_grad_(all(tensor.requires_grad for tensor in tensors))
        return out

    return stacked(lambda model: model.named_parameters()), stacked(lambda model: model.named_buffers())


# ---------------------------------------------------------------------------------------------------- differentiation
def _entered(tensor):
    """A tensor of this level: with respect to it alone this level differentiates. It hangs on outer graphs."""
    return tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()


def _differentiable(caller, what, leaves):
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(f"{caller}: Expected all {what} to be Tensors, got {type(leaf)}")
        if not leaf.is_floating_point():
            raise RuntimeError("only Tensors of floating point dtype can require gradients")


def _left(tensors, own):
    """Results as the outer levels see them: a graph that ends in this level's tensors alone is cut off."""
    leaves = {id(tensor) for tensor in own if tensor.is_leaf}
    seen, waiting = set(), [tensor.grad_fn for tensor in tensors if tensor is not None and tensor.grad_fn is not None]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        variable = getattr(node, "variable", None)
        if variable is not None and id(variable) not in leaves:
            return tensors
        waiting += [next_node for next_node, _ in node.next_functions if next_node is not None]
    return [tensor if tensor is None or (not tensor.requires_grad) else tensor.detach() for tensor in tensors]


def _gradients(outputs, inputs, weights):
    """Σ weights · ∂outputs/∂inputs, differentiable again; zeros where nothing depends."""
    pairs = [(output, weight) for output, weight in zip(outputs, weights, strict=True) if output.requires_grad]
    if not pairs:
        return [_core.zeros_like(tensor) for tensor in inputs]
    found = autograd.grad(
        [output for output, _ in pairs], inputs, [weight for _, weight in pairs], create_graph=True, allow_unused=True
    )
    return [_core.zeros_like(tensor) if g is None else g for g, tensor in zip(found, inputs, strict=True)]


def _picked(caller, argnums, args):
    """The arguments to differentiate for: their numbers, from the front."""
    numbers = (argnums,) if isinstance(argnums, int) else argnums
    if not isinstance(numbers, tuple) or not all(isinstance(number, int) for number in numbers):
        raise RuntimeError(f"argnums must be int or Tuple[int, ...], got: {argnums!r}")
    if len(numbers) == 0:
        raise RuntimeError("argnums must be non-empty")
    for number in numbers:
        if not -len(args) <= number < len(args):
            raise RuntimeError(f"Got argnum={number}, but only {len(args)} positional inputs")
    numbers = tuple(number % len(args) for number in numbers)
    if len(set(numbers)) < len(numbers):
        raise RuntimeError(f"argnums elements must be unique, got {argnums!r}")
    return numbers


def grad_and_value(func, argnums=0, has_aux=False):
    """As :func:`grad`; the function returns the gradient and the value, with ``has_aux`` ``(value, aux)``."""

    def wrapper(*args, **kwargs):
        numbers = _picked("grad", argnums, args)
        chosen = args[numbers[0]] if isinstance(argnums, int) else tuple(args[number] for number in numbers)
        leaves, spec = tree_flatten(chosen)
        _differentiable("grad", "inputs", leaves)
        with autograd.enable_grad():
            inner = [_entered(leaf) for leaf in leaves]
            given, put = list(args), spec.unflatten(inner)
            for number, value in zip(numbers, [put] if isinstance(argnums, int) else put, strict=True):
                given[number] = value
            output, aux = func(*given, **kwargs), None
            if has_aux:
                if not (isinstance(output, tuple) and len(output) == 2):
                    raise RuntimeError(
                        "grad_and_value(f)(*args): output of function f should be a tuple: (output, aux) if has_aux "
                        "is True"
                    )
                output, aux = output
            if not isinstance(output, Tensor):
                raise RuntimeError(
                    f"grad_and_value(f)(*args): Expected f(*args) to return a tensor, got {type(output)}"
                )
            if output.dim() != 0:
                raise RuntimeError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a scalar Tensor, got tensor with "
                    f"{output.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
                )
            found = _gradients([output], inner, [_core.ones_like(output)])
        found, (value,) = _left(found, inner), _left([output], inner)
        aux = tree_map_only(Tensor, lambda tensor: _left([tensor], inner)[0], aux)
        return tree_unflatten(found, spec), ((value, aux) if has_aux else value)

    return wraps(func)(wrapper)


def grad(func, argnums=0, has_aux=False):
    """A function that returns the gradient of ``func``, which returns a tensor with one element and no dimension.

    Args:
        func: from tensors, or containers of them, to a 0-dim tensor; with ``has_aux`` to a pair of it and anything
            else.
        argnums: the positional argument to differentiate for, or a tuple of several.
        has_aux: the function returns ``(gradient, aux)``.
    Raises: RuntimeError for results and arguments of other kinds.
    Source: behaviour of ``torch.func.grad``. Functions can be nested, which gives higher derivatives.

    Example:
        >>> import rustnn
        >>> slope = rustnn.func.grad(lambda x: x**3)
        >>> slope(rustnn.tensor(2.0)).item(), rustnn.func.grad(slope)(rustnn.tensor(2.0)).item()
        (12.0, 12.0)
    """
    both = grad_and_value(func, argnums, has_aux)

    def wrapper(*args, **kwargs):
        found, value = both(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return wraps(func)(wrapper)


def vjp(func, *primals, has_aux=False):
    """The result of ``func(*primals)``, and a function from a weight for each result to the weighted sums of
    derivatives.

    Args:
        func: from tensors, or containers of them, to the same; with ``has_aux`` to a pair of them and anything else.
        primals: the arguments.
    Returns: ``(output, vjp_fn)`` or ``(output, vjp_fn, aux)``; ``vjp_fn`` gives a tuple, one member for each argument.
    """
    leaves, spec = tree_flatten(primals)
    _differentiable("vjp", "primals", leaves)
    with autograd.enable_grad():
        inner = [_entered(leaf) for leaf in leaves]
        output, aux = func(*spec.unflatten(inner)), None
        if has_aux:
            if not (isinstance(output, tuple) and len(output) == 2):
                raise RuntimeError(
                    "vjp(f, *primals): output of function f should be a tuple: (output, aux) if has_aux is True"
                )
            output, aux = output
    outputs, output_spec = tree_flatten(output)
    for value in outputs:
        if not isinstance(value, Tensor):
            raise RuntimeError(f"vjp(f, *primals): Expected f(*primals) to return only tensors, got {type(value)}")

    def vjp_fn(cotangents, retain_graph=True, create_graph=None):
        weights, weights_spec = tree_flatten(cotangents)
        if weights_spec != output_spec:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of outputs to the "
                "function. "
                f"cotangents: {weights_spec}, primal output: {output_spec}"
            )
        with autograd.enable_grad():
            found = _gradients(outputs, inner, weights)
        return tree_unflatten(_left(found, inner), spec)

    seen = tree_unflatten(_left(outputs, inner), output_spec)
    if not has_aux:
        return seen, vjp_fn
    return seen, vjp_fn, tree_map_only(Tensor, lambda tensor: _left([tensor], inner)[0], aux)


def jvp(func, primals, tangents, *, strict=False, has_aux=False):
    """The result of ``func(*primals)`` and its derivative in the direction of the tangents.

    Args:
        func: as for :func:`vjp`.
        primals, tangents: tuples of arguments and of directions, of the same structure and shapes.
        strict: results that depend on no argument raise RuntimeError rather than having zero derivatives.
    Returns: ``(output, derivative)`` or ``(output, derivative, aux)``.
    Notes: the derivative of a weighted sum of derivatives with respect to its weights, so the function must be twice
        differentiable.
    """
    if not isinstance(primals, tuple):
        raise RuntimeError(f"{_JVP}: Expected primals to be a tuple. E.g. it should be valid to call f(*primals).")
    if not isinstance(tangents, tuple):
        raise RuntimeError(f"{_JVP}: Expected tangents to be a tuple.")
    leaves, spec = tree_flatten(primals)
    directions, directions_spec = tree_flatten(tangents)
    if spec != directions_spec:
        raise RuntimeError(
            f"{_JVP}: Expected primals and tangents to have the same python structure. For example, if primals is a "
            "tuple of "
            "3 tensors, tangents also must be. Got primals with structure "
            f"{spec} and tangents with structure {directions_spec}"
        )
    _differentiable("jvp", "primals", leaves)
    with autograd.enable_grad():
        inner = [_entered(leaf) for leaf in leaves]
        output, aux = func(*spec.unflatten(inner)), None
        if has_aux:
            if not (isinstance(output, tuple) and len(output) == 2):
                raise RuntimeError(f"{_JVP}: output of function f should be a tuple: (output, aux) if has_aux is True")
            output, aux = output
        outputs, output_spec = tree_flatten(output)
        if strict and not all(value.requires_grad for value in outputs):
            raise RuntimeError("jvp(f, primals, tangents, strict=True): The output of f is independent of the inputs.")
        weights = [_core.zeros_like(value).requires_grad_() for value in outputs]
        sums = _gradients(outputs, inner, weights)
        moved = _gradients(sums, weights, directions)
    own = [*inner, *weights]
    seen = tree_unflatten(_left(outputs, own), output_spec), tree_unflatten(_left(moved, own), output_spec)
    return (*seen, tree_map_only(Tensor, lambda tensor: _left([tensor], own)[0], aux)) if has_aux else seen


_JVP = "jvp(f, primals, tangents)"


def linearize(func, *primals):
    """The result of ``func(*primals)``, and the function from tangents to the derivative in their direction."""
    output = func(*primals)
    return output, lambda *tangents: jvp(func, primals, tangents)[1]


def jacrev(func, argnums=0, *, has_aux=False, chunk_size=None, _preallocate_and_copy=False):
    """A function that returns the Jacobian of ``func``: for each result and each argument a tensor of the result's
    dimensions, then the argument's.

    Args:
        func: from tensors, or containers of them, to the same.
        argnums: the positional argument to differentiate for, or a tuple of several.
        has_aux: ``func`` returns a pair whose second member is passed on.
        chunk_size: accepted; rows are computed one by one.

    Example:
        >>> import rustnn
        >>> rustnn.func.jacrev(lambda x: x * x)(rustnn.tensor([1.0, 3.0])).tolist()
        [[2.0, 0.0], [0.0, 6.0]]
    """
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError("jacrev: `chunk_size` should be greater than 0.")

    def wrapper(*args, **kwargs):
        numbers = _picked("jacrev", argnums, args)

        def of_chosen(*chosen):
            given = list(args)
            for number, value in zip(numbers, chosen, strict=True):
                given[number] = value
            return func(*given, **kwargs)

        output, pull, *aux = vjp(of_chosen, *(args[number] for number in numbers), has_aux=has_aux)
        outputs, output_spec = tree_flatten(output)
        zeros = [_core.zeros_like(value) for value in outputs]
        of_outputs = []
        for place, value in enumerate(outputs):
            rows = []
            for i in range(value.numel()):
                one = _core.zeros(value.numel(), dtype=value.dtype, device=value.device)
                one[i] = 1
                weights = [*zeros[:place], one.reshape(value.shape), *zeros[place + 1 :]]
                rows.append(pull(tree_unflatten(weights, output_spec)))
            leaves, spec = tree_flatten(tuple(args[number] for number in numbers))
            columns = zip(*(tree_leaves(row) for row in rows), strict=True) if rows else ((),) * len(leaves)
            stacked = [
                (_core.stack(list(column)) if column else _core.zeros(0, *leaf.shape)).reshape(
                    *value.shape, *leaf.shape
                )
                for column, leaf in zip(columns, leaves, strict=True)
            ]
            found = tree_unflatten(stacked, spec)
            of_outputs.append(found[0] if isinstance(argnums, int) else found)
        result = tree_unflatten(of_outputs, output_spec)
        return (result, aux[0]) if has_aux else result

    return wraps(func)(wrapper)


def jacfwd(func, argnums=0, has_aux=False, *, randomness="error"):
    """The Jacobian, as :func:`jacrev` gives it."""
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func, argnums=0):
    """A function that returns the second derivatives of ``func``: the Jacobian of its Jacobian."""
    return jacfwd(jacrev(func, argnums), argnums)


def functionalize(func, *, remove="mutations"):
    """``func`` itself: writes in place need no rewriting here."""
    return func
