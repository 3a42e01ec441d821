"""The transformer: encoder, decoder, their layers, and both together."""

from __future__ import annotations

import copy

from rustnn import _core
from rustnn.nn import functional as F
from rustnn.nn.init import xavier_uniform_
from rustnn.nn.modules.activation import MultiheadAttention
from rustnn.nn.modules.container import ModuleList
from rustnn.nn.modules.dropout import Dropout
from rustnn.nn.modules.linear import Linear
from rustnn.nn.modules.module import Module, _has_any_global_hook
from rustnn.nn.modules.normalization import LayerNorm
from rustnn.nn.parameter import Parameter

__all__ = [
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
]


def _generate_square_subsequent_mask(sz, device=None, dtype=None):
    return _core.triu(_core.full((sz, sz), float("-inf"), dtype=dtype, device=device), diagonal=1)


def _get_activation_fn(activation):
    if activation == "relu":
        return F.relu
    if activation == "gelu":
        return F.gelu
    raise RuntimeError(f"activation should be relu/gelu, not {activation}")


def _get_clones(module, count):
    return ModuleList([copy.deepcopy(module) for _ in range(count)])


def _sequence_length(x, batch_first) -> int:
    return x.size(0) if x.dim() == 2 else x.size(1 if batch_first else 0)


def _is_causal(mask, is_causal, length) -> bool:
    """Whether the mask is the causal one; looked up in the mask itself if nobody says."""
    if is_causal is not None or mask is None:
        return is_causal is True
    causal = _generate_square_subsequent_mask(length, device=mask.device, dtype=mask.dtype)
    return mask.size() == causal.size() and bool((mask == causal).all())


def _activated(linear, activation, x):
    """``activation(linear(x))``, as one op where nobody can see or change what lies between."""
    if activation is F.relu:
        name = "relu"
    elif activation is F.gelu:
        name = "gelu"
    else:
        name = None
    if (
        name is None
        or type(linear) is not Linear
        or type(x) is not _core.Tensor
        or "forward" in linear.__dict__
        or linear._forward_hooks
        or linear._forward_pre_hooks
        or linear._backward_hooks
        or linear._backward_pre_hooks
        or _has_any_global_hook()
        or type(linear._parameters.get("weight")) is not Parameter
    ):
        return activation(linear(x))
    return _core._linear_activation(x, linear.weight, linear.bias, name)


class _TransformerLayer(Module):
    """What both layers share: the feed-forward block, and pickles of old versions."""

    __constants__ = ["norm_first"]

    def __getstate__(self):
        state = super().__getstate__()
        # Native functions do not pickle by their names.
        for name in ("relu", "gelu"):
            if state.get("activation") is getattr(F, name):
                state["activation"] = name
        return state

    def __setstate__(self, state) -> None:
        super().__setstate__(state)
        activation = self.__dict__.setdefault("activation", F.relu)
        if isinstance(activation, str):
            self.__dict__["activation"] = _get_activation_fn(activation)

    def _attend(self, attention, dropout, x, memory, attn_mask, key_padding_mask, is_causal):
        y = attention(
            x,
            memory,
            memory,
            attn_mask=attn_mask,
            key_padding_mask=key_padding_mask,
            need_weights=False,
            is_causal=is_causal,
        )[0]
        return dropout(y)

    def _sa_block(self, x, attn_mask, key_padding_mask, is_causal=False):
        return self._attend(self.self_attn, self.dropout1, x, x, attn_mask, key_padding_mask, is_causal)

    def _feed_forward(self, x):
        return self.linear2(self.dropout(_activated(self.linear1, self.activation, x)))


class TransformerEncoderLayer(_TransformerLayer):
    """Returns a sequence after self-attention and a feed-forward network, each added to its input and normalised.

        x = norm1(x + attention(x));  x = norm2(x + W_2 act(W_1 x)), or the norms inside with norm_first

    Args:
        d_model: length E of the vectors.
        nhead: number of heads; divides E.
        dim_feedforward: inner length of the feed-forward network.
        dropout: probability of zero after each block, in training.
        activation: ``"relu"``, ``"gelu"`` or a function.
        layer_norm_eps: eps of the norms.
        batch_first: sequences are (N, L, E) instead of (L, N, E).
        norm_first: normalise before the blocks, not after.
        bias: whether linear layers and norms have biases.
        device, dtype: of the parameters.
    Shapes: src (L, N, E), src_mask (L, L) or (N · nhead, L, L), src_key_padding_mask (N, L) -> (L, N, E).
    Raises: RuntimeError or AssertionError for sizes that do not fit.
    Source: Vaswani et al. 2017; behaviour of ``torch.nn.TransformerEncoderLayer``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.TransformerEncoderLayer(d_model=8, nhead=2)(rustnn.ones(5, 3, 8)).shape
        torch.Size([5, 3, 8])
    """

    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ) -> None:
        factory = {"device": device, "dtype": dtype}
        super().__init__()
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first, **factory
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **factory)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **factory)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.activation = _get_activation_fn(activation) if isinstance(activation, str) else activation

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        x = src
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), src_mask, src_key_padding_mask, is_causal)
            return x + self._ff_block(self.norm2(x))
        x = self.norm1(x + self._sa_block(x, src_mask, src_key_padding_mask, is_causal))
        return self.norm2(x + self._ff_block(x))

    def _ff_block(self, x):
        return self.dropout2(self._feed_forward(x))


class TransformerDecoderLayer(_TransformerLayer):
    """Returns a sequence after self-attention, attention to a memory, and a feed-forward network.

        x = norm1(x + attention(x));  x = norm2(x + attention(x, memory));  x = norm3(x + W_2 act(W_1 x))

    Args: those of :class:`TransformerEncoderLayer`.
    Shapes: tgt (T, N, E), memory (S, N, E), tgt_mask (T, T), memory_mask (T, S), key padding masks (N, T) and (N, S) ->
        (T, N, E).
    Raises: RuntimeError or AssertionError for sizes that do not fit.
    Source: Vaswani et al. 2017; behaviour of ``torch.nn.TransformerDecoderLayer``.
    Example:
        >>> import rustnn
        >>> layer = rustnn.nn.TransformerDecoderLayer(d_model=8, nhead=2)
        >>> layer(rustnn.ones(5, 3, 8), rustnn.ones(7, 3, 8)).shape
        torch.Size([5, 3, 8])
    """

    def __init__(
        self,
        d_model,
        nhead,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ) -> None:
        factory = {"device": device, "dtype": dtype}
        super().__init__()
        for name in ("self_attn", "multihead_attn"):
            attention = MultiheadAttention(
                d_model, nhead, dropout=dropout, batch_first=batch_first, bias=bias, **factory
            )
            setattr(self, name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, bias=bias, **factory)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias=bias, **factory)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
        self.norm2 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
        self.norm3 = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
        self.dropout1 = Dropout(dropout)
        self.dropout2 = Dropout(dropout)
        self.dropout3 = Dropout(dropout)
        self.activation = _get_activation_fn(activation) if isinstance(activation, str) else activation

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal=False,
        memory_is_causal=False,
    ):
        own = (tgt_mask, tgt_key_padding_mask, tgt_is_causal)
        other = (memory, memory_mask, memory_key_padding_mask, memory_is_causal)
        x = tgt
        if self.norm_first:
            x = x + self._sa_block(self.norm1(x), *own)
            x = x + self._mha_block(self.norm2(x), *other)
            return x + self._ff_block(self.norm3(x))
        x = self.norm1(x + self._sa_block(x, *own))
        x = self.norm2(x + self._mha_block(x, *other))
        return self.norm3(x + self._ff_block(x))

    def _mha_block(self, x, mem, attn_mask, key_padding_mask, is_causal=False):
        return self._attend(self.multihead_attn, self.dropout2, x, mem, attn_mask, key_padding_mask, is_causal)

    def _ff_block(self, x):
        return self.dropout3(self._feed_forward(x))


class TransformerEncoder(Module):
    """Returns a sequence after several encoder layers.

        x = norm(layer_n(… layer_1(x)))

    Args:
        encoder_layer: the layer; copied num_layers times.
        num_layers: how often.
        norm: a last normalisation, or None.
        enable_nested_tensor, mask_check: kept for PyTorch's signature; padding is masked, never cut out.
    Shapes: as :class:`TransformerEncoderLayer`.
    Source: behaviour of ``torch.nn.TransformerEncoder``.
    Example:
        >>> from rustnn import nn, ones
        >>> encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), num_layers=2)
        >>> encoder(ones(5, 3, 8)).shape
        torch.Size([5, 3, 8])
    """

    __constants__ = ["norm"]

    def __init__(self, encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True) -> None:
        super().__init__()
        self.layers = _get_clones(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm
        self.enable_nested_tensor = enable_nested_tensor
        self.use_nested_tensor = False
        self.mask_check = mask_check

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
        # Once here, not again in each layer.
        src_key_padding_mask = F._as_additive_mask(src_key_padding_mask, "src_key_padding_mask", src.dtype)
        mask = F._as_additive_mask(mask, "mask", src.dtype)
        length = _sequence_length(src, self.layers[0].self_attn.batch_first)
        is_causal = _is_causal(mask, is_causal, length)
        output = src
        for layer in self.layers:
            output = layer(output, src_mask=mask, is_causal=is_causal, src_key_padding_mask=src_key_padding_mask)
        return output if self.norm is None else self.norm(output)


class TransformerDecoder(Module):
    """Returns a sequence after several decoder layers.

        x = norm(layer_n(… layer_1(x, memory), memory))

    Args:
        decoder_layer: the layer; copied num_layers times.
        num_layers: how often.
        norm: a last normalisation, or None.
    Shapes: as :class:`TransformerDecoderLayer`.
    Source: behaviour of ``torch.nn.TransformerDecoder``.
    Example:
        >>> from rustnn import nn, ones
        >>> decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2), num_layers=2)
        >>> decoder(ones(5, 3, 8), ones(7, 3, 8)).shape
        torch.Size([5, 3, 8])
    """

    __constants__ = ["norm"]

    def __init__(self, decoder_layer, num_layers, norm=None) -> None:
        super().__init__()
        self.layers = _get_clones(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt,
        memory,
        tgt_mask=None,
        memory_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        tgt_is_causal=None,
        memory_is_causal=False,
    ):
        length = _sequence_length(tgt, self.layers[0].self_attn.batch_first)
        tgt_is_causal = _is_causal(tgt_mask, tgt_is_causal, length)
        output = tgt
        for layer in self.layers:
            output = layer(
                output,
                memory,
                tgt_mask=tgt_mask,
                memory_mask=memory_mask,
                tgt_key_padding_mask=tgt_key_padding_mask,
                memory_key_padding_mask=memory_key_padding_mask,
                tgt_is_causal=tgt_is_causal,
                memory_is_causal=memory_is_causal,
            )
        return output if self.norm is None else self.norm(output)


class Transformer(Module):
    """Returns the decoder's output on a target sequence, given the encoder's on a source sequence.

        y = decoder(tgt, encoder(src))

    Args:
        num_encoder_layers, num_decoder_layers: numbers of layers.
        custom_encoder, custom_decoder: modules to use instead.
        d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias, device,
        dtype:
            as for :class:`TransformerEncoderLayer`.
    Shapes: src (S, N, E), tgt (T, N, E), masks as for the layers -> (T, N, E).
    Raises: RuntimeError if batch sizes differ or the last size is not E.
    Source: Vaswani et al. 2017; behaviour of ``torch.nn.Transformer``.
    Example:
        >>> from rustnn import nn, ones
        >>> net = nn.Transformer(8, 2, num_encoder_layers=1, num_decoder_layers=1, dim_feedforward=16)
        >>> net(ones(5, 3, 8), ones(7, 3, 8)).shape
        torch.Size([7, 3, 8])
    """

    def __init__(
        self,
        d_model=512,
        nhead=8,
        num_encoder_layers=6,
        num_decoder_layers=6,
        dim_feedforward=2048,
        dropout=0.1,
        activation=F.relu,
        custom_encoder=None,
        custom_decoder=None,
        layer_norm_eps=1e-5,
        batch_first=False,
        norm_first=False,
        bias=True,
        device=None,
        dtype=None,
    ) -> None:
        factory = {"device": device, "dtype": dtype}
        super().__init__()
        options = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first, bias)
        if custom_encoder is None:
            layer = TransformerEncoderLayer(*options, **factory)
            norm = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
            custom_encoder = TransformerEncoder(layer, num_encoder_layers, norm)
        self.encoder = custom_encoder
        if custom_decoder is None:
            layer = TransformerDecoderLayer(*options, **factory)
            norm = LayerNorm(d_model, eps=layer_norm_eps, bias=bias, **factory)
            custom_decoder = TransformerDecoder(layer, num_decoder_layers, norm)
        self.decoder = custom_decoder
        self._reset_parameters()
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(
        self,
        src,
        tgt,
        src_mask=None,
        tgt_mask=None,
        memory_mask=None,
        src_key_padding_mask=None,
        tgt_key_padding_mask=None,
        memory_key_padding_mask=None,
        src_is_causal=None,
        tgt_is_causal=None,
        memory_is_causal=False,
    ):
        batch_dim = 0 if self.batch_first else 1
        if src.dim() == 3 and src.size(batch_dim) != tgt.size(batch_dim):
            raise RuntimeError("the batch number of src and tgt must be equal")
        if src.size(-1) != self.d_model or tgt.size(-1) != self.d_model:
            raise RuntimeError("the feature number of src and tgt must be equal to d_model")
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask, is_causal=src_is_causal)
        return self.decoder(
            tgt,
            memory,
            tgt_mask=tgt_mask,
            memory_mask=memory_mask,
            tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
            tgt_is_causal=tgt_is_causal,
            memory_is_causal=memory_is_causal,
        )

    @staticmethod
    def generate_square_subsequent_mask(sz, device=None, dtype=None):
        """The causal mask: zeros, and minus infinity above the diagonal.

        Example:
            >>> from rustnn import nn
            >>> nn.Transformer.generate_square_subsequent_mask(2).tolist()
            [[0.0, -inf], [0.0, 0.0]]
        """
        return _generate_square_subsequent_mask(sz, device=device, dtype=dtype)

    def _reset_parameters(self) -> None:
        for parameter in self.parameters():
            if parameter.dim() > 1:
                xavier_uniform_(parameter)
