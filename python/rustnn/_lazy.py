"""Names that a package has without having imported them: they are, when first used (PEP 562)."""

import sys


def names_on_demand(package, modules, names=None, parts=()):
    """``__getattr__`` and ``__dir__`` for a package.

    Args:
        package: its ``__name__``.
        modules: names of its modules that are its attributes.
        names: dict from further attributes to the names of the modules that have them.
        parts: names of its modules whose ``__all__`` are its attributes too.

    No attribute may bear the name of a module that it comes from: importing that would hide it.
    """
    namespace, names = sys.modules[package].__dict__, names or {}

    def module(name):
        full = f"{package}.{name}"
        __import__(full)  # which makes it an attribute of the package
        return sys.modules[full]

    def find(name):
        if name == "__all__":  # what `from package import *` takes, where the package does not say
            return [name for name in all_names() if not name.startswith("_")]
        if name in modules:
            return module(name)
        found = module(names[name]) if name in names else None
        if found is None and not name.startswith("_"):
            found = next((part for part in map(module, parts) if name in part.__all__), None)
        if found is not None:
            return namespace.setdefault(name, getattr(found, name))  # where the next use finds it
        raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])

    def all_names():
        return sorted({*namespace, *modules, *names, *(name for part in map(module, parts) for name in part.__all__)})

    return find, all_names
