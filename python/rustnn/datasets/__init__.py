"""Data sets small enough to come with the package."""

from .digits import digits

__all__ = ["digits"]
