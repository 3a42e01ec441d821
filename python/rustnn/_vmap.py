"""``vmap``: a function of one sample, on a batch of them.

Each sample is computed by a call of its own, and the results are stacked: any function works, one with branches on
values too, but a batch costs as many calls as it has samples."""

from functools import wraps

from . import _core, random
from .utils._pytree import _broadcast_to_and_flatten, tree_flatten, tree_unflatten

__all__ = ["vmap"]

Tensor = _core.Tensor


def _name(func):
    return getattr(func, "__name__", repr(func))


def _in_dims(func, in_dims, args, spec, leaves):
    """For each leaf of the arguments the dimension of its samples, counted from the front, or None."""
    about = f"vmap({_name(func)}, in_dims={in_dims}, ...)(<inputs>): "
    if not isinstance(in_dims, (int, tuple, list)) or isinstance(in_dims, bool):
        raise ValueError(
            f"{about}expected `in_dims` to be int or a (potentially nested) tuple matching the structure of inputs, "
            "got: "
            f"{type(in_dims)}."
        )
    if not leaves:
        raise ValueError(
            f"vmap({_name(func)})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to "
            "vmap over a "
            "function with no inputs. The latter is unsupported."
        )
    wanted = tuple(in_dims) if isinstance(in_dims, list) else in_dims
    dims = _broadcast_to_and_flatten(wanted, spec, is_leaf=lambda x: x is None)
    if dims is None:
        raise ValueError(
            f"{about}in_dims is not compatible with the structure of `inputs`. in_dims has structure "
            f"{tree_flatten(in_dims)[1]} but inputs has structure {spec}."
        )
    out = []
    for leaf, dim in zip(leaves, dims, strict=True):
        if dim is not None and (not isinstance(dim, int) or isinstance(dim, bool)):
            raise ValueError(
                f"{about}Got in_dim={dim} for an input but in_dim must be either an integer dimension or None."
            )
        if dim is not None and not isinstance(leaf, Tensor):
            raise ValueError(
                f"{about}Got in_dim={dim} for an input but the input is of type {type(leaf)}. We cannot vmap over "
                "non-Tensor "
                "arguments, please use None as the respective in_dim"
            )
        if dim is not None and not -leaf.dim() <= dim < leaf.dim():
            raise ValueError(
                f"{about}Got in_dim={dim} for some input, but that input is a Tensor of dimensionality {leaf.dim()} so "
                f"expected in_dim to satisfy -{leaf.dim()} <= in_dim < {leaf.dim()}."
            )
        out.append(dim if dim is None or dim >= 0 else dim + leaf.dim())
    return out


def _batch_size(func, in_dims, leaves, dims):
    sizes = {leaf.size(dim) for leaf, dim in zip(leaves, dims, strict=True) if dim is not None}
    if not sizes:
        raise ValueError("vmap: Expected at least one Tensor to vmap over")
    if len(sizes) > 1:
        listed = [leaf.size(dim) for leaf, dim in zip(leaves, dims, strict=True) if dim is not None]
        raise ValueError(
            f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {listed} for the "
            "mapped dimension"
        )
    return sizes.pop()


def _out_dims(func, out_dims, spec):
    dims = [out_dims] if spec.is_leaf() and isinstance(out_dims, int) else None
    if spec.is_leaf() and isinstance(out_dims, tuple) and len(out_dims) == 1:
        dims = list(out_dims)
    if dims is None:
        dims = _broadcast_to_and_flatten(out_dims, spec, is_leaf=lambda x: x is None)
    if dims is None or not all(dim is None or isinstance(dim, int) for dim in dims):
        raise ValueError(
            f"vmap({_name(func)}, ..., out_dims={out_dims}): out_dims is not compatible with the structure of "
            "`outputs`. "
            f"out_dims has structure {tree_flatten(out_dims)[1]} but outputs has structure {spec}."
        )
    return dims


def vmap(func, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None):
    """A function that maps ``func`` over a dimension of its arguments.

    Args:
        func: takes tensors, or containers of tensors, without the dimension of samples; returns tensors.
        in_dims: the dimension of the samples in each argument, None where all samples share it: one number for all,
            or a tuple of them, nested like the arguments. Keyword arguments are mapped over dimension 0.
        out_dims: where the samples' dimension goes in the results: one number, or a tuple, nested like the results.
        randomness: "error": a call that draws random numbers raises; "same": every sample draws the same; "different".
        chunk_size: accepted; samples are computed one by one.
    Raises: ValueError for dimensions that do not fit; RuntimeError for random numbers, as said.
    Source: behaviour of ``torch.vmap``. A batch of no samples is refused: without a call there is no shape to return.

    Example:
        >>> import rustnn
        >>> rustnn.vmap(rustnn.dot)(rustnn.ones(3, 2), rustnn.arange(6.0).reshape(3, 2)).tolist()
        [1.0, 5.0, 9.0]
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if chunk_size is not None and chunk_size <= 0:
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @wraps(func, assigned=("__module__", "__name__", "__qualname__", "__doc__"), updated=())
    def mapped(*args, **kwargs):
        leaves, spec = tree_flatten(args)
        dims = _in_dims(func, in_dims, args, spec, leaves)
        named_leaves, named_spec = tree_flatten(kwargs)
        dims += [0 if isinstance(leaf, Tensor) and leaf.dim() else None for leaf in named_leaves]
        every = leaves + named_leaves
        count = _batch_size(func, in_dims, every, dims)
        if count == 0:
            raise NotImplementedError(f"vmap({_name(func)}): a batch of size 0")
        samples = [[leaf] * count if dim is None else leaf.unbind(dim) for leaf, dim in zip(every, dims, strict=True)]
        state = random.get_rng_state() if randomness != "different" else None
        results, structure = [], None
        for sample in zip(*samples, strict=True):
            if results and randomness == "same":
                random.set_rng_state(state)
            output = func(
                *tree_unflatten(sample[: len(leaves)], spec), **tree_unflatten(sample[len(leaves) :], named_spec)
            )
            if randomness == "error" and not _core.equal(state, random.get_rng_state()):
                raise RuntimeError(
                    "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
                    "'different' randomness flags on vmap or perform the randomness operation out of vmap"
                )
            outputs, structure = tree_flatten(output)
            for value in outputs:
                if not isinstance(value, Tensor):
                    raise ValueError(
                        f"vmap({_name(func)}, ...): `{_name(func)}` must only return Tensors, got type "
                        f"{type(value)}. Did you "
                        "mean to set out_dims= to None for output?"
                    )
            results.append(outputs)
        places = _out_dims(func, out_dims, structure)
        stacked = [
            values[-1] if place is None else _core.stack(values, place)
            for values, place in zip(map(list, zip(*results, strict=True)), places, strict=True)
        ]
        return tree_unflatten(stacked, structure)

    return mapped
