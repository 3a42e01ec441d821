"""Switches of CUDA's libraries, which are not here: they are remembered and change nothing."""

__all__ = ["SDPAParams", "can_use_cudnn_attention", "can_use_efficient_attention", "can_use_flash_attention"]
__all__ += ["sdp_kernel"]
__all__ += ["cudnn_sdp_enabled", "enable_cudnn_sdp", "enable_flash_sdp", "enable_math_sdp", "enable_mem_efficient_sdp"]
__all__ += ["flash_sdp_enabled", "is_built", "math_sdp_enabled", "matmul", "mem_efficient_sdp_enabled"]


class _Matmul:
    """Whether products may be computed in fewer bits."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True
    allow_fp16_accumulation = False


matmul = _Matmul()
_sdp = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}


class SDPAParams:
    """What attention is asked to compute: tensors and options.

    Args:
        query, key, value, attn_mask, dropout, is_causal, enable_gqa: as of ``scaled_dot_product_attention``.
    """

    def __init__(self, query, key, value, attn_mask, dropout, is_causal, enable_gqa):
        self.query, self.key, self.value, self.attn_mask = query, key, value, attn_mask
        self.dropout, self.is_causal, self.enable_gqa = dropout, is_causal, enable_gqa


def _cannot(name):
    def can_use(params, debug=False):
        if not isinstance(params, SDPAParams):
            raise TypeError(f"{name}(): argument 'params' must be SDPAParams, not {type(params).__name__}")
        if debug:
            import warnings

            warnings.warn(
                f"All tensors need to be on cuda device. Got query on device: {params.query.device}, key on device: "
                f"{params.key.device}, value on device: {params.value.device}",
                stacklevel=2,
            )
        return False

    can_use.__name__ = can_use.__qualname__ = name
    can_use.__doc__ = "Whether CUDA has a kernel for it: there is no CUDA."
    return can_use


can_use_flash_attention, can_use_efficient_attention, can_use_cudnn_attention = map(
    _cannot, ("can_use_flash_attention", "can_use_efficient_attention", "can_use_cudnn_attention")
)


class sdp_kernel:
    """A context in which only some of CUDA's kernels may be used, as :func:`enable_flash_sdp` and the others say.

    Results agree whichever it is; PyTorch calls it deprecated.
    """

    def __init__(self, enable_flash=True, enable_math=True, enable_mem_efficient=True, enable_cudnn=True):
        self._inside = {
            "flash": enable_flash, "mem_efficient": enable_mem_efficient, "math": enable_math, "cudnn": enable_cudnn,
        }  # fmt: skip

    def __enter__(self):
        self._before = dict(_sdp)
        _sdp.update({kind: bool(enabled) for kind, enabled in self._inside.items()})
        return {}

    def __exit__(self, *exception):
        _sdp.update(self._before)
        return False


def __getattr__(name):
    if name == "SDPBackend":
        from ..nn.attention import SDPBackend

        return SDPBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def is_built():
    """Whether this was built with CUDA: no."""
    return False


def _pair(kind):
    def is_enabled():
        return _sdp[kind]

    def enable(enabled):
        _sdp[kind] = bool(enabled)

    is_enabled.__doc__ = f"Whether the {kind} kernel of CUDA's attention was left on."
    enable.__doc__ = f"Remember whether CUDA's {kind} kernel of attention may be used."
    is_enabled.__name__, enable.__name__ = f"{kind}_sdp_enabled", f"enable_{kind}_sdp"
    return is_enabled, enable


flash_sdp_enabled, enable_flash_sdp = _pair("flash")
mem_efficient_sdp_enabled, enable_mem_efficient_sdp = _pair("mem_efficient")
math_sdp_enabled, enable_math_sdp = _pair("math")
cudnn_sdp_enabled, enable_cudnn_sdp = _pair("cudnn")
