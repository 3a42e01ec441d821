"""Nested containers as trees: their leaves in a list, and what it takes to put them back.

The containers are tuples, lists, dictionaries, named tuples, OrderedDicts, defaultdicts, deques, the named results
of ops, and what ``register_pytree_node`` names; everything else, None included, is a leaf. Of a subclass of these
only the named tuples count. A dictionary's leaves come in the order of its entries."""

from collections import OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

__all__ = [
    "GetAttrKey",
    "KeyEntry",
    "LeafSpec",
    "MappingKey",
    "PyTree",
    "SequenceKey",
    "TreeSpec",
    "keystr",
    "register_dataclass",
    "register_pytree_node",
    "tree_all",
    "tree_all_only",
    "tree_any",
    "tree_any_only",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_iter",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_",
    "tree_map_only",
    "tree_map_only_",
    "tree_map_with_path",
    "tree_structure",
    "tree_unflatten",
]

PyTree = Any
KeyEntry = Any
Context = Any


@dataclass(frozen=True)
class SequenceKey:
    """A step of a path: into a sequence."""

    idx: int

    def __str__(self):
        return f"[{self.idx!r}]"

    def get(self, sequence):
        return sequence[self.idx]


@dataclass(frozen=True)
class MappingKey:
    """A step of a path: into a mapping."""

    key: Any

    def __str__(self):
        return f"[{self.key!r}]"

    def get(self, mapping):
        return mapping[self.key]


@dataclass(frozen=True)
class GetAttrKey:
    """A step of a path: into an object."""

    name: str

    def __str__(self):
        return f".{self.name}"

    def get(self, object):
        return getattr(object, self.name)


class NodeDef(NamedTuple):
    """How containers of a type are taken apart and put together."""

    type: type
    flatten_fn: Any
    unflatten_fn: Any
    flatten_with_keys_fn: Any


SUPPORTED_NODES = {}


def register_pytree_node(
    cls,
    flatten_fn,
    unflatten_fn,
    *,
    serialized_type_name=None,
    to_dumpable_context=None,
    from_dumpable_context=None,
    flatten_with_keys_fn=None,
):
    """Makes objects of a class containers.

    Args:
        cls: the class; its subclasses stay leaves.
        flatten_fn: from an object to a pair: its children in a list, and a context that compares equal for equal kinds.
        unflatten_fn: from children and context to an object.
        flatten_with_keys_fn: as ``flatten_fn``, each child in a pair behind its key entry.
        serialized_type_name, to_dumpable_context, from_dumpable_context: accepted; tree structures are not written
            here.
    Raises: ValueError for a class that is registered.
    """
    if cls in SUPPORTED_NODES:
        raise ValueError(f"{cls} is already registered as pytree node.")
    SUPPORTED_NODES[cls] = NodeDef(cls, flatten_fn, unflatten_fn, flatten_with_keys_fn)


_register_pytree_node = register_pytree_node


def register_dataclass(cls, *, field_names=None, drop_field_names=None, serialized_type_name=None):
    """Makes objects of a dataclass containers of their fields: those that are given and not None.

    Args:
        cls: a dataclass.
        field_names: the fields that are children; without it all that ``__init__`` takes.
        drop_field_names: fields that are left out.
    """
    names = [f.name for f in fields(cls) if f.init] if field_names is None else list(field_names)
    names = [name for name in names if name not in (drop_field_names or ())]

    def flatten(value):
        given = [(name, getattr(value, name)) for name in names]
        present = [name for name, child in given if child is not None]
        return [child for _, child in given if child is not None], (
            present,
            [name for name in names if name not in present],
        )

    def with_keys(value):
        children, context = flatten(value)
        return [(GetAttrKey(name), child) for name, child in zip(context[0], children, strict=True)], context

    def unflatten(children, context):
        return cls(**dict(zip(context[0], children, strict=True)), **dict.fromkeys(context[1]))

    register_pytree_node(cls, flatten, unflatten, flatten_with_keys_fn=with_keys)


def _pairs(items):
    return [(MappingKey(key), child) for key, child in items]


def _numbered(children):
    return [(SequenceKey(i), child) for i, child in enumerate(children)]


# Those of dictionaries, lists and tuples bear PyTorch's names: programs register classes of their own with them.
def _dict_flatten(d):
    return list(d.values()), list(d)


def _dict_flatten_with_keys(d):
    return _pairs(d.items()), list(d)


def _dict_unflatten(values, context):
    return dict(zip(context, values, strict=True))


def _list_flatten(d):
    return list(d), None


def _list_flatten_with_keys(d):
    return _numbered(d), None


def _list_unflatten(values, context):
    return list(values)


_tuple_flatten, _tuple_flatten_with_keys = _list_flatten, _list_flatten_with_keys


def _tuple_unflatten(values, context):
    return tuple(values)


def _ordereddict_unflatten(values, context):
    return OrderedDict(zip(context, values, strict=True))


register_pytree_node(dict, _dict_flatten, _dict_unflatten, flatten_with_keys_fn=_dict_flatten_with_keys)
register_pytree_node(OrderedDict, _dict_flatten, _ordereddict_unflatten, flatten_with_keys_fn=_dict_flatten_with_keys)
register_pytree_node(list, _list_flatten, _list_unflatten, flatten_with_keys_fn=_list_flatten_with_keys)
register_pytree_node(tuple, _tuple_flatten, _tuple_unflatten, flatten_with_keys_fn=_tuple_flatten_with_keys)
register_pytree_node(
    defaultdict,
    lambda value: (list(value.values()), [value.default_factory, list(value)]),
    lambda children, context: defaultdict(context[0], zip(context[1], children, strict=True)),
    flatten_with_keys_fn=lambda value: (_pairs(value.items()), [value.default_factory, list(value)]),
)
register_pytree_node(
    deque,
    lambda value: (list(value), value.maxlen),
    lambda children, longest: deque(children, maxlen=longest),
    flatten_with_keys_fn=lambda value: (_numbered(value), value.maxlen),
)
register_pytree_node(
    namedtuple,  # the function stands for all classes that it makes
    lambda value: (list(value), type(value)),
    lambda children, cls: cls(*children),
    flatten_with_keys_fn=lambda value: (
        [(GetAttrKey(name), child) for name, child in zip(value._fields, value, strict=True)],
        type(value),
    ),
)


def is_namedtuple_class(cls):
    """Whether a class is one that ``namedtuple`` made, or derived from one."""
    names = getattr(cls, "_fields", None)
    return (
        isinstance(cls, type)
        and issubclass(cls, tuple)
        and isinstance(names, tuple)
        and all(isinstance(name, str) for name in names)
    )


def is_namedtuple(value):
    """Whether a value, or a class, is a named tuple."""
    return is_namedtuple_class(value if isinstance(value, type) else type(value))


is_namedtuple_instance = is_namedtuple


def _get_node_type(tree):
    cls = type(tree)
    return namedtuple if cls not in SUPPORTED_NODES and is_namedtuple_class(cls) else cls


def _is_leaf(tree, is_leaf=None):
    return (is_leaf is not None and is_leaf(tree)) or _get_node_type(tree) not in SUPPORTED_NODES


def tree_is_leaf(tree, is_leaf=None):
    """Whether a value is no container."""
    return _is_leaf(tree, is_leaf)


@dataclass(init=True, frozen=True, eq=True, repr=False)
class TreeSpec:
    """A tree without its leaves: its container's type, what else it takes to make it, its children's structures."""

    type: Any
    context: Any
    children_specs: list
    num_nodes: int = field(init=False, compare=False)
    num_leaves: int = field(init=False, compare=False)
    num_children: int = field(init=False, compare=False)

    def __post_init__(self):
        own = object.__setattr__
        own(self, "num_nodes", 1 + sum(child.num_nodes for child in self.children_specs))
        own(self, "num_leaves", 1 if self.is_leaf() else sum(child.num_leaves for child in self.children_specs))
        own(self, "num_children", 0 if self.is_leaf() else len(self.children_specs))

    def is_leaf(self):
        return self.type is None

    def children(self):
        return list(self.children_specs)

    def child(self, index):
        return self.children_specs[index]

    def __hash__(self):
        return hash((self.type, self.num_nodes, self.num_leaves))

    def __repr__(self, indent=0):
        if self.is_leaf():
            return "*"
        indent += 2
        children = f",\n{' ' * indent}".join(child.__repr__(indent) for child in self.children_specs)
        return f"TreeSpec({self.type.__name__}, {self.context}, [{children}])"

    def unflatten(self, leaves):
        """The tree of this structure with these leaves."""
        leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            raise ValueError(
                f"treespec.unflatten(leaves): `leaves` has length {len(leaves)} but the spec refers to a pytree that "
                "holds "
                f"{self.num_leaves} items ({self})."
            )
        return self._take(iter(leaves))

    def _take(self, leaves):
        if self.is_leaf():
            return next(leaves)
        children = [child._take(leaves) for child in self.children_specs]
        return SUPPORTED_NODES[self.type].unflatten_fn(children, self.context)

    def flatten_up_to(self, tree):
        """The subtrees of ``tree`` at the places of this structure's leaves.

        Raises: ValueError where ``tree`` is built in another way."""
        if self.is_leaf():
            return [tree]
        if _get_node_type(tree) is not self.type:
            raise ValueError(f"Type mismatch; expected {self.type!r}, but got {type(tree)!r}.")
        children, context = SUPPORTED_NODES[self.type].flatten_fn(tree)
        if len(children) != self.num_children:
            raise ValueError(f"Node arity mismatch; expected {self.num_children}, but got {len(children)}.")
        if self.type in (dict, OrderedDict, defaultdict):
            keys = self.context[1] if self.type is defaultdict else self.context
            if set(keys) != set(tree):
                raise ValueError(f"Node keys mismatch; expected {keys}, but got {list(tree)}.")
            children = [tree[key] for key in keys]
        elif context != self.context:
            raise ValueError(f"Node context mismatch for node type {self.type!r}: {context} is not {self.context}.")
        return [
            leaf
            for child, spec in zip(children, self.children_specs, strict=True)
            for leaf in spec.flatten_up_to(child)
        ]


PyTreeSpec = TreeSpec


class LeafSpec(TreeSpec):
    """The structure of a leaf."""

    def __init__(self):
        super().__init__(None, None, [])

    __repr__ = TreeSpec.__repr__
    __hash__ = TreeSpec.__hash__

    def __eq__(self, other):
        return isinstance(other, TreeSpec) and other.is_leaf()


def _flatten(tree, leaves, is_leaf):
    if _is_leaf(tree, is_leaf):
        leaves.append(tree)
        return LeafSpec()
    kind = _get_node_type(tree)
    children, context = SUPPORTED_NODES[kind].flatten_fn(tree)
    return TreeSpec(kind, context, [_flatten(child, leaves, is_leaf) for child in children])


def tree_flatten(tree, is_leaf=None):
    """The leaves of a tree in a list, and its structure.

    Args:
        tree: any value.
        is_leaf: called with every subtree; what it says yes to is not taken apart.
    Example:
        >>> from rustnn.utils._pytree import tree_flatten, tree_unflatten
        >>> leaves, spec = tree_flatten({"a": (1, 2), "b": [3]})
        >>> leaves, tree_unflatten([x * 10 for x in leaves], spec)
        ([1, 2, 3], {'a': (10, 20), 'b': [30]})
    """
    leaves = []
    spec = _flatten(tree, leaves, is_leaf)
    return leaves, spec


def tree_unflatten(leaves, treespec):
    """The tree of a structure with these leaves."""
    if not isinstance(treespec, TreeSpec):
        raise TypeError(
            f"tree_unflatten(leaves, treespec): Expected `treespec` to be instance of PyTreeSpec but got item of type "
            f"{type(treespec)}."
        )
    return treespec.unflatten(leaves)


def tree_iter(tree, is_leaf=None):
    """The leaves of a tree, one by one."""
    if _is_leaf(tree, is_leaf):
        yield tree
    else:
        for child in SUPPORTED_NODES[_get_node_type(tree)].flatten_fn(tree)[0]:
            yield from tree_iter(child, is_leaf)


def tree_leaves(tree, is_leaf=None):
    """The leaves of a tree in a list."""
    return list(tree_iter(tree, is_leaf))


def arg_tree_leaves(*args, **kwargs):
    """The leaves of a call's arguments."""
    return tree_leaves(args) + tree_leaves(list(kwargs.values()))


def tree_structure(tree, is_leaf=None):
    """The structure of a tree."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func, tree, *rests, is_leaf=None):
    """A tree of the results of ``func`` on the leaves; further trees, of the first one's structure, give further
    arguments."""
    leaves, spec = tree_flatten(tree, is_leaf)
    return spec.unflatten(map(func, leaves, *(spec.flatten_up_to(rest) for rest in rests)))


def tree_map_(func, tree, *rests, is_leaf=None):
    """Calls ``func`` for its effect on the leaves; returns the tree."""
    leaves, spec = tree_flatten(tree, is_leaf)
    for arguments in zip(leaves, *(spec.flatten_up_to(rest) for rest in rests), strict=True):
        func(*arguments)
    return tree


def _test(types):
    if isinstance(types, (type, tuple)) or (hasattr(types, "__or__") and isinstance(types, type(int | str))):
        return lambda leaf: isinstance(leaf, types)
    if callable(types):
        return types
    raise TypeError(f"Argument must be a type, a tuple of types, or a callable predicate, but got {types!r}.")


def map_only(type_or_types_or_pred, /):
    """A decorator: the function is called on values of some types, others are returned as they are."""
    applies = _test(type_or_types_or_pred)
    return lambda func: lambda leaf: func(leaf) if applies(leaf) else leaf


def tree_map_only(type_or_types_or_pred, /, func, tree, is_leaf=None):
    """As ``tree_map`` for leaves of some types, or for which a predicate holds; others stay."""
    return tree_map(map_only(type_or_types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_map_only_(type_or_types_or_pred, /, func, tree, is_leaf=None):
    """As ``tree_map_`` for leaves of some types."""
    return tree_map_(map_only(type_or_types_or_pred)(func), tree, is_leaf=is_leaf)


def tree_all(pred, tree, is_leaf=None):
    """Whether a predicate holds for all leaves."""
    return all(map(pred, tree_iter(tree, is_leaf)))


def tree_any(pred, tree, is_leaf=None):
    """Whether a predicate holds for a leaf."""
    return any(map(pred, tree_iter(tree, is_leaf)))


def tree_all_only(type_or_types, /, pred, tree, is_leaf=None):
    """Whether a predicate holds for all leaves of some types."""
    return all(pred(leaf) for leaf in tree_iter(tree, is_leaf) if isinstance(leaf, type_or_types))


def tree_any_only(type_or_types, /, pred, tree, is_leaf=None):
    """Whether a predicate holds for a leaf of some types."""
    return any(pred(leaf) for leaf in tree_iter(tree, is_leaf) if isinstance(leaf, type_or_types))


def _with_paths(path, tree, is_leaf):
    if _is_leaf(tree, is_leaf):
        yield path, tree
        return
    node = SUPPORTED_NODES[_get_node_type(tree)]
    if node.flatten_with_keys_fn is None:
        raise ValueError(
            f"Did not find a flatten_with_keys_fn for type: {node.type}. Please pass one to register_pytree_node."
        )
    for key, child in node.flatten_with_keys_fn(tree)[0]:
        yield from _with_paths((*path, key), child, is_leaf)


def tree_leaves_with_path(tree, is_leaf=None):
    """Pairs of a leaf's path, a tuple of keys, and the leaf."""
    return list(_with_paths((), tree, is_leaf))


def tree_flatten_with_path(tree, is_leaf=None):
    """``tree_leaves_with_path`` and the structure."""
    return tree_leaves_with_path(tree, is_leaf), tree_structure(tree, is_leaf)


def tree_map_with_path(func, tree, *rests, is_leaf=None):
    """As ``tree_map``; ``func`` gets the leaf's path first."""
    found, spec = tree_flatten_with_path(tree, is_leaf)
    paths, leaves = [path for path, _ in found], [leaf for _, leaf in found]
    return spec.unflatten(map(func, paths, leaves, *(spec.flatten_up_to(rest) for rest in rests)))


def keystr(path):
    """A path as it would be written behind the tree's name: ``['a'][0].b``."""
    return "".join(map(str, path))


def key_get(tree, path):
    """The subtree at a path."""
    for key in path:
        tree = key.get(tree)
    return tree


def _broadcast_to_and_flatten(tree, treespec, is_leaf=None):
    """The leaves of ``tree`` for each leaf of a structure of which it is a prefix; None where it is not."""
    if _is_leaf(tree, is_leaf):
        return [tree] * treespec.num_leaves
    if treespec.is_leaf() or _get_node_type(tree) is not treespec.type:
        return None
    children, context = SUPPORTED_NODES[treespec.type].flatten_fn(tree)
    if len(children) != treespec.num_children or context != treespec.context:
        return None
    out = []
    for child, spec in zip(children, treespec.children_specs, strict=True):
        leaves = _broadcast_to_and_flatten(child, spec, is_leaf)
        if leaves is None:
            return None
        out += leaves
    return out
