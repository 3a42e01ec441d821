"""The layer test table: how each layer and loss is built and called. No PyTorch here: tests/parity compares with it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Layer:
    """How a layer is built and called.

    inputs: shapes of float inputs (drawn from a normal distribution), or arrays as they are.
    low, high: the range of float inputs, if not normal.
    """

    kind: str
    args: tuple = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    inputs: tuple = ((4, 3),)
    modes: tuple[bool, ...] = (True, False)
    low: float | None = None
    high: float = 1.0
    make: Callable[[Any], Any] | None = None

    def build(self, t: Any) -> Any:
        with warnings.catch_warnings():
            # Some are deprecated.
            warnings.simplefilter("ignore")
            made = self.make(t) if self.make else getattr(t.nn, self.kind)(*self.args, **self.kwargs)
            return made.double()

    def draw(self, seed: int) -> list[np.ndarray]:
        rng = np.random.default_rng(seed)
        low, high = self.low, self.high
        drawn = []
        for given in self.inputs:
            if isinstance(given, np.ndarray):
                drawn.append(given)
            else:
                drawn.append(rng.normal(size=given) if low is None else rng.uniform(low, high, given))
        return drawn


def layer(kind: str, *args: Any, inputs: tuple = ((4, 3),), **kwargs: Any) -> Layer:
    own = {name: kwargs.pop(name) for name in ("modes", "low", "high", "make") if name in kwargs}
    return Layer(kind, args, kwargs, inputs, **own)


EVAL = (False,)
CLASSES = np.array([0, 2, 1, 2])
SIGNS = np.array([1.0, -1.0, 1.0, -1.0])
IMAGE, LINE, BLOCK = (2, 4, 6, 7), (2, 4, 9), (2, 4, 5, 6, 4)
TOKENS = np.array([[1, 4, 0], [2, 2, 3]])

LAYERS = [
    layer("Identity"),
    layer("Linear", 3, 5),
    layer("Linear", 3, 5, bias=False, inputs=((2, 4, 3),)),
    layer("Bilinear", 3, 2, 4, inputs=((5, 3), (5, 2))),
    layer("LazyLinear", 4),
    # Convolutions.
    layer("Conv1d", 4, 6, 3, stride=2, padding=1, inputs=(LINE,)),
    layer("Conv1d", 4, 6, 3, padding="same", padding_mode="circular", inputs=(LINE,)),
    layer("Conv2d", 4, 6, 3, inputs=(IMAGE,)),
    layer(
        "Conv2d", 4, 6, (3, 2), stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2, bias=False, inputs=(IMAGE,)
    ),
    layer("Conv2d", 4, 4, 3, padding=1, padding_mode="reflect", groups=4, inputs=(IMAGE,)),
    layer("Conv2d", 4, 2, 3, padding="valid", inputs=((4, 6, 7),)),
    layer("Conv3d", 4, 3, 2, padding=1, padding_mode="replicate", inputs=(BLOCK,)),
    layer("ConvTranspose1d", 4, 3, 3, stride=2, output_padding=1, padding=1, inputs=(LINE,)),
    layer("ConvTranspose2d", 4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, inputs=(IMAGE,)),
    layer("ConvTranspose3d", 4, 2, 2, stride=2, dilation=2, inputs=(BLOCK,)),
    layer("LazyConv1d", 3, 2, inputs=(LINE,)),
    layer("LazyConv2d", 3, 2, inputs=(IMAGE,)),
    layer("LazyConv3d", 3, 2, inputs=(BLOCK,)),
    layer("LazyConvTranspose1d", 3, 2, inputs=(LINE,)),
    layer("LazyConvTranspose2d", 3, 2, inputs=(IMAGE,)),
    layer("LazyConvTranspose3d", 3, 2, inputs=(BLOCK,)),
    # Normalisation.
    layer("BatchNorm1d", 4, inputs=(LINE,)),
    layer("BatchNorm1d", 3, affine=False, momentum=None),
    layer("BatchNorm2d", 4, inputs=(IMAGE,)),
    layer("BatchNorm2d", 4, track_running_stats=False, inputs=(IMAGE,)),
    layer("BatchNorm3d", 4, inputs=(BLOCK,)),
    layer("SyncBatchNorm", 4, inputs=(IMAGE,), modes=EVAL),
    layer("LazyBatchNorm1d", inputs=(LINE,)),
    layer("LazyBatchNorm2d", inputs=(IMAGE,)),
    layer("LazyBatchNorm3d", inputs=(BLOCK,)),
    layer("InstanceNorm1d", 4, inputs=(LINE,)),
    layer("InstanceNorm2d", 4, affine=True, track_running_stats=True, inputs=(IMAGE,)),
    layer("InstanceNorm3d", 4, inputs=(BLOCK,)),
    layer("LazyInstanceNorm1d", affine=True, inputs=(LINE,)),
    layer("LazyInstanceNorm2d", affine=True, inputs=(IMAGE,)),
    layer("LazyInstanceNorm3d", affine=True, inputs=(BLOCK,)),
    layer("LayerNorm", 3),
    layer("LayerNorm", [6, 7], elementwise_affine=False, inputs=(IMAGE,)),
    layer("LayerNorm", 7, bias=False, inputs=(IMAGE,)),
    layer("GroupNorm", 2, 4, inputs=(IMAGE,)),
    layer("RMSNorm", 3),
    layer("RMSNorm", [3], eps=1e-3, elementwise_affine=False),
    layer("LocalResponseNorm", 3, inputs=(IMAGE,)),
    # With more channels than half the window PyTorch's sum never lets go of the first: docs/differences.md.
    layer("CrossMapLRN2d", 7, inputs=(IMAGE,)),
    # Activations.
    layer("CELU", 1.3),
    layer("ELU", 0.7),
    layer("GELU"),
    layer("GELU", approximate="tanh"),
    layer("GLU", inputs=((4, 6),)),
    layer("Hardshrink", 0.3),
    layer("Hardsigmoid", inputs=((40, 3),)),
    layer("Hardswish", inputs=((40, 3),)),
    layer("Hardtanh", -0.5, 0.4),
    layer("LeakyReLU", 0.1),
    layer("LogSigmoid"),
    layer("LogSoftmax", dim=1),
    layer("Mish"),
    layer("MultiheadAttention", 8, 2, inputs=((5, 2, 8),) * 3),
    layer("MultiheadAttention", 8, 4, kdim=6, vdim=5, batch_first=True, inputs=((2, 3, 8), (2, 4, 6), (2, 4, 5))),
    layer("MultiheadAttention", 8, 2, bias=False, add_bias_kv=True, add_zero_attn=True, inputs=((5, 2, 8),) * 3),
    layer("PReLU"),
    layer("PReLU", 4, inputs=(IMAGE,)),
    layer("RReLU", modes=EVAL),
    layer("ReLU"),
    layer("ReLU6", inputs=((40, 3),), low=-2.0, high=9.0),
    layer("SELU"),
    layer("SiLU"),
    layer("Sigmoid"),
    layer("Softmax", dim=0),
    layer("Softmax2d", inputs=(IMAGE,)),
    layer("Softmin", dim=1),
    layer("Softplus", 2, 3),
    layer("Softshrink", 0.2),
    layer("Softsign"),
    layer("Tanh"),
    layer("Tanhshrink"),
    layer("Threshold", 0.1, 20),
    # Dropout.
    *(
        layer(kind, inputs=(IMAGE,), modes=EVAL)
        for kind in ("Dropout", "Dropout2d", "AlphaDropout", "FeatureAlphaDropout")
    ),
    layer("Dropout1d", inputs=(LINE,), modes=EVAL),
    layer("Dropout3d", inputs=(BLOCK,), modes=EVAL),
    layer("Dropout", 0.0),
    # Pooling.
    layer("MaxPool1d", 3, stride=2, padding=1, inputs=(LINE,)),
    layer("MaxPool2d", 2, inputs=(IMAGE,)),
    layer("MaxPool2d", (3, 2), stride=2, dilation=(1, 2), ceil_mode=True, inputs=(IMAGE,)),
    layer("MaxPool3d", 2, inputs=(BLOCK,)),
    layer("AvgPool1d", 3, padding=1, inputs=(LINE,)),
    layer("AvgPool2d", 3, stride=2, padding=1, count_include_pad=False, ceil_mode=True, inputs=(IMAGE,)),
    layer("AvgPool3d", 2, divisor_override=3, inputs=(BLOCK,)),
    layer("LPPool1d", 2, 3, inputs=(LINE,), low=0.1),
    layer("LPPool2d", 3, 2, inputs=(IMAGE,), low=0.1),
    layer("LPPool3d", 2, 2, inputs=(BLOCK,), low=0.1),
    layer("AdaptiveAvgPool1d", 4, inputs=(LINE,)),
    layer("AdaptiveAvgPool2d", (3, None), inputs=(IMAGE,)),
    layer("AdaptiveAvgPool3d", 2, inputs=(BLOCK,)),
    layer("AdaptiveMaxPool1d", 4, inputs=(LINE,)),
    layer(
        "FractionalMaxPool2d",
        make=lambda t: t.nn.FractionalMaxPool2d((2, 3), (3, 4), _random_samples=t.arange(16).reshape(2, 4, 2) / 16),
        inputs=(IMAGE,),
    ),
    layer(
        "FractionalMaxPool3d",
        make=lambda t: t.nn.FractionalMaxPool3d(
            2, output_ratio=0.6, _random_samples=t.arange(24).reshape(2, 4, 3) / 24
        ),
        inputs=(BLOCK,),
    ),
    layer("AdaptiveMaxPool2d", (3, 2), inputs=(IMAGE,)),
    layer("AdaptiveMaxPool3d", 2, inputs=(BLOCK,)),
    layer("MaxUnpool1d", 2, inputs=((1, 1, 3), np.array([[[0, 3, 5]]]))),
    layer("MaxUnpool2d", 2, inputs=((1, 1, 2, 2), np.array([[[[0, 3], [9, 14]]]]))),
    layer("MaxUnpool3d", 2, inputs=((1, 1, 1, 1, 2), np.array([[[[[1, 6]]]]]))),
    # Padding and rearranging.
    *(layer(f"{kind}Pad1d", (2, 1), inputs=(LINE,)) for kind in ("Circular", "Reflection", "Replication", "Zero")),
    *(
        layer(f"{kind}Pad2d", (2, 1, 1, 3), inputs=(IMAGE,))
        for kind in ("Circular", "Reflection", "Replication", "Zero")
    ),
    *(layer(f"{kind}Pad3d", 1, inputs=(BLOCK,)) for kind in ("Circular", "Reflection", "Replication", "Zero")),
    layer("ConstantPad1d", 2, 3.5, inputs=(LINE,)),
    layer("ConstantPad2d", (1, 0, 2, -1), -1.0, inputs=(IMAGE,)),
    layer("ConstantPad3d", 1, 0.5, inputs=(BLOCK,)),
    layer("Flatten", inputs=(IMAGE,)),
    layer("Flatten", 0, 2, inputs=(IMAGE,)),
    layer("Unflatten", 1, (2, 2), inputs=(IMAGE,)),
    layer("Fold", (4, 5), 2, inputs=((2, 8, 12),)),
    layer("Unfold", 2, dilation=2, padding=1, inputs=(IMAGE,)),
    layer("PixelShuffle", 2, inputs=(IMAGE,)),
    layer("PixelUnshuffle", 2, inputs=((2, 3, 4, 6),)),
    layer("ChannelShuffle", 2, inputs=(IMAGE,)),
    layer("Upsample", scale_factor=2, inputs=(IMAGE,)),
    layer("Upsample", size=(9, 5), mode="bilinear", align_corners=True, inputs=(IMAGE,)),
    layer("Upsample", scale_factor=1.5, mode="bicubic", inputs=(IMAGE,)),
    layer("Upsample", scale_factor=2, mode="trilinear", inputs=(BLOCK,)),
    layer("UpsamplingNearest2d", scale_factor=3, inputs=(IMAGE,)),
    layer("UpsamplingBilinear2d", size=(8, 8), inputs=(IMAGE,)),
    # Tables.
    layer("Embedding", 5, 3, padding_idx=2, inputs=(TOKENS,)),
    layer("EmbeddingBag", 5, 3, inputs=(TOKENS,)),
    layer("EmbeddingBag", 5, 3, mode="max", inputs=(TOKENS,)),
    layer("EmbeddingBag", 5, 3, mode="sum", inputs=(TOKENS.reshape(-1), np.array([0, 2]))),
    # Recurrent layers.
    layer("RNN", 3, 4, 2, nonlinearity="relu", inputs=((5, 2, 3),)),
    layer("RNN", 3, 4, bias=False, batch_first=True, inputs=((2, 5, 3), (1, 2, 4))),
    layer("LSTM", 3, 4, 2, bidirectional=True, inputs=((5, 2, 3),)),
    layer("LSTM", 3, 4, proj_size=2, inputs=((5, 3),)),
    layer("GRU", 3, 4, 2, bidirectional=True, batch_first=True, inputs=((2, 5, 3),)),
    layer("RNNCell", 3, 4, inputs=((2, 3), (2, 4))),
    layer("LSTMCell", 3, 4, inputs=((2, 3),)),
    layer("GRUCell", 3, 4, bias=False, inputs=((2, 3), (2, 4))),
    # Transformers.
    layer("TransformerEncoderLayer", 8, 2, 16, dropout=0.0, inputs=((5, 2, 8),)),
    layer("TransformerEncoderLayer", 8, 2, 16, 0.0, "gelu", batch_first=True, norm_first=True, inputs=((2, 5, 8),)),
    layer("TransformerDecoderLayer", 8, 2, 16, dropout=0.0, inputs=((5, 2, 8), (3, 2, 8))),
    layer(
        "TransformerEncoder",
        make=lambda t: t.nn.TransformerEncoder(
            t.nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0), 2, t.nn.LayerNorm(8), enable_nested_tensor=False
        ),
        inputs=((5, 2, 8),),
    ),
    layer(
        "TransformerDecoder",
        make=lambda t: t.nn.TransformerDecoder(t.nn.TransformerDecoderLayer(8, 2, 16, dropout=0.0), 2),
        inputs=((5, 2, 8), (3, 2, 8)),
    ),
    layer("Transformer", 8, 2, 1, 1, 16, dropout=0.0, inputs=((5, 2, 8), (3, 2, 8))),
    # Distances.
    layer("CosineSimilarity", dim=1, inputs=((4, 3), (4, 3))),
    layer("PairwiseDistance", p=1.5, inputs=((4, 3), (4, 3))),
    # Losses.
    layer("L1Loss", inputs=((4, 3), (4, 3))),
    layer("MSELoss", reduction="sum", inputs=((4, 3), (4, 3))),
    layer("SmoothL1Loss", beta=0.4, inputs=((4, 3), (4, 3))),
    layer("HuberLoss", delta=0.6, inputs=((4, 3), (4, 3))),
    layer("NLLLoss", inputs=((4, 3), CLASSES)),
    layer("NLLLoss2d", inputs=((4, 3, 1, 1), CLASSES.reshape(4, 1, 1))),
    layer("LinearCrossEntropyLoss", 5, 3, bias=True, label_smoothing=0.1, inputs=((4, 5), CLASSES)),
    layer("CrossEntropyLoss", inputs=((4, 3), CLASSES)),
    layer("CrossEntropyLoss", ignore_index=2, label_smoothing=0.2, reduction="none", inputs=((4, 3), CLASSES)),
    layer(
        "CrossEntropyLoss",
        make=lambda t: t.nn.CrossEntropyLoss(weight=t.tensor([0.5, 1.0, 2.0])),
        inputs=((4, 3), (4, 3)),
        low=0.0,
    ),
    layer("BCELoss", inputs=((4, 3), (4, 3)), low=0.1, high=0.9),
    layer("BCEWithLogitsLoss", inputs=((4, 3), (4, 3)), low=0.1, high=0.9),
    layer("PoissonNLLLoss", full=True, inputs=((4, 3), (4, 3)), low=0.2, high=3.0),
    layer("GaussianNLLLoss", full=True, inputs=((4, 3), (4, 3), (4, 3)), low=0.2, high=2.0),
    layer("KLDivLoss", reduction="batchmean", inputs=((4, 3), (4, 3)), low=0.1, high=0.9),
    layer("KLDivLoss", log_target=True, reduction="sum", inputs=((4, 3), (4, 3))),
    layer("CosineEmbeddingLoss", margin=0.1, inputs=((4, 3), (4, 3), SIGNS)),
    layer("HingeEmbeddingLoss", inputs=((4,), SIGNS)),
    layer("MarginRankingLoss", margin=0.3, inputs=((4,), (4,), SIGNS)),
    layer("SoftMarginLoss", inputs=((4,), SIGNS)),
    layer("MultiMarginLoss", p=2, inputs=((4, 3), CLASSES)),
    layer("MultiLabelMarginLoss", inputs=((2, 4), np.array([[3, 0, -1, 1], [1, -1, 0, 2]]))),
    layer("MultiLabelSoftMarginLoss", inputs=((4, 3), (4, 3)), low=0.0),
    layer("TripletMarginLoss", swap=True, inputs=((4, 3),) * 3),
    layer("TripletMarginWithDistanceLoss", inputs=((4, 3),) * 3),
    layer(
        "CTCLoss",
        inputs=((6, 2, 4), np.array([[1, 2, 1], [3, 1, 2]]), np.array([6, 5]), np.array([3, 2])),
    ),
    layer("AdaptiveLogSoftmaxWithLoss", 6, 8, [2, 5], inputs=((5, 6), np.array([0, 2, 7, 4, 5]))),
]
# What is no layer that one calls on tensors: tested in tests/test_module_containers.py and its neighbours.
CONTAINERS = {
    "LinearCrossEntropyOptions",
    *("Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "Parameter", "Buffer"),
    *("UninitializedParameter", "UninitializedBuffer", "DataParallel", "RNNBase", "RNNCellBase", "Container"),
}


def flat(value: Any) -> list[Any]:
    """The tensors in nested results."""
    if isinstance(value, (list, tuple)):
        return [item for part in value for item in flat(part)]
    return [] if value is None else [value]
