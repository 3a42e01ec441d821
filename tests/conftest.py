"""Settings for all Python tests."""

import signal

import hypothesis
import pytest

# A shell starts what it puts in the background with Ctrl-C ignored, and so would the programs be that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Same examples in every run: a failure is the change's, not the draw's. Time limits are pytest-timeout's.
hypothesis.settings.register_profile("house", derandomize=True, deadline=None, max_examples=60)
hypothesis.settings.load_profile("house")


@pytest.fixture(autouse=True)
def same_random_numbers_in_every_test() -> None:
    """Each test starts from one seed, whatever ran before it."""
    import rustnn

    rustnn.manual_seed(0)
