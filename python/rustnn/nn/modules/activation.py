"""Nonlinear functions as layers, and multi-head attention."""

from __future__ import annotations

import warnings

from rustnn import _core
from rustnn.nn import functional as F
from rustnn.nn import init as _init
from rustnn.nn.modules.linear import NonDynamicallyQuantizableLinear
from rustnn.nn.modules.module import Module
from rustnn.nn.parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "MultiheadAttention",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class Threshold(Module):
    """Returns x where it is above a threshold, a fixed value elsewhere.

        y = x if x > threshold else value

    Args:
        threshold, value: the numbers in the formula.
        inplace: write the result into the input.
    Shapes: (*) -> (*). Dtypes: real; result as input.
    Source: behaviour of ``torch.nn.Threshold``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Threshold(0.1, 20.0)(rustnn.tensor([0.0, 1.0])).tolist()
        [20.0, 1.0]
    """

    __constants__ = ["threshold", "value", "inplace"]

    def __init__(self, threshold, value, inplace=False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input):
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def extra_repr(self) -> str:
        return f"threshold={self.threshold}, value={self.value}{', inplace=True' if self.inplace else ''}"


class _WithInplace(Module):
    """An activation whose only argument is ``inplace``."""

    __constants__ = ["inplace"]

    def __init__(self, inplace=False) -> None:
        super().__init__()
        self.inplace = inplace

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class ReLU(_WithInplace):
    """Returns the positive part.

        y = max(x, 0)

    Args:
        inplace: write the result into the input.
    Shapes: (*) -> (*). Dtypes: real; result as input.
    Source: behaviour of ``torch.nn.ReLU``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ReLU()(rustnn.tensor([-1.0, 2.0])).tolist()
        [0.0, 2.0]
    """

    def forward(self, input):
        return F.relu(input, inplace=self.inplace)


class RReLU(Module):
    """Returns x, negative values multiplied by a slope drawn anew for each in training.

        y = x if x ≥ 0 else a x,  a uniform in [lower, upper], or its middle in evaluation

    Args:
        lower, upper: bounds of the slope.
        inplace: write the result into the input.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: Xu et al. 2015; behaviour of ``torch.nn.RReLU``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.RReLU(0.25, 0.75).eval()(rustnn.tensor([-2.0, 2.0])).tolist()
        [-1.0, 2.0]
    """

    __constants__ = ["lower", "upper", "inplace"]

    def __init__(self, lower=1.0 / 8, upper=1.0 / 3, inplace=False) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input):
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}{', inplace=True' if self.inplace else ''}"


class Hardtanh(Module):
    """Returns x cut to an interval.

        y = min(max(x, min_val), max_val)

    Args:
        min_val, max_val: the interval.
        inplace: write the result into the input.
        min_value, max_value: deprecated names of min_val and max_val.
    Shapes: (*) -> (*). Dtypes: real; result as input.
    Raises: AssertionError if max_val is not greater than min_val.
    Source: behaviour of ``torch.nn.Hardtanh``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Hardtanh(-2, 2)(rustnn.tensor([-3.0, 0.5])).tolist()
        [-2.0, 0.5]
    """

    __constants__ = ["min_val", "max_val", "inplace"]

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False, min_value=None, max_value=None) -> None:
        super().__init__()
        if min_value is not None:
            warnings.warn(
                "keyword argument `min_value` is deprecated and renamed to `min_val`", FutureWarning, stacklevel=2
            )
            min_val = min_value
        if max_value is not None:
            warnings.warn(
                "keyword argument `max_value` is deprecated and renamed to `max_val`", FutureWarning, stacklevel=2
            )
            max_val = max_value
        self.min_val = min_val
        self.max_val = max_val
        self.inplace = inplace
        if self.max_val <= self.min_val:
            raise AssertionError(f"max_val ({self.max_val}) must be greater than min_val ({self.min_val})")

    def forward(self, input):
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def extra_repr(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}{', inplace=True' if self.inplace else ''}"


class ReLU6(Hardtanh):
    """Returns x cut to [0, 6].

        y = min(max(x, 0), 6)

    Args:
        inplace: write the result into the input.
    Shapes: (*) -> (*). Dtypes: real; result as input.
    Source: behaviour of ``torch.nn.ReLU6``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ReLU6()(rustnn.tensor([-1.0, 8.0])).tolist()
        [0.0, 6.0]
    """

    def __init__(self, inplace=False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        return "inplace=True" if self.inplace else ""


class Sigmoid(Module):
    """Returns the logistic function.

        y = 1 / (1 + exp(-x))

    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.Sigmoid``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Sigmoid()(rustnn.zeros(1)).tolist()
        [0.5]
    """

    def forward(self, input):
        return F.sigmoid(input)


class Hardsigmoid(_WithInplace):
    """Returns a piecewise linear sigmoid.

        y = min(max(x / 6 + 1/2, 0), 1)

    Args:
        inplace: write the result into the input.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.Hardsigmoid``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Hardsigmoid()(rustnn.tensor([-4.0, 0.0])).tolist()
        [0.0, 0.5]
    """

    def forward(self, input):
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class Tanh(Module):
    """Returns the hyperbolic tangent.

        y = (exp(x) - exp(-x)) / (exp(x) + exp(-x))

    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.Tanh``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Tanh()(rustnn.zeros(1)).tolist()
        [0.0]
    """

    def forward(self, input):
        return F.tanh(input)


class SiLU(_WithInplace):
    """Returns x times its logistic function, also called swish.

        y = x / (1 + exp(-x))

    Args:
        inplace: write the result into the input.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: Elfwing et al. 2017; behaviour of ``torch.nn.SiLU``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.SiLU()(rustnn.zeros(1)).tolist()
        [0.0]
    """

    def forward(self, input):
        return F.silu(input, inplace=self.inplace)


class Mish(_WithInplace):
    """Returns x times the hyperbolic tangent of its softplus.

        y = x tanh(log(1 + exp(x)))

    Args:
        inplace: write the result into the input.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: Misra 2019; behaviour of ``torch.nn.Mish``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Mish()(rustnn.zeros(1)).tolist()
        [0.0]
    """

    def forward(self, input):
        return F.mish(input, inplace=self.inplace)


class Hardswish(_WithInplace):
    """Returns x times its :class:`Hardsigmoid`.

        y = x min(max(x + 3, 0), 6) / 6

    Args:
        inplace: write the result into the input.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: Howard et al. 2019; behaviour of ``torch.nn.Hardswish``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Hardswish()(rustnn.tensor([0.0, 4.0])).tolist()
        [0.0, 4.0]
    """

    def forward(self, input):
        return F.hardswish(input, self.inplace)

    def extra_repr(self) -> str:
        return ""


class _WithAlpha(Module):
    """An activation with ``alpha`` and ``inplace``."""

    __constants__ = ["alpha", "inplace"]

    def __init__(self, alpha=1.0, inplace=False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}{', inplace=True' if self.inplace else ''}"


class ELU(_WithAlpha):
    """Returns x, negative values on an exponential that tends to -alpha.

        y = x if x > 0 else alpha (exp(x) - 1)

    Args:
        alpha: minus the limit.
        inplace: write the result into the input.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: Clevert et al. 2015; behaviour of ``torch.nn.ELU``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.ELU()(rustnn.tensor([-100.0, 2.0])).tolist()
        [-1.0, 2.0]
    """

    def forward(self, input):
        return F.elu(input, self.alpha, self.inplace)


class CELU(_WithAlpha):
    """Returns an ELU that is smooth for every alpha.

        y = max(0, x) + min(0, alpha (exp(x / alpha) - 1))

    Args:
        alpha: minus the limit.
        inplace: write the result into the input.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: Barron 2017; behaviour of ``torch.nn.CELU``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.CELU(2.0)(rustnn.tensor([-200.0, 2.0])).tolist()
        [-2.0, 2.0]
    """

    def forward(self, input):
        return F.celu(input, self.alpha, self.inplace)


class SELU(_WithInplace):
    """Returns a scaled ELU whose constants keep mean 0 and variance 1.

        y = 1.0507… (max(0, x) + min(0, 1.6733… (exp(x) - 1)))

    Args:
        inplace: write the result into the input.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: Klambauer et al. 2017; behaviour of ``torch.nn.SELU``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.SELU()(rustnn.zeros(1)).tolist()
        [0.0]
    """

    def forward(self, input):
        return F.selu(input, self.inplace)


class GLU(Module):
    """Returns the first half of a dimension, gated by the second.

        y = a sigmoid(b),  [a, b] the halves of x along dim

    Args:
        dim: the dimension that is halved.
    Shapes: (*, n, *) -> (*, n/2, *). Dtypes: floating point; result as input.
    Raises: RuntimeError if n is odd.
    Source: Dauphin et al. 2016; behaviour of ``torch.nn.GLU``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.GLU()(rustnn.tensor([2.0, 0.0])).tolist()
        [1.0]
    """

    __constants__ = ["dim"]

    def __init__(self, dim=-1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input):
        return F.glu(input, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class GELU(Module):
    """Returns x times the probability that a standard normal value is below it.

        y = x Φ(x);  with approximate="tanh": y = x/2 (1 + tanh(√(2/π) (x + 0.044715 x³)))

    Args:
        approximate: ``"none"`` or ``"tanh"``.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: Hendrycks & Gimpel 2016; behaviour of ``torch.nn.GELU``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.GELU()(rustnn.zeros(1)).tolist()
        [0.0]
    """

    __constants__ = ["approximate"]

    def __init__(self, approximate="none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input):
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class _WithLambda(Module):
    """A shrinking function with its bound ``lambd``."""

    __constants__ = ["lambd"]

    def __init__(self, lambd=0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        return str(self.lambd)


class Hardshrink(_WithLambda):
    """Returns x, small values set to zero.

        y = 0 if |x| ≤ lambd else x

    Args:
        lambd: the bound.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.Hardshrink``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Hardshrink()(rustnn.tensor([0.3, 0.75])).tolist()
        [0.0, 0.75]
    """

    def forward(self, input):
        return F.hardshrink(input, self.lambd)


class LeakyReLU(Module):
    """Returns x, negative values multiplied by a small slope.

        y = max(0, x) + negative_slope min(0, x)

    Args:
        negative_slope: the slope.
        inplace: write the result into the input.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.LeakyReLU``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LeakyReLU(0.5)(rustnn.tensor([-2.0, 2.0])).tolist()
        [-1.0, 2.0]
    """

    __constants__ = ["inplace", "negative_slope"]

    def __init__(self, negative_slope=1e-2, inplace=False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input):
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}{', inplace=True' if self.inplace else ''}"


class LogSigmoid(Module):
    """Returns the logarithm of the logistic function, computed without overflow.

        y = -log(1 + exp(-x))

    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.LogSigmoid``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LogSigmoid()(rustnn.tensor([-1000.0])).tolist()
        [-1000.0]
    """

    def forward(self, input):
        return F.logsigmoid(input)


class Softplus(Module):
    """Returns a smooth form of ReLU.

        y = log(1 + exp(beta x)) / beta, and x itself where beta x > threshold

    Args:
        beta: sharpness.
        threshold: of beta x.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.Softplus``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Softplus()(rustnn.tensor([50.0])).tolist()
        [50.0]
    """

    __constants__ = ["beta", "threshold"]

    def __init__(self, beta=1.0, threshold=20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input):
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        return f"beta={self.beta}, threshold={self.threshold}"


class Softshrink(_WithLambda):
    """Returns x moved towards zero.

        y = x - lambd if x > lambd, x + lambd if x < -lambd, else 0

    Args:
        lambd: how far, ≥ 0.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.Softshrink``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Softshrink()(rustnn.tensor([0.25, 0.75])).tolist()
        [0.0, 0.25]
    """

    def forward(self, input):
        return F.softshrink(input, self.lambd)


class MultiheadAttention(Module):
    """Returns attention of several heads over projected queries, keys and values.

        head_i = softmax(Q W_iᵠ (K W_iᵏ)ᵀ / √d) V W_iᵛ;  y = [head_1 … head_h] W_outᵀ + b_out

    Args:
        embed_dim: length E of queries and outputs; num_heads divides it.
        num_heads: number of heads h, d = E / h.
        dropout: probability of dropping an attention weight in training.
        bias: whether the projections add a bias.
        add_bias_kv: learn one more key and value.
        add_zero_attn: add a key and value of zeros.
        kdim, vdim: lengths of keys and values, E by default.
        batch_first: whether inputs are (N, L, E) instead of (L, N, E).
        device, dtype: of the parameters.
    Shapes: query (L, N, E), key (S, N, kdim), value (S, N, vdim) -> (L, N, E) and weights (N, L, S), averaged over
        heads, or None with ``need_weights=False``; without N for single samples. ``key_padding_mask`` (N, S) and
        ``attn_mask`` (L, S)
        or (N·h, L, S): True or -inf hides a position.
    Raises: ValueError or AssertionError for sizes that do not fit.
    Source: Vaswani et al. 2017; behaviour of ``torch.nn.MultiheadAttention``.
    Example:
        >>> import rustnn
        >>> attention = rustnn.nn.MultiheadAttention(8, 2, batch_first=True)
        >>> x = rustnn.ones(3, 5, 8)
        >>> output, weights = attention(x, x, x)
        >>> output.shape, weights.shape
        (torch.Size([3, 5, 8]), torch.Size([3, 5, 5]))
    """

    __constants__ = ["batch_first"]

    def __init__(
        self,
        embed_dim,
        num_heads,
        dropout=0.0,
        bias=True,
        add_bias_kv=False,
        add_zero_attn=False,
        kdim=None,
        vdim=None,
        batch_first=False,
        device=None,
        dtype=None,
    ) -> None:
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                "embed_dim and num_heads must be greater than 0, got "
                f"embed_dim={embed_dim} and num_heads={num_heads} instead"
            )
        super().__init__()
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        if self.head_dim * num_heads != embed_dim:
            raise AssertionError("embed_dim must be divisible by num_heads")

        def new(*shape):
            return Parameter(_core.empty(shape, device=device, dtype=dtype))

        if self._qkv_same_embed_dim:
            self.in_proj_weight = new(3 * embed_dim, embed_dim)
            for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
                self.register_parameter(name, None)
        else:
            self.q_proj_weight = new(embed_dim, embed_dim)
            self.k_proj_weight = new(embed_dim, self.kdim)
            self.v_proj_weight = new(embed_dim, self.vdim)
            self.register_parameter("in_proj_weight", None)
        if bias:
            self.in_proj_bias = new(3 * embed_dim)
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        if add_bias_kv:
            self.bias_k = new(1, 1, embed_dim)
            self.bias_v = new(1, 1, embed_dim)
        else:
            self.bias_k = self.bias_v = None
        self.add_zero_attn = add_zero_attn
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                _init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            _init.constant_(self.in_proj_bias, 0.0)
            _init.constant_(self.out_proj.bias, 0.0)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                _init.xavier_normal_(extra)

    def __setstate__(self, state) -> None:
        state.setdefault("_qkv_same_embed_dim", True)
        super().__setstate__(state)

    def forward(
        self,
        query,
        key,
        value,
        key_padding_mask=None,
        need_weights=True,
        attn_mask=None,
        average_attn_weights=True,
        is_causal=False,
    ):
        swap = self.batch_first and query.dim() == 3
        if swap:
            # The same object stays the same object: the projection then is one product.
            swapped = {id(x): x.transpose(1, 0) for x in (query, key, value)}
            query, key, value = swapped[id(query)], swapped[id(key)], swapped[id(value)]
        output, weights = F.multi_head_attention_forward(
            query,
            key,
            value,
            self.embed_dim,
            self.num_heads,
            self.in_proj_weight,
            self.in_proj_bias,
            self.bias_k,
            self.bias_v,
            self.add_zero_attn,
            self.dropout,
            self.out_proj.weight,
            self.out_proj.bias,
            training=self.training,
            key_padding_mask=key_padding_mask,
            need_weights=need_weights,
            attn_mask=attn_mask,
            use_separate_proj_weight=not self._qkv_same_embed_dim,
            q_proj_weight=self.q_proj_weight,
            k_proj_weight=self.k_proj_weight,
            v_proj_weight=self.v_proj_weight,
            average_attn_weights=average_attn_weights,
            is_causal=is_causal,
        )
        return (output.transpose(1, 0) if swap else output), weights


class PReLU(Module):
    """Returns x, negative values multiplied by a learned slope.

        y = max(0, x) + weight min(0, x)

    Args:
        num_parameters: 1, or the number of channels (dimension 1).
        init: the slope at first.
        device, dtype: of the slope.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: He et al. 2015; behaviour of ``torch.nn.PReLU``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.PReLU()(rustnn.tensor([-4.0, 2.0])).tolist()
        [-1.0, 2.0]
    """

    __constants__ = ["num_parameters"]

    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(_core.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the slopes to ``init``."""
        _init.constant_(self.weight, self.init)

    def forward(self, input):
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"


class Softsign(Module):
    """Returns x divided by one more than its size.

        y = x / (1 + |x|)

    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.Softsign``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Softsign()(rustnn.tensor([-1.0, 3.0])).tolist()
        [-0.5, 0.75]
    """

    def forward(self, input):
        return F.softsign(input)


class Tanhshrink(Module):
    """Returns what the hyperbolic tangent takes away.

        y = x - tanh(x)

    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.Tanhshrink``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Tanhshrink()(rustnn.zeros(1)).tolist()
        [0.0]
    """

    def forward(self, input):
        return F.tanhshrink(input)


class _WithDim(Module):
    """A function along ``dim``; without it PyTorch's old choice applies, with a warning."""

    __constants__ = ["dim"]

    def __init__(self, dim=None) -> None:
        super().__init__()
        self.dim = dim

    def __setstate__(self, state) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("dim", None)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class Softmin(_WithDim):
    """Returns the softmax of -x.

        y_i = exp(-x_i) / Σ_j exp(-x_j)

    Args:
        dim: the dimension of the sum.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.Softmin``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Softmin(dim=0)(rustnn.zeros(2)).tolist()
        [0.5, 0.5]
    """

    def forward(self, input):
        return F.softmin(input, self.dim, _stacklevel=5)


class Softmax(_WithDim):
    """Returns positive values that sum to 1 along a dimension.

        y_i = exp(x_i) / Σ_j exp(x_j)

    Args:
        dim: the dimension of the sum.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.Softmax``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Softmax(dim=1)(rustnn.zeros(1, 4)).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """

    def forward(self, input):
        return F.softmax(input, self.dim, _stacklevel=5)


class Softmax2d(Module):
    """Returns the softmax over the channels at each place of an image.

        y_c = exp(x_c) / Σ_d exp(x_d)

    Shapes: (N, C, H, W) or (C, H, W) -> the same. Dtypes: floating point; result as input.
    Raises: ValueError for an input of another rank.
    Source: behaviour of ``torch.nn.Softmax2d``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.Softmax2d()(rustnn.zeros(1, 2, 1, 1)).flatten().tolist()
        [0.5, 0.5]
    """

    def forward(self, input):
        if input.dim() not in (3, 4):
            raise ValueError(f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead")
        return F.softmax(input, -3, _stacklevel=5)


class LogSoftmax(_WithDim):
    """Returns the logarithm of the softmax, computed without cancellation.

        y_i = x_i - log Σ_j exp(x_j)

    Args:
        dim: the dimension of the sum.
    Shapes: (*) -> (*). Dtypes: floating point; result as input.
    Source: behaviour of ``torch.nn.LogSoftmax``.
    Example:
        >>> import rustnn
        >>> rustnn.nn.LogSoftmax(dim=0)(rustnn.tensor([3.0])).tolist()
        [0.0]
    """

    def forward(self, input):
        return F.log_softmax(input, self.dim, _stacklevel=5)
