"""Modules that the tests of export record, each with example inputs; `tests/golden/record_programs.py` saves some."""

from __future__ import annotations

import rustnn
import rustnn.nn.functional as F
from rustnn import nn


def mlp():
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 2), nn.Softmax(-1))
    return net, (rustnn.randn(3, 4),)


class CNN(nn.Module):
    """Convolutions, batch norm, both pools, dropout, and a view by the batch's size."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 6, 3, stride=2, groups=2, bias=False)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6 * 2 * 2, 5)

    def forward(self, images):
        x = F.max_pool2d(self.norm(self.first(images)).relu(), 2)
        x = F.adaptive_avg_pool2d(F.leaky_relu_(self.second(x)), 2)
        return self.head(self.drop(x.view(images.shape[0], -1)))


def cnn():
    net = CNN()
    with rustnn.no_grad():
        net(rustnn.randn(8, 1, 12, 12))  # moves the running statistics off their start
    return net.eval(), (rustnn.randn(3, 1, 12, 12),)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        batch, length, width = x.size()
        q, k, v = self.qkv(self.norm(x)).split(width, dim=2)
        q, k, v = (t.view(batch, length, self.heads, width // self.heads).transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).contiguous().view(batch, length, width))
        return x + self.mlp(self.after(x))


class GPT(nn.Module):
    """Embeddings of tokens and positions, causal attention, and a head tied to the embedding."""

    def __init__(self, vocabulary=11, width=8, heads=2, layers=2, context=16):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens, targets=None):
        at = rustnn.arange(tokens.shape[1], device=tokens.device)
        x = self.tokens(tokens) + self.positions(at)
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1))


def gpt():
    return GPT(), (rustnn.randint(0, 11, (3, 7)),)


def gpt_loss():
    return GPT(), (rustnn.randint(0, 11, (3, 7)), rustnn.randint(0, 11, (3, 7)))


class Masked(nn.Module):
    """A hand-written causal mask, in a buffer that no state dict holds, cut to the length."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.register_buffer("mask", rustnn.ones(16, 16).triu(1).bool(), persistent=False)

    def forward(self, x):
        length = x.shape[1]
        return self.attention(x, x, x, attn_mask=self.mask[:length, :length], need_weights=False)[0]


def masked():
    return Masked().eval(), (rustnn.randn(3, 5, 8),)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 6, num_layers=2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(12, 2)

    def forward(self, x):
        y, (h, c) = self.rnn(x)
        return {"last": self.head(y[:, -1]), "state": (h, c)}


def lstm():
    return Recurrent(), (rustnn.randn(3, 5, 3),)


def encoder():
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False).eval(), (rustnn.randn(3, 5, 8),)


class Writes(nn.Module):
    """In-place ops, views that are written through, several outputs, tensors made on the way."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(rustnn.tensor([2.0, 3.0, 4.0]))
        self.table = rustnn.arange(3.0)

    def forward(self, x):
        y = x.clone()
        y[:, 0] = 1.0
        y[:, 1] += x[:, 2]
        y *= self.scale
        y.add_(self.table).clamp_(-2, 50)
        low, high = y.aminmax(dim=1)
        filled = rustnn.zeros(x.shape[0], 2)
        filled[..., 0].copy_(low)
        filled[:, 1:] = high[:, None]
        top = y.topk(2, dim=1)
        counter = rustnn.tensor(0.0)
        for column in y.unbind(1):
            counter += column.sum()
        order = x.argsort(dim=1)
        return filled, top.values, x.gather(1, order), 1 - counter, x[order[:, 0] >= 0], y[[0, 1], [1, 2]]


def writes():
    return Writes(), (rustnn.randn(4, 3),)


class Decoder(nn.Module):
    """A mean of rows, integers from sizes, and a part under no_grad."""

    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose1d(2, 3, 4, stride=2, padding=1)
        self.norm = nn.GroupNorm(1, 3)

    def forward(self, x):
        batch, _, length = x.shape
        y = self.norm(self.up(x)).reshape(batch * 3, length * 2)
        with rustnn.no_grad():
            offset = y.mean() * 2
        return (y - offset).view(batch, 3, 2 * length).sum(0) / batch, y.new_full((batch + 1, 2), 7)


def decoder():
    return Decoder(), (rustnn.randn(3, 2, 4),)


class Steps(nn.Module):
    """Branches on a size and divides it, drops in training mode, and gives a weight away."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        length = x.shape[1]
        x = x[:, -32:] if length > 32 else x
        pairs = x[:, : length // 2 * 2].reshape(len(x), length // 2, 2)
        return self.drop(self.linear(pairs)), self.linear.bias


def steps():
    return Steps(), (rustnn.randn(3, 8),)


STEPS_SIZES = {"x": {0: "batch", 1: "length"}}

ALL = {each.__name__: each for each in (mlp, cnn, gpt, gpt_loss, masked, lstm, encoder, writes, decoder)}
