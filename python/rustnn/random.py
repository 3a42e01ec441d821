"""Seeds and states of the default generator."""

from . import _core

__all__ = ["fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state"]

default_generator = _core.default_generator


def manual_seed(seed):
    """Start the stream of ``seed`` (any 64-bit int; negative ones wrap) and return the generator.

    The numbers are not PyTorch's: docs/differences.md.
    """
    return default_generator.manual_seed(int(seed))


def seed():
    """Start the stream of an unpredictable seed, and return the seed."""
    return default_generator.seed()


def initial_seed():
    """The seed of the stream."""
    return default_generator.initial_seed()


def _pack(generator):
    seed, position = generator._state()
    return _core.tensor(list(seed.to_bytes(8, "little") + position.to_bytes(8, "little")), dtype=_core.uint8)


def _unpack(generator, state):
    if state.dtype is not _core.uint8:
        raise TypeError("expected a torch.ByteTensor, but got " + state.type())
    data = bytes(state.tolist())
    if len(data) != 16:
        raise RuntimeError(f"RNG state is wrong size: expected 16 bytes, got {len(data)}")
    generator._set_state(int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little"))
    return generator


def get_rng_state():
    """Seed and position of the default generator, as a uint8 tensor."""
    return _pack(default_generator)


def set_rng_state(new_state):
    """Put the default generator where :func:`get_rng_state` found it."""
    _unpack(default_generator, new_state)


_core.Generator.get_state = _pack
_core.Generator.set_state = _unpack


class fork_rng:
    """A context after which the default generator is where it was before."""

    def __init__(self, devices=None, enabled=True, **_):
        self._enabled = enabled

    def __enter__(self):
        self._state = get_rng_state()

    def __exit__(self, *_):
        if self._enabled:
            set_rng_state(self._state)


_core.get_rng_state, _core.set_rng_state = get_rng_state, set_rng_state
