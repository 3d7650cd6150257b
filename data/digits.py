"""The two types that every module of this package shares."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE = 28  # pixels of an image, each way


class Digits(NamedTuple):
    """One split: n images of 28 x 28 pixels, and the digit that each shows."""

    images: NDArray[np.uint8]
    """(n, 784), 0 = background, 255 = full ink; may be memory-mapped and read-only."""

    labels: NDArray[np.int64]
    """(n,), each 0 to 9."""


class DataError(ValueError):
    """The data are wrong or missing; the message is one line: what, expected, found, remedy."""
