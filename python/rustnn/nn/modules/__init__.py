"""All layers, one family per file."""

from rustnn.nn.modules.module import Module  # isort: skip
from rustnn.nn.modules import (
    activation,
    adaptive,
    batchnorm,
    channelshuffle,
    container,
    conv,
    distance,
    dropout,
    flatten,
    fold,
    instancenorm,
    linear,
    loss,
    normalization,
    padding,
    pixelshuffle,
    pooling,
    rnn,
    sparse,
    transformer,
    upsampling,
)
from rustnn.nn.modules.activation import *
from rustnn.nn.modules.adaptive import *
from rustnn.nn.modules.batchnorm import *
from rustnn.nn.modules.channelshuffle import *
from rustnn.nn.modules.container import *
from rustnn.nn.modules.conv import *
from rustnn.nn.modules.distance import *
from rustnn.nn.modules.dropout import *
from rustnn.nn.modules.flatten import *
from rustnn.nn.modules.fold import *
from rustnn.nn.modules.instancenorm import *
from rustnn.nn.modules.linear import *
from rustnn.nn.modules.loss import *
from rustnn.nn.modules.normalization import *
from rustnn.nn.modules.padding import *
from rustnn.nn.modules.pixelshuffle import *
from rustnn.nn.modules.pooling import *
from rustnn.nn.modules.rnn import *
from rustnn.nn.modules.sparse import *
from rustnn.nn.modules.transformer import *
from rustnn.nn.modules.upsampling import *

__all__ = ["Module"]
for _family in (
    activation,
    adaptive,
    batchnorm,
    channelshuffle,
    container,
    conv,
    distance,
    dropout,
    flatten,
    fold,
    instancenorm,
    linear,
    loss,
    normalization,
    padding,
    pixelshuffle,
    pooling,
    rnn,
    sparse,
    transformer,
    upsampling,
):
    __all__ += _family.__all__
del _family
