"""Losses as layers. All have ``reduction``: "mean" of the elements, their "sum", or "none" for each by itself.

The arguments ``size_average`` and ``reduce``, older than ``reduction``, still work and warn.
"""

from __future__ import annotations

import math
import warnings

from rustnn.nn import _reduction
from rustnn.nn import functional as F
from rustnn.nn.modules.distance import PairwiseDistance
from rustnn.nn.modules.linear import Linear
from rustnn.nn.modules.module import Module

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CTCLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "GaussianNLLLoss",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "LinearCrossEntropyLoss",
    "LinearCrossEntropyOptions",
    "MSELoss",
    "MarginRankingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "NLLLoss",
    "NLLLoss2d",
    "PoissonNLLLoss",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class _Loss(Module):
    __constants__ = ["reduction"]

    def __init__(self, size_average=None, reduce=None, reduction="mean") -> None:
        super().__init__()
        if size_average is not None or reduce is not None:
            reduction = _reduction.legacy_get_string(size_average, reduce)
        self.reduction = reduction


class _WeightedLoss(_Loss):
    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)


class L1Loss(_Loss):
    """Returns the mean absolute difference.

        l = |x - y|, then mean, sum or none

    Args:
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (*), (*) -> (), or (*) with reduction="none". Dtypes: floating point.
    Source: behaviour of ``torch.nn.L1Loss``; warns when the sizes differ.
    Example:
        >>> import rustnn
        >>> rustnn.nn.L1Loss()(rustnn.tensor([1.0, 2.0]), rustnn.zeros(2)).item()
        1.5
    """

    def forward(self, input, target):
        return F.l1_loss(input, target, reduction=self.reduction)


class NLLLoss(_WeightedLoss):
    """Returns minus the log-probability that the input gives to the target class.

        l_n = -w[t_n] x[n, t_n];  mean = Σ l_n / Σ w[t_n]

    Args:
        weight: one factor per class.
        ignore_index: a target that does not count.
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (N, C, *) or (C) log-probabilities, (N, *) or () class indices -> (), or the targets' shape with
        reduction="none". Dtypes: floating point, targets int64 or uint8.
    Raises: IndexError for a target that is no class; ValueError or RuntimeError for shapes that do not fit.
    Source: behaviour of ``torch.nn.NLLLoss``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.NLLLoss()(rustnn.tensor([[-1.0, -2.0]]), rustnn.tensor([1])).item()
        2.0
    """

    __constants__ = ["ignore_index", "reduction"]

    def __init__(self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean") -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input, target):
        return F.nll_loss(input, target, weight=self.weight, ignore_index=self.ignore_index, reduction=self.reduction)


class NLLLoss2d(NLLLoss):
    """Deprecated name of :class:`NLLLoss`.

    Example:
        >>> import warnings
        >>> from rustnn import nn
        >>> with warnings.catch_warnings(record=True):
        ...     loss = nn.NLLLoss2d()
        >>> isinstance(loss, nn.NLLLoss)
        True
    """

    def __init__(self, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean") -> None:
        warnings.warn(
            "`NLLLoss2d` has been deprecated. Please use `NLLLoss` instead as a drop-in replacement and see "
            "https://pytorch.org/docs/main/nn.html#torch.nn.NLLLoss for more details.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__(weight, size_average, ignore_index, reduce, reduction)


class PoissonNLLLoss(_Loss):
    """Returns minus the log-likelihood of counts under Poisson distributions.

        l = exp(x) - t x (log_input), or x - t log(x + eps);  full adds t log t - t + ½ log(2π t) where t > 1

    Args:
        log_input: whether the input is the logarithm of the rate.
        full: add Stirling's approximation of log t!.
        eps: keeps the logarithm finite, without log_input.
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (*), (*) -> (), or (*) with reduction="none". Dtypes: floating point.
    Source: behaviour of ``torch.nn.PoissonNLLLoss``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.PoissonNLLLoss()(rustnn.zeros(2), rustnn.ones(2)).item()
        1.0
    """

    __constants__ = ["log_input", "full", "eps", "reduction"]

    def __init__(self, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None, reduction="mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input, target):
        return F.poisson_nll_loss(
            log_input, target, log_input=self.log_input, full=self.full, eps=self.eps, reduction=self.reduction
        )


class GaussianNLLLoss(_Loss):
    """Returns minus the log-likelihood under normal distributions.

        l = ½ (log max(var, eps) + (x - t)² / max(var, eps));  full adds ½ log 2π

    Args:
        full: add the constant.
        eps: least variance, in its unit.
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (*), (*), variances (*) or one per row or a number -> (), or (*) with reduction="none".
    Raises: ValueError for negative variances or a size that does not fit.
    Source: Nix & Weigend 1994; behaviour of ``torch.nn.GaussianNLLLoss``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.GaussianNLLLoss()(rustnn.ones(2), rustnn.zeros(2), rustnn.ones(2)).item()
        0.5
    """

    __constants__ = ["full", "eps", "reduction"]

    def __init__(self, *, full=False, eps=1e-6, reduction="mean") -> None:
        super().__init__(None, None, reduction)
        self.full = full
        self.eps = eps

    def forward(self, input, target, var):
        return F.gaussian_nll_loss(input, target, var, full=self.full, eps=self.eps, reduction=self.reduction)


class KLDivLoss(_Loss):
    """Returns the Kullback-Leibler divergence of a target from an input given as log-probabilities.

        l = t (log t - x), or exp(t) (t - x) with log_target

    Args:
        reduction: ``batchmean`` (the divergence: sum divided by N), ``mean``, ``sum`` or ``none``.
        log_target: whether targets are log-probabilities.
    Shapes: (N, *), (N, *) -> (), or (N, *) with reduction="none". Dtypes: floating point.
    Source: behaviour of ``torch.nn.KLDivLoss``.
    Example:
        >>> import rustnn
        >>> p = rustnn.tensor([[0.5, 0.5]])
        >>> rustnn.nn.KLDivLoss(reduction="batchmean")(p.log(), p).item()
        0.0
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean", log_target=False) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input, target):
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class MSELoss(_Loss):
    """Returns the mean squared difference.

        l = (x - y)², then mean, sum or none

    Args:
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (*), (*) -> (), or (*) with reduction="none". Dtypes: floating point.
    Source: behaviour of ``torch.nn.MSELoss``; warns when the sizes differ.
    Example:
        >>> import rustnn
        >>> rustnn.nn.MSELoss()(rustnn.tensor([1.0, 3.0]), rustnn.zeros(2)).item()
        5.0
    """

    def forward(self, input, target):
        return F.mse_loss(input, target, reduction=self.reduction)


class BCELoss(_WeightedLoss):
    """Returns the cross entropy of probabilities and binary targets.

        l = -w (t log x + (1 - t) log(1 - x)), both logarithms cut at -100

    Args:
        weight: a factor per element of a batch.
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (*), (*) -> (), or (*) with reduction="none". Dtypes: floating point.
    Raises: ValueError if sizes differ; RuntimeError for inputs outside [0, 1].
    Source: behaviour of ``torch.nn.BCELoss``.
    Example:
        >>> import rustnn
        >>> round(rustnn.nn.BCELoss()(rustnn.tensor([0.5]), rustnn.ones(1)).item(), 4)
        0.6931
    """

    def forward(self, input, target):
        return F.binary_cross_entropy(input, target, weight=self.weight, reduction=self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Returns the cross entropy of logits and binary targets, computed without overflow.

        l = -w (pos_weight t log sigmoid(x) + (1 - t) log(1 - sigmoid(x)))

    Args:
        weight: a factor per element of a batch.
        reduction: ``mean``, ``sum`` or ``none``.
        pos_weight: a factor of the positive term, per class.
    Shapes: (*), (*) -> (), or (*) with reduction="none". Dtypes: floating point.
    Raises: ValueError if sizes differ.
    Source: behaviour of ``torch.nn.BCEWithLogitsLoss``.
    Example:
        >>> import rustnn
        >>> round(rustnn.nn.BCEWithLogitsLoss()(rustnn.zeros(1), rustnn.ones(1)).item(), 4)
        0.6931
    """

    def __init__(self, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input, target):
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, pos_weight=self.pos_weight, reduction=self.reduction
        )


class HingeEmbeddingLoss(_Loss):
    """Returns distances where targets are 1, and what is missing to a margin where they are -1.

        l = x if t = 1, max(0, margin - x) if t = -1

    Args:
        margin: the margin.
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (*), (*) -> (), or (*) with reduction="none". Dtypes: floating point.
    Source: behaviour of ``torch.nn.HingeEmbeddingLoss``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.HingeEmbeddingLoss()(rustnn.tensor([0.5, 0.25]), rustnn.tensor([1.0, -1.0])).item()
        0.625
    """

    __constants__ = ["margin", "reduction"]

    def __init__(self, margin=1.0, size_average=None, reduce=None, reduction="mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input, target):
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """Returns the hinge loss of each label against each other class.

        l = Σ over labels j and other classes i of max(0, 1 - (x[j] - x[i])) / C

    Args:
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (N, C) or (C), targets of the same shape with label indices closed by -1 -> (), or (N) with
        reduction="none".
    Source: behaviour of ``torch.nn.MultiLabelMarginLoss``.
    Example:
        >>> import rustnn
        >>> x = rustnn.tensor([[0.1, 0.2, 0.4, 0.8]])
        >>> round(rustnn.nn.MultiLabelMarginLoss()(x, rustnn.tensor([[3, 0, -1, 1]])).item(), 4)
        0.85
    """

    def forward(self, input, target):
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class SmoothL1Loss(_Loss):
    """Returns squares of small differences and absolute values of large ones.

        l = ½ d² / beta if d < beta, else d - ½ beta,  d = |x - y|

    Args:
        reduction: ``mean``, ``sum`` or ``none``.
        beta: where the two meet, ≥ 0; 0 gives :class:`L1Loss`.
    Shapes: (*), (*) -> (), or (*) with reduction="none". Dtypes: floating point.
    Raises: RuntimeError for a negative beta.
    Source: Girshick 2015; behaviour of ``torch.nn.SmoothL1Loss``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.SmoothL1Loss()(rustnn.tensor([0.0, 3.0]), rustnn.zeros(2)).item()
        1.25
    """

    def __init__(self, size_average=None, reduce=None, reduction="mean", beta=1.0) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input, target):
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """Returns squares of small differences and scaled absolute values of large ones.

        l = ½ d² if d < delta, else delta (d - ½ delta),  d = |x - y|

    Args:
        reduction: ``mean``, ``sum`` or ``none``.
        delta: where the two meet, > 0.
    Shapes: (*), (*) -> (), or (*) with reduction="none". Dtypes: floating point.
    Raises: TypeError for a delta that is no number; RuntimeError for one that is not positive.
    Source: Huber 1964; behaviour of ``torch.nn.HuberLoss``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.HuberLoss()(rustnn.tensor([0.0, 3.0]), rustnn.zeros(2)).item()
        1.25
    """

    __constants__ = ["reduction", "delta"]

    def __init__(self, reduction="mean", delta=1.0) -> None:
        if not isinstance(delta, (float, int)):
            raise TypeError(f"delta must be a float or int, got: {type(delta)}")
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input, target):
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class SoftMarginLoss(_Loss):
    """Returns the logistic loss of targets ±1.

        l = log(1 + exp(-t x))

    Args:
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (*), (*) -> (), or (*) with reduction="none". Dtypes: floating point.
    Source: behaviour of ``torch.nn.SoftMarginLoss``.
    Example:
        >>> import rustnn
        >>> round(rustnn.nn.SoftMarginLoss()(rustnn.zeros(2), rustnn.ones(2)).item(), 4)
        0.6931
    """

    def forward(self, input, target):
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class CrossEntropyLoss(_WeightedLoss):
    """Returns the cross entropy between logits and classes.

        l_n = -w[t_n] log softmax(x_n)[t_n];  mean = Σ l_n / Σ w[t_n]
        with probabilities p as targets: l_n = -Σ_c w[c] p[n, c] log softmax(x_n)[c];  mean = Σ l_n / N

    Args:
        weight: one factor per class.
        ignore_index: a class index that does not count.
        reduction: ``mean``, ``sum`` or ``none``.
        label_smoothing: share of the uniform distribution mixed into the targets, in [0, 1].
    Shapes: (N, C, *) or (C) logits; class indices (N, *) or (), or probabilities of the logits' shape -> (), or the
        shape without C with reduction="none". Dtypes: floating point, indices int64 or uint8.
    Raises: IndexError for a target that is no class; ValueError or RuntimeError for shapes that do not fit.
    Source: behaviour of ``torch.nn.CrossEntropyLoss``.
    Example:
        >>> import rustnn
        >>> round(rustnn.nn.CrossEntropyLoss()(rustnn.zeros(3, 4), rustnn.tensor([0, 1, 2])).item(), 4)
        1.3863
    """

    __constants__ = ["ignore_index", "reduction", "label_smoothing"]

    def __init__(
        self,
        weight=None,
        size_average=None,
        ignore_index=-100,
        reduce=None,
        reduction="mean",
        label_smoothing=0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input, target):
        return F.cross_entropy(
            input,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
            label_smoothing=self.label_smoothing,
        )


class LinearCrossEntropyOptions:
    """Returns the options by which PyTorch cuts the batch of :class:`LinearCrossEntropyLoss`; here they have no effect.

    Args:
        allow_retain_graph, batch_chunk_size, chunking_method, acc_policy, acc_dtype: kept as they are given.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LinearCrossEntropyOptions(batch_chunk_size=8).batch_chunk_size
        8
    """

    def __init__(
        self, allow_retain_graph=False, batch_chunk_size=None, chunking_method="auto", acc_policy="auto", acc_dtype=None
    ) -> None:
        self.allow_retain_graph, self.batch_chunk_size = allow_retain_graph, batch_chunk_size
        self.chunking_method, self.acc_policy, self.acc_dtype = chunking_method, acc_policy, acc_dtype

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields})"


class LinearCrossEntropyLoss(_WeightedLoss):
    """Returns the cross entropy of logits that a linear layer makes of the input.

        l = CrossEntropyLoss(W x + b, t)

    Args:
        in_features: size of the input's last dimension. num_classes: C.
        out_features: (d_1, …, d_K), for a loss of K dimensions more.
        bias: whether there is b.
        weight, reduction, label_smoothing: as :class:`CrossEntropyLoss`.
        ignore_index: a class that does not count; None, which means -100, for targets that are probabilities.
        options: accepted, see :class:`LinearCrossEntropyOptions`.
    Shapes: (N, in_features) or (in_features); targets (N, d_1, …, d_K) or probabilities (N, C, d_1, …, d_K) -> (), or
    the
        targets' shape with reduction="none". Dtypes: floating point, class indices int64.
    Raises: RuntimeError for weights or smoothing that do not fit.
    Source: behaviour of ``torch.nn.LinearCrossEntropyLoss``.
    Example:
        >>> import rustnn
        >>> loss = rustnn.nn.LinearCrossEntropyLoss(2, 4)
        >>> round(loss(rustnn.zeros(3, 2), rustnn.tensor([0, 1, 2])).item(), 4)
        1.3863
    """

    __constants__ = ["num_classes", "out_features", "reduction", "ignore_index", "label_smoothing"]

    def __init__(
        self,
        in_features,
        num_classes,
        *,
        out_features=(),
        bias=False,
        device=None,
        dtype=None,
        reduction="mean",
        weight=None,
        ignore_index=None,
        label_smoothing=0.0,
        options=None,
    ) -> None:
        if weight is not None and weight.shape != (num_classes,):
            raise RuntimeError(f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}")
        if not 0 <= label_smoothing <= 1:
            raise RuntimeError(f"expected label_smoothing to be in range [0, 1], got {label_smoothing}")
        super().__init__(weight, None, None, reduction)
        self.num_classes, self.out_features = num_classes, out_features
        self.ignore_index, self.label_smoothing, self.options = ignore_index, label_smoothing, options
        outputs = num_classes * math.prod(out_features)
        self.linear = Linear(in_features, outputs, bias=bias, device=device, dtype=dtype)

    def forward(self, input, target):
        shape = (self.num_classes, *self.out_features)
        bias = self.linear.bias
        return F.linear_cross_entropy(
            input,
            self.linear.weight.reshape(*shape, self.linear.in_features),
            target,
            linear_bias=None if bias is None else bias.reshape(shape),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, out_features={self.out_features}, "
            f"bias={self.linear.bias is not None}, reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """Returns the binary cross entropy of each class, averaged over the classes.

        l = -Σ_c w[c] (t log sigmoid(x) + (1 - t) log sigmoid(-x)) / C

    Args:
        weight: one factor per class.
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (N, C), (N, C) -> (), or (N) with reduction="none". Dtypes: floating point.
    Source: behaviour of ``torch.nn.MultiLabelSoftMarginLoss``.
    Example:
        >>> import rustnn
        >>> round(rustnn.nn.MultiLabelSoftMarginLoss()(rustnn.zeros(1, 2), rustnn.ones(1, 2)).item(), 4)
        0.6931
    """

    def forward(self, input, target):
        return F.multilabel_soft_margin_loss(input, target, weight=self.weight, reduction=self.reduction)


class CosineEmbeddingLoss(_Loss):
    """Returns how far pairs are from being parallel (target 1), or from keeping an angle (target -1).

        l = 1 - cos if t = 1, max(0, cos - margin) if t = -1

    Args:
        margin: in [-1, 1].
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (N, D), (N, D), (N) or (D), (D), () -> (), or the targets' shape with reduction="none". Dtypes: floating
        point.
    Raises: RuntimeError for shapes that do not fit.
    Source: behaviour of ``torch.nn.CosineEmbeddingLoss``.
    Example:
        >>> import rustnn
        >>> x = rustnn.tensor([[1.0, 0.0]])
        >>> rustnn.nn.CosineEmbeddingLoss()(x, x, rustnn.ones(1)).item()
        0.0
    """

    __constants__ = ["margin", "reduction"]

    def __init__(self, margin=0.0, size_average=None, reduce=None, reduction="mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1, input2, target):
        return F.cosine_embedding_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class MarginRankingLoss(_Loss):
    """Returns by how much pairs miss their order.

        l = max(0, -t (x1 - x2) + margin)

    Args:
        margin: the margin.
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (N), (N), (N) or (), (), () -> (), or (N) with reduction="none". Dtypes: floating point.
    Raises: RuntimeError if the ranks differ.
    Source: behaviour of ``torch.nn.MarginRankingLoss``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.MarginRankingLoss()(rustnn.zeros(1), rustnn.ones(1), rustnn.ones(1)).item()
        1.0
    """

    __constants__ = ["margin", "reduction"]

    def __init__(self, margin=0.0, size_average=None, reduce=None, reduction="mean") -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1, input2, target):
        return F.margin_ranking_loss(input1, input2, target, margin=self.margin, reduction=self.reduction)


class MultiMarginLoss(_WeightedLoss):
    """Returns the hinge loss of the target class against each other class.

        l = Σ over classes i ≠ t of w[t] max(0, margin - x[t] + x[i])^p / C

    Args:
        p: 1 or 2.
        margin: the margin.
        weight: one factor per class.
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (N, C) or (C), (N) or () -> (), or (N) with reduction="none". Dtypes: floating point, targets int64.
    Raises: ValueError for another p or a weight that is not 1-D.
    Source: behaviour of ``torch.nn.MultiMarginLoss``.
    Example:
        >>> import rustnn
        >>> x = rustnn.tensor([[0.1, 0.2, 0.4, 0.8]])
        >>> round(rustnn.nn.MultiMarginLoss()(x, rustnn.tensor([3])).item(), 4)
        0.325
    """

    __constants__ = ["p", "margin", "reduction"]

    def __init__(self, p=1, margin=1.0, weight=None, size_average=None, reduce=None, reduction="mean") -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p not in (1, 2):
            raise ValueError("only p == 1 and p == 2 supported")
        if weight is not None and weight.dim() != 1:
            raise ValueError(f"MultiMarginLoss: expected weight to be None or 1D tensor, got {weight.dim()}D instead")
        self.p = p
        self.margin = margin

    def forward(self, input, target):
        return F.multi_margin_loss(
            input, target, p=self.p, margin=self.margin, weight=self.weight, reduction=self.reduction
        )


class TripletMarginLoss(_Loss):
    """Returns by how much the positive example is not nearer to the anchor than the negative one.

        l = max(0, d(a, p) - d(a, n) + margin),  d(x, y) = ‖x - y + eps‖_p

    Args:
        margin: > 0.
        p: of the norm.
        eps: added to each difference.
        swap: use d(p, n) where it is smaller than d(a, n).
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (N, D) or (D), three times -> (), or (N) with reduction="none". Dtypes: floating point.
    Raises: ValueError for a margin that is not positive; RuntimeError if the ranks differ.
    Source: Balntas et al. 2016; behaviour of ``torch.nn.TripletMarginLoss``.
    Example:
        >>> import rustnn
        >>> x = rustnn.zeros(1, 2)
        >>> rustnn.nn.TripletMarginLoss()(x, x, x).item()
        1.0
    """

    __constants__ = ["margin", "p", "eps", "swap", "reduction"]

    def __init__(
        self, margin=1.0, p=2.0, eps=1e-6, swap=False, size_average=None, reduce=None, reduction="mean"
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginLoss: expected margin to be greater than 0, got {margin} instead")
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor, positive, negative):
        return F.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(_Loss):
    """Returns the :class:`TripletMarginLoss` with a distance of one's own.

        l = max(0, d(a, p) - d(a, n) + margin)

    Args:
        distance_function: takes two tensors; :class:`PairwiseDistance` by default.
        margin: > 0.
        swap: use d(p, n) where it is smaller than d(a, n).
        reduction: ``mean``, ``sum`` or ``none``.
    Shapes: (N, *), three times -> (), or the distances' shape with reduction="none".
    Raises: ValueError for a margin that is not positive; RuntimeError if the ranks differ.
    Source: Balntas et al. 2016; behaviour of ``torch.nn.TripletMarginWithDistanceLoss``.
    Example:
        >>> import rustnn
        >>> loss = rustnn.nn.TripletMarginWithDistanceLoss(distance_function=lambda x, y: (x - y).abs().amax(-1))
        >>> loss(rustnn.zeros(1, 2), rustnn.zeros(1, 2), rustnn.ones(1, 2)).item()
        0.0
    """

    __constants__ = ["margin", "swap", "reduction"]

    def __init__(self, *, distance_function=None, margin=1.0, swap=False, reduction="mean") -> None:
        super().__init__(reduction=reduction)
        if margin <= 0:
            raise ValueError(
                f"TripletMarginWithDistanceLoss: expected margin to be greater than 0, got {margin} instead"
            )
        self.distance_function = PairwiseDistance() if distance_function is None else distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor, positive, negative):
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


class CTCLoss(_Loss):
    """Returns minus the log-probability of label sequences, summed over all their alignments with the input.

        l = -log Σ over alignments π of Π_t p(π_t | t);  mean divides each by its target length first

    Args:
        blank: index of the blank label.
        reduction: ``mean``, ``sum`` or ``none``.
        zero_infinity: set infinite losses, and their gradients, to zero (targets longer than the input).
    Shapes: log-probabilities (T, N, C), targets (N, S) or one run of all labels, input lengths (N), target lengths (N)
        -> (), or (N) with reduction="none".
    Source: Graves et al. 2006; behaviour of ``torch.nn.CTCLoss``.
    Example:
        >>> import rustnn
        >>> scores = rustnn.zeros(2, 1, 2).log_softmax(2)
        >>> lengths = rustnn.tensor([2]), rustnn.tensor([1])
        >>> round(rustnn.nn.CTCLoss()(scores, rustnn.tensor([[1]]), *lengths).item(), 4)
        0.2877
    """

    __constants__ = ["blank", "reduction"]

    def __init__(self, blank=0, reduction="mean", zero_infinity=False) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs, targets, input_lengths, target_lengths):
        return F.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
