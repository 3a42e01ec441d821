"""Functions of the package under the name by which PyTorch's own modules call them."""

import sys


def __getattr__(name):
    return getattr(sys.modules[__package__], name)
