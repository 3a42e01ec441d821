"""Batch normalisation for 1 to 3 spatial dimensions, its lazy forms, and SyncBatchNorm."""

from __future__ import annotations

from rustnn import _core
from rustnn.nn import functional as F
from rustnn.nn import init
from rustnn.nn.modules.lazy import LazyModuleMixin
from rustnn.nn.modules.module import Module
from rustnn.nn.parameter import Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "SyncBatchNorm",
]


class _NormBase(Module):
    """What batch and instance normalisation share: scale, shift, running statistics, old files."""

    # 2 since files have num_batches_tracked.
    _version = 2
    __constants__ = ["track_running_stats", "momentum", "eps", "num_features", "affine"]

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = Parameter(_core.empty(num_features, device=device, dtype=dtype))
        else:
            self.register_parameter("weight", None)
        if affine and bias:
            self.bias = Parameter(_core.empty(num_features, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        if track_running_stats:
            self.register_buffer("running_mean", _core.zeros(num_features, device=device, dtype=dtype))
            self.register_buffer("running_var", _core.ones(num_features, device=device, dtype=dtype))
            self.register_buffer("num_batches_tracked", _core.tensor(0, dtype=_core.int64, device=device))
        else:
            self.register_buffer("running_mean", None)
            self.register_buffer("running_var", None)
            self.register_buffer("num_batches_tracked", None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Set the running mean to 0, the running variance to 1, the count of batches to 0."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Reset the running statistics, set the scale to 1 and the shift to 0."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def _check_input_dim(self, input) -> None:
        raise NotImplementedError

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        version = local_metadata.get("version", None)
        if (version is None or version < 2) and self.track_running_stats:
            key = prefix + "num_batches_tracked"
            if key not in state_dict:
                count = self.num_batches_tracked
                usable = count is not None and not count.is_meta
                state_dict[key] = count if usable else _core.tensor(0, dtype=_core.int64)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class _BatchNorm(_NormBase):
    def forward(self, input):
        self._check_input_dim(input)
        parameters, buffers = self._parameters, self._buffers
        try:
            weight, bias = parameters["weight"], parameters["bias"]
            running_mean, running_var = buffers["running_mean"], buffers["running_var"]
            count = buffers["num_batches_tracked"]
        except KeyError:
            weight, bias, running_mean, running_var = self.weight, self.bias, self.running_mean, self.running_var
            count = self.num_batches_tracked
        # momentum=None asks for the plain average over all batches so far.
        factor = 0.0 if self.momentum is None else self.momentum
        use_batch = self.training
        if not use_batch:
            use_batch = running_mean is None and running_var is None
        elif not self.track_running_stats:
            running_mean = running_var = None
        elif count is not None:
            count.add_(1)
            if self.momentum is None:
                if _core._is_unread(count):
                    return self._record_average(input, count, running_mean, running_var, weight, bias)
                factor = 1.0 / float(count)
        return F.batch_norm(input, running_mean, running_var, weight, bias, use_batch, factor, self.eps)

    def _record_average(self, input, count, running_mean, running_var, weight, bias):
        """The plain average of all batches without a number that Python reads."""
        mean, var = _core.zeros_like(running_mean), _core.zeros_like(running_var)
        output = F.batch_norm(input, mean, var, weight, bias, True, 1.0, self.eps)
        share = count.to(mean.dtype).reciprocal()
        with _core.no_grad():
            for running, batch in ((running_mean, mean), (running_var, var)):
                running.copy_(running * (1.0 - share) + batch * share)
        return output


class BatchNorm1d(_BatchNorm):
    """Returns the input with each channel normalised over the batch (and the length).

        y = (x - E[x]) / √(Var[x] + eps) · weight + bias

    In training the batch's own statistics are used (the biased variance) and the running ones updated (with the
    unbiased variance): running = (1 - momentum) running + momentum batch. In evaluation the running ones are used.

    Args:
        num_features: number of channels C.
        eps: added to the variance, in its unit.
        momentum: weight of the newest batch in the running statistics; None for the plain average of all batches.
        affine: whether there are weight and bias.
        track_running_stats: whether there are running statistics; without them the batch's are always used.
        device, dtype: of the parameters and buffers.
        bias: False leaves out the shift (with affine).
    Shapes: (N, C) or (N, C, L) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError for an input of another rank, or a single value per channel in training.
    Source: Ioffe & Szegedy 2015; behaviour of ``torch.nn.BatchNorm1d``.
    Example:
        >>> import rustnn
        >>> layer = rustnn.nn.BatchNorm1d(2, affine=False)
        >>> layer(rustnn.tensor([[0.0, 1.0], [2.0, 1.0]])).round().tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """

    def _check_input_dim(self, input) -> None:
        if input.dim() not in (2, 3):
            raise ValueError(f"expected 2D or 3D input (got {input.dim()}D input)")


class BatchNorm2d(_BatchNorm):
    """Returns images with each channel normalised over the batch and both spatial dimensions.

        y = (x - E[x]) / √(Var[x] + eps) · weight + bias

    Args: those of :class:`BatchNorm1d`.
    Shapes: (N, C, H, W) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError for an input that is not 4-D, or a single value per channel in training.
    Source: Ioffe & Szegedy 2015; behaviour of ``torch.nn.BatchNorm2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.BatchNorm2d(3)(rustnn.ones(2, 3, 4, 4)).shape
        torch.Size([2, 3, 4, 4])
    """

    def _check_input_dim(self, input) -> None:
        if input.dim() != 4:
            raise ValueError(f"expected 4D input (got {input.dim()}D input)")


class BatchNorm3d(_BatchNorm):
    """Returns volumes with each channel normalised over the batch and the three spatial dimensions.

        y = (x - E[x]) / √(Var[x] + eps) · weight + bias

    Args: those of :class:`BatchNorm1d`.
    Shapes: (N, C, D, H, W) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError for an input that is not 5-D, or a single value per channel in training.
    Source: Ioffe & Szegedy 2015; behaviour of ``torch.nn.BatchNorm3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.BatchNorm3d(3)(rustnn.ones(2, 3, 4, 4, 4)).shape
        torch.Size([2, 3, 4, 4, 4])
    """

    def _check_input_dim(self, input) -> None:
        if input.dim() != 5:
            raise ValueError(f"expected 5D input (got {input.dim()}D input)")


class _LazyNormBase(LazyModuleMixin, _NormBase):
    def __init__(
        self,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ) -> None:
        # Nothing is built by the plain class: its tensors would be replaced at once.
        super().__init__(0, eps, momentum, False, False, device, dtype, bias=False)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            if bias:
                self.bias = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = _core.tensor(0, dtype=_core.int64, device=device)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input) -> None:
        """Give parameters and buffers the number of channels that ``input`` has, and their starting values."""
        if self.has_uninitialized_params():
            self.num_features = input.shape[1]
            for tensor in (self.weight, self.bias, self.running_mean, self.running_var):
                if tensor is not None:
                    tensor.materialize((self.num_features,))
            self.reset_parameters()
        elif self.num_features == 0:
            # A state dict gave the shapes.
            self.num_features = input.shape[1]


class LazyBatchNorm1d(_LazyNormBase, _BatchNorm):
    """A :class:`BatchNorm1d` that takes num_features from its first input, and then is a plain ``BatchNorm1d``.

    Args: those of :class:`BatchNorm1d` without num_features.
    Shapes: as :class:`BatchNorm1d`.
    Source: behaviour of ``torch.nn.LazyBatchNorm1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LazyBatchNorm1d()(rustnn.ones(2, 3)).shape
        torch.Size([2, 3])
    """

    cls_to_become = BatchNorm1d
    _check_input_dim = BatchNorm1d._check_input_dim


class LazyBatchNorm2d(_LazyNormBase, _BatchNorm):
    """A :class:`BatchNorm2d` that takes num_features from its first input, and then is a plain ``BatchNorm2d``.

    Args: those of :class:`BatchNorm2d` without num_features.
    Shapes: as :class:`BatchNorm2d`.
    Source: behaviour of ``torch.nn.LazyBatchNorm2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LazyBatchNorm2d()(rustnn.ones(2, 3, 2, 2)).shape
        torch.Size([2, 3, 2, 2])
    """

    cls_to_become = BatchNorm2d
    _check_input_dim = BatchNorm2d._check_input_dim


class LazyBatchNorm3d(_LazyNormBase, _BatchNorm):
    """A :class:`BatchNorm3d` that takes num_features from its first input, and then is a plain ``BatchNorm3d``.

    Args: those of :class:`BatchNorm3d` without num_features.
    Shapes: as :class:`BatchNorm3d`.
    Source: behaviour of ``torch.nn.LazyBatchNorm3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LazyBatchNorm3d()(rustnn.ones(2, 3, 2, 2, 2)).shape
        torch.Size([2, 3, 2, 2, 2])
    """

    cls_to_become = BatchNorm3d
    _check_input_dim = BatchNorm3d._check_input_dim


class SyncBatchNorm(_BatchNorm):
    """Batch normalisation for any number of spatial dimensions, under the name that distributed programs use.

        y = (x - E[x]) / √(Var[x] + eps) · weight + bias

    Statistics are those of this process: there is one process here, so nothing is exchanged.

    Args:
        process_group: kept for PyTorch's signature.
        num_features, eps, momentum, affine, track_running_stats, device, dtype, bias: as for :class:`BatchNorm1d`.
    Shapes: (N, C, *) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError for an input of rank below 2 or without channels.
    Source: behaviour of ``torch.nn.SyncBatchNorm`` in a single process.
    Example:
        >>> from rustnn import nn
        >>> type(nn.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm1d(2)))[0]).__name__
        'SyncBatchNorm'
    """

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=True,
        track_running_stats=True,
        process_group=None,
        device=None,
        dtype=None,
        *,
        bias=True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check_input_dim(self, input) -> None:
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")
        if input.size(1) == 0:
            raise ValueError("SyncBatchNorm number of input channels should be non-zero")

    @classmethod
    def convert_sync_batchnorm(cls, module, process_group=None):
        """Replace every batch normalisation in ``module`` by this class, keeping parameters and statistics.

        Returns: the module, or its replacement if it is a batch normalisation itself.
        """
        result = module
        if isinstance(module, _BatchNorm):
            result = cls(
                module.num_features,
                module.eps,
                module.momentum,
                module.affine,
                module.track_running_stats,
                process_group,
                bias=module.bias is not None,
            )
            if module.affine:
                result.weight = module.weight
                if module.bias is not None:
                    result.bias = module.bias
            result.running_mean = module.running_mean
            result.running_var = module.running_var
            result.num_batches_tracked = module.num_batches_tracked
            result.training = module.training
        for name, child in module.named_children():
            result.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return result
