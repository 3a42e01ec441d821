"""Programs that say ``import torch`` run on this package, without a change and without PyTorch.

From a shell, ``python -m rustnn train.py --epochs 3`` in place of ``python train.py --epochs 3``; in Python,
``install()`` before the first ``import torch``."""

import importlib.abc
import importlib.metadata
import importlib.util
import sys

__all__ = ["install"]

_PACKAGE = __package__  # not the package's `__name__`, which `install` changes


class _Loader(importlib.abc.Loader):
    def __init__(self, target):
        self._target = target

    def create_module(self, spec):
        module = importlib.import_module(self._target)
        self._own = module.__spec__
        return module

    def exec_module(self, module):
        # It ran under its own name; only the specification was changed by being found again.
        module.__spec__ = self._own


class _Torch(importlib.metadata.Distribution):
    """What packages find that ask which version of PyTorch is installed."""

    def read_text(self, filename):
        if filename != "METADATA":
            return None
        from . import __version__

        return f"Metadata-Version: 2.1\nName: torch\nVersion: {str(__version__).split('+')[0]}\n"

    def locate_file(self, path):
        return path


class _Finder(importlib.metadata.DistributionFinder):
    """``torch`` and everything in it is what has the same name in this package."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname != "torch" and not fullname.startswith("torch."):
            return None
        name = _PACKAGE + fullname.removeprefix("torch")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name + ".").startswith(error.name + "."):
                return None  # it does not exist here, and the import says so
            raise
        return importlib.util.spec_from_loader(fullname, _Loader(name), is_package=True)

    def find_distributions(self, context=importlib.metadata.DistributionFinder.Context()):  # noqa: B008 (as its base)
        if context.name is None or context.name.lower() == "torch":
            yield _Torch()


def install():
    """Makes ``import torch`` mean this package, in this process from now on.

    Raises: RuntimeError if PyTorch itself has been imported already.

    Example:
        >>> import rustnn.as_torch
        >>> rustnn.as_torch.install()
        >>> import torch
        >>> torch.ones(2) + 1
        tensor([2., 2.])
    """
    present = sys.modules.get("torch")
    if present is not None and present is not sys.modules[_PACKAGE]:
        raise RuntimeError(f"as_torch.install: PyTorch {getattr(present, '__version__', '')} is imported already")
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
        package = sys.modules[_PACKAGE]
        # PyTorch's package imports itself, and programs say `torch.torch.Tensor`; some compare its name.
        package.torch, package.__name__ = package, "torch"
