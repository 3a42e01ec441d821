"""The op test table: one line per op, read by every test of ops.

A line says how the op is called on a torch-like module, with which inputs, how near to PyTorch the result has to be (in
units in the last place) and which forms it has. From this table come

- tests/record_golden.py: PyTorch's values and gradients, in tests/golden/ops/ (the Rust tests read the same files),
- tests/test_ops.py: rustnn against those files, gradient checks, forms, dtype and meta-device rules; no PyTorch,
- tests/parity/test_ops_live.py: the same lines on other numbers and shapes, against PyTorch itself,
- benches/ops.py: the `large` sample of each line.

A new op needs a line here; tests/test_ops_complete.py fails without one.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8")
DTYPES = (*FLOATS, *INTEGERS, "bool")
# Distance from 1 to the next number.
EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
# Smallest subnormal: the spacing of numbers around zero.
TINY = {"float64": 2.0**-1074, "float32": 2.0**-149, "float16": 2.0**-24, "bfloat16": 2.0**-133}


@dataclass(frozen=True)
class Input:
    """One tensor of a sample: how its numbers are drawn and how they lie in memory.

    Layouts: "contiguous"; "transposed" (last two dimensions swapped in memory); "strided" (every second element of the
    last dimension); "offset" (starts inside a larger storage); "expanded" (first dimension has stride 0).
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    low: float = -2.0
    high: float = 2.0
    values: tuple | None = None
    layout: str = "contiguous"
    distinct: bool = False  # no two elements equal: what sorting and max need for one right answer
    grad: bool = True

    def numbers(self, random: np.random.RandomState) -> np.ndarray:
        """The numbers as float64, int64 or bool, in logical order; rounded to the dtype only when the tensor is made."""
        if self.values is not None:
            kind = np.float64 if self.dtype in FLOATS else bool if self.dtype == "bool" else np.int64
            return np.array(self.values, dtype=kind).reshape(self.shape)
        count = int(np.prod(self.shape, dtype=np.int64))
        if self.dtype == "bool":
            numbers = random.randint(0, 2, count).astype(bool)
        elif self.dtype in INTEGERS:
            low, high = int(self.low), int(self.high)
            numbers = random.permutation(count) % (high - low) + low if self.distinct else random.randint(low, high, count)
        elif self.distinct:
            numbers = self.low + (self.high - self.low) * (random.permutation(count) + 0.5) / max(count, 1)
        else:
            numbers = random.uniform(self.low, self.high, count)
        numbers = numbers.reshape(self.shape)
        if self.layout == "expanded":
            numbers = np.broadcast_to(numbers[:1], self.shape)
        return numbers

    def build(self, t: Any, numbers: np.ndarray) -> Any:
        """The tensor of module `t`: those numbers in this dtype and layout."""
        dtype = getattr(t, self.dtype)
        make = lambda array: t.tensor(np.array(array, order="C")).to(dtype)  # noqa: E731
        if self.layout == "transposed":
            return make(np.swapaxes(numbers, -1, -2)).transpose(-1, -2)
        if self.layout == "strided":
            return make(np.repeat(numbers, 2, axis=-1))[..., ::2]
        if self.layout == "offset":
            return make(np.concatenate([numbers[:1], numbers], axis=0))[1:]
        if self.layout == "expanded":
            return make(numbers[:1]).expand(self.shape)
        return make(numbers.reshape(-1)).reshape(self.shape) if numbers.size == 0 else make(numbers)


def F(*shape: int, lo: float = -2.0, hi: float = 2.0, **more: Any) -> Input:
    """Floats, uniform between `lo` and `hi`."""
    return Input(shape, "float32", lo, hi, **more)


def I(*shape: int, lo: int = -5, hi: int = 6, **more: Any) -> Input:  # noqa: E743
    """Integers from `lo` to `hi` - 1."""
    return replace(Input(shape, "int64", lo, hi), **more)


def B(*shape: int) -> Input:
    """True and false, evenly."""
    return Input(shape, "bool")


def V(*values: float, shape: tuple[int, ...] | None = None, dtype: str = "float32", **more: Any) -> Input:
    """These very values."""
    return Input(shape if shape is not None else (len(values),), dtype, values=values, **more)


@dataclass(frozen=True)
class Sample:
    """Arguments of one call; `Input`s stand where tensors go, also inside lists and tuples."""

    args: tuple
    kwargs: dict
    note: str = ""

    def inputs(self) -> list[Input]:
        found: list[Input] = []
        self.map(lambda x: found.append(x))
        return found

    def map(self, f: Callable[[Input], Any]) -> tuple[tuple, dict]:
        def walk(value: Any) -> Any:
            if isinstance(value, Input):
                return f(value)
            if isinstance(value, (list, tuple)):
                return type(value)(walk(item) for item in value)
            return value

        return tuple(walk(a) for a in self.args), {k: walk(v) for k, v in self.kwargs.items()}

    def cast(self, dtype: str) -> Sample:
        """The same call with every float32 input in another dtype."""
        swap = lambda x: replace(x, dtype=dtype) if x.dtype == "float32" else x  # noqa: E731
        args, kwargs = self.map(swap)
        return Sample(args, kwargs, dtype)

    def describe(self) -> str:
        """The call's arguments as text; a tensor is `float32[2, 3]`, with its layout where it is not contiguous."""

        def text(value: Any) -> str:
            if isinstance(value, Input):
                layout = "" if value.layout == "contiguous" else f" {value.layout}"
                return f"{value.dtype}{list(value.shape)}{layout}"
            if isinstance(value, (list, tuple)):
                brackets = "[]" if isinstance(value, list) else "()"
                return brackets[0] + ", ".join(text(item) for item in value) + brackets[1]
            return repr(value)

        return ", ".join([*(text(a) for a in self.args), *(f"{k}={text(v)}" for k, v in self.kwargs.items())])


def S(*args: Any, **kwargs: Any) -> Sample:
    return Sample(args, kwargs)


@dataclass(frozen=True, repr=False)
class Op:
    """One line of the table.

    ulp: how far a result may lie from PyTorch's, in units in the last place: of the number itself, or, where `scale` is
        "tensor" (sums, products), of the largest magnitude in the result.
    grad_ulp: the same for gradients, always on the tensor's scale.
    forms: which other ways to call it exist: "m" method, "i" in-place method `name_`, "o" `out=`.
    """

    name: str
    family: str
    call: Callable
    samples: tuple[Sample, ...]
    ulp: float = 0.0
    scale: str = "element"
    grad_ulp: float = 8.0
    forms: str = ""
    differentiable: bool = True
    meta: bool = True  # shape is known without data
    second: bool = True  # gradgradcheck holds
    numeric: bool = True  # differences in float64 mean something: not for a cast to a narrow dtype
    signs: bool = True  # the sign of a zero is defined; PyTorch's maximum gives either
    named: bool = True  # it is one node, named as PyTorch's, where its family is (see tests/test_ops.py)
    elementwise: int = 0  # number of tensors it takes elementwise; 0: it is not elementwise
    large: Sample | None = None
    dtypes: tuple[str, ...] = ("float64", "float16", "bfloat16")
    function: str = ""  # dotted path below the module, for `out=`

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def cases(self) -> Iterator[Case]:
        for index, sample in enumerate(self.samples):
            yield Case(self, f"{self.name}.{index}", sample)
        first = self.samples[0]
        if any(x.dtype == "float32" for x in first.inputs()):
            for dtype in self.dtypes:
                yield Case(self, f"{self.name}.0.{dtype}", first.cast(dtype))


@dataclass(frozen=True)
class Case:
    """One call of an op with its numbers drawn: the unit of the golden files, keyed by `key`."""

    op: Op
    key: str
    sample: Sample

    def numbers(self, seed: int = 0) -> list[np.ndarray]:
        random = np.random.RandomState((zlib.crc32(self.key.encode()) + seed) % 2**32)
        return [x.numbers(random) for x in self.sample.inputs()]

    def build(self, t: Any, numbers: list[np.ndarray], requires_grad: bool = False) -> tuple[tuple, dict, list]:
        """(args, kwargs, tensors) for module `t`."""
        tensors: list[Any] = []
        drawn = iter(numbers)

        def make(x: Input) -> Any:
            tensor = x.build(t, next(drawn))
            if requires_grad and x.grad and x.dtype in FLOATS:
                tensor = tensor.detach().requires_grad_() if x.layout == "contiguous" else tensor.requires_grad_()
            tensors.append(tensor)
            return tensor

        args, kwargs = self.sample.map(make)
        kwargs = {k: getattr(t, v[6:]) if isinstance(v, str) and v.startswith("dtype:") else v for k, v in kwargs.items()}
        return args, kwargs, tensors


def cotangent(shape: tuple[int, ...]) -> np.ndarray:
    """The dy of every gradient test: multiples of 1/8 between -1 and 1, exact in every float type."""
    count = int(np.prod(shape, dtype=np.int64))
    return ((np.arange(count) * 7 % 17 - 8) / 8.0).reshape(shape)


def flatten(value: Any) -> list:
    """The results of a call as a flat list: tuples and lists (also named ones) opened."""
    if isinstance(value, (list, tuple)):
        return [leaf for item in value for leaf in flatten(item)]
    return [value]


def find(t: Any, path: str) -> Any:
    for name in path.split("."):
        t = getattr(t, name)
    return t


OPS: dict[str, Op] = {}
_family = ""


def family(name: str) -> None:
    global _family
    _family = name


def op(name: str, call: Callable | None, *samples: Sample, function: str = "", **more: Any) -> None:
    """Adds a line. `function` is the dotted path of the function, `name` if not given; `call` defaults to calling it."""
    assert name not in OPS, name
    path = function or name
    call = call or (lambda t, *args, **kwargs: find(t, path)(*args, **kwargs))
    more.setdefault("large", samples[0])
    OPS[name] = Op(name, _family, call, samples, function=path, **more)


LARGE = (1024, 1024)
SPECIAL = (0.0, -0.0, 1.0, -1.0, float("inf"), -float("inf"), float("nan"), 1e-40, -1e-40, 1.5e-45)
SPECIAL += (1.1754944e-38, 3.4028235e38, -3.4028235e38, 0.5, -0.5, 88.5, -104.5, 1e-8, 6.0, -3.0, 2.5, 3.5)


def unary(name: str, lo: float = -3.0, hi: float = 3.0, *, kinks: tuple = (0.0, 1.0), ints: bool = True, bools: bool = True, **more: Any) -> None:
    """An elementwise function of one tensor. `kinks`: where the gradient is decided by convention."""
    f = lambda *shape, **layout: F(*shape, lo=lo, hi=hi, **layout)  # noqa: E731
    extra = more.pop("extra", ())
    samples = [S(f(67)), S(f()), S(f(0, 3)), S(f(5, 4, layout="transposed")), S(f(3, 5, layout="strided"))]
    samples += [S(f(3, 2, layout="expanded")), S(V(*SPECIAL, grad=False)), S(V(*kinks))]
    if ints:
        samples += [S(I(7, lo=max(int(lo), -5), hi=int(hi) + 1))]
    if ints and bools:
        samples += [S(B(5))]
    more.setdefault("forms", "mio" if "function" not in more else "")
    op(name, None, *samples, *extra, elementwise=1, large=S(f(*LARGE)), **{"ulp": 2, **more})


def binary(name: str, lo: float = -3.0, hi: float = 3.0, *, ints: bool = True, numbers: bool = True, special: bool = True, **more: Any) -> None:
    """An elementwise function of two tensors (or a tensor and a number)."""
    f = lambda *shape, **layout: F(*shape, lo=lo, hi=hi, **layout)  # noqa: E731
    extra = more.pop("extra", ())
    first = [a for a in SPECIAL[:14] for _ in SPECIAL[:14]]
    second = [b for _ in SPECIAL[:14] for b in SPECIAL[:14]]
    samples = [S(f(67), f(67)), S(f(3, 4), f(4)), S(f(3, 1), f(1, 4)), S(f(), f(2, 2)), S(f(2, 0), f(1, 1)), S(f(), f())]
    samples += [S(f(4, 3, layout="transposed"), f(4, 3)), S(f(3, 5, layout="strided"), f(5, layout="strided"))]
    if special:
        samples += [S(V(*first, grad=False), V(*second, grad=False))]
    if numbers:
        samples += [S(f(5), 1.5), S(f(5), 2)]
    if ints:
        low = max(int(lo), -5)
        samples += [S(I(9, lo=low, hi=6), I(9, lo=low or 1, hi=6)), S(I(4, lo=low, hi=6), f(4)), S(I(2, 3, lo=1), I(3, lo=1))]
    op(name, None, *samples, *extra, elementwise=2, large=S(f(*LARGE), f(*LARGE)), **{"forms": "mio", "ulp": 1, **more})


def comparison(name: str) -> None:
    """A comparison of two tensors (or a tensor and a number) with bool results."""
    equal = V(1.0, 2.0, -0.0, float("nan"), float("inf"))
    other = V(1.0, 3.0, 0.0, float("nan"), float("inf"))
    exact = [S(I(4), 2), S(V(2**53 + 1, 2**53, dtype="int64"), 2**53), S(B(4), B(4)), S(I(4), 1.5)]
    binary(name, forms="mo", ulp=0, differentiable=False, extra=[S(equal, other), *exact])


# ---------------------------------------------------------------------------------------------------- elementwise, one
family("elementwise")
unary("abs", bools=False, ulp=0, kinks=(0.0, -0.0, 1.0))
unary("neg", ulp=0, ints=False, extra=[S(I(5))])
unary("positive", ulp=0, ints=False, forms="m", extra=[S(I(5))])
unary("sign", ulp=0)
unary("sgn", ulp=0)
unary("signbit", dtypes=("float64", "float16"), ulp=0, forms="mo", differentiable=False)
unary("square", ulp=0)
unary("sqrt", 0.1, 4.0, ulp=1)
unary("rsqrt", 0.1, 4.0)
unary("reciprocal", 0.3, 4.0, ulp=1)
unary("exp", -5.0, 5.0)
unary("exp2", -5.0, 5.0)
unary("expm1", -5.0, 5.0)
unary("log", 0.1, 9.0)
unary("log2", 0.1, 9.0)
unary("log10", 0.1, 9.0)
unary("log1p", -0.9, 9.0)
unary("sin", -6.0, 6.0)
unary("cos", -6.0, 6.0)
unary("tan", -1.4, 1.4, ulp=4)
unary("asin", -0.95, 0.95, ulp=4, kinks=(0.0, 0.5))
unary("acos", -0.95, 0.95, ulp=4, kinks=(0.0, 0.5))
unary("atan", ulp=4)
unary("sinh", ulp=4)
unary("cosh", ulp=4)
unary("tanh", grad_ulp=16)
unary("asinh", ulp=4)
unary("acosh", 1.1, 5.0, ulp=4, kinks=(1.5, 2.0))
unary("atanh", -0.9, 0.9, ulp=4, kinks=(0.0, 0.5))
unary("sigmoid", -6.0, 6.0, ulp=3)
unary("erf", ulp=4, dtypes=("float64", "float16"))  # PyTorch gives 0 for bfloat16 below 1e-38
unary("erfc", ulp=8)
unary("erfinv", -0.95, 0.95, ulp=8, kinks=(0.0, 0.5))
unary("lgamma", 0.2, 8.0, ulp=8, grad_ulp=32, scale="tensor", kinks=(0.5, 3.0), second=False)
# PyTorch ends the series of its float64 gradient early: 1e-10 off.
unary("digamma", 0.2, 8.0, ulp=8, scale="tensor", kinks=(0.5, 3.0), second=False, dtypes=("float16", "bfloat16"))
unary("floor", bools=False, ulp=0)
unary("ceil", bools=False, ulp=0)
unary("round", bools=False, ulp=0, extra=[S(V(0.5, 1.5, 2.5, -0.5, -1.5)), S(F(9), decimals=1), S(F(9, lo=-300, hi=300), decimals=-2)])
unary("trunc", bools=False, ulp=0)
unary("frac", ulp=0, ints=False)
unary("isnan", ulp=0, forms="m", differentiable=False)
unary("isinf", ulp=0, forms="m", differentiable=False)
unary("isfinite", ulp=0, forms="m", differentiable=False)
unary("isposinf", ulp=0, forms="mo", differentiable=False)
unary("isneginf", ulp=0, forms="mo", differentiable=False)
unary("logical_not", ulp=0, forms="mio", differentiable=False)
unary("sinc", ulp=4, scale="tensor", grad_ulp=2048, dtypes=("float64",))  # the gradient cancels near 0
unary("deg2rad", ulp=1)
unary("rad2deg", ulp=1)
unary("nan_to_num", ulp=0, extra=[S(V(*SPECIAL, grad=False), nan=1.0, posinf=2.0, neginf=-2.0)])
op("bitwise_not", None, S(I(7)), S(B(5)), S(I(2, 3, layout="transposed")), forms="mio", elementwise=1, dtypes=(), large=S(I(*LARGE)))
op(
    "logit",
    None,
    *(S(F(67, lo=0.05, hi=0.95)), S(F(3, 2, lo=0.0, hi=1.0), eps=0.1), S(V(0.0, 1.0, -0.5, 1.5, grad=False))),
    ulp=4,
    forms="mio",
    elementwise=1,
    dtypes=("float64",),  # PyTorch rounds the odds to 16 bits before the logarithm
    large=S(F(*LARGE, lo=0.05, hi=0.95)),
)

# ---------------------------------------------------------------------------------------------------------- activations
family("activations")


def activation(name: str, *calls: dict, kinks: tuple = (0.0, 1.0), path: str = "", **more: Any) -> None:
    """An activation of nn.functional; `calls` are further keyword arguments to try."""
    extra = [S(F(9, lo=-4, hi=4), **kwargs) for kwargs in calls]
    more.setdefault("ulp", 4)
    unary(name, -4.0, 4.0, function=path or f"nn.functional.{name}", ints=False, kinks=kinks, extra=extra, **more)


unary("relu", signs=False, ulp=0, kinks=(0.0, -0.0), ints=False, forms="mi", extra=[S(I(5))])
activation("relu6", ulp=0, kinks=(0.0, 6.0, 7.0))
activation("elu", {"alpha": 0.5})
activation("selu", kinks=(0.0, -0.0, 2.0))
activation("celu", {"alpha": 0.5}, kinks=(0.0, -1.0))
activation("leaky_relu", {"negative_slope": 0.2}, ulp=1)
activation("gelu", {"approximate": "tanh"}, ulp=8, scale="tensor")
activation("silu")
activation("mish", scale="tensor")
activation("hardtanh", {"min_val": -0.5, "max_val": 2.0}, ulp=0, kinks=(-1.0, 0.0, 1.0))
activation("hardsigmoid", ulp=1, kinks=(-3.0, 0.0, 3.0), dtypes=("float16", "bfloat16"))  # PyTorch's 1/6 is a float32
activation("hardswish", ulp=1, kinks=(-3.0, 0.0, 3.0), scale="tensor")
activation("softplus", {"beta": 2.0, "threshold": 1.0}, scale="tensor")
activation("softsign")
activation("logsigmoid", scale="tensor")
activation("tanhshrink", scale="tensor")
activation("hardshrink", {"lambd": 1.0}, ulp=0, kinks=(-0.5, 0.0, 0.5))
activation("softshrink", {"lambd": 1.0}, ulp=0, kinks=(-0.5, 0.0, 0.5))
op(
    "threshold",
    None,
    *(S(F(67), 0.5, -7.0), S(V(0.5, 1.0, 0.4), 0.5, 2.0)),
    function="nn.functional.threshold",
    elementwise=1,
    large=S(F(*LARGE), 0.5, -7.0),
)
op(
    "prelu",
    None,
    *(S(F(3, 4, 5), F(1)), S(F(3, 4, 5), F(4)), S(F(6), F(1)), S(F(), F(1))),
    ulp=1,
    named=False,
    function="nn.functional.prelu",
    large=S(F(64, 64, 256), F(64)),
)
op(
    "glu",
    None,
    *(S(F(3, 6)), S(F(4, 3, 2), dim=0), S(F(2, 4, 3), dim=1)),
    ulp=4,
    named=False,
    function="nn.functional.glu",
    large=S(F(1024, 2048)),
)

# ---------------------------------------------------------------------------------------------------- elementwise, more
family("elementwise_binary")
_pairs = [S(F(3, 4), F(4), alpha=2), S(F(5), F(5), alpha=-0.5), S(I(5), I(5), alpha=3), S(V(2**53 + 1, dtype="int64"), 1)]
binary("add", ulp=0.5, extra=[*_pairs, S(B(4), B(4)), S(I(3), 1.5), S(I(3), True)])
binary("sub", ulp=0.5, extra=[*_pairs, S(I(3), 1.5)])
binary("mul", ulp=0.5, extra=[S(B(4), B(4)), S(I(3), 1.5), S(V(2**40 + 1, dtype="int64"), V(5, dtype="int64"))])
binary("div", 0.3, 3.0, ulp=0.5, extra=[S(F(9), F(9, lo=0.5), rounding_mode=mode) for mode in ("floor", "trunc")])
OPS["div"] = replace(
    OPS["div"],
    samples=(*OPS["div"].samples, S(I(9), I(9, lo=1), rounding_mode="floor"), S(I(9), I(9, lo=1), rounding_mode="trunc")),
)
binary("floor_divide", 0.3, 3.0, ulp=0, differentiable=False, extra=[S(I(9), I(9, lo=-6, hi=0)), S(F(9, lo=-5, hi=5), 0.7)])
_rest = [S(V(0.0, -0.0, 1.0, -1.0, float("inf"), float("nan"), 5.5, grad=False), V(x, grad=False)) for x in (2.0, -2.0, 0.0, float("inf"))]
binary("remainder", 0.3, 3.0, special=False, ulp=2, scale="tensor", extra=[*_rest, S(I(9), I(9, lo=-6, hi=0)), S(F(9, lo=-5, hi=5), 0.7), S(F(9), -0.7)])
# PyTorch rounds the quotient to bfloat16 before it truncates.
binary("fmod", 0.3, 3.0, special=False, ulp=2, grad_ulp=40, scale="tensor", extra=[*_rest, S(I(9), I(9, lo=-6, hi=0)), S(F(9, lo=-5, hi=5), 0.7)])
_powers = [S(F(9), p) for p in (0, 1, 2, 3, -1, -2)] + [S(F(9, lo=0.1), p) for p in (0.5, -0.5, 2.5)] + [S(I(9), 3), S(I(9), 0)]
binary("pow", 0.2, 3.0, ulp=4, extra=[*_powers, S(2.0, F(5)), S(3, I(5, lo=0)), S(0.0, V(0.0, 1.0, 2.0))])
op("rsub", None, S(F(67), F(67)), S(F(3, 4), F(4), alpha=2), S(F(5), 1.5), S(I(4), I(4), alpha=3), S(I(4), 2.5), ulp=0.5, large=S(F(*LARGE), F(*LARGE)))
_steps = [S(F(67), F(67)), S(V(-1.0, 0.0, 2.0), V(5.0, 6.0, 7.0)), S(F(3, 1), F(4)), S(I(4, lo=-1, hi=2), I(4))]
op("heaviside", None, *_steps, forms="mio", differentiable=False, large=S(F(*LARGE), F(*LARGE)))
binary("maximum", ulp=0, signs=False, numbers=False, forms="mo", extra=[S(V(1.0, 2.0, 3.0), V(1.0, 3.0, 2.0)), S(B(4), B(4))])
binary("minimum", ulp=0, signs=False, numbers=False, forms="mo", extra=[S(V(1.0, 2.0, 3.0), V(1.0, 3.0, 2.0)), S(B(4), B(4))])
binary("fmax", ulp=0, signs=False, numbers=False, forms="mo")
binary("fmin", ulp=0, signs=False, numbers=False, forms="mo")
binary("atan2", ulp=4, numbers=False)
binary("hypot", ulp=4, numbers=False, ints=False)
binary("copysign", ulp=0, dtypes=("float64", "float16"))  # the sign of NaN is anyone's
binary("logaddexp", ulp=4, scale="tensor", numbers=False, ints=False, forms="mo")
binary("xlogy", 0.1, 3.0, ulp=4)
for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    comparison(_name)
for _name in ("logical_and", "logical_or", "logical_xor"):
    binary(_name, ulp=0, numbers=False, differentiable=False, extra=[S(B(5), B(5)), S(B(5), F(5))])
for _name in ("bitwise_and", "bitwise_or", "bitwise_xor"):
    _samples = [S(I(7), I(7)), S(B(5), B(5)), S(I(3, 1), I(1, 4)), S(I(4), 3), S(B(4), I(4)), S(I(3, 2, layout="transposed"), I(2))]
    op(_name, None, *_samples, forms="mio", elementwise=2, dtypes=(), differentiable=False, large=S(I(*LARGE), I(*LARGE)))
for _name in ("bitwise_left_shift", "bitwise_right_shift"):
    _samples = [S(I(7), I(7, lo=0, hi=9)), S(I(3, 1), I(1, 4, lo=0)), S(I(4), 3)]
    _large = S(I(*LARGE), I(*LARGE, lo=0, hi=9))
    op(_name, None, *_samples, forms="mio", elementwise=2, dtypes=(), differentiable=False, large=_large)
op(
    "isclose",
    None,
    *(S(F(9), F(9)), S(V(1.0, float("nan"), float("inf")), V(1.00001, float("nan"), float("inf")), equal_nan=True), S(I(4), I(4))),
    forms="m",
    differentiable=False,
    large=S(F(*LARGE), F(*LARGE)),
)
op("allclose", None, S(F(9), F(9)), S(V(1.0, 2.0), V(1.000001, 2.0)), forms="m", differentiable=False, meta=False, large=S(F(*LARGE), F(*LARGE)))
op("equal", None, S(F(9), F(9)), S(V(1.0, 2.0), V(1.0, 2.0)), S(F(3), F(4)), forms="m", differentiable=False, meta=False, large=S(F(*LARGE), F(*LARGE)))
op(
    "where",
    None,
    *(S(B(67), F(67), F(67)), S(B(3, 1), F(4), F(3, 4)), S(B(3), F(3), 1.5), S(B(3), 2.0, F(3)), S(B(2, 3), I(3), F(2, 1))),
    *(S(B(0, 3), F(3), F(1)), S(B(), F(), F(2)), S(B(3), V(1.0, float("inf"), float("nan")), V(2.0, 3.0, 4.0)), S(B(4), I(4), I(4))),
    large=S(B(*LARGE), F(*LARGE), F(*LARGE)),
)
op(
    "clamp",
    None,
    *(S(F(67), -1.0, 1.0), S(F(3, 4), min=0.5), S(F(3, 4), max=0.5), S(F(3, 4), F(4, lo=-2, hi=0), F(4, lo=0)), S(F(3, 4), min=F(3, 1))),
    *(S(I(5), -1, 2), S(V(-1.0, 1.0, 0.0, float("nan"), 2.0), -1.0, 1.0), S(F(4), 1.0, -1.0), S(F(0, 2), 0.0, 1.0), S(I(4), 0.5, 2.5)),
    forms="mio",
    elementwise=1,
    large=S(F(*LARGE), -1.0, 1.0),
)
op("clamp_min", None, S(F(67), 0.5), S(I(5), 1), S(F(3, 2), F(2)), forms="mio", elementwise=1, large=S(F(*LARGE), 0.5))
op("clamp_max", None, S(F(67), 0.5), S(I(5), 1), S(F(3, 2), F(2)), forms="mio", elementwise=1, large=S(F(*LARGE), 0.5))
op(
    "lerp",
    None,
    *(S(F(67), F(67), 0.3), S(F(67), F(67), 0.7), S(F(3, 4), F(4), F(3, 1, lo=0, hi=1)), S(F(5), F(5), F(5, lo=-1, hi=2))),
    ulp=1,
    scale="tensor",
    forms="mio",
    large=S(F(*LARGE), F(*LARGE), 0.3),
)
op(
    "addcmul",
    None,
    *(S(F(67), F(67), F(67)), S(F(3, 4), F(4), F(3, 1), value=0.5), S(I(4), I(4), I(4), value=2), S(F(2, 2), F(2, 2), F(2, 2), value=-1)),
    ulp=1,
    scale="tensor",
    forms="mio",
    large=S(F(*LARGE), F(*LARGE), F(*LARGE)),
)
op(
    "addcdiv",
    None,
    *(S(F(67), F(67), F(67, lo=0.5)), S(F(3, 4), F(4), F(3, 1, lo=0.5), value=0.5)),
    ulp=1,
    scale="tensor",
    forms="mio",
    large=S(F(*LARGE), F(*LARGE), F(*LARGE, lo=0.5)),
)

# ----------------------------------------------------------------------------------------------------------- reductions
family("reductions")
_reduced = [S(F(3, 4)), S(F(3, 4), dim=1), S(F(2, 3, 4), dim=(0, 2)), S(F(2, 3, 4), dim=-2, keepdim=True), S(F()), S(F(4, 5, layout="transposed"), dim=0)]
_reduced += [S(F(700)), S(F(3, 301), dim=1), S(F(301, 3), dim=0), S(F(3, 6, layout="strided"), dim=1), S(F(2, 3, 4), dim=(0, 1, 2))]


def reduction(name: str, *more_samples: Sample, drop: tuple = (), **more: Any) -> None:
    longest = 0 if "tuple" in drop else 2 if "triple" in drop else 3
    kept = [s for s in _reduced if not isinstance(s.kwargs.get("dim"), tuple) or len(s.kwargs["dim"]) <= longest]
    more = {"forms": "m", "ulp": 16, "scale": "tensor", "large": S(F(*LARGE), dim=1), **more}
    op(name, None, *kept, *more_samples, **more)


_nan = V(1.0, float("nan"), 3.0, float("inf"), shape=(2, 2), grad=False)
reduction("sum", S(F(0, 3)), S(F(0, 3), dim=0), S(I(3, 4)), S(B(3, 4), dim=1), S(F(3, 4), dtype="dtype:float64"), S(_nan, dim=1), S(F(3, 4), dim=[]))
reduction("mean", S(F(0, 3), dim=0), S(F(3, 4), dtype="dtype:float64"), S(_nan, dim=1), S(I(3, 4), dtype="dtype:float32"))
reduction("prod", S(F(0, 3), dim=0), S(I(3, 4)), S(B(3, 4), dim=1), S(V(0.0, 2.0, 3.0)), S(V(0.0, 2.0, 0.0)), S(V(0.0, 2.0, 3.0, 4.0, shape=(2, 2)), dim=1), drop=("tuple",))
_all = [S(F(3, 4, distinct=True)), S(F(), dim=0)]
_dims = [S(F(3, 4, distinct=True), dim=1), S(F(2, 3, 4, distinct=True), dim=-2, keepdim=True), S(F(4, 5, layout="transposed"), dim=0)]
_ties = [S(V(1.0, 2.0, 2.0, 1.0), dim=0), S(V(2.0, 2.0, 2.0)), S(_nan, dim=1), S(_nan), S(I(3, 4, lo=-9, hi=9, distinct=True), dim=0), S(F(3, 301, distinct=True), dim=1)]
for _name in ("max", "min"):
    op(_name, None, *_all, *_dims, *_ties, S(F(4), F(4)), S(F(700, distinct=True)), S(B(3, 4), dim=0), forms="m", large=S(F(*LARGE), dim=1))
for _name in ("amax", "amin"):
    op(_name, None, *_all, *_dims, *_ties, S(F(2, 3, 4, distinct=True), dim=(0, 2)), S(F(700, distinct=True)), forms="mo", large=S(F(*LARGE), dim=1))
for _name in ("argmax", "argmin"):
    op(_name, None, *_all, *_dims, *_ties, S(F(700, distinct=True)), forms="m", differentiable=False, large=S(F(*LARGE), dim=1))
op("aminmax", None, S(F(3, 4, distinct=True)), S(F(3, 4, distinct=True), dim=1, keepdim=True), forms="m", large=S(F(*LARGE), dim=1))
for _name in ("any", "all"):
    _samples = [S(B(3, 4)), S(B(3, 4), dim=1), S(B(2, 3, 2), dim=-1, keepdim=True), S(F(3, 4)), S(I(3, 4, lo=0, hi=2), dim=0), S(B(0, 3)), S(B()), S(B(2, 3, 2), dim=(0, 2))]
    op(_name, None, *_samples, forms="m", differentiable=False, large=S(B(*LARGE), dim=1))
_corrections = [S(F(3, 4), dim=1, correction=0), S(F(3, 4), dim=1, unbiased=False), S(F(2, 3, 4), dim=(0, 2), keepdim=True, correction=2)]
reduction("var", *_corrections, S(F(5, lo=1000.0, hi=1001.0, grad=False)), ulp=32, named=False)
reduction("std", *_corrections, S(F(5, lo=1000.0, hi=1001.0, grad=False)), ulp=32, named=False)
op("var_mean", None, S(F(3, 4)), S(F(3, 4), dim=1, keepdim=True), S(F(2, 3, 4), dim=(0, 2), correction=0), ulp=8, scale="tensor", named=False, large=S(F(*LARGE), dim=1))
op("std_mean", None, S(F(3, 4)), S(F(3, 4), dim=1, keepdim=True), ulp=8, scale="tensor", named=False, large=S(F(*LARGE), dim=1))
_norms = [S(F(3, 4), p, dim=1) for p in (1, 2, 3, 0, float("inf"), -float("inf"), 0.5)]
reduction("norm", *_norms, S(F(3, 4), "fro"), S(F(3, 4), 2, dim=(0, 1), keepdim=True), S(V(0.0, 0.0)), S(F(3, 4), p=1), ulp=8, drop=("triple",))
op(
    "linalg.vector_norm",
    None,
    *(S(F(3, 4)), S(F(3, 4), 1, dim=1), S(F(3, 4), float("inf"), dim=0, keepdim=True), S(F(2, 3, 4), 3, dim=(0, 2))),
    ulp=8,
    scale="tensor",
    large=S(F(*LARGE), 2, dim=1),
)
_logs = [S(F(3, 4), dim=0, keepdim=True), S(V(-float("inf"), -float("inf"), 1.0, 2.0, shape=(2, 2), grad=False), 1), S(F(3, 4, lo=-200, hi=200), 1)]
op("logsumexp", None, S(F(3, 4), 1), *_logs, S(F(2, 3, 4), (0, 2)), S(F(2, 0), 0), forms="mo", ulp=4, scale="tensor", grad_ulp=256, named=False, large=S(F(*LARGE), 1))
for _name in ("cumsum", "cumprod"):
    _samples = [S(F(3, 4), 1), S(F(3, 4), dim=0), S(F(2, 3, 4), 1), S(F(), 0), S(F(0, 3), 0), S(I(3, 4), 0), S(B(4), 0), S(F(3, 4, layout="transposed"), 1)]
    _samples += [S(F(300), 0), S(F(3, 4), 1, dtype="dtype:float64"), S(V(2.0, 0.0, 3.0, 0.0, 1.0), 0)]
    op(_name, None, *_samples, forms="mio", ulp=8, scale="tensor", large=S(F(*LARGE), 1))
op("logcumsumexp", None, S(F(3, 4), 1), S(F(3, 4), dim=0), forms="m", ulp=8, scale="tensor", grad_ulp=32, large=S(F(*LARGE), 1))
for _name in ("cummax", "cummin"):
    op(_name, None, S(F(3, 4, distinct=True), 1), S(F(3, 4, distinct=True), dim=0), S(V(1.0, float("nan"), 3.0, grad=False), 0), forms="m", large=S(F(*LARGE), 1))
op("count_nonzero", None, S(V(0.0, 1.0, 2.0, 0.0, shape=(2, 2))), S(B(3, 4), dim=1), S(I(3, 4, lo=0, hi=2), dim=(0, 1)), forms="m", differentiable=False, large=S(F(*LARGE), dim=1))
op("nansum", None, S(V(1.0, float("nan"), 3.0, 4.0, shape=(2, 2))), S(V(1.0, float("nan"), 3.0, 4.0, shape=(2, 2)), dim=1), forms="m", ulp=4, scale="tensor", named=False, large=S(F(*LARGE), dim=1))
op("nanmean", None, S(V(1.0, float("nan"), 3.0, 4.0, shape=(2, 2))), S(V(1.0, float("nan"), 3.0, 4.0, shape=(2, 2)), dim=1), forms="m", ulp=4, scale="tensor", named=False, large=S(F(*LARGE), dim=1))
op("nanmedian", None, S(V(1.0, float("nan"), 3.0, 4.0)), S(V(1.0, float("nan"), 3.0, 4.0, shape=(2, 2)), dim=1), forms="m", large=S(F(256, 256), dim=1))
op("mode", None, S(V(1, 2, 2, 3, 3, 3, dtype="int64")), S(I(3, 7, lo=0, hi=3), dim=1, keepdim=True), forms="m", large=S(I(256, 256, lo=0, hi=65536, distinct=True)))
op("histc", None, S(F(20), bins=4, min=-2, max=2), S(F(20), bins=5), forms="mo", differentiable=False, large=S(F(1 << 20), 100), dtypes=("float64",), meta=False)
op("median", None, S(F(7, distinct=True)), S(F(6, distinct=True)), S(F(3, 5, distinct=True), dim=1), S(F(3, 4, distinct=True), dim=0, keepdim=True), forms="m", large=S(F(256, 256), dim=1))

# ------------------------------------------------------------------------------------------------------- linear algebra
family("linear_algebra")
_sums = {"ulp": 8, "scale": "tensor", "grad_ulp": 16}
op(
    "matmul",
    None,
    *(S(F(3, 4), F(4, 5)), S(F(4), F(4)), S(F(3, 4), F(4)), S(F(4), F(4, 5)), S(F(2, 3, 4), F(4, 5)), S(F(2, 3, 4), F(2, 4, 5)), S(F(2, 3, 4), F(4))),
    *(S(F(4), F(2, 4, 5)), S(F(2, 1, 3, 4), F(5, 4, 2)), S(F(0, 4), F(4, 3)), S(F(3, 0), F(0, 2)), S(F(3, 4, layout="transposed"), F(4, 5, layout="transposed"))),
    *(S(F(17, 33), F(33, 19)), S(I(3, 4), I(4, 2)), S(F(70, 40), F(40, 50, layout="strided")), S(F(1, 64), F(64, 33))),
    forms="mo",
    large=S(F(512, 512), F(512, 512)),
    **_sums,
)
op("mm", None, S(F(3, 4), F(4, 5)), S(F(0, 4), F(4, 3)), S(F(5, 3, layout="transposed"), F(3, 2)), S(I(2, 3), I(3, 2)), forms="mo", large=S(F(512, 512), F(512, 512)), **_sums)
op("mv", None, S(F(3, 4), F(4)), S(F(0, 4), F(4)), S(F(4, 3, layout="transposed"), F(3)), forms="mo", large=S(F(1024, 1024), F(1024)), **_sums)
op("dot", None, S(F(5), F(5)), S(F(0), F(0)), S(I(4), I(4)), S(F(4, layout="strided"), F(4)), forms="m", large=S(F(1 << 20), F(1 << 20)), **{**_sums, "ulp": 32})
op("outer", None, S(F(3), F(4)), S(F(0), F(4)), S(I(3), I(2)), forms="mo", ulp=0.5, large=S(F(1024), F(1024)))
op("inner", None, S(F(3), F(3)), S(F(2, 3), F(4, 3)), forms="m", large=S(F(512, 512), F(512, 512)), **_sums)
op("bmm", None, S(F(2, 3, 4), F(2, 4, 5)), S(F(0, 3, 4), F(0, 4, 5)), S(F(2, 4, 3, layout="transposed"), F(2, 3, 2)), forms="mo", large=S(F(16, 128, 128), F(16, 128, 128)), **_sums)
op(
    "addmm",
    None,
    *(S(F(3, 5), F(3, 4), F(4, 5)), S(F(5), F(3, 4), F(4, 5), beta=0.5, alpha=2.0), S(F(3, 1), F(3, 4), F(4, 5), beta=0), S(F(), F(3, 4), F(4, 5))),
    forms="mo",
    large=S(F(512), F(512, 512), F(512, 512)),
    **_sums,
)
op("addmv", None, S(F(3), F(3, 4), F(4)), S(F(), F(3, 4), F(4), beta=0.5, alpha=2.0), forms="mo", large=S(F(1024), F(1024, 1024), F(1024)), **_sums)
op("baddbmm", None, S(F(2, 3, 5), F(2, 3, 4), F(2, 4, 5)), S(F(5), F(2, 3, 4), F(2, 4, 5), beta=0.5, alpha=2.0), forms="mo", large=S(F(16, 1, 128), F(16, 128, 128), F(16, 128, 128)), **_sums)
op(
    "linear",
    None,
    *(S(F(3, 4), F(5, 4), F(5)), S(F(3, 4), F(5, 4)), S(F(4), F(5, 4), F(5)), S(F(2, 3, 4), F(5, 4), F(5)), S(F(0, 4), F(5, 4), F(5)), S(F(33, 17), F(20, 17), F(20))),
    S(F(4, 3, layout="transposed"), F(2, 3), F(2)),
    function="nn.functional.linear",
    large=S(F(256, 512), F(512, 512), F(512)),
    **_sums,
)
op(
    "bilinear",
    None,
    *(S(F(3, 4), F(3, 2), F(5, 4, 2), F(5)), S(F(2, 3, 4), F(2, 3, 2), F(5, 4, 2))),
    function="nn.functional.bilinear",
    large=S(F(64, 64), F(64, 64), F(32, 64, 64), F(32)),
    **_sums,
)
op(
    "einsum",
    None,
    *(S("ij,jk->ik", F(3, 4), F(4, 5)), S("bij,bjk->bik", F(2, 3, 4), F(2, 4, 5)), S("ii->i", F(3, 3)), S("ii", F(3, 3)), S("ij->ji", F(3, 4)), S("i,j->ij", F(3), F(4))),
    *(S("ij->", F(3, 4)), S("...ij,...jk->...ik", F(2, 3, 4), F(4, 5)), S("bhqd,bhkd->bhqk", F(2, 2, 3, 4), F(2, 2, 5, 4)), S("ij,j", F(3, 4), F(4))),
    S("ij,jk,kl->il", F(2, 3), F(3, 4), F(4, 2)),
    large=S("bhqd,bhkd->bhqk", F(4, 8, 64, 64), F(4, 8, 64, 64)),
    **_sums,
)
op("tensordot", None, S(F(2, 3, 4), F(3, 4, 5)), S(F(2, 3, 4), F(4, 3, 5), dims=([1, 2], [1, 0])), S(F(3), F(4), dims=0), large=S(F(64, 32, 32), F(32, 32, 64)), **_sums)
op("trace", None, S(F(3, 3)), S(F(2, 4)), S(I(3, 3)), forms="m", ulp=4, scale="tensor", large=S(F(*LARGE)))
op("cdist", None, S(F(3, 4), F(5, 4)), S(F(2, 3, 4), F(2, 5, 4)), S(F(3, 4), F(5, 4), p=1.0), ulp=16, scale="tensor", grad_ulp=64, second=False, large=S(F(256, 64), F(256, 64)), dtypes=("float64",))
op("cross", None, S(F(4, 3), F(4, 3)), S(F(3, 4), F(3, 4), dim=0), forms="m", ulp=2, scale="tensor", large=S(F(100000, 3), F(100000, 3), dim=1))

# ---------------------------------------------------------------------------------------------- convolution and pooling
family("convolution")


def convolution(name: str, *samples: Sample, **more: Any) -> None:
    op(name, None, *samples, function=f"nn.functional.{name}", **{"ulp": 16, "scale": "tensor", "grad_ulp": 32, **more})


convolution(
    "conv1d",
    *(S(F(2, 3, 8), F(4, 3, 3), F(4)), S(F(2, 3, 8), F(4, 3, 3), stride=2, padding=1), S(F(3, 8), F(4, 3, 3)), S(F(2, 4, 9), F(4, 2, 3), groups=2, dilation=2)),
    *(S(F(2, 3, 8), F(4, 3, 4), padding="same"), S(F(2, 3, 8), F(4, 3, 3), padding="valid"), S(F(0, 3, 8), F(4, 3, 3))),
    large=S(F(32, 64, 256), F(64, 64, 3), padding=1),
)
convolution(
    "conv2d",
    *(S(F(2, 3, 7, 6), F(4, 3, 3, 3), F(4)), S(F(2, 3, 7, 6), F(4, 3, 3, 3), padding=1), S(F(2, 3, 7, 6), F(4, 3, 3, 2), stride=(2, 1), padding=(1, 0))),
    *(S(F(2, 4, 7, 6), F(4, 1, 3, 3), F(4), groups=4, padding=1), S(F(2, 4, 7, 6), F(6, 2, 3, 3), groups=2, dilation=2), S(F(3, 7, 6), F(4, 3, 1, 1))),
    *(S(F(2, 3, 7, 6), F(4, 3, 3, 4), padding="same"), S(F(0, 3, 7, 6), F(4, 3, 3, 3)), S(F(1, 3, 6, 7, layout="transposed"), F(2, 3, 5, 5), padding=2)),
    *(S(F(1, 8, 12, 12), F(16, 8, 3, 3), F(16), padding=1), S(F(2, 3, 9, 9), F(4, 3, 3, 3), stride=2, padding=1, dilation=2)),
    large=S(F(16, 64, 28, 28), F(64, 64, 3, 3), F(64), padding=1),
)
convolution("conv3d", S(F(1, 2, 4, 4, 4), F(3, 2, 2, 2, 2), F(3)), S(F(1, 2, 4, 5, 4), F(2, 1, 3, 3, 3), groups=2, padding=1, stride=2), large=S(F(2, 16, 16, 16, 16), F(16, 16, 3, 3, 3), padding=1))
convolution(
    "conv_transpose1d",
    *(S(F(2, 3, 5), F(3, 4, 3), F(4)), S(F(2, 3, 5), F(3, 4, 3), stride=2, padding=1, output_padding=1), S(F(2, 4, 5), F(4, 2, 3), groups=2, dilation=2)),
    large=S(F(16, 32, 256), F(32, 32, 3)),
)
convolution(
    "conv_transpose2d",
    *(S(F(2, 3, 5, 4), F(3, 4, 3, 3), F(4)), S(F(2, 3, 5, 4), F(3, 4, 3, 2), stride=2, padding=1, output_padding=1), S(F(2, 4, 5, 4), F(4, 2, 3, 3), groups=2, dilation=2)),
    S(F(3, 5, 4), F(3, 2, 2, 2), stride=2),
    large=S(F(8, 32, 28, 28), F(32, 32, 2, 2), stride=2),
)
convolution("conv_transpose3d", S(F(1, 3, 3, 2, 3), F(3, 2, 2, 2, 2), F(2)), S(F(1, 3, 3, 2, 3), F(3, 2, 2, 2, 2), stride=2), large=S(F(2, 16, 8, 8, 8), F(16, 16, 2, 2, 2), stride=2))


def pooling(name: str, *samples: Sample, **more: Any) -> None:
    op(name, None, *samples, function=f"nn.functional.{name}", **{"ulp": 2, "scale": "tensor", **more})


pooling("max_pool1d", S(F(2, 3, 9, distinct=True), 3), S(F(2, 3, 9, distinct=True), 3, stride=2, padding=1), S(F(3, 9, distinct=True), 2, dilation=2, ceil_mode=True), ulp=0, large=S(F(32, 64, 1024), 2))
pooling(
    "max_pool2d",
    *(S(F(2, 3, 7, 6, distinct=True), 2), S(F(2, 3, 7, 6, distinct=True), 3, stride=2, padding=1), S(F(2, 3, 7, 6, distinct=True), (3, 2), stride=(2, 1), dilation=2, ceil_mode=True)),
    *(S(F(3, 7, 6, distinct=True), 2), S(F(2, 3, 6, 6, distinct=True), 2, return_indices=True), S(V(1.0, float("nan"), 3.0, 4.0, shape=(1, 1, 2, 2), grad=False), 2)),
    ulp=0,
    large=S(F(32, 64, 56, 56), 2),
)
pooling("avg_pool1d", S(F(2, 3, 9), 3), S(F(2, 3, 9), 3, stride=2, padding=1, count_include_pad=False), S(F(3, 9), 2, ceil_mode=True), large=S(F(32, 64, 1024), 2))
pooling(
    "avg_pool2d",
    *(S(F(2, 3, 7, 6), 2), S(F(2, 3, 7, 6), 3, stride=2, padding=1), S(F(2, 3, 7, 6), 3, stride=2, padding=1, count_include_pad=False), S(F(2, 3, 7, 6), (3, 2), ceil_mode=True)),
    *(S(F(3, 7, 6), 2), S(F(2, 3, 6, 6), 2, divisor_override=3)),
    large=S(F(32, 64, 56, 56), 2),
)
pooling("adaptive_avg_pool1d", S(F(2, 3, 9), 4), S(F(3, 9), 1), large=S(F(32, 64, 1024), 7))
pooling("adaptive_avg_pool2d", S(F(2, 3, 7, 6), (3, 2)), S(F(2, 3, 7, 6), 1), S(F(3, 7, 6), (None, 2)), S(F(2, 3, 7, 6), 5), large=S(F(32, 64, 56, 56), 7))
pooling("adaptive_max_pool2d", S(F(2, 3, 7, 6, distinct=True), (3, 2)), S(F(3, 7, 6, distinct=True), 1), ulp=0, large=S(F(32, 64, 56, 56), 7))
pooling("avg_pool3d", S(F(1, 2, 4, 5, 4), 2), S(F(2, 4, 5, 4), 3, stride=2, padding=1, count_include_pad=False), dtypes=("float64",), large=S(F(4, 16, 16, 28, 28), 2))
pooling("max_pool3d", S(F(1, 2, 4, 5, 4, distinct=True), 2), S(F(2, 4, 5, 4, distinct=True), 3, stride=2, padding=1), ulp=0, large=S(F(4, 16, 16, 28, 28), 2))
pooling("adaptive_avg_pool3d", S(F(1, 2, 4, 5, 4), (2, 3, 1)), large=S(F(4, 16, 16, 28, 28), 7))
pooling("adaptive_max_pool1d", S(F(2, 3, 9, distinct=True), 4), ulp=0, large=S(F(32, 64, 1024), 7))
pooling("adaptive_max_pool3d", S(F(1, 2, 4, 5, 4, distinct=True), (2, 3, 1)), ulp=0, large=S(F(4, 16, 16, 28, 28), 7))
pooling("unfold", S(F(2, 3, 5, 6), 2), S(F(2, 3, 5, 6), (3, 2), dilation=1, padding=1, stride=2), ulp=0, large=S(F(8, 16, 56, 56), 3, padding=1))
pooling("fold", S(F(2, 12, 20), (5, 6), 2), S(F(2, 12, 6), (4, 6), 2, stride=2), large=S(F(8, 64, 784), (56, 56), 2, stride=2))
op(
    "pad",
    None,
    *(S(F(2, 3, 4), (1, 2)), S(F(2, 3, 4), (1, 2, 0, 1), value=1.5), S(F(2, 3, 4), (-1, 1)), S(F(2, 3, 4), (2, 1), mode="reflect"), S(F(2, 3, 4), (2, 1), mode="replicate")),
    *(S(F(2, 3, 4), (2, 1), mode="circular"), S(F(1, 2, 4, 5), (1, 2, 2, 1), mode="reflect"), S(F(1, 2, 4, 5), (1, 2, 2, 1), mode="replicate"), S(I(2, 3), (1, 1))),
    function="nn.functional.pad",
    large=S(F(16, 64, 56, 56), (1, 1, 1, 1)),
)
op(
    "interpolate",
    None,
    *(S(F(1, 2, 4, 5), scale_factor=2), S(F(1, 2, 4, 5), size=(7, 3)), S(F(1, 2, 4, 5), size=(7, 3), mode="bilinear"), S(F(1, 2, 4, 5), scale_factor=2, mode="bilinear", align_corners=True)),
    S(F(1, 2, 6), scale_factor=2),
    ulp=8,
    scale="tensor",
    function="nn.functional.interpolate",
    large=S(F(8, 16, 56, 56), scale_factor=2),
)

# ---------------------------------------------------------------------------------------- normalisation, softmax, losses
family("normalisation")


def functional(name: str, *samples: Sample, **more: Any) -> None:
    op(name, None, *samples, function=f"nn.functional.{name}", **{"ulp": 16, "scale": "tensor", "grad_ulp": 32, **more})


_soft = [S(F(3, 4), dim=1), S(F(3, 4), dim=0), S(F(2, 3, 4), dim=1), S(F(), dim=0), S(F(0, 3), dim=1), S(F(3, 4, lo=-200, hi=200), dim=1), S(F(4, 5, layout="transposed"), dim=-1)]
_soft += [S(V(-float("inf"), 1.0, 2.0, float("nan"), 1.0, 1.0, shape=(2, 3), grad=False), dim=1), S(F(3, 4), dim=1, dtype="dtype:float64"), S(F(2, 131), dim=1)]
op("softmax", None, *_soft, ulp=8, scale="tensor", grad_ulp=16, forms="m", large=S(F(*LARGE), dim=1))
op("log_softmax", None, *_soft, ulp=8, scale="tensor", grad_ulp=16, forms="m", large=S(F(*LARGE), dim=1))
functional("softmin", S(F(3, 4), dim=1), large=S(F(*LARGE), dim=1))
_running = (F(3, grad=False), F(3, lo=0.5, grad=False))
functional(
    "batch_norm",
    *(S(F(5, 3), *_running, F(3), F(3), training=True), S(F(4, 3, 5), *_running, F(3), F(3), training=False), S(F(2, 3, 4, 4), *_running, training=True, momentum=0.3)),
    *(S(F(2, 3, 4, 4), None, None, F(3), F(3), training=True), S(F(2, 3, 4, 4), *_running, F(3), F(3), False, 0.1, 1e-3)),
    large=S(F(32, 64, 28, 28), None, None, F(64), F(64), training=True),
    dtypes=("float64",),
)
functional(
    "layer_norm",
    *(S(F(3, 5), (5,), F(5), F(5)), S(F(2, 3, 4), (3, 4), F(3, 4), F(3, 4)), S(F(3, 5), (5,)), S(F(3, 5), (5,), F(5), None, 1e-3), S(F(0, 5), (5,), F(5), F(5))),
    S(F(2, 133), (133,), F(133), F(133)),
    large=S(F(1024, 768), (768,), F(768), F(768)),
)
functional("rms_norm", S(F(3, 5), (5,), F(5)), S(F(2, 3, 4), (3, 4)), S(F(3, 5), (5,), F(5), 1e-3), large=S(F(1024, 768), (768,), F(768)))
functional(
    "group_norm",
    *(S(F(2, 6, 4), 3, F(6), F(6)), S(F(2, 6, 3, 3), 2), S(F(2, 6), 2, F(6), F(6)), S(F(2, 6, 4), 1, F(6), F(6), 1e-3)),
    large=S(F(16, 64, 28, 28), 8, F(64), F(64)),
)
functional("instance_norm", S(F(2, 3, 5)), S(F(2, 3, 4, 4), None, None, F(3), F(3)), large=S(F(16, 64, 28, 28)), dtypes=("float64",))
functional("local_response_norm", S(F(2, 5, 4), 3), S(F(2, 5, 4, 4), 2, alpha=0.1, beta=0.5, k=2.0), large=S(F(16, 64, 28, 28), 5))
functional("normalize", S(F(3, 4)), S(F(3, 4), p=1, dim=0), S(V(0.0, 0.0, 3.0, 4.0, shape=(2, 2), grad=False)), large=S(F(*LARGE)))
functional("cosine_similarity", S(F(3, 4), F(3, 4)), S(F(2, 3, 4), F(3, 4), dim=-1), large=S(F(*LARGE), F(*LARGE)))
functional("pairwise_distance", S(F(3, 4), F(3, 4)), S(F(3, 4), F(3, 4), p=1.0, keepdim=True), large=S(F(*LARGE), F(*LARGE)))
functional(
    "scaled_dot_product_attention",
    *(S(F(2, 3, 5, 4), F(2, 3, 6, 4), F(2, 3, 6, 4)), S(F(2, 5, 4), F(2, 5, 4), F(2, 5, 4), is_causal=True), S(F(1, 2, 5, 4), F(1, 2, 6, 4), F(1, 2, 6, 4), attn_mask=V(*[(i + j) % 3 > 0 for i in range(5) for j in range(6)], shape=(5, 6), dtype="bool"))),
    S(F(1, 2, 5, 4), F(1, 2, 6, 4), F(1, 2, 6, 4), attn_mask=F(5, 6), scale=0.3),
    large=S(F(4, 8, 128, 64), F(4, 8, 128, 64), F(4, 8, 128, 64)),
    dtypes=("float64",),
)
family("losses")
_classes = I(4, lo=0, hi=3)
functional(
    "cross_entropy",
    *(S(F(4, 3), _classes), S(F(3), I(lo=0, hi=3)), S(F(2, 3, 4), I(2, 4, lo=0, hi=3)), S(F(4, 3), _classes, F(3, lo=0.2, grad=False)), S(F(4, 3), F(4, 3, lo=0, hi=1))),
    *(S(F(4, 3), _classes, reduction="sum"), S(F(4, 3), _classes, reduction="none"), S(F(4, 3), V(0, -100, 2, 1, dtype="int64")), S(F(4, 3), _classes, label_smoothing=0.1)),
    *(S(F(4, 3), V(0, 2, 2, 1, dtype="int64"), ignore_index=2), S(F(4, 3), _classes, F(3, lo=0.2, grad=False), label_smoothing=0.2), S(F(4, 3, lo=-100, hi=100), _classes)),
    *(S(F(0, 3), I(0, lo=0, hi=3), reduction="sum"), S(F(2, 3, 4), F(2, 3, 4, lo=0, hi=1), F(3, lo=0.2, grad=False), reduction="sum", label_smoothing=0.1)),
    large=S(F(1024, 1000), I(1024, lo=0, hi=1000)),
)
functional(
    "nll_loss",
    *(S(F(4, 3), _classes), S(F(3), I(lo=0, hi=3)), S(F(2, 3, 4), I(2, 4, lo=0, hi=3)), S(F(4, 3), _classes, F(3, lo=0.2, grad=False)), S(F(4, 3), _classes, reduction="none")),
    *(S(F(4, 3), V(0, -100, 2, 1, dtype="int64"), reduction="sum"), S(F(4, 3), V(0, 2, 2, 1, dtype="int64"), ignore_index=2)),
    large=S(F(1024, 1000), I(1024, lo=0, hi=1000)),
)


def loss(name: str, *samples: Sample, lo: float = -2.0, hi: float = 2.0, **more: Any) -> None:
    pairs = [S(F(3, 4, lo=lo, hi=hi), F(3, 4, lo=lo, hi=hi), reduction=r) for r in ("mean", "sum", "none")]
    pairs += [S(F(lo=lo, hi=hi), F(lo=lo, hi=hi)), S(F(0, 3, lo=lo, hi=hi), F(0, 3, lo=lo, hi=hi), reduction="sum")]
    functional(name, *pairs, *samples, **{"large": S(F(*LARGE, lo=lo, hi=hi), F(*LARGE, lo=lo, hi=hi)), **more})


loss("mse_loss", S(F(3, 1), F(3, 1)))
loss("l1_loss", S(V(1.0, 2.0), V(1.0, 3.0)))
loss("smooth_l1_loss", S(F(9), F(9), beta=0.5), S(F(9), F(9), beta=0.0))
loss("huber_loss", S(F(9), F(9), delta=0.5))
loss("binary_cross_entropy", S(V(0.0, 1.0, 0.0, 1.0, grad=False), V(0.0, 1.0, 1.0, 0.0, grad=False)), S(F(9, lo=0.1, hi=0.9), F(9, lo=0, hi=1), F(9, lo=0, hi=1, grad=False)), lo=0.05, hi=0.95)
loss("binary_cross_entropy_with_logits", S(F(4, 3), F(4, 3, lo=0, hi=1), pos_weight=F(3, lo=0.5, grad=False)), S(F(4, 3, lo=-99, hi=99), F(4, 3, lo=0, hi=1), F(4, 3, lo=0, hi=1, grad=False)))
loss("kl_div", S(F(3, 4), F(3, 4), reduction="batchmean", log_target=True), lo=0.1, hi=0.9)
functional("soft_margin_loss", S(F(9), V(*[1.0, -1.0, 1.0] * 3, grad=False)), S(F(9), V(*[1.0, -1.0, 1.0] * 3, grad=False), reduction="none"))
functional("hinge_embedding_loss", S(F(9), V(*[1.0, -1.0, 1.0] * 3, grad=False)), S(F(9), V(*[1.0, -1.0, 1.0] * 3, grad=False), margin=0.5, reduction="none"))
functional("margin_ranking_loss", S(F(9), F(9), V(*[1.0, -1.0, 1.0] * 3, grad=False)), S(F(9), F(9), V(*[1.0, -1.0, 1.0] * 3, grad=False), margin=0.5, reduction="sum"))
functional("cosine_embedding_loss", S(F(3, 4), F(3, 4), V(1.0, -1.0, 1.0, grad=False)), S(F(3, 4), F(3, 4), V(1.0, -1.0, 1.0, grad=False), margin=0.2, reduction="none"))
functional("triplet_margin_loss", S(F(3, 4), F(3, 4), F(3, 4)), S(F(3, 4), F(3, 4), F(3, 4), margin=0.5, p=1.0, swap=True, reduction="none"))
functional("gaussian_nll_loss", S(F(9), F(9), F(9, lo=0.3)), S(F(9), F(9), F(9, lo=0.3), full=True, reduction="none"), meta=False)
functional("poisson_nll_loss", S(F(9), F(9, lo=0.1)), S(F(9, lo=0.3), F(9, lo=2.0, hi=5.0), log_input=False, full=True, reduction="none"))
functional("multi_margin_loss", S(F(4, 3), _classes), S(F(4, 3), _classes, p=2, margin=0.5, reduction="none"), second=False, dtypes=("float64",))
functional("multilabel_soft_margin_loss", S(F(4, 3), F(4, 3, lo=0, hi=1)), S(F(4, 3), F(4, 3, lo=0, hi=1), reduction="sum"))

# ---------------------------------------------------------------------------------------------------------------- shape
family("shape")


def method(name: str, *samples: Sample, **more: Any) -> None:
    """An op that is only a method of Tensor."""
    call = lambda t, x, *args, **kwargs: getattr(x, name)(*args, **kwargs)  # noqa: E731
    op(name, call, *samples, **{"dtypes": ("float64", "bfloat16"), **more})


_few = {"dtypes": ("float64", "bfloat16")}
_big = F(256, 64, 64)
method("view", S(F(2, 6), 3, 4), S(F(2, 6), -1), S(F(2, 6), (4, -1)), S(F(0, 3), 3, 0), S(F(), 1), S(F(3, 4, layout="strided"), 3, 2, 2), S(I(2, 6), 12), large=S(_big, -1))
op("reshape", None, S(F(2, 6), (3, 4)), S(F(2, 6), (-1,)), S(F(3, 4, layout="transposed"), (2, 6)), S(F(0, 3), (3, 0)), S(F(1), ()), forms="m", large=S(_big, (-1, 64)), **_few)
method("view_as", S(F(2, 6), F(3, 4)), large=S(_big, F(64, 64, 256)))
method("reshape_as", S(F(2, 6), F(3, 4)), S(F(3, 4, layout="transposed"), F(2, 6)), large=S(_big, F(64, 64, 256)))
op("transpose", None, S(F(2, 3), 0, 1), S(F(2, 3, 4), -1, 0), S(F(), 0, 0), S(I(2, 3), 0, 1), forms="m", large=S(_big, 0, 2), **_few)
op("swapaxes", None, S(F(2, 3), 0, 1), forms="m", large=S(_big, 0, 2), **_few)
op("t", None, S(F(2, 3)), S(F(3)), S(F()), forms="m", large=S(F(*LARGE)), **_few)
op("permute", None, S(F(2, 3, 4), (2, 0, 1)), S(F(2, 3), (-1, 0)), S(F(), ()), forms="m", large=S(_big, (2, 0, 1)), **_few)
op("adjoint", None, S(F(2, 3)), S(F(2, 3, 4)), forms="m", named=False, large=S(_big), **_few)
op("movedim", None, S(F(2, 3, 4), 0, 2), S(F(2, 3, 4), (0, 1), (2, 0)), forms="m", large=S(_big, 0, 2), **_few)
method("expand", S(F(3, 1), 3, 4), S(F(3), 2, 3), S(F(3, 1), -1, 4), S(F(), 2, 2), S(F(1), 0), large=S(F(1024, 1), 1024, 1024))
method("expand_as", S(F(3, 1), F(3, 4)), large=S(F(1024, 1), F(1024, 1024)))
op("broadcast_to", None, S(F(3, 1), (3, 4)), S(F(3), (2, 3)), forms="m", large=S(F(1024, 1), LARGE), **_few)
op("squeeze", None, S(F(2, 1, 3, 1)), S(F(2, 1, 3), 1), S(F(2, 1, 3), 0), S(F(2, 1, 1), (1, 2)), S(F(1)), forms="m", large=S(F(1024, 1, 1024)), **_few)
op("unsqueeze", None, S(F(2, 3), 0), S(F(2, 3), -1), S(F(), 0), forms="m", large=S(F(*LARGE), 0), **_few)
op("flatten", None, S(F(2, 3, 4)), S(F(2, 3, 4), 1), S(F(2, 3, 4), 0, 1), S(F()), S(F(3, 4, layout="transposed")), forms="m", large=S(_big, 1), **_few)
op("ravel", None, S(F(2, 3)), S(F(3, 4, layout="transposed")), forms="m", named=False, large=S(_big), **_few)
op("unflatten", None, S(F(2, 6), 1, (3, 2)), S(F(2, 6), -1, (-1, 2)), forms="m", large=S(F(1024, 1024), 1, (32, 32)), **_few)
op("narrow", None, S(F(5, 3), 0, 1, 3), S(F(5, 3), 1, 0, 2), S(F(5), 0, -2, 2), S(F(5), 0, 2, 0), forms="m", large=S(_big, 1, 3, 40), **_few)
op("select", None, S(F(5, 3), 0, 1), S(F(5, 3), 1, -1), S(F(2, 3, 4), 1, 2), forms="m", large=S(_big, 1, 3), **_few)
op("split", None, S(F(5, 3), 2), S(F(5, 3), [1, 4]), S(F(5, 4), 3, dim=1), S(F(0, 3), 1), forms="m", large=S(_big, 32), **_few)
op("split_with_sizes", None, S(F(5, 3), [1, 4]), S(F(5, 4), [3, 1], dim=1), forms="m", large=S(_big, [100, 156]), **_few)
op("chunk", None, S(F(5, 3), 2), S(F(5, 4), 3, dim=1), S(F(2), 5), forms="m", large=S(_big, 8), **_few)
op("tensor_split", None, S(F(5, 3), 2), S(F(7), (2, 5)), forms="m", large=S(_big, 8), **_few)
op("unbind", None, S(F(3, 2)), S(F(3, 2), 1), S(F(3, 2), dim=-1), forms="m", large=S(F(16, 256, 256)), **_few)
op("cat", None, S([F(2, 3), F(1, 3)]), S([F(2, 3), F(2, 1)], 1), S([F(2), F(3), F(0)], dim=-1), S([F(0), F(2, 3)]), S([I(3), F(2)]), S([F(3, 2, layout="transposed"), F(1, 2)]), S([F(2)]), large=S([_big, _big], 1), **_few)
op("stack", None, S([F(2, 3), F(2, 3)]), S([F(2, 3), F(2, 3)], 1), S([F(), F(), F()], dim=-1), S([F(3, 2, layout="transposed"), F(3, 2)], 2), large=S([_big, _big]), **_few)
op("hstack", None, S([F(2, 3), F(2, 1)]), S([F(2), F(3)]), large=S([F(*LARGE), F(*LARGE)]), **_few)
op("vstack", None, S([F(2, 3), F(1, 3)]), S([F(3), F(3)]), large=S([F(*LARGE), F(*LARGE)]), **_few)
op("flip", None, S(F(2, 3), (0,)), S(F(2, 3, 4), (0, -1)), S(F(3, 4, layout="transposed"), [1]), S(F(), ()), forms="m", large=S(_big, (0, 2)), **_few)
op("fliplr", None, S(F(2, 3)), forms="m", named=False, large=S(F(*LARGE)), **_few)
op("flipud", None, S(F(2, 3)), forms="m", named=False, large=S(F(*LARGE)), **_few)
op("roll", None, S(F(5), 2), S(F(2, 3), 1), S(F(2, 3), (1, -1), (0, 1)), S(F(4, 3), -5, 0), forms="m", named=False, large=S(_big, 3, 1), **_few)
op("rot90", None, S(F(2, 3)), S(F(2, 3, 4), 3, (1, 2)), forms="m", named=False, large=S(F(*LARGE)), **_few)
method("repeat", S(F(2, 3), 2, 2), S(F(3), 2, 1, 2), S(F(2, 3), (1, 2)), S(F(2, 3), 0, 1), S(F(), 3), large=S(F(256, 256), 4, 4))
op("tile", None, S(F(2, 3), (2,)), S(F(2, 3), (2, 1, 2)), forms="m", large=S(F(256, 256), (4, 4)), **_few)
op("repeat_interleave", None, S(F(2, 3), 2), S(F(3, 2), 2, dim=0), S(F(3, 2), V(1, 0, 3, dtype="int64"), dim=0), forms="m", meta=False, named=False, large=S(F(256, 256), 4, dim=0), **_few)
op("tril", None, S(F(3, 4)), S(F(3, 4), 1), S(F(2, 3, 3), diagonal=-1), S(I(3, 3)), S(B(3, 3)), forms="mio", large=S(F(*LARGE)), **_few)
op("triu", None, S(F(3, 4)), S(F(3, 4), 1), S(F(2, 3, 3), diagonal=-1), S(I(3, 3)), S(B(3, 3)), forms="mio", large=S(F(*LARGE)), **_few)
op("diag", None, S(F(3)), S(F(3, 4)), S(F(3), 1), S(F(3, 4), -1), S(I(3)), forms="m", named=False, large=S(F(1024)), **_few)
op("diagflat", None, S(F(3)), S(F(2, 2), 1), forms="m", named=False, large=S(F(1024)), **_few)
op("diagonal", None, S(F(3, 4)), S(F(2, 3, 4), 1, 0, 2), S(F(3, 3), -1), forms="m", large=S(_big), **_few)
op("diag_embed", None, S(F(2, 3)), S(F(3), 1), forms="m", large=S(F(64, 256)), **_few)
op("meshgrid", None, S([F(2), F(3)], indexing="ij"), S([F(2), F(3)], indexing="xy"), large=S([F(1024), F(1024)], indexing="ij"), **_few)
method("unfold_method", S(F(7), 0, 3, 2), S(F(2, 6), 1, 2, 1), large=S(_big, 2, 8, 4))
OPS["unfold_method"] = replace(OPS["unfold_method"], call=lambda t, x, *args: x.unfold(*args))
op("as_strided", None, S(F(12), (2, 3), (1, 4)), S(F(12), (3, 3), (2, 1), 1), forms="m", large=S(F(1 << 20), (512, 512), (1024, 1)), **_few)
op("clone", None, S(F(2, 3)), S(F(3, 4, layout="transposed")), S(I(3)), S(F(0)), forms="m", large=S(F(*LARGE)), **_few)
op("detach", None, S(F(2, 3)), S(F(3, 4, layout="transposed")), forms="m", large=S(F(*LARGE)), **_few)
op("numel", None, S(F(2, 3)), S(F(0, 3)), S(F()), differentiable=False, large=S(F(*LARGE)))
for _name in ("is_floating_point", "is_complex", "is_signed"):
    op(_name, None, S(F(2)), S(I(2)), S(B(2)), S(I(2, lo=0, dtype="uint8")), forms="m", differentiable=False, large=S(F(2)))
method("contiguous", S(F(2, 3)), S(F(3, 4, layout="transposed")), S(F(3, 4, layout="expanded")), large=S(F(*LARGE, layout="transposed")))
for _name in ("float", "double", "half", "bfloat16", "int", "long", "bool"):
    method(_name, S(F(9)), S(I(9)), S(B(5)), S(V(1.9, -1.9, 0.0, 300.7, grad=False)), large=S(F(*LARGE)), numeric=False, dtypes=("float64", "float16", "bfloat16"))
op("to", lambda t, x, dtype: x.to(getattr(t, dtype)), S(F(9), "float64"), S(F(9), "float16"), S(F(9), "bfloat16"), S(F(9), "int32"), S(I(5), "float32"), S(I(5, lo=0), "uint8"), S(F(5), "float32"), large=S(F(*LARGE), "bfloat16"), numeric=False)
op("copy_", lambda t, x, y: t.clone(x).copy_(y), S(F(2, 3), F(2, 3)), S(F(2, 3), F(3)), S(F(3), I(3)), S(I(3), F(3)), S(F(3, 4), F(3, 4, layout="transposed")), large=S(F(*LARGE), F(*LARGE)))
op("fill_", lambda t, x, value: t.clone(x).fill_(value), S(F(2, 3), 1.5), S(I(3), 2), S(B(3), True), S(F(2, 3), F()), large=S(F(*LARGE), 1.5))
op("zero_", lambda t, x: t.clone(x).zero_(), S(F(2, 3)), S(I(3)), large=S(F(*LARGE)))

# ------------------------------------------------------------------------------------------------------------- indexing
family("indexing")


def index(name: str, get: Callable, *samples: Sample, **more: Any) -> None:
    op(name, lambda t, x, *args: x[get(t, *args)], *samples, dtypes=("float64", "bfloat16"), **more)


_grid = F(4, 5, 3)
index("index_int", lambda t: 1, S(_grid), S(F(4)), large=S(_big))
index("index_slice", lambda t: (slice(1, None, 2), slice(-3, -1)), S(_grid), S(F(4, 5, layout="transposed")), large=S(_big))
index("index_ellipsis", lambda t: (Ellipsis, None, 0), S(_grid), large=S(_big))
index("index_mixed", lambda t, i: (slice(None), i, slice(0, 2)), S(_grid, I(2, 2, lo=-5, hi=5)), S(_grid, V(0, 0, 1, dtype="int64")), large=S(_big, I(64, lo=0, hi=64)))
index("index_tensor", lambda t, i: i, S(_grid, I(3, lo=-4, hi=4)), S(_grid, I(2, 2, lo=0, hi=4)), S(_grid, I(0, lo=0, hi=4)), large=S(_big, I(512, lo=0, hi=256)))
index("index_scalar_tensor", lambda t, i: i, S(_grid, I(lo=0, hi=4)), S(F(4), V(-1, shape=(), dtype="int64")), meta=False, large=S(_big, I(lo=0, hi=4)))
index("index_pairs", lambda t, i, j: (i, slice(None), j), S(_grid, I(2, 1, lo=0, hi=4), I(3, lo=0, hi=3)), large=S(_big, I(512, lo=0, hi=256), I(512, lo=0, hi=64)))
index("index_mask", lambda t, m: m, S(_grid, B(4)), S(_grid, B(4, 5)), S(F(3, 4), B(3, 4)), meta=False, large=S(_big, B(256)))
index("index_list", lambda t: [0, 2, -1], S(_grid), large=S(_big))


def assign(name: str, get: Callable, *samples: Sample, **more: Any) -> None:
    """x[...] = value on a clone, so that gradients flow through both."""

    def call(t: Any, x: Any, value: Any, *args: Any) -> Any:
        out = x.clone()
        out[get(t, *args)] = value
        return out

    op(name, call, *samples, dtypes=("float64", "bfloat16"), **more)


assign("assign_int", lambda t: 1, S(_grid, F(5, 3)), S(_grid, 2.0), S(_grid, F()), S(I(4, 3), 2), large=S(_big, 1.0))
assign("assign_slice", lambda t: (slice(1, None, 2), 0), S(_grid, F(3)), S(_grid, F(2, 3)), S(F(4, 5, layout="transposed"), F(2)), large=S(_big, F(64)))
assign("assign_tensor", lambda t, i: i, S(_grid, F(5, 3), V(0, 2, -1, dtype="int64")), S(_grid, 1.5, V(3, 1, dtype="int64")), large=S(_big, 1.0, I(64, lo=0, hi=256)))
assign("assign_mask", lambda t, m: m, S(_grid, 1.5, B(4, 5, 3)), S(_grid, F(), B(4)), meta=False, large=S(_big, 1.0, B(256, 64, 64)))
_rows = I(4, lo=0, hi=5)
op("index_select", None, S(F(5, 3), 0, _rows), S(F(3, 5), 1, _rows), S(F(5), -1, _rows), S(F(5, 3, layout="strided"), 0, _rows), forms="mo", large=S(_big, 1, I(128, lo=0, hi=64)))
op("gather", None, S(F(5, 3), 0, I(2, 3, lo=0, hi=5)), S(F(3, 5), 1, I(3, 4, lo=0, hi=5)), S(F(5), 0, I(0, lo=0, hi=5)), S(I(5), 0, _rows), forms="mo", large=S(_big, 1, I(256, 32, 64, lo=0, hi=64)))
op("take_along_dim", None, S(F(5, 3), I(2, 3, lo=0, hi=5), 0), S(F(3, 5), I(3, 4, lo=0, hi=5), dim=1), S(F(4), I(3, lo=0, hi=4)), forms="m", large=S(_big, I(256, 32, 64, lo=0, hi=64), 1))
op("take", None, S(F(3, 4), I(5, lo=0, hi=12)), S(F(3, 4), I(2, 2, lo=-12, hi=12)), forms="m", large=S(_big, I(4096, lo=0, hi=4096)))
_once = V(3, 0, 4, dtype="int64")
op("scatter", None, S(F(5), 0, _once, F(3)), S(F(3, 5), 1, V(3, 0, 4, 1, shape=(2, 2), dtype="int64"), F(2, 2)), S(F(5), 0, _once, 1.5), forms="mio", large=S(_big, 1, I(256, 32, 64, lo=0, hi=64), F(256, 32, 64)))
op("scatter_add", None, S(F(5), 0, I(7, lo=0, hi=5), F(7)), S(F(3, 5), 1, I(3, 6, lo=0, hi=5), F(3, 6)), S(I(5), 0, _rows, I(4)), ulp=4, scale="tensor", forms="mio", large=S(_big, 1, I(256, 32, 64, lo=0, hi=64), F(256, 32, 64)))
op("scatter_reduce", None, *(S(F(5), 0, I(7, lo=0, hi=5), F(7, distinct=True), reduce) for reduce in ("sum", "mean", "amax", "amin", "prod")), S(F(5), 0, I(7, lo=0, hi=5), F(7), "sum", include_self=False), ulp=4, scale="tensor", second=False, forms="mio", large=S(_big, 1, I(256, 32, 64, lo=0, hi=64), F(256, 32, 64), "sum"))
op("index_put", None, S(F(5, 3), [V(3, 0, 4, dtype="int64")], F(3, 3)), S(F(5, 3), [V(3, 3, 4, dtype="int64"), V(0, 0, 2, dtype="int64")], F(3), accumulate=True), forms="mi", large=S(_big, [I(64, lo=0, hi=256)], F(), accumulate=False))
op("put", None, S(F(5), V(3, 0, 4, dtype="int64"), F(3)), S(F(2, 3), V(3, 3, -1, dtype="int64"), F(3), accumulate=True), forms="mi", large=S(F(*LARGE), V(3, 0, 4, dtype="int64"), F(3)))
op("index_add", None, S(F(5, 3), 0, I(7, lo=0, hi=5), F(7, 3)), S(F(3, 5), 1, _rows, F(3, 4), alpha=2), ulp=4, scale="tensor", forms="mio", large=S(_big, 1, I(128, lo=0, hi=64), F(256, 128, 64)))
op("index_copy", None, S(F(5, 3), 0, _once, F(3, 3)), forms="mio", large=S(_big, 0, V(3, 0, 4, dtype="int64"), F(3, 64, 64)))
op("index_fill", None, S(F(5, 3), 0, _once, 1.5), S(F(3, 5), 1, _once, 2.0), forms="mi", large=S(_big, 0, _once, 1.5))
op("masked_fill", None, S(F(3, 4), B(3, 4), 1.5), S(V(1.0, 2.0, 3.0), B(3), -float("inf")), S(I(3), B(3), 2), S(F(3, 4), B(3, 1), F()), forms="mi", large=S(F(*LARGE), B(*LARGE), 1.5))
op("masked_select", None, S(F(3, 4), B(3, 4)), S(F(3, 4), B(4)), S(F(3), B(2, 3)), forms="mo", meta=False, large=S(F(*LARGE), B(*LARGE)))
op("masked_scatter", None, S(F(3, 4), B(3, 4), F(12)), S(F(3, 4), B(4), F(3, 4)), forms="mi", large=S(F(*LARGE), B(*LARGE), F(*LARGE)))
op("nonzero", None, S(B(3, 4)), S(V(0.0, 1.0, float("nan"), -0.0, grad=False)), S(I(3, 4, lo=0, hi=2)), S(B(0, 3)), forms="m", differentiable=False, meta=False, large=S(B(*LARGE)))
op("nonzero_tuple", lambda t, x: [i.clone() for i in x.nonzero(as_tuple=True)], S(B(3, 4)), S(F(5)), differentiable=False, meta=False, large=S(B(*LARGE)))
op("argwhere", None, S(B(3, 4)), forms="m", differentiable=False, meta=False, large=S(B(*LARGE)))
op(
    "embedding",
    None,
    *(S(I(4, lo=0, hi=6), F(6, 3)), S(I(2, 3, lo=0, hi=6), F(6, 3)), S(I(5, lo=0, hi=6), F(6, 3), padding_idx=2), S(I(0, lo=0, hi=6), F(6, 3))),
    function="nn.functional.embedding",
    large=S(I(64, 128, lo=0, hi=5000), F(5000, 256)),
)
op("one_hot", None, S(I(5, lo=0, hi=4), 4), S(I(2, 3, lo=0, hi=4), 6), S(V(0, 2, 1, dtype="int64")), function="nn.functional.one_hot", differentiable=False, meta=False, large=S(I(4096, lo=0, hi=100), 100))
op("bincount", None, S(I(7, lo=0, hi=5)), S(I(7, lo=0, hi=5), minlength=9), forms="m", differentiable=False, meta=False, large=S(I(1 << 20, lo=0, hi=100)))

# -------------------------------------------------------------------------------------------------------------- sorting
family("sorting")
_d = F(3, 7, distinct=True)
op("sort", None, S(_d), S(_d, dim=0), S(_d, descending=True), S(V(3.0, float("nan"), 1.0, 2.0, grad=False)), S(V(1.0, 1.0, 0.0, 1.0), stable=True), S(I(7, distinct=True, lo=0, hi=9)), S(F()), S(F(0, 3)), forms="m", large=S(F(*LARGE, distinct=True)))
op("argsort", None, S(_d), S(_d, dim=0), S(_d, descending=True), S(V(1.0, 1.0, 0.0, 1.0), stable=True), forms="m", differentiable=False, large=S(F(*LARGE, distinct=True)))
op("msort", None, S(_d), forms="m", named=False, large=S(F(*LARGE, distinct=True)))
op("topk", None, S(_d, 3), S(_d, 2, dim=0), S(_d, 3, largest=False), S(_d, 0), S(V(3.0, float("nan"), 1.0, 2.0, grad=False), 2), S(F(3, 700, distinct=True), 5), forms="m", dtypes=("float64",), large=S(F(*LARGE, distinct=True), 10))
op("kthvalue", None, S(_d, 3), S(_d, 2, dim=0, keepdim=True), forms="m", large=S(F(*LARGE), 10))
op("unique", None, S(V(3, 1, 2, 1, 3, dtype="int64")), S(V(3.0, 1.0, 3.0, grad=False), return_inverse=True, return_counts=True), forms="m", differentiable=False, meta=False, large=S(I(1 << 20, lo=0, hi=1000)))
op("unique_consecutive", None, S(V(3, 3, 1, 1, 3, dtype="int64")), S(V(3, 3, 1, dtype="int64"), return_inverse=True, return_counts=True), forms="m", differentiable=False, meta=False, large=S(I(1 << 20, lo=0, hi=2)))
op("searchsorted", None, S(V(1.0, 3.0, 5.0), F(4, lo=0, hi=6)), S(V(1.0, 3.0, 5.0), V(1.0, 3.0, 9.0), right=True), differentiable=False, large=S(V(1.0, 3.0, 5.0), F(*LARGE)))
op("bucketize", None, S(F(4, lo=0, hi=6), V(1.0, 3.0, 5.0)), S(V(1.0, 3.0, 9.0), V(1.0, 3.0, 5.0), right=True), differentiable=False, large=S(F(*LARGE), V(1.0, 3.0, 5.0)))

# ------------------------------------------------------------------------------------------------------------- creation
family("creation")


def creation(name: str, *samples: Sample, **more: Any) -> None:
    op(name, None, *samples, differentiable=False, **more)


creation("zeros", S(2, 3), S((2, 3)), S(()), S(0, 3), S(2, dtype="dtype:int64"), large=S(LARGE))
creation("ones", S(2, 3), S((2, 3)), S(2, dtype="dtype:bool"), S(2, dtype="dtype:bfloat16"), large=S(LARGE))
creation("full", S((2, 3), 1.5), S((2,), 3), S((2,), True), S((), 7), S((2,), 1.5, dtype="dtype:float64"), S((2,), 2**53 + 1), large=S(LARGE, 1.5))
creation("zeros_like", S(F(2, 3)), S(I(3)), S(F(3, 2), dtype="dtype:int32"), S(F(3, 4, layout="transposed")), large=S(F(*LARGE)))
creation("ones_like", S(F(2, 3)), S(I(3)), S(B(2)), large=S(F(*LARGE)))
creation("full_like", S(F(2, 3), 1.5), S(I(3), 2), large=S(F(*LARGE), 1.5))
creation("eye", S(3), S(2, 4), S(3, dtype="dtype:int64"), S(0), large=S(1024))
creation("arange", S(5), S(1, 5), S(1, 2, 0.25), S(5, 0, -1), S(0), S(2.5), S(1, 8, 3, dtype="dtype:float32"), S(2**53, 2**53 + 3), S(5, dtype="dtype:bfloat16"), large=S(1 << 20))
creation("linspace", S(0, 1, 5), S(-1.0, 1.0, 4), S(3, 3, 1), S(0, 1, 0), S(1, 0, 3, dtype="dtype:float64"), S(0, 10, 7, dtype="dtype:int64"), S(-3.0, 7.0, 100), ulp=1, scale="tensor", large=S(0, 1, 1 << 20))
creation("logspace", S(0, 2, 5), S(-1.0, 1.0, 4, base=2.0), ulp=8, large=S(0, 1, 1 << 16))
creation("tril_indices", S(3, 4), S(3, 3, -1), large=S(512, 512))
creation("triu_indices", S(3, 4), S(3, 3, 1), large=S(512, 512))
op("tensor", lambda t, *args, **kwargs: t.tensor(*args, **kwargs), S([1, 2, 3]), S([[1.5, 2.0], [3.0, 4.0]]), S(3), S(2.5), S(True), S([True, False]), S([]), S([1, 2.5]), S([[1, 2]], dtype="dtype:float64"), S(2**53 + 1), differentiable=False, large=S([0.0] * 1000))
# What is new and empty holds anything: its shape, dtype and strides are all there is to compare.
op("empty", lambda t, *args, **kwargs: t.empty(*args, **kwargs).fill_(1), S(2, 3), S((2, 3)), S(()), S(2, dtype="dtype:int64"), differentiable=False, large=S(LARGE))
op("empty_like", lambda t, x, **kwargs: t.empty_like(x, **kwargs).fill_(1), S(F(2, 3)), S(F(3, 4, layout="transposed")), S(I(2), dtype="dtype:float32"), differentiable=False, large=S(F(*LARGE)))
op("empty_strided", lambda t, size, stride: (x := t.empty_strided(size, stride).fill_(1), list(x.stride())), S((2, 3), (1, 2)), S((4,), (2,)), differentiable=False, large=S(LARGE, (1, 1024)))
op("new_empty", lambda t, x, size: x.new_empty(size).fill_(1), S(F(2), (2, 3)), S(I(2), (3,)), differentiable=False, large=S(F(2), LARGE))
method("new_zeros", S(F(2), (2, 3)), S(I(2), 3), differentiable=False, large=S(F(2), LARGE))
method("new_ones", S(F(2), (2, 3)), differentiable=False, large=S(F(2), LARGE))
method("new_full", S(F(2), (2, 3), 1.5), S(I(2), (2,), 3), differentiable=False, large=S(F(2), LARGE, 1.5))
method("new_tensor", S(F(2), [1.0, 2.0]), S(I(2), [3]), differentiable=False, large=S(F(2), [1.0] * 1000))

# --------------------------------------------------------------------------------------------------------------- random
family("random")


def drawn(name: str, call: Callable, *samples: Sample, **more: Any) -> None:
    """Numbers that are not PyTorch's: here their shape and dtype, times zero; their laws in tests/test_ops_random.py."""
    op(name, lambda t, *args, **kwargs: call(t, *args, **kwargs) * 0 + 0, *samples, differentiable=False, **more)


drawn("rand", lambda t, *args, **kwargs: t.rand(*args, **kwargs), S(2, 3), S((2, 3)), S(2, dtype="dtype:float64"), large=S(LARGE))
drawn("randn", lambda t, *args, **kwargs: t.randn(*args, **kwargs), S(2, 3), S((2, 3)), S(2, dtype="dtype:float64"), large=S(LARGE))
drawn("randint", lambda t, *args, **kwargs: t.randint(*args, **kwargs), S(9, (2, 3)), S(-3, 9, (2,)), S(9, (2,), dtype="dtype:float32"), large=S(9, LARGE))
drawn("randperm", lambda t, *args, **kwargs: t.randperm(*args, **kwargs), S(7), S(0), S(5, dtype="dtype:int32"), large=S(1 << 20))
drawn("rand_like", lambda t, x, **kwargs: t.rand_like(x, **kwargs), S(F(2, 3)), S(F(3, 4, layout="transposed")), S(F(2), dtype="dtype:float64"), large=S(F(*LARGE)))
drawn("randn_like", lambda t, x, **kwargs: t.randn_like(x, **kwargs), S(F(2, 3)), S(F(2), dtype="dtype:float64"), large=S(F(*LARGE)))
drawn("randint_like", lambda t, x, *args, **kwargs: t.randint_like(x, *args, **kwargs), S(F(2, 3), 9), S(I(3), -3, 9), large=S(F(*LARGE), 9))
drawn("normal", lambda t, *args: t.normal(*args), S(0.0, 1.0, (2, 3)), S(F(2, 3), 1.0), S(F(3), F(3, lo=0.1)), large=S(0.0, 1.0, LARGE))
drawn("bernoulli", lambda t, x, *args: t.bernoulli(x, *args), S(F(2, 3, lo=0.0, hi=1.0)), S(F(2, 3), 0.3), large=S(F(*LARGE, lo=0.0, hi=1.0)))
drawn("multinomial", lambda t, x, *args: t.multinomial(x, *args), S(F(5, lo=0.1), 3), S(F(2, 5, lo=0.1), 7, True), large=S(F(1000, lo=0.1), 1 << 16, True))
for _name, _arguments in (("uniform", (0.0, 1.0)), ("normal_in_place", (0.0, 1.0)), ("exponential", (1.0,)), ("random", (0, 10)), ("bernoulli_in_place", (0.3,))):
    _method = f"{_name.removesuffix('_in_place')}_"
    drawn(_method, lambda t, x, *args, method=_method: getattr(x.clone(), method)(*args), S(F(2, 3), *_arguments), S(F(3, 4, layout="transposed"), *_arguments), large=S(F(*LARGE), *_arguments))
for _name in ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout"):
    drawn(_name, lambda t, x, p, train, name=_name: getattr(t, name)(x, p, train), S(F(2, 3, 4), 0.5, True), S(F(2, 3, 4), 0.0, True), S(F(2, 3, 4), 0.5, False), large=S(F(64, 64, 256), 0.5, True))

# ---------------------------------------------------------------------------------------------------- complex numbers
family("complex")


def parts(name: str, call: Callable, *samples: Sample, **more: Any) -> None:
    """An op on complex numbers that are made of real ones, or a result that is: the files hold real numbers."""
    seen = lambda t, *args: (lambda z: t.view_as_real(z) if z.is_complex() else z)(call(t, *args))  # noqa: E731
    op(name, seen, *samples, **{"dtypes": ("float64",), "named": False, "ulp": 8, "scale": "tensor", **more})


_pairs = lambda *shape, **layout: F(*shape, 2, lo=0.3, hi=2.0, **layout)  # noqa: E731
_two = (S(F(3, 4), F(3, 4)), S(F(3, 1), F(4)), S(F(), F()), S(F(0, 2), F(1)), S(F(3, 4, layout="transposed"), F(3, 4)))
parts("complex", lambda t, re, im: t.complex(re, im), *_two, ulp=0, large=S(F(*LARGE), F(*LARGE)))
_lengths = (S(_pairs(3), F(3, 2)), S(_pairs(3), F(2)), S(_pairs(2, layout="transposed"), F(2, 2)))
parts("polar", lambda t, length, angle: t.polar(length, angle), *_lengths, large=S(F(*LARGE, lo=0.1), F(*LARGE)))
parts("view_as_complex", lambda t, x: t.view_as_complex(x) * 2, S(_pairs(3)), S(_pairs(0, 3)), S(_pairs()), ulp=0, large=S(_pairs(512, 1024)))
for _name in ("view_as_real", "real", "imag", "conj", "conj_physical", "resolve_conj", "resolve_neg", "angle"):
    parts(_name, lambda t, x, name=_name: getattr(t, name)(t.view_as_complex(x)) * 2, S(_pairs(3, 4)), S(_pairs(0, 3)), S(_pairs()), large=S(_pairs(512, 1024)))

FAMILIES = tuple(dict.fromkeys(line.family for line in OPS.values()))

# Other names of the same op, in PyTorch too; `name_` follows.
ALIASES = {
    "absolute": "abs", "negative": "neg", "fix": "trunc", "clip": "clamp", "divide": "div", "true_divide": "div", "multiply": "mul",
    "subtract": "sub", "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "not_equal": "ne", "arctan2": "atan2",
    **{f"arc{name}": f"a{name}" for name in ("cos", "cosh", "sin", "sinh", "tan", "tanh")},
    "concat": "cat", "concatenate": "cat", "ger": "outer", "moveaxis": "movedim", "swapdims": "swapaxes",
}
