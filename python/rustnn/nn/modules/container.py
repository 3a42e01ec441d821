"""Modules that hold modules or parameters: Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from itertools import chain
from operator import index as as_index

from rustnn import _core
from rustnn.nn.modules.module import Module, _indent, _typename
from rustnn.nn.parameter import Parameter

__all__ = ["Container", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList", "Sequential"]

Tensor = _core.Tensor


def _whole_index(index, length) -> int:
    """An index counted from the front.

    Raises: TypeError if it is no integer, IndexError if it is out of range.
    """
    index = as_index(index)
    if not -length <= index < length:
        raise IndexError(f"index {index} is out of range")
    return index + length if index < 0 else index


def _renumber(module) -> None:
    """Name the children "0", "1", … in their order."""
    children = list(module._modules.values())
    module._modules.clear()
    module._modules.update((str(position), child) for position, child in enumerate(children))


def _pairs(values, owner, caller):
    """Key-value pairs of a mapping or of an iterable of pairs.

    Raises: TypeError or ValueError naming the element that is no pair.
    """
    if not isinstance(values, Iterable):
        raise TypeError(
            f"{caller}.update should be called with an iterable of key/value pairs, but got {type(values).__name__}"
        )
    if isinstance(values, (Mapping, ModuleDict, ParameterDict)):
        yield from values.items()
        return
    for position, pair in enumerate(values):
        if not isinstance(pair, Iterable):
            raise TypeError(f"{owner} update sequence element #{position} should be Iterable; is{type(pair).__name__}")
        if len(pair) != 2:
            raise ValueError(f"{owner} update sequence element #{position} has length {len(pair)}; 2 is required")
        yield pair[0], pair[1]


class Container(Module):
    """A module of the modules that it is given by name; deprecated, as any Module can hold others.

    Args: modules by name.
    Source: behaviour of ``torch.nn.Container``.
    Example:
        >>> import warnings
        >>> from rustnn import nn
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     print(nn.Container(act=nn.ReLU()))
        Container(
          (act): ReLU()
        )
    """

    def __init__(self, **kwargs) -> None:
        warnings.warn(
            "nn.Container is deprecated. All of it's functionality is now implemented in nn.Module. Subclass that "
            "instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__()
        for name, module in kwargs.items():
            self.add_module(name, module)


class _NumberedModules(Module):
    """What Sequential and ModuleList share: an ordered list of children."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules.values())

    def _key(self, index) -> str:
        return list(self._modules)[_whole_index(index, len(self))]

    def __setitem__(self, index, module) -> None:
        setattr(self, self._key(index), module)

    def __delitem__(self, index) -> None:
        names = list(self._modules)[index] if isinstance(index, slice) else [self._key(index)]
        for name in names:
            delattr(self, name)
        _renumber(self)

    def __dir__(self):
        return [name for name in super().__dir__() if not name.isdigit()]

    def append(self, module):
        """Add a module at the end; returns this container."""
        self.add_module(str(len(self)), module)
        return self

    def pop(self, key):
        """Take out and return the module at an index, or the part at a slice."""
        module = self[key]
        del self[key]
        return module

    def _insert(self, index, module) -> None:
        children = list(self._modules.values())
        if index == len(children):
            # At the end nobody's name changes.
            self._modules[str(index)] = module
            return
        children.insert(index, module)
        self._modules.clear()
        self._modules.update((str(position), child) for position, child in enumerate(children))


class Sequential(_NumberedModules):
    """Returns the input passed through its modules one after the other.

        y = f_n(… f_2(f_1(x)))

    Args: modules in order, or one ``OrderedDict`` of names and modules.
    Shapes: those of its modules.
    Raises: TypeError for what is not a module.
    Source: behaviour of ``torch.nn.Sequential``.
    Example:
        >>> import rustnn
        >>> from rustnn import nn
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
        >>> net(rustnn.ones(2, 4)).shape
        torch.Size([2, 1])
        >>> net[:2]
        Sequential(
          (0): Linear(in_features=4, out_features=8, bias=True)
          (1): ReLU()
        )
    """

    def __init__(self, *args) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            named = args[0].items()
        else:
            named = ((str(position), module) for position, module in enumerate(args))
        for name, module in named:
            self.add_module(name, module)

    def forward(self, input):
        for module in self:
            input = module(input)
        return input

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(OrderedDict(list(self._modules.items())[index]))
        return list(self._modules.values())[_whole_index(index, len(self))]

    def _check_operand(self, other) -> None:
        if not isinstance(other, Sequential):
            raise ValueError(f"add operator supports only objects of Sequential class, but {type(other)} is given.")

    def __add__(self, other):
        self._check_operand(other)
        return Sequential(*self, *other)

    def __iadd__(self, other):
        self._check_operand(other)
        return self.extend(list(other))

    def _check_factor(self, other) -> None:
        if not isinstance(other, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(other)}")
        if other <= 0:
            raise ValueError(f"Non-positive multiplication factor {other} for {type(self)}")

    def __mul__(self, other):
        self._check_factor(other)
        return Sequential(*list(self) * other)

    def __rmul__(self, other):
        return self * other

    def __imul__(self, other):
        self._check_factor(other)
        return self.extend(list(self) * (other - 1))

    def insert(self, index, module):
        """Put a module before ``index``; returns this container.

        Raises: AssertionError for what is not a module, IndexError for an index out of range.
        """
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        if not -len(self) <= index <= len(self):
            raise IndexError(f"Index out of range: {index}")
        self._insert(index, module)
        return self

    def extend(self, sequential):
        """Add modules at the end; returns this container."""
        for module in sequential:
            self.append(module)
        return self


class ModuleList(_NumberedModules):
    """A list of modules that are registered, to be called by the module that holds it.

    Args:
        modules: an iterable of modules.
    Raises: TypeError for what is not a module; NotImplementedError when it is called itself.
    Source: behaviour of ``torch.nn.ModuleList``.
    Example:
        >>> from rustnn import nn
        >>> layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(3))
        >>> layers
        ModuleList(
          (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
        )
        >>> len(list(layers.parameters()))
        6
    """

    def __init__(self, modules=None) -> None:
        super().__init__()
        if modules is not None:
            self += modules

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(list(self._modules.values())[index])
        return self._modules[str(_whole_index(index, len(self)))]

    def _key(self, index) -> str:
        return str(_whole_index(index, len(self)))

    def __iadd__(self, modules):
        return self.extend(modules)

    def __add__(self, other):
        return ModuleList(chain(self, other))

    def insert(self, index, module) -> None:
        """Put a module before ``index``."""
        self._insert(index, module)

    def extend(self, modules):
        """Add modules at the end; returns this list.

        Raises: TypeError if ``modules`` is not iterable.
        """
        if not isinstance(modules, Iterable):
            raise TypeError(f"ModuleList.extend should be called with an iterable, but got {type(modules).__name__}")
        for position, module in enumerate(modules, len(self)):
            self.add_module(str(position), module)
        return self

    def __repr__(self) -> str:
        texts = [repr(module) for module in self]
        if not texts:
            return f"{self._get_name()}()"
        # Runs of equal texts fold into one line: (first-last): count x text.
        lines = []
        start = 0
        for position in range(1, len(texts) + 1):
            if position < len(texts) and texts[position] == texts[start]:
                continue
            count = position - start
            head = f"({start})" if count == 1 else f"({start}-{position - 1})"
            times = "" if count == 1 else f"{count} x "
            lines.append(_indent(f"{head}: {times}{texts[start]}"))
            start = position
        body = "\n  ".join(lines)
        return f"{self._get_name()}(\n  {body}\n)"


class ModuleDict(Module):
    """A dictionary of modules that are registered, in order of insertion.

    Args:
        modules: a mapping from names to modules, or an iterable of such pairs.
    Raises: TypeError for what is not a module; KeyError for a name with a dot or one that the class uses ("keys", say);
        NotImplementedError when it is called itself.
    Source: behaviour of ``torch.nn.ModuleDict``.
    Example:
        >>> from rustnn import nn
        >>> choices = nn.ModuleDict({"relu": nn.ReLU(), "tanh": nn.Tanh()})
        >>> list(choices.keys()), choices["tanh"]
        (['relu', 'tanh'], Tanh())
    """

    def __init__(self, modules=None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key):
        return self._modules[key]

    def __setitem__(self, key, module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules)

    def __contains__(self, key) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take out all modules."""
        self._modules.clear()

    def pop(self, key):
        """Take out and return the module under ``key``."""
        module = self[key]
        del self[key]
        return module

    def keys(self):
        """The names."""
        return self._modules.keys()

    def items(self):
        """The names with their modules."""
        return self._modules.items()

    def values(self):
        """The modules."""
        return self._modules.values()

    def update(self, modules) -> None:
        """Add or replace modules from a mapping or an iterable of pairs.

        Raises: TypeError or ValueError for what is neither.
        """
        for key, module in _pairs(modules, "ModuleDict", "ModuleDict"):
            self[key] = module


def _as_parameter(value):
    """Tensors become parameters; anything else stays as it is."""
    return Parameter(value) if isinstance(value, Tensor) and not isinstance(value, Parameter) else value


def _describe(value, type_text) -> str:
    """A line of a parameter container's text."""
    if not isinstance(value, Tensor):
        return f"Object of type: {type(value).__name__}"
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    size = "x".join(str(length) for length in value.size())
    where = "" if value.device.type in ("cpu", "meta") else f" ({value.device})"
    return f"{kind} containing: [{type_text} of size {size}{where}]"


class ParameterList(Module):
    """A list whose tensors are registered as parameters; other objects are kept as they are.

    Args:
        values: an iterable of parameters, tensors (which become parameters) and other objects.
    Raises: TypeError if ``values`` is a tensor or not iterable; RuntimeError when it is called.
    Source: behaviour of ``torch.nn.ParameterList``.
    Example:
        >>> import rustnn
        >>> weights = rustnn.nn.ParameterList([rustnn.ones(2), rustnn.zeros(3)])
        >>> [name for name, _ in weights.named_parameters()], len(weights)
        (['0', '1'], 2)
    """

    def __init__(self, values=None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self += values

    def __getitem__(self, index):
        if isinstance(index, slice):
            return type(self)(self[position] for position in range(*index.indices(len(self))))
        return getattr(self, str(_whole_index(index, len(self))))

    def __setitem__(self, index, param) -> None:
        setattr(self, str(_whole_index(index, len(self))), _as_parameter(param))

    def __len__(self) -> int:
        return self._size

    def __iter__(self):
        return iter([self[position] for position in range(len(self))])

    def __iadd__(self, parameters):
        return self.extend(parameters)

    def __dir__(self):
        return [name for name in super().__dir__() if not name.isdigit()]

    def append(self, value):
        """Add an object at the end; returns this list."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values):
        """Add objects at the end; returns this list.

        Raises: TypeError if ``values`` is a tensor or not iterable.
        """
        # A tensor is iterable, but nobody means its rows.
        if not isinstance(values, Iterable) or isinstance(values, Tensor):
            raise TypeError(f"ParameterList.extend should be called with an iterable, but got {type(values).__name__}")
        for value in values:
            self.append(value)
        return self

    def extra_repr(self) -> str:
        return "\n".join(
            f"  ({position}): {_describe(value, getattr(value, 'dtype', None))}" for position, value in enumerate(self)
        )

    def __call__(self, *args, **kwargs):
        raise RuntimeError("ParameterList should not be called.")


class ParameterDict(Module):
    """A dictionary whose tensors are registered as parameters; other objects are kept as they are.

    Args:
        parameters: a mapping from names to values, or an iterable of such pairs; a plain dict is taken in sorted order.
    Raises: TypeError for names that are not strings; KeyError for names with a dot; RuntimeError when it is called.
    Source: behaviour of ``torch.nn.ParameterDict``.
    Example:
        >>> import rustnn
        >>> parts = rustnn.nn.ParameterDict({"left": rustnn.ones(2), "right": rustnn.zeros(3)})
        >>> [name for name, _ in parts.named_parameters()], "left" in parts
        (['left', 'right'], True)
    """

    def __init__(self, parameters=None) -> None:
        super().__init__()
        self._keys: dict = {}
        if parameters is not None:
            self.update(parameters)

    def _key_to_attr(self, key) -> str:
        if not isinstance(key, str):
            raise TypeError(
                "Index given to ParameterDict cannot be used as a key as it is not a string (type is "
                f"'{type(key).__name__}'). Open an issue on github if you need non-string keys."
            )
        return key

    def __getitem__(self, key):
        return getattr(self, self._key_to_attr(key))

    def __setitem__(self, key, value) -> None:
        setattr(self, self._key_to_attr(key), _as_parameter(value))
        self._keys[key] = None

    def __delitem__(self, key) -> None:
        del self._keys[key]
        delattr(self, self._key_to_attr(key))

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self):
        return iter(self._keys)

    def __reversed__(self):
        return reversed(self._keys)

    def __contains__(self, key) -> bool:
        return key in self._keys

    def copy(self):
        """A new ParameterDict with the same objects."""
        return ParameterDict(OrderedDict(self.items()))

    def setdefault(self, key, default=None):
        """The value under ``key``, which becomes ``default`` if there is none."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Take out everything."""
        for key in list(self._keys):
            del self[key]

    def pop(self, key):
        """Take out and return the value under ``key``."""
        value = self[key]
        del self[key]
        return value

    def popitem(self):
        """Take out and return the newest key and value.

        Raises: KeyError if there is none.
        """
        if not self._keys:
            raise KeyError("popitem(): dictionary is empty")
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def get(self, key, default=None):
        """The value under ``key``, or ``default``."""
        return self[key] if key in self else default

    def fromkeys(self, keys, default=None):
        """A new ParameterDict with ``default`` under each key."""
        return ParameterDict((key, default) for key in keys)

    def keys(self):
        """The keys, in order of insertion."""
        return self._keys.keys()

    def items(self):
        """The keys with their values."""
        return ((key, self[key]) for key in self._keys)

    def values(self):
        """The values."""
        return (self[key] for key in self._keys)

    def update(self, parameters) -> None:
        """Add or replace values from a mapping or an iterable of pairs; a plain dict is taken in sorted order.

        Raises: TypeError or ValueError for what is neither.
        """
        if isinstance(parameters, Mapping) and not isinstance(parameters, OrderedDict):
            parameters = sorted(parameters.items())
        for key, value in _pairs(parameters, "ParameterDict", "ParametersDict"):
            self[key] = value

    def extra_repr(self) -> str:
        return "\n".join(f"  ({key}): {_describe(value, _typename(value))}" for key, value in self.items())

    def __call__(self, *args, **kwargs):
        raise RuntimeError("ParameterDict should not be called.")

    def __or__(self, other):
        result = self.copy()
        result.update(other)
        return result

    def __ror__(self, other):
        result = other.copy()
        result.update(self)
        return result

    def __ior__(self, other):
        self.update(other)
        return self
