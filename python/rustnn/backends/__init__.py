"""The libraries that PyTorch computes with, and their switches. rustnn has its own kernels: none of them is here."""

from .._lazy import names_on_demand

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp", "opt_einsum"]

__getattr__, __dir__ = names_on_demand(__name__, modules=tuple(__all__))
del names_on_demand
