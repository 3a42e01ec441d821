"""Softmax over very many classes, the rare ones in clusters of lower width."""

from __future__ import annotations

from collections import namedtuple

from rustnn import _core
from rustnn.nn import functional as F
from rustnn.nn.modules.container import ModuleList, Sequential
from rustnn.nn.modules.linear import Linear
from rustnn.nn.modules.module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """Returns the log-probability of each target class, and the loss, with classes sorted by frequency into clusters.

        log p(y) = log softmax(head x)[y], or log softmax(head x)[cluster] + log softmax(tail x)[y in cluster]

    Args:
        in_features: length of an input vector.
        n_classes: number of classes, frequent ones first.
        cutoffs: where the clusters begin; classes below the first are in the head.
        div_value: by how much each further cluster is narrower.
        head_bias: whether the head adds a bias.
        device, dtype: of the parameters.
    Shapes: (N, in_features) or (in_features), targets (N) or () -> ``output`` of the targets' shape and ``loss`` ().
    Raises: ValueError for cutoffs that do not rise between 1 and n_classes - 1; RuntimeError for targets that are no
        class or shapes that do not fit.
    Source: Grave et al. 2016; behaviour of ``torch.nn.AdaptiveLogSoftmaxWithLoss``.
    Example:
        >>> import rustnn
        >>> layer = rustnn.nn.AdaptiveLogSoftmaxWithLoss(8, 20, cutoffs=[5, 10])
        >>> output, loss = layer(rustnn.ones(3, 8), rustnn.tensor([0, 7, 19]))
        >>> output.shape, layer.log_prob(rustnn.ones(3, 8)).shape
        (torch.Size([3]), torch.Size([3, 20]))
    """

    def __init__(
        self, in_features, n_classes, cutoffs, div_value=4.0, head_bias=False, device=None, dtype=None
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            any(int(cutoff) != cutoff for cutoff in cutoffs)
            or cutoffs != sorted(set(cutoffs))
            or cutoffs[0] <= 0
            or cutoffs[-1] > n_classes - 1
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each "
                "value is between 1 and n_classes-1"
            )
        factory = {"device": device, "dtype": dtype}
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = cutoffs[0]
        self.n_clusters = len(cutoffs)
        # The head knows the frequent classes and one entry per cluster.
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, **factory)
        self.tail = ModuleList()
        for cluster in range(self.n_clusters):
            width = int(in_features // (div_value ** (cluster + 1)))
            size = self.cutoffs[cluster + 1] - self.cutoffs[cluster]
            self.tail.append(
                Sequential(
                    Linear(in_features, width, bias=False, **factory), Linear(width, size, bias=False, **factory)
                )
            )

    def reset_parameters(self) -> None:
        """Draw new starting values for all parts."""
        self.head.reset_parameters()
        for narrow, wide in self.tail:
            narrow.reset_parameters()
            wide.reset_parameters()

    def forward(self, input_, target_):
        if target_.dim() not in (0, 1):
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        batched = target_.dim() == 1
        if batched and input_.size(0) != target_.size(0):
            raise RuntimeError("Input and target should have the same size in the batch dimension.")
        if input_.dim() != target_.dim() + 1:
            raise RuntimeError(
                f"{target_.dim()}D target tensor expects {target_.dim() + 1}D input tensors, but found inputs with "
                f"size {input_.size()}"
            )
        input = input_ if batched else input_.unsqueeze(0)
        target = target_ if batched else target_.unsqueeze(0)
        # A program leaves such targets to gather(), and takes clusters without rows as they are.
        looks = not _core._is_recording()
        if looks and target.numel() and (int(target.min()) < 0 or int(target.max()) >= self.n_classes):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range [{target.min().item()}, "
                f"{target.max().item()}] were found. "
            )
        # Entry of the head: the class itself, or its cluster.
        entry = target.clone()
        output = input.new_zeros(target.size(0))
        for cluster in range(self.n_clusters):
            low, high = self.cutoffs[cluster], self.cutoffs[cluster + 1]
            rows = ((target >= low) & (target < high)).nonzero().reshape(-1)
            if looks and rows.numel() == 0:
                continue
            logs = F.log_softmax(self.tail[cluster](input.index_select(0, rows)), dim=1)
            relative = target.index_select(0, rows) - low
            output = output.index_copy(0, rows, logs.gather(1, relative.unsqueeze(1)).squeeze(1))
            entry = entry.index_fill(0, rows, self.shortlist_size + cluster)
        head_logs = F.log_softmax(self.head(input), dim=1)
        output = output + head_logs.gather(1, entry.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def log_prob(self, input):
        """The log-probabilities of all classes, (N, n_classes)."""
        head_logs = F.log_softmax(self.head(input), dim=1)
        parts = [head_logs[:, : self.shortlist_size]]
        for cluster, tail in enumerate(self.tail):
            entry = self.shortlist_size + cluster
            parts.append(F.log_softmax(tail(input), dim=1) + head_logs[:, entry : entry + 1])
        return _core.cat(parts, dim=1)

    def predict(self, input):
        """The most probable class of each row, (N); clusters are computed only for rows whose head points at one."""
        result = self.head(input).argmax(dim=1)
        rows = (result >= self.shortlist_size).nonzero().reshape(-1)
        if rows.numel() == 0:
            return result
        return result.index_copy(0, rows, self.log_prob(input.index_select(0, rows)).argmax(dim=1))
