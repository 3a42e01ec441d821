"""Tensors that PyTorch's compiler traces with, of which there are none."""

from .fake_tensor import FakeTensor, FakeTensorMode

__all__ = ["FakeTensor", "FakeTensorMode"]
