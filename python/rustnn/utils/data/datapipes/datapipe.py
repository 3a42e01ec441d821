"""What pipes have in common: they are datasets, and each has the others' constructors as methods."""

from functools import partial

from ..dataset import Dataset, IterableDataset

__all__ = ["DataChunk", "IterDataPipe", "MapDataPipe", "functional_datapipe"]


class _Pipe:
    """Methods that are the constructors of other pipes."""

    def __getattr__(self, name):
        if name in type(self).functions:
            return partial(self.functions[name], self)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @classmethod
    def register_function(cls, function_name, function):
        """Make a function of a pipe a method of all."""
        cls.functions[function_name] = function

    @classmethod
    def register_datapipe_as_function(cls, function_name, cls_to_register, enable_df_api_tracing=False):
        """Make the constructor of a pipe a method of all.

        Raises: Exception for a name that is taken.
        """
        if function_name in cls.functions:
            raise Exception(f"Unable to add DataPipe function name {function_name} as it is already taken")
        cls.functions[function_name] = cls_to_register

    def __repr__(self):
        return type(self).__qualname__

    def __dir__(self):
        return sorted({*super().__dir__(), *self.functions})


class IterDataPipe(_Pipe, IterableDataset):
    """Base of pipes read in order: subclasses define ``__iter__``."""

    functions = {}

    def reset(self):
        """Nothing: a pass keeps its state to itself."""


class MapDataPipe(_Pipe, Dataset):
    """Base of pipes with random access: subclasses define ``__getitem__`` and ``__len__``."""

    functions = {}


class DataChunk(list):
    """A batch: a list."""

    def __init__(self, items):
        super().__init__(items)
        self.items = items

    def as_str(self, indent=""):
        """The samples between brackets."""
        return indent + "[" + ", ".join(map(str, self)) + "]"

    def raw_iterator(self):
        """Over the samples."""
        yield from self.items


class functional_datapipe:
    """A decorator of a pipe's class: its constructor is a method of all pipes of its kind.

    Args:
        name: the method's.
    Raises: TypeError for a class that is no pipe; Exception for a name that is taken.
    """

    def __init__(self, name, enable_df_api_tracing=False):
        self.name = name

    def __call__(self, cls):
        for base in (IterDataPipe, MapDataPipe):
            if isinstance(cls, type) and issubclass(cls, base):
                base.register_datapipe_as_function(self.name, cls)
                return cls
        raise TypeError("functional_datapipe: can only decorate IterDataPipe or MapDataPipe")
