"""What is said about digits that are not as MNIST's are."""

import numpy as np
import pytest

from data import Digits
from data.remarks import remarks
from tests.helpers.digits import digits_of

USUAL = digits_of(600, seed=0)
OTHER = digits_of(200, seed=1)
SORTED = "The training images are sorted by label: "


def ordered(order: np.ndarray) -> Digits:
    return Digits(USUAL.images[order], USUAL.labels[order])


def with_pixels(images: np.ndarray) -> Digits:
    return Digits(images.astype(np.uint8), USUAL.labels)


def test_nothing_is_said_about_usual_digits() -> None:
    assert remarks(USUAL, OTHER) == []


@pytest.mark.parametrize(
    "key",
    [USUAL.labels, -USUAL.labels, np.array([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])[USUAL.labels]],
    ids=["rising", "falling", "grouped in another order"],
)
def test_sorted_by_label(key: np.ndarray) -> None:
    (line,) = remarks(ordered(np.argsort(key, kind="stable")), OTHER)
    assert line.startswith(SORTED)


def test_two_parts_that_are_sorted() -> None:
    half = len(USUAL.labels) // 2
    order = np.concatenate([np.argsort(USUAL.labels[:half]), half + np.argsort(USUAL.labels[half:])])
    (line,) = remarks(ordered(order), OTHER)
    assert line.startswith(SORTED)


@pytest.mark.parametrize("labels", [np.arange(600) % 10, np.full(600, 3), np.arange(600) % 2, np.zeros(1, int)])
def test_digits_in_turn_and_one_digit_alone_are_not_sorted(labels: np.ndarray) -> None:
    assert not any(line.startswith(SORTED) for line in remarks(Digits(USUAL.images[: len(labels)], labels), OTHER))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.arange(600) % 9, "class 9"),
        (1 + np.arange(600) % 8, "classes 0 and 9"),
        (np.full(600, 3), "classes 0, 1, 2, 4, 5 and 4 more"),
    ],
)
def test_classes_that_no_training_image_shows(labels: np.ndarray, said: str) -> None:
    assert f"No training image is of the {said}, of 0 to 9." in remarks(Digits(USUAL.images, labels), OTHER)


def test_test_images_may_be_sorted() -> None:
    """Nothing depends on their order."""
    order = np.argsort(OTHER.labels)
    assert remarks(USUAL, Digits(OTHER.images[order], OTHER.labels[order])) == []


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (USUAL.images > 127, "The brightest pixel of the training images is 1 of 255: multiply them by 255."),
        (USUAL.images // 4, f"The brightest pixel of the training images is {USUAL.images.max() // 4} of 255: "),
        (0 * USUAL.images, "The brightest pixel of the training images is 0 of 255: they are blank."),
        (255 - USUAL.images, "The pixels of the training images are 1"),
    ],
    ids=["binary", "dim", "blank", "inverted"],
)
def test_pixels(images: np.ndarray, said: str) -> None:
    (line,) = remarks(with_pixels(images), OTHER)
    assert line.startswith(said)
    (line,) = remarks(USUAL, with_pixels(images))
    assert line.startswith(said.replace("training", "test"))


def test_pixels_of_0_and_255_are_usual() -> None:
    assert remarks(with_pixels(255 * (USUAL.images > 127)), OTHER) == []
