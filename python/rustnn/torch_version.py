"""``rustnn.__version__``: a string that compares as a version, as ``torch.__version__`` does."""

__all__ = ["TorchVersion"]

_RELEASE = r"v?(\d+(?:\.\d+)*)[-_.]?((?:a|b|c|rc|alpha|beta|pre|preview|dev)[-_.]?\d*)?(?:\.?post\d+)?(\+.*)?$"


def _key(value: object) -> "tuple[tuple[int, ...], bool, bool]":
    """What orders versions: numbers without trailing zeros, pre-releases before releases, local builds after them."""
    import re  # not before it is asked for: it would be a tenth of the package's import

    text = ".".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)
    match = re.match(_RELEASE, text.strip(), re.IGNORECASE)
    if match is None:
        raise ValueError(f"not a version: {value!r}")
    numbers = [int(number) for number in match[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), match[2] is None, match[3] is not None


class TorchVersion(str):
    """A version that is a string and compares with strings, tuples of numbers and version objects by their numbers.

    What is no version compares as text.

    Example:
        >>> TorchVersion("2.13.0+local") >= (2, 0), TorchVersion("2.13.0") < "2.9", TorchVersion("2.13") == "2.13.0"
        (True, False, True)
    """

    __slots__ = ()

    def _compare(self, other: object, operation: str) -> bool:
        try:
            mine, others = _key(self), _key(other)
        except ValueError:
            return getattr(str, operation)(self, str(other))
        return getattr(tuple, operation)(mine, others)

    def __lt__(self, other: object) -> bool:
        return self._compare(other, "__lt__")

    def __le__(self, other: object) -> bool:
        return self._compare(other, "__le__")

    def __gt__(self, other: object) -> bool:
        return self._compare(other, "__gt__")

    def __ge__(self, other: object) -> bool:
        return self._compare(other, "__ge__")

    def __eq__(self, other: object) -> bool:
        return self._compare(other, "__eq__")

    def __ne__(self, other: object) -> bool:
        return not self._compare(other, "__eq__")

    __hash__ = str.__hash__
