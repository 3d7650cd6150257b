"""What is unusual about a set of digits, so that a poor training has an explanation."""

import numpy as np

from data.digits import Digits

LISTED = 5  # classes in a sentence
DIM = 128  # a set whose brightest pixel is below is hardly seen by a network made for pixels up to 255


def remarks(train: Digits, test: Digits) -> list[str]:
    """Return a sentence on each thing that MNIST excludes or that hampers training; none for MNIST."""
    lines = []
    if missing := _missing(train, test):
        lines.append(missing)
    if _are_grouped(train):
        lines.append(
            "The training images are sorted by label: in this order, a network sees one class after the other and "
            "learns little; shuffle them, as `train --order shuffled` does."
        )
    for split, digits in (("training", train), ("test", test)):
        brightest, mean = digits.images.max(), digits.images.mean()
        if brightest < DIM:
            remedy = f"multiply them by {255 // brightest}" if brightest else "they are blank"
            lines.append(f"The brightest pixel of the {split} images is {brightest} of 255: {remedy}.")
        elif mean >= DIM:
            lines.append(
                f"The pixels of the {split} images are {mean:.0f} of 255 on average, expected light strokes on a "
                "background of 0: invert them."
            )
    return lines


def _missing(train: Digits, test: Digits) -> str:
    """Return a sentence on classes that a network cannot learn, as no training image has their label; "" for none."""
    highest = int(max(train.labels.max(), test.labels.max()))
    missing = [str(one) for one in np.setdiff1d(np.arange(highest), train.labels)]
    if test.labels.max() > train.labels.max():
        missing.append(str(highest))
    if len(missing) > LISTED + 1:
        missing[LISTED:] = [f"{len(missing) - LISTED} more"]
    words = " and ".join(filter(None, (", ".join(missing[:-1]), *missing[-1:])))
    return (
        f"No training image is of the class{'es' * (len(missing) > 1)} {words}, of 0 to {highest}." if missing else ""
    )


def _are_grouped(digits: Digits) -> bool:
    """Whether neighbours have the same label far more often than in a random order, as in a sorted file."""
    shares = np.bincount(digits.labels) / len(digits.labels)
    expected = (1 - np.sum(shares**2)) * (len(digits.labels) - 1)  # changes of the label in a random order
    return bool(np.count_nonzero(np.diff(digits.labels)) < expected / 2)
