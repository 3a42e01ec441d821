"""Writes tests/golden/rust/: what the Rust crate is compared with, from PyTorch and from the Python package.

Run with an interpreter that has both: python tests/golden/record_rust.py

- layers.pt, by PyTorch: state dict, inputs, output, the gradient of the first input and the state afterwards of each
  layer of rust_layers.py; the gradient once more as float64 gives it.
- optimizers.pt, by PyTorch: an optimizer's state after three steps, and the parameter after the fourth.
- initial.pt, by the Python package: the state dict that each layer starts with after `manual_seed(3)`.

digits.pt beside them is written by record_rust_digits.py.
"""

import copy

import torch
from rust_layers import FOLDER, LAYERS, make, run
from torch import nn

import rustnn


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
    exactly = copy.deepcopy(layer).double()
    exact = run(exactly, [t.detach().double().requires_grad_() if t.is_floating_point() else t for t in inputs])
    recorded = {"state": state, "inputs": [t.detach() for t in inputs]} | run(layer, inputs)
    return recorded | {"exact": {"gradient": exact["gradient"]}}


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
