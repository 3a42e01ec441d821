"""Networks: the base class :class:`Module`, layers, losses, parameters, initialisation; laid out as ``torch.nn`` is."""

from rustnn.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter, factory_kwargs  # isort: skip
from rustnn.nn.modules import *  # isort: skip
from rustnn.nn.modules import Module  # isort: skip
from rustnn.nn.parallel import DataParallel  # isort: skip
from rustnn.nn import functional, grad, init, modules, parallel, parameter, utils  # isort: skip
