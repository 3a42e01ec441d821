"""Networks: the base class :class:`Module`, layers, losses, parameters, initialisation; laid out as ``torch.nn`` is."""

from rustnn.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter
from rustnn.nn.modules import *
from rustnn.nn.modules import Module
from rustnn.nn import functional, init, modules, parameter, utils
