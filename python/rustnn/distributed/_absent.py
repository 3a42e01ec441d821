"""Classes and functions for several processes, which are named here and refuse to work."""


def absent(namespace, classes="", functions=""):
    """Puts classes that raise when they are made, and functions that raise, into a module; returns their names."""
    package = namespace["__name__"].replace(__name__.partition(".")[0], "torch", 1)

    def refuse(name):
        def function(*args, **kwargs):
            raise RuntimeError(f"{package}.{name}: rustnn trains in one process")

        function.__doc__ = "Raises RuntimeError: there are no other processes."
        return function

    for name in classes.split():
        body = {"__init__": refuse(name), "__doc__": "Raises RuntimeError when made; for ``isinstance``."}
        namespace[name] = type(name, (), body | {"__module__": namespace["__name__"]})
    for name in functions.split():
        namespace[name] = refuse(name)
        namespace[name].__name__ = namespace[name].__qualname__ = name
    return [*classes.split(), *functions.split()]
