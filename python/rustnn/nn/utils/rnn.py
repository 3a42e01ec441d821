"""Sequences of different lengths, padded to a block or packed without gaps."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable

from rustnn import _core

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(namedtuple("PackedSequence_", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"])):
    """Sequences laid step by step into one tensor: all first elements, then all second ones, and so on.

    Made by :func:`pack_sequence` and :func:`pack_padded_sequence`; taken by the recurrent layers.

    Args:
        data: the elements, (sum of lengths, *).
        batch_sizes: how many sequences still run at each step, int64 on the CPU.
        sorted_indices: the order in which the sequences were packed, longest first.
        unsorted_indices: its inverse.
    Raises: ValueError for batch_sizes that are not on the CPU.
    Source: behaviour of ``torch.nn.utils.rnn.PackedSequence``.
    Example:
        >>> import rustnn
        >>> from rustnn.nn.utils.rnn import pack_sequence
        >>> packed = pack_sequence([rustnn.tensor([1, 2, 3]), rustnn.tensor([4, 5])])
        >>> packed.data.tolist(), packed.batch_sizes.tolist()
        ([1, 4, 2, 5, 3], [2, 2, 1])
    """

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes is None:
            # The old form: PackedSequence((data, batch_sizes)).
            if not isinstance(data, (list, tuple)) or len(data) != 2:
                raise AssertionError("expected data to be a pair of data and batch_sizes when batch_sizes is None")
            data, batch_sizes = data
        elif batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be created manually. "
                "They should be instantiated by functions like pack_sequence and pack_padded_sequences in "
                "nn.utils.rnn. https://pytorch.org/docs/stable/nn.html#torch.nn.utils.rnn.pack_sequence"
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args, **kwargs):
        """The same sequences with data (and orders) on another device or in another dtype."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        orders = (None if order is None else order.to(data.device) for order in self[2:])
        return type(self)(data, self.batch_sizes, *orders)

    def cpu(self):
        """The same sequences on the CPU."""
        return self.to("cpu")

    def cuda(self, *args, **kwargs):
        """The same sequences on a CUDA device."""
        return self.to(*args, **kwargs) if args or "device" in kwargs else self.to("cuda", **kwargs)

    def double(self):
        """The same sequences in float64."""
        return self.to(_core.float64)

    def float(self):
        """The same sequences in float32."""
        return self.to(_core.float32)

    def half(self):
        """The same sequences in float16."""
        return self.to(_core.float16)

    def long(self):
        """The same sequences in int64."""
        return self.to(_core.int64)

    def int(self):
        """The same sequences in int32."""
        return self.to(_core.int32)

    def short(self):
        """The same sequences in int16."""
        return self.to(_core.int16)

    def char(self):
        """The same sequences in int8."""
        return self.to(_core.int8)

    def byte(self):
        """The same sequences in uint8."""
        return self.to(_core.uint8)

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a CUDA device."""
        return self.data.is_cuda

    def is_pinned(self) -> bool:
        """Whether the data is in pinned memory."""
        return self.data.is_pinned()

    def pin_memory(self):
        """The same sequences in pinned memory."""
        orders = (None if order is None else order.pin_memory() for order in self[2:])
        return type(self)(self.data.pin_memory(), self.batch_sizes, *orders)


def invert_permutation(permutation):
    """The permutation that undoes ``permutation``; None for None.

    Example:
        >>> import rustnn
        >>> rustnn.nn.utils.rnn.invert_permutation(rustnn.tensor([2, 0, 1])).tolist()
        [1, 2, 0]
    """
    if permutation is None:
        return None
    return _core.empty_like(permutation).scatter_(
        0, permutation, _core.arange(permutation.numel(), device=permutation.device)
    )


def _rows_of_packed(batch_sizes, batch):
    """The rows, in a block of (steps · batch), of the packed elements in their order."""
    rows = [step * batch + sample for step, size in enumerate(batch_sizes) for sample in range(size)]
    return _core.tensor(rows, dtype=_core.int64)


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """Pack a block of padded sequences.

    Args:
        input: (T, N, *), or (N, T, *) with batch_first.
        lengths: length of each sequence, a list or a tensor.
        enforce_sorted: the sequences are sorted, longest first; otherwise they are sorted here.
    Returns: a :class:`PackedSequence`.
    Raises: RuntimeError for lengths that are not positive, too long, or not sorted where that is promised.
    Source: behaviour of ``torch.nn.utils.rnn.pack_padded_sequence``.
    Example:
        >>> import rustnn
        >>> from rustnn.nn.utils.rnn import pack_padded_sequence
        >>> padded = rustnn.tensor([[1, 2, 0], [3, 0, 0], [4, 5, 6]])
        >>> pack_padded_sequence(padded, [2, 1, 3], batch_first=True, enforce_sorted=False).data.tolist()
        [4, 1, 3, 5, 2, 6]
    """
    lengths = _core.as_tensor(lengths, dtype=_core.int64).cpu()
    sorted_indices = None
    if not enforce_sorted:
        lengths, sorted_indices = _core.sort(lengths, descending=True)
        sorted_indices = sorted_indices.to(input.device)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    counts = lengths.tolist()
    if batch_first:
        input = input.transpose(0, 1)
    steps, batch = input.shape[0], input.shape[1]
    if not counts or not input.numel():
        raise RuntimeError("Cannot pack empty tensors.")
    if len(counts) != batch:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(counts)} (batch_size={batch})"
        )
    if counts[-1] <= 0:
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if counts != sorted(counts, reverse=True):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability."
        )
    if counts[0] > steps:
        raise RuntimeError(f"Expected `lengths` to be at most the sequence dimension {steps}, but got {counts[0]}")
    batch_sizes = [sum(count > step for count in counts) for step in range(counts[0])]
    rows = _rows_of_packed(batch_sizes, batch).to(input.device)
    data = input.reshape(steps * batch, *input.shape[2:]).index_select(0, rows)
    return PackedSequence(data, _core.tensor(batch_sizes, dtype=_core.int64), sorted_indices, None)


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """Unpack packed sequences to a padded block: the inverse of :func:`pack_padded_sequence`.

    Args:
        sequence: what to unpack.
        batch_first: give (N, T, *) instead of (T, N, *).
        padding_value: what to put behind the ends.
        total_length: length of the block, that of the longest sequence by default.
    Returns: the block, and the lengths as a tensor.
    Raises: ValueError if total_length is too short.
    Source: behaviour of ``torch.nn.utils.rnn.pad_packed_sequence``.
    Example:
        >>> import rustnn
        >>> from rustnn.nn.utils.rnn import pack_sequence, pad_packed_sequence
        >>> packed = pack_sequence([rustnn.tensor([1, 2]), rustnn.tensor([3])])
        >>> block, lengths = pad_packed_sequence(packed, batch_first=True)
        >>> block.tolist(), lengths.tolist()
        ([[1, 2], [3, 0]], [2, 1])
    """
    batch_sizes = sequence.batch_sizes.tolist()
    steps = len(batch_sizes)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    data = sequence.data
    batch = batch_sizes[0]
    rows = _rows_of_packed(batch_sizes, batch).to(data.device)
    block = _core.full((steps * batch, *data.shape[1:]), padding_value, dtype=data.dtype, device=data.device)
    block = block.index_copy(0, rows, data).reshape(steps, batch, *data.shape[1:])
    lengths = _core.tensor([sum(size > sample for size in batch_sizes) for sample in range(batch)], dtype=_core.int64)
    if batch_first:
        block = block.transpose(0, 1)
    if sequence.unsorted_indices is not None:
        block = block.index_select(0 if batch_first else 1, sequence.unsorted_indices)
        lengths = lengths[sequence.unsorted_indices.cpu()]
    return block, lengths


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Put sequences side by side, the shorter ones padded.

    Args:
        sequences: an iterable of tensors (L_i, *).
        batch_first: give (N, T, *) instead of (T, N, *).
        padding_value: what to pad with.
        padding_side: ``"right"`` or ``"left"``.
    Raises: RuntimeError if ``sequences`` is not iterable or padding_side unknown.
    Source: behaviour of ``torch.nn.utils.rnn.pad_sequence``.
    Example:
        >>> import rustnn
        >>> from rustnn.nn.utils.rnn import pad_sequence
        >>> pad_sequence([rustnn.tensor([1, 2]), rustnn.tensor([3])], batch_first=True).tolist()
        [[1, 2], [3, 0]]
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    sequences = tuple(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    steps = max(sequence.size(0) for sequence in sequences)
    padded = []
    for sequence in sequences:
        missing = steps - sequence.size(0)
        if missing:
            filler = sequence.new_full((missing, *sequence.shape[1:]), padding_value)
            sequence = _core.cat([filler, sequence] if padding_side == "left" else [sequence, filler])
        padded.append(sequence)
    return _core.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """The sequences of a padded block as a list of tensors: the inverse of :func:`pad_sequence`.

    Args:
        padded_sequences: (T, N, *), or (N, T, *) with batch_first.
        lengths: length of each sequence, a tensor.
    Source: behaviour of ``torch.nn.utils.rnn.unpad_sequence``; the input is left as it is.
    Example:
        >>> import rustnn
        >>> from rustnn.nn.utils.rnn import unpad_sequence
        >>> [t.tolist() for t in unpad_sequence(rustnn.tensor([[1, 2], [3, 0]]), rustnn.tensor([2, 1]), True)]
        [[1, 2], [3]]
    """
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [sequence[:length] for sequence, length in zip(padded_sequences, lengths.tolist(), strict=True)]


def pack_sequence(sequences, enforce_sorted=True):
    """Pack a list of sequences; see :func:`pack_padded_sequence`.

    Example:
        >>> import rustnn
        >>> from rustnn.nn.utils.rnn import pack_sequence
        >>> pack_sequence([rustnn.ones(3, 2), rustnn.ones(1, 2)]).data.shape
        torch.Size([4, 2])
    """
    lengths = _core.tensor([sequence.size(0) for sequence in sequences], dtype=_core.int64)
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences):
    """The packed sequences as a list of tensors: the inverse of :func:`pack_sequence`.

    Example:
        >>> import rustnn
        >>> from rustnn.nn.utils.rnn import pack_sequence, unpack_sequence
        >>> [t.tolist() for t in unpack_sequence(pack_sequence([rustnn.tensor([1, 2]), rustnn.tensor([3])]))]
        [[1, 2], [3]]
    """
    block, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(block, lengths, batch_first=True)
