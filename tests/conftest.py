"""Settings for all Python tests."""

import hypothesis
import pytest

# Same examples in every run: a failure is the change's, not the draw's. Time limits are pytest-timeout's.
hypothesis.settings.register_profile("house", derandomize=True, deadline=None, max_examples=60)
hypothesis.settings.load_profile("house")


@pytest.fixture(autouse=True)
def same_random_numbers_in_every_test() -> None:
    """Each test starts from one seed, whatever ran before it."""
    import rustnn

    rustnn.manual_seed(0)
