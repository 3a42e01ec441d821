"""Points that fill the unit cube more evenly than random ones."""

from pathlib import Path

from . import _core

__all__ = ["SobolEngine"]

_DEGREE = 13  # of the largest polynomial in the file


def _directions(dimension, bits):
    """The direction numbers v of Sobol sequences, as (dimension, bits) int64: bit k of a point's number in Gray code
    adds column k.

    The file has a line of uint16 for each dimension: a primitive polynomial, then its first m, from Joe and Kuo 2008,
    "Constructing Sobol sequences with better two-dimensional projections" (new-joe-kuo-6).
    """
    data = memoryview(Path(__file__).with_name("sobol_directions.bin").read_bytes())
    width = 1 + _DEGREE
    table = [int.from_bytes(data[i : i + 2], "little") for i in range(0, 2 * width * dimension, 2)]
    rows = []
    for d in range(dimension):
        polynomial, *m = table[d * width : (d + 1) * width]
        degree = polynomial.bit_length() - 1
        m = m[:degree] if degree else [1] * bits
        for j in range(degree, bits):
            value = m[j - degree] ^ (m[j - degree] << degree)
            for k in range(1, degree):
                if polynomial >> (degree - k) & 1:
                    value ^= m[j - k] << k
            m.append(value)
        rows.append([value << (bits - 1 - j) for j, value in enumerate(m[:bits])])
    return _core.tensor(rows, dtype=_core.int64)


class SobolEngine:
    """Draws the points of a Sobol sequence, one after the other.

    Args:
        dimension: of the points, 1 to 1111 (PyTorch: 21201).
        scramble: whether the sequence is scrambled by a random lower triangular matrix and shifted, so that its points
            are uniform and stay well spread (Owen 1998).
        seed: of the scrambling; by default that of the global generator.
    Raises: ValueError for a dimension out of range.
    Source: Sobol 1967; direction numbers from Joe and Kuo 2008.
    Example:
        >>> import rustnn
        >>> engine = rustnn.quasirandom.SobolEngine(2)
        >>> engine.draw(4).tolist()
        [[0.0, 0.0], [0.5, 0.5], [0.75, 0.25], [0.25, 0.75]]
    """

    MAXBIT = 30
    MAXDIM = 1111

    def __init__(self, dimension, scramble=False, seed=None):
        if dimension > self.MAXDIM or dimension < 1:
            raise ValueError(f"Supported range of dimensionality for SobolEngine is [1, {self.MAXDIM}]")
        self.seed = seed
        self.scramble = scramble
        self.dimension = dimension
        self.sobolstate = _directions(dimension, self.MAXBIT)
        self.shift = _core.zeros(dimension, dtype=_core.int64)
        if scramble:
            self._scramble()
        self.quasi = self.shift.clone()
        self._first_point = (self.quasi / 2**self.MAXBIT).reshape(1, -1)
        self.num_generated = 0

    def draw(self, n=1, out=None, dtype=None):
        """The next ``n`` points, as (n, dimension), of the default dtype or ``dtype``."""
        dtype = _core.get_default_dtype() if dtype is None else dtype
        if self.num_generated == 0:
            result = self._first_point.to(dtype)
            if n > 1:
                result = _core.cat((result, self._next(n - 1, 0).to(dtype)), dim=-2)
        else:
            result = self._next(n, self.num_generated - 1).to(dtype)
        self.num_generated += n
        if out is not None:
            return out.resize_as_(result).copy_(result)
        return result

    def draw_base2(self, m, out=None, dtype=None):
        """The next 2^m points: balanced, if the number of all points drawn so far stays a power of 2.

        Raises: ValueError if it does not.
        """
        count = 2**m
        total = self.num_generated + count
        if total & (total - 1):
            raise ValueError(
                "The balance properties of Sobol' points require "
                f"n to be a power of 2. {self.num_generated} points have been "
                f"previously generated, then: n={self.num_generated}+2**{m}={total}. "
                "If you still want to do this, please use "
                "'SobolEngine.draw()' instead."
            )
        return self.draw(n=count, out=out, dtype=dtype)

    def reset(self):
        """Start again from the first point."""
        self.quasi.copy_(self.shift)
        self.num_generated = 0
        return self

    def fast_forward(self, n):
        """Skip ``n`` points."""
        if self.num_generated == 0:
            self._next(n - 1, 0)
        else:
            self._next(n, self.num_generated - 1)
        self.num_generated += n
        return self

    def _next(self, n, start):
        """The ``n`` points behind point ``start``, whose bits are ``quasi``; that becomes the last of them."""
        number = _core.arange(start, start + n + 1, dtype=_core.int64)
        gray = number ^ (number >> 1)
        changed = gray[1:] ^ gray[0]
        bits = self.quasi.expand(n, self.dimension).clone()
        for k in range(int(start + n).bit_length()):
            bits ^= (changed >> k & 1).unsqueeze(1) * self.sobolstate[:, k]
        if n:
            self.quasi.copy_(bits[-1])
        return bits.to(_core.float64) * 2.0**-self.MAXBIT

    def _scramble(self):
        generator = None
        if self.seed is not None:
            generator = _core.Generator()
            generator.manual_seed(self.seed)
        bits = self.MAXBIT
        places = 2 ** _core.arange(bits, dtype=_core.int64)
        draws = _core.randint(2, (self.dimension, bits), generator=generator)
        self.shift = (draws * places).sum(1)
        matrix = _core.randint(2, (self.dimension, bits, bits), generator=generator).tril()
        matrix.diagonal(0, -2, -1).fill_(1)
        lines = (matrix * places.flip(0)).sum(-1)
        scrambled = _core.zeros_like(self.sobolstate)
        for row in range(bits):
            both = self.sobolstate & lines[:, row : row + 1]
            for half in (16, 8, 4, 2, 1):  # the parity of the bits in both
                both = both ^ (both >> half)
            scrambled += (both & 1) << (bits - 1 - row)
        self.sobolstate = scrambled

    def __repr__(self):
        parts = [f"dimension={self.dimension}"]
        if self.scramble:
            parts.append("scramble=True")
        if self.seed is not None:
            parts.append(f"seed={self.seed}")
        return f"{type(self).__name__}({', '.join(parts)})"
