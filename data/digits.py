"""The two types that every module of this package shares."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE = 28  # pixels of an image, each way


class Digits(NamedTuple):
    """One split: n images of 28 x 28 pixels, and the class of each."""

    images: NDArray[np.uint8]
    """(n, 784), 0 = background, 255 = full ink; may be memory-mapped and read-only."""

    labels: NDArray[np.int64]
    """(n,), the class of each, from 0; of MNIST the digit."""

    def spread(self, n: int) -> "Digits":
        """Return n of the images, in which each class keeps its share, to one image; in the order of the file.

        So a few of them show what all are like, also where the file is sorted. All of them are not copied.
        """
        if n == len(self.labels):
            return self
        by_class = np.argsort(self.labels, kind="stable")
        chosen = np.sort(by_class[np.arange(n) * len(by_class) // n])
        return Digits(self.images[chosen], self.labels[chosen])


class DataError(ValueError):
    """The data are wrong or missing; the message is one line: what, expected, found, remedy."""
