"""Look-up tables: Embedding and EmbeddingBag."""

from __future__ import annotations

from rustnn import _core
from rustnn.nn import functional as F
from rustnn.nn import init
from rustnn.nn.modules.module import Module
from rustnn.nn.parameter import Parameter

__all__ = ["Embedding", "EmbeddingBag"]


def _whole_padding_idx(padding_idx, num_embeddings, name):
    """A padding index counted from the front; None stays."""
    if padding_idx is None:
        return None
    if not -num_embeddings <= padding_idx < max(num_embeddings, 1):
        raise AssertionError(f"{name} must be within num_embeddings")
    return padding_idx + num_embeddings if padding_idx < 0 else padding_idx


class _Table(Module):
    """What both tables share: the weight and its row of zeros."""

    def _build_weight(self, weight, freeze, device, dtype) -> None:
        if weight is None:
            weight = _core.empty((self.num_embeddings, self.embedding_dim), device=device, dtype=dtype)
            self.weight = Parameter(weight, requires_grad=not freeze)
            self.reset_parameters()
        else:
            if list(weight.shape) != [self.num_embeddings, self.embedding_dim]:
                raise AssertionError("Shape of weight does not match num_embeddings and embedding_dim")
            self.weight = Parameter(weight, requires_grad=not freeze)

    def reset_parameters(self) -> None:
        """Draw new starting values: standard normal, the padding row zero."""
        init.normal_(self.weight)
        self._fill_padding_idx_with_zero()

    def _fill_padding_idx_with_zero(self) -> None:
        if self.padding_idx is not None:
            with _core.no_grad():
                self.weight[self.padding_idx].fill_(0)


class Embedding(_Table):
    """Returns rows of a table, picked by index.

        y[…, :] = W[x[…], :]

    Args:
        num_embeddings: rows of the table.
        embedding_dim: length of a row.
        padding_idx: a row that starts as zeros and gets no gradient.
        max_norm: rows longer than this are shortened, in place, when they are used.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide a row's gradient by how often it is used in the batch.
        sparse: whether the gradient of W is to be sparse.
        device, dtype: of the table.
    Shapes: (*) of int32 or int64 -> (*, embedding_dim); ``weight`` (num_embeddings, embedding_dim), standard normal at
        first.
    Raises: AssertionError for a padding_idx out of range; IndexError for an index out of range.
    Source: behaviour of ``torch.nn.Embedding``.
    Example:
        >>> import rustnn
        >>> table = rustnn.nn.Embedding(10, 3, padding_idx=0)
        >>> table(rustnn.tensor([[1, 2, 4, 5], [4, 3, 2, 0]])).shape
        torch.Size([2, 4, 3])
        >>> table(rustnn.tensor([0])).tolist()
        [[0.0, 0.0, 0.0]]
    """

    __constants__ = [
        "num_embeddings",
        "embedding_dim",
        "padding_idx",
        "max_norm",
        "norm_type",
        "scale_grad_by_freq",
        "sparse",
    ]

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        padding_idx=None,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        sparse=False,
        _weight=None,
        _freeze=False,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = _whole_padding_idx(padding_idx, num_embeddings, "Padding_idx")
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        self._build_weight(_weight, _freeze, device, dtype)

    def forward(self, input):
        return F.embedding(
            input,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq is not False:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        if self.sparse is not False:
            text += ", sparse=True"
        return text

    @classmethod
    def from_pretrained(
        cls,
        embeddings,
        freeze=True,
        padding_idx=None,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        sparse=False,
    ):
        """A table with given rows.

        Args:
            embeddings: 2-D tensor, shared with the table.
            freeze: whether the rows are not to be trained.
        Raises: AssertionError if ``embeddings`` is not 2-D.
        """
        if embeddings.dim() != 2:
            raise AssertionError("Embeddings parameter is expected to be 2-dimensional")
        rows, columns = embeddings.shape
        return cls(
            num_embeddings=rows,
            embedding_dim=columns,
            _weight=embeddings,
            _freeze=freeze,
            padding_idx=padding_idx,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            sparse=sparse,
        )


class EmbeddingBag(_Table):
    """Returns the sum, mean or maximum of the table rows that each bag of indices picks.

        y[b, :] = mode over i in bag b of W[x[i], :] · per_sample_weights[i]

    Args:
        mode: ``sum``, ``mean`` or ``max``.
        include_last_offset: the last offset is the end of the last bag.
        padding_idx: an index that does not count.
        num_embeddings, embedding_dim, max_norm, norm_type, scale_grad_by_freq, sparse, device, dtype: as for
            :class:`Embedding`.
    Shapes: (B, N) indices, or (M) indices with (B) offsets -> (B, embedding_dim).
    Raises: AssertionError for a padding_idx out of range; ValueError for inputs and offsets that do not fit.
    Source: behaviour of ``torch.nn.EmbeddingBag``.
    Example:
        >>> import rustnn
        >>> bags = rustnn.nn.EmbeddingBag(10, 3, mode="sum")
        >>> bags(rustnn.tensor([1, 2, 4, 5]), rustnn.tensor([0, 2])).shape
        torch.Size([2, 3])
    """

    __constants__ = [
        "num_embeddings",
        "embedding_dim",
        "max_norm",
        "norm_type",
        "scale_grad_by_freq",
        "mode",
        "sparse",
        "include_last_offset",
        "padding_idx",
    ]

    def __init__(
        self,
        num_embeddings,
        embedding_dim,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        mode="mean",
        sparse=False,
        _weight=None,
        include_last_offset=False,
        padding_idx=None,
        device=None,
        dtype=None,
    ) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.padding_idx = _whole_padding_idx(padding_idx, num_embeddings, "padding_idx")
        self._build_weight(_weight, False, device, dtype)
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset

    def forward(self, input, offsets=None, per_sample_weights=None):
        return F.embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        text = f"{self.num_embeddings}, {self.embedding_dim}"
        if self.max_norm is not None:
            text += f", max_norm={self.max_norm}"
        if self.norm_type != 2:
            text += f", norm_type={self.norm_type}"
        if self.scale_grad_by_freq is not False:
            text += f", scale_grad_by_freq={self.scale_grad_by_freq}"
        text += f", mode={self.mode!r}"
        if self.padding_idx is not None:
            text += f", padding_idx={self.padding_idx}"
        return text

    @classmethod
    def from_pretrained(
        cls,
        embeddings,
        freeze=True,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        mode="mean",
        sparse=False,
        include_last_offset=False,
        padding_idx=None,
    ):
        """A table with given rows; see :meth:`Embedding.from_pretrained`."""
        if embeddings.dim() != 2:
            raise AssertionError("Embeddings parameter is expected to be 2-dimensional")
        rows, columns = embeddings.shape
        table = cls(
            num_embeddings=rows,
            embedding_dim=columns,
            _weight=embeddings,
            max_norm=max_norm,
            norm_type=norm_type,
            scale_grad_by_freq=scale_grad_by_freq,
            mode=mode,
            sparse=sparse,
            include_last_offset=include_last_offset,
            padding_idx=padding_idx,
        )
        table.weight.requires_grad = not freeze
        return table
