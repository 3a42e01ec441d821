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

# Name -> (class, arguments, shapes of the inputs); integers are numbers of classes of a table's indices.
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
    "prelu": ("PReLU", (3,), {}, [(2, 3, 4)]),
    "rnn": ("RNN", (3, 4), {"nonlinearity": "relu", "num_layers": 2}, [(5, 2, 3)]),
    "gru": ("GRU", (3, 4), {"batch_first": True, "bidirectional": True}, [(2, 5, 3)]),
    "lstm": ("LSTM", (3, 4), {"num_layers": 2, "bidirectional": True}, [(5, 2, 3)]),
    "lstm_projected": ("LSTM", (3, 4), {"proj_size": 2}, [(5, 3)]),
    "rnn_cell": ("RNNCell", (3, 4), {}, [(2, 3)]),
    "gru_cell": ("GRUCell", (3, 4), {}, [(2, 3)]),
    "lstm_cell": ("LSTMCell", (3, 4), {}, [(2, 3)]),
    "embedding_bag": ("EmbeddingBag", (7, 3), {"mode": "max"}, [7]),
    "attention": ("MultiheadAttention", (8, 2), {"batch_first": True}, [(2, 5, 8), (2, 3, 8), (2, 3, 8)]),
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


def record_layer(name, arguments, options, shapes):
    torch.manual_seed(0)
    layer = getattr(nn, name)(*arguments, **options)
    with torch.no_grad():
        for value in layer.parameters():  # ones and zeros would hide mistakes
            value += 0.1 * torch.rand_like(value)
    state = {key: value.clone() for key, value in layer.state_dict().items()}
    inputs = [torch.randint(s, (2, 5)) if isinstance(s, int) else torch.randn(s, requires_grad=True) for s in shapes]
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


def initial(name, arguments, options):
    rustnn.manual_seed(3)
    return getattr(rustnn.nn, name)(*arguments, **options).state_dict()


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
