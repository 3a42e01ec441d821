"""``rustnn.ops``: ops by namespace and name. ``aten`` holds the functions of this package; other namespaces what
programs defined, see ``rustnn.library``."""

import sys
from types import ModuleType

from . import library


class _Namespace:
    def __init__(self, name):
        self.name = name

    def __getattr__(self, name):
        if (self.name, name) in library._registry:
            return library.OpOverloadPacket(self.name, name)
        raise AttributeError(f"'_OpNamespace' '{self.name}' object has no attribute '{name}'")

    def __repr__(self):
        return f"<module 'torch.ops.{self.name}'>"


class _Aten(_Namespace):
    """Functions of the package under PyTorch's internal names."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        package = sys.modules[__package__]
        for place in (package, package.nn.functional, package.Tensor):
            if function := getattr(place, name, None):
                op = library.OpOverload("aten", name)
                op._kernels[library._GENERAL] = op._kernels[library._FAKE] = function
                library._registry.setdefault(("aten", name), {"default": op})
                return library.OpOverloadPacket("aten", name)
        raise AttributeError(f"'_OpNamespace' 'aten' object has no attribute '{name}'")


class _Ops(ModuleType):
    loaded_libraries = frozenset()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        namespace = _Aten(name) if name == "aten" else _Namespace(name)
        setattr(self, name, namespace)
        return namespace

    @staticmethod
    def load_library(path):
        """Raises OSError: libraries of ops are compiled against PyTorch."""
        raise OSError(f"ops.load_library: rustnn cannot load ops that were compiled for PyTorch: {path}")


sys.modules[__name__].__class__ = _Ops
