"""The layers that Python and Rust are compared on, and what the Python package computes with them; no PyTorch here.

    python tests/golden/rust_layers.py FILE.pt

runs each layer on the state and inputs in rust/layers.pt and writes output, gradient and state afterwards:
tests/rust/layers.rs calls it and wants the same bits.
"""

import sys
from pathlib import Path

import rustnn

FOLDER = Path(__file__).with_name("rust")

PADDED = {"padding": 2, "padding_mode": "reflect"}
STACK = {"num_encoder_layers": 2, "num_decoder_layers": 1, "dim_feedforward": 16, "dropout": 0.0, "batch_first": True}


def stack(nn, kind, norm):
    """An encoder or a decoder of two small layers."""
    layer = getattr(nn, f"Transformer{kind}Layer")(8, 2, dim_feedforward=16, dropout=0.0, batch_first=True)
    return getattr(nn, f"Transformer{kind}")(layer, 2, nn.LayerNorm(8) if norm else None)


def spectral_norm(nn):
    return nn.utils.parametrizations.spectral_norm(nn.ConvTranspose1d(3, 2, 4))


def weight_norm(nn):
    return nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 4, 3))


# Name -> (class or maker, arguments, shapes of the inputs); integers stand for a table's indices: the number of
# classes, and perhaps a shape.
LAYERS = {
    "linear": ("Linear", (4, 3), {}, [(2, 4)]),
    "linear_no_bias": ("Linear", (4, 3), {"bias": False}, [(2, 4)]),
    "bilinear": ("Bilinear", (3, 4, 2), {}, [(5, 3), (5, 4)]),
    "embedding": ("Embedding", (7, 3), {"padding_idx": 2}, [7]),
    "embedding_bounded": ("Embedding", (7, 3), {"max_norm": 1.0, "norm_type": 1.5, "scale_grad_by_freq": True}, [7]),
    "conv1d": ("Conv1d", (2, 4, 3), {"stride": 2, "padding": 1}, [(2, 2, 9)]),
    "conv2d": ("Conv2d", (2, 4, 3), {"padding": (1, 2), "dilation": 2, "groups": 2}, [(2, 2, 8, 7)]),
    "conv2d_same": ("Conv2d", (2, 3, 3), {"padding": "same"}, [(1, 2, 5, 5)]),
    "conv3d": ("Conv3d", (2, 2, 2), {}, [(1, 2, 3, 4, 3)]),
    "conv_transpose1d": ("ConvTranspose1d", (3, 2, 4), {"stride": 2, "padding": 1}, [(2, 3, 5)]),
    "conv_transpose2d": ("ConvTranspose2d", (4, 2, 3), {"stride": 2, "output_padding": 1, "groups": 2}, [(1, 4, 3, 3)]),
    "conv_transpose3d": ("ConvTranspose3d", (2, 2, 2), {"stride": 2}, [(1, 2, 2, 3, 2)]),
    "batch_norm1d": ("BatchNorm1d", (3,), {}, [(6, 3)]),
    "batch_norm2d": ("BatchNorm2d", (3,), {"momentum": None}, [(2, 3, 4, 4)]),
    "batch_norm3d": ("BatchNorm3d", (2,), {}, [(2, 2, 2, 3, 2)]),
    "layer_norm": ("LayerNorm", ((3, 4),), {}, [(5, 3, 4)]),
    "rms_norm": ("RMSNorm", (4,), {}, [(5, 4)]),
    "group_norm": ("GroupNorm", (2, 4), {}, [(2, 4, 5)]),
    "instance_norm2d": ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, [(2, 3, 4, 4)]),
    "conv1d_reflect": ("Conv1d", (2, 3, 3), PADDED, [(2, 2, 9)]),
    "conv2d_replicate": ("Conv2d", (2, 3, (2, 4)), {"padding": "same", "padding_mode": "replicate"}, [(1, 2, 5, 6)]),
    "conv3d_circular": ("Conv3d", (1, 2, 3), {"padding": (0, 1, 2), "padding_mode": "circular"}, [(1, 1, 4, 3, 5)]),
    "weight_norm": (weight_norm, (), {}, [(2, 2, 9)]),
    "spectral_norm": (spectral_norm, (), {}, [(2, 3, 5)]),
    "prelu": ("PReLU", (3,), {}, [(2, 3, 4)]),
    "rnn": ("RNN", (3, 4), {"nonlinearity": "relu", "num_layers": 2}, [(5, 2, 3)]),
    "gru": ("GRU", (3, 4), {"batch_first": True, "bidirectional": True}, [(2, 5, 3)]),
    "lstm": ("LSTM", (3, 4), {"num_layers": 2, "bidirectional": True}, [(5, 2, 3)]),
    "lstm_projected": ("LSTM", (3, 4), {"proj_size": 2}, [(5, 3)]),
    "rnn_cell": ("RNNCell", (3, 4), {}, [(2, 3)]),
    "gru_cell": ("GRUCell", (3, 4), {}, [(2, 3)]),
    "lstm_cell": ("LSTMCell", (3, 4), {}, [(2, 3)]),
    "embedding_bag": ("EmbeddingBag", (7, 3), {"mode": "max"}, [7]),
    "embedding_bag_bounded": ("EmbeddingBag", (7, 3), {"mode": "sum", "max_norm": 1.0}, [7]),
    "embedding_bag_padded": ("EmbeddingBag", (7, 3), {"padding_idx": 4}, [7]),
    "adaptive": ("AdaptiveLogSoftmaxWithLoss", (8, 20), {"cutoffs": [5, 11], "div_value": 2.0}, [(9, 8), (20, (9,))]),
    "linear_cross_entropy": ("LinearCrossEntropyLoss", (4, 6), {"bias": True}, [(5, 4), (6, (5,))]),
    "attention": ("MultiheadAttention", (8, 2), {"batch_first": True}, [(2, 5, 8), (2, 3, 8), (2, 3, 8)]),
    "attention_widths": (
        "MultiheadAttention",
        (8, 2),
        {"batch_first": True, "kdim": 5, "vdim": 3, "add_bias_kv": True, "add_zero_attn": True},
        [(2, 5, 8), (2, 4, 5), (2, 4, 3)],
    ),
    "encoder": (stack, ("Encoder", True), {}, [(2, 5, 8)]),
    "decoder": (stack, ("Decoder", False), {}, [(2, 5, 8), (2, 3, 8)]),
    "transformer": ("Transformer", (8, 2), STACK, [(2, 5, 8), (2, 3, 8)]),
    "encoder_layer": (
        "TransformerEncoderLayer",
        (8, 2),
        {"dim_feedforward": 16, "dropout": 0.0, "batch_first": True, "activation": "gelu", "norm_first": True},
        [(2, 5, 8)],
    ),
    "decoder_layer": (
        "TransformerDecoderLayer",
        (8, 2),
        {"dim_feedforward": 16, "dropout": 0.0, "batch_first": True},
        [(2, 5, 8), (2, 3, 8)],
    ),
}


def make(nn, maker, arguments, options):
    return maker(nn, *arguments) if callable(maker) else getattr(nn, maker)(*arguments, **options)


def run(layer, inputs):
    """What is compared: the output, the gradient of the sum of its squares, parameters and buffers afterwards."""
    output = layer(*inputs)
    output = output[0] if isinstance(output, tuple) else output
    output.square().sum().backward()
    gradient = inputs[0].grad if inputs[0].is_floating_point() else layer.weight.grad
    return {"output": output.detach(), "gradient": gradient, "after": layer.state_dict()}


def main(target):
    found = {}
    for name, recorded in rustnn.load(FOLDER / "layers.pt").items():
        layer = make(rustnn.nn, *LAYERS[name][:3])
        layer.load_state_dict(recorded["state"])
        inputs = [t.requires_grad_() if t.is_floating_point() else t for t in recorded["inputs"]]
        found[name] = run(layer, inputs)
    rustnn.save(found, target)


if __name__ == "__main__":
    main(sys.argv[1])
