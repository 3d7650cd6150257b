"""Some images that stand for all."""

import numpy as np
import pytest

from data import Digits

N = 700


def digits(labels: np.ndarray) -> Digits:
    """Image i has the value i % 256 in its first pixel, i // 256 in its second."""
    images = np.zeros((len(labels), 784), np.uint8)
    images[:, 0], images[:, 1] = np.arange(len(labels)) % 256, np.arange(len(labels)) // 256
    return Digits(images, labels)


def positions(some: Digits) -> np.ndarray:
    return some.images[:, 0] + 256 * some.images[:, 1].astype(int)


RANDOM = np.random.default_rng(0).integers(0, 10, N)
LABELS = {
    "random": RANDOM,
    "sorted": np.sort(RANDOM),
    "falling": np.sort(RANDOM)[::-1],
    "in turn": np.arange(N) % 10,
    "a rare digit": np.repeat([0, 1], [N - 20, 20]),
}


@pytest.mark.parametrize("n", [70, 333, N - 1])
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_each_digit_keeps_its_share_and_the_images_their_order(labels: np.ndarray, n: int) -> None:
    whole = digits(labels)
    some = whole.spread(n)
    assert len(some.labels) == len(some.images) == n
    assert (np.diff(positions(some)) > 0).all()
    assert np.array_equal(whole.labels[positions(some)], some.labels)
    shares = np.bincount(labels) * n / N
    assert np.abs(np.bincount(some.labels, minlength=len(shares)) - shares).max() < 1


def test_ten_images_of_ten_equally_frequent_digits() -> None:
    assert sorted(digits(LABELS["in turn"]).spread(10).labels) == list(range(10))


def test_all_images_are_not_copied() -> None:
    whole = digits(RANDOM)
    assert whole.spread(N) is whole
