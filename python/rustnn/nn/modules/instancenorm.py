"""Instance normalisation for 1 to 3 spatial dimensions, and its lazy forms."""

from __future__ import annotations

import warnings

from rustnn.nn import functional as F
from rustnn.nn.modules.batchnorm import _LazyNormBase, _NormBase

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _InstanceNorm(_NormBase):
    # Rank of a single sample: channels and spatial dimensions.
    _sample_rank = 0

    def __init__(
        self,
        num_features,
        eps=1e-5,
        momentum=0.1,
        affine=False,
        track_running_stats=False,
        device=None,
        dtype=None,
        *,
        bias=True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def _get_no_batch_dim(self) -> int:
        return self._sample_rank

    def _check_input_dim(self, input) -> None:
        rank = self._sample_rank
        if input.dim() not in (rank, rank + 1):
            raise ValueError(f"expected {rank}D or {rank + 1}D input (got {input.dim()}D input)")

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ) -> None:
        if local_metadata.get("version", None) is None and not self.track_running_stats:
            found = [prefix + name for name in ("running_mean", "running_var") if prefix + name in state_dict]
            if found:
                names = " and ".join(f'"{key}"' for key in found)
                kind = type(self).__name__
                error_msgs.append(
                    f"Unexpected running stats buffer(s) {names} for {kind} with track_running_stats=False. If "
                    f"state_dict is a checkpoint saved before 0.4.0, this may be expected because {kind} does not "
                    "track running stats by default since 0.4.0. Please remove these keys from state_dict. If the "
                    f"running stats are actually needed, instead set track_running_stats=True in {kind} to enable "
                    "them. See the documentation of "
                    f"{kind} for details."
                )
                for key in found:
                    state_dict.pop(key)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def forward(self, input):
        self._check_input_dim(input)
        channel_dim = input.dim() - self._get_no_batch_dim()
        if input.size(channel_dim) != self.num_features:
            if self.affine:
                raise ValueError(
                    f"expected input's size at dim={channel_dim} to match num_features ({self.num_features}), but got: "
                    f"{input.size(channel_dim)}."
                )
            warnings.warn(
                f"input's size at dim={channel_dim} does not match num_features. You can silence this warning by not "
                "passing in num_features, which is not used because affine=False",
                stacklevel=2,
            )
        single = channel_dim == 0
        result = F.instance_norm(
            input.unsqueeze(0) if single else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum,
            self.eps,
        )
        return result.squeeze(0) if single else result


class InstanceNorm1d(_InstanceNorm):
    """Returns signals with each channel of each sample normalised over its length.

        y = (x - E[x]) / √(Var[x] + eps) · weight + bias

    Args:
        num_features: number of channels C.
        eps: added to the (biased) variance, in its unit.
        momentum: weight of the newest batch in the running statistics.
        affine: whether there are weight and bias.
        track_running_stats: keep running statistics, and use them in evaluation.
        device, dtype: of the parameters and buffers.
        bias: False leaves out the shift (with affine).
    Shapes: (N, C, L) or (C, L) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError for an input of another rank, another number of channels (if affine), or a length of 1 in
        training.
    Source: Ulyanov et al. 2016; behaviour of ``torch.nn.InstanceNorm1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.InstanceNorm1d(1)(rustnn.tensor([[0.0, 2.0]])).round().tolist()
        [[-1.0, 1.0]]
    """

    _sample_rank = 2


class InstanceNorm2d(_InstanceNorm):
    """Returns images with each channel of each sample normalised over both spatial dimensions.

        y = (x - E[x]) / √(Var[x] + eps) · weight + bias

    Args: those of :class:`InstanceNorm1d`.
    Shapes: (N, C, H, W) or (C, H, W) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError as :class:`InstanceNorm1d`.
    Source: Ulyanov et al. 2016; behaviour of ``torch.nn.InstanceNorm2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.InstanceNorm2d(3, affine=True)(rustnn.ones(2, 3, 4, 4)).shape
        torch.Size([2, 3, 4, 4])
    """

    _sample_rank = 3


class InstanceNorm3d(_InstanceNorm):
    """Returns volumes with each channel of each sample normalised over the three spatial dimensions.

        y = (x - E[x]) / √(Var[x] + eps) · weight + bias

    Args: those of :class:`InstanceNorm1d`.
    Shapes: (N, C, D, H, W) or (C, D, H, W) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError as :class:`InstanceNorm1d`.
    Source: Ulyanov et al. 2016; behaviour of ``torch.nn.InstanceNorm3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.InstanceNorm3d(3)(rustnn.ones(2, 3, 4, 4, 4)).shape
        torch.Size([2, 3, 4, 4, 4])
    """

    _sample_rank = 4


class LazyInstanceNorm1d(_LazyNormBase, _InstanceNorm):
    """An :class:`InstanceNorm1d` that takes num_features from its first input, and then is a plain ``InstanceNorm1d``.

    Args: those of :class:`InstanceNorm1d` without num_features, affine and track_running_stats on by default.
    Shapes: (N, C, L) -> the same.
    Source: behaviour of ``torch.nn.LazyInstanceNorm1d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LazyInstanceNorm1d()(rustnn.ones(2, 3, 4)).shape
        torch.Size([2, 3, 4])
    """

    cls_to_become = InstanceNorm1d
    _sample_rank = 2


class LazyInstanceNorm2d(_LazyNormBase, _InstanceNorm):
    """An :class:`InstanceNorm2d` that takes num_features from its first input, and then is a plain ``InstanceNorm2d``.

    Args: those of :class:`InstanceNorm2d` without num_features, affine and track_running_stats on by default.
    Shapes: (N, C, H, W) -> the same.
    Source: behaviour of ``torch.nn.LazyInstanceNorm2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LazyInstanceNorm2d()(rustnn.ones(2, 3, 4, 4)).shape
        torch.Size([2, 3, 4, 4])
    """

    cls_to_become = InstanceNorm2d
    _sample_rank = 3


class LazyInstanceNorm3d(_LazyNormBase, _InstanceNorm):
    """An :class:`InstanceNorm3d` that takes num_features from its first input, and then is a plain ``InstanceNorm3d``.

    Args: those of :class:`InstanceNorm3d` without num_features, affine and track_running_stats on by default.
    Shapes: (N, C, D, H, W) -> the same.
    Source: behaviour of ``torch.nn.LazyInstanceNorm3d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LazyInstanceNorm3d()(rustnn.ones(2, 3, 4, 4, 4)).shape
        torch.Size([2, 3, 4, 4, 4])
    """

    cls_to_become = InstanceNorm3d
    _sample_rank = 4
