"""The two types that every module of this room shares."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Digits(NamedTuple):
    """One split: n images of 28 x 28 pixels, and which digit each one shows."""

    images: NDArray[np.uint8]
    """(n, 784), 0 = background, 255 = full ink; perhaps memory-mapped, perhaps read-only."""

    labels: NDArray[np.int64]
    """(n,), each 0 to 9."""


class DataError(ValueError):
    """Something is wrong with the data; the message is one line: what, expected, found, remedy."""
