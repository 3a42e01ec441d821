"""Writes python/rustnn/datasets/digits.xz from scikit-learn's copy of the digits, split into train and test.

Run with an interpreter that has scikit-learn: python tests/golden/record_digits.py

Layout, one byte each, after xz: 1,797 labels, then 1,797 images of 8x8 pixels (0..16). The first 1,437 samples are for
training and the last 360 for testing; of every class a share as equal as whole numbers allow goes to the test.
"""

import lzma
import random
from pathlib import Path

from sklearn.datasets import load_digits

TEST_SIZE = 360

digits = load_digits()
labels = [int(label) for label in digits.target]
images = [bytes(int(pixel) for pixel in image.reshape(-1)) for image in digits.images]

members = {label: [i for i, other in enumerate(labels) if other == label] for label in range(10)}
shares = {label: len(of_class) * TEST_SIZE / len(labels) for label, of_class in members.items()}
counts = {label: int(share) for label, share in shares.items()}
for label in sorted(shares, key=lambda label: counts[label] - shares[label])[: TEST_SIZE - sum(counts.values())]:
    counts[label] += 1

draw = random.Random(0)
test = {i for label, of_class in members.items() for i in draw.sample(of_class, counts[label])}
order = [i for i in range(len(labels)) if i not in test] + sorted(test)
content = bytes(labels[i] for i in order) + b"".join(images[i] for i in order)
target = Path(__file__).parents[2] / "python/rustnn/datasets/digits.xz"
target.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
sizes = f"{len(content)} bytes, {target.stat().st_size} compressed"
print(f"{target.name}: {sizes}, {len(order) - len(test)} train, {len(test)} test")
