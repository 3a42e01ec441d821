"""Sizes that vary, as :mod:`rustnn.export` hands them to Python while it records: they know what they are made of.

A module may compute with the sizes of its inputs and branch on them. What it did with the example's sizes is right for
others only where its branches would go the same way; the :class:`Guard` s of a program say where. An expression is a
polynomial of the sizes that vary: a dict from products of them (tuples of their numbers, rising) to fractions.
"""

import builtins
import contextlib
import math
import threading
from fractions import Fraction
from itertools import product
from math import gcd, lcm
from typing import NamedTuple

from ._core import Tensor


class Guard(NamedTuple):
    """What has to hold of the sizes that vary: ``relation`` of the sum of ``terms``, whose coefficients are whole."""

    terms: tuple  # of (product of symbols, coefficient)
    relation: str  # ">= 0", "!= 0", "== 0", "multiple", or "fixed", which is 0 for good
    of: int  # of which it is a multiple, else 0

    def holds(self, values):
        total = sum(coefficient * math.prod(values[at] for at in symbols) for symbols, coefficient in self.terms)
        if self.relation == "multiple":
            return total % self.of == 0
        return total >= 0 if self.relation == ">= 0" else (total != 0) == (self.relation == "!= 0")

    @property
    def symbols(self):
        return {at for symbols, _ in self.terms for at in symbols}

    @property
    def line(self):
        """``(symbol, a, b)`` if the sum is ``a * symbol + b``, else None."""
        terms = dict(self.terms)
        constant = terms.pop((), 0)
        if len(terms) == 1:
            ((symbols, coefficient),) = terms.items()
            if len(symbols) == 1:
                return symbols[0], coefficient, constant
        return None

    def follows(self, other):
        """Whether it holds where another one does; both ask for a rest."""
        same = self.terms[0] == other.terms[0] and self.line and other.line
        return bool(same and self.of and other.of % self.of == 0 and (self.line[2] - other.line[2]) % self.of == 0)

    def implied(self, ranges):
        """Whether it holds for all sizes in the ranges, ``[(least, greatest)]``."""
        terms = dict(self.terms)
        if self.relation == "multiple":
            return all(coefficient % self.of == 0 for coefficient in terms.values())
        least, most = _bounds(terms, ranges)
        if self.relation == ">= 0":
            return least >= 0
        if self.relation in ("== 0", "fixed"):
            return least == most == 0
        constant = terms.pop((), 0)
        return least > 0 or most < 0 or constant % gcd(*terms.values()) != 0


def _bounds(terms, ranges):
    """The least and the greatest value that a sum may have, or numbers beyond."""
    used = sorted({at for symbols in terms for at in symbols})
    known = all(at in ranges for at in used)
    if known and len(used) <= 6 and all(len(set(symbols)) == len(symbols) for symbols in terms):
        # It is linear in each size: the extremes are in the corners.
        corners = [
            sum(factor * math.prod(values[at] for at in symbols) for symbols, factor in terms.items())
            for values in (dict(zip(used, corner, strict=True)) for corner in product(*(ranges[at] for at in used)))
        ]
        return min(corners), max(corners)
    least = most = 0
    for symbols, factor in terms.items():
        pairs = [ranges.get(at, (0, math.inf)) for at in symbols]
        low, high = (factor * math.prod(pair[end] for pair in pairs) for end in (0, 1))
        least, most = least + min(low, high), most + max(low, high)
    return least, most


class Trace:
    """What Python does with the sizes that vary in one run."""

    def __init__(self, ranges, values, place, refuse):
        self.ranges, self.values = dict(enumerate(ranges)), dict(enumerate(values))
        self.guards = {}  # with the line that asked for it
        self.unknown = {}  # sizes that are no polynomials, with numbers beyond those of the symbols
        self.open = True
        self._place, self._refuse = place, refuse

    def size(self, value, terms, of):
        """The object that stands for a size; the recorder calls this."""
        if terms is None:
            at = self.unknown.setdefault(of, _len(self.ranges) + _len(self.unknown))
            self.values[at] = value
            return TracedSize._made(value, {(at,): Fraction(1)}, self)
        expression = {tuple(symbols): Fraction(coefficient, of) for coefficient, symbols in terms}
        self.need(expression, "multiple", 1)
        return TracedSize._made(value, expression, self)

    def value(self, expression):
        """An expression's value in this run."""
        return sum(factor * math.prod(self.values[at] for at in symbols) for symbols, factor in expression.items())

    def need(self, expression, relation, of=0, what=""):
        """Note what has to hold of an expression; ``what`` is for messages."""
        if expression is None:
            raise self._refuse("Python compares or rounds a float that it made of a size that varies")
        scale = lcm(*(factor.denominator for factor in expression.values()))
        terms = {symbols: int(factor * scale) for symbols, factor in expression.items() if factor}
        factors = [factor for symbols, factor in terms.items() if symbols]
        if not factors:
            return
        constant = terms.pop((), 0)
        if relation == "multiple":
            of *= scale
            common = gcd(constant, of, *factors)
            constant, of = constant // common % (of // common), of // common
            terms = {symbols: factor // common for symbols, factor in terms.items()}
            terms = {symbols: factor % of for symbols, factor in terms.items() if factor % of}
            if len(terms) == 1:
                ((symbols, factor),) = terms.items()
                if gcd(factor, of) == 1:
                    terms, constant = {symbols: 1}, constant * pow(factor, -1, of) % of
        else:
            common = gcd(*factors)
            if relation != ">= 0" and constant % common:
                common = gcd(common, constant)
            constant //= common  # down, which says the same of whole numbers
            terms = {symbols: factor // common for symbols, factor in terms.items()}
            if relation != ">= 0" and terms[min(terms)] < 0:
                constant, terms = -constant, _times(terms, -1)
        if not terms:
            return
        terms = sorted(terms.items()) + ([((), constant)] if constant else [])
        guard = Guard(tuple(terms), relation, of)
        if guard not in self.guards and not guard.implied(self.ranges):
            if any(at not in self.ranges for at in guard.symbols):
                raise self._refuse(
                    "Python branches on a size that is no polynomial of the sizes that vary, or divides it"
                )
            ours, line = self._place()
            self.guards[guard] = (f" ({what})" if what else "") + (f", in {ours}()" if ours else "") + line

    def compare(self, expression, relation):
        """Whether an expression is in a relation to 0; notes that it stays so."""
        if expression is None:
            self.need(None, relation)
        value = self.value(expression)
        if relation in ("==", "!="):
            self.need(expression, "== 0" if value == 0 else "!= 0")
            return (value == 0) == (relation == "==")
        negated = _times(expression, -1)
        # In whole numbers `e < 0` is `-e - 1 >= 0`.
        scale = lcm(*(factor.denominator for factor in expression.values()))
        less = value < 0 if relation in ("<", ">=") else value <= 0
        if relation in ("<", ">="):
            self.need(_plus(_times(negated, scale), {(): -1}) if less else expression, ">= 0")
        else:
            self.need(negated if less else _plus(_times(expression, scale), {(): -1}), ">= 0")
        return less if relation in ("<", "<=") else not less

    def pin(self, expression, value, what):
        """``what`` takes a size out of sight: it has to stay what it is."""
        if expression is None:
            self.need(None, "fixed")
        if not all(at in self.ranges for symbols in expression for at in symbols):
            raise self._refuse(f"{what} takes a size out of sight that is no polynomial of the sizes that vary")
        self.need(_plus(expression, {(): -Fraction(value)}), "fixed", what=what)

    @contextlib.contextmanager
    def watching(self):
        """Lets ``len`` of tensors, ``range`` and ``math`` see traced sizes, which C reads past their methods."""
        with _lock:
            _watchers.append(self)
            builtins.len, builtins.range = _traced_len, _TracedRange
            for name, function in _MATH.items():
                setattr(math, name, _pinning(name, function))
        try:
            yield
        finally:
            self.open = False
            with _lock:
                _watchers.remove(self)
                if not _watchers:
                    builtins.len, builtins.range = _len, _range
                    for name, function in _MATH.items():
                        setattr(math, name, function)


_len, _range = len, range
_watchers, _lock = [], threading.Lock()
# Which take integers as C does; the others call `__float__`.
_MATH = {name: getattr(math, name) for name in "comb factorial gcd isqrt lcm log log10 log2 perm".split()}


def _pinning(name, function):
    def pinning(*args):
        for arg in args:
            if isinstance(arg, _Traced):
                arg._pin(f"math.{name}()")
        return function(*args)

    return pinning


def _traced_len(object, /):
    """``len``, whose result is traced if it is a size."""
    length = _len(object)
    return object.shape[0] if isinstance(object, Tensor) else length


class _RangeType(type):
    def __instancecheck__(cls, object):
        return isinstance(object, _range)

    def __call__(cls, *args):
        for arg in args:
            if isinstance(arg, TracedSize):
                arg._pin("range()")
        return _range(*args)


class _TracedRange(metaclass=_RangeType):
    """``range``: a loop over a size that varies is that of the example."""


def _plus(a, b):
    total = dict(a)
    for symbols, factor in b.items():
        total[symbols] = total.get(symbols, 0) + factor
    return {symbols: factor for symbols, factor in total.items() if factor}


def _times(a, factor):
    return {symbols: each * factor for symbols, each in a.items() if factor}


def _product(a, b):
    total = {}
    for left, x in a.items():
        for right, y in b.items():
            symbols = tuple(sorted(left + right))
            total[symbols] = total.get(symbols, 0) + x * y
    return {symbols: factor for symbols, factor in total.items() if factor}


def _quotient(a, b):
    """``a / b``, if b is one product that divides each of a's; else None."""
    if _len(b) != 1:
        return None
    ((divisor, by),) = b.items()
    result = {}
    for symbols, factor in a.items():
        rest = list(symbols)
        for at in divisor:
            if at not in rest:
                return None
            rest.remove(at)
        result[tuple(rest)] = factor / by
    return result


def _expression(number):
    """What a number is made of; None if that is not known. Floats of few digits are exact in products with sizes."""
    if isinstance(number, _Traced):
        return number._expression
    if isinstance(number, float) and not (math.isfinite(number) and Fraction(number).denominator <= 1 << 20):
        return None
    return {(): Fraction(number)} if number else {}


class _Traced:
    """What :class:`TracedSize` and :class:`TracedReal` share. ``_expression`` is None where it is not known."""

    @classmethod
    def _made(cls, value, expression, trace):
        if expression is not None and not any(expression):
            return value  # which depends on nothing
        made = cls._plain.__new__(cls, value)
        made._expression, made._trace = expression, trace
        return made

    @property
    def _value(self):
        return self._plain.__add__(self, 0)

    def _pin(self, what):
        if self._trace.open:
            self._trace.pin(self._expression, self._value, what)

    def _result(self, value, expression):
        return (TracedReal if isinstance(value, float) else TracedSize)._made(value, expression, self._trace)

    def _linear(self, other, value, sign, own=1):
        """``own * self + sign * other``."""
        mine, theirs = self._expression, _expression(other)
        known = mine is not None and theirs is not None
        return self._result(value, _plus(_times(mine, own), _times(theirs, sign)) if known else None)

    def _compare(self, other, relation):
        if not isinstance(other, (int, float)):
            return NotImplemented
        value, number = self._value, other._value if isinstance(other, _Traced) else other
        if not self._trace.open or number in (math.inf, -math.inf) or number != number:
            return _RELATIONS[relation](value, number)
        mine = self._expression
        theirs = _expression(other) if isinstance(other, _Traced) else {(): Fraction(number)}
        return self._trace.compare(
            None if mine is None or theirs is None else _plus(mine, _times(theirs, -1)), relation
        )

    def __lt__(self, other):
        return self._compare(other, "<")

    def __le__(self, other):
        return self._compare(other, "<=")

    def __gt__(self, other):
        return self._compare(other, ">")

    def __ge__(self, other):
        return self._compare(other, ">=")

    def __eq__(self, other):
        return self._compare(other, "==")

    def __ne__(self, other):
        return self._compare(other, "!=")

    def __bool__(self):
        return self._compare(0, "!=")

    def __hash__(self):
        self._pin("hash(), as the key of a dict does,")
        return hash(self._value)

    def __float__(self):
        self._pin("float()")
        return float(self._value)

    def __int__(self):
        self._pin("int()")
        return int(self._value)

    def __reduce__(self):
        return self._plain, (self._value,)

    def __add__(self, other):
        return self._with(other, lambda a, b: a + b, lambda value: self._linear(other, value, 1))

    __radd__ = __add__

    def __sub__(self, other):
        return self._with(other, lambda a, b: a - b, lambda value: self._linear(other, value, -1))

    def __rsub__(self, other):
        return self._with(other, lambda a, b: b - a, lambda value: self._linear(other, value, 1, -1))

    def __mul__(self, other):
        if isinstance(other, (list, tuple, str, bytes)):
            self._pin("a list, tuple or text times a size")

        def made(value):
            mine, theirs = self._expression, _expression(other)
            return self._result(value, None if mine is None or theirs is None else _product(mine, theirs))

        return self._with(other, lambda a, b: a * b, made)

    __rmul__ = __mul__

    def __neg__(self):
        return self * -1

    def __pos__(self):
        return self

    def __abs__(self):
        return -self if self < 0 else self

    def __truediv__(self, other):
        return self._with(other, lambda a, b: a / b, lambda value: self._result(value, self._over(other)))

    def __rtruediv__(self, other):
        return self._with(other, lambda a, b: b / a, lambda value: self._result(value, None))

    def _over(self, other):
        mine, theirs = self._expression, _expression(other)
        return None if mine is None or not theirs else _quotient(mine, theirs)

    def _with(self, other, compute, made):
        if not isinstance(other, (int, float)):
            return NotImplemented
        value = compute(self._value, other._value if isinstance(other, _Traced) else other)
        return made(value) if self._trace.open else value

    def __floordiv__(self, other):
        return self._divided(self, other, 0)

    def __rfloordiv__(self, other):
        return self._divided(other, self, 0)

    def __mod__(self, other):
        return self._divided(self, other, 1)

    def __rmod__(self, other):
        return self._divided(other, self, 1)

    def __divmod__(self, other):
        whole = self._divided(self, other, 0)
        return whole if whole is NotImplemented else (whole, self._divided(self, other, 1))

    def _divided(self, a, b, which):
        """Part ``which`` of ``divmod(a, b)``: exact for sizes that leave the rest that these leave."""
        if not (isinstance(a, (int, float)) and isinstance(b, (int, float))):
            return NotImplemented
        x, y = (each._value if isinstance(each, _Traced) else each for each in (a, b))
        value = divmod(x, y)[which]
        if not self._trace.open:
            return value
        above, below = _expression(a), _expression(b)
        if above is None or not below or not (isinstance(y, int) or float(y).is_integer()):
            return self._result(value, None)
        exact = _quotient(above, below) if any(below) else None
        if exact is not None and all(factor.denominator == 1 for factor in exact.values()):
            return self._result(value, ({}, exact)[which == 0])  # the symbols cancel
        if any(below):
            for each in (a, b):
                if isinstance(each, _Traced):
                    each._pin("a division by a size that varies")
            return value
        rest, by = Fraction(x) % int(y), int(y)
        whole = _plus(above, {(): -rest})
        self._trace.need(whole, "multiple", abs(by))
        return self._result(value, _times(whole, Fraction(1, by)) if which == 0 else {(): rest})

    def __floor__(self):
        return self._rounded(math.floor)

    def __ceil__(self):
        return self._rounded(math.ceil)

    def __trunc__(self):
        return self.__floor__() if self >= 0 else self.__ceil__()

    def __round__(self, digits=None):
        self._pin("round()")
        return round(self._value) if digits is None else round(self._value, digits)

    def __pow__(self, other, modulo=None):
        if not isinstance(other, int) or isinstance(other, _Traced) or other < 0 or other > 8 or modulo is not None:
            if not isinstance(other, (int, float)):
                return NotImplemented
            value = pow(self._value, other._value if isinstance(other, _Traced) else other, modulo)
            if isinstance(value, float):
                return self._result(value, None)
            self._pin("**")
            return value
        result = 1
        for _ in _range(other):
            result = self * result
        return result

    def __rpow__(self, other):
        self._pin("**")
        return pow(other, self._value)


_RELATIONS = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}


class TracedSize(_Traced, int):
    """An integer made of sizes that vary."""

    _plain = int

    def _rounded(self, compute):
        return self

    def __trunc__(self):
        return self

    def __round__(self, digits=None):
        return self if digits is None or digits >= 0 else super().__round__(digits)

    def __invert__(self):
        return -self - 1

    def __lshift__(self, other):
        return self * (1 << other) if isinstance(other, int) else NotImplemented

    def __rshift__(self, other):
        return self // (1 << other) if isinstance(other, int) else NotImplemented

    def __and__(self, other):
        if isinstance(other, int) and other > 0 and other & (other + 1) == 0:
            return self % (other + 1)
        return self._bits(other, "&")

    __rand__ = __and__

    def __or__(self, other):
        return self._bits(other, "|")

    __ror__ = __or__

    def __xor__(self, other):
        return self._bits(other, "^")

    __rxor__ = __xor__

    def _bits(self, other, sign):
        if not isinstance(other, int):
            return NotImplemented
        self._pin(sign)
        a, b = self._value, int(other)
        return a & b if sign == "&" else a | b if sign == "|" else a ^ b

    def bit_length(self):
        self._pin("bit_length()")
        return self._value.bit_length()


class TracedReal(_Traced, float):
    """A float made of sizes that vary."""

    _plain = float

    def _rounded(self, compute):
        value = compute(self._value)
        if not self._trace.open:
            return value
        expression = self._expression
        if expression is None:
            self._trace.need(None, "multiple")
        whole = _plus(expression, {(): value - self._trace.value(expression)})
        self._trace.need(whole, "multiple", 1)
        return TracedSize._made(value, whole, self._trace)
