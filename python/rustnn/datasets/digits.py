"""Handwritten digits of 8x8 pixels."""

import os.path

from .. import _core
from ..utils.data import TensorDataset

__all__ = ["digits"]

TRAIN_SIZE, TEST_SIZE = 1437, 360


def digits():
    """1,797 handwritten digits, as a training and a test :class:`~rustnn.utils.data.TensorDataset` of (image, label).

    Images are float32 of shape (N, 1, 8, 8) in 0..1, labels int64 of shape (N,) in 0..9; N is 1,437 for training and
    360 for testing, with the same mixture of digits in both. The split is fixed; nothing is downloaded.

    Source: E. Alpaydin and C. Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI Machine Learning
        Repository, CC BY 4.0 (the test half of that data set); see LICENSE-digits.txt beside this file.

    Example:
        >>> train, test = rustnn.datasets.digits()
        >>> len(train), len(test), tuple(train[0][0].shape)
        (1437, 360, (1, 8, 8))
    """
    import lzma

    with lzma.open(os.path.join(os.path.dirname(__file__), "digits.xz")) as file:
        content = file.read()
    count = TRAIN_SIZE + TEST_SIZE
    labels = _core.tensor(list(content[:count]), dtype=_core.int64)
    images = _core.tensor(list(content[count:]), dtype=_core.float32).reshape(count, 1, 8, 8) / 16
    return (
        TensorDataset(images[:TRAIN_SIZE], labels[:TRAIN_SIZE]),
        TensorDataset(images[TRAIN_SIZE:], labels[TRAIN_SIZE:]),
    )
