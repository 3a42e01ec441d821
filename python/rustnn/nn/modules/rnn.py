"""Recurrent layers over sequences (RNN, LSTM, GRU) and their single-step cells."""

from __future__ import annotations

import math
import warnings

from rustnn import _core
from rustnn.nn import _composed, init
from rustnn.nn.modules.module import Module
from rustnn.nn.parameter import Parameter
from rustnn.nn.utils.rnn import PackedSequence

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

# Blocks of hidden_size rows in the weights: the gates.
_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class RNNBase(Module):
    """What RNN, LSTM and GRU share: checks, the weights of all layers and directions, sequences packed or padded.

    Args: those of :class:`LSTM`, after ``mode``: ``"LSTM"``, ``"GRU"``, ``"RNN_TANH"`` or ``"RNN_RELU"``.
    Source: behaviour of ``torch.nn.RNNBase``.
    Example:
        >>> from rustnn import nn
        >>> isinstance(nn.GRU(2, 3), nn.RNNBase)
        True
    """

    __constants__ = [
        "mode",
        "input_size",
        "hidden_size",
        "num_layers",
        "bias",
        "batch_first",
        "dropout",
        "bidirectional",
        "proj_size",
    ]

    def __init__(
        self,
        mode,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        proj_size=0,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(
                "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
            )
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}",
                stacklevel=3,
            )
        for name, value, kind in (
            ("bias", bias, bool),
            ("batch_first", batch_first, bool),
            ("input_size", input_size, int),
            ("hidden_size", hidden_size, int),
        ):
            if not isinstance(value, kind):
                raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__}")
        for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if value <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if proj_size < 0:
            raise ValueError("proj_size should be a positive integer or zero to disable projections")
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)

        rows = _GATES[mode] * hidden_size
        width = proj_size or hidden_size
        directions = 2 if bidirectional else 1
        # The names in the order in which the native functions take the weights.
        self._all_weights = []
        for layer in range(num_layers):
            for suffix in ("", "_reverse")[:directions]:
                inputs = input_size if layer == 0 else width * directions
                shapes = {f"weight_ih_l{layer}{suffix}": (rows, inputs), f"weight_hh_l{layer}{suffix}": (rows, width)}
                if bias:
                    shapes[f"bias_ih_l{layer}{suffix}"] = (rows,)
                    shapes[f"bias_hh_l{layer}{suffix}"] = (rows,)
                if proj_size:
                    shapes[f"weight_hr_l{layer}{suffix}"] = (proj_size, hidden_size)
                for name, shape in shapes.items():
                    setattr(self, name, Parameter(_core.empty(shape, device=device, dtype=dtype)))
                self._all_weights.append(list(shapes))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new starting values: uniform in ±1/√hidden_size."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    @property
    def _flat_weights_names(self):
        return [name for names in self._all_weights for name in names]

    @property
    def _flat_weights(self):
        return [getattr(self, name) for name in self._flat_weights_names]

    @property
    def all_weights(self):
        """The weights, one list per layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self) -> None:
        """Does nothing: weights need not lie in one block here. Kept for PyTorch's programs."""

    def check_input(self, input, batch_sizes) -> None:
        """Raise if the input's dtype, rank or last size does not fit."""
        dtype = getattr(self, self._all_weights[0][0]).dtype
        if input.dtype != dtype and not getattr(_core, "is_autocast_enabled", bool)():
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({dtype}). Convert input: "
                f"input.to({dtype}), or convert model: model.to({input.dtype})"
            )
        rank = 2 if batch_sizes is not None else 3
        if input.dim() != rank:
            raise RuntimeError(f"input must have {rank} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.size(-1)}"
            )

    def get_expected_hidden_size(self, input, batch_sizes):
        """The shape that the hidden state must have for this input."""
        return self._state_size(input, batch_sizes, self.proj_size or self.hidden_size)

    def _state_size(self, input, batch_sizes, width):
        if batch_sizes is not None:
            batch = int(batch_sizes[0])
        else:
            batch = input.size(0 if self.batch_first else 1)
        return (self.num_layers * (2 if self.bidirectional else 1), batch, width)

    def check_hidden_size(self, hx, expected_hidden_size, msg="Expected hidden size {}, got {}") -> None:
        """Raise if the hidden state has another shape."""
        if tuple(hx.size()) != tuple(expected_hidden_size):
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    def check_forward_args(self, input, hidden, batch_sizes) -> None:
        """Raise if the input or the hidden state does not fit."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx, permutation):
        """The hidden state with its samples in another order."""
        return hx if permutation is None else hx.index_select(1, permutation)

    # Three steps that the LSTM, whose state has two parts, does in its own way.

    def _new_state(self, input, batch_sizes):
        size = self.get_expected_hidden_size(input, batch_sizes)
        return _core.zeros(size, dtype=input.dtype, device=input.device)

    def _batched_state(self, hx, batched):
        if hx.dim() != (3 if batched else 2):
            kind, rank = ("batched 3-D", 3) if batched else ("unbatched 2-D", 2)
            raise RuntimeError(f"For {kind} input, hx should also be {rank}-D but got {hx.dim()}-D tensor")
        return hx if batched else hx.unsqueeze(1)

    def _run(self, *args):
        output, hidden = getattr(_composed, self.mode.lower())(*args)
        return output, hidden

    def _first_sample(self, hidden):
        return hidden.squeeze(1)

    def forward(self, input, hx=None):
        packed = isinstance(input, PackedSequence)
        batch_sizes = sorted_indices = unsorted_indices = None
        batched = True
        if packed:
            input, batch_sizes, sorted_indices, unsorted_indices = input
        else:
            if input.dim() not in (2, 3):
                name = type(self).__name__ if self.mode in ("LSTM", "GRU") else "RNN"
                what = "D tensor" if name == "RNN" else "D"
                raise ValueError(f"{name}: Expected input to be 2D or 3D, got {input.dim()}{what} instead")
            batched = input.dim() == 3
            if not batched:
                input = input.unsqueeze(0 if self.batch_first else 1)
            if hx is not None:
                hx = self._batched_state(hx, batched)
        if hx is None:
            hx = self._new_state(input, batch_sizes)
        else:
            hx = self.permute_hidden(hx, sorted_indices)
        self.check_forward_args(input, hx, batch_sizes)

        options = (self._flat_weights, self.bias, self.num_layers, self.dropout, self.training, self.bidirectional)
        if packed:
            output, hidden = self._run(input, batch_sizes, hx, *options)
            output = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
            return output, self.permute_hidden(hidden, unsorted_indices)
        output, hidden = self._run(input, hx, *options, self.batch_first)
        if not batched:
            output = output.squeeze(0 if self.batch_first else 1)
            hidden = self._first_sample(hidden)
        return output, hidden

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        for name, default in (
            ("proj_size", 0),
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0),
            ("bidirectional", False),
        ):
            value = getattr(self, name)
            if value != default:
                text += f", {name}={value}"
        return text

    def __getstate__(self):
        # PyTorch's own classes keep the weights in a list too, and miss it in a pickle that lacks it.
        return {**self.__dict__, "_flat_weights_names": self._flat_weights_names, "_flat_weights": self._flat_weights}

    def __setstate__(self, state) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("proj_size", 0)
        # What PyTorch's pickles have besides: lists of the weights themselves, which here are looked up.
        for name in ("_flat_weights", "_flat_weights_names", "_flat_weight_refs"):
            self.__dict__.pop(name, None)


class RNN(RNNBase):
    """Returns the states of an Elman network over a sequence.

        h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or relu

    Args:
        input_size, hidden_size, num_layers: sizes, and number of layers on top of each other.
        nonlinearity: ``tanh`` or ``relu``.
        bias, batch_first, dropout, bidirectional, device, dtype: as for :class:`LSTM`.
    Shapes: input (L, N, input_size), (N, L, input_size) with batch_first, (L, input_size), or packed; state (layers ·
        directions, N, hidden_size) -> output (L, N, directions · hidden_size) and the last state.
    Raises: ValueError or RuntimeError for sizes that do not fit.
    Source: Elman 1990; behaviour of ``torch.nn.RNN``.
    Example:
        >>> import rustnn
        >>> output, state = rustnn.nn.RNN(10, 20, 2)(rustnn.ones(5, 3, 10))
        >>> output.shape, state.shape
        (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args, **kwargs) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        # PyTorch's position: after num_layers.
        if len(args) > 3:
            nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__("RNN_" + nonlinearity.upper(), *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Returns the states of a long short-term memory over a sequence.

        i = sigmoid(W_ii x + b_ii + W_hi h + b_hi);  f, o likewise;  g = tanh(W_ig x + b_ig + W_hg h + b_hg)
        c' = f c + i g;  h' = o tanh(c'), times W_hr with proj_size

    Args:
        input_size: length of an input vector.
        hidden_size: length of the state.
        num_layers: number of layers on top of each other.
        bias: whether to add b_ih and b_hh.
        batch_first: inputs and outputs are (N, L, …) instead of (L, N, …).
        dropout: probability of zero between layers, in training.
        bidirectional: run a second network backwards and join both outputs.
        proj_size: length of a projected output, below hidden_size; 0 for none.
        device, dtype: of the weights.
    Shapes: input (L, N, input_size), (N, L, input_size) with batch_first, (L, input_size), or packed; states h (layers
        · directions, N, proj_size or hidden_size) and c (…, hidden_size) -> output (L, N, directions · (proj_size or
        hidden_size)) and (h, c). Weights start uniform in ±1/√hidden_size.
    Raises: ValueError or RuntimeError for sizes that do not fit.
    Source: Hochreiter & Schmidhuber 1997; behaviour of ``torch.nn.LSTM``.
    Example:
        >>> import rustnn
        >>> output, (h, c) = rustnn.nn.LSTM(10, 20, 2)(rustnn.ones(5, 3, 10))
        >>> output.shape, h.shape, c.shape
        (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(self, input, batch_sizes):
        """The shape that the cell state must have for this input."""
        return self._state_size(input, batch_sizes, self.hidden_size)

    def check_forward_args(self, input, hidden, batch_sizes) -> None:
        self.check_input(input, batch_sizes)
        expected = self.get_expected_hidden_size(input, batch_sizes), self.get_expected_cell_size(input, batch_sizes)
        for part in (0, 1):
            self.check_hidden_size(hidden[part], expected[part], f"Expected hidden[{part}] size {{}}, got {{}}")

    def permute_hidden(self, hx, permutation):
        if permutation is None:
            return hx
        return hx[0].index_select(1, permutation), hx[1].index_select(1, permutation)

    def _new_state(self, input, batch_sizes):
        sizes = self.get_expected_hidden_size(input, batch_sizes), self.get_expected_cell_size(input, batch_sizes)
        return tuple(_core.zeros(size, dtype=input.dtype, device=input.device) for size in sizes)

    def _batched_state(self, hx, batched):
        if any(part.dim() != (3 if batched else 2) for part in hx):
            kind, rank = ("batched 3-D", 3) if batched else ("unbatched 2-D", 2)
            raise RuntimeError(
                f"For {kind} input, hx and cx should also be {rank}-D but got ({hx[0].dim()}-D, {hx[1].dim()}-D) "
                "tensors"
            )
        return hx if batched else (hx[0].unsqueeze(1), hx[1].unsqueeze(1))

    def _run(self, *args):
        output, hidden, cell = _composed.lstm(*args)
        return output, (hidden, cell)

    def _first_sample(self, hidden):
        return hidden[0].squeeze(1), hidden[1].squeeze(1)


class GRU(RNNBase):
    """Returns the states of a gated recurrent unit over a sequence.

        r = sigmoid(W_ir x + b_ir + W_hr h + b_hr);  z likewise;  n = tanh(W_in x + b_in + r (W_hn h + b_hn))
        h' = (1 - z) n + z h

    Args: those of :class:`LSTM` without proj_size.
    Shapes: input (L, N, input_size), (N, L, input_size) with batch_first, (L, input_size), or packed; state (layers ·
        directions, N, hidden_size) -> output (L, N, directions · hidden_size) and the last state.
    Raises: ValueError or RuntimeError for sizes that do not fit.
    Source: Cho et al. 2014; behaviour of ``torch.nn.GRU``.
    Example:
        >>> import rustnn
        >>> output, state = rustnn.nn.GRU(10, 20, 2)(rustnn.ones(5, 3, 10))
        >>> output.shape, state.shape
        (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(self, *args, **kwargs) -> None:
        if "proj_size" in kwargs:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        super().__init__("GRU", *args, **kwargs)


class RNNCellBase(Module):
    """What the cells share: weights for one step, checks, text.

    Args:
        input_size, hidden_size, bias: as for :class:`LSTM`.
        num_chunks: number of gates.
    Source: behaviour of ``torch.nn.RNNCellBase``.
    Example:
        >>> from rustnn import nn
        >>> nn.RNNCellBase(2, 3, True, num_chunks=4).weight_ih.shape
        torch.Size([12, 2])
    """

    __constants__ = ["input_size", "hidden_size", "bias"]

    def __init__(self, input_size, hidden_size, bias, num_chunks, device=None, dtype=None) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = Parameter(_core.empty((rows, input_size), device=device, dtype=dtype))
        self.weight_hh = Parameter(_core.empty((rows, hidden_size), device=device, dtype=dtype))
        for name in ("bias_ih", "bias_hh"):
            value = Parameter(_core.empty(rows, device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw new starting values: uniform in ±1/√hidden_size."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def _check_rank(self, value, name) -> None:
        if value.dim() not in (1, 2):
            raise ValueError(f"{type(self).__name__}: Expected {name} to be 1D or 2D, got {value.dim()}D instead")

    def _check_sizes(self, input, *states) -> None:
        if input.size(1) != self.input_size:
            raise RuntimeError(f"input has inconsistent input_size: got {input.size(1)} expected {self.input_size}")
        for number, state in enumerate(states):
            name = f"hidden{number}"
            if state.size(0) != input.size(0):
                raise RuntimeError(f"Input batch size {input.size(0)} doesn't match {name} batch size {state.size(0)}")
            if state.size(1) != self.hidden_size:
                raise RuntimeError(
                    f"{name} has inconsistent hidden_size: got {state.size(1)}, expected {self.hidden_size}"
                )

    def _step(self, function, input, hx):
        """One step of a cell whose state is one tensor."""
        self._check_rank(input, "input")
        if hx is not None:
            self._check_rank(hx, "hidden")
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
        if hx is None:
            hx = _core.zeros(input.size(0), self.hidden_size, dtype=input.dtype, device=input.device)
        elif not batched:
            hx = hx.unsqueeze(0)
        self._check_sizes(input, hx)
        result = function(input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return result if batched else result.squeeze(0)


class RNNCell(RNNCellBase):
    """Returns the next state of an Elman network.

        h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu

    Args:
        input_size, hidden_size, bias, device, dtype: as for :class:`LSTM`.
        nonlinearity: ``tanh`` or ``relu``.
    Shapes: (N, input_size) or (input_size), state (N, hidden_size) or (hidden_size), zeros by default -> state.
    Raises: ValueError for another rank; RuntimeError for an unknown nonlinearity or sizes that do not fit.
    Source: Elman 1990; behaviour of ``torch.nn.RNNCell``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.RNNCell(10, 20)(rustnn.ones(3, 10)).shape
        torch.Size([3, 20])
    """

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=1, device=device, dtype=dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input, hx=None):
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._step(getattr(_composed, f"rnn_{self.nonlinearity}_cell"), input, hx)


class LSTMCell(RNNCellBase):
    """Returns the next states of a long short-term memory; the formula is that of :class:`LSTM`.

        c' = f c + i g;  h' = o tanh(c')

    Args:
        input_size, hidden_size, bias, device, dtype: as for :class:`LSTM`.
    Shapes: (N, input_size) or (input_size), states (h, c) of (N, hidden_size) or (hidden_size), zeros by default ->
        (h, c).
    Raises: ValueError for another rank; RuntimeError for sizes that do not fit.
    Source: Hochreiter & Schmidhuber 1997; behaviour of ``torch.nn.LSTMCell``.
    Example:
        >>> import rustnn
        >>> h, c = rustnn.nn.LSTMCell(10, 20)(rustnn.ones(3, 10))
        >>> h.shape, c.shape
        (torch.Size([3, 20]), torch.Size([3, 20]))
    """

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=4, device=device, dtype=dtype)

    def forward(self, input, hx=None):
        self._check_rank(input, "input")
        if isinstance(hx, _core.Tensor):
            raise TypeError("lstm_cell(): argument 'hx' (position 2) must be tuple of Tensors, not Tensor")
        for position, part in enumerate(hx or ()):
            self._check_rank(part, f"hx[{position}]")
        batched = input.dim() == 2
        if not batched:
            input = input.unsqueeze(0)
        if hx is None:
            zeros = _core.zeros(input.size(0), self.hidden_size, dtype=input.dtype, device=input.device)
            hx = (zeros, zeros)
        elif not batched:
            hx = (hx[0].unsqueeze(0), hx[1].unsqueeze(0))
        self._check_sizes(input, *hx)
        h, c = _composed.lstm_cell(input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return (h, c) if batched else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    """Returns the next state of a gated recurrent unit; the formula is that of :class:`GRU`.

        h' = (1 - z) n + z h

    Args:
        input_size, hidden_size, bias, device, dtype: as for :class:`LSTM`.
    Shapes: (N, input_size) or (input_size), state (N, hidden_size) or (hidden_size), zeros by default -> state.
    Raises: ValueError for another rank; RuntimeError for sizes that do not fit.
    Source: Cho et al. 2014; behaviour of ``torch.nn.GRUCell``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.GRUCell(10, 20)(rustnn.ones(3, 10)).shape
        torch.Size([3, 20])
    """

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=3, device=device, dtype=dtype)

    def forward(self, input, hx=None):
        return self._step(_composed.gru_cell, input, hx)
