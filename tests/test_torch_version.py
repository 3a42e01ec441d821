"""`rustnn.__version__`: what programs ask of `torch.__version__`."""

import pickle

import pytest

import rustnn
from rustnn.torch_version import TorchVersion


def test_the_version_says_which_pytorch_it_speaks_and_which_package_it_is():
    assert rustnn.__version__.startswith("2.13.0+rustnn.")
    assert rustnn.__version__ == rustnn.version.__version__
    assert rustnn.__version__.endswith(rustnn.version.rustnn)


@pytest.mark.parametrize("smaller", ["2.0", "2.9.1", "1.13", (1, 8), (2, 13), "2.13.0rc1", "2.13"])
def test_versions_compare_by_their_numbers(smaller):
    version = TorchVersion("2.13.0+rustnn.0.1.0")
    assert version > smaller and version >= smaller and not version < smaller and version != smaller


def test_versions_are_strings_equal_to_what_means_the_same():
    version = TorchVersion("2.13.0")
    assert version == "2.13" and version == (2, 13, 0) and version <= "2.13.0" and hash(version) == hash("2.13.0")
    assert version.split(".")[:2] == ["2", "13"] and f"{version}" == "2.13.0"
    assert version != "nightly" and (version < "nightly")
    assert pickle.loads(pickle.dumps(version)) == version
