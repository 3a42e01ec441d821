"""Writes tests/golden/rust/: what the Rust crate is compared with, from PyTorch and from the Python package.

Run with an interpreter that has both: python tests/golden/record_rust.py

- layers.pt, by PyTorch: state dict, inputs, output and the gradient of the first input of each layer.
- optimizers.pt, by PyTorch: an optimizer's state after three steps, and the parameter after the fourth.
- initial.pt, by the Python package: the state dict that each layer starts with after `manual_seed(3)`.

digits.pt beside them is written by record_rust_digits.py.
"""

from pathlib import Path

import torch
from torch import nn

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


def drawn(spec):
    if isinstance(spec, int):
        return torch.randint(spec, (2, 5))
    if isinstance(spec[1], tuple):
        return torch.randint(spec[0], spec[1])
    return torch.randn(spec, requires_grad=True)


def record_layer(maker, arguments, options, shapes):
    torch.manual_seed(0)
    layer = make(nn, maker, arguments, options)
    with torch.no_grad():
        for value in layer.parameters():  # ones and zeros would hide mistakes
            value += 0.1 * torch.rand_like(value)
    state = {key: value.clone() for key, value in layer.state_dict().items()}
    inputs = [drawn(spec) for spec in shapes]
    output = layer(*inputs)
    output = output[0] if isinstance(output, tuple) else output
    output.square().sum().backward()
    gradient = inputs[0].grad if inputs[0].is_floating_point() else layer.weight.grad
    after = layer.state_dict()
    inputs = [value.detach() for value in inputs]
    return {"state": state, "inputs": inputs, "output": output.detach(), "gradient": gradient, "after": after}


def record_optimizer(name, options):
    weight = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    optimizer = getattr(torch.optim, name)([weight], **options)
    for step in range(4):
        if step == 3:
            start, state = weight.detach().clone(), optimizer.state_dict()
            state = {"state": {k: {n: v.clone() for n, v in s.items()} for k, s in state["state"].items()}} | {
                "param_groups": state["param_groups"]
            }
        optimizer.zero_grad()
        (weight.pow(3) - weight).sum().backward()
        optimizer.step()
    return {"weight": start, "state": state, "after": weight.detach()}


def initial(maker, arguments, options):
    rustnn.manual_seed(3)
    return make(rustnn.nn, maker, arguments, options).state_dict()


def main():
    FOLDER.mkdir(exist_ok=True)
    torch.save({key: record_layer(*layer) for key, layer in LAYERS.items()}, FOLDER / "layers.pt")
    optimizers = {
        "sgd": record_optimizer("SGD", {"lr": 0.01, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
        "adam": record_optimizer("Adam", {"lr": 0.1, "amsgrad": True}),
        "adamw": record_optimizer("AdamW", {"lr": 0.1, "weight_decay": 0.5}),
    }
    torch.save(optimizers, FOLDER / "optimizers.pt")
    rustnn.save({key: initial(*layer[:3]) for key, layer in LAYERS.items()}, FOLDER / "initial.pt")
    for path in sorted(FOLDER.iterdir()):
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
